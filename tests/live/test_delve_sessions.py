"""Long sessions with Delve: the program ends, dies, is built anew and started again, and other clients are at work."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from delve_bridge.console import Console
from delve_bridge.rpc import Client
from delve_bridge.session import Session
from delve_bridge.target import DelveTarget
from delve_bridge.types import BARE
from gomap import frontend
from gomap.errors import MemoryFault, TargetRunning
from gomap.render.text import Style
from tests.support import delves, toolchains
from tests.support.delves import Dlv, entries, says, window
from tests.support.toolchains import Row
from tests.support.windows import bridge_command, environment, left_of, switches

#: What changes when the shop is built anew: fields of its type, a package variable.
ANEW = {
    "struct{ N int }": "struct{ S string; N int8 }",
    "Item{1}": 'Item{"x", 2}',
    "func put": "var Pad [5000]int\n\nvar More = map[int]int{len(Pad): 1}\n\nfunc put",
}


# -- started again -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "rpc"])
@pytest.mark.parametrize("other_go", [False, True], ids=["same Go", "another Go"])
def test_built_anew_and_started_again(
    other_go: bool, direct: bool, dlv: Dlv, system_go: Row, old_go: Row, tmp_path: Path
) -> None:
    """By another client: types, package variables, memory and the layout of maps are the new program's."""
    program = tmp_path / "shop"
    shutil.copy(toolchains.small("shop", system_go), program)
    with window(dlv, str(program), direct=direct) as console:
        says(console, "break main.put")
        for _ in range(2):
            says(console, "continue")
        assert {e["value"] for e in entries(console, "main.Items")} == {"main.Item{N:1}"}
        assert console.execute("hmap-show main.More").error is not None
        says(console, "hmap-top")

        program.unlink()
        shutil.copy(toolchains.small("shop", old_go if other_go else system_go, edits=ANEW), program)
        other = Console(Session(Client(console.session.client.where)), Style())
        says(other, "restart")
        assert delves.news(console.session) == "started again"
        for _ in range(2):
            says(console, "continue")
        for expr in ("m", "main.Items"):
            assert {e["key"]: e["value"] for e in entries(console, expr)} == dict.fromkeys(
                "ab", 'main.Item{S:"x", N:2}'
            )
        assert [e["key"] for e in entries(console, "main.More")] == [5000]
        answer = json.loads(says(console, "hmap-check --all --full --json"))
        assert (answer["target"]["go"] == f"go{old_go.version}") == other_go
        assert not answer["anomalies"]
        assert console.session.direct == direct
        other.session.client.close()


