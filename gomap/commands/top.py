"""hmap-top: which maps take the memory."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
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
from gomap.analysis.whole_heap import HeapAtHand, WholeHeap
from gomap.answers.facts import heap_facts, in_frame, not_searched, search_cut, way_facts
from gomap.answers.paths import ShortNames
from gomap.answers.top import (
    UNKNOWN_FATE,
    Fate,
    TopText,
    asked_words,
    bound_of,
    garbage_words,
    hidden_facts,
    summary,
)
from gomap.commands.origin import add_origins
from gomap.declare import Context
from gomap.errors import GomapError, UsageError
from gomap.golang.layouts.structure import Bytes
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import Kind
from gomap.heap.graph import algorithms
from gomap.moving import Bounds
from gomap.profiles import messages, stacks
from gomap.report import Facts, Report
from gomap.results.shared import ScannedFacts, SizeFacts
from gomap.results.top import ProfileFacts, TopExample, TopGroup, TopMap, TopResult, TopTotal, TopUnreachable

#: As many maps that no variable leads to are all measured, for what all maps hold; of more those that may be listed.
FEW = 1024
#: Ways from roots that are written down.
MAX_TRAILS = 64
#: Objects in a row of a way that no type is known of: hmap-why has each of them.
_NAMELESS = re.compile(r"(?: -> 0x[0-9a-f]+ \([\d,]+ B\)(?: \+0x[0-9a-f]+)?){3,}")


class Answered(NamedTuple):
    """listed: the maps of report.data, in their order. ranking: all maps that variables lead to. others: those that no
    variable led to, and that were measured."""

    report: Report
    listed: list[Ranked]
    ranking: Ranking
    others: Ranking


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-top. Raises as answered."""
    return answered(context, options).report


def answered(context: Context, options: Mapping[str, Any]) -> Answered:
    """The answer of hmap-top, and the maps that it is about. Raises UsageError for options that can't be combined;
    GomapError without numpy and scipy."""
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
        dead, more, identifier = _garbage(context, headers, at_hand)
    else:
        searched = Roots(target, "all", context.progress, object_size=header_size(target))
        found = everywhere(target, searched, context.progress, once=True, census=headers.census)
        ranking = measure(target, found, context.progress, headers.census)
        more, identifier = beyond(target, found, searched.objects, headers, context.progress, at_hand)
        if by == "retained":
            whole = at_hand.whole()
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
    fates = {} if dead is not None else _fates(context, at_hand, shown)
    bounds = moving.bounds(target)
    result = _result(
        shown, shown_groups, ranking, searched, by, group, found.dead, more, dead, bounds, fates, selection
    )
    report = Report(result, anomalies=[*found.anomalies, *searched.anomalies], bounds=bounds)
    report.anomalies += ranking.anomalies
    every_map = ranking.number + len(more.maps)
    if selection.narrows:
        number = asked.number + unnamed.number
        report.answer = [*asked_words(asked, unnamed, selection, every_map), *not_searched(more)]
        if options.get("--json"):
            report.cut(f"maps {selection.asked}", number if group else len(shown), every_map)
    elif dead is not None:
        report.answer = garbage_words(dead)
    else:
        report.answer = [*summary(ranking, others, more, searched), *not_searched(more)]
    missing = dead.missing if dead is not None else whole.missing if whole is not None else ()
    if missing:
        what = "some of these maps may be reachable" if dead is not None else "what maps retain may be less or more"
        report.answer.append(f"(not looked at: {'; '.join(missing)}: {what})")
        report.cut("not all of the heap and its roots was looked at", 0, None)
    if not options.get("--json"):
        full = bool(options.get("--full") or options["--origin"])
        words = TopText(ShortNames(target), with_values, dead is not None, bounds, fates, full)
        hidden = hidden_facts(asked, seen)
        if group:
            words.describe_groups(report, shown_groups, group)
            report.sections.append(Facts(hidden))
        else:
            number = asked.number + unnamed.number if selection.narrows else every_map
            words.describe(report, rows, most, number - (asked.number - seen.number), hidden)
    listed = any(one.unnamed for one in shown_groups) or any(one.holder.kind in NO_VARIABLE for one in shown)
    if at_hand.no_packages and dead is None and listed:
        what = "with numpy and scipy, hmap-top also knows what keeps maps without a variable alive, and more types"
        report.advice.append(f"{what} (`gomap doctor` prints the command that installs them)")
    if interrupted:
        report.interrupted(ranking.number)
    if len(shown_groups) < len(groups):
        report.cut("groups", len(shown_groups), len(groups), "-n 0")
    found_maps = asked.number + unnamed.number if selection.narrows else every_map
    if not group and options.get("--json") and len(shown) < found_maps:
        report.cut("maps", len(shown), found_maps, "-n 0" if most else None)
    search_cut(report, found)
    if referents is not None and referents.cut:
        report.cut("values: not everything that they keep alive was followed", referents.followed, None)
    if referents is not None and referents.unreadable:
        report.cut(f"values: {human.plural(referents.unreadable, 'object')} could not be read", 0, None)
    if options["--origin"]:
        add_origins(context, report, shown, options["-n"])
    if file is not None:
        _save(context, report, file, options["--overwrite"], stacks.samples(asked, unnamed, by == "retained"))
    return Answered(report, shown, ranking, others)


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
    zips.save(path, data, overwrite)
    maps = sum(one[0] for one in samples.values())
    names = [name for name, _ in values]
    report.data = replace(report.data, profile=ProfileFacts(path, len(data), maps, len(samples), names))
    report.answer.append(f"(profile of {human.plural(maps, 'map')} saved to {path}: go tool pprof -http=: {path})")


