"""Slices of bytes that hold text."""

from __future__ import annotations

from collections.abc import Mapping

from gomap.gotypes import GoType, Kind
from gomap.known.look import KnownType, Look
from gomap.spelling import quoted

_WHITE = {ord(c): None for c in "\t\n\r"}


def _text(look: Look, data: bytes) -> str | None:
    """The bytes as text; None where they are not printable UTF-8, or there are no bytes."""
    raw = look.string(data)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(raw) - 3 or error.reason != "unexpected end of data":
            return None
        text = raw[: error.start].decode("utf-8")  # cut within a character
    return text if text and text.translate(_WHITE).isprintable() else None


def _rest(look: Look, data: bytes) -> str:
    arch = look.target.arch
    left = arch.pointer(data, arch.pointer_size) - len(look.string(data))
    return f"...+{left} bytes" if left > 0 else ""


def printable(look: Look, t: GoType, data: bytes) -> str | None:
    """A []byte whose bytes are text: "text", as Go converts a string."""
    text = _text(look, data)
    return None if text is None else quoted(text) + _rest(look, data)


def json(look: Look, t: GoType, data: bytes) -> str | None:
    """json.RawMessage, as it is."""
    text = _text(look, data)
    if text is None:
        return None
    return (text if text.isprintable() else quoted(text)) + _rest(look, data)


TYPES: Mapping[str, KnownType] = {
    "encoding/json.RawMessage": KnownType(json, Kind.SLICE),
    "encoding/json/jsontext.Value": KnownType(json, Kind.SLICE),
}
