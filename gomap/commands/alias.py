"""hmap-alias: which variables share one map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gomap import human
from gomap.analysis import slices
from gomap.analysis.alias import ALL_ITEMS, MAX_ITEMS, WHOLE_DEPTH, holders
from gomap.analysis.beyond import Beyond, add_slots, beyond, header_size
from gomap.analysis.groups import Group, groups
from gomap.analysis.held import AliasSearch, Holder
from gomap.analysis.roots import Reach, Roots
from gomap.analysis.selection import Selection, package_of, shape
from gomap.analysis.slices import Shared, Slice, overlaps
from gomap.answers.facts import (
    call_facts,
    goroutines_seen,
    heap_facts,
    holder_row,
    more_maps,
    others_fit,
    place_facts,
    search_cut,
    where,
)
from gomap.answers.paths import ShortNames
from gomap.declare import Context
from gomap.errors import UsageError
from gomap.gotypes import Kind, can_reach_slice
from gomap.report import Facts, Lines, Listed, Report, Section
from gomap.results.alias import AliasResult, GoroutineRow, SharedArrayRow, SharedMapRow, SliceRow
from gomap.results.fields import UNASKED, Asked
from gomap.results.shared import ScannedFacts
from gomap.target import Variable
from gomap.wrap import columns

#: Places of one map, slices of one array, and paths to a map from one place that a person is shown.
MAX_ROWS, MAX_WAYS = 24, 4


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-alias. Raises what resolving an expression raises."""
    target = context.target
    expressions: list[str] = options["EXPR"]
    one = len(expressions) == 1 and target.kind != "recorded"
    scope = options["--scope"] or ("all" if one else "frame")
    usual = WHOLE_DEPTH if scope == "all" else context.settings.depth
    depth = usual if options["--depth"] is None else options["--depth"]
    selection = Selection(target, options.get("--package"), options.get("--type"), bool(options.get("--std")))
    if selection.narrows and (expressions or options["--slices"]):
        why = "they select from all maps that a search finds"
        raise UsageError(
            f"--package and --type can't be combined with {'--slices' if not expressions else 'EXPR'}: {why}"
        )
    if options["--slices"]:
        return _slices(context, options, scope, depth)
    if one:
        return _who_else(context, options, scope, depth)
    more: Beyond | None = None
    if expressions:
        searched = None
        found = holders(target, [_named(context, text) for text in expressions], 0)
    else:
        searched, found, more = _search(context, scope, depth)
    together = groups(found)
    shared = [group for group in together if len(group.holders) > 1]
    listed = together if options["--all"] or expressions else shared
    listed.sort(key=lambda group: (-len(group.holders), group.address))
    every = len(listed)
    if selection.narrows:
        shared, listed = (
            [one for one in those if any(selection.selects(holder, one.type.name) for holder in _ways(one.holders))]
            for those in (shared, listed)
        )
        found.nil = [one for one in found.nil if selection.selects(one, one.type.name)]
    report = Report(_result(listed, found, searched, more, selection=selection), anomalies=found.anomalies)
    report.answer = [_summary(shared, together, found, searched, selection)]
    if more is not None:
        report.answer += more_maps(more)
    if selection.narrows and options.get("--json"):
        report.cut(f"maps {selection.asked}", len(listed), every)
    if not options.get("--json"):
        told = searched is not None and searched.scope != "frame"
        words = _Text(context, found, selection, told)
        words.describe(report, listed, bool(expressions) or options["--all"], options.get("-n") or 0, bool(expressions))
    _partial(report, found, None if expressions else depth)
    return report


def _search(context: Context, scope: str, depth: int) -> tuple[Roots, AliasSearch, Beyond | None]:
    """more: with scope all, the maps that no variable and no word of a stack led to."""
    target, whole = context.target, scope == "all"
    searched = Roots(target, scope, context.progress, object_size=header_size(target) if whole else 0, with_slots=whole)
    items = ALL_ITEMS if whole else MAX_ITEMS
    found = holders(target, searched, depth, context.progress, items=items)
    found.anomalies += searched.anomalies
    if not whole:
        return searched, found, None
    more, identifier = beyond(target, found, searched.objects, progress=context.progress)
    if identifier is not None:
        add_slots(found, more, identifier, searched.slots, context.progress)
    return searched, found, more


