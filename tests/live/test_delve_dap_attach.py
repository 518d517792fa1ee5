"""dlv-hmap dap with programs that run already and core files, and sessions that end otherwise than by their editor."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import debuggers, toolchains
from tests.support.dap_sessions import (
    ADAPTER,
    EDITS,
    at_line,
    begin,
    build_module,
    environment_of,
    goes_on,
    hmap,
    running,
    session,
    stopped,
    waits_until,
)
from tests.support.delves import Dlv
from tests.support.fake_server import serving
from tests.support.toolchains import Row
from tests.support.windows import headless, of_session

# -- programs that run already -------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", ["while it runs", "while it is stopped", "without a word", "and kills it"])
def test_attaches(dlv: Dlv, system_go: Row, spinning: Path, leaves: str, tmp_path: Path) -> None:
    with running(spinning) as process, session(dlv, system_go, tmp_path) as (opened, editor):
        begin(editor, None, "attach", mode="local", processId=process.pid)
        assert "the program is running" in hmap(editor, "hmap-show main.Counts")
        editor.ask("pause", threadId=1)
        thread = editor.wait("event", "stopped").get("threadId", 1)
        assert "map[int]int  main.Counts" in hmap(editor, "hmap-show main.Counts")
        offered = editor.get("completions", text="hmap-show main.C", column=17)["targets"]
        assert [one["text"] for one in offered] == ["main.Counts"]
        if leaves != "while it is stopped":
            editor.get("continue", threadId=thread)
        if leaves == "without a word":
            assert opened.client.stdin is not None
            opened.client.stdin.close()
        else:
            editor.get("disconnect", terminateDebuggee=leaves == "and kills it")
        opened.end()
        if leaves == "and kills it":
            assert process.wait(30) < 0
        else:
            waits_until(lambda: goes_on(process))


def test_attaches_to_a_server(dlv: Dlv, system_go: Row, module: Path) -> None:
    """Several sessions at one server, whose program stays; and a server that takes an editor alone."""
    build_module(system_go, module)
    with headless(dlv, module / "fills") as where:
        place = {"mode": "remote", "host": where.host, "port": where.port}
        for n in (2, 4):
            with session(dlv, system_go, module) as (opened, editor):
                begin(editor, at_line(module, condition=f"n == {n}"), "attach", **place)
                _, frames = stopped(editor)
                assert f"{n} entries" in hmap(editor, "hmap-show m", frames[0]["id"])
                editor.get("disconnect", terminateDebuggee=False)
                opened.end()
    command = [str(dlv.path), "exec", "fills", "--headless", "--listen=127.0.0.1:0"]
    with subprocess.Popen(command, cwd=module, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        where_alone = server.stdout.readline().split()[-1]
        with session(dlv, system_go, module, f"--connect={where_alone}") as (opened, editor):
            begin(editor, at_line(module), "attach", mode="remote")
            _, frames = stopped(editor)
            assert "--accept-multiclient" in hmap(editor, "hmap-show m")
            assert hmap(editor, "len(m)", frames[0]["id"]) == "0"
            editor.get("disconnect", terminateDebuggee=True)
            opened.end()
    with session(dlv, system_go, module, f"--connect={where_alone}") as (opened, editor):
        editor.get("initialize", **EDITS)
        assert "no Delve server answers" in editor.reply("attach", mode="remote")["message"]
        editor.get("disconnect")
        opened.end()


def test_looks_at_a_core_file(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """With the program that it is of; with another one gomap has no part in it."""
    binary = toolchains.build("basic", system_go, optimised=False)
    other = toolchains.build("basic", system_go, optimised=True)
    core = debuggers.make_core(binary, "start")
    counts = {path: one["len"] for path, one in core.truth["start"]["maps"].items()}
    for program in (binary, other):
        with session(dlv, system_go, tmp_path) as (opened, editor):
            begin(editor, None, mode="core", program=str(program), coreFilePath=str(core.path), stopOnEntry=True)
            shown = hmap(editor, "hmap-show main.Keep.Words --json")
            if program == binary:
                shown = json.loads(shown)
                assert (shown["target"]["kind"], shown["data"]["count"]) == ("core", counts["main.Keep.Words"])
            else:
                assert "not available in this session" in json.loads(shown)["error"]["message"]
            editor.get("disconnect")
            opened.end()


def test_servers_that_take_no_editor(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """One that is silent, and one that another editor has."""
    with serving({}) as silent, session(dlv, system_go, tmp_path, "--timeout=1") as (opened, editor):
        editor.get("initialize", **EDITS)
        place = {"mode": "remote", "host": silent.address.host, "port": silent.address.port}
        assert "dlv has closed the connection" in editor.reply("attach", **place)["message"]
        with session(dlv, system_go, tmp_path, program=dlv.path) as (other, its):
            host, _, port = other.where.rpartition(":")
            told = editor.reply("attach", mode="remote", host=host, port=int(port))["message"]
            assert "accepts only its editor (DAP)" in told
            its.get("initialize", **EDITS)
            its.get("disconnect")
            other.end()
        editor.get("disconnect")
        opened.end()


# -- sessions that end otherwise -----------------------------------------------------------------------------------


def test_restarts(dlv: Dlv, system_go: Row, module: Path) -> None:
    with session(dlv, system_go, module) as (opened, editor):
        begin(editor, at_line(module, condition="n == 3"), mode="debug", program=".")
        first = editor.wait("event", "stopped")
        assert "3 entries" in hmap(editor, "hmap-show m")
        main = module / "main.go"
        main.write_text(main.read_text().replace('"k"', '"again"'))
        editor.ask("restart")
        editor.wait("event", "initialized")
        editor.get("setBreakpoints", **at_line(module, condition="n == 4"))
        editor.get("configurationDone")
        assert editor.wait("event", "stopped")["threadId"] == first["threadId"]
        assert '"again0"' in hmap(editor, "hmap-show m --entries 1")
        editor.get("disconnect")
        opened.end()


@pytest.mark.parametrize("end", ["the editor goes", "a signal", "a kill", "the program is killed", "dlv is killed"])
def test_nothing_is_left(dlv: Dlv, system_go: Row, spinning: Path, end: str, tmp_path: Path) -> None:
    with session(dlv, system_go, tmp_path) as (opened, editor):
        begin(editor, None, mode="exec", program=str(spinning))
        editor.ask("pause", threadId=1)
        thread = editor.wait("event", "stopped").get("threadId", 1)
        pid = next(one["body"]["systemProcessId"] for one in editor.heard if one.get("event") == "process")
        assert "main.Counts" in hmap(editor, "hmap-show main.Counts")
        editor.get("continue", threadId=thread)
        if end == "the editor goes":
            assert opened.client.stdin is not None
            opened.client.stdin.close()
        elif end == "a signal":
            opened.adapter.send_signal(signal.SIGINT)
        elif end == "a kill":
            opened.adapter.kill()
        elif end == "the program is killed":
            os.kill(pid, signal.SIGKILL)
            editor.wait("event", "terminated")
            assert "hmap-show: " in hmap(editor, "hmap-show main.Counts")
            editor.get("disconnect")
        else:
            os.kill(int(re.findall(r"TracerPid:\t(\d+)", Path(f"/proc/{pid}/status").read_text())[0]), signal.SIGKILL)
        opened.end()
        waits_until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_build_is_given_up(dlv: Dlv, system_go: Row, module: Path) -> None:
    script = module / "go"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    with session(dlv, system_go, module) as (opened, editor):
        editor.get("initialize", **EDITS)
        editor.ask("launch", mode="debug", program=".", env={"PATH": str(module) + ":/usr/bin:/bin"})
        editor.wait("event", "output")
        waits_until(lambda: b"sleep" in [_name(pid) for pid in of_session(opened.adapter.pid)])
        editor.ask("disconnect")
        editor.drain()
        assert [one["command"] for one in editor.heard if one["type"] == "response"][-1] == "disconnect"
        opened.end()


def _name(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_bytes().strip()
    return b""


def test_connect_names_it_where_nothing_answers() -> None:
    """A server of another machine says nothing of itself."""
    with serving({"SetApiVersion": lambda request: None}) as server:
        run = subprocess.Popen(
            [str(ADAPTER), "connect", str(server.address), "--timeout", "4", "-c", "hmap-top"],
            env={**os.environ, "GOMAP_PYTHON": sys.executable},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert run.stderr is not None
        hint, problem = run.stderr.read().splitlines()
        assert run.wait(30) == 1
        assert "accepts only its editor (DAP)" in hint and "dlv-hmap dap" in hint
        assert "has not answered for 4 seconds" in problem


def test_connect_names_it(dlv: Dlv, system_go: Row, module: Path) -> None:
    """A second client of an editor's own server gets an error at once, and the editor's session goes on."""
    for program in (dlv.path, ADAPTER):
        with session(dlv, system_go, module, program=program) as (opened, editor):
            editor.get("initialize", **EDITS)
            for more in ([], ["-c", "hmap-show m"]):
                started = time.monotonic()
                run = subprocess.run(
                    [str(ADAPTER), "connect", opened.where, *more],
                    env=environment_of(dlv, system_go),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                assert run.returncode == 1 and run.stdout == "" and run.stderr.count("\n") == 1
                assert "accepts only its editor (DAP)" in run.stderr and "dlv-hmap dap" in run.stderr
                # It takes no 2 seconds; a busy machine is given more, but less than waiting for an answer would take.
                assert time.monotonic() - started < 10
            editor.ask("launch", mode="debug", program=".", stopOnEntry=True)
            editor.wait("event", "initialized")
            editor.get("disconnect")
            opened.end()
