"""Stacks, the variables and the slices of goroutines, against what the program publishes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.support import session
from tests.support.debuggers import Answer
from tests.support.holders_told import answered, ways

ALL = "hmap-alias --scope all --all --json"
OWN = "hmap-alias --scope goroutine --all --json"
SLICES = "hmap-alias --scope all --slices --json"
STACKS = "gomap_stacks"
#: What the user has selected is the same before and after.
SELECTED = ("frame", "thread")
HELPERS = f"source {session.HELPERS}"
IN_GDB = (HELPERS, "gomap_watch", "gomap_user_frame", *SELECTED, ALL, OWN, STACKS, "gomap_seen")


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
