"""Blocks of memory that are kept from batch to batch while keys are hashed."""

from __future__ import annotations

import numpy as np

from gomap.columns.with_numpy import NumpyColumns, Pool
from gomap.errors import MemoryFault
from gomap.memory import Memory


class Holed(Memory):
    """Every second block can't be read; of the others each byte is the block's number modulo 251."""

    def __init__(self, block: int) -> None:
        self.block = block

    def read(self, address: int, size: int) -> bytes:
        number = address // self.block
        if number % 2:
            raise MemoryFault(address, size)
        return bytes([number % 251]) * size


def test_blocks_that_cannot_be_read_take_no_room() -> None:
    pool = Pool(NumpyColumns(np), Holed(Pool.BLOCK))
    pointers = np.arange(0, 600, dtype=np.uint64) * np.uint64(Pool.BLOCK)
    for _ in range(2):
        found, readable = pool.fetch(pointers, 8)
        assert readable.tolist() == [number % 2 == 0 for number in range(600)]
        assert [row[0] for row in found[::2].tolist()] == [number % 251 for number in range(0, 600, 2)]
