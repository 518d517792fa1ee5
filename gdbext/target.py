"""gdb as a Target: memory, types, variables. Reads only; evaluates nothing that could run code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, Callable, ClassVar, Literal

import gdb

from gdbext import files, generics, locations
from gdbext.stacks import call_frame, frames_of, has_registers, runs_on, stack_pointer, waiting
from gdbext.types import Converter, member, offset
from gomap import elf
from gomap.dwarf import BadDwarf, DebugInfo, Kept
from gomap.errors import GomapError, MemoryFault, NoDebugInfo, NoProcess, OptimizedOut, TargetRunning, WrongProgram
from gomap.golang import dictionaries
from gomap.golang.closures import MAX_CAPTURED, Part, captured
from gomap.golang.dictionaries import Arguments, Dictionary, candidates, is_shaped
from gomap.golang.goroutines import by_id, goroutine_of_thread, goroutines
from gomap.golang.liveness import at_declaration, not_reached
from gomap.golang.pclntab import Functions
from gomap.golang.pieces import are_all
from gomap.golang.rtype import Types
from gomap.gotypes import GoType, Kind, can_reach_map
from gomap.gotypes import same as same_type
from gomap.memory import Buffer, CachedMemory, Memory, Read, one_by_one
from gomap.process import ProcessMemory, same
from gomap.target import (
    GLOBAL,
    Arch,
    Call,
    Captured,
    Frame,
    Goroutine,
    Local,
    Location,
    Place,
    Variable,
    Wanted,
    build_version,
    read_record,
)

_ARCHITECTURES = {
    "i386:x86-64": "amd64",
    "i386": "386",
    "aarch64": "arm64",
    "s390:64-bit": "s390x",
    "powerpc:common64": "ppc64",
    "riscv:rv64": "riscv64",
}
#: What leaves a goroutine's stack for the system's: gdb finds no caller behind it, or a wrong one.
_LEAVES_STACK = frozenset({"runtime.systemstack", "runtime.mcall", "runtime.morestack", "runtime.asmcgocall"})
#: Frames searched outward for a local variable.
MAX_FRAMES = 256
#: Kinds of values that may be in pieces.
_OF_WORDS = frozenset({Kind.STRUCT, Kind.ARRAY, Kind.SLICE, Kind.INTERFACE})
#: Plugins searched for the symbols of one.
MAX_MODULES = 256
#: Programs are moved by multiples of it.
PAGE = 4096
#: Types of variables that may lead to maps: what is not predeclared has a capital, a dot or a bracket in its name, or
#: is error.
_TYPED = r"^error$\|[^a-z0-9]"
#: What gdb has by these names is C's, of another size (its go-lang.c).
_WORDS = {"int": Kind.INT, "uint": Kind.UINT}
#: A variable as gdb lists it: `\tmain.Registry *main.Shared;`.
_LISTED = re.compile(r"^\t(?!static )\S.*[ *](\S+);$", re.M)


class GdbMemory:
    """Memory of the inferior that is selected now."""

    def __init__(self, of_core: bool) -> None:
        self._read = gdb.selected_inferior().read_memory
        self._of_core = of_core

    def read(self, address: int, size: int) -> bytes:
        if size <= 0:
            return b""
        if address < 0 or address + size > 1 << 64:
            raise MemoryFault(address, size, "no such address")
        return bytes(self._view(address, size))

    def _view(self, address: int, size: int) -> memoryview:
        # For what a core file lacks gdb reads the program's file, where variables have their values of the start.
        if any(start < address + size and address < end for start, end in self._cut_off):
            raise elf.CutShort(address, size)
        try:
            return self._read(address, size)
        except (gdb.error, OverflowError) as error:
            raise MemoryFault(address, size) from error

    @cached_property
    def _cut_off(self) -> list[tuple[int, int]]:
        """What the core file should have and has not."""
        path = core_path() if self._of_core else None
        return elf.cut_off(path) if path is not None else []

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """gomap.memory.stream: past gdb where the process is on this machine, else as gdb has it, not copied."""
        if self._process is None:
            yield from self._views(pieces)
            return
        for address, size, data in self._process.stream(pieces):
            if isinstance(data, MemoryFault):
                yield from one_by_one(self, [(address, size)])
            else:
                yield address, size, data

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> Buffer | None:
        return None if self._process is None else self._process.joined(addresses, sizes)

    def _views(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        for address, size in pieces:
            try:
                yield address, size, self._view(address, size)
            except MemoryFault as fault:
                yield address, size, fault

    @cached_property
    def _process(self) -> ProcessMemory | None:
        """Memory of the process itself, if this gdb runs it and both read the same of it."""
        inferior = gdb.selected_inferior()
        if inferior.connection is None or inferior.connection.type != "native":
            return None
        try:
            m0 = gdb.parse_and_eval("&'runtime.m0'")  # its thread's id and random numbers: no other process has these
            direct = ProcessMemory(inferior.pid)
        except (OSError, gdb.error):
            return None
        if same(direct, self, int(m0), m0.type.target().sizeof):
            return direct
        direct.close()
        return None


@dataclass
class _Known:
    """What was learnt of a program's files, until they change."""

    converters: dict[Arch, Converter] = field(default_factory=dict)
    #: Package variables that may lead to maps, by name, where gdb had to be asked for them.
    variables: dict[str, gdb.Symbol] | None = None
    #: The files whose debug information is read past gdb, none where it can't be; None: not tried yet.
    read: Sequence[files.File] | None = None
    locations: locations.Known = field(default_factory=dict)
    #: The dictionaries of generic functions; None where they are not known, False: not looked for yet.
    dictionaries: generics.Symbols | Literal[False] = False
    #: The process (its pid and gdb's connection to it) that was found to run these files.
    process: tuple[int, int] | None = None


