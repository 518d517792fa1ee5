"""runtime.hmap: the map of Go up to 1.23, and of 1.24 and 1.25 with GOEXPERIMENT=noswissmap.

Follows runtime/map.go (runtime/map_noswiss.go in 1.24 and 1.25): hmap, bmap, mapextra,
makeBucketArray, evacuated, growWork, evacuate, tooManyOverflowBuckets.
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress, islice
from operator import eq, itemgetter
from typing import Any

from gomap.arrays import expect
from gomap.errors import MemoryFault
from gomap.golang.malloc import Allocator
from gomap.golang.marks import SLOTS, MarkCode, Strip, Tally, ascending, mark_code, marks_of, nonzero_words, words
from gomap.golang.slots import Bucket, SlotShape, check_fields, check_slots, entries_of, member, stored_type
from gomap.golang.structure import Anomaly, Bytes, Entry, Growth, Structure
from gomap.gotypes import GoType, has_pointers
from gomap.memory import CHUNK, Buffer, Stream, gather, one_by_one, packed, stream
from gomap.target import Record, Target, read_record

HEADER_FIELDS = frozenset("count flags B noverflow hash0 buckets oldbuckets nevacuate extra".split())
#: Since Go 1.24 clear counts itself, in the header of classic maps too (runtime/map_noswiss.go).
OPTIONAL_FIELDS = frozenset({"clearSeq"})

ITERATOR, OLD_ITERATOR, HASH_WRITING, SAME_SIZE_GROW = 1, 2, 4, 8
FLAG_NAMES = (
    (ITERATOR, "iterator"),
    (OLD_ITERATOR, "old-iterator"),
    (HASH_WRITING, "writing"),
    (SAME_SIZE_GROW, "same-size-grow"),
)
#: tophash: emptyRest 0, emptyOne 1, evacuatedX 2, evacuatedY 3, evacuatedEmpty 4, minTopHash 5.
EVACUATED = (2, 3, 4)
MARKS = mark_code(live=range(5, 256), empty=0, tombstone=1)
OLD_MARKS = mark_code(live=range(5, 256), empty=0, tombstone=1, evacuated=EVACUATED)
_FIRST_EVACUATED = bytes(1 if mark in EVACUATED else 0 for mark in range(256))

LOAD_NUM, LOAD_DEN = 13, 2  # loadFactorNum / loadFactorDen, where the program's own is not known
#: Arrays longer than this are nobody's: the header is corrupt.
MAX_BYTES = 1 << 46
#: An array is given up after this many chunks in a row that can't be read.
MAX_FAULTS = 4
MAX_CHAIN = 1 << 16
#: Stretches of old buckets that are named one by one.
MAX_RUNS = 1024


@dataclass(frozen=True)
class ClassicShape:
    """slots.size is the bucket's size; overflow_off the offset of its overflow pointer."""

    header: GoType
    slots: SlotShape
    overflow_off: int
    layout: str = "classic"
    group: str | None = None

    @property
    def key(self) -> GoType:
        return self.slots.key

    @property
    def elem(self) -> GoType:
        return self.slots.elem

    @cached_property
    def scan(self) -> bool:
        """Whether buckets contain pointers for the collector, their overflow pointer apart."""
        s = self.slots
        return s.indirect_key or s.indirect_elem or has_pointers(s.key) or has_pointers(s.elem)


def detect(header: GoType) -> ClassicShape | None:
    """The shape, if `header` has runtime.hmap's fields. Raises UnsupportedLayout for an unknown bucket."""
    names = {f.name for f in header.fields}
    if not (HEADER_FIELDS <= names <= HEADER_FIELDS | OPTIONAL_FIELDS):
        return None
    _, pointer = member(header, "buckets")
    bucket = pointer.elem
    keys_off, keys = member(bucket, "keys")
    elems_off, elems = member(bucket, "values", "elems")
    overflow_off, _ = member(bucket, "overflow")
    member(bucket, "tophash", "topbits")
    key, indirect_key = stored_type(header.name, keys.elem, True)
    elem, indirect_elem = stored_type(header.name, elems.elem, False)
    check_fields(header, names)
    slots = SlotShape(
        size=bucket.size,
        keys_off=keys_off,
        key_stride=keys.elem.size,
        elems_off=elems_off,
        elem_stride=elems.elem.size,
        key=key,
        elem=elem,
        indirect_key=indirect_key,
        indirect_elem=indirect_elem,
    )
    check_slots(header.name, slots, pointer.size)
    check_fields(bucket, ["overflow"])
    return ClassicShape(header, slots, overflow_off)


