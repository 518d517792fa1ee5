"""The variables that a closure captured, according to debug information."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import gdb

from gdbext import files
from gdbext.variables import Variables
from gomap.dwarf.entries import BadDwarf
from gomap.enclosed import Declaration, Enclosed
from gomap.errors import GomapError
from gomap.golang.runtime.pclntab import Functions
from gomap.target import Captured


class Captures:
    """files: of which the debug information is read past gdb."""

    def __init__(self, variables: Variables, files: Callable[[], Sequence[files.File]]) -> None:
        self._converter, self._files = variables.converter, files
        self._functions = Functions(variables.target)
        self._enclosed = Enclosed(
            variables.arch,
            variables.memory,
            lambda: variables.arguments,
            lambda: variables.all_dictionaries or {},
        )

    def of(self, code: int, slot: int) -> Sequence[Captured]:
        """From debug information that is read past gdb, which drops DW_AT_go_closure_offset; else the variables of the
        function that were declared before it, with no place."""
        try:
            name = self._functions.name(code)
            for file in self._files():
                kept = file.info.captured(name)
                if kept is not None:
                    return self._enclosed.kept(file.info, name, kept, slot)
        except (BadDwarf, GomapError):
            pass
        return self._declared_before(code, slot)

    def _declared_before(self, code: int, slot: int) -> Sequence[Captured]:
        block = gdb.block_for_pc(code)
        while block is not None and block.function is None:
            block = block.superblock
        if block is None or block.function is None or block.start != code:
            return ()
        declared = [
            Declaration(symbol.name, self._converter.convert(symbol.type), symbol.line, symbol.is_argument)
            for symbol in block
            if symbol.type is not None and (symbol.is_variable or symbol.is_argument)
        ]
        return self._enclosed.declared(block.function.name, block.function.line, declared, slot)
