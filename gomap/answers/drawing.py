"""The bytes of a bucket (group), slot by slot: marks, keys, padding, elems, overflow pointer."""

from __future__ import annotations

from typing import Callable

from gomap.columns.marks import SLOTS
from gomap.errors import BadExpression
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.slots import MAX_ITEM
from gomap.golang.layouts.structure import Structure
from gomap.gotypes import GoType
from gomap.report import Facts, Section, Table
from gomap.target import Target
from gomap.values import UNREADABLE, Limits, Values

MAX_BUCKETS = 64
MAX_CHAIN = 8
SHOWN_BYTES = 8


def bucket_sections(
    target: Target, found: MapView, structure: Structure, wanted: tuple[int, int], depth: int
) -> list[Section]:
    """Drawings of main buckets (groups) wanted[0] to wanted[1], with their overflow buckets."""
    first, last = wanted
    what, overflow_off = found.terms.bucket, found.shape.overflow_off
    if last >= structure.main.buckets:
        raise BadExpression(f"no {what} {last}: the map has {structure.main.buckets:,}")
    if last - first >= MAX_BUCKETS:
        raise BadExpression(f"{last - first + 1} {what}s are too many to draw: name at most {MAX_BUCKETS}")
    values = Values(target, Limits(depth=depth))
    sections: list[Section] = []
    for index in range(first, last + 1):
        address = _address(found, structure, index)
        title = f"{what} {index}"
        for chained in range(MAX_CHAIN):
            data = target.memory.read(address, found.shape.slots.size)
            sections += _draw(values, found, f"{title}{f' overflow {chained}' if chained else ''}", address, data)
            address = 0 if overflow_off is None else target.arch.pointer(data, overflow_off)
            if not address:
                break
    return sections


def _address(found: MapView, structure: Structure, index: int) -> int:
    size = found.shape.slots.size
    for table in structure.tables:
        if index < table.groups:
            return table.groups_address + index * size
        index -= table.groups
    return (structure.address or 0) + index * size


def _draw(values: Values, found: MapView, title: str, address: int, data: bytes) -> list[Section]:
    slots, target = found.shape.slots, values.target
    parts = [f"8 {found.terms.marks} bytes"]
    parts.append(_part("keys", slots.key, slots.indirect_key, slots.keys_off, slots.key_stride))
    parts.append(_part("elems", slots.elem, slots.indirect_elem, slots.elems_off, slots.elem_stride))
    overflow_off = found.shape.overflow_off
    if overflow_off is not None:
        pointer = values.target.arch.pointer(data, overflow_off)
        parts.append(f"overflow +{overflow_off}: {pointer:#x}" if pointer else "no overflow")
    rows = []
    for slot in range(SLOTS):
        mark = data[slots.mark_offset(slot)]
        live = bool(found.marks.live[mark])
        state = "live" if live else found.terms.states.get(mark, "?")
        key_at = slots.keys_off + slot * slots.key_stride
        elem_at = slots.elems_off + slot * slots.elem_stride
        key = _content(values.shown_key, target, slots.key, slots.indirect_key, data, key_at, live)
        elem = _content(values.shown, target, slots.elem, slots.indirect_elem, data, elem_at, live)
        rows.append((str(slot), f"{mark:02x}", state, f"+{key_at}", key, f"+{elem_at}", elem))
    heading = f"{address:#x}, {slots.size} bytes: " + ", ".join(parts)
    headings = ("slot", found.terms.column, "state", "at", "key", "at", "elem")
    return [Facts([(title, heading)]), Table(headings, rows, frozenset({0, 3, 5}), frozenset({4, 6}))]


def _part(what: str, t: GoType, indirect: bool, first: int, stride: int) -> str:
    where = f"at +{first}, +{first + stride}, ..."
    return f"pointers to {t.size}-byte {what} {where}" if indirect else f"{t.size}-byte {what} {where}"


def _content(
    text_of: Callable[[GoType, bytes], str],
    target: Target,
    t: GoType,
    indirect: bool,
    data: bytes,
    at: int,
    live: bool,
) -> str:
    arch = target.arch
    stored = data[at : at + (arch.pointer_size if indirect else t.size)]
    raw = stored[:SHOWN_BYTES].hex() + ("..." if len(stored) > SHOWN_BYTES else "")
    if not live:
        return raw if any(stored) else "-"
    if indirect:
        pointer = arch.pointer(stored)
        text = text_of(t, target.memory.read(pointer, t.size)) if t.size <= MAX_ITEM else UNREADABLE
        return f"{text} at {pointer:#x}"
    text = text_of(t, stored)
    return f"{text} = {raw}" if raw else text
