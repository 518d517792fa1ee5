"""hmap-top's answer as text: maps and groups of maps in rows, and what they hold together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gomap import human
from gomap.analysis.beyond import NO_VARIABLE, UNKNOWN, Beyond
from gomap.analysis.ranked_groups import Together
from gomap.analysis.ranking import Ranked, Ranking
from gomap.analysis.retained_maps import Garbage
from gomap.analysis.roots import Roots
from gomap.analysis.selection import Selection
from gomap.answers.facts import goroutines_seen
from gomap.answers.paths import ShortNames
from gomap.moving import Bounds
from gomap.report import Facts, Report, Table


class Fate(NamedTuple):
    """Of a map that no variable led to. alive: whether a root leads to it, None where that is not known. trail: the
    shortest way from there."""

    alive: bool | None = None
    trail: str | None = None


UNKNOWN_FATE = Fate()


def bound_of(one: Ranked, bounds: Bounds | None) -> int | None:
    """The most that its number of entries may be off; None if the program is stopped."""
    return None if bounds is None else max(bounds.of(one.address), one.bound or 0)


def garbage_words(found: Garbage) -> list[str]:
    """The maps that the next collection frees, together."""
    more = found.maps
    number, reachable = len(more.maps), human.plural(found.reachable, "other map" if more.maps else "map")
    if not number:
        what = "map that has memory for entries" if more.empty else "map"
        lead = "it" if found.reachable == 1 else "all"
        said = [f"no {what} is garbage: {reachable} in the heap, and roots lead to {lead}"]
    else:
        what = f"{human.plural(number, 'map')} with {human.plural(more.entries, 'entry', 'entries')}"
        are = "are" if number > 1 else "is"
        nor = f", nor to {human.plural(more.empty, 'more map')} that never had an entry" if more.empty else ""
        said = [
            f"{what} {are} garbage that is not collected yet: {human.size(more.bytes)} in headers and arrays",
            f"(no root leads to {'them' if number > 1 else 'it'}{nor}; roots lead to {reachable} in the heap)",
        ]
    if more.empty and not number:
        be = "is" if more.empty == 1 else "are"
        said.append(f"({human.plural(more.empty, 'map')} that never had an entry {be} garbage)")
    said.append(f"({_COUNTED})")
    if more.census is not None and not more.census.complete:
        said.append("(not all of the heap was searched for maps)")
    return said


#: Why --unreachable, which reads the heap alone, counts other maps than hmap-top.
_COUNTED = (
    "counted: all map headers in the heap, including the runtime's, those of maps that never had an entry and those "
    "inside sync.Maps; not counted: sync.Maps themselves and maps on stacks"
)


def summary(ranking: Ranking, others: Ranking, more: Beyond, searched: Roots) -> list[str]:
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
    kept = [one for one in (ranking.values, others.values) if one is not None]
    values = f"; keys and values keep {human.size(sum(kept))} more" if kept else ""
    first = f"{what} ({least}{human.size(waste)} waste){values}"
    if not more.maps:
        return [first, f"({scanned})"]
    which = "it" if number == 1 else f"{len(more.maps):,} of the maps" if ranking.number else "them"
    return [first, f"({scanned}; no variable leads to {which})"]


def asked_words(asked: Ranking, unnamed: Ranking, selection: Selection, every: int) -> list[str]:
    """The maps that --package and --type ask for, together."""
    number = asked.number + unnamed.number
    if not number:
        return [f"no map {selection.asked} ({human.plural(every, 'map')} looked at)"]
    total, more = asked.total(), unnamed.total()
    held, waste = total.allocated + more.allocated, total.waste + more.waste
    verb = "hold" if number > 1 else "holds"
    what = f"{human.plural(number, 'map')} {selection.asked} {verb} {human.size(held)} ({human.size(waste)} waste)"
    return [what, f"({human.plural(every, 'map')} looked at)"]


def hidden_facts(asked: Ranking, seen: Ranking) -> list[tuple[str, str]]:
    """The maps of the standard library that are left out."""
    number = asked.number - seen.number
    if not number:
        return []
    held = human.size(asked.total().allocated - seen.total().allocated)
    are, hold, them = ("is", "holds", "it") if number == 1 else ("are", "hold", "them")
    what = f"{human.plural(number, 'map')} of the standard library, which {hold} {held}, {are} not shown"
    return [("std", f"{what}: --std shows {them}")]


#: How the type of a map is known that no variable led to (Ranked.known_by).
_SOURCES = {
    "reference": "type from what points to it",
    "allocator": "type from the allocator's records",
    "hashes": "type derived from hashes",
    "size": "type derived from its size",
}
#: The name of a group without a variable or known type.
UNTOLD = {"type": "type unknown", "package": "no variable", "owner": "no variable"}
_HELD = "memory that the map itself owns (see help), as the allocator counts it: rounded up to its size classes"
_CUT = "shortened: --full shows whole paths, with addresses and types"


@dataclass
class TopText:
    """What a person reads. dead: of garbage. full: paths are told whole, however many lines that takes."""

    names: ShortNames
    with_values: bool
    dead: bool
    bounds: Bounds | None
    fates: Mapping[int, Fate]
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
            facts.append(("more", f"{human.plural(left, 'map')}{': -n 0 lists all' if most else ' not looked at'}"))
        report.sections.append(Facts([*facts, *hidden] if shown else hidden))
        named = [one for one in rows if one.example.holder.kind not in NO_VARIABLE]
        best = sorted(named, key=lambda one: one.gives_back, reverse=True)[:3]
        back = sum(one.gives_back for one in named)
        if back and best[0].gives_back >= 4096:
            paths = [f"{self._whole(one, place=False)} {human.size(one.gives_back)}" for one in best]
            worth = [path for path, one in zip(paths, best) if one.gives_back >= 4096]
            part = "most" if sum(one.gives_back for one in best[: len(worth)]) < back else "all"
            report.advice.append(
                f"Go maps never shrink; copying the entries into new maps would free {human.size(back)}, "
                f"{part} from {', '.join(worth)}"
            )

    def _facts(self, shown: list[Together], with_retained: bool, several: bool) -> list[tuple[str, str]]:
        facts = [("held", _HELD)]
        if several:
            facts.append(("maps", "maps whose paths differ only in an index or key share a row, with one of the paths"))
        if with_retained:
            of_rows = "; of a row with several, the sum" if several else ""
            facts.insert(0, ("retained", f"what a collection would free without the map (see hmap-why){of_rows}"))
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
        """by: as --group."""
        headings = ["held", "waste", "maps", "entries", by, "fill"]
        rows = [
            [
                human.size(one.allocated),
                human.size(one.bytes.waste),
                f"{one.maps:,}",
                f"{one.entries:,}",
                (human.short(one.key) if by == "type" else one.key) or UNTOLD[by],
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
            what = f"not certain for {human.plural(unsure, 'map')} of these: other types fit as well (unsure in --json)"
            facts.append(("types", what))
        report.sections.append(Facts(facts))

    def _entries(self, one: Together) -> str:
        off = bound_of(one.example, self.bounds) if one.maps == 1 else None
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
        fate = self.fates.get(one.address, UNKNOWN_FATE)
        what = "garbage" if self.dead or fate.alive is False else human.short(fate.trail or "no variable")
        if one.type is UNKNOWN:
            return f"{what}; type unknown"
        number = len(one.others)
        doubt = f", {human.plural(number, 'other type')} {'fits' if number == 1 else 'fit'}" if number else ""
        return f"{what}; {_SOURCES.get(one.known_by or '', 'type not proven')}{doubt}"
