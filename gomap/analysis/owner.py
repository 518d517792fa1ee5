"""The map of the heap that has an address in its memory, where no variable leads to that map."""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.analysis.alias import AliasSearch, Holder
from gomap.analysis.identify import Identifier
from gomap.errors import GomapError
from gomap.golang.heap import Heap
from gomap.golang.rtype import DescribedTypes
from gomap.graph.path import Names, Path
from gomap.heap.census import census
from gomap.progress import Progress, silent
from gomap.target import Place, Target

#: Maps whose tables and chains are looked at, the largest first, where no header or array is the object itself.
MAX_TRIED = 512


@dataclass
class Owners:
    """others: names of types that fit a map as well, by header. why: what of the heap's maps was not looked at."""

    others: dict[int, tuple[str, ...]] = field(default_factory=dict)
    why: str | None = None


def add_owners(target: Target, found: AliasSearch, address: int, progress: Progress = silent) -> Owners:
    """Adds to `found` the maps of the heap that can have the address: by their header, their array, or of a large map
    by a part. Raises NoDebugInfo, MemoryFault."""
    owners = Owners()
    heap, types = Heap(target), DescribedTypes(target)
    place = heap.at(address)
    if place is None or place.span is None or place.base is None:
        return owners
    every = census(target, heap, types, (), progress)
    start, end = place.base, place.base + place.span.object
    own = [
        index
        for index, (header, array) in enumerate(zip(every.addresses, every.arrays))
        if header == start or start <= array < end
    ]
    if not own:
        own = sorted((index for index, size in enumerate(every.sizes) if size), key=lambda index: -every.held[index])
    identifier = Identifier(target, heap, types, list(found.types.values()))
    for index in own[:MAX_TRIED]:
        header = every.addresses[index]
        if header in found.types:
            continue
        try:
            known = identifier.identify(header)
        except GomapError:
            continue
        if known.view is None or known.type is None:
            continue
        where = Place("heap")
        path = Path(None, f"{header:#x}:{known.type.name}", where)
        holder = Holder(path, Names(target, types), where, known.type, None, dead=False)
        found.views[header], found.types[header], found.maps[header] = known.view, known.type, [holder]
        owners.others[header] = known.others
    left = len(own) - MAX_TRIED
    if every.interrupted:
        owners.why = "the census was interrupted"
    elif left > 0:
        owners.why = f"{left:,} smaller maps that no variable leads to were not looked at"
    return owners
