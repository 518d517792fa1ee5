"""hmap-top: which maps take the memory."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

from gomap import __version__, human, moving, zips
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import NO_VARIABLE, UNKNOWN, Beyond, HeapSearch, beyond, header_size, search_heap
from gomap.analysis.held import AliasSearch
from gomap.analysis.identify import Identifier
from gomap.analysis.ranked_groups import KEYS, Together, add_up, alike
from gomap.analysis.ranking import (
    ORDERS,
    Ranked,
    Ranking,
    add_values,
    measure,
    measure_beyond,
)
from gomap.analysis.referents import Referents
from gomap.analysis.referring import Referring
from gomap.analysis.retained_maps import Garbage, garbage, retained_by
from gomap.analysis.roots import Roots
from gomap.analysis.selection import Selection
from gomap.analysis.trail import Trail, Trails
from gomap.analysis.whole_heap import HeapAtHand, WholeHeap, whole_heap
from gomap.answers.facts import goroutines_seen, heap_facts, in_frame, not_searched, search_cut, way_facts
from gomap.answers.paths import ShortNames
from gomap.commands.origin import add_origins
from gomap.declare import Context
from gomap.errors import BadImage, GomapError, UsageError
from gomap.golang.layouts.structure import Bytes
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import Kind
from gomap.heap.graph import algorithms
from gomap.moving import Bounds
from gomap.profiles import messages, stacks
from gomap.report import Facts, Report, Table
from gomap.results.shared import ScannedFacts, SizeFacts
from gomap.results.top import ProfileFacts, TopExample, TopGroup, TopMap, TopResult, TopTotal, TopUnreachable

#: As many maps that no variable leads to are all measured, for what all maps hold; of more those that may be listed.
FEW = 1024
#: Ways from roots that are written down.
MAX_TRAILS = 64
#: Objects in a row of a way that no type is known of: hmap-why has each of them.
_NAMELESS = re.compile(r"(?: -> 0x[0-9a-f]+ \([\d,]+ B\)(?: \+0x[0-9a-f]+)?){3,}")


class _Fate(NamedTuple):
    """Of a map that no variable led to. alive: whether a root leads to it, None where that is not known. trail: the
    shortest way from there."""

    alive: bool | None = None
    trail: str | None = None


_UNKNOWN = _Fate()


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-top. Raises UsageError for options that can't be combined; GomapError without numpy and scipy."""
    target, by, group, most = context.target, options["--by"], options["--group"], options["-n"]
    of_garbage = bool(options["--unreachable"])
    selection = Selection(target, options.get("--package"), options.get("--type"), bool(options.get("--std")))
    if by == "retained" and (group or of_garbage):
        other = "--group" if group else "--unreachable"
        raise UsageError(f"--by retained ranks single maps that are alive: it can't be combined with {other}")
    if of_garbage and selection.package is not None:
        raise UsageError("no variable leads to garbage, so that --package can't select it: leave one of the two out")
    with_values = options["--values"] or by == "values"
    file = options["--pprof"]
    if file is not None:
        if of_garbage:
            raise UsageError("--pprof writes the maps that are alive: it can't be combined with --unreachable")
        zips.check_place(file, options["--overwrite"])
        messages.needed()
    if by == "retained" or of_garbage:
        if target.kind == "recorded":
            raise GomapError("a recorded map has no heap: use the process or its core")
        algorithms()  # missing packages are reported before the long work
    heap = Heap(target) if with_values else None
    headers = search_heap(target, context.progress)
    retained: dict[int, int] | None = None
    whole: WholeHeap | None = None
    at_hand = HeapAtHand(target, context.progress)
    dead: Garbage | None = None
    identifier: Identifier | None
    if of_garbage:
        # No variable leads to garbage: none is looked for.
        searched, found, ranking = Roots(target, "all"), AliasSearch(), Ranking()
        dead, more, identifier = _garbage(context, headers)
    else:
        searched = Roots(target, "all", context.progress, object_size=header_size(target))
        found = everywhere(target, searched, context.progress, once=True, census=headers.census)
        ranking = measure(target, found, context.progress, headers.census)
        more, identifier = beyond(target, found, searched.objects, headers, context.progress, at_hand)
        if by == "retained":
            whole = whole_heap(target, context.progress)
            ranking = ranking.one_by_one()
            retained = _retained(context, whole, ranking, more)
    others = Ranking()
    if identifier is not None and not ranking.interrupted:
        every = group or by == "values" or file is not None or len(more.maps) <= FEW or selection.type is not None
        others = measure_beyond(target, more, identifier, by, 0 if every else most, context.progress, retained)
    referents = Referents(target, heap) if heap is not None else None
    if referents is not None:
        ranking = ranking.one_by_one()
        ranking.maps.sort(key=ORDERS["bytes"], reverse=True)
        add_values(target, ranking, referents, context.progress)
        add_values(target, others, referents, context.progress)
    interrupted = ranking.interrupted or others.interrupted
    order = ORDERS[by]
    asked, unnamed = ranking, others
    if selection.narrows:
        asked, unnamed = (
            one.only(lambda each: selection.selects(each.holder, each.type.name)) for one in (ranking, others)
        )
    seen = asked  # by a person
    if not (options.get("--json") or selection.std or selection.narrows):
        seen = asked.only(lambda each: not selection.is_standard(each.holder, each.type.name))
    groups: list[Together] = []
    rows: list[Together] = []
    shown: list[Ranked] = []
    if group:
        groups = add_up(chain(seen.counted(), unnamed.counted()), KEYS[group], order)
    elif options.get("--json"):
        shown = sorted([*asked.best(order, most), *unnamed.maps], key=order, reverse=True)[: most or None]
    else:
        rows = add_up(chain(seen.counted(), unnamed.counted()), alike, order)
        shown = [one.example for one in rows[: most or None]]
    shown_groups = groups[: most or None]
    fates = {} if dead is not None else _fates(context, whole, at_hand, shown)
    bounds = moving.bounds(target)
    result = _result(
        shown, shown_groups, ranking, searched, by, group, found.dead, more, dead, bounds, fates, selection
    )
    report = Report(result, anomalies=[*found.anomalies, *searched.anomalies], bounds=bounds)
    report.anomalies += ranking.anomalies
    every_map = ranking.number + len(more.maps)
    if selection.narrows:
        number = asked.number + unnamed.number
        report.answer = [*_asked_words(asked, unnamed, selection, every_map), *not_searched(more)]
        if options.get("--json"):
            report.cut(f"maps {selection.asked}", number, every_map)
    elif dead is not None:
        report.answer = _garbage_words(dead)
    else:
        report.answer = [*_summary(ranking, others, more, searched), *not_searched(more)]
    missing = dead.missing if dead is not None else whole.missing if whole is not None else ()
    if missing:
        what = "some of these maps may be reachable" if dead is not None else "what maps retain may be less or more"
        report.answer.append(f"(not looked at: {'; '.join(missing)}: {what})")
        report.cut("not all of the heap and its roots was looked at", 0, None)
    if not options.get("--json"):
        full = bool(options.get("--full") or options["--origin"])
        words = _Text(ShortNames(target), with_values, dead is not None, bounds, fates, full)
        hidden = _hidden(asked, seen)
        if group:
            words.describe_groups(report, shown_groups, group)
            report.sections.append(Facts(hidden))
        else:
            number = asked.number + unnamed.number if selection.narrows else every_map
            words.describe(report, rows, most, number - (asked.number - seen.number), hidden)
    listed = any(one.unnamed for one in shown_groups) or any(one.holder.kind in NO_VARIABLE for one in shown)
    if at_hand.no_packages and dead is None and listed:
        what = "with numpy and scipy, hmap-top also knows what keeps maps without a variable alive, and more types"
        report.advice.append(f"{what}: python3 -m pip install numpy scipy")
    if interrupted:
        report.interrupted(ranking.number)
    if len(shown_groups) < len(groups):
        report.cut("groups", len(shown_groups), len(groups), "-n 0")
    if not group and options.get("--json") and len(shown) < every_map and not selection.narrows:
        report.cut("maps", len(shown), every_map, "-n 0")
    search_cut(report, found)
    if referents is not None and referents.cut:
        report.cut("values: not everything that they keep alive was followed", referents.followed, None)
    if referents is not None and referents.unreadable:
        report.cut(f"values: {human.plural(referents.unreadable, 'object')} could not be read", 0, None)
    if options["--origin"]:
        add_origins(context, report, shown, options["-n"])
    if file is not None:
        _save(context, report, file, options["--overwrite"], stacks.samples(asked, unnamed, by == "retained"))
    return report


