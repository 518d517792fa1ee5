"""The tophash bytes of many buckets at a time: runtime/map.go (emptyRest, evacuated, tophash)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gomap.columns.choose import columns
from gomap.columns.marks import SLOTS
from gomap.golang.layouts.classic.shape import EVACUATED, MIN_TOPHASH
from gomap.target import Arch

MOVED = frozenset(EVACUATED)
_MOVED_MARKS = bytes(EVACUATED)
LIVE = bytes(range(MIN_TOPHASH, 256))


@dataclass
class MarkRows:
    """Of each bucket: whether it has moved (tophash[0] says so), its live slots, whether it ends in emptyRest.
    suspects: those whose marks need a closer look."""

    moved: bytes
    full: Sequence[int]
    ended: Sequence[bool]
    suspects: list[int]


def scan(data: bytes, size: int, old: bool) -> MarkRows:
    """What the tophash bytes of a run of buckets say, for each bucket.

    data: whole buckets. size: bytes of one. old: they are an old array's, in which evacuated buckets are normal.
    """
    if columns().plain:
        return _scan_one_by_one(data, size, old)
    np = columns().np
    marks = np.frombuffer(data, np.uint8).reshape(-1, size)[:, :SLOTS]
    zero = marks == 0
    strange = (marks > 1) & (marks < MIN_TOPHASH)
    suspects = (zero[:, :-1] & ~zero[:, 1:]).any(1)
    moved = strange[:, 0] if old else np.zeros(len(marks), bool)
    suspects |= strange.any(1) & ~(moved & strange.all(1))
    full = (marks >= MIN_TOPHASH).sum(1)
    return MarkRows(moved.tobytes(), full.tolist(), zero.any(1).tolist(), np.flatnonzero(suspects).tolist())


def _scan_one_by_one(data: bytes, size: int, old: bool) -> MarkRows:
    count = len(data) // size
    moved, full, ended, suspects = bytearray(count), [0] * count, [False] * count, []
    for i in range(count):
        marks = data[i * size : i * size + SLOTS]
        full[i] = SLOTS - len(marks.translate(None, LIVE))
        rest = marks.find(0)
        ended[i] = rest >= 0
        moved[i] = old and marks[0] in MOVED
        strange = len(marks) - len(marks.translate(None, _MOVED_MARKS))
        if (strange and not (moved[i] and strange == SLOTS)) or (rest >= 0 and marks[rest:].strip(b"\0")):
            suspects.append(i)
    return MarkRows(bytes(moved), full, ended, suspects)


def tophash(hash_: Any, arch: Arch) -> Any:
    """runtime.tophash of one hash, or of an array of them: the top byte, kept clear of the marks with a meaning."""
    shift = 8 * arch.pointer_size - 8
    if isinstance(hash_, int):
        top = hash_ >> shift
        return top + MIN_TOPHASH if top < MIN_TOPHASH else top
    top = hash_ >> shift
    return columns().where(top < MIN_TOPHASH, top + MIN_TOPHASH, top)
