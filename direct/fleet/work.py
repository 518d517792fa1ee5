"""The work of a Dask worker: a core file is read by the server of the thread that has the task."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from gomap import __version__

#: The server of each thread of this worker.
_own = threading.local()


def version() -> str:
    """The gomap that the worker has."""
    return __version__


def dask_setup(worker: object) -> None:
    """Dask calls it in each worker that gomap starts. Ctrl-C is the client's, which ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def read_core(asked: dict[str, Any]) -> dict[str, Any]:
    """The rows of a core file. asked, result: as direct/fleet/server.py has them. Raises RuntimeError where the server
    was killed: Dask asks again then."""
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    try:
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        line = server.stdout.readline()
    except OSError:
        line = ""
    if not line.endswith("\n"):
        _own.server = None
        _end(server)
        raise RuntimeError("the process that reads core files was killed")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _server() -> subprocess.Popen[str]:
    server: subprocess.Popen[str] | None = getattr(_own, "server", None)
    if server is not None and server.poll() is None:
        return server
    path = os.pathsep.join([str(Path(__file__).absolute().parents[2]), *filter(None, sys.path)])
    # Threads of its libraries would not be there in the processes that are forked from it.
    env = {
        **os.environ,
        "PYTHONPATH": path,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    server = _own.server = subprocess.Popen(
        [sys.executable, "-m", "direct.fleet.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,  # Ctrl-C is the client's
    )
    return server


def _end(server: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        server.kill()
    server.wait()
    for stream in (server.stdin, server.stdout):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
