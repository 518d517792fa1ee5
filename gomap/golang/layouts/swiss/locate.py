"""Where in a Swiss map an address lies."""

from __future__ import annotations

from collections.abc import Sequence

from gomap.golang.layouts.spot import Spot
from gomap.golang.layouts.structure import Structure
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.layouts.swiss.shape import CTRL_DELETED, MARKS
from gomap.golang.runtime.malloc import Allocator


def head(found: SwissMap, address: int, rules: Allocator) -> Spot | None:
    """layout.MapView.head: the header, and its one group or its directory."""
    if found.address <= address < found.address + found.shape.header.size:
        return Spot(found.address, "header", found.address)
    for start, size in found.extents:
        if start <= address < start + size:
            return Spot(found.address, "group", start, 0) if found.small else Spot(found.address, "directory", start)
    return None


def inner(found: SwissMap, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """layout.MapView.inner: tables and their groups."""
    if found.small or not found.array_address or object_size == 0:
        return None
    size, first = found.shape.slots.size, 0
    for table in found.tables(Structure(address=None)):
        if 0 <= address - table.address < found.shape.table.size:
            return Spot(found.address, "table", table.address, table=table.index)
        index = (address - table.groups_address) // size
        if 0 <= index < table.groups:
            return Spot(found.address, "group", table.groups_address + index * size, first + index, table=table.index)
        first += table.groups
    return None


def has_part(found: SwissMap, parts: Sequence[int]) -> bool:
    """layout.MapView.has_part."""
    storage = found.storage()
    return any(storage.get(part) in ("table", "group") for part in parts)


def state(mark: int) -> str:
    """layout.MapView.state."""
    return "live" if MARKS.live[mark] else "tombstone" if mark == CTRL_DELETED else "empty"
