"""Strings of maps: both ways of collecting them say the same, and what a change frees is counted by objects."""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from gomap.analysis.string_columns import StringColumns
from gomap.analysis.strings import Collected, Strings, TextPart, parts_of
from gomap.arrays import numpy
from gomap.golang.layouts.slots import Columns, SlotShape
from gomap.golang.runtime.heap import IN_USE, PAGE_SIZE
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import Field, GoType, Kind, fixed
from gomap.memory import RegionMemory
from gomap.target import Arch

assert numpy() is not None, "half of these tests are about the way with numpy"
AMD64 = Arch("amd64", 8, "little")
STRING, INT = GoType(Kind.STRING, "string", 16), GoType(Kind.INT, "int", 8)
BYTES = GoType(Kind.SLICE, "[]uint8", 24, lazy_elem=fixed(GoType(Kind.UINT, "uint8", 1)))
START = 0xC000000000
#: Bytes of an object in each page of the heap here.
CLASSES = (16, 16, 32, 64, 256, 1024)


class Heap:
    """Spans of a page each; behind them there is no heap."""

    def span_of(self, address: int) -> Any:
        page, _ = divmod(address - START, PAGE_SIZE)
        if not 0 <= page < len(CLASSES):
            return None
        size = CLASSES[page]
        return SimpleNamespace(
            start=START + page * PAGE_SIZE, object=size, objects=PAGE_SIZE // size, state=IN_USE, size=PAGE_SIZE
        )


def cells(strings: list[tuple[int, int]], elem: GoType) -> Columns:
    """Buckets whose elems are these strings (slices), with dead slots among them."""
    stride = elem.size
    shape = SlotShape(8 + 8 * stride, 8, 0, 8, stride, INT, elem, False, False)
    data, live = b"", b""
    rest = list(strings)
    while rest:
        here = [rest.pop() if rest and slot % 3 else None for slot in range(8)]
        live += bytes(one is not None for one in here)
        words = [struct.pack("<QQ", *(one or (123, 5))).ljust(stride, b"\1") for one in here]
        data += bytes(8) + b"".join(words)
    return Columns(shape, AMD64, data, live)


def both(memory: RegionMemory) -> list[Collected]:
    heap: Any = Heap()
    return [Strings(heap, Allocator(), memory), StringColumns(heap, Allocator(), memory)]


def told(found: Any) -> Any:
    return found.bytes, found.objects, found.within, sorted(found.top)


@pytest.mark.parametrize("seed", range(30))
def test_both_ways_say_the_same(seed: int) -> None:
    dice = random.Random(seed)
    text = bytearray(PAGE_SIZE * (len(CLASSES) + 1))
    words = [bytes(dice.choices(b"ab", k=dice.choice((1, 5, 8, 20, 20, 40)))) for _ in range(9)]
    owners: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for _ in range(dice.randrange(1, 400)):
        word, at = dice.choice(words), dice.randrange(len(text) - 64)
        at -= at % dice.choice((1, 16, 64))
        text[at : at + len(word)] = word
        for _ in range(dice.choice((1, 1, 3))):
            owners[dice.choice((0, 1, 2, -1))].append((START + at, len(word)))
    owners[3] = [(START + 2 * PAGE_SIZE + 32 * i, 20) for i in dice.sample(range(256), 20)]
    slices = [(START + 5 * PAGE_SIZE + 100 * i, 7) for i in dice.sample(range(80), 10)]
    found = both(RegionMemory([(START, bytes(text))]))
    for one in found:
        for owner, strings in owners.items():
            one.add(owner, cells(strings, STRING), TextPart(8, None), 16)
        one.add(4, cells(slices, BYTES), next(parts_of(BYTES, 8)), 24)
        one.compare()
    plain, columns = found
    whose: list[int | None] = [*owners, 4, 5, None]
    for who in whose:
        assert told(plain.duplicates(who)) == told(columns.duplicates(who)), who
        assert told(plain.pins(who)) == told(columns.pins(who)), who
        if who is not None:
            assert plain.has(who) == columns.has(who)
            assert plain.uniform(who) == columns.uniform(who)


@pytest.mark.parametrize("way", [0, 1])
def test_an_object_is_freed_when_nothing_in_it_stays(way: int) -> None:
    text = bytearray(PAGE_SIZE * 2)
    for at, word in ((0, b"one"), (4, b"two"), (16, b"one"), (20, b"two"), (32, b"one"), (36, b"six")):
        text[at : at + len(word)] = word
    one = both(RegionMemory([(START, bytes(text))]))[way]
    one.add(7, cells([(START + at, 3) for at in (0, 4, 16, 20, 32, 36)], STRING), TextPart(8, None), 16)
    one.compare()
    saved = one.duplicates(7)
    assert (saved.bytes, saved.objects) == (16, 1)  # of three blocks the second: "six" is nowhere else
    assert [(again.text, again.copies, again.slots) for again in saved.top] == [(b"one", 3, 3)]


@pytest.mark.parametrize("way", [0, 1])
def test_what_other_maps_have_stays(way: int) -> None:
    text = bytearray(PAGE_SIZE * 6)
    for i in range(4):
        text[3 * PAGE_SIZE + 64 * i : 3 * PAGE_SIZE + 64 * i + 40] = b"x" * 40
    one = both(RegionMemory([(START, bytes(text))]))[way]
    places = [(START + 3 * PAGE_SIZE + 64 * i, 40) for i in range(4)]
    one.add(0, cells(places, STRING), TextPart(8, None), 16)
    one.add(1, cells(places[3:], STRING), TextPart(8, None), 16)
    one.compare()
    assert one.duplicates(0).bytes == 2 * 64
    assert one.duplicates(1).bytes == 0
    assert one.duplicates().bytes == 3 * 64
    assert one.uniform(1) is not None and one.uniform(1).bytes is None  # type: ignore[union-attr]


def test_parts() -> None:
    inner = GoType(Kind.STRUCT, "main.in", 40, fields=(Field("S", 0, STRING), Field("B", 16, BYTES)))
    array = GoType(Kind.ARRAY, "[2]main.in", 80, length=2, lazy_elem=fixed(inner))
    outer = GoType(Kind.STRUCT, "main.out", 88, fields=(Field("N", 0, INT), Field("A", 8, array)))
    assert [(part.offset, part.elem is None) for part in parts_of(outer, 4)] == [
        (12, True),
        (28, False),
        (52, True),
        (68, False),
    ]
