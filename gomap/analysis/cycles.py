"""What leads back to itself through maps, pointers, slices, arrays, structs and interfaces.

An object is what a reference leads to, told by its address and type: a map's header, what a pointer points
to, an element of a slice's array, what an interface holds. Whoever follows references by type without
remembering where it was, as a deep copy does, never ends exactly if it comes to one object twice on a way.

Objects are found breadth first, so each has a shortest way from the start, and their references are kept as
numbers alone; strongly connected components (Tarjan, without recursion) hold the cycles. How a reference is
written is looked up again for the few that are told.
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from gomap.anomaly import Anomaly
from gomap.errors import GomapError, OptimizedOut
from gomap.golang import syncmap
from gomap.golang.heap import Room
from gomap.golang.rtype import Types, dynamic
from gomap.golang.structure import counted
from gomap.gotypes import Alike, GoType, Kind
from gomap.maps import nonsense, view
from gomap.progress import Progress, silent
from gomap.target import Target, Variable
from gomap.values import Limits, Values

MAX_OBJECTS = 1 << 20
MAX_REFERENCES = 1 << 22
#: Elements of one slice, array or map, and of all of them.
MAX_ITEMS = 1 << 20
MAX_SCANNED = 1 << 23
#: References that close a cycle, of which the cycle is worked out; and references followed meanwhile.
MAX_CLOSING = 256
MAX_WORK = 1 << 22
#: References of a path that are spelt out, of longer ones the first and the last; objects of a cycle that are listed.
FIRST_STEPS, LAST_STEPS = 12, 4
LISTED = 64
MAX_TYPES = 1 << 14
MAX_TOLD = 16
#: Kinds that lead nowhere when their first word is zero.
WORDS = frozenset({Kind.POINTER, Kind.MAP, Kind.SLICE, Kind.INTERFACE})
#: A value of this size is read at once.
BLOCK = 1 << 16
#: A reference to an object that was left out.
MISSING = (1 << 32) - 1


@dataclass(frozen=True)
class Text:
    """A part of a path as it stands."""

    text: str


@dataclass(frozen=True)
class Key:
    """A part of a path: a map's key. form: how it is written, with {} for the key."""

    type: GoType
    data: bytes | None
    form: str = "[{}]"


class Deref:
    """A part of a path: what a pointer points to, where Go wants that written down."""


#: An index, or one of the above.
Part = Union[int, Text, Key, Deref]
Path = tuple[Part, ...]


class Reference(NamedTuple):
    """header: `address` is that of a map's header, and type the map's; else a value of the type lies there."""

    path: Path
    address: int
    type: GoType
    header: bool = False


class Plan(NamedTuple):
    """What to look at in a struct: (start, end, type, path, whether nothing is there when the first word is zero) of
    its fields and what they consist of; or where an atomic.Pointer has its word and what that points to; or that it
    is a sync.Map."""

    type: GoType
    fields: tuple[tuple[int, int, GoType, Path, bool], ...]
    pointer: tuple[int, GoType] | None
    sync: bool


class Object(NamedTuple):
    address: int
    type: GoType
    header: bool


@dataclass(frozen=True)
class Cycle:
    """start: how its first object is written, the nearest to the variable; steps: of each of its references, None
    where some are left out; objects: those on it that the steps start from; own: it is in what the variable itself
    holds or points to."""

    start: str
    whole: str
    steps: list[str | None]
    objects: list[Object]
    length: int
    own: bool


@dataclass
class Found:
    """objects: how many the variable leads to that can be part of a cycle; of: number of cycles, None when there
    are more than were worked out. shortened: what was not looked at: (what, how much was, of how much)."""

    objects: int = 0
    possible: bool = True
    cycles: list[Cycle] = field(default_factory=list)
    of: int | None = 0
    shortened: list[tuple[str, int, int | None]] = field(default_factory=list)
    unread: int = 0
    interrupted: bool = False
    anomalies: list[Anomaly] = field(default_factory=list)


