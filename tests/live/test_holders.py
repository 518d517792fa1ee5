"""Who else holds a map, and what addresses, types and names of other goroutines mean: go_targets/holders says it. Every
row that hmap-top prints can be typed."""

from __future__ import annotations

import json

import pytest

from tests.live import debuggers, delves, session, toolchains
from tests.live.debuggers import Gdb, Session
from tests.live.delves import Dlv
from tests.live.toolchains import Row

ROWS = "get-every-key rows"
#: Programs whose rows are typed, with rows that there are at least. In holders packages have one name.
TYPED = {"exprs": 60, "goroutines": 35, "process": 5300, "types": 500}


def asked(optimised: bool) -> str:
    return f"get-every-key holders{' optimised' if optimised else ''}"


def check(answers: Session) -> None:
    given = [answer for answer in answers.answers if answer.command.startswith("get-every-key")]
    assert given
    for answer in given:
        assert answer.error is None, answer
        assert "\n".join(answer.json()["problems"]) == "", answer.command
        if answer.command != ROWS:
            assert answer.json()["answers"] > 40


def in_gdb(gdb: Gdb, row: Row, optimised: bool) -> None:
    binary = toolchains.build("holders", row, optimised)
    check(debuggers.visit(gdb, binary, {"held": [f"source {session.EVERY_KEY}", asked(optimised), ROWS]}))


def through_delve(dlv: Dlv, row: Row, optimised: bool) -> None:
    check(delves.visit(dlv, toolchains.build("holders", row, optimised), {"held": [asked(optimised), ROWS]}))


def test_in_gdb(toolchain: Row, system_gdb: Gdb) -> None:
    in_gdb(system_gdb, toolchain, optimised=False)


def test_through_delve(toolchain: Row, dlv: Dlv) -> None:
    through_delve(dlv, toolchain, optimised=False)


def test_optimised(both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    in_gdb(system_gdb, both_layouts, optimised=True)
    through_delve(dlv, both_layouts, optimised=True)


def test_in_every_gdb(swiss_go: Row, gdb: Gdb) -> None:
    in_gdb(gdb, swiss_go, optimised=False)


def test_core(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, optimised: bool) -> None:
    core = debuggers.make_core(toolchains.build("holders", both_layouts, optimised), "held")
    # gdb has no environment here that names the file of the truth.
    truth = core.path.with_name(f"{core.path.name}.json")
    truth.write_text(json.dumps(core.truth[core.stage]))
    command = asked(optimised)
    check(debuggers.examine(system_gdb, core, [f"source {session.EVERY_KEY}", f"{command} in {truth}"]))
    check(delves.examine(dlv, core, [command]))


@pytest.mark.parametrize("program", TYPED)
def test_rows(program: str, both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    binary = toolchains.build(program, both_layouts, optimised=False)
    (stage, *_) = debuggers.stages(binary)
    for answers in (
        debuggers.visit(system_gdb, binary, {stage: [f"source {session.EVERY_KEY}", ROWS]}),
        delves.visit(dlv, binary, {stage: [ROWS]}),
    ):
        told = answers.at(stage, ROWS)
        assert told.error is None, told
        assert told.json()["problems"] == []
        assert told.json()["rows"] > TYPED[program] and told.json()["bare"] >= 3
