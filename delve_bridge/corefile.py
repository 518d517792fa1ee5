"""Core files that can't be used, each told in one line before Delve sees them."""

from __future__ import annotations

import os

from delve_bridge.memory import CoreMemory
from gomap import elf
from gomap.errors import GomapError, MemoryFault, WrongProgram


class BadCore(GomapError):
    """No core file, or one that is packed or cut short."""

    code = "bad-core"


def check(program: str, core: str) -> list[str]:
    """Warnings: what of this core can't be shown. Raises BadCore, WrongProgram."""
    if not os.path.isfile(program):
        raise BadCore(f"{program}: there is no such file")
    problem = elf.why_no_core(core)
    if problem is not None:
        raise BadCore(problem)
    missing = sum(end - start for start, end in elf.cut_off(core))
    if _of_another_build(program, core):
        raise WrongProgram(f"{core} comes from another build of the program than {program}")
    warnings = [f"{core} is cut short by {missing:,} bytes: what lay there can't be shown"] if missing else []
    return warnings + [
        f"Delve reads no libraries of core files: gdb shows the maps of {path} (gdb-hmap {program} {core})"
        for path in _go_libraries(core)
    ]


def _go_libraries(core: str) -> list[str]:
    """Plugins and libraries with Go code, where they still are."""
    try:
        with elf.mapped(core) as data:
            files = elf.libraries_in_core(data)
    except elf.BadElf:
        return []
    return [path for path in files if os.path.isfile(path) and elf.is_go(path)]


def _of_another_build(program: str, core: str) -> bool:
    """Linux dumps the first page of each program: its program headers and Go's build id are there."""
    with open(program, "rb") as file:
        head = file.read(4096)
    try:
        parsed = elf.parse(head)
        moved = 0
        if parsed.kind == elf.SHARED:  # a PIE: it lies where the kernel put it
            with elf.mapped(core) as data:
                entry = elf.entry_in_core(data)
            if entry is None:
                return False
            moved = entry - parsed.entry
            if moved < 0 or moved % 4096:
                return True
        first = next((s for s in parsed.loaded if s.offset == 0), None)
        if first is None:
            return False
        memory = CoreMemory(core)
        try:
            size = min(first.size, len(head))
            return memory.read(first.address + moved, size) != head[:size]
        finally:
            memory.close()
    except (elf.BadElf, MemoryFault):
        return False
