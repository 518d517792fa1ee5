"""A program as a trace sees it while it runs, without asking a debugger for anything."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

from gomap.errors import GomapError, MemoryFault
from gomap.golang.runtime.abitype import MAP_DESCRIPTORS
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.memory import CachedMemory, HeldMemory
from gomap.process import ProcessMemory
from gomap.target import Target
from gomap.trace.uprobes import NoUprobes

#: The runtime's types that a trace of growths reads. All of the first group is needed, with what fields lead to.
_WHOLE = ("internal/runtime/maps.Map", "internal/runtime/maps.table", "runtime.hmap", *MAP_DESCRIPTORS)
_TYPES = (
    *_WHOLE, "runtime.moduledata", "runtime._func", "runtime.functab", "runtime.inlinedCall", "runtime.g", "runtime.m",
    "runtime.mspan",
)  # fmt: skip
_MODULE = "runtime.firstmoduledata"
#: Fields of runtime.moduledata: the tables of functions.
_SLICES = ("funcnametab", "cutab", "filetab", "pctab", "pclntable", "ftab")
_LARGEST = 1 << 28
#: How far a type is followed.
_DEEP = 4


class RunningTarget:
    """The target with the memory of its process as it is now. The tables of functions and types are read at once, so
    that what has been recorded can be looked at when the process is gone; types are asked for here. Raises OSError,
    GomapError."""

    def __init__(self, inner: Target, pid: int) -> None:
        self._inner = inner
        word = inner.arch.pointer_size
        held = HeldMemory(CachedMemory(ProcessMemory(pid)))
        self.memory = held
        self._types = {name: inner.find_type(name) for name in _TYPES}
        self._symbols = {_MODULE: inner.symbol(_MODULE)}
        for name in _WHOLE:
            _force(self._types[name], _DEEP)
        wanted: list[tuple[int, int]] = []
        for module in DescribedTypes(cast(Target, self)).modules():
            held.hold(module.address, module.data)
            wanted += [(module["types"], module["etypes"]), (module.get("gofunc"), module.get("gofunc") + 1)]
            for name in _SLICES:
                found = module.type.field(name)
                if found is not None:
                    start, length = (inner.arch.pointer(module.data, found.offset + i * word) for i in (0, 1))
                    wanted.append((start, start + length))
        for low, high in _mapped(pid, wanted):
            with suppress(MemoryFault):
                held.hold(low, held.read(low, high - low))

    def find_type(self, name: str) -> GoType | None:
        """As Target.find_type."""
        if name not in self._types:
            self._types[name] = self._inner.find_type(name)
        return self._types[name]

    def symbol(self, name: str) -> int | None:
        """As Target.symbol."""
        if name not in self._symbols:
            self._symbols[name] = self._inner.symbol(name)
        return self._symbols[name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def running(target: Target, pid: int) -> Target:
    """The target as a RunningTarget. Raises NoUprobes, GomapError."""
    try:
        return cast(Target, RunningTarget(target, pid))
    except OSError as error:
        raise NoUprobes(f"process {pid} can't be read: {error.strerror}") from error


def _force(t: GoType | None, deep: int) -> None:
    """Makes the parts of a type, which are made when they are first asked for."""
    if t is None or not deep:
        return
    if t.kind in (Kind.POINTER, Kind.ARRAY):
        with suppress(GomapError):
            _force(t.elem, deep - 1)
    for one in t.fields:
        _force(one.type, deep - 1)


def _mapped(pid: int, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of memory that have something of these ranges, none of them too large to be a program's. Raises
    OSError."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            low, high = (int(part, 16) for part in line.split(None, 1)[0].split("-"))
            if high - low <= _LARGEST and any(start < high and low < end for start, end in ranges):
                found.append((low, high))
    return found
