"""The pipes between a dlv and what answers for it."""

from __future__ import annotations

import ast
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from delve_bridge import transport, worker

#: Those that talk to a server alone, and not through a dlv's script.
APART = ("dap.py", "moves.py", "rpc.py", "server.py")


def test_pipes_that_go_away_end_the_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As dlv leaves, its folder goes: nothing is printed into the terminal, which is the shell's again."""
    wrong: list[object] = []
    monkeypatch.setattr(threading, "excepthook", wrong.append)
    folder = tmp_path / "pipes"
    folder.mkdir()
    for name in transport.PIPES:
        os.mkfifo(folder / name)
    before = set(threading.enumerate())
    transport.Dlv(folder, os.getpid(), lambda: None, lambda: None)
    (beats,) = set(threading.enumerate()) - before
    shutil.rmtree(folder)
    until = time.monotonic() + 30
    while beats.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    assert not beats.is_alive() and not wrong


def test_the_script_takes_what_it_is_given() -> None:
    """Each call of Delve's API that its own functions make has the arguments that gomap gives it."""
    script = ast.parse((worker.HERE / "session.star").read_text())  # it is Python, too
    functions = {one.name: one.args for one in script.body if isinstance(one, ast.FunctionDef)}
    (called,) = (
        one.value
        for one in script.body
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "CALLED" and isinstance(one.value, ast.Dict)
    )
    names = {ast.literal_eval(key): ast.unparse(value) for key, value in zip(called.keys, called.values) if key}
    seen = set()
    for file in worker.HERE.glob("*.py"):
        for one in ast.walk(ast.parse(file.read_text())) if file.name not in APART else ():
            if not isinstance(one, ast.Call) or not ast.unparse(one.func).endswith("client.call"):
                continue
            method, given = ast.literal_eval(one.args[0]), {keyword.arg for keyword in one.keywords}
            assert method in names or method in ("ExamineMemory", "SetApiVersion", "GetVersion"), (file.name, method)
            if names.get(method) in functions:
                takes = {argument.arg for argument in functions[names[method]].args}
                assert given <= takes, (file.name, method, given - takes)
                seen.add(method)
    assert {"Command", "CreateBreakpoint", "AmendBreakpoint", "ListRegisters"} <= seen
