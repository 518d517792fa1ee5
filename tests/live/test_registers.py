"""Variables of optimised builds: what callers held in registers is gone, and of what was taken apart the debug
information may tell one part for another. Nothing is told that the program does not have."""

from __future__ import annotations

import json
import re
from pathlib import Path

from delve_bridge.console import Console
from delve_bridge.moves import set_breakpoint
from gomap.render.text import Style
from tests.live.test_delve_sessions import built
from tests.live.test_gdb_session import NO_SCRIPTS, batch
from tests.support import delves
from tests.support.debuggers import LOAD, Gdb
from tests.support.delves import Dlv
from tests.support.toolchains import Row

#: Functions give their maps on in the registers that they got them in, and what they call puts others there; some are
#: needed again. A map has as many entries as the variable's name has letters.
CALLS = """package main

import (
	"runtime"
	"sync/atomic"
)

type box struct {
	eight888 map[string]int
	n        int
}

var (
	sum    int
	parked atomic.Int32
	never  chan int
	reads  map[string]int
)

func of(n int) map[string]int {
	m := map[string]int{}
	for i := 0; i < n; i++ {
		m[string(rune('a'+i))] = i
	}
	return m
}

//go:noinline
func stop(a map[string]int) {
	sum += len(a)
}

//go:noinline
func waits(a map[string]int, n int) {
	if n > 0 {
		parked.Add(1)
		<-never
	}
	stop(a)
}

//go:noinline
func third(bb, a, ccc map[string]int, n int) int {
	waits(a, n)
	return len(bb)
}

//go:noinline
func alike(bb, a, ccc map[string]int, n int) int { return third(bb, a, ccc, n) + n }

//go:noinline
func parts(b box, list []map[string]int, v any, n int) int { return alike(list[1], list[0], list[2], n) + n }

//go:noinline
func whole(b box, list []map[string]int, v any, n int) int { return parts(b, list, v, n) + n }

//go:noinline
func second(ccc, a, bb map[string]int, n int) int {
	return whole(box{of(8), n}, []map[string]int{a, bb, ccc}, box{of(8), n}, n) + len(ccc)
}

func between(bb, ccc, a map[string]int, n int) int { return second(ccc, a, bb, n) + 1 }

//go:noinline
func same(a, bb, ccc map[string]int, n int) int { return between(bb, ccc, a, n) + n }

//go:noinline
func first(a, bb, ccc map[string]int, n int) int { return same(a, bb, ccc, n) + n }

//go:noinline
func touches(ccc map[string]int, p *int) int {
	*p = 1
	return len(ccc)
}

//go:noinline
func faults(bb, ccc map[string]int, p *int) (n int) {
	defer func() { recover() }()
	return touches(ccc, p) + len(bb)
}

func main() {
	runtime.LockOSThread()
	a, bb, ccc := of(1), of(2), of(3)
	for i := 1; i <= 3; i++ {
		go first(of(1), of(2), of(3), i)
	}
	for parked.Load() < 3 {
		runtime.Gosched()
	}
	sum += first(a, bb, ccc, 0)
	sum += faults(bb, ccc, nil)
}
"""

