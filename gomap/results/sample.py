"""gomap top."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Change, Word


@dataclass(frozen=True)
class SampleMap:
    """A map of a sample."""

    path: Annotated[Optional[str], "the shortest path to it, as in [way](#way); null where none is known"]
    kind: Annotated[
        Word,
        "what holds it, as in [way](#way): `global`, `field`, `element`, `interface`, `map-value`, `captured`, "
        "`local`, `argument`, `dead`, `slot` or `stack`; `heap` where no path is known",
    ]
    address: Annotated[Address, "of its header"]
    type: Annotated[Optional[str], "the map's type; null where it is not known, or not yet"]
    type_known_by: Annotated[
        Optional[Word],
        "of a map without a path, as in [hmap-top](#hmap-top): `allocator`, `hashes` or `size`",
    ]
    type_or: Annotated[list[str], "other types that fit such a map as well"]
    count: Annotated[int, "entries"]
    bytes: Annotated[
        int,
        "header, directory, tables, and array, in the allocator's size classes; overflow buckets of their own, "
        "keys and elems behind pointers are not counted",
    ]
    growth: Annotated[Change, "entries a second since the sample before it; of a new map, all that it has"]
    bytes_growth: Annotated[Change, "the same of its bytes"]
    new: Annotated[bool, "whether it was not there in the sample before"]


@dataclass(frozen=True)
class SampleTotal:
    """All maps of a sample."""

    maps: Annotated[int, "how many there are"]
    matching: Annotated[int, "how many the filter lets through"]
    entries: Annotated[int, "entries"]
    bytes: Annotated[int, "bytes"]
    growth: Annotated[Change, "entries a second, of maps that appeared or have gone too"]
    empty: Annotated[int, "more headers, of maps that never had an entry"]
    appeared: Annotated[int, "maps that are there for the first time"]
    gone: Annotated[int, "maps that were there in the sample before"]


@dataclass(frozen=True)
class SampleResult:
    """A sample of `gomap top`."""

    sample: Annotated[int, "its number; numbers may be left out, the search for names takes samples too"]
    time: Annotated[float, "when it was taken: seconds since 1970, UTC"]
    seconds: Annotated[float, "since the sample before it"]
    by: Annotated[Word, "the order: `bytes`, `entries` or `growth`"]
    filter: Annotated[Optional[str], "the text that paths or types must have"]
    maps: Annotated[list[SampleMap], "the first maps of that order, as many as `-n` says"]
    total: Annotated[SampleTotal, "of all maps of the heap that have an array, listed or not"]
    unmeasured: Annotated[
        int,
        "maps whose bytes may be others than these: they are measured in one of the next samples",
    ]
    untold: Annotated[int, "maps whose type is not known yet; a filter leaves them out"]
    unread: Annotated[int, "spans of the heap that could not be read or say what can't be"]
    cost: Annotated[float, "processor time that gomap took since the line before, as a share of one core"]
