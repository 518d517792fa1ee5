"""hmap-top: which maps take the memory."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from gomap import human
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import NO_VARIABLE, UNKNOWN, Beyond, beyond, header_size, search_heap
from gomap.analysis.ranked_groups import Together, add_up
from gomap.analysis.ranking import (
    ORDERS,
    Ranked,
    Ranking,
    add_values,
    measure,
    measure_beyond,
)
from gomap.analysis.referents import Referents
from gomap.analysis.roots import Roots
from gomap.answers.facts import beyond_json, goroutines_seen, more_maps, named, place_json, search_cut
from gomap.commands.origin import add_origins
from gomap.declare import Context
from gomap.golang.layouts.structure import Bytes
from gomap.golang.runtime.heap import Heap
from gomap.report import Facts, Report, Table


def run(context: Context, options: Mapping[str, Any]) -> Report:
    target, by, group, most = context.target, options["--by"], options["--group"], options["-n"]
    with_values = options["--values"] or by == "values"
    heap = Heap(target) if with_values else None
    headers = search_heap(target, context.progress)
    searched = Roots(target, "all", context.progress, object_size=header_size(target))
    found = everywhere(target, searched, context.progress, once=True, census=headers.census)
    ranking = measure(target, found, context.progress, headers.census)
    more, identifier = beyond(target, found, searched.objects, headers, context.progress)
    others = Ranking()
    if identifier is not None and not ranking.interrupted:
        every = group or by == "values"
        others = measure_beyond(target, more, identifier, by, 0 if every else most, context.progress)
    referents = Referents(target, heap) if heap is not None else None
    if referents is not None:
        ranking = Ranking([*ranking.every()], [], ranking.interrupted, ranking.anomalies)
        ranking.maps.sort(key=ORDERS["bytes"], reverse=True)
        add_values(target, ranking, referents, context.progress)
        add_values(target, others, referents, context.progress)
    interrupted = ranking.interrupted or others.interrupted
    order = ORDERS[by]
    groups: list[Together] = []
    shown: list[Ranked] = []
    if group:
        groups = add_up(chain(ranking.counted(), others.counted()), group, order)
    else:
        shown = sorted([*ranking.best(order, most), *others.maps], key=order, reverse=True)[: most or None]
    shown_groups = groups[: most or None]
    report = Report(
        _json(shown, ranking, searched, by, found.dead, more), anomalies=[*found.anomalies, *searched.anomalies]
    )
    report.data.update(group=group, groups=[_group_json(one) for one in shown_groups])
    report.anomalies += ranking.anomalies
    report.answer = [*_summary(ranking, searched), *more_maps(more)]
    if group:
        _describe_groups(report, shown_groups, group, with_values)
    else:
        _describe(report, shown, ranking, with_values)
    if interrupted:
        report.interrupted(ranking.number)
    if len(shown_groups) < len(groups):
        report.cut("groups", len(shown_groups), len(groups))
    every_map = ranking.number + len(more.maps)
    if not group and len(shown) < every_map:
        report.cut("maps", len(shown), every_map)
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
        "maps": [_map_json(one) for one in shown],
        "total": {
            "maps": ranking.number,
            "entries": ranking.entries,
            "bytes": _bytes_json(total),
            "gives_back": ranking.gives_back,
            "values": _values(ranking),
        },
        "heap": beyond_json(more),
        "bytes_from": "size-classes",
        "scanned": {
            "goroutines": searched.goroutines,
            "frames": searched.frames,
            "globals": searched.globals,
            "maps": ranking.number,
            "dead": dead,
        },
    }


def _map_json(one: Ranked) -> dict[str, Any]:
    return {
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
        "bytes": _bytes_json(one.bytes),
        "values": one.values,
        "shares": hex(one.shares) if one.shares else None,
    }


def _bytes_json(one: Bytes) -> dict[str, int]:
    return {"allocated": one.allocated, "live": one.live, "waste": one.waste, "rebuilt": one.rebuilt}


def _group_json(one: Together) -> dict[str, Any]:
    return {
        "key": one.key or None,
        "maps": one.maps,
        "unnamed": one.unnamed,
        "count": one.entries,
        "load": one.load,
        "bytes": _bytes_json(one.bytes),
        "values": one.values,
        "fill": one.fill,
        "example": {"path": one.example.holder.path, "address": hex(one.example.address)},
    }


def _values(ranking: Ranking) -> int | None:
    known = [one.values for one in ranking.maps if one.values is not None]
    return sum(known) if known else None


def _summary(ranking: Ranking, searched: Roots) -> list[str]:
    total, number = ranking.total(), ranking.number
    seen = goroutines_seen(searched.goroutines, searched.unseen)
    scanned = f"({seen} and {human.plural(searched.globals, 'package variable')} searched)"
    if not number:
        return [f"no map was found {scanned}"]
    verb = "hold" if number > 1 else "holds"
    kept = _values(ranking)
    values = f"; keys and values keep {human.size(kept)} more" if kept is not None else ""
    what = f"{human.plural(number, 'map')} {verb} {human.size(total.allocated)} ({human.size(total.waste)} waste)"
    return [what + values, scanned]


#: How the type of a map is known that no variable led to (Ranked.known_by).
_SOURCES = {"allocator": "the allocator", "hashes": "hashes", "size": "size"}


def _name(one: Ranked) -> str:
    """What leads to the map."""
    if one.holder.kind not in NO_VARIABLE:
        return named(one.holder)
    if one.type is UNKNOWN:
        return "no variable; type unknown"
    doubt = f", {len(one.others):,} more fit" if one.others else ""
    return f"no variable; type by {_SOURCES.get(one.known_by or '', '?')}{doubt}"


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
    unnamed = [one for one in shown if one.holder.kind in NO_VARIABLE]
    if unnamed:
        facts.append(("no variable", "no variable searched leads to the map, which may be garbage not collected yet"))
    if any(one.others for one in unnamed):
        facts.append(("types", "where other types fit as well, --json names them"))
    if any(one.shares for one in shown):
        facts.append(("shared", "buckets shared by several headers are counted with the first"))
    if shown:
        report.sections.append(Facts(facts))
    best, back = ranking.best(lambda one: one.gives_back, 3), ranking.gives_back
    if back and best[0].gives_back >= 4096:
        paths = [f"{one.holder.path} {human.size(one.gives_back)}" for one in best if one.gives_back >= 4096]
        report.advice.append(
            f"Go maps never shrink; copying the entries into new maps would free {human.size(back)}, "
            f"most from {', '.join(paths)}"
        )


#: What a group is called whose key no variable tells, or whose type is not known.
_UNTOLD = {"type": "type unknown", "package": "no variable", "owner": "no variable"}


def _describe_groups(report: Report, shown: list[Together], by: str, with_values: bool) -> None:
    headings = ["held", "waste", "maps", "entries", by, "fill"]
    rows = [
        [
            human.size(one.allocated),
            human.size(one.bytes.waste),
            f"{one.maps:,}",
            f"{one.entries:,}",
            (human.short(one.key) if by == "type" else one.key) or _UNTOLD[by],
            " / ".join(f"{number:,}" for number in one.fill),
        ]
        for one in shown
    ]
    if with_values:
        headings.insert(2, "values")
        for row, one in zip(rows, shown):
            row.insert(2, human.size(one.values) if one.values is not None else "?")
    right = frozenset(range(5 if with_values else 4))
    report.sections = [Table(headings, rows, right, whole=len(right))]
    facts = [
        ("held", "in the allocator's size classes; whole pages over 32 KiB"),
        ("fill", "maps that are empty / at most 25% / 50% / 75% full / fuller"),
    ]
    report.sections.append(Facts(facts))
