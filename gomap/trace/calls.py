"""A call of a Go function, at the function's first instruction or at a later one: its arguments, its goroutine, and the
line of the program's own code that led there.

Before the first instruction has run, arguments are where Go's register ABI puts them (ABIInternal,
src/cmd/compile/abi-internal.md), optimized or not. Only amd64 was tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from gomap.errors import GomapError, MemoryFault, NoDebugInfo
from gomap.golang.runtime.goroutines import stack_of
from gomap.golang.runtime.mapcalls import is_between
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.unwind import Unwinder
from gomap.target import Goroutine, Location, Target, offsets
from gomap.trace.port import Hit

#: Integer arguments in their order, the register of the goroutine (runtime.g), the stack pointer.
_ABI = {"amd64": (("rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"), "r14", "rsp")}
#: Bytes of a stack that are read at once: most callers lie within them.
_AT_ONCE = 512
MAX_CALLERS = 64
#: Why a map on a stack is gone.
RETURNED = "the function that it was in has returned, and another map is there now"
#: Bytes at the end of a thread's signal stack that a signal's frame is in, with all registers of the processor.
_SIGNAL_STACK = 16 << 10
#: Bytes in which a function has made its frame, and in which it has stored its arguments there.
_PROLOGUE, _BODY = 96, 512
#: mov [rsp+d], REGISTER of amd64, with d of one byte and of four. A prefix in front makes it one of 8 bytes, and 44 or
#: 4c another register's.
_STORES = {
    name: re.compile(
        rb"(?<![\x44\x4c])\x89(?:%s\x24(.)|%s\x24(.{4}))"
        % tuple(re.escape(bytes([mode | number << 3])) for mode in (0x44, 0x84)),
        re.S,
    )
    for name, number in {"rax": 0, "rbx": 3, "rcx": 1, "rdi": 7}.items()
}
#: At the start of a function: lea r12, [rsp+d]; then r12 is compared with the stack's bound.
_FRAME = re.compile(rb"\x4c\x8d(?:\x64\x24(.)|\xa4\x24(.{4}))", re.S)


@dataclass
class Calls:
    """Facts about one program's functions. Raises NoDebugInfo for an unsupported architecture."""

    target: Target
    functions: Functions
    _sites: dict[int, Location | None] = field(default_factory=dict)
    _stored: dict[tuple[int, int], int | None] = field(default_factory=dict)
    _starts: dict[int, bytes] = field(default_factory=dict)
    _kept: dict[tuple[int, int], int] = field(default_factory=dict)

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
        m = self.target.find_type("runtime.m")
        self._of_g, self._of_m = (offsets(one) if one is not None else {} for one in (t, m))

    def arguments(self, hit: Hit, count: int) -> list[int]:
        """The first arguments, each a pointer or an integer of a word."""
        return [hit.register(name) for name in self._arguments[:count]]

    def register_of(self, argument: int) -> str:
        """The register of that argument, from 0."""
        return self._arguments[argument]

    def stored(self, hit: Hit, argument: int) -> int | None:
        """An argument of the function that the thread is in the middle of: the value that the function's first
        instructions stored in the frame. None if they stored none.

        The compiler stores an argument that is needed after a call in the frame. Debug information does not say so for
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

    @property
    def of_goroutine(self) -> tuple[str, int, int]:
        """The register that has *runtime.g, and the offsets of goid and of stack.hi there."""
        return self._g, 0 if self._goid is None else self._goid[0], self.target.arch.pointer_size

    def stack_end(self, hit: Hit) -> int:
        """Where the stack of the calling goroutine ends. Raises MemoryFault."""
        word = self.target.arch.pointer_size
        return self.target.arch.pointer(hit.read(hit.register(self._g) + word, word))  # runtime.g.stack.hi

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

    def signalled(self, hit: Hit) -> bytes | None:
        """What the newest signal of the thread left on its signal stack, if it came to the thread where this is now;
        None where it did not. runtime.m.gsignal; the kernel saves rsp and rip one behind the other (ucontext). With
        runtime.m.preemptGen, which counts those that were to preempt it."""
        word, arch = self.target.arch.pointer_size, self.target.arch
        try:
            m = arch.pointer(hit.read(hit.register(self._g) + self._of_g["m"], word))
            signal = arch.pointer(hit.read(m + self._of_m["gsignal"], word))
            high = arch.pointer(hit.read(signal + word, word))  # runtime.g.stack.hi
            data = hit.read(high - _SIGNAL_STACK, _SIGNAL_STACK) + hit.read(m + self._of_m["preemptGen"], 4)
        except (MemoryFault, KeyError):
            return None
        return data if arch.pack(hit.register(self._sp)) + arch.pack(hit.address) in data else None

    def goroutine(self, hit: Hit) -> int | None:
        """The id of the calling goroutine; None if not known."""
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
        for pc, _ in islice(self.frames(hit), 1, None):
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

    def frames(self, hit: Hit) -> Iterator[tuple[int, int]]:
        """The frames of the thread's stack, the newest first: an address in the instruction that is carried out there,
        and the frame's top, which is where its caller's ends. Raises MemoryFault."""
        arch, word = self.target.arch, self.target.arch.pointer_size
        pc = hit.address
        size = self.functions.frame_size(pc)
        top = hit.register(self._sp) + (word if size is None else size)
        start, held = 0, b""
        for _ in range(MAX_CALLERS):
            yield pc, top
            if not start <= top - word <= start + len(held) - word:
                start, held = top - word, _stack(hit, top - word, word)
            pc = arch.pointer(held, top - word - start) - 1 if len(held) >= word else 0
            size = self.functions.frame_size(pc) if pc > 0 else None
            if size is None:
                if pc > 0:
                    yield pc, 0
                return
            top += size

    def kept(self, entry: int, argument: int) -> int:
        """Where the function that starts there keeps one of its first arguments while it works, counted from the top of
        its frame: where its first store of that register into the frame puts it, else where its caller left room for
        it."""
        if (entry, argument) not in self._kept:
            code = bytes(self.target.memory.read(entry, min(self.functions.end(entry) - entry, _BODY)))
            found = _STORES[self._arguments[argument]].search(code)
            offset = argument * self.target.arch.pointer_size
            if found is not None:
                at = found.group(1) or found.group(2)
                begun = self.begun(entry)
                offset = int.from_bytes(at, "little", signed=True) - ((begun and self.functions.frame_size(begun)) or 0)
            self._kept[entry, argument] = offset
        return self._kept[entry, argument]

    def arguments_of(self, hit: Hit, entry: int, top: int, count: int) -> list[int]:
        """The first arguments of the function whose frame has this top, where it keeps them. Raises MemoryFault."""
        arch, word = self.target.arch, self.target.arch.pointer_size
        return [arch.pointer(hit.read(top + self.kept(entry, i), word)) for i in range(count)]

    def begun(self, entry: int, earlier: int = 0) -> int | None:
        """The instruction behind those that make the frame of the function that starts there: arguments are still in
        registers, and one call comes to it once, whereas a call that finds too little stack begins again. earlier: for
        one of the instructions in front of it at which these make it; None where there are no so many."""
        found, made = [entry], self.functions.frame_size(entry) or 0
        for pc in range(entry, entry + _PROLOGUE):
            size = self.functions.frame_size(pc) or 0
            if size < made:
                break  # it returns, or the next function starts
            if size > made:
                made = size
                found.append(pc)
        return found[-1 - earlier] if earlier < len(found) else None

    def entered(self, hit: Hit, entry: int) -> Hit:
        """The hit of a thread that is where begun says, as one at the function's first instruction."""
        word = self.target.arch.pointer_size
        made = (self.functions.frame_size(hit.address) or word) - word

        def register(name: str) -> int:
            return hit.register(name) + (made if name == self._sp else 0)

        return Hit(entry, register, hit.read)


