"""The window to type in, in a real terminal: editing, history, completion, Ctrl-C, programs that run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest

from delve_bridge.server import Server
from tests.live import delves, toolchains
from tests.live.delves import Dlv
from tests.live.test_delve_failures import left_of
from tests.live.test_delve_program import switches
from tests.live.toolchains import ROOT, Row

#: Drawn, with the cursor shown behind it.
PROMPT = r"\(dlv-hmap\)[^\n]*?\x1b\[\?25h"


class Terminal:
    """dlv-hmap in a terminal. Every read has a deadline, and waits for words and not for time."""

    def __init__(self, dlv: Dlv, home: Path, *arguments: str) -> None:
        env = {
            **os.environ,
            "GOMAP_DLV": str(dlv.path),
            "GOMAP_TRUTH": "/dev/null",
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(home),
            "TERM": "xterm",
            "NO_COLOR": "1",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "COLUMNS": "80",  # of another window
        }
        self.child: Any = pexpect.spawn(
            sys.executable,
            ["-m", "delve_bridge.main", *arguments],
            env=env,
            encoding="utf-8",
            dimensions=(40, 120),
            timeout=30,
        )

    def ready(self) -> str:
        """What came before the next prompt."""
        self.child.expect(PROMPT)
        return str(self.child.before)

    def ask(self, line: str) -> str:
        self.child.send(line + "\r")
        # The prompt is drawn once more with the whole line, then comes the end of the line.
        self.child.expect("\n")
        return self.ready()

    def leave(self) -> None:
        self.child.send("exit\r")
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus == 0


def test_a_session(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    assert "goroutine 1 in main.stop" in terminal.ready()
    assert "1,000 entries" in terminal.ask("hmap-show m")
    assert "no variable 'nosuch'" in terminal.ask("hmap-show nosuch")
    assert "there is no such command (help lists all)" in terminal.ask("nonsense")
    assert "(did you mean hmap-show? help lists all)" in terminal.ask("hmap-shw m")
    assert "did you mean main.Keep?" in terminal.ask("hmap-show main.keep.Words")
    assert "main.main" in terminal.ask("stack")
    assert "in main.main" in terminal.ask("frame 1")
    assert "words = map[string]int 26 entries" in terminal.ask("locals words")
    assert "*     1  main.stop" in terminal.ask("goroutines")
    assert "breakpoint 2 at main.main" in terminal.ask("break main.main")
    assert "breakpoint 2 is gone" in terminal.ask("clear 2")
    assert "map[string]int" in terminal.ask("whatis words")
    assert "hmap-evac" in terminal.ask("help")
    assert "main.go:31" in terminal.ask("next")
    assert "stopped" not in terminal.ask("set hmap entries 2")
    assert "bucket/slot" in (shown := terminal.ask("hmap-show small")) or "group/slot" in shown
    assert "main.go:32" in terminal.ask("continue")  # runtime.Breakpoint
    assert "has exited with status 0" in terminal.ask("continue")
    assert "has exited" in terminal.ask("hmap-show m")
    os.write(terminal.child.child_fd, b"nosuch \xe9\r")  # Latin-1, which no prompt_toolkit before 3.0.53 can keep
    terminal.child.expect("there is no such command")
    terminal.ready()
    shutil.rmtree(tmp_path / "gomap")  # where lines are kept
    told = terminal.ask("help \x1b[31mnext\x1b[0m")  # pasted in colour
    assert "next (or n): run" in told
    terminal.leave()
    assert "Exception" not in told + terminal.child.before


def test_window_that_changes_its_size(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    terminal.ready()

    def widest(line: str) -> int:
        """Columns of the answer, behind the echo of the line."""
        return max(len(shown.strip("\r\n")) for shown in terminal.ask(line).partition("\n  ")[2].splitlines())

    assert 60 < widest("hmap-show m") <= 120
    terminal.child.setwinsize(40, 60)
    terminal.ready()  # it is drawn anew
    assert widest("hmap-show m") <= 60
    terminal.leave()


def test_goroutines_and_frames(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """The variables are those of the goroutine and of the frame that are selected."""
    binary = toolchains.build("goroutines", system_go, optimised=False)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    assert "goroutine 1 in main.stop" in terminal.ready()
    listed = terminal.ask("goroutines")

    def select(function: str) -> None:
        found = re.search(rf"(\d+)  {re.escape(function)}  ", listed)
        assert found is not None, listed
        assert f"goroutine {found.group(1)} in {function}  " in terminal.ask(f"goroutine {found.group(1)}")

    for function, variable, key in (
        ("main.inSelect", "m", "inSelect"),
        ("main.inSelect", "local.M", "inSelect"),
        ("time.Sleep", "pointer.M", "inSleep"),
        ("main.inChannel", "m", "inChannel"),
    ):
        select(function)
        shown = terminal.ask(f"hmap-show {variable} --entries 1")
        assert f"map[string]int  {variable}" in shown
        assert f'"{key}"' in shown
    assert "no variable 'local'" in terminal.ask("hmap-show local")  # inSelect's

    select("main.deep7")
    deep6 = re.search(r"(\d+)  main\.deep6\b", terminal.ask("stack"))
    assert deep6 is not None
    assert "in main.deep6" in terminal.ask(f"frame {deep6.group(1)}")
    assert re.search(r"m = map\[string\]int 1 entry.*\bshared = map\[string\]int", terminal.ask("args"), re.S)
    assert "m =" not in terminal.ask("args shared")
    assert '"shared"' in terminal.ask("hmap-show shared --entries 1")
    assert "in main.deep5" in terminal.ask("up")
    assert "in main.deep2" in terminal.ask("up 3")
    assert '"deep"' in terminal.ask("print h.Name")
    assert "map[string]int 1 entry" in terminal.ask("print h.M")
    assert "map[string]int  h.M" in terminal.ask("hmap-show h.M")
    assert "print: " in terminal.ask("print nosuch")
    assert "in main.deep3" in terminal.ask("down")
    assert "there is no frame" in terminal.ask("down 100")

    assert "goroutine 1 in main.stop" in terminal.ask("goroutine 1")
    assert re.search(r"1  main\.stop  \S+:\d+  hit 1", terminal.ask("breakpoints"))
    assert "in main.stop" in terminal.ask("halt")
    assert "main.go:47" in terminal.ask("step")
    assert "in gomap.test/targets/truth.Reached" in terminal.ask("step")
    assert 'stage = "all"' in terminal.ask("args")
    assert "in main.stop" in terminal.ask("stepout")
    terminal.leave()


def test_completion_and_history(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    terminal.ready()
    terminal.ask("frame 1")
    terminal.child.send("hmap-sh\t")
    terminal.child.expect("ow")
    terminal.child.send(" sma\t")
    terminal.child.expect("ll")
    terminal.child.send("\r")
    terminal.child.expect("3 entries in room for 8")
    terminal.ready()
    terminal.child.send("hmap-show main.Ke\t")
    terminal.child.expect("ep")
    terminal.child.send(".Words\r")
    terminal.child.expect("26 entries")
    terminal.ready()
    terminal.child.send("\x1b[A\x1b[A\r")  # twice up
    terminal.child.expect("3 entries in room for 8")
    terminal.ready()
    terminal.leave()
    again = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    again.ready()
    again.child.send("\x1b[A\x1b[A\x1b[A\r")  # exit, hmap-show small, hmap-show main.Keep.Words
    again.child.expect("26 entries")
    again.ready()
    again.leave()


def test_interrupt(recorded_dlv: tuple[Path, Path], dlv: Dlv, spinning: Path, tmp_path: Path) -> None:
    """Ctrl-C halts a running program, clears a half-typed line, and never ends dlv-hmap."""
    script, pid = recorded_dlv
    terminal = Terminal(Dlv(dlv.version, script), tmp_path, "exec", str(spinning), "--break", "main.main")
    assert "in main.main" in terminal.ready()
    assert "breakpoint 1 is gone" in terminal.ask("clear 1")
    (program,) = (one for one in left_of(pid) if Path(f"/proc/{one}/exe").resolve() == spinning)
    status = Path(f"/proc/{program}/status")
    for _ in range(3):
        waited = switches(status)
        terminal.child.send("continue\r")
        terminal.child.expect("continue.*\n")
        # Before the program runs Ctrl-C would take the line away. It sleeps thousands of times a second.
        until = time.monotonic() + 30
        while switches(status) <= waited + 20:
            assert time.monotonic() < until, status.read_text()
            time.sleep(0.01)
        terminal.child.send("\x03")
        assert re.search(r"goroutine \d+ in|thread \d+ in", terminal.ready())
        assert "map[int]int  main.Counts" in terminal.ask("hmap-show main.Counts")
    terminal.child.send("hmap-show nonsen\x03")
    terminal.child.expect("\n")
    terminal.ready()
    assert "map[int]int  main.Counts" in terminal.ask("hmap-show main.Counts")
    terminal.leave()


def test_attach_lets_go(dlv: Dlv, spinning: Path, tmp_path: Path) -> None:
    """A process that was attached to runs on afterwards."""
    process = subprocess.Popen([str(spinning)], stdin=subprocess.DEVNULL)
    try:
        terminal = Terminal(dlv, tmp_path, "attach", str(process.pid))
        terminal.ready()
        assert "map[int]int  main.Counts" in terminal.ask("hmap-show main.Counts")
        terminal.leave()
        assert process.poll() is None
        traced = Path(f"/proc/{process.pid}/status").read_text()
        assert "TracerPid:\t0" in traced
    finally:
        process.kill()
        process.wait()


def test_let_go_with_a_halt_on_its_way(dlv: Dlv, spinning: Path) -> None:
    """One that came as the program stopped by itself: its signal is not what the process dies of."""
    process = subprocess.Popen([str(spinning)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "running\n"
        with delves.bridge(dlv, ["attach", str(process.pid)]) as session:
            assert not session.state().get("Running")
            process.send_signal(signal.SIGTRAP)
        status = Path(f"/proc/{process.pid}/status")
        before, until = switches(status), time.monotonic() + 30
        while switches(status) <= before + 20:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        assert "TracerPid:\t0" in status.read_text()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stopped", [False, True])
def test_ended_while_dlv_takes_hold(stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dlv has stopped the process, and not come to attach to it: it runs on, unless it was stopped before."""
    process = subprocess.Popen(["sleep", "100"])
    script, there = tmp_path / "dlv", tmp_path / "there"
    script.write_text(f'#!/bin/sh\nkill -STOP "$2"\ntouch "{there}"\nexec sleep 100\n')
    script.chmod(0o755)
    monkeypatch.setenv("GOMAP_DLV", str(script))

    def is_stopped() -> bool:
        return "State:\tT" in Path(f"/proc/{process.pid}/status").read_text()

    def waits_for(wanted: bool) -> None:
        until = time.monotonic() + 30
        while is_stopped() != wanted:
            assert time.monotonic() < until
            time.sleep(0.01)

    try:
        if stopped:
            process.send_signal(signal.SIGSTOP)
            waits_for(True)
        server = Server(["attach", str(process.pid)], lambda data: None)
        while not there.exists():
            time.sleep(0.01)
        waits_for(True)
        server.end(None)
        waits_for(stopped)
    finally:
        process.kill()
        process.wait()