def _save(
    context: Context, report: Report, path: str, overwrite: bool, samples: dict[tuple[messages.Frame, ...], list[int]]
) -> None:
    """Writes the profile and says so. Raises BadImage."""
    target = context.target
    values: tuple[tuple[str, str], ...] = stacks.VALUES
    if any(len(one) > len(values) for one in samples.values()):
        values = (*values, stacks.RETAINED)
    notes = [cut.what for cut in report.truncated or () if cut.what not in ("maps", "groups")]
    data = messages.encode(
        messages.Profile(
            values,
            "bytes",
            samples,
            [f"gomap {__version__}: maps of a Go program, {target.kind}", *notes],
            time.time() if target.kind == "live" else 0,
        )
    )
    try:
        with zips.whole(path, overwrite) as out:
            out.write(data)
    except OSError as error:
        raise BadImage(f"{path} can't be written: {error.strerror or error}") from error
    maps = sum(one[0] for one in samples.values())
    names = [name for name, _ in values]
    report.data = replace(report.data, profile=ProfileFacts(path, len(data), maps, len(samples), names))
    report.answer.append(f"(profile of {human.plural(maps, 'map')} saved to {path}: go tool pprof -http=: {path})")


def _garbage(context: Context, headers: HeapSearch) -> tuple[Garbage, Beyond, Identifier]:
    """The maps that the next collection frees, and the Identifier of their types. Raises GomapError."""
    target = context.target
    if headers.census is None or headers.heap is None:
        raise GomapError(f"the heap was not searched for maps: {headers.why}")
    found = garbage(whole_heap(target, context.progress), headers.census)
    identifier = Identifier(target, headers.heap, DescribedTypes(target))
    identifier.referring = Referring(target, lambda address: None, HeapAtHand(target, context.progress))
    return found, found.maps, identifier