def _garbage(context: Context, headers: HeapSearch, at_hand: HeapAtHand) -> tuple[Garbage, Beyond, Identifier]:
    """The maps that the next collection frees, and the Identifier of their types. Raises GomapError."""
    target = context.target
    if headers.census is None or headers.heap is None:
        raise GomapError(f"the heap was not searched for maps: {headers.why}")
    found = garbage(at_hand.whole(), headers.census)
    identifier = Identifier(target, headers.heap, DescribedTypes(target))
    identifier.referring = Referring(target, lambda address: None, at_hand)
    return found, found.maps, identifier


def _fates(context: Context, at_hand: HeapAtHand, shown: list[Ranked]) -> dict[int, Fate]:
    """Whether a root leads to each map of the heap that no variable led to, by address, where the heap's graph is at
    hand; and the shortest way of the first of them."""
    unnamed = [one.address for one in shown if one.holder.kind == "heap"]
    whole = at_hand() if unnamed else None
    if whole is None:
        return {}
    objects, retained = whole.graph.objects, whole.retained
    numbers = objects.objects_at(unnamed)
    writer = Trails(context.target, whole.heap, whole.graph, whole.roots)
    found: dict[int, Fate] = {}
    for done, (address, one, alive) in enumerate(zip(unnamed, numbers.tolist(), retained.alive[numbers].tolist())):
        if one < 0 or (not alive and whole.missing):
            continue
        way = retained.shortest(one) if done < MAX_TRAILS else None
        found[address] = Fate(alive, None if way is None else _written(writer.of(way), address))
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
    fates: Mapping[int, Fate],
    selection: Selection,
) -> TopResult:
    total = TopTotal(
        maps=ranking.number,
        entries=ranking.entries,
        bytes=_sizes(ranking.total()),
        gives_back=ranking.gives_back,
        values=ranking.values,
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


def _map(one: Ranked, bounds: Bounds | None, fates: Mapping[int, Fate], selection: Selection) -> TopMap:
    fate = fates.get(one.address, UNKNOWN_FATE)
    return TopMap(
        way=way_facts(one.holder),
        address=one.address,
        type=one.type.name if one.type is not UNKNOWN else None,
        type_known_by=one.known_by,
        type_or=list(one.others),
        alive=fate.alive,
        trail=fate.trail,
        count=one.count,
        bound=bound_of(one, bounds),
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
