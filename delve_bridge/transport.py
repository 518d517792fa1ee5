"""Delve's API through the dlv in whose terminal a command was given: its Starlark script makes the calls.

session.star is the other end. dlv reads `calls` as a file of commands, one a line, and writes what they print to
`results`, as its transcript. While gomap works, dlv reads `beat` again and again: when it stops, Ctrl-C was pressed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import select
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

from delve_bridge.rpc import Api, Call, ConnectionLost, Refused, Result, ServerAddress

#: dlv reads a batch of calls while it writes the results of earlier ones: what waits for it must fit a pipe's 64 KiB.
BATCH = 32 << 10
#: dlv does not read a longer line (bufio.MaxScanTokenSize).
LONGEST = 60 << 10
#: Seconds between beats, and without a reader of them until Ctrl-C is the reason.
BEAT, MISSED = 0.1, 1.0
#: Seconds in which dlv opens a pipe that it is to read.
OPENS = 5.0
_FAILED = re.compile(rb"\S*/calls:(\d+): (?:\S+\.star:\d+(?::\d+)?: )?(.*)")
_CANCELLED = re.compile("Starlark computation cancelled|context canceled")
#: A file that dlv makes when it hands a command over, removed once that is answered.
BUSY = "busy"
PIPES = ("requests", "calls", "results", "beat", "answer")


def writer(pipe: Path) -> int:
    """The pipe, opened to be written to; -1 when nothing reads it. Raises ConnectionLost."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise ConnectionLost("the pipes between gomap and dlv were removed") from error
        return -1


def tell(pipe: Path, data: bytes) -> bool:
    """Whether something reads the pipe, and has the data now. Raises ConnectionLost."""
    opened = writer(pipe)
    try:
        return opened >= 0 and os.write(opened, data) > 0
    except BrokenPipeError:
        return False
    finally:
        if opened >= 0:
            os.close(opened)


class Dlv:
    """One dlv and the pipes to its script. alive: raises ConnectionLost when it has ended. interrupt: what Ctrl-C
    does, called by any thread."""

    def __init__(self, folder: Path, pid: int, alive: Callable[[], None], interrupt: Callable[[], None]) -> None:
        self.folder = folder
        self._pid = pid
        self._alive = alive
        self._interrupt = interrupt
        # Opened for both ways: there is always a reader and a writer, and no read ends.
        self.requests = os.open(folder / "requests", os.O_RDWR | os.O_CLOEXEC)
        self._results = os.open(folder / "results", os.O_RDWR | os.O_CLOEXEC)
        self._calls = -1
        self._lines = 0
        self._buffer = b""
        #: While dlv lets the program run: whether that is to end.
        self.stopping: Callable[[], bool] | None = None
        self._transcript: str | None = None
        # dlv's waits are numbered: how many there were, and the last one that is over. It beats while one is not.
        self._lock = threading.Lock()
        self._waits = self._over = 0
        self._beating = False
        threading.Thread(target=self._beat, daemon=True).start()

    # -- one command -------------------------------------------------------------------------------------

    def begin(self) -> bool:
        """Whether dlv waits for what a command needs of it."""
        self._drain()
        self._transcript = _transcript(self._pid)
        self._lines = 0
        self._calls = self._opened("calls", OPENS)
        if self._calls >= 0:
            os.set_blocking(self._calls, True)
            self._send([])
            self._beating = True
        else:
            (self.folder / BUSY).unlink(missing_ok=True)
        return self._calls >= 0

    def end(self, said: str) -> None:
        """The answer, which dlv prints."""
        back = f"transcript {self._transcript}" if self._transcript else "transcript -off"
        self._go_on()
        with suppress(BrokenPipeError):
            os.write(self._calls, f"{back}\n".encode())
        os.close(self._calls)
        answer = self._opened("answer", OPENS)
        if answer >= 0:
            os.set_blocking(answer, True)
            with suppress(BrokenPipeError), os.fdopen(answer, "wb") as pipe:
                pipe.write(said.encode("utf-8", "surrogateescape"))
        (self.folder / BUSY).unlink(missing_ok=True)

    def exchange(self, lines: Sequence[bytes], last: bytes) -> dict[int, Any]:
        """Results by the numbers of the calls, those that failed by their places in lines, negated: None where Ctrl-C
        was the reason. last: the number that the last line prints."""
        self._go_on()
        first = self._lines + 1
        self._send(lines)
        found = self._collect(first, last)
        self._beating = True
        return found

    def _send(self, lines: Sequence[bytes]) -> None:
        """dlv waits behind them. It writes the rest of a transcript to its file when the next one begins."""
        self._waits += 1
        begin = b"transcript -x %s/results\n" % os.fsencode(self.folder)
        lines = [*lines, begin, b"gomap_wait %d\n" % self._waits]
        self._lines += len(lines)
        try:
            os.write(self._calls, b"".join(lines))
        except BrokenPipeError:
            self._alive()
            raise KeyboardInterrupt from None

    def _go_on(self) -> None:
        """Ends dlv's wait: at once where it is read now, else with the next beat."""
        with self._lock:
            self._over, was, self._beating = self._waits, self._beating, False
        until = time.monotonic() + BEAT / 2
        while was and not self._tell() and time.monotonic() < until:
            time.sleep(0.0005)

    def _tell(self) -> bool:
        """Whether dlv has read which wait is over."""
        with self._lock:
            return tell(self.folder / "beat", b"%d\n" % self._over)

    def _beat(self) -> None:
        seen = time.monotonic()
        while True:
            time.sleep(BEAT)
            try:
                read = self._tell()
            except ConnectionLost:
                return  # dlv has ended, and its pipes with it: the next command says so
            if read or not self._beating:
                seen = time.monotonic()
            elif time.monotonic() - seen > MISSED:
                self._beating = False
                self._interrupt()

    # -- results -----------------------------------------------------------------------------------------

    def _collect(self, first: int, last: bytes) -> dict[int, Any]:
        """first: which of dlv's lines makes the first call."""
        found: dict[int, Any] = {}
        while True:
            line = self._take(self._line_end())[:-1]
            if not line.startswith(b"\1"):
                failed = _FAILED.match(line)
                if failed is not None:
                    why = failed.group(2).decode("utf-8", "replace")
                    if cancelled := bool(_CANCELLED.search(why)):  # perhaps of the wait before
                        self._interrupt()
                    found[first - int(failed.group(1))] = None if cancelled else Refused(why)
                continue
            number, _, said = line[1:].partition(b" ")
            if said.startswith(b"memory "):
                length, _, start = said[7:].partition(b" ")
                self._buffer = start + b"\n" + self._buffer
                found[int(number)] = {"Mem": self._take(int(length))}
                self._take(1)
            elif said:
                found[int(number)] = json.loads(said)
            elif number == last:
                return found

    def _line_end(self) -> int:
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            self._fill()
        return end + 1

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _fill(self) -> None:
        self._alive()
        if self.stopping is not None and self.stopping():
            self.stopping = None
            os.kill(self._pid, signal.SIGINT)
        if select.select([self._results], [], [], 0.1)[0]:
            self._buffer += os.read(self._results, 1 << 20)

    def _drain(self) -> None:
        """Takes what came for a command that was given up."""
        self._buffer = b""
        while select.select([self._results], [], [], 0)[0]:
            os.read(self._results, 1 << 20)

    # -- pipes -------------------------------------------------------------------------------------------

    def _opened(self, name: str, seconds: float) -> int:
        until = time.monotonic() + seconds
        while (opened := writer(self.folder / name)) < 0 and time.monotonic() < until:
            self._alive()
            time.sleep(0.001)
        return opened


