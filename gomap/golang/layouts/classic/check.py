"""The invariants of runtime.hmap: runtime/map.go (mapassign, mapdelete, growWork, evacuate, newoverflow)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gomap.columns.choose import columns
from gomap.columns.marks import SLOTS
from gomap.columns.plain import words
from gomap.errors import MemoryFault
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan
from gomap.golang.layouts.classic.cause import Evidence, MisplacedKey
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.classic.overflow import NOT_OWN, BucketArray, Overflow, OverflowLink
from gomap.golang.layouts.classic.scan import LIVE, MOVED, scan, tophash
from gomap.golang.layouts.classic.shape import MAX_BYTES, MIN_TOPHASH
from gomap.golang.layouts.classic.walk import MAX_CHAIN
from gomap.golang.layouts.classic.writing import ClassicClear, before_growth, chain_of, clearing, is_part_evacuated
from gomap.golang.layouts.integrity import (
    EXPLAINED,
    NOT_IN_CORE,
    WRITING,
    Checked,
    Findings,
    KeyCheck,
    checked,
    sample_step,
)
from gomap.golang.runtime.malloc import Allocator
from gomap.memory import CHUNK
from gomap.reads import gather

#: noverflow counts every overflow bucket below this B, and only some of them from it on: incrnoverflow.
EXACT_B = 16
#: Misplaced keys that are kept for the report: if there are more, one field of the header is wrong.
MAX_KEPT = 4096
#: After so many invalid overflow pointers the others are not followed.
MAX_LOST = 1 << 13


def check(
    found: ClassicMap,
    hasher: Hasher,
    plan: Plan | None,
    allocator: Allocator,
    full: bool,
    absent: Callable[[int | None], bool],
) -> Checked:
    """Every invariant of the map. plan: its hash function, None when it is not known. absent: whether memory that can't
    be read is only missing in a core file."""
    result = _ClassicChecker(found, hasher, plan, allocator, full, absent).run()
    before = before_growth(found) if result.kinds else None
    if before is None:
        return result
    earlier = _ClassicChecker(before, hasher, plan, allocator, full, absent)
    earlier.findings.note("writing", f"the new array of a growth is being installed ({EXPLAINED})", found.address)
    other = earlier.run()
    return result if other.kinds else other


class _ClassicChecker:
    def __init__(
        self,
        found: ClassicMap,
        hasher: Hasher,
        plan: Plan | None,
        allocator: Allocator,
        full: bool,
        absent: Callable[[int | None], bool],
    ) -> None:
        self.map, self.target, self.shape = found, found.target, found.shape
        self.size = found.shape.slots.size
        self.findings = Findings(found.writing, found.address, absent)
        self.keys = KeyCheck(
            found.target,
            found.shape.slots,
            hasher,
            plan,
            found.header["hash0"],
            range(MIN_TOPHASH, 256),
            self.findings,
            bounded=not full,
        )
        self.allocator, self.full = allocator, full
        self.live = self.main_live = 0
        self.step = sample_step(found.count, full)
        self.wrong: list[MisplacedKey] = []
        self.untold: dict[str, int] = {}  # kinds of wrong keys that are not kept
        self.wrong_marks = self.wrong_places = 0
        self.odd: set[int] = set()  # buckets with a finding about their marks: their keys say nothing
        self.torn: dict[int, list[tuple[str, int]]] = {}  # old bucket -> what shows that it is evacuated in part
        self.outside: list[tuple[str, str, int]] = []  # links to memory that is not one of the map's overflow buckets
        self.moving: int | None = None  # the old bucket that is being evacuated
        self.ended: list[tuple[BucketArray, int, str, int]] = []  # live slots behind the end of their chain
        self.main = BucketArray(False, found.header["buckets"], 0)
        self.old: BucketArray | None = None
        self.overflow = Overflow(found, allocator, self.findings, [self.main])
        self.clear: ClassicClear | None = None  # how far a clear has come

    def run(self) -> Checked:
        header, findings = self.map.header, self.findings
        if self.map.writing:
            findings.note("writing", f"hashWriting {WRITING}", self.map.address)
        self._flags()
        main = 1 << min(self.map.B, 64)
        if main * self.size > MAX_BYTES:
            findings.add("bad-B", f"B of {self.map.B} would mean 2^{self.map.B} buckets", self.map.address)
            findings.skip("entries", self.map.count, None, "not found: B is impossible")
            return checked(findings, 0, self.keys)
        if header["buckets"]:
            self.main.count = main
            self._old_state()
            self._array(self.main)
            if self.old is not None:
                self._array(self.old)
            if self.map.writing:
                self.clear = clearing(self.map)
            self._tell_torn()
            self._tell_ended()
            self._tell_outside()
            self.overflow.check_next(self._is_fresh())
            if self.old is not None:
                self._evacuation(self.old)
        cause = self._evidence().cause()
        if cause is not None and cause.zeroed:
            findings.note(cause.code, f"{cause.message} ({EXPLAINED})", self.map.address)
        elif cause is not None:
            findings.only(cause.code, cause.message, self.map.address)
        else:
            twins = self._twins()
            hand = self._in_hand(twins)
            self.keys.tell_unreadable(lambda bucket, slot: (bucket, slot) in hand)
            self._tell_wrong(hand)
            for one in twins:
                what = f"slot {one[3]} of bucket {one[2]:#x} has the same key as slot {one[1]} of bucket {one[0]:#x}"
                findings.add("duplicate-key", what, one[2], bool({one[:2], one[2:]} & hand))
            self._counts(len(self.wrong) + sum(self.untold.values()) + len(twins))
        self.keys.left_out(self.live, self.step)
        return checked(findings, self.live, self.keys)

    # -- the header ------------------------------------------------------------------------------

    def _flags(self) -> None:
        flags = self.map.header["flags"]
        if flags & ~0xF:
            self.findings.add("bad-flags", f"flags has unknown bits {flags & ~0xF:#x}", self.map.address)
        if flags & 8 and not self.map.header["oldbuckets"]:
            # hashGrow sets the flag before it allocates the new array, and growth ends with taking it away.
            what = "sameSizeGrow is set but oldbuckets is nil"
            self.findings.add("bad-flags", what, self.map.address, explained=True)

    def _old_state(self) -> None:
        header = self.map.header
        if not header["oldbuckets"]:
            return
        count = self.map.old_count
        self.old = BucketArray(True, header["oldbuckets"], count)
        self.overflow.arrays.append(self.old)

    def _is_fresh(self) -> bool:
        """Whether hashGrow has just installed a new array, and may not have set all that goes with it."""
        return self.map.writing and self.old is not None and not (any(self.old.moved) or self.torn or self.main_live)

    @property
    def _word(self) -> int:
        return self.target.arch.pointer_size

    # -- buckets ---------------------------------------------------------------------------------

    def _array(self, array: BucketArray) -> None:
        """Looks at all main buckets and their chains."""
        own = self.overflow.own(array)
        step = max(CHUNK // self.size, 1)
        faults = 0
        for first in range(0, array.count, step):
            here = min(step, array.count - first)
            address = array.address + first * self.size
            try:
                data = self.target.memory.read(address, here * self.size)
            except MemoryFault as fault:
                what = f"{'old ' if array.old else ''}buckets {first} to {first + here - 1}: {fault}"
                self.findings.unread("buckets", here, what, fault.address)
                faults += 1
                if faults >= 4:
                    self.findings.skip("buckets", array.count - first - here, None, NOT_IN_CORE)
                    break
                array.moved += bytes(here if array.old else 0)
                continue
            addresses = range(address, address + here * self.size, self.size)
            ended = self._blocks(array, range(first, first + here), addresses, data, None)
            pointers = words(data, self.shape.overflow_off, self.size, self._word, self.target.arch.byte_order)
            gone = array.moved if array.old and self.shape.scan else None
            if array.lost <= MAX_LOST:
                links = [
                    OverflowLink(first + i, addresses[i], pointer, ended[i])
                    for i, pointer in enumerate(pointers)
                    if pointer and not (gone and gone[first + i] and addresses[i] in self.odd)
                ]
                self._chains(array, links, own)

    def _blocks(
        self,
        array: BucketArray,
        buckets: Sequence[int],
        addresses: Sequence[int],
        data: bytes,
        after_end: Sequence[bool] | None,
    ) -> Sequence[bool]:
        """Looks at buckets of one array, or of its chains. after_end: whether the bucket before in its chain
        says that all after it is empty (None for main buckets). Returns the same of each of these."""
        rows = scan(data, self.size, array.old)
        if array.old and after_end is None:
            array.moved += rows.moved
        moved = rows.moved if after_end is None or not array.old else [array.moved[b] for b in buckets]
        suspects = rows.suspects
        if after_end is not None:
            late = [i for i, (ended, live) in enumerate(zip(after_end, rows.full)) if ended and live and not moved[i]]
            suspects = sorted({*suspects, *late, *(i for i, gone in enumerate(moved) if gone != rows.moved[i])})
        for i in suspects:
            marks = data[i * self.size : i * self.size + SLOTS]
            ended = after_end is not None and after_end[i]
            self._marks(array, buckets[i], addresses[i], marks, bool(moved[i]), ended)
        live = sum(rows.full) if not any(moved) else sum(f for f, gone in zip(rows.full, moved) if not gone)
        self.live += live
        if not array.old:
            self.main_live += live
        wanted = range(len(addresses))
        if self.step > 1 or any(moved) or self.odd:
            wanted_list = [
                i for i in wanted if not moved[i] and not buckets[i] & (self.step - 1) and addresses[i] not in self.odd
            ]
            if len(wanted_list) < len(wanted):
                data = b"".join([data[i * self.size : (i + 1) * self.size] for i in wanted_list])
                buckets = [buckets[i] for i in wanted_list]
                addresses = [addresses[i] for i in wanted_list]
        self._hash(array, buckets, addresses, data)
        return rows.ended

    def _marks(self, array: BucketArray, bucket: int, address: int, marks: bytes, moved: bool, after_end: bool) -> None:
        """Reports the faults in the tophash bytes of one bucket."""
        strange = [slot for slot in range(SLOTS) if marks[slot] in MOVED]
        rest = marks.find(0)
        name = f"{'old ' if array.old else ''}bucket {bucket}"
        if moved or (array.old and strange):
            if len(strange) < SLOTS:
                what = f"{name}: {len(strange)} of {SLOTS} slots are marked as evacuated: a bucket is evacuated whole"
                self.torn.setdefault(bucket, []).append((what, address))
                self.odd.add(address)
        elif strange:
            what = f"{name}: slot {strange[0]} is marked as evacuated ({marks[strange[0]]})"
            self.findings.add("bad-mark", f"{what}, but the array is not an old one", address)
            self.findings.unsure = True
        elif rest >= 0 and marks[rest:].strip(b"\0"):
            what = f"{name}: slot {rest} is emptyRest, but not all slots after it are empty"
            self.ended.append((array, bucket, what, address))
        elif after_end and marks.strip(b"\0"):
            what = f"{name}: the chain has an emptyRest before its overflow bucket {address:#x}, which is not empty"
            self.ended.append((array, bucket, what, address))

    def _tell_torn(self) -> None:
        """Old buckets that are evacuated in part: a write does that to one, slot by slot."""
        if self.old is None or not self.torn:
            return
        if self.clear is not None and self.clear.old and len(self.torn) == 1:
            for what, address in next(iter(self.torn.values())):
                self.findings.add("evacuation-marks", what, address, explained=True)
            return
        bucket = next(iter(self.torn))
        blocks = chain_of(self.map, self.old.address + bucket * self.size) if self.map.writing else []
        if len(self.torn) == 1 and is_part_evacuated([data[:SLOTS] for _, data in blocks]):
            what = f"old bucket {bucket} is being evacuated ({EXPLAINED})"
            self.findings.note("evacuation-marks", what, blocks[0][0])
            self.moving = bucket
            self.live += sum(SLOTS - len(data[:SLOTS].translate(None, LIVE)) for _, data in blocks)
            self._hash(self.old, [bucket] * len(blocks), [at for at, _ in blocks], b"".join(d for _, d in blocks))
            return
        self.findings.unsure = True
        for what, address in (one for found in self.torn.values() for one in found):
            self.findings.add("evacuation-marks", what, address)

    def _tell_ended(self) -> None:
        clear = self.clear
        for array, bucket, what, address in self.ended:
            explained = clear is not None and (clear.zeroing or (array.old, bucket) == (clear.old, clear.bucket))
            self.findings.add("empty-rest", what, address, explained)

    def _tell_outside(self) -> None:
        """Overflow buckets that the map's own list does not have: a clear has dropped the list."""
        zeroing = self.clear is not None and self.clear.zeroing
        for code, what, address in self.outside:
            self.findings.add(code, what, address, zeroing)
            self.findings.unsure = self.findings.unsure or not zeroing

    def _hash(self, array: BucketArray, buckets: Sequence[int], addresses: Sequence[int], data: bytes) -> None:
        """Compares the places of the keys with their hashes."""
        if not addresses:
            return
        index, mask = columns().numbers(buckets), columns().numbers(array.count - 1)

        def wanted(block: Any, mark: Any, hash_: Any) -> Any:
            return (hash_ & mask == index[block]) & (tophash(hash_, self.target.arch) == mark)

        for slot in self.keys.bad(data, addresses, wanted):
            if array.count > 1 and slot.hash & (array.count - 1) != buckets[slot.block]:
                self.wrong_places += 1
            if int(tophash(slot.hash, self.target.arch)) != slot.mark:
                self.wrong_marks += 1
            if len(self.wrong) < MAX_KEPT:
                self.wrong.append(MisplacedKey(array, buckets[slot.block], addresses[slot.block], slot))
            else:
                named = slot.hash & (array.count - 1)
                code = "misplaced-key" if named != buckets[slot.block] else "bad-tophash"
                self.untold[code] = self.untold.get(code, 0) + 1

    # -- overflow chains -------------------------------------------------------------------------

    def _chains(self, array: BucketArray, level: list[OverflowLink], own: set[int] | None) -> None:
        depth = 0
        while level:
            depth += 1
            if depth > MAX_CHAIN:
                self._lost("overflow-cycle", f"the chain of bucket {level[0].bucket} never ends", level[0].address)
                return
            fresh = []
            for link in level:
                if array.lost > MAX_LOST:
                    what = f"after {array.lost:,} invalid overflow pointers the others were not followed"
                    self.findings.note("overflow-given-up", what, link.address)
                    self.findings.skip(
                        "overflow-buckets", len(level), None, "not followed: too many others are invalid"
                    )
                    return
                problem = self.overflow.link_problem(array, link, own)
                if problem is None:
                    self.overflow.seen[link.pointer] = link.bucket
                    fresh.append(link)
                else:
                    name = f"{'old ' if array.old else ''}bucket {link.bucket}"
                    what = f"{name}: the overflow pointer of {link.address:#x} leads to {link.pointer:#x}"
                    if problem is NOT_OWN:
                        self.overflow.seen[link.pointer] = link.bucket
                        self.outside.append((problem[0], f"{what}, {problem[1]}", link.address))
                        if self.map.writing and not own:  # a clear may have dropped the list
                            fresh.append(link)
                    else:
                        self._lost(problem[0], f"{what}, {problem[1]}", link.address)
                    array.lost += 1
            by_pointer = {link.pointer: link for link in fresh}
            level, batch, held = [], [], 0
            for address, data in gather(self.target.memory, list(by_pointer), self.size):
                link = by_pointer[address]
                if data is None:
                    name = f"{'old ' if array.old else ''}bucket {link.bucket}"
                    what = f"{name}: its overflow bucket {address:#x} can't be read"
                    if self.findings.absent(address):
                        self.findings.unread("overflow-buckets", 1, what, address)
                    else:
                        self._lost("unreadable", what, link.address)
                    array.lost += 1
                    continue
                array.overflow += 1
                batch.append((link, bytes(data)))
                held += self.size
                if held >= CHUNK:
                    level += self._chained(array, batch)
                    batch, held = [], 0
            level += self._chained(array, batch)

    def _chained(self, array: BucketArray, batch: list[tuple[OverflowLink, bytes]]) -> list[OverflowLink]:
        """Looks at overflow buckets; returns the links that lead on from them."""
        if not batch:
            return []
        buckets, addresses = [link.bucket for link, _ in batch], [link.pointer for link, _ in batch]
        data = b"".join([block for _, block in batch])
        ended = self._blocks(array, buckets, addresses, data, [link.after_end for link, _ in batch])
        pointers = words(data, self.shape.overflow_off, self.size, self._word, self.target.arch.byte_order)
        return [
            OverflowLink(bucket, address, pointer, bool(link.after_end or end))
            for (link, _), bucket, address, pointer, end in zip(batch, buckets, addresses, pointers, ended)
            if pointer
        ]

    def _lost(self, code: str, message: str, address: int) -> None:
        self.findings.add(code, message, address)
        self.findings.unsure = True

    # -- growth ----------------------------------------------------------------------------------

    def _evacuation(self, old: BucketArray) -> None:
        header = self.map.header
        nevacuate, swept = header["nevacuate"], min(header["nevacuate"], len(old.moved))
        fresh = self._is_fresh() or (self.clear is not None and self.clear.old)
        if nevacuate >= old.count:
            what = f"nevacuate is {nevacuate}, but the old array has {old.count} buckets and would have been freed"
            last = nevacuate == old.count and all(old.moved)  # advanceEvacuationMark drops the array next
            self.findings.add("bad-nevacuate", what, self.map.address, last or fresh)
        late = [b for b in range(swept) if not old.moved[b] and old.address + b * self.size not in self.odd]
        if late:
            what = f"nevacuate is {nevacuate}, but old bucket {late[0]} is not evacuated"
            more = f" (nor are {len(late) - 1:,} others below it)" if len(late) > 1 else ""
            self.findings.add("bad-nevacuate", what + more, old.address + late[0] * self.size, fresh)

    # -- what it adds up to ----------------------------------------------------------------------

    def _evidence(self) -> Evidence:
        zeroing = self.clear is not None and self.clear.zeroing
        growing, wrong = self.old is not None, (self.wrong, self.wrong_marks, self.wrong_places)
        return Evidence(self.map, self.main, self.keys, growing, zeroing, self.live, *wrong)

    def _tell_wrong(self, hand: set[tuple[int, int]]) -> None:
        for w in self.wrong:
            what = f"{'old ' if w.array.old else ''}bucket {w.bucket} slot {w.slot.slot}"
            named = w.slot.hash & (w.array.count - 1)
            top = int(tophash(w.slot.hash, self.target.arch))
            explained = (w.address, w.slot.slot) in hand
            if named != w.bucket:
                self.findings.add("misplaced-key", f"{what}: its key hashes to bucket {named}", w.address, explained)
            else:
                told = f"{what}: tophash is {w.slot.mark:#04x}, but its key hashes to {top:#04x}"
                self.findings.add("bad-tophash", told, w.address, explained)
        for code, number in self.untold.items():
            self.findings.more(code, number)

    def _twins(self) -> list[tuple[int, int, int, int]]:
        """Slots of equal keys: bucket and slot of the one, and of the other."""
        wrong = {(w.address, w.slot.slot) for w in self.wrong}
        return [one for one in self.keys.duplicates() if not {one[:2], one[2:]} & wrong]

    def _in_hand(self, twins: list[tuple[int, int, int, int]]) -> set[tuple[int, int]]:
        """The slot (bucket, slot) whose key a write has cleared, or has not set yet. An insert counts it after its key
        (the fast ones set the tophash first); a delete and an evacuation leave zeros there, and count it before."""
        bad = {*((w.address, w.slot.slot) for w in self.wrong), *self.keys.unreadable}
        if not self.map.writing or self.untold:
            return set()
        if self.clear is not None and self.clear.zeroing:  # its array is zeroed in one go
            return bad
        inserting = self.live - self.map.count == 1
        if not bad and len(twins) == 1:
            (one,) = twins
            bad = {slot for slot in (one[:2], one[2:]) if inserting or self.keys.is_cleared(*slot)}
            return bad if self.live - self.map.count in (0, 1) else set()
        if len(bad) != 1:
            return set()
        return bad if inserting or (self.live == self.map.count and self.keys.is_cleared(*next(iter(bad)))) else set()

    def _counts(self, extra: int) -> None:
        """Compares the header's numbers with the buckets. extra: live slots that are not entries of their own."""
        findings, header, overflow = self.findings, self.map.header, self.main.overflow
        if findings.unsure:
            return
        count, noverflow, clear = self.map.count, header["noverflow"], self.clear
        missing = count - self.live
        exact = self.map.B < EXACT_B
        beyond = noverflow - overflow
        uncounted = clear is not None and clear.uncounted
        if missing > 0 and exact and beyond > 0:
            what = f"{beyond} of {noverflow} overflow buckets and {missing} of {count:,} entries"
            moving = missing == beyond == 1 and self.old is not None  # evacuate allocates one in between
            findings.add("overflow-lost", f"{what} are in no chain", self.map.address, moving)
            return
        if beyond > 0 or (exact and beyond):
            what = f"noverflow is {noverflow}, but {overflow} overflow buckets are in chains"
            findings.add("bad-noverflow", what, self.map.address, beyond == 1 or uncounted or self._is_fresh())
        if missing > 0 or -missing > extra:
            what = f"the header counts {count:,} entries, but {self.live:,} are live"
            # An insert and a delete count last; evacuate marks an entry first and copies it then.
            cleared = clear is not None and (clear.zeroing or 0 < missing <= clear.room)
            findings.add("count-mismatch", what, self.map.address, abs(missing) == 1 or cleared)
