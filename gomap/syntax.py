"""Parses expressions that name a value: Go's operands with selectors, indexes, type assertions and conversions.

Nothing is looked up here. gomap/expr.py follows the parsed expression in the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

from gomap.errors import BadExpression

ADDRESS = re.compile(r"0[xX][0-9a-fA-F]+")
#: A package variable of a stripped program, by where it lies.
PLACE = re.compile(r"(?:data|bss)\+0x[0-9a-f]+")
#: Words that begin a type: what follows in brackets is converted.
_TYPE_WORDS = re.compile(r"(?:\*|\[|map\b|chan\b|<-|func\b|struct\b|interface\b|unsafe\.Pointer\Z)")
# A package path may contain everything up to the last slash but white space and brackets.
# $1 and $sp are gdb's own.
_NAME = re.compile(r"\$\w*|(?:[^\s\[\]()*&'\"/:,{}]+/)*[^\W\d][\w.\-~%·]*")
_FIELD = re.compile(r"[^\W\d][\w·]*")
MAX_BRACKETS = 64


@dataclass(frozen=True)
class Name:
    """A variable's name with the fields that follow it; only the program shows where the name ends. quoted: in gdb's
    quotes, so that all of it is the name of one symbol."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class AtAddress:
    """0xADDR:TYPE; type None: the address alone."""

    address: int
    type: str | None


@dataclass(frozen=True)
class Convert:
    """T(x)"""

    type: str
    value: str


@dataclass(frozen=True)
class Select:
    """.field: a field of a struct, or of what a pointer to one points to."""

    field: str


@dataclass(frozen=True)
class Index:
    """[key], as it was typed."""

    key: str


@dataclass(frozen=True)
class KeyOf:
    """.key(KEY): the key itself that a map has, not the value behind it."""

    key: str


@dataclass(frozen=True)
class Load:
    """.Load() of the types of sync/atomic, .Load(KEY) of a sync.Map."""

    key: str | None


@dataclass(frozen=True)
class Assert:
    """.(T)"""

    type: str


@dataclass(frozen=True)
class Deref:
    """*x: what a pointer points to."""

    pass


@dataclass(frozen=True)
class TypedAddress:
    """&x: the address of a variable, with its type."""

    pass


Root = Union[Name, AtAddress, Convert]
Step = Union[Select, Index, KeyOf, Load, Assert, Deref, TypedAddress]


def parse(text: str) -> tuple[Root, list[Step]]:
    """(the first operand of the expression, the steps applied to it, in order). Raises BadExpression."""
    if text.count("(") > MAX_BRACKETS:
        raise BadExpression(f"an expression has at most {MAX_BRACKETS} brackets")
    return _parse(text.strip(), text)


def _parse(body: str, text: str) -> tuple[Root, list[Step]]:
    prefixes: list[Step] = []
    while body[:1] in ("*", "&"):
        prefixes.append(Deref() if body[0] == "*" else TypedAddress())
        body = body[1:].strip()
    root, steps, rest = _operand(body, text)
    return root, [*steps, *_steps(rest, text), *prefixes[::-1]]


#: The root, steps within its brackets, what follows.
_Operand = tuple[Root, list[Step], str]


def _operand(body: str, text: str) -> _Operand:
    """The operand that body begins with. text: the whole expression, for error messages."""
    return next(found for found in (form(body, text) for form in _FORMS) if found is not None)


def _in_brackets(body: str, text: str) -> _Operand | None:
    if not body.startswith("("):
        return None
    end = closes(body)
    if end < 0:
        raise BadExpression(f"{text!r} has a ( without its )")
    inner, rest = body[1:end].strip(), body[end + 1 :].lstrip()
    if rest.startswith("("):
        return _converted(inner, rest, text)
    root, steps = _parse(inner, text)
    return root, steps, rest


def _in_quotes(body: str, text: str) -> _Operand | None:
    if not body.startswith("'"):
        return None
    end = body.find("'", 1)
    if end < 0:
        raise BadExpression(f"{text!r} has a quote without its end")
    return Name(body[1:end], quoted=True), [], body[end + 1 :]


def _place(body: str, text: str) -> _Operand | None:
    place = PLACE.match(body)
    return None if place is None else (Name(place.group()), [], body[place.end() :])


def _address(body: str, text: str) -> _Operand | None:
    address = ADDRESS.match(body)
    if address is None:
        return None
    rest = body[address.end() :].lstrip()
    if rest.startswith(":"):
        return AtAddress(int(address.group(), 16), rest[1:].strip()), [], ""
    return AtAddress(int(address.group(), 16), None), [], rest


def _type_in_quotes(body: str, text: str) -> _Operand | None:
    """Delve's quotes around a type's name."""
    if not re.match(r'"[^"]*"\s*\(', body):
        return None
    end = body.index('"', 1)
    return _converted(body[1:end], body[end + 1 :].lstrip(), text)


def _type_written_out(body: str, text: str) -> _Operand | None:
    kind, found = _TYPE_WORDS.match(body), _NAME.match(body)
    if kind is None or (found is not None and found.group() not in ("map", "chan", "func", "struct", "interface")):
        return None
    end = _type_end(body)
    return _converted(body[:end], body[end:], text) if body.startswith("(", end) else None


