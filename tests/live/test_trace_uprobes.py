"""hmap-trace where the kernel records the growths: without a debugger, and beside one; that nothing of it stays, and
what is said where the kernel refuses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from delve_bridge.console import Console
from delve_bridge.moves import resume
from direct import tracing
from direct.target import DirectTarget, of_process
from gomap.golang.layouts.classic.grown import FUNCTIONS as CLASSIC
from gomap.golang.layouts.swiss.grown import FUNCTIONS as SWISS
from gomap.golang.runtime.pclntab import Functions
from gomap.process import ProcessMemory
from gomap.render.text import Style
from gomap.trace import uprobes
from gomap.trace.growths import GrowthTrace
from gomap.trace.port import Ending, Hit
from tests.live.test_trace import COMMAND, DEPTHS, ENDLESS, GROWS, check, check_moved, in_gdb, left, line_of
from tests.support import debuggers, delves, directly, schema, toolchains
from tests.support.debuggers import Gdb
from tests.support.delves import Dlv
from tests.support.toolchains import ROOT, Row

#: What the kernel wants (before Linux 6.16 the last two were enough): without them it refuses, whoever asks.
WITHOUT = ("setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon")
REFUSED = (
    "permission denied: uprobes need CAP_SYS_ADMIN, which root has (in a container: docker run --cap-add=SYS_ADMIN)"
)
_POLL = "7"  # of amd64


@contextmanager
def waiting(binary: Path, truth: Path) -> Iterator[subprocess.Popen[str]]:
    """go_targets/grows before its first growth."""
    env = debuggers._environment({"GOMAP_WAIT": "1", "GOMAP_TRUTH": str(truth)})
    pipe = subprocess.PIPE
    process = subprocess.Popen([str(binary)], env=env, stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def traced(process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch, line: str = COMMAND) -> str:
    """What hmap-trace answers about a process that goes on once it is traced, until it ends."""
    run = tracing.DirectTracer.run

    def started(*arguments: Any) -> Ending:
        go_on(process)
        go_on(process)
        return run(*arguments)

    monkeypatch.setattr(tracing.DirectTracer, "run", started)
    outcome = directly.ask(DirectTarget(of_process(process.pid)), line)
    assert outcome.error is None, outcome.error
    return outcome.output


def test_every_growth_without_a_debugger(both_layouts: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stripped program that the loader moves, until it ends: what is told then needs nothing of it."""
    flags = ("-buildmode=pie", "-ldflags=-s -w")
    binary, truth = toolchains.build("grows", both_layouts, optimised=True, extra=flags), tmp_path / "truth"
    with waiting(binary, truth) as process:
        data = check(traced(process, monkeypatch), truth, {"exited"})
    assert (data["method"], data["stops"], data["lost"]) == ("uprobes", 0, 0)


