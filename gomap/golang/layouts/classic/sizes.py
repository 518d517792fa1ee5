"""What a classic map would hold with another history, or with keys and elems of other types.

Follows runtime/map.go: makemap, makeBucketArray, hashGrow, newoverflow; the bucket's type is
cmd/compile/internal/reflectdata/reflect.go's MapBucketType.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, exp, sqrt
from typing import TypeVar

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.classic.shape import SAME_SIZE_GROW, ClassicShape
from gomap.golang.layouts.slots import MAX_INLINE, SlotShape
from gomap.golang.layouts.structure import Estimate, Structure
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType, alignment, up

_Map = TypeVar("_Map", bound=ClassicMap)
#: Standard deviations that chance is believed to stay within.
DEVIATIONS = 5
#: Keys of one bucket whose probability is summed up.
MOST_KEYS = 64


def arrays_size(found: ClassicMap, structure: Structure, allocator: Allocator) -> int:
    """layout.MapView.arrays_size."""
    slots, scan = found.shape.slots, found.shape.scan
    size = found._array_bytes(structure.main.buckets, allocator)
    size += found._array_bytes(structure.old_count if structure.old else 0, allocator)
    return size + structure.apart * allocator.allocated(slots.size, scan)


def remade(found: ClassicMap, entries: int, allocator: Allocator) -> Estimate:
    """layout.MapView.remade: makemap, and the overflow buckets that keys need that by chance share a bucket."""
    size, B = found.rebuilt(entries, allocator), _exponent(found, entries)
    overflow = _overflow(found, B, entries, allocator)
    return Estimate(size + overflow.bytes, overflow.within)


def filled(found: ClassicMap, entries: int, structure: Structure, allocator: Allocator) -> Estimate:
    """layout.MapView.filled: an array for each doubling, with the overflow buckets that it had in the end."""
    size = found.rebuilt(entries, allocator)
    largest = _exponent(found, entries)
    last = _overflow(found, largest, entries, allocator)
    size, within = size + last.bytes, last.within
    for exponent in range(largest):
        size += found._array_bytes(1 << exponent, allocator)
        overflow = _overflow(found, exponent, limit_of(found, exponent), allocator)
        size, within = size + overflow.bytes, within + overflow.within
    return Estimate(size, within)


def oversized(found: ClassicMap, structure: Structure) -> bool:
    """layout.MapView.oversized."""
    return _exponent(found, structure.total.live) < found.B


def has_grown(found: ClassicMap, structure: Structure) -> bool | None:
    """layout.MapView.has_grown: nevacuate keeps the old buckets of the last growth."""
    if found.header["flags"] & SAME_SIZE_GROW or not found.B:
        return None
    moved = found.header["nevacuate"]
    if found.header["oldbuckets"] or moved == 1 << (found.B - 1):
        return True
    return None if moved else False


def reshaped(found: _Map, key: GoType, elem: GoType) -> _Map | None:
    """layout.MapView.reshaped."""
    shape, word = found.shape, found.target.arch.pointer_size
    if slots_of(shape, shape.key, shape.elem, word).size != shape.slots.size:
        return None
    slots = slots_of(shape, key, elem, word)
    return type(found)(found.target, replace(shape, slots=slots, overflow_off=slots.size - word), found.address)


def slots_of(shape: ClassicShape, key: GoType, elem: GoType, word: int) -> SlotShape:
    """Where a bucket has its parts: tophash, keys, elems, overflow pointer."""
    key_size, elem_size = (word if t.size > MAX_INLINE else t.size for t in (key, elem))
    elem_align = word if elem.size > MAX_INLINE else alignment(elem, word)
    elems_off = up(shape.slots.keys_off + SLOTS * key_size, elem_align)
    return replace(
        shape.slots,
        size=up(elems_off + SLOTS * elem_size, word) + word,
        key_stride=key_size,
        elems_off=elems_off,
        elem_stride=elem_size,
        key=key,
        elem=elem,
        indirect_key=key.size > MAX_INLINE,
        indirect_elem=elem.size > MAX_INLINE,
    )


def limit_of(found: ClassicMap, B: int) -> int:
    """Entries that 2^B buckets have when the next one makes them grow."""
    numerator, denominator = found.load_factor
    return max(numerator * ((1 << B) // denominator), SLOTS)


def _exponent(found: ClassicMap, entries: int) -> int:
    B = 0
    while entries > limit_of(found, B):
        B += 1
    return B


def _overflow(found: ClassicMap, B: int, keys: int, allocator: Allocator) -> Estimate:
    """Bytes of the overflow buckets, those that were allocated with the array apart, of 2^B buckets with so many
    keys."""
    shape, buckets, word = found.shape, 1 << B, found.target.arch.pointer_size
    wanted = buckets * _chained(keys / buckets)
    if not B or wanted < 1e-4:
        return Estimate(0)
    chance = DEVIATIONS * sqrt(wanted) + 1
    each = allocator.allocated(shape.slots.size, shape.scan)
    # Where buckets have no pointers, a slice that append has made longer and longer keeps them alive, and a mapextra
    # the slice: hmap.createOverflow.
    listed = 0 if shape.scan else (3 * ceil(wanted + chance) + 32) * word
    spare = found.array_buckets(B, allocator) - buckets
    if wanted + chance <= spare:
        return Estimate(listed // 2, -(-listed // 2))
    return Estimate(round(max(wanted - spare, 0) * each) + listed // 2, ceil(chance * each) + listed)


def _chained(mean: float) -> float:
    """Overflow buckets that a bucket has on average where `mean` keys are expected in each."""
    total, one = 0.0, exp(-mean)
    for keys in range(MOST_KEYS):
        total += one * max(-(-keys // SLOTS) - 1, 0)
        one *= mean / (keys + 1)
    return total
