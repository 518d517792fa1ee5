"""The line that shows the progress of long work on a terminal, and disappears before the answer."""

from __future__ import annotations

import time
from typing import Callable, Optional

#: Called during long work: (what is counted, how many are done, of how many, if known).
Progress = Callable[[str, int, Optional[int]], None]
#: Seconds before the first line, and between two.
PATIENCE, INTERVAL = 0.5, 0.2


def silent(what: str, done: int, of: int | None) -> None:
    """Progress that is not shown."""


class ProgressLine:
    """write: puts text on the terminal at once. width: its columns."""

    def __init__(self, write: Callable[[str], None], width: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._width = max(width - 1, 10)
        self._clock = clock
        self._start = clock()
        self._next = self._start + PATIENCE
        self._phase = ("", self._start)
        self._shown = 0

    def __call__(self, what: str, done: int, of: int | None) -> None:
        """As Progress: shows how far the work is, from PATIENCE seconds on."""
        now = self._clock()
        if what != self._phase[0]:
            self._phase = (what, now)
        if now < self._next:
            return
        self._next = now + INTERVAL
        taken = now - self._phase[1]
        rate = f" ({done / taken:,.0f}/s)" if taken > 0 else ""
        text = f"{what}: {done:,}{f' of {of:,}' if of else ''}{rate}, Ctrl-C stops"[: self._width]
        self._write("\r" + text.ljust(self._shown))
        self._shown = len(text)

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown:
            self._write("\r" + " " * self._shown + "\r")
            self._shown = 0
