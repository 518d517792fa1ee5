"""gomap pid and gomap core, asked as the debuggers are: a Session with an answer for each command."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from direct.target import DirectTarget, Opened, Still, of_core, of_process
from gomap import frontend
from gomap.declare import Settings
from gomap.render.text import Style
from tests.support import debuggers, every_key
from tests.support.debuggers import Answer, Core, Session


def ask(target: DirectTarget, line: str, depth: int = 6) -> frontend.Outcome:
    name, _, rest = line.partition(" ")
    return frontend.run(name, rest, lambda: target, Settings(depth=depth), Style())


def examine(core: Core, commands: Sequence[str]) -> Session:
    """Commands about a core file."""
    opened = of_core(str(core.binary), str(core.path))
    return Session(tuple(_answers(opened, None, core.stage, commands, core.truth[core.stage])), core.truth)


def visit(binary: Path, stage: str, commands: Sequence[str], pause: bool = False) -> Session:
    """Commands about a process that waits at this stage. pause: it stands still for each."""
    with waiting(binary, stage) as (process, truth):
        opened = of_process(process.pid)
        answers: list[Answer] = []
        for command in commands:
            with contextlib.ExitStack() as until:
                still = opened.still(until) if pause else None
                answers += _answers(opened, still, stage, [command], truth[stage])
        assert process.poll() is None
        return Session(tuple(answers), truth)


@contextlib.contextmanager
def waiting(binary: Path, stage: str) -> Iterator[tuple[subprocess.Popen[str], Mapping[str, Any]]]:
    """A process that waits at this stage, and what it has published."""
    with tempfile.TemporaryDirectory(dir=debuggers.scratch()) as folder:
        truth = Path(folder) / "truth"
        env = debuggers._environment({"GOMAP_WAIT": stage, "GOMAP_TRUTH": str(truth)})
        pipe = subprocess.PIPE
        process = subprocess.Popen([str(binary)], env=env, stdin=pipe, stdout=pipe, text=True)
        try:
            assert process.stdout is not None and process.stdout.readline() == "waiting\n"
            yield process, debuggers._published(truth)
        finally:
            process.kill()
            process.communicate()


def _answers(
    opened: Opened, still: Still | None, stage: str, commands: Sequence[str], truth: Mapping[str, Any]
) -> Iterator[Answer]:
    """truth: the stage's."""
    target = DirectTarget(opened, still)
    for command in commands:
        name, _, where = command.partition(" ")
        if name == "get-every-key":
            yield Answer(stage, command, every_key.answer(target, truth, where, lambda level: target), None)
        else:
            outcome = ask(target, command)
            yield Answer(stage, command, outcome.output, outcome.error)


def data(answer: Answer) -> Any:
    assert answer.error is None, (answer.command, answer.error)
    return json.loads(answer.output)["data"]


@contextmanager
def running(binary: Path) -> Iterator[int]:
    process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()