def test_records_that_are_lost(system_go: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted: a buffer with room for one record, which is emptied late."""
    monkeypatch.setattr(uprobes, "RING", 1 << 12)
    monkeypatch.setattr(tracing, "PERIOD", 0.2)
    binary, truth = toolchains.build("grows", system_go, optimised=True), tmp_path / "truth"
    with waiting(binary, truth) as process:
        answer = json.loads(traced(process, monkeypatch))
    assert not schema.faults(answer, schema.answer("hmap-trace"))
    data, own = answer["data"], json.loads(truth.read_text())
    assert data["lost"] > 0
    assert data["hits"] + data["lost"] >= len(own)
    (said,) = [one for one in answer["anomalies"] if one["code"] == "lost-growth"]
    why = "the kernel did not record them (its buffer was full, or it was busy)"
    assert said["message"] == f"{data['lost']:,} growths are missing here: {why}"


#: Too slow for what go_targets/small/growing-on does.
SLOWLY = """
import time
from gomap.trace.growths import GrowthTrace
own = GrowthTrace.hit
def slowly(trace, hit):
    time.sleep(0.005)
    return own(trace, hit)
GrowthTrace.hit = slowly
"""


def test_a_limit_where_growths_come_faster_than_they_are_read(
    system_go: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program stops at its limit. gomap then reads what was recorded; after Ctrl-C it says how much is unread."""
    binary, script = toolchains.small(ENDLESS, system_go, optimised=True), tmp_path / "slowly.py"
    script.write_text(SLOWLY)
    timed = "hmap-trace --for 300ms --json"
    told = [line_of(in_gdb(system_gdb, binary, tmp_path / "none", "run", f"source {script}", timed, "kill"))]
    own, breaks = GrowthTrace.hit, False

    def slowly(trace: GrowthTrace, hit: Hit) -> bool:
        time.sleep(0.005)
        if breaks and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return own(trace, hit)

    monkeypatch.setattr(GrowthTrace, "hit", slowly)
    with delves.bridge(dlv, ["exec", str(binary)]) as session:
        console = Console(session, Style())
        resume(session, "continue")
        told.append(console.execute(timed).output)
        breaks = True
        broken = json.loads(console.execute(timed).output)
        assert left(session) == []
    for line in told:
        data = json.loads(line)["data"]
        assert (data["method"], data["ended"], json.loads(line)["anomalies"]) == ("uprobes", "time", [])
        assert 0.3 <= data["seconds"] < 2
        assert data["count"] * 0.005 > data["seconds"]
    (said,) = broken["anomalies"]
    assert broken["data"]["ended"] == "time" and broken["data"]["count"] > 10
    end = " recorded growths are missing here: Ctrl-C was pressed before gomap had read them"
    assert said["code"] == "unread-growth" and said["message"].endswith(end), said


def test_maps_on_stacks_that_move_without_a_debugger(both_layouts: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = {'"runtime"': '"os"', "runtime.Breakpoint()": "os.Stdin.Read(make([]byte, 1))"}
    binary = toolchains.small("moves", both_layouts, optimised=True, edits=waits)
    process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    run, outputs = tracing.DirectTracer.run, []

    def ask(line: str) -> None:
        outcome = directly.ask(DirectTarget(of_process(process.pid)), line)
        assert outcome.error is None, outcome.error
        outputs.append(outcome.output)

    def local() -> int:
        target = DirectTarget(of_process(process.pid))
        found = target.variable("main.Local")
        assert found is not None and found.address is not None
        return target.arch.pointer(target.memory.read(found.address, 8))

    def started(*arguments: Any) -> Ending:
        go_on(process)
        return run(*arguments)

    try:
        until(lambda: Path(f"/proc/{process.pid}/syscall").read_text().split()[:2] == ["0", "0x0"])
        monkeypatch.setattr(tracing.DirectTracer, "run", started)
        ask(f"{COMMAND} -n {DEPTHS * GROWS}")
        go_on(process)
        until(lambda: local() != 0)
        ask(f"{COMMAND} {local():#x}:map[int]int")
    finally:
        process.kill()
        process.communicate()
    every, one = outputs
    check_moved([every.replace('"count"', '"stopped"', 1), one], "uprobes")


# -- what stays --------------------------------------------------------------------------------------------


class Running:
    """A program that grows maps without end, the functions that do, and their first bytes."""

    def __init__(self, binary: Path) -> None:
        self.process = subprocess.Popen([str(binary)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stdout.readline() == "loud\n"
        target = DirectTarget(of_process(self.process.pid))
        self.addresses = list(Functions(target).find([*SWISS, *CLASSIC]).values())
        self.memory = ProcessMemory(self.process.pid)
        self.before = self.code()

    def code(self) -> list[bytes]:
        return [self.memory.read(address, 8) for address in self.addresses]

    def gomap(self, *commands: str, by: Sequence[str] = ()) -> subprocess.Popen[str]:
        words = [word for command in commands for word in ("-c", command)]
        command = [*by, str(ROOT / "bin" / "gomap"), "pid", str(self.process.pid), *words]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def is_traced_by(self, gomap: subprocess.Popen[str]) -> bool:
        """Whether each function has a uprobe, and gomap waits."""
        waits = Path(f"/proc/{gomap.pid}/syscall").read_text().split()[0] == _POLL
        return waits and all(now != own for now, own in zip(self.code(), self.before))


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def endless(system_go: Row) -> Iterator[Running]:
    running = Running(toolchains.small(ENDLESS, system_go, edits={"runtime.Breakpoint()": "runtime.GC()"}))
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def test_nothing_stays_without_a_debugger(endless: Running) -> None:
    """After a limit, Ctrl-C and kill -9 the functions are as they were, and the program runs on. Last, it is killed."""
    gomap = endless.gomap("hmap-trace --for 200ms --json", "hmap-trace main.Kept -n 2 --json")
    timed, one = (json.loads(line)["data"] for line in gomap.communicate(timeout=60)[0].splitlines())
    assert (timed["ended"], timed["stops"]) == ("time", 0)
    assert timed["seconds"] >= 0.2 and timed["count"] > 0
    assert (one["ended"], one["count"], one["hits"]) == ("count", 2, 2)
    assert {growth["address"] for growth in one["growths"]} == {one["address"]}
    assert endless.code() == endless.before

    gomap = endless.gomap("hmap-trace")
    until(lambda: endless.is_traced_by(gomap))
    gomap.send_signal(signal.SIGINT)
    said, error = gomap.communicate(timeout=60)
    assert re.search(r"uprobes: .*ended +interrupted", said, re.S) and error == ""
    assert endless.code() == endless.before

    gomap = endless.gomap("hmap-trace")
    until(lambda: endless.is_traced_by(gomap))
    gomap.kill()
    gomap.communicate(timeout=60)
    until(lambda: endless.code() == endless.before)
    assert endless.process.poll() is None

    gomap = endless.gomap("hmap-trace")
    until(lambda: endless.is_traced_by(gomap))
    endless.process.kill()
    said, error = gomap.communicate(timeout=60)
    assert re.search(r"ended +the program exited", said) and gomap.returncode == 0


def test_what_needs_a_debugger(endless: Running) -> None:
    asked = ("hmap-trace --by breakpoints", "hmap-trace main.Kept --writes", "hmap-break main.Kept --on write")
    said, error = endless.gomap(*asked, "hmap-trace --by uprobes main.Kept --writes").communicate(timeout=60)
    assert (said, error.splitlines()) == (
        "",
        [
            "hmap-trace: --by breakpoints needs gdb or Delve: without a debugger the process can't be stopped",
            "hmap-trace: --writes needs gdb or Delve: without a debugger the process can't be stopped",
            "hmap-break: hmap-break takes a live process in gdb or Delve: without a debugger it can't be stopped",
            "hmap-trace: --by is for growths: --writes uses a watchpoint, or breakpoints where there is none",
        ],
    )


# -- where the kernel refuses ------------------------------------------------------------------------------


def test_refused_by_the_kernel(endless: Running, system_go: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    """Without the capabilities it is refused in one line; gdb uses breakpoints instead, and says why."""
    said, error = endless.gomap("hmap-trace", by=WITHOUT).communicate(timeout=60)
    assert (said, error) == ("", f"hmap-trace: {REFUSED}\n")
    wrapper = tmp_path / "gdb"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(WITHOUT)} {system_gdb.path} "$@"\n')
    wrapper.chmod(0o755)
    binary = toolchains.small(ENDLESS, system_go, optimised=True)
    gdb = Gdb(system_gdb.name, wrapper)
    commands = ("run", "hmap-trace --for 100ms --json", "hmap-trace --by uprobes", "info breakpoints", "kill")
    told = in_gdb(gdb, binary, tmp_path / "none", *commands)
    data = json.loads(line_of(told))["data"]
    assert (data["method"], data["instead"]) == ("breakpoints", REFUSED)
    assert data["stops"] == data["hits"] > 0


def test_a_breakpoint_of_the_users_there(system_go: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    """A uprobe would take its hits: breakpoints are used, and the user's ends the trace."""
    binary = toolchains.small(ENDLESS, system_go, optimised=True)
    commands = (
        "run",
        "break *&'internal/runtime/maps.(*Map).growToTable'",
        COMMAND,
        "hmap-trace --by uprobes",
        "kill",
    )
    data = json.loads(line_of(in_gdb(system_gdb, binary, tmp_path / "none", *commands)))["data"]
    assert (data["method"], data["ended"]) == ("breakpoints", "breakpoint")
    assert re.fullmatch(r"a breakpoint is at 0x\w+, and would not be hit any more", data["instead"])
