"""The programs that dumped core files, by build ID: in any directory, and in one that is laid out as debuginfod's."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gomap import elf
from gomap.corefile import check
from gomap.errors import GomapError
from gomap.stripped import twin

#: Files of a directory that are looked at.
MAX_FILES = 1 << 20
#: Seconds after which the directories are looked through again for a program that is not there.
AGAIN = 60


@dataclass(frozen=True)
class Program:
    """A program's file. symbols: the file that has its debug information, where that is another one."""

    path: str
    symbols: str | None = None


class NoProgram(GomapError):
    """No directory has the program of a core file."""


@dataclass
class Programs:
    """The programs in some directories, by build ID and by file name. They are looked through when a program is not
    found where its build ID names it."""

    folders: Sequence[str]
    _files: dict[str, list[str]] = field(default_factory=dict)
    _looked: float | None = None

    def of_core(self, core: str) -> Program | None:
        """The program that dumped the core file; None where no directory was given. Raises NoProgram, GomapError,
        OSError."""
        if not self.folders:
            return None
        with elf.mapped(core) as data:
            ids = [one for one in elf.build_ids_in_core(data) if one]
            named = os.path.basename(elf.program_in_core(data) or "")
        for name in ids or [named]:
            programs, symbols = self._named(name)
            path = programs[0] if len(programs) == 1 else _own(programs, core, named)
            if path is not None:
                return Program(path, next((one for one in symbols if _is_twin(path, one)), None))
        what = f"no program with build ID {ids[0]}" if ids else "the core has no build ID, and no program of that name"
        raise NoProgram(f"{what} is in {', '.join(self.folders)}: {named or 'the core names none'}")

    def look(self) -> bool:
        """Looks through the directories, unless that was done a minute ago. Raises GomapError."""
        if self._looked is not None and time.monotonic() - self._looked < AGAIN:
            return False
        self._files = {}
        for folder in self.folders:
            for path in _all_files(folder):
                for name in _names(path):
                    self._files.setdefault(name, []).append(path)
        self._looked = time.monotonic()
        return True

    def _named(self, name: str) -> tuple[list[str], list[str]]:
        """The programs of a build ID or file name, those with debug information first; and the files that have only
        that, for the others."""
        direct = [path for folder in self.folders for path in _by_path(folder, name) if os.path.isfile(path)]
        whole, stripped, symbols = list[str](), list[str](), list[str]()
        for path in dict.fromkeys([*direct, *self._files.get(name, [])]):
            with suppress(OSError, elf.BadElf), elf.mapped(path) as data:
                is_whole = any(section.name == ".debug_info" for section in elf.sections(data))
                if elf.has_code(data):
                    (whole if is_whole else stripped).append(path)
                elif is_whole:
                    symbols.append(path)
        return [*whole, *stripped], [] if whole else symbols


def build_of(data: elf.Data) -> str:
    """What tells a program's builds apart: its build ID, or a hash of the file where that says nothing."""
    try:
        gnu, go = elf.build_ids(data)
    except elf.BadElf:
        gnu, go = None, None
    if elf.is_identity(gnu, go):
        return gnu or go or ""
    return f"{go or gnu or 'none'}~{hashlib.sha256(data).hexdigest()[:20]}"


def _own(programs: Sequence[str], core: str, named: str) -> str | None:
    """The program that dumped the core, of several with one build ID: the linker's -buildid can be any word."""
    fits: list[tuple[bool, bool, str]] = []
    for path in programs:
        with suppress(GomapError, OSError):
            fits.append((bool(check(path, core)), os.path.basename(path) != named, path))
    return min(fits, default=(False, False, None), key=lambda one: one[:2])[2]


def _is_twin(program: str, symbols: str) -> bool:
    try:
        twin.check(program, symbols)
    except (GomapError, OSError):
        return False
    return True


def _by_path(folder: str, name: str) -> Iterator[str]:
    """Where debuginfod's layout (its web API and its clients' cache) and gdb's .build-id have the files of a build."""
    if "/" in name or len(name) < 3:
        return
    for base in (os.path.join(folder, "buildid", name), os.path.join(folder, name)):
        yield os.path.join(base, "executable")
        yield os.path.join(base, "debuginfo")
    base = os.path.join(folder, ".build-id", name[:2], name[2:])
    yield from (base, f"{base}.debug")


def _all_files(folder: str) -> Iterator[str]:
    number = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            number += 1
            if number > MAX_FILES:
                raise GomapError(f"{folder} has more than {MAX_FILES:,} files: lay it out as debuginfod does")
            path = os.path.join(place, name)
            if os.path.isfile(path):  # opening a pipe would wait for its writer
                yield path


def _names(path: str) -> list[str]:
    """By what an ELF file is asked for: its build IDs and its name."""
    try:
        with open(path, "rb") as file:
            head = file.read(elf.MAX_HEAD)
        if head[:4] != b"\x7fELF":
            return []
        return [one for one in (*elf.build_ids(head), os.path.basename(path)) if one]
    except (OSError, elf.BadElf):
        return []
