"""A sync.Map, or package unique's map, that is a hash trie: internal/sync/hashtriemap.go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from gomap.errors import MemoryFault, NoDebugInfo
from gomap.golang.layouts.slots import member
from gomap.golang.layouts.structure import Bytes
from gomap.golang.runtime.dictionaries import ANY_POINTER, SHAPE
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType, Kind, atomic_pointee
from gomap.reads import gather
from gomap.syncmap.facts import BATCH, MAX_ENTRIES, SyncEntry, SyncFindings, SyncMap, Trie
from gomap.syncmap.shape import TrieShape, arguments_of, entry_type, weak_entry
from gomap.target import Target, Variable

CHILD_BITS = 4  # nChildrenLog2


MAX_CHAIN = 1 << 16


#: After this many inner nodes with another parent, such nodes are not followed: they are not nodes of this trie.
MAX_STRANGE = 64


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
    """Walks an internal/sync.HashTrieMap: sync.Map from Go 1.24 on, and unique's sets of values.

    variable: what has the trie, `shape.offset` bytes into it.
    """

    target: Target
    shape: TrieShape
    variable: Variable
    strange: int = 0  # inner nodes that name another parent
    inner: list[int] = field(default_factory=list)  # those that were walked
    facts: Trie = field(default_factory=Trie)
    told: SyncFindings = field(default_factory=SyncFindings)

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
        entry = weak_entry(trie, arch.pointer_size) if self.shape.weak else entry_type(self.target, trie)
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
            self.inner += level
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
        """Its live entries."""
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
        names = arguments_of(self.shape.trie.name.partition("[")[2][:-1])
        name = names[number] if number < len(names) else ANY_POINTER
        return name if name == ANY_POINTER or not name.startswith(SHAPE) else name[len(SHAPE) :]

    def objects(self) -> Iterator[tuple[str, Iterable[int]]]:
        """Addresses of everything that it has allocated, by kind: entry or node."""
        yield "entry", [one.address for one in self.walk()]
        yield "node", self.inner

    def look(self, allocator: Allocator) -> SyncMap:
        """Counts everything."""
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
