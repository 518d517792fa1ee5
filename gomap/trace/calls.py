"""Where a thread stands that has come to the first instruction of a Go function: its arguments, its goroutine, and
the line of the program's own that led there.

Arguments lie where Go's register ABI puts them (ABIInternal, src/cmd/compile/abi-internal.md) before the first
instruction has run, optimized or not. That of amd64 is the one that was tried.
"""

from __future__ import annotations

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


@dataclass
class Calls:
    """What is known of one program's functions. Raises NoDebugInfo for an architecture that it does not know."""

    target: Target
    functions: Functions
    _sites: dict[int, Location | None] = field(default_factory=dict)

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

    def caller(self, hit: Hit) -> int:
        """An address in the instruction that called the function; 0 where the stack can't be read."""
        try:
            word = self.target.arch.pointer_size
            return max(self.target.arch.pointer(hit.read(hit.register(self._sp), word)) - 1, 0)
        except MemoryFault:
            return 0

    def goroutine(self, hit: Hit) -> int | None:
        """The id of the goroutine that calls; None where that can't be told."""
        if self._goid is None:
            return None
        offset, size = self._goid
        try:
            return self.target.arch.uint(hit.read(hit.register(self._g) + offset, size), 0, size)
        except MemoryFault:
            return None

    def site(self, hit: Hit) -> Location | None:
        """The innermost call that is neither the runtime's nor of a package that operates on maps for others; None
        where the stack does not lead to one."""
        for pc in self._callers(hit):
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

    def _callers(self, hit: Hit) -> Iterator[int]:
        """An address in the instruction of each call, the newest first."""
        arch, word = self.target.arch, self.target.arch.pointer_size
        top = hit.register(self._sp) + word
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
