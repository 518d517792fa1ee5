"""The maps of the heap and of stacks that no variable led to: what the census has beside what a search found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gomap import syncmap
from gomap.analysis.held import AliasSearch, Holder
from gomap.analysis.identify import PROOF, Identifier
from gomap.analysis.referring import Referring
from gomap.analysis.roots import StackSlot
from gomap.analysis.whole_heap import HeapAtHand
from gomap.errors import GomapError
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.malloc import allocator
from gomap.golang.runtime.modules import of_runtime
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.graph.path import Names, Path
from gomap.heap.census import Census, StackObject, census, seen_through
from gomap.progress import Progress, silent
from gomap.target import Place, Target, Variable

#: Headers that count other entries than they have: so many are looked at.
MAX_DOUBTFUL = 1 << 10
#: The type of a map whose type is not known.
UNKNOWN = GoType(Kind.OPAQUE, "?", 0)
#: Kinds of holders that say where a map lies that no variable led to.
NO_VARIABLE = frozenset({"heap", "stack"})
#: Fields of fields of the runtime's package variables that are looked at for its maps.
MAX_DEPTH = 8


@dataclass
class Beyond:
    """maps: indexes into the census's columns, of maps that have an array. entries, bytes: theirs; bytes as the census
    has them. empty: how many more headers there are that have none. on_stacks: how many of `maps` lie on stacks.

    why: why no census was made; or what it lacks, where `maps` is only a part.
    """

    census: Census | None = None
    maps: list[int] = field(default_factory=list)
    entries: int = 0
    bytes: int = 0
    empty: int = 0
    on_stacks: int = 0
    why: str | None = None


def header_size(target: Target) -> int:
    """Bytes of a map's header; 0 where debug information does not describe it."""
    try:
        return DescribedTypes(target).map_header().size
    except GomapError:
        return 0


@dataclass
class HeapSearch:
    """The headers of the heap, found before a search that follows variables. why: why there are none."""

    heap: Heap | None = None
    census: Census | None = None
    why: str | None = None


def search_heap(target: Target, progress: Progress = silent) -> HeapSearch:
    """Every header of the heap. Ctrl-C ends it with what it has."""
    try:
        own: Callable[[], Census | None] | None = getattr(target, "census", None)
        known = own() if own is not None else None  # looked for already, to find the variables of a stripped program
        types = DescribedTypes(target)
        heap = Heap(target)
        if known is not None:
            return HeapSearch(heap, seen_through(target, heap, types, known))
        return HeapSearch(heap, census(target, heap, types, progress))
    except GomapError as error:
        return HeapSearch(why=str(error))


def beyond(
    target: Target,
    found: AliasSearch,
    objects: Sequence[StackObject],
    searched: HeapSearch | None = None,
    progress: Progress = silent,
    at_hand: HeapAtHand | None = None,
) -> tuple[Beyond, Identifier | None]:
    """The maps that a search has not found, and the Identifier of their types. objects: as collected by Roots.
    searched: the heap's headers, if they are known already. at_hand: the heap's graph, if other steps use it too."""
    result = Beyond()
    if found.interrupted:
        result.why = "the search was interrupted"
        return result, None
    searched = searched or search_heap(target, progress)
    heap, every = searched.heap, searched.census
    if heap is None or every is None:
        result.why = searched.why
        return result, None
    every.add_stacks(objects)
    result.census = every
    identifier = Identifier(target, heap, DescribedTypes(target), list(found.types.values()))
    identifier.referring = Referring(target, found.types.get, at_hand or HeapAtHand(target, progress))
    known = {*found.types, *found.doubtful, *_inside(target, found), *_of_runtime(target)}
    try:
        for row in every.doubtful[:MAX_DOUBTFUL]:
            if row[0] not in known and identifier.identify(row[0]).keys >= PROOF:
                every.add(row)
    except KeyboardInterrupt:
        every.interrupted = True
    taken = found.taken
    for index, (address, array) in enumerate(zip(every.addresses, every.arrays)):
        if (index < len(taken) and taken[index]) or address in known:
            continue
        if not array:
            result.empty += 1
            continue
        result.maps.append(index)
        result.on_stacks += address in every.stacked
    result.entries = sum(every.counts[index] for index in result.maps)
    result.bytes = sum(every.held[index] for index in result.maps)
    result.why = _lacks(every)
    return result, identifier


def place_of(more: Beyond, index: int) -> Place:
    """Where a map lies that no variable led to: on the heap or on a stack."""
    census = more.census
    stacked = census is not None and census.addresses[index] in census.stacked
    return Place("stack" if stacked else "heap")


