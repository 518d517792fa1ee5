"""gdb as a user starts it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from tests.support import debuggers
from tests.support.debuggers import Gdb

NO_SCRIPTS = ("-iex", "set auto-load python-scripts off", "-iex", "set startup-with-shell off")


def batch(gdb: Gdb, *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Standard output of a gdb that must have nothing to complain about."""
    run = debuggers.run_gdb(gdb, args, {"GOMAP_TRUTH": os.devnull, **(env or {})}, timeout=120, cwd=cwd)
    noise = ("warning: ", "[")
    complaints = [line for line in run.stderr.splitlines() if line and not line.startswith(noise)]
    assert not [line for line in complaints if re.search("Traceback|Error|hmap", line)], run.stderr
    return run.stdout


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
