"""bytes.allocated against the growth of the program's own heap while the map was made."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from tests.support import debuggers, session
from tests.support.debuggers import Gdb
from tests.support.session import NOISE


def test_allocated_is_what_the_heap_grew_by(target: Callable[[str], Path], gdb: Gdb, optimised: bool) -> None:
    binary = target("memory")
    exprs = session.published(binary)["measured"]
    commands = [f"hmap-show {expr} --json" for expr in exprs]
    answers = debuggers.visit(gdb, binary, {"measured": commands})
    truth = answers.truth["measured"]["maps"]
    exact = 0
    for expr, command in zip(exprs, commands):
        told = answers.at("measured", command).json()["data"]["bytes"]
        measured = truth[expr]["heap"]
        assert abs(told["allocated"] - measured) <= NOISE, (expr, told, measured)
        exact += told["allocated"] == measured
    # A wrong rule for one kind of map would be hidden by the noise only if most maps were small.
    assert exact >= len(exprs) // 2, exact


def test_a_map_made_with_room_is_as_large_as_a_rebuilt_one(
    target: Callable[[str], Path], gdb: Gdb, optimised: bool
) -> None:
    """bytes.rebuilt of a map that make(map, n) made for its n entries: what it has, overflow buckets apart."""
    binary = target("memory")
    command = "hmap-show main.Keep.Presized --json"
    data = debuggers.visit(gdb, binary, {"measured": [command]}).at("measured", command).json()["data"]
    allocated, rebuilt = data["bytes"]["allocated"], data["bytes"]["rebuilt"]
    if data["layout"] == "swiss":
        assert rebuilt == allocated
    else:
        # Buckets that overflow by chance once the preallocated ones are used up, and the list of them.
        chance = data["buckets"]["overflow"] * (144 + 16) + 4096
        assert rebuilt <= allocated <= rebuilt + chance
