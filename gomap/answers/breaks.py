"""What an hmap-break says when it stops the program, and the lines of the program that traces tell of."""

from __future__ import annotations

import re

from gomap import human
from gomap.target import Location
from gomap.trace.events import Event, Wanted

#: Type arguments of a generic function, which is compiled for a shape: the runtime's tracebacks leave them out too.
_SHAPES = re.compile(r"\[go\.shape\..*\]")
#: Each with what stands between it and the key.
_WORDS = {
    "insert": "insert of",
    "overwrite": "overwrite of",
    "assign": "write of",
    "delete": "delete of",
    "clear": "clear",
    "growth": "growth",
}


def line_of(number: int, wanted: Wanted, event: Event) -> str:
    """One line: which hmap-break, which map, what has happened to it, the key, and who did it where."""
    start = f"hmap-break {number}: {wanted.expr}"
    if event.what == "gone":
        return human.one_line(f"{start} is gone: {event.why} ({_who(event)})")
    words = _WORDS[event.what]
    if words.endswith(" of"):
        words += f" {event.key_text if event.key_text is not None else 'a key that could not be read'}"
    entries = f" ({human.plural(event.entries, 'entry')})" if event.entries is not None else ""
    return human.one_line(f"{start}: {words} by {_who(event)}{entries}")


def _who(event: Event) -> str:
    who = f"goroutine {event.goroutine}" if event.goroutine is not None else "a goroutine that could not be read"
    return f"{who} in {place(event.site)}"


def place(site: Location | None, unknown: str = "the runtime") -> str:
    """The function and line of the program's own. unknown: what stands for none."""
    if site is None:
        return unknown
    return f"{_SHAPES.sub('[...]', human.short(site.function))}  {(site.file or '?').rpartition('/')[2]}:{site.line}"
