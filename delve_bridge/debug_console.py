"""Answers commands typed in an editor's debug console."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Callable, NoReturn

from delve_bridge.console import Console
from delve_bridge.rpc import Client, ConnectionLost, ServerAddress
from delve_bridge.session import Session
from delve_bridge.wire import Message, answer, arguments, event, output
from delve_bridge.worker import CONFIG
from gomap import completion, frontend
from gomap.commands import registry
from gomap.declare import Settings
from gomap.errors import GomapError, NoProcess
from gomap.gotypes import can_reach_map
from gomap.human import one_line
from gomap.render.text import Style
from gomap.target import Target


class Commands:
    """Answers the command lines of an editor's session, one after another, in a thread of its own.

    server: where the program's server listens; None without one, for the reason `why`. files: the program and the core
    file. frames: goroutine and level of each frame, by the editor's number. timeout: seconds for an answer of the
    server.
    """

    def __init__(self, send: Callable[[Message], None], direct: bool, timeout: float) -> None:
        self.server: ServerAddress | None = None
        self.why = "no program has been started yet"
        self.files: tuple[str | None, str | None] = (None, None)
        self.frames: dict[int, tuple[int, int]] = {}
        self._send = send
        self._direct = direct
        self.timeout = timeout
        self._client: Client | None = None
        self._console: Console | None = None
        self._work: queue.SimpleQueue[Message | Callable[[list[str], bool], None]] = queue.SimpleQueue()
        self._busy = self._running = False
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, request: Message) -> None:
        """A request that is_ours."""
        self._work.put(request)

    def stopped(self, tell: Callable[[list[str], bool], None]) -> None:
        """The program has stopped. tell: gets the lines about the hmap-breaks that it has stopped at, and whether it is
        to go on; at once and without lines if no hmap-break is set, or while a command runs."""
        if self._busy or self._console is None or not self._console.session.breaks:
            tell([], False)
        else:
            self._work.put(tell)

    def _lines(self) -> tuple[list[str], bool]:
        assert self._console is not None, "it has set one"
        session = self._console.session
        try:
            state = session.stopped()
            return session.breaker.lines(state), session.breaker.only_logs(state)
        except (Exception, KeyboardInterrupt) as error:  # the editor must hear of the stop, whatever it is
            problem = error if isinstance(error, GomapError) else frontend.fault(error)
            return [one_line(f"hmap-break: this stop can't be read: {problem}")], False

    def _runs(self) -> None:
        """A command lets the program run: dlv does not tell the editor what other clients do."""
        assert self._console is not None, "it carries the command out"
        thread, self._running = self._console.session.goroutine, True
        self._send(event("continued", threadId=1 if thread is None else thread, allThreadsContinued=True))

    def _stands(self, state: Mapping[str, Any], kind: str) -> None:
        self._running = False
        if self._client is not None:
            self._client.cancelled = False
        self.frames.clear()
        if state.get("exited"):
            self._send(event("exited", exitCode=state.get("exitStatus", 0)))
            self._send(event("terminated"))
            return
        goroutine = (state.get("currentGoroutine") or {}).get("id") or 1
        reason = "breakpoint" if kind == "breakpoint" else "pause"
        self._send(event("stopped", reason=reason, threadId=goroutine, allThreadsStopped=True))

    def pause(self) -> bool:
        """Whether a command lets the program run, and ends that now."""
        if self._running and self._client is not None:
            self._client.cancelled = True
        return self._running

    def interrupt(self) -> None:
        """Gives up the current command."""
        if self._client is not None and self._client.busy:
            self._client.cancelled = True

    def _run(self) -> None:
        while True:
            request = self._work.get()
            self._busy = True
            if not isinstance(request, dict):
                request(*self._lines())
                self._busy = False
                continue
            given = arguments(request)
            try:
                if request["command"] == "completions":
                    reply = answer(request, {"targets": self._complete(given)})
                else:
                    text = self._execute(" ".join(given["expression"].split("\n")).strip(), given.get("frameId"))
                    reply = answer(request, {"result": text, "variablesReference": 0})
            except GomapError as error:
                reply = answer(request, error=one_line(str(error)))
            except KeyboardInterrupt:
                reply = answer(request, error="interrupted")
            except Exception as error:
                reply = answer(request, error=one_line(str(frontend.fault(error))))
            self._busy = False  # before the editor can let the program run
            with suppress(OSError):
                self._send(reply)

    def _execute(self, line: str, frame: Any) -> str:
        """The answer to a line. Raises GomapError with the complete message."""
        name, _, rest = line.partition(" ")
        command = registry.find(rest.strip() if name == "help" else name)
        if command is not None and name == "help":
            return command.help()
        try:
            outcome = self._at(frame).execute(line)
        except GomapError as error:
            if command is None:
                raise
            problem = error

            def target() -> NoReturn:
                raise problem

            outcome = frontend.run(name, rest, target, Settings(), Style())
        if outcome.error is not None and not outcome.output:
            raise GomapError(outcome.error)
        if outcome.error is not None:
            self._send(output(f"{outcome.error}\n", "stderr"))
        return outcome.output.rstrip("\n")

    def _at(self, frame: Any) -> Console:
        """The console, with the editor's frame selected. Raises GomapError."""
        if self.server is None:
            raise NoProcess(self.why)
        if self._console is None:
            try:
                self._client = Client(self.server, self.timeout)
            except ConnectionLost as error:
                raise ConnectionLost(f"{error} (start the server with --accept-multiclient)") from error
            program, core = self.files
            session = Session(self._client, self._direct, core, program)
            session.edited = True
            session.say = lambda text: self._send(output(text))
            session.runs, session.stands = self._runs, self._stands
            self._console = Console(session, Style(), shows_progress=False)
        with suppress(GomapError):  # the command itself will tell
            goroutine, level = self.frames.get(frame, (0, 0))
            self._console.session.select(level, goroutine if goroutine > 0 else None)
        return self._console

    def _complete(self, given: Message) -> list[Message]:
        """Names of commands, of their options, and of variables that lead to maps."""
        column = given.get("column")
        text = given["text"][: column - 1] if isinstance(column, int) and column > 0 else given["text"]
        words = text.split()
        typed = "" if not words or text[-1].isspace() else words.pop()
        command = registry.find(words[0]) if words else None
        names: list[str] = []
        if not words:
            names = [f"{name} " for name in (*(command.name for command in registry.COMMANDS), CONFIG)]
        elif command is not None:
            found = completion.of_options(command, words[1:], typed)
            if found is None:
                with suppress(GomapError):
                    target = self._at(given.get("frameId")).session.target()
                    found = completion.of_names(target, command, words[1:], typed, lambda: _variables(target, typed))
            names = found or []
        place = {"start": len(text) - len(typed) + 1, "length": len(typed)}
        return [{"label": n.strip(), "text": n, **place} for n in dict.fromkeys(names) if n.startswith(typed)]


def _variables(target: Target, typed: str) -> Iterator[str]:
    yield from (variable.name for variable in target.frame_variables(can_reach_map))
    if typed:
        yield from (variable.name for variable in target.package_variables(can_reach_map))


def is_ours(request: Message) -> bool:
    """Whether it is a command line of gomap's at the editor's prompt, or the beginning of one."""
    given = arguments(request)
    evaluates = request.get("command") == "evaluate" and given.get("context") == "repl"
    line = given.get("expression" if evaluates else "text")
    if not (evaluates or request.get("command") == "completions") or not isinstance(line, str):
        return False
    words = line.split()
    if not evaluates and len(words) <= 1 and "hmap-".startswith("".join(words)):
        return True
    if words[:1] == ["help"] and evaluates:
        words = words[1:]
    return bool(words) and words[0].startswith("hmap-")
