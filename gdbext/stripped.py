"""A program without debug information in gdb: memory and threads from gdb, all else from the program's own tables."""

from __future__ import annotations

import os
import re

import gdb

from gdbext import kept
from gdbext.memory import GdbMemory
from gdbext.stacks import registers_of, runs_on
from gdbext.target import GdbTarget, checked_inferior, kind_of
from gdbext.tracing import GdbTracer
from gomap.errors import NoDebugInfo
from gomap.stripped.program import Stripped
from gomap.stripped.target import StrippedTarget, opened

_ENTRY = re.compile(r"AT_ENTRY\b.*\b(0x[0-9a-f]+)\s*$", re.M)
#: By process or core, and the program's file as it was then.
_known: dict[tuple[object, ...], Stripped] = {}


def open_target() -> GdbTarget | StrippedTarget:
    """The program that gdb has selected. Raises GomapError."""
    found: GdbTarget | StrippedTarget
    try:
        found = GdbTarget()
    except NoDebugInfo as error:
        found = _stripped(error)
    found.kept = kept.of(gdb.selected_inferior(), found.running)
    return found


def forget() -> None:
    """Drops what was learnt of programs, whose files have changed."""
    _known.clear()


def _stripped(error: NoDebugInfo) -> StrippedTarget:
    inferior, space = checked_inferior(), gdb.current_progspace()
    program = space.filename if space is not None else None
    try:
        stamp = os.stat(str(program))
    except OSError:
        raise error from None
    kind = kind_of(inferior)
    memory = GdbMemory(kind == "core")
    connection = inferior.connection
    key = inferior.pid, connection and connection.num, program, stamp.st_ino, stamp.st_mtime_ns, _entry()
    if key not in _known:
        _known[key] = opened(program, memory, _entry, error)
    running = sum(runs_on(thread) for thread in inferior.threads())
    found = StrippedTarget("gdb", kind, memory, _known[key], _thread, registers_of, running)
    found.tracer = GdbTracer()
    return found


def _thread() -> int | None:
    thread = gdb.selected_thread()
    return None if thread is None else thread.ptid[1] or thread.ptid[0]


def _entry() -> int | None:
    """Where the program started."""
    try:
        found = _ENTRY.search(gdb.execute("info auxv", to_string=True))
    except gdb.error:
        return None
    return int(found.group(1), 16) if found is not None else None
