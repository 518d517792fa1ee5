"""Delve's evaluated types -> GoType, of the same names and kinds as gdb's converter makes.

Delve's API has no offsets and no sizes, but evaluating an array of two values of a type at any address gives
the address of every field of the first and of the second: their differences are the offsets and the size.
Nothing has to be readable there, so the address is one where no program has memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from gomap import maps
from gomap.columns.marks import SLOTS
from gomap.errors import GomapError
from gomap.golang.runtime.abitype import KINDS
from gomap.golang.runtime.dictionaries import ANY_POINTER, SHAPE
from gomap.gotypes import Field, GoType, Kind, Lazy, alignment, up
from gomap.syntax import closes
from gomap.target import Arch

Raw = Mapping[str, Any]
#: Evaluates expressions in the program's global scope: what Delve answers, None for what it refuses.
Evaluate = Callable[[Sequence[str], Mapping[str, Any]], "list[Raw | None]"]

#: Loads as little as Delve can: no pointer followed, no text, no element.
BARE = {
    "FollowPointers": False,
    "MaxVariableRecurse": 0,
    "MaxStringLen": 0,
    "MaxArrayValues": 0,
    "MaxStructFields": 0,
}
#: Loads the parts of a type: fields of a struct, two elements of an array.
PARTS = {**BARE, "MaxVariableRecurse": 1, "MaxArrayValues": 2, "MaxStructFields": -1}
NOWHERE = 0x1000

_FIXED = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8,
    "uint64": 8, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
}  # fmt: skip
_WORDS = {"int": 1, "uint": 1, "uintptr": 1}
_NUMBERS = frozenset({Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT, Kind.COMPLEX})
_HEADERS = ("map<", "hash<")


class DelveTypes:
    """Makes every type once. What a program's debug information says never changes while it is debugged."""

    def __init__(self, arch: Arch, evaluate: Evaluate) -> None:
        self._arch = arch
        self._evaluate = evaluate
        self._known: dict[str, GoType | None] = {}
        self._probed: dict[str, tuple[Raw, int] | None] = {}
        self._samples: dict[str, int | None] = {}
        #: Addresses of map variables that have entries, whatever their type.
        self.examples: dict[int, None] = {}
        #: Finds a named map type's (key, elem) in the program's own type descriptors.
        self.described: Callable[[str], tuple[str, str] | None] = lambda name: None
        #: Names of types that match a regular expression.
        self.listed: Callable[[str], list[str]] = lambda pattern: []

    def find(self, name: str) -> GoType | None:
        """The type of that name in the debug information."""
        if name not in self._known:
            if name == "unsafe.Pointer":
                return self._known.setdefault(name, GoType(Kind.UNSAFE_POINTER, name, self._arch.pointer_size))
            probed = self._probe([name])[0]
            made = None if probed is None else self._make(name, *probed)
            self._known.setdefault(name, made)
        return self._known[name]

    def of(self, raw: Raw) -> GoType:
        """The type of a variable that Delve evaluated."""
        name = str(raw["type"])
        found = self._known.get(name)
        if found is None:
            found = self._simple(name, raw) or self.find(name) or GoType(Kind.OPAQUE, name, 0)
            self._known[name] = found
        return found

    def _lazy(self, name: str) -> Lazy:
        return Lazy(lambda: self.find(name) or self._behind(name))

    def _behind(self, name: str) -> GoType:
        """A type that has no entry of its own: pointers to anything, above all."""
        if name.startswith("*") and len(name) > 1:
            return GoType(Kind.POINTER, name, self._arch.pointer_size, lazy_elem=self._lazy(name[1:]))
        return GoType(Kind.OPAQUE, name, 0)

    # -- evaluation ----------------------------------------------------------------------------------

    def _probe(self, names: Sequence[str]) -> list[tuple[Raw, int] | None]:
        """A value of each type nowhere, with its parts, and the type's size. None for unknown types."""
        unknown = [name for name in dict.fromkeys(names) if name not in self._probed]
        expressions = [at(f"[2]{name}", NOWHERE) for name in unknown]
        for name, answer in zip(unknown, self._evaluate(expressions, _deeper(PARTS)) if unknown else ()):
            children = (answer["children"] or []) if answer else []
            if len(children) == 2:
                first, second = children
                self._probed[name] = first, int(second["addr"]) - int(first["addr"])
            else:
                self._probed[name] = None
        return [self._probed[name] for name in names]

    def _one(self, expression: str, load: Mapping[str, Any] = BARE) -> Raw | None:
        return self._evaluate([expression], load)[0]

    # -- making --------------------------------------------------------------------------------------

    def _simple(self, name: str, raw: Raw) -> GoType | None:
        """Types that need no look at their parts."""
        kind, word = _kind(raw), self._arch.pointer_size
        real = str(raw["realType"])
        if kind in _NUMBERS:
            size = _FIXED.get(real) or _WORDS.get(real, 0) * word
            return GoType(kind, name, size) if size else None
        if kind is Kind.STRING:
            return GoType(kind, name, 2 * word)
        if kind is Kind.UNSAFE_POINTER or name == ANY_POINTER:
            return GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer" if name == "*void" else name, word)
        if kind is Kind.FUNC:
            return GoType(kind, name, word)
        if kind is Kind.POINTER:
            return GoType(kind, name, word, lazy_elem=self._lazy(_pointee(raw)))
        if kind is Kind.SLICE:
            elem = self._lazy(name[2:]) if name.startswith("[]") else Lazy(lambda: self._slice_elem(name))
            return GoType(kind, name, 3 * word, lazy_elem=elem)
        if kind is Kind.CHAN:
            return GoType(kind, name, word, lazy_elem=Lazy(lambda: self._channel_elem(name)))
        if kind is Kind.INTERFACE:
            return GoType(kind, name, 2 * word, methods=self._has_methods(name))
        if kind is Kind.MAP:
            return maps.map_type(name, word, Lazy(lambda: self._header(name)), self._arch)
        return None

    def _make(self, name: str, raw: Raw, size: int) -> GoType:
        made = self._simple(name, raw)
        if made is not None:
            return made
        kind, children = _kind(raw), raw.get("children") or ()
        if kind in _NUMBERS:
            return GoType(kind, name, size)
        if kind is Kind.ARRAY:
            if not children:
                inner, length = _empty_array(name)
                return GoType(kind, name, 0, length, lazy_elem=self._lazy(inner))
            elem, length = self._lazy(str(children[0]["type"])), int(raw["len"])
            return GoType(kind, name, length * elem().size, length, lazy_elem=elem)
        if kind is Kind.STRUCT:
            # A struct's fields are made with it: all that have parts are asked for at once.
            self._probe([str(child["type"]) for child in children if _kind(child) in (Kind.STRUCT, Kind.ARRAY)])
            start = int(raw["addr"])
            fields = tuple(Field(str(c["name"]), int(c["addr"]) - start, self.of(c)) for c in children)
            return GoType(kind, name, _struct_size(fields, self._arch.pointer_size, size), fields=fields)
        return GoType(Kind.OPAQUE, name, size)

    # -- what lies behind ----------------------------------------------------------------------------

    def _slice_elem(self, name: str) -> GoType:
        """Element 0 of a slice that is known to have one, seen as a slice of this type."""
        sample = self._sample("runtime.allgs")
        raw = None if sample is None else self._one(f"({at(name, sample)})[0]")
        return GoType(Kind.OPAQUE, "?", 0) if raw is None else self.of(raw)

    def _channel_elem(self, name: str) -> GoType:
        """recvq.first of the synthesised hchan<T> is a *sudog<T>: its name holds T's."""
        sample = self._sample("runtime.allgs")  # a word that points to readable memory
        raw = None if sample is None else self._one(f"({at(name, sample)}).recvq.first")
        pointer = "" if raw is None else str(raw["type"])
        if pointer.startswith("*sudog<") and pointer.endswith(">"):
            return self._lazy(pointer[7:-1])()
        return GoType(Kind.OPAQUE, "?", 0)

    def _has_methods(self, name: str) -> bool:
        """Whether an interface's first word is an *itab. Delve hides it; seen as this type, a word that
        points to a type descriptor makes sense only where it is the type itself."""
        if name.startswith("interface {"):
            return name != "interface {}"
        sample = self._sample_eface()
        if sample is None:
            return True
        return not _resolved(self._one(at(name, sample)))

    def _sample_eface(self) -> int | None:
        """Where a type descriptor's address lies: the second word of the itab of runtime.divideError."""
        if "eface" not in self._samples:
            found = None
            error = self._sample("runtime.divideError")
            table = None if error is None else self._one(at("uintptr", error))
            if table is not None and not table["unreadable"]:
                place = int(table["value"]) + self._arch.pointer_size
                found = place if _resolved(self._one(at("interface {}", place))) else None
            self._samples["eface"] = found
        return self._samples["eface"]

    def _sample(self, variable: str) -> int | None:
        if variable not in self._samples:
            package, _, name = variable.partition(".")
            raw = self._one(f'"{package}".{name}')
            self._samples[variable] = None if raw is None else int(raw["addr"]) or None
        return self._samples[variable]

    # -- maps ----------------------------------------------------------------------------------------

    def _header(self, name: str) -> GoType:
        """map<K,V> (Swiss) or hash<K,V> (classic): what cmd/link synthesises for each map type."""
        names = _key_and_elem(name) or self._named_map(name)
        if names is not None:
            for prefix in _HEADERS:
                found = self.find(f"{prefix}{names[0]},{names[1]}>")
                if found is not None:
                    return found
        # All maps of a program have one layout. Key and elem are not known, and no map of this type has any.
        for prefix in _HEADERS:
            for other in self.listed(f"^{prefix}"):
                found = self.find(other)
                if found is not None:
                    return found
        raise GomapError(f"Delve does not report what {name} is a map of")

    def _named_map(self, name: str) -> tuple[str, str] | None:
        """Key and elem of a map type with a name of its own, of which Delve shows neither.

        Any map with entries, seen as one of this type, gives (meaningless) entries of the right types: marks
        of live slots lie at the same place in all of them. Failing that, the runtime's own descriptor.
        """
        for example in self.examples:
            raw = self._one(at(name, example), {**PARTS, "MaxArrayValues": 1})
            children = (raw["children"] or []) if raw else []
            if len(children) >= 2:
                return str(children[0]["type"]), str(children[1]["type"])
        return self.described(name)


