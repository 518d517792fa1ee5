"""Which dictionary the function of a frame has got (gomap/golang/runtime/dictionaries.py).

Without optimization it is the parameter .dict. Optimized code does not keep it, and debug information then leaves it
out or names a place that holds something else: what remains are the dictionaries that the program has for the function,
of which the calling function's code passes one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Callable, Optional

import gdb

from gomap import elf
from gomap.analysis.references import given
from gomap.golang.runtime.dictionaries import MAX_CALLERS, SHAPE, VARIABLE, Dictionary, Known, of_file, within
from gomap.target import Target

#: Compiled without optimization, according to DW_AT_producer: `Go cmd/compile go1.27.3; -N -l regabi`.
_PLAIN = re.compile(r";(?: \S+)* -N\b")
#: The program's dictionaries, None where they are not known.
Symbols = Optional[Known]


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


def symbols(anchor: int | None, word: int) -> Symbols:
    """All dictionaries of the program, by the symbols in its file; None where several files are Go's: a library may
    call a function with dictionaries of its own. anchor, word: as dictionaries.of_file has them."""
    files = [objfile for objfile in gdb.objfiles() if objfile.is_valid() and objfile.filename]
    programs = [objfile for objfile in files if objfile.owner is None and elf.is_go(str(objfile.filename))]
    if len(programs) != 1:
        return None
    # Its symbols may be in the file that its debug information was moved to.
    paths = [str(objfile.filename) for objfile in files if programs[0] in (objfile, objfile.owner)]
    return next((known for known in (of_file(path, anchor, word) for path in paths) if known), None)


def given_by_caller(
    target: Target,
    frame: gdb.Frame,
    possible: Sequence[Dictionary],
    of_frame: Callable[[gdb.Frame], Sequence[Dictionary]],
    callers: int = MAX_CALLERS,
) -> Sequence[Dictionary]:
    """The dictionary that the calling function's code passes or, if the caller is generic too, has in its own
    dictionary. of_frame: the dictionaries that a frame's function may have been called with."""
    addresses = {one.address for one in possible}
    try:
        caller = None if frame.type() == gdb.INLINE_FRAME else frame.older()
        if caller is None:
            return ()
        found = given(target, caller.pc(), addresses)
        if found is None and callers and SHAPE in (caller.name() or ""):
            its = of_frame(caller)
            if len(its) > 1:
                its = given_by_caller(target, caller, its, of_frame, callers - 1)
            found = within(target, its, addresses)
    except gdb.error:
        return ()
    return [one for one in possible if one.address == found]
