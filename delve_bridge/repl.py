"""The window to type in: history, completion, Ctrl-C that stops the program and never this one."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable

from delve_bridge import vocabulary
from delve_bridge.console import LEAVE, LOCAL, Console
from delve_bridge.rpc import Client, NoAnswer
from gomap.commands import registry
from gomap.errors import GomapError
from gomap.render.terminal import style, write

PROMPT = "(dlv-hmap) "


class Interrupts:
    """Ctrl-C breaks in between two answers of the server, never within one.

    pressed: how often it was.
    """

    def __init__(self, client: Client) -> None:
        self.pressed = 0
        self._client = client
        self._wanted = True

    def catch(self) -> None:
        signal.signal(signal.SIGINT, self._interrupted)

    def _interrupted(self, number: int, frame: Any) -> None:
        self.pressed += 1
        if self._client.busy:
            self._client.cancelled = True
        elif self._wanted:
            raise KeyboardInterrupt

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """What it breaks. Behind it, one more on the heels of the first breaks nothing."""
        self._wanted = True
        try:
            yield
        finally:
            self._wanted = False


def run(console: Console, interrupts: Interrupts) -> int:
    """Reads lines until exit or end of input."""
    read = _reader(console)
    last = ""
    while True:
        try:
            with interrupts.wanted():
                line = read()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return 0
        interrupts.catch()
        try:
            # An empty line steps again, as in Delve's own client.
            line = line.strip() or (last if last in ("next", "n", "step", "s", "stepout", "so") else "")
            if not line:
                continue
            last = line
            if line in LEAVE:
                return 0
            console.style = style(sys.stdout)  # the window may be of another size by now
            with interrupts.wanted():
                _execute(console, line)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)


def _execute(console: Console, line: str) -> None:
    news, silence = None, None
    try:
        news = console.news() if line.split()[0] not in LOCAL else None
    except NoAnswer as error:
        silence = error
    except GomapError:
        pass  # the command itself will tell
    if news is not None and line != "halt":
        print(news, file=sys.stderr)
    outcome = console.execute(line, silence)
    write(outcome.output)
    if outcome.error is not None:
        print(outcome.error, file=sys.stderr)
    sys.stderr.flush()


def candidates(console: Console, before: str) -> list[str]:
    """What can stand in the place of the last word of `before`."""
    words = before.split()
    last = words[-1] if words and not before[-1:].isspace() else ""
    if len(words) - bool(last) == 0:
        names = (
            [c.name for c in registry.COMMANDS] + [w.name for w in vocabulary.WORDS] + ["help", "exit", "set", "show"]
        )
    elif words[0] in ("help", "h"):
        names = [c.name for c in registry.COMMANDS] + [w.name for w in vocabulary.WORDS]
    elif last.startswith("-"):
        command = registry.find(words[0])
        names = [arg.name for arg in command.all_args if not arg.positional] if command else []
    elif words[0] in ("set", "show"):
        names = ["hmap", "color", "entries", "depth", "debug"]
    else:
        try:
            names = console.session.target().names("." in last)
        except (GomapError, KeyboardInterrupt):
            names = []
    return sorted(name for name in names if name.startswith(last))


def _reader(console: Console) -> Callable[[], str]:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _next_line
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import CompleteEvent, Completer, Completion
        from prompt_toolkit.document import Document
        from prompt_toolkit.history import FileHistory, InMemoryHistory
        from prompt_toolkit.key_binding import KeyBindings
        from prompt_toolkit.keys import Keys
    except ImportError:
        return lambda: input(PROMPT)

    class Names(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            before = document.text_before_cursor
            last = "" if before[-1:].isspace() or not before else before.split()[-1]
            for name in candidates(console, before):
                yield Completion(name, start_position=-len(last))

    class Lines(FileHistory):
        def store_string(self, string: str) -> None:
            """Bytes that are no UTF-8, and what has no room on the disk, are not kept."""
            with suppress(OSError, UnicodeError):
                super().store_string(string)

    keys = KeyBindings()
    # prompt_toolkit takes every colour of a pasted text for a mouse, and fails at it.
    keys.add(Keys.Vt100MouseEvent)(lambda event: None)
    file = history_file()
    session: PromptSession[str] = PromptSession(
        history=Lines(str(file)) if file else InMemoryHistory(),
        completer=Names(),
        complete_while_typing=False,
        key_bindings=keys,
    )
    return lambda: session.prompt(PROMPT)


def _next_line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def history_file() -> Path | None:
    """Where lines are kept between sessions; None where there can't be such a file."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    file = Path(base) / "gomap" / "dlv-hmap-history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError:
        return None
    return file
