"""gomap top, as lines of JSON and at a terminal, against a program that says what it did to its maps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pexpect
import pyte
import pytest

from direct.target import DirectTarget, of_process
from direct.top import parsers
from gomap.heap.watch import TRIES, HeaderWatch
from gomap.memory import CachedMemory, Memory
from tests.support import schema, toolchains
from tests.support.toolchains import ROOT, Row

GOMAP = [sys.executable, "-m", "direct"]
SCREEN = 60  # seconds that something may take to appear


@dataclass
class Watched:
    """go_targets/watched, and what it said last."""

    process: subprocess.Popen[str]
    truth: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._hear()

    def tell(self, line: str) -> None:
        """When it returns the program has done it, and does nothing more."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self._hear()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        self.truth = json.loads(self.process.stdout.readline() or "{}")


@contextmanager
def watched(row: Row) -> Iterator[Watched]:
    binary = toolchains.build("watched", row, optimised=True)
    process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        program = Watched(process)
        program.tell("collect")
        yield program
    finally:
        process.kill()
        process.communicate()


@dataclass
class Samples:
    """The lines of a gomap top --json. grown: what its growth adds up to, of all maps and of each path."""

    lines: IO[str]
    errors: IO[str]
    grown: dict[str, float] = field(default_factory=dict)

    def next(self) -> dict[str, Any]:
        line = self.lines.readline()
        assert line, self.errors.read()
        answer = json.loads(line)
        assert schema.faults(answer, schema.answer("gomap top")) == [] and answer["anomalies"] == []
        data: dict[str, Any] = answer["data"]
        if not data["total"]["gone"] and data["filter"] is None and len(data["maps"]) == data["total"]["maps"]:
            # All maps are listed: what they gained is what all of them gained.
            assert abs(sum(one["growth"] for one in data["maps"]) - data["total"]["growth"]) < 0.01
        for path, growth in [("", data["total"]["growth"])] + [(m["path"], m["growth"]) for m in data["maps"]]:
            self.grown[path] = self.grown.get(path, 0) + growth * data["seconds"]
        return data

    def settled(self, maps: int | None = None) -> dict[str, Any]:
        """A sample that began after the program had stopped writing, with all bytes measured and all types told, and
        with so many maps: pages that begin to hold headers are looked for now and then."""
        self.next()
        data = self.next()
        for _ in range(100):
            told = not data["unmeasured"] and all(one["type"] is not None for one in data["maps"])
            if told and (maps is None or data["total"]["maps"] == maps):
                break
            data = self.next()
        return data


