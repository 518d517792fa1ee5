"""The pipes between a dlv and what answers for it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from delve_bridge import transport


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
