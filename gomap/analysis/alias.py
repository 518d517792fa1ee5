"""Which variables lead to one map, or to one bucket array."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from gomap.analysis.roots import Progress, silent
from gomap.errors import GomapError, MemoryFault, OptimizedOut
from gomap.golang.rtype import Types, dynamic
from gomap.golang.structure import Anomaly
from gomap.gotypes import GoType, Kind, can_reach_map
from gomap.maps import MapView, view
from gomap.target import Place, Target, Variable, read_record
from gomap.values import quote

#: How much of a large container is looked into.
MAX_ITEMS = 4096
MAX_VISITED = 1 << 22
#: Who has visited an object: package variables, frames, or a positive number: the goroutine of that id.
GLOBALS, FRAMES = 0, -1
#: bytes of an object that every goroutine's own variables look into again, and that is read in one piece.
SMALL = 4096
#: bytes of a slice's array that are read at once.
PIECE = 64 << 10


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
    """maps: header address -> holders. nil: holders of nil maps. shortened: containers seen in part only.

    interrupted: the user stopped the search, and this is what it had come to.
    """

    maps: dict[int, list[Holder]] = field(default_factory=dict)
    types: dict[int, GoType] = field(default_factory=dict)
    nil: list[Holder] = field(default_factory=list)
    shortened: list[str] = field(default_factory=list)
    too_deep: int = 0
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


def holders(target: Target, roots: Iterable[Variable], depth: int, progress: Progress = silent) -> Found:
    """Every map reachable from roots through structs, pointers, arrays, slices, interfaces, maps and channels.

    depth: how many of these are followed from a root. What a goroutine's variable points to is told for each
    goroutine; what lies behind further pointers is visited once from frames and once from package variables,
    so of each the shortest path is the one that is told. Ctrl-C ends the search with what it has.
    """
    search = _Search(target, depth)
    found, queue = search.found, search.queue
    try:
        for root in roots:
            search.start(root)
        while queue and len(search.visited) < MAX_VISITED:
            search.look(queue.popleft())
            search.steps += 1
            if search.steps % 4096 == 0:
                progress("objects", len(search.visited), None)
        if queue:
            found.shortened.append(f"the search stopped after {MAX_VISITED:,} objects")
    except KeyboardInterrupt:
        found.interrupted = True
    return found


@dataclass
class _Search:
    target: Target
    depth: int
    found: Found = field(default_factory=Found)
    queue: deque[_Step] = field(default_factory=deque)
    steps: int = 0
    visited: set[tuple[int, int, int]] = field(default_factory=set)
    located: dict[int, Holder] = field(default_factory=dict)
    reach: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.types = Types(self.target)
        self.kept: list[GoType] = []  # keeps types alive whose id() is in use
        self.fields: dict[int, tuple[list[tuple[str, GoType, int]], tuple[int, GoType] | None]] = {}
        self.word = self.target.arch.pointer_size
        self.pointer = self.target.arch.pointer
        self.read = self.target.memory.read

    def start(self, root: Variable) -> None:
        """Puts a root in the queue."""
        t, place = root.type, root.place
        if not self._reaches(t):
            return
        if root.data is not None or root.address is None:
            try:
                block: bytes | None = root.read(self.target.memory, 0, t.size)
            except OptimizedOut:
                return
        else:
            block = self._block(root.address, t)
        self.queue.append(_Step(t, root.name, place.kind, place, 0, root.address, block))

    def look(self, step: _Step) -> None:
        """Notes the map that the step holds, or puts what lies behind it in the queue."""
        try:
            self._look(step)
        except GomapError as error:
            if len(self.found.anomalies) < 16:
                message = f"{step.name}{_in(step.place)}: {error}"
                at = getattr(error, "address", None)
                self.found.anomalies.append(Anomaly("warning", "unreadable", message, at))

    def _reaches(self, t: GoType) -> bool:
        known = self.reach.get(id(t))
        if known is None:
            known = self.reach[id(t)] = can_reach_map(t)
            self.kept.append(t)
        return known

    def _look(self, step: _Step) -> None:
        t = step.t
        kind = t.kind
        if kind is Kind.STRUCT:
            parts, atomic = self._fields(t)
            if atomic is not None:
                self._atomic(step, *atomic)
            for suffix, part, offset in parts:
                self._part(step, suffix, part, offset, "field", step.depth)
        elif kind is Kind.MAP:
            self._map(step)
        elif step.depth >= self.depth:
            self.found.too_deep += 1
        elif kind is Kind.POINTER:
            address = self._pointer_at(step)
            if address and self._reaches(t.elem) and self._first_visit(step, address, t.elem):
                self._at(step, step.name, t.elem, address, step.kind)
        elif kind is Kind.INTERFACE:
            self._interface(step)
        elif kind is Kind.CHAN:
            self._channel(step)
        elif kind is Kind.ARRAY:
            for i in range(self._limit(step.name, t.length)):
                self._part(step, f"[{i}]", t.elem, i * t.elem.size, "element", step.depth + 1)
        elif kind is Kind.SLICE:
            start, length = self._pointer_at(step), self._pointer_at(step, self.word)
            if start and length and self._first_visit(step, start, t):
                self._elements(step, t.elem, start, self._limit(step.name, length))

    def _fields(self, t: GoType) -> tuple[list[tuple[str, GoType, int]], tuple[int, GoType] | None]:
        """The fields of a struct that can lead to maps, and its pointer if it is an atomic one."""
        known = self.fields.get(id(t))
        if known is None:
            parts = [(f".{f.name}", f.type, f.offset) for f in t.fields if self._reaches(f.type)]
            known = self.fields[id(t)] = parts, _atomic_pointer(t)
        return known

    def _limit(self, name: str, length: int) -> int:
        if length > MAX_ITEMS:
            self.found.shortened.append(f"{name}: {MAX_ITEMS:,} of {length:,} elements")
        return min(length, MAX_ITEMS)

    def _first_visit(self, step: _Step, address: int, t: GoType) -> bool:
        place = step.place
        whose = GLOBALS if place.kind == "global" else FRAMES
        if step.depth == 0 and t.kind is not Kind.SLICE and t.size <= SMALL and place.goroutine is not None:
            whose = place.goroutine
        key = (address, id(t), whose)
        if key in self.visited:
            return False
        self.visited.add(key)
        return True

    # -- memory --------------------------------------------------------------------------------------

    def _block(self, address: int, t: GoType) -> bytes | None:
        """All of a value, unless it is large or part of it can't be read."""
        if t.size > SMALL:
            return None
        try:
            return self.read(address, t.size)
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
        self._next(_Step(t, name, kind, step.place, step.depth + 1, address, self._block(address, t)))

    def _elements(self, step: _Step, t: GoType, start: int, count: int) -> None:
        """Elements of a slice's array, read in pieces."""
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
            for i in range(here):
                name, address = f"{step.name}[{first + i}]", base + i * size
                self._next(_Step(t, name, "element", step.place, step.depth + 1, address, block, i * size))

    def _atomic(self, step: _Step, offset: int, t: GoType) -> None:
        """What a sync/atomic.Pointer points to."""
        if not self._reaches(t) or step.depth >= self.depth:
            return
        address = self._pointer_at(step, offset)
        if address and self._first_visit(step, address, t):
            self._at(step, f"{step.name}.v", t, address, "field")

    def _channel(self, step: _Step) -> None:
        """The values in a channel's buffer, oldest first: runtime.hchan of runtime/chan.go."""
        t, address, hchan = step.t, self._pointer_at(step), self.target.find_type("runtime.hchan")
        if not address or hchan is None or not self._first_visit(step, address, t):
            return
        record = read_record(self.target, hchan, address)
        waiting, room, size = record["qcount"], record["dataqsiz"], t.elem.size
        if waiting > room or not size:
            return
        for i in range(self._limit(step.name, waiting)):
            at = record["buf"] + (record["recvx"] + i) % room * size
            self._at(step, f"{step.name} (buffer)[{i}]", t.elem, at, "element")

    def _interface(self, step: _Step) -> None:
        held = dynamic(self.types, step.t, self._bytes(step, 0, 2 * self.word))
        if held is None:
            return
        t, word, direct = held
        if not self._reaches(t):
            return
        name = f"{step.name}.({t.name})"
        if direct:
            block = self.target.arch.pack(word)
            self._next(_Step(t, name, "interface", step.place, step.depth + 1, None, block))
        elif self._first_visit(step, word, t):
            self._at(step, name, t, word, "interface")

    def _map(self, step: _Step) -> None:
        t, address = step.t, self._pointer_at(step)
        self._hold(address, Holder(step.name, step.kind, step.place, t, step.address))
        if not address or not self._first_visit(step, address, t):
            return
        keys, elems = self._reaches(t.key), self._reaches(t.elem)
        if not keys and not elems:
            return
        if step.depth >= self.depth:
            self.found.too_deep += 1
            return
        for count, entry in enumerate(view(self.target, t, address).entries()):
            if count >= MAX_ITEMS:
                self.found.shortened.append(f"{step.name}: the values of {MAX_ITEMS:,} entries")
                break
            for wanted, part, data, at in (
                (elems, t.elem, entry.elem, entry.elem_address),
                (keys, t.key, entry.key, entry.key_address),
            ):
                if wanted and data is not None:
                    named = f"{step.name}[{self._key(t.key, entry.key)}]" if part is t.elem else f"key of {step.name}"
                    self._next(_Step(part, named, "map-value", step.place, step.depth + 1, at, data))

    def _hold(self, address: int, holder: Holder) -> None:
        """Notes that the holder has the map at `address` (0: nil); a known variable gets a path more."""
        known = self.located.get(holder.address) if holder.address is not None else None
        if known is not None:
            known.also.append(holder)
            return
        if holder.address is not None:
            self.located[holder.address] = holder
        if address:
            self.found.maps.setdefault(address, []).append(holder)
            self.found.types.setdefault(address, holder.type)
        else:
            self.found.nil.append(holder)

    def _key(self, t: GoType, data: bytes | None) -> str:
        arch = self.target.arch
        if data is None:
            return "?"
        if t.kind is Kind.STRING:
            pointer, length = arch.pointer(data), arch.pointer(data, arch.pointer_size)
            try:
                text = self.target.memory.read(pointer, min(length, 48)) if length else b""
            except GomapError:
                return "?"
            return quote(text) + ("..." if length > 48 else "")
        if t.kind in (Kind.INT, Kind.UINT):
            return str(int.from_bytes(data, arch.byte_order, signed=t.kind is Kind.INT))  # type: ignore[arg-type]
        return "..."


