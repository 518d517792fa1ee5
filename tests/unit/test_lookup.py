"""hmap-get and hmap-check over synthetic maps: what they read, what they do without hashes, and corrupt memory."""

from __future__ import annotations

import struct
from typing import Any
from unittest import mock

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gomap import arrays, frontend, maps
from gomap.columns import choose
from gomap.declare import Settings
from gomap.errors import GomapError
from gomap.golang.hashing.hasher import hasher_of
from gomap.golang.hashing.plans import Float, PlainBytes, typehash_plan
from gomap.golang.layouts.classic.scan import tophash
from gomap.golang.layouts.lookup import lookup
from gomap.recorded import ImageTarget
from gomap.render.text import Style
from gomap.target import Variable
from tests.support import plans
from tests.support.by_hand import (
    ARRAY,
    FULL,
    HALF,
    SEED,
    Lazily,
    ask,
    classic,
    made,
    make,
    overflow_pointer,
    poke,
    swiss,
    with_hashes,
)
from tests.support.space import AMD64, Space, basic
from tests.support.synthetic import Built, ClassicPlan, SwissPlan, TablePlan, classic_type, swiss_type

INT = basic("int")
KEY, VALUE = 4711, 42


def hash_of(fake: ImageTarget) -> int:
    hasher = hasher_of(fake)
    found = hasher.hash(hasher.plans(INT)[0], KEY.to_bytes(8, "little"), SEED)
    assert found is not None
    return found


# -- reads -------------------------------------------------------------------------------------------

SMALL, LARGE = 5, 24


def classic_of(B: int, old: bool) -> tuple[ImageTarget, Lazily]:
    """A map of 2^B buckets, all alike: each holds KEY in its second slot."""
    t = classic_type(INT, INT, 8)
    size = t.header.fields[5].type.elem.size
    more = {"oldbuckets": ARRAY + (size << B + 1), "nevacuate": 1} if old else {}
    fake, memory, address = make(t, count=2 << B, B=B, hash0=SEED, buckets=ARRAY, **more)
    mark = tophash(hash_of(with_hashes(fake)), AMD64)
    entries = [0, KEY, *[0] * 6, 0, VALUE, *[0] * 6, 0]
    bucket = bytes([mark, mark, 0, 0, 0, 0, 0, 0]) + struct.pack("<17q", *entries)
    memory.repeat(ARRAY, 3 << B, bucket)
    fake.variables["m"] = Variable("m", t, data=memory.space.word(address))
    return fake, memory


def swiss_of(depth: int) -> tuple[ImageTarget, Lazily]:
    """A map of 2^depth full tables, all of them one: every group holds KEY in its second slot."""
    t = swiss_type(INT, INT, 8, split=False)
    table_type = t.header.fields[2].type.elem.elem
    fake, memory, address = make(
        t, used=640 << depth, seed=SEED, dirPtr=ARRAY, dirLen=1 << depth, globalDepth=depth, globalShift=64 - depth
    )
    mark = hash_of(with_hashes(fake)) & 0x7F
    record = bytearray(memory.space.record(table_type, used=640, capacity=1024, localDepth=depth))
    groups = table_type.fields[5].offset
    record[groups : groups + 16] = memory.space.word(ARRAY << 1) + memory.space.word(127)
    table = memory.space.put(bytes(record))
    memory.repeat(ARRAY, 1 << depth, memory.space.word(table))
    group = bytes([mark, mark, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]) + struct.pack("<16q", 0, 0, KEY, VALUE, *[0] * 12)
    memory.repeat(ARRAY << 1, 128, group)
    fake.variables["m"] = Variable("m", t, data=memory.space.word(address))
    return fake, memory


