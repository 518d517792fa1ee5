"""Go types as plain facts, wherever they were learnt: debug information, Delve, or runtime descriptors.

A GoType is immutable. What lies behind a pointer (the target of pointers, elements of slices and
channels, key and elem and header of maps) is held as a Lazy, because Go types are recursive and
most of their graph is never looked at.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Callable

from gomap.errors import NoDebugInfo


class Kind(enum.Enum):
    """reflect.Kind, by name, and OPAQUE for a type about which nothing but its size is known."""

    BOOL = "bool"
    INT = "int"
    UINT = "uint"
    FLOAT = "float"
    COMPLEX = "complex"
    STRING = "string"
    POINTER = "pointer"
    UNSAFE_POINTER = "unsafe.Pointer"
    SLICE = "slice"
    ARRAY = "array"
    STRUCT = "struct"
    MAP = "map"
    CHAN = "chan"
    FUNC = "func"
    INTERFACE = "interface"
    OPAQUE = "opaque"


#: Kinds whose value is one machine word that points somewhere.
POINTER_KINDS = frozenset({Kind.POINTER, Kind.UNSAFE_POINTER, Kind.MAP, Kind.CHAN, Kind.FUNC})
#: Kinds whose values the garbage collector scans.
_SCANNED = POINTER_KINDS | {Kind.STRING, Kind.SLICE, Kind.INTERFACE, Kind.OPAQUE}
#: Kinds that JSON writes as numbers, strings and booleans.
SCALAR_KINDS = frozenset({Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT, Kind.STRING})


class Lazy:
    """A GoType that is made when it is first asked for."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], GoType]) -> None:
        self._make = make
        self._made: GoType | None = None

    def __call__(self) -> GoType:
        """The type, made when it is first asked for."""
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def made(self) -> GoType | None:
        """The type, if it was made already; otherwise None."""
        return self._made


@dataclass(frozen=True)
class Field:
    """One field of a struct. `offset` in bytes from the start of the struct."""

    name: str
    offset: int
    type: GoType
    embedded: bool = False


