"""Bytes and a GoType -> a value: Go syntax for people, JSON scalars for scripts.

The grammar is written down in docs/values.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Union

from gomap import known
from gomap.errors import GomapError, MemoryFault
from gomap.golang.layouts.slots import MAX_ITEM
from gomap.golang.runtime.rtype import DescribedTypes, dynamic
from gomap.gotypes import POINTER_KINDS, SCALAR_KINDS, Field, GoType, Kind, holds_interface
from gomap.human import spelled
from gomap.known.errors import MESSAGES
from gomap.maps import view
from gomap.spelling import float_of, float_text, quote, quoted
from gomap.string_texts import StringTexts
from gomap.target import Target

Scalar = Union[bool, int, float, str]

#: Bare in an interface: the types that Go gives to constants of that form.
DEFAULT_TYPES = frozenset({"int", "float64", "string", "bool", "complex128"})
UNREADABLE = "<unreadable>"
#: Structs, arrays and interfaces within each other that a key is followed through, and characters of a comment in it.
MAX_KEY_DEPTH, MAX_COMMENT = 32, 120
#: Characters that the message of an error counts as at least: errors that join others may join themselves.
MESSAGE = 16
#: Bytes of one string in a value that is asked for by itself.
MAX_FULL = 1 << 16


@dataclass(frozen=True)
class Limits:
    """depth: pointers, structs, slices and maps within each other; items: of one slice, array, map or struct;
    text: bytes of one string; total: characters of one value."""

    depth: int = 4
    items: int = 16
    text: int = 256
    total: int = 4096


def whole(depth: int) -> Limits:
    """For a value that is asked for by itself."""
    return Limits(max(depth, 8), 1 << 12, MAX_FULL, 1 << 18)


@dataclass
class Values:
    """Formats values of one target. `cut` becomes True once something was left out."""

    target: Target
    limits: Limits = Limits()
    types: DescribedTypes | None = None
    cut: bool = False
    #: Whether the value behind a pointer within a key is shown, in a comment.
    comments: bool = True
    #: Whether people see fields, and not the text that a type's values are known by (gomap/known/).
    raw: bool = False
    _room: int = 0
    _of_key: bool = False
    #: Whether the text is one for people: shown.
    _known: bool = False
    #: By the type's id(), which the type keeps in use: how its values are shown, and what has_text gives.
    _formatters: dict[int, tuple[GoType, known.KnownType | None]] = field(default_factory=dict)
    _texts: dict[int, tuple[GoType, bool]] = field(default_factory=dict)
    _many: StringTexts | None = None

    @property
    def full(self) -> bool:
        """Whether long values are whole: only MAX_FULL ends them."""
        return self.limits.text >= MAX_FULL

    def __post_init__(self) -> None:
        self.types = self.types or DescribedTypes(self.target)

    # -- entry points ------------------------------------------------------------------------------

    def json(self, t: GoType, data: bytes | None) -> Scalar:
        """A JSON scalar for bool, numbers and strings; Go syntax for everything else."""
        if data is None:
            return UNREADABLE
        if t.kind in SCALAR_KINDS:
            try:
                value = self.scalar(t, data)
            except MemoryFault:
                return UNREADABLE
            if isinstance(value, float):
                # The shortest decimal of the type's own precision: 0.1 for a float32 too.
                text = float_text(value, t.size)
                return float(text) if math.isfinite(value) else text
            return value
        return self.text(t, data)

    def key(self, t: GoType, data: bytes | None) -> Scalar:
        """As json, for a key: pointers as addresses, and nothing left out because it is too deep. Different keys have
        different texts, and each text can be typed (gomap/keys.py)."""
        if t.kind in SCALAR_KINDS or data is None:
            return self.json(t, data)
        self._room = self.limits.total
        self._of_key = True
        try:
            return self._text(t, data, 0, ())
        finally:
            self._of_key = False

    def key_text(self, t: GoType, data: bytes | None) -> str:
        """What key gives, in Go syntax."""
        return self.text(t, data) if t.kind in SCALAR_KINDS else str(self.key(t, data))

    def typed_key(self, t: GoType, data: bytes | None) -> str | None:
        """What key gives, as part of an expression: None where it can't be typed, or is too long."""
        before, self.cut = self.cut, False
        text = self.key_text(t, data)
        told, self.cut = not (self.cut or UNREADABLE in text or "NaN" in text), before
        return text if told else None

    def alike(self, keys: Iterable[tuple[GoType, bytes | None]]) -> frozenset[str]:
        """The texts that typed_key gives for several of a map's keys: they hold types of the same name, declared in
        different functions. No expression distinguishes such keys."""
        told = Counter(self.typed_key(t, data) for t, data in keys if holds_interface(t))
        return frozenset(text for text, number in told.items() if text is not None and number > 1)

    def text(self, t: GoType, data: bytes | None) -> str:
        """The value in Go syntax, bounded by the limits."""
        if data is None:
            return UNREADABLE
        self._room = self.limits.total
        return self._text(t, data, 0, ())

    def shown(self, t: GoType, data: bytes | None) -> str:
        """The value as people see it: times, durations, addresses and the like by the text that they are known by, and
        no types but those of what interfaces hold. With `raw`, as text gives it."""
        if self.raw or data is None:
            return self.text(t, data)
        self._known = True
        try:
            return self.text(t, data)
        finally:
            self._known = False

    def shown_key(self, t: GoType, data: bytes | None) -> str:
        """The same of a key."""
        if self.raw or data is None:
            return self.key_text(t, data)
        self._known = True
        try:
            self._room = self.limits.total
            self._of_key = True
            return self._text(t, data, 0, ())
        finally:
            self._known = self._of_key = False

    def has_text(self, t: GoType) -> bool:
        """Whether people may see another text than key and json give, but for types."""
        if self.raw:
            return False
        found = self._texts.get(id(t))
        if found is None:
            found = self._texts[id(t)] = (t, known.may_have_text(t))
        return found[1]

    def scalar(self, t: GoType, data: bytes) -> Scalar:
        """The value of a bool, int, uint, float or string type. Raises MemoryFault."""
        order = self.target.arch.byte_order
        if t.kind is Kind.BOOL:
            return data[:1] != b"\0"
        if t.kind is Kind.FLOAT:
            return float_of(data, t.size, order)
        if t.kind is Kind.STRING:
            return self._string(data)[0].decode("utf-8", "surrogateescape")
        return int.from_bytes(data[: t.size], order, signed=t.kind is Kind.INT)  # type: ignore[arg-type]

    # -- one kind after another ----------------------------------------------------------------------

    def _text(self, t: GoType, data: bytes, depth: int, above: tuple[int, ...], typed: bool = False) -> str:
        """typed: with its type where people see it, for it is the value of an interface."""
        try:
            text = self._known_text(t, data, depth, above) if self._known and t.kind in known.KINDS else None
            if text is None:
                text = self._dispatch(t, data, depth, above, typed)
            elif typed:
                text = f"{spelled(t.name)}({text})"
        except GomapError:
            text = UNREADABLE
        self._room -= len(text) if t.kind in SCALAR_KINDS or t.kind in POINTER_KINDS else 2
        return text

    def _known_text(self, t: GoType, data: bytes, depth: int, above: tuple[int, ...]) -> str | None:
        """What values of the type are known by; None where they are shown as any other."""
        found = self._formatters.get(id(t))
        if found is None:
            found = self._formatters[id(t)] = (t, known.find(t))
        one = found[1]
        if one is None or (self._of_key and not one.of_key):
            return None
        try:
            return one.text(_Within(self, depth, above), t, data)
        except MemoryFault:
            return None

    def _name(self, t: GoType, typed: bool) -> str:
        """The type in front of a composite value."""
        return (spelled(t.name) if typed else "") if self._known else t.name

    def _converted(self, t: GoType, value: str, typed: bool) -> str:
        """A pointer's value."""
        return value if self._known and not typed else f"({spelled(t.name) if self._known else t.name})({value})"

    def _dispatch(self, t: GoType, data: bytes, depth: int, above: tuple[int, ...], typed: bool = False) -> str:
        kind = t.kind
        if kind is Kind.STRING:
            raw, missing = self._string(data)
            return quote(raw) + (f"...+{missing} bytes" if missing else "")
        if kind is Kind.FLOAT:
            return float_text(float_of(data, t.size, self.target.arch.byte_order), t.size)
        if kind is Kind.COMPLEX:
            half = t.size // 2
            order = self.target.arch.byte_order
            real, imaginary = (float_of(part, half, order) for part in (data[:half], data[half:]))
            sign = "" if float_text(imaginary, half)[0] in "+-" else "+"
            return f"({float_text(real, half)}{sign}{float_text(imaginary, half)}i)"
        if kind is Kind.BOOL:
            return "true" if self.scalar(t, data) else "false"
        if kind in (Kind.INT, Kind.UINT):
            return str(self.scalar(t, data))
        if kind is Kind.INTERFACE:
            return self._interface(t, data, depth, above)
        if kind in POINTER_KINDS:
            return self._pointer(t, self.target.arch.pointer(data), depth, above, typed)
        if kind is Kind.STRUCT:
            return self._struct(t, data, depth, above, typed)
        if kind is Kind.ARRAY:
            items, rest = self._items(t.elem, data, t.length, depth, above)
            return f"{self._name(t, typed)}{{{items}{rest}}}"
        if kind is Kind.SLICE:
            return self._slice(t, data, depth, above, typed)
        return f"{t.name}<{data[:32].hex()}>"

    def _string(self, data: bytes) -> tuple[bytes, int]:
        """(bytes, how many more there are) of a string header."""
        arch = self.target.arch
        pointer, length = arch.pointer(data), arch.pointer(data, arch.pointer_size)
        if not length:
            return b"", 0
        if length >> (8 * arch.pointer_size - 1):
            raise MemoryFault(pointer, length, "a string has a negative length")
        keep = min(length, self.limits.text)
        if keep < length:
            self.cut = True
        return self.target.memory.read(pointer, keep), length - keep

    def strings(self, pointers: Sequence[int], lengths: Sequence[int]) -> list[str]:
        """What json gives for each string header."""
        return [UNREADABLE if text is None else text for text in self._read(pointers, lengths)]

    def quoted(self, pointers: Sequence[int], lengths: Sequence[int]) -> list[str]:
        """What text gives for each string header."""
        found = [UNREADABLE if text is None else quoted(text) for text in self._read(pointers, lengths)]
        limit = self.limits.text
        if max(lengths, default=0) > limit:
            for i, length in enumerate(lengths):
                if length > limit and found[i] is not UNREADABLE:
                    found[i] += f"...+{length - limit} bytes"
        return found

    def _read(self, pointers: Sequence[int], lengths: Sequence[int]) -> Sequence[str | None]:
        """The strings with these headers as far as they are shown, None where they can't be read."""
        many = self._many = self._many or StringTexts(self.target, self.limits.text)
        many.cut = False
        found = many.of(pointers, lengths)
        self.cut = self.cut or many.cut
        return found

    def _pointer(self, t: GoType, address: int, depth: int, above: tuple[int, ...], typed: bool) -> str:
        if t.kind is Kind.MAP:
            return self._map(t, address, depth, above, typed)
        if t.kind is Kind.UNSAFE_POINTER:
            return f"{t.name}({address:#x})" if address else f"{t.name}(nil)"
        if not address:
            return self._converted(t, "nil", typed)
        if t.kind is Kind.FUNC:  # a func value points to its closure, whose first word is the code
            word = self.target.arch.pointer_size
            code = self.target.arch.pointer(self.target.memory.read(address, word))
            return self._converted(t, f"{code:#x}", typed)
        if self._of_key and t.kind is Kind.POINTER:
            return self._converted(t, f"{address:#x}", typed) + self._comment(t, address)
        if t.kind is Kind.CHAN or not self._deeper(depth) or address in above or t.elem.kind is Kind.OPAQUE:
            self.cut = self.cut or t.kind is not Kind.CHAN
            return self._converted(t, f"{address:#x}", typed)
        try:
            data = self._load(address, t.elem)
        except MemoryFault:
            return self._converted(t, f"{address:#x}", typed)
        above = (*above, address)
        if self._known and t.elem.kind in known.KINDS:
            text = self._known_text(t.elem, data, depth + 1, above)
            one = self._formatters[id(t.elem)][1]
            if text is not None and one is not None:
                text = text if one.by_pointer else f"&{text}"
                return f"{spelled(t.name)}({text})" if typed else text
        return "&" + self._text(t.elem, data, depth + 1, above, typed)

    def _comment(self, t: GoType, address: int) -> str:
        """The value behind a pointer within a key. It is not part of the key."""
        if not self.comments or t.elem.kind is Kind.OPAQUE:
            return ""
        room, cut = self._room, self.cut
        self._of_key, self.comments, self._room = False, False, MAX_COMMENT
        try:
            depth = max(self.limits.depth - 2, 0)
            text = self._text(t.elem, self._load(address, t.elem), depth, (address,), typed=True)
        except MemoryFault:
            return ""
        finally:
            self._of_key, self.comments, self._room, self.cut = True, True, room, cut
        if len(text) > MAX_COMMENT:
            text = f"{text[:MAX_COMMENT]}..."
        return "" if "*/" in text or text == UNREADABLE else f" /* {text} */"

    def _load(self, address: int, t: GoType) -> bytes:
        """The bytes of a value: of a long array only those elements that will be shown."""
        size = t.size
        if t.kind is Kind.ARRAY and not self._of_key:
            size = min(size, self.limits.items * t.elem.size)
        if size > MAX_ITEM:
            raise MemoryFault(address, size, "too large to show")
        return self.target.memory.read(address, size) if size else b""

    def _deeper(self, depth: int) -> bool:
        if self._of_key:
            return depth < MAX_KEY_DEPTH and self._room > 0
        return depth < self.limits.depth and self._room > 0

    def _interface(self, t: GoType, data: bytes, depth: int, above: tuple[int, ...]) -> str:
        assert self.types is not None
        held = dynamic(self.types, t, data)
        if held is None:
            return "nil"
        inner, word, direct = held
        if direct:
            content = self.target.arch.pack(word)
        elif not self._deeper(depth):
            self.cut = True
            return f"{spelled(inner.name) if self._known else inner.name}(...)"
        else:
            content = self._load(word, inner)
        text = self._text(inner, content, depth + 1, above, typed=True)
        if self._known and text.startswith(f"{inner.name}("):
            return text
        plain = inner.kind in SCALAR_KINDS or inner.kind is Kind.COMPLEX
        whole = inner.kind is Kind.FLOAT and text.lstrip("-").isdigit()  # which would mean an int
        if plain and (whole or inner.name not in DEFAULT_TYPES):
            return f"{inner.name}({text})" if inner.kind is not Kind.COMPLEX else f"{inner.name}{text}"
        return text

    def _struct(self, t: GoType, data: bytes, depth: int, above: tuple[int, ...], typed: bool) -> str:
        name = self._name(t, typed)
        if not self._deeper(depth) and t.fields:
            self.cut = True
            return f"{name}{{...}}"
        shown = t.fields if self._of_key else t.fields[: self.limits.items * 2]
        parts = [self._field(f, data, depth, above) for f in shown]
        if len(shown) < len(t.fields):
            self.cut = True
            parts.append(f"...+{len(t.fields) - len(shown)} fields")
        return f"{name}{{{', '.join(parts)}}}"

    def _field(self, f: Field, data: bytes, depth: int, above: tuple[int, ...]) -> str:
        return f"{f.name}:{self._text(f.type, data[f.offset : f.offset + f.type.size], depth + 1, above)}"

    def _items(self, elem: GoType, data: bytes, length: int, depth: int, above: tuple[int, ...]) -> tuple[str, str]:
        """(the first items, the mark for the rest)."""
        if not length:
            return "", ""
        if not self._deeper(depth):
            self.cut = True
            return "", f"...{length} items"
        shown = length if self._of_key else min(length, self.limits.items)
        parts = []
        for i in range(shown):
            parts.append(self._text(elem, data[i * elem.size : (i + 1) * elem.size], depth + 1, above))
            if self._room <= 0:
                break
        rest = length - len(parts)
        self.cut = self.cut or bool(rest)
        return ", ".join(parts), f", ...+{rest} items" if rest else ""

    def _slice(self, t: GoType, data: bytes, depth: int, above: tuple[int, ...], typed: bool) -> str:
        name = self._name(t, typed)
        arch = self.target.arch
        pointer, length = arch.pointer(data), arch.pointer(data, arch.pointer_size)
        if not pointer:
            return f"{name}(nil)" if name else "nil"
        if pointer in above:
            self.cut = True
            return f"{name}({pointer:#x})" if name else f"{pointer:#x}"
        wanted = min(length, self.limits.items) * t.elem.size if self._deeper(depth) else 0
        content = self.target.memory.read(pointer, wanted) if wanted else b""
        inner = (*above, pointer) if length and t.elem.size else above
        items, rest = self._items(t.elem, content, length, depth, inner)
        return f"{name}{{{items}{rest}}}"

    def _map(self, t: GoType, address: int, depth: int, above: tuple[int, ...], typed: bool) -> str:
        name = self._name(t, typed)
        if not address:
            return f"{name}(nil)" if name else "nil"
        if address in above or not self._deeper(depth):
            self.cut = True
            return f"{name}({address:#x})" if name else f"{address:#x}"
        found = view(self.target, t, address)
        above = (*above, address)
        shown: list[tuple[Scalar, str]] = []
        for entry in found.entries():
            if len(shown) >= self.limits.items or self._room <= 0:
                break
            if entry.key is None or entry.elem is None:
                shown.append(("", UNREADABLE))
                continue
            outer, self._of_key, self.comments = (self._of_key, self.comments), True, False
            key = self._text(t.key, entry.key, depth + 1, above)
            self._of_key, self.comments = outer
            order = self.scalar(t.key, entry.key) if t.key.kind in (Kind.INT, Kind.UINT, Kind.STRING) else ""
            shown.append((order, f"{key}:{self._text(t.elem, entry.elem, depth + 1, above)}"))
        rest = found.count - len(shown)
        if rest <= 0 and t.key.kind in (Kind.INT, Kind.UINT, Kind.STRING):
            shown.sort(key=lambda item: (str(type(item[0])), item[0]))
        more = [f"...+{rest} entries"] if rest > 0 else []
        self.cut = self.cut or rest > 0
        return f"{name}{{{', '.join([text for _, text in shown] + more)}}}"


