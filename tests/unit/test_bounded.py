"""Large maps are read in pieces: little memory, few reads of bounded size. Arrays are made up on the fly."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import islice
from struct import pack_into

import pytest

from gomap import maps
from gomap.golang.layouts.structure import Structure
from gomap.golang.runtime.malloc import allocator
from tests.support.by_hand import make
from tests.support.space import array_of, basic
from tests.support.synthetic import classic_type, swiss_type

MB = 1 << 20


def peak(work: Callable[[], Structure]) -> tuple[Structure, int]:
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("wide", [False, True], ids=["144-byte-buckets", "1168-byte-buckets"])
def test_classic_array_of_a_million_buckets(wide: bool) -> None:
    B, start = 20, 0x7F0000000000
    t = classic_type(basic("int"), array_of(8, basic("string")) if wide else basic("int"), 8)
    bucket = t.header.fields[5].type.elem.size
    marks = bytes([9, 9, 1, 9, 0, 0, 0, 0])
    fake, memory, address = make(t, count=3 << B, B=B, buckets=start)
    memory.repeat(start, (1 << B) + (1 << B - 4), marks + bytes(bucket - 8))
    structure, most = peak(lambda: maps.view(fake, t, address).structure(allocator(fake)))
    assert structure.anomalies == []
    assert structure.total.live == 3 << B
    assert structure.main.fill == [0, 0, 0, 1 << B, 0, 0, 0, 0, 0]
    assert structure.total.tombstones == 1 << B
    assert most < 100 * MB
    size = bucket << B
    assert size <= memory.total <= size + MB
    assert memory.largest <= 16 * MB
    assert memory.reads <= 4 * size // MB + 100


def test_classic_overflow_buckets_of_a_large_map() -> None:
    """A fifth of the buckets has an overflow bucket of its own, scattered between others."""
    B, start, behind = 18, 0x7F0000000000, 0x7E0000000000
    t = classic_type(basic("int"), basic("int"), 8)
    size = t.header.fields[5].type.elem.size
    every = 5
    overflows = (1 << B) // every + 1
    fake, memory, address = make(t, count=(1 << B) + overflows, B=B, buckets=start)

    def buckets(offset: int, length: int) -> bytes:
        first, count = offset // size, length // size
        assert offset == first * size and length == count * size
        data = bytearray((b"\x09" + bytes(size - 1)) * count)
        for i in range(-(-first // every) * every, first + count, every):
            pack_into("<Q", data, (i - first + 1) * size - 8, behind + i // every * 256)
        return bytes(data)

    memory.regions.append((start, size << B, buckets))
    memory.repeat(behind, overflows, (b"\x0a" + bytes(size - 1)).ljust(256, b"\0"))
    structure, most = peak(lambda: maps.view(fake, t, address).structure(allocator(fake)))
    assert structure.overflow == overflows
    assert structure.longest_chain == 2
    assert structure.total.live == (1 << B) + overflows
    assert most < 25 * MB  # a quarter of what 2^20 buckets may take
    assert memory.largest <= 16 * MB
    assert memory.reads < 1000


def test_swiss_map_of_a_thousand_tables_shares_few_reads() -> None:
    tables, groups = 1 << 13, 128
    directory, first, data = 0x7D0000000000, 0x7E0000000000, 0x7F0000000000
    t = swiss_type(basic("int"), basic("int"), 8, split=False)
    table = t.header.fields[2].type.elem.elem
    group = 136
    fake, memory, address = make(
        t, used=tables * groups * 5, dirPtr=directory, dirLen=tables, globalDepth=13, globalShift=64 - 13
    )
    space = memory.space
    memory.compute(directory, tables, 8, lambda i: space.word(first + i * 64))

    def one(i: int) -> bytes:
        record = bytearray(
            space.record(table, used=640, capacity=1024, growthLeft=256, localDepth=13, index=i).ljust(64, b"\0")
        )
        at = table.fields[5].offset
        record[at : at + 16] = space.word(data + i * group * groups) + space.word(groups - 1)
        return bytes(record)

    memory.compute(first, tables, 64, one)
    ctrl = bytes([1, 2, 3, 4, 5, 0x80, 0x80, 0xFE])
    memory.repeat(data, tables * groups, ctrl + bytes(group - 8))
    structure, most = peak(lambda: maps.view(fake, t, address).structure(allocator(fake)))
    assert structure.anomalies == []
    assert len(structure.tables) == tables
    assert structure.total.live == tables * groups * 5
    assert structure.total.tombstones == tables * groups
    assert {one.tombstones for one in structure.tables} == {128}
    assert most < 100 * MB
    assert memory.largest <= 16 * MB
    assert memory.reads <= tables + 200  # at most one a table


@pytest.mark.parametrize("layout", ["classic", "swiss"])
def test_the_first_entries_of_a_large_map_come_at_once(layout: str) -> None:
    start = 0x7F0000000000
    if layout == "classic":
        t = classic_type(basic("int"), basic("int"), 8)
        fake, memory, address = make(t, count=1 << 27, B=24, buckets=start)
        memory.repeat(start, (1 << 24) + (1 << 20), b"\x09" * 8 + bytes(136))
    else:
        t = swiss_type(basic("int"), basic("int"), 8, split=True)
        fake, memory, address = make(t, used=8, dirPtr=start)
        memory.repeat(start, 1, bytes(8) + bytes(128))
    tracemalloc.start()
    try:
        found = list(islice(maps.view(fake, t, address).entries(), 8))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [e.slot for e in found] == list(range(8))
    assert most < 50 * MB
    assert memory.total < 20 * MB
