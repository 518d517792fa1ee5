"""Go literals of keys -> the bytes that a key has in memory: numbers, strings, structs, arrays, interfaces.

What a key points to (the bytes of a string, what an interface holds) gets addresses that no program has, and a
copy of the target that sees them: hashing and comparing need not know that a key was typed by hand.
"""

from __future__ import annotations

import copy
import re
import struct
from dataclasses import dataclass, field
from functools import cache

from gomap.errors import BadExpression, MemoryFault
from gomap.expr import unquote
from gomap.golang.hashing import Hasher, typehash_plan
from gomap.gotypes import GoType, Kind, fixed
from gomap.memory import Memory
from gomap.target import Arch, Target

_NUMBER = (
    r"(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?\d+)?|"
    r"0[bB][01_]+|0[oO][0-7_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|NaN|Inf)"
)
_SIGNED = re.compile(rf"[+-]?{_NUMBER}")
_COMPLEX = re.compile(rf"(?P<real>[+-]?{_NUMBER}(?!i))?(?P<imaginary>[+-]?{_NUMBER})i|(?P<only>[+-]?{_NUMBER})")
_RUNE = re.compile(r"'(\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)|[^\\'])'", re.S)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`', re.S)
_POINTER = re.compile(r"0[xX][0-9a-fA-F]+|nil\b")
_CONVERSION = re.compile(r"\((?:[^()]|\([^()]*\))*\)\s*\(")
_NAME = re.compile(r"[^\W\d]\w*")
#: What types are made of others with, and types that are written with braces.
_PREFIX = re.compile(r"(?:\*|\[\d+\]|chan\s+)*")
_BRACED = re.compile(r"(?:struct|interface)\s*\{")
#: Names that debug information does not use.
_LONG = {"byte": "uint8", "rune": "int32", "any": "interface {}", "interface{}": "interface {}"}
_SHORT = re.compile(r"(?<![\w.])(?:byte|rune|any)(?![\w.])|(?<![\w.])interface\{\}")
_SIZES = {"8": 1, "16": 2, "32": 4, "64": 8}


class Scratch:
    """The target's memory, and behind its end what keys typed by hand point to."""

    def __init__(self, inner: Memory, pointer_size: int) -> None:
        self._inner = inner
        self._base = self._end = 0x7FFF << 48 if pointer_size == 8 else 0xFFF00000
        self._data = bytearray()

    def add(self, data: bytes) -> int:
        """The address at which `data` now lies."""
        address = self._end
        self._data += data.ljust(-(-max(len(data), 1) // 16) * 16, b"\0")
        self._end = self._base + len(self._data)
        return address

    def read(self, address: int, size: int) -> bytes:
        if self._base <= address < self._end:
            if address + size > self._end:
                raise MemoryFault(address, size)
            return bytes(self._data[address - self._base : address - self._base + size])
        return self._inner.read(address, size)


@dataclass
class Keys:
    """Makes keys of one target. `target` sees what they point to; `hasher` knows what they hold."""

    target: Target
    hasher: Hasher
    scratch: Scratch = field(init=False)

    def __post_init__(self) -> None:
        self.scratch = Scratch(self.target.memory, self.target.arch.pointer_size)
        self.target = copy.copy(self.target)
        self.target.memory = self.scratch
        self.hasher.types.target = self.target
        self.hasher.target = self.target

    def parse(self, t: GoType, text: str) -> bytes:
        """The key of type t that `text` writes. Raises BadExpression."""
        reader = _Reader(self, text)
        data = reader.value(t)
        reader.space()
        if reader.at < len(text):
            raise BadExpression(f"{text!r} goes on after a key of type {t.name}: {reader.rest()!r}")
        return data

    def string(self, raw: bytes) -> bytes:
        """A string of these bytes."""
        arch = self.target.arch
        return arch.pack(self.scratch.add(raw) if raw else 0) + arch.pack(len(raw))

    def interface(self, t: GoType, held: GoType, data: bytes) -> bytes:
        """An interface of type t that holds `data` of type `held`."""
        arch = self.target.arch
        plan = typehash_plan(held)
        if plan is None:
            raise BadExpression(f"a {held.name} can't be a key")
        descriptor = first = self.scratch.add(b"\0" * 8 * arch.pointer_size)
        self.hasher.types.pretend(descriptor, held)
        if t.methods:
            first = self.scratch.add(arch.pack(0) + arch.pack(descriptor))
        self.hasher.held[first, t.methods] = (held, plan, False)
        return arch.pack(first) + arch.pack(self.scratch.add(data))


@dataclass
class _Reader:
    """Reads a literal from left to right; the type says what has to come."""

    keys: Keys
    text: str
    at: int = 0

    @property
    def arch(self) -> Arch:
        return self.keys.target.arch

    def rest(self) -> str:
        return self.text[self.at :]

    def space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, word: str) -> bool:
        self.space()
        if self.text.startswith(word, self.at):
            self.at += len(word)
            return True
        return False

    def expect(self, word: str, t: GoType) -> None:
        if not self.take(word):
            raise self.wrong(t, f"a {word} is missing")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self.space()
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def wrong(self, t: GoType, what: str) -> BadExpression:
        where = f" at {self.rest()!r}" if 0 < self.at < len(self.text) else ""
        return BadExpression(f"{self.text!r} is no {t.name}{where}: {what}")

    def value(self, t: GoType) -> bytes:
        self.space()
        if t.kind is Kind.INTERFACE:
            return self.interface(t)
        if t.kind is Kind.STRUCT:
            return self.struct(t)
        if t.kind is Kind.ARRAY:
            return self.array(t)
        if t.kind in (Kind.POINTER, Kind.UNSAFE_POINTER, Kind.CHAN):
            return self.pointer(t)
        if self.converts(t):
            data = self.value(t)
            self.expect(")", t)
            return data
        if t.kind is Kind.BOOL:
            found = self.match(re.compile(r"(true|false)\b"))
            if found is None:
                raise self.wrong(t, "write true or false")
            return b"\1" if found.group() == "true" else b"\0"
        if t.kind in (Kind.INT, Kind.UINT):
            return self.integer(t)
        if t.kind is Kind.FLOAT:
            found = self.match(_SIGNED)
            if found is None:
                raise self.wrong(t, "write a number, NaN, +Inf or -Inf")
            return self.float(t, found.group(), t.size)
        if t.kind is Kind.COMPLEX:
            return self.complex(t)
        if t.kind is Kind.STRING:
            found = self.match(_STRING)
            if found is None:
                raise self.wrong(t, 'write a string in "quotes"')
            return self.keys.string(unquote(found.group()).encode("utf-8", "surrogateescape"))
        raise BadExpression(f"keys of type {t.name} can't be written as a literal")

    def converts(self, t: GoType) -> bool:
        """Takes `main.Color(` of main.Color(3), with or without the package."""
        name = _spelt(t.name).match(self.text, self.at)
        if name is None or not self.text.startswith("(", name.end()):
            return False
        self.at = name.end() + 1
        return True

    def integer(self, t: GoType) -> bytes:
        rune = self.match(_RUNE)
        if rune is not None:
            text = rune.group(1)
            value = ord(unquote(f'"{text}"' if text != '"' else '"\\""')[:1])
            value = value - 0xDC00 if 0xDC80 <= value <= 0xDCFF else value
        else:
            found = self.match(_SIGNED)
            if found is None:
                raise self.wrong(t, "write a whole number")
            value = _integer(found.group(), self.wrong(t, "write a whole number"))
        bits = 8 * t.size
        low, high = (-(1 << bits - 1), 1 << bits - 1) if t.kind is Kind.INT else (0, 1 << bits)
        if not low <= value < high:
            raise self.wrong(t, f"it has {bits} bits")
        return (value & (1 << bits) - 1).to_bytes(t.size, self.arch.byte_order)  # type: ignore[arg-type]

    def float(self, t: GoType, text: str, size: int) -> bytes:
        try:
            plain = text.replace("_", "")
            value = float.fromhex(plain) if "0x" in plain.lower() else float(plain)
            code = ("<" if self.arch.byte_order == "little" else ">") + {4: "f", 8: "d"}[size]
            return struct.pack(code, value)
        except (ValueError, OverflowError) as error:
            raise self.wrong(t, str(error)) from error

    def complex(self, t: GoType) -> bytes:
        closed = self.take("(")
        found = self.match(_COMPLEX)
        if found is None:
            raise self.wrong(t, "write a complex number like (1+2i)")
        real, imaginary = found["only"] or found["real"] or "0", found["imaginary"] or "0"
        if closed:
            self.expect(")", t)
        return self.float(t, real, t.size // 2) + self.float(t, imaginary, t.size // 2)

    def pointer(self, t: GoType) -> bytes:
        converted = self.converts(t) or self.match(_CONVERSION) is not None
        found = self.match(_POINTER)
        if found is None:
            raise self.wrong(t, "write its address as 0x..., or nil")
        if converted:
            self.expect(")", t)
        value = 0 if found.group() == "nil" else int(found.group(), 16)
        if value >> 8 * t.size:
            raise self.wrong(t, "it is longer than a pointer")
        return self.arch.pack(value)

    def opened(self, t: GoType) -> None:
        """Takes the type, if it is named, and the brace."""
        self.space()
        name = _spelt(t.name).match(self.text, self.at)
        if name is None and t.kind is Kind.ARRAY:
            name = re.compile(r"\[\.\.\.\][^{]*").match(self.text, self.at)
        self.at = self.at if name is None else name.end()
        if not self.take("{"):
            raise self.wrong(t, f"write {t.name}{{...}}")

    def struct(self, t: GoType) -> bytes:
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
            name = self.text[self.at : self.type_end()].strip()
        found = self.type_of(name)
        if found is None or found.kind in (Kind.INTERFACE, Kind.OPAQUE):
            raise self.wrong(t, f"name the type that it holds, as in int8(3) or main.Point{{1, 2}} ({name!r} is none)")
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

    def type_of(self, name: str) -> GoType | None:
        """The type of this name. What is made of others need not be in the debug information itself."""
        name = _as_linked(_SHORT.sub(lambda found: _LONG[found.group()], name))
        found = self.basic(name) or self.keys.target.find_type(name)
        package = self.keys.target.package
        if found is None and package and _NAME.fullmatch(name.partition("[")[0]):
            found = self.keys.target.find_type(f"{package}.{name}")
        if found is not None:
            return found
        if name == "struct {}":
            return GoType(Kind.STRUCT, "struct {}", 0)
        made = re.match(r"(?P<pointer>\*)|\[(?P<length>\d{1,9})\]|chan ", name)
        elem = None if made is None else self.type_of(name[made.end() :])
        if made is None or elem is None:
            return None
        word = self.arch.pointer_size
        if made["length"]:
            length = int(made["length"])
            return GoType(Kind.ARRAY, f"[{length}]{elem.name}", length * elem.size, length, lazy_elem=fixed(elem))
        kind = Kind.POINTER if made["pointer"] else Kind.CHAN
        return GoType(kind, made.group() + elem.name, word, lazy_elem=fixed(elem))

    def basic(self, name: str) -> GoType | None:
        """A predeclared type: debug information leaves out those that a program does not use."""
        word = self.arch.pointer_size
        if name == "string":
            return GoType(Kind.STRING, name, 2 * word)
        if name == "bool":
            return GoType(Kind.BOOL, name, 1)
        if name == "uintptr":
            return GoType(Kind.UINT, name, word)
        if name == "unsafe.Pointer":
            return GoType(Kind.UNSAFE_POINTER, name, word)
        found = re.fullmatch(r"(int|uint)(8|16|32|64)?", name)
        if found is not None:
            kind = Kind.INT if found.group(1) == "int" else Kind.UINT
            return GoType(kind, name, _SIZES.get(found.group(2), word))
        found = re.fullmatch(r"(?:float(32|64)|complex(64|128))", name)
        if found is not None:
            of_float = found.group(1)
            kind = Kind.FLOAT if of_float else Kind.COMPLEX
            return GoType(kind, name, int(of_float or found.group(2)) // 8)
        return None


def _as_linked(name: str) -> str:
    """A type's name with its spaces where the linker has them: types that keys hold are told apart by their names."""
    for wrong, right in (
        (r"\s+", " "),
        (r", ", ","),
        (r"\b(struct|interface) ?\{ ?", r"\1 { "),
        (r" ?\}", " }"),
        (r"\{ +\}", "{}"),
        (r" ?; ?", "; "),
    ):
        name = re.sub(wrong, right, name)
    return name.strip()


@cache
def _spelt(name: str) -> re.Pattern[str]:
    """A type's name as the program's text may have it: byte for uint8, struct{} for struct {}, any for interface {},
    packages without their paths, or no package at all."""
    part = r"[^\s\[\]{}()*;,]*"
    forms = (name, re.sub(f"{part}/", "", name), re.sub(rf"{part}\.", "", name))
    spelt = "|".join(re.escape(form) for form in forms).replace(r"\ ", r"\s*").replace(",", r",\s*")
    for long, short in (("uint8", "byte"), ("int32", "rune"), (r"interface\s*\{\}", "any")):
        spelt = re.sub(rf"(?<![\w.]){re.escape(long)}(?!\w)", rf"(?:\g<0>|{short})", spelt)
    return re.compile(rf"(?:{spelt})(?=\s*[({{])")


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
