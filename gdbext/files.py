"""The debug information of the files that gdb has loaded, read past gdb, and where it has put them.

gdb reads the debug information of a package when something of it is asked for, and of all packages when it is asked
for all variables: minutes for a large program. Where a file can't be read past it (compressed with zstd, on another
machine, not there any more), gdb's own way is left (target.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import gdb

from gomap import elf
from gomap.dwarf.entries import BadDwarf
from gomap.dwarf.info import DebugInfo, Static
from gomap.gotypes import GoType

#: A file as gdb's `info files` has it, or a section in memory. Behind the name of the program, or of the core file,
#: come its own sections; those of a library have its name: `\t0x46a000 - 0x552d90 is .text in /lib/libc.so.6`.
_PLACED = re.compile(r"^\t(?:`(.*)', file type .*|(0x[0-9a-f]+) - 0x[0-9a-f]+ is (\S+)(?: in (.*))?)$", re.M)
#: Symbols that show where gdb has loaded a file, and whose addresses must be the same in gdb.
_SECTIONS, _ENDS = (".noptrdata", ".data", ".text"), (b"runtime.etext", b"runtime.edata", b"runtime.end")


@dataclass(frozen=True)
class File:
    """A program or library with Go debug information. name: of the file that is mapped, which may not be the one with
    the debug information."""

    name: str
    info: DebugInfo


@dataclass(frozen=True)
class Loaded:
    """A package variable. address: in memory."""

    file: File
    static: Static
    address: int

    def type(self) -> GoType:
        """The variable's type, read from the file's debug information. Raises BadDwarf."""
        return self.file.info.type(self.static.type_at)

    @property
    def is_plain(self) -> bool:
        """Whether its type is a number or a string."""
        return self.file.info.is_plain(self.static.type_at)


def read() -> list[File] | None:
    """gdb's files with Go debug information; None where one of them can't be read past gdb."""
    found = []
    for objfile in gdb.objfiles():
        if not objfile.filename or not objfile.is_valid():
            continue
        owner = objfile.owner or objfile
        if not os.path.isfile(objfile.filename):
            if objfile.filename.startswith("target:"):
                return None
            continue  # the kernel's own library, above all
        if not elf.is_go(objfile.filename):
            continue  # a C library, which may have debug information of thousands of units
        try:
            info = DebugInfo(objfile.filename)
            if info.is_go and info.variables:
                found.append(File(str(owner.filename), info))
        except (OSError, elf.BadElf, BadDwarf):
            return None
    return found or None


class Placed(NamedTuple):
    """moves: how far each file is from where it was linked."""

    moves: list[int]
    variables: dict[str, Loaded]


def placed(files: Sequence[File], before: Placed | None = None) -> Placed | None:
    """The package variables of the files, at the addresses that they have in gdb now; None if that is not certain.
    before: the previous result."""
    text = gdb.execute("info files", to_string=True)
    sections: dict[tuple[str, str], int] = {}
    owner = ""
    for name, address, section, library in _PLACED.findall(text):
        if name:
            owner = name
        else:
            sections.setdefault((library or owner, section), int(address, 16))
    moves = []
    ends: dict[bytes, set[int]] = {end: set() for end in _ENDS}
    for file in files:
        moved = _moved(file, sections)
        if moved is None:
            return None
        moves.append(moved)
        for end in _ENDS:
            if end in file.info.symbols:
                ends[end].add(file.info.symbols[end] + moved)
    # Else the file is not the one any more that gdb has read.
    if any(addresses and _address(end.decode()) not in addresses for end, addresses in ends.items()):
        return None
    if before is not None and before.moves == moves:
        return before
    found: dict[str, Loaded] = {}
    for file, moved in zip(files, moves):
        for name, static in file.info.variables.items():
            if name not in found:
                found[name] = Loaded(file, static, static.address + moved)
    return Placed(moves, found)


def _moved(file: File, sections: dict[tuple[str, str], int]) -> int | None:
    """How far gdb has moved it from where it was linked."""
    linked = {section.name: section.address for section in file.info.sections}
    for name in _SECTIONS:
        here = sections.get((file.name, name))
        if here is not None and name in linked:
            return here - linked[name]
    return None


def _address(name: str) -> int | None:
    try:
        return int(gdb.parse_and_eval(f"&'{name}'"))
    except gdb.error:
        return None
