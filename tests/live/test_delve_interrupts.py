"""Ctrl-C and the progress line: in a terminal, and where dlv-hmap is one program among others in a script."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from delve_bridge.console import Console
from delve_bridge.moves import set_breakpoint
from delve_bridge.rpc import Call, Client, Result
from delve_bridge.session import Session
from gomap.frontend import Outcome
from gomap.render.text import Style
from tests.support import delves, toolchains
from tests.support.delves import Dlv
from tests.support.fake_server import relaying
from tests.support.terminals import Terminal
from tests.support.toolchains import Row
from tests.support.windows import bridge_command, environment, headless, left_of


class PressedAt:
    """Sends dlv-hmap SIGINT when it asks the nth time for `method`, before it is answered. n: 0 for never."""

    def __init__(self, method: str, n: int) -> None:
        self.method = method
        self.n = n
        self.asked = 0
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, request: Mapping[str, Any]) -> None:
        if request["method"] == f"RPCServer.{self.method}":
            self.asked += 1
            if self.asked == self.n:
                assert self.process is not None
                self.process.send_signal(signal.SIGINT)


def piped(bridge: Session, pressed: PressedAt, *commands: str) -> tuple[int, list[Any], str]:
    """Status, JSON answers and standard error of dlv-hmap on the bridge's server, its output piped."""
    with relaying(bridge.client, pressed) as relay:
        asked = [part for command in commands for part in ("-c", command)]
        # The relay answers nothing before the process is known.
        with relay.held:
            pressed.process = subprocess.Popen(
                bridge_command("connect", str(relay.address), "--no-direct", *asked),
                env=environment(Path("/nowhere")),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        output, errors = pressed.process.communicate(timeout=60)
    assert pressed.asked >= pressed.n, f"{pressed.method} was called {pressed.asked} times"
    assert "\r" not in output + errors
    return pressed.process.returncode, [json.loads(line) for line in output.splitlines()], errors


def test_piped(dlv: Dlv, system_go: Row) -> None:
    """What is found is told and marked, nothing else is asked, and the status is 130."""
    binary = toolchains.build("goroutines", system_go, optimised=False)
    shared = "hmap-show main.Shared --json"
    with delves.bridge(dlv, ["exec", str(binary)]) as bridge:
        delves.run_to_first_stop(bridge)
        # A search over all goroutines.
        status, (partial,), errors = piped(bridge, PressedAt("Stacktrace", 12), "hmap-top --json", shared)
        assert (status, errors) == (130, "")
        assert "the search was interrupted" in [cut["what"] for cut in partial["truncated"]]
        assert 0 < partial["data"]["scanned"]["goroutines"] < 30
        # One map.
        status, (failed,), errors = piped(bridge, PressedAt("ExamineMemory", 1), shared, shared)
        assert failed["error"]["code"] == "interrupted"
        assert (status, errors) == (130, "hmap-show: interrupted: nothing was changed\n")
        # Before the first command.
        status, none, errors = piped(bridge, PressedAt("SetApiVersion", 1), shared)
        assert (status, none, errors) == (130, [], "dlv-hmap: interrupted\n")
        # At the last request of a command: the answer is there already.
        counted = PressedAt("State", 0)
        status, (whole,), errors = piped(bridge, counted, shared)
        assert (status, errors, whole["data"]["count"]) == (0, "", 1)
        status, answers, errors = piped(bridge, PressedAt("State", counted.asked), shared, shared)
        assert (status, answers, errors) == (130, [whole], "")


def test_in_a_terminal(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """A line tells how far it is and is taken away; Ctrl-C gives what was found, and what is asked next is right."""
    binary = toolchains.build("goroutines", system_go, optimised=False)
    arguments = ("exec", str(binary), "--break", "main.stop", "--no-direct")
    terminal = Terminal(dlv, tmp_path, *arguments, GOMAP_N="4000")
    assert "main.stop()" in terminal.ready()
    for keys in ("\x03", "\x03\x03\x03"):
        terminal.child.send("hmap-alias --scope all\r")
        terminal.child.expect(r"\rgoroutines: [\d,]+ of 4,0\d\d \([\d,]+/s\), Ctrl-C stops")
        terminal.child.send(keys)
        answer = terminal.ready()
        if keys == "\x03":
            assert re.search(r"\r +\r", answer)
            assert "(interrupted: these results are incomplete)" in answer and "partial" in answer
        assert "Traceback" not in answer
        assert re.search(r"map\[string\]int  main\.Shared\b", terminal.ask("hmap-show main.Shared"))
        assert "main.stop()" in terminal.ask("frame 0")
    terminal.leave()


def test_in_a_terminal_on_a_shared_server(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """Where dlv itself asks on Ctrl-C whether to leave: a command of gomap's has it for its own."""
    with headless(dlv, toolchains.build("goroutines", system_go, optimised=False), GOMAP_N="4000") as where:
        terminal = Terminal(dlv, tmp_path, "connect", str(where), "--no-direct")
        terminal.ready()
        terminal.ask("break main.stop")
        terminal.ask("continue")
        terminal.child.send("hmap-alias --scope all\r")
        terminal.child.expect(r"\rgoroutines: [\d,]+ of 4,0")
        terminal.child.send("\x03")
        assert "(interrupted: these results are incomplete)" in terminal.ready()
        assert re.search(r"map\[string\]int  main\.Shared\b", terminal.ask("hmap-show main.Shared"))
        assert "[p/q]" not in terminal.leave("n\r")


@pytest.mark.parametrize("command", [["dlv-hmap", "connect", ":1"], ["gomap", "m.hmap"]], ids=["dlv-hmap", "gomap"])
def test_while_it_is_loaded(command: Sequence[str], tmp_path: Path) -> None:
    """At the first import of its own modules."""
    (tmp_path / "argparse.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        [str(toolchains.ROOT / "bin" / command[0]), *command[1:]],
        env={**os.environ, "GOMAP_PYTHON": sys.executable, "PATH": path, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a run in the background ignores it
    )
    assert (run.returncode, run.stdout, run.stderr) == (130, "", f"{command[0]}: interrupted\n")


def test_at_any_request(dlv: Dlv, spinning: Path) -> None:
    """Nothing that was half learned of the program is taken for the whole when the command is given again."""
    command = "hmap-show main.Things --entries 3 --json"
    with delves.bridge(dlv, ["exec", str(spinning)]) as bridge:
        set_breakpoint(bridge, "main.main")
        delves.run_to_first_stop(bridge)
        requests, whole, again = given_up_at(bridge, command, 0)
        assert whole.error is None
        assert json.loads(whole.output)["data"]["entries"][0]["value"] == "1"
        assert again == whole
        assert requests > 10
        # Those before are the handshake's, above all; the last two ask whether the program has moved meanwhile.
        for n in range(requests // 2, requests - 1):
            _, first, again = given_up_at(bridge, command, n)
            assert first.error == "hmap-show: interrupted: nothing was changed"
            assert again == whole, n


def given_up_at(bridge: Session, command: str, n: int) -> tuple[int, Outcome, Outcome]:
    """The command twice in a session of its own, with Ctrl-C at the nth request of the first time (0: never), and
    how many requests that took."""
    client = Client(bridge.client.where)
    console = Console(Session(client), Style())
    exchange, made = client._exchange, []

    def counted(calls: Sequence[Call], wait: float | None) -> list[Result]:
        made.append(calls)
        client.cancelled = len(made) == n
        return exchange(calls, wait)

    with mock.patch.object(client, "_exchange", counted):
        first = console.execute(command)
    second = console.execute(command)
    console.session.close_memory()
    client.close()
    return len(made), first, second


def test_pressed_on_and_on(recorded_dlv: tuple[Path, Path], system_go: Row) -> None:
    """Until it has ended: dlv and the program are not left behind."""
    script, pid = recorded_dlv
    binary = toolchains.build("basic", system_go, optimised=False)
    process = subprocess.Popen(
        bridge_command("exec", str(binary), "--break", "main.stop", "-c", "hmap-show m --json"),
        env=environment(script),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["data"]["count"] == 1000
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.005)
    process.stdout.close()
    assert process.returncode in (0, 130)
    assert left_of(pid) == []


def test_while_the_program_runs(dlv: Dlv, spinning: Path) -> None:
    """`-c continue` is halted and what follows is asked there; a breakpoint that was not reached ends it."""
    counts = "hmap-show main.Counts --json"
    for arguments, answered in ((["-c", "continue"], 1), (["--break", "main.never"], 0)):
        process = subprocess.Popen(
            bridge_command("exec", str(spinning), *arguments, "-c", counts),
            env=environment(dlv.path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert "running\n" in iter(process.stderr.readline, "")  # the program's own word
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors
        answers = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert [answer["data"]["type"] for answer in answers] == ["map[int]int"] * answered
