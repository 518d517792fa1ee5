"""Package variables, their types and what closures captured, from a Go program's debug information, with no debugger.

A debugger that is asked for all variables reads the debug information of every package first: minutes for a large
program. The names, addresses and types of package variables can be had without that. Names in Go's debug information
are in place (DW_FORM_string) and come first in an entry, so that one regular expression finds all entries of package
variables; the symbol table confirms name and address of each. Types are read when they are asked for.

The entries are those of cmd/internal/dwarf/dwarf.go (abbrevs) and cmd/link/internal/ld/dwarf.go (newtype).
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Union

from gomap import elf, maps
from gomap.errors import NoDebugInfo
from gomap.golang.runtime.dictionaries import ANY_POINTER
from gomap.gotypes import Field, GoType, Kind, Lazy
from gomap.target import Arch

_COMPILE_UNIT, _SUBPROGRAM, _VARIABLE, _MEMBER, _SUBRANGE, _CONSTANT = 0x11, 0x2E, 0x34, 0x0D, 0x21, 0x27
_ARRAY, _POINTER, _STRUCT, _SUBROUTINE, _TYPEDEF, _BASE, _UNSPECIFIED = 0x01, 0x0F, 0x13, 0x15, 0x16, 0x24, 0x3B
NAME, _SIZE, LOCATION, LOW_PC, _LANGUAGE, _COUNT, _OFFSET, TYPE = 0x03, 0x0B, 0x02, 0x11, 0x13, 0x37, 0x38, 0x49
_CONST_VALUE = 0x1C
_GO_KIND, _GO_ELEM, _GO_CLOSURE_OFFSET = 0x2900, 0x2902, 0x2907
_OF_GO = 0x16  # DW_LANG_Go
_STRING, _BLOCK1, _EXPRLOC, _REF_ADDR, _IMPLICIT_CONST = 0x08, 0x0A, 0x18, 0x10, 0x21
_OP_ADDR = b"\x03"
#: Bytes of the forms that have always as many: data1, data2, data4, data8, flag, flag_present, ref1, ref2, ref4, ref8,
#: sec_offset, addrx1, addrx2, addrx4, strx1, strx2, strx4; strp and line_strp, whose contents no answer needs.
_FIXED = {
    **{0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x0C: 1, 0x19: 0, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x17: 4},
    **{0x29: 1, 0x2A: 2, 0x2C: 4, 0x25: 1, 0x26: 2, 0x28: 4, 0x0E: 4, 0x1F: 4, 0x10: 4},
}
_ULEB, _SLEB, _ADDRX, _STRX, _ADDR = 0x0F, 0x0D, 0x1B, 0x1A, 0x01
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
#: Typedefs behind one another, and values inside values, are fewer; and abbreviations of a program's units.
MAX_NESTED, MAX_ABBREVIATIONS = 64, 1 << 20
#: Bits of a number.
MAX_BITS = 64


class BadDwarf(NoDebugInfo):
    """Debug information that is not as Go's toolchain writes it, or is damaged."""


Attributes = Mapping[int, Union[int, bytes]]


@dataclass(frozen=True)
class _Abbreviation:
    """How entries of one kind are laid out. forms: (attribute, form, value of DW_FORM_implicit_const)."""

    tag: int
    children: bool
    forms: tuple[tuple[int, int, int], ...]


_Table = Mapping[int, _Abbreviation]


@dataclass(frozen=True)
class Unit:
    """A compilation unit: where its first entry is, where it ends."""

    first: int
    end: int
    pointer_size: int
    table: _Table


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


