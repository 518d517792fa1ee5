"""The position of a range loop over a Swiss map: Iter of internal/runtime/maps/table.go."""

from __future__ import annotations

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.target import Record


def iteration(found: SwissMap, record: Record) -> tuple[int, int] | None:
    """layout.MapView.iteration."""
    header = found.header
    index = record.signed("dirIdx")
    if record["clearSeq"] > header["clearSeq"] or record["globalDepth"] > header["globalDepth"]:
        return None
    if index < 0:  # it was a small map when the iteration began
        done: int = record["entryIdx"]
        return (done, SLOTS) if index == -1 and done <= SLOTS else None
    total: int = max(header["dirLen"], 1)
    return (index, total) if index <= total and record["tab"] else None
