"""Keys behind pointers, many at a time, as numpy columns."""

from __future__ import annotations

from typing import Any

from gomap.arrays import numpy
from gomap.errors import MemoryFault
from gomap.golang.hashing.memhash import MASK64
from gomap.memory import CHUNK, GAP
from gomap.target import Target


class Pool:
    """Large blocks of the target's memory, kept while a map's keys are hashed batch by batch: a batch's keys lie
    in all corners of the heap, and the next batch's lie between them."""

    BLOCK = 1 << 16
    MOST = 3000  # blocks

    def __init__(self, target: Target) -> None:
        np = numpy()
        assert np is not None
        self._target = target
        self._data = np.zeros(64 * self.BLOCK, np.uint8)
        self._places: dict[int, int] = {}  # number of a block -> where it is, -1 when it can't be read

    def fetch(self, pointers: Any, size: int) -> tuple[Any, Any]:
        """As the function of this name."""
        np = numpy()
        assert np is not None
        if size > self.BLOCK // 16 or len(pointers) < 512 or not size:
            return fetch(self._target, pointers, size)
        numbers = pointers // np.uint64(self.BLOCK)
        needed, which = np.unique(numbers, return_inverse=True)
        if len(self._places) + len(needed) > self.MOST:
            self._places.clear()
            if len(needed) > self.MOST:
                return fetch(self._target, pointers, size)
        bases = np.array([self._place(number) for number in needed.tolist()], np.int64)[which]
        offsets = (pointers - numbers * np.uint64(self.BLOCK)).astype(np.int64)
        inside = (bases >= 0) & (offsets + size <= self.BLOCK)
        found = np.lib.stride_tricks.sliding_window_view(self._data, size)[np.where(inside, bases + offsets, 0)]
        readable = np.ones(len(pointers), bool)
        rest = np.flatnonzero(~inside)
        if len(rest):
            found[rest], readable[rest] = fetch(self._target, pointers[rest], size)
        return found, readable

    def _place(self, number: int) -> int:
        place = self._places.get(number)
        if place is None:
            np = numpy()
            assert np is not None
            place = len(self._places) * self.BLOCK
            try:
                block = self._target.memory.read(number * self.BLOCK, self.BLOCK)
            except MemoryFault:
                self._places[number] = -1
                return -1
            if place + self.BLOCK > len(self._data):
                self._data = np.concatenate([self._data, np.zeros(len(self._data), np.uint8)])
            self._data[place : place + self.BLOCK] = np.frombuffer(block, np.uint8)
            self._places[number] = place
        return place


def fetch(target: Target, pointers: Any, size: int) -> tuple[Any, Any]:
    """Objects of `size` bytes at each of a numpy array of addresses: (matrix of uint8, which were readable).

    Neighbours are fetched in one read, as memory.gather does for a list.
    """
    np = numpy()
    assert np is not None
    found, readable = np.zeros((len(pointers), size), np.uint8), np.ones(len(pointers), bool)
    if not size or not len(pointers):
        return found, readable
    order = np.argsort(pointers, kind="stable")
    ordered = pointers[order]
    gaps = np.flatnonzero(np.diff(ordered) > np.uint64(size + GAP)) + 1
    for start, end in zip([0, *gaps.tolist()], [*gaps.tolist(), len(ordered)]):
        while start < end:
            base = int(ordered[start])
            limit = np.uint64(min(base + max(CHUNK - size, 0), MASK64))
            stop = start + int(np.searchsorted(ordered[start:end], limit, "right"))
            stop = max(stop, start + 1)
            _fetch_run(target, ordered[start:stop], size, order[start:stop], found, readable)
            start = stop
    return found, readable


def _fetch_run(target: Target, ordered: Any, size: int, rows: Any, found: Any, readable: Any) -> None:
    np = numpy()
    assert np is not None
    base, last = int(ordered[0]), int(ordered[-1])
    try:
        data = np.frombuffer(target.memory.read(base, last + size - base), np.uint8)
    except MemoryFault:
        if len(rows) == 1:
            readable[rows] = False
            return
        for i in range(len(rows)):
            _fetch_run(target, ordered[i : i + 1], size, rows[i : i + 1], found, readable)
        return
    at = (ordered - np.uint64(base)).astype(np.intp)
    # Every position at which an object may start, as one row: only the wanted bytes are copied.
    windows = np.lib.stride_tricks.sliding_window_view(data, size)
    found[rows] = windows[at]
