"""hmap-race: who is inside a map operation, and who died of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gomap import human
from gomap.analysis import race
from gomap.analysis.alias import Found, Holder, everywhere
from gomap.analysis.race import Inside, Searched
from gomap.analysis.roots import Roots
from gomap.commands.declare import Context
from gomap.commands.facts import goroutines_seen, hex_or_none, holder_json, search_cut
from gomap.golang import mapcalls
from gomap.golang.structure import Anomaly
from gomap.gotypes import GoType
from gomap.report import Facts, Lines, Report, Section, Table

#: Operations that change a map. Growth is part of one.
_CHANGES = frozenset({"write", "delete", "clear", "grow"})
MAX_PLACES = 64
MAX_ROOTS = 12
#: So many goroutines at one place are worth counting.
MANY = 8


@dataclass
class Raced:
    """One map that somebody is inside, or whose write flag is up. address None: inside a map nobody can name."""

    address: int | None
    type: GoType | None
    writing: bool
    inside: list[Inside] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)

    @property
    def name(self) -> str:
        path = f" ({_best(self.holders)})" if self.holders else ""
        return f"{self.type.name if self.type else 'a map'}{f' {self.address:#x}' if self.address else ''}{path}"

    @property
    def races(self) -> bool:
        """Whether goroutines are inside at once that no lock can have let in: one that panicked may have released
        its lock since."""
        going = [one for one in self.inside if not one.panics]
        return self.address is not None and len(going) > 1 and any(one.operation in _CHANGES for one in going)

    @property
    def rank(self) -> tuple[bool, int, int]:
        return not any(one.fatal for one in self.inside), -len(self.inside), self.address or 0


def run(context: Context, options: Mapping[str, Any]) -> Report:
    target = context.target
    searched = race.search(target, context.progress)
    roots = Roots(target, "all", context.progress)
    # What the runtime's map functions have under reflect's names their callers have too, and not only in registers.
    own = (root for root in roots if mapcalls.operation(root.place.function or "") is None)
    found = everywhere(target, own, context.progress)
    searched.inside = [race.located(one, found) for one in searched.inside]
    flagged = race.with_write_flag(target, found)
    searched.inside = [race.concluded(one, found, flagged) for one in searched.inside]
    maps = _maps(searched, found, flagged)
    report = Report(_json(searched, found, maps))
    # The search for holders walks the same stacks and has the same trouble with them.
    report.anomalies = [*searched.anomalies, *_not_followed(found)]
    report.anomalies += _unknown(searched)
    report.answer = [_answer(searched, found, maps, target.running)]
    if not options.get("--json"):
        report.sections = [section for one in maps for section in _sections(one, searched)]
    report.advice = _advice(maps)
    if found.interrupted or searched.interrupted:
        report.answer.append("(interrupted: this is what the search had come to)")
        report.cut("the search was interrupted", 0, None)
    search_cut(report, found)
    return report


def _maps(searched: Searched, found: Found, flagged: Sequence[int]) -> list[Raced]:
    """Maps that somebody is inside, who died of it first, and those with the write flag up."""
    maps: dict[object, Raced] = {}
    for one in searched.inside:
        key: object = one.address or one
        if key not in maps:
            held = found.maps.get(one.address, []) if one.address else []
            t = _nil_type(one, found) if one.nil and one.type is None else _type(held, one.type)
            maps[key] = Raced(one.address, t, one.address in flagged, [], held)
        maps[key].inside.append(one)
    for address in flagged:
        held = found.maps[address]
        maps.setdefault(address, Raced(address, _type(held, None), True, [], held))
    return sorted(maps.values(), key=lambda one: one.rank)


def _type(held: Sequence[Holder], told: GoType | None) -> GoType | None:
    """The map's type, as its holders have it. In a generic function it has a name that means nothing elsewhere."""
    types = [holder.type for holder in held]
    types += [told] if told is not None else []
    return next((t for t in types if not t.name.startswith((".", "go.shape."))), types[0] if types else None)


# -- JSON --------------------------------------------------------------------------------------------------


