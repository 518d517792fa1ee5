"""The eight bytes in front of every bucket (tophash) and group (control word), counted many at a time.

The mark bytes of a chunk of buckets are cut out with one slice. An eighth of them at a time becomes a big
integer, a few operations find the live ones in the highest bit of each byte, and the eight are laid over
each other, a bit of every byte each. Adding the bytes of a bucket bit by bit then gives how many buckets
have how many live slots, without a loop over buckets. Where numpy is loaded it does the same in fewer passes.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Union

from gomap.arrays import numpy_if_loaded

SLOTS = 8  # internal/abi.MapBucketCount, internal/abi.MapGroupSlots
#: Cells of the picture that shows how full the buckets are along the array.
CELLS = 64

#: Bytes from which on numpy cuts marks out faster.
_LARGE = 1 << 16

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

    def count_live(self, marks: bytes) -> int:
        """How many of these marks belong to live entries."""
        np = numpy_if_loaded()
        if np is not None:
            return int(np.count_nonzero(self.are_live(np, np.frombuffer(marks, np.uint8))))
        if self.first_live:
            return bit_count(self.read(marks)[0])
        return len(marks) - bit_count(int.from_bytes(marks, "little") & repeated(0x80, len(marks)))

    def are_live(self, np: Any, marks: Any) -> Any:
        """The same for a numpy array of marks: an array of bool."""
        return marks >= self.first_live if self.first_live else marks < 0x80


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


@dataclass
class Strip:
    """Live slots along the array, in at most CELLS cells of `per_cell` buckets each: whole tables, if more than one."""

    buckets: int
    table: int = 1
    per_cell: int = field(init=False)
    live: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.per_cell = max(-(-self.buckets // CELLS), 1)
        if self.per_cell > self.table:
            self.per_cell += -self.per_cell % self.table
        self.live = [0] * -(-self.buckets // self.per_cell)

    def add(self, first: int, marks: bytes, code: MarkCode, live: int) -> None:
        """The marks of the buckets from number `first` on, of which `live` are live slots'."""
        count = len(marks) // SLOTS
        position = 0
        while position < count:
            cell = (first + position) // self.per_cell
            end = min((cell + 1) * self.per_cell - first, count)
            if end - position < count:
                live = code.count_live(marks[position * SLOTS : end * SLOTS])
            self.live[cell] += live
            position = end

    def add_flags(self, first: int, flags: bytes) -> None:
        """A byte for each bucket from number `first` on, 1 or 0."""
        position = 0
        while position < len(flags):
            cell = (first + position) // self.per_cell
            end = min((cell + 1) * self.per_cell - first, len(flags))
            self.live[cell] += flags.count(1, position, end)
            position = end

    def fractions(self) -> list[float]:
        """Each cell's share of occupied slots, 0..1."""
        full = [min(self.per_cell, self.buckets - i * self.per_cell) * SLOTS for i in range(len(self.live))]
        return [live / slots for live, slots in zip(self.live, full)]


@dataclass
class Tally:
    """What the marks of some buckets add up to. `fill[k]`: buckets with k live slots of their own."""

    buckets: int = 0
    fill: list[int] = field(default_factory=lambda: [0] * (SLOTS + 1))
    live: int = 0
    empty: int = 0
    tombstones: int = 0
    evacuated: int = 0
    strange: int = 0  # slots with a mark that the layout does not know

    @property
    def slots(self) -> int:
        """How many slots the counted buckets have."""
        return self.buckets * SLOTS

    def add(self, marks: bytes, code: MarkCode) -> int:
        """Counts buckets whose marks are given, eight bytes each. How many slots are live."""
        np = numpy_if_loaded()
        fill, plain = _fill(marks, code) if np is None else _fill_by_numpy(np, marks, code)
        live = sum(k * buckets for k, buckets in enumerate(fill))
        self.fill = [a + b for a, b in zip(self.fill, fill)]
        self.buckets += len(marks) // SLOTS
        self.live += live
        self.empty += len(marks) - live
        if not plain:
            tombstones = marks.count(code.tombstone)
            evacuated = sum(marks.count(mark) for mark in code.evacuated)
            strange = len(marks.translate(None, code.known))
            self.tombstones += tombstones
            self.evacuated += evacuated
            self.strange += strange
            self.empty -= tombstones + evacuated + strange
        return live

    def include(self, other: Tally) -> None:
        """Adds the slots of other; its buckets keep out of `fill`, which speaks of main buckets alone."""
        self.live += other.live
        self.empty += other.empty
        self.tombstones += other.tombstones
        self.evacuated += other.evacuated
        self.strange += other.strange


