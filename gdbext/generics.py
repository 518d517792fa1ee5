"""Types of variables in generic functions: which dictionary a frame's function has got (gomap/golang/dictionaries.py).

Without optimisation it is the parameter .dict. Optimised code does not keep it, and debug information then leaves it out
or names a place that holds something else: what remains are the dictionaries that the program has for the function, of
which the calling function's code refers to one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Callable, Optional

import gdb

from gomap import elf
from gomap.analysis.references import referenced
from gomap.golang.dictionaries import SHAPE, VARIABLE, Dictionary, prefix_of
from gomap.target import Target

#: Compiled without optimisation, as DW_AT_producer tells: `Go cmd/compile go1.27.3; -N -l regabi`.
_PLAIN = re.compile(r";(?: \S+)* -N\b")
_DICTIONARY = "..dict."
#: Addresses and words of the program's dictionaries by their symbols, None where they are not known.
Symbols = Optional[dict[str, Dictionary]]


def variable(frame: gdb.Frame) -> gdb.Symbol | None:
    """The function's own .dict."""
    block: gdb.Block | None = frame.block()
    while block is not None:
        for symbol in block:
            if symbol.name == VARIABLE:
                return symbol
        if block.function is not None:
            return None
        block = block.superblock
    return None


def words(symbol: gdb.Symbol) -> int:
    """How many words the dictionary has: .dict is a *[N]uintptr."""
    t = symbol.type
    if t is None or t.code != gdb.TYPE_CODE_PTR or t.target().code != gdb.TYPE_CODE_ARRAY:
        return 0
    return t.target().range()[1] + 1


def is_plain(symbol: gdb.Symbol) -> bool:
    """Whether the variable's function is compiled without optimisation."""
    return bool(_PLAIN.search(getattr(symbol.symtab, "producer", None) or ""))


def symbols(address_of: Callable[[str], int | None], word: int) -> Symbols:
    """All dictionaries of the program, by the symbols in its file; None where it is not the only one of Go: a library
    may call a function with dictionaries of its own."""
    found: dict[str, Dictionary] = {}
    files = 0
    for objfile in gdb.objfiles():
        try:
            with elf.mapped(str(objfile.filename)) as data:
                of_file = elf.symbols_with(data, _DICTIONARY.encode())
        except (OSError, elf.BadElf):
            continue
        files += bool(of_file)
        for name, (_, size) in of_file.items():
            address = address_of(name)
            if address is not None:
                found[name] = Dictionary(address, size // word)
    return found if files == 1 else None


def candidates(known: Symbols, function: str) -> list[Dictionary]:
    """The dictionaries that the function may have got."""
    prefix = prefix_of(function)
    return [one for name, one in (known or {}).items() if prefix is not None and name.startswith(prefix)]


def given_by_caller(target: Target, frame: gdb.Frame, possible: Sequence[Dictionary]) -> list[Dictionary]:
    """Those that the caller's code names. A generic function takes what it gives from its own dictionary."""
    try:
        caller = frame.older()
        while caller is not None and frame.type() == gdb.INLINE_FRAME:
            frame, caller = caller, caller.older()
        if caller is None:
            return []
        pc, outer = caller.pc(), caller
        while outer.type() == gdb.INLINE_FRAME:
            if SHAPE in (outer.name() or ""):
                return []
            outer = outer.older()
        if SHAPE in (outer.name() or ""):
            return []
    except gdb.error:
        return []
    by_address = {one.address: one for one in possible}
    return [by_address[address] for address in referenced(target, pc, by_address)]
