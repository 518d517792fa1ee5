"""hmap-race: which goroutines are inside map operations, and what the program died of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from gomap import human
from gomap.analysis import race
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import Beyond, add_slots, adopt, beyond, header_size, search_heap
from gomap.analysis.deaths import PANIC, SIGNAL, Death
from gomap.analysis.held import AliasSearch, Holder
from gomap.analysis.race import InFunction, MapOperation, Searched
from gomap.analysis.roots import Roots
from gomap.anomaly import Anomaly
from gomap.answers.facts import call_facts, goroutines_seen, holder_row, search_cut
from gomap.declare import Context
from gomap.golang.layouts.structure import UNTOLD
from gomap.golang.runtime import mapcalls
from gomap.golang.runtime.dictionaries import is_shaped
from gomap.gotypes import GoType, same
from gomap.report import Facts, Lines, Report, Section, Table
from gomap.results.fields import alike
from gomap.results.race import DeathRow, InsideRow, RacedMapRow, RaceResult, RaceScanned, SuspectRow
from gomap.target import Frame, Target

#: Operations that change a map. Growth is part of one.
_CHANGES = frozenset({"write", "delete", "clear", "grow"})
_WHILE = {
    "read": "reading",
    "write": "writing to",
    "delete": "deleting from",
    "iterate": "iterating over",
    "clear": "clearing",
    "grow": "growing",
}
MAX_PLACES = 64
MAX_ROOTS = 12
#: So many goroutines at one place are worth counting.
MANY = 8


@dataclass
class Raced:
    """One map that goroutines are inside, or that is marked as being written to. address: None where it is nil or not
    known. mark: the header's field or flag that says so, None where the header is not known."""

    address: int | None
    type: GoType | None
    writing: bool
    mark: str | None = None
    inside: list[MapOperation] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The map in a line: type, address and the best of its names; a nil map as such."""
        if self.address is None and all(one.nil for one in self.inside):
            return f"a nil {self.type.name if self.type else 'map'}"
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
        """Orders maps: first those that the program died at, then those with more goroutines inside."""
        return not any(one.fatal for one in self.inside), -len(self.inside), self.address or 0


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-race."""
    target = context.target
    searched = race.search(target, context.progress)
    # What the runtime's map functions have under reflect's names their callers have too, and not only in registers.
    roots = Roots(
        target,
        "all",
        context.progress,
        without=lambda name: mapcalls.operation(name) is not None,
        object_size=header_size(target),
        with_slots=True,
    )
    headers = search_heap(target, context.progress)
    calm = race.calm(target, searched, headers.census)
    found = everywhere(target, roots, context.progress, once=calm, census=headers.census if calm else None)
    more, identifier = beyond(target, found, roots.objects, headers, context.progress)
    if identifier is not None:
        add_slots(found, more, identifier, roots.slots, context.progress)
        adopt(found, more, identifier, _operated_on(target, more, searched), context.progress)
    searched.inside = [race.located(one, found) for one in searched.inside]
    flagged = race.with_write_flag(target, found)
    gone_on = race.gone_on(target, searched)
    searched.inside = [race.concluded(target, one, found, flagged) for one in searched.inside]
    nil = {one.goroutine.id: race.nil_variables(target, one, found) for one in searched.inside}
    maps = _maps(searched, found, flagged, nil)
    report = Report(_result(searched, found, maps, nil))
    # The search for holders walks the same stacks and has the same trouble with them.
    report.anomalies = [*searched.anomalies, *_not_followed(found)]
    report.anomalies += [*_unknown(searched), *gone_on]
    report.answer = list(dict.fromkeys(_answer(searched, maps, nil, target.running)))
    if not options.get("--json"):
        report.sections = [section for one in maps for section in _sections(one, searched)]
    report.advice = _advice(searched, maps, bool(target.running or searched.unseen.count))
    if found.interrupted or searched.interrupted:
        report.interrupted()
    search_cut(report, found)
    return report


def _operated_on(target: Target, more: Beyond, searched: Searched) -> list[int]:
    """The maps that no variable led to, and that a write or growth is under way in or that a goroutine is inside."""
    census = more.census
    if census is None:
        return []
    unknown = [one for one in searched.inside if one.address is None and not one.nil]
    words = {word for one in unknown for word in race.live_words(target, one)}
    parts = set(census.rows_with(words)) if words else set()
    inside = {one.address for one in searched.inside}
    return [i for i in more.maps if census.slots[i] == UNTOLD or census.addresses[i] in inside or i in parts]


#: The nil maps that a goroutine's operation may be on, by the goroutine's id.
Nil = Mapping[int, Sequence[Holder]]


