"""Live entries of a map by the thousand: keys, elems and their fields as columns, from which rows are selected.

Only an entry that is shown becomes a Python object.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.slots import MAX_ITEM, Columns, columns
from gomap.gotypes import GoType
from gomap.memory import Memory
from gomap.reads import scattered

INTEGERS = {1: "b", 2: "h", 4: "i", 8: "q"}
#: Bytes of what one column's pointers lead to that are read together.
MAX_BEHIND = 16 << 20


@dataclass(frozen=True)
class Column:
    """A value of type t in each row: in the slots of buckets, `offset` bytes into each, or listed; None for one that
    can't be read."""

    type: GoType
    order: str
    cells: Columns | None = None
    offset: int = 0
    stride: int = 0
    listed: Sequence[bytes | None] = ()

    def items(self) -> Sequence[bytes | None]:
        """The bytes of each value; None where it can't be read."""
        if self.cells is None:
            return self.listed
        return self.cells.items(self.offset, self.stride, self.type.size)

    def part(self, t: GoType, offset: int) -> Column:
        """A field, or words of the value."""
        if self.cells is not None:
            return replace(self, type=t, offset=self.offset + offset)
        end = offset + t.size
        return replace(self, type=t, listed=[None if one is None else one[offset:end] for one in self.listed])

    def numbers(self, size: int, signed: bool) -> Sequence[int | None]:
        """The integers of `size` bytes that the values begin with."""
        code = INTEGERS[size] if signed else INTEGERS[size].upper()
        if self.cells is not None:
            return self.cells.words(self.offset, self.stride, code)
        order: Any = self.order
        return [None if one is None else int.from_bytes(one[:size], order, signed=signed) for one in self.listed]

    def floats(self) -> Sequence[float | None]:
        """The values as floats; None where one can't be read."""
        form = struct.Struct(("<" if self.order == "little" else ">") + {4: "f", 8: "d"}[self.type.size])
        return [None if one is None else form.unpack(one)[0] for one in self.items()]

    def behind(self, memory: Memory, word: int, t: GoType) -> Column:
        """What the pointers that the values begin with lead to: values of type t."""
        pointers = [pointer or 0 for pointer in self.numbers(word, False)]
        found: dict[int, bytes | None] = {0: None}
        if 0 < t.size <= MAX_ITEM:
            every = sorted(set(pointers) - {0})
            step = max(MAX_BEHIND // t.size, 1)
            for i in range(0, len(every), step):
                found.update(scattered(memory, every[i : i + step], t.size))
        elif not t.size:
            found.update((pointer, b"") for pointer in pointers if pointer)
        return Column(t, self.order, listed=[found.get(pointer) for pointer in pointers])


@dataclass(frozen=True)
class Rows:
    """Live entries of some buckets. numbers: of their buckets."""

    key: GoType
    elem: GoType
    memory: Memory
    cells: Columns
    old: bool
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def keys(self) -> Column:
        """The keys of the entries."""
        shape = self.cells.shape
        return self._column(self.key, shape.keys_off, shape.key_stride, shape.indirect_key)

    def elems(self) -> Column:
        """The elems of the entries."""
        shape = self.cells.shape
        return self._column(self.elem, shape.elems_off, shape.elem_stride, shape.indirect_elem)

    def _column(self, t: GoType, offset: int, stride: int, indirect: bool) -> Column:
        found = Column(t, self.cells.arch.byte_order, self.cells, offset, stride)
        return found.behind(self.memory, self.cells.arch.pointer_size, t) if indirect else found

    def slots(self) -> Sequence[int]:
        """The slot (0 to 7) of each entry in its bucket or group."""
        return list(compress(list(range(SLOTS)) * (len(self.cells.live) // SLOTS), self.cells.live))

    def kept(self, keep: Sequence[bool]) -> Rows:
        """Those for which keep has True."""
        if all(keep):
            return self
        live = bytearray(self.cells.live)
        places = compress(range(len(live)), self.cells.live)
        for place, wanted in zip(places, keep):
            live[place] = wanted
        numbers = list(compress(self.numbers, keep))
        return replace(self, cells=replace(self.cells, live=bytes(live)), numbers=numbers)

    def each(self, indices: Iterable[int]) -> list[Rows]:
        """Some rows, each without the bytes of the others' buckets."""
        places = list(compress(range(len(self.cells.live)), self.cells.live))
        return [self._at(places[index], self.numbers[index]) for index in indices]

    def _at(self, place: int, number: int) -> Rows:
        bucket, size = place // SLOTS, self.cells.shape.size
        live = bytearray(SLOTS)
        live[place % SLOTS] = 1
        cells = replace(self.cells, data=self.cells.data[bucket * size : (bucket + 1) * size], live=bytes(live))
        return replace(self, cells=cells, numbers=[number])

    def first(self, count: int) -> Rows:
        """The first `count` entries."""
        return self if len(self) <= count else self.kept([i < count for i in range(len(self))])


def rows_of(t: GoType, found: MapView) -> Iterator[Rows]:
    """The map's live entries in the order of found.entries(), some thousand at a time, fewer where keys or elems are
    large and lie behind pointers."""
    shape, target = found.shape.slots, found.target
    behind = t.key.size * shape.indirect_key + t.elem.size * shape.indirect_elem
    for buckets, old in found.windows():
        most = max(MAX_BEHIND // (SLOTS * behind), 1) if behind else len(buckets)
        for start in range(0, len(buckets), max(most, 1)):
            window = buckets[start : start + most]
            cells = columns(target.arch, shape, window, found.marks.live)
            numbers = [bucket[0] for bucket in window]
            yield Rows(t.key, t.elem, target.memory, cells, old, cells.spread(lambda _, n=numbers: n))  # type: ignore[misc]
