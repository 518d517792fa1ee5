"""A process or a core file as a Target, by its memory and its file's debug information alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Callable

from direct import copied
from direct.frames import Files, Frames
from direct.packed import unpacked
from direct.pause import PausedThreads, stopped
from direct.refusals import why_not_read
from direct.tracing import DirectTracer
from gomap import elf, registers
from gomap.corefile import CoreMemory, ProgramMemory, Shortcut, check
from gomap.dwarf.entries import BadDwarf
from gomap.dwarf.info import DebugInfo
from gomap.errors import GomapError, MemoryFault, NoDebugInfo, NoProcess, NoSuchGoroutine, TargetRunning
from gomap.golang.runtime.goroutines import Reader, goroutine_of_thread
from gomap.golang.runtime.pclntab import Functions
from gomap.gotypes import GoType
from gomap.heap.census import Census
from gomap.memory import CachedMemory, HeldMemory, Memory
from gomap.ongoroutine import OnGoroutine
from gomap.process import ProcessMemory
from gomap.stripped import twin
from gomap.stripped.program import Stripped
from gomap.target import (
    GLOBAL,
    Captured,
    Frame,
    Goroutine,
    Kept,
    Location,
    Registers,
    Variable,
    Wanted,
    build_version,
)

#: How often a stack is read that changes while it is, and the bytes of the largest that are read at once.
MAX_TRIES, MAX_STACK = 8, 1 << 22


@dataclass(frozen=True)
class Still:
    """A process that was stopped, and its memory as it was then."""

    stop: PausedThreads
    memory: Memory


@dataclass(frozen=True)
class Opened:
    """A process or core file. threads: how many of its threads are running while it is read. registers: of the
    threads in a core file, by the operating system's id, first the thread in which the program died. pid: of a
    process. kept: for a core file, as long as it is open. lacks: what a core file does not have."""

    kind: str
    memory: Memory
    files: Files
    threads: Callable[[], int]
    registers: Mapping[int, Registers] = field(default_factory=dict)
    pid: int = 0
    kept: Kept | None = None
    lacks: Sequence[str] = ()

    def still(self, until: ExitStack) -> Still:
        """Stops the process, copies its writable memory, and resumes it. If the memory can't be copied, the process is
        stopped until `until` ends. Raises NoProcess, GomapError."""
        copy = copied.room(self.memory, self.pid)
        with ExitStack() as own:
            stop = own.enter_context(stopped(self.pid, self.files.info.arch))
            if copy is not None and copy.copy(self.pid):
                return Still(stop, copy)
            until.enter_context(own.pop_all())
            return Still(stop, self.memory)


def of_core(program: str | None, core: str, symbols: str | None = None) -> Opened:
    """symbols: an unstripped build of the program. Raises BadCore, WrongProgram, NoDebugInfo, GomapError."""
    where = core
    with suppress(OSError):  # which is reported as for any other core file
        where = unpacked(core)
    try:
        opened = _of_plain_core(program, where, symbols)
    except GomapError as error:
        error.args = (str(error).replace(where, core),)  # the temporary file is removed on exit
        raise
    return replace(opened, lacks=[one.replace(where, core) for one in opened.lacks])


def _of_plain_core(program: str | None, core: str, symbols: str | None) -> Opened:
    problem = elf.why_no_core(core)
    if problem is not None:
        raise GomapError(problem)
    with elf.mapped(core) as data:
        entry, named = elf.entry_in_core(data), elf.program_in_core(data)
        notes = list(elf.notes(data, elf.parse(data), elf.NT_PRSTATUS))
    program = program or named
    if program is None or not os.path.isfile(program):
        told = f"{program} is not on this machine" if program else "the core file does not name it"
        raise GomapError(f"{core}: which program dumped it? {told}: gomap core PROG {core}")
    try:
        lacks = check(program, core)
        moved = _moved(program, entry)
        memory = Shortcut(CoreMemory(core), ProgramMemory(program, moved))
        info = _info(program, memory, moved, symbols)
    except OSError as error:
        raise GomapError(f"{program} can't be read: {error.strerror}") from error
    known = registers.of_notes(info.arch, notes)
    return Opened("core", memory, Files(info, moved), lambda: 0, known, kept=Kept(), lacks=lacks)


def of_process(pid: int, symbols: str | None = None) -> Opened:
    """symbols: an unstripped build of the program. Raises NoProcess, WrongProgram, NoDebugInfo, GomapError."""
    program = f"/proc/{pid}/exe"
    if not os.path.exists(f"/proc/{pid}"):
        raise NoProcess(f"process {pid} does not exist")
    try:
        memory = ProcessMemory(pid)
        stamp = _stamp(pid)
        with elf.mapped(program) as data:
            entry = elf.entry_in_vector(stamp[2], elf.parse(data))
        moved = _moved(program, entry)
        info = _info(program, memory, moved, symbols)
    except PermissionError as error:
        raise GomapError(f"process {pid} can't be read: {why_not_read(pid)}") from error
    except OSError as error:
        raise NoProcess(f"process {pid} can't be read: {error.strerror}") from error
    return Opened("live", memory, Files(info, moved), lambda: _threads(pid, stamp), pid=pid)


def _stamp(pid: int) -> tuple[int, int, bytes]:
    """The identity of a process's program: its file, and the auxiliary vector, which differs after each exec. Raises
    OSError."""
    file = os.stat(f"/proc/{pid}/exe")
    with open(f"/proc/{pid}/auxv", "rb") as vector:
        return file.st_dev, file.st_ino, vector.read()


def _threads(pid: int, stamp: tuple[int, int, bytes]) -> int:
    try:
        number, now = len(os.listdir(f"/proc/{pid}/task")), _stamp(pid)
    except OSError:
        raise NoProcess(f"process {pid} has ended") from None
    if now != stamp:
        raise NoProcess(f"process {pid} has become another program (exec): start gomap again")
    return number


def info_of(program: str) -> DebugInfo:
    """The program's debug information. Raises NoDebugInfo."""
    try:
        info = DebugInfo(program)
        if info.is_go and info.variables:
            return info
    except (elf.BadElf, BadDwarf) as error:
        raise NoDebugInfo(elf.why_no_debug_info(program)) from error
    raise NoDebugInfo(elf.why_no_debug_info(program))


