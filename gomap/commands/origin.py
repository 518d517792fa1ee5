"""hmap-origin: which source lines allocated a map's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gomap import human, syncmap
from gomap.analysis.beyond import UNKNOWN
from gomap.analysis.origins import Objects, Origin, OriginLines, Origins
from gomap.analysis.ranking import Ranked
from gomap.anomaly import Anomaly
from gomap.answers.facts import call_facts, count_anomalies
from gomap.commands.check import map_or_sync
from gomap.declare import Context
from gomap.errors import GomapError, NoDebugInfo, NotAMap
from gomap.golang.runtime import mapcalls
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType, Kind
from gomap.heap.profile import Profile, likelihood
from gomap.maps import view
from gomap.moving import walked
from gomap.report import Facts, Lines, Report, Section, Table
from gomap.results.fields import UNASKED, alike
from gomap.results.origin import EstimatedFacts, OriginBytes, OriginResult, ProfilingFacts
from gomap.results.shared import CallFacts, OriginRow, OriginStack
from gomap.syncmap.shape import Shape
from gomap.target import Location, Target, Variable

#: Stacks that are shown.
MAX_STACKS = 32
UNLINKED = (
    "the program was linked without memory profiling (nothing in it uses runtime.MemProfile, as runtime/pprof and "
    "net/http/pprof do): the runtime keeps no allocation's stack"
)
OFF = "runtime.MemProfileRate is 0: the program samples no allocations"
#: Parts of maps by their names in JSON, where a reader needs another: of what is one.
_PARTS = {
    "groups": "group array",
    "buckets": "bucket array",
    "oldbuckets": "old bucket array",
    "overflow": "overflow bucket",
    "extra": "mapextra object",
}


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-origin. Raises GomapError for a recorded map, which has no heap profile."""
    target, expr = context.target, options["EXPR"]
    if target.kind == "recorded":
        raise GomapError("a recorded map has no heap profile: use the process or its core")
    t, address = map_or_sync(context, expr)
    if not address:
        nothing = EstimatedFacts(0, 0)
        result = OriginResult(expr, t.name, None, OriginBytes(0), ProfilingFacts(None, None), 0, nothing, None, [])
        return Report(result, [f"{expr} is a nil {t.name}: nothing was allocated for it"])
    held, anomalies = _measured(target, t, address)
    profile = Profile(target, Heap(target))
    rate, found, lines, on_heap = profile.rate, Origins(), None, True
    if profile.linked:
        addresses = [(what, list(those)) for what, those in _objects(target, t, address)]
        spans = profile.of(one for _, those in addresses for one in those)
        samples, on_heap = profile.samples(spans, context.progress), bool(spans)
        lines = OriginLines(target, profile)
        found = lines.origins(addresses, samples)
    anomalies += _lost(profile, found)
    told = lines if options["--full"] else None
    result = OriginResult(
        expr=expr,
        type=t.name,
        address=address,
        bytes=OriginBytes(held),
        profiling=ProfilingFacts(profile.linked, rate),
        samples=found.samples,
        estimated=EstimatedFacts(sum(one.objects for one in found.lines), found.bytes),
        probability=likelihood(held, rate) if on_heap else 0.0,
        origins=[origin_row(one, told) for one in found.lines],
    )
    report = Report(result, [_answer(expr, held, profile, found, on_heap)], anomalies=anomalies)
    if found.lines and lines is not None:
        report.sections = [_table(found), Facts(_facts(found, rate, held))]
        if told is not None and not options.get("--json"):
            report.sections += _stacks(report, found, told)
    return report


def _measured(target: Target, t: GoType, address: int) -> tuple[int, list[Anomaly]]:
    """(bytes held, anomalies) of a map or a sync.Map."""
    rules = allocator(target)
    if t.kind is Kind.MAP:
        read = walked(view(target, t, address), rules)
        return read.structure.bytes.allocated, count_anomalies(read)
    shape, variable = _sync(target, t, address)
    sync = syncmap.looked(target, shape, variable, rules)
    return sync.bytes.allocated, [*sync.anomalies, *sync.inner]


