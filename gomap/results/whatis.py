"""hmap-whatis."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Flat, GoScalar, Word
from gomap.results.shared import PlaceFacts


@dataclass(frozen=True)
class WhatisMap:
    """The map that has an address."""

    address: Annotated[Address, "of its header"]
    type: Annotated[str, "its type"]
    type_or: Annotated[list[str], "other types that fit as well, of a map that no variable leads to"]
    path: Annotated[str, "the shortest way to it"]
    place: Flat[PlaceFacts]


@dataclass(frozen=True)
class SpotFacts:
    """Where in the map that is."""

    array: Annotated[
        Optional[Word],
        "which part of it: `header`, `buckets`, `oldbuckets`, `overflow`, `group`, `directory`, `table`, `extra` "
        "(mapextra)",
    ] = None
    bucket: Annotated[Optional[int], "number of the main bucket (group)"] = None
    slot: Annotated[Optional[int], "0 to 7"] = None
    part: Annotated[Optional[Word], "`key`, `elem`, `tophash`, `ctrl` or `overflow-pointer`; null in padding"] = None
    overflow: Annotated[Optional[int], "how many buckets down the chain of `bucket`"] = None
    state: Annotated[Optional[Word], "of the slot: `live`, `empty`, `tombstone` or `evacuated`"] = None
    table: Annotated[Optional[int], "index of the table of a Swiss map"] = None
    old: Annotated[bool, "whether it is in the old array"] = False
    indirect: Annotated[bool, "whether it is in a key or elem that the slot points to"] = False


@dataclass(frozen=True)
class SpanFacts:
    """A span of the heap."""

    start: Annotated[Address, "where it starts"]
    bytes: Annotated[int, "bytes of its pages"]
    state: Annotated[Word, "`in-use`, `manual` (the runtime's own use) or `free`"]
    object_bytes: Annotated[Optional[int], "bytes of one of its objects"]
    object: Annotated[Optional[Address], "the object that has the address"]
    index: Annotated[Optional[int], "its number in the span"]
    allocated: Annotated[Optional[bool], "whether it is allocated"]
    noscan: Annotated[bool, "whether its objects have no pointers"]
    swept: Annotated[bool, "whether it was swept since the last collection"]


@dataclass(frozen=True)
class WhatisResult:
    """What lies at an address."""

    address: Annotated[Address, "the address that was asked for"]
    map: Annotated[Optional[WhatisMap], "the map that has it: the [place](#place) that the path starts from, and"]
    spot: Flat[SpotFacts]
    key: Annotated[Optional[GoScalar], "the key of the slot's entry"]
    span: Annotated[Optional[SpanFacts], "the span of the heap that the address is in"]
    where: Annotated[
        Optional[Word],
        "`map`, `heap`, `stack`, `data`, `code` or `read-only data`; null when it is not Go's memory",
    ]
    goroutine: Annotated[Optional[int], "the one whose stack it is on"]
    function: Annotated[Optional[str], "the function of the frame, or of the code"]
    variable: Annotated[Optional[str], "the package variable that has it"]
    frame_offset: Annotated[Optional[int], "on a stack: bytes from the stack pointer of the frame's function"]
