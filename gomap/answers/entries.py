"""Entries of a map as a table."""

from __future__ import annotations

from collections.abc import Sequence

from gomap.report import Table
from gomap.values import MAX_FULL, Values


def entries_table(place: str, rows: Sequence[tuple[str, str, str]], values: Values) -> Table:
    """rows: place, key and value. Keys are shown whole, values up to the end of the line, or whole with --full."""
    full = values.limits.text >= MAX_FULL
    return Table((place, "key", "value"), rows, frozenset({0}), frozenset({1, 2}), whole=1 if full else None, kept=1)
