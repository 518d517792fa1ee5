"""Which lines allocated a map's memory, against the program's own memory profile (runtime.MemProfile)."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from direct.target import DirectTarget, of_core
from gomap.golang.runtime.pclntab import Functions
from tests.support import debuggers, delves, schema, toolchains
from tests.support.debuggers import Answer, Gdb, Session
from tests.support.delves import Dlv
from tests.support.directly import ask
from tests.support.toolchains import Row

PROGRAM = "origin"
MAPS = [
    f"main.Keep.{name}"
    for name in ("Ints", "Texts", "Wide", "Sets", "Small", "Empty", "Put", "Reflect", "Cloned", "Decoded", "Growing")
]
SYNC, LARGE, TINY, OFF, NIL = (f"main.Keep.{name}" for name in ("Sync", "Large", "Tiny", "Off", "Nil"))
TOP = "hmap-top --origin -n 0 --json"


def of(expr: str) -> str:
    return f"hmap-origin {expr} --full --json"


EVERY = [of(expr) for expr in (*MAPS, SYNC)]
PLAN = {
    "every": EVERY,
    "default": [of(LARGE), of(SYNC), of(TINY), f"hmap-origin {LARGE}", f"hmap-origin {TINY}", TOP],
    "off": [of(OFF), f"hmap-origin {OFF}", f"hmap-origin {NIL}", of(NIL)],
}


FILLS = r"main\.(first|second|put\[\.\.\.\]|fill|decode|stored|large|tiny)"
NUMBERS = ("samples", "sampled_bytes", "objects", "bytes")


def named(site: Any) -> Any:
    """A call, its function as the runtime prints it: without type arguments."""
    if site is None:
        return None
    found = {name.lower(): value for name, value in site.items()}
    return re.sub(r"\[.*\]", "[...]", found["function"]), found["file"], found["line"]


def check(answer: Answer, notes: Any) -> Any:
    """Lines, stacks, numbers and bytes are the program's own."""
    assert answer.error is None, answer.error
    told = answer.json()
    assert not schema.faults(told, schema.answer("hmap-origin")), schema.faults(told, schema.answer("hmap-origin"))
    assert not told["anomalies"]
    data = told["data"]
    expr = data["expr"]
    own = notes["lines"][expr]
    assert own or expr in (TINY, OFF), expr
    lines: dict[Any, Counter[str]] = {}
    stacks: Counter[Any] = Counter()
    for one in own:
        line = lines.setdefault((named(one["Site"]), named(one["Caller"])), Counter())
        line.update(samples=one["Count"], sampled_bytes=one["Bytes"], objects=one["Objects"], bytes=one["Size"])
        stacks[tuple(map(named, one["Stack"])), one["Bytes"] // one["Count"]] += one["Count"]
    told_lines = {
        (named(one["location"]), named(one["caller"])): {name: one[name] for name in NUMBERS} for one in data["origins"]
    }
    assert told_lines == lines, expr
    told_stacks = Counter(
        {
            (tuple(map(named, stack["calls"])), stack["bytes_each"]): stack["samples"]
            for one in data["origins"]
            for stack in one["stacks"]
        }
    )
    assert told_stacks == stacks, expr
    assert data["samples"] == sum(one["Count"] for one in own)
    assert data["profiling"] == {"linked": True, "rate": notes["rate"]}
    assert data["estimated"] == {
        "objects": sum(one["Objects"] for one in own),
        "bytes": sum(one["Size"] for one in own),
    }
    if expr in (notes["whole"] or ()):
        assert data["bytes"]["allocated"] == data["estimated"]["bytes"], expr
    return data


def check_top(answer: Answer, notes: Any) -> None:
    """Of each map the line that allocated most, as the samples say."""
    told = answer.json()
    assert not schema.faults(told, schema.answer("hmap-top"))
    rows = {one["path"]: one for one in told["data"]["maps"]}
    for expr, own in notes["lines"].items():
        sizes: Counter[Any] = Counter()
        for one in own:
            sizes[named(one["Site"]), named(one["Caller"])] += one["Size"]
        best = rows[expr]["origin"]
        assert rows[expr]["samples"] == sum(one["Count"] for one in own)
        assert (best is None) == (not sizes), expr
        if best is not None:
            line = named(best["location"]), named(best["caller"])
            assert sizes[line] == best["bytes"] == max(sizes.values()), expr

    sums: dict[Any, Counter[str]] = {}
    for one in notes["maps"]:
        line = named(one["Site"]), named(one["Caller"])
        sums.setdefault(line, Counter()).update(samples=one["Count"], bytes=one["Size"])
    assert len(sums) > len(MAPS)
    lines = {
        (named(one["location"]), named(one["caller"])): {name: one[name] for name in ("samples", "bytes")}
        for one in told["data"]["lines"]
    }
    # What was allocated while the truth was published is not in it.
    told_lines, own_lines = ({line: one for line, one in some.items() if is_filled(line)} for some in (lines, sums))
    assert told_lines == own_lines


def is_filled(line: Any) -> bool:
    """Whether the line is one that fills the program's maps."""
    return any(site is not None and re.fullmatch(FILLS, site[0]) for site in line)


def words(answer: Answer) -> str:
    assert answer.error is None, answer.error
    return " ".join(answer.output.split())


def test_lines(toolchain: Row, system_gdb: Gdb) -> None:
    asked = debuggers.visit(system_gdb, toolchains.build(PROGRAM, toolchain, optimised=True), PLAN)
    notes = {stage: line["notes"] for stage, line in asked.truth.items()}
    assert [one["rate"] for one in notes.values()] == [1, 512 << 10, 0]
    for line in EVERY:
        check(asked.at("every", line), notes["every"])
    default = notes["default"]
    check(asked.at("default", of(SYNC)), default)
    large = check(asked.at("default", of(LARGE)), default)
    assert large["samples"] >= 1 and large["probability"] > 0.99
    lines = f"at {len(large['origins'])} lines" if len(large["origins"]) > 1 else "at one line"
    said = words(asked.at("default", f"hmap-origin {LARGE}"))
    assert f", allocated {lines} bytes samples" in said
    assert f"main.large main.go:{large['origins'][0]['location']['line']}" in said
    assert "one sample per 512 KiB allocated, on average" in said
    tiny = check(asked.at("default", of(TINY)), default)
    if not tiny["samples"]:
        share = tiny["bytes"]["allocated"] / (512 << 10)
        assert share * 0.99 < tiny["probability"] < share
        assert f"is {100 * share:.2g}% (runtime" in words(asked.at("default", f"hmap-origin {TINY}"))
    check_top(asked.at("default", TOP), default)
    off = check(asked.at("off", of(OFF)), notes["off"])
    if not off["samples"]:
        assert off["probability"] == 0
        assert "runtime.MemProfileRate is 0: the program samples no" in words(asked.at("off", f"hmap-origin {OFF}"))
    assert "is a nil map[int]int: nothing was allocated" in words(asked.at("off", f"hmap-origin {NIL}"))
    nil = asked.at("off", of(NIL)).json()
    assert not schema.faults(nil, schema.answer("hmap-origin")) and nil["data"]["origins"] == []


def test_over_delve(system_go: Row, dlv: Dlv) -> None:
    """In a process, built without optimization."""
    on_stack, binary = "hmap-origin onStack", toolchains.build(PROGRAM, system_go, optimised=False)
    asked = delves.visit(dlv, binary, {"every": EVERY, "default": [on_stack]})
    for line in EVERY:
        check(asked.at("every", line), asked.truth["every"]["notes"])
    assert words(asked.at("default", on_stack)).startswith("onStack is not on the heap but on a stack: nothing was")


def test_in_a_core(both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    core = debuggers.make_core(toolchains.build(PROGRAM, both_layouts, optimised=True), "default")
    notes, lines = core.truth["default"]["notes"], [*EVERY, of(LARGE), TOP]
    target = DirectTarget(of_core(str(core.binary), str(core.path)))
    alone = [(line, ask(target, line)) for line in lines]
    direct = Session(tuple(Answer("default", line, one.output, one.error) for line, one in alone), core.truth)
    for asked in (debuggers.examine(system_gdb, core, lines), delves.examine(dlv, core, lines), direct):
        for line in lines[:-1]:
            check(asked.at("default", line), notes)
        check_top(asked.at("default", TOP), notes)
    check_calls(target, notes["calls"])


def check_calls(target: DirectTarget, notes: Any) -> None:
    """What the runtime's table has for program counters, against runtime.Callers and runtime.CallersFrames: these have
    a counter for each inlined call, the calls that it was inlined into follow."""
    functions, calls = Functions(target), list(map(named, notes["Calls"]))
    inlined = 0
    for index, pc in enumerate(notes["PCs"]):
        found = [named(vars(call)) for call in functions.frames(int(pc, 16) - 1)]
        assert found == calls[index : index + len(found)], pc
        assert found[-1][0] == re.sub(r"\[.*\]", "[...]", functions.name(int(pc, 16) - 1))
        inlined = max(inlined, len(found))
    assert inlined >= 3


def test_without_profiling(system_go: Row) -> None:
    core = debuggers.make_core(toolchains.build("basic", system_go, optimised=False), "start")
    target = DirectTarget(of_core(str(core.binary), str(core.path)))
    outcome = ask(target, "hmap-origin main.Keep.M")
    assert outcome.error is None and "was linked without memory profiling" in " ".join(outcome.output.split())
    data = json.loads(ask(target, "hmap-origin main.Keep.M --json").output)["data"]
    assert (data["profiling"], data["samples"]) == ({"linked": False, "rate": 0}, 0)
    top = " ".join(ask(target, "hmap-top --origin").output.split())
    assert "was linked without memory profiling" in top
