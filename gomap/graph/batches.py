"""How a walk goes into large containers: their values together, and by columns what each edge of their type leads to.

many.py says what a batch is. What can't be taken together is followed one by one, as anywhere else (walk.py).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from gomap.errors import GomapError, MemoryFault
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.slots import columns
from gomap.golang.layouts.structure import TOO_MANY, too_many
from gomap.golang.runtime.heap import SMALL, Room
from gomap.gotypes import SCALAR_KINDS, GoType, Kind
from gomap.graph.edges import Edge, Edges
from gomap.graph.many import FROM, Batch, Behind, Entries, Takes
from gomap.graph.path import Path, PathPart
from gomap.graph.reference import MAX_SPELT, Reference, Visitor
from gomap.progress import Progress
from gomap.reads import blocks
from gomap.target import Target


class Following(Protocol):
    """What a walk (walk.GraphWalk) does for the values of a batch."""

    target: Target
    visitor: Visitor
    edges: Edges
    room: Room
    takes: Takes | None
    watch: Callable[[GoType, int, Path], None] | None
    progress: Progress
    inline: bool
    items: int
    depth: int
    level: int
    steps: int
    max_steps: int
    word: int

    def pointer_in(self, data: bytes, offset: int = 0) -> int:
        """The pointer at `offset` of data; 0 for nil."""

    def behind(self, found: Reference, t: GoType, address: int, part: PathPart | None = None) -> None:
        """Follows a reference to the value of type t at `address`.

        part: what the path gets for it.
        """

    def edge(self, found: Reference, block: bytes | None, at: int) -> None:
        """Follows the reference that lies `at` bytes into a block of memory; None for a block that can't be read."""

    def queue(self, found: Reference | Batch, level: int) -> None:
        """Has the walk look at what was found, `level` steps away from where it began."""


def in_batch(walk: Following, t: GoType, count: int) -> bool:
    """Whether so many values of a type are looked at together."""
    if walk.takes is None or walk.watch is not None or walk.inline or not 0 < t.size <= SMALL:
        return False
    return FROM <= count <= min(walk.items, walk.max_steps - walk.steps)


def entries(walk: Following, found: Reference, one: MapView) -> None:
    """The entries of a large map whose keys lead nowhere."""
    slots, arch = one.shape.slots, walk.target.arch
    keys, elems, live = array("Q"), array("Q"), one.marks.live
    for window, _ in one.windows():
        column = columns(arch, slots, window, live)
        for found_here, offset, stride in (
            (keys, slots.keys_off, slots.key_stride),
            (elems, slots.elems_off, slots.elem_stride),
        ):
            starts = [bucket[2] + offset for bucket in window]
            found_here.extend(column.spread(partial(_shifted, starts, stride)))
        if len(keys) >= one.count + TOO_MANY:
            walk.visitor.fails(found.path, too_many(one.count, len(keys)))
            break
    addresses = _pointers(walk, elems) if slots.indirect_elem else elems
    form = "[{}]" if slots.key.kind in SCALAR_KINDS or one.count <= MAX_SPELT else ""
    ways = Entries(found.path, slots, walk.target.memory, keys, addresses, form)
    go_into(walk, Batch(slots.elem, addresses, ways, found.path, found.depth, found.level))


def _pointers(walk: Following, places: array[int]) -> array[int]:
    """The pointers that lie at these addresses; 0 where they can't be read."""
    found, word = array("Q", bytes(8 * len(places))), walk.word
    order = sorted(range(len(places)), key=places.__getitem__)
    for low, high, at, data in blocks(walk.target.memory, [places[i] for i in order], word):
        if not isinstance(data, MemoryFault):
            for i in order[low:high]:
                found[i] = walk.pointer_in(bytes(data[places[i] - at : places[i] - at + word]))
    return found


