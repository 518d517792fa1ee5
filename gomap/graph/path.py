"""How one gets from a variable to what it leads to, and how that is written."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple, Union

from gomap.errors import MemoryFault
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.syntax import closes
from gomap.target import GLOBAL, Place, Target
from gomap.values import Limits, Values

#: How much of a key is spelt out in a path.
KEY = Limits(depth=2, text=128, total=256)


class KeyPart(NamedTuple):
    """Part of a path: what a key leads to, or the key itself. form: how it is written, with {} for the key; empty
    where that takes too long. behind, address: type and address of what it leads to."""

    type: GoType
    data: bytes | None
    form: str
    behind: GoType
    address: int


class CapturedName(str):
    """Part of a path: a captured variable."""


_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")
#: Part of a path: what a pointer points to, where Go wants that written down.
DEREF = "(*)"
#: The variable's name, fields (".a.b"), ".Load()", ".(T)", DEREF; 0xADDR:TYPE in brackets, in place of what is before
#: it; an index; or a key.
PathPart = Union[str, int, KeyPart]


class Path:
    """The way to a value: what it is behind, and the last part of it. A variable's own has its name alone, and its
    place is that of the variable."""

    __slots__ = ("before", "part", "place")

    def __init__(self, before: Path | None, part: PathPart, place: Place = GLOBAL) -> None:
        self.before, self.part = before, part
        self.place: Place = place if before is None else before.place

    @property
    def parts(self) -> list[PathPart]:
        """All parts, the variable's name first."""
        found, path = [self.part], self.before
        while path is not None:
            found.append(path.part)
            path = path.before
        return found[::-1]

    @property
    def root(self) -> str:
        """The variable's name."""
        path = self
        while path.before is not None:
            path = path.before
        return str(path.part)

    @property
    def shape(self) -> str:
        """The path with * in place of each index, key and address: s.sessions[*].Tags. No key is read for it."""
        return "".join(self.steps)

    @property
    def steps(self) -> list[str]:
        """The parts of the path's shape.

        A step, or two in turn, that are repeated are there once: the elements of a list, and the nodes of a tree at
        whatever depth, are of one shape.
        """
        first, *parts = self.parts
        # A root without a name has its address: of a goroutine's stack, or in the data, where it tells variables apart.
        done = [str(first) if self.place.kind == "global" else _shape(first)]
        for part in parts:
            one = _shape(part)
            if one[:1] == "(" and done:
                done = [f"(*{''.join(done)})"] if one == DEREF else [one]
            elif len(done) > 1 and done[-1] == one and one != "[*]":
                continue
            elif len(done) > 3 and done[-2] == one and done[-3] == done[-1]:
                done.pop()
            else:
                done.append(one)
        return done

    @property
    def varies(self) -> bool:
        """Whether an index, key or address is in the path: its shape is that of other elements, too."""
        first, *parts = self.parts
        return (self.place.kind != "global" and _varies(first)) or any(map(_varies, parts))

    @property
    def kind(self) -> str:
        """What the value is to what it lies in, as docs/json.md has it."""
        path = self
        while path.before is not None and path.part == DEREF:
            path = path.before
        if path.before is None:
            return self.place.kind
        part = path.part
        if isinstance(part, str):
            return "captured" if isinstance(part, CapturedName) else "interface" if part.startswith(".(") else "field"
        return "map-value" if isinstance(part, KeyPart) else "element"


def _shape(part: PathPart) -> str:
    if isinstance(part, str):
        return _ADDRESS.sub("*", part)
    if isinstance(part, int):
        return "[*]"
    return part.form.format("*") if part.form else f"(*:{part.behind.name})"


def _varies(part: PathPart) -> bool:
    return not isinstance(part, str) or _ADDRESS.search(part) is not None


class Names:
    """Writes paths down."""

    def __init__(self, target: Target, types: DescribedTypes) -> None:
        self.target = target
        self.values = Values(target, KEY, types, comments=False)

    def text(self, path: Path) -> str:
        """The path as an expression."""
        if path.before is None:
            return str(path.part)
        first, *parts = path.parts
        text = str(first)
        for part in parts:
            text = self.extended(text, part)
        return text

    def extended(self, text: str, part: PathPart) -> str:
        """The text with one part behind it. What a key that can't be typed leads to is 0xADDR:TYPE in brackets."""
        if isinstance(part, str):
            return f"(*{text})" if part == DEREF else part if part.startswith("(0x") else text + part
        if isinstance(part, int):
            return f"{text}[{part}]"
        key = self.key(part.type, part.data) if part.form else None
        return self.at(part.behind, part.address) if key is None else text + part.form.format(key)

    def key(self, t: GoType, data: bytes | None) -> str | None:
        """The key as it can be typed, None where that is not possible or too long."""
        return self.values.typed_key(t, data)

    def at(self, t: GoType, address: int | None, content: bytes | None = None) -> str:
        """0xADDR:TYPE in brackets, for a map with its header's address (expr.resolve). content: bytes of the value."""
        if t.kind is Kind.MAP:
            with suppress(MemoryFault):
                word = self.target.arch.pointer_size
                data = self.target.memory.read(address or 0, word) if content is None else content
                address = self.target.arch.pointer(data)
        return f"({address or 0:#x}:{t.name})"


def plain(path: str) -> str:
    """0xADDR:TYPE without its brackets, where nothing follows them."""
    return path[1:-1] if path.startswith("(0x") and closes(path) == len(path) - 1 else path
