"""The memory of a process on this machine, past the debugger: /proc/PID/mem, process_vm_readv(2). Read only."""

from __future__ import annotations

import os
import sys
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from queue import SimpleQueue

from gomap.arrays import no_signals
from gomap.errors import MemoryFault
from gomap.memory import CHUNK, Buffer, Memory, Read

#: Pieces that are read in one go take so many bytes together: the more, the less often two threads wait for each
#: other, and the less of it is still in the processor's cache when it is looked at.
TOGETHER = 2 * CHUNK
#: The most that one call takes: IOV_MAX.
MOST = 1024
#: Bytes that both ways of reading must agree on.
PROOF = 64
#: Above this the kernel has no memory of a process.
HIGHEST = sys.maxsize - (1 << 32)

Pieces = Sequence[tuple[int, int]]
#: (process, address and size of one piece after another, buffer, place in it): how many bytes are there now.
Gather = Callable[[int, "array[int]", bytearray, int], int]


class ProcessMemory:
    """The memory of a stopped process. Raises OSError when the kernel refuses it."""

    _file = -1

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._file = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read, by pread of /proc/PID/mem."""
        parts = []
        at, end = address, address + size
        while at < end:
            try:
                part = os.pread(self._file, end - at, at)
            except (OSError, OverflowError) as error:
                raise MemoryFault(at, end - at) from error
            if not part:
                raise MemoryFault(at, end - at)
            parts.append(part)
            at += len(part)
        return b"".join(parts) if len(parts) != 1 else parts[0]

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """gomap.memory.stream, with a second thread that reads while the first works: the system call lets others
        run. Two buffers serve all pieces, which spares the kernel clearing new memory for each."""
        todo: SimpleQueue[tuple[Pieces, bytearray] | None] = SimpleQueue()
        done: SimpleQueue[list[Read]] = SimpleQueue()
        spare = [bytearray(), bytearray()]
        call = gather()
        reader = _start(lambda: self._serve(call, todo, done))
        try:
            waiting: list[bytearray] = []
            for batch in _batches(pieces):
                buffer, size = spare.pop(), sum(size for _, size in batch)
                if len(buffer) < size:
                    buffer = bytearray(max(size, TOGETHER))
                todo.put((batch, buffer))
                waiting.append(buffer)
                if not spare:
                    yield from done.get()
                    spare.append(waiting.pop(0))
            for _ in waiting:
                yield from done.get()
        finally:
            todo.put(None)
            reader.join()

    def _serve(
        self,
        call: Gather | None,
        todo: SimpleQueue[tuple[Pieces, bytearray] | None],
        done: SimpleQueue[list[Read]],
    ) -> None:
        for batch, buffer in iter(todo.get, None):
            done.put(list(self._into(call, batch, buffer)))

    def _into(self, call: Gather | None, batch: Pieces, buffer: bytearray) -> Iterator[Read]:
        """All pieces in the buffer, one behind another, by one call where it can read them all."""
        at, whole = 0, call is not None and self._gathered(call, _places(batch), buffer, 0)
        view = memoryview(buffer)
        for address, size in batch:
            part = view[at : at + size]
            at += size
            try:
                if not whole:
                    self._fill(address, part)
            except MemoryFault as fault:
                yield address, size, fault
            else:
                yield address, size, part

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> Buffer | None:
        """gomap.memory.joined."""
        call, buffer, at = gather(), bytearray(sum(sizes)), 0
        if call is None:
            return None
        for first in range(0, len(sizes), MOST):
            here = sizes[first : first + MOST]
            places = array("Q", bytes(16 * len(here)))
            places[0::2], places[1::2] = array("Q", addresses[first : first + MOST]), array("Q", here)
            if not self._gathered(call, places, buffer, at):
                return None
            at += sum(here)
        return buffer

    def _gathered(self, call: Gather, places: array[int], buffer: bytearray, at: int) -> bool:
        """Whether the buffer has all pieces now, from `at` on, and they are this process's: the call takes a number,
        which may be another's by now, and the file stays with the process that it was opened for, before an exec
        too."""
        wanted = sum(places[1::2])
        if not wanted:
            return True
        if max(places[0::2]) > HIGHEST or call(self.pid, places, buffer, at) != wanted:
            return False
        address, size = next((a, n) for a, n in zip(places[0::2], places[1::2]) if n)
        try:
            return self.read(address, min(size, PROOF)) == buffer[at : at + min(size, PROOF)]
        except MemoryFault:
            return False

    def _fill(self, address: int, buffer: memoryview) -> None:
        filled = 0
        while filled < len(buffer):
            try:
                here = os.preadv(self._file, [buffer[filled:]], address + filled)
            except (OSError, OverflowError) as error:
                raise MemoryFault(address + filled, len(buffer) - filled) from error
            if not here:
                raise MemoryFault(address + filled, len(buffer) - filled)
            filled += here

    def close(self) -> None:
        """Closes /proc/PID/mem. May be called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    __del__ = close


def _places(pieces: Pieces) -> array[int]:
    try:
        return array("Q", chain.from_iterable(pieces))
    except OverflowError:  # no address at all
        return array("Q", [HIGHEST + 1, 1])


def _batches(pieces: Iterable[tuple[int, int]]) -> Iterator[Pieces]:
    batch: list[tuple[int, int]] = []
    held = 0
    for piece in pieces:
        if batch and (held + piece[1] > TOGETHER or len(batch) >= MOST):
            yield batch
            batch, held = [], 0
        batch.append(piece)
        held += piece[1]
    if batch:
        yield batch


@lru_cache(maxsize=1)
def gather() -> Gather | None:
    """process_vm_readv(2), which takes many pieces at once; None where there is none to call."""
    try:
        import ctypes

        class IoVector(ctypes.Structure):
            _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))

        call = ctypes.CDLL(None).process_vm_readv
    except (ImportError, OSError, AttributeError):
        return None
    if ctypes.sizeof(IoVector) != 16:
        return None
    pointer, count = ctypes.POINTER(IoVector), ctypes.c_ulong
    call.argtypes = (ctypes.c_int, pointer, count, pointer, count, count)
    call.restype = ctypes.c_ssize_t

    def gathered(pid: int, places: array[int], buffer: bytearray, at: int) -> int:
        here = IoVector(ctypes.addressof(ctypes.c_char.from_buffer(buffer, at)), sum(places[1::2]))
        there = (IoVector * (len(places) // 2)).from_buffer(places)
        return int(call(pid, ctypes.byref(here), 1, there, len(there), 0))

    return gathered


def _start(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="gomap read ahead", daemon=True)
    with no_signals():
        thread.start()
    return thread


def same(direct: Memory, debugger: Memory, address: int, size: int) -> bool:
    """Whether both read the same bytes there, not all of them zero: proof that they are one process."""
    try:
        wanted = debugger.read(address, size)
        return any(wanted) and direct.read(address, size) == wanted
    except MemoryFault:
        return False


def cpu_seconds(pid: int) -> float | None:
    """Seconds of processor time that a process of this machine has taken; None where that can't be read."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
