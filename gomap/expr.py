"""Go expressions that name a value: `m`, `main.W.Ints`, `p.cfg.M`, `arr[3]`, `*p`, `0xc000012345:map[K]V`.

Parsed and followed here, so that they mean the same in every debugger, in every frame and language setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Union

from gomap.errors import BadExpression, GomapError, MemoryFault, NoSuchType, NoSuchVariable, NotAMap
from gomap.golang.rtype import Types, dynamic
from gomap.golang.structure import counted
from gomap.gotypes import Field, GoType, Kind, can_reach_map
from gomap.human import plural
from gomap.maps import view
from gomap.target import Target, Variable
from gomap.values import quote

_ADDRESS = re.compile(r"(0[xX][0-9a-fA-F]+):(.+)\Z", re.S)
# A package path may contain everything up to the last slash but white space and brackets.
_NAME = re.compile(r"&?(?:[^\s\[\]()*&'\"/]+/)*[^\W\d][\w.\-~%·]*|&?[^\W\d][\w·]*")
MAX_EMBEDDED = 8
MAX_KEYS = 1 << 20
MAX_BRACKETS = 64
#: Fields that a message names.
MAX_NAMED = 8


@dataclass(frozen=True)
class Select:
    field: str


@dataclass(frozen=True)
class Index:
    key: int | str


@dataclass(frozen=True)
class Deref:
    pass


Step = Union[Select, Index, Deref]


def resolve(target: Target, text: str) -> Variable:
    """The value that an expression names.

    Raises NoSuchVariable, NoSuchType, BadExpression, OptimizedOut, MemoryFault.
    """
    text = text.strip()
    if not text:
        raise BadExpression("an expression is missing: name a variable, or 0xADDRESS:TYPE")
    at = _ADDRESS.match(text)
    if at:
        return _at_address(target, text, int(at.group(1), 16), at.group(2).strip())
    if text.count("(") > MAX_BRACKETS:
        raise BadExpression(f"an expression with more than {MAX_BRACKETS} brackets is none that was meant")
    name, steps, stars = _parse(text)
    variable, rest = _root(target, name)
    types = Types(target)
    for step in [*rest, *steps, *[Deref()] * stars]:
        variable = _follow(target, types, variable, step)
    return replace(variable, name=text)


def resolve_map(target: Target, text: str) -> tuple[Variable, GoType, int]:
    """(the variable, its map type, address of its header or 0 when nil).

    Interfaces that hold a map and pointers to maps are followed. Raises NotAMap and what resolve raises.
    """
    return map_in(target, resolve(target, text))


def resolve_behind(target: Target, text: str) -> Variable:
    """The value that an expression names, or that a pointer or interface of that name leads to.

    Raises what resolve raises.
    """
    variable = resolve(target, text)
    return replace(_concrete(target, Types(target), variable), name=variable.name)


def map_in(target: Target, variable: Variable) -> tuple[Variable, GoType, int]:
    """The map that a value is, holds as an interface, or points to: as resolve_map."""
    types = Types(target)
    first = variable
    for _ in range(MAX_EMBEDDED):
        t = variable.type
        if t.kind is Kind.MAP:
            word = variable.read(target.memory, 0, target.arch.pointer_size)
            return variable, t, target.arch.pointer(word)
        if t.kind is Kind.INTERFACE:
            inner = _unwrap(target, types, variable)
            if inner is None:
                raise NotAMap(f"{first.name} is a nil {t.name}: it holds no map")
            variable = inner
        elif t.kind is Kind.POINTER and t.elem.kind in (Kind.MAP, Kind.INTERFACE, Kind.POINTER):
            variable = _deref(target, variable)
        else:
            break
    held = "" if variable.type is first.type else f" that holds {variable.type.name}"
    raise NotAMap(f"{first.name} is no map: its type is {first.type.name}{held}{_instead(variable.type)}")


def _instead(t: GoType) -> str:
    """What can be asked about a value that is no map."""
    while t.kind is Kind.POINTER:
        t = t.elem
    if t.name == "sync.Map":
        return " (hmap-sync shows it)"
    named = [f.name for f in t.fields if f.type.kind is Kind.MAP] if t.kind is Kind.STRUCT else []
    more = ", ..." if len(named) > MAX_NAMED else ""
    return f" (its maps: {', '.join(named[:MAX_NAMED])}{more})" if named else ""


# -- following ---------------------------------------------------------------------------------------


def _at_address(target: Target, text: str, address: int, type_name: str) -> Variable:
    t = target.find_type(type_name)
    if t is None:
        raise NoSuchType(
            f"the debug information has no type {type_name!r}: write it with full package paths, as in "
            "0xc000012345:map[string]*example.com/shop/cart.Item"
        )
    if t.kind is Kind.MAP:  # the address is the header's: the map value itself is that pointer
        return Variable(text, t, data=target.arch.pack(address & (1 << 8 * t.size) - 1))
    return Variable(text, t, address=address)


def _root(target: Target, name: str) -> tuple[Variable, list[Step]]:
    """The variable that the longest prefix of a dotted name stands for, and the fields that follow.

    A name in quotes is that of a symbol first, as in gdb: no local variable hides it.
    """
    if name.startswith("'"):
        name = name[1:-1]
        quoted = target.variable(name)
        if quoted is not None:
            return quoted, []
    slash = name.rfind("/") + 1
    parts = name[slash:].split(".")
    prefix = name[:slash]
    # A local hides a package of that name, but in its own function alone: callers' locals come after packages.
    dotted = len(parts) > 1
    local = None if prefix else target.variable(parts[0], callers=not dotted)
    if local is not None:
        return local, [Select(part) for part in parts[1:]]
    for end in range(len(parts), 1, -1):
        found = target.variable(prefix + ".".join(parts[:end]))
        if found is not None:
            return found, [Select(part) for part in parts[end:]]
    local = target.variable(parts[0]) if dotted and not prefix else None
    if local is not None:
        return local, [Select(part) for part in parts[1:]]
    package = None if prefix else target.package
    if package:
        found = target.variable(f"{package}.{parts[0]}")
        if found is not None:
            return found, [Select(part) for part in parts[1:]]
    where = "in this frame, the frames that called it, or the packages"
    hint = "package variables need their full name, like main.cache"
    if target.kind == "recorded":
        where = "in the file"
        hint = f"it has {', '.join(v.name for v in target.frame_variables(can_reach_map) if can_reach_map(v.type))}"
    meant = _meant(target, name)
    raise NoSuchVariable(f"no variable {name!r} {where}: {f'did you mean {meant}?' if meant else hint}")


def _meant(target: Target, name: str) -> str | None:
    """The variable that leads to maps whose name is nearest to the first parts of one that there is not.

    Package variables are looked through for what may be one: a debugger reads its symbols for that.
    """
    wanted = name.lstrip("&").lower()
    packages = "." in wanted or name[:1].isupper()
    slash = wanted.rfind("/") + 1
    first = wanted[:slash] + ".".join(wanted[slash:].split(".")[:2])  # what follows may be fields
    forms: dict[str, str] = {}
    try:
        known = list(target.frame_variables(can_reach_map))
        known += target.package_variables(can_reach_map) if packages else ()
        for variable in known:
            full = variable.name
            # With a package's last word, as the program's text has it, or without a package.
            for form in (full, full[full.rfind("/") + 1 :], full[full.rfind(".") + 1 :]):
                forms.setdefault(form.lower(), full)
    except GomapError:
        return None
    near = (get_close_matches(word, forms, 1, 0.8) for word in (wanted, first))
    return next((forms[found[0]] for found in near if found), None)


def _follow(target: Target, types: Types, variable: Variable, step: Step) -> Variable:
    if isinstance(step, Deref):
        if variable.type.kind is not Kind.POINTER:
            raise BadExpression(f"{variable.name} is no pointer: its type is {variable.type.name}")
        return _deref(target, variable)
    if isinstance(step, Index):
        return _index(target, types, variable, step.key)
    return _select(target, types, variable, step.field)


def _deref(target: Target, variable: Variable) -> Variable:
    address = target.arch.pointer(variable.read(target.memory, 0, target.arch.pointer_size))
    if not address:
        raise BadExpression(f"{variable.name} is a nil {variable.type.name}")
    return Variable(f"*{variable.name}", variable.type.elem, address, place=variable.place, note=variable.note)


def _unwrap(target: Target, types: Types, variable: Variable) -> Variable | None:
    """The value in an interface, None when nil."""
    held = dynamic(types, variable.type, variable.read(target.memory, 0, 2 * target.arch.pointer_size))
    if held is None:
        return None
    t, word, direct = held
    if direct:
        return replace(variable, type=t, address=None, data=target.arch.pack(word), holes=())
    return replace(variable, type=t, address=word, data=None, holes=())


def _concrete(target: Target, types: Types, variable: Variable) -> Variable:
    """Through interfaces and pointers, as Go's selectors and this tool's convenience have it."""
    for _ in range(MAX_EMBEDDED):
        if variable.type.kind is Kind.INTERFACE:
            inner = _unwrap(target, types, variable)
            if inner is None:
                raise BadExpression(f"{variable.name} is a nil {variable.type.name}")
            variable = replace(inner, name=variable.name)
        elif variable.type.kind is Kind.POINTER:
            variable = replace(_deref(target, variable), name=variable.name)
        else:
            break
    return variable


def _select(target: Target, types: Types, variable: Variable, name: str) -> Variable:
    holder = _concrete(target, types, variable)
    if holder.type.kind is not Kind.STRUCT:
        raise BadExpression(f"{variable.name} has no field {name}: its type is {variable.type.name}")
    path = find_field(holder.type, name)
    if path is None:
        known = ", ".join(f.name for f in holder.type.fields[:12]) or "no fields"
        more = ", ..." if len(holder.type.fields) > 12 else ""
        raise BadExpression(f"{variable.name} has no field {name}: it has {known}{more}")
    for field in path:
        holder = _concrete(target, types, holder)
        holder = holder.part(f"{variable.name}.{name}", field.type, field.offset)
    return holder


def find_field(t: GoType, name: str) -> list[Field] | None:
    """The field, or the shortest way to it through embedded structs, as Go promotes fields."""
    level: list[tuple[GoType, list[Field]]] = [(t, [])]
    for _ in range(MAX_EMBEDDED):
        deeper = []
        for struct, path in level:
            found = struct.field(name)
            if found is not None:
                return [*path, found]
            for field in struct.fields:
                # Debug information does not always say which fields are embedded: their name is their type's.
                inner = field.type.elem if field.type.kind is Kind.POINTER else field.type
                named = field.embedded or field.name == inner.name.rsplit(".", 1)[-1]
                if named and inner.kind is Kind.STRUCT:
                    deeper.append((inner, [*path, field]))
        level = deeper
    return None


def _index(target: Target, types: Types, variable: Variable, key: int | str) -> Variable:
    holder = _concrete(target, types, variable)
    written = quote(key.encode("utf-8", "surrogateescape")) if isinstance(key, str) else str(key)
    t, name = holder.type, f"{variable.name}[{written}]"
    if t.kind is Kind.MAP:
        return _map_index(target, holder, key, name)
    if isinstance(key, str) or t.kind not in (Kind.ARRAY, Kind.SLICE):
        raise BadExpression(f"{variable.name} can't be indexed with {written}: its type is {t.name}")
    if t.kind is Kind.ARRAY:
        if not 0 <= key < t.length:
            raise BadExpression(f"{name} is out of range: {t.name} has {plural(t.length, 'element')}")
        return holder.part(name, t.elem, key * t.elem.size)
    word = target.arch.pointer_size
    head = holder.read(target.memory, 0, 2 * word)
    start, length = target.arch.pointer(head), target.arch.pointer(head, word)
    if not 0 <= key < length:
        raise BadExpression(f"{name} is out of range: the slice has {plural(length, 'element')}")
    return Variable(name, t.elem, start + key * t.elem.size, place=variable.place, note=variable.note)


def _map_index(target: Target, holder: Variable, key: int | str, name: str) -> Variable:
    """The elem of a string or integer key, found by walking."""
    t = holder.type
    wanted = Kind.STRING if isinstance(key, str) else None
    if (wanted is Kind.STRING) != (t.key.kind is Kind.STRING) or t.key.kind not in (
        Kind.STRING,
        Kind.INT,
        Kind.UINT,
    ):
        raise BadExpression(f"{name}: keys of {t.name} can't be written like that here")
    address = target.arch.pointer(holder.read(target.memory, 0, target.arch.pointer_size))
    if address:
        word, order = target.arch.pointer_size, target.arch.byte_order
        raw = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else b""
        found = view(target, t, address)
        for count, entry in enumerate(counted(found.count, found.entries())):
            if count > MAX_KEYS:
                raise BadExpression(f"{name}: the map has too many entries to look through")
            if entry.key is None:
                continue
            if isinstance(key, str):
                pointer, length = target.arch.pointer(entry.key), target.arch.pointer(entry.key, word)
                try:
                    if length != len(raw) or (length and target.memory.read(pointer, length) != raw):
                        continue
                except MemoryFault:
                    continue
            elif int.from_bytes(entry.key, order, signed=t.key.kind is Kind.INT) != key:  # type: ignore[arg-type]
                continue
            return replace(holder, name=name, type=t.elem, address=entry.elem_address, data=None, holes=())
    raise BadExpression(f"{name}: the map has no such key")


# -- parsing -----------------------------------------------------------------------------------------


def _parse(text: str) -> tuple[str, list[Step], int]:
    """(root name, steps, how many times the whole is dereferenced)."""
    body, stars = text, 0
    while True:
        body = body.strip()
        if body.startswith("*"):
            body, stars = body[1:], stars + 1
        elif body.startswith("(") and _closes(body) == len(body) - 1:
            inner_name, inner_steps, inner_stars = _parse(body[1:-1])
            return inner_name, [*inner_steps, *[Deref()] * inner_stars], stars
        else:
            break
    if body.startswith("("):
        end = _closes(body)
        if end < 0:
            raise BadExpression(f"{text!r} has a ( without its )")
        name, steps, inner_stars = _parse(body[1:end])
        return name, [*steps, *[Deref()] * inner_stars, *_steps(body[end + 1 :], text)], stars
    if body.startswith("'"):
        end = body.find("'", 1)
        if end < 0:
            raise BadExpression(f"{text!r} has a quote without its end")
        return body[: end + 1], list(_steps(body[end + 1 :], text)), stars
    found = _NAME.match(body)
    if found is None:
        raise BadExpression(f"{text!r} is no variable: write a name like m or main.cache, or 0xADDRESS:TYPE")
    name = found.group(0)
    rest = body[found.end() :]
    if name.endswith("."):
        raise BadExpression(f"{text!r} ends in a dot: name the field after it")
    return name, list(_steps(rest, text)), stars


def _closes(body: str) -> int:
    depth = 0
    for i, character in enumerate(body):
        depth += (character == "(") - (character == ")")
        if not depth:
            return i
    return -1


def _steps(rest: str, text: str) -> Iterator[Step]:
    while rest:
        if rest[0] == ".":
            found = re.match(r"\.([^\W\d][\w·]*)", rest)
            if found is None:
                raise BadExpression(f"{text!r}: a field name is missing at {rest!r}")
            yield Select(found.group(1))
            rest = rest[found.end() :]
        elif rest[0] == "[":
            end, key = _subscript(rest, text)
            yield Index(key)
            rest = rest[end:]
        elif rest[0].isspace():
            rest = rest.lstrip()
        else:
            raise BadExpression(f"{text!r} can't be understood from {rest!r} on")


def _subscript(rest: str, text: str) -> tuple[int, int | str]:
    number = re.match(r"\[\s*(-?(?:0[xX][0-9a-fA-F]+|\d+))\s*\]", rest)
    if number:
        return number.end(), int(number.group(1), 0)
    string = re.match(r'\[\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*\]', rest)
    if string:
        return string.end(), unquote(string.group(1))
    raise BadExpression(f'{text!r}: an index is a number or a "string", not {rest!r}')


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
    """The text of a Go string literal; bytes that are no UTF-8 as surrogates (PEP 383)."""
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
            raise BadExpression(f"\\{escape} is no escape of a Go string")
    return raw.decode("utf-8", "surrogateescape")
