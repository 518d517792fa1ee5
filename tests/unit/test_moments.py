"""Snapshots in files, however damaged, and what is told of two of them: no program, no debugger."""

from __future__ import annotations

import json
import os
import random
import sys
import zipfile
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from direct import __main__ as gomap
from gomap.errors import BadImage
from gomap.memory import RegionMemory
from gomap.snapshots import file
from gomap.snapshots.columns import COLUMNS, MOST, MOST_LOAD, UNKNOWN_NUMBER, SavedEntries, Snapshot, Source, Texts
from gomap.snapshots.compare import Difference, compare, compare_entries
from gomap.snapshots.file import NotASnapshot, load, write
from gomap.snapshots.take import _Taken
from tests.support.space import AMD64, fake_target

SOURCE = Source("gdb", "live", "go1.27.3", AMD64, "abc", 1_800_000_000)
#: address, seed, entries, bytes, type, path, and clears, array, origin where they matter.
Row = tuple[Any, ...]
EXTRA: Row = (0, 0x1000, "")


def made(rows: Sequence[Row], process: str = "abc", entries: Sequence[SavedEntries] = ()) -> Snapshot:
    texts, one = Texts(), Snapshot(replace(SOURCE, process=process), entries=list(entries))
    texts("")
    for row in rows:
        address, seed, count, held, type_, path, clears, where, origin = (*row, *EXTRA[len(row) - 6 :])
        values = address, seed, clears, where, count, held, 0, count / 8
        words = type_, path, "global" if path else "heap", path.partition("[")[0], origin
        for name, value in zip(COLUMNS, (*values, *map(texts, words))):
            one.column(name).append(value)
    one.texts = texts.all
    one.sort()
    return one


def told(before: Sequence[Row], after: Sequence[Row], processes: tuple[str, str] = ("abc", "abc")) -> Difference:
    return compare(made(before, processes[0]), made(after, processes[1]), "bytes", 0)


M, S = "map[int]int", "map[string]int"


@pytest.mark.parametrize(
    ("after", "same"),
    [
        ((0xC000, 7, 3, 208, M, "main.m"), True),  # the seed says it
        ((0xC000, 7, 3, 208, "", ""), True),  # whatever type was guessed
        ((0xC000, 8, 3, 208, M, "main.m", 0, 0x2000), False),  # freed, and another made there
        ((0xC000, 8, 3, 208, M, "main.m", 1, 0x2000), True),  # cleared, which header counts
        ((0xC000, 8, 0, 208, M, "main.x[1]"), True),  # emptied: it still has its array
        ((0xC000, 8, 3, 208, M, "main.x[1]"), False),  # another map's array may lie there, too
        ((0xC000, 8, 3, 208, M, "main.m"), True),  # emptied and filled again, under its name
        ((0xC000, 8, 3, 65536, M, ""), True),  # no other map is likely to get so large an array
        ((0xC000, 8, 3, 208, S, "main.m", 1), False),
        ((0xC030, 7, 3, 208, M, "main.m"), False),  # a map does not move
    ],
)
def test_which_map_is_which_in_one_process(after: Row, same: bool) -> None:
    found = told([(0xC000, 7, 2, 208, M, "main.m")], [after])
    assert (found.number["appeared"] == found.number["vanished"] == 0) is same
    assert found.every == (1 if same else 2)
    assert all(one.replaced == (after[0] == 0xC000 and after[4] == M) for one in found.changes) or same


def test_which_map_is_which_in_two_processes() -> None:
    """By type and path, of several the largest with each other; without a path by type and what allocated it."""
    before = [
        (0x100, 1, 10, 400, M, "main.m"),
        (0x200, 2, 5, 300, M, "main.x[0]"),
        (0x300, 3, 1, 48, S, ""),
        (0x400, 4, 9, 900, S, ""),
        (0x500, 5, 9, 900, S, "", 0, 0, "main.f"),
    ]
    after = [
        (0x900, 9, 1, 48, S, ""),
        (0x800, 8, 12, 900, S, ""),
        (0x700, 7, 2, 100, S, ""),
        (0x600, 6, 11, 400, M, "main.m"),
        (0x100, 1, 5, 300, S, "main.x[0]"),
        (0x500, 5, 9, 900, S, "", 0, 0, "main.f"),
    ]
    found = told(before, after, ("abc", "def"))
    assert found.same_process is False
    said = {(one.what, one.type, one.path, one.before.count, one.after.count) for one in found.changes}
    assert said == {
        ("grew", M, "main.m", 10, 11),
        ("vanished", M, "main.x[0]", 5, 0),
        ("appeared", S, "main.x[0]", 0, 5),
        ("grew", S, "", 9, 12),
        ("grew", S, "", 1, 2),
        ("appeared", S, "", 0, 1),
    }
    assert found.unchanged == 1
    assert told(before, before, ("", "")).same_process is None


