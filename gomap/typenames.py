"""Types by the names that people type: spaces, aliases and package paths as they like, made of others or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from math import prod

from gomap.errors import BadExpression, GomapError
from gomap.golang.runtime.maptypes import map_types
from gomap.golang.runtime.pclntab import package_paths
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind, fixed
from gomap.target import Target

#: Names that debug information does not use.
_LONG = {"byte": "uint8", "rune": "int32", "any": "interface {}", "interface{}": "interface {}"}
_SHORT = re.compile(r"(?<![\w./])(?:byte|rune|any)(?![\w./])|(?<![\w.])interface\{\}")
_SIZES = {"8": 1, "16": 2, "32": 4, "64": 8}
#: A name within a type's name, with its package.
_PART = re.compile(r"[^\s\[\]{}()*;,<>\"`]+")
_NUMBER = re.compile(r"\d+\Z")
_WORDS = frozenset({"map", "chan", "func", "struct", "interface", "..."})
_VERSION = re.compile(r"v\d+\Z")
#: Readings of one name that are tried.
MAX_READINGS = 64
MAX_NAME = 4096


def find(target: Target, name: str) -> GoType | None:
    """The type of this name; types composed of others need not be in the debug information themselves.

    Raises BadExpression for a name that could be one of several types.
    """
    if len(name) > MAX_NAME:
        return None
    linked = canonical(name)
    escaped = _PART.sub(lambda part: as_symbol(part.group()), linked)
    found = _of(target, linked) or target.find_type(name) or (_of(target, escaped) if escaped != linked else None)
    return found or _abbreviated(target, linked)


def listed(target: Target, name: str) -> GoType | None:
    """A map type that the debug information leaves out: the runtime has the descriptors of those that are made. None
    where several have the name, as types that functions declare may."""
    linked = canonical(name)
    if target.kind == "recorded" or not (linked.startswith("map[") or "." in linked):
        return None
    types = DescribedTypes(target)
    try:
        found = [one.descriptor for one in map_types(types) if types.name(one.descriptor) == linked]
        return types.at(found[0]) if len(found) == 1 else None
    except GomapError:
        return None


def canonical(name: str) -> str:
    """The name with its spaces and aliases as debug information has them."""
    return _as_linked(_SHORT.sub(lambda found: _LONG[found.group()], _as_linked(name)))


def as_symbol(name: str) -> str:
    """A name with its package's path as the linker writes it: dots in the last element of the path are %2e
    (PathToPrefix of cmd/internal/objabi/path.go)."""
    slash = name.rfind("/") + 1
    package, dot, own = name[slash:].rpartition(".")
    return f"{name[:slash]}{package.replace('.', '%2e')}{dot}{own}"


def _of(target: Target, name: str) -> GoType | None:
    """The type of a name in full."""
    if not name:
        return None
    word = target.arch.pointer_size
    found = basic(name, word) or target.find_type(name)
    if found is not None:
        return found
    if name == "struct {}":
        return GoType(Kind.STRUCT, "struct {}", 0)
    made = re.match(r"(?P<pointer>\*)|\[(?P<length>\d{1,9})\]|(?P<slice>\[\])|(?P<chan>(?:<-)?chan(?:<-)? )", name)
    if made is None:
        return None
    inner = name[made.end() :]
    elem = _of(target, inner[1:-1] if inner.startswith("(") and inner.endswith(")") else inner)
    if elem is None:
        return None
    full = made.group() + elem.name
    if made["length"]:
        length = int(made["length"])
        return GoType(Kind.ARRAY, full, length * elem.size, length, lazy_elem=fixed(elem))
    if made["slice"]:
        return GoType(Kind.SLICE, full, 3 * word, lazy_elem=fixed(elem))
    return GoType(Kind.POINTER if made["pointer"] else Kind.CHAN, full, word, lazy_elem=fixed(elem))


def _abbreviated(target: Target, name: str) -> GoType | None:
    """The type that a name means whose parts lack packages, or their packages' paths."""
    found: dict[str, GoType] = {}
    for reading in _readings(target, name):
        one = _of(target, reading) if reading != name else None
        if one is not None:
            found.setdefault(one.name, one)
    if len(found) > 1:
        raise BadExpression(f"{name} can be {' or '.join(sorted(found)[:4])}: write the package path")
    return next(iter(found.values()), None)


