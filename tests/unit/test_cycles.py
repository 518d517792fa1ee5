"""hmap-cycle's search over synthetic memory: every cycle it tells is one, and it finds one where there is one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap.analysis import cycles
from gomap.analysis.cycles import find
from gomap.commands import cycle
from gomap.declare import Context
from gomap.errors import OptimizedOut
from gomap.gotypes import Field, GoType, Kind, Lazy
from gomap.graph import components
from gomap.target import Arch, Variable
from tests.support.graphs import LIMIT, Graph
from tests.support.space import AMD64, ARCHES, add, array_of, basic, pointer, slice_of, struct, target
from tests.support.synthetic import classic_type


@pytest.fixture(autouse=True)
def quickly() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < 30


def has_cycle(edges: list[list[int]], start: int) -> bool:
    """Whether a way from start comes to one node twice: by taking away nodes that lead nowhere, until none is left."""
    reached, todo = {start}, [start]
    while todo:
        for other in edges[todo.pop()]:
            if other not in reached:
                reached.add(other)
                todo.append(other)
    while True:
        ends = {node for node in reached if not any(other in reached for other in edges[node])}
        if not ends:
            return bool(reached)
        reached -= ends


graphs = st.integers(1, 14).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, n - 1), max_size=6), min_size=n, max_size=n)
)


@pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
@given(edges=graphs)
def test_any_graph(arch: Arch, edges: list[list[int]]) -> None:
    graph = Graph(arch)
    graph.lay(edges)
    found = graph.find()
    assert found.anomalies == [] and found.shortened == []
    assert bool(found.cycles) == has_cycle(edges, 0)
    assert found.of is not None and len(found.cycles) == min(found.of, LIMIT)
    numbers = {place: i for i, place in enumerate(graph.places)}
    seen = set()
    for one in found.cycles:
        # An element of a slice is an object of its own, between two nodes.
        nodes = [numbers[o.address] for o in one.objects if o.address in numbers and o.type is graph.node]
        assert len(one.objects) == one.length == len(one.steps)
        assert nodes and len(set(nodes)) == len(nodes)
        for here, there in zip(nodes, [*nodes[1:], nodes[0]]):
            assert there in edges[here]
        assert one.whole == one.start + "".join("?" if step is None else step for step in one.steps)
        assert walk(edges, one.start) == nodes[0] or "more" in one.start
        assert walk(edges, one.whole) == walk(edges, one.start)
        seen.add(one.whole)
    assert len(seen) == len(found.cycles)


def walk(edges: list[list[int]], path: str) -> int:
    """The node that a path such as p.next.pair[1].more[0] leads to."""
    node = 0
    for step in path.split(".")[1:]:
        name, _, index = step.partition("[")
        first = {"next": 0, "pair": 1, "more": 3}[name]
        node = edges[node][first + int(index.rstrip("]") or 0)]
    return node


def test_a_hundred_thousand_deep() -> None:
    count = 100_000
    assert sys.getrecursionlimit() < count
    graph = Graph()
    graph.lay([[i + 1] for i in range(count - 1)] + [[count - 3]])
    found = graph.find()
    assert found.objects == count
    (one,) = found.cycles
    assert [o.address for o in one.objects] == graph.places[-3:]
    assert one.length == 3 and not one.own
    assert one.start == f"({graph.places[-3]:#x}:main.Node)"  # a path of a hundred thousand fields helps nobody


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph()
    graph.lay([[i + 1, i + 2, 0] for i in range(500)] + [[], []])
    assert (graph.find().of, graph.find().shortened) == (None, [])  # more than are worked out
    for name, value, what in (
        ("MAX_OBJECTS", 100, "objects"),
        ("MAX_REFERENCES", 100, "references"),
    ):
        monkeypatch.setattr(cycles, name, value)
        found = graph.find()
        assert (what, value, None) in found.shortened
        assert found.objects <= value and found.cycles
        monkeypatch.undo()
    monkeypatch.setattr(components, "MAX_WORK", 10)
    assert graph.find().of is None


def test_interrupted() -> None:
    graph = Graph()
    graph.lay([[i + 1] for i in range(9999)] + [[0]])

    def press(what: str, done: int, of: int | None) -> None:
        if done > 5000:
            raise KeyboardInterrupt

    variable = add(graph.fake, "p", pointer(graph.node), graph.space.word(graph.places[0]))
    found = find(graph.fake, variable, LIMIT, press)
    assert found.interrupted and found.cycles == []
    assert 5000 < found.objects < 7000


def test_what_cannot_be_read_is_told_and_the_rest_is_looked_at() -> None:
    graph = Graph()
    graph.lay([[1, 2, 0], [2], [0]])
    graph.space.write(graph.places[1] + 8, graph.space.word(0x10))
    graph.space.write(graph.places[2] + 32, graph.space.word(0x1000) + graph.space.word(1 << 60))
    found = graph.find()
    assert found.unread == 2 and {one.code for one in found.anomalies} == {"unreadable"}
    assert {one.whole for one in found.cycles} >= {"p.pair[1]"}


def test_a_length_that_cannot_be() -> None:
    """A slice over all of memory that there is and more: read in blocks, given up at the first that is missing."""
    graph = Graph()
    graph.lay([[0], [0]])
    graph.space.write(graph.places[0] + 32, graph.space.word(graph.places[0]) + graph.space.word(1 << 55))
    before = graph.space.bytes_read
    found = graph.find()
    assert found.unread == 1 and found.cycles
    assert graph.space.bytes_read - before < 1 << 20


def test_slices_of_themselves() -> None:
    """type T []T, nested deeper than Python's stack, the innermost holding the outermost."""
    fake, space = target(AMD64)
    itself: list[GoType] = []
    t = GoType(Kind.SLICE, "main.T", 24, lazy_elem=Lazy(lambda: itself[0]))
    itself.append(t)
    depth = 20_000
    assert sys.getrecursionlimit() < depth
    arrays = [space.alloc(24) for _ in range(depth)]
    one = space.word(1) + space.word(1)
    for here, there in zip(arrays, arrays[1:]):
        space.write(here, space.word(there) + one)
    variable = add(fake, "s", t, space.word(arrays[0]) + one)
    assert find(fake, variable, LIMIT).cycles == []
    space.write(arrays[-1], space.word(arrays[0]) + one)
    (found,) = find(fake, variable, LIMIT).cycles
    assert found.length == depth and found.own


