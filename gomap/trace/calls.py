"""A call of a Go function, at the function's first instruction or at a later one: its arguments, its goroutine, and the
line of the program's own code that led there.

Before the first instruction has run, arguments are where Go's register ABI puts them (ABIInternal,
src/cmd/compile/abi-internal.md), optimized or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from gomap.errors import GomapError, MemoryFault, NoDebugInfo
from gomap.golang.runtime.goroutines import stack_of
from gomap.golang.runtime.mapcalls import is_between
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.unwind import Unwinder
from gomap.target import Goroutine, Location, Target, offsets
from gomap.trace.port import Hit, Pointed


@dataclass(frozen=True)
class _Abi:
    """Names of registers. arguments: of integers, in their order. g: of the goroutine (*runtime.g). sp: the stack
    pointer. link: of a call's return address; None where calls push it."""

    arguments: Sequence[str]
    g: str
    sp: str
    link: str | None


_ABI = {
    "amd64": _Abi(("rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9", "r10", "r11"), "r14", "rsp", None),
    "arm64": _Abi(tuple(f"x{n}" for n in range(16)), "x28", "sp", "x30"),
}
#: Where a thread that has just written to a header is understood: by code of the runtime as it is on this machine.
_WATCHED = "amd64"
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


@dataclass
class Calls:
    """Facts about one program's functions. Raises NoDebugInfo for an unsupported architecture."""

    target: Target
    functions: Functions
    _sites: dict[int, Location | None] = field(default_factory=dict)
    _stored: dict[tuple[int, int], int | None] = field(default_factory=dict)
    _kept: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arch = self.target.arch
        if arch.name not in _ABI:
            raise NoDebugInfo(
                f"gomap reads arguments of the runtime's functions, and knows where {' and '.join(_ABI)} have "
                f"them, not where {arch.name} has"
            )
        abi = _ABI[arch.name]
        self._arguments, self._g, self._sp, self._link = abi.arguments, abi.g, abi.sp, abi.link
        #: Why no word of a header can be watched; None where one can.
        self.unwatched = None if arch.name == _WATCHED else f"on {arch.name} gomap uses breakpoints alone"
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

    def pointed_to_by_g(self) -> list[Pointed]:
        """The memory that `goroutine` reads."""
        return [] if self._goid is None else [Pointed(self._g, sum(self._goid))]

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

    @property
    def of_goroutine(self) -> tuple[str, int, int]:
        """The register that has *runtime.g, and the offsets of goid and of stack.hi there."""
        return self._g, 0 if self._goid is None else self._goid[0], self.target.arch.pointer_size

    def stack_end(self, hit: Hit) -> int:
        """Where the stack of the calling goroutine ends. Raises MemoryFault."""
        word = self.target.arch.pointer_size
        return self.target.arch.pointer(hit.read(hit.register(self._g) + word, word))  # runtime.g.stack.hi

    def lasting(self, hit: Hit, address: int) -> tuple[int, ...]:
        """What an address has that stays, where the runtime may move it: of one on the stack of the calling goroutine
        its distance from the stack's end, and the goroutine's id; of any other the address itself."""
        word = self.target.arch.pointer_size
        try:
            low, high = (self.target.arch.pointer(hit.read(hit.register(self._g) + i * word, word)) for i in (0, 1))
        except MemoryFault:  # runtime.g.stack
            return (address,)
        return (high - address, self.goroutine(hit) or 0) if low <= address < high else (address,)

    def position(self, hit: Hit) -> tuple[int, int]:
        """(the stack pointer, *runtime.g)."""
        return hit.register(self._sp), hit.register(self._g)

    def caller(self, hit: Hit) -> int:
        """An address in the instruction that called the function; 0 where the stack can't be read."""
        if self._link is not None:
            return max(hit.register(self._link) - 1, 0)
        try:
            word = self.target.arch.pointer_size
            return max(self.target.arch.pointer(hit.read(hit.register(self._sp), word)) - 1, 0)
        except MemoryFault:
            return 0

    def signalled(self, hit: Hit) -> bytes | None:
        """What the newest signal of the thread left on its signal stack, if it came to the thread where this is now;
        None where it did not. runtime.m.gsignal; the kernel saves sp and pc one behind the other (ucontext). With
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
        pc, low = hit.address, hit.register(self._sp)
        size = self.functions.frame_size(pc)
        link = hit.register(self._link) if self._link is not None and not size else None
        if size is None:
            size = 0 if self._link is not None else word
        start, held = 0, b""
        for _ in range(MAX_CALLERS):
            top = low + size
            yield pc, top
            if link is not None:
                pc, link = link - 1, None
            else:
                at = low if self._link is not None else top - word
                if not start <= at <= start + len(held) - word:
                    start, held = at, _stack(hit, at, word)
                pc = arch.pointer(held, at - start) - 1 if len(held) >= word else 0
            older = self.functions.frame_size(pc) if pc > 0 else None
            if older is None:
                if pc > 0:
                    yield pc, 0
                return
            low, size = top, older

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
        before, now = (self.functions.frame_size(pc) for pc in (entry, hit.address))
        made = 0 if before is None or now is None else now - before

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
    def unwatched(self) -> str | None:
        """Why no debug register watches it; None where one can."""
        if self.stack is None:
            return self._calls.unwatched
        return f"the map lies on the stack of goroutine {self.stack.id}, which the runtime may move"

    def only(self, register: str) -> tuple[str, int]:
        """A register and the value that it has where the header is an argument: its own, or the goroutine's, which has
        other maps, too. register: that the argument is in."""
        return (register, self._address) if self.stack is None else (self._calls.of_goroutine[0], self.stack.address)

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
