"""Many values of one type at once: those in a large container, and those that they lead to.

A walk makes a Batch of them if its visitor takes maps by the thousand. Their bytes are read together, in the order of
memory, and each of the type's edges gives a column of references: maps go to the visitor as a whole, the values behind
pointers are the next batch, and everything else is followed one by one. Ways makes the path to a value when it is
needed, since few of the values found are shown.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Protocol, Union

from gomap.errors import MemoryFault
from gomap.golang.layouts.slots import SlotShape
from gomap.gotypes import GoType
from gomap.graph.path import KeyPart, Names, Path
from gomap.memory import Memory

#: So many elements or entries are worth a batch.
FROM = 64


class Elements:
    """The ways to the elements of a slice."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, i: int) -> Path:
        """The path of element i."""
        return Path(self.path, i)


class Entries:
    """The ways to the elems of a map's entries. keys: addresses of their keys. form: as KeyPart has it."""

    __slots__ = ("elem", "elems", "form", "keys", "memory", "path", "shape")

    def __init__(
        self, path: Path, shape: SlotShape, memory: Memory, keys: array[int], elems: array[int], form: str
    ) -> None:
        self.path, self.shape, self.memory = path, shape, memory
        self.keys, self.elems, self.form = keys, elems, form

    def __call__(self, i: int) -> Path:
        """The path of the elem of entry i, with its key."""
        shape, at = self.shape, self.keys[i]
        try:
            if shape.indirect_key:
                at = _pointer(self.memory.read(at, shape.key_stride), shape)
            data: bytes | None = self.memory.read(at, shape.key.size)
        except MemoryFault:
            data = None
        return Path(self.path, KeyPart(shape.key, data, self.form, shape.elem, self.elems[i]))


class Behind:
    """The ways to what values lead to. rows: of `ways`, whose each leads to one of them. fields: of the value."""

    __slots__ = ("fields", "rows", "ways")

    def __init__(self, ways: Ways, rows: array[int], fields: str) -> None:
        self.ways, self.rows, self.fields = ways, rows, fields

    def __call__(self, i: int) -> Path:
        """The path of what the pointer in value i points to."""
        path = self.ways(self.rows[i])
        return Path(path, self.fields) if self.fields else path


Ways = Union[Elements, Entries, Behind]


def texts_of(names: Names, ways: Ways, numbers: Sequence[int]) -> list[str]:
    """The ways of these numbers as expressions: what Names.text says of each, with what they have in common once."""
    if isinstance(ways, Behind):
        texts = texts_of(names, ways.ways, [ways.rows[i] for i in numbers])
        return [names.extended(text, ways.fields) for text in texts] if ways.fields else texts
    before = names.text(ways.path)
    if isinstance(ways, Elements):
        return [f"{before}[{i}]" for i in numbers]
    return [names.extended(before, ways(i).part) for i in numbers]


class Batch:
    """Values of a type at these addresses. depth, level: of the references that lead to them."""

    __slots__ = ("addresses", "depth", "level", "path", "type", "ways")

    def __init__(self, t: GoType, addresses: array[int], ways: Ways, path: Path, depth: int, level: int) -> None:
        self.type, self.addresses, self.ways = t, addresses, ways
        self.path, self.depth, self.level = path, depth, level


class Takes(Protocol):
    """What a visitor does with many references at once."""

    def first_visits(self, t: GoType, addresses: array[int], path: Path) -> Sequence[int]:
        """Numbers of the values at these addresses that were not visited before; from now on they were."""

    def takes_maps(self, t: GoType, addresses: array[int], ways: Behind, path: Path) -> Sequence[int]:
        """Notes maps of a type. Numbers of those that are to be followed one by one: they lead to other maps, or are
        not known."""


def _pointer(data: bytes, shape: SlotShape) -> int:
    return int.from_bytes(data[: shape.key_stride], "big" if shape.reversed_marks else "little")
