"""runtime.mheap: which span an address lies in, and whether the allocator has given the object there out.

Follows runtime/mheap.go (mheap.arenas, heapArena.spans, mspan, spanOf), runtime/arena.go's arenaIndex as
mheap.go has it, and mspan.isFree of runtime/mbitmap.go.
"""

from __future__ import annotations

import bisect
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from gomap.columns.plain import words
from gomap.errors import GomapError, MemoryFault, NoDebugInfo
from gomap.golang.runtime.goroutines import goroutines
from gomap.golang.runtime.malloc import MALLOC_HEADER, allocator
from gomap.memory import CHUNK
from gomap.reads import gather
from gomap.target import Target, integer_at, read_record, unpacker

PAGE_SIZE = 8192  # runtime.pageSize
DEAD, IN_USE, MANUAL = 0, 1, 2  # mSpanDead, mSpanInUse, mSpanManual
STATES = {DEAD: "free", IN_USE: "in-use", MANUAL: "manual"}
#: arenaBaseOffset of runtime/malloc.go: amd64's addresses are signed.
AMD64_OFFSET = 1 << 47
_FIELDS = (
    "startAddr", "npages", "elemsize", "nelems", "freeindex", "spanclass", "state", "sweepgen", "allocBits",
    "gcmarkBits",
)  # fmt: skip
#: There since Go 1.20.
_SCANNED = "freeIndexForScan"
#: Address of the first of a span's specials; since Go 1.22 the type of a large object.
_SPECIALS, _LARGE_TYPE = "specials", "largeType"
#: No heap has more spans. After so many that are corrupt, and fewer that are not, the rest are not tried.
MAX_SPANS, MAX_LOST = 1 << 26, 1 << 10
#: Bytes of runtime.spanInlineMarkBits, at the end of the span's page (runtime/mgcmark_greenteagc.go, from Go 1.25 on).
INLINE_MARKS = 128
#: gcUsesSpanInlineMarkBits
SMALLEST_INLINE = 16
#: Where in it the marks are: scans has 63 bytes, owned one.
MARKS_AT = 64
MAX_MODULES = 1 << 12


class Span(NamedTuple):
    """One mspan: a tuple, since a large heap has hundreds of thousands of them.

    address: *mspan. start, size: of the pages. object: bytes of one object. objects: how many it has.
    free_index: all objects below it are allocated; alloc_bits: address of the bitmap for the rest. mark_bits: of the
    bitmap that the collector marks, which takes its place when the span is swept. sweepgen: as mspan.sweepgen has it,
    less the heap's. scanned: as free_index, of objects that are initialized. specials: *special, the first of a list.
    large_type: *abi.Type of the values in a large object; both 0 for none.
    """

    address: int
    start: int
    size: int
    object: int
    objects: int
    free_index: int
    noscan: bool
    state: int
    swept: bool
    alloc_bits: int
    large: bool
    mark_bits: int = 0
    sweepgen: int = 0
    scanned: int = 0
    specials: int = 0
    large_type: int = 0

    @property
    def bits_size(self) -> int:
        """Bytes of each of its bitmaps of objects."""
        return (self.objects + 7) // 8


@dataclass(frozen=True)
class HeapPlace:
    """Where in the heap an address lies. base, size: the object. allocated: None where that is not known.

    span: None in an arena's page that was never used.
    """

    span: Span | None
    index: int | None = None
    base: int | None = None
    allocated: bool | None = None