def _readings(target: Target, name: str) -> Iterator[str]:
    """What the name may be in full. Raises BadExpression where that is too much to try."""
    choices: list[list[str]] = []
    texts: list[str] = []
    at = 0
    for part in _PART.finditer(name):
        meant = _meant(target, part.group())
        texts.append(name[at : part.start()])
        choices.append(meant)
        at = part.end()
    if (
        prod(map(len, choices)) > MAX_READINGS
    ):  # many packages are called v1: of generic types no name is known by itself
        known = ([word for word in words if target.find_type(word) is not None] for words in choices)
        choices = [few or words for few, words in zip(known, choices)]
    if prod(map(len, choices)) > MAX_READINGS:
        raise BadExpression(f"{name} can be one of more than {MAX_READINGS} types: write the packages' paths")
    for chosen in product(*choices):
        yield "".join(text + word for text, word in zip(texts, chosen)) + name[at:]


def _meant(target: Target, part: str) -> list[str]:
    """What one name in a type's name can be in full, the name itself first."""
    if part in _WORDS or _NUMBER.match(part) or basic(part, 8) is not None or "/" in part:
        return [part]
    package, _, own = part.rpartition(".")
    if package:
        return [part, *(f"{path}.{own}" for path in paths_of(target, package) if path != package)]
    selected = target.package
    return [part, *(f"{path}.{part}" for path in dict.fromkeys(p for p in (selected, "main") if p))]


def paths_of(target: Target, package: str) -> list[str]:
    """Paths of the packages that the program's text calls by this name."""
    try:
        return [path for path in package_paths(target) if package in called(path)]
    except GomapError:
        return []


def has_package(target: Target, path: str) -> bool:
    """Whether functions of this package, by its path or by its name, are in the program."""
    try:
        return any(path in (one, *called(one)) for one in package_paths(target))
    except GomapError:
        return False


@cache
def called(path: str) -> frozenset[str]:
    """What the program's text may call a package by its path: the last word, or the one before a version."""
    words = path.replace("%2e", ".").split("/")
    last = words[-1]
    names = {last, last.partition(".")[0], path.rpartition("/")[2]}  # as the linker writes it, yaml%2ev3, too
    if _VERSION.match(last) and len(words) > 1:
        names.add(words[-2])
    names.update(name.rpartition("-")[2] for name in list(names))
    names.update(name[3:] for name in list(names) if name.startswith("go-"))
    return frozenset(names)


def means(written: str, full: str) -> bool:
    """Whether a type's name, as typed, can mean the type with this full name."""
    written, full = (canonical(name).replace("%2e", ".") for name in (written, full))
    if written == full:
        return True
    typed, known = _PART.findall(written), _PART.findall(full)
    if len(typed) != len(known) or _PART.sub("\0", written) != _PART.sub("\0", full):
        return False
    return all(_same(one, other) for one, other in zip(typed, known))


def _same(typed: str, known: str) -> bool:
    if typed == known:
        return True
    path, _, own = known.rpartition(".")
    package, _, name = typed.rpartition(".")
    return name == own and bool(path) and (not package or package in called(path))


def basic(name: str, word: int) -> GoType | None:
    """A predeclared type: debug information leaves out those that a program does not use. word: bytes of a pointer."""
    if name == "string":
        return GoType(Kind.STRING, name, 2 * word)
    if name == "bool":
        return GoType(Kind.BOOL, name, 1)
    if name == "uintptr":
        return GoType(Kind.UINT, name, word)
    if name == "unsafe.Pointer":
        return GoType(Kind.UNSAFE_POINTER, name, word)
    if name == "interface {}":
        return GoType(Kind.INTERFACE, name, 2 * word)
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
    """A type's name with spaces where the linker writes them, since types in keys are compared by name."""
    for wrong, right in (
        (r"\s+", " "),
        (r", ", ","),
        (r"\b(struct|interface) ?\{ ?", r"\1 { "),
        (r" ?\}", " }"),
        (r"\{ +\}", "{}"),
        (r" ?; ?", "; "),
        (r"([\]*]) ", r"\1"),
        (r"\[ ", "["),
        (r" \]", "]"),
    ):
        name = re.sub(wrong, right, name)
    return name.strip()


@cache
def spelt(name: str) -> re.Pattern[str]:
    """A type's name as the program's text may have it: byte for uint8, struct{} for struct {}, any for interface {},
    packages without their paths, or no package at all."""
    part = r"[^\s\[\]{}()*;,]*"
    forms = (name, re.sub(f"{part}/", "", name), re.sub(rf"{part}\.", "", name))
    spelt = "|".join(re.escape(form) for form in forms).replace(r"\ ", r"\s*").replace(",", r",\s*")
    for long, short in (("uint8", "byte"), ("int32", "rune"), (r"interface\s*\{\}", "any")):
        spelt = re.sub(rf"(?<![\w.]){re.escape(long)}(?!\w)", rf"(?:\g<0>|{short})", spelt)
    return re.compile(rf"(?:{spelt})(?=\s*[({{])")