def test_types_that_cannot_lead_back() -> None:
    fake, _ = target(AMD64)
    graph = cycles._Graph(fake, add(fake, "x", basic("int"), bytes(8)))
    word = basic("int")
    leaf = struct("main.Leaf", 8, [("a", slice_of(word)), ("b", pointer(pointer(word))), ("c", array_of(9, word))])
    node = Graph().node
    for t, possible in (
        (word, False),
        (leaf, False),
        (classic_type(word, pointer(leaf), 8), False),
        (GoType(Kind.INTERFACE, "interface {}", 16), True),
        (node, True),
        (struct("main.Holder", 8, [("leaf", leaf), ("nodes", classic_type(word, node, 8))]), True),
        (classic_type(pointer(node), word, 8), True),
        (GoType(Kind.FUNC, "func()", 8), False),
        (GoType(Kind.CHAN, "chan *main.Node", 8, lazy_elem=Lazy(lambda: node)), False),
    ):
        assert graph.can_cycle(t) is possible, t.name
        assert graph.can_cycle(t) is possible, t.name
    variable = add(fake, "l", pointer(leaf), bytes(8))
    found = find(fake, variable, LIMIT)
    assert (found.possible, found.objects, found.of) == (False, 0, 0)


def test_a_variable_in_registers() -> None:
    graph = Graph()
    graph.lay([[1], [0]])
    held = Variable("p", pointer(graph.node), data=graph.space.word(graph.places[0]))
    (one,) = find(graph.fake, held, LIMIT).cycles
    assert (one.start, one.whole, one.own) == ("p", "p.next.next", True)
    with pytest.raises(OptimizedOut):
        find(graph.fake, Variable("p", pointer(graph.node), data=bytes(8), holes=((0, 8),)), LIMIT)


def test_a_pointer_into_an_object() -> None:
    """struct { name int; inner struct { up *Outer } }, seen from its own middle."""
    fake, space = target(AMD64)
    itself: list[GoType] = []
    up = GoType(Kind.POINTER, "*main.Outer", 8, lazy_elem=Lazy(lambda: itself[0]))
    inner = struct("main.Inner", 8, [("up", up)])
    outer = GoType(Kind.STRUCT, "main.Outer", 16, fields=(Field("name", 0, basic("int")), Field("inner", 8, inner)))
    itself.append(outer)
    place = space.alloc(16)
    space.write(place + 8, space.word(place))
    (one,) = find(fake, Variable("o.inner", inner, place + 8), LIMIT).cycles
    assert one.whole == "o.inner.up.inner.up" and one.start == "o.inner.up"
    (one,) = find(fake, Variable("o", outer, place), LIMIT).cycles
    assert (one.whole, one.start, one.own) == ("o.inner.up", "o", True)


def test_a_type_of_which_not_all_is_known() -> None:
    """As a recorded map has types: what nobody asked for is not there."""
    fake, _ = target(AMD64)
    variable = add(fake, "m", GoType(Kind.MAP, "map[string]interface {}", 8), bytes(8))
    found = find(fake, variable, LIMIT)
    assert (found.possible, found.unread) == (False, 1)
    assert [one.code for one in found.anomalies] == ["unknown-type"]
    report = cycle.run(Context(fake), {"EXPR": "m", "--limit": None})
    assert report.answer[0].startswith("unknown whether")
