"""Whether a map is as the runtime would have left it: every invariant of its layout, hashes recomputed.

A finding tells a cause, not each of its effects: where one wrong field makes many keys look misplaced, the
field is named and the keys are not. Nothing here raises for a corrupt map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

from gomap.arrays import numpy
from gomap.errors import GomapError
from gomap.golang.hashing import FETCHED, KNOWN, RANDOM, TOO_LONG, UNREADABLE, Hasher, Plan, TooLong, typehash_plan
from gomap.golang.marks import SLOTS
from gomap.golang.memhash import load
from gomap.golang.slots import SlotShape
from gomap.golang.structure import Anomaly
from gomap.target import Target

#: Findings of one kind that are told one by one; of the others, how many there are.
MAX_FINDINGS = 16
#: After so many keys that are not where their hashes name them, the others' hashes tell nothing more.
MOST_BAD = 1 << 16
#: Keys hashed without numpy, unless all are asked for: a few seconds' worth.
SAMPLE = 10_000
#: What no stop in the middle of a write explains.
NEVER_EXPLAINED = frozenset(
    "bad-B bad-seed bad-flags overflow-cycle overflow-shared overflow-outside unreadable bad-capacity".split()
)
#: A write has one bucket (group) in its hands.
MOST_EXPLAINED = SLOTS


@dataclass
class Findings:
    """What was found in one map. `unsure`: part of it can't be read or made sense of, so nothing adds up."""

    writing: bool
    address: int  # of the map
    listed: list[Anomaly] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    unsure: bool = False

    def add(self, code: str, message: str, address: int | None = None) -> None:
        number = self.counts[code] = self.counts.get(code, 0) + 1
        if number <= MAX_FINDINGS:
            self.listed.append(Anomaly("error", code, message, address))

    def more(self, code: str, number: int) -> None:
        """So many of a kind that are not told one by one."""
        self.counts[code] = self.counts.get(code, 0) + number

    def note(self, code: str, message: str, address: int | None = None) -> None:
        self.listed.append(Anomaly("note", code, message, address))

    def only(self, code: str, message: str, address: int | None) -> None:
        """This explains all that was found."""
        self.listed = [a for a in self.listed if a.severity == "note"]
        self.counts.clear()
        self.add(code, message, address)
        self.unsure = True

    def done(self) -> list[Anomaly]:
        """The findings; those that a write under way explains are notes."""
        result = []
        for one in self.listed:
            explained = self.writing and one.code not in NEVER_EXPLAINED
            if one.severity == "error" and explained and self.counts[one.code] <= MOST_EXPLAINED:
                why = "the program was stopped inside a write to this map, which explains it"
                one = Anomaly("note", one.code, f"{one.message} ({why})", one.address)
            result.append(one)
        for code, number in self.counts.items():
            if number > MAX_FINDINGS:
                more = f"{number - MAX_FINDINGS:,} more findings of the kind {code}"
                result.append(Anomaly("error", code, more, self.address))
        return result


class Slot(NamedTuple):
    """A live slot: where it is, its mark, its key's hash. block: number of its bucket (group) in its batch."""

    block: int
    slot: int
    mark: int
    hash: int


