"""A real dlv at a real terminal, with the hmap commands."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pexpect

from tests.support import toolchains
from tests.support.delves import Dlv
from tests.support.toolchains import ROOT

PROMPT = r"\(dlv\) "


class Terminal:
    """dlv-hmap, or a plain dlv, in a terminal. Every read has a deadline, and waits for words and not for time."""

    def __init__(
        self, dlv: Dlv, home: Path, *arguments: str, plain: bool = False, cwd: Path | None = None, **more: str
    ) -> None:
        self.base = Path(more.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or "/tmp")
        self.child: Any = pexpect.spawn(
            str(dlv.path) if plain else str(ROOT / "bin" / "dlv-hmap"),
            list(arguments),
            env={**environment(dlv, home), **more},
            cwd=None if cwd is None else str(cwd),
            encoding="utf-8",
            dimensions=(40, 120),
            timeout=60,
        )

    def ready(self) -> str:
        """What came before the next prompt, without colours."""
        self.child.expect(PROMPT)
        return re.sub(r"\x1b\[[\d;]*m", "", str(self.child.before))

    def ask(self, line: str) -> str:
        """The answer to one line, behind its echo."""
        self.child.send(line + "\r")
        self.child.expect("\n")
        return self.ready()

    def leave(self, answer: str = "") -> str:
        self.child.send("exit\r" + answer)
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus == 0
        return str(self.child.before)

    def kill(self) -> None:
        """Ends dlv and its program, which would run on without it."""
        for children in Path(f"/proc/{self.child.pid}/task").glob("*/children"):
            for pid in children.read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        self.child.close(force=True)

    @property
    def folder(self) -> Path:
        """Where the pipes to its worker are: dlv-hmap has become dlv."""
        (found,) = self.base.glob(f"gomap-dlv-{self.child.pid}-*")
        return found


def environment(dlv: Dlv, home: Path) -> dict[str, str]:
    return {
        **toolchains._environment(toolchains.SYSTEM),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "GOMAP_DLV": str(dlv.path),
        "GOMAP_PYTHON": sys.executable,
        "GOMAP_TRUTH": "/dev/null",
        "TERM": "xterm",
        "NO_COLOR": "1",
        "COLUMNS": "80",  # of another window
    }
