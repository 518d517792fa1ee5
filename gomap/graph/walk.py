"""A breadth-first search of the values that variables lead to.

A walk follows references (edges.py) and knows every kind of container. Its Visitor decides which references to follow,
and which were visited. The nearest come first: a pointer, an element, an entry and a field each count as one step, so
that of several paths to an object the one with the shortest text is found. With `inline` set, only references count,
the elements of slices are objects of their own, and the entries of a sync.Map belong to the object that contains it.

All memory that is read may be corrupt or dead. A value that can't be followed is passed to Visitor.fails, with its
path, and the walk continues. Arrays are read in pieces of 64 KiB, up to the first unreadable one.
"""

from __future__ import annotations

import struct
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from gomap import syncmap
from gomap.captures import Closures
from gomap.errors import GomapError, MemoryFault
from gomap.golang.layouts.slots import MAX_ITEM
from gomap.golang.layouts.structure import counted
from gomap.golang.runtime.heap import SMALL, Room
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import SCALAR_KINDS, GoType, Kind, holds_interface
from gomap.graph import batches
from gomap.graph.edges import Edges
from gomap.graph.many import Batch, Elements, Takes
from gomap.graph.path import DEREF, CapturedName, KeyPart, Names, Path, PathPart
from gomap.graph.reference import MAX_SPELT, Reference, Visitor
from gomap.progress import Progress, silent
from gomap.target import Target, Variable, read_record

#: Elements and entries that are looked at, and references that are followed.
MAX_STEPS = 1 << 25
#: bytes of an array that are read at once.
PIECE = 64 << 10
#: Maps in maps that are followed before others of their level.
MAX_NESTED = 64

T = TypeVar("T")


