"""Kills a process as soon as its debugger has let it run: `python -m tests.support.kill_running PID`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.toolchains import ROOT

#: A process that stands still for a debugger, or is dead.
STILL = "tTZX"


def main(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in STILL:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)


def words(pid: str) -> list[str]:
    """The command, which no debugger waits for. pid: may be an expression that is put in later."""
    return ["setsid", "-f", sys.executable, "-m", "tests.support.kill_running", pid]


def start(pid: int) -> None:
    """Begins to wait for that."""
    subprocess.run(words(str(pid)), cwd=ROOT, check=True)


def in_gdb() -> str:
    """The same as a command for gdb."""
    return (
        f"python import subprocess; subprocess.run({words('')[:-1]!r} + [str(gdb.selected_inferior().pid)], "
        f"cwd={str(ROOT)!r}, check=True)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
