"""Looking a key up in a Swiss map: Map.getWithKey, getWithKeySmall and table.getWithKey of internal/runtime/maps."""

from __future__ import annotations

from collections.abc import Iterator

from gomap.columns.marks import SLOTS
from gomap.errors import MemoryFault
from gomap.golang.layouts.search import Corrupt, Endless, KeySearch, ProbedBucket, SearchStep
from gomap.golang.layouts.slots import member
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.layouts.swiss.shape import CTRL_EMPTY, MAX_TABLE_CAPACITY

MAX_FAULTS = 8


def h1(hash_: int) -> int:
    """The part of a hash that picks a key's first group: h1 of internal/runtime/maps."""
    return hash_ >> 7


def h2(hash_: int) -> int:
    """The 7 bits of a hash that a control byte keeps: h2 of internal/runtime/maps."""
    return hash_ & 0x7F


def probe(hash_: int, mask: int) -> Iterator[int]:
    """Groups in the order in which a table is searched, each once: probeSeq."""
    offset = h1(hash_) & mask
    for index in range(1, mask + 2):
        yield offset
        offset = (offset + index) & mask


def follow(found: SwissMap, search: KeySearch, hash_: int) -> None:
    """layout.MapView.follow."""
    target, header, size = found.target, found.header, found.shape.slots.size
    if not found.count or not header["dirPtr"]:
        return
    if found.small:
        place = ProbedBucket(0, False, header["dirPtr"])
        if not search.bucket(place, target.memory.read(place.address, size)):
            search.step(place, None, "ends")
        return
    index = 0 if header["dirLen"] == 1 else hash_ >> (header["globalShift"] & 63)
    if index >= header["dirLen"]:
        raise Corrupt(f"the hash names directory entry {index}, of {header['dirLen']}")
    table, base, groups, first = table_at(found, index)
    for depth, group in enumerate(probe(hash_, groups - 1)):
        place = ProbedBucket(group, False, base + group * size, depth, first)
        data = target.memory.read(place.address, size)
        if search.bucket(place, data):
            return
        ended = CTRL_EMPTY in data[:SLOTS]
        search.step(place, None, "ends" if ended else "goes-on")
        if ended:
            return
    what = f"none of its {groups:,} groups has an empty slot: the program's search for this key never ends"
    raise Endless(f"table {table:#x}: {what}")


def table_at(found: SwissMap, index: int) -> tuple[int, int, int, int]:
    """The table that the directory names at `index`: (its address, that of its groups, how many there are, the
    first directory entry that names it)."""
    memory, arch, word = found.target.memory, found.target.arch, found.target.arch.pointer_size
    groups_off, groups = member(found.shape.table, "groups")
    data_off, _ = member(groups, "data")
    mask_off, mask_type = member(groups, "lengthMask")
    depth_off, _ = member(found.shape.table, "localDepth")
    table = arch.pointer(memory.read(found.header["dirPtr"] + index * word, word))
    if not table:
        raise Corrupt(f"directory entry {index} names no table")
    record = memory.read(table, found.shape.table.size)
    mask = arch.uint(record, groups_off + mask_off, mask_type.size)
    if (mask + 1) * SLOTS > MAX_TABLE_CAPACITY or mask & (mask + 1):
        raise Corrupt(f"table {table:#x} has a lengthMask of {mask:#x}, which no table can have")
    entries = 1 << max(found.header["globalDepth"] - record[depth_off], 0)
    return table, arch.pointer(record, groups_off + data_off), mask + 1, index - index % entries


def arrays_of(found: SwissMap, most: int) -> Iterator[tuple[int, int]]:
    """(address, length) of arrays of groups, those of the first `most` directory entries."""
    header = found.header
    if not header["dirPtr"]:
        return
    if found.small:
        yield header["dirPtr"], 1
        return
    last, faults = None, 0
    for index in range(min(header["dirLen"], most)):
        try:
            table, base, groups, _ = table_at(found, index)
        except (MemoryFault, Corrupt):
            faults += 1
            if faults == MAX_FAULTS:
                return
            continue
        if table != last:
            yield base, groups
        last = table


def place(step: SearchStep) -> str:
    """layout.MapView.place."""
    return f"{f'table {step.table} ' if step.table is not None else ''}group {step.bucket}"


def going_on(step: SearchStep) -> str:
    """layout.MapView.going_on."""
    if step.reason == "goes-on":
        return "no match, no empty slot: continue in the next group"
    return "no match" if step.table is None else "no match, an empty slot: the search ends"
