"""The man page and the completion of command lines, from the commands' declarations and the programs' own parsers.

`python3 -m direct.manual` writes both into share/, where packages take them from.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from direct.__main__ import PARTS, USAGE
from gomap import __version__
from gomap.commands import registry
from gomap.declare import Command

#: What dlv-hmap does, beside what dlv itself does.
DELVE_WAYS = ("debug", "test", "exec", "attach", "core", "connect", "dap", "worker")
#: Where bash looks for dlv-hmap's: in the file of its name.
BESIDE = 'source "${BASH_SOURCE[0]%/*}/gomap"\n'


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The command line of each subcommand of gomap."""
    found: dict[str, argparse.ArgumentParser] = {}
    for module in dict.fromkeys(PARTS.values()):
        found.update(import_module(module).parsers())
    return {name: found[name] for name in PARTS}


# -- the man page ------------------------------------------------------------------------------------


def man_page() -> str:
    """gomap(1), in the macros of man(7)."""
    synopsis = USAGE.split("\n\n")[0].replace("usage: ", "       ").splitlines()
    lines = [
        f'.TH GOMAP 1 "" "gomap {__version__}" "User Commands"',
        ".SH NAME",
        r"gomap, gdb\-hmap, dlv\-hmap \- see inside Go maps from the debugger and in core files",
        ".SH SYNOPSIS",
    ]
    rows = [re.split(r"  +", line.strip(), maxsplit=1) for line in synopsis]
    for usage, *_ in rows:
        lines += [".br", _text(usage)]
    lines += [
        ".br", _text("gdb-hmap [ARGUMENTS OF gdb]"),
        ".br", _text("dlv-hmap debug|test|exec|attach|core|connect|dap ARGUMENTS"),
        ".SH DESCRIPTION",
        "Each program answers the commands below:",
        ".B gdb\\-hmap", "at gdb's prompt,",
        ".B dlv\\-hmap", "at Delve's, and",
        ".B gomap", "with no debugger. They call nothing in the program and write nothing to it,",
        "but that hmap\\-trace and hmap\\-break set breakpoints.",
        ".SH SUBCOMMANDS OF GOMAP",
    ]  # fmt: skip
    for name, parser in parsers().items():
        usage, meaning = next(row for row in rows if row[0].split()[1] == name)
        lines += [".TP", f".B {_text(usage)}", _text(parser.description or meaning)]
        for option, help_text in _options(parser):
            lines += [".RS", ".TP", f".B {_text(option)}", _text(help_text), ".RE"]
    lines.append(".SH COMMANDS")
    for command in registry.COMMANDS:
        lines += _man_command(command)
    lines += [
        ".SH ENVIRONMENT",
        *_pairs(
            ("GOMAP_GDB", "the gdb that gdb-hmap starts"),
            ("GOMAP_DLV", "the dlv that dlv-hmap starts"),
            ("GOMAP_PYTHON", "the Python that runs dlv-hmap"),
            ("NO_COLOR", "set: no colour"),
        ),
        ".SH EXIT STATUS",
        "0 when every command answered, 1 when one did not, 2 when the command line is wrong, 130 after Ctrl\\-C.",
        ".SH SEE ALSO",
        ".BR gdb (1)",
    ]
    return "\n".join(lines) + "\n"


def _man_command(command: Command) -> Iterator[str]:
    yield f".SS {_text(command.name)}"
    yield f".B {_text(command.usage)}"
    yield ".PP"
    yield _text(command.summary)
    for paragraph in command.about.strip().split("\n\n"):
        yield ".PP"
        yield from map(_text, paragraph.splitlines())
    yield from _pairs(
        *((arg.name if arg.metavar is None else f"{arg.name} {arg.metavar}", arg.help) for arg in command.all_args)
    )
    yield ".PP"
    yield "Examples:"
    yield from _pairs(*command.examples)


def _pairs(*rows: tuple[str, str]) -> Iterator[str]:
    for name, meaning in rows:
        yield ".TP"
        yield f".B {_text(name)}"
        yield _text(meaning)


def _text(text: str) -> str:
    """As troff reads it."""
    text = (
        text.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga").replace("^", r"\(ha").replace("~", r"\(ti")
    )
    return r"\&" + text if text[:1] in (".", "'") else text


# -- completion --------------------------------------------------------------------------------------


def completion() -> str:
    """For bash, and for zsh with bashcompinit: subcommands, options and their words, names of commands after -c."""
    cases = []
    for name, parser in parsers().items():
        words = [option for action in parser._actions for option in action.option_strings]
        cases.append(f"    {name}) options='{' '.join(words)}' ;;")
    choices = [
        f"    {'|'.join(action.option_strings)}) words='{' '.join(map(str, action.choices))}' ;;"
        for parser in parsers().values() for action in parser._actions if action.option_strings and action.choices
    ]  # fmt: skip
    return TEMPLATE.format(
        version=__version__,
        commands=" ".join(command.name for command in registry.COMMANDS),
        ways=" ".join([*PARTS, "--help", "--version"]),
        delve=" ".join([*DELVE_WAYS, "--help", "--version"]),
        cases="\n".join(cases),
        choices="\n".join(dict.fromkeys(choices)),
    )


TEMPLATE = """\
# shellcheck shell=bash
# Completion of gomap and dlv-hmap for bash, and for zsh after `autoload -U bashcompinit && bashcompinit`.
# Made by `python3 -m direct.manual` from the commands' declarations (gomap {version}).
_gomap() {{
    local program=${{COMP_WORDS[0]##*/}} way=${{COMP_WORDS[1]}} word=${{COMP_WORDS[COMP_CWORD]}}
    local before=${{COMP_WORDS[COMP_CWORD - 1]}} word_found options='-c --help' words='' ways='{ways}'
    COMPREPLY=()
    if [[ $program == dlv-hmap ]]; then ways='{delve}'; fi
    case $way in
{cases}
    esac
    case $before in
    -c) words='{commands}' ;;
{choices}
    pid|top|attach) words=$(cd /proc && printf '%s ' [0-9]*) ;;
    esac
    if ((COMP_CWORD == 1)); then
        words=$ways
    elif [[ $word == -* ]]; then
        words=$options
    fi
    if [[ -n $words ]]; then
        while read -r word_found; do COMPREPLY+=("$word_found"); done < <(compgen -W "$words" -- "$word")
    fi
    if [[ $word != -* ]] && {{ ((COMP_CWORD == 1)) || [[ -z $words ]]; }}; then
        while read -r word_found; do COMPREPLY+=("$word_found"); done < <(compgen -f -- "$word")
    fi
}}
complete -o filenames -F _gomap gomap dlv-hmap
"""


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if action.option_strings and not isinstance(action, argparse._HelpAction):
            metavar = "" if action.nargs == 0 else " " + str(action.metavar or action.dest.upper())
            yield ", ".join(action.option_strings) + metavar, action.help or ""


def files() -> dict[str, str]:
    """What share/ has, by its path there."""
    return {
        "man/man1/gomap.1": man_page(),
        "bash-completion/completions/gomap": completion(),
        "bash-completion/completions/dlv-hmap": BESIDE,
    }


if __name__ == "__main__":
    for name, text in files().items():
        Path(__file__).absolute().parent.parent.joinpath("share", name).write_text(text, "utf-8")
