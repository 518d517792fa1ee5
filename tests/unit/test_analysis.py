"""What comes next for a map, by the runtime's rules written out; and which variables share one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap import maps
from gomap.analysis.alias import everywhere
from gomap.golang.runtime import heap
from gomap.golang.runtime.malloc import allocator
from gomap.target import Place, Variable
from tests.support import plans
from tests.support.by_hand import INT, ask, world
from tests.support.describe import Descriptors, interface
from tests.support.space import AMD64, add, pointer, slice_of, struct, target
from tests.support.synthetic import ClassicPlan, SwissPlan, classic_type
from tests.support.synthetic_classic import build_classic
from tests.support.synthetic_swiss import build_swiss


@given(plans.classic(max_B=4), st.sampled_from([None, 12, 13]))
def test_a_classic_map_grows_when_the_runtime_says(plan: ClassicPlan, numerator: int | None) -> None:
    """runtime.mapassign: !h.growing() && (overLoadFactor(h.count+1, h.B) || tooManyOverflowBuckets(...))"""
    fake, _ = target(AMD64)
    if numerator:  # 12/2 up to Go 1.21, 13/2 from 1.22 on: the program's own constant decides
        constant = Variable("runtime.loadFactorNum", INT, data=fake.memory.word(numerator))
        fake.variables["runtime.loadFactorNum"] = constant
    built = build_classic(fake, plan, INT, INT)
    found = maps.view(fake, built.type, built.address)
    said = found.forecast(found.structure(allocator(fake)))
    buckets = 1 << plan.B
    if plan.old is None and plan.chains and plan.noverflow >= min(buckets, 1 << 15):
        assert said.entries_left == 0
        assert "same-size" in said.next
        return
    count = left = len(built.entries)
    while not (left + 1 > 8 and left + 1 > (numerator or 13) * (buckets // 2)):
        left += 1
    assert said.entries_left == left - count


@given(plans.swiss())
def test_the_fullest_table_of_a_swiss_map_grows_first(plan: SwissPlan) -> None:
    fake, _ = target(AMD64)
    built = build_swiss(fake, plan, INT, INT)
    found = maps.view(fake, built.type, built.address)
    said = found.forecast(found.structure(allocator(fake)))
    if built.tables:
        assert said.entries_left == min(table["growth_left"] for table in built.tables)
    else:
        assert said.entries_left == 8 - len(built.entries)


def paths(group: dict[str, Any]) -> set[str]:
    return {holder["path"] for holder in group["holders"]}


def test_one_map_with_many_holders() -> None:
    fake, one, _ = world()
    answer = ask(fake, "hmap-alias", "--json")["data"]
    assert len(answer["groups"]) == 1
    group = answer["groups"][0]
    assert group["address"] == hex(one.address)
    assert group["shared_by"] == "header"
    assert group["count"] == 2
    assert paths(group) == {"m", "local", "box.M", "list[0].M", "fixed[0]", "any.(map[int]int)"}
    assert {holder["path"] for holder in answer["nil_maps"]} == {"none", "fixed[1]"}
    assert answer["scanned"]["maps"] == 2
    local = next(holder for holder in group["holders"] if holder["path"] == "local")
    assert (local["kind"], local["function"], local["line"], local["address"]) == ("local", "main.f", 7, None)


def test_a_slice_whose_capacity_is_kept_nowhere() -> None:
    """What it leads to is found; which part of an array it has room for is not said."""
    fake, one, other = world()
    space = fake.memory
    list_ = space.slice(space.word(one.address) + space.word(other.address), 2)
    place = Place("local", 1, 0, "main.f", "/x/main.go", 7)
    fake.variables["all"] = Variable("all", slice_of(one.type), data=list_, holes=((16, 8),), place=place)
    answer = ask(fake, "hmap-alias", "--all --json")
    assert {"all[0]", "all[1]"} <= {path for group in answer["data"]["groups"] for path in paths(group)}
    assert answer["anomalies"] == []
    assert "all" not in json.dumps(ask(fake, "hmap-alias", "--slices --json")["data"]["slices"])
    fake.variables["all"] = Variable("all", slice_of(one.type), data=list_, holes=((8, 16),), place=place)
    assert "all[0]" not in json.dumps(ask(fake, "hmap-alias", "--all --json"))


def test_a_struct_that_is_kept_in_part() -> None:
    fake, one, other = world()
    t, space = one.type, fake.memory
    inner = struct("main.Inner", 8, [("Other", t)])
    outer = struct("main.Outer", 8, [("M", t), ("N", INT), ("Inner", inner)])
    data = space.word(one.address) + bytes(8) + space.word(other.address)
    place = Place("local", 1, 0, "main.f", "/x/main.go", 7)
    for holes, kept in (((8, 8),), {"half.M", "half.Inner.Other"}), (((0, 12),), {"half.Inner.Other"}):
        fake.variables["half"] = Variable("half", outer, data=data, holes=holes, place=place)
        groups = ask(fake, "hmap-alias", "--all --json")["data"]["groups"]
        found = {holder["path"]: holder["kind"] for group in groups for holder in group["holders"]}
        assert {path for path in found if path.startswith("half")} == kept
        assert found["half.Inner.Other"] == "field"


def test_depth_says_what_lies_deeper() -> None:
    fake, _, _ = world()
    answer = ask(fake, "hmap-alias", "--all --depth 0 --json")
    assert {path for group in answer["data"]["groups"] for path in paths(group)} == {"m", "other", "local"}
    assert answer["truncated"]


@pytest.mark.parametrize(
    ("line", "groups"), [("m box.M", 1), ("m other", 2), ("m other local", 2), ("none", 0), ("none m", 1)]
)
def test_named_maps(line: str, groups: int) -> None:
    fake, _, _ = world()
    assert len(ask(fake, "hmap-alias", f"{line} --json")["data"]["groups"]) == groups


def test_headers_that_share_buckets() -> None:
    """A header that was copied through unsafe: two maps, one array."""
    fake, space = target(AMD64)
    built = build_classic(fake, ClassicPlan(1, [[[9] * 8], [[9] + [0] * 7]]), INT, INT)
    copied = space.put(space.read(built.address, built.type.header.size))
    add(fake, "a", built.type, space.word(built.address))
    add(fake, "b", built.type, space.word(copied))
    answer = ask(fake, "hmap-alias", "--json")["data"]
    assert len(answer["groups"]) == 1
    assert answer["groups"][0]["shared_by"] == "buckets"
    assert paths(answer["groups"][0]) == {"a", "b"}


def test_a_search_ends_in_a_world_of_circles() -> None:
    """Unreadable pointers and structures that contain themselves."""
    fake, one, _ = world()
    add(fake, "broken", pointer(struct("main.Box", 8, [("M", one.type)])), fake.memory.word(0x20))
    add(fake, "wild", one.type, fake.memory.word(0x30))
    answer = ask(fake, "hmap-alias", "--all --json")
    assert {a["code"] for a in answer["anomalies"]} == {"unreadable"}
    assert json.dumps(answer)


class SmallHeap:
    """A heap without an object of more than a megabyte, and with no header in it."""

    def span_of(self, address: int) -> None:
        return None

    def in_arena(self, address: int) -> bool:
        return False

    def holds(self, address: int, size: int) -> bool:
        return size <= 1 << 20


@pytest.mark.parametrize("known", [True, False], ids=["heap", "no-heap"])
def test_what_looks_like_a_giant_map_ends_no_search(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of a map that was on a stack is something else by now, and can look like 2^32 buckets."""
    fake, space = target(AMD64)
    any_ = interface(8)
    described = Descriptors(fake)
    inner = build_classic(fake, ClassicPlan(0, [[[9] + [0] * 7]]), INT, INT)
    outer = build_classic(fake, ClassicPlan(0, [[[9] + [0] * 7]]), INT, any_)
    # Its one elem is the inner map.
    shape = maps.shape_of(outer.type, AMD64).slots
    bucket = AMD64.pointer(space.read(outer.address + 16, 8))
    space.write(bucket + shape.elems_off, described.eface(inner.type, space.word(inner.address)))
    dead = space.put(space.record(outer.type.header, count=5, B=32, buckets=bucket))
    roots = [add(fake, name, outer.type, space.word(at)) for name, at in (("dead", dead), ("outer", outer.address))]
    monkeypatch.setattr(heap, "heap_of", lambda _: SmallHeap() if known else None)
    found = everywhere(fake, roots)
    assert {inner.address, outer.address} <= set(found.maps)
    if known:
        assert list(found.doubtful) == [dead] and not found.shortened
        (note,) = found.anomalies
        assert note.severity == "note" and "no array of" in note.message and "dead" in note.message
    else:
        assert found.shortened == ["dead: none of the values of 5 entries were searched"]


def test_a_map_that_is_about_to_double_is_a_map() -> None:
    """hashGrow raises B before it sets buckets: stopped between the two, half of what B says is there."""
    fake, space = target(AMD64)
    t = classic_type(INT, INT, 8)
    for flags, doubled in ((0, 12), (4, 11)):
        at = space.put(space.record(t.header, flags=flags, B=12, buckets=0x5000, count=9))
        found = maps.view(fake, t, at)
        assert found.extents == [(0x5000, found.shape.slots.size << doubled)]
