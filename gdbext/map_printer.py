"""The children of a Go map, as gdb's pretty-printing wants them. Imported when the first map is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import gdb

from gdbext.target import GdbTarget
from gdbext.types import member
from gomap.errors import GomapError
from gomap.expr import map_in
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime import dictionaries
from gomap.gotypes import GoType, Kind
from gomap.human import one_line, visible
from gomap.maps import shape_of, view
from gomap.values import Limits, Values

#: Of the map whose entries gdb prints now, which its settings limit as they limit gdb's own values.
_printing: list[Values] = []


class TextPrinter:
    """Prints a value within a map as hmap-show does: gdb's own way shows the fields of strings, slices, interfaces and
    times, where Go's script is not loaded."""

    def __init__(self, text: str) -> None:
        self._text = text

    def to_string(self) -> str:
        """The text, as gdb prints it."""
        return visible(self._text)


def within_map(value: gdb.Value) -> TextPrinter | None:
    """The printer of a key or elem of the map that is being printed; None for numbers, which gdb prints in the
    requested format, and for values without an address."""
    if not _printing or value.address is None:
        return None
    values = _printing[-1]
    target = values.target
    assert isinstance(target, GdbTarget)
    try:
        t = target.from_value(value).type
        if t.kind in (Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT) and not values.has_text(t):
            return None
        return TextPrinter(values.shown(t, target.memory.read(int(value.address), t.size) if t.size else b""))
    except GomapError:
        return None


def _values(target: GdbTarget) -> Values:
    shown = gdb.parameter("print elements")
    most = shown if isinstance(shown, int) and shown > 0 else 1 << 10
    return Values(target, Limits(items=most, text=most))


class MapPrinter:
    """Prints a map as gdb prints any map: its size, then keys and values up to `set print elements`."""

    def __init__(self, value: gdb.Value) -> None:
        self._value = value

    def display_hint(self) -> str:
        """ "map": gdb prints the children in pairs of key and value."""
        return "map"

    def to_string(self) -> str:
        """The type, and why there are no entries: a nil map, or one that is not valid."""
        name = str(self._value.type)
        try:
            t, found = self._open()
        except GomapError as error:
            return f"{name} <{one_line(str(error))}>"
        if _is_of_generic(self._value.type):
            name = t.name
        if found is None:
            return f"{name}(nil)"
        if found.nonsense:
            return f"{name} <not a valid map: its header has {found.nonsense}>"
        count = found.count
        return f"{name} with {count} entr{'y' if count == 1 else 'ies'}"

    def children(self) -> Iterator[tuple[str, gdb.Value]]:
        """Keys and values of the live entries, in turn. gdb asks for no more than `set print elements` says."""
        try:
            t, found = self._open()
            if found is None or found.nonsense:
                return
            key_type, elem_type = _types(self._value, found)
            if _is_of_generic(self._value.type):
                key_type, elem_type = _actual(t.key, key_type), _actual(t.elem, elem_type)
            _printing.append(_values(GdbTarget()))
            try:
                for index, entry in enumerate(found.entries()):
                    yield f"key{index}", gdb.Value(entry.key_address).cast(key_type.pointer()).dereference()
                    yield f"value{index}", gdb.Value(entry.elem_address).cast(elem_type.pointer()).dereference()
            finally:
                _printing.pop()
        except GomapError:
            return

    def _open(self) -> tuple[GoType, MapView | None]:
        target = GdbTarget()
        _, t, address = map_in(target, target.from_value(self._value))
        return t, view(target, t, address) if address else None


def _is_of_generic(t: gdb.Type) -> bool:
    """Whether the type is that of a generic function's variable."""
    name = str(t)
    return dictionaries.index_of(name) is not None or dictionaries.SHAPE in name


def _actual(t: GoType, of_shape: gdb.Type) -> gdb.Type:
    """gdb's type of the keys or elems, which have type t: where it is not known, that of their shape."""
    known = GdbTarget().gdb_type(t)
    if known is None and t.kind in (Kind.POINTER, Kind.UNSAFE_POINTER):
        return gdb.lookup_type("void").pointer()
    return known or of_shape


def _types(value: gdb.Value, found: MapView) -> tuple[gdb.Type, gdb.Type]:
    """gdb's types of key and elem, from the same fields that the layout was read from."""
    shape, header = found.shape, value.type.strip_typedefs().target()
    key = _at(header, (*shape.key_path, *["*"] * shape.slots.indirect_key))
    return key, _at(header, (*shape.elem_path, *["*"] * shape.slots.indirect_elem))


def _at(t: gdb.Type, path: Sequence[str]) -> gdb.Type:
    """The type that lies there in t, as layout.Shape writes paths."""
    for step in path:
        t = t.strip_typedefs().target() if step == "*" else member(t.strip_typedefs(), step)
    return t


def _held(value: gdb.Value) -> gdb.Value | None:
    """The map that an interface holds; None when it holds anything else."""
    try:
        target = GdbTarget()
        _, t, address = map_in(target, target.from_value(value))
        of_gdb = target.gdb_type(t)
        return None if of_gdb is None else gdb.Value(address).cast(of_gdb)
    except (GomapError, gdb.error):
        return None


def of_map(value: gdb.Value) -> MapPrinter | None:
    """The printer of a map value; None for an unknown layout, so that other printers may try."""
    try:
        target = GdbTarget()
        shape_of(target.from_value(value).type, target.arch)
    except GomapError:
        return None
    return MapPrinter(value)


def of_interface(value: gdb.Value) -> MapPrinter | None:
    """The printer of the map that an interface holds; None when it holds anything else."""
    held = _held(value)
    return None if held is None else MapPrinter(held)
