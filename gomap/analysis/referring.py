"""Types of maps by what points to them: an object whose type the allocator has noted, or a map whose type is known.

The collector's graph tells which objects lead to a map. From one of known type its fields, elements and entries are
followed by type down to the map: that is as sure as a variable that leads there. Needs the graph, which is taken where
an earlier command has built it, and built for a small heap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gomap.analysis.trail import Trails
from gomap.analysis.whole_heap import WholeHeap, heap_at_hand
from gomap.errors import GomapError
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.progress import Progress, silent
from gomap.target import Target

#: Objects that are looked at on the way up from one map, and how far up.
MAX_LOOKED_AT, MAX_UP = 64, 6


@dataclass
class Referring:
    """known: the type of the map whose header lies at an address, where that is known for sure."""

    target: Target
    known: Callable[[int], GoType | None]
    progress: Progress = silent
    _whole: WholeHeap | None = None
    _looked: bool = False
    _trails: Trails | None = None
    _types: dict[int, tuple[GoType, int] | None] = field(default_factory=dict)

    def __call__(self, address: int) -> GoType | None:
        """The type of the map whose header lies at the address; None where nothing that points to it tells."""
        try:
            return self._climb(address)
        except GomapError:
            return None

    def _graph(self) -> WholeHeap | None:
        if not self._looked:
            self._looked = True
            self._whole = heap_at_hand(self.target, self.progress)
            if self._whole is not None:
                one = self._whole
                self._trails = Trails(self.target, one.heap, one.graph, one.roots)
        return self._whole

    def _climb(self, address: int) -> GoType | None:
        whole = self._graph()
        if whole is None or self._trails is None:
            return None
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
                noted = self._type_of(whole, before)
                if noted is not None:
                    t = self._trails.down(*noted, longer, address)
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
