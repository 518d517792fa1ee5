"""One face over all layouts: which layout a map has, and a view of the map at an address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gomap.errors import MemoryFault, NotAMap, UnsupportedLayout
from gomap.golang.layouts.classic.view import LAYOUT as CLASSIC
from gomap.golang.layouts.layout import MapView, Shape
from gomap.golang.layouts.swiss.view import LAYOUT as SWISS
from gomap.golang.runtime.heap import Room
from gomap.gotypes import GoType, Kind, Lazy
from gomap.memory import noted
from gomap.target import Arch, Target

LAYOUTS = {layout.name: layout for layout in (CLASSIC, SWISS)}


@lru_cache(maxsize=1024)
def detect(header: GoType, arch: Arch) -> Shape:
    """The layout of maps whose header is of this type, told by its fields and by nothing else.

    Raises UnsupportedLayout with the fields that were seen.
    """
    for layout in LAYOUTS.values():
        shape: Shape | None = layout.detect(header, arch)
        if shape is not None:
            return shape
    seen = ", ".join(f.name for f in header.fields) or "no fields"
    raise UnsupportedLayout(
        f"the map header {header.name} has a layout gomap does not know ({seen}): please report it with the Go version"
    )


def shape_of(t: GoType, arch: Arch) -> Shape:
    """The layout of maps of type t. Raises NotAMap, UnsupportedLayout."""
    if t.kind is not Kind.MAP or t.lazy_header is None:
        raise NotAMap(f"{t.name} is not a map type")
    return detect(t.header, arch)


def view(target: Target, t: GoType, address: int) -> MapView:
    """The map of type t whose header lies at `address` (*runtime.hmap or *maps.Map), not nil.

    Raises MemoryFault, UnsupportedLayout.
    """
    shape = shape_of(t, target.arch)
    try:
        return _noted(LAYOUTS[shape.layout].view(target, shape, address))
    except MemoryFault as fault:
        if fault.why:
            raise
        raise MemoryFault(fault.address, fault.size, "no valid map is there") from fault


def again(found: MapView) -> MapView:
    """The same map, with its header read again. Raises MemoryFault, UnsupportedLayout."""
    return _noted(on(found, found.target))


def on(found: MapView, target: Target) -> MapView:
    """The same map through another target. Raises MemoryFault, UnsupportedLayout."""
    return LAYOUTS[found.shape.layout].view(target, found.shape, found.address)


@dataclass
class Seen:
    """A map of a program that goes on, as it was first looked at. low, high: the fewest and the most entries that it
    was seen with. written: whether its header, or the entries that were found, changed since. told: whether the
    answer has a bound of its own for it."""

    first: MapView
    low: int
    high: int
    written: bool = False
    told: bool = False

    def widen(self, count: int) -> None:
        """It was seen with so many entries."""
        self.low, self.high, self.written = min(self.low, count), max(self.high, count), True


def _noted(found: MapView) -> MapView:
    """The view, noted where the program goes on."""
    seen = noted(found.target.memory)
    if seen is not None:
        one = seen.get(found.address)
        if one is None:
            seen[found.address] = Seen(found, found.count, found.count)
        elif one.first.header.data != found.header.data:
            one.widen(found.count)
    return found


def nonsense(found: MapView, room: Room) -> str | None:
    """What in the header no map can have: it is memory that is something else, or corrupt. None for one that can be a
    map's. Raises MemoryFault."""
    wrong = found.nonsense
    if wrong is not None:
        return wrong
    if room.is_left(found.address):
        return "its header would be in freed memory"
    for address, size in found.extents:
        if not room.has(address, size):
            return f"no array of {size:,} bytes can be at {address:#x}"
    return None


def map_type(name: str, size: int, header: Lazy, arch: Arch) -> GoType:
    """A map type of which only its header is known: key and elem follow from the header's layout."""
    return GoType(
        Kind.MAP,
        name,
        size,
        lazy_header=header,
        lazy_key=Lazy(lambda: detect(header(), arch).key),
        lazy_elem=Lazy(lambda: detect(header(), arch).elem),
    )
