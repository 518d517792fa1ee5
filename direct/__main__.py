"""gomap as it is started: which file carries a subcommand out. Ctrl-C ends it in one line while it is loaded, too."""

from __future__ import annotations

import sys

USAGE = """\
usage: gomap pid PID [-c COMMAND]           read the maps of a running process
       gomap core [PROG] CORE [-c COMMAND]  read the maps in a core file
       gomap FILE [-c COMMAND]              open a map that hmap-record saved
       gomap diff A B [OPTIONS]             compare snapshots or core files
       gomap top PID                        watch a process's maps on a screen
       gomap triage CORE ... --out DIR      read many core files, and group them
       gomap sql DIR QUERY                  ask the tables of gomap triage
       gomap doctor [PROG|CORE|PID ...]     say what is missing, what installs it
       gomap gdbinit                        print the line for gdb's startup file
       gomap zipapp [FILE]                  write gomap as one file, gomap.pyz
       gomap completion                     print a script for bash and zsh
       gomap --version

`gomap pid --help` shows the options of gomap pid, and so on.

-c runs one of the commands below and exits; without it, gomap opens a prompt
for them, where `help hmap-show` has the details of one. hmap-break, and
hmap-trace --writes, work only in gdb and Delve.

commands:
"""
#: The file that carries each subcommand out, by its main. Imported when it is asked for.
PARTS = {
    "pid": "direct.main",
    "core": "direct.main",
    "diff": "direct.diff",
    "top": "direct.top",
    "triage": "direct.fleet.main",
    "sql": "direct.fleet.main",
    "doctor": "direct.doctor",
    "gdbinit": "direct.package",
    "zipapp": "direct.package",
    "completion": "direct.package",
}


def run() -> int:
    """The status that gomap leaves with."""
    try:
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        print("gomap: interrupted", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    from importlib import import_module

    first = arguments[0] if arguments else "--help"
    if first in PARTS:
        return int(import_module(PARTS[first]).main(arguments))
    if first in ("-h", "--help", "--version"):
        from gomap import __version__
        from gomap.commands.registry import overview
        from gomap.render.terminal import ended, open_streams, style, write

        def told() -> int:
            usage = f"{USAGE}{overview(style(sys.stdout).columns)}\n"
            write(f"gomap {__version__}\n" if first == "--version" else usage)
            return 0 if arguments else 2

        open_streams()
        return ended("gomap", told)
    from gomap.image import main

    return main(arguments)


if __name__ == "__main__":
    sys.exit(run())
