"""hmap-check at every instruction of every kind of write: what the runtime itself leaves there is never corrupt."""

from __future__ import annotations

import json

import pytest

from tests.live import debuggers, session, toolchains
from tests.live.debuggers import Gdb
from tests.live.toolchains import Row

STEPS = session.HELPERS.with_name("step_writes.py")
#: States that the writes come through, as the notes about them begin.
REACHED = {
    "swiss": (
        "a larger directory is being installed",
        "table # is being replaced in the directory",
        "the map's first table is being installed",
        "table # has growthLeft #",
        "table # counts # entries",
        "table # has index #",
        "the key in slot # of # can't be read",
        "slot #: H# is #",
    ),
    "classic": (
        "the new array of a growth is being installed",
        "flags has sameSizeGrow, but there is no old array",
        "nevacuate is #, but old bucket # is not evacuated",
        "old bucket # is being evacuated",
        "noverflow is #",
        "the header counts # entries",
        "bucket # slot #: its key hashes to bucket #",
    ),
}


def test_no_instruction_of_a_write_leaves_a_corrupt_map(
    toolchain: Row, system_gdb: Gdb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GODEBUG", "asyncpreemptoff=1")
    binary = toolchains.build("writes", toolchain, optimised=False)
    answer = debuggers.visit(system_gdb, binary, {"ready": [f"source {STEPS}", "step-writes"]}).at(
        "ready", "step-writes"
    )
    assert answer.error is None, answer
    told = [json.loads(line) for line in answer.output.splitlines() if line.startswith("{")]
    assert len(told) >= 35
    problems = [f"{one['what']}: {problem}" for one in told for problem in one["problems"]]
    assert not problems, "\n".join(problems[:20])
    assert all(one["answers"] >= 4 for one in told)
    seen = {text.partition(": ")[2] for one in told for text in one["codes"]}
    layout = "classic" if any("nevacuate" in text for text in seen) else "swiss"
    assert not [state for state in REACHED[layout] if not any(text.startswith(state) for text in seen)]
