"""Every map header on the heap and on stacks, recognized by the collector's bitmaps and the layout.

A header is an object of its own: the compiler and reflect allocate it with new(maps.Map) or new(hmap), and no package
variable contains one. So the headers on the heap are allocated objects of one size class, whose pointers are where a
header has them (the collector's bitmap has the pointers of each object), and whose fields, and the first group, table
or bucket that they point to, satisfy the layout. A map that does not escape has its header on its goroutine's stack,
among the frame's stack objects.

A header without a group (buckets) has no array that proves it: its pointers are in the right places and nil, all other
fields are zero, and its seed looks like a random number. Such headers are counted separately.

The maps found may be garbage, which the next collection frees.

Follows internal/runtime/maps/map.go (NewMap, NewEmptyMap), runtime/map.go (makemap), mspan.isFree of
runtime/mbitmap.go, sweepLocked.sweep of runtime/mgcsweep.go, moveInlineMarks of runtime/mgcmark_greenteagc.go.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from typing import Union

from gomap.columns.marks import SLOTS
from gomap.columns.plain import words
from gomap.errors import MemoryFault, NoDebugInfo
from gomap.golang.layouts.classic.header import ClassicHeaders
from gomap.golang.layouts.slots import member
from gomap.golang.layouts.structure import Candidate
from gomap.golang.layouts.swiss.header import SwissHeaders, tables_of
from gomap.golang.layouts.swiss.shape import MAX_TABLE_CAPACITY
from gomap.golang.runtime.heap import INLINE_MARKS, MARKS_AT, PAGE_SIZE, Heap, Span
from gomap.golang.runtime.liveness import pointers_of
from gomap.golang.runtime.malloc import MALLOC_HEADER, allocator
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType
from gomap.progress import Progress, silent
from gomap.reads import gather, views
from gomap.target import Target, unpacker

#: mspan.sweepgen less the heap's, of spans that the last collection has marked and that are not swept yet.
UNSWEPT = (-2, 1)
#: Spans that are looked at between two lines of progress.
STEP = 256


#: address, count, array, size, bytes, slots.
Row = tuple[int, int, int, int, int, int]


@dataclass
class Census:
    """The headers that were found, by columns. addresses: of the headers. counts: of entries, as they have it. arrays:
    what they keep them in; 0 of a map that has nothing yet. sizes: Map.dirLen, or hmap.B. held: bytes of the
    objects that a map consists of, but for overflow buckets and for keys and elems behind pointers. slots: of its
    arrays; UNTOLD of a map that has to be walked, since a write or a growth is under way or it may have overflow
    buckets or lists of them. The first `sorted` rows are in the order of their addresses.

    stacked: those of them that lie on stacks. doubtful: rows of what has all that a
    header with one group or bucket has, but other live slots there than it counts. spans, unread: how many spans of the
    size class there are, and how many could not be read, beside `lost` that say nothing that can be.
    """

    header: GoType
    addresses: array[int] = field(default_factory=lambda: array("Q"))
    counts: array[int] = field(default_factory=lambda: array("Q"))
    arrays: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    held: array[int] = field(default_factory=lambda: array("Q"))
    slots: array[int] = field(default_factory=lambda: array("q"))
    sorted: int = 0
    stacked: set[int] = field(default_factory=set)
    doubtful: list[Row] = field(default_factory=list)
    spans: int = 0
    unread: int = 0
    lost: int = 0
    interrupted: bool = False
    reader: HeaderReader | None = None

    def add_stacks(self, objects: Sequence[StackObject]) -> None:
        """Adds the headers that lie on stacks. objects: variables there that have a header's size."""
        try:
            if self.reader is not None:
                self.reader.stack_headers(objects)
        except KeyboardInterrupt:
            self.interrupted = True

    @property
    def complete(self) -> bool:
        """Whether all of the heap was looked at."""
        return not (self.unread or self.lost or self.interrupted)

    def add(self, row: Row) -> None:
        """Adds a row: address, entries, array's address, array's size, bytes held, slots."""
        address, count, pointer, size, held, slots = row
        self.addresses.append(address)
        self.counts.append(count)
        self.arrays.append(pointer)
        self.sizes.append(size)
        self.held.append(held)
        self.slots.append(slots)

    def row_of(self, address: int) -> int:
        """The row of the heap's header at the address; -1 where there is none."""
        row = bisect_left(self.addresses, address, 0, self.sorted)
        return row if row < self.sorted and self.addresses[row] == address else -1

    def rows_with(self, pointers: Set[int]) -> Iterator[int]:
        """The rows of maps whose header, array, table or table's groups one of the pointers leads to."""
        ordered = sorted(pointers)
        for row, (address, start) in enumerate(zip(self.addresses, self.arrays)):
            following = bisect_left(ordered, start)
            found = address in pointers or (following < len(ordered) and ordered[following] < start + self.held[row])
            if found or (self.reader is not None and self.reader.leads_to(start, self.sizes[row], pointers)):
                yield row

    @cached_property
    def shared(self) -> frozenset[int]:
        """Arrays that several headers have: a header was copied."""
        ordered = sorted(self.arrays)
        return frozenset(a for a, b in zip(ordered, ordered[1:]) if a == b and a)


