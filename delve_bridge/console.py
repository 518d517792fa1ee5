"""A line of input -> its answer: gomap's commands, their settings, and what moves the program in one-shot use."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from delve_bridge import moves
from delve_bridge.rpc import ConnectionLost, NoAnswer, NotDelve
from delve_bridge.session import Session
from delve_bridge.target import DelveTarget
from gomap import frontend
from gomap.commands import registry
from gomap.declare import Settings
from gomap.errors import GomapError, Interrupted, NoProcess, TargetRunning, UsageError
from gomap.frontend import Outcome
from gomap.human import one_line, visible_lines
from gomap.render.color import Paint
from gomap.render.terminal import progress
from gomap.render.text import Style
from gomap.stripped.target import StrippedTarget

SETTINGS = {"color": ("auto", "on", "off"), "entries": (), "depth": (), "debug": ("on", "off")}

#: Of all other problems what was read may be the reason, and that may be of two moments.
NOT_OF_WHAT_WAS_READ = (UsageError, Interrupted, NoProcess, TargetRunning, ConnectionLost, NoAnswer, NotDelve)


@dataclass
class Console:
    """style: how answers are drawn. `color` overrides it: auto, on or off. shows_progress: on standard output."""

    session: Session
    style: Style
    settings: Settings = field(default_factory=Settings)
    color: str = "auto"
    debug: bool = False
    shows_progress: bool = True
    #: Short names of commands, where the user wants them.
    short: Mapping[str, str] = field(default_factory=dict)

    def execute(self, line: str) -> Outcome:
        """Runs one line. Never raises."""
        name, rest = registry.parted(line)
        if name == "hmap":
            return Outcome(frontend.overview(self._style().columns))
        if name == "hmap-aliases":
            self.short = registry.SHORT
            return Outcome(registry.aliases() + "\n")
        name = self.short.get(name, name)
        if registry.find(name) is not None:
            return self._hmap(name, rest)
        try:
            return Outcome(Paint(self._style().color).code(visible_lines(self._other(name, rest.strip()))))
        except GomapError as error:
            return Outcome(error=one_line(f"{name}: {error}"))
        except KeyboardInterrupt:
            return Outcome(error=f"{name}: {Interrupted('interrupted')}")
        except Exception as error:
            where = traceback.format_exc() if self.debug else ""
            fault = str(frontend.fault(error)).replace("set hmap debug", "hmap-config debug")
            return Outcome(where, one_line(f"{name}: {fault}"))

    def _hmap(self, name: str, rest: str, problem: GomapError | None = None) -> Outcome:
        """problem: why the program can't be asked, where that is known."""

        def target() -> DelveTarget | StrippedTarget:
            if problem is not None:
                raise problem
            return self.session.target()

        style = self._style()
        line = progress(sys.stdout, style.width) if self.shows_progress else None
        outcome = frontend.run(name, rest, target, self.settings, style, self.debug, line)
        if outcome.error is not None:
            outcome = replace(outcome, error=outcome.error.replace("set hmap debug", "hmap-config debug"))
        if not self.session.alone and not self.session.exited and outcome.problem not in NOT_OF_WHAT_WAS_READ:
            try:
                state = self.session.state()
                # (Of one that runs Delve does not tell which process it is.)
                if not state.get("Running") and self.session.restarted(state):
                    # What it has read is of two processes: that a map is corrupt, say, would not be true.
                    again = "another client restarted the program: run the command again"
                    return self._hmap(name, rest, NoProcess(again))
                if state.get("Running") or self.session.moved(state):
                    said = "another client resumed the program"
                    if outcome.error is not None:
                        return replace(outcome, error=f"{outcome.error} ({said}: run the command again)")
                    return Outcome(outcome.output, f"{name}: {said}: the answer may mix two states of the program")
            except GomapError as error:
                return Outcome(outcome.output, one_line(f"{name}: {error}"))
            except KeyboardInterrupt:
                pass  # the answer is there
        return outcome

    def _other(self, name: str, rest: str) -> str:
        if name == "hmap-config" or (name in ("set", "show") and rest.split()[:1] == ["hmap"]):
            return self._setting(rest.split()[name != "hmap-config" :])
        if name == "help" and (command := registry.find(rest)) is not None:
            return command.help(self._style().columns) + "\n"
        answer = moves.run(self.session, name, rest)
        if answer is None:
            near = get_close_matches(name, [command.name for command in registry.COMMANDS], 1)
            raise UsageError(f"unknown command{f': did you mean {near[0]}?' if near else ''}")
        return answer

    def _setting(self, words: list[str]) -> str:
        if len(words) == 2 and words[0] in SETTINGS:
            name, value = words
            if not (value in SETTINGS[name] or (not SETTINGS[name] and value.isdecimal())):
                raise UsageError(f"{name} takes {' or '.join(SETTINGS[name]) or 'a number'}")
            if name == "color":
                self.color = value
            elif name == "debug":
                self.debug = value == "on"
            else:
                self.settings = self.settings._replace(**{name: int(value)})
            return ""
        if len(words) > 1 or not set(words) <= set(SETTINGS):
            raise UsageError(f"{'|'.join(SETTINGS)} VALUE")
        values = {"color": self.color, **self.settings._asdict(), "debug": "on" if self.debug else "off"}
        return "".join(f"{name:8}{values[name]}\n" for name in words or SETTINGS)

    def _style(self) -> Style:
        if self.color == "auto":
            return self.style
        return replace(self.style, color=self.color == "on")
