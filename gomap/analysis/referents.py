"""The memory that the keys and values of maps keep alive: what they point to, each block of the heap once.

Types say where pointers lie, the heap's spans how large the block is that one points into. Nested maps and sync.Maps
belong to themselves, and what lies outside of the heap (constants, package variables, stacks) is kept alive by others.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress

from gomap import syncmap
from gomap.columns.marks import SLOTS
from gomap.columns.plain import words
from gomap.errors import GomapError, MemoryFault
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime.heap import IN_USE, PAGE_SIZE, Heap
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind, has_pointers
from gomap.graph.edges import Edge, Edges, Unpack, unpacker
from gomap.reads import gather
from gomap.target import Target, Variable, read_record

#: Values behind pointers that are looked into: more are not followed, and that is said.
MAX_FOLLOWED = 1 << 25
#: Arrays and parts of blocks that are kept in mind so as to be looked into once.
MAX_REMEMBERED = 1 << 22
#: Objects read at a time.
BATCH = 1 << 14
BLOCK, POINTER, SLICE, INTERFACE, CHANNEL = range(5)
_FOLLOWED = {Kind.POINTER: POINTER, Kind.SLICE: SLICE, Kind.CHAN: CHANNEL}
#: Marks of an object: not seen, counted, and from FIRST_TYPE on counted and looked into as the type of that number.
COUNTED, FIRST_TYPE, TYPES = 1, 2, 253
_NOTHING = bytearray()


@dataclass
class _Plan:
    """Where values of a type have pointers. words: offsets. ops: (what, index of its first word, type behind it)."""

    type: GoType
    number: int
    words: list[int] = field(default_factory=list)
    ops: list[tuple[int, int, GoType]] = field(default_factory=list)
    whole: bool = True  # all pointers are in it
    unpack: Unpack | None = None  # of what lies from the first word on
    pending: array[int] = field(default_factory=lambda: array("Q"))
    seen: set[int] = field(default_factory=set)


@dataclass
class Referents:
    """Counts what maps keep alive. Every block is counted once, however many maps lead to it."""

    target: Target
    heap: Heap
    followed: int = 0
    cut: bool = False
    unreadable: int = 0
    _plans: dict[int, _Plan] = field(default_factory=dict)
    _marks: dict[int, bytearray] = field(default_factory=dict)
    _pages: dict[int, tuple[int, int, int, bytearray]] = field(default_factory=dict)
    _unknown: set[int] = field(default_factory=set)  # first words of interfaces that name no type
    _remembered: int = 0
    _work: list[_Plan] = field(default_factory=list)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self.edges = Edges(self.target, lambda t: t.kind is not Kind.MAP and has_pointers(t), flat=True)
        self.types = DescribedTypes(self.target)
        self._hchan = self.target.find_type("runtime.hchan")

    def of_map(self, found: MapView) -> int:
        """Bytes of the blocks that the map's entries keep alive and that were not counted before."""
        slots = found.shape.slots
        parts = [
            (self._plan(t), offset, stride, indirect)
            for t, offset, stride, indirect in (
                (slots.key, slots.keys_off, slots.key_stride, slots.indirect_key),
                (slots.elem, slots.elems_off, slots.elem_stride, slots.indirect_elem),
            )
            if has_pointers(t)
        ]
        self._bytes = 0
        parts = [part for part in parts if part[0].ops]
        if not parts:
            return 0
        live = found.marks.live
        arch = self.target.arch
        for data in found.contents():
            for slot in range(SLOTS):
                alive = data[slots.mark_offset(slot) :: slots.size].translate(live)
                for plan, offset, stride, indirect in parts:
                    at = offset + slot * stride
                    inside = [0] if indirect else plan.words
                    columns = [words(data, at + o, slots.size, arch.pointer_size, arch.byte_order) for o in inside]
                    rows = compress(zip(*columns), alive)
                    if indirect:  # the block behind the slot is the map's own
                        plan.pending.extend(row[0] for row in rows)
                        self._work.append(plan)
                    else:
                        self._rows(plan, rows)
            self._finish()
        return self._bytes

    def of_sync(self, variable: Variable) -> int:
        """The same of a sync.Map."""
        self._bytes = 0
        for entry in syncmap.entries(self.target, variable):
            for t, address in ((entry.key_type, entry.key_address), (entry.value_type, entry.value_address)):
                plan = self._plan(t)
                if plan.ops:
                    if not plan.pending:
                        self._work.append(plan)
                    plan.pending.append(address)
        for plan in self._work:
            plan.pending = array("Q", sorted(plan.pending))
        self._finish()
        return self._bytes

    # -- types ---------------------------------------------------------------------------------------

    def _plan(self, t: GoType) -> _Plan:
        plan = self._plans.get(id(t))
        if plan is None:
            plan = self._plans[id(t)] = _Plan(t, FIRST_TYPE + len(self._plans))
            edges, plan.whole = self.edges.of_type(t)
            for edge in edges:
                what, inside = self._operation(edge)
                if what is not None:
                    plan.ops.append((what, len(plan.words), edge.type if what == INTERFACE else inside))
                    further = {SLICE: (2,), INTERFACE: (1,)}.get(what, ())
                    plan.words += [edge.offset + i * self.target.arch.pointer_size for i in (0, *further)]
            if plan.words:
                plan.unpack = unpacker(self.target.arch, [offset - plan.words[0] for offset in plan.words])
        return plan

    def _operation(self, edge: Edge) -> tuple[int | None, GoType]:
        """(the function that handles the words of an edge, the type of the values that they lead to)."""
        kind, t = edge.kind, edge.type
        if kind in (Kind.MAP, Kind.STRUCT):
            return None, t
        if kind in (Kind.SLICE, Kind.CHAN):
            t = t.elem
        if kind is Kind.INTERFACE:
            return INTERFACE, t
        leads = kind in _FOLLOWED and has_pointers(t)
        return (_FOLLOWED[kind] if leads else BLOCK), t

    # -- pointers ------------------------------------------------------------------------------------

    def _page(self, address: int) -> tuple[int, int, int, bytearray]:
        """(start, bytes of an object, objects, their marks) of the span that address is in; outside of the heap
        none, and one object as large as everything."""
        try:
            span = self.heap.span_of(address)
        except MemoryFault:
            span = None
        found = (0, 1 << 70, 0, _NOTHING)
        if span is not None and span.state == IN_USE and span.object:
            marks = self._marks.get(span.start)
            if marks is None:
                marks = self._marks[span.start] = bytearray(min(span.objects, PAGE_SIZE))
            found = (span.start, span.object, len(marks), marks)
        self._pages[address // PAGE_SIZE] = found
        return found

    def _count(self, address: int) -> bool:
        """Counts the block that address is in; whether it is in the heap."""
        page = self._pages.get(address // PAGE_SIZE) or self._page(address)
        start, size, objects, marks = page
        index = (address - start) // size
        if index >= objects:
            return False
        if not marks[index]:
            marks[index] = COUNTED
            self._bytes += size
        return True

    def _follow(self, address: int, t: GoType) -> None:
        """Counts the block of a pointer to a t, and will look into it as one, once."""
        page = self._pages.get(address // PAGE_SIZE) or self._page(address)
        start, size, objects, marks = page
        index = (address - start) // size
        if index >= objects:
            return
        mark = marks[index]
        if not mark:
            mark = marks[index] = COUNTED
            self._bytes += size
        plan = self._plan(t)
        if mark == plan.number or not plan.ops:
            return
        # The mark says it for what lies first in its block (behind a malloc header): most do.
        if mark == COUNTED and (address - start) % size <= 8 and plan.number < TYPES:
            marks[index] = plan.number
        elif not self._first(plan, address, 0):
            return
        if not plan.pending:
            self._work.append(plan)
        plan.pending.append(address)

    def _first(self, plan: _Plan, address: int, capacity: int) -> bool:
        """Whether so many values at address are looked into for the first time."""
        key = address << 40 | capacity
        if key in plan.seen:
            return False
        if self._remembered >= MAX_REMEMBERED:
            self.cut = True
            return False
        self._remembered += 1
        plan.seen.add(key)
        return True

    def _follow_slice(self, address: int, capacity: int, t: GoType) -> None:
        if not capacity or not self._count(address):
            return
        start, size, _, _ = self._pages[address // PAGE_SIZE]
        room = size - (address - start) % size
        capacity = min(capacity, room // t.size if t.size else 0)
        plan = self._plan(t)
        if not plan.ops or not capacity or not self._first(plan, address, capacity):
            return
        if not plan.pending:
            self._work.append(plan)
        plan.pending.extend(range(address, address + capacity * t.size, t.size))

    def _follow_channel(self, address: int, t: GoType) -> None:
        """A channel's buffer is a block of its own where its elements have pointers: makechan of runtime/chan.go."""
        if not self._count(address) or self._hchan is None:
            return
        try:
            record = read_record(self.target, self._hchan, address)
        except MemoryFault:
            self.unreadable += 1
            return
        self._follow_slice(record["buf"], record["dataqsiz"], t)

    def _rows(self, plan: _Plan, rows: Iterable[Sequence[int]]) -> None:
        """Follows the pointers of values, given as the words of the plan."""
        ops = plan.ops
        if len(ops) == 1 and ops[0][0] == BLOCK:
            count = self._count
            for row in rows:
                if row[0]:
                    count(row[0])
            return
        for row in rows:
            for what, i, t in ops:
                pointer = row[i]
                if not pointer:
                    continue
                if what == BLOCK:
                    self._count(pointer)
                elif what == POINTER:
                    self._follow(pointer, t)
                elif what == SLICE:
                    self._follow_slice(pointer, row[i + 1], t)
                elif what == INTERFACE:
                    self._interface(pointer, row[i + 1], t.methods)
                else:
                    self._follow_channel(pointer, t)

    def _interface(self, first: int, word: int, methods: bool) -> None:
        try:
            t, direct = self.types.held(first, methods)
        except GomapError:
            if first not in self._unknown:
                self._unknown.add(first)
                self.unreadable += 1
            return
        if not word:
            return
        if not direct:
            if has_pointers(t):
                self._follow(word, t)
            else:
                self._count(word)
        else:
            plan = self._plan(t)
            if len(plan.words) == 1:  # a pointer, however it is wrapped; a map has none that is followed
                self._rows(plan, [(word,)])

    def _finish(self) -> None:
        """Looks into everything that was put aside, and what that leads to."""
        while self._work:
            plan = self._work.pop()
            pending, plan.pending = plan.pending, array("Q")
            if self.followed + len(pending) > MAX_FOLLOWED:
                self.cut = True
                continue
            self.followed += len(pending)
            for start in range(0, len(pending), BATCH):
                self._rows(plan, self._read(plan, pending[start : start + BATCH]))
            self.cut = self.cut or not plan.whole

    def _read(self, plan: _Plan, addresses: Sequence[int]) -> Iterator[Sequence[int]]:
        """The plan's words of the values at addresses."""
        if plan.unpack is None:
            return
        first = plan.words[0]
        size = plan.words[-1] + self.target.arch.pointer_size - first
        for _, data in gather(self.target.memory, [address + first for address in addresses], size):
            if data is None:
                self.unreadable += 1
            else:
                yield plan.unpack(data, 0)
