"""Core files that can't be used, each told in one line before Delve sees them."""

from __future__ import annotations

import os
import struct

from delve_bridge.memory import CoreMemory, load_segments
from gomap.errors import GomapError, MemoryFault, WrongProgram

_COMPRESSED = (
    (b"\x1f\x8b", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "unzstd"),
    (b"\xfd7zXZ", "unxz"),
    (b"\x04\x22\x4d\x18", "unlz4"),
)
_FIXED_ADDRESS = 2  # ET_EXEC


class BadCore(GomapError):
    """No core file, or one that is packed or cut short."""

    code = "bad-core"


def check(program: str, core: str) -> str | None:
    """A warning for a core that is cut short. Raises BadCore, WrongProgram."""
    for path in (program, core):
        if not os.path.isfile(path):
            raise BadCore(f"{path}: there is no such file")
    with open(core, "rb") as file:
        start = file.read(8)
    for magic, tool in _COMPRESSED:
        if start.startswith(magic):
            raise BadCore(f"{core} is compressed: unpack it first ({tool})")
    if not start.startswith(b"\x7fELF"):
        return None  # other systems' cores are Delve's to judge
    memory = CoreMemory(core)
    try:
        if _of_another_build(program, memory):
            raise WrongProgram(f"{core} comes from another build of the program than {program}")
        missing = memory.missing()
    finally:
        memory.close()
    return f"{core} is cut short by {missing:,} bytes: what lay there can't be shown" if missing else None


def _of_another_build(program: str, memory: CoreMemory) -> bool:
    """Linux dumps the first page of each program: its program headers and Go's build id are there."""
    with open(program, "rb") as file:
        head = file.read(4096)
    try:
        if head[:4] != b"\x7fELF" or struct.unpack_from("<H" if head[5] == 1 else ">H", head, 16)[0] != _FIXED_ADDRESS:
            return False
        first = [(address, size) for address, offset, size in load_segments(head) if offset == 0]
        if not first:
            return False
        address, size = first[0]
        size = min(size, len(head))
        return memory.read(address, size) != head[:size]
    except (struct.error, MemoryFault):
        return False
