"""Runs inside gdb: writes the graph of the types named in $GOMAP_NAMES to $GOMAP_FACTS, both JSON files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import gdb

sys.path.insert(0, os.environ["GOMAP_ROOT"])

from gdbext.types import Converter
from gomap.gotypes import GoType
from gomap.target import Arch
from tests.support.type_graph import graph

converter = Converter(Arch("", gdb.lookup_type("uintptr").sizeof, "little"))


def find(name: str) -> GoType | None:
    try:
        return converter.convert(gdb.lookup_type(name))
    except gdb.error:
        return None


names = json.loads(Path(os.environ["GOMAP_NAMES"]).read_text())
Path(os.environ["GOMAP_FACTS"]).write_text(json.dumps(graph(find, names)))
