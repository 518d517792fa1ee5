"""The heap as a graph: its objects, and from which to which the collector finds pointers.

Only words that hold an address of the heap are looked at. Whether such a word is a pointer the collector knows: up to
Go 1.21 by the arena's bitmap; from Go 1.22 on by a bitmap at the end of the span for objects of at most 512 bytes, by
the type in front of larger ones, and by the span's type for the largest (heapBitsForAddr and typePointersOf of
runtime/mbitmap.go). An edge leads to an object if its word points anywhere into it.

Edges are kept as compressed rows (CSR), which scipy's graph algorithms take as they are. Measured with 1 million
objects and 2 million edges: scipy 0.1 s and 40 MiB for a breadth-first search; igraph 2.3 s and 370 MiB, rustworkx
1.1 s and 450 MiB to take the edges over alone. Both have dominators, which scipy has not: dominators.py has as much of
them as is needed. What one object keeps alive needs none: it is what can't be reached without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

from gomap.arrays import no_signals
from gomap.errors import MemoryFault
from gomap.golang.runtime.heap import Heap, Span
from gomap.golang.runtime.malloc import MALLOC_HEADER, allocator
from gomap.heap.masks import Masks, MaskTable
from gomap.heap.objects import DOCTOR, HeapObjects, NoNumpy, needed, python
from gomap.memory import Memory, stream
from gomap.progress import Progress, silent
from gomap.target import Target

#: Bytes of the heap that are looked at together: columns of their words fit into a processor's cache.
CHUNK = 4 << 20
#: Pointers of objects that are kept: a container of thousands is asked about each of them.
MAX_SLOTS = 1 << 20
#: How it is known where the objects of a span have pointers.
NOWHERE, IN_SPAN, IN_FRONT, OF_SPAN, IN_ARENA = range(5)


class NoScipy(NoNumpy):
    """What this takes is not installed."""

    code = "no-scipy"


def algorithms() -> tuple[ModuleType, ModuleType]:
    """scipy.sparse and its csgraph. Raises NoNumpy, NoScipy."""
    needed()
    try:
        with no_signals():
            from scipy import sparse
            from scipy.sparse import csgraph
    except Exception:  # what a scipy that is there but does not fit numpy raises may be any of them
        raise NoScipy(f"this needs scipy, and {python()} has none: {DOCTOR}") from None
    return sparse, csgraph


@dataclass
class HeapGraph:
    """objects: of the heap. starts, ends: the edges of object i lead to ends[starts[i] : starts[i + 1]].

    lost: objects' types that can't be read. unread: pieces of the heap that could not be. interrupted: by Ctrl-C, the
    rest was not looked at. sum: of all words of the pieces of the heap that were looked at (Sources.pieces).
    """

    objects: HeapObjects
    sources: Sources
    starts: Any
    ends: Any
    unread: int = 0
    lost: int = 0
    interrupted: bool = False
    sum: int = 0
    _slots: dict[int, dict[int, list[int]]] = field(default_factory=dict)

    def added_up(self, memory: Memory) -> int:
        """The sum as memory is now."""
        np, code = self.objects.np, self.sources.code
        pieces = stream(memory, self.sources.pieces())
        return sum(_sum(np, data, code) for _, _, data in pieces if not isinstance(data, MemoryFault)) % (1 << 64)

    @property
    def complete(self) -> bool:
        """Whether all of the heap was looked at."""
        return not (self.objects.lost or self.objects.unread or self.unread or self.lost or self.interrupted)

    def reached(self, roots: Any, without: Any = (), ends: Any = None) -> Any:
        """Which objects can be reached from these, a bool for each; and not through those in `without`. ends: in place
        of the graph's own; those that are the number of objects lead nowhere."""
        np, count = self.objects.np, self.objects.count
        return searched(np, self.starts, self.ends if ends is None else ends, roots, without)[:count]

    def order(self, one: int) -> Any:
        """The objects that this one leads to, itself included, the nearest first."""
        _, csgraph = algorithms()
        return csgraph.breadth_first_order(matrix_of(self.objects.np, self.starts, self.ends), one, True, False)

    def slots(self, one: int, other: int) -> list[int]:
        """Addresses of the pointers that one object has to the other."""
        found = self._slots.get(one)
        if found is None:
            if self.starts[one + 1] - self.starts[one] > MAX_SLOTS:
                return [where for where, leads in self._pointers_of(one) if leads == other]
            if sum(map(len, self._slots.values())) >= MAX_SLOTS:
                self._slots.clear()
            found = self._slots[one] = {}
            for where, leads in self._pointers_of(one):
                found.setdefault(leads, []).append(where)
        return found.get(other, [])

    def pointers_of(self, one: int) -> Any:
        """Addresses of the pointers of an object, in the order of its edges."""
        return self.objects.np.array([where for where, _ in self._pointers_of(one)], "u8")

    def _pointers_of(self, one: int) -> list[tuple[int, int]]:
        """(address, what it points to) of an object's pointers."""
        objects, memory = self.objects, self.sources.target.memory
        span = objects.spans[int(objects.span_of(self.objects.np.array([one]))[0])]
        found: list[tuple[int, int]] = []
        # The bitmap of small objects is at the end of their span.
        for start in range(span.start, span.start + span.size, CHUNK if span.large else span.size):
            try:
                data = memory.read(start, min(CHUNK if span.large else span.size, span.start + span.size - start))
            except MemoryFault:
                continue
            number, where, leads = self.sources.pointers(start, data)
            mine = number == one
            found += zip(where[mine].tolist(), leads[mine].tolist())
        return found

    @cached_property
    def backward(self) -> tuple[Any, Any]:
        """The same edges the other way round, as (starts, ends)."""
        np = self.objects.np
        sparse, _ = algorithms()
        count = self.objects.count
        matrix = sparse.csr_matrix((np.ones(len(self.ends), np.int8), self.ends, self.starts), shape=(count, count))
        turned = matrix.tocsc()
        return turned.indptr, turned.indices

    @property
    def memory_used(self) -> int:
        """Of memory that the graph takes, with the edges the other way round."""
        return int(self.objects.memory_used + 2 * (self.starts.nbytes + self.ends.nbytes))


