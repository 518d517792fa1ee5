"""The heap profiler's records: lists of specials in every layout, corrupt ones, and the weight of samples."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import pytest

from gomap import image
from gomap.golang.runtime.heap import Heap, Span
from gomap.heap.profile import Profile, ProfileBucket, likelihood, scaled
from gomap.target import Arch
from tests.support.space import AMD64, Space, add, basic, fake_target, struct

I386, S390X = Arch("386", 4, "little"), Arch("s390x", 8, "big")
START, SIZE = 0x4000_0000, 8192
FINALIZER, PROFILE = 1, 3


class World:
    """Specials and buckets of one span. wide: special.offset is a uintptr, as from Go 1.24 on. named: the debug
    information has the kinds' constants."""

    def __init__(self, arch: Arch, wide: bool, named: bool = True) -> None:
        word, self.arch = arch.pointer_size, arch
        number = basic("uintptr", word)
        self.space = Space(arch)
        offset = number if wide else basic("uint16")
        self.special = struct("runtime.special", word, [("next", number), ("offset", offset), ("kind", basic("uint8"))])
        self.profile = struct("runtime.specialprofile", word, [("special", self.special), ("b", number)])
        fields = ("next", "allnext", "typ", "hash", "size", "nstk")
        self.bucket_type = struct("runtime.bucket", word, [(name, number) for name in fields])
        span = struct("runtime.mspan", word, [("specials", number)])
        types = {t.name: t for t in (self.special, self.profile, self.bucket_type, span)}
        self.target = fake_target(arch, self.space, types=types)
        if named:
            add(self.target, "runtime._KindSpecialProfile", basic("int", word), self.space.uint(PROFILE, word))
        add(self.target, "runtime.MemProfileRate", basic("int", word), self.space.uint(512 << 10, word))

    def hash(self, stack: list[int], size: int) -> int:
        """As stkbucket of runtime/mprof.go has it."""
        mask, h = (1 << 8 * self.arch.pointer_size) - 1, 0
        for number in (*stack, size):
            h = (h + number) & mask
            h = (h + (h << 10)) & mask
            h ^= h >> 6
        h = (h + (h << 3)) & mask
        return h ^ h >> 11

    def bucket(self, stack: list[int], size: int, typ: int = 1) -> int:
        record = self.space.record(self.bucket_type, typ=typ, size=size, nstk=len(stack), hash=self.hash(stack, size))
        return self.space.put(record + b"".join(self.space.word(pc) for pc in stack))

    def put(self, next_: int, offset: int, kind: int, behind: int) -> int:
        head = self.space.record(self.special, next=next_, offset=offset, kind=kind)
        return self.space.put(head + self.space.word(behind))

    def span(self, specials: int) -> Span:
        return Span(1, START, SIZE, 64, 128, 128, False, 1, True, 0, False, specials=specials)

    def open(self) -> Profile:
        return Profile(self.target, cast(Heap, None))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("arch", [AMD64, I386, S390X], ids=lambda arch: arch.name)
def test_lists(arch: Arch, wide: bool, named: bool) -> None:
    """Only records of the profile are samples. Without the constant the bucket's own hash says which these are."""
    world = World(arch, wide, named)
    stacks = [[0x401000 + i, 0x402000] for i in range(3)]
    buckets = [world.bucket(stack, 64) for stack in stacks]
    other = world.space.put(bytes(64))  # what a finalizer has there
    strange = world.bucket([1, 2], 64, typ=2)  # of the profile of blocking
    at = 0
    for i in reversed(range(3)):
        at = world.put(at, 64 * i, PROFILE, buckets[i])
        at = world.put(at, 64 * i, FINALIZER, strange if i else other)
    profile = world.open()
    found = profile.samples([world.span(at), world.span(0)])
    assert found == {START + 64 * i: bucket for i, bucket in enumerate(buckets)}
    assert [profile.bucket(one) for one in buckets] == [
        ProfileBucket(address, 64, tuple(stack)) for address, stack in zip(buckets, stacks)
    ]
    assert profile.bucket(strange) is None and profile.lost == 0
    assert (profile.rate, profile.linked) == (512 << 10, True)


def test_corrupt_lists() -> None:
    """A list that leads back into itself, that ends in memory that can't be read, or has an offset that its span has
    not: what is in front of that is found, and what is lost is counted."""
    world = World(AMD64, wide=True)
    bucket = world.bucket([0x401000], 64)
    loop = world.put(0, 64, PROFILE, bucket)
    first = world.put(loop, 0, PROFILE, bucket)
    world.space.write(loop, world.space.word(first))
    unreadable = world.put(0xDEAD_0000_0000, 128, PROFILE, bucket)
    outside = world.put(world.put(0, 256, PROFILE, bucket), SIZE, PROFILE, bucket)
    profile = world.open()
    found = profile.samples([world.span(at) for at in (first, unreadable, outside)])
    assert found == {START + offset: bucket for offset in (0, 64, 128)}
    assert profile.lost == 2
    for stack, size, typ in (([1] * 2000, 64, 1), ([1], 1 << 63, 1), ([1], 64, 7)):
        assert profile.bucket(world.bucket(stack, size, typ)) is None
    assert profile.bucket(0xDEAD_0000_0000) is None


@pytest.mark.parametrize("seed", range(20))
def test_scribbled(seed: int) -> None:
    """Whatever the bytes are, the search ends."""
    world, rng = World(AMD64, wide=bool(seed % 2), named=seed % 3 > 0), random.Random(seed)
    bucket, at, places = world.bucket([0x401000, 0x402000], 64), 0, []
    for i in range(64):
        at = world.put(at, 64 * (63 - i), PROFILE, bucket)
        places.append(at)
    for _ in range(30):
        where = rng.choice([*places, bucket]) + rng.randrange(0, 32, 8)
        world.space.write(where, world.space.word(rng.choice([0, rng.choice(places), rng.randrange(1 << 64)])))
    profile = world.open()
    found: Any = profile.samples([world.span(at)])
    assert len(found) <= 64 and all(START <= one < START + SIZE for one in found)


def test_weights() -> None:
    """As scaleHeapSample of runtime/pprof gave them, in a program that printed them."""
    rate = 512 << 10
    told = [(14, 18432, 7469811), (40, 16, 20971840), (1, 81920, 566314), (59, 208, 30939128), (1, 20054016, 20054016)]
    assert [scaled(number, size, rate)[1] for number, size, _ in told] == [size for _, _, size in told]
    assert scaled(3, 48, 1) == scaled(3, 48, 0) == (3, 144)
    assert scaled(0, 48, rate) == scaled(3, 0, rate) == (0, 0)
    assert scaled(1, 1, 1 << 62)[0] >= 1 << 61  # no division by zero
    assert likelihood(192, 1) == 1 and likelihood(192, 0) == 0
    assert 0.000365 < likelihood(192, rate) < 0.000367


def test_recorded_maps_have_no_profile(capsys: pytest.CaptureFixture[str]) -> None:
    file = next(Path(__file__).with_name("images").glob("*.hmap"))
    assert image.main([str(file), "-c", "hmap-origin"]) != 0
    assert "a recorded map has no heap profile: use the process or its core" in capsys.readouterr().err
