"""hmap-report: the answers about all maps as one page to look at.

Everything on the page is the answer of another command. This file asks for these answers and puts them in order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Callable

from gomap import __version__, human, moving, zips
from gomap.analysis.beyond import NO_VARIABLE, UNKNOWN
from gomap.analysis.ranked_groups import KEYS, Together, add_up
from gomap.analysis.ranked_groups import alike as alike_maps
from gomap.analysis.ranking import ORDERS, Ranked, Ranking
from gomap.analysis.selection import Selection, owner, package_of
from gomap.anomaly import Anomaly
from gomap.answers.facts import in_frame
from gomap.answers.paths import ShortNames
from gomap.answers.top import UNTOLD
from gomap.commands import advise, alias, check, evac, origin, race, registry, show, sync, top
from gomap.declare import Context
from gomap.errors import GomapError, Interrupted
from gomap.golang.layouts.structure import Bytes
from gomap.golang.runtime.modules import modules
from gomap.gotypes import GoType, Kind
from gomap.moving import Bounds
from gomap.pages import page
from gomap.report import INTERRUPTED, Report
from gomap.results.answer import Cut
from gomap.results.check import CheckResult
from gomap.results.race import RaceResult
from gomap.results.report import PartRow, ReportResult
from gomap.results.top import TopMap
from gomap.target import Target, Variable

#: Groups that the chart has, and parts of each; the others are added up.
MAX_GROUPS, MAX_PARTS = 40, 12
#: What the parts of a group are, in the chart of each grouping.
PARTS = {"package": "owner", "type": "package", "owner": "type"}
#: Changes and shared maps that are listed.
MAX_ADVICE, MAX_SHARED = 20, 50


@dataclass(frozen=True)
class Part:
    """The answer of a command. error: why there is none."""

    command: str
    report: Report | None
    error: str | None = None

    @property
    def anomalies(self) -> Sequence[Anomaly]:
        """What it found."""
        return self.report.anomalies if self.report is not None else ()

    @property
    def cuts(self) -> Sequence[Cut]:
        """What it left out."""
        return (self.report.truncated or ()) if self.report is not None else ()


@dataclass(frozen=True)
class Described:
    """A map that has a part of its own. where: the frame of the variable that leads to it. held, count: None where it
    is nil. verdict: of hmap-check, None where it was not checked."""

    path: str
    where: str
    type: str
    address: int
    held: int | None
    count: int | None
    verdict: str | None
    parts: Sequence[Part]


@dataclass
class _Page:
    """parts: the answers about all maps, by name. described: those about single maps. maps, groups: for the script."""

    parts: dict[str, Part] = field(default_factory=dict)
    described: list[Described] = field(default_factory=list)
    maps: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    total: Bytes = field(default_factory=Bytes)
    number: int = 0
    entries: int = 0


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-report: writes the page. Raises BadImage, NoTemplates, and what resolving --map raises."""
    path, target = options["FILE"], context.target
    zips.check_place(path, options["--overwrite"])
    page.needed()
    collected = _of_recorded(context, options) if target.kind == "recorded" else _of_process(context, options)
    bounds = moving.bounds(target)
    of_script = None if target.kind == "recorded" else {"maps": collected.maps, "groups": collected.groups}
    data = page.write(_facts(target, collected, bounds), of_script)
    zips.save(path, data, options["--overwrite"])
    result = ReportResult(
        file=path,
        size=len(data),
        maps=collected.number,
        entries=collected.entries,
        bytes=collected.total.allocated,
        described=[one.address for one in collected.described if one.address],
        parts=[PartRow(part.command, part.error) for part in collected.parts.values()],
    )
    what = f"{human.plural(collected.number, 'map')}, {len(collected.described):,} of them in detail"
    report = Report(result, [f"saved to {path} ({what}; {human.size(len(data))} on disk)"], bounds=bounds)
    report.answer += [
        f"({part.command} has no answer: {part.error})" for part in collected.parts.values() if part.error
    ]
    if any(cut.what == INTERRUPTED for part in collected.parts.values() for cut in part.cuts):
        report.interrupted(what="the page is incomplete, and says where")
    report.advice = [f"{path} contains keys and values of the program: protect it as you protect the program's data"]
    return report


