"""Lets the program behind an Api run and stops it for a moment at functions of the runtime: the Tracer of Delve.

The breakpoints are tracepoints to Delve: its other clients do not stop at them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Callable, Protocol

from delve_bridge.breaking import BreakSession, DelveBreaker, number_of, other_machine
from delve_bridge.build import Build
from delve_bridge.rpc import Api, Refused, ended
from gomap.errors import GomapError, NoProcess
from gomap.process import cpu_seconds
from gomap.trace.port import CannotRun, Ending, Hit, NoDebugRegister, Records, Stops
from gomap.trace.uprobes import PERIOD, NoUprobes

#: Names of our breakpoints begin with it.
OURS = "gomap"


class TraceSession(BreakSession, Protocol):
    """What a tracer needs of it besides."""

    exited: bool
    say: Callable[[str], None]
    runs: Callable[[], None]
    stands: Callable[[Mapping[str, Any], str], None]

    def arrived(self, state: Mapping[str, Any]) -> None:
        """Notes that the program has stopped. state: api.DebuggerState."""

    @property
    def build(self) -> Build:
        """The facts about the program's files."""

    @property
    def breaker(self) -> DelveBreaker:
        """What sets breakpoints that stay."""

    @property
    def direct(self) -> bool:
        """Whether the program's memory is read past Delve: the process is on this machine."""


class DelveTracer:
    """Made for one command."""

    breaks = True

    def __init__(self, session: TraceSession) -> None:
        self._session, self._client = session, session.client

    @property
    def breaker(self) -> DelveBreaker:
        """What sets breakpoints that stay."""
        return self._session.breaker

    def process(self) -> int:
        """As Tracer.process."""
        pid = self._session.stopped().get("Pid")
        if not isinstance(pid, int) or not self._session.direct:
            raise NoUprobes("the process is not known to be on this machine")
        return pid

    def breakpoint_at(self, addresses: Sequence[int]) -> int | None:
        """As Tracer.breakpoint_at."""
        known = self._client.call("ListBreakpoints", All=True)["Breakpoints"] or ()
        there = {at for one in known for at in (one.get("addrs") or [one.get("addr")])}
        return next((address for address in addresses if address in there), None)

    def run(
        self,
        stops: Stops,
        hit: Callable[[Hit], bool],
        seconds: float | None,
        quiet: bool = False,
        recorder: Records | None = None,
    ) -> Ending:
        """As Tracer.run, by stops that are set through Delve's API."""
        wrong = other_machine(self._session.build.arch)
        if wrong is not None:
            raise CannotRun(wrong)
        pid = self._session.stopped().get("Pid")
        read = self._session.memory().read
        here = isinstance(pid, int) and self._session.direct
        before = cpu_seconds(pid) if here and isinstance(pid, int) else None
        ours: dict[int, int | None] = {}
        state: Mapping[str, Any] = {}
        kind, ran, began = "stopped", 0.0, False
        try:
            try:
                for address in stops.addresses if recorder is None else ():
                    ours[self._set(address)] = address
                if stops.watched is not None:
                    number, why = self.breaker.watch(stops.watched, 1)
                    if number is None:
                        raise NoDebugRegister(f"Delve sets no watchpoint: {why}")
                    ours[number] = None
                began = True
                self._session.runs()
                state, kind, ran = self._go_on(ours, hit, read, seconds, recorder)
            except BaseException:  # Ctrl-C, too: the program may run still
                if began:
                    with suppress(GomapError):  # the first error is the one that is told
                        state = self._client.standing()
                        self._session.arrived(state)
                raise
            finally:
                try:
                    self._clear(list(ours))
                finally:
                    if began:
                        self._session.stands(state, kind)
        except Refused as error:
            raise ended(error) from error
        after = cpu_seconds(pid) if before is not None and isinstance(pid, int) else None
        cpu = after - before if before is not None and after is not None else None
        if state.get("exited"):
            self._session.exited = True
            self.breaker.forget()
            status = state.get("exitStatus", 0)
            return Ending("exited", f"the program exited with status {status}", ran, cpu)
        self._session.arrived(state)
        return Ending(kind, _place(state, kind, ours), ran, cpu)

    def _set(self, address: int) -> int:
        request = {"addr": address, "addrs": [address], "name": f"{OURS}{address:x}", "continue": True}
        return number_of(self._client.call("CreateBreakpoint", Breakpoint=request))

    def _clear(self, numbers: Sequence[int]) -> None:
        """The program stands still, or is gone."""
        calls = [("ClearBreakpoint", {"Id": number}) for number in numbers]
        for _ in range(3):  # Ctrl-C must not leave one behind
            with suppress(KeyboardInterrupt):
                self._client.calls(calls)
                return

    def _go_on(
        self,
        ours: Mapping[int, int | None],
        hit: Callable[[Hit], bool],
        read: Callable[[int, int], bytes],
        seconds: float | None,
        recorder: Records | None,
    ) -> tuple[Mapping[str, Any], str, float]:
        """(the program's state at the end, why it is the end, seconds for which it ran)."""
        limit, started = _Limit(self._client, seconds), time.monotonic()
        taker = None if recorder is None else _Taker(recorder, hit, limit)
        try:
            state, kind = self._to_the_end(ours, hit, read, limit, taker)
            return state, kind, time.monotonic() - started
        finally:
            limit.cancel()
            if taker is not None:
                taker.end()

    def _to_the_end(
        self,
        ours: Mapping[int, int | None],
        hit: Callable[[Hit], bool],
        read: Callable[[int, int], bytes],
        limit: _Limit,
        taker: _Taker | None,
    ) -> tuple[Mapping[str, Any], str]:
        """(the program's state at the end, why it is the end)."""
        try:
            while True:
                state, cancelled = self._resume(limit)
                if state.get("exited"):
                    return state, "exited"
                enough = users = stops = met = False
                last = 0
                logged = self._logged(state)
                for thread, place in _hits(state):
                    number = int(place["id"])
                    if number in ours:
                        met = True
                        pc = int(thread["pc"])
                        if ours[number] not in (None, pc):
                            continue  # it comes back, as from a signal's handler
                        register = self._session.thread_registers(int(thread["id"]))
                        if not enough and hit(Hit(pc, register, read)):
                            enough = True
                            last = int(thread["id"])
                    elif number <= 0:  # a panic, a fatal error, or runtime.Breakpoint
                        stops = True
                    elif number not in logged and not place.get("continue"):
                        users = True
                    else:
                        met = True
                if users or stops:
                    return state, "breakpoint" if users else "stopped"
                if enough and last != (state.get("currentThread") or {}).get("id"):
                    # Several threads may stand at our breakpoints: the user is to see the one that was asked for.
                    state = self._client.call("Command", name="switchThread", threadID=last)["State"]
                if enough or (cancelled and taker is not None and taker.enough):
                    return state, "count"
                if limit.over:
                    return state, "time"
                if cancelled:
                    return state, "interrupted"
                if not met:
                    return state, "stopped"
        except KeyboardInterrupt:  # between two runs
            return self._client.standing(), "interrupted"

    def _logged(self, state: Mapping[str, Any]) -> set[int]:
        """The hmap-breaks there that are only to print a line, which they have printed now."""
        watchers = self._session.breaks
        logs = {int(place["id"]) for _, place in _hits(state) if int(place["id"]) in watchers}
        logs = {number for number in logs if watchers[number].wanted.log}
        for line in self.breaker.lines(state, logs) if logs else ():
            self._session.say(f"{line}\n")
        return logs

    def _resume(self, limit: _Limit) -> tuple[Mapping[str, Any], bool]:
        try:
            with limit:
                return self._client.resume()
        except Refused as error:
            problem = ended(error)
            if not isinstance(problem, NoProcess):
                raise
            return {"exited": True, "exitStatus": _status(problem)}, False


