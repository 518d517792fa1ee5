"""gdb as a user starts it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pexpect

from tests.support import debuggers
from tests.support.debuggers import LOAD, NO_SCRIPTS, Gdb, typed


def batch(gdb: Gdb, *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Standard output of a gdb that must have nothing to complain about."""
    run = debuggers.run_gdb(gdb, args, {"GOMAP_TRUTH": os.devnull, **(env or {})}, timeout=120, cwd=cwd)
    noise = ("warning: ", "[")
    complaints = [line for line in run.stderr.splitlines() if line and not line.startswith(noise)]
    assert not [line for line in complaints if re.search("Traceback|Error|hmap", line)], run.stderr
    return run.stdout


def ran(gdb: Gdb, program: Path, *lines: str, env: Mapping[str, str] | None = None) -> str:
    """What gdb with the hmap commands prints for the lines."""
    return batch(gdb, *NO_SCRIPTS, "-x", str(LOAD), *typed(*lines), str(program), env=env)


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def at_a_terminal(gdb: Gdb, binary: Path, env: Mapping[str, str], width: int = 120, timeout: float = 60) -> Any:
    """gdb at a terminal, with the hmap commands: pexpect's child, before its first prompt."""
    settings = ["-iex", "set pagination off", "-iex", "set confirm off", "-x", str(LOAD)]
    args = ["-nx", "-q", *NO_SCRIPTS, *settings, str(binary)]
    return pexpect.spawn(str(gdb.path), args, env=dict(env), dimensions=(60, width), encoding="utf-8", timeout=timeout)
