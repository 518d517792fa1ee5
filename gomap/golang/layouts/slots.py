"""Where keys and elems lie in a bucket or group: the one shape that all layouts share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress, islice
from struct import calcsize
from typing import Any, TypeVar

from gomap.columns.marks import SLOTS
from gomap.columns.plain import words
from gomap.errors import UnsupportedLayout
from gomap.golang.layouts.structure import MapEntry
from gomap.gotypes import GoType, Kind, has_pointers
from gomap.memory import Buffer, Memory
from gomap.reads import gather
from gomap.target import MAX_RECORD, Arch

T = TypeVar("T")

MAX_INLINE = 128  # internal/abi.MapMaxKeyBytes and MapMaxElemBytes (classic and Swiss)


@dataclass(frozen=True)
class SlotShape:
    """Bytes from the start of a bucket (group) of `size` bytes: slot i's key is at keys_off + i * key_stride.

    indirect_key, indirect_elem: the slot holds a pointer to it (over internal/abi.MapMaxKeyBytes).
    """

    size: int
    keys_off: int
    key_stride: int
    elems_off: int
    elem_stride: int
    key: GoType
    elem: GoType
    indirect_key: bool
    indirect_elem: bool
    reversed_marks: bool = False  # slot i's mark is byte 7 - i

    def mark_offset(self, slot: int) -> int:
        """Offset of a slot's mark in its bucket or group, in bytes. Groups of big-endian machines have the control
        word's bytes in reverse (internal/runtime/maps/group.go, ctrlGroup.get)."""
        return 7 - slot if self.reversed_marks else slot

    @cached_property
    def scan(self) -> bool:
        """Whether slots contain pointers for the collector."""
        return self.indirect_key or self.indirect_elem or has_pointers(self.key) or has_pointers(self.elem)


def behind(shape: SlotShape, arch: Arch, data: Buffer) -> Iterator[tuple[str, Sequence[int]]]:
    """The pointers to keys and elems that are stored indirectly, of all slots in whole buckets (groups)."""
    for what, is_indirect, offset, stride in (
        ("key", shape.indirect_key, shape.keys_off, shape.key_stride),
        ("elem", shape.indirect_elem, shape.elems_off, shape.elem_stride),
    ):
        for slot in range(SLOTS if is_indirect else 0):
            yield what, words(data, offset + slot * stride, shape.size, arch.pointer_size, arch.byte_order)


@dataclass(frozen=True)
class SlottedShape:
    """What the shapes of all layouts have: the header's type, and slots."""

    header: GoType
    slots: SlotShape

    @property
    def key(self) -> GoType:
        """The key type."""
        return self.slots.key

    @property
    def elem(self) -> GoType:
        """The elem type."""
        return self.slots.elem

    @property
    def scan(self) -> bool:
        """Whether buckets (groups) contain pointers for the collector, overflow pointers apart."""
        return self.slots.scan


#: A bucket or group has eight slots of a key and an elem, neither larger than MAX_INLINE.
MAX_BUCKET = 4096
#: Of runtime structs that are read as records.
INTEGERS = (1, 2, 4, 8)
#: A key or elem larger than this is not read: it is too long to show, and there may be many.
MAX_ITEM = 16 << 20
#: Bytes of keys and elems behind pointers that are fetched together.
MAX_FETCH = 4 << 20


def stored_type(header_name: str, stored: GoType, of_key: bool) -> tuple[GoType, bool]:
    """The type of a map's key (or elem) and whether it is stored indirectly.

    Debug information names the header `map<K,V>` (`hash<K,V>`) after the real types and gives the slot's own
    type: a pointer to K where K is stored indirectly (cmd/link/internal/ld/dwarf.go, synthesizemaptypes).
    """
    if stored.kind is Kind.POINTER and stored.lazy_elem is not None and stored.elem.size > MAX_INLINE:
        inner = header_name[header_name.find("<") + 1 : -1]
        real = stored.elem.name
        if inner.startswith(real + ",") if of_key else inner.endswith("," + real):
            return stored.elem, True
    return stored, False


def member(t: GoType, *names: str) -> tuple[int, GoType]:
    """Offset and type of the struct's field that has one of these names."""
    for name in names:
        found = t.field(name)
        if found is not None:
            return found.offset, found.type
    have = ", ".join(f.name for f in t.fields) or "none"
    raise UnsupportedLayout(f"{t.name} has no field {' or '.join(names)} (it has: {have})")


def check_slots(name: str, slots: SlotShape, word: int) -> None:
    """Raises UnsupportedLayout where debug information says of buckets (groups) what none can be."""
    key, elem = (word if slots.indirect_key else slots.key.size), (word if slots.indirect_elem else slots.elem.size)
    inside = all(
        off >= SLOTS and stride >= size and off + (SLOTS - 1) * stride + size <= slots.size
        for off, stride, size in ((slots.keys_off, slots.key_stride, key), (slots.elems_off, slots.elem_stride, elem))
    )
    if not inside or slots.size > MAX_BUCKET:
        raise UnsupportedLayout(f"{name}: its debug information has slots that do not fit into their bucket")


