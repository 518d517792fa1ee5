"""The maps of a ranking, added up by what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gomap.analysis.beyond import NO_VARIABLE, UNKNOWN
from gomap.analysis.ranking import Ranked
from gomap.analysis.selection import owner, package_of, shape
from gomap.golang.layouts.structure import Bytes

#: Upper ends of the classes of load (Ranked.load) that `fill` counts, after the first, which is of empty maps.
LOADS = (0.25, 0.5, 0.75)


@dataclass
class Together:
    """Maps with one key. fill: how many are empty, at most a quarter, half and three quarters full, and more than
    that. example: the first of them by the order. unnamed: how many no variable led to. unsure: of how many other
    types fit as well. retained: of all of them added up, which may be less than what is freed when all are gone.
    gives_back: as Ranked has it, of all of them."""

    key: Any
    example: Ranked
    maps: int = 0
    entries: int = 0
    allocated: int = 0
    live: int = 0
    rebuilt: int = 0
    values: int | None = None
    retained: int | None = None
    gives_back: int = 0
    unnamed: int = 0
    unsure: int = 0
    loads: float = 0.0
    loaded: int = 0
    fill: list[int] = field(default_factory=lambda: [0] * (len(LOADS) + 2))

    @property
    def bytes(self) -> Bytes:
        """Bytes of all maps of the group."""
        return Bytes(allocated=self.allocated, live=self.live, rebuilt=self.rebuilt)

    @property
    def count(self) -> int:
        """Entries of all maps of the group."""
        return self.entries

    @property
    def load(self) -> float | None:
        """The mean of the maps that have one."""
        return self.loads / self.loaded if self.loaded else None


def add_up(
    maps: Iterable[tuple[Ranked, int]], key_of: Callable[[Ranked], Hashable], order: Callable[[Any], float]
) -> list[Together]:
    """The groups, those with the most of what the order asks for first. maps: as Ranking.counted has them. key_of: of
    KEYS, or alike."""
    found: dict[Hashable, Together] = {}
    for one, number in maps:
        key = key_of(one)
        group = found.get(key)
        if group is None:
            group = found[key] = Together(key, one)
        elif order(one) > order(group.example):
            group.example = one
        group.maps += number
        group.entries += one.count * number
        group.allocated += one.bytes.allocated * number
        group.live += one.bytes.live * number
        group.rebuilt += one.bytes.rebuilt * number
        if one.values is not None:
            group.values = (group.values or 0) + one.values
        if one.retained is not None:
            group.retained = (group.retained or 0) + one.retained
        group.gives_back += one.gives_back * number
        group.unnamed += number * (one.holder.kind in NO_VARIABLE)
        group.unsure += number * bool(one.others)
        if one.load is not None:
            group.loads += one.load * number
            group.loaded += number
            group.fill[1 + sum(one.load > end for end in LOADS) if one.count else 0] += number
    return sorted(found.values(), key=order, reverse=True)


def _size(one: Ranked) -> str:
    """1, 2-3, 4-7, ...: the number of entries between two powers of two."""
    if not one.count:
        return "0 entries"
    low = 1 << one.count.bit_length() - 1
    return "1 entry" if low == 1 else f"{low:,} to {2 * low - 1:,} entries"


def alike(one: Ranked) -> Hashable:
    """What maps that are one row for people have in common: type, shape of the path, and whether they share buckets.
    A map that no variable led to has a row of its own: what is known of its type and its fate is known of it alone."""
    if one.holder.kind in NO_VARIABLE:
        return one.address
    return shape(one.holder), one.type.name, one.shares is None


#: The key by which maps are grouped. Without a variable, the key of a grouping by variable is "".
KEYS: dict[str, Callable[[Ranked], str]] = {
    "type": lambda one: one.type.name if one.type is not UNKNOWN else "",
    "package": lambda one: package_of(one.holder),
    "owner": lambda one: owner(one.holder),
    "size": _size,
}
