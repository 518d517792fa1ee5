"""One core file as rows of the tables: the existing analyses, asked one after the other."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Callable, NamedTuple

from direct.fleet.causes import ALIVE, said
from direct.fleet.programs import Programs, build_of
from direct.target import DirectTarget, of_core
from gomap import elf, frontend
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import UNKNOWN, Beyond, add_slots, beyond, header_size, search_heap
from gomap.analysis.held import AliasSearch, Holder
from gomap.analysis.race import own_frame
from gomap.analysis.ranked_groups import Together, add_up
from gomap.analysis.ranking import ORDERS, Ranked, Ranking, measure, measure_beyond, shortest
from gomap.analysis.roots import Roots
from gomap.analysis.selection import Selection
from gomap.commands import registry
from gomap.declare import Context, Settings
from gomap.errors import GomapError
from gomap.golang.runtime.goroutines import goroutines, threads
from gomap.golang.runtime.modules import modules
from gomap.golang.runtime.stacks import Stacks
from gomap.human import one_line
from gomap.results.advise import AdviseResult
from gomap.results.check import CheckResult
from gomap.results.encode import encode
from gomap.results.fleet import (
    AdviceOfFleet,
    FindingOfFleet,
    GoroutinesOfFleet,
    HoldersOfFleet,
    MapsOfFleet,
    RaceOfFleet,
)
from gomap.results.race import InsideRow, RaceResult
from gomap.stripped import buildinfo
from gomap.stripped.program import Stripped

#: In cores with more maps than this, one way to each is searched for, and not all.
MANY_MAPS = 20_000
#: Rows of holders and goroutines of a core, those with the most first.
MOST_PLACES = 200
#: Kinds of ways that start at a word without a name: an address is all that they consist of.
NAMELESS = frozenset({"slot", "heap", "stack"})
#: What is done with each core, by the tables that are made.
STEPS = ("maps", "goroutines", "races", "findings", "advice")
NO_MEMORY = "it needs more memory (--memory)"
#: What is given the rows as they are known: {"core": fields of its row} or {table: rows}; and {"step": name} as a step
#: begins, then {"done": name} or {"failed": why}.
Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """A core file to read. core: how it is named in the tables. path: of the file on this machine. maps: rows of maps.
    with_keys: whether keys and values of the program may be in the rows."""

    core: str
    path: str
    maps: int
    with_keys: bool


class Key(NamedTuple):
    """What maps have in common that are one row."""

    map: str | None
    kind: str
    function: str | None
    type: str | None


@dataclass
class _Known:
    """What the steps before have found. best: the maps' keys by address, of those that are not many alike. in_part: the
    core lacks something. ended: whether the program has, None where that is not known."""

    found: AliasSearch = field(default_factory=AliasSearch)
    ranking: Ranking = field(default_factory=Ranking)
    others: Ranking = field(default_factory=Ranking)
    groups: list[Together] = field(default_factory=list)
    total: int = 0
    best: dict[int, Holder] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    in_part: bool = False
    race: RaceResult | None = None
    ended: bool | None = None
    damaged: Holder | None = None


def read(job: Job, programs: Programs, emit: Emit) -> None:
    """Gives the rows of each step as soon as it is done. Raises GomapError where the core can't be opened."""
    problem = elf.why_no_core(job.path)
    if problem is not None:
        raise GomapError(problem)
    program = programs.of_core(job.path)
    opened = of_core(program.path if program else None, job.path, program.symbols if program else None)
    target, known = DirectTarget(opened), _Known(in_part=bool(opened.lacks))
    emit({"core": _identity(program.path if program else opened.files.info.path, target)})
    emit({"wanting": known.in_part or isinstance(opened.files.info, Stripped)})
    known.missing += [one.replace(job.path, job.core) for one in opened.lacks]
    for name, step in zip(STEPS, (_maps, _goroutines, _races, _findings, _advice)):
        emit({"step": name})
        try:
            step(job, DirectTarget(opened), known, emit)
            emit({"done": name})
        except Exception as error:
            emit({"failed": why(error, job.core)})
        emit({"core": {**_cause(known, job), "missing": "; ".join(dict.fromkeys(known.missing)) or None}})


