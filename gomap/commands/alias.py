"""hmap-alias: which variables share one map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap import human
from gomap.analysis.alias import Found, Group, Holder, groups, holders
from gomap.analysis.roots import Roots
from gomap.commands.declare import Context
from gomap.commands.facts import hex_or_none, place_json, where
from gomap.expr import resolve_map
from gomap.gotypes import Kind
from gomap.report import Facts, Lines, Report, Section
from gomap.target import Variable


def run(context: Context, options: Mapping[str, Any]) -> Report:
    target = context.target
    expressions: list[str] = options["EXPR"]
    depth = context.settings.depth if options["--depth"] is None else options["--depth"]
    if expressions:
        searched = None
        found = holders(target, [_named(context, text) for text in expressions], 0)
    else:
        searched = Roots(target, options["--scope"], context.progress)
        found = holders(target, searched, depth, context.progress)
        found.anomalies += searched.anomalies
    together = groups(target, found)
    shared = [group for group in together if len(group.holders) > 1]
    listed = together if options["--all"] or expressions else shared
    listed.sort(key=lambda group: (-len(group.holders), group.address))
    report = Report(_json(listed, found, searched), anomalies=found.anomalies)
    report.answer = [_summary(shared, together, found, searched)]
    if not options.get("--json"):
        _describe(report, listed, found, bool(expressions) or options["--all"])
    if found.interrupted:
        report.answer.append("(interrupted: this is what the search had come to)")
        report.cut("the search was interrupted", 0, None)
    for text in found.shortened:
        report.cut(text, 0, None)
    if found.too_deep and not expressions:
        what = human.plural(found.too_deep, "value lies", "values lie")
        report.cut(f"{what} deeper than --depth {depth}", 0, None)
    return report


def _describe(report: Report, listed: list[Group], found: Found, nil: bool) -> None:
    """The sections a person reads."""
    width = max((len(place) for group in listed for place, _ in _by_place(group.holders)), default=0)
    report.sections = [section for group in listed for section in _sections(group, width)]
    report.sections += _nil_section(found, nil)


def _named(context: Context, text: str) -> Variable:
    """The variable, as the map that it holds."""
    variable, t, address = resolve_map(context.target, text)
    if variable.type.kind is not Kind.MAP:
        return Variable(text, t, data=context.target.arch.pack(address), place=variable.place)
    return Variable(text, t, variable.address, variable.data, variable.holes, variable.place)


def _json(listed: list[Group], found: Found, searched: Roots | None) -> dict[str, Any]:
    places = {(h.place.goroutine, h.place.frame) for held in found.maps.values() for h in held}
    own = {place for place in places if place != (None, None)}
    return {
        "groups": [
            {
                "address": hex(group.address),
                "buckets": hex_or_none(group.buckets),
                "type": group.type.name,
                "count": group.count,
                "shared_by": group.shared_by,
                "headers": [hex(header) for header in group.headers],
                "holders": [_holder_json(holder) for holder in group.holders],
            }
            for group in listed
        ],
        "nil_maps": [_holder_json(holder) for holder in found.nil],
        "scanned": {
            "goroutines": searched.goroutines if searched else len({goroutine for goroutine, _ in own}),
            "frames": searched.frames if searched else len(own),
            "globals": searched.globals if searched else int((None, None) in places),
            "maps": len(found.maps),
        },
    }


def _holder_json(holder: Holder) -> dict[str, Any]:
    return {
        "path": holder.path,
        "kind": holder.kind,
        **place_json(holder.place),
        "address": hex_or_none(holder.address),
        "also": [{"path": other.path, "kind": other.kind, **place_json(other.place)} for other in holder.also],
    }


def _summary(shared: list[Group], together: list[Group], found: Found, searched: Roots | None) -> str:
    if searched is None:
        if not together:
            return "nil maps only: nothing is shared"
        if len(together) == 1 and len(together[0].holders) > 1 and not found.nil:
            group = together[0]
            if group.shared_by == "header":
                return f"all {len(group.holders)} are one map"
            return f"{len(group.headers)} headers share one bucket array: the header was copied"
        if not shared:
            return f"{human.plural(len(together), 'separate map')}: nothing is shared"
        return f"{human.plural(len(together), 'map')}, {len(shared)} of them shared"
    variables = human.plural(searched.globals, "package variable")
    frames = [*searched.functions]
    if searched.scope != "frame":
        frames = [f"{human.plural(searched.goroutines, 'goroutine')} with {human.plural(searched.frames, 'frame')}"]
    scanned = f"({human.plural(len(found.maps), 'map')}; {' and '.join([*frames, variables])} searched)"
    if not shared:
        return f"no map is shared {scanned}"
    holders_ = sum(len(group.holders) for group in shared)
    verb = "is" if len(shared) == 1 else "are"
    return f"{human.plural(len(shared), 'map')} {verb} shared by {human.plural(holders_, 'variable')} {scanned}"


def _sections(group: Group, width: int) -> list[Section]:
    buckets = f"  buckets {group.buckets:#x}" if group.buckets else ""
    entries = human.plural(group.count, "entry")
    lines = [f"{group.type.name}  {group.address:#x}  {entries}{buckets}"]
    if group.shared_by == "buckets":
        headers = ", ".join(f"{header:#x}" for header in group.headers)
        lines.append(f"  {len(group.headers)} headers share these buckets: {headers}")
    return [Lines(lines), Facts(_by_place(group.holders), width)]


def _by_place(holders: list[Holder]) -> list[tuple[str, str]]:
    """Paths under the place they start from, frames before package variables; where more than one goroutine
    stands at a place, which."""
    places: dict[str, dict[str, set[int]]] = {}
    for holder in [each for known in holders for each in (known, *known.also)]:
        paths = places.setdefault(where(holder.place), {})
        paths.setdefault(holder.path, set()).add(holder.place.goroutine or 0)
    rows = []
    for place, paths in places.items():
        everyone = set().union(*paths.values())
        if len(everyone) == 1:
            rows.append((place, ", ".join(paths)))
            continue
        together: dict[frozenset[int], list[str]] = {}
        for path, goroutines in paths.items():
            together.setdefault(frozenset(goroutines), []).append(path)
        for some, named in together.items():
            rows.append((place, f"{', '.join(named)}  {_goroutines(some)}"))
    return rows


def _goroutines(ids: frozenset[int]) -> str:
    """goroutine 7; goroutines 18-37 (20)."""
    if len(ids) == 1:
        return f"goroutine {min(ids)}"
    return f"goroutines {human.ranges(ids)} ({len(ids):,})"


def _nil_section(found: Found, listed: bool) -> list[Section]:
    if not found.nil:
        return []
    if not listed:
        return [Lines([f"{human.plural(len(found.nil), 'nil map')} (--all lists them)"])]
    return [Lines(["nil maps"]), Facts(_by_place(found.nil))]
