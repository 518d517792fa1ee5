"""Breakpoints and watchpoints for what is done to a map: the Breaker of Delve.

Delve evaluates conditions by itself, so what is waited for is a condition (gomap/trace/conditions.py), and other
clients of the server stop there too.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from typing import Any, Callable, Protocol

from delve_bridge.rpc import Api, Refused, ended
from delve_bridge.transport import Through
from gomap import human
from gomap.answers.breaks import line_of
from gomap.errors import GomapError
from gomap.memory import Memory
from gomap.target import Arch
from gomap.trace.breaker import SetBreak
from gomap.trace.conditions import Conditions
from gomap.trace.events import Event, Watcher
from gomap.trace.port import Hit

#: Names of our breakpoints begin with it: Delve takes letters and digits.
OURS = "hmap"
WRITE = 2  # api.WatchWrite
#: What Delve's own prompt runs where it stops, from Delve 1.26 on.
COMMAND = "hmap-break --last"
EXHAUSTED, EXISTS = "hardware breakpoints exhausted", "Breakpoint exists at"
#: What the kernel says of an address that is not aligned as the last one that this debug register watched: Delve tells
#: it the address before the size. Once the register has watched a byte, any address will do.
STALE = "invalid argument"
#: Why there is no second watchpoint.
TAKEN = "Delve has a watchpoint there already"


class BreakSession(Protocol):
    """What a breaker needs of the session with the server (delve_bridge/session.py says what each means)."""

    client: Api
    breaks: dict[int, Watcher]
    edited: bool

    def stopped(self) -> Mapping[str, Any]:
        """The state of the program (api.DebuggerState). Raises TargetRunning while it runs."""

    def memory(self) -> Memory:
        """The program's memory at this stop."""

    def thread_registers(self, thread: int) -> Callable[[str], int]:
        """The registers of a thread, by their names in lower case."""


