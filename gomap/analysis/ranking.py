"""Which maps take the memory: all maps that were found, measured and ranked."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nlargest

from gomap import syncmap
from gomap.analysis.beyond import UNKNOWN, Beyond, holder_of, place_of
from gomap.analysis.held import AliasSearch, Holder, Many
from gomap.analysis.identify import Identifier
from gomap.analysis.referents import Referents
from gomap.anomaly import Anomaly
from gomap.columns.marks import SLOTS
from gomap.errors import GomapError
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.structure import UNTOLD, Bytes
from gomap.golang.runtime.malloc import Allocator, allocator
from gomap.gotypes import GoType, Kind, has_pointers
from gomap.heap.census import Census
from gomap.maps import shape_of, view
from gomap.moving import walked
from gomap.progress import Progress, silent
from gomap.target import Target, Variable

MAX_PROBLEMS = 16
#: Maps that no variable led to that are measured before it is looked whether that was enough.
MEASURED = 32


@dataclass
class Ranked:
    """One map, or one sync.Map. holder: the shortest way to it. layout: as hmap-show has it, of a sync.Map its
    generation. load: 0..1 (Structure.load), None of a sync.Map. values: bytes that its keys and values keep alive and
    that no map before it does, None where that was not asked. shares: header of a map that has the same buckets: they
    are counted there. tombstones: None where the map was not walked. known_by, others: of a map that no variable led
    to, how its type is known, and which types fit as well (Identified); its type may be UNKNOWN. retained: bytes that a
    collection would free if the map were gone, None where that was not asked. bound: of a sync.Map, the most that count
    may be off."""

    address: int
    type: GoType
    holder: Holder
    count: int
    load: float | None
    bytes: Bytes
    layout: str
    values: int | None = None
    shares: int | None = None
    tombstones: int | None = None
    known_by: str | None = None
    others: tuple[str, ...] = ()
    retained: int | None = None
    bound: int | None = None

    @property
    def gives_back(self) -> int:
        """Bytes that copying the entries into a new map would free."""
        return max(self.bytes.allocated - self.bytes.rebuilt, 0)


@dataclass
class Ranking:
    """interrupted: the user stopped it, and these are not all."""

    maps: list[Ranked] = field(default_factory=list)
    alike: list[AlikeMaps] = field(default_factory=list)
    interrupted: bool = False
    anomalies: list[Anomaly] = field(default_factory=list)

    @property
    def number(self) -> int:
        """How many maps were found."""
        return len(self.maps) + sum(one.number for one in self.alike)

    @property
    def entries(self) -> int:
        """Entries of all maps together."""
        return sum(one.count for one in self.maps) + sum(one.example.count * one.number for one in self.alike)

    @property
    def gives_back(self) -> int:
        """Bytes that copying each map's entries into a new map would free, of all together."""
        return sum(one.gives_back for one in self.maps) + sum(one.example.gives_back * one.number for one in self.alike)

    @property
    def values(self) -> int | None:
        """Bytes that keys and values of all maps keep alive; None where they were not counted."""
        known = [one.values for one in self.maps if one.values is not None]
        return sum(known) if known else None

    def total(self) -> Bytes:
        """Of all maps together; buckets that several headers share are in it once."""
        every = [(one.bytes, 1) for one in self.maps] + [(one.example.bytes, one.number) for one in self.alike]
        return Bytes(
            allocated=sum(one.allocated * number for one, number in every),
            live=sum(one.live * number for one, number in every),
            rebuilt=sum(one.rebuilt * number for one, number in every),
        )

    def best(self, order: Callable[[Ranked], float], most: int) -> list[Ranked]:
        """The first `most` (0: all) by that order."""
        found = sorted(self.maps, key=order, reverse=True)
        wanted = most or self.number
        left = wanted
        for alike in sorted(self.alike, key=lambda one: order(one.example), reverse=True):
            if left <= 0:
                break
            found += alike.maps(left)
            left -= alike.number
        found.sort(key=order, reverse=True)
        return found[:wanted]

    def counted(self) -> Iterator[tuple[Ranked, int]]:
        """Maps that have all but their addresses and paths in common as one of them, and how many they are."""
        for one in self.maps:
            yield one, 1
        for alike in self.alike:
            yield next(alike.maps(1)), alike.number

    def every(self) -> Iterator[Ranked]:
        """All of them, in no order."""
        yield from self.maps
        for alike in self.alike:
            yield from alike.maps(alike.number)

    def only(self, wanted: Callable[[Ranked], bool]) -> Ranking:
        """Those that are wanted. Maps that are alike in all but address and path are asked about once."""
        alike = [one for one in self.alike if wanted(next(one.maps(1)))]
        return Ranking([one for one in self.maps if wanted(one)], alike, self.interrupted, self.anomalies)

    def one_by_one(self) -> Ranking:
        """The same, with each map by itself, so that it gets figures of its own."""
        return Ranking([*self.every()], [], self.interrupted, self.anomalies)