def _maps(searched: Searched, found: AliasSearch, flagged: Sequence[int], nil: Nil) -> list[Raced]:
    """Maps that goroutines are inside, of those that died of it first, and those marked as being written to."""
    maps: dict[object, Raced] = {}
    for one in searched.inside:
        key: object = one.address or one
        if key not in maps:
            held = found.maps.get(one.address, []) if one.address else []
            t = _nil_type(nil[one.goroutine.id]) if one.nil and one.type is None else _type(held, one.type)
            maps[key] = Raced(one.address, t, one.address in flagged, _mark(found, one.address), [], held)
        maps[key].inside.append(one)
    for address in flagged:
        held = found.maps[address]
        maps.setdefault(address, Raced(address, _type(held, None), True, _mark(found, address), [], held))
    return sorted(maps.values(), key=lambda one: one.rank)


def _mark(found: AliasSearch, address: int | None) -> str | None:
    """The runtime's name of the mark of a write under way, in this map's layout."""
    each = found.views.get(address) if address else None
    return None if each is None else each.terms.writing


def _type(held: Sequence[Holder], told: GoType | None) -> GoType | None:
    """The map's type, as its holders have it. In a generic function that may be its shape."""
    types = [holder.type for holder in held]
    types += [told] if told is not None else []
    return next((t for t in types if not is_shaped(t)), types[0] if types else None)


# -- the result --------------------------------------------------------------------------------------------


def _result(searched: Searched, found: AliasSearch, maps: Sequence[Raced], nil: Nil) -> RaceResult:
    return RaceResult(
        deaths=[_death_row(death, searched) for death in searched.deaths],
        inside=[_inside_row(one, each, nil) for each in maps for one in each.inside],
        maps=[
            RacedMapRow(
                address=one.address,
                type=one.type.name if one.type else None,
                writing=one.writing,
                holders=[holder_row(holder) for holder in one.holders],
            )
            for one in maps
            if one.address is not None
        ],
        suspects=[
            alike(SuspectRow, place.frame, goroutine=place.goroutine.id, status=place.goroutine.status)
            for place in searched.suspects
        ],
        scanned=RaceScanned(searched.goroutines, len(found.maps) + sum(len(many.rows) for many in found.many)),
    )


def _death_row(death: Death, searched: Searched) -> DeathRow:
    one, frame = _ended_by(death, searched), _died_at(death, searched)
    return DeathRow(
        kind=death.kind,
        message=death.message,
        goroutine=death.goroutine,
        function=frame.function if frame else None,
        file=frame.file if frame else None,
        line=frame.line if frame else None,
        operation=one.operation if one else None,
        race=one is not None and one.raced,
        fault=death.address,
        sent=death.outside,
        sender=death.sender,
    )


def _inside_row(one: MapOperation, raced: Raced, nil: Nil) -> InsideRow:
    through = one.direct if one.direct is not one.caller else None
    return InsideRow(
        goroutine=one.goroutine.id,
        operation=one.operation,
        function=one.caller.function if one.caller else None,
        file=one.caller.file if one.caller else None,
        line=one.caller.line if one.caller else None,
        through=call_facts(through),
        address=one.address,
        type=raced.type.name if raced.type else None,
        fatal=one.fatal,
        ended=one.ended,
        message=one.message,
        left=one.left,
        call=one.call,
        status=one.goroutine.status,
        nil=one.nil,
        deduced=one.deduced is not None,
        nil_maps=[holder_row(holder) for holder in nil[one.goroutine.id]],
    )


def _nil_type(held: Sequence[Holder]) -> GoType | None:
    """The type of the nil map, where all that may be the one are of one type."""
    types = [holder.type for holder in held]
    return types[0] if types and all(same(t, types[0]) for t in types) else None


# -- words -------------------------------------------------------------------------------------------------


def _answer(searched: Searched, maps: Sequence[Raced], nil: Nil, running: int) -> Iterator[str]:
    """What the program died of, then who is inside, one line each."""
    ended = [(one, each) for each in maps for one in each.inside if one.fatal and not one.left]
    for one, each in ended:
        yield _ended_text(one, each, searched, nil)
    told = {one.goroutine.id for one, _ in ended}
    for death in searched.deaths:
        if death.goroutine not in told or death.kind == SIGNAL:
            yield _death_text(death, searched)
    for raced in maps:
        for one in raced.inside:
            if one.left:
                yield f"{_ended_text(one, raced, searched, nil)}, before deferred functions ran"
    if any(one.fatal for each in maps for one in each.inside):
        return
    yield _living(searched, maps, running)


