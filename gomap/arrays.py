"""numpy, where this Python has it. Nothing needs it: whatever uses it has a way without, which says the same."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType

#: Bytes to count from which on numpy is worth the time its import takes, if they are counted more than once.
WORTH = 32 << 20


@lru_cache(maxsize=1)
def numpy() -> ModuleType | None:
    """numpy, if this Python has it. Imported on first use: it takes longer than most commands."""
    try:
        with no_signals():
            import numpy
    except Exception:  # a broken installation must not take the commands down
        return None
    return numpy


def numpy_if_loaded() -> ModuleType | None:
    """numpy if something has asked for it already."""
    return numpy() if "numpy" in sys.modules else None


def expect(size: int) -> None:
    """So many bytes are going to be counted: loads numpy if they are many."""
    if size >= WORTH:
        numpy()


@contextmanager
def no_signals() -> Iterator[None]:
    """Threads started inside this block get no signals: signals belong to the debugger, which waits for them in its own
    thread."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
