"""Classic maps, as all of gomap sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

from gomap import human
from gomap.golang.classic import check, growth, iterator, locate, lookup
from gomap.golang.classic.map import ClassicMap
from gomap.golang.classic.shape import EMPTY_REST, MARKS, detect
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan
from gomap.golang.integrity import Checked
from gomap.golang.layout import Description, Forecast, Growing, Layout, Terms
from gomap.golang.malloc import Allocator
from gomap.golang.search import Search, Step
from gomap.golang.spot import Spot
from gomap.golang.structure import Structure
from gomap.target import Record

TERMS = Terms(
    bucket="bucket",
    mark="tophash",
    marks="tophash",
    column="tophash",
    states={0: "emptyRest", 1: "emptyOne", 2: "evacuatedX", 3: "evacuatedY", 4: "evacuatedEmpty"},
    rest=EMPTY_REST,
    writing="hashWriting",
    iterator="runtime.hiter",
)


class ClassicView(ClassicMap):
    """layout.MapView of a map of this layout."""

    terms = TERMS
    marks = MARKS
    iterated = "buckets"

    @property
    def seed(self) -> int:
        return self.header["hash0"]

    def mark(self, hash_: int) -> int:
        return lookup.tophash(hash_, self.target.arch)

    def arrays_of(self, most: int) -> Iterator[tuple[int, int]]:
        return lookup.arrays_of(self)

    def check(
        self, hasher: Hasher, plan: Plan | None, allocator: Allocator, full: bool, absent: Callable[[int | None], bool]
    ) -> Checked:
        return check.check(self, hasher, plan, allocator, full, absent)

    def forecast(self, structure: Structure) -> Forecast:
        return growth.forecast(self)

    def describe(self, structure: Structure) -> Description:
        buckets, grown, load = structure.main.buckets, structure.growth, "no buckets"
        many = f"{human.power(buckets)} buckets" if buckets >= 1 << 10 else human.plural(buckets, "bucket")
        if structure.overflow:
            many += f" + {structure.overflow:,} overflow, longest chain {structure.longest_chain}"
        if buckets:
            numerator, denominator = self.load_factor
            load = f"{structure.total.live / buckets:.2f} entries a bucket, limit {numerator / denominator}"
        state = "none under way"
        if grown.state != "none":
            moved = f"{grown.evacuated:,} of {grown.old_buckets:,} old buckets moved"
            state = f"{grown.state}, {moved} ({human.percent(grown.fraction)})"
        return Description(f"classic, {many}", load, state)

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


LAYOUT = Layout("classic", detect, ClassicView, MARKS)
