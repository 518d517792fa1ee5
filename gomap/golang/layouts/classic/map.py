"""runtime.hmap: the map of Go up to 1.23, and of 1.24 and 1.25 with GOEXPERIMENT=noswissmap.

Follows runtime/map.go (runtime/map_noswiss.go in 1.24 and 1.25): hmap, bmap, mapextra,
makeBucketArray, evacuated, growWork, evacuate, tooManyOverflowBuckets.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter

from gomap.anomaly import Anomaly
from gomap.columns.choose import counting
from gomap.columns.marks import SLOTS
from gomap.errors import MemoryFault
from gomap.golang.layouts.classic.shape import (
    EVACUATED,
    FLAG_NAMES,
    HASH_WRITING,
    LOAD_DEN,
    LOAD_NUM,
    MARKS,
    MAX_BYTES,
    OLD_MARKS,
    SAME_SIZE_GROW,
    ClassicShape,
)
from gomap.golang.layouts.classic.walk import BucketWalk, add_runs, outside
from gomap.golang.layouts.marks import Strip, Tally
from gomap.golang.layouts.slots import Bucket, behind, entries_of
from gomap.golang.layouts.structure import Bytes, GrowthState, MapEntry, Structure
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import has_pointers
from gomap.memory import one_by_one, stream
from gomap.reads import gather
from gomap.results.show import ClassicFacts
from gomap.target import Record, Target, read_record

_FIRST_EVACUATED = bytes(1 if mark in EVACUATED else 0 for mark in range(256))


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
        """hmap.count: the number of entries."""
        return self.header["count"]

    @property
    def flags(self) -> list[str]:
        """The bits of hmap.flags that are set, by name."""
        flags = self.header["flags"]
        return [name for bit, name in FLAG_NAMES if flags & bit]

    @property
    def writing(self) -> bool:
        """Whether hashWriting is set in hmap.flags."""
        return bool(self.header["flags"] & HASH_WRITING)

    @property
    def writing_at(self) -> int:
        """Address of hmap.flags, which has hashWriting."""
        return self.header.address_of("flags")

    @property
    def B(self) -> int:
        """hmap.B: the bucket array has 2^B buckets."""
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
        """hmap.buckets: *bmap, 0 for a map without a bucket array."""
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
        """As load_factor_of."""
        return load_factor_of(self.target)

    def limit(self) -> int:
        """The map grows when it has this many entries and gets another: overLoadFactor."""
        return limit_of(self.B, self.load_factor)

    def overflow_limit(self) -> int:
        """hmap.noverflow at which the next insert starts a same-size growth: tooManyOverflowBuckets."""
        return 1 << min(self.B, 15)

    def objects(self) -> Iterator[tuple[str, Iterable[int]]]:
        """As layout.MapView has it."""
        word, record = self.target.arch.pointer_size, self._extra_record()
        yield "header", (self.address,)
        yield "buckets", (self.header["buckets"],)
        yield "oldbuckets", (self.header["oldbuckets"],)
        yield "extra", (self.header["extra"],)
        for name in ("overflow", "oldoverflow") if record is not None else ():
            listed = record.get(name) if record is not None else 0
            if listed:  # *[]*bmap
                yield "extra", (listed,)
                with suppress(MemoryFault):
                    yield "extra", (self.target.arch.pointer(self.target.memory.read(listed, word)),)
        walk, slots = self._walk(), self.shape.slots
        for data in self.contents():
            yield "overflow", walk.chained(data)
            yield from behind(slots, self.target.arch, data)

    def layout_facts(self, structure: Structure) -> ClassicFacts:
        """The header's fields as a result, for JSON."""
        return ClassicFacts(
            B=self.B,
            noverflow=self.header["noverflow"],
            hash0=self.header["hash0"],
            oldbuckets=self.header["oldbuckets"],
            nevacuate=self.header["nevacuate"],
            next_overflow=self._extra("nextOverflow"),
        )

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

    def _walk(self, structure: Structure | None = None) -> BucketWalk:
        arrays = ((self.header["buckets"], 1 << min(self.B, 64)), (self.header["oldbuckets"], self.old_count))
        return BucketWalk(self.target, self.shape, arrays, structure or Structure(address=None))

    def structure(self, allocator: Allocator) -> Structure:
        """Counts everything by reading the mark columns and overflow pointers of all buckets."""
        header = self.header
        structure = Structure(address=header["buckets"] or None, old_count=self.old_count)
        structure.old_address = header["oldbuckets"] or None
        walk = self._walk(structure)
        if header["buckets"]:
            main = 1 << min(self.B, 64)
            if self._sane(main, "B", structure):
                structure.strip = Strip(main)
                structure.main = walk.main_array(header["buckets"], main, structure.strip)
                structure.overflow, chain = walk.chains(walk.overflow_pointers, structure.total)
                structure.longest_chain = chain + 1
        structure.total.buckets = structure.main.buckets + structure.overflow
        structure.total.include(structure.main)
        structure.growth = GrowthState(nevacuate=header["nevacuate"])
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

    def _walk_old(self, walk: BucketWalk, structure: Structure) -> None:
        address, count = self.header["oldbuckets"], self.old_count
        if not self._sane(count, "B", structure):
            return
        size = self.shape.slots.size
        whole = Tally()
        left_chains, gone_chains = array("Q"), array("Q")
        structure.moved = Strip(count)
        evacuated = 0
        for first, data in walk.read_array(address, count, "oldbuckets", stream):
            whole.add(counting().marks_of(data, size), OLD_MARKS)
            flags = bytes(data[0::size]).translate(_FIRST_EVACUATED)
            structure.moved.add_flags(first, flags)
            evacuated += flags.count(1)
            pointers = walk.pointers(data)
            left_chains.extend(p for p, moved in zip(pointers, flags) if p and not moved)
            gone_chains.extend(p for p, moved in zip(pointers, flags) if p and moved)
            add_runs(structure.unevacuated, first, flags)
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
        structure.growth = GrowthState(state, count, evacuated, self.header["nevacuate"])

    def _bytes(self, structure: Structure, walk: BucketWalk, allocator: Allocator) -> Bytes:
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
        structure.apart = outside(walk.overflow_seen[:1], ranges)
        new_outside = one * structure.apart
        old_outside = one * outside(walk.overflow_seen[1:], ranges)
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
        return array_buckets(B, self.shape.slots.size, self.shape.scan, allocator)

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

    def entries(self) -> Iterator[MapEntry]:
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
        walk = self._walk()
        for old, address, count in (
            (False, self.header["buckets"], 1 << min(self.B, 64)),
            (True, self.header["oldbuckets"], self.old_count),
        ):
            if address and count * self.shape.slots.size <= MAX_BYTES:
                yield old, walk.read_array(address, count, "oldbuckets" if old else "buckets", one_by_one)

    def overflow_pointers(self, data: bytes) -> Sequence[int]:
        """The overflow pointer of each bucket in data."""
        return self._walk().pointers(data)

    def contents(self) -> Iterator[bytes]:
        """Whole buckets, in pieces: all that can hold live entries, which their marks tell from the others."""
        walk = self._walk()
        level: set[int] = set()
        for _, pieces in self.arrays():
            for _, data in pieces:
                level.update(walk.chained(data))
                yield data
        seen: set[int] = set()
        while level:
            seen |= level
            ordered = walk.outside_arrays(sorted(level))
            data = b"".join(block for _, block in gather(self.target.memory, ordered, self.shape.slots.size) if block)
            yield data
            level = set(walk.chained(data)) - seen

    def _array_windows(self, address: int, count: int, old: bool) -> Iterator[tuple[list[Bucket], bool]]:
        size = self.shape.slots.size
        walk = self._walk()
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


def load_factor_of(target: Target) -> tuple[int, int]:
    """loadFactorNum and loadFactorDen: entries a bucket at which a map grows.

    12/2 up to Go 1.21, 13/2 from 1.22 on: the program's own constant says which.
    """
    constant = target.variable("runtime.loadFactorNum")
    if constant is None or constant.data is None:
        return LOAD_NUM, LOAD_DEN
    return target.arch.uint(constant.data, 0, len(constant.data)), LOAD_DEN


def limit_of(B: int, load_factor: tuple[int, int]) -> int:
    """A map of 2^B buckets grows when it has this many entries and gets another: overLoadFactor."""
    numerator, denominator = load_factor
    return max(numerator * ((1 << min(B, 64)) // denominator), SLOTS)


def array_buckets(B: int, size: int, scan: bool, allocator: Allocator) -> int:
    """Buckets of that size that makeBucketArray allocates for 2^B: with overflow buckets behind them from B 4 on. scan:
    whether they contain pointers."""
    count = 1 << B
    if B < 4:
        return count
    return allocator.rounded((count + (1 << (B - 4))) * size, scan) // size