def test_started_again_in_mid_command(dlv: Dlv, system_go: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another client: what was read of two processes is no answer."""
    with window(dlv, str(toolchains.small("shop", system_go))) as console:
        says(console, "break main.put")
        says(console, "continue")
        other = Console(Session(Client(console.session.client.where)), Style())
        target = console.session.target

        def meddled() -> DelveTarget:
            made = target()
            assert isinstance(made, DelveTarget)
            says(other, "restart")
            return made

        monkeypatch.setattr(console.session, "target", meddled)
        outcome = console.execute("hmap-check --all --json")
        assert json.loads(outcome.output)["error"]["code"] == "no-process"
        told = "hmap-check: another client restarted the program: run the command again"
        assert outcome.error == told
        other.session.client.close()


def test_failed_as_the_program_moved(dlv: Dlv, system_go: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another client: what the command failed of may be of two moments, and of two processes it is no reason."""
    with window(dlv, str(toolchains.small("shop", system_go))) as console:
        says(console, "break main.put")
        other = Console(Session(Client(console.session.client.where)), Style())
        resumed = "another client resumed the program: run the command again"
        again = "another client restarted the program: run the command again"
        moved = f"cannot read 8 bytes of memory at 0x1000 ({resumed})"
        for line, told in (("continue", moved), ("continue", moved), ("restart", again)):

            def meddled(line: str = line) -> DelveTarget:
                says(other, line)
                raise MemoryFault(0x1000, 8)

            console.session.stopped()
            with monkeypatch.context() as patch:
                patch.setattr(console.session, "target", meddled)
                assert console.execute("hmap-show m").error == f"hmap-show: {told}"
        assert "meanwhile" not in str(console.execute("hmap-show nosuch").error)
        other.session.client.close()


def test_resumed_in_mid_command(dlv: Dlv, spinning: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another client, and it still runs: what was found is told, and that it may not be of one moment."""
    with window(dlv, str(spinning)) as console:
        says(console, "break main.main")
        says(console, "continue")
        says(console, "clear 1")
        other, ask = Client(console.session.client.where), frontend.run
        running = threading.Thread(target=lambda: other.call("Command", None, name="continue"))

        def meddled(*arguments: Any) -> Any:
            outcome = ask(*arguments)
            running.start()
            while not console.session.state().get("Running"):
                assert running.is_alive()
            return outcome

        with monkeypatch.context() as patch:
            patch.setattr(frontend, "run", meddled)
            outcome = console.execute("hmap-show main.Counts --json")
        assert json.loads(outcome.output)["data"]["type"] == "map[int]int"
        told = "hmap-show: another client resumed the program: the answer may mix two states of the program"
        assert outcome.error == told
        says(console, "halt")
        running.join(30)
        assert not running.is_alive()
        other.close()


def test_restart(dlv: Dlv, system_go: Row) -> None:
    """A program that has ended, and one that has not: with the breakpoints and arguments that it had."""
    program = toolchains.small("shop", system_go)
    with window(dlv, str(program), "--", "one") as console:
        says(console, "break main.put")
        for _ in range(2):
            for count in (1, 2):
                assert "in main.put" in says(console, "continue")
                assert len(entries(console, "m")) == count
                assert [raw and raw["value"] for raw in console.session.build.evaluate(["len(os.Args)"], BARE)] == ["2"]
            assert "in " in says(console, "restart")
            assert console.execute("hmap-show m").error is not None
        for _ in range(3):
            says(console, "continue")
        assert "has exited with status 0" in str(console.execute("continue").error)
        assert "restart" in str(console.execute("hmap-show m").error)
        says(console, "restart")
        says(console, "continue")
        assert len(entries(console, "m")) == 1


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "rpc"])
def test_killed_from_outside(direct: bool, dlv: Dlv, system_go: Row) -> None:
    """As by the kernel when memory is short: Delve still takes it for stopped."""
    with window(dlv, str(toolchains.small("dies", system_go)), direct=direct) as console:
        says(console, "continue")
        assert "1 entry" in says(console, "hmap-show m")
        os.kill(int(console.session.client.call("ProcessPid")["Pid"]), signal.SIGKILL)
        until = time.monotonic() + 10
        while console.execute("hmap-show m").error is None and time.monotonic() < until:
            time.sleep(0.01)
        for line in ("hmap-show m", "continue", "hmap-top", "next", "goroutine 1", "frame 1"):
            assert "the process was killed" in str(console.execute(line).error)


# -- where it stopped --------------------------------------------------------------------------------------


def test_dies(dlv: Dlv, system_go: Row) -> None:
    """Why it stopped is told, and the user's m is not the runtime's of the frames before."""
    with window(dlv, str(toolchains.small("dies", system_go))) as console:
        assert says(console, "continue").endswith("main.go:7  unrecovered panic\n")
        assert [e["key"] for e in entries(console, "m")] == ["a"]
        assert "m is taken from frame " in says(console, "hmap-show m")
        assert "a nil map" in says(console, "hmap-show n")


def test_a_local_hides_a_package_in_its_own_function(dlv: Dlv, system_go: Row) -> None:
    with window(dlv, str(toolchains.small("hides", system_go))) as console:
        says(console, "break main.stop")
        says(console, "continue")
        assert [e["key"] for e in entries(console, "main.Keep")] == ["package"]
        assert len(entries(console, "main.Other")) == 3
        assert "(main is taken from frame 1, main.main)" in says(console, "hmap-show main.Other")
        says(console, "frame 1")
        assert sorted(e["key"] for e in entries(console, "main.Keep")) == ["a", "b"]


def test_a_slice_whose_capacity_is_nowhere(toolchain: Row, dlv: Dlv) -> None:
    with window(dlv, str(toolchains.small("no-room", toolchain, optimised=True))) as console:
        says(console, "break main.stop")
        says(console, "continue")
        found = json.loads(says(console, "hmap-alias --scope all --all --json"))["data"]["groups"]
        assert {"all[1]", "all[2]"} <= {holder["path"] for group in found for holder in group["holders"]}
        assert "1 entry in 8 slots" in says(console, "hmap-show all[2]")


def test_a_struct_that_is_kept_in_part(toolchain: Row, dlv: Dlv) -> None:
    with window(dlv, str(toolchains.small("in-part", toolchain, optimised=True))) as console:
        says(console, "break main.stop")
        says(console, "continue")
        paths = {one["path"] for one in json.loads(says(console, "hmap-top -n 0 --json"))["data"]["maps"]}
        assert {"r.byID", "r.other"} <= paths


def test_only_its_own_goroutine_is_at_the_breakpoint(dlv: Dlv, system_go: Row) -> None:
    with window(dlv, str(toolchains.small("workers", system_go))) as console:
        says(console, "break main.turn")
        assert re.fullmatch(r"goroutine 1 in main\.turn  \S+  breakpoint 1\n", says(console, "continue"))
        listed = console.session.client.call("ListGoroutines", Start=0, Count=0)["Goroutines"]
        other = next(one["id"] for one in listed if one["id"] != 1)
        assert re.fullmatch(rf"goroutine {other} in \S+  \S+\n", says(console, f"goroutine {other}"))
        assert says(console, "goroutine 1").endswith("  breakpoint 1\n")


# -- steps -------------------------------------------------------------------------------------------------


def test_breakpoint_during_a_step(dlv: Dlv, system_go: Row) -> None:
    """Another goroutine's breakpoint breaks in on `next`: the one after that steps from there."""
    with window(dlv, str(toolchains.small("two-workers", system_go))) as console:
        says(console, "break main.worker")
        first = says(console, "continue")
        assert "goroutine 1 " not in first
        for line in "45":  # the next steps over its wait for the other
            assert says(console, "next").startswith(first.split(":")[0] + f":{line}\n")
        assert re.fullmatch(r"goroutine 1 in main\.worker  \S+:3  breakpoint 1\n", says(console, "next"))
        assert console.session.state()["NextInProgress"]
        assert re.fullmatch(r"goroutine 1 in main\.worker  \S+:4\n", says(console, "next"))


def test_tracepoints_stop_nothing(dlv: Dlv, system_go: Row) -> None:
    """Another client's: `continue` goes past them, as Delve's own does."""
    with window(dlv, str(toolchains.small("shop", system_go))) as console:
        trace = {"functionName": "main.put", "line": -1, "continue": True}
        made = console.session.client.call("CreateBreakpoint", Breakpoint=trace)["Breakpoint"]
        says(console, "break main.main")
        assert "in main.main" in says(console, "continue")
        assert "has exited with status 0" in str(console.execute("continue").error)
        assert made["continue"]


# -- other clients -----------------------------------------------------------------------------------------


def test_halt_when_the_connection_is_held_up(dlv: Dlv, spinning: Path) -> None:
    """What is asked while the program runs is answered when it stops, and nothing after it before: `halt` gets
    through all the same."""
    with window(dlv, str(spinning)) as console:
        says(console, "break main.main")
        says(console, "continue")
        says(console, "clear 1")
        client = console.session.client
        other = Client(client.where)
        running = threading.Thread(target=lambda: other.call("Command", None, name="continue"))
        running.start()
        while delves.news(console.session) != "running":
            assert running.is_alive()
        for line in ("break main.never", "clear 1", "restart", "next", "goroutine 1"):
            assert re.search(
                r": the program is running\b.*[Ss]top it first \(halt\)$", console.execute(line).error or ""
            )
        with pytest.raises(TargetRunning):
            client.call("ListBreakpoints", All=False)
        assert re.match(r"(goroutine|thread) \d+ in ", says(console, "halt"))
        running.join(30)
        assert not running.is_alive()
        assert "map[int]int  main.Counts" in says(console, "hmap-show main.Counts")
        other.close()


def test_halted_again_where_it_waits(dlv: Dlv, spinning: Path) -> None:
    """Every time that another client has let it run and halted it is told, though it mostly sleeps."""
    with window(dlv, str(spinning)) as console:
        says(console, "break main.main")
        says(console, "continue")
        says(console, "clear 1")
        client = console.session.client
        status = Path(f"/proc/{client.call('ProcessPid')['Pid']}/status")
        other, halting = Client(client.where), Console(Session(Client(client.where)), Style())
        for _ in range(30):
            waited = switches(status)
            running = threading.Thread(target=lambda: other.call("Command", None, name="continue"))
            running.start()
            while switches(status) <= waited + 20:
                assert running.is_alive()
            says(halting, "halt")
            running.join(30)
            assert not running.is_alive()
            assert delves.news(console.session) == "moved"
            assert delves.news(console.session) == ""
        halting.session.client.close()
        other.close()


# -- what is typed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["goroutine ²", "frame ²", "up ²", "clear ²", "set hmap entries ²"])
def test_digits_that_are_no_number(line: str, dlv: Dlv, system_go: Row) -> None:
    with window(dlv, str(toolchains.small("shop", system_go))) as console:
        assert "Traceback" not in (error := str(console.execute(line).error))
        assert "error in gomap" not in error
        assert "number" in error


def test_a_fault_of_its_own_ends_no_session(dlv: Dlv, system_go: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    with window(dlv, str(toolchains.small("shop", system_go))) as console:
        with monkeypatch.context() as patch:
            patch.setattr(console.session, "stack", lambda depth: [][depth])
            assert "frame: internal error in gomap" in str(console.execute("frame 1").error)
            says(console, "set hmap debug on")
            assert "IndexError" in console.execute("frame 1").output
        assert "no frame" in str(console.execute("frame 99999999999999999999").error)
        near = "hmap-shw: unknown command: did you mean hmap-show?"
        assert console.execute("hmap-shw m").error == near


def test_breakpoints_where_the_location_says(dlv: Dlv, system_go: Row) -> None:
    """All the places that a pattern stands for; one of the runtime's by its own name; none at no place."""
    with window(dlv, str(toolchains.small("shop", system_go))) as console:
        assert console.execute("break *0x0").error == "break: no location matches *0x0"
        assert "main.put  " in (made := says(console, "break /^main.(put|main)$/"))
        assert "main.main  " in made
        assert made.count("\n") == 2
        assert "in main.main  " in says(console, "continue")
        assert "runtime.mapassign_faststr" in says(console, "break runtime.mapassign_faststr")
        assert "goroutine 1 in runtime.mapassign_faststr  " in says(console, "continue")


# -- maps of one name --------------------------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_check_of_maps_of_one_name(damaged: int, dlv: Dlv, system_go: Row) -> None:
    """Each is counted, and an intact m of another goroutine does not hide the one that is corrupt."""
    with window(dlv, str(toolchains.small("damaged", system_go, edits={"id == 0": f"id == {damaged}"}))) as console:
        says(console, "continue")
        data = json.loads(says(console, "hmap-check --all --json"))["data"]
        assert [one["path"] for one in data["maps"] if one["path"] == "m"] == ["m", "m", "m"]
        entries = sum(one["entries"] for one in data["maps"])
        told = says(console, "hmap-check --all")
        assert told.startswith(f"{len(data['maps'])} maps with {entries} entries checked: 1 corrupt, ")
        assert re.search(r"\n +\d+ +\d+  m in main\.keep, goroutine \d+, frame \d+\n", told), told


# -- standard streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("redirected", "status", "out", "error"),
    [
        (">&-", 0, "", ""),
        ("2>&-", 0, "0x", ""),
        (">&- 2>&- <&-", 0, "", ""),
        (">/dev/full", 1, "", "dlv-hmap: standard output can't be written: No space left on device\n"),
    ],
)
def test_streams_that_are_closed_or_full(
    redirected: str, status: int, out: str, error: str, recorded_dlv: tuple[Path, Path], system_go: Row
) -> None:
    """Nothing but answers is said, and nothing that is opened takes the number of what is closed."""
    script, pid = recorded_dlv
    command = bridge_command("exec", str(toolchains.small("shop", system_go)), "--break", "main.put")
    line = shlex.join([*command, "-c", "hmap-show m", "-c", "continue", "-c", "hmap-show main.Items"])
    run = subprocess.run(
        ["sh", "-c", f"{line} {redirected}"], env=environment(script), capture_output=True, text=True, timeout=120
    )
    assert run.returncode == status, run.stderr
    assert out in run.stdout and bool(out) == bool(run.stdout)
    said = [line for line in run.stderr.splitlines(True) if not re.match(r"goroutine 1 in |\d+ \d+\n", line)]
    assert "".join(said) == error
    assert left_of(pid) == []
