"""Swiss maps, as all of gomap sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

from gomap import human
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan
from gomap.golang.integrity import Checked
from gomap.golang.layout import Description, Forecast, Growing, Layout, Terms
from gomap.golang.malloc import Allocator
from gomap.golang.search import Search, Step
from gomap.golang.spot import Spot
from gomap.golang.structure import Structure
from gomap.golang.swiss import check, growth, iterator, locate, lookup
from gomap.golang.swiss.map import SwissMap
from gomap.golang.swiss.shape import CTRL_DELETED, CTRL_EMPTY, MARKS, detect
from gomap.target import Record

TERMS = Terms(
    bucket="group",
    mark="H2",
    marks="control",
    column="ctrl",
    states={CTRL_EMPTY: "empty", CTRL_DELETED: "deleted (tombstone)"},
    rest=None,
    writing="writing",
    iterator="internal/runtime/maps.Iter",
)


class SwissView(SwissMap):
    """layout.MapView of a map of this layout."""

    terms = TERMS
    marks = MARKS

    @property
    def iterated(self) -> str:
        return "slots" if self.small else "directory"

    @property
    def seed(self) -> int:
        return self.header["seed"]

    def mark(self, hash_: int) -> int:
        return lookup.h2(hash_)

    def arrays_of(self, most: int) -> Iterator[tuple[int, int]]:
        return lookup.arrays_of(self, most)

    def check(
        self, hasher: Hasher, plan: Plan | None, allocator: Allocator, full: bool, absent: Callable[[int | None], bool]
    ) -> Checked:
        return check.check(self, hasher, plan, full, absent)

    def forecast(self, structure: Structure) -> Forecast:
        return growth.forecast(self, structure)

    def describe(self, structure: Structure) -> Description:
        groups, kind, load = structure.main.buckets, f" ({self.shape.group} slots)", "no buckets"
        many = human.plural(groups, "group")
        if groups:
            limit = "full at 8" if self.small else "limit 87.5% a table"
            load = f"{human.percent(structure.load)} of the slots, {limit}"
        if self.small:
            return Description(f"Swiss, small: {many}, no table{kind}", load)
        length = self.header["dirLen"]
        depth = f"directory of {length:,}" if length > 1 else "no split yet"
        tables = human.plural(len(structure.tables), "table")
        return Description(f"Swiss, {tables} of {many} in all, {depth}{kind}", load)

    def follow(self, search: Search, hash_: int) -> None:
        lookup.follow(self, search, hash_)

    def place(self, step: Step) -> str:
        return lookup.place(step)

    def going_on(self, step: Step) -> str:
        return lookup.going_on(step)

    def head(self, address: int, rules: Allocator) -> Spot | None:
        return locate.head(self, address, rules)

    def inner(self, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
        return locate.inner(self, address, rules, object_size)

    def has_part(self, parts: Sequence[int]) -> bool:
        return locate.has_part(self, parts)

    def state(self, mark: int) -> str:
        return locate.state(mark)

    def growing(self, structure: Structure) -> Growing:
        return growth.growing(self, structure)

    def iteration(self, record: Record) -> tuple[int, int] | None:
        return iterator.iteration(self, record)


LAYOUT = Layout("swiss", detect, SwissView, MARKS)