def _who_else(context: Context, options: Mapping[str, Any], scope: str, depth: int) -> Report:
    """The answer to one expression: the other variables that hold its map."""
    text: str = options["EXPR"][0]
    variable = _named(context, text)
    named = holders(context.target, [variable], 0)
    if not named.maps:  # nothing to search for
        report = Report(_result([], named, None, others=0 if named.nil else None), anomalies=named.anomalies)
        report.answer = [
            f"{text} is nil, so it shares nothing" if named.nil else f"{text} does not point to a valid map"
        ]
        return report
    ((address, (own, *_)),) = named.maps.items()
    searched, found, more = _search(context, scope, depth)
    together = groups(found)
    group = next((one for one in together if address in one.headers), None)
    listed = [group] if group is not None else groups(named)
    others = [holder for holder in listed[0].holders if not _is_same(holder, own)] if group is not None else []
    found.nil.clear()  # they share nothing with it
    report = Report(_result(listed, found, searched, more, len(others)), anomalies=found.anomalies)
    by_address = own.address is None and text.startswith(("0x", "0X"))
    what, noun = ("this map", "variable") if by_address else (f"the map of {text}", "other variable")
    if any(holder.kind == "slot" for holder in others):
        noun = "other holder" if "other" in noun else "holder"
    verb = "holds" if len(others) == 1 else "hold"
    answer = f"no {noun} was found that holds {what}"
    if others:
        paths = _by_paths(others)
        answer = f"{human.plural(len(others), noun)}{paths}{',' if paths else ''} {verb} {what}"
    report.answer = [f"{answer} ({human.plural(len(found.maps), 'map')} found; {_searched(searched)} searched)"]
    if not options.get("--json"):
        words = _Text(context, found, Selection(context.target), searched.scope != "frame")
        words.describe(report, listed, True, 0, True, options.get("-n") or 0)
    _partial(report, found, depth)
    return report


def _is_same(holder: Holder, own: Holder) -> bool:
    """Whether the search reached the variable that the expression names. Values in registers or interfaces have no
    address."""
    if own.address is not None:
        return holder.address == own.address
    place = own.place.goroutine, own.place.function
    for way in (holder, *holder.also):
        if (way.place.goroutine, way.place.function) == place and (
            way.path == own.path or way.path.startswith(f"{own.path}.(")
        ):
            return True
    return False


def _slices(context: Context, options: Mapping[str, Any], scope: str, depth: int) -> Report:
    """The answer to --slices: arrays that more than one slice has."""
    if options["EXPR"]:
        raise UsageError("--slices searches, and takes no expressions (usage: hmap-alias --slices [--scope SCOPE])")
    searched = Roots(context.target, scope, context.progress, Reach(can_reach_slice))
    found, every = slices.search(context.target, searched, depth, context.progress)
    shared = overlaps(every)
    result = _result([], AliasSearch(), searched, arrays=[_array_row(array) for array in shared])
    report = Report(result, anomalies=[*found.anomalies, *searched.anomalies])
    holding = sum(len(array.slices) for array in shared)
    verb = "is" if len(shared) == 1 else "are"
    what = f"{human.plural(len(shared), 'array')} {verb} shared by {human.plural(holding, 'slice')}"
    what = what if shared else "no array is shared"
    shown = shared[: options.get("-n") or None]
    report.answer = [f"{what} ({human.plural(len(every), 'slice')} found; {_searched(searched)} searched)"]
    if searched.dead:
        verb = "was" if searched.dead == 1 else "were"
        report.answer.append(f"({human.plural(searched.dead, 'dead variable')} {verb} not followed)")
    for array in shown:
        elem = array.slices[0].type.elem.name
        rows = [(_range(array, one), f"{one.path}  {where(one.place)}") for one in array.slices[:MAX_ROWS]]
        left = len(array.slices) - MAX_ROWS
        more = [f"  ... {human.plural(left, 'more slice')} (--json lists them all)"] if left > 0 else []
        head = f"[{array.elements:,}]{elem}  {array.address:#x}"
        report.sections += [Lines([head]), Facts(rows), *([Lines(more, apart=False)] if more else [])]
    if len(shown) < len(shared):
        report.sections.append(Lines([f"{human.plural(len(shared) - len(shown), 'more array')}: -n 0 shows all"]))
    _partial(report, found, depth)
    return report


def _range(array: Shared, one: Slice) -> str:
    first, last, room = array.range_of(one)
    return f"[{first}:{last}]" if room == last else f"[{first}:{last}:{room}]"


def _array_row(array: Shared) -> SharedArrayRow:
    return SharedArrayRow(
        address=array.address,
        elem=array.slices[0].type.elem.name,
        elem_size=array.size,
        elements=array.elements,
        holders=[
            SliceRow(one.path, one.place.kind, place_facts(one.place), one.address, one.type.name, *array.range_of(one))
            for one in array.slices
        ],
    )


