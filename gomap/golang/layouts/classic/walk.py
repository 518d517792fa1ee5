"""Arrays of buckets and their chains, read in bulk: bmap, overflow, evacuated of runtime/map.go."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from operator import eq
from typing import Any

from gomap.anomaly import Anomaly
from gomap.arrays import expect
from gomap.columns.choose import counting
from gomap.columns.marks import MarkCode
from gomap.columns.plain import words
from gomap.errors import MemoryFault
from gomap.golang.layouts.classic.shape import MARKS, ClassicShape
from gomap.golang.layouts.marks import Strip, Tally
from gomap.golang.layouts.structure import Structure
from gomap.memory import CHUNK, Buffer, Stream, stream
from gomap.reads import gather, packed
from gomap.target import Target

#: An array is given up after this many chunks in a row that can't be read.
MAX_FAULTS = 4
MAX_CHAIN = 1 << 16
#: Stretches of old buckets that are named one by one.
MAX_RUNS = 1024


@dataclass
class BucketWalk:
    """Reads arrays of buckets and the chains that hang off them; remembers every overflow bucket.

    arrays: (address, number of main buckets) of both.
    """

    target: Target
    shape: ClassicShape
    arrays: Sequence[tuple[int, int]]
    structure: Structure
    overflow_pointers: array[int] = field(default_factory=lambda: array("Q"))
    overflow_seen: list[list[array[int]]] = field(default_factory=list)

    def read_array(self, address: int, count: int, what: str, reads: Stream) -> Iterator[tuple[int, Any]]:
        """The array in chunks: (index of the first bucket, bytes). What can't be read becomes an anomaly.

        reads: stream, where bytes are not kept, or one_by_one.
        """
        size = self.shape.slots.size
        # A power of two, as the array and the cells of its picture are.
        step = 1 << max(CHUNK // size, 1).bit_length() - 1
        pieces = ((address + first * size, min(step, count - first) * size) for first in range(0, count, step))
        faults = 0
        for number, (_, length, data) in enumerate(reads(self.target.memory, pieces)):
            first = number * step
            if not isinstance(data, MemoryFault):
                yield first, data
                continue
            faults += 1
            self._fault(data, f"{what} {first} to {first + length // size - 1}")
            if faults >= MAX_FAULTS:
                return

    def main_array(self, address: int, count: int, strip: Strip) -> Tally:
        """Counts the main array and collects its overflow pointers."""
        tally = Tally()
        size = self.shape.slots.size
        expect(count * size)
        for first, data in self.read_array(address, count, "buckets", stream):
            marks = counting().marks_of(data, size)
            strip.add(first, marks, MARKS, tally.add(marks, MARKS))
            self.overflow_pointers.extend(self.chained(data))
        return tally

    def chained(self, data: Buffer) -> Iterable[int]:
        """The overflow pointers of those buckets that have one."""
        shape, arch = self.shape, self.target.arch
        return counting().nonzero_words(data, shape.overflow_off, shape.slots.size, arch.pointer_size, arch.byte_order)

    def pointers(self, data: Buffer) -> Sequence[int]:
        """The overflow pointer of each bucket.

        data: whole buckets, one behind another.
        """
        shape, arch = self.shape, self.target.arch
        return words(data, shape.overflow_off, shape.slots.size, arch.pointer_size, arch.byte_order)

    def chains(self, level: array[int], tally: Tally, code: MarkCode = MARKS) -> tuple[int, int]:
        """Counts the overflow buckets that `level` points to, and theirs: (how many, longest chain)."""
        size = self.shape.slots.size
        seen: list[array[int]] = []
        deeper: set[int] = set()
        total = depth = 0
        while level:
            depth += 1
            if depth > MAX_CHAIN:
                self._anomaly("chain-too-long", f"an overflow chain goes on after {MAX_CHAIN} buckets", level[0])
                break
            fresh = counting().ascending(level)
            shared = next(compress(fresh, map(eq, fresh, islice(fresh, 1, None))), None)
            if shared is not None:
                self._anomaly("shared-overflow", "two chains lead to one overflow bucket", shared)
                fresh = sorted(set(fresh))
            if depth > 1:
                # The first level may hold a fifth of all buckets: an array, not a set, keeps memory small.
                known = {p for p in fresh if p in deeper or _holds(seen[0], p)}
                if known:
                    what = "an overflow chain leads back into itself: searches in it never end"
                    self._anomaly("overflow-cycle", what, min(known))
                    fresh = [p for p in fresh if p not in known]
                deeper.update(fresh)
            fresh = self.outside_arrays(fresh)
            seen.append(array("Q", fresh))
            level = array("Q")
            blocks: list[Buffer] = []
            held = 0
            for address, data in packed(self.target.memory, fresh, size):
                if data is None:
                    self._fault(MemoryFault(address, size), "overflow bucket")
                    continue
                blocks.append(data)
                held += len(data)
                if held >= CHUNK:
                    level.extend(self._count(blocks, tally, code))
                    blocks, held = [], 0
            level.extend(self._count(blocks, tally, code))
            total += len(fresh)
        self.overflow_seen.append(seen)
        return total, depth

    def outside_arrays(self, ordered: list[int]) -> list[int]:
        """Without the main buckets of either array: those are in no chain, and counted already."""
        size = self.shape.slots.size
        for start, count in self.arrays:
            first = bisect.bisect_left(ordered, start)
            last = bisect.bisect_left(ordered, start + count * size)
            if first < last:
                message = "an overflow chain leads back into the array of main buckets"
                self._anomaly("overflow-cycle", message, ordered[first])
                ordered = ordered[:first] + ordered[last:]
        return ordered

    def _count(self, blocks: list[Buffer], tally: Tally, code: MarkCode) -> list[int]:
        if not blocks:
            return []
        data = b"".join(blocks)
        tally.add(counting().marks_of(data, self.shape.slots.size), code)
        return list(self.chained(data))

    def follow(self, chained: dict[int, int]) -> list[tuple[int, int, int, bytes]]:
        """Overflow buckets of the chains that start at chained[bucket]: (bucket, depth, address, bytes)."""
        found = []
        size = self.shape.slots.size
        depth = 0
        visited: set[int] = set()
        while chained and depth < MAX_CHAIN:
            depth += 1
            owners: dict[int, list[int]] = {}
            for bucket, pointer in chained.items():
                if pointer not in visited:
                    owners.setdefault(pointer, []).append(bucket)
            visited.update(owners)
            chained = {}
            outside = self.outside_arrays(sorted(owners))
            for address, data in gather(self.target.memory, outside, size):
                if data is None:
                    continue
                content = bytes(data)
                pointer = self.pointers(content)[0]
                bucket = owners[address][0]
                found.append((bucket, depth, address, content))
                if pointer:
                    chained[bucket] = pointer
        return found

    def _fault(self, fault: MemoryFault, what: str) -> None:
        if sum(a.code == "unreadable" for a in self.structure.anomalies) < 8:
            self.structure.anomalies.append(Anomaly("error", "unreadable", f"{what}: {fault}", fault.address))

    def _anomaly(self, code: str, message: str, address: int) -> None:
        self.structure.anomalies.append(Anomaly("error", code, message, address))


def _holds(ordered: array[int], value: int) -> bool:
    at = bisect.bisect_left(ordered, value)
    return at < len(ordered) and ordered[at] == value


def outside(levels: list[list[array[int]]], ranges: list[tuple[int, int]]) -> int:
    """How many overflow buckets lie in none of the ranges (start, size): allocated one by one."""
    outside = 0
    for part in (part for seen in levels for part in seen):  # each is sorted
        inside = sum(bisect.bisect_left(part, start + size) - bisect.bisect_left(part, start) for start, size in ranges)
        outside += len(part) - inside
    return outside


def add_runs(runs: list[tuple[int, int]], base: int, moved: bytes) -> None:
    """Adds the stretches of 0 in moved as (first bucket, how many), up to MAX_RUNS."""
    start = moved.find(0)
    while start >= 0 and len(runs) < MAX_RUNS:
        end = moved.find(1, start)
        end = len(moved) if end < 0 else end
        first, count = base + start, end - start
        if runs and runs[-1][0] + runs[-1][1] == first:
            runs[-1] = (runs[-1][0], runs[-1][1] + count)
        else:
            runs.append((first, count))
        start = moved.find(0, end)
