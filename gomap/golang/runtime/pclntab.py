"""The runtime's own table of functions (pclntab): what holds at a program counter, as its tracebacks know it.

runtime/symtab.go: findfunc, pcvalue, funcspdelta, funcdata; runtime/symtabinl.go: inlineUnwinder. Debug information
is not asked but for the layout of its structs.
"""

from __future__ import annotations

import bisect
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gomap.errors import GomapError
from gomap.target import Location, Record, Target, read_record

MAX_FUNCTIONS = 1 << 22
MAX_TABLE = 1 << 16
MAX_NAME, MAX_NAMES = 1 << 10, 1 << 28
MAX_INLINED = 1 << 8  # calls that are inlined one into another
#: Bytes of a table that are read first: most end within them.
_FIRST = 256
PCDATA_INLINED, FUNCDATA_INLINED = 2, 3  # PCDATA_InlTreeIndex and FUNCDATA_InlTree of internal/abi/symtab.go
NOTHING = 0xFFFFFFFF  # what _func's funcdata has for what a function has not
TOP_FRAME, SP_WRITE = 1, 2  # FuncFlagTopFrame and FuncFlagSPWrite of internal/abi/symtab.go
#: sys.PCQuantum: bytes that a program counter advances by at least. Others have 4.
_QUANTUM = {"amd64": 1, "386": 1, "s390x": 2}
#: How far behind the instruction that makes a function's frame the one is at most that sets the frame pointer.
_UNTIL_FRAME_POINTER = {"amd64": (0, 1), "arm64": (0, 4, 8)}
#: Architectures whose call pushes the return address.
PUSHES = frozenset({"amd64", "386"})


