"""Parts that answers of several commands have."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple, Optional

from gomap.results.fields import UNASKED, Address, Asked, Flat, Fraction, Word


class PlaceFacts(NamedTuple):
    """Where a variable belongs: a frame of a goroutine, or nothing of it for a package variable."""

    goroutine: Annotated[Optional[int], "number of the goroutine; null for package variables"]
    frame: Annotated[Optional[int], "number of its frame, 0 is the newest"]
    function: Annotated[Optional[str], "the frame's function"]
    file: Annotated[Optional[str], "the source file of the frame's current line"]
    line: Annotated[Optional[int], "the line there"]


class WayFacts(NamedTuple):
    """A way to a map."""

    path: Annotated[str, 'as Go writes it: `cfg.Limits["eu"]`, `main.cache`']
    kind: Annotated[
        Word,
        "what holds the map: `local`, `argument`, `captured` (by a closure), `global` (a package variable), "
        "`field`, `element`, `interface` or `map-value`; `dead`: a variable that the function does not use any "
        "more; `slot`: a word of a goroutine's stack that belongs to no variable, in the frame of this function; "
        "`heap`, `stack`: where the header of a map is that no variable led to",
    ]
    place: Flat[PlaceFacts]


@dataclass(frozen=True)
class HolderRow:
    """A variable, or a part of one, whose value is a map."""

    way: Flat[WayFacts]
    address: Annotated[Optional[Address], "of the variable; null for one in registers"]
    also: Annotated[list[WayFacts], "other ways to this same variable"]


class SizeFacts(NamedTuple):
    """Bytes of a map, in the allocator's size classes where memory is allocated in them."""

    allocated: Annotated[
        int,
        "all that the map itself owns: header, buckets, overflow buckets, directory, tables, keys and elems "
        "behind pointers",
    ]
    live: Annotated[int, "what keys and elems of the live entries take of it"]
    waste: Annotated[int, "`allocated` less `live`"]
    rebuilt: Annotated[int, "what a new map with the same entries would own"]


@dataclass(frozen=True)
class FoundEntry:
    """Where an entry lies, and how people see it. gomap/listing.py writes these fields."""

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
class GrowthFacts:
    """How far a growth is."""

    state: Annotated[Word, "`none`, `doubling` or `same-size`; Swiss maps have no partial growth: `none`"]
    old_buckets: Annotated[int, "buckets of the old array"]
    evacuated: Annotated[int, "those of them that are evacuated"]
    fraction: Annotated[Fraction, "`evacuated` of `old_buckets`; 0 when no growth is under way"]
    nevacuate: Annotated[int, "the header's field: all lower old buckets are evacuated"]


@dataclass(frozen=True)
class HeapFacts:
    """Maps that no variable led to."""

    searched: Annotated[bool, "whether the heap was searched for headers"]
    complete: Annotated[bool, "whether all of it was"]
    why: Annotated[Optional[str], "why not"]
    maps: Annotated[int, "such maps"]
    entries: Annotated[int, "their entries"]
    bytes: Annotated[
        int,
        "what their headers, directories, tables and arrays take; overflow buckets, keys and elems behind "
        "pointers are not counted",
    ]
    empty: Annotated[
        int,
        "more headers, of maps that never had an entry: they have no array yet, and their seed alone shows that "
        "they are maps",
    ]
    on_stacks: Annotated[
        int,
        "how many of `maps` have their header on a stack, of the goroutines whose stacks were seen",
    ]


@dataclass(frozen=True)
class ScannedFacts:
    """What a search has looked at."""

    goroutines: Annotated[int, "goroutines"]
    frames: Annotated[int, "their frames"]
    globals: Annotated[int, "package variables"]
    maps: Annotated[int, "maps that were found"]
    dead: Annotated[
        int,
        "of these, maps that only dead variables lead to: closures, timers or the runtime may still use them",
    ]
    dead_variables: Annotated[
        Asked[int],
        "hmap-alias: dead variables among those searched; `--slices` does not follow them",
    ] = UNASKED


@dataclass(frozen=True)
class CallFacts:
    """A call on a stack."""

    function: Annotated[str, "the function's linker name"]
    file: Annotated[Optional[str], "the source file"]
    line: Annotated[Optional[int], "the line there"]


@dataclass(frozen=True)
class OriginStack:
    """What called the allocator there."""

    samples: Annotated[int, "how many of the samples have this stack and size"]
    bytes_each: Annotated[int, "bytes of each"]
    calls: Annotated[list[CallFacts], "the stack, innermost call first; up to Go 1.22 its first 32 calls, else 128"]


@dataclass(frozen=True)
class OriginRow:
    """A line that allocated something that a map consists of."""

    location: Annotated[
        Optional[CallFacts],
        "the innermost call that is not in the runtime, reflect, maps, iter, sync or unique; null where all of "
        "the stack is",
    ]
    caller: Annotated[Optional[CallFacts], "the innermost call of the program's own module, where that is another"]
    samples: Annotated[int, "objects that were sampled and are in use"]
    sampled_bytes: Annotated[int, "their bytes"]
    objects: Annotated[int, "objects that these stand for, as runtime/pprof counts them"]
    bytes: Annotated[int, "bytes that they stand for"]
    parts: Annotated[
        dict[str, int],
        "how many of the samples are which part: `header`, `directory`, `table`, `groups`, `buckets`, "
        "`oldbuckets`, `overflow`, `extra` (mapextra and its lists), `key`, `elem`; of a sync.Map `readOnly`, "
        "`entry`, `value`, `node` too",
    ]
    stacks: Annotated[Asked[list[OriginStack]], "hmap-origin `--full`: what called the allocator there"] = UNASKED
