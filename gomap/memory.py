"""The memory of a target: one method, and the few wrappers everything else is built on."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, Union

from gomap.errors import MemoryFault

#: Bytes read from a debugger in one call. Large enough that the call costs little compared with the copy, small
#: enough to stay in the processor's cache while columns are extracted.
CHUNK = 640 << 10
PAGE = 4096
#: From so many pieces on it pays to set something up for them.
MANY = 8

Buffer = Union[bytes, bytearray, memoryview]
#: Address and size, with the bytes there or why they can't be read.
Read = tuple[int, int, Union[Buffer, MemoryFault]]


class Memory(Protocol):
    """What a debugger offers: bytes at an address, or a MemoryFault that names the address."""

    def read(self, address: int, size: int) -> bytes:
        """Exactly `size` bytes at `address` (an address in the target), never fewer."""
        ...


Stream = Callable[[Memory, Iterable[tuple[int, int]]], Iterator[Read]]


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
        """As Memory.read; pages are kept."""
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

    def forget(self, address: int | None = None, size: int = 0) -> None:
        """All pages, or those with these bytes."""
        if address is None:
            self._pages.clear()
            return
        for number in range(address // PAGE, (address + size - 1) // PAGE + 1):
            self._pages.pop(number, None)

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """As memory.stream, past the cache."""
        return stream(self._inner, pieces)

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> Buffer | None:
        """As memory.joined, past the cache."""
        return joined(self._inner, addresses, sizes)

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            page = self._inner.read(number * PAGE, PAGE)
            if len(self._pages) >= self._limit:
                self._pages.clear()
            self._pages[number] = page
        return page


class HeldMemory:
    """Memory of a process that goes on, with stretches that were read at one moment and stay as they were then. noted:
    the maps that were looked at, by the addresses of their headers (maps.Seen). counted: what has many headers in
    columns (heap.census.Census)."""

    def __init__(self, inner: Memory, limit: int = 1 << 28) -> None:
        self._inner, self._left = inner, limit
        self.noted: dict[int, Any] = {}
        self.counted: list[Any] = []
        self._starts: list[int] = []
        self._data: list[bytes] = []

    def hold(self, address: int, data: bytes) -> None:
        """Keeps what was read there, in place of what it overlaps, up to the limit in all."""
        first = bisect.bisect_left(self._starts, address)
        last = bisect.bisect_left(self._starts, address + len(data))
        if first and self._starts[first - 1] + len(self._data[first - 1]) > address:
            first -= 1
        self._left += sum(map(len, self._data[first:last]))
        del self._starts[first:last], self._data[first:last]
        if self._left >= len(data):
            self._left -= len(data)
            self._starts.insert(first, address)
            self._data.insert(first, data)

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read: from the held ranges, and otherwise from the process at this moment."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0:
            offset, data = address - self._starts[index], self._data[index]
            if offset + size <= len(data):
                return data[offset : offset + size]
        return self._inner.read(address, size)

    def forget(self, address: int | None = None, size: int = 0) -> None:
        """Drops cached bytes of the inner memory; held ranges stay."""
        forget(self._inner, address, size)

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """As memory.stream, from the process at this moment."""
        return stream(self._inner, pieces)

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> Buffer | None:
        """As memory.joined, from the process at this moment."""
        return joined(self._inner, addresses, sizes)


class RecordingMemory:
    """Remembers every range that was read, for an image of it."""

    def __init__(self, inner: Memory) -> None:
        self._inner = inner
        self.pages: dict[int, bytes] = {}

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read; the bytes are kept in `pages`, by address."""
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
        """As Memory.read. Raises MemoryFault for memory that was not recorded."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0:
            start, data = self._regions[index]
            offset = address - start
            if offset + size <= len(data):
                return bytes(data[offset : offset + size])
        raise MemoryFault(address, size, "not part of the recorded memory")


def stream(memory: Memory, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
    """Reads all pieces (address, size), one after another. The bytes hold until the next are asked for.

    Memory may have a `stream` of its own, for large amounts: it need not copy, and may read ahead.
    """
    own = getattr(memory, "stream", None)
    pieces = iter(pieces)
    first = list(itertools.islice(pieces, MANY)) if own is not None else []
    if own is None or len(first) < MANY:
        yield from one_by_one(memory, itertools.chain(first, pieces))
    else:
        yield from own(itertools.chain(first, pieces))


def one_by_one(memory: Memory, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
    """stream, in which every piece is bytes of its own."""
    for address, size in pieces:
        try:
            yield address, size, memory.read(address, size)
        except MemoryFault as fault:
            yield address, size, fault


def forget(memory: Memory, address: int | None = None, size: int = 0) -> None:
    """Drops cached bytes, so that the next read gets the current ones: a running program may have changed them.
    address, size: the range to drop; without them everything."""
    own = getattr(memory, "forget", None)
    if own is not None:
        own(address, size)


def noted(memory: Memory) -> dict[int, Any] | None:
    """What HeldMemory has noted; None of other memory."""
    found: dict[int, Any] | None = getattr(memory, "noted", None)
    return found


def joined(memory: Memory, addresses: Sequence[int], sizes: Sequence[int]) -> Buffer | None:
    """Many small pieces wherever they lie, one behind another in that order, from memory that has them by few calls.

    None where it has not, or one of them can't be read: then they are to be read in another way.
    """
    own = getattr(memory, "joined", None)
    found: Buffer | None = own(addresses, sizes) if own is not None else None
    return found
