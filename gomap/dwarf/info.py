"""Package variables, their types and what closures captured, from a Go program's debug information, with no debugger.

A debugger that is asked for all variables reads the debug information of every package first: minutes for a large
program. The names, addresses and types of package variables can be had without that. Names in Go's debug information
are in place (DW_FORM_string) and come first in an entry, so that one regular expression finds all entries of package
variables; the symbol table confirms name and address of each. Types are read when they are asked for.

The entries of types are those of cmd/link/internal/ld/dwarf.go (newtype).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from gomap import maps
from gomap.dwarf.entries import (
    BLOCK1,
    EXPRLOC,
    LOCATION,
    LOW_PC,
    NAME,
    REF_ADDR,
    STRING,
    TYPE,
    Attributes,
    BadDwarf,
    Entries,
    Table,
    number,
    text,
)
from gomap.golang.runtime.dictionaries import ANY_POINTER
from gomap.gotypes import Field, GoType, Kind, Lazy

_SUBPROGRAM, _VARIABLE, _MEMBER, _SUBRANGE, _CONSTANT = 0x2E, 0x34, 0x0D, 0x21, 0x27
_ARRAY, _POINTER, _STRUCT, _SUBROUTINE, _TYPEDEF, _BASE, _UNSPECIFIED = 0x01, 0x0F, 0x13, 0x15, 0x16, 0x24, 0x3B
_SIZE, _COUNT, _OFFSET, _CONST_VALUE = 0x0B, 0x37, 0x38, 0x1C
_GO_KIND, _GO_ELEM, _GO_CLOSURE_OFFSET = 0x2900, 0x2902, 0x2907
_OP_ADDR = b"\x03"
#: reflect.Kind by number, as far as a base type has one.
_BASIC = {
    **{1: Kind.BOOL, **dict.fromkeys(range(2, 7), Kind.INT), **dict.fromkeys(range(7, 13), Kind.UINT)},
    **{13: Kind.FLOAT, 14: Kind.FLOAT, 15: Kind.COMPLEX, 16: Kind.COMPLEX},
}
_GO_CHAN, _GO_MAP, _GO_SLICE, _GO_STRING = 18, 21, 23, 24
#: What interfaces are structs of, and whether these have methods.
_INTERFACES = {"runtime.eface": False, "runtime.iface": True}
#: Entries that are a type.
_TYPES = frozenset({_ARRAY, _POINTER, _STRUCT, _SUBROUTINE, _TYPEDEF, _BASE})
#: Names with fewer bytes end many others.
_SHORT = 12
#: Typedefs behind one another, and values inside values, are fewer.
MAX_NESTED = 64


@dataclass(frozen=True)
class Static:
    """A package variable. address: as linked. type_at: where its type's entry is."""

    address: int
    type_at: int


@dataclass(frozen=True)
class ClosureVariable:
    """A variable that closures of a function captured. offset: in their runtime.funcval. type_at: where its type's
    entry is. A name that begins with & is of a pointer to the variable (or to its place in the closure)."""

    name: str
    type_at: int
    offset: int


