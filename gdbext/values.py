"""The bytes of values that lie in no memory: in registers, or nowhere."""

from __future__ import annotations

import gdb

from gdbext.types import member, offset
from gomap.gotypes import GoType
from gomap.target import (
    Arch,
)


def bytes_of(value: gdb.Value, t: GoType, arch: Arch) -> tuple[bytes, list[tuple[int, int]]]:
    """The bytes of a value that lies in registers, and the parts (offset, size) that lie nowhere."""
    buffer, holes = bytearray(t.size), []  # type: bytearray, list[tuple[int, int]]
    _fill(arch, value, value.type.strip_typedefs(), 0, buffer, holes)
    return bytes(buffer), holes


def _fill(
    arch: Arch, value: gdb.Value, t: gdb.Type, base: int, buffer: bytearray, holes: list[tuple[int, int]]
) -> None:
    size = arch.pointer_size if t.code == gdb.TYPE_CODE_FUNC else t.sizeof
    try:
        if t.code == gdb.TYPE_CODE_STRUCT:
            for field in t.fields():
                inner = member(t, field.name or "").strip_typedefs()
                _fill(arch, value[field], inner, base + offset(field), buffer, holes)
            return
        if t.code == gdb.TYPE_CODE_ARRAY:
            low, high = t.range()
            for i in range(low, high + 1):
                inner = t.target().strip_typedefs()
                _fill(arch, value[i], inner, base + (i - low) * inner.sizeof, buffer, holes)
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
    buffer[base : base + size] = (number & mask).to_bytes(size, arch.byte_order)  # type: ignore[arg-type]


def _is_left_out(value: gdb.Value) -> bool:
    """Whether the location of a variable ends before this piece of it. gdb 13 takes that for a DW_OP_implicit_pointer,
    which Go never writes, reads zeros and says so only where it prints."""
    return value.format_string(raw=True, max_elements=1) == "<synthetic pointer>"
