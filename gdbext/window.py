"""The window hmap of gdb's TUI: one map's overview, refreshed at each stop, with the changes marked.

`set hmap window m` chooses the map, and `layout hmap` shows the window.
"""

from __future__ import annotations

import textwrap
from typing import Any

import gdb

from gdbext import commands

#: The window shows hmap-show with the arguments that this setting has.
SETTING = "hmap window"
#: The window above the source and the command line. `tui new-layout` makes others.
_LAYOUT = "tui new-layout hmap hmap 1 src 1 status 0 cmd 1"
#: In front of each line: whether it has changed since the previous stop.
_SAME, _CHANGED = "  ", "* "
_UNSET = "set hmap window EXPR chooses the map that is shown here"


class MapWindow:
    """A window as gdb's TUI API defines it (Implementing TUI windows in Python, gdb's manual). tui: gdb's window
    object."""

    def __init__(self, tui: gdb.TuiWindow) -> None:
        self._tui = tui
        self._shown: tuple[str, int, object] | None = None
        self._lines: list[str] = []
        self._answer: list[str] = []
        self._before: frozenset[str] | None = None
        self._first = 0
        self._stale = True
        tui.title = "hmap"
        gdb.events.stop.connect(self._on_stop)
        gdb.events.exited.connect(self._on_exit)
        gdb.events.memory_changed.connect(self._on_change)
        gdb.events.before_prompt.connect(self._on_prompt)

    def close(self) -> None:
        """Called when gdb closes the window."""
        gdb.events.stop.disconnect(self._on_stop)
        gdb.events.exited.disconnect(self._on_exit)
        gdb.events.memory_changed.disconnect(self._on_change)
        gdb.events.before_prompt.disconnect(self._on_prompt)

    def render(self) -> None:
        """Called when the window is created or resized."""
        self._look()
        self._draw()

    def vscroll(self, lines: int) -> None:
        """Scrolls by this many lines, down if positive."""
        most = max(len(self._lines) - self._tui.height, 0)
        self._first = min(max(self._first + lines, 0), most)
        self._draw()

    def hscroll(self, columns: int) -> None:
        """Does nothing: lines are made for the window's width."""

    def click(self, x: int, y: int, button: int) -> None:
        """Does nothing: there is nothing to click on."""

    def _on_stop(self, _event: Any) -> None:
        self._before = frozenset(self._answer) if self._answer else None
        self._stale = True

    def _on_change(self, _event: Any) -> None:
        self._stale = True

    def _on_exit(self, _event: Any) -> None:
        """No prompt need follow: gdb may hear of the end while it waits for a command."""
        self._stale = True
        gdb.post_event(self._on_prompt)

    def _on_prompt(self, *_event: Any) -> None:
        """Refreshes at the prompt and not at the stop, so that stops that a breakpoint's commands resume at once
        cost nothing."""
        if self._tui.is_valid() and self._look():
            self._draw()

    def _look(self) -> bool:
        """Runs hmap-show if something may have changed. Returns whether it ran."""
        wanted = str(gdb.parameter(SETTING) or "").strip(), self._tui.width, _place()
        if not self._stale and wanted == self._shown:
            return False
        if self._shown is not None and wanted[0] != self._shown[0]:
            self._before, self._first, self._answer = None, 0, []
        if self._shown is not None and wanted[1] != self._shown[1]:
            self._before = None  # lines of another width
        self._shown = wanted
        self._stale = False
        self._lines = self._asked(wanted[0], max(_room(wanted[1]), 20)) if wanted[0] else [_UNSET]
        self._tui.title = f"hmap-show {wanted[0]}" if wanted[0] else "hmap"
        return True

    def _asked(self, argument: str, width: int) -> list[str]:
        """hmap-show's answer or, if it fails (for example in a function without the variable), the error and the
        last answer."""
        try:
            lines, error = commands.overview(argument, width)
        except gdb.error as failed:  # the process is just ending
            self._stale = True
            lines, error = [], str(failed)
        if error is None:
            self._answer = lines
            return lines
        last = ["", "Last shown:", "", *self._answer] if self._answer else []
        self._before = None  # nothing is known to have changed
        return [*textwrap.wrap(error, width), *last]

    def _draw(self) -> None:
        if not self._tui.is_valid():
            return
        self._first = min(self._first, max(len(self._lines) - self._tui.height, 0))
        lines = self._lines[self._first :][: self._tui.height]
        room = _room(self._tui.width)
        marked = [(_CHANGED if self._changed(line) else _SAME) + line[:room] for line in lines]
        self._tui.write("\n".join(marked), True)

    def _changed(self, line: str) -> bool:
        return self._before is not None and bool(line.strip()) and line not in self._before


def _room(width: int) -> int:
    """Columns for a line's text. After text in the last column the cursor is on the next line, and the line's end would
    leave that empty."""
    return width - len(_SAME) - 1


def _place() -> object:
    """The identity of the selected frame."""
    thread = gdb.selected_thread()
    try:
        frame = gdb.selected_frame()
        return None if thread is None else (thread.ptid, frame.level(), frame.pc())
    except gdb.error:  # no process, one that runs, or one that is just ending
        return None


def register() -> None:
    """Registers the window and its layout with gdb."""
    if not hasattr(gdb, "register_window_type"):  # a gdb that was built without the TUI
        return
    gdb.register_window_type("hmap", MapWindow)
    try:
        gdb.execute(_LAYOUT, to_string=True)
    except gdb.error:
        return  # the user has a layout of this name
