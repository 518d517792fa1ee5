"""A pretty-printer for Go maps that is right where the one in Go's runtime-gdb.py is wrong.

`set hmap printer off` turns it off, and Go's own (if gdb loaded it) answers again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import gdb

from gdbext.target import GdbTarget
from gdbext.types import member
from gomap.errors import GomapError
from gomap.expr import map_in
from gomap.maps import MapView, shape_of, view

NAME = "gomap"
_INTERFACES = ("runtime.eface", "runtime.iface")
_POINTEE = re.compile(r"(map|hash)<.*>\Z", re.S)


class MapPrinter:
    """Prints a map as gdb prints any map: its size, then keys and values up to `set print elements`."""

    def __init__(self, value: gdb.Value) -> None:
        self._value = value

    def display_hint(self) -> str:
        return "map"

    def to_string(self) -> str:
        name = str(self._value.type)
        try:
            found = self._open()
        except GomapError as error:
            return f"{name} <{error}>"
        if found is None:
            return f"{name}(nil)"
        count = found.count
        return f"{name} with {count} entr{'y' if count == 1 else 'ies'}"

    def children(self) -> Iterator[tuple[str, gdb.Value]]:
        try:
            found = self._open()
            if found is None:
                return
            key_type, elem_type = _types(self._value, found)
            for index, entry in enumerate(found.entries()):
                yield f"key{index}", gdb.Value(entry.key_address).cast(key_type.pointer()).dereference()
                yield f"value{index}", gdb.Value(entry.elem_address).cast(elem_type.pointer()).dereference()
        except GomapError:
            return

    def _open(self) -> MapView | None:
        target = GdbTarget()
        _, t, address = map_in(target, target.from_value(self._value))
        return view(target, t, address) if address else None


def _types(value: gdb.Value, found: MapView) -> tuple[gdb.Type, gdb.Type]:
    """gdb's types of key and elem, from the same fields that the layout was read from."""
    header = value.type.strip_typedefs().target()
    slots = found.shape.slots
    if found.shape.layout == "classic":
        bucket = member(header, "buckets").target()
        key, elem = member(bucket, "keys").target(), member(bucket, "values").target()
    else:
        table = member(header, "dirPtr").target().target()
        group = member(member(table, "groups"), "data").target().strip_typedefs()
        if found.shape.group == "interleaved":
            slot = member(group, "slots").strip_typedefs().target().strip_typedefs()
            key, elem = member(slot, "key"), member(slot, "elem")
        else:
            key = member(group, "keys").strip_typedefs().target()
            elem = member(group, "elems").strip_typedefs().target()
    key = key.strip_typedefs().target() if slots.indirect_key else key
    elem = elem.strip_typedefs().target() if slots.indirect_elem else elem
    return key, elem


def _held(value: gdb.Value) -> gdb.Value | None:
    """The map that an interface holds; None when it holds anything else."""
    try:
        target = GdbTarget()
        _, t, address = map_in(target, target.from_value(value))
        return gdb.Value(address).cast(gdb.lookup_type(t.name))
    except (GomapError, gdb.error):
        return None


def _lookup(value: gdb.Value) -> MapPrinter | None:
    t = value.type
    if t.code not in (gdb.TYPE_CODE_TYPEDEF, gdb.TYPE_CODE_STRUCT) or not gdb.parameter("hmap printer"):
        return None
    inner = t.strip_typedefs()
    if inner.name in _INTERFACES:
        held = _held(value)
        return MapPrinter(held) if held is not None else None
    if t.code != gdb.TYPE_CODE_TYPEDEF or inner.code != gdb.TYPE_CODE_PTR:
        return None
    pointee = inner.target()
    if pointee.code != gdb.TYPE_CODE_STRUCT or not _POINTEE.match(pointee.name or ""):
        return None
    try:
        target = GdbTarget()
        shape_of(target.from_value(value).type, target.arch)
    except GomapError:
        return None
    return MapPrinter(value)


class _Lookup:
    """As gdb lists it under `info pretty-printer`."""

    name = NAME
    enabled = True
    subprinters = None

    def __call__(self, value: gdb.Value) -> MapPrinter | None:
        return _lookup(value)


def _put_first(printers: list[Any]) -> None:
    """gdb asks an objfile's printers before all others, so ours has to stand in front of Go's there."""
    if not printers or getattr(printers[0], "name", None) != NAME:
        printers[:] = [_Lookup(), *(p for p in printers if getattr(p, "name", None) != NAME)]


def _refresh(*_event: Any) -> None:
    for objfile in gdb.objfiles():
        if objfile.pretty_printers:
            _put_first(objfile.pretty_printers)


def register() -> None:
    _put_first(gdb.pretty_printers)
    _refresh()
    if not getattr(gdb, "_gomap_loaded", False):
        # Go's script replaces its objfile's list whenever it is loaded, which may be after us.
        gdb.events.new_objfile.connect(_refresh)
        gdb.events.stop.connect(_refresh)
        gdb.events.before_prompt.connect(_refresh)