def at(type_name: str, address: int) -> str:
    """The expression for a value of that type at the address."""
    return f"*(*{json.dumps(type_name, ensure_ascii=False)})({address:#x})"


def _deeper(load: Mapping[str, Any]) -> dict[str, Any]:
    return {**load, "MaxVariableRecurse": load["MaxVariableRecurse"] + 1}


def _kind(raw: Raw) -> Kind:
    number = int(raw["kind"])
    return KINDS[number][0] if 0 < number < len(KINDS) else Kind.OPAQUE


def _struct_size(fields: tuple[Field, ...], word: int, stride: int) -> int:
    """A struct's size, given the distance of two in the array that Delve makes up.

    Delve aligns them as C would: complex128 to 16, and to 8 what 32-bit machines align to 4. Go's own rule is
    types.CalcStructSize in cmd/compile/internal/types/size.go.
    """
    if not fields:
        return stride
    end = max(f.offset + f.type.size for f in fields)
    if end and not fields[-1].type.size:
        end += 1  # no pointer to the last field may point behind the struct
    size = up(end, max(alignment(f.type, word) for f in fields))
    return size if stride in (up(size, 16), up(size, 8)) else stride


def _empty_array(name: str) -> tuple[str, int]:
    """Element and length of an array type of no size, of which Delve shows neither: [0]T, [5]struct {}, and
    []key<T> and []val<T>, as cmd/link calls the arrays in its buckets (cmd/link/internal/ld/dwarf.go,
    mkinternaltype). One with a name of its own keeps its element to itself."""
    if name.startswith(("[]key<", "[]val<")):
        return name[6:-1], SLOTS
    found = re.match(r"(?:noalg\.)?\[(\d+)\]", name)
    return (name[found.end() :], int(found.group(1))) if found else ("", 0)


def _pointee(raw: Raw) -> str:
    real = str(raw["realType"])
    if real.startswith("*"):
        return real[1:]
    children = raw.get("children") or ()
    return str(children[0]["type"]) if children else ""


def _resolved(raw: Raw | None) -> bool:
    """Whether an interface was read with a dynamic type."""
    if raw is None or raw["unreadable"] or not raw["children"]:
        return False
    return str(raw["children"][0]["type"]) not in ("", "void")


def _key_and_elem(name: str) -> tuple[str, str] | None:
    """K and V of the type name map[K]V, or of that of its shape."""
    name = name[len(SHAPE) :] if name.startswith(SHAPE) else name
    if not name.startswith("map["):
        return None
    end = closes(name[3:])
    return (name[4 : 3 + end], name[4 + end :]) if end >= 0 else None
