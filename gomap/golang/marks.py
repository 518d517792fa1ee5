"""The eight bytes in front of every bucket (tophash) and group (control word), counted by column.

An array of buckets is a matrix of bytes. Its eight mark columns are cut out with one slice each,
turned into 0 and 1 by bytes.translate, and added up as big integers: a sum of eight ones never
carries into the next byte, so one addition counts the live slots of every bucket of the chunk.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass, field

SLOTS = 8  # internal/abi.MapBucketCount, internal/abi.MapGroupSlots
#: Cells of the picture that shows how full the buckets are along the array.
CELLS = 64


@dataclass(frozen=True)
class MarkCode:
    """How one layout writes the state of a slot into its mark byte."""

    live: bytes  # translation table: 1 for the marks of live slots, else 0
    empty: tuple[int, ...]
    tombstone: tuple[int, ...]
    evacuated: tuple[int, ...]


def mark_code(live: range, empty: int, tombstone: int, evacuated: tuple[int, ...] = ()) -> MarkCode:
    table = bytes(1 if mark in live else 0 for mark in range(256))
    return MarkCode(table, (empty,), (tombstone,), evacuated)


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
            if cell < len(self.live):
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
        columns = [data[slot::stride] for slot in range(SLOTS)]
        if len(data) % stride:  # a bucket cut short: its later columns are shorter
            whole = len(data) // stride
            columns = [column[:whole] for column in columns]
        count = len(columns[0])
        total = 0
        for column in columns:
            total += int.from_bytes(column.translate(code.live), "little")
        counts = total.to_bytes(count, "little")
        live = 0
        for k in range(SLOTS + 1):
            here = counts.count(k)
            self.fill[k] += here
            live += k * here
        empty = sum(column.count(mark) for column in columns for mark in code.empty)
        tombstones = sum(column.count(mark) for column in columns for mark in code.tombstone)
        evacuated = sum(column.count(mark) for column in columns for mark in code.evacuated)
        self.buckets += count
        self.live += live
        self.empty += empty
        self.tombstones += tombstones
        self.evacuated += evacuated
        self.strange += count * SLOTS - live - empty - tombstones - evacuated
        return counts

    def include(self, other: Tally) -> None:
        """Adds the slots of other; its buckets keep out of `fill`, which speaks of main buckets alone."""
        self.live += other.live
        self.empty += other.empty
        self.tombstones += other.tombstones
        self.evacuated += other.evacuated
        self.strange += other.strange


def words(data: bytes, offset: int, stride: int, size: int, byte_order: str) -> list[int]:
    """The `size`-byte word at `offset` of every element of `stride` bytes."""
    code = "Q" if size == 8 else "I"
    if offset % size or stride % size or len(data) % size:
        return [
            int.from_bytes(data[at : at + size], byte_order)  # type: ignore[arg-type]
            for at in range(offset, len(data) - size + 1, stride)
        ]
    column = memoryview(data).cast(code)[offset // size :: stride // size]
    if byte_order == sys.byteorder:
        return column.tolist()
    swapped = array(code, column.tolist())
    swapped.byteswap()
    return swapped.tolist()
