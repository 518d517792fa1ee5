"""What a Swiss map would hold with another history, or with keys and elems of other types.

Follows internal/runtime/maps: NewMap, growToSmall, growToTable, table.rehash, split, installTableSplit; the group's
type is cmd/compile/internal/reflectdata/map.go's MapGroupType, laid out by cmd/compile/internal/types CalcStructSize.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, exp, lgamma, log, sqrt
from typing import TypeVar

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.slots import MAX_INLINE, SlotShape
from gomap.golang.layouts.structure import Estimate, Structure
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.layouts.swiss.shape import MAX_LOAD_DEN, MAX_LOAD_NUM, MAX_TABLE_CAPACITY, SwissShape
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType, alignment, up

_Map = TypeVar("_Map", bound=SwissMap)
#: Slots of the table that takes a small map's place.
FIRST_TABLE = 2 * SLOTS
#: What a table takes before it splits, and how full all tables together are at least that have split on growing: half
#: of that, less what chance takes.
FULL = MAX_TABLE_CAPACITY * MAX_LOAD_NUM // MAX_LOAD_DEN
LEAST_LOAD = 0.42
#: From this number of pairs of tables on, their order in memory shows whether make or growth made them; the second is
#: the percentage of pairs that are then in order.
MANY_PAIRS, IN_ORDER = 15, 90
#: Standard deviations that chance is believed to stay within.
DEVIATIONS = 5
#: The sum of probabilities stops after so many terms.
TERMS = 256


def arrays_size(found: SwissMap, structure: Structure, allocator: Allocator) -> int:
    """layout.MapView.arrays_size: of groups; tables and the directory are alike whatever lies in them."""
    slots, scan = found.shape.slots, found.shape.scan
    if found.small:
        return allocator.allocated(structure.main.buckets * slots.size, scan)
    return sum(allocator.allocated(table.groups * slots.size, scan) for table in structure.tables)


def remade(found: SwissMap, entries: int, allocator: Allocator) -> Estimate:
    """layout.MapView.remade: NewMap, and the tables that split because by chance they get more keys than they take."""
    size = found.rebuilt(entries, allocator)
    wanted = entries * MAX_LOAD_DEN // MAX_LOAD_NUM
    tables = 1 << max(-(-wanted // MAX_TABLE_CAPACITY) - 1, 0).bit_length()
    if entries <= SLOTS or tables == 1:
        return Estimate(size)
    split = tables * _above(FULL, entries / tables)
    if split < 1e-4:
        return Estimate(size)
    each, word = _table(found, MAX_TABLE_CAPACITY, allocator), found.target.arch.pointer_size
    directory = allocator.allocated(2 * tables * word, True) - allocator.allocated(tables * word, True)
    return Estimate(
        size + round(split * each + directory * min(split, 1)),
        ceil((DEVIATIONS * sqrt(split) + 1) * each) + directory,
    )


def filled(found: SwissMap, entries: int, structure: Structure, allocator: Allocator) -> Estimate:
    """layout.MapView.filled. Each table but the first comes from a split, which makes two for one."""
    shape, word = found.shape, found.target.arch.pointer_size
    size = allocator.allocated(shape.header.size, True)
    if not structure.main.buckets:
        return Estimate(size)
    size += allocator.allocated(shape.slots.size, shape.scan)
    if found.small:
        return Estimate(size)
    largest = max((table.capacity for table in structure.tables), default=FIRST_TABLE)
    capacity = FIRST_TABLE
    while capacity <= largest:
        size += _table(found, capacity, allocator)
        capacity *= 2
    size += 2 * (len(structure.tables) - 1) * _table(found, MAX_TABLE_CAPACITY, allocator)
    for depth in range(found.header["globalDepth"] + 1):
        size += allocator.allocated((1 << min(depth, 32)) * word, True)
    return Estimate(size)


def oversized(found: SwissMap, structure: Structure) -> bool:
    """layout.MapView.oversized."""
    live = structure.total.live
    if found.small or not structure.tables:
        return False
    slots = sum(table.capacity for table in structure.tables)
    if len(structure.tables) > 1:
        return live < LEAST_LOAD * slots
    return live <= SLOTS or (slots > FIRST_TABLE and live <= slots // 2 * MAX_LOAD_NUM // MAX_LOAD_DEN)


def has_grown(found: SwissMap, structure: Structure) -> bool | None:
    """layout.MapView.has_grown. NewMap allocates all tables one after another, so their groups are in order; a split
    allocates two, which are neighbours, when it comes to it. So pairs of neighbours that no split made tell."""
    tables = structure.tables
    depth = min((table.local_depth for table in tables), default=0)
    shift = max(found.header["globalDepth"] - depth, 0)  # less than 0 in a corrupt map
    first = {table.index >> shift: table.groups_address for table in tables if table.local_depth == depth}
    pairs = [(at, first[i + 1]) for i, at in first.items() if i % 2 and i + 1 in first]
    if len(pairs) < MANY_PAIRS:
        return None
    return False if sum(a < b for a, b in pairs) * 100 >= IN_ORDER * len(pairs) else None


def reshaped(found: _Map, key: GoType, elem: GoType) -> _Map | None:
    """layout.MapView.reshaped."""
    shape, word = found.shape, found.target.arch.pointer_size
    if slots_of(shape, shape.key, shape.elem, word).size != shape.slots.size:
        return None
    other = replace(shape, slots=slots_of(shape, key, elem, word))
    return type(found)(found.target, other, found.address)


def slots_of(shape: SwissShape, key: GoType, elem: GoType, word: int) -> SlotShape:
    """Where a group of this map's kind has its parts. A struct that ends in a field without size is a byte larger."""
    (key_size, key_align), (elem_size, elem_align) = _stored(key, word), _stored(elem, word)
    if shape.group == "split":
        keys_off, key_stride = SLOTS, key_size
        elems_off, elem_stride = up(keys_off + SLOTS * key_size, elem_align), elem_size
        end = elems_off + SLOTS * elem_size + (not elem_size)
    else:
        elem_off = up(key_size, elem_align)
        stride = up(elem_off + elem_size + (not elem_size and elem_off > 0), max(key_align, elem_align))
        keys_off, key_stride = SLOTS, stride
        elems_off, elem_stride = SLOTS + elem_off, stride
        end = SLOTS + SLOTS * stride + (not stride)
    return replace(
        shape.slots,
        size=up(end, max(word, key_align, elem_align)),
        keys_off=keys_off,
        key_stride=key_stride,
        elems_off=elems_off,
        elem_stride=elem_stride,
        key=key,
        elem=elem,
        indirect_key=key.size > MAX_INLINE,
        indirect_elem=elem.size > MAX_INLINE,
    )


def _stored(t: GoType, word: int) -> tuple[int, int]:
    """(bytes, alignment) of what a slot has of a type."""
    return (word, word) if t.size > MAX_INLINE else (t.size, alignment(t, word))


def _table(found: SwissMap, capacity: int, allocator: Allocator) -> int:
    """Bytes of a table and its groups."""
    groups = allocator.allocated(capacity // SLOTS * found.shape.slots.size, found.shape.scan)
    return allocator.allocated(found.shape.table.size, True) + groups


def _above(limit: int, mean: float) -> float:
    """The probability that of keys that fall anywhere more than `limit` fall where `mean` are expected."""
    return sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(limit + 1, limit + TERMS)) if mean > 0 else 0.0
