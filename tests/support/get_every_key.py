"""Sourced by gdb: `get-every-key` looks keys up in all maps that the program has just published, and
`get-every-key everywhere` in all of its process; `get-every-key paths` resolves the paths of maps (every_key.py), and
`get-every-key paste` types back what the commands print (every_path.py).

Prints one JSON object. `in FILE` behind it names the file of the stage's truth, where a core is asked.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import gdb

from gdbext.target import GdbTarget
from tests.support.all_maps import in_gdb
from tests.support.every_key import answer
from tests.support.every_path import every_path


class GetEveryKey(gdb.Command):
    def __init__(self) -> None:
        super().__init__("get-every-key", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        where, _, file = argument.partition(" in ")
        truth = json.loads(Path(file or os.environ["GOMAP_TRUTH"]).read_text().splitlines()[-1])
        if where.startswith("paste"):
            gdb.write(json.dumps(every_path(in_gdb, truth["notes"], where.endswith("hidden"))))
            return
        gdb.write(answer(GdbTarget(), truth, where, at_frame))


def at_frame(level: int) -> GdbTarget | None:
    frame: gdb.Frame | None = gdb.newest_frame()
    while frame is not None and frame.level() < level:
        frame = frame.older()
    if frame is None:
        return None
    frame.select()
    return GdbTarget()


GetEveryKey()
