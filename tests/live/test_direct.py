"""gomap core and gomap pid: the same numbers as with a debugger, and a process that never stands still."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from direct.target import DirectTarget, of_core, of_process
from gomap import frontend
from gomap.commands.declare import Settings
from gomap.errors import GomapError
from gomap.render.text import Style
from tests.support import debuggers, session, toolchains
from tests.support.debuggers import Answer, Session
from tests.support.toolchains import ROOT, Row
from tests.support.truths import check_all

#: Every layout, growth, all types of keys and values, constants of the runtime.
PROGRAMS = (("basic", False), ("growth", False), ("layout", True), ("types", True), ("overload", False))


def ask(target: DirectTarget, line: str, depth: int = 40) -> frontend.Outcome:
    name, _, rest = line.partition(" ")
    return frontend.run(name, rest, lambda: target, Settings(depth=depth), Style())


@pytest.mark.parametrize(("program", "fast"), PROGRAMS)
def test_core(program: str, fast: bool, toolchain: Row) -> None:
    binary = toolchains.build(program, toolchain, optimised=fast)
    stages = debuggers.stages(binary)
    core = debuggers.make_core(binary, stages[len(stages) // 2])
    target = DirectTarget(of_core(str(binary), str(core.path)))
    answers = []
    for line in session.questions(session.published(binary)[core.stage]):
        if not line.startswith("set "):
            outcome = ask(target, line)
            answers.append(Answer(core.stage, line, outcome.output, outcome.error))
    # A local variable is nowhere here, as one is that the compiler left out.
    check_all(Session(tuple(answers), core.truth), binary, True, "core")
    top = json.loads(ask(target, "hmap-top -n 0 --json").output)
    assert [one["code"] for one in top["anomalies"]].count("no-locals") == 1
    checked = json.loads(ask(target, "hmap-check --all --json").output)["data"]["maps"]
    assert {one["verdict"] for one in checked} <= {"intact", "no-fault-found"} or program == "overload"


@contextmanager
def running(binary: Path) -> Iterator[int]:
    process = subprocess.Popen([str(binary)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_process(toolchain: Row) -> None:
    binary = toolchains.small("writes-on", toolchain, optimised=True)
    with running(binary) as pid:
        opened = of_process(pid)
        seen = []
        for _ in range(3):
            target = DirectTarget(opened)
            data: dict[str, Any] = json.loads(ask(target, "hmap-show main.Still --json --entries 2000").output)
            assert (data["data"]["count"], data["data"]["live"]) == (1000, 1000)
            assert {one["key"]: one["value"] for one in data["data"]["entries"]} == {f"key {i}": i for i in range(1000)}
            assert [one["code"] for one in data["anomalies"]] == ["running"]
            found = target.variable("main.Done")
            assert found is not None
            seen.append(int.from_bytes(found.read(target.memory, 0, 8), "little"))
            status = Path(f"/proc/{pid}/status").read_text()
            assert "TracerPid:\t0\n" in status and "State:\tT" not in status and "State:\tt" not in status
        assert seen == sorted(set(seen))  # it counts on
        get = json.loads(ask(DirectTarget(opened), 'hmap-get main.Still "key 7" --json').output)["data"]
        assert (get["found"], get["value"], get["walked"]) == (True, 7, False)
        refused = ask(DirectTarget(opened), "hmap-race").error
        assert refused is not None and "this needs goroutines' stacks" in refused
    with pytest.raises(GomapError, match="has ended"):
        DirectTarget(opened)


def gomap(*arguments: str) -> tuple[int, str, str]:
    run = subprocess.run([str(ROOT / "bin" / "gomap"), *arguments], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout, run.stderr


def test_bad_input(system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    other = toolchains.build("alias", system_go, optimised=False)
    core = debuggers.make_core(binary, debuggers.stages(binary)[0])
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for arguments, said in (
        (("pid", "4194303"), "process 4194303 does not exist"),
        (("core", str(empty)), "is not a core file"),
        (("core", str(tmp_path / "none")), "no such file"),
        (("core", str(other), str(core.path)), "another build of the program"),
        (("core", sys.executable, str(core.path)), "another build of the program"),
    ):
        status, out, error = gomap(*arguments, "-c", "hmap-top")
        assert (status, out, error.count("\n")) == (1, "", 1) and said in error, (arguments, error)
    status, out, _ = gomap("core", str(core.path), "-c", "hmap-show main.Keep.M", "-c", "hmap-top -n 1")
    assert out
    run = subprocess.run(
        [str(ROOT / "bin" / "gomap"), "core", str(core.path)],
        input="hmap-top -n 1\nhelp hmap-show\nnonsense\nexit\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0 and "maps hold" in run.stdout and "Usage: hmap-show" in run.stdout
    assert "unknown command 'nonsense'" in run.stderr
