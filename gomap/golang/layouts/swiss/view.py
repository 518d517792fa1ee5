"""Swiss maps, as all of gomap sees them."""

from __future__ import annotations

from typing import Callable

from gomap import human
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan
from gomap.golang.layouts.integrity import Checked
from gomap.golang.layouts.layout import Description, Layout, Terms, Watched
from gomap.golang.layouts.structure import Structure
from gomap.golang.layouts.swiss import check, growth, iterator, locate, lookup, sizes
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.layouts.swiss.shape import CTRL_DELETED, CTRL_EMPTY, MARKS, detect
from gomap.golang.runtime.malloc import Allocator

TERMS = Terms(
    array="dirPtr",
    bucket="group",
    mark="H2",
    marks="control",
    column="ctrl",
    states={CTRL_EMPTY: "empty", CTRL_DELETED: "deleted (tombstone)"},
    rest=None,
    writing="writing",
    iterator="internal/runtime/maps.Iter",
    # Each write toggles `writing` twice. Clear and a delete of the last key give the map another seed. Clear counts in
    # clearSeq too, in the instruction behind the one that resets used, where Delve notices no second watchpoint.
    watched=Watched(count="used", writing="writing", bits=1, shared=False, cleared="seed"),
)


class SwissView(SwissMap):
    """layout.MapView of a map of this layout: each part is a function of the file that is about it."""

    terms = TERMS
    marks = MARKS
    follow = lookup.follow
    place = staticmethod(lookup.place)
    going_on = staticmethod(lookup.going_on)
    head, inner, has_part = locate.head, locate.inner, locate.has_part
    state = staticmethod(locate.state)
    growing = growth.growing
    iteration = iterator.iteration
    forecast = growth.forecast
    arrays_of = lookup.arrays_of
    arrays_size, remade, filled = sizes.arrays_size, sizes.remade, sizes.filled
    oversized, has_grown = sizes.oversized, sizes.has_grown
    reshaped = sizes.reshaped

    @property
    def iterated(self) -> str:
        """What done and total of an iteration count: slots of a small map, else directory entries."""
        return "slots" if self.small else "directory"

    @property
    def seed(self) -> int:
        """Map.seed: the seed of the keys' hashes."""
        return self.header["seed"]

    def mark(self, hash_: int) -> int:
        """H2 of a hash, which a live slot's control byte is."""
        return lookup.h2(hash_)

    def check(
        self, hasher: Hasher, plan: Plan | None, allocator: Allocator, full: bool, absent: Callable[[int | None], bool]
    ) -> Checked:
        """Every invariant of the map: check.check."""
        return check.check(self, hasher, plan, full, absent)

    def describe(self, structure: Structure) -> Description:
        """Layout and load in words."""
        groups, kind, load = structure.main.buckets, f" ({self.shape.group} slots)", "no buckets"
        many = human.plural(groups, "group")
        if groups:
            limit = "grows when all 8 are in use" if self.small else "a table grows at 87.5%"
            load = f"{human.percent(structure.load)} of the slots in use; {limit}"
        if self.small:
            return Description(f"Swiss, small: {many}, no table{kind}", load)
        length = self.header["dirLen"]
        depth = f", directory of {length:,} entries" if length > 1 else ""
        tables = human.plural(len(structure.tables), "table")
        return Description(f"Swiss, {tables} with {many} in all{depth}{kind}", load)


LAYOUT = Layout("swiss", detect, SwissView, MARKS)
