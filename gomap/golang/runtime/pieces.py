"""Which location lists of the debug information can be trusted.

In optimized code the compiler keeps a variable of several words in pieces, each in a place of its own. A location list
should have all pieces, in order, with empty ones for pieces that are optimized out. But pieces that were never used are
left out altogether, so that the pieces after them take their place, and a single remaining piece looks like the whole
variable (debugState.writePendingEntry of cmd/compile/internal/ssa/debug.go): t.y appears as t.x, and other data as t.y.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gomap.gotypes import GoType, Kind, leaves

#: A value of more words is never taken apart, and a struct of more fields neither (CanSSA of ssa/value.go).
MAX_WORDS = 4
#: Of a slice the third, the capacity, is often left out at the end, where it does no harm.
_NEEDED = {Kind.SLICE: 2}
_OF_WORDS = frozenset({Kind.STRING, Kind.INTERFACE, Kind.SLICE})


def are_all(t: GoType, pieces: Sequence[int], word: int) -> bool:
    """Whether an entry of a location list has every piece of a value of type t.

    pieces: their sizes in bytes, in order; none if the entry is a single place. word: bytes of a pointer.
    """
    if not _can_be_taken_apart(t, word):
        return True
    wanted = list(_words(t, word))
    if not pieces:
        return len(wanted) <= 1
    start, told = 0, set()
    for size in pieces:
        told.add((start, size))
        start += size
    return told.issuperset(wanted[: _NEEDED.get(t.kind)])


def _can_be_taken_apart(t: GoType, word: int) -> bool:
    if t.size > MAX_WORDS * word or len(t.fields) > MAX_WORDS or t.length > 1:
        return False
    parts = [field.type for field in t.fields] if t.kind is Kind.STRUCT else [t.elem] if t.kind is Kind.ARRAY else []
    return all(_can_be_taken_apart(part, word) for part in parts)


def _words(t: GoType, word: int) -> Iterator[tuple[int, int]]:
    """Offset and size of the values that the compiler takes one of type t apart into."""
    for at, one in leaves(t):
        in_words = one.kind in _OF_WORDS or (one.kind in (Kind.INT, Kind.UINT) and one.size > word)
        size = word if in_words else one.size // 2 if one.kind is Kind.COMPLEX else one.size
        yield from ((at + offset, size) for offset in range(0, one.size, size or 1))
