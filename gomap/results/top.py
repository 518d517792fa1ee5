"""hmap-top."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple, Optional

from gomap.results.fields import UNASKED, Address, Asked, Flat, Listing, Word
from gomap.results.shared import HeapFacts, OriginRow, ScannedFacts, SizeFacts, WayFacts


@dataclass(frozen=True)
class TopExample:
    """The first map of a group."""

    path: Annotated[str, "a way to it"]
    address: Annotated[Address, "of its header"]


@dataclass(frozen=True)
class TopGroup:
    """Maps that are added up."""

    key: Annotated[
        Optional[str],
        "the type; the package; the package variable or function; or the range of the numbers of entries. Null if the"
        " type is not known, or if no variable gives package and owner",
    ]
    maps: Annotated[int, "maps of the group"]
    unnamed: Annotated[int, "those of them that no variable led to"]
    unsure: Annotated[int, "those of them that other types fit as well (without `--group`, `type_or` names these)"]
    count: Annotated[int, "their entries"]
    load: Annotated[Optional[float], "the mean of their loads; null of sync.Maps alone"]
    bytes: Annotated[SizeFacts, "what they own"]
    values: Annotated[Optional[int], "what keys and values keep alive; null without `--values`"]
    fill: Annotated[
        list[int],
        "five numbers of maps: empty, at most 25%, 50% and 75% full, and fuller. sync.Maps are not among them",
    ]
    example: Annotated[TopExample, "the first map of the group in the order of `by`"]


class TopMap(NamedTuple):
    """A map, and what it takes."""

    way: Flat[WayFacts]
    address: Annotated[Address, "of its header; of a sync.Map, its own"]
    type: Annotated[
        Optional[str],
        "the map's type: `sync.Map`, one made from it, a HashTrieMap, or a canonMap of package unique too; null "
        "where it is not known, of a map that no variable led to",
    ]
    type_known_by: Annotated[
        Optional[Word],
        "of a map that no variable led to: `reference` (an object or map of known type points to it), `allocator` (it "
        "noted the type, or where it has pointers), `hashes` (of some keys) or `size`; null of others",
    ]
    type_or: Annotated[list[str], "other types that fit such a map as well"]
    alive: Annotated[
        Optional[bool],
        "whether a root leads to such a map: else it is garbage. Null where the heap's graph was not worked out (it is "
        "for small heaps, and where hmap-why or `--by retained` was asked before), and of other maps",
    ]
    trail: Annotated[Optional[str], "the shortest way from a root to such a map, for people; null where none is known"]
    count: Annotated[int, "entries"]  # type: ignore[assignment]
    bound: Annotated[
        Optional[int], "where the program went on: the most that `count` may be off; null where it stood still"
    ]
    load: Annotated[Optional[float], "as in [hmap-show](#hmap-show); null of a sync.Map"]
    layout: Annotated[Word, "`classic` or `swiss`; of a sync.Map `read-dirty` or `hash-trie`"]
    bytes: Annotated[SizeFacts, "what the map itself owns; a sync.Map owns its read and dirty maps, entries and nodes"]
    values: Annotated[
        Optional[int],
        "bytes of heap that its keys and values keep alive and that no map before it does; null without `--values`",
    ]
    retained: Annotated[
        Optional[int],
        "bytes that a collection would free if the map were gone, its own included; null without `--by retained`",
    ]
    shares: Annotated[Optional[Address], "header of a map that has the same buckets: they are counted there"]
    std: Annotated[
        bool,
        "whether it is the standard library's own: one of its package variables leads to it, and no other package's "
        "type is on the way. Text leaves such maps out unless `--std` is given",
    ]
    origin: Annotated[
        Asked[Optional[OriginRow]],
        "`--origin`: the line that allocated most of it; null where nothing of it was sampled, or the program "
        "does not sample",
    ] = UNASKED
    samples: Annotated[
        Asked[Optional[int]],
        "`--origin`: samples that there are of it; null of a map whose type is not known, or that can't be read",
    ] = UNASKED


@dataclass(frozen=True)
class TopTotal:
    """All maps that variables lead to."""

    maps: Annotated[int, "how many there are"]
    entries: Annotated[int, "their entries"]
    bytes: Annotated[SizeFacts, "what they own"]
    gives_back: Annotated[int, "bytes that copying the entries of each into a new map would free"]
    values: Annotated[Optional[int], "what keys and values keep alive; null without `--values`"]


@dataclass(frozen=True)
class TopUnreachable:
    """Maps that nothing leads to any more."""

    maps: Annotated[int, "how many of them have memory for entries"]
    entries: Annotated[int, "their entries"]
    bytes: Annotated[
        int,
        "their headers and arrays, without overflow buckets, and without keys and elems that lie behind pointers",
    ]
    empty: Annotated[int, "how many more never had an entry"]
    reachable: Annotated[int, "maps of the heap that are not garbage, empty ones too"]
    complete: Annotated[bool, "whether all of the heap and of its roots was looked at"]


@dataclass(frozen=True)
class ProfileFacts:
    """A profile for `go tool pprof`."""

    file: Annotated[str, "its name"]
    size: Annotated[int, "its bytes"]
    maps: Annotated[int, "maps in it"]
    stacks: Annotated[int, "ways to them; indexes and keys are left out, so that maps of one shape have one"]
    values: Annotated[list[str], "what each stack has values of: `maps`, `entries`, `bytes`, `waste`, `retained`"]


@dataclass(frozen=True)
class TopResult:
    """Which maps take the memory."""

    by: Annotated[Word, "the order: `bytes`, `waste`, `entries`, `load`, `values` or `retained`"]
    group: Annotated[Optional[Word], "what maps are added up by, with --group: `type`, `package`, `owner` or `size`"]
    groups: Annotated[list[TopGroup], "the first groups of that order, as many as `-n` says; none without `--group`"]
    maps: Annotated[
        Listing[TopMap],
        "the first maps and sync.Maps of that order, as many as `-n` says; none with `--group`: the shortest "
        "[way](#way) to each, a package variable's where one leads there, and",
    ]
    total: Annotated[TopTotal, "of all the maps that variables lead to, listed or not"]
    heap: Annotated[HeapFacts, "the maps that no variable led to; with `--unreachable` those that are garbage"]
    unreachable: Annotated[
        Optional[TopUnreachable], "with `--unreachable`, the maps that nothing leads to any more: `maps` lists them"
    ]
    bytes_from: Annotated[Word, "`size-classes`: bytes are those of the allocator's size classes"]
    scanned: Annotated[ScannedFacts, "what was searched"]
    lines: Annotated[
        Asked[list[OriginRow]],
        "`--origin`: the lines that allocated maps, whatever leads to these, as many as `-n` says; their `parts` "
        "are empty. A stack says that it is of a map: headers that a function allocates without a call of the "
        "runtime's are not among them",
    ] = UNASKED
    profile: Annotated[Asked[ProfileFacts], "`--pprof`: what was written"] = UNASKED
