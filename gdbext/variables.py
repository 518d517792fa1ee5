"""Variables of gdb's frames: their types, as they are in generic functions too, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Callable, Literal

import gdb

from gdbext import files, generics, locations
from gdbext.stacks import call_frame, has_registers, waiting
from gdbext.symbols import symbols, type_named, type_of
from gdbext.types import Converter
from gdbext.values import bytes_of
from gomap.errors import GomapError
from gomap.golang.runtime import dictionaries
from gomap.golang.runtime.dictionaries import Arguments, Dictionary, candidates, is_shaped
from gomap.golang.runtime.pieces import are_all
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.gotypes import same as same_type
from gomap.memory import Memory
from gomap.places import pieced
from gomap.target import (
    GLOBAL,
    Arch,
    Call,
    Place,
    Target,
    Variable,
)

#: Kinds of values that may be in pieces.
_OF_WORDS = frozenset({Kind.STRUCT, Kind.ARRAY, Kind.SLICE, Kind.INTERFACE})


@dataclass
class FileFacts:
    """What was learnt of a program's files, until they change."""

    converters: dict[Arch, Converter] = field(default_factory=dict)
    #: Package variables that may lead to maps, by name, where gdb had to be asked for them.
    variables: dict[str, gdb.Symbol] | None = None
    #: The files whose debug information is read past gdb, none where it can't be; None: not tried yet.
    read: Sequence[files.File] | None = None
    placed: files.Placed | None = None
    locations: locations.Known = field(default_factory=dict)
    #: The dictionaries of generic functions; None where they are not known, False: not looked for yet.
    dictionaries: generics.Symbols | Literal[False] = False
    #: The process (its pid and gdb's connection to it) that was found to run these files.
    process: tuple[int, int] | None = None


