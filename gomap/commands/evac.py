"""hmap-evac: how far a map's growth is, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap.answers.facts import count_anomalies
from gomap.declare import Context
from gomap.golang.layouts.structure import GrowthState
from gomap.golang.runtime.malloc import allocator
from gomap.maps import shape_of, view
from gomap.moving import walked
from gomap.report import Report
from gomap.results.evac import EvacResult, ForecastFacts, TableRow
from gomap.results.fields import alike
from gomap.results.shared import GrowthFacts


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-evac. Raises what resolving EXPR raises."""
    target, expr = context.target, options["EXPR"]
    _, t, address = context.resolve_map(expr)
    shape = shape_of(t, target.arch)
    if not address:
        next_ = ForecastFacts(None, "a nil map never grows: writing to it panics")
        result = EvacResult(expr, t.name, None, shape.layout, alike(GrowthFacts, GrowthState()), next_, None)
        return Report(result, [f"{expr} is a nil {t.name}: {next_.next}"])
    read = walked(view(target, t, address), allocator(target))
    found, structure = read.found, read.structure
    growing = found.growing(structure)
    result = EvacResult(
        expr=expr,
        type=t.name,
        address=address,
        layout=shape.layout,
        growth=alike(GrowthFacts, structure.growth),
        forecast=alike(ForecastFacts, found.forecast(structure)),
        tables=None if growing.tables is None else [alike(TableRow, table) for table in growing.tables],
    )
    return Report(result, growing.answer, growing.sections, anomalies=count_anomalies(read))