def matrix_of(np: ModuleType, starts: Any, ends: Any) -> Any:
    """The edges in the form of scipy's searches. These ignore weights, so one number serves for all weights."""
    sparse, _ = algorithms()
    count = len(starts) - 1
    return sparse.csr_matrix((np.broadcast_to(np.float64(1), ends.shape), ends, starts), shape=(count, count))


def searched(np: ModuleType, starts: Any, ends: Any, roots: Any, without: Any = ()) -> Any:
    """Which nodes of a graph can be reached from these, a bool for each, not through those in `without`. Edges to the
    number of nodes lead nowhere."""
    _, csgraph = algorithms()
    count = len(starts) - 1
    roots, without = np.unique(np.asarray(roots, np.int64)), np.asarray(without, np.int64)
    roots = np.setdiff1d(roots[roots >= 0], without).astype(np.int32)
    found = np.zeros(count, np.bool_)
    if not len(roots):
        return found
    if len(without):
        gone = np.zeros(count + 1, np.bool_)
        gone[without] = True
        ends = np.where(gone[ends], np.int32(count), ends)
    order = csgraph.breadth_first_order(_from_all(np, starts, ends, roots), count + 1, True, False)
    found[order[order < count]] = True
    return found


def tree_from(np: ModuleType, starts: Any, ends: Any, roots: Any) -> Any:
    """The shortest paths from these nodes to all that they lead to, as the predecessor of each node. The predecessor
    of a root, and of a node that is not reached, is not a node of the graph."""
    _, csgraph = algorithms()
    count = len(starts) - 1
    roots = np.unique(np.asarray(roots, np.int64)).astype(np.int32)
    _, before = csgraph.breadth_first_order(_from_all(np, starts, ends, roots), count + 1)
    return np.where(before[:count] < count, before[:count], -1)


def _from_all(np: ModuleType, starts: Any, ends: Any, roots: Any) -> Any:
    """The graph with one node more that leads to all of the roots, and one before it that leads nowhere."""
    starts = np.concatenate([starts, [len(ends), len(ends) + len(roots)]])
    starts = starts.astype(np.int32 if len(ends) + len(roots) < 1 << 31 else np.int64)
    return matrix_of(np, starts, np.concatenate([ends, roots]))


