"""Numbers as people read them, and text of the target as a terminal may be given it."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: An error is one line, whatever names it speaks of.
MAX_LINE = 1000


def number(value: int) -> str:
    """1234567 -> 1,234,567."""
    return f"{value:,}"


def size(value: int) -> str:
    """Bytes with a binary unit: 144 B, 592 KiB, 41.0 MiB."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if amount < 1024 or unit == "PiB":
            break
        amount /= 1024
    if unit == "B":
        return f"{value} B"
    return f"{amount:,.0f} {unit}" if amount >= 100 else f"{amount:.1f} {unit}"


def power(value: int) -> str:
    """A number of buckets: 2^17 for large powers of two, else as it is."""
    if value >= 1 << 10 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    return number(value)


def percent(fraction: float) -> str:
    """A fraction (0..1) as a whole percentage: 0.496 is 50%."""
    return f"{100 * fraction:.0f}%"


def plural(count: int, noun: str, many: str = "") -> str:
    """1 entry, 3 entries."""
    if count == 1:
        return f"1 {noun}"
    if not many:
        many = noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeiou" else noun + "s"
    return f"{number(count)} {many}"


def ordinal(value: int) -> str:
    """1st, 2nd, 3rd, 11th, 1,021st."""
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{number(value)}{ending}"


def ranges(numbers: Iterable[int], most: int = 6) -> str:
    """3, 5-9; of more than `most` runs the first ones."""
    runs: list[list[int]] = []
    for value in sorted(numbers):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    shown = [str(low) if low == high else f"{low}-{high}" for low, high in runs[:most]]
    return ", ".join(shown + ["..."] * (len(runs) > most))


def visible(text: str) -> str:
    """The text with every character escaped that could move a terminal's cursor, colour or reading direction, or that
    is invisible: control and format characters, lone surrogates (bytes that are not valid UTF-8), unusual spaces."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else escaped(c) for c in text)


def one_line(text: str) -> str:
    """The text as one visible line of bounded length."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 3] + "..."


def escaped(character: str) -> str:
    """As strconv.Quote writes a character that is not printable."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not valid UTF-8, by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_lines(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(visible(line) for line in text.split("\n"))


_DIRECTORIES = re.compile(r"(?:[\w.~%-]+/)+")


def short(name: str) -> str:
    """A type's or function's name with packages as Go code names them, as fmt's %T does: without their directories."""
    return _DIRECTORIES.sub("", spelled(name))


_BYTES = re.compile(r"(\[\d*\])uint8\b")
_ANY = re.compile(r"\binterface \{\}")


def spelled(name: str) -> str:
    """A type's name as Go code writes it: any for interface {}, []byte for []uint8, struct{} for struct {}."""
    if "interface {}" in name:
        name = _ANY.sub("any", name)
    if "struct {}" in name:
        name = name.replace("struct {}", "struct{}")
    return _BYTES.sub(r"\1byte", name) if "]uint8" in name else name


def an(name: str) -> str:
    """A type's name behind its article."""
    vowel = name[:1] in "aeiouAEIOU" and not name.startswith("uint")
    return f"an {name}" if vowel else f"a {name}"