class DebugInfo:
    """The debug information of one program or library. Raises BadElf, BadDwarf, OSError where it can't be used.

    path: of the file that has it, which may be one of its own. Types are made once.
    """

    def __init__(self, path: str) -> None:
        with elf.mapped(path) as data:
            header = elf.parse(data)
            self.sections = elf.sections(data)
            found = {section.name: section for section in self.sections}
            if ".zdebug_info" in found:
                raise BadDwarf("it is compressed in the old format (.zdebug_info)")
            self.path = path
            missing = ".debug_info" not in found or ".debug_abbrev" not in found
            self.data = b"" if missing else elf.contents(data, found[".debug_info"])
            self._abbreviations = b"" if missing else elf.contents(data, found[".debug_abbrev"])
            self.symbols: Mapping[bytes, int] = elf.symbols(data)
        self._order = header.order
        word = 8 if header.wide else 4
        machine = elf.MACHINES.get(header.machine, "")
        self.arch = Arch(machine, word, "little" if header.order == "<" else "big")
        self._address = struct.Struct(header.order + ("Q" if header.wide else "I"))
        self._four = struct.Struct(header.order + "I")
        self._tables: dict[int, _Table] = {}
        self._abbreviated = 0
        self.units = list(self._go_units())
        self._starts = [unit.first for unit in self.units]
        self._types: dict[int, GoType] = {}
        self._making: set[int] = set()

    @property
    def is_go(self) -> bool:
        """Whether any compilation unit is Go's."""
        return bool(self.units)

    # -- variables -----------------------------------------------------------------------------------

    @cached_property
    def variables(self) -> Mapping[str, Static]:
        """The package variables, by name."""
        found = {}
        for pattern, start, end in self._patterns():
            for match in pattern.finditer(self.data, start, end):
                name, address, type_at = match.groups()
                (at,) = self._address.unpack(address)
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
                located = forms[1:2] in ([(LOCATION, _BLOCK1)], [(LOCATION, _EXPRLOC)])
                expected = forms[:1] == [(NAME, _STRING)] and located and forms[2:3] == [(TYPE, _REF_ADDR)]
                if abbreviation.tag != _VARIABLE or not expected or code >= 0x20:
                    continue  # a code from 0x20 on could be a part of a name
                location = re.escape(bytes([1 + size]) + _OP_ADDR)
                entry = re.escape(bytes([code])) + rb"([^\0-\x1f]+)\0" + location + b"(.{%d})(.{4})" % size
                yield re.compile(entry, re.S), start, end

    def _stretches(self) -> list[tuple[_Table, int, int, int]]:
        """(abbreviations, start, end, bytes of a pointer) of neighbouring units that have these in common."""
        found: list[tuple[_Table, int, int, int]] = []
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
                if abbreviation.tag in tags and abbreviation.forms[:1] == ((NAME, _STRING, 0),) and code < 0x80
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
                if abbreviation.tag == _SUBPROGRAM and forms[:1] == [(NAME, _STRING)] and forms[1][0] == LOW_PC:
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

    # -- units ---------------------------------------------------------------------------------------

    def _go_units(self) -> Iterator[Unit]:
        at = 0
        while at < len(self.data):
            start, wide = at, False
            try:
                (length,) = struct.unpack_from(self._order + "I", self.data, at)
                wide = length >= 0xFFFFFFF0
                end = at + 4 + length
                (version,) = struct.unpack_from(self._order + "H", self.data, at + 4)
                if version >= 5:
                    kind, size, table = struct.unpack_from(self._order + "BBI", self.data, at + 6)
                    first, known = at + 12, kind == 1  # DW_UT_compile
                else:
                    table, size = struct.unpack_from(self._order + "IB", self.data, at + 6)
                    first, known = at + 11, True
            except struct.error as error:
                raise BadDwarf("its debug information is truncated") from error
            if wide or end > len(self.data) or end <= start + 11 or not 2 <= version <= 5:
                raise BadDwarf("its debug information is not as Go's toolchain writes it")
            if known:
                unit = Unit(first, end, size, self._table(table))
                if self._is_of_go(unit):
                    yield unit
            at = end

    def _is_of_go(self, unit: Unit) -> bool:
        code, at = self._uleb(unit.first)
        abbreviation = unit.table.get(code)
        if abbreviation is None or abbreviation.tag != _COMPILE_UNIT:
            return False
        for attribute, form, constant in abbreviation.forms:  # a C compiler's may have what this does not read
            if attribute == _LANGUAGE:
                value, _ = self._value(unit, form, constant, at)
                return value == _OF_GO
            try:
                _, at = self._value(unit, form, constant, at)
            except BadDwarf:
                return False
        return False

    def _table(self, at: int) -> _Table:
        if at in self._tables:
            return self._tables[at]
        data, start, table = self._abbreviations, at, {}
        try:
            while True:
                code, at = uleb(data, at)
                if not code:
                    break
                tag, at = uleb(data, at)
                children, at = bool(data[at]), at + 1
                forms = []
                while True:
                    attribute, at = uleb(data, at)
                    form, at = uleb(data, at)
                    if not attribute and not form:
                        break
                    constant = 0
                    if form == _IMPLICIT_CONST:
                        constant, at = uleb(data, at)
                    forms.append((attribute, form, constant))
                table[code] = _Abbreviation(tag, children, tuple(forms))
        except IndexError:
            raise BadDwarf("its table of abbreviations is truncated") from None
        self._tables[start] = table
        self._abbreviated += len(table)
        if self._abbreviated > MAX_ABBREVIATIONS:
            raise BadDwarf("it has more abbreviations than a program can have")
        return table

    # -- entries -------------------------------------------------------------------------------------

    def _unit(self, at: int) -> Unit:
        index = bisect_right(self._starts, at) - 1
        if index < 0 or not self.units[index].first <= at < self.units[index].end:
            raise BadDwarf(f"no entry of Go's is at {at:#x} of its debug information")
        return self.units[index]

    def entry(self, at: int) -> tuple[int, Attributes, int]:
        """(tag, attributes, where the next entry is)."""
        tag, attributes, _, behind = self.read(self._unit(at), at)
        return tag, attributes, behind

    def read(self, unit: Unit, at: int) -> tuple[int, dict[int, int | bytes], bool, int]:
        """(tag, attributes, whether it has children, where the next entry is). The tag is 0 at the end of children."""
        code, at = self._uleb(at)
        if not code:
            return 0, {}, False, at
        abbreviation = unit.table.get(code)
        if abbreviation is None:
            raise BadDwarf(f"an entry at {at - 1:#x} of its debug information has no abbreviation")
        attributes = {}
        for attribute, form, constant in abbreviation.forms:
            attributes[attribute], at = self._value(unit, form, constant, at)
        if at > unit.end:
            raise BadDwarf("its debug information is truncated")
        return abbreviation.tag, attributes, abbreviation.children, at

    def _value(self, unit: Unit, form: int, constant: int, at: int) -> tuple[int | bytes, int]:
        data = self.data
        if form == _STRING:
            end = data.find(b"\0", at, unit.end)
            if end < 0:
                raise BadDwarf("its debug information is truncated")
            return data[at:end], end + 1
        size = _FIXED.get(form)
        if form == _ADDR:
            size = unit.pointer_size
        if size is not None:
            return int.from_bytes(data[at : at + size], self.arch.byte_order), at + size  # type: ignore[arg-type]
        if form in (_ULEB, _SLEB, _ADDRX, _STRX):
            return self._uleb(at)
        if form == _BLOCK1:
            end = at + 1 + data[at] if at < unit.end else unit.end + 1
            return data[at + 1 : end], end
        if form == _EXPRLOC:
            length, at = self._uleb(at)
            return data[at : at + length], at + length
        if form == _IMPLICIT_CONST:
            return constant, at
        raise BadDwarf(f"its debug information has a form {form:#x} that Go's toolchain does not write")

    def _uleb(self, at: int) -> tuple[int, int]:
        try:
            return uleb(self.data, at)
        except IndexError:
            raise BadDwarf("its debug information is truncated") from None

    def _children(self, at: int) -> Iterator[tuple[int, Attributes]]:
        """Entries below the one at `at`, those of a type: none has children of its own."""
        unit = self._unit(at)
        _, _, has, at = self.read(unit, at)
        while has:
            tag, attributes, nested, at = self.read(unit, at)
            if not tag:
                return
            if nested:
                raise BadDwarf("a type has entries in entries of its own")
            yield tag, attributes

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


def text(attributes: Attributes) -> str:
    """The name of an entry (DW_AT_name); "" for an entry without one."""
    name = attributes.get(NAME, b"")
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else ""


def number(attributes: Attributes, which: int) -> int:
    """An integer attribute of an entry; 0 where it has none.

    which: the attribute's number (DW_AT_...).
    """
    value = attributes.get(which, 0)
    return value if isinstance(value, int) else 0


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """(unsigned LEB128 number, position behind it). Raises IndexError where it has no end."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > MAX_BITS:
            raise IndexError
