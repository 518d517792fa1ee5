"""Core files of programs that the runtime has ended for a race, beside its own report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.debuggers import Answer, Core
from tests.support.races import (
    Step,
    check_inside,
    check_maps,
    dead,
    holders,
    inside,
)


@dataclass(frozen=True)
class Report:
    """What the runtime wrote on standard error: of what the program died, which goroutine and on which line."""

    message: str
    goroutine: int
    function: str
    line: int


def death(binary: Path, stage: str) -> tuple[Core, Report]:
    core, said = dead(binary, stage)
    return core, report(said)


def report(text: str) -> Report:
    found = re.search(
        r"^(?:fatal error: (?P<fatal>.*)|panic: (?P<panic>.*))\n[\s\S]*?^goroutine (?P<goroutine>\d+).*\[running.*\]:\n"
        r"[\s\S]*?^(?P<function>main\..*)\(.*\)\n\t.*\.go:(?P<line>\d+)",
        text,
        re.M,
    )
    assert found, text[:3000]
    message = found["fatal"] or found["panic"]
    return Report(message, int(found["goroutine"]), found["function"], int(found["line"]))


OPERATIONS = {
    "concurrent map writes": "write",
    "concurrent map read and map write": "read",
    "concurrent map iteration and map write": "iterate",
    "concurrent map clone and map write": "read",
}


def check_death(data: Any, words: Answer, said: Report, truth: Mapping[str, Any], named: bool = True) -> None:
    """named: whether variables have names."""
    shared = next(iter(holders(truth)))[0]
    dead = [one for one in data["inside"] if one["fatal"]]
    assert [(one["goroutine"], one["function"], one["line"], one["message"]) for one in dead] == [
        (said.goroutine, said.function, said.line, said.message)
    ]
    assert [(one["kind"], one["message"], one["goroutine"], one["race"]) for one in data["deaths"]] == [
        ("fatal error", said.message, said.goroutine, True)
    ]
    serving = [expr.split()[1:] for expr in truth["unnamed"] if expr.startswith("serves ")]
    assert [[str(one["goroutine"]), one["function"]] for one in data["suspects"]] == serving
    assert ("same function" in words.output) == bool(serving)
    through = next(one["through"] for one in data["inside"] if one["fatal"])
    assert (through is None) == (said.function != "main.(*Registry).marshal")
    assert through is None or through["function"].startswith("encoding/json")
    operation = "read" if said.function == "main.(*Registry).copied" else OPERATIONS[said.message]
    victim = Step(said.goroutine, operation, said.function, said.line, shared, "map[string]int")
    check_inside(data, [*inside(truth), victim])
    check_maps(data, truth, named)
    first = " ".join(words.output.split("\n\n")[0].split())
    path = "main.Shared.byName" if named else f"{shared}:map[string]int"
    assert first == f"fatal error: {said.message} on map[string]int {shared} ({path})", words.output
    assert not named or len(words.output.splitlines()) <= 24, words.output
