"""A thread that has stopped at a breakpoint of gomap's, with its registers and the memory that the program has now; and
what gdb is to watch."""

from __future__ import annotations

import gdb

from gomap.errors import MemoryFault
from gomap.trace.port import Hit


def hit_at(address: int | None) -> Hit:
    """The thread that gdb has selected. address: of the breakpoint that it is at; None for where it is."""
    return Hit(_register("pc") if address is None else address, _register, _read)


def bytes_at(address: int, size: int, name: str) -> str:
    """An expression for these bytes, as an integer. gdb reads it again in the language of that moment, as when a
    watchpoint is enabled: types have other names in each, convenience variables have not."""
    t = gdb.selected_inferior().architecture().integer_type(8 * size, False)
    variable = f"hmap_{name}_{address:x}"
    gdb.set_convenience_variable(variable, gdb.Value(address).cast(t.pointer()))
    return f"*${variable}"


def _register(name: str) -> int:
    """By way of a gdb.Frame it takes ten times as long: gdb unwinds for that."""
    return int(gdb.parse_and_eval(f"${name}")) & (1 << 64) - 1


def _read(address: int, size: int) -> bytes:
    try:
        return bytes(gdb.selected_inferior().read_memory(address, size))
    except (gdb.error, OverflowError) as error:
        raise MemoryFault(address, size) from error
