"""sync.Map, both generations, told by their fields.

read-dirty: a read map that needs no lock, and a dirty map behind the mutex (sync/map.go up to Go 1.23; in 1.24
and 1.25 with GOEXPERIMENT=nosynchashtriemap; sync/oldmap.go is the same code's name in later trees).
hash-trie: internal/sync.HashTrieMap (internal/sync/hashtriemap.go), from Go 1.24 on; internal/concurrent.HashTrieMap
in Go 1.23, which package unique has there. From Go 1.25 on unique.canonMap (unique/canonmap.go) is a trie of its own:
its entries have weak pointers to the keys, and no values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple, Union

from gomap.anomaly import Anomaly
from gomap.errors import MemoryFault, NoDebugInfo
from gomap.golang.dictionaries import ANY_POINTER, SHAPE
from gomap.golang.heap import Room
from gomap.golang.layout import MapView
from gomap.golang.malloc import Allocator
from gomap.golang.slots import member
from gomap.golang.structure import Bytes
from gomap.gotypes import Field, GoType, Kind
from gomap.maps import nonsense as map_nonsense
from gomap.maps import view
from gomap.memory import gather
from gomap.target import Target, Variable, read_record

READ_DIRTY_FIELDS = frozenset("mu read dirty misses".split())
TRIE_FIELDS = frozenset("root keyHash valEqual seed".split())
CANON_FIELDS = frozenset("root hash seed".split())

CHILD_BITS = 4  # nChildrenLog2
#: Entries and nodes of one sync.Map that are looked at.
MAX_ENTRIES = 1 << 24
MAX_CHAIN = 1 << 16
#: After so many inner nodes that name another parent, those that do are not gone into: they are something else.
MAX_STRANGE = 64
#: Findings of one kind that are told.
MAX_TOLD = 8
#: Entries that are read together while they are listed.
BATCH = 4096
MUTEX_LOCKED = 1  # mutexLocked


@dataclass(frozen=True)
class ReadDirtyShape:
    """Offsets from the start of the sync.Map. read_off: of the word that leads to the readOnly struct."""

    type: GoType
    read_off: int
    readonly: GoType
    dirty_off: int
    map: GoType
    entry: GoType
    misses: tuple[int, int]
    generation: str = "read-dirty"


@dataclass(frozen=True)
class TrieShape:
    """trie: internal/sync.HashTrieMap, at `offset` in the sync.Map. indirect: its inner nodes. weak: keys are behind
    weak pointers, and entries have no values."""

    type: GoType
    offset: int
    trie: GoType
    indirect: GoType
    weak: bool = False
    generation: str = "hash-trie"


Shape = Union[ReadDirtyShape, TrieShape]


@dataclass(frozen=True)
class SyncEntry:
    """One live entry: where its key and its value lie, each an interface (`key_type`, `value_type`).

    where: `read`, `dirty` (in the dirty map alone) or `trie`.
    """

    key_type: GoType
    key_address: int
    value_type: GoType
    value_address: int
    where: str


@dataclass
class Half:
    """The read or the dirty map. keys: those that were found by walking, of which `live` have a value,
    `deleted` have a nil pointer in their place, and `expunged` are deleted and not in the dirty map.
    own: live entries that the other one does not have."""

    view: MapView | None = None
    count: int = 0
    keys: int = 0
    live: int = 0
    deleted: int = 0
    expunged: int = 0
    own: int = 0


@dataclass
class ReadDirty:
    amended: bool = False
    misses: int = 0
    misses_left: int | None = None
    read: Half = field(default_factory=Half)
    dirty: Half = field(default_factory=Half)


@dataclass
class Trie:
    """depth: levels of nodes, the root's included; chains: places where keys share a whole hash."""

    root: int | None = None
    depth: int = 0
    nodes: int = 0
    entries: int = 0
    chains: int = 0
    overflow: int = 0
    longest: int = 0
    seed: int = 0


