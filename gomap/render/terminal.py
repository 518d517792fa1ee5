"""What the terminal at a stream can show."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TextIO

from gomap.render.text import Style


def style(stream: TextIO) -> Style:
    """Width, colour and block characters: plain ASCII when piped, no colour with NO_COLOR."""
    terminal = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    width = min(max(shutil.get_terminal_size().columns, 20), 400) if stream.isatty() else 80
    unicode = (stream.encoding or "").upper().replace("-", "") == "UTF8"
    return Style(width, terminal and not os.environ.get("NO_COLOR"), terminal and unicode)


def write(text: str) -> None:
    """To standard output, also where its encoding lacks our characters."""
    try:
        sys.stdout.write(text)
    except UnicodeError:
        sys.stdout.write(text.encode("ascii", "backslashreplace").decode("ascii"))
    sys.stdout.flush()
