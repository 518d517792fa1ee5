"""Overflow buckets of a classic map: which of them are its own, and where a pointer to one may lead.

runtime/map.go: makeBucketArray, newoverflow, createOverflow, mapextra.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gomap.columns.plain import words
from gomap.errors import MemoryFault
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.integrity import Findings
from gomap.golang.runtime.malloc import Allocator

#: Overflow buckets that are compared with the map's own list of them: a list of more is not looked at.
MAX_OWN = 1 << 20
NOT_OWN = "overflow-outside", "which is not in the map's list of overflow buckets"


@dataclass
class BucketArray:
    """The current array, or the old one. moved: 1 for every bucket that has been evacuated."""

    old: bool
    address: int
    count: int
    moved: bytearray = field(default_factory=bytearray)
    overflow: int = 0
    spare: tuple[int, int] | None = None
    lost: int = 0  # invalid overflow pointers


class OverflowLink(NamedTuple):
    """An overflow pointer, in the bucket at `address` of the chain of main bucket `bucket`. after_end: that
    chain has said already that all after it is empty."""

    bucket: int
    address: int
    pointer: int
    after_end: bool


@dataclass
class Overflow:
    """The overflow buckets of a map. arrays: the current one, and the old one of a growth. seen: overflow bucket ->
    main bucket whose chain it is in."""

    map: ClassicMap
    allocator: Allocator
    findings: Findings
    arrays: list[BucketArray]
    seen: dict[int, int] = field(default_factory=dict)

    @property
    def _word(self) -> int:
        return self.map.target.arch.pointer_size

    def check_next(self, fresh: bool) -> None:
        """extra.nextOverflow points into the buckets that were allocated behind the array, if at all."""
        pointer = self.map.header["extra"]
        if not pointer:
            return
        try:
            next_ = self.map.target.arch.pointer(self.map.target.memory.read(pointer + 2 * self._word, self._word))
        except MemoryFault:
            self.findings.add("bad-extra", f"the header's extra part at {pointer:#x} can't be read", self.map.address)
            return
        arrays = self.arrays if fresh else self.arrays[:1]
        for array in arrays:
            start, end = self.spare(array)
            if not next_ or (start <= next_ < end and (next_ - start) % self.map.shape.slots.size == 0):
                break
        else:
            what = f"extra.nextOverflow is {next_:#x}, which is not after the bucket array"
            self.findings.add("bad-next-overflow", what, pointer)

    def spare(self, array: BucketArray) -> tuple[int, int]:
        """Where the overflow buckets lie that were allocated with the array: makeBucketArray."""
        if array.spare is None:
            start = array.address + array.count * self.map.shape.slots.size
            whole = self.map.array_buckets(array.count.bit_length() - 1, self.allocator)
            array.spare = start, array.address + whole * self.map.shape.slots.size
        return array.spare

    def link_problem(self, array: BucketArray, link: OverflowLink, own: set[int] | None) -> tuple[str, str] | None:
        """The fault of an overflow pointer, as (code, words that follow its address); None for a valid one.

        array: the array whose bucket the chain begins with. own: addresses in the map's own list of overflow buckets
        (mapextra); None without such a list.
        """
        pointer = link.pointer
        if pointer in self.seen:
            if self.seen[pointer] == link.bucket:
                return "overflow-cycle", "which the chain has already visited"
            return "overflow-shared", f"which is in the chain of bucket {self.seen[pointer]} too"
        for other in self.arrays:
            if not other.address:
                continue
            start, end = self.spare(other)
            if other.address <= pointer < start:
                inside = (pointer - other.address) // self.map.shape.slots.size
                if other is array and inside == link.bucket:
                    return "overflow-cycle", "the start of its own chain"
                return "overflow-outside", f"bucket {inside} of the {'old ' if other.old else ''}array itself"
            if start <= pointer < end and (pointer - start) % self.map.shape.slots.size:
                return "overflow-outside", "in the middle of a bucket"
        if pointer % self._word:
            return "overflow-outside", "which is not aligned"
        if own is not None and pointer not in own:
            return NOT_OWN
        return None

    def own(self, array: BucketArray) -> set[int] | None:
        """mapextra.overflow and oldoverflow: all overflow buckets, listed where buckets have no pointers. As a write
        starts a growth the list becomes the old one after the array does."""
        if self.map.shape.scan or not self.map.header["extra"]:
            return None
        lists = [self._listed(old) for old in ((False, True) if self.map.writing else (array.old,))]
        found = [one for one in lists if one is not None]
        return set[int]().union(*found) if len(found) == len(lists) else None

    def _listed(self, old: bool) -> set[int] | None:
        memory, arch, word = self.map.target.memory, self.map.target.arch, self._word
        try:
            at = arch.pointer(memory.read(self.map.header["extra"] + (word if old else 0), word))
            if not at:
                return set()
            head = memory.read(at, 2 * word)
            start, length = arch.pointer(head), arch.pointer(head, word)
            if length <= MAX_OWN:
                data = memory.read(start, length * word) if length else b""
                return set(words(data, 0, word, word, arch.byte_order)) if length else set()
            why = "not compared with the list of them: it is too long"
        except MemoryFault:
            length, why = 1, "not compared with the list of them: it can't be read"
        self.findings.skip("overflow-buckets", length, length, why)
        return None
