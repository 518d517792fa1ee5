"""gomap diff: hmap-diff of two files, with no program."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gomap import frontend
from gomap.commands import registry
from gomap.declare import Settings
from gomap.errors import UsageError
from gomap.memory import RegionMemory
from gomap.recorded import ImageTarget
from gomap.render.terminal import HelpText, complain, ended, open_streams, progress, style, write
from gomap.target import Arch

NAME = "hmap-diff"
#: Of hmap-diff, what needs a program.
WITH_PROGRAM = ("--goroutine", "--frame")


def main(argv: Sequence[str] | None = None) -> int:
    """Status 0 when it answered."""
    open_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)[1:]
    return ended("gomap", lambda: _run(arguments))


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The command line of each subcommand."""
    command = registry.find(NAME)
    assert command is not None
    # The first paragraph is about what else A and B may be at a prompt, the last one about this program.
    about = command.about.strip().split("\n\n")[1:-1]
    parser = argparse.ArgumentParser(
        prog="gomap diff",
        description="Compare two files: snapshots, recorded maps or core files.",
        epilog="\n\n".join(" ".join(part.split()) for part in about),
        formatter_class=HelpText,
    )
    for arg in command.all_args:
        if arg.name in WITH_PROGRAM:
            continue
        if arg.positional:
            parser.add_argument(arg.name, help="a snapshot, a recorded map or a core file")
        elif arg.metavar:
            parser.add_argument(arg.name, metavar=arg.metavar, help=arg.help)
        else:
            parser.add_argument(arg.name, action="store_true", help=arg.help)
    return {"diff": parser}


def _run(arguments: Sequence[str]) -> int:
    command = registry.find(NAME)
    assert command is not None
    if not {"-h", "--help"}.isdisjoint(arguments):
        write(parsers()["diff"].format_help())
        return 0
    options = frontend.parse(command, _line(arguments))
    if options["B"] is None:
        raise UsageError(f"diff takes two files; gomap pid PID -c '{NAME} {options['A']}' compares with a process")
    shown = style(sys.stdout)
    line = progress(sys.stdout, shown.width)
    outcome = frontend.run(NAME, _line(arguments), _nothing, Settings(), shown, False, line)
    write(outcome.output)
    if outcome.error is not None:
        complain(outcome.error)
    return 0 if outcome.error is None else 1


def _line(arguments: Sequence[str]) -> str:
    """The arguments as a command line."""
    return " ".join(_quoted(one) for one in arguments)


def _quoted(text: str) -> str:
    if frontend.tokens(text) == [text] and text[:1] not in "\"'":
        return text
    return f"'{text}'" if "'" not in text else f'"{text}"'


def _nothing() -> ImageTarget:
    """The target of a command that asks two files and no program."""
    return ImageTarget(Arch("amd64", 8, "little"), RegionMemory([]))
