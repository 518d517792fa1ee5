"""Where the debug information has a variable, in the words of `info address`: gdb's Python does not tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

import gdb

from gdbext.stacks import selected
from gomap.places import LocationEntry, Piece, is_whole

_ENTRY = re.compile(r"\b(0x[0-9a-f]+)-(0x[0-9a-f]+): (.*?)(?=^  \S+ 0x[0-9a-f]+-0x|\Z)", re.M | re.S)
#: The parts of a location in gdb's output, in order: an empty piece, an operation, a register, the end of a piece.
_WORD = re.compile(r"empty (\d+)-byte|DW_OP_(\w+)(?: (-?\d+))?|\$\w+|\[(\d+)-byte")


@dataclass(frozen=True)
class Told:
    """A location list's entry for one pc: the parts, none if the variable is optimized out there. whole: whether a
    single place is the whole variable's, and not that of the only part in the list."""

    parts: tuple[Piece, ...]
    whole: bool


#: By the frame's pc and function (those inlined into one have its pc), the variable's name and its line.
Known = dict[tuple[int, Optional[str], str, int], Optional[Told]]


def told(symbol: gdb.Symbol, frame: gdb.Frame, known: Known) -> Told | None:
    """The entry of the variable's location list for the frame's pc; None if the variable has one place in the whole
    function. For a frame that waits for a call, the pc is the return address: registers that are passed to the call are
    listed up to the end of the call, even if there is a copy in memory."""
    key = (frame.pc(), frame.name(), symbol.name, symbol.line)
    if key not in known:
        entries = _entries(symbol, frame)
        if entries is None:
            known[key] = None
        else:
            parts = next((entry.parts for entry in entries if entry.start <= key[0] < entry.end), ())
            known[key] = Told(parts, is_whole(entries))
    return known[key]


def _entries(symbol: gdb.Symbol, frame: gdb.Frame) -> list[LocationEntry] | None:
    with selected(frame):
        text = gdb.execute(f"info address {symbol.name}", to_string=True)
    found = [
        LocationEntry(int(start, 16), int(end, 16), tuple(_parts(what))) for start, end, what in _ENTRY.findall(text)
    ]
    if not found and "optimized out" not in text:
        return None
    nearest, _ = gdb.lookup_symbol(symbol.name, frame.block())
    # What was told is of another one that hides it: this one has a list, too, and nothing is known of its pieces.
    return found if nearest is not None and nearest.line == symbol.line else []


def _parts(text: str) -> list[Piece]:
    parts, offset, places = [], None, 0
    for empty, operation, argument, end in _WORD.findall(text):
        if empty or end:
            parts.append(Piece(int(empty or end), offset if places == 1 else None))
            offset, places = None, 0
            continue
        places += 1
        if operation == "fbreg":
            offset = int(argument)
        elif operation == "call_frame_cfa":
            offset = 0
    return parts or [Piece(0, offset if places == 1 else None)]
