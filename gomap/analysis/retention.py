"""What keeps an object of the heap alive, and what is freed without it.

What is freed without an object is what can't be reached from the roots without passing through it: two breadth-first
searches from the roots tell. A third, from the object backwards, tells the shortest way from each root.

An object with a finalizer keeps what it leads to until the finalizer has run. Where it is freed itself, that is counted
as freed with it: after a collection more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gomap.heap.graph import HeapGraph, algorithms
from gomap.heap.roots import FINALIZER, KINDS, HeapRoots


@dataclass(frozen=True)
class RootWay:
    """The shortest way from a root of a kind. root: its number, None where it is an object with a finalizer, the first
    of `objects`. objects: numbers of those on the way, the one that is kept the last. slot: where the root's pointer
    lies, 0 in a register. others: how many more roots of the kind lead there."""

    kind: str
    root: int | None
    slot: int
    objects: tuple[int, ...]
    others: int = 0


@dataclass
class Retention:
    """reached: whether anything leads to it. bytes, count: of the objects that are freed without it, itself included.
    own: its bytes. references: how many pointers lead to it from what stays alive without it, roots included.
    finalizers: how many of the freed have a finalizer, which runs first. roots: how many lead to it."""

    reached: bool = False
    bytes: int = 0
    count: int = 0
    own: int = 0
    references: int = 0
    finalizers: int = 0
    roots: int = 0
    ways: list[RootWay] = field(default_factory=list)


class Retained:
    """Answers of one graph and its roots."""

    def __init__(self, graph: HeapGraph, roots: HeapRoots) -> None:
        self.graph, self.roots = graph, roots
        self._np = graph.objects.np
        self._finalized = [one.object for one in roots.specials if one.kind == "finalizer" and one.object >= 0]
        ordinary = graph.reached(roots.objects)
        #: Objects with finalizers that nothing else leads to: what they lead to is kept.
        self.pending = [one for one in self._finalized if not ordinary[one]]
        more = [graph.ends[graph.starts[one] : graph.starts[one + 1]] for one in self.pending]
        self._starts = self._np.concatenate([roots.objects, *more])
        #: Which objects are reached, a bool for each.
        self.alive = graph.reached(self._starts) if more else ordinary

    def of_object(self, one: int) -> Retention:
        """What keeps this object."""
        np, graph = self._np, self.graph
        found = Retention(reached=bool(self.alive[one]), own=int(graph.objects.sizes(np.array([one]))[0]))
        if not found.reached:
            return found
        left = graph.reached(self._starts, [one])
        self._count(found, self.alive & ~left)
        starts, ends = graph.backward()
        holders = ends[starts[one] : starts[one + 1]]
        found.references = int(np.count_nonzero(left[holders])) + int(np.count_nonzero(self._starts == one))
        found.ways, found.roots = self._ways(one, starts, ends)
        return found

    def of_words(self, start: int, size: int) -> Retention:
        """What these bytes keep, which lie outside of the heap: of roots among them."""
        np, roots = self._np, self.roots
        cut = (roots.slots >= np.uint64(start)) & (roots.slots < np.uint64(start + size))
        found = Retention(reached=True, roots=int(np.count_nonzero(cut)))
        rest = self._starts[np.concatenate([~cut, np.ones(len(self._starts) - len(cut), np.bool_)])]
        self._count(found, self.alive & ~self.graph.reached(rest))
        return found

    def _count(self, found: Retention, freed: Any) -> None:
        numbers = self._np.flatnonzero(freed)
        found.count = len(numbers)
        found.bytes = int(self.graph.objects.sizes(numbers).sum())
        found.finalizers = sum(bool(freed[one]) for one in self._finalized)

    def _ways(self, one: int, starts: Any, ends: Any) -> tuple[list[RootWay], int]:
        """(the shortest way from each kind of root, how many roots lead there)."""
        np, roots, count = self._np, self.roots, self.graph.objects.count
        sparse, csgraph = algorithms()
        matrix = sparse.csr_matrix((np.ones(len(ends), np.int8), ends, starts), shape=(count, count))
        order, before = csgraph.breadth_first_order(matrix, one)
        rank = np.full(count, -1, np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        ranks = rank[roots.objects]
        found: list[RootWay] = []
        for number, kind in enumerate(KINDS):
            mine = np.flatnonzero((roots.kinds == number) & (ranks >= 0))
            if len(mine):
                root = int(mine[np.argmin(ranks[mine])])
                way = self._way(int(roots.objects[root]), one, before)
                found.append(RootWay(kind, root, int(roots.slots[root]), way, len(mine) - 1))
        waiting = [start for start in self.pending if start != one and rank[start] >= 0]
        if waiting:
            first = min(waiting, key=lambda start: int(rank[start]))
            found.append(RootWay(FINALIZER, None, 0, self._way(first, one, before), len(waiting) - 1))
        return found, int(np.count_nonzero(ranks >= 0)) + len(waiting)

    def candidates(self, way: RootWay, most: int) -> list[RootWay]:
        """Ways from the other roots that point to the same first object."""
        np, roots = self._np, self.roots
        if way.root is None:
            return []
        same = np.flatnonzero((roots.kinds == KINDS.index(way.kind)) & (roots.objects == way.objects[0]))
        return [RootWay(way.kind, int(i), int(roots.slots[i]), way.objects, way.others) for i in same[:most]]

    def _way(self, start: int, one: int, before: Any) -> tuple[int, ...]:
        found = [start]
        while found[-1] != one:
            found.append(int(before[found[-1]]))
        return tuple(found)
