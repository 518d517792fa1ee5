"""gdb's side of the commands: registered from the registry, with help, completion and parameters."""

from __future__ import annotations

import os
from typing import Any

import gdb

from gdbext.target import GdbTarget, visible_names
from gomap import frontend
from gomap.commands import registry
from gomap.commands.declare import Command, Settings
from gomap.render.text import Style

PREFIX_HELP = """See inside Go maps: structure, sharing, growth.

{overview}

Each command has its own help, as in `help hmap-show`. Settings: `show hmap`.
In conditions and expressions: $hmap_len(m), $hmap_load(m), $hmap_get(m, key)."""


class _Prefix(gdb.Command):
    def __init__(self) -> None:
        self.__doc__ = PREFIX_HELP.format(overview=registry.overview())
        super().__init__("hmap", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, prefix=True)

    def invoke(self, argument: str, from_tty: bool) -> None:
        gdb.execute("help hmap")


class _Command(gdb.Command):
    """One command of the registry."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self.__doc__ = command.help()
        super().__init__(command.name, gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        self.dont_repeat()
        outcome = frontend.run(
            self._command.name, argument, GdbTarget, settings(), style(), bool(gdb.parameter("hmap debug"))
        )
        if outcome.output:
            write(outcome.output)
        if outcome.error is not None:
            raise gdb.GdbError(outcome.error)

    def complete(self, text: str, word: str) -> list[str] | int:
        last = text.split()[-1] if text and not text[-1].isspace() else ""
        if last.startswith("-"):
            # gdb breaks words at dashes: what it has of the word already must be left off.
            options = [arg.name for arg in self._command.all_args if arg.name.startswith(last)]
            return [option[len(last) - len(word) :] for option in options]
        if any(arg.name == "FILE" for arg in self._command.args) and len(text.split()) > (1 if last else 0):
            return gdb.COMPLETE_FILENAME
        names = (name for name in visible_names(last) if name.startswith(last))
        return [name[len(last) - len(word) :] for name in names]


def write(text: str) -> None:
    """Through gdb's own stream, also where its host charset lacks our characters."""
    try:
        gdb.write(text)
    except UnicodeError:
        gdb.write(text.encode("ascii", "backslashreplace").decode("ascii"))


def settings() -> Settings:
    return Settings(entries=_number("hmap entries"), depth=_number("hmap depth"))


def _number(name: str) -> int:
    value = gdb.parameter(name)
    return value if isinstance(value, int) and value >= 0 else 0


def style() -> Style:
    """Width and colour as gdb's own settings and the terminal have them."""
    width = gdb.parameter("width")
    terminal = os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"
    wanted = gdb.parameter("hmap color")
    if wanted == "auto":
        color = terminal and not os.environ.get("NO_COLOR") and bool(gdb.parameter("style enabled"))
    else:
        color = wanted == "on"
    charset = str(gdb.parameter("host-charset")).upper()
    if charset == "AUTO":
        charset = gdb.host_charset().upper() if hasattr(gdb, "host_charset") else _locale_charset()
    blocks = (terminal or color) and charset in ("UTF-8", "UTF8")
    return Style(width if isinstance(width, int) and 20 <= width <= 400 else 80, color, blocks)


def _locale_charset() -> str:
    import locale

    return locale.getpreferredencoding(False).upper()


# -- parameters --------------------------------------------------------------------------------------


class _Parameter(gdb.Parameter):
    def __init__(self, name: str, doc: str, kind: int, default: Any, words: list[str] | None = None) -> None:
        self.set_doc = f"Set {doc}"
        self.show_doc = f"Show {doc}"
        self._default = default
        if words:
            super().__init__(name, gdb.COMMAND_DATA, kind, words)
        else:
            super().__init__(name, gdb.COMMAND_DATA, kind)
        self.value = default

    def get_set_string(self) -> str:
        if isinstance(self.value, int) and not isinstance(self.value, bool) and self.value < 0:
            self.value = self._default
        return ""

    def get_show_string(self, svalue: str) -> str:
        return f"{self.show_doc[5:].splitlines()[0].rstrip('.')} is {svalue}."


class _SettingsPrefix(gdb.Command):
    def __init__(self, verb: str) -> None:
        self.__doc__ = f"{verb.capitalize()} how gomap's hmap commands look and how far they look."
        super().__init__(f"{verb} hmap", gdb.COMMAND_DATA, prefix=True)
        self._verb = verb

    def invoke(self, argument: str, from_tty: bool) -> None:
        if self._verb == "set":
            raise gdb.GdbError("set hmap: name a setting: color, entries, depth, printer or debug")
        for name in ("color", "entries", "depth", "printer", "debug"):
            gdb.execute(f"show hmap {name}")


def _parameters() -> None:
    _SettingsPrefix("set")
    _SettingsPrefix("show")
    _Parameter(
        "hmap color", "colour of hmap output: auto, on or off.", gdb.PARAM_ENUM, "auto", ["auto", "on", "off"]
    )
    _Parameter("hmap entries", "how many entries hmap-show lists when not told.", gdb.PARAM_ZUINTEGER, 0)
    _Parameter("hmap depth", "how deep values are printed and hmap-alias searches.", gdb.PARAM_ZUINTEGER, 6)
    _Parameter(
        "hmap printer",
        "whether gomap prints Go maps in print, info locals and finish.",
        gdb.PARAM_BOOLEAN,
        True,
    )
    _Parameter(
        "hmap debug", "whether a fault of gomap itself is shown with its traceback.", gdb.PARAM_BOOLEAN, False
    )


def _files_changed(_event: Any) -> None:
    GdbTarget.forget()


def register() -> None:
    """Makes the commands, parameters, functions and the printer known to gdb. Sourcing twice does no harm."""
    from gdbext import functions, printer

    _parameters()
    _Prefix()
    for command in registry.COMMANDS:
        _Command(command)
    functions.register()
    printer.register()
    if not getattr(gdb, "_gomap_loaded", False):
        gdb._gomap_loaded = True  # type: ignore[attr-defined]
        for event in (gdb.events.new_objfile, gdb.events.clear_objfiles):
            event.connect(_files_changed)
