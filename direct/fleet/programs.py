"""The programs that dumped core files, by build ID: in any directory, and in one that is laid out as debuginfod's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gomap import elf
from gomap.errors import GomapError

#: Files of a directory that are looked at.
MAX_FILES = 1 << 20


@dataclass(frozen=True)
class Program:
    """A program's file. symbols: the file that has its debug information, where that is another one."""

    path: str
    symbols: str | None = None


@dataclass
class Programs:
    """The programs in some directories, which are looked through once, when a build ID is asked for that is not found
    by its name. A program that is added later is found too."""

    folders: Sequence[str]
    _files: dict[str, list[str]] = field(default_factory=dict)
    _looked: set[str] = field(default_factory=set)

    def of_core(self, core: str) -> Program | None:
        """The program that dumped the core file; None where no directory was given. Raises GomapError, OSError."""
        if not self.folders:
            return None
        with elf.mapped(core) as data:
            gnu, go = elf.build_ids_in_core(data)
            named = elf.program_in_core(data)
        wanted = [one for one in (gnu, go) if one]
        for name in wanted:
            found = self._by_id(name)
            if found is not None:
                return found
        where = ", ".join(self.folders)
        if wanted:
            raise GomapError(f"no program with build ID {wanted[0]} is in {where}: {named or 'the core names none'}")
        beside = self._by_name(named)
        if beside is None:
            raise GomapError(f"the core has no build ID, and {where} has no file {os.path.basename(named or '?')}")
        return beside

    def _by_id(self, name: str) -> Program | None:
        direct = [path for folder in self.folders for path in _by_path(folder, name) if os.path.isfile(path)]
        found = _chosen(direct)
        if found is None and name not in self._files:
            self._look()
        return found or _chosen(self._files.get(name, []))

    def _by_name(self, named: str | None) -> Program | None:
        """By the file's name, for a core without a build ID. Opening it checks whether it is the program."""
        for folder in self.folders if named else ():
            path = os.path.join(folder, os.path.basename(named or ""))
            if os.path.isfile(path):
                return Program(path)
        return None

    def _look(self) -> None:
        for folder in self.folders:
            for path in _all_files(folder):
                if path in self._looked:
                    continue
                self._looked.add(path)
                for name in _ids(path):
                    self._files.setdefault(name, []).append(path)


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
            yield os.path.join(place, name)


def _ids(path: str) -> list[str]:
    """Build IDs of an ELF file, none of any other file."""
    try:
        with open(path, "rb") as file:
            head = file.read(elf.MAX_HEAD)
        return [one for one in elf.build_ids(head) if one] if head[:4] == b"\x7fELF" else []
    except (OSError, elf.BadElf):
        return []


def _chosen(paths: Sequence[str]) -> Program | None:
    """The first that has the program's code; with the debug information of another, where its own has none."""
    programs, symbols = [], []
    for path in paths:
        try:
            with elf.mapped(path) as data:
                names = {section.name for section in elf.sections(data)}
                if elf.has_code(data):
                    programs.append((path, ".debug_info" in names))
                elif ".debug_info" in names:
                    symbols.append(path)
        except (OSError, elf.BadElf):
            continue
    if not programs:
        return None
    path, is_whole = max(programs, key=lambda one: one[1])
    return Program(path, None if is_whole or not symbols else symbols[0])
