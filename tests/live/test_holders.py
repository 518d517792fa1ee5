"""Who else holds a map, and what addresses, types and names of other goroutines mean: go_targets/holders says it. Every
row that hmap-top prints can be typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from delve_bridge.console import Console
from gomap.render.text import Style
from tests.support import debuggers, delves, directly, session, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.toolchains import Row

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


@pytest.mark.each_kind
def test_in_gdb(toolchain: Row, system_gdb: Gdb) -> None:
    in_gdb(system_gdb, toolchain, optimised=False)


@pytest.mark.each_kind
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
    check(directly.examine(core, [command]))


@pytest.mark.parametrize("kind", ["live", "core"])
def test_goroutine_selected_in_delve(kind: str, both_layouts: Row, dlv: Dlv, tmp_path: Path) -> None:
    """`goroutine N` as `--goroutine N`, and both beside each other."""
    binary, published = toolchains.build("holders", both_layouts, optimised=False), tmp_path / "truth"
    core = debuggers.make_core(binary, "held") if kind == "core" else None
    arguments = ["exec", str(binary)] if core is None else ["core", str(binary), str(core.path)]
    with delves.bridge(dlv, arguments, truth=published) as bridge:
        console = Console(bridge, Style())
        if core is None:
            delves.run_to_first_stop(bridge)
        truth = debuggers._published(published) if core is None else core.truth
        workers = truth["held"]["notes"]["goroutines"]

        def address(line: str) -> str:
            outcome = console.execute(f"hmap-show {line} --json")
            return outcome.error or str(json.loads(outcome.output)["data"]["address"])

        for number, variables in workers.items():
            assert console.execute(f"goroutine {number}").error is None
            assert address("own") == variables["own"]
            for other, theirs in workers.items():
                assert address(f"own --goroutine {other}") == theirs["own"]
        assert address("own") == variables["own"]
        assert "no variable 'own' in the frames of goroutine 1" in address("own --goroutine 1")
        assert "no goroutine 987654: the program has" in address("own --goroutine 987654")


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
