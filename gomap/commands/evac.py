"""hmap-evac: how far a map's growth is, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap.answers.facts import count_anomalies, growth_json
from gomap.declare import Context
from gomap.golang.layouts.layout import Forecast
from gomap.golang.layouts.structure import Growth, SwissTable
from gomap.golang.runtime.malloc import allocator
from gomap.maps import shape_of, view
from gomap.report import Report


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
        growing = found.growing(structure)
        next_ = found.forecast(structure)
        data = _json(expr, t.name, hex(address), shape.layout, structure.growth, next_, growing.tables)
        report = Report(data, growing.answer, growing.sections, anomalies=count_anomalies(found, structure))
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
