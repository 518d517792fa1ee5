"""Floats, complex numbers and strings as Go writes them: strconv.json is what Go's own strconv and fmt say."""

from __future__ import annotations

import math
import struct as packing
import unicodedata
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from gomap.spelling import float_text, quote
from tests.support.space import (
    load,
)

GO = load("strconv.json")


def test_floats_are_strconvs() -> None:
    assert len(GO["float64"]) > 300
    assert len(GO["float32"]) > 300
    for size, code in ((8, "float64"), (4, "float32")):
        for row in GO[code]:
            value = packing.unpack(">d" if size == 8 else ">f", bytes.fromhex(row["bits"]))[0]
            assert float_text(value, size) == row["text"], row


@given(st.floats(width=64))
def test_float64_text_is_exact(value: float) -> None:
    text = float_text(value, 8)
    assert math.isnan(value) if text == "NaN" else float(text) == value


@given(st.floats(width=32))
def test_float32_text_is_exact(value: float) -> None:
    text = float_text(value, 4)
    if text != "NaN" and not math.isinf(value):
        assert packing.unpack("<f", packing.pack("<f", float(text)))[0] == value


def test_quote_is_strconvs() -> None:
    assert len(GO["quote"]) > 500
    for row in GO["quote"]:
        raw = bytes.fromhex(row["hex"])
        decoded = raw.decode("utf-8", "surrogateescape")
        if any(unicodedata.category(c) == "Cn" for c in decoded):
            continue  # a character that this Python's Unicode tables do not have yet
        assert quote(raw) == row["text"], row


def test_printable_characters_are_those_of_go() -> None:
    """All characters that this Python knows, against strconv.IsPrint."""
    ranges: Iterator[list[int]] = iter(GO["printable"])
    first, last = next(ranges)
    wrong = []
    for code in range(0x110000):
        while last is not None and code > last:
            first, last = next(ranges, [0x110000, 0x110000])
        character = chr(code)
        if 0xD800 <= code < 0xE000 or unicodedata.category(character) == "Cn":
            continue
        escaped = character in '"\\'
        if (quote(character.encode()) == f'"{character}"') != (first <= code <= last and not escaped):
            wrong.append(hex(code))
    assert wrong == []


@given(st.binary(max_size=60))
def test_quoted_text_cannot_move_the_terminal(raw: bytes) -> None:
    assert all(c.isprintable() for c in quote(raw))
