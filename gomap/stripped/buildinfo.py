"""The build information that every Go program has, stripped or not (debug/buildinfo, cmd/link's buildinfo)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gomap import elf
from gomap.golang.runtime.pclntab import varint

_MAGIC = b"\xff Go buildinf:"
_INLINE, _HEADER, _ALIGN = 2, 32, 16
MAX_TEXT = 1 << 20


@dataclass(frozen=True)
class BuildInfo:
    """version: as runtime.buildVersion has it. version_at, modules_at: address in the file and length of that text and
    of runtime.modinfo's. path: of the main package."""

    version: str
    version_at: tuple[int, int]
    modules_at: tuple[int, int]
    settings: dict[str, str]
    path: str | None = None

    @property
    def minor(self) -> int | None:
        """21 of go1.21.13; None of a version of another form, as a development tree has."""
        found = re.match(r"(?:devel )?go1\.(\d+)", self.version)
        return int(found.group(1)) if found is not None else None

    @property
    def experiments(self) -> list[str]:
        """GOEXPERIMENT's, as far as the program says."""
        said = re.search(r" X:(\S+)", self.version)
        text = said.group(1) if said is not None else self.settings.get("GOEXPERIMENT", "")
        return [one for one in text.split(",") if one]


def read(data: elf.Data) -> BuildInfo | None:
    """The build information of a program. data: the file's bytes. None where it has none that is understood. Raises
    BadElf."""
    loaded, at = elf.parse(data).loaded, -1
    while True:
        at = data.find(_MAGIC, at + 1)
        if at < 0:
            return None
        segment = next((one for one in loaded if one.offset <= at < one.offset + one.size), None)
        if segment is None or at % _ALIGN or not data[at + 15] & _INLINE:
            continue
        try:
            chunk, move = data[at : at + _HEADER + MAX_TEXT], segment.address - segment.offset
            length, start = varint(chunk, _HEADER)
            version = chunk[start : start + length].decode("utf-8", "replace")
            own, behind = varint(chunk, start + length)
            text = chunk[behind : behind + own][16:-16].decode("utf-8", "replace")
        except IndexError:
            continue
        settings = re.findall(r"^build\t([^=\n]+)=(.*)$", text, re.M)
        path = re.search(r"^path\t(.+)$", text, re.M)
        places = (at + start + move, length), (at + behind + move, own)
        return BuildInfo(version, *places, dict(settings), path[1] if path else None)
