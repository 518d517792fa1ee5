"""How many bytes would be freed without each of some objects: their part of the dominator tree of the heap's graph.

An object dominates another if every path from the roots to the other leads through it. The objects freed without an
object are those that it dominates. Only some objects are of interest, the marked ones, and that makes it cheap:

1. Objects that can be reached without passing through a marked object are dominated by none: one breadth-first search.
2. Of the rest, objects that reach one another without passing through a marked one have the same marked dominators: the
   strongly connected components without the marked objects (scipy) become one node each.
3. A node that is not marked and that only one other leads to has the marked dominators of that: it is merged into it.
   A marked one that only one other leads to, and that leads nowhere, is counted and taken out.
4. The rest, objects with several paths, goes through the algorithm of Lengauer and Tarjan, in plain Python.

Steps 1 to 3 are columns of numpy. Measured with 1 million objects and 2 million pointers: igraph, which has dominators,
takes 2.3 s and 370 MiB to take the pointers over before it begins, rustworkx 1.1 s and 450 MiB. This takes 0.3 s, and
3 s for ten times as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gomap.heap.graph import HeapGraph, algorithms, rows

#: Step 3 is repeated while it removes more than one node per so many nodes and pointers: below that, as in a long chain
#: of maps, step 4 is faster.
PAYS = 256


@dataclass(frozen=True)
class NodePart:
    """Words that are a node of their own, beside the objects: a map header on a stack, or a struct in an object.

    roots: which of the roots lie in them. cut: numbers of the edges (of HeapGraph.ends) that lie in them; inside: the
    object that these are of, -1 outside of the heap.
    """

    roots: Sequence[int] = ()
    cut: Sequence[int] = ()
    inside: int = -1


def freed_without(
    graph: HeapGraph, roots: Any, alive: Any, objects: Any, parts: Sequence[NodePart] = ()
) -> tuple[Any, Any]:
    """Bytes that are freed without each of these objects, itself included, and without each of the parts.

    roots: numbers of the objects that roots point to. alive: what they reach, a bool for each object. objects: numbers,
    each once. 0 of an object that is not alive.
    """
    np = graph.objects.np
    count = graph.objects.count
    marked = np.asarray(objects, np.int64)
    ends = graph.ends
    roots = np.asarray(roots, np.int64)
    own = np.zeros(len(roots), np.bool_)
    cut = np.array([i for part in parts for i in part.cut], np.int64)
    for part in parts:
        own[list(part.roots)] = True
    if len(cut):
        ends = ends.copy()
        ends[cut] = count
    plain = roots[~own & (roots >= 0)]
    free = graph.reached(plain, marked, ends if len(cut) else None)
    rest = np.flatnonzero(alive & ~free)
    # Nodes: the objects of the rest, the parts, and the root.
    number = np.full(count + 1, -1, np.int64)
    number[rest] = np.arange(len(rest))
    root = len(rest) + len(parts)
    at, sources = rows(np, graph.starts, rest)
    targets = number[ends[at]]  # number[count] is -1: where an edge was cut
    sources, targets = number[rest][sources][targets >= 0], targets[targets >= 0]
    edges = [(sources, targets)]
    direct = plain[number[plain] >= 0]
    edges.append((np.full(len(direct), root), number[direct]))
    # What leads to marked objects from outside of the rest.
    mine = marked[number[marked] >= 0]
    back_starts, back_ends = graph.backward
    at, which = rows(np, back_starts, mine)
    outside = free[back_ends[at]]
    if len(cut):  # an edge that was cut is not one
        outside &= ~np.isin(back_ends[at], [part.inside for part in parts])
        for inside in {part.inside for part in parts if part.inside >= 0 and free[part.inside]}:
            leads = number[ends[graph.starts[inside] : graph.starts[inside + 1]]]
            leads = leads[leads >= 0]
            edges.append((np.full(len(leads), root), leads))
    leads = number[mine[which[outside]]]
    edges.append((np.full(len(leads), root), leads))
    for i, part in enumerate(parts):
        node = len(rest) + i
        held = np.concatenate([graph.ends[np.asarray(part.cut, np.int64)], roots[list(part.roots)]])
        held = number[held[held >= 0]]
        held = held[held >= 0]
        edges.append((np.full(len(held), node), held))
        before = root if part.inside < 0 or free[part.inside] else int(number[part.inside])
        if before >= 0:  # else what it lies in is not alive
            edges.append((np.array([before]), np.array([node])))
    weights = np.zeros(root + 1, np.int64)
    weights[: len(rest)] = graph.objects.sizes(rest)
    is_marked = np.zeros(root + 1, np.bool_)
    is_marked[number[mine]] = True
    is_marked[len(rest) :] = True
    every = np.concatenate([a for a, _ in edges]), np.concatenate([b for _, b in edges])
    sums = _Reduced(np, *every, weights, is_marked, root).sums()
    of_objects = np.zeros(len(marked), np.int64)
    there = number[marked] >= 0
    of_objects[there] = sums[number[marked][there]]
    return of_objects, sums[len(rest) : root]


class _Reduced:
    """A graph of nodes 0 to `root`. Each can be reached from the root, except parts of garbage."""

    def __init__(self, np: Any, sources: Any, targets: Any, weights: Any, marked: Any, root: int) -> None:
        self.np, self.marked, self.root = np, marked, root
        self.sources, self.targets = sources, targets
        #: What each node has of its own, with what was merged into it and what was taken out below it.
        self.weights = weights
        self.done = np.zeros(root + 1, np.int64)

    def sums(self) -> Any:
        """What each marked node dominates, added up."""
        self._components()
        while (self._merge() + self._leaves()) * PAYS > self.root + len(self.sources):
            pass
        np = self.np
        left = np.unique(np.concatenate([self.sources, self.targets, [self.root]]))
        new = np.full(self.root + 1, -1, np.int64)
        new[left] = np.arange(len(left))
        found = dominated(len(left), new[self.sources].tolist(), new[self.targets].tolist(), int(new[self.root]),
                          self.weights[left].tolist())  # fmt: skip
        self.done[left] = found
        return self.done

    def _renamed(self, new: Any) -> None:
        """Merges nodes: new[i] is the node that node i is merged into, or i itself."""
        np, size = self.np, self.root + 1
        moved = np.flatnonzero(new != np.arange(size))
        np.add.at(self.weights, new[moved], self.weights[moved])
        self.weights[moved] = 0
        sources, targets = new[self.sources], new[self.targets]
        keys = np.sort((sources * size + targets)[sources != targets])  # np.unique takes ten times as long
        keys = keys[np.concatenate([np.ones(min(len(keys), 1), np.bool_), keys[1:] != keys[:-1]])]
        self.sources, self.targets = keys // size, keys % size

    def _components(self) -> None:
        np, size = self.np, self.root + 1
        sparse, csgraph = algorithms()
        inner = ~(self.marked[self.sources] | self.marked[self.targets])
        sources, targets = self.sources[inner], self.targets[inner]
        matrix = sparse.csr_matrix((np.ones(len(sources), np.int8), (sources, targets)), shape=(size, size))
        number, labels = csgraph.connected_components(matrix, directed=True, connection="strong")
        first = np.zeros(number, np.int64)
        first[labels[::-1]] = np.arange(size)[::-1]
        self._renamed(first[labels])

    def _before(self) -> Any:
        """The only node that leads to each; -1 where several do, or none."""
        np = self.np
        before = np.full(self.root + 1, -1, np.int64)
        before[self.targets] = self.sources
        several = np.bincount(self.targets, minlength=self.root + 1) != 1
        before[several] = -1
        return before

    def _merge(self) -> int:
        """Merges nodes that are not marked into the only one that leads to them. How many."""
        np = self.np
        before = self._before()
        before[self.marked] = -1
        mine = np.flatnonzero(before >= 0)
        if not len(mine):
            return 0
        new = np.arange(self.root + 1)
        new[mine] = before[mine]
        moving = mine
        while len(moving):
            further = new[new[moving]]
            changed = further != new[moving]
            new[moving] = further
            moving = moving[changed]
        self._renamed(new)
        return len(mine)

    def _leaves(self) -> int:
        """Takes out marked nodes that one other leads to and that lead nowhere. How many."""
        np = self.np
        before = self._before()
        leads = np.bincount(self.sources, minlength=self.root + 1) > 0
        mine = np.flatnonzero((before >= 0) & ~leads)
        if not len(mine):
            return 0
        self.done[mine] = self.weights[mine]
        np.add.at(self.weights, before[mine], self.weights[mine])
        gone = np.zeros(self.root + 1, np.bool_)
        gone[mine] = True
        keep = ~gone[self.targets]
        self.sources, self.targets = self.sources[keep], self.targets[keep]
        return len(mine)


def dominated(
    count: int, sources: Sequence[int], targets: Sequence[int], root: int, weights: Sequence[int]
) -> list[int]:
    """The weights of what each node dominates, itself included, added up; its own of one that can't be reached.

    T. Lengauer and R. E. Tarjan, A fast algorithm for finding dominators in a flowgraph, 1979: the simple version.
    """
    after: list[list[int]] = [[] for _ in range(count)]
    before: list[list[int]] = [[] for _ in range(count)]
    for source, target in zip(sources, targets):
        after[source].append(target)
        before[target].append(source)
    semi = [-1] * count  # by node: its number in the search in depth, then of its semidominator
    parent = [-1] * count
    order: list[int] = []
    stack = [(root, -1)]
    while stack:
        node, above = stack.pop()
        if semi[node] >= 0:
            continue
        semi[node], parent[node] = len(order), above
        order.append(node)
        stack += [(one, node) for one in after[node] if semi[one] < 0]
    ancestor, label = [-1] * count, list(range(count))
    bucket: list[list[int]] = [[] for _ in range(count)]
    dominator = [-1] * count

    def least(node: int) -> int:
        """The node with the least semidominator on the way up to the tree's root."""
        if ancestor[node] < 0:
            return node
        way = []
        while ancestor[ancestor[node]] >= 0:
            way.append(node)
            node = ancestor[node]
        for one in reversed(way):
            above = ancestor[one]
            if semi[label[above]] < semi[label[one]]:
                label[one] = label[above]
            ancestor[one] = ancestor[above]
        return label[way[0]] if way else label[node]

    for node in reversed(order[1:]):
        for one in before[node]:
            if semi[one] >= 0:
                semi[node] = min(semi[node], semi[least(one)])
        bucket[order[semi[node]]].append(node)
        above = parent[node]
        ancestor[node] = above
        for one in bucket[above]:
            lowest = least(one)
            dominator[one] = lowest if semi[lowest] < semi[one] else above
        bucket[above] = []
    for node in order[1:]:
        if dominator[node] != order[semi[node]]:
            dominator[node] = dominator[dominator[node]]
    sums = list(weights)
    for node in reversed(order[1:]):
        sums[dominator[node]] += sums[node]
    return sums
