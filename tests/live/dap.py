"""A client of the Debug Adapter Protocol, as an editor is."""

from __future__ import annotations

import itertools
import json
from typing import Any


class Editor:
    """reader, writer: binary streams from and to the adapter."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)

    def ask(self, command: str, **arguments: Any) -> None:
        request = {"seq": next(self._numbers), "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._writer.flush()

    def wait(self, kind: str, name: str) -> Any:
        """The next event or response of that name."""
        while True:
            length = 0
            for line in iter(self._reader.readline, b"\r\n"):
                assert line, "the adapter has closed the editor's connection"
                if line.startswith(b"Content-Length:"):
                    length = int(line.split()[1])
            message = json.loads(self._reader.read(length))
            if message["type"] == "response":
                assert message["success"], message
            if message["type"] == kind and name in (message.get("event"), message.get("command")):
                return message.get("body")
