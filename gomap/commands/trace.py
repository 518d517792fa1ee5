"""hmap-trace: which source lines make maps grow, while the program runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from gomap import human
from gomap.analysis.changes import make
from gomap.anomaly import Anomaly
from gomap.declare import Context
from gomap.errors import NotSet
from gomap.memory import forget
from gomap.report import Facts, Lines, Report, Section, Table
from gomap.results.shared import CallFacts
from gomap.results.trace import CopiedFacts, GrownEntries, GrowthEventRow, GrowthLineRow, TraceResult
from gomap.target import Location
from gomap.trace.growths import GrowthTrace, Sum, Traced
from gomap.trace.port import Ending, tracer_of

#: Lines that text shows; JSON has all.
MAX_LINES = 20
_ENDINGS = {
    "count": "as many growths as asked for",
    "time": "the time limit was reached",
    "interrupted": "interrupted",
    "breakpoint": "the program came to {}",
    "stopped": "the program stopped: {}",
    "exited": "{}",
}


def run(context: Context, options: Mapping[str, Any]) -> Report:
    target, expr = context.target, options["EXPR"]
    tracer = tracer_of(target, "hmap-trace")
    wanted = type_name = None
    if expr is not None:
        _, t, wanted = context.resolve_map(expr)
        type_name = t.name
        if not wanted:
            raise NotSet(f"{expr} is a nil {t.name}: it never grows, and no other map can be in its place yet")
    version = target.go_version
    trace = GrowthTrace(target, wanted, options["-n"])
    started = time.monotonic()
    ending = tracer.run(trace.stops, trace.hit, options["--for"], bool(options.get("--json")))
    seconds = time.monotonic() - started
    forget(target.memory)
    gone = ending.kind == "exited"
    sums = sorted(trace.sums.values(), key=lambda one: (-one.allocated, -one.growths))
    finals = [_final(trace, one, gone) for one in sums]
    report = Report(_result(expr, wanted, type_name, trace, ending, seconds, sums, finals))
    report.anomalies = _unread(trace)
    report.answer = [_answer(expr, trace, sums)]
    report.sections = [*_table(trace, sums, finals), Facts(_facts(trace, ending, seconds), apart=bool(sums))]
    if gone:
        report.gone = version or ""
    if trace.count > len(trace.kept):
        report.cut("growths", len(trace.kept), trace.count)
    return report


def _final(trace: GrowthTrace, one: Sum, gone: bool) -> int:
    return max(one.maps.values()) + 1 if gone else trace.final(one)


def _unread(trace: GrowthTrace) -> list[Anomaly]:
    if not trace.unread:
        return []
    which = f"{human.plural(trace.unread, 'growth')} could not be read and {'is' if trace.unread == 1 else 'are'}"
    return [Anomaly("warning", "unread-growth", f"{which} missing here: {trace.why}")]


def _answer(expr: str | None, trace: GrowthTrace, sums: Sequence[Sum]) -> str:
    what = expr if expr is not None else human.plural(len({key for one in sums for key in one.maps}), "map")
    if not trace.count:
        return f"{expr} did not grow" if expr is not None else "no map grew"
    lines = human.plural(len({one.site for one in sums}), "line")
    allocated = sum(one.allocated for one in sums)
    grew = human.plural(trace.count, "time")
    return f"{what} grew {grew} at {lines}: {human.size(allocated)} allocated for it"


def _place(site: Location | None) -> str:
    if site is None:
        return "?"
    return f"{human.short(site.function)}  {(site.file or '?').rpartition('/')[2]}:{site.line}"


def _table(trace: GrowthTrace, sums: Sequence[Sum], finals: Sequence[int]) -> list[Section]:
    if not sums:
        return []
    headings = ("growths", "maps", "entries", "allocated", "copied", "line", "size for make", "goroutines")
    rows = [
        (
            human.number(one.growths),
            human.number(len(one.maps)),
            human.number(one.most) if one.least == one.most else f"{human.number(one.least)}-{human.number(one.most)}",
            human.size(one.allocated),
            human.size(one.copied_bytes),
            _place(one.site),
            make(one.type, trace.capacity(final)),
            f"goroutine{'s' * (len(one.goroutines) > 1)} {human.ranges(one.goroutines, 3)}" if one.goroutines else "",
        )
        for one, final in zip(sums[:MAX_LINES], finals)
    ]
    more = (
        [Lines([f"and {human.plural(len(sums) - MAX_LINES, 'line')} more (--json has all)"])]
        if len(sums) > MAX_LINES
        else []
    )
    return [Table(headings, rows, frozenset(range(5)), whole=5), *more]


def _facts(trace: GrowthTrace, ending: Ending, seconds: float) -> list[tuple[str, str]]:
    own = f"; the program itself took {ending.cpu:.2f} s of processor time" if ending.cpu is not None else ""
    return [
        ("ended", _ENDINGS[ending.kind].format(ending.place)),
        ("cost", f"ran {seconds:.2f} s with {human.plural(trace.hits, 'stop')}{own}"),
    ]


def _call(site: Location | None) -> CallFacts | None:
    return None if site is None else CallFacts(site.function, site.file, site.line)


def _result(
    expr: str | None,
    address: int | None,
    type_name: str | None,
    trace: GrowthTrace,
    ending: Ending,
    seconds: float,
    sums: Sequence[Sum],
    finals: Sequence[int],
) -> TraceResult:
    return TraceResult(
        expr=expr,
        address=address,
        type=type_name,
        ended=ending.kind,
        seconds=seconds,
        cpu_seconds=ending.cpu,
        stops=trace.hits,
        count=trace.count,
        lines=[_line(trace, one, final) for one, final in zip(sums, finals)],
        growths=[_growth(one) for one in trace.kept],
    )


def _line(trace: GrowthTrace, one: Sum, final: int) -> GrowthLineRow:
    return GrowthLineRow(
        location=_call(one.site),
        type=one.type.name,
        growths=one.growths,
        kinds=one.kinds,
        maps=len(one.maps),
        entries=GrownEntries(one.least, one.most),
        allocated=one.allocated,
        copied=CopiedFacts(one.copied, one.copied_bytes),
        goroutines=sorted(one.goroutines),
        capacity=trace.capacity(final),
    )


def _growth(one: Traced) -> GrowthEventRow:
    grown = one.growth
    return GrowthEventRow(
        address=grown.address,
        type=one.type.name,
        kind=grown.kind,
        entries=grown.entries,
        slots=grown.slots,
        new_slots=grown.new_slots,
        directory=grown.directory,
        copied=grown.copied,
        allocated=grown.allocated,
        goroutine=one.goroutine,
        location=_call(one.site),
    )
