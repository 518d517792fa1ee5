"""Variables of functions, from a Go program's debug information: which there are at a pc, and where they lie.

The function that a pc belongs to is looked for by its first address, in the unit that has it; nothing else is read.
cmd/internal/dwarf/dwarf.go writes it (PutConcreteFunc, putInlinedFunc, putvar).
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gomap import elf
from gomap.dwarf.entries import (
    LOCATION,
    LOW_PC,
    NAME,
    TYPE,
    Attributes,
    BadDwarf,
    Unit,
    number,
    text,
    uleb,
)
from gomap.dwarf.info import DebugInfo
from gomap.golang.runtime.dictionaries import index_of
from gomap.gotypes import GoType
from gomap.places import Declared, LocationEntry, Piece

_FORMAL_PARAMETER, _LEXICAL_BLOCK, _INLINED, _SUBPROGRAM, _VARIABLE, _TYPEDEF = 0x05, 0x0B, 0x1D, 0x2E, 0x34, 0x16
_HIGH_PC, _ABSTRACT_ORIGIN, _DECL_LINE, _RANGES, _ADDR_BASE, _PRODUCER = 0x12, 0x31, 0x3B, 0x55, 0x73, 0x25
_ADDR = 0x01  # DW_FORM_addr
_OP_ADDR, _OP_REG0, _OP_REG31, _OP_REGX, _OP_FBREG, _OP_PIECE, _OP_CFA = 0x03, 0x50, 0x6F, 0x90, 0x91, 0x93, 0x9C
#: Compiled without optimization, according to DW_AT_producer: `Go cmd/compile go1.27.3; -N -l regabi`.
_PLAIN = re.compile(rb";(?: \S+)* -N\b")
#: Blocks and inlined calls inside one another, entries of one function, and of a list of places or addresses.
MAX_DEPTH, MAX_ENTRIES, MAX_LIST = 256, 1 << 18, 1 << 16

#: What entries of DWARF 5's location lists tell, by kind (DW_LLE_base_addressx and so on), and their operands: x an
#: index of .debug_addr, n a number, a an address.
_KINDS = {1: "base", 2: "ends", 3: "length", 4: "offsets", 5: "default", 6: "base", 7: "ends", 8: "length"}
_OPERANDS = {1: "x", 2: "xx", 3: "xn", 4: "nn", 5: "", 6: "a", 7: "aa", 8: "an"}

Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Scope:
    """A function at a pc, or one that is inlined there. variables: those of the innermost block first. plain: it is
    compiled without optimization."""

    function: str
    line: int
    variables: tuple[Declared, ...]
    plain: bool


@dataclass
class _Block:
    """A function, a call that is inlined, or a block of one. function: of the first two, the name."""

    function: str | None
    line: int
    ranges: Ranges
    variables: list[Declared] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)

    def has(self, pc: int) -> bool:
        return any(start <= pc < end for start, end in self.ranges)


class Scopes:
    """The functions of one program's debug information. Each is read once. Addresses are as linked."""

    def __init__(self, info: DebugInfo) -> None:
        self._info = info
        self._functions: dict[int, tuple[_Block, bool] | None] = {}
        self._contents: dict[str, bytes] = {}
        self._word = info.word

    def at(self, entry: int, pc: int, name: str) -> Sequence[Scope]:
        """The calls at pc: those that are inlined first, the innermost in front. Nothing where debug information has
        no such function. entry: where the function starts. name: its linker name.

        Raises BadDwarf.
        """
        found = self.function(entry, name)
        if found is None:
            return ()
        block, plain = found
        scopes: list[Scope] = []
        # From the function inward; each scope's own blocks follow it.
        function, line, variables = block.function or "", block.line, list(block.variables)
        for _ in range(MAX_DEPTH):
            inner = next((one for one in block.blocks if one.has(pc)), None)
            if inner is None:
                break
            if inner.function is None:
                variables = [*inner.variables, *variables]
            else:
                scopes.append(Scope(function, line, tuple(variables), plain))
                function, line, variables = inner.function, inner.line, list(inner.variables)
            block = inner
        scopes.append(Scope(function, line, tuple(variables), plain))
        return scopes[::-1]

    def declared(self, entry: int, name: str) -> Scope | None:
        """The function's own outermost block. Raises BadDwarf."""
        found = self.function(entry, name)
        if found is None:
            return None
        block, plain = found
        return Scope(block.function or "", block.line, tuple(block.variables), plain)

    def function(self, entry: int, name: str) -> tuple[_Block, bool] | None:
        """The function that begins at pc `entry`, as debug information has it: its variables and blocks, and whether it
        was compiled without optimizations. None where there is none."""
        if entry not in self._functions:
            self._functions[entry] = self._find(entry, name)
        return self._functions[entry]

    def _section(self, name: str) -> bytes:
        """Contents of the file's section; nothing where it has none of that name. Raises BadDwarf."""
        if name not in self._contents:
            found = next((one for one in self._info.sections if one.name == name), None)
            try:
                with elf.mapped(self._info.path) as data:
                    self._contents[name] = b"" if found is None else elf.contents(data, found)
            except (elf.BadElf, OSError) as error:
                raise BadDwarf(f"its {name} can't be read") from error
        return self._contents[name]

    def _has_section(self, name: str) -> bool:
        return any(one.name == name for one in self._info.sections)

    # -- units ---------------------------------------------------------------------------------------

    @cached_property
    def _units(self) -> tuple[list[int], list[tuple[int, Unit, int, int, bool]]]:
        """(first addresses, (end, unit, low pc, address base, plain) of each) of stretches of text, by address."""
        found = []
        for unit in self._info.units:
            try:
                _, attributes, _, _ = self._info.read(unit, unit.first)
                low, base = number(attributes, LOW_PC), number(attributes, _ADDR_BASE)
                producer = attributes.get(_PRODUCER, b"")
                plain = isinstance(producer, bytes) and bool(_PLAIN.search(producer))
                for start, end in self._ranges(attributes, low, base):
                    found.append((start, (end, unit, low, base, plain)))
            except BadDwarf:
                continue  # a unit that is damaged
        found.sort(key=lambda one: one[0])
        return [start for start, _ in found], [rest for _, rest in found]

    def _find(self, entry: int, name: str) -> tuple[_Block, bool] | None:
        starts, rest = self._units
        index = bisect_right(starts, entry) - 1
        if index < 0 or entry >= rest[index][0]:
            return None
        _, unit, low, base, plain = rest[index]
        for at in self._entries_of(unit, entry, base, name):
            tag, attributes, _, _ = self._info.read(unit, at)
            if tag == _SUBPROGRAM and self._low_pc(unit, at, attributes, base) == entry:
                return self._tree(unit, at, low, base), plain
        return None

    def _entries_of(self, unit: Unit, entry: int, base: int, name: str) -> Iterator[int]:
        """Where entries of the function may be: a code, its name or a reference to what it is an instance of, then its
        first address."""
        data = self._info.data
        named: list[bytes] = []
        references: list[bytes] = []
        indexed = False
        for code, abbreviation in unit.table.items():
            forms = [(attribute, form) for attribute, form, _ in abbreviation.forms[:2]]
            if abbreviation.tag != _SUBPROGRAM or len(forms) < 2 or forms[1][0] != LOW_PC or code >= 0x80:
                continue
            indexed = indexed or forms[1][1] != _ADDR
            (named if forms[0][0] == NAME else references).append(re.escape(bytes([code])))
        address = b"|".join(self._indexes(entry, base)) if indexed else re.escape(self._word.pack(entry))
        # The linker shortens type arguments in the runtime's tables: main.f[...].
        full = rb"\[[^\0]*\]".join(re.escape(part.encode()) for part in name.split("[...]"))
        patterns = [rb"(?:%s)%s\x00(?:%s)" % (b"|".join(named), full, address)] if named else []
        patterns += [rb"(?:%s).{4}(?:%s)" % (b"|".join(references), address)] if references else []
        for pattern in patterns:
            for match in re.compile(pattern, re.S).finditer(data, unit.first, unit.end):
                yield match.start()

    def _indexes(self, entry: int, base: int) -> Iterator[bytes]:
        """The entry's address as indexes of .debug_addr (DW_FORM_addrx): a unit may have it there several times."""
        section, size = self._section(".debug_addr"), self._word.size
        wanted, at = self._word.pack(entry), base
        while (at := section.find(wanted, at)) >= 0:
            if (at - base) % size == 0:
                yield _packed((at - base) // size)
            at += 1

    def _indexed(self, index: int, base: int) -> int:
        section, at = self._section(".debug_addr"), base + index * self._word.size
        if not base <= at <= len(section) - self._word.size:
            raise BadDwarf("its debug information names an address that it does not have")
        return int(self._word.unpack_from(section, at)[0])

    def _low_pc(self, unit: Unit, at: int, attributes: Attributes, base: int) -> int:
        value = number(attributes, LOW_PC)
        return value if self._form(unit, at, LOW_PC) == _ADDR else self._indexed(value, base)

    def _form(self, unit: Unit, at: int, wanted: int) -> int | None:
        code, _ = uleb(self._info.data, at)
        return next((form for attribute, form, _ in unit.table[code].forms if attribute == wanted), None)

    # -- one function --------------------------------------------------------------------------------

    def _tree(self, unit: Unit, at: int, low: int, base: int) -> _Block:
        _, attributes, has, behind = self._info.read(unit, at)
        root = self._block(unit, at, attributes, low, base, named=True)
        stack = [root] if has else []
        for _ in range(MAX_ENTRIES):
            if not stack:
                return root
            at = behind
            tag, attributes, has, behind = self._info.read(unit, at)
            if not tag:
                stack.pop()
            elif tag in (_LEXICAL_BLOCK, _INLINED):
                inner = self._block(unit, at, attributes, low, base, named=tag == _INLINED)
                stack[-1].blocks.append(inner)
                if has:
                    stack.append(inner)
            elif tag in (_VARIABLE, _FORMAL_PARAMETER):
                found = self._declared(unit, at, tag, attributes, low, base)
                stack[-1].variables += [found] if found is not None else []
                if has:
                    stack.append(_Block(None, 0, ()))
            elif has:
                stack.append(_Block(None, 0, ()))
        raise BadDwarf("a function of its debug information has no end")

    def _block(self, unit: Unit, at: int, attributes: Attributes, low: int, base: int, named: bool) -> _Block:
        if _RANGES in attributes:
            ranges = self._ranges(attributes, low, base)
        elif LOW_PC in attributes:
            start, high = self._low_pc(unit, at, attributes, base), number(attributes, _HIGH_PC)
            ranges = ((start, high if self._form(unit, at, _HIGH_PC) == _ADDR else start + high),)
        else:
            ranges = ()
        if not named:
            return _Block(None, 0, ranges)
        origin = self._origin(attributes)
        return _Block(text(origin), number(origin, _DECL_LINE), ranges)

    def _origin(self, attributes: Attributes) -> Attributes:
        """The entry's attributes, and those that only its origin has (DW_AT_abstract_origin)."""
        at = attributes.get(_ABSTRACT_ORIGIN)
        return attributes if not isinstance(at, int) else {**self._info.entry(at)[1], **attributes}

    def _declared(self, unit: Unit, at: int, tag: int, attributes: Attributes, low: int, base: int) -> Declared | None:
        attributes = self._origin(attributes)
        name, type_at = text(attributes), attributes.get(TYPE)
        if not isinstance(type_at, int):
            return None
        place, line = attributes.get(LOCATION), number(attributes, _DECL_LINE)
        is_argument = tag == _FORMAL_PARAMETER
        if isinstance(place, bytes):
            return Declared(name, type_at, line, is_argument, self._parts(place))
        entries = tuple(self._list(place, low, base)) if isinstance(place, int) else ()
        return Declared(name, type_at, line, is_argument, (), entries)

    # -- lists ---------------------------------------------------------------------------------------

    def _ranges(self, attributes: Attributes, low: int, base: int) -> Ranges:
        at = attributes.get(_RANGES)
        if not isinstance(at, int):
            high = number(attributes, _HIGH_PC)
            return ((low, high if high > low else low + high),)
        if self._has_section(".debug_rnglists"):
            return [(start, end) for start, end, _ in self._new_list(".debug_rnglists", at, low, base, False)]
        return [(start, end) for start, end, _ in self._old_list(".debug_ranges", at, low, False)]

    def _list(self, at: int, low: int, base: int) -> Iterator[LocationEntry]:
        if self._has_section(".debug_loclists"):
            found = self._new_list(".debug_loclists", at, low, base, True)
        else:
            found = self._old_list(".debug_loc", at, low, True)
        for start, end, place in found:
            yield LocationEntry(start, end, self._parts(place))

    def _old_list(self, name: str, at: int, base: int, places: bool) -> Iterator[tuple[int, int, bytes]]:
        """(start, end, expression) of DWARF 4's lists (.debug_loc, .debug_ranges)."""
        data, size = self._section(name), self._word.size
        highest = (1 << 8 * size) - 1
        try:
            for _ in range(MAX_LIST):
                (start,), (end,) = self._word.unpack_from(data, at), self._word.unpack_from(data, at + size)
                at += 2 * size
                if start == highest:
                    base = end
                    continue
                if not start and not end:
                    return
                place = b""
                if places:
                    (length,) = struct.unpack_from(self._info.order + "H", data, at)
                    place = data[at + 2 : at + 2 + length]
                    at += 2 + length
                yield base + start, base + end, place
        except struct.error:
            pass
        raise BadDwarf(f"its {name} has no end")

    def _new_list(self, name: str, at: int, low: int, base: int, places: bool) -> Iterator[tuple[int, int, bytes]]:
        """The same of DWARF 5's (.debug_loclists, .debug_rnglists)."""
        data, start_of = self._section(name), low
        try:
            for _ in range(MAX_LIST):
                kind = data[at]
                at += 1
                if not kind:  # DW_LLE_end_of_list, DW_RLE_end_of_list
                    return
                kind += not places and kind > 4  # ranges have no default_location
                numbers = []
                for operand in _OPERANDS[kind]:
                    if operand == "a":
                        (value,) = self._word.unpack_from(data, at)
                        at += self._word.size
                    else:
                        value, at = uleb(data, at)
                        value = self._indexed(value, base) if operand == "x" else value
                    numbers.append(int(value))
                what = _KINDS[kind]
                if what == "base":
                    start_of = numbers[0]
                    continue
                place = b""
                if places:
                    length, at = uleb(data, at)
                    place = data[at : at + length]
                    at += length
                if what == "default":
                    continue
                first, second = numbers
                if what == "offsets":
                    first, second = start_of + first, start_of + second
                elif what == "length":
                    second += first
                yield first, second, place
        except (IndexError, struct.error, KeyError):
            pass
        raise BadDwarf(f"its {name} has no end")

    def _parts(self, expression: bytes) -> tuple[Piece, ...]:
        """The parts of a variable that a location expression names. What the compiler does not write lies nowhere."""
        parts: list[Piece] = []
        here: Piece | None = None
        at = places = 0
        try:
            while at < len(expression):
                operation = expression[at]
                at += 1
                if operation == _OP_PIECE:
                    size, at = uleb(expression, at)
                    own = here if here is not None and places == 1 else Piece(0)
                    parts.append(Piece(size, own.offset, own.register, own.address))
                    here, places = None, 0
                    continue
                places += 1
                here = Piece(0)
                if operation == _OP_FBREG:
                    offset, at = _sleb(expression, at)
                    here = Piece(0, offset=offset)
                elif operation == _OP_CFA:
                    here = Piece(0, offset=0)
                elif _OP_REG0 <= operation <= _OP_REG31:
                    here = Piece(0, register=operation - _OP_REG0)
                elif operation == _OP_REGX:
                    register, at = uleb(expression, at)
                    here = Piece(0, register=register)
                elif operation == _OP_ADDR:
                    here = Piece(0, address=int(self._word.unpack_from(expression, at)[0]))
                    at += self._word.size
                else:
                    return (Piece(0),)
        except (IndexError, struct.error):
            return (Piece(0),)
        if parts:
            return tuple(parts)
        return (here,) if here is not None and places == 1 else () if here is None else (Piece(0),)

    # -- types ---------------------------------------------------------------------------------------

    def type(self, declared: Declared) -> tuple[GoType, int | None]:
        """(the variable's type, index of the word in its function's dictionary that has it): in a generic function the
        type may be a shape, and the index unknown (golang/runtime/dictionaries.py). Raises BadDwarf."""
        tag, attributes, _ = self._info.entry(declared.type_at)
        index = index_of(text(attributes)) if tag == _TYPEDEF else None
        return self._info.type(declared.type_at if index is None else number(attributes, TYPE)), index


def _packed(value: int) -> bytes:
    """A regular expression for an unsigned LEB128 number: the linker may fill it up with empty bytes."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    first = re.escape(bytes(group | 0x80 for group in groups[:-1]))
    return rb"%s(?:%s|%s\x80*\x00)" % (first, re.escape(bytes(groups[-1:])), re.escape(bytes([groups[-1] | 0x80])))


def _sleb(data: bytes, at: int) -> tuple[int, int]:
    """(signed LEB128 number, position behind it). Raises IndexError where it has no end."""
    value, behind = uleb(data, at)
    bits = 7 * (behind - at)
    return (value - (1 << bits) if value >> (bits - 1) & 1 else value), behind