def holder_of(identifier: Identifier, address: int, t: GoType | None, place: Place, slot: int | None = None) -> Holder:
    """A substitute for the variable of a map that no variable leads to: its address and type. slot: address of the word
    that points to the map."""
    path = f"{address:#x}" + (f":{t.name}" if t is not None else "")
    names = Names(identifier.target, identifier.types)
    return Holder(Path(None, path, place), names, place, t or UNKNOWN, slot, dead=False)


def adopt(
    found: AliasSearch, more: Beyond, identifier: Identifier, rows: Iterable[int], progress: Progress = silent
) -> int:
    """Adds maps of the census to those that were found, by their rows. How many are not added, since their types are
    not known."""
    census, unknown = more.census, 0
    if census is None:
        return 0
    rows = list(rows)
    for done, index in enumerate(rows):
        progress("maps of the heap", done, len(rows))
        address = census.addresses[index]
        one = identifier.identify(address)
        if one.view is None or one.type is None:
            unknown += 1
            continue
        found.maps.setdefault(address, []).append(holder_of(identifier, address, one.type, place_of(more, index)))
        found.types[address], found.views[address] = one.type, one.view
        if one.others:
            found.type_or[address] = one.others
    return unknown


def add_slots(
    found: AliasSearch, more: Beyond, identifier: Identifier, slots: Sequence[StackSlot], progress: Progress = silent
) -> None:
    """Adds the words of stacks that hold maps and that no variable has in their frame, as holders; and the maps that
    these alone hold, which leave `more`."""
    census = more.census
    if census is None:
        return
    rows = {census.addresses[index]: index for index in more.maps}
    known: dict[int, set[tuple[int | None, int | None]]] = {}
    adopted: set[int] = set()
    for done, slot in enumerate(slots):
        if done % (1 << 12) == 0:
            progress("stack slots", done, len(slots))
        address, place = slot.pointer, slot.place
        index = rows.pop(address, None)
        if index is not None and not adopt(found, more, identifier, [index]):
            adopted.add(index)
        if address not in found.types or of_runtime(place.function or ""):
            continue
        frames = known.get(address)
        if frames is None:
            ways = (way for held in found.maps[address] for way in (held, *held.also) if way.kind != "dead")
            frames = known[address] = {(way.place.goroutine, way.place.frame) for way in ways}
        if any((place.goroutine, level) in frames for level in range(slot.first, (place.frame or 0) + 1)):
            continue
        holder = holder_of(identifier, address, found.types[address], place, slot.address)
        found.maps[address] = [one for one in found.maps[address] if one.kind not in NO_VARIABLE] + [holder]
    _without(more, adopted)


def _without(more: Beyond, adopted: set[int]) -> None:
    """Removes maps from `more` that are listed among the others."""
    census = more.census
    if census is None or not adopted:
        return
    more.maps = [index for index in more.maps if index not in adopted]
    more.entries = sum(census.counts[index] for index in more.maps)
    more.bytes = sum(census.held[index] for index in more.maps)
    more.on_stacks = sum(census.addresses[index] in census.stacked for index in more.maps)


def _lacks(every: Census) -> str | None:
    """What of the heap was not looked at."""
    if every.interrupted:
        return "the census was interrupted"
    if every.unread or every.lost:
        return f"{every.unread + every.lost:,} of the heap's spans could not be read or are corrupt"
    return None


def _inside(target: Target, found: AliasSearch) -> Iterator[int]:
    """The maps that sync.Maps are made of."""
    rules = allocator(target)
    for address, holders in found.syncs.items():
        try:
            shape = syncmap.detect(target, holders[0].type)
            variable = Variable("", holders[0].type, address)
            one = syncmap.look(target, shape, variable, rules) if shape is not None else None
        except GomapError:
            continue
        if one is not None and one.read_dirty is not None:
            yield from (half.view.address for half in (one.read_dirty.read, one.read_dirty.dirty) if half.view)


def _of_runtime(target: Target) -> Iterator[int]:
    """The maps that package variables of the runtime hold, which a search leaves out."""
    try:
        for variable in target.package_variables(lambda t: t.kind in (Kind.MAP, Kind.STRUCT)):
            if of_runtime(variable.name) and variable.address is not None:
                for offset in _maps_in(variable.type, 0, 0):
                    word = target.arch.pointer_size
                    yield target.arch.pointer(target.memory.read(variable.address + offset, word))
    except GomapError:
        return


def _maps_in(t: GoType, offset: int, depth: int) -> Iterator[int]:
    if t.kind is Kind.MAP:
        yield offset
    elif t.kind is Kind.STRUCT and depth < MAX_DEPTH:
        for one in t.fields:
            yield from _maps_in(one.type, offset + one.offset, depth + 1)
