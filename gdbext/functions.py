"""$hmap_len, $hmap_load and $hmap_get, for breakpoint conditions and expressions."""

from __future__ import annotations

from typing import Any, Callable, Union

import gdb

from gdbext.target import GdbTarget
from gomap.errors import BadExpression, GomapError
from gomap.expr import map_in, resolve_map
from gomap.golang.hashing import hasher_of
from gomap.golang.lookup import choose, lookup
from gomap.golang.malloc import Allocator
from gomap.gotypes import GoType, Kind
from gomap.keys import Keys
from gomap.maps import MapView, view
from gomap.values import Values

Number = Union[int, float]


class _Function(gdb.Function):
    def __init__(self, name: str, doc: str, answer: Callable[[MapView | None], Number]) -> None:
        self.__doc__ = doc
        self._name = name
        self._answer = answer
        super().__init__(name)

    def invoke(self, *args: gdb.Value) -> Number:
        if len(args) != 1:
            raise gdb.GdbError(f"${self._name} takes one map, as in ${self._name}(m)")
        try:
            return self._answer(_map_of(GdbTarget(), args[0]))
        except GomapError as error:
            raise gdb.GdbError(f"${self._name}: {error}") from None


def _map_of(target: GdbTarget, value: gdb.Value) -> MapView | None:
    """The map that a value is or leads to, or that the expression in a string names; None when nil."""
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
        _, t, address = resolve_map(target, value.string())
    else:
        _, t, address = map_in(target, target.from_value(value))
    return view(target, t, address) if address else None


def _len(found: MapView | None) -> int:
    return found.count if found else 0


def _load(found: MapView | None) -> float:
    # The allocator only matters for byte counts, which are not asked for here.
    return found.structure(Allocator()).load if found else 0.0


class _Get(gdb.Function):
    """The value that a Go map has for a key, as m[key] gives it: the zero value where the key is not there.
    Usage: $hmap_get(m, 42), $hmap_get("main.cache.m", "a key"), $hmap_get(m, "main.Point{X:1}").
    The key is a value, or a Go literal in a string; for maps with string keys a string is the key itself."""

    def __init__(self) -> None:
        super().__init__("hmap_get")

    def invoke(self, *args: gdb.Value) -> Any:
        if len(args) != 2:
            raise gdb.GdbError("$hmap_get takes a map and a key, as in $hmap_get(m, 42)")
        try:
            return _get(GdbTarget(), *args)
        except GomapError as error:
            raise gdb.GdbError(f"$hmap_get: {error}") from None


def _get(target: GdbTarget, m: gdb.Value, key: gdb.Value) -> Any:
    if _is_text(m):
        _, t, address = resolve_map(target, m.string())
    else:
        _, t, address = map_in(target, target.from_value(m))
    keys = Keys(target, hasher_of(target))
    raw = _key(target, keys, t.key, key)
    elem = b"\0" * t.elem.size
    elem_address = None
    if address:
        found = view(keys.target, t, address)
        result = lookup(found, keys.hasher, choose(found, keys.hasher), raw)
        if result.elem is not None:
            elem, elem_address = result.elem, result.elem_address
    if t.elem.kind in (Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT):
        return Values(target).scalar(t.elem, elem)
    try:
        of_gdb = gdb.lookup_type(t.elem.name)
    except gdb.error:
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
    if given.type.kind is t.kind and given.type.size == t.size:
        return given.read(target.memory, 0, t.size)
    if t.kind is Kind.INTERFACE and given.type.kind is not Kind.INTERFACE:
        return keys.interface(t, given.type, given.read(target.memory, 0, given.type.size))
    raise BadExpression(f"a {given.type.name} is no key of type {t.name}: write the key as a string")


def _is_text(value: gdb.Value) -> bool:
    """A string literal in gdb, in whatever language it is set to."""
    return (
        value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY
        and value.type.strip_typedefs().target().sizeof == 1
    )


def register() -> None:
    _Get()
    _Function(
        "hmap_len",
        "Number of entries of a Go map, from its header, as len(m) gives it. 0 for a nil map.\n"
        'Usage: $hmap_len(m), or $hmap_len("main.cache.m") where gdb itself can\'t follow the name.',
        _len,
    )
    _Function(
        "hmap_load",
        "Live entries of a Go map per slot of its buckets, 0 to 1, counted by walking it.\n"
        'Usage: $hmap_load(m), or $hmap_load("main.cache.m").',
        _load,
    )
