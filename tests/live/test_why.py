"""hmap-why against what the program's own heap shrinks by, and its graph against the runtime's own list of objects,
pointers and roots (debug.WriteHeapDump)."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from direct.target import DirectTarget, of_core, of_process
from gomap import frontend
from gomap.analysis import whole_heap
from gomap.declare import Settings
from gomap.golang.runtime.heap import Heap
from gomap.heap import graph
from gomap.heap.frames import EXACT
from gomap.heap.roots import DATA, KINDS, HeapRoots, roots
from gomap.render.text import Style
from tests.support import debuggers, delves, directly, heapdump, schema, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.heapdump import HeapDump
from tests.support.terminals import Terminal
from tests.support.toolchains import Row

PROGRAM = "retained"
#: gdb's Python finds numpy and scipy where the test tools are, which are of the same version of Python.
FOUND = f"python import sys; sys.path.append({sysconfig.get_path('purelib')!r}); import scipy"
#: What the program drops, by the name that it gives that.
DROPPED = {
    "typed": 'main.Typed["first"]',
    "typed-2": 'main.Typed["second"]',
    "cache-2": "main.Caches[2].entries",
    "both": "main.Both[1]",
    "any": "main.Any.(map[int]string)",
    "untyped": "main.At.Untyped",
    "large": "main.Large.names",
    "large-7": "main.Large.more[7].b.(map[int]string)",
    "large-39": "main.Large.more[39].b.(map[int]string)",
    "worker": "main.At.Worker",
    "object": "main.At.Object",
}
#: What keeps the others: the roots that lead there, and whether that is all.
KEPT = {"main.At.Deferred": {"data", "stack"}, "main.At.Finalized": {"data"}, "main.At.Lost": {"finalizer"}}
CLEANED = "main.At.Cleaned"
RETAINED = "hmap-top --by retained -n 0 --json"
UNREACHABLE = "hmap-top --unreachable -n 0 --json"
#: How often the graph is built; a variable set in the debugger, and what is asked afterwards.
COUNTED = (
    "python import gomap.analysis.whole_heap as w; s = []; b = w.build; w.build = lambda *a: (s.append(1), b(*a))[1]"
)
BUILT = "python print(len(s))"
SET = """python gdb.selected_inferior().write_memory(int(gdb.parse_and_eval("&'main.Both'")), bytes(8))"""
AFTER_SET = "hmap-why  main.Both[1] --json"
TEXTS = ("hmap-top --by retained -n 3", "hmap-top --unreachable -n 3")
#: Ways that end where they should: an expression that the command takes again.
WAYS = {
    "typed": 'main.Typed["first"]',
    "cache-2": "main.Caches[2].entries",
    "any": "main.Any.(map[int]string)",
    "large-39": "main.Large.more[39].b.(map[int]string)",
}
#: Objects and words of the runtime's that change from the dump to the system call in which the program waits.
CHANGED = 40
#: Bytes at the end of a page that are no objects: a bitmap, and marks (runtime/mgcmark_greenteagc.go).
TAIL = 256


def why(expr: str) -> str:
    return f"hmap-why {expr} --json"


@contextmanager
def dumped(binary: Path, folder: Path) -> Iterator[tuple[DirectTarget, HeapDump]]:
    """The program, which waits in a system call, and what it has written of its heap."""
    path = folder / "heap"
    env = debuggers._environment({"GOMAP_DUMP": str(path), "GOMAP_TRUTH": str(folder / "truth")})
    process = subprocess.Popen([str(binary)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        assert [process.stdout.readline() for _ in range(2)] == [b"ready\n", b"dumped\n"]
        wait_in_call(process.pid)
        yield DirectTarget(of_process(process.pid)), heapdump.read(path)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(60)


def wait_in_call(pid: int) -> None:
    """Until a thread of the process is in read(0, ...): from then on nothing runs."""
    while True:
        for task in Path(f"/proc/{pid}/task").iterdir():
            if (task / "syscall").read_text().startswith("0 0x0 "):
                return


def test_graph(toolchain: Row, tmp_path: Path) -> None:
    """Each object of the heap, each pointer in it, and each root is as the runtime has it."""
    binary = toolchains.build(PROGRAM, toolchain, optimised=True)
    with dumped(binary, tmp_path) as (target, dump):
        found = graph.build(target, Heap(target))
        assert found.complete
        check_objects(target, found, dump)
        every = roots(target, found)
        assert not every.problems
        check_roots(target, found, every, dump)


def check_objects(target: DirectTarget, found: graph.HeapGraph, dump: HeapDump) -> None:
    objects = found.objects
    numbers = np.arange(objects.count)
    sizes = dict(zip(objects.addresses(numbers).tolist(), objects.sizes(numbers).tolist()))
    wanted = {piece.address: piece for piece in dump.objects}
    # From Go 1.22 on the dump has what lies behind the last object of a page, too (dumpobjs counts pages).
    tails = {at for at, one in wanted.items() if at not in sizes and at % 8192 + len(one.contents) > 8192 - TAIL}
    assert {at: len(one.contents) for at, one in wanted.items() if at not in tails} == sizes
    changed = edges = 0
    for number, (address, size) in enumerate(sizes.items()):
        if target.memory.read(address, size) != wanted[address].contents:
            changed += 1
            continue
        leads = [objects.object_at(value) for value in wanted[address].pointers().values()]
        mine = found.ends[found.starts[number] : found.starts[number + 1]].tolist()
        assert mine == [lead for lead in leads if lead >= 0], hex(address)
        edges += len(mine)
    assert changed < CHANGED and edges > 20000, (changed, edges)


def check_roots(target: DirectTarget, found: graph.HeapGraph, every: HeapRoots, dump: HeapDump) -> None:
    def heap_pointers(words: dict[int, int]) -> dict[int, int]:
        known = {at: found.objects.object_at(value) for at, value in words.items()}
        return {at: one for at, one in known.items() if one >= 0}

    wanted = heap_pointers({at: value for piece in dump.variables for at, value in piece.pointers().items()})
    own = every.kinds == KINDS.index(DATA)
    mine = dict(zip(every.slots[own].tolist(), every.objects[own].tolist()))
    different = {at for at in wanted.keys() | mine.keys() if wanted.get(at) != mine.get(at)}
    contents = {at: value for piece in dump.variables for at, value in piece.pointers().items()}
    since = {at for at in different if int.from_bytes(target.memory.read(at, 8), "little") != contents[at]}
    assert different == since and len(since) < CHANGED, different - since
    assert len(wanted) > 50
    exact = 0
    for goroutine, frames in dump.goroutines:
        if goroutine == 1:
            continue  # it was dumped elsewhere than where it waits
        of_frames = heap_pointers({at: value for one in frames for at, value in one.piece.pointers().items()})
        held = [one for one in every.held.values() if one.goroutine.id == goroutine and one.level is not None]
        # An object of the stack that something points to is scanned as well: the dump has it in no frame.
        in_objects = {one.address for one in held if one.function == "main.object"}
        assert {one.address for one in held} - in_objects == of_frames.keys() - in_objects, goroutine
        assert all(one.how == EXACT for one in held)
        exact += len(held)
    assert exact >= 8
    finalizers = sorted(found.objects.address(one.object) for one in every.specials if one.kind == "finalizer")
    assert finalizers == sorted(at for at, _ in dump.finalizers) and finalizers


def check_freed(asked: Session, names: dict[str, str]) -> None:
    """What hmap-why says would be freed is what was freed; of two that lead there one alone frees nothing."""
    freed = asked.truth["dropped"]["notes"]["freed"]
    assert freed["nothing"] == freed["one-of-both"] == 0
    answers = {name: asked.at("held", why(expr)) for name, expr in names.items()}
    assert {name: one.error for name, one in answers.items() if one.error is not None} == {}
    told = {name: one.json() for name, one in answers.items()}
    assert {name: one["data"]["freed"]["bytes"] for name, one in told.items()} == {name: freed[name] for name in names}
    maps = asked.truth["held"]["notes"]["maps"]
    for name, one in told.items():
        assert not schema.faults(one, schema.answer("hmap-why"))
        data = one["data"]
        assert (data["alive"], data["where"], data["complete"]) == (True, "heap", True), data["missing"]
        assert data["object"]["address"] == data["address"] == maps[name]
        pointers = 2 if name == "both" else 1
        assert (data["pointers"], data["roots"]) == (pointers, pointers)
        assert data["cut_frees"] == (0 if name == "both" else freed[name])
        if name in WAYS:
            assert [(way["root"], way["expr"]) for way in data["ways"]] == [("data", WAYS[name])]
        if name in ("worker", "object"):
            (way,) = data["ways"]
            assert (way["root"], way["function"]) == ("stack", f"main.{name.replace('worker', 'work')}")


def check_kept(asked: Session) -> None:
    """Which kinds of roots lead to what nothing else does."""
    for expr, kinds in KEPT.items():
        data = asked.at("held", why(expr)).json()["data"]
        assert data["alive"] and {way["root"] for way in data["ways"]} == kinds, data
    if "cleaned" in asked.truth["held"]["notes"]["maps"]:
        data = asked.at("held", why(CLEANED)).json()["data"]
        assert [way["root"] for way in data["ways"]] == ["cleanup"] and data["roots"] == 1


def check_retained(asked: Session) -> None:
    """hmap-top has the same bytes of every map at once."""
    answer = asked.at("held", RETAINED)
    assert answer.error is None, answer.error
    told = answer.json()
    assert not schema.faults(told, schema.answer("hmap-top"))
    assert not told["truncated"], told["truncated"]
    listed = told["data"]["maps"]
    retained = {one["address"]: one["retained"] for one in listed}
    assert [one["retained"] for one in listed] == sorted(retained.values(), reverse=True)
    freed, maps = asked.truth["dropped"]["notes"]["freed"], asked.truth["held"]["notes"]["maps"]
    assert {name: retained[maps[name]] for name in DROPPED} == {name: freed[name] for name in DROPPED}
    # Maps in it are counted with the outer one as well.
    (outer,) = (one for one in listed if one["path"] == "main.Typed")
    assert outer["retained"] == outer["bytes"]["allocated"] + freed["typed"] + freed["typed-2"]


def check_types(asked: Session) -> None:
    """Of maps that no variable leads to what points to them tells the type, where others fit as well."""
    listed = {one["address"]: one for one in asked.at("held", RETAINED).json()["data"]["maps"]}
    inside = asked.truth["held"]["notes"]["inside"]
    assert len(inside) == 5
    for address, type_name, count in inside:
        one = listed[address]
        assert (one["kind"], one["type"], one["type_or"], one["count"]) == ("heap", type_name, [], count), one
        if "map[string]" not in type_name:  # of larger groups with pointers the allocator has noted the type
            assert one["type_known_by"] == "reference", one


def check_ways(asked: Session, optimised: bool) -> None:
    """A row of a map that no variable leads to says whether a root does: of what the program has, and of what not."""
    told = asked.at("held", RETAINED).json()["data"]["maps"]
    rows = {one["address"]: one for one in told if one["kind"] == "heap"}
    notes = asked.truth["held"]["notes"]
    dropped = {address for address, _, _ in notes["garbage"]}
    assert {one["alive"] for one in told if one["kind"] != "heap"} <= {None}
    assert dropped <= rows.keys() and {rows[address]["alive"] for address in dropped} == {False}
    kept = {address for address, _, _ in notes["inside"]} | (set(notes["maps"].values()) & rows.keys())
    assert len(kept) >= 5 and {rows[address]["alive"] for address in kept} == {True}
    assert all(rows[address]["trail"] for address in kept)
    # Where hmap-why was asked, one of its ways is this.
    both = 0
    for answer in asked.answers:
        if answer.stage == "held" and answer.command.startswith("hmap-why") and answer.error is None:
            data = answer.json()["data"]
            if data["address"] in kept:
                both += 1  # of optimized builds: in others variables lead to these
                assert rows[data["address"]]["trail"].split(" in ")[0] in str(data["ways"]), answer.command
    assert bool(both) == optimised


def check_kept_graph(asked: Session, names: dict[str, str]) -> None:
    """The graph is built once while the program stands still, and anew where it has moved or was written to."""
    assert asked.at("held", BUILT).output.strip() == "1"
    assert asked.at("held", SET).error is None
    before, after = (asked.at("held", line).json()["data"]["roots"] for line in (why(names["both"]), AFTER_SET))
    assert (before, after) == (2, 1)
    freed = asked.truth["dropped"]["notes"]["freed"]
    held, dropped = (asked.at(stage, why("main.Typed")).json()["data"]["freed"] for stage in ("held", "dropped"))
    assert held["bytes"] - dropped["bytes"] == freed["typed"] + freed["typed-2"] > 0


def check_unreachable(asked: Session) -> None:
    """What the program has dropped is listed, and nothing that it has."""
    answer = asked.at("held", UNREACHABLE)
    assert answer.error is None, answer.error
    told = answer.json()
    assert not schema.faults(told, schema.answer("hmap-top"))
    listed = {one["address"]: one for one in told["data"]["maps"]}
    notes = asked.truth["held"]["notes"]
    for address, type_name, count in notes["garbage"]:
        one = listed[address]
        types = [name.replace("interface {}", "any") for name in (one["type"], *one["type_or"])]
        assert type_name.replace("interface {}", "any") in types and one["count"] == count, one
    assert not listed.keys() & notes["maps"].values()
    dead = told["data"]["unreachable"]
    assert dead["complete"] and dead["maps"] == len(listed) >= len(notes["garbage"])
    assert dead["entries"] == sum(one["count"] for one in listed.values())
    assert dead["reachable"] >= len(notes["maps"])
    first = " ".join(asked.at("held", TEXTS[1]).output.split())
    assert f"roots lead to {dead['reachable']:,} other maps in the heap) " in first
    assert "(counted: all map headers in the heap" in first and "not counted: sync.Maps themselves" in first
    assert first.startswith(f"{len(listed):,} maps with {dead['entries']:,} entries are garbage"), first
    heads = [line.split()[:2] for line in asked.at("held", TEXTS[0]).output.splitlines()]
    assert ["retained", "held"] in heads, heads


def test_in_gdb(both_layouts: Row, system_gdb: Gdb, optimised: bool) -> None:
    binary = toolchains.build(PROGRAM, both_layouts, optimised)
    names = DROPPED if optimised else {name: DROPPED[name] for name in ("typed", "both", "worker", "object")}
    others = [why(expr) for expr in (*KEPT, CLEANED)] if optimised else []
    ranked = [RETAINED, UNREACHABLE, *TEXTS, why("main.Typed")]
    plan = [FOUND, COUNTED, *map(why, names.values()), *others, *ranked, BUILT, SET, AFTER_SET]
    asked = debuggers.visit(system_gdb, binary, {"held": plan, "dropped": [why("main.Typed")]})
    assert asked.at("held", FOUND).error is None
    check_freed(asked, names)
    check_kept_graph(asked, names)
    check_retained(asked)
    check_types(asked)
    check_unreachable(asked)
    check_ways(asked, optimised)
    if optimised:
        check_kept(asked)


def test_over_delve(system_go: Row, dlv: Dlv) -> None:
    names = {name: DROPPED[name] for name in ("typed", "both", "large-39", "worker", "object")}
    binary = toolchains.build(PROGRAM, system_go, optimised=True)
    plan = [*map(why, names.values()), RETAINED, UNREACHABLE, *TEXTS]
    asked = delves.visit(dlv, binary, {"held": plan, "dropped": [why("main.Typed")]})
    check_freed(asked, names)
    check_retained(asked)
    check_types(asked)
    check_unreachable(asked)
    check_ways(asked, True)
    data = asked.at("dropped", why("main.Typed")).json()["data"]
    assert data["freed"]["objects"] < 10, data  # the graph is that of this stop


def test_a_variable_set_in_dlv(system_go: Row, dlv: Dlv, tmp_path: Path) -> None:
    """Of `set` nothing is told: a graph that is kept is compared with memory."""
    binary = toolchains.build(PROGRAM, system_go, optimised=True)
    truth = str(tmp_path / "truth")
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop", GOMAP_TRUTH=truth)
    terminal.ready()
    assert "2 roots lead to it" in terminal.ask("hmap-why main.Both[1]")
    assert "would be freed" in terminal.ask("hmap-why main.Typed")
    terminal.ask("set main.Both[0] = nil")
    assert "1 root leads to it" in terminal.ask("hmap-why main.Both[1]")
    terminal.leave()


def ask(target: DirectTarget, line: str) -> frontend.Outcome:
    name, _, rest = line.partition(" ")
    return frontend.run(name, rest, lambda: target, Settings(), Style())


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Grows by one with each graph of the heap that is built."""
    built = list[Any]()

    def build(*args: Any) -> graph.HeapGraph:
        built.append(args)
        return graph.build(*args)

    monkeypatch.setattr(whole_heap, "build", build)
    return built


