"""The bytes of a bucket (group), slot by slot: marks, keys, padding, elems, overflow pointer."""

from __future__ import annotations

from typing import Callable

from gomap.errors import BadExpression
from gomap.golang.classic import ClassicMap
from gomap.golang.marks import SLOTS
from gomap.golang.slots import MAX_ITEM
from gomap.golang.structure import Structure
from gomap.gotypes import GoType
from gomap.maps import MapView
from gomap.report import Facts, Section, Table
from gomap.target import Target
from gomap.values import UNREADABLE, Limits, Values

MAX_BUCKETS = 64
MAX_CHAIN = 8
SHOWN_BYTES = 8
#: runtime/map.go: the tophash values that are no hash.
_TOPHASH = {0: "emptyRest", 1: "emptyOne", 2: "evacuatedX", 3: "evacuatedY", 4: "evacuatedEmpty"}
_CTRL = {0x80: "empty", 0xFE: "deleted (tombstone)"}


def bucket_sections(
    target: Target, found: MapView, structure: Structure, wanted: tuple[int, int], depth: int
) -> list[Section]:
    """Drawings of main buckets (groups) wanted[0] to wanted[1], with their overflow buckets."""
    first, last = wanted
    what = "bucket" if isinstance(found, ClassicMap) else "group"
    if last >= structure.main.buckets:
        raise BadExpression(f"there is no {what} {last}: the map has {structure.main.buckets:,}")
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
            if not isinstance(found, ClassicMap):
                break
            address = target.arch.pointer(data, found.shape.overflow_off)
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
    classic = isinstance(found, ClassicMap)
    parts = [f"8 {'tophash' if classic else 'control'} bytes"]
    parts += [f"{_part('keys', slots.key, slots.indirect_key)} from +{slots.keys_off} every {slots.key_stride}"]
    parts += [f"{_part('elems', slots.elem, slots.indirect_elem)} from +{slots.elems_off} every {slots.elem_stride}"]
    if isinstance(found, ClassicMap):
        pointer = values.target.arch.pointer(data, found.shape.overflow_off)
        parts.append(f"overflow +{found.shape.overflow_off}: {pointer:#x}" if pointer else "no overflow")
    rows = []
    for slot in range(SLOTS):
        mark = data[slots.mark_offset(slot)]
        live = mark >= 5 if classic else mark < 0x80
        state = "live" if live else (_TOPHASH if classic else _CTRL).get(mark, "?")
        key_at = slots.keys_off + slot * slots.key_stride
        elem_at = slots.elems_off + slot * slots.elem_stride
        key = _content(values.key_text, target, slots.key, slots.indirect_key, data, key_at, live)
        elem = _content(values.text, target, slots.elem, slots.indirect_elem, data, elem_at, live)
        rows.append((str(slot), f"{mark:02x}", state, f"+{key_at}", key, f"+{elem_at}", elem))
    heading = f"{address:#x}, {slots.size} bytes: " + ", ".join(parts)
    headings = ("slot", "tophash" if classic else "ctrl", "state", "at", "key", "at", "elem")
    return [Facts([(title, heading)]), Table(headings, rows, frozenset({0, 3, 5}), frozenset({4, 6}))]


def _part(what: str, t: GoType, indirect: bool) -> str:
    return f"{what} of {t.size} bytes behind pointers" if indirect else f"{what} of {t.size}"


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
