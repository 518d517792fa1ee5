"""Every goroutine's frames and what they hold, against the runtime's own traceback and the programs' own words."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Callable

import pytest

from delve_bridge.console import Console
from direct.target import DirectTarget, of_core
from gomap.render.text import Style
from tests.support import debuggers, delves, directly, session, toolchains
from tests.support.debuggers import Answer, Gdb
from tests.support.delves import Dlv
from tests.support.holders_told import answered, ways
from tests.support.stack_list import stack_list
from tests.support.toolchains import Row

Target = Callable[[str], Path]

ALL = "hmap-alias --scope all --all --json"
OWN = "hmap-alias --scope goroutine --all --json"
SLICES = "hmap-alias --scope all --slices --json"
STACKS = "gomap_stacks"
#: What the user has selected is the same before and after.
SELECTED = ("frame", "thread")
HELPERS = f"source {session.HELPERS}"
IN_GDB = (HELPERS, "gomap_watch", "gomap_user_frame", *SELECTED, ALL, OWN, STACKS, "gomap_seen")


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


def check_holders(
    answer: Answer, truth: Mapping[str, Any], optimised: bool, lost: Collection[int] | None = None
) -> None:
    """lost: goroutines whose frame of main.spinning the debugger itself does not see. None where it sees all."""
    data = answered(answer)
    warned = {int(a["message"].split(":")[0].split()[1]) for a in answer.json()["anomalies"] if a["code"] == "stack"}
    assert set(lost or ()) <= warned <= (set() if lost is None else runners(truth))
    held = {}
    for address, way in ways(data):
        held[way["goroutine"], way["function"], way["path"].split(".(map[")[0]] = address
    problems, seen = [], 0
    for label, facts in truth["unnamed"].items():
        if not label.startswith("goroutine"):
            continue
        _, goid, function, variable = label.split()
        said = held.get((int(goid), function, variable))
        if said is None and function == "main.spinning" and int(goid) in warned:
            continue
        if said is None and not optimised:
            problems.append(f"{label} is not told")
        elif said is not None and said != facts["address"]:
            problems.append(f"{label} is {facts['address']}, and told as {said}")
        seen += said is not None
    assert not problems, "\n".join(problems[:20])
    # Optimised builds keep some of the variables, and each goroutine's own map in at least one.
    assert seen >= 25
    created = {goid: made for goid, (_, _, made) in traceback(truth["notes"]["stacks"]).items()}
    for one in data["goroutines"]:
        made = one["created_by"] and (one["created_by"]["function"], one["created_by"]["line"])
        assert made == created.get(one["id"], made), (one, created)
    assert {1, *map(int, re.findall(r"goroutine (\d+) main.inChannel", " ".join(truth["unnamed"])))} <= {
        one["id"] for one in data["goroutines"]
    }
    synced = {label: facts for label, facts in truth["unnamed"].items() if label.startswith("main.Synced")}
    assert len(synced) == 2
    for label, facts in synced.items():
        told = {re.sub(r"\.\([^)]*\)", "", way["path"]) for address, way in ways(data) if address == facts["address"]}
        assert label in told, (label, told)
    shared = truth["maps"]["main.Shared"]["address"]
    assert any(address == shared and way["kind"] == "global" for address, way in ways(data))
    in_text = set(re.findall(r"^goroutine (\d+) \[", truth["notes"]["stacks"], re.MULTILINE))
    assert data["scanned"]["goroutines"] >= len(in_text)


def runners(truth: Mapping[str, Any]) -> set[int]:
    """Goroutines that a signal may have interrupted anywhere, main.spinning and main.unstarted: Delve skips calls of
    such, and gomap says so. All others wait before these are made."""
    states = {goid: state for goid, (state, _, _) in traceback(truth["notes"]["stacks"]).items()}
    found = {goid for goid, state in states.items() if state in ("running", "runnable") and goid != 1}
    assert len(found) == 2, states
    return found


def check_own(own: Answer, everything: Answer) -> None:
    """The selected goroutine's part of the whole."""
    data = answered(own)
    mine = {(address, way["path"]) for address, way in ways(data) if way["goroutine"] == 1}
    whole = {(address, way["path"]) for address, way in ways(answered(everything)) if way["goroutine"] == 1}
    assert mine and mine == whole
    assert data["scanned"]["goroutines"] == 1
    assert {way["goroutine"] for _, way in ways(data)} <= {1, None}


# -- stacks ------------------------------------------------------------------------------------------


def traceback(text: str) -> dict[int, tuple[str, list[tuple[str, int]], tuple[str, int] | None]]:
    """The runtime's traceback: goroutine -> (state, frames as (function, line), what made it)."""
    found = {}
    for block in text.strip().split("\n\n"):
        head, *lines = block.splitlines()
        match = re.match(r"goroutine (\d+) \[([^\],]*)", head)
        assert match, head
        frames: list[tuple[str, int]] = []
        created = None
        for call, place in zip(lines[::2], lines[1::2]):
            line = int(re.findall(r":(\d+)", place)[-1])
            if call.startswith("created by "):
                created = (call[len("created by ") :].split(" in goroutine")[0], line)
            else:
                frames.append((call[: call.rindex("(")], line))
        found[int(match.group(1))] = (match.group(2), frames, created)
    return found


