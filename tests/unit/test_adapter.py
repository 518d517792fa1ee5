"""The debug adapter: what an editor's launch or attach request becomes, and messages on their way."""

from __future__ import annotations

import os
import queue
import re
import socket
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from delve_bridge import launch
from delve_bridge.debug_console import Commands, is_ours
from delve_bridge.wire import Wire, message_of
from gomap.errors import TargetRunning, UsageError


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"program": "./cmd/x"}, ["debug", "./cmd/x"]),
        ({"mode": "exec", "program": "x", "args": ["-v", "a b"]}, ["exec", "x", "--", "-v", "a b"]),
        (
            {"mode": "exec", "program": "x", "cwd": "/w", "backend": "native", "stdinFrom": "i", "stderrTo": "e"},
            ["exec", "x", "-r=stdin:i", "-r=stderr:e", "--wd=/w", "--backend=native"],
        ),
        ({"program": ".", "backend": "default", "output": "o"}, ["debug", ".", "--output=o"]),
        ({"mode": "test", "program": "."}, ["test", ".", f"--output=__debug_bin{os.getpid()}"]),
        ({"program": ".", "buildFlags": "-tags=a -race"}, ["debug", ".", "--build-flags=-tags=a -race"]),
        (
            {"program": ".", "buildFlags": ["-tags=a", "-ldflags=-X 'm.a=b\\c'"]},
            ["debug", ".", "--build-flags='-tags=a' '-ldflags=-X \\'m.a=b\\\\c\\''"],
        ),
        ({"mode": "core", "program": "x", "coreFilePath": "c", "cwd": "/w"}, ["core", "x", "c"]),
    ],
)
def test_launches(arguments: dict[str, Any], words: Sequence[str]) -> None:
    assert launch.launch(arguments, {}).words == words


def test_where_it_runs() -> None:
    start = launch.launch(
        {"mode": "exec", "program": "x", "dlvCwd": "/d", "env": {"A": "1", "B": None}, "outputMode": "remote"},
        {"B": "2", "C": "3"},
    )
    assert (start.folder, start.program, start.environment) == ("/d", "/d/x", {"A": "1", "C": "3"})
    assert start.remote_output and start.building is None and start.follow is None
    assert launch.launch({"mode": "test", "program": "./x"}, {}).building == "tests of ./x"
    assert launch.launch({"program": ".", "followExec": True}, {}).follow == ""


@pytest.mark.parametrize(
    "arguments, why",
    [
        ({"program": ".", "noDebug": True}, "without a debugger"),
        ({"program": ".", "mode": "replay"}, "mode 'replay'"),
        ({"mode": "exec"}, "program attribute is missing"),
        ({"mode": "core", "program": "x"}, "coreFilePath attribute is missing"),
        ({"program": 1}, "program is not a string"),
        ({"program": ".", "args": "a"}, "args is not a list"),
        ({"program": ".", "env": ["a"]}, "env is not an object"),
        ({"program": ".", "env": {"a": 1}}, "variable a is not a string"),
        ({"program": ".", "buildFlags": 1}, "buildFlags is neither"),
        ({"program": ".", "outputMode": "x"}, "outputMode 'x'"),
        ({"program": ".", "outputMode": "remote", "stdoutTo": "f"}, "outputMode 'remote'"),
    ],
)
def test_is_left_to_dlv(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        launch.launch(arguments, {})


def test_attaches() -> None:
    assert launch.attach({"processId": 12}, {}).words == ["attach", "12"]
    assert launch.attach({"waitFor": "x", "backend": "native"}, {}).words == [
        "attach",
        "--waitfor=x",
        "--backend=native",
    ]
    for wrong in ({}, {"processId": 1, "waitFor": "x"}, {"processId": "1"}, {"processId": True}):
        with pytest.raises(UsageError):
            launch.attach(wrong, {})
    remote = launch.as_remote(
        {"mode": "exec", "program": "x", "processId": "", "followExec": True, "stopOnEntry": True}
    )
    assert remote == {"mode": "remote", "program": "x", "stopOnEntry": True}


def test_messages_whole_and_in_pieces() -> None:
    """Whatever comes in one packet, and however long an editor is silent."""
    here, there = socket.socketpair()
    there.settimeout(0.05)
    wire = Wire(there)
    first, second = b'{"seq":1,"type":"event"}', '{"seq":2,"type":"\u00e9"}'.encode()
    framed = b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in (first, second))

    def send() -> None:
        here.sendall(framed[:7])
        threading.Event().wait(0.2)  # longer than the socket's own patience
        here.sendall(framed[7:-3])
        here.sendall(framed[-3:])

    sender = threading.Thread(target=send)
    sender.start()
    assert [wire.receive(), wire.receive()] == [first, second]
    sender.join()
    wire.put({"seq": 3})
    assert here.recv(1 << 10) == b'Content-Length: 10\r\n\r\n{"seq": 3}'
    here.close()
    assert wire.receive() is None
    wire.close()


@pytest.mark.parametrize(
    "data",
    [b"{}\r\n\r\n", b"Content-Length: x\r\n\r\n{}", b"Content-Length: 99999999999\r\n\r\n", b"\r\n", b"x" * 9000],
)
def test_no_message(data: bytes) -> None:
    here, there = socket.socketpair()
    here.sendall(data)
    here.close()
    wire = Wire(there)
    assert not wire.receive()
    wire.close()
    assert message_of(data) == message_of(b"[" * 100000) == message_of(b"[1]") == {}


def test_whose_a_request_is() -> None:
    def evaluates(line: object, context: str = "repl") -> bool:
        return is_ours({"command": "evaluate", "arguments": {"expression": line, "context": context}})

    def completes(text: object) -> bool:
        return is_ours({"command": "completions", "arguments": {"text": text}})

    assert all(map(evaluates, ("hmap-show m", "  hmap-nosuch", "help hmap-show", "hmap-config")))
    assert not any(map(evaluates, ("m", "help", "", "hmap", "x hmap-show", None, 1)))
    assert not evaluates("hmap-show m", "watch") and not evaluates("hmap-show m", "hover")
    assert all(map(completes, ("", "h", "hmap-", "hmap-show m")))
    assert not any(map(completes, ("help ", "m", "x hmap-", None)))
    assert not is_ours({"command": "evaluate", "arguments": None}) and not is_ours({})


@pytest.mark.parametrize("error", [TargetRunning("the program runs"), KeyError("pc"), KeyboardInterrupt()])
def test_a_stop_that_can_not_be_read_is_told(error: BaseException) -> None:
    """The editor gets the stopped event, and instead of the breakpoint's line the reason why it can't be read."""

    def stopped() -> None:
        raise error

    commands = Commands(lambda message: None, True, 1)
    console: Any = SimpleNamespace(session=SimpleNamespace(breaks={1: None}, stopped=stopped))
    commands._console = console
    heard: queue.SimpleQueue[tuple[list[str], bool]] = queue.SimpleQueue()
    commands.stopped(lambda lines, goes_on: heard.put((lines, goes_on)))
    (line,), goes_on = heard.get(timeout=10)
    assert line.startswith("hmap-break: this stop can't be read: ") and not goes_on
    assert "the program runs" in line or type(error).__name__ in line
