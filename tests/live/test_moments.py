"""hmap-snapshot and hmap-diff: what changed between two moments, as the program that changed it has it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from direct.target import DirectTarget, of_process
from gomap.declare import Context
from gomap.snapshots.take import take
from tests.support import debuggers, delves, directly, schema, toolchains
from tests.support.debuggers import Answer, Gdb
from tests.support.delves import Dlv
from tests.support.toolchains import ROOT, Row

PROGRAM = "moments"
DIFF = "-n 0 --json --entries main.Changed"


def check(answer: Answer, truth: Mapping[str, Any], same_process: bool, named_alone: bool = False) -> None:
    """The changes of the program's maps are those that it knows of, and no other. named_alone: of two processes,
    whose maps have no address in common."""
    assert answer.error is None, answer.error
    said = answer.json()
    assert schema.faults(said, schema.answer("hmap-diff")) == []
    data, notes, facts = said["data"], truth["after"]["notes"], truth["after"]["maps"]
    assert data["same_process"] is same_process
    assert data["before"]["lacks"] is data["after"]["lacks"] is None
    known = {(one["what"], one["path"] or None, one["before"], one["after"]) for one in notes["changes"]}
    mine = [one for one in data["maps"] if is_mine(one, notes)]
    told = {(one["change"], one["path"], counts(one, "before"), counts(one, "after")) for one in mine}
    if named_alone:  # chance: how many maps were tried, and with other seeds a map has more overflow buckets, or fewer
        known = {one for one in known if one[1] and not one[1].startswith(("main.Tried", "main.Reused"))}
        told = {one for one in told if one[1] and not one[1].startswith(("main.Tried", "main.Reused"))}
        told = {one for one in told if one[0] in ("appeared", "vanished") or one[2] != one[3]}
    assert told == known
    syncs = [one for one in data["maps"] if one["path"] == "main.Sync"]
    assert [(one["change"], counts(one, "before"), counts(one, "after")) for one in syncs] == [("grew", 3, 7)]
    for one in mine:
        path = one["path"]
        if path in facts and one["after"] is not None:
            assert one["after"]["tombstones"] == facts[path]["slots"]["tombstones"], path
            assert one["after"]["load"] == pytest.approx(facts[path]["load"]), path
            before = truth["before"]["maps"][path]
            if one["before"] is not None:
                assert one["before"]["tombstones"] == before["slots"]["tombstones"], path
                assert one["before"]["load"] == pytest.approx(before["load"]), path
    if not named_alone:
        assert {one["address"] for one in mine} == {one["address"] for one in notes["changes"]}
        replaced = {one["path"] for one in data["maps"] if one["replaced"] and is_mine(one, notes)}
        assert replaced == ({"main.Gone", "main.Reused"} if notes["reused"] else set())
    number = data["number"]
    assert sum(number.values()) - number["vanished"] == data["after"]["maps"]
    assert sum(number.values()) - number["appeared"] == data["before"]["maps"]
    for measure in ("count", "bytes"):
        change = sum(
            (one["after"] or {}).get(measure, 0) - (one["before"] or {}).get(measure, 0) for one in data["maps"]
        )
        assert change == data["after"][measure] - data["before"][measure] == sum(g[measure] for g in data["groups"])
    (entries,) = data["entries"]
    for what, keys in notes["entries"].items():
        assert [one["key"] for one in entries[what]] == keys
    (bob,) = entries["changed"]
    assert "Hits:3," in bob["before"] and "Hits:77," in bob["after"]
    assert entries["number"] == {"added": 1, "removed": 1, "changed": 1, "unchanged": 2}


def is_mine(one: Mapping[str, Any], notes: Mapping[str, Any]) -> bool:
    """Whether it is a map that the program's own variables lead to, or that it has hidden."""
    hidden = {change["address"] for change in notes["changes"] if not change["path"]}
    return one["address"] in hidden or ((one["owner"] or "").startswith("main.") and one["path"] != "main.Sync")


def counts(one: Mapping[str, Any], side: str) -> int:
    return 0 if one[side] is None else int(one[side]["count"])


@pytest.fixture
def snapshot(tmp_path: Path) -> str:
    return str(tmp_path / "before.snap")


def plan(file: str) -> dict[str, list[str]]:
    return {"before": [f"hmap-snapshot {file} --entries main.Changed"], "after": [f"hmap-diff {file} {DIFF}"]}


def test_in_gdb(both_layouts: Row, system_gdb: Gdb, optimised: bool, snapshot: str) -> None:
    asked = debuggers.visit(system_gdb, toolchains.build(PROGRAM, both_layouts, optimised), plan(snapshot))
    check(asked.at("after", plan(snapshot)["after"][0]), asked.truth, same_process=True)


