"""hmap-trace: which source lines make maps grow, or write to a map, while the program runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gomap import human
from gomap.analysis.changes import make
from gomap.anomaly import Anomaly
from gomap.answers.breaks import place
from gomap.answers.facts import call_facts
from gomap.declare import Context
from gomap.errors import NotSet, UsageError
from gomap.memory import forget
from gomap.report import Facts, Lines, Report, Section, Table
from gomap.results.trace import (
    CopiedFacts,
    GrownEntries,
    GrowthEventRow,
    GrowthLineRow,
    TraceResult,
    WriteEventRow,
    WriteLineRow,
    WritesFacts,
    WrittenKeyRow,
)
from gomap.target import Target
from gomap.trace.growths import GrowthTrace, Sum, Traced
from gomap.trace.port import CannotRun, Ending, NoDebugRegister, Tracer, tracer_of
from gomap.trace.running import running
from gomap.trace.uprobes import NoUprobes, Recorder
from gomap.trace.writes import EFFECTS, WriteSum, WriteTrace, Written

#: Lines that text shows; JSON has all.
MAX_LINES = 20
_ENDINGS = {
    "count": "as many {} as asked for",
    "time": "the time limit was reached",
    "interrupted": "interrupted",
    "breakpoint": "the program came to {}",
    "stopped": "the program stopped: {}",
    "exited": "{}",
    "freed": "{}",
}
#: Headings of the effects, and what the answer calls one and many.
_EFFECTS = {
    "insert": ("inserts", "insert", "inserts"),
    "overwrite": ("overwrites", "overwrite", "overwrites"),
    "delete": ("deletes", "delete", "deletes"),
    "absent": ("absent", "delete of an absent key", "deletes of absent keys"),
    "clear": ("clears", "clear", "clears"),
}
#: How many of the keys that were written to most are listed, in JSON and in text.
MAX_KEYS, MAX_OFTEN = 20, 5


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-trace. Raises NotSet for a nil map, CannotRun where the program can't be let run."""
    target, expr = context.target, options["EXPR"]
    tracer = tracer_of(target, "hmap-trace")
    if options["--writes"]:
        return _writes(context, options, tracer)
    if options["--by"] == "breakpoints" and not tracer.breaks:
        raise CannotRun("--by breakpoints needs gdb or Delve: without a debugger the process can't be stopped")
    wanted = type_name = None
    if expr is not None:
        _, t, wanted = context.resolve_map(expr)
        type_name = t.name
        if not wanted:
            raise NotSet(f"{expr} is a nil {t.name}: it never grows, and no other map can be in its place yet")
    version = target.go_version
    trace, recorder, instead = _begun(target, tracer, wanted, options)
    try:
        ending = tracer.run(trace.stops, trace.hit, options["--for"], bool(options.get("--json")), recorder)
        lost = 0 if recorder is None else recorder.lost()
    finally:
        if recorder is not None:
            recorder.close()
    forget(target.memory)
    if trace.gone is not None:
        ending = replace(ending, kind="freed", place=trace.gone)
    gone = ending.kind == "exited"
    sums = sorted(trace.sums.values(), key=lambda one: (-one.allocated, -one.growths))
    finals = [_final(trace, one, gone) for one in sums]
    result = replace(
        _result(expr, wanted, type_name, trace, ending, "breakpoints" if recorder is None else "uprobes"),
        instead=instead,
        lost=lost,
        lines=[_line(trace, one, final) for one, final in zip(sums, finals)],
        growths=[_growth(one) for one in trace.kept],
    )
    report = Report(result)
    report.anomalies = _unread(trace, lost, 0 if recorder is None else recorder.left)
    report.answer = [_answer(expr, trace, sums)]
    facts = _facts(trace.hits, ending, "growths", recorder)
    facts.insert(0, ("method", _method(recorder is not None, instead)))
    report.sections = [*_table(trace, sums, finals), Facts(facts, apart=bool(sums))]
    if gone:
        report.gone = version or ""
    if trace.count > len(trace.kept):
        report.cut("growths", len(trace.kept), trace.count)
    return report


