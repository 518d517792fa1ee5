"""Go expressions that name a value: `m`, `main.W.Ints`, `p.cfg.M`, `arr[i]`, `x.(T)`, `*p`, `0xc000012345:map[K]V`.

Parsed (gomap/syntax.py) and followed here, so that they mean the same in every debugger, in every frame and
language setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Callable

from gomap import captures, syncmap
from gomap.errors import GomapError, NotAMap
from gomap.fields import MAX_EMBEDDED
from gomap.follow import Follow, Seek, check_sound, unless_unset
from gomap.golang.hashing.hasher import hasher_of
from gomap.gotypes import GoType, Kind
from gomap.human import an
from gomap.keys import Keys
from gomap.target import Target, Variable

#: Fields that a message names.
MAX_NAMED = 8


def resolve(target: Target, text: str, seek: Seek | None = None) -> Variable:
    """The value that an expression names. seek: where an address may stand alone.

    Raises NoSuchVariable, NoSuchType, BadExpression, OptimizedOut, MemoryFault.
    """
    return Follow(target, seek).resolve(text)


def keys_of(
    target: Target, note: Callable[[Variable], object] = lambda variable: None, seek: Seek | None = None
) -> Keys:
    """Makes keys of literals and of values of the program. note: is given each such value."""
    follow = Follow(target, seek)

    def named(text: str) -> Variable:
        found = follow.resolve(text)
        note(found)
        return found

    return Keys(target, hasher_of(target), named)


def resolve_map(target: Target, text: str, seek: Seek | None = None) -> tuple[Variable, GoType, int]:
    """(the variable, its map type, address of its header or 0 when nil).

    Interfaces that hold a map and pointers to maps are followed. Raises NotAMap and what resolve raises.
    """
    return map_in(target, resolve(target, text, seek))


def resolve_behind(target: Target, text: str, seek: Seek | None = None) -> Variable:
    """The value that an expression names, or that a pointer or interface of that name leads to.

    Raises what resolve raises.
    """
    variable = resolve(target, text, seek)
    with noted(variable):
        behind = unless_unset(variable, lambda: Follow(target).concrete(variable))
    return replace(behind, name=variable.name, note=variable.note)


def map_in(target: Target, variable: Variable) -> tuple[Variable, GoType, int]:
    """The map that a value is, holds as an interface, or points to: as resolve_map."""
    with noted(variable):
        found = unless_unset(variable, lambda: _map_in(target, variable))
        check_sound(target, variable, *found[1:])
    return found


@contextmanager
def noted(*variables: Variable) -> Iterator[None]:
    """Errors within say what the variables' resolution has to say, too."""
    try:
        yield
    except GomapError as error:
        error.notes += tuple(one.note for one in variables if one.note)
        raise


def _map_in(target: Target, variable: Variable) -> tuple[Variable, GoType, int]:
    follow = Follow(target)
    first = variable
    for _ in range(MAX_EMBEDDED):
        t = variable.type
        if t.kind is Kind.MAP:
            word = variable.read(target.memory, 0, target.arch.pointer_size)
            return replace(variable, note=first.note), t, target.arch.pointer(word)
        if t.kind is Kind.INTERFACE:
            inner = follow.unwrapped(variable)
            if inner is None:
                raise NotAMap(f"{first.name} is a nil {t.name}: it holds no map")
            variable = inner
        elif t.kind is Kind.POINTER and t.elem.kind in (Kind.MAP, Kind.INTERFACE, Kind.POINTER):
            variable = follow.deref(variable)
        else:
            break
    held = "" if variable.type is first.type else f" that holds {an(variable.type.name)}"
    what = f"{first.name} is not a map: it is {an(first.type.name)}{held}"
    raise NotAMap(what + _instead(target, first.name, variable))


def _instead(target: Target, name: str, variable: Variable) -> str:
    """What can be asked about a value that is not a map."""
    t, path = variable.type, name.strip()
    while t.kind is Kind.POINTER:
        t = t.elem
    try:
        if t.name == "sync.Map" or syncmap.detect(target, t) is not None:
            return " (hmap-sync shows it)"
        if t.kind is Kind.UNSAFE_POINTER:
            held = target.arch.pointer(variable.read(target.memory, 0, target.arch.pointer_size))
            return f": if it points to a map, name its type, as in {held:#x}:map[string]int" if held else " that is nil"
        if _is_atomic(t):
            return f": use {path}.Load()"
        if t.kind is Kind.FUNC:
            caught = captures.of(target, variable)
            named = [f"{path}.{one.name}" for one in caught if one.type.kind is Kind.MAP]
            more = "its closure captured "
        elif t.kind is Kind.STRUCT:
            named = [f.name for f in t.fields if f.type.kind is Kind.MAP]
            more = "its maps: "
        elif t.kind in (Kind.ARRAY, Kind.SLICE) and t.elem.kind in (
            Kind.MAP,
            Kind.POINTER,
            Kind.STRUCT,
            Kind.INTERFACE,
        ):
            return f": name an element, as in {path}[0]"
        else:
            return ""
    except GomapError:
        return ""
    rest = ", ..." if len(named) > MAX_NAMED else ""
    return f" ({more}{', '.join(named[:MAX_NAMED])}{rest})" if named else ""


def _is_atomic(t: GoType) -> bool:
    """Whether Load of the type may give something that leads to a map."""
    return t.name == "sync/atomic.Value" or t.name.startswith("sync/atomic.Pointer[")


# -- names -------------------------------------------------------------------------------------------


# -- following ---------------------------------------------------------------------------------------