#: See HeaderReader._proved.
Proof = tuple[bytes, int, int]
_NOTHING: tuple[None, int, int] = (None, 0, 0)

#: (address of a variable, lowest and highest address of the stack that it lies on).
StackObject = tuple[int, tuple[int, int]]


def census(target: Target, heap: Heap, types: DescribedTypes, progress: Progress = silent) -> Census:
    """Every map header of the heap. Ctrl-C ends the search and keeps the results so far. Raises NoDebugInfo,
    MemoryFault if the heap can't be read."""
    found = Census(types.map_header())
    reader = found.reader = HeaderReader(target, heap, types, found)
    try:
        reader.heap_headers(progress)
    except KeyboardInterrupt:
        found.interrupted = True
    found.sorted = len(found.addresses)
    _count(target, found)
    return found


def seen_through(target: Target, heap: Heap, types: DescribedTypes, known: Census) -> Census:
    """The same census, of which more is asked through another target of the program."""
    found = replace(
        known, header=types.map_header(), addresses=known.addresses[:], counts=known.counts[:],
        arrays=known.arrays[:], sizes=known.sizes[:], held=known.held[:], slots=known.slots[:],
        stacked=set(known.stacked), doubtful=list(known.doubtful),
    )  # fmt: skip
    if known.reader is not None:
        found.reader = HeaderReader(target, heap, types, found)
        found.reader.spans, found.reader.starts = known.reader.spans, known.reader.starts
    _count(target, found)
    return found


def _count(target: Target, found: Census) -> None:
    """Notes the census where the program goes on: its headers are read again at the end (gomap.moving)."""
    counted = getattr(target.memory, "counted", None)
    if counted is not None:
        counted.append(found)


