"""Memory that somebody has scribbled over, and that keeps an account of what is read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gomap.errors import MemoryFault
from gomap.memory import Memory

Patch = tuple[int, bytes]
Span = tuple[int, int]  # first address, first address behind it


#: Bytes of one read, and of all reads of one command.
LARGEST = 32 << 20
TOTAL = 1 << 30
READS = 1 << 20


class Unbounded(BaseException):
    """Not an Exception: nothing on the way catches it."""


@dataclass
class Scribbled:
    """`inner` with patches over it, and spans that can't be read. Raises Unbounded when too much is asked of it."""

    inner: Memory
    patches: Sequence[Patch] = ()
    lost: Sequence[Span] = ()
    reads: int = 0
    total: int = 0

    def begin(self) -> None:
        """The account begins anew."""
        self.reads = self.total = 0

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        if size > LARGEST or self.total > TOTAL or self.reads > READS:
            raise Unbounded(f"{size:,} bytes wanted, after {self.total:,} in {self.reads:,} reads")
        end = address + size
        if any(start < end and address < stop for start, stop in self.lost):
            raise MemoryFault(address, size, "lost")
        data = self.inner.read(address, size)
        self.total += len(data)
        for at, patch in self.patches:
            if at < end and address < at + len(patch):
                skip = max(address - at, 0)
                start = max(at - address, 0)
                piece = patch[skip : skip + size - start]
                data = data[:start] + piece + data[start + len(piece) :]
        return data


@dataclass
class Filled:
    """Recorded pieces of memory with readable memory around them, as a heap's arena has it: all of the same
    bytes, wherever nothing was recorded."""

    regions: Sequence[Patch]
    filler: bytes
    arena: int
    _spans: list[Span] = field(init=False)

    def __post_init__(self) -> None:
        starts = {address // self.arena for start, data in self.regions for address in (start, start + len(data) - 1)}
        self._spans = []
        for number in sorted(starts):
            if self._spans and self._spans[-1][1] == number * self.arena:
                self._spans[-1] = (self._spans[-1][0], (number + 1) * self.arena)
            else:
                self._spans.append((number * self.arena, (number + 1) * self.arena))

    def read(self, address: int, size: int) -> bytes:
        end = address + size
        if size < 0 or not any(start <= address and end <= stop for start, stop in self._spans):
            raise MemoryFault(address, size, "outside of all arenas")
        turn = address % len(self.filler)
        data = bytearray((self.filler * (size // len(self.filler) + 2))[turn : turn + size])
        for start, region in self.regions:
            if start < end and address < start + len(region):
                skip = max(address - start, 0)
                at = max(start - address, 0)
                piece = region[skip : skip + size - at]
                data[at : at + len(piece)] = piece
        return bytes(data)
