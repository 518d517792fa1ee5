"""The Target port: everything that a debugger knows and that is not in the program's bytes.

gdbext, delve_bridge, direct and recorded images each provide one. It is small on purpose: whatever follows from these
few answers is computed once, in this package.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Callable, Protocol

from gomap.errors import MemoryFault, NoDebugInfo, NotSet, OptimizedOut
from gomap.gotypes import Field, GoType, Kind
from gomap.memory import Memory

#: Structs of the runtime are smaller, except a few that are never read as a whole.
MAX_RECORD = 1 << 16


@dataclass(frozen=True)
class Arch:
    """name: as Go calls it (amd64, arm64, 386, s390x). byte_order: `little` or `big`."""

    name: str
    pointer_size: int
    byte_order: str

    def uint(self, data: bytes, offset: int, size: int) -> int:
        """The unsigned integer of `size` bytes at `offset` of data."""
        return int.from_bytes(data[offset : offset + size], self.byte_order)  # type: ignore[arg-type]

    def pointer(self, data: bytes, offset: int = 0) -> int:
        """The address at `offset` of data: an unsigned integer of pointer_size bytes."""
        return int.from_bytes(data[offset : offset + self.pointer_size], self.byte_order)  # type: ignore[arg-type]

    def pack(self, value: int) -> bytes:
        """The bytes of a pointer-sized word."""
        return value.to_bytes(self.pointer_size, self.byte_order)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Place:
    """Where a variable was found. kind: local, argument, captured or global."""

    kind: str
    goroutine: int | None = None
    frame: int | None = None
    function: str | None = None
    file: str | None = None
    line: int | None = None


GLOBAL = Place("global")


@dataclass(frozen=True)
class Call:
    """The call that a variable's function waits for; it returns to pc. top: the stack pointer of the function's own
    caller. slot: address of the word that points to the variable, if the variable is not in the frame itself."""

    pc: int
    top: int
    slot: int | None = None


@dataclass(frozen=True)
class Variable:
    """A Go value with its type, in memory at `address` or, when in registers, as `data`.

    holes: parts of `data`, as (offset, size), that are optimized out.
    parts: parts of `data`, as (offset, size, address), that were read from the frame.
    call: the call that its function waits for; None if it waits for none, or the debugger does not report it.
    note: what the user should know about the lookup of the name.
    doubt: why it may not be set yet, or be dead. A variable with a doubt and without a place is not set.
    hidden: a variable of an inner scope of the frame has the same name.
    """

    name: str
    type: GoType
    address: int | None = None
    data: bytes | None = None
    holes: tuple[tuple[int, int], ...] = ()
    place: Place = GLOBAL
    note: str | None = None
    parts: tuple[tuple[int, int, int], ...] = ()
    call: Call | None = None
    doubt: str | None = None
    hidden: bool = False

    def read(self, memory: Memory, offset: int, size: int) -> bytes:
        """`size` bytes of the value from `offset`. Raises MemoryFault, OptimizedOut, NotSet."""
        if self.data is not None:
            for start, length in self.holes:
                if offset < start + length and start < offset + size:
                    raise OptimizedOut(f"{self.name} is optimized out here: the compiler keeps no copy of it")
            return self.data[offset : offset + size]
        if self.address is None:
            if self.doubt is not None:
                raise NotSet(self.doubt)
            raise OptimizedOut(f"{self.name} is optimized out here: the compiler keeps no copy of it")
        return memory.read(self.address + offset, size)

    def part(self, name: str, t: GoType, offset: int) -> Variable:
        """A field or an element of it: a value of type t, `offset` bytes into it."""
        if self.address is not None:
            return replace(self, name=name, type=t, address=self.address + offset, call=None)
        if self.data is None:  # it lies nowhere, and so do its parts
            return replace(self, name=name, type=t)
        data = self.data[offset : offset + t.size]
        holes = tuple(
            (max(start - offset, 0), min(start + length, offset + t.size) - max(start, offset))
            for start, length in self.holes
            if start < offset + t.size and offset < start + length
        )
        return replace(self, name=name, type=t, data=data, holes=holes, parts=(), call=None)

    def content(self, memory: Memory) -> bytes:
        """The whole value, as far as it is needed to follow it: if a slice's capacity is optimized out, as it often is,
        its length is used instead. Raises MemoryFault, OptimizedOut."""
        size = self.type.size
        try:
            return self.read(memory, 0, size)
        except OptimizedOut:
            if self.type.kind is not Kind.SLICE:
                raise
        known = self.read(memory, 0, 2 * size // 3)
        return known + known[size // 3 :]


@dataclass(frozen=True)
class Goroutine:
    """A goroutine that is not dead (runtime.g of runtime/runtime2.go).

    address: *runtime.g. status: as a traceback of the runtime names it, the reason where it waits.
    pc, sp, bp: where it goes on, or entered a system call; stale while a thread runs it in user code.
    stack: lowest and highest address of its stack. created_at: the pc after its go statement, 0 for the first.
    thread: the operating system's id of the thread that runs it, None for one that is parked.
    collected: the collector has looked at its stack since it waits.
    deferred: *runtime._defer, its newest deferred call that has a record; 0 for none.
    """

    id: int
    address: int
    status: str
    pc: int
    sp: int
    bp: int
    stack: tuple[int, int]
    created_at: int = 0
    thread: int | None = None
    start: int = 0
    deferred: int = 0
    collected: bool = False


@dataclass(frozen=True)
class Local:
    """A variable of a frame. slot: address of the stack's word that points to it, for one that the compiler
    moved to the heap or that a closure captured by reference. dead: its function does not need it here. pointed_to: nor
    does it need this one, which is alive while something alive on the stack points to it (runtime/liveness.py)."""

    variable: Variable
    slot: int | None = None
    pointed_to: bool = False
    dead: bool = False


@dataclass(frozen=True)
class Frame:
    """One call on a goroutine's stack. A call that was inlined is a frame of its own, in front of the one it was
    inlined into, with the same pc and sp. sp: the stack pointer while the frame waits for its callee; 0 where the
    debugger does not tell."""

    function: str
    file: str | None
    line: int | None
    pc: int
    sp: int
    locals: tuple[Local, ...] = ()


#: Frames of one goroutine that are looked at: more are the sign of endless recursion.
MAX_FRAMES = 1 << 12
#: Which variables a frame is asked for: (function, name, type).
Wanted = Callable[[str, str, GoType], bool]


@dataclass(frozen=True)
class Registers:
    """pc, sp: of a thread, or of code that it was interrupted in. values: all that are known: by DWARF number where no
    debugger gave them, else in the debugger's order."""

    pc: int
    sp: int
    values: Mapping[int, int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Captured:
    """A variable that a closure captured: at `offset` of the closure (runtime.funcval); None if the debugger does not
    know the offset. by_reference: the closure has a pointer to it; None if that is not known. of_dictionary: its type
    comes from the closure's own dictionary, and may differ in other closures of the function."""

    name: str
    type: GoType
    offset: int | None
    by_reference: bool | None
    of_dictionary: bool = False


@dataclass(frozen=True)
class Location:
    """A place in the program's text."""

    function: str
    file: str | None
    line: int | None


class Target(Protocol):
    """A stopped Go program, as seen through one debugger.

    backend: gdb, delve, direct (no debugger) or image. kind: live, core or recorded.
    go_version: what the binary says, for display and never for choosing a layout; None when unknown.
    package: full path of the package whose function is selected, so that its variables need no prefix.
    running: how many of its threads run on while it is looked at.
    """

    backend: str
    kind: str
    running: int
    arch: Arch
    memory: Memory

    @property
    def go_version(self) -> str | None:
        """What the binary says (go1.27.3); None where it says nothing."""

    @property
    def package(self) -> str | None:
        """The full path of the selected function's package; None where no Go function is selected."""

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """The variable of that name as debug information has it: a local of the selected frame or, where
        that has none, of the nearest older frame (then with a note; not without `callers`), or a package variable
        or constant by its full name (a constant's value is in `data`)."""
        ...

    def find_type(self, name: str) -> GoType | None:
        """The type that debug information has under this name."""
        ...

    def symbol(self, name: str) -> int | None:
        """Address of the linker symbol."""
        ...

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """Variables of the selected frame whose type is wanted, innermost scope first. Lazy."""
        ...

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """Package variables whose type is wanted. Lazy: the caller may stop at any time."""
        ...

    @property
    def goroutine(self) -> int | None:
        """Id of the goroutine that is selected."""
        ...

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        """The goroutine's frames, the newest first, each with the variables that are wanted.

        Raises GomapError for a stack that can't be unwound. What the user has selected stays selected.
        """
        ...

    def registers(self, goroutine: Goroutine) -> Registers | None:
        """The registers of the thread that runs the goroutine, if the thread is stopped; None if they are not known."""
        ...

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """What the closures of the function at `code` have captured. slot: address of a func value of one."""
        ...

    def location(self, pc: int) -> Location | None:
        """The function and line of the instruction before pc, a return address."""
        ...


@dataclass
class Kept:
    """Results that commands keep for later commands at the same stop. A front end passes it to each target that it
    makes (as `kept`) until the program has run. heap: analysis/whole_heap.py. certain: whether the front end notices
    everything that changes memory; if not, kept results are first compared with memory."""

    heap: object = None
    certain: bool = True


def kept_of(target: Target) -> Kept | None:
    """None where nothing is kept from one command to the next."""
    found: Kept | None = getattr(target, "kept", None)
    return found


def without_names(target: Target) -> str | None:
    """The note that names are not known because the program is stripped; None if it is not stripped."""
    said: str | None = getattr(target, "stripped", None)
    return said


def settled(target: Target, goroutine: Goroutine) -> Goroutine:
    """The goroutine with its stack as of one moment. If the program runs while it is read, the target has its own
    `settled`, which copies the stack. Raises GomapError if the goroutine does not stay where it is."""
    own = getattr(target, "settled", None)
    found: Goroutine = goroutine if own is None else own(goroutine)
    return found


def build_version(arch: Arch, memory: Memory, found: Variable | None) -> str | None:
    """The value of runtime.buildVersion, a string; None if it can't be read."""
    if found is None or found.type.kind is not Kind.STRING:
        return None
    try:
        head = found.read(memory, 0, found.type.size)
        length = min(arch.pointer(head, arch.pointer_size), 256)
        return memory.read(arch.pointer(head), length).decode("utf-8", "replace")
    except (MemoryFault, OptimizedOut):
        return None


class RelayingTarget:
    """A target that answers what another one does, for those that do something else with some of the questions.
    goroutine: None, unless a subclass sets it."""

    goroutine: int | None = None

    def __init__(self, inner: Target) -> None:
        self.inner = inner
        self.backend, self.kind, self.arch = inner.backend, inner.kind, inner.arch
        self.running = inner.running
        self.memory: Memory = inner.memory

    @property
    def go_version(self) -> str | None:
        """As Target.go_version."""
        return self.inner.go_version

    @property
    def package(self) -> str | None:
        """As Target.package."""
        return self.inner.package

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """As Target.variable."""
        return self.inner.variable(name, callers)

    def find_type(self, name: str) -> GoType | None:
        """As Target.find_type."""
        return self.inner.find_type(name)

    def symbol(self, name: str) -> int | None:
        """As Target.symbol."""
        return self.inner.symbol(name)

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """As Target.frame_variables."""
        return self.inner.frame_variables(wanted)

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """As Target.package_variables."""
        return self.inner.package_variables(wanted)

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        """As Target.unwind."""
        return self.inner.unwind(goroutine, wanted)

    def registers(self, goroutine: Goroutine) -> Registers | None:
        """As Target.registers."""
        return self.inner.registers(goroutine)

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """As Target.captured."""
        return self.inner.captured(code, slot)

    def location(self, pc: int) -> Location | None:
        """As Target.location."""
        return self.inner.location(pc)


@dataclass(frozen=True)
class Record:
    """Bytes of a runtime struct beside its type: integer fields by name."""

    arch: Arch
    type: GoType
    address: int
    data: bytes = field(repr=False)

    def __getitem__(self, name: str) -> int:
        """The field as an unsigned integer (pointers as addresses)."""
        found = self._field(name)
        if found.type.size > 8 or found.offset + found.type.size > len(self.data):
            raise NoDebugInfo(f"{self.type.name} has a field {name} that is not an integer")
        return self.arch.uint(self.data, found.offset, found.type.size)

    def address_of(self, name: str) -> int:
        """Where the field lies in memory. Raises NoDebugInfo where there is none of that name."""
        return self.address + self._field(name).offset

    def with_values(self, **values: int) -> Record:
        """The record with other values of these fields. Raises NoDebugInfo where there is none of that name."""
        data = bytearray(self.data)
        for name, value in values.items():
            at, size = (found := self._field(name)).offset, found.type.size
            data[at : at + size] = value.to_bytes(size, self.arch.byte_order)  # type: ignore[arg-type]
        return replace(self, data=bytes(data))

    def _field(self, name: str) -> Field:
        return field_of(self.type, name)

    def signed(self, name: str) -> int:
        """The field as its type says: negative numbers of an int."""
        found, value = self.type.field(name), self[name]
        if found is not None and found.type.kind is Kind.INT and value >> (8 * found.type.size - 1):
            value -= 1 << 8 * found.type.size
        return value

    def get(self, name: str, default: int = 0) -> int:
        """The field as an unsigned integer, or the default where the struct has no such field."""
        return self[name] if self.type.field(name) else default


def read_record(target: Target, t: GoType, address: int) -> Record:
    """The runtime struct of type t at `address`. Raises MemoryFault, NoDebugInfo."""
    if t.size > MAX_RECORD:
        raise NoDebugInfo(f"{t.name} has {t.size:,} bytes: unexpected debug information (unsupported Go version?)")
    return Record(target.arch, t, address, target.memory.read(address, t.size))


def field_of(t: GoType, name: str) -> Field:
    """A struct's field. Raises NoDebugInfo."""
    found = t.field(name)
    if found is None:
        raise NoDebugInfo(f"{t.name} has no field {name}: unexpected debug information (unsupported Go version?)")
    return found


def integer_at(t: GoType, path: str) -> tuple[int, int]:
    """(offset, size) of a field of a field; of a struct around one number (mSpanStateBox, atomic.Uint8) that number's.
    Raises NoDebugInfo."""
    offset, inner = 0, t
    for name in path.split("."):
        found = field_of(inner, name)
        offset, inner = offset + found.offset, found.type
    while inner.kind is Kind.STRUCT:
        sized = [f for f in inner.fields if f.type.size and f.name != "_"]
        if len(sized) != 1:
            raise NoDebugInfo(
                f"{t.name}.{path} is not an integer: unexpected debug information (unsupported Go version?)"
            )
        offset, inner = offset + sized[0].offset, sized[0].type
    return offset, inner.size


def offsets(t: GoType) -> Mapping[str, int]:
    """The offset of each field of a struct type, in bytes, by name."""
    return {f.name: f.offset for f in t.fields}


def unpacker(arch: Arch, places: Sequence[tuple[int, int]]) -> Callable[[Any], tuple[int, ...]]:
    """A function that takes the unsigned integers at places (offset, size) out of a record, in that order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    code, at = "<" if arch.byte_order == "little" else ">", 0
    for i in order:
        offset, size = places[i]
        code += "x" * (offset - at) + {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
        at = offset + size
    unpack_from = struct.Struct(code).unpack_from
    pick = itemgetter(*(order.index(i) for i in range(len(places))))
    return lambda data: pick(unpack_from(data))
