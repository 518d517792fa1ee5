"""A call of a Go function, at the function's first instruction or at a later one: its arguments, its goroutine, and the
line of the program's own code that led there.

Before the first instruction has run, arguments are where Go's register ABI puts them (ABIInternal,
src/cmd/compile/abi-internal.md), optimized or not. Only amd64 was tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from gomap.errors import GomapError, MemoryFault, NoDebugInfo
from gomap.golang.runtime.mapcalls import is_between
from gomap.golang.runtime.pclntab import Functions
from gomap.target import Location, Target
from gomap.trace.port import Hit

#: Integer arguments in their order, the register of the goroutine (runtime.g), the stack pointer.
_ABI = {"amd64": (("rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"), "r14", "rsp")}
#: Bytes of a stack that are read at once: most callers lie within them.
_AT_ONCE = 512
MAX_CALLERS = 64
#: mov [rsp+d], REGISTER of amd64, with d of one byte and of four. A prefix in front makes it one of 8 bytes, and 44 or
#: 4c another register's.
_STORES = {
    "rcx": re.compile(rb"(?<![\x44\x4c])\x89(?:\x4c\x24(.)|\x8c\x24(.{4}))", re.S),
    "rdi": re.compile(rb"(?<![\x44\x4c])\x89(?:\x7c\x24(.)|\xbc\x24(.{4}))", re.S),
}
#: At the start of a function: lea r12, [rsp+d]; what is compared with the stack's bound is r12 then.
_FRAME = re.compile(rb"\x4c\x8d(?:\x64\x24(.)|\xa4\x24(.{4}))", re.S)


@dataclass
class Calls:
    """Facts about one program's functions. Raises NoDebugInfo for an unsupported architecture."""

    target: Target
    functions: Functions
    _sites: dict[int, Location | None] = field(default_factory=dict)
    _stored: dict[tuple[int, int], int | None] = field(default_factory=dict)
    _starts: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arch = self.target.arch
        if arch.name not in _ABI:
            raise NoDebugInfo(
                f"a trace reads the arguments of functions, and knows where amd64 has them, not {arch.name}"
            )
        self._arguments, self._g, self._sp = _ABI[arch.name]
        t = self.target.find_type("runtime.g")
        found = t.field("goid") if t is not None else None
        self._goid = None if found is None else (found.offset, found.type.size)

    def arguments(self, hit: Hit, count: int) -> list[int]:
        """The first arguments, each a pointer or an integer of a word."""
        return [hit.register(name) for name in self._arguments[:count]]

    def register_of(self, argument: int) -> str:
        """The register of that argument, from 0."""
        return self._arguments[argument]

    def stored(self, hit: Hit, argument: int) -> int | None:
        """An argument of the function in whose midst the thread stands: what its first instructions stored in the
        frame. None where they stored nothing there.

        The compiler keeps an argument that is needed behind a call in the frame. Debug information does not say so of
        one whose address is taken.
        """
        name, key = self._arguments[argument], (hit.address, argument)
        if key not in self._stored:
            start = self.functions.entry(hit.address)
            found = _STORES[name].search(self.target.memory.read(start, hit.address - start))
            at = None if found is None else found.group(1) or found.group(2)
            self._stored[key] = None if at is None else int.from_bytes(at, "little", signed=True)
        offset, word = self._stored[key], self.target.arch.pointer_size
        return None if offset is None else self.target.arch.pointer(hit.read(hit.register(self._sp) + offset, word))

    def comes_again(self, hit: Hit) -> bool:
        """Whether the function that is entered asks for a larger stack, or is preempted, and begins again."""
        found = _FRAME.match(self._code(hit.address))
        at = b"" if found is None else found.group(1) or found.group(2)
        try:
            word = self.target.arch.pointer_size
            guard = self.target.arch.pointer(hit.read(hit.register(self._g) + 2 * word, word))  # runtime.g.stackguard0
        except MemoryFault:
            return False
        return hit.register(self._sp) + int.from_bytes(at, "little", signed=True) <= guard

    def _code(self, address: int) -> bytes:
        if address not in self._starts:
            self._starts[address] = self.target.memory.read(address, 16)
        return self._starts[address]

    def stack_offset(self, hit: Hit, address: int) -> int:
        """How far below the end of the goroutine's stack the address is: it stays so when the stack is moved. Raises
        MemoryFault."""
        word = self.target.arch.pointer_size
        return self.target.arch.pointer(hit.read(hit.register(self._g) + word, word)) - address  # runtime.g.stack.hi

    def position(self, hit: Hit) -> tuple[int, int]:
        """(the stack pointer, *runtime.g)."""
        return hit.register(self._sp), hit.register(self._g)

    def caller(self, hit: Hit) -> int:
        """An address in the instruction that called the function; 0 where the stack can't be read."""
        try:
            word = self.target.arch.pointer_size
            return max(self.target.arch.pointer(hit.read(hit.register(self._sp), word)) - 1, 0)
        except MemoryFault:
            return 0

    def goroutine(self, hit: Hit) -> int | None:
        """The id of the calling goroutine; None if not known."""
        if self._goid is None:
            return None
        offset, size = self._goid
        try:
            return self.target.arch.uint(hit.read(hit.register(self._g) + offset, size), 0, size)
        except MemoryFault:
            return None

    def site(self, hit: Hit, within: bool = False) -> Location | None:
        """The innermost call that is neither the runtime's nor of a package that operates on maps for others; None
        where the stack does not lead to one. within: the thread is not at a function's first instruction."""
        word = self.target.arch.pointer_size
        frame = self.functions.frame_size(hit.address) if within else word
        for pc in self._callers(hit, frame) if frame is not None else ():
            if pc not in self._sites:
                self._sites[pc] = self._own(pc)
            found = self._sites[pc]
            if found is not None:
                return found
        return None

    def _own(self, pc: int) -> Location | None:
        try:
            return next((at for at in self.functions.frames(pc) if not is_between(at.function)), None)
        except GomapError:
            return None

    def _callers(self, hit: Hit, frame: int) -> Iterator[int]:
        """An address in the instruction of each call, the newest first. frame: bytes of the newest frame."""
        arch, word = self.target.arch, self.target.arch.pointer_size
        top = hit.register(self._sp) + frame
        start, held = 0, b""
        for _ in range(MAX_CALLERS):
            if not start <= top - word <= start + len(held) - word:
                start, held = top - word, _stack(hit, top - word, word)
            pc = arch.pointer(held, top - word - start) if len(held) >= word else 0
            if not pc:
                return
            yield pc - 1
            size = self.functions.frame_size(pc)
            if size is None:
                return
            top += size


def _stack(hit: Hit, address: int, word: int) -> bytes:
    for size in (_AT_ONCE, word):
        try:
            return hit.read(address, size)
        except MemoryFault:
            pass
    return b""
