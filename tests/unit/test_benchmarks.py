"""The arithmetic of the benchmarks: medians, exponents, what is compared with what, a picture that is XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import report, traced
from benchmarks.measure import Point, exponent, in_turn


def point(series: str, size: int, *seconds: float, way: str = "gdb 13.1", note: str = "") -> Point:
    return Point(series, "go1.27.3 swiss", way, "ints", size, list(seconds), list(seconds), note=note)


def test_exponents_are_those_of_the_times() -> None:
    for power in (0.5, 1.0, 2.0):
        found = exponent(point("show", size, 1e-9 * size**power) for size in (10**4, 10**5, 10**6))
        assert found is not None and abs(found - power) < 1e-9
    assert exponent([point("show", 10**5, 1.0)]) is None
    assert exponent([point("show", 10, 1.0), point("show", 100, 2.0)]) is None


def test_seconds_say_what_was_missed() -> None:
    points = [point("check", 10**6, 0.9), point("check", 10**5, 5.0), point("alias", 10_000, 8.1, way="delve direct")]
    assert [row.endswith("MISSED") for row in report.limits(points)] == [True, False]


def test_the_short_table() -> None:
    points = [point("show", 10**6, 0.25), point("show", 10**7, 9.0), point("raw", 10**5, 0.5), point("get", 10**7, 1.0)]
    points += [point("eval", 10**6, 30.0, way="delve direct"), point("show", 10**6, 2.0, way="delve direct")]
    points.append(Point("range", "go1.27.3", "program", "ints", 10**6, [0.001]))
    rows = [line.split("|")[1:-1] for line in report.markdown({"date": "today"}, points).splitlines()[2:]]
    assert rows[0] == [" median ", " size ", " go1.27.3 swiss, gdb 13.1 ", " go1.27.3 swiss, delve direct "]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}
    assert cells["hmap-show"] == ["1,000,000", "250 ms", "2.0 s"]
    assert cells["plain read of the same memory"] == ["100,000", "500 ms", ""]
    assert cells["Delve's Eval loads the map"] == ["1,000,000", "", "30.0 s"]
    assert cells["the program ranges over it"] == ["1,000,000", "1.0 ms", "1.0 ms"]


def test_ratios_say_what_was_missed() -> None:
    points = [point("raw", 10**6, 1.0, 2.0, 3.0), point("show", 10**6, 3.0, 3.9, 5.0), point("show", 10**5, 9.0)]
    (row,) = report.ratios(points)
    assert "1.95" in row and row.endswith("wanted at most 2")
    points[1].seconds = [4.1]
    assert report.ratios(points)[0].endswith("wanted at most 2: MISSED")
    peers = [point("entries", 10**4, 0.1), point("eval", 10**4, 1.0), point("entries", 10**5, 1.0)]
    peers.append(point("eval", 10**5, 20.5))
    small, large = report.ratios(peers)
    assert "wanted" not in small and large.endswith("wanted at least 20")
    assert report.ratios([*peers[:1], point("eval", 10**4, 1.0, note="lists 3 of 10 entries")]) == []


def test_works_are_done_in_turn() -> None:
    done: list[str] = []
    found = in_turn({"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 0.0)
    assert done == ["a", "b"] * (len(done) // 2)
    assert [len(seconds) for seconds, _ in found.values()] == [len(done) // 2 - 1] * 2


def test_the_picture_is_well_formed() -> None:
    points = [point(series, 10**e, 10.0 ** (e - 8)) for series in ("raw", "show", "entries") for e in (3, 4, 5)]
    points.append(point("runtime-gdb", 10**4, 3.0))
    root = ElementTree.fromstring(report.svg({"machine": "<&>", "date": "today"}, points))
    told = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"hmap-show", "plain read", "100,000", "Go's runtime-gdb.py", "<&>, today"} <= set(told)
    assert "machine: m" in report.text({"machine": "m"}, points)
    ElementTree.fromstring(report.svg({}, []))


def test_a_trace_that_does_not_begin_ends_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for, and the program does not stay."""
    program, gomap = tmp_path / "program", tmp_path / "bin" / "gomap"
    gomap.parent.mkdir()
    gomap.write_text("#!/bin/sh\nexit 1\n")
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\necho waiting\nread line\n")
    for file in (program, gomap):
        file.chmod(0o755)
    monkeypatch.setattr(traced, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="hmap-trace has ended before"):
        traced.beside(program, ["1", "1"])
    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"
