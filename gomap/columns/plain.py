"""Many values at a time, in plain Python: numbers are lists of int, keys lists of bytes.

The marks of a chunk of buckets are counted as big integers: an eighth of them at a time becomes one, a few operations
find the live ones in the highest bit of each byte, and the eight are laid over each other, a bit of every byte each.
Adding the bytes of a bucket bit by bit then gives how many buckets have how many live slots, without a loop over
buckets.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, compress
from typing import Any, Callable, Literal

from gomap.columns.marks import SLOTS, Buffer, MarkCode, bit_count, repeated
from gomap.memory import Memory
from gomap.reads import gather

#: Integers: a list of int, or an array of numpy.
Numbers = Any
#: Bytes of equal length: a list of bytes, or a matrix of numpy with one a row.
Rows = Any


class PlainColumns:
    """What columns can do. NumpyColumns does the same faster.

    np: numpy, for the ways of counting that have nothing in common with the plain ones.
    """

    np: Any = None

    @property
    def plain(self) -> bool:
        """Whether this is plain Python, without numpy."""
        return self.np is None

    # -- marks of slots ----------------------------------------------------------------------------

    def count_live(self, marks: bytes, code: MarkCode) -> int:
        """How many of the marks are live slots'."""
        if code.first_live:
            return bit_count(code.read(marks)[0])
        return len(marks) - bit_count(int.from_bytes(marks, "little") & repeated(0x80, len(marks)))

    def fill(self, marks: bytes, code: MarkCode) -> tuple[list[int], bool]:
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

    def marks_of(self, data: Buffer, stride: int) -> bytes:
        """The mark bytes of all buckets of `stride` bytes in data, one bucket's eight after another's."""
        whole = len(data) // stride
        if stride % SLOTS == 0:
            return memoryview(data)[: whole * stride].cast("Q")[:: stride // SLOTS].tobytes()
        gathered = bytearray(whole * SLOTS)
        for slot in range(SLOTS):
            gathered[slot::SLOTS] = data[slot::stride][:whole]
        return bytes(gathered)

    def marks_of_arrays(self, data: Buffer, arrays: Sequence[tuple[int, int, int]], stride: int) -> list[bytes]:
        """marks_of each of the arrays (offset, bytes, anything) in data."""
        view = memoryview(data)
        return [self.marks_of(view[at : at + length], stride) for at, length, _ in arrays]

    def live_slots(self, data: bytes, size: int, mirrored: bool, live: range) -> tuple[Numbers, Numbers, Numbers]:
        """Of all live slots of buckets of `size` bytes: the bucket's number, the slot's, its mark. mirrored: the mark
        of slot 0 is the last of the eight."""
        marks = self.marks_of(data, size)
        if mirrored:
            marks = b"".join([marks[at : at + SLOTS][::-1] for at in range(0, len(marks), SLOTS)])
        places = list(compress(range(len(marks)), marks.translate(_table(live))))
        return [at // SLOTS for at in places], [at % SLOTS for at in places], [marks[at] for at in places]

    # -- words -------------------------------------------------------------------------------------

    def nonzero_words(self, data: Buffer, offset: int, stride: int, size: int, byte_order: str) -> Iterable[int]:
        """The words at `offset` of every element of `stride` bytes, without those that are zero."""
        return filter(None, words(data, offset, stride, size, byte_order))

    def ascending(self, addresses: array[int]) -> list[int]:
        """sorted, of an array of 64-bit numbers."""
        return sorted(addresses)

    # -- keys --------------------------------------------------------------------------------------

    def rows(self, keys: Sequence[bytes], width: int) -> Rows:
        """Keys of `width` bytes."""
        return keys

    def cut(self, data: Buffer, places: Numbers, width: int) -> Rows:
        """The `width` bytes at each of the places."""
        return [bytes(data[at : at + width]) for at in places]

    def places(self, blocks: Numbers, size: int, offset: int, slots: Numbers, stride: int) -> Numbers:
        """Where slots of a block of `size` bytes begin, `stride` bytes apart and `offset` bytes into the block."""
        return [block * size + offset + slot * stride for block, slot in zip(blocks, slots)]

    def column(self, rows: Rows, offset: int, size: int, byte_order: str) -> Numbers:
        """The unsigned integer of `size` bytes at `offset` of each row."""
        order: Any = byte_order
        return [int.from_bytes(row[offset : offset + size], order) for row in rows]

    def fetch(self, memory: Memory, pointers: Numbers, size: int) -> tuple[Rows, Numbers]:
        """The objects of `size` bytes at each of the addresses, and which of them could be read."""
        if not size:
            return [b""] * len(pointers), [True] * len(pointers)
        found = {at: None if one is None else bytes(one) for at, one in gather(memory, sorted(set(pointers)), size)}
        return [found[at] or b"" for at in pointers], [found[at] is not None for at in pointers]

    def pool(self, memory: Memory) -> Any:
        """What fetches keys that lie in all corners of the heap, batch by batch; None where fetch is as good."""
        return None

    # -- numbers -----------------------------------------------------------------------------------

    def numbers(self, values: Any) -> Numbers:
        """Unsigned integers of 64 bits: from a sequence, or from one int, which is then a column of equal numbers."""
        return values

    def zeros(self, count: int) -> Numbers:
        """So many zeros."""
        return [0] * count

    def where(self, chosen: Numbers, these: Numbers, others: Numbers | int) -> Numbers:
        """These where chosen, else the others, or the other."""
        rest = others if isinstance(others, list) else [others] * len(these)
        return [one if choice else other for choice, one, other in zip(chosen, these, rest)]

    def having(self, numbers: Numbers, value: int) -> Numbers:
        """The indices of those that are this value."""
        return [i for i, one in enumerate(numbers) if one == value]

    def take(self, numbers: Sequence[Any] | Numbers, indices: Numbers) -> Numbers:
        """The numbers at these indices."""
        return [numbers[i] for i in indices]

    def listed(self, numbers: Numbers) -> list[int]:
        """The numbers as ints of Python."""
        return list(numbers)

    def failing(self, wanted: Callable[..., Any], *columns: Numbers) -> list[int]:
        """The indices of rows of the columns for which wanted is not true. It takes ints, or columns of them."""
        return [i for i, row in enumerate(zip(*columns)) if not wanted(*row)]

    def alike(self, columns: Sequence[Numbers]) -> Iterator[list[int]]:
        """Indices of equal numbers in the columns, one behind another: of each number that occurs more than once."""
        places: dict[int, list[int]] = {}
        for at, number in enumerate(chain.from_iterable(columns)):
            places.setdefault(number, []).append(at)
        return (group for group in places.values() if len(group) > 1)

    def joined(self, columns: Sequence[Numbers]) -> Numbers:
        """The columns, one behind another."""
        return [number for column in columns for number in column]


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


@lru_cache(maxsize=4)
def _table(live: range) -> bytes:
    return bytes(mark in live for mark in range(256))


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
