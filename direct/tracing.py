"""Waits while a process runs and the kernel records its calls: the Tracer of what needs no debugger."""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Sequence
from typing import Callable

from gomap.errors import NoProcess
from gomap.process import ProcessMemory, cpu_seconds
from gomap.trace.port import Ending, Hit, Records, Stops
from gomap.trace.uprobes import PERIOD

#: amd64: int3.
_BREAKPOINT = b"\xcc"


class DirectTracer:
    """Made for one command. The process is never stopped."""

    breaks = False

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def process(self) -> int:
        """As Tracer.process."""
        return self._pid

    def breakpoint_at(self, addresses: Sequence[int]) -> int | None:
        """As Tracer.breakpoint_at, of a debugger that controls the process."""
        try:
            with open(f"/proc/{self._pid}/status", encoding="utf-8", errors="replace") as file:
                if any(line.split() == ["TracerPid:", "0"] for line in file):
                    return None
            memory = ProcessMemory(self._pid)
        except OSError as error:
            raise self._gone(error) from error
        try:
            return next((at for at in addresses if memory.read(at, 1) == _BREAKPOINT), None)
        finally:
            memory.close()

    def _gone(self, error: OSError) -> NoProcess:
        ended = error.errno in (errno.ENOENT, errno.ESRCH)
        return NoProcess(f"process {self._pid} {'has ended' if ended else 'can not be traced: ' + str(error.strerror)}")

    def run(
        self,
        stops: Stops,
        hit: Callable[[Hit], bool],
        seconds: float | None,
        quiet: bool = False,
        recorder: Records | None = None,
    ) -> Ending:
        """As Tracer.run, with a recorder alone."""
        kind = ""
        try:
            ends = os.pidfd_open(self._pid)
        except OSError as error:
            raise self._gone(error) from error
        assert recorder is not None
        before, started = cpu_seconds(self._pid), time.monotonic()
        try:
            exits = select.poll()
            exits.register(ends, select.POLLIN)
            while not kind:
                gone = exits.poll(1000 * PERIOD)
                if recorder.take(hit):
                    kind = "count"
                elif gone:
                    kind = "exited"
                elif seconds is not None and time.monotonic() >= started + seconds:
                    kind = "time"
        except KeyboardInterrupt:
            kind = "interrupted"
        finally:
            os.close(ends)
        ran, cpu = time.monotonic() - started, cpu_seconds(self._pid)
        if kind != "count":
            recorder.rest(hit)
        own = cpu - before if cpu is not None and before is not None else None
        return Ending(kind, "the program exited", ran, None if kind == "exited" else own)
