"""A Delve server of our own: `dlv exec`, `core` or `attach`, headless, and ended with us."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import IO, Callable

from delve_bridge.rpc import Address, Client, ConnectionLost, address
from gomap import elf
from gomap.errors import GomapError

#: Seconds that dlv may take to load a program's debug information.
START = 120.0
#: Seconds that it may take to end.
END = 5.0
OPTIONS = (
    "--headless",
    "--accept-multiclient",
    "--api-version=2",
    "--listen=127.0.0.1:0",
    "--check-go-version=false",
)
_LISTENING = re.compile(rb"API server listening at: (\S+)\n")
#: Lines that tell nothing of what went wrong.
_NO_REASON = ("Usage", "warning", "Flags", "Global", "API server listening")


class NoDelve(GomapError):
    """dlv is not to be found, or does not start on this program."""

    code = "no-delve"


def find_dlv() -> str:
    """$GOMAP_DLV, dlv on PATH, where `go install` puts it, or the one that install.sh got."""
    wanted = os.environ.get("GOMAP_DLV")
    if wanted:
        found = shutil.which(wanted)
        if found is None:
            raise NoDelve(f"GOMAP_DLV names {wanted}, but there is no such program")
        return found
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    gopath = os.environ.get("GOPATH", "").split(os.pathsep)[0] or os.path.expanduser("~/go")
    for folder in (os.environ.get("GOBIN"), os.path.join(gopath, "bin"), os.path.join(data, "gomap", "dlv")):
        at = shutil.which("dlv") or (shutil.which("dlv", path=folder) if folder else None)
        if at is not None:
            return at
    raise NoDelve("dlv is not on PATH: run ./install.sh, or name one in GOMAP_DLV")


def check_machine(dlv: str, program: str, pid: str | None = None) -> None:
    """dlv starts programs of other machines, a 386 one on amd64 say, and wrecks them. Raises NoDelve.

    pid: the running program's, where it is to be attached to.
    """
    of_dlv, of_program = elf.machine_of(dlv), elf.machine_of(program)
    if of_dlv and of_program and of_dlv != of_program:
        what, use = (f"process {pid}", f"-p {pid}") if pid is not None else (program, program)
        raise NoDelve(
            f"{what} is a program for {of_program}, and {dlv} debugs those for {of_dlv}: use gdb (gdb-hmap {use})"
        )


def _status(pid: int, field: str) -> str:
    """What the kernel says of a process, empty when there is none."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            return next((line.split()[1] for line in status if line.startswith(f"{field}:")), "")
    except OSError:
        return ""


def _trap_waits(pid: int) -> bool:
    """Whether the process has been sent a SIGTRAP, by which Delve halts, and has not come to take it."""
    return bool(int(_status(pid, "ShdPnd") or "0", 16) >> (signal.SIGTRAP - 1) & 1)


class Server:
    """A running `dlv`. relay: takes what dlv and the program print from then on."""

    def __init__(
        self,
        arguments: Sequence[str],
        relay: Callable[[bytes], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """arguments: exec PROG [-- ARGS], core PROG CORE or attach PID. Raises NoDelve."""
        self.attached = int(arguments[1]) if arguments[0] == "attach" else None
        self._was_stopped = self.attached is not None and _status(self.attached, "State") == "T"
        self._relay = relay
        self._said: deque[bytes] = deque(maxlen=64)
        self._unrelayed: list[bytes] = []
        self._address: Address | None = None
        self._listening = threading.Event()
        self._lock = threading.Lock()
        self._connected = False
        split = arguments.index("--") if "--" in arguments else len(arguments)
        command = [find_dlv(), *arguments[:split], *OPTIONS, *arguments[split:]]
        if arguments[0] != "core":
            pid = arguments[1] if self.attached is not None else None
            check_machine(command[0], arguments[1] if pid is None else f"/proc/{pid}/exe", pid)
        try:
            # In a session of its own: Ctrl-C is for us, and we stop the program through Delve.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise NoDelve(f"{command[0]} does not start: {error.strerror}") from error
        self._threads = [
            threading.Thread(target=self._pump, args=(stream,), daemon=True)
            for stream in (self._process.stdout, self._process.stderr)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def connect(self, deadline: float) -> Client:
        """A connection, once dlv has the program. Raises NoDelve with what dlv said when it has not."""
        client = None
        try:
            client = Client(self._listens(), deadline)
            client.call("GetVersion", START)
        except ConnectionLost as error:
            # It listens before it looks at the program, and ends when it can't use it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END)
                for thread in self._threads:
                    thread.join(END)
                raise NoDelve(self._why()) from error
            raise
        except BaseException:
            if client is not None:
                client.close()
            raise
        with self._lock:
            self._connected = True
            for data in self._unrelayed:
                self._relay(data)
            self._unrelayed.clear()
        return client

    def _listens(self) -> Address:
        until = time.monotonic() + START
        while not self._listening.wait(0.05):
            if self._process.poll() is not None:
                self._listening.wait(0.2)  # what it said last may still be on its way
                break
            if time.monotonic() > until:
                self.end(None)
                raise NoDelve(f"dlv did not come up within {START:g} seconds")
        if self._address is None:
            raise NoDelve(self._why())
        return self._address

    def end(self, client: Client | None) -> None:
        """Ends dlv, and the program unless it was attached to."""
        let_go = False
        if self._process.poll() is None and client is not None:
            with contextlib.suppress(GomapError):
                if self.attached is not None:
                    if client.state(END)["Running"]:
                        client.halt(END)  # a running program can't be let go of
                    # One that has stopped by itself at that moment has the halt's signal still before it, and would
                    # die of it: a thread is let take it. (Of a selected goroutine that waits, Delve would run all.)
                    until = time.monotonic() + END
                    while _trap_waits(self.attached) and time.monotonic() < until:
                        thread = client.call("State", END, NonBlocking=False)["State"]["currentThread"]["id"]
                        client.call("Command", END, name="switchThread", threadID=thread)
                        client.call("Command", END, name="stepInstruction")
                client.call("Detach", END, Kill=self.attached is None)
                let_go = True
        for stop in (None, self._process.terminate, self._process.kill):
            if stop is not None and self._process.poll() is None:
                stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END if stop is not None or client is not None else 0)
                break
        if self.attached is not None and not let_go and not self._was_stopped:
            # It may have been about to take hold of the process: nobody but that is there for the SIGSTOP it sent.
            with contextlib.suppress(OSError):
                os.kill(self.attached, signal.SIGCONT)

    def _pump(self, stream: IO[bytes] | None) -> None:
        """Keeps what dlv says until it has the program, and hands on everything after."""
        assert stream is not None
        while True:
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return
            with self._lock:
                if self._connected:
                    self._relay(data)
                    continue
                self._said.append(data)
                if self._address is not None:
                    self._unrelayed.append(data)
                    continue
                # What went wrong can be told before it, on the other stream: _why wants that too.
                found = _LISTENING.search(b"".join(self._said))
                if found is not None:
                    self._address = address(found.group(1).decode())
                    self._listening.set()

    def _why(self) -> str:
        text = b"".join(self._said).decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith(_NO_REASON)]
        return "dlv: " + (told[-1] if told else f"ended with status {self._process.returncode} and printed nothing")