def _ended_text(one: MapOperation, each: Raced, searched: Searched, nil: Nil) -> str:
    """How a goroutine ended inside an operation."""
    death = next((d for d in searched.deaths if d.goroutine == one.goroutine.id and d.message == one.message), None)
    said = _said(one.ended, one.message) + _fault(death)
    if one.raced:
        return f"{said} on {each.name}"
    if one.nil and mapcalls.NIL_MAP in (one.message or ""):
        suspects = ", ".join(holder.path for holder in nil[one.goroutine.id])
        return f"{said}{f' in {one.caller.function}' if one.caller else ''}{f': {suspects}' if suspects else ''}"
    return f"{said} {_while(one, each)}"


def _while(one: MapOperation, each: Raced) -> str:
    where = f" in {one.caller.function} ({_line(one.caller.file, one.caller.line)})" if one.caller else ""
    return f"while {_WHILE[one.operation]} {each.name}{where}"


def _said(kind: str | None, message: str | None) -> str:
    if message is None:
        return f"{kind} ({'its value' if kind == PANIC else 'its text'} could not be read)"
    return f"{kind}: {human.one_line(message)}"


def _fault(death: Death | None) -> str:
    return f" (address {death.address:#x})" if death is not None and death.address is not None else ""


def _death_text(death: Death, searched: Searched) -> str:
    """A death outside of map operations."""
    frame = _died_at(death, searched)
    where = f", goroutine {death.goroutine}" if death.goroutine is not None else ""
    if frame is not None:
        where += f" in {frame.function} ({_line(frame.file, frame.line)})"
    if death.kind == SIGNAL:
        what = f"signal {death.message}" if death.message else "a signal that could not be read"
        how = f", sent by process {death.sender}" if death.outside else _fault(death)
        return f"{what}{how}" if death.outside else f"{what}{how}{where}"
    return f"{_said(death.kind, death.message)}{_fault(death)}{where}"


def _died_at(death: Death, searched: Searched) -> Frame | None:
    return None if death.goroutine is None else searched.died_at.get(death.goroutine)


def _ended_by(death: Death, searched: Searched) -> MapOperation | None:
    """The operation that this death ended."""
    inside = (one for one in searched.inside if one.goroutine.id == death.goroutine and one.fatal and not one.left)
    return None if death.kind == SIGNAL else next(inside, None)


def _living(searched: Searched, maps: Sequence[Raced], running: int) -> str:
    """Who is inside map operations, where none ended there."""
    for each in maps:
        if each.races:
            who = human.plural(len(each.inside), "goroutine")
            return f"data race: {who} inside {each.name} at once, and not all of them only read"
    if searched.inside:
        number = len({one.goroutine.id for one in searched.inside})
        verb = "is" if number == 1 else "are"
        of = f"on {maps[0].name}" if len(maps) == 1 else f"on {human.plural(len(maps), 'map')}"
        return f"{human.plural(number, 'goroutine')} {verb} inside a map operation, {of}"
    looked_at = f"{goroutines_seen(searched.goroutines, searched.unseen)} searched"
    if running:
        looked_at += f", the stacks of {human.plural(running, 'running thread')} were not read"
    none = f"no goroutine is inside a map operation ({looked_at})"
    if maps:
        mark = next((each.mark for each in maps if each.mark), "writing")
        return f"{none}, but {mark} is set in {human.plural(len(maps), 'map')}"
    return none


def _best(held: Sequence[Holder]) -> str:
    """The best path: a package variable's if there is one, and the shortest; and whose it is otherwise."""
    ways = [way for holder in held for way in (holder, *holder.also)]
    best = min(ways, key=lambda way: (way.place.kind != "global", len(way.path)))
    owner, named = best.place.goroutine, not best.path.startswith("0x")
    return best.path + (f" in goroutine {owner}" if named and owner is not None and best.place.kind != "global" else "")


def _sections(each: Raced, searched: Searched) -> Iterator[Section]:
    # The runtime ends the program where a write finds the flag set at its begin, or not set at its end.
    died = each.races and any(one.fatal and not one.panics for one in each.inside)
    flag = f"{each.mark or 'writing'} is {'set' if each.writing else 'no longer set' if died else 'not set'}"
    if each.address is None:
        flag = "" if each.inside[0].nil else "the address of its header could not be read"
    yield Lines([f"{each.name}  {flag}".rstrip()])
    rows = [_row(one) for one in sorted(each.inside, key=lambda one: (not one.fatal, one.goroutine.id))]
    headings = ("goroutine", "does", "function", "line", "state")
    suspects = searched.suspects if any(one.raced for one in each.inside) else []
    held = _holding(each, searched, {place.goroutine.id for place in suspects})
    yield Table(headings, [*rows, *_suspected(each, suspects), *held], names=frozenset({2, 3}))
    paths = [way.path for holder in each.holders for way in (holder, *holder.also) if way.place.kind == "global"]
    if paths:
        more = f", ... ({len(paths):,} in all)" if len(paths) > MAX_ROOTS else ""
        yield Facts([("package variable", ", ".join(paths[:MAX_ROOTS]) + more)])
    through = {one.direct.function for one in each.inside if one.direct is not None and one.direct is not one.caller}
    if through:
        yield Facts([("through", ", ".join(sorted(through)))])


