"""hmap-break: stops the program when something is done to a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gomap import human, syncmap
from gomap.answers.breaks import line_of
from gomap.answers.facts import call_facts
from gomap.declare import Context
from gomap.errors import GomapError, NotAMap, NotSet, UsageError
from gomap.expr import keys_of
from gomap.golang.runtime.heap import Room
from gomap.maps import nonsense, view
from gomap.report import Facts, Report, Section, Table
from gomap.results.breaks import BreakEvent, BreakResult, BreakRow
from gomap.target import Variable
from gomap.trace.breaker import Breaker, SetBreak, breaker_of
from gomap.trace.events import Event, Wanted, Watcher
from gomap.values import Limits

#: What the program is stopped at, and what has happened there.
_Stop = tuple[SetBreak, Watcher, Event]
#: The words for each event in the answer.
_STOPS = {
    "write": "each write to",
    "insert": "each insert into",
    "delete": "each delete from",
    "growth": "each growth of",
    "clear": "each clear of",
}
#: What a watchpoint costs.
_COST = "each insert into this map and each delete from it stops the program for a moment; other maps cost nothing"
_COSTS = {
    "write": "each write to this map stops the program for a moment; other maps cost nothing",
    "clear": "nothing: no other write changes that",
}


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Sets, lists or removes hmap-breaks. Raises CannotRun, UsageError, NotSet, NotAMap."""
    breaker = breaker_of(context.target, "hmap-break")
    expr, delete, last = options["EXPR"], options["--delete"], options["--last"]
    _check(expr, options)
    if delete is not None:
        return _deleted(breaker, None if delete == "all" else delete)
    if last:
        return _last(breaker)
    if expr is None:
        return _list(breaker)
    watcher = _watcher(context, expr, options)
    held, why = breaker.set(watcher)
    every = breaker.all()
    report = Report(_result(every, _stop(breaker, every), held.number))
    wanted = watcher.wanted
    does = "logs" if wanted.log else "stops at"
    report.answer = [f"hmap-break {held.number} {does} {_what(wanted)}"]
    report.sections = [Facts(_facts(watcher, held, why))]
    report.advice = _advice(watcher)
    return report


def _check(expr: str | None, options: Mapping[str, Any]) -> None:
    """Raises UsageError for options that do not go together."""
    if expr is None:
        for name in ("--on", "--key"):
            if options[name] is not None:
                raise UsageError(f"{name} needs a map: hmap-break EXPR {name} ...")
        if options["--log"]:
            raise UsageError("--log needs a map: hmap-break EXPR --on EVENT --log")
    elif options["--delete"] is not None or options["--last"]:
        raise UsageError("--delete and --last take no map")
    elif options["--on"] is None:
        raise UsageError(f"say when to stop: hmap-break {expr} --on write, insert, delete, growth, clear or len>N")


def _watcher(context: Context, expr: str, options: Mapping[str, Any]) -> Watcher:
    target, on = context.target, options["--on"]
    event, _, number = on.partition(">")
    limit = int(number) if number else None
    try:
        _, t, address = context.resolve_map(expr)
    except NotAMap as error:
        raise _sync(context, expr) or error from None
    if not address:
        raise NotSet(f"{expr} is a nil {t.name}: it has no header yet; stop where make has been called")
    wrong = nonsense(view(target, t, address), Room(target))
    if wrong is not None:
        raise NotAMap(f"no valid map is at {address:#x}: its header has {wrong}")
    keys = keys_of(target, context.note, context.seek)
    key = None
    if options["--key"] is not None:
        if event in ("growth", "clear"):
            raise UsageError(f"--key goes with write, insert, delete and len>N, not with {event}")
        key = keys.find(t.key, options["--key"], view(keys.target, t, address), Limits(depth=context.settings.depth))
    wanted = Wanted(expr, t, address, on, event, limit, key, options["--log"])
    return Watcher(target, wanted, keys, context.settings.depth)


def _sync(context: Context, expr: str) -> NotAMap | None:
    """What to watch of a sync.Map; None of anything else."""
    try:
        variable: Variable = context.resolve_behind(expr)
        shape = syncmap.detect(context.target, variable.type)
    except GomapError:
        return None
    if shape is None:
        return None
    if variable.type.field("dirty") is not None:
        return NotAMap(f"{expr} is a sync.Map: watch the map that gets its new keys, {expr}.dirty, once it is not nil")
    return NotAMap(f"{expr} is a sync.Map, and has no Go map inside: set a breakpoint at sync.(*Map).Swap")


def _what(wanted: Wanted) -> str:
    if wanted.limit is not None:
        return f"the insert after which len({wanted.expr}) is {wanted.limit + 1}"
    return f"{_STOPS[wanted.event]} {wanted.expr}"


