"""Go literals of a map's key type, read: the bytes that the key has in memory."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gomap.errors import BadExpression, NoSuchVariable
from gomap.gotypes import GoType, Kind
from gomap.human import an
from gomap.known.times import DURATION, SPAN, parse_duration
from gomap.syntax import outside_quotes, unquote
from gomap.target import Arch, Target, Variable
from gomap.typenames import basic, spelt

_NUMBER = (
    r"(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?\d+)?|"
    r"0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?:NaN|Inf)(?!(?!i\b)\w))"
)


_SIGNED = re.compile(rf"[+-]?{_NUMBER}")


_COMPLEX = re.compile(rf"(?P<real>[+-]?{_NUMBER}(?!i))?(?P<imaginary>[+-]?{_NUMBER})i|(?P<only>[+-]?{_NUMBER})")


_RUNE = re.compile(r"'(\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)|[^\\'])'", re.S)


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`', re.S)


_POINTER = re.compile(r"0[xX][0-9a-fA-F]+|nil\b")


_CONVERSION = re.compile(r"\((?:[^()]|\([^()]*\))*\)\s*\(")


#: What types are made of others with, and types that are written with braces.
_PREFIX = re.compile(r"(?:\*|\[\d+\]|chan\s+)*")


_BRACED = re.compile(r"(?:struct|interface)\s*\{")


#: What a value of the program is named by begins with one of these, or with a letter.
_NAMES = frozenset("&*('_")


_NOTHING = re.compile(r"(?:\s|/\*.*?\*/)*", re.S)


#: The expected form of a key of this kind.
_EXPECTED = {
    Kind.BOOL: "true or false",
    Kind.INT: "an integer literal",
    Kind.UINT: "an integer literal",
    Kind.FLOAT: "a number, NaN, +Inf or -Inf",
    Kind.COMPLEX: "a complex number like (1+2i)",
    Kind.STRING: 'a string in "quotes"',
    Kind.POINTER: "its address as 0x..., or nil",
    Kind.UNSAFE_POINTER: "its address as 0x..., or nil",
    Kind.CHAN: "its address as 0x..., or nil",
    Kind.INTERFACE: "a constant, or a value with its type as in int8(3) or main.Point{1, 2}",
}


class Maker(Protocol):
    """What makes a key of more than its literal says: keys.py. resolve: the variable that an expression names."""

    target: Target
    resolve: Callable[[str], Variable] | None

    def string(self, raw: bytes) -> bytes:
        """A Go string (address, length) of these bytes, in scratch memory."""

    def interface(self, t: GoType, held: GoType, data: bytes) -> bytes:
        """An interface value of type t that holds `data`, a value of type `held`."""

    def assigned(self, t: GoType, value: Variable) -> bytes:
        """The bytes of a variable of the program as a value of type t. Raises BadExpression where Go would not assign
        it."""

    def type_named(self, name: str) -> GoType | None:
        """The program's type of that name; None where it has none."""


