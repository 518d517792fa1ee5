"""Reading ahead in a process: this one's own memory, which is known."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import subprocess
import sys
import threading

import pytest

from gomap.errors import MemoryFault
from gomap.process import MOST, TOGETHER, ProcessMemory, gather, same

SIZE = 100_000


@pytest.fixture(params=["at once", "one by one"])
def own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ProcessMemory:
    if request.param == "at once":
        assert gather() is not None, "this machine has no process_vm_readv"
    else:
        monkeypatch.setattr("gomap.process.gather", lambda: None)
    return ProcessMemory(os.getpid())


def test_many_small_pieces_and_few_large_ones(own: ProcessMemory) -> None:
    """More pieces than one call takes, more bytes than a buffer holds."""
    noise = random.Random(1).randbytes(3 * TOGETHER)
    held = ctypes.create_string_buffer(noise, len(noise))
    at = ctypes.addressof(held)
    small = [(at + 3 * i, 2 + i % 2) for i in range(2 * MOST + 5)]
    large = [(at + offset, TOGETHER // 2 - offset) for offset in (0, 1, TOGETHER // 8)]
    pieces = [*large, *small, (at, len(noise)), *large]
    seen = []
    for address, size, data in own.stream(pieces):
        assert not isinstance(data, MemoryFault)
        assert bytes(data) == noise[address - at : address - at + size]
        seen.append((address, size))
    assert seen == pieces
    own.close()


def test_joined_is_all_pieces_or_nothing() -> None:
    noise = random.Random(2).randbytes(SIZE)
    held = ctypes.create_string_buffer(noise, SIZE)
    at, own = ctypes.addressof(held), ProcessMemory(os.getpid())
    places = [(i * 7919 % (SIZE - 300), i % 257) for i in range(2 * MOST + 5)]
    addresses, sizes = [at + offset for offset, _ in places], [size for _, size in places]
    addresses[257] = 0  # of no bytes
    wanted = b"".join(noise[offset : offset + size] for offset, size in places)
    assert own.joined(addresses, sizes) == wanted
    for i, odd in ((0, 16), (1, 16), (2 * MOST + 4, 16), (9, (1 << 64) - 8), (9, sys.maxsize)):
        assert own.joined([*addresses[:i], odd, *addresses[i + 1 :]], [size or 1 for size in sizes]) is None
    assert own.joined([], []) == own.joined([0, 16], [0, 0]) == b""
    own.close()


def test_the_file_is_the_judge() -> None:
    """A number that has become another process's: what is read stays the memory of the one that was opened."""
    held = ctypes.create_string_buffer(b"this process's own", 64)
    at = ctypes.addressof(held)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        own = ProcessMemory(os.getpid())
        own.pid = other.pid
        assert {bytes(data) for _, _, data in own.stream([(at, 64)] * 9) if not isinstance(data, MemoryFault)} == {
            held.raw
        }
        assert own.joined([at], [64]) is None
        own.close()
        # A process that has ended has no memory, whoever has its number.
        gone = ProcessMemory(other.pid)
        gone.pid = os.getpid()
        other.communicate(b"\n")
        assert all(isinstance(data, MemoryFault) for _, _, data in gone.stream([(at, 64)] * 9))
        gone.close()


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


def test_a_process_that_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is said of what was never opened."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    with pytest.raises(OSError):
        ProcessMemory(ended.pid)
    gc.collect()
    assert capsys.readouterr().err == ""


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
