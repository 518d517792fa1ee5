"""hmap-entries: entries of a map that meet conditions, in an order."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gomap import human
from gomap.analysis import sift
from gomap.declare import Context
from gomap.gotypes import GoType, Kind
from gomap.known import find
from gomap.listing import raw_texts, rows_json, texts
from gomap.maps import view
from gomap.report import Report, Table
from gomap.results.entries import EntriesResult
from gomap.results.fields import Encoded
from gomap.rows import Column, Rows
from gomap.values import MAX_FULL, Limits, Values, whole

#: Rows where no limit is given.
ROWS = 50


def run(context: Context, options: Mapping[str, Any]) -> Report:
    target, expr = context.target, options["EXPR"]
    _, t, address = context.resolve_map(expr)
    limit = options["--limit"]
    if limit is None:
        limit = 0 if options["--csv"] else ROWS
    question = sift.Question(
        options["--match"],
        options["--where"] or (),
        options["--sort"],
        options["--reverse"],
        limit or None,
        options["--keys"],
    )
    limits = whole(context.settings.depth) if options["--full"] else Limits(depth=context.settings.depth)
    shown = Values(target, limits, raw=options["--raw"])
    # Conditions look at the whole string, whatever is shown of it.
    compared = replace(shown, limits=replace(limits, text=MAX_FULL))
    found = view(target, t, address) if address else None
    sifted = sift.Sifted()
    if found is not None:
        sifted = sift.sift(compared, t, found, question, context.progress)
    count = found.count if found is not None else 0
    json = bool(options.get("--json"))
    data = EntriesResult(
        expr=expr,
        type=t.name,
        address=address or None,
        count=count,
        looked_at=sifted.looked,
        matched=sifted.matched if question.selects else count,
        entries=Encoded([rows_json(shown, rows, question.keys) for rows in sifted.rows] if json else []),
    )
    report = Report(data)
    if options["--csv"] and not json:
        report.plain = list(_csv(shown, t, sifted.rows, question.keys))
    elif not json:
        report.answer = [_answer(expr, t, count, sifted, question)]
        if any(len(rows) for rows in sifted.rows):
            report.sections.append(_table(shown, sifted.rows, question.keys))
    total = sifted.matched if question.selects else count
    if sifted.interrupted:
        report.cut("interrupted: entries that were looked at", sifted.looked, count)
    if sifted.shown < total:
        report.cut("entries", sifted.shown, total)
    if shown.cut:
        report.cut("values", sifted.shown, None)
    return report


def _answer(expr: str, t: GoType, count: int, sifted: sift.Sifted, question: sift.Question) -> str:
    name = f"{human.spelled(t.name)}  {expr}"
    if not question.selects:
        return f"{name}: {human.plural(count, 'entry')}"
    return f"{name}: {human.number(sifted.matched)} of {human.plural(max(count, sifted.looked), 'entry')} match"


def _table(values: Values, every: Sequence[Rows], keys: bool) -> Table:
    rows: list[tuple[str, ...]] = []
    for one in every:
        of_keys = texts(values, one.keys(), True)
        rows += zip(of_keys) if keys else zip(of_keys, texts(values, one.elems(), False))
    if keys:
        return Table(("key",), rows, code=frozenset({0}), kept=0)
    full = values.limits.text >= MAX_FULL
    return Table(("key", "value"), rows, code=frozenset({0, 1}), whole=0 if full else None, kept=0)


def _csv(values: Values, t: GoType, every: Sequence[Rows], keys: bool) -> Iterator[str]:
    """RFC 4180; a struct's fields have a column each. What could move a terminal's cursor is escaped."""
    fields = () if keys else _fields(t.elem)
    headings = ["key", *([] if keys else [f.name for f in fields] or ["value"])]
    yield _line([headings])
    for one in every:
        columns: list[Sequence[str]] = [raw_texts(values, one.keys(), True)]
        if not keys:
            elems = one.elems()
            if t.elem.kind is Kind.POINTER and fields:
                elems = elems.behind(values.target.memory, values.target.arch.pointer_size, t.elem.elem)
            parts: list[Column] = [elems.part(f.type, f.offset) for f in fields] or [elems]
            columns += [raw_texts(values, part, False) for part in parts]
        yield _line([human.visible(cell) for cell in row] for row in zip(*columns))


def _fields(t: GoType) -> Sequence[Any]:
    struct = t.elem if t.kind is Kind.POINTER else t
    return struct.fields if struct.kind is Kind.STRUCT and find(struct) is None else ()


def _line(rows: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
