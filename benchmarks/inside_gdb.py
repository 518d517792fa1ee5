"""Runs inside gdb, stopped in benchmarks/program: does the works of a job, and writes down how long each took."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import gdb

from benchmarks.measure import in_turn, peak

#: Inferior.read_memory in pieces of this size is served from a warm buffer: the harder comparison.
PIECE = 512 << 10


def read(places: list[tuple[int, int]]) -> None:
    inferior = gdb.selected_inferior()
    for address, size in places:
        for offset in range(0, size, PIECE):
            inferior.read_memory(address + offset, min(PIECE, size - offset))


def perform(job: dict[str, Any], answer: dict[str, Any]) -> None:
    places: list[tuple[int, int]] = []
    said: dict[str, str] = {}
    if job.get("expr"):
        from benchmarks.places import arrays
        from gdbext.target import GdbTarget

        answer["layout"], places = arrays(GdbTarget(), job["expr"])
        answer["bytes"] = sum(size for _, size in places)

    def work(line: str) -> Callable[[], object]:
        if line == "raw":
            return lambda: read(places)
        return lambda: said.update({line: gdb.execute(line, to_string=True)})

    for group in job["groups"]:
        before = peak()
        try:
            times = in_turn({name: work(line) for name, line in group.items()}, job["seconds"])
        except gdb.error as error:
            answer["notes"].update(dict.fromkeys(group, str(error)))
            continue
        answer["times"].update(times)
        answer["memory"].update(dict.fromkeys(group, peak() - before))
        for name, line in group.items():
            if name == "runtime-gdb":
                listed = said[line].count("] = ")
                if listed != job["size"]:
                    answer["notes"][name] = f"lists {listed:,} of {job['size']:,} entries"
    if job.get("gcore"):
        gdb.execute(f"gcore {job['gcore']}", to_string=True)


if "GOMAP_JOB" in os.environ:
    job = json.loads(os.environ["GOMAP_JOB"])
    answer: dict[str, Any] = {"times": {}, "memory": {}, "notes": {}}
    perform(job, answer)
    with open(job["answer"], "w") as file:
        json.dump(answer, file)
