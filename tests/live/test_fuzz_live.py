"""The fuzzer on the memory of a live program, with gdb's types: nothing is written to the program."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.support import FOLDER, debuggers, session, toolchains
from tests.support.debuggers import Answer, Gdb
from tests.support.toolchains import Row

#: GOMAP_FUZZ asks for more times than that, and may name a seed: 40 or 40:seed.
TIMES, _, SEED = os.environ.get("GOMAP_FUZZ", "8").partition(":")
COMMAND = FOLDER / "fuzz_in_gdb.py"
MAPS: dict[str, dict[str, tuple[str, ...]]] = {
    "types": {
        "filled": (
            "main.Uint16ToString",
            "main.AnyToGenericPointer",
            "main.OddStringToEmbedding",
            "main.HugeToString",
            "main.StringToMapMap",
        )
    },
    "growth": {"doubling-half": ("main.Keep.Ints",), "shared": ("main.Keep.Ints",)},
}


def fuzz(gdb: Gdb, row: Row, tmp_path: Path) -> None:
    asked = 0
    for program, stages in MAPS.items():
        binary = toolchains.build(program, row, optimised=False)
        there = session.published(binary)
        plan = {
            stage: [
                f"source {COMMAND}",
                *(f"gomap_fuzz {row.name}{SEED} {TIMES} {tmp_path}/map {expr}" for expr in exprs),
            ]
            for stage, exprs in stages.items()
            if stage in there
        }
        for answer in debuggers.visit(gdb, binary, plan).answers:
            if answer.command.startswith("gomap_fuzz"):
                asked += commands(answer)
    assert asked > 3 * 6 * int(TIMES)


def commands(answer: Answer) -> int:
    """How many were given, and nothing was wrong with the answers."""
    assert answer.error is None, answer.error
    told = json.loads(answer.output)
    assert told["faults"] == [], told["faults"][0]["fault"] + told["faults"][0]["recipe"]
    assert told["answer"] > told["error"] / 2
    return int(told["commands"])


def test_swiss(system_gdb: Gdb, system_go: Row, tmp_path: Path) -> None:
    fuzz(system_gdb, system_go, tmp_path)


def test_classic(system_gdb: Gdb, old_go: Row, tmp_path: Path) -> None:
    fuzz(system_gdb, old_go, tmp_path)


def test_searches(system_gdb: Gdb, system_go: Row, tmp_path: Path) -> None:
    """What searches the program, with the runtime's structs under scribbles: stacks, spans, goroutines, types."""
    binary = toolchains.build("goroutines", system_go, optimised=False)
    search = f"gomap_fuzz_search {system_go.name}{SEED} {TIMES} {tmp_path}/map main.Shared"
    found = debuggers.visit(system_gdb, binary, {"all": [f"source {COMMAND}", search]})
    assert commands(found.at("all", search)) == 2 * int(TIMES)
