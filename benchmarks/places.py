"""Where the arrays of a map lie."""

from __future__ import annotations

from gomap.expr import resolve_map
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.structure import Structure
from gomap.maps import view
from gomap.target import Target


def arrays(target: Target, expr: str) -> tuple[str, list[tuple[int, int]]]:
    """(layout, the arrays of buckets or groups as (address, bytes))."""
    _, t, address = resolve_map(target, expr)
    found = view(target, t, address)
    size = found.shape.slots.size
    if isinstance(found, ClassicMap):
        return "classic", [(found.header["buckets"], size << found.B)]
    if found.small:
        return "swiss", [(found.header["dirPtr"], size)]
    tables = found._tables(Structure(address=None))
    return "swiss", [(table.groups_address, table.groups * size) for table in tables]
