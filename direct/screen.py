"""gomap top's screen: a table that refreshes, with keys. Needs the package textual."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any, ClassVar

from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.coordinate import Coordinate
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static
from textual.widgets.data_table import ColumnKey

from direct.target import DirectTarget
from direct.top import HEADINGS, Shown, TopSession, View, cells, heading
from gomap import frontend
from gomap.declare import Settings
from gomap.errors import GomapError
from gomap.human import short, visible
from gomap.render.text import Style

#: Columns of the numbers.
WIDTHS = (10, 9, 8, 9)
#: A cell has a column on each side, and the table its scroll bar.
SIDES, BAR = 2, 2


class MapScreen(ModalScreen[None]):
    """One map as hmap-show shows it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "back", key_display="q"),
        Binding("ctrl+c", "app.quit", show=False, priority=True),
    ]
    CSS = "MapScreen { background: $background; } VerticalScroll { height: 1fr; }"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The text, which scrolls, and the keys."""
        with VerticalScroll():
            yield Static(self._text, markup=False)
        yield Footer(show_command_palette=False)


class Maps(DataTable[Text]):
    """The table; its key Enter is listed with the others at the bottom of the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "open", key_display="Enter")]


class TopApp(App[GomapError]):
    """Leaves with what ended it, or with None where the user did."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #heading { height: 2; }
    Maps { height: 1fr; scrollbar-size-horizontal: 0; }
    #filter { display: none; height: 1; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "by('bytes')", "bytes"),
        Binding("e", "by('entries')", "entries"),
        Binding("g", "by('growth')", "growth"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("p,space", "pause", "pause", key_display="p"),
        Binding("n", "names", "names"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, session: TopSession, interval: float, most: int) -> None:
        super().__init__()
        self._session, self._interval, self._most = session, interval, most
        self._paused = False
        self._searches = False
        self._view: View | None = None
        #: Set where something is to be shown before the next sample is due; where the screen is to end.
        self._now, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._samples, name="gomap top", daemon=True)

    def compose(self) -> ComposeResult:
        """Heading, table of maps, filter and keys."""
        yield Static("", id="heading", markup=False)
        yield Maps(cursor_type="row")
        yield Input(placeholder="part of a path or a type; Enter applies it, Esc clears it", id="filter")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Makes the table's columns and starts the thread that takes samples."""
        table = self.query_one(Maps)
        for name, width in zip(HEADINGS, WIDTHS):
            table.add_column(Text(name.rjust(width)), width=width, key=name)
        table.add_column(HEADINGS[-1], width=20, key=HEADINGS[-1])
        table.focus()
        for number in (signal.SIGTERM, signal.SIGHUP):  # the terminal is left as it was
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self._thread.start()

    def on_unmount(self) -> None:
        """Ends the thread that takes samples."""
        self._end.set()
        self._now.set()

    # -- samples, in a thread of their own -----------------------------------------------------------

    def _samples(self) -> None:
        session = self._session
        try:
            while not self._end.is_set():
                self._now.clear()
                if self._searches:
                    self._searches = False
                    session.search()
                if not self._paused:
                    self._call(self._show, session.view(self._most or 1 << 30))
                self._now.wait(self._interval if not self._paused else None)
        except GomapError as error:
            self._call(self.exit, error)
        except Exception as error:  # a fault of gomap must not leave a frozen screen
            self._call(self.exit, frontend.fault(error))

    def _call(self, work: Any, *arguments: Any) -> None:
        if not self._end.is_set() and self.is_running:
            self.call_from_thread(work, *arguments)

    # -- what is shown -------------------------------------------------------------------------------

    def _show(self, view: View) -> None:
        self._view = view
        self._refresh()

    def _refresh(self) -> None:
        view = self._view
        if view is None:
            return
        first, *rest = heading(self._session, view)
        state = "paused; " if self._paused else ""
        room = self.size.width
        self.query_one("#heading", Static).update("\n".join(cut(one, room) for one in (first, state + rest[0])))
        table = self.query_one(Maps)
        width = max(room - sum(WIDTHS) - (len(WIDTHS) + 1) * SIDES - BAR, 10)
        last = table.columns[ColumnKey(HEADINGS[-1])]
        if last.width != width:
            last.width = width
            table.clear()
        while table.row_count > len(view.maps):
            table.remove_row(table.coordinate_to_cell_key(Coordinate(table.row_count - 1, 0)).row_key)
        for index, one in enumerate(view.maps):
            numbers = [Text(cell.rjust(width)) for cell, width in zip(cells(one), WIDTHS)]
            row = [*numbers, Text(label(one, width))]
            if index == table.row_count:
                table.add_row(*row)
                continue
            for column, cell in enumerate(row):
                if table.get_cell_at(Coordinate(index, column)) != cell:
                    table.update_cell_at(Coordinate(index, column), cell)

    def on_resize(self, event: events.Resize) -> None:
        """Draws the table again for the new width."""
        self.call_after_refresh(self._refresh)

    # -- keys ----------------------------------------------------------------------------------------

    def action_by(self, order: str) -> None:
        """Ranks by another order, from the next sample on, which is taken now."""
        self._session.by = order
        self._now.set()

    def action_pause(self) -> None:
        """Stops taking samples, or takes them again."""
        self._paused = not self._paused
        self._refresh()
        self._now.set()

    def action_names(self) -> None:
        """Searches again for the variables that lead to maps."""
        self._searches = True
        self._now.set()

    def action_filter(self) -> None:
        """Shows the field for the filter."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.value = self._session.wanted
        field.focus()

    @on(Input.Submitted)
    def _filtered(self, event: Input.Submitted) -> None:
        self._filter(event.value)

    def on_key(self, event: events.Key) -> None:
        """Esc clears the filter."""
        if event.key == "escape" and self.query_one("#filter", Input).display:
            self._filter("")

    def _filter(self, text: str) -> None:
        self._session.wanted = text.strip()
        self.query_one("#filter", Input).display = False
        self.query_one(Maps).focus()
        self._now.set()

    @on(DataTable.RowSelected)
    def _selected(self, event: DataTable.RowSelected) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Shows hmap-show of the map in the selected row."""
        view, row = self._view, self.query_one(Maps).cursor_row
        if view is None or not 0 <= row < len(view.maps):
            return
        one, target = view.maps[row], DirectTarget(self._session.opened)
        style = Style(max(self.size.width - BAR, 20), False, True)
        outcome = frontend.run("hmap-show", one.expression, lambda: target, Settings(), style)
        self.push_screen(MapScreen(outcome.output or outcome.error or ""))


def label(one: Shown, width: int) -> str:
    """The map's name in so many columns, with its type as far as there is room."""
    name = visible(one.name)
    if len(name) > width and one.path is not None:
        front = (width - 3) // 2
        return name[:front] + "..." + name[len(name) - (width - 3 - front) :]
    return cut(f"{name}  {visible(short(one.type))}" if one.path is not None and one.type else name, width)


def cut(text: str, width: int) -> str:
    """Text of at most `width` columns, with "..." where something is missing."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


def show(session: TopSession, interval: float, most: int) -> GomapError | None:
    """The screen, until the user leaves it; what ended it otherwise."""
    # The terminal's own word is what counts: these do not follow a window that changes its size.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    return TopApp(session, interval, most).run()
