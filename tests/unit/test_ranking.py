"""hmap-top's measuring and hmap-whatis's spans over synthetic memory."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from gomap import frontend
from gomap.analysis.alias import holders
from gomap.analysis.beyond import Beyond
from gomap.analysis.held import AliasSearch
from gomap.analysis.identify import Identified
from gomap.analysis.ranking import ORDERS, measure, shortest
from gomap.commands import check, registry, top
from gomap.commands.whatis import address_of
from gomap.declare import Context, Settings
from gomap.errors import BadExpression, NoDebugInfo
from gomap.golang.layouts.integrity import Checked
from gomap.golang.runtime.heap import Heap, heap_of
from gomap.gotypes import GoType
from gomap.heap.census import Census
from gomap.maps import view
from gomap.recorded import ImageTarget
from gomap.report import INTERRUPTED
from tests.support.by_hand import INT
from tests.support.space import AMD64, add, pointer, struct, target
from tests.support.synthetic import ClassicPlan, SwissPlan
from tests.support.synthetic_classic import build_classic
from tests.support.synthetic_swiss import build_swiss


def process() -> tuple[ImageTarget, AliasSearch]:
    """Four maps: one is held twice, one is full, one has a header that was copied."""
    fake, space = target(AMD64)
    swiss = build_swiss(fake, SwissPlan([1, 2, 3] + [0x80] * 5), INT, INT)
    full = build_swiss(fake, SwissPlan([1] * 8), INT, INT)
    classic = build_classic(fake, ClassicPlan(1, [[[9] * 8], [[9] + [0] * 7]]), INT, INT)
    copied = space.put(space.read(classic.address, classic.type.header.size))
    box = struct("main.Box", 8, [("M", swiss.type)])
    add(fake, "box", pointer(box), space.word(space.put(space.word(swiss.address))))
    add(fake, "s", swiss.type, space.word(swiss.address))
    add(fake, "full", full.type, space.word(full.address))
    add(fake, "c", classic.type, space.word(classic.address))
    add(fake, "copied", classic.type, space.word(copied))
    return fake, holders(fake, list(fake.variables.values()), 8)


def test_each_map_once_with_its_shortest_path() -> None:
    fake, found = process()
    ranking = measure(fake, found)
    assert sorted(one.holder.path for one in ranking.maps) == ["c", "copied", "full", "s"]
    allocated = [one.bytes.allocated for one in ranking.maps]
    assert allocated == sorted(allocated, reverse=True)
    assert max(ranking.maps, key=ORDERS["load"]).holder.path == "full"
    assert not ranking.interrupted


def test_buckets_are_counted_with_their_first_header() -> None:
    fake, found = process()
    ranking = measure(fake, found)
    by_path = {one.holder.path: one for one in ranking.maps}
    assert by_path["copied"].shares == by_path["c"].address
    assert (by_path["copied"].bytes.live, by_path["copied"].gives_back) == (0, 0)
    assert ranking.total().allocated == sum(one.bytes.allocated for one in ranking.maps)


def test_what_is_measured_stays_when_it_is_interrupted() -> None:
    fake, found = process()
    seen = []

    def stop(what: str, done: int, of: int | None) -> None:
        seen.append((what, done, of))
        raise KeyboardInterrupt

    assert measure(fake, found, stop).interrupted
    assert seen == [("maps", 0, 4)]


@pytest.mark.parametrize(("stops_at", "checked"), [(0, 0), (2, 2)])
def test_what_is_checked_stays_when_it_is_interrupted(
    stops_at: int, checked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no map that was not looked at is called intact."""
    fake, found = process()
    monkeypatch.setattr(check, "everywhere", lambda *_, **__: found)

    def stop(what: str, done: int, of: int | None) -> None:
        if done == stops_at:
            raise KeyboardInterrupt

    report = check.run(Context(fake, Settings(), stop), {"EXPR": None, "--all": True, "--full": False})
    assert len(report.data.maps) == checked
    assert report.answer[0].startswith("2 maps with" if checked else "no map was checked")
    assert report.answer[1] == f"(interrupted: {4 - checked} maps were not checked)" and report.truncated
    assert (report.data.complete, report.data.not_checked) == (False, 4 - checked)


