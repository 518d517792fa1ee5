"""A server that others wrote, linked without symbols, while it serves: its maps with their types, sizes and holders
against what it says of itself and what its runtime profiles, with no stop; and the same in its core file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support import matrix, served
from tests.support.debuggers import Gdb
from tests.support.served import Server, harmless, loaded, serving
from tests.support.toolchains import ROOT, Row

CLIENTS, RATE = 20, 200
TOP = "hmap-top -n 0 --json"
#: The server's own types: its clients; a client's subscriptions; whom a subject leads to, as an account and a client
#: that publishes keep it.
ALL, OF_ONE, CACHE = (
    "map[uint64]*server.client",
    "map[string]*server.subscription",
    "map[string]*server.SublistResult",
)
#: Where the pinned server makes the maps of clients' subscriptions, and where it fills them.
MADE, FILLED = "server/client.go:768", "server/client.go:3202"
HOLDS = re.compile(r"goroutine (\d+) \S+/server\.\(\*client\)\.(\w+) frame \+0x[0-9a-f]+ -> .*\.subs")


def gomap(*arguments: str) -> tuple[int, str, str]:
    """By a process that the kernel ends if it stops, signals or writes to another."""
    command = [sys.executable, "-m", "direct", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=harmless())
    return run.returncode, run.stdout, run.stderr


def top(*arguments: str) -> list[dict[str, Any]]:
    status, out, error = gomap(*arguments, "-c", TOP)
    assert (status, error) == (0, "")
    maps: list[dict[str, Any]] = json.loads(out)["data"]["maps"]
    return maps


def short(name: str | None) -> str | None:
    """A type with the last part of its package's path."""
    return name and name.replace("github.com/nats-io/nats-server/v2/", "")


def test_released_server(swiss_go: Row, system_gdb: Gdb, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with matrix.needed(request.config):
        binary, twin = served.build(swiss_go), served.build(swiss_go, "")
    core = tmp_path / "core"
    with serving(binary, CLIENTS) as server, loaded(server.port, RATE) as load:
        pid = str(server.pid)
        with Watched(server.pid) as watched:
            maps = top("pid", pid)
        assert watched.looks and not watched.stopped
        by_debug_information(maps, top("pid", pid, "--symbols", str(twin)))  # nothing is freed until it is checked
        check(maps, server)
        # What this test would say if gomap stopped the process.
        assert gomap("pid", pid, "--pause", "-c", TOP)[0] == -31
        command = [str(system_gdb.path), "-nx", "-q", "-batch", "-p", pid, "-ex", f"gcore {core}"]
        with Watched(server.pid) as watched:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        assert watched.stopped
        dead = top("core", str(binary), str(core))
        core.unlink()  # a gigabyte
        check(dead, server)
        load.end()
        assert len(load.answers) > RATE


def check(maps: list[dict[str, Any]], server: Server) -> None:
    """Every map of these types, of which no other type fits, has as many entries as the server says."""
    counts: dict[str | None, Counter[int]] = {}
    for one in maps:
        assert not one["type_or"] or short(one["type"]) not in (ALL, OF_ONE, CACHE), one
        counts.setdefault(short(one["type"]), Counter())[one["count"]] += 1
    connections = server.says("connz?subs=1")["connections"]
    assert len(connections) == CLIENTS + 1
    assert counts[ALL] == {len(connections): 1}
    wanted = Counter(len(one["subscriptions_list"]) for one in connections)
    assert len(wanted) == CLIENTS and not wanted - counts[OF_ONE], (wanted, counts[OF_ONE])
    says = server.says("subsz")
    assert sum(count * number for count, number in counts[OF_ONE].items()) == says["num_subscriptions"]
    # The client that publishes has a cache of its own, beside its account's.
    assert says["num_cache"] > served.SUBJECTS and counts[CACHE][served.SUBJECTS] == 2
    lines = server.allocated()
    number, made = lines[MADE]
    held = [one["bytes"]["allocated"] - made // number for one in maps if short(one["type"]) == OF_ONE]
    assert sum(held) == lines[FILLED][1] and number >= len(held) > CLIENTS
    calls = server.goroutines()
    holders = [found for one in maps if short(one["type"]) == OF_ONE and (found := HOLDS.match(one["trail"] or ""))]
    assert len(holders) > CLIENTS // 4, [one["trail"] for one in maps if short(one["type"]) == OF_ONE]
    for found in holders:
        assert f"server.(*client).{found[2]}" in calls[int(found[1])], found


def by_debug_information(maps: list[dict[str, Any]], named: list[dict[str, Any]]) -> None:
    """The types that variables have which lead to maps are those that were told without them."""
    types = {one["address"]: one["type"] for one in named if one["kind"] not in ("heap", "stack")}
    told = {one["address"]: one["type"] for one in maps if one["address"] in types and not one["type_or"]}
    assert told == {address: types[address] for address in told} and len(told) > 100
    unsure = [one for one in maps if one["address"] in types and one["type_or"]]
    assert [one for one in unsure if types[one["address"]] not in (one["type"], *one["type_or"])] == []


class Watched(threading.Thread):
    """Whether a thread of the process is stopped or traced by another at any of many moments."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._tasks, self._ended, self.stopped = Path(f"/proc/{pid}/task"), threading.Event(), False
        self.looks = 0

    def run(self) -> None:
        while not self._ended.wait(0.002):
            for task in self._tasks.iterdir():
                with suppress(OSError):  # the thread has ended
                    status = (task / "status").read_text()
                    self.looks += 1
                    traced = "TracerPid:\t0\n" not in status
                    self.stopped = self.stopped or traced or re.search(r"^State:\t[tT]", status, re.M) is not None

    def __enter__(self) -> Watched:
        self.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._ended.set()
        self.join()
