"""What each of many maps keeps alive, and which maps nothing keeps alive: the census beside the graph of the heap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gomap.analysis.beyond import Beyond
from gomap.analysis.whole_heap import WholeHeap
from gomap.golang.runtime.malloc import MALLOC_HEADER, allocator
from gomap.heap.census import Census
from gomap.target import Target


def retained_by(target: Target, whole: WholeHeap, maps: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Bytes that a collection would free without each of these maps, by address. maps: the address and size of their
    headers, or of sync.Maps. Of one that is a part of something else, of a stack's frame or of a struct, these are the
    bytes that are freed when its words are cleared."""
    np, objects, rules = whole.graph.objects.np, whole.graph.objects, allocator(target)
    sizes = dict(maps)
    addresses = np.array(list(sizes), np.uint64)
    numbers = objects.objects_at(addresses)
    there = np.flatnonzero(numbers >= 0)
    inside = addresses[there] - objects.addresses(numbers[there])
    alone: dict[int, int] = {}  # by address: the object that is the map
    for i, offset, size in zip(there.tolist(), inside.tolist(), objects.sizes(numbers[there]).tolist()):
        address = int(addresses[i])
        if offset in (0, MALLOC_HEADER) and rules.allocated(sizes[address], scan=True) == size:
            alone[address] = int(numbers[i])
    others = [address for address in sizes if address not in alone]
    parts = [*whole.retained.parts((address, sizes[address]) for address in others)]
    known = list(dict.fromkeys(alone.values()))
    of_objects, of_parts = whole.retained.freed_without(known, parts)
    freed = dict(zip(known, of_objects.tolist()))
    found = {address: int(freed[one]) for address, one in alone.items()}
    found.update(zip(others, of_parts.tolist()))
    return found


@dataclass(frozen=True)
class Garbage:
    """maps: what of the census nothing reaches, with the other columns of Beyond. reachable: how many maps are not
    garbage. missing: what was not looked at, which may lead to some of them."""

    maps: Beyond
    reachable: int
    missing: Sequence[str]


def garbage(whole: WholeHeap, census: Census) -> Garbage:
    """The maps of the heap that the next collection frees."""
    np, objects = whole.graph.objects.np, whole.graph.objects
    addresses: Any = np.frombuffer(census.addresses, np.uint64) if len(census.addresses) else np.zeros(0, np.uint64)
    numbers = objects.objects_at(addresses)
    dead = np.flatnonzero((numbers >= 0) & ~whole.retained.alive[numbers]).tolist()
    found = Beyond(census)
    found.maps = [index for index in dead if census.arrays[index]]
    found.empty = len(dead) - len(found.maps)
    found.entries = sum(census.counts[index] for index in found.maps)
    found.bytes = sum(census.held[index] for index in found.maps)
    return Garbage(found, len(addresses) - len(dead), whole.missing)
