"""How a classic map grows: a step at a time, at each write. runtime/map.go: hashGrow, growWork, evacuate."""

from __future__ import annotations

from gomap import human
from gomap.columns.marks import SLOTS
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.layout import Forecast, Growing
from gomap.golang.layouts.structure import Structure
from gomap.report import Facts, Heat, Progress, Section

#: Stretches of old buckets that have not moved, told one by one.
SHOWN_RUNS = 8


def forecast(found: ClassicMap) -> Forecast:
    """runtime.mapassign: overLoadFactor and tooManyOverflowBuckets, neither while growing."""
    left = max(found.limit() - found.count, 0)
    doubled = f"doubling to {human.power(2 << found.B)} buckets when entry {found.limit() + 1:,} is inserted"
    if found.header["oldbuckets"]:
        return Forecast(left, f"{doubled}, once the current growth completes")
    limit = found.overflow_limit()
    if found.header["noverflow"] >= limit and found.header["buckets"]:
        why = f"{found.header['noverflow']:,} overflow buckets, {limit:,} are too many"
        return Forecast(0, f"same-size growth when the next new key is inserted: {why}")
    if not found.header["buckets"]:
        return Forecast(SLOTS, "the first bucket is allocated by the first insert")
    return Forecast(left, doubled)


def growing(found: ClassicMap, structure: Structure) -> Growing:
    """How far a growth is, and what it still has to do: growWork, evacuate."""
    growth, next_ = structure.growth, forecast(found)
    new, old = human.power(structure.main.buckets), human.power(growth.old_buckets)
    if growth.state == "none":
        room = "" if next_.entries_left is None else f": {human.plural(next_.entries_left, 'more key')} fit"
        many = human.plural(structure.main.buckets, "bucket")
        return Growing([f"not growing{room} ({many}, classic map)"], [Facts([("next growth", next_.next)])])
    moved = f"{growth.evacuated:,} of {growth.old_buckets:,} evacuated ({human.percent(growth.fraction)})"
    sizes = f"{old} -> {new} buckets" if growth.state == "doubling" else f"{new} buckets into {new} fresh ones"
    left = growth.old_buckets - growth.evacuated
    rows = [
        ("old array", _old_array(structure)),
        ("remaining", _remaining(structure)),
        ("nevacuate", f"{growth.nevacuate:,}: all lower old buckets are evacuated"),
        ("completes", _finish(left)),
        ("next growth", next_.next),
    ]
    sections: list[Section] = [Progress(growth.fraction), Facts(rows)]
    if structure.moved is not None and structure.moved.buckets > 1:
        full = [live / structure.moved.per_cell for live in structure.moved.live]
        per = structure.moved.per_cell
        cell = "one old bucket" if per == 1 else f"{per:,} old buckets"
        sections.append(Heat("evacuated", full, cell, ("none", "all")))
    return Growing([f"{growth.state}, {sizes}, {moved}"], sections)


def _old_array(structure: Structure) -> str:
    held = f"{human.size(structure.bytes.old)} with its overflow buckets"
    return f"{structure.old_address or 0:#x}, {held}, freed once the last old bucket is evacuated"


def _remaining(structure: Structure) -> str:
    runs = structure.unevacuated
    if not runs:
        return "none"
    shown = [str(first) if count == 1 else f"{first}-{first + count - 1}" for first, count in runs[:SHOWN_RUNS]]
    rest = len(runs) - len(shown)
    more = f", and {human.plural(rest, 'more range', 'more ranges')}" if rest else ""
    return f"old bucket{'s' if len(runs) > 1 or runs[0][1] > 1 else ''} {', '.join(shown)}{more}"


def _finish(left: int) -> str:
    if not left:
        return "with the next write or delete"
    fewest, most = -(-left // 2), left
    moves = "each evacuates one or two old buckets; reads evacuate none"
    return f"after {fewest:,} to {most:,} more writes or deletes: {moves}"
