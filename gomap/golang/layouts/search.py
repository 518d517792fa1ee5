"""One lookup under way: the keys that it compares, and the path that it takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.anomaly import Anomaly
from gomap.columns.marks import SLOTS
from gomap.errors import GomapError, MemoryFault
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan
from gomap.golang.layouts.slots import SlotShape
from gomap.target import Target


@dataclass(frozen=True)
class SearchStep:
    """One thing the lookup did in a bucket (group).

    table: first directory entry of the group's table. overflow: how far down the chain (how many groups probed
    before). slot: the one whose mark matched, None when none did. reason: `found`, `other-key`, `unreadable`
    (its key), `moved` (the old bucket), `goes-on`, `ends`. key: the key there.
    """

    bucket: int
    slot: int | None
    old: bool
    reason: str
    address: int
    overflow: int = 0
    table: int | None = None
    key: bytes | None = None


@dataclass
class Lookup:
    """hash: None when it is not known. mark: the tophash or H2 that was looked for. walked: all entries were
    looked at instead of following the hash, `unreadable` of which can't be read. broken: what kept the lookup
    from its end. nan: the key contains a NaN, which equals nothing."""

    found: bool = False
    key_address: int | None = None
    hash: int | None = None
    mark: int | None = None
    elem_address: int | None = None
    elem: bytes | None = None
    broken: Anomaly | None = None
    walked: bool = False
    unreadable: int = 0
    nan: bool = False
    path: list[SearchStep] = field(default_factory=list)


class Corrupt(Exception):
    """The program's own lookup goes astray."""


class Endless(Corrupt):
    """The program's own lookup never ends."""


@dataclass(frozen=True)
class ProbedBucket:
    """A bucket (group) that a lookup comes to. overflow, table: as in SearchStep."""

    bucket: int
    old: bool
    address: int
    overflow: int = 0
    table: int | None = None


@dataclass(frozen=True)
class KeySearch:
    """A key that is looked for. equality: how keys are compared. rest: the mark behind which a bucket has nothing more,
    None where there is none."""

    target: Target
    slots: SlotShape
    hasher: Hasher
    equality: Plan
    key: bytes
    result: Lookup
    rest: int | None

    def step(self, place: ProbedBucket, slot: int | None, reason: str, held: bytes | None = None) -> None:
        """Adds a step to the path."""
        at, depth, table = place.address, place.overflow, place.table
        self.result.path.append(SearchStep(place.bucket, slot, place.old, reason, at, depth, table, held))

    def bucket(self, place: ProbedBucket, data: bytes) -> bool:
        """Compares the keys of one bucket (group) whose mark matches. Whether the key is there.

        Raises MemoryFault, Corrupt.
        """
        slots, memory, arch, result = self.slots, self.target.memory, self.target.arch, self.result
        for slot in range(SLOTS):
            mark = data[slots.mark_offset(slot)]
            if mark == self.rest:
                return False
            if mark != result.mark:
                continue
            at = slots.keys_off + slot * slots.key_stride
            held = data[at : at + slots.key_stride]
            key_address = arch.pointer(held) if slots.indirect_key else place.address + at
            try:
                if slots.indirect_key:
                    held = memory.read(key_address, slots.key.size)
                held = held[: slots.key.size]
                same = self.hasher.equal(self.equality, self.key, held)
            except GomapError as problem:
                self.step(place, slot, "unreadable")
                if isinstance(problem, MemoryFault):
                    raise
                raise Corrupt(str(problem)) from problem
            self.step(place, slot, "found" if same else "other-key", held)
            if same:
                at = slots.elems_off + slot * slots.elem_stride
                result.found, result.key_address, result.elem_address = True, key_address, place.address + at
                if slots.indirect_elem:
                    result.elem_address = arch.pointer(data, at)
                    result.elem = memory.read(result.elem_address, slots.elem.size)
                else:
                    result.elem = data[at : at + slots.elem.size]
                return True
        return False