def _fates(context: Context, whole: WholeHeap | None, at_hand: HeapAtHand, shown: list[Ranked]) -> dict[int, _Fate]:
    """Whether a root leads to each map of the heap that no variable led to, by address, where the heap's graph is at
    hand; and the shortest way of the first of them."""
    unnamed = [one.address for one in shown if one.holder.kind == "heap"]
    if unnamed and whole is None:
        whole = at_hand()
    if not unnamed or whole is None:
        return {}
    objects, retained = whole.graph.objects, whole.retained
    numbers = objects.objects_at(unnamed)
    writer = Trails(context.target, whole.heap, whole.graph, whole.roots)
    found: dict[int, _Fate] = {}
    for done, (address, one, alive) in enumerate(zip(unnamed, numbers.tolist(), retained.alive[numbers].tolist())):
        if one < 0 or (not alive and whole.missing):
            continue
        way = retained.shortest(one) if done < MAX_TRAILS else None
        found[address] = _Fate(alive, None if way is None else _written(writer.of(way), address))
    return found


def _written(trail: Trail, address: int) -> str:
    before, _, last = trail.text.rpartition(" -> ")
    text = before if last.startswith(f"{address:#x} (") else trail.text  # the row has the address
    text = _NAMELESS.sub(lambda found: f" -> {found[0].count(' -> ')} objects", text)
    return text + ("" if trail.name is None else in_frame(trail.place))


def _retained(context: Context, whole: WholeHeap, ranking: Ranking, more: Beyond) -> dict[int, int]:
    """What each map keeps alive, by its address: of those that are ranked it is set."""
    size = header_size(context.target)
    maps = [(one.address, size if one.type.kind is Kind.MAP else one.type.size) for one in ranking.maps]
    if more.census is not None:
        maps += [(more.census.addresses[index], size) for index in more.maps]
    found = retained_by(context.target, whole, maps)
    for one in ranking.maps:
        one.retained = found[one.address]
    return found


def _result(
    shown: list[Ranked],
    groups: list[Together],
    ranking: Ranking,
    searched: Roots,
    by: str,
    group: str | None,
    dead: int,
    more: Beyond,
    unreachable: Garbage | None,
    bounds: Bounds | None,
    fates: Mapping[int, _Fate],
    selection: Selection,
) -> TopResult:
    total = TopTotal(
        maps=ranking.number,
        entries=ranking.entries,
        bytes=_sizes(ranking.total()),
        gives_back=ranking.gives_back,
        values=_values(ranking),
    )
    return TopResult(
        by=by,
        group=group,
        groups=[_group(one) for one in groups],
        maps=[_map(one, bounds, fates, selection) for one in shown],
        total=total,
        heap=heap_facts(more),
        unreachable=None if unreachable is None else _unreachable(unreachable),
        bytes_from="size-classes",
        scanned=ScannedFacts(searched.goroutines, searched.frames, searched.globals, ranking.number, dead),
    )


