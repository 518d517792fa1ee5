"""Classic maps, as all of gomap sees them."""

from __future__ import annotations

from gomap import human
from gomap.golang.layouts.classic import check, growth, iterator, locate, lookup, sizes
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.classic.scan import tophash
from gomap.golang.layouts.classic.shape import EMPTY_REST, HASH_WRITING, MARKS, detect
from gomap.golang.layouts.layout import Description, Forecast, Layout, Terms, Watched
from gomap.golang.layouts.structure import Structure

TERMS = Terms(
    array="buckets",
    bucket="bucket",
    mark="tophash",
    marks="tophash",
    column="tophash",
    states={0: "emptyRest", 1: "emptyOne", 2: "evacuatedX", 3: "evacuatedY", 4: "evacuatedEmpty"},
    rest=EMPTY_REST,
    writing="hashWriting",
    iterator="runtime.hiter",
    # Iterators set flags of their own. mapclear and a delete of the last key give the map another hash0.
    watched=Watched(count="count", writing="flags", bits=HASH_WRITING, shared=True, cleared="hash0"),
)


class ClassicView(ClassicMap):
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
    check = check.check
    arrays_of = lookup.arrays_of
    arrays_size, remade, filled = sizes.arrays_size, sizes.remade, sizes.filled
    oversized, has_grown = sizes.oversized, sizes.has_grown
    reshaped = sizes.reshaped
    iterated = "buckets"

    @property
    def seed(self) -> int:
        """hmap.hash0: the seed of the keys' hashes."""
        return self.header["hash0"]

    def mark(self, hash_: int) -> int:
        """The tophash of a hash, as runtime.tophash gives it."""
        return int(tophash(hash_, self.target.arch))

    def forecast(self, structure: Structure) -> Forecast:
        """What makes the map grow next: growth.forecast."""
        return growth.forecast(self)

    def describe(self, structure: Structure) -> Description:
        """Layout, load and state of growth in words."""
        buckets, grown, load = structure.main.buckets, structure.growth, "no buckets"
        many = f"{human.power(buckets)} buckets" if buckets >= 1 << 10 else human.plural(buckets, "bucket")
        if structure.overflow:
            many += f" + {structure.overflow:,} overflow, longest chain {structure.longest_chain}"
        if buckets:
            load = f"{structure.total.live / buckets:.2f} entries a bucket; grows above {self.limit() / buckets:g}"
        state = None
        if grown.state != "none":
            moved = f"{grown.evacuated:,} of {grown.old_buckets:,} old buckets evacuated"
            state = f"{grown.state}, {moved} ({human.percent(grown.fraction)})"
        return Description(f"classic, {many}", load, state)


LAYOUT = Layout("classic", detect, ClassicView, MARKS)
