"""Where in one map an address lies: in its header, its arrays, a slot of a bucket."""

from __future__ import annotations

from dataclasses import replace

from gomap.columns.marks import SLOTS
from gomap.errors import MemoryFault
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.spot import BUCKETS, Spot
from gomap.golang.runtime.malloc import Allocator


def in_map(one: MapView, address: int, rules: Allocator) -> Spot | None:
    """Where in that map's header, arrays and tables the address lies. Raises GomapError."""
    return head(one, address, rules, None) or inner(one, address, rules, None)


def head(one: MapView, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """The header and what it points to."""
    return _in_bucket(one, one.head(address, rules), address)


def inner(one: MapView, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """The parts that are allocated separately."""
    return _in_bucket(one, one.inner(address, rules, object_size), address)


def _in_bucket(one: MapView, spot: Spot | None, address: int) -> Spot | None:
    """With the slot and part of the bucket at spot.at that address lies in, where that is a bucket."""
    if spot is None or spot.array not in BUCKETS:
        return spot
    slots, word = one.shape.slots, one.target.arch.pointer_size
    offset = address - spot.at
    slot, part = None, None
    if offset < SLOTS:
        slot = slots.mark_offset(offset)
        part = one.terms.column
    elif one.shape.overflow_off is not None and 0 <= offset - one.shape.overflow_off < word:
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
            state = one.state(one.target.memory.read(spot.at + slots.mark_offset(slot), 1)[0])
        except MemoryFault:
            state = None
    return replace(spot, slot=slot, part=part, state=state)