def _of_process(context: Context, options: Mapping[str, Any]) -> _Page:
    target, made = context.target, _Page()
    found = top.answered(context, {**_options("hmap-top"), "--by": "bytes", "-n": 0, "--json": True})
    ranking, others = found.ranking, found.others
    made.parts = {
        "top": Part("hmap-top", found.report),
        "advise": _asked("hmap-advise", advise.run, context, {"-n": MAX_ADVICE}),
        "race": _asked("hmap-race", race.run, context, {}),
        "alias": _asked("hmap-alias --scope all", alias.run, context, {"EXPR": [], "--scope": "all", "-n": MAX_SHARED}),
    }
    if not options["--no-check"]:
        made.parts["check"] = _asked("hmap-check --all", check.run, context, {"--all": True})
    made.number, made.entries = len(found.listed), sum(one.count for one in found.listed)
    totals = ranking.total(), others.total()
    made.total = Bytes(
        allocated=sum(one.allocated for one in totals),
        live=sum(one.live for one in totals),
        rebuilt=sum(one.rebuilt for one in totals),
    )
    verdicts = _verdicts(made.parts.get("check"))
    names = ShortNames(target)
    made.maps = _columns(found.listed, found.report.data.maps, verdicts)
    made.groups = {by: _groups(ranking, others, by, part) for by, part in PARTS.items()}
    chosen = [_chosen(one, names, target) for one in _first(target, ranking, others, options["-n"])]
    for text in options["--map"] or ():
        named = _named(context, text)
        if not named.address or all(named.address != one.address for one in chosen):
            chosen.append(named)
    for done, one in enumerate(chosen):
        context.progress("maps in detail", done, len(chosen))
        made.described.append(_described(context, one, options["--entries"], verdicts.get(one.address)))
    return made


def _of_recorded(context: Context, options: Mapping[str, Any]) -> _Page:
    """The page about the one map that a recorded file has."""
    expr, made = str(getattr(context.target, "expr", "")), _Page()
    one = _named(context, expr)
    made.parts = {"advise": _asked("hmap-advise", advise.run, context, {"EXPR": expr, "-n": MAX_ADVICE})}
    if not options["--no-check"]:
        made.parts["check"] = _asked("hmap-check", check.run, context, {"EXPR": expr})
    verdict = _verdicts(made.parts.get("check")).get(one.address)
    described = _described(context, one, options["--entries"], verdict)
    shown = described.parts[0].report
    if shown is not None:
        sizes = shown.data.bytes.sizes
        made.entries, made.total = shown.data.live, Bytes(sizes.allocated, sizes.live, rebuilt=sizes.rebuilt)
    made.number, made.described = 1, [described]
    return made


# -- asking other commands ---------------------------------------------------------------------------


def _options(name: str) -> dict[str, Any]:
    """The options of a command that was given none."""
    command = registry.find(name)
    assert command is not None
    return {arg.name: arg.default for arg in command.all_args}


def _asked(
    command: str, run: Callable[[Context, Mapping[str, Any]], Report], context: Context, options: Mapping[str, Any]
) -> Part:
    """The command's answer. Raises Interrupted."""
    try:
        return Part(command, run(context, {**_options(command.split(" ", 1)[0]), **options}))
    except Interrupted:
        raise
    except GomapError as error:
        return Part(command, None, human.one_line(str(error)))


def _verdicts(part: Part | None) -> dict[int, str]:
    """hmap-check's verdicts by the maps' addresses."""
    rows = part.report.data.maps if part is not None and part.report is not None else ()
    return {row.address: row.verdict for row in rows if row.address}


# -- single maps -------------------------------------------------------------------------------------


def _first(target: Target, ranking: Ranking, others: Ranking, most: int) -> list[Ranked]:
    """The maps of hmap-top's first rows: of those that are alike the largest, and none of the standard library's."""
    rows = add_up(chain(ranking.counted(), others.counted()), alike_maps, ORDERS["bytes"])
    selection, found = Selection(target), list[Ranked]()
    for one in (row.example for row in rows if row.example.type is not UNKNOWN):
        if len(found) >= most:
            break
        if not selection.is_standard(one.holder, one.type.name):
            found.append(one)
    return found


