"""What the terminal at a stream can show."""

from __future__ import annotations

import os
import sys
from argparse import RawDescriptionHelpFormatter
from typing import Callable, TextIO

from gomap.errors import GomapError
from gomap.human import one_line
from gomap.progress import ProgressLine
from gomap.render.text import Style
from gomap.wrap import for_terminal, is_dumb, terminal_width, wrapped

#: Exit statuses if the reader has closed the pipe, and after Ctrl-C, as in a shell.
READER_GONE, INTERRUPTED = 128 + 13, 128 + 2


def ended(name: str, work: Callable[[], int]) -> int:
    """Runs work and returns the exit status. An error is printed as one line that begins with `name`."""
    try:
        status = work()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        nobody_reads(sys.stdout)
        return READER_GONE
    except GomapError as error:
        complain(one_line(f"{name}: {error}"))
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED


def complain(text: str) -> None:
    """Prints an error or a warning to standard error: on a terminal in whole words."""
    print(for_terminal(text, sys.stderr.fileno()) if sys.stderr.isatty() else text, file=sys.stderr)


class HelpText(RawDescriptionHelpFormatter):
    """Help with lists of commands, whose lines fit the terminal too."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = []
        for line in text.splitlines():
            name, space, what = line.partition("  ")
            behind = len(name) + len(space) + len(what) - len(what.lstrip(" ")) if name and what.strip() else 0
            lines += wrapped(indent + line, width, behind)
        return "\n".join(lines)


def open_streams() -> None:
    """Opens standard streams that were closed before the start on /dev/null: otherwise the next file or socket that is
    opened would get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w"))


def nobody_reads(stream: TextIO) -> None:
    """The reader of the stream has closed it (| head): the rest of the output is discarded silently."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def style(stream: TextIO) -> Style:
    """Width, colour and block characters: plain ASCII when piped, no colour with NO_COLOR."""
    width = terminal_width(stream.fileno()) if stream.isatty() else None
    terminal = width is not None and not is_dumb()
    unicode = (stream.encoding or "").upper().replace("-", "") == "UTF8"
    return Style(width or 80, terminal and not os.environ.get("NO_COLOR"), terminal and unicode, width is not None)


def write(text: str) -> None:
    """To standard output, also where its encoding lacks our characters. Raises GomapError where it can't be written."""
    try:
        try:
            sys.stdout.write(text)
        except UnicodeError:
            sys.stdout.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        nobody_reads(sys.stdout)  # what Python still holds is not tried again
        raise GomapError(f"standard output can't be written: {error.strerror}") from error


def progress(stream: TextIO, width: int) -> ProgressLine | None:
    """A progress line on the stream, if it is a terminal that can take one back."""
    if not stream.isatty() or is_dumb():
        return None

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return ProgressLine(write, width)
