"""Reports as text: as wide as the screen and no wider, plain without colour, the same words with it."""

from __future__ import annotations

import io
import re
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gomap import frontend
from gomap.anomaly import Anomaly
from gomap.answers.facts import unnamed_among
from gomap.declare import Settings
from gomap.render import terminal
from gomap.render import text as as_text
from gomap.render.color import Paint
from gomap.render.text import Style, fit, pad, render
from gomap.report import INTERRUPTED, Bars, Facts, Heat, Lines, Listed, Progress, Report, Table, left_out
from gomap.results.answer import Cut
from gomap.wrap import columns
from tests.support import plans
from tests.support.by_hand import made
from tests.support.synthetic import ClassicPlan, SwissPlan

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")

_word = st.text(alphabet="abcdefgXYZ0189.,:/()[]{}-_é", min_size=1, max_size=24)
_text = st.lists(_word, min_size=1, max_size=24).map(" ".join)
_long = st.integers(1, 300).map(lambda n: "x" * n)
_any = st.one_of(_text, _long, st.just('"日本語"'), st.just("map[string]*example.com/shop/cart.Item"))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    count = draw(st.integers(1, 7))
    cell = st.one_of(_word, _any)
    rows = draw(st.lists(st.lists(cell, min_size=count, max_size=count), max_size=5))
    headings = draw(st.lists(st.text(alphabet="abc", min_size=1, max_size=11), min_size=count, max_size=count))
    columns_ = st.frozensets(st.integers(0, count - 1))
    whole, middle = (draw(st.none() | st.integers(0, count - 1)) for _ in range(2))
    optional = [i for i in draw(columns_) if i != middle]
    hint = ("map", "what was cut") if draw(st.booleans()) else None
    return Table(headings, rows, draw(columns_), draw(columns_), draw(columns_), whole, None, middle, optional, hint)


_fraction = st.floats(0, 1)
_sections = st.one_of(
    st.lists(st.tuples(_any, _any), max_size=4).map(Facts),
    tables(),
    st.lists(st.tuples(_any, st.lists(_any, min_size=1, max_size=3), st.just("") | _any), max_size=4).map(Listed),
    st.builds(Heat, st.just("buckets"), st.lists(_fraction, min_size=1, max_size=64), st.just("16 buckets a cell")),
    st.lists(st.tuples(st.sampled_from("012345678"), st.integers(0, 1 << 36)), max_size=9).map(
        lambda rows: Bars("fill", rows, "groups by entries")
    ),
    st.builds(Progress, _fraction),
    st.lists(_any, max_size=4).map(Lines),
)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    report = Report({}, draw(st.lists(_any, min_size=1, max_size=3)), draw(st.lists(_sections, max_size=5)))
    report.advice = draw(st.lists(_any, max_size=2))
    report.anomalies = [
        Anomaly(
            draw(st.sampled_from(["error", "warning", "note"])),
            "code",
            draw(_any),
            draw(st.integers(0, 1 << 48)),
        )
        for _ in range(draw(st.integers(0, 6)))
    ]
    if draw(st.booleans()):
        report.cut("entries", 3, 1_000_000)
        report.cut(draw(_any), 0, None)
        report.cut("values", 3, None)
    return report


def width_of(line: str) -> int:
    """Columns on a terminal, counted on its own here."""
    plain = ESCAPE.sub("", line)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in plain)


def check(text: str, style: Style) -> None:
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text[:-1].split("\n"):
        assert width_of(line) <= style.width, (style.width, line)
        assert line == line.rstrip() or style.color
    if not style.color:
        assert "\x1b" not in text


@settings(max_examples=200)
@example(Report({}, ["a " * 20 + "b" * 50]), 40, False)
@given(reports(), st.integers(40, 200), st.booleans())
def test_no_line_is_wider_than_the_screen(report: Report, width: int, blocks: bool) -> None:
    check(render(report, Style(width, False, blocks)), Style(width, False, blocks))


@given(reports(), st.integers(40, 200))
def test_colour_adds_escape_codes_and_nothing_else(report: Report, width: int) -> None:
    plain, colored = render(report, Style(width)), render(report, Style(width, color=True))
    assert ESCAPE.sub("", colored) == plain
    assert colored.count("\x1b[0m") * 2 == colored.count("\x1b") or "\x1b[39" in colored


@given(reports(), st.integers(40, 200))
def test_without_blocks_our_own_characters_are_ascii(report: Report, width: int) -> None:
    given_text = str(report)
    assert all(c.isascii() or c in given_text for c in render(report, Style(width)))


