"""hmap-advise: what to change about maps, and how many bytes it saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from gomap import human
from gomap.analysis.advice import Adviser
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import Beyond, beyond, header_size
from gomap.analysis.changes import Advice, Item, Subject
from gomap.analysis.held import AliasSearch, Holder
from gomap.analysis.identify import Identifier
from gomap.analysis.roots import Roots
from gomap.answers.facts import goroutines_seen, heap_facts, named, search_cut
from gomap.declare import Context
from gomap.golang.runtime.heap import heap_of
from gomap.golang.runtime.malloc import allocator
from gomap.maps import view
from gomap.report import Facts, Lines, Report, Section, Table
from gomap.results.advise import AdviceRow, AdviseResult, SavedFacts, StringRow
from gomap.results.fields import alike
from gomap.results.shared import ScannedFacts
from gomap.spelling import quote

#: What a change is, of a map or type.
TITLES = {
    "rebuild": "rebuild {}",
    "presize": "make {} with its size",
    "set": "make {} a set",
    "empty-maps": "empty maps of type {}",
    "tiny-maps": "tiny maps of type {}",
    "duplicate-strings": "equal strings in {}",
    "pinned": "larger objects kept alive by {}",
    "values-inline": "pointers to small values in {}",
    "array-keys": "keys of one length in {}",
}
#: What makes a figure an estimate.
CHANCE = {
    "tiny-maps": "the size class of what holds the slices decides",
    "duplicate-strings": "the allocator packs strings of less than 16 bytes",
    "pinned": "the allocator packs strings of less than 16 bytes",
}
HASHES = "the keys' hashes decide"
#: Maps without a variable whose types are worked out, those with the most bytes first.
MAX_IDENTIFIED = 1 << 10


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-advise. Raises what resolving EXPR raises."""
    target = context.target
    adviser = Adviser(target, heap_of(target), allocator(target), options["--min"])
    if options["EXPR"]:
        variable, t, address = context.resolve_map(options["EXPR"])
        found = [Subject(view(target, t, address), t, lambda: variable.name)] if address else []
        advice = adviser.advise(found, context.progress)
        report = Report(_result(advice, options, None, None, None))
        where = f"{variable.name} is a nil map" if not address else ""
        _describe(report, advice, options, where)
        return report
    searched = Roots(target, "all", context.progress, object_size=header_size(target))
    every = everywhere(target, searched, context.progress, once=True)
    more, identifier = beyond(target, every, searched.objects, progress=context.progress)
    subjects = [Subject(every.views[a], t, partial(_named, every.maps[a])) for a, t in every.types.items()]
    left = 0
    if identifier is not None:
        others, left, stopped = _unnamed(context, more, identifier)
        subjects += others
        every.interrupted = every.interrupted or stopped
    advice = adviser.advise(subjects, context.progress)
    advice.interrupted = advice.interrupted or every.interrupted
    result = _result(advice, options, searched, every, more)
    report = Report(result, anomalies=[*every.anomalies, *searched.anomalies])
    seen = goroutines_seen(searched.goroutines, searched.unseen)
    scanned = f"{seen} and {human.plural(searched.globals, 'package variable')} searched"
    _describe(report, advice, options, scanned)
    if more.why is not None:
        report.cut(f"not all of the heap was searched for maps: {more.why}", 0, None)
    if left:
        what = f"not among the {MAX_IDENTIFIED:,} largest, or of no known type"
        report.cut(f"{human.plural(left, 'map')} that no variable leads to left out: {what}", 0, None)
    if every.syncs:
        report.cut(f"{human.plural(len(every.syncs), 'sync.Map')} were not looked at", 0, None)
    search_cut(report, every)
    return report


def _named(holders: Sequence[Holder]) -> str:
    """A package variable rather than a local one, and either rather than a dead one; the shortest path."""
    every = [way for holder in holders for way in (holder, *holder.also)]
    best = min(every, key=lambda way: (way.kind == "dead", way.place.kind != "global", len(way.path)))
    return named(best)


def _unnamed(context: Context, more: Beyond, identifier: Identifier) -> tuple[list[Subject], int, bool]:
    """(the maps that no variable leads to, how many of them were left out, whether the user stopped it)."""
    found: list[Subject] = []
    census = more.census
    if census is None:
        return found, 0, False
    order = sorted(more.maps, key=lambda index: -census.held[index])[:MAX_IDENTIFIED]
    try:
        for done, index in enumerate(order):
            if done % 64 == 0:
                context.progress("types of maps", done, len(order))
            one = identifier.identify(census.addresses[index])
            if one.view is not None and one.type is not None:
                path = f"{census.addresses[index]:#x}:{one.type.name}"
                found.append(Subject(one.view, one.type, partial(str, path), unnamed=True))
    except KeyboardInterrupt:
        return found, len(more.maps) - len(found), True
    return found, len(more.maps) - len(found), False


