"""Stacks unwound by the runtime's own tables, with no debugger: unwinder of runtime/traceback.go.

Also through what a signal interrupted, as the kernel saved it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gomap import registers as machine
from gomap.errors import GomapError
from gomap.golang.runtime.goroutines import threads
from gomap.golang.runtime.pclntab import PUSHES, TOP_FRAME, Functions
from gomap.target import MAX_FRAMES, Goroutine, Record, Registers, Target

#: Functions that a signal's handler made look as if the code where it came had called them (isInjectedCall).
INJECTED = frozenset({"runtime.sigpanic", "runtime.asyncPreempt", "runtime.debugCallV2"})
#: Where the kernel begins a signal's handler (runtime/sys_linux_*.s).
_HANDLERS = frozenset({"runtime.sigtramp", "runtime.cgoSigtramp"})
#: It changes to the goroutine's stack, and can be unwound all the same (resolveInternal).
_CALLED_BY_C = "runtime.cgocallback"
#: Bytes that a signal's handler takes on the stack for the link register where it injects a call.
_SAVED_LINK = {"arm64": 16, "s390x": 8}


@dataclass(frozen=True)
class Standing:
    """A call that is on a stack. sp: its stack pointer; top: its caller's, None where that is not known. exact: it
    stands before the instruction at pc, and does not wait for a call that returns there. registers: what they hold,
    where nothing can have changed them since; None where that is not known."""

    pc: int
    sp: int
    top: int | None = None
    exact: bool = False
    registers: Registers | None = None

    @property
    def instruction(self) -> int:
        """An address in the instruction that it executes: tables are asked about this one."""
        return self.pc if self.exact else self.pc - 1


class Unwinder:
    """Unwinds stacks of one program."""

    def __init__(self, target: Target, functions: Functions) -> None:
        self._target, self._functions = target, functions
        self._link = machine.link_register(target.arch)

    def goroutine(self, goroutine: Goroutine, registers: Registers | None) -> list[Standing]:
        """The calls on the goroutine's own stack, the newest first. registers: of the thread that runs it, None for one
        that is parked. Nothing where it can't be told where it stands."""
        low, high = goroutine.stack
        if registers is not None:
            started = Standing(registers.pc, registers.sp, None, True, registers)
            own = [one for one in self._calls(started, None) if low <= one.sp < high]
            if own:
                return own
        pc, sp = self._in_kernel(goroutine) or (goroutine.pc, goroutine.sp)
        if not pc or not low <= sp < high:
            return []
        started = Standing(pc, sp, None, self._is_entry(pc))
        return [one for one in self._calls(started, self._saved_link(goroutine)) if low <= one.sp < high]

    def _is_entry(self, pc: int) -> bool:
        try:
            return self._functions.entry(pc) == pc
        except GomapError:
            return False

    def _in_kernel(self, goroutine: Goroutine) -> tuple[int, int] | None:
        """(pc, sp) of the call into the kernel's vDSO that the thread executes: it leaves the goroutine's stack without
        saving it in runtime.gobuf (nanotime1 of runtime/sys_linux_*.s)."""
        if goroutine.thread is None:
            return None
        m = next((m for m in self._threads() if m["procid"] == goroutine.thread), None)
        low, high = goroutine.stack
        if m is None or not low <= m.get("vdsoSP") < high:
            return None
        return m.get("vdsoPC"), m.get("vdsoSP")

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

    def _calls(self, first: Standing, link: int | None) -> Iterator[Standing]:
        """The calls from the first on, older ones last. link: what the link register holds there."""
        if first.registers is not None and self._link is not None:
            link = first.registers.values.get(self._link)
        standing: Standing | None = first
        innermost = True
        for _ in range(MAX_FRAMES):
            if standing is None:
                return
            try:
                top, older, link = self._older(standing, link, innermost)
            except GomapError:  # its stack can't be read, or it is code that the tables do not know
                top, older = None, None
            yield replace(standing, top=top)
            standing, innermost = older, False

    def _older(
        self, standing: Standing, link: int | None, innermost: bool
    ) -> tuple[int | None, Standing | None, int | None]:
        """(the caller's stack pointer, the caller, what the link register holds there). Raises GomapError."""
        functions, arch = self._functions, self._target.arch
        function = functions.at(standing.pc)
        name = functions.name(standing.pc)
        size = functions.frame_size(standing.pc, moves=name == _CALLED_BY_C)
        if size is None:
            return None, None, None
        top = standing.sp + size
        if name in _HANDLERS:
            return top, self._interrupted(top), None
        if function["flag"] & TOP_FRAME:
            return top, None, None
        if arch.name in PUSHES:
            pc = self._pointer(top - arch.pointer_size)
        elif not link or (innermost and size):
            pc = self._pointer(standing.sp)
        else:
            pc = link
        if not pc or (pc, top) == (standing.pc, standing.sp):
            return top, None, None
        sp, link = top, None
        if name in INJECTED and self._link is not None:
            link, sp = self._pointer(top), top + _SAVED_LINK.get(arch.name, 0)
            if not functions.is_go(pc):
                pc, link = link, None
            elif functions.frame_size(pc):
                link = None
        return top, Standing(pc, sp, None, name in INJECTED), link

    def _interrupted(self, sp: int) -> Standing | None:
        """What a signal interrupted. sp: that its handler has when it returns."""
        where = machine.context_of(self._target.arch, sp)
        if where is None:
            return None
        at, indirect, size = where
        data = self._target.memory.read(self._pointer(at) if indirect else at, size)
        found = machine.of_context(self._target.arch, data)
        return None if found is None else Standing(found.pc, found.sp, None, True, found)
