"""Whether a sync.Map is as its own code leaves it: sync/map.go up to Go 1.23, internal/sync/hashtriemap.go after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice

from gomap.columns.choose import columns
from gomap.errors import GomapError, MemoryFault
from gomap.golang.hashing.batches import RANDOM, TOO_LONG, UNREADABLE, hash_many
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan, typehash_plan
from gomap.golang.layouts.integrity import NOT_IN_CORE, Checked, Findings, sample_step
from gomap.golang.layouts.slots import member
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType
from gomap.syncmap import look
from gomap.syncmap.facts import BATCH
from gomap.syncmap.read_dirty import ReadDirtyWalk
from gomap.syncmap.shape import ReadDirtyShape, Shape, TrieShape
from gomap.syncmap.trie import CHILD_BITS, TrieEntry, TrieWalk
from gomap.target import Target, Variable

#: Anomalies of a walk that are not faults of the map, and what was not checked because of them.
PARTIAL = {
    "too-many": ("entries", "not looked at: there are too many"),
    "no-expunged": ("keys", "may be deleted: sync.expunged is not known"),
}


def check(
    target: Target,
    shape: Shape,
    variable: Variable,
    hasher: Hasher,
    full: bool,
    absent: Callable[[int | None], bool],
    check_map: Callable[[GoType, int], Checked],
) -> Checked | None:
    """Every invariant of the sync.Map; None for one that was never used. check_map: checks the map of a type whose
    header is at an address: the read and the dirty map are maps. Raises what syncmap.look raises."""
    found = look(target, shape, variable, allocator(target))
    if not found.is_used:
        return None
    findings = Findings(False, variable.address or 0, absent)
    for one in found.anomalies:
        if one.code == "count-mismatch":
            continue  # that is a finding in the map itself
        if one.code in PARTIAL:
            what, why = PARTIAL[one.code]
            number = 1 if found.read_dirty is None else max(found.read_dirty.read.keys, 1)
            findings.skip(what, number, None, why)
            findings.note(one.code, one.message, one.address)
        elif one.severity == "note":
            findings.note(one.code, one.message, one.address)
        elif one.code == "unreadable":
            findings.unread("parts", 1, one.message, one.address)
        else:
            findings.add(one.code, one.message, one.address)
    for code, number in found.untold.items():
        if code in PARTIAL:
            findings.skip(PARTIAL[code][0], number, None, PARTIAL[code][1])
        else:
            findings.untold({code: number})
    if isinstance(shape, ReadDirtyShape):
        return _halves(ReadDirtyWalk(target, shape, variable), findings, found.count, check_map)
    step = sample_step(found.count, full)
    trie = _TrieChecker(
        target, shape, TrieWalk(target, shape, variable), hasher, findings, found.trie.seed if found.trie else 0
    )
    trie.hash_all(bounded=not full, step=step)
    trie.left_out(found.count, step)
    return Checked(found.count, trie.checked, findings.done(), findings.unchecked, findings.counts, trie.random)


def _halves(
    walk: ReadDirtyWalk, findings: Findings, count: int, check_map: Callable[[GoType, int], Checked]
) -> Checked:
    """The read and the dirty map, checked as maps."""
    read, dirty, _, _ = walk.halves()
    told, unchecked, kinds = findings.done(), list(findings.unchecked), dict(findings.counts)
    hashed = random = 0
    for half, what in ((read, "read"), (dirty, "dirty")):
        if half is None:
            continue
        one = check_map(walk.shape.map, half.address)
        hashed, random = hashed + one.hashes_checked, random + one.random
        told += [replace(anomaly, message=f"{what} map: {anomaly.message}") for anomaly in one.findings]
        unchecked += [replace(left, why=f"of the {what} map {left.why}") for left in one.unchecked]
        for code, number in one.kinds.items():
            kinds[code] = kinds.get(code, 0) + number
    return Checked(count, hashed, told, unchecked, kinds, random)


@dataclass
class _TrieChecker:
    """Compares the places of the keys of a hash trie with their hashes: each level of nodes takes 4 bits."""

    target: Target
    shape: TrieShape
    walk: TrieWalk
    hasher: Hasher
    findings: Findings
    seed: int
    checked: int = 0
    random: int = 0
    too_long: int = 0
    unreadable: int = 0
    wrong: int = 0
    known: bool = True  # the hash function
    key: GoType | None = None
    _chains: dict[int, list[tuple[int, int, bytes]]] = field(default_factory=dict)

    def hash_all(self, bounded: bool, step: int) -> None:
        """bounded: of long strings only some are hashed. step: one of so many keys is."""
        self.hasher.begin(bounded)
        entries = self.walk.walk()
        if step > 1:
            entries = (one for i, one in enumerate(entries) if not i % step)
        while True:
            batch = list(islice(entries, BATCH))
            if not batch:
                break
            self._batch(batch)
            if not self.known:
                return
        if self.wrong >= max(4, self.checked // 2) and self.wrong * 10 >= self.checked * 9:
            what = f"seed is {self.seed:#x}, but with it no key is where it hashes to"
            self.findings.only("bad-seed", what, self.findings.address)
            return
        self._tell_chains()

    def _batch(self, batch: list[TrieEntry]) -> None:
        t = self.key = self.walk.key_type(batch[0].type)
        plans = [] if t is None else self.hasher.plans(t)
        if t is None or not plans:
            self.known = False
            return
        found = self.walk.keys(batch, t)
        for one, (address, key) in zip(batch, found):
            if address and key is None:
                self._lost(one, address)
        batch = [one for one, (_, key) in zip(batch, found) if key is not None]
        keys = [key for _, key in found if key is not None]
        bits = 8 * self.target.arch.pointer_size
        many = columns()
        hashes, states = hash_many(self.hasher, plans[0], many.rows(keys, t.size), self.seed)
        for one, key, hash_, state in zip(batch, keys, many.listed(hashes), many.listed(states)):
            if state == RANDOM:
                self.random += 1
            elif state == TOO_LONG:
                self.too_long += 1
            elif state == UNREADABLE:
                self._cannot_read(one, plans[0], key)
            else:
                self.checked += 1
                if hash_ >> max(bits - CHILD_BITS * one.depth, 0) != one.path:
                    self.wrong += 1
                    what = f"the entry at {one.address:#x} is not where its key hashes to"
                    self.findings.add("misplaced-key", what, one.address)
                if one.chain or self._leads_chain(one):
                    self._chains.setdefault(one.chain or one.address, []).append((one.address, hash_, key))

    def _leads_chain(self, one: TrieEntry) -> bool:
        offset, _ = member(one.type, "overflow")
        return any(one.data[offset : offset + self.target.arch.pointer_size])

    def _cannot_read(self, one: TrieEntry, plan: Plan, key: bytes) -> None:
        self.unreadable += 1
        address = None
        try:
            self.hasher.hash(plan, key, self.seed)
        except MemoryFault as fault:
            address = fault.address
        except GomapError:
            pass
        self._tell_unreadable(one, address)

    def _lost(self, one: TrieEntry, address: int) -> None:
        self.unreadable += 1
        self._tell_unreadable(one, address)

    def _tell_unreadable(self, one: TrieEntry, address: int | None) -> None:
        if self.findings.absent(address):
            self.findings.skip("keys", 1, None, NOT_IN_CORE)
        else:
            self.findings.add("unreadable-key", f"the key of the entry at {one.address:#x} can't be read", one.address)

    def _tell_chains(self) -> None:
        """Keys of a chain have one hash, and no two of them are equal: other places can't hold equal keys."""
        equality = None if self.key is None else typehash_plan(self.key)
        for first, chain in self._chains.items():
            if len({hash_ for _, hash_, _ in chain}) > 1:
                what = f"the overflow chain of the entry at {first:#x} has keys of different hashes"
                self.findings.add("misplaced-key", what, first)
            for i, (address, _, key) in enumerate(chain if equality is not None else ()):
                for other, _, before in chain[:i]:
                    try:
                        equal = equality is not None and self.hasher.equal(equality, key, before)
                    except GomapError:
                        continue
                    if equal:
                        what = f"the entry at {address:#x} has the same key as the one at {other:#x}"
                        self.findings.add("duplicate-key", what, address)
                        break

    def left_out(self, count: int, step: int) -> None:
        """Says which of the `count` keys were not compared with their hashes, and why."""
        skip = self.findings.skip
        if not self.known:
            skip("keys", count, count, "not hashed: their hash function is not known")
            return
        skip("nan-keys", self.random, count, "not hashed: they contain a NaN and can be anywhere")
        skip("long-keys", self.too_long, count, "not hashed: they are too long to hash them here (--full: all)")
        rest = max(count - self.checked - self.random - self.too_long - self.unreadable, 0)
        if step > 1:
            skip("keys", rest, count, "not hashed: this Python has no numpy (--full: all)")
        elif not self.findings.counts:
            skip("keys", rest, count, "not hashed")