def find(target: Target, variable: Variable, limit: int, progress: Progress = silent) -> Found:
    """The cycles that a variable leads to, at most `limit` of them, nearest first. Ctrl-C ends the search with what
    it has."""
    graph = _Graph(target, variable)
    found = Found(possible=graph.can_cycle(variable.type))
    if found.possible:
        try:
            graph.explore(progress)
        except KeyboardInterrupt:
            found.interrupted = True
            graph.close()
        found.objects = len(graph.objects) - (0 not in graph.targets)
        chosen, complete = _cycles(graph)
        found.of = len(chosen) if complete else None
        found.cycles = [graph.told(cycle) for cycle in chosen[:limit]]
    found.shortened, found.unread, found.anomalies = graph.shortened, graph.unread, graph.anomalies
    return found


class _Graph:
    """Objects by number, 0 being the variable itself; targets[starts[i]:starts[i + 1]] are those that i leads to."""

    def __init__(self, target: Target, variable: Variable) -> None:
        self.target = target
        self.variable = variable
        self.types = Types(target)
        self.room = Room(target)
        self.values = Values(target, Limits(depth=2, text=128, total=256), self.types, comments=False)
        self.objects: list[Object] = [Object(variable.address or 0, variable.type, False)]
        self.starts, self.targets = array("Q", [0]), array("L")
        self.parents, self.parent_edges = array("L", [0]), array("Q", [0])
        self.shortened: list[tuple[str, int, int | None]] = []
        self.anomalies: list[Anomaly] = []
        self.unread = 0
        self._scanned = 0
        self._alike = Alike()
        self._known: dict[tuple[int, int], int] = {}
        self._possible: dict[int, tuple[GoType, bool]] = {}
        self._synced: dict[int, tuple[GoType, bool]] = {}
        self._plans: dict[int, Plan] = {}
        self._leading: dict[tuple[bool, bytes], bool] = {}
        if variable.address is not None:
            self._known[self._key(variable.address, variable.type, False)] = 0

    # -- types -----------------------------------------------------------------------------------

    def can_cycle(self, t: GoType) -> bool:
        """Whether a value of type t can lead to a cycle: to an interface, or to a type that leads to itself."""
        known = self._possible.get(id(t))
        if known is not None:
            return known[1]
        stack = [(t, iter(self._parts(t)))]
        on_stack = {id(t)}
        answer = t.kind is Kind.INTERFACE or self._is_sync(t)
        while stack and not answer:
            top, parts = stack[-1]
            part = next(parts, None)
            if part is None:
                stack.pop()
                on_stack.discard(id(top))
                self._possible[id(top)] = top, False
                continue
            known = self._possible.get(id(part))
            answer = part.kind is Kind.INTERFACE or id(part) in on_stack or self._is_sync(part)
            answer = answer or len(stack) > MAX_TYPES or (known is not None and known[1])
            if known is None:
                stack.append((part, iter(self._parts(part))))
                on_stack.add(id(part))
        for top, _ in stack:  # each leads to the next
            self._possible[id(top)] = top, True
        return self._possible.setdefault(id(t), (t, answer))[1]

    def _is_sync(self, t: GoType) -> bool:
        if t.kind is not Kind.STRUCT or len(t.fields) < 2:
            return False
        known = self._synced.get(id(t))
        if known is None:
            try:
                known = t, syncmap.detect(self.target, t) is not None
            except GomapError:
                known = t, False
            self._synced[id(t)] = known
        return known[1]

    def _parts(self, t: GoType) -> list[GoType]:
        """Types of what a value of type t consists of or points to."""
        try:
            if t.kind is Kind.STRUCT:
                pointer = syncmap.atomic_pointee(t)
                return [pointer[1]] if pointer else [f.type for f in t.fields if f.name != "_"]
            if t.kind is Kind.MAP:
                return [t.key, t.elem]
            if t.kind in (Kind.POINTER, Kind.SLICE) or (t.kind is Kind.ARRAY and t.length):
                return [t.elem]
        except GomapError:  # an image has no more of its types than was asked for
            what = f"what a value of type {t.name} leads to is not known here"
            self.unread += 1
            if len(self.anomalies) < MAX_TOLD:
                self.anomalies.append(Anomaly("warning", "unknown-type", what))
        return []

    # -- objects ---------------------------------------------------------------------------------

    def _key(self, address: int, t: GoType, header: bool) -> tuple[int, int]:
        """What tells objects apart. A map's header is one object under whatever name its type has."""
        return address, -1 if header else self._alike.number(t)

    def explore(self, progress: Progress) -> None:
        """Finds every object, breadth first."""
        at = 0
        while at < len(self.objects) and len(self.targets) < MAX_REFERENCES:
            try:
                self._explore(at)
            except OptimizedOut:
                if not at:
                    raise
            except GomapError as error:
                self._unreadable(self.objects[at], error)
            self.starts.append(len(self.targets))
            at += 1
            if at % 1024 == 0:
                progress("objects", at, None)
        if at < len(self.objects):
            self._cut("references", MAX_REFERENCES, None)
        self.close()

    def close(self) -> None:
        """Objects that were not looked into lead nowhere. Ctrl-C may have come between two lines of _explore."""
        del self.objects[len(self.parent_edges) :]
        while len(self.starts) <= len(self.objects):
            self.starts.append(len(self.targets))

    def _explore(self, at: int) -> None:
        for reference in self.references(at):
            if len(self.targets) >= MAX_REFERENCES:
                self._cut("references", MAX_REFERENCES, None)
                return
            key = self._key(reference.address, reference.type, reference.header)
            number = self._known.get(key)
            if number is None:
                if len(self.objects) >= MAX_OBJECTS:
                    self._cut("objects", MAX_OBJECTS, None)
                    self.targets.append(MISSING)
                    continue
                number = self._known[key] = len(self.objects)
                self.objects.append(Object(reference.address, reference.type, reference.header))
                self.parents.append(at)
                self.parent_edges.append(len(self.targets))
            self.targets.append(number)

    def _cut(self, what: str, shown: int, of: int | None) -> None:
        if not any(told[0] == what for told in self.shortened):
            self.shortened.append((what, shown, of))

    def _unreadable(self, one: Object, error: GomapError) -> None:
        self.unread += 1
        if len(self.anomalies) < MAX_TOLD:
            what = f"{one.type.name} at {one.address:#x}: {error}"
            self.anomalies.append(Anomaly("warning", "unreadable", what, getattr(error, "address", one.address)))

    # -- references ------------------------------------------------------------------------------

    def references(self, number: int) -> Iterator[Reference]:
        """What the object leads to, in an order that stays the same. Raises MemoryFault and other GomapErrors."""
        one = self.objects[number]
        if one.header:
            yield from self._map(one)
        elif not number:
            variable = self.variable
            if variable.address is None:
                data = variable.content(self.target.memory)
                yield from self._inside(variable.type, data, 0, ())
                return
            yield from self._at(one.type, one.address, ())
        else:
            yield from self._at(one.type, one.address, ())

    def _map(self, one: Object) -> Iterator[Reference]:
        t = one.type
        elems, keys = self.can_cycle(t.elem), self.can_cycle(t.key)
        found = view(self.target, t, one.address)
        wrong = nonsense(found, self.room)
        if wrong is not None:
            raise GomapError(f"no map, or corrupt: {wrong}")
        self._scanned += found.size
        for count, entry in enumerate(counted(found.count, found.entries())):
            if not self._may_look(count, None):
                return
            if elems and entry.elem is not None:
                yield from self._inside(t.elem, entry.elem, entry.elem_address, (Key(t.key, entry.key),))
            if keys and entry.key is not None:
                yield from self._inside(t.key, entry.key, entry.key_address, (Key(t.key, entry.key, ".key({})"),))

    def _at(self, t: GoType, address: int, path: Path) -> Iterator[Reference]:
        """References in a value that lies at the address, which may be large."""
        if t.size <= BLOCK:
            if t.size:
                yield from self._inside(t, self.target.memory.read(address, t.size), address, path)
        elif t.kind is Kind.ARRAY:
            for i, data, where in self._elements(t.elem, address, t.length):
                yield from self._inside(t.elem, data, where, (*path, i))
        else:
            for f in t.fields:
                if self.can_cycle(f.type):
                    yield from self._at(f.type, address + f.offset, (*path, Text("." + f.name)))

    def _elements(self, elem: GoType, address: int, length: int) -> Iterator[tuple[int, bytes, int]]:
        """(index, bytes, address) of the elements of an array, read in blocks."""
        if not elem.size:
            return
        step = max(BLOCK // elem.size, 1)
        for first in range(0, length, step):
            here = min(step, length - first)
            start = address + first * elem.size
            data = self.target.memory.read(start, here * elem.size)
            for i in range(here):
                if not self._may_look(first + i, length):
                    return
                yield first + i, data[i * elem.size : (i + 1) * elem.size], start + i * elem.size

    def _may_look(self, count: int, length: int | None) -> bool:
        self._scanned += 1
        if count >= MAX_ITEMS or self._scanned > MAX_SCANNED:
            self._cut("elements of one slice, array or map" if count >= MAX_ITEMS else "elements", count, length)
            return False
        return True

    def _inside(self, t: GoType, data: bytes, at: int, path: Path) -> Iterator[Reference]:
        """References in the bytes of a value of type t that lies at `at` (0: in a register)."""
        kind, arch = t.kind, self.target.arch
        if kind is Kind.POINTER:
            address = arch.pointer(data)
            if address and self.can_cycle(t.elem):
                implied = t.elem.kind in (Kind.STRUCT, Kind.ARRAY)
                yield Reference(path if implied else (*path, Deref()), address, t.elem)
        elif kind is Kind.MAP:
            address = arch.pointer(data)
            if address and self.can_cycle(t):
                yield Reference(path, address, t, header=True)
        elif kind is Kind.INTERFACE:
            held = dynamic(self.types, t, data)
            if held is None or not self.can_cycle(held[0]):
                return
            inner, word, direct = held
            path = (*path, Text(f".({inner.name})"))
            if direct:
                yield from self._inside(inner, arch.pack(word), 0, path)
            else:
                yield Reference(path, word, inner)
        elif kind is Kind.SLICE:
            start, length = arch.pointer(data), arch.pointer(data, arch.pointer_size)
            if start and length and self.can_cycle(t.elem):
                for i, content, where in self._elements(t.elem, start, length):
                    if self._may_lead(t.elem, content):
                        yield Reference((*path, i), where, t.elem)
        elif kind is Kind.ARRAY:
            if self.can_cycle(t.elem):
                elem, size, nothing = t.elem, t.elem.size, bytes(arch.pointer_size)
                by_word = elem.kind in WORDS
                for i in range(t.length):
                    part = data[i * size : (i + 1) * size]
                    if not by_word or part[: len(nothing)] != nothing:
                        yield from self._inside(elem, part, at and at + i * size, (*path, i))
        elif kind is Kind.STRUCT:
            yield from self._struct(t, data, at, path)

    def _may_lead(self, t: GoType, data: bytes) -> bool:
        """A quick look at an element, of which there may be many."""
        if t.kind is Kind.INTERFACE:
            head = t.methods, data[: self.target.arch.pointer_size]
            known = self._leading.get(head)
            if known is None:
                held = dynamic(self.types, t, data)
                known = self._leading[head] = held is not None and self.can_cycle(held[0])
            return known
        if t.kind in (Kind.POINTER, Kind.MAP, Kind.SLICE):
            return any(data[: self.target.arch.pointer_size])
        return True

    def _plan(self, t: GoType) -> Plan:
        found = self._plans.get(id(t))
        if found is None:
            pointer, sync = syncmap.atomic_pointee(t), self._is_sync(t)
            parts = () if pointer or sync else tuple(self._leaves(t, 0, ()))
            found = self._plans[id(t)] = Plan(t, parts, pointer, sync)
        return found

    def _leaves(self, t: GoType, start: int, path: Path) -> Iterator[tuple[int, int, GoType, Path, bool]]:
        """What a struct consists of, down to what can lead somewhere."""
        for f in t.fields:
            if not f.type.size or not self.can_cycle(f.type):
                continue
            at, way = start + f.offset, (*path, Text("." + f.name))
            plain = f.type.kind is Kind.STRUCT and syncmap.atomic_pointee(f.type) is None and not self._is_sync(f.type)
            if plain:
                yield from self._leaves(f.type, at, way)
            else:
                yield at, at + f.type.size, f.type, way, f.type.kind in WORDS

    def _struct(self, t: GoType, data: bytes, at: int, path: Path) -> Iterator[Reference]:
        plan = self._plan(t)
        if plan.pointer is not None:
            offset, elem = plan.pointer
            address = self.target.arch.pointer(data, offset)
            if address and self.can_cycle(elem):
                path = (*path, Text(".Load()"))
                implied = elem.kind in (Kind.STRUCT, Kind.ARRAY)
                yield Reference(path if implied else (*path, Deref()), address, elem)
        elif plan.sync:
            if at:
                yield from self._sync(t, at, path)
        else:
            word = self.target.arch.pointer_size
            nothing = bytes(word)
            for start, end, inner, way, by_word in plan.fields:
                if by_word and data[start : start + word] == nothing:
                    continue
                yield from self._inside(inner, data[start:end], at and at + start, (*path, *way))

    def _sync(self, t: GoType, at: int, path: Path) -> Iterator[Reference]:
        memory = self.target.memory
        for count, entry in enumerate(syncmap.entries(self.target, Variable("", t, at))):
            if not self._may_look(count, None):
                return
            key = memory.read(entry.key_address, entry.key_type.size)
            value = memory.read(entry.value_address, entry.value_type.size)
            part = Key(entry.key_type, key, ".Load({})")
            yield from self._inside(entry.value_type, value, entry.value_address, (*path, part))
            part = Key(entry.key_type, key, ".key({})")
            yield from self._inside(entry.key_type, key, entry.key_address, (*path, part))

    # -- words -----------------------------------------------------------------------------------

    def reference(self, edge: int) -> Reference | None:
        """The reference of that number; None where memory has changed, or can't be read any more."""
        number = _owner(self.starts, edge)
        for i, reference in enumerate(self.references(number)):
            if self.starts[number] + i == edge:
                return reference
        return None

    def path_of(self, edge: int) -> Path:
        found = self.reference(edge)
        return (Text("?"),) if found is None else found.path

    def spelt(self, text: str, edge: int) -> str:
        """The text with the reference behind it. Where one of its keys is too long what it leads to is named instead,
        as 0xADDR:TYPE in brackets."""
        found = self.reference(edge)
        self.values.cut = False
        for part in self.path_of(edge):
            if isinstance(part, Deref):
                text = f"(*{text})"
            elif isinstance(part, Key):
                text += part.form.format(self.values.key_text(part.type, part.data))
            else:
                text += part.text if isinstance(part, Text) else f"[{part}]"
        return _at(found.address, found.type) if self.values.cut and found is not None else text

    def spelt_out(self, text: str, edges: Sequence[int]) -> tuple[str, list[str | None]]:
        """(the text with all these references behind it, each one's own part of it or None where cut)."""
        parts: list[str | None] = []
        cut = len(edges) - FIRST_STEPS - LAST_STEPS
        for i, edge in enumerate(edges):
            if cut > 0 and FIRST_STEPS <= i < FIRST_STEPS + cut:
                if i == FIRST_STEPS:
                    text += f" ...{cut:,} more... "
                    parts.append(None)
                continue
            parts.append(self.spelt("", edge))
            text = self.spelt(text, edge)
        return text, parts

    def told(self, edges: list[int]) -> Cycle:
        """A cycle in words, from the object of it that is nearest to the variable."""
        owners = [_owner(self.starts, edge) for edge in edges]
        first = owners.index(min(owners))
        edges, owners = edges[first:] + edges[:first], owners[first:] + owners[:first]
        way, number = [], owners[0]
        while number:
            way.append(self.parent_edges[number])
            number = self.parents[number]
        name = self.variable.name
        first_object = self.objects[owners[0]]
        if len(way) > FIRST_STEPS + LAST_STEPS:
            start = _at(first_object.address, first_object.type)
        else:
            start, _ = self.spelt_out(f"({name})" if ":" in name and name[0] != "(" else name, way[::-1])
        whole, steps = self.spelt_out(start, edges)
        parts = [part for edge in way[:FIRST_STEPS] for part in self.path_of(edge)]
        if self.variable.type.kind is Kind.SLICE and len(way) == 1:
            parts = parts[1:]  # an element is what a slice contains
        own = len(way) < FIRST_STEPS and all(_is_own(part) for part in parts)
        shown = owners[:LISTED]
        return Cycle(start, whole, steps, [self.objects[n] for n in shown], len(edges), own)


def _at(address: int, t: GoType) -> str:
    """What names a value where its path is too long (expr.resolve)."""
    return f"({address:#x}:{t.name})"


def _is_own(part: Part) -> bool:
    """Whether this part of a path leads to what the variable itself holds or points to."""
    return isinstance(part, Deref) or (isinstance(part, Text) and part.text.startswith(".("))


def _owner(starts: Sequence[int], edge: int) -> int:
    """The object that a reference belongs to."""
    return bisect.bisect_right(starts, edge) - 1


def _components(graph: _Graph) -> array[int]:
    """The strongly connected component of each object, by number: Tarjan's algorithm with a stack of its own."""
    count = len(graph.objects)
    starts, targets = graph.starts, graph.targets
    order, low = array("L", bytes(array("L").itemsize * count)), array("L", bytes(array("L").itemsize * count))
    component = array("l", [-1]) * count
    waiting: list[int] = []
    seen = components = 0
    for root in range(count):
        if order[root]:
            continue
        seen += 1
        order[root] = low[root] = seen
        waiting.append(root)
        stack = [(root, starts[root])]
        while stack:
            node, edge = stack.pop()
            end = starts[node + 1]
            while edge < end:
                other = targets[edge]
                edge += 1
                if other == MISSING:
                    continue
                if not order[other]:
                    stack.append((node, edge))
                    seen += 1
                    order[other] = low[other] = seen
                    waiting.append(other)
                    stack.append((other, starts[other]))
                    break
                if component[other] < 0:
                    low[node] = min(low[node], order[other])
            else:
                if low[node] == order[node]:
                    while True:
                        member = waiting.pop()
                        component[member] = components
                        if member == node:
                            break
                    components += 1
                if stack:
                    above = stack[-1][0]
                    low[above] = min(low[above], low[node])
    return component


def _closing(graph: _Graph, component: array[int]) -> list[tuple[int, int, int]]:
    """References within a component to an object that was found no later: (to, from, number of the reference).

    Every cycle has one of them. The nearest to the variable come first.
    """
    found = []
    for node in range(len(graph.objects)):
        mine = component[node]
        for edge in range(graph.starts[node], graph.starts[node + 1]):
            other = graph.targets[edge]
            if other <= node and component[other] == mine:  # MISSING is larger than any
                found.append((other, node, edge))
    found.sort()
    return found


def _cycles(graph: _Graph) -> tuple[list[list[int]], bool]:
    """(the shortest cycle through each closing reference, as references, each cycle once; whether that is all)."""
    found: dict[frozenset[int], list[int]] = {}
    component = _components(graph)
    work = [MAX_WORK]
    for count, (start, end, edge) in enumerate(_closing(graph, component)):
        if count >= MAX_CLOSING:
            return list(found.values()), False
        way = _shortest(graph, component, start, end, work)
        if way is None:
            return list(found.values()), False
        cycle = [*way, edge]
        found.setdefault(frozenset(cycle), cycle)
    return list(found.values()), True


def _shortest(graph: _Graph, component: array[int], start: int, end: int, work: list[int]) -> list[int] | None:
    """References that lead from one object to another, as few as can be; None when work is used up."""
    came, mine = {start: -1}, component[start]
    level = [start]
    while end not in came and level:
        following = []
        for node in level:
            for edge in range(graph.starts[node], graph.starts[node + 1]):
                other = graph.targets[edge]
                work[0] -= 1
                if other not in came and other != MISSING and component[other] == mine:
                    came[other] = edge
                    following.append(other)
        if work[0] < 0 and end not in came:
            return None
        level = following
    way = []
    while end != start:
        way.append(came[end])
        end = _owner(graph.starts, came[end])
    return way[::-1]
