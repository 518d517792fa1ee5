"""Types of maps from what points to them: an object whose type the allocator recorded, or a map of known type.

The collector's graph has the objects that lead to a map. From one of known type, fields, elements and entries are
followed by type down to the map; that is as reliable as a variable that leads there. The types of the values on the
path are known from then on, so that other maps that they lead to are found sooner. It needs the graph, which is used if
an earlier command has built it, and built if the heap is small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gomap.analysis.trail import Trails
from gomap.analysis.whole_heap import HeapAtHand, WholeHeap
from gomap.errors import GomapError
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.target import Target

#: Objects that are looked at on the way up from one map, and how far up.
MAX_LOOKED_AT, MAX_UP = 64, 32


@dataclass
class Referring:
    """known: the type of the map whose header lies at an address, where that is known for sure."""

    target: Target
    known: Callable[[int], GoType | None]
    at_hand: HeapAtHand
    _trails: Trails | None = None
    _types: dict[int, tuple[GoType, int] | None] = field(default_factory=dict)

    def __call__(self, address: int) -> GoType | None:
        """The type of the map whose header is at the address; None if nothing that points to it gives the type."""
        try:
            return self._climb(address)
        except GomapError:
            return None

    def _climb(self, address: int) -> GoType | None:
        whole = self.at_hand()
        if whole is None:
            return None
        if self._trails is None:
            self._trails = Trails(self.target, whole.heap, whole.graph, whole.roots)
        graph = whole.graph
        one = graph.objects.object_at(address)
        if one < 0:
            return None
        starts, ends = graph.backward
        ways: list[tuple[int, ...]] = [(one,)]
        seen = {one}
        for way in ways:
            if len(way) > MAX_UP:
                return None
            for before in dict.fromkeys(ends[starts[way[0]] : starts[way[0] + 1]][:MAX_LOOKED_AT].tolist()):
                if before in seen:
                    continue
                seen.add(before)
                if len(seen) > MAX_LOOKED_AT:
                    return None
                longer = (before, *way)
                t = self._trails.down(longer, address, self._type_of(whole, before))
                if t is not None and t.kind is Kind.MAP:
                    return t
                ways.append(longer)
        return None

    def _type_of(self, whole: WholeHeap, one: int) -> tuple[GoType, int] | None:
        """(type, where its value begins) of an object."""
        if one not in self._types:
            base = whole.graph.objects.address(one)
            t = self.known(base)
            found = (t, base) if t is not None else None
            if found is None:
                noted = whole.heap.type_at(base)
                if noted is not None:
                    found = DescribedTypes(self.target).at(noted[0]), noted[1]
            self._types[one] = found
        return self._types[one]