def _sum(np: ModuleType, data: Any, code: str) -> int:
    words = np.frombuffer(data, code, len(data) // np.dtype(code).itemsize)
    return int(words.sum(dtype=np.uint64))


def rows(np: ModuleType, starts: Any, numbers: Any) -> tuple[Any, Any]:
    """(which edges are of the objects with these numbers, of which of them each is)."""
    first, counts = starts[numbers], starts[numbers + 1] - starts[numbers]
    which = np.repeat(np.arange(len(numbers)), counts)
    before = np.cumsum(counts, dtype=np.int64) - counts
    return np.arange(len(which)) - np.repeat(before, counts) + np.repeat(first, counts), which


def build(target: Target, heap: Heap, progress: Progress = silent) -> HeapGraph:
    """The graph of the whole heap. Raises NoNumpy, NoDebugInfo, MemoryFault."""
    return _GraphBuilder(target, heap, progress).build()


class Sources:
    """Which words of the heap are pointers, for many words at once."""

    def __init__(self, target: Target, heap: Heap, objects: HeapObjects) -> None:
        np = self.np = objects.np
        self.target, self.heap, self.objects = target, heap, objects
        self.word = target.arch.pointer_size
        self.order = "<" if target.arch.byte_order == "little" else ">"
        self.code = f"{self.order}u{self.word}"
        self.table = MaskTable(Masks(target))
        over = allocator(target).header_over
        self._over = over
        tails = [self._tail(span) for span in objects.spans]
        self.how = np.array([how for how, _ in tails], np.int8)
        self.tail = np.array([at for _, at in tails], np.int64)
        self.type = np.array([span.large_type for span in objects.spans], np.uint64)
        self.unread = 0
        self._bitmaps: dict[int, Any] = {}
        if not over:
            heap.check_arena_bits()

    def _tail(self, span: Span) -> tuple[int, int]:
        """(how it is known where the span's objects have pointers, offset of its bitmap)."""
        if span.noscan:
            return NOWHERE, 0
        if not self._over:
            return IN_ARENA, 0
        if span.large:
            return OF_SPAN, 0
        if span.object > self._over:
            return IN_FRONT, 0
        tail = self.heap.tail(span)
        if tail is None:
            return NOWHERE, 0  # a span whose size class says what can't be
        return IN_SPAN, tail[0]

    def pieces(self) -> list[tuple[int, int]]:
        """What of the heap has objects with pointers, as (address, size): whole spans, but for the largest."""
        np, objects = self.np, self.objects
        found: list[tuple[int, int]] = []
        start = end = 0
        for i in np.flatnonzero(self.how != NOWHERE).tolist():
            span = objects.spans[i]
            if end > start and (span.start != end or span.start + span.size - start > CHUNK):
                found.append((start, end - start))
                start = span.start
            elif end == start:
                start = span.start
            end = span.start + span.size
            while end - start > CHUNK and span.large:
                found.append((start, CHUNK))
                start += CHUNK
        if end > start:
            found.append((start, end - start))
        return found

    def pointers(self, base: int, data: Any) -> tuple[Any, Any, Any]:
        """(numbers of objects, where their pointers lie, what these point to) of all pointers to objects of the heap in
        a piece of it that starts at base."""
        np, objects, word = self.np, self.objects, self.word
        words = np.frombuffer(data, self.code, len(data) // word).astype(np.uint64, copy=False)
        at = objects.in_range(words)
        where = np.uint64(base) + at.astype(np.uint64) * np.uint64(word)
        span = objects.span_at(where)
        slot = objects.slot_at(where, span)
        number = np.where(slot >= 0, objects.number[slot], -1)
        keep = number >= 0
        at, where, span, slot, number = at[keep], where[keep], span[keep], slot[keep], number[keep]
        first = (objects.start[span] + (slot - objects.first[span]).astype(np.uint64) * objects.size[span]).astype(
            np.int64
        )  # where their objects begin
        is_pointer = np.zeros(len(at), np.bool_)
        how = self.how[span]
        for one, judge in (
            (IN_SPAN, self._in_span),
            (IN_FRONT, self._in_front),
            (OF_SPAN, self._of_span),
            (IN_ARENA, self._in_arena),
        ):
            mine = np.flatnonzero(how == one)
            if len(mine):
                is_pointer[mine] = judge(base, data, words, at[mine], span[mine], first[mine])
        at, number, where = at[is_pointer], number[is_pointer], where[is_pointer]
        leads = objects.objects_at(words[at])
        good = leads >= 0
        return number[good], where[good], leads[good]

    def _in_span(self, base: int, data: Any, words: Any, at: Any, span: Any, first: Any) -> Any:
        np, word = self.np, self.word
        bytes_ = np.frombuffer(data, np.uint8)
        start = self.objects.start[span].astype(np.int64) - base
        bit = at - start // word
        return self._bit(bytes_, start + self.tail[span], bit)

    def _bit(self, bytes_: Any, start: Any, bit: Any) -> Any:
        """Bits of bitmaps of words that start at so many bytes."""
        byte = bit >> 3
        if self.order == ">":
            byte ^= self.word - 1
        return (bytes_[start + byte] >> (bit & 7).astype(self.np.uint8)) & 1 != 0

    def _in_front(self, base: int, data: Any, words: Any, at: Any, span: Any, first: Any) -> Any:
        word = self.word
        front = (first - base) // word
        inside = at - front - MALLOC_HEADER // word
        found = self.table.has_pointer(words[front], self.np.maximum(inside, 0))
        return found & (inside >= 0)

    def _of_span(self, base: int, data: Any, words: Any, at: Any, span: Any, first: Any) -> Any:
        return self.table.has_pointer(self.type[span], at - (first - base) // self.word)

    def _in_arena(self, base: int, data: Any, words: Any, at: Any, span: Any, first: Any) -> Any:
        """heapArena.bitmap up to Go 1.21. Behind an object's last pointer its bits are zero (writeHeapBits.flush)."""
        np, word = self.np, self.word
        place = base + at * word
        found = np.zeros(len(at), np.bool_)
        arenas = self._arena(place)
        for arena in np.unique(arenas).tolist():
            mine = np.flatnonzero(arenas == arena)
            bits = self._bitmap(arena)
            if bits is not None:
                found[mine] = self._bit(bits, 0, (place[mine] - self._arena_start(arena)) // word)
        return found

    def _arena(self, place: Any) -> Any:
        return (place + self.heap.arena_offset) // self.heap.arena_bytes

    def _arena_start(self, arena: int) -> int:
        return arena * self.heap.arena_bytes - self.heap.arena_offset

    def _bitmap(self, arena: int) -> Any:
        """heapArena.bitmap; None where it can't be read."""
        if arena not in self._bitmaps:
            try:
                data = self.heap.part_of_arena(arena, "bitmap")
                self._bitmaps[arena] = self.np.frombuffer(data, self.np.uint8)
            except MemoryFault:
                self._bitmaps[arena] = None
                self.unread += 1
        return self._bitmaps[arena]


class _GraphBuilder:
    def __init__(self, target: Target, heap: Heap, progress: Progress) -> None:
        self.target, self.progress = target, progress
        self.objects = HeapObjects(target, heap, progress)
        self.sources = Sources(target, heap, self.objects)
        self.np = self.objects.np

    def build(self) -> HeapGraph:
        np, objects = self.np, self.objects
        counts = np.zeros(objects.count + 1, np.int32)
        ends: list[Any] = []
        found = HeapGraph(objects, self.sources, None, None)
        try:
            for number, leads in self._edges(found):
                if len(number):
                    low = int(number[0])
                    own = np.bincount(number - low)
                    counts[low + 1 : low + 1 + len(own)] += own.astype(np.int32)
                    ends.append(leads)
        except KeyboardInterrupt:
            found.interrupted = True
        found.ends = np.concatenate(ends) if ends else np.zeros(0, np.int32)
        found.starts = np.cumsum(counts, dtype=np.int64)
        if len(found.ends) < 1 << 31:
            found.starts = found.starts.astype(np.int32)
        found.lost = self.sources.table.lost
        found.unread += self.sources.unread
        return found

    def _edges(self, found: HeapGraph) -> Iterator[tuple[Any, Any]]:
        """(from which object, to which) of one piece after another; the first ascend."""
        pieces = self.sources.pieces()
        done, total = 0, sum(size for _, size in pieces)
        for base, size, data in stream(self.target.memory, pieces):
            self.progress("MiB of the heap", done >> 20, total >> 20)
            done += size
            if isinstance(data, MemoryFault):
                parts = list(self._readable(base, size))
                found.unread += 1
            else:
                parts = [(base, data)]
            for start, part in parts:
                found.sum = (found.sum + _sum(self.np, part, self.sources.code)) % (1 << 64)
                number, _, leads = self.sources.pointers(start, part)
                yield number, leads

    def _readable(self, base: int, size: int) -> Iterator[tuple[int, Any]]:
        """The spans of a piece that can be read."""
        objects = self.objects
        first = int(self.np.searchsorted(objects.start, base))
        for span in objects.spans[first:]:
            if span.start >= base + size:
                return
            try:
                yield span.start, self.target.memory.read(span.start, min(span.size, base + size - span.start))
            except MemoryFault:
                continue
