"""Mark bytes: eight in front of every bucket (tophash) and group (control word)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Union

SLOTS = 8  # internal/abi.MapBucketCount, internal/abi.MapGroupSlots

Buffer = Union[bytes, bytearray, memoryview]


@dataclass(frozen=True)
class MarkCode:
    """How one layout writes the state of a slot into its mark byte.

    Live marks are those from first_live on (classic), or those below 0x80 where it is 0 (Swiss).
    """

    live: bytes  # translation table: 1 for the marks of live slots, else 0
    first_live: int
    dead: bytes  # all other marks
    known: bytes  # all marks that mean something
    empty: int
    tombstone: int
    evacuated: tuple[int, ...]

    def read(self, marks: bytes) -> tuple[int, bool]:
        """(the highest bit of each byte: whether it is a live slot's mark, whether all dead slots are just empty)."""
        count = len(marks)
        number = int.from_bytes(marks, "little")
        high, low = repeated(0x80, count), repeated(0x7F, count)
        # No sum of two bytes below 0x80 carries into the next byte.
        if self.first_live:
            enough = (number & low) + repeated(0x80 - self.first_live, count)
            plain = not any(mark in marks for mark in self.dead if mark != self.empty)
            return (enough | number) & high, plain
        dead = number & high
        return dead ^ high, not (number & low) + low & dead


def mark_code(live: range, empty: int, tombstone: int, evacuated: tuple[int, ...] = ()) -> MarkCode:
    """The marks of a layout, with tables made for counting them.

    live: marks of live entries, one range of byte values. empty, tombstone, evacuated: those that say so.
    """
    assert live == range(0x80) or (live.stop == 256 and 0 < live.start < 0x80)
    table = bytes(1 if mark in live else 0 for mark in range(256))
    dead = bytes(mark for mark in range(256) if mark not in live)
    return MarkCode(table, live.start, dead, bytes({*live, empty, tombstone, *evacuated}), empty, tombstone, evacuated)


@lru_cache(maxsize=64)
def repeated(byte: int, count: int) -> int:
    """`count` bytes of that value, as one integer."""
    return int.from_bytes(bytes((byte,)) * count, "little")


# int.bit_count is there from Python 3.10 on.
bit_count: Callable[[int], int] = getattr(int, "bit_count", lambda number: bin(number).count("1"))