@dataclass
class SyncMap:
    """What walking a sync.Map finds. count: live entries, as Range would yield them. bytes: what the map has
    taken from the heap beside itself; what keys and values point to is not counted. locked: its mutex is held.
    untold: more anomalies of a code than are in the list. inner: anomalies of the read and the dirty map themselves."""

    generation: str
    count: int = 0
    bytes: Bytes = field(default_factory=Bytes)
    locked: bool = False
    read_dirty: ReadDirty | None = None
    trie: Trie | None = None
    anomalies: list[Anomaly] = field(default_factory=list)
    untold: dict[str, int] = field(default_factory=dict)
    inner: list[Anomaly] = field(default_factory=list)

    @property
    def is_used(self) -> bool:
        """Whether anything was ever done with it: before that it owns nothing, as a nil map does."""
        return bool(self.count or self.bytes.allocated or self.anomalies)


# -- shape -------------------------------------------------------------------------------------------


def detect(target: Target, t: GoType) -> Shape | None:
    """The generation of t if it is a sync.Map (or a HashTrieMap), by its fields; None for other types.

    Raises NoDebugInfo, UnsupportedLayout.
    """
    if t.kind is not Kind.STRUCT:
        return None
    names = {f.name for f in t.fields}
    if names >= READ_DIRTY_FIELDS:
        return _read_dirty(target, t)
    if names >= TRIE_FIELDS:
        return _trie(t, 0, t)
    if names == CANON_FIELDS:
        return _trie(t, 0, t, weak=True)
    inner = t.field("m")
    if inner is None or not names <= {"_", "m"} or not {f.name for f in inner.type.fields} >= TRIE_FIELDS:
        return None
    return _trie(t, inner.offset, inner.type)


def atomic_pointee(t: GoType) -> tuple[int, GoType] | None:
    """(offset of the pointer, type it points to) of a sync/atomic.Pointer[T]: its first field is a [0]*T."""
    word = t.field("v") if t.kind is Kind.STRUCT else None
    if word is None or word.type.kind is not Kind.UNSAFE_POINTER:
        return None
    for f in t.fields:
        if f.name == "_" and f.type.kind is Kind.ARRAY and not f.type.length and f.type.elem.kind is Kind.POINTER:
            return word.offset, f.type.elem.elem
    return None


def _read_dirty(target: Target, t: GoType) -> ReadDirtyShape | None:
    dirty_off, dirty = member(t, "dirty")
    read_off, read = member(t, "read")
    misses_off, misses = member(t, "misses")
    if dirty.kind is not Kind.MAP or dirty.elem.kind is not Kind.POINTER:
        return None
    pointer = atomic_pointee(read)
    if pointer is not None:
        read_off, readonly = read_off + pointer[0], pointer[1]
    else:  # up to Go 1.19 an atomic.Value: an interface that holds a readOnly, behind its second word
        found = target.find_type("sync.readOnly")
        if found is None:
            raise NoDebugInfo("the program has no debug information on sync.readOnly")
        read_off, readonly = read_off + target.arch.pointer_size, found
    if readonly.field("m") is None or readonly.field("amended") is None:
        return None
    return ReadDirtyShape(t, read_off, readonly, dirty_off, dirty, dirty.elem.elem, (misses_off, misses.size))


def _trie(t: GoType, offset: int, trie: GoType, weak: bool = False) -> TrieShape | None:
    root = member(trie, "root")[1]
    pointer = (0, root.elem) if root.kind is Kind.POINTER else atomic_pointee(root)
    if pointer is None or pointer[1].field("children") is None or pointer[1].field("parent") is None:
        return None
    return TrieShape(t, offset, trie, pointer[1], weak)


def _arguments(text: str) -> list[str]:
    """Type arguments, apart: `*T,map[K]V,func(int, int)` has three."""
    found, depth = [""], 0
    for character in text:
        depth += (character in "[({") - (character in "])}")
        if character == "," and not depth:
            found.append("")
        else:
            found[-1] += character
    return found


