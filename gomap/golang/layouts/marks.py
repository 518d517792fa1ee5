"""The marks of a map's slots, added up: along its array, and all together."""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.columns.choose import counting
from gomap.columns.marks import SLOTS, MarkCode

#: Cells of the picture that shows how full the buckets are along the array.
CELLS = 64


@dataclass
class Strip:
    """Live slots along the array, in at most CELLS cells of `per_cell` buckets each: whole tables, if more than one."""

    buckets: int
    table: int = 1
    per_cell: int = field(init=False)
    live: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.per_cell = max(-(-self.buckets // CELLS), 1)
        if self.per_cell > self.table:
            self.per_cell += -self.per_cell % self.table
        self.live = [0] * -(-self.buckets // self.per_cell)

    def add(self, first: int, marks: bytes, code: MarkCode, live: int) -> None:
        """The marks of the buckets from number `first` on, of which `live` are live slots'."""
        count = len(marks) // SLOTS
        position = 0
        while position < count:
            cell = (first + position) // self.per_cell
            end = min((cell + 1) * self.per_cell - first, count)
            if end - position < count:
                live = counting().count_live(marks[position * SLOTS : end * SLOTS], code)
            self.live[cell] += live
            position = end

    def add_flags(self, first: int, flags: bytes) -> None:
        """A byte for each bucket from number `first` on, 1 or 0."""
        position = 0
        while position < len(flags):
            cell = (first + position) // self.per_cell
            end = min((cell + 1) * self.per_cell - first, len(flags))
            self.live[cell] += flags.count(1, position, end)
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
        """How many slots the counted buckets have."""
        return self.buckets * SLOTS

    def add(self, marks: bytes, code: MarkCode) -> int:
        """Counts buckets whose marks are given, eight bytes each. How many slots are live."""
        fill, plain = counting().fill(marks, code)
        live = sum(k * buckets for k, buckets in enumerate(fill))
        self.fill = [a + b for a, b in zip(self.fill, fill)]
        self.buckets += len(marks) // SLOTS
        self.live += live
        self.empty += len(marks) - live
        if not plain:
            tombstones = marks.count(code.tombstone)
            evacuated = sum(marks.count(mark) for mark in code.evacuated)
            strange = len(marks.translate(None, code.known))
            self.tombstones += tombstones
            self.evacuated += evacuated
            self.strange += strange
            self.empty -= tombstones + evacuated + strange
        return live

    def include(self, other: Tally) -> None:
        """Adds the slots of other; its buckets keep out of `fill`, which speaks of main buckets alone."""
        self.live += other.live
        self.empty += other.empty
        self.tombstones += other.tombstones
        self.evacuated += other.evacuated
        self.strange += other.strange
