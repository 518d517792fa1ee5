"""hmap-why."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Flat, Word
from gomap.results.shared import PlaceFacts


@dataclass(frozen=True)
class ObjectFacts:
    """An object of the heap."""

    address: Annotated[Address, "where it begins, its allocation header included"]
    bytes: Annotated[int, "its bytes, in the allocator's size classes"]


@dataclass(frozen=True)
class FreedFacts:
    """What a collection would free."""

    bytes: Annotated[int, "bytes, in the allocator's size classes"]
    objects: Annotated[int, "objects, itself included"]
    finalizers: Annotated[int, "how many of these have a finalizer: they are freed one collection after it has run"]


@dataclass(frozen=True)
class RootWayRow:
    """The shortest way from one kind of root."""

    place: Flat[PlaceFacts]
    root: Annotated[
        Word,
        "`data` (package variables), `stack`, `finalizer`, `cleanup` or `runtime` (handles of weak pointers)",
    ]
    path: Annotated[str, "the way: an expression, as far as types are known, then offsets and addresses"]
    expr: Annotated[Optional[str], "an expression for what it leads to; null where types do not go so far"]
    address: Annotated[Optional[Address], "where the root's pointer lies; null in a register"]
    objects: Annotated[int, "objects on the way, the last one included"]
    others: Annotated[int, "how many more roots of that kind lead to it"]


@dataclass(frozen=True)
class WhyScanned:
    """What was looked at."""

    objects: Annotated[int, "objects of the heap"]
    pointers: Annotated[int, "pointers between them"]
    roots: Annotated[int, "pointers outside of the heap that a collection starts from"]
    goroutines: Annotated[int, "goroutines whose stacks were scanned"]
    conservative: Annotated[int, "words of stacks that were taken for pointers because they look like them"]


@dataclass(frozen=True)
class WhyResult:
    """What keeps an object alive."""

    expr: Annotated[str, "as it was typed"]
    address: Annotated[Address, "the address that is meant: a map's header"]
    where: Annotated[Word, "where that is: `heap`, `stack` or `data` (a package variable)"]
    type: Annotated[Optional[str], "type of what lies there, where that is known"]
    object: Annotated[Optional[ObjectFacts], "the object of the heap that has the address; null outside of the heap"]
    alive: Annotated[bool, "whether any root leads to it; a collection frees it otherwise"]
    roots: Annotated[
        int,
        "how many roots lead to it, each a word with a pointer; outside of the heap: how many pointers are in it",
    ]
    pointers: Annotated[int, "how many pointers lead to it from what stays alive without it, roots included"]
    freed: Annotated[
        FreedFacts, "what a collection would free without it; for a variable outside of the heap, without its value"
    ]
    cut_frees: Annotated[
        int,
        "bytes freed if a single pointer to it is cleared: `freed.bytes` if there is only one pointer, else 0",
    ]
    ways: Annotated[
        list[RootWayRow],
        "the shortest way from each kind of root: the [place](#place) of the variable, and",
    ]
    scanned: Annotated[WhyScanned, "what was looked at"]
    complete: Annotated[bool, "whether all of the heap and all roots were looked at, and stood still"]
    missing: Annotated[list[str], "what was not"]
