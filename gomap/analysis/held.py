"""What a search for variables that hold maps has found."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from gomap.anomaly import Anomaly
from gomap.golang.layouts.layout import MapView
from gomap.gotypes import GoType
from gomap.graph.many import Behind
from gomap.graph.path import Names, Path, plain
from gomap.heap.census import Census
from gomap.target import Place


@dataclass
class Holder:
    """A variable, or part of one, whose value is a map. address: where it lies, None in a register. dead: dead
    variables alone lead there.

    also: other ways that lead to this same variable, from package variables and from frames.
    """

    way: Path = field(repr=False)
    names: Names = field(repr=False)
    place: Place
    type: GoType
    address: int | None
    dead: bool
    also: list[Holder] = field(default_factory=lambda: NONE)
    _path: str | None = None

    @property
    def path(self) -> str:  # few of the holders found are shown
        """How the variable leads to the map, as a person types it."""
        if self._path is None:
            self._path = plain(self.names.text(self.way))
        return self._path

    @property
    def kind(self) -> str:
        """local, argument, captured or global; dead for a variable that is dead."""
        return "dead" if self.dead else self.way.kind


#: What most holders have besides: one list, which stays empty.
NONE: list[Holder] = []


@dataclass
class AliasSearch:
    """maps: header address -> holders. views: of those of them that are not in the census. doubtful: the same of what
    can't be a map, with the reason: a variable that has not been set yet, debug information that is wrong, or a corrupt
    header. type_or: of maps that no variable leads to, names of other types that fit as well. nil: holders of nil maps.
    syncs: address of a sync.Map -> its holders, each with its type; the maps inside of one are not in `maps`.
    shortened: containers seen in part only. not_followed: values that led nowhere; anomalies tell of the first few.
    dead: maps that dead variables alone lead to.

    many: maps that were found by the thousand, and are not in the others. taken: a byte for each row of the census,
    1 of those in `many`.

    interrupted: the user stopped the search, and this is what it had come to.
    """

    maps: dict[int, list[Holder]] = field(default_factory=dict)
    views: dict[int, MapView] = field(default_factory=dict)
    doubtful: dict[int, tuple[Holder, str]] = field(default_factory=dict)
    types: dict[int, GoType] = field(default_factory=dict)
    type_or: dict[int, tuple[str, ...]] = field(default_factory=dict)
    nil: list[Holder] = field(default_factory=list)
    syncs: dict[int, list[Holder]] = field(default_factory=dict)
    shortened: list[str] = field(default_factory=list)
    too_deep: int = 0
    not_followed: int = 0
    dead: int = 0
    many: list[Many] = field(default_factory=list)
    taken: bytearray = field(default_factory=bytearray)
    interrupted: bool = False
    anomalies: list[Anomaly] = field(default_factory=list)


@dataclass
class Many:
    """Maps of one type. rows: of the census. numbers: of each among `ways`."""

    census: Census = field(repr=False)
    type: GoType
    rows: array[int]
    numbers: array[int]
    ways: Behind
    names: Names = field(repr=False)
    place: Place

    def address(self, i: int) -> int:
        """The address of map i."""
        return self.census.addresses[self.rows[i]]

    def holder(self, i: int) -> Holder:
        """What holds one of them."""
        return Holder(self.ways(self.numbers[i]), self.names, self.place, self.type, None, dead=False)
