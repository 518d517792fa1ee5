"""hmap-show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import UNASKED, Address, Asked, Flat, GoScalar, Histogram, Listing, Signed, Word
from gomap.results.shared import FoundEntry, GrowthFacts, SizeFacts


@dataclass(frozen=True)
class BucketFacts:
    """The buckets (groups) of a map."""

    count: Annotated[int, "main buckets, without overflow buckets"]
    address: Annotated[Optional[Address], "of the array; of a small Swiss map the group, of others the directory"]
    fill: Annotated[Histogram, "main buckets by their own live slots"]
    overflow: Annotated[int, "overflow buckets in chains of the current array"]
    old_overflow: Annotated[int, "those of the old array"]
    longest_chain: Annotated[int, "buckets of the longest chain, the main one included"]
    old_count: Annotated[int, "buckets of the old array, 0 when there is none"]
    old_address: Annotated[Optional[Address], "of the old array"]
    old_fill: Annotated[Optional[Histogram], "old buckets that are not evacuated, by their live slots"]


@dataclass(frozen=True)
class SlotFacts:
    """The slots of a map."""

    total: Annotated[int, "all"]
    live: Annotated[int, "with an entry"]
    empty: Annotated[int, "without one"]
    tombstones: Annotated[int, "deleted, and searches go on past them"]
    evacuated: Annotated[int, "evacuated to the new array"]


@dataclass(frozen=True)
class ShowBytes:
    """Bytes of a map, with those of its overflow buckets and old array."""

    sizes: Flat[SizeFacts]
    overflow: Annotated[int, "overflow buckets in use"]
    old: Annotated[int, "the old array with its overflow buckets"]


@dataclass(frozen=True)
class ClassicFacts:
    """The header of a classic map (runtime.hmap)."""

    B: Annotated[int, "the array has 2^B buckets"]
    noverflow: Annotated[int, "overflow buckets, by the header"]
    hash0: Annotated[int, "the hash's seed"]
    oldbuckets: Annotated[Optional[Address], "the old array"]
    nevacuate: Annotated[int, "see [growth](#growth)"]
    next_overflow: Annotated[Optional[Address], "the next overflow bucket of those that were allocated in advance"]


@dataclass(frozen=True)
class SwissFacts:
    """The header of a Swiss map (internal/runtime/maps.Map)."""

    used: Annotated[int, "entries, by the header"]
    seed: Annotated[int, "the hash's seed"]
    dir_len: Annotated[int, "entries of the directory; 0 for a small map"]
    global_depth: Annotated[int, "bits of the hash that choose the directory's entry"]
    tables: Annotated[int, "tables"]
    small: Annotated[bool, "whether it is one group, without a table"]
    writing: Annotated[bool, "whether the write flag (writing) is set"]
    tombstone_possible: Annotated[Optional[bool], "the header's field; null before Go 1.25"]
    clear_seq: Annotated[int, "how often it was cleared"]


@dataclass(frozen=True)
class LayoutFacts:
    """What belongs to one layout alone: by its name."""

    classic: Annotated[Optional[ClassicFacts], "the header of a classic map"]
    swiss: Annotated[Optional[SwissFacts], "the header of a Swiss map"]


@dataclass(frozen=True)
class EntryRow:
    """An entry of a map."""

    key: Annotated[GoScalar, "the key"]
    value: Annotated[GoScalar, "the elem"]
    found: Flat[FoundEntry]


@dataclass(frozen=True)
class IteratorRow:
    """An iteration that is under way."""

    goroutine: Annotated[int, "whose"]
    frame: Annotated[int, "number of the frame whose variable it is; of one on the heap the newest that points to it"]
    function: Annotated[str, "that frame's function"]
    file: Annotated[Optional[str], "where that stands"]
    line: Annotated[Optional[int], "the line there"]
    address: Annotated[Address, "of the runtime's iterator"]
    memory: Annotated[Word, "where it lies: `heap` or `stack`"]
    key: Annotated[Optional[GoScalar], "the key that it gave last"]
    key_address: Annotated[Address, "where that lies"]
    elem_address: Annotated[Optional[Address], "where its elem lies"]
    done: Annotated[int, "how many are behind it: buckets; entries of the directory; of a small Swiss map slots"]
    total: Annotated[int, "how many of these there are"]
    position: Annotated[
        dict[str, Signed],
        "the iterator's own integer fields by the runtime's names (`bucket`, `dirIdx`, ...), which differ with "
        "Go's version",
    ]


@dataclass(frozen=True)
class ShowResult:
    """One map."""

    expr: Annotated[str, "the expression as it was given"]
    type: Annotated[str, "the map's type"]
    address: Annotated[Optional[Address], "of its header; null for a nil map"]
    nil: Annotated[bool, "whether it is nil: all numbers are 0 then"]
    layout: Annotated[Word, "`classic` (runtime.hmap) or `swiss`"]
    group: Annotated[
        Optional[Word],
        "slots of a Swiss group: `interleaved` (key beside elem) or `split` (arrays of each)",
    ]
    count: Annotated[
        int,
        "entries that the header counts; where the program went on while it was read, as counted after the walk",
    ]
    bound: Annotated[
        Optional[int],
        "where the program went on: how far `count`, the header's count before the walk and `live` are apart; "
        "null where it stood still",
    ]
    live: Annotated[int, "entries that were found by walking"]
    load: Annotated[float, "live entries per slot of the main array; over 1 if overflow buckets hold many"]
    buckets: Annotated[BucketFacts, "the buckets (groups)"]
    slots: Annotated[SlotFacts, "the slots of all buckets: main, overflow and old ones"]
    bytes: Annotated[ShowBytes, "[sizes](#sizes), and"]
    flags: Annotated[list[Word], "`iterator`, `old-iterator`, `writing`, `same-size-grow`"]
    growth: Annotated[GrowthFacts, "how far a growth is"]
    layouts: Annotated[Flat[Mapping[str, object]], LayoutFacts]
    iterators: Annotated[Optional[list[IteratorRow]], "iterations that are under way; null without `--iterators`"]
    entries: Annotated[Asked[Listing[EntryRow]], "`--entries`: entries in the order of memory"] = UNASKED
