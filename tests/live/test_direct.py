"""gomap core and gomap pid: the same numbers as with a debugger, and a process that never stands still."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from direct import pause
from direct.pause import stopped
from direct.target import DirectTarget, Opened, of_process
from gomap.errors import GomapError
from tests.support import debuggers, directly, races, session, toolchains
from tests.support.races import RACE, WORDS
from tests.support.toolchains import ROOT, Row
from tests.support.truths import check_all

#: Every layout, growth, all types of keys and values, constants of the runtime.
PROGRAMS = (("basic", False), ("growth", False), ("layout", True), ("types", True), ("overload", False))


@pytest.mark.parametrize(("program", "fast"), PROGRAMS)
def test_core(program: str, fast: bool, toolchain: Row) -> None:
    binary = toolchains.build(program, toolchain, optimised=fast)
    stages = debuggers.stages(binary)
    core = debuggers.make_core(binary, stages[len(stages) // 2])
    asked = [line for line in session.questions(session.published(binary)[core.stage]) if not line.startswith("set ")]
    check_all(directly.examine(core, asked), binary, fast, "core")
    top, everything = directly.examine(core, ["hmap-top -n 0 --json", "hmap-check --all --json"]).answers
    assert not [one for one in top.json()["anomalies"] if one["code"] == "stack"]
    checked = everything.json()["data"]["maps"]
    assert {one["verdict"] for one in checked} <= {"intact", "no-fault-found"} or program == "overload"


@pytest.mark.parametrize("paused", [False, True], ids=["runs", "paused"])
def test_who_is_inside(paused: bool, toolchain: Row) -> None:
    """A live process with no debugger: goroutines that wait inside map operations, and one that spins in one, which is
    seen where the process stands still."""
    binary = toolchains.build("race", toolchain, optimised=True)
    answers = directly.visit(binary, "inside", [RACE, WORDS], paused)
    said, truth = answers.at("inside", RACE).json(), answers.truth["inside"]
    spins = {step.goroutine for step in races.inside(truth) if step.function == "main.(*Registry).spin"}
    seen = {one["goroutine"] for one in said["data"]["inside"]}
    codes = {one["code"] for one in said["anomalies"]}
    assert len(spins) == 1 and (codes == set() if paused else codes >= {"running"})
    if not paused and not spins & seen:  # it had a thread: the answer says so
        assert races.warned(answers.at("inside", RACE)) == spins
    wanted = [step for step in races.inside(truth) if paused or step.goroutine not in spins - seen]
    races.check_inside(said["data"], wanted)


@pytest.mark.parametrize("paused", [False, True], ids=["runs", "paused"])
def test_who_holds(paused: bool, both_layouts: Row) -> None:
    """Names of variables in other goroutines, and what each holds, in a live process."""
    binary = toolchains.build("holders", both_layouts, optimised=False)
    (answer,) = directly.visit(binary, "held", ["get-every-key holders"], paused).answers
    told = json.loads(answer.output)
    # A process that runs has no goroutine that is selected.
    (problem,) = told["problems"]
    assert told["answers"] > 40 and "no goroutine is selected (--goroutine N names one)" in problem


def test_process(toolchain: Row) -> None:
    binary = toolchains.small("writes-on", toolchain, optimised=True)
    with directly.running(binary) as pid:
        opened = of_process(pid)
        seen = []
        for _ in range(3):
            target = DirectTarget(opened)
            data: dict[str, Any] = json.loads(directly.ask(target, "hmap-show main.Still --json --entries 2000").output)
            assert (data["data"]["count"], data["data"]["live"]) == (1000, 1000)
            assert {one["key"]: one["value"] for one in data["data"]["entries"]} == {f"key {i}": i for i in range(1000)}
            assert [one["code"] for one in data["anomalies"]] == ["running"]
            found = target.variable("main.Done")
            assert found is not None
            seen.append(int.from_bytes(found.read(target.memory, 0, 8), "little"))
            status = Path(f"/proc/{pid}/status").read_text()
            assert "TracerPid:\t0\n" in status and "State:\tT" not in status and "State:\tt" not in status
        assert seen == sorted(set(seen))  # it counts on
        get = json.loads(directly.ask(DirectTarget(opened), 'hmap-get main.Still "key 7" --json').output)["data"]
        assert (get["found"], get["value"], get["walked"]) == (True, 7, False)
    with pytest.raises(GomapError, match="has ended"):
        DirectTarget(opened)


def test_bounds(both_layouts: Row) -> None:
    """Maps that are written to at four rates while they are walked, against the program's own counts."""
    binary = toolchains.build("churn", both_layouts, optimised=True)
    with directly.running(binary) as pid:
        opened, bounds = of_process(pid), []
        for i in (3, 3, 2, 1, 0, 3, 2, 1, 0, 3):
            before = length(opened, i)
            answer = directly.ask(DirectTarget(opened), f"hmap-show main.Rates[{i}].M --json")
            after = length(opened, i)
            said = json.loads(answer.output)
            data, codes = said["data"], [one["code"] for one in said["anomalies"]]
            bounds.append(data["bound"])
            # The counter follows each operation, and an insert comes before its delete.
            assert min(before, after) - 1 - data["bound"] <= data["count"] <= max(before, after) + 1 + data["bound"]
            assert abs(data["live"] - data["count"]) <= data["bound"]
            assert not [one for one in said["anomalies"] if one["severity"] == "error"], said["anomalies"]
            assert "count-mismatch" not in codes and ("torn-read" in codes or not data["bound"]), codes
            assert said["bounds"]["maps"] == 1 and (said["bounds"]["written"] or not data["bound"])
        words = directly.ask(DirectTarget(opened), "hmap-show main.Rates[3].M").output
        assert max(bounds) > 0 and (" ± " in words or " slots: " in words)
        of_every_command(opened)


