"""Counting many marks at once against counting one byte after another."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap.arrays import numpy
from gomap.columns.choose import counting
from gomap.columns.marks import MarkCode
from gomap.columns.plain import words
from gomap.golang.layouts.classic import shape as classic
from gomap.golang.layouts.marks import Strip, Tally
from gomap.golang.layouts.swiss import shape as swiss

CLASSIC = {"live": range(5, 256), "empty": {0}, "tombstone": {1}, "evacuated": {2, 3, 4}}
SWISS = {"live": range(0x80), "empty": {0x80}, "tombstone": {0xFE}, "evacuated": set[int]()}

_mark = st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 2, 5, 0x7F, 0x80, 0x81, 0xFE, 0xFF]))
_bucket = st.lists(_mark, min_size=8, max_size=8)


@pytest.fixture(params=["pure", "numpy"], autouse=True, scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways of counting."""
    loaded = numpy() if request.param == "numpy" else None
    assert (loaded is None) == (request.param == "pure")
    with mock.patch("gomap.columns.choose.numpy_if_loaded", lambda: loaded):
        yield


def naive(buckets: list[list[int]], meaning: dict[str, object]) -> dict[str, int]:
    counts = dict.fromkeys(["live", "empty", "tombstone", "evacuated", "strange"], 0)
    for marks in buckets:
        for mark in marks:
            name = next((name for name, known in meaning.items() if mark in known), "strange")  # type: ignore[operator]
            counts[name] += 1
    return counts


def check(buckets: list[list[int]], stride: int, tail: int, code: MarkCode, meaning: dict[str, object]) -> None:
    data = b"".join(bytes(marks) + b"\x07" * (stride - 8) for marks in buckets) + b"\x09" * tail
    tally = Tally()
    half = len(buckets) // 2 * stride
    first, second = counting().marks_of(data[:half], stride), counting().marks_of(memoryview(data)[half:], stride)
    assert first + second == b"".join(bytes(marks) for marks in buckets)
    live = [sum(mark in meaning["live"] for mark in marks) for marks in buckets]  # type: ignore[operator]
    assert tally.add(first, code) == counting().count_live(first, code) == sum(live[: len(buckets) // 2])
    assert tally.add(second, code) == counting().count_live(second, code) == sum(live[len(buckets) // 2 :])
    assert tally.fill == [live.count(k) for k in range(9)]
    assert tally.buckets == len(buckets)
    counts = naive(buckets, meaning)
    assert (tally.live, tally.empty, tally.tombstones, tally.evacuated, tally.strange) == (
        counts["live"],
        counts["empty"],
        counts["tombstone"],
        counts["evacuated"],
        counts["strange"],
    )


@given(st.lists(_bucket, max_size=80), st.sampled_from([8, 9, 12, 16, 144, 208]), st.integers(0, 7))
def test_tally_of_tophashes(buckets: list[list[int]], stride: int, tail: int) -> None:
    check(buckets, stride, tail, classic.OLD_MARKS, dict(CLASSIC))
    # Nothing in the current array is ever evacuated: there those marks mean nothing.
    check(buckets, stride, tail, classic.MARKS, {**CLASSIC, "evacuated": set()})


@given(st.lists(_bucket, max_size=80), st.sampled_from([8, 16, 136, 260, 264]), st.integers(0, 7))
def test_tally_of_control_words(buckets: list[list[int]], stride: int, tail: int) -> None:
    check(buckets, stride, tail, swiss.MARKS, dict(SWISS))


@given(
    st.binary(max_size=400),
    st.integers(1, 40),
    st.integers(0, 32),
    st.sampled_from([4, 8]),
    st.sampled_from(["little", "big"]),
)
def test_words(data: bytes, stride: int, offset: int, size: int, order: str) -> None:
    """Whole elements of at least offset + size bytes, as overflow pointers lie in buckets."""
    stride += offset + size
    data = data[: len(data) // stride * stride]
    expected = []
    for at in range(0, len(data), stride):
        number = 0
        word = data[at + offset : at + offset + size]
        for byte in word if order == "big" else reversed(word):
            number = number << 8 | byte
        expected.append(number)
    assert list(words(data, offset, stride, size, order)) == expected
    assert list(counting().nonzero_words(data, offset, stride, size, order)) == [
        number for number in expected if number
    ]


@given(st.lists(st.integers(0, 8), min_size=1, max_size=700), st.data())
def test_strip(live: list[int], data: st.DataObject) -> None:
    """However the array is cut into pieces, each cell holds the sum of its buckets."""
    strip = Strip(len(live))
    position = 0
    while position < len(live):
        step = data.draw(st.integers(1, len(live)))
        piece = live[position : position + step]
        marks = b"".join(bytes([0x10] * k + [0x80] * (8 - k)) for k in piece)
        strip.add(position, marks, swiss.MARKS, sum(piece))
        position += step
    flags = Strip(len(live))
    for position in range(0, len(live), 7):
        flags.add_flags(position, bytes(k > 4 for k in live[position : position + 7]))
    per = strip.per_cell
    assert flags.live == [sum(k > 4 for k in live[i : i + per]) for i in range(0, len(live), per)]
    assert len(strip.live) <= 64
    assert strip.live == [sum(live[i : i + per]) for i in range(0, len(live), per)]
    assert strip.fractions() == [
        sum(cell) / (8 * len(cell)) for cell in (live[i : i + per] for i in range(0, len(live), per))
    ]


@given(st.lists(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 9))))
def test_ascending(numbers: list[int]) -> None:
    assert counting().ascending(array("Q", numbers)) == sorted(numbers)


@given(st.lists(_bucket, max_size=40), st.sampled_from([8, 9, 136, 144]), st.lists(st.integers(0, 20)), st.booleans())
def test_marks_of_arrays(buckets: list[list[int]], stride: int, gaps: list[int], aligned: bool) -> None:
    """Arrays of one length with gaps between them, and one of another length."""
    array = b"".join(bytes(marks) + b"\x07" * (stride - 8) for marks in buckets)
    data, arrays = b"", []
    for i, gap in enumerate(gaps):
        data += b"\x05" * (gap * 8 if aligned else gap)
        arrays.append((len(data), len(array), i))
        data += array
    wanted = b"".join(bytes(marks) for marks in buckets)
    for other in ([], [(len(data), stride, -1)]):
        if arrays + other:
            held = data + (b"\x01" * 8 + b"\x07" * (stride - 8) if other else b"")
            assert counting().marks_of_arrays(held, arrays + other, stride) == [wanted] * len(arrays) + [
                b"\x01" * 8
            ] * len(other)