def _json(searched: Searched, found: Found, maps: Sequence[Raced]) -> dict[str, Any]:
    named = [one for one in maps if one.address is not None]
    return {
        "inside": [_inside_json(one, each, found) for each in maps for one in each.inside],
        "maps": [
            {
                "address": hex_or_none(one.address),
                "type": one.type.name if one.type else None,
                "writing": one.writing,
                "holders": [holder_json(holder) for holder in one.holders],
            }
            for one in named
        ],
        "scanned": {"goroutines": searched.goroutines, "maps": len(found.maps)},
    }


def _inside_json(one: Inside, raced: Raced, found: Found) -> dict[str, Any]:
    return {
        "goroutine": one.goroutine.id,
        "operation": one.operation,
        "function": one.caller.function if one.caller else None,
        "file": one.caller.file if one.caller else None,
        "line": one.caller.line if one.caller else None,
        "address": hex_or_none(one.address),
        "type": raced.type.name if raced.type else None,
        "fatal": one.fatal,
        "message": one.message,
        "call": one.call,
        "status": one.goroutine.status,
        "nil": one.nil,
        "deduced": one.deduced,
        "nil_maps": [holder_json(holder) for holder in _nil_maps(one, found)],
    }


def _nil_maps(one: Inside, found: Found) -> list[Holder]:
    """Where the operation's map is nil: the nil maps that its caller's variables lead to."""
    if not one.nil or one.caller is None:
        return []
    here = (one.goroutine.id, one.level)
    held = [h for holder in found.nil for h in (holder, *holder.also) if (h.place.goroutine, h.place.frame) == here]
    return [h for h in held if one.type is None or h.type.name == one.type.name]


def _nil_type(one: Inside, found: Found) -> GoType | None:
    """The type of the nil map, where all that its caller's variables lead to are of one."""
    types = {holder.type.name: holder.type for holder in _nil_maps(one, found)}
    return next(iter(types.values())) if len(types) == 1 else None


# -- words -------------------------------------------------------------------------------------------------


def _answer(searched: Searched, found: Found, maps: Sequence[Raced], running: int) -> str:
    fatal = next(((one, each) for each in maps for one in each.inside if one.fatal), None)
    if fatal is not None:
        one, each = fatal
        what = "panic" if one.panics else "fatal error"
        if one.nil:
            suspects = ", ".join(holder.path for holder in _nil_maps(one, found))
            where = f" in {one.caller.function}" if one.caller else ""
            return f"{what}: {one.message}{where}{f': {suspects}' if suspects else ''}"
        if str(one.message).startswith(race.UNKNOWN_PANIC):
            return f"{one.message} in a {one.operation} of {each.name}"
        return f"{what}: {one.message} on {each.name}"
    for each in maps:
        if each.races:
            who = human.plural(len(each.inside), "goroutine")
            return f"data race: {who} inside {each.name} at once, and not all of them only read"
    if searched.inside:
        number = len({one.goroutine.id for one in searched.inside})
        verb = "is" if number == 1 else "are"
        of = f"on {maps[0].name}" if len(maps) == 1 else f"on {human.plural(len(maps), 'map')}"
        return f"{human.plural(number, 'goroutine')} {verb} inside a map operation, {of}"
    looked_at = goroutines_seen(searched.goroutines, searched.unseen)
    if running:
        unseen = f"those of {human.plural(running, 'running thread')} not seen"
        looked_at = f"{human.plural(searched.goroutines, 'goroutine')}, {unseen}"
    nobody = f"nobody is inside a map operation ({looked_at})"
    if maps:
        verb = "has its" if len(maps) == 1 else "have their"
        return f"{nobody}, but {human.plural(len(maps), 'map')} {verb} write flag up"
    return nobody


def _best(held: Sequence[Holder]) -> str:
    """The path that tells most: a package variable's, the shortest."""
    ways = [way for holder in held for way in (holder, *holder.also)]
    return min(ways, key=lambda way: (way.place.kind != "global", len(way.path))).path


