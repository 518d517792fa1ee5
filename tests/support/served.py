"""A server that others wrote (NATS), as its authors release it, under a load that notes how long each answer takes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import toolchains
from tests.support.toolchains import Missing, Row

PACKAGE = "github.com/nats-io/nats-server/v2@v2.15.3"
#: As the authors link it (.goreleaser.yml), and without symbols, as distributions do.
FLAGS = ("-trimpath", "-ldflags=-s -w")
#: Seconds that the server has to start.
START = 60


def build(row: Row) -> Path:
    """Raises Missing where it can't be downloaded."""

    def make(made: Path) -> None:
        env = toolchains._environment(row)
        del env["GOPROXY"]
        env.update({name: os.environ[name] for name in ("GOPROXY", "GOSUMDB") if name in os.environ})
        env.update(GOFLAGS="-modcacherw", GOBIN=str(made.parent))
        command = [str(toolchains.ensure(row)), "install", "-p", "2", *FLAGS, PACKAGE]
        run = subprocess.run(
            command, env=env, cwd=made.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if run.returncode != 0:
            raise Missing(f"{PACKAGE} does not build: {(run.stderr.strip().splitlines() or ['no word'])[-1]}")
        (made.parent / "nats-server").rename(made)

    return toolchains.made_once("served", row.name, row, [PACKAGE, *FLAGS], make)


class Client:
    """A connection with so many subscriptions."""

    def __init__(self, port: int, subjects: Sequence[str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=START)
        self._file = self._socket.makefile("rwb")
        self._file.readline()
        lines = [f"SUB {subject} {i}" for i, subject in enumerate(subjects, 1)]
        self._file.write("\r\n".join(['CONNECT {"verbose":false}', *lines, ""]).encode())
        self.ask()

    def ask(self) -> None:
        """Waits for the server's answer to all that came before."""
        self._file.write(b"PING\r\n")
        self._file.flush()
        while (line := self._file.readline()) != b"PONG\r\n":
            if not line:
                raise EOFError("the server closed the connection")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@dataclass
class Server:
    """A server under load. answers: when each answer came, and after how many seconds."""

    pid: int
    port: int
    http: int
    answers: list[tuple[float, float]] = field(default_factory=list)

    def says(self, page: str) -> Any:
        """What it says of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/{page}", timeout=START) as answer:
            return json.load(answer)

    def longest(self, since: float, until: float) -> float:
        """Seconds of the longest wait for an answer in between."""
        every = [at for at, _ in self.answers]
        times = [since, *(at for at in every if since < at < until), until]
        return max(after - before for before, after in zip(times, times[1:]))


@contextmanager
def serving(binary: Path, clients: int) -> Iterator[Server]:
    """Client number N has N subscriptions; one more connection asks and waits, over and over."""
    with ExitStack() as until, tempfile.TemporaryDirectory() as folder:
        ports = []
        for _ in range(2):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        command = [str(binary), "-a", "127.0.0.1", "-p", str(ports[0]), "-m", str(ports[1])]
        with open(Path(folder) / "log", "wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until.callback(process.wait)
        until.callback(process.kill)
        end = time.monotonic() + START
        while True:
            try:
                socket.create_connection(("127.0.0.1", ports[0])).close()
                break
            except OSError:
                assert time.monotonic() < end and process.poll() is None, (Path(folder) / "log").read_text()[-2000:]
                time.sleep(0.05)
        server = Server(process.pid, *ports)
        for number in range(1, clients + 1):
            until.callback(Client(ports[0], [f"of.{number}.{i}" for i in range(number)]).close)
        ended = threading.Event()
        load = threading.Thread(target=_load, args=(server, Client(ports[0], []), ended))
        load.start()
        until.callback(load.join)
        until.callback(ended.set)
        yield server


def _load(server: Server, client: Client, ended: threading.Event) -> None:
    while not ended.is_set():
        begun = time.monotonic()
        client.ask()
        now = time.monotonic()
        server.answers.append((now, now - begun))
        ended.wait(0.001)
    client.close()
