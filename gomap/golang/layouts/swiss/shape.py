"""Where maps.Map, its tables and groups have their parts, told by their fields: Map, table, groupReference of
internal/runtime/maps, and MapGroupType of cmd/compile/internal/reflectdata/map.go."""

from __future__ import annotations

from dataclasses import dataclass

from gomap.columns.marks import mark_code
from gomap.golang.layouts.slots import SlotShape, SlottedShape, check_fields, check_slots, member, stored_type
from gomap.gotypes import GoType
from gomap.target import Arch

HEADER_FIELDS = frozenset("used seed dirPtr dirLen globalDepth globalShift writing clearSeq".split())
OPTIONAL_FIELDS = frozenset({"tombstonePossible"})  # from Go 1.25 on

CTRL_EMPTY, CTRL_DELETED = 0x80, 0xFE
MARKS = mark_code(live=range(0x80), empty=CTRL_EMPTY, tombstone=CTRL_DELETED)
TABLE_FIELDS = ("index", "localDepth", "capacity", "used", "growthLeft")
MAX_TABLE_CAPACITY = 1024  # maxTableCapacity
MAX_LOAD_NUM, MAX_LOAD_DEN = 7, 8  # maxAvgGroupLoad / abi.MapGroupSlots
MAX_DIRECTORY = 1 << 24


@dataclass(frozen=True)
class SwissShape(SlottedShape):
    """slots.size is the group's size. header, table: Map and table as debug information has them."""

    table: GoType
    group: str
    key_path: tuple[str, ...]
    elem_path: tuple[str, ...]
    layout: str = "swiss"
    overflow_off: int | None = None


def detect(header: GoType, arch: Arch) -> SwissShape | None:
    """The shape, if `header` has the fields of maps.Map. Raises UnsupportedLayout for an unknown group."""
    names = {f.name for f in header.fields}
    if not (HEADER_FIELDS <= names <= HEADER_FIELDS | OPTIONAL_FIELDS):
        return None
    _, directory = member(header, "dirPtr")
    table = directory.elem.elem
    _, groups = member(table, "groups")
    _, data = member(groups, "data")
    check_fields(header, names)
    check_fields(table, TABLE_FIELDS, ("groups",))
    check_fields(groups, ("data", "lengthMask"))
    group = data.elem
    member(group, "ctrl")
    if group.field("slots"):
        base, slots = member(group, "slots")
        slot = slots.elem
        key_off, key = member(slot, "key")
        elem_off, elem = member(slot, "elem")
        keys_off, elems_off = base + key_off, base + elem_off
        key_stride = elem_stride = slot.size
        kind, to_key, to_elem = "interleaved", ["slots", "*", "key"], ["slots", "*", "elem"]
    else:
        keys_off, keys = member(group, "keys", "slots")
        elems_off, elems = member(group, "elems")
        key, elem = keys.elem, elems.elem
        key_stride, elem_stride = key.size, elem.size
        kind, to_key, to_elem = "split", ["keys", "*"], ["elems", "*"]
    key, indirect_key = stored_type(header.name, key, True)
    elem, indirect_elem = stored_type(header.name, elem, False)
    shape = SlotShape(
        size=group.size,
        keys_off=keys_off,
        key_stride=key_stride,
        elems_off=elems_off,
        elem_stride=elem_stride,
        key=key,
        elem=elem,
        indirect_key=indirect_key,
        indirect_elem=indirect_elem,
        # The control word is one integer; its first byte in memory is slot 7's on big-endian machines.
        reversed_marks=arch.byte_order == "big",
    )
    check_slots(header.name, shape, arch.pointer_size)
    to_group = ("dirPtr", "*", "*", "groups", "data", "*")
    return SwissShape(header, shape, table, kind, (*to_group, *to_key), (*to_group, *to_elem))