def _entry_type(target: Target, trie: GoType) -> GoType:
    """internal/sync.entry[K,V] of the HashTrieMap[K,V]: nothing but code leads there, and code is compiled
    for shapes of types."""
    name, bracket, arguments = trie.name.partition("[")
    prefix = name[: -len("HashTrieMap")] if name.endswith("HashTrieMap") else "internal/sync."
    parts = _arguments(arguments[:-1])
    shaped = [f"{SHAPE}{part}" for part in parts]
    # Where all that counts of a pointer is that it is one, the compiler takes *uint8 for it.
    bare = [ANY_POINTER if part.startswith("*") else f"{SHAPE}{part}" for part in parts]
    for wanted in (shaped, bare, parts):
        found = target.find_type(f"{prefix}entry{bracket}{','.join(wanted)}]")
        if found is not None and found.fields:
            return found
    made = _laid_out(target, trie, parts)
    if made is None:
        raise NoDebugInfo(f"the program has no debug information on the entries of {trie.name}")
    return made


def _laid_out(target: Target, trie: GoType, arguments: Sequence[str]) -> GoType | None:
    """The entries' type as the compiler lays it out: node, overflow, key, value. None without the types of both."""
    word = target.arch.pointer_size
    known = [target.find_type(one) for one in arguments]
    key, value = known if len(known) == 2 else (None, None)
    if key is None or value is None:
        return None
    pointer = GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", word)
    return _entry(trie, word, ("overflow", pointer), ("key", key), ("value", value))


def _weak_entry(trie: GoType, word: int) -> GoType:
    """unique.entry[T], which is alike for every T. key: the weak.Pointer[T]."""
    pointer = GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", word)
    return _entry(trie, word, ("overflow", pointer), ("key", pointer), ("hash", GoType(Kind.UINT, "uintptr", word)))


