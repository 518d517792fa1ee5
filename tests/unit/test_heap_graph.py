"""The heap as a graph: what is freed without an object, against what is worked out by hand, and masks of types."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap.analysis.retention import Retained, Retention
from gomap.analysis.whole_heap import WholeHeap
from gomap.commands import why
from gomap.heap.dominators import NodePart
from gomap.heap.graph import HeapGraph
from gomap.heap.masks import Mask, Masks, MaskTable, _repeated
from gomap.heap.roots import DATA, FINALIZER, KINDS, HeapRoots, Special


class Sized:
    """Objects of which no more is known than how many bytes they have."""

    np = np
    lost = unread = 0

    def __init__(self, count: int) -> None:
        self.count = count

    def sizes(self, objects: Any) -> Any:
        return 1 << np.asarray(objects, np.uint64)

    def total(self, which: Any) -> int:
        return int(self.sizes(np.flatnonzero(which)).sum())


class Known(Masks):
    def __init__(self, masks: dict[int, Mask]) -> None:
        self._known = cast("dict[int, Mask | None]", masks)


def graph_of(count: int, edges: list[tuple[int, int]]) -> HeapGraph:
    edges = sorted(edges)
    starts: Any = np.searchsorted([one for one, _ in edges], np.arange(count + 1)).astype(np.int32)
    ends = np.array([other for _, other in edges], np.int32)
    return HeapGraph(cast(Any, Sized(count)), cast(Any, None), starts, ends)


def roots_of(objects: list[int], finalized: list[int]) -> HeapRoots:
    kinds: Any = np.full(len(objects), KINDS.index(DATA), np.int8)
    slots = np.arange(8, 8 + 8 * len(objects), 8, dtype=np.uint64)
    specials = [Special("finalizer", one, 0, ()) for one in finalized]
    return HeapRoots(kinds, slots, np.array(objects, np.int32), specials=specials)


def reach(edges: list[tuple[int, int]], starts: list[int], without: int | None = None) -> set[int]:
    found: set[int] = set()
    pending = [one for one in starts if one != without]
    while pending:
        one = pending.pop()
        if one not in found:
            found.add(one)
            pending += [other for mine, other in edges if mine == one and other != without]
    return found


NODES = st.integers(0, 11)


@given(st.lists(st.tuples(NODES, NODES), max_size=30), st.lists(NODES, max_size=4), st.lists(NODES, max_size=2), NODES)
def test_what_is_freed(edges: list[tuple[int, int]], roots: list[int], finalized: list[int], one: int) -> None:
    """Each search and its sums are what a search by hand says."""
    ordinary = reach(edges, roots)
    kept = [other for mine, other in edges if mine in finalized and mine not in ordinary]
    starts = roots + kept
    alive = reach(edges, starts)
    retained = Retained(graph_of(12, edges), roots_of(roots, list(dict.fromkeys(finalized))))
    assert set(np.flatnonzero(retained.alive).tolist()) == alive
    told = retained.of_object(one)
    assert told.reached == (one in alive)
    if not told.reached:
        return
    left = reach(edges, starts, without=one)
    assert (told.count, told.bytes) == (len(alive - left), sum(1 << i for i in alive - left))
    assert told.references == sum(other == one and mine in left for mine, other in edges) + starts.count(one)
    leading = [root for root in roots if one in reach(edges, [root])]
    pending = [mine for mine in set(finalized) if mine not in ordinary and mine != one and one in reach(edges, [mine])]
    assert told.roots == len(leading) + len(pending)
    assert {way.kind for way in told.ways} == {DATA for _ in leading} | {FINALIZER for _ in pending}
    for way in told.ways:
        assert way.objects[-1] == one and set(zip(way.objects, way.objects[1:])) <= set(edges)
        if way.root is not None:
            assert roots[way.root] == way.objects[0] and way.slot == 8 + 8 * way.root
            assert len(way.objects) == min(distance(edges, root, one) for root in leading)


def distance(edges: list[tuple[int, int]], start: int, end: int) -> int:
    """Objects on the shortest way."""
    level, seen, steps = {start}, {start}, 1
    while end not in level:
        level = {other for mine, other in edges if mine in level} - seen
        seen |= level
        steps += 1
    return steps


def test_what_words_keep() -> None:
    retained = Retained(graph_of(4, [(0, 1), (2, 1), (2, 3)]), roots_of([0, 2], []))
    told = retained.of_words(16, 8)
    assert (told.roots, told.count, told.bytes) == (1, 2, 0b1100)


def test_the_heap_of_a_process_that_runs_on_is_not_all_seen() -> None:
    graph, roots = graph_of(2, [(0, 1)]), roots_of([0], [])
    whole = WholeHeap(cast(Any, None), graph, roots, Retained(graph, roots))
    assert whole.missing == []
    assert replace(whole, running=1).missing == ["what the process changed while it was read"]


def test_masks() -> None:
    assert all(
        _repeated(bits, each, count) == sum(bits << each * i for i in range(count))
        for bits, each, count in ((0b101, 4, 1), (1, 3, 5), (0b11, 2, 6), (0b10, 2, 7), (1, 1, 0))
    )
    table = MaskTable(Known({16: Mask(3, 2, b"\2"), 32: Mask(10, 10, b"\1\2")}))
    words = np.array([0, 1, 2, 4, 0, 9, 10, 5])
    types = np.array([16, 16, 16, 16, 32, 32, 32, 0], np.uint64)
    assert table.has_pointer(types, words).tolist() == [False, True, False, True, True, True, True, False]


@given(
    st.lists(st.tuples(NODES, NODES), max_size=40),
    st.lists(NODES, min_size=1, max_size=5),
    st.sets(NODES, max_size=9),
    st.lists(st.tuples(st.sets(st.integers(0, 4), max_size=2), st.booleans()), max_size=2),
    NODES,
)
def test_what_each_of_many_frees(
    edges: list[tuple[int, int]],
    roots: list[int],
    marked: set[int],
    outside: list[tuple[set[int], bool]],
    holder: int,
) -> None:
    """The dominators' sums are what a search without each object, or without each part, says by itself."""
    edges, taken = sorted(edges), set[int]()
    parts = []
    for which, _ in outside:
        mine = sorted(i for i in which if i < len(roots) and i not in taken)
        taken.update(mine)
        parts.append(NodePart(mine))
    # The second half of an object's pointers is a part, too, as of a sync.Map that lies in it.
    own = [i for i, (mine, _) in enumerate(edges) if mine == holder]
    inside = own[len(own) // 2 :] if holder not in marked else []
    if inside:
        parts.append(NodePart((), inside, holder))
    alive = reach(edges, roots)
    retained = Retained(graph_of(12, edges), roots_of(roots, []))
    of_objects, of_parts = retained.freed_without(sorted(marked), parts)
    for one, freed in zip(sorted(marked), of_objects.tolist()):
        assert freed == sum(1 << i for i in alive - reach(edges, roots, without=one))
    for part, freed in zip(parts, of_parts.tolist()):
        left = [edge for i, edge in enumerate(edges) if i not in part.cut]
        starts = [root for i, root in enumerate(roots) if i not in part.roots]
        assert freed == sum(1 << i for i in alive - reach(left, starts)), part


def test_words_of_one_object_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of the sync.Maps in one array: what each of them frees, without a look at the whole array for each."""
    graph = graph_of(9, [(0, i) for i in range(1, 9)])
    read: list[int] = []

    def pointers_of(self: HeapGraph, one: int) -> Any:
        read.append(one)
        return np.arange(0x1000, 0x1040, 8, dtype=np.uint64)

    monkeypatch.setattr(HeapGraph, "pointers_of", pointers_of)
    monkeypatch.setattr(Sized, "object_at", lambda self, address: 0, raising=False)
    retained = Retained(graph, roots_of([0], []))
    parts = [*retained.parts([(0x1000, 16), (0x1010, 8), (0x1020, 32)])]
    assert [list(part.cut) for part in parts] == [[0, 1], [2], [4, 5, 6, 7]] and read == [0]
    _, freed = retained.freed_without([], parts)
    assert freed.tolist() == [2 + 4, 8, 32 + 64 + 128 + 256]


def test_a_long_chain_of_maps_takes_no_round_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 50_000
    objects = Sized(count)
    monkeypatch.setattr(objects, "sizes", lambda which: np.ones(len(which), np.int64))
    starts, ends = np.arange(count + 1).clip(max=count - 1).astype(np.int32), np.arange(1, count, dtype=np.int32)
    graph = HeapGraph(cast(Any, objects), cast(Any, None), starts, ends)
    freed, _ = Retained(graph, roots_of([0], [])).freed_without(range(count))
    assert freed.tolist() == list(range(count, 0, -1))


def test_what_was_not_looked_at_may_keep_it_alive() -> None:
    def answer(complete: bool) -> list[str]:
        return why._answer(0x10, "heap", None, Retention(), cast("Any", None), complete)

    assert answer(True) == ["nothing keeps the object at 0x10 alive: the next collection frees it"]
    assert answer(False) == ["nothing that was looked at keeps the object at 0x10 alive, but not everything was"]
