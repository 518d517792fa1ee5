"""Core files that can't be used, each told in one line before Delve sees them."""

from __future__ import annotations

import os
import struct

from delve_bridge.memory import CoreMemory
from gomap import elf
from gomap.errors import GomapError, MemoryFault, WrongProgram

PAGE = 4096
#: Symbols of the linker whose addresses a runtime.moduledata has among its first MODULE_WORDS words, from Go 1.21 to
#: 1.27: where the function table is, and where each section of variables starts and ends.
SECTIONS = (
    b"pclntab",
    b"noptrdata",
    b"enoptrdata",
    b"data",
    b"edata",
    b"bss",
    b"ebss",
    b"noptrbss",
    b"enoptrbss",
    b"end",
)
MODULE_WORDS = 40


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
    warnings = [f"{core} is cut short by {missing:,} bytes: what lay there can't be shown"] if missing else []
    moved = _moved(program, core)
    if moved is None or not _is_the_program(program, core, moved):
        if moved is None or not _has_the_same_layout(program, core, moved):
            raise WrongProgram(f"{core} comes from another build of the program than {program}")
        warnings.append(
            f"{program} has another build ID than the program that dumped {core}; both have the same sections, so "
            "it is taken for a build of the same source"
        )
    return warnings + [
        f"Delve reads no libraries of core files: gdb shows the maps of {path} (gdb-hmap {program} {core})"
        for path in go_libraries(core)
    ]


def go_libraries(core: str) -> list[str]:
    """Plugins and libraries with Go code, where they still are."""
    try:
        with elf.mapped(core) as data:
            files = elf.libraries_in_core(data)
    except (OSError, elf.BadElf):
        return []
    return [path for path in files if os.path.isfile(path) and elf.is_go(path)]


def _moved(program: str, core: str) -> int | None:
    """How far from its own addresses the program was loaded; None where it can't be the one that dumped the core."""
    try:
        with elf.mapped(program) as data, elf.mapped(core) as dumped:
            parsed = elf.parse(data)
            if parsed.kind != elf.SHARED:
                return 0
            entry = elf.entry_in_core(dumped)  # of a PIE, which lies where the kernel put it
    except elf.BadElf:
        return 0
    if entry is None:
        return 0
    moved = entry - parsed.entry
    return None if moved < 0 or moved % PAGE else moved


def _is_the_program(program: str, core: str, moved: int) -> bool:
    """Linux dumps the first page of each program: its program headers and Go's build ID are there. Where the core does
    not have it, nothing tells them apart."""
    with open(program, "rb") as file:
        head = file.read(PAGE)
    try:
        first = next((s for s in elf.parse(head).loaded if s.offset == 0), None)
        if first is None:
            return True
        size = min(first.size, len(head))
        return _read(core, first.address + moved, size) == head[:size]
    except (elf.BadElf, MemoryFault):
        return True


def _has_the_same_layout(program: str, core: str, moved: int) -> bool:
    """Whether the program's sections are where the dumped program had its own, as with one that was stripped and is
    built again with its symbols. The linker writes where they are into runtime.firstmoduledata (symtab.go of
    cmd/link/internal/ld)."""
    try:
        with elf.mapped(program) as data:
            parsed, symbols = elf.parse(data), elf.symbols(data)
        module = symbols[b"runtime.firstmoduledata"]
        places = {symbols[b"runtime." + name] + moved for name in SECTIONS}
        words = struct.Struct(f"{parsed.order}{MODULE_WORDS}{'Q' if parsed.wide else 'I'}")
        return places <= set(words.unpack(_read(core, module + moved, words.size)))
    except (elf.BadElf, MemoryFault, KeyError):
        return False


def _read(core: str, address: int, size: int) -> bytes:
    memory = CoreMemory(core)
    try:
        return memory.read(address, size)
    finally:
        memory.close()
