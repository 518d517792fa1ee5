"""$hmap_len, $hmap_load and $hmap_get, for breakpoint conditions and expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Union

import gdb

if TYPE_CHECKING:
    from gomap.golang.layouts.layout import MapView
    from gomap.target import Target

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
        from gomap.errors import GomapError
        from gomap.human import one_line

        try:
            return self._answer(_map_of(args[0]))
        except GomapError as error:
            raise gdb.GdbError(one_line(f"${self._name}: {error}")) from None


def _map_of(value: gdb.Value) -> MapView | None:
    """The map that a value is or leads to, or that the expression in a string names; None when nil."""
    from gdbext.stripped import open_target
    from gdbext.target import GdbTarget
    from gomap.errors import NotAMap
    from gomap.expr import map_in, resolve_map
    from gomap.maps import view

    target: Target
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
        target = open_target()
        _, t, address = resolve_map(target, value.string())
    else:
        target = own = GdbTarget()
        _, t, address = map_in(target, own.from_value(value))
    found = view(target, t, address) if address else None
    if found is not None and found.nonsense:
        raise NotAMap(f"no valid map is at {address:#x}: its header has {found.nonsense}")
    return found


def _len(found: MapView | None) -> int:
    return found.count if found else 0


def _load(found: MapView | None) -> float:
    from gomap.golang.runtime.malloc import Allocator

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
        from gdbext.lookup import get
        from gdbext.target import GdbTarget
        from gomap.errors import GomapError
        from gomap.human import one_line

        try:
            return get(GdbTarget(), *args)
        except GomapError as error:
            raise gdb.GdbError(one_line(f"$hmap_get: {error}")) from None


def register() -> None:
    """Adds $hmap_get, $hmap_len and $hmap_load to gdb's expressions."""
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
