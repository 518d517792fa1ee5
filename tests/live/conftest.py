"""What tests with Delve take beside the debuggers: programs for them, and what they have to put back."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import toolchains
from tests.support.delves import Dlv
from tests.support.toolchains import Row

#: A program that runs until it is stopped.
SPINS = """package main

import "time"

var Counts = map[int]int{}

// Thing is an interface without methods, and its name does not tell.
type Thing interface{}

var Things = map[string]Thing{"one": 1}

func never() { println("never") }

func main() {
	println("running")
	for i := 0; ; i++ {
		Counts[i%100]++
		time.Sleep(100 * time.Microsecond)
		if len(Things) == 0 {
			never()
		}
	}
}
"""


@pytest.fixture
def spinning(system_go: Row) -> Path:
    def make(made: Path) -> None:
        (made.parent / "main.go").write_text(SPINS)
        (made.parent / "go.mod").write_text("module spins\n\ngo 1.21\n")
        subprocess.run(
            [str(toolchains.ensure(system_go)), "build", "-gcflags=all=-N -l", "-o", str(made), "."],
            cwd=made.parent,
            env=toolchains._environment(system_go),
            check=True,
            stdin=subprocess.DEVNULL,
        )

    return toolchains.made_once("spins", system_go.name, system_go, [SPINS], make)


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
