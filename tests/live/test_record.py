"""hmap-record and `gomap FILE`: a recorded map answers as the live one did, without gdb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gomap import recorded
from gomap.recorded import ImageTarget
from tests.support import debuggers, lookups, session, toolchains
from tests.support.debuggers import Gdb
from tests.support.every_key import MOST, look_up_all
from tests.support.matrix import LAYOUTS
from tests.support.recordings import replay, told
from tests.support.toolchains import SYSTEM, Row

ROOT = Path(__file__).resolve().parents[2]
#: Programs and how many of their maps are recorded: every layout, nil maps, interfaces, all kinds of values.
PROGRAMS = {"basic": 12, "growth": 2, "types": 12, "layout": 8, "deletes": 3}
ENTRIES = 300
#: Of what no key holds the image need not know the type.
INTERFACES = ("map[interface {", "map[fmt.Stringer]")


class Nameless:
    """A recorded map of a program in which nothing leads to the random keys of its hash function."""

    def __init__(self, target: ImageTarget) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # copy.copy asks for such before there is a target
            raise AttributeError(name)
        return getattr(self._target, name)

    def symbol(self, name: str) -> int | None:
        return None if name.endswith("hashkey") else self._target.symbol(name)


def every_key_of(file: str, expr: str, truth: Mapping[str, Any]) -> None:
    """By its hash, and where that is not known by looking at all entries; what is not there is not found either way."""
    target = recorded.load(file)
    by_path, walked = look_up_all(target, {expr: truth}), look_up_all(Nameless(target), {expr: truth}, walked=True)
    assert by_path[expr]["problems"] == walked[expr]["problems"] == [], (expr, by_path, walked)
    assert by_path[expr]["keys"] == min(truth["len"], MOST)
    assert walked[expr]["found"] + walked[expr]["absent"] == len(truth["lookups"])


@pytest.mark.each_kind
@pytest.mark.parametrize("program", PROGRAMS)
def test_replay(
    program: str, toolchain: Row, system_gdb: Gdb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = toolchains.build(program, toolchain, optimised=True)
    exprs = {
        stage: [expr for expr in listed if expr.startswith("main.")][: PROGRAMS[program]]
        for stage, listed in session.published(binary).items()
    }
    files = {
        (stage, expr): tmp_path / f"{stage}-{i}.hmap"
        for stage, listed in exprs.items()
        for i, expr in enumerate(listed)
    }
    asked = {
        (stage, expr): [f"hmap-show {expr} --entries {ENTRIES} --json", f"hmap-evac {expr} --json", lookups.check(expr)]
        for stage, expr in files
    }
    plan = {
        stage: [
            command for expr in listed for command in (*asked[stage, expr], f"hmap-record {expr} {files[stage, expr]}")
        ]
        for stage, listed in exprs.items()
    }
    answers = debuggers.visit(system_gdb, binary, plan)
    for (stage, expr), file in files.items():
        saved = answers.at(stage, f"hmap-record {expr} {file}")
        assert saved.error is None and expr in saved.output, (expr, saved.error)
        truth = answers.truth[stage]["maps"][expr]
        known = [one for one in truth["lookups"] if one["found"] or not truth["type"].startswith(INTERFACES)]
        if toolchain.name in (*LAYOUTS, SYSTEM.name):
            every_key_of(str(file), expr, {**truth, "lookups": known})
        known = known[:: len(known) // 12 + 1]
        gets = [lookups.get(expr, one["key"]) for one in known]
        replayed = replay(file, asked[stage, expr] + gets, capsys)
        for command, again in zip(asked[stage, expr], replayed):
            live = answers.at(stage, command).json()
            assert told(again) == told(live), (stage, command)
            assert again["target"] == {**live["target"], "backend": "image", "kind": "recorded"}
        for one, again in zip(known, replayed[len(asked[stage, expr]) :]):
            assert not lookups.looked_up(again, one), (stage, expr, one)
        file.unlink()


def test_the_launcher(toolchain: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    """bin/gomap from anywhere; the recorded map needs no name."""
    file = tmp_path / "m.hmap"
    binary = toolchains.build("basic", toolchain, optimised=True)
    debuggers.visit(system_gdb, binary, {"start": [f"hmap-record main.Keep.M {file}"]})
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def asked(*lines: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "bin/gomap"), file.name, *[word for line in lines for word in ("-c", line)]]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)

    done = asked("hmap-show main.Keep.M --json", "hmap-show --json")
    assert done.returncode == 0, done.stderr
    named, unnamed = (json.loads(line) for line in done.stdout.splitlines())
    assert told(named) == told(unnamed)
    assert named["data"]["count"] == 1000
    assert asked("hmap-show m").stderr == "hmap-show: no variable 'm' in the file: it has main.Keep\n"
