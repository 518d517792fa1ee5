"""What walking a map's memory yields, the same for every layout. Facts only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gomap.anomaly import Anomaly
from gomap.columns.marks import SLOTS
from gomap.errors import GomapError
from gomap.golang.layouts.marks import Strip, Tally

#: A header that may be one: (address, entries that it counts, array, dirLen or B, whether it is amidst a write or a
#: growth, slots of its array: UNTOLD where the header does not tell all that the map has).
Candidate = tuple[int, int, int, int, bool, int]
#: Slots of a map whose size has to be found by walking it.
UNTOLD = -1
#: So many entries more than its header counts has no map, however far a write to it has come.
TOO_MANY = 1 << 13


@dataclass(frozen=True)
class GrowthState:
    """state: none, doubling or same-size (only classic maps grow step by step)."""

    state: str = "none"
    old_buckets: int = 0
    evacuated: int = 0
    nevacuate: int = 0

    @property
    def fraction(self) -> float:
        """The part of the old buckets that is evacuated, 0..1."""
        return self.evacuated / self.old_buckets if self.old_buckets else 0.0


@dataclass(frozen=True)
class Bytes:
    """Bytes of memory. allocated: all that the map itself owns, as the allocator gives it out, the rest are
    parts of it. live: keys and elems of live entries. overflow: overflow buckets in use.
    old: the old array and its overflow buckets. rebuilt: what a new map of the same entries would own."""

    allocated: int = 0
    live: int = 0
    overflow: int = 0
    old: int = 0
    rebuilt: int = 0

    @property
    def waste(self) -> int:
        """Bytes that the map holds beyond those of its live keys and elems."""
        return max(self.allocated - self.live, 0)


@dataclass(frozen=True)
class Estimate:
    """Bytes that a map takes, or took. within: by how many chance may make them more or fewer, where keys' hashes fall
    decides; 0: they are exact."""

    bytes: int
    within: int = 0


@dataclass
class SwissTable:
    """One internal/runtime/maps.table as its directory entry names it. tombstones: counted."""

    address: int
    index: int
    local_depth: int
    directory_entries: int
    capacity: int
    used: int
    growth_left: int
    groups: int
    groups_address: int
    tombstones: int = 0


@dataclass
class Structure:
    """buckets are groups for Swiss maps.

    main: the array (or all groups); old: old buckets that are not yet evacuated; overflow, old_overflow:
    number of overflow buckets chained to the array and to the old array; total: slots of everything.
    """

    address: int | None
    main: Tally = field(default_factory=Tally)
    total: Tally = field(default_factory=Tally)
    old: Tally | None = None
    old_count: int = 0
    old_address: int | None = None
    overflow: int = 0
    old_overflow: int = 0
    apart: int = 0  # overflow buckets that are objects of their own, not part of an array
    longest_chain: int = 0
    growth: GrowthState = field(default_factory=GrowthState)
    bytes: Bytes = field(default_factory=Bytes)
    strip: Strip | None = None
    moved: Strip | None = None  # of the old array: buckets already evacuated
    unevacuated: list[tuple[int, int]] = field(default_factory=list)  # runs of old buckets left: (first, count)
    tables: list[SwissTable] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    untold: dict[str, int] = field(default_factory=dict)  # more anomalies of a code than are in the list

    @property
    def unreadable(self) -> bool:
        """Whether the walk left something out, so that the counts may be too low."""
        return any(anomaly.severity == "error" for anomaly in self.anomalies)

    @property
    def slots(self) -> int:
        """Slots of the main array."""
        return self.main.buckets * SLOTS

    @property
    def load(self) -> float:
        """Live entries per slot of the main array, 0..1 (more where overflow buckets hold many)."""
        return self.total.live / self.slots if self.slots else 0.0


class MapEntry(NamedTuple):
    """One live entry. bucket: index of its bucket (group), within its array; slot: 0..7 in its bucket;
    overflow: how many buckets down the chain; old: it lies in the old array."""

    bucket: int
    slot: int
    old: bool
    overflow: int
    key_address: int
    elem_address: int
    key: bytes | None
    elem: bytes | None


def counted(count: int, entries: Iterator[MapEntry]) -> Iterator[MapEntry]:
    """A map's entries, as long as there are not many more than its header counts: then it is corrupt, and there may
    be no end to them. Raises GomapError."""
    for number, entry in enumerate(entries):
        if number >= count + TOO_MANY:
            raise too_many(count, number)
        yield entry


def too_many(count: int, number: int) -> GomapError:
    """The error that a walk found more entries than a map with this count can have."""
    return GomapError(f"the map counts {count:,} entries and has more than {number:,}: it is corrupt")