@dataclass
class AlikeMaps:
    """Maps of one type whose headers say the same: as many entries in as large an array. example: their figures.
    positions: which of `many`."""

    example: Ranked
    many: Many
    positions: array[int]

    @property
    def number(self) -> int:
        """How many maps are alike."""
        return len(self.positions)

    def maps(self, most: int) -> Iterator[Ranked]:
        """The first of them, no more than `most`."""
        for i in self.positions[:most]:
            yield replace(self.example, address=self.many.address(i), holder=self.many.holder(i))


#: What maps can be ranked by, the largest first.
ORDERS: dict[str, Callable[[Ranked], float]] = {
    "bytes": lambda one: one.bytes.allocated,
    "waste": lambda one: one.bytes.waste,
    "entries": lambda one: one.count,
    "load": lambda one: -1 if one.load is None else one.load,
    "values": lambda one: one.values or 0,
    "retained": lambda one: one.retained or 0,
}


def measure(target: Target, found: AliasSearch, progress: Progress = silent, census: Census | None = None) -> Ranking:
    """Every map that was found, once, those with the most bytes first. census: that the search had. Ctrl-C ends it with
    what it has."""
    work = _Measuring(target, found, progress, Ranking(interrupted=found.interrupted), census)
    ranking = work.ranking
    try:
        work.one_by_one()
        work.many()
    except KeyboardInterrupt:
        ranking.interrupted = True
    if work.unreadable > MAX_PROBLEMS:
        what = f"{work.unreadable - MAX_PROBLEMS:,} more maps can't be read"
        ranking.anomalies.append(Anomaly("warning", "unreadable", what, None))
    ranking.maps.sort(key=lambda one: -one.bytes.allocated)
    return ranking


