"""The Delves of the matrix, and the bridge run on a program or a core: one dlv for all questions about it.

Answers come in the same form as gdb's (tests/support/debuggers.py), so the same checks look at both.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from delve_bridge.console import Console
from delve_bridge.moves import resume
from delve_bridge.server import Server
from delve_bridge.session import Session as Bridge
from delve_bridge.target import DelveTarget
from gomap.errors import NoProcess, TargetRunning
from gomap.render.text import Style
from tests.support import debuggers, every_key, toolchains
from tests.support.debuggers import Answer, Core, Session
from tests.support.every_path import every_path
from tests.support.headers import headers, rows
from tests.support.toolchains import MATRIX, Missing, Row, cache, locked


@dataclass(frozen=True)
class Dlv:
    version: str
    path: Path


#: As of tests/support/gdb_helpers.py.
CENSUS = "gomap_census"
#: OLD is Debian's, which gives out 1000 bytes a request.
NEW, OLD = "1.27.1", "1.20.2"
#: Built with a Go that is new enough for the programs to debug, and old enough for this Delve.
BUILT_WITH = {NEW: "1.27.3", OLD: "1.21.13"}


@functools.cache
def find(version: str) -> Dlv:
    """dlv of this version, built from the Go module proxy where it is not in the cache. Raises Missing."""
    row, binary = built_with(version), _binary(version)
    place = binary.parent
    with locked(f"delve-{version}"):
        if not binary.exists():
            go = toolchains.ensure(row)
            place.mkdir(parents=True, exist_ok=True)
            environment = {**toolchains.with_proxy(row), "GOBIN": str(place)}
            wanted = f"github.com/go-delve/delve/cmd/dlv@v{version}"
            command = [str(go), "install", "-p", "2", wanted]
            run = subprocess.run(
                command, env=environment, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            if run.returncode != 0:
                last = (run.stderr.strip().splitlines() or ["no word"])[-1]
                raise Missing(f"dlv {version} can't be built with {go}: {last}")
    return Dlv(version, binary)


def _binary(version: str) -> Path:
    return cache() / "delve" / f"{version}-go{built_with(version).version}" / "dlv"


def is_built(version: str) -> bool:
    return _binary(version).exists()


def built_with(version: str) -> Row:
    return next(row for row in MATRIX if row.name == BUILT_WITH[version])


@contextmanager
def bridge(
    dlv: Dlv, arguments: Sequence[str], direct: bool = True, truth: Path | None = None, stage: str | None = None
) -> Iterator[Bridge]:
    """A session of the bridge on `dlv exec|core|attach`, with nothing of either left behind."""
    chosen = {} if stage is None else {"GOMAP_STAGE": stage}
    environment = debuggers._environment({"GOMAP_TRUTH": str(truth or os.devnull), **chosen})
    with mock.patch.dict(os.environ, {"GOMAP_DLV": str(dlv.path)}):
        server = Server(arguments, lambda number, data: None, environment)
    client = None
    try:
        client = server.connect(60)
        program = None if arguments[0] == "attach" else arguments[1]
        session = Bridge(client, direct, arguments[2] if arguments[0] == "core" else None, program)
        yield session
        session.close_memory()
    finally:
        server.end(client)
        if client is not None:
            client.close()


@contextmanager
def window(dlv: Dlv, *arguments: str, direct: bool = True) -> Iterator[Console]:
    """A user's session with `dlv exec`."""
    with bridge(dlv, ["exec", *arguments], direct) as session:
        yield Console(session, Style())


def says(console: Console, line: str) -> str:
    """The answer to a line, which is not refused."""
    outcome = console.execute(line)
    assert outcome.error is None, outcome.error
    return outcome.output


def entries(console: Console, expr: str) -> Any:
    """The first entries of a map."""
    return json.loads(says(console, f"hmap-show {expr} --entries 9 --json"))["data"]["entries"]


_answered: dict[tuple[Dlv, Path, Path | None, bool, str], Session] = {}


def visit(dlv: Dlv, binary: Path, commands: Mapping[str, Sequence[str]], direct: bool = True) -> Session:
    """Take a program through all its stages under one dlv and give the bridge commands at each."""
    key = (dlv, binary, None, direct, json.dumps(commands))
    if key not in _answered:
        with tempfile.TemporaryDirectory(dir=debuggers.scratch()) as folder:
            truth = Path(folder) / "truth"
            with bridge(dlv, ["exec", str(binary)], direct, truth) as session:
                answers = list(_stages(session, binary, commands, truth, direct))
            _answered[key] = Session(tuple(answers), debuggers._published(truth))
    return _answered[key]


