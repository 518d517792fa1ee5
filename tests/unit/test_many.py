"""What large containers lead to, taken together, against the search that follows one reference after another."""

from __future__ import annotations

import random

import pytest

from gomap.analysis.alias import everywhere
from gomap.analysis.held import AliasSearch
from gomap.analysis.ranked_groups import KEYS, add_up
from gomap.analysis.ranking import ORDERS, Ranking, measure
from gomap.golang.layouts.structure import UNTOLD
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import Field, GoType
from gomap.heap.census import Census
from gomap.maps import view
from gomap.recorded import ImageTarget
from gomap.target import Arch, Place, Variable
from tests.support.space import AMD64, ARCHES, add, basic, pointer, slice_of, struct, target
from tests.support.synthetic import Built, SwissPlan
from tests.support.synthetic_swiss import build_swiss

COUNT = 90


class World:
    """A package variable with many pointers to structs, in no order; each has a map of plain values, a map of maps,
    and a pointer to another struct. A local variable has the first struct as well."""

    def __init__(self, arch: Arch) -> None:
        self.fake, space = target(arch)
        self.arch, word = arch, arch.pointer_size
        chance = random.Random(arch.name)
        integer = basic("int", word)
        plain, nested = [], []
        for i in range(COUNT):
            live = i % 9
            plain.append(self.built(SwissPlan([1] * live + [0x80] * (8 - live)), integer, integer))
        for i in range(COUNT):
            plan = SwissPlan([1] * (i % 3) + [0x80] * (8 - i % 3))
            nested.append(self.built(plan, integer, plain[0].type))
        box = struct("main.Box", word, [("N", integer), ("M", plain[0].type), ("Deep", nested[0].type)])
        box = GoType(
            box.kind, box.name, box.size + word,
            fields=(*box.fields, Field("To", box.size, pointer(box, word))),
        )  # fmt: skip
        places = [space.alloc(box.size) for _ in range(COUNT)]
        order = chance.sample(range(COUNT), COUNT)
        for i, at in enumerate(places):
            data = space.word(7) + space.word(plain[i].address if i % 5 else 0)
            data += space.word(nested[i].address if i % 7 else 0) + space.word(places[(i * 3) % COUNT])
            space.write(at, data)
        listed = space.slice(b"".join(space.word(places[i]) for i in order), COUNT)
        add(self.fake, "main.List", slice_of(pointer(box, word), word), listed)
        local = Place("local", 1, 0, "main.f", "/x/main.go", 7)
        self.local = Variable("local", pointer(box, word), data=space.word(places[1]), place=local)
        self.box, self.places, self.order = box, places, order
        self.plain, self.nested = plain, nested
        self.census = Census(plain[0].type.header)
        rules = allocator(self.fake)
        every = sorted([*plain, *nested], key=lambda one: one.address)
        for one in every:
            looked = view(self.fake, one.type, one.address)
            held = looked.structure(rules).bytes.allocated
            array = looked.array_address
            self.census.add((one.address, looked.count, array, 0, held, 8 if array else 0))
        self.census.sorted = len(every)

    def built(self, plan: SwissPlan, key: GoType, elem: GoType) -> Built:
        return build_swiss(self.fake, plan, key, elem)

    def search(self, census: Census | None) -> AliasSearch:
        return everywhere(self.fake, [self.local, *self.fake.variables.values()], once=True, census=census)

    def ranked(self, census: Census | None) -> Ranking:
        return measure(self.fake, self.search(census), census=census)


@pytest.fixture(params=ARCHES, ids=lambda arch: arch.name)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def rows(ranking: Ranking) -> dict[int, tuple[object, ...]]:
    return {
        one.address: (one.holder.path, one.holder.place.kind, one.type.name, one.count, one.load, one.bytes, one.layout)
        for one in ranking.every()
    }


def test_together_as_one_by_one(world: World) -> None:
    alone, together = world.ranked(None), world.ranked(world.census)
    assert world.search(world.census).many and together.alike and not alone.alike
    wanted = {one.address for i, one in enumerate(world.plain) if i % 5}
    wanted |= {one.address for i, one in enumerate(world.nested) if i % 7}
    found = rows(together)
    assert found.keys() == wanted and together.number == len(wanted)
    assert found == rows(alone)
    assert (together.entries, together.total(), together.gives_back) == (
        alone.entries, alone.total(), alone.gives_back,
    )  # fmt: skip
    assert not together.anomalies


def test_paths_start_at_package_variables(world: World) -> None:
    where = {place: i for i, place in enumerate(world.order)}
    found = rows(world.ranked(world.census))
    assert {found[one.address][0] for i, one in enumerate(world.plain) if i % 5} == {
        f"main.List[{where[i]}].M" for i in range(COUNT) if i % 5
    }


@pytest.mark.parametrize("by", ["bytes", "waste", "entries", "load"])
def test_the_best_of_all(by: str) -> None:
    world = World(AMD64)
    ranking = world.ranked(world.census)
    order = ORDERS[by]
    every = sorted(map(order, ranking.every()), reverse=True)
    for most in (0, 1, 20, 150):
        best = ranking.best(order, most)
        assert [order(one) for one in best] == every[: most or None]
        assert len({one.address for one in best}) == len(best)


def test_groups_have_every_map_once(world: World) -> None:
    ranking = world.ranked(world.census)
    for by in ("type", "package", "owner", "size"):
        groups = add_up(ranking.counted(), KEYS[by], ORDERS["bytes"])
        assert sum(one.maps for one in groups) == sum(sum(one.fill) for one in groups) == ranking.number
        assert sum(one.entries for one in groups) == ranking.entries
        assert sum(one.allocated for one in groups) == ranking.total().allocated
        if by in ("package", "owner"):
            assert [one.key for one in groups] == [{"package": "main", "owner": "main.List"}[by]]


def test_what_the_census_does_not_know(world: World) -> None:
    """Headers that it has not, of maps that it can't tell the size of, and with buckets that others have too."""
    census, first = world.census, [one.address for i, one in enumerate(world.plain) if i % 5][:40]
    less = Census(census.header)
    for row in zip(census.addresses, census.counts, census.arrays, census.sizes, census.held, census.slots):
        at = first.index(row[0]) if row[0] in first else -1
        if 0 <= at < 10:
            continue
        less.add((*row[:5], UNTOLD) if 10 <= at < 20 else row)
    less.sorted = len(less.addresses)
    assert rows(world.ranked(less)) == rows(world.ranked(None))


def test_what_can_not_be_read(world: World) -> None:
    """One struct is nowhere: the others' maps are found."""
    fake: ImageTarget = world.fake
    variable = fake.variables["main.List"]
    head = variable.read(fake.memory, 0, 2 * world.arch.pointer_size)
    fake.memory.write(world.arch.pointer(head), fake.memory.word(0x10))
    lost = world.order[0]
    found = world.ranked(world.census)
    assert rows(found).keys() == rows(world.ranked(None)).keys()
    assert len(rows(found)) >= len({i for i in range(COUNT) if i % 5 and i != lost})


def test_interrupted_it_has_what_it_had(world: World) -> None:
    def stop(what: str, done: int, of: int | None) -> None:
        raise KeyboardInterrupt

    roots = list(world.fake.variables.values())
    found = everywhere(world.fake, roots, stop, once=True, census=world.census)
    assert found.interrupted
    assert measure(world.fake, found, census=world.census).interrupted
