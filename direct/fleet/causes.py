"""What a program died of, in words that are equal where programs died alike and that have no values of the program."""

from __future__ import annotations

import re

from gomap.human import one_line
from gomap.results.race import DeathRow

HIDDEN = "panic with a value of the program's own"
#: `died` of a program whose end was looked for, and which has none.
ALIVE = "none"
#: Texts of the runtime's panics (runtime/error.go, panic.go, chan.go, slice.go, unsafe.go) and of package sync's. When
#: the program is dead, the runtime has replaced the errors by their texts: nothing else tells them from the program's.
_CONSTANT = frozenset({
    "assignment to entry in nil map", "close of nil channel", "close of closed channel", "send on closed channel",
    "makechan: size out of range", "sync.Cond is copied", "sync: negative WaitGroup counter",
    "sync: WaitGroup misuse: Add called concurrently with Wait",
    "sync: WaitGroup is reused before previous Wait has returned",
})  # fmt: skip
_ERRORS = frozenset({
    "invalid memory address or nil pointer dereference", "integer divide by zero", "integer overflow",
    "floating point error", "negative shift amount", "growslice: len out of range", "growslice: cap out of range",
    "makeslice: len out of range", "makeslice: cap out of range", "makemap: size out of range",
    "gobytes: length out of range", "unsafe.Slice: len out of range", "unsafe.String: len out of range",
    "unsafe.Slice: ptr is nil and len is not zero", "unsafe.String: ptr is nil and len is not zero",
    "range function continued iteration after function for loop body returned false",
    "range function continued iteration after loop body panic",
    "range function continued iteration after whole loop exit",
    "range function recovered a loop body panic and did not resume panicking",
})  # fmt: skip
_BOUNDS = re.compile(
    r"(?:index|slice bounds) out of range \[[\d:-]+\](?: with (?:length|capacity) \d+)?"
    r"|cannot convert slice with length \d+ to (?:array or )?pointer to array with length \d+"
    r"|SIG[A-Z]+: [a-z -]+"
)
_OF_TYPE = re.compile(r"runtime error: (?:hash of unhashable|comparing uncomparable) type (?P<type>.+)")
_CONVERSION = re.compile(
    r"interface conversion: (?P<a>.+?) is (?:nil|(?P<b>.+?)), not (?P<c>.+?)(?: \(types from different \w+\))?"
    r"|interface conversion: (?P<d>.+?) is not (?P<e>.+?): missing method \w+"
)
#: Parts of the name of a type.
_OF_NAME = re.compile(
    r"[^\W\d][\w·]*(?:[/.-][\w·]+)*\.[^\W\d][\w·]*|\b(?:map|chan|func|struct|interface|bool|string|error|any|byte|rune"
    r"|u?int(?:8|16|32|64|ptr)?|float(?:32|64)|complex(?:64|128))\b|\b\d+\b|[][*(){}<>,;. -]"
)
_NUMBER = re.compile(r"(?<!\w)(?:0x[0-9a-fA-F]+|\d+)(?!\w)")
#: preprintpanics (runtime/panic.go): an error's own method Error has panicked with a text.
_AGAIN = re.compile(r"(panic while printing panic value): (?!type ).*", re.DOTALL)


def said(death: DeathRow, with_keys: bool) -> tuple[str | None, str]:
    """(the message, the cause)."""
    kind, message = death.kind, death.message
    if message is None:
        return None, f"{kind}: its text could not be read"
    if not with_keys:
        if kind == "panic" and not of_runtime(message):
            return None, HIDDEN
        message = _AGAIN.sub(r"\1", message) if kind != "panic" else _NUMBER.sub("N", message)
    what = _NUMBER.sub("N", one_line(message)) + (" (sent by a process)" if death.sent else "")
    return message, f"{kind}{'' if kind == 'signal' else ':'} {what}"


def of_runtime(text: str) -> bool:
    """Whether the text of a panic is one of the runtime's own from beginning to end."""
    if text in _CONSTANT:
        return True
    before, prefix, rest = text.partition("runtime error: ")
    if prefix and not before and (rest in _ERRORS or _BOUNDS.fullmatch(rest)):
        return True
    found = _OF_TYPE.fullmatch(text) or _CONVERSION.fullmatch(text)
    return found is not None and not any(_OF_NAME.sub("", name) for name in found.groups() if name)
