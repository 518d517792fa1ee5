"""The memory of a target: one method, and the few wrappers everything else is built on."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import Protocol

from gomap.errors import MemoryFault

#: Bytes asked of a debugger at once. Large enough that the call costs nothing beside the copy,
#: small enough to stay in a processor's cache while columns are cut out of it.
CHUNK = 512 << 10
#: Objects this near to each other are read together: the gap costs less than another call.
GAP = 2048
PAGE = 4096


class Memory(Protocol):
    """What a debugger offers: bytes at an address, or a MemoryFault that names the address."""

    def read(self, address: int, size: int) -> bytes:
        """Exactly `size` bytes at `address` (an address in the target), never fewer."""
        ...


class CachedMemory:
    """Reads small things page by page and keeps the pages.

    Only valid while the target stays stopped: a front end makes a new one for each command.
    Reads longer than a page go straight through and are not kept.
    """

    def __init__(self, inner: Memory, limit: int = 4096) -> None:
        self._inner = inner
        self._limit = limit
        self._pages: dict[int, bytes] = {}

    def read(self, address: int, size: int) -> bytes:
        first, offset = divmod(address, PAGE)
        page = self._pages.get(first)
        if page is not None and 0 < size <= PAGE - offset:
            return page[offset : offset + size]
        last = (address + size - 1) // PAGE
        if size <= 0:
            return b""
        if last - first > 1:
            return self._inner.read(address, size)
        try:
            data = b"".join(self._page(number) for number in range(first, last + 1))
        except MemoryFault:
            # The page as a whole may be out of reach (a core file's segment that ends early).
            return self._inner.read(address, size)
        return data[offset : offset + size]

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            page = self._inner.read(number * PAGE, PAGE)
            if len(self._pages) >= self._limit:
                self._pages.clear()
            self._pages[number] = page
        return page


class RecordingMemory:
    """Remembers every range that was read, for an image of it."""

    def __init__(self, inner: Memory) -> None:
        self._inner = inner
        self.pages: dict[int, bytes] = {}

    def read(self, address: int, size: int) -> bytes:
        data = self._inner.read(address, size)
        self.pages[address] = max(self.pages.get(address, b""), data, key=len)
        return data

    def regions(self) -> list[tuple[int, bytes]]:
        """What was read as (address, bytes), ascending, overlaps merged."""
        merged: list[tuple[int, bytearray]] = []
        for address in sorted(self.pages):
            data = self.pages[address]
            if merged:
                start, held = merged[-1]
                end = start + len(held)
                if address <= end:
                    if address + len(data) > end:
                        held += data[end - address :]
                    continue
            merged.append((address, bytearray(data)))
        return [(start, bytes(held)) for start, held in merged]


class RegionMemory:
    """Memory that consists of given regions: recorded images and synthetic targets."""

    def __init__(self, regions: Sequence[tuple[int, bytes | memoryview]]) -> None:
        self._regions = sorted(regions, key=lambda region: region[0])
        self._starts = [start for start, _ in self._regions]

    def read(self, address: int, size: int) -> bytes:
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0:
            start, data = self._regions[index]
            offset = address - start
            if offset + size <= len(data):
                return bytes(data[offset : offset + size])
        raise MemoryFault(address, size, "not part of the recorded memory")


def gather(memory: Memory, addresses: Sequence[int], size: int) -> Iterator[tuple[int, memoryview | None]]:
    """Objects of `size` bytes at `addresses`, ascending, as (address, bytes or None when unreadable).

    Neighbours are fetched in one read: objects of one size class lie close together.
    """
    for run in runs(addresses, size):
        base = run[0]
        try:
            data = memoryview(memory.read(base, run[-1] + size - base))
        except MemoryFault:
            for address in run:
                try:
                    yield address, memoryview(memory.read(address, size))
                except MemoryFault:
                    yield address, None
        else:
            yield from zip(run, [data[address - base : address - base + size] for address in run])


def runs(addresses: Sequence[int], size: int) -> Iterator[list[int]]:
    """Addresses of objects of `size` bytes, ascending, in lists that are worth one read each: of neighbours
    at most GAP bytes apart, CHUNK bytes in all."""
    ordered = sorted(addresses)
    start = 0
    for i in range(1, len(ordered) + 1):
        if i == len(ordered) or ordered[i] - ordered[i - 1] > size + GAP or ordered[i] + size - ordered[start] > CHUNK:
            yield ordered[start:i]
            start = i
