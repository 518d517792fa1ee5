"""Calls of the runtime's functions as the kernel records them (uprobes): the process does not stop, and no debugger
takes part.

The kernel puts a breakpoint of its own at the function's first instruction, in the memory of this one process. Where a
thread comes to it, a program in the kernel (eBPF) copies the registers and the memory that Stops names into a ring
buffer, and the thread goes on: that takes one or two microseconds. Nothing of it outlives this process: when its file
descriptors are closed, by whatever, the kernel restores the instruction.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable

from gomap.errors import GomapError, MemoryFault
from gomap.trace import bpf
from gomap.trace.port import Hit, Stops

#: Bytes of the ring buffer; a power of two. A program that does nothing but fill maps on two processors needs more than
#: a second to fill it: on a busy machine gomap may wait for nearly as long until it gets a processor.
RING = 1 << 25
#: Bytes of a thread's stack that are copied: the callers between the runtime's function and the program's own. Below
#: reflect.Value.SetMapIndex they are 424.
STACK = 1024
#: Records that wait to be looked at. More stay in the ring buffer.
MAX_WAITING = 50_000
#: Records that are looked at before the ring buffer is emptied again.
_AT_ONCE = 64
#: Seconds after which the ring buffer is emptied again, and the longest for which records are looked at in one go.
PERIOD, LONGEST = 0.02, 0.1
_WORD = struct.Struct("<Q")
_SYS_ADMIN = 21  # CAP_SYS_ADMIN of linux/capability.h
_NEEDED = (5, 11)


class NoUprobes(GomapError):
    """Growths can't be recorded by the kernel here. Not a failure where a debugger has another way."""

    code = "no-uprobes"


@dataclass(frozen=True)
class _Record:
    """What was copied where a thread came to the instruction at `address`."""

    address: int
    shape: bpf.RecordShape
    data: bytes

    def register(self, name: str) -> int:
        return int(_WORD.unpack_from(self.data, self.shape.registers[name])[0])

    def read(self, address: int, size: int) -> bytes:
        """Raises MemoryFault for everything else than what was copied."""
        for name, at, _, count in self.shape.regions:
            offset = address - self.register(name)
            if 0 <= offset <= _WORD.unpack_from(self.data, count)[0] - size:
                return self.data[at + offset : at + offset + size]
        raise MemoryFault(address, size)


class Recorder:
    """Records of the calls in one process. Raises NoUprobes. Only one thread may take them."""

    def __init__(self, pid: int, arch: str) -> None:
        """pid: the process. arch: as Go calls it."""
        self.pid = pid
        #: Records that nobody has looked at.
        self.left = 0
        self._waiting: deque[bytes] = deque()
        self._shapes: list[tuple[int, bpf.RecordShape]] = []
        registers = bpf.REGISTERS.get(arch)
        if registers is None:
            raise NoUprobes(f"gomap uses uprobes in amd64 programs, and this one is for {arch}")
        try:
            self._ring = bpf.Ring(RING)
        except bpf.KernelRefuses as error:
            raise NoUprobes(_why(error)) from error
        self._registers = tuple(registers)

    def begin(self, stops: Stops) -> None:
        """From now on each call is recorded. Raises NoUprobes."""
        try:
            for number, address in enumerate(stops.addresses):
                pointed = tuple((one.register, one.size) for one in stops.pointed[address])
                shape = bpf.layout(self._registers, ((bpf.STACK_POINTER, STACK), *pointed))
                path, offset = _in_file(self.pid, address)
                self._shapes.append((address, shape))
                self._ring.probe(self.pid, path, offset, number, shape, stops.only.get(address))
        except bpf.KernelRefuses as error:
            raise NoUprobes(_why(error)) from error

    def take(self, hit: Callable[[Hit], bool]) -> bool:
        """As Records.take."""
        return self._take(hit, time.monotonic() + LONGEST)

    def rest(self, hit: Callable[[Hit], bool]) -> None:
        """As Records.rest."""
        self._ring.end()
        try:
            self._take(hit, None)
        except KeyboardInterrupt:
            self.left = len(self._waiting) + sum(1 for _ in self._ring.records())

    def _take(self, hit: Callable[[Hit], bool], until: float | None) -> bool:
        self._collect()
        while self._waiting and (until is None or time.monotonic() < until):
            for _ in range(min(_AT_ONCE, len(self._waiting))):
                enough = hit(self._hit(self._waiting[0]))
                self._waiting.popleft()  # Ctrl-C may break the look at it off: it waits until that is done
                if enough:
                    return True
            self._collect()
        return False

    def _collect(self) -> None:
        for data in self._ring.records():
            self._waiting.append(data)
            if len(self._waiting) >= MAX_WAITING:
                return

    def _hit(self, data: bytes) -> Hit:
        address, shape = self._shapes[_WORD.unpack_from(data)[0]]
        record = _Record(address, shape, data)
        return Hit(address, record.register, record.read)

    def lost(self) -> int:
        """Calls that are missing: the ring buffer was full, or the kernel ran the program already. Raises NoUprobes."""
        try:
            return self._ring.lost()
        except bpf.KernelRefuses as error:
            raise NoUprobes(_why(error)) from error

    def close(self) -> None:
        """Removes the uprobes. May be called again."""
        self._ring.close()


def refused() -> str | None:
    """Why nothing can be recorded on this machine; None where nothing is known to prevent it."""
    try:
        bpf.Ring(mmap.PAGESIZE).close()
        bpf.kind_of_uprobes()
    except bpf.KernelRefuses as error:
        return _why(error)
    return None


def _in_file(pid: int, address: int) -> tuple[str, int]:
    """The file that the process has mapped at this address, as a path of this machine, and the offset in it. Raises
    NoUprobes."""
    try:
        own = os.readlink(f"/proc/{pid}/exe")
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            for line in file:
                where, _, offset, _, inode, *name = line.rstrip("\n").split(None, 5)
                low, high = (int(part, 16) for part in where.split("-"))
                if low <= address < high:
                    if inode == "0":
                        raise NoUprobes(f"the code at {address:#x} is not from a file")
                    # (Some file systems tell stat another device, so that names are compared, as the kernel has both.)
                    file_of = "exe" if name == [own] else f"map_files/{where}"
                    return f"/proc/{pid}/{file_of}", address - low + int(offset, 16)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NoUprobes(f"process {pid} can't be read: {reason}") from error
    raise NoUprobes(f"the process has no code at {address:#x}")


def _why(error: bpf.KernelRefuses) -> str:
    if error.number in (errno.EPERM, errno.EACCES) and not _may():
        return (
            "permission denied: uprobes need CAP_SYS_ADMIN, which root has (in a container: docker run "
            "--cap-add=SYS_ADMIN)"
        )
    if error.number == errno.ENOSYS:
        return "uprobes need a Linux kernel on amd64 that has them, and eBPF"
    if _release() < _NEEDED:
        return f"Linux {os.uname().release} is too old: uprobes with a ring buffer need Linux 5.11"
    return f"the kernel refuses a uprobe: {error}"


def _may() -> bool:
    """Whether this process has CAP_SYS_ADMIN: then something else refuses it, as a seccomp filter does."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            found = next(line.split()[1] for line in file if line.startswith("CapEff:"))
        return bool(int(found, 16) >> _SYS_ADMIN & 1)
    except (OSError, ValueError, IndexError, StopIteration):
        return False


def _release() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