class GdbTarget:
    """The program that gdb has selected, as it is stopped now. Made anew for each command."""

    backend = "gdb"
    #: By program: gdb may hold several at once, each with types and variables of its own.
    _known: ClassVar[dict[gdb.Progspace, _Known]] = {}

    def __init__(self) -> None:
        inferior = gdb.selected_inferior()
        connection = inferior.connection
        if not inferior.pid:
            refused = refused_core()
            raise NoProcess(
                f"no process: {refused}"
                if refused is not None
                else "no process: start one with run, attach PID or target remote, or open a core with core FILE"
            )
        if _is_running():
            if any(not thread.is_running() for thread in inferior.threads()):
                raise TargetRunning("the selected thread is running: select one that is not (info threads, thread N)")
            raise TargetRunning("the program is running: stop it first (Ctrl-C or interrupt)")
        self.running = sum(runs_on(thread) for thread in inferior.threads())
        self.kind = "core" if connection is not None and connection.type == "core" else "live"
        self.memory: Memory = CachedMemory(GdbMemory(self.kind == "core"))
        self.arch = _arch()
        self._files = self._known.setdefault(inferior.progspace, _Known())
        self._converter = self._files.converters.setdefault(self.arch, Converter(self.arch))
        process = None if connection is None else (inferior.pid, connection.num)
        if process is None or process != self._files.process:
            if self._is_of_another_build():
                raise WrongProgram(_wrong_program(self.kind, inferior))
            self._files.process = process

    @classmethod
    def forget(cls) -> None:
        """Drops what was learnt of programs' files, which have changed."""
        cls._known.clear()

    def _is_of_another_build(self) -> bool:
        """The linker writes where its sections end into a runtime.moduledata (symtab.go of cmd/link/internal/ld);
        in memory of another build these words are something else, or elsewhere. A plugin has one of its own, and
        the symbols may be the plugin's. Before a PIE's first instruction they are as far off as it will be moved."""
        first = self._global("runtime.firstmoduledata")
        found = {name: self.symbol(f"runtime.{name}") for name in ("etext", "edata", "end")}
        ends = {name: end for name, end in found.items() if end is not None}
        if first is None or first.address is None or len(ends) < len(found):
            return False
        functions = self.symbol("runtime.pclntab")
        if functions is not None:
            ends["pcHeader"] = functions
        address, path = first.address, core_path()
        lost = elf.cut_off(path) if path is not None else []
        seen: set[int] = set()
        try:
            while address and len(seen) < MAX_MODULES and address not in seen:
                if any(start < address + first.type.size and address < end for start, end in lost):
                    return False  # gdb may read the program's file instead, where a PIE's words are not in place yet
                seen.add(address)
                module = read_record(self, first.type, address)
                moved = {end - module[name] for name, end in ends.items()}
                if moved == {0} or (self.kind == "live" and len(moved) == 1 and not moved.pop() % PAGE):
                    return False
                address = module["next"]
        except MemoryFault:
            pass
        return True

    @property
    def go_version(self) -> str | None:
        return build_version(self.arch, self.memory, self._global("runtime.buildVersion"))

    @property
    def package(self) -> str | None:
        for frame in _frames():
            name = frame.name()
            if name and not _in_runtime(name):
                return _package(name)
        return None

    # -- names -------------------------------------------------------------------------------------

    def find_type(self, name: str) -> GoType | None:
        if name in _WORDS:
            return GoType(_WORDS[name], name, self.arch.pointer_size)
        found = _type_named(name)
        return None if found is None else self._converter.convert(found)

    def symbol(self, name: str) -> int | None:
        if "'" in name:
            return None
        try:
            return int(gdb.parse_and_eval(f"&'{name}'"))
        except gdb.error:
            return None

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        if "." in name:
            return self._global(name)
        local = self._local(name, callers) or self._global(name)
        return self._on_goroutine(name) if local is None and callers else local

    def _global(self, name: str) -> Variable | None:
        loaded = self._loaded.get(name) if self._loaded is not None else None
        if loaded is not None:
            try:
                return Variable(name, loaded.type(), loaded.address)
            except BadDwarf:
                pass
        symbol = _static_symbol(name)
        return None if symbol is None else self._of_symbol(symbol, None, name, GLOBAL)

    def _local(self, name: str, callers: bool) -> Variable | None:
        for level, frame in enumerate(_frames() if callers else islice(_frames(), 1)):
            if level and _in_runtime(frame.name() or ""):
                continue  # where a program dies, the runtime's own frames come before the user's
            symbol, undeclared = _find_in_frame(frame, name)
            if symbol is not None:
                note = f"{name} is taken from frame {frame.level()}, {frame.name()}" if level else None
                found = replace(self._in_frame(symbol, frame, name, self._place(frame), _call(frame)), note=note)
                return self._unset(found, symbol, frame, undeclared)
        return None

    def _unset(self, found: Variable, symbol: gdb.Symbol, frame: gdb.Frame, undeclared: bool) -> Variable:
        """The variable, with what the line of its declaration tells of whether it is set."""
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
                symbol, undeclared = (None, False) if _in_runtime(function) else _find_in_frame(frame, name)
                if symbol is not None:
                    place = Place("", own.id, level, function, *_source(frame))
                    note = f"{name} is taken from frame {level} of goroutine {own.id}, {function}"
                    found = replace(self._in_frame(symbol, frame, name, place, _call(frame)), note=note)
                    return self._unset(found, symbol, frame, undeclared)
        return None

    @cached_property
    def _on_system_stack(self) -> bool:
        return any(frame.name() in _LEAVES_STACK for frame in _frames())

    def _place(self, frame: gdb.Frame) -> Place:
        return Place("", self.goroutine, frame.level(), frame.name(), *_source(frame))

    def _in_frame(
        self, symbol: gdb.Symbol, frame: gdb.Frame, name: str, place: Place, call: Call | None = None
    ) -> Variable:
        """place: the frame's, without the kind. call: where its function stands, for one that is asked for alone."""
        captured = symbol.name.startswith("&")
        place = replace(place, kind="captured" if captured else "argument" if symbol.is_argument else "local")
        found = self._of_symbol(symbol, frame, name, place)
        if captured and not name.startswith("&"):  # debug information has the pointer to the variable
            address = self.arch.pointer(found.read(self.memory, 0, self.arch.pointer_size))
            call = None if call is None or found.address is None else replace(call, slot=found.address)
            return Variable(name, found.type.elem, address, place=place, call=call)
        return found if call is None else replace(found, call=call)

    def _of_symbol(self, symbol: gdb.Symbol, frame: gdb.Frame | None, name: str, place: Place) -> Variable:
        t = self._type(symbol, frame)
        try:
            if not symbol.needs_frame or frame is None:
                return self._of_value(symbol.value(), t, name, place)
            value = symbol.value(frame)
            if value.address is None or t.kind in _OF_WORDS:
                told = locations.told(symbol, frame, self._files.locations)
                parts = () if told is None else told.parts
                pieces = [part.size for part in parts if part.size]
                if told is not None and not told.whole and not are_all(t, pieces, self.arch.pointer_size):
                    return Variable(name, t, place=place)
                if not has_registers(frame) and (told is not None or t.kind not in _OF_WORDS):
                    return self._in_memory(parts, call_frame(frame), t, name, place)
            return self._of_value(value, t, name, place)
        except (gdb.error, GomapError):
            return Variable(name, t, place=place)

    def _type(self, symbol: gdb.Symbol, frame: gdb.Frame | None) -> GoType:
        """The type of a variable, in a generic function with the types that it was called with, where these can be
        told: else with their shapes."""
        of_gdb = _type_of(symbol)
        t = self._converter.convert(of_gdb)
        if frame is None or not is_shaped(t):
            return t
        index = dictionaries.index_of(of_gdb.name)
        if index is None and symbol.name.startswith("&") and t.kind is Kind.POINTER:
            actual = self._actual(frame, None, t.elem)
            return t if actual is None else dictionaries.pointer_to(actual, self.arch.pointer_size)
        return self._actual(frame, index, t) or t

    def _actual(self, frame: gdb.Frame, index: int | None, shape: GoType) -> GoType | None:
        possible = self._dictionaries(frame)
        found = self._arguments.actual(possible, index, shape)
        if found is not None or len(possible) < 2:
            return found
        given = generics.given_by_caller(self, frame, possible, self._dictionaries)
        return self._arguments.actual(given, index, shape)

    def _dictionaries(self, frame: gdb.Frame) -> Sequence[Dictionary]:
        """The dictionaries that the frame's function may have got."""
        symbol = generics.variable(frame)
        if symbol is not None and (
            generics.is_plain(symbol) or locations.told(symbol, frame, self._files.locations) is not None
        ):
            try:
                place = self._place(frame)
                data = self._of_symbol(symbol, frame, symbol.name, place).read(self.memory, 0, self.arch.pointer_size)
                return [Dictionary(self.arch.pointer(data), generics.words(symbol))]
            except GomapError:
                pass
        return candidates(self._all_dictionaries or {}, frame.name() or "")

    @property
    def _all_dictionaries(self) -> generics.Symbols:
        if self._files.dictionaries is False:
            self._files.dictionaries = generics.symbols(self.symbol(dictionaries.ANCHOR), self.arch.pointer_size)
        return self._files.dictionaries

    @cached_property
    def _arguments(self) -> Arguments:
        return Arguments(Types(self))

    def _in_memory(self, parts: Sequence[locations.Part], base: int, t: GoType, name: str, place: Place) -> Variable:
        """A variable of a function that has called another, as far as it lies in memory. base: its call frame's."""
        if len(parts) == 1 and not parts[0].size:
            at = parts[0].offset
            return Variable(name, t, None if at is None else base + at, place=place)
        data, holes, read = bytearray(), [], []
        for part in parts:
            try:
                if part.offset is None:
                    raise OptimizedOut(f"{name} is optimized out")
                read.append((len(data), part.size, base + part.offset))
                data += self.memory.read(base + part.offset, part.size)
            except (OptimizedOut, MemoryFault):
                holes.append((len(data), part.size))
                data += bytes(part.size)
        if len(data) < t.size:
            holes.append((len(data), t.size - len(data)))
        whole = bytes(data).ljust(t.size, b"\0")
        return Variable(name, t, None, whole, tuple(holes), place, parts=tuple(read))

    def from_value(self, value: gdb.Value) -> Variable:
        """A value that gdb's own expression evaluation gave."""
        return self._of_value(value, self._type_of_value(value), "this", GLOBAL)

    def _type_of_value(self, value: gdb.Value) -> GoType:
        """The value's type: where it is a variable of the selected frame's generic function, as `_type` has it."""
        t = self._converter.convert(value.type)
        if not is_shaped(t):
            return t
        try:
            frame = gdb.selected_frame()
            for symbol, _ in _symbols(frame):
                if symbol.type == value.type and _is_one(symbol.value(frame), value):
                    return self._type(symbol, frame)
        except gdb.error:
            pass
        return t

    def gdb_type(self, t: GoType) -> gdb.Type | None:
        """gdb's type of t's name, None where that is none, or another type of the name."""
        try:
            if t.kind is Kind.POINTER and t.name == f"*{t.elem.name}":  # gdb finds no pointers by name
                elem = self.gdb_type(t.elem)
                return None if elem is None else elem.pointer()
            found = _type_named(t.name)
            return found if found is not None and same_type(self._converter.convert(found), t, behind=2) else None
        except GomapError:
            return None

    def _of_value(self, value: gdb.Value, t: GoType, name: str, place: Place) -> Variable:
        try:
            if value.address is not None:
                return Variable(name, t, int(value.address), place=place)
            data, holes = self._bytes(value, t)
        except gdb.error:
            return Variable(name, t, place=place)
        return Variable(name, t, None, data, tuple(holes), place)

    def _bytes(self, value: gdb.Value, t: GoType) -> tuple[bytes, list[tuple[int, int]]]:
        """The bytes of a value that lies in registers, and the parts (offset, size) that lie nowhere."""
        buffer, holes = bytearray(t.size), []  # type: bytearray, list[tuple[int, int]]
        self._fill(value, value.type.strip_typedefs(), 0, buffer, holes)
        return bytes(buffer), holes

    def _fill(self, value: gdb.Value, t: gdb.Type, base: int, buffer: bytearray, holes: list[tuple[int, int]]) -> None:
        size = self.arch.pointer_size if t.code == gdb.TYPE_CODE_FUNC else t.sizeof
        try:
            if t.code == gdb.TYPE_CODE_STRUCT:
                for field in t.fields():
                    inner = member(t, field.name or "").strip_typedefs()
                    self._fill(value[field], inner, base + offset(field), buffer, holes)
                return
            if t.code == gdb.TYPE_CODE_ARRAY:
                low, high = t.range()
                for i in range(low, high + 1):
                    inner = t.target().strip_typedefs()
                    self._fill(value[i], inner, base + (i - low) * inner.sizeof, buffer, holes)
                return
            if value.is_optimized_out:
                holes.append((base, size))
                return
            if t.code == gdb.TYPE_CODE_FLT:
                word = value.reinterpret_cast(gdb.lookup_type(f"uint{8 * size}"))
                number = int(word)
            else:
                number = int(value)
            if not number and _is_left_out(value):
                holes.append((base, size))
                return
        except gdb.error:
            holes.append((base, size))
            return
        mask = (1 << 8 * size) - 1
        buffer[base : base + size] = (number & mask).to_bytes(size, self.arch.byte_order)  # type: ignore[arg-type]

    # -- roots -------------------------------------------------------------------------------------

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """Variables of the newest frame that is not the runtime's, innermost scope first."""
        frame = next((f for f in _frames() if not _in_runtime(f.name() or "")), None)
        if frame is not None:
            for symbol, undeclared in _symbols(frame):
                if not undeclared:
                    yield from self._root(symbol, frame, symbol.name.lstrip("&"), wanted)

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        if self._loaded is None:
            for name, symbol in self._package_variables().items():
                yield from self._root(symbol, None, name, wanted)
            return
        for name, loaded in self._loaded.items():
            try:
                found = Variable(name, loaded.type(), loaded.address)
                is_wanted = wanted(found.type)
            except BadDwarf:
                by_gdb = _static_symbol(name)
                if by_gdb is not None:
                    yield from self._root(by_gdb, None, name, wanted)
                continue
            if is_wanted:
                yield found

    # -- goroutines ----------------------------------------------------------------------------------

    @cached_property
    def goroutine(self) -> int | None:
        thread = gdb.selected_thread()
        return None if thread is None else goroutine_of_thread(self, thread.ptid[1] or thread.ptid[0])

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        with frames_of(goroutine) as frames:
            found = [self._frame(frame, level, goroutine.id, wanted) for level, frame in enumerate(frames)]
        # One that has not started goes on a byte before where gdb was told that it does; so does what was preempted.
        ahead = {(frame.pc, frame.sp) for frame in found if frame.pc == goroutine.pc + 1}
        for newer, frame in zip(found, found[1:]):
            if newer.function == "runtime.asyncPreempt" and self._pushed_below(frame.sp) == frame.pc - 1:
                ahead.add((frame.pc, frame.sp))
        return [replace(frame, pc=frame.pc - 1) if (frame.pc, frame.sp) in ahead else frame for frame in found]

    def _pushed_below(self, sp: int) -> int | None:
        word = self.arch.pointer_size
        try:
            return self.arch.pointer(self.memory.read(sp - word, word))
        except MemoryFault:
            return None

    def _frame(self, frame: gdb.Frame, level: int, goroutine: int, wanted: Wanted) -> Frame:
        function, file, line = frame.name() or "?", *_source(frame)
        place = Place("", goroutine, level, function, file, line)
        found = []
        for symbol, undeclared in _symbols(frame):
            if undeclared or symbol.type is None:
                continue
            name = symbol.name.lstrip("&")
            try:
                if wanted(function, name, self._type(symbol, frame)):
                    found.append(self._slot(symbol, frame, name, place))
            except (OptimizedOut, MemoryFault, gdb.error):
                continue
        return Frame(function, file, line, frame.pc(), stack_pointer(frame), tuple(found))

    def _slot(self, symbol: gdb.Symbol, frame: gdb.Frame, name: str, place: Place) -> Local:
        variable = self._in_frame(symbol, frame, name, place)
        if not symbol.name.startswith("&"):
            return Local(variable)
        return Local(variable, self._of_symbol(symbol, frame, name, place).address)

    @cached_property
    def _functions(self) -> Functions:
        return Functions(self)

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """From debug information that is read past gdb, which drops DW_AT_go_closure_offset; else the variables of the
        function that were declared before it, with no place."""
        try:
            name = self._functions.name(code)
            for file in self._files.read or () if self._loaded is not None else ():
                kept = file.info.captured(name)
                if kept is not None:
                    return self._kept(file.info, name, kept, slot)
        except (BadDwarf, GomapError):
            pass
        return self._declared_before(code, slot)

    def _kept(self, info: DebugInfo, function: str, kept: Sequence[Kept], slot: int) -> Sequence[Captured]:
        word = self.arch.pointer_size
        own = self.memory.read(self.arch.pointer(self.memory.read(slot, word)), word * (1 + MAX_CAPTURED))
        parts, dictionary = [], []
        for one in kept:
            if one.offset + word > len(own):
                continue
            t = info.type(one.type_at)
            if one.name == dictionaries.VARIABLE and t.kind is Kind.POINTER and t.elem.kind is Kind.ARRAY:
                dictionary.append(Dictionary(self.arch.pointer(own, one.offset), t.elem.length))
            if one.name.startswith("&") and t.kind is Kind.POINTER:
                parts.append(Part(one.name[1:], t.elem, None, self.arch.pointer(own, one.offset)))
            else:
                parts.append(Part(one.name, t, one.offset))
        found = captured(parts, own, self.arch)
        if not any(is_shaped(part.type) for part in found):
            return found
        its = dictionary or self._captured_dictionaries(function, slot, found)
        return dictionaries.with_arguments(found, self._arguments, its)

    def _declared_before(self, code: int, slot: int) -> Sequence[Captured]:
        block = gdb.block_for_pc(code)
        while block is not None and block.function is None:
            block = block.superblock
        if block is None or block.function is None or block.start != code:
            return ()
        line, parts = block.function.line, []
        for symbol in block:
            if symbol.is_argument or symbol.name.startswith("~") or symbol.type is None:
                continue
            if symbol.is_variable and symbol.line <= line:
                by_reference = symbol.name.startswith("&")
                t = self._converter.convert(symbol.type.target() if by_reference else symbol.type)
                parts.append(Captured(symbol.name.lstrip("&"), t, None, by_reference))
        if not any(is_shaped(part.type) for part in parts):
            return parts
        return dictionaries.with_arguments(
            parts, self._arguments, self._captured_dictionaries(block.function.name, slot, parts)
        )

    def _captured_dictionaries(self, function: str, slot: int, parts: Sequence[Captured]) -> list[Dictionary]:
        """The dictionary that the closure has captured. Where it lies in the closure gdb does not tell, either."""
        word = self.arch.pointer_size
        size = word * (1 + sum(1 if part.by_reference else -(-part.type.size // word) for part in parts))
        try:
            closure = self.memory.read(self.arch.pointer(self.memory.read(slot, word)), size)
        except MemoryFault:
            return []
        held = {self.arch.pointer(closure, at) for at in range(word, size, word)}
        return [one for one in candidates(self._all_dictionaries or {}, function) if one.address in held]

    def location(self, pc: int) -> Location | None:
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
        frame = next((f for f in _frames() if not _in_runtime(f.name() or "")), None)
        for symbol, undeclared in _symbols(frame) if frame is not None else ():
            if not undeclared and symbol.type is not None and can_reach_map(self._type(symbol, frame), True):
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
            if symbol.type is None or not wanted(self._type(symbol, frame)):
                return
            if frame is not None:
                yield self._in_frame(symbol, frame, name, self._place(frame), _call(frame))
            else:
                yield self._of_symbol(symbol, None, name, GLOBAL)
        except (OptimizedOut, MemoryFault, gdb.error):
            return

    @cached_property
    def _loaded(self) -> Mapping[str, files.Loaded] | None:
        """The package variables, read past gdb; None where gdb has to be asked for them."""
        if self._files.read is None:
            self._files.read = files.read() or ()
        return files.placed(self._files.read) if self._files.read else None

    def _package_variables(self) -> dict[str, gdb.Symbol]:
        if self._files.variables is None:
            self._files.variables = dict(sorted(_package_variables(), key=lambda found: found[0]))
        return self._files.variables


def _is_running() -> bool:
    """While gdb works out a breakpoint's condition the thread counts as running, but its frames can be seen."""
    thread = gdb.selected_thread()
    if thread is None or not thread.is_running():
        return False
    try:
        gdb.selected_frame()
    except gdb.error:
        return True
    return False


def _arch() -> Arch:
    try:
        gdb.lookup_type("runtime.g")  # gdb has a uintptr of its own for any program with Go's symbols
        pointer_size = gdb.lookup_type("uintptr").sizeof
        little = int(gdb.Value(b"\1\0", gdb.lookup_type("uint16"))) == 1
    except gdb.error as error:
        raise NoDebugInfo(_why_no_debug_info()) from error
    frame = next(_frames(), None)
    name = frame.architecture().name() if frame is not None else ""
    return Arch(_ARCHITECTURES.get(name, name), pointer_size, "little" if little else "big")


def _why_no_debug_info() -> str:
    """Told of the Go program or library among gdb's files, else of the program."""
    files = [str(o.filename) for o in gdb.objfiles() if o.filename and os.path.isfile(o.filename)]
    space = gdb.current_progspace()
    program = space.filename if space is not None else None
    if program is None and not files:
        return "no Go debug information: gdb has no program's file: load it (file PROG)"
    of_go = next((path for path in files if elf.is_go(path)), program)
    return elf.why_no_debug_info(of_go if of_go and os.path.isfile(of_go) else None)


def _wrong_program(kind: str, inferior: gdb.Inferior) -> str:
    if kind == "core":
        return "the core file comes from another build of the program: load the one that dumped it (file PROG)"
    connection = inferior.connection
    here = connection is not None and connection.type == "native"
    file = f"/proc/{inferior.pid}/exe" if here else "PROG"
    return f"process {inferior.pid} runs another program or build than gdb has the file of: load its own (file {file})"


def core_path() -> str | None:
    """The core file that gdb has open."""
    core = getattr(gdb.selected_inferior(), "corefile", None)  # from gdb 17 on
    if core is not None:
        return str(core.filename)
    # Older gdbs tell it in words alone.
    found = re.search(r"core dump file:\s+`(.*)', file type", gdb.execute("info files", to_string=True))
    return found.group(1) if found else None


def refused_core() -> str | None:
    """Why gdb did not take the core file on its command line, where that can be told by looking at it."""
    try:
        with open("/proc/self/cmdline", "rb") as file:
            words = [os.fsdecode(word) for word in file.read().split(b"\0")[1:]]
    except OSError:
        return None
    if not {"--args", "-args"}.isdisjoint(words):
        return None  # what follows the program is for the program
    for before, word in zip(["", *words], words):
        path = word.partition("=")[2] if word.startswith(("--core=", "-core=")) else word
        of_option = before.startswith("-") and before not in ("-c", "-core", "--core", "-q", "-nx", "-batch")
        if of_option or not os.path.isfile(path):
            continue
        problem = elf.why_no_core(path)
        if problem is not None and elf.was_meant_as_core(path):
            return problem
    return None


def _is_go(symtab: gdb.Symtab | None) -> bool:
    """Whether the Go toolchain made what lies there, and not a C compiler (DW_AT_producer of its unit)."""
    producer = getattr(symtab, "producer", None)
    return not producer or producer.startswith("Go ")


def _frames() -> Iterator[gdb.Frame]:
    """The selected frame and those that called it, up to MAX_FRAMES."""
    try:
        frame: gdb.Frame | None = gdb.selected_frame()
    except gdb.error:
        return
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        yield frame
        try:
            frame = frame.older()
        except gdb.error:
            return


def _source(frame: gdb.Frame) -> tuple[str | None, int | None]:
    sal = frame.find_sal()
    return (sal.symtab.fullname() if sal.symtab else None), sal.line or None


def _type_named(name: str) -> gdb.Type | None:
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        pass
    try:  # gdb 13 has string types with a name of their own among the structs alone
        found = gdb.lookup_static_symbol(name, gdb.SYMBOL_STRUCT_DOMAIN)
    except gdb.error:
        return None
    return None if found is None else found.type


def _is_one(one: gdb.Value, other: gdb.Value) -> bool:
    """Whether two values of one type are one variable, or the same pointer in registers."""
    if one.address is not None or other.address is not None:
        return bool(one.address == other.address)
    return one.type.strip_typedefs().code == gdb.TYPE_CODE_PTR and int(one) == int(other)


def _symbols(frame: gdb.Frame) -> Iterator[tuple[gdb.Symbol, bool]]:
    """Variables of a frame from the innermost block outward, with whether they are declared further down.

    A block's variables exist in debug information from its first instruction on, but hold whatever was
    there before until their declaration has run. C functions have none that matter here.
    """
    try:
        block: gdb.Block | None = frame.block()
    except (RuntimeError, gdb.error):
        return
    function = frame.function()
    if function is not None and not _is_go(function.symtab):
        return
    line = frame.find_sal().line
    while block is not None:
        for symbol in block:
            if symbol.is_variable or symbol.is_argument:
                yield symbol, not symbol.is_argument and bool(line) and symbol.line > line
        if block.function is not None:
            return
        block = block.superblock


def _call(frame: gdb.Frame) -> Call | None:
    try:
        return waiting(frame)
    except (gdb.error, GomapError):
        return None


def _find_in_frame(frame: gdb.Frame, name: str) -> tuple[gdb.Symbol | None, bool]:
    """The variable, and whether its declaration is further down; one that is set goes before it, as in `m := m`."""
    line, later, further = frame.find_sal().line, None, False
    for symbol, undeclared in _symbols(frame):
        if symbol.name != name and symbol.name != "&" + name:
            continue
        if not undeclared and (symbol.is_argument or symbol.line != line):
            return symbol, False
        if later is None:
            later, further = symbol, undeclared
    return later, further


def _is_left_out(value: gdb.Value) -> bool:
    """Whether the location of a variable ends before this piece of it. gdb 13 takes that for a DW_OP_implicit_pointer,
    which Go never writes, reads zeros and says so only where it prints."""
    return value.format_string(raw=True, max_elements=1) == "<synthetic pointer>"


def _static_symbol(name: str) -> gdb.Symbol | None:
    try:
        found = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    except gdb.error:
        return None
    return found if found is not None and (found.is_variable or found.is_constant) else None


def _type_of(symbol: gdb.Symbol) -> gdb.Type:
    if symbol.type is None:
        raise NoDebugInfo(f"the debug information gives {symbol.name} no type")
    return symbol.type


def _package_variables() -> Iterator[tuple[str, gdb.Symbol]]:
    """Package variables with debug information whose type is more than a plain number or string.

    gdb's Python has no list of all symbols. A command lists the names by file; one of each file leads to that
    compilation unit's block, which holds the symbols. Looking every name up would take gdb a
    millisecond each: a Go program has tens of thousands, most of them constants.
    """
    found = set()
    for names in _names_by_file():
        for name in names:
            if name in found:
                break  # a file of a unit that has been seen
            first = _static_symbol(name)
            if first is None or first.symtab is None or not first.is_variable:
                continue
            if _is_go(first.symtab):
                for symbol in first.symtab.global_block():
                    if symbol.is_variable and "." in symbol.name:  # C's have no package
                        found.add(symbol.name)
                        yield symbol.name, symbol
            break


def _names_by_file() -> Iterator[list[str]]:
    """Names of variables that are no constants, a list for each file. Whoever uses one looks it up first."""
    if hasattr(gdb, "execute_mi"):  # from gdb 14 on
        symbols: Any = gdb.execute_mi("-symbol-info-variables", "--type", _TYPED)["symbols"]
        for file in symbols.get("debug", []):
            yield [one["name"] for one in file["symbols"] if not one["description"].startswith("static ")]
        return
    # gdb 13's `interpreter-exec mi` calls itself without end (or dies) once a program was started again.
    quoted = _TYPED.replace("\\", "\\\\")
    for file in gdb.execute(f'info variables -q -n -t "{quoted}"', to_string=True).split("\nFile "):
        yield _LISTED.findall(file)


def _package(function: str) -> str:
    """Package path of a function's full name: example.com/x/pkg.(*T).Method -> example.com/x/pkg."""
    slash = function.rfind("/") + 1
    dot = function.find(".", slash)
    return function[:dot] if dot >= 0 else function


def _in_runtime(function: str) -> bool:
    return _package(function) in ("runtime", "internal/runtime/maps", "internal/runtime/sys")


def visible_names(typed: str) -> list[str]:
    """Names that can be completed: the frame's variables that lead to maps, package variables after a dot."""
    try:
        target = GdbTarget()
    except (NoProcess, NoDebugInfo, TargetRunning):
        return []
    return target.names("." in typed)
