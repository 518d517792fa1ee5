"""gomap as it is started: which file carries a subcommand out. Ctrl-C ends it in one line while it is loaded, too."""

from __future__ import annotations

import sys

USAGE = """\
usage: gomap pid PID [-c COMMAND]           read the maps of a process, which keeps running
       gomap core [PROG] CORE [-c COMMAND]  read the maps in a core file
       gomap FILE [-c COMMAND]              open a map that hmap-record saved
       gomap diff A B [OPTIONS]             compare two files: snapshots, recorded maps or core files
       gomap top PID                        watch the maps of a process, ranked, on a screen that refreshes
       gomap triage CORE ... --out DIR      read many core files: what their programs died of, and which maps grow
       gomap sql DIR QUERY                  ask the tables that gomap triage wrote
       gomap doctor [PROG|CORE|PID ...]     say what is missing on this machine, and the command that fixes it
       gomap gdbinit                        print the line to add to gdb's initialization file
       gomap zipapp [FILE]                  write gomap.pyz, one file that needs only Python, for containers
       gomap completion                     print the completion script for bash and zsh
       gomap --version

`gomap pid --help` shows the options of gomap pid, and so on.
Without -c, gomap opens a prompt for these commands; `help hmap-show` there has the
details of one.

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