@dataclass(frozen=True)
class _Chosen:
    """A map that is described. variable: what has it. expr: how commands about it are typed."""

    address: int
    path: str
    where: str
    type: GoType
    variable: Variable
    expr: str
    held: int | None = None
    count: int | None = None


def _chosen(one: Ranked, names: ShortNames, target: Target) -> _Chosen:
    nameless = one.holder.kind in NO_VARIABLE
    path = "no variable" if nameless else names.path(one.holder)
    where = "" if nameless else in_frame(one.holder.place).strip()
    if one.type.kind is Kind.MAP:
        variable = Variable("", one.type, data=target.arch.pack(one.address), place=one.holder.place)
    else:
        variable = Variable("", one.type, one.address, place=one.holder.place)
    expr = f"{one.address:#x}"
    return _Chosen(one.address, path, where, one.type, variable, expr, one.bytes.allocated, one.count)


def _named(context: Context, text: str) -> _Chosen:
    """The map that an expression names. Raises what resolving raises; NotAMap."""
    t, address = check.map_or_sync(context, text)
    return _Chosen(address, text, "", t, Variable("", t, address), text)


def _described(context: Context, one: _Chosen, entries: int, verdict: str | None) -> Described:
    """The answers about one map."""
    # An address alone as an expression: its type is known already, and is not searched for.
    near = context._replace(seeks=lambda address: one.variable if address == one.address else context.seek(address))
    asked = {"EXPR": one.expr}
    if one.type.kind is Kind.MAP:
        parts = [_asked(f"hmap-show {one.expr}", show.run, near, {**asked, "--entries": entries})]
        growing = _asked(f"hmap-evac {one.expr}", evac.run, near, asked)
        if growing.report is not None and _grows(growing.report.data):
            parts.append(growing)
    else:
        parts = [_asked(f"hmap-sync {one.expr}", sync.run, near, {**asked, "--entries": entries})]
    parts.append(_asked(f"hmap-origin {one.expr}", origin.run, near, asked))
    held, count = one.held, one.count
    data = parts[0].report.data if parts[0].report is not None else None
    if held is None and data is not None and one.type.kind is Kind.MAP:
        held, count = data.bytes.sizes.allocated, data.count
    return Described(one.path, one.where, one.type.name, one.address, held, count, verdict, parts)


def _grows(data: Any) -> bool:
    """Whether there is more to say about a map's growth than hmap-show does: it is under way, or there are tables."""
    return bool(data.growth.old_buckets) or len(data.tables or ()) > 1


# -- what the page's script has ----------------------------------------------------------------------


class _Texts(dict[str, int]):
    """Numbers texts, each once."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


def _columns(maps: Sequence[Ranked], rows: Sequence[TopMap], verdicts: Mapping[int, str]) -> dict[str, Any]:
    """The table of all maps, by columns; texts that many maps have are numbers. Paths are whole: to shorten one, the
    program's names have to be searched."""
    texts = _Texts()
    paths, places = [], []
    for one, row in zip(maps, rows):
        if one.holder.kind in NO_VARIABLE:
            paths.append("")
            fate = "garbage, not collected yet" if row.alive is False else row.trail or "no variable leads to it"
            places.append(texts[human.visible(fate)])
        else:
            paths.append(human.visible(one.holder.path))
            dead = " (dead variable)" if one.holder.kind == "dead" else ""
            places.append(texts[human.visible(in_frame(one.holder.place).strip() + dead)])
    types = [texts[human.visible(_type(one))] for one in maps]
    return {
        "path": paths,
        "place": places,
        "type": types,
        "package": [texts[human.visible(_package(one))] for one in maps],
        "owner": [texts[human.visible(_owner(one))] for one in maps],
        "address": [f"{one.address:x}" for one in maps],
        "held": [one.bytes.allocated for one in maps],
        "waste": [one.bytes.waste for one in maps],
        "count": [one.count for one in maps],
        "bound": [row.bound or 0 for row in rows],
        "load": [None if one.load is None else round(1000 * one.load) for one in maps],
        "std": [int(row.std) for row in rows],
        "corrupt": [i for i, one in enumerate(maps) if verdicts.get(one.address) == "corrupt"],
        "texts": [*texts],
    }


