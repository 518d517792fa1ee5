"""Where a write to a Swiss map can be stopped, and what of the map does not add up there.

Follows internal/runtime/maps (map.go, table.go and runtime_fast*.go of Go 1.24 to 1.27), store by store:

- An insert sets the key, the elem, the control byte, then counts in growthLeft, table.used and Map.used. Where it takes
  a tombstone it raises growthLeft first. Go 1.27 counts the first insert into a new table before its control byte.
- A delete counts in table.used and Map.used, clears the key (if it has pointers) and the elem, sets the control byte,
  then counts in growthLeft and sets tombstonePossible.
- Pruned tombstones are counted in growthLeft one by one (from Go 1.25 on).
- A clear zeroes and empties group by group, then sets used and growthLeft of that table, and at last Map.used.
- A small map's first table is installed as dirPtr, dirLen, globalDepth, globalShift.
- A larger directory changes the index of every table, then globalDepth, globalShift, dirPtr, dirLen.
- A table that was grown or split replaces the old one in the directory entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gomap.columns.marks import SLOTS
from gomap.errors import GomapError
from gomap.golang.layouts.structure import Structure, SwissTable
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.layouts.swiss.shape import CTRL_EMPTY, MAX_DIRECTORY, MAX_TABLE_CAPACITY

EMPTY_GROUP = bytes([CTRL_EMPTY]) * SLOTS


@dataclass(frozen=True)
class Settled:
    """The directory as it was before the write, or will be after it. what: how the header differs from it."""

    length: int
    depth: int
    what: str


def settled(found: SwissMap) -> Settled | None:
    """Of a map in which a write installs its first table or a larger directory; None for another."""
    header, bits = found.header, 8 * found.target.arch.pointer_size
    length, depth, shift = header["dirLen"], header["globalDepth"], header["globalShift"]
    if depth == shift == 0 and length < 2:
        if (length or header["used"] == SLOTS) and _is_first_table(found):
            late = "globalShift is still 0" if length else "dirLen is still 0"
            return Settled(1, 0, f"the map's first table is being installed: {late}")
        return None
    if not 0 < length <= MAX_DIRECTORY // 2 or length & (length - 1):
        return None
    before = length.bit_length() - 1
    if depth != before + 1 or shift not in (bits - before, bits - depth):
        return None
    what = f"a larger directory is being installed: globalDepth is {depth} and dirLen is still {length}"
    if shift == bits - depth and _is_directory(found, 2 * length, depth, 1):
        return Settled(2 * length, depth, what)
    return Settled(length, before, what) if _is_directory(found, length, before, 2) else None


def _is_directory(found: SwissMap, length: int, depth: int, times: int) -> bool:
    """Whether dirPtr leads to a directory of this length that is being replaced by one twice as long, or (times 1) has
    just replaced one of half its length: every table's index is `times` its place, and one is about to be split."""
    arch, word = found.target.arch, found.target.arch.pointer_size
    try:
        data = found.target.memory.read(found.header["dirPtr"], length * word)
    except GomapError:
        return False
    entries = [arch.pointer(data, at) for at in range(0, len(data), word)]
    first = {address: i for i, address in reversed(list(enumerate(entries)))}
    if times == 1 and entries[::2] != entries[1::2]:
        return False
    tables = mended(found, length, depth).tables(Structure(address=None))
    placed = all(table.index == times * first[table.address] for table in tables)
    full = any(
        table.local_depth == depth + times - 2 and table.capacity == MAX_TABLE_CAPACITY and not table.growth_left
        for table in tables
    )
    return placed and full and len(tables) == len(first)


def mended(found: SwissMap, length: int, depth: int) -> SwissMap:
    """The map with a directory of another length in our copy of its header; 0 for a small map."""
    shift = 8 * found.target.arch.pointer_size - depth if length else 0
    other = replace(found)
    other.header = found.header.with_values(dirLen=length, globalDepth=depth, globalShift=shift)
    return other


def _is_first_table(found: SwissMap) -> bool:
    """Whether dirPtr leads to a directory of one table, which growToTable has made of a full group."""
    arch, memory, table = found.target.arch, found.target.memory, found.shape.table
    try:
        record = memory.read(arch.pointer(memory.read(found.header["dirPtr"], arch.pointer_size)), table.size)
    except GomapError:
        return False
    fields = [table.field(name) for name in ("capacity", "used", "localDepth", "index")]
    values = [arch.uint(record, f.offset, f.type.size) for f in fields if f is not None]
    return values == [2 * SLOTS, SLOTS, 0, 0]