@settings(max_examples=40)
@given(st.one_of(plans.classic(max_B=4), plans.swiss()), plans.types(), st.integers(40, 200), st.booleans())
def test_real_answers_fit(plan: ClassicPlan | SwissPlan, types: dict[str, Any], width: int, blocks: bool) -> None:
    fake, _ = made(plan, types)
    style = Style(width, False, blocks)
    for name, line in (
        ("hmap-show", "m --entries 5"),
        ("hmap-evac", "m"),
        ("hmap-alias", "--all"),
        ("hmap-alias", "m m"),
    ):
        outcome = frontend.run(name, line, lambda: fake, Settings(), style)
        assert outcome.error is None
        check(outcome.output, style)
        assert blocks or outcome.output.isascii()


def test_a_table_without_tabulate_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(("a", "number"), [("x", "1"), ("long  er", "10,000")], frozenset({1}))
    report = Report({}, ["answer"], [table])
    with_it = render(report, Style())
    monkeypatch.setattr(as_text, "_tabulated", lambda section, rows: None)
    assert render(report, Style()) == with_it
    assert with_it.split("\n")[2:5] == ["  a         number", "  x              1", "  long  er  10,000"]


def test_the_heat_strip_shows_empty_and_full() -> None:
    report = Report({}, ["answer"], [Heat("buckets", [0.0, 0.01, 0.5, 0.99, 1.0], "one bucket a cell")])
    assert "buckets" in render(report, Style())
    ascii_strip = render(report, Style()).split("\n")[2].split()[1]
    assert (ascii_strip[0], ascii_strip[-1]) == (".", "9")
    assert ascii_strip[1] == "1"
    block_strip = render(report, Style(blocks=True)).split("\n")[2].split()[1]
    assert (block_strip[0], block_strip[1], block_strip[-1]) == ("·", "▁", "█")
    assert len(ascii_strip) == len(block_strip) == 5


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (Cut(INTERRUPTED, 1, 4), "the search was interrupted after 1 of 4"),
        (Cut("main.m: hashes", 60, 100), "main.m: only 60 of 100 hashes were checked"),
        (Cut("maps", 5, 9, "-n 0"), "5 of 9 maps shown (-n 0 shows all)"),
        (Cut("entries", 5, 9, "--limit N"), "5 of 9 entries shown (--limit N shows more)"),
        (Cut("values", 5, None), "long values are truncated (a larger `set hmap depth` shows more)"),
    ],
)
def test_what_is_left_out_in_words(cut: Cut, words: str) -> None:
    assert left_out(cut) == words


@pytest.mark.parametrize(
    ("number", "on_stacks", "where"),
    [
        (3, 0, "are in the heap"),
        (3, 3, "are on the stacks"),
        (3, 1, "are in the heap and on the stacks"),
        (1, 1, "is on the stacks"),
    ],
)
def test_where_maps_without_a_variable_are(number: int, on_stacks: int, where: str) -> None:
    them = "it" if number == 1 else "them"
    said = f"({number} of these maps {where}; none of the variables searched leads to {them})"
    assert unnamed_among(number, on_stacks) == said


def test_bars_show_what_is_there_at_all() -> None:
    bars = Bars("fill", [("0", 1), ("8", 1_000_000), ("3", 0)], "groups by entries")
    text = render(Report({}, ["answer"], [bars]), Style())
    assert text.split("\n")[2].split() == ["fill", "groups", "by", "entries"]
    lengths = [line.count("#") for line in text.split("\n")[3:6]]
    assert lengths[0] == 1
    assert lengths[1] > 10
    assert lengths[2] == 0


def test_the_worst_anomaly_stands_first() -> None:
    told = [Anomaly("note", "a", "one"), Anomaly("error", "b", "two"), Anomaly("warning", "c", "three")]
    told += [Anomaly("error", "b", "four")]
    lines = render(Report({}, answer=["m"], anomalies=told), Style()).splitlines()
    assert [line.split()[-1] for line in lines[2:]] == ["two", "four", "three", "one"]
    assert [one.message for one in told] == ["one", "two", "three", "four"]


def test_anomalies_name_their_address_once() -> None:
    report = Report(
        {}, ["answer"], anomalies=[Anomaly("error", "x", "lost", 0x10), Anomaly("note", "y", "at 0x20", 0x20)]
    )
    text = render(report, Style())
    assert "lost (at 0x10)" in text
    assert text.count("0x20") == 1


