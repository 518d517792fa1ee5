"""internal/runtime/maps.Map laid out in synthetic memory from a plan (synthetic.py), by Go 1.24 to 1.27."""

from __future__ import annotations

import random
from typing import Any

from gomap.gotypes import GoType
from gomap.recorded import ImageTarget
from tests.support.space import Space, heap
from tests.support.synthetic import (
    CTRL_DELETED,
    CTRL_EMPTY,
    Built,
    MapBuilder,
    Marks,
    SwissPlan,
    cells,
    fills,
    group_type,
    own_bytes,
    stored,
    swiss_type,
)


def live_ctrl(mark: int) -> bool:
    return mark < 0x80


def build_swiss(
    target: ImageTarget, plan: SwissPlan, key: GoType, elem: GoType, headers: bool = True, gap: int = 0
) -> Built:
    """Lays the map out and says what is true of it."""
    space: Space = target.memory
    word = space.arch.pointer_size
    t = swiss_type(key, elem, word, plan.split, plan.tombstone_possible is not None)
    b = MapBuilder(space, heap(word, headers), key, elem, gap, random.Random(len(plan.tables)))
    group = group_type(key, elem, word, plan.split)
    header = b.alloc(t.header.size, True)
    directory: int
    groups: list[Marks] = []
    tables: list[dict[str, int]] = []
    order: list[int] = []
    places: dict[str, int] = {}
    if plan.tables:
        directory = b.alloc(len(plan.directory) * word, True)
        places["directory"] = directory
        order = list(dict.fromkeys(plan.directory))
        addresses = {index: b.alloc(t.header.fields[2].type.elem.elem.size, True) for index in reversed(order)}
        for index in order:
            table = _table(b, t, plan, index, addresses[index], group, len(groups))
            tables.append(table)
            places[f"table {index}"] = addresses[index]
            groups += plan.tables[index].groups
        space.write(directory, b"".join(space.word(addresses[index]) for index in plan.directory))
    elif plan.small is not None:
        directory = _groups(b, [plan.small], group, plan.split, 0)
        groups = [plan.small]
    else:
        directory = 0
    depth = max(len(plan.directory), 1).bit_length() - 1
    values = {
        "used": len(b.entries),
        "seed": plan.seed,
        "dirPtr": directory,
        "dirLen": len(plan.directory),
        "globalDepth": depth,
        "globalShift": 8 * word - depth if plan.directory else 0,
        "writing": plan.writing,
        "clearSeq": plan.clear_seq,
    }
    if plan.tombstone_possible is not None:
        values["tombstonePossible"] = int(plan.tombstone_possible)
    space.write(header, space.record(t.header, **values))

    marks = [mark for g in groups for mark in g]
    show: dict[str, Any] = {
        "type": t.name,
        "address": hex(header),
        "nil": False,
        "layout": "swiss",
        "group": "split" if plan.split else "interleaved",
        "count": len(b.entries),
        "live": len(b.entries),
        "load": len(b.entries) / len(marks) if marks else 0.0,
        "buckets": {
            "count": len(groups),
            "address": hex(directory) if directory else None,
            "fill": fills(groups, live_ctrl),
            "overflow": 0,
            "old_overflow": 0,
            "longest_chain": 0,
            "old_count": 0,
            "old_address": None,
            "old_fill": None,
        },
        "slots": {
            "total": len(marks),
            "live": sum(map(live_ctrl, marks)),
            "empty": marks.count(CTRL_EMPTY),
            "tombstones": marks.count(CTRL_DELETED),
            "evacuated": 0,
        },
        "bytes": own_bytes(b, 0, 0, _rebuilt(b, t, group)),
        "flags": ["writing"] if plan.writing else [],
        "growth": {"state": "none", "old_buckets": 0, "evacuated": 0, "fraction": 0.0, "nevacuate": 0},
        "classic": None,
        "swiss": {
            "used": len(b.entries),
            "seed": plan.seed,
            "dir_len": len(plan.directory),
            "global_depth": depth,
            "tables": len(order),
            "small": not plan.tables,
            "writing": bool(plan.writing),
            "tombstone_possible": plan.tombstone_possible,
            "clear_seq": plan.clear_seq,
        },
        "iterators": None,
    }
    strip = cells([sum(map(live_ctrl, g)) for g in groups])
    return Built(t, header, show, b.entries, strip, tables=tables, places=places)


def _table(
    b: MapBuilder, t: GoType, plan: SwissPlan, index: int, address: int, group: GoType, first: int
) -> dict[str, int]:
    table = plan.tables[index]
    groups = _groups(b, table.groups, group, plan.split, first)
    marks = [mark for g in table.groups for mark in g]
    used, tombstones = sum(map(live_ctrl, marks)), marks.count(CTRL_DELETED)
    capacity = len(marks)
    most = capacity - 1 if capacity <= 8 else capacity * 7 // 8  # table.maxGrowthLeft
    facts = {
        "index": plan.directory.index(index),
        "local_depth": table.local_depth,
        "directory_entries": plan.directory.count(index),
        "capacity": capacity,
        "used": used,
        "growth_left": max(most - used - tombstones, 0),
        "tombstones": tombstones,
        "groups": len(table.groups),
    }
    record = t.header.fields[2].type.elem.elem
    raw = bytearray(
        b.space.record(
            record,
            used=used,
            capacity=capacity,
            growthLeft=facts["growth_left"],
            localDepth=table.local_depth,
            index=facts["index"],
        )
    )
    reference = record.field("groups")
    assert reference is not None
    fields = {"data": groups, "lengthMask": len(table.groups) - 1}
    raw[reference.offset : reference.offset + reference.type.size] = b.space.record(reference.type, **fields)
    b.space.write(address, bytes(raw))
    return facts


def _groups(b: MapBuilder, groups: list[Marks], t: GoType, split: bool, first: int) -> int:
    start = b.alloc(len(groups) * t.size, b.scan)
    k, v = stored(b.key, b.word).size, stored(b.elem, b.word).size
    for index, marks in enumerate(groups):
        address = start + index * t.size
        data = b.junk(t.size)
        # The control word is one integer, slot i's byte its i-th least significant (group.go, ctrlGroup).
        data[:8] = b.space.uint(sum(mark << 8 * slot for slot, mark in enumerate(marks)), 8)
        for slot, mark in enumerate(marks):
            if live_ctrl(mark):
                if split:
                    key_at, elem_at = 8 + slot * k, t.fields[2].offset + slot * v
                else:
                    a_slot = t.fields[1].type.elem
                    key_at = 8 + slot * a_slot.size
                    elem_at = key_at + a_slot.fields[1].offset
                b.entry(data, address, (False, first + index, 0, slot), key_at, elem_at)
        b.space.write(address, bytes(data))
    return start


def _rebuilt(b: MapBuilder, t: GoType, group: GoType) -> int:
    """The bytes that NewMap takes for so many entries; the first write allocates a small map's group."""
    hint = len(b.entries)
    taken = b.heap.taken(t.header.size, True)
    if not hint:
        return taken
    if hint <= 8:
        return taken + b.heap.taken(group.size, b.scan)
    wanted = hint * 8 // 7
    tables = 1
    while tables < -(-wanted // 1024):
        tables *= 2
    capacity = 8
    while capacity < wanted // tables:
        capacity *= 2
    table = t.header.fields[2].type.elem.elem
    each = b.heap.taken(table.size, True) + b.heap.taken(capacity // 8 * group.size, b.scan)
    return taken + b.heap.taken(tables * b.word, True) + tables * each
