"""The heap profiler's records: which objects of the heap it sampled when they were allocated, and who allocated them.

The runtime samples one allocation in every MemProfileRate bytes, on average. Each sampled object has a specialprofile
among its span's specials until it is freed; that names a bucket, which has the stack of the allocation and is shared by
all allocations of that size and stack.

Follows runtime/mheap.go (special, specialprofile, setprofilebucket), runtime/mprof.go (bucket, stkbucket) and
runtime/pprof/protomem.go (scaleHeapSample).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from gomap.columns.plain import words
from gomap.errors import GomapError, MemoryFault, NoDebugInfo
from gomap.golang.runtime.heap import IN_USE, PAGE_SIZE, Heap, Span
from gomap.gotypes import GoType
from gomap.progress import Progress, silent
from gomap.reads import gather
from gomap.target import Target, read_record, unpacker

#: specialprofile's own number has changed; the program's constant says what it is.
_KIND, _MEM_PROFILE = "runtime._KindSpecialProfile", "runtime.memProfile"
#: More specials than that a span's objects don't have.
MAX_SPECIALS = 1 << 16
#: maxProfStackDepth; maxStack up to Go 1.22 is 32.
MAX_DEPTH = 1 << 10


@dataclass(frozen=True)
class ProfileBucket:
    """A runtime.bucket of the memory profile. size: bytes of each allocation. stack: return addresses, the innermost
    first; calls that were inlined have one of their own each (runtime.Callers)."""

    address: int
    size: int
    stack: tuple[int, ...]


@dataclass
class Profile:
    """The records of a stopped program. lost: specials that can't be read or say what can't be. Raises NoDebugInfo
    where debug information does not describe them."""

    target: Target
    heap: Heap
    lost: int = 0
    _special: GoType = field(init=False)
    _link: int = field(init=False)
    _bucket: GoType = field(init=False)
    _buckets: dict[int, ProfileBucket | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        special, profile, bucket = (
            self.target.find_type(f"runtime.{name}") for name in ("special", "specialprofile", "bucket")
        )
        link, span = profile.field("b") if profile is not None else None, self.target.find_type("runtime.mspan")
        if special is None or bucket is None or link is None or span is None or span.field("specials") is None:
            raise NoDebugInfo("the debug information does not describe the heap profiler's records")
        self._special, self._link, self._bucket = special, link.offset, bucket

    @property
    def linked(self) -> bool:
        """Whether the program can sample: the linker leaves that out of one that never reads its memory profile."""
        return not self._number("runtime.disableMemoryProfiling", 0)

    @property
    def rate(self) -> int:
        """runtime.MemProfileRate: bytes allocated from one sample to the next, on average; 0 for none."""
        found = self._number("runtime.MemProfileRate", None)
        if found is None:
            raise NoDebugInfo("the debug information has no runtime.MemProfileRate")
        return 0 if found >> 8 * self.target.arch.pointer_size - 1 else found  # an int; below 0 it means 0

    def samples(self, spans: Iterable[Span], progress: Progress = silent) -> dict[int, int]:
        """The sampled objects of these spans: address -> *bucket."""
        memory, word = self.target.memory, self.target.arch.pointer_size
        places = [(one.offset, one.type.size) for one in map(self._special.field, ("next", "offset", "kind")) if one]
        if len(places) < 3:
            raise NoDebugInfo("runtime.special: unexpected debug information (unsupported Go version?)")
        unpack = unpacker(self.target.arch, places)
        kind = self._number(_KIND, None)
        # The lists of all spans are followed together, a special of each at a time: neighbours are one read.
        level = {span.specials: span for span in spans if span.specials}
        seen: set[int] = set()
        profiled: dict[int, int] = {}
        for _ in range(MAX_SPECIALS):
            if not level:
                break
            seen.update(level)
            deeper: dict[int, Span] = {}
            for at, data in gather(memory, sorted(level), self._special.size):
                span = level[at]
                following, offset, has = unpack(data) if data is not None else (0, span.size, 0)
                if offset >= span.size:
                    self.lost += 1
                    continue
                if kind is None or has == kind:
                    profiled[at + self._link] = span.start + offset
                if following and following not in seen:
                    deeper[following] = span
            level = deeper
            progress("heap profile records", len(profiled), 0)
        found = {}
        for at, data in gather(memory, sorted(profiled), word):
            if data is None:
                self.lost += 1
                continue
            bucket = self.target.arch.pointer(bytes(data))
            # Other kinds' records have something else there, which is not a bucket with this hash.
            if kind is not None or self._is_proved(bucket):
                found[profiled[at]] = bucket
        return found

    def of(self, addresses: Iterable[int]) -> list[Span]:
        """The spans of the heap that these objects lie in: not those of stacks."""
        spans: dict[int, Span] = {}
        for page in {address // PAGE_SIZE for address in addresses}:
            try:
                span = self.heap.span_of(page * PAGE_SIZE)
            except MemoryFault:
                span = None
            if span is not None and span.state == IN_USE:
                spans[span.address] = span
        return list(spans.values())

    def bucket(self, address: int) -> ProfileBucket | None:
        """The bucket that lies there. None for one that is corrupt."""
        if address not in self._buckets:
            try:
                self._buckets[address] = self._read(address)
            except GomapError:
                self._buckets[address] = None
        return self._buckets[address]

    def _read(self, address: int) -> ProfileBucket | None:
        record, arch = read_record(self.target, self._bucket, address), self.target.arch
        depth, size = record["nstk"], record["size"]
        if record["typ"] != self._number(_MEM_PROFILE, 1) or depth > MAX_DEPTH or size >> 8 * arch.pointer_size - 1:
            return None
        data = self.target.memory.read(address + self._bucket.size, depth * arch.pointer_size)
        stack = words(data, 0, arch.pointer_size, arch.pointer_size, arch.byte_order)
        return ProfileBucket(address, size, tuple(stack))

    def _is_proved(self, address: int) -> bool:
        """Whether a bucket lies there: it has the hash of its own stack and size (stkbucket)."""
        bucket = self.bucket(address)
        if bucket is None:
            return False
        mask, hash_ = (1 << 8 * self.target.arch.pointer_size) - 1, 0
        for number in (*bucket.stack, bucket.size):
            hash_ = hash_ + number & mask
            hash_ = hash_ + (hash_ << 10) & mask
            hash_ ^= hash_ >> 6
        hash_ = hash_ + (hash_ << 3) & mask
        hash_ ^= hash_ >> 11
        return read_record(self.target, self._bucket, address)["hash"] == hash_

    def _number(self, name: str, default: int | None) -> int | None:
        """Of a package variable or a constant of the runtime."""
        found = self.target.variable(name)
        if found is None:
            return default
        data = found.read(self.target.memory, 0, found.type.size)
        return self.target.arch.uint(data, 0, len(data))


def scaled(count: int, size: int, rate: int) -> tuple[int, int]:
    """(objects, bytes) that so many samples of `size` bytes each stand for, as runtime/pprof counts them."""
    if not count or not size:
        return 0, 0
    if rate <= 1:
        return count, count * size
    likely = 1 - math.exp(-float(size) / float(rate))
    scale = 1 / likely if likely else rate / size
    return int(count * scale), int(count * size * scale)


def likelihood(size: int, rate: int) -> float:
    """How likely one of allocations of so many bytes in all is sampled, 0..1."""
    return 1.0 if rate == 1 else 1 - math.exp(-size / rate) if rate > 0 else 0.0
