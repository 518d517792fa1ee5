"""Variables of optimised builds: what callers held in registers is gone, and of what was taken apart the debug
information may tell one part for another. Nothing is told that the program does not have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from delve_bridge.console import Console
from delve_bridge.moves import set_breakpoint
from gomap.render.text import Style
from tests.support import delves, toolchains
from tests.support.debuggers import LOAD, NO_SCRIPTS, Gdb, typed
from tests.support.delves import Dlv
from tests.support.gdb_sessions import batch
from tests.support.toolchains import Row

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


@pytest.mark.each_kind
def test_callers(toolchain: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    binary, core, script = toolchains.small("calls", toolchain, optimised=True), tmp_path / "core", tmp_path / "ask.py"
    script.write_text(ASK)
    asked = [f"python ask('{function}', '{path}')" for function, paths in FRAMES.items() for path in paths]
    questions = ["-x", str(script), *typed(SEARCH, *asked, SEARCH)]
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
    binary = toolchains.small("calls", system_go, optimised=True)
    fault = ["handle SIGSEGV nostop noprint pass", "break main.faults", "continue"]
    at_the_handler = ["break runtime.sighandler if sig == 11", "continue", "hmap-show ccc --json", SEARCH]
    told = ask_gdb(gdb, *RUN, *typed(*fault, *at_the_handler), str(binary))
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
                if str(holder["function"]).startswith("main.") and holder["kind"] != "slot":
                    # The slice that begins with the second: its elements are those one further on.
                    further = holder["path"].startswith("last[")
                    assert group["count"] == entries(holder["path"]) + further, (group, holder)
                    told.add((holder["function"], holder["path"]))
        nils = [holder for holder in answer["data"]["nil_maps"] if str(holder["function"]).startswith("main.")]
        assert not nils, nils
    # What is needed behind the call, and all of its pieces are told.
    assert {("main.given2", "t.bb"), ("main.given3", "t.ccc")} <= told, told


def test_taken_apart(toolchain: Row, system_gdb: Gdb) -> None:
    binary = toolchains.small("apart", toolchain, optimised=True)
    told = ask_gdb(system_gdb, *RUN, *typed(*[SEARCH, "continue"] * STOPS), str(binary))
    answers = [line for line in told.splitlines() if line.startswith("{")]
    assert len(answers) == STOPS
    assert "exited normally" in told
    check_parts(answers)


def test_taken_apart_in_delve(dlv: Dlv, system_go: Row) -> None:
    answers = []
    with delves.bridge(dlv, ["exec", str(toolchains.small("apart", system_go, optimised=True))]) as session:
        console = Console(session, Style())
        set_breakpoint(session, "main.stop")
        while "has exited" not in str(console.execute("continue").error):
            answers.append(console.execute(SEARCH).output)
    assert len(answers) == STOPS
    check_parts(answers)


def test_delve(dlv: Dlv, system_go: Row) -> None:
    with delves.bridge(dlv, ["exec", str(toolchains.small("calls", system_go, optimised=True))]) as session:
        set_breakpoint(session, "main.stop")
        delves.run_to_first_stop(session)
        check_search(Console(session, Style()).execute(SEARCH).output)