@given(st.text(max_size=40), st.integers(3, 30), st.booleans())
def test_cut_text_fits(text: str, width: int, blocks: bool) -> None:
    cut = fit(text, width, blocks)
    assert columns(cut) <= width
    assert cut == text if columns(text) <= width else cut.endswith("…" if blocks else "...")
    assert columns(pad(cut, width)) == width


def test_paint_without_colour_changes_nothing() -> None:
    paint = Paint(False)
    assert paint("red", "x") == paint.heat(0.5, "x") == paint.code("x") == "x"


def test_paint() -> None:
    paint = Paint(True)
    assert paint("red", "x") == "\x1b[31mx\x1b[0m"
    assert paint("red", "") == ""
    assert len({paint.heat(i / 9.5, "x") for i in range(10)}) == 10
    assert ESCAPE.sub("", paint.code('main.T{A:1, B:"x"}')) == 'main.T{A:1, B:"x"}'
    assert ESCAPE.sub("", paint.code(" x ")) == " x "


@pytest.mark.parametrize(("severity", "told"), [("error", 9), ("warning", 3), ("note", 3)])
def test_alike_warnings_are_told_in_part(severity: str, told: int) -> None:
    """An error is a finding, and each is told."""
    report = Report({}, ["all intact"])
    report.anomalies = [Anomaly(severity, "unreadable", f"value {i}", None) for i in range(9)]
    report.anomalies.append(Anomaly(severity, "stack", "another", None))
    lines = render(report, Style(80)).splitlines()
    assert lines[0] == "all intact"
    assert sum("value " in line for line in lines) == told
    assert sum("another" in line for line in lines) == 1
    assert any("6 more like these: --json lists them" in line for line in lines) == (told == 3)


def test_what_a_table_tells_whole_stands_under_each_other() -> None:
    name, t = "example.com/shop/cart.Items[3].index", "map[string]*cart.Item"
    rows = [["1.5 KiB", "12", name, t], ["64 B", "1", "m", "map[int]int"]]
    report = Report({}, [], [Table(["held", "entries", "map", "type"], rows, frozenset({0, 1}), whole=2)])
    wide = [line.split() for line in render(report, Style(100)).splitlines() if line]
    assert wide[0] == ["held", "entries", "map", "type"] and wide[1] == ["1.5", "KiB", "12", name, t]
    narrow = [line for line in render(report, Style(60)).splitlines() if line]
    assert [line.split() for line in narrow] == [
        ["held", "entries", "map,", "type"],
        ["1.5", "KiB", "12", name],
        [t],
        ["64", "B", "1", "m"],
        ["map[int]int"],
    ]
    assert {line.index(word) for line, word in zip(narrow, ("map,", name, t, "m", "map[int]int"))} == {
        narrow[1].index(name)
    }


@pytest.mark.parametrize("width", [36, 40, 60, 70])
def test_what_a_table_tells_whole_stands_below_where_little_is_left_beside(width: int) -> None:
    """A path is broken between its parts, never within a name."""
    path = "main.Server.accounts.subscriptions.cache"
    rows = [["goroutine 29 main.(*client).loop", "752", path], ["package variable", "", "main.Keep"]]
    report = Report({}, [], [Table(["root", "others", "shortest path"], rows, frozenset({1}), whole=2)])
    lines = render(report, Style(width)).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("  goroutine 29"))
    end = next(i for i, line in enumerate(lines) if "package variable" in line)
    below = [line for line in lines[start:end] if line.startswith("      ")]
    root = " ".join(" ".join(line for line in lines[start:end] if line not in below).split())
    assert root == "goroutine 29 main.(*client).loop 752"
    told = [line.strip() for line in below]
    assert "".join(told) == path and all(part.startswith(("main", ".")) for part in told)
    assert lines[end + 1 :] == ["      main.Keep"] and lines[start - 1] == "      shortest path"


def test_names_are_cut_at_the_front() -> None:
    for blocks, mark in ((True, "…"), (False, "...")):
        cut = fit("github.com/you/shop.(*Cart).Add", 14, blocks, at_front=True)
        assert cut.startswith(mark) and cut.endswith("Cart).Add") and columns(cut) == 14
    assert fit("main.f", 14, True, at_front=True) == "main.f"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_table_whose_only_column_is_kept(width: int) -> None:
    """As of the keys alone: no other column can give way to it."""
    report = Report({}, sections=[Table(("key",), [("k" * 200,)], kept=0)])
    assert "kkkk" in render(report, Style(width=width))


def test_output_that_lacks_our_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    terminal.write("größer\n")
    narrow.seek(0)
    assert narrow.read() == "gr\\xf6\\xdfer\n"
