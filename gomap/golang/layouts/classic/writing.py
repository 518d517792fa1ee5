"""Where a write to a classic map can be stopped, and what of the map does not add up there.

Follows runtime/map.go and map_fast*.go (map_noswiss.go from Go 1.24 on), store by store:

- An insert sets the key and the tophash, then counts. The fast ones (map_fast32.go, map_fast64.go, map_faststr.go) set
  the tophash before the key. A new overflow bucket is counted in noverflow before it is in its chain.
- A delete clears the key (if it has pointers) and the elem, then the tophash, then counts.
- evacuate moves one old bucket, slot by slot: it marks the slot, adds an overflow bucket where it needs one, sets the
  tophash of the new slot, then its key.
- hashGrow sets sameSizeGrow before it allocates; then B, flags, oldbuckets, buckets, nevacuate, noverflow, the lists in
  mapextra and nextOverflow. A growth that ends drops oldbuckets, its list and sameSizeGrow.
- A clear empties (up to Go 1.23) all main buckets and their chains, then the old ones; then it resets sameSizeGrow,
  oldbuckets, nevacuate, noverflow and count, sets hash0, clears mapextra and zeroes the array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gomap.columns.marks import SLOTS
from gomap.errors import MemoryFault
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.classic.shape import EVACUATED, SAME_SIZE_GROW
from gomap.memory import CHUNK

#: Buckets of the one chain that is being evacuated.
MAX_CHAIN = 1 << 10
_DONE = frozenset(EVACUATED)


def mended(found: ClassicMap, **values: int) -> ClassicMap:
    """The map with other values in our copy of its header."""
    other = replace(found)
    other.header = found.header.with_values(**values)
    return other


def before_growth(found: ClassicMap) -> ClassicMap | None:
    """The map as it was before hashGrow raised B or set oldbuckets, where that can be the last that the write did."""
    header = found.header
    if not found.writing or not 0 <= found.B < 64 or header["oldbuckets"] not in (0, header["buckets"]):
        return None
    if header["flags"] & SAME_SIZE_GROW:
        return mended(found, oldbuckets=0) if header["oldbuckets"] else None
    before = mended(found, B=max(found.B - 1, 0), oldbuckets=0)
    return before if found.B and found.count >= before.limit() else None


def chain_of(found: ClassicMap, bucket: int) -> list[tuple[int, bytes]]:
    """Addresses and bytes of a bucket and its overflow buckets."""
    chain: dict[int, bytes] = {}
    while bucket and bucket not in chain and len(chain) < MAX_CHAIN:
        try:
            chain[bucket] = found.target.memory.read(bucket, found.shape.slots.size)
        except MemoryFault:
            break
        bucket = found.target.arch.pointer(chain[bucket], found.shape.overflow_off)
    return list(chain.items())


def is_part_evacuated(chain: Sequence[bytes]) -> bool:
    """Whether the tophashes of a chain are evacuated up to some slot, and not at all from there on."""
    marks = b"".join(chain)
    number = next((i for i, mark in enumerate(marks) if mark not in _DONE), len(marks))
    return number > 0 and not any(mark in _DONE for mark in marks[number:])


@dataclass(frozen=True)
class ClassicClear:
    """How far a clear has come. bucket: the main bucket whose chain it is emptying, of the old array where `old`; None
    where it empties no tophashes (Go 1.24). room: entries that it can have taken and not counted yet. uncounted:
    noverflow is reset. zeroing: count is reset, too, and the array is being zeroed."""

    bucket: int | None = None
    old: bool = False
    room: int = 0
    uncounted: bool = False
    zeroing: bool = False


def clearing(found: ClassicMap) -> ClassicClear | None:
    """How far a clear of this map has come, if the map can be one that is being cleared."""
    header = found.header
    reset = not (header["oldbuckets"] or header["noverflow"] or header["nevacuate"])
    if reset and not found.count:
        return ClassicClear(uncounted=True, zeroing=True)
    if header.type.field("clearSeq") is not None:  # mapclear of Go 1.24 drops the arrays with what they have
        if header["oldbuckets"]:
            return None
        return ClassicClear(room=found.limit() + 1 if _has_empty(found) else 0, uncounted=reset)
    main = _emptied(found, header["buckets"], 1 << found.B)
    if main.chain < 1 << found.B:
        return ClassicClear(main.chain, room=main.slots) if main.slots else None
    if not header["oldbuckets"]:
        return ClassicClear(room=found.count, uncounted=reset)
    old = _emptied(found, header["oldbuckets"], found.old_count)
    return ClassicClear(old.chain, True, main.slots + old.slots)


@dataclass(frozen=True)
class _Emptied:
    """chain: the first one that has a tophash which is not emptyRest. slots: those before that tophash."""

    chain: int
    slots: int


def _emptied(found: ClassicMap, address: int, count: int) -> _Emptied:
    """How much of an array is empty from its start on, in the order in which a clear goes through it."""
    size, slots = found.shape.slots.size, 0
    step = max(CHUNK // size, 1)
    for first in range(0, count, step):
        here = min(step, count - first)
        try:
            data = found.target.memory.read(address + first * size, here * size)
        except MemoryFault:
            return _Emptied(first, slots)
        for i in range(here):
            marks = data[i * size : i * size + SLOTS]
            if found.target.arch.pointer(data, i * size + found.shape.overflow_off) and not any(marks):
                marks = b"".join(block[:SLOTS] for _, block in chain_of(found, address + (first + i) * size))
            rest = marks.lstrip(b"\0")
            slots += len(marks) - len(rest)
            if rest:
                return _Emptied(first + i, slots)
    return _Emptied(count, slots)


def _has_empty(found: ClassicMap) -> bool:
    """Whether a bucket of the array is empty, as those are whose old bucket is not evacuated."""
    size, count = found.shape.slots.size, 1 << found.B
    step = max(CHUNK // size, 1)
    for first in range(0, count, step):
        here = min(step, count - first)
        try:
            data = found.target.memory.read(found.header["buckets"] + first * size, here * size)
        except MemoryFault:
            return False
        if any(not any(data[i * size : i * size + SLOTS]) for i in range(here)):
            return True
    return False
