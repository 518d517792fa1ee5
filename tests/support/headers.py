"""Every map header that the census finds, of a program behind any debugger."""

from __future__ import annotations

from gomap.analysis.beyond import header_size
from gomap.analysis.roots import Roots
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.heap.census import Census, census
from gomap.target import Target


def headers(target: Target) -> tuple[Census, int]:
    """Those of the heap and of stacks, and how many parts of heap and stacks were not looked at."""
    roots = Roots(target, "all", object_size=header_size(target))
    assert list(roots)
    found = census(target, Heap(target), DescribedTypes(target))
    found.add_stacks(roots.objects)
    return found, found.unread + found.lost + roots.unseen.count


def rows(found: Census) -> list[tuple[str, int, bool, bool]]:
    """(address, entries, whether it has an array, whether it lies on a stack) of each."""
    columns = zip(found.addresses, found.counts, found.arrays)
    return [(hex(at), count, array != 0, at in found.stacked) for at, count, array in columns]
