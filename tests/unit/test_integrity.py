"""What hmap-check says it did not check, and how many faults it counts."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from gomap import arrays, frontend, image
from gomap.columns import choose
from gomap.declare import Settings
from gomap.golang.hashing.hasher import hasher_of
from gomap.golang.layouts import integrity
from gomap.recorded import ImageTarget
from gomap.render.text import Style
from gomap.target import Variable
from tests.support.by_hand import ARRAY, INT, SEED, ask, make, with_hashes
from tests.support.space import basic
from tests.support.synthetic import classic_type, swiss_type

IMAGES = Path(__file__).with_name("images")


def of_strings(layout: str, buckets: int, pointer: int, length: int) -> ImageTarget:
    """A map of strings, eight in each bucket, all at one address."""
    string = struct.pack("<2q", pointer, length) * 8
    if layout == "classic":
        t, marks = classic_type(basic("string"), INT, 8), bytes([0x77] * 8)
        fake, memory, address = make(t, count=8 * buckets, B=buckets.bit_length() - 1, hash0=SEED, buckets=ARRAY)
        size = t.header.fields[5].type.elem.size
    else:
        t, marks = swiss_type(basic("string"), INT, 8, split=False), bytes([0x77] * 8)
        assert buckets == 1
        fake, memory, address = make(t, used=8, seed=SEED, dirPtr=ARRAY)
        size = 8 + 8 * 24
        string = b"".join(struct.pack("<2q", pointer, length) + bytes(8) for _ in range(8))
    memory.repeat(ARRAY, buckets, marks + string + bytes(size - 8 - len(string)))
    fake.variables["m"] = Variable("m", t, data=memory.space.word(address))
    return with_hashes(fake)


def checked(fake: ImageTarget) -> tuple[dict[str, Any], str]:
    answer = ask(fake, "hmap-check", "m --json")["data"]
    text = frontend.run("hmap-check", "m", lambda: fake, Settings(), Style()).output
    (one,) = answer["maps"]
    assert answer["complete"] is (not one["unchecked"])
    return one, text


@pytest.mark.parametrize("numpy", [True, False])
def test_findings_are_counted_one_by_one(numpy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "numpy", arrays.numpy if numpy else lambda: None)
    one, text = checked(of_strings("classic", 8, 0x10, 1))
    assert (one["verdict"], one["ok"], one["findings"]) == ("corrupt", False, 64)
    assert one["kinds"] == [{"code": "unreadable-key", "number": 64}]
    assert text.startswith("m is corrupt: 64 findings\n")
    assert "48 more findings of kind unreadable-key" in text


@pytest.mark.parametrize("layout", ["classic", "swiss"])
def test_memory_that_a_core_file_lacks_is_no_fault(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read of it is said, and is not what is wrong with the map."""
    fake = of_strings(layout, 1, 0x10, 1)
    assert checked(fake)[0]["verdict"] == "corrupt"
    monkeypatch.setattr(fake, "kind", "core")
    monkeypatch.setattr(integrity.Absent, "__call__", lambda self, address: address == 0x10)
    one, text = checked(fake)
    assert (one["verdict"], one["ok"], one["findings"], one["hashes_checked"]) == ("no-fault-found", None, 0, 0)
    (left,) = one["unchecked"]
    assert (left["what"], left["number"]) == ("keys", 8)
    assert text.startswith("m: no fault found in what was checked (0 of 8 keys hashed)\n"), text


@pytest.mark.parametrize("last", ["the slots", "the control word"])
def test_keys_that_a_clear_has_zeroed_are_no_twins(last: str) -> None:
    """Whether the key 0 hashes to H2 0, as the zeroed control word has it, depends on the map's seed."""
    seen = set()
    for seed in range(SEED, SEED + 2000):
        t = swiss_type(INT, INT, 8, split=False)
        fake, memory, address = make(t, used=5, seed=seed, dirPtr=ARRAY, writing=1)
        fake.variables["m"] = Variable("m", t, data=memory.space.word(address))
        hasher = hasher_of(with_hashes(fake))
        zero = hasher.hash(hasher.plans(INT)[0], bytes(8), seed)
        assert zero is not None
        marks = bytes(8) if last == "the slots" else bytes([*[zero & 0x7F] * 2, *range(3), *[0x80] * 3])
        memory.repeat(ARRAY, 1, marks + bytes(128))
        if zero & 0x7F not in seen:
            seen.add(zero & 0x7F)
            one, _ = checked(fake)
            assert (one["verdict"], one["findings"]) == ("intact", 0), (zero & 0x7F, one)
        if len(seen) == 128:
            break
    assert 0 in seen


def test_a_map_whose_keys_were_not_hashed_is_not_called_intact(capsys: pytest.CaptureFixture[str]) -> None:
    file = IMAGES / "1.27.3-types-filled-OddStringToStruct.hmap"
    assert image.main([str(file), "-c", "hmap-check"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("main.OddStringToStruct: no fault found in what was checked (0 of 20 keys hashed)\n"), text
    assert "intact" not in text and "not checked  20 keys not hashed" in text


def test_a_nil_map_is_not_called_intact() -> None:
    fake = of_strings("classic", 1, 0x10, 1)
    fake.variables["m"] = Variable("m", fake.variables["m"].type, data=bytes(8))
    text = frontend.run("hmap-check", "m", lambda: fake, Settings(), Style()).output
    assert text.startswith("nothing to check: m is a nil map[string]int")


def test_a_corrupt_map_says_which_keys_were_not_hashed() -> None:
    t = classic_type(INT, INT, 8)
    size, old = t.header.fields[5].type.elem.size, ARRAY + (1 << 20)
    fake, memory, address = make(t, count=7, B=1, hash0=SEED, buckets=ARRAY, oldbuckets=old)
    memory.repeat(ARRAY, 2, bytes(size))
    memory.repeat(old, 1, bytes([0x77, 3, *[0x77] * 6]) + bytes(size - 8))  # slot 1 is marked as evacuated
    fake.variables["m"] = Variable("m", t, data=memory.space.word(address))
    one, text = checked(with_hashes(fake))
    assert (one["verdict"], one["entries"], one["hashes_checked"], one["share"]) == ("corrupt", 7, 0, 0)
    assert [(left["what"], left["number"]) for left in one["unchecked"]] == [("keys", 7)]
    assert "  not checked  7 keys not hashed" in text
