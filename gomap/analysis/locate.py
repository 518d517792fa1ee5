"""Which part of which map an address lies in."""

from __future__ import annotations

from dataclasses import replace

from gomap.analysis.beyond import Beyond, adopt
from gomap.analysis.held import AliasSearch
from gomap.analysis.identify import Identifier
from gomap.analysis.spots import head, inner
from gomap.errors import GomapError
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.spot import Spot
from gomap.golang.runtime.malloc import MALLOC_HEADER, Allocator, allocator
from gomap.progress import Progress, silent

#: Maps that no variable led to that are looked into together.
TOGETHER = 256


def locate(found: AliasSearch, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """Where in the maps that were found the address lies; the first one's where several share it.

    object_size: bytes of the heap's object that address is in, 0 outside of the heap, None where that is not known.
    """
    views = list(found.views.values())
    for look in (head, inner, _behind):
        for one in views:
            try:
                spot = look(one, address, rules, object_size)
            except GomapError:
                continue
            if spot is not None:
                return spot if look is not head else replace(spot, shared=_also(views, spot, address, rules))
    return None


def locate_beyond(
    found: AliasSearch,
    more: Beyond,
    identifier: Identifier,
    address: int,
    base: int | None,
    object_size: int | None,
    progress: Progress = silent,
) -> Spot | None:
    """The same among the maps that no variable led to; the map with the address is added to those found. base:
    address of the heap object that the address is in. Ctrl-C ends the search and sets found.interrupted."""
    census = more.census
    if census is None:
        return None
    # The first value of an object may lie behind the type that the allocator keeps in front.
    begins = () if base is None else (base, base + MALLOC_HEADER)
    size = census.header.size

    def is_near(index: int) -> bool:
        return 0 <= address - census.addresses[index] < size or census.arrays[index] in begins

    near = [index for index in more.maps if is_near(index)]
    rest = [index for index in more.maps if not is_near(index)]
    rules = allocator(identifier.target)
    try:
        for first, rows in [(0, near), *((i, rest[i : i + TOGETHER]) for i in range(0, len(rest), TOGETHER))]:
            progress("maps of the heap", first, len(rest))
            part = AliasSearch()
            adopt(part, more, identifier, rows)
            spot = locate(part, address, rules, object_size)
            if spot is not None:
                found.maps.update(part.maps)
                found.types.update(part.types)
                found.views.update(part.views)
                found.type_or.update(part.type_or)
                return spot
    except KeyboardInterrupt:
        found.interrupted = True
    return None


def _also(views: list[MapView], spot: Spot, address: int, rules: Allocator) -> tuple[int, ...]:
    """Headers of other maps that have the same array."""
    others = []
    for one in views:
        try:
            if one.address != spot.header and head(one, address, rules, None) is not None:
                others.append(one.address)
        except GomapError:
            continue
    return tuple(others)


def _behind(one: MapView, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
    """Keys and elems that are stored behind pointers."""
    slots = one.shape.slots
    parts = [("key", slots.key)] * slots.indirect_key + [("elem", slots.elem)] * slots.indirect_elem
    for part, t in parts:
        if object_size is not None and object_size < t.size:
            continue
        for entry in one.entries():
            at = entry.key_address if part == "key" else entry.elem_address
            if at <= address < at + t.size:
                return Spot(
                    one.address,
                    None,
                    at,
                    entry.bucket,
                    entry.slot,
                    part,
                    entry.old,
                    entry.overflow,
                    "live",
                    indirect=True,
                )
    return None