def test_of_a_running_process(system_go: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process that runs no graph is kept for another command; within one it is built once."""
    binary, built = toolchains.build(PROGRAM, system_go, optimised=True), counted(monkeypatch)
    with directly.waiting(binary, "held") as (process, _):
        for number, line in enumerate((RETAINED, UNREACHABLE), 1):
            data = json.loads(ask(DirectTarget(of_process(process.pid)), line).output)["data"]
            assert data["maps"] and len(built) == number, line


def test_in_a_core(swiss_go: Row, system_gdb: Gdb, dlv: Dlv, monkeypatch: pytest.MonkeyPatch) -> None:
    """gdb, Delve and gomap without a debugger say the same of one core. While it is open the graph is built once."""
    core = debuggers.make_core(toolchains.build(PROGRAM, swiss_go, optimised=True), "held")
    lines = [why(DROPPED[name]) for name in ("both", "worker")]
    opened, built = of_core(str(core.binary), str(core.path)), counted(monkeypatch)
    direct = [ask(DirectTarget(opened), line) for line in lines]
    assert len(built) == 1
    asked = [debuggers.examine(system_gdb, core, [FOUND, *lines]), delves.examine(dlv, core, lines)]
    for line, outcome in zip(lines, direct):
        answers: list[Any] = [one.at("held", line).json()["data"] for one in asked]
        answers.append(debuggers.Answer("held", line, outcome.output, outcome.error).json()["data"])
        told = [(one["freed"], one["roots"], one["pointers"], one["complete"], one["scanned"]) for one in answers]
        assert told[0] == told[1] == told[2], told
        assert answers[0]["alive"] and answers[0]["complete"], answers[0]["missing"]


def test_stripped(both_layouts: Row, tmp_path: Path) -> None:
    """Without symbols and debug information the same objects and pointers are there, and what is not looked at, queues
    of finalizers among it, is told."""
    built = toolchains.build(PROGRAM, both_layouts, optimised=True)
    bare = tmp_path / built.name
    subprocess.run(["objcopy", "--strip-all", str(built), str(bare)], check=True)
    core = debuggers.make_core(bare, "held")
    maps = core.truth["held"]["notes"]["maps"]
    targets = [DirectTarget(of_core(str(binary), str(core.path))) for binary in (built, bare)]
    for name in ("typed", "both", "large-39", "worker", "object"):
        named, unnamed = (json.loads(ask(target, why(maps[name])).output)["data"] for target in targets)
        seen = [[one["scanned"][what] for what in ("objects", "pointers", "goroutines")] for one in (named, unnamed)]
        assert seen[0] == seen[1]
        told = [(one["freed"], one["roots"], one["pointers"]) for one in (named, unnamed)]
        assert told[0] == told[1], (name, told)
        assert [way["root"] for way in named["ways"]] == [way["root"] for way in unnamed["ways"]]
        assert any(one.startswith("queued finalizers: ") for one in unnamed["missing"]), unnamed["missing"]
        assert (named["complete"], unnamed["complete"]) == (True, False)
