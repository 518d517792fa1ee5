"""hmap-entries about maps that are laid out by hand: what it says of entries that it did not look at."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest

from gomap import frontend
from gomap.analysis import sift
from gomap.commands import entries, registry
from gomap.declare import Context, Settings
from gomap.frontend import Outcome
from gomap.recorded import ImageTarget
from gomap.render.text import Style
from gomap.report import Report
from tests.support.by_hand import FULL, HALF, classic, swiss
from tests.support.synthetic import ClassicPlan, SwissPlan, TablePlan

#: Four tables of one group: 24 entries.
TABLES = SwissPlan(tables=[TablePlan(2, [HALF if i else FULL]) for i in range(4)], directory=[0, 1, 2, 3])


def ask(fake: ImageTarget, line: str) -> Outcome:
    return frontend.run("hmap-entries", line, lambda: fake, Settings(), Style())


def data(fake: ImageTarget, line: str) -> Any:
    outcome = ask(fake, f"{line} --json")
    assert outcome.error is None, outcome.error
    return json.loads(outcome.output)


def interrupted(fake: ImageTarget, line: str, after: int) -> Report:
    """The answer where Ctrl-C comes after so many entries."""

    def stop(what: str, done: int, of: int | None) -> None:
        if done >= after:
            raise KeyboardInterrupt

    command = registry.find("hmap-entries")
    assert command is not None
    return entries.run(Context(fake, Settings(), stop), frontend.parse(command, line))


def number_of(fake: ImageTarget) -> int:
    count: int = data(fake, "m --limit 0")["data"]["count"]
    return count


@pytest.mark.parametrize("line", ["m", "m --sort key", "m --where key != 1", "m --csv", "m --keys --csv --sort value"])
def test_an_interrupt_keeps_what_was_found(line: str) -> None:
    fake, _ = swiss(TABLES)
    count = number_of(fake)
    report = interrupted(fake, line, 8)
    looked = report.data.looked_at
    assert 0 < looked < count and report.truncated and report.truncated[0].what == "the search was interrupted"
    left = f"{count - looked} entries were not looked at"
    assert report.unfinished == f"interrupted: {left}"
    if "--csv" in line:
        assert report.plain is not None and "".join(report.plain).count("\n") == looked + 1
    else:
        assert report.answer[-1] == f"(interrupted: {left})"
    if "--where" in line:
        assert report.answer[0].endswith(f"{looked} of {looked} entries match")


@pytest.mark.parametrize("layout", ["classic", "swiss"])
def test_entries_that_are_not_there_are_told(layout: str) -> None:
    fake, built = classic(ClassicPlan(1, [[HALF], [HALF]])) if layout == "classic" else swiss(SwissPlan(small=HALF))
    name = "count" if layout == "classic" else "used"
    field = built.type.header.field(name)
    assert field is not None
    fake.memory.write(built.address + field.offset, fake.memory.uint(100, field.type.size))
    answer = data(fake, "m --where key == 12345678901")
    assert (answer["data"]["matched"], answer["data"]["count"]) == (0, 100)
    assert [one["code"] for one in answer["anomalies"]] == ["count-mismatch"]
    outcome = ask(fake, "m --csv")
    assert outcome.output.startswith("key,value\n") and outcome.error is not None
    assert outcome.error.startswith("hmap-entries: the header counts 100 entries, but ")


def test_csv_that_is_cut_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sift, "MAX_SORTED", 3)
    fake, _ = swiss(TABLES)
    count = number_of(fake)
    assert ask(fake, "m --csv --sort key").error == f"hmap-entries: 3 of {count} entries shown"
    assert ask(fake, "m --csv --sort key --limit 2").error is None
    assert ask(fake, "m --csv").error is None


def test_a_nil_map_has_no_entries() -> None:
    fake, _ = swiss(TABLES)
    fake.memory.write(fake.variables["m"].address, bytes(8))
    outcome = ask(fake, "m --where key > 3")
    assert outcome.error is None and outcome.output.startswith("map[int]int  m: a nil map\n")
    assert ask(fake, "m --csv").output == "key,value\n"
    assert data(fake, "m")["data"]["entries"] == []


@pytest.mark.parametrize("down", [False, True])
def test_what_has_no_order_comes_last(down: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, _ = swiss(SwissPlan(small=HALF))
    every = data(fake, "m")["data"]["entries"]
    orders = [math.nan, 2.0, 1.0, None]
    monkeypatch.setattr(sift, "comparable", lambda *_: orders)
    found = data(fake, f"m --sort value {'--reverse' * down}")["data"]["entries"]
    wanted = [1, 2, 0, 3] if down else [2, 1, 0, 3]
    assert [one["key"] for one in found] == [every[i]["key"] for i in wanted]


def test_rows_in_order_are_chosen_from_many_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, _ = swiss(TABLES)
    monkeypatch.setattr(sift, "_COLLECTED", 5)
    keys = sorted(one["key"] for one in data(fake, "m --limit 0")["data"]["entries"])
    for line, wanted in (("", keys), ("--limit 3", keys[:3]), ("--limit 3 --reverse", keys[::-1][:3])):
        found = data(fake, f"m --sort key {line or '--limit 0'}")["data"]["entries"]
        assert [one["key"] for one in found] == wanted


def test_an_option_is_named_only_where_it_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, _ = swiss(TABLES)
    every = data(fake, "m --limit 0")["data"]["count"]

    def cut(line: str) -> object:
        return [(one["shown"], one["option"]) for one in data(fake, line)["truncated"] or []]

    assert (cut("m --limit 2"), cut("m --limit 0")) == ([(2, "--limit 0")], [])
    assert cut("m --sort key --limit 2") == [(2, "--limit 0")]
    monkeypatch.setattr(sift, "MAX_SORTED", 4)
    assert every > 4
    assert (cut("m --sort key --limit 2"), cut("m --sort key --limit 0")) == ([(2, "--limit N")], [(4, None)])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", (0, 5)),
        ("-5", (0, -5)),
        ("int64(5)", (0, 5)),
        ("float64(2.5)", (0, 2.5)),
        ("1e+20", (0, 1e20)),
        ("1/4", (0, 0.25)),
        ("1/0", (1, "1/0")),
        ("1.5/2", (1, "1.5/2")),
        ("-1" + "0" * 9000, (0, -(10**9000))),
        ("1/1" + "0" * 9000, (0, Fraction(1, 10**9000))),
        ("007", (1, "007")),
        ('"5"', (1, "5")),
        ('main.Name("a\\"b")', (1, 'a"b')),
        ('"abc"...+5 bytes', (1, "abc...+5 bytes")),
        ("10.0.0.1", (1, "10.0.0.1")),
        ("nil", (2, "")),
        ("NULL", (2, "")),
        ("{A:1}", (1, "{A:1}")),
    ],
)
def test_values_that_are_known_by_their_text(text: str, value: tuple[int, object]) -> None:
    assert sift._natural(text) == value
