"""A pretty-printer for Go maps that is right where the one in Go's runtime-gdb.py is wrong.

`set hmap printer off` turns it off, and Go's own (if gdb loaded it) answers again.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import gdb

if TYPE_CHECKING:
    from gdbext.map_printer import MapPrinter, TextPrinter

NAME = "gomap"
_INTERFACES = ("runtime.eface", "runtime.iface")
_POINTEE = re.compile(r"(map|hash)<.*>\Z", re.S)


def _lookup(value: gdb.Value) -> MapPrinter | TextPrinter | None:
    if not gdb.parameter("hmap printer"):
        return None
    found = _map_printer(value)
    if found is None and "gdbext.map_printer" in sys.modules:
        from gdbext.map_printer import within_map

        return within_map(value)
    return found


def _map_printer(value: gdb.Value) -> MapPrinter | None:
    t = value.type
    if t.code not in (gdb.TYPE_CODE_TYPEDEF, gdb.TYPE_CODE_STRUCT):
        return None
    inner = t.strip_typedefs()
    if inner.name in _INTERFACES:
        from gdbext.map_printer import of_interface

        return of_interface(value)
    if t.code != gdb.TYPE_CODE_TYPEDEF or inner.code != gdb.TYPE_CODE_PTR:
        return None
    pointee = inner.target()
    if pointee.code != gdb.TYPE_CODE_STRUCT or not _POINTEE.match(pointee.name or ""):
        return None
    from gdbext.map_printer import of_map

    return of_map(value)


class _PrinterOf:
    """As gdb lists it under `info pretty-printer`."""

    name = NAME
    enabled = True
    subprinters = None

    def __call__(self, value: gdb.Value) -> MapPrinter | TextPrinter | None:
        return _lookup(value)


def _put_first(printers: list[Any]) -> None:
    """gdb asks an objfile's printers before all others, so ours has to stand in front of Go's there."""
    if not printers or getattr(printers[0], "name", None) != NAME:
        printers[:] = [_PrinterOf(), *(p for p in printers if getattr(p, "name", None) != NAME)]


def _refresh(*_event: Any) -> None:
    for objfile in gdb.objfiles():
        if objfile.pretty_printers:
            _put_first(objfile.pretty_printers)


def register() -> None:
    """Puts gomap's printers in front of others, and back there whenever gdb loads a file that has some."""
    _put_first(gdb.pretty_printers)
    _refresh()
    if not getattr(gdb, "_gomap_loaded", False):
        # Go's script replaces its objfile's list whenever it is loaded, which may be after us.
        gdb.events.new_objfile.connect(_refresh)
        gdb.events.stop.connect(_refresh)
        gdb.events.before_prompt.connect(_refresh)