@dataclass
class Functions:
    """The functions of one target's first module. Its list is read once."""

    target: Target
    _module: Record | None = None
    _entries: array[int] = field(default_factory=lambda: array("I"))
    _frame_sizes: dict[int, int | None] = field(default_factory=dict)
    _frames: dict[int, tuple[Location, ...]] = field(default_factory=dict)

    @property
    def module(self) -> Record:
        """runtime.firstmoduledata. Raises GomapError, MemoryFault."""
        if self._module is None:
            t, address = self.target.find_type("runtime.moduledata"), self.target.symbol("runtime.firstmoduledata")
            if t is None or address is None:
                raise GomapError("the debug information has no runtime.firstmoduledata")
            self._module = read_record(self.target, t, address)
        return self._module

    def at(self, pc: int) -> Record:
        """runtime._func of the function that the instruction at pc belongs to. Raises GomapError, MemoryFault."""
        start, length = self._slice("ftab")  # of runtime.functab: entryoff, funcoff uint32
        sections = self._slice("textsectmap")[1]
        if not self.module["text"] <= pc < self.module["etext"] or length > MAX_FUNCTIONS or sections > 1:
            raise GomapError(f"{pc:#x} is in no function of the program")
        if not self._entries:
            words = array("I")
            words.frombytes(self.target.memory.read(start, 8 * length))
            if sys.byteorder != self.target.arch.byte_order:
                words.byteswap()
            self._entries = words[::2]
        index = bisect.bisect_right(self._entries, pc - self.module["text"]) - 1
        offset = self.target.arch.uint(self.target.memory.read(start + 8 * index + 4, 4), 0, 4)
        t = self.target.find_type("runtime._func")
        if t is None:
            raise GomapError("the debug information has no runtime._func")
        return read_record(self.target, t, self._slice("pclntable")[0] + offset)

    def entry(self, pc: int) -> int:
        """Address of the first instruction of pc's function. Raises GomapError, MemoryFault."""
        return self.module["text"] + self.at(pc)["entryOff"]

    def end(self, pc: int) -> int:
        """Where the function behind pc's starts. Raises GomapError, MemoryFault."""
        self.at(pc)
        index = bisect.bisect_right(self._entries, pc - self.module["text"])
        return self.module["text"] + self._entries[index]

    def names(self, part: bytes) -> list[str]:
        """Linker names that have this part, of functions and of what is inlined. Raises GomapError, MemoryFault."""
        table, size = self._slice("funcnametab")
        if size > MAX_NAMES:
            raise GomapError("the runtime's table of functions can't be searched")
        known = self.target.memory.read(table, size).split(b"\0")
        return [name.decode("utf-8", "replace") for name in known if part in name]

    def find(self, names: Sequence[str]) -> dict[str, int]:
        """Entry addresses of the functions with these linker names; names that do not exist are left out.

        Raises GomapError, MemoryFault.
        """
        arch, memory, text = self.target.arch, self.target.memory, self.module["text"]
        table, size = self._slice("funcnametab")
        (start, length), (functions, room) = self._slice("ftab"), self._slice("pclntable")
        t = self.target.find_type("runtime._func")
        offset = t.field("nameOff") if t is not None else None
        if offset is None or size > MAX_NAMES or length > MAX_FUNCTIONS or room > MAX_NAMES:
            raise GomapError("the runtime's table of functions can't be searched")
        known = memory.read(table, size)
        wanted = {at + 1: name for name in names if (at := known.find(b"\0" + name.encode() + b"\0")) >= 0}
        records, entries = memory.read(functions, room), memory.read(start, 8 * length)
        found = {}
        for at in range(0, 8 * (length - 1), 8) if wanted else ():
            name = wanted.get(arch.uint(records, arch.uint(entries, at + 4, 4) + offset.offset, 4))
            if name is not None:
                found[name] = text + arch.uint(entries, at, 4)
        return found

    def name(self, pc: int) -> str:
        """Linker name of the function at pc, into which others may be inlined. Raises GomapError, MemoryFault."""
        return self._name(self.at(pc)["nameOff"])

    def frames(self, pc: int) -> tuple[Location, ...]:
        """The calls that the instruction at pc belongs to, each with its current line: first the inlined functions, the
        innermost first, and last the function that they are inlined into. pc: of an instruction, so for a return
        address the instruction before it. Raises GomapError, MemoryFault."""
        if pc not in self._frames:
            self._frames[pc] = tuple(self._frames_at(pc))
        return self._frames[pc]

    def location(self, returns: int) -> Location | None:
        """The function and line that a call stands in; None where that is not known. returns: its return address."""
        try:
            return self.frames(returns - 1)[0]
        except GomapError:
            return None

    def _frames_at(self, pc: int) -> Iterator[Location]:
        function = self.at(pc)
        tree = self.funcdata(function, FUNCDATA_INLINED)
        call = self.target.find_type("runtime.inlinedCall")
        index = self.pcdata(function, PCDATA_INLINED, pc) if tree is not None and call is not None else -1
        for _ in range(MAX_INLINED):
            if index < 0 or tree is None or call is None:
                break
            inlined = read_record(self.target, call, tree + index * call.size)
            yield Location(self._name(inlined["nameOff"]), *self.line(pc))
            # An instruction whose line is the one of the call.
            pc = self.module["text"] + function["entryOff"] + inlined["parentPc"]
            index = self.pcdata(function, PCDATA_INLINED, pc)
        yield Location(self._name(function["nameOff"]), *self.line(pc))

    def _name(self, offset: int) -> str:
        table, length = self._slice("funcnametab")
        data = self.target.memory.read(table + offset, max(min(length - offset, MAX_NAME), 0))
        return data.split(b"\0", 1)[0].decode("utf-8", "replace")

    def line(self, pc: int) -> tuple[str | None, int | None]:
        """(file, line) of the instruction at pc: of the function that it was inlined from, where it was (funcline1).
        Raises GomapError, MemoryFault."""
        function, arch, memory = self.at(pc), self.target.arch, self.target.memory
        line, number = self.value(function, function["pcln"], pc), self.value(function, function["pcfile"], pc)
        (files, entries), (names, length) = self._slice("cutab"), self._slice("filetab")
        index = function["cuOffset"] + number
        if line < 0 or number < 0 or index >= entries:
            return None, None
        offset = arch.uint(memory.read(files + 4 * index, 4), 0, 4)
        if offset >= length:
            return None, line
        data = memory.read(names + offset, min(length - offset, MAX_NAME))
        return data.split(b"\0", 1)[0].decode("utf-8", "replace"), line

    def value(self, function: Record, table: int, pc: int) -> int:
        """What the table at that offset of pctab has for pc; -1 for nothing. Raises GomapError, MemoryFault."""
        pctab, length = self._slice("pctab")
        if not table or table >= length:
            return -1
        quantum, start = _QUANTUM.get(self.target.arch.name, 4), self.module["text"] + function["entryOff"]
        size, most = 0, min(length - table, MAX_TABLE)
        while size < most:
            size = min(max(8 * size, _FIRST), most)
            try:
                return _value(self.target.memory.read(pctab + table, size), start, quantum, pc)
            except IndexError:
                pass
        raise GomapError(f"the runtime's table for {pc:#x} has no end")

    def pcdata(self, function: Record, which: int, pc: int) -> int:
        """runtime.pcdatavalue: what the function's table of that kind has for pc; -1 for nothing. Raises GomapError,
        MemoryFault."""
        if function["npcdata"] <= which:
            return -1
        at = function.address + function.type.size + 4 * which
        return self.value(function, self.target.arch.uint(self.target.memory.read(at, 4), 0, 4), pc)

    def funcdata(self, function: Record, which: int) -> int | None:
        """runtime.funcdata: address of what the function has of that kind. Raises GomapError, MemoryFault."""
        if function["nfuncdata"] <= which:
            return None
        at = function.address + function.type.size + 4 * (function["npcdata"] + which)
        offset = self.target.arch.uint(self.target.memory.read(at, 4), 0, 4)
        return None if offset == NOTHING else self.module["gofunc"] + offset

    def frame_size(self, pc: int, moves: bool = False) -> int | None:
        """Bytes from a frame's stack pointer at pc to its caller's (the frame's top). None if not known: in C, and in
        functions that switch to another stack. moves: also for such a function."""
        if pc not in self._frame_sizes:
            try:
                self._frame_sizes[pc] = self._frame_size(pc, moves)
            except GomapError:
                self._frame_sizes[pc] = None
        return self._frame_sizes[pc]

    def has_callers_frame_pointer(self, pc: int) -> bool:
        """Whether the function has no frame at pc, or has not set its frame pointer yet."""
        alone = self.target.arch.pointer_size if self.target.arch.name in PUSHES else 0
        return any(self.frame_size(pc - back) == alone for back in _UNTIL_FRAME_POINTER.get(self.target.arch.name, ()))

    def is_go(self, pc: int) -> bool:
        """Whether the table knows the frames of pc's function, as it does of no function in C."""
        try:
            return bool(self.at(pc)["pcsp"])
        except GomapError:
            return False

    def _frame_size(self, pc: int, moves: bool) -> int | None:
        function, arch = self.at(pc), self.target.arch
        delta = self.value(function, function["pcsp"], pc)
        if delta < 0 or (function["flag"] & SP_WRITE and not moves):
            return None
        return delta + (arch.pointer_size if arch.name in PUSHES else 0)

    def _slice(self, name: str) -> tuple[int, int]:
        """(address, length) of a slice of the module."""
        arch, found = self.target.arch, self.module.type.field(name)
        if found is None:
            raise GomapError(f"runtime.moduledata has no field {name}")
        data = self.module.data
        return arch.pointer(data, found.offset), arch.pointer(data, found.offset + arch.pointer_size)