@dataclass(frozen=True)
class _Within:
    """What formatters are given (known/look.py), at one place within a value."""

    values: Values
    depth: int
    above: tuple[int, ...]

    @property
    def target(self) -> Target:
        return self.values.target

    def part(self, t: GoType, data: bytes) -> str:
        return self.values._text(t, data, self.depth, self.above)

    def string(self, data: bytes) -> bytes:
        return self.values._string(data)[0]

    def load(self, address: int, t: GoType) -> bytes:
        return self.values._load(address, t)

    def held(self, t: GoType, data: bytes) -> tuple[GoType, bytes] | None:
        assert self.values.types is not None
        found = dynamic(self.values.types, t, data) if t.kind is Kind.INTERFACE else None
        if found is None:
            return None
        inner, word, direct = found
        return inner, self.target.arch.pack(word) if direct else self.values._load(word, inner)

    def message(self, t: GoType, data: bytes) -> str | None:
        if self.depth >= MAX_KEY_DEPTH or self.values._room <= 0:
            return None
        self.values._room -= MESSAGE
        held = self.held(t, data)
        if held is None:
            return None
        inner, content = held
        if inner.kind is Kind.POINTER and inner.lazy_elem is not None:
            address = self.target.arch.pointer(content)
            if not address:
                return None
            inner, content = inner.elem, self.values._load(address, inner.elem)
        one = MESSAGES.get(inner.name)
        return None if one is None else one(_Within(self.values, self.depth + 1, self.above), inner, content)


def shown(t: GoType, value: Scalar) -> str:
    """Go syntax for what Values.json gave for a value of type t."""
    if t.kind not in SCALAR_KINDS or value is UNREADABLE:
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value, t.size)
    if isinstance(value, str) and t.kind is Kind.STRING:
        return quote(value.encode("utf-8", "surrogateescape"))
    return str(value)