def _result(
    advice: Advice, options: Mapping[str, Any], searched: Roots | None, found: AliasSearch | None, more: Beyond | None
) -> AdviseResult:
    return AdviseResult(
        expr=options["EXPR"],
        min=options["--min"],
        maps=advice.maps,
        entries=advice.entries,
        advice=[_row(item) for item in _shown(advice, options)],
        below_min=advice.small,
        heap=None if more is None else heap_facts(more),
        scanned=None
        if searched is None or found is None
        else ScannedFacts(searched.goroutines, searched.frames, searched.globals, len(found.maps), found.dead),
    )


def _shown(advice: Advice, options: Mapping[str, Any]) -> list[Item]:
    return advice.items[: options["-n"]] if options["-n"] else advice.items


def _row(item: Item) -> AdviceRow:
    one = item.subject
    return AdviceRow(
        kind=item.kind,
        path=one.path if one is not None else None,
        address=one.address if one is not None else None,
        type=item.type or None,
        maps=item.maps,
        do=item.do,
        how=item.how,
        saves=SavedFacts(item.held, item.allocated, item.scanned),
        within=item.within,
        assumes=item.assumes,
        capacity=item.capacity,
        strings=[alike(StringRow, again, text=again.text.decode("utf-8", "surrogateescape")) for again in item.strings],
    )


def _describe(report: Report, advice: Advice, options: Mapping[str, Any], scanned: str) -> None:
    shown, least = _shown(advice, options), human.size(options["--min"])
    looked = f"{human.plural(advice.maps, 'map')} with {human.plural(advice.entries, 'entry', 'entries')} looked at"
    if advice.items:
        one = len(advice.items) == 1
        report.answer = [f"{human.plural(len(advice.items), 'change')} {'saves' if one else 'save'} {least} or more"]
    else:
        report.answer = [f"no change saves {least} or more"]
    report.answer.append(f"({looked}{'; ' + scanned if scanned else ''})")
    if len(advice.items) > 1:
        report.answer.append("(each figure is for its change alone: those of one map do not add up)")
    for item in shown:
        report.sections += _sections(item)
    if len(shown) < len(advice.items):
        report.cut("changes", len(shown), len(advice.items), "-n 0")
    if advice.small:
        report.cut(f"{human.plural(advice.small, 'change')} that save fewer bytes left out (--min BYTES)", 0, None)
    if advice.unread:
        report.cut(f"{human.plural(advice.unread, 'map')} could not be read", 0, None)
    if advice.strings_left:
        report.cut(f"{human.plural(advice.strings_left, 'string')} left out: too many, too long or unreadable", 0, None)
    if advice.interrupted:
        report.interrupted(advice.maps)


def _saves(item: Item) -> str:
    about = "about " if item.within else ""
    if item.held > 0:
        return f"{about}{human.size(item.held)} freed"
    if item.allocated:
        return f"{about}{human.size(item.allocated)} less allocated"
    return f"{human.size(item.scanned)} less to scan"


def _sections(item: Item) -> list[Section]:
    one = item.subject
    what = human.short(item.type) if item.type else "all maps"
    where = f"{item.maps:,} maps"
    if one is not None:
        where = f"{one.address:#x}:{human.short(one.type.name)}"
        what = where if one.unnamed else one.path
    rows = [("map" if one is not None else "maps", where), ("do", item.do), ("figure", _figure(item))]
    if item.assumes is not None:
        rows.append(("if", item.assumes))
    sections: list[Section] = [Lines([f"{_saves(item)}: {TITLES[item.kind].format(what)}"]), Facts(rows)]
    if item.strings:
        lines = [
            [human.size(s.bytes), f"{s.copies:,}", f"{s.slots:,}", quote(s.text) + "..." * (len(s.text) < s.length)]
            for s in item.strings
        ]
        headings = ["bytes", "copies", "slots", "string"]
        sections.append(Table(headings, lines, frozenset({0, 1, 2}), code=frozenset({3})))
    return sections


def _figure(item: Item) -> str:
    more = []
    if item.held > 0 and item.allocated:
        more.append(f"{human.size(item.allocated)} less is allocated, too")
    if item.held < 0:
        more.append(f"{human.size(-item.held)} more would be held")
    if item.scanned:
        more.append(f"each collection scans {human.size(item.scanned)} less")
    if item.within:
        more.append(f"an estimate, {human.size(item.within)} more or less: {CHANCE.get(item.kind, HASHES)}")
    return "; ".join([item.how, *more])
