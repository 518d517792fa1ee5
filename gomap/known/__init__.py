"""Types of Go's standard library that people know by another text than their fields, in a table.

A type is known by its full name, and its formatter looks for the fields that it needs: where a version of Go has
others, it returns None, and the value is shown as any other. To add a type: a function in a file of this folder, and a
line in the table of that file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from gomap.gotypes import GoType, Kind
from gomap.known import bytes_, errors, net, numbers, pointers, times
from gomap.known.look import Formatter, KnownType

_TABLES: tuple[Mapping[str, KnownType], ...] = (
    times.TYPES,
    net.TYPES,
    numbers.TYPES,
    errors.TYPES,
    pointers.TYPES,
    bytes_.TYPES,
)

#: By the type's full name. The name of a generic type is without its arguments.
TYPES: Mapping[str, KnownType] = {name: known for table in _TABLES for name, known in table.items()}
_FUNCTION, _BYTES = KnownType(pointers.function), KnownType(bytes_.printable)
#: Kinds that a type of the table may have: all others cost nothing.
KINDS = frozenset({Kind.STRUCT, Kind.SLICE, Kind.INT, Kind.UINT, Kind.ARRAY, Kind.FUNC})


def find(t: GoType) -> KnownType | None:
    """How values of the type are shown, None where they have no text of their own."""
    if t.kind is Kind.FUNC:
        return _FUNCTION
    found = _named(t.name) if "." in t.name else None
    if found is not None and (found.kind is None or found.kind is t.kind):
        return found
    if t.kind is Kind.SLICE and t.elem.kind is Kind.UINT and t.elem.size == 1:
        return _BYTES
    return None


@cache
def _named(name: str) -> KnownType | None:
    return TYPES.get(name.partition("[")[0])


def may_have_text(t: GoType) -> bool:
    """Whether values of the type, or of what they lead to, may be shown by a text of their own."""
    return _may(t, set())


def _may(t: GoType, visited: set[int]) -> bool:
    if id(t) in visited:
        return False
    visited.add(id(t))
    if t.kind is Kind.INTERFACE or (t.kind in KINDS and find(t) is not None):
        return True
    if t.kind is Kind.STRUCT:
        return any(_may(f.type, visited) for f in t.fields)
    if t.kind is Kind.MAP:
        return _may(t.key, visited) or _may(t.elem, visited)
    if t.kind in (Kind.POINTER, Kind.SLICE, Kind.ARRAY):
        return t.lazy_elem is not None and _may(t.elem, visited)
    return False


__all__ = ["KINDS", "TYPES", "Formatter", "KnownType", "find", "may_have_text"]
