"""Maps in generic functions, and types of one name, against what the program says of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import debuggers, delves, directly, session, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.session import NAMED
from tests.support.toolchains import Row
from tests.support.truths import check_all

STAGE, TOP = "parked", "hmap-top -n 0 --json"
#: The stage of which a core is looked at besides.
DIES = "nodes"
#: gdb's own command for the variable of the function that called stop, by stage, and what the printer makes of it.
PRINT = ["up 3", "print m", "frame 0"]
PRINTED = {
    "nodes": r'= map\[string\]\*main.node with 2 entries = \{(?=.*"nil"\] = nil\b).*"n"\] = &\{next:nil, M:\{',
    "strings": r'= map\[string\]int with 3 entries = \{.*"b"\] = 2\b',
    "bytes": r"= map\[uint8\]bool with 2 entries = \{.*\[1\b.*\] = true\b",
}
#: What debug information adds to the names of types that functions declare: main.T·2.
LOCAL = re.compile(r"(?:·|\\u00b7)\d+")
#: What three keys of three types are.
ALIKE = "hmap-get main.Points main.P{X:1}"
SHAPE = "go.shape."
SHAPED = re.compile(rf'"type": ?"[^"]*{re.escape(SHAPE)}')
#: Stages of optimised builds in functions whose dictionary is not there: the linker drops that of an inlined function
#: that does not need it. And those where a closure keeps it for itself.
INLINED = "inlined"
CLOSURES = ("closure-nodes", "closure-pointers")
#: Their debug information does not say where a closure has its variables.
UNTOLD = ("1.21.13", "1.22.10")


def questions(binary: Path) -> dict[str, list[str]]:
    asked = {stage: session.questions(exprs) for stage, exprs in session.published(binary).items()}
    asked[STAGE] += [TOP, NAMED, ALIKE]
    return asked


def plain(answers: Session) -> Session:
    """The answers with the names of types as the program has them."""
    return replace(answers, answers=tuple(replace(a, output=LOCAL.sub("", a.output)) for a in answers.answers))


def check(answers: Session, binary: Path, row: Row, optimised: bool, kind: str) -> None:
    """Every map that a function published while it had it."""
    untold = [INLINED, *(CLOSURES if row.name < "1.24" else ())] if optimised else []
    told = replace(answers, answers=tuple(a for a in answers.answers if a.stage not in untold))
    check_all(told, binary, optimised, kind)
    assert [a.command for a in told.answers if SHAPED.search(a.output)] == []
    for asked in session.asked(answers, binary):
        if asked.stage in untold:
            data = asked.show.json()["data"]
            assert SHAPE in data["type"] and data["live"] == asked.truth["len"]


def check_parked(answers: Session, closures: bool) -> None:
    """What goroutines and kept closures have. closures: whether what only closures hold is found."""
    top, held = answers.at(STAGE, TOP).json(), answers.truth[STAGE]["unnamed"]
    assert top["anomalies"] == []
    rows = {row["address"]: (row["type"], row["count"]) for row in top["data"]["maps"]}
    wanted = {name: one for name, one in held.items() if closures or name.startswith("park ")}
    assert len(wanted) == (7 if closures else 4)
    assert {name: rows.get(one["address"]) for name, one in wanted.items()} == {
        name: (one["type"], one["len"]) for name, one in wanted.items()
    }
    assert "3 keys of the map are 'main.P{X:1}', of types of one name: use 0x" in str(answers.at(STAGE, ALIKE).error)


def check_named(answers: Session) -> None:
    """Types of one name in interfaces."""
    notes, named = answers.truth[STAGE]["notes"], answers.at(STAGE, NAMED).json()
    assert named["maps"] == notes["maps"]
    assert named["keys"] == {f"{expr} {key}": value for expr, key, value in notes["keys"]}


@pytest.mark.each_kind
def test_in_gdb(toolchain: Row, gdb: Gdb, optimised: bool) -> None:
    binary = toolchains.build("generics", toolchain, optimised)
    asked = questions(binary)
    asked[STAGE].insert(0, f"source {session.EVERY_KEY}")
    for stage in PRINTED:
        asked[stage] += PRINT
    answers = plain(debuggers.visit(gdb, binary, asked))
    for stage, expected in PRINTED.items():
        assert re.search(expected, answers.at(stage, "print m").output), answers.at(stage, "print m")
    check(answers, binary, toolchain, optimised, "live")
    check_parked(answers, closures=not optimised or toolchain.name not in UNTOLD)
    check_named(answers)


@pytest.mark.each_kind
def test_through_delve(toolchain: Row, dlv: Dlv, optimised: bool) -> None:
    binary = toolchains.build("generics", toolchain, optimised)
    answers = plain(delves.visit(dlv, binary, questions(binary), direct=not optimised))
    check(answers, binary, toolchain, optimised, "live")
    check_parked(answers, closures=toolchain.name not in UNTOLD)
    check_named(answers)


def test_through_old_delve(old_go: Row, old_dlv: Dlv, optimised: bool) -> None:
    binary = toolchains.build("generics", old_go, optimised)
    answers = plain(delves.visit(old_dlv, binary, questions(binary)))
    check(answers, binary, old_go, optimised, "live")
    check_parked(answers, closures=False)


def test_in_a_pie(system_go: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """Dictionaries are where the program was put, and not where it was linked."""
    binary = tmp_path / "generics"
    toolchains.compile_("generics", system_go, binary, ("-buildmode=pie",))
    asked = questions(binary)
    asked[STAGE].remove(NAMED)
    in_gdb, through_delve = plain(debuggers.visit(system_gdb, binary, asked)), plain(delves.visit(dlv, binary, asked))
    for answers in (in_gdb, through_delve):
        check(answers, binary, system_go, True, "live")
        check_parked(answers, closures=True)


def test_in_core(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, optimised: bool) -> None:
    binary = toolchains.build("generics", both_layouts, optimised)
    for stage in (DIES, STAGE):
        core = debuggers.make_core(binary, stage)
        notes = core.truth[STAGE]["notes"] if stage == STAGE else {"maps": {}, "keys": []}
        shows = {f"hmap-show {expr} --json": address for expr, address in notes["maps"].items()}
        gets = {f"hmap-get {expr} {key} --json": value for expr, key, value in notes["keys"]}
        asked = [*questions(binary)[stage], *shows, *gets]
        if stage == STAGE:
            asked.remove(NAMED)  # which asks the program as it runs
        in_gdb = plain(debuggers.examine(system_gdb, core, asked))
        through_delve = plain(delves.examine(dlv, core, asked))
        for answers in (in_gdb, through_delve, plain(directly.examine(core, asked))):
            if stage == STAGE:
                check_parked(answers, closures=both_layouts.name not in UNTOLD)
                assert {one: answers.at(stage, one).json()["data"]["address"] for one in shows} == shows
                assert {one: answers.at(stage, one).json()["data"]["value"] for one in gets} == gets
            else:
                check(answers, binary, both_layouts, optimised, "core")