def are_renumbered(tables: Iterable[SwissTable], first: dict[int, int], depth: int) -> bool:
    """Whether the tables' indices are those of a directory that becomes twice as long: of the first tables twice what
    they were. first: each table's first entry."""
    ordered = sorted(tables, key=lambda table: first[table.address])
    done = [table.index == 2 * first[table.address] for table in ordered if first[table.address]]
    rest = [table.index == first[table.address] for table in ordered if first[table.address]]
    number = done.index(False) if False in done else len(done)
    full = any(t.local_depth == depth and t.capacity == MAX_TABLE_CAPACITY and not t.growth_left for t in ordered)
    return full and all(rest[number:])


def replaced(entries: dict[int, list[int]], tables: dict[int, SwissTable], depth: int) -> tuple[int, set[int]] | None:
    """(the table that is being replaced in the directory, those that replace it); None where none is. entries: those
    of the directory that name each table."""
    owner = {i: address for address, named in entries.items() for i in named}
    for address, table in tables.items():
        if table.index < 0 or table.local_depth > depth or table.growth_left:
            continue
        end = table.index + (1 << depth - table.local_depth)
        middle, named = (table.index + end) // 2, entries[address]
        first = named[0]
        if first <= table.index or named != list(range(first, end)):
            continue
        left = {owner.get(i, 0) for i in range(table.index, min(first, middle))}
        right = {owner.get(i, 0) for i in range(middle, first)}
        grown = (table.index, table.local_depth, 2 * table.capacity)
        halves = [(table.index, table.local_depth + 1, table.capacity), (middle, table.local_depth + 1, table.capacity)]
        if len(left | right) == 1 and all(_is(tables, one, grown) for one in left | right):
            return address, left | right
        full = table.capacity == MAX_TABLE_CAPACITY and len(left) == 1 and len(right) < 2
        if full and all(_is(tables, n, halves[0]) for n in left) and all(_is(tables, n, halves[1]) for n in right):
            return address, left | right
    return None


def _is(tables: dict[int, SwissTable], address: int, wanted: tuple[int, int, int]) -> bool:
    one = tables.get(address)
    return one is not None and (one.index, one.local_depth, one.capacity) == wanted


@dataclass(frozen=True)
class SwissClear:
    """The progress of a clear. table: address of the current table (0: all are done, or the map is small). ahead:
    how many of its groups are empty. group: the group that is zeroed but not yet marked empty, 0 for none."""

    table: int
    ahead: int
    group: int


def clearing(found: SwissMap, tables: list[SwissTable], live: dict[int, int]) -> SwissClear | None:
    """How far a clear of this map has come, if the map can be one that is being cleared. tables: in the order of the
    directory. live: slots of each table."""
    if found.small:
        group = found.header["dirPtr"]
        control = _control(found, group)
        if not any(control):  # a new group is so, too: Map.growToSmall
            return SwissClear(0, 0, group)
        return SwissClear(0, 1, 0) if control == EMPTY_GROUP else None
    left = list(tables)
    while left and not (left[0].used or live.get(left[0].address) or left[0].tombstones):
        left.pop(0)
    counted = sum(table.used for table in left)
    if counted > found.count or (len(left) == len(tables) and counted != found.count):
        return None
    if not left:
        return SwissClear(0, 0, 0)
    table, size = left[0], found.shape.slots.size
    ahead = group = 0
    while ahead < table.groups and _control(found, table.groups_address + ahead * size) == EMPTY_GROUP:
        ahead += 1
    if ahead < table.groups and not any(_control(found, table.groups_address + ahead * size)):
        group = table.groups_address + ahead * size
    missing = table.used - live.get(table.address, 0)
    begun = ahead or group or len(left) < len(tables)
    return SwissClear(table.address, ahead, group) if begun and missing <= SLOTS * ahead else None


def _control(found: SwissMap, group: int) -> bytes:
    try:
        return found.target.memory.read(group, SLOTS)
    except GomapError:
        return b"\xff"
