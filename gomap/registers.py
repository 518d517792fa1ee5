"""Registers of threads, by the numbers that debug information has for them: from core files, ptrace, signal frames."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gomap.target import Arch, Registers

#: The program counter in the lists below; SKIP marks registers that are not needed.
PC, SKIP = -1, -2


@dataclass(frozen=True)
class _Machine:
    """names: what debuggers call the registers, by DWARF number; the program counter's is apart, in `pc`.
    pid, saved: where struct elf_prstatus has the thread's id and its registers. order: the registers there
    (user_regs_struct). sp, link: DWARF numbers of the stack pointer and of the link register. to_context: from where a
    signal's handler returns to, the ucontext, or (`indirect`) a pointer to it. context: where that has registers;
    in_context: these, in order (struct sigcontext)."""

    names: Sequence[str]
    pc: str
    pid: int
    saved: int
    order: Sequence[int]
    sp: int
    link: int | None = None
    to_context: int | None = None
    indirect: bool = False
    context: int = 0
    in_context: Sequence[int] = ()


_MACHINES = {
    "amd64": _Machine(
        names=("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", *(f"r{i}" for i in range(8, 16))), pc="rip",
        pid=32, saved=112, sp=7, to_context=0, context=40,
        order=(15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5, SKIP, PC, SKIP, SKIP, 7),
        in_context=(8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, PC),
    ),
    "386": _Machine(
        names=("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"), pc="eip",
        pid=24, saved=72, sp=4, to_context=8, indirect=True, context=20,
        order=(3, 1, 2, 6, 7, 5, 0, SKIP, SKIP, SKIP, SKIP, SKIP, PC, SKIP, SKIP, 4),
        in_context=(SKIP, SKIP, SKIP, SKIP, 7, 6, 5, 4, 3, 2, 1, 0, SKIP, SKIP, PC),
    ),
    "arm64": _Machine(
        names=(*(f"x{i}" for i in range(31)), "sp"), pc="pc",
        pid=32, saved=112, sp=31, link=30, to_context=128, context=184,
        order=(*range(32), PC), in_context=(*range(32), PC),
    ),
    "s390x": _Machine(
        names=tuple(f"r{i}" for i in range(16)), pc="pswa",
        pid=32, saved=112, sp=15, link=14, order=(SKIP, PC, *range(16)),
    ),
}  # fmt: skip


def link_register(arch: Arch) -> int | None:
    """Number of the register that a call leaves its return address in; None where calls push it, or it is not known."""
    machine = _MACHINES.get(arch.name)
    return None if machine is None else machine.link


def of_note(arch: Arch, note: bytes) -> tuple[int, Registers] | None:
    """(thread, its registers) of a core file's NT_PRSTATUS; None where the machine is not known."""
    machine = _MACHINES.get(arch.name)
    if machine is None or len(note) < machine.pid + 4:
        return None
    found = of_set(arch, note[machine.saved :])
    return None if found is None else (arch.uint(note, machine.pid, 4), found)


def of_set(arch: Arch, data: bytes) -> Registers | None:
    """A register set as ptrace gives it (PTRACE_GETREGSET, NT_PRSTATUS); None where the machine is not known."""
    machine = _MACHINES.get(arch.name)
    return None if machine is None else _registers(arch, machine, machine.order, data)


def context_of(arch: Arch, sp: int) -> tuple[int, bool, int] | None:
    """(address, whether only a pointer to the registers' ucontext lies there, bytes to read of that): where the kernel
    saved the registers of the code that a signal interrupted. sp: the stack pointer that the signal's handler has when
    it returns. None where the machine is not known."""
    machine = _MACHINES.get(arch.name)
    if machine is None or machine.to_context is None:
        return None
    return sp + machine.to_context, machine.indirect, machine.context + arch.pointer_size * len(machine.in_context)


def of_context(arch: Arch, data: bytes) -> Registers | None:
    """The registers in a ucontext."""
    machine = _MACHINES.get(arch.name)
    return None if machine is None else _registers(arch, machine, machine.in_context, data[machine.context :])


def _registers(arch: Arch, machine: _Machine, order: Sequence[int], data: bytes) -> Registers | None:
    word, sign = arch.pointer_size, "<" if arch.byte_order == "little" else ">"
    if len(data) < word * len(order):
        return None
    values = dict(zip(order, struct.unpack_from(f"{sign}{len(order)}{'Q' if word == 8 else 'I'}", data)))
    values.pop(SKIP, None)
    pc = values.pop(PC)
    return Registers(pc, values[machine.sp], values)


def of_names(arch: Arch, values: Mapping[str, int]) -> Registers | None:
    """The registers that a debugger has by their names; None where the machine is not known, or one that leads to the
    stack is missing."""
    machine = _MACHINES.get(arch.name)
    pc = values.get(machine.pc) if machine is not None else None
    if machine is None or pc is None:
        return None
    found = {number: values[name] for number, name in enumerate(machine.names) if name in values}
    return Registers(pc, found[machine.sp], found) if machine.sp in found else None


def of_notes(arch: Arch, notes: Iterable[bytes]) -> dict[int, Registers]:
    """The registers of a core file's threads, first those of the thread in which the program died. notes:
    NT_PRSTATUS."""
    return dict(found for found in (of_note(arch, note) for note in notes) if found is not None)