class _Limit:
    """Ends a run of the program at the time limit: inside of `with` it runs."""

    def __init__(self, client: Api, seconds: float | None) -> None:
        self._client = client
        self._until = None if seconds is None else time.monotonic() + seconds
        self._runs, self._ended = False, threading.Event()
        self.over = False
        if seconds is not None:
            threading.Thread(target=self._wait, args=(seconds,), daemon=True).start()

    def _wait(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            return
        self.over = True
        self.stop()

    def stop(self) -> None:
        """Has the program stopped as soon as it runs."""
        while not self._ended.wait(0.01):
            if self._runs and self._client.busy:
                self._client.cancelled = True
                return

    def __enter__(self) -> None:
        self._runs = True

    def __exit__(self, *_: object) -> None:
        self._runs = False

    def cancel(self) -> None:
        self._ended.set()


class _Taker:
    """A thread that looks at what was recorded while the program runs. enough: it has stopped the program."""

    def __init__(self, recorder: Records, hit: Callable[[Hit], bool], limit: _Limit) -> None:
        self._recorder, self._hit, self._limit = recorder, hit, limit
        self._over = threading.Event()
        self._problem: Exception | None = None
        self.enough = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.wait(PERIOD):
            if self._take():
                self.enough = True
                self._limit.stop()
                return

    def _take(self) -> bool:
        try:
            return self._recorder.take(self._hit)
        except Exception as error:
            self._problem = error
            return True

    def end(self) -> None:
        """Looks at the rest. Raises what stopped it."""
        self._over.set()
        while self._thread.is_alive():  # for a moment
            with suppress(KeyboardInterrupt):
                self._thread.join()
        if self._problem is not None:
            raise self._problem
        if not self.enough:
            self._recorder.rest(self._hit)


def _hits(state: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for thread in state.get("Threads") or ():
        if thread.get("breakPoint"):
            yield thread, thread["breakPoint"]


def _status(problem: NoProcess) -> str:
    words = str(problem).partition("status ")[2].partition(":")[0]
    return words or "?"


def _place(state: Mapping[str, Any], kind: str, ours: Mapping[int, int | None]) -> str:
    thread = state.get("currentThread") or {}
    at = (state.get("currentGoroutine") or {}).get("userCurrentLoc") or thread
    numbers = sorted({int(place["id"]) for _, place in _hits(state) if int(place["id"]) not in ours})
    if kind == "breakpoint":
        at = next((one for one, place in _hits(state) if int(place["id"]) not in ours), thread)
    function = (at.get("function") or {}).get("name") or "?"
    where = f"{function} ({str(at['file']).rpartition('/')[2]}:{at.get('line')})" if at.get("file") else function
    return f"breakpoint {', '.join(map(str, numbers))} at {where}" if kind == "breakpoint" else where
