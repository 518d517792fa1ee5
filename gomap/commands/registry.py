"""The list of commands. For each of them, declared/NAME.py has its arguments and help, and NAME.py answers it."""

from __future__ import annotations

import importlib
import re

from gomap.declare import Command
from gomap.wrap import wrapped

#: In the order in which lists of commands show them.
NAMES = (
    "show",
    "entries",
    "alias",
    "evac",
    "get",
    "check",
    "sync",
    "cycle",
    "top",
    "origin",
    "advise",
    "whatis",
    "why",
    "race",
    "trace",
    "break",
    "record",
    "snapshot",
    "report",
    "diff",
)

COMMANDS: tuple[Command, ...] = tuple(
    importlib.import_module(f"gomap.commands.declared.{name}").COMMAND for name in NAMES
)

#: Short names, which `hmap aliases` defines.
SHORT = {
    "hs": "hmap-show",
    "he": "hmap-entries",
    "ha": "hmap-alias",
    "hg": "hmap-get",
    "hc": "hmap-check",
    "ht": "hmap-top",
    "hr": "hmap-race",
    "hw": "hmap-whatis",
}


def aliases() -> str:
    """What `hmap aliases` says."""
    return ", ".join(f"{short} is {long}" for short, long in SHORT.items())


def find(name: str) -> Command | None:
    """The command of that name; None where there is none."""
    return next((command for command in COMMANDS if command.name == name), None)


def parted(line: str) -> tuple[str, str]:
    """A command line's name and the rest: `hmap show m` is hmap-show m."""
    name, _, rest = line.strip().partition(" ")
    if name == "hmap" and rest.strip():
        name, _, rest = rest.strip().partition(" ")
        name = f"hmap-{name}"
    return name, rest


def overview(width: int | None = None) -> str:
    """The list of commands, as `help hmap` shows it. width: columns of the terminal, where it is to fit them."""
    name = max(len(command.name) for command in COMMANDS)
    lines = [f"{command.name:{name}}  {command.summary}" for command in COMMANDS]
    return "\n".join(lines if width is None else [part for line in lines for part in wrapped(line, width, name + 2)])


def markdown() -> str:
    """The command table of the README: each command leads to its session."""
    rows = [
        f"| [`{command.usage}`](docs/scenarios.md#{anchor(command.session)}) | {command.summary} |"
        for command in COMMANDS
    ]
    return "\n".join(["| command | answers |", "|---|---|", *rows])


def anchor(heading: str) -> str:
    """The name under which Markdown viewers link to a heading."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
