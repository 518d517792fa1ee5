"""A server that others wrote (NATS), linked without symbols, under a load that notes how long each answer takes.

python -m tests.support.served PORT RATE     asks until its input ends, then prints what it has noted
"""

from __future__ import annotations

import ctypes
import json
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import toolchains
from tests.support.toolchains import ROOT, Missing, Row

PACKAGE = "github.com/nats-io/nats-server/v2@v2.15.3"
#: As the authors link it (.goreleaser.yml: -trimpath, -w), and without its symbol table, too.
BARE = "-s -w"
#: Seconds that the server has to start, and to answer.
START, SLOW = 60, 600
#: Subjects that the load is about: each has an entry in the server's cache of who wants what.
SUBJECTS = 100


def build(row: Row, ldflags: str = BARE) -> Path:
    """Raises Missing where it can't be downloaded."""
    flags = ("-trimpath", f"-ldflags={ldflags}")

    def make(made: Path) -> None:
        env = {**toolchains.with_proxy(row), "GOBIN": str(made.parent)}
        command = [str(toolchains.ensure(row)), "install", "-p", "2", *flags, PACKAGE]
        run = subprocess.run(
            command, env=env, cwd=made.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if run.returncode != 0:
            raise Missing(f"{PACKAGE} does not build: {(run.stderr.strip().splitlines() or ['no word'])[-1]}")
        (made.parent / "nats-server").rename(made)

    return toolchains.made_once("served", f"{row.name}{ldflags.replace(' ', '')}", row, [PACKAGE, *flags], make)


class Client:
    """A connection with so many subscriptions."""

    def __init__(self, port: int, subjects: Sequence[str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SLOW)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rwb")
        self._file.readline()
        self._send('CONNECT {"verbose":false}', *(f"SUB {subject} {i}" for i, subject in enumerate(subjects, 1)))
        self._send("PING")
        while self._line() != b"PONG\r\n":
            pass

    def _send(self, *lines: str) -> None:
        self._file.write("".join(f"{line}\r\n" for line in lines).encode())
        self._file.flush()

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line or line.startswith(b"-ERR"):
            raise EOFError(f"the server said {line!r}")
        if line == b"PING\r\n":
            self._send("PONG")
        return line

    def echo(self, subject: str, text: str) -> None:
        """Publishes to a subject that it has subscribed to, and waits for the message."""
        self._send(f"PUB {subject} {len(text)}", text)
        while not self._line().startswith(b"MSG "):
            pass
        got = self._line()
        if got != text.encode() + b"\r\n":
            raise EOFError(f"the server sent {got!r} in place of {text!r}")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@dataclass
class Load:
    """Questions at a fixed rate. answers: when each was due, and seconds from then to the answer: one that waits for
    the one before it counts from when it was due."""

    process: subprocess.Popen[str]
    answers: list[tuple[float, float]] = field(default_factory=list)

    def end(self) -> None:
        """Raises AssertionError where a question was not answered."""
        out, _ = self.process.communicate()
        assert self.process.returncode == 0, self.process.returncode
        self.answers = [(due, took) for due, took in json.loads(out)]

    def between(self, since: float, until: float) -> list[float]:
        """Seconds of each answer to a question that was due in between, the shortest first. In time.monotonic()."""
        return sorted(took for due, took in self.answers if since <= due < until)


@dataclass
class Server:
    pid: int
    port: int
    http: int
    profile: int

    def says(self, page: str) -> Any:
        """What it says of itself."""
        return json.loads(self._page(self.http, page))

    def profiled(self, page: str) -> str:
        """What the Go runtime in it says (net/http/pprof)."""
        return self._page(self.profile, f"debug/pprof/{page}").decode()

    def _page(self, port: int, page: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=START) as answer:
            return bytes(answer.read())

    def allocated(self) -> dict[str, tuple[int, int]]:
        """(objects, bytes) that are in use, by the line (of a file) that allocated them, after a collection: each
        allocation is sampled (GODEBUG=memprofilerate=1)."""
        found: dict[str, tuple[int, int]] = {}
        for record in re.split(r"\n(?=\d+: )", self.profiled("heap?debug=1&gc=1")):
            head = re.match(r"(\d+): (\d+) \[", record)
            # The runtime's own functions are left out.
            call = re.search(r"^#\t0x[0-9a-f]+\t\S+\+0x[0-9a-f]+\s+(?:\S+@v[\d.]+/)?(\S+)", record, re.M)
            if head and call:
                objects, size = found.get(call[1], (0, 0))
                found[call[1]] = objects + int(head[1]), size + int(head[2])
        return found

    def goroutines(self) -> dict[int, str]:
        """The traceback of each goroutine."""
        parts = re.split(r"^goroutine (\d+) ", self.profiled("goroutine?debug=2"), flags=re.M)
        return {int(number): text for number, text in zip(parts[1::2], parts[2::2])}


@contextmanager
def loaded(port: int, rate: int) -> Iterator[Load]:
    """A process that asks the server so many times a second; ended with `end`."""
    command = [sys.executable, "-m", "tests.support.served", str(port), str(rate)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield Load(process)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def serving(binary: Path, clients: int, each: int = 1, sampled: bool = True) -> Iterator[Server]:
    """Client number N has N times `each` subscriptions. sampled: every allocation is, and memory is collected where a
    profile asks for it alone."""
    with ExitStack() as until, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A client that answers no ping is disconnected after four minutes.
        (folder / "conf").write_text('ping_interval: "1h"\n')
        options = [
            "-c",
            str(folder / "conf"),
            "-a",
            "127.0.0.1",
            "-p",
            "-1",
            "-m",
            "-1",
            "--profile",
            "-1",
            "--ports_file_dir",
            name,
        ]
        env = {"HOME": name, **({"GODEBUG": "memprofilerate=1", "GOGC": "off"} if sampled else {})}
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [str(binary), *options], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until.callback(process.wait)
        until.callback(process.kill)
        ports = _ports(folder, process)
        server = Server(process.pid, ports["nats"], ports["monitoring"], ports["profile"])
        for number in range(1, clients + 1):
            until.callback(Client(server.port, [f"of.{number}.{i}" for i in range(number * each)]).close)
        yield server


def _ports(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, int]:
    """Where the server listens, once it does."""
    end = time.monotonic() + START
    while True:
        assert time.monotonic() < end and process.poll() is None, (folder / "log").read_text()[-2000:]
        for file in folder.glob("*.ports"):
            with suppress(ValueError):  # not written to its end
                return {what: int(urls[0].rpartition(":")[2]) for what, urls in json.loads(file.read_text()).items()}
        time.sleep(0.05)


# -- a process that can't stop another ------------------------------------------------------------------

#: By the numbers of x86-64: ptrace, kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, process_vm_writev,
#: pidfd_send_signal.
FORBIDDEN = (101, 62, 200, 234, 129, 297, 311, 424)
_LOAD_NUMBER, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2


def harmless() -> Callable[[], None]:
    """For a child process, before it begins: the kernel ends it (SIGSYS) when it makes a call that stops, signals or
    writes to another process (seccomp(2))."""
    program = [(_LOAD_NUMBER, 0, 0, 0)]
    program += [(_EQUAL, len(FORBIDDEN) - i, 0, number) for i, number in enumerate(FORBIDDEN)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _KILL)]
    code = b"".join(struct.pack("HBBI", *one) for one in program)
    held = ctypes.create_string_buffer(code, len(code))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(held)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def forbid() -> None:
        if prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(_SECCOMP, _FILTER, filter_, 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")

    forbid.held = held  # type: ignore[attr-defined]
    return forbid


# -- the load ------------------------------------------------------------------------------------------


def main(port: int, rate: int) -> None:
    client = Client(port, ["load.>"])
    for i in range(SUBJECTS):
        client.echo(f"load.{i}", "warm")
    print("ready", flush=True)
    dues, times, begun = array("d"), array("d"), time.monotonic()
    while True:
        due = begun + len(dues) / rate
        if select.select([sys.stdin], [], [], max(due - time.monotonic(), 0))[0]:
            break
        client.echo(f"load.{len(dues) % SUBJECTS}", f"question {len(dues)}")
        dues.append(due)
        times.append(time.monotonic() - due)
    print(json.dumps([*zip(dues, times)]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
