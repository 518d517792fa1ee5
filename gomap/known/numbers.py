"""Numbers, flags and values that may be missing: math/big, sync/atomic, database/sql."""

from __future__ import annotations

from collections.abc import Mapping

from gomap.golang.layouts.slots import MAX_ITEM
from gomap.gotypes import GoType, Kind, atomic_pointee, fixed
from gomap.known.look import KnownType, Look, field, number

#: Words of one number that are read: 19,000 digits, which Python still makes a text of in milliseconds.
MAX_WORDS = 1 << 10


def _whole(look: Look, t: GoType, data: bytes) -> int | None:
    """The value of a big.Int (math/big/int.go)."""
    sign, words = number(look, t, data, "neg"), field(t, data, "abs")
    if sign is None or words is None or words[0].kind is not Kind.SLICE:
        return None
    arch = look.target.arch
    count, width = arch.pointer(words[1], arch.pointer_size), words[0].elem.size
    if count > MAX_WORDS or count * width > MAX_ITEM:
        return None
    content = look.target.memory.read(arch.pointer(words[1]), count * width) if count else b""
    value = sum(arch.uint(content, i * width, width) << 8 * width * i for i in range(count))
    return -value if sign else value


def big_int(look: Look, t: GoType, data: bytes) -> str | None:
    """A big.Int in decimal; None where it can't be read or is too long."""
    value = _whole(look, t, data)
    return None if value is None else _decimal(value)


#: Digits that str() and int() take in every Python: recent ones refuse more than some 4,300.
_DIGITS = 4000


def whole(text: str) -> int:
    """The number that the decimal digits are, behind a sign or none, however many they are."""
    digits, value = text.lstrip("-"), 0
    for at in range(0, len(digits), _DIGITS):
        part = digits[at : at + _DIGITS]
        value = value * 10 ** len(part) + int(part)
    return -value if text.startswith("-") else value


def _decimal(value: int) -> str:
    """The number in decimal, however large it is."""
    size = 10**_DIGITS
    if abs(value) < size:
        return str(value)
    parts, left = [], abs(value)
    while left:
        left, part = divmod(left, size)
        parts.append(str(part).rjust(_DIGITS, "0"))
    return ("-" if value < 0 else "") + "".join(reversed(parts)).lstrip("0")


def big_rat(look: Look, t: GoType, data: bytes) -> str | None:
    """a/b; a big.Rat that was never set has no denominator, and is 0/1."""
    a, b = field(t, data, "a"), field(t, data, "b")
    if a is None or b is None:
        return None
    above, below = _whole(look, *a), _whole(look, *b)
    return None if above is None or below is None else f"{_decimal(above)}/{_decimal(below or 1)}"


def atomic(look: Look, t: GoType, data: bytes) -> str | None:
    """atomic.Int64 and its like: the number; atomic.Value: what it holds."""
    found = field(t, data, "v")
    return None if found is None else look.part(*found)


def atomic_bool(look: Look, t: GoType, data: bytes) -> str | None:
    """What an atomic.Bool holds: true or false."""
    value = number(look, t, data, "v")
    return None if value is None else "true" if value else "false"


def atomic_pointer(look: Look, t: GoType, data: bytes) -> str | None:
    """The pointer in an atomic.Pointer[T]."""
    found, word = atomic_pointee(t), look.target.arch.pointer_size
    if found is None:
        return None
    offset, pointee = found
    pointer = GoType(Kind.POINTER, f"*{pointee.name}", word, lazy_elem=fixed(pointee))
    return look.part(pointer, data[offset : offset + word])


def nullable(look: Look, t: GoType, data: bytes) -> str | None:
    """sql.NullString and its like: the value, or NULL."""
    valid = number(look, t, data, "Valid")
    if valid is None or len(t.fields) != 2 or t.fields[1].name != "Valid":
        return None
    first = t.fields[0]
    return look.part(first.type, data[first.offset : first.offset + first.type.size]) if valid else "NULL"


_NULLS = ("Bool", "Byte", "Float64", "Int16", "Int32", "Int64", "String", "Time", "")
_ATOMICS = ("Int32", "Int64", "Uint32", "Uint64", "Uintptr", "Value")

TYPES: Mapping[str, KnownType] = {
    "math/big.Int": KnownType(big_int, Kind.STRUCT, by_pointer=True),
    "math/big.Rat": KnownType(big_rat, Kind.STRUCT, by_pointer=True),
    "sync/atomic.Bool": KnownType(atomic_bool, Kind.STRUCT),
    "sync/atomic.Pointer": KnownType(atomic_pointer, Kind.STRUCT),
    **{f"sync/atomic.{name}": KnownType(atomic, Kind.STRUCT) for name in _ATOMICS},
    **{f"database/sql.Null{name}": KnownType(nullable, Kind.STRUCT) for name in _NULLS},
}
