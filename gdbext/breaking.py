"""Breakpoints and watchpoints for what is done to a map: the Breaker of gdb.

They are ordinary ones to gdb and its user. Each has the condition $hmap_event(N), which asks gomap, so that conditions
of the user's own can be joined with it; the line that says what has happened is printed when gdb reports the stop.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import gdb

from gdbext.hits import bytes_at, hit_at
from gomap.answers.breaks import line_of
from gomap.errors import GomapError, TargetRunning
from gomap.trace.breaker import SetBreak
from gomap.trace.events import Event, Watcher, Word

FUNCTION = "hmap_event"
_WATCHED = (gdb.BP_HARDWARE_WATCHPOINT, gdb.BP_READ_WATCHPOINT, gdb.BP_ACCESS_WATCHPOINT)
_HARDWARE = getattr(gdb, "BP_HARDWARE_BREAKPOINT", None)  # from gdb 11 on
#: Bytes that one debug register watches.
_REGISTER = 8


class _Break(gdb.Breakpoint):
    """One breakpoint or watchpoint of an hmap-break. word: what is watched."""

    word: Word | None = None


class _Group:
    """An hmap-break. place: where each of its breakpoints stands, by number."""

    def __init__(self, watcher: Watcher, pid: int) -> None:
        self.watcher, self.pid = watcher, pid
        self.breaks: list[_Break] = []
        self.places: dict[int, int] = {}
        self.event: Event | None = None

    @property
    def alive(self) -> list[_Break]:
        return [one for one in self.breaks if one.is_valid()]

    @property
    def number(self) -> int:
        return min(one.number for one in self.breaks if one.is_valid())

    def happened(self, number: int) -> bool:
        """Whether what is wanted has happened where gdb has come to the breakpoint of this number."""
        self.event = None
        place = self.places.get(number)
        watcher, hit = self.watcher, hit_at(place)
        self.event = watcher.at_word(hit) if place is None else watcher.at_place(hit)
        if self.event is not None and watcher.wanted.log and self.event.what != "gone":
            _say(line_of(self.number, watcher.wanted, self.event))
            return False
        return self.event is not None


class _Function(gdb.Function):
    """Whether what the hmap-break with this number waits for has happened: the condition of its breakpoints."""

    def __init__(self) -> None:
        super().__init__(FUNCTION)

    def invoke(self, number: gdb.Value) -> bool:  # type: ignore[override]
        wanted = int(number)
        for group in _groups:
            if any(one.number == wanted for one in group.alive):
                try:
                    return group.happened(wanted)
                except GomapError as error:
                    _say(f"hmap-break {group.number}: {error}")
                    return True
        raise gdb.GdbError(f"no hmap-break has breakpoint {wanted}")


_groups: list[_Group] = []
_connected = False


class GdbBreaker:
    """Made for one command."""

    registers = 4

    def set(self, watcher: Watcher) -> tuple[SetBreak, str | None]:
        """As Breaker.set. Raises TargetRunning in non-stop mode."""
        if gdb.parameter("non-stop"):
            raise TargetRunning("in non-stop mode maps can't be watched: set non-stop off, and start the program again")
        _connect()
        group = _Group(watcher, gdb.selected_inferior().pid)
        _groups.append(group)
        why = watcher.unwatched
        try:
            word = watcher.word
            if word is not None:
                why = self._watch(group, word)
            if word is None or why is not None:
                self._break(group)
        except BaseException:  # Ctrl-C too: no part of it is left
            self._remove(group)
            raise
        return _held(group), why

    def _watch(self, group: _Group, word: Word) -> str | None:
        """Why it can't be watched; None where it is now."""
        if not gdb.parameter("can-use-hw-watchpoints"):
            return "gdb may use no debug registers (set can-use-hw-watchpoints 1)"
        if _taken(word) >= self.registers:
            return f"all {self.registers} debug registers are in use"
        made = _Break(bytes_at(word.address, word.size, word.name), gdb.BP_WATCHPOINT, gdb.WP_WRITE)
        made.word = word
        self._add(group, made, None)
        if made.type == gdb.BP_HARDWARE_WATCHPOINT:
            return None
        made.delete()  # gdb would single-step the program
        group.breaks.clear()
        return "gdb has no debug register for it"

    def _break(self, group: _Group) -> None:
        for place in group.watcher.places:
            self._add(group, _Break(f"*{place:#x}"), place)

    def _add(self, group: _Group, made: _Break, place: int | None) -> None:
        group.breaks.append(made)
        if place is not None:
            group.places[made.number] = place
        made.condition = f"${FUNCTION}({made.number})"

    def all(self) -> list[SetBreak]:
        """As Breaker.all."""
        _groups[:] = [group for group in _groups if group.alive]
        return sorted((_held(group) for group in _groups), key=lambda held: held.number)

    def delete(self, held: SetBreak) -> None:
        """As Breaker.delete."""
        for group in _groups:
            if group.alive and group.number == held.number:
                self._remove(group)
                return

    def _remove(self, group: _Group) -> None:
        for one in group.alive:
            one.delete()
        _groups.remove(group)

    def last(self) -> tuple[int, Event] | None:
        """As Breaker.last."""
        return _last


