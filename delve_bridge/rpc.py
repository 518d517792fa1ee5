"""Delve's JSON-RPC 1.0, one object a line, over TCP or a unix socket. The only socket of the project.

Requests are numbered and may be sent before earlier ones are answered. If a request was given up (deadline or Ctrl-C),
its answer may still arrive: it is recognized by its number and discarded.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Union

from gomap.errors import GomapError, NoProcess, TargetRunning, UsageError

#: Seconds that a request may take; None for no limit.
DEADLINE = 20.0
#: Requests under way at once.
WINDOW = 32
#: Seconds between looks at Ctrl-C and the clock.
SLICE = 0.1
#: After so many seconds of silence a second connection asks whether the program has been resumed.
SILENCE = 1.0
#: For so many seconds Delve may say of a stopped program that it runs.
MOMENT = 0.25
#: Seconds between looks at that.
GLANCE = 0.01
MAX_LINE = 1 << 29
_EXITED = re.compile(r"Process (\d+ has exited with status -?\d+)")
GONE = "the process was killed: exit and start it again"

#: The hint about a server that an editor has started.
ALONE = "accepts only its editor (DAP): to use hmap commands there, make `dlv-hmap dap` the editor's debug adapter"


class ConnectionLost(GomapError):
    """No server there, or it has gone away."""

    code = "connection-lost"


class NoAnswer(GomapError):
    """The server is there and does not answer in time."""

    code = "no-answer"


class NotDelve(GomapError):
    """Something answers, and it is not Delve's JSON-RPC API version 2."""

    code = "not-delve"


class Refused(GomapError):
    """Delve answers a request with an error of its own."""

    code = "delve"


def ended(error: Refused) -> GomapError:
    """Delve's refusal as what it says of the program."""
    if str(error) == "no such process":
        return NoProcess(GONE)
    found = _EXITED.search(str(error))
    return NoProcess(f"process {found.group(1)}: start it again (restart)") if found else error


def _is_loopback(number: str) -> bool:
    peer = ipaddress.ip_address(number.partition("%")[0])
    return (getattr(peer, "ipv4_mapped", None) or peer).is_loopback


@dataclass(frozen=True)
class ServerAddress:
    """Where a server listens: HOST:PORT, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def is_here(self) -> bool:
        """Whether it is on this machine, as far as its name says."""
        if self.path:
            return True
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return True  # nothing is there
        return all(_is_loopback(str(one[4][0])) for one in found)

    def in_the_clear(self) -> str:
        """The warning of a server that is not on this machine."""
        return (
            f"{self} has no password and no encryption: anyone who can connect can run code there; "
            "use a tunnel (ssh -L)"
        )

    def open(self, timeout: float, whose: str = "Delve server") -> socket.socket:
        """A connection. Raises ConnectionLost."""
        opened = None
        try:
            if not self.path:
                return socket.create_connection((self.host, self.port), timeout)
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            opened.settimeout(timeout)
            opened.connect(self.path)
            return opened
        except BaseException as error:
            if opened is not None:
                opened.close()
            if not isinstance(error, (OSError, UnicodeError)):
                raise
            why = getattr(error, "strerror", None) or str(error)
            raise ConnectionLost(f"no {whose} answers at {self}: {why}") from error

    def listen(self) -> socket.socket:
        """A socket that listens there; port 0 is any that is free. Raises ConnectionLost."""
        try:
            if self.path:
                opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                opened.bind(self.path)
                opened.listen()
                return opened
            family, _, _, _, where = socket.getaddrinfo(
                self.host or None, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return socket.create_server(where[:2], family=family)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ConnectionLost(f"couldn't start listener at {self}: {why}") from error

    def check(self) -> None:
        """Raises NotDelve where a process of this machine listens that has no client but its editor."""
        for pid in _listeners(self):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"dap" in words[: words.index(b"--") if b"--" in words else len(words)]:
                    raise NotDelve(f"{self} (dlv dap, process {pid}) {ALONE}")


def _listeners(where: ServerAddress) -> Iterator[int]:
    """The processes that have a socket listening there, as far as this user may see."""
    inodes = set()
    for table in ("unix",) if where.path else ("tcp", "tcp6"):
        with suppress(OSError):
            for fields in map(str.split, Path(f"/proc/net/{table}").read_text(errors="replace").splitlines()[1:]):
                if where.path:
                    if fields[7:] == [os.path.abspath(where.path)]:
                        inodes.add(f"socket:[{fields[6]}]")
                elif fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == where.port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with suppress(OSError):
            if any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir()):
                yield int(process.name)


def same_user(connected: socket.socket) -> bool:
    """Whether the other end of a connection over loopback is this user's, as dlv wants it (--only-same-user)."""
    if connected.family not in (socket.AF_INET, socket.AF_INET6) or not _is_loopback(connected.getpeername()[0]):
        return True
    ends = [connected.getpeername()[1], connected.getsockname()[1]]
    users = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if [int(end.rpartition(":")[2], 16) for end in fields[1:3]] == ends:
                users.add(int(fields[7]))
    return users == {os.getuid()} or not os.path.exists("/proc/net/tcp")