def why(error: Exception, core: str) -> str:
    """The error as text for a row. Of an internal error only type and line: its text may have values of the program."""
    if isinstance(error, GomapError):
        return one_line(str(error))
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, OSError):
        return one_line(f"{error.filename or core}: {error.strerror or type(error).__name__}")
    place = traceback.extract_tb(error.__traceback__)[-1]
    file = "/".join(place.filename.rsplit("/", 3)[1:])
    return f"internal error in gomap, please report it: {type(error).__name__} in {file}:{place.lineno}"


def _identity(path: str, target: DirectTarget) -> dict[str, Any]:
    program, built = os.path.basename(path), None
    with elf.mapped(path) as data:
        build, info = build_of(data), buildinfo.read(data)
    if info is not None:
        program, built = info.path or program, info.settings.get("vcs.time")
    if built is None:
        built = stamp(os.stat(path).st_mtime)
    return {
        "program": program,
        "file": path,
        "build": build,
        "built": built,
        "go": target.go_version,
        "arch": target.arch.name,
    }


def stamp(seconds: float) -> str:
    """A time as the tables have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# -- maps ------------------------------------------------------------------------------------------------


def _maps(job: Job, target: DirectTarget, known: _Known, emit: Emit) -> None:
    headers = search_heap(target)
    roots = Roots(target, "all", object_size=header_size(target), with_slots=True)
    once = headers.census is not None and len(headers.census.addresses) > MANY_MAPS
    found = everywhere(target, roots, once=once, census=headers.census if once else None)
    more, identifier = beyond(target, found, roots.objects, headers)
    if identifier is not None:
        add_slots(found, more, identifier, roots.slots)
    ranking, others = measure(target, found, census=headers.census), Ranking()
    if identifier is not None:
        others = measure_beyond(target, more, identifier, "bytes", 0)
    known.found, known.ranking, known.others = found, ranking, others
    for address, holders in (*found.maps.items(), *found.syncs.items()):
        known.best[address] = shortest(holders)
    known.best.update({address: holder for address, (holder, _) in found.doubtful.items()})
    known.best.update({one.address: one.holder for one in others.maps})
    counted = [*ranking.counted(), *others.counted()]
    known.groups = add_up(counted, _key_of, ORDERS["bytes"])
    totals = [ranking.total(), others.total()]
    known.total = sum(one.allocated for one in totals)
    selection = Selection(target)
    emit({
        "maps": [encode(_maps_row(one, selection, job)) for one in known.groups[: job.maps or None]],
        "holders": [encode(one) for one in _holders(job, known)],
        "core": {
            "maps": sum(number for _, number in counted),
            "entries": ranking.entries + others.entries,
            "bytes": known.total,
            "waste": sum(one.waste for one in totals),
        },
    })  # fmt: skip
    known.missing += _not_seen(roots, found, more)


def _not_seen(roots: Roots, found: AliasSearch, more: Beyond) -> Iterator[str]:
    if roots.unseen.count:
        yield f"the stacks of {roots.unseen.count:,} goroutines"
    if more.why is not None:
        yield f"maps that no variable leads to: {more.why}"
    if found.shortened or found.too_deep:
        yield "what lies deeper in the values of some variables"
    if found.not_followed:
        yield f"{found.not_followed:,} values that could not be followed"


def key_of(holder: Holder, type_name: str | None) -> Key:
    """The key of a map by what holds it."""
    kind = "dead" if holder.dead else holder.place.kind
    return Key(None if kind in NAMELESS else holder.way.shape, kind, holder.place.function, type_name)


def _key_of(one: Ranked) -> Key:
    return key_of(one.holder, None if one.type is UNKNOWN else one.type.name)


def _maps_row(one: Together, selection: Selection, job: Job) -> MapsOfFleet:
    key, example = one.key, one.example
    return MapsOfFleet(
        core=job.core, program=None, build=None, built=None, map=key.map, kind=key.kind, function=key.function,
        source=example.holder.place.file, line=example.holder.place.line, type=key.type, maps=one.maps,
        entries=one.entries, bytes=one.allocated, waste=one.bytes.waste, rebuilt=one.rebuilt,
        std=selection.is_standard(example.holder, example.type.name), address=example.address,
        example=example.holder.path if job.with_keys else None,
    )  # fmt: skip


def _holders(job: Job, known: _Known) -> Iterator[HoldersOfFleet]:
    """Of the maps that have rows."""
    wanted = {one.key: i for i, one in enumerate(known.groups[: job.maps or None])}
    rows: dict[tuple[Key, Key, int | None, str | None], list[int | None]] = {}
    for address, held in known.found.maps.items():
        t = known.found.types[address].name
        key = key_of(known.best[address], t)
        if key not in wanted:
            continue
        for way in (each for one in held for each in (one, *one.also)):
            place = key, key_of(way, t), way.place.line, way.place.file
            rows.setdefault(place, []).append(way.place.goroutine)
    order = sorted(rows, key=lambda place: (wanted[place[0]], -len(rows[place])))
    for place in order[:MOST_PLACES]:
        (key, holder, line, file), ids = place, rows[place]
        yield HoldersOfFleet(
            core=job.core, map=key.map, map_function=key.function, type=key.type or "?", holder=holder.map,
            kind=holder.kind, function=holder.function, source=file, line=line, holders=len(ids),
            goroutines=len({*ids} - {None}),
        )  # fmt: skip


# -- goroutines ------------------------------------------------------------------------------------------


def _goroutines(job: Job, target: DirectTarget, known: _Known, emit: Emit) -> None:
    found, _ = goroutines(target)
    owners = modules(target)
    places: dict[GoroutinesOfFleet, list[int]] = {}
    for stack in Stacks(target, lambda function, name, t: False).walk(found):
        one = stack.goroutine
        frame = own_frame(owners, stack.frames)
        # The first one is made by assembly: printcreatedby of runtime/traceback.go leaves it out too.
        made = target.location(one.created_at) if one.created_at and one.id != 1 else None
        place = GoroutinesOfFleet(
            job.core, one.status, frame.function if frame else None, frame.file if frame else None,
            frame.line if frame else None, made.function if made else None, made.file if made else None,
            made.line if made else None, 0, 0,
        )  # fmt: skip
        places.setdefault(place, []).append(one.id)
    rows = sorted(places.items(), key=lambda place: -len(place[1]))[:MOST_PLACES]
    emit({
        "goroutines": [encode(replace(place, goroutines=len(ids), example=ids[0])) for place, ids in rows],
        "core": {"goroutines": len(found)},
    })  # fmt: skip


# -- what it died of -------------------------------------------------------------------------------------


def _asked(target: DirectTarget, line: str) -> Any:
    """The result of a command."""
    name, rest = registry.parted(line)
    command = registry.find(name)
    assert command is not None
    return command.run(Context(target, Settings()), frontend.parse(command, rest)).data


def _races(job: Job, target: DirectTarget, known: _Known, emit: Emit) -> None:
    race: RaceResult = _asked(target, "hmap-race --json")
    known.race = race
    if race.deaths or (threads(target) and not known.in_part):
        known.ended = bool(race.deaths)
    rows = [_race_row(job, known, one) for one in race.inside]
    rows += [
        RaceOfFleet(job.core, one.goroutine, "suspect", None, False, one.status, one.function, one.file, one.line, None,
                    None, None)
        for one in race.suspects
    ]  # fmt: skip
    emit({"races": [encode(one) for one in rows]})


def _race_row(job: Job, known: _Known, one: InsideRow) -> RaceOfFleet:
    key = _of_operation(known, one)
    return RaceOfFleet(
        job.core, one.goroutine, "inside", one.operation, one.fatal, one.status, one.function, one.file, one.line,
        key.map, key.type, one.address,
    )  # fmt: skip


def _of_operation(known: _Known, one: InsideRow) -> Key:
    """The map that an operation is on."""
    if one.nil:
        addresses = {row.address for row in one.nil_maps}
        keys = {key_of(held, held.type.name) for held in known.found.nil if held.address in addresses}
        if len(keys) == 1:
            return keys.pop()
        return Key(None, "heap", None, one.type)
    return known_key(known, one.address, one.type)


def known_key(known: _Known, address: int | None, type_name: str | None) -> Key:
    """The key of the map at an address."""
    holder = _holder_at(known, address)
    return Key(None, "heap", None, type_name) if holder is None else key_of(holder, type_name or holder.type.name)


def _holder_at(known: _Known, address: int | None) -> Holder | None:
    if address is None or address in known.best:
        return known.best.get(address or 0)
    every = (one for alike in known.ranking.alike for one in alike.maps(alike.number))
    return next((one.holder for one in every if one.address == address), None)


def _cause(known: _Known, job: Job) -> dict[str, Any]:
    """The fields of the core's row that say what it died of."""
    race = known.race
    death = next(iter(race.deaths), None) if race is not None else None
    row: dict[str, Any] = {} if known.ended is not False else {"died": ALIVE}
    if death is not None:
        message, cause = said(death, job.with_keys)
        row = {
            "died": death.kind, "cause": cause, "message": message, "function": death.function, "source": death.file,
            "line": death.line, "operation": death.operation, "sent": death.sent,
        }  # fmt: skip
    ended = next((one for one in race.inside if one.fatal and not one.left), None) if race is not None else None
    key, by, at = None, None, None
    if death is not None and not death.sent:
        at = _at(death.function, death.file, death.line)
    if ended is not None:
        key, by = _of_operation(known, ended), "operation"
    elif known.damaged is not None:
        key, by = key_of(known.damaged, known.damaged.type.name), "damaged"
    elif known.groups and (
        known.ended is False if death is None else death.sent or "out of memory" in (death.message or "")
    ):
        one = known.groups[0]
        if 2 * one.allocated >= known.total:
            key, by = one.key, "largest"
            place = one.example.holder.place
            at = at or _at(place.function, place.file, place.line)
    if key is not None:
        row |= {"map": key.map, "map_type": key.type, "map_by": by}
    return {**row, "place": at}


