"""Whether a map is intact: every invariant of its layout, hashes recomputed.

A finding is a cause, not each of its effects: if one wrong field makes many keys look misplaced, the finding names the
field and not the keys. Nothing here raises for a corrupt map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable, NamedTuple

from gomap.anomaly import Anomaly
from gomap.columns.choose import columns
from gomap.columns.marks import SLOTS
from gomap.columns.plain import Numbers
from gomap.errors import GomapError, MemoryFault
from gomap.golang.hashing.batches import FETCHED, KNOWN, RANDOM, TOO_LONG, UNREADABLE, fetch, hash_many
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan, typehash_plan
from gomap.golang.layouts.slots import SlotShape
from gomap.golang.runtime.heap import IN_USE, MANUAL, Heap, heap_of, segment_of
from gomap.target import Target

#: Findings of one kind that are listed one by one; the others are counted.
MAX_FINDINGS = 16
#: After so many keys that are not where their hashes name them, the others' hashes tell nothing more.
MOST_BAD = 1 << 16
#: Keys hashed without numpy, unless all are asked for: a few seconds' worth.
SAMPLE = 10_000
#: Keys of one hash that are compared with each other.
MOST_EQUAL = 2 * SLOTS

EXPLAINED = "explained by the write that is in progress"
WRITING = "is set: a write to this map is in progress, or a race or a recovered panic left it so"
NOT_IN_CORE = "not read: the core file does not have their memory"


@dataclass(frozen=True)
class Unchecked:
    """A part of a map that was not checked. what: a name for scripts; number: how many of them; of: out of how many,
    None if not known; why: for people, the end of a sentence that begins with the number."""

    what: str
    number: int
    of: int | None
    why: str


class Absent:
    """Says whether unreadable memory is only missing from a core file: in the program it existed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._heap: Heap | None = None

    def __call__(self, address: int | None) -> bool:
        """Whether the memory at `address` is only missing from the core file. False for a live process."""
        if self._target.kind != "core" or address is None:
            return False
        self._heap = self._heap or heap_of(self._target)
        try:
            place = None if self._heap is None else self._heap.at(address)
        except MemoryFault:
            return True  # not even what describes the heap is there
        if place is not None:
            return place.span is not None and place.span.state in (IN_USE, MANUAL)
        return segment_of(self._target, address) is not None


