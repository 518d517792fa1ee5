"""Where variables of functions lie: in memory, in registers, in pieces, at some instructions and not at others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gomap.errors import MemoryFault, OptimizedOut
from gomap.memory import Memory
from gomap.target import Arch, Variable

One = TypeVar("One")


@dataclass(frozen=True)
class Piece:
    """A piece of a variable. size: in bytes, 0 for the whole of it in one place. It lies at `offset` from the call
    frame's address, in a register (its DWARF number), at an address as linked, or nowhere."""

    size: int
    offset: int | None = None
    register: int | None = None
    address: int | None = None


@dataclass(frozen=True)
class LocationEntry:
    """One entry of a location list: the addresses that it is for, as linked, and the parts in order."""

    start: int
    end: int
    parts: tuple[Piece, ...]


@dataclass(frozen=True)
class Declared:
    """A variable of a function. name: with & in front where it is the pointer to a variable. line: of its declaration,
    0 where that is not told. type_at: where its type's entry is. entries: its location list, None where it has one
    place in the whole function: fixed."""

    name: str
    type_at: int
    line: int
    is_argument: bool
    fixed: tuple[Piece, ...] = ()
    entries: tuple[LocationEntry, ...] | None = None

    def at(self, pc: int) -> tuple[Piece, ...] | None:
        """The parts of the variable at an instruction, none where it lies nowhere there."""
        if self.entries is None:
            return self.fixed
        return next((entry.parts for entry in self.entries if entry.start <= pc < entry.end), ())


def is_whole(entries: Sequence[LocationEntry]) -> bool:
    """Whether a variable that is in a single place somewhere is whole there: a part is in a register before it comes
    into memory, or is an argument's, whose memory is the caller's. Without optimization the list has an argument in
    pieces at first."""
    first = [entry.parts[0] for entry in entries if entry.parts]
    alone = {part.offset for part in first if not part.size}
    pieces = any(part.size for part in first)
    return len(alone) == 1 and all(offset is not None and (offset < 0 or pieces) for offset in alone)


def pieced(
    memory: Memory,
    arch: Arch,
    parts: Sequence[Piece],
    base: int,
    registers: Mapping[int, int],
    variable: Variable,
) -> Variable:
    """The variable, which has no place yet, as far as it lies in memory or in registers that are known. base: the call
    frame's address."""
    t, name = variable.type, variable.name
    if len(parts) == 1 and not parts[0].size and parts[0].register is None:
        at = parts[0].offset
        return replace(variable, address=parts[0].address if at is None else base + at)
    data, holes, read = bytearray(), [], []
    for part in parts:
        size = part.size or t.size
        try:
            if part.register is not None and part.register in registers and size <= arch.pointer_size:
                value = registers[part.register] & (1 << 8 * size) - 1
                data += value.to_bytes(size, arch.byte_order)  # type: ignore[arg-type]
                continue
            if part.offset is None:
                raise OptimizedOut(f"{name} is optimized out")
            read.append((len(data), size, base + part.offset))
            data += memory.read(base + part.offset, size)
        except (OptimizedOut, MemoryFault):
            holes.append((len(data), size))
            data += bytes(size)
    if len(data) < t.size:
        holes.append((len(data), t.size - len(data)))
    return replace(variable, data=bytes(data[: t.size]).ljust(t.size, b"\0"), holes=tuple(holes), parts=tuple(read))


def undeclared(is_argument: bool, declared: int, line: int) -> bool:
    """Whether the declaration is below the function's current line: in debug information a block's variables exist from
    the block's first instruction on, but until their declaration has run their memory has old contents."""
    return not is_argument and bool(line) and declared > line


def meant(named: Iterable[tuple[One, bool, int]], line: int) -> tuple[One | None, bool]:
    """The one of a frame's variables of one name that the name means at the line, and whether its declaration is
    further down; one that is set goes before it, as in `m := m`. named: from the innermost block outward, each with
    whether it is an argument and the line of its declaration."""
    later: One | None = None
    further = False
    for one, is_argument, declared in named:
        below = undeclared(is_argument, declared, line)
        if not below and (is_argument or declared != line):
            return one, False
        if later is None:
            later, further = one, below
    return later, further
