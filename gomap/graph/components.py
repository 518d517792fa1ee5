"""Cycles of a directed graph, given as numbers alone."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

#: References that close a cycle, of which the cycle is worked out; and references followed for it.
MAX_CLOSING = 256
MAX_WORK = 1 << 22
#: A reference to an object that was left out.
MISSING = (1 << 32) - 1


@dataclass
class NumberedGraph:
    """Objects by number: targets[starts[i]:starts[i + 1]] are those that i leads to."""

    starts: array[int] = field(default_factory=lambda: array("Q", [0]))
    targets: array[int] = field(default_factory=lambda: array("L"))

    def owner(self, edge: int) -> int:
        """The object that a reference, by its index in targets, belongs to."""
        return bisect.bisect_right(self.starts, edge) - 1


def _components(graph: NumberedGraph) -> array[int]:
    """The strongly connected component of each object, by number: Tarjan's algorithm with a stack of its own."""
    count = len(graph.starts) - 1
    starts, targets = graph.starts, graph.targets
    order, low = array("L", bytes(array("L").itemsize * count)), array("L", bytes(array("L").itemsize * count))
    component = array("l", [-1]) * count
    waiting: list[int] = []
    seen = components = 0
    for root in range(count):
        if order[root]:
            continue
        seen += 1
        order[root] = low[root] = seen
        waiting.append(root)
        stack = [(root, starts[root])]
        while stack:
            node, edge = stack.pop()
            end = starts[node + 1]
            while edge < end:
                other = targets[edge]
                edge += 1
                if other == MISSING:
                    continue
                if not order[other]:
                    stack.append((node, edge))
                    seen += 1
                    order[other] = low[other] = seen
                    waiting.append(other)
                    stack.append((other, starts[other]))
                    break
                if component[other] < 0:
                    low[node] = min(low[node], order[other])
            else:
                if low[node] == order[node]:
                    while True:
                        member = waiting.pop()
                        component[member] = components
                        if member == node:
                            break
                    components += 1
                if stack:
                    above = stack[-1][0]
                    low[above] = min(low[above], low[node])
    return component


def _closing(graph: NumberedGraph, component: array[int]) -> list[tuple[int, int, int]]:
    """References within a component to an object that was found no later: (to, from, number of the reference).

    Every cycle has one of them. Those to the lowest numbers come first.
    """
    found = []
    for node in range(len(graph.starts) - 1):
        mine = component[node]
        for edge in range(graph.starts[node], graph.starts[node + 1]):
            other = graph.targets[edge]
            if other <= node and component[other] == mine:  # MISSING is larger than any
                found.append((other, node, edge))
    found.sort()
    return found


class FoundCycle(NamedTuple):
    """A cycle, as references. component: the number of the strongly connected component that it lies in."""

    edges: list[int]
    component: int


def cycles(
    graph: NumberedGraph, kind_of: Callable[[int], Hashable] = lambda number: None
) -> tuple[list[FoundCycle], bool]:
    """(the shortest cycle through each closing reference, each cycle once; whether that is all).

    kind_of: of an object. Where there are too many closing references, those between objects of all kinds get their
    turn.
    """
    component = _components(graph)
    closing = _closing(graph, component)
    chosen = closing if len(closing) <= MAX_CLOSING else _in_turn(closing, component, kind_of)[:MAX_CLOSING]
    complete = len(chosen) == len(closing)
    found: dict[frozenset[int], tuple[tuple[int, int, int], FoundCycle]] = {}
    work = [MAX_WORK]
    for one in chosen:
        start, end, edge = one
        way = _shortest(graph, component, start, end, work)
        if way is None:
            complete = False
            break
        cycle = [*way, edge]
        found.setdefault(frozenset(cycle), (one, FoundCycle(cycle, component[start])))
    return [cycle for _, cycle in sorted(found.values())], complete


def _in_turn(
    closing: list[tuple[int, int, int]], component: array[int], kind_of: Callable[[int], Hashable]
) -> list[tuple[int, int, int]]:
    """The first reference of each kind, then the second of each, and so on."""
    seen: dict[Hashable, int] = {}
    turns = []
    for one in closing:
        kind = component[one[0]], kind_of(one[0]), kind_of(one[1])
        seen[kind] = seen.get(kind, -1) + 1
        turns.append((seen[kind], one))
    return [one for _, one in sorted(turns)]


def _shortest(graph: NumberedGraph, component: array[int], start: int, end: int, work: list[int]) -> list[int] | None:
    """References that lead from one object to another, as few as can be; None when work is used up."""
    came, mine = {start: -1}, component[start]
    level = [start]
    while end not in came and level:
        following = []
        for node in level:
            for edge in range(graph.starts[node], graph.starts[node + 1]):
                other = graph.targets[edge]
                work[0] -= 1
                if other not in came and other != MISSING and component[other] == mine:
                    came[other] = edge
                    following.append(other)
        if work[0] < 0 and end not in came:
            return None
        level = following
    way = []
    while end != start:
        way.append(came[end])
        end = graph.owner(came[end])
    return way[::-1]
