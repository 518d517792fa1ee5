"""The work of a Dask worker: a core file is read by the server of the thread that has the task."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from gomap import __version__
from gomap.human import one_line

#: Seconds that a server has to end.
PATIENCE = 5
#: The server of each thread of this worker.
_own = threading.local()


def version() -> str:
    """The gomap that the worker has."""
    return __version__


def dask_setup(worker: object) -> None:
    """Dask calls it in each worker that gomap starts, and in one that replaces it. Ctrl-C is the client's, which ends
    the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def not_read(why: str) -> dict[str, Any]:
    """The answer about a core of which nothing was read."""
    return {"core": {"seconds": 0.0, "cpu": 0.0, "memory": 0}, "errors": [["", why]], "done": []}


def read_core(asked: dict[str, Any]) -> dict[str, Any]:
    """The rows of a core file. asked, result: as direct/fleet/server.py has them. Raises RuntimeError where the server
    was killed: Dask asks again then."""
    while True:
        try:
            server = _server()
        except OSError as error:
            place = os.environ.get("TMPDIR") or tempfile.gettempdir()
            return not_read(
                one_line(f"no folder for temporary files can be made in {place}: {error.strerror}: set TMPDIR")
            )
        line = server.told(json.dumps(asked))
        if line.endswith("\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        _own.server = None
        if server.end():  # else it ended because nothing was asked for long
            raise RuntimeError("the process that reads core files was killed")


class _Server:
    """The process. folder: of its temporary files."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="gomap-fleet-", dir=os.environ.get("TMPDIR") or None)
        path = os.pathsep.join([str(Path(__file__).absolute().parents[2]), *filter(None, sys.path)])
        # Threads of its libraries would not be there in the processes that are forked from it.
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "direct.fleet.server", self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **threads},
            start_new_session=True,  # Ctrl-C is the client's
        )

    def told(self, line: str) -> str:
        """Its answer, which does not end with the line where it has ended."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(line + "\n")
            stdin.flush()
            return stdout.readline()
        except OSError:
            return ""

    def end(self) -> int:
        """Its exit status."""
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def _server() -> _Server:
    """The one of this thread. Raises OSError."""
    server: _Server | None = getattr(_own, "server", None)
    if server is None:
        server = _own.server = _Server()
    return server
