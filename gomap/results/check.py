"""hmap-check."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Flat, Fraction, Word
from gomap.results.shared import HeapFacts, PlaceFacts


@dataclass(frozen=True)
class FindingKind:
    """Faults of one kind."""

    code: Annotated[str, "the kind: a code of `anomalies`"]
    number: Annotated[int, "how many"]


@dataclass(frozen=True)
class UncheckedRow:
    """Something that was not checked."""

    what: Annotated[
        str,
        "what is counted: `keys`, `nan-keys`, `long-keys`, `equal-hashes` (keys), `entries`, `buckets`, "
        "`overflow-buckets`, `parts` (tables and groups), `directory-entries`, `maps` (one that was written to while "
        "it was read)",
    ]
    number: Annotated[int, "how many were not checked"]
    of: Annotated[Optional[int], "of how many; null where that is not known"]
    why: Annotated[str, "what was not done, and why"]


@dataclass(frozen=True)
class CheckedRow:
    """A map that was checked."""

    path: Annotated[str, "the expression as it was given (its place is null), or the way that it was found by"]
    kind: Annotated[
        Word,
        "what the path starts from: `local`, `argument`, `captured`, `global`, or `heap` and `stack` where no "
        "variable led to the map",
    ]
    place: Flat[PlaceFacts]
    address: Annotated[Optional[Address], "of its header; null for a nil map"]
    type: Annotated[str, "the map's type"]
    entries: Annotated[int, "live entries that were found"]
    bound: Annotated[
        Optional[int],
        "where the program went on: the most that `entries` may be off; null where it stood still",
    ]
    hashes_checked: Annotated[
        int,
        "keys whose hash was compared with their place; of a sync.Map up to Go 1.23 those of its read and its "
        "dirty map",
    ]
    share: Annotated[Fraction, "how much of the map was looked at: 1 for all of it"]
    ok: Annotated[
        Optional[bool],
        "`true`: everything was checked and nothing is wrong; `false`: the map is corrupt; null: no fault was "
        "found in what was checked, and not everything was",
    ]
    verdict: Annotated[Word, "the same in words: `intact`, `corrupt` or `no-fault-found`"]
    findings: Annotated[int, "faults that were found, also those that `anomalies` does not list one by one"]
    kinds: Annotated[list[FindingKind], "how many there are of each kind"]
    unchecked: Annotated[list[UncheckedRow], "what was not checked; empty where everything was"]


@dataclass(frozen=True)
class CheckResult:
    """Which maps were checked, and what was not."""

    maps: Annotated[
        list[CheckedRow],
        "the map, or with `--all` every map of the process: the [place](#place) that the path starts from, and",
    ]
    complete: Annotated[
        bool,
        "whether everything was checked: of each map, and with `--all` every map of the process, with `not_checked` 0",
    ]
    not_checked: Annotated[
        int,
        "maps and variables that the search found and that were not checked; maps of the heap whose types are "
        "not known among them",
    ]
    heap: Annotated[
        Optional[HeapFacts],
        "with `--all`: the maps that no variable led to. They are among `maps` where their types are known",
    ]
