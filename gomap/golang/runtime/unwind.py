"""Stacks unwound by the runtime's own tables, with no debugger: unwinder of runtime/traceback.go.

Also through what a signal interrupted, as the kernel saved it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from gomap import registers as machine
from gomap.errors import GomapError
from gomap.golang.runtime.goroutines import threads
from gomap.golang.runtime.pclntab import PUSHES, TOP_FRAME, Functions
from gomap.target import MAX_FRAMES, Goroutine, Record, Registers, Target, read_record

#: Functions that a signal's handler made look as if the code where it came had called them (isInjectedCall).
INJECTED = frozenset({"runtime.sigpanic", "runtime.asyncPreempt", "runtime.debugCallV2"})
#: Where the kernel begins a signal's handler (runtime/sys_linux_*.s).
_HANDLERS = frozenset({"runtime.sigtramp", "runtime.cgoSigtramp"})
#: It changes to the goroutine's stack, and can be unwound all the same (resolveInternal).
_CALLED_BY_C = "runtime.cgocallback"
#: Bytes that a signal's handler takes on the stack for the link register where it injects a call.
_SAVED_LINK = {"arm64": 16, "s390x": 8}


class Standing(NamedTuple):
    """A call on a stack. sp: its stack pointer; top: its caller's, None if not known. exact: the instruction at pc
    is the next one, and pc is not the return address of a call. function: linker name of the function; others may be
    inlined at pc. registers: their values, if nothing can have changed them since; None if not known."""

    pc: int
    sp: int
    top: int | None
    exact: bool
    function: str
    registers: Registers | None = None

    @property
    def instruction(self) -> int:
        """An address in the instruction that it executes: tables are asked about this one."""
        return self.pc if self.exact else self.pc - 1


class _Code(NamedTuple):
    """What the runtime's table has for a pc. size: see Functions.frame_size. ends: nothing calls the function. starts:
    it starts there."""

    function: str
    size: int | None
    ends: bool
    starts: bool


class Unwinder:
    """Unwinds stacks of one stopped program."""

    def __init__(self, target: Target, functions: Functions) -> None:
        self._target, self._functions = target, functions
        self._link = machine.link_register(target.arch)
        self._known: dict[int, _Code] = {}

    def goroutine(self, goroutine: Goroutine, registers: Registers | None) -> list[Standing]:
        """The calls on the goroutine's own stack, the newest first. registers: of the thread that runs it, None for
        a parked goroutine. Empty if its pc is not known."""
        low, high = goroutine.stack
        calls: list[Standing] = []
        if registers is not None:
            link = None if self._link is None else registers.values.get(self._link)
            calls = list(self._calls(registers.pc, registers.sp, link, True, registers))
            own = [one for one in calls if low <= one.sp < high]
            if own:
                return own
        pc, sp = self._saved(goroutine, calls)
        if not pc or not low <= sp < high:
            return []
        link = self._saved_link(goroutine)
        return [one for one in self._calls(pc, sp, link, self._code(pc).starts) if low <= one.sp < high]

    def _saved(self, goroutine: Goroutine, calls: list[Standing]) -> tuple[int, int]:
        """(pc, sp) of the call in which the goroutine left its stack; zeros where the runtime has not saved that.
        calls: those of its thread, on other stacks.

        A call into the kernel's vDSO is not saved in runtime.gobuf (nanotime1 of runtime/sys_linux_*.s), and from Go
        1.26 on a goroutine in a system call counts as running. A signal's handler saves nothing.
        """
        if goroutine.thread is None:
            return goroutine.pc, goroutine.sp
        m = next((m for m in self._threads if m["procid"] == goroutine.thread), None)
        g = self._g(goroutine.address)
        low, high = goroutine.stack
        if m is not None and low <= m.get("vdsoSP") < high:
            return m.get("vdsoPC"), m.get("vdsoSP")
        if g is not None and g.get("syscallsp"):
            return g["syscallpc"], g["syscallsp"]
        if not calls or (m is not None and self._is_on(self._g(m.get("gsignal")), calls[-1].sp)):
            return 0, 0
        return goroutine.pc, goroutine.sp

    def _is_on(self, g: Record | None, sp: int) -> bool:
        """Whether the stack pointer is on that runtime.g's stack."""
        stack, arch = g.type.field("stack") if g is not None else None, self._target.arch
        if g is None or stack is None:
            return False
        return arch.pointer(g.data, stack.offset) <= sp < arch.pointer(g.data, stack.offset + arch.pointer_size)

    def _g(self, address: int) -> Record | None:
        t = self._target.find_type("runtime.g")
        try:
            return read_record(self._target, t, address) if t is not None and address else None
        except GomapError:
            return None

    @cached_property
    def _threads(self) -> list[Record]:
        return list(threads(self._target).values())

    def _saved_link(self, goroutine: Goroutine) -> int | None:
        """What runtime.gobuf has for the link register: it counts where a function was preempted at its start."""
        g = self._target.find_type("runtime.g") if self._link is not None else None
        sched = g.field("sched") if g is not None else None
        lr = sched.type.field("lr") if sched is not None else None
        if sched is None or lr is None:
            return None
        try:
            return self._pointer(goroutine.address + sched.offset + lr.offset)
        except GomapError:
            return None

    def _pointer(self, address: int) -> int:
        word = self._target.arch.pointer_size
        return self._target.arch.pointer(self._target.memory.read(address, word))

    def _calls(
        self, pc: int, sp: int, link: int | None, exact: bool, registers: Registers | None = None
    ) -> Iterator[Standing]:
        """The calls from that at pc on, older ones last. link: what the link register holds there."""
        arch, functions, innermost = self._target.arch, self._functions, True
        pushes, word = arch.name in PUSHES, arch.pointer_size
        for _ in range(MAX_FRAMES):
            name, size, ends, _ = self._code(pc)
            top = None if size is None else sp + size
            yield Standing(pc, sp, top, exact, name, registers)
            if top is None or size is None:
                return
            try:
                if name in _HANDLERS:
                    registers = self._interrupted(top)
                    if registers is None:
                        return
                    pc, sp, link, exact, innermost = registers.pc, registers.sp, None, True, False
                    continue
                if ends:
                    return
                at = top - word if pushes else sp if not link or (innermost and size) else None
                older = link if at is None else self._pointer(at)
                if not older or (older, top) == (pc, sp):
                    return
                pc, sp, link, exact, innermost, registers = older, top, None, name in INJECTED, False, None
                if exact and self._link is not None:
                    link, sp = self._pointer(top), top + _SAVED_LINK.get(arch.name, 0)
                    if not functions.is_go(pc):
                        pc, link = link, None
                    elif functions.frame_size(pc):
                        link = None
            except GomapError:  # its stack can't be read
                return

    def _code(self, pc: int) -> _Code:
        known = self._known.get(pc)
        if known is not None:
            return known
        functions = self._functions
        try:
            name, flags, starts = functions.name(pc), functions.at(pc)["flag"], functions.entry(pc) == pc
            found = _Code(name, functions.frame_size(pc, name == _CALLED_BY_C), bool(flags & TOP_FRAME), starts)
        except GomapError:  # code that the tables do not know
            found = _Code("?", None, True, False)
        self._known[pc] = found
        return found

    def _interrupted(self, sp: int) -> Registers | None:
        """The registers that a signal interrupted. sp: that its handler has when it returns. Raises MemoryFault."""
        where = machine.context_of(self._target.arch, sp)
        if where is None:
            return None
        at, indirect, size = where
        data = self._target.memory.read(self._pointer(at) if indirect else at, size)
        return machine.of_context(self._target.arch, data)
