"""Which fields of a map's header tell what is done to the map: what all layouts share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Watched:
    """Names of fields. count: of entries. writing: the flag of a write, and its bits. seed: of the hashes. cleared: one
    that each clear of a map with entries changes, and that inserts leave as it is."""

    count: str
    writing: tuple[str, int]
    seed: str
    cleared: str