class DelveBreaker:
    """Made for one command."""

    registers = 4

    def __init__(self, session: BreakSession) -> None:
        self._session, self._client = session, session.client

    def set(self, watcher: Watcher) -> tuple[SetBreak, str | None]:
        """As Breaker.set. Raises GomapError where Delve can't evaluate the condition."""
        self._session.stopped()
        wrong = other_machine(watcher.target.arch)
        if wrong is not None:
            raise GomapError(wrong)
        word, why, number = watcher.word, watcher.unwatched, None
        try:
            if word is not None:
                number, why = self.watch(word.address, word.size)
                if why == TAKEN:
                    raise GomapError(
                        f"Delve has one watchpoint for each word, and one is on {word.name} of this map already: "
                        "remove that first (hmap-break lists them)"
                    )
            if number is None:
                if watcher.wanted.event not in ("write", "clear", "growth"):
                    instead = "use --on write" if word is None else "remove a watchpoint, or use --on write"
                    raise GomapError(
                        f"{why}, and at a breakpoint Delve can't tell whether the map has the key: {instead}"
                    )
                number = self._break(watcher)
            try:
                conditions = Conditions(watcher)
                condition = conditions.at_places() if word is None or why is not None else conditions.at_word()
                self._amend(number, watcher, condition)
            except BaseException:  # Ctrl-C too: no breakpoint is left without its condition
                self._clear(number)
                raise
        except Refused as error:
            raise ended(error) from error
        self._session.breaks[number] = watcher
        return next(held for held in self.all() if held.number == number), why

    def watch(self, address: int, size: int) -> tuple[int | None, str | None]:
        """(the watchpoint's number, why there is none). Raises Refused where the process has ended."""
        for again in (True, False):
            try:
                return self._watchpoint(address, size), None
            except Refused as error:
                if not isinstance(ended(error), Refused):
                    raise
                if EXHAUSTED in str(error):
                    return None, f"all {self.registers} debug registers are in use"
                if EXISTS in str(error):
                    return None, TAKEN
                if not again or STALE not in str(error):
                    return None, f"Delve refuses a watchpoint ({error})"
                self._clear(self._watchpoint((address & ~7) + 16, 1))
        raise AssertionError("the second try returns")

    def _watchpoint(self, address: int, size: int) -> int:
        expression = f"*(*uint{8 * size})({address:#x})"
        scope = {"GoroutineID": -1, "Frame": 0}
        return number_of(self._client.call("CreateWatchpoint", Scope=scope, Expr=expression, Type=WRITE))

    def _break(self, watcher: Watcher) -> int:
        """Delve has one breakpoint at an address, and the user may have some of these."""
        while True:
            places = watcher.places
            request = {"addr": places[0], "addrs": places, "name": "", "continue": self._goes_on(watcher)}
            try:
                made = _made(self._client.call("CreateBreakpoint", Breakpoint=request))
                if set(made.get("addrs") or ()) == set(places):
                    return int(made["id"])
                self._clear(int(made["id"]))  # it leaves out those that are taken
            except Refused as error:
                if EXISTS not in str(error):
                    raise
            if not watcher.move():
                raise GomapError(
                    f"Delve has one breakpoint at an address: remove one of those in {', '.join(watcher.functions)}"
                )

    def _goes_on(self, watcher: Watcher) -> bool:
        """Whether Delve goes on by itself. In an editor it would say nothing: there the adapter lets it go on."""
        return watcher.wanted.log and not self._session.edited

    def _amend(self, number: int, watcher: Watcher, condition: str) -> None:
        wanted = watcher.wanted
        what = wanted.event if wanted.limit is None else f"len{wanted.limit}"
        request = {
            "id": number,
            "name": f"{OURS}{number}{what}{''.join(c for c in wanted.expr if c.isalnum())}",
            "Cond": condition,
            "continue": self._goes_on(watcher),
            "goroutine": True,
        }
        if isinstance(self._client, Through) and not wanted.log:
            newer = {**request, "goroutine": False, "customCommands": [COMMAND]}
            with suppress(Refused):  # an older Delve
                self._client.call("AmendBreakpoint", Breakpoint=newer)
                return
        self._client.call("AmendBreakpoint", Breakpoint=request)

    def all(self) -> list[SetBreak]:
        """As Breaker.all: those of other sessions too, by their names."""
        found = []
        for one in self._listed():
            number, name = int(one["id"]), str(one.get("name") or "")
            watcher = self._session.breaks.get(number)
            if watcher is not None or (name.startswith(f"{OURS}{number}")):
                by = "watchpoint" if one.get("WatchExpr") else "breakpoints"
                events = int(one.get("totalHitCount") or 0)
                found.append(SetBreak(number, (number,), watcher, by, not one.get("disabled"), events, name))
        known = {held.number for held in found}
        for number in [number for number in self._session.breaks if number not in known]:
            del self._session.breaks[number]  # the user has removed it
        return sorted(found, key=lambda held: held.number)

    def _listed(self) -> Iterator[Mapping[str, Any]]:
        yield from self._client.call("ListBreakpoints", All=False).get("Breakpoints") or ()

    def delete(self, held: SetBreak) -> None:
        """As Breaker.delete."""
        try:
            self._clear(held.number)
        except Refused as error:
            raise ended(error) from error

    def _clear(self, number: int) -> None:
        self._client.call("ClearBreakpoint", Id=number)
        self._session.breaks.pop(number, None)

    def forget(self) -> None:
        """Removes all that this session has set, whose map's process has ended. Of one that was killed Delve clears
        them once it has noticed that: their conditions are false in any other process."""
        for number in sorted(self._session.breaks):
            with suppress(Refused):
                self._clear(number)

    def last(self) -> tuple[int, Event] | None:
        """As Breaker.last."""
        return next(self.events(self._session.stopped()), None)

    def events(self, state: Mapping[str, Any], follows: bool = False) -> Iterator[tuple[int, Event]]:
        """What the threads have done that are stopped at one, the selected thread first. follows: whether this is asked
        once at each stop. Raises GomapError for a stop that can't be read."""
        selected = (state.get("currentThread") or {}).get("id")
        threads = sorted(state.get("Threads") or (), key=lambda thread: thread.get("id") != selected)
        for thread in threads:
            number = int((thread.get("breakPoint") or {}).get("id", 0))
            watcher = self._session.breaks.get(number)
            if watcher is None:
                continue
            register = self._session.thread_registers(int(thread["id"]))
            hit = Hit(int(thread["pc"]), register, self._session.memory().read)
            watches = bool(thread["breakPoint"].get("WatchExpr")) or hit.address not in watcher.places
            watcher.lose()  # Delve stops only where the condition holds
            event = watcher.at_word(hit) if watches else watcher.at_place(hit, follows)
            if event is not None:
                yield number, event

    def only_logs(self, state: Mapping[str, Any]) -> bool:
        """Whether the program has stopped at nothing but these, and each of them is to let it go on."""
        hit = [int(thread["breakPoint"]["id"]) for thread in state.get("Threads") or () if thread.get("breakPoint")]
        watchers = [self._session.breaks.get(number) for number in hit]
        return bool(hit) and all(one is not None and one.wanted.log for one in watchers)

    def lines(self, state: Mapping[str, Any], of: Container[int] | None = None) -> list[str]:
        """The line about each of these. of: their numbers; None for all."""
        try:
            events = list(self.events(state, follows=True))
        except GomapError as error:
            return [human.one_line(f"hmap-break: this stop can't be read: {error}")]
        wanted = {number: watcher.wanted for number, watcher in self._session.breaks.items()}
        return [line_of(number, wanted[number], event) for number, event in events if of is None or number in of]


def other_machine(arch: Arch) -> str | None:
    """Why Delve stops at no function of the runtime there; None on amd64."""
    return None if arch.name == "amd64" else f"with Delve gomap knows amd64's registers, not those of {arch.name}"


def number_of(answer: Mapping[str, Any]) -> int:
    """Of the breakpoint that was made."""
    return int(_made(answer)["id"])


def _made(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """A dlv's own script calls it breakPoint, and its JSON has a watchpoint's fields in the answer itself."""
    made: Mapping[str, Any] = answer.get("Breakpoint") or answer.get("breakPoint") or answer
    return made
