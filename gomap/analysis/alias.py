"""Which variables lead to one map, or to one bucket array."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from gomap.analysis.roots import MAX_PROBLEMS, Reach, Roots
from gomap.anomaly import Anomaly
from gomap.captures import Closures
from gomap.errors import GomapError, MemoryFault, OptimizedOut
from gomap.golang import syncmap
from gomap.golang.dictionaries import is_shaped
from gomap.golang.heap import SMALL, Room, Span
from gomap.golang.layout import MapView
from gomap.golang.malloc import allocator
from gomap.golang.rtype import Types, dynamic
from gomap.golang.slots import MAX_ITEM
from gomap.golang.structure import counted
from gomap.golang.syncmap import atomic_pointee
from gomap.gotypes import SCALAR_KINDS, Alike, GoType, Kind, can_reach_map, can_reach_slice, same
from gomap.maps import nonsense, view
from gomap.progress import Progress, silent
from gomap.syntax import closes
from gomap.target import Place, Target, Variable, read_record
from gomap.values import UNREADABLE, Limits, Values

#: How much of a large container is looked into, unless the caller asks for all.
MAX_ITEMS = 4096
ALL_ITEMS = 1 << 40
#: Pointers, elements and interfaces that are followed from a variable where the whole process is searched.
WHOLE_DEPTH = 128
MAX_VISITED = 1 << 22
MAX_STEPS = 1 << 25
#: Who has visited an object: package variables, frames, or a positive number: the goroutine of that id.
GLOBALS, FRAMES = 0, -1
#: bytes of a slice's array that are read at once.
PIECE = 64 << 10
#: How much of a key is spelt out in a path.
KEY = Limits(text=128, total=256)
#: Of a map with more entries only keys that are numbers or strings are spelt out in paths.
MAX_SPELT = 4096


@dataclass
class Holder:
    """A variable, or part of one, whose value is a map. address: where it lies, None in a register.

    also: other ways that lead to this same variable, from package variables and from frames.
    """

    path: str
    kind: str
    place: Place
    type: GoType
    address: int | None
    also: list[Holder] = field(default_factory=list)


@dataclass(frozen=True)
class Slice:
    """A slice that the search came to. address: the variable's; start: the array's element 0."""

    path: str
    place: Place
    type: GoType
    address: int | None
    start: int
    length: int
    room: int


@dataclass
class Group:
    """Holders of one map, or (shared_by `buckets`) of maps with different headers and shared buckets."""

    address: int
    buckets: int
    type: GoType
    count: int
    shared_by: str
    holders: list[Holder] = field(default_factory=list)
    headers: list[int] = field(default_factory=list)


@dataclass
class Found:
    """maps: header address -> holders. doubtful: the same of what can't be a map, with the reason: a variable that
    has not been set yet, debug information that is wrong, or a corrupt header. nil: holders of nil maps.
    syncs: address of a sync.Map -> its holders, each with its type; the maps inside of one are not in `maps`.
    shortened: containers seen in part only. not_followed: values that led nowhere; anomalies tell of the first few.
    dead: maps that dead variables alone lead to.

    interrupted: the user stopped the search, and this is what it had come to.
    """

    maps: dict[int, list[Holder]] = field(default_factory=dict)
    views: dict[int, MapView] = field(default_factory=dict)
    doubtful: dict[int, tuple[Holder, str]] = field(default_factory=dict)
    types: dict[int, GoType] = field(default_factory=dict)
    nil: list[Holder] = field(default_factory=list)
    syncs: dict[int, list[Holder]] = field(default_factory=dict)
    shortened: list[str] = field(default_factory=list)
    too_deep: int = 0
    not_followed: int = 0
    dead: int = 0
    interrupted: bool = False
    anomalies: list[Anomaly] = field(default_factory=list)


class _Step:
    """A value to look at: of type t, at `address` (None: in registers). block: bytes that were read already, in
    which the value starts at offset `at`; None where they could not be read in one piece."""

    __slots__ = ("address", "at", "block", "depth", "kind", "name", "place", "t")

    def __init__(
        self,
        t: GoType,
        name: str,
        kind: str,
        place: Place,
        depth: int,
        address: int | None,
        block: bytes | None,
        at: int = 0,
    ) -> None:
        self.t, self.name, self.kind, self.place, self.depth = t, name, kind, place, depth
        self.address, self.block, self.at = address, block, at


def holders(
    target: Target,
    roots: Iterable[Variable],
    depth: int,
    progress: Progress = silent,
    slices: list[Slice] | None = None,
    items: int = MAX_ITEMS,
    once: bool = False,
) -> Found:
    """Every map reachable from roots through structs, pointers, arrays, slices, interfaces, maps and channels.

    depth: how many of these are followed from a root. What a goroutine's variable points to is told for each
    goroutine; what lies behind further pointers is visited once from frames and once from package variables,
    so of each the shortest path is the one that is told. Ctrl-C ends the search with what it has.
    Variables with a doubt, which are dead, come last: a closure, a timer or the runtime may still have what they
    hold. They add maps that nothing else leads to and that are sound, and nothing that is wrong with them is told.
    slices: where slices are to be noted too; then the search goes where they can be.
    items: how many elements of one container are looked at. once: each object is visited once, whoever leads
    there: all maps are found, and not all of their holders.
    """
    search = HolderSearch(target, depth, items, once)
    if slices is not None:
        search.slices, search.reaches = slices, Reach(can_reach_slice)
    found = search.found
    try:
        search.run(roots, progress)
    except KeyboardInterrupt:
        found.interrupted = True
        for _ in range(len(search.queue)):  # what is known already; pressing again ends this too
            search.look(search.queue.popleft())
    if found.not_followed > MAX_PROBLEMS:
        what = f"{found.not_followed - MAX_PROBLEMS:,} more values could not be followed"
        found.anomalies.append(Anomaly("note", "not-followed", what))
    return found


def everywhere(target: Target, roots: Iterable[Variable], progress: Progress = silent, once: bool = False) -> Found:
    """holders() to the end of whatever the roots lead to."""
    return holders(target, roots, WHOLE_DEPTH, progress, items=ALL_ITEMS, once=once)


@dataclass
class HolderSearch:
    """One search. See holders."""

    target: Target
    depth: int
    items: int = MAX_ITEMS
    once: bool = False
    found: Found = field(default_factory=Found)
    queue: deque[_Step] = field(default_factory=deque)
    steps: int = 0
    visited: set[tuple[int, int, int]] = field(default_factory=set)
    alike: Alike = field(default_factory=Alike)
    located: dict[int, Holder] = field(default_factory=dict)
    slices: list[Slice] | None = None
    in_doubt: bool = False  # what is followed now belongs to dead variables
    collected: set[int | None] = field(default_factory=set)  # goroutines whose stacks the collector has seen so
    reaches: Reach = field(default_factory=lambda: Reach(can_reach_map))

    def __post_init__(self) -> None:
        self.types = Types(self.target)
        self.kept: list[GoType] = []
        self.room = Room(self.target)
        self.scopes: set[tuple[int | None, int | None, str]] = set()
        self.values = Values(self.target, KEY, self.types, comments=False)
        self.closures = Closures(self.target, self.room, self.types, self.found.types.get)
        self.fields: dict[int, tuple[list[tuple[str, GoType, int]], tuple[int, GoType] | None]] = {}
        self.syncs: dict[int, bool] = {}  # id of a struct type -> whether it is a sync.Map
        self.opened: set[tuple[int, int]] = set()  # sync.Maps whose entries were visited, and by whom
        self.word = self.target.arch.pointer_size
        self.pointer = self.target.arch.pointer
        self.read = self.target.memory.read

    def run(self, roots: Iterable[Variable], progress: Progress) -> None:
        """Looks at whatever the roots lead to, the nearest first."""
        found_here = isinstance(roots, Roots)  # else the user has named them
        dead: list[Variable] = []
        for root in roots:
            named = not found_here or self.is_named(root)
            one = root if named else replace(root, name=self.by_address(root))
            if found_here and root.doubt is not None:
                dead.append(one)
            else:
                self.start(one)
        self.go_on(progress)
        if self.queue:
            self.found.shortened.append(f"the search stopped after {len(self.visited):,} objects")
        elif self.slices is None and isinstance(roots, Roots):
            self.collected = {goid for goid, one in roots.searched.items() if one.collected}
            self.add_dead(dead, progress)

    def is_named(self, root: Variable) -> bool:
        """Whether the root's name leads to it: not past a variable of an inner scope that has the name too, and not to
        part of a variable, to which the compiler gives a name like s.ptr."""
        place = root.place
        if place.frame is None:
            return True
        scope = place.goroutine, place.frame, root.name
        hidden = scope in self.scopes
        self.scopes.add(scope)
        return not hidden and "." not in root.name

    def by_address(self, root: Variable) -> str:
        """What names a root that has no name."""
        try:
            word = self.pointer(root.read(self.target.memory, 0, self.word))
        except GomapError:
            word = 0
        if root.type.kind is Kind.POINTER:
            return f"({root.type.name})({word:#x})"
        return self._at_address(root.type, root.address, self.target.arch.pack(word))

    def go_on(self, progress: Progress) -> None:
        """Looks at what is in the queue, and at what comes into it."""
        while self.queue and len(self.visited) < MAX_VISITED and self.steps < MAX_STEPS:
            self.look(self.queue.popleft())
            self.steps += 1
            if self.steps % 4096 == 0:
                progress("objects", len(self.visited), None)

    def add_dead(self, roots: Sequence[Variable], progress: Progress) -> None:
        """Adds the maps that dead variables alone lead to."""
        found = self.found
        known = len(found.maps) + len(found.syncs)
        too_deep, shortened = found.too_deep, len(found.shortened)
        self.in_doubt = True
        try:
            for root in roots:
                with suppress(GomapError):
                    self.start(root)
            self.go_on(progress)
        finally:
            self.queue.clear()
            found.dead = len(found.maps) + len(found.syncs) - known
            found.too_deep = too_deep
            del found.shortened[shortened:]

    def start(self, root: Variable, kind: str | None = None) -> None:
        """Puts a root in the queue; of a struct that the compiler keeps in part, the fields that it keeps."""
        t, place = root.type, root.place
        if not self.reaches(t):
            return
        if root.data is not None or root.address is None:
            memory = self.target.memory
            try:
                block: bytes | None = root.content(memory) if self.slices is None else root.read(memory, 0, t.size)
            except OptimizedOut:
                for f in t.fields if root.data is not None else ():
                    self.start(root.part(f"{root.name}.{f.name}", f.type, f.offset), "field")
                return
        else:
            block = self._block(root.address, t)
        self.queue.append(_Step(t, root.name, kind or place.kind, place, 0, root.address, block))

    def look(self, step: _Step) -> None:
        """Notes the map that the step holds, or puts what lies behind it in the queue."""
        try:
            self._look(step)
        except GomapError as error:
            message, at = f"{step.name}{_in(step.place)}: {error}", getattr(error, "address", None)
            self._tell(Anomaly("warning", "unreadable", message, at))

    def _tell(self, anomaly: Anomaly) -> None:
        if self.in_doubt:
            return
        found = self.found
        found.not_followed += 1
        if found.not_followed <= MAX_PROBLEMS:
            found.anomalies.append(anomaly)

    def _look(self, step: _Step) -> None:
        t = step.t
        kind = t.kind
        if kind is Kind.STRUCT:
            if step.address is not None and self._is_sync(t):
                self._sync(step, step.address)
                return
            parts, atomic = self._fields(t)
            if atomic is not None:
                self._atomic(step, *atomic)
            for suffix, part, offset in parts:
                self._part(step, suffix, part, offset, "field", step.depth)
        elif kind is Kind.MAP:
            self._map(step)
        elif step.depth >= self.depth:
            self.found.too_deep += not self._was_visited(step)
        elif kind is Kind.POINTER:
            address = self._pointer_at(step)
            if self.room.is_code(address):
                raise GomapError(f"a pointer into the program's code, {address:#x}: not set yet, or corrupt")
            if address and self.reaches(t.elem) and self._first_visit(step, address, t.elem):
                self._at(step, step.name, t.elem, address, step.kind)
        elif kind is Kind.INTERFACE:
            self._interface(step)
        elif kind is Kind.CHAN:
            self._channel(step)
        elif kind is Kind.FUNC:
            self._closure(step)
        elif kind is Kind.ARRAY and step.block is None and step.address is not None:
            self._elements(step, t.elem, step.address, self._limit(step, t.length))
        elif kind is Kind.ARRAY:
            for i in range(self._limit(step, t.length)):
                self._part(step, f"[{i}]", t.elem, i * t.elem.size, "element", step.depth + 1)
        elif kind is Kind.SLICE:
            start, length = self._pointer_at(step), self._pointer_at(step, self.word)
            room = self._pointer_at(step, 2 * self.word)
            if length > room or not self.room.has(start, room * t.elem.size):
                raise GomapError(f"a slice of {length:,} elements with room for {room:,}: not set yet, or corrupt")
            if self.slices is not None:
                self.slices.append(Slice(_plain(step.name), step.place, t, step.address, start, length, room))
            if not self.reaches(t.elem):
                return
            if start and length and self._first_visit(step, start, t):
                self._elements(step, t.elem, start, self._limit(step, length))

    def _fields(self, t: GoType) -> tuple[list[tuple[str, GoType, int]], tuple[int, GoType] | None]:
        """The fields of a struct that can lead to maps, and its pointer if it is an atomic one."""
        known = self.fields.get(id(t))
        if known is None:
            parts = [(f".{f.name}", f.type, f.offset) for f in t.fields if self.reaches(f.type)]
            known = self.fields[id(t)] = parts, atomic_pointee(t)
            self.kept.append(t)  # its id() is in use
        return known

    def _limit(self, step: _Step, length: int) -> int:
        items = self.items
        if items > MAX_ITEMS and step.place.kind == "global" and step.name.startswith("runtime."):
            items = MAX_ITEMS  # runtime.mheap_ alone has room for millions of spans, and nothing of the program's
        elif length > items:
            self.found.shortened.append(f"{step.name}: {items:,} of {length:,} elements")
        return min(length, items)

    def _first_visit(self, step: _Step, address: int, t: GoType) -> bool:
        place = step.place
        whose = GLOBALS if place.kind == "global" else FRAMES
        if step.depth == 0 and t.kind is not Kind.SLICE and t.size <= SMALL and place.goroutine is not None:
            whose = place.goroutine
        key = self._object(address, t, whose)
        if key in self.visited:
            return False
        self.visited.add(key)
        return True

    def _object(self, address: int, t: GoType, whose: int) -> tuple[int, int, int]:
        """What stands for an object that was visited. Visited once it is one for everybody, whether its type is debug
        information's or the program's own descriptor."""
        if not self.once:
            return address, id(t), whose
        return address, self.alike.number(t), GLOBALS

    def _was_visited(self, step: _Step) -> bool:
        """Whether the search has come to what a pointer points to on a shorter way."""
        if step.t.kind is not Kind.POINTER:
            return False
        whose = GLOBALS if step.place.kind == "global" else FRAMES
        return self._object(self._pointer_at(step), step.t.elem, whose) in self.visited

    # -- memory --------------------------------------------------------------------------------------

    def _block(self, address: int, t: GoType) -> bytes | None:
        """All of a value, unless it is large or part of it can't be read."""
        if t.size > SMALL:
            return None
        try:
            return self.read(address, t.size) if t.size <= MAX_ITEM else None
        except MemoryFault:
            return None

    def _bytes(self, step: _Step, offset: int, size: int) -> bytes:
        if step.block is not None:
            return step.block[step.at + offset : step.at + offset + size]
        return self.read((step.address or 0) + offset, size)

    def _pointer_at(self, step: _Step, offset: int = 0) -> int:
        if step.block is not None:
            return self.pointer(step.block, step.at + offset)
        return self.pointer(self.read((step.address or 0) + offset, self.word))

    # -- steps ---------------------------------------------------------------------------------------

    def _next(self, step: _Step) -> None:
        """A map is noted at once, so that a large container of maps does not fill the queue."""
        if step.t.kind is Kind.MAP:
            self.look(step)
        else:
            self.queue.append(step)

    def _part(self, step: _Step, suffix: str, t: GoType, offset: int, kind: str, depth: int) -> None:
        address = None if step.address is None else step.address + offset
        part = _Step(t, step.name + suffix, kind, step.place, depth, address, step.block, step.at + offset)
        self._next(part)

    def _at(self, step: _Step, name: str, t: GoType, address: int, kind: str) -> None:
        block = self._block(address, t)
        if block is None:
            self.read(address, 1)  # a fault there is told once, and not for every field
        self._next(_Step(t, name, kind, step.place, step.depth + 1, address, block))

    def _elements(self, step: _Step, t: GoType, start: int, count: int) -> None:
        """Elements of an array, read in pieces: what can't be read ends it, however long it is said to be."""
        size = t.size
        if not size:
            return
        each = max(PIECE // size, 1)
        for first in range(0, count, each):
            here = min(each, count - first)
            base = start + first * size
            block: bytes | None = None
            if here * size <= PIECE:
                block = self.read(base, here * size)
            else:
                self.read(base, self.word)
            for i in range(here):
                name, address = f"{step.name}[{first + i}]", base + i * size
                self._next(_Step(t, name, "element", step.place, step.depth + 1, address, block, i * size))

    def _atomic(self, step: _Step, offset: int, t: GoType) -> None:
        """What a sync/atomic.Pointer points to."""
        if not self.reaches(t) or step.depth >= self.depth:
            return
        address = self._pointer_at(step, offset)
        if address and self._first_visit(step, address, t):
            self._at(step, f"{step.name}.Load()", t, address, "field")

    def _is_sync(self, t: GoType) -> bool:
        """Whether a struct type is that of a sync.Map, which hides its contents behind pointers without a type."""
        known = self.syncs.get(id(t))
        if known is None:
            known = self.syncs[id(t)] = syncmap.detect(self.target, t) is not None
            self.kept.append(t)  # its id() is in use
        return known

    def _sync(self, step: _Step, address: int) -> None:
        """Notes a sync.Map, and looks at its keys and values, whichever way it keeps them."""
        holder = Holder(_plain(step.name), step.kind, step.place, step.t, address)
        if address not in self.found.syncs and not self._believed_sync(address, holder):
            return
        if self.in_doubt:
            if address in self.found.syncs:
                return
            holder.kind = "dead"
        self.found.syncs.setdefault(address, []).append(holder)
        whose = GLOBALS if self.once or step.place.kind == "global" else FRAMES
        if (address, whose) in self.opened:
            return
        if step.depth >= self.depth:
            self.found.too_deep += 1
            return
        self.opened.add((address, whose))
        variable = Variable(step.name, step.t, address, place=step.place)
        for count, entry in enumerate(syncmap.entries(self.target, variable)):
            if count >= self.items:
                self.found.shortened.append(f"{step.name}: {self.items:,} entries of a sync.Map")
                break
            self.steps += 1
            key = None
            if count < MAX_SPELT and (self.reaches(entry.value_type) or self.reaches(entry.key_type)):
                key = self._key(entry.key_type, self._read_key(entry.key_type, entry.key_address))
            t, at = entry.value_type, entry.value_address
            if self.reaches(t):
                name = f"{step.name}.Load({key})" if key is not None else self._at_address(t, at)
                self._at(step, name, t, at, "map-value")
            t, at = entry.key_type, entry.key_address
            if self.reaches(t):
                name = f"{step.name}.key({key})" if key is not None else self._at_address(t, at)
                self._at(step, name, t, at, "map-value")

    def _read_key(self, t: GoType, address: int) -> bytes | None:
        try:
            return self.read(address, t.size) if t.size <= MAX_ITEM else None
        except MemoryFault:
            return None

    def _channel(self, step: _Step) -> None:
        """The values in a channel's buffer, oldest first: runtime.hchan of runtime/chan.go."""
        t, address, hchan = step.t, self._pointer_at(step), self.target.find_type("runtime.hchan")
        if not address or hchan is None or not self._first_visit(step, address, t):
            return
        record = read_record(self.target, hchan, address)
        waiting, room, size = record["qcount"], record["dataqsiz"], t.elem.size
        if waiting > room or not size:
            return
        if not self.room.has(record["buf"], room * size):
            raise GomapError(f"a channel with room for {room:,} elements: not made yet, or corrupt")
        for i in range(self._limit(step, waiting)):
            at = record["buf"] + (record["recvx"] + i) % room * size
            self._at(step, f"{step.name}[{i}]", t.elem, at, "element")

    def _closure(self, step: _Step) -> None:
        """What a func value's closure captured: runtime.funcval of runtime/runtime2.go, the code's address first."""
        closure = self._pointer_at(step)
        if not closure or step.address is None or not self._first_visit(step, closure, step.t):
            return
        for name, t, address in self.closures.variables(closure, step.address, self.reaches):
            # Of several that only their names tell apart none is named: "a or b".
            path = f"{step.name}.{name}" if name.isidentifier() else self._at_address(t, address)
            block = self._block(address, t)
            self._next(_Step(t, path, "captured", step.place, step.depth + 1, address, block))

    def _at_address(self, t: GoType, address: int | None, block: bytes | None = None) -> str:
        """What names a value for which there is no path: 0xADDR:TYPE in brackets, for a map with its header's address
        (expr.resolve)."""
        if t.kind is Kind.MAP:
            with suppress(MemoryFault):
                address = self.pointer(self.read(address or 0, self.word) if block is None else block)
        return f"({address or 0:#x}:{t.name})"

    def _interface(self, step: _Step) -> None:
        held = dynamic(self.types, step.t, self._bytes(step, 0, 2 * self.word))
        if held is None:
            return
        t, word, direct = held
        if not self.reaches(t):
            return
        name = f"{step.name}.({t.name})"
        if direct:
            block = self.target.arch.pack(word)
            self._next(_Step(t, name, "interface", step.place, step.depth + 1, None, block))
        elif self._first_visit(step, word, t):
            self._at(step, name, t, word, "interface")

    def _map(self, step: _Step) -> None:
        t, address = step.t, self._pointer_at(step)
        holder = Holder(_plain(step.name), step.kind, step.place, t, step.address)
        if address and address not in self.found.maps and not self._believed(address, holder):
            return
        self._hold(address, holder)
        if not address or not self._first_visit(step, address, t):
            return
        keys, elems = self.reaches(t.key), self.reaches(t.elem)
        if not keys and not elems:
            return
        if step.depth >= self.depth:
            self.found.too_deep += 1
            return
        one = self.found.views[address]
        if self.steps + one.size > MAX_STEPS:
            self.found.shortened.append(f"{step.name}: none of the values of {one.count:,} entries")
            return
        self.steps += one.size
        for count, entry in enumerate(counted(one.count, one.entries())):
            if count >= self.items:
                self.found.shortened.append(f"{step.name}: the values of {self.items:,} entries")
                break
            spelt = t.key.kind in SCALAR_KINDS or one.count <= MAX_SPELT
            key = self._key(t.key, entry.key) if spelt else None
            for wanted, part, data, at, form in (
                (elems, t.elem, entry.elem, entry.elem_address, "[{}]"),
                (keys, t.key, entry.key, entry.key_address, ".key({})"),
            ):
                if wanted and data is not None:
                    named = step.name + form.format(key) if key is not None else self._at_address(part, at, data)
                    self._next(_Step(part, named, "map-value", step.place, step.depth + 1, at, data))

    def _believed(self, address: int, holder: Holder) -> bool:
        """Whether what lies at the address can be a map's header."""
        found = self.found
        if address in found.doubtful:
            return False
        if self.in_doubt:
            if address in found.maps:
                return same(found.types[address], holder.type)
            return self._is_sound(address, holder.type, holder.place)
        try:
            one = view(self.target, holder.type, address)
        except MemoryFault as fault:
            found.doubtful[address] = holder, str(fault)
            raise
        wrong = nonsense(one, self.room)
        if wrong is None:
            found.views[address] = one
            return True
        found.doubtful[address] = holder, wrong
        message = f"{holder.path}{_in(holder.place)} is no map, not set yet, not needed any more, or corrupt: {wrong}"
        self._tell(Anomaly("note", "not-a-map", message, address))
        return False

    def _believed_sync(self, address: int, holder: Holder) -> bool:
        """Whether what lies at the address can be a sync.Map."""
        found, variable = self.found, Variable(holder.path, holder.type, address)
        shape = syncmap.detect(self.target, holder.type)
        if address in found.doubtful or shape is None:
            return False
        if self.in_doubt:
            in_use = self._in_use(address, holder.type.size, holder.place) is not None
            return in_use and syncmap.nonsense(self.target, shape, variable, self.room) is None
        try:
            wrong = syncmap.nonsense(self.target, shape, variable, self.room)
        except MemoryFault as fault:
            found.doubtful[address] = holder, str(fault)
            raise
        if wrong is None:
            return True
        found.doubtful[address] = holder, wrong
        what = "does not point to a valid sync.Map (uninitialized, dead or corrupt)"
        self._tell(Anomaly("note", "not-a-map", f"{holder.path}{_in(holder.place)} {what}: {wrong}", address))
        return False

    def _in_use(self, address: int, size: int, place: Place) -> Span | None:
        """The span of the heap's object that a dead variable may still lead to."""
        heap = self.room.heap
        at = None if heap is None else heap.at(address)
        if heap is None or at is None or at.span is None or at.base is None or not at.allocated:
            return None  # what is alive on a stack is known
        if address + size > at.base + at.span.object:
            return None
        # What the variable had was in use at the last collection, or something else is there now.
        return None if place.goroutine in self.collected and not heap.survived(at) else at.span

    def _is_sound(self, address: int, t: GoType, place: Place) -> bool:
        """Whether a map lies there in every way that can be told: what a dead variable has may be anything."""
        span = self._in_use(address, t.header.size, place)
        if span is None or (address - span.start) % span.object:
            return False
        if span.object != allocator(self.target).allocated(t.header.size, scan=True):
            return False
        one = view(self.target, t, address)
        if not self.closures.is_sound(one):
            return False
        self.found.views[address] = one
        return True

    def _hold(self, address: int, holder: Holder) -> None:
        """Notes that the holder has the map at `address` (0: nil); a known variable gets a path more."""
        if self.in_doubt:
            if not address:
                return
            holder.kind = "dead"
        known = self.located.get(holder.address) if holder.address is not None else None
        if known is not None:
            known.also.append(holder)
            return
        if holder.address is not None:
            self.located[holder.address] = holder
        if address:
            self.found.maps.setdefault(address, []).append(holder)
            known_as = self.found.types.setdefault(address, holder.type)
            if is_shaped(known_as) and not is_shaped(holder.type):  # a variable of a generic function was the first
                self.found.types[address] = holder.type
                self.found.views[address] = view(self.target, holder.type, address)
        else:
            self.found.nil.append(holder)

    def _key(self, t: GoType, data: bytes | None) -> str | None:
        """The key as it can be typed, None where that is not possible or too long."""
        self.values.cut = False
        text = self.values.key_text(t, data)
        return None if self.values.cut or UNREADABLE in text or "NaN" in text else text


def _plain(path: str) -> str:
    """0xADDR:TYPE without its brackets, where nothing follows them."""
    return path[1:-1] if path.startswith("(0x") and closes(path) == len(path) - 1 else path


def _in(place: Place) -> str:
    """Where a variable is, for a message about it."""
    whose = f" of goroutine {place.goroutine}" if place.goroutine is not None else ""
    return f" in {place.function}{whose}" if place.function else ""


def groups(found: Found) -> list[Group]:
    """Holders by map; maps whose headers differ and whose buckets are the same come together."""
    owner: dict[int, int] = {}  # address of an array -> first header that has it
    union: dict[int, int] = {}  # header -> header that stands for its group

    def root(address: int) -> int:
        while union.setdefault(address, address) != address:
            address = union[address]
        return address

    for address in found.types:
        try:
            storage = found.views[address].storage()
        except GomapError as error:
            found.anomalies.append(Anomaly("warning", "unreadable", f"map at {address:#x}: {error}", address))
            continue
        for array in storage:
            other = owner.setdefault(array, address)
            if root(other) != root(address):
                union[root(address)] = root(other)
    together: dict[int, list[int]] = {}
    for address in found.types:
        together.setdefault(root(address), []).append(address)
    made = []
    for headers in together.values():
        first = headers[0]
        one = found.views[first]
        held = [holder for header in headers for holder in found.maps[header]]
        made.append(
            Group(
                address=first,
                buckets=one.array_address,
                type=found.types[first],
                count=one.count,
                shared_by="header" if len(headers) == 1 else "buckets",
                holders=held,
                headers=headers,
            )
        )
    return made