def _partial(report: Report, found: AliasSearch, depth: int | None) -> None:
    """Says what the search left out. depth: how far it went, None where it was not to."""
    if found.interrupted:
        report.interrupted()
    search_cut(report, found, depth)


def _named(context: Context, text: str) -> Variable:
    """The variable, as the map that it holds."""
    variable, t, address = context.resolve_map(text)
    if variable.type.kind is not Kind.MAP:
        return Variable(text, t, data=context.target.arch.pack(address), place=variable.place)
    return Variable(text, t, variable.address, variable.data, variable.holes, variable.place)


def _result(
    listed: list[Group],
    found: AliasSearch,
    searched: Roots | None,
    more: Beyond | None = None,
    others: int | None = None,
    arrays: Asked[list[SharedArrayRow]] = UNASKED,
    selection: Selection | None = None,
) -> AliasResult:
    places = {(h.place.goroutine, h.place.frame) for held in found.maps.values() for h in held}
    own = {place for place in places if place != (None, None)}
    scanned = ScannedFacts(
        goroutines=searched.goroutines if searched else len({goroutine for goroutine, _ in own}),
        frames=searched.frames if searched else len(own),
        globals=searched.globals if searched else int((None, None) in places),
        maps=len(found.maps),
        dead=found.dead,
        dead_variables=searched.dead if searched else 0,
    )
    return AliasResult(
        groups=[
            SharedMapRow(
                address=group.address,
                buckets=group.buckets,
                type=group.type.name,
                type_or=list(found.type_or.get(group.address, ())),
                count=group.count,
                shared_by=group.shared_by,
                headers=list(group.headers),
                holders=[holder_row(holder) for holder in group.holders],
                std=selection is not None and _is_standard(group, selection),
            )
            for group in listed
        ],
        nil_maps=[holder_row(holder) for holder in found.nil],
        others=others,
        goroutines=_goroutine_rows(listed, found, searched) if searched else [],
        heap=None if more is None else heap_facts(more),
        scanned=scanned,
        slices=arrays,
    )


def _goroutine_rows(listed: list[Group], found: AliasSearch, searched: Roots) -> list[GoroutineRow]:
    """The goroutines that the holders belong to: what each does, and the go statement that made it."""
    holders_ = [holder for group in listed for holder in group.holders] + found.nil
    ids = {each.place.goroutine or 0 for holder in holders_ for each in (holder, *holder.also)}
    rows = []
    for goroutine in (searched.searched[goid] for goid in sorted(ids & searched.searched.keys())):
        # The first one is made by assembly: printcreatedby of runtime/traceback.go leaves it out too.
        told = goroutine.created_at and goroutine.id != 1
        made = searched.target.location(goroutine.created_at) if told else None
        rows.append(GoroutineRow(goroutine.id, goroutine.status, call_facts(made)))
    return rows


def _summary(
    shared: list[Group], together: list[Group], found: AliasSearch, searched: Roots | None, selection: Selection
) -> str:
    if searched is None:
        if not together and not found.anomalies:
            return "only nil maps, nothing shared"
        if not together:
            return "none of the maps can be read: nothing to compare"
        if len(together) == 1 and len(together[0].holders) > 1 and not found.nil:
            group = together[0]
            if group.shared_by == "header":
                return f"all {len(group.holders)} variables refer to the same map"
            return f"{len(group.headers)} headers share memory: the header was copied"
        if not shared:
            return f"{human.plural(len(together), 'separate map')}, nothing shared"
        return f"{human.plural(len(together), 'map')}, {len(shared)} of them shared"
    scanned = f"({human.plural(len(found.maps), 'map')} found; {_searched(searched)} searched)"
    which = f" {selection.asked}" if selection.narrows else ""
    if not shared:
        return f"no map{which} is shared {scanned}"
    verb = "is" if len(shared) == 1 else "are"
    ways = sum(1 for group in shared for _ in _ways(group.holders))
    lead = "lead to it" if len(shared) == 1 else "lead to them"
    return f"{human.plural(len(shared), 'map')}{which} {verb} shared: {human.plural(ways, 'path')} {lead} {scanned}"


def _by_paths(holders_: Sequence[Holder]) -> str:
    """How many paths lead to the variables, where these are more."""
    paths = sum(1 for _ in _ways(holders_))
    return f", reached by {paths:,} paths" if paths > len(holders_) else ""


