"""How a Swiss map grows: a table at a time, all at once. internal/runtime/maps: Map.PutSlot, table.rehash, split."""

from __future__ import annotations

from gomap import human
from gomap.columns.marks import SLOTS
from gomap.golang.layouts.layout import Forecast, Growing
from gomap.golang.layouts.structure import Structure, SwissTable
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.layouts.swiss.shape import MAX_TABLE_CAPACITY
from gomap.report import Facts, Heat, Section, Table

#: Tables listed one by one in text; JSON has them all.
SHOWN_TABLES = 16


def forecast(found: SwissMap, structure: Structure) -> Forecast:
    """maps.Map.PutSlot, putSlotSmall, growToTable; table.rehash, split, Map.installTableSplit."""
    if found.small:
        if not found.header["dirPtr"]:
            return Forecast(SLOTS, "the first group is allocated by the first insert")
        left = max(SLOTS - found.count, 0)
        when = f"when entry {SLOTS + 1} is inserted"
        if not left:  # mapassign of Go 1.24 to 1.26 looks for the key only where another one would fit
            when += ", and before Go 1.27 with any assignment"
        return Forecast(left, f"one group becomes a table of {2 * SLOTS} slots {when}")
    if not structure.tables:
        return Forecast(None, "no table can be read")
    first = min(structure.tables, key=lambda table: table.growth_left)
    if first.capacity < MAX_TABLE_CAPACITY:
        what = f"table {first.index} doubles to {2 * first.capacity:,} slots"
    elif first.local_depth >= found.header["globalDepth"]:
        entries = 2 * found.header["dirLen"]
        what = f"table {first.index} splits in two and the directory doubles to {entries:,} entries"
    else:
        what = f"table {first.index} splits in two"
    left = first.growth_left
    when = f"with the table's {human.ordinal(left + 1) if left > 0 else 'next'} new key from now on"
    if first.tombstones:
        when += f" (its {first.tombstones:,} tombstones may be reused first)"
    return Forecast(first.growth_left, f"{what} {when}")


def growing(found: SwissMap, structure: Structure) -> Growing:
    """Which table grows next: each is replaced all at once."""
    next_, tables = forecast(found, structure), structure.tables
    left = "?" if next_.entries_left is None else f"{human.plural(next_.entries_left, 'more key')} fit"
    if found.small:
        answer = [f"small Swiss map, {left}", "a Swiss table grows in one step, so there is no partial growth to show"]
        return Growing(answer, [Facts([("next growth", next_.next)])], tables)
    answer = [
        f"{'at least ' if len(tables) > 1 else ''}{left} before a table grows "
        f"({human.plural(len(tables), 'table')}, Swiss map)",
        "a Swiss table grows in one step, so there is no partial growth to show",
    ]
    depths = sorted({table.local_depth for table in tables})
    shared = sum(table.directory_entries > 1 for table in tables)
    directory = f"{human.plural(found.header['dirLen'], 'entry')}, global depth {found.header['globalDepth']}"
    if shared:
        directory += f", {human.plural(shared, 'table')} {'has' if shared == 1 else 'have'} more than one of them"
    rows = [
        ("next growth", next_.next),
        ("directory", directory),
        ("depths", f"local {', '.join(map(str, depths))}"),
        ("tombstones", f"{structure.total.tombstones:,}"),
    ]
    sections: list[Section] = [Facts(rows)]
    if len(tables) > 1:
        fills = [table.used / table.capacity if table.capacity else 0.0 for table in tables]
        per = max(-(-len(fills) // 64), 1)
        cells = [sum(fills[i : i + per]) / len(fills[i : i + per]) for i in range(0, len(fills), per)]
        cell = "one table, in directory order" if per == 1 else f"{per:,} tables"
        sections.append(Heat("fill", cells, cell))
    return Growing(answer, [*sections, _tables(tables)], tables)


def _tables(tables: list[SwissTable]) -> Section:
    nearest = sorted(tables, key=lambda table: table.growth_left)[:SHOWN_TABLES]
    rows = [
        (
            f"{table.index:,}",
            str(table.local_depth),
            human.ranges(range(table.index, table.index + table.directory_entries)),
            f"{table.capacity:,}",
            f"{table.used:,}",
            f"{table.growth_left:,}",
            f"{table.tombstones:,}",
        )
        for table in nearest
    ]
    if len(tables) > len(nearest):
        rows.append(("...", "", "", "", "", "", f"{len(tables) - len(nearest):,} more"))
    headings = ("table", "local depth", "directory entries", "slots", "used", "growth left", "tombstones")
    return Table(headings, rows, frozenset(range(7)))