def _bound(one: Ranked, bounds: Bounds | None) -> int | None:
    """The most that its number of entries may be off; None if the program is stopped."""
    return None if bounds is None else max(bounds.of(one.address), one.bound or 0)


def _map(one: Ranked, bounds: Bounds | None, fates: Mapping[int, _Fate], selection: Selection) -> TopMap:
    fate = fates.get(one.address, _UNKNOWN)
    return TopMap(
        way=way_facts(one.holder),
        address=one.address,
        type=one.type.name if one.type is not UNKNOWN else None,
        type_known_by=one.known_by,
        type_or=list(one.others),
        alive=fate.alive,
        trail=fate.trail,
        count=one.count,
        bound=_bound(one, bounds),
        load=one.load,
        layout=one.layout,
        bytes=_sizes(one.bytes),
        values=one.values,
        retained=one.retained,
        shares=one.shares,
        std=selection.is_standard(one.holder, one.type.name),
    )


def _sizes(one: Bytes) -> SizeFacts:
    return SizeFacts(one.allocated, one.live, one.waste, one.rebuilt)


def _group(one: Together) -> TopGroup:
    return TopGroup(
        key=one.key or None,
        maps=one.maps,
        unnamed=one.unnamed,
        unsure=one.unsure,
        count=one.entries,
        load=one.load,
        bytes=_sizes(one.bytes),
        values=one.values,
        fill=one.fill,
        example=TopExample(one.example.holder.path, one.example.address),
    )


def _values(ranking: Ranking) -> int | None:
    known = [one.values for one in ranking.maps if one.values is not None]
    return sum(known) if known else None


def _unreachable(found: Garbage) -> TopUnreachable:
    more = found.maps
    return TopUnreachable(
        maps=len(more.maps),
        entries=more.entries,
        bytes=more.bytes,
        empty=more.empty,
        reachable=found.reachable,
        complete=not found.missing and more.census is not None and more.census.complete,
    )


def _garbage_words(found: Garbage) -> list[str]:
    more = found.maps
    number, reachable = len(more.maps), human.plural(found.reachable, "other map" if more.maps else "map")
    if not number:
        what = "map that has memory for entries" if more.empty else "map"
        lead = "it" if found.reachable == 1 else "all"
        said = [f"no {what} is garbage: {reachable} in the heap, and roots lead to {lead}"]
    else:
        what = f"{human.plural(number, 'map')} with {human.plural(more.entries, 'entry', 'entries')}"
        are = "are" if number > 1 else "is"
        said = [
            f"{what} {are} garbage that is not collected yet: {human.size(more.bytes)} in headers and arrays",
            f"(no root leads to {'them' if number > 1 else 'it'}; roots lead to {reachable} in the heap)",
        ]
    if more.empty:
        said.append(f"({human.plural(more.empty, 'header')} of maps that never had an entry: also garbage)")
    if more.census is not None and not more.census.complete:
        said.append("(not all of the heap was searched for maps)")
    return said


def _summary(ranking: Ranking, others: Ranking, more: Beyond, searched: Roots) -> list[str]:
    """All maps together, whatever leads to them."""
    total, unnamed, number = ranking.total(), others.total(), ranking.number + len(more.maps)
    seen = goroutines_seen(searched.goroutines, searched.unseen)
    scanned = f"{seen} and {human.plural(searched.globals, 'package variable')} searched"
    if not number:
        return [f"no map was found ({scanned})"]
    # Of those that can't be in the list no more is known than the census has.
    measured = {one.address for one in others.maps}
    census = more.census
    rest = [i for i in more.maps if census is not None and census.addresses[i] not in measured]
    held = total.allocated + unnamed.allocated + sum(census.held[i] for i in rest if census is not None)
    waste = total.waste + unnamed.waste
    least = "at least " if rest else ""
    what = f"{human.plural(number, 'map')} {'hold' if number > 1 else 'holds'} {human.size(held)}"
    kept = [one for one in (_values(ranking), _values(others)) if one is not None]
    values = f"; keys and values keep {human.size(sum(kept))} more" if kept else ""
    first = f"{what} ({least}{human.size(waste)} waste){values}"
    if not more.maps:
        return [first, f"({scanned})"]
    which = "it" if number == 1 else f"{len(more.maps):,} of the maps" if ranking.number else "them"
    return [first, f"({scanned}; no variable leads to {which})"]


