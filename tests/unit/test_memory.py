"""Wrappers of memory: what they give is what the memory below gives, and they fault where it faults."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap.errors import MemoryFault
from gomap.memory import CachedMemory, RecordingMemory, RegionMemory, gather
from tests.unit.space import AMD64, Space


def memory(size: int, holes: list[tuple[int, int]]) -> Space:
    space = Space(AMD64)
    at = space.alloc(size)
    space.write(at, bytes(i * 7 % 251 for i in range(size)))
    space.holes = [(at + offset, length) for offset, length in holes]
    return space


_holes = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 300)), max_size=3)
_reads = st.lists(st.tuples(st.integers(-100, 20_100), st.integers(1, 9_000)), max_size=12)


@given(_holes, _reads, st.sampled_from([1, 2, 4096]))
def test_cached_and_recording_memory_read_the_same(
    holes: list[tuple[int, int]], reads: list[tuple[int, int]], limit: int
) -> None:
    space = memory(20_000, holes)
    recording = RecordingMemory(space)
    wrapped = (CachedMemory(space, limit), recording)
    got: list[tuple[int, bytes]] = []
    for offset, size in reads:
        address = space.base + offset
        try:
            expected = space.read(address, size)
        except MemoryFault:
            for one in wrapped:
                with pytest.raises(MemoryFault):
                    one.read(address, size)
            continue
        assert all(one.read(address, size) == expected for one in wrapped)
        got.append((address, expected))
    regions = recording.regions()
    assert all(a + len(d) < b for (a, d), (b, _) in zip(regions, regions[1:]))
    replayed = RegionMemory(regions)
    for address, data in got:
        assert not data or replayed.read(address, len(data)) == data


@given(_holes, st.lists(st.integers(0, 19_000), unique=True, max_size=60), st.sampled_from([1, 24, 208]))
def test_gather_gives_every_object_once(holes: list[tuple[int, int]], offsets: list[int], size: int) -> None:
    space = memory(20_000, holes)
    addresses = [space.base + offset for offset in offsets]
    found = [(address, None if data is None else bytes(data)) for address, data in gather(space, addresses, size)]
    expected: list[tuple[int, bytes | None]] = []
    for address in sorted(addresses):
        try:
            expected.append((address, space.read(address, size)))
        except MemoryFault:
            expected.append((address, None))
    assert found == expected


def test_neighbours_are_read_together() -> None:
    space = memory(20_000, [])
    list(gather(space, [space.base + 64 * i for i in range(300)], 48))
    assert space.reads == 1


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=40)), max_size=6))
def test_regions_may_touch(pieces: list[tuple[int, bytes]]) -> None:
    """Recorded pieces that overlap or touch become one region."""
    truth = {}
    content = bytes(i * 3 % 256 for i in range(400))
    recording = RecordingMemory(RegionMemory([(0x1000, content)]))
    for offset, data in pieces:
        recording.read(0x1000 + offset, len(data))
        truth.update({offset + i: content[offset + i] for i in range(len(data))})
    held = {start - 0x1000 + i: byte for start, data in recording.regions() for i, byte in enumerate(data)}
    assert held == truth
