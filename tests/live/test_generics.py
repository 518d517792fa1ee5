"""Maps in generic functions, and types of one name, against what the program says of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.live import debuggers, delves, session, toolchains
from tests.live.debuggers import Answer, Gdb, Session
from tests.live.delves import Dlv
from tests.live.test_exprs import NAMED
from tests.live.test_truth import check_all
from tests.live.toolchains import Row

STAGE, TOP = "parked", "hmap-top -n 0 --json"
#: The stage in an inlined function of an optimised build, which needs no dictionary: the linker drops it.
INLINED = "inlined"
#: What debug information adds to the names of types that functions declare: main.T·2.
LOCAL = re.compile(r"(?:·|\\u00b7)\d+")
#: What three keys of three types are.
ALIKE = "hmap-get main.Points main.P{X:1}"
SHAPE = "go.shape."
SHAPED = re.compile(rf'"type": ?"[^"]*{re.escape(SHAPE)}')


def questions(binary: Path) -> dict[str, list[str]]:
    asked = {stage: session.questions(exprs) for stage, exprs in session.published(binary).items()}
    asked[STAGE] += [TOP, NAMED, ALIKE]
    return asked


def check(answers: Session, binary: Path, optimised: bool, kind: str, closures: bool) -> None:
    """closures: whether what only closures hold is found."""
    bare = replace(answers, answers=tuple(replace(a, output=_plain(a, optimised)) for a in answers.answers))
    check_all(bare, binary, optimised, kind)
    top, held = bare.at(STAGE, TOP).json(), bare.truth[STAGE]["unnamed"]
    assert top["anomalies"] == []
    rows = {row["address"]: (row["type"], row["count"]) for row in top["data"]["maps"]}
    wanted = {name: one for name, one in held.items() if closures or name.startswith("park ")}
    assert len(wanted) == (7 if closures else 4)
    assert {name: rows.get(one["address"]) for name, one in wanted.items()} == {
        name: (one["type"], one["len"]) for name, one in wanted.items()
    }
    notes, named = bare.truth[STAGE]["notes"], bare.at(STAGE, NAMED).json()
    assert named["maps"] == notes["maps"]
    assert named["keys"] == {f"{expr} {key}": value for expr, key, value in notes["keys"]}
    assert "3 keys of the map are 'main.P{X:1}', of types of one name: use 0x" in str(bare.at(STAGE, ALIKE).error)
    assert [a.command for a in bare.answers if SHAPED.search(a.output)] == []


def _plain(answer: Answer, optimised: bool) -> str:
    text = LOCAL.sub("", answer.output)
    return text.replace(SHAPE, "") if optimised and answer.stage == INLINED else text


def asks(questions: Sequence[str], source: bool) -> list[str]:
    """source: whether gdb has to be given the commands that are the tests' own."""
    return [f"source {session.EVERY_KEY}", *questions] if source else list(questions)


def test_in_gdb(toolchain: Row, gdb: Gdb, optimised: bool) -> None:
    binary = toolchains.build("generics", toolchain, optimised)
    asked = questions(binary)
    asked[STAGE] = asks(asked[STAGE], True)
    check(debuggers.visit(gdb, binary, asked), binary, optimised, "live", closures=not optimised)


def test_through_delve(toolchain: Row, dlv: Dlv, optimised: bool) -> None:
    binary = toolchains.build("generics", toolchain, optimised)
    old = toolchain.name in ("1.21.13", "1.22.10")  # their debug information does not say where a closure has variables
    answers = delves.visit(dlv, binary, questions(binary), direct=not optimised)
    check(answers, binary, optimised, "live", closures=not old)


def test_through_old_delve(old_go: Row, old_dlv: Dlv, optimised: bool) -> None:
    binary = toolchains.build("generics", old_go, optimised)
    check(delves.visit(old_dlv, binary, questions(binary)), binary, optimised, "live", closures=False)


def test_in_core(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, optimised: bool) -> None:
    binary = toolchains.build("generics", both_layouts, optimised)
    core = debuggers.make_core(binary, STAGE)
    asked = questions(binary)[STAGE]
    check(debuggers.examine(system_gdb, core, asks(asked, True)), binary, optimised, "core", closures=not optimised)
    check(delves.examine(dlv, core, asked), binary, optimised, "core", closures=not both_layouts.name < "1.23")
