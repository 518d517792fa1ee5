"""A sync.Map of a read map and a dirty map: sync/map.go up to Go 1.23, sync/oldmap.go later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from gomap.errors import MemoryFault
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.slots import member
from gomap.golang.layouts.structure import Bytes
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType, atomic_pointee
from gomap.maps import view
from gomap.moving import walked
from gomap.reads import gather
from gomap.syncmap.facts import (
    BATCH,
    MAX_ENTRIES,
    Half,
    ReadDirty,
    SyncEntry,
    SyncFindings,
    SyncMap,
    is_locked,
    own_bytes,
)
from gomap.syncmap.shape import ReadDirtyShape
from gomap.target import Target, Variable, read_record


@dataclass
class ReadDirtyWalk:
    """Walks a sync.Map of Go up to 1.23: sync/map.go.

    variable: the sync.Map itself.
    """

    target: Target
    shape: ReadDirtyShape
    variable: Variable
    told: SyncFindings = field(default_factory=SyncFindings)

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
        """Its live entries: those of read, then those that only dirty has."""
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

    def objects(self) -> Iterator[tuple[str, Iterable[int]]]:
        """Addresses of everything that it has allocated, by kind: readOnly, parts of its two maps, entry, value."""
        read, dirty, _, readonly = self.halves()
        yield "readOnly", (readonly,)
        for half, what in ((read, "read"), (dirty, "dirty")):
            if half is not None:
                yield from half.objects()
                entries = [entry for _, entry in self._keys(half, what)]
                yield "entry", entries
                yield "value", self._values(entries).values()

    def look(self, allocator: Allocator) -> SyncMap:
        """Counts everything."""
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
        facts.read.own = own_bytes(in_read, in_dirty, values, expunged)
        facts.dirty.own = own_bytes(in_dirty, in_read, values, expunged)
        offset, size = shape.misses
        data = self.variable.read(target.memory, offset, size)
        facts.misses = int.from_bytes(data, target.arch.byte_order, signed=True)  # type: ignore[arg-type]
        if amended:  # missLocked
            facts.misses_left = max(facts.dirty.count - facts.misses, 1)
        locked = is_locked(target, shape.type, self.variable)
        self._check(facts, locked)
        found = SyncMap(shape.generation, facts.read.live + facts.dirty.own, locked=locked, read_dirty=facts)
        interface = 2 * target.arch.pointer_size
        each = allocator.allocated(shape.entry.size, True)
        boxes = found.count * allocator.allocated(interface, True)  # what entry.p points to
        own = allocator.allocated(shape.readonly.size, True) if readonly else 0
        allocated, rebuilt = own + len(values) * each + boxes, own + found.count * each + boxes
        halves = [(half, what) for half, what in ((read, "read"), (dirty, "dirty")) if half is not None]
        for half, what in halves:
            inner = walked(half, allocator)
            allocated += inner.structure.bytes.allocated
            found.inner += [replace(a, message=f"{what} map: {a.message}") for a in inner.anomalies]
        if halves:
            rebuilt += halves[0][0].rebuilt(found.count, allocator)
        found.bytes = Bytes(allocated, live=found.count * 2 * interface, rebuilt=rebuilt)
        found.anomalies, found.untold = self.told.anomalies, self.told.untold
        return found

    def _check(self, facts: ReadDirty, locked: bool) -> None:
        """Checks the invariants of sync/map.go, which hold whenever no change is in progress."""
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
