"""hmap-advise against a program that makes each change itself and measures what it saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from direct.target import DirectTarget, of_core
from gomap import frontend
from gomap.commands import registry
from gomap.declare import Context, Settings
from gomap.render.text import Style
from tests.support import debuggers, delves, schema, toolchains
from tests.support.debuggers import Answer, Gdb
from tests.support.delves import Dlv
from tests.support.toolchains import Row

PROGRAM, STAGE = "advise", "made"
ALL = "hmap-advise -n 0 --min 1 --json"
LARGE = "hmap-advise -n 0 --json"
ONE = "hmap-advise main.Keep.Deleted --json"
NONE = "hmap-advise main.Keep.Few"
TEXT = "hmap-advise -n 3"
FEW = f"{NONE} --min 0"
ASKED = [ALL, LARGE, ONE, NONE, TEXT, FEW]
#: Maps of one type, by its name.
TOGETHER = {"main.Keep.Tiny": "map[uint32]uint64", "main.Keep.Empty": "map[uint16]uint64"}
#: What saves nothing, or can't be done.
UNFIT = {
    ("main.Keep.Presized", "presize"),
    ("main.Keep.Presized", "rebuild"),
    ("main.Keep.Grown", "rebuild"),
    ("main.Keep.Deleted", "presize"),
    ("main.Keep.OneFalse", "set"),
    ("main.Keep.Shared", "values-inline"),
}
#: Strings of the standard library's maps that are there several times.
OTHERS = 8192
#: Of estimates, bytes that each key's hash decides: none in a Swiss map of these sizes.
UNSURE = {"tiny-maps"}


def data_of(answer: Answer) -> Any:
    assert answer.error is None, answer.error
    told = answer.json()
    assert not schema.faults(told, schema.answer("hmap-advise"))
    assert not [one for one in told["anomalies"] if one["severity"] == "error"]
    return told["data"]


def check_figures(data: Any, notes: Any, swiss: bool) -> None:
    """Each change that the program has measured is told, with the bytes that it measured."""
    lines = {(one["path"], one["kind"]): one for one in data["advice"] if one["path"]}
    assert len(lines) == sum(one["path"] is not None for one in data["advice"])
    together = {(one["type"], one["kind"]): one for one in data["advice"] if one["path"] is None}
    every = 0
    for expr, measured in notes.items():
        ((kind, bytes_),) = measured.items()
        if kind == "duplicate-strings":
            every += bytes_
        if expr == "main.Keep.First":
            continue  # it shares its strings with another map: told of all maps together
        name = (TOGETHER[expr], kind) if expr in TOGETHER else (expr, kind)
        if not bytes_:
            assert swiss and name not in lines, name
            continue
        one = (together if expr in TOGETHER else lines)[name]
        told = one["saves"]["allocated" if kind == "presize" else "held"]
        assert abs(told - bytes_) <= one["within"], (expr, kind, told, bytes_, one["within"])
        assert one["within"] == 0 or not swiss or kind in UNSURE, one
        assert one["within"] <= max(bytes_ // 5, 1024), one
    one = together[None, "duplicate-strings"]
    assert 0 <= one["saves"]["held"] - every <= OTHERS
    assert not UNFIT & set(lines)
    assert not any(path == "main.Keep.Few" for path, _ in lines)
    assert (lines["main.Keep.Grown", "presize"]["capacity"], lines["main.Keep.Deleted", "rebuild"]["capacity"]) == (
        48000,
        10,
    )
    top = lines["main.Keep.Again", "duplicate-strings"]["strings"]
    assert {(s["text"], s["length"], s["slots"], s["copies"], s["bytes"]) for s in top} == {
        (f"a common value, number {i}", 24, 500, 500, 499 * 24) for i in range(8)
    }
    assert lines["main.Keep.Inline", "values-inline"]["saves"]["scanned"] > 0
    assert together[TOGETHER["main.Keep.Tiny"], "tiny-maps"]["maps"] == 4096


def check(answers: dict[str, Answer], notes: Any, swiss: bool) -> None:
    data = data_of(answers[ALL])
    check_figures(data, notes["saves"], swiss)
    ranks = [(max(s["held"], 0), s["allocated"], s["scanned"]) for s in (one["saves"] for one in data["advice"])]
    assert ranks == sorted(ranks, reverse=True)
    large = data_of(answers[LARGE])
    assert [one["saves"] for one in large["advice"]] == [
        one["saves"] for one, rank in zip(data["advice"], ranks) if max(rank) >= large["min"]
    ]
    assert len(large["advice"]) + large["below_min"] == len(data["advice"]) + data["below_min"]
    wanted = [one for one in data["advice"] if one["path"] == "main.Keep.Deleted" and one["kind"] == "rebuild"]
    assert data_of(answers[ONE])["advice"] == wanted
    none = "no change would save at least 16.0 KiB of memory held, allocated or scanned\n"
    assert answers[NONE].output.startswith(none + "(1 map with 5 entries looked at)\n")
    text = answers[TEXT].output.splitlines()
    assert text[0].startswith(f"{len(large['advice'])} changes would each save at least 16.0 KiB of memory held")
    # A change that saves nothing is none, whatever the least is.
    few = answers[FEW].output
    assert "-1 change" not in few and few.startswith(("no change would save memory", "1 change would save memory"))
    assert all(len(line) <= 80 for line in text)
    first = large["advice"][0]
    assert "would free 2.3 MiB: rebuild main.Keep.Deleted" in text or not swiss
    assert any(line.split() == ["map", f"{first['address']}:{first['type']}"] for line in text)


@pytest.mark.parametrize("version", ["1.21.13", "1.23.9", "1.24.11", "1.27.3-mapsplitgroup"])
def test_changes(version: str, system_gdb: Gdb) -> None:
    row = next(one for one in toolchains.MATRIX if one.name == version)
    binary = toolchains.build(PROGRAM, row, optimised=version != "1.23.9")
    visited = debuggers.visit(system_gdb, binary, {STAGE: ASKED})
    answers = {line: visited.at(STAGE, line) for line in ASKED}
    check(answers, visited.truth[STAGE]["notes"], swiss=version > "1.24")


def test_changes_over_delve(both_layouts: Row, dlv: Dlv) -> None:
    binary = toolchains.build(PROGRAM, both_layouts, optimised=True)
    visited = delves.visit(dlv, binary, {STAGE: ASKED})
    answers = {line: visited.at(STAGE, line) for line in ASKED}
    check(answers, visited.truth[STAGE]["notes"], swiss=both_layouts.name != "1.23.9")


def test_core(both_layouts: Row, system_gdb: Gdb) -> None:
    """In gdb, and with no debugger: local variables are not known there, and here none leads to a map."""
    core = debuggers.make_core(toolchains.build(PROGRAM, both_layouts, optimised=True), STAGE)
    notes, swiss = core.truth[STAGE]["notes"], both_layouts.name != "1.23.9"
    examined = debuggers.examine(system_gdb, core, [ALL])
    check_figures(data_of(examined.at(STAGE, ALL)), notes["saves"], swiss)
    check_figures(_direct(core.binary, core.path), notes["saves"], swiss)
    check_interrupted(core.binary, core.path)


def check_interrupted(binary: Path, core: Path) -> None:
    """Ctrl-C while strings are compared: what is told of the maps themselves stays."""

    def pressed(what: str, done: int, of: int | None) -> None:
        if what == "strings of maps":
            raise KeyboardInterrupt

    command = registry.find("hmap-advise")
    assert command is not None
    context = Context(DirectTarget(of_core(str(binary), str(core))), progress=pressed)
    report = command.run(context, frontend.parse(command, "-n 0 --min 1"))
    kinds = {one.kind for one in report.data.advice}
    assert {"rebuild", "presize", "tiny-maps"} <= kinds and "duplicate-strings" not in kinds
    assert report.truncated is not None
    assert "the search was interrupted" in [one.what for one in report.truncated]


def _direct(binary: Path, core: Path) -> Any:
    name, _, rest = ALL.partition(" ")
    target = DirectTarget(of_core(str(binary), str(core)))
    outcome = frontend.run(name, rest, lambda: target, Settings(), Style())
    assert outcome.error is None, outcome.error
    told = json.loads(outcome.output)
    assert not schema.faults(told, schema.answer("hmap-advise"))
    return told["data"]
