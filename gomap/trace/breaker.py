"""The Breaker port: what a debugger must offer to stop where something is done to a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gomap.target import Target
from gomap.trace.events import Event, Watcher
from gomap.trace.port import CannotRun, tracer_of


@dataclass(frozen=True)
class SetBreak:
    """An hmap-break. number: the debugger's own number of it, the first of several. numbers: all of them. watcher: what
    it is about; None where another session has set it. by: watchpoint or breakpoints. enabled: whether the debugger
    stops there."""

    number: int
    numbers: tuple[int, ...]
    watcher: Watcher | None
    by: str
    enabled: bool
    events: int
    name: str = ""


class Breaker(Protocol):
    """Sets breakpoints and watchpoints that are the debugger's own, and stay until somebody removes them."""

    #: How many debug registers hold watchpoints.
    registers: int

    def set(self, watcher: Watcher) -> tuple[SetBreak, str | None]:
        """(what has been set, why it is not a watchpoint where that would have been better). Raises GomapError."""
        ...

    def all(self) -> list[SetBreak]:
        """Those that there are, by their numbers."""
        ...

    def delete(self, held: SetBreak) -> None:
        """Removes it."""
        ...

    def last(self) -> tuple[int, Event] | None:
        """(number, what has happened) where the program is stopped at one."""
        ...


def breaker_of(target: Target, command: str) -> Breaker:
    """Raises CannotRun with the reason where the program can't be stopped."""
    found: Breaker | None = getattr(tracer_of(target, command), "breaker", None)
    if found is None:
        raise CannotRun(f"{command} takes a live process in gdb or Delve: without a debugger it can't be stopped")
    return found