def test_rankings_and_sums_agree() -> None:
    chance = random.Random(1)
    rows = [
        (48 * i, chance.getrandbits(32), chance.randrange(9), 48 * chance.randrange(9), M, f"main.x[{i}]")
        for i in range(500)
    ]
    other = [
        (at, seed, chance.randrange(9), 48 * chance.randrange(9), t, path) for at, seed, _, _, t, path in rows[100:]
    ]
    other += [(48 * i, i, 1, 96, S, "main.y") for i in range(600, 650)]
    found = told(rows, other)
    assert sum(found.number.values()) == found.every == len(found.changes) and found.number["vanished"] == 100
    assert found.number["appeared"] == 50 and found.unchanged == 400 - found.every + 150
    assert [abs(one.bytes) for one in found.changes] == sorted((abs(one.bytes) for one in found.changes), reverse=True)
    assert sum(one.bytes for one in found.changes) == found.after.bytes - found.before.bytes
    assert sum(one.entries for one in found.groups) == found.after.entries - found.before.entries
    best = compare(made(rows), made(other), "bytes", 7)
    assert best.changes == found.changes[:7] and best.every == found.every


def test_entries() -> None:
    before = SavedEntries("m", "map[any]any", 1, [1, 2, "NaN", "NaN"], ["a", True, 1, 2])
    after = SavedEntries("m", "map[any]any", 1, ["NaN", 2, 3, "NaN"], [1, 1, "c", 3])
    found = compare_entries(before, after)
    assert found.added == [(3, "c")] and found.removed == [(1, "a")]
    assert sorted(found.changed, key=str) == [("NaN", 2, 3), (2, True, 1)] and found.unchanged == 1


def test_what_is_not_known_has_not_changed() -> None:
    """Tombstones that could not be read at one of the moments."""
    before, after = (made([(0xC000, 1, count, 208, M, "main.m")]) for count in (1, 2))
    after.tombstones[0] = UNKNOWN_NUMBER
    before.tombstones[0] = 5
    found = compare(before, after, "tombstones", 0)
    assert found.changes[0].tombstones == found.groups[0].tombstones == 0


# -- files -----------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> Path:
    chance = random.Random(2)
    rows = [(48 * i, chance.getrandbits(32), i % 9, 208, M, f'main.x["é{i}"]') for i in range(1, 200)]
    listed = SavedEntries("main.m", "map[string]float64", 0xC000, ["a", "\udcff"], [1.5, True], (True, False), True)
    path = tmp_path / "a.snap"
    write(str(path), made(rows, entries=[listed]), False)
    return path


def test_a_file_is_read_as_it_was_written(written: Path, tmp_path: Path) -> None:
    one = load(str(written))
    write(str(tmp_path / "b.snap"), one, False)
    two = load(str(tmp_path / "b.snap"))
    assert one == two and len(one) == 199 and one.entries[0].keys == ["a", "\udcff"]
    assert one.texts[one.paths[0]] == 'main.x["é1"]' and list(one.addresses)[:2] == [48, 96]


@pytest.mark.parametrize(
    ("count", "held", "load"),
    [(-1, 48, 0.0), (MOST, 48, 0.0), (1, MOST, 0.0), (1, -1, 0.0), (1, 48, float(MOST_LOAD)), (1, 48, float("nan"))],
)
def test_what_no_map_has_is_not_written(count: int, held: int, load: float, tmp_path: Path) -> None:
    """A header that was written to while it was read, or is corrupt, may count anything."""
    columns = _Taken(fake_target(AMD64, RegionMemory([])), None, SOURCE)
    assert columns.row(1, MOST - 1, MOST - 1, MOST_LOAD - 1.0, None, M, "main.m", "global", "main.m")
    assert not columns.row(2, count, held, load, None, M, "main.x", "global", "main.x")
    columns.snapshot.texts = columns.texts.all
    write(str(tmp_path / "a.snap"), columns.snapshot, False)
    assert len(file.load(str(tmp_path / "a.snap"))) == columns.left_out == 1