class Variables:
    """known: what was learnt of the program's files. place: of a frame, without the kind."""

    def __init__(
        self,
        target: Target,
        memory: Memory,
        known: FileFacts,
        converter: Converter,
        place: Callable[[gdb.Frame], Place],
    ) -> None:
        self.target, self.arch, self.memory = target, target.arch, memory
        self.known, self.converter, self.place = known, converter, place

    def in_frame(
        self, symbol: gdb.Symbol, frame: gdb.Frame, name: str, place: Place, call: Call | None = None
    ) -> Variable:
        """place: the frame's, without the kind. call: the call that its function waits for, for a single variable."""
        captured = symbol.name.startswith("&")
        place = replace(place, kind="captured" if captured else "argument" if symbol.is_argument else "local")
        found = self.of_symbol(symbol, frame, name, place)
        if captured and not name.startswith("&"):  # debug information has the pointer to the variable
            address = self.arch.pointer(found.read(self.memory, 0, self.arch.pointer_size))
            call = None if call is None or found.address is None else replace(call, slot=found.address)
            return Variable(name, found.type.elem, address, place=place, call=call)
        return found if call is None else replace(found, call=call)

    def of_symbol(self, symbol: gdb.Symbol, frame: gdb.Frame | None, name: str, place: Place) -> Variable:
        """The variable that a symbol stands for in a frame.

        name: what the Variable is called. place: where it was found.
        """
        t = self.type(symbol, frame)
        try:
            if not symbol.needs_frame or frame is None:
                return self._of_value(symbol.value(), t, name, place)
            value = symbol.value(frame)
            if value.address is None or t.kind in _OF_WORDS:
                told = locations.told(symbol, frame, self.known.locations)
                parts = () if told is None else told.parts
                pieces = [part.size for part in parts if part.size]
                if told is not None and not told.whole and not are_all(t, pieces, self.arch.pointer_size):
                    return Variable(name, t, place=place)
                if not has_registers(frame) and (told is not None or t.kind not in _OF_WORDS):
                    unplaced = Variable(name, t, place=place)
                    return pieced(self.memory, self.arch, parts, call_frame(frame), {}, unplaced)
            return self._of_value(value, t, name, place)
        except (gdb.error, GomapError):
            return Variable(name, t, place=place)

    def type(self, symbol: gdb.Symbol, frame: gdb.Frame | None) -> GoType:
        """The type of a variable, in a generic function with the types that it was called with, where these can be
        told: else with their shapes."""
        of_gdb = type_of(symbol)
        t = self.converter.convert(of_gdb)
        if frame is None or not is_shaped(t):
            return t
        index = dictionaries.index_of(of_gdb.name)
        if index is None and symbol.name.startswith("&") and t.kind is Kind.POINTER:
            actual = self._actual(frame, None, t.elem)
            return t if actual is None else dictionaries.pointer_to(actual, self.arch.pointer_size)
        return self._actual(frame, index, t) or t

    def _actual(self, frame: gdb.Frame, index: int | None, shape: GoType) -> GoType | None:
        possible = self._dictionaries(frame)
        found = self.arguments.actual(possible, index, shape)
        if found is not None or len(possible) < 2:
            return found
        given = generics.given_by_caller(self.target, frame, possible, self._dictionaries)
        return self.arguments.actual(given, index, shape)

    def _dictionaries(self, frame: gdb.Frame) -> Sequence[Dictionary]:
        """The dictionaries that the frame's function may have got."""
        symbol = generics.variable(frame)
        if symbol is not None and (
            generics.is_plain(symbol) or locations.told(symbol, frame, self.known.locations) is not None
        ):
            try:
                place = self.place(frame)
                data = self.of_symbol(symbol, frame, symbol.name, place).read(self.memory, 0, self.arch.pointer_size)
                return [Dictionary(self.arch.pointer(data), generics.words(symbol))]
            except GomapError:
                pass
        return candidates(self.all_dictionaries or {}, frame.name() or "")

    @property
    def all_dictionaries(self) -> generics.Symbols:
        """The dictionaries of generic functions, from the program's symbol table; None where it can't be read."""
        if self.known.dictionaries is False:
            self.known.dictionaries = generics.symbols(self.target.symbol(dictionaries.ANCHOR), self.arch.pointer_size)
        return self.known.dictionaries

    @cached_property
    def arguments(self) -> Arguments:
        """Reads type arguments from dictionaries of generic functions."""
        return Arguments(DescribedTypes(self.target))

    def from_value(self, value: gdb.Value) -> Variable:
        """A value that gdb's own expression evaluation gave."""
        return self._of_value(value, self._type_of_value(value), "this", GLOBAL)

    def _type_of_value(self, value: gdb.Value) -> GoType:
        """The value's type: where it is a variable of the selected frame's generic function, as `type` has it."""
        t = self.converter.convert(value.type)
        if not is_shaped(t):
            return t
        try:
            frame = gdb.selected_frame()
            for symbol, _ in symbols(frame):
                if symbol.type == value.type and is_one(symbol.value(frame), value):
                    return self.type(symbol, frame)
        except gdb.error:
            pass
        return t

    def gdb_type(self, t: GoType) -> gdb.Type | None:
        """gdb's type of t's name, None where that is none, or another type of the name."""
        try:
            if t.kind is Kind.POINTER and t.name == f"*{t.elem.name}":  # gdb finds no pointers by name
                elem = self.gdb_type(t.elem)
                return None if elem is None else elem.pointer()
            found = type_named(t.name)
            return found if found is not None and same_type(self.converter.convert(found), t, behind=2) else None
        except GomapError:
            return None

    def _of_value(self, value: gdb.Value, t: GoType, name: str, place: Place) -> Variable:
        try:
            if value.address is not None:
                return Variable(name, t, int(value.address), place=place)
            data, holes = bytes_of(value, t, self.arch)
        except gdb.error:
            return Variable(name, t, place=place)
        return Variable(name, t, None, data, tuple(holes), place)


def is_one(one: gdb.Value, other: gdb.Value) -> bool:
    """Whether two values of one type are one variable, or the same pointer in registers."""
    if one.address is not None or other.address is not None:
        return bool(one.address == other.address)
    return one.type.strip_typedefs().code == gdb.TYPE_CODE_PTR and int(one) == int(other)


def call_of(frame: gdb.Frame) -> Call | None:
    """Where the frame's function waits for a call; None where it does not, or gdb does not tell."""
    try:
        return waiting(frame)
    except (gdb.error, GomapError):
        return None
