"""Core files: their memory, and those that can't be used, each told in one line before a debugger sees them."""

from __future__ import annotations

import bisect
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from gomap import elf
from gomap.errors import GomapError, MemoryFault, WrongProgram
from gomap.memory import Buffer, Memory, Read, joined, one_by_one, stream

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
    """No core file, or one that is packed or truncated."""

    code = "bad-core"


class CoreMemory:
    """The PT_LOAD segments of an ELF core file. Raises OSError, BadElf when it is none."""

    def __init__(self, path: str) -> None:
        self._map = elf.mapped(path)
        try:
            self._segments = elf.parse(self._map).loaded
        except elf.BadElf:
            self._map.close()
            raise
        self._starts = [segment.address for segment in self._segments]

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read. Raises MemoryFault where no segment has the address, CutShort (of elf.py) where the file is
        truncated in front of it."""
        parts = []
        at, end = address, address + size
        while at < end:
            index = bisect.bisect_right(self._starts, at) - 1
            if index < 0:
                raise MemoryFault(at, end - at)
            segment = self._segments[index]
            inside = at - segment.address
            # A segment's pages that were not dumped are the executable's, and Delve's to read.
            if inside >= segment.size:
                raise MemoryFault(at, end - at)
            length = min(segment.size, len(self._map) - segment.offset)
            if inside >= length:
                raise elf.CutShort(at, end - at)
            here = min(end - at, length - inside)
            parts.append(self._map[segment.offset + inside : segment.offset + inside + here])
            at += here
        return b"".join(parts) if len(parts) != 1 else parts[0]

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """gomap.memory.stream: as the file has it, not copied."""
        for address, size in pieces:
            before = bisect.bisect_right(self._starts, address)
            segment = self._segments[before - 1] if before else None
            start = address - segment.address + segment.offset if segment else 0
            if segment and start + size <= min(segment.offset + segment.size, len(self._map)):
                yield address, size, memoryview(self._map)[start : start + size]
            else:
                yield from one_by_one(self, [(address, size)])

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> bytes | None:
        """gomap.memory.joined."""
        parts = []
        start = end = offset = 0
        for address, size in zip(addresses, sizes):
            if not start <= address <= address + size <= end:
                before = bisect.bisect_right(self._starts, address)
                if before and size:
                    segment = self._segments[before - 1]
                    start, end, offset = segment.address, segment.address + segment.size, segment.offset
                    end = min(end, start + len(self._map) - offset)
                if size and not start <= address <= address + size <= end:
                    return None
            at = address - start + offset
            parts.append(self._map[at : at + size] if size else b"")
        return b"".join(parts)

    def close(self) -> None:
        """Unmaps the file once no bytes of it are in use."""
        with suppress(BufferError):  # bytes that are still in use keep the file mapped as long
            self._map.close()


class ProgramMemory:
    """What a program's file has of its memory and the program can't have changed: Linux leaves that out of core files.

    moved: how far the program lies from where it was linked.
    """

    def __init__(self, path: str, moved: int) -> None:
        self._map = elf.mapped(path)
        loaded = [segment for segment in elf.parse(self._map).loaded if not segment.writable]
        self._segments = [(segment.address + moved, segment) for segment in loaded]

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read, from the program's own segments: pages that the core file does not repeat."""
        for start, segment in self._segments:
            at = address - start
            if at >= 0 and at + size <= min(segment.size, len(self._map) - segment.offset):
                return self._map[segment.offset + at : segment.offset + at + size]
        raise MemoryFault(address, size)


class Shortcut:
    """`first` where that can read, `second` everywhere else."""

    def __init__(self, first: Memory, second: Memory) -> None:
        self._first = first
        self._second = second

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read: from the first memory, and from the second what the first does not have."""
        try:
            return self._first.read(address, size)
        except elf.CutShort:
            raise
        except MemoryFault:
            return self._second.read(address, size)

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """As memory.stream, with each piece that the first memory can't read taken from the second."""
        for address, size, data in stream(self._first, pieces):
            if isinstance(data, MemoryFault):
                yield from one_by_one(self._second, [(address, size)])
            else:
                yield address, size, data

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> Buffer | None:
        """As memory.joined, from the first memory alone."""
        return joined(self._first, addresses, sizes)


def check(program: str, core: str) -> list[str]:
    """Warnings: what of this core can't be shown. Raises BadCore, WrongProgram."""
    if not os.path.isfile(program):
        raise BadCore(f"{program}: no such file")
    problem = elf.why_no_core(core)
    if problem is not None:
        raise BadCore(problem)
    missing = sum(end - start for start, end in elf.cut_off(core))
    warnings = [f"{core} is truncated by {missing:,} bytes: what lay there can't be shown"] if missing else []
    moved = _moved(program, core)
    if moved is None or not (_is_the_program(program, core, moved) or _has_the_same_ids(program, core)):
        if moved is None or not _has_the_same_layout(program, core, moved):
            raise WrongProgram(f"{core} comes from another build of the program than {program}")
        what = "other headers" if _ids(program) == _ids(core) else "another build ID"
        warnings.append(
            f"{program} has {what} than the program that dumped {core}; both have the same sections, so "
            "it is taken for a build of the same source"
        )
    return warnings


def go_libraries(core: str) -> list[str]:
    """Plugins and libraries with Go code, where they still are."""
    try:
        with elf.mapped(core) as data:
            files = elf.libraries_in_core(data)
    except (OSError, elf.BadElf):
        return []
    return [path for path in files if os.path.isfile(path) and elf.is_go(path)]


def _moved(program: str, core: str) -> int | None:
    """The distance between the program's linked and loaded addresses; None if it can't be the program that dumped the
    core."""
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
    """Linux dumps the first page of each program, which has the program headers and Go's build ID. Without that page in
    the core file, the programs can't be distinguished."""
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


def _has_the_same_ids(program: str, core: str) -> bool:
    """Whether both have one build ID, as a program that was stripped later has that of the whole one."""
    ids = _ids(program)
    return ids is not None and elf.is_identity(*ids) and ids == _ids(core)


def _ids(path: str) -> tuple[str | None, str | None] | None:
    """The build IDs of a program, or of the program that dumped a core; None where it is damaged."""
    try:
        with elf.mapped(path) as data:
            return elf.build_ids_in_core(data) if elf.parse(data).kind == elf.CORE else elf.build_ids(data)
    except elf.BadElf:
        return None


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
