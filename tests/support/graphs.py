"""Graphs of objects laid out by hand, and their cycles found in a simple way."""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.analysis.cycles import CycleSearch, find
from gomap.gotypes import GoType, Kind, Lazy
from gomap.recorded import ImageTarget
from gomap.target import Arch
from tests.support.space import AMD64, Space, add, array_of, basic, pointer, slice_of, struct, target

LIMIT = 16


@dataclass
class Graph:
    """Nodes of type struct { value int; next *Node; pair [2]*Node; more []*Node } in memory."""

    arch: Arch = AMD64
    fake: ImageTarget = field(init=False)
    node: GoType = field(init=False)
    places: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fake, _ = target(self.arch)
        word = self.arch.pointer_size
        itself: list[GoType] = []
        to = GoType(Kind.POINTER, "*main.Node", word, lazy_elem=Lazy(lambda: itself[0]))
        fields = [("value", basic("int", word)), ("next", to), ("pair", array_of(2, to)), ("more", slice_of(to, word))]
        self.node = struct("main.Node", word, fields)
        itself.append(self.node)

    @property
    def space(self) -> Space:
        space: Space = self.fake.memory
        return space

    def lay(self, edges: list[list[int]]) -> None:
        """Node i leads to edges[i]: the first through next, the next two through pair, the rest through more."""
        self.places = [self.space.alloc(self.node.size) for _ in edges]
        word = self.arch.pointer_size
        for place, out in zip(self.places, edges):
            to = [self.places[n] for n in out]
            words = [len(out), *(to[:3] + [0] * 3)[:3]]
            data = b"".join(map(self.space.word, words))
            rest = b"".join(map(self.space.word, to[3:]))
            data += self.space.slice(rest, len(to[3:])) if rest else bytes(3 * word)
            self.space.write(place, data)

    def find(self, number: int = 0, limit: int = LIMIT) -> CycleSearch:
        variable = add(self.fake, "p", pointer(self.node, self.arch.pointer_size), self.space.word(self.places[number]))
        return find(self.fake, variable, limit)
