"""The allocator's sizes against what runtime.roundupsize of real programs said (data/roundup.json)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from gomap.golang.runtime.malloc import CLASSES, Allocator, allocator
from tests.support.space import AMD64, ARCHES, I386, S390X, heap, load, target

ROWS = load("roundup.json")
IDS = [f"{row['go']}-{8 * row['pointer']}bit" for row in ROWS]


def interesting(row: dict[str, Any]) -> list[int]:
    """Sizes on both sides of every step, and some in large."""
    near = {size + d for steps in (row["scan"], row["noscan"]) for size, _ in steps for d in (-1, 0, 1)}
    near |= {rounded + d for steps in (row["scan"], row["noscan"]) for _, rounded in steps for d in (-8, -1, 0, 1)}
    return sorted(size for size in near if 1 <= size <= 3 << 15)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
@pytest.mark.parametrize("scan", [True, False], ids=["pointers", "none"])
def test_rounded_is_roundupsize(row: dict[str, Any], scan: bool) -> None:
    headers = row["go"] == "go1.27.3"
    arch = AMD64 if row["pointer"] == 8 else I386
    fake, _ = target(arch, headers)
    ours, theirs = allocator(fake), heap(row["pointer"], headers)
    wrong = [
        (size, ours.rounded(size, scan), theirs.rounded(size, scan))
        for size in interesting(row)
        if ours.rounded(size, scan) != theirs.rounded(size, scan)
    ]
    assert wrong == []
    taken = [size for size in interesting(row) if ours.allocated(size, scan) != theirs.taken(size, scan)]
    assert taken == []


def test_the_built_in_classes_are_those_of_go() -> None:
    """Objects of 1.21 have no headers: what roundupsize answers below 32 KiB are the classes themselves."""
    row = next(row for row in ROWS if row["go"] == "go1.21.13")
    assert list(CLASSES) == [0, *(rounded for _, rounded in row["noscan"] if rounded <= 32768)]


@pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
@pytest.mark.parametrize("symbol", ["runtime.class_to_size", "internal/runtime/gc.SizeClassToSize"])
def test_the_targets_own_classes_count(arch: Any, symbol: str) -> None:
    fake, space = target(arch, headers=False)
    own = [size + (16 if size == 4096 else 0) for size in CLASSES]
    order = "<" if arch.byte_order == "little" else ">"
    # What lies behind the table in memory is no part of it.
    fake.symbols[symbol] = space.put(struct.pack(f"{order}{len(own)}H", *own) + b"\x01\x00\xff\xff")
    assert allocator(fake).classes == tuple(own)
    assert allocator(fake).allocated(4000, False) == 4112


def test_a_table_that_is_none_is_not_believed() -> None:
    fake, space = target(S390X)
    fake.symbols["runtime.class_to_size"] = space.put(b"\x55" * 2 * len(CLASSES))
    assert allocator(fake).classes == CLASSES
    fake.symbols["runtime.class_to_size"] = 16  # unreadable
    assert allocator(fake).classes == CLASSES


def test_nothing_takes_nothing() -> None:
    assert Allocator().allocated(0, True) == 0
