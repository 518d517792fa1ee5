"""Which variables lead to one map, or to one bucket array."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from gomap.analysis.roots import Progress, silent
from gomap.errors import GomapError, OptimizedOut
from gomap.golang.rtype import Types, dynamic
from gomap.golang.structure import Anomaly
from gomap.gotypes import GoType, Kind, can_reach_map
from gomap.maps import MapView, view
from gomap.target import Place, Target, Variable, read_record
from gomap.values import quote

#: How much of a large container is looked into, unless the caller asks for all.
MAX_ITEMS = 4096
MAX_VISITED = 1 << 22
MAX_STEPS = 1 << 24
#: Elements of one container that wait at a time: the rest of it comes after what they lead to.
BATCH = 1 << 16
#: Who has visited an object: package variables, frames, or a positive number: the goroutine of that id.
GLOBALS, FRAMES = 0, -1
#: Bytes of an object that every goroutine's own variables look into again.
SMALL = 4096


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class _Step:
    variable: Variable
    kind: str
    depth: int


def holders(
    target: Target, roots: Iterable[Variable], depth: int, progress: Progress = silent, items: int = MAX_ITEMS
) -> Found:
    """Every map reachable from roots through structs, pointers, arrays, slices, interfaces, maps and channels.

    depth: how many of these are followed from a root. What a goroutine's variable points to is told for each
    goroutine; what lies behind further pointers is visited once from frames and once from package variables,
    so of each the shortest path is the one that is told. Ctrl-C ends the search with what it has.
    items: how many elements of one container are looked at.
    """
    search = _Search(target, depth, items)
    queue: deque[Iterator[_Step]] = deque()
    found = search.found
    try:
        queue.extend(search.look(_Step(root, root.place.kind, 0)) for root in roots)
        while queue and len(search.visited) < MAX_VISITED and search.steps < MAX_STEPS:
            steps = queue.popleft()
            behind = [search.look(step) for step in islice(steps, BATCH)]
            queue.extend(behind)
            if len(behind) == BATCH:
                queue.append(steps)
            search.steps += max(len(behind), 1)
            if search.steps >> 10 != search.told:
                search.told = search.steps >> 10
                progress("objects", len(search.visited), None)
        if queue:
            found.shortened.append(f"the search stopped after {len(search.visited):,} objects")
    except KeyboardInterrupt:
        found.interrupted = True
    return found


@dataclass
class _Search:
    target: Target
    depth: int
    items: int
    found: Found = field(default_factory=Found)
    steps: int = 0
    told: int = 0  # progress
    visited: set[tuple[int, int, int]] = field(default_factory=set)
    located: dict[int, Holder] = field(default_factory=dict)
    reach: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.types = Types(self.target)
        self.kept: list[GoType] = []  # keeps types alive whose id() is in use

    def look(self, step: _Step) -> Iterator[_Step]:
        """Notes the map that the step holds; yields what lies behind it."""
        try:
            yield from self._look(step)
        except OptimizedOut:
            return
        except GomapError as error:
            if len(self.found.anomalies) < 16:
                self.found.anomalies.append(
                    Anomaly(
                        "warning",
                        "unreadable",
                        f"{step.variable.name}{_in(step.variable.place)}: {error}",
                        getattr(error, "address", None),
                    )
                )

    def _reaches(self, t: GoType) -> bool:
        known = self.reach.get(id(t))
        if known is None:
            known = self.reach[id(t)] = can_reach_map(t)
            self.kept.append(t)
        return known

    def _look(self, step: _Step) -> Iterator[_Step]:
        variable, t = step.variable, step.variable.type
        if not self._reaches(t):
            return
        if t.kind is Kind.STRUCT:
            if _atomic_pointer(t) is not None:
                yield from self._atomic(step)
            for f in t.fields:
                if self._reaches(f.type):
                    yield self._part(step, f".{f.name}", f.type, f.offset, "field")
            return
        if t.kind is Kind.MAP:
            yield from self._map(step)
            return
        if step.depth >= self.depth:
            self.found.too_deep += 1
            return
        if t.kind is Kind.POINTER:
            address = self._word(variable)
            if address and self._reaches(t.elem) and self._first_visit(step, address, t.elem):
                yield self._at(step, variable.name, t.elem, address, step.kind)
        elif t.kind is Kind.INTERFACE:
            yield from self._interface(step)
        elif t.kind is Kind.CHAN:
            yield from self._channel(step)
        elif t.kind is Kind.ARRAY:
            shown = self._limit(variable.name, t.length)
            for i in range(shown):
                yield self._part(step, f"[{i}]", t.elem, i * t.elem.size, "element", 1)
        elif t.kind is Kind.SLICE:
            word = self.target.arch.pointer_size
            head = variable.read(self.target.memory, 0, 2 * word)
            start, length = self.target.arch.pointer(head), self.target.arch.pointer(head, word)
            if start and length and self._first_visit(step, start, t):
                for i in range(self._limit(variable.name, length)):
                    yield self._at(step, f"{variable.name}[{i}]", t.elem, start + i * t.elem.size, "element")

    def _limit(self, name: str, length: int) -> int:
        if length > self.items:
            self.found.shortened.append(f"{name}: {self.items:,} of {length:,} elements")
        return min(length, self.items)

    def _first_visit(self, step: _Step, address: int, t: GoType) -> bool:
        place = step.variable.place
        whose = GLOBALS if place.kind == "global" else FRAMES
        if step.depth == 0 and t.kind is not Kind.SLICE and t.size <= SMALL and place.goroutine is not None:
            whose = place.goroutine
        key = (address, id(t), whose)
        if key in self.visited:
            return False
        self.visited.add(key)
        return True

    def _word(self, variable: Variable) -> int:
        return self.target.arch.pointer(variable.read(self.target.memory, 0, self.target.arch.pointer_size))

    def _part(self, step: _Step, suffix: str, t: GoType, offset: int, kind: str, deeper: int = 0) -> _Step:
        variable = step.variable
        name = variable.name + suffix
        if variable.address is not None:
            part = replace(variable, name=name, type=t, address=variable.address + offset)
        else:
            data = variable.read(self.target.memory, offset, t.size)
            part = replace(variable, name=name, type=t, data=data, holes=())
        return _Step(part, kind, step.depth + deeper)

    def _at(self, step: _Step, name: str, t: GoType, address: int, kind: str) -> _Step:
        behind = replace(step.variable, name=name, type=t, address=address, data=None, holes=())
        return _Step(behind, kind, step.depth + 1)

    def _atomic(self, step: _Step) -> Iterator[_Step]:
        """What a sync/atomic.Pointer points to."""
        found = _atomic_pointer(step.variable.type)
        if found is None or not self._reaches(found[1]) or step.depth >= self.depth:
            return
        offset, t = found
        word = self.target.arch.pointer_size
        address = self.target.arch.pointer(step.variable.read(self.target.memory, offset, word))
        if address and self._first_visit(step, address, t):
            yield self._at(step, f"{step.variable.name}.v", t, address, "field")

    def _channel(self, step: _Step) -> Iterator[_Step]:
        """The values in a channel's buffer, oldest first: runtime.hchan of runtime/chan.go."""
        variable, t = step.variable, step.variable.type
        address, hchan = self._word(variable), self.target.find_type("runtime.hchan")
        if not address or hchan is None or not self._first_visit(step, address, t):
            return
        record = read_record(self.target, hchan, address)
        waiting, room, size = record["qcount"], record["dataqsiz"], t.elem.size
        if waiting > room or not size:
            return
        for i in range(self._limit(variable.name, waiting)):
            at = record["buf"] + (record["recvx"] + i) % room * size
            yield self._at(step, f"{variable.name} (buffer)[{i}]", t.elem, at, "element")

    def _interface(self, step: _Step) -> Iterator[_Step]:
        variable = step.variable
        data = variable.read(self.target.memory, 0, 2 * self.target.arch.pointer_size)
        held = dynamic(self.types, variable.type, data)
        if held is None:
            return
        t, word, direct = held
        if not self._reaches(t):
            return
        name = f"{variable.name}.({t.name})"
        if direct:
            inner = replace(variable, name=name, type=t, address=None, data=self.target.arch.pack(word), holes=())
            yield _Step(inner, "interface", step.depth + 1)
        elif self._first_visit(step, word, t):
            yield self._at(step, name, t, word, "interface")

    def _map(self, step: _Step) -> Iterator[_Step]:
        variable, t = step.variable, step.variable.type
        address = self._word(variable)
        holder = Holder(variable.name, step.kind, variable.place, t, variable.address)
        self._hold(address, holder)
        if not address or not self._first_visit(step, address, t):
            return
        if not (self._reaches(t.elem) or self._reaches(t.key)):
            return
        if step.depth >= self.depth:
            self.found.too_deep += 1
            return
        for count, entry in enumerate(view(self.target, t, address).entries()):
            if count >= self.items:
                self.found.shortened.append(f"{variable.name}: the values of {self.items:,} entries")
                break
            if entry.elem is not None and self._reaches(t.elem):
                name = f"{variable.name}[{self._key(t.key, entry.key)}]"
                yield self._at(step, name, t.elem, entry.elem_address, "map-value")
            if entry.key is not None and self._reaches(t.key):
                yield self._at(step, f"key of {variable.name}", t.key, entry.key_address, "map-value")

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
