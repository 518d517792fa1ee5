"""Stops a process while it is read: its threads are stopped by ptrace(2) and resumed afterwards.

Threads are seized (PTRACE_SEIZE), which sends them no signal. If this process ends in any way, the kernel resumes them
(exit_ptrace of kernel/ptrace.c). Nothing is written to the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from direct.refusals import why_not_stopped
from gomap import registers
from gomap.errors import GomapError, NoProcess
from gomap.target import Arch, Registers

_SEIZE, _INTERRUPT, _DETACH, _GETREGSET = 0x4206, 0x4207, 17, 0x4204
_NT_PRSTATUS = 1
_EVENT_STOP = 128  # PTRACE_EVENT_STOP, in the upper half of a wait status
_WALL = 0x40000000  # __WALL: any kind of thread
#: Bytes of the largest register set. A process has fewer threads.
_LARGEST, MAX_THREADS = 1024, 1 << 16


class _Vector(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))


@dataclass
class PausedThreads:
    """registers: of the threads, by their ids. seconds: how long the process stood still, once it runs on."""

    registers: Mapping[int, Registers] = field(default_factory=dict)
    seconds: float = 0.0


@contextmanager
def stopped(pid: int, arch: Arch) -> Iterator[PausedThreads]:
    """With all threads of the process stopped. Raises NoProcess, GomapError where the kernel refuses it."""
    stop, held, begun = PausedThreads(), dict[int, int](), time.monotonic()
    call = _Ptrace()
    try:
        _seize_all(call, pid, held)
        stop.registers = dict(_registers(call, arch, held))
        yield stop
    finally:
        for thread, signal in held.items():
            # One that was about to get a signal gets it now.
            if call(_DETACH, thread, None, ctypes.c_void_p(signal)):
                # Ctrl-C came before it stood still, which it has to.
                call(_INTERRUPT, thread)
                signal = _wait(thread) or 0
                call(_DETACH, thread, None, ctypes.c_void_p(signal))
        stop.seconds = time.monotonic() - begun


class _Ptrace:
    """ptrace(2), in the one thread that the kernel lets use it."""

    def __init__(self) -> None:
        try:
            self._ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        except (OSError, AttributeError) as error:
            raise GomapError("this system has no ptrace(2): run gomap without --pause") from error
        self._ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
        self._ptrace.restype = ctypes.c_long

    def __call__(self, request: int, thread: int, address: object = None, data: object = None) -> int:
        """0, or the number of the error."""
        return 0 if self._ptrace(request, thread, address, data) >= 0 else ctypes.get_errno() or errno.EIO


def _seize_all(call: _Ptrace, pid: int, held: dict[int, int]) -> None:
    """Stops the threads, and those that these start first. held: the signal that each is about to get, or 0."""
    ended: set[int] = set()
    while True:
        new = [thread for thread in _threads(pid) if thread not in held and thread not in ended]
        if not new:
            return
        seized = []
        for thread in new:
            problem = call(_SEIZE, thread)
            if problem == errno.ESRCH or (problem and _has_ended(pid, thread)):
                ended.add(thread)
            elif problem:
                raise GomapError(f"process {pid} can't be stopped: {why_not_stopped(pid, problem)}")
            else:
                held[thread] = 0
                seized.append(thread)
        for thread in seized:
            call(_INTERRUPT, thread)
        for thread in seized:
            signal = _wait(thread)
            if signal is None:
                held.pop(thread)
                ended.add(thread)
            else:
                held[thread] = signal
        if len(held) > MAX_THREADS:
            raise GomapError(f"process {pid} has more threads than can be stopped")


def _threads(pid: int) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        raise NoProcess(f"process {pid} has ended") from None


def _has_ended(pid: int, thread: int) -> bool:
    """Whether the thread is gone, or what the kernel has left of it: its number, until all of the process has ended."""
    try:
        with open(f"/proc/{pid}/task/{thread}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True


def _wait(thread: int) -> int | None:
    """Waits until the thread is stopped. Returns the signal that it is about to get, or 0; None if it has ended."""
    with suppress(ChildProcessError):
        _, status = os.waitpid(thread, _WALL)
        if os.WIFSTOPPED(status):
            return 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status)
    return None


def _registers(call: _Ptrace, arch: Arch, held: Mapping[int, int]) -> Iterator[tuple[int, Registers]]:
    buffer = ctypes.create_string_buffer(_LARGEST)
    for thread in held:
        vector = _Vector(ctypes.addressof(buffer), _LARGEST)
        if call(_GETREGSET, thread, ctypes.c_void_p(_NT_PRSTATUS), ctypes.byref(vector)):
            continue
        found = registers.of_set(arch, buffer.raw[: vector.size])
        if found is not None:
            yield thread, found
