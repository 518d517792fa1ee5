"""Keys as people type them -> the bytes that a key has in memory: Go literals, and values of the program.

What a key points to (the bytes of a string, what an interface holds) gets addresses that no program has, and a
copy of the target that sees them: hashing and comparing need not know that a key was typed by hand.
"""

from __future__ import annotations

import copy
import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, Callable, NamedTuple, Protocol

from gomap import syncmap
from gomap.errors import BadExpression, GomapError, MemoryFault, NoSuchVariable
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import typehash_plan
from gomap.golang.rtype import descriptor_of, dynamic
from gomap.golang.slots import MAX_ITEM
from gomap.golang.structure import counted
from gomap.gotypes import POINTER_KINDS, GoType, Kind, plain_name, same
from gomap.human import an, plural
from gomap.memory import Memory
from gomap.syntax import unquote
from gomap.target import Arch, Target, Variable
from gomap.typenames import basic, find, means, spelt
from gomap.values import Limits, Values, float_of

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
#: Keys of one map that are compared with a text, and that are looked into for types.
MAX_PRINTED, MAX_LEARNT = 1 << 16, 1 << 12
MAX_NAMED = 4
_NUMBERS = (Kind.INT, Kind.UINT, Kind.FLOAT)
#: What is expected of a key of this kind.
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


class KeyBytes(NamedTuple):
    """A key that a map has: its bytes, None where they can't be read, and where they lie."""

    key: bytes | None
    key_address: int


class HasKeys(Protocol):
    """A map that a key is looked for in: a MapView, or a sync.Map."""

    @property
    def count(self) -> int: ...

    def entries(self) -> Iterator[Any]: ...


class SyncKeys:
    """The keys of a sync.Map, which have one type: the variable is the sync.Map itself."""

    def __init__(self, target: Target, variable: Variable) -> None:
        self._target, self._variable = target, variable

    @cached_property
    def count(self) -> int:
        return sum(1 for _ in syncmap.entries(self._target, self._variable))

    def entries(self) -> Iterator[KeyBytes]:
        for entry in syncmap.entries(self._target, self._variable):
            data = None
            with suppress(MemoryFault):
                data = self._target.memory.read(entry.key_address, min(entry.key_type.size, MAX_ITEM))
            yield KeyBytes(data, entry.key_address)