def _held(group: _Group) -> SetBreak:
    alive = group.alive
    by = "breakpoints" if group.places else "watchpoint"
    numbers = tuple(one.number for one in alive)
    return SetBreak(group.number, numbers, group.watcher, by, any(one.enabled for one in alive), group.watcher.events)


#: What the program is stopped at.
_last: tuple[int, Event] | None = None


def _connect() -> None:
    """Once, when the first is set."""
    global _connected
    if _connected:
        return
    _Function()
    gdb.events.breakpoint_modified.connect(_modified)
    gdb.events.stop.connect(_stopped)
    gdb.events.cont.connect(_continued)
    gdb.events.exited.connect(_ended)
    gdb.events.clear_objfiles.connect(_replaced)
    _connected = True


def _stopped(event: Any) -> None:
    global _last
    for one in getattr(event, "breakpoints", ()):
        group = next((group for group in _groups if one in group.breaks), None)
        if group is not None and group.event is not None:
            _last = group.number, group.event
            _say(line_of(group.number, group.watcher.wanted, group.event))
            if group.event.what == "gone":
                GdbBreaker()._remove(group)


def _continued(_event: Any) -> None:
    global _last
    _last = None  # the groups keep their events: gdb resumes other threads between a condition and the stop


def _modified(one: Any) -> None:
    """Of a hit too. The map changes unseen while it is disabled."""
    for group in _groups:
        if one in group.breaks and not one.enabled:
            group.watcher.lose()


def _ended(event: Any) -> None:
    """Addresses of a process that has ended mean nothing in the next one."""
    global _last
    _last = None
    pid = getattr(getattr(event, "inferior", None), "pid", 0)
    _drop([group for group in _groups if not pid or group.pid == pid])


def _replaced(_event: Any) -> None:
    """The program's file is another one, as after an exec."""
    _drop(list(_groups))


def _drop(groups: list[_Group]) -> None:
    numbers = []
    for group in groups:
        if group.alive:
            numbers.append(str(group.number))
        GdbBreaker()._remove(group)
    if numbers:
        _say(f"hmap-break {', '.join(numbers)}: removed, since the process with the map has ended")


def _taken(word: Word) -> int:
    """Debug registers that are in use. gdb watches the same bytes for several with one register."""
    ours: set[tuple[int, int]] = set()
    count = 0
    for one in gdb.breakpoints():
        if isinstance(one, _Break) and one.type == gdb.BP_HARDWARE_WATCHPOINT:
            if one.word is not None and one.enabled:
                ours.add((one.word.address, one.word.size))
        elif one.type in _WATCHED and one.enabled:
            count += _registers_of(one)
        elif _HARDWARE is not None and one.type == _HARDWARE and one.enabled:
            count += 1
    ours.discard((word.address, word.size))
    return count + len(ours)


def _registers_of(one: gdb.Breakpoint) -> int:
    size = _REGISTER
    with suppress(gdb.error, TypeError):
        size = gdb.parse_and_eval(str(one.expression)).type.sizeof
    return max(-(-size // _REGISTER), 1)


def _say(text: str) -> None:
    from gdbext.commands import write

    write(text + "\n")
    gdb.flush()
