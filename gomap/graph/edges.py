"""The places in values that refer to other values, computed once for each type.

This file decides, for every search of the program, which references are followed. weak.Pointer is not: it keeps nothing
alive, and its object may be freed. unique.Handle and atomic.Value are structs that contain a pointer and an interface.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import NamedTuple

from gomap import syncmap
from gomap.errors import GomapError, NoDebugInfo
from gomap.gotypes import GoType, Kind, atomic_pointee
from gomap.memory import Buffer
from gomap.target import Arch, Target

#: Edges of one type, elements of its arrays included.
MAX_EDGES = 1 << 16
#: How many words of a value say what it refers to: one, but for these.
WORDS = {Kind.SLICE: 3, Kind.INTERFACE: 2}
_LEAVES = frozenset(
    {
        Kind.POINTER,
        Kind.MAP,
        Kind.SLICE,
        Kind.INTERFACE,
        Kind.CHAN,
        Kind.FUNC,
        Kind.STRING,
        Kind.UNSAFE_POINTER,
    }
)

Unpack = Callable[[Buffer, int], tuple[int, ...]]


class Edge(NamedTuple):
    """A place in a value that refers to something else.

    kind: of what lies there; POINTER: an atomic.Pointer too; ARRAY: of such places; STRUCT: a sync.Map.
    type: what a pointer points to, else of what lies there. first, last: its words, among those of the layout.
    path: the fields that lead there (".a.b", ".a.Load()"), `fields` of them.
    always: it counts where its first word is zero, too.
    """

    kind: Kind
    offset: int
    type: GoType
    first: int
    last: int
    path: str
    fields: int
    always: bool


@dataclass(frozen=True)
class TypeEdges:
    """All edges of a type, by offset. unpack: the words of a value that starts at an offset of these bytes."""

    type: GoType
    edges: Sequence[Edge]
    unpack: Unpack


def unpacker(arch: Arch, offsets: Sequence[int]) -> Unpack:
    """Takes the words at these offsets, ascending, out of a value."""
    code, at = "<" if arch.byte_order == "little" else ">", 0
    for offset in offsets:
        code += f"{offset - at}x" + ("Q" if arch.pointer_size == 8 else "I")
        at = offset + arch.pointer_size
    return Struct(code).unpack_from


def _offsets(edges: Sequence[Edge], arch: Arch) -> list[int]:
    return [edge.offset + i * arch.pointer_size for edge in edges for i in range(edge.last - edge.first)]


@dataclass
class Edges:
    """The edges of types, without those that lead to no wanted value.

    wanted: whether a value of a type leads to a wanted one; called for every part. always: kinds that count even if
    nil. flat: elements of arrays have edges of their own.
    """

    target: Target
    wanted: Callable[[GoType], bool]
    always: frozenset[Kind] = frozenset()
    flat: bool = False
    _known: dict[int, TypeEdges] = field(default_factory=dict)  # by id(), which the layout keeps in use
    _syncs: dict[int, tuple[GoType, bool]] = field(default_factory=dict)

    def of(self, t: GoType) -> TypeEdges:
        """The places in a value of type t that refer to something else, worked out when they are first asked for."""
        found = self._known.get(id(t))
        if found is None:
            found = self._known[id(t)] = self._layout(t)
        return found

    def is_sync(self, t: GoType) -> bool:
        """Whether a struct is a sync.Map, which hides its contents behind pointers without a type."""
        if t.kind is not Kind.STRUCT:
            return False
        known = self._syncs.get(id(t))
        if known is None:
            try:
                known = t, syncmap.detect(self.target, t) is not None
            except GomapError:
                known = t, False
            self._syncs[id(t)] = known
        return known[1]

    def of_type(self, t: GoType) -> tuple[Sequence[Edge], bool]:
        """(all edges, whether none was left out). Raises NoDebugInfo."""
        edges: list[Edge] = []
        whole = self._add(edges, t, 0, "", 0)
        offsets = _offsets(edges, self.target.arch)
        ends = [offset + self.target.arch.pointer_size for offset in offsets]
        if any(end > start for end, start in zip(ends, [*offsets[1:], t.size])):
            raise NoDebugInfo(f"the parts of type {t.name} overlap or are not in order")
        return edges, whole

    def _layout(self, t: GoType) -> TypeEdges:
        edges, _ = self.of_type(t)
        return TypeEdges(t, edges, unpacker(self.target.arch, _offsets(edges, self.target.arch)))

    def _add(self, edges: list[Edge], t: GoType, offset: int, path: str, fields: int) -> bool:
        """Adds the edges of a part of a type; whether all of them."""
        kind, behind = t.kind, t
        if not self.wanted(t):
            return True
        if len(edges) >= MAX_EDGES:
            return False
        if kind is Kind.STRUCT and not self.is_sync(t):
            pointer = atomic_pointee(t)
            if pointer is None:  # a blank field is zero, whatever its type
                parts = [f for f in t.fields if f.name != "_"]
                return all(self._add(edges, f.type, offset + f.offset, f"{path}.{f.name}", fields + 1) for f in parts)
            kind, behind, offset, path = Kind.POINTER, pointer[1], offset + pointer[0], f"{path}.Load()"
        elif kind is Kind.ARRAY:
            if not t.length or not t.elem.size:
                return True
            if self.flat:
                places = range(offset, offset + min(t.length, MAX_EDGES) * t.elem.size, t.elem.size)
                return all(self._add(edges, t.elem, at, path, fields) for at in places)
        elif kind is Kind.POINTER:
            behind = t.elem
        elif kind not in _LEAVES and kind is not Kind.STRUCT:
            return True
        first = edges[-1].last if edges else 0
        last = first + WORDS.get(kind, 1)
        always = kind in (Kind.ARRAY, Kind.STRUCT) or kind in self.always
        edges.append(Edge(kind, offset, behind, first, last, path, fields, always))
        return True