def package_paths(target: Target) -> list[str]:
    """Paths of the packages whose functions are in the program, by the names in moduledata.funcnametab.

    Raises GomapError, MemoryFault.
    """
    start, length = Functions(target)._slice("funcnametab")
    if length > MAX_NAMES:
        raise GomapError(f"the runtime's table of functions' names has {length:,} bytes")
    return _paths_in(bytes(target.memory.read(start, length)))


@lru_cache(maxsize=2)  # one expression asks for it several times, and in a large program it is megabytes
def _paths_in(names: bytes) -> list[str]:
    paths: dict[str, None] = {}
    for name in set(names.split(b"\0")):
        slash = name.partition(b"[")[0].partition(b"(")[0].rfind(b"/") + 1
        dot = name.find(b".", slash)
        if dot > 0 and b":" not in name[:dot]:
            paths.setdefault(name[:dot].decode("utf-8", "replace"))
    return sorted(paths)


def _value(data: bytes, end: int, quantum: int, pc: int) -> int:
    """What a table has for pc, -1 for nothing. end: where its function starts. Raises IndexError at the data's end."""
    position, value, first = 0, -1, True
    while True:
        delta, position = varint(data, position)
        if not delta and not first:
            return -1
        value += ~(delta >> 1) if delta & 1 else delta >> 1
        step, position = varint(data, position)
        end, first = end + step * quantum, False
        if pc < end:
            return value


def varint(data: bytes, position: int) -> tuple[int, int]:
    """runtime.readvarint: (value, position behind it). Raises IndexError at the end of the data."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
