"""Lets the inferior run and stops it for a moment at functions of the runtime: the Tracer of gdb.

The breakpoints are internal ones: they have no number in `info breakpoints` and take none from the user's.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import gdb

from gdbext.hits import bytes_at, hit_at
from gomap.errors import GomapError, TargetRunning
from gomap.process import cpu_seconds
from gomap.trace.port import Ending, Hit, NoDebugRegister, Records, Stops
from gomap.trace.uprobes import PERIOD, NoUprobes

if TYPE_CHECKING:
    from gdbext.breaking import GdbBreaker

#: Seconds between requests to stop a program that has not stopped yet.
AGAIN = 0.5
#: What gdb says when the processor has no debug register left: of a watchpoint that it could not insert it prints more.
_NOT_INSERTED = ("Command aborted", "insert hardware")
#: Seconds to wait for a process that gdb could not resume to show as exited. Other errors are reported that much later.
EXITS = 1.0


class _At(gdb.Breakpoint):
    """At one address. gdb asks `stop` while all threads stand still."""

    def __init__(self, address: int, run: _Run) -> None:
        super().__init__(f"*{address:#x}", internal=True)
        self.silent = True
        self._address, self._run = address, run

    def stop(self) -> bool:
        return self._run.hit(self._address)


class _Changed(gdb.Breakpoint):
    """A byte that changes. gdb compares it with what it was, and asks `stop` behind the instruction that wrote it."""

    def __init__(self, address: int, run: _Run) -> None:
        super().__init__(bytes_at(address, 1, "writing"), gdb.BP_WATCHPOINT, gdb.WP_WRITE, internal=True)
        self.silent = True
        self._run = run

    def stop(self) -> bool:
        return self._run.hit(None)


class _Run:
    """One run of the program, from a resume to the next stop."""

    def __init__(self, hit: Callable[[Hit], bool], recorder: Records | None) -> None:
        self._hit, self._recorder = hit, recorder
        self.problem: BaseException | None = None
        self.hits = 0
        #: lost: the program exited while gdb resumed it: from then on gdb 13 asks dead threads for their registers.
        self.enough = self.pressed = self.asked = self.over = self.lost = False
        self.event: Any = None
        self.exited: Any = None
        self.started = time.monotonic()
        self.seconds = 0.0

    def hit(self, address: int | None) -> bool:
        """As hit_at has it."""
        if self.enough:
            return True
        self.hits += 1
        self.enough = True
        try:
            self.enough = self._hit(hit_at(address))
        except KeyboardInterrupt:
            self.pressed = True
        except BaseException as error:  # gdb would print it and go on
            self.problem = error
        return self.enough

    def taking(self) -> None:
        """Looks at what was recorded: carried out by gdb's own thread while the program runs."""
        if self.over or self.enough or self._recorder is None:
            return
        try:
            self.enough = self._recorder.take(self._hit)
        except KeyboardInterrupt:
            self.enough = self.pressed = True
        except BaseException as error:  # gdb would print it and go on
            self.enough, self.problem = True, error
        if self.enough:
            self._interrupt()

    def rest(self) -> None:
        """Looks at the rest of it, once the program is stopped."""
        if self._recorder is not None and (self.pressed or not self.enough):
            self._recorder.rest(self._hit)

    def interrupt(self) -> None:
        """Carried out by gdb's own thread while the program runs."""
        if not self.over and not self.enough:
            self.asked = True
            self._interrupt()

    def _interrupt(self) -> None:
        with suppress(gdb.error):
            gdb.execute("interrupt", to_string=True)

    def stopped(self, event: Any) -> None:
        self.event = event

    def ended(self, event: Any) -> None:
        self.exited = event


