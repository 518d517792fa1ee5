"""One face over all layouts: which layout a map has, and a view of the map at an address."""

from __future__ import annotations

from functools import lru_cache

from gomap.errors import MemoryFault, NotAMap, UnsupportedLayout
from gomap.golang.layouts.classic.view import LAYOUT as CLASSIC
from gomap.golang.layouts.layout import MapView, Shape
from gomap.golang.layouts.swiss.view import LAYOUT as SWISS
from gomap.golang.runtime.heap import Room
from gomap.gotypes import GoType, Kind, Lazy
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
        return LAYOUTS[shape.layout].view(target, shape, address)
    except MemoryFault as fault:
        if fault.why:
            raise
        raise MemoryFault(fault.address, fault.size, "no valid map is there") from fault


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
            return f"no array of {size:,} bytes can lie at {address:#x}"
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