class HeaderPlace:
    """Where a map's header is while the program runs: at its address, or on a goroutine's stack, which the runtime
    moves when it grows. There it stays as far from the stack's end as it was. stack: that goroutine; None for the heap.

    Raises GomapError where goroutines can't be listed.
    """

    def __init__(self, calls: Calls, address: int) -> None:
        self._calls, self._address = calls, address
        self.stack = stack_of(calls.target, address)
        self._function = None if self.stack is None else self._holder(self.stack)

    def _holder(self, stack: Goroutine) -> int | None:
        """The first instruction of the function in whose frame the header is."""
        target, functions = self._calls.target, self._calls.functions
        registers = target.registers(stack) if stack.thread is not None else None
        for one in Unwinder(target, functions).goroutine(stack, registers):
            if one.top is not None and self._address < one.top:
                return functions.entry(one.instruction)
        return None

    @property
    def below_end(self) -> int:
        """Bytes from the header to the end of the stack that it is on."""
        assert self.stack is not None, "it is on a stack"
        return self.stack.stack[1] - self._address

    @property
    def why_it_moves(self) -> str | None:
        """Why no debug register can watch it; None for a header on the heap."""
        if self.stack is None:
            return None
        return f"the map lies on the stack of goroutine {self.stack.id}, which the runtime may move"

    def is_at(self, hit: Hit, address: int) -> bool:
        """Whether the thread has this map's header there."""
        if self.stack is None:
            return address == self._address
        calls = self._calls
        return calls.goroutine(hit) == self.stack.id and calls.stack_end(hit) - address == self.below_end

    def has_returned(self, hit: Hit, address: int) -> bool:
        """Whether the frame that the header was in is another function's now: what is there is another map. address: of
        the header."""
        if self._function is None:
            return False
        holder = next((pc for pc, top in self._calls.frames(hit) if address < top), None)
        return holder is not None and self._calls.functions.entry(holder) != self._function


def _stack(hit: Hit, address: int, word: int) -> bytes:
    for size in (_AT_ONCE, word):
        try:
            return hit.read(address, size)
        except MemoryFault:
            pass
    return b""
