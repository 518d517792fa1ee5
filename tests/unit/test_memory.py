"""Wrappers of memory: what they give is what the memory below gives, and they fault where it faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap.arrays import numpy
from gomap.columns.choose import arrays
from gomap.errors import MemoryFault
from gomap.memory import CHUNK, MANY, CachedMemory, Read, RecordingMemory, RegionMemory, one_by_one, stream
from gomap.reads import GAP, extents, gather, packed
from tests.support.space import AMD64, Space


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


@given(
    _holes,
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=20),
    st.sampled_from([1, 24, 64]),
    st.sampled_from([2, 7, 512]),
)
def test_packed_gives_every_object_once(
    holes: list[tuple[int, int]], stretches: list[tuple[int, int]], size: int, together: int
) -> None:
    """Objects in stretches that lie one behind another: each comes once, with its bytes or as unreadable."""
    space = memory(20_000, holes)
    numbers = sorted({first + i for first, count in stretches for i in range(count)})
    addresses = [space.base + number * size for number in numbers if number * size < 20_000 - size]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gomap.reads.TOGETHER", together)
        found = list(packed(space, addresses, size))
    given_out: list[tuple[int, bytes | None]] = []
    for first, data in found:
        if data is None:
            given_out.append((first, None))
        else:
            assert len(data) % size == 0
            given_out += [(first + i, bytes(data[i : i + size])) for i in range(0, len(data), size)]
    assert [address for address, _ in given_out] == addresses
    for address, data in given_out:
        try:
            assert data == space.read(address, size)
        except MemoryFault:
            assert data is None


@given(st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(1, 20_000)), max_size=60))
def test_extents_cover_every_place_and_bridge_small_gaps_alone(places: list[tuple[int, int]]) -> None:
    ordered = sorted(places)
    runs = list(extents([address for address, _ in ordered], [size for _, size in ordered]))
    assert [place for first, end, _, _ in runs for place in ordered[first:end]] == ordered
    if numpy() is not None:
        starts, lengths = (arrays().numbers([place[i] for place in ordered]) for i in (0, 1))
        assert list(arrays().extents(starts, starts + lengths) if ordered else ()) == [run[:2] for run in runs]
    for first, end, start, size in runs:
        run = ordered[first:end]
        assert start == run[0][0]
        assert start + size == max(address + length for address, length in run)
        assert len(run) == 1 or size <= CHUNK
        covered = start
        for address, length in run:
            assert address - covered <= GAP
            covered = max(covered, address + length)


@pytest.mark.parametrize("count", [0, 1, MANY - 1, MANY, 3 * MANY])
def test_stream_asks_memory_that_has_one_for_many_pieces(count: int) -> None:
    space = memory(20_000, [(300, 10)])
    asked = []

    class Own:
        read = space.read

        def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
            asked.append(True)
            return one_by_one(space, pieces)

    pieces = [(space.base + i * 100, 100) for i in range(count)]
    for of in (space, Own(), CachedMemory(Own())):
        found = list(stream(of, iter(pieces)))
        assert [piece[:2] for piece in found] == pieces
        for address, size, data in found:
            if address == space.base + 300:
                assert isinstance(data, MemoryFault)
            else:
                assert data == space.read(address, size)
    assert len(asked) == (2 if count >= MANY else 0)