@pytest.mark.parametrize(
    ("asked", "interrupted", "cuts"),
    [
        ("--type map -n 1", False, [("maps with type map", 1, 4, None), ("maps", 1, 4, "-n 0")]),
        ("--type map -n 0", False, [("maps with type map", 4, 4, None)]),
        ("-n 1", False, [("maps", 1, 4, "-n 0")]),
        ("-n 0", True, [(INTERRUPTED, 0, None, None)]),
    ],
)
def test_what_a_ranking_leaves_out(
    asked: str, interrupted: bool, cuts: list[tuple[str, int, int | None, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers are those of the rows, and no option is named that shows nothing more."""
    fake, found = process()
    monkeypatch.setattr(top, "everywhere", lambda *_, **__: found)

    def stop(what: str, done: int, of: int | None) -> None:
        if interrupted and what == "maps":
            raise KeyboardInterrupt

    command = registry.find("hmap-top")
    assert command is not None
    report = top.run(Context(fake, Settings(), stop), frontend.parse(command, f"{asked} --json"))
    told = [(cut.what, cut.shown, cut.of, cut.option) for cut in report.truncated or []]
    assert [cut for cut in told if cut[0] in [name for name, *_ in cuts]] == cuts
    assert len(report.data.maps) == cuts[-1][1]


def test_a_map_without_a_variable_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one of those that were checked, not one more."""
    fake, found = process()
    address, t = next((address, t) for address, t in found.types.items() if found.maps[address][0].path == "full")
    del found.types[address], found.maps[address]
    census = Census(t)
    census.add((address, 8, 1, 0, 0, 8))
    census.add((8, 8, 1, 0, 0, 8))  # of this one the type is not known
    known = {address: Identified(view(fake, t, address), t, "allocator", (), 8, True)}
    identifier = SimpleNamespace(identify=lambda at: known.get(at, Identified()))
    monkeypatch.setattr(check, "everywhere", lambda *_, **__: found)
    monkeypatch.setattr(check, "beyond", lambda *_, **__: (Beyond(census, [0, 1], 16), identifier))
    report = check.run(Context(fake, Settings()), {"EXPR": None, "--all": True, "--full": False})
    assert len(report.data.maps) == 4
    assert report.answer[0].startswith("4 maps with")
    assert report.answer[1:] == [
        "(1 more map was not checked, since its type is not known)",
        "(1 of these maps is in the heap; none of the variables searched leads to it)",
    ]


def test_the_shortest_way_may_be_another_holders() -> None:
    _, found = process()
    assert {shortest(held).path for held in found.maps.values()} == {"c", "s", "full", "copied"}


def test_a_target_without_a_heap() -> None:
    fake, _ = process()
    assert heap_of(fake) is None
    with pytest.raises(NoDebugInfo):
        Heap(fake)


@pytest.mark.parametrize(
    ("text", "meant"), [("0x1F", 0x1F), ("17", 17), ("0", 0), ("0xffffffffffffffff", (1 << 64) - 1)]
)
def test_numbers_are_addresses(text: str, meant: int) -> None:
    fake, _ = process()
    assert address_of(Context(fake), text) == meant


def test_expressions_are_addresses() -> None:
    fake, found = process()
    s = fake.variables["s"]
    assert address_of(Context(fake), "&s") == s.address
    assert address_of(Context(fake), "s") in found.maps
    assert address_of(Context(fake), "box") != address_of(Context(fake), "&box")
    with pytest.raises(BadExpression):
        address_of(Context(fake), "0x10000000000000000")


def test_a_guessed_type_is_no_reason_to_call_a_map_corrupt() -> None:
    """A map is corrupt by every type that fits, of which one has to be proven; else the type may be wrong."""
    fake, _ = target(AMD64)
    one = build_swiss(fake, SwissPlan([1] * 3 + [0x80] * 5), INT, INT)
    looked = view(fake, one.type, one.address)
    first, second = one.type, replace(one.type, name="map[int]uint")
    corrupt = Checked(3, 3, [], kinds={"count-mismatch": 1})
    intact = Checked(3, 3, [])

    def known(proven: bool, others: tuple[GoType, ...] = ()) -> Identified:
        names = tuple(t.name for t in others)
        return Identified(looked, first, "hashes", names, 3, proven, others)

    assert check.of_guess(known(True), corrupt, lambda t: corrupt) == (first, corrupt)
    assert check.of_guess(known(True, (second,)), corrupt, lambda t: corrupt) == (first, corrupt)
    assert check.of_guess(known(True, (second,)), corrupt, lambda t: intact) == (second, intact)
    assert check.of_guess(known(False, (second,)), corrupt, lambda t: intact) == (second, intact)
    t, told = check.of_guess(known(False, (second,)), corrupt, lambda t: corrupt)
    assert (t, told.verdict, told.entries) == (first, "no-fault-found", 3)
    assert [part.number for part in told.unchecked] == [3]
