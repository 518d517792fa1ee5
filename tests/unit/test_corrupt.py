"""Maps that no program could have: walking them ends soon, says what is wrong and still shows the rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gomap import frontend, maps
from gomap.commands import check
from gomap.declare import Settings
from gomap.errors import GomapError, MemoryFault
from gomap.golang.layouts.integrity import Checked, Unchecked
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.structure import Structure
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType, Kind
from gomap.recorded import ImageTarget
from gomap.render.text import Style, render
from gomap.report import Report
from gomap.results.answer import Cut
from tests.support import plans
from tests.support.by_hand import FULL, HALF, INT, ask, classic, made, poke, swiss
from tests.support.space import AMD64, Space, add, basic, target
from tests.support.synthetic import Built, ClassicPlan, Marks, SwissPlan, TablePlan
from tests.support.synthetic_classic import build_classic

CTRL: Marks = [1, 2, 3, 0x80, 0x80, 0x80, 0x80, 0xFE]


@dataclass(frozen=True)
class Unreadable:
    why: str

    def read(self, address: int, size: int) -> bytes:
        raise MemoryFault(address, size, self.why)


@pytest.fixture(autouse=True)
def quickly() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < 20


def walk(fake: ImageTarget, built: Built) -> tuple[MapView, Structure, int]:
    found = maps.view(fake, built.type, built.address)
    structure = found.structure(allocator(fake))
    return found, structure, sum(1 for _ in found.entries())


def codes(structure: Structure) -> set[str]:
    return {anomaly.code for anomaly in structure.anomalies}


def test_a_chain_that_leads_back_into_itself() -> None:
    fake, built = classic(ClassicPlan(1, [[FULL, HALF, HALF], [HALF]]))
    size = built.type.header.fields[5].type.elem.size
    first = built.places["overflow of 0"]
    second = fake.arch.pointer(fake.memory.read(first + size - 8, 8))
    fake.memory.write(second + size - 8, fake.memory.word(first))
    _, structure, entries = walk(fake, built)
    assert "overflow-cycle" in codes(structure)
    assert structure.overflow == 2
    assert structure.total.live == entries == 20


def test_a_chain_that_leads_back_to_its_main_bucket() -> None:
    fake, built = classic(ClassicPlan(0, [[FULL, HALF]]))
    size = built.type.header.fields[5].type.elem.size
    fake.memory.write(built.places["overflow of 0"] + size - 8, fake.memory.word(built.places["buckets"]))
    _, structure, entries = walk(fake, built)
    assert codes(structure)
    assert structure.overflow <= 2
    assert structure.total.live == 12
    assert entries == 12


def test_a_bucket_that_is_its_own_overflow_bucket() -> None:
    fake, built = classic(ClassicPlan(0, [[FULL]]))
    size = built.type.header.fields[5].type.elem.size
    fake.memory.write(built.places["buckets"] + size - 8, fake.memory.word(built.places["buckets"]))
    _, structure, entries = walk(fake, built)
    assert codes(structure)
    assert structure.total.live == entries == 8


def test_two_chains_that_share_a_bucket() -> None:
    fake, built = classic(ClassicPlan(2, [[FULL, HALF], [FULL, HALF], [FULL], [HALF]]))
    size = built.type.header.fields[5].type.elem.size
    first, shared = (built.places[f"overflow of {i}"] for i in (0, 1))
    assert first < shared
    fake.memory.write(built.places["buckets"] + 3 * size - 8, fake.memory.word(shared))
    _, structure, entries = walk(fake, built)
    assert [a.address for a in structure.anomalies if a.code == "shared-overflow"] == [shared]
    assert structure.overflow == 2
    assert structure.total.live == entries == 36


def test_an_overflow_pointer_into_nowhere() -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    size = built.type.header.fields[5].type.elem.size
    fake.memory.write(built.places["buckets"] + size - 8, fake.memory.word(0xDEAD0000))
    _, structure, entries = walk(fake, built)
    assert [a.address for a in structure.anomalies if a.code == "unreadable"] == [0xDEAD0000]
    assert structure.total.live == entries == 12


def test_what_is_said_of_a_header_that_cannot_be_read() -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    for why, told in (("", "no valid map is there"), ("truncated", "truncated")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fake, "memory", Unreadable(why))
            with pytest.raises(MemoryFault, match=f"^cannot read 48 bytes of memory at {built.address:#x}: {told}$"):
                maps.view(fake, built.type, built.address)


def test_what_is_garbage_is_not_explained_by_its_write_flag() -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    poke(fake.memory, built.type.header, built.address, "B", 63)
    poke(fake.memory, built.type.header, built.address, "flags", 4)
    told = {a["code"]: a["severity"] for a in ask(fake, "hmap-show", "m --json")["anomalies"]}
    assert told["count-mismatch"] == "warning"


@pytest.mark.parametrize("B", [30, 48, 63, 64, 200, 255])
def test_a_B_that_no_map_has(B: int) -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    poke(fake.memory, built.type.header, built.address, "B", B)
    found, structure, entries = walk(fake, built)
    assert structure.anomalies
    assert len(structure.anomalies) < 20
    assert entries == 0
    assert found.count == 12
    for command in ("hmap-show", "hmap-evac"):
        answer = ask(fake, command, "m --json")
        assert answer["anomalies"]
        assert "count-mismatch" in {a["code"] for a in answer["anomalies"]}


@pytest.mark.parametrize("B", [30, 63, 200, 255])
def test_a_B_that_no_growing_map_has(B: int) -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]], same_size=False))
    poke(fake.memory, built.type.header, built.address, "B", B)
    poke(fake.memory, built.type.header, built.address, "oldbuckets", built.places["buckets"])
    _, structure, _ = walk(fake, built)
    assert structure.anomalies
    assert ask(fake, "hmap-evac", "m --json")["anomalies"]


def test_a_count_that_is_wrong() -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    poke(fake.memory, built.type.header, built.address, "count", 11)
    answer = ask(fake, "hmap-show", "m --json")
    assert (answer["data"]["count"], answer["data"]["live"]) == (11, 12)
    assert [(a["severity"], a["code"]) for a in answer["anomalies"]] == [("warning", "count-mismatch")]
    # While a write is under way that is nothing to worry about.
    poke(fake.memory, built.type.header, built.address, "flags", 4)
    answer = ask(fake, "hmap-show", "m --json")
    assert [(a["severity"], a["code"]) for a in answer["anomalies"]] == [("note", "count-mismatch")]


def test_flags_that_mean_nothing() -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    poke(fake.memory, built.type.header, built.address, "flags", 0x90)
    _, structure, _ = walk(fake, built)
    assert "unknown-flags" in codes(structure)


def test_buckets_that_cannot_be_read() -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    poke(fake.memory, built.type.header, built.address, "buckets", 0x1000)
    answer = ask(fake, "hmap-show", "m --json")
    assert {"unreadable", "count-mismatch"} <= {a["code"] for a in answer["anomalies"]}
    assert answer["anomalies"][0]["address"] == "0x1000"
    assert answer["data"]["live"] == 0


@pytest.mark.parametrize(
    ("made", "name"),
    [(classic(ClassicPlan(1, [[FULL], [HALF]])), "B"), (swiss(SwissPlan(None, [TablePlan(0, [CTRL])], [0])), "dirLen")],
)
def test_a_header_that_is_garbage_is_told_in_the_first_lines(made: tuple[ImageTarget, Built], name: str) -> None:
    """A variable that is not set yet points anywhere, and the sizes in its header are no sizes."""
    fake, built = made
    poke(fake.memory, built.type.header, built.address, name, 35)
    text = frontend.run("hmap-show", "m", lambda: fake, Settings(), Style(120)).output
    told = "not all of it can be read (corrupt or uninitialized): 0 entries found, its header counts "
    assert text.splitlines()[1] == f"{told}{maps.view(fake, built.type, built.address).count}"
    assert "never shrinks" not in text
    add(fake, "m", built.type, fake.memory.word(built.address + 1))
    text = frontend.run("hmap-alias", "m", lambda: fake, Settings(), Style(120)).output
    assert text.startswith("m does not point to a valid map\n"), text


def test_an_array_that_can_be_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gomap.golang.layouts.classic.walk.CHUNK", 144 * 4)
    monkeypatch.setattr("gomap.memory.CHUNK", 144 * 4)
    fake, built = classic(ClassicPlan(4, [[HALF] for _ in range(16)]))
    fake.memory.holes.append((built.places["buckets"] + 5 * 144, 8))
    _, structure, entries = walk(fake, built)
    assert "unreadable" in codes(structure)
    # One piece of four buckets is lost.
    assert structure.total.live == entries == 12 * 4
    assert structure.strip is not None
    assert structure.strip.live == [4] * 4 + [0] * 4 + [4] * 8


def test_an_array_of_which_nothing_can_be_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gomap.golang.layouts.classic.walk.CHUNK", 144)
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    poke(fake.memory, built.type.header, built.address, "B", 30)
    poke(fake.memory, built.type.header, built.address, "buckets", 0x1000)
    reads = fake.memory.reads
    walk(fake, built)
    assert fake.memory.reads - reads < 50


def test_a_header_that_cannot_be_read() -> None:
    fake, built = classic(ClassicPlan(0, []))
    with pytest.raises(MemoryFault) as caught:
        maps.view(fake, built.type, 0x10)
    assert caught.value.address == 0x10


def test_a_chain_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gomap.golang.layouts.classic.walk.MAX_CHAIN", 16)
    fake, built = classic(ClassicPlan(0, [[FULL] * 40]))
    _, structure, entries = walk(fake, built)
    assert "chain-too-long" in codes(structure)
    assert 16 * 8 <= structure.total.live <= 18 * 8
    assert entries <= 18 * 8


TABLES = SwissPlan(
    tables=[TablePlan(2, [CTRL, CTRL]), TablePlan(2, [CTRL]), TablePlan(1, [CTRL] * 4)],
    directory=[0, 1, 2, 2],
)


@pytest.mark.parametrize("length", [1 << 60, 1 << 62, (1 << 63) | 1, (1 << 64) - 1, 3, 12345])
def test_a_directory_length_that_no_map_has(length: int) -> None:
    fake, built = swiss(TABLES)
    poke(fake.memory, built.type.header, built.address, "dirLen", length)
    _, structure, entries = walk(fake, built)
    assert "bad-dirlen" in codes(structure)
    assert structure.total.live == entries == 0
    for command in ("hmap-show", "hmap-evac"):
        assert ask(fake, command, "m --json")["anomalies"]


@pytest.mark.parametrize("length", [1 << 20, 1 << 24])
def test_a_directory_that_is_longer_than_its_memory(length: int) -> None:
    fake, built = swiss(TABLES)
    poke(fake.memory, built.type.header, built.address, "dirLen", length)
    reads = fake.memory.reads
    _, structure, _ = walk(fake, built)
    assert {"bad-depth", "unreadable"} <= codes(structure)
    assert len(structure.anomalies) < 20
    assert fake.memory.reads - reads < 100


def classic_of_anything() -> tuple[ImageTarget, Built]:
    """A map that may lead back to itself; its elems are nil."""
    fake, _ = target(AMD64)
    built = build_classic(fake, ClassicPlan(1, [[FULL], [FULL]]), INT, GoType(Kind.INTERFACE, "interface {}", 16))
    for bucket in range(2):
        fake.memory.write(built.places["buckets"] + bucket * (8 + 8 * 8 + 8 * 16 + 8) + 8 + 8 * 8, bytes(8 * 16))
    add(fake, "m", built.type, fake.memory.word(built.address))
    return fake, built


def told_of(fake: ImageTarget, command: str) -> str:
    name, _, rest = command.partition(" ")
    return "\n".join(one["message"] for one in ask(fake, name, f"{rest} --json")["anomalies"])


@pytest.mark.parametrize("command", ["hmap-cycle m", "hmap-alias --all"])
def test_a_header_that_no_map_has_is_not_followed(command: str) -> None:
    fake, built = classic_of_anything()
    assert told_of(fake, command) == ""
    poke(fake.memory, built.type.header, built.address, "flags", 0x80)
    reads = fake.memory.reads
    assert "flags 0x80" in told_of(fake, command)
    assert fake.memory.reads - reads < 20


@pytest.mark.parametrize("command", ["hmap-cycle m", "hmap-alias --all"])
def test_many_more_entries_than_the_header_counts_are_not_followed(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gomap.golang.layouts.structure.TOO_MANY", 4)
    fake, built = classic_of_anything()
    assert told_of(fake, command) == ""
    poke(fake.memory, built.type.header, built.address, "count", 1)
    assert "counts 1 entries and has more than 5" in told_of(fake, command)


def test_the_hashes_of_many_maps_are_told_in_few_lines() -> None:
    report, left = Report({}), [Unchecked("keys", 6, 10, "not hashed")]
    check._cut(report, [(f"m{i}", Checked(10, 4, [], left)) for i in range(40)], every=True)
    assert report.truncated is not None
    assert len(report.truncated) == check.MAX_TOLD + 1
    assert report.truncated[-1] == Cut("hashes of 24 other maps", 96, 240)
    lines = render(report, Style(80)).splitlines()
    assert "  partial      m0: only 4 of 10 hashes were checked" in lines
    assert "  partial      only 96 of 240 hashes of 24 other maps were checked" in lines


def test_a_map_that_can_not_be_walked_is_not_told_as_hashed_in_part() -> None:
    """Nor is a Python without numpy to blame."""
    fake, built = classic_of_anything()
    poke(fake.memory, built.type.header, built.address, "B", 200)
    text = frontend.run("hmap-check", "m", lambda: fake, Settings(), Style()).output
    assert text.startswith("m is corrupt: 1 finding\n")
    assert "none recomputed: its entries can't be reached" in text
    assert "numpy" not in text


def test_a_directory_that_names_few_tables_again_and_again() -> None:
    fake, built = swiss(TABLES)
    length = 1 << 22
    word = fake.memory.word(built.places["table 0"])
    poke(fake.memory, built.type.header, built.address, "dirLen", length)
    poke(fake.memory, built.type.header, built.address, "dirPtr", fake.memory.put(word * (1 << 18)))
    reads = fake.memory.reads
    _, structure, _ = walk(fake, built)
    assert "bad-dirlen" in codes(structure)
    assert fake.memory.reads - reads < 20


def test_a_directory_of_tables_that_cannot_be_read() -> None:
    """Few tables are there, and thousands that the directory names are not: they are not tried one by one."""
    fake, built = swiss(TABLES)
    length, tables = 1 << 14, [built.places[f"table {i}"] for i in range(3)]
    directory = b"".join(
        fake.memory.uint(at, 8) for at in (*tables, *range(1 << 40, (1 << 40) + (length - 3 << 12), 4096))
    )
    poke(fake.memory, built.type.header, built.address, "dirLen", length)
    poke(fake.memory, built.type.header, built.address, "dirPtr", fake.memory.put(directory))
    reads = fake.memory.reads
    _, structure, _ = walk(fake, built)
    assert fake.memory.reads - reads < 5000
    assert structure.total.live == 7 * 3
    assert any("others were not tried" in anomaly.message for anomaly in structure.anomalies)


@pytest.mark.parametrize("mask", [2, 128, 1 << 20, (1 << 64) - 1, 1 << 63])
def test_a_length_mask_that_no_table_has(mask: int) -> None:
    fake, built = swiss(TABLES)
    table = built.type.header.fields[2].type.elem.elem
    groups = table.field("groups")
    assert groups is not None
    at = built.places["table 1"] + groups.offset + 8
    fake.memory.write(at, fake.memory.uint(mask, 8))
    _, structure, entries = walk(fake, built)
    bad = [a for a in structure.anomalies if a.code == "bad-table"]
    assert [a.address for a in bad] == [built.places["table 1"]]
    assert structure.total.live == entries == 6 * 3
    assert "count-mismatch" in {a["code"] for a in ask(fake, "hmap-show", "m --json")["anomalies"]}


def test_a_table_that_cannot_be_read() -> None:
    fake, built = swiss(TABLES)
    fake.memory.write(built.places["directory"], fake.memory.word(0x40))
    _, structure, entries = walk(fake, built)
    assert "unreadable" in codes(structure)
    assert structure.total.live == entries == 5 * 3


def test_a_directory_with_nil_entries() -> None:
    fake, built = swiss(TABLES)
    fake.memory.write(built.places["directory"], fake.memory.word(0))
    _, structure, entries = walk(fake, built)
    assert "nil-table" in codes(structure)
    assert structure.total.live == entries == 5 * 3


def test_groups_that_cannot_be_read() -> None:
    fake, built = swiss(TABLES)
    table = built.type.header.fields[2].type.elem.elem
    groups = table.field("groups")
    assert groups is not None
    fake.memory.write(built.places["table 0"] + groups.offset, fake.memory.word(0x2000))
    _, structure, entries = walk(fake, built)
    assert 0x2000 in {a.address for a in structure.anomalies}
    assert structure.total.live == entries == 5 * 3
    assert structure.main.buckets == 5
    assert structure.strip is not None
    assert sum(structure.strip.live) == 15


def test_a_small_map_whose_group_cannot_be_read() -> None:
    fake, built = swiss(SwissPlan(small=CTRL))
    poke(fake.memory, built.type.header, built.address, "dirPtr", 0x30)
    _, structure, entries = walk(fake, built)
    assert "unreadable" in codes(structure)
    assert entries == 0
    ask(fake, "hmap-show", "m --json --entries 3")


def test_control_bytes_that_mean_nothing() -> None:
    fake, _built = swiss(SwissPlan(small=[1, 0x81, 0xFF, 0x80, 0xFE, 0x90, 2, 0x80]))
    answer = ask(fake, "hmap-show", "m --json")
    assert answer["data"]["live"] == 2
    assert "bad-marks" in {a["code"] for a in answer["anomalies"]}
    assert answer["data"]["slots"] == {"total": 8, "live": 2, "empty": 2, "tombstones": 1, "evacuated": 0}


def test_indirect_entries_that_cannot_be_read() -> None:
    fake, _ = target(AMD64)
    from tests.support.space import array_of

    built = build_classic(fake, ClassicPlan(0, [[HALF]]), array_of(129, basic("uint8")), INT)
    add(fake, "m", built.type, fake.memory.word(built.address))
    first = built.entries[0]
    fake.memory.holes.append((first.key_address + 5, 1))
    answer = ask(fake, "hmap-show", "m --entries 8 --json")["data"]["entries"]
    assert answer[0]["key"] == "<unreadable>"
    assert [e["value"] for e in answer] == [int.from_bytes(e.elem, "little") for e in built.entries]


@settings(max_examples=150)
@given(st.one_of(plans.classic(max_B=3), plans.swiss(max_depth=2)), plans.types(), st.data())
def test_scribbled_memory_never_breaks_the_walk(
    plan: ClassicPlan | SwissPlan, types: dict[str, Any], data: st.DataObject
) -> None:
    """Random bytes over everything: an answer or one clear error, and soon."""
    fake, built = made(plan, types)
    space: Space = fake.memory
    pointers = [*built.places.values(), built.address, 0, 1, (1 << 8 * fake.arch.pointer_size) - 1]
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, len(space.data) - 9))
        if data.draw(st.booleans()):
            at = at // fake.arch.pointer_size * fake.arch.pointer_size
            space.write(space.base + at, space.word(data.draw(st.sampled_from(pointers))))
        else:
            raw = data.draw(st.binary(min_size=1, max_size=8))
            space.write(space.base + at, raw)
    before = space.reads
    try:
        found = maps.view(fake, built.type, built.address)
        structure = found.structure(allocator(fake))
        assert len(structure.anomalies) < 60
        assert structure.total.live >= 0
        for count, _entry in enumerate(found.entries()):
            assert count < 100_000
    except GomapError:
        pass
    assert space.reads - before < 20_000