def _asked_words(asked: Ranking, unnamed: Ranking, selection: Selection, every: int) -> list[str]:
    """The maps that --package and --type ask for, together."""
    number = asked.number + unnamed.number
    if not number:
        return [f"no map {selection.asked} ({human.plural(every, 'map')} looked at)"]
    total, more = asked.total(), unnamed.total()
    held, waste = total.allocated + more.allocated, total.waste + more.waste
    verb = "hold" if number > 1 else "holds"
    what = f"{human.plural(number, 'map')} {selection.asked} {verb} {human.size(held)} ({human.size(waste)} waste)"
    return [what, f"({human.plural(every, 'map')} looked at)"]


def _hidden(asked: Ranking, seen: Ranking) -> list[tuple[str, str]]:
    """The maps of the standard library that are left out."""
    number = asked.number - seen.number
    if not number:
        return []
    held = human.size(asked.total().allocated - seen.total().allocated)
    are, hold, them = ("is", "holds", "it") if number == 1 else ("are", "hold", "them")
    what = f"{human.plural(number, 'map')} of the standard library, which {hold} {held}, {are} not shown"
    return [("std", f"{what}: --std shows {them}")]


#: How the type of a map is known that no variable led to (Ranked.known_by).
_SOURCES = {"reference": "what points to it", "allocator": "the allocator", "hashes": "hashes", "size": "size"}
#: The name of a group without a variable or known type.
_UNTOLD = {"type": "type unknown", "package": "no variable", "owner": "no variable"}
_HELD = "memory of the map's header and arrays as the allocator counts it, rounded up to its size classes"
_CUT = "shortened: --full shows whole paths, with addresses and types"


