"""Which location lists of the debug information can be trusted.

In optimised code the compiler keeps a variable of several words in pieces, each where it is at the moment. A location
list should tell all of them, in order, and those that lie nowhere as empty. But pieces that were never of use are left
out altogether, those behind them then stand for them, and the only one that remains stands for the whole variable
(debugState.writePendingEntry of cmd/compile/internal/ssa/debug.go): t.y is told as t.x, and what lies beside it as t.y.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gomap.gotypes import GoType, Kind

#: A value of more words is never taken apart, and a struct of more fields neither (CanSSA of ssa/value.go).
MAX_WORDS = 4
#: Of a slice the third, the capacity, is often left out at the end, where it does no harm.
_NEEDED = {Kind.SLICE: 2}


def are_all(t: GoType, pieces: Sequence[int], word: int) -> bool:
    """Whether an entry of a location list tells every piece of a value of type t.

    pieces: their sizes in bytes, in order; none where the entry is a single place. word: bytes of a pointer.
    """
    if not _can_be_taken_apart(t, word):
        return True
    wanted = list(_words(t, 0, word))
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


def _words(t: GoType, base: int, word: int) -> Iterator[tuple[int, int]]:
    """Offset and size of the values that the compiler takes one of type t apart into."""
    if t.kind is Kind.STRUCT:
        for field in t.fields:
            yield from _words(field.type, base + field.offset, word)
    elif t.kind is Kind.ARRAY:
        yield from _words(t.elem, base, word) if t.length else ()
    elif t.kind in (Kind.STRING, Kind.INTERFACE, Kind.SLICE):
        yield from ((base + offset, word) for offset in range(0, t.size, word))
    elif t.kind is Kind.COMPLEX:
        yield from ((base + offset, t.size // 2) for offset in (0, t.size // 2))
    elif t.kind in (Kind.INT, Kind.UINT) and t.size > word:
        yield from ((base + offset, word) for offset in range(0, t.size, word))
    elif t.size:
        yield base, t.size
