"""Which package variables a function's code refers to, told from its machine code."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gomap.errors import GomapError
from gomap.golang.runtime.pclntab import Functions
from gomap.target import Target

#: Bytes of code in front of a call that are looked at.
MAX_CODE = 1 << 14
#: Bytes of a call on amd64, and in front of it that set its arguments.
CALL_SIZE, MAX_ARGUMENTS = 5, 96
LOAD_SIZE, BX = 7, 3
MOV, LEA = 0x8B, 0x8D
#: Opcodes of amd64 with operands as of MOV, by the bytes of the constant behind these; those that write to the register
#: and not to the operand; those of the registers for floats.
_PLAIN = {
    **dict.fromkeys((0x01, 0x03, 0x29, 0x2B, 0x31, 0x33, 0x63, 0x88, 0x89, 0x8B, 0x8D, 0xFB6, 0xFB7, 0xFBE, 0xFBF), 0),
    **dict.fromkeys((0xF10, 0xF11, 0xF1F, 0xF28, 0xF57), 0),
    **dict.fromkeys((0x83, 0xC6), 1),
    **dict.fromkeys((0x81, 0xC7), 4),
}
_TO_REGISTER = frozenset({0x03, 0x2B, 0x33, 0x63, 0x8B, 0x8D, 0xFB6, 0xFB7, 0xFBE, 0xFBF})
_OF_FLOATS = frozenset({0xF10, 0xF11, 0xF28, 0xF57})
#: Prefixes that make an operand a short (and a constant of four bytes one of two) or a float.
_PREFIXES, _SHORT, _NOP = frozenset({0x66, 0xF2, 0xF3}), 0x66, 0xF1F


def referenced(target: Target, pc: int, addresses: Collection[int]) -> list[int]:
    """Those of the addresses that the instructions between the beginning of pc's function and pc refer to, the nearest
    to pc first. pc: a return address. Nothing on architectures whose instructions do not hold an address in one piece.

    amd64: an offset of 4 bytes from the instruction's end, behind which a load or store of a pointer has nothing.
    386: the address.
    """
    if not addresses or target.arch.name not in ("amd64", "386"):
        return []
    try:
        start = max(Functions(target).entry(pc - 1), pc - MAX_CODE)
        code = target.memory.read(start, pc - start)
    except GomapError:
        return []
    return list(dict.fromkeys(a for a in _operands(code, start, target.arch.name == "amd64") if a in addresses))


def passed(target: Target, pc: int, addresses: Collection[int]) -> int | None:
    """The one of the addresses whose contents are the second argument of the call that returns to pc, as a map is in
    calls of the runtime; None where the code in front of the call does not show that.

    amd64: MOVQ variable(SB), register, and no other value in BX at the call (cmd/compile/abi-internal.md).
    """
    return next((found for found, held in _loaded(target, pc, addresses, MOV) if BX in held), None)


def given(target: Target, pc: int, addresses: Collection[int]) -> int | None:
    """The one of the addresses that itself is an argument, whichever, of the call that returns to pc, as a generic
    function's dictionary is; None where the code in front of the call does not show that.

    amd64: LEAQ symbol(SB), register, and a register that still has it at the call.
    """
    return next((found for found, held in _loaded(target, pc, addresses, LEA) if held), None)


def _loaded(target: Target, pc: int, addresses: Collection[int], opcode: int) -> Iterator[tuple[int, set[int]]]:
    """(address, the registers that have its value at the call that returns to pc) of each instruction in front of the
    call that loads one of the addresses into a register, the nearest to the call first."""
    if not addresses or target.arch.name != "amd64":
        return
    try:
        start = max(Functions(target).entry(pc - 1), pc - CALL_SIZE - MAX_ARGUMENTS)
        code = target.memory.read(start, pc - CALL_SIZE - start)
    except GomapError:
        return
    for at in range(len(code) - LOAD_SIZE, -1, -1):
        rex, operation, operands = code[at : at + 3]
        if rex in (0x48, 0x4C) and operation == opcode and operands & 0xC7 == 0x05:
            end = at + LOAD_SIZE
            found = start + end + int.from_bytes(code[end - 4 : end], "little", signed=True)
            if found in addresses:
                yield found, _holding(code[end:], (operands >> 3 & 7) | (rex & 4) << 1)


def _holding(code: bytes, register: int) -> set[int]:
    """The registers that have the value of this one when these instructions of amd64 have run; none where one of them
    is not of the plain kinds that set a call's arguments."""
    holding, at = {register}, 0
    while at < len(code):
        prefix = code[at] if code[at] in _PREFIXES else 0
        at += prefix > 0
        rex = code[at] if at < len(code) and 0x40 <= code[at] <= 0x4F else 0
        at += rex > 0
        opcode = int.from_bytes(code[at : at + (2 if code[at : at + 1] == b"\x0f" else 1)], "big")
        at += 2 if opcode > 0xFF else 1
        if opcode == 0x90 and not rex:
            continue
        if 0xB8 <= opcode <= 0xBF:  # MOV of a constant
            holding.discard(opcode & 7 | (rex & 1) << 3)
            at += 8 if rex & 8 else 4
            continue
        if opcode not in _PLAIN or at >= len(code) or (prefix == _SHORT and _PLAIN[opcode] > 1):
            return set()
        operands = code[at]
        mode, reg, operand = operands >> 6, (operands >> 3 & 7) | (rex & 4) << 1, operands & 7 | (rex & 1) << 3
        indexed = mode < 3 and operands & 7 == 4
        wide = mode == 2 or (
            mode == 0 and (operands & 7 == 5 or (indexed and code[at + 1 : at + 2] and code[at + 1] & 7 == 5))
        )
        at += 1 + indexed + (4 if wide else mode == 1) + _PLAIN[opcode]
        if opcode == _NOP:
            continue
        if opcode in (0x89, 0x8B) and mode == 3 and rex & 8:
            source, to = (reg, operand) if opcode == 0x89 else (operand, reg)
            holding = holding | {to} if source in holding else holding - {to}
        elif opcode in _TO_REGISTER:
            holding.discard(reg)
        elif mode == 3 and opcode not in _OF_FLOATS:
            holding -= {reg, operand}
    return holding


def _operands(code: bytes, start: int, relative: bool) -> Iterator[int]:
    """What each four bytes of the code would refer to, from its end on."""
    for at in range(len(code) - 4, -1, -1):
        value = int.from_bytes(code[at : at + 4], "little", signed=relative)
        yield start + at + 4 + value if relative else value


def root_of(target: Target, path: str) -> int | None:
    """Address of the package variable that the path begins with: of main.Keep for main.Keep.Stats.Counts."""
    if path.startswith("'"):
        found = target.variable(path[1:].partition("'")[0])
        return None if found is None else found.address
    dot = path.find(".", path.rfind("/", 0, path.find("[") if "[" in path else len(path)) + 1)
    end = next((i for i in range(dot + 1, len(path)) if path[i] in ".[("), len(path))
    found = target.variable(path[:end]) if dot > 0 else None
    return None if found is None else found.address