class _Measuring:
    def __init__(
        self, target: Target, found: AliasSearch, progress: Progress, ranking: Ranking, census: Census | None
    ) -> None:
        self.target, self.found, self.progress, self.ranking, self.census = target, found, progress, ranking, census
        self.known: dict[tuple[int, int, int, int], tuple[Bytes, str]] = {}  # by id() of a type, and what headers say
        self.rules = allocator(target)
        self.owners: dict[int, int] = {}  # address of an array -> header
        self.unreadable = self.done = 0
        self.number = len(found.types) + len(found.syncs) + sum(len(many.rows) for many in found.many)

    def one_by_one(self) -> None:
        """The maps that the search went into, and sync.Maps."""
        for address, t in self.found.types.items():
            self._add(address, t, self.found.maps[address])
        for address, holders in self.found.syncs.items():
            self._add(address, None, holders)

    def many(self) -> None:
        """Those that were found by the thousand: what their headers say is in the census."""
        for many in self.found.many:
            for i in self._by_columns(many):
                self._add(many.address(i), many.type, [many.holder(i)])

    def _add(self, address: int, t: GoType | None, holders: list[Holder]) -> None:
        """Adds a map, or a sync.Map where its type is None."""
        if self.done % 256 == 0:
            self.progress("maps", self.done, self.number)
        self.done += 1
        ranking, rules = self.ranking, self.rules
        try:
            if t is None:
                ranking.maps += _measured_sync(self.target, shortest(holders), address, rules, ranking)
                return
            row = -1 if self.census is None else self.census.row_of(address)
            array = self.census.arrays[row] if self.census is not None and row >= 0 else 0
            # Of a header that was copied one may not be in the heap: the second to come shares the first one's array.
            alone = not array or self.owners.setdefault(array, address) == address
            if self.census is not None and row >= 0 and alone:
                like = self._like(self.census, t, row, shortest(holders))
                if like is not None:
                    ranking.maps.append(like)
                    return
            one = self.found.views.get(address) or view(self.target, t, address)
            ranking.maps.append(_measured(one, t, shortest(holders), rules, self.owners, ranking))
        except GomapError as error:
            self.unreadable += 1
            if self.unreadable <= MAX_PROBLEMS:
                message = f"{shortest(holders).path}: {error}"
                ranking.anomalies.append(Anomaly("warning", "unreadable", message, address))

    def _by_columns(self, many: Many) -> Sequence[int]:
        """Those that have to be walked."""
        census, t = many.census, many.type
        together: dict[tuple[int, int, int], array[int]] = {}
        left: list[int] = []
        counts, held, slots, arrays = census.counts, census.held, census.slots, census.arrays
        shared = census.shared
        for i, row in enumerate(many.rows):
            if (shared and arrays[row] in shared) or arrays[row] in self.owners:
                left.append(i)
                continue
            key = counts[row], held[row], slots[row]
            known = together.get(key)
            if known is None:
                known = together[key] = array("I")
            known.append(i)
        for positions in together.values():
            example = self._like(census, t, many.rows[positions[0]], many.holder(positions[0]))
            if example is None:
                left += positions
                continue
            self.ranking.alike.append(AlikeMaps(example, many, positions))
            self.done += len(positions)
            self.progress("maps", self.done, self.number)
        return left

    def _like(self, census: Census, t: GoType, row: int, holder: Holder) -> Ranked | None:
        """A map of whose arrays the census knows the size; None of one that has to be walked."""
        count, held, room = census.counts[row], census.held[row], census.slots[row]
        if room == UNTOLD or count > room or census.arrays[row] in census.shared:
            return None
        key = id(t), count, held, room
        figures = self.known.get(key)
        if figures is None:
            shape = shape_of(t, self.target.arch)
            if room // SLOTS * shape.slots.size > held:
                return None
            one = view(self.target, t, census.addresses[row])
            figures = self.known[key] = self._figures(one, count, held), shape.layout
        bytes_, layout = figures
        return Ranked(census.addresses[row], t, holder, count, count / room if room else 0.0, bytes_, layout)

    def _figures(self, one: MapView, count: int, held: int) -> Bytes:
        """What Structure.bytes has of a map with so many entries, whose header and arrays take `held` bytes."""
        slots, rules = one.shape.slots, self.rules
        word = self.target.arch.pointer_size
        each = slots.key.size + slots.elem.size + word * (slots.indirect_key + slots.indirect_elem)
        indirect = slots.indirect_key * rules.allocated(slots.key.size, has_pointers(slots.key))
        indirect += slots.indirect_elem * rules.allocated(slots.elem.size, has_pointers(slots.elem))
        return Bytes(
            allocated=held + count * indirect,
            live=count * each,
            rebuilt=one.rebuilt(count, rules) + count * indirect,
        )


def _measured(
    one: MapView, t: GoType, holder: Holder, rules: Allocator, owners: dict[int, int], ranking: Ranking
) -> Ranked:
    read = walked(one, rules)
    one, address, structure = read.found, one.address, read.structure
    owner = owners.setdefault(one.array_address, address) if one.array_address else address
    room = max(MAX_PROBLEMS - len(ranking.anomalies), 0)
    ranking.anomalies += [replace(a, message=f"{holder.path}: {a.message}") for a in read.anomalies[:room]]
    counted = structure.bytes
    if owner != address:
        header = rules.allocated(one.shape.header.size, True)
        counted = Bytes(allocated=header, rebuilt=header)
    shares = None if owner == address else owner
    tombstones = structure.total.tombstones
    return Ranked(address, t, holder, one.count, structure.load, counted, one.shape.layout, None, shares, tombstones)