def _searched(searched: Roots) -> str:
    """Where the search started."""
    frames = [one for one in searched.functions if one != "?"]  # a recorded map is in no function
    if searched.scope != "frame":
        seen = goroutines_seen(searched.goroutines, searched.unseen)
        frames = [f"{seen} with {human.plural(searched.frames, 'frame')}"]
    return " and ".join([*frames, human.plural(searched.globals, "package variable")])


def _ways(holders_: Iterable[Holder]) -> Iterator[Holder]:
    """All ways to the variables that hold a map."""
    return (way for holder in holders_ for way in (holder, *holder.also))


def _is_standard(group: Group, selection: Selection) -> bool:
    """Whether the map is the standard library's own: all that lead to it is."""
    return all(selection.is_standard(way, group.type.name) for way in _ways(group.holders))


class _Text:
    """The sections that a person reads. told: which goroutines stand at a place, and which of their frames it is."""

    def __init__(self, context: Context, found: AliasSearch, selection: Selection, told: bool) -> None:
        self._names = ShortNames(context.target)
        self._found, self._selection, self._told = found, selection, told
        self._ranks: dict[int, tuple[bool, int, bool, int]] = {}

    def describe(
        self, report: Report, listed: list[Group], nil: bool, most: int, named: bool, places: int = MAX_ROWS
    ) -> None:
        """most: how many rows are listed, 0 for all; places: of each, how many places. named: the maps were named, so
        each has its own entry."""
        selection, hidden = self._selection, 0
        if not (named or selection.std or selection.narrows):
            own = [group for group in listed if not _is_standard(group, selection)]
            hidden, listed = len(listed) - len(own), own
        alike = [[group] for group in listed] if named else self._alike(listed)
        shown = alike[: most or None]
        blocks = [self._by_header(these[0]) for these in shown]
        label = max((columns(place) for some in blocks for rows in some for place, _, _ in rows), default=0)
        for these, some in zip(shown, blocks):
            report.sections += self._sections(these, some, label, places)
        if len(shown) < len(alike):
            maps = human.plural(sum(map(len, alike[len(shown) :])), "more map")
            report.sections.append(Lines([f"{maps}: -n 0 shows all"]))
        if hidden:
            of = "shared map" if not nil else "map"
            one = hidden == 1
            what = f"{human.plural(hidden, of)} of the standard library {'is' if one else 'are'} not shown"
            report.sections.append(Lines([f"{what}: --std shows {'it' if one else 'them'}"]))
        report.sections += self._nil_section(nil, named)

    def _rank(self, holder: Holder) -> tuple[bool, int, bool, int]:
        """The ways that people care about most come first: those from the program's own variables, from a frame, short
        ones."""
        found = self._ranks.get(id(holder))
        if found is None:
            known = holder.kind not in ("dead", "slot")
            whose = self._selection.whose(package_of(holder))
            found = not known, whose, holder.place.kind == "global", len(holder.way.parts)
            self._ranks[id(holder)] = found
        return found

    def _alike(self, listed: list[Group]) -> list[list[Group]]:
        """The groups, the most interesting first, with those that are held in the same way."""
        together: dict[object, list[Group]] = {}
        order = {id(group): min(self._rank(way) for way in _ways(group.holders)) for group in listed}
        for group in sorted(listed, key=lambda one: (order[id(one)], len(one.holders), one.address)):
            shapes = {shape(way): way.way.varies for way in _ways(group.holders)}
            if any(shapes.values()):  # which package variables hold an element besides is of each its own
                shapes = {
                    (place, one if place or inside else "", dead): True for (place, one, dead), inside in shapes.items()
                }
            key = group.type.name, group.shared_by, frozenset(shapes)
            together.setdefault(key if group.shared_by == "header" else id(group), []).append(group)
        return [*together.values()]

    def _by_header(self, group: Group) -> list[list[tuple[str, list[str], str]]]:
        """The places of each header: one, but where the header was copied."""
        if len(group.headers) == 1:
            return [self._by_place(group.holders)]
        return [self._by_place(self._found.maps[header]) for header in group.headers]

    def _sections(
        self, these: list[Group], blocks: list[list[tuple[str, list[str], str]]], label: int, places: int
    ) -> list[Section]:
        """places: how many of each header are listed, 0 for all."""
        group = these[0]
        others = len(self._found.type_or.get(group.address, ()))
        array = self._found.views[group.address].terms.array
        buckets = f"  {array} {f'{group.buckets:#x}' if group.buckets else 'nil'}"
        count = human.plural(group.count, "entry")
        one = len(group.headers) == 1
        about = f"  {group.address:#x}  {count}" if one else f"  {len(group.headers)} headers"
        lines = [f"{self._names.type(group.type.name)}{about}{buckets}"]
        if others:
            lines.append(f"  {others_fit(others)} (--json names them)")
        sections: list[Section] = [Lines(lines)]
        for header, rows in zip(group.headers, blocks):
            tail = []
            if not one:
                count = human.plural(self._found.views[header].count, "entry")
                sections.append(Lines([f"header {header:#x}  {count}"], apart=False))
            if places and len(rows) > places:
                tail.append(f"  ... {human.plural(len(rows) - places, 'more place')} (--json lists all)")
            sections += [Listed(rows[: places or None], label), *([Lines(tail, apart=False)] if tail else [])]
        if len(these) > 1:
            verb = "is" if len(these) == 2 else "are"
            like = f"  {human.plural(len(these) - 1, 'more map')} {verb} held like this one (--json lists all)"
            sections.append(Lines([like], apart=False))
        return sections

    def _by_place(self, holders_: list[Holder]) -> list[tuple[str, list[str], str]]:
        """Paths under the place they start from, with the goroutines that are there."""
        places: dict[str, dict[tuple[str, bool], list[Holder]]] = {}
        for way in sorted(_ways(holders_), key=self._rank):
            where_ = "package variable" if way.place.kind == "global" else human.short(where(way.place))
            places.setdefault(where_, {}).setdefault((way.way.shape, way.kind == "dead"), []).append(way)
        rows = []
        for place, shapes in places.items():
            together: dict[frozenset[tuple[int, int | None]], list[list[Holder]]] = {}
            for ways in shapes.values():
                frames = frozenset((way.place.goroutine or 0, way.place.frame) for way in ways)
                together.setdefault(frames, []).append(ways)
            everyone = {goroutine for frames in together for goroutine, _ in frames}
            plain = everyone == {0} or (len(everyone) == 1 and not self._told)
            for frames, some in together.items() if not plain else [(frozenset(), [*shapes.values()])]:
                items = [self._item(ways) for ways in some[:MAX_WAYS]]
                if len(some) > MAX_WAYS:
                    items.append(f"{human.plural(sum(map(len, some[MAX_WAYS:])), 'more path')} (--json lists all)")
                rows.append((place, items, "" if plain else _goroutines(frames)))
        return rows

    def _item(self, ways: list[Holder]) -> str:
        """The path, and how many are like it."""
        first = ways[0]
        text = self._names.path(first)
        if first.kind == "dead":
            text += " (dead)"
        elif first.kind == "slot":
            text += f" in stack slot {first.address or 0:#x}"
        more = len({self._names.path(way) for way in ways}) - 1 if first.way.varies else 0
        return text + (f" and {more:,} like it" if more else "")

    def _nil_section(self, listed: bool, named: bool) -> list[Section]:
        nil = self._found.nil
        if not nil:
            return []
        if not listed:
            verb, them = ("is", "it") if len(nil) == 1 else ("are", "them")
            return [Lines([f"{human.plural(len(nil), 'map variable')} {verb} nil (--all lists {them})"])]
        hides = self._selection.hides
        shown = nil if named else [one for one in nil if not hides(one, one.type.name)]
        rows = self._by_place(shown)
        left, std = len(rows) - MAX_ROWS, len(nil) - len(shown)
        more = [f"  ... {human.plural(left, 'more place')} (--json lists all)"] if left > 0 else []
        if std:
            them = "it" if std == 1 else "them"
            more.append(f"  {human.plural(std, 'nil map')} of the standard library: --std shows {them}")
        return [Lines(["nil maps"]), Listed(rows[:MAX_ROWS]), *([Lines(more, apart=False)] if more else [])]


def _goroutines(frames: frozenset[tuple[int, int | None]]) -> str:
    """goroutine 7, frame 2; 20 goroutines: 18-37, frame 7. The frame is left out where it is not the same for all."""
    ids, levels = {goroutine for goroutine, _ in frames}, {level for _, level in frames}
    known = {level for level in levels if level is not None}
    frame = ""
    if known == levels and (len(levels) == 1 or len(ids) == 1):
        frame = f", frame{'s' if len(levels) > 1 else ''} {human.ranges(known)}"
    if len(ids) == 1:
        return f"goroutine {min(ids)}{frame}"
    return f"{len(ids):,} goroutines: {human.ranges(ids)}{frame}"