def _final(trace: GrowthTrace, one: Sum, gone: bool) -> int:
    return one.most + 1 if gone else trace.final(one)


def _begun(
    target: Target, tracer: Tracer, wanted: int | None, options: Mapping[str, Any]
) -> tuple[GrowthTrace, Recorder | None, str | None]:
    """(the trace, what records its growths from now on, why nothing does). Raises NoUprobes where these were asked for,
    or nothing else is there."""
    by, most = options["--by"], options["-n"]
    instead = None
    if by is None and most is not None and tracer.breaks:
        instead = "with -n the program stops at the growth (--by uprobes stops it a moment later)"
    elif by != "breakpoints":
        try:
            return (*_recorded(target, tracer, wanted, most), None)
        except NoUprobes as error:
            if by is not None or not tracer.breaks:
                raise
            instead = str(error)
    return GrowthTrace(target, wanted, most), None, instead


def _recorded(target: Target, tracer: Tracer, wanted: int | None, most: int | None) -> tuple[GrowthTrace, Recorder]:
    pid = tracer.process()
    recorder = Recorder(pid, target.arch.name)
    try:
        trace = GrowthTrace(running(target, pid), wanted, most)
        stops = trace.stops
        there = tracer.breakpoint_at(stops.addresses)
        if there is not None:
            raise NoUprobes(f"a breakpoint is at {there:#x}, and would not be hit any more")
        recorder.begin(stops)
    except BaseException:
        recorder.close()
        raise
    return trace, recorder


def _method(recorded: bool, instead: str | None) -> str:
    if recorded:
        return "uprobes: the kernel records each growth, and the program does not stop"
    why = f": {instead}" if instead is not None else ""
    return f"breakpoints, which stop the program at each growth{why}"


def _unread(trace: GrowthTrace, lost: int, left: int) -> list[Anomaly]:
    found = []
    if trace.unread:
        which = f"{human.plural(trace.unread, 'growth')} could not be read and {'is' if trace.unread == 1 else 'are'}"
        found.append(Anomaly("warning", "unread-growth", f"{which} missing here: {trace.why}"))
    if left:
        which = f"{human.plural(left, 'recorded growth')} {'is' if left == 1 else 'are'} missing here"
        found.append(Anomaly("warning", "unread-growth", f"{which}: Ctrl-C was pressed before gomap had read them"))
    if lost:
        which = f"{human.plural(lost, 'growth')} {'is' if lost == 1 else 'are'} missing here"
        found.append(
            Anomaly(
                "warning",
                "lost-growth",
                f"{which}: the kernel did not record them (its buffer was full, or it was busy)",
            )
        )
    return found


def _answer(expr: str | None, trace: GrowthTrace, sums: Sequence[Sum]) -> str:
    what = expr if expr is not None else human.plural(len({key for one in sums for key in one.maps}), "map")
    if not trace.count and trace.unread:
        return "no growth could be read"
    if not trace.count:
        return f"{expr} did not grow" if expr is not None else "no map grew"
    lines = human.plural(len({one.site for one in sums}), "line")
    allocated = sum(one.allocated for one in sums)
    grew = human.plural(trace.count, "time")
    return f"{what} grew {grew} at {lines}: these growths allocated {human.size(allocated)}"


def _table(trace: GrowthTrace, sums: Sequence[Sum], finals: Sequence[int]) -> list[Section]:
    if not sums:
        return []
    headings = ("growths", "maps", "entries", "allocated", "copied", "line", "size for make", "goroutines")
    rows = [
        (
            human.number(one.growths),
            human.number(len(one.maps)),
            human.number(one.most) if one.least == one.most else f"{human.number(one.least)}-{human.number(one.most)}",
            human.size(one.allocated),
            human.size(one.copied_bytes),
            place(one.site, "?"),
            make(one.type, trace.capacity(final)),
            f"goroutine{'s' * (len(one.goroutines) > 1)} {human.ranges(one.goroutines, 3)}" if one.goroutines else "",
        )
        for one, final in zip(sums[:MAX_LINES], finals)
    ]
    more = (
        [Lines([f"and {human.plural(len(sums) - MAX_LINES, 'line')} more (--json has all)"])]
        if len(sums) > MAX_LINES
        else []
    )
    return [Table(headings, rows, frozenset(range(5)), whole=5), *more]


