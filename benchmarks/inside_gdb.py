"""Runs inside gdb, stopped in go_targets/large: hmap-show beside Inferior.read_memory of the same bytes."""

from __future__ import annotations

import json
import os
import resource
import statistics
import time

import gdb

from gdbext.target import GdbTarget
from gomap.expr import resolve_map
from gomap.golang.classic import ClassicMap
from gomap.golang.structure import Structure
from gomap.maps import view
from gomap.memory import CHUNK

EXPR = "main.Keep.M"
ROUNDS = 15


def arrays() -> tuple[str, list[tuple[int, int]]]:
    """(layout, the arrays of buckets or groups as (address, bytes))."""
    target = GdbTarget()
    _, t, address = resolve_map(target, EXPR)
    found = view(target, t, address)
    size = found.shape.slots.size
    if isinstance(found, ClassicMap):
        return "classic", [(found.header["buckets"], size << found.B)]
    tables = found._tables(Structure(address=None))
    return "swiss", [(table.groups_address, table.groups * size) for table in tables]


def read(places: list[tuple[int, int]]) -> None:
    """Every array once, with one call each, and nothing else."""
    inferior = gdb.selected_inferior()
    for address, size in places:
        inferior.read_memory(address, size)


def read_in_pieces(places: list[tuple[int, int]]) -> None:
    """The same in pieces of the size that hmap-show uses, which gdb serves from a warm buffer."""
    inferior = gdb.selected_inferior()
    for address, size in places:
        for offset in range(0, size, CHUNK):
            inferior.read_memory(address + offset, min(CHUNK, size - offset))


def show() -> None:
    gdb.execute(f"hmap-show {EXPR} --json", to_string=True)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


before = peak()
show()
memory = peak() - before
layout, places = arrays()
times: dict[str, list[float]] = {"read": [], "pieces": [], "show": []}
for _ in range(ROUNDS):
    for name, work in (
        ("read", lambda: read(places)),
        ("pieces", lambda: read_in_pieces(places)),
        ("show", show),
    ):
        start = time.perf_counter()
        work()
        times[name].append(time.perf_counter() - start)
with open(os.environ["GOMAP_BENCHMARK"], "w") as out:
    json.dump(
        {
            "layout": layout,
            "bytes": sum(size for _, size in places),
            "memory": memory,
            **{name: statistics.median(taken) for name, taken in times.items()},
        },
        out,
    )