def claim(name: str) -> socket.socket | None:
    """An abstract socket of this name, which others find in /proc/net/unix as long as this process has it; None where
    another has it."""
    claimed = socket.socket(socket.AF_UNIX)
    try:
        claimed.bind(f"\0{name}")
    except OSError:
        claimed.close()
        return None
    return claimed


def address(text: str, here: bool = False) -> ServerAddress:
    """HOST:PORT, [HOST]:PORT, :PORT (this machine) or unix:PATH. Raises UsageError.

    here: it is to listen at, so that port 0 and no host stand for any.
    """
    if text.startswith("unix:"):
        if text == "unix:":
            raise UsageError("unix: needs the path of a socket, as in unix:/tmp/dlv.sock")
        return ServerAddress(path=text[5:])
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not (not here) <= int(port) < 65536:
        raise UsageError(f"{text!r} is not an address: write HOST:PORT or unix:PATH")
    return ServerAddress(host.strip("[]") or ("" if here else "127.0.0.1"), int(port))


Call = tuple[str, Mapping[str, Any]]
Result = Union[Any, Refused]


class Api(ABC):
    """Delve's API, however it is reached. loopback: whether the other end is on this machine, as far as is known."""

    def __init__(self, where: ServerAddress, loopback: bool, deadline: float = DEADLINE) -> None:
        self.where = where
        self.loopback = loopback
        self.deadline = deadline
        #: Between the first byte of a request and the last of its answer Ctrl-C must not break in: a handler
        #: sets `cancelled` while `busy`, and it takes effect between two lines.
        self.busy = False
        self.cancelled = False

    @abstractmethod
    def calls(self, calls: Sequence[Call], deadline: float | None = -1.0) -> list[Result]:
        """Results of many requests, in their order; a Refused for each request that Delve refused.

        deadline: seconds for each answer after the one before; None to wait for ever.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends it; Delve and the program stay."""

    @abstractmethod
    def resume(self) -> tuple[Mapping[str, Any], bool]:
        """Lets the program run until it stops: its state, and whether Ctrl-C, or another thread that sets `cancelled`,
        stopped it. Raises as call does, and nothing for Ctrl-C."""

    @abstractmethod
    def standing(self) -> Mapping[str, Any]:
        """The state of the program once it is stopped; after a resume it is halted if it still runs."""

    def give_up(self) -> None:
        """Where Ctrl-C takes effect. Raises KeyboardInterrupt."""
        if self.cancelled:
            self.cancelled = False
            raise KeyboardInterrupt

    def call(self, method: str, _deadline: float | None = -1.0, /, **arguments: Any) -> Any:
        """The result of one request. Raises Refused, NoAnswer, ConnectionLost, NotDelve, TargetRunning."""
        (result,) = self.calls([(method, arguments)], _deadline)
        if isinstance(result, Refused):
            raise result
        return result

    def state(self, deadline: float | None = -1.0, /, believed: bool = False) -> Mapping[str, Any]:
        """What the program does, told at once even when it runs. Raises as call does.

        To Delve it runs, too, while another client's switchGoroutine, switchThread or halt is carried out
        (Debugger.Command): unless that is to be believed, it runs when Delve has said so for a MOMENT.
        """
        until = time.monotonic() + MOMENT
        while True:
            state: Mapping[str, Any] = self.call("State", deadline, NonBlocking=True)["State"]
            if believed or not state.get("Running") or time.monotonic() > until:
                return state
            time.sleep(GLANCE)