def _at(function: str | None, file: str | None, line: int | None) -> str | None:
    return None if function is None else f"{function} ({(file or '?').rsplit('/', 1)[-1]}:{line or '?'})"


# -- findings and advice -----------------------------------------------------------------------------------


def _findings(job: Job, target: DirectTarget, known: _Known, emit: Emit) -> None:
    name, rest = registry.parted("hmap-check --all --json")
    command = registry.find(name)
    assert command is not None
    report = command.run(Context(target, Settings()), frontend.parse(command, rest))
    result: CheckResult = report.data
    said = {(one.address, one.code): one.message for one in reversed(report.anomalies) if one.severity == "error"}
    rows, corrupt = [], 0
    for one in result.maps:
        if one.ok is not False:
            continue
        corrupt += 1
        holder = _holder_at(known, one.address)
        if holder is not None and known.damaged is None:
            known.damaged = replace(holder)
        key = known_key(known, one.address, one.type)
        rows += [
            FindingOfFleet(job.core, key.map, key.function, one.type, one.address, kind.code, kind.number,
                           said.get((one.address, kind.code)) if job.with_keys else None)
            for kind in one.kinds
        ]  # fmt: skip
    core = {"checked": len(result.maps), "corrupt": corrupt, "not_checked": result.not_checked}
    emit({"findings": [encode(one) for one in rows], "core": core})


def _advice(job: Job, target: DirectTarget, known: _Known, emit: Emit) -> None:
    result: AdviseResult = _asked(target, "hmap-advise --json")
    rows = []
    for one in result.advice:
        key = known_key(known, one.address, one.type) if one.address is not None else Key(None, "heap", None, one.type)
        do = one.do if job.with_keys or one.kind != "set" else one.do.partition(": all its values")[0]
        rows.append(
            AdviceOfFleet(job.core, one.kind, key.map, key.type, one.maps, do, one.saves.held, one.saves.allocated,
                          one.saves.scanned, one.within)
        )  # fmt: skip
    emit({"advice": [encode(one) for one in rows]})
