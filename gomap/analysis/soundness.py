"""Whether what a dead variable leads to is still there."""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.captures import Closures
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime.heap import Room, Span
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType
from gomap.maps import view
from gomap.target import Place, Target


@dataclass
class Soundness:
    """collected: goroutines whose stacks the collector has seen as they are."""

    target: Target
    room: Room
    closures: Closures
    collected: set[int | None] = field(default_factory=set)

    def in_use(self, address: int, size: int, place: Place) -> Span | None:
        """The span of the heap's object that a dead variable may still lead to."""
        heap = self.room.heap
        at = None if heap is None else heap.at(address)
        if heap is None or at is None or at.span is None or at.base is None or not at.allocated:
            return None  # the live variables of a stack are known
        if address + size > at.base + at.span.object:
            return None
        # What the variable had was in use at the last collection, or something else is there now.
        return None if place.goroutine in self.collected and not heap.survived(at) else at.span

    def map_at(self, address: int, t: GoType, place: Place) -> MapView | None:
        """The map at the address, if it is valid in every respect that can be checked: a dead variable may point
        anywhere."""
        span = self.in_use(address, t.header.size, place)
        if span is None or (address - span.start) % span.object:
            return None
        if span.object != allocator(self.target).allocated(t.header.size, scan=True):
            return None
        one = view(self.target, t, address)
        return one if self.closures.is_sound(one) else None
