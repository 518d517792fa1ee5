"""Which words of a frame are alive: the stack maps that the compiler makes for the garbage collector.

A loop's iterator stays where it was after the loop was left, and a frame's room holds what earlier calls left there.
The maps tell these from what the function still needs: runtime/symtab.go (funcdata) and runtime/stkframe.go
(getStackMap).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.errors import GomapError
from gomap.golang.pclntab import MAX_TABLE, PUSHES, Functions
from gomap.target import Record, Target

PCDATA_STACK_MAP, FUNCDATA_LOCALS = 1, 1  # internal/abi/symtab.go
NOTHING = 0xFFFFFFFF
#: Architectures whose frames keep the caller's frame pointer.
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
    _functions: Functions = field(init=False)
    _known: dict[int, _Locals | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._functions = Functions(self.target)

    def alive(self, pc: int, top: int, address: int) -> bool | None:
        """Whether the pointer at `address` is needed by the frame that stands at pc. top: its caller's stack pointer.
        None where that can't be told."""
        if pc not in self._known:
            try:
                self._known[pc] = self._locals(pc)
            except GomapError:
                self._known[pc] = None
        found = self._known[pc]
        if found is None:
            return None
        arch = self.target.arch
        word = arch.pointer_size
        top -= word * ((arch.name in PUSHES) + (arch.name in _FRAME_POINTER))
        index = (address - (top - found.count * word)) // word
        if not 0 <= index < found.count:
            return False
        return bool(found.bits[index // 8] >> index % 8 & 1)

    def _locals(self, pc: int) -> _Locals | None:
        """The bits for a call that returns to pc."""
        function = self._functions.at(pc - 1)
        module, memory, arch = self._functions.module, self.target.memory, self.target.arch
        after = function.address + function.type.size
        if function["nfuncdata"] <= FUNCDATA_LOCALS:
            return None
        offset = arch.uint(memory.read(after + 4 * function["npcdata"] + 4 * FUNCDATA_LOCALS, 4), 0, 4)
        if offset == NOTHING:
            return None
        start = module["gofunc"] + offset
        head = memory.read(start, 8)  # runtime.stackmap: n, nbit int32, then the bitmaps
        n, count = arch.uint(head, 0, 4), arch.uint(head, 4, 4)
        index = self._index(function, pc - 1)
        if index >= n or count > MAX_TABLE:
            return None
        size = (count + 7) // 8
        return _Locals(count, memory.read(start + 8 + index * size, size) if size else b"")

    def _index(self, function: Record, pc: int) -> int:
        """Which of the function's stack maps holds at pc: the first where none is named."""
        if function["npcdata"] <= PCDATA_STACK_MAP:
            return 0
        at = function.address + function.type.size + 4 * PCDATA_STACK_MAP
        table = self.target.arch.uint(self.target.memory.read(at, 4), 0, 4)
        return max(self._functions.value(function, table, pc), 0)
