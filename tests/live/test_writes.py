"""hmap-check at every instruction of every kind of write: what the runtime itself leaves there is never corrupt."""

from __future__ import annotations

import json

import pytest

from tests.support import debuggers, matrix, session, toolchains
from tests.support.debuggers import Gdb
from tests.support.toolchains import MATRIX, SYSTEM, Row

STEPS = session.HELPERS.with_name("step_writes.py")
#: Of these Go versions no two write alike; in the others the stores are those of one of these.
ROWS = ("1.21.13", "1.24.11-noswissmap", "1.24.11", "1.25.5", "1.27.3")
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
        "sameSizeGrow is set but oldbuckets is nil",
        "nevacuate is #, but old bucket # is not evacuated",
        "old bucket # is being evacuated",
        "noverflow is #",
        "the header counts # entries",
        "bucket # slot #: its key hashes to bucket #",
    ),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rows = [row for row in MATRIX if row.name in ROWS] if matrix.is_full(metafunc.config) else [SYSTEM]
    cases = [pytest.param(row, id=f"go-{row.name}", marks=pytest.mark.xdist_group(row.name)) for row in rows]
    metafunc.parametrize("writer", cases, indirect=True)


@pytest.fixture
def writer(request: pytest.FixtureRequest) -> Row:
    return matrix.ensured(request.config, request.param)


def test_no_instruction_of_a_write_leaves_a_corrupt_map(
    writer: Row, system_gdb: Gdb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optimized, as programs run: the compiler may change the order of stores."""
    monkeypatch.setenv("GODEBUG", "asyncpreemptoff=1")
    monkeypatch.setenv("GOGC", "off")
    binary = toolchains.build("writes", writer, optimised=True)
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