def of_every_command(opened: Opened) -> None:
    """What is written to is never called corrupt, and a map that is corrupt and at rest is."""

    def ask(line: str) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(directly.ask(DirectTarget(opened), f"{line} --json").output)
        about = [one for one in said["anomalies"] if "main.Damaged" not in one["message"]]
        assert not [one for one in about if "corrupt" in one["message"] or one["severity"] == "error"], (line, about)
        return said

    for expr in ("main.Rates[1].M", "main.Rates[2].M", "main.Synced", *["main.Flip"] * 8):
        (one,) = ask(f"hmap-check {expr}")["data"]["maps"]
        assert one["verdict"] != "corrupt" and one["kinds"] == [], (expr, one)
        assert expr == "main.Flip" or abs(one["entries"] - SIZES[expr]) <= one["bound"] + 1, (expr, one)
    damaged = json.loads(directly.ask(DirectTarget(opened), "hmap-check main.Damaged --json").output)["data"]["maps"]
    assert [(one["verdict"], one["bound"]) for one in damaged] == [("corrupt", 0)]
    assert "the map is corrupt" in directly.ask(DirectTarget(opened), "hmap-show main.Damaged").output
    synced = ask("hmap-sync main.Synced")["data"]
    assert abs(synced["count"] - SIZES["main.Synced"]) <= synced["bound"] + 1
    assert ask("hmap-get main.Rates[3].M 5")["data"]["found"]  # it is never deleted
    before = [length(opened, i) for i in range(4)]
    top = ask("hmap-top")
    after = [length(opened, i) for i in range(4)]
    rows = {one["path"]: one for one in top["data"]["maps"]}
    for i in range(4):
        one = rows[f"main.Rates[{i}].M"]
        assert (
            min(before[i], after[i]) - 1 - one["bound"] <= one["count"] <= max(before[i], after[i]) + 1 + one["bound"]
        )
    written = {one["address"]: one["bound"] for one in top["bounds"]["of"]}
    assert rows["main.Rates[3].M"]["address"] in written and top["bounds"]["entries"] == sum(written.values())
    for line in ("hmap-evac main.Rates[2].M", "hmap-alias main.Flip", f"hmap-whatis {rows['main.Flip']['address']}",
                 "hmap-advise main.Rates[2].M"):  # fmt: skip
        assert ask(line)["bounds"]["maps"] > 0


#: Entries that maps of the program always have, or one more.
SIZES = {"main.Rates[1].M": 100_000, "main.Rates[2].M": 100_000, "main.Synced": 10_000}


def length(opened: Opened, i: int) -> int:
    """What the program says that the map has."""
    target = DirectTarget(opened)
    rates = target.variable("main.Rates")
    assert rates is not None
    at = rates.part("", rates.type.elem, i * rates.type.elem.size)
    counter = next(one for one in at.type.fields if one.name == "Len")
    return int.from_bytes(at.read(target.memory, counter.offset, 8), "little")