def _facts(hits: int, ending: Ending, what: str, recorder: Recorder | None = None) -> list[tuple[str, str]]:
    how = human.plural(hits, "stop") if recorder is None else f"{human.plural(hits, 'record')} and no stop"
    own = f"; the program itself took {ending.cpu:.2f} s of processor time" if ending.cpu is not None else ""
    return [
        ("ended", _ENDINGS[ending.kind].format(what if ending.kind == "count" else ending.place)),
        ("cost", f"ran {ending.seconds:.2f} s with {how}{own}"),
    ]


def _result(
    expr: str | None,
    address: int | None,
    type_name: str | None,
    trace: GrowthTrace | WriteTrace,
    ending: Ending,
    method: str,
) -> TraceResult:
    """What every trace tells, without what it recorded."""
    return TraceResult(
        expr=expr,
        address=address,
        type=type_name,
        ended=ending.kind,
        seconds=ending.seconds,
        cpu_seconds=ending.cpu,
        method=method,
        instead=None,
        stops=0 if method == "uprobes" else trace.hits,
        hits=trace.hits,
        lost=0,
        count=trace.count,
        lines=[],
        growths=[],
    )


def _line(trace: GrowthTrace, one: Sum, final: int) -> GrowthLineRow:
    return GrowthLineRow(
        location=call_facts(one.site),
        type=one.type.name,
        growths=one.growths,
        kinds=one.kinds,
        maps=len(one.maps),
        entries=GrownEntries(one.least, one.most),
        allocated=one.allocated,
        copied=CopiedFacts(one.copied, one.copied_bytes),
        goroutines=sorted(one.goroutines),
        capacity=trace.capacity(final),
    )


def _growth(one: Traced) -> GrowthEventRow:
    grown = one.growth
    return GrowthEventRow(
        address=grown.address,
        type=one.type.name,
        kind=grown.kind,
        entries=grown.entries,
        slots=grown.slots,
        new_slots=grown.new_slots,
        directory=grown.directory,
        copied=grown.copied,
        allocated=grown.allocated,
        goroutine=one.goroutine,
        location=call_facts(one.site),
    )


# -- writes ------------------------------------------------------------------------------------------------


def _writes(context: Context, options: Mapping[str, Any], tracer: Tracer) -> Report:
    target, expr = context.target, options["EXPR"]
    if options["--by"] is not None:
        raise UsageError("--by is for growths: --writes uses a watchpoint, or breakpoints where there is none")
    if not tracer.breaks:
        raise CannotRun("--writes needs gdb or Delve: without a debugger the process can't be stopped")
    if expr is None:
        raise UsageError("--writes needs an EXPR: the map whose writes are recorded")
    _, t, address = context.resolve_map(expr)
    if not address:
        raise NotSet(f"{expr} is a nil {t.name}: nothing can write to it, and no other map can be in its place yet")
    version, quiet = target.go_version, bool(options.get("--json"))
    trace = WriteTrace(target, t, address, options["-n"])
    try:
        ending = tracer.run(trace.stops, trace.hit, options["--for"], quiet)
    except NoDebugRegister as error:
        trace = WriteTrace(target, t, address, options["-n"], str(error))
        ending = tracer.run(trace.stops, trace.hit, options["--for"], quiet)
    forget(target.memory)
    if trace.gone is not None:
        ending = replace(ending, kind="freed", place=trace.gone)
    sums = sorted(trace.sums.values(), key=lambda one: -sum(one.effects.values()))
    written = _written(trace, sums)
    result = _result(expr, address, t.name, trace, ending, written.method)
    report = Report(replace(result, instead=trace.instead, written=written))
    report.anomalies = _unread_writes(trace)
    report.answer = [_writes_answer(expr, trace, sums)]
    report.sections = [*_write_tables(trace, sums), Facts(_write_facts(trace, ending), apart=bool(sums))]
    if ending.kind == "exited":
        report.gone = version or ""
    if trace.count > len(trace.kept):
        report.cut("writes", len(trace.kept), trace.count)
    return report


