"""Command lines for a map: whatever the registry has, with and without its options."""

from __future__ import annotations

import random

from gomap.commands.registry import COMMANDS
from gomap.declare import FRAME, GOROUTINE, Arg, Command
from tests.fuzz.sources import Source

#: Values of options, by the placeholder that their help has.
VALUES = {
    "N": ("0", "1", "3", "50", "5000"),
    "RANGE": ("0", "0", "0", "0-3", "1", "7-9", "0-63", "1000000"),
    "SCOPE": ("frame", "goroutine", "all"),
}
#: Keys of no map in particular.
KEYS = ("0", '"nothing"', "nil", "main.Point{}", "[3]int16{1}", "1.5", "true", "(1+2i)")


def lines(chance: random.Random, source: Source) -> list[str]:
    """One line of every command that writes no file, its options drawn but those that write one."""
    return [line(chance, source, command) for command in COMMANDS if not command.writes_file]


def line(chance: random.Random, source: Source, command: Command) -> str:
    words = [command.name]
    every = any(arg.name == "--all" and not arg.metavar for arg in command.args) and chance.randrange(3) == 0
    for arg in command.args:
        if arg.positional and not (arg.optional and (every or chance.randrange(3) == 0)):
            words += [_positional(chance, source, arg) for _ in range(chance.choice((1, 2)) if arg.many else 1)]
    for arg in command.all_args:
        if arg.metavar == "FILE":
            continue
        often = 60 if arg in (GOROUTINE, FRAME) else 3  # of a recorded map these are refused
        if not arg.positional and (every if arg.name == "--all" else chance.randrange(often) == 0):
            words.append(arg.name)
            if arg.metavar:
                words.append(_value(chance, source, arg))
    return " ".join(words)


def _positional(chance: random.Random, source: Source, arg: Arg) -> str:
    if arg.name == "KEY":
        return chance.choice(source.keys if chance.randrange(4) else KEYS)
    if "ADDR" in arg.name:
        return _address(chance, source)
    if chance.randrange(16) == 0 and source.map is not None:
        at = hex(source.map.address)
        return chance.choice((at, f"{at}:map[string]int", source.expr + "[0]", f"(*{source.expr})"))
    return source.expr


def _value(chance: random.Random, source: Source, arg: Arg) -> str:
    if "ADDR" in str(arg.metavar):
        return _address(chance, source)
    named = VALUES.get(str(arg.metavar))
    if named:
        return chance.choice(named)
    choices = str(arg.metavar).replace("|", ",").split(",")
    return chance.choice(choices) if len(choices) > 1 else "1"


def _address(chance: random.Random, source: Source) -> str:
    start, data = chance.choice(source.regions)
    return hex(start + chance.choice((0, 8, 9, chance.randrange(len(data) + 1), -1, 1 << 47)))