def marks_of(data: Buffer, stride: int) -> bytes:
    """The mark bytes of all buckets of `stride` bytes in data, one bucket's eight after another's."""
    whole = len(data) // stride
    if stride % SLOTS == 0:
        np = numpy_if_loaded() if len(data) >= _LARGE else None
        if np is not None:
            marks: bytes = np.frombuffer(data, np.uint64, whole * stride // SLOTS)[:: stride // SLOTS].tobytes()
            return marks
        return memoryview(data)[: whole * stride].cast("Q")[:: stride // SLOTS].tobytes()
    gathered = bytearray(whole * SLOTS)
    for slot in range(SLOTS):
        gathered[slot::SLOTS] = data[slot::stride][:whole]
    return bytes(gathered)


def marks_of_arrays(data: Buffer, arrays: Sequence[tuple[int, int, int]], stride: int) -> list[bytes]:
    """marks_of each of the arrays (offset, bytes, anything) in data."""
    np, length = numpy_if_loaded(), arrays[0][1]
    aligned = not (stride % SLOTS or len(data) % SLOTS)
    if np is None or len(arrays) < 3 or not aligned or any(at % SLOTS or n != length for at, n, _ in arrays):
        view = memoryview(data)
        return [marks_of(view[at : at + n], stride) for at, n, _ in arrays]
    starts = np.fromiter([at // SLOTS for at, _, _ in arrays], np.intp, len(arrays))
    buckets = np.arange(0, length // stride * stride // SLOTS, stride // SLOTS)
    marks: bytes = np.frombuffer(data, np.uint64)[starts[:, None] + buckets].tobytes()
    each = len(buckets) * SLOTS
    return [marks[i : i + each] for i in range(0, len(marks), each)] if each else [b""] * len(arrays)


def _fill(marks: bytes, code: MarkCode) -> tuple[list[int], bool]:
    """(how many buckets have 0, 1, ... 8 live slots, whether all other slots are just empty)."""
    buckets = len(marks) // SLOTS
    part = -(-buckets // 8) * SLOTS
    folded, plain = 0, True
    for i in range(8):
        live, nothing_else = code.read(marks[i * part : (i + 1) * part])
        folded |= live >> i
        plain = plain and nothing_else
    packed = folded.to_bytes(part, "little")
    bits = _sums([int.from_bytes(packed[slot::SLOTS], "little") for slot in range(SLOTS)])
    # How often each choice of the bits 1, 2 and 4 is set together, and from that how often alone.
    ones, twos, fours, eight = (bit_count(bit) for bit in bits)
    one, two, four, _ = bits
    seven = bit_count(one & two & four)
    three, five, six = (bit_count(pair) - seven for pair in (one & two, one & four, two & four))
    some = [ones - three - five - seven, twos - three - six - seven, three]
    some += [fours - five - six - seven, five, six, seven, eight]
    return [buckets - sum(some), *some], plain


def _fill_by_numpy(np: Any, marks: bytes, code: MarkCode) -> tuple[list[int], bool]:
    """What _fill says: a byte for each bucket has a bit for each live slot."""
    every = np.frombuffer(marks, np.uint8)
    buckets = np.bincount(np.packbits(code.are_live(np, every)), minlength=256)
    # Floats: exact up to 2^53.
    fill = np.bincount(np.frombuffer(_BITS, np.uint8), buckets, SLOTS + 1).astype(np.int64).tolist()
    live = sum(k * number for k, number in enumerate(fill))
    return fill, live + int(np.count_nonzero(every == code.empty)) == len(marks)


def _sums(eight: list[int]) -> tuple[int, int, int, int]:
    """The sum of eight bits at every place: the bits of its 1, 2, 4 and 8."""
    a, b, c, d, e, f, g, h = eight
    s, carry1 = _add(a, b, c)
    t, carry2 = _add(d, e, f)
    u, carry3 = _add(g, h, s)
    v, carry5 = _add(carry1, carry2, carry3)
    carry4, carry6 = t & u, v & t & u
    return t ^ u, v ^ carry4, carry5 ^ carry6, carry5 & carry6


def _add(a: int, b: int, c: int) -> tuple[int, int]:
    """Three bits at every place: their sum, and what it carries."""
    half = a ^ b
    return half ^ c, a & b | half & c


# int.bit_count is there from Python 3.10 on.
bit_count: Callable[[int], int] = getattr(int, "bit_count", lambda number: bin(number).count("1"))


#: How many bits each byte has.
_BITS = bytes(bin(byte).count("1") for byte in range(256))


def nonzero_words(data: Buffer, offset: int, stride: int, size: int, byte_order: str) -> Iterable[int]:
    """The words at `offset` that are not zero."""
    np = numpy_if_loaded()
    if np is None or offset % size or stride % size or len(data) % size or byte_order != sys.byteorder:
        return filter(None, words(data, offset, stride, size, byte_order))
    column = np.frombuffer(data, f"u{size}")[offset // size :: stride // size]
    found: list[int] = column[column != 0].tolist()
    return found


def ascending(addresses: array[int]) -> list[int]:
    """sorted, of an array of 64-bit numbers."""
    np = numpy_if_loaded()
    return sorted(addresses) if np is None else list(np.sort(np.frombuffer(addresses, np.uint64)).tolist())


def words(data: Buffer, offset: int, stride: int, size: int, byte_order: str) -> Sequence[int]:
    """The `size`-byte word at `offset` of every element of `stride` bytes."""
    code: Literal["Q", "I"] = "Q" if size == 8 else "I"
    if offset % size or stride % size or len(data) % size:
        return [
            int.from_bytes(data[at : at + size], byte_order)  # type: ignore[arg-type]
            for at in range(offset, len(data) - size + 1, stride)
        ]
    column = memoryview(data).cast(code)[offset // size :: stride // size]
    if byte_order == sys.byteorder:
        return column
    swapped = array(code, column)
    swapped.byteswap()
    return swapped
