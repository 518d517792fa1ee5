"""gdb as a Target: memory, types, variables. Reads only; evaluates nothing that could run code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Callable, ClassVar

import gdb

from gdbext import files
from gdbext.captures import Captures
from gdbext.memory import GdbMemory
from gdbext.program import arch, is_of_another_build, is_running, refused_core, wrong_program
from gdbext.stacks import frames_of, registers_of, runs_on, stack_pointer
from gdbext.symbols import (
    MAX_FRAMES,
    declared,
    find_in_frame,
    frames,
    package_variables,
    source,
    static_symbol,
    symbols,
    type_named,
)
from gdbext.tracing import GdbTracer
from gdbext.types import Converter
from gdbext.variables import FileFacts, Variables, call_of
from gomap.declare import Command
from gomap.dwarf.entries import BadDwarf
from gomap.errors import MemoryFault, NoDebugInfo, NoProcess, OptimizedOut, TargetRunning, WrongProgram
from gomap.golang.runtime.goroutines import by_id, goroutine_of_thread, goroutines
from gomap.golang.runtime.liveness import at_declaration, not_reached
from gomap.golang.runtime.modules import linker_package, of_runtime
from gomap.gotypes import GoType, Kind, can_reach_map
from gomap.memory import CachedMemory, HeldMemory, Memory
from gomap.target import (
    GLOBAL,
    Captured,
    Frame,
    Goroutine,
    Kept,
    Local,
    Location,
    Place,
    Registers,
    Variable,
    Wanted,
    build_version,
)

#: What leaves a goroutine's stack for the system's: gdb finds no caller behind it, or a wrong one.
_LEAVES_STACK = frozenset({"runtime.systemstack", "runtime.mcall", "runtime.morestack", "runtime.asmcgocall"})
#: What gdb has by these names is C's, of another size (its go-lang.c).
_WORDS = {"int": Kind.INT, "uint": Kind.UINT}


def checked_inferior() -> gdb.Inferior:
    """The selected inferior, stopped. Raises NoProcess, TargetRunning."""
    inferior = gdb.selected_inferior()
    if not inferior.pid:
        refused = refused_core()
        raise NoProcess(
            f"no process: {refused}"
            if refused is not None
            else "no process: start one with run, attach PID or target remote, or open a core with core FILE"
        )
    if is_running():
        if any(not thread.is_running() for thread in inferior.threads()):
            raise TargetRunning("the selected thread is running: select one that is not (info threads, thread N)")
        raise TargetRunning("the program is running: stop it first (Ctrl-C or interrupt)")
    return inferior


def kind_of(inferior: gdb.Inferior) -> str:
    """core or live."""
    connection = inferior.connection
    return "core" if connection is not None and connection.type == "core" else "live"


class GdbTarget:
    """The program that gdb has selected, as it is stopped now. Made anew for each command."""

    backend = "gdb"
    kept: Kept | None = None
    #: By program: gdb may hold several at once, each with types and variables of its own.
    _known: ClassVar[dict[gdb.Progspace, FileFacts]] = {}

    def __init__(self) -> None:
        inferior = checked_inferior()
        connection = inferior.connection
        self.running = sum(runs_on(thread) for thread in inferior.threads())
        self.kind = kind_of(inferior)
        self.memory: Memory = CachedMemory(GdbMemory(self.kind == "core"))
        if self.running:
            self.memory = HeldMemory(self.memory)
        self.arch = arch()
        self._files = self._known.setdefault(inferior.progspace, FileFacts())
        self._converter = self._files.converters.setdefault(self.arch, Converter(self.arch))
        self._variables = Variables(self, self.memory, self._files, self._converter, self._place)
        process = None if connection is None else (inferior.pid, connection.num)
        if process is None or process != self._files.process:
            if is_of_another_build(self, self._global("runtime.firstmoduledata")):
                raise WrongProgram(wrong_program(self.kind, inferior))
            self._files.process = process

    @classmethod
    def forget(cls) -> None:
        """Drops what was learnt of programs' files, which have changed."""
        cls._known.clear()

    @property
    def go_version(self) -> str | None:
        """As Target.go_version, from runtime.buildVersion."""
        return build_version(self.arch, self.memory, self._global("runtime.buildVersion"))

    @property
    def package(self) -> str | None:
        """The package of the selected frame's function or, where that is the runtime's, of the nearest caller's."""
        for frame in frames():
            name = frame.name()
            if name and not of_runtime(name):
                return linker_package(name)
        return None

    # -- names -------------------------------------------------------------------------------------

    def find_type(self, name: str) -> GoType | None:
        """As Target.find_type, from gdb's types."""
        if name in _WORDS:
            return GoType(_WORDS[name], name, self.arch.pointer_size)
        found = type_named(name)
        return None if found is None else self._converter.convert(found)

    def symbol(self, name: str) -> int | None:
        """As Target.symbol, as gdb evaluates it."""
        if "'" in name:
            return None
        try:
            return int(gdb.parse_and_eval(f"&'{name}'"))
        except gdb.error:
            return None

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """As Target.variable. A name that begins with $ is gdb's own: a value of its history, a convenience variable, a
        register."""
        if name.startswith("$"):
            return self._of_gdb(name)
        if "." in name:
            return self._global(name)
        local = self._local(name, callers) or self._global(name)
        return self._on_goroutine(name) if local is None and callers else local

    def _of_gdb(self, name: str) -> Variable | None:
        """A register, a value of gdb's history, or a convenience variable."""
        try:
            value = gdb.parse_and_eval(name)
            t = value.type.strip_typedefs()
            if t.code == gdb.TYPE_CODE_VOID:
                return None
            is_number = t.code == gdb.TYPE_CODE_INT
            if t.code == gdb.TYPE_CODE_PTR and value.address is None:  # as $sp and $pc
                is_number = t.target().code in (gdb.TYPE_CODE_VOID, gdb.TYPE_CODE_FUNC)
            if is_number:
                word = self.arch.pointer_size
                data = self.arch.pack(int(value) & (1 << 8 * word) - 1)
                return Variable(name, GoType(Kind.UINT, "uintptr", word), data=data)
            return replace(self.from_value(value), name=name)
        except gdb.error:
            return None

    def _global(self, name: str) -> Variable | None:
        loaded = self._loaded.get(name) if self._loaded is not None else None
        if loaded is not None:
            try:
                return Variable(name, loaded.type(), loaded.address)
            except BadDwarf:
                pass
        symbol = static_symbol(name)
        return None if symbol is None else self._variables.of_symbol(symbol, None, name, GLOBAL)

    def _local(self, name: str, callers: bool) -> Variable | None:
        for level, frame in enumerate(frames() if callers else islice(frames(), 1)):
            if level and of_runtime(frame.name() or ""):
                continue  # where a program dies, the runtime's own frames come before the user's
            symbol, undeclared = find_in_frame(frame, name)
            if symbol is not None:
                note = f"{name} is taken from frame {frame.level()}, {frame.name()}" if level else None
                found = replace(
                    self._variables.in_frame(symbol, frame, name, self._place(frame), call_of(frame)), note=note
                )
                return self._unset(found, symbol, frame, undeclared)
        return None

    def _unset(self, found: Variable, symbol: gdb.Symbol, frame: gdb.Frame, undeclared: bool) -> Variable:
        """The variable, with a doubt if the line of its declaration shows that it may not be set."""
        if undeclared:
            doubt = not_reached(found.name, symbol.line)
            return replace(found, address=None, data=None, holes=(), parts=(), call=None, doubt=doubt)
        if symbol.is_argument or symbol.line != frame.find_sal().line:
            return found
        return replace(found, doubt=at_declaration(found.name, symbol.line))

    def _on_goroutine(self, name: str) -> Variable | None:
        """A local of the goroutine that the thread runs, where it does so on the system's stack, as in a program
        that died of a fatal error: gdb's own backtrace does not leave that stack."""
        if not self._on_system_stack or self.goroutine is None:
            return None
        own = by_id(goroutines(self)[0], self.goroutine)
        if own is None:
            return None
        with frames_of(own) as frames:
            for level, frame in enumerate(frames[:MAX_FRAMES]):
                function = frame.name() or "?"
                symbol, undeclared = (None, False) if of_runtime(function) else find_in_frame(frame, name)
                if symbol is not None:
                    place = Place("", own.id, level, function, *source(frame))
                    note = f"{name} is taken from frame {level} of goroutine {own.id}, {function}"
                    found = replace(self._variables.in_frame(symbol, frame, name, place, call_of(frame)), note=note)
                    return self._unset(found, symbol, frame, undeclared)
        return None

    @cached_property
    def _on_system_stack(self) -> bool:
        return any(frame.name() in _LEAVES_STACK for frame in frames())

    def _place(self, frame: gdb.Frame) -> Place:
        return Place("", self.goroutine, frame.level(), frame.name(), *source(frame))

    # -- roots -------------------------------------------------------------------------------------

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """Variables of the newest frame that is not the runtime's, innermost scope first."""
        frame = next((f for f in frames() if not of_runtime(f.name() or "")), None)
        if frame is not None:
            for symbol, hidden in declared(frame):
                for found in self._root(symbol, frame, symbol.name.lstrip("&"), wanted):
                    yield replace(found, hidden=hidden)

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """As Target.package_variables: from the files that were read past gdb where that is possible, else from gdb."""
        if self._loaded is None:
            for name, symbol in self._package_variables().items():
                yield from self._root(symbol, None, name, wanted)
            return
        for name, loaded in self._loaded.items():
            try:
                found = Variable(name, loaded.type(), loaded.address)
                is_wanted = wanted(found.type)
            except BadDwarf:
                by_gdb = static_symbol(name)
                if by_gdb is not None:
                    yield from self._root(by_gdb, None, name, wanted)
                continue
            if is_wanted:
                yield found

    # -- goroutines ----------------------------------------------------------------------------------

    @cached_property
    def goroutine(self) -> int | None:
        """The goroutine that gdb's selected thread runs; None where it runs none."""
        thread = gdb.selected_thread()
        return None if thread is None else goroutine_of_thread(self, thread.ptid[1] or thread.ptid[0])

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        """As Target.unwind: gdb unwinds the stack, of a goroutine that no thread runs through gomap's unwinder."""
        with frames_of(goroutine) as frames:
            found = [self._frame(frame, level, goroutine.id, wanted) for level, frame in enumerate(frames)]
        # One that has not started goes on a byte before where gdb was told that it does; so does what was preempted.
        ahead = {(frame.pc, frame.sp) for frame in found if frame.pc == goroutine.pc + 1}
        for newer, frame in zip(found, found[1:]):
            if newer.function == "runtime.asyncPreempt" and self._pushed_below(frame.sp) == frame.pc - 1:
                ahead.add((frame.pc, frame.sp))
        return [replace(frame, pc=frame.pc - 1) if (frame.pc, frame.sp) in ahead else frame for frame in found]

    def registers(self, goroutine: Goroutine) -> Registers | None:
        """As Target.registers, from gdb."""
        return registers_of(goroutine, self.arch)

    @property
    def tracer(self) -> GdbTracer:
        """What lets the program run and stops it at functions."""
        return GdbTracer()

    def _pushed_below(self, sp: int) -> int | None:
        word = self.arch.pointer_size
        try:
            return self.arch.pointer(self.memory.read(sp - word, word))
        except MemoryFault:
            return None

    def _frame(self, frame: gdb.Frame, level: int, goroutine: int, wanted: Wanted) -> Frame:
        function, file, line = frame.name() or "?", *source(frame)
        place = Place("", goroutine, level, function, file, line)
        found = []
        for symbol, hidden in declared(frame):
            if symbol.type is None:
                continue
            name = symbol.name.lstrip("&")
            try:
                if wanted(function, name, self._variables.type(symbol, frame)):
                    local = self._slot(symbol, frame, name, place)
                    found.append(replace(local, variable=replace(local.variable, hidden=hidden)))
            except (OptimizedOut, MemoryFault, gdb.error):
                continue
        return Frame(function, file, line, frame.pc(), stack_pointer(frame), tuple(found))

    def _slot(self, symbol: gdb.Symbol, frame: gdb.Frame, name: str, place: Place) -> Local:
        variable = self._variables.in_frame(symbol, frame, name, place)
        if not symbol.name.startswith("&"):
            return Local(variable)
        return Local(variable, self._variables.of_symbol(symbol, frame, name, place).address)

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """As Target.captured (captures.py)."""
        return self._captures.of(code, slot)

    @cached_property
    def _captures(self) -> Captures:
        return Captures(self._variables, lambda: (self._files.read or ()) if self._loaded is not None else ())

    def from_value(self, value: gdb.Value) -> Variable:
        """A value that gdb's own expression evaluation gave."""
        return self._variables.from_value(value)

    def gdb_type(self, t: GoType) -> gdb.Type | None:
        """gdb's type of t's name, None where that is none, or another type of the name."""
        return self._variables.gdb_type(t)

    def location(self, pc: int) -> Location | None:
        """As Target.location, from gdb's symbols."""
        block = gdb.block_for_pc(pc - 1)
        while block is not None and block.function is None:
            block = block.superblock
        if block is None or block.function is None:
            return None
        sal = gdb.find_pc_line(pc - 1)
        return Location(block.function.name, sal.symtab.fullname() if sal.symtab else None, sal.line or None)

    def names(self, packages: bool) -> list[str]:
        """Names of variables that lead to maps; packages: package variables' too."""
        found = {}
        frame = next((f for f in frames() if not of_runtime(f.name() or "")), None)
        for symbol, undeclared in symbols(frame) if frame is not None else ():
            if not undeclared and symbol.type is not None and can_reach_map(self._variables.type(symbol, frame), True):
                found[symbol.name.lstrip("&")] = True
        if packages:
            if self._loaded is None:
                found.update((name, True) for name in self._package_variables())
            else:
                found.update((name, True) for name, loaded in self._loaded.items() if not loaded.is_plain)
        return list(found)

    def _root(
        self, symbol: gdb.Symbol, frame: gdb.Frame | None, name: str, wanted: Callable[[GoType], bool]
    ) -> Iterator[Variable]:
        """The variable, if its type is wanted and it can be found."""
        try:
            if symbol.type is None or not wanted(self._variables.type(symbol, frame)):
                return
            if frame is not None:
                yield self._variables.in_frame(symbol, frame, name, self._place(frame), call_of(frame))
            else:
                yield self._variables.of_symbol(symbol, None, name, GLOBAL)
        except (OptimizedOut, MemoryFault, gdb.error):
            return

    @cached_property
    def _loaded(self) -> Mapping[str, files.Loaded] | None:
        """The package variables, read past gdb; None where gdb has to be asked for them."""
        if self._files.read is None:
            self._files.read = files.read() or ()
        if not self._files.read:
            return None
        self._files.placed = files.placed(self._files.read, self._files.placed)
        return None if self._files.placed is None else self._files.placed.variables

    def _package_variables(self) -> dict[str, gdb.Symbol]:
        if self._files.variables is None:
            self._files.variables = dict(sorted(package_variables(), key=lambda found: found[0]))
        return self._files.variables


def completed_names(command: Command, words: Sequence[str], typed: str) -> list[str]:
    """Completions of the typed text: names, fields and keys."""
    from gomap import completion

    try:
        target = GdbTarget()
        return completion.of_names(target, command, words, typed, lambda: target.names(bool(typed)))
    except (NoProcess, NoDebugInfo, TargetRunning):
        return []