def _objects(target: Target, t: GoType, address: int) -> Objects:
    """All that was allocated for a map or a sync.Map."""
    if t.kind is Kind.MAP:
        return view(target, t, address).objects()
    return syncmap.objects(target, *_sync(target, t, address))


def _sync(target: Target, t: GoType, address: int) -> tuple[Shape, Variable]:
    shape = syncmap.detect(target, t)
    if shape is None:
        raise NotAMap(f"{t.name} is neither a map nor a sync.Map")
    return shape, Variable("", t, address)


def _answer(expr: str, held: int, profile: Profile, found: Origins, on_heap: bool) -> str:
    if not profile.linked:
        return f"{expr}: {UNLINKED}"
    if found.lines:
        stand = f"{human.plural(found.samples, 'sampled object')} {'stands' if found.samples == 1 else 'stand'}"
        where = "at one line" if len(found.lines) == 1 else f"at {len(found.lines):,} lines"
        return f"{expr} holds {human.size(held)}: {stand} for {human.size(found.bytes)}, allocated {where}"
    if not profile.rate:
        return f"{expr}: {OFF}"
    if not on_heap:
        return f"{expr} is not on the heap but on a stack: nothing was allocated for it"
    likely = likelihood(held, profile.rate)
    return (
        f"no allocation of {expr} was sampled: it holds {human.size(held)}, and the probability that a map of this "
        f"size has a sample is {_percent(likely)} ({_rate(profile.rate)})"
    )


def _percent(likely: float) -> str:
    return human.percent(likely) if likely >= 0.1 else f"{100 * likely:.2g}%"


def _rate(rate: int) -> str:
    if rate == 1:
        return "runtime.MemProfileRate is 1: every allocation is sampled"
    return f"runtime.MemProfileRate: one sample per {human.size(rate)} allocated, on average"


def _lost(profile: Profile, found: Origins) -> list[Anomaly]:
    lost = profile.lost + found.unreadable
    if not lost:
        return []
    what = (
        f"{human.plural(lost, 'record')} of the heap profiler can't be read or {'is' if lost == 1 else 'are'} corrupt"
    )
    return [Anomaly("warning", "bad-profile", what, None)]


def line_of(location: Location | None) -> str:
    """function  file:line, as other commands have it."""
    if location is None:
        return "the runtime itself"
    return f"{_function(location)}  {_file(location)}"


def _function(location: Location) -> str:
    """Without its directories, unless that makes another package's function look like the runtime's."""
    name = human.short(location.function)
    return name if mapcalls.is_between(name) == mapcalls.is_between(location.function) else location.function


def _file(location: Location) -> str:
    return f"{(location.file or '?').rsplit('/', 1)[-1]}:{location.line or '?'}"


def _parts(one: Origin) -> str:
    names = [(_PARTS.get(what, what), number) for what, number in one.parts.most_common()]
    return ", ".join(human.plural(number, what) if number > 1 else what for what, number in names)


def _table(found: Origins, of: bool = True) -> Table:
    """of: with what the samples are."""
    headings = ["bytes", "samples", *(["parts"] if of else []), "allocated by"]
    rows = [
        [human.size(one.bytes), f"{one.samples:,}", *([_parts(one)] if of else []), line_of(one.location)]
        for one in found.lines
    ]
    if any(one.caller for one in found.lines):
        headings.append("caller")
        for row, one in zip(rows, found.lines):
            row.append(f"from {line_of(one.caller)}" if one.caller else "")  # below the other line on a narrow screen
    return Table(headings, rows, frozenset({0, 1}), whole=2 + of)


def _facts(found: Origins, rate: int, held: int) -> list[tuple[str, str]]:
    facts = [("sampled", _rate(rate) if rate else f"{OFF} any more")]
    if rate > 1:
        what = "what the samples stand for, weighted as runtime/pprof does"
        facts.append(("bytes", what + ("; few samples can stand for more than there is" * (found.bytes > held))))
    if any(one.caller for one in found.lines):
        facts.append(("from", "the innermost call of your own module, if there is one at another line"))
    return facts


