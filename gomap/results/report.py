"""hmap-report."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address


@dataclass(frozen=True)
class PartRow:
    """A part of the page: the answer of a command."""

    command: Annotated[str, "the command"]
    error: Annotated[Optional[str], "why it has no answer; null where it has one"]


@dataclass(frozen=True)
class ReportResult:
    """What was written."""

    file: Annotated[str, "the file that was written"]
    size: Annotated[int, "its bytes"]
    maps: Annotated[int, "maps and sync.Maps in its table"]
    entries: Annotated[int, "their entries"]
    bytes: Annotated[int, "what they own, as in [hmap-top](#hmap-top)"]
    described: Annotated[list[Address], "the maps that have a part of their own, by their headers"]
    parts: Annotated[list[PartRow], "the commands whose answers the page has, without those about single maps"]