@dataclass
class Findings:
    """What was found in one map. `unsure`: part of it can't be read or made sense of, so nothing adds up.

    counts: findings by kind, also those that are not listed. unchecked: what was not looked at.
    """

    writing: bool
    address: int  # of the map
    absent: Callable[[int | None], bool] = lambda address: False
    listed: list[Anomaly] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    unchecked: list[Unchecked] = field(default_factory=list)
    unsure: bool = False

    def add(self, code: str, message: str, address: int | None = None, explained: bool = False) -> None:
        """explained: the runtime itself leaves the map so, in the middle of a write."""
        if explained and self.writing:
            self.note(code, f"{message} ({EXPLAINED})", address)
            return
        number = self.counts[code] = self.counts.get(code, 0) + 1
        if number <= MAX_FINDINGS:
            self.listed.append(Anomaly("error", code, message, address))

    def more(self, code: str, number: int) -> None:
        """So many of a kind that are not told one by one."""
        if number > 0:
            self.counts[code] = self.counts.get(code, 0) + number

    def note(self, code: str, message: str, address: int | None = None) -> None:
        """Adds an anomaly of severity `note`: not a fault, but worth knowing."""
        self.listed.append(Anomaly("note", code, message, address))

    def unread(self, what: str, number: int, message: str, address: int | None) -> None:
        """Memory that can't be read: of a core file that lacks it, it says nothing about the map."""
        self.unsure = True
        if self.absent(address):
            self.skip(what, number, None, NOT_IN_CORE)
            self.note("not-in-core", message, address)
        else:
            self.add("unreadable", message, address)

    def skip(self, what: str, number: int, of: int | None, why: str) -> None:
        """So many were not checked."""
        for i, one in enumerate(self.unchecked):
            if (one.what, one.why) == (what, why):
                self.unchecked[i] = replace(one, number=one.number + number)
                return
        if number:
            self.unchecked.append(Unchecked(what, number, of, why))

    def untold(self, numbers: Mapping[str, int]) -> None:
        """Counts the anomalies that a walk did not list one by one. numbers: how many, by code."""
        for code, number in numbers.items():
            if self.counts.get(code):
                self.more(code, number)
            elif code == "unreadable":  # the core file lacks the memory of those that were listed, too
                self.skip("parts", number, None, NOT_IN_CORE)

    def only(self, code: str, message: str, address: int | None) -> None:
        """This explains all that was found."""
        self.listed = [a for a in self.listed if a.severity == "note"]
        self.counts.clear()
        self.add(code, message, address)
        self.unsure = True

    def done(self) -> list[Anomaly]:
        """The findings: the first ones one by one, the others counted."""
        result = list(self.listed)
        for code, number in self.counts.items():
            told = sum(one.code == code and one.severity == "error" for one in self.listed)
            if number > told:
                more = f"{number - told:,} more findings of kind {code}"
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
    given_up: bool = False  # too many are not where their hashes name them
    uncompared: int = 0  # with others of their hash
    unreadable: list[tuple[int, int]] = field(default_factory=list)  # bucket (group) and slot of keys
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

        wanted is given ints, or columns of them; it is given no key that contains a NaN.
        """
        if self.plan is None or not addresses:
            return
        if self.bad_ones > MOST_BAD:
            self.given_up = True
            return
        many, shape, arch = columns(), self.shape, self.target.arch
        blocks, slots, marks = many.live_slots(data, shape.size, shape.reversed_marks, self.live)
        if not len(blocks):
            return
        width = arch.pointer_size if shape.indirect_key else shape.key.size
        keys = many.cut(data, many.places(blocks, shape.size, shape.keys_off, slots, shape.key_stride), width)
        if shape.indirect_key:
            hashes, states = self._behind(self.plan, many.numbers(many.column(keys, 0, width, arch.byte_order)))
        else:
            hashes, states = hash_many(self.hasher, self.plan, keys, self.seed)
        places = many.take(many.numbers(addresses), blocks)
        unreadable = many.having(states, UNREADABLE)
        self.unreadable += zip(many.listed(many.take(places, unreadable)), many.listed(many.take(slots, unreadable)))
        self.bad_ones += len(unreadable)
        self.random += len(many.having(states, RANDOM))
        self.too_long += len(many.having(states, TOO_LONG))
        fine = many.having(states, KNOWN)
        blocks, slots, marks, hashes = (many.take(one, fine) for one in (blocks, slots, marks, hashes))
        self.checked += len(fine)
        self._hashes.append(hashes)
        self._places.append(many.take(places, fine))
        self._slots.append(slots)
        bad = many.failing(wanted, blocks, marks, hashes)
        self.bad_ones += len(bad)
        for i in bad:
            yield Slot(int(blocks[i]), int(slots[i]), int(marks[i]), int(hashes[i]))

    def _behind(self, plan: Plan, pointers: Numbers) -> tuple[Numbers, Numbers]:
        """Hashes and states of keys that lie behind pointers."""
        many, size = columns(), self.shape.key.size
        hashes, states = many.zeros(len(pointers)), many.zeros(len(pointers))
        step = max(FETCHED // max(size, 1), 1)
        for some in (slice(at, at + step) for at in range(0, len(pointers), step)):
            keys, readable = fetch(self.hasher, pointers[some], size)
            hashes[some], found = hash_many(self.hasher, plan, keys, self.seed)
            states[some] = many.where(readable, found, UNREADABLE)
        return hashes, states

    def _key(self, block: bytes, slot: int) -> bytes:
        at = self.shape.keys_off + slot * self.shape.key_stride
        if not self.shape.indirect_key:
            return block[at : at + self.shape.key.size]
        return self.target.memory.read(self.target.arch.pointer(block, at), self.shape.key.size)

    def key_at(self, address: int, slot: int) -> bytes:
        """What the slot of the bucket (group) holds: the key, or the pointer to it."""
        width = self.target.arch.pointer_size if self.shape.indirect_key else self.shape.key.size
        return self.target.memory.read(address + self.shape.keys_off + slot * self.shape.key_stride, width)

    def is_cleared(self, address: int, slot: int, whole: bool = False) -> bool:
        """Whether the key is one that a delete has cleared, or begun to. whole: every byte of it."""
        word = self.target.arch.pointer_size
        try:
            held = self.key_at(address, slot)
        except GomapError:
            return False
        if whole:
            return not any(held)
        return any(not any(held[at : at + word]) for at in range(0, len(held) - word + 1, word))

    def tell_unreadable(self, explained: Callable[[int, int], bool] = lambda address, slot: False) -> None:
        """Reports the keys that can't be read. explained: keys that a write in progress explains."""
        for address, slot in self.unreadable:
            fault = self._fault(address, slot) if self.target.kind == "core" else None
            message = f"the key in slot {slot} of {address:#x} can't be read"
            if fault is not None and self.findings.absent(fault):
                self.findings.skip("keys", 1, None, NOT_IN_CORE)
            elif len(self.unreadable) > MAX_FINDINGS and self.findings.counts.get("unreadable-key", 0) >= MAX_FINDINGS:
                self.findings.more("unreadable-key", 1)
            else:
                self.findings.add("unreadable-key", message, address, explained(address, slot))

    def _fault(self, address: int, slot: int) -> int | None:
        """The address that could not be read."""
        try:
            key = self.key_at(address, slot)
            if self.shape.indirect_key:
                key = self.target.memory.read(self.target.arch.pointer(key), self.shape.key.size)
            if self.plan is not None:
                self.hasher.hash(self.plan, key, self.seed)
        except MemoryFault as fault:
            return fault.address
        except GomapError:
            return None
        return None

    def duplicates(self) -> Iterator[tuple[int, int, int, int]]:
        """Pairs of slots with equal keys: (address, slot) of the one and of the other."""
        equality = typehash_plan(self.shape.key)
        if equality is None or not self._hashes:
            return
        for group in self._same_hash():
            read = []
            self.uncompared += len(group[MOST_EQUAL:])
            for address, slot in group[:MOST_EQUAL]:
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
        many = columns()
        groups = list(many.alike(self._hashes))
        if groups:
            where, slots = many.joined(self._places), many.joined(self._slots)
            yield from ([(int(where[i]), int(slots[i])) for i in group] for group in groups)

    def left_out(self, live: int, step: int) -> None:
        """Says which keys of the `live` ones were not compared with their hashes, and why."""
        skip, found = self.findings.skip, self.findings
        if self.plan is None:
            skip(
                "keys", live, live, f"not hashed: the hash function for keys of type {self.shape.key.name} is not known"
            )
            return
        skip("nan-keys", self.random, live, "not hashed: they contain a NaN and can be anywhere")
        skip("long-keys", self.too_long, live, "not hashed: they are too long to hash them here (--full: all)")
        skip(
            "equal-hashes", self.uncompared, live, f"not compared with the other keys of their hash, over {MOST_EQUAL}"
        )
        if self.too_long:
            what = f"{self.too_long:,} keys are too long to hash them here: their places were not checked"
            found.note("long-keys", what, found.address)
        rest = max(live - self.checked - self.random - self.too_long - len(self.unreadable), 0)
        if self.given_up:
            what = f"after {self.bad_ones:,} misplaced keys the others were not hashed"
            found.note("hashes-given-up", what, found.address)
            skip("keys", rest, live, "not hashed: too many of the others are misplaced")
        elif step > 1:
            skip("keys", rest, live, "not hashed: this Python has no numpy (--full: all)")
        elif not found.counts:
            skip("keys", rest, live, "not hashed")
        else:
            skip("keys", rest, live, "not hashed: other findings make their places uncertain")


