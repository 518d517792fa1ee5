"""How many bytes the allocator really gives for an object: runtime.mallocgc, runtime.roundupsize."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from gomap.errors import GomapError
from gomap.target import Target

#: runtime/sizeclasses.go and internal/runtime/gc/sizeclasses.go: the same table from Go 1.16 to 1.27.
#: Only used where the target's own table can't be read.
CLASSES = (
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352,
    384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304,
    2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240,
    10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768,
)  # fmt: skip
PAGE_SIZE = 8192  # runtime.pageSize
MALLOC_HEADER = 8  # mallocHeaderSize
TABLE_SYMBOLS = ("internal/runtime/gc.SizeClassToSize", "runtime.class_to_size")


@dataclass(frozen=True)
class Allocator:
    """classes: size classes in ascending order. header_over: objects with pointers that are larger than this
    carry a malloc header in front of them (from Go 1.22 on), 0 where there are none."""

    classes: tuple[int, ...] = CLASSES
    header_over: int = 0

    def allocated(self, size: int, scan: bool) -> int:
        """Bytes taken from the heap for an object of `size` bytes; scan: it contains pointers."""
        if size <= 0:
            return 0
        if size <= self.classes[-1] - MALLOC_HEADER or (not self.header_over and size < self.classes[-1]):
            wanted = size + (MALLOC_HEADER if self._has_header(size, scan) else 0)
            return self.classes[bisect_left(self.classes, wanted)]
        return -(-size // PAGE_SIZE) * PAGE_SIZE

    def rounded(self, size: int, scan: bool) -> int:
        """runtime.roundupsize: the bytes of that allocation that the object may use."""
        given = self.allocated(size, scan)
        if size <= self.classes[-1] - MALLOC_HEADER and self._has_header(size, scan):
            given -= MALLOC_HEADER
        return given

    def _has_header(self, size: int, scan: bool) -> bool:
        return scan and bool(self.header_over) and size > self.header_over


def allocator(target: Target) -> Allocator:
    """The allocator of this target: its size classes, and malloc headers if its mspan knows them."""
    return Allocator(_classes(target) or CLASSES, _header_over(target))


def _classes(target: Target) -> tuple[int, ...] | None:
    for name in TABLE_SYMBOLS:
        address = target.symbol(name)
        if address is None:
            continue
        try:
            data = target.memory.read(address, 2 * len(CLASSES))
        except GomapError:
            continue
        found = tuple(target.arch.uint(data, at, 2) for at in range(0, len(data), 2))
        if found[0] == 0 and all(a < b for a, b in zip(found, found[1:])):
            return found
    return None


def _header_over(target: Target) -> int:
    # mspan.largeType came with malloc headers (runtime/mheap.go, Go 1.22): heapBitsInSpan in
    # runtime/mbitmap.go keeps the bitmap of objects up to one word's worth of pointers in the span.
    span = target.find_type("runtime.mspan")
    if span is None or span.field("largeType") is None:
        return 0
    pointer = target.arch.pointer_size
    return pointer * pointer * 8
