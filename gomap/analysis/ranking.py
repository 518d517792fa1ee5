"""Which maps take the memory: all maps that were found, measured and ranked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from heapq import nlargest

from gomap import syncmap
from gomap.analysis.alias import AliasSearch, Holder
from gomap.analysis.beyond import Beyond
from gomap.analysis.identify import Identifier
from gomap.analysis.referents import Referents
from gomap.anomaly import Anomaly
from gomap.errors import GomapError
from gomap.golang.malloc import Allocator, allocator
from gomap.golang.structure import Bytes
from gomap.gotypes import GoType, Kind
from gomap.graph.path import Names, Path
from gomap.maps import view
from gomap.progress import Progress, silent
from gomap.target import Place, Target, Variable

MAX_PROBLEMS = 16
#: Maps that no variable led to that are measured before it is looked whether that was enough.
MEASURED = 256
#: The type of a map whose type is not known.
UNKNOWN = GoType(Kind.OPAQUE, "?", 0)


@dataclass
class Ranked:
    """One map, or one sync.Map. holder: the shortest way to it. layout: as hmap-show has it, of a sync.Map its
    generation. load: 0..1 (Structure.load), None of a sync.Map. values: bytes that its keys and values keep alive and
    that no map before it does, None where that was not asked. shares: header of a map that has the same buckets: they
    are counted there. known_by, others: of a map that no variable led to, how its type is known, and which types fit as
    well (Identified); its type may be UNKNOWN."""

    address: int
    type: GoType
    holder: Holder
    count: int
    load: float | None
    bytes: Bytes
    layout: str
    values: int | None = None
    shares: int | None = None
    known_by: str | None = None
    others: tuple[str, ...] = ()

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
    "load": lambda one: -1 if one.load is None else one.load,
    "values": lambda one: one.values or 0,
}


def measure(target: Target, found: AliasSearch, progress: Progress = silent) -> Ranking:
    """Every map that was found, once, those with the most bytes first. Ctrl-C ends it with what it has."""
    ranking = Ranking(interrupted=found.interrupted)
    rules = allocator(target)
    owners: dict[int, int] = {}  # address of an array -> header
    unreadable = 0
    every = [(address, found.maps[address]) for address in found.types] + list(found.syncs.items())
    try:
        for done, (address, holders) in enumerate(every):
            if done % 256 == 0:
                progress("maps", done, len(every))
            try:
                if holders is found.syncs.get(address):
                    ranking.maps += _measured_sync(target, shortest(holders), address, rules, ranking)
                else:
                    ranking.maps.append(_measured(found, address, found.types[address], rules, owners, ranking))
            except GomapError as error:
                unreadable += 1
                if unreadable <= MAX_PROBLEMS:
                    path = shortest(holders).path
                    ranking.anomalies.append(Anomaly("warning", "unreadable", f"{path}: {error}", address))
    except KeyboardInterrupt:
        ranking.interrupted = True
    if unreadable > MAX_PROBLEMS:
        what = f"{unreadable - MAX_PROBLEMS:,} more maps can't be read"
        ranking.anomalies.append(Anomaly("warning", "unreadable", what, None))
    ranking.maps.sort(key=lambda one: -one.bytes.allocated)
    return ranking


def _measured(
    found: AliasSearch, address: int, t: GoType, rules: Allocator, owners: dict[int, int], ranking: Ranking
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
    return Ranked(address, t, holder, one.count, structure.load, counted, one.shape.layout, None, shares)


def measure_beyond(
    target: Target, beyond: Beyond, identifier: Identifier, by: str, most: int, progress: Progress = silent
) -> Ranking:
    """The first `most` (0: all) of the maps that no variable led to, by that order. Those are measured that can be
    among them: what a map holds at most is known from the census. Ctrl-C ends it with what it has."""
    ranking = Ranking()
    every = beyond.census
    if every is None:
        return ranking
    most = most or len(beyond.maps)
    rules = allocator(target)
    try:
        largest = identifier.largest if by in ("bytes", "waste") else 0
        bounds: dict[str, Callable[[int], float]] = {
            "bytes": lambda index: every.held[index] + every.counts[index] * largest,
            "waste": lambda index: every.held[index] + every.counts[index] * largest,
            "entries": lambda index: every.counts[index],
        }
        bound = bounds.get(by)
        todo = sorted(beyond.maps, key=bound, reverse=True) if bound is not None else beyond.maps
        for done, index in enumerate(todo):
            if done % MEASURED == 0:
                progress("maps of the heap", done, len(todo))
                best = nlargest(most, map(ORDERS[by], ranking.maps))
                if bound is not None and len(best) == most and best[-1] >= bound(index):
                    break
            kind = "stack" if every.addresses[index] in every.stacked else "heap"
            ranking.maps.append(
                _identified(identifier, every.addresses[index], every.counts[index], every.held[index], kind, rules)
            )
    except KeyboardInterrupt:
        ranking.interrupted = True
    ranking.maps = nlargest(most, ranking.maps, key=ORDERS[by])
    return ranking


def _identified(identifier: Identifier, address: int, count: int, held: int, kind: str, rules: Allocator) -> Ranked:
    one = identifier.identify(address)
    t, place = one.type or UNKNOWN, Place(kind)
    path = f"{address:#x}" + (f":{t.name}" if one.type is not None else "")
    holder = Holder(Path(None, path, place), Names(identifier.target, identifier.types), place, t, None, dead=False)
    if one.view is not None:
        try:
            structure = one.view.structure(rules)
            layout = one.view.shape.layout
            return Ranked(
                address, t, holder, one.view.count, structure.load, structure.bytes, layout, None, None,
                one.known_by, one.others,
            )  # fmt: skip
        except GomapError:
            pass
    return Ranked(address, UNKNOWN, holder, count, None, Bytes(allocated=held, rebuilt=held), identifier.layout)


def _measured_sync(target: Target, holder: Holder, address: int, rules: Allocator, ranking: Ranking) -> list[Ranked]:
    """The sync.Map, with the maps that are inside of it; none where nothing was ever done with it."""
    shape = syncmap.detect(target, holder.type)
    if shape is None:
        return []
    one = syncmap.look(target, shape, Variable(holder.path, holder.type, address), rules)
    room = max(MAX_PROBLEMS - len(ranking.anomalies), 0)
    told = [*one.anomalies, *one.inner][:room]
    ranking.anomalies += [replace(a, message=f"{holder.path}: {a.message}") for a in told]
    return [Ranked(address, holder.type, holder, one.count, None, one.bytes, one.generation)] if one.is_used else []


def add_values(target: Target, ranking: Ranking, referents: Referents, progress: Progress = silent) -> None:
    """Sets `values` of each map, in the order they have: what two of them keep alive is the first one's."""
    try:
        for done, one in enumerate(ranking.maps):
            if done % 64 == 0:
                progress("values of maps", done, len(ranking.maps))
            try:
                if one.type is UNKNOWN:
                    continue
                if one.type.kind is Kind.MAP:
                    one.values = 0 if one.shares else referents.of_map(view(target, one.type, one.address))
                else:
                    one.values = referents.of_sync(Variable(one.holder.path, one.type, one.address))
            except GomapError:
                referents.unreadable += 1
    except KeyboardInterrupt:
        ranking.interrupted = True


def shortest(holders: list[Holder]) -> Holder:
    """The shortest way that leads to a map; package variables before frames of one length."""
    if len(holders) == 1 and not holders[0].also:
        return holders[0]
    every = (way for holder in holders for way in (holder, *holder.also))
    return min(every, key=lambda way: (len(way.path), way.place.kind != "global"))
