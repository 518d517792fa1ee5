"""The memory of a process on this machine, past the debugger: /proc/PID/mem. Read only."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue

from gomap.arrays import no_signals
from gomap.errors import MemoryFault
from gomap.memory import CHUNK, Buffer, Memory, Read

#: Pieces that are read ahead while one is worked on.
AHEAD = 2


class ProcessMemory:
    """/proc/PID/mem of a stopped process. Raises OSError when the kernel refuses it."""

    def __init__(self, pid: int) -> None:
        self._file = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def read(self, address: int, size: int) -> bytes:
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
        run. A few buffers serve all pieces, which spares the kernel clearing new memory for each."""
        todo: SimpleQueue[tuple[int, memoryview] | None] = SimpleQueue()
        done: SimpleQueue[Buffer | MemoryFault] = SimpleQueue()
        waiting: deque[tuple[int, int, bytearray]] = deque()
        spare: list[bytearray] = []
        reader = _start(lambda: self._serve(todo, done))
        try:
            for address, size in pieces:
                buffer = spare.pop() if spare else bytearray()
                if len(buffer) < size:
                    buffer = bytearray(max(size, CHUNK))
                todo.put((address, memoryview(buffer)[:size]))
                waiting.append((address, size, buffer))
                if len(waiting) > AHEAD:
                    yield from _next(waiting, done, spare)
            while waiting:
                yield from _next(waiting, done, spare)
        finally:
            todo.put(None)
            reader.join()

    def _serve(self, todo: SimpleQueue[tuple[int, memoryview] | None], done: SimpleQueue[Buffer | MemoryFault]) -> None:
        for address, buffer in iter(todo.get, None):
            try:
                done.put(self._into(address, buffer))
            except MemoryFault as fault:
                done.put(fault)

    def _into(self, address: int, buffer: memoryview) -> memoryview:
        filled = 0
        while filled < len(buffer):
            try:
                here = os.preadv(self._file, [buffer[filled:]], address + filled)
            except (OSError, OverflowError) as error:
                raise MemoryFault(address + filled, len(buffer) - filled) from error
            if not here:
                raise MemoryFault(address + filled, len(buffer) - filled)
            filled += here
        return buffer

    def close(self) -> None:
        os.close(self._file)


def _next(
    waiting: deque[tuple[int, int, bytearray]], done: SimpleQueue[Buffer | MemoryFault], spare: list[bytearray]
) -> Iterator[Read]:
    address, size, buffer = waiting.popleft()
    yield address, size, done.get()
    spare.append(buffer)


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