class Client(Api):
    """One connection. A failure other than Refused, NoAnswer and TargetRunning ends it."""

    def __init__(self, where: ServerAddress, deadline: float = DEADLINE) -> None:
        super().__init__(where, where.is_here(), deadline)
        self._buffer = bytearray()
        self._searched = 0
        self._last = 0
        self._socket: socket.socket | None = where.open(min(deadline, 10.0))

    def close(self) -> None:
        """Closes the connection. May be called again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- requests ------------------------------------------------------------------------------------

    def calls(self, calls: Sequence[Call], deadline: float | None = -1.0) -> list[Result]:
        """As Api.calls: sends all requests, then reads the answers."""
        wait = self.deadline if deadline == -1.0 else deadline
        self.busy = True
        try:
            return self._exchange(calls, wait)
        finally:
            self.busy = False
            self.give_up()  # if it came with the last answer, the command ends here, and not the next one

    def resume(self) -> tuple[Mapping[str, Any], bool]:
        """Lets the program run until it stops. Returns api.DebuggerState, and whether Ctrl-C stopped it."""
        try:
            state: Mapping[str, Any] = self.call("Command", None, name="continue")["State"]
            return state, False
        except KeyboardInterrupt:
            return self.standing(), True

    def standing(self) -> Mapping[str, Any]:
        """Stops the program if it runs. Returns api.DebuggerState."""
        return self.stop(resumed=True)

    def stop(self, resumed: bool, ask: Callable[..., Mapping[str, Any]] | None = None) -> Mapping[str, Any]:
        """Halts the program if it runs. Returns its state. resumed: this client has resumed it, so that a second
        Ctrl-C must not come before the halt. ask: gets the state, in place of `state`."""
        try:
            state = (ask or self.state)(believed=resumed)
            if not state.get("Running"):  # a stopped program would take the signal for its next start
                return state
            return self.halt(self.deadline)
        except TargetRunning:
            # It was resumed while something was asked, and until that is answered this connection hears nothing.
            other = Client(self.where, self.deadline)
        try:
            return other.halt(self.deadline)
        finally:
            other.close()

    def halt(self, seconds: float) -> Mapping[str, Any]:
        """Stops the program, which runs: its state. Raises TargetRunning when it has not stopped within seconds.

        Delve forgets a halt that it gets while it is about to let the program run, and this connection hears nothing
        until that has stopped (Debugger.Command and TargetGroup.Continue): the next one is made over another.
        """
        try:
            state: Mapping[str, Any] = self.call("Command", seconds, name="halt")["State"]
            return state
        except TargetRunning:
            if seconds <= SILENCE:
                raise
        other = Client(self.where, self.deadline)
        try:
            other.halt(seconds - SILENCE)
        finally:
            other.close()
        # To Delve the program runs again while it carries out the forgotten one: this is answered after that.
        state = self.call("State", NonBlocking=False)["State"]
        return state

    def _exchange(self, calls: Sequence[Call], wait: float | None) -> list[Result]:
        first = self._last + 1
        results: list[Result] = [None] * len(calls)
        sent = done = 0
        while done < len(calls):
            if sent < len(calls) and sent - done <= WINDOW // 2:
                until = min(done + WINDOW, len(calls))
                self._send(calls[sent:until])
                sent = until
            number, result = self._receive(wait)
            if number < first:
                continue
            if number >= first + sent:
                raise self._garbage(f"an answer to request {number}, which was never sent")
            results[number - first] = result
            done += 1
        return results

    def _send(self, calls: Sequence[Call]) -> None:
        lines = []
        for method, arguments in calls:
            self._last += 1
            request = {"method": f"RPCServer.{method}", "params": [arguments], "id": self._last}
            lines.append(json.dumps(request, separators=(",", ":")) + "\n")
        try:
            opened = self._opened()
            opened.settimeout(self.deadline)
            opened.sendall("".join(lines).encode())
        except OSError as error:
            raise self._lost(error) from error

    def _receive(self, wait: float | None) -> tuple[int, Result]:
        line = self._line(wait)
        try:
            answer = json.loads(line)
            number, result, error = answer["id"], answer.get("result"), answer.get("error")
            if not isinstance(number, int):
                raise ValueError("id")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._garbage(repr(line[:40].decode("utf-8", "replace"))) from None
        return number, Refused(str(error)) if error is not None else result

    def _line(self, wait: float | None) -> bytes:
        started = quiet = time.monotonic()
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                self._searched = 0
                return line
            self._searched = len(self._buffer)
            if self._buffer and self._buffer[:1] != b"{":
                raise self._garbage(repr(self._buffer[:40].decode("utf-8", "replace")))
            if len(self._buffer) > MAX_LINE:
                raise self._garbage("a line that never ends")
            self.give_up()
            if self._fill():
                started = quiet = time.monotonic()
                continue
            now = time.monotonic()
            if wait is not None and now - quiet > SILENCE:
                quiet = now
                if self._resumed():
                    raise TargetRunning(
                        "the program is running again: another client has resumed it. Stop it first (halt)"
                    )
            if wait is not None and now - started > wait:
                raise NoAnswer(f"the Delve server at {self.where} has not answered for {wait:g} seconds")

    def _fill(self) -> bool:
        """Whether anything came within a SLICE."""
        try:
            opened = self._opened()
            opened.settimeout(SLICE)
            data = opened.recv(1 << 20)
        except socket.timeout:
            return False
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise self._lost(None)
        self._buffer += data
        return True

    def _resumed(self) -> bool:
        """Whether the program runs, asked over a second connection: while it runs the server answers no other
        request."""
        try:
            other = Client(self.where, deadline=SILENCE)
        except ConnectionLost:
            return False
        try:
            other._send([("State", {"NonBlocking": True})])
            until = time.monotonic() + SILENCE
            while time.monotonic() < until and not self.cancelled:
                if b"\n" in other._buffer:
                    _, state = other._receive(0)
                    return not isinstance(state, Refused) and bool(state["State"]["Running"])
                other._fill()
            return False
        except (GomapError, KeyError, TypeError):
            return False
        finally:
            other.close()

    # -- ends ----------------------------------------------------------------------------------------

    def _opened(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionLost(
                f"the connection to the Delve server at {self.where} is closed: leave (exit) and connect again"
            )
        return self._socket

    def _lost(self, error: OSError | None) -> ConnectionLost:
        self.close()
        why = f": {error.strerror or error}" if error is not None else ""
        return ConnectionLost(f"the Delve server at {self.where} has closed the connection{why}")

    def _garbage(self, what: str) -> NotDelve:
        self.close()
        return NotDelve(f"{self.where} does not speak Delve's JSON-RPC: it sent {what}")
