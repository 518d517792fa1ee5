"""The eight bytes in front of every bucket (tophash) and group (control word), counted by column.

An array of buckets is a matrix of bytes. Its eight mark columns are cut out with one slice each,
turned into 0 and 1 by bytes.translate, and added up as big integers: a sum of eight ones never
carries into the next byte, so one addition counts the live slots of every bucket of the chunk.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

SLOTS = 8  # internal/abi.MapBucketCount, internal/abi.MapGroupSlots
#: Cells of the picture that shows how full the buckets are along the array.
CELLS = 64


@dataclass(frozen=True)
class MarkCode:
    """How one layout writes the state of a slot into its mark byte."""

    live: bytes  # translation table: 1 for the marks of live slots, else 0
    weights: bytes  # the same with STRANGE for bytes that are no mark, so that one sum tells both
    empty: int
    tombstone: tuple[int, ...]
    evacuated: tuple[int, ...]


#: More than eight live slots add up to, and eight of it still fit into a byte.
STRANGE = 16


def mark_code(live: range, empty: int, tombstone: int, evacuated: tuple[int, ...] = ()) -> MarkCode:
    table = bytes(1 if mark in live else 0 for mark in range(256))
    known = {*live, empty, tombstone, *evacuated}
    weights = bytes(table[mark] if mark in known else STRANGE for mark in range(256))
    return MarkCode(table, weights, empty, (tombstone,), evacuated)


def _occurrences(columns: list[bytes], marks: tuple[int, ...]) -> int:
    """How often the marks occur. They are rare: looking for the first is far cheaper than counting."""
    return sum(column.count(mark) for mark in marks for column in columns if mark in column)


@dataclass
class Strip:
    """Live slots along the array, in at most CELLS cells of `per_cell` buckets each."""

    buckets: int
    per_cell: int = field(init=False)
    live: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.per_cell = max(-(-self.buckets // CELLS), 1)
        self.live = [0] * -(-self.buckets // self.per_cell)

    def add(self, first: int, counts: bytes) -> None:
        """counts[i] is the number of live slots of bucket first + i."""
        position = 0
        while position < len(counts):
            cell = (first + position) // self.per_cell
            end = min((cell + 1) * self.per_cell - first, len(counts))
            self.live[cell] += sum(counts[position:end])
            position = end

    def fractions(self) -> list[float]:
        """Each cell's share of occupied slots, 0..1."""
        full = [min(self.per_cell, self.buckets - i * self.per_cell) * SLOTS for i in range(len(self.live))]
        return [live / slots for live, slots in zip(self.live, full)]


@dataclass
class Tally:
    """What the marks of some buckets add up to. `fill[k]`: buckets with k live slots of their own."""

    buckets: int = 0
    fill: list[int] = field(default_factory=lambda: [0] * (SLOTS + 1))
    live: int = 0
    empty: int = 0
    tombstones: int = 0
    evacuated: int = 0
    strange: int = 0  # slots with a mark that the layout does not know

    @property
    def slots(self) -> int:
        return self.buckets * SLOTS

    def add(self, data: bytes, stride: int, code: MarkCode) -> bytes:
        """Counts the buckets of `stride` bytes in data; returns each one's number of live slots."""
        whole = len(data) // stride
        return self.add_columns([data[slot::stride][:whole] for slot in range(SLOTS)], code)

    def add_columns(self, columns: list[bytes], code: MarkCode) -> bytes:
        """The same for buckets whose marks are given as columns: the first slot's marks, the second's, ..."""
        whole = len(columns[0])
        counts, fill = _histogram(columns, code.weights)
        strange = 0
        if sum(fill) != whole:
            counts, fill = _histogram(columns, code.live)
            strange = sum(len(column.translate(None, _known_marks(code))) for column in columns)
        live = sum(k * buckets for k, buckets in enumerate(fill))
        tombstones = _occurrences(columns, code.tombstone)
        evacuated = _occurrences(columns, code.evacuated)
        self.fill = [a + b for a, b in zip(self.fill, fill)]
        self.buckets += whole
        self.live += live
        self.tombstones += tombstones
        self.evacuated += evacuated
        self.strange += strange
        # Every mark has a meaning: what is left over is empty and need not be counted.
        self.empty += whole * SLOTS - live - tombstones - evacuated - strange
        return counts

    def include(self, other: Tally) -> None:
        """Adds the slots of other; its buckets keep out of `fill`, which speaks of main buckets alone."""
        self.live += other.live
        self.empty += other.empty
        self.tombstones += other.tombstones
        self.evacuated += other.evacuated
        self.strange += other.strange


def _histogram(columns: list[bytes], weights: bytes) -> tuple[bytes, list[int]]:
    """(each bucket's sum of weights, how many buckets have 0, 1, ... 8)."""
    total = sum(int.from_bytes(column.translate(weights), "little") for column in columns)
    counts = total.to_bytes(len(columns[0]), "little")
    if _bit_count is None:
        return counts, [counts.count(k) for k in range(SLOTS + 1)]
    # A byte with k in it and 128 - n added to it has its highest bit set if k >= n.
    high, addends = _lanes(len(columns[0]))
    at_least = [len(counts), *(_bit_count((total + addend) & high) for addend in addends)]
    return counts, [more - less for more, less in zip(at_least, at_least[1:])]


_bit_count: Callable[[int], int] | None = getattr(int, "bit_count", None)  # from Python 3.10 on


@lru_cache(maxsize=64)
def _lanes(count: int) -> tuple[int, tuple[int, ...]]:
    """(128 in each of `count` bytes, 128 - n in each of them for n from 1 to SLOTS + 1)."""
    ones = int.from_bytes(b"\1" * count, "little")
    return ones * 128, tuple(ones * (128 - n) for n in range(1, SLOTS + 2))


def _known_marks(code: MarkCode) -> bytes:
    return bytes(mark for mark in range(256) if code.weights[mark] != STRANGE)


def words(data: bytes, offset: int, stride: int, size: int, byte_order: str) -> Sequence[int]:
    """The `size`-byte word at `offset` of every element of `stride` bytes."""
    code: Literal["Q", "I"] = "Q" if size == 8 else "I"
    if offset % size or stride % size or len(data) % size:
        return [
            int.from_bytes(data[at : at + size], byte_order)  # type: ignore[arg-type]
            for at in range(offset, len(data) - size + 1, stride)
        ]
    column = memoryview(data).cast(code)[offset // size :: stride // size]
    if byte_order == sys.byteorder:
        return column
    swapped = array(code, column)
    swapped.byteswap()
    return swapped