def of_program(frames: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The frames that a traceback shows: neither the runtime's own nor wrappers that the compiler made."""
    return [(f, line) for f, line in frames if not f.startswith("runtime.") and ".gowrap" not in f]


def of_runtime(one: dict[str, Any]) -> bool:
    """isSystemGoroutine of runtime/traceback.go: by the function that it was started with."""
    functions: list[str] = [function for function, _ in one["frames"] if function != "runtime.goexit"]
    return functions[-1].startswith("runtime.") and functions[-1] != "runtime.main"


def check_stacks(told: list[dict[str, Any]], truth: Mapping[str, Any], lost: Collection[int] | None = None) -> None:
    """lost: as for check_holders."""
    wanted = traceback(truth["notes"]["stacks"])
    ours = {one["id"]: one for one in told}
    assert len(ours) == len(told)
    problems = []
    for goid, (state, frames, created) in wanted.items():
        one = ours.get(goid)
        if one is None or (one["problem"] and (lost is None or goid not in runners(truth))):
            problems.append(f"goroutine {goid}: {one}")
            continue
        mine, theirs = of_program([tuple(f) for f in one["frames"]]), of_program(frames)
        if theirs and mine and mine[-1][0] != theirs[-1][0] and re.search(r"\.func\d+$", mine[-1][0]):
            mine = mine[:-1]  # a wrapper of a go statement: up to Go 1.21 it has a name like any closure's
        moving = state in ("running", "runnable") or goid == 1
        if one["problem"] or goid in (lost or ()):
            same = bool(one["problem"])
        elif moving:  # it has gone on since
            same = not theirs or [theirs[-1][0]] == [function for function, _ in mine[-1:]]
        elif state == "syscall":  # Delve starts where the thread is, and the traceback where the call was entered
            names = [function for function, _ in theirs]
            same = [function for function, _ in mine][-len(names) :] == names and one["status"] == state
        else:
            same = mine == theirs and one["status"] == state
        if not same:
            problems.append(f"goroutine {goid} [{state}] {theirs}\n  told as [{one['status']}] {mine}")
        if created is not None and tuple(one["created"] or ()) != created:
            problems.append(f"goroutine {goid} was made by {created}, and told as {one['created']}")
    assert not problems, "\n".join(problems[:12])
    # The runtime's own goroutines are in no traceback; those that are dead are nowhere.
    assert {goid for goid, one in ours.items() if goid in wanted or not of_runtime(one)} == set(wanted)
    assert any(len(frames) > 7 for _, frames, _ in wanted.values())


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
    found = delves.visit(dlv, toolchains.build("slices", both_layouts, optimised=False), {"shared": [SLICES]})
    check_slices(found.at("shared", SLICES), found.truth["shared"]["notes"]["slices"], optimised=False)


#: Slices that have their array to themselves where the locals are gone, or are one variable with another's path.
ALONE = {
    "main.Kept.Lists[0]": "lists[0]",
    "main.Kept.Lists[1]": "lists[1]",
    "main.Kept.Lists[2]": "lists[2]",
    "lists[0]": "main.Kept.Lists[0]",
    "lists[1]": "main.Kept.Lists[1]",
    "lists[2]": "main.Kept.Lists[2]",
    "lists": "main.Kept.Lists",
    "main.Kept.Lists": "lists",
    'byKey["one"]': 'main.Kept.ByKey["one"]',
    'main.Kept.ByKey["one"]': 'byKey["one"]',
}
#: In words.
SIZES = {"main.Line": 3, "int": 1, "[]int": 3}


def check_slices(answer: Answer, truth: Mapping[str, Any], optimised: bool) -> None:
    arrays, word = answered(answer)["slices"], answer.json()["target"]["pointer_size"]
    told = {}
    for array in arrays:
        for holder in array["holders"]:
            start = int(array["address"], 16) + holder["from"] * array["elem_size"]
            length = holder["to"] - holder["from"]
            told[holder["path"]] = (hex(start), length, holder["capacity_to"] - holder["from"], array["address"])
            if array["elem"].startswith(("main.", "int", "[]int")):  # others are of packages that come along
                assert array["elem_size"] == SIZES[array["elem"]] * word
    problems = []
    for path, fact in truth.items():
        if path in told:
            if told[path][:3] != (fact["address"], fact["length"], fact["room"]):
                problems.append(f"{path} is {fact}, and told as {told[path]}")
        elif path in ALONE:
            assert optimised or ALONE[path] in told
        elif path.startswith("main.") or not optimised:
            problems.append(f"{path} is not told")
    assert not problems, "\n".join(problems)
    one_array = {told[path][3] for path in ("main.Kept.First.Lines", "main.Kept.Second.Lines", "main.Kept.Tail")}
    assert len(one_array) == 1
    lists = {told[path][3] for path in told if path.endswith(("ists[0]", "ists[1]", "ists[2]"))}
    assert len(lists) == 1 and lists != one_array
    # The copy has an array of its own; what else has that array is its other variable.
    assert all(path.endswith(("own", "Own")) for path, t in told.items() if t[3] == told["main.Kept.Own"][3])
