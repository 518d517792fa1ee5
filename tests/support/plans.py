"""hypothesis strategies: plans of maps as a running program could have them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.space import ARCHES
from tests.support.synthetic import (
    CTRL_DELETED,
    CTRL_EMPTY,
    EMPTY_ONE,
    EMPTY_REST,
    EVACUATED_EMPTY,
    EVACUATED_X,
    EVACUATED_Y,
    MIN_TOPHASH,
    ClassicPlan,
    Marks,
    OldBucket,
    SwissPlan,
    TablePlan,
    types_for,
)
from tests.support.synthetic_classic import live_tophash

_tophash = st.one_of(st.just(EMPTY_ONE), st.integers(MIN_TOPHASH, 255), st.sampled_from([MIN_TOPHASH, 255]))
_ctrl = st.one_of(st.just(CTRL_EMPTY), st.integers(0, 0x7F), st.sampled_from([0, 0x7F]))


@st.composite
def types(draw: st.DrawFn) -> dict[str, Any]:
    """arguments of build_classic and build_swiss: key, elem, headers, gap; and the architecture."""
    arch = draw(st.sampled_from(ARCHES))
    kinds = types_for(arch)
    return {
        "arch": arch,
        "key": draw(st.sampled_from(kinds["keys"])),
        "elem": draw(st.sampled_from(kinds["elems"])),
        "headers": draw(st.booleans()),
        "gap": draw(st.sampled_from([0, 16, 4096])),
    }


@st.composite
def chain(draw: st.DrawFn) -> list[Marks]:
    """A bucket and its overflow buckets. Cells after the chain's last live one are emptyRest (mapdelete)."""
    buckets = draw(st.sampled_from([1, 1, 1, 2, 4]))
    marks = [draw(_tophash) for _ in range(8 * buckets - draw(st.integers(0, 8 * buckets)))]
    while marks and not live_tophash(marks[-1]):
        marks.pop()
    marks += [EMPTY_REST] * (8 * buckets - len(marks))
    return [marks[i : i + 8] for i in range(0, len(marks), 8)]


@st.composite
def old_bucket(draw: st.DrawFn) -> OldBucket:
    """evacuate() marks every cell of the chain, and clears the pointer to it unless an iterator needs it."""
    marks = draw(chain())
    if not draw(st.booleans()):
        return OldBucket(marks)
    where = st.sampled_from([EVACUATED_X, EVACUATED_Y])
    gone = [[draw(where) if live_tophash(m) else EVACUATED_EMPTY for m in bucket] for bucket in marks]
    return OldBucket(gone, moved=True, cut=draw(st.booleans()))


@st.composite
def classic(draw: st.DrawFn, max_B: int = 5) -> ClassicPlan:
    B = draw(st.integers(0, max_B))
    if B == 0 and draw(st.sampled_from([False, False, True])):
        return ClassicPlan(0, [])
    same_size = draw(st.booleans())
    old = None
    if draw(st.booleans()) and (same_size or B):
        count = 1 << (B if same_size else B - 1)
        old = [draw(old_bucket()) for _ in range(count)]
    return ClassicPlan(
        B,
        [draw(chain()) for _ in range(1 << B)],
        old,
        same_size,
        flags=draw(st.integers(0, 7)),
        nevacuate=next((i for i, o in enumerate(old) if not o.moved), len(old)) if old else 1 << B >> 1,
        noverflow=draw(st.integers(0, 0xFFFF)),
        hash0=draw(st.integers(0, 0xFFFFFFFF)),
    )


@st.composite
def group(draw: st.DrawFn, deleted: bool = True) -> Marks:
    mark = st.one_of(_ctrl, st.just(CTRL_DELETED)) if deleted else _ctrl
    return [draw(mark) for _ in range(8)]


@st.composite
def swiss(draw: st.DrawFn, max_depth: int = 3) -> SwissPlan:
    facts: dict[str, Any] = {
        "split": draw(st.booleans()),
        "tombstone_possible": draw(st.sampled_from([None, False, True])),
        "writing": draw(st.sampled_from([0, 0, 1])),
        "seed": draw(st.integers(0, 0xFFFFFFFF)),
        "clear_seq": draw(st.integers(0, 1 << 40)),
    }
    if draw(st.sampled_from([True, False, False])):
        return SwissPlan(small=draw(st.one_of(st.none(), group(deleted=False))), **facts)
    depth = draw(st.integers(0, max_depth))
    tables: list[TablePlan] = []
    directory: list[int] = []

    def split(local: int) -> None:
        """Extendible hashing: a table of local depth d is named by 2^(depth-d) entries next to each other."""
        if local < depth and draw(st.booleans()):
            split(local + 1)
            split(local + 1)
            return
        groups = 1 << draw(st.integers(0, 3))
        directory.extend([len(tables)] * (1 << (depth - local)))
        tables.append(TablePlan(local, [draw(group()) for _ in range(groups)]))

    split(0)
    return SwissPlan(tables=tables, directory=directory, **facts)