class DebugInfo(Entries):
    """Package variables, types, constants and closures. Types are made once."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._four = struct.Struct(self.order + "I")
        self._types: dict[int, GoType] = {}
        self._making: set[int] = set()

    # -- variables -----------------------------------------------------------------------------------

    @cached_property
    def variables(self) -> Mapping[str, Static]:
        """The package variables, by name."""
        found = {}
        for pattern, start, end in self._patterns():
            for match in pattern.finditer(self.data, start, end):
                name, address, type_at = match.groups()
                (at,) = self.word.unpack(address)
                # Else these bytes are something else, or C's, whose names have no package.
                if b"." in name and self.symbols.get(name) == at:
                    found[name.decode("utf-8", "replace")] = Static(at, self._four.unpack(type_at)[0])
        if not found:
            raise BadDwarf("no package variable is in its debug information and its symbol table")
        return dict(sorted(found.items()))

    def _patterns(self) -> Iterator[tuple[re.Pattern[bytes], int, int]]:
        """What entries of package variables look like, for each stretch of units with the same abbreviations."""
        for table, start, end, size in self._stretches():
            for code, abbreviation in table.items():
                forms = [(attribute, form) for attribute, form, _ in abbreviation.forms]
                located = forms[1:2] in ([(LOCATION, BLOCK1)], [(LOCATION, EXPRLOC)])
                expected = forms[:1] == [(NAME, STRING)] and located and forms[2:3] == [(TYPE, REF_ADDR)]
                if abbreviation.tag != _VARIABLE or not expected or code >= 0x20:
                    continue  # a code from 0x20 on could be a part of a name
                location = re.escape(bytes([1 + size]) + _OP_ADDR)
                entry = re.escape(bytes([code])) + rb"([^\0-\x1f]+)\0" + location + b"(.{%d})(.{4})" % size
                yield re.compile(entry, re.S), start, end

    def _stretches(self) -> list[tuple[Table, int, int, int]]:
        """(abbreviations, start, end, bytes of a pointer) of neighbouring units that have these in common."""
        found: list[tuple[Table, int, int, int]] = []
        for unit in self.units:
            if found and found[-1][0] is unit.table and found[-1][3] == unit.pointer_size:
                found[-1] = (unit.table, found[-1][1], unit.end, unit.pointer_size)
            else:
                found.append((unit.table, unit.first, unit.end, unit.pointer_size))
        return found

    def is_plain(self, at: int) -> bool:
        """Whether the type there is a number or a string."""
        try:
            tag, attributes, _ = self.entry(at)
        except BadDwarf:
            return False
        return tag == _BASE or (tag == _STRUCT and attributes.get(NAME) == b"string")

    # -- by name -------------------------------------------------------------------------------------

    def type_named(self, name: str) -> GoType | None:
        """The type of that name; None where the program has none. Raises BadDwarf."""
        at = self._named(name, _TYPES)
        return None if at is None else self.type(at)

    def constant(self, name: str) -> tuple[GoType, int] | None:
        """Type and value of the integer constant of that full name. Raises BadDwarf."""
        at = self._named(name, frozenset({_CONSTANT}))
        if at is None:
            return None
        _, attributes, _ = self.entry(at)
        return self.type(number(attributes, TYPE)), number(attributes, _CONST_VALUE)

    def _named(self, name: str, tags: frozenset[int]) -> int | None:
        """Where an entry of this name is: its abbreviation's number, and the name behind it."""
        wanted = name.encode() + b"\0"
        doubtful = None
        for table, start, end, _ in self._stretches():
            codes = {
                code
                for code, abbreviation in table.items()
                if abbreviation.tag in tags and abbreviation.forms[:1] == ((NAME, STRING, 0),) and code < 0x80
            }
            for at in self._found(wanted, codes, start, end):
                # A number from 0x20 on may be a letter of a longer name: `<-chan int` ends `func() <-chan int`.
                if self.data[at] < 0x20 or self.data[at - 1] < 0x20:
                    return at
                doubtful = at if doubtful is None else doubtful
        return doubtful

    def _found(self, wanted: bytes, codes: set[int], start: int, end: int) -> Iterator[int]:
        """Where the bytes stand behind one of the numbers."""
        # A long name for all numbers at once: these are tens of megabytes.
        forms = [(bytes([code]) + wanted, 0) for code in codes] if len(wanted) < _SHORT else [(wanted, 1)]
        for form, before in forms:
            at = self.data.find(form, start + before, end)
            while at >= 0:
                if self.data[at - before] in codes:
                    yield at - before
                at = self.data.find(form, at + 1, end)

    # -- closures ------------------------------------------------------------------------------------

    def captured(self, function: str) -> list[ClosureVariable] | None:
        """What closures of the function captured; None where that is not there: the program's Go is older than 1.23, or
        the function can be inlined (putvar of cmd/internal/dwarf/dwarf.go leaves it out). Raises BadDwarf.

        function: as the linker calls it.
        """
        at = self._functions.get(function.encode())
        if at is None:
            return None
        found = []
        for tag, attributes in self._variables_of(at):
            offset = number(attributes, _GO_CLOSURE_OFFSET)
            if tag == _VARIABLE and offset:
                found.append(ClosureVariable(text(attributes), number(attributes, TYPE), offset))
        return found

    @cached_property
    def _functions(self) -> Mapping[bytes, int]:
        """Where the entries of functions that can't be inlined are; none where no variable has a closure offset."""
        found: dict[bytes, int] = {}
        for table, start, end, _ in self._stretches():
            abbreviations = table.values()
            if not any(form[0] == _GO_CLOSURE_OFFSET for each in abbreviations for form in each.forms):
                continue
            for code, abbreviation in table.items():
                forms = [(attribute, form) for attribute, form, _ in abbreviation.forms[:2]]
                if abbreviation.tag == _SUBPROGRAM and forms[:1] == [(NAME, STRING)] and forms[1][0] == LOW_PC:
                    pattern = re.compile(re.escape(bytes([code])) + rb"([^\0-\x1f]+)\0")
                    found.update((match[1], match.start()) for match in pattern.finditer(self.data, start, end))
        return found

    def _variables_of(self, at: int) -> Iterator[tuple[int, Attributes]]:
        """Entries of a function's own block. Those that have entries below them, inner blocks and calls that were
        inlined, come last (putscope of cmd/internal/dwarf/dwarf.go)."""
        unit = self._unit(at)
        _, _, nested, at = self.read(unit, at)
        tag, attributes, has, at = self.read(unit, at)
        while nested and tag and not has:
            yield tag, attributes
            tag, attributes, has, at = self.read(unit, at)

    # -- types ---------------------------------------------------------------------------------------

    def type(self, at: int) -> GoType:
        """The type whose entry is there. Raises BadDwarf."""
        found = self._types.get(at)
        if found is None:
            if at in self._making or len(self._making) > MAX_NESTED:
                raise BadDwarf("a type of its debug information contains itself")
            self._making.add(at)
            try:
                found = self._types[at] = self._make(at, None)
            finally:
                self._making.discard(at)
        return found

    def _lazy(self, at: int) -> Lazy:
        return Lazy(lambda: self.type(at))

    def _make(self, at: int, given: str | None) -> GoType:
        """given: name of the typedef that this is behind."""
        tag, attributes, _ = self.entry(at)
        name = given if given is not None else text(attributes)
        word, size, kind = self.arch.pointer_size, number(attributes, _SIZE), number(attributes, _GO_KIND)
        if tag == _TYPEDEF:
            return self._typedef(attributes, name)
        if tag == _BASE:
            return GoType(_BASIC.get(kind, Kind.OPAQUE), name, size)
        if tag == _POINTER:
            target = attributes.get(TYPE)
            if not isinstance(target, int) or self.entry(target)[0] == _UNSPECIFIED:
                return GoType(Kind.UNSAFE_POINTER, name or "unsafe.Pointer", word)
            return GoType(Kind.POINTER, name or f"*{text(self.entry(target)[1])}", word, lazy_elem=self._lazy(target))
        if tag == _SUBROUTINE:
            return GoType(Kind.FUNC, name, word)
        if tag == _ARRAY:
            length = next((number(each, _COUNT) for tag, each in self._children(at) if tag == _SUBRANGE), 0)
            return GoType(Kind.ARRAY, name, size, length, lazy_elem=self._lazy(number(attributes, TYPE)))
        if tag == _STRUCT:
            if kind == _GO_STRING:
                return GoType(Kind.STRING, name, size)
            if kind == _GO_SLICE:
                return GoType(Kind.SLICE, name, size, lazy_elem=self._lazy(number(attributes, _GO_ELEM)))
            return GoType(Kind.STRUCT, name, size, fields=self._fields(at))
        return GoType(Kind.OPAQUE, name, size)

    def _fields(self, at: int) -> tuple[Field, ...]:
        members = [each for tag, each in self._children(at) if tag == _MEMBER]
        return tuple(Field(text(each), number(each, _OFFSET), self.type(number(each, TYPE))) for each in members)

    def _typedef(self, attributes: Attributes, name: str) -> GoType:
        """Interfaces, maps and channels are typedefs of a struct, or of a pointer to one, that the linker makes."""
        word, at = self.arch.pointer_size, number(attributes, TYPE)
        if name == ANY_POINTER:
            return GoType(Kind.UNSAFE_POINTER, name, word)
        for _ in range(MAX_NESTED):
            kind = number(attributes, _GO_KIND)
            if kind == _GO_CHAN:
                return GoType(Kind.CHAN, name, word, lazy_elem=self._lazy(number(attributes, _GO_ELEM)))
            tag, behind, _ = self.entry(at)
            if kind == _GO_MAP and tag == _POINTER:
                return maps.map_type(name, word, self._lazy(number(behind, TYPE)), self.arch)
            if tag == _STRUCT and text(behind) in _INTERFACES and text(behind) != name:
                return GoType(Kind.INTERFACE, name, number(behind, _SIZE), methods=_INTERFACES[text(behind)])
            if tag != _TYPEDEF:
                return self._make(at, name)
            at, attributes = number(behind, TYPE), behind if _GO_KIND in behind else attributes
        raise BadDwarf("a type of its debug information has no end")
