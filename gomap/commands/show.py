"""hmap-show: what one map looks like inside."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gomap import human
from gomap.anomaly import Anomaly
from gomap.answers.drawing import bucket_sections
from gomap.answers.entries import entries_table
from gomap.answers.facts import count_anomalies
from gomap.answers.iterations import add_iterators
from gomap.columns.marks import SLOTS
from gomap.declare import Context
from gomap.golang.layouts.layout import MapView, Shape
from gomap.golang.layouts.structure import TOO_MANY, Structure
from gomap.golang.runtime.heap import Room
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType
from gomap.listing import entries_json
from gomap.maps import LAYOUTS, shape_of, view
from gomap.moving import Walked, walked
from gomap.report import Bars, Facts, Heat, Report, Section
from gomap.results.fields import Encoded, alike
from gomap.results.shared import GrowthFacts, SizeFacts
from gomap.results.show import BucketFacts, ShowBytes, ShowResult, SlotFacts
from gomap.target import Variable
from gomap.values import Limits, Values, whole

#: A map that holds this much more than its entries need is worth a word.
WORTH_REBUILDING = 64 << 10


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-show. Raises what resolving EXPR raises; BadExpression for --buckets that the map does not have."""
    target, expr = context.target, options["EXPR"]
    variable, t, address = context.resolve_map(expr)
    shape = shape_of(t, target.arch)
    json = bool(options.get("--json"))
    wanted = options["--entries"]
    if not address:
        report = _nil(expr, variable, t, shape)
        if wanted:
            report.data = replace(report.data, entries=[])
        if options["--iterators"]:
            report.data = replace(report.data, iterators=[])
        return report
    read = walked(view(target, t, address), allocator(target))
    found, structure = read.found, read.structure
    data = _result(expr, t, shape, found, structure, read)
    report = Report(data, anomalies=count_anomalies(read))
    if Room(target).is_left(address):
        where = "its header is in freed memory or on an old stack"
        what = f"{expr} is dead here: {where}"
        report.anomalies.append(Anomaly("warning", "left-behind", what, address))
    report.answer = [f"{human.spelled(t.name)}  {expr}  {address:#x}", _summary(read, target.kind)]
    if wanted or (wanted is None and not json):
        limits = whole(context.settings.depth) if options["--full"] else Limits(depth=context.settings.depth)
        values = Values(target, limits, raw=options["--raw"])
        _add_entries(context, report, t, found, wanted, json, values)
    report.sections += _sections(found, structure)
    if options["--iterators"]:
        add_iterators(context, report, t, found, json)
    if options["--buckets"]:
        report.sections += bucket_sections(target, found, structure, options["--buckets"], context.settings.depth)
    report.advice = _advice(structure)
    return report


def _result(
    expr: str, t: GoType, shape: Shape, found: MapView | None, structure: Structure, read: Walked | None = None
) -> ShowResult:
    """found: None for a nil map."""
    total = structure.total
    return ShowResult(
        expr=expr,
        type=t.name,
        address=found.address if found is not None else None,
        nil=found is None,
        layout=shape.layout,
        group=shape.group,
        count=read.count if read is not None else 0,
        bound=read.bound if read is not None else None,
        live=total.live,
        load=structure.load,
        buckets=BucketFacts(
            count=structure.main.buckets,
            address=structure.address,
            fill=structure.main.fill,
            overflow=structure.overflow,
            old_overflow=structure.old_overflow,
            longest_chain=structure.longest_chain,
            old_count=structure.old_count,
            old_address=structure.old_address,
            old_fill=structure.old.fill if structure.old else None,
        ),
        slots=SlotFacts(total.buckets * SLOTS, total.live, total.empty, total.tombstones, total.evacuated),
        bytes=ShowBytes(alike(SizeFacts, structure.bytes), structure.bytes.overflow, structure.bytes.old),
        flags=found.flags if found is not None else [],
        growth=alike(GrowthFacts, structure.growth),
        layouts={
            name: found.layout_facts(structure) if found is not None and name == shape.layout else None
            for name in LAYOUTS
        },
        iterators=None,
    )


def _nil(expr: str, variable: Variable, t: GoType, shape: Shape) -> Report:
    data = _result(expr, t, shape, None, Structure(address=None))
    what = f"{human.spelled(t.name)}  {expr}  nil"
    report = Report(data, answer=[what, "a nil map: reading finds nothing, writing panics"])
    if variable.doubt is None:
        report.advice = [f"make it before the first write: {expr} = make({human.spelled(t.name)})"]
    return report


