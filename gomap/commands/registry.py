"""The commands there are, once."""

from __future__ import annotations

from gomap.commands import alias, check, evac, get, record, show
from gomap.commands.declare import Command

COMMANDS: tuple[Command, ...] = (
    show.COMMAND,
    alias.COMMAND,
    evac.COMMAND,
    get.COMMAND,
    check.COMMAND,
    record.COMMAND,
)


def find(name: str) -> Command | None:
    return next((command for command in COMMANDS if command.name == name), None)


def overview() -> str:
    """The list of commands, as `help hmap` shows it."""
    width = max(len(command.name) for command in COMMANDS)
    return "\n".join(f"{command.name:{width}}  {command.summary}" for command in COMMANDS)


def markdown() -> str:
    """The command table of the README."""
    rows = [f"| `{command.usage}` | {command.summary} |" for command in COMMANDS]
    return "\n".join(["| command | answers |", "|---|---|", *rows])
