"""Where Delve says that a variable lies: its words of DW_OP, read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from delve_bridge.types import Raw

_OPERATION = re.compile(r"DW_OP_(\w+)((?: -?0x[0-9a-f]+| -?\d+)*)")


#: An entry of a location list. What lies in one place in the whole function begins with [block].
_IN_LIST = re.compile(r"\[0x[0-9a-f]+:0x[0-9a-f]+\] (.*)")


#: Where the compiler keeps the pointer to a variable that it moved to the heap, from the call frame's address.
_SLOT = re.compile(r"\[block\] DW_OP_fbreg (-?0x[0-9a-f]+|-?\d+)")


#: A variable in the function's frame.
_IN_FRAME = re.compile(r"\] DW_OP_fbreg (-?0x[0-9a-f]+|-?\d+)\s*$")


def slot_of(raw: Raw, cfa: int) -> int | None:
    """Address of the word of the frame that points to a variable which the compiler moved to the heap."""
    found = _SLOT.match(str(raw["LocationExpr"]))
    return cfa + int(found.group(1), 0) if found else None


def missing_pieces(location: str, size: int) -> Iterator[tuple[int, int]]:
    """Parts (offset, size) of a variable that a DWARF location expression, as Delve prints it, lacks.

    Delve reads them as zeros.
    """
    start, pieces, empty = 0, False, True
    for operation, arguments in _OPERATION.findall(location):
        if operation != "piece":
            empty = False
            continue
        length, pieces = int(arguments, 0), True
        if empty:
            yield start, length
        start, empty = start + length, True
    if pieces and start < size:
        yield start, size - start


def in_frame(location: str, cfa: int) -> Iterator[tuple[int, int, int]]:
    """Pieces (offset, size, address) of a variable that lie in its frame."""
    start, operations = 0, []
    for operation, arguments in _OPERATION.findall(location):
        if operation != "piece":
            operations.append((operation, arguments))
            continue
        if len(operations) == 1 and operations[0][0] in ("fbreg", "call_frame_cfa"):
            yield start, int(arguments, 0), cfa + int(operations[0][1] or "0", 0)
        start, operations = start + int(arguments, 0), []