class GraphWalk:
    """One search.

    wanted: whether a value of a type leads to what is searched for. always: kinds that the visitor gets even if nil.
    items: how many elements or entries of one container are looked at. depth: how many references and elements are
    followed in a row. watch: called for each value with its type, address and path. takes: set if the visitor takes
    many references at once.
    """

    def __init__(
        self,
        target: Target,
        visitor: Visitor,
        wanted: Callable[[GoType], bool],
        items: int,
        always: frozenset[Kind] = frozenset(),
        depth: int = 1 << 62,
        inline: bool = False,
        max_steps: int = MAX_STEPS,
        type_at: Callable[[int], GoType | None] = lambda address: None,
    ) -> None:
        self.target, self.visitor, self.wanted = target, visitor, wanted
        self.items, self.depth, self.inline, self.max_steps = items, depth, inline, max_steps
        self.watch: Callable[[GoType, int, Path], None] | None = None
        self.takes: Takes | None = None
        self.types, self.room = DescribedTypes(target), Room(target)
        self.edges, self.names = Edges(target, wanted, always), Names(target, self.types)
        self.closures = Closures(target, self.room, self.types, type_at)
        self.steps = self.too_deep = self.level = self._nested = 0
        self._queues: dict[int, deque[Reference | Batch]] = {}
        self.progress: Progress = silent
        self.word = target.arch.pointer_size
        self._read, self.pointer_in = target.memory.read, target.arch.pointer

    # -- the search ----------------------------------------------------------------------------------

    def start(self, t: GoType, address: int | None, block: bytes | None, path: Path) -> None:
        """Comes to the references of a variable. block: its bytes; None where they are to be read at its address."""
        self.level = 0
        block = self.block_of(address, t) if block is None and address is not None else block
        try:
            self.inside(Reference(t.kind, t, (0,), address, path, -1, -1), t, block, 0, address)
        except GomapError as error:
            self.visitor.fails(path, error)

    def run(self, progress: Progress) -> None:
        """Goes into whatever is in the queue, and what comes into it, the nearest first."""
        turns = 0
        self.progress = progress
        while self._queues:
            self.level = min(self._queues)
            queue = self._queues[self.level]
            while queue:
                if self.visitor.is_full():
                    return
                reference = queue.popleft()
                if isinstance(reference, Batch):
                    batches.go_into(self, reference)
                else:
                    self.turn(reference)
                turns += 1
                if turns % 1024 == 0:
                    progress("objects", turns, None)
            del self._queues[self.level]

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to look at."""
        return not any(self._queues.values())

    def finish(self) -> None:
        """Follows the references in the queue, but not those found on the way."""
        for reference in [reference for level in sorted(self._queues) for reference in self._queues[level]]:
            if not isinstance(reference, Batch):
                self.turn(reference)
        self.drop()

    def drop(self) -> None:
        """Empties the queue."""
        self._queues.clear()

    def turn(self, reference: Reference) -> None:
        """Goes into a reference."""
        self.steps += 1
        kind = reference.kind
        try:
            if reference.depth >= self.depth and kind not in (Kind.MAP, Kind.STRUCT):
                self.too_deep += not (kind is Kind.POINTER and self.visitor.knows(reference))
            elif self.visitor.enters(reference):
                _CONTENTS[kind](self, reference)
        except GomapError as error:
            self.visitor.fails(reference.path, error)

    def check(self, found: Reference) -> None:
        """Raises GomapError for a pointer and a slice that no variable can have."""
        if found.kind is Kind.POINTER and self.room.is_code(found.address):
            raise GomapError(f"a pointer into the program's code, {found.address:#x}: uninitialized or corrupt")
        if found.kind is Kind.SLICE:
            start, length, room = found.words
            if length > room or not self.room.has(start, room * found.type.elem.size):
                what = f"a slice of length {length:,} and capacity {room:,}"
                raise GomapError(f"{what}: uninitialized or corrupt")

    def queue(self, found: Reference | Batch, level: int) -> None:
        """Puts what was found behind all else of its level: steps away from where the walk began."""
        queue = self._queues.get(level)
        if queue is None:
            queue = self._queues[level] = deque()
        queue.append(found)

    # -- values --------------------------------------------------------------------------------------

    def inside(
        self,
        owner: Reference,
        t: GoType,
        block: bytes | None,
        at: int,
        address: int | None,
        part: PathPart | None = None,
    ) -> None:
        """Comes to the references in a value that the owner leads to. block: bytes in which it starts at `at`; None
        where they can't be read in one piece. address: None in a register. part: of the path to it."""
        path = owner.path if part is None else Path(owner.path, part)
        if self.watch is not None and address is not None:
            self.watch(t, address, path)
        layout, word, depth, level = self.edges.of(t), self.word, owner.depth + 1, owner.level + 1
        words: tuple[int, ...] | None = None
        if block is not None:
            try:
                words = layout.unpack(block, at)
            except struct.error:
                raise MemoryFault(address or 0, t.size, "part of it is missing") from None
        for kind, offset, behind, first, last, fields, number, always in layout.edges:
            try:
                if words is not None:
                    own = words[first:last]
                else:
                    data = self._read((address or 0) + offset, (last - first) * word)
                    own = tuple(self.pointer_in(data, i) for i in range(0, len(data), word))
                if own[0] or always:
                    slot = None if address is None else address + offset
                    way = Path(path, fields) if fields else path
                    self.edge(Reference(kind, behind, own, slot, way, depth, level + number), block, at + offset)
            except GomapError as error:
                self.visitor.fails(Path(path, fields) if fields else path, error)

    def edge(self, found: Reference, block: bytes | None, at: int) -> None:
        """Comes to one of them, which lies there in the block."""
        kind, t = found.kind, found.type
        if kind is Kind.MAP:
            found.level = max(found.level - 1, 0)  # it is noted with what it lies in
        elif kind is Kind.POINTER:
            if self.inline and t.kind not in (Kind.STRUCT, Kind.ARRAY):
                found.path = Path(found.path, DEREF)
        elif kind is Kind.INTERFACE or kind is Kind.ARRAY:
            if found.depth >= self.depth:
                self.too_deep += 1
                return
            if kind is Kind.ARRAY:
                self.each_of(found, t.elem, t.length, block, at, found.slot)
                return
            first, word = found.words
            held, direct = self.types.held(first, t.methods)
            if not self.wanted(held):
                return
            found.path = Path(found.path, f".({held.name})")
            if direct:
                self.inside(found, held, self.target.arch.pack(word), 0, None)
                return
            found.kind, found.type, found.address = Kind.POINTER, held, word
        elif kind in (Kind.FUNC, Kind.STRUCT):  # what a sync.Map or a closure has is asked by its address
            if found.slot is None:
                return
            if kind is Kind.STRUCT:
                found.address = found.slot
        if not self.inline:
            if found.level > self.level or self._nested >= MAX_NESTED:
                self.queue(found, max(found.level, self.level))
            else:  # so that a large container of maps does not fill the queue
                self._nested += 1
                self.turn(found)
                self._nested -= 1
        elif kind is Kind.STRUCT:
            self._sync(found)
        elif kind is Kind.SLICE:
            self._each(found)
        elif self.visitor.meets(found):
            self.queue(found, self.level + 1)

    def each_of(
        self, found: Reference, t: GoType, length: int, block: bytes | None, at: int, address: int | None
    ) -> None:
        """Comes to the references in elements."""
        for i, data, start, where in self.elements(found, t, length, block, at, address):
            self.inside(found, t, data, start, where, i)

    def _each(self, found: Reference) -> None:
        """Comes to the elements of a slice, each by itself."""
        self.check(found)
        t = found.type.elem
        for i, data, at, where in self.elements(found, t, found.words[1], None, 0, found.address):
            if self._may_lead(t, data, at):
                one = Reference(Kind.POINTER, t, (where or 0,), None, Path(found.path, i), found.depth, found.level)
                if self.visitor.meets(one):
                    self.queue(one, self.level + 1)

    def _may_lead(self, t: GoType, block: bytes | None, at: int) -> bool:
        """A quick look at an element, of which there may be many."""
        if block is None or t.kind not in (Kind.POINTER, Kind.MAP, Kind.SLICE, Kind.INTERFACE):
            return True
        first = self.pointer_in(block, at)
        return first != 0 and (t.kind is not Kind.INTERFACE or self.wanted(self.types.held(first, t.methods)[0]))

    def block_of(self, address: int, t: GoType) -> bytes | None:
        """All of a value, unless it is large or part of it can't be read."""
        if t.size > SMALL:
            return None
        try:
            return self._read(address, t.size)
        except MemoryFault:
            return None

    def elements(
        self, found: Reference, t: GoType, length: int, block: bytes | None, at: int, address: int | None
    ) -> Iterator[tuple[int, bytes | None, int, int | None]]:
        """Elements of an array as (index, bytes they are in, where in these, address). Without `block` they are read
        in pieces: what can't be read ends it, however long it is said to be."""
        size, count, start = t.size, min(length, self.items) if t.size else 0, 0
        in_pieces, each = block is None, max(PIECE // (size or 1), 1)
        at = 0 if in_pieces else at
        for i in self.few(found, range(count), length):
            if in_pieces and i % each == 0 and address is not None:
                start, here = i, min(each, count - i) * size
                data = self._read(address + i * size, here if here <= PIECE else self.word)
                block = data if here <= PIECE else None
            yield i, block, at + (i - start) * size, None if address is None else address + i * size

    def few(self, found: Reference, items: Iterable[T], length: int | None) -> Iterator[T]:
        """As many of a container's elements or entries as are looked at."""
        count = 0
        for one in items:
            if count >= self.items or self.steps >= self.max_steps:
                break
            self.steps += 1
            count += 1
            yield one
        else:
            if length is None or count >= length or count < self.items:
                return
        self.visitor.cuts(found, count, length)

    # -- what references lead to ---------------------------------------------------------------------

    def behind(self, found: Reference, t: GoType, address: int, part: PathPart | None = None) -> None:
        """Looks at a value that the reference leads to."""
        try:
            block = self.block_of(address, t)
            if block is None:
                self._read(address, 1)  # a fault there is reported once, and not for every field
            self.inside(found, t, block, 0, address, part)
        except GomapError as error:
            self.visitor.fails(found.path, error)

    def _pointer(self, found: Reference) -> None:
        self.behind(found, found.type, found.address)

    def _slice(self, found: Reference) -> None:
        t, length = found.type.elem, found.words[1]
        if batches.in_batch(self, t, length):
            start = found.address
            addresses = array("Q", range(start, start + length * t.size, t.size))
            batches.go_into(self, Batch(t, addresses, Elements(found.path), found.path, found.depth, found.level))
            return
        self.each_of(found, found.type.elem, found.words[1], None, 0, found.address)

    def _map(self, found: Reference) -> None:
        t = found.type
        elems, keys = self.wanted(t.elem), self.wanted(t.key)
        if not elems and not keys:
            return
        if found.depth >= self.depth:
            self.too_deep += 1
            return
        one = self.visitor.view(found)
        if self.steps + one.size > self.max_steps:
            self.visitor.cuts(found, 0, one.count)
            return
        self.steps += one.size
        if elems and not keys and batches.in_batch(self, t.elem, one.count) and not holds_interface(t.key):
            batches.entries(self, found, one)
            return
        spelt = t.key.kind in SCALAR_KINDS or one.count <= MAX_SPELT
        alike: frozenset[str] = frozenset()
        if spelt and holds_interface(t.key):
            alike = self.names.values.alike((t.key, entry.key) for entry in counted(one.count, one.entries()))
        for entry in self.few(found, counted(one.count, one.entries()), one.count):
            for wanted, part, data, at, form in (
                (elems, t.elem, entry.elem, entry.elem_address, "[{}]"),
                (keys, t.key, entry.key, entry.key_address, ".key({})"),
            ):
                if wanted and data is not None:
                    told = spelt and not (alike and self.names.key(t.key, entry.key) in alike)
                    key = KeyPart(t.key, entry.key, form if told else "", part, at)
                    self.inside(found, part, data, 0, at, key)

    def _channel(self, found: Reference) -> None:
        """The values in a channel's buffer, oldest first: runtime.hchan of runtime/chan.go."""
        hchan, t = self.target.find_type("runtime.hchan"), found.type.elem
        if hchan is None:
            return
        record = read_record(self.target, hchan, found.address)
        waiting, room, start, first = (record[name] for name in ("qcount", "dataqsiz", "buf", "recvx"))
        if waiting > room or not t.size:
            return
        if not self.room.has(start, room * t.size):
            raise GomapError(f"a channel of capacity {room:,}: uninitialized or corrupt")
        for i in self.few(found, range(waiting), waiting):
            self.behind(found, t, start + (first + i) % room * t.size, i)

    def _closure(self, found: Reference) -> None:
        """What a func value's closure captured: runtime.funcval of runtime/runtime2.go, the code's address first."""
        for name, t, address in self.closures.variables(found.address, found.slot or 0, self.wanted):
            # Of several that only their names tell apart none is named: "a or b".
            text = f".{name}" if name.isidentifier() else self.names.at(t, address)
            self.inside(found, t, self.block_of(address, t), 0, address, CapturedName(text))

    def _sync(self, found: Reference) -> None:
        """Keys and values of a sync.Map, whichever way it keeps them."""
        if found.depth >= self.depth:
            self.too_deep += 1
            return
        variable, alike = Variable("", found.type, found.address), frozenset[str]()
        entries = syncmap.entries(self.target, variable)
        first = [*islice(syncmap.entries(self.target, variable), 1)]
        if first and holds_interface(first[0].key_type):
            every = islice(syncmap.entries(self.target, variable), MAX_SPELT)
            alike = self.names.values.alike((one.key_type, self._key(one.key_type, one.key_address)) for one in every)
        for count, entry in enumerate(self.few(found, entries, None)):
            key: bytes | None = None
            for form, t, at in (
                (".Load({})", entry.value_type, entry.value_address),
                (".key({})", entry.key_type, entry.key_address),
            ):
                if self.wanted(t):
                    key = self._key(entry.key_type, entry.key_address) if key is None else key
                    told = count < MAX_SPELT and not (alike and self.names.key(entry.key_type, key) in alike)
                    self.behind(found, t, at, KeyPart(entry.key_type, key, form if told else "", t, at))

    def _key(self, t: GoType, address: int) -> bytes | None:
        try:
            return self._read(address, t.size) if t.size <= MAX_ITEM else None
        except MemoryFault:
            return None


_CONTENTS = {
    Kind.POINTER: GraphWalk._pointer,
    Kind.SLICE: GraphWalk._slice,
    Kind.MAP: GraphWalk._map,
    Kind.CHAN: GraphWalk._channel,
    Kind.FUNC: GraphWalk._closure,
    Kind.STRUCT: GraphWalk._sync,
}
