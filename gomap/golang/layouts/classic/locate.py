"""Where in a classic map an address lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.classic.shape import EMPTY_ONE, EVACUATED, MARKS
from gomap.golang.layouts.classic.walk import MAX_CHAIN
from gomap.golang.layouts.spot import Spot
from gomap.golang.runtime.malloc import Allocator
from gomap.reads import gather


def head(found: ClassicMap, address: int, rules: Allocator) -> Spot | None:
    """layout.MapView.head: the header, mapextra, and the arrays with the overflow buckets behind them."""
    header, size, word = found.header, found.shape.slots.size, found.target.arch.pointer_size
    if found.address <= address < found.address + found.shape.header.size:
        return Spot(found.address, "header", found.address)
    if not header["buckets"]:
        return None
    if header["extra"] and header["extra"] <= address < header["extra"] + 3 * word:
        return Spot(found.address, "extra", header["extra"])
    for base, count, old in (
        (header["buckets"], 1 << min(found.B, 48), False),
        (header["oldbuckets"], found.old_count, True),
    ):
        if not base or not count:
            continue
        index = (address - base) // size
        at = base + index * size
        if 0 <= index < count:
            return Spot(found.address, "oldbuckets" if old else "buckets", at, index, old=old)
        if 0 <= index < found.array_buckets(count.bit_length() - 1, rules):
            chained = next((spot for spot in _chains(found) if spot.at == at), None)
            return chained or Spot(found.address, "overflow", at, old=old)
    return None


def inner(found: ClassicMap, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """layout.MapView.inner: overflow buckets that were allocated one by one."""
    size = found.shape.slots.size
    if not found.array_address or (object_size is not None and object_size != rules.allocated(size, found.shape.scan)):
        return None
    return next((spot for spot in _chains(found) if spot.at <= address < spot.at + size), None)


def has_part(found: ClassicMap, parts: Sequence[int]) -> bool:
    """layout.MapView.has_part."""
    size = found.shape.slots.size
    counts = {"buckets": 1 << min(found.B, 48), "oldbuckets": found.old_count}
    for start, what in found.storage().items():
        # makeBucketArray of runtime/map.go: overflow buckets made in advance lie behind the array.
        end = start + size * (counts[what] + (counts[what] >> 4))
        if any(start <= part < end and not (part - start) % size for part in parts):
            return True
    return False


def state(mark: int) -> str:
    """layout.MapView.state."""
    if MARKS.live[mark]:
        return "live"
    return "evacuated" if mark in EVACUATED else "tombstone" if mark == EMPTY_ONE else "empty"


def _chains(found: ClassicMap) -> Iterator[Spot]:
    """Overflow buckets chain by chain of both arrays, nearest first."""
    size, target = found.shape.slots.size, found.target
    for old, pieces in found.arrays():
        for first, data in pieces:
            level: dict[int, int] = {}
            for i, pointer in enumerate(found.overflow_pointers(data)):
                if pointer:
                    level.setdefault(pointer, first + i)
            seen: set[int] = set()
            for depth in range(1, MAX_CHAIN):
                if not level:
                    break
                seen.update(level)
                deeper = {}
                for at, bucket in level.items():
                    yield Spot(found.address, "overflow", at, bucket, old=old, overflow=depth)
                for at, block in gather(target.memory, list(level), size):
                    pointer = found.overflow_pointers(bytes(block))[0] if block is not None else 0
                    if pointer and pointer not in seen:
                        deeper[pointer] = level[at]
                level = deeper