def measure_beyond(
    target: Target,
    beyond: Beyond,
    identifier: Identifier,
    by: str,
    most: int,
    progress: Progress = silent,
    retained: Mapping[int, int] | None = None,
) -> Ranking:
    """The first `most` (0: all) of the maps that no variable led to, by that order. Those are measured that can be
    among them: what a map holds at most is known from the census. retained: by their addresses. Ctrl-C ends it with
    what it has."""
    ranking = Ranking()
    every = beyond.census
    if every is None:
        return ranking
    most = most or len(beyond.maps)
    rules = allocator(target)
    try:

        def most_bytes(index: int) -> int:
            return every.held[index] + every.counts[index] * identifier.largest_in(
                every.arrays[index], every.sizes[index]
            )

        bounds: dict[str, Callable[[int], float]] = {
            "bytes": most_bytes,
            "waste": most_bytes,
            "entries": lambda index: every.counts[index],
        }
        if retained is not None:
            bounds["retained"] = lambda index: retained[every.addresses[index]]
        bound = bounds.get(by)
        largest = identifier.largest

        def of_any_type(index: int) -> int:
            """What the map holds at most whatever its type is, which costs nothing to know."""
            return every.held[index] + every.counts[index] * largest

        coarse = of_any_type if bound is most_bytes else bound
        todo = sorted(beyond.maps, key=coarse, reverse=True) if bound is not None else beyond.maps
        least = -1.0
        for done, index in enumerate(todo):
            if done % MEASURED == 0:
                progress("maps of the heap", done, len(todo))
                best = nlargest(most, map(ORDERS[by], ranking.maps))
                least = best[-1] if len(best) == most else -1.0
            if bound is not None and coarse is not None and least >= 0:
                if least >= coarse(index):
                    break
                if least >= bound(index):
                    continue
            one = _identified(identifier, beyond, every, index, rules)
            if retained is not None:
                one.retained = retained[one.address]
            ranking.maps.append(one)
    except KeyboardInterrupt:
        ranking.interrupted = True
    ranking.maps = nlargest(most, ranking.maps, key=ORDERS[by])
    return ranking


def _identified(identifier: Identifier, beyond: Beyond, every: Census, index: int, rules: Allocator) -> Ranked:
    address, held = every.addresses[index], every.held[index]
    one = identifier.identify(address)
    holder = holder_of(identifier, address, one.type, place_of(beyond, index))
    if one.view is not None and one.type is not None:
        try:
            read = walked(one.view, rules)
            structure, layout = read.structure, one.view.shape.layout
            return Ranked(
                address, one.type, holder, read.found.count, structure.load, structure.bytes, layout,
                tombstones=structure.total.tombstones, known_by=one.known_by, others=one.others,
            )  # fmt: skip
        except GomapError:
            pass
    bytes_ = Bytes(allocated=held, rebuilt=held)
    return Ranked(address, UNKNOWN, holder, every.counts[index], None, bytes_, identifier.layout)


def _measured_sync(target: Target, holder: Holder, address: int, rules: Allocator, ranking: Ranking) -> list[Ranked]:
    """The sync.Map, with the maps that are inside of it; none where nothing was ever done with it."""
    shape = syncmap.detect(target, holder.type)
    if shape is None:
        return []
    one = syncmap.looked(target, shape, Variable(holder.path, holder.type, address), rules)
    room = max(MAX_PROBLEMS - len(ranking.anomalies), 0)
    told = [*one.anomalies, *one.inner][:room]
    ranking.anomalies += [replace(a, message=f"{holder.path}: {a.message}") for a in told]
    return (
        [Ranked(address, holder.type, holder, one.count, None, one.bytes, one.generation, bound=one.bound)]
        if one.is_used
        else []
    )


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
    """The shortest way that leads to a map; of a package variable, if one leads there: its name means the same in
    every frame, and as long as the program runs."""
    if len(holders) == 1 and not holders[0].also:
        return holders[0]
    every = (way for holder in holders for way in (holder, *holder.also))
    return min(every, key=lambda way: (way.place.kind != "global", len(way.path)))
