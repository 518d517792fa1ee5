"""A server that others wrote (NATS, pinned in go_targets/foreign/go.mod), optimised, with over a hundred goroutines:
gomap's answers against what the program says of itself through an imported package (go_targets/foreign/own).

It has two counts of its maps. One is of headers on the heap, by its memory profile, in which every allocation is
sampled; the other is a walk by reflect from the server's own value, with each map's address, type and length. Then it
makes the changes that were asked about, and measures them by runtime.MemStats.
"""

from __future__ import annotations

import functools
import re
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support import debuggers, delves, directly, matrix, schema, session, toolchains
from tests.support.debuggers import Core, Gdb, Session
from tests.support.delves import CENSUS, Dlv
from tests.support.toolchains import Row

STAGE = "loaded"
#: gdb's Python finds numpy and scipy where the test tools are, which are of the same version of Python.
FOUND = f"python import sys; sys.path.append({sysconfig.get_path('purelib')!r}); import scipy"
TOP, CHECK = "hmap-top -n 0 --json", "hmap-check --all --json"
LINES = "hmap-top --origin -n 0 --json"
ADVICE = "hmap-advise -n 0 --min 1 --json"
CACHE, CLIENTS = "main.Server.gacc.sl.cache", "main.Server.gacc.clients"
NODES = 'main.Server.gacc.sl.root.nodes["things"].next.nodes'
FIRST = "main.Server.clients[1].subs"
#: By expression and by an address that keeps nothing alive.
WHY = {"cache": (CACHE, "main.At.Cache"), "clients": (CLIENTS, "main.At.Clients")}
ORIGIN = f"hmap-origin {FIRST} --json"
WHYS = {one: f"hmap-why {one} --json" for both in WHY.values() for one in both}
ASKED = [CENSUS, TOP, *WHYS.values(), ORIGIN, LINES, ADVICE]
#: What is changed: kind of advice, path and type of the maps.
CHANGES = {
    "rebuild": (NODES, None),
    "presize": (CACHE, None),
    "tiny-maps": (None, "map[*server.subscription]struct {}"),
}
#: Files of the server whose lines fill maps while it is loaded, and later no more.
FILLS = re.compile(r"/nats-server/.*/(client|sublist)\.go$")


