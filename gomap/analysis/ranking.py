"""Which maps take the memory: all maps that were found, measured and ranked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gomap.analysis.alias import Found, Holder
from gomap.analysis.referents import Referents
from gomap.errors import GomapError
from gomap.golang.malloc import Allocator, allocator
from gomap.golang.structure import Anomaly, Bytes
from gomap.gotypes import GoType
from gomap.maps import view
from gomap.progress import Progress, silent
from gomap.target import Target

MAX_PROBLEMS = 16


@dataclass
class Ranked:
    """One map. holder: the shortest way to it. load: 0..1 (Structure.load). values: bytes that its keys and values
    keep alive and that no map before it does, None where that was not asked. shares: header of a map that has the
    same buckets: they are counted there."""

    address: int
    type: GoType
    holder: Holder
    count: int
    load: float
    bytes: Bytes
    values: int | None = None
    shares: int | None = None

    @property
    def gives_back(self) -> int:
        """Bytes that copying the entries into a new map would free."""
        return max(self.bytes.allocated - self.bytes.rebuilt, 0)


@dataclass
class Ranking:
    maps: list[Ranked] = field(default_factory=list)
    interrupted: bool = False
    anomalies: list[Anomaly] = field(default_factory=list)

    def total(self) -> Bytes:
        """Of all maps together; buckets that several headers share are in it once."""
        every = [one.bytes for one in self.maps]
        return Bytes(
            allocated=sum(one.allocated for one in every),
            live=sum(one.live for one in every),
            rebuilt=sum(one.rebuilt for one in every),
        )


#: What maps can be ranked by, the largest first.
ORDERS: dict[str, Callable[[Ranked], float]] = {
    "bytes": lambda one: one.bytes.allocated,
    "waste": lambda one: one.bytes.waste,
    "entries": lambda one: one.count,
    "load": lambda one: one.load,
    "values": lambda one: one.values or 0,
}


def measure(target: Target, found: Found, progress: Progress = silent) -> Ranking:
    """Every map that was found, once, those with the most bytes first. Ctrl-C ends it with what it has."""
    ranking = Ranking(interrupted=found.interrupted)
    rules = allocator(target)
    owners: dict[int, int] = {}  # address of an array -> header
    unreadable = 0
    try:
        for done, (address, t) in enumerate(found.types.items()):
            if done % 256 == 0:
                progress("maps", done, len(found.types))
            try:
                ranking.maps.append(_measured(found, address, t, rules, owners, ranking))
            except GomapError as error:
                unreadable += 1
                if unreadable <= MAX_PROBLEMS:
                    path = shortest(found.maps[address]).path
                    ranking.anomalies.append(Anomaly("warning", "unreadable", f"{path}: {error}", address))
    except KeyboardInterrupt:
        ranking.interrupted = True
    if unreadable > MAX_PROBLEMS:
        what = f"{unreadable - MAX_PROBLEMS:,} more maps can't be read"
        ranking.anomalies.append(Anomaly("warning", "unreadable", what, None))
    ranking.maps.sort(key=lambda one: -one.bytes.allocated)
    return ranking


def _measured(
    found: Found, address: int, t: GoType, rules: Allocator, owners: dict[int, int], ranking: Ranking
) -> Ranked:
    one = found.views[address]
    structure = one.structure(rules)
    holder = shortest(found.maps[address])
    owner = owners.setdefault(one.array_address, address) if one.array_address else address
    room = MAX_PROBLEMS - len(ranking.anomalies)
    ranking.anomalies += [replace(a, message=f"{holder.path}: {a.message}") for a in structure.anomalies[:room]]
    counted = structure.bytes
    if owner != address:
        header = rules.allocated(one.shape.header.size, True)
        counted = Bytes(allocated=header, rebuilt=header)
    shares = None if owner == address else owner
    return Ranked(address, t, holder, one.count, structure.load, counted, None, shares)


def add_values(target: Target, ranking: Ranking, referents: Referents, progress: Progress = silent) -> None:
    """Sets `values` of each map, in the order they have: what two of them keep alive is the first one's."""
    try:
        for done, one in enumerate(ranking.maps):
            if done % 64 == 0:
                progress("values of maps", done, len(ranking.maps))
            try:
                one.values = 0 if one.shares else referents.of_map(view(target, one.type, one.address))
            except GomapError:
                referents.unreadable += 1
    except KeyboardInterrupt:
        ranking.interrupted = True


def shortest(holders: list[Holder]) -> Holder:
    """The shortest way that leads to a map; package variables before frames of one length."""
    every = (way for holder in holders for way in (holder, *holder.also))
    return min(every, key=lambda way: (len(way.path), way.place.kind != "global"))
