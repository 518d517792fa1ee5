"""Many values at a time, with numpy: what plain.py does, in fewer passes."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable

from gomap.columns.marks import SLOTS, Buffer, MarkCode
from gomap.columns.plain import Numbers, PlainColumns, Rows
from gomap.errors import MemoryFault
from gomap.memory import CHUNK, Memory
from gomap.reads import GAP

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1
#: Bytes from which on numpy cuts marks out faster.
_LARGE = 1 << 16
#: How many bits each byte has.
_BITS = bytes(bin(byte).count("1") for byte in range(256))


class NumpyColumns(PlainColumns):
    """Numbers are arrays, keys are matrices of uint8."""

    def __init__(self, np: Any) -> None:
        self.np = np

    # -- marks of slots ----------------------------------------------------------------------------

    def _are_live(self, marks: Any, code: MarkCode) -> Any:
        return marks >= code.first_live if code.first_live else marks < 0x80

    def count_live(self, marks: bytes, code: MarkCode) -> int:
        """As PlainColumns.count_live, by numpy."""
        return int(self.np.count_nonzero(self._are_live(self.np.frombuffer(marks, self.np.uint8), code)))

    def fill(self, marks: bytes, code: MarkCode) -> tuple[list[int], bool]:
        """A byte for each bucket has a bit for each live slot."""
        np = self.np
        every = np.frombuffer(marks, np.uint8)
        buckets = np.bincount(np.packbits(self._are_live(every, code)), minlength=256)
        # Floats: exact up to 2^53.
        fill = np.bincount(np.frombuffer(_BITS, np.uint8), buckets, SLOTS + 1).astype(np.int64).tolist()
        live = sum(k * number for k, number in enumerate(fill))
        return fill, live + int(np.count_nonzero(every == code.empty)) == len(marks)

    def marks_of(self, data: Buffer, stride: int) -> bytes:
        """As PlainColumns.marks_of, by numpy."""
        if stride % SLOTS or len(data) < _LARGE:
            return super().marks_of(data, stride)
        whole = len(data) // stride
        words = self.np.frombuffer(data, self.np.uint64, whole * stride // SLOTS)
        marks: bytes = words[:: stride // SLOTS].tobytes()
        return marks

    def marks_of_arrays(self, data: Buffer, arrays: Sequence[tuple[int, int, int]], stride: int) -> list[bytes]:
        """As PlainColumns.marks_of_arrays, by numpy."""
        np, length = self.np, arrays[0][1]
        aligned = not (stride % SLOTS or len(data) % SLOTS)
        if len(arrays) < 3 or not aligned or any(at % SLOTS or n != length for at, n, _ in arrays):
            return super().marks_of_arrays(data, arrays, stride)
        starts = np.fromiter([at // SLOTS for at, _, _ in arrays], np.intp, len(arrays))
        buckets = np.arange(0, length // stride * stride // SLOTS, stride // SLOTS)
        marks: bytes = np.frombuffer(data, np.uint64)[starts[:, None] + buckets].tobytes()
        each = len(buckets) * SLOTS
        return [marks[i : i + each] for i in range(0, len(marks), each)] if each else [b""] * len(arrays)

    def live_slots(self, data: bytes, size: int, mirrored: bool, live: range) -> tuple[Numbers, Numbers, Numbers]:
        """As PlainColumns.live_slots, by numpy."""
        np = self.np
        marks = np.frombuffer(data, np.uint8).reshape(-1, size)[:, :SLOTS]
        if mirrored:
            marks = marks[:, ::-1]
        blocks, slots = np.nonzero((marks >= live.start) & (marks < live.stop))
        return blocks, slots.astype(np.uint8), marks[blocks, slots]

    # -- words -------------------------------------------------------------------------------------

    def nonzero_words(self, data: Buffer, offset: int, stride: int, size: int, byte_order: str) -> Iterable[int]:
        """As PlainColumns.nonzero_words, by numpy."""
        if offset % size or stride % size or len(data) % size or byte_order != sys.byteorder:
            return super().nonzero_words(data, offset, stride, size, byte_order)
        column = self.np.frombuffer(data, f"u{size}")[offset // size :: stride // size]
        found: list[int] = column[column != 0].tolist()
        return found

    def ascending(self, addresses: array[int]) -> list[int]:
        """As PlainColumns.ascending, by numpy."""
        return list(self.np.sort(self.np.frombuffer(addresses, self.np.uint64)).tolist())

    # -- keys --------------------------------------------------------------------------------------

    def rows(self, keys: Sequence[bytes], width: int) -> Rows:
        """As PlainColumns.rows, by numpy."""
        return self.np.frombuffer(b"".join(keys), self.np.uint8).reshape(len(keys), width)

    def cut(self, data: Buffer, places: Numbers, width: int) -> Rows:
        """As PlainColumns.cut, by numpy."""
        if not width:
            return self.np.zeros((len(places), 0), self.np.uint8)
        # Every position at which an object may start, as one row: only the wanted bytes are copied.
        flat = self.np.frombuffer(data, self.np.uint8)
        return self.np.lib.stride_tricks.sliding_window_view(flat, width)[places]

    def places(self, blocks: Numbers, size: int, offset: int, slots: Numbers, stride: int) -> Numbers:
        """As PlainColumns.places, by numpy."""
        return blocks * size + offset + slots.astype(self.np.int64) * stride

    def column(self, rows: Rows, offset: int, size: int, byte_order: str) -> Numbers:
        """uint32 for 4 bytes, uint64 for 8 and other sizes."""
        np = self.np
        column = np.ascontiguousarray(rows[:, offset : offset + size])
        if size in (4, 8):
            code = ("<" if byte_order == "little" else ">") + ("u4" if size == 4 else "u8")
            native = np.uint32 if size == 4 else np.uint64
            return column.view(code)[:, 0].astype(native, copy=False)
        value = np.zeros(len(column), np.uint64)
        for i in range(size):
            shift = 8 * (i if byte_order == "little" else size - 1 - i)
            value |= column[:, i].astype(np.uint64) << np.uint64(shift)
        return value

    def padded(self, rows: Rows, size: int) -> Rows:
        """The first `size` bytes of each row with zeros behind them, sixteen in all."""
        block = self.np.zeros((len(rows), 16), self.np.uint8)
        block[:, :size] = rows[:, :size]
        return block

    def fetch(self, memory: Memory, pointers: Numbers, size: int) -> tuple[Rows, Numbers]:
        """Neighbours are fetched in one read, as reads.gather does for a list."""
        np = self.np
        pointers = pointers.astype(np.uint64, copy=False)
        found, readable = np.zeros((len(pointers), size), np.uint8), np.ones(len(pointers), bool)
        if not size or not len(pointers):
            return found, readable
        order = np.argsort(pointers, kind="stable")
        ordered = pointers[order]
        for first, end in self.extents(ordered, ordered + np.uint64(size)):
            self._fetch_run(memory, ordered[first:end], size, order[first:end], found, readable)
        return found, readable

    def extents(self, starts: Numbers, ends: Numbers) -> Iterator[tuple[int, int]]:
        """reads.extents, of columns: objects of number first up to end are worth one read."""
        np = self.np
        reach = np.maximum.accumulate(ends)
        gaps = (np.flatnonzero(starts[1:] > reach[:-1] + np.uint64(GAP)) + 1).tolist()
        for first, end in zip([0, *gaps], [*gaps, len(starts)]):
            while first < end:
                limit = np.uint64(min(int(starts[first]) + CHUNK, MASK64))
                here = first + max(int(np.searchsorted(reach[first:end], limit, "right")), 1)
                yield first, here
                first = here

    def _fetch_run(self, memory: Memory, ordered: Any, size: int, rows: Any, found: Any, readable: Any) -> None:
        base, last = int(ordered[0]), int(ordered[-1])
        try:
            data = memory.read(base, last + size - base)
        except MemoryFault:
            if len(rows) == 1:
                readable[rows] = False
                return
            for i in range(len(rows)):
                self._fetch_run(memory, ordered[i : i + 1], size, rows[i : i + 1], found, readable)
            return
        found[rows] = self.cut(data, (ordered - self.np.uint64(base)).astype(self.np.intp), size)

    def pool(self, memory: Memory) -> Pool:
        """As PlainColumns.pool, by numpy."""
        return Pool(self, memory)

    # -- numbers -----------------------------------------------------------------------------------

    def numbers(self, values: Any) -> Numbers:
        """As PlainColumns.numbers, by numpy."""
        return self.np.asarray(values, self.np.uint64)[()]

    def zeros(self, count: int) -> Numbers:
        """As PlainColumns.zeros, by numpy."""
        return self.np.zeros(count, self.np.uint64)

    def where(self, chosen: Numbers, these: Numbers, others: Numbers | int) -> Numbers:
        """As PlainColumns.where, by numpy."""
        return self.np.where(chosen, these, others)

    def having(self, numbers: Numbers, value: int) -> Numbers:
        """As PlainColumns.having, by numpy."""
        return self.np.flatnonzero(numbers == value)

    def take(self, numbers: Sequence[Any] | Numbers, indices: Numbers) -> Numbers:
        """As PlainColumns.take, by numpy."""
        return self.np.asarray(numbers)[indices]

    def listed(self, numbers: Numbers) -> list[int]:
        """As PlainColumns.listed, by numpy."""
        found: list[int] = numbers.tolist()
        return found

    def failing(self, wanted: Callable[..., Any], *columns: Numbers) -> list[int]:
        """As PlainColumns.failing, by numpy."""
        return self.listed(self.np.flatnonzero(~wanted(*columns)))

    def alike(self, columns: Sequence[Numbers]) -> Iterator[list[int]]:
        """Only what occurs twice is looked at: sorting the values alone is much faster than sorting places too."""
        np = self.np
        numbers = np.concatenate(columns)
        ordered = np.sort(numbers)
        twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        if not len(twice):
            return iter(())
        indices = np.flatnonzero(np.isin(numbers, twice)).tolist()
        groups: dict[int, list[int]] = {}
        for i, number in zip(indices, numbers[indices].tolist()):
            groups.setdefault(number, []).append(i)
        return iter(groups.values())

    def joined(self, columns: Sequence[Numbers]) -> Numbers:
        """As PlainColumns.joined, by numpy."""
        return self.np.concatenate(columns)

    # -- arithmetic of hash functions --------------------------------------------------------------

    def product(self, a: Any, b: Any) -> Numbers:
        """High and low half of the 128-bit product, xored. a, b: columns, or an int for a column of equal ones."""
        np = self.np
        a, b = np.asarray(a, np.uint64), np.asarray(b, np.uint64)
        half, low = np.uint64(32), np.uint64(MASK32)
        a0, a1, b0, b1 = a & low, a >> half, b & low, b >> half
        middle = a1 * b0 + (a0 * b0 >> half)
        cross = a0 * b1 + (middle & low)
        return (a1 * b1 + (middle >> half) + (cross >> half)) ^ (a * b)

    def table(self, values: Sequence[int]) -> Numbers:
        """A table of 32-bit words."""
        return self.np.array(values, self.np.uint32)


class Pool:
    """Large blocks of the target's memory, kept while a map's keys are hashed batch by batch: a batch's keys lie
    in all corners of the heap, and the next batch's lie between them."""

    BLOCK = 1 << 16
    MOST = 3000  # blocks

    def __init__(self, columns: NumpyColumns, memory: Memory) -> None:
        self._columns, self._memory = columns, memory
        self._data = columns.np.zeros(64 * self.BLOCK, columns.np.uint8)
        self._places: dict[int, int] = {}  # number of a block -> where it is, -1 when it can't be read
        self._held = 0  # blocks in _data

    def fetch(self, pointers: Numbers, size: int) -> tuple[Rows, Numbers]:
        """As columns have it."""
        np, columns = self._columns.np, self._columns
        if size > self.BLOCK // 16 or len(pointers) < 512 or not size:
            return columns.fetch(self._memory, pointers, size)
        numbers = pointers // np.uint64(self.BLOCK)
        needed, which = np.unique(numbers, return_inverse=True)
        if len(self._places) + len(needed) > self.MOST:
            self._places.clear()
            self._held = 0
            if len(needed) > self.MOST:
                return columns.fetch(self._memory, pointers, size)
        bases = np.array([self._place(number) for number in needed.tolist()], np.int64)[which]
        offsets = (pointers - numbers * np.uint64(self.BLOCK)).astype(np.int64)
        inside = (bases >= 0) & (offsets + size <= self.BLOCK)
        found = columns.cut(self._data, np.where(inside, bases + offsets, 0), size)
        readable = np.ones(len(pointers), bool)
        rest = np.flatnonzero(~inside)
        if len(rest):
            found[rest], readable[rest] = columns.fetch(self._memory, pointers[rest], size)
        return found, readable

    def _place(self, number: int) -> int:
        place = self._places.get(number)
        if place is None:
            np = self._columns.np
            place = self._held * self.BLOCK
            try:
                block = self._memory.read(number * self.BLOCK, self.BLOCK)
            except MemoryFault:
                self._places[number] = -1
                return -1
            if place + self.BLOCK > len(self._data):
                self._data = np.concatenate([self._data, np.zeros(len(self._data), np.uint8)])
            self._data[place : place + self.BLOCK] = np.frombuffer(block, np.uint8)
            self._places[number], self._held = place, self._held + 1
        return place
