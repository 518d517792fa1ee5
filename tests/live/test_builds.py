"""Programs built, linked and loaded in other ways: right against their own truth, or one line on what is missing."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import debuggers, delves, machines, matrix, session, toolchains, truths
from tests.support.builds import BARE, CLASSIC, WHOLE, bridge, built
from tests.support.complaints import batch
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.lookups import check, intact
from tests.support.toolchains import MATRIX, SYSTEM, Row

ALIAS = "hmap-alias --scope all --all --json"
#: A classic toolchain with one gdb, a Swiss one with the other, and that with Delve.
ROWS = {"1.23.9": "system", "1.27.3": "pypi-18.1"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row_gdb" in metafunc.fixturenames:
        full = matrix.is_full(metafunc.config)
        rows = [row for row in MATRIX if row.name in ROWS] if full else [SYSTEM]
        cases = [
            pytest.param(name, (row, ROWS.get(row.name, "system")), id=f"{name}-go-{row.name}")
            for row in rows
            for name in (CLASSIC if row.name == "1.23.9" else WHOLE)
        ]
        metafunc.parametrize("name, row_gdb", cases, indirect=["row_gdb"])


@pytest.fixture
def row_gdb(request: pytest.FixtureRequest) -> tuple[Row, Gdb]:
    row, gdb = request.param
    return matrix.ensured(request.config, row), matrix.find_gdb(request.config, gdb)


def keys_of(expr: str) -> tuple[str, ...]:
    """Keys that the program's map of this name has, and one that it has not."""
    known = {".Keep.M": ("7", "1000"), ".Keep.Ints": ("3", "-1"), ".Keep.Words": ('"word-c"', '"word 3"', '"no"')}
    return next((keys for end, keys in known.items() if expr.endswith(end)), ())


def get(expr: str, key: str) -> str:
    return f"hmap-get {expr} {key} --json"


def questions(exprs: tuple[str, ...]) -> list[str]:
    gets = [get(expr, key) for expr in exprs for key in keys_of(expr)]
    return [*session.questions(exprs), *map(check, exprs), *gets, ALIAS]


def judge(answers: Session, binary: Path, kind: str, unwound: bool = True) -> None:
    """Every answer, against what the program published. unwound: whether the debugger knows the goroutines' stacks."""
    truths.check_all(answers, binary, False, kind)
    stages = dict.fromkeys(answer.stage for answer in answers.answers)
    found = 0
    for stage in stages:
        maps = answers.truth[stage]["maps"]
        for expr, truth in maps.items():
            checked = answers.at(stage, check(expr))
            assert checked.error is None and not intact(checked.json(), truth), (stage, expr, checked)
            found += sum(right_value(answers.at(stage, get(expr, key)), key, truth) for key in keys_of(expr))
        searched_as_published(answers.at(stage, ALIAS).json(), maps, unwound)
    assert found >= 2


def right_value(answer: debuggers.Answer, key: str, truth: Any) -> bool:
    """hmap-get's answer is the entry that the program published, or there is none in either."""
    assert answer.error is None, answer
    entries = {json.dumps(k): v for k, v in truth["entries"] or ()}
    data = answer.json()["data"]
    wanted = json.dumps(json.loads(key))
    assert data["found"] == (wanted in entries), (key, data)
    assert not data["found"] or data["value"] == entries[wanted], (key, data)
    assert data["walked"] is False
    return bool(data["found"])


