"""Reading ahead in a process: this one's own memory, which is known."""

from __future__ import annotations

import ctypes
import os
import threading

import pytest

from gomap.errors import MemoryFault
from gomap.process import ProcessMemory, same

SIZE = 100_000


@pytest.fixture
def own() -> ProcessMemory:
    return ProcessMemory(os.getpid())


def test_pieces_come_in_order_with_what_is_there(own: ProcessMemory) -> None:
    held = ctypes.create_string_buffer(bytes(i * 7 % 251 for i in range(SIZE)), SIZE)
    at = ctypes.addressof(held)
    pieces = [(at + offset, 1000 + offset % 3) for offset in range(0, SIZE - 1002, 777)]
    pieces[5], pieces[20] = (16, 100), (-1, 8)
    seen = []
    for address, size, data in own.stream(iter(pieces)):
        seen.append((address, size))
        if address in (16, -1):
            assert isinstance(data, MemoryFault)
        else:
            assert not isinstance(data, MemoryFault)
            assert bytes(data) == held.raw[address - at : address - at + size] == own.read(address, size)
    assert seen == pieces
    own.close()


def test_nothing_goes_on_when_nobody_reads_on(own: ProcessMemory) -> None:
    held = ctypes.create_string_buffer(SIZE)
    before = threading.active_count()
    reads = own.stream((ctypes.addressof(held), SIZE) for _ in iter(int, 1))  # without end
    for _, _ in zip(range(3), reads):
        assert threading.active_count() == before + 1
    reads.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert list(own.stream([])) == []
    assert threading.active_count() == before
    own.close()


def test_only_the_same_process_is_the_same(own: ProcessMemory) -> None:
    held = ctypes.create_string_buffer(b"something", 16)

    class Other:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, address: int, size: int) -> bytes:
            return self.data

    at = ctypes.addressof(held)
    assert same(own, Other(held.raw), at, 16)
    assert not same(own, Other(b"something else.."), at, 16)
    assert not same(own, Other(bytes(16)), at, 16)
    assert not same(own, Other(bytes(16)), 16, 16)
    own.close()
