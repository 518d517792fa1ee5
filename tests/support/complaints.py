"""What a gdb prints and complains of."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from tests.support import debuggers
from tests.support.debuggers import LOAD, NO_SCRIPTS, Gdb, typed


def batch(
    gdb: Gdb, args: Sequence[str], commands: Sequence[str], env: dict[str, str] | None = None
) -> tuple[list[str], list[str], int]:
    """Lines of standard output and error that the commands gave, and gdb's exit status."""
    mark = "python import sys; gdb.write('=====\\n'); gdb.write('=====\\n', gdb.STDERR)"
    started = time.monotonic()
    words = [*NO_SCRIPTS, "-x", str(LOAD), *args, *typed(mark, *commands)]
    run = debuggers.run_gdb(gdb, words, env, timeout=120)
    assert time.monotonic() - started < 100, "gdb takes minutes"
    for text in (run.stdout, run.stderr):
        assert not re.search(r"Traceback|Python Exception|gdb\.error|please report", text), text[-3000:]
    out, err = (text.split("=====\n")[1].splitlines() for text in (run.stdout, run.stderr))
    return out, [line for line in err if not line.startswith("warning: ")], run.returncode