def _row(one: MapOperation) -> tuple[str, ...]:
    ended = "panicked" if one.left else "panics" if one.panics else "died"
    does = f"{one.operation}, {ended}" if one.fatal else one.operation
    function = one.caller.function if one.caller else one.call
    line = _line(one.caller.file, one.caller.line) if one.caller else ""
    return (str(one.goroutine.id), does, function, line, one.goroutine.status)


def _suspected(each: Raced, suspects: Sequence[InFunction]) -> list[tuple[str, ...]]:
    """Goroutines in the function in which one died of a race on the map, those at one place together."""
    within = {one.goroutine.id for one in each.inside}
    places: dict[tuple[str, str, str], set[int]] = {}
    for place in suspects:
        if place.goroutine.id not in within:
            frame = place.frame
            at = (frame.function, _line(frame.file, frame.line), place.goroutine.status)
            places.setdefault(at, set()).add(place.goroutine.id)
    return _rows(places, "same function")


def _line(file: str | None, line: int | None) -> str:
    return f"{(file or '?').rsplit('/', 1)[-1]}:{line or '?'}"


def _holding(each: Raced, searched: Searched, told: Set[int]) -> list[tuple[str, ...]]:
    """Goroutines whose variables lead to the map and that are not inside it, those at one place together. told: those
    that have a row already."""
    within = {one.goroutine.id for one in each.inside} | told
    places: dict[tuple[str, str, str], set[int]] = {}
    for held in each.holders:
        for holder in (held, *held.also):
            goid = holder.place.goroutine
            if goid is None or goid in within:
                continue
            stood = searched.stood.get(goid)
            status = stood.status if stood else ""
            place = (holder.place.function or "?", _line(holder.place.file, holder.place.line), status)
            places.setdefault(place, set()).add(goid)
    return _rows(places, "holds it")


def _rows(places: Mapping[tuple[str, str, str], Iterable[int]], does: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for (function, line, status), goids in list(places.items())[:MAX_PLACES]:
        many = len(set(goids))
        rows.append((f"{human.ranges(goids, 3)}{f' ({many:,})' if many > MANY else ''}", does, function, line, status))
    if len(places) > MAX_PLACES:
        rows.append((f"{len(places) - MAX_PLACES:,} more places", does, "", "", ""))
    return rows


def _not_followed(found: AliasSearch) -> list[Anomaly]:
    """How many values the search for holders could not follow: optimized builds are full of variables that are not
    set."""
    if not found.not_followed:
        return []
    what = human.plural(found.not_followed, "value")
    message = f"{what} could not be followed in the search for holders: hmap-alias --scope all says which"
    return [Anomaly("note", "not-followed", message, None)]


def _unknown(searched: Searched) -> list[Anomaly]:
    """Which addresses could not be read, or were concluded."""
    concluded = [
        Anomaly(
            "note",
            "map-deduced",
            f"goroutine {one.goroutine.id}: the map's address could not be read in {one.call}; {one.deduced}",
            one.goroutine.address,
        )
        for one in searched.inside
        if one.deduced is not None
    ]
    return concluded + [
        Anomaly(
            "note",
            "no-map-address",
            f"goroutine {one.goroutine.id}: the map's address could not be read in {one.call}",
            one.goroutine.address,
        )
        for one in searched.inside
        if one.address is None and not one.nil
    ]


def _advice(searched: Searched, maps: Sequence[Raced], unseen: bool) -> list[str]:
    """unseen: whether there are stacks that were not read."""
    advice = []
    inside = [one for each in maps for one in each.inside]
    if any(one.nil and one.fatal and mapcalls.NIL_MAP in (one.message or "") for one in inside):
        advice.append("make the map before the first write to it")
    if any(each.races for each in maps) or any(one.raced for one in inside):
        advice.append(
            "every access needs the same lock once one goroutine writes (sync.Mutex, sync.RWMutex or sync.Map); "
            "a build with -race reports both sides at the first unguarded access"
        )
    idle = next((each for each in maps if each.writing and not each.inside), None)
    # One whose map is not known may be writing to this one.
    if idle is not None and not (unseen or any(one.address is None and not one.nil for one in inside)):
        advice.append(
            f"{idle.mark or 'writing'} is set but no goroutine is writing: a recovered panic, or a header copied "
            "during a write"
        )
    return advice
