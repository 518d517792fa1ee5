"""The entries of a Go program's debug information: units, abbreviations and values of attributes.

They are those of cmd/internal/dwarf/dwarf.go (abbrevs).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Union

from gomap import elf
from gomap.errors import NoDebugInfo
from gomap.target import Arch

#: Attributes and forms of entries (DW_AT_..., DW_FORM_...).
NAME, LOCATION, LOW_PC, TYPE, _LANGUAGE = 0x03, 0x02, 0x11, 0x49, 0x13
STRING, BLOCK1, EXPRLOC, REF_ADDR, _IMPLICIT_CONST = 0x08, 0x0A, 0x18, 0x10, 0x21
_COMPILE_UNIT, _OF_GO = 0x11, 0x16  # DW_TAG_compile_unit, DW_LANG_Go
#: Bytes of the forms that have always as many: data1, data2, data4, data8, flag, flag_present, ref1, ref2, ref4, ref8,
#: sec_offset, addrx1, addrx2, addrx4, strx1, strx2, strx4; strp and line_strp, whose contents no answer needs.
_FIXED = {
    **{0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x0C: 1, 0x19: 0, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x17: 4},
    **{0x29: 1, 0x2A: 2, 0x2C: 4, 0x25: 1, 0x26: 2, 0x28: 4, 0x0E: 4, 0x1F: 4, 0x10: 4},
}
_ULEB, _SLEB, _ADDRX, _STRX, _ADDR = 0x0F, 0x0D, 0x1B, 0x1A, 0x01
#: Abbreviations of a program's units are fewer.
MAX_ABBREVIATIONS = 1 << 20
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


Table = Mapping[int, _Abbreviation]


@dataclass(frozen=True)
class Unit:
    """A compilation unit: where its first entry is, where it ends."""

    first: int
    end: int
    pointer_size: int
    table: Table


class Entries:
    """The debug information of one program or library. Raises BadElf, BadDwarf, OSError where it can't be used.

    path: of the file that has it, which may be one of its own.
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
        self.order = header.order
        self.word = struct.Struct(header.order + ("Q" if header.wide else "I"))  # an address
        machine = elf.MACHINES.get(header.machine, "")
        self.arch = Arch(machine, self.word.size, "little" if header.order == "<" else "big")
        self._tables: dict[int, Table] = {}
        self._abbreviated = 0
        self.units = list(self._go_units())
        self._starts = [unit.first for unit in self.units]

    @property
    def is_go(self) -> bool:
        """Whether any compilation unit is Go's."""
        return bool(self.units)

    # -- units ---------------------------------------------------------------------------------------

    def _go_units(self) -> Iterator[Unit]:
        at = 0
        while at < len(self.data):
            start, wide = at, False
            try:
                (length,) = struct.unpack_from(self.order + "I", self.data, at)
                wide = length >= 0xFFFFFFF0
                end = at + 4 + length
                (version,) = struct.unpack_from(self.order + "H", self.data, at + 4)
                if version >= 5:
                    kind, size, table = struct.unpack_from(self.order + "BBI", self.data, at + 6)
                    first, known = at + 12, kind == 1  # DW_UT_compile
                else:
                    table, size = struct.unpack_from(self.order + "IB", self.data, at + 6)
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

    def _table(self, at: int) -> Table:
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
        if form == STRING:
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
        if form == BLOCK1:
            end = at + 1 + data[at] if at < unit.end else unit.end + 1
            return data[at + 1 : end], end
        if form == EXPRLOC:
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
