"""hmap-evac: how far a map's growth is, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap import human
from gomap.analysis.growth import Forecast, forecast
from gomap.commands.declare import Context
from gomap.commands.facts import count_anomalies, growth_json
from gomap.golang.classic import ClassicMap
from gomap.golang.malloc import allocator
from gomap.golang.structure import Growth, Structure, SwissTable
from gomap.golang.swiss import SwissMap
from gomap.maps import shape_of, view
from gomap.report import Facts, Heat, Progress, Report, Section, Table

#: Tables listed one by one in text; JSON has them all.
SHOWN_TABLES = 16
SHOWN_RUNS = 8


def run(context: Context, options: Mapping[str, Any]) -> Report:
    target, expr = context.target, options["EXPR"]
    _, t, address = context.resolve_map(expr)
    shape = shape_of(t, target.arch)
    if not address:
        next_ = Forecast(None, "a nil map never grows: writing to it panics")
        report = Report(_json(expr, t.name, None, shape.layout, Growth(), next_, None))
        report.answer = [f"{expr} is a nil {t.name}: {next_.next}"]
    else:
        found = view(target, t, address)
        structure = found.structure(allocator(target))
        next_ = forecast(found, structure)
        tables = structure.tables if isinstance(found, SwissMap) else None
        data = _json(expr, t.name, hex(address), shape.layout, structure.growth, next_, tables)
        report = Report(data, anomalies=count_anomalies(found, structure))
        if isinstance(found, ClassicMap):
            _classic(report, found, structure, next_)
        else:
            _swiss(report, found, structure, next_)
    return report


def _json(
    expr: str,
    type_name: str,
    address: str | None,
    layout: str,
    growth: Growth,
    next_: Forecast,
    tables: list[SwissTable] | None,
) -> dict[str, Any]:
    return {
        "expr": expr,
        "type": type_name,
        "address": address,
        "layout": layout,
        "growth": growth_json(growth),
        "forecast": {"entries_left": next_.entries_left, "next": next_.next},
        "tables": None
        if tables is None
        else [
            {
                "index": table.index,
                "local_depth": table.local_depth,
                "directory_entries": table.directory_entries,
                "capacity": table.capacity,
                "used": table.used,
                "growth_left": table.growth_left,
                "tombstones": table.tombstones,
                "groups": table.groups,
            }
            for table in tables
        ],
    }


# -- classic -----------------------------------------------------------------------------------------


def _classic(report: Report, found: ClassicMap, structure: Structure, next_: Forecast) -> None:
    growth = structure.growth
    new, old = human.power(structure.main.buckets), human.power(growth.old_buckets)
    if growth.state == "none":
        room = "" if next_.entries_left is None else f": {human.plural(next_.entries_left, 'more key')} fit"
        many = human.plural(structure.main.buckets, "bucket")
        report.answer = [f"not growing{room} ({many}, classic map)"]
        report.sections = [Facts([("next", next_.next)])]
        return
    moved = f"{growth.evacuated:,} of {growth.old_buckets:,} moved ({human.percent(growth.fraction)})"
    sizes = f"{old} -> {new} buckets" if growth.state == "doubling" else f"{new} buckets into {new} fresh ones"
    report.answer = [f"{growth.state}, {sizes}, {moved}"]
    left = growth.old_buckets - growth.evacuated
    report.sections = [
        Progress(growth.fraction),
        Facts(
            [
                ("old array", _old_array(structure)),
                ("left", _remaining(structure)),
                ("swept to", f"old bucket {growth.nevacuate:,} (nevacuate): all below it have moved"),
                ("finished by", _finish(left)),
                ("next", next_.next),
            ]
        ),
    ]
    if structure.moved is not None and structure.moved.buckets > 1:
        full = [live / structure.moved.per_cell for live in structure.moved.live]
        per = structure.moved.per_cell
        cell = "one old bucket a cell" if per == 1 else f"{per:,} old buckets a cell"
        report.sections.append(Heat("moved", full, cell))


def _old_array(structure: Structure) -> str:
    held = human.size(structure.bytes.old)
    return f"{structure.old_address or 0:#x}, {held}, given back when the last old bucket has moved"


def _remaining(structure: Structure) -> str:
    runs = structure.unevacuated
    if not runs:
        return "none"
    shown = [str(first) if count == 1 else f"{first}-{first + count - 1}" for first, count in runs[:SHOWN_RUNS]]
    rest = len(runs) - len(shown)
    more = f", and {human.plural(rest, 'more stretch', 'more stretches')}" if rest else ""
    return f"old bucket{'s' if len(runs) > 1 or runs[0][1] > 1 else ''} {', '.join(shown)}{more}"


def _finish(left: int) -> str:
    if not left:
        return "the next write or delete"
    fewest, most = -(-left // 2), left
    moves = "each moves one or two old buckets, reading moves none"
    return f"{fewest:,} to {most:,} more writes or deletes: {moves}"


# -- Swiss -------------------------------------------------------------------------------------------


def _swiss(report: Report, found: SwissMap, structure: Structure, next_: Forecast) -> None:
    left = "?" if next_.entries_left is None else f"{human.plural(next_.entries_left, 'more key')} fit"
    if found.small:
        report.answer = [
            f"small Swiss map, {left}",
            "Swiss maps grow a table at a time: there is nothing half done",
        ]
        report.sections = [Facts([("next", next_.next)])]
        return
    tables = structure.tables
    report.answer = [
        f"{left} before a table grows ({human.plural(len(tables), 'table')}, Swiss map)",
        "Swiss maps grow a table at a time, all at once: there is no half-done growth to see",
    ]
    depths = sorted({table.local_depth for table in tables})
    shared = sum(table.directory_entries > 1 for table in tables)
    directory = f"{human.plural(found.header['dirLen'], 'entry')}, global depth {found.header['globalDepth']}"
    if shared:
        directory += f", {human.plural(shared, 'table')} named by several entries"
    rows = [
        ("next", next_.next),
        ("directory", directory),
        ("depths", f"local {' '.join(map(str, depths))}"),
        ("tombstones", f"{structure.total.tombstones:,}"),
    ]
    report.sections = [Facts(rows)]
    if len(tables) > 1:
        fills = [table.used / table.capacity if table.capacity else 0.0 for table in tables]
        per = max(-(-len(fills) // 64), 1)
        cells = [sum(fills[i : i + per]) / len(fills[i : i + per]) for i in range(0, len(fills), per)]
        cell = "one table a cell" if per == 1 else f"{per:,} tables a cell"
        report.sections.append(Heat("tables", cells, cell))
    report.sections.append(_tables(tables))


def _tables(tables: list[SwissTable]) -> Section:
    nearest = sorted(tables, key=lambda table: table.growth_left)[:SHOWN_TABLES]
    rows = [
        (
            f"{table.index:,}",
            str(table.local_depth),
            f"{table.directory_entries:,}",
            f"{table.capacity:,}",
            f"{table.used:,}",
            f"{table.growth_left:,}",
            f"{table.tombstones:,}",
        )
        for table in nearest
    ]
    if len(tables) > len(nearest):
        rows.append(("...", "", "", "", "", "", f"{len(tables) - len(nearest):,} more"))
    headings = ("table", "local depth", "entries", "slots", "used", "growth left", "tombstones")
    return Table(headings, rows, frozenset(range(7)))
