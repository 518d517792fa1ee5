"""Messages of the Debug Adapter Protocol, and their way over a socket."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

from delve_bridge.rpc import ConnectionLost

Message = dict[str, Any]
#: dlv's own number for an expression that can't be evaluated.
NOT_EVALUATED = 2009
#: A message is at most so long.
MAX_MESSAGE = 1 << 29


class Wire:
    """DAP messages over a socket. A message is a header with its length, and JSON."""

    def __init__(self, connected: Any) -> None:
        connected.settimeout(None)  # an editor may say nothing for hours
        self._socket = connected
        self._stream = connected.makefile("rb")
        self._lock = threading.Lock()

    def send(self, body: bytes) -> None:
        """Raises OSError."""
        with self._lock:
            self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def put(self, message: Message) -> None:
        """Sends a message of the Debug Adapter Protocol."""
        self.send(json.dumps(message).encode())

    def receive(self) -> bytes | None:
        """The next message. None at the end of the connection, and when a message can't be read."""
        with suppress(OSError, ValueError):
            length = -1
            for line in iter(lambda: self._stream.readline(1 << 12), b"\r\n"):
                name, colon, value = line.partition(b":")
                if not colon:
                    return None
                if name.strip().lower() == b"content-length":
                    length = int(value)
            body: bytes = self._stream.read(length) if 0 <= length <= MAX_MESSAGE else b""
            return body if len(body) == length else None
        return None

    def patience(self, seconds: float | None) -> None:
        """How long the other end may be silent before nothing more is received; None for as long as it wants."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Closes the connection, for both directions."""
        with suppress(OSError):
            self._socket.shutdown(2)
        self._socket.close()


def message_of(body: bytes) -> Message:
    """Empty if it is not valid; the receiver reports that."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def part(message: Message, name: str) -> Message:
    """The object that a message has under this name; an empty one where it has none."""
    part = message.get(name)
    return part if isinstance(part, dict) else {}


def arguments(request: Message) -> Message:
    """The arguments of a request."""
    return part(request, "arguments")


def event(name: str, **body: Any) -> Message:
    """An event message; `seq` is set when it is sent."""
    return {"seq": 0, "type": "event", "event": name, "body": body}


def output(text: str, category: str = "console") -> Message:
    """An event that prints text in the editor's debug console."""
    return event("output", category=category, output=text)


def started(pid: int) -> Message:
    """The event that tells the editor of the process it debugs."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            name = stream.read().decode("utf-8", "replace").replace("\0", " ").strip()
    except OSError:
        name = ""
    told = {"name": name, "systemProcessId": pid, "isLocalProcess": True, "startMethod": "launch"}
    return {"seq": 0, "type": "event", "event": "process", "body": told}


def answer(request: Message, body: Message | None = None, error: str | None = None) -> Message:
    """error: why there is none."""
    message = {"seq": 0, "type": "response", "request_seq": request.get("seq"), "command": request.get("command")}
    if error is not None:
        told = {"error": {"id": NOT_EVALUATED, "format": error, "showUser": False}}
        return {**message, "success": False, "message": error, "body": told}
    return {**message, "success": True, **({} if body is None else {"body": body})}


def replied(wire: Wire, number: Any) -> tuple[list[Message], Message]:
    """The response to a request, and the events before it. Raises ConnectionLost."""
    events: list[Message] = []
    while (body := wire.receive()) is not None:
        message = message_of(body)
        if message.get("type") == "response" and message.get("request_seq") == number:
            return events, message
        events.append(message)
    raise ConnectionLost("dlv has closed the connection, or does not answer")
