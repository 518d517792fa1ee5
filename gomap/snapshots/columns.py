"""A snapshot: a row for each map, in columns; and the entries of chosen maps."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Union

from gomap.target import Arch

#: The columns and their codes in module array. A text is a number in Snapshot.texts.
COLUMNS = {
    "addresses": "Q",
    "seeds": "I",
    "clears": "Q",
    "arrays": "Q",
    "counts": "Q",
    "held": "Q",
    "tombstones": "q",
    "loads": "d",
    "types": "I",
    "paths": "I",
    "kinds": "I",
    "owners": "I",
    "origins": "I",
}
#: In the column of tombstones, and of loads: of a map that has no such number (a sync.Map), or whose is not known.
UNKNOWN_NUMBER = -1
#: No map has so many entries or bytes, or such a load.
MOST, MOST_LOAD = 1 << 48, 1 << 40
#: A key or a value as Values.json has it.
Scalar = Union[bool, int, float, str]


@dataclass(frozen=True)
class Source:
    """What a snapshot was taken of. backend, kind: of the target. process: says which process it is (identity_of of
    golang/hashing/process.py); empty where that is not known. taken: seconds since 1970. running: threads that ran
    while it was taken. lacks: what of the heap was not looked at; None where nothing is missing."""

    backend: str
    kind: str
    go: str | None
    arch: Arch
    process: str = ""
    taken: int = 0
    running: int = 0
    lacks: str | None = None

    @property
    def go_version(self) -> str | None:
        """The program's Go version; None where the binary says nothing."""
        return self.go


@dataclass
class SavedEntries:
    """The entries of one map. quoted: whether (keys, values) are strings, and their text is not Go syntax yet. cut:
    some are here only in part, or could not be read."""

    expr: str
    type: str
    address: int
    keys: list[Scalar] = field(default_factory=list)
    values: list[Scalar] = field(default_factory=list)
    quoted: tuple[bool, bool] = (False, False)
    cut: bool = False


@dataclass
class Snapshot:
    """Rows in the order of addresses. seeds: the lower half of the hash seed xor the upper one; 0 of a sync.Map.
    clears: Map.clearSeq, where headers have it. arrays: what the header names first. held: bytes of memory that the
    map owns. loads: 0..1. paths: the shortest way that leads to the map, empty where no variable does. kinds: of the
    holder. owners: the package variable, or the function, that the path begins with. origins: the function whose
    allocation of the map's memory the heap profiler has sampled, empty where there is none.
    """

    source: Source
    texts: list[str] = field(default_factory=list)
    addresses: array[int] = field(default_factory=lambda: array("Q"))
    seeds: array[int] = field(default_factory=lambda: array("I"))
    clears: array[int] = field(default_factory=lambda: array("Q"))
    arrays: array[int] = field(default_factory=lambda: array("Q"))
    counts: array[int] = field(default_factory=lambda: array("Q"))
    held: array[int] = field(default_factory=lambda: array("Q"))
    tombstones: array[int] = field(default_factory=lambda: array("q"))
    loads: array[float] = field(default_factory=lambda: array("d"))
    types: array[int] = field(default_factory=lambda: array("I"))
    paths: array[int] = field(default_factory=lambda: array("I"))
    kinds: array[int] = field(default_factory=lambda: array("I"))
    owners: array[int] = field(default_factory=lambda: array("I"))
    origins: array[int] = field(default_factory=lambda: array("I"))
    entries: list[SavedEntries] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.addresses)

    def column(self, name: str) -> array[int]:
        """The column of that name: a number for each map."""
        found: array[int] = getattr(self, name)
        return found

    def sort(self) -> None:
        """Puts the rows in the order of their addresses, each address once."""
        order = sorted(range(len(self)), key=self.addresses.__getitem__)
        if len(set(self.addresses)) < len(order):
            order = list({self.addresses[i]: i for i in reversed(order)}.values())[::-1]
        for name, code in COLUMNS.items():
            setattr(self, name, array(code, map(self.column(name).__getitem__, order)))

    def at(self, address: int) -> Snapshot:
        """The row of the map at the address alone; no row where there is none."""
        row = bisect_left(self.addresses, address)
        end = row + (row < len(self) and self.addresses[row] == address)
        columns = {name: array(code, self.column(name)[row:end]) for name, code in COLUMNS.items()}
        return Snapshot(self.source, self.texts, **columns, entries=self.entries)  # type: ignore[arg-type]


class Texts:
    """Numbers texts, each once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """The number of a text: the same for the same text."""
        return self.numbers.setdefault(text, len(self.numbers))

    @property
    def all(self) -> list[str]:
        """The texts in the order of their numbers."""
        return list(self.numbers)