def _info(program: str, memory: Memory, moved: int, symbols: str | None) -> DebugInfo | Stripped:
    if symbols is not None:
        try:
            twin.check(program, symbols)
        except (elf.BadElf, OSError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            raise GomapError(f"{symbols} can't be used: {what}") from error
        return info_of(symbols)
    try:
        return info_of(program)
    except NoDebugInfo:
        if not elf.is_go(program):
            raise
    return Stripped(program, memory, moved)


def _moved(program: str, entry: int | None) -> int:
    """How far the program was moved. entry: where it started."""
    with elf.mapped(program) as data:
        parsed = elf.parse(data)
    return entry - parsed.entry if parsed.kind == elf.SHARED and entry is not None else 0


class DirectTarget:
    """The Target port."""

    backend = "direct"

    def __init__(self, opened: Opened, still: Still | None = None) -> None:
        """still: of a process, where it was stopped."""
        self._opened, self._info, self._moved = opened, opened.files.info, opened.files.moved
        self.kind, self.arch, self.kept = opened.kind, self._info.arch, opened.kept
        self.running = opened.threads() if still is None else 0
        self._registers = opened.registers if still is None else still.stop.registers
        cached = CachedMemory(opened.memory if still is None else still.memory)
        self._held = HeldMemory(cached)
        self.memory: Memory = self._held if self.running else cached
        self.stripped: str | None = None
        self.notes: Sequence[str] = ()
        self.lacks = opened.lacks
        if isinstance(self._info, Stripped):
            self._info.again(opened.memory if still is None else still.memory)
            self.stripped, self.notes = self._info.nameless, self._info.notes
        self._types = opened.files.types

    @property
    def tracer(self) -> DirectTracer | None:
        """What records growths while the process runs; None where it stands still."""
        return DirectTracer(self._opened.pid) if self.running else None

    @property
    def go_version(self) -> str | None:
        """As Target.go_version, from runtime.buildVersion."""
        return build_version(self.arch, self.memory, self.variable("runtime.buildVersion"))

    @cached_property
    def goroutine(self) -> int | None:
        """The selected goroutine: in a core file, the one in which the program died."""
        thread = next(iter(self._registers), None) if self.kind == "core" else None
        return None if thread is None else goroutine_of_thread(self, thread)

    @property
    def package(self) -> str | None:
        """The package of the selected frame's function; `main` where none is selected."""
        return (self._selected.package if self._selected is not None else None) or "main"

    @cached_property
    def _selected(self) -> OnGoroutine | None:
        """The program as it is seen from the selected goroutine's frames."""
        try:
            return None if self.goroutine is None else OnGoroutine(self)
        except NoSuchGoroutine:
            return None

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """As Target.variable. There are local variables only where the target has a selected frame."""
        if isinstance(self._info, Stripped):
            return self._info.variable(name, callers)
        if "." not in name:
            return None if self._selected is None else self._selected.variable(name, callers)
        static = self._info.variables.get(name)
        try:
            if static is not None:
                return Variable(name, self._info.type(static.type_at), static.address + self._moved)
            found = self._info.constant(name)
        except BadDwarf:
            return None
        if found is None:
            return None
        t, value = found
        data = (value & (1 << 8 * t.size) - 1).to_bytes(t.size, self.arch.byte_order)  # type: ignore[arg-type]
        return Variable(name, t, data=data, place=GLOBAL)

    def find_type(self, name: str) -> GoType | None:
        """As Target.find_type, from the program's debug information."""
        if isinstance(self._info, Stripped):
            return self._info.find_type(name)
        if name not in self._types:
            try:
                self._types[name] = self._info.type_named(name)
            except BadDwarf:
                self._types[name] = None
        return self._types[name]

    def symbol(self, name: str) -> int | None:
        """As Target.symbol, from the program's symbol table."""
        if isinstance(self._info, Stripped):
            return self._info.symbol(name)
        at = self._info.symbols.get(name.encode())
        return None if at is None else at + self._moved

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """As Target.frame_variables, of the selected frame; none where none is selected."""
        return iter(()) if self._selected is None else self._selected.frame_variables(wanted)

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """As Target.package_variables, from the program's debug information."""
        if isinstance(self._info, Stripped):
            yield from self._info.package_variables(wanted)
            return
        for name, static in self._info.variables.items():
            try:
                t = self._info.type(static.type_at)
            except BadDwarf:
                continue
            if wanted(t):
                yield Variable(name, t, static.address + self._moved)

    def settled(self, goroutine: Goroutine) -> Goroutine:
        """See gomap.target.settled. What a goroutine's stack holds and where it goes on belong together where it stood
        there before the stack was read and afterwards."""
        if not self.running:
            return goroutine
        raw, reader = self._opened.memory, self._reader
        for _ in range(MAX_TRIES):
            found = reader.goroutine(goroutine.address, raw.read(goroutine.address, reader.size))
            if found is None or found.id != goroutine.id:
                raise GomapError("it has ended since the list of goroutines was read")
            if found.status == "running":
                return found if found.thread is not None else replace(found, thread=0)
            low, high = found.stack
            if not low <= found.sp < high or high - found.sp > MAX_STACK:
                return found
            try:
                held = raw.read(found.sp, high - found.sp)
            except MemoryFault:
                continue
            if found == reader.goroutine(goroutine.address, raw.read(goroutine.address, reader.size)):
                self._held.hold(found.sp, held)
                return found
        raise TargetRunning("its stack changed while it was read")

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self)

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        """As Target.unwind, by the runtime's own tables.

        Raises TargetRunning for a goroutine whose thread runs on.
        """
        known = None if goroutine.thread is None else self._registers.get(goroutine.thread)
        if known is None and goroutine.thread is not None and self.running:
            raise TargetRunning("its thread is running, and its stack was not read (gomap pid --pause reads it)")
        return self._frames.of(goroutine, known, wanted)

    @cached_property
    def _frames(self) -> Frames:
        return Frames(self, self._opened.files)

    def census(self) -> Census | None:
        """Of a stripped program, the headers of the heap, which are looked for to find its variables."""
        return self._info.census() if isinstance(self._info, Stripped) else None

    def registers(self, goroutine: Goroutine) -> Registers | None:
        """As Target.registers, for a core file or a stopped process."""
        return None if goroutine.thread is None else self._registers.get(goroutine.thread)

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """As Target.captured, from the program's debug information."""
        return self._frames.captured(code, slot)

    def location(self, pc: int) -> Location | None:
        """As Target.location, by the runtime's own table of functions."""
        return self._functions.location(pc)

    @cached_property
    def _functions(self) -> Functions:
        return Functions(self)
