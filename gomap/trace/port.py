"""The Tracer port: what a debugger must offer to let the program run and stop it at functions of the runtime, and what
is offered without a debugger to have the kernel record its calls of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable, Protocol

from gomap.errors import GomapError
from gomap.target import Target


class CannotRun(GomapError):
    """A core file, a recorded map, or a process that no debugger controls."""

    code = "cannot-run"


class NoDebugRegister(GomapError):
    """The debugger can't watch the byte by hardware. Not a failure: there is another way."""


@dataclass(frozen=True)
class Pointed:
    """So many bytes of memory, from where a register points."""

    register: str
    size: int


@dataclass(frozen=True)
class Stops:
    """Where the program is stopped for a moment: at the instructions with these addresses, and behind each that
    changes the byte at `watched`. For a program that does not stop there: pointed: the memory to copy at each address;
    only: the register that must have this value there, if any."""

    addresses: Sequence[int] = ()
    watched: int | None = None
    pointed: Mapping[int, Sequence[Pointed]] = field(default_factory=dict)
    only: Mapping[int, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Hit:
    """A thread at one of the instructions, or just after one that changed the byte. address: of the instruction that it
    executes next. register: gives the value of the thread's register with this name, in lower case. read: reads the
    current memory; raises MemoryFault."""

    address: int
    register: Callable[[str], int]
    read: Callable[[int, int], bytes]


@dataclass(frozen=True)
class Ending:
    """Why the program stopped. kind: count, time, interrupted, breakpoint, stopped or exited. place: the debugger's own
    words for it. seconds: for which it ran. cpu: seconds of processor time that it took in these, if known.
    """

    kind: str
    place: str
    seconds: float
    cpu: float | None = None


class Records(Protocol):
    """Hits that something else than the debugger records while the program runs (uprobes.Recorder)."""

    def take(self, hit: Callable[[Hit], bool]) -> bool:
        """Calls `hit` for those that there are, in their order, until that says that it is enough, for a moment at
        most: more may be recorded in that time than are looked at. Whether it did."""
        ...

    def rest(self, hit: Callable[[Hit], bool]) -> None:
        """Ends the recording, and calls `hit` for each that there is still, until that says that it is enough, or
        Ctrl-C."""
        ...


class Tracer(Protocol):
    """Lets a live program run with stops of gomap's own: what a debugger offers to hmap-trace. breaks: whether it can
    stop the program; what can't needs a Recorder."""

    breaks: bool

    def process(self) -> int:
        """The process id, for a Recorder. Raises NoUprobes where the process is on another machine."""
        ...

    def breakpoint_at(self, addresses: Sequence[int]) -> int | None:
        """The first of the addresses that the debugger has a breakpoint at: a Recorder would take its hits."""
        ...

    def run(
        self,
        stops: Stops,
        hit: Callable[[Hit], bool],
        seconds: float | None,
        quiet: bool = False,
        recorder: Records | None = None,
    ) -> Ending:
        """Lets the program run and calls `hit` wherever a thread stops, until that says that it is enough, for so many
        seconds, or until the program stops for another reason. No breakpoint and no watchpoint is left behind,
        whatever ends it. One call of a function may be hit several times: a signal or the growth of a stack makes a
        thread come to the same instruction again. quiet: the debugger itself prints nothing about the stop.
        recorder: what records the calls; then the program does not stop at them, and `hit` is called a moment later.
        Raises NoDebugRegister before the program ran, GomapError; nothing for Ctrl-C."""
        ...


def tracer_of(target: Target, command: str) -> Tracer:
    """Raises CannotRun with the reason where the program can't be let run."""
    found: Tracer | None = getattr(target, "tracer", None)
    if found is not None and target.kind == "live":
        return found
    if target.kind == "live":
        instead = "leave out --pause, or use gdb or Delve" if command == "hmap-trace" else "use gdb or Delve"
        raise CannotRun(f"gomap pid --pause keeps the process stopped, and {command} lets it run: {instead}")
    what = "a core file does not run" if target.kind == "core" else "a recorded map does not run"
    raise CannotRun(f"{what}: {command} takes a live process")