@pytest.mark.parametrize("key", [KEY, -1])
@pytest.mark.parametrize("layout", ["classic", "growing", "swiss"])
def test_a_lookup_reads_as_much_in_a_large_map_as_in_a_small_one(layout: str, key: int) -> None:
    counts = []
    for power in (SMALL, LARGE):
        fake, memory = swiss_of(power) if layout == "swiss" else classic_of(power, layout == "growing")
        memory.reads = memory.total = 0
        answer = ask(fake, "hmap-get", f"m {key} --json")
        data = answer["data"]
        assert (data["found"], data["value"], data["walked"]) == (
            (True, VALUE, False) if key == KEY else (False, None, False)
        )
        if key == KEY:  # the first slot has its mark and another key
            assert [(step["slot"], step["matched"]) for step in data["path"]] == [(0, False), (1, True)]
        assert answer["anomalies"] == []
        counts.append((memory.reads, memory.total))
    assert counts[0] == counts[1]
    assert counts[0][0] < 20
    assert counts[0][1] < 2000


# -- without hashes ----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.one_of(plans.classic(max_B=3), plans.swiss(max_depth=2)), plans.types())
def test_every_key_is_found_without_hashes(plan: ClassicPlan | SwissPlan, types: dict[str, Any]) -> None:
    """No symbol tells the process's random keys: all entries are looked at."""
    parts = typehash_plan(types["key"])
    assume(parts is not None and all(isinstance(part, (PlainBytes, Float)) for part in parts))  # nothing lies behind it
    fake, built = made(plan, types)
    found, hasher = maps.view(fake, built.type, built.address), hasher_of(fake)
    assert hasher.known is None and hasher.plans(built.type.key) == []
    for entry in built.entries:
        result = lookup(found, hasher, [], entry.key)
        assert result.walked and result.hash is None
        if result.nan:
            assert not result.found
            continue
        assert result.found and result.elem_address is not None
        same = [e for e in built.entries if e.elem_address == result.elem_address]
        assert result.elem in [e.elem for e in same]
    checked = ask(fake, "hmap-check", "m --json")
    (one,) = checked["data"]["maps"]
    assert (one["entries"], one["hashes_checked"]) == (len(built.entries), 0)
    assert one["address"] is None or any(a["code"] == "no-hash" for a in checked["anomalies"])


@pytest.mark.parametrize("layout", ["classic", "swiss"])
def test_a_walk_is_told(layout: str) -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]])) if layout == "classic" else swiss(SwissPlan([1, 2, 3]))
    entry = built.entries[2]
    key = int.from_bytes(entry.key, "little", signed=True)
    value = int.from_bytes(entry.elem, "little", signed=True)
    answer = ask(fake, "hmap-get", f"m {key} --json")
    data = answer["data"]
    assert (data["found"], data["value"], data["walked"], data["hash"]) == (True, value, True, None)
    assert [(a["severity"], a["code"]) for a in answer["anomalies"]] == [("note", "walked")]
    text = frontend.run("hmap-get", f"m {key}", lambda: fake, Settings(), Style()).output
    assert text.startswith(f"m[{key}] = {value}\n")
    assert "all entries were looked at" in " ".join(text.split())
    absent = next(n for n in range(10**6, 10**7) if n.to_bytes(8, "little") not in [e.key for e in built.entries])
    answer = ask(fake, "hmap-get", f"m {absent} --json")
    assert (answer["data"]["found"], answer["data"]["walked"], answer["data"]["path"]) == (False, True, [])


# -- corrupt maps ------------------------------------------------------------------------------------


def corrupt(fake: ImageTarget, key: int) -> dict[str, Any]:
    """The answer about a key whose lookup can't come to its end: it says so, and how far it came."""
    answer = ask(fake, "hmap-get", f"m {key} --json")
    assert [a["severity"] for a in answer["anomalies"]] == ["error"]
    assert answer["data"]["found"] is False
    text = frontend.run("hmap-get", f"m {key}", lambda: fake, Settings(), Style()).output
    endless = answer["anomalies"][0]["code"] == "endless-search"
    why = "is not in the map, and the program's search for it never ends" if endless else "can't be looked up"
    assert " ".join(text.split()).startswith(f"m[{key}] {why}: the map is corrupt")
    return answer