def _in(place: Place) -> str:
    """Where a variable is, for a message about it."""
    whose = f" of goroutine {place.goroutine}" if place.goroutine is not None else ""
    return f" in {place.function}{whose}" if place.function else ""


def _atomic_pointer(t: GoType) -> tuple[int, GoType] | None:
    """(offset of the pointer, what it points to) of a sync/atomic.Pointer: `_ [0]*T` and `v unsafe.Pointer`."""
    first, pointer = (t.fields[0].type if t.fields else None), t.field("v")
    if pointer is None or pointer.type.kind is not Kind.UNSAFE_POINTER or first is None:
        return None
    if first.kind is not Kind.ARRAY or first.length or first.elem.kind is not Kind.POINTER:
        return None
    return pointer.offset, first.elem.elem


def groups(target: Target, found: Found) -> list[Group]:
    """Holders by map; maps whose headers differ and whose buckets are the same come together."""
    owner: dict[int, int] = {}  # address of an array -> first header that has it
    union: dict[int, int] = {}  # header -> header that stands for its group

    def root(address: int) -> int:
        while union.setdefault(address, address) != address:
            address = union[address]
        return address

    views: dict[int, MapView] = {}
    for address, t in found.types.items():
        try:
            views[address] = one = view(target, t, address)
            storage = one.storage()
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
        one = views.get(first)  # type: ignore[assignment]
        held = [holder for header in headers for holder in found.maps[header]]
        made.append(
            Group(
                address=first,
                buckets=one.array_address if one else 0,
                type=found.types[first],
                count=one.count if one else 0,
                shared_by="header" if len(headers) == 1 else "buckets",
                holders=held,
                headers=headers,
            )
        )
    return made
