"""The position of a range loop over a classic map: runtime.hiter of runtime/map.go."""

from __future__ import annotations

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.target import Record


def iteration(found: ClassicMap, record: Record) -> tuple[int, int] | None:
    """layout.MapView.iteration."""
    B = record["B"]
    if B > found.B or record["offset"] >= SLOTS or not 0 < record["i"] <= SLOTS:
        return None
    if not record["buckets"] or not record["bptr"]:
        return None
    start, bucket, total = record["startBucket"], record["bucket"], 1 << B
    if start >= total or bucket >= total or record["wrapped"] > 1:
        return None
    # bucket is the next one.
    done = (bucket - start) % total
    if record["wrapped"] and bucket == start:
        done = total
    return max(done - (record["i"] < SLOTS), 0), total
