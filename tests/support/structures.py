"""The table of the runtime's structures, beside a program's debug information."""

from __future__ import annotations

from pathlib import Path

from gomap.dwarf.info import DebugInfo
from gomap.stripped import layouts
from tests.support.toolchains import Row
from tools.layouts import read_row


def same_structures(toolchain: Row, arch: str, binary: Path) -> None:
    version = str(toolchain.version).split(".")[1]
    wanted = read_row(str(binary), int(version), arch, toolchain.experiment)
    row, notes = layouts.row_of(int(version), arch, [toolchain.experiment] if toolchain.experiment else [])
    assert row is not None and not notes
    assert len(wanted.types) >= 16
    assert {name: row.types.get(name) for name in wanted.types} == wanted.types
    assert (row.reasons, {name: row.constants[name] for name in wanted.constants}) == (wanted.reasons, wanted.constants)
    info = DebugInfo(str(binary))
    made = layouts.Layouts(row, info.arch.pointer_size)
    for name in wanted.types:
        own, other = made.find(name), info.type_named(name)
        assert own is not None and other is not None and own.size == other.size
        places = [(f.name, f.offset, f.type.size) for f in other.fields if f.type.size]
        assert [(f.name, f.offset, f.type.size) for f in own.fields] == places
