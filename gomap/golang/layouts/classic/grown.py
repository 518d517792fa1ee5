"""Growths of classic maps: hashGrow, makeBucketArray and overLoadFactor of runtime/map.go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.classic.map import array_buckets, limit_of
from gomap.golang.layouts.classic.shape import ClassicShape
from gomap.golang.layouts.grown import Growth, Read, Rules, record

FUNCTIONS = {"runtime.hashGrow": 2}  # (t *maptype, h *hmap)


@dataclass(frozen=True)
class ClassicGrowths:
    """load_factor: loadFactorNum and loadFactorDen."""

    rules: Rules
    load_factor: tuple[int, int]
    functions = FUNCTIONS

    def map_and_type(self, function: str, arguments: Sequence[int]) -> tuple[int, int]:
        """*runtime.hmap and *runtime.maptype, from the arguments of runtime.hashGrow."""
        t, h = arguments
        return h, t

    def pointed(self, function: str) -> Sequence[tuple[int, int]]:
        """As Growths.pointed: the header."""
        return [(1, self.rules.header.size)]

    def read(self, function: str, arguments: Sequence[int], shape: ClassicShape, read: Read) -> Growth:
        """The growth that runtime.hashGrow, just entered with these arguments, begins.

        read: the bytes at an address. Raises MemoryFault.
        """
        header = record(self.rules.arch, self.rules.header, arguments[1], read)
        entries, B, slots, allocator = header["count"], header["B"], shape.slots, self.rules.allocator
        doubles = entries + 1 > limit_of(B, self.load_factor)
        size = array_buckets(B + doubles, slots.size, shape.scan, allocator) * slots.size
        return Growth(
            address=arguments[1],
            seed=header["hash0"],
            entries=entries,
            kind="doubling" if doubles else "same-size",
            slots=SLOTS << B,
            new_slots=SLOTS << (B + doubles),
            copied=entries,
            copied_bytes=entries * (slots.key_stride + slots.elem_stride),
            allocated=allocator.allocated(size, shape.scan),
            # A single bucket may be on a stack that moves; of that there is one growth.
            state=(header["buckets"] if B else 0, B, header["noverflow"]),
        )

    def capacity(self, entries: int) -> int:
        """The size to give to make for this many entries: the number itself, whatever chance does."""
        return entries
