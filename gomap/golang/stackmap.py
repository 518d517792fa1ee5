"""Which words of a frame are alive: the stack maps that the compiler makes for the garbage collector.

A loop's iterator stays where it was after the loop was left, and a frame's room holds what earlier calls left there.
The maps tell these from what the function still needs: runtime/symtab.go (findfunc, funcdata, pcvalue) and
runtime/stkframe.go (getStackMap).
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from gomap.errors import GomapError
from gomap.gotypes import GoType
from gomap.target import Record, Target, read_record

PCDATA_STACK_MAP, FUNCDATA_LOCALS = 1, 1  # internal/abi/symtab.go
NOTHING = 0xFFFFFFFF
MAX_FUNCTIONS = 1 << 24
MAX_TABLE = 1 << 16
#: sys.PCQuantum: bytes that a program counter advances by at least. Others have 4.
_QUANTUM = {"amd64": 1, "386": 1, "s390x": 2}
#: Architectures whose call pushes the return address, and those whose frames keep the caller's frame pointer.
_PUSHES = frozenset({"amd64", "386"})
_FRAME_POINTER = frozenset({"amd64", "arm64"})


@dataclass(frozen=True)
class _Locals:
    """Bits of the words below the frame's top, the lowest word first."""

    count: int
    bits: bytes


@dataclass
class StackMaps:
    """The stack maps of one target's first module. Each function's is read once."""

    target: Target
    _module: Record | None = None
    _entries: list[int] = field(default_factory=list)
    _known: dict[int, _Locals | None] = field(default_factory=dict)

    def alive(self, pc: int, top: int, address: int) -> bool | None:
        """Whether the pointer at `address` is needed by the frame that stands at pc. top: its caller's stack pointer.
        None where that can't be told."""
        if pc not in self._known:
            try:
                self._known[pc] = self._locals(pc)
            except (GomapError, IndexError):
                self._known[pc] = None
        found = self._known[pc]
        if found is None:
            return None
        arch = self.target.arch
        word = arch.pointer_size
        top -= word * ((arch.name in _PUSHES) + (arch.name in _FRAME_POINTER))
        index = (address - (top - found.count * word)) // word
        if not 0 <= index < found.count:
            return False
        return bool(found.bits[index // 8] >> index % 8 & 1)

    def _locals(self, pc: int) -> _Locals | None:
        """The bits for a call that returns to pc."""
        function = self._function(pc)
        module, record = self._loaded(), function
        entry = module["text"] + record["entryOff"]
        index = self._value(record, entry, pc - 1) if pc != entry else -1
        arch, after = self.target.arch, record.address + record.type.size
        if record["nfuncdata"] <= FUNCDATA_LOCALS:
            return None
        at = after + 4 * record["npcdata"] + 4 * FUNCDATA_LOCALS
        offset = arch.uint(self.target.memory.read(at, 4), 0, 4)
        if offset == NOTHING:
            return None
        start = module["gofunc"] + offset
        head = self.target.memory.read(start, 8)  # runtime.stackmap: n, nbit int32, then the bitmaps
        n, count = arch.uint(head, 0, 4), arch.uint(head, 4, 4)
        index = max(index, 0)
        if index >= n or count > MAX_TABLE:
            return None
        size = (count + 7) // 8
        return _Locals(count, self.target.memory.read(start + 8 + index * size, size) if size else b"")

    def _loaded(self) -> Record:
        if self._module is None:
            t, address = self.target.find_type("runtime.moduledata"), self.target.symbol("runtime.firstmoduledata")
            if t is None or address is None:
                raise GomapError("the debug information has no runtime.firstmoduledata")
            self._module = read_record(self.target, t, address)
        return self._module

    def _slice(self, name: str) -> tuple[int, int]:
        """(address, length) of a slice of the module."""
        module, word = self._loaded(), self.target.arch.pointer_size
        found = module.type.field(name)
        if found is None:
            raise GomapError(f"runtime.moduledata has no field {name}")
        return (
            self.target.arch.pointer(module.data, found.offset),
            self.target.arch.pointer(module.data, found.offset + word),
        )

    def _function(self, pc: int) -> Record:
        """runtime._func of the function that pc, a return address, lies in."""
        module, arch = self._loaded(), self.target.arch
        start, length = self._slice("ftab")  # of runtime.functab: entryoff, funcoff uint32
        sections = self._slice("textsectmap")[1]
        if not module["text"] < pc <= module["etext"] or length > MAX_FUNCTIONS or sections > 1:
            raise GomapError(f"{pc:#x} lies in no function of the program's own")
        if not self._entries:
            data = memoryview(self.target.memory.read(start, 8 * length))
            self._entries = [arch.uint(data, i, 4) for i in range(0, len(data), 8)]  # type: ignore[arg-type]
        index = bisect.bisect_right(self._entries, pc - 1 - module["text"]) - 1
        offset = arch.uint(self.target.memory.read(start + 8 * index + 4, 4), 0, 4)
        t: GoType | None = self.target.find_type("runtime._func")
        if t is None:
            raise GomapError("the debug information has no runtime._func")
        return read_record(self.target, t, self._slice("pclntable")[0] + offset)

    def _value(self, function: Record, entry: int, pc: int) -> int:
        """pcdatavalue: which of the function's stack maps holds at pc; -1 for none."""
        if function["npcdata"] <= PCDATA_STACK_MAP:
            return -1
        at = function.address + function.type.size + 4 * PCDATA_STACK_MAP
        offset = self.target.arch.uint(self.target.memory.read(at, 4), 0, 4)
        table, length = self._slice("pctab")
        if not offset or offset >= length:
            return -1
        data = self.target.memory.read(table + offset, min(length - offset, MAX_TABLE))
        quantum, position, value, first = _QUANTUM.get(self.target.arch.name, 4), 0, -1, True
        while True:
            delta, position = _varint(data, position)
            if not delta and not first:
                return -1
            value += ~(delta >> 1) if delta & 1 else delta >> 1
            step, position = _varint(data, position)
            entry, first = entry + step * quantum, False
            if pc < entry:
                return value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """runtime.readvarint: (value, position behind it). Raises IndexError at the end of the data."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