#: Variables that the compiler takes apart, and of which it drops what is not needed any more.
APART = """package main

import "runtime"

type two struct{ a, bb map[string]int }

type three struct {
	a   map[string]int
	n   int
	ccc map[string]int
}

type padded struct {
	ok bool
	bb map[string]int
	n  int32
	a  map[string]int
}

var sum int

func of(n int) map[string]int {
	m := map[string]int{}
	for i := 0; i < n; i++ {
		m[string(rune('a'+i))] = i
	}
	return m
}

//go:noinline
func stop() { sum++ }

//go:noinline
func given2(t two) int {
	stop()
	return len(t.bb)
}

//go:noinline
func given3(t three) int {
	stop()
	return len(t.ccc)
}

//go:noinline
func givenPadded(t padded) int {
	stop()
	return len(t.bb) + int(t.n)
}

func inlined(t three) int {
	sum += len(t.a)
	stop()
	return len(t.ccc) + t.n
}

func copied(t *three) int {
	u := *t
	stop()
	return len(u.ccc)
}

//go:noinline
func locals(a, bb, ccc map[string]int, n int) int {
	t := two{a, bb}
	stop()
	u := three{a, n, ccc}
	stop()
	p := padded{n > 1, bb, int32(n), a}
	stop()
	return len(t.bb) + len(u.ccc) + len(p.a)
}

//go:noinline
func ranges(list []three, v any) int {
	for _, item := range list {
		stop()
		sum += len(item.ccc)
	}
	t, _ := v.(two)
	stop()
	return len(t.bb)
}

//go:noinline
func parts(list []map[string]int, v any) int {
	last := list[1:]
	stop()
	if t, ok := v.(three); ok {
		stop()
		sum += t.n
	}
	return len(last[0])
}

func main() {
	runtime.LockOSThread()
	a, bb, ccc := of(1), of(2), of(3)
	sum += given2(two{a, bb})
	sum += given3(three{a, 7, ccc})
	sum += givenPadded(padded{true, bb, 8, a})
	sum += inlined(three{a, len(bb), ccc})
	sum += copied(&three{a, len(bb), ccc})
	sum += locals(a, bb, ccc, 5)
	sum += ranges([]three{{a, 1, ccc}, {a, 2, ccc}}, two{a, bb})
	sum += parts([]map[string]int{a, bb}, three{a, 3, ccc})
}
"""
STOPS = 13

#: Asks for a map by name in the function's frame, which is selected, and prints what gomap said.
ASK = """
import gdb, json

def ask(function, path):
    frame = gdb.newest_frame()
    while frame.name() != function:  # `frame function` goes by addresses, which an inlined one shares with others
        frame = frame.older()
    frame.select()
    try:
        text, error = gdb.execute(f"hmap-show {path} --json", to_string=True), None
    except gdb.error as problem:
        text, error = "", str(problem)
    assert gdb.selected_frame().name() == function
    print("ask:", json.dumps([path, function, text, error]))
"""
RUN = ("-ex", "break main.stop", "-ex", "run")
SEARCH = "hmap-alias --scope all --all --json"
#: What functions need behind the call that they made, and so keep in memory.
KEPT = {"main.third": {"bb"}, "main.second": {"ccc"}}
#: Functions from the stop outward, and what is asked of each.
FRAMES = {
    "main.stop": ("a",),
    "main.waits": ("a",),
    "main.third": ("a", "bb", "ccc"),
    "main.alike": ("a", "bb", "ccc"),
    "main.parts": ("b.eight888", "v.eight888", "list[0]", "list[1]", "list[2]"),
    "main.whole": ("b.eight888", "v.eight888", "list[0]", "list[1]", "list[2]"),
    "main.second": ("a", "bb", "ccc"),
    "main.between": ("a", "bb", "ccc"),
    "main.same": ("a", "bb", "ccc"),
    "main.first": ("a", "bb", "ccc"),
}


def entries(path: str) -> int:
    """How many the map has that this leads to. (Go 1.27 has a part of t as a variable `tbb`.)"""
    element = re.search(r"\[(\d+)\]$", path)
    return int(element.group(1)) + 1 if element else len(re.findall(r"eight888$|a$|bb$|ccc$", path)[0])


def check_search(text: str, goroutines: int = 4) -> dict[int, dict[str, set[str]]]:
    """goroutines: how many are on their way to main.stop. What each goroutine's functions hold."""
    answer = json.loads(text)
    assert not answer["anomalies"]
    held: dict[int, dict[str, set[str]]] = {}
    for group in answer["data"]["groups"]:
        for holder in group["holders"]:
            if str(holder["function"]).startswith("main."):
                assert group["count"] == entries(holder["path"]), (group, holder)
                held.setdefault(holder["goroutine"], {}).setdefault(holder["function"], set()).add(holder["path"])
    called = [functions for functions in held.values() if "main.third" in functions]
    assert len(called) == goroutines
    for functions in called:
        for function, kept in KEPT.items():
            assert kept <= functions[function], functions
    return held


def check_named(path: str, function: str, text: str, error: str | None) -> None:
    """The map of that frame, or the word that it is not kept."""
    if error is None:
        assert json.loads(text)["data"]["count"] == entries(path), (function, path, text)
    else:
        assert path not in KEPT.get(function, ())
        assert "optimized out here: the compiler keeps no copy of it" in error, (path, error)


