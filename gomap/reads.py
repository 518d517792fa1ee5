"""Many reads at once, from addresses and sizes to views. One planner decides which objects share a read.

Objects of one size class are close together: reading the bytes between neighbours costs less than another call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Union

from gomap.errors import MemoryFault
from gomap.memory import CHUNK, Buffer, Memory, joined, stream

#: Objects this near to each other are read together: the gap costs less than another call.
GAP = 2048
#: Objects that are looked at for lying one behind another.
TOGETHER = 512

Sizes = Union[int, Sequence[int]]


def extents(addresses: Sequence[int], sizes: Sizes, gap: int = GAP) -> Iterator[tuple[int, int, int, int]]:
    """The reads, as (first, end, address, size): objects with the numbers first up to end are in it.

    addresses: ascending. sizes: of all, or of each. Neighbours are at most `gap` bytes apart, CHUNK bytes in all.
    """
    first = start = end = limit = 0
    i = 0
    for i, (address, size) in enumerate(zip(addresses, repeat(sizes) if isinstance(sizes, int) else sizes)):
        behind = address + size
        if address > end + gap or behind > limit or not i:
            if i:
                yield first, i, start, end - start
            first, start, end, limit = i, address, behind, address + CHUNK
        elif behind > end:
            end = behind
    if addresses:
        yield first, i + 1, start, end - start


Block = tuple[int, int, int, Union[Buffer, MemoryFault]]


def blocks(memory: Memory, addresses: Sequence[int], sizes: Sizes, gap: int = GAP) -> Iterator[Block]:
    """What extents gives, read, as (first, end, address, bytes that begin there or why they can't be read). The bytes
    hold until the next are asked for."""
    together = list(extents(addresses, sizes, gap))
    read = stream(memory, [(start, size) for _, _, start, size in together])
    for (first, end, start, _), (_, _, data) in zip(together, read):
        yield first, end, start, data


def views(memory: Memory, addresses: Sequence[int], sizes: Sequence[int]) -> Iterator[memoryview | MemoryFault]:
    """The bytes of each, in the order of the addresses, which ascend, or why they can't be read. They hold until the
    next are asked for."""
    for first, end, start, data in blocks(memory, addresses, sizes):
        whole = None if isinstance(data, MemoryFault) else memoryview(data)
        for address, size in zip(addresses[first:end], sizes[first:end]):
            if whole is not None:
                yield whole[address - start : address - start + size]
                continue
            try:
                yield memoryview(memory.read(address, size))
            except MemoryFault as fault:
                yield fault


def gather(memory: Memory, addresses: Sequence[int], size: int) -> Iterator[tuple[int, memoryview | None]]:
    """Objects of `size` bytes at the addresses, ascending, as (address, bytes or None when unreadable). Each is read
    when it is asked for."""
    ordered = sorted(addresses)
    for first, end, base, length in extents(ordered, size):
        run = ordered[first:end]
        try:
            data = memoryview(memory.read(base, length))
        except MemoryFault:
            for address in run:
                try:
                    yield address, memoryview(memory.read(address, size))
                except MemoryFault:
                    yield address, None
        else:
            yield from zip(run, [data[address - base : address - base + size] for address in run])


def packed(memory: Memory, addresses: Sequence[int], size: int) -> Iterator[tuple[int, Buffer | None]]:
    """As gather; the bytes of objects that lie one behind another come in one piece, with the first's address."""
    for start in range(0, len(addresses), TOGETHER):
        here = addresses[start : start + TOGETHER]
        if here == list(range(here[0], here[0] + len(here) * size, size)):
            try:
                yield here[0], memory.read(here[0], len(here) * size)
                continue
            except MemoryFault:
                pass
        yield from gather(memory, here, size)


def scattered(memory: Memory, addresses: Sequence[int], size: int) -> Iterator[tuple[int, bytes | None]]:
    """As gather, for objects far from each other: in one call if the memory can do that. addresses: ascending."""
    whole = joined(memory, addresses, [size] * len(addresses))
    if whole is None:
        for address, data in gather(memory, addresses, size):
            yield address, None if data is None else bytes(data)
    else:
        held = bytes(whole)
        yield from zip(addresses, [held[at : at + size] for at in range(0, len(held), size)])
