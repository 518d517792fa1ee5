"""dlv-hmap as README.md and docs/delve.md tell it: the program itself, real servers, and what it leaves behind."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from delve_bridge.console import Console
from delve_bridge.rpc import Client
from delve_bridge.server import Server
from delve_bridge.session import Session
from gomap.render.text import Style
from tests.support import dap, debuggers, delves, toolchains
from tests.support.delves import Dlv
from tests.support.toolchains import ROOT, Row
from tests.support.windows import environment, headless, left_of, switches


def answers(dlv: Path, *arguments: str) -> str:
    """What dlv-hmap prints when all goes well, and it has nothing to say beside."""
    run = subprocess.run(
        [str(ROOT / "bin" / "dlv-hmap"), *arguments],
        env=environment(dlv, GOMAP_PYTHON=sys.executable),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def test_core(recorded_dlv: tuple[Path, Path], system_go: Row) -> None:
    script, pid = recorded_dlv
    binary = toolchains.build("basic", system_go, optimised=False)
    core = debuggers.make_core(binary, "start").path
    told = answers(script, "core", str(binary), str(core), "-c", "hmap-alias")
    assert re.search(r"main\.Keep\.Words\b", told), told
    assert left_of(pid) == []


def test_attach(recorded_dlv: tuple[Path, Path], spinning: Path) -> None:
    """The process is let go of, and runs on."""
    script, pid = recorded_dlv
    process = subprocess.Popen([str(spinning)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "running\n"
        told = answers(script, "attach", str(process.pid), "-c", "hmap-show main.Counts", "-c", "hmap-top --json")
        assert "map[int]int  main.Counts" in told
        status = Path(f"/proc/{process.pid}/status")
        assert "TracerPid:\t0" in status.read_text()
        # It sleeps thousands of times a second.
        before, until = switches(status), time.monotonic() + 30
        while switches(status) <= before + 20:
            assert time.monotonic() < until, status.read_text()
        assert process.poll() is None
        assert left_of(pid) == []
    finally:
        process.kill()
        process.communicate()


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
        server = Server(["attach", str(process.pid)], lambda number, data: None)
        while not there.exists():
            time.sleep(0.01)
        waits_for(True)
        server.end(None)
        waits_for(stopped)
    finally:
        process.kill()
        process.wait()


def test_connect(dlv: Dlv, system_go: Row) -> None:
    """To a server that was there before, and is there after, with the program where it was."""
    binary = toolchains.build("basic", system_go, optimised=False)
    with headless(dlv, binary) as where:
        client = Client(where)
        client.call("CreateBreakpoint", Breakpoint={"functionName": "main.stop", "line": -1})
        client.call("Command", name="continue")
        client.close()
        first = answers(dlv.path, "connect", str(where), "-c", "hmap-show m --json")
        assert json.loads(first)["data"]["count"] == 1000
        assert answers(dlv.path, "connect", str(where), "-c", "hmap-show m --json") == first


# -- beside an editor --------------------------------------------------------------------------------------


def test_beside_an_editor(dlv: Dlv, system_go: Row) -> None:
    """One server, an editor that speaks DAP, and gomap, which looks wherever the editor has stopped."""
    binary = toolchains.build("basic", system_go, optimised=False)
    with headless(dlv, binary) as where:
        connected = socket.create_connection((where.host, where.port), 30)
        stream = connected.makefile("rwb")
        editor = dap.own(stream, stream)
        editor.ask("initialize", adapterID="go", linesStartAt1=True, columnsStartAt1=True, pathFormat="path")
        editor.wait("response", "initialize")
        editor.ask("attach", mode="remote", stopOnEntry=True)
        editor.wait("event", "initialized")
        editor.ask("setFunctionBreakpoints", breakpoints=[{"name": "main.stop"}])
        editor.wait("response", "setFunctionBreakpoints")
        editor.ask("configurationDone")
        editor.wait("event", "stopped")
        console = Console(Session(Client(where)), Style())
        assert delves.news(console.session) == ""
        editor.ask("continue", threadId=1)
        thread = editor.wait("event", "stopped")["threadId"]
        assert "1,000 entries" in console.execute("hmap-show m").output
        editor.ask("next", threadId=thread)
        editor.wait("event", "stopped")
        assert delves.news(console.session) == "moved"
        assert "1,000 entries" in console.execute("hmap-show m").output
        console.session.client.close()
        editor.ask("disconnect", terminateDebuggee=False)
        editor.wait("response", "disconnect")
        stream.close()
        connected.close()
