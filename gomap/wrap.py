"""Wraps text to lines that fit a terminal: its width, and where it may be broken.

A word that is longer than a line is broken between the parts of a Go path: m.users["a"] / .Tags. So each piece can be
read and copied by itself.
"""

from __future__ import annotations

import os
import re
import unicodedata

_ESCAPE = re.compile(r"\033\[[0-9;]*m")
#: In front of these a long word may be broken, and behind those.
_BEFORE, _BEHIND = frozenset(".[({"), frozenset("/,;:=|")
#: A piece of a broken word is at least this part of the line, where a break in the middle of a name is the alternative.
_LEAST = 4


def columns(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none, escape codes none."""
    if text.isascii() and "\033" not in text:
        return len(text)
    plain = _ESCAPE.sub("", text)
    if plain.isascii():
        return len(plain)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain)


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """The text as lines of at most `width` columns. indent: spaces before each line but the first."""
    if columns(text) <= width:
        return [text]
    lines: list[str] = []
    line = text[: len(text) - len(text.lstrip(" "))]
    margin, started = " " * min(indent, max(width - 2, 0)), False
    for space, word in re.findall(r"( *)([^ ]+)", text):
        before = space if started else ""
        if columns(line) + len(before) + columns(word) <= width:
            line, started = line + before + word, True
            continue
        if started:
            lines.append(line)
            line, started = margin, False
        pieces = _pieces(word, width - columns(line), width - len(margin))
        lines += [line + pieces[0], *(margin + piece for piece in pieces[1:])]
        line, started = lines.pop(), True
    return [*lines, line] if started else lines or [""]


def _pieces(word: str, first: int, room: int) -> list[str]:
    """A word in pieces of at most `room` columns, the first of at most `first`."""
    pieces = []
    left = max(first, 1)
    while columns(word[:4096]) > left or columns(word) > left:  # of a very long word most is not measured
        end = _end(word, left)
        pieces.append(word[:end])
        word, left = word[end:], max(room, 1)
    return [*pieces, word]


def _end(word: str, room: int) -> int:
    """Where the first piece of the word ends that fits into so many columns."""
    most, used = 0, 0
    for most, character in enumerate(word):  # noqa: B007
        used += columns(character)
        if used > room:
            break
    most = max(most, 1)
    depth = between = within = 0
    for end in range(1, min(most, len(word) - 1) + 1):
        depth += (word[end - 1] in "([{") - (word[end - 1] in ")]}")
        may = (word[end] in _BEFORE or word[end - 1] in _BEHIND) and word[end - 1] not in _BEFORE
        if may and end >= most // _LEAST:
            within = end
            between = end if depth <= 0 else between
    return between or within or most


def terminal_width(descriptor: int) -> int | None:
    """Columns of the terminal that a file descriptor leads to; None where it leads to none.

    The terminal's own word comes before COLUMNS, which does not follow a window that changes its size.
    """
    if not os.isatty(descriptor):
        return None
    import shutil  # gdb, which imports this file when it starts, has a width of its own

    try:
        own = os.get_terminal_size(descriptor).columns
    except OSError:
        own = 0
    return min(max(own or shutil.get_terminal_size().columns, 20), 400)


def is_dumb() -> bool:
    """Whether the user's terminal knows no escape codes, or shows lines in ways of its own, as an editor's does."""
    return os.environ.get("TERM", "dumb") == "dumb"


def for_terminal(text: str, descriptor: int = 2) -> str:
    """A message wrapped at whole words for the terminal; on one line if there is no terminal."""
    width = None if is_dumb() else terminal_width(descriptor)
    return text if width is None else "\n".join(part for line in text.split("\n") for part in wrapped(line, width, 2))