@dataclass(frozen=True, eq=False)
class GoType:
    """One Go type.

    name: as debug information writes it, with full package paths: `map[string]*main.T`, `main.Named`.
    size: bytes of a value.
    length: of an array, in elements.
    fields: of a struct (also of runtime structs), in order.
    methods: False for an interface without methods (its first word is a *_type, not an *itab).
    """

    kind: Kind
    name: str
    size: int
    length: int = 0
    fields: tuple[Field, ...] = ()
    methods: bool = False
    lazy_elem: Lazy | None = field(default=None, repr=False)
    lazy_key: Lazy | None = field(default=None, repr=False)
    lazy_header: Lazy | None = field(default=None, repr=False)

    @property
    def elem(self) -> GoType:
        """Target of a pointer, element of a slice, array or channel, elem of a map."""
        if self.lazy_elem is None:
            raise NoDebugInfo(f"the value behind type {self.name} is not known")
        return self.lazy_elem()

    @property
    def key(self) -> GoType:
        """Key of a map."""
        if self.lazy_key is None:
            raise NoDebugInfo(f"the keys of type {self.name} are not known")
        return self.lazy_key()

    @property
    def header(self) -> GoType:
        """What a map value points to: a struct with the fields of runtime.hmap or maps.Map."""
        if self.lazy_header is None:
            raise NoDebugInfo(f"the header of type {self.name} is not known")
        return self.lazy_header()

    def field(self, name: str) -> Field | None:
        """The struct's own field of that name."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        return None


def alignment(t: GoType, word: int) -> int:
    """types.CalcSize of cmd/compile/internal/types/size.go; word: bytes of a pointer."""
    if t.kind is Kind.ARRAY:
        return alignment(t.elem, word)
    if t.kind is Kind.STRUCT:
        return max((alignment(field.type, word) for field in t.fields), default=1)
    if t.kind is Kind.COMPLEX:
        return min(t.size // 2, word)
    return max(min(t.size, word), 1) if t.kind in SCALAR_KINDS and t.kind is not Kind.STRING else word


def up(offset: int, align: int) -> int:
    """The smallest multiple of `align` that is not below `offset`."""
    return -(-offset // align) * align


def fixed(value: GoType) -> Lazy:
    """A Lazy of a type that is already there."""
    lazy = Lazy(lambda: value)
    lazy()
    return lazy


def can_reach_map(t: GoType, named: bool = False) -> bool:
    """Whether a value of type t can lead to a map. Interfaces can hold anything, and so can closures.

    named: by an expression, which goes through neither channels nor closures.
    """
    return _can_reach(t, named, set())


def can_reach_slice(t: GoType) -> bool:
    """Whether a value of type t can lead to a slice, itself or one that it points to."""
    return _can_reach(t, False, set(), Kind.SLICE)


def _can_reach(t: GoType, named: bool, visited: set[int], wanted: Kind = Kind.MAP) -> bool:
    if id(t) in visited:
        return False
    visited.add(id(t))
    if t.kind in (wanted, Kind.INTERFACE):
        return True
    if t.kind is Kind.MAP:
        return _can_reach(t.elem, named, visited, wanted) or _can_reach(t.key, named, visited, wanted)
    if t.kind is Kind.FUNC:
        return not named
    if t.kind is Kind.STRUCT:
        return any(_can_reach(f.type, named, visited, wanted) for f in t.fields)
    if t.kind in (Kind.POINTER, Kind.SLICE, Kind.ARRAY) or (t.kind is Kind.CHAN and not named):
        return t.lazy_elem is not None and _can_reach(t.elem, named, visited, wanted)
    return False


def leaves(t: GoType, base: int = 0, most: int = 1) -> Iterator[tuple[int, GoType]]:
    """(offset, type) of the parts of a value that are neither structs nor arrays. most: elements of an array."""
    if t.kind is Kind.STRUCT:
        for field in t.fields:
            yield from leaves(field.type, base + field.offset, most)
    elif t.kind is Kind.ARRAY:
        for i in range(min(t.length, most)):
            yield from leaves(t.elem, base + i * t.elem.size, most)
    else:
        yield base, t


def has_pointers(t: GoType) -> bool:
    """Whether the garbage collector scans values of type t (abi.Type.PtrBytes is not 0)."""
    return any(one.kind in _SCANNED for _, one in leaves(t))


#: What the linker adds to the name of a type that a function declares; the program's own descriptor lacks it.
_LOCAL = re.compile(r"·\d+")


#: Kinds whose values lead to values of another type.
_LEADING = frozenset({Kind.POINTER, Kind.SLICE, Kind.CHAN, Kind.MAP})


def holds_interface(t: GoType) -> bool:
    """Whether a part of every value of type t is an interface."""
    return any(one.kind is Kind.INTERFACE for _, one in leaves(t))


def same(a: GoType, b: GoType, behind: int = 0) -> bool:
    """Whether both may describe one Go type, whether debug information or the program's own descriptor does: they have
    one name, and values of them consist of the same. Two types of one name that functions declare may do so, too.

    behind: how many pointers, slices, channels and maps, one behind the other, must lead to the same as well.
    """
    if a is b:
        return True
    if plain_name(a) != plain_name(b) or not consist_of_same(a, b):
        return False
    if not behind or a.kind not in _LEADING or a.lazy_elem is None or b.lazy_elem is None:
        return True
    if a.lazy_key is not None and b.lazy_key is not None and not same(a.key, b.key, behind - 1):
        return False
    return same(a.elem, b.elem, behind - 1)


def consist_of_same(a: GoType, b: GoType) -> bool:
    """Whether values of both types have the same parts, called the same, at the same places."""
    if a is b:
        return True
    if a.kind is not b.kind or a.size != b.size or a.length != b.length:
        return False
    if a.kind is Kind.STRUCT:
        return len(a.fields) == len(b.fields) and all(
            (f.name, f.offset) == (g.name, g.offset) and consist_of_same(f.type, g.type)
            for f, g in zip(a.fields, b.fields)
        )
    return a.kind is not Kind.ARRAY or a.lazy_elem is None or b.lazy_elem is None or consist_of_same(a.elem, b.elem)


@dataclass
class Alike:
    """Numbers types: those that may be one Go type have one number (`same`)."""

    _numbers: dict[int, tuple[GoType, int]] = field(default_factory=dict)  # by id(), which the type keeps in use
    _named: dict[str, list[tuple[GoType, int]]] = field(default_factory=dict)

    def number(self, t: GoType) -> int:
        """0 or more."""
        known = self._numbers.get(id(t))
        if known is None:
            others = self._named.setdefault(plain_name(t), [])
            found = next((number for one, number in others if consist_of_same(one, t)), len(self._numbers))
            known = self._numbers[id(t)] = t, found
            others.append(known)
        return known[1]


def plain_name(t: GoType) -> str:
    """The type's name as the program's own descriptor has it."""
    return _LOCAL.sub("", t.name) if "·" in t.name else t.name


def atomic_pointee(t: GoType) -> tuple[int, GoType] | None:
    """(offset of the pointer, type it points to) of a sync/atomic.Pointer[T]: its first field is a [0]*T."""
    word = t.field("v") if t.kind is Kind.STRUCT else None
    if word is None or word.type.kind is not Kind.UNSAFE_POINTER:
        return None
    for f in t.fields:
        if f.name == "_" and f.type.kind is Kind.ARRAY and not f.type.length and f.type.elem.kind is Kind.POINTER:
            return word.offset, f.type.elem.elem
    return None