class Through(Api):
    """Delve's API by way of a Dlv."""

    def __init__(self, dlv: Dlv) -> None:
        super().__init__(ServerAddress(), True)
        self._dlv = dlv
        self._last = 0

    def calls(self, calls: Sequence[Call], deadline: float | None = -1.0) -> list[Result]:
        """As Api.calls, in batches that fit into a pipe."""
        self.busy = True
        try:
            results: list[Result] = []
            while len(results) < len(calls):
                self.give_up()
                results += self._batch(calls[len(results) :])
            return results
        finally:
            self.busy = False
            self.give_up()

    def resume(self) -> tuple[Mapping[str, Any], bool]:
        """Ctrl-C stops the program by way of dlv, which takes an interrupt for that while the program runs."""
        try:
            self._dlv.stopping = lambda: self.cancelled
            state: Mapping[str, Any] = self.call("Command", None, name="continue")["State"]
            return state, False
        except KeyboardInterrupt:
            pass
        finally:
            self._dlv.stopping = None
        return self.standing(), True

    def standing(self) -> Mapping[str, Any]:
        """Waits until the program is stopped. Returns api.DebuggerState."""
        state: Mapping[str, Any] = self.call("State", NonBlocking=False)["State"]
        return state

    def close(self) -> None:
        """Nothing was opened: the dlv is the user's."""

    def _batch(self, calls: Sequence[Call]) -> list[Result]:
        """As many as fit and Ctrl-C lets through."""
        first, size = self._last + 1, 0
        lines: list[bytes] = []
        for method, arguments in calls:
            line = _line(self._last + 1, method, arguments)
            if len(line) > LONGEST:
                line = _line(self._last + 1, "", {})
            if lines and size + len(line) > BATCH:
                break
            lines.append(line)
            size += len(line)
            self._last += 1
        self._last += 1
        found = self._dlv.exchange([*lines, _line(self._last, "", {})], b"%d" % self._last)
        unknown = Refused("Delve can't be asked that through its prompt")
        results = [found.get(first + i, found.get(-i, unknown)) for i in range(len(lines))]
        return results[: results.index(None)] if None in results else results


def _line(number: int, method: str, arguments: Mapping[str, Any]) -> bytes:
    """One command of dlv's: its arguments are Starlark expressions."""
    return f"gomap_call {number}, {_starlark(method)}, {_starlark(arguments)}\n".encode()


def _starlark(value: Any) -> str:
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_starlark(k)}: {_starlark(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(map(_starlark, value)) + "]"


def _transcript(pid: int) -> str | None:
    """The file to which dlv writes a transcript."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError, ValueError):
            flags = int((fd.parent.parent / "fdinfo" / fd.name).read_text().split("flags:")[1].split()[0], 8)
            if int(fd.name) > 2 and flags & (os.O_ACCMODE | os.O_APPEND) == os.O_WRONLY | os.O_APPEND and fd.is_file():
                return os.readlink(fd)
    return None