@dataclass
class _Text:
    """What a person reads. dead: of garbage. full: paths are told whole, however many lines that takes."""

    names: ShortNames
    with_values: bool
    dead: bool
    bounds: Bounds | None
    fates: Mapping[int, _Fate]
    full: bool

    def describe(
        self, report: Report, rows: list[Together], most: int, maps: int, hidden: list[tuple[str, str]]
    ) -> None:
        """most: as many rows may be listed, 0 for all. maps: how many could be."""
        shown = rows[: most or None]
        several = any(one.maps > 1 for one in shown)
        with_retained = any(one.retained is not None for one in shown)
        headings = ["held", "waste", "entries", "load"]
        table = [
            [
                human.size(one.allocated),
                human.size(one.bytes.waste),
                self._entries(one),
                "" if one.load is None else human.percent(one.load),
            ]
            for one in shown
        ]
        optional = [3]

        def insert(at: int, heading: str, cells: list[str]) -> None:
            headings.insert(at, heading)
            optional[0] += at <= optional[0]
            for row, cell in zip(table, cells):
                row.insert(at, cell)

        if several:
            insert(2, "maps", [f"{one.maps:,}" for one in shown])
        if self.with_values:
            insert(2, "values", [human.size(one.values) if one.values is not None else "?" for one in shown])
        if with_retained:
            insert(0, "retained", [human.size(one.retained) if one.retained is not None else "?" for one in shown])
        numbers = len(headings)
        right = frozenset(range(numbers))
        if self.full:
            cells = [[self._whole(one), self._typed(one.example)] for one in shown]
            rows_ = [[*row, *cell] for row, cell in zip(table, cells)]
            report.sections = [Table([*headings, "map", "address:type"], rows_, right, whole=numbers)]
        else:
            cells = [self._cells(one.example) for one in shown]
            rows_ = [[*row, *cell] for row, cell in zip(table, cells)]
            by_load = report.data.by == "load"
            left_out = [numbers + 2, *([] if by_load else [optional[0]]), numbers + 1]
            report.sections = [
                Table(
                    [*headings, "map", "address", "type"],
                    rows_,
                    right,
                    middle=numbers,
                    optional=left_out,
                    hint=("map", _CUT),
                )
            ]
        facts = self._facts(shown, with_retained, several)
        left = maps - sum(one.maps for one in shown)
        if left:
            facts.append(("more", f"{human.plural(left, 'map')}: -n 0 lists all"))
        report.sections.append(Facts([*facts, *hidden] if shown else hidden))
        named = [one for one in rows if one.example.holder.kind not in NO_VARIABLE]
        best = sorted(named, key=lambda one: one.gives_back, reverse=True)[:3]
        back = sum(one.gives_back for one in named)
        if back and best[0].gives_back >= 4096:
            paths = [f"{self._whole(one, place=False)} {human.size(one.gives_back)}" for one in best]
            worth = [path for path, one in zip(paths, best) if one.gives_back >= 4096]
            report.advice.append(
                f"Go maps never shrink; copying the entries into new maps would free {human.size(back)}, "
                f"most from {', '.join(worth)}"
            )

    def _facts(self, shown: list[Together], with_retained: bool, several: bool) -> list[tuple[str, str]]:
        facts = [("held", _HELD)]
        if several:
            facts.append(("maps", "maps whose paths differ only in an index or key share a row, with the first path"))
        if with_retained:
            facts.insert(0, ("retained", "what a collection would free without the map (see hmap-why)"))
        if self.with_values:
            facts.append(("values", "heap memory that keys and values lead to, each object counted once"))
        unnamed = [one.example for one in shown if one.example.holder.kind in NO_VARIABLE]
        if not self.dead and any(self._unnamed(one).startswith("no variable") for one in unnamed):
            what = "no variable searched leads to the map, which may be garbage not collected yet"
            facts.append(("no variable", what))
        if any(one.others for one in unnamed):
            facts.append(("types", "if other types fit as well, --json names them"))
        if any(one.example.shares for one in shown):
            facts.append(("shared", "buckets shared by several headers are counted with the first"))
        return facts

    def describe_groups(self, report: Report, shown: list[Together], by: str) -> None:
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
        if self.with_values:
            headings.insert(2, "values")
            for row, one in zip(rows, shown):
                row.insert(2, human.size(one.values) if one.values is not None else "?")
        right = frozenset(range(5 if self.with_values else 4))
        report.sections = [Table(headings, rows, right, whole=len(right))]
        facts = [
            ("held", _HELD),
            ("fill", "how many of the maps are empty / up to 25% / up to 50% / up to 75% / more than 75% full"),
        ]
        unsure = sum(one.unsure for one in shown) if by == "type" else 0
        if unsure:
            what = f"other types fit {human.plural(unsure, 'map')} of these as well (unsure in --json)"
            facts.append(("types", what))
        report.sections.append(Facts(facts))

    def _entries(self, one: Together) -> str:
        off = _bound(one.example, self.bounds) if one.maps == 1 else None
        return f"{one.entries:,}" + (f" ± {off:,}" if off else "")

    def _cells(self, one: Ranked) -> list[str]:
        """Path, address and type. A map that no variable led to has no path: its address stands there."""
        if one.holder.kind in NO_VARIABLE:
            return [f"{self._typed(one)}  {self._unnamed(one)}", "", ""]
        return [self.names.named(one.holder), f"{one.address:#x}", self.names.type(one.type.name)]

    def _typed(self, one: Ranked) -> str:
        return f"{one.address:#x}" + (f":{self.names.type(one.type.name)}" if one.type is not UNKNOWN else "")

    def _whole(self, one: Together, place: bool = True) -> str:
        holder = one.example.holder
        if holder.kind in NO_VARIABLE:
            text = self._unnamed(one.example) if place else self._typed(one.example)
        else:
            text = self.names.named(holder) if place else self.names.path(holder)
        return text + (f" and {one.maps - 1:,} like it" if one.maps > 1 else "")

    def _unnamed(self, one: Ranked) -> str:
        """What there is instead of a path."""
        fate = self.fates.get(one.address, _UNKNOWN)
        what = "garbage" if self.dead or fate.alive is False else human.short(fate.trail or "no variable")
        if one.type is UNKNOWN:
            return f"{what}; type unknown"
        doubt = f", {len(one.others):,} others fit" if one.others else ""
        return f"{what}; type by {_SOURCES.get(one.known_by or '', '?')}{doubt}"
