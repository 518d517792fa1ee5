"""The map headers of a process that runs on, looked at again and again: only what has changed is decoded anew.

The first look is a census. After it the pages that hold headers are read and compared with what they were: a page that
is the same costs nothing more. Of a header that changed, its count is taken; where its array is another one, or it has
a directory whose tables may have grown, the bytes that it holds are measured again, of so many maps at a time.

Headers on stacks and sync.Maps up to Go 1.23 as one are not looked for; the maps inside of these are.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gomap.errors import MemoryFault
from gomap.golang.layouts.structure import Candidate
from gomap.golang.runtime.heap import PAGE_SIZE, Heap, Span
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.heap.census import UNSWEPT, Census, HeaderReader, _bits_at
from gomap.reads import views
from gomap.target import Target

#: Maps whose bytes are measured in one sample, beside the new ones.
MEASURED = 2000
#: Samples in which a header that no array proves yet is looked at, while the program may be writing it.
TRIES = 3
#: The share of a core that reading the list of all spans may take. The list shows new pages of headers.
LISTING = 0.02


@dataclass
class MapRow:
    """One map: a header of this address and seed. count: entries; gained: how many more than in the sample before it.
    array, size: as Census has them. held: bytes; grown: how many more. since: number of the sample that has it first.

    sample: number of the sample that gained and grown are of; in later ones nothing has changed.
    """

    address: int
    seed: int
    count: int
    array: int
    size: int
    held: int
    since: int
    gained: int = 0
    grown: int = 0
    sample: int = 0


@dataclass
class Sample:
    """number: from 0 on. seconds: since the sample before it, 0 for the first. changed: rows whose entries or bytes
    are others than before, new ones too. gained: entries of all maps, less those before. appeared, gone: how many maps.
    empty: headers of maps that have no array yet. missed: spans that could not be read or say what can't be. waiting:
    maps whose bytes are still to be measured."""

    number: int
    seconds: float
    changed: list[MapRow] = field(default_factory=list)
    gained: int = 0
    appeared: int = 0
    gone: int = 0
    empty: int = 0
    missed: int = 0
    waiting: int = 0


@dataclass
class _Page:
    key: tuple[int, int, int, int]
    data: bytes
    rows: dict[int, MapRow]
    empty: int = 0


class HeaderWatch:
    """All maps of the heap. rows: by the address of the header. entries, held: of all of them together.

    renew: makes the target read memory anew. Raises NoDebugInfo, MemoryFault if the heap can't be read.
    """

    def __init__(self, target: Target, renew: Callable[[], None]) -> None:
        self.target, self._renew = target, renew
        self.types = DescribedTypes(target)
        self.header = self.types.map_header()
        self.heap = Heap(target)
        self.rows: dict[int, MapRow] = {}
        self.entries = self.held = 0
        self._reader = HeaderReader(target, self.heap, self.types, Census(self.header))
        at = {name: index for index, name in enumerate(self._reader.names)}
        swiss = "dirPtr" in at
        names = ("used", "seed", "dirPtr", "dirLen") if swiss else ("count", "hash0", "buckets", "B")
        self._columns = tuple(at[name] for name in names)
        self._record = struct.Struct(self._reader.code)
        self._own: list[Span] = []
        self._pages: dict[int, _Page] = {}
        self._waiting: dict[int, MapRow] = {}
        self._tried: dict[tuple[int, int], int] = {}
        #: Pages and maps whose arrays may be in spans that begin to be used since the list of all spans was read.
        self._unsure: set[int] = set()
        self._later: dict[int, MapRow] = {}
        self._fresh = False
        self._lost = 0
        self._number = -1
        self._last = self._listed = 0.0
        self._cost = 0.0

    def sample(self, first: Iterable[MapRow] = ()) -> Sample:
        """Looks at all headers. first: rows whose bytes are measured before others'. Raises MemoryFault where the
        process can't be read."""
        self._renew()
        self.heap = self._reader.heap = Heap(self.target)
        now = time.monotonic()
        self._number += 1
        result = Sample(self._number, now - self._last if self._number else 0.0)
        self._last = now
        before = self.entries
        self._list(now)
        unproved: list[tuple[Candidate, int]] = []
        for span, page in self._read(result):
            unproved += self._look(span, page, result)
        self._prove(unproved, result)
        self._measure(first, result)
        result.changed = [row for row in result.changed if self.rows.get(row.address) is row]
        result.gained = self.entries - before
        result.empty = sum(page.empty for page in self._pages.values())
        result.missed += self._lost
        result.waiting = len(self._waiting) + len(self._later)
        return result

    # -- pages ---------------------------------------------------------------------------------------

    def _list(self, now: float) -> None:
        """The spans that hold headers: from the list of all spans where that is due, else those that were known."""
        reader = self._reader
        if now - self._listed < self._cost / LISTING and self._number:
            self._own = [one for one in self.heap.again(self._own) if self._holds_headers(one)]
            self._fresh = False
            return
        before = time.process_time()
        reader.spans, self._lost = self.heap.every()
        reader.starts = [span.start for span in reader.spans]
        self._own = [span for span in reader.spans if self._holds_headers(span)]
        self._cost, self._listed, self._fresh = time.process_time() - before, now, True
        for start in self._unsure & self._pages.keys():
            self._pages[start].data = b""
        self._waiting.update(self._later)
        self._unsure, self._later = set(), {}

    def _holds_headers(self, span: Span) -> bool:
        return span.object == self._reader.object and not span.noscan and not span.large and span.size == PAGE_SIZE

    def _read(self, result: Sample) -> Iterator[tuple[Span, bytes]]:
        """The pages that are not what they were, and why: their data or which objects are allocated."""
        own = self._own
        self._bits = self._reader._bits(own)
        starts = {span.start for span in own}
        for start in [start for start in self._pages if start not in starts]:
            self._forget(self._pages.pop(start).rows.values(), result)
        for span, view in zip(own, views(self.target.memory, [s.start for s in own], [s.size for s in own])):
            if isinstance(view, MemoryFault):
                result.missed += 1
                continue
            data, known = bytes(view), self._pages.get(span.start)
            if known is None or known.data != data or known.key != self._key(span):
                yield span, data

    def _key(self, span: Span) -> tuple[int, int, int, int]:
        """The records that say which objects are allocated."""
        return span.sweepgen in UNSWEPT, span.scanned, _bits_at(span), self._bits.get(_bits_at(span), -1)

    def _look(self, span: Span, data: bytes, result: Sample) -> list[tuple[Candidate, int]]:
        """Takes what has changed in a page; the headers that are to be proved first, with their seeds."""
        known, key = self._pages.get(span.start), self._key(span)
        if known is not None and known.key == key and self._counted(span, known, data, result):
            known.data = data
            return []
        try:
            candidates = list(self._reader._of_span(span, memoryview(data), self._bits))
        except MemoryFault:
            result.missed += 1
            return []
        rows = known.rows if known is not None else {}
        page = self._pages[span.start] = _Page(key, data, {})
        unproved: list[tuple[Candidate, int]] = []
        for one in candidates:
            address, count, array, size, *_ = one
            seed = self._seed(data, address - span.start)
            row = rows.pop(address, None)
            if not array:
                page.empty += 1
                if row is not None:
                    self._forget([row], result)
            elif row is not None and (row.seed == seed or row.array == array):
                page.rows[address] = row
                row.seed = seed
                self._tried.pop((address, seed), None)
                self._count(row, count, array, size, result)
            else:
                if row is not None:
                    self._forget([row], result)
                unproved.append((one, seed))
        allocated = self._allocated(span, data)
        for address, row in rows.items():
            # Read in the middle of a write: what it was still counts.
            same = self._seed(data, address - span.start) == row.seed
            if same and allocated >> (address - span.start) // span.object & 1 and self._try(row.address, row.seed):
                page.rows[address] = row
                page.data = b""
            else:
                self._forget([row], result)
        return unproved

    def _counted(self, span: Span, page: _Page, data: bytes, result: Sample) -> bool:
        """Whether all that has changed in a page are numbers of headers that are known: they are taken then."""
        end = span.objects * span.object
        if data[end:] != page.data[end:]:
            return False
        objects = f"{span.object}s"
        before, after = struct.iter_unpack(objects, page.data[:end]), struct.iter_unpack(objects, data[:end])
        changed = [index for index, (old, new) in enumerate(zip(before, after)) if old != new]
        count, seed, array, size = self._columns
        found = []
        for index in changed:
            row = page.rows.get(span.start + index * span.object)
            record = self._record.unpack_from(data, index * span.object)
            if row is None or record[seed] != row.seed or not record[array]:
                return False
            other = (record[array], record[size]) != (row.array, row.size)
            strange = other or record[count] > 2 * row.count + 1024
            if strange and self._reader.rule.candidate(row.address, record) is None:
                return False
            found.append((row, record))
        for row, record in found:
            self._count(row, record[count], record[array], record[size], result)
        return True

    def _seed(self, data: bytes, offset: int) -> int:
        return int(self._record.unpack_from(data, offset)[self._columns[1]])

    def _allocated(self, span: Span, data: bytes) -> int:
        """A bit for each object of the span, as HeaderReader has it."""
        allocated = self._bits[_bits_at(span)]
        if span.sweepgen in UNSWEPT:
            return allocated | self._reader._pointers(span, memoryview(data))[1]
        return allocated | (1 << min(span.scanned, span.objects)) - 1

    # -- rows ----------------------------------------------------------------------------------------

    def _touch(self, row: MapRow, result: Sample) -> None:
        """Makes the row one of those that changed in this sample."""
        if row.sample != self._number or not (row.gained or row.grown):
            row.gained = row.grown = 0
            row.sample = self._number
            result.changed.append(row)

    def _count(self, row: MapRow, count: int, array: int, size: int, result: Sample) -> None:
        if count != row.count:
            self._touch(row, result)
            row.gained += count - row.count
            self.entries += count - row.count
            row.count = count
            if size and "dirPtr" in self._reader.names:
                self._waiting.setdefault(row.address, row)
        if (array, size) != (row.array, row.size):
            row.array, row.size = array, size
            self._waiting.setdefault(row.address, row)

    def _forget(self, rows: Iterable[MapRow], result: Sample) -> None:
        for row in rows:
            if self.rows.pop(row.address, None) is not None:
                self._waiting.pop(row.address, None)
                self._later.pop(row.address, None)
                self.entries -= row.count
                self.held -= row.held
                result.gone += 1

    def _try(self, address: int, seed: int) -> bool:
        """Whether a header is worth another look."""
        if len(self._tried) > 1 << 16:
            self._tried.clear()
        tried = self._tried[address, seed] = self._tried.get((address, seed), 0) + 1
        return tried <= TRIES

    def _prove(self, candidates: Sequence[tuple[Candidate, int]], result: Sample) -> None:
        """Makes rows of the new headers whose arrays are what a map has."""
        proved = self._reader._proved([one for one, _ in candidates], 0, 0)
        for one, seed in candidates:
            address, count, array, size, *_ = one
            marks, held, _ = proved.get(array, (None, 0, 0))
            page = self._pages[address - address % PAGE_SIZE]
            if marks is None or not self._reader.rule.fits(one, marks):
                if not self._fresh:
                    self._unsure.add(address - address % PAGE_SIZE)
                elif self._try(address, seed):
                    page.data = b""
                continue
            held += self._reader.object
            row = MapRow(address, seed, count, array, size, held, self._number, count, held, self._number)
            page.rows[address] = self.rows[address] = row
            self.entries += count
            self.held += held
            result.appeared += 1
            result.changed.append(row)

    def _measure(self, first: Iterable[MapRow], result: Sample) -> None:
        """The bytes of maps that may hold others than before: the first, then those that wait the longest."""
        order = dict.fromkeys(row.address for row in first if self._waiting.get(row.address) is row)
        order.update(dict.fromkeys(self._waiting))
        rows = [self._waiting.pop(address) for address in list(order)[:MEASURED]]
        proved = self._reader._proved([(row.address, row.count, row.array, row.size, False, 0) for row in rows], 0, 0)
        for row in rows:
            held = proved.get(row.array)
            if held is None:
                if not self._fresh:
                    self._later[row.address] = row
                elif self._try(row.array, row.seed):
                    self._waiting[row.address] = row
                continue
            grown = self._reader.object + held[1] - row.held
            if grown:
                self._touch(row, result)
                row.grown += grown
                row.held += grown
                self.held += grown
