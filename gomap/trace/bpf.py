"""What gomap asks of the kernel to record calls: bpf(2) and perf_event_open(2), by ctypes.

Commands in gdb need no package, and no package on PyPI offers these calls without a compiler or a library of its own
(bcc needs LLVM), so the few that are needed are made here. include/uapi/linux/bpf.h, perf_event.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Numbers of bpf(2) and perf_event_open(2), by os.uname().machine.
_CALLS = {"x86_64": (321, 298)}
_MAP_CREATE, _MAP_LOOKUP, _PROG_LOAD = 0, 1, 5
_ARRAY, _RINGBUF, _KPROBE = 2, 27, 2
_FD_CLOEXEC = 8  # PERF_FLAG_FD_CLOEXEC
_SET_BPF, _ENABLE = 0x40042408, 0x2400  # PERF_EVENT_IOC_...
_UPROBES = "/sys/bus/event_source/devices/uprobe/type"
#: Helpers that only a program under a licence that is compatible with the GPL may call.
_LICENSE = b"Dual MIT/GPL"
_ATTR = 128
_BUSY, _DISCARDED = 1 << 31, 1 << 30  # of a ring buffer's record; the rest is its length
_HEADER = 8

# Opcodes, and the helpers' numbers.
_LOAD, _STORE, _STORE_WORD, _STORE_LONG, _MOVE, _SET, _ADD, _SUBTRACT = (
    0x79, 0x7B, 0x62, 0x7A, 0xBF, 0xB7, 0x07, 0x1F,
)  # fmt: skip
_SET_LONG, _ATOMIC_ADD, _JUMP, _IF_EQUAL, _IF_DIFFERENT, _IF_AT_MOST, _IF_OTHER, _CALL, _EXIT = (
    0x18, 0xDB, 0x05, 0x15, 0x55, 0xB5, 0x5D, 0x85, 0x95,
)  # fmt: skip
_LOOKUP_ELEM, _READ_USER, _RESERVE, _SUBMIT = 1, 112, 131, 132

#: Where struct pt_regs has the registers that a Go function's arguments are in, that of the goroutine, and the stack
#: pointer (arch/x86/include/uapi/asm/ptrace.h).
REGISTERS = {
    "amd64": {
        "rax": 80, "rbx": 40, "rcx": 88, "rdi": 112, "rsi": 104, "r8": 72, "r9": 64, "r10": 56, "r11": 48, "r14": 8,
        "rsp": 152,
    }
}  # fmt: skip


GOROUTINE, STACK_POINTER = "r14", "rsp"
#: Bytes of a stack that are read where not all can be: a page of it may never have been used.
LEAST = 256


class KernelRefuses(Exception):
    """The kernel refuses a call. number: its error. what: the call, in words."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"{what}: {os.strerror(number)}")
        self.what, self.number = what, number


def _call(which: int, what: str, *arguments: object) -> int:
    numbers = _CALLS.get(os.uname().machine)
    if numbers is None or sys.maxsize < 1 << 32 or not sys.platform.startswith("linux"):
        raise KernelRefuses(what, errno.ENOSYS)
    libc = ctypes.CDLL(None, use_errno=True)
    found = int(libc.syscall(ctypes.c_long(numbers[which]), *arguments))
    if found < 0:
        raise KernelRefuses(what, ctypes.get_errno())
    return found


def _bpf(command: int, what: str, attr: bytes) -> int:
    return _call(0, what, ctypes.c_int(command), ctypes.create_string_buffer(attr.ljust(_ATTR, b"\0"), _ATTR), _ATTR)


@dataclass(frozen=True)
class RecordShape:
    """Where a record has what. size: of the record. registers: offset of each. regions: (register, offset, bytes,
    offset of how many of these were read)."""

    size: int
    registers: dict[str, int]
    regions: tuple[tuple[str, int, int, int], ...]


