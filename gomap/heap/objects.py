"""The objects of the heap, in columns of numpy: the allocated ones, and which object an address is in.

An object is identified by its number; numbers ascend with addresses. A slot is a place for an object in a span, whether
one is allocated there or not.

Follows mspan.isFree and mspan.objIndex of runtime/mheap.go, and findObject of runtime/mbitmap.go. In a span that is not
swept yet, the allocated objects are those that the last collection has marked (census.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from gomap.columns.choose import columns
from gomap.errors import GomapError, MemoryFault, NoDebugInfo
from gomap.golang.runtime.heap import INLINE_MARKS, MARKS_AT, PAGE_SIZE, Heap, Span
from gomap.heap.census import UNSWEPT
from gomap.progress import Progress, silent
from gomap.reads import scattered, views
from gomap.target import Target

#: Pages are looked up in blocks of so many bytes, of which the addresses of processes have at most MAX_BLOCKS.
BLOCK = 1 << 26
PAGES = BLOCK // PAGE_SIZE
MAX_BLOCKS = 1 << 24
#: Pages of a span of small objects, at most (class_to_allocnpages).
MOST_PAGES = 16
#: Slots that are looked at together.
TOGETHER = 1 << 22
#: Numbers of slots fit into four bytes.
MAX_SLOTS = (1 << 31) - 1


class NoNumpy(GomapError):
    """What this takes is not installed."""

    code = "no-numpy"


#: A debugger may bring a Python of its own, for which `python3 -m pip` installs nothing.
DOCTOR = "`gomap doctor` prints the command that installs it"


def python() -> str:
    """The Python that runs this, which may be one that a debugger has brought with it."""
    return f"the Python {sys.version_info[0]}.{sys.version_info[1]} that runs it"


def needed() -> Any:
    """numpy. Raises NoNumpy."""
    found = columns().np
    if found is None:
        raise NoNumpy(f"this needs numpy and scipy, and {python()} has no numpy: {DOCTOR}")
    return found


class HeapObjects:
    """All objects of a stopped program's heap. Raises NoNumpy, NoDebugInfo, MemoryFault.

    spans: by address; lost: how many could not be read or say what can't be; unread: whose bitmaps could not. slots:
    the number of each object's slot. count: of the objects.
    """

    def __init__(self, target: Target, heap: Heap, progress: Progress = silent) -> None:
        np = self.np = needed()
        self.heap, self.memory = heap, target.memory
        spans, self.lost = heap.every()
        self.spans = list(self._sane(spans))
        self.lost += len(spans) - len(self.spans)
        self.unread = 0
        self.start = np.array([span.start for span in self.spans], np.uint64)
        self.size = np.array([span.object for span in self.spans], np.uint64)
        held = np.array([span.objects for span in self.spans], np.int64)
        #: The number of a span's first slot; one more than there are spans.
        self.first = np.concatenate([np.zeros(1, np.int64), np.cumsum(held)])
        total = int(self.first[-1])
        if total > MAX_SLOTS:
            raise NoDebugInfo(f"the heap has {total:,} slots for objects, more than gomap can count")
        self._map_pages(held)
        allocated = self._allocated(held, total, progress)
        self.slots = np.flatnonzero(allocated).astype(np.int32)
        self.count = len(self.slots)
        #: The number of the object in each slot, -1 where none is.
        self.number = np.cumsum(allocated, dtype=np.int32)
        self.number -= 1
        self.number[~allocated] = -1

    @property
    def memory_used(self) -> int:
        """Of memory that the columns take; a span takes some 400 as an object of Python."""
        columns = self.slots, self.number, self.first, self.start, self.size, self._pages, self._blocks
        return int(sum(column.nbytes for column in columns)) + 400 * len(self.spans)

    def _sane(self, spans: Sequence[Span]) -> Iterator[Span]:
        """The spans that do not reach into the next, or beyond their arena, and have no more pages than spans of small
        objects have. What others say of themselves takes any amount of memory."""
        following = [*[span.start for span in spans[1:]], None]
        for span, start in zip(spans, following):
            end = span.start + span.size
            fits = end <= start if start is not None else self.heap.in_arena(end - 1)
            if fits and (span.large or span.size <= MOST_PAGES * PAGE_SIZE):
                yield span

    # -- allocated objects -----------------------------------------------------------------------------

    def _allocated(self, held: Any, total: int, progress: Progress) -> Any:
        np = self.np
        found = np.zeros(total, np.bool_)
        at = 0
        while at < len(self.spans):
            end = int(np.searchsorted(self.first, self.first[at] + TOGETHER, "right")) - 1
            end = min(max(end, at + 1), len(self.spans))
            progress("spans", at, len(self.spans))
            self._of_spans(found, held, at, end)
            at = end
        return found

    def _of_spans(self, found: Any, held: Any, low: int, high: int) -> None:
        """Marks the allocated objects in the spans from low to high."""
        np = self.np
        here = self.spans[low:high]
        bits = self._bitmaps(here)
        sizes = np.array([len(one) for one in bits], np.int64)
        every = np.unpackbits(np.frombuffer(b"".join(bits), np.uint8), bitorder="little")
        counts = held[low:high]
        own = np.arange(self.first[low], self.first[high])
        first = np.repeat(self.first[low:high], counts)
        index = own - first
        at = np.repeat((np.cumsum(sizes) - sizes) * 8, counts) + index
        scanned = np.array([0 if one.sweepgen in UNSWEPT else one.scanned for one in here], np.int64)
        found[self.first[low] : self.first[high]] = (every[at] != 0) | (index < np.repeat(scanned, counts))

    def _bitmaps(self, spans: Sequence[Span]) -> list[bytes]:
        """Which objects are allocated above Span.scanned, of unswept spans all. Nothing of what can't be read."""
        wanted = [one.mark_bits if one.sweepgen in UNSWEPT else one.alloc_bits for one in spans]
        sizes = [one.bits_size for one in spans]
        order = sorted(range(len(spans)), key=wanted.__getitem__)
        found = [b""] * len(spans)
        inline = self._inline(spans)
        for i, data in zip(order, views(self.memory, [wanted[i] for i in order], [sizes[i] for i in order])):
            if isinstance(data, MemoryFault):
                self.unread += 1
                one = bytes(sizes[i])
            else:
                one = bytes(data)
            marks = inline.get(i)
            if marks is not None:
                both = int.from_bytes(one, "little") | int.from_bytes(marks[: len(one)], "little")
                one = both.to_bytes(len(one), "little")
            found[i] = one
        return found

    def _inline(self, spans: Sequence[Span]) -> dict[int, bytes]:
        """Green Tea's marks, which are in the span until it is swept, by the number of the span."""
        size = INLINE_MARKS - 1 - MARKS_AT
        places: dict[int, int] = {}
        for i, span in enumerate(spans):
            tail = self.heap.tail(span) if span.sweepgen in UNSWEPT else None
            if tail is not None and tail[1] != span.size:
                places[i] = span.start + tail[1] + MARKS_AT
        found = {i: data for i, (_, data) in zip(places, scattered(self.memory, list(places.values()), size))}
        self.unread += sum(data is None for data in found.values())
        return {i: data for i, data in found.items() if data is not None}

    # -- where it is -----------------------------------------------------------------------------------

    def _map_pages(self, held: Any) -> None:
        """Notes which span each page belongs to."""
        np = self.np
        if not self.spans:
            self.low, self.high = 0, 0
            self._blocks, self._pages = np.zeros(1, np.int32), np.full(PAGES, -1, np.int32)
            return
        self.low = self.spans[0].start
        self.high = max(span.start + span.size for span in self.spans)
        first = self.low // BLOCK
        blocks = (self.high - 1) // BLOCK + 1 - first
        if blocks > MAX_BLOCKS:
            raise NoDebugInfo("the heap's spans are further apart than possible: they are corrupt")
        start = self.start.astype(np.int64) // PAGE_SIZE - first * PAGES
        pages = np.array([span.size // PAGE_SIZE for span in self.spans], np.int64)
        used = np.zeros(blocks + 1, np.int32)
        np.add.at(used, start // PAGES, 1)
        np.add.at(used, (start + pages - 1) // PAGES + 1, -1)
        in_use = np.cumsum(used[:-1]) > 0
        #: Which row of the pages a block has; the last row is that of blocks without spans.
        self._blocks = np.where(in_use, np.cumsum(in_use) - 1, int(in_use.sum())).astype(np.int32)
        self._pages = np.full((int(in_use.sum()) + 1) * PAGES, -1, np.int32)
        own = np.repeat(np.arange(len(self.spans), dtype=np.int32), pages)
        page = np.arange(len(own)) - np.repeat(np.cumsum(pages) - pages, pages) + np.repeat(start, pages)
        self._pages[self._blocks[page // PAGES].astype(np.int64) * PAGES + page % PAGES] = own

    def in_range(self, words: Any) -> Any:
        """Where among the words (an array of uint64) are such as can be addresses in the heap."""
        np = self.np
        return np.flatnonzero(words - np.uint64(self.low) < np.uint64(self.high - self.low))

    def span_at(self, addresses: Any) -> Any:
        """The number of the span of each address, which has to lie in the range; -1 where none is."""
        np = self.np
        page = ((addresses - np.uint64(self.low // BLOCK * BLOCK)) >> np.uint64(13)).astype(np.int64)
        return self._pages[self._blocks[page >> 13].astype(np.int64) * PAGES + (page & PAGES - 1)]

    def slot_at(self, addresses: Any, span: Any) -> Any:
        """The slot of each address of a span; -1 where it has none, at its end."""
        np = self.np
        index = ((addresses - self.start[span]) // self.size[span]).astype(np.int64)
        slot = self.first[span] + index
        slot[slot >= self.first[span + 1]] = -1
        return slot

    def objects_at(self, addresses: Any) -> Any:
        """The number of the object that each address is in; -1 where none is. Any words will do."""
        np = self.np
        addresses = np.asarray(addresses, np.uint64)
        found = np.full(len(addresses), -1, np.int32)
        at = self.in_range(addresses)
        span = self.span_at(addresses[at])
        at, span = at[span >= 0], span[span >= 0]
        slot = self.slot_at(addresses[at], span)
        at, slot = at[slot >= 0], slot[slot >= 0]
        found[at] = self.number[slot]
        return found

    def object_at(self, address: int) -> int:
        """The number of the object that the address is in; -1 where none is."""
        return int(self.objects_at([address])[0]) if 0 <= address < 1 << 64 else -1

    def span_of(self, objects: Any) -> Any:
        """The number of the span of each object."""
        return self.np.searchsorted(self.first, self.slots[objects], "right") - 1

    def addresses(self, objects: Any) -> Any:
        """Where each object begins, as the collector has it: at its allocation header if it has one."""
        np = self.np
        span = self.span_of(objects)
        index = (self.slots[objects] - self.first[span]).astype(np.uint64)
        return self.start[span] + index * self.size[span]

    def address(self, one: int) -> int:
        """The address of the object with this number."""
        return int(self.addresses(self.np.array([one]))[0])

    def sizes(self, objects: Any) -> Any:
        """Bytes of each object, in the allocator's size classes."""
        return self.size[self.span_of(objects)]

    def total(self, which: Any) -> int:
        """Bytes of all objects for which this has a true value, of one value for each."""
        np = self.np
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(which, dtype=np.int64)])
        first = before[np.searchsorted(self.slots, self.first)]  # how many there are before each span
        return int(((first[1:] - first[:-1]) * self.size.astype(np.int64)).sum())
