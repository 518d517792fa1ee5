"""Entries of a map as a table."""

from __future__ import annotations

from collections.abc import Sequence

from gomap.report import Table
from gomap.values import Values

#: For tables whose values end at the screen's width.
CUT = ("...", "values end at the screen's width: --full shows them whole")


def entries_table(place: str, rows: Sequence[tuple[str, str, str]], values: Values) -> Table:
    """rows: place, key and value. Keys are shown whole, values up to the end of the line, or whole with --full."""
    headings, whole = (place, "key", "value"), 1 if values.full else None
    return Table(headings, rows, frozenset({0}), frozenset({1, 2}), whole=whole, kept=1, hint=CUT)