def _stacks(report: Report, found: Origins, lines: OriginLines) -> list[Section]:
    every = [(one, bucket, number) for one in found.lines for bucket, number in one.stacks.items()]
    every.sort(key=lambda row: -row[1].size * row[2])
    sections: list[Section] = []
    for _, bucket, number in every[:MAX_STACKS]:
        calls = lines.stack(bucket)
        names = [_function(call) for call in calls]
        width = max(map(len, names), default=0)
        head = f"{human.plural(number, 'sample')} of {human.size(bucket.size)}"
        rows = [f"  {name:{width}}  {_file(call)}" for name, call in zip(names, calls)]
        sections.append(Lines([head, *rows]))
    if len(every) > MAX_STACKS:
        report.cut("stacks", MAX_STACKS, len(every))
    return sections


# -- hmap-top ----------------------------------------------------------------------------------------


def add_origins(context: Context, report: Report, shown: Sequence[Ranked], most: int) -> None:
    """Adds to hmap-top's answer which line allocated most of each map listed, and the first `most` (0: all) of the
    lines that allocated maps, wherever these are. Ctrl-C ends it with what it has."""
    target, every = context.target, list(report.data.maps)
    texts: list[str] = []
    bad = Origins()
    try:
        profile = Profile(target, Heap(target))
        if not profile.linked:
            raise NoDebugInfo(UNLINKED)
        rate, lines = profile.rate, OriginLines(target, profile)
        samples = profile.samples(profile.heap.every()[0], context.progress)
        maps = lines.of_maps(samples)
        for i, one in enumerate(shown):
            found = _origins(target, one, lines, samples)
            origin = samples_of = None
            if found is not None:
                bad.unreadable += found.unreadable
                origin, samples_of = origin_row(found.lines[0]) if found.lines else None, found.samples
            every[i] = every[i]._replace(origin=origin, samples=samples_of)
            texts.append(_shortly(found))
    except GomapError as error:
        report.answer.append(f"(which lines allocated them is not known: {error})")
        return
    except KeyboardInterrupt:
        report.cut("the search for the lines that allocated them was interrupted", len(texts), len(every))
        if not texts:
            return
    report.anomalies += _lost(profile, bad)
    for index, section in enumerate(report.sections):
        if shown and isinstance(section, Table):
            texts += ["?"] * (len(section.rows) - len(texts))
            rows = [[*row, text] for row, text in zip(section.rows, texts)]
            report.sections[index] = replace(section, headings=[*section.headings, "allocated by"], rows=rows)
            break
    if shown:
        what = "the line that allocated most, with its share of the map's samples"
        report.sections.append(Facts([("allocated by", f"{what} ({_rate(rate) if rate else OFF})")]))
    told = maps.lines[:most] if most else maps.lines
    report.data = replace(report.data, maps=every, lines=[origin_row(one) for one in told])
    if told:
        report.sections += [
            Lines(["maps of the whole heap, by line (including garbage not collected yet):"]),
            _table(replace(maps, lines=told), of=False),
        ]
    if len(told) < len(maps.lines):
        report.cut("lines", len(told), len(maps.lines), "-n 0")


def _origins(target: Target, one: Ranked, lines: OriginLines, samples: Mapping[int, int]) -> Origins | None:
    """None for a map whose parts are not known."""
    if one.type is UNKNOWN:
        return None
    try:
        return lines.origins(_objects(target, one.type, one.address), samples)
    except GomapError:
        return None


def _shortly(found: Origins | None) -> str:
    """The line that allocated most."""
    if found is None:
        return "?"
    if not found.lines:
        return "no sample"
    best = found.lines[0]
    caller = f", called from {line_of(best.caller)}" if best.caller else ""
    return f"{line_of(best.location)} ({best.samples:,} of {found.samples:,}){caller}"


# -- the result --------------------------------------------------------------------------------------


def origin_row(one: Origin, lines: OriginLines | None = None) -> OriginRow:
    """lines: gives the stacks, where these are asked for."""
    stacks = UNASKED if lines is None else [
        OriginStack(number, bucket.size, [alike(CallFacts, call) for call in lines.stack(bucket)])
        for bucket, number in one.stacks.items()
    ]  # fmt: skip
    return OriginRow(
        location=call_facts(one.location),
        caller=call_facts(one.caller),
        samples=one.samples,
        sampled_bytes=one.sampled,
        objects=one.objects,
        bytes=one.bytes,
        parts=dict(one.parts),
        stacks=stacks,
    )
