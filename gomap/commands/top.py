"""hmap-top: which maps take the memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap import human
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import Beyond, beyond, header_size
from gomap.analysis.ranking import ORDERS, UNKNOWN, Ranked, Ranking, add_values, measure, measure_beyond
from gomap.analysis.referents import Referents
from gomap.analysis.roots import Roots
from gomap.commands.declare import Context
from gomap.commands.facts import beyond_json, goroutines_seen, more_maps, named, place_json, search_cut
from gomap.commands.origin import add_origins
from gomap.golang.heap import Heap
from gomap.report import Facts, Report, Table


def run(context: Context, options: Mapping[str, Any]) -> Report:
    target, by = context.target, options["--by"]
    with_values = options["--values"] or by == "values"
    heap = Heap(target) if with_values else None
    searched = Roots(target, "all", context.progress, object_size=header_size(target))
    found = everywhere(target, searched, context.progress, once=True)
    ranking = measure(target, found, context.progress)
    more, identifier = beyond(target, found, searched.objects, context.progress)
    others: list[Ranked] = []
    if options["--heap"] and identifier is not None and not ranking.interrupted:
        ranked = measure_beyond(target, more, identifier, by, options["-n"], context.progress)
        others, ranking.interrupted = ranked.maps, ranked.interrupted
    referents = Referents(target, heap) if heap is not None else None
    if referents is not None:
        add_values(target, ranking, referents, context.progress)
        add_values(target, Ranking(others), referents, context.progress)
    listed = sorted([*ranking.maps, *others], key=lambda one: -ORDERS[by](one))
    shown = listed[: options["-n"]] if options["-n"] else listed
    report = Report(
        _json(shown, ranking, searched, by, found.dead, more), anomalies=[*found.anomalies, *searched.anomalies]
    )
    report.anomalies += ranking.anomalies
    report.answer = [*_summary(ranking, searched), *more_maps(more, not options["--heap"])]
    _describe(report, shown, ranking, with_values)
    if ranking.interrupted:
        report.answer.append("(interrupted: this is what it had come to)")
        report.cut("the search was interrupted", len(ranking.maps), None)
    every = len(ranking.maps) + (len(more.maps) if options["--heap"] else 0)
    if len(shown) < every:
        report.cut("maps", len(shown), every)
    search_cut(report, found)
    if referents is not None and referents.cut:
        report.cut("values: not everything that they keep alive was followed", referents.followed, None)
    if referents is not None and referents.unreadable:
        report.cut(f"values: {human.plural(referents.unreadable, 'object')} could not be read", 0, None)
    if options["--origin"]:
        add_origins(context, report, shown, options["-n"])
    return report


def _json(shown: list[Ranked], ranking: Ranking, searched: Roots, by: str, dead: int, more: Beyond) -> dict[str, Any]:
    total = ranking.total()
    return {
        "by": by,
        "maps": [
            {
                "path": one.holder.path,
                "kind": one.holder.kind,
                **place_json(one.holder.place),
                "address": hex(one.address),
                "type": one.type.name if one.type is not UNKNOWN else None,
                "type_known_by": one.known_by,
                "type_or": list(one.others),
                "layout": one.layout,
                "count": one.count,
                "load": one.load,
                "bytes": {
                    "allocated": one.bytes.allocated,
                    "live": one.bytes.live,
                    "waste": one.bytes.waste,
                    "rebuilt": one.bytes.rebuilt,
                },
                "values": one.values,
                "shares": hex(one.shares) if one.shares else None,
            }
            for one in shown
        ],
        "total": {
            "maps": len(ranking.maps),
            "entries": sum(one.count for one in ranking.maps),
            "bytes": {
                "allocated": total.allocated,
                "live": total.live,
                "waste": total.waste,
                "rebuilt": total.rebuilt,
            },
            "gives_back": sum(one.gives_back for one in ranking.maps),
            "values": _values(ranking),
        },
        "heap": beyond_json(more),
        "bytes_from": "size-classes",
        "scanned": {
            "goroutines": searched.goroutines,
            "frames": searched.frames,
            "globals": searched.globals,
            "maps": len(ranking.maps),
            "dead": dead,
        },
    }


def _values(ranking: Ranking) -> int | None:
    known = [one.values for one in ranking.maps if one.values is not None]
    return sum(known) if known else None


def _summary(ranking: Ranking, searched: Roots) -> list[str]:
    total, maps = ranking.total(), ranking.maps
    seen = goroutines_seen(searched.goroutines, searched.unseen)
    scanned = f"({seen} and {human.plural(searched.globals, 'package variable')} searched)"
    if not maps:
        return [f"no map was found {scanned}"]
    verb = "hold" if len(maps) > 1 else "holds"
    kept = _values(ranking)
    values = f"; keys and values keep {human.size(kept)} more" if kept is not None else ""
    what = f"{human.plural(len(maps), 'map')} {verb} {human.size(total.allocated)} ({human.size(total.waste)} waste)"
    return [what + values, scanned]


def _name(one: Ranked) -> str:
    """What leads to the map."""
    if one.holder.kind not in ("heap", "stack"):
        return named(one.holder)
    doubt = ""
    if one.type is UNKNOWN:
        doubt = ", type unknown"
    elif one.others:
        doubt = f"; {human.plural(len(one.others), 'other type')} {'fits' if len(one.others) == 1 else 'fit'}"
    return f"no variable{doubt}"


def _describe(report: Report, shown: list[Ranked], ranking: Ranking, with_values: bool) -> None:
    headings = ["held", "waste", "entries", "load", "map", "address:type"]
    rows = [
        [
            human.size(one.bytes.allocated),
            human.size(one.bytes.waste),
            f"{one.count:,}",
            "" if one.load is None else human.percent(one.load),
            _name(one),
            f"{one.address:#x}" + (f":{human.short(one.type.name)}" if one.type is not UNKNOWN else ""),
        ]
        for one in shown
    ]
    if with_values:
        headings.insert(2, "values")
        for row, one in zip(rows, shown):
            row.insert(2, human.size(one.values) if one.values is not None else "?")
    right = frozenset(range(5 if with_values else 4))
    report.sections = [Table(headings, rows, right, whole=len(right))]
    facts = [("held", "in the allocator's size classes; whole pages over 32 KiB")]
    if with_values:
        facts.append(("values", "what keys and values lead to, each block of heap once"))
    unnamed = [one for one in shown if one.holder.kind in ("heap", "stack")]
    if unnamed:
        facts.append(("no variable", "no variable searched leads to the map, which may be garbage not collected yet"))
    if any(one.others for one in unnamed):
        facts.append(("types", "where other types fit as well, --json names them"))
    if any(one.shares for one in shown):
        facts.append(("shared", "buckets that several headers have are counted with the first"))
    if shown:
        report.sections.append(Facts(facts))
    best = sorted(ranking.maps, key=lambda one: -one.gives_back)
    back = sum(one.gives_back for one in best)
    if back and best[0].gives_back >= 4096:
        paths = [f"{one.holder.path} {human.size(one.gives_back)}" for one in best[:3] if one.gives_back >= 4096]
        report.advice.append(
            f"maps never shrink: copying the entries into new maps gives back {human.size(back)}, "
            f"most from {', '.join(paths)}"
        )
