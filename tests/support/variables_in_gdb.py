"""Runs inside gdb: writes the package variables and all their types to $GOMAP_FACTS, as gdb has them and as they are
read past it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["GOMAP_ROOT"])

from gdbext import files
from gdbext.program import arch
from gdbext.symbols import package_variables
from gdbext.types import Converter
from gomap.gotypes import GoType
from tests.support import type_graph

type_graph.MOST = 1 << 20
converter = Converter(arch())
of_gdb: dict[str, tuple[int, GoType]] = {}
for name, symbol in package_variables():
    address = symbol.value().address
    if address is not None and symbol.type is not None:
        of_gdb[name] = int(address), converter.convert(symbol.type)
read = files.read()
placed = files.placed(read) if read is not None else None
facts = None
if placed is not None:
    ours = {
        name: (one.address, one.type()) for name, one in placed.variables.items() if name in of_gdb or not one.is_plain
    }
    facts = [
        {
            "variables": {name: [address, t.name] for name, (address, t) in found.items()},
            "types": type_graph.graph({name: t for name, (_, t) in found.items()}.get, sorted(found)),
        }
        for found in (ours, of_gdb)
    ]
Path(os.environ["GOMAP_FACTS"]).write_text(json.dumps(facts))
