"""Which part of which map an address lies in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gomap.analysis.alias import Found
from gomap.errors import GomapError, MemoryFault
from gomap.golang.classic import EVACUATED, ClassicMap
from gomap.golang.classic import MARKS as CLASSIC_MARKS
from gomap.golang.malloc import Allocator
from gomap.golang.marks import SLOTS
from gomap.golang.structure import Structure
from gomap.golang.swiss import CTRL_DELETED
from gomap.golang.swiss import MARKS as SWISS_MARKS
from gomap.maps import MapView
from gomap.memory import gather

MAX_CHAIN = 1 << 16


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


def locate(found: Found, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """Where in the maps that were found the address lies; the first one's where several share it.

    object_size: bytes of the heap's object that address is in, 0 outside of the heap, None where that is not known.
    """
    views = list(found.views.values())
    for look in (_head, _tables, _overflow, _behind):
        for one in views:
            try:
                spot = look(one, address, rules, object_size)
            except GomapError:
                continue
            if spot is not None:
                return spot if look is not _head else replace(spot, shared=_also(views, spot, address, rules))
    return None


def _also(views: list[MapView], spot: Spot, address: int, rules: Allocator) -> tuple[int, ...]:
    """Headers of other maps that have the same array."""
    others = []
    for one in views:
        try:
            if one.address != spot.header and _head(one, address, rules, None) is not None:
                others.append(one.address)
        except GomapError:
            continue
    return tuple(others)


def _head(one: MapView, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """The header and what it points to."""
    if one.address <= address < one.address + one.shape.header.size:
        return Spot(one.address, "header", one.address)
    start, size = one.array_address, one.shape.slots.size
    if not start:
        return None
    if not isinstance(one, ClassicMap):
        if one.small:
            return (
                _in_bucket(one, Spot(one.address, "group", start, 0), address) if 0 <= address - start < size else None
            )
        length = one.header["dirLen"] * one.target.arch.pointer_size
        return Spot(one.address, "directory", start) if 0 <= address - start < length else None
    extra = one.header["extra"]
    if extra and extra <= address < extra + 3 * one.target.arch.pointer_size:
        return Spot(one.address, "extra", extra)
    arrays = ((start, 1 << min(one.B, 48), False), (one.header["oldbuckets"], one.old_count, True))
    for base, count, old in arrays:
        if not base or not count:
            continue
        index = (address - base) // size
        if 0 <= index < count:
            spot = Spot(one.address, "oldbuckets" if old else "buckets", base + index * size, index, old=old)
            return _in_bucket(one, spot, address)
        if 0 <= index < one.array_buckets(count.bit_length() - 1, rules):
            at = base + index * size
            return _in_bucket(one, _chained(one, at) or Spot(one.address, "overflow", at, old=old), address)
    return None


def _tables(one: MapView, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """A Swiss map's tables and their groups."""
    if isinstance(one, ClassicMap) or one.small or not one.array_address or object_size == 0:
        return None
    size, first = one.shape.slots.size, 0
    for table in one._tables(Structure(address=None)):
        if 0 <= address - table.address < one.shape.table.size:
            return Spot(one.address, "table", table.address, table=table.index)
        index = (address - table.groups_address) // size
        if 0 <= index < table.groups:
            at = table.groups_address + index * size
            return _in_bucket(one, Spot(one.address, "group", at, first + index, table=table.index), address)
        first += table.groups
    return None


def _overflow(one: MapView, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """Overflow buckets that were allocated one by one."""
    if not isinstance(one, ClassicMap) or not one.array_address:
        return None
    size = one.shape.slots.size
    if object_size is not None and object_size != rules.allocated(size, one.shape.scan):
        return None
    for at, spot in _chains(one):
        if at <= address < at + size:
            return _in_bucket(one, spot, address)
    return None


def _behind(one: MapView, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """Keys and elems that are stored behind pointers."""
    slots = one.shape.slots
    parts = [("key", slots.key)] * slots.indirect_key + [("elem", slots.elem)] * slots.indirect_elem
    for part, t in parts:
        if object_size is not None and object_size < t.size:
            continue
        for entry in one.entries():
            at = entry.key_address if part == "key" else entry.elem_address
            if at <= address < at + t.size:
                return Spot(
                    one.address,
                    None,
                    at,
                    entry.bucket,
                    entry.slot,
                    part,
                    entry.old,
                    entry.overflow,
                    "live",
                    indirect=True,
                )
    return None


def _chained(one: ClassicMap, wanted: int) -> Spot | None:
    return next((spot for at, spot in _chains(one) if at == wanted), None)


def _chains(one: ClassicMap) -> Iterator[tuple[int, Spot]]:
    """Overflow buckets as (address, spot), chain by chain of both arrays, nearest first."""
    size, target = one.shape.slots.size, one.target
    for old, pieces in one.arrays():
        for first, data in pieces:
            level: dict[int, int] = {}
            for i, pointer in enumerate(one.overflow_pointers(data)):
                if pointer:
                    level.setdefault(pointer, first + i)
            seen: set[int] = set()
            for depth in range(1, MAX_CHAIN):
                if not level:
                    break
                seen.update(level)
                deeper = {}
                for at, bucket in level.items():
                    yield at, Spot(one.address, "overflow", at, bucket, old=old, overflow=depth)
                for at, block in gather(target.memory, list(level), size):
                    pointer = one.overflow_pointers(bytes(block))[0] if block is not None else 0
                    if pointer and pointer not in seen:
                        deeper[pointer] = level[at]
                level = deeper


def _in_bucket(one: MapView, spot: Spot, address: int) -> Spot:
    """The slot and part of the bucket at spot.at that address lies in."""
    slots, word = one.shape.slots, one.target.arch.pointer_size
    offset = address - spot.at
    slot, part = None, None
    if offset < SLOTS:
        slot = slots.mark_offset(offset)
        part = "tophash" if isinstance(one, ClassicMap) else "ctrl"
    elif isinstance(one, ClassicMap) and 0 <= offset - one.shape.overflow_off < word:
        part = "overflow-pointer"
    else:
        for name, start, stride, size in (
            ("key", slots.keys_off, slots.key_stride, word if slots.indirect_key else slots.key.size),
            ("elem", slots.elems_off, slots.elem_stride, word if slots.indirect_elem else slots.elem.size),
        ):
            index, inside = divmod(offset - start, stride) if stride else (-1, 0)
            if 0 <= index < SLOTS and inside < size:
                slot, part = index, name
    state = None
    if slot is not None:
        try:
            state = _state(one, one.target.memory.read(spot.at + slots.mark_offset(slot), 1)[0])
        except MemoryFault:
            state = None
    return replace(spot, slot=slot, part=part, state=state)


def _state(one: MapView, mark: int) -> str:
    if isinstance(one, ClassicMap):
        if CLASSIC_MARKS.live[mark]:
            return "live"
        return "evacuated" if mark in EVACUATED else "tombstone" if mark == 1 else "empty"
    return "live" if SWISS_MARKS.live[mark] else "tombstone" if mark == CTRL_DELETED else "empty"