def test_over_delve(both_layouts: Row, dlv: Dlv, snapshot: str) -> None:
    asked = delves.visit(dlv, toolchains.build(PROGRAM, both_layouts, optimised=True), plan(snapshot))
    check(asked.at("after", plan(snapshot)["after"][0]), asked.truth, same_process=True)


@contextmanager
def between(binary: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], Mapping[str, Any]]]]:
    """A process at its first moment, and what takes it to the second and gives its truth."""
    with tempfile.TemporaryDirectory(dir=debuggers.scratch()) as folder:
        truth = Path(folder) / "truth"
        env = debuggers._environment({"GOMAP_MOMENTS": "1", "GOMAP_TRUTH": str(truth)})
        pipe = subprocess.PIPE
        process = subprocess.Popen([str(binary)], env=env, stdin=pipe, stdout=pipe, text=True)
        try:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == "before\n"

            def go_on() -> Mapping[str, Any]:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "after\n"
                return debuggers._published(truth)

            yield process, go_on
        finally:
            process.kill()
            process.communicate()


def test_of_a_process_that_runs(both_layouts: Row, snapshot: str) -> None:
    """gomap pid; and the two files it leaves, compared with no program."""
    with between(toolchains.build(PROGRAM, both_layouts, optimised=True)) as (process, go_on):
        before, after = (line[0] for line in plan(snapshot).values())
        opened = of_process(process.pid)
        assert directly.ask(DirectTarget(opened), before).error is None
        truth = go_on()
        outcome = directly.ask(DirectTarget(opened), after)
        check(Answer("after", after, outcome.output, outcome.error), truth, same_process=True)
        second = f"{snapshot}.2"
        directly.ask(DirectTarget(opened), f"hmap-snapshot {second} --entries main.Changed")
        again = gomap("diff", snapshot, second, *DIFF.split())
        check(Answer("after", "gomap diff", again.stdout, again.stderr or None), truth, same_process=True)


def gomap(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "direct", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_two_core_files(both_layouts: Row) -> None:
    """Of two processes and two builds: maps are compared by type and path."""
    one, two = (
        debuggers.make_core(toolchains.build(PROGRAM, both_layouts, fast), stage)
        for stage, fast in (("before", False), ("after", True))
    )
    programs = ["--program", str(one.binary), "--program", str(two.binary)]
    done = gomap("diff", str(one.path), str(two.path), *programs, *DIFF.split())
    truth = {"before": one.truth["before"], "after": two.truth["after"]}
    check(Answer("after", "gomap diff", done.stdout, done.stderr or None), truth, same_process=False, named_alone=True)


def test_what_allocated_each_map(both_layouts: Row) -> None:
    """As hmap-origin has it, which is compared with what the program says of its own allocations."""
    binary = toolchains.build("origin", both_layouts, optimised=True)
    with directly.waiting(binary, "every") as (process, _):
        target = DirectTarget(of_process(process.pid))
        one, _ = take(Context(target))
        functions = {one.texts[path]: one.texts[origin] for path, origin in zip(one.paths, one.origins)}
        mine = [path for path in functions if path.startswith("main.Keep.")]
        assert len(mine) > 8
        for path in mine:
            told = json.loads(directly.ask(target, f"hmap-origin {path} --json").output)["data"]["origins"]
            assert functions[path] in {line["location"]["function"] for line in told}, path


def test_recorded_maps(system_go: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    """Of one map: two recordings, and a recording and the program. And of all maps, in words: what grew most."""
    old, new = tmp_path / "old.hmap", tmp_path / "new.hmap"
    now, most = f"hmap-diff {old} --json", f"hmap-diff {tmp_path / 'a.snap'} --by entries -n 3"
    commands = {
        "before": [f"hmap-record main.Changed {old}", f"hmap-snapshot {tmp_path / 'a.snap'}"],
        "after": [f"hmap-record main.Changed {new}", now, most],
    }
    asked = debuggers.visit(system_gdb, toolchains.build(PROGRAM, system_go, optimised=True), commands)
    files = json.loads(gomap("diff", str(old), str(new), "--json").stdout)["data"]
    for data in (files, asked.at("after", now).json()["data"]):
        assert data["same_process"] is True and data["number"]["unchanged"] == 1 and not data["maps"]
        (entries,) = data["entries"]
        assert {what: [one["key"] for one in entries[what]] for what in ("added", "removed", "changed")} == (
            asked.truth["after"]["notes"]["entries"]
        )
    told = asked.at("after", most).output
    assert told.startswith("main.Grows grew most: +990 entries") and "(10 to 1,000 entries)" in told, told
