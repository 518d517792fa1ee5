"""Parts of results that several commands share, and their words."""

from __future__ import annotations

from gomap import human
from gomap.analysis.alias import WHOLE_DEPTH
from gomap.analysis.beyond import Beyond
from gomap.analysis.held import AliasSearch, Holder
from gomap.anomaly import Anomaly
from gomap.golang.runtime.stacks import Unseen
from gomap.moving import Walked
from gomap.report import Report
from gomap.results.fields import alike
from gomap.results.shared import CallFacts, HeapFacts, HolderRow, PlaceFacts, WayFacts
from gomap.target import Frame, Location, Place


def place_facts(place: Place) -> PlaceFacts:
    """A place, as results have it."""
    return PlaceFacts(place.goroutine, place.frame, place.function, place.file, place.line)


def call_facts(call: Frame | Location | None) -> CallFacts | None:
    """The function, file and line of a call, as results have them; None for none."""
    return None if call is None else alike(CallFacts, call)


def way_facts(way: Holder) -> WayFacts:
    """How a variable leads to a value: path, kind and place."""
    return WayFacts(way.path, way.kind, place_facts(way.place))


def holder_row(holder: Holder) -> HolderRow:
    """A variable that holds a map, with the others that lead to it from the same place."""
    return HolderRow(way_facts(holder), holder.address, [way_facts(other) for other in holder.also])


def search_cut(report: Report, found: AliasSearch, depth: int | None = WHOLE_DEPTH) -> None:
    """Reports what a search left out, and how many maps it found through dead variables alone. depth: how deep it went,
    None for a search without depth."""
    not_followed(report, found, depth)
    if found.dead:
        verb, these = ("is", "this map") if found.dead == 1 else ("are", "these maps")
        what = f"{human.plural(found.dead, 'map')} {verb} reached only through dead variables"
        report.answer.append(f"({what}; closures, timers or the runtime may still use {these})")


def not_followed(report: Report, found: AliasSearch, depth: int | None = WHOLE_DEPTH) -> None:
    """Reports what a search left out. depth: as in search_cut."""
    for text in found.shortened:
        report.cut(text, 0, None)
    if found.too_deep and depth is not None:
        what = human.plural(found.too_deep, "value lies", "values lie")
        report.cut(f"{what} deeper than {depth} pointers and elements", 0, None)


def heap_facts(more: Beyond) -> HeapFacts:
    """The maps that no variable led to."""
    return HeapFacts(
        searched=more.census is not None,
        complete=more.census is not None and more.why is None,
        why=more.why,
        maps=len(more.maps),
        entries=more.entries,
        bytes=more.bytes,
        empty=more.empty,
        on_stacks=more.on_stacks,
    )


def more_maps(more: Beyond) -> list[str]:
    """The same in words."""
    lines = []
    if more.maps:
        what = f"{human.plural(len(more.maps), 'more map')} with {human.plural(more.entries, 'entry', 'entries')}"
        lines.append(_lie(what, len(more.maps), more.on_stacks))
    return lines + not_searched(more)


def unnamed_among(number: int, on_stacks: int) -> str:
    """How many of the maps that an answer is about no variable led to, and where they are."""
    return f"({_lie(f'{number:,} of these maps', number, on_stacks)})"


def _lie(what: str, number: int, on_stacks: int) -> str:
    where = "in the heap and on the stacks" if on_stacks else "in the heap"
    if on_stacks == number:
        where = "on the stacks"
    are, them = ("is", "it") if number == 1 else ("are", "them")
    return f"{what} {are} {where}; none of the variables searched leads to {them}"


def not_searched(more: Beyond) -> list[str]:
    """What of the heap was not searched for maps, in words."""
    lines = []
    if more.why is not None:
        not_all = "not all of the heap was" if more.census is not None else "the heap was not"
        lines.append(f"({not_all} searched for more maps: {more.why})")
    return lines


def others_fit(number: int) -> str:
    """How many other types a map may have that no variable led to."""
    return f"{human.plural(number, 'other type')} {'fits' if number == 1 else 'fit'} as well"


def goroutines_seen(number: int, unseen: Unseen) -> str:
    """So many were searched: those that were seen whole, of all."""
    return (f"{number - unseen.count:,} of " if unseen.count else "") + human.plural(number, "goroutine")


def where(place: Place) -> str:
    """function  file:line of a variable, or what else holds it."""
    if place.kind == "global":
        return "package variable"
    if place.kind == "captured" and place.function is None:
        return "deferred function"
    file = (place.file or "?").rsplit("/", 1)[-1]
    return f"{place.function or '?'}  {file}:{place.line or '?'}"


def named(holder: Holder) -> str:
    """The path; for a frame's variable also the frame, which distinguishes variables of the same name."""
    dead = ", dead" if holder.kind == "dead" else ""
    return f"{holder.path}{in_frame(holder.place)}{dead}"


def in_frame(place: Place) -> str:
    """Which frame a variable is of, behind its name; nothing of a package variable."""
    if place.kind == "global":
        return ""
    goroutine = f", goroutine {place.goroutine}" if place.goroutine is not None else ""
    goroutine += f", frame {place.frame}" if goroutine and place.frame is not None else ""
    deferred = place.kind == "captured" and place.function is None
    return f" in {'a deferred function' if deferred else human.short(place.function or '?')}{goroutine}"


def count_anomalies(read: Walked) -> list[Anomaly]:
    """The header's count against the entries that are there; only that it was written to, of a map that was."""
    if read.written:
        return read.anomalies
    found, structure = read.found, read.structure
    anomalies = list(structure.anomalies)
    live, count = structure.total.live, found.count
    if live != count:
        what = f"the header counts {count:,} entries, but {live:,} are live"
        if structure.unreadable:
            anomalies.append(
                Anomaly("warning", "count-mismatch", f"{what}: part of the map can't be read", found.address)
            )
        elif found.writing and abs(live - count) == 1:
            why = "a write to the map is in progress, which explains it"
            anomalies.append(Anomaly("note", "count-mismatch", f"{what}: {why}", found.address))
        elif found.writing:
            why = "the map is corrupt, or the clear or growth that is in progress explains it (hmap-check says which)"
            anomalies.append(Anomaly("warning", "count-mismatch", f"{what}: {why}", found.address))
        else:
            anomalies.append(Anomaly("warning", "count-mismatch", f"{what}: the map is corrupt", found.address))
    if structure.total.strange:
        what = f"{structure.total.strange:,} slots have a {found.terms.marks} byte that is invalid"
        anomalies.append(Anomaly("warning", "bad-marks", what, structure.address))
    return anomalies
