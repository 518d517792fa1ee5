"""The census on heaps put together here: which objects are allocated in which state of a sweep, and corrupt heaps."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from gomap.analysis.beyond import beyond
from gomap.analysis.held import AliasSearch
from gomap.analysis.ranking import measure_beyond
from gomap.answers.facts import heap_facts, more_maps
from gomap.errors import GomapError
from gomap.golang.layouts.structure import UNTOLD
from gomap.golang.layouts.swiss.shape import CTRL_DELETED
from gomap.golang.runtime.heap import INLINE_MARKS, PAGE_SIZE, Heap
from gomap.golang.runtime.malloc import allocator
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType
from gomap.heap.census import Census, census
from gomap.heap.tombstones import tombstones
from gomap.target import Arch
from tests.support.space import AMD64, Space, array_of, basic, fake_target, pointer, slice_of, struct
from tests.support.synthetic import hmap, swiss_header, table_type

I386, S390X = Arch("386", 4, "little"), Arch("s390x", 8, "big")
SWEEPGEN = 1000
#: mspan.sweepgen less the heap's: needs sweeping, is being swept, swept, cached before the sweep began, cached since.
NEEDS_IT, UNDER_WAY, SWEPT, OLD_CACHED, CACHED = -2, -1, 0, 1, 3
SEED = 0x9E3779B97F4A7C15


@dataclass
class World:
    """A heap with spans of map headers. classic: of Go 1.21, whose bitmaps of pointers are in the arenas."""

    arch: Arch
    classic: bool = False
    inline: bool = False
    spans: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.space = Space(self.arch)
        self.word = word = self.arch.pointer_size
        address = basic("uintptr", word)
        self.pages = 512
        arena = [("spans", array_of(self.pages, pointer(basic("uint8"), word)))]
        if self.classic:
            arena.append(("bitmap", array_of(self.pages * PAGE_SIZE // word // 8 // word, address)))
        arenas = array_of(1, pointer(array_of(1 << 20, pointer(basic("uint8"), word)), word))
        span = [(name, address) for name in ("startAddr", "npages", "elemsize", "allocBits", "gcmarkBits")]
        span += [(name, basic("uint16")) for name in ("nelems", "freeindex", "freeIndexForScan")]
        span += [("sweepgen", basic("uint32")), ("spanclass", basic("uint8")), ("state", basic("uint8"))]
        if not self.classic:
            span.append(("largeType", address))
        of_map = [("Bucket" if self.classic else "Group", address)]
        table = table_type("", pointer(basic("uint8"), word), word)
        self.header = (
            hmap("runtime.hmap", pointer(basic("uint8"), word), word)
            if self.classic
            else swiss_header("internal/runtime/maps.Map", pointer(basic("uint8"), word), word)
        )
        self.mheap = struct(
            "runtime.mheap",
            word,
            [("sweepgen", basic("uint32")), ("allspans", slice_of(address, word)), ("arenas", arenas)],
        )
        self.mspan, self.arena = struct("runtime.mspan", word, span), struct("runtime.heapArena", word, arena)
        types = {t.name: t for t in (self.mheap, self.mspan, self.arena, self.header)}
        types["internal/runtime/maps.table"] = table
        types["internal/abi.MapType"] = struct("internal/abi.MapType", word, of_map)
        if self.inline:
            types["runtime.spanInlineMarkBits"] = GoType(self.header.kind, "runtime.spanInlineMarkBits", INLINE_MARKS)
        self.target = fake_target(self.arch, self.space, types=types)
        self.object = allocator(self.target).allocated(self.header.size, True)
        self.pages_at = 0
        self.heap_at = self.space.alloc(self.mheap.size)
        self.target.symbols["runtime.mheap_"] = self.heap_at
        self.arena_at = self.space.alloc(self.arena.size)

    def page(self) -> int:
        self.space.data += bytes(-len(self.space.data) % PAGE_SIZE)
        return self.space.alloc(PAGE_SIZE)

    def span(
        self,
        size: int,
        objects: list[bytes],
        allocated: set[int],
        marked: set[int],
        inline: frozenset[int] = frozenset(),
        pointers: int | None = None,
        **state: int,
    ) -> int:
        """A span with these objects. The bitmaps of what is allocated and of what is marked are as given. inline: what
        is marked in the span itself. pointers: the one word of each object that is a pointer, in place of a header's.
        """
        start, space, word = self.page(), self.space, self.word
        room = PAGE_SIZE - (0 if self.classic else PAGE_SIZE // word // 8 + INLINE_MARKS * self.inline)
        count = room // size
        for i, data in enumerate(objects):
            space.write(start + i * size, data)
        own = {f.name: f.offset for f in self.header.fields}
        named = [name for name in own if name in ("dirPtr", "buckets", "oldbuckets", "extra")]
        places = [pointers] if pointers is not None else [own[name] // word for name in named]
        if size == self.object:
            here = [i * size // word + at for i in range(count) for at in places]
            bits = self.words(sum(1 << i for i in here), PAGE_SIZE // word // 8)
            if self.classic:
                offset = next(f.offset for f in self.arena.fields if f.name == "bitmap")
                space.write(self.arena_at + offset + (start - self.base()) // word // 8, bits)
            else:
                space.write(start + room, bits)
                if self.inline:
                    marks = sum(1 << i for i in inline).to_bytes(63, "little")
                    space.write(start + PAGE_SIZE - INLINE_MARKS + 64, marks)
        alloc, mark = (space.put(sum(1 << i for i in some).to_bytes(128, "little")) for some in (allocated, marked))
        values = {"freeindex": 0, "freeIndexForScan": 0, "spanclass": 10, "state": 1, **state}
        values["sweepgen"] = SWEEPGEN + values.get("sweepgen", 0) & 0xFFFFFFFF
        places_ = {"startAddr": start, "allocBits": alloc, "gcmarkBits": mark}
        facts = {**places_, "npages": 1, "elemsize": size, "nelems": count}
        self.spans.append(space.put(space.record(self.mspan, **facts, **values)))
        return start

    def base(self) -> int:
        """Where the arena begins that everything lies in."""
        return self.space.base - self.space.base % (self.pages * PAGE_SIZE)

    def words(self, number: int, size: int) -> bytes:
        data = number.to_bytes(size, "little")
        if self.arch.byte_order == "little":
            return data
        return b"".join(data[i : i + self.word][::-1] for i in range(0, size, self.word))

    def map(self, count: int, array: int) -> bytes:
        if self.classic:
            return self.space.record(self.header, count=count, hash0=SEED & 0xFFFFFFFF, buckets=array)
        return self.space.record(self.header, used=count, seed=SEED >> 8 * (8 - self.word), dirPtr=array)

    def groups(self, counts: list[int]) -> list[int]:
        """Addresses of small groups (buckets), in a span of their own."""
        live, dead = (b"\x77", b"\0") if self.classic else (b"\x17", b"\x80")
        size = 208
        start = self.span(
            size, [live * n + dead * (8 - n) for n in counts], set(range(len(counts))), set(), spanclass=11
        )
        return [start + i * size for i in range(len(counts))]

    def look(self) -> Census:
        space, word = self.space, self.word
        listed = space.put(b"".join(space.word(at) for at in self.spans))
        raw = bytearray(space.record(self.mheap, sweepgen=SWEEPGEN))
        at = {f.name: f.offset for f in self.mheap.fields}
        facts = space.word(listed) + space.word(len(self.spans)) * 2
        raw[at["allspans"] : at["allspans"] + 3 * word] = facts
        number = (self.base() + (1 << 47 if self.arch.name == "amd64" else 0)) // (self.pages * PAGE_SIZE)
        level = space.alloc((number % (1 << 20) + 1) * word) if self.classic else 0
        if self.classic:
            space.write(level + number * word, space.word(self.arena_at))
        raw[at["arenas"] : at["arenas"] + word] = space.word(level)
        space.write(self.heap_at, bytes(raw))
        return self.again()

    def again(self) -> Census:
        return census(self.target, Heap(self.target), DescribedTypes(self.target))


def worlds() -> list[World]:
    return [World(AMD64), World(AMD64, inline=True), World(I386), World(S390X), World(I386, inline=True)]


@pytest.mark.parametrize("number", range(len(worlds())))
def test_allocated_objects_alone_are_headers(number: int) -> None:
    world = worlds()[number]
    counts = [0, 1, 5, 8]
    arrays = world.groups(counts)
    maps = [world.map(n, at) for n, at in zip(counts, arrays)] * 5
    some = {0, 1, 5, 6, 11}
    wanted: dict[int, int] = {}

    def add(expected: set[int], **how: object) -> None:
        start = world.span(world.object, maps, **how)  # type: ignore[arg-type]
        wanted.update({start + i * world.object: counts[i % 4] for i in expected})

    # Below freeIndexForScan all are allocated, behind it those with a bit.
    add({*some, *range(4)}, allocated=some, marked=set(), sweepgen=SWEPT, freeIndexForScan=4, freeindex=9)
    add(some, allocated=some, marked={2}, sweepgen=CACHED)
    add(some, allocated=some, marked={2}, sweepgen=UNDER_WAY)
    # What the collector has not marked is freed when the span is swept.
    inline = frozenset({3} if world.inline else ())
    for old in (NEEDS_IT, OLD_CACHED):
        add({2, 7, *inline}, allocated=some, marked={2, 7}, inline=inline, sweepgen=old, freeIndexForScan=20)
    # The pointers of these are elsewhere; these spans are free, or have none.
    world.span(world.object, maps, some, set(), pointers=0)
    world.span(world.object, maps, some, set(), state=0)
    world.span(world.object, maps, some, set(), spanclass=11)
    found = world.look()
    assert dict(zip(found.addresses, found.counts)) == wanted
    assert found.complete and found.spans == 6


def test_classic_headers_and_the_arenas_bitmap() -> None:
    world = World(I386, classic=True)
    arrays = world.groups([0, 3, 8])
    maps = [world.map(n, at) for n, at in zip([0, 3, 8], arrays)] + [world.map(2, arrays[1]), world.map(0, 0)]
    start = world.span(world.object, maps, {0, 1, 2, 3, 4}, set())
    world.span(world.object, maps, {0, 1, 2, 3, 4}, set(), pointers=1)
    found = world.look()
    at = [start + i * world.object for i in (0, 1, 2, 4)]
    assert list(found.addresses) == at and list(found.counts) == [0, 3, 8, 0]
    assert [bool(array) for array in found.arrays] == [True, True, True, False]


def test_tombstones_of_a_map_that_has_to_be_walked_are_not_known() -> None:
    world = World(AMD64)
    arrays = world.groups([1, 5, 8])
    maps = [world.map(n, at) for n, at in zip([1, 5], arrays)] + [world.map(0, 0)]
    world.span(world.object, maps, {0, 1, 2}, set())
    found = world.look()
    found.slots[1] = UNTOLD
    types = DescribedTypes(world.target)
    assert list(tombstones(world.target, types, found, CTRL_DELETED, [0, 1, 2], [136] * 3)) == [0, UNTOLD, 0]


def test_what_can_not_be_read_is_told() -> None:
    world = World(AMD64)
    arrays = world.groups([2])
    lost = world.span(world.object, [world.map(2, arrays[0])], {0}, set())
    start = world.span(world.object, [world.map(2, arrays[0])] * 3, {1}, set())
    world.space.holes.append((lost + 4096, 16))
    found = world.look()
    assert list(found.addresses) == [start + world.object]
    assert (found.spans, found.unread, found.complete) == (2, 1, False)


@pytest.mark.parametrize("number", range(len(worlds())))
def test_corrupt_heaps_end(number: int) -> None:
    chance = random.Random(number)
    for _ in range(60):
        world = worlds()[number]
        arrays = world.groups([1, 2, 3])
        maps = [world.map(n, at) for n, at in zip([1, 2, 3], arrays)]
        for _ in range(3):
            world.span(world.object, maps * 3, {0, 1, 5}, {2, 4}, sweepgen=chance.choice([SWEPT, NEEDS_IT]))
        world.look()
        places = [(world.heap_at, world.mheap.size)] + [(at, world.mspan.size) for at in world.spans]
        for _ in range(chance.choice([1, 2, 8])):
            start, size = chance.choice(places)
            at = start + chance.randrange(size - 8)
            odd = chance.choice([b"\xff" * 8, bytes(8), chance.randbytes(8), world.space.word(world.heap_at)])
            world.space.write(at, odd[: chance.choice([1, 2, 4, len(odd)])])
        world.space.bytes_read = 0
        with suppress(GomapError):
            world.again()
        assert world.space.bytes_read < 8 << 20


def test_what_no_variable_led_to() -> None:
    world = World(AMD64)
    arrays = world.groups([1, 5, 8])
    maps = [world.map(n, at) for n, at in zip([1, 5, 8], arrays)] + [world.map(0, 0)]
    start = world.span(world.object, maps, {0, 1, 2, 3}, set())
    world.look()
    found = AliasSearch()
    found.types[start] = pointer(basic("uint8"))
    more, identifier = beyond(world.target, found, [])
    assert (len(more.maps), more.entries, more.empty, more.why) == (2, 13, 1, None)
    assert more.bytes == 2 * (48 + 208) and identifier is not None
    told = "2 more maps with 13 entries are in the heap; none of the variables searched leads to them"
    assert more_maps(more) == [told]


def test_the_most_retained_are_listed_whatever_they_hold() -> None:
    """What a map retains may be more than it and its entries hold, by any type."""
    world = World(AMD64)
    for _ in range(4):
        maps = [world.map(1, at) for at in world.groups([1] * 32)]
        world.span(world.object, maps, set(range(32)), set())
    world.look()
    more, identifier = beyond(world.target, AliasSearch(), [])
    assert identifier is not None and more.census is not None and len(more.maps) == 128
    identifier.__dict__.update(_every=[], layout="swiss")  # there is no type that any of them may have
    retained = {address: 1000 + i for i, address in enumerate(more.census.addresses)}
    best = measure_beyond(world.target, more, identifier, "retained", 2, retained=retained)
    assert [one.retained for one in best.maps] == [1127, 1126]


def test_headers_that_changed_are_told_by_their_rows() -> None:
    """A header on a stack is in no order with those of the heap."""
    world = World(AMD64)
    arrays = world.groups([1, 5, 3, 4])
    start = world.span(world.object, [world.map(n, at) for n, at in zip([1, 5], arrays)], {0, 1}, set())
    found = world.look()
    stack = [world.space.put(world.map(n, at)) for n, at in zip([3, 4], arrays[2:])]
    found.add_stacks([(at, (stack[0], stack[1] + 48)) for at in stack])
    assert list(found.counts) == [1, 5, 3, 4] and found.reader is not None
    assert list(found.reader.changed()) == []
    world.space.write(stack[0], world.map(4, arrays[2]))
    assert list(found.reader.changed()) == [(2, 4)]
    world.space.write(start, world.map(2, arrays[0]))
    assert sorted(found.reader.changed()) == [(0, 2), (2, 4)]


def test_why_no_census_was_made() -> None:
    world = World(AMD64)
    world.groups([1])
    world.look()
    world.space.write(world.heap_at + 8, bytes(8) + world.space.word(1 << 40))  # allspans
    more, identifier = beyond(world.target, AliasSearch(), [])
    assert identifier is None and heap_facts(more).searched is False
    assert more_maps(more) == [
        "(the heap was not searched for more maps: runtime.mheap_.allspans has 1,099,511,627,776 spans: it is corrupt)"
    ]
    del world.target.symbols["runtime.mheap_"]
    told = more_maps(beyond(world.target, AliasSearch(), [])[0])
    assert len(told) == 1 and "the debug information has no runtime.mheap_" in told[0]
    assert more_maps(beyond(world.target, AliasSearch(interrupted=True), [])[0]) == [
        "(the heap was not searched for more maps: the search was interrupted)"
    ]
