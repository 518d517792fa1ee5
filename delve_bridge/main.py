"""dlv-hmap: gomap's commands for Delve, at dlv's own prompt or one-shot (-c)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

from delve_bridge import dap, inside, moves, worker
from delve_bridge.console import Console
from delve_bridge.interrupts import Interrupts
from delve_bridge.rpc import ALONE, DEADLINE, Client, address
from delve_bridge.server import Server
from delve_bridge.session import Session
from gomap import __version__
from gomap.commands import registry
from gomap.human import visible_lines
from gomap.render.terminal import INTERRUPTED, HelpText, complain, ended, open_streams, style, write

USAGE = """
  dlv-hmap debug|test|exec|attach|core|connect ARGUMENTS   start your dlv with gomap's commands at its prompt
  dlv-hmap exec|attach|core|connect ARGUMENTS -c COMMAND   run the command and exit; -c may be repeated
  dlv-hmap dap [ARGUMENTS OF dlv dap]                      debug adapter for editors, with the commands at its prompt
  dlv-hmap worker                                          serve a dlv that runs already: source gomap.star there
  dlv-hmap --version"""
#: Seconds without a first answer after which a hint is printed about servers that never give one.
SILENT = 1.5


def main(argv: Sequence[str] | None = None) -> int:
    """Status 0 when every command answered, 1 when one did not."""
    open_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    return ended("dlv-hmap", lambda: _start(arguments))


def _start(arguments: list[str]) -> int:
    split = arguments.index("--") if "--" in arguments else len(arguments)
    if arguments == ["--version"]:
        write(f"gomap {__version__}\n")
        return 0
    if arguments == ["worker"]:
        return worker.daemon()
    if arguments[:1] == ["dap"] and not {"-h", "--help"}.intersection(arguments):
        return dap.run(arguments[1:])
    if arguments[:1] not in ([], ["-h"], ["--help"]) and not any(a[:2] == "-c" for a in arguments[:split]):
        inside.run(arguments)
    options = _parser().parse_args(arguments[:split])
    if split < len(arguments) and options.how != "exec":
        _parser().error(f"{options.how} takes no arguments for the program")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _leave)
    return _run(options, arguments[split + 1 :])


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


def _leave(number: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS, formatter_class=HelpText)
    group = common.add_argument_group("options with -c")
    group.add_argument("-c", metavar="COMMAND", action="append", help="run this command and exit; may be repeated")
    group.add_argument(
        "--break", metavar="LOCATION", dest="location", help="first set a breakpoint here and continue to it"
    )
    group.add_argument("--no-direct", action="store_true", help="read all memory through Delve, even on this machine")
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=DEADLINE,
        help=f"wait this long for each answer of the server (default: {DEADLINE:g})",
    )
    parser = argparse.ArgumentParser(
        prog="dlv-hmap",
        usage=USAGE,
        description="See inside Go maps with Delve.",
        epilog=common.format_help()
        + "\ncommands:\n"
        + registry.overview()
        + "\n\n`help hmap-show`, at the prompt, has the details of one command.",
        formatter_class=HelpText,
    )
    ways = parser.add_subparsers(
        dest="how", required=True, title="what takes -c", metavar="connect|exec|core|attach", prog="dlv-hmap"
    )
    made = ways.add_parser("connect", parents=[common], help="connect to a running dlv --headless server")
    made.add_argument("ADDRESS", help="HOST:PORT or unix:PATH")
    made = ways.add_parser("exec", parents=[common], help="start a program: exec PROG [-- ARGS]")
    made.add_argument("PROG")
    made = ways.add_parser("core", parents=[common], help="open a core file")
    made.add_argument("PROG")
    made.add_argument("CORE")
    made = ways.add_parser("attach", parents=[common], help="stop a running process, and let it run on at exit")
    made.add_argument("PID", type=int)
    return parser


def _run(options: argparse.Namespace, program_arguments: list[str]) -> int:
    if options.how == "connect":
        where = address(options.ADDRESS)
        where.check()
        client = Client(where, options.timeout)
        if not client.loopback:
            complain(f"warning: {client.where.in_the_clear()}")
        try:
            return _talk(client, options, None, None)
        finally:
            client.close()
    program = None if options.how == "attach" else str(options.PROG)
    if options.how == "core":
        if options.location:
            _parser().error("a core file can't be continued to a breakpoint")
        inside.check_core(options.PROG, options.CORE)
        arguments = ["core", options.PROG, options.CORE]
    elif options.how == "attach":
        arguments = ["attach", str(options.PID)]
    else:
        arguments = ["exec", options.PROG, *(["--", *program_arguments] if program_arguments else [])]
    server = Server(arguments, _relay)
    started = None
    try:
        started = server.connect(options.timeout)
        return _talk(started, options, options.CORE if options.how == "core" else None, program)
    finally:
        _ignore_signals()  # whatever is pressed now, dlv and the program are not to be left behind
        server.end(started)
        if started is not None:
            started.close()


def _relay(number: int, data: bytes) -> None:
    """What the program prints goes to standard error: standard output is for answers."""
    os.write(2, data)


def _talk(client: Client, options: argparse.Namespace, core: str | None, program: str | None) -> int:
    interrupts = Interrupts(client)
    interrupts.catch()
    told = f"no answer from {client.where} yet. A server that an editor has started {ALONE}"
    silence = threading.Timer(SILENT, print, [told], {"file": sys.stderr})
    silence.daemon = True
    silence.start()
    try:
        session = Session(client, not options.no_direct, core, program, alone=options.how != "connect")
    finally:
        silence.cancel()
    try:
        console = Console(session, style(sys.stdout))
        session.say = lambda text: write(visible_lines(text))
        if options.location:
            moves.set_breakpoint(session, options.location)
            print(visible_lines(moves.resume(session, "continue")), end="", file=sys.stderr)
        if interrupts.pressed:
            return INTERRUPTED  # the program is not where the questions are about
        return _one_shot(console, options.c, interrupts)
    finally:
        session.close_memory()


def _one_shot(console: Console, lines: Sequence[str], interrupts: Interrupts) -> int:
    """Ctrl-C halts a program that runs, and what follows is asked there; any other command is the last one then."""
    status = 0
    for line in filter(str.strip, lines):
        if line.strip() in ("exit", "quit", "q"):
            break
        before = interrupts.pressed
        outcome = console.execute(line)
        write(outcome.output)
        if outcome.error is not None:
            complain(outcome.error)
            status = 1
        if interrupts.pressed > before and not moves.runs(line):
            break
    return INTERRUPTED if interrupts.pressed else status


if __name__ == "__main__":
    sys.exit(main())