def go_into(walk: Following, batch: Batch) -> None:
    """Comes to the references in many values."""
    layout, takes = walk.edges.of(batch.type), walk.takes
    addresses, size, unpack = batch.addresses, batch.type.size, layout.unpack
    if takes is None or not layout.edges:
        return
    walk.steps += len(addresses)
    order: Sequence[int] = range(len(addresses))
    ordered: Sequence[int] = addresses
    if any(a > b for a, b in zip(addresses, addresses[1:])):
        order = sorted(order, key=addresses.__getitem__)
        ordered = [addresses[i] for i in order]
    together = [_alike(edge) for edge in layout.edges]
    found = [(array("Q"), array("Q")) for _ in layout.edges]
    plain = [
        (edge.first, rows.append, values.append)
        for edge, (rows, values), one in zip(layout.edges, found, together)
        if one
    ]
    others = [edge for edge, one in zip(layout.edges, together) if not one]
    for low, high, start, data in blocks(walk.target.memory, ordered, size):
        walk.progress("objects", low, len(addresses))
        if isinstance(data, MemoryFault):
            for i in range(low, high):
                walk.behind(_one(batch, order[i]), batch.type, ordered[i])
            continue
        for i in range(low, high):
            words = unpack(data, ordered[i] - start)
            for first, row, value in plain:
                if words[first]:
                    row(order[i])
                    value(words[first])
            for edge in others:
                if words[edge.first] or edge.always:
                    at = ordered[i]
                    block = bytes(data[at - start : at - start + size])
                    _follow(walk, batch, order[i], edge, words[edge.first : edge.last], at, block)
    for edge, (rows, values), one in zip(layout.edges, found, together):
        if one and values:
            _column(walk, batch, edge, rows, values)


def _alike(edge: Edge) -> bool:
    """Whether what an edge leads to is looked at together."""
    t = edge.type
    if edge.kind is Kind.MAP:
        return True
    return edge.kind is Kind.POINTER and 0 < t.size <= SMALL and t.kind is not Kind.ARRAY


def _column(walk: Following, batch: Batch, edge: Edge, rows: array[int], values: array[int]) -> None:
    """Comes to what an edge of many values leads to. rows: of the batch; values: the pointers there."""
    takes, depth, level = walk.takes, batch.depth + 1, batch.level + 1 + edge.fields
    assert takes is not None
    ways = Behind(batch.ways, rows, edge.path)
    if edge.kind is Kind.MAP:
        left = takes.takes_maps(edge.type, values, ways, batch.path)
    elif depth >= walk.depth:
        left = range(len(values))
    else:
        code = walk.room.has_code(min(values), max(values))
        left = [i for i, value in enumerate(values) if walk.room.is_code(value)] if code else ()
        mine = takes.first_visits(edge.type, values, batch.path)
        if left:
            mine = sorted({*mine}.difference(left))
        if mine:
            if len(mine) < len(values):
                rows = array("Q", [rows[i] for i in mine])
                values = array("Q", [values[i] for i in mine])
            ways = Behind(batch.ways, rows, edge.path)
            walk.queue(Batch(edge.type, values, ways, batch.path, depth, level), max(level, walk.level))
    for i in left:
        _follow(walk, batch, rows[i], edge, (values[i],), batch.addresses[rows[i]], None)


def _follow(
    walk: Following, batch: Batch, row: int, edge: Edge, words: Sequence[int], address: int, block: bytes | None
) -> None:
    """Comes to one reference of one of the values."""
    path = batch.ways(row)
    path = Path(path, edge.path) if edge.path else path
    slot, level = address + edge.offset, batch.level + 1 + edge.fields
    try:
        walk.edge(Reference(edge.kind, edge.type, words, slot, path, batch.depth + 1, level), block, edge.offset)
    except GomapError as error:
        walk.visitor.fails(path, error)


def _one(batch: Batch, row: int) -> Reference:
    """What leads to one of the values."""
    t = batch.type
    return Reference(t.kind, t, (batch.addresses[row],), None, batch.ways(row), batch.depth, batch.level)


def _shifted(starts: Sequence[int], stride: int, slot: int) -> list[int]:
    """Addresses of a slot in each of some buckets."""
    return [at + slot * stride for at in starts]
