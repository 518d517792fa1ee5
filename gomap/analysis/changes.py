"""What hmap-advise says: changes, the maps they are about, and what has to hold for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gomap import human
from gomap.analysis.strings import Repeated
from gomap.columns.choose import counting
from gomap.columns.marks import SLOTS
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.slots import Columns
from gomap.gotypes import GoType

#: Characters of a value that are shown.
MAX_SHOWN = 60


@dataclass(frozen=True)
class Subject:
    """A map that is looked at. named: says what leads to it. unnamed: no variable does."""

    view: MapView
    type: GoType
    named: Callable[[], str]
    unnamed: bool = False

    @property
    def path(self) -> str:
        """The map's path, made when it is asked for."""
        return self.named()

    @property
    def address(self) -> int:
        """The address of the map's header."""
        return self.view.address


@dataclass(frozen=True)
class Item:
    """One change. subject: the map it is about; None: `maps` of them. do: what to change. held: bytes of the heap that
    it frees; allocated: bytes that the program would not have allocated while the map grew; scanned: bytes that a
    collection would not scan. within: by how much chance may change `held` or `allocated`. how: how the figures were
    worked out. assumes: what they hold for."""

    kind: str
    subject: Subject | None
    type: str
    maps: int
    do: str
    how: str
    held: int = 0
    allocated: int = 0
    scanned: int = 0
    within: int = 0
    assumes: str | None = None
    capacity: int | None = None
    strings: Sequence[Repeated] = ()

    @property
    def rank(self) -> tuple[int, int, int]:
        """Orders changes: by the bytes that are freed, then those not allocated, then those not scanned."""
        return max(self.held, 0), self.allocated, self.scanned


@dataclass
class Advice:
    """items: those that save `least` bytes, most first. maps: that were looked at. unread: that could not be read.
    small: changes that would save fewer."""

    items: list[Item] = field(default_factory=list)
    maps: int = 0
    entries: int = 0
    unread: int = 0
    small: int = 0
    strings_left: int = 0
    indirect: int = 0
    interrupted: bool = False


#: Assumptions.
ALONE = "only these maps refer to the strings that would be freed"
BUFFERS = "only these slots refer to the larger objects"
POINTEES = "nothing else refers to the values, and the program does not change them through the pointers"
GARBAGE = "the {} that no variable leads to {} still in use"
KEYS = "nothing else refers to the keys' strings"
UNMADE = "make was not given a size"
HEADERS = "one field or element holds each map, and can become a slice"


def columns_of(found: MapView, data: bytes) -> Columns:
    """The live slots of whole buckets."""
    slots = found.shape.slots
    live = counting().marks_of(data, slots.size).translate(found.marks.live)
    if slots.reversed_marks:
        ordered = bytearray(len(live))
        for slot in range(SLOTS):
            ordered[slot::SLOTS] = live[slots.mark_offset(slot) :: SLOTS]
        live = bytes(ordered)
    return Columns(slots, found.target.arch, bytes(data), live)


def make(t: GoType, entries: int) -> str:
    """The call of make for a map of type t with room for this many entries."""
    return f"make({human.short(t.name)}, {entries})"


def cut(text: str) -> str:
    """Text of at most MAX_SHOWN characters, with "..." where something is missing."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def if_used(unnamed: int, assumed: str) -> str | None:
    """assumed, and that so many maps without a variable are not garbage."""
    maps, are = ("map", "is") if unnamed == 1 else (f"{unnamed:,} maps", "are")
    used = GARBAGE.format(maps, are) if unnamed else ""
    return "; ".join(filter(None, [assumed, used])) or None
