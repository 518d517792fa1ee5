"""hmap-cycle: what a variable leads to that leads back to itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap import human
from gomap.analysis.cycles import Cycle, CycleSearch, find
from gomap.declare import Context
from gomap.gotypes import Kind
from gomap.report import Lines, Report
from gomap.results.cycle import CycleObject, CycleResult, CycleRow
from gomap.target import Variable

LIMIT = 16
ENDLESS = "a deep copy or a recursive print of it never ends: remember visited objects, or break the cycle"


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-cycle. Raises what resolving EXPR raises."""
    target, expr = context.target, options["EXPR"]
    variable = context.resolve(expr)
    limit = LIMIT if options["--limit"] is None else options["--limit"]
    found = context.look(variable, lambda: find(target, variable, limit, context.progress))
    rows = [_row(cycle) for cycle in found.cycles]
    report = Report(CycleResult(expr, variable.type.name, rows, found.objects, found.unread), anomalies=found.anomalies)
    report.answer = [_answer(expr, variable, found)]
    if found.interrupted:
        report.interrupted()
    if found.cycles:
        report.sections = [Lines([f"  {cycle.whole} -> {cycle.start}" for cycle in found.cycles])]
        report.advice = [ENDLESS]
    if found.of is None or len(found.cycles) < found.of:
        report.cut("cycles", len(found.cycles), found.of)
    for what, shown, of in found.shortened:
        report.cut(what if of else f"the first {shown:,} {what} were looked at", shown, of)
    return report


def _row(cycle: Cycle) -> CycleRow:
    return CycleRow(
        path=[cycle.start, *("..." if step is None else step for step in cycle.steps)],
        text=f"{cycle.whole} -> {cycle.start}",
        address=cycle.objects[0].address,
        type=cycle.objects[0].type.name,
        length=cycle.length,
        objects=[CycleObject(one.address, one.type.name) for one in cycle.objects],
    )


def _answer(expr: str, variable: Variable, found: CycleSearch) -> str:
    if not found.possible and found.unread:
        return f"unknown whether there is a cycle: type {variable.type.name} is not fully known"
    if not found.possible:
        return f"no cycle: nothing of type {variable.type.name} can lead back to itself"
    objects = f"{human.plural(found.objects, 'object')} reachable"
    if not found.cycles and found.of != 0:
        return f"there are cycles ({objects})"
    if not found.cycles:
        if found.unread:
            return f"no cycle in what can be read: {objects}, {found.unread:,} of them unreadable"
        if found.shortened or found.interrupted:
            return f"no cycle in what was looked at: {objects}, and more"
        return f"no cycle: {objects}"
    first = found.cycles[0]
    number = "more than " if found.of is None else ""
    several = human.plural(len(found.cycles) if found.of is None else found.of, "cycle")
    counted = f"{number}{several}, {objects}"
    if first.own:
        contains = "contains itself" if variable.type.kind in (Kind.MAP, Kind.SLICE) else "leads back to itself"
        return f"{expr} {contains} ({counted})"
    return f"{expr} leads to a cycle ({counted})" if found.of == 1 else f"{expr} leads to cycles ({counted})"