class HeaderReader:
    """Finds headers, and adds them to the census."""

    def __init__(self, target: Target, heap: Heap, types: DescribedTypes, found: Census) -> None:
        self.target, self.heap, self.types, self.found = target, heap, types, found
        self.arch, self.word = target.arch, target.arch.pointer_size
        self.rules = allocator(target)
        header = found.header
        self.size = header.size
        self.object = self.rules.allocated(header.size, scan=True)
        self.code, self.names = _code(header, self.object, self.arch.byte_order)
        self.rule = rule_of(header, self.names, self.word)
        #: A bit for each word of an object: where a header has pointers.
        self.pattern = sum(1 << offset // self.word for offset in pointers_of(header, 0, self.word))
        self.spans: list[Span] = []
        self.starts: list[int] = []

    # -- the heap --------------------------------------------------------------------------------------

    def heap_headers(self, progress: Progress) -> None:
        """Adds the map headers among the heap's objects of the header's size class."""
        found = self.found
        self.spans, found.lost = self.heap.every()
        self.starts = [span.start for span in self.spans]
        own = [span for span in self.spans if span.object == self.object and not span.noscan and not span.large]
        # Of this size class all have one page (class_to_allocnpages).
        found.lost += sum(span.size != PAGE_SIZE for span in own)
        own = [span for span in own if span.size == PAGE_SIZE]
        found.spans = len(own)
        bits = self._bits(own)
        waiting: list[Candidate] = []
        pages = views(self.target.memory, [span.start for span in own], [span.size for span in own])
        for done, (span, view) in enumerate(zip(own, pages)):
            if done % STEP == 0:
                progress("spans", done, len(own))
            if isinstance(view, MemoryFault):
                found.unread += 1
                continue
            try:
                waiting += self._of_span(span, view, bits)
            except MemoryFault:
                found.unread += 1
            if len(waiting) >= 1 << 16:
                self._add(waiting)
                waiting = []
        self._add(waiting)

    def _bits(self, spans: Sequence[Span]) -> dict[int, int]:
        """Address of the bitmap of allocated objects: for unswept spans the collector's mark bits."""
        if not spans:
            return {}
        size = max(span.bits_size for span in spans)
        found = {}
        for address, data in gather(self.target.memory, sorted({_bits_at(span) for span in spans}), size):
            if data is not None:
                found[address] = int.from_bytes(data, "little")
        return found

    def _of_span(self, span: Span, data: memoryview, bits: dict[int, int]) -> Iterator[Candidate]:
        """The objects of a span that can be headers. Raises MemoryFault."""
        each, objects = span.object // self.word, span.objects
        pointers, inline = self._pointers(span, data)
        allocated = bits.get(_bits_at(span))
        if allocated is None:
            raise MemoryFault(_bits_at(span), span.bits_size)
        if span.sweepgen in UNSWEPT:
            allocated |= inline
        else:
            allocated |= (1 << min(span.scanned, objects)) - 1
        if pointers is not None:
            wrong = pointers ^ _repeated(self.pattern, each, objects)
            folded = wrong
            for i in range(1, each):
                folded |= wrong >> i
            # A bit at each object's first word: whether its pointers lie elsewhere.
            alike = format(folded & _repeated(1, each, objects), "b").zfill(objects * each)[::-1][::each]
        else:
            alike = "0" * objects
        given = format(allocated & (1 << objects) - 1, "b").zfill(objects)[::-1]
        if "0" not in alike or "1" not in given:
            return
        mine = [a == "0" and g == "1" for a, g in zip(alike, given)]
        records = struct.iter_unpack(self.code, data[: objects * span.object])
        start, size, check = span.start, span.object, self.rule.candidate
        for index, record in zip(compress(range(objects), mine), compress(records, mine)):
            one = check(start + index * size, record)
            if one is not None:
                yield one

    def _pointers(self, span: Span, data: memoryview) -> tuple[int | None, int]:
        """(where the span's objects have pointers, a bit a word; the mark bits that are in the span itself)."""
        tail = self.heap.tail(span)
        if tail is None:
            at, size = self.heap.arena_bits(span), span.size // self.word // 8
            if at is None:
                return None, 0
            return self._number(self.target.memory.read(at, size)), 0
        first, end = tail
        pointers = self._number(bytes(data[first:end]))
        if end == span.size:
            return pointers, 0
        marks = data[end + MARKS_AT : end + INLINE_MARKS - 1]
        return pointers, int.from_bytes(marks, "little")

    def _number(self, data: bytes) -> int:
        """A bitmap of words, the lowest bit of each word first, as one number."""
        if self.arch.byte_order == "little":
            return int.from_bytes(data, "little")
        word = self.word
        return int.from_bytes(b"".join(data[i : i + word][::-1] for i in range(0, len(data), word)), "little")

    # -- stacks ----------------------------------------------------------------------------------------

    def stack_headers(self, objects: Sequence[StackObject]) -> None:
        """Headers among the variables of frames."""
        for start, (low, high) in objects:
            if start % self.word or not low <= start < high:
                continue
            try:
                data = self.target.memory.read(start, self.size).ljust(self.object, b"\0")
            except MemoryFault:
                continue
            one = self.rule.candidate(start, struct.unpack(self.code, data))
            if one is not None:
                self._add([one], low, high)

    def changed(self) -> Iterator[tuple[int, int | None]]:
        """(row, entries) of the headers found so far that are not as they were; None where one is gone."""
        found, size = self.found, self.size
        rows = {address: row for row, address in enumerate(found.addresses)}
        counts, arrays, sizes = found.counts, found.arrays, found.sizes
        unpack, pad, candidate = struct.Struct(self.code).unpack, bytes(self.object - size), self.rule.candidate
        for address, data in gather(self.target.memory, sorted(rows), size):
            row, record = rows[address], () if data is None else unpack(bytes(data) + pad)
            if record and self.rule.same(record, counts[row], arrays[row]):
                continue
            one = candidate(address, record) if record else None
            if one is None:
                yield row, None
            elif (one[1], one[2], one[3]) != (counts[row], arrays[row], sizes[row]):
                yield row, one[1]

    # -- what it names ---------------------------------------------------------------------------------

    def _add(self, candidates: Sequence[Candidate], low: int = 0, high: int = 0) -> None:
        """Notes those of the candidates whose arrays are what a map has. low, high: the stack that they lie on."""
        found = self.found
        proved = self._proved([one for one in candidates if one[2]], low, high)
        header = 0 if low else self.object
        for one in candidates:
            address, count, pointer, size, unsettled, slots = one
            marks, held, own = proved.get(pointer, _NOTHING)
            fits = True if not pointer else None if marks is None else self.rule.fits(one, marks)
            if fits is None:
                continue
            if own and not unsettled:
                slots = own
            row = address, count, pointer, size, header + held, slots
            if not fits:
                found.doubtful.append(row)
                continue
            found.add(row)
            if low:
                found.stacked.add(address)

    def _proved(self, candidates: Iterable[Candidate], low: int, high: int) -> dict[int, Proof]:
        """For each pointer to a group or to buckets (the first marks there, bytes of the object, 0); for a directory
        the marks of its first table, the bytes of it, of its tables and of their groups, and how many slots these
        have, 0 where not all tables can be read."""
        small: dict[int, int] = {}
        large: dict[int, tuple[int, int]] = {}
        for _, _, pointer, size, _, _ in candidates:
            bytes_ = self._object_at(pointer)
            if bytes_ < self.rule.smallest(size) and not low <= pointer < high:
                continue
            if self.rule.has_directory(size):
                large[pointer] = bytes_, size
            else:
                small[pointer] = bytes_
        found: dict[int, Proof] = {}
        for pointer, marks in self._marks(sorted(small)):
            found[pointer] = marks, small[pointer], 0
        if large:
            found.update(self._of_tables(large))
        return found

    def _marks(self, pointers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        for pointer, data in gather(self.target.memory, pointers, SLOTS):
            if data is not None:
                yield pointer, bytes(data)

    def _of_tables(self, directories: dict[int, tuple[int, int]]) -> Iterator[tuple[int, Proof]]:
        """The same for directories, given as address -> (bytes, entries). None for one that leads to no table."""
        memory, word = self.target.memory, self.word
        table = self.types.map_table()
        groups_off, groups = member(table, "groups")
        mask_off, mask = member(groups, "lengthMask")
        capacity_off, capacity = member(table, "capacity")
        places = [(self._groups_at, word), (groups_off + mask_off, mask.size), (capacity_off, capacity.size)]
        take = unpacker(self.arch, places)
        leads = tables_of(self.target, {at: entries for at, (_, entries) in directories.items()})
        tables: dict[int, tuple[int, int, int]] = {}
        wanted = {one for some in leads.values() for one in some}
        for at, data in gather(memory, sorted(one for one in wanted if self._object_at(one)), table.size):
            if data is None:
                continue
            groups_at, mask_is, slots = take(data)
            possible = 0 < slots <= MAX_TABLE_CAPACITY and not slots & (slots - 1)
            if possible and mask_is + 1 == slots // SLOTS:
                tables[at] = groups_at, self._object_at(groups_at), slots
        own = self.rules.allocated(table.size, scan=True)
        first = {at: tables[some[0]] for at, some in leads.items() if some[0] in tables}
        marks = dict(self._marks(sorted({groups_at for groups_at, held, _ in first.values() if held})))
        for at, (groups_at, _, _) in first.items():
            if groups_at in marks:
                mine = [tables[one] for one in leads[at] if one in tables]
                held = sum(own + bytes_ for _, bytes_, _ in mine)
                every = len(mine) == len(leads[at]) and all(bytes_ for _, bytes_, _ in mine)
                slots = sum(slots for _, _, slots in mine) if every else 0
                yield at, (marks[groups_at], directories[at][0] + held, slots)

    def leads_to(self, directory: int, size: int, pointers: Set[int]) -> bool:
        """Whether one of the pointers leads to a table of the directory, or to a table's groups."""
        if not directory or not self.rule.has_directory(size):
            return False
        memory, word = self.target.memory, self.word
        try:
            tables = set(words(memory.read(directory, size * word), 0, word, word, self.arch.byte_order))
            groups = (memory.read(table + self._groups_at, word) for table in tables if self._object_at(table))
            return not pointers.isdisjoint(tables) or any(self.arch.pointer(one) in pointers for one in groups)
        except MemoryFault:
            return False

    @cached_property
    def _groups_at(self) -> int:
        """Offset in a table of the pointer to its groups."""
        offset, groups = member(self.types.map_table(), "groups")
        return offset + member(groups, "data")[0]

    def _object_at(self, pointer: int) -> int:
        """Bytes of the object of the heap that begins there; 0 where none does."""
        index = bisect_right(self.starts, pointer) - 1
        if index < 0:
            return 0
        span = self.spans[index]
        offset = pointer - span.start
        if offset >= span.objects * span.object:
            return 0
        over = self.rules.header_over
        front = MALLOC_HEADER if over and span.object > over and not (span.noscan or span.large) else 0
        return span.object if offset % span.object == front else 0


Rule = Union[ClassicHeaders, SwissHeaders]


def rule_of(header: GoType, names: Sequence[str], word: int) -> Rule:
    """The rules by which headers of this type are recognized. names: of the fields in a record. Raises NoDebugInfo."""
    at = {name: index for index, name in enumerate(names)}
    for rule in (ClassicHeaders(at, word), SwissHeaders(at, word)):
        if rule.fields <= at.keys():
            return rule
    raise NoDebugInfo(f"{header.name} has fields that no known layout has: {', '.join(names)}")


def _code(header: GoType, size: int, byte_order: str) -> tuple[str, list[str]]:
    """A format of struct for one object of `size` bytes that is a header, and the names of its fields in that order."""
    code, at, names = "<" if byte_order == "little" else ">", 0, []
    for f in sorted(header.fields, key=lambda f: f.offset):
        if f.type.size not in (1, 2, 4, 8):
            raise NoDebugInfo(f"{header.name}.{f.name} has {f.type.size} bytes: unexpected debug information")
        code += "x" * (f.offset - at) + {1: "B", 2: "H", 4: "I", 8: "Q"}[f.type.size]
        at = f.offset + f.type.size
        names.append(f.name)
    return code + "x" * (size - at), names


def _bits_at(span: Span) -> int:
    return span.mark_bits if span.sweepgen in UNSWEPT else span.alloc_bits


def _repeated(pattern: int, words: int, objects: int) -> int:
    """The pattern of `words` bits for each of so many objects."""
    key = pattern, words, objects
    found = _KNOWN.get(key)
    if found is None:
        if len(_KNOWN) > 64:
            _KNOWN.clear()
        found = _KNOWN[key] = int((format(pattern, "b").zfill(words)) * objects, 2)
    return found


_KNOWN: dict[tuple[int, int, int], int] = {}
