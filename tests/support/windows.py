"""dlv-hmap as a user starts it, by a pipe and in a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delve_bridge.rpc import ServerAddress, address
from tests.support import toolchains
from tests.support.delves import Dlv


def bridge_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "delve_bridge.main", *arguments]


def environment(dlv: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "GOMAP_DLV": str(dlv),
        "GOMAP_TRUTH": "/dev/null",
        "PYTHONPATH": str(toolchains.ROOT),
        **more,
    }


def left_of(pid: Path) -> list[int]:
    """Processes of dlv's session, dlv itself and what it started, that are still there."""
    return of_session(int(pid.read_text()))


def of_session(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def switches(status: Path) -> int:
    """How often threads of the process have waited."""
    tasks = (status.parent / "task").glob("*/status")
    return sum(int(re.findall(r"^voluntary_ctxt_switches:\s*(\d+)", task.read_text(), re.M)[0]) for task in tasks)


@contextmanager
def headless(dlv: Dlv, binary: Path, **more: str) -> Iterator[ServerAddress]:
    """README's own server, but for the port's number."""
    listen = "--listen=127.0.0.1:0"
    server = subprocess.Popen(
        [str(dlv.path), "exec", str(binary), "--headless", "--accept-multiclient", "--api-version=2", listen],
        env={**os.environ, "GOMAP_TRUTH": "/dev/null", **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        yield address(server.stdout.readline().split()[-1])
        assert server.poll() is None, "the server has ended"
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert of_session(server.pid) == []
