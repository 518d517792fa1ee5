"""Every goroutine's frames and what they hold, against the runtime's own traceback and the programs' own words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import pytest

from delve_bridge.console import Console
from direct.target import DirectTarget, of_core
from gomap.render.text import Style
from tests.support import debuggers, delves, directly, toolchains
from tests.support.debuggers import Gdb
from tests.support.delves import Dlv
from tests.support.holders_told import answered, ways
from tests.support.stack_list import stack_list
from tests.support.stacks import (
    ALL,
    HELPERS,
    IN_GDB,
    OWN,
    SLICES,
    STACKS,
    check_holders,
    check_own,
    check_slices,
    check_stacks,
)
from tests.support.toolchains import Row

Target = Callable[[str], Path]


@pytest.mark.each_kind
def test_live(target: Target, gdb: Gdb, optimised: bool) -> None:
    found = debuggers.visit(gdb, target("goroutines"), {"all": [*IN_GDB, "info frame", "bt 3"]})
    check_in_gdb(found, optimised)


@pytest.mark.each_kind
def test_core(target: Target, system_gdb: Gdb, optimised: bool) -> None:
    core = debuggers.make_core(target("goroutines"), "all")
    check_in_gdb(debuggers.examine(system_gdb, core, IN_GDB), optimised)
    found = directly.examine(core, [ALL, OWN])
    check_holders(found.at("all", ALL), core.truth["all"], optimised)
    check_own(found.at("all", OWN), found.at("all", ALL))
    check_stacks(stack_list(DirectTarget(of_core(str(core.binary), str(core.path)))), core.truth["all"])


def check_in_gdb(found: debuggers.Session, optimised: bool) -> None:
    truth = found.truth["all"]
    check_holders(found.at("all", ALL), truth, optimised)
    check_own(found.at("all", OWN), found.at("all", ALL))
    stacks = json.loads(found.at("all", STACKS).output)
    check_stacks(stacks, truth)
    assert answered(found.at("all", ALL))["scanned"]["goroutines"] == len(stacks)
    assert json.loads(found.at("all", "gomap_seen").output) == []


@pytest.mark.each_kind
@pytest.mark.parametrize("kind", ["live", "core"])
def test_selection_stays(kind: str, target: Target, system_gdb: Gdb) -> None:
    """The thread and frame that the user has selected, in a program whose goroutines were all unwound."""
    binary = target("goroutines")
    asked = [HELPERS, "gomap_user_frame", "up", "thread", "frame", ALL]
    again = [*asked, "python gdb.execute('thread')", "python gdb.execute('frame')"]
    if kind == "live":
        answers = debuggers.visit(system_gdb, binary, {"all": again})
    else:
        answers = debuggers.examine(system_gdb, debuggers.make_core(binary, "all"), again)
    assert answers.at("all", again[-2]).output == answers.at("all", "thread").output
    assert answers.at("all", again[-1]).output == answers.at("all", "frame").output
    assert "main.main" in answers.at("all", "frame").output


#: Stacks of a goroutine of the runtime's, and of one that holds a map.
ASTRAY = {
    ("sp", "runtime.forcegchelper"): "beyond runtime.gopark",
    ("sp", "main.inMutex"): "beyond runtime.gopark",
    ("pc", "main.inMutex"): "its saved pc 0x1234 is in no function",
}


def test_a_stack_that_leads_nowhere(system_go: Row, system_gdb: Gdb) -> None:
    """It costs one anomaly, and what this goroutine holds; every other is as before."""
    asked = {case: f"gomap_as_if {' '.join(case)} {ALL}" for case in ASTRAY}
    binary = toolchains.build("goroutines", system_go, optimised=False)
    found = debuggers.visit(system_gdb, binary, {"all": [HELPERS, STACKS, ALL, *asked.values()]})
    whole = found.at("all", ALL)
    wanted = {held_by(address, way) for address, way in ways(answered(whole))}
    stacks = [(one["id"], frame[0]) for one in json.loads(found.at("all", STACKS).output) for frame in one["frames"]]
    for (register, function), told in ASTRAY.items():
        answer = found.at("all", asked[register, function])
        (problem,) = (one for one in answer.json()["anomalies"] if one not in whole.json()["anomalies"])
        assert (problem["severity"], problem["code"]) == ("warning", "stack")
        (who,) = {goid for goid, each in stacks if each == function}
        assert problem["message"].startswith(f"goroutine {who}: ") and problem["message"].endswith(told), problem
        held = {held_by(address, way) for address, way in ways(answered(answer))}
        assert {one for one in wanted ^ held if one[0] != who} == set()
        assert register != "sp" or not any(one[0] == who for one in held)


def held_by(address: str, way: Mapping[str, Any]) -> tuple[int | None, str | None, str, str]:
    return way["goroutine"], way["function"], way["path"], address


@pytest.mark.each_kind
def test_delve(target: Target, dlv: Dlv, optimised: bool, tmp_path: Path) -> None:
    published = tmp_path / "truth"
    with delves.bridge(dlv, ["exec", str(target("goroutines"))], not optimised, published) as bridge:
        delves.run_to_first_stop(bridge)
        every, own = delves._ask(Console(bridge, Style()), "all", [ALL, OWN], {})
        assert bridge.direct is not optimised
        lost = delves.lost(bridge, "main.spinning")
    check_holders(every, debuggers._published(published)["all"], optimised, lost)
    check_own(own, every)


def test_delve_core(target: Target, dlv: Dlv, optimised: bool) -> None:
    core = debuggers.make_core(target("goroutines"), "all")
    with delves.bridge(dlv, ["core", str(core.binary), str(core.path)], direct=optimised) as bridge:
        stacks = stack_list(bridge.target())
        lost = delves.lost(bridge, "main.spinning")
    check_stacks(stacks, core.truth["all"], lost)
    found = delves.examine(dlv, core, [ALL], direct=optimised)
    check_holders(found.at("all", ALL), core.truth["all"], optimised, lost)


# -- who holds what ----------------------------------------------------------------------------------


# -- stacks ------------------------------------------------------------------------------------------


# -- slices that share an array ----------------------------------------------------------------------


@pytest.mark.each_kind
def test_slices(target: Target, system_gdb: Gdb, dlv: Dlv, optimised: bool) -> None:
    binary = target("slices")
    core = debuggers.make_core(binary, "shared")
    for found in (
        debuggers.visit(system_gdb, binary, {"shared": [SLICES]}),
        debuggers.examine(system_gdb, core, [SLICES]),
        delves.examine(dlv, core, [SLICES], direct=optimised),
    ):
        check_slices(found.at("shared", SLICES), found.truth["shared"]["notes"]["slices"], optimised)


def test_slices_in_a_live_program_over_delve(both_layouts: Row, dlv: Dlv) -> None:
    first = "hmap-alias --scope all --slices -n 1"
    found = delves.visit(dlv, toolchains.build("slices", both_layouts, optimised=False), {"shared": [SLICES, first]})
    check_slices(found.at("shared", SLICES), found.truth["shared"]["notes"]["slices"], optimised=False)
    number = len(found.at("shared", SLICES).json()["data"]["slices"])
    text = found.at("shared", first).output
    assert number > 2 and len(re.findall(r"^\[", text, re.M)) == 1, text
    assert f"{number - 1} more arrays: -n 0 shows all" in text
