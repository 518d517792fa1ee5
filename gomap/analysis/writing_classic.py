"""Where a write to a classic map can be stopped, and what of the map does not add up there.

Follows runtime/map.go and map_fast*.go (map_noswiss.go from Go 1.24 on), store by store:

- An insert sets the key and the tophash, then counts. The fast ones (map_fast32.go, map_fast64.go, map_faststr.go) set
  the tophash before the key. A new overflow bucket is counted in noverflow before it is in its chain.
- A delete clears the key (if it has pointers) and the elem, then the tophash, then counts.
- evacuate moves one old bucket, slot by slot: it marks the slot, adds an overflow bucket where it needs one, sets the
  tophash of the new slot, then its key.
- hashGrow sets sameSizeGrow before it allocates; then B, flags, oldbuckets, buckets, nevacuate, noverflow, the lists in
  mapextra and nextOverflow. A growth that ends drops oldbuckets, its list and sameSizeGrow.
- A clear empties (up to Go 1.23) all main buckets and their chains, then the old ones; then it sets the fields of the
  header, hash0 and mapextra, and zeroes the array.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gomap.errors import MemoryFault
from gomap.golang.classic import EVACUATED, SAME_SIZE_GROW, ClassicMap
from gomap.golang.marks import SLOTS
from gomap.memory import CHUNK
from gomap.target import Record

#: Buckets of the one chain that is being evacuated.
MAX_CHAIN = 1 << 10
_DONE = frozenset(EVACUATED)


def mended(found: ClassicMap, **values: int) -> ClassicMap:
    """The map with other values in our copy of its header."""
    header, data = found.header, bytearray(found.header.data)
    for name, value in values.items():
        f = header.type.field(name)
        assert f is not None
        data[f.offset : f.offset + f.type.size] = value.to_bytes(f.type.size, header.arch.byte_order)  # type: ignore[arg-type]
    other = replace(found)
    other.header = Record(header.arch, header.type, header.address, bytes(data))
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
class Clear:
    """How far a clear has come. bucket: the first one that is not empty, of the old array where `old`. room: entries
    that the emptied buckets can have had. done: all tophashes are empty, or the array is being zeroed."""

    bucket: int
    old: bool
    room: int
    done: bool


def clearing(found: ClassicMap, live: int, chained: dict[int, int]) -> Clear | None:
    """How far a clear of this map has come, if the map can be one that is being cleared. live: slots. chained: main
    bucket by overflow bucket."""
    header = found.header
    if not found.count and live and not (header["oldbuckets"] or header["noverflow"] or header["nevacuate"]):
        return Clear(0, False, 0, True)  # its array, or what is left of it, is being zeroed
    if found.count <= live:
        return None
    each = Counter(chained.values())
    main = 1 << found.B
    first = _first_live(found, header["buckets"], main)
    room = SLOTS * (first + sum(number for bucket, number in each.items() if bucket <= first))
    if first < main:
        begun = first or found.target.memory.read(header["buckets"], 1) == b"\0"
        if begun:
            return Clear(first, False, room + SLOTS, False)
        # The old array is dropped, and the count not set yet: without it nevacuate is what a growth ends with.
        ended = header["nevacuate"] in (0, main >> 1, main)
        return None if header["oldbuckets"] or ended else Clear(0, False, found.count, False)
    if not header["oldbuckets"]:
        return Clear(main, False, found.count, True)
    old = _first_live(found, header["oldbuckets"], found.old_count)
    return Clear(old, True, found.count, old >= found.old_count)


def _first_live(found: ClassicMap, address: int, count: int) -> int:
    """The first bucket that has a tophash which is not emptyRest; count where all are empty."""
    size = found.shape.slots.size
    step = max(CHUNK // size, 1)
    for first in range(0, count, step):
        here = min(step, count - first)
        try:
            data = found.target.memory.read(address + first * size, here * size)
        except MemoryFault:
            return first
        for i in range(here):
            if any(data[i * size : i * size + SLOTS]):
                return first + i
    return count