def _unread_writes(trace: WriteTrace) -> list[Anomaly]:
    if not trace.unread:
        return []
    which = f"{human.plural(trace.unread, 'write')} could not be read and {'is' if trace.unread == 1 else 'are'}"
    return [Anomaly("warning", "unread-write", f"{which} missing here: {trace.why}")]


def _effects(trace: WriteTrace) -> Counter[str]:
    return sum((one.effects for one in trace.sums.values()), Counter())


def _writes_answer(expr: str, trace: WriteTrace, sums: Sequence[WriteSum]) -> str:
    if not trace.count:
        return f"no write to {expr} {'could be read' if trace.unread else 'was seen'}"
    every = _effects(trace)
    which = ", ".join(human.plural(every[one], *_EFFECTS[one][1:]) for one in EFFECTS if every[one])
    lines = human.plural(len(sums), "line")
    return f"{expr} was written to {human.plural(trace.count, 'time')} at {lines}: {which}"


def _write_tables(trace: WriteTrace, sums: Sequence[WriteSum]) -> list[Section]:
    if not sums:
        return []
    every = _effects(trace)
    seen = [one for one in EFFECTS if every[one]]
    headings = ("writes", *(_EFFECTS[one][0] for one in seen), "line", "goroutines", "keys")
    rows = [
        (
            human.number(sum(one.effects.values())),
            *(human.number(one.effects[effect]) for effect in seen),
            place(one.site, "?"),
            f"goroutine{'s' * (len(one.goroutines) > 1)} {human.ranges(one.goroutines, 3)}" if one.goroutines else "",
            ", ".join(key.text for key in one.keys),
        )
        for one in sums[:MAX_LINES]
    ]
    sections: list[Section] = [Table(headings, rows, frozenset(range(len(seen) + 1)), whole=len(seen) + 1)]
    if len(sums) > MAX_LINES:
        sections.append(Lines([f"and {human.plural(len(sums) - MAX_LINES, 'line')} more (--json has all)"]))
    return sections


def _write_facts(trace: WriteTrace, ending: Ending) -> list[tuple[str, str]]:
    often = [f"{key.text} ({human.number(count)})" for key, count in trace.by_key.most_common(MAX_OFTEN) if count > 1]
    how = "a hardware watchpoint on the map's header: two stops a write, none for other maps"
    if trace.instead is not None:
        how = f"breakpoints, which stop the program at each write to any map: {trace.instead}"
    facts = [("keys", f"written most often: {', '.join(often)}")] if often else []
    return [*facts, ("method", how), *_facts(trace.hits, ending, "writes")]


def _written(trace: WriteTrace, sums: Sequence[WriteSum]) -> WritesFacts:
    return WritesFacts(
        method="watchpoint" if trace.instead is None else "breakpoints",
        instead=trace.instead,
        effects=dict(_effects(trace)),
        lines=[
            WriteLineRow(call_facts(one.site), sum(one.effects.values()), dict(one.effects), sorted(one.goroutines))
            for one in sums
        ],
        keys=[WrittenKeyRow(key.json, key.told, count) for key, count in trace.by_key.most_common(MAX_KEYS)],
        uncounted=trace.uncounted,
        writes=[_write(one) for one in trace.kept],
    )


def _write(one: Written) -> WriteEventRow:
    return WriteEventRow(
        effect=one.effect,
        key=None if one.key is None else one.key.json,
        key_text=None if one.key is None else one.key.told,
        entries=one.entries,
        goroutine=one.goroutine,
        location=call_facts(one.site),
    )
