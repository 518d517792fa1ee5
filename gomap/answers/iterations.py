"""hmap-show --iterators: loops over the map that are under way."""

from __future__ import annotations

from dataclasses import replace

from gomap import human
from gomap.analysis import iterators
from gomap.analysis.iterators import Iteration
from gomap.answers.facts import goroutines_seen
from gomap.declare import Context
from gomap.errors import GomapError
from gomap.golang.layouts.layout import MapView
from gomap.gotypes import GoType
from gomap.report import Report, Table
from gomap.results.show import IteratorRow
from gomap.values import Limits, Scalar, Values, shown

#: Listed for a person; JSON has them all.
MAX_SHOWN = 64


def add_iterators(context: Context, report: Report, t: GoType, found: MapView, json: bool) -> None:
    """Adds the iterations over the map to hmap-show's answer: how many to its head, the table to its end."""
    searched = iterators.search(context.target, found, context.progress)
    report.anomalies += searched.anomalies
    values = Values(context.target, Limits(depth=context.settings.depth))
    keys = [_key(context, values, t, one) for one in searched.iterations]
    every = [_iterator(one, key) for one, key in zip(searched.iterations, keys)]
    report.data = replace(report.data, iterators=every)
    scanned = f"({goroutines_seen(searched.goroutines, searched.unseen)} searched)"
    what = human.plural(len(searched.iterations), "iteration") if searched.iterations else "no iteration"
    verb = "are" if len(searched.iterations) > 1 else "is"
    report.answer.append(f"{what} over it {verb} in progress {scanned}")
    if searched.iterations:
        rows = [_row(t, one, key) for one, key in zip(searched.iterations, keys)]
        headings = ("goroutine", "function", "line", "last key", f"{found.iterated} done")
        report.sections.append(Table(headings, rows[:MAX_SHOWN], frozenset(), frozenset({3}), kept=3))
        if len(rows) > MAX_SHOWN and not json:
            report.cut("iterations", MAX_SHOWN, len(rows))
    if searched.interrupted:
        report.cut("the search for iterations was interrupted", 0, None)


def _key(context: Context, values: Values, t: GoType, one: Iteration) -> Scalar | None:
    """The key that the iteration gave last; None where it can't be read."""
    try:
        return values.key(t.key, context.target.memory.read(one.key, t.key.size) if t.key.size else b"")
    except GomapError:
        return None


def _iterator(one: Iteration, key: Scalar | None) -> IteratorRow:
    return IteratorRow(
        goroutine=one.goroutine.id,
        frame=one.level,
        function=one.frame.function,
        file=one.frame.file,
        line=one.frame.line,
        address=one.address,
        memory="heap" if one.on_heap else "stack",
        key=key,
        key_address=one.key,
        elem_address=one.elem,
        done=one.done,
        total=one.total,
        position=one.position,
    )


def _row(t: GoType, one: Iteration, key: Scalar | None) -> tuple[str, ...]:
    file = (one.frame.file or "?").rsplit("/", 1)[-1]
    stands = "?" if key is None else shown(t.key, key)
    return (
        str(one.goroutine.id),
        one.frame.function,
        f"{file}:{one.frame.line or '?'}",
        stands,
        f"{one.done:,} of {one.total:,}",
    )