@contextmanager
def top(pid: int, *options: str) -> Iterator[tuple[subprocess.Popen[str], Samples]]:
    command = [*GOMAP, "top", str(pid), "--json", "-n", "0", "--interval", "0.1", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        yield process, Samples(process.stdout, process.stderr)
    finally:
        process.kill()
        process.communicate()


def by_path(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["path"]: one for one in data["maps"] if one["path"] is not None}


def test_samples_are_what_the_program_did(both_layouts: Row) -> None:
    with watched(both_layouts) as program, top(program.process.pid) as (gomap, samples):
        first = samples.settled()
        maps = by_path(first)
        assert maps["main.Still"]["count"] == 100 and maps["main.Still"]["type"] == "map[string]*main.Session"
        assert {'main.Sessions["eu"]', 'main.Sessions["us"]', "main.Sessions"} <= set(maps)
        assert maps['main.Sessions["us"]']["count"] == 2 and "main.Grows" not in maps  # it has no array yet
        samples.grown.clear()

        program.tell("add 5000")
        data = samples.settled(len(first["maps"]) + 1)
        assert by_path(data)["main.Grows"]["count"] == program.truth["Grows"] == 5000
        assert data["total"]["entries"] == first["total"]["entries"] + 5000
        program.tell("take 1200")
        grows = by_path(samples.settled())["main.Grows"]
        assert grows["count"] == program.truth["Grows"] == 3800
        assert round(samples.grown[""], 3) == round(samples.grown["main.Grows"], 3) == 3800
        shown = subprocess.run(
            [*GOMAP, "pid", str(program.process.pid), "-c", "hmap-show main.Grows --json"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        held = json.loads(shown)["data"]["bytes"]
        # Some overflow buckets lie in the array itself, others are objects of their own, which are not counted.
        assert held["allocated"] - held["overflow"] <= grows["bytes"] <= held["allocated"]

        # New maps, which no variable that was searched leads to, and an entry more in each of some.
        program.tell("make 300")
        data = samples.settled(len(first["maps"]) + 301)
        made = [one for one in data["maps"] if one["path"] is None and one["count"] == 16]
        assert len(made) == 300 and data["total"]["maps"] == first["total"]["maps"] + 301
        assert {(one["type"], one["type_known_by"]) for one in made} == {("map[int]int", "hashes")}
        program.tell("touch 200")
        counts = [one["count"] for one in samples.settled()["maps"] if one["path"] is None]
        assert (counts.count(16), counts.count(17)) == (100, 200)

        # Freed.
        program.tell("drop")
        program.tell("collect")
        data = samples.settled(len(first["maps"]) + 1)
        assert data["total"]["maps"] == first["total"]["maps"] + 1
        assert data["total"]["entries"] == first["total"]["entries"] + 3800
        assert round(samples.grown[""], 3) == 3800

        status = Path(f"/proc/{program.process.pid}/status").read_text()
        assert "TracerPid:\t0\n" in status and "State:\tT" not in status and "State:\tt" not in status
        program.tell("exec 0")
        said = gomap.communicate()[1]
        assert gomap.returncode == 1 and said.count("\n") == 1, said
        assert f"process {program.process.pid} has become another program" in said


def test_order_filter_and_end(swiss_go: Row) -> None:
    with watched(swiss_go) as program:
        program.tell("make 20")
        with top(program.process.pid, "--by", "growth") as (gomap, samples):
            samples.settled()
            program.tell("add 900")
            seen = [samples.next() for _ in range(3)]
            grew = next(data for data in seen if data["total"]["growth"] > 0)
            assert (grew["maps"][0]["path"], grew["maps"][0]["new"]) == ("main.Grows", True)
            program.process.kill()
            said = gomap.communicate()[1]
            assert (gomap.returncode, said) == (1, f"gomap: process {program.process.pid} has ended\n")
    with watched(swiss_go) as program:
        program.tell("make 20")
        with top(program.process.pid, "--by", "entries", "--filter", "SESSION") as (_, samples):
            data = samples.settled()
            assert [one["count"] for one in data["maps"]] == [100, 2, 2, 1]
            assert (data["total"]["matching"], data["untold"]) == (4, 0)


def test_maps_that_are_written_all_the_time(both_layouts: Row) -> None:
    """No map is lost in the middle of a write, and no sample has a number of entries that it never had."""
    with watched(both_layouts) as program:
        program.tell("churn 3000")
        with top(program.process.pid, "--interval", "0.1") as (_, samples):
            first = samples.settled()
            for _ in range(20):
                data = samples.next()
                maps = by_path(data)
                assert maps["main.Churns[0]"]["count"] in (2, 3) and maps["main.Churns[1]"]["count"] in (2999, 3000)
                assert (data["total"]["gone"], data["total"]["maps"]) == (0, first["total"]["maps"])


@dataclass
class Torn:
    """Memory in which one header's pointer to its array is odd for as long as `torn` is set."""

    inner: Memory
    torn: int = 0
    offset: int = 0

    def read(self, address: int, size: int) -> bytes:
        data = bytearray(self.inner.read(address, size))
        at = self.torn + self.offset - address
        if self.torn and 0 <= at < size:
            data[at] |= 1
        return bytes(data)


def test_a_header_read_in_the_middle_of_a_write(both_layouts: Row) -> None:
    """It counts as before for a few samples, and then it has gone, and is back when it is one again."""
    with watched(both_layouts) as program:
        program.tell("add 500")
        opened = of_process(program.process.pid)
        target, memory = DirectTarget(opened), Torn(opened.memory)

        def renew() -> None:
            target.memory = CachedMemory(memory)

        watch = HeaderWatch(target, renew)
        watch.sample()
        (row,) = (row for row in watch.rows.values() if row.count == 500)
        field_ = watch.header.field("dirPtr") or watch.header.field("buckets")
        assert field_ is not None
        memory.torn, memory.offset = row.address, field_.offset
        total, seen = watch.entries, []
        for _ in range(TRIES + 2):
            seen.append((watch.sample().gone, watch.entries))
        assert seen == [*[(0, total)] * TRIES, (1, total - 500), (0, total - 500)]
        memory.torn = 0
        assert (watch.sample().appeared, watch.entries) == (1, total)


def test_cost(swiss_go: Row) -> None:
    """10,000 maps, all of which get another entry from sample to sample: processor time, at one sample a second."""
    with watched(swiss_go) as program:
        program.tell("make 10000")
        with top(program.process.pid, "--interval", "1", "-n", "20") as (_, samples):
            samples.next()
            costs, gained = [], []
            for _ in range(4):
                program.tell("touch 10000")
                data = samples.next()
                costs.append(data["cost"])
                gained.append(data["total"]["growth"] * data["seconds"])
    assert max(gained) > 9000 and min(costs) <= 0.05, (costs, gained)


@dataclass
class TopTerminal:
    """gomap top at a terminal of so many columns."""

    columns: int
    pid: int

    def __post_init__(self) -> None:
        self.screen = pyte.Screen(self.columns, 24)
        self.stream = pyte.ByteStream(self.screen)
        self.child: Any = pexpect.spawn(
            GOMAP[0], [*GOMAP[1:], "top", str(self.pid), "--interval", "0.2"], cwd=str(ROOT),
            dimensions=(24, self.columns), env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def until(self, wanted: Callable[[list[str]], object]) -> list[str]:
        """The screen as soon as it is as wanted."""
        end = time.monotonic() + SCREEN
        while not wanted(self.lines()):
            assert time.monotonic() < end, "\n".join(self.lines())
            try:
                self.stream.feed(self.child.read_nonblocking(1 << 16, 0.2))
            except pexpect.TIMEOUT:
                continue
        return self.lines()

    def type(self, keys: str) -> None:
        self.child.send(keys)


@pytest.mark.parametrize("columns", [80, 140])
def test_screen(columns: int, swiss_go: Row) -> None:
    with watched(swiss_go) as program:
        program.tell("make 30")
        program.tell("add 70")
        terminal = TopTerminal(columns, program.process.pid)
        try:
            drawn = "quit" if columns == 80 else "main.Still  map[string]*main.Session"
            lines = terminal.until(
                lambda lines: "main.Still" in lines[3] and "quit" in lines[-1] and drawn in str(lines)
            )
            assert lines[0].startswith(f"process {program.process.pid}, go1") and " maps, " in lines[0]
            assert "gomap takes" in lines[1]
            assert lines[2].split() == ["entries", "entries/s", "held", "held/s", "map"]
            assert lines[3].split()[0] == "100" and ("main.Still  map[string]*main...." in lines[3]) == (columns == 80)
            assert "main.Grows  map[int]int" in lines[4]
            # A line for each map, and as many as there is room for.
            assert all("map[" in line for line in lines[3:-1])
            assert all(key in lines[-1] for key in ("Enter open", "b bytes", "g growth", "/ filter", "p pause"))

            terminal.type("g")
            program.tell("add 5000")
            lines = terminal.until(lambda lines: "5,070" in "".join(lines))
            assert program.truth["Grows"] == 5070
            terminal.type("e")
            lines = terminal.until(lambda lines: lines[3].split()[:1] == ["5,070"])

            terminal.type("p")
            terminal.until(lambda lines: "paused" in lines[1])
            program.tell("add 1000")
            terminal.type("p")
            terminal.until(lambda lines: "paused" not in lines[1] and lines[3].split()[:1] == ["6,070"])

            terminal.type("/")
            terminal.until(lambda lines: any("part of a path" in line for line in lines))
            terminal.type("still\r")
            lines = terminal.until(lambda lines: "1 match" in lines[1] and not lines[4])
            terminal.type("\r")
            lines = terminal.until(
                lambda lines: lines[0].startswith("map[string]*main.Session") and "back" in lines[-1]
            )
            assert "100 entries in 128 slots" in "\n".join(lines)
            terminal.type("q")
            terminal.until(lambda lines: "1 match" in lines[1])
            terminal.type("/")
            terminal.until(lambda lines: "still" in "".join(lines[4:]))
            terminal.type("\x1b")
            terminal.until(lambda lines: "match" not in lines[1] and "main.Many[9]" in "".join(lines))

            if columns == 80:
                terminal.type("q")
                terminal.child.expect(pexpect.EOF)
                said = b""
            else:
                program.process.kill()
                terminal.child.expect(pexpect.EOF)
                said = f"gomap: process {program.process.pid} has ended".encode()
            assert said in terminal.child.before and b"Traceback" not in terminal.child.before
            terminal.child.close()
            assert terminal.child.exitstatus == (0 if columns == 80 else 1)
        finally:
            terminal.child.close(force=True)


def test_bad_input(system_go: Row) -> None:
    for arguments, status, said in (
        (["4194303"], 1, "process 4194303 does not exist"),
        ([str(os.getpid())], 1, "is not a Go program"),
        (["1", "--interval", "0"], 1, "--interval takes seconds, 0.1 or more"),
        (["1", "-n", "-1"], 1, "-n and --samples take a number, 0 or more"),
        (["x"], 2, "invalid int value"),
    ):
        run = subprocess.run([*GOMAP, "top", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stdout) == (status, "") and said in run.stderr.splitlines()[-1], run.stderr
    assert parsers().keys() == {"top"}
    with watched(system_go) as program:
        # Without textual, or not at a terminal: a table for each sample.
        command = [*GOMAP, "top", str(program.process.pid), "--samples", "2", "--interval", "0.1", "-n", "2"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert run.stdout.count("main.Still") == 2 and run.stdout.count("gomap takes") == 2 and run.stderr == ""
        assert run.stdout.count("hmap-top counts more: sync.Maps") == 1