def test_an_existing_file_is_kept(written: Path) -> None:
    held = written.read_bytes()
    with pytest.raises(BadImage, match="exists already: --overwrite replaces it"):
        write(str(written), made([]), False)
    assert written.read_bytes() == held
    write(str(written), made([]), True)
    assert len(load(str(written))) == 0
    assert [one.name for one in written.parent.iterdir()] == ["a.snap"]


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", stops)
    with pytest.raises(KeyboardInterrupt):
        write(str(tmp_path / "a.snap"), made([]), False)
    assert not list(tmp_path.iterdir())


def test_a_hundred_thousand_maps_are_a_few_megabytes(tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = [
        (
            0xC000000000 + 48 * i,
            chance.getrandbits(32),
            chance.randrange(30),
            416,
            M,
            f"main.cache[{i}].tags",
            0,
            1 << 40 | 208 * i,
        )
        for i in range(100_000)
    ]
    assert write(str(tmp_path / "a.snap"), made(rows), False) < 2 << 20


Edit = Callable[[dict[str, bytes]], None]


def manifest(**changes: Any) -> Edit:
    def edit(members: dict[str, bytes]) -> None:
        members[file.MANIFEST] = json.dumps({**json.loads(members[file.MANIFEST]), **changes}).encode()

    return edit


def member(name: str, data: bytes | Callable[[bytes], bytes]) -> Edit:
    def edit(members: dict[str, bytes]) -> None:
        members[name] = data if isinstance(data, bytes) else data(members[name])

    return edit


def entries(value: object) -> Edit:
    return member(file.ENTRIES, json.dumps(value).encode())


DAMAGE: dict[str, Edit] = {
    "another format": manifest(format="gomap-snapshot/2"),
    "more maps than it has": manifest(maps=200),
    "too many maps": manifest(maps=1 << 40),
    "a negative number": manifest(maps=-1),
    "a fraction": manifest(texts=1.5),
    "true for a number": manifest(running=True),
    "a machine with pointers of 3 bytes": manifest(arch=["amd64", 3, "little"]),
    "no machine": manifest(arch=None),
    "a version that is a list": manifest(go=["go1.27"]),
    "a long name": manifest(process="x" * (1 << 17)),
    "not an object": member(file.MANIFEST, b"[1]"),
    "not JSON": member(file.MANIFEST, b"{"),
    "nested": member(file.MANIFEST, b"[" * 100_000),
    "a number of a thousand digits": member(file.MANIFEST, b'{"maps":' + b"9" * 1000 + b"}"),
    "rows cut short": member(file.ROWS, lambda data: data[:-1]),
    "more rows": member(file.ROWS, lambda data: data + b"\0"),
    "addresses that do not ascend": member(file.ROWS, lambda data: data[:8] + bytes(8) + data[16:]),
    "texts that are not there": member(file.ROWS, lambda data: data[:-4] + b"\xff\xff\xff\x7f"),
    "texts cut short": member(file.TEXTS, lambda data: data[:-1]),
    "texts that are no UTF-8": member(file.TEXTS, lambda data: data[:-1] + b"\xff"),
    "entries of another form": entries({"a": 1}),
    "a map without values": entries([["m", M, 1, [1], [], False, False, False]]),
    "keys that are lists": entries([["m", M, 1, [[1]], [1], False, False, False]]),
    "an address that is a text": entries([["m", M, "1", [1], [1], False, False, False]]),
    "flags that are numbers": entries([["m", M, 1, [1], [1], 0, 0, 0]]),
    "infinite values": member(file.ENTRIES, b'[["m", "map", 1, [1], [1e999], false, false, false]]'),
    "values that are no numbers": member(file.ENTRIES, b'[["m", "map", 1, [1], [NaN], false, false, false]]'),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_files_get_one_line(what: str, written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(written) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    DAMAGE[what](members)
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(BadImage, match=r"a\.snap is a damaged snapshot: "):
        load(str(written))


def test_any_damage_gets_one_line(written: Path) -> None:
    """Bytes changed, pieces cut out, ends cut off, by chance."""
    chance, held = random.Random(4), written.read_bytes()
    for _ in range(300):
        data = bytearray(held)
        at = chance.randrange(len(data))
        how = chance.randrange(3)
        if how == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            del data[at:]
        else:
            del data[at : at + chance.randrange(1, 64)]
        written.write_bytes(data)
        try:
            load(str(written))
        except NotASnapshot:
            pass
        except BadImage as error:
            assert "\n" not in str(error)


def test_a_small_file_can_not_ask_for_much_memory(written: Path) -> None:
    """A megabyte of zip can hold a gigabyte of zeros."""
    with zipfile.ZipFile(written) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[file.ROWS] = bytes(64 << 20)
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(BadImage, match=r"its rows.bin is longer than it can be"):
        load(str(written))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{snap}"], "diff takes two files"),
        (["{snap}", "now"], "there is none here: name two files"),
        (["{snap}", "nothing.snap"], "nothing.snap can't be read: No such file"),
        (["{snap}", "{folder}"], "can't be read: Is a directory"),
        (["{snap}", __file__], "is not a snapshot, a recorded map or a core file"),
        (["{snap}", sys.executable], "not a core file"),
        (["{snap}", "{pipe}"], "is not a snapshot, a recorded map or a core file"),
        (["{snap}", "{snap}"], "there is nothing to compare"),
        (["{snap}", "{other}", "--by", "size"], "--by takes bytes, entries, tombstones or load, not 'size'"),
        (["{snap}", "{other}", "--entries", "main.q"], "does not have the entries of main.q: it has those of main.m"),
    ],
)
def test_what_gomap_diff_refuses(
    arguments: list[str], says: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = written.parent / "b c.snap"
    other.write_bytes(written.read_bytes())
    os.mkfifo(written.parent / "pipe")  # nobody writes to it
    names = {"snap": written, "other": other, "folder": written.parent, "pipe": written.parent / "pipe"}
    status = gomap._run(["diff", *(one.format(**names) for one in arguments)])
    told_of = capsys.readouterr()
    assert status and told_of.out == "" and told_of.err.count("\n") == 1 and says in told_of.err, told_of


def test_gomap_diff_of_files_with_spaces_in_their_names(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = written.parent / "b c.snap"
    other.write_bytes(written.read_bytes())
    assert gomap._run(["diff", str(written), str(other)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("no map has changed\n") and "main.m: 0 keys added, 0 removed, 0 changed, 2 the same" in said
    assert gomap._run(["diff", str(written), str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"]["go"] == "go1.27.3"


def test_changed_entries_that_are_not_shown_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, keys in (("a", [1, 2, 3]), ("b", [4, 5])):
        listed = SavedEntries("main.m", M, 1, list(keys), list(keys))
        write(str(tmp_path / name), made([], entries=[listed]), False)
    for n, text, in_json in ((2, [2, 5], [4, 5]), (3, [3, 5], None), (5, None, None)):
        line = ["diff", str(tmp_path / "a"), str(tmp_path / "b"), "-n", str(n)]
        assert gomap._run(line) == 0
        said = capsys.readouterr().out
        assert (text is None) is ("partial" not in said)
        assert text is None or f"{text[0]} of {text[1]} differences in main.m shown" in said
        assert gomap._run([*line, "--json"]) == 0
        truncated = json.loads(capsys.readouterr().out)["truncated"]
        assert [(one["shown"], one["of"]) for one in truncated or ()] == ([tuple(in_json)] if in_json else [])


def test_what_a_file_says_can_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names are shown, and not obeyed."""
    bad = "\x1b[31m\rmain.x\n\u202e"
    listed = SavedEntries("main.m", bad, 1, [bad, bad + "2"], [bad, bad], (False, False))
    changed = replace(listed, values=[bad, bad + "3"])
    rows = [(0xC000, 1, 1, 48, bad, bad, 0, 0, bad), (0xC030, 1, 1, 48, bad, "", 0, 0, bad)]
    for name, count, entries_ in (("a", 1, listed), ("b", 5, changed)):
        one = made([(at, seed, count, *rest) for at, seed, _, *rest in rows], entries=[entries_])
        one.source = replace(one.source, lacks=bad, go=bad)
        write(str(tmp_path / name), one, False)
    for line in ("", "--json"):
        assert gomap._run(["diff", str(tmp_path / "a"), str(tmp_path / "b"), *line.split()]) == 0
        assert all(text.isprintable() for text in capsys.readouterr().out.split("\n"))


def test_columns_have_the_size_that_the_format_says() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "snapshot-format.md").read_text()
    for name, code in COLUMNS.items():
        assert f"| `{name}` | {array(code).itemsize} |" in text
