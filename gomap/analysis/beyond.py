"""The maps of the heap and of stacks that no variable led to: what the census has beside what a search found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gomap import syncmap
from gomap.analysis.alias import AliasSearch
from gomap.analysis.identify import Identifier
from gomap.analysis.roots import of_runtime
from gomap.errors import GomapError
from gomap.golang.heap import Heap
from gomap.golang.malloc import allocator
from gomap.golang.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.heap.census import Census, StackObject, census
from gomap.progress import Progress, silent
from gomap.target import Target, Variable

#: So many keys whose hashes agree with their marks prove that a header is one that counts other entries than it has.
#: So many such headers are looked at.
PROOF, MAX_DOUBTFUL = 2, 1 << 10
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


def beyond(
    target: Target, found: AliasSearch, objects: Sequence[StackObject], progress: Progress = silent
) -> tuple[Beyond, Identifier | None]:
    """The maps that are not among those that were found, and what tells their types. objects: as Roots notes them."""
    result = Beyond()
    if found.interrupted:
        result.why = "the search was interrupted"
        return result, None
    try:
        heap = Heap(target)
        every = result.census = census(target, heap, DescribedTypes(target), objects, progress)
    except GomapError as error:
        result.why = str(error)
        return result, None
    identifier = Identifier(target, heap, DescribedTypes(target), list(found.types.values()))
    known = {*found.types, *found.doubtful, *_inside(target, found), *_of_runtime(target)}
    try:
        for row in every.doubtful[:MAX_DOUBTFUL]:
            if row[0] not in known and identifier.identify(row[0]).keys >= PROOF:
                every.add(row)
    except KeyboardInterrupt:
        every.interrupted = True
    for index, (address, array) in enumerate(zip(every.addresses, every.arrays)):
        if address in known:
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