def _entry(trie: GoType, word: int, *behind: tuple[str, GoType]) -> GoType:
    """A struct that begins with the node's isEntry."""
    boolean = GoType(Kind.BOOL, "bool", 1)
    node = GoType(Kind.STRUCT, "node", 1, fields=(Field("isEntry", 0, boolean),))
    parts, end = [], 0
    for name, t in (("node", node), *behind):
        start = -(-end // _alignment(t, word)) * _alignment(t, word)
        parts.append(Field(name, start, t))
        end = start + t.size
    return GoType(Kind.STRUCT, f"entry of {trie.name}", -(-end // word) * word, fields=tuple(parts))


def _alignment(t: GoType, word: int) -> int:
    if t.kind is Kind.STRUCT:
        return max((_alignment(f.type, word) for f in t.fields), default=1)
    if t.kind is Kind.ARRAY:
        return _alignment(t.elem, word)
    return max(min(t.size, word), 1)


# -- walking -----------------------------------------------------------------------------------------


def look(target: Target, shape: Shape, variable: Variable, allocator: Allocator) -> SyncMap:
    """Counts the sync.Map that the variable is. Raises MemoryFault, OptimizedOut where it can't be begun."""
    if isinstance(shape, ReadDirtyShape):
        return ReadDirtyWalk(target, shape, variable).look(allocator)
    return TrieWalk(target, shape, variable).look(allocator)


def nonsense(target: Target, shape: Shape, variable: Variable, room: Room) -> str | None:
    """What in it no sync.Map can have: it is memory that is something else, or corrupt. None for one that can be a
    sync.Map. Raises MemoryFault."""
    if isinstance(shape, ReadDirtyShape):
        walk = ReadDirtyWalk(target, shape, variable)
        read, dirty, _, _ = walk.halves()
        if walk.told.anomalies:
            return walk.told.anomalies[0].message
        return next((wrong for half in (read, dirty) if half and (wrong := map_nonsense(half, room))), None)
    root = TrieWalk(target, shape, variable).root()
    if not root:
        return None
    offset, _ = member(shape.indirect, "parent")
    word = target.arch.pointer_size
    data = target.memory.read(root, shape.indirect.size)
    return f"the root at {root:#x} has a parent" if any(data[offset : offset + word]) else None


def entries(target: Target, variable: Variable) -> Iterator[SyncEntry]:
    """Where keys and values of the live entries lie, if the variable is a sync.Map (nothing if it is not).

    variable: the sync.Map itself, not a pointer to it. What can't be read is left out.
    Raises MemoryFault, OptimizedOut, NoDebugInfo, UnsupportedLayout.
    """
    shape = detect(target, variable.type)
    if isinstance(shape, ReadDirtyShape):
        yield from ReadDirtyWalk(target, shape, variable).entries()
    elif shape is not None:
        yield from TrieWalk(target, shape, variable).entries()


def _locked(target: Target, t: GoType, variable: Variable) -> bool:
    """Whether the sync.Mutex in field mu is held: its state is in an inner mutex from Go 1.24 on."""
    found = t.field("mu")
    offset = 0
    while found is not None:
        offset += found.offset
        if found.name == "state":
            data = variable.read(target.memory, offset, found.type.size)
            return bool(target.arch.uint(data, 0, len(data)) & MUTEX_LOCKED)
        found = found.type.field("mu") or found.type.field("state")
    return False


@dataclass
class _Told:
    """Anomalies: the first few of each kind, and how many more there are."""

    anomalies: list[Anomaly] = field(default_factory=list)
    untold: dict[str, int] = field(default_factory=dict)

    def tell(self, severity: str, code: str, message: str, address: int | None) -> None:
        if sum(one.code == code for one in self.anomalies) < MAX_TOLD:
            self.anomalies.append(Anomaly(severity, code, message, address))
        else:
            self.untold[code] = self.untold.get(code, 0) + 1


@dataclass
class ReadDirtyWalk:
    target: Target
    shape: ReadDirtyShape
    variable: Variable
    told: _Told = field(default_factory=_Told)

    def _word(self, offset: int) -> int:
        arch = self.target.arch
        return arch.pointer(self.variable.read(self.target.memory, offset, arch.pointer_size))

    def _read_only(self) -> tuple[int, bool, int]:
        """(header of the read map, amended, address of the readOnly struct)."""
        address = self._word(self.shape.read_off)
        if not address:
            return 0, False, 0
        try:
            record = read_record(self.target, self.shape.readonly, address)
        except MemoryFault as fault:
            self.told.tell("error", "unreadable", f"the read map: {fault}", fault.address)
            return 0, False, address
        return record["m"], bool(record["amended"]), address

    def _view(self, address: int, what: str) -> MapView | None:
        try:
            return view(self.target, self.shape.map, address) if address else None
        except MemoryFault as fault:
            self.told.tell("error", "unreadable", f"the {what} map: {fault}", fault.address)
            return None

    def _keys(self, half: MapView | None, what: str) -> Iterator[tuple[int, int]]:
        """(address of the key, *entry) of each key in one of the maps."""
        if half is None:
            return
        arch = self.target.arch
        for count, found in enumerate(half.entries()):
            if count >= MAX_ENTRIES:
                self.told.tell("warning", "too-many", f"the {what} map has more keys than are looked at", None)
                return
            if found.elem is not None:
                yield found.key_address, arch.pointer(found.elem)

    def _values(self, pointers: Sequence[int]) -> dict[int, int]:
        """Where the value of each entry lies (entry.p: *any), by the entry's address; 0: deleted."""
        offset, size = _pointer_in(self.shape.entry, self.target.arch.pointer_size)
        found = {}
        for address, data in gather(self.target.memory, sorted(set(pointers)), self.shape.entry.size):
            if data is None:
                self.told.tell("error", "unreadable", f"the entry at {address:#x} can't be read", address)
            else:
                found[address] = self.target.arch.uint(bytes(data[offset : offset + size]), 0, size)
        return found

    def _expunged(self) -> int | None:
        """What sync.expunged holds: entries that point there are deleted."""
        at = self.target.symbol("sync.expunged")
        try:
            return None if at is None else self._at(at)
        except MemoryFault:
            return None

    def _at(self, address: int) -> int:
        arch = self.target.arch
        return arch.pointer(self.target.memory.read(address, arch.pointer_size))

    def halves(self) -> tuple[MapView | None, MapView | None, bool, int]:
        """(read map, dirty map, amended, address of the readOnly struct)."""
        header, amended, readonly = self._read_only()
        read = self._view(header, "read")
        return read, self._view(self._word(self.shape.dirty_off), "dirty"), amended, readonly

    def entries(self) -> Iterator[SyncEntry]:
        read, dirty, _, _ = self.halves()
        expunged = self._expunged()
        key_type = self.shape.map.key
        value_type = _any_in(self.shape.entry) or key_type
        known: set[int] = set()
        for half, where in ((read, "read"), (dirty, "dirty")):
            keys = (item for item in self._keys(half, where) if item[1] not in known)
            while True:
                batch = list(islice(keys, BATCH))
                if not batch:
                    break
                values = self._values([entry for _, entry in batch])
                known.update(values)
                for key, entry in batch:
                    value = values.get(entry)
                    if value and value != expunged:
                        yield SyncEntry(key_type, key, value_type, value, where)

    def look(self, allocator: Allocator) -> SyncMap:
        target, shape = self.target, self.shape
        read, dirty, amended, readonly = self.halves()
        in_read, in_dirty = list(self._keys(read, "read")), list(self._keys(dirty, "dirty"))
        values = self._values([entry for _, entry in (*in_read, *in_dirty)])
        expunged = self._expunged()
        if expunged is None and values:
            what = "sync.expunged is not known here: keys that were deleted may be counted as live"
            self.told.tell("warning", "no-expunged", what, None)
        facts = ReadDirty(amended)
        facts.read = _half(read, in_read, values, expunged)
        facts.dirty = _half(dirty, in_dirty, values, expunged)
        facts.read.own = _own(in_read, in_dirty, values, expunged)
        facts.dirty.own = _own(in_dirty, in_read, values, expunged)
        offset, size = shape.misses
        data = self.variable.read(target.memory, offset, size)
        facts.misses = int.from_bytes(data, target.arch.byte_order, signed=True)  # type: ignore[arg-type]
        if amended:  # missLocked
            facts.misses_left = max(facts.dirty.count - facts.misses, 1)
        locked = _locked(target, shape.type, self.variable)
        self._check(facts, locked)
        found = SyncMap(shape.generation, facts.read.live + facts.dirty.own, locked=locked, read_dirty=facts)
        interface = 2 * target.arch.pointer_size
        each = allocator.allocated(shape.entry.size, True)
        boxes = found.count * allocator.allocated(interface, True)  # what entry.p points to
        own = allocator.allocated(shape.readonly.size, True) if readonly else 0
        allocated, rebuilt = own + len(values) * each + boxes, own + found.count * each + boxes
        halves = [(half, what) for half, what in ((read, "read"), (dirty, "dirty")) if half is not None]
        for half, what in halves:
            structure = half.structure(allocator)
            allocated += structure.bytes.allocated
            found.inner += [replace(a, message=f"{what} map: {a.message}") for a in structure.anomalies]
        if halves:
            rebuilt += halves[0][0].rebuilt(found.count, allocator)
        found.bytes = Bytes(allocated, live=found.count * 2 * interface, rebuilt=rebuilt)
        found.anomalies, found.untold = self.told.anomalies, self.told.untold
        return found

    def _check(self, facts: ReadDirty, locked: bool) -> None:
        """What sync/map.go says of its own fields always holds while nobody is in the middle of a change."""
        severity = "note" if locked else "warning"
        why = ": its mutex is held, so a goroutine may be changing it" if locked else ": it is corrupt"
        for half, what in ((facts.read, "read"), (facts.dirty, "dirty")):
            if half.count != half.keys:
                message = f"the {what} map counts {half.count:,} keys, but {half.keys:,} are there{why}"
                self.told.tell(severity, "count-mismatch", message, None)
        if facts.dirty.view is None:
            if facts.amended:
                self.told.tell(severity, "bad-amended", f"amended is set but dirty is nil{why}", None)
            return
        if facts.dirty.expunged:
            what = f"{facts.dirty.expunged:,} entries of the dirty map are expunged{why}"
            self.told.tell(severity, "expunged-in-dirty", what, None)
        # After Clear (Go 1.23) an empty dirty map stays, and amended is not set.
        if facts.dirty.keys and facts.read.own:
            what = f"{facts.read.own:,} live entries of the read map are missing in the dirty map{why}"
            self.told.tell(severity, "missing-in-dirty", what, None)
        if facts.dirty.own and not facts.amended:
            what = f"the dirty map has {facts.dirty.own:,} entries of its own and amended is not set{why}"
            self.told.tell(severity, "bad-amended", what, None)


def _own(
    items: list[tuple[int, int]], others: list[tuple[int, int]], values: dict[int, int], expunged: int | None
) -> int:
    """How many live entries one map has that the other one has not."""
    known = {entry for _, entry in others}
    return sum(bool(values.get(entry)) and values[entry] != expunged and entry not in known for _, entry in items)


def _half(found: MapView | None, items: list[tuple[int, int]], values: dict[int, int], expunged: int | None) -> Half:
    half = Half(found, found.count if found is not None else 0, len(items))
    for _, entry in items:
        value = values.get(entry)
        if value is None:
            continue
        if not value:
            half.deleted += 1
        elif value == expunged:
            half.expunged += 1
        else:
            half.live += 1
    return half


def _pointer_in(entry: GoType, word: int) -> tuple[int, int]:
    """Offset and size of entry.p: an atomic.Pointer[any], up to Go 1.19 an unsafe.Pointer."""
    offset, t = member(entry, "p")
    pointer = atomic_pointee(t)
    return offset + (pointer[0] if pointer else 0), word


def _any_in(entry: GoType) -> GoType | None:
    pointer = atomic_pointee(member(entry, "p")[1])
    return pointer[1] if pointer else None


class TrieEntry(NamedTuple):
    """An entry of a hash trie. depth: how many inner nodes lead to it, the root counted; path: the places in them, 4
    bits each, the root's first. chain: the entry that leads its overflow chain, 0 for one in an inner node."""

    address: int
    data: memoryview
    type: GoType
    depth: int
    path: int
    chain: int


class _Node(NamedTuple):
    parent: int
    path: int


@dataclass
class TrieWalk:
    target: Target
    shape: TrieShape
    variable: Variable
    strange: int = 0  # inner nodes that name another parent
    facts: Trie = field(default_factory=Trie)
    told: _Told = field(default_factory=_Told)

    def root(self) -> int:
        """Address of the root, 0 where nothing was ever stored: HashTrieMap.init."""
        arch, (offset, root) = self.target.arch, member(self.shape.trie, "root")
        pointer = None if root.kind is Kind.POINTER else atomic_pointee(root)
        at = self.shape.offset + offset + (pointer[0] if pointer else 0)
        return arch.pointer(self.variable.read(self.target.memory, at, arch.pointer_size))

    def _fault(self, what: str, address: int) -> None:
        self.told.tell("error", "unreadable", f"the {what} at {address:#x} can't be read", address)

    def _odd(self, code: str, message: str, address: int) -> None:
        self.told.tell("warning", code, message, address)

    def walk(self) -> Iterator[TrieEntry]:
        """Every entry, level by level; facts are filled in on the way."""
        root = self.root()
        if not root:
            return
        self.facts.root = root
        arch, indirect = self.target.arch, self.shape.indirect
        trie = self.shape.trie
        entry = _weak_entry(trie, arch.pointer_size) if self.shape.weak else _entry_type(self.target, trie)
        overflow_off, overflow = member(entry, "overflow")
        pointer = atomic_pointee(overflow)
        overflow_off += pointer[0] if pointer else 0
        flag_off = _flag_offset(indirect)
        seen = {root}
        level = {root: _Node(0, 0)}
        while level:
            if self.facts.depth >= 8 * arch.pointer_size // CHILD_BITS:
                self._odd("trie-too-deep", "the trie is deeper than a hash is long", min(level))
                return
            self.facts.depth += 1
            children = self._children(level, seen)
            level = {}
            chained: list[tuple[int, int]] = []
            depth = self.facts.depth
            for address, data in gather(self.target.memory, list(children), entry.size):
                if data is None:
                    self._fault("node", address)
                elif data[flag_off] == 1:
                    self.facts.entries += 1
                    yield TrieEntry(address, data, entry, depth, children[address].path, 0)
                    after = arch.pointer(bytes(data[overflow_off : overflow_off + arch.pointer_size]))
                    if after:
                        chained.append((address, after))
                elif data[flag_off] == 0:
                    level[address] = children[address]
                else:
                    self._odd("bad-node", f"the node at {address:#x} is neither entry nor inner node", address)
            for first, after in chained:
                place = TrieEntry(after, memoryview(b""), entry, depth, children[first].path, first)
                yield from self._chain(place, overflow_off, seen)

    def _children(self, level: dict[int, _Node], seen: set[int]) -> dict[int, _Node]:
        """Children of the inner nodes of one level, by address."""
        arch, indirect = self.target.arch, self.shape.indirect
        children_off, array = member(indirect, "children")
        parent_off, _ = member(indirect, "parent")
        pointer = atomic_pointee(array.elem)
        first = children_off + (pointer[0] if pointer else 0)
        found: dict[int, _Node] = {}
        for address, view_ in gather(self.target.memory, list(level), indirect.size):
            if view_ is None:
                self._fault("inner node", address)
                continue
            data = bytes(view_)
            self.facts.nodes += 1
            if arch.pointer(data, parent_off) != level[address].parent:
                self._odd("bad-parent", f"the node at {address:#x} names another parent", address)
                self.strange += 1
                if self.strange > MAX_STRANGE:
                    continue
            for i in range(array.length):
                child = arch.pointer(data, first + i * array.elem.size)
                if not child:
                    continue
                if child in seen or len(seen) >= MAX_ENTRIES:
                    code, what = ("trie-cycle", "two ways lead to it") if child in seen else ("too-many", "too many")
                    self._odd(code, f"the node at {child:#x} is left out: {what}", child)
                    continue
                seen.add(child)
                found[child] = _Node(address, level[address].path << CHILD_BITS | i)
        return found

    def _chain(self, first: TrieEntry, overflow_off: int, seen: set[int]) -> Iterator[TrieEntry]:
        """Entries whose whole hash is that of an entry in the trie."""
        self.facts.chains += 1
        length, address, entry = 1, first.address, first.type
        while address:
            if address in seen or length > MAX_CHAIN:
                self._odd("trie-cycle", "a chain of overflow entries leads back into the trie", address)
                break
            seen.add(address)
            try:
                data = memoryview(self.target.memory.read(address, entry.size))
            except MemoryFault:
                self._fault("overflow entry", address)
                break
            length += 1
            self.facts.entries += 1
            self.facts.overflow += 1
            yield first._replace(address=address, data=data)
            address = self.target.arch.pointer(bytes(data), overflow_off)
        self.facts.longest = max(self.facts.longest, length)

    def key_type(self, entry: GoType) -> GoType | None:
        """None where the debug information does not have the type that weak pointers point to."""
        return self.target.find_type(self._argument(0)) if self.shape.weak else self.real(0, member(entry, "key")[1])

    def keys(self, batch: Sequence[TrieEntry], t: GoType) -> list[tuple[int, bytes | None]]:
        """(address, bytes) of each entry's key; the address is 0 where the collector has cleared a weak pointer, and
        the bytes are None where they can't be read."""
        if not self.shape.weak:
            offset, _ = member(batch[0].type, "key")
            return [(one.address + offset, bytes(one.data[offset : offset + t.size])) for one in batch]
        at = self._weak(batch)
        if not t.size:
            return [(one, b"") for one in at]
        found = dict(gather(self.target.memory, sorted({one for one in at if one}), t.size))
        return [(one, None if not one or (data := found[one]) is None else bytes(data)) for one in at]

    def _weak(self, batch: Sequence[TrieEntry]) -> list[int]:
        """Where the weak pointers of entries lead, 0 for those that the collector has cleared. Each points to a word
        that has the address (getOrAddWeakHandle of runtime/mheap.go)."""
        arch, (offset, _) = self.target.arch, member(batch[0].type, "key")
        word = arch.pointer_size
        handles = [arch.pointer(bytes(one.data[offset : offset + word])) for one in batch]
        held = dict(gather(self.target.memory, sorted(set(handles)), word))
        return [0 if (data := held[one]) is None else arch.pointer(bytes(data)) for one in handles]

    def _weak_entries(self) -> Iterator[SyncEntry]:
        walk, value = self.walk(), GoType(Kind.STRUCT, "struct {}", 0)
        while batch := list(islice(walk, BATCH)):
            t = self.key_type(batch[0].type)
            if t is None:
                raise NoDebugInfo(f"the program has no debug information on the keys of {self.shape.trie.name}")
            for address, _ in self.keys(batch, t):
                if address:
                    yield SyncEntry(t, address, value, address, "trie")

    def entries(self) -> Iterator[SyncEntry]:
        if self.shape.weak:
            yield from self._weak_entries()
            return
        for address, _, entry, _, _, _ in self.walk():
            key_off, key = member(entry, "key")
            value_off, value = member(entry, "value")
            key, value = self.real(0, key), self.real(1, value)
            yield SyncEntry(key, address + key_off, value, address + value_off, "trie")

    def real(self, number: int, t: GoType) -> GoType:
        """The type argument of this number, which the trie's own type has: t, its entries', may be its shape."""
        name = self._argument(number)
        found = None if name == ANY_POINTER else self.target.find_type(name)
        if found is not None and found.size == t.size:
            return found
        return replace(t, name=name) if t.name == SHAPE + name else t

    def _argument(self, number: int) -> str:
        names = _arguments(self.shape.trie.name.partition("[")[2][:-1])
        name = names[number] if number < len(names) else ANY_POINTER
        return name if name == ANY_POINTER or not name.startswith(SHAPE) else name[len(SHAPE) :]

    def look(self, allocator: Allocator) -> SyncMap:
        count = cleared = size = live = 0
        walk = self.walk()
        while batch := list(islice(walk, BATCH)):
            count, size = count + len(batch), batch[0].type.size
            parts = ("key", "hash" if self.shape.weak else "value")
            live += len(batch) * sum(member(batch[0].type, name)[1].size for name in parts)
            cleared += self._weak(batch).count(0) if self.shape.weak else 0
        offset, seed = member(self.shape.trie, "seed")
        data = self.variable.read(self.target.memory, self.shape.offset + offset, seed.size)
        self.facts.seed = self.target.arch.uint(data, 0, len(data))
        self.facts.longest = max(self.facts.longest, 1 if count else 0)
        held = self.facts.nodes * allocator.allocated(self.shape.indirect.size, True)
        held += count * allocator.allocated(size, True)
        size_of = Bytes(held, live=live, rebuilt=held)  # a delete takes empty nodes away
        told = self.told
        return SyncMap(
            self.shape.generation,
            count - cleared,
            size_of,
            trie=self.facts,
            anomalies=told.anomalies,
            untold=told.untold,
        )


def _flag_offset(indirect: GoType) -> int:
    """Offset of isEntry, which inner nodes and entries have in their common first field."""
    offset, node = member(indirect, "node")
    return offset + member(node, "isEntry")[0]
