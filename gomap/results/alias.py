"""hmap-alias."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import UNASKED, Address, Asked, Flat, Word
from gomap.results.shared import CallFacts, HeapFacts, HolderRow, PlaceFacts, ScannedFacts


@dataclass(frozen=True)
class SharedMapRow:
    """A map with its holders."""

    address: Annotated[Address, "of the header"]
    buckets: Annotated[Optional[Address], "of the bucket array (directory, group)"]
    type: Annotated[str, "the map's type"]
    type_or: Annotated[list[str], "other types that fit as well, of a map that no variable leads to"]
    count: Annotated[int, "entries, by the header"]
    shared_by: Annotated[Word, "`header`: one map; `buckets`: several headers with the same buckets"]
    headers: Annotated[list[Address], "all the headers, one when `shared_by` is `header`"]
    holders: Annotated[list[HolderRow], "who has it"]
    std: Annotated[
        bool,
        "whether the map is the standard library's own: only its package variables lead there, and no other package's "
        "type is on the way. Text leaves such maps out unless `--std` is given; false where maps were named",
    ]


@dataclass(frozen=True)
class GoroutineRow:
    """A goroutine that a holder belongs to."""

    id: Annotated[int, "the goroutine's number"]
    status: Annotated[str, "`running`, `runnable`, `syscall`, or what it waits for: `chan receive`"]
    created_by: Annotated[Optional[CallFacts], "the go statement that made it"]


@dataclass(frozen=True)
class SliceRow:
    """A slice of a shared array."""

    path: Annotated[str, "as Go writes it"]
    kind: Annotated[Word, "of the variable that the path starts from: `local`, `argument`, `captured` or `global`"]
    place: Flat[PlaceFacts]
    address: Annotated[Optional[Address], "address of the slice's own three words"]
    type: Annotated[str, "the slice's type"]
    from_: Annotated[int, "index of its first element in the array"]
    to: Annotated[int, "index after its last element: `from` plus the length"]
    capacity_to: Annotated[int, "index after the last element that append may write: `from` plus the capacity"]


@dataclass(frozen=True)
class SharedArrayRow:
    """An array that more than one slice has."""

    address: Annotated[Address, "of the lowest element that one of them has"]
    elem: Annotated[str, "type of the elements"]
    elem_size: Annotated[int, "bytes of one"]
    elements: Annotated[int, "elements from the lowest to the highest"]
    holders: Annotated[list[SliceRow], "the slices: [place](#place), and"]


@dataclass(frozen=True)
class AliasResult:
    """Which variables hold which map."""

    groups: Annotated[
        list[SharedMapRow],
        "maps with their holders: with one EXPR its map and all holders found, with several the maps that they name, "
        "with none the maps with more than one holder (`--all`: all)",
    ]
    nil_maps: Annotated[list[HolderRow], "variables whose map is nil"]
    others: Annotated[
        Optional[int],
        "with one EXPR, how many other variables hold its map; otherwise null",
    ]
    goroutines: Annotated[
        list[GoroutineRow],
        "the goroutines that the holders belong to; empty when several maps were named",
    ]
    heap: Annotated[
        Optional[HeapFacts],
        "with `--scope all`: the maps that neither a variable nor a word of a stack led to",
    ]
    scanned: Annotated[ScannedFacts, "what was searched"]
    slices: Annotated[
        Asked[list[SharedArrayRow]],
        "`--slices`: arrays that more than one slice has; `groups` and `nil_maps` are empty then",
    ] = UNASKED
