"""Which words of a frame are alive: the stack maps that the compiler makes for the garbage collector.

A loop's iterator stays where it was after the loop was left, and a frame's room holds what earlier calls left there.
The maps tell these from what the function still needs: runtime/symtab.go (funcdata) and runtime/stkframe.go
(getStackMap).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.errors import GomapError
from gomap.golang.runtime.pclntab import MAX_TABLE, PUSHES, Functions
from gomap.target import Record, Target

PCDATA_STACK_MAP = 1  # internal/abi/symtab.go
FUNCDATA_ARGUMENTS, FUNCDATA_LOCALS, FUNCDATA_OBJECTS, FUNCDATA_OPEN_DEFERS = 0, 1, 2, 4
#: Architectures whose frames keep the caller's frame pointer.
_FRAME_POINTER = frozenset({"amd64", "arm64"})
#: Where the arguments in memory start, in bytes from the caller's stack pointer (sys.MinFrameSize).
_TO_ARGUMENTS = {"amd64": 0, "386": 0, "ppc64": 32, "ppc64le": 32}
#: Bytes of a runtime.stackObjectRecord, which begins with the object's offset and its size (runtime/stack.go).
_OBJECT_RECORD = 16
MAX_OBJECTS = 1 << 10


@dataclass(frozen=True)
class _Bits:
    """Bits of words, the lowest word first."""

    count: int
    data: bytes

    def __getitem__(self, index: int) -> bool:
        return 0 <= index < self.count and bool(self.data[index // 8] >> index % 8 & 1)


@dataclass(frozen=True)
class _FunctionMaps:
    """The live words of a frame. locals: a bitmap of the words below the end of the locals. arguments: of the words
    from the first argument on. objects: (offset, size) of variables whose address was taken: a pointer to one keeps
    it alive, too. Negative offsets are from the end of the locals, others from the first argument. live: offsets of
    the live words of locals and arguments, in bytes from the caller's stack pointer."""

    locals: _Bits
    arguments: _Bits
    objects: tuple[tuple[int, int], ...]
    live: tuple[int, ...]


@dataclass
class StackMaps:
    """The stack maps of one target's first module. Each function's is read once."""

    target: Target
    _functions: Functions = field(init=False)
    _known: dict[int, _FunctionMaps | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._functions = Functions(self.target)

    def alive(self, pc: int, top: int, address: int) -> bool | None:
        """Whether the pointer at `address`, in the function's frame or arguments, is alive at pc; None if not known.
        top: the caller's stack pointer."""
        maps = self._at(pc)
        if maps is None:
            return None
        end, arguments = self.ends(top)
        word = self.target.arch.pointer_size
        if address >= arguments:
            return maps.arguments[(address - arguments) // word]
        return maps.locals[(address - end) // word + maps.locals.count]

    def live(self, pc: int, top: int) -> list[int] | None:
        """Addresses of the words of its frame and its arguments that hold such pointers."""
        maps = self._at(pc)
        return None if maps is None else [top + offset for offset in maps.live]

    def objects(self, pc: int, top: int) -> list[tuple[int, int]]:
        """(address, size) of the frame's variables that are alive, too, while a live pointer points to them."""
        maps = self._at(pc)
        end, arguments = self.ends(top)
        return [(at + (end if at < 0 else arguments), size) for at, size in maps.objects] if maps is not None else []

    def ends(self, top: int) -> tuple[int, int]:
        """Addresses of the end of the locals and of the first argument: varp and argp of runtime.stkframe."""
        arch = self.target.arch
        kept = (arch.name in PUSHES) + (arch.name in _FRAME_POINTER)
        return top - arch.pointer_size * kept, top + _TO_ARGUMENTS.get(arch.name, arch.pointer_size)

    def funcdata(self, pc: int, which: int) -> int | None:
        """Address of what the runtime has of that kind for pc's function. Raises GomapError, MemoryFault."""
        return self._functions.funcdata(self._functions.at(self._at_or_before(pc)), which)

    def _at_or_before(self, pc: int) -> int:
        """The call that returns to pc, or the beginning of a function that has not started."""
        return pc if self._functions.entry(pc) == pc else pc - 1

    def _at(self, pc: int) -> _FunctionMaps | None:
        if pc not in self._known:
            try:
                self._known[pc] = self._read(pc)
            except GomapError:
                self._known[pc] = None
        return self._known[pc]

    def _read(self, pc: int) -> _FunctionMaps | None:
        """The maps for a call that returns to pc, or for a function that has not started."""
        at = self._at_or_before(pc)
        function = self._functions.at(at)
        index = max(self._functions.pcdata(function, PCDATA_STACK_MAP, at), 0)  # the first where none is named
        own, arguments = (self._bits(function, which, index) for which in (FUNCDATA_LOCALS, FUNCDATA_ARGUMENTS))
        if own is None or arguments is None:
            return None
        (end, first), word = self.ends(0), self.target.arch.pointer_size
        starts = (end - own.count * word, own), (first, arguments)
        live = tuple(start + i * word for start, bits in starts for i in range(bits.count) if bits[i])
        return _FunctionMaps(own, arguments, self._objects(function), live)

    def _bits(self, function: Record, which: int, index: int) -> _Bits | None:
        """One bitmap of a runtime.stackmap: n, nbit int32, then the bitmaps."""
        start, memory, arch = self._functions.funcdata(function, which), self.target.memory, self.target.arch
        if start is None:
            return None
        head = memory.read(start, 8)
        n, count = arch.uint(head, 0, 4), arch.uint(head, 4, 4)
        if not count:
            return _Bits(0, b"")
        if index >= n or count > MAX_TABLE:
            return None
        size = (count + 7) // 8
        return _Bits(count, memory.read(start + 8 + index * size, size))

    def _objects(self, function: Record) -> tuple[tuple[int, int], ...]:
        start, arch, memory = self._functions.funcdata(function, FUNCDATA_OBJECTS), self.target.arch, self.target.memory
        if start is None:
            return ()
        count = arch.pointer(memory.read(start, arch.pointer_size))
        if count > MAX_OBJECTS:
            raise GomapError(f"a frame with {count:,} stack objects")
        data, found = memory.read(start + arch.pointer_size, count * _OBJECT_RECORD), []
        for record in range(0, len(data), _OBJECT_RECORD):
            offset, size = arch.uint(data, record, 4), arch.uint(data, record + 4, 4)
            found.append((offset - (1 << 32) if offset >> 31 else offset, size))
        return tuple(found)
