"""Every number of hmap-show and hmap-evac over generated maps, against the plan that each was built from."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

import gomap.memory
from gomap import maps
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import Kind
from gomap.listing import entries_json
from gomap.recorded import ImageTarget
from gomap.values import Values
from tests.support import plans
from tests.support.by_hand import ask, made
from tests.support.space import AMD64, add, basic, target
from tests.support.synthetic import Built, ClassicPlan, SwissPlan, classic_type, nil_show, swiss_type
from tests.support.synthetic_classic import build_classic

MANY = settings(max_examples=120)


def check_structure(fake: ImageTarget, built: Built) -> None:
    found = maps.view(fake, built.type, built.address)
    structure = found.structure(allocator(fake))
    show = built.show
    assert [one for one in structure.anomalies if one.code != "no-empty-slot"] == []
    assert found.count == show["count"]
    assert (
        structure.total.live
        == show["live"]
        == structure.main.live + sum(e.old or e.overflow > 0 for e in built.entries)
    )
    assert structure.main.fill == show["buckets"]["fill"]
    assert sum(structure.main.fill) == structure.main.buckets == show["buckets"]["count"]
    assert structure.total.strange == 0
    assert (structure.strip.live if structure.strip else []) == built.strip
    assert (structure.moved.live if structure.moved else []) == built.moved
    assert structure.unevacuated == built.runs
    tables = [(t.index, t.used) for t in structure.tables]
    assert tables == [(t["index"], t["used"]) for t in built.tables or []]


def check_entries(fake: ImageTarget, built: Built) -> None:
    found = maps.view(fake, built.type, built.address)
    entries = [
        (e.old, e.bucket, e.overflow, e.slot, e.key_address, e.elem_address, e.key, e.elem) for e in found.entries()
    ]
    assert entries == [
        (e.old, e.bucket, e.overflow, e.slot, e.key_address, e.elem_address, e.key, e.elem) for e in built.entries
    ]


def check_json(fake: ImageTarget, built: Built) -> None:
    answer = ask(fake, "hmap-show", f"m --entries {len(built.entries) + 1} --json")
    assert [one for one in answer["anomalies"] if one["code"] != "no-empty-slot"] == []
    data = answer["data"]
    listed = data.pop("entries")
    assert data == {"expr": "m", "bound": None, **built.show}
    assert [(e["bucket"], e["slot"], e["old"]) for e in listed] == [(e.bucket, e.slot, e.old) for e in built.entries]
    for column, t in (("key", built.type.key), ("value", built.type.elem)):
        if t.kind in (Kind.INT, Kind.UINT):
            raw = [e.key if column == "key" else e.elem for e in built.entries]
            order: Any = fake.arch.byte_order
            wanted = [int.from_bytes(value, order, signed=t.kind is Kind.INT) for value in raw]
            assert [e[column] for e in listed] == wanted
    check_listing(fake, built, len(listed))
    evac = ask(fake, "hmap-evac", "m --json")["data"]
    assert evac["growth"] == built.show["growth"]
    assert evac["address"] == built.show["address"]
    assert evac["layout"] == built.show["layout"]
    assert evac["tables"] == built.tables


def check_listing(fake: ImageTarget, built: Built, count: int) -> None:
    """What listing.py makes of columns is what values.py makes of one entry after another."""
    found, t = maps.view(fake, built.type, built.address), built.type
    slow, wanted = Values(fake), []
    for e in found.entries():
        key, value = slow.key(t.key, e.key), slow.json(t.elem, e.elem)
        wanted.append({"key": key, "value": value, "bucket": e.bucket, "slot": e.slot, "old": e.old})
    fast = Values(fake)

    def listing(values: Values, wanted: int) -> Any:
        texts, listed = entries_json(values, t, found, wanted)
        entries = json.loads(f"[{', '.join(texts)}]")
        assert len(entries) == listed
        return entries

    assert listing(fast, count + 1) == wanted
    assert fast.cut == slow.cut
    for few in {1, count // 2, max(count - 1, 1)}:
        assert listing(Values(fake), few) == wanted[:few]


@MANY
@given(plans.classic(), plans.types())
def test_classic_structure(plan: ClassicPlan, types: dict[str, Any]) -> None:
    check_structure(*made(plan, types))


@MANY
@given(plans.classic(), plans.types())
def test_classic_entries(plan: ClassicPlan, types: dict[str, Any]) -> None:
    check_entries(*made(plan, types))


@MANY
@given(plans.swiss(), plans.types())
def test_swiss_structure(plan: SwissPlan, types: dict[str, Any]) -> None:
    check_structure(*made(plan, types))


@MANY
@given(plans.swiss(), plans.types())
def test_swiss_entries(plan: SwissPlan, types: dict[str, Any]) -> None:
    check_entries(*made(plan, types))


@MANY
@given(st.one_of(plans.classic(max_B=4), plans.swiss()), plans.types())
def test_json(plan: ClassicPlan | SwissPlan, types: dict[str, Any]) -> None:
    check_json(*made(plan, types))


@settings(max_examples=40)
@given(st.one_of(plans.classic(max_B=4), plans.swiss()), plans.types(), st.sampled_from([1, 100, 1024]))
def test_reading_in_pieces_changes_nothing(plan: ClassicPlan | SwissPlan, types: dict[str, Any], chunk: int) -> None:
    """With chunks of one bucket or a few, every array is read in many pieces."""
    fake, built = made(plan, types)
    with contextlib.ExitStack() as patches:
        for module, name in sizes_of_reads():
            patches.enter_context(mock.patch.object(module, name, max(chunk, fake.arch.pointer_size)))
        check_structure(fake, built)
        check_entries(fake, built)
        check_json(fake, built)


def sizes_of_reads() -> list[tuple[Any, str]]:
    """The constants that say how much is read or counted at once, wherever they were imported."""
    modules = [m for name, m in sorted(sys.modules.items()) if name.split(".")[0] == "gomap"]
    found = [(m, name) for m in modules for name in ("CHUNK", "BATCH", "TOGETHER", "GAP") if hasattr(m, name)]
    assert (gomap.memory, "CHUNK") in found
    return found


@given(plans.types(), st.booleans(), st.booleans())
def test_nil_maps(types: dict[str, Any], swiss: bool, split: bool) -> None:
    fake, space = target(types["arch"])
    word = fake.arch.pointer_size
    if swiss:
        t = swiss_type(types["key"], types["elem"], word, split)
    else:
        t = classic_type(types["key"], types["elem"], word)
    add(fake, "m", t, space.word(0))
    answer = ask(fake, "hmap-show", "m --json")
    group = ("split" if split else "interleaved") if swiss else None
    assert answer["data"] == {"expr": "m", "bound": None, **nil_show(t, "swiss" if swiss else "classic", group)}
    evac = ask(fake, "hmap-evac", "m --json")["data"]
    assert evac["address"] is None
    assert evac["growth"]["state"] == "none"


def test_the_header_of_go_1_24_noswissmap_has_a_clear_sequence() -> None:
    fake, _ = target(AMD64)
    plan = ClassicPlan(1, [[[9, 1, 0, 0, 0, 0, 0, 0]], [[0] * 8]])
    built = build_classic(fake, plan, basic("int"), basic("bool"), clear_seq=True)
    check_structure(fake, built)
    check_entries(fake, built)
