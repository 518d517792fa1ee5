"""hmap-sync."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import UNASKED, Address, Asked, GoScalar, Word


@dataclass(frozen=True)
class HalfFacts:
    """One of the two maps of a sync.Map up to Go 1.23."""

    address: Annotated[Optional[Address], "of the map's header"]
    keys: Annotated[int, "keys that were found in it"]
    live: Annotated[int, "those with a value"]
    deleted: Annotated[int, "those without one"]
    expunged: Annotated[int, "deleted, and not in dirty either"]
    only_here: Annotated[int, "live ones that the other map lacks"]


@dataclass(frozen=True)
class OwnBytes:
    """Memory."""

    allocated: Annotated[int, "bytes that it has taken from the heap beside itself, keys and values not counted"]


@dataclass(frozen=True)
class ReadDirtyFacts:
    """A sync.Map of two maps, up to Go 1.23."""

    amended: Annotated[bool, "whether dirty has keys that read lacks"]
    misses: Annotated[int, "misses since dirty was made: lookups that had to search dirty"]
    misses_left: Annotated[Optional[int], "misses until dirty becomes read; null when it is not amended"]
    locked: Annotated[bool, "whether the mutex is held"]
    read: Annotated[HalfFacts, "the map that is read without a lock"]
    dirty: Annotated[HalfFacts, "the map behind the mutex"]


@dataclass(frozen=True)
class HashTrieFacts:
    """A sync.Map that is a trie, from Go 1.24 on."""

    root: Annotated[Optional[Address], "of the root; null when it was never used"]
    depth: Annotated[int, "levels of nodes"]
    nodes: Annotated[int, "inner nodes"]
    entries: Annotated[int, "entries in the trie, those in overflow chains among them"]
    overflow_chains: Annotated[int, "chains of entries whose keys have equal hashes"]
    overflow_entries: Annotated[int, "entries in these chains, without the first of each"]
    longest_chain: Annotated[int, "entries of the longest chain, including its first; 1 without a chain"]
    seed: Annotated[int, "the hash's seed"]


@dataclass(frozen=True)
class SyncEntryRow:
    """An entry of a sync.Map."""

    key: Annotated[GoScalar, "the key, by its dynamic type"]
    value: Annotated[GoScalar, "the value, by its dynamic type"]
    where: Annotated[Word, "`read`, `dirty` (in dirty alone) or `trie`"]
    key_text: Annotated[
        Optional[str], "the key as people see it ([values.md](values.md)); null where its type has no text of its own"
    ]
    value_text: Annotated[Optional[str], "the value as people see it"]


@dataclass(frozen=True)
class SyncResult:
    """A sync.Map."""

    expr: Annotated[str, "the expression as it was given"]
    type: Annotated[str, "its type: `sync.Map`, or one made from it"]
    address: Annotated[Optional[Address], "of the sync.Map"]
    generation: Annotated[Word, "`read-dirty` (up to Go 1.23) or `hash-trie` (from Go 1.24 on)"]
    count: Annotated[int, "live entries"]
    bound: Annotated[
        Optional[int],
        "where the program went on: how many entries were there either before or afterwards, and not both times; null "
        "where it stood still",
    ]
    bytes: Annotated[OwnBytes, "memory"]
    read_dirty: Annotated[Optional[ReadDirtyFacts], "the older generation"]
    hash_trie: Annotated[Optional[HashTrieFacts], "the newer generation"]
    entries: Annotated[Asked[list[SyncEntryRow]], "`--entries`"] = UNASKED
