"""gomap pid, gomap core: the commands on a process that runs on, or on a core file, with no debugger."""

from __future__ import annotations

import argparse
import cmd
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from direct.pause import PausedThreads
from direct.target import DirectTarget, Opened, of_core, of_process
from gomap import frontend
from gomap.commands import registry
from gomap.declare import Settings
from gomap.errors import UsageError
from gomap.render.terminal import HelpText, complain, ended, open_streams, progress, style, write


def main(argv: Sequence[str] | None = None) -> int:
    """Status 0 when every command answered."""
    open_streams()
    options = _parser().parse_args(argv)
    return ended("gomap", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    if options.how == "pid":
        opened = of_process(options.PID, options.symbols)
    else:
        if len(options.FILES) > 2:
            raise UsageError("core takes the program and the core file, or the core file alone")
        opened = of_core(options.FILES[0] if len(options.FILES) > 1 else None, options.FILES[-1], options.symbols)
    prompt = DirectPrompt(opened, options.how == "pid" and options.pause)
    if options.c is None:
        prompt.ask()
        return 0
    answered = [prompt.answer(line) for line in options.c if line.strip()]
    return 0 if all(answered) else 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-c", metavar="COMMAND", action="append", help="run this command and exit; may be repeated")
    of_twin = "take names and types from this unstripped build of the same source"
    common.add_argument("--symbols", metavar="PROG", help=of_twin)
    parser = argparse.ArgumentParser(
        prog="gomap",
        description="Read the maps of a process or of a core file, without a debugger.",
        epilog=f"commands:\n{registry.overview()}\n\nhmap-break, and hmap-trace --writes, need gdb or Delve.",
        formatter_class=HelpText,
    )
    ways = parser.add_subparsers(dest="how", required=True, metavar="pid|core", prog="gomap")
    pid = ways.add_parser("pid", parents=[common], help="read the maps of a process, which keeps running")
    pid.add_argument("PID", type=int, help="the process id")
    pid.add_argument(
        "--pause", action="store_true", help="stop the process while a command reads it; print for how long"
    )
    core = ways.add_parser(
        "core",
        parents=[common],
        help="read the maps in a core file: core [PROG] CORE",
        usage="gomap core [-h] [-c COMMAND] [--symbols PROG] [PROG] CORE",
    )
    of_program = "the core file, after its program if that is not at the path that the core file names"
    core.add_argument("FILES", nargs="+", metavar="CORE", help=of_program)
    return parser


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The command line of each subcommand."""
    every = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    return {name: parser for action in every for name, parser in action.choices.items()}


class DirectPrompt(cmd.Cmd):
    """The commands by their own names, help, exit."""

    prompt = "(gomap) "
    identchars = cmd.Cmd.identchars + "-"

    def __init__(self, opened: Opened, pause: bool = False) -> None:
        super().__init__()
        self._opened, self._pause = opened, pause

    def answer(self, line: str) -> bool:
        """Runs one command. Whether it answered."""
        name, rest = registry.parted(line)
        shown = style(sys.stdout)
        line_of_progress = progress(sys.stdout, shown.width)
        stops: list[PausedThreads] = []
        with ExitStack() as held:

            def target() -> DirectTarget:
                if not self._pause:
                    return DirectTarget(self._opened)
                still = self._opened.still(held)
                stops.append(still.stop)
                return DirectTarget(self._opened, still)

            outcome = frontend.run(name, rest, target, Settings(), shown, False, line_of_progress)
        write(outcome.output)
        if outcome.error is not None:
            complain(outcome.error)
        for stop in stops:
            print(f"process {self._opened.pid} was stopped for {1000 * stop.seconds:.1f} ms", file=sys.stderr)
        return outcome.error is None

    def ask(self) -> None:
        """Takes commands until the user leaves. Ctrl-C gives up the line or the command, and not the prompt."""
        while True:
            try:
                self.cmdloop()
                return
            except KeyboardInterrupt:
                print()

    # -- what cmd.Cmd asks ---------------------------------------------------------------------------

    def onecmd(self, line: str) -> bool:
        """Runs one line of the prompt. Returns whether the user wants to leave."""
        name, _, rest = line.strip().partition(" ")
        if name == "EOF":
            print()
            return True
        if name in ("exit", "quit", "q"):
            return True
        if name == "help":
            command = registry.find(rest.strip())
            width = style(sys.stdout).columns
            print(command.help(width) if command is not None else registry.overview(width))
        elif name:
            self.answer(line)
        return False

    def completenames(self, text: str, *ignored: object) -> list[str]:
        """The names of commands that begin with text."""
        return [command.name for command in registry.COMMANDS if command.name.startswith(text)]