@dataclass
class KeyCheck:
    """Takes batches of buckets (groups), hashes their live keys and remembers them, to find equal ones."""

    target: Target
    shape: SlotShape
    hasher: Hasher
    plan: Plan | None
    seed: int
    live: range
    findings: Findings
    checked: int = 0
    random: int = 0
    too_long: int = 0
    bad_ones: int = 0
    _hashes: list[Any] = field(default_factory=list)
    _places: list[Any] = field(default_factory=list)
    _slots: list[Any] = field(default_factory=list)

    bounded: bool = True  # of long strings only some are hashed

    def __post_init__(self) -> None:
        self.hasher.begin(self.bounded)

    def bad(
        self,
        data: bytes,
        addresses: Sequence[int],
        wanted: Callable[[Any, Any, Any], Any],
    ) -> Iterator[Slot]:
        """Live slots of the buckets (groups) in data for which wanted(block, mark, hash) is not true.

        wanted is given ints, or numpy arrays of them; it is given no key that contains a NaN.
        """
        if self.plan is None or not addresses or self.bad_ones > MOST_BAD:
            return
        np = numpy()
        if np is None:
            yield from self._bad_one_by_one(data, addresses, wanted)
            return
        matrix = np.frombuffer(data, np.uint8).reshape(len(addresses), self.shape.size)
        marks = matrix[:, :SLOTS][:, ::-1] if self.shape.reversed_marks else matrix[:, :SLOTS]
        blocks, slots = np.nonzero((marks >= self.live.start) & (marks < self.live.stop))
        if not len(blocks):
            return
        marks = marks[blocks, slots]
        shape = self.shape
        flat = np.frombuffer(data, np.uint8)
        at = blocks * shape.size + shape.keys_off + slots * shape.key_stride
        width = self.target.arch.pointer_size if shape.indirect_key else shape.key.size
        windows = np.lib.stride_tricks.sliding_window_view
        keys = windows(flat, width)[at] if width else np.zeros((len(at), 0), np.uint8)
        places = np.array(addresses, np.uint64)[blocks]
        if shape.indirect_key:
            hashes, states = self._behind(load(keys, 0, width, self.target.arch.byte_order).astype(np.uint64))
        else:
            hashes, states = self.hasher.hash_many(self.plan, keys, self.seed)
        unreadable = np.flatnonzero(states == UNREADABLE)
        for i in unreadable[:MAX_FINDINGS].tolist():
            self.unreadable(int(places[i]), int(slots[i]))
        self.findings.more("unreadable-key", len(unreadable[MAX_FINDINGS:]))
        self.bad_ones += len(unreadable)
        self.random += int((states == RANDOM).sum())
        self.too_long += int((states == TOO_LONG).sum())
        fine = np.flatnonzero(states == KNOWN)
        blocks, slots, marks, hashes = blocks[fine], slots[fine], marks[fine], hashes[fine]
        self.checked += len(fine)
        self._hashes.append(hashes)
        self._places.append(places[fine])
        self._slots.append(slots.astype(np.uint8))
        bad = np.flatnonzero(~wanted(blocks, marks, hashes)).tolist()
        self.bad_ones += len(bad)
        for i in bad:
            yield Slot(int(blocks[i]), int(slots[i]), int(marks[i]), int(hashes[i]))

    def _behind(self, pointers: Any) -> tuple[Any, Any]:
        """Hashes and states of keys that lie behind pointers."""
        np = numpy()
        assert np is not None and self.plan is not None
        size = self.shape.key.size
        hashes, states = np.zeros(len(pointers), np.uint64), np.zeros(len(pointers), np.uint8)
        step = max(FETCHED // max(size, 1), 1)
        for some in (slice(at, at + step) for at in range(0, len(pointers), step)):
            keys, readable = self.hasher.fetch(pointers[some], size)
            hashes[some], found = self.hasher.hash_many(self.plan, keys, self.seed)
            states[some] = np.where(readable, found, UNREADABLE)
        return hashes, states

    def _bad_one_by_one(
        self, data: bytes, addresses: Sequence[int], wanted: Callable[[Any, Any, Any], Any]
    ) -> Iterator[Slot]:
        assert self.plan is not None
        for block, address in enumerate(addresses):
            base = block * self.shape.size
            for slot in range(SLOTS):
                mark = data[base + self.shape.mark_offset(slot)]
                if mark not in self.live:
                    continue
                try:
                    key = self._key(data[base : base + self.shape.size], slot)
                    hash_ = self.hasher.hash(self.plan, key, self.seed)
                except TooLong:
                    self.too_long += 1
                    continue
                except GomapError:
                    self.unreadable(address, slot)
                    self.bad_ones += 1
                    continue
                if hash_ is None:
                    self.random += 1
                    continue
                self.checked += 1
                self._hashes.append(hash_)
                self._places.append(address)
                self._slots.append(slot)
                if not wanted(block, mark, hash_):
                    self.bad_ones += 1
                    yield Slot(block, slot, mark, hash_)

    def _key(self, block: bytes, slot: int) -> bytes:
        at = self.shape.keys_off + slot * self.shape.key_stride
        if not self.shape.indirect_key:
            return block[at : at + self.shape.key.size]
        return self.target.memory.read(self.target.arch.pointer(block, at), self.shape.key.size)

    def unreadable(self, address: int, slot: int) -> None:
        self.findings.add("unreadable-key", f"the key in slot {slot} of {address:#x} can't be read", address)

    def duplicates(self) -> Iterator[tuple[int, int, int, int]]:
        """Pairs of slots with equal keys: (address, slot) of the one and of the other."""
        equality = typehash_plan(self.shape.key)
        if equality is None or not self._hashes:
            return
        for group in self._same_hash():
            read = []
            for address, slot in group[: 2 * SLOTS]:
                try:
                    read.append((address, slot, self._key(self.target.memory.read(address, self.shape.size), slot)))
                except GomapError:
                    continue
            for i, (address, slot, key) in enumerate(read):
                for other_address, other_slot, other in read[:i]:
                    try:
                        equal = self.hasher.equal(equality, key, other)
                    except GomapError:
                        continue
                    if equal:
                        yield other_address, other_slot, address, slot
                        break

    def _same_hash(self) -> Iterator[list[tuple[int, int]]]:
        np = numpy()
        if np is None:
            places: dict[int, list[tuple[int, int]]] = {}
            for hash_, address, slot in zip(self._hashes, self._places, self._slots):
                places.setdefault(hash_, []).append((address, slot))
            yield from (group for group in places.values() if len(group) > 1)
            return
        hashes, where, slots = map(np.concatenate, (self._hashes, self._places, self._slots))
        # Only what occurs twice is looked at: sorting the values alone is much faster than sorting places too.
        ordered = np.sort(hashes)
        twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        if not len(twice):
            return
        groups: dict[int, list[tuple[int, int]]] = {}
        for i in np.flatnonzero(np.isin(hashes, twice)).tolist():
            groups.setdefault(int(hashes[i]), []).append((int(where[i]), int(slots[i])))
        yield from groups.values()

    def share(self, live: int, step: int) -> float:
        """The share of the live entries that was looked at, 0..1: hashed, or with a NaN."""
        if self.too_long:
            what = f"{self.too_long:,} keys are too long to hash them here: their places were not checked"
            self.findings.note("long-keys", what, self.findings.address)
        if self.bad_ones > MOST_BAD:
            what = f"after {self.bad_ones:,} keys that are not where their hashes name them, the others were not hashed"
            self.findings.note("hashes-given-up", what, self.findings.address)
        whole = step == 1 and not self.too_long and self.bad_ones <= MOST_BAD
        return 1.0 if whole else min((self.checked + self.random) / max(live, 1), 1.0)


@dataclass
class Checked:
    """entries: live ones. hashes_checked: keys whose place was compared with their hash. share: of the entries that
    were looked at, 0..1. random: keys with a NaN, which have no hash of their own."""

    entries: int
    hashes_checked: int
    findings: list[Anomaly]
    share: float = 1.0
    random: int = 0

    @property
    def ok(self) -> bool:
        return all(one.severity == "note" for one in self.findings)


def sample_step(entries: int, full: bool) -> int:
    """One of how many buckets (groups) is hashed: a power of two."""
    if full or numpy() is not None:
        return 1
    return 1 << max((entries - 1) // SAMPLE, 0).bit_length()
