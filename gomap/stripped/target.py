"""A stripped program behind a debugger as a Target: memory and the selected thread are the debugger's, all else comes
from the program's own tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Callable

from gomap import elf
from gomap.errors import GomapError, NoDebugInfo
from gomap.golang.runtime.goroutines import goroutine_of_thread
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.unwind import Unwinder
from gomap.gotypes import GoType
from gomap.heap.census import Census
from gomap.memory import CachedMemory, HeldMemory, Memory
from gomap.stripped.program import Stripped
from gomap.target import Arch, Captured, Frame, Goroutine, Kept, Location, Registers, Variable, Wanted
from gomap.trace.port import Tracer


class StrippedTarget:
    """Made anew for each command. info: facts about the program, kept while it runs. thread: the operating system's
    id of the selected thread, if the debugger reports it. registers: of the thread that runs a goroutine."""

    package: str | None = "main"
    #: What lets the program run, which its maker sets.
    tracer: Tracer | None = None
    kept: Kept | None = None

    def __init__(
        self,
        backend: str,
        kind: str,
        memory: Memory,
        info: Stripped,
        thread: Callable[[], int | None],
        registers: Callable[[Goroutine, Arch], Registers | None],
        running: int = 0,
    ) -> None:
        self.backend, self.kind, self.running = backend, kind, running
        cached = CachedMemory(memory)
        self.memory: Memory = HeldMemory(cached) if running else cached
        self._info, self._thread, self._registers = info.again(memory), thread, registers
        self.arch, self.notes, self.stripped = info.arch, info.notes, info.nameless

    @property
    def go_version(self) -> str | None:
        """As the program's build information says."""
        return self._info.go_version

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """As Stripped.variable."""
        return self._info.variable(name, callers)

    def census(self) -> Census:
        """All maps of the heap and of stacks, counted once for a stop."""
        return self._info.census()

    def find_type(self, name: str) -> GoType | None:
        """As Stripped.find_type."""
        return self._info.find_type(name)

    def symbol(self, name: str) -> int | None:
        """As Stripped.symbol."""
        return self._info.symbol(name)

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """None: a stripped program has no names of local variables."""
        return iter(())

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """As Stripped.package_variables."""
        return self._info.package_variables(wanted)

    @cached_property
    def goroutine(self) -> int | None:
        """The goroutine that the selected thread runs; None where it runs none."""
        thread = self._thread()
        return None if thread is None else goroutine_of_thread(self, thread)

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        """The goroutine's frames by the runtime's own table of functions, without variables.

        Raises GomapError where a thread runs it and the debugger does not report that thread's registers.
        """
        known = self.registers(goroutine)
        if known is None and goroutine.thread is not None:
            raise GomapError("its thread runs it, and the debugger does not report that thread's registers")
        found: list[Frame] = []
        for call in self._unwinder.goroutine(goroutine, known):
            for location in self._functions.frames(call.instruction):
                found.append(Frame(location.function, location.file, location.line, call.pc, call.sp))
        return found

    @cached_property
    def _unwinder(self) -> Unwinder:
        return Unwinder(self, self._functions)

    def registers(self, goroutine: Goroutine) -> Registers | None:
        """As Target.registers, from the debugger."""
        return None if goroutine.thread is None else self._registers(goroutine, self.arch)

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """Nothing: what closures captured is not known without debug information."""
        return ()

    def location(self, pc: int) -> Location | None:
        """As Target.location, by the runtime's own table of functions."""
        return self._functions.location(pc)

    @cached_property
    def _functions(self) -> Functions:
        return Functions(self)


def opened(program: str | None, memory: Memory, entry: Callable[[], int | None], error: NoDebugInfo) -> Stripped:
    """The program in this file, which a debugger finds no debug information in. entry: where it started, where that is
    known. Raises error for one that is not a stripped Go program; NoDebugInfo."""
    if program is None or not os.path.isfile(program) or not elf.is_go(program):
        raise error
    try:
        with elf.mapped(program) as data:
            parsed, names = elf.parse(data), {one.name for one in elf.sections(data)}
        if names & {".debug_info", ".zdebug_info"}:
            raise error  # it has some that the debugger can't read, and says so
        moved = 0
        if parsed.kind == elf.SHARED:
            started = entry()
            if started is None:
                raise error
            moved = started - parsed.entry
        return Stripped(program, memory, moved)
    except (OSError, elf.BadElf):
        raise error from None
