"""Headers of Swiss maps among other objects of their size: what the fields of a Map can be, whatever its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gomap.columns.marks import SLOTS
from gomap.columns.plain import words
from gomap.errors import MemoryFault
from gomap.golang.layouts.slots import member
from gomap.golang.layouts.structure import UNTOLD, Candidate
from gomap.golang.layouts.swiss.shape import CTRL_DELETED, CTRL_EMPTY, HEADER_FIELDS, MAX_TABLE_CAPACITY
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.reads import gather
from gomap.target import Record, Target

MAX_DEPTH = 24
#: Bits of a random number that are not all zero but once in so many maps: of 64 bits the upper half, of 32 all but one
#: byte.
RANDOM_FROM = {8: 32, 4: 8}
_DEAD = bytes(range(CTRL_EMPTY, 256))


@dataclass(frozen=True)
class SwissHeaders:
    """at: index of each field in a record. word: bytes of a pointer. seed, first: the fields of the
    hashes' seed and of the array."""

    at: Mapping[str, int]
    word: int
    name: str = "swiss"
    seed: str = "seed"
    first: str = "dirPtr"
    fields: frozenset[str] = HEADER_FIELDS

    def candidate(self, address: int, record: Sequence[int]) -> Candidate | None:
        """The header, if the object can be one."""
        at, bits = self.at, 8 * self.word
        used, seed, pointer, length = record[at["used"]], record[at["seed"]], record[at["dirPtr"]], record[at["dirLen"]]
        depth, shift, writing = record[at["globalDepth"]], record[at["globalShift"]], record[at["writing"]]
        if writing > 1 or pointer % self.word:
            return None
        if "tombstonePossible" in at and record[at["tombstonePossible"]] > 1:
            return None
        if not length:
            if depth or shift not in (0, bits) or not seed >> RANDOM_FROM[self.word]:
                return None
            if not pointer and (used or writing):
                return None
        elif not pointer or not seed or depth > MAX_DEPTH or length != 1 << depth or shift != bits - depth:
            return None
        most = length * MAX_TABLE_CAPACITY or SLOTS
        if used > most:
            return None
        slots = UNTOLD if length or writing else SLOTS if pointer else 0  # a directory's tables have theirs
        return address, used, pointer, length, writing != 0, slots

    def same(self, record: Sequence[int], count: int, array: int) -> bool:
        """Whether the header counts so many entries, and keeps them there."""
        return record[self.at["used"]] == count and record[self.at["dirPtr"]] == array

    def has_directory(self, size: int) -> bool:
        """Whether Map.dirLen says that dirPtr is a directory; 0 is a small map's, whose dirPtr is its group."""
        return size > 0

    def smallest(self, size: int) -> int:
        """Bytes that the group or the directory has at least."""
        return size * self.word or SLOTS

    def fits(self, one: Candidate, marks: bytes) -> bool | None:
        """Whether the marks are those of the first group; None if no map has such marks."""
        _, count, _, size, unsettled, _ = one
        live = len(marks.translate(None, _DEAD))
        dead = marks.count(CTRL_EMPTY) + (marks.count(CTRL_DELETED) if size else 0)
        if live + dead != SLOTS:
            return None
        return bool(size) or unsettled or live == count

    def groups(self, size: int) -> int:
        """Groups of the array; 0 where it is a directory."""
        return 0 if size else 1

    def array(self, types: DescribedTypes, header: Record) -> tuple[int, int]:
        """(address, groups) of its group, or of the groups of its first table. Raises MemoryFault."""
        if not header["dirLen"]:
            return header["dirPtr"], 1
        target, table = types.target, types.map_table()
        offset, groups = member(table, "groups")
        data_off, _ = member(groups, "data")
        mask_off, mask = member(groups, "lengthMask")
        first = target.arch.pointer(target.memory.read(header["dirPtr"], self.word))
        record = target.memory.read(first, table.size)
        count = target.arch.uint(record, offset + mask_off, mask.size) + 1
        return target.arch.pointer(record, offset + data_off), min(count, MAX_TABLE_CAPACITY // SLOTS)


def tables_of(target: Target, directories: Mapping[int, int]) -> dict[int, Sequence[int]]:
    """The tables that each directory leads to, each once; none for one that can't be read. directories: how many
    entries each has, by its address."""
    memory, word = target.memory, target.arch.pointer_size
    leads: dict[int, Sequence[int]] = {}
    for at, data in gather(memory, sorted(at for at, entries in directories.items() if entries == 1), word):
        if data is not None:
            leads[at] = (target.arch.pointer(bytes(data)),)
    for at, entries in directories.items():
        if entries > 1:
            with suppress(MemoryFault):
                whole = memory.read(at, entries * word)
                leads[at] = list(dict.fromkeys(words(whole, 0, word, word, target.arch.byte_order)))
    return leads
