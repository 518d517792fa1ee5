"""Sourced by gdb: `get-published EXPR` gives hmap-get every key of a map that the program has just published, if
keys of that type can be typed: numbers and plain strings. Prints [[key, hmap-get's JSON or its error], ...].
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import gdb

#: Keys looked up in one map.
MOST = 12


class GetPublished(gdb.Command):
    def __init__(self) -> None:
        super().__init__("get-published", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        truth = json.loads(Path(os.environ["GOMAP_TRUTH"]).read_text().splitlines()[-1])["maps"][argument]
        answers = []
        for key, _ in (truth["entries"] or ())[:MOST]:
            literal = typed(key, truth["type"])
            if literal is not None:
                try:
                    answers.append([key, json.loads(gdb.execute(f"hmap-get {argument} {literal} --json", False, True))])
                except gdb.error as error:
                    answers.append([key, str(error)])
        gdb.write(json.dumps(answers))


def typed(key: object, map_type: str) -> str | None:
    if map_type.startswith(("map[int", "map[uint")) and isinstance(key, int):
        return str(key)
    if map_type.startswith("map[string]") and isinstance(key, str) and key.isascii() and key.isprintable():
        return json.dumps(key)
    return None


GetPublished()