def _stages(
    session: Bridge, binary: Path, commands: Mapping[str, Sequence[str]], truth: Path, direct: bool
) -> Iterator[Answer]:
    console = Console(session, Style())
    for stage in debuggers.stages(binary):
        try:
            resume(session, "continue")
            if not truth.exists():  # Delve stops once more when a C program loads a library with Go in it
                resume(session, "continue")
        except NoProcess as problem:
            raise AssertionError(f"{binary} ended before stage {stage}: {problem}") from problem
        published = json.loads(truth.read_text().splitlines()[-1])
        assert published["stage"] == stage, f"{binary} stopped at stage {published['stage']} and not at {stage}"
        yield from _ask(console, stage, commands.get(stage, ()), published)
        # /proc/PID/mem must have been the way, or not: a silent fall back would leave it untested.
        assert session.direct == direct or not commands.get(stage), f"direct memory is {session.direct}"


def examine(dlv: Dlv, core: Core, commands: Sequence[str], direct: bool = True) -> Session:
    """Give the bridge commands about a core file."""
    key = (dlv, core.binary, core.path, direct, json.dumps(list(commands)))
    if key not in _answered:
        with bridge(dlv, ["core", str(core.binary), str(core.path)], direct) as session:
            answers = tuple(_ask(Console(session, Style()), core.stage, commands, core.truth[core.stage]))
            assert session.direct == direct, f"direct memory is {session.direct}"
        _answered[key] = Session(answers, core.truth)
    return _answered[key]


def _ask(console: Console, stage: str, commands: Sequence[str], truth: Mapping[str, Any]) -> Iterator[Answer]:
    """get-every-key, gomap_census and goroutines are no commands of the bridge: they are answered here.

    truth: the stage's."""
    for command in commands:
        name, _, where = command.partition(" ")
        if command.startswith("get-every-key paste"):

            def ask(line: str) -> tuple[str, str | None]:
                outcome = console.execute(line)
                return outcome.output, outcome.error

            yield Answer(stage, command, json.dumps(every_path(ask, truth["notes"], where.endswith("hidden"))), None)
        elif name == "get-every-key":
            session = console.session
            selected = session.frame

            def at_frame(level: int, session: Bridge = session) -> DelveTarget:
                session.frame = level
                target = session.target()
                assert isinstance(target, DelveTarget)
                return target

            yield Answer(stage, command, every_key.answer(session.target(), truth, where, at_frame), None)
            session.frame = selected
        elif command == CENSUS:
            found, lost = headers(console.session.target())
            yield Answer(stage, command, json.dumps({"maps": rows(found), "lost": lost}), None)
        elif command == "goroutines":  # Delve's own list: (number, the newest function that is not the runtime's)
            listed = console.session.client.call("ListGoroutines", Start=0, Count=0)["Goroutines"]
            places = [(one["id"], (one["userCurrentLoc"].get("function") or {}).get("name", "?")) for one in listed]
            yield Answer(stage, command, "\n".join(f"  {number}  {function}  " for number, function in places), None)
        else:
            outcome = console.execute(command)
            yield Answer(stage, command, outcome.output, outcome.error)


def lost(session: Bridge, function: str) -> set[int]:
    """Goroutines that run or wait in this function, which Delve's own list of their calls lacks: it loses the caller
    of a function, or of a signal's handler, that was stopped at its first instruction."""
    found = set()
    for goroutine in session.client.call("ListGoroutines", Start=0, Count=0)["Goroutines"]:
        if goroutine["startLoc"].get("function", {}).get("name") == function:
            calls = session.client.call("Stacktrace", Id=goroutine["id"], Depth=50, Full=False, Cfg=None)["Locations"]
            if not any((call.get("function") or {}).get("name") == function for call in calls):
                found.add(int(goroutine["id"]))
    return found


def news(session: Bridge) -> str:
    """What another client has done to the program since the last command: nothing, running, moved or started again."""
    try:
        state = session.state()
        if not state.get("Running") and not session.moved(state):
            return ""
    except TargetRunning:  # it was resumed while this was asked
        return "running"
    if state.get("Running"):
        return "running"
    word = "started again" if session.restarted(state) else "moved"
    session.arrived(state)
    return word


def run_to_first_stop(session: Bridge) -> None:
    """To the program's first runtime.Breakpoint: before it, its maps are not made."""
    resume(session, "continue")
