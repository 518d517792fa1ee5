"""When a map grows next, and how."""

from __future__ import annotations

from dataclasses import dataclass

from gomap import human
from gomap.golang.classic import ClassicMap
from gomap.golang.marks import SLOTS
from gomap.golang.structure import Structure
from gomap.golang.swiss import MAX_TABLE_CAPACITY, SwissMap
from gomap.maps import MapView


@dataclass(frozen=True)
class Forecast:
    """entries_left: new keys that fit for certain before the map grows; None when that can't be said.
    next: what happens then, in words."""

    entries_left: int | None
    next: str


def forecast(found: MapView, structure: Structure) -> Forecast:
    """What makes the map grow next."""
    if isinstance(found, ClassicMap):
        return _classic(found)
    return _swiss(found, structure)


def _classic(found: ClassicMap) -> Forecast:
    """runtime.mapassign: overLoadFactor and tooManyOverflowBuckets, neither while growing."""
    left = max(found.limit() - found.count, 0)
    doubled = f"doubling to {human.power(2 << found.B)} buckets when entry {found.limit() + 1:,} goes in"
    if found.header["oldbuckets"]:
        return Forecast(left, f"{doubled}, and not before the present growth is done")
    limit = found.overflow_limit()
    if found.header["noverflow"] >= limit and found.header["buckets"]:
        why = f"{found.header['noverflow']:,} overflow buckets, {limit:,} are too many"
        return Forecast(0, f"same-size growth when the next new key goes in: {why}")
    if not found.header["buckets"]:
        return Forecast(SLOTS, "the first bucket is allocated when the first key goes in")
    return Forecast(left, doubled)


def _swiss(found: SwissMap, structure: Structure) -> Forecast:
    """maps.Map.PutSlot, putSlotSmall, growToTable; table.rehash, split, Map.installTableSplit."""
    if found.small:
        if not found.header["dirPtr"]:
            return Forecast(SLOTS, "the first group is allocated when the first key goes in")
        left = max(SLOTS - found.count, 0)
        return Forecast(left, f"one group becomes a table of {2 * SLOTS} slots when entry {SLOTS + 1} goes in")
    if not structure.tables:
        return Forecast(None, "no table can be read")
    first = min(structure.tables, key=lambda table: table.growth_left)
    if first.capacity < MAX_TABLE_CAPACITY:
        what = f"table {first.index} doubles to {2 * first.capacity:,} slots"
    elif first.local_depth >= found.header["globalDepth"]:
        entries = 2 * found.header["dirLen"]
        what = f"table {first.index} splits in two and the directory doubles to {entries:,} entries"
    else:
        what = f"table {first.index} splits in two"
    when = f"when it gets {first.growth_left + 1:,} more new key{'s' if first.growth_left else ''}"
    if first.tombstones:
        when += f" (its {first.tombstones:,} tombstones may make room first)"
    return Forecast(first.growth_left, f"{what} {when}")