@dataclass
class Keys:
    """Makes keys of one target. `target` sees what they point to; `hasher` knows what they hold.

    resolve: gives the value of the program that an expression names; None where literals are all there is.
    """

    target: Target
    hasher: Hasher
    resolve: Callable[[str], Variable] | None = None
    scratch: Scratch = field(init=False)
    #: Types of what keys of the map hold, by name.
    learnt: dict[str, GoType] = field(default_factory=dict)
    #: Names of types that were typed: those that functions declare may have one name.
    named: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.scratch = Scratch(self.target.memory, self.target.arch.pointer_size)
        self.target = copy.copy(self.target)
        self.target.memory = self.scratch
        self.hasher.types.target = self.target
        self.hasher.target = self.target

    def parse(self, t: GoType, text: str) -> bytes:
        """The key of type t that `text` writes or names. Raises BadExpression."""
        reader = _LiteralReader(self, text)
        data = reader.value(t)
        reader.space()
        if reader.at < len(text):
            raise BadExpression(f"{_said(text)} goes on after a key of type {t.name}: {_said(reader.rest())}")
        return data

    def find(self, t: GoType, text: str, found: HasKeys | None, limits: Limits) -> bytes:
        """As parse, for a key of this map: types that debug information does not have may be those of its keys, and a
        text that was cut short is compared with them as they are printed with these limits."""
        try:
            key = self.parse(t, text)
        except BadExpression as error:
            if found is None or not ("..." in text or "{" in text or "(" in text):
                raise
            if self._learn(t, found):
                with suppress(BadExpression):
                    return self.parse(t, text)
            printed = self._printed(t, text, found, limits)
            if not printed:
                raise
            if len(printed) > 1:
                raise _several(t, f"are printed as {text!r}", printed) from error
            return printed[0][0]
        if self.named and found is not None:
            equal = self._equal(t, key, found)
            if len(equal) > 1:
                raise _several(t, f"are {text!r}, of types of one name", equal)
        return key

    def _learn(self, t: GoType, found: HasKeys) -> bool:
        """Notes the types of what is in the interfaces of the map's keys. False: there are none."""
        plan = typehash_plan(t)
        for entry in islice(counted(found.count, found.entries()), MAX_LEARNT):
            if plan is not None and entry.key is not None:
                with suppress(GomapError):
                    self.hasher.equal(plan, entry.key, entry.key)  # which looks into each interface
        self.learnt.update((held.name, held) for held, _, _ in self.hasher.held.values())
        return bool(self.learnt)

    def type_named(self, name: str) -> GoType | None:
        found = find(self.target, name)
        if found is None:
            found = next((t for known, t in self.learnt.items() if means(name, known)), None)
        return found

    def _equal(self, t: GoType, key: bytes, found: HasKeys) -> Sequence[tuple[bytes, int]]:
        """The map's keys that a typed key is equal to, with their addresses, where several types have a name that was
        typed."""
        plan = typehash_plan(t)
        if plan is None or found.count > MAX_PRINTED or not self._learn(t, found):
            return ()
        types = {id(one): plain_name(one) for one, _, _ in self.hasher.held.values() if not self._is_typed(one)}
        if not any(count > 1 for name, count in Counter(types.values()).items() if name in self.named):
            return ()
        equal = []
        for entry in counted(found.count, found.entries()):
            with suppress(GomapError):
                if entry.key is not None and self.hasher.equal(plan, key, entry.key):
                    equal.append((entry.key, entry.key_address))
        return equal

    def _is_typed(self, t: GoType) -> bool:
        return self.hasher.types.is_pretended(t)

    def _printed(self, t: GoType, text: str, found: HasKeys, limits: Limits) -> Sequence[tuple[bytes, int]]:
        """The keys that are printed as the text, with their addresses."""
        if found.count > MAX_PRINTED:
            return ()
        values = Values(self.target, limits, self.hasher.types)
        wanted = _bare(text)
        return [
            (entry.key, entry.key_address)
            for entry in counted(found.count, found.entries())
            if entry.key is not None and _bare(values.key_text(t, entry.key)) == wanted
        ]

    def assigned(self, t: GoType, value: Variable) -> bytes:
        """A value of the program as a key of type t: as Go assigns it, and numbers as Go converts them.

        Raises BadExpression, MemoryFault, OptimizedOut.
        """
        memory, given = self.target.memory, value.type
        if given.size > MAX_ITEM:
            raise BadExpression(f"{value.name} has {given.size:,} bytes: it is too large for a key")
        data = value.read(memory, 0, given.size)
        if given.kind is Kind.INTERFACE:
            held = dynamic(self.hasher.types, given, data)
            if held is None:
                if t.kind is not Kind.INTERFACE:
                    raise BadExpression(f"{value.name} is nil, not {an(t.name)}")
                return bytes(t.size)
            interface, (given, word, direct) = given, held
            if given.size > MAX_ITEM:
                raise BadExpression(f"{value.name} holds {given.size:,} bytes: they are too large for a key")
            if t.kind is Kind.INTERFACE and typehash_plan(given) is not None:
                # What it holds has a descriptor, which tells its type from others of its name.
                first = descriptor_of(self.hasher.types, self.target.arch.pointer(data, 0), interface.methods)
                return self.target.arch.pack(self._first(t, first)) + data[t.size // 2 :]
            data = self.target.arch.pack(word) if direct else memory.read(word, given.size)
        if t.kind is Kind.INTERFACE:
            return self.interface(t, given, data)
        if t.kind in _NUMBERS and given.kind in _NUMBERS:
            return self._number(t, value.name, given, data)
        pointers = t.kind in POINTER_KINDS and (given.kind in POINTER_KINDS or given.name == "uintptr")
        if t.kind is Kind.POINTER and given.kind is Kind.POINTER:
            pointers = plain_name(t) == plain_name(given)
        if pointers or (t.kind is given.kind and _alike(t, given)):
            return data
        raise BadExpression(f"{value.name} is {an(given.name)}, not {an(t.name)}{self._instead(t, given, value.name)}")

    def _instead(self, t: GoType, given: GoType, name: str) -> str:
        if name.startswith("&") and given.kind is Kind.POINTER and given.elem.name == t.name:
            return ": leave out the &"
        if given.kind is Kind.POINTER and given.lazy_elem is not None and given.elem.name == t.name:
            return ": write * in front of it"
        if t.kind is Kind.POINTER and t.lazy_elem is not None and t.elem.name == given.name:
            return ": write & in front of it"
        return ""

    def _number(self, t: GoType, name: str, given: GoType, data: bytes) -> bytes:
        order = self.target.arch.byte_order
        value: int | float
        if given.kind is Kind.FLOAT:
            value = float_of(data, given.size, order)
        else:
            value = int.from_bytes(data[: given.size], order, signed=given.kind is Kind.INT)  # type: ignore[arg-type]
        try:
            return self.parse(t, repr(value))
        except BadExpression:
            raise BadExpression(f"{name} is {value}, which is not {an(t.name)}") from None

    def string(self, raw: bytes) -> bytes:
        """A string of these bytes."""
        arch = self.target.arch
        return arch.pack(self.scratch.add(raw) if raw else 0) + arch.pack(len(raw))

    def interface(self, t: GoType, held: GoType, data: bytes) -> bytes:
        """An interface of type t that holds `data` of type `held`."""
        arch = self.target.arch
        plan = typehash_plan(held)
        if plan is None:
            raise BadExpression(f"{an(held.name)} can't be a key: it can't be compared")
        held = replace(held)
        descriptor = self.scratch.add(b"\0" * 8 * arch.pointer_size)
        self.hasher.types.pretend(descriptor, held)
        first = self._first(t, descriptor)
        if "." in held.name:
            self.named.add(plain_name(held))
        self.hasher.held[first, t.methods] = (held, plan, False)
        return arch.pack(first) + arch.pack(self.scratch.add(data))

    def _first(self, t: GoType, descriptor: int) -> int:
        """The first word of an interface of type t that holds a value of the descriptor's type."""
        return (
            self.scratch.add(self.target.arch.pack(0) + self.target.arch.pack(descriptor)) if t.methods else descriptor
        )


@dataclass
class _LiteralReader:
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
        """Goes on behind spaces and comments."""
        found = _NOTHING.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

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
        where = f" at {_said(self.rest())}" if 0 < self.at < len(self.text) else ""
        return BadExpression(f"{_said(self.text)} is not {an(t.name)}{where}: {what}")

    def expected(self, t: GoType) -> BadExpression:
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
                    f"{_said(operand)} is neither {an(t.name)} nor a variable or constant: {hint}"
                ) from none
            raise error from none
        except BadExpression:
            if "(" in operand and "." not in operand.partition("(")[0]:
                raise error from None
            raise
        return self.keys.assigned(t, found)

    def operand_end(self, start: int) -> int:
        """Where the operand that starts here ends: at a comma or a bracket that was open before it."""
        depth, quote, at = 0, "", start
        while at < len(self.text):
            character = self.text[at]
            if quote:
                if character == "\\" and quote != "`":
                    at += 1
                elif character == quote:
                    quote = ""
            elif character in "\"'`":
                quote = character
            elif character in "([{":
                depth += 1
            elif character in ")]}":
                if not depth:
                    return at
                depth -= 1
            elif character == "," and not depth:
                return at
            at += 1
        return len(self.text)

    def literal(self, t: GoType) -> bytes:
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
                raise self.expected(t)
            return b"\1" if found.group() == "true" else b"\0"
        if t.kind in (Kind.INT, Kind.UINT):
            return self.integer(t)
        if t.kind is Kind.FLOAT:
            found = self.match(_SIGNED)
            if found is None:
                raise self.expected(t)
            return self.float(t, found.group(), t.size)
        if t.kind is Kind.COMPLEX:
            return self.complex(t)
        if t.kind is Kind.STRING:
            found = self.match(_STRING)
            if found is None:
                typed = self.text[self.at : self.operand_end(self.at)].strip()
                bare = typed.strip("'")
                hint = typed != bare or re.fullmatch(r"[^\W\d][\w.]*|.*[\"()\[\]{}*&:].*|", bare) is None
                raise self.wrong(t, f'expected a string in "quotes", as in "{bare}"') if hint else self.expected(t)
            return self.keys.string(unquote(found.group()).encode("utf-8", "surrogateescape"))
        raise BadExpression(f"{an(t.name)} can't be a key: it can't be compared")

    def converts(self, t: GoType) -> bool:
        """Takes `main.Color(` of main.Color(3), with or without the package."""
        name = spelt(t.name).match(self.text, self.at)
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
                raise self.expected(t)
            value = _integer(found.group(), self.expected(t))
        bits = 8 * t.size
        low, high = (-(1 << bits - 1), 1 << bits - 1) if t.kind is Kind.INT else (0, 1 << bits)
        if not low <= value < high:
            raise self.wrong(t, f"{an(t.name)} has {bits} bits")
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
            raise self.expected(t)
        real, imaginary = found["only"] or found["real"] or "0", found["imaginary"] or "0"
        if closed:
            self.expect(")", t)
        return self.float(t, real, t.size // 2) + self.float(t, imaginary, t.size // 2)

    def pointer(self, t: GoType) -> bytes:
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
        return basic(name, self.arch.pointer_size)


def _is_named(operand: str) -> bool:
    """Whether the operand can be an expression: not a number, a string or a composite literal."""
    if not operand or not (operand[0] in _NAMES or operand[0].isalpha() or re.match(r"0[xX][0-9a-fA-F]+\s*:", operand)):
        return False
    return ":" in operand or "{" not in operand


def _said(text: str) -> str:
    """A text that was typed, as messages have it."""
    return text if text[:1] in ('"', "'", "`") else f'"{text}"'


def _several(t: GoType, what: str, keys: Sequence[tuple[bytes, int]]) -> BadExpression:
    """The refusal to choose one of the map's keys, which have type t. keys: with their addresses."""
    places = ", ".join(f"{address:#x}:{t.name}" for _, address in keys[:MAX_NAMED])
    return BadExpression(f"{plural(len(keys), 'key')} of the map {what}: use {places}")


def _bare(text: str) -> str:
    """A printed key without comments and spaces."""
    return re.sub(r"\s+", "", re.sub(r"/\*.*?\*/", "", text, flags=re.S))


def _alike(t: GoType, given: GoType) -> bool:
    """Whether one can be converted to the other: types of one kind that consist of the same."""
    if plain_name(t) == plain_name(given):
        return same(t, given)
    if t.size != given.size or t.length != given.length:
        return False
    if t.kind is Kind.STRUCT:
        fields = [(f.name, f.offset, f.type.name) for f in t.fields]
        return fields == [(f.name, f.offset, f.type.name) for f in given.fields]
    return t.kind not in (Kind.ARRAY, Kind.POINTER) or t.elem.name == given.elem.name


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
