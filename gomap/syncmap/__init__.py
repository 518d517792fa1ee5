"""sync.Map, both generations, told by their fields.

read-dirty: a read map that needs no lock, and a dirty map behind the mutex (sync/map.go up to Go 1.23; in 1.24
and 1.25 with GOEXPERIMENT=nosynchashtriemap; sync/oldmap.go is the same code's name in later trees).
hash-trie: internal/sync.HashTrieMap (internal/sync/hashtriemap.go), from Go 1.24 on; internal/concurrent.HashTrieMap
in Go 1.23, which package unique has there. From Go 1.25 on unique.canonMap (unique/canonmap.go) is a trie of its own:
its entries have weak pointers to the keys, and no values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gomap import moving
from gomap.anomaly import Anomaly
from gomap.golang.layouts.slots import member
from gomap.golang.runtime.heap import Room
from gomap.golang.runtime.malloc import Allocator
from gomap.maps import nonsense as map_nonsense
from gomap.syncmap.facts import SyncEntry, SyncMap
from gomap.syncmap.read_dirty import ReadDirtyWalk
from gomap.syncmap.shape import ReadDirtyShape, Shape, detect
from gomap.syncmap.trie import TrieWalk
from gomap.target import Target, Variable

__all__ = ["detect", "entries", "look", "looked", "nonsense", "objects"]


def look(target: Target, shape: Shape, variable: Variable, allocator: Allocator) -> SyncMap:
    """Counts the sync.Map that the variable is. Raises MemoryFault, OptimizedOut where it can't be begun."""
    if isinstance(shape, ReadDirtyShape):
        return ReadDirtyWalk(target, shape, variable).look(allocator)
    return TrieWalk(target, shape, variable).look(allocator)


def objects(target: Target, shape: Shape, variable: Variable) -> Iterator[tuple[str, Iterable[int]]]:
    """Addresses of all that the sync.Map has taken from the heap beside itself, as layout.MapView.objects has a map's:
    readOnly, entry, value (the interfaces that entries point to) and the objects of both maps, or node and entry."""
    if isinstance(shape, ReadDirtyShape):
        return ReadDirtyWalk(target, shape, variable).objects()
    return TrieWalk(target, shape, variable).objects()


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


def looked(target: Target, shape: Shape, variable: Variable, allocator: Allocator) -> SyncMap:
    """look, of a program that may go on: where the sync.Map was written to while it was read, its anomalies say that
    and nothing else. Raises what look raises."""
    read = moving.counted(
        target,
        lambda now: look(now, shape, variable, allocator),
        lambda one: [(a.code, a.message, a.address) for a in one.anomalies if a.severity != "note"],
        lambda: {entry.key_address for entry in entries(target, variable)},
    )
    found = read.result
    found.bound = read.bound
    if read.written:
        off = f" ± {read.bound:,}" if read.bound else ""
        what = f"the sync.Map was written to while it was read: it has {found.count:,}{off} entries"
        notes = [a for a in found.anomalies if a.severity == "note"]
        found.anomalies, found.untold = [*notes, Anomaly("warning", "torn-read", what, variable.address)], {}
        found.inner = [a for a in found.inner if a.severity == "note"]
    return found


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
