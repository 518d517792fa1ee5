"""hmap-entries."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import UNASKED, Address, Asked, GoScalar, Listing


@dataclass(frozen=True)
class FoundRow:
    """An entry that matches."""

    key: Annotated[GoScalar, "the key"]
    value: Annotated[Optional[GoScalar], "the elem; null with `--keys`"]
    bucket: Annotated[int, "number of its main bucket, or of its group over all tables"]
    slot: Annotated[int, "0 to 7"]
    old: Annotated[bool, "whether it lies in the old array"]
    key_text: Annotated[
        Asked[Optional[str]],
        "for maps with times, durations, addresses and the like: the key as people see it ([values.md](values.md)); "
        "null where its type has no such text",
    ] = UNASKED
    value_text: Annotated[Asked[Optional[str]], "for the same maps: the elem as people see it"] = UNASKED


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
