"""Headers of classic maps among other objects of their size: what the fields of an hmap can be, whatever its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.classic.shape import EVACUATED, HASH_WRITING, HEADER_FIELDS, MIN_TOPHASH, SAME_SIZE_GROW
from gomap.golang.layouts.structure import UNTOLD, Candidate
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.target import Record

#: B of no map is larger, and no bucket is smaller: eight tophashes and an overflow pointer, to a multiple of a word.
MAX_B, SMALLEST = 40, 12
#: From this B on noverflow is approximate (incrnoverflow of runtime/map.go).
APPROXIMATE = 16

_EVACUATED, _FEW = bytes(EVACUATED), bytes(range(MIN_TOPHASH))


@dataclass(frozen=True)
class ClassicHeaders:
    """at: index of each field in a record. word: bytes of a pointer. seed, first: the fields of the
    hashes' seed and of the array."""

    at: Mapping[str, int]
    word: int
    name: str = "classic"
    seed: str = "hash0"
    first: str = "buckets"
    fields: frozenset[str] = HEADER_FIELDS

    def candidate(self, address: int, record: Sequence[int]) -> Candidate | None:
        """The header, if the object can be one."""
        at, word = self.at, self.word
        count, flags, b, hash0 = record[at["count"]], record[at["flags"]], record[at["B"]], record[at["hash0"]]
        buckets, old = record[at["buckets"]], record[at["oldbuckets"]]
        if flags >= 16 or b > MAX_B or not hash0 or buckets % word or old % word or record[at["extra"]] % word:
            return None
        if count > (max(16 << b, SLOTS) if buckets else 0) or record[at["nevacuate"]] > 1 << b:
            return None
        if not buckets and (old or record[at["extra"]] or record[at["nevacuate"]] or record[at["noverflow"]]):
            return None
        if not buckets and (flags & ~HASH_WRITING or b or not hash0 >> 8):
            return None
        if flags & SAME_SIZE_GROW and not old:
            return None
        unsettled = bool(flags & HASH_WRITING or old)
        # A loop over the map makes lists of overflow buckets in mapextra, whether there are any or not.
        told = not (unsettled or record[at["noverflow"]] or record[at["extra"]] or b >= APPROXIMATE)
        return address, count, buckets, b, unsettled, UNTOLD if not told else SLOTS << b if buckets else 0

    def same(self, record: Sequence[int], count: int, array: int) -> bool:
        """Whether the header counts so many entries, and keeps them there."""
        return record[self.at["count"]] == count and record[self.at["buckets"]] == array

    def has_directory(self, size: int) -> bool:
        """False: a classic map has no directory."""
        return False

    def smallest(self, size: int) -> int:
        """Bytes that the array has at least."""
        return SMALLEST << size

    def fits(self, one: Candidate, marks: bytes) -> bool | None:
        """Whether the marks are those of the first bucket; None if no map has such marks."""
        _, count, _, size, unsettled, _ = one
        if len(marks.translate(None, _EVACUATED)) < len(marks) or marks.rstrip(b"\0").count(0):
            return None  # emptyRest: there is nothing behind it
        return bool(size) or unsettled or len(marks.translate(None, _FEW)) == count

    def groups(self, size: int) -> int:
        """Buckets of the array, with the overflow buckets behind it (makeBucketArray of runtime/map.go)."""
        return (1 << size) + (1 << size - 4 if size >= 4 else 0)

    def array(self, types: DescribedTypes, header: Record) -> tuple[int, int]:
        """(address, buckets) of its array."""
        return header["buckets"], self.groups(min(header["B"], MAX_B))
