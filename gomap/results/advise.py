"""hmap-advise."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Signed, Word
from gomap.results.shared import HeapFacts, ScannedFacts


@dataclass(frozen=True)
class SavedFacts:
    """What a change saves."""

    held: Annotated[Signed, "bytes of the heap that are free then; less than 0 where more are held"]
    allocated: Annotated[int, "bytes that are not allocated while the map grows to its entries"]
    scanned: Annotated[int, "bytes that each collection does not scan"]


@dataclass(frozen=True)
class StringRow:
    """A string that is there more than once."""

    text: Annotated[str, "the first 256 bytes"]
    length: Annotated[int, "bytes"]
    slots: Annotated[int, "keys and elems that have it"]
    copies: Annotated[int, "heap objects that hold the string"]
    bytes: Annotated[int, "bytes of the objects that go when one copy is kept"]


@dataclass(frozen=True)
class AdviceRow:
    """A change, and what it saves."""

    kind: Annotated[
        Word,
        "`rebuild` (more room than the entries need), `presize` (make without a size), `set` (one value under "
        "all keys), `empty-maps` and `tiny-maps` (many of one type), `duplicate-strings`, `pinned` (parts of "
        "much larger objects), `values-inline` (pointers to small values) or `array-keys` (string keys of one "
        "length)",
    ]
    path: Annotated[Optional[str], "what leads to the map; `0xADDR:TYPE` where no variable does; null of several maps"]
    address: Annotated[Optional[Address], "of its header; null of several maps"]
    type: Annotated[Optional[str], "the type of the map or maps; null of maps of several types"]
    maps: Annotated[int, "how many maps the change is about"]
    do: Annotated[str, "what to change, for people"]
    how: Annotated[str, "how the figures were worked out, for people"]
    saves: Annotated[SavedFacts, "bytes, in the allocator's size classes, of this change alone"]
    within: Annotated[int, "0 where `held` and `allocated` are exact, else by how much they may be more or less"]
    assumes: Annotated[Optional[str], "the condition, for people, that can't be seen in memory"]
    capacity: Annotated[Optional[int], "the size to give to make"]
    strings: Annotated[list[StringRow], "of `duplicate-strings`: the ten strings that are most of it"]


@dataclass(frozen=True)
class AdviseResult:
    """What to change about maps."""

    expr: Annotated[Optional[str], "the map that was asked about, as typed; null of all maps"]
    min: Annotated[int, "bytes from which on a change is listed, as `--min` says"]
    maps: Annotated[int, "maps that were looked at"]
    entries: Annotated[int, "their entries"]
    advice: Annotated[
        list[AdviceRow],
        "changes: those that free the most bytes first, then by bytes not allocated and not scanned",
    ]
    below_min: Annotated[int, "changes that save fewer bytes than `min`"]
    heap: Annotated[Optional[HeapFacts], "the maps that no variable led to; null with EXPR"]
    scanned: Annotated[Optional[ScannedFacts], "what was searched; null with EXPR"]
