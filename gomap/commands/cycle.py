"""hmap-cycle: what a variable leads to that leads back to itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap import human
from gomap.analysis.cycles import Cycle, CycleKind, CycleSearch, find
from gomap.analysis.selection import Selection
from gomap.declare import Context
from gomap.gotypes import Kind
from gomap.report import Lines, Report
from gomap.results.cycle import CycleKindRow, CycleObject, CycleResult, CycleRow
from gomap.target import Variable

LIMIT = 16
#: A line of a cycle that is longer is told as two.
SHORT = 80
ENDLESS = "a deep copy or a recursive print of it never ends: remember visited objects, or break the cycle"


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-cycle. Raises what resolving EXPR raises."""
    target, expr = context.target, options["EXPR"]
    variable = context.resolve(expr)
    limit = LIMIT if options["--limit"] is None else options["--limit"]
    selection = Selection(target, options.get("--package"), options.get("--type"))
    found = context.look(variable, lambda: find(target, variable, limit, context.progress, selection))
    rows = [_row(cycle) for cycle in found.cycles]
    kinds = [CycleKindRow(_text(one.first), one.types, one.number) for one in found.kinds]
    result = CycleResult(expr, variable.type.name, rows, kinds, found.objects, found.unread)
    report = Report(result, anomalies=found.anomalies)
    report.answer = [_answer(expr, variable, found, selection)]
    if found.interrupted:
        report.interrupted()
    if found.kinds:
        report.sections = [Lines([line for kind in found.kinds for line in _lines(kind)])]
        report.advice = [ENDLESS]
    if not options.get("--json"):
        if len(found.kinds) < found.of_kinds:
            more = found.of_kinds - len(found.kinds)
            report.sections.append(Lines([f"  {human.plural(more, 'more kind')} of cycles: --limit {found.of_kinds}"]))
        if found.of is None:
            report.cut("not all cycles were worked out", 0, None)
    elif found.of is None or len(found.cycles) < found.of:
        report.cut("cycles", len(found.cycles), found.of, "--limit N")
    if selection.narrows and options.get("--json"):
        report.cut(f"cycles {selection.asked}", len(found.cycles), found.all)
    for what, shown, of in found.shortened:
        report.cut(what if of else f"the first {shown:,} {what} were looked at", shown, of)
    return report


def _text(cycle: Cycle) -> str:
    return f"{cycle.whole} -> {cycle.start}"


def _lines(kind: CycleKind) -> list[str]:
    """The nearest cycle of a kind: on one line, or the object and how it leads back to itself."""
    cycle, text = kind.short, _text(kind.short)
    more = f" (and {kind.number - 1:,} like it)" if kind.number > 1 else ""
    if len(text) + len(more) + 2 <= SHORT or not cycle.whole.startswith(cycle.start):
        return [f"  {text}{more}"]
    return [f"  {cycle.start}", f"      {cycle.whole[len(cycle.start) :]} leads back to it{more}"]


def _row(cycle: Cycle) -> CycleRow:
    return CycleRow(
        path=[cycle.start, *("..." if step is None else step for step in cycle.steps)],
        text=_text(cycle),
        address=cycle.objects[0].address,
        type=cycle.objects[0].type.name,
        length=cycle.length,
        objects=[CycleObject(one.address, one.type.name) for one in cycle.objects],
    )


def _answer(expr: str, variable: Variable, found: CycleSearch, selection: Selection) -> str:
    if not found.possible and found.unread:
        return f"unknown whether there is a cycle: type {variable.type.name} is not fully known"
    if not found.possible:
        return f"no cycle: nothing of type {variable.type.name} can lead back to itself"
    objects = f"{human.plural(found.objects, 'object')} reachable"
    if selection.narrows and found.all and not found.asked:
        whole = found.of is not None and not (found.unread or found.shortened or found.interrupted)
        more = "" if whole else "of those that were worked out, "
        return f"no cycle {selection.asked} ({more}{human.plural(found.all, 'cycle')} in all, {objects})"
    if not found.cycles and found.of != 0:
        return f"there are cycles ({objects})"
    if not found.cycles:
        if found.unread:
            return f"no cycle in what can be read: {objects}, {found.unread:,} of them unreadable"
        if found.shortened or found.interrupted:
            return f"no cycle in what was looked at: {objects}, and more"
        return f"no cycle: {objects}"
    first = found.cycles[0]
    number = "at least " if found.of is None else ""
    several = human.plural(found.asked, "cycle")
    kinds = f" of {human.plural(found.of_kinds, 'kind')}" if found.of is None or found.of_kinds < found.of else ""
    counted = f"{number}{several}{kinds}, {objects}"
    if first.own:
        contains = "contains itself" if variable.type.kind in (Kind.MAP, Kind.SLICE) else "leads back to itself"
        return f"{expr} {contains} ({counted})"
    return f"{expr} leads to a cycle ({counted})" if found.of == 1 else f"{expr} leads to cycles ({counted})"
