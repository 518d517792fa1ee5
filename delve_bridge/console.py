"""A line of input -> its answer: gomap's commands, their settings, and Delve's own vocabulary."""

from __future__ import annotations

import sys
import textwrap
import traceback
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from delve_bridge import vocabulary
from delve_bridge.rpc import ConnectionLost, NoAnswer, NotDelve
from delve_bridge.session import Session
from delve_bridge.target import DelveTarget
from gomap import frontend
from gomap.commands import registry
from gomap.commands.declare import Settings
from gomap.errors import GomapError, Interrupted, NoProcess, TargetRunning, UsageError
from gomap.frontend import Outcome
from gomap.human import one_line, visible, visible_lines
from gomap.render.color import Paint
from gomap.render.terminal import progress
from gomap.render.text import Style

LEAVE = ("exit", "quit", "q")
#: What is answered without the server.
LOCAL = ("help", "h", "?", "set", "show")
SETTINGS = ("color", "entries", "depth", "debug")
SETTINGS_USAGE = f"set hmap {'|'.join(SETTINGS)} VALUE; show hmap"

#: Of all other problems what was read may be the reason, and that may be of two moments.
NOT_OF_WHAT_WAS_READ = (UsageError, Interrupted, NoProcess, TargetRunning, ConnectionLost, NoAnswer, NotDelve)


@dataclass
class Console:
    """style: how answers are drawn. `color` overrides it: auto, on or off."""

    session: Session
    style: Style
    settings: Settings = field(default_factory=Settings)
    color: str = "auto"
    debug: bool = False

    def execute(self, line: str, problem: GomapError | None = None) -> Outcome:
        """Runs one line. problem: why the program can't be asked, where that is known. Never raises."""
        name, _, rest = line.strip().partition(" ")
        if registry.find(name) is not None:
            return self._hmap(name, rest, problem)
        try:
            if problem is not None:
                raise problem
            return Outcome(self._paint(visible_lines(self._other(name, rest.strip()))))
        except GomapError as error:
            return Outcome(error=one_line(f"{name}: {error}"))
        except KeyboardInterrupt:
            return Outcome(error=f"{name}: {Interrupted('interrupted')}")
        except Exception as error:
            where = traceback.format_exc() if self.debug else ""
            return Outcome(where, one_line(f"{name}: {frontend.fault(error)}"))

    def news(self) -> str | None:
        """What another client has done to the program since the last command."""
        try:
            state = self.session.state()
            if not state.get("Running"):
                if not self.session.moved(state):
                    return None
                did = "started the program again" if self.session.restarted(state) else "moved the program"
                self.session.arrived(state)
                return visible(f"another client has {did}: " + vocabulary.where(self.session, state).strip())
        except NoProcess:
            return None
        except TargetRunning:  # it was resumed while this was asked
            pass
        return "another client has resumed the program: it is running"

    def _hmap(self, name: str, rest: str, problem: GomapError | None) -> Outcome:
        def target() -> DelveTarget:
            if problem is not None:
                raise problem
            return self.session.target()

        style = self._style()
        outcome = frontend.run(name, rest, target, self.settings, style, self.debug, progress(sys.stdout, style.width))
        if not self.session.alone and outcome.problem not in NOT_OF_WHAT_WAS_READ:
            try:
                state = self.session.state()
                # (Of one that runs Delve does not tell which process it is.)
                if not state.get("Running") and self.session.restarted(state):
                    # What it has read is of two processes: that a map is corrupt, say, would not be true.
                    again = "another client has started the program again meanwhile: ask once more"
                    return self._hmap(name, rest, NoProcess(again))
                if state.get("Running") or self.session.moved(state):
                    said = "another client has resumed the program meanwhile"
                    if outcome.error is not None:
                        return replace(outcome, error=f"{outcome.error} ({said}: ask once more)")
                    return Outcome(outcome.output, f"{name}: {said}: the answer may mix two moments")
            except GomapError as error:
                return Outcome(outcome.output, one_line(f"{name}: {error}"))
            except KeyboardInterrupt:
                pass  # the answer is there
        return outcome

    def _other(self, name: str, rest: str) -> str:
        if name in ("help", "h", "?"):
            return _help(rest, self._style().width)
        if name == "set":
            return self._set(rest)
        if name == "show":
            return self._show(rest)
        answer = vocabulary.run(self.session, f"{name} {rest}")
        if answer is None:
            known = [command.name for command in registry.COMMANDS] + [word.name for word in vocabulary.WORDS]
            near = get_close_matches(name, known, 1)
            raise UsageError(f"there is no such command ({f'did you mean {near[0]}? ' if near else ''}help lists all)")
        return answer

    def _set(self, rest: str) -> str:
        words = rest.split()
        if len(words) != 3 or words[0] != "hmap" or words[1] not in SETTINGS:
            raise UsageError(f"set hmap {'|'.join(SETTINGS)} VALUE")
        name, value = words[1:]
        if name in ("entries", "depth"):
            if not value.isdecimal():
                raise UsageError(f"{name} takes a number")
            self.settings = self.settings._replace(**{name: int(value)})
        elif name == "debug":
            if value not in ("on", "off"):
                raise UsageError("debug is on or off")
            self.debug = value == "on"
        else:
            if value not in ("auto", "on", "off"):
                raise UsageError("color is auto, on or off")
            self.color = value
        return ""

    def _show(self, rest: str) -> str:
        words = rest.split()
        if words[:1] != ["hmap"] or not set(words[1:]) <= set(SETTINGS):
            raise UsageError(f"show hmap [{'|'.join(SETTINGS)}]")
        values = {
            "color": self.color,
            "entries": self.settings.entries,
            "depth": self.settings.depth,
            "debug": "on" if self.debug else "off",
        }
        return "".join(f"{name:8}{values[name]}\n" for name in words[1:] or SETTINGS)

    def _style(self) -> Style:
        if self.color == "auto":
            return self.style
        return replace(self.style, color=self.color == "on")

    def _paint(self, text: str) -> str:
        return Paint(self._style().color).code(text)


def _help(rest: str, columns: int) -> str:
    command = registry.find(rest)
    if command is not None:
        return command.help() + "\n"
    word = vocabulary.find(rest)
    if word is not None:
        also = f" (or {word.short})" if word.short else ""
        return f"{word.name} {word.usage}".strip() + f"{also}: {word.summary}\n"
    if rest in LEAVE:
        return f"{' or '.join(LEAVE)}: leave; a program that was attached to runs on\n"
    if rest in ("set", "show"):
        return f"{SETTINGS_USAGE}\n"
    if rest:
        raise UsageError(f"there is no command {rest}")
    width = max(len(f"{word.name} {word.usage}") for word in vocabulary.WORDS)
    indent = "".ljust(2 + max(len(command.name) for command in registry.COMMANDS) + 2)
    overview = registry.overview().splitlines()
    lines = ["gomap", *(textwrap.fill(f"  {line}", columns, subsequent_indent=indent) for line in overview)]
    lines += ["", "Delve"]
    lines += [f"  {f'{word.name} {word.usage}':{width}}  {word.summary}" for word in vocabulary.WORDS]
    lines += ["", f"{SETTINGS_USAGE}; help COMMAND; exit"]
    return "\n".join(lines) + "\n"
