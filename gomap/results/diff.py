"""hmap-diff."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, GoScalar, Signed, Word


@dataclass(frozen=True)
class MomentFacts:
    """One of the two that are compared."""

    name: Annotated[str, "the file's name, `now`, `the core file` or a map's expression"]
    kind: Annotated[Word, "`live`, `core` or `recorded`: what the snapshot was taken of"]
    go: Annotated[Optional[str], "the program's version of Go"]
    process: Annotated[Optional[str], "as in [hmap-snapshot](#hmap-snapshot)"]
    taken: Annotated[Optional[str], "when, in UTC, as 2026-11-29T19:40:02Z; null of core files and recorded maps"]
    running: Annotated[int, "threads that ran while it was taken: it may mix moments"]
    lacks: Annotated[Optional[str], "as in [hmap-snapshot](#hmap-snapshot)"]
    maps: Annotated[int, "all maps and sync.Maps"]
    count: Annotated[int, "their entries"]
    bytes: Annotated[int, "what they own"]
    tombstones: Annotated[int, "their deleted slots"]


@dataclass(frozen=True)
class NumberOfChanges:
    """How many maps have changed, and how."""

    appeared: Annotated[int, "maps"]
    vanished: Annotated[int, "maps"]
    grew: Annotated[int, "maps"]
    shrank: Annotated[int, "maps"]
    changed: Annotated[int, "maps"]
    unchanged: Annotated[int, "maps with the same figures in both"]


@dataclass(frozen=True)
class ChangesRow:
    """The maps that changed, of one type and one owner."""

    owner: Annotated[
        Optional[str], "the package variable or function that leads to the maps; null where no variable does"
    ]
    type: Annotated[Optional[str], "of the maps; null where it is not known"]
    appeared: Annotated[int, "maps"]
    vanished: Annotated[int, "maps"]
    grew: Annotated[int, "maps"]
    shrank: Annotated[int, "maps"]
    changed: Annotated[int, "maps"]
    count: Annotated[Signed, "by how much their entries changed"]
    bytes: Annotated[Signed, "by how much what they own changed"]
    tombstones: Annotated[
        Signed, "by how much their deleted slots changed; maps whose number is not known in A or B are left out"
    ]


@dataclass(frozen=True)
class FigureFacts:
    """A map at one moment."""

    count: Annotated[int, "entries"]
    bytes: Annotated[int, "what the map owns"]
    tombstones: Annotated[
        Optional[int],
        "deleted slots that are not free again, as in [hmap-show](#hmap-show); null of a sync.Map, or where they could "
        "not be read",
    ]
    load: Annotated[Optional[float], "as in [hmap-show](#hmap-show); null of a sync.Map"]


@dataclass(frozen=True)
class ChangeRow:
    """A map that changed."""

    change: Annotated[
        Word,
        "`appeared`, `vanished`, `grew` or `shrank` (by entries; where these are as many, by bytes), or `changed`: its "
        "tombstones or its load alone",
    ]
    path: Annotated[Optional[str], "the shortest way that leads to it in B, or else in A; null where no variable does"]
    owner: Annotated[Optional[str], "the package variable that the path begins with, or the function of a local one"]
    kind: Annotated[str, "as [way](#way) has it; `heap` or `stack` of a map that no variable leads to"]
    lost: Annotated[bool, "a variable led to it in A, and none does in B"]
    replaced: Annotated[
        bool,
        "of one that appeared or vanished: a map of its type lies at its address in both, with another seed. It is "
        "another map, or was emptied, filled again and grown",
    ]
    origin: Annotated[Optional[str], "the function whose allocation of the map's memory the heap profiler has sampled"]
    address: Annotated[Address, "of its header in B, or else in A; of a sync.Map, its own"]
    type: Annotated[Optional[str], "its type; null where it is not known"]
    before: Annotated[Optional[FigureFacts], "in A; null where it was not there"]
    after: Annotated[Optional[FigureFacts], "in B; null where it is not there"]


@dataclass(frozen=True)
class NumberOfKeys:
    """How many keys have changed, and how."""

    added: Annotated[int, "keys in B alone"]
    removed: Annotated[int, "keys in A alone"]
    changed: Annotated[int, "keys with another value in B"]
    unchanged: Annotated[int, "keys with the same value"]


@dataclass(frozen=True)
class OneEntry:
    """An entry that one of them has."""

    key: Annotated[GoScalar, "the key"]
    value: Annotated[GoScalar, "its value"]


@dataclass(frozen=True)
class ChangedEntry:
    """An entry that both have."""

    key: Annotated[GoScalar, "the key"]
    before: Annotated[GoScalar, "its value in A"]
    after: Annotated[GoScalar, "its value in B"]


@dataclass(frozen=True)
class EntriesRow:
    """One map, entry by entry."""

    expr: Annotated[str, "the expression"]
    type: Annotated[str, "the map's type"]
    before: Annotated[int, "entries in A"]
    after: Annotated[int, "entries in B"]
    number: Annotated[NumberOfKeys, "how many keys have changed, and how"]
    added: Annotated[list[OneEntry], "keys in B alone, as many as `-n` says, as are the two lists after it"]
    removed: Annotated[list[OneEntry], "keys in A alone"]
    changed: Annotated[list[ChangedEntry], "keys with another value in B"]
    cut: Annotated[bool, "some keys or values were compared only in part, because they are too long or too deep"]


@dataclass(frozen=True)
class DiffResult:
    """What changed."""

    by: Annotated[
        Word,
        "the order: `bytes`, `entries`, `tombstones` or `load`, the largest change in either direction first",
    ]
    before: Annotated[MomentFacts, "A"]
    after: Annotated[MomentFacts, "B"]
    same_process: Annotated[
        Optional[bool],
        "whether both are of the same process: maps are then matched by address and hash seed, otherwise by type and "
        "path. Null if the process of one of them is not known: by type and path too",
    ]
    number: Annotated[NumberOfChanges, "how many maps have changed, and how: see `maps[].change`"]
    grew_most: Annotated[Optional[ChangesRow], "the group that grew most; null where none did"]
    groups: Annotated[
        list[ChangesRow], "the maps that changed, added up by type and owner, as many groups as `-n` says"
    ]
    maps: Annotated[list[ChangeRow], "the maps that changed, as many as `-n` says"]
    entries: Annotated[
        list[EntriesRow], "the maps of `--entries`, or those whose entries A has; of a recorded map, that one"
    ]