def searched_as_published(answer: Any, maps: Any, unwound: bool) -> None:
    """Package variables of one map are holders of one group, no map that a closure captured is taken for one of
    another type, and nothing could not be read, C's frames on the stack or not."""
    told = [a for a in answer["anomalies"] if a["severity"] != "note" and (unwound or a["code"] != "stack")]
    assert told == [], told[:3]
    types = {truth["address"]: truth["type"] for truth in maps.values()}
    seen = {group["address"]: group["type"] for group in answer["data"]["groups"] if group["address"] in types}
    assert seen and seen == {address: types[address] for address in seen}
    groups = {g["address"]: {h["path"] for h in g["holders"]} for g in answer["data"]["groups"]}
    for address in {truth["address"] for truth in maps.values() if not truth["nil"]}:
        names = {expr for expr in maps if maps[expr]["address"] == address and ".Keep." in expr}
        holders = groups.get(address, set())
        assert len(names) < 2 or all(any(h.startswith(name) for h in holders) for name in names), (names, holders)


#: Where C called Go in a library Delve finds none of the goroutines; behind the callback it goes on along the stack
#: that the goroutine had before.
LOST = ("c-shared", "cgo")


def test_in_gdb(name: str, row_gdb: tuple[Row, Gdb], request: pytest.FixtureRequest) -> None:
    row, gdb = row_gdb
    binary = built(request.config, name, row)
    commands = {
        stage: [*questions(exprs), f"source {session.EVERY_KEY}", "get-every-key"]
        for stage, exprs in session.published(binary).items()
    }
    answers = debuggers.visit(gdb, binary, commands)
    judge(answers, binary, "live")
    for stage in commands:
        looked = answers.at(stage, "get-every-key").json()
        assert all(one and not one["problems"] for one in looked.values()), (stage, looked)


@pytest.mark.parametrize("name", WHOLE)
def test_through_delve(name: str, swiss_go: Row, dlv: Dlv, request: pytest.FixtureRequest) -> None:
    binary = built(request.config, name, swiss_go)
    commands = {stage: questions(exprs)[1:] for stage, exprs in session.published(binary).items()}
    judge(delves.visit(dlv, binary, commands), binary, "live", unwound=name not in LOST)


@pytest.mark.parametrize("name", ["pie", "split", "cgo", "c-shared", "plugin"])
def test_core(name: str, swiss_go: Row, system_gdb: Gdb, request: pytest.FixtureRequest) -> None:
    binary = built(request.config, name, swiss_go)
    core = debuggers.make_core(binary, debuggers.stages(binary)[0])
    asked = questions(session.published(binary)[core.stage])
    judge(debuggers.examine(system_gdb, core, asked), binary, "core")


@pytest.mark.parametrize("name", ["pie", "split", "cgo"])
def test_core_through_delve(name: str, swiss_go: Row, dlv: Dlv, request: pytest.FixtureRequest) -> None:
    binary = built(request.config, name, swiss_go)
    core = debuggers.make_core(binary, debuggers.stages(binary)[0])
    asked = questions(session.published(binary)[core.stage])[1:]
    judge(delves.examine(dlv, core, asked), binary, "core", unwound=name not in LOST)


@pytest.mark.parametrize("name", ["c-shared", "plugin"])
def test_delve_reads_no_libraries_of_cores(name: str, swiss_go: Row, dlv: Dlv, request: pytest.FixtureRequest) -> None:
    """A limit of Delve's: the first line says so, and what to use."""
    binary = built(request.config, name, swiss_go)
    core = debuggers.make_core(binary, "start")
    _, errors, status = bridge(dlv, "core", str(binary), str(core.path), "-c", "hmap-show main.Keep.Ints")
    assert status == 1
    assert "Delve reads no libraries of core files: gdb shows the maps of " in errors[0]
    assert errors[0].endswith(f"(gdb-hmap {binary} {core.path})")


@pytest.mark.parametrize("name", BARE)
def test_without_debug_information(
    name: str, swiss_go: Row, system_gdb: Gdb, dlv: Dlv, request: pytest.FixtureRequest
) -> None:
    """One line that says how the program came to have none, and what to do."""
    binary = built(request.config, name, swiss_go)
    told = BARE[name][1]
    _, errors, _ = batch(system_gdb, [str(binary), "-ex", "starti"], ["hmap-show main.Keep.M"])
    assert len(errors) == 1 and "no Go debug information" in errors[0] and told in errors[0], errors
    output, errors, status = bridge(dlv, "exec", str(binary), "-c", "hmap-show main.Keep.M")
    assert (output, status) == ("", 1)
    assert "no Go debug information" in errors[-1] and told in errors[-1], errors
    assert not [line for line in errors[:-1] if line.startswith("hmap-")]


