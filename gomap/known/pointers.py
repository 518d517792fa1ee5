"""What points to something: functions, weak.Pointer, unique.Handle."""

from __future__ import annotations

from collections.abc import Mapping

from gomap.gotypes import GoType, Kind
from gomap.known.look import KnownType, Look, field


def function(look: Look, t: GoType, data: bytes) -> str | None:
    """The name of a func value's function. It points to its closure, whose first word is the code."""
    arch = look.target.arch
    address = arch.pointer(data)
    if not address:
        return None
    code = arch.pointer(look.target.memory.read(address, arch.pointer_size))
    found = look.target.location(code + 1)
    return found.function if found is not None and found.function else None


def weak(look: Look, t: GoType, data: bytes) -> str | None:
    """weak.Pointer: u points to a word of the runtime's that the collector clears with the object (weak/pointer.go)."""
    word = field(t, data, "u")
    if word is None:
        return None
    arch = look.target.arch
    handle = arch.pointer(word[1])
    if not handle:
        return "nil"
    address = arch.pointer(look.target.memory.read(handle, arch.pointer_size))
    return f"{address:#x} (alive)" if address else "nil (the object is dead)"


def unique(look: Look, t: GoType, data: bytes) -> str | None:
    """unique.Handle: the value that was made unique."""
    pointer = field(t, data, "value")
    if pointer is None or pointer[0].kind is not Kind.POINTER:
        return None
    address = look.target.arch.pointer(pointer[1])
    held = pointer[0].elem
    return look.part(held, look.load(address, held)) if address else "nil"


TYPES: Mapping[str, KnownType] = {
    "weak.Pointer": KnownType(weak, Kind.STRUCT),
    "unique.Handle": KnownType(unique, Kind.STRUCT, of_key=True),
}
