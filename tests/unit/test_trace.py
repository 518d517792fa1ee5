"""Limits of a trace as they are typed, and sizes for make by what make gives."""

from __future__ import annotations

import pytest

from gomap.declare import duration
from gomap.golang.layouts.grown import Rules
from gomap.golang.layouts.swiss.grown import SwissGrowths, made
from gomap.golang.runtime.malloc import Allocator
from tests.support.space import AMD64, basic


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("1.5m", 90), ("1h30m", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "0s", "1s ", "10 s", "1d", "9999h", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        duration(text)


@pytest.mark.parametrize("entries", [9, 14, 15, 896, 897, 1500, 6000, 7000, 7168, 100_000, 1_000_000])
def test_a_size_for_make_leaves_room_for_chance(entries: int) -> None:
    """Tables have 7/8 of their slots for entries, and by chance the fullest gets more than the average."""
    t = basic("int")
    size = SwissGrowths(Rules(AMD64, t, Allocator()), t).capacity(entries)
    tables, slots = made(size)
    room, each = slots * 7 // 8, entries / tables
    assert size >= entries
    assert each <= room if tables == 1 else each + 5 * each**0.5 <= room
    # Not more than it takes: with half the tables it would not fit.
    assert size == entries or (tables // 2) * 896 < entries + 5 * (entries * tables // 2) ** 0.5