def _summary(read: Walked, kind: str) -> str:
    found, structure = read.found, read.structure
    entries = human.plural(structure.total.live, "entry")
    if read.bound:
        entries = f"{read.count:,} ± {read.bound:,} entries"
    if structure.unreadable:
        why = "corrupt, uninitialized, or not in the core file" if kind == "core" else "corrupt or uninitialized"
        return f"not all of it can be read ({why}): {entries} found, its header counts {found.count:,}"
    room = human.number(structure.slots)
    held, needed = human.size(structure.bytes.allocated), human.size(structure.bytes.live)
    if not structure.slots:
        return f"{entries}, only the header is allocated: {held} held"
    return f"{entries} in {room} slots: {held} held, {needed} needed for the entries"


def _sections(found: MapView, structure: Structure) -> list[Section]:
    return [Facts(_facts(found, structure), apart=True), *_pictures(structure, f"{found.terms.bucket}s")]


def _facts(found: MapView, structure: Structure) -> list[tuple[str, str]]:
    told = found.describe(structure)
    rows = [("layout", told.layout)]
    if structure.slots:
        rows.append(("load", told.load))
    if told.growth is not None:
        rows.append(("growth", told.growth))
    rows.append(("next growth", found.forecast(structure).next))
    if found.flags:
        rows.append(("flags", ", ".join(found.flags)))
    slots = [f"{structure.total.live:,} live", f"{structure.total.empty:,} empty"]
    if structure.total.tombstones:
        slots.append(f"{structure.total.tombstones:,} deleted (tombstones)")
    if structure.total.evacuated:
        slots.append(f"{structure.total.evacuated:,} evacuated")
    if len(slots) > 2:  # else the answer's second line says it
        rows.append(("slots", ", ".join(slots)))
    return rows


def _pictures(structure: Structure, buckets: str) -> list[Section]:
    if structure.main.buckets < 2:  # how many entries are in it is the answer's second line
        return []
    rows = [(str(k), amount) for k, amount in enumerate(structure.main.fill) if amount]
    sections: list[Section] = [Bars("fill", rows, f"number of {buckets} (right) by the entries in them (left)")]
    if structure.strip is not None and structure.strip.buckets > 1:
        per = structure.strip.per_cell
        cell = f"one {buckets[:-1]}" if per == 1 else f"{per:,} {buckets}"
        of = (SLOTS, "entries") if per == 1 else None
        sections.append(Heat(buckets, structure.strip.fractions(), cell, of=of))
    return sections


def _advice(structure: Structure) -> list[str]:
    if structure.unreadable:  # the sizes are what the header claims
        return []
    back = structure.bytes.allocated - structure.bytes.rebuilt
    if back < WORTH_REBUILDING or back * 2 < structure.bytes.allocated:
        return []
    what = human.plural(structure.total.live, "entry")
    return [f"Go maps never shrink; copying the {what} into a new map would free {human.size(back)}"]


def _add_entries(
    context: Context, report: Report, t: GoType, found: MapView, asked: int | None, json: bool, values: Values
) -> None:
    """asked: how many entries, None where none were asked for: the first few then."""
    wanted = min(context.settings.entries if asked is None else asked, found.count + TOO_MANY)
    if json:
        texts, listed = entries_json(values, t, found, wanted)
        report.data = replace(report.data, entries=Encoded(texts))
    else:
        rows = []
        for entry in itertools.islice(found.entries(), wanted):
            place = f"{'old ' if entry.old else ''}{entry.bucket:,}/{entry.slot}"
            rows.append((place, values.shown_key(t.key, entry.key), values.shown(t.elem, entry.elem)))
        report.sections.append(entries_table(f"{found.terms.bucket}/slot", rows, values))
        listed = len(rows)
    total = report.data.live
    if asked is None:
        if listed < total:
            more = f"{human.plural(total - listed, 'entry')} (--entries N lists more)"
            report.sections.append(Facts([("more", more)], apart=False))
        return
    if listed < total:
        report.cut("entries", listed, total, "--entries N")
    if values.cut:
        report.cut("values", listed, None, None if values.full else "--full")
