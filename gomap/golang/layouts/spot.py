"""A place in a map's memory."""

from __future__ import annotations

from dataclasses import dataclass

#: Arrays of buckets (groups): Spot.array.
BUCKETS = frozenset({"buckets", "oldbuckets", "overflow", "group"})


@dataclass(frozen=True)
class Spot:
    """A place in the map whose header is at `header`.

    array: header, extra, buckets, oldbuckets, overflow, group, directory, table; None for a key or elem that lies
    behind a pointer. bucket: as hmap-show counts them, slot: 0..7. part: key, elem, tophash, ctrl, overflow-pointer.
    overflow: how many buckets down the chain of `bucket`. state: of the slot: live, empty, tombstone, evacuated.
    at: address of the bucket, or of what else the array is. table: which of the map's tables.
    """

    header: int
    array: str | None
    at: int
    bucket: int | None = None
    slot: int | None = None
    part: str | None = None
    old: bool = False
    overflow: int = 0
    state: str | None = None
    table: int | None = None
    indirect: bool = False
    shared: tuple[int, ...] = ()
