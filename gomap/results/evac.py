"""hmap-evac."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Word
from gomap.results.shared import GrowthFacts


@dataclass(frozen=True)
class ForecastFacts:
    """The next growth."""

    entries_left: Annotated[Optional[int], "new keys that fit for certain before it"]
    next: Annotated[str, "what happens then, in words"]


@dataclass(frozen=True)
class TableRow:
    """A table of a Swiss map."""

    index: Annotated[int, "first entry of the directory that names it"]
    local_depth: Annotated[int, "bits of the hash that all its keys share"]
    directory_entries: Annotated[int, "entries of the directory that name it"]
    capacity: Annotated[int, "slots"]
    used: Annotated[int, "entries, by the table"]
    growth_left: Annotated[int, "new keys that fit before it grows"]
    tombstones: Annotated[int, "deleted slots that were counted"]
    groups: Annotated[int, "groups"]


@dataclass(frozen=True)
class EvacResult:
    """How far a map's growth is, and what comes next."""

    expr: Annotated[str, "the expression as it was given"]
    type: Annotated[str, "the map's type"]
    address: Annotated[Optional[Address], "of its header; null for a nil map"]
    layout: Annotated[Word, "`classic` or `swiss`"]
    growth: Annotated[GrowthFacts, "how far a growth is"]
    forecast: Annotated[ForecastFacts, "the next growth"]
    tables: Annotated[
        Optional[list[TableRow]],
        "the tables of a Swiss map, in the order of the directory; null for a classic one",
    ]