def test_a_chain_without_an_end() -> None:
    fake, built = classic(ClassicPlan(0, [[FULL, FULL]]))
    with_hashes(fake)
    fake.memory.write(
        overflow_pointer(fake, built, built.places["overflow of 0"]), fake.memory.word(built.places["buckets"])
    )
    answer = corrupt(fake, 7)
    assert answer["anomalies"][0]["code"] == "endless-search"
    assert [step["address"] for step in answer["data"]["path"] if step["slot"] is None] == [
        hex(built.places["buckets"]),
        hex(built.places["overflow of 0"]),
    ]


def test_an_array_that_lies_nowhere() -> None:
    fake, built = classic(ClassicPlan(1, [[FULL], [HALF]]))
    poke(fake.memory, built.type.header, built.address, "buckets", 0x1000)
    answer = corrupt(with_hashes(fake), 7)
    assert answer["anomalies"][0]["code"] == "unreadable"


def test_a_table_without_an_empty_slot() -> None:
    full = list(range(8))
    fake, _ = swiss(SwissPlan(tables=[TablePlan(0, [full, full, full, full])], directory=[0]))
    answer = corrupt(with_hashes(fake), 7)
    groups = {step["bucket"] for step in answer["data"]["path"]}
    assert groups == {0, 1, 2, 3}


def test_a_key_that_cannot_be_read() -> None:
    """A string that lies nowhere, behind the mark that is looked for."""
    t = classic_type(basic("string"), INT, 8)
    fake, memory, address = make(t, count=1, B=0, hash0=SEED, buckets=ARRAY)
    with_hashes(fake)
    fake.variables["m"] = Variable("m", t, data=memory.space.word(address))
    looked = ask(fake, "hmap-get", 'm "x" --json')
    mark = tophash(int(looked["data"]["hash"], 16), AMD64)
    memory.repeat(
        ARRAY, 1, bytes([mark, *[0] * 7]) + struct.pack("<2q", 0x10, 1) + bytes(t.header.fields[5].type.elem.size - 24)
    )
    answer = ask(fake, "hmap-get", 'm "x" --json')
    assert [a["code"] for a in answer["anomalies"]] == ["unreadable"]
    assert [(step["slot"], step["matched"]) for step in answer["data"]["path"]] == [(0, False)]


# -- findings that no program here can be brought to -----------------------------------------------------


def found_in(fake: ImageTarget) -> list[tuple[str, str | None]]:
    """(code, address) of what hmap-check finds; the same with numpy and without."""
    told = []
    for numpy in (arrays.numpy(), None):
        with mock.patch.object(choose, "numpy", lambda np=numpy: np):
            answer = ask(fake, "hmap-check", "m --json")
        findings = [(a["code"], a["address"]) for a in answer["anomalies"] if a["severity"] != "note"]
        assert (answer["data"]["maps"][0]["verdict"] == "corrupt") is bool(findings)
        told.append(findings)
    assert told[0] == told[1]
    return told[0]


def with_overflow() -> tuple[ImageTarget, Built, int]:
    """A map of 16 buckets, one with an overflow bucket, and the address of its mapextra."""
    fake, built = classic(ClassicPlan(4, [[FULL, HALF], *[[HALF]] * 15], noverflow=1))
    extra = built.type.header.field("extra")
    assert extra is not None and found_in(fake) == []
    return fake, built, fake.arch.pointer(fake.memory.read(built.address + extra.offset, 8))


def test_extra_that_lies_nowhere() -> None:
    fake, built, _ = with_overflow()
    poke(fake.memory, built.type.header, built.address, "extra", 0x1000)
    assert found_in(fake) == [("bad-extra", hex(built.address))]


