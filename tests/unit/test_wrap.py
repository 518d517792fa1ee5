"""Text in lines as wide as a terminal: nothing is lost, nothing is wider, and paths are broken between their parts."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gomap.commands import registry
from gomap.human import one_line
from gomap.render.text import Style, fit_middle, render
from gomap.report import Listed, Report, Table
from gomap.wrap import columns, for_terminal, terminal_width, wrapped

_names = st.text(st.characters(codec="utf-8", exclude_categories=("Zs", "Zl", "Zp", "Cs")), min_size=1, max_size=60)
_paths = st.lists(st.sampled_from([".Tags", "[12]", '["日本"]', ".(*main.T)", "s", "x́"]), min_size=1, max_size=30)
_word = st.one_of(_names, _paths.map("".join), st.integers(1, 200).map(lambda n: "x" * n))
_texts = st.lists(_word, min_size=1, max_size=12).map(" ".join)


@given(_texts, st.integers(20, 200), st.integers(0, 10))
@example("日" * 50, 21, 2)
@example("é" * 50 + "́" * 7, 20, 0)
def test_lines_fit_and_nothing_is_lost(text: str, width: int, indent: int) -> None:
    shown = one_line(text)
    lines = wrapped(shown, width, indent)
    assert all(columns(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(shown.split())
    assert all(line == line.rstrip() for line in lines) or shown != shown.rstrip()
    assert all(line.startswith(" " * indent) for line in lines[1:])


@given(st.lists(st.integers(1, 15).map(lambda n: "y" * n), min_size=1, max_size=40), st.integers(20, 90))
def test_words_that_fit_are_not_broken(words: list[str], width: int) -> None:
    assert " ".join(wrapped(" ".join(words), width, 2)).split() == words


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ('main.cfg.Sessions["a.b"].Tags', 26, ['main.cfg.Sessions["a.b"]', ".Tags"]),
        # Between parts, not within one, where that leaves no short line.
        ("main.x.(*example.Type).Field", 26, ["main.x.(*example.Type)", ".Field"]),
        ("x.(*github.com/org/project.Type).Field", 27, ["x.(*github.com/org/project", ".Type).Field"]),
        ("github.com/coredns/coredns/core.Map", 24, ["github.com/coredns/", "coredns/core.Map"]),
        ("a" * 30, 20, ["a" * 20, "a" * 10]),
        ("  at main.something.with.parts", 24, ["  at", "main.something.with", ".parts"]),
    ],
)
def test_paths_are_broken_between_their_parts(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines


@pytest.fixture
def terminal() -> Iterator[int]:
    """A terminal of 40 columns."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    yield theirs
    os.close(theirs)
    os.close(ours)


def test_errors_are_wrapped_for_a_terminal_alone(terminal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    message = "hmap-show: no variable 'nosuchvariable' in this frame, the frames that called it, or the packages"
    assert terminal_width(terminal) == 40
    lines = for_terminal(message, terminal).split("\n")
    assert len(lines) == 3 and all(len(line) <= 40 for line in lines)
    assert " ".join(line.strip() for line in lines) == message
    reading, writing = os.pipe()
    try:
        assert for_terminal(message, writing) == message
    finally:
        os.close(reading)
        os.close(writing)
    monkeypatch.setenv("TERM", "dumb")
    assert for_terminal(message, terminal) == message


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_help_fits(width: int) -> None:
    for command in registry.COMMANDS:
        whole = command.help(width)
        examples = {f"  {line}" for line, _ in command.examples}  # which are to be copied
        assert all(columns(line) <= width for line in whole.splitlines() if line not in examples)
        assert "".join(whole.split()) == "".join(command.help().split())
    assert all(columns(line) <= width for line in registry.overview(width).splitlines())


@given(_texts, st.integers(8, 90), st.booleans())
def test_what_is_cut_in_the_middle_fits(text: str, width: int, blocks: bool) -> None:
    shown, mark = one_line(text), "…" if blocks else "..."
    cut = fit_middle(shown, width, blocks)
    assert columns(cut) <= width
    if cut != shown:
        shown = shown.partition("  ")[0] if "  " in shown and mark not in cut.partition("  ")[2] else shown
        places = [i for i in range(len(cut)) if cut.startswith(mark, i)]
        assert any(shown.startswith(cut[:i]) and shown.endswith(cut[i + len(mark) :]) for i in places)


ROWS = [["3", f'main.Sessions["{i}"].Tags.of.a.user', f"0xc00000{i:04x}", "map[string]example.Tag"] for i in range(9)]


@pytest.mark.parametrize("width", range(30, 150, 7))
def test_a_row_is_a_line(width: int) -> None:
    """Columns are left out before a path is cut; and it is told that one is."""
    table = Table(
        ["n", "map", "address", "type"], ROWS, frozenset({0}), middle=1, optional=[3, 2], hint=("map", "--full")
    )
    head, *rows = render(Report({}, ["answer"], [table]), Style(width)).splitlines()[2:]
    assert len(rows) == len(ROWS) + 2 * ("--full" in rows[-1])
    assert all(columns(line) <= width for line in rows)
    whole = all(row[1] in line for row, line in zip(ROWS, rows))
    path, address = (len(ROWS[0][i]) for i in (1, 2))
    least = 2 + 1 + 2 + path
    assert whole == (width >= least)
    assert ("address" in head) == (width >= least + 2 + address)
    assert ("type" in head) == (width >= least + 2 + address + 2 + 16)  # as few columns of it as are worth having
    assert ("--full" in rows[-1]) == (not whole)


def test_items_that_do_not_fit_have_lines_of_their_own() -> None:
    long = ["a.long.path" * 4, "b.long.path" * 4]
    rows = [("main.main", ["m1", "m2"], ""), ("main.worker", long, "2 goroutines: 7-8")]
    told = render(Report({}, ["answer"], [Listed(rows)]), Style(60)).splitlines()[2:]
    first, second = (f"      {path}" for path in long)
    assert told == ["  main.main    m1, m2", "  main.worker (2 goroutines: 7-8)", first, second]
