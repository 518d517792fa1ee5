"""The maps of the heap that no variable leads to, against a program's own list of all that it has made, and against the
runtime's own list of objects (debug.WriteHeapDump)."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from tests.support import debuggers, delves, schema, session, toolchains
from tests.support.census_rows import check_rows
from tests.support.debuggers import Answer, Gdb, Session
from tests.support.delves import Dlv
from tests.support.toolchains import Row

PROGRAM = "census"
HELPERS = f"source {session.HELPERS}"
CENSUS = "gomap_census"
ALL = "hmap-top -n 0 --json"
FEW = "hmap-top --by entries -n 5 --json"
TEXT = "hmap-top -n 1"
CHECK = "hmap-check --all --json"
BACK, UNNAMED = "gomap_typed_back 40", "gomap_unnamed"
HOLDERS = "hmap-alias --scope all --all --json"
BY_TYPE, BY_SIZE = "hmap-top --group type -n 0 --json", "hmap-top --group size -n 0 --json"
STAGES = ("made", "collected", "sweeping")
#: Maps of the standard library and of what publishes the truth.
MOST_OTHERS = 100
#: Of the maps that the program drops, those that the collector may take for alive, and those whose place is used again.
STRAYS = 20
ASKED = [HELPERS, CENSUS, ALL]


def check_headers(answer: Answer, notes: Any, stage: str) -> dict[str, tuple[int, bool]]:
    """Every header is found that the program has made, and no other object."""
    assert answer.error is None, answer.error
    told = json.loads(answer.output)
    assert told["lost"] == 0
    found = {address: (count, has_array) for address, count, has_array, _ in told["maps"]}
    assert len(found) == len(told["maps"])
    kept = {address: count for address, _, count in notes["kept"]}
    assert {address: found.get(address, (None,))[0] for address in kept} == kept
    stacked = {address: count for address, count, _, on_stack in told["maps"] if on_stack}
    assert sorted(stacked.values()) == sorted(notes["stacked"])
    assert not [address for address, _, _ in notes["lookalikes"] if address in found]
    dropped = {address: count for address, _, count in notes["dropped"] if address not in kept}
    left = {address: found[address][0] for address in dropped if address in found}
    if stage == "made":
        assert left == dropped
    else:
        assert len(left) <= STRAYS, len(left)
    others = set(found) - set(kept) - set(dropped) - set(stacked)
    assert len(others) <= MOST_OTHERS, len(others)
    if stage != "sweeping":
        assert len(told["dumped"]) >= len(kept)
        assert not set(found) - set(stacked) - set(told["dumped"])
    return found


def check(asked: Session, stage: str) -> Any:
    notes = asked.truth[stage]["notes"]
    found = check_headers(asked.at(stage, CENSUS), notes, stage)
    data = check_rows(asked.at(stage, ALL), notes)
    rows = {one["address"] for one in data["maps"]}
    with_array = {address for address, (_, has_array) in found.items() if has_array}
    doubtful = {address for address, _, _ in notes["miscounted"]}
    assert {one["address"] for one in data["maps"] if one["kind"] in ("heap", "stack")} <= with_array | doubtful
    # The runtime's own, and the maps inside of sync.Maps, are not ranked.
    assert len(with_array - rows) <= MOST_OTHERS and not (with_array - rows) & {a for a, _, _ in notes["kept"]}
    return data


def test_every_map(toolchain: Row, system_gdb: Gdb) -> None:
    binary = toolchains.build(PROGRAM, toolchain, optimised=True)
    plan = dict.fromkeys(STAGES, ASKED)
    plan["collected"] = [*ASKED, FEW, TEXT, CHECK, BACK, UNNAMED, HOLDERS, BY_TYPE, BY_SIZE]
    asked = debuggers.visit(system_gdb, binary, plan)
    for stage in STAGES:
        data = check(asked, stage)
        if stage == "collected":
            check_others(asked, data)


def check_checked(asked: Session, data: Any) -> None:
    """hmap-check --all checks them: those alone are corrupt that the program has damaged."""
    answer, notes = asked.at("collected", CHECK).json(), asked.truth["collected"]["notes"]
    assert not schema.faults(answer, schema.answer("hmap-check"))
    checked = answer["data"]
    assert {**checked["heap"], "empty": 0} == {**data["heap"], "empty": 0}
    maps = {one["address"]: one for one in checked["maps"]}
    known = {one["address"]: one["type"] for one in data["maps"] if one["type"] is not None}
    assert {address: one["type"] for address, one in maps.items()} == known
    assert checked["not_checked"] == len(data["maps"]) - len(known)
    assert checked["complete"] is False  # NaNs, and a type that reflect has made
    corrupt = {one["address"] for one in maps.values() if one["verdict"] == "corrupt"}
    assert corrupt == {address for address, _, _ in notes["miscounted"]}
    kept = {address: count for address, type_, count in notes["kept"] if address in maps}
    assert {address: maps[address]["entries"] for address in kept} == kept
    assert len(kept) > 100


def check_holders(answer: Answer, notes: Any) -> None:
    """hmap-alias --scope all --all tells the frame that holds a map which no variable leads to."""
    assert answer.error is None, answer.error
    told = answer.json()
    assert not schema.faults(told, schema.answer("hmap-alias"))
    groups = {one["address"]: one for one in told["data"]["groups"]}
    ((address, type_, count),) = notes["slotted"]
    group = groups[address]
    assert type_ in (group["type"], *group["type_or"]) and group["count"] == count
    holders = {(one["kind"], one["function"], one["file"].rsplit("/", 1)[-1]) for one in group["holders"]}
    assert holders == {("slot", "main.slotted", "main.go")}, group
    assert all(one["line"] and one["address"] and one["goroutine"] for one in group["holders"])
    assert {one["path"] for one in group["holders"]} == {f"{address}:{group['type']}"}
    assert told["data"]["heap"]["complete"] and told["data"]["heap"]["maps"] > 100


def check_unnamed(answer: Answer) -> None:
    """hmap-whatis and an address alone lead to maps that no variable leads to."""
    told = json.loads(answer.output)
    assert len(told) == 4 and told[-1][0]["kind"] == "stack"
    for row, shown, of_header, of_array in told:
        assert "error" not in shown, (row, shown)
        assert (shown["data"]["address"], shown["data"]["count"]) == (row["address"], row["count"])
        assert shown["data"]["type"] in (row["type"], *row["type_or"])
        assert of_header["data"]["map"]["address"] == row["address"], (row, of_header)
        assert of_header["data"]["array"] == "header"
        assert of_array["data"]["map"]["address"] == row["address"], (row, of_array)
        assert of_array["data"]["array"] in ("group", "directory", "buckets")


def check_groups(asked: Session, data: Any) -> None:
    """Every map is in one group, of its type or of its size."""
    for command, key in ((BY_TYPE, "type"), (BY_SIZE, "size")):
        answer = asked.at("collected", command).json()
        assert not schema.faults(answer, schema.answer("hmap-top"))
        assert answer["truncated"] is None and answer["data"]["maps"] == []
        groups = answer["data"]["groups"]
        wanted: Counter[str | None] = Counter()
        entries: Counter[str | None] = Counter()
        for one in data["maps"]:
            of_size = f"{1 << one['count'].bit_length() >> 1:,} to " if one["count"] > 1 else f"{one['count']} entr"
            name = one["type"] if key == "type" else of_size
            wanted[name] += 1
            entries[name] += one["count"]
        names = [one["key"] if key == "type" else re.sub(r"(.* to |. entr).*", r"\1", one["key"]) for one in groups]
        assert {n: (g["maps"], g["count"]) for n, g in zip(names, groups)} == {
            n: (wanted[n], entries[n]) for n in wanted
        }
        held = [one["bytes"]["allocated"] for one in groups]
        assert held == sorted(held, reverse=True)
        assert sum(held) == sum(one["bytes"]["allocated"] for one in data["maps"])
        loads = [one["load"] for one in data["maps"] if one["load"] is not None]
        ends = [sum(load > end for end in (0, 0.25, 0.5, 0.75)) for load in loads]
        assert [sum(one["fill"][i] for one in groups) for i in range(5)] == [ends.count(i) for i in range(5)]


def check_others(asked: Session, data: Any) -> None:
    """The few of any order are the first of all; the text and hmap-check tell of the same maps; a path leads back."""
    few = asked.at("collected", FEW).json()["data"]["maps"]
    most = sorted((one["count"] for one in data["maps"]), reverse=True)
    assert [one["count"] for one in few] == most[:5]
    heap = data["heap"]
    said = " ".join(asked.at("collected", TEXT).output.split())
    assert said.startswith(f"{len(data['maps']):,} maps hold ")
    assert f"package variables searched; no variable leads to {heap['maps']:,} of the maps)" in said
    check_checked(asked, data)
    check_groups(asked, data)
    check_holders(asked.at("collected", HOLDERS), asked.truth["collected"]["notes"])
    check_unnamed(asked.at("collected", UNNAMED))
    back = json.loads(asked.at("collected", BACK).output)
    assert len(back) >= 30
    for row, shown in back:
        assert "error" not in shown, (row, shown)
        seen = shown["data"]
        if seen["count"] != seen["live"]:
            continue  # miscounted
        assert (seen["address"], seen["type"], seen["count"]) == (row["address"], row["type"], row["count"])
        assert {name: seen["bytes"][name] for name in row["bytes"]} == row["bytes"]


@pytest.mark.parametrize("version", ["1.21.13", "1.27.3"])
def test_without_optimization(version: str, system_gdb: Gdb) -> None:
    row = next(one for one in toolchains.MATRIX if one.name == version)
    binary = toolchains.build(PROGRAM, row, optimised=False)
    check(debuggers.visit(system_gdb, binary, {"made": ASKED}), "made")


def test_in_every_gdb(system_go: Row, gdb: Gdb) -> None:
    binary = toolchains.build(PROGRAM, system_go, optimised=True)
    check(debuggers.visit(gdb, binary, {"sweeping": ASKED}), "sweeping")


def test_over_delve(system_go: Row, dlv: Dlv) -> None:
    binary = toolchains.build(PROGRAM, system_go, optimised=True)
    asked = delves.visit(dlv, binary, {"made": [ALL, HOLDERS]})
    check_rows(asked.at("made", ALL), asked.truth["made"]["notes"])
    check_holders(asked.at("made", HOLDERS), asked.truth["made"]["notes"])


def test_in_a_core(swiss_go: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    core = debuggers.make_core(toolchains.build(PROGRAM, swiss_go, optimised=True), "made")
    notes = core.truth["made"]["notes"]
    check_rows(debuggers.examine(system_gdb, core, [ALL]).at("made", ALL), notes)
    check_rows(delves.examine(dlv, core, [ALL]).at("made", ALL), notes)