def check_fields(t: GoType, integers: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raises UnsupportedLayout where fields of a runtime struct are missing, no integers, outside of the struct,
    or over each other."""
    integers, end = set(integers), 0
    if t.size > MAX_RECORD:
        raise UnsupportedLayout(f"{t.name}: its debug information gives it {t.size:,} bytes")
    for offset, of, name in sorted(((*member(t, n), n) for n in {*integers, *others}), key=lambda place: place[0]):
        if offset < end or offset + of.size > t.size or (name in integers and of.size not in INTEGERS):
            raise UnsupportedLayout(f"{t.name}: its debug information has a field {name} that does not fit")
        end = offset + of.size


#: Index, position in its chain, address and bytes of a bucket (group).
Bucket = tuple[int, int, int, bytes]


@dataclass(frozen=True)
class Columns:
    """The live slots of some buckets, in order, as columns: what they hold at one offset each.

    data: the buckets' bytes, one behind another. live: a byte for every slot, 1 or 0.
    """

    shape: SlotShape
    arch: Arch
    data: bytes
    live: bytes

    def first(self, count: int) -> Columns:
        """The same with no more than so many live slots."""
        if self.live.count(1) <= count:
            return self
        end = next(islice(compress(range(len(self.live)), self.live), count, None))
        return replace(self, live=self.live[:end].ljust(len(self.live), b"\0"))

    def spread(self, of_slot: Callable[[int], Sequence[T]]) -> list[T]:
        """of_slot(i) has a value for slot i of every bucket: those of live slots."""
        every: list[Any] = [None] * len(self.live)
        for slot in range(SLOTS):
            every[slot::SLOTS] = of_slot(slot)
        return list(compress(every, self.live))

    def words(self, offset: int, stride: int, code: str) -> list[int]:
        """The integers (code: of struct) at offset + slot * stride."""
        size, width = self.shape.size, calcsize("=" + code)
        if self.arch.byte_order == sys.byteorder and not (offset % width or stride % width or size % width):
            every = memoryview(self.data).cast(code)  # type: ignore[call-overload]
            return self.spread(lambda slot: every[(offset + slot * stride) // width :: size // width].tolist())
        order: Any = self.arch.byte_order
        return [int.from_bytes(item, order, signed=code.islower()) for item in self.items(offset, stride, width)]

    def items(self, offset: int, stride: int, length: int) -> list[bytes]:
        """The `length` bytes at offset + slot * stride."""
        data, size = self.data, self.shape.size
        starts = self.spread(lambda slot: range(offset + slot * stride, len(data), size))
        return [data[start : start + length] for start in starts]


def columns(arch: Arch, shape: SlotShape, buckets: list[Bucket], live: bytes) -> Columns:
    """live: translation table, 1 for marks of live slots."""
    flags = b"".join([bucket[3][:SLOTS] for bucket in buckets]).translate(live)
    if shape.reversed_marks:
        ordered = bytearray(len(flags))
        for slot in range(SLOTS):
            ordered[slot::SLOTS] = flags[shape.mark_offset(slot) :: SLOTS]
        flags = bytes(ordered)
    return Columns(shape, arch, b"".join([bucket[3] for bucket in buckets]), flags)


def entries_of(
    memory: Memory,
    arch: Arch,
    shape: SlotShape,
    buckets: list[Bucket],
    live: bytes,
    old: bool,
) -> Iterator[MapEntry]:
    """Live entries of buckets given as (bucket index, chain position, address, bytes), in order.

    live: translation table, 1 for marks of live slots. Indirect keys and elems are fetched together, those
    of fewer buckets at a time where they are large.
    """
    behind = shape.key.size * shape.indirect_key + shape.elem.size * shape.indirect_elem
    step = max(MAX_FETCH // (8 * behind), 1) if behind else len(buckets)
    for start in range(0, len(buckets), max(step, 1)):
        found = []
        for bucket, depth, address, data in buckets[start : start + step]:
            marks = data[:8].translate(live)
            if not any(marks):
                continue
            for slot in range(8):
                if marks[shape.mark_offset(slot)]:
                    key_at = shape.keys_off + slot * shape.key_stride
                    elem_at = shape.elems_off + slot * shape.elem_stride
                    found.append((bucket, depth, slot, address, key_at, elem_at, data))
        keys = _indirect(memory, arch, [(d, k) for _, _, _, _, k, _, d in found], shape.key, shape.indirect_key)
        elems = _indirect(memory, arch, [(d, e) for _, _, _, _, _, e, d in found], shape.elem, shape.indirect_elem)
        for bucket, depth, slot, address, key_at, elem_at, data in found:
            key_address, key = _item(arch, shape.key, keys, address, key_at, data)
            elem_address, elem = _item(arch, shape.elem, elems, address, elem_at, data)
            yield MapEntry(bucket, slot, old, depth, key_address, elem_address, key, elem)


def _indirect(
    memory: Memory, arch: Arch, places: list[tuple[bytes, int]], t: GoType, indirect: bool
) -> dict[int, bytes | None] | None:
    if not indirect:
        return None
    if t.size > MAX_ITEM:
        return {}
    pointers = {arch.pointer(data, at) for data, at in places}
    found = gather(memory, sorted(pointers), t.size)
    return {address: None if data is None else bytes(data) for address, data in found}


def _item(
    arch: Arch, t: GoType, fetched: dict[int, bytes | None] | None, address: int, at: int, data: bytes
) -> tuple[int, bytes | None]:
    if fetched is None:
        return address + at, data[at : at + t.size]
    pointer = arch.pointer(data, at)
    return pointer, fetched.get(pointer)