def _name(body: str, text: str) -> _Operand:
    found = _NAME.match(body)
    if found is None:
        raise BadExpression(f"{text!r} is not a variable: expected a name like m or main.cache, or 0xADDR:TYPE")
    name, rest = found.group(), body[found.end() :]
    if name.endswith("."):  # of x.(T)
        return Name(name[:-1]), [], f".{rest}"
    if not rest.lstrip().startswith("("):
        return Name(name), [], rest
    head, _, method = name.rpartition(".")
    if method in ("Load", "key") and head:
        return Name(head), [], f".{method}{rest}"
    return _converted(name, rest.lstrip(), text)


#: What an operand may be: the first that body begins with, a name where it is nothing else.
_FORMS = (_in_brackets, _in_quotes, _place, _address, _type_in_quotes, _type_written_out, _name)


def _converted(name: str, rest: str, text: str) -> _Operand:
    end = closes(rest)
    if end < 0:
        raise BadExpression(f"{text!r} has a ( without its )")
    name = name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name.replace('*"', "*").rstrip('"')
    return Convert(name, rest[1:end].strip()), [], rest[end + 1 :]


def _type_end(body: str) -> int:
    """Where a type that is written out ends: at the first ( outside of brackets."""
    depth = 0
    for i, character in enumerate(body):
        if character == "(" and not depth:
            return i
        depth += (character in "[{") - (character in "]}")
    return len(body)


def outside_quotes(text: str, start: int = 0) -> Iterator[tuple[int, str, int]]:
    """(position, character, depth of brackets behind it) of all that is in no quotes, from `start` on."""
    depth, quote, i = 0, "", start
    while i < len(text):
        character = text[i]
        if quote:
            if character == "\\" and quote != "`":
                i += 1
            elif character == quote:
                quote = ""
        elif character in "\"'`":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
            yield i, character, depth
        i += 1


def closes(body: str) -> int:
    """Where the bracket that `body` begins with is closed, -1 where it is not. Brackets in quotes do not count."""
    return next((i for i, _, depth in outside_quotes(body) if not depth), -1)


def _steps(rest: str, text: str) -> Iterator[Step]:
    rest = rest.lstrip()
    while rest:
        if rest[0] == ".":
            step, rest = _dotted(rest[1:].lstrip(), text)
            yield step
        elif rest[0] == "[":
            end = closes(rest)
            if end < 0:
                raise BadExpression(f"{text!r} has an index without its ]")
            key = rest[1:end].strip()
            if not key:
                raise BadExpression(f"{text!r}: an index is missing between [ and ]")
            yield Index(key)
            rest = rest[end + 1 :]
        else:
            operator = ": operators are not evaluated" if rest[0] in "+-*/%<>=!|&^" else ""
            raise BadExpression(f"{text!r} can't be understood from {rest!r} on{operator}")
        rest = rest.lstrip()


def _dotted(rest: str, text: str) -> tuple[Step, str]:
    """The step behind a dot, and what follows it."""
    if rest.startswith("("):
        end = closes(rest)
        if end < 0:
            raise BadExpression(f"{text!r} has a ( without its )")
        return Assert(rest[1:end].strip()), rest[end + 1 :]
    found = _FIELD.match(rest)
    if found is None:
        if not rest:
            raise BadExpression(f"{text!r} ends in a dot: name the field after it")
        raise BadExpression(f"{text!r}: a field name is missing at {rest!r}")
    name, rest = found.group(), rest[found.end() :]
    if not rest.lstrip().startswith("("):
        return Select(name), rest
    rest = rest.lstrip()
    end = closes(rest)
    argument = rest[1:end].strip()
    if end < 0:
        raise BadExpression(f"{text!r} has a ( without its )")
    if name == "Load":
        return Load(argument or None), rest[end + 1 :]
    if name == "key" and argument:
        return KeyOf(argument), rest[end + 1 :]
    raise BadExpression(
        f"{text!r}: methods are not called, so {name}(...) has no value here; name a field or an element"
    )


_SIMPLE = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "'": "'",
}


def unquote(literal: str) -> str:
    """The text of a Go string literal; bytes that are not valid UTF-8 become surrogates (PEP 383)."""
    if literal.startswith("`"):
        return literal[1:-1]
    raw = bytearray()
    body = literal[1:-1]
    for found in re.finditer(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)|[^\\]+", body, re.S):
        escape = found.group(1)
        if escape is None:
            raw += found.group(0).encode("utf-8", "surrogateescape")
        elif escape in _SIMPLE:
            raw += _SIMPLE[escape].encode()
        elif escape[0] == "x" and len(escape) == 3:
            raw.append(int(escape[1:], 16))
        elif escape[0] in "uU" and len(escape) > 1:
            raw += chr(int(escape[1:], 16)).encode("utf-8", "surrogatepass")
        elif escape.isdigit() and len(escape) == 3:
            raw.append(int(escape, 8) & 0xFF)
        else:
            raise BadExpression(f"\\{escape} is not an escape of Go strings")
    return raw.decode("utf-8", "surrogateescape")
