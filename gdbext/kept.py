"""What commands leave for those that follow, until the program moves or something writes to it."""

from __future__ import annotations

from typing import Any

import gdb

from gomap.target import Kept

#: Of one inferior, as long as nothing of it changes: gdb may have several, but the graph of a heap is large.
_kept: tuple[tuple[object, ...], Kept] | None = None
_connected = False
#: What may change memory or registers: the program runs on or ends, a user sets a variable, calls a function.
_EVENTS = (
    "cont",
    "exited",
    "memory_changed",
    "register_changed",
    "inferior_call",
    "clear_objfiles",
    "inferior_deleted",
)


def of(inferior: gdb.Inferior, running: int) -> Kept | None:
    """What is kept for the inferior. running: how many of its threads are running."""
    global _kept, _connected
    if not _connected:
        for name in _EVENTS:
            getattr(gdb.events, name).connect(forget)
        _connected = True
    connection = inferior.connection
    if running or connection is None:
        return None
    key = inferior.num, inferior.pid, connection.num
    if _kept is None or _kept[0] != key:
        _kept = key, Kept()
    return _kept[1]


def forget(_event: Any = None) -> None:
    """Drops it."""
    global _kept
    _kept = None