def layout(names: tuple[str, ...], pointed: tuple[tuple[str, int], ...]) -> RecordShape:
    """A record: the number of the program that made it, the registers, how many bytes were read, and the bytes."""
    registers = {name: 8 * (1 + i) for i, name in enumerate(names)}
    counts = 8 * (1 + len(names))
    at = counts + 8 * len(pointed)
    regions = []
    for i, (name, size) in enumerate(pointed):
        regions.append((name, at, size, counts + 8 * i))
        at += -(-size // 8) * 8
    return RecordShape(at, registers, tuple(regions))


@dataclass
class _Code:
    """A program's instructions. Those that jump name where to."""

    made: list[tuple[int, int, int, int, int, str | None]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def add(self, op: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0, to: str | None = None) -> None:
        self.made.append((op, dst, src, off, imm, to))

    def long(self, dst: int, value: int, src: int = 0) -> None:
        """A register set to a number of 64 bits. src 1: to the map with that file descriptor."""
        self.add(_SET_LONG, dst, src, 0, value & 0xFFFFFFFF)
        self.add(0, imm=value >> 32)

    def call(self, helper: int) -> None:
        self.add(_CALL, imm=helper)

    def label(self, name: str) -> None:
        self.labels[name] = len(self.made)

    def packed(self) -> bytes:
        parts = []
        for at, (op, dst, src, off, imm, to) in enumerate(self.made):
            where = off if to is None else self.labels[to] - at - 1
            parts.append(struct.pack("<BBhI", op, dst | src << 4, where, imm & 0xFFFFFFFF))
        return b"".join(parts)


def _instructions(
    number: int, offsets: dict[str, int], shape: RecordShape, only: tuple[str, int] | None, ring: int, lost: int
) -> bytes:
    """A program that puts one record into the ring buffer. only: the register that must have this value."""
    code = _Code()
    code.add(_MOVE, 6, 1)  # struct pt_regs
    if only is not None:
        code.add(_LOAD, 1, 6, offsets[only[0]])
        code.long(2, only[1])
        code.add(_IF_OTHER, 1, 2, to="end")
    code.long(1, ring, 1)
    code.add(_SET, 2, imm=shape.size)
    code.add(_SET, 3)
    code.call(_RESERVE)
    code.add(_IF_DIFFERENT, 0, to="room")
    code.add(_STORE_WORD, 10, off=-4)
    code.long(1, lost, 1)
    code.add(_MOVE, 2, 10)
    code.add(_ADD, 2, imm=-4)
    code.call(_LOOKUP_ELEM)
    code.add(_IF_EQUAL, 0, to="end")
    code.add(_SET, 1, imm=1)
    code.add(_ATOMIC_ADD, 0, 1)
    code.add(_JUMP, to="end")
    code.label("room")
    code.add(_MOVE, 7, 0)
    code.add(_SET, 1, imm=number)
    code.add(_STORE, 7, 1)
    for name, at in shape.registers.items():
        code.add(_LOAD, 1, 6, offsets[name])
        code.add(_STORE, 7, 1, at)
    # The end of the goroutine's stack (runtime.g.stack.hi): what is behind it may not be there.
    code.add(_STORE_LONG, 10, off=-16)
    code.add(_MOVE, 1, 10)
    code.add(_ADD, 1, imm=-16)
    code.add(_SET, 2, imm=8)
    code.add(_LOAD, 3, 6, offsets[GOROUTINE])
    code.add(_ADD, 3, imm=8)
    code.call(_READ_USER)
    for i, (name, at, size, count) in enumerate(shape.regions):
        code.add(_LOAD, 3, 6, offsets[name])
        code.add(_SET, 8, imm=size)
        if name == STACK_POINTER:
            code.add(_LOAD, 2, 10, -16)
            code.add(_SUBTRACT, 2, 3)
            code.add(_MOVE, 8, 2)  # unsigned: large where the end was not read, or is of another stack
        for most in (size, *([LEAST] if name == STACK_POINTER else [])):
            code.add(_LOAD, 3, 6, offsets[name])
            code.add(_IF_AT_MOST, 8, imm=most, to=f"read {i} {most}")
            code.add(_SET, 8, imm=most)
            code.label(f"read {i} {most}")
            code.add(_MOVE, 1, 7)
            code.add(_ADD, 1, imm=at)
            code.add(_MOVE, 2, 8)
            code.call(_READ_USER)
            code.add(_IF_EQUAL, 0, to=f"done {i}")
        code.add(_SET, 8)
        code.label(f"done {i}")
        code.add(_STORE, 7, 8, count)
    code.add(_MOVE, 1, 7)
    code.add(_SET, 2, imm=1)  # BPF_RB_NO_WAKEUP: nobody sleeps on it
    code.call(_SUBMIT)
    code.label("end")
    code.add(_SET, 0)
    code.add(_EXIT)
    return code.packed()


class Ring:
    """A ring buffer that programs of the kernel fill, and the uprobes that run them.

    All of it belongs to file descriptors of this process, and is gone with them, whatever ends the process. Raises
    KernelRefuses.
    """

    def __init__(self, size: int) -> None:
        """size: a power of two."""
        self._files: list[int] = []
        self._events: list[int] = []
        self._size, self._at = size, 0
        self._maps: list[mmap.mmap] = []
        self._views: list[memoryview] = []
        self._programs: list[int] = []
        try:
            self._ring = self._own(_bpf(_MAP_CREATE, "bpf", struct.pack("<5I", _RINGBUF, 0, 0, size, 0)))
            self._lost = self._own(_bpf(_MAP_CREATE, "bpf", struct.pack("<5I", _ARRAY, 4, 8, 1, 0)))
            page = mmap.PAGESIZE
            consumed = mmap.mmap(self._ring, page)
            self._maps.append(consumed)
            # The data lies there twice, so that every record is in one piece.
            self._data = mmap.mmap(self._ring, page + 2 * size, prot=mmap.PROT_READ, offset=page)
            self._maps.append(self._data)
            # The kernel uses these numbers at the same time: they are taken as a whole, not byte by byte as the struct
            # module does.
            self._consumed = memoryview(consumed).cast("Q")
            self._produced, self._lengths = memoryview(self._data).cast("Q"), memoryview(self._data).cast("I")
            self._views = [self._consumed, self._produced, self._lengths]
        except OSError as error:
            self.close()
            raise KernelRefuses("mmap", error.errno or errno.EINVAL) from error
        except BaseException:
            self.close()
            raise

    def _own(self, file: int) -> int:
        self._files.append(file)
        return file

    def probe(
        self, pid: int, path: str, offset: int, number: int, shape: RecordShape, only: tuple[str, int] | None = None
    ) -> None:
        """From now on each thread of the process that comes to the instruction at that offset of the file leaves a
        record. Raises KernelRefuses."""
        kind = kind_of_uprobes()
        code = _instructions(number, REGISTERS["amd64"], shape, only, self._ring, self._lost)
        instructions, license = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(_LICENSE)
        attr = struct.pack("<IIQQ", _KPROBE, len(code) // 8, *map(ctypes.addressof, (instructions, license)))
        program = self._own(_bpf(_PROG_LOAD, "bpf", attr))
        self._programs.append(program)
        name = ctypes.create_string_buffer(os.fsencode(path))
        # struct perf_event_attr: type, size, config, sample_period, ..., config1 (the path), config2 (the offset).
        attr = struct.pack("<IIQQQQQIIQQ", kind, 112, 0, 1, 0, 0, 0, 0, 0, ctypes.addressof(name), offset)
        event = ctypes.create_string_buffer(attr.ljust(112, b"\0"), 112)
        whole = (event, ctypes.c_int(pid), ctypes.c_int(-1), ctypes.c_int(-1), ctypes.c_ulong(_FD_CLOEXEC))
        event_file = _call(1, "perf_event_open", *whole)
        self._events.append(event_file)
        try:
            fcntl.ioctl(event_file, _SET_BPF, program)
            fcntl.ioctl(event_file, _ENABLE, 0)
        except OSError as error:
            raise KernelRefuses("perf_event_open", error.errno or errno.EINVAL) from error

    def records(self) -> Iterator[bytes]:
        """Those that there are, the oldest first, each removed from the buffer once it was taken."""
        page, mask = mmap.PAGESIZE, self._size - 1
        while True:
            if self._at >= self._produced[0]:
                return
            at = page + (self._at & mask)
            length = self._lengths[at // 4]
            if length & _BUSY:
                return  # it is being written
            size = length & ~_DISCARDED
            data = self._data[at + _HEADER : at + _HEADER + size]
            self._at += -(-(size + _HEADER) // 8) * 8
            self._consumed[0] = self._at
            if not length & _DISCARDED:
                yield data

    def lost(self) -> int:
        """Records for which there was no room, and calls that the kernel left out because a program ran already."""
        key, value = ctypes.c_uint32(0), ctypes.c_uint64(0)
        _bpf(_MAP_LOOKUP, "bpf", struct.pack("<IIQQ", self._lost, 0, ctypes.addressof(key), ctypes.addressof(value)))
        return value.value + sum(map(_left_out, self._programs))

    def end(self) -> None:
        """Removes the uprobes: there are no new records then. May be called again."""
        while self._events:
            os.close(self._events.pop())

    def close(self) -> None:
        """Removes the uprobes and all that belongs to them."""
        self.end()
        for view in self._views:
            view.release()
        for held in self._maps:
            held.close()
        while self._files:
            os.close(self._files.pop())
        self._views, self._maps, self._programs = [], [], []


def kind_of_uprobes() -> int:
    """The number that the kernel has for them (perf_event_attr.type). Raises KernelRefuses where it has none."""
    try:
        with open(_UPROBES, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        raise KernelRefuses("uprobes", errno.ENOSYS) from None


def _left_out(program: int) -> int:
    """recursion_misses of a program, where the kernel tells (from 5.12 on)."""
    try:
        with open(f"/proc/self/fdinfo/{program}", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("recursion_misses:")), 0)
    except (OSError, ValueError, IndexError):
        return 0
