"""A reference that a walk comes to, and what its visitor is asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gomap.errors import GomapError
from gomap.golang.layouts.layout import MapView
from gomap.gotypes import GoType, Kind
from gomap.graph.path import Path

#: Of a map with more entries only keys that are numbers or strings are spelt out in paths.
MAX_SPELT = 4096


class Reference:
    """A reference that the walk has come to.

    kind: POINTER: a value of the type lies at `address`; MAP: the header of such a map; SLICE: as many elements as the
    second word says, with room for the third; CHAN: *runtime.hchan; FUNC: *runtime.funcval; STRUCT: the sync.Map.
    words: of it, the first of which is the address. slot: where they lie, None in a register. number: the visitor's.
    depth: of how many references and elements it lies behind.
    """

    __slots__ = ("address", "depth", "kind", "level", "number", "path", "slot", "type", "words")

    def __init__(
        self, kind: Kind, t: GoType, words: Sequence[int], slot: int | None, path: Path, depth: int, level: int
    ) -> None:
        self.kind, self.type, self.words, self.slot = kind, t, words, slot
        self.path, self.depth, self.level = path, depth, level
        self.address, self.number = words[0], 0


class Visitor(Protocol):
    """What a search does with the references that a walk reaches."""

    def meets(self, reference: Reference) -> bool:
        """Whether the walk should follow it when its turn comes. Only called if the walk is inline."""

    def enters(self, reference: Reference) -> bool:
        """Whether to follow it, now that it is its turn. It has to be checked (GraphWalk.check). Raises GomapError."""

    def knows(self, reference: Reference) -> bool:
        """Whether the value that it leads to was visited."""

    def view(self, reference: Reference) -> MapView:
        """The map whose turn it is. Raises GomapError."""

    def fails(self, path: Path, error: GomapError) -> None:
        """Called for a value that can't be followed."""

    def cuts(self, reference: Reference, shown: int, of: int | None) -> None:
        """Called if only some of the elements or entries that it leads to are looked at."""

    def is_full(self) -> bool:
        """Whether the search ends here."""