def _facts(watcher: Watcher, held: SetBreak, why: str | None) -> list[tuple[str, str]]:
    wanted, rows = watcher.wanted, []
    if wanted.key is not None:
        rows.append(("key", watcher.told(wanted.key)[1]))
    if held.by == "watchpoint":
        assert watcher.word is not None, "it is watched"
        seen = f"hardware watchpoint on the field {watcher.word.name} of the header at {wanted.address:#x}"
        return [*rows, ("seen by", seen), ("cost", _COSTS.get(wanted.event, _COST))]
    functions = watcher.functions
    seen = f"{human.plural(len(functions), 'breakpoint')}: {', '.join(map(human.short, functions))}"
    cost = "each growth of any map" if wanted.event == "growth" else f"each {_calls(wanted)} of any map"
    rows += [("seen by", seen), ("cost", f"{cost} stops the program for a moment")]
    if why is not None:
        rows.append(("not by", f"a hardware watchpoint: {why}"))
    return rows


def _calls(wanted: Wanted) -> str:
    return {"delete": "delete", "clear": "clear", "write": "write"}.get(wanted.event, "assignment to a key")


def _advice(watcher: Watcher) -> list[str]:
    wanted = watcher.wanted
    if wanted.limit is None or watcher.entries() <= wanted.limit:
        return []
    has = human.number(watcher.entries())
    most = human.number(wanted.limit)
    return [f"{wanted.expr} already has {has} entries: it stops only after the map has shrunk to {most} or fewer"]


# -- what there is -----------------------------------------------------------------------------------------------


def _list(breaker: Breaker) -> Report:
    every = breaker.all()
    stop = _stop(breaker, every)
    report = Report(_result(every, stop))
    report.answer = [f"{len(every):,} set by hmap-break" if every else "no hmap-break is set"]
    report.sections = _table(every)
    if stop is not None:
        report.answer.append(f"stopped at {line_of(stop[0].number, stop[1].wanted, stop[2])}")
    return report


def _last(breaker: Breaker) -> Report:
    every = breaker.all()
    stop = _stop(breaker, every)
    report = Report(_result(every, stop))
    line = "the program is not stopped at an hmap-break"
    report.plain = [f"{line if stop is None else line_of(stop[0].number, stop[1].wanted, stop[2])}\n"]
    return report


def _stop(breaker: Breaker, every: Sequence[SetBreak]) -> _Stop | None:
    """What the program is stopped at."""
    last = breaker.last()
    for held in every:
        if last is not None and held.number == last[0] and held.watcher is not None:
            return held, held.watcher, last[1]
    return None


def _table(every: Sequence[SetBreak]) -> list[Section]:
    if not every:
        return []
    headings = ("number", "map", "on", "key", "does", "seen by", "events")
    return [Table(headings, [_row_text(held) for held in every], frozenset((0, 6)))]


def _row_text(held: SetBreak) -> tuple[str, ...]:
    number = human.ranges(held.numbers)
    if held.watcher is None:
        by = f"{held.by}: another session has set {held.name}"
        return (number, "?", "?", "", "stop", by, human.number(held.events))
    watcher, wanted = held.watcher, held.watcher.wanted
    key = "" if wanted.key is None else watcher.told(wanted.key)[1]
    word = watcher.word
    by = f"watchpoint on {word.name}" if held.by == "watchpoint" and word is not None else held.by
    does = ("log" if wanted.log else "stop") if held.enabled else "disabled"
    return (number, wanted.expr, wanted.on, key, does, by, human.number(held.events))


def _deleted(breaker: Breaker, which: int | None) -> Report:
    """which: its number, or one of its breakpoints'; None for all."""
    every = breaker.all()
    found = [held for held in every if which is None or which in held.numbers]
    if which is not None and not found:
        there = f"there are {human.ranges(n for held in every for n in held.numbers)}" if every else "none is set"
        raise UsageError(f"no hmap-break {which}: {there}")
    for held in found:
        breaker.delete(held)
    left = breaker.all()
    report = Report(_result(left, _stop(breaker, left), deleted=[held.number for held in found]))
    gone = human.ranges(held.number for held in found)
    report.answer = [f"hmap-break {gone} is removed" if len(found) == 1 else f"removed: {gone or 'none was set'}"]
    return report


# -- JSON --------------------------------------------------------------------------------------------------------


def _result(
    every: Sequence[SetBreak], stop: _Stop | None, made: int | None = None, deleted: Sequence[int] = ()
) -> BreakResult:
    return BreakResult(made, list(deleted), [_row(held) for held in every], None if stop is None else _event(*stop))


def _row(held: SetBreak) -> BreakRow:
    watcher, numbers, watches = held.watcher, list(held.numbers), held.by == "watchpoint"
    if watcher is None:
        return BreakRow(held.number, numbers, by=held.by, enabled=held.enabled, events=held.events)
    wanted, word = watcher.wanted, watcher.word
    return BreakRow(
        number=held.number,
        numbers=numbers,
        by=held.by,
        enabled=held.enabled,
        events=held.events,
        expr=wanted.expr,
        type=wanted.type.name,
        address=watcher.address,
        on=wanted.on,
        key=None if wanted.key is None else watcher.told(wanted.key)[0],
        log=wanted.log,
        word=word.name if watches and word is not None else None,
        functions=[] if watches else watcher.functions,
    )


def _event(held: SetBreak, watcher: Watcher, event: Event) -> BreakEvent:
    return BreakEvent(
        number=held.number,
        expr=watcher.wanted.expr,
        what=event.what,
        key=event.key,
        key_text=event.key_text,
        entries=event.entries,
        goroutine=event.goroutine,
        location=call_facts(event.site),
    )
