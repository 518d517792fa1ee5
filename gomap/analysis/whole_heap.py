"""The heap of one stop as a graph, with its roots: computed once, and kept for later commands.

It is kept while the program is stopped (target.Kept), for a core file as long as the file is open, and only if it is
complete and not larger than MAX_KEPT.
"""

from __future__ import annotations

from dataclasses import dataclass

from gomap import human
from gomap.analysis.retention import Retained
from gomap.errors import GomapError
from gomap.golang.runtime.heap import Heap
from gomap.heap.graph import HeapGraph, algorithms, build
from gomap.heap.objects import NoNumpy
from gomap.heap.roots import HeapRoots, roots
from gomap.progress import Progress, silent
from gomap.target import Target, kept_of

#: Bytes of a graph that is kept: 20 million objects with 40 million pointers take 1 GiB.
MAX_KEPT = 2 << 30
#: Bytes of spans of a heap that is small: its graph takes less than a second.
SMALL_HEAP = 64 << 20
#: Problems that are listed one by one.
MAX_NAMED = 4


@dataclass(frozen=True)
class WholeHeap:
    """running: how many threads went on while the heap was read."""

    heap: Heap
    graph: HeapGraph
    roots: HeapRoots
    retained: Retained
    running: int = 0

    @property
    def missing(self) -> list[str]:
        """What was not looked at, or not exactly."""
        graph, found = self.graph, self.roots
        missing = list(found.problems[:MAX_NAMED])
        if len(found.problems) > MAX_NAMED:
            missing.append(f"{len(found.problems) - MAX_NAMED:,} more such problems")
        if graph.interrupted:
            missing.append("the rest of the heap, since Ctrl-C was pressed")
        spans = graph.objects.lost + graph.objects.unread
        if spans:
            missing.append(f"{human.plural(spans, 'span')} of the heap, which can't be read or are corrupt")
        if graph.unread:
            missing.append(f"{human.plural(graph.unread, 'part')} of the heap, which can't be read")
        if graph.lost:
            what = human.plural(graph.lost, "type")
            missing.append(f"the pointers in objects of {what} whose descriptors can't be read")
        if found.running > found.registers:
            count = human.plural(found.running - found.registers, "running goroutine")
            missing.append(f"the registers of {count}")
        if self.running:
            missing.append("what the process changed while it was read")
        return missing

    def is_of(self, target: Target, progress: Progress = silent) -> bool:
        """Whether memory is as it was: the words of all objects with pointers added up, and the roots."""
        np = self.graph.objects.np
        if self.graph.added_up(target.memory) != self.graph.sum:
            return False
        now = roots(target, self.graph, progress)
        mine = (self.roots.slots, self.roots.objects), (now.slots, now.objects)
        return all(np.array_equal(one, other) for one, other in zip(*mine))


def known_heap(target: Target, progress: Progress = silent) -> WholeHeap | None:
    """What an earlier command of the same stop has worked out."""
    kept = kept_of(target)
    found = kept.heap if kept is not None and not target.running else None
    if not isinstance(found, WholeHeap) or kept is None:
        return None
    if not kept.certain and not found.is_of(target, progress):
        kept.heap = None
        return None
    return found


@dataclass
class HeapAtHand:
    """The graph for one command, which builds it at most once: of a running process none is kept for another command.
    Called, it gives the graph for optional information. no_packages: whether it can't be built for want of numpy or
    scipy."""

    target: Target
    progress: Progress = silent
    no_packages: bool = False
    _found: WholeHeap | None = None
    _looked: bool = False

    def __call__(self) -> WholeHeap | None:
        """The graph; None where it can't be built, or is not built yet and building it takes long."""
        if not self._looked:
            self._looked = True
            try:
                self._found = self._small()
            except GomapError as error:
                self.no_packages = isinstance(error, NoNumpy)
        return self._found

    def whole(self) -> WholeHeap:
        """The graph, however long that takes. Raises as whole_heap."""
        if self._found is None:
            self._found, self._looked = whole_heap(self.target, self.progress), True
        return self._found

    def _small(self) -> WholeHeap | None:
        found = known_heap(self.target, self.progress)
        if found is None:
            spans, _ = Heap(self.target).every()
            if sum(span.size for span in spans) <= SMALL_HEAP:
                found = whole_heap(self.target, self.progress)
        return found


def whole_heap(target: Target, progress: Progress = silent) -> WholeHeap:
    """The graph and its roots. Raises NoNumpy, NoScipy, NoDebugInfo, MemoryFault."""
    algorithms()
    found = known_heap(target, progress)
    if found is not None:
        return found
    heap = Heap(target)
    graph = build(target, heap, progress)
    of_graph = roots(target, graph, progress)
    found = WholeHeap(heap, graph, of_graph, Retained(graph, of_graph), target.running)
    kept = kept_of(target)
    if kept is not None and not target.running and not graph.interrupted and graph.memory_used <= MAX_KEPT:
        kept.heap = found
    return found
