"""A server that says what a test wants said: Delve's JSON-RPC line by line, or anything else."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Union

from delve_bridge.console import Console
from delve_bridge.rpc import Api, Client, Refused, ServerAddress
from delve_bridge.session import Session
from gomap.render.text import Style

#: What to do with one request: bytes are sent as they are, None is silence, anything else is the result;
#: HANG_UP closes the connection.
Answer = Callable[[Mapping[str, Any]], Any]
HANG_UP = object()
POLITE: dict[str, Any] = {
    "SetApiVersion": {},
    "GetVersion": {"APIVersion": 2, "DelveVersion": "fake"},
    "Recorded": {"Recorded": False, "TraceDirectory": ""},
    "State": {"State": {"Running": False, "exited": False, "currentThread": {"id": 1, "pc": 4096}}},
    "ListPackageVars": {"Variables": []},
    "ProcessPid": {"Pid": 0},
}
Request = Mapping[str, Any]
Script = Mapping[str, Union[Answer, Any]]


class Refusal(Exception):
    """Raised by an answer: the error of the response."""


class FakeServer:
    """script: by method (without RPCServer.), a result or a function that makes one. Extends POLITE."""

    def __init__(self, script: Script, greeting: bytes = b"") -> None:
        self.script = {**POLITE, **script}
        self.connections = 0
        self.requests: list[Mapping[str, Any]] = []
        self._greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.address = ServerAddress("127.0.0.1", self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            connection.sendall(self._greeting)
            for line in connection.makefile("rb"):
                request = {**json.loads(line), "connection": number}
                self.requests.append(request)
                reply = self._reply(request)
                if reply is HANG_UP:
                    return
                if reply is not None:
                    connection.sendall(reply)
        except (OSError, ValueError):
            return
        finally:
            connection.close()

    def _reply(self, request: Mapping[str, Any]) -> Any:
        answer = self.script.get(request["method"].partition(".")[2])
        try:
            result = answer(request) if callable(answer) else answer
        except Refusal as refusal:
            return response(request, None, str(refusal))
        if result is HANG_UP or isinstance(result, bytes):
            return result
        if result is None:
            return response(request, None, "unknown method") if answer is None else None
        return response(request, result)

    def close(self) -> None:
        # accept() is woken by the shutdown, and not by the close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()


class Relay(FakeServer):
    """A server that hands everything on to a real one.

    before: called with each request, in the order that they come, before it is handed on.
    """

    def __init__(self, real: Api, before: Callable[[Mapping[str, Any]], None]) -> None:
        self._real = real
        self._before = before
        #: Whoever has it keeps the answers back.
        self.held = threading.Lock()
        super().__init__({})

    def _reply(self, request: Mapping[str, Any]) -> bytes:
        with self.held:
            self._before(request)
            try:
                result = self._real.call(request["method"].partition(".")[2], **request["params"][0])
            except Refused as refused:
                return response(request, None, str(refused))
        return response(request, result)


def response(request: Mapping[str, Any], result: Any, error: str | None = None) -> bytes:
    return json.dumps({"id": request["id"], "result": result, "error": error}).encode() + b"\n"


@contextmanager
def relaying(real: Api, before: Callable[[Mapping[str, Any]], None]) -> Iterator[Relay]:
    relay = Relay(real, before)
    try:
        yield relay
    finally:
        relay.close()


@contextmanager
def serving(script: Script | None = None, greeting: bytes = b"") -> Iterator[FakeServer]:
    server = FakeServer(script or {}, greeting)
    try:
        yield server
    finally:
        server.close()


def console_of(server: FakeServer, deadline: float = 5) -> Console:
    """A user's session with it."""
    return Console(Session(Client(server.address, deadline)), Style())


def fails(console: Console, line: str, *words: str) -> None:
    """One line that has all these words."""
    outcome = console.execute(line)
    assert outcome.error is not None, outcome.output
    assert "\n" not in outcome.error
    assert "error in gomap" not in outcome.error, outcome.error
    for word in words:
        assert word in outcome.error, outcome.error
