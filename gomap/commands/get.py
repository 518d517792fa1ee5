"""hmap-get: a key looked up as the program does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gomap import human
from gomap.anomaly import Anomaly
from gomap.declare import Context
from gomap.expr import keys_of
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.lookup import candidates, lookup
from gomap.golang.layouts.search import Lookup, SearchStep
from gomap.keys import Keys
from gomap.maps import on, view
from gomap.moving import steady
from gomap.report import Facts, Report
from gomap.results.fields import alike
from gomap.results.get import GetResult, LookupStep
from gomap.values import Limits, Scalar, Values, whole

WRITTEN = "the map was written to while it was read"
#: Steps of a path that are shown.
MAX_ROWS = 30


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-get. Raises BadExpression for a key that is not of the map's key type."""
    expr = options["EXPR"]
    _, t, address = context.resolve_map(expr)
    keys = keys_of(context.target, context.note, context.seek)
    limits = Limits(depth=context.settings.depth)
    found = view(keys.target, t, address) if address else None
    key = keys.find(t.key, options["KEY"], found, limits)
    values = Values(keys.target, limits, keys.hasher.types, raw=options["--raw"])
    key_json, key_text = values.key(t.key, key), values.shown_key(t.key, key)
    told_key = key_text if values.has_text(t.key) else None
    if found is None:
        report = Report(_result(expr, key_json, Lookup(), None, [], told_key))
        report.answer = [f"not found: {expr} is a nil {t.name}"]
    else:
        read = steady(keys.target, lambda target: _looked_up(on(found, target), keys, key), lambda one: one.broken)
        result = read.result
        if read.written:
            result = replace(result, broken=Anomaly("warning", "torn-read", WRITTEN, found.address))
        whys = [_why(found, values, result, step) for step in result.path]
        one = replace(values, limits=whole(context.settings.depth), cut=False)
        value = one.json(t.elem, result.elem) if result.found else None
        told = one.shown(t.elem, result.elem) if result.found and values.has_text(t.elem) else None
        data = _result(expr, key_json, result, value, whys, told_key, told)
        report = Report(data, anomalies=_notes(found, result))
        what = f"{expr}[{key_text}]"
        report.answer = [f"{what} = {one.shown(t.elem, result.elem)}" if result.found else f"{what} is not there"]
        if one.cut:
            report.cut("values", 1, None)
        if result.broken is not None and not result.found:
            endless = result.broken.code == "endless-search"
            why = "is not in the map, and the program's search for it never ends" if endless else "can't be looked up"
            report.answer = [f"{what} {why}: {WRITTEN if read.written else 'the map is corrupt'}"]
        _explain(report, found, result, whys)
    return report


def _looked_up(found: MapView, keys: Keys, key: bytes) -> Lookup:
    return lookup(found, keys.hasher, candidates(found, keys.hasher), key)


def _result(
    expr: str,
    key: Scalar,
    result: Lookup,
    value: Scalar | None,
    whys: list[str],
    key_text: str | None = None,
    value_text: str | None = None,
) -> GetResult:
    return GetResult(
        expr=expr,
        key=key,
        found=result.found,
        value=value,
        hash=result.hash,
        address=result.elem_address,
        walked=result.walked,
        path=[alike(LookupStep, step, matched=step.reason == "found", why=why) for step, why in zip(result.path, whys)],
        key_text=key_text,
        value_text=value_text,
    )


def _notes(found: MapView, result: Lookup) -> list[Anomaly]:
    notes = [] if result.broken is None else [result.broken]
    if result.walked:
        what = f"the hash function for keys of type {found.shape.key.name} is not known here"
        notes.append(Anomaly("note", "walked", f"{what}: all entries were looked at instead", found.address))
    if result.unreadable:
        what = f"{human.plural(result.unreadable, 'key')} can't be read"
        notes.append(Anomaly("warning", "unreadable", what, found.address))
    if result.nan:
        what = "the key contains a NaN, which equals nothing, not even itself: no lookup ever finds it"
        notes.append(Anomaly("note", "nan-key", what, found.address))
    if found.writing and not result.found:
        running = found.target.running
        when = "a write to this map is in progress" if running else "the program was stopped inside a write to this map"
        what = f"{when}: the entry may be on its way"
        notes.append(Anomaly("note", "writing", what, found.address))
    return notes


def _why(found: MapView, values: Values, result: Lookup, step: SearchStep) -> str:
    mark = "" if result.mark is None else f"{found.terms.mark} {result.mark:#04x}"
    if step.reason == "found":
        return "the key" if result.walked else f"{mark}, and the key is equal"
    if step.reason == "other-key":
        key = found.shape.key
        return f"{mark} too, but the key is {values.shown_key(key, step.key)}"
    if step.reason == "unreadable":
        return f"{mark}, and the key can't be read"
    if step.reason == "moved":
        return "this old bucket is evacuated: continue in the new array"
    return found.going_on(step)


def _explain(report: Report, found: MapView, result: Lookup, whys: list[str]) -> None:
    """The hash, and what the lookup met at every place. The words take what room they need: no table."""
    rows = []
    if result.hash is not None and result.mark is not None:
        rows.append(("hash", f"{result.hash:#x}, {found.terms.mark} {result.mark:#04x}"))
    for step, why in zip(result.path, whys):
        slot = f" slot {step.slot}" if step.reason in ("found", "other-key", "unreadable") else ""
        rows.append((found.place(step), f"{step.address:#x}{slot}: {why}"))
    left_out = len(rows) - MAX_ROWS
    if left_out > 1:
        rows[MAX_ROWS // 2 : -MAX_ROWS // 2] = [("...", f"{left_out:,} more steps (--json has them all)")]
    if rows:
        report.sections.append(Facts(rows))
