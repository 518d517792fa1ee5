"""What keeps an object of the heap alive, and which objects are freed without it.

The objects freed without an object are those that can't be reached from the roots without passing through it. A
breadth-first search from the roots finds the live objects; one from the object finds what it leads to; and one from
everything else that holds a part of that finds what stays. A backward search from the object finds the shortest path
from each root.

An object with a finalizer keeps alive what it leads to until the finalizer has run. If the object itself is freed, this
counts as freed with it: it takes one more collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gomap.heap.dominators import NodePart, freed_without
from gomap.heap.graph import HeapGraph, algorithms, matrix_of, rows, searched, tree_from
from gomap.heap.roots import FINALIZER, KINDS, HeapRoots


@dataclass(frozen=True)
class RootWay:
    """The shortest path from a root of a kind. root: its number, None for an object with a finalizer, the first of
    `objects`. objects: numbers of the objects on the path; the last is the one that is kept alive. slot: address of the
    root's pointer, 0 if it is in a register. others: how many other roots of the kind lead there."""

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
        left = self._without(one)
        self._count(found, self.alive & ~left)
        starts, ends = graph.backward
        holders = ends[starts[one] : starts[one + 1]]
        found.references = int(np.count_nonzero(left[holders])) + int(np.count_nonzero(self._starts == one))
        found.ways, found.roots = self._ways(one, starts, ends)
        return found

    def shortest(self, one: int) -> RootWay | None:
        """The shortest way from a root of any kind; None of what nothing keeps."""
        if not self.alive[one]:
            return None
        way = [one]
        while self._tree[way[-1]] >= 0:
            way.append(int(self._tree[way[-1]]))
        way.reverse()
        roots = self.roots
        mine = self._np.flatnonzero(roots.objects == way[0])
        if len(mine):
            root = int(mine[self._np.argmin(roots.kinds[mine])])  # a package variable before a stack
            return RootWay(KINDS[int(roots.kinds[root])], root, int(roots.slots[root]), tuple(way), len(mine) - 1)
        graph = self.graph
        holder = next(o for o in self.pending if way[0] in graph.ends[graph.starts[o] : graph.starts[o + 1]])
        return RootWay(FINALIZER, None, 0, (holder, *way))

    @cached_property
    def _tree(self) -> Any:
        return tree_from(self._np, self.graph.starts, self.graph.ends, self._starts)

    def freed_without(self, objects: Any, parts: Sequence[NodePart] = ()) -> tuple[Any, Any]:
        """Bytes that are freed without each of these objects, and without each of the parts; 0 for garbage."""
        return freed_without(self.graph, self._starts, self.alive, objects, parts)

    def parts(self, words: Iterable[tuple[int, int]]) -> Iterator[NodePart]:
        """Words that do not make an object, outside of the heap or in one. words: where they start, and how many
        bytes they have."""
        np, graph, roots = self._np, self.graph, self.roots
        pointers: dict[int, Any] = {}  # many sync.Maps may lie in one object
        for start, size in words:
            one = graph.objects.object_at(start)
            if one < 0:
                mine = (roots.slots >= np.uint64(start)) & (roots.slots < np.uint64(start + size))
                yield NodePart(np.flatnonzero(mine).tolist())
                continue
            if one not in pointers:
                pointers[one] = graph.pointers_of(one)
            # An object's edges are in the order of its pointers.
            first, last = np.searchsorted(pointers[one], np.array([start, start + size], "u8")).tolist()
            before = int(graph.starts[one])
            yield NodePart((), range(before + first, before + last), one)

    def of_words(self, start: int, size: int) -> Retention:
        """What these bytes keep, which lie outside of the heap: of roots among them."""
        np, roots = self._np, self.roots
        cut = (roots.slots >= np.uint64(start)) & (roots.slots < np.uint64(start + size))
        found = Retention(reached=True, roots=int(np.count_nonzero(cut)))
        rest = self._starts[np.concatenate([~cut, np.ones(len(self._starts) - len(cut), np.bool_)])]
        self._count(found, self.alive & ~self.graph.reached(rest))
        return found

    def _without(self, one: int) -> Any:
        """The objects that are alive without this object. Only objects that it leads to can be freed."""
        np, graph = self._np, self.graph
        count = graph.objects.count
        order = graph.order(one)
        if len(order) > count // 2:
            return graph.reached(self._starts, [one])
        inside = np.zeros(count + 1, np.bool_)
        inside[order] = True
        # Of these some are held from elsewhere: what they lead to, too, stays.
        starts, ends = graph.backward
        at, which = rows(np, starts, order)
        before = ends[at]
        held = np.zeros(count, np.bool_)
        held[order[which[self.alive[before] & ~inside[before]]]] = True
        held[self._starts[inside[self._starts]]] = True
        held[one] = False
        # The part of the graph that it leads to, by itself.
        number = np.full(count + 1, -1, np.int32)
        number[order] = np.arange(len(order), dtype=np.int32)
        at, which = rows(np, graph.starts, order)
        inner = np.zeros(len(order) + 1, np.int64)
        inner[1:] = np.cumsum(graph.starts[order + 1] - graph.starts[order])
        stays = searched(np, inner, number[graph.ends[at]], number[np.flatnonzero(held)], number[[one]])
        left = self.alive.copy()
        left[order[~stays]] = False
        return left

    def _count(self, found: Retention, freed: Any) -> None:
        found.count = int(self._np.count_nonzero(freed))
        found.bytes = self.graph.objects.total(freed)
        found.finalizers = sum(bool(freed[one]) for one in self._finalized)

    def _ways(self, one: int, starts: Any, ends: Any) -> tuple[list[RootWay], int]:
        """(the shortest way from each kind of root, how many roots lead there)."""
        np, roots, count = self._np, self.roots, self.graph.objects.count
        _, csgraph = algorithms()
        order, before = csgraph.breadth_first_order(matrix_of(np, starts, ends), one)
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
