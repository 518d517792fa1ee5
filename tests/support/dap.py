"""Clients of the Debug Adapter Protocol, as editors are: one of our own, and one whose messages Google's go-dap writes
and reads, which knows the type of each and refuses what it does not know."""

from __future__ import annotations

import functools
import itertools
import json
import os
import select
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import delves, toolchains
from tests.support.toolchains import Missing

GO_DAP = "github.com/google/go-dap@v0.12.0"


@functools.cache
def go_dap() -> Path:
    """The client, built from the Go module proxy where it is not in the cache. Raises Missing."""
    row = delves.built_with(delves.NEW)
    source = (toolchains.TARGETS / "small" / "dap-client" / "main.go").read_text()

    def make(made: Path) -> None:
        folder = made.parent
        (folder / "main.go").write_text(source)
        (folder / "go.mod").write_text("module client\n\ngo 1.21\n")
        environment = toolchains.with_proxy(row)
        for words in (["get", GO_DAP], ["build", "-o", str(made), "."]):
            run = subprocess.run(
                [str(toolchains.ensure(row)), *words],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            if run.returncode != 0:
                raise Missing(f"{GO_DAP}: {(run.stderr.strip().splitlines() or ['no word'])[-1]}")

    return toolchains.made_once("dap-client", row.name, row, [source, GO_DAP], make)


class Editor:
    """put, get: send a message and take the next one, None where there is no more. heard: all that came."""

    def __init__(self, put: Callable[[bytes], None], get: Callable[[], bytes | None]) -> None:
        self._put = put
        self._get = get
        self._numbers = itertools.count(1)
        self._read = 0
        self.heard: list[Any] = []

    def ask(self, command: str, **arguments: Any) -> int:
        """Sends a request: its number."""
        number = next(self._numbers)
        request = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        self._put(json.dumps(request).encode())
        return number

    def message(self) -> Any:
        """The next one that has not been waited for."""
        if self._read == len(self.heard):
            body = self._get()
            assert body is not None, f"the adapter has closed the editor's connection, behind {self.heard[-3:]}"
            self.heard.append(json.loads(body))
        self._read += 1
        return self.heard[self._read - 1]

    def wait(self, kind: str, name: str) -> Any:
        """The next event or response of that name, and what was said of it."""
        while True:
            message = self.message()
            if message["type"] == "response":
                assert message["success"], message
            if message["type"] == kind and name in (message.get("event"), message.get("command")):
                return message.get("body")

    def reply(self, command: str, **arguments: Any) -> Any:
        """The response to a request, whatever it is; events before it can still be waited for."""
        number, first = self.ask(command, **arguments), self._read
        self._read = len(self.heard)
        while (message := self.message()).get("request_seq") != number or message["type"] != "response":
            pass
        self.heard.remove(message)
        self._read = first
        return message

    def get(self, command: str, **arguments: Any) -> Any:
        """What the response to a request has, which is not refused."""
        message = self.reply(command, **arguments)
        assert message["success"], message
        return message.get("body")

    def drain(self) -> None:
        """Hears all until the connection ends."""
        while (body := self._get()) is not None:
            self.heard.append(json.loads(body))


def own(reader: Any, writer: Any) -> Editor:
    """A client over binary streams from and to the adapter."""

    def put(body: bytes) -> None:
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.flush()

    def get() -> bytes | None:
        length = -1
        for line in iter(reader.readline, b"\r\n"):
            if not line:
                return None
            if line.startswith(b"Content-Length:"):
                length = int(line.split()[1])
        body: bytes = reader.read(length)
        return body

    return Editor(put, get)


def over_go_dap(client: subprocess.Popen[bytes]) -> Editor:
    """A client by a process of go_dap."""

    def put(body: bytes) -> None:
        assert client.stdin is not None
        client.stdin.write(body + b"\n")
        client.stdin.flush()

    buffer = bytearray()

    def get() -> bytes | None:
        assert client.stdout is not None
        while b"\n" not in buffer:
            assert select.select([client.stdout], [], [], 60)[0], "the adapter says nothing"
            data = os.read(client.stdout.fileno(), 1 << 16)
            if not data:
                return None
            buffer.extend(data)
        line, _, rest = bytes(buffer).partition(b"\n")
        buffer[:] = rest
        return line

    return Editor(put, get)
