"""$hmap_get: a key given as a gdb value, and the value that the map has for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gdb

from gdbext.target import GdbTarget
from gomap.errors import GomapError
from gomap.expr import keys_of, map_in, resolve_map
from gomap.golang.layouts.lookup import candidates, lookup
from gomap.gotypes import GoType, Kind
from gomap.keys import Keys
from gomap.maps import view
from gomap.values import Values


def get(target: GdbTarget, m: gdb.Value, key: gdb.Value) -> Any:
    """m[key] as a gdb value: the zero value where the key is not there."""
    if _is_text(m):
        _, t, address = resolve_map(target, m.string())
    else:
        _, t, address = map_in(target, target.from_value(m))
    keys = keys_of(target)
    raw = _key(target, keys, t.key, key)
    elem = b"\0" * t.elem.size
    elem_address = None
    if address:
        found = view(keys.target, t, address)
        result = lookup(found, keys.hasher, candidates(found, keys.hasher), raw)
        if result.broken is not None:
            raise GomapError(result.broken.message)
        if result.elem is not None:
            elem, elem_address = result.elem, result.elem_address
    if t.elem.kind in (Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT):
        return Values(target).scalar(t.elem, elem)
    of_gdb = target.gdb_type(t.elem)
    if of_gdb is None:
        return Values(target).text(t.elem, elem)
    if elem_address and elem:
        return gdb.Value(elem_address).cast(of_gdb.pointer()).dereference()
    return gdb.Value(elem, of_gdb)


def _key(target: GdbTarget, keys: Keys, t: GoType, value: gdb.Value) -> bytes:
    """The bytes of a key given as a gdb value."""
    if _is_text(value):
        if t.kind is Kind.STRING:
            return keys.string(value.string(errors="surrogateescape").encode("utf-8", "surrogateescape"))
        return keys.parse(t, value.string())
    code = value.type.strip_typedefs().code
    if code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR) and t.kind in (Kind.INT, Kind.UINT, Kind.FLOAT):
        return keys.parse(t, str(int(value)))
    if code == gdb.TYPE_CODE_FLT and t.kind is Kind.FLOAT:
        return keys.parse(t, repr(float(value)))
    given = target.from_value(value)
    return keys.assigned(t, replace(given, name=f"a {given.type.name}" if given.name == "this" else given.name))


def _is_text(value: gdb.Value) -> bool:
    """A string literal in gdb, in whatever language it is set to."""
    return value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY and value.type.strip_typedefs().target().sizeof == 1
