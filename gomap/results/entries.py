"""hmap-entries."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Flat, GoScalar, Listing
from gomap.results.shared import FoundEntry


@dataclass(frozen=True)
class FoundRow:
    """An entry that matches."""

    key: Annotated[GoScalar, "the key"]
    value: Annotated[Optional[GoScalar], "the elem; null with `--keys`"]
    found: Flat[FoundEntry]


@dataclass(frozen=True)
class EntriesResult:
    """Entries that match."""

    expr: Annotated[str, "the expression as it was given"]
    type: Annotated[str, "the map's type"]
    address: Annotated[Optional[Address], "of its header; null for a nil map"]
    count: Annotated[int, "entries that the header counts"]
    looked_at: Annotated[
        int,
        "entries that were looked at; less than `count` where no condition was given and `--limit` was reached, and "
        "where Ctrl-C ended the search",
    ]
    matched: Annotated[int, "those of them that match; `count` where no condition was given"]
    entries: Annotated[Listing[FoundRow], "those that `--limit` leaves, in the order of `--sort`, else of memory"]
