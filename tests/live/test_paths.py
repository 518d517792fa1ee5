"""What commands print as a path can be typed: it names the same map (every_path.py)."""

from __future__ import annotations

import json

import pytest

from direct.target import DirectTarget, of_core
from gomap import frontend
from gomap.declare import Settings
from gomap.render.text import Style
from tests.support import debuggers, delves, session, toolchains
from tests.support.debuggers import Answer, Gdb
from tests.support.delves import Dlv
from tests.support.every_path import COMMANDS, every_path
from tests.support.toolchains import Row

CLASSIC = "1.23.9"
PASTE = "get-every-key paste"
IN_GDB = [f"source {session.EVERY_KEY}", PASTE]
#: Where main.hide stands, whose variables are called as packages are: below the calls that stop the program, which
#: Delve leaves out.
HIDING = {"gdb": "frame 3", "delve": "frame 1"}
#: From Go 1.23 on debug information says where closures have their variables.
BEFORE_CLOSURES = ("1.21.13", "1.22.10")
#: Programs without maps of interest to this, and why.
ELSEWHERE = {
    "breaks": "has no stages: it is stopped by hmap-break",
    "churn": "never stops",
    "cpointers": "C code",
    "deaths": "dies",
    "foreign": "a module of its own, a server that others wrote",
    "grows": "has no stages: it is traced",
    "hashes": "never stops",
    "paths": "is asked for all its paths",
    "pluginhost": "opens the program `shared`",
    "shared": "C code, a library, a plugin",
    "small": "programs of single tests",
    "truth": "is no program",
    "watched": "never stops",
    "written": "has no stages: it is traced",
}
PROGRAMS = sorted(one.name for one in toolchains.TARGETS.iterdir() if one.is_dir() and one.name not in ELSEWHERE)


def check(answer: Answer) -> dict[str, int]:
    """How many maps there are that no path leads to."""
    assert answer.error is None, answer
    told = answer.json()
    assert "\n".join(told["problems"]) == "", told["number"]
    assert told["typed"] > 10, told
    missing: dict[str, int] = told["missing"]
    return missing


@pytest.mark.each_kind
def test_hard_to_write_in_gdb(toolchain: Row, system_gdb: Gdb) -> None:
    binary = toolchains.build("paths", toolchain, optimised=False)
    missing = check(debuggers.visit(system_gdb, binary, {"held": IN_GDB}).at("held", PASTE))
    assert missing == {"globals": 0, "captured": 0, "locals": 0}


@pytest.mark.each_kind
def test_hard_to_write_through_delve(toolchain: Row, dlv: Dlv) -> None:
    binary = toolchains.build("paths", toolchain, optimised=False)
    missing = check(delves.visit(dlv, binary, {"held": [PASTE]}).at("held", PASTE))
    lost = missing["captured"]
    assert missing == {"globals": lost, "captured": lost, "locals": 0}
    assert lost == 0 or toolchain.name in BEFORE_CLOSURES


def test_hard_to_write_optimised(both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """Where not all variables of functions are kept."""
    binary = toolchains.build("paths", both_layouts, optimised=True)
    for answers in (
        debuggers.visit(system_gdb, binary, {"held": IN_GDB}),
        delves.visit(dlv, binary, {"held": [PASTE]}),
    ):
        missing = check(answers.at("held", PASTE))
        assert (missing["globals"], missing["captured"]) == (0, 0)


def test_hard_to_write_in_every_gdb(swiss_go: Row, newest_gdb: Gdb) -> None:
    binary = toolchains.build("paths", swiss_go, optimised=False)
    missing = check(debuggers.visit(newest_gdb, binary, {"held": IN_GDB}).at("held", PASTE))
    assert missing == {"globals": 0, "captured": 0, "locals": 0}


def test_packages_that_locals_hide(both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """The selected frame has variables called main and unique, with fields called as these packages' variables."""
    binary = toolchains.build("paths", both_layouts, optimised=False)
    hidden = f"{PASTE} hidden"
    check(debuggers.visit(system_gdb, binary, {"held": [HIDING["gdb"], IN_GDB[0], hidden]}).at("held", hidden))
    check(delves.visit(dlv, binary, {"held": [HIDING["delve"], hidden]}).at("held", hidden))


def test_core(both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    core = debuggers.make_core(toolchains.build("paths", both_layouts, optimised=False), "held")
    truth = core.path.with_name(f"{core.path.name}.json")
    truth.write_text(json.dumps(core.truth[core.stage]))
    command = f"{PASTE} in {truth}"
    assert check(debuggers.examine(system_gdb, core, [*IN_GDB[:1], command]).at("held", command))["globals"] == 0
    assert check(delves.examine(dlv, core, [PASTE]).at("held", PASTE))["globals"] == 0
    direct = DirectTarget(of_core(str(core.binary), str(core.path)))

    def ask(line: str) -> tuple[str, str | None]:
        name, _, rest = line.partition(" ")
        outcome = frontend.run(name, rest, lambda: direct, Settings(), Style())
        return outcome.output, outcome.error

    told = every_path(ask, core.truth["held"]["notes"], commands=[one for one in COMMANDS if one != "hmap-race"])
    missing = check(Answer("held", PASTE, json.dumps(told), None))
    assert missing["globals"] == missing["captured"]  # closures are not looked into without a debugger


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program(program: str, both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """Of one layout at the first stage, and optimised, of the other at the last."""
    optimised = both_layouts.name == CLASSIC
    binary = toolchains.build(program, both_layouts, optimised)
    stage = debuggers.stages(binary)[-1 if optimised else 0]
    check(debuggers.visit(system_gdb, binary, {stage: IN_GDB}).at(stage, PASTE))
    check(delves.visit(dlv, binary, {stage: [PASTE]}).at(stage, PASTE))
