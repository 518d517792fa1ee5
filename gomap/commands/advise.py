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

#: What to change, of a map or type.
TITLES = {
    "rebuild": "rebuild {}",
    "presize": "give make a size for {}",
    "set": "use a set for {}",
    "empty-maps": "leave the empty maps of type {} nil",
    "tiny-maps": "use slices for the tiny maps of type {}",
    "duplicate-strings": "keep one copy of equal strings in {}",
    "pinned": "clone the parts of larger objects in {}",
    "values-inline": "store the small values of {} without pointers",
    "array-keys": "use arrays as keys of {}",
}
#: What makes a figure an estimate.
CHANCE = {
    "tiny-maps": "the structs that hold the slices may need other size classes",
    "duplicate-strings": "the allocator packs strings of less than 16 bytes",
    "pinned": "the allocator packs strings of less than 16 bytes",
}
HASHES = "it depends on the keys' hashes"
ORDER = "(those that free the most come first, then those that allocate less, then those that leave less to scan)"
ALONE = "(each figure is for its change alone; they do not add up, since two changes may save the same bytes)"
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
        was, it_is, its = ("was", "it is", "its type is") if left == 1 else ("were", "they are", "their types are")
        why = f"{it_is} not among the {MAX_IDENTIFIED:,} largest of these, or {its} not known"
        report.cut(f"{human.plural(left, 'map')} that no variable leads to {was} left out: {why}", 0, None)
    if every.syncs:
        was = "was" if len(every.syncs) == 1 else "were"
        what = f"{human.plural(len(every.syncs), 'sync.Map')} {was} not looked at"
        report.cut(f"{what} (those that were never used are among them; hmap-top does not count these)", 0, None)
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
    shown, least = _shown(advice, options), options["--min"]
    saved = f"save at least {human.size(least)} of memory" if least else "save memory"
    looked = f"{human.plural(advice.maps, 'map')} with {human.plural(advice.entries, 'entry', 'entries')} looked at"
    if advice.items:
        each = "would" if len(advice.items) == 1 else "would each"
        report.answer = [f"{human.plural(len(advice.items), 'change')} {each} {saved} held, allocated or scanned"]
    else:
        report.answer = [f"no change would {saved} held, allocated or scanned"]
    report.answer.append(f"({looked}{'; ' + scanned if scanned else ''})")
    if len(advice.items) > 1:
        report.answer += [ORDER, ALONE]
    for item in shown:
        report.sections += _sections(item)
    if len(shown) < len(advice.items):
        report.cut("changes", len(shown), len(advice.items), "-n 0")
    if advice.small:
        verb, would = ("is", "would save") if advice.small == 1 else ("are", "would each save")
        what = f"{human.plural(advice.small, 'change')} that {would} fewer bytes {verb} not shown"
        report.cut(what, 0, None, "--min 0")
    if advice.unread:
        report.cut(f"{human.plural(advice.unread, 'map')} could not be read", 0, None)
    if advice.strings_left:
        verb = "was" if advice.strings_left == 1 else "were"
        what = f"{human.plural(advice.strings_left, 'string')} {verb} left out: too many, too long or unreadable"
        report.cut(what, 0, None)
    if advice.interrupted:
        report.interrupted(advice.maps)


def _saves(item: Item) -> str:
    about = "about " if item.within else ""
    if item.held > 0:
        return f"would free {about}{human.size(item.held)}"
    if item.allocated:
        return f"would allocate {about}{human.size(item.allocated)} less"
    return f"each collection would scan {human.size(item.scanned)} less"


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
        more.append(f"{human.size(item.allocated)} less would be allocated, too")
    if item.held < 0:
        more.append(f"{human.size(-item.held)} more would be held")
    if item.scanned:
        more.append(f"each collection would scan {human.size(item.scanned)} less")
    if item.within:
        more.append(f"an estimate to within {human.size(item.within)}: {CHANCE.get(item.kind, HASHES)}")
    return "; ".join([item.how, *more])