def _sections(each: Raced, searched: Searched) -> Iterator[Section]:
    flag = "write flag up" if each.writing else "write flag down"
    if each.address is None:
        flag = "nil" if each.inside[0].nil else "its header can't be told here"
    yield Lines([f"{each.name}  {flag}"])
    rows = [_row(one) for one in sorted(each.inside, key=lambda one: (not one.fatal, one.goroutine.id))]
    headings = ("goroutine", "does", "function", "line", "state")
    yield Table(headings, [*rows, *_holding(each, searched)], names=frozenset({2, 3}))
    paths = [way.path for holder in each.holders for way in (holder, *holder.also) if way.place.kind == "global"]
    if paths:
        more = f", ... ({len(paths):,} in all)" if len(paths) > MAX_ROOTS else ""
        yield Facts([("package variable", ", ".join(paths[:MAX_ROOTS]) + more)])


def _row(one: Inside) -> tuple[str, ...]:
    ended = "panics" if one.panics else "died"
    does = f"{one.operation}, {ended}" if one.fatal else one.operation
    function = one.caller.function if one.caller else one.call
    line = _line(one.caller.file, one.caller.line) if one.caller else ""
    return (str(one.goroutine.id), does, function, line, one.goroutine.status)


def _line(file: str | None, line: int | None) -> str:
    return f"{(file or '?').rsplit('/', 1)[-1]}:{line or '?'}"


def _holding(each: Raced, searched: Searched) -> list[tuple[str, ...]]:
    """Goroutines whose variables lead to the map and that are not inside it, those at one place together."""
    within = {one.goroutine.id for one in each.inside}
    places: dict[tuple[str, str, str], set[int]] = {}
    for held in each.holders:
        for holder in (held, *held.also):
            goid = holder.place.goroutine
            if goid is None or goid in within:
                continue
            stood = searched.stood.get(goid)
            status = stood[0].status if stood else ""
            place = (holder.place.function or "?", _line(holder.place.file, holder.place.line), status)
            places.setdefault(place, set()).add(goid)
    rows: list[tuple[str, ...]] = []
    for (function, line, status), goids in list(places.items())[:MAX_PLACES]:
        who = f"{human.ranges(goids, 3)}{f' ({len(goids):,})' if len(goids) > MANY else ''}"
        rows.append((who, "holds it", function, line, status))
    if len(places) > MAX_PLACES:
        rows.append((f"{len(places) - MAX_PLACES:,} more places", "hold it", "", "", ""))
    return rows


def _not_followed(found: Found) -> list[Anomaly]:
    """What the search for holders met that is no race: an optimised build is full of variables that are not set."""
    if not found.not_followed:
        return []
    what = human.plural(found.not_followed, "value")
    message = f"{what} could not be followed in the search for holders: hmap-alias --scope all says which"
    return [Anomaly("note", "not-followed", message, None)]


def _unknown(searched: Searched) -> list[Anomaly]:
    """What could not be told, or was concluded, in words."""
    concluded = [
        Anomaly(
            "note",
            "map-deduced",
            f"goroutine {one.goroutine.id}: the compiler kept no copy of the map's address in {one.call}; this is the "
            "one map of its kind whose write flag is up",
            one.goroutine.address,
        )
        for one in searched.inside
        if one.deduced
    ]
    return concluded + [
        Anomaly(
            "note",
            "no-map-address",
            f"goroutine {one.goroutine.id}: the compiler kept no copy of the map's address in {one.call}",
            one.goroutine.address,
        )
        for one in searched.inside
        if one.address is None and not one.nil
    ]


def _advice(maps: Sequence[Raced]) -> list[str]:
    advice = []
    if any(one.nil and one.fatal for each in maps for one in each.inside):
        advice.append("make the map before the first write to it")
    messages = [one.message or "" for each in maps for one in each.inside]
    if any(each.races for each in maps) or any("concurrent map" in message for message in messages):
        advice.append(
            "every access needs the same lock once one goroutine writes (sync.Mutex, sync.RWMutex or sync.Map); "
            "a build with -race names both sides at the first unguarded access"
        )
    if any(each.writing and not each.inside for each in maps):
        advice.append(
            "a write flag that is up with nobody inside: a panic left the operation, or the header was copied "
            "while a write was under way"
        )
    return advice