class Heap:
    """The heap of a stopped program. Raises NoDebugInfo where debug information does not describe it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        mheap, arena = target.find_type("runtime.mheap"), target.find_type("runtime.heapArena")
        span, start = target.find_type("runtime.mspan"), target.symbol("runtime.mheap_")
        arenas = mheap.field("arenas") if mheap is not None else None
        spans = arena.field("spans") if arena is not None else None
        if mheap is None or arena is None or span is None or start is None or arenas is None or spans is None:
            raise NoDebugInfo("the debug information has no runtime.mheap_: the heap's spans can't be read")
        self._spans_at = spans.offset
        self.pages = spans.type.length
        self.arena_bytes = self.pages * PAGE_SIZE
        word = target.arch.pointer_size
        self._first = arenas.type.length
        self._second = arenas.type.elem.elem.length
        self._arenas = start + arenas.offset
        self._start, self._mheap, self._arena = start, mheap, arena
        self._order = target.arch.byte_order
        marks = target.find_type("runtime.spanInlineMarkBits")  # empty without GOEXPERIMENT=greenteagc
        self._inline_marks = marks.size if marks is not None and marks.size == INLINE_MARKS else 0
        self._offset = AMD64_OFFSET if target.arch.name == "amd64" else 0
        self._arena_bits = arena.field("bitmap") is not None
        self._more = [name for name in (_SCANNED, _SPECIALS, _LARGE_TYPE) if span.field(name) is not None]
        self._unpack = unpacker(target.arch, [integer_at(span, name) for name in (*_FIELDS, *self._more)])
        self._mspan, self._span_size = span, span.size
        self._word = word
        self._tables: dict[int, array[int] | None] = {}
        self._known: dict[int, Span | None] = {}

    @cached_property
    def _sweepgen(self) -> int:
        at, size = integer_at(self._mheap, "sweepgen")
        return self._target.arch.uint(self._target.memory.read(self._start + at, size), 0, size)

    def span_of(self, address: int) -> Span | None:
        """The span, in whatever state, that address lies in: runtime.spanOf. Raises MemoryFault."""
        arena, rest = divmod(address + self._offset, self.arena_bytes)
        table = self._tables.get(arena)
        if table is None:
            if arena in self._tables:
                return None
            table = self._tables[arena] = self._table(arena)
            if table is None:
                return None
        pointer = table[rest // PAGE_SIZE]
        if not pointer:
            return None
        try:
            span = self._known[pointer]
        except KeyError:
            span = self._known[pointer] = self._read(pointer)
        # Inside of free pages the table keeps what was there before, and mspans are used again.
        return span if span is not None and span.start <= address < span.start + span.size else None

    def in_arena(self, address: int) -> bool:
        """Whether the address belongs to an arena of the heap."""
        self.span_of(address)
        return self._tables.get((address + self._offset) // self.arena_bytes) is not None

    def at(self, address: int) -> HeapPlace | None:
        """What lies at the address; None outside of the heap's arenas. Raises MemoryFault."""
        span = self.span_of(address)
        if span is None:
            return HeapPlace(None) if self.in_arena(address) else None
        if span.state != IN_USE or not span.object:
            return HeapPlace(span)
        index = (address - span.start) // span.object
        if index >= span.objects:
            return HeapPlace(span)  # the unused rest at the end of the span
        return HeapPlace(span, index, span.start + index * span.object, self._is_allocated(span, index))

    def type_at(self, address: int) -> tuple[int, int] | None:
        """(*abi.Type, where its first value begins) as the allocator noted them for the object that address lies in:
        in front of it, in its span if that has no other, and for small objects nowhere (heapSetTypeSmallHeader and
        heapSetTypeLarge of runtime/mbitmap.go, from Go 1.22 on). Raises MemoryFault."""
        place, over = self.at(address), allocator(self._target).header_over
        span = None if place is None else place.span
        if place is None or span is None or place.base is None or place.allocated is False or span.noscan or not over:
            return None
        if span.large:
            at, _ = integer_at(self._mspan, "largeType")
            at, start = span.address + at, span.start
        elif span.object > over:
            at, start = place.base, place.base + MALLOC_HEADER
        else:
            return None
        found = self._target.arch.pointer(self._target.memory.read(at, self._word))
        return (found, start) if found else None

    def tail(self, span: Span) -> tuple[int, int] | None:
        """What of a span of small objects with pointers is not objects: (offset of the bitmap of its pointers, one bit
        a word, offset of its spanInlineMarkBits or its end where it has none). None where it has no such bitmap: up to
        Go 1.21 it is in the arena, and large objects have none (spanHeapBitsRange of runtime/mbitmap.go)."""
        over = self._word * self._word * 8
        if self._arena_bits or span.noscan or span.large or not 0 < span.object <= over:
            return None
        end = span.size - (self._inline_marks if span.object >= SMALLEST_INLINE else 0)
        first = end - span.size // self._word // 8
        return (first, end) if first // span.object == span.objects else None

    def pointers_of(self, address: int) -> int | None:
        """Where the object at the address has pointers, a bit a word, as its span or arena has it noted, of objects of
        at most 512 bytes. None where it has not. Raises MemoryFault."""
        place, word = self.at(address), self._word
        span = None if place is None else place.span
        if place is None or place.index is None or span is None or span.noscan or span.object > 8 * word * word:
            return None
        tail = self.tail(span)
        bits_at = self.arena_bits(span) if tail is None else span.start + tail[0]
        if bits_at is None:
            return None
        first, count = place.index * span.object // word, span.object // word
        start = first // (8 * word) * word  # whole words: their bytes may be in either order
        data = self._target.memory.read(bits_at + start, -(-(first + count) // (8 * word)) * word - start)
        bits = sum(self._target.arch.pointer(data, i) << 8 * i for i in range(0, len(data), word))
        return bits >> first - 8 * start & (1 << count) - 1

    def holds(self, address: int, size: int) -> bool:
        """Whether so many bytes can be one value: they lie in one object, in one stack, or outside of the heap. Raises
        MemoryFault."""
        span = self.span_of(address)
        if span is None or span.state == DEAD:
            return not self.in_arena(address)
        end = span.start + span.size
        if span.state == IN_USE and span.object:
            end = min(address + span.object - (address - span.start) % span.object, end)
        return address + size <= end

    def survived(self, place: HeapPlace) -> bool:
        """Whether the object was in use when the last collection ended."""
        span, index = place.span, place.index
        if span is None or index is None:
            return False
        try:
            return self._bit(span, index)
        except MemoryFault:
            return False

    def _bit(self, span: Span, index: int) -> bool:
        return bool(self._target.memory.read(span.alloc_bits + index // 8, 1)[0] >> index % 8 & 1)

    def _is_allocated(self, span: Span, index: int) -> bool | None:
        """not mspan.isFree."""
        if index < span.free_index:
            return True
        try:
            return self._bit(span, index)
        except MemoryFault:
            return None

    def _table(self, arena: int) -> array[int] | None:
        """heapArena.spans of one arena: a pointer to an mspan for each page."""
        word = self._word
        try:
            found = self._heap_arena(arena)
            if not found:
                return None
            data = self._target.memory.read(found + self._spans_at, self.pages * word)
        except MemoryFault:
            return None
        pointers = array("Q" if word == 8 else "I", data)
        if pointers.itemsize != word:
            return None
        if (self._target.arch.byte_order == "little") != _LITTLE:
            pointers.byteswap()
        return pointers

    def _heap_arena(self, arena: int) -> int:
        """*heapArena of the arena of that number, 0 where there is none. Raises MemoryFault."""
        first, second = divmod(arena, self._second)
        if not 0 <= first < self._first:
            return 0
        pointer, word = self._target.arch.pointer, self._word
        level = pointer(self._target.memory.read(self._arenas + first * word, word))
        return level and pointer(self._target.memory.read(level + second * word, word))

    def _read(self, pointer: int) -> Span | None:
        try:
            data = self._target.memory.read(pointer, self._span_size)
        except MemoryFault:
            return None
        return self._span(pointer, data)

    def _span(self, pointer: int, data: Any) -> Span:
        start, pages, size, objects, free, spanclass, state, sweepgen, bits, marks, *rest = self._unpack(data)
        if len(rest) < 3:
            more = dict(zip(self._more, rest))
            rest = [more.get(_SCANNED, free), more.get(_SPECIALS, 0), more.get(_LARGE_TYPE, 0)]
        heaps = self._sweepgen
        return Span(
            pointer,
            start,
            pages * PAGE_SIZE,
            size,
            objects,
            free,
            bool(spanclass & 1),
            state,
            # mspan.sweepgen: two below the heap's means that the last collection's dead are still in it.
            sweepgen != heaps - 2 & 0xFFFFFFFF,
            bits,
            spanclass >> 1 == 0,
            marks,
            (sweepgen - heaps + 2 & 0xFFFFFFFF) - 2,
            *rest,
        )

    def every(self) -> tuple[list[Span], int]:
        """The spans that hold objects, by address, and the number of those that can't be read or say what can't be:
        mheap.allspans. Raises MemoryFault, NoDebugInfo."""
        memory, pointer, word = self._target.memory, self._target.arch.pointer, self._word
        at = self._mheap.field("allspans")
        if at is None:
            raise NoDebugInfo("runtime.mheap has no field allspans: unexpected debug information")
        head = memory.read(self._start + at.offset, 2 * word)
        start, count = pointer(head), pointer(head, word)
        if count > MAX_SPANS:
            raise NoDebugInfo(f"runtime.mheap_.allspans has {count:,} spans: it is corrupt")
        found: dict[int, Span] = {}
        lost = 0
        for first in range(0, count, CHUNK // word):
            here = min(CHUNK // word, count - first)
            pointers = words(memory.read(start + first * word, here * word), 0, word, word, self._order)
            for address, data in gather(memory, sorted(set(pointers)), self._span_size):
                span = None if data is None else self._span(address, data)
                if span is None or (span.state == IN_USE and not self._is_sane(span)):
                    lost += 1
                elif span.state == IN_USE:
                    found[span.start] = span
            if lost > max(len(found), MAX_LOST):
                raise NoDebugInfo(f"of {count:,} spans that runtime.mheap_.allspans has, {lost:,} are corrupt")
        return [found[at] for at in sorted(found)], lost

    def again(self, spans: Iterable[Span]) -> list[Span]:
        """The same spans as they are now, without those that hold no objects any more or can't be read."""
        found = []
        for address, data in gather(self._target.memory, sorted(span.address for span in spans), self._span_size):
            span = None if data is None else self._span(address, data)
            if span is not None and span.state == IN_USE and self._is_sane(span):
                found.append(span)
        return sorted(found, key=lambda span: span.start)

    def _is_sane(self, span: Span) -> bool:
        """Whether what a span says of itself can be."""
        end = span.start + span.size
        if not span.start or span.start % PAGE_SIZE or span.size > MAX_BYTES or end > 1 << 8 * self._word:
            return False
        return 0 < span.objects <= span.size // 8 and 0 < span.objects * span.object <= span.size

    @property
    def arena_offset(self) -> int:
        """The offset that is added to an address before division by arena_bytes; the quotient is the arena's number."""
        return self._offset

    def check_arena_bits(self) -> None:
        """Raises NoDebugInfo where part_of_arena() can't tell: up to Go 1.19 the bitmap is another one."""
        if self._arena.field("bitmap") is None or self._arena.field("noMorePtrs") is None:
            raise NoDebugInfo("runtime.heapArena has no noMorePtrs: the pointers in objects can't be determined")

    def part_of_arena(self, arena: int, name: str) -> bytes:
        """A field of the heapArena of that number, such as its bitmap. Raises MemoryFault."""
        field, found = self._arena.field(name), self._heap_arena(arena)
        if not found or field is None:
            raise MemoryFault(arena * self.arena_bytes - self._offset, self.arena_bytes)
        return self._target.memory.read(found + field.offset, field.type.size)

    def arena_bits(self, span: Span) -> int | None:
        """Address of the bitmap of the span's pointers where the arena has it, one bit a word: heapArena.bitmap of
        runtime/mheap.go, up to Go 1.21. None where it has none."""
        bitmap = self._arena.field("bitmap")
        if bitmap is None:
            return None
        number, rest = divmod(span.start + self._offset, self.arena_bytes)
        found = self._heap_arena(number)
        return None if not found else found + bitmap.offset + rest // self._word // 8


_LITTLE = array("H", b"\1\0")[0] == 1


def heap_of(target: Target) -> Heap | None:
    """The heap, None where debug information does not describe it."""
    try:
        return Heap(target)
    except GomapError:
        return None


@dataclass(frozen=True)
class LinkedPart:
    """A part of the program that the linker laid out. what: code, read-only data, data."""

    what: str
    start: int
    end: int


_SEGMENTS = (
    ("code", "text", "etext"),
    ("read-only data", "rodata", "noptrdata"),
    ("data", "noptrdata", "enoptrdata"),
    ("data", "data", "edata"),
    ("data", "bss", "ebss"),
    ("data", "noptrbss", "enoptrbss"),
)


def segments(target: Target) -> list[LinkedPart]:
    """The linker's parts of the program, its plugins' too: runtime.moduledata (runtime/symtab.go)."""
    module, t = target.symbol("runtime.firstmoduledata"), target.find_type("runtime.moduledata")
    seen: set[int] = set()
    found = []
    while module and t is not None and module not in seen and len(seen) < MAX_MODULES:
        seen.add(module)
        try:
            record = read_record(target, t, module)
        except MemoryFault:
            break
        found += [LinkedPart(what, record.get(low), record.get(high)) for what, low, high in _SEGMENTS]
        module = record.get("next")
    return found


def segment_of(target: Target, address: int) -> LinkedPart | None:
    """The part that address lies in."""
    return next((one for one in segments(target) if one.start <= address < one.end), None)


#: bytes that are not worth asking for where they lie.
SMALL = 4096
#: No array is larger.
MAX_BYTES = 1 << 46


class Room:
    """Where the program's memory has room for a map and its arrays. What a variable that is not set yet, or not needed
    any more, says of one may be anything."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stacks: list[tuple[int, int]] | None = None
        self.heap = heap_of(target)
        self._segments = segments(target)
        self._code = [one for one in self._segments if one.what == "code"]

    def is_code(self, address: int) -> bool:
        """Whether the address is in the program's code. Called for every pointer that is followed."""
        return any(one.start <= address < one.end for one in self._code)

    def has_code(self, low: int, high: int) -> bool:
        """Whether some of the program's code lies between these addresses."""
        return any(one.start <= high and low < one.end for one in self._code)

    def has(self, start: int, size: int) -> bool:
        """Whether an array of so many bytes can start there. Raises MemoryFault."""
        if size <= SMALL or not start:
            return True
        part = next((one for one in self._segments if one.start <= start < one.end), None)
        if part is not None:
            return part.what != "code" and start + size <= part.end
        return size <= MAX_BYTES and (self.heap is None or self.heap.holds(start, size))

    def is_left(self, address: int) -> bool:
        """Whether the memory at the address is known to be unused: it is in free pages, or in a stack that was moved.
        Moving a stack (copystack of runtime/stack.go) does not adjust pointers in dead variables."""
        try:
            if self.heap is None:
                return False
            span = self.heap.span_of(address)
            if span.state == IN_USE if span is not None else not self.heap.in_arena(address):
                return False
            if self._stacks is None:
                self._stacks = sorted(goroutine.stack for goroutine in goroutines(self._target)[0])
        except GomapError:
            return False
        before = bisect.bisect_right(self._stacks, (address, sys.maxsize)) - 1
        return before < 0 or address >= self._stacks[before][1]
