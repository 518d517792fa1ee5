"""What formatters are given, and how they take a value apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional, Protocol

from gomap.gotypes import GoType, Kind
from gomap.target import Target


class Look(Protocol):
    """A place within the values of one target (values.py)."""

    @property
    def target(self) -> Target:
        """The program that the value is in."""

    def part(self, t: GoType, data: bytes) -> str:
        """A value within the one that is formatted, as it is shown there."""
        ...

    def string(self, data: bytes) -> bytes:
        """The bytes of a string or of a slice of bytes, all that may be shown. Raises MemoryFault."""
        ...

    def load(self, address: int, t: GoType) -> bytes:
        """The bytes of a value, as far as they are shown. Raises MemoryFault."""
        ...

    def held(self, t: GoType, data: bytes) -> tuple[GoType, bytes] | None:
        """What an interface holds; None for nil."""
        ...

    def message(self, t: GoType, data: bytes) -> str | None:
        """The message of an error that an interface of type t holds; None where its fields do not hold the message."""
        ...


#: Gives the text, None where the value has fields that the formatter does not know. Raises GomapError.
Formatter = Callable[[Look, GoType, bytes], Optional[str]]


@dataclass(frozen=True)
class KnownType:
    """text: the formatter. kind: the kind that the type has to have. by_pointer: values are used through pointers,
    which are shown as what they point to. of_key: what a key is shown by as well."""

    text: Formatter
    kind: Kind | None = None
    by_pointer: bool = False
    of_key: bool = False


def field(t: GoType, data: bytes, *names: str) -> tuple[GoType, bytes] | None:
    """Type and bytes of the field that has the first of these names, None where there is none."""
    for name in names:
        found = t.field(name)
        if found is not None:
            return found.type, data[found.offset : found.offset + found.type.size]
    return None


def number(look: Look, t: GoType, data: bytes, name: str) -> int | None:
    """The integer in a field."""
    found = field(t, data, name)
    if found is None:
        return None
    return integer(look, found[0], found[1])


def integer(look: Look, t: GoType, data: bytes) -> int:
    """The integer of type t that data begins with."""
    order = look.target.arch.byte_order
    return int.from_bytes(data[: t.size], order, signed=t.kind is Kind.INT)  # type: ignore[arg-type]


def text_of(look: Look, t: GoType, data: bytes, name: str) -> str | None:
    """The string in a field; bytes that are not UTF-8 as surrogates."""
    found = field(t, data, name)
    if found is None or found[0].kind is not Kind.STRING:
        return None
    return look.string(found[1]).decode("utf-8", "surrogateescape")
