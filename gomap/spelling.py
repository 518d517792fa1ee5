"""Floats and strings as Go writes them: strconv.FormatFloat, strconv.Quote."""

from __future__ import annotations

import math
import struct

from gomap.human import escaped


def float_of(data: bytes, size: int, byte_order: str) -> float:
    """The float32 or float64 in data."""
    code = {4: "f", 8: "d"}[size]
    value: float = struct.unpack(("<" if byte_order == "little" else ">") + code, data[:size])[0]
    return value


def float_text(value: float, size: int) -> str:
    """As strconv.FormatFloat(value, 'g', -1, 8*size) writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if size == 4:
        value = _as_float32(value)  # the shortest decimal of a float32 is not quite that float32
        # Six digits tell normal ones of six digits or fewer apart (FLT_DIG); their zeros are cut off below.
        digits_ = (5, 6, 7, 8, 9) if abs(value) >= 1.1754944e-38 else range(10)
        text = next(t for t in (f"{value:.{p}e}" for p in digits_) if _as_float32(float(t)) == value)
        mantissa, _, exponent = text.partition("e")
    else:
        mantissa, _, exponent = f"{value!r}".partition("e")
        if not exponent:
            mantissa, exponent = _scientific(mantissa)
    digits = mantissa.replace("-", "").replace(".", "").rstrip("0") or "0"
    sign = "-" if math.copysign(1, value) < 0 else ""
    power = int(exponent)
    # strconv/ftoa.go, %g: with the shortest precision the exponent form starts at 6 and below -4.
    if power < -4 or power >= 6:
        tail = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    if len(digits) <= power + 1:
        return sign + digits + "0" * (power + 1 - len(digits))
    return f"{sign}{digits[: power + 1]}.{digits[power + 1 :]}"


def _as_float32(value: float) -> float:
    try:
        packed: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.inf
    return packed


def _scientific(plain: str) -> tuple[str, str]:
    """A plain decimal as (digits, exponent of the first digit)."""
    whole, _, fraction = plain.lstrip("-").partition(".")
    digits = whole + fraction
    stripped = digits.lstrip("0")
    if not stripped:
        return "0", "0"
    return stripped, str(len(whole) - 1 - (len(digits) - len(stripped)))


_ESCAPES = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\", 34: '\\"'}


def quote(raw: bytes) -> str:
    """As strconv.Quote: printable text stays, everything that could move a terminal is escaped."""
    return quoted(raw.decode("utf-8", "surrogateescape"))


def quoted(text: str) -> str:
    """As quote, for decoded text in which bytes that are not valid UTF-8 are surrogates (PEP 383)."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    parts = []
    for character in text:
        short = _ESCAPES.get(ord(character))
        if short is not None:
            parts.append(short)
        else:
            parts.append(character if character.isprintable() else escaped(character))
    return '"' + "".join(parts) + '"'