@dataclass
class LiteralReader:
    """Reads a literal from left to right; the type says what has to come."""

    keys: Maker
    text: str
    at: int = 0

    @property
    def arch(self) -> Arch:
        """The target's byte order and pointer size."""
        return self.keys.target.arch

    def rest(self) -> str:
        """The text that is not read yet."""
        return self.text[self.at :]

    def space(self) -> None:
        """Goes on behind spaces and comments."""
        found = _NOTHING.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

    def take(self, word: str) -> bool:
        """Reads the word, if it comes next behind white space. Returns whether it did."""
        self.space()
        if self.text.startswith(word, self.at):
            self.at += len(word)
            return True
        return False

    def expect(self, word: str, t: GoType) -> None:
        """Reads the word. Raises BadExpression if something else comes next."""
        if not self.take(word):
            raise self.wrong(t, f"a {word} is missing")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Reads what matches the pattern here, behind white space; None, and nothing is read, where nothing does."""
        self.space()
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def wrong(self, t: GoType, what: str) -> BadExpression:
        """The error that the text is not a literal of type t, with the place and the reason."""
        where = f" at {said(self.rest())}" if 0 < self.at < len(self.text) else ""
        return BadExpression(f"{said(self.text)} is not {an(t.name)}{where}: {what}")

    def expected(self, t: GoType) -> BadExpression:
        """The error that a literal of type t is expected, with its form."""
        return self.wrong(t, f"expected {_EXPECTED[t.kind]}")

    def value(self, t: GoType) -> bytes:
        """A literal of type t, or what the program has under a name."""
        self.space()
        start = self.at
        try:
            if re.match(r"0[xX][0-9a-fA-F]+\s*:", self.text[start:]):
                raise self.expected(t) if t.kind in _EXPECTED else self.wrong(t, f"expected {t.name}{{...}}")
            return self.literal(t)
        except BadExpression as error:
            end = self.operand_end(start)
            operand = self.text[start:end].strip()
            if re.match(r"&\s*[\w./]+\s*\{", operand):
                raise self.wrong(
                    t, "it makes a new pointer, which is not in the map: name a variable or its address"
                ) from error
            if self.keys.resolve is None or not _is_named(operand):
                raise
            self.at = end
            return self.named(t, operand, error)

    def named(self, t: GoType, operand: str, error: BadExpression) -> bytes:
        """The value of the program that the operand names. error: why it is not a literal."""
        assert self.keys.resolve is not None
        try:
            found = self.keys.resolve(operand)
        except NoSuchVariable as none:
            if re.fullmatch(r"[^\W\d]\w*", operand):
                if t.kind is Kind.STRING:
                    hint = f'write "{operand}" for the string'
                else:
                    hint = f"expected {_EXPECTED[t.kind]}" if t.kind in _EXPECTED else f"expected {t.name}{{...}}"
                raise BadExpression(
                    f"{said(operand)} is neither {an(t.name)} nor a variable or constant: {hint}"
                ) from none
            raise error from none
        except BadExpression:
            if "(" in operand and "." not in operand.partition("(")[0]:
                raise error from None
            raise
        return self.keys.assigned(t, found)

    def operand_end(self, start: int) -> int:
        """Where the operand that starts here ends: at a comma or a bracket that was open before it."""
        for at, character, depth in outside_quotes(self.text, start):
            if depth < 0 or (character == "," and not depth):
                return at
        return len(self.text)

    def literal(self, t: GoType) -> bytes:
        """The bytes of the literal of type t that comes next. Raises BadExpression."""
        of_parts = _OF_PARTS.get(t.kind)
        if of_parts is not None:
            return of_parts(self, t)
        if self.converts(t):
            data = self.value(t)
            self.expect(")", t)
            return data
        basic = _BASIC.get(t.kind)
        if basic is None:
            raise BadExpression(f"{an(t.name)} can't be a key: it can't be compared")
        return basic(self, t)

    def boolean(self, t: GoType) -> bytes:
        """true or false. Raises BadExpression."""
        found = self.match(re.compile(r"(true|false)\b"))
        if found is None:
            raise self.expected(t)
        return b"\1" if found.group() == "true" else b"\0"

    def real(self, t: GoType) -> bytes:
        """A number, as a float of type t. Raises BadExpression."""
        found = self.match(_SIGNED)
        if found is None:
            raise self.expected(t)
        return self.float(t, found.group(), t.size)

    def string(self, t: GoType) -> bytes:
        """A string in quotes. Raises BadExpression."""
        found = self.match(_STRING)
        if found is None:
            typed = self.text[self.at : self.operand_end(self.at)].strip()
            bare = typed.strip("'")
            hint = typed != bare or re.fullmatch(r"[^\W\d][\w.]*|.*[\"()\[\]{}*&:].*|", bare) is None
            raise self.wrong(t, f'expected a string in "quotes", as in "{bare}"') if hint else self.expected(t)
        return self.keys.string(unquote(found.group()).encode("utf-8", "surrogateescape"))

    def converts(self, t: GoType) -> bool:
        """Takes `main.Color(` of main.Color(3), with or without the package."""
        name = spelt(t.name).match(self.text, self.at)
        if name is None or not self.text.startswith("(", name.end()):
            return False
        self.at = name.end() + 1
        return True

    def integer(self, t: GoType) -> bytes:
        """The bytes of an integer of type t: a number, a rune, or a duration such as 1m30s. Raises BadExpression."""
        rune = self.match(_RUNE)
        if rune is not None:
            text = rune.group(1)
            value = ord(unquote(f'"{text}"' if text != '"' else '"\\""')[:1])
            value = value - 0xDC00 if 0xDC80 <= value <= 0xDCFF else value
        else:
            span = self.match(SPAN) if t.name == DURATION else None
            found = self.match(_SIGNED) if span is None else None
            if span is not None:
                value = parse_duration(span.group()) or 0
            elif found is not None:
                value = _integer(found.group(), self.expected(t))
            else:
                raise self.expected(t)
        bits = 8 * t.size
        low, high = (-(1 << bits - 1), 1 << bits - 1) if t.kind is Kind.INT else (0, 1 << bits)
        if not low <= value < high:
            raise self.wrong(t, f"{an(t.name)} has {bits} bits")
        return (value & (1 << bits) - 1).to_bytes(t.size, self.arch.byte_order)  # type: ignore[arg-type]

    def float(self, t: GoType, text: str, size: int) -> bytes:
        """The bytes of a float of `size` bytes (4 or 8), from its text.

        t: the type that an error names. Raises BadExpression.
        """
        try:
            plain = text.replace("_", "")
            value = float.fromhex(plain) if "0x" in plain.lower() else float(plain)
            code = ("<" if self.arch.byte_order == "little" else ">") + {4: "f", 8: "d"}[size]
            return struct.pack(code, value)
        except (ValueError, OverflowError) as error:
            raise self.wrong(t, str(error)) from error

    def complex(self, t: GoType) -> bytes:
        """The bytes of a complex number such as (1+2i). Raises BadExpression."""
        closed = self.take("(")
        found = self.match(_COMPLEX)
        if found is None:
            raise self.expected(t)
        real, imaginary = found["only"] or found["real"] or "0", found["imaginary"] or "0"
        if closed:
            self.expect(")", t)
        return self.float(t, real, t.size // 2) + self.float(t, imaginary, t.size // 2)

    def pointer(self, t: GoType) -> bytes:
        """The bytes of a pointer, written as its address or nil. Raises BadExpression."""
        converted = self.converts(t) or self.match(_CONVERSION) is not None
        found = self.match(_POINTER)
        if found is None:
            raise self.expected(t)
        if converted:
            self.expect(")", t)
        value = 0 if found.group() == "nil" else int(found.group(), 16)
        if value >> 8 * t.size:
            raise self.wrong(t, "it is longer than a pointer")
        return self.arch.pack(value)

    def opened(self, t: GoType) -> None:
        """Takes the type, if it is named, and the brace."""
        self.space()
        name = spelt(t.name).match(self.text, self.at)
        if name is None and t.kind is Kind.ARRAY:
            name = re.compile(r"\[\.\.\.\][^{]*").match(self.text, self.at)
        self.at = self.at if name is None else name.end()
        if not self.take("{"):
            raise self.wrong(t, f"expected {t.name}{{...}} as hmap-show --entries prints it")

    def struct(self, t: GoType) -> bytes:
        """The bytes of a struct: fields by name or in order, the others zero. Raises BadExpression."""
        self.opened(t)
        data = bytearray(t.size)
        position = 0
        while not self.take("}"):
            self.space()
            named = re.compile(r"([^\W\d]\w*)\s*:(?!:)").match(self.text, self.at)
            if named is not None and t.field(named.group(1)) is not None:
                self.at = named.end()
                f = t.field(named.group(1))
                assert f is not None
            elif position < len(t.fields) and named is None:
                f = t.fields[position]
            else:
                known = ", ".join(f.name for f in t.fields) or "none"
                raise self.wrong(t, f"its fields are {known}")
            position += 1
            data[f.offset : f.offset + f.type.size] = self.value(f.type)
            if not self.take(","):
                self.expect("}", t)
                break
        return bytes(data)

    def array(self, t: GoType) -> bytes:
        """The bytes of an array: elements in order or by index, the others zero. Raises BadExpression."""
        self.opened(t)
        data = bytearray(t.size)
        position = 0
        while not self.take("}"):
            index = self.match(re.compile(r"(\d+)\s*:"))
            position = int(index.group(1)) if index is not None else position
            if position >= t.length:
                raise self.wrong(t, f"it has {t.length} elements")
            data[position * t.elem.size : (position + 1) * t.elem.size] = self.value(t.elem)
            position += 1
            if not self.take(","):
                self.expect("}", t)
                break
        return bytes(data)

    def interface(self, t: GoType) -> bytes:
        """What it holds says its type: a constant has its default type, the rest is named: int8(3), main.T{1}."""
        if self.match(re.compile(r"nil\b")) is not None:
            return b"\0" * t.size
        held = self.constant_type() or self.named_type(t)
        return self.keys.interface(t, held, self.value(held))

    def constant_type(self) -> GoType | None:
        """The default type of the untyped constant that comes next, as Go has it; None where none does."""
        if _STRING.match(self.text, self.at):
            return self.basic("string")
        if re.compile(r"(true|false)\b").match(self.text, self.at):
            return self.basic("bool")
        if _RUNE.match(self.text, self.at):
            return self.basic("int32")
        if re.compile(rf"\(?[+-]?{_NUMBER}([+-]{_NUMBER})?i").match(self.text, self.at):
            return self.basic("complex128")
        found = _SIGNED.match(self.text, self.at)
        if found is None:
            return None
        text = found.group()
        whole = text.lower().lstrip("+-").startswith("0x") and "p" not in text.lower()
        return self.basic("int" if whole or not re.search(r"[.eEpNI]", text) else "float64")

    def named_type(self, t: GoType) -> GoType:
        """The type named up to the ( or {, as in main.Color(3), (*main.T)(0x...), [2]int{1, 2}."""
        conversion = _CONVERSION.match(self.text, self.at)
        if conversion is not None:
            name = conversion.group().rstrip("( ").strip()[1:-1]
        else:
            end = self.type_end()
            name = self.text[self.at : end].strip() if end < len(self.text) else ""
        found = self.keys.type_named(name) if name else None
        if found is None or found.kind in (Kind.INTERFACE, Kind.OPAQUE):
            raise self.wrong(t, f"expected {_EXPECTED[t.kind]}" + (f" ({name!r} is not a type)" if name else ""))
        return found

    def type_end(self) -> int:
        """Where the type that starts here ends: at a ( or {, but for those of struct {...} and of brackets."""
        prefix = _PREFIX.match(self.text, self.at)
        start = prefix.end() if prefix is not None else self.at
        braced = _BRACED.match(self.text, start) is not None
        depth = 0
        for at in range(start, len(self.text)):
            character = self.text[at]
            depth += (character in "[{") - (character in "]}")
            if braced and character == "}" and not depth:
                return at + 1
            if not braced and (character, depth) in (("(", 0), ("{", 1)):
                return at
        return len(self.text)

    def basic(self, name: str) -> GoType | None:
        """A predeclared type, such as int, for the target's pointer size."""
        return basic(name, self.arch.pointer_size)


#: How literals of each kind are read. The basic ones may be converted.
_OF_PARTS: Mapping[Kind, Callable[[LiteralReader, GoType], bytes]] = {
    Kind.INTERFACE: LiteralReader.interface,
    Kind.STRUCT: LiteralReader.struct,
    Kind.ARRAY: LiteralReader.array,
    **dict.fromkeys((Kind.POINTER, Kind.UNSAFE_POINTER, Kind.CHAN), LiteralReader.pointer),
}
_BASIC: Mapping[Kind, Callable[[LiteralReader, GoType], bytes]] = {
    Kind.BOOL: LiteralReader.boolean,
    **dict.fromkeys((Kind.INT, Kind.UINT), LiteralReader.integer),
    Kind.FLOAT: LiteralReader.real,
    Kind.COMPLEX: LiteralReader.complex,
    Kind.STRING: LiteralReader.string,
}


def _is_named(operand: str) -> bool:
    """Whether the operand can be an expression: not a number, a string or a composite literal."""
    if not operand or not (operand[0] in _NAMES or operand[0].isalpha() or re.match(r"0[xX][0-9a-fA-F]+\s*:", operand)):
        return False
    return ":" in operand or "{" not in operand


def said(text: str) -> str:
    """A text that was typed, as messages have it."""
    return text if text[:1] in ('"', "'", "`") else f'"{text}"'


def bare(text: str) -> str:
    """A printed key without comments and spaces."""
    return re.sub(r"\s+", "", re.sub(r"/\*.*?\*/", "", text, flags=re.S))


def _integer(text: str, wrong: BadExpression) -> int:
    plain = text.replace("_", "")
    if re.fullmatch(r"[+-]?0[0-7]+", plain):
        return int(plain, 8)
    try:
        return int(plain, 0)
    except ValueError:
        pass
    try:  # 1e3 is a whole number too
        value = float(plain)
        if value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise wrong
