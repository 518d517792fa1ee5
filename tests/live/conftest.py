"""What tests with Delve take beside the debuggers: programs for them, and what they have to put back."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import toolchains
from tests.support.delves import Dlv
from tests.support.toolchains import Row


@pytest.fixture
def spinning(system_go: Row) -> Path:
    return toolchains.small("spins", system_go)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A Go module with a program and its test, for `dlv debug` and `dlv test`."""
    folder = shutil.copytree(toolchains.TARGETS / "small" / "fills", tmp_path / "module")
    (folder / "go.mod").write_text("module fills\n\ngo 1.21\n")
    return folder


@pytest.fixture
def signals_kept() -> Iterator[None]:
    """main() takes signals over for the whole process."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    kept = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, kept):
        signal.signal(number, handler)


@pytest.fixture
def recorded_dlv(dlv: Dlv, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """(a dlv that writes its process id to a file, the file)."""
    script, pid = tmp_path / "dlv", tmp_path / "pid"
    script.write_text(f'#!/bin/sh\necho $$ >"{pid}"\nexec "{dlv.path}" "$@"\n')
    script.chmod(0o755)
    yield script, pid
