"""gdb's side of the commands: registered from the registry, with help, completion and parameters."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable

import gdb

from gomap import __version__
from gomap.commands import registry
from gomap.declare import Command, Settings
from gomap.wrap import is_dumb, wrapped

if TYPE_CHECKING:
    from gomap.frontend import Outcome
    from gomap.progress import ProgressLine
    from gomap.render.text import Style

# gdb starts with this file: what only a running command needs is imported when one runs.

PREFIX_HELP = """See inside Go maps: entries, memory, growth, sharing, races.

{overview}

Each command has its own help: `help hmap-show`. `show hmap` shows the settings.
`hmap show m` is the same as hmap-show m. `hmap aliases` defines {short}.
Functions for gdb's expressions: $hmap_len(m), $hmap_load(m), $hmap_get(m, key).
This is gomap {version}."""


class _Overview(gdb.Command):
    def __init__(self) -> None:
        width = _columns()
        text = PREFIX_HELP.format(
            overview=registry.overview(width), short=", ".join(registry.SHORT), version=__version__
        )
        self.__doc__ = "\n".join(part for line in text.split("\n") for part in wrapped(line, width, 2))
        self._aliases: set[str] = set()
        super().__init__("hmap", gdb.COMMAND_DATA, gdb.COMPLETE_NONE)

    def invoke(self, argument: str, from_tty: bool) -> None:
        name, _, rest = argument.strip().partition(" ")
        if not name:
            gdb.execute("help hmap")
        elif name == "aliases":
            self._define_aliases()
        elif registry.find(f"hmap-{name}") is not None:
            gdb.execute(f"hmap-{name} {rest}", from_tty)
        else:
            from gomap.frontend import unknown

            raise _error(f"hmap: {unknown(name)}")

    def _define_aliases(self) -> None:
        """Raises gdb.GdbError where the user has other commands of these names: they stay."""
        taken = []
        for short, long in registry.SHORT.items():
            if short not in self._aliases:
                try:
                    gdb.execute(f"alias {short} = {long}", to_string=True)
                    self._aliases.add(short)
                except gdb.error:
                    taken.append(short)
        if taken:
            raise _error(f"hmap: not redefined, because gdb already has a command of this name: {', '.join(taken)}")
        gdb.write(registry.aliases() + "\n")


class _GdbCommand(gdb.Command):
    """One command of the registry."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self.__doc__ = command.help(_columns())
        super().__init__(command.name, gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        self.dont_repeat()
        look = style()  # asked here: the screen has no width while gdb captures output
        outcome = _quietly(lambda: self._run(argument, look))
        if outcome.output:
            write(outcome.output)
        if outcome.error is not None:
            raise _error(outcome.error)

    def _run(self, argument: str, look: Style) -> Outcome:
        from gdbext.stripped import open_target
        from gomap import frontend

        debug = bool(gdb.parameter("hmap debug"))
        return frontend.run(self._command.name, argument, open_target, settings(), look, debug, _progress(look.width))

    def _takes_file(self, words: int) -> bool:
        """Whether a file's name comes after so many words. An expression in front of it may have several."""
        names = [arg.name for arg in self._command.args if arg.positional]
        if names[:1] == ["EXPR"]:
            return "FILE" in names and words > 0
        return words < len(names) and names[words] in ("FILE", "A", "B")

    def complete(self, text: str, word: str | None) -> list[str] | int:
        last = text.split()[-1] if text and not text[-1].isspace() else ""
        if not last.startswith("-") and self._takes_file(len(text.split()) - bool(last)):
            return gdb.COMPLETE_FILENAME
        if word is None:  # gdb asks first which characters break words
            return []
        from gomap import completion

        words = text.split()[: -1 if last else None]
        found = completion.of_options(self._command, words, last)
        if found is None:
            from gdbext.target import completed_names

            found = completed_names(self._command, words, last)
        # gdb breaks words at dashes, dots and quotes: what it has of the word already must be left off.
        return [name[len(last) - len(word) :] for name in found]


def overview(argument: str, width: int) -> tuple[list[str], str | None]:
    """The lines of hmap-show with this argument, without colour; or none and the error."""
    from gdbext.stripped import open_target
    from gomap import frontend

    look = replace(style(), width=width, color=False)
    outcome = _quietly(lambda: frontend.run("hmap-show", argument, open_target, settings(), look))
    return outcome.output.splitlines(), outcome.error


def _columns() -> int:
    """Columns that help texts may have: gdb keeps what a command's is when it is made."""
    width = gdb.parameter("width")
    return width if isinstance(width, int) and 20 <= width <= 400 else 80


def _error(text: str) -> gdb.GdbError:
    """The error as gdb prints it: in whole words on a terminal, on one line where another program or gdb.execute gets
    it."""
    from gomap.wrap import for_terminal

    return gdb.GdbError(text if _captured() else for_terminal(text))


def _progress(width: int) -> ProgressLine | None:
    """A line on the terminal, past gdb, which keeps what commands print until they end. Not under a script, a pipe
    or the TUI, whose screen it would spoil."""
    from gomap.progress import ProgressLine

    if not os.isatty(1) or is_dumb() or "not active" not in _tui():
        return None
    return ProgressLine(lambda text: _to_terminal(text.encode()), width)


def _to_terminal(data: bytes) -> None:
    os.write(1, data)


def _tui() -> str:
    try:
        return gdb.execute("info win", to_string=True)
    except gdb.error:  # a gdb built without it
        return "not active"


_work: Callable[[], Outcome] | None = None
_done: Outcome | None = None


def _quietly(work: Callable[[], Outcome]) -> Outcome:
    """Does the work and discards everything that gdb itself prints during it.

    When gdb reads symbols for the first time, it may print warnings (about a file's charset, about a missing file),
    which a script that expects JSON would get first.
    """
    global _work, _done
    _work, _done = work, None
    gdb.execute("python import gdbext.commands; gdbext.commands.perform()", to_string=True)
    outcome, _work, _done = _done, None, None
    assert outcome is not None
    return outcome


def perform() -> None:
    """The other half of _quietly: gdb only captures what commands print."""
    global _done
    assert _work is not None
    _done = _work()


def write(text: str) -> None:
    """Through gdb's own stream, also where its host charset lacks our characters."""
    try:
        gdb.write(text)
    except UnicodeError:
        gdb.write(text.encode("ascii", "backslashreplace").decode("ascii"))


def settings() -> Settings:
    """What `set hmap entries` and `set hmap depth` say."""
    return Settings(entries=_number("hmap entries"), depth=_number("hmap depth"))


def _number(name: str) -> int:
    value = gdb.parameter(name)
    return value if isinstance(value, int) and value >= 0 else 0


def style() -> Style:
    """Width and colour as gdb's own settings and the terminal have them."""
    from gomap.render.text import Style

    width = gdb.parameter("width")
    terminal = os.isatty(1) and not is_dumb() and not _captured()
    wanted = gdb.parameter("hmap color")
    if wanted == "auto":
        color = terminal and not os.environ.get("NO_COLOR") and bool(gdb.parameter("style enabled"))
    else:
        color = wanted == "on"
    charset = str(gdb.parameter("host-charset")).upper()
    if charset == "AUTO":
        charset = gdb.host_charset().upper() if hasattr(gdb, "host_charset") else _locale_charset()
    blocks = (terminal or color) and charset in ("UTF-8", "UTF8")
    return Style(width if isinstance(width, int) and 20 <= width <= 400 else 80, color, blocks, terminal)


#: gdb's width and height when it last waited for the user.
_screen: tuple[Any, Any] = (None, None)


def _look_at_screen(*_event: Any) -> None:
    global _screen
    _screen = (gdb.parameter("width"), gdb.parameter("height"))


def _captured() -> bool:
    """Whether output goes into a string (gdb.execute) or to another program (pipe): gdb then has no screen size."""
    return gdb.parameter("width") is None and gdb.parameter("height") is None and _screen != (None, None)


def _locale_charset() -> str:
    import locale

    return locale.getpreferredencoding(False).upper()


# -- parameters --------------------------------------------------------------------------------------


class _Parameter(gdb.Parameter):
    def __init__(self, name: str, doc: str, kind: int, default: Any, words: list[str] | None = None) -> None:
        self.set_doc = f"Set {doc}"
        self.show_doc = f"Show {doc}"
        self._name = name
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
        return f"{self._name} is {svalue or 'not set'} ({self.show_doc[5:].rstrip('.')})"


_SETTINGS = ("color", "entries", "depth", "printer", "window", "debug")


class _SettingsPrefix(gdb.Command):
    def __init__(self, verb: str) -> None:
        self.__doc__ = f"{verb.capitalize()} how gomap's hmap commands look and how far they look."
        super().__init__(f"{verb} hmap", gdb.COMMAND_DATA, prefix=True)
        self._verb = verb

    def invoke(self, argument: str, from_tty: bool) -> None:
        if self._verb == "set":
            raise gdb.GdbError(f"set hmap: name a setting: {', '.join(_SETTINGS)}")
        for name in _SETTINGS:
            gdb.execute(f"show hmap {name}")


def _parameters() -> None:
    _SettingsPrefix("set")
    _SettingsPrefix("show")
    _Parameter("hmap color", "color of hmap output: auto, on or off.", gdb.PARAM_ENUM, "auto", ["auto", "on", "off"])
    _Parameter("hmap entries", "how many entries hmap-show lists by default.", gdb.PARAM_ZUINTEGER, 8)
    _Parameter("hmap depth", "how deep values are printed and hmap-alias searches.", gdb.PARAM_ZUINTEGER, 6)
    _Parameter(
        "hmap printer",
        "whether gomap prints Go maps in print, info locals and finish.",
        gdb.PARAM_BOOLEAN,
        True,
    )
    _Parameter("hmap window", "what `layout hmap` shows: the arguments of hmap-show.", gdb.PARAM_STRING, "")
    _Parameter(
        "hmap debug", "whether an internal error of gomap is shown with its traceback.", gdb.PARAM_BOOLEAN, False
    )


def _files_changed(_event: Any) -> None:
    target = sys.modules.get("gdbext.target")
    if target is not None:
        target.GdbTarget.forget()
    stripped = sys.modules.get("gdbext.stripped")
    if stripped is not None:
        stripped.forget()


def register() -> None:
    """Makes the commands, parameters, functions and the printer known to gdb. Sourcing twice does no harm."""
    from gdbext import functions, printer, window

    first = not getattr(gdb, "_gomap_loaded", False)
    if first:  # a second time would undo the user's settings
        _parameters()
    _Overview()
    for command in registry.COMMANDS:
        _GdbCommand(command)
    functions.register()
    printer.register()
    _look_at_screen()
    if first:
        gdb._gomap_loaded = True  # type: ignore[attr-defined]
        for event in (gdb.events.new_objfile, gdb.events.clear_objfiles):
            event.connect(_files_changed)
        gdb.events.before_prompt.connect(_look_at_screen)
        window.register()