def test_two_windows_on_one_server(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """dlv --headless and dlv-hmap connect: two windows on one server, which outlives them."""
    binary = toolchains.build("basic", system_go, optimised=False)
    socket = tmp_path / "dlv.sock"
    server = subprocess.Popen(
        [
            str(dlv.path),
            "exec",
            str(binary),
            "--headless",
            "--accept-multiclient",
            "--api-version=2",
            f"--listen=unix:{socket}",
            "--check-go-version=false",
        ],
        env={**os.environ, "GOMAP_TRUTH": "/dev/null"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        assert "listening" in server.stdout.readline()
        one = Terminal(dlv, tmp_path, "connect", f"unix:{socket}")
        assert "warning" not in one.ready()
        assert "main.stop" in one.ask("continue")
        two = Terminal(dlv, tmp_path, "connect", f"unix:{socket}")
        two.ready()
        assert "1,000 entries" in two.ask("hmap-show m")
        assert "in main.main" in two.ask("stepout")
        assert "another client has moved the program" in one.ask("hmap-show m")
        two.leave()
        assert "1,000 entries" in one.ask("hmap-show m")
        assert server.poll() is None
        server.terminate()
        server.wait(30)
        # The server is gone, and the window is still there.
        for _ in range(2):
            assert re.search(r"hmap-show: .*(connection|Delve server)", one.ask("hmap-show m"))
        one.leave()
    finally:
        server.terminate()
        server.wait(30)
