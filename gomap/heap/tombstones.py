"""Tombstones of many maps: the marks of small arrays, counted together, and the tables' own numbers.

A table decrements growthLeft for each slot that is used for the first time: slots that are neither left nor in use are
tombstones (table.Delete, resetGrowthLeft of internal/runtime/maps/table.go).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from gomap.columns.marks import SLOTS
from gomap.errors import GomapError, MemoryFault
from gomap.golang.layouts.slots import member
from gomap.golang.layouts.structure import UNTOLD
from gomap.golang.layouts.swiss.header import tables_of
from gomap.golang.layouts.swiss.shape import MAX_LOAD_DEN, MAX_LOAD_NUM
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.heap.census import Census
from gomap.memory import stream
from gomap.reads import gather
from gomap.target import Target, unpacker


def tombstones(
    target: Target, types: DescribedTypes, census: Census, mark: int, rows: Sequence[int], sizes: Sequence[int]
) -> array[int]:
    """How many the map in each of these rows of the census has; UNTOLD where that can't be read. mark: what a slot has
    that is one. sizes: bytes of a bucket (group)."""
    found = array("q", [UNTOLD]) * len(rows)
    rule = census.reader.rule if census.reader is not None else None
    if rule is None:
        return found
    directories: dict[int, int] = {}
    small: dict[int, int] = {}
    large: list[int] = []
    for i, row in enumerate(rows):
        array_, size, slots = census.arrays[row], census.sizes[row], census.slots[row]
        if rule.has_directory(size):
            directories[array_] = size
        elif slots == SLOTS:
            small[array_] = i
        elif slots > SLOTS:
            large.append(i)
        elif not slots:
            found[i] = 0
    memory = target.memory
    for at, data in gather(memory, sorted(small), SLOTS):
        if data is not None:
            found[small[at]] = bytes(data).count(mark)
    large.sort(key=lambda i: census.arrays[rows[i]])
    pieces = [(census.arrays[rows[i]], census.slots[rows[i]] // SLOTS * sizes[i]) for i in large]
    for i, (_, _, whole) in zip(large, stream(memory, pieces)):
        if not isinstance(whole, MemoryFault):
            held, size = bytes(whole), sizes[i]
            found[i] = sum(held[slot::size].count(mark) for slot in range(SLOTS))
    if directories:
        told = dict(_in_tables(target, types, directories))
        for i, row in enumerate(rows):
            if rule.has_directory(census.sizes[row]):
                found[i] = told.get(census.arrays[row], UNTOLD)
    return found


def _in_tables(target: Target, types: DescribedTypes, directories: dict[int, int]) -> Iterator[tuple[int, int]]:
    """(address of a directory, tombstones in its tables). directories: how many entries each has, by its address."""
    try:
        table = types.map_table()
        fields = [member(table, name) for name in ("used", "capacity", "growthLeft")]
    except GomapError:
        return
    take = unpacker(target.arch, [(offset, t.size) for offset, t in fields])
    leads = tables_of(target, directories)
    tables: dict[int, int] = {}
    for at, data in gather(target.memory, sorted({one for some in leads.values() for one in some}), table.size):
        if data is not None:
            used, capacity, left = take(data)
            number = capacity * MAX_LOAD_NUM // MAX_LOAD_DEN - used - left
            if number >= 0:
                tables[at] = number
    for at, some in leads.items():
        if all(one in tables for one in some):
            yield at, sum(tables[one] for one in some)
