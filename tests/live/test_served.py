"""A server that others wrote, linked as its authors release it (-s -w -trimpath), while it serves: its maps, their
types and sizes against what it says of itself, who holds them, and no stop that its clients could notice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import conftest
from tests.support import served
from tests.support.debuggers import Gdb
from tests.support.served import Server, serving
from tests.support.toolchains import ROOT, Missing, Row

CLIENTS = 20
#: The server's own type of its clients, and of a client's subscriptions.
ALL, OF_ONE = "map[uint64]*server.client", "map[string]*server.subscription"
TOP = "hmap-top -n 0 --json"


def gomap(*arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "direct", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def short(name: str | None) -> str | None:
    """A type with the last part of its package's path."""
    return name and name.replace("github.com/nats-io/nats-server/v2/", "")


def test_released_server(swiss_go: Row, system_gdb: Gdb, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    try:
        binary = served.build(swiss_go)
    except Missing as missing:
        conftest.leave_out(request.config, str(missing))
    with serving(binary, CLIENTS) as server:
        pid = str(server.pid)
        of_one = ranked(server, gomap("pid", pid, "-c", TOP)[0])
        traced = Traced(server.pid)
        traced.start()
        begun = time.monotonic()
        (why,) = gomap("pid", pid, "-c", f"hmap-why {of_one} --json")
        ended = time.monotonic()
        assert not traced.end()
        # With a debugger no client would get an answer from its beginning to its end.
        assert server.longest(begun, ended) < (ended - begun) / 2, (begun, ended, server.answers[-5:])
        held_by_goroutine(why)
        path = tmp_path / "core"
        command = [str(system_gdb.path), "-nx", "-q", "-batch", "-p", pid, "-ex", f"gcore {path}"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        top, again = gomap("core", str(binary), str(path), "-c", TOP, "-c", f"hmap-why {of_one} --json")
        assert ranked(server, top) == of_one
        held_by_goroutine(again)


def ranked(server: Server, top: dict[str, Any]) -> str:
    """The address of the map of the client with most subscriptions. Its entries, those of the other clients' and those
    of the map of all clients are as many as the server says."""
    maps = [(short(one["type"]), one["count"], one["address"]) for one in top["data"]["maps"]]
    connections = server.says("connz?subs=1")["connections"]
    assert len(connections) == CLIENTS + 1
    assert (ALL, len(connections)) in [(t, count) for t, count, _ in maps]
    wanted = Counter(len(one["subscriptions_list"]) for one in connections if one.get("subscriptions_list"))
    found = Counter(count for t, count, _ in maps if t == OF_ONE)
    assert len(wanted) == CLIENTS and wanted <= found, (wanted, found)
    return next(str(address) for t, count, address in maps if (t, count) == (OF_ONE, CLIENTS))


def held_by_goroutine(why: dict[str, Any]) -> None:
    """One of the ways to a client's map begins on the stack of a goroutine of that client."""
    functions = {one["function"] for one in why["data"]["ways"] if one["root"] == "stack"}
    assert why["data"]["alive"] and any("server.(*client)." in str(name) for name in functions), why["data"]["ways"]


class Traced(threading.Thread):
    """Whether the process is stopped, or traced by another, at any of many moments."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._status, self._ended, self._seen = Path(f"/proc/{pid}/status"), threading.Event(), False

    def run(self) -> None:
        while not self._ended.wait(0.005):
            status = self._status.read_text()
            self._seen = self._seen or "TracerPid:\t0\n" not in status or "State:\tt" in status or "State:\tT" in status

    def end(self) -> bool:
        self._ended.set()
        self.join()
        return self._seen
