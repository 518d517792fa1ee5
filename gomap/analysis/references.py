"""Which package variables a function's code refers to, told from its machine code."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gomap.errors import GomapError
from gomap.golang.pclntab import Functions
from gomap.target import Target

#: Bytes of code in front of a call that are looked at.
MAX_CODE = 1 << 14


def referenced(target: Target, pc: int, addresses: Collection[int]) -> list[int]:
    """Those of the addresses that the instructions between the beginning of pc's function and pc refer to, the nearest
    to pc first. pc: a return address. Nothing on architectures whose instructions do not hold an address in one piece.

    amd64: an offset of 4 bytes from the instruction's end, behind which a load or store of a pointer has nothing.
    386: the address.
    """
    if not addresses or target.arch.name not in ("amd64", "386"):
        return []
    try:
        start = max(Functions(target).entry(pc - 1), pc - MAX_CODE)
        code = target.memory.read(start, pc - start)
    except GomapError:
        return []
    return list(dict.fromkeys(a for a in _operands(code, start, target.arch.name == "amd64") if a in addresses))


def _operands(code: bytes, start: int, relative: bool) -> Iterator[int]:
    """What each four bytes of the code would refer to, from its end on."""
    for at in range(len(code) - 4, -1, -1):
        value = int.from_bytes(code[at : at + 4], "little", signed=relative)
        yield start + at + 4 + value if relative else value


def root_of(target: Target, path: str) -> int | None:
    """Address of the package variable that the path begins with: of main.Keep for main.Keep.Stats.Counts."""
    dot = path.find(".", path.rfind("/", 0, path.find("[") if "[" in path else len(path)) + 1)
    end = next((i for i in range(dot + 1, len(path)) if path[i] in ".[("), len(path))
    found = target.variable(path[:end]) if dot > 0 else None
    return None if found is None else found.address