@dataclass
class ClassicMap:
    """The map whose header lies at `address` (*runtime.hmap)."""

    target: Target
    shape: ClassicShape
    address: int
    header: Record = field(init=False)

    def __post_init__(self) -> None:
        self.header = read_record(self.target, self.shape.header, self.address)

    @property
    def count(self) -> int:
        return self.header["count"]

    @property
    def flags(self) -> list[str]:
        flags = self.header["flags"]
        return [name for bit, name in FLAG_NAMES if flags & bit]

    @property
    def writing(self) -> bool:
        return bool(self.header["flags"] & HASH_WRITING)

    @property
    def B(self) -> int:
        return self.header["B"]

    @property
    def nonsense(self) -> str | None:
        """What in the header no map can have: memory that is something else. None for one that can be a map's."""
        header, word = self.header, self.target.arch.pointer_size
        if self.address % word or header["buckets"] % word or header["oldbuckets"] % word:
            return "addresses that are not aligned"
        if header["flags"] >= 16 or (1 << min(self.B, 64)) * self.shape.slots.size > MAX_BYTES:
            return f"flags {header['flags']:#x} and B {self.B}"
        if self.count > (0 if not header["buckets"] else max(16 << self.B, 8)):
            return f"{self.count:,} entries with B {self.B}"
        return None

    @property
    def size(self) -> int:
        """Main buckets, by the header: what a walk takes, however few entries there are."""
        return 1 << min(self.B, 64)

    @property
    def old_count(self) -> int:
        """Buckets of the old array: hmap.noldbuckets."""
        if not self.header["oldbuckets"]:
            return 0
        same_size = self.header["flags"] & SAME_SIZE_GROW
        return 1 << (self.B if same_size else max(self.B - 1, 0))

    def storage(self) -> dict[int, str]:
        """Addresses of the arrays this map keeps its entries in, with what they are."""
        found = {self.header["buckets"]: "buckets", self.header["oldbuckets"]: "oldbuckets"}
        found.pop(0, None)
        return found

    @property
    def array_address(self) -> int:
        return self.header["buckets"]

    @property
    def extents(self) -> list[tuple[int, int]]:
        """(address, bytes) of the arrays that the header names; the overflow buckets behind them apart.

        hashGrow of runtime/map.go raises B before it sets buckets.
        """
        size, header = self.shape.slots.size, self.header
        count = self.size >> 1 if self.writing and not self.old_count else self.size
        found = ((header["buckets"], count * size), (header["oldbuckets"], self.old_count * size))
        return [(address, length) for address, length in found if address]

    @property
    def load_factor(self) -> tuple[int, int]:
        """loadFactorNum and loadFactorDen: entries a bucket at which the map grows.

        12/2 up to Go 1.21, 13/2 from 1.22 on: the program's own constant says which.
        """
        constant = self.target.variable("runtime.loadFactorNum")
        if constant is None or constant.data is None:
            return LOAD_NUM, LOAD_DEN
        return self.target.arch.uint(constant.data, 0, len(constant.data)), LOAD_DEN

    def limit(self) -> int:
        """The map grows when it has this many entries and gets another: overLoadFactor."""
        numerator, denominator = self.load_factor
        return max(numerator * ((1 << min(self.B, 64)) // denominator), SLOTS)

    def overflow_limit(self) -> int:
        """hmap.noverflow at which the next insert starts a same-size growth: tooManyOverflowBuckets."""
        return 1 << min(self.B, 15)

    def layout_facts(self) -> dict[str, object]:
        """The `classic` object of the JSON contract."""
        header = self.header
        next_overflow = self._extra("nextOverflow")
        return {
            "B": self.B,
            "noverflow": header["noverflow"],
            "hash0": header["hash0"],
            "oldbuckets": hex(header["oldbuckets"]) if header["oldbuckets"] else None,
            "nevacuate": header["nevacuate"],
            "next_overflow": hex(next_overflow) if next_overflow else None,
        }

    def _extra_record(self) -> Record | None:
        address = self.header["extra"]
        extra = self.shape.header.field("extra")
        if not address or extra is None or extra.type.lazy_elem is None or not extra.type.elem.fields:
            return None
        try:
            return read_record(self.target, extra.type.elem, address)
        except MemoryFault:
            return None

    def _extra(self, name: str) -> int:
        record = self._extra_record()
        return record.get(name) if record else 0

    # -- walking ---------------------------------------------------------------------------------

    def structure(self, allocator: Allocator) -> Structure:
        """Counts everything by reading the mark columns and overflow pointers of all buckets."""
        header = self.header
        structure = Structure(address=header["buckets"] or None, old_count=self.old_count)
        structure.old_address = header["oldbuckets"] or None
        walk = _Walk(self, structure)
        if header["buckets"]:
            main = 1 << min(self.B, 64)
            if self._sane(main, "B", structure):
                structure.strip = Strip(main)
                structure.main = walk.main_array(header["buckets"], main, structure.strip)
                structure.overflow, chain = walk.chains(walk.overflow_pointers, structure.total)
                structure.longest_chain = chain + 1
        structure.total.buckets = structure.main.buckets + structure.overflow
        structure.total.include(structure.main)
        structure.growth = Growth(nevacuate=header["nevacuate"])
        if structure.old_address is not None:
            self._walk_old(walk, structure)
        structure.bytes = self._bytes(structure, walk, allocator)
        unknown = header["flags"] & ~0xF
        if unknown:
            structure.anomalies.append(
                Anomaly("warning", "unknown-flags", f"flags has unknown bits {unknown:#x}", self.address)
            )
        return structure

    def _sane(self, count: int, what: str, structure: Structure) -> bool:
        if count * self.shape.slots.size <= MAX_BYTES:
            return True
        message = f"{what} of {self.B} would mean 2^{self.B} buckets: the header is corrupt"
        structure.anomalies.append(Anomaly("error", "bad-B", message, self.address))
        return False

    def _walk_old(self, walk: _Walk, structure: Structure) -> None:
        address, count = self.header["oldbuckets"], self.old_count
        if not self._sane(count, "B", structure):
            return
        size = self.shape.slots.size
        whole = Tally()
        left_chains, gone_chains = array("Q"), array("Q")
        structure.moved = Strip(count)
        evacuated = 0
        for first, data in walk.read_array(address, count, "oldbuckets", stream):
            whole.add(marks_of(data, size), OLD_MARKS)
            flags = bytes(data[0::size]).translate(_FIRST_EVACUATED)
            structure.moved.add_flags(first, flags)
            evacuated += flags.count(1)
            pointers = walk.pointers(data)
            left_chains.extend(p for p, moved in zip(pointers, flags) if p and not moved)
            gone_chains.extend(p for p, moved in zip(pointers, flags) if p and moved)
            _add_runs(structure.unevacuated, first, flags)
        # evacuate marks every slot of a bucket, so moved buckets are in fill[0] and nowhere else.
        whole.fill[0] -= evacuated
        whole.buckets -= evacuated
        structure.old = whole
        rest = Tally()
        n_left, chain = walk.chains(left_chains, rest, OLD_MARKS)
        n_gone, _ = walk.chains(gone_chains, rest, OLD_MARKS)
        structure.old_overflow = n_left + n_gone
        if whole.buckets:
            structure.longest_chain = max(structure.longest_chain, chain + 1)
        total = structure.total
        total.buckets += whole.buckets + evacuated + structure.old_overflow
        total.include(whole)
        total.include(rest)
        state = "same-size" if self.header["flags"] & SAME_SIZE_GROW else "doubling"
        structure.growth = Growth(state, count, evacuated, self.header["nevacuate"])

    def _bytes(self, structure: Structure, walk: _Walk, allocator: Allocator) -> Bytes:
        shape, slots = self.shape, self.shape.slots
        main = self._array_bytes(structure.main.buckets, allocator)
        old = self._array_bytes(structure.old_count if structure.old else 0, allocator)
        one = allocator.allocated(slots.size, shape.scan)
        # What lies in the arrays' own buckets; behind them the next object may follow at once.
        ranges = [
            (self.header["buckets"], self._array_size(structure.main.buckets, allocator)),
            (
                self.header["oldbuckets"],
                self._array_size(structure.old_count if structure.old else 0, allocator),
            ),
        ]
        new_outside = one * _outside(walk.overflow_seen[:1], ranges)
        old_outside = one * _outside(walk.overflow_seen[1:], ranges)
        allocated = allocator.allocated(shape.header.size, True) + main + old + new_outside + old_outside
        allocated += self._extra_bytes(allocator)
        live = structure.total.live
        each = (slots.key.size + slots.elem.size) + self.target.arch.pointer_size * (
            slots.indirect_key + slots.indirect_elem
        )
        indirect = slots.indirect_key * allocator.allocated(slots.key.size, has_pointers(slots.key))
        indirect += slots.indirect_elem * allocator.allocated(slots.elem.size, has_pointers(slots.elem))
        allocated += live * indirect
        return Bytes(
            allocated=allocated,
            live=live * each,
            overflow=structure.overflow * slots.size,
            old=old + old_outside,
            rebuilt=self.rebuilt(live, allocator) + live * indirect,
        )

    def array_buckets(self, B: int, allocator: Allocator) -> int:
        """Buckets that makeBucketArray allocates for 2^B: with overflow buckets behind them from B 4 on."""
        count = 1 << B
        if B < 4:
            return count
        size = (count + (1 << (B - 4))) * self.shape.slots.size
        return allocator.rounded(size, self.shape.scan) // self.shape.slots.size

    def _array_size(self, count: int, allocator: Allocator) -> int:
        """Bytes of an array of `count` buckets with the overflow buckets behind them."""
        return self.array_buckets(count.bit_length() - 1, allocator) * self.shape.slots.size if count > 0 else 0

    def _array_bytes(self, count: int, allocator: Allocator) -> int:
        return allocator.allocated(self._array_size(count, allocator), self.shape.scan)

    def _extra_bytes(self, allocator: Allocator) -> int:
        """mapextra and, where buckets hold no pointers, its lists of overflow buckets."""
        record = self._extra_record()
        if record is None:
            return 0
        total = allocator.allocated(record.type.size, True)
        word = self.target.arch.pointer_size
        for name in ("overflow", "oldoverflow"):
            pointer = record.get(name)
            if not pointer:
                continue
            try:
                capacity = self.target.arch.uint(self.target.memory.read(pointer + 2 * word, word), 0, word)
            except MemoryFault:
                continue
            if capacity * word <= MAX_BYTES:
                total += allocator.allocated(3 * word, True) + allocator.allocated(capacity * word, True)
        return total

    def rebuilt(self, entries: int, allocator: Allocator) -> int:
        """Bytes of a map just made for so many entries: makemap."""
        B = 0
        if entries > SLOTS:
            numerator, denominator = self.load_factor
            while entries > max(numerator * ((1 << B) // denominator), SLOTS):
                B += 1
        total = allocator.allocated(self.shape.header.size, True)
        if entries:
            total += self._array_bytes(1 << B, allocator)
        if B >= 4:
            extra = self.shape.header.field("extra")
            if extra is not None and extra.type.lazy_elem is not None:
                total += allocator.allocated(extra.type.elem.size, True)
        return total

    def entries(self) -> Iterator[Entry]:
        """Live entries in the order of the arrays: the current array, then old buckets not yet evacuated."""
        for window, old in self.windows():
            yield from entries_of(self.target.memory, self.target.arch, self.shape.slots, window, MARKS.live, old)

    def windows(self) -> Iterator[tuple[list[Bucket], bool]]:
        """All buckets in that order, some at a time, and whether they are the old array's."""
        header = self.header
        if header["buckets"] and (1 << min(self.B, 64)) * self.shape.slots.size <= MAX_BYTES:
            yield from self._array_windows(header["buckets"], 1 << self.B, old=False)
            if self.old_count:
                yield from self._array_windows(header["oldbuckets"], self.old_count, old=True)

    def arrays(self) -> Iterator[tuple[bool, Iterator[tuple[int, bytes]]]]:
        """The arrays of main buckets as (whether it is the old one, pieces of (first bucket, bytes))."""
        walk = _Walk(self, Structure(address=None))
        for old, address, count in (
            (False, self.header["buckets"], 1 << min(self.B, 64)),
            (True, self.header["oldbuckets"], self.old_count),
        ):
            if address and count * self.shape.slots.size <= MAX_BYTES:
                yield old, walk.read_array(address, count, "oldbuckets" if old else "buckets", one_by_one)

    def overflow_pointers(self, data: bytes) -> Sequence[int]:
        """The overflow pointer of each bucket in data."""
        return _Walk(self, Structure(address=None)).pointers(data)

    def contents(self) -> Iterator[bytes]:
        """Whole buckets, in pieces: all that can hold live entries, which their marks tell from the others."""
        walk = _Walk(self, Structure(address=None))
        level: set[int] = set()
        for _, pieces in self.arrays():
            for _, data in pieces:
                level.update(walk.chained(data))
                yield data
        seen: set[int] = set()
        while level:
            seen |= level
            ordered = walk._outside_arrays(sorted(level))
            data = b"".join(block for _, block in gather(self.target.memory, ordered, self.shape.slots.size) if block)
            yield data
            level = set(walk.chained(data)) - seen

    def _array_windows(self, address: int, count: int, old: bool) -> Iterator[tuple[list[Bucket], bool]]:
        size = self.shape.slots.size
        walk = _Walk(self, Structure(address=None))
        for first, data in walk.read_array(address, count, "oldbuckets" if old else "buckets", one_by_one):
            pointers = walk.pointers(data)
            # A window of buckets at a time: the first entries come at once, whatever the map's size.
            for start in range(0, len(pointers), 512):
                window = [
                    (first + i, 0, address + (first + i) * size, data[i * size : (i + 1) * size])
                    for i in range(start, min(start + 512, len(pointers)))
                ]
                if old:
                    window = [bucket for bucket in window if bucket[3][0] not in EVACUATED]
                chained = {index: pointers[index - first] for index, _, _, _ in window if pointers[index - first]}
                if chained:
                    window += walk.follow(chained)
                    window.sort(key=itemgetter(0, 1))
                yield window, old


@dataclass
class _Walk:
    """Reads arrays of buckets and the chains that hang off them; remembers every overflow bucket."""

    map: ClassicMap
    structure: Structure
    overflow_pointers: array[int] = field(default_factory=lambda: array("Q"))
    overflow_seen: list[list[array[int]]] = field(default_factory=list)

    def read_array(self, address: int, count: int, what: str, reads: Stream) -> Iterator[tuple[int, Any]]:
        """The array in chunks: (index of the first bucket, bytes). What can't be read becomes an anomaly.

        reads: stream, where bytes are not kept, or one_by_one.
        """
        size = self.map.shape.slots.size
        # A power of two, as the array and the cells of its picture are.
        step = 1 << max(CHUNK // size, 1).bit_length() - 1
        pieces = ((address + first * size, min(step, count - first) * size) for first in range(0, count, step))
        faults = 0
        for number, (_, length, data) in enumerate(reads(self.map.target.memory, pieces)):
            first = number * step
            if not isinstance(data, MemoryFault):
                yield first, data
                continue
            faults += 1
            self._fault(data, f"{what} {first} to {first + length // size - 1}")
            if faults >= MAX_FAULTS:
                return

    def main_array(self, address: int, count: int, strip: Strip) -> Tally:
        """Counts the main array and collects its overflow pointers."""
        tally = Tally()
        size = self.map.shape.slots.size
        expect(count * size)
        for first, data in self.read_array(address, count, "buckets", stream):
            marks = marks_of(data, size)
            strip.add(first, marks, MARKS, tally.add(marks, MARKS))
            self.overflow_pointers.extend(self.chained(data))
        return tally

    def chained(self, data: Buffer) -> Iterable[int]:
        """The overflow pointers of those buckets that have one."""
        shape, arch = self.map.shape, self.map.target.arch
        return nonzero_words(data, shape.overflow_off, shape.slots.size, arch.pointer_size, arch.byte_order)

    def pointers(self, data: Buffer) -> Sequence[int]:
        shape, arch = self.map.shape, self.map.target.arch
        return words(data, shape.overflow_off, shape.slots.size, arch.pointer_size, arch.byte_order)

    def chains(self, level: array[int], tally: Tally, code: MarkCode = MARKS) -> tuple[int, int]:
        """Counts the overflow buckets that `level` points to, and theirs: (how many, longest chain)."""
        size = self.map.shape.slots.size
        seen: list[array[int]] = []
        deeper: set[int] = set()
        total = depth = 0
        while level:
            depth += 1
            if depth > MAX_CHAIN:
                self._anomaly("chain-too-long", f"an overflow chain goes on after {MAX_CHAIN} buckets", level[0])
                break
            fresh = ascending(level)
            shared = next(compress(fresh, map(eq, fresh, islice(fresh, 1, None))), None)
            if shared is not None:
                self._anomaly("shared-overflow", "two chains lead to one overflow bucket", shared)
                fresh = sorted(set(fresh))
            if depth > 1:
                # The first level may hold a fifth of all buckets: an array, not a set, keeps memory small.
                known = {p for p in fresh if p in deeper or _holds(seen[0], p)}
                if known:
                    what = "an overflow chain leads back into itself: searches in it never end"
                    self._anomaly("overflow-cycle", what, min(known))
                    fresh = [p for p in fresh if p not in known]
                deeper.update(fresh)
            fresh = self._outside_arrays(fresh)
            seen.append(array("Q", fresh))
            level = array("Q")
            blocks: list[Buffer] = []
            held = 0
            for address, data in packed(self.map.target.memory, fresh, size):
                if data is None:
                    self._fault(MemoryFault(address, size), "overflow bucket")
                    continue
                blocks.append(data)
                held += len(data)
                if held >= CHUNK:
                    level.extend(self._count(blocks, tally, code))
                    blocks, held = [], 0
            level.extend(self._count(blocks, tally, code))
            total += len(fresh)
        self.overflow_seen.append(seen)
        return total, depth

    def _outside_arrays(self, ordered: list[int]) -> list[int]:
        """Without the main buckets of either array: those are in no chain, and counted already."""
        header, size = self.map.header, self.map.shape.slots.size
        arrays = ((header["buckets"], 1 << min(self.map.B, 64)), (header["oldbuckets"], self.map.old_count))
        for start, count in arrays:
            first = bisect.bisect_left(ordered, start)
            last = bisect.bisect_left(ordered, start + count * size)
            if first < last:
                message = "an overflow chain leads back into the array of main buckets"
                self._anomaly("overflow-cycle", message, ordered[first])
                ordered = ordered[:first] + ordered[last:]
        return ordered

    def _count(self, blocks: list[Buffer], tally: Tally, code: MarkCode) -> list[int]:
        if not blocks:
            return []
        data = b"".join(blocks)
        tally.add(marks_of(data, self.map.shape.slots.size), code)
        return list(self.chained(data))

    def follow(self, chained: dict[int, int]) -> list[tuple[int, int, int, bytes]]:
        """Overflow buckets of the chains that start at chained[bucket]: (bucket, depth, address, bytes)."""
        found = []
        size = self.map.shape.slots.size
        depth = 0
        visited: set[int] = set()
        while chained and depth < MAX_CHAIN:
            depth += 1
            owners: dict[int, list[int]] = {}
            for bucket, pointer in chained.items():
                if pointer not in visited:
                    owners.setdefault(pointer, []).append(bucket)
            visited.update(owners)
            chained = {}
            outside = self._outside_arrays(sorted(owners))
            for address, data in gather(self.map.target.memory, outside, size):
                if data is None:
                    continue
                content = bytes(data)
                pointer = self.pointers(content)[0]
                bucket = owners[address][0]
                found.append((bucket, depth, address, content))
                if pointer:
                    chained[bucket] = pointer
        return found

    def _fault(self, fault: MemoryFault, what: str) -> None:
        if sum(a.code == "unreadable" for a in self.structure.anomalies) < 8:
            self.structure.anomalies.append(Anomaly("error", "unreadable", f"{what}: {fault}", fault.address))

    def _anomaly(self, code: str, message: str, address: int) -> None:
        self.structure.anomalies.append(Anomaly("error", code, message, address))


def _holds(ordered: array[int], value: int) -> bool:
    at = bisect.bisect_left(ordered, value)
    return at < len(ordered) and ordered[at] == value


def _outside(levels: list[list[array[int]]], ranges: list[tuple[int, int]]) -> int:
    """How many overflow buckets lie in none of the ranges (start, size): allocated one by one."""
    outside = 0
    for part in (part for seen in levels for part in seen):  # each is sorted
        inside = sum(bisect.bisect_left(part, start + size) - bisect.bisect_left(part, start) for start, size in ranges)
        outside += len(part) - inside
    return outside


def _add_runs(runs: list[tuple[int, int]], base: int, moved: bytes) -> None:
    """Adds the stretches of 0 in moved as (first bucket, how many), up to MAX_RUNS."""
    start = moved.find(0)
    while start >= 0 and len(runs) < MAX_RUNS:
        end = moved.find(1, start)
        end = len(moved) if end < 0 else end
        first, count = base + start, end - start
        if runs and runs[-1][0] + runs[-1][1] == first:
            runs[-1] = (runs[-1][0], runs[-1][1] + count)
        else:
            runs.append((first, count))
        start = moved.find(0, end)
