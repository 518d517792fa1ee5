"""What a closure has captured, as the debug information tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import gdb

from gdbext import files
from gdbext.variables import Variables
from gomap.dwarf import BadDwarf, DebugInfo, Kept
from gomap.errors import GomapError, MemoryFault
from gomap.golang import dictionaries
from gomap.golang.closures import MAX_CAPTURED, CapturedPart, captured
from gomap.golang.dictionaries import Dictionary, candidates, is_shaped
from gomap.golang.pclntab import Functions
from gomap.gotypes import Kind
from gomap.target import (
    Captured,
)


class Captures:
    """files: of which the debug information is read past gdb."""

    def __init__(self, variables: Variables, files: Callable[[], Sequence[files.File]]) -> None:
        self._variables, self._files = variables, files
        self.arch, self.memory = variables.arch, variables.memory
        self._functions = Functions(variables.target)

    def of(self, code: int, slot: int) -> Sequence[Captured]:
        """From debug information that is read past gdb, which drops DW_AT_go_closure_offset; else the variables of the
        function that were declared before it, with no place."""
        try:
            name = self._functions.name(code)
            for file in self._files():
                kept = file.info.captured(name)
                if kept is not None:
                    return self._kept(file.info, name, kept, slot)
        except (BadDwarf, GomapError):
            pass
        return self._declared_before(code, slot)

    def _kept(self, info: DebugInfo, function: str, kept: Sequence[Kept], slot: int) -> Sequence[Captured]:
        word = self.arch.pointer_size
        own = self.memory.read(self.arch.pointer(self.memory.read(slot, word)), word * (1 + MAX_CAPTURED))
        parts, dictionary = [], []
        for one in kept:
            if one.offset + word > len(own):
                continue
            t = info.type(one.type_at)
            if one.name == dictionaries.VARIABLE and t.kind is Kind.POINTER and t.elem.kind is Kind.ARRAY:
                dictionary.append(Dictionary(self.arch.pointer(own, one.offset), t.elem.length))
            if one.name.startswith("&") and t.kind is Kind.POINTER:
                parts.append(CapturedPart(one.name[1:], t.elem, None, self.arch.pointer(own, one.offset)))
            else:
                parts.append(CapturedPart(one.name, t, one.offset))
        found = captured(parts, own, self.arch)
        if not any(is_shaped(part.type) for part in found):
            return found
        its = dictionary or self._captured_dictionaries(function, slot, found)
        return dictionaries.with_arguments(found, self._variables.arguments, its)

    def _declared_before(self, code: int, slot: int) -> Sequence[Captured]:
        block = gdb.block_for_pc(code)
        while block is not None and block.function is None:
            block = block.superblock
        if block is None or block.function is None or block.start != code:
            return ()
        line, parts = block.function.line, []
        for symbol in block:
            if symbol.is_argument or symbol.name.startswith("~") or symbol.type is None:
                continue
            if symbol.is_variable and symbol.line <= line:
                by_reference = symbol.name.startswith("&")
                t = self._variables.converter.convert(symbol.type.target() if by_reference else symbol.type)
                parts.append(Captured(symbol.name.lstrip("&"), t, None, by_reference))
        if not any(is_shaped(part.type) for part in parts):
            return parts
        return dictionaries.with_arguments(
            parts, self._variables.arguments, self._captured_dictionaries(block.function.name, slot, parts)
        )

    def _captured_dictionaries(self, function: str, slot: int, parts: Sequence[Captured]) -> list[Dictionary]:
        """The dictionary that the closure has captured. Where it lies in the closure gdb does not tell, either."""
        word = self.arch.pointer_size
        size = word * (1 + sum(1 if part.by_reference else -(-part.type.size // word) for part in parts))
        try:
            closure = self.memory.read(self.arch.pointer(self.memory.read(slot, word)), size)
        except MemoryFault:
            return []
        held = {self.arch.pointer(closure, at) for at in range(word, size, word)}
        return [one for one in candidates(self._variables.all_dictionaries or {}, function) if one.address in held]