def test_a_program_for_another_machine(swiss_go: Row, dlv: Dlv) -> None:
    """Delve would start a 386 program on amd64 and wreck it."""
    for arch in ("386", "arm64"):
        binary = toolchains.build("basic", swiss_go, False, arch)
        output, errors, status = bridge(dlv, "exec", str(binary), "--break", "main.stop", "-c", "hmap-show main.Keep.M")
        assert (output, status, len(errors)) == ("", 1, 1), errors
        assert f"is a program for {arch}" in errors[0] and "use gdb" in errors[0]


# -- processes that come and go ----------------------------------------------------------------------------


def test_at_exit(swiss_go: Row, system_gdb: Gdb) -> None:
    """In exit_group: all is still there."""
    binary = toolchains.build("basic", swiss_go, optimised=False)
    exprs = session.published(binary)["start"]
    start = ("catch syscall exit_group", "run")
    answers = machines.visit(system_gdb, machines.HERE, binary, {"start": session.questions(exprs)}, start=start)
    truths.check_all(answers, binary, True, "live")  # locals are gone


def test_in_exec(swiss_go: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    """Before, at and after the exec of a Go program by another."""
    binary = toolchains.build("basic", swiss_go, optimised=False)
    show, truth = "hmap-show main.Keep.M --json", tmp_path / "truth"
    commands = [
        f"set args {binary}",
        "starti",
        show,
        "catch exec",
        "continue",
        show,
        "break main.stop",
        "continue",
        show,
        "kill",
        show,
    ]
    out, errors, _ = batch(system_gdb, ["/usr/bin/env"], commands, {"GOMAP_TRUTH": str(truth), "GOMAP_STAGE": "none"})
    before, at, after, gone = (json.loads(line) for line in out if line.startswith("{"))
    assert "is not a Go program" in before["error"]["message"] and gone["error"]["code"] == "no-process"
    assert len([line for line in errors if line.startswith("hmap-show: ")]) == 2
    assert [anomaly["code"] for anomaly in at["anomalies"]] == ["not-started"] and at["data"]["nil"]
    published = json.loads(truth.read_text())["maps"]["main.Keep.M"]
    assert after["data"]["count"] == after["data"]["live"] == published["range"] == published["len"]
    assert (after["data"]["address"], after["anomalies"]) == (published["address"], [])


def test_at_the_start_through_delve(swiss_go: Row, dlv: Dlv) -> None:
    """`dlv exec` stops before the first instruction."""
    binary = toolchains.build("basic", swiss_go, optimised=False)
    output, errors, status = bridge(dlv, "exec", str(binary), "-c", "hmap-show main.Keep.M --json")
    answer = json.loads(output)
    assert status == 0 and answer["data"]["nil"], errors
    assert [anomaly["code"] for anomaly in answer["anomalies"]] == ["not-started"]


def test_a_process_that_has_ended(swiss_go: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """A zombie: its memory is gone, and the debugger can't have it."""
    process = subprocess.Popen([str(toolchains.build("basic", swiss_go, False)), "-stages"], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while "Z" not in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        output, errors, status = bridge(dlv, "attach", str(process.pid), "-c", "hmap-show main.Keep.M")
        assert (output, status, len(errors)) == ("", 1, 1) and "could not attach" in errors[0], errors
        _, errors, _ = batch(system_gdb, ["-p", str(process.pid)], ["hmap-show main.Keep.M"])
        assert [line for line in errors if line.startswith("hmap-show: no process")], errors
    finally:
        process.kill()
        process.wait()