def _type(one: Ranked) -> str:
    return human.spelled(one.type.name) if one.type is not UNKNOWN else UNTOLD["type"]


def _package(one: Ranked) -> str:
    return package_of(one.holder) or UNTOLD["package"]


def _owner(one: Ranked) -> str:
    return owner(one.holder) or UNTOLD["owner"]


#: The texts by which the script groups maps: as hmap-top --group has them.
LABELS: dict[str, Callable[[Ranked], str]] = {"type": _type, "package": _package, "owner": _owner}


def _groups(ranking: Ranking, others: Ranking, by: str, part: str) -> dict[str, Any]:
    """The groups of hmap-top --group, with their parts, for the chart and its table."""
    order = ORDERS["bytes"]
    every = [*chain(ranking.counted(), others.counted())]
    groups = add_up(every, KEYS[by], order)
    key, inner = KEYS[by], KEYS[part]
    within: dict[str, list[Together]] = {}
    for one in add_up(every, lambda one: (key(one), inner(one)), order):
        within.setdefault(one.key[0], []).append(one)
    return {
        "part": part,
        "groups": [
            [*_row(one, by), [_row(each, part) for each in within[one.key][:MAX_PARTS]]] for one in groups[:MAX_GROUPS]
        ],
        "more": [sum(figures) for figures in zip(*(_figures(one) for one in groups[MAX_GROUPS:]))],
        "number": len(groups),
    }


def _row(one: Together, by: str) -> list[Any]:
    return [human.visible(LABELS[by](one.example)), *_figures(one)]


def _figures(one: Together) -> list[int]:
    return [one.allocated, one.bytes.waste, one.maps, one.entries]


# -- what its templates have -------------------------------------------------------------------------


def _facts(target: Target, made: _Page, bounds: Bounds | None) -> dict[str, Any]:
    """What page.html is given."""
    parts = made.parts
    every = [*parts.values(), *(part for one in made.described for part in one.parts)]
    return {
        "program": _program(target),
        "how": {"live": "a running process", "core": "a core file", "recorded": "one recorded map"}[target.kind],
        "target": target,
        "taken": time.strftime("%Y-%m-%d %H:%M:%S %Z") if target.kind == "live" else None,
        "version": __version__,
        "parts": parts,
        "states": {name: _state(part, bool(target.running)) for name, part in parts.items()},
        "described": made.described,
        "total": made.total,
        "number": made.number,
        "entries": made.entries,
        "anomalies": list(dict.fromkeys(wrong for part in every for wrong in part.anomalies)),
        "cuts": [
            (part.command, cut)
            for part in parts.values()
            for cut in part.cuts
            if not (part.command == "hmap-top" and cut.what == "maps")
        ],
        "notes": [*getattr(target, "notes", ()), *getattr(target, "lacks", ())],
        "bounds": bounds,
        "running": target.running,
    }


def _state(part: Part, running: bool) -> str:
    """How the summary marks an answer: bad, good (looked at whole, and nothing wrong), plain or missing."""
    if part.report is None:
        return "missing"
    data = part.report.data
    if isinstance(data, CheckResult):
        corrupt = any(row.ok is False for row in data.maps) or page.worst(part.anomalies) == "error"
        return "bad" if corrupt else "good" if data.complete else "plain"
    if isinstance(data, RaceResult):
        dead = data.deaths or any(row.fatal for row in data.inside)
        quiet = not (running or data.inside or data.maps or part.anomalies or part.cuts)
        return "bad" if dead else "good" if quiet else "plain"
    return "plain"


def _program(target: Target) -> str | None:
    """The program's module."""
    try:
        return modules(target).main
    except GomapError:
        return None
