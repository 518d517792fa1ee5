"""Answers commands typed at the prompt of one dlv."""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from delve_bridge.console import Console
from delve_bridge.interrupts import Interrupts
from delve_bridge.rpc import DEADLINE, Api, Client, ConnectionLost, address
from delve_bridge.session import Session
from delve_bridge.transport import Dlv, Through
from delve_bridge.worker import Options, Process, foreground, unquoted
from gomap import elf
from gomap.errors import GomapError
from gomap.frontend import fault
from gomap.human import one_line, visible_lines
from gomap.render.terminal import style
from gomap.wrap import for_terminal

#: Seconds in which signals of the terminal and of dlv are one press of Ctrl-C.
ONCE = 1.5


class DelvePrompt:
    """process: dlv's own."""

    def __init__(self, folder: Path, process: Process, options: Options) -> None:
        self._process = process
        self._options = options
        self._dlv = Dlv(folder, process.pid, self._alive, lambda: os.kill(os.getpid(), signal.SIGINT))
        self._interrupts = Interrupts(once=ONCE)
        self._console: Console | None = None

    def run(self) -> None:
        """Until dlv ends."""
        self._interrupts.catch()
        with suppress(ConnectionLost):
            while self._process.runs:
                if select.select([self._dlv.requests], [], [], 0.5)[0]:
                    self._answer(unquoted(os.read(self._dlv.requests, 1 << 20)).splitlines()[-1])

    def _alive(self) -> None:
        if not self._process.runs:
            raise ConnectionLost("dlv has ended")

    def _answer(self, request: str) -> None:
        frame, clients, line = request.split(" ", 2)
        if not self._dlv.begin():
            return  # it was given up before
        said = "interrupted"
        try:
            with self._interrupts.wanted(), foreground(os.getpgrp(), self._process.pid):
                said = self._run(int(frame), clients == "many", line)
        except KeyboardInterrupt:
            pass
        except GomapError as error:
            said = for_terminal(one_line(f"{line.split()[0]}: {error}"), 1)
        except Exception as error:
            said = for_terminal(one_line(f"{line.split()[0]}: {fault(error)}"), 1)
        self._dlv.end(said.rstrip("\n"))

    def _run(self, frame: int, many: bool, line: str) -> str:
        if self._console is None:
            self._console = Console(self._session(many), style(sys.stdout))
        console = self._console
        console.style = style(sys.stdout)  # the window may be of another size by now
        with suppress(GomapError):  # the command itself will tell
            console.session.select(frame)
        logged: list[str] = []
        console.session.say = logged.append
        outcome = console.execute(line)
        return visible_lines("".join(logged)) + outcome.output + for_terminal(outcome.error or "", 1)

    def _session(self, many: bool) -> Session:
        """Where the server has other clients, it gets one more: requests on their way together take less time."""
        api: Api
        if many and self._options.address is not None:
            timeout = self._options.timeout
            api = Client(address(self._options.address), DEADLINE if timeout is None else timeout)
        else:
            api = Through(self._dlv)
        self._interrupts.client = api
        program, core = files_of(self._process.pid)
        return Session(api, self._options.direct, core, program, alone=not many)


def files_of(pid: int) -> tuple[str | None, str | None]:
    """The program and the core file of a dlv, from its command line."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")[1:]
    words = words[: words.index("--")] if "--" in words else words
    files = [os.path.abspath(word) for word in words if os.path.isfile(word) and not {"exec", "core"}.isdisjoint(words)]
    core: Any = next((file for file in files if "core" in words and elf.why_no_core(file) is None), None)
    return next((file for file in files if file != core and elf.is_go(file)), None), core
