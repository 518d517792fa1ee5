"""A Delve server of our own: `dlv exec`, `core` or `attach`, headless, and ended with us."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable

from delve_bridge.rpc import Client, ConnectionLost, ServerAddress, address
from gomap import elf
from gomap.errors import GomapError

#: Seconds that dlv may take to load a program's debug information.
START = 120.0
#: Seconds that it may take to end.
END = 5.0
#: Seconds in which what it has said is read.
SAYS = 0.5
#: The number of the stream of dlv's log.
LOG = 3
OPTIONS = (
    "--headless",
    "--accept-multiclient",
    "--api-version=2",
    "--listen=127.0.0.1:0",
    "--check-go-version=false",
)
_LISTENING = re.compile(rb"(?:API|DAP) server listening at: (\S+)\n")
#: Lines that tell nothing of what went wrong.
_NO_REASON = ("Usage", "warning", "Flags", "Global", "API server listening", "DAP server listening")


class NoDelve(GomapError):
    """dlv is not to be found, or does not start on this program."""

    code = "no-delve"


class OtherMachine(NoDelve):
    """The program is for a machine of another kind than dlv is."""


def find_dlv() -> str:
    """The dlv to use: $GOMAP_DLV, dlv on PATH, where `go install` puts it, or the one that install.sh has built."""
    wanted = os.environ.get("GOMAP_DLV")
    if wanted:
        found = _which(wanted)
        if found is None:
            raise NoDelve(f"GOMAP_DLV is {wanted}, which is not an executable")
        return found
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    gopath = os.environ.get("GOPATH", "").split(os.pathsep)[0] or os.path.expanduser("~/go")
    for folder in (os.environ.get("GOBIN"), os.path.join(gopath, "bin"), os.path.join(data, "gomap", "dlv")):
        at = _which("dlv") or (_which("dlv", folder) if folder else None)
        if at is not None:
            return at
    raise NoDelve("dlv is not on PATH: run ./install.sh, or name one in GOMAP_DLV")


def _which(name: str, path: str | None = None) -> str | None:
    """The program of that name that is not dlv-hmap itself, which editors may know as dlv."""
    own = Path(__file__).resolve().parent.parent / "bin" / "dlv-hmap"
    for folder in (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep):
        found = shutil.which(name, path=folder)
        if found is not None and Path(found).resolve() != own:
            return found
    return None


def check_machine(dlv: str, program: str, pid: str | None = None) -> None:
    """dlv starts programs of other machines, a 386 one on amd64 say, and wrecks them. Raises OtherMachine.

    pid: the running program's, where it is to be attached to.
    """
    of_dlv, of_program = elf.machine_of(dlv), elf.machine_of(program)
    if of_dlv and of_program and of_dlv != of_program:
        what, use = (f"process {pid}", f"-p {pid}") if pid is not None else (program, program)
        raise OtherMachine(
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


@dataclass(frozen=True)
class EditorsDlv:
    """How a dlv is started that works inside an editor's session.

    It says where it listens in its log, which has a stream of its own. piped: streams that are to be relayed; others
    are ours where ours are a terminal.
    """

    options: Sequence[str]
    folder: str | None = None
    piped: Sequence[int] = ()

    def start(
        self, command: Sequence[str], environment: Mapping[str, str] | None
    ) -> tuple[subprocess.Popen[bytes], dict[int, IO[bytes]]]:
        """Starts dlv with its log in a pipe of its own. Returns the process and its streams, by file descriptor."""
        split = command.index("--") if "--" in command else len(command)
        read, write = os.pipe()
        try:
            process = subprocess.Popen(
                [*command[:split], f"--log-dest={write}", *command[split:]],
                stdout=self._stream(1),
                stderr=self._stream(2),
                env=environment,
                cwd=self.folder,
                pass_fds=[write],
            )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        streams = {1: process.stdout, 2: process.stderr, LOG: os.fdopen(read, "rb", 0)}
        return process, {number: stream for number, stream in streams.items() if stream is not None}

    def _stream(self, number: int) -> int | None:
        return None if os.isatty(number) and number not in self.piped else subprocess.PIPE


def _start(
    command: Sequence[str], environment: Mapping[str, str] | None
) -> tuple[subprocess.Popen[bytes], dict[int, IO[bytes]]]:
    # In a session of its own: Ctrl-C is for us, and we stop the program through Delve.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    return process, {1: process.stdout, 2: process.stderr}


class Server:
    """A running `dlv`. relay: takes what dlv and the program print from then on, with the stream's number: 1, 2 or
    LOG."""

    def __init__(
        self,
        arguments: Sequence[str],
        relay: Callable[[int, bytes], None],
        environment: Mapping[str, str] | None = None,
        inside: EditorsDlv | None = None,
    ) -> None:
        """arguments: exec PROG [-- ARGS], core PROG CORE or attach PID; with inside any of dlv's. Raises NoDelve."""
        self.attached = int(arguments[1]) if arguments[0] == "attach" and arguments[1].isdecimal() else None
        self._was_stopped = self.attached is not None and _status(self.attached, "State") == "T"
        self._relay = relay
        self._said: deque[bytes] = deque(maxlen=64)
        self._unrelayed: list[tuple[int, bytes]] = []
        self._address: ServerAddress | None = None
        self._listening = threading.Event()
        self._lock = threading.Lock()
        self._connected = False
        split = arguments.index("--") if "--" in arguments else len(arguments)
        command = [find_dlv(), *arguments[:split], *(inside.options if inside else OPTIONS), *arguments[split:]]
        if arguments[0] in ("exec", "attach"):
            pid = str(self.attached) if self.attached is not None else None
            check_machine(command[0], arguments[1] if pid is None else f"/proc/{pid}/exe", pid)
        try:
            started = inside.start(command, environment) if inside else _start(command, environment)
            self._process, self._streams = started
        except OSError as error:
            raise NoDelve(f"{command[0]} does not start: {error.strerror}") from error
        self._threads = [
            threading.Thread(target=self._pump, args=(number, stream), daemon=True)
            for number, stream in self._streams.items()
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """dlv's process id."""
        return self._process.pid

    def connect(self, deadline: float) -> Client:
        """A connection, once dlv has the program. Raises NoDelve with what dlv said when it has not."""
        client = None
        try:
            client = Client(self.listens(), deadline)
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
        self.relay()
        return client

    def relay(self) -> None:
        """What it says is handed on from now on."""
        with self._lock:
            self._connected = True
            for number, data in self._unrelayed:
                self._relay(number, data)
            self._unrelayed.clear()

    def listens(self, seconds: float | None = START) -> ServerAddress:
        """Where it listens. seconds: how long it may take to build the program, say. Raises NoDelve."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._listening.wait(0.05):
            if self._process.poll() is not None:
                self._listening.wait(0.2)  # what it said last may still be on its way
                break
            if until is not None and time.monotonic() > until:
                self.end(None)
                raise NoDelve(f"dlv did not start within {START:g} seconds")
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
            # It may have been attaching to the process: only it can handle the SIGSTOP that it sent.
            with contextlib.suppress(OSError):
                os.kill(self.attached, signal.SIGCONT)

    def wait(self, seconds: float) -> int | None:
        """Its status when it has ended within so many seconds, and all that it said is handed on."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        until = time.monotonic() + SAYS
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0))  # what the program has started may still have the streams
        return status

    def give_up(self) -> None:
        """Ends what dlv has started to build the program."""
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{self.pid}/task").iterdir():
                for child in (task / "children").read_text().split():
                    os.kill(int(child), signal.SIGINT)

    def drain(self) -> None:
        """Comes back when what it has said so far is handed on."""
        until = time.monotonic() + SAYS
        while time.monotonic() < until and select.select([*self._streams.values()], [], [], 0)[0]:
            time.sleep(0.001)
        with self._lock:
            pass

    def _pump(self, number: int, stream: IO[bytes]) -> None:
        """Keeps what dlv says until it has the program, and hands on everything after."""
        while True:
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return
            with self._lock:
                if self._connected:
                    self._relay(number, data)
                    continue
                self._said.append(data)
                if self._address is not None or number == LOG:
                    self._unrelayed.append((number, _LISTENING.sub(b"", data)))
                if self._address is not None:
                    continue
                # The reason may be printed before it, on the other stream: _why needs that too.
                found = _LISTENING.search(b"".join(self._said))
                if found is not None:
                    self._address = address(found.group(1).decode())
                    self._listening.set()

    def _why(self) -> str:
        text = b"".join(self._said).decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith(_NO_REASON)]
        return "dlv: " + (told[-1] if told else f"ended with status {self._process.returncode} and printed nothing")
