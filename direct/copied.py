"""A copy of a process's writable memory, made while the process is stopped.

Pages without contents yet (pagemap) are zeros and are not copied. Read-only memory is read from the process itself when
it is needed.
"""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from gomap.errors import MemoryFault
from gomap.memory import Memory, Read, one_by_one
from gomap.process import MOST, gather

#: Bytes of a process that are copied at most: a larger one stays stopped while the answer is read.
MAX_COPIED = 1 << 30
#: Bytes of a page of the kernel's: 64 KiB on some arm64.
PAGE = os.sysconf("SC_PAGE_SIZE")
#: By the highest byte of a page's entry in pagemap: whether bit 63 (present) or 62 (swapped) is set.
_HELD = bytes(int(bool(top & 0xC0)) for top in range(256))
_RUN = re.compile(rb"\x01+")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+) *(.*)")
#: A device's memory: what processes share without a file is called /dev/zero.
_DEVICE = re.compile("/dev/(?!zero|shm/)")


class CopiedMemory:
    """What was copied; everything else from `rest`. size: bytes of the buffer for the copy, which is allocated before
    the process is stopped, since that takes longer than the copy."""

    def __init__(self, rest: Memory, size: int) -> None:
        self._rest = rest
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)
        for at in range(0, size, PAGE):
            self._buffer[at] = 1  # the kernel gives the page now
        self._used = 0
        self._starts: list[int] = []
        self._pieces: list[tuple[int, int]] = []  # where it ends, where it lies in the buffer
        self._zeros: list[tuple[int, int]] = []

    def copy(self, pid: int) -> bool:
        """Copies all memory that the process can write to. False if the buffer is too small, or it can't be read."""
        call = gather()
        if call is None:
            return False
        try:
            self._zeros = [(start, end) for start, end, is_anonymous in _writable(pid) if is_anonymous]
            places = list(_places(pid))
        except OSError:
            return False
        if sum(size for _, size in places) > len(self._buffer):
            return False
        for first in range(0, len(places), MOST):
            here = places[first : first + MOST]
            wanted = sum(size for _, size in here)
            words = array("Q", [word for place in here for word in place])
            if call(pid, words, self._buffer, self._used) != wanted:
                return False
            at = self._used
            for address, size in here:
                self._starts.append(address)
                self._pieces.append((address + size, at))
                at += size
            self._used = at
        return True

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read, from the copies."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0:
            end, at = self._pieces[index]
            if address + size <= end:
                at += address - self._starts[index]
                return bytes(self._view[at : at + size])
        return self._across(address, size)

    def _across(self, address: int, size: int) -> bytes:
        """From several pieces, and what lies between them."""
        parts, at, last = [], address, address + size
        while at < last:
            index = bisect_right(self._starts, at) - 1
            end = self._pieces[index][0] if index >= 0 else 0
            if at < end:
                here = min(end, last)
                parts.append(self.read(at, here - at))
            else:
                following = self._starts[index + 1] if index + 1 < len(self._starts) else last
                here = min(following, last)
                zeros = next((stop for start, stop in self._zeros if start <= at < stop), None)
                if zeros is not None:
                    here = min(here, zeros)
                    parts.append(bytes(here - at))
                else:
                    here = min([here, *(start for start, _ in self._zeros if at < start)])
                    parts.append(self._rest.read(at, here - at))
            at = here
        return b"".join(parts)

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """gomap.memory.stream: not copied again."""
        for address, size in pieces:
            index = bisect_right(self._starts, address) - 1
            end, at = self._pieces[index] if index >= 0 else (0, 0)
            if address + size <= end:
                at += address - self._starts[index]
                yield address, size, self._view[at : at + size]
            else:
                yield from one_by_one(self, [(address, size)])

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> bytes | None:
        """gomap.memory.joined."""
        try:
            return b"".join(map(self.read, addresses, sizes))
        except MemoryFault:
            return None


def room(rest: Memory, pid: int) -> CopiedMemory | None:
    """A buffer for a copy; None if the process has too much memory, or this machine too little. rest: its memory."""
    try:
        size = sum(size for _, size in _places(pid))
        size += size // 8 + (8 << 20)  # it may allocate more until it is stopped
        with open("/proc/meminfo") as file:
            free = next((int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:")), 0)
        return CopiedMemory(rest, size) if size <= min(MAX_COPIED, free // 2) else None
    except (OSError, MemoryError, ValueError):
        return None


def _places(pid: int) -> Iterator[tuple[int, int]]:
    """(address, size) of the memory that a copy takes. Raises OSError."""
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as table:
        for start, end, is_anonymous in _writable(pid):
            yield from _held(table.fileno(), start, end) if is_anonymous else [(start, end - start)]


def _writable(pid: int) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whether no file is behind it) of what the process can write to. Devices are left out."""
    with open(f"/proc/{pid}/maps") as file:
        for line in file:
            found = _MAPPING.match(line)
            if found is None or not found[3].startswith("rw") or _DEVICE.match(found[5]):
                continue
            yield int(found[1], 16), int(found[2], 16), found[4] == "0"


def _held(table: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(address, size) of the ranges that the kernel has pages for. table: /proc/PID/pagemap. Raises OSError."""
    at, step = start, PAGE << 20
    while at < end:
        here = min(end, at + step)
        entries = os.pread(table, 8 * (here - at) // PAGE, 8 * at // PAGE)
        if len(entries) != 8 * (here - at) // PAGE:
            raise OSError("pagemap is truncated")
        top = entries[7::8] if _LITTLE else entries[0::8]
        for run in _RUN.finditer(top.translate(_HELD)):
            yield at + run.start() * PAGE, (run.end() - run.start()) * PAGE
        at = here


_LITTLE = array("H", [1]).tobytes()[0] == 1
