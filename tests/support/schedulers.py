"""A real Dask scheduler on loopback, and workers of it, as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.toolchains import ROOT


@dataclass
class Scheduler:
    """address: as gomap triage --scheduler takes it."""

    folder: Path
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{module}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self.start("dask_worker", self.address, "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1")


@contextmanager
def scheduler(folder: Path) -> Iterator[Scheduler]:
    one = Scheduler(folder)
    try:
        said = folder / "scheduler"
        one.start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(said))
        until = time.monotonic() + 120
        while not said.exists() or b"address" not in said.read_bytes():
            assert time.monotonic() < until and one.processes[0].poll() is None, log(folder)
            time.sleep(0.05)
        one.address = json.loads(said.read_text())["address"]
        yield one
    finally:
        for process in one.processes:
            process.kill()
            process.wait()


def log(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log"))