class GdbTracer:
    """Made for one command."""

    breaks = True

    @property
    def breaker(self) -> GdbBreaker:
        """What sets breakpoints that stay."""
        from gdbext.breaking import GdbBreaker

        return GdbBreaker()

    def process(self) -> int:
        """As Tracer.process."""
        inferior = gdb.selected_inferior()
        if inferior.connection is None or inferior.connection.type != "native":
            raise NoUprobes("gdb reaches the process through a server, perhaps on another machine")
        return int(inferior.pid)

    def breakpoint_at(self, addresses: Sequence[int]) -> int | None:
        """As Tracer.breakpoint_at."""
        told = gdb.execute("info breakpoints", to_string=True)
        there = {int(word, 16) for word in re.findall(r"0x[0-9a-f]+", told)}
        return next((address for address in addresses if address in there), None)

    def run(
        self,
        stops: Stops,
        hit: Callable[[Hit], bool],
        seconds: float | None,
        quiet: bool = False,
        recorder: Records | None = None,
    ) -> Ending:
        """As Tracer.run. Raises TargetRunning in non-stop mode."""
        if gdb.parameter("non-stop"):
            raise TargetRunning("in non-stop mode the program can't be traced: set non-stop off, and start it again")
        pid = gdb.selected_inferior().pid
        connection = gdb.selected_inferior().connection
        here = connection is not None and connection.type == "native"
        before = cpu_seconds(pid) if here else None
        run = _Run(hit, recorder)
        places: list[gdb.Breakpoint] = []
        timers = [_Timer(seconds, AGAIN, run.interrupt)]
        if recorder is not None:
            timers.append(_Timer(PERIOD, PERIOD, run.taking))
        gdb.events.stop.connect(run.stopped)
        gdb.events.exited.connect(run.ended)
        try:
            for address in stops.addresses if recorder is None else ():
                places.append(_At(address, run))
            if stops.watched is not None:
                places.append(_Changed(stops.watched, run))
                if places[-1].type != gdb.BP_HARDWARE_WATCHPOINT:
                    raise NoDebugRegister("gdb uses no hardware watchpoints here (show can-use-hw-watchpoints)")
            run.started = time.monotonic()
            for timer in timers:
                timer.start()
            with _silence(quiet):
                gdb.execute("continue", to_string=True)
        except gdb.error as error:
            if stops.watched is not None and not run.hits and any(word in str(error) for word in _NOT_INSERTED):
                raise NoDebugRegister("gdb has no debug register left for a watchpoint") from error
            if not (here and _has_exited(pid)):
                raise GomapError(f"the program can't be let run: {error}") from error
            run.lost = True
            with suppress(gdb.error):
                gdb.execute("kill", to_string=True)  # what is dead already, so that gdb knows it
        except KeyboardInterrupt:
            _stop()
            run.event = None
        finally:
            try:
                run.over = True
                run.seconds = time.monotonic() - run.started
                for timer in timers:
                    timer.cancel()
                gdb.events.stop.disconnect(run.stopped)
                gdb.events.exited.disconnect(run.ended)
            finally:
                _remove(places)
        if run.problem is not None:
            raise run.problem
        run.rest()
        after = cpu_seconds(pid) if before is not None else None
        cpu = after - before if before is not None and after is not None else None
        return Ending(*_ending(run), run.seconds, cpu)


@contextmanager
def _silence(wanted: bool) -> Iterator[None]:
    """What gdb prints about a stop goes past gdb.execute's capture. An editor needs it (--interpreter=mi)."""
    words = Path("/proc/self/cmdline").read_bytes().split(b"\0") if wanted else []
    if not wanted or any(
        word.startswith((b"-i=", b"--interpreter", b"-interpreter")) or word == b"-i" for word in words
    ):
        yield
        return
    gdb.flush()
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    try:
        yield
    finally:
        gdb.flush()
        os.dup2(kept, 1)
        os.close(kept)


class _Timer:
    """Has gdb's own thread do something after so many seconds, and again after each `again` until it is cancelled."""

    def __init__(self, seconds: float | None, again: float, work: Callable[[], None]) -> None:
        self._seconds, self._again, self._work = seconds, again, work
        self._over, self._done = threading.Event(), threading.Event()

    def start(self) -> None:
        if self._seconds is not None:
            threading.Thread(target=self._wait, args=(self._seconds,), daemon=True).start()

    def _wait(self, seconds: float) -> None:
        self._done.set()
        while not self._over.wait(seconds):
            if self._done.is_set():  # gdb has no long queue of it
                self._done.clear()
                gdb.post_event(self._carry_out)
            seconds = self._again

    def _carry_out(self) -> None:
        try:
            if not self._over.is_set():
                self._work()
        finally:
            self._done.set()

    def cancel(self) -> None:
        self._over.set()


def _remove(places: Sequence[gdb.Breakpoint]) -> None:
    for _ in range(3):  # Ctrl-C must not leave one behind
        with suppress(KeyboardInterrupt):
            for place in places:
                if place.is_valid():
                    place.delete()
            return


def _stop() -> None:
    """The program still runs where Ctrl-C came to gdb itself."""
    thread = gdb.selected_thread()
    if thread is not None and thread.is_running():
        with suppress(gdb.error):
            gdb.execute("interrupt", to_string=True)


def _has_exited(pid: int) -> bool:
    """Whether the process has exited, or does within EXITS seconds: gdb fails to resume a dying thread before the
    kernel shows that the process is dead."""
    end = time.monotonic() + EXITS
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(EXITS / 100)
    return False


def _ending(run: _Run) -> tuple[str, str]:
    """The kind of an Ending, and its place."""
    if run.lost:
        return "exited", "the program exited"
    if run.exited is not None:
        code = getattr(run.exited, "exit_code", None)
        return "exited", "the program was killed" if code is None else f"the program exited with status {code}"
    if run.enough:
        return "interrupted" if run.pressed else "count", _place()
    event = run.event
    if run.asked and getattr(event, "stop_signal", None) in ("SIGINT", "0"):
        return "time", _place()
    if event is None or getattr(event, "stop_signal", None) == "SIGINT":
        return "interrupted", _place()
    hit = [one.number for one in getattr(event, "breakpoints", ()) if one.is_valid() and one.number > 0]
    if hit or hasattr(event, "breakpoints"):
        number = f"breakpoint {', '.join(map(str, hit))}" if hit else "a breakpoint"
        return "breakpoint", f"{number} at {_place()}"
    signal = getattr(event, "stop_signal", None)
    return "stopped", f"{signal} at {_place()}" if signal is not None else _place()


def _place() -> str:
    try:
        frame = gdb.newest_frame()
        sal = frame.find_sal()
    except gdb.error:
        return "?"
    function = frame.name() or f"{frame.pc():#x}"
    return f"{function} ({sal.symtab.filename.rpartition('/')[2]}:{sal.line})" if sal.symtab else function