@dataclass
class Checked:
    """entries: live ones. hashes_checked: keys whose place was compared with their hash. random: keys with a NaN, which
    have no hash of their own. number: findings that are faults, including those not listed; kinds: the number of each
    kind. unchecked: the parts that were not checked. bound: the most that entries may be off; None if the program is
    stopped."""

    entries: int
    hashes_checked: int
    findings: list[Anomaly]
    unchecked: list[Unchecked] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    random: int = 0
    bound: int | None = None

    @property
    def number(self) -> int:
        """How many faults were found, also those that are not listed."""
        return sum(self.kinds.values())

    @property
    def share(self) -> float:
        """The share of the live entries that was looked at, 0..1: hashed, or with a NaN."""
        left = sum(one.number for one in self.unchecked if one.what != "nan-keys")
        return min((self.hashes_checked + self.random) / max(self.entries, 1), 1.0) if left else 1.0

    @property
    def verdict(self) -> str:
        """corrupt; intact: everything was checked, and nothing is wrong; no-fault-found: in what was checked."""
        if self.kinds:
            return "corrupt"
        return "no-fault-found" if self.unchecked else "intact"


def checked(findings: Findings, entries: int, keys: KeyCheck) -> Checked:
    """The result of a check, from its findings and from the check of the keys."""
    return Checked(entries, keys.checked, findings.done(), findings.unchecked, findings.counts, keys.random)


def sample_step(entries: int, full: bool) -> int:
    """One of how many buckets (groups) is hashed: a power of two."""
    if full or not columns().plain:
        return 1
    return 1 << max((entries - 1) // SAMPLE, 0).bit_length()