def ask_gdb(gdb: Gdb, *arguments: str) -> str:
    return batch(gdb, *NO_SCRIPTS, "-x", str(LOAD), *arguments, env={"GODEBUG": "asyncpreemptoff=1"})


def test_callers(toolchain: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    binary, core, script = built(CALLS, "calls", toolchain, optimised=True), tmp_path / "core", tmp_path / "ask.py"
    script.write_text(ASK)
    asked = [f"python ask('{function}', '{path}')" for function, paths in FRAMES.items() for path in paths]
    questions = ["-x", str(script), *(word for line in (SEARCH, *asked, SEARCH) for word in ("-ex", line))]
    for told in (
        ask_gdb(system_gdb, *RUN, "-ex", f"gcore {core}", *questions, str(binary)),
        ask_gdb(system_gdb, *questions, str(binary), str(core)),
    ):
        searches = [line for line in told.splitlines() if line.startswith("{")]
        assert len(searches) == 2
        for search in searches:
            check_search(search)
        answers = [json.loads(line[5:]) for line in told.splitlines() if line.startswith("ask: ")]
        assert len(answers) == len(asked)
        for answer in answers:
            check_named(*answer)
    core.unlink()  # more than 1 GB


def test_interrupted(gdb: Gdb, system_go: Row) -> None:
    """Where a signal came the registers are all known, and what is in them is told."""
    binary = built(CALLS, "calls", system_go, optimised=True)
    fault = ["handle SIGSEGV nostop noprint pass", "break main.faults", "continue"]
    at_the_handler = ["break runtime.sighandler if sig == 11", "continue", "hmap-show ccc --json", SEARCH]
    told = ask_gdb(gdb, *RUN, *(word for line in (*fault, *at_the_handler) for word in ("-ex", line)), str(binary))
    shown, search = [line for line in told.splitlines() if line.startswith("{")]
    assert json.loads(shown)["data"]["count"] == 3
    assert check_search(search, goroutines=3)[1] == {"main.touches": {"ccc"}, "main.faults": {"bb"}}


def check_parts(answers: list[str]) -> None:
    told = set()
    for text in answers:
        answer = json.loads(text)
        assert not answer["anomalies"], answer["anomalies"]
        for group in answer["data"]["groups"]:
            for holder in group["holders"]:
                if str(holder["function"]).startswith("main."):
                    # The slice that begins with the second: its elements are those one further on.
                    further = holder["path"].startswith("last[")
                    assert group["count"] == entries(holder["path"]) + further, (group, holder)
                    told.add((holder["function"], holder["path"]))
        nils = [holder for holder in answer["data"]["nil_maps"] if str(holder["function"]).startswith("main.")]
        assert not nils, nils
    # What is needed behind the call, and all of its pieces are told.
    assert {("main.given2", "t.bb"), ("main.given3", "t.ccc")} <= told, told


def test_taken_apart(toolchain: Row, system_gdb: Gdb) -> None:
    binary = built(APART, "apart", toolchain, optimised=True)
    again = [word for line in (*[SEARCH, "continue"] * STOPS,) for word in ("-ex", line)]
    told = ask_gdb(system_gdb, *RUN, *again, str(binary))
    answers = [line for line in told.splitlines() if line.startswith("{")]
    assert len(answers) == STOPS
    assert "exited normally" in told
    check_parts(answers)


def test_taken_apart_in_delve(dlv: Dlv, system_go: Row) -> None:
    answers = []
    with delves.bridge(dlv, ["exec", str(built(APART, "apart", system_go, optimised=True))]) as session:
        console = Console(session, Style())
        set_breakpoint(session, "main.stop")
        while "has exited" not in str(console.execute("continue").error):
            answers.append(console.execute(SEARCH).output)
    assert len(answers) == STOPS
    check_parts(answers)


def test_delve(dlv: Dlv, system_go: Row) -> None:
    with delves.bridge(dlv, ["exec", str(built(CALLS, "calls", system_go, optimised=True))]) as session:
        set_breakpoint(session, "main.stop")
        delves.run_to_first_stop(session)
        check_search(Console(session, Style()).execute(SEARCH).output)
