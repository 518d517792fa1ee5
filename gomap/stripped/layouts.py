"""Where the fields of the runtime's structures lie, by version of Go: the table layouts.txt, made by tools/layouts.py.

A line of the file is the text of one structure; rows name those that they have, by the numbers of their lines. A type
is written as

    u8 i4 b1 f8 c16    numbers of so many bytes, bool          s I E    string, interface with methods, any
    p f m c            pointer, func, map, channel             o24      so many bytes that nothing is known of
    *T []T [N]T        pointer to T, slice, array              {NAME OFFSET TYPE;...}SIZE    struct
    runtime.mspan      another structure of the same row, behind a pointer
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TypeVar

from gomap.errors import NoDebugInfo
from gomap.gotypes import Field, GoType, Kind, Lazy, fixed

FILE = Path(__file__).with_name("layouts.txt")
#: Structs within structs of more bytes are not written out: nothing is read of them.
MAX_INNER = 96
_LETTERS = {Kind.UINT: "u", Kind.INT: "i", Kind.BOOL: "b", Kind.FLOAT: "f", Kind.COMPLEX: "c"}
_WORDS = {"p": Kind.UNSAFE_POINTER, "f": Kind.FUNC, "m": Kind.MAP, "c": Kind.CHAN}
_NUMBERS = {letter: kind for kind, letter in _LETTERS.items()}

_V = TypeVar("_V")
#: (minor version, architecture, experiment)
Key = tuple[int, str, str]


@dataclass(frozen=True)
class Row:
    """The facts about one version. types: texts of structures by name. constants: values by name. reasons:
    runtime.waitReasonStrings. alike: experiments that change none of these."""

    key: Key
    types: Mapping[str, str]
    constants: Mapping[str, int]
    reasons: tuple[str, ...]
    alike: tuple[str, ...] = ()


# -- the file ------------------------------------------------------------------------------------------


def write(rows: Collection[Row]) -> None:
    """Writes the file."""
    lines: dict[str, int] = {}
    body = []
    for row in rows:
        minor, arch, experiment = row.key
        types = [lines.setdefault(f"{name} {text}", len(lines)) for name, text in row.types.items()]
        reasons = lines.setdefault("reasons " + "|".join(row.reasons), len(lines))
        constants = " ".join(f"{name}={value}" for name, value in row.constants.items())
        body.append(f"row {minor} {arch} {experiment or '-'} {','.join(map(str, [*types, reasons]))} {constants}")
        if row.alike:
            body[-1] += f" alike={','.join(row.alike)}"
    FILE.write_text("\n".join([*lines, *body]) + "\n", "utf-8")


@lru_cache(maxsize=1)
def read() -> list[Row]:
    """All rows of the file."""
    # Not FILE: gomap may be in an archive.
    lines = (resources.files("gomap.stripped") / FILE.name).read_text("utf-8").splitlines()
    rows = []
    for line in lines:
        if not line.startswith("row "):
            continue
        _, minor, arch, experiment, numbers, *constants = line.split()
        own = [lines[int(number)].partition(" ") for number in numbers.split(",")]
        values = {name: value for name, _, value in (one.partition("=") for one in constants)}
        alike = values.pop("alike", "")
        rows.append(
            Row(
                (int(minor), arch, "" if experiment == "-" else experiment),
                {name: text for name, _, text in own if name != "reasons"},
                {name: int(value) for name, value in values.items()},
                next(tuple(text.split("|")) for name, _, text in own if name == "reasons"),
                tuple(alike.split(",")) if alike else (),
            )
        )
    return rows


# -- types as text -------------------------------------------------------------------------------------


def written(t: GoType, named: Collection[str], top: bool = True) -> str:
    """The text of a type. named: structures that have a line of their own."""
    kind = t.kind
    if kind is Kind.STRUCT:
        if not top and t.size > MAX_INNER:
            return f"o{t.size}"
        fields = (f"{f.name} {f.offset} {written(f.type, named, False)}" for f in t.fields if f.type.size)
        return "{" + ";".join(fields) + "}" + str(t.size)
    if kind is Kind.ARRAY:
        return f"[{t.length}]{written(t.elem, named, False)}"
    if kind is Kind.SLICE:
        return f"[]{_behind(t, named)}"
    if kind is Kind.POINTER:
        return f"*{_behind(t, named)}"
    if kind is Kind.STRING:
        return "s"
    if kind is Kind.INTERFACE:
        return "I" if t.methods else "E"
    if kind in _LETTERS:
        return f"{_LETTERS[kind]}{t.size}"
    return next((letter for letter, one in _WORDS.items() if one is kind), f"o{t.size}")


def _behind(t: GoType, named: Collection[str]) -> str:
    """What a pointer or slice leads to: a structure of the table, arrays of and pointers to one, or numbers."""
    elem = t.elem
    if elem.name in named:
        return elem.name
    if elem.kind in (Kind.ARRAY, Kind.POINTER):
        return written(elem, named, False)
    return f"{_LETTERS[elem.kind]}{elem.size}" if elem.kind in _LETTERS else "p" if elem.size == 0 else f"o{elem.size}"


_TOKEN = re.compile(r"\[(\d*)\]|\*|\{|(?P<number>[uibfc])(?P<bytes>\d+)|o(?P<opaque>\d+)|(?P<word>[a-zA-Z_][\w./]*)")


class Layouts:
    """The structures of one row as types. word: bytes of a pointer."""

    def __init__(self, row: Row, word: int) -> None:
        self.row, self._word = row, word
        self._made: dict[str, GoType | None] = {}

    def find(self, name: str) -> GoType | None:
        """The structure of that name."""
        if name not in self._made:
            text = self.row.types.get(name)
            self._made[name] = None if text is None else self._parse(text, 0, name)[0]
        return self._made[name]

    def _lazy(self, name: str) -> Lazy:
        def make() -> GoType:
            found = self.find(name)
            if found is None:
                raise NoDebugInfo(f"gomap's table of the runtime's structures has no {name} for Go 1.{self.row.key[0]}")
            return found

        return Lazy(make)

    def _parse(self, text: str, at: int, name: str = "") -> tuple[GoType, int]:
        """(the type whose text begins at `at`, where it ends). Raises NoDebugInfo."""
        found, word = _TOKEN.match(text, at), self._word
        if found is None:
            raise NoDebugInfo(f"gomap's table of the runtime's structures is damaged at {text[at : at + 40]!r}")
        end = found.end()
        if found["number"]:
            kind, size = _NUMBERS[found["number"]], int(found["bytes"])
            return GoType(kind, f"{kind.value}{8 * size}" if kind is not Kind.BOOL else "bool", size), end
        if found["opaque"]:
            return GoType(Kind.OPAQUE, name or "?", int(found["opaque"])), end
        token = found.group()
        if token == "{":
            return self._struct(text, end, name)
        if token == "*" or token == "[]":
            lazy, called, end = self._behind(text, end)
            if token == "*":
                return GoType(Kind.POINTER, "*" + called, word, lazy_elem=lazy), end
            return GoType(Kind.SLICE, "[]" + called, 3 * word, lazy_elem=lazy), end
        if token.startswith("["):
            elem, end = self._parse(text, end)
            length = int(found.group(1))
            return GoType(Kind.ARRAY, token + elem.name, length * elem.size, length, lazy_elem=fixed(elem)), end
        if token == "s":
            return GoType(Kind.STRING, "string", 2 * word), end
        if token in ("I", "E"):
            return GoType(Kind.INTERFACE, "interface {}", 2 * word, methods=token == "I"), end
        if token in _WORDS:
            return GoType(_WORDS[token], "unsafe.Pointer" if token == "p" else token, word), end
        raise NoDebugInfo(f"gomap's table of the runtime's structures has a type {token!r} that is not one")

    def _behind(self, text: str, at: int) -> tuple[Lazy, str, int]:
        """(what a pointer leads to, its name, where its text ends)."""
        found = _TOKEN.match(text, at)
        if found is not None and found["word"] and "." in found["word"]:
            return self._lazy(found["word"]), found["word"], found.end()
        elem, end = self._parse(text, at)
        return fixed(elem), elem.name, end

    def _struct(self, text: str, at: int, name: str) -> tuple[GoType, int]:
        fields = []
        while not text.startswith("}", at):
            own, offset, rest = text[at:].split(" ", 2)
            at = len(text) - len(rest)
            t, at = self._parse(text, at)
            fields.append(Field(own, int(offset), t))
            at += text.startswith(";", at)
        size = re.compile(r"\d+").match(text, at + 1)
        assert size is not None
        return GoType(Kind.STRUCT, name or "struct", int(size.group()), fields=tuple(fields)), size.end()


# -- rows ----------------------------------------------------------------------------------------------


def row_of(minor: int, arch: str, experiments: Collection[str]) -> tuple[Row | None, list[str]]:
    """(the row of this Go version, None if the table has none that is near; the note about it)."""
    rows = {row.key: row for row in read() if row.key[1] == arch}
    known = sorted(number for number, _, experiment in rows if not experiment)
    if not known or minor < known[0]:
        return None, []
    notes = []
    near = minor if minor in known else max(number for number in known if number < minor)
    if near != minor:
        notes.append(
            f"Go 1.{minor} is newer than gomap's table of the runtime's structures: those of Go 1.{near} were taken, "
            "where the program's memory agrees"
        )
    base = rows[near, arch, ""]
    types, constants = dict(base.types), dict(base.constants)
    for experiment in experiments:
        row = rows.get((near, arch, experiment))
        if row is not None:
            _change(types, base.types, row.types)
            _change(constants, base.constants, row.constants)
        elif experiment not in base.alike:
            notes.append(
                f"gomap's table of the runtime's structures does not have GOEXPERIMENT={experiment}: those without it "
                "were taken, where the program's memory agrees"
            )
    return Row((minor, arch, ",".join(experiments)), types, constants, base.reasons), notes


def _change(found: dict[str, _V], base: Mapping[str, _V], other: Mapping[str, _V]) -> None:
    """Makes the changes that lead from base to other."""
    for name in base.keys() - other.keys():
        found.pop(name, None)
    found.update((name, value) for name, value in other.items() if base.get(name) != value)


def known() -> str:
    """The versions and architectures of the table, as people read them."""
    minors = sorted({row.key[0] for row in read()})
    machines = sorted({row.key[1] for row in read()})
    return f"Go 1.{minors[0]} to 1.{minors[-1]} for {', '.join(machines)}"