def test_killed_while_it_stands_still(system_go: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """gomap may die at any moment: the process runs on, with no thread stopped or traced."""
    with directly.running(toolchains.small("writes-on", system_go, optimised=True)) as pid:
        opened = of_process(pid)
        counter = DirectTarget(opened).variable("main.Done")
        assert counter is not None
        with stopped(pid, opened.files.info.arch) as stop:
            assert stop.registers
            status, out, error = gomap("pid", str(pid), "--pause", "-c", "hmap-top --json")
        assert status == 1 and json.loads(out)["error"]["message"] in error
        assert f"process {os.getpid()} (" in error and "traces it" in error and error.count("\n") == 1
        wait, waited = pause._wait, list[int]()

        def interrupted(thread: int) -> int | None:  # Ctrl-C comes before the first thread stands still
            waited.append(thread)
            if len(waited) == 1:
                raise KeyboardInterrupt
            return wait(thread)

        monkeypatch.setattr(pause, "_wait", interrupted)
        with pytest.raises(KeyboardInterrupt), stopped(pid, opened.files.info.arch):
            pass
        killed = [sys.executable, "-m", "tests.support.killed", str(pid), hex(counter.address or 0), "100"]
        run = subprocess.run(killed, capture_output=True, text=True, cwd=ROOT, check=False)
        assert (run.returncode, run.stdout) == (0, "50 50\n"), run.stderr
        status, out, error = gomap("pid", str(pid), "--pause", "-c", "hmap-show main.Busy --json")
        assert status == 0 and json.loads(out)["anomalies"] == []
        assert re.fullmatch(rf"process {pid} was stopped for \d+\.\d ms\n", error)


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
    whole = core.path.read_bytes()
    plain = gomap("core", str(binary), str(core.path), "-c", "hmap-show main.Keep.M --json")
    for name, packed in (("gz", gzip.compress(whole, 1)), ("xz", lzma.compress(whole, preset=0))):
        path = tmp_path / f"core.{name}"
        path.write_bytes(packed)
        assert gomap("core", str(binary), str(path), "-c", "hmap-show main.Keep.M --json") == plain and plain[1]
        path.write_bytes(packed[: len(packed) // 2])
        status, out, error = gomap("core", str(path), "-c", "hmap-top")
        assert (status, out, error.count("\n")) == (1, "", 1) and f"{path} is damaged or truncated (" in error, error
    short = tmp_path / "core.short"
    short.write_bytes(whole[: len(whole) // 2])
    status, out, _ = gomap("core", str(binary), str(short), "-c", "hmap-top --json")
    (cut,) = (one["message"] for one in json.loads(out)["anomalies"] if one["code"] == "core-file")
    assert status == 0 and re.fullmatch(rf"{short} is truncated by [\d,]+ bytes: what lay there can't be shown", cut)
    for begin, said in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4")):
        path.write_bytes(begin + bytes(100))
        status, out, error = gomap("core", str(path), "-c", "hmap-top")
        assert (status, out, error.count("\n")) == (1, "", 1) and said in error and str(path) in error, error
    status, out, _ = gomap("core", str(core.path), "-c", "hmap-show main.Keep.M", "-c", "hmap-top -n 1")
    assert out
    run = subprocess.run(
        [str(ROOT / "bin" / "gomap"), "core", str(core.path)],
        input="hmap-top -n 1\nhelp hmap-show\nnonsense\nexit\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0 and "maps hold" in run.stdout and "Usage: hmap-show" in run.stdout
    assert "unknown command 'nonsense'" in run.stderr


def test_exec_and_exit_in_between(system_go: Row) -> None:
    """The process becomes another program, and then ends, while gomap waits at its prompt."""
    binary = toolchains.small("execs", system_go, optimised=True)
    process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout and process.stdout.readline() == "begun\n"
    prompt = subprocess.Popen(
        [str(ROOT / "bin" / "gomap"), "pid", str(process.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert prompt.stdin and prompt.stdout and prompt.stderr
    try:
        prompt.stdin.write("hmap-show main.M --json\n")
        prompt.stdin.flush()
        assert json.loads(prompt.stdout.readline().replace("(gomap) ", ""))["data"]["count"] == 3
        process.stdin.write("x")
        process.stdin.flush()
        assert process.stdout.readline() == "begun\n"  # the same program, from its start
        prompt.stdin.write("hmap-show main.M\n")
        prompt.stdin.flush()
        assert "has become another program (exec): start gomap again" in prompt.stderr.readline()
        process.kill()
        process.wait()
        prompt.stdin.write("hmap-show main.M\nhmap-top --json\n")
        _, error = prompt.communicate()
        assert error.count("has ended\n") == 2 == error.count("\n")
    finally:
        for one in (process, prompt):
            one.kill()
            one.communicate()