def test_the_next_overflow_bucket_is_in_use() -> None:
    fake, built, extra = with_overflow()
    fake.memory.write(extra + 16, fake.memory.word(built.places["buckets"]))
    assert found_in(fake) == [("bad-next-overflow", hex(extra))]


@pytest.mark.parametrize("tombstones", [0, 5])
def test_a_table_that_searches_never_end_in(tombstones: int) -> None:
    groups = [[*range(8)]] * 3 + [[0xFE] * tombstones + [1] * (8 - tombstones)]
    fake, built = swiss(SwissPlan(tables=[TablePlan(0, groups)], directory=[0], tombstone_possible=True))
    assert found_in(fake) == [("no-empty-slot", hex(built.places["table 0"]))]


@pytest.mark.parametrize("layout", ["classic", "swiss"])
def test_a_key_behind_which_there_is_nothing(layout: str) -> None:
    """A string that lies nowhere."""
    string, mark = struct.pack("<2q", 0x10, 1), 0x77
    if layout == "classic":
        t = classic_type(basic("string"), INT, 8)
        fake, memory, address = make(t, count=1, B=0, hash0=SEED, buckets=ARRAY)
        marks, size = bytes([mark, *[0] * 7]), t.header.fields[5].type.elem.size
    else:
        t = swiss_type(basic("string"), INT, 8, split=False)
        fake, memory, address = make(t, used=1, seed=SEED, dirPtr=ARRAY)
        marks, size = bytes([mark, *[0x80] * 7]), 8 + 8 * 24
    memory.repeat(ARRAY, 1, marks + string + bytes(size - 24))
    fake.variables["m"] = Variable("m", t, data=memory.space.word(address))
    assert found_in(with_hashes(fake)) == [("unreadable-key", hex(ARRAY))]


def test_a_key_that_is_too_long_is_not_read() -> None:
    length, behind = 1 << 23, ARRAY << 1
    t = classic_type(basic("string"), INT, 8)
    fake, memory, address = make(t, count=1, B=0, hash0=SEED, buckets=ARRAY)
    string, size = struct.pack("<2q", behind, length), t.header.fields[5].type.elem.size
    memory.repeat(ARRAY, 1, bytes([0x77, *[0] * 7]) + string + bytes(size - 24))
    memory.repeat(behind, length, b"a")
    fake.variables["m"] = Variable("m", t, data=memory.space.word(address))
    assert found_in(with_hashes(fake)) == []
    assert memory.total < 1 << 16


@settings(max_examples=70)
@given(st.one_of(plans.classic(max_B=3), plans.swiss(max_depth=2)), plans.types(), st.data())
def test_scribbled_memory(plan: ClassicPlan | SwissPlan, types: dict[str, Any], data: st.DataObject) -> None:
    """Random bytes over everything: an answer or one clear line, and soon."""
    fake, built = made(plan, types)
    with_hashes(fake)
    space: Space = fake.memory
    pointers = [*built.places.values(), built.address, 0, 1, (1 << 8 * fake.arch.pointer_size) - 1]
    end = len(space.data) - 64  # the random keys stay
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, end))
        if data.draw(st.booleans()):
            at = at // fake.arch.pointer_size * fake.arch.pointer_size
            space.write(space.base + at, space.word(data.draw(st.sampled_from(pointers))))
        else:
            space.write(space.base + at, data.draw(st.binary(min_size=1, max_size=8)))
    before = space.reads
    for command in ("hmap-check m", "hmap-check m --full --json", "hmap-check --all"):
        name, _, line = command.partition(" ")
        outcome = frontend.run(name, line, lambda: fake, Settings(), Style())
        assert outcome.error is None or "please report" not in outcome.error, outcome.error
    hasher = hasher_of(fake)
    for entry in built.entries[:3]:
        try:
            found = maps.view(fake, built.type, built.address)
            lookup(found, hasher, hasher.plans(built.type.key), entry.key)
        except GomapError:  # the header, or what the key points to
            continue
    assert space.reads - before < 60_000
