"""A process or a core file as a Target, by its memory and its file's debug information alone.

Package variables are known. Local variables are not: no stack is unwound. The census (gomap/heap) finds the maps that
only they hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Callable

from gomap import elf
from gomap.corefile import CoreMemory, ProgramMemory, Shortcut, check
from gomap.dwarf import BadDwarf, DebugInfo
from gomap.errors import GomapError, NoDebugInfo, NoLocals, NoProcess
from gomap.golang.pclntab import Functions
from gomap.gotypes import GoType
from gomap.memory import CachedMemory, Memory
from gomap.process import ProcessMemory
from gomap.target import GLOBAL, Captured, Frame, Goroutine, Location, Variable, Wanted, build_version

WITHOUT = "without a debugger local variables are not known: goroutines' frames were not searched for maps"
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"


@dataclass(frozen=True)
class Opened:
    """A process or core file. moved: how far the program lies from where it was linked. threads: how many of its
    threads run on while it is read."""

    kind: str
    memory: Memory
    info: DebugInfo
    moved: int
    threads: Callable[[], int]


def of_core(program: str | None, core: str) -> Opened:
    """Raises BadCore, WrongProgram, NoDebugInfo, GomapError."""
    problem = elf.why_no_core(core)
    if problem is not None:
        raise GomapError(problem)
    with elf.mapped(core) as data:
        entry, named = elf.entry_in_core(data), elf.program_in_core(data)
    program = program or named
    if program is None or not os.path.isfile(program):
        told = f"{program} is not on this machine" if program else "the core file does not name it"
        raise GomapError(f"{core}: which program dumped it? {told}: gomap core PROG {core}")
    try:
        check(program, core)
        info, moved = _info(program), _moved(program, entry)
        memory = Shortcut(CoreMemory(core), ProgramMemory(program, moved))
    except OSError as error:
        raise GomapError(f"{program} can't be read: {error.strerror}") from error
    return Opened("core", memory, info, moved, lambda: 0)


def of_process(pid: int) -> Opened:
    """Raises NoProcess, NoDebugInfo, GomapError."""
    program = f"/proc/{pid}/exe"
    if not os.path.exists(f"/proc/{pid}"):
        raise NoProcess(f"process {pid} does not exist")
    try:
        memory, info = ProcessMemory(pid), _info(program)
        with open(f"/proc/{pid}/auxv", "rb") as file, elf.mapped(program) as data:
            entry = elf.entry_in_vector(file.read(), elf.parse(data))
        moved = _moved(program, entry)
    except PermissionError as error:
        raise GomapError(f"process {pid} can't be read: {_refused(pid)}") from error
    except OSError as error:
        raise NoProcess(f"process {pid} can't be read: {error.strerror}") from error
    return Opened("live", memory, info, moved, lambda: _threads(pid))


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        raise NoProcess(f"process {pid} has ended") from None


def _refused(pid: int) -> str:
    """Which setting refuses it."""
    try:
        owner: int | None = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        owner = None
    try:
        with open(_YAMA) as file:
            scope = file.read().strip()
    except OSError:
        scope = "0"  # a kernel without Yama
    if owner != os.geteuid():
        return "it belongs to another user: run gomap as that user, or with CAP_SYS_PTRACE"
    if scope != "0":
        return f"{_YAMA} is {scope}: run gomap with CAP_SYS_PTRACE, or set that to 0"
    return "the kernel refuses it: in a container gomap needs CAP_SYS_PTRACE"


def _info(program: str) -> DebugInfo:
    try:
        info = DebugInfo(program)
        if info.is_go and info.variables:
            return info
    except (elf.BadElf, BadDwarf) as error:
        raise NoDebugInfo(elf.why_no_debug_info(program)) from error
    raise NoDebugInfo(elf.why_no_debug_info(program))


def _moved(program: str, entry: int | None) -> int:
    """How far the program was moved. entry: where it started."""
    with elf.mapped(program) as data:
        parsed = elf.parse(data)
    return entry - parsed.entry if parsed.kind == elf.SHARED and entry is not None else 0


class DirectTarget:
    """The Target port."""

    backend = "direct"
    goroutine = None
    package: str | None = "main"

    def __init__(self, opened: Opened) -> None:
        self._opened, self._info = opened, opened.info
        self.kind, self.arch = opened.kind, opened.info.arch
        self.running = opened.threads()
        self.memory: Memory = CachedMemory(opened.memory)
        self._types: dict[str, GoType | None] = {}

    @property
    def go_version(self) -> str | None:
        return build_version(self.arch, self.memory, self.variable("runtime.buildVersion"))

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        static = self._info.variables.get(name)
        try:
            if static is not None:
                return Variable(name, self._info.type(static.type_at), static.address + self._opened.moved)
            found = self._info.constant(name) if "." in name else None
        except BadDwarf:
            return None
        if found is None:
            return None
        t, value = found
        data = (value & (1 << 8 * t.size) - 1).to_bytes(t.size, self.arch.byte_order)  # type: ignore[arg-type]
        return Variable(name, t, data=data, place=GLOBAL)

    def find_type(self, name: str) -> GoType | None:
        if name not in self._types:
            try:
                self._types[name] = self._info.type_named(name)
            except BadDwarf:
                self._types[name] = None
        return self._types[name]

    def symbol(self, name: str) -> int | None:
        at = self._info.symbols.get(name.encode())
        return None if at is None else at + self._opened.moved

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        return iter(())

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        for name, static in self._info.variables.items():
            try:
                t = self._info.type(static.type_at)
            except BadDwarf:
                continue
            if wanted(t):
                yield Variable(name, t, static.address + self._opened.moved)

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        raise NoLocals(WITHOUT)

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        return ()

    def location(self, pc: int) -> Location | None:
        try:
            return self._functions.frames(pc - 1)[0]
        except GomapError:
            return None

    @cached_property
    def _functions(self) -> Functions:
        return Functions(self)
