"""dlv-hmap dap and an editor that has started it."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support import dap, toolchains
from tests.support.dap import Editor
from tests.support.delves import Dlv
from tests.support.toolchains import ROOT, Row
from tests.support.windows import environment, of_session

ADAPTER = ROOT / "bin" / "dlv-hmap"
#: The line of the module's program that puts an entry into a map.
PUTS = 6
EDITS = {"adapterID": "go", "linesStartAt1": True, "columnsStartAt1": True, "pathFormat": "path"}
#: A program of the old Delve's has a newer Go than it knows.
ANY_GO = "--check-go-version=false"


class DapSession:
    """One adapter and the editor that has started it."""

    def __init__(self, dlv: Dlv, go: Row, program: Path, cwd: Path, flags: Sequence[str]) -> None:
        self.log, write = os.pipe()
        self.adapter = subprocess.Popen(
            [str(program), "dap", f"--log-dest={write}", ANY_GO, *flags],
            cwd=cwd,
            env=environment_of(dlv, go),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[write],
            start_new_session=True,
        )
        os.close(write)
        try:
            self.where = self.listening()
        except BaseException:  # Ctrl-C, too: no adapter stays behind
            os.killpg(self.adapter.pid, signal.SIGKILL)
            os.close(self.log)
            raise
        self.client = subprocess.Popen([str(dap.go_dap()), "connect", self.where], stdin=-1, stdout=-1, bufsize=0)
        self.editor = dap.over_go_dap(self.client)

    def listening(self) -> str:
        said = b""
        while (found := re.search(rb"DAP server listening at: (\S+)\n", said)) is None:
            assert select.select([self.log], [], [], 30)[0]
            data = os.read(self.log, 1 << 16)
            assert data, f"it has ended: {said!r}"
            said += data
        return found.group(1).decode()

    def end(self) -> str:
        """What it printed, when it has ended by itself and left no process behind."""
        assert self.client.stdin is not None and self.client.stdout is not None
        printed, _ = self.adapter.communicate(timeout=60)
        for stream in (self.client.stdin, self.client.stdout):
            with suppress(OSError):
                stream.close()
        self.client.wait(30)
        os.close(self.log)
        waits_until(lambda: not of_session(self.adapter.pid))
        return printed.decode()


def environment_of(dlv: Dlv, go: Row) -> dict[str, str]:
    """With the row's go command first, which dlv builds with."""
    go_command = toolchains.ensure(go)
    path = f"{go_command.parent}:{os.environ['PATH']}"
    own = environment(dlv.path, GOMAP_PYTHON=sys.executable, PATH=path)
    return {**toolchains._environment(go), **{k: own[k] for k in ("GOMAP_DLV", "GOMAP_TRUTH", "GOMAP_PYTHON", "PATH")}}


def waits_until(condition: Any) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@contextmanager
def session(
    dlv: Dlv,
    go: Row,
    cwd: Path,
    *flags: str,
    program: Path = ADAPTER,
) -> Iterator[tuple[DapSession, Editor]]:
    opened = DapSession(dlv, go, program, cwd, flags)
    try:
        yield opened, opened.editor
    finally:
        if opened.adapter.poll() is None:
            with suppress(OSError):
                os.killpg(opened.adapter.pid, signal.SIGKILL)
        opened.client.kill()


def hmap(editor: Editor, line: str, frame: int | None = None, context: str = "repl") -> Any:
    """The answer to a line at the editor's prompt, or why there is none."""
    given = {"expression": line, "context": context, **({} if frame is None else {"frameId": frame})}
    message = editor.reply("evaluate", **given)
    return message["body"]["result"] if message["success"] else message["body"]["error"]["format"]


def begin(editor: Editor, breakpoints: Mapping[str, Any] | None, request: str = "launch", **arguments: Any) -> None:
    """Up to configurationDone, as editors do it."""
    assert editor.get("initialize", **EDITS)["supportsCompletionsRequest"] is True
    editor.ask(request, **arguments)
    editor.wait("event", "initialized")
    if breakpoints is not None:
        made = editor.get("setBreakpoints", **breakpoints)["breakpoints"]
        assert [one["verified"] for one in made] == [True]
    editor.get("configurationDone")


def at_line(folder: Path, line: int = PUTS, **more: Any) -> dict[str, Any]:
    return {"source": {"path": str(folder / "main.go")}, "breakpoints": [{"line": line, **more}]}


def stopped(editor: Editor) -> tuple[int, list[dict[str, Any]]]:
    """The thread that the next stop is of, and its frames."""
    thread: int = editor.wait("event", "stopped")["threadId"]
    return thread, editor.get("stackTrace", threadId=thread, startFrame=0, levels=20)["stackFrames"]


def build_module(go: Row, folder: Path) -> None:
    command = [str(toolchains.ensure(go)), "build", "-gcflags=all=-N -l", "-o", "fills", "."]
    subprocess.run(command, cwd=folder, env=toolchains._environment(go), check=True, stdin=subprocess.DEVNULL)


@contextmanager
def running(spinning: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([str(spinning)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "running\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def goes_on(process: subprocess.Popen[str]) -> bool:
    """Whether it runs, and nothing traces it."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(re.search(r"^TracerPid:\t0$", status, re.M) and re.search(r"^State:\t[RS]", status, re.M))
