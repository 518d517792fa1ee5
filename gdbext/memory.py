"""The memory of gdb's inferior."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import gdb

from gdbext.program import core_path
from gomap import elf
from gomap.errors import MemoryFault
from gomap.memory import Buffer, Read, one_by_one
from gomap.process import ProcessMemory, same


class GdbMemory:
    """Memory of the inferior that is selected now."""

    def __init__(self, of_core: bool) -> None:
        self._read = gdb.selected_inferior().read_memory
        self._of_core = of_core

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read: from the process or core file directly where that is possible, else through gdb."""
        if size <= 0:
            return b""
        if address < 0 or address + size > 1 << 64:
            raise MemoryFault(address, size, "no such address")
        return bytes(self._view(address, size))

    def _view(self, address: int, size: int) -> memoryview:
        # For what a core file lacks gdb reads the program's file, where variables have their values of the start.
        if any(start < address + size and address < end for start, end in self._cut_off):
            raise elf.CutShort(address, size)
        try:
            return self._read(address, size)
        except (gdb.error, OverflowError) as error:
            raise MemoryFault(address, size) from error

    @cached_property
    def _cut_off(self) -> list[tuple[int, int]]:
        """What the core file should have and has not."""
        path = core_path() if self._of_core else None
        return elf.cut_off(path) if path is not None else []

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """gomap.memory.stream: past gdb where the process is on this machine, else as gdb has it, not copied."""
        if self._process is None:
            yield from self._views(pieces)
            return
        for address, size, data in self._process.stream(pieces):
            if isinstance(data, MemoryFault):
                yield from one_by_one(self, [(address, size)])
            else:
                yield address, size, data

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> Buffer | None:
        """As memory.joined; None where memory is read through gdb."""
        return None if self._process is None else self._process.joined(addresses, sizes)

    def _views(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        for address, size in pieces:
            try:
                yield address, size, self._view(address, size)
            except MemoryFault as fault:
                yield address, size, fault

    @cached_property
    def _process(self) -> ProcessMemory | None:
        """Memory of the process itself, if this gdb runs it and both read the same of it."""
        inferior = gdb.selected_inferior()
        if inferior.connection is None or inferior.connection.type != "native":
            return None
        try:
            m0 = gdb.parse_and_eval("&'runtime.m0'")  # its thread's id and random numbers: no other process has these
            direct = ProcessMemory(inferior.pid)
        except (OSError, gdb.error):
            return None
        if same(direct, self, int(m0), m0.type.target().sizeof):
            return direct
        direct.close()
        return None
