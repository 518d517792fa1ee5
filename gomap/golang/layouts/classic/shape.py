"""Where runtime.hmap and its buckets have their parts, told by their fields: hmap, bmap of runtime/map.go."""

from __future__ import annotations

from dataclasses import dataclass

from gomap.columns.marks import mark_code
from gomap.golang.layouts.slots import SlotShape, SlottedShape, check_fields, check_slots, member, stored_type
from gomap.gotypes import GoType
from gomap.target import Arch

HEADER_FIELDS = frozenset("count flags B noverflow hash0 buckets oldbuckets nevacuate extra".split())
#: Since Go 1.24 clear counts itself, in the header of classic maps too (runtime/map_noswiss.go).
OPTIONAL_FIELDS = frozenset({"clearSeq"})

ITERATOR, OLD_ITERATOR, HASH_WRITING, SAME_SIZE_GROW = 1, 2, 4, 8
FLAG_NAMES = (
    (ITERATOR, "iterator"),
    (OLD_ITERATOR, "old-iterator"),
    (HASH_WRITING, "writing"),
    (SAME_SIZE_GROW, "same-size-grow"),
)
#: Values of tophash that are marks and not hashes.
EMPTY_REST, EMPTY_ONE, MIN_TOPHASH = 0, 1, 5
EVACUATED = (2, 3, 4)  # evacuatedX, evacuatedY, evacuatedEmpty
MARKS = mark_code(live=range(MIN_TOPHASH, 256), empty=EMPTY_REST, tombstone=EMPTY_ONE)
OLD_MARKS = mark_code(live=range(MIN_TOPHASH, 256), empty=EMPTY_REST, tombstone=EMPTY_ONE, evacuated=EVACUATED)

LOAD_NUM, LOAD_DEN = 13, 2  # loadFactorNum / loadFactorDen, where the program's own is not known
#: No map has a longer array: the header is corrupt.
MAX_BYTES = 1 << 46


@dataclass(frozen=True)
class ClassicShape(SlottedShape):
    """slots.size is the bucket's size; overflow_off the offset of its overflow pointer."""

    overflow_off: int
    layout: str = "classic"
    group: str | None = None
    key_path: tuple[str, ...] = ("buckets", "*", "keys", "*")
    elem_path: tuple[str, ...] = ("buckets", "*", "values", "*")


def detect(header: GoType, arch: Arch) -> ClassicShape | None:
    """The shape, if `header` has runtime.hmap's fields. Raises UnsupportedLayout for an unknown bucket."""
    names = {f.name for f in header.fields}
    if not (HEADER_FIELDS <= names <= HEADER_FIELDS | OPTIONAL_FIELDS):
        return None
    _, pointer = member(header, "buckets")
    bucket = pointer.elem
    keys_off, keys = member(bucket, "keys")
    elems_off, elems = member(bucket, "values", "elems")
    overflow_off, _ = member(bucket, "overflow")
    member(bucket, "tophash", "topbits")
    key, indirect_key = stored_type(header.name, keys.elem, True)
    elem, indirect_elem = stored_type(header.name, elems.elem, False)
    check_fields(header, names)
    slots = SlotShape(
        size=bucket.size,
        keys_off=keys_off,
        key_stride=keys.elem.size,
        elems_off=elems_off,
        elem_stride=elems.elem.size,
        key=key,
        elem=elem,
        indirect_key=indirect_key,
        indirect_elem=indirect_elem,
    )
    check_slots(header.name, slots, pointer.size)
    check_fields(bucket, ["overflow"])
    return ClassicShape(header, slots, overflow_off)