@pytest.fixture
def binary(request: pytest.FixtureRequest, swiss_go: Row, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GODEBUG", "memprofilerate=1")
    with matrix.needed(request.config):
        return toolchains.build_foreign(swiss_go)


@functools.cache
def in_gdb(gdb: Gdb, binary: Path) -> tuple[Session, Core]:
    """The answers about the process, and a core of it: what it does afterwards is the truth about both."""
    path = Path(tempfile.mkdtemp(dir=debuggers.scratch())) / "core"
    plan = [f"source {session.HELPERS}", FOUND, *ASKED, CHECK, f"gcore {path}"]
    asked = debuggers.visit(gdb, binary, {STAGE: plan})
    return asked, Core(path, binary, STAGE, asked.truth)


def told(asked: Session, line: str) -> Any:
    answer = asked.at(STAGE, line)
    assert answer.error is None, (line, answer.error)
    found = answer.json()
    name = line.partition(" ")[0]
    assert name == CENSUS or not schema.faults(found, schema.answer(name)), line
    return found if name == CENSUS else found["data"]


def short(name: str | None) -> str | None:
    """A type as reflect writes it: with the last part of each package's path."""
    return None if name is None else re.sub(r"(?:[\w.~-]+/)+", "", name)


def check(asked: Session) -> None:
    notes = asked.truth["changed"]["notes"]
    assert notes["goroutines"] > 100
    check_maps(asked, notes)
    check_why(asked, notes["freed"])
    check_origin(asked, notes)
    check_advice(asked, notes["saved"])


def check_maps(asked: Session, notes: Any) -> None:
    """No map is missing and none is false."""
    census = told(asked, CENSUS)
    assert census["lost"] == 0
    headers = {address for address, _, _, on_stack in census["maps"] if not on_stack}
    assert len(headers) == notes["headers"]
    top, walked = told(asked, TOP), {one["Address"]: one for one in notes["maps"]}
    rows = {one["address"]: one for one in top["maps"]}
    assert len(rows) == len(top["maps"]) and len(walked) > 600
    assert walked.keys() <= headers
    maps = {address: one for address, one in rows.items() if address in headers}
    ranked = {a: (short(one["type"]), one["count"]) for a, one in maps.items() if a in walked}
    wanted = {a: (one["Type"], one["Len"]) for a, one in walked.items()}
    nothing_yet = {a for a, one in wanted.items() if a not in ranked and not one[1]}
    assert ranked == {a: one for a, one in wanted.items() if a not in nothing_yet}
    others = {one["type"] for a, one in rows.items() if a not in headers and one["kind"] != "stack"}
    assert all(re.match(r"sync\.Map$|.*HashTrieMap|unique\.", name) for name in others), others
    # The runtime's own maps, and those inside of sync.Maps, are not ranked.
    assert len(headers) - len(maps) - top["heap"]["empty"] <= 10
    assert top["heap"]["complete"] and top["scanned"]["goroutines"] >= notes["goroutines"]


def check_why(asked: Session, freed: Any) -> None:
    for name, exprs in WHY.items():
        least, most = freed[name]
        for expr in exprs:
            data = told(asked, WHYS[expr])
            assert data["complete"], data["missing"]
            assert least <= data["freed"]["bytes"] <= most and data["freed"]["bytes"] > 0, (expr, data["freed"], freed)
            assert data["alive"] and data["pointers"] == 1 and data["cut_frees"] == data["freed"]["bytes"]
            ways = {way["root"]: way["expr"] for way in data["ways"]}
            assert ways["data"] == exprs[0] and "stack" in ways, ways


def lines_of(origins: Any) -> Counter[tuple[str, int]]:
    found: Counter[tuple[str, int]] = Counter()
    for one in origins:
        call = one["location"]
        if call is not None and call["file"] is not None:
            found[call["file"], call["line"]] += one["bytes"]
    return found


def check_origin(asked: Session, notes: Any) -> None:
    """Lines of one client's map, from when there was one client; and of all maps, by line."""
    own = {(one["File"], one["Line"]): one["Bytes"] for one in notes["first"]}
    data = told(asked, ORIGIN)
    found = lines_of(data["origins"])
    assert sum(found.values()) == data["bytes"]["allocated"] == data["estimated"]["bytes"]
    assert found == {line: own[line] for line in found} and len(found) == 2
    every = {(one["File"], one["Line"]): one["Bytes"] for one in notes["lines"] if FILLS.search(one["File"])}
    assert {line: n for line, n in lines_of(told(asked, LINES)["lines"]).items() if FILLS.search(line[0])} == every
    assert len(every) > 10


def check_advice(asked: Session, saved: Any) -> None:
    advice = told(asked, ADVICE)["advice"]
    for kind, (path, type_) in CHANGES.items():
        (one,) = (o for o in advice if (o["kind"], o["path"]) == (kind, path) and type_ in (None, short(o["type"])))
        least, most = saved[kind]
        saves = one["saves"]["allocated" if kind == "presize" else "held"]
        assert least - one["within"] <= saves <= most + one["within"], (kind, saves, one["within"], saved[kind])
        assert one["within"] == 0 or kind == "tiny-maps"


def test_in_gdb(binary: Path, system_gdb: Gdb) -> None:
    asked, _ = in_gdb(system_gdb, binary)
    check(asked)
    checked = told(asked, CHECK)
    assert {one["verdict"] for one in checked["maps"]} == {"intact"}
    entries = {one["address"]: one["entries"] for one in checked["maps"]}
    assert entries == {one["address"]: one["count"] for one in told(asked, TOP)["maps"]}


def test_over_delve(binary: Path, dlv: Dlv) -> None:
    check(delves.visit(dlv, binary, {STAGE: ASKED}))


def test_in_a_core(binary: Path, system_gdb: Gdb, dlv: Dlv) -> None:
    """In gdb, in Delve, and with no debugger."""
    _, core = in_gdb(system_gdb, binary)
    check(debuggers.examine(system_gdb, core, [f"source {session.HELPERS}", FOUND, *ASKED]))
    check(delves.examine(dlv, core, ASKED))
    alone = directly.examine(core, [*WHYS.values(), ORIGIN, LINES])
    check_why(alone, core.truth["changed"]["notes"]["freed"])
    check_origin(alone, core.truth["changed"]["notes"])
    core.path.unlink()
