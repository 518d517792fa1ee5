"""hmap-entries: entries of a map that meet conditions, in an order."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gomap import human
from gomap.analysis import sift
from gomap.anomaly import Anomaly
from gomap.answers.entries import CUT
from gomap.declare import Context
from gomap.gotypes import GoType, Kind
from gomap.known import find
from gomap.listing import raw_texts, rows_json, texts
from gomap.maps import view
from gomap.moving import bounds_of
from gomap.report import Report, Table
from gomap.results.entries import EntriesResult
from gomap.results.fields import Encoded
from gomap.rows import Column, Rows
from gomap.values import MAX_FULL, Limits, Values, whole

#: Rows where no limit is given.
ROWS = 50


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-entries. Raises BadExpression for a condition that the map's types do not allow."""
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
    total = sifted.matched if question.selects else sifted.looked if sifted.whole else count
    report = Report(data)
    if options["--csv"] and not json:
        report.plain = list(_csv(shown, t, sifted.rows, question.keys))
    elif not json:
        report.answer = [_answer(expr, t, count if found is not None else None, sifted, question)]
        if any(len(rows) for rows in sifted.rows):
            report.sections.append(_table(shown, sifted.rows, question.keys))
    if found is not None and sifted.whole and sifted.looked != count:
        what = f"the header counts {count:,} entries, but {human.number(sifted.looked)} can be read"
        if bounds_of(target, found.address) is not None:
            bounds_of(target, found.address, sifted.looked)  # the answer says by how much it may be off
            why = "the map was written to while it was read"
        else:
            # Where as many keys were deleted as inserted, the header is what it was.
            either = "the map was written to while it was read, or it" if target.running else "the map"
            why = f"{either} is corrupt, or part of it can't be read (hmap-check says which)"
            report.anomalies.append(Anomaly("warning", "count-mismatch", f"{what}: {why}", found.address))
        report.unfinished = f"{what}: {why}"
    if sifted.interrupted:
        left = max(count - sifted.looked, 0)
        what = f"{human.plural(left, 'entry')} {'was' if left == 1 else 'were'} not looked at"
        report.interrupted(sifted.looked, what)
        report.unfinished = f"interrupted: {what}"
    if sifted.shown < total:
        # --sort lists a bounded number whatever the limit, and an interrupted search has not found more.
        more = sifted.shown == limit and not sifted.interrupted
        option = "--limit N" if question.sort is not None and total > sift.MAX_SORTED else "--limit 0"
        report.cut("entries", sifted.shown, total, option if more else None)
        if not limit and report.unfinished is None:
            report.unfinished = f"{sifted.shown:,} of {total:,} entries shown"
    if shown.cut:
        report.cut("values", sifted.shown, None, None if shown.full else "--full")
    return report


def _answer(expr: str, t: GoType, count: int | None, sifted: sift.Sifted, question: sift.Question) -> str:
    """count: that of the header, None for a nil map."""
    name = f"{human.spelled(t.name)}  {expr}"
    if count is None:
        return f"{name}: a nil map"
    if not question.selects:
        return f"{name}: {human.plural(count, 'entry')}"
    looked = sifted.looked if sifted.interrupted else max(count, sifted.looked)
    return f"{name}: {human.number(sifted.matched)} of {human.plural(looked, 'entry')} match"


def _table(values: Values, every: Sequence[Rows], keys: bool) -> Table:
    rows: list[tuple[str, ...]] = []
    for one in every:
        of_keys = texts(values, one.keys(), True)
        rows += zip(of_keys) if keys else zip(of_keys, texts(values, one.elems(), False))
    if keys:
        return Table(("key",), rows, code=frozenset({0}), kept=0)
    return Table(("key", "value"), rows, code=frozenset({0, 1}), whole=0 if values.full else None, kept=0, hint=CUT)


def _csv(values: Values, t: GoType, every: Sequence[Rows], keys: bool) -> Iterator[str]:
    """RFC 4180; a struct's fields have a column each, empty for a nil pointer. What could move a terminal's cursor is
    escaped."""
    fields = () if keys else _fields(t.elem)
    headings = ["key", *([] if keys else [f.name for f in fields] or ["value"])]
    yield _line([headings])
    for one in every:
        columns: list[Sequence[str]] = [raw_texts(values, one.keys(), True)]
        if not keys:
            elems = one.elems()
            nil: Sequence[bool] = [False] * len(one)
            if t.elem.kind is Kind.POINTER and fields:
                word = values.target.arch.pointer_size
                nil = [pointer == 0 for pointer in elems.numbers(word, False)]
                elems = elems.behind(values.target.memory, word, t.elem.elem)
            parts: list[Column] = [elems.part(f.type, f.offset) for f in fields] or [elems]
            for part in parts:
                columns.append(["" if empty else text for empty, text in zip(nil, raw_texts(values, part, False))])
        yield _line([human.visible(cell) for cell in row] for row in zip(*columns))


def _fields(t: GoType) -> Sequence[Any]:
    struct = t.elem if t.kind is Kind.POINTER else t
    return struct.fields if struct.kind is Kind.STRUCT and find(struct) is None else ()


def _line(rows: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
