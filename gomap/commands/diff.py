"""hmap-diff: what changed between two moments, builds or files."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gomap import human
from gomap.anomaly import Anomaly
from gomap.declare import Context
from gomap.errors import BadImage, GomapError, UsageError
from gomap.report import Facts, Lines, Report, Section, Table
from gomap.results.diff import (
    ChangedEntry,
    ChangeRow,
    ChangesRow,
    DiffResult,
    EntriesRow,
    FigureFacts,
    MomentFacts,
    NumberOfChanges,
    NumberOfKeys,
    OneEntry,
)
from gomap.results.fields import alike
from gomap.snapshots.columns import SavedEntries, Scalar, Snapshot, Source
from gomap.snapshots.compare import (
    WHATS,
    Change,
    ChangedGroup,
    Difference,
    EntryChanges,
    Total,
    compare,
    compare_entries,
)
from gomap.snapshots.file import NotASnapshot, load
from gomap.snapshots.take import list_entries, of_map, take
from gomap.spelling import quote

NOW = "now"
#: What core files and zip files begin with.
_ELF, _ZIP = b"\x7fELF", b"PK"


@dataclass
class Side:
    """One of the two things that are compared. context: of a target, which can be asked; None of a snapshot.
    expr: of a recorded map, or of one of the program, which is all that is compared."""

    name: str
    context: Context | None = None
    snapshot: Snapshot | None = None
    expr: str | None = None


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-diff. Raises UsageError, BadImage, and what resolving an expression raises."""
    names = options["A"], options["B"] or NOW
    if names[0] == names[1]:
        raise UsageError(f"A and B are both {names[0]}: there is nothing to compare")
    programs = (options["--program"] or [])[:2] or [None]
    sides = [open_side(context, name, program) for name, program in zip(names, [programs[0], programs[-1]])]
    alone = next((side.expr for side in sides if side.expr is not None), None)
    if sides[0].context is sides[1].context is not None and None in (sides[0].expr, sides[1].expr):
        raise UsageError(f"{alone} is a map of the program: name what to compare it with, a second map or a file")
    anomalies: list[Anomaly] = []
    for side in sides:
        anomalies += _take(side, alone)
    before, after = (side.snapshot for side in sides)
    assert before is not None and after is not None
    exprs = list(dict.fromkeys(options["--entries"] or ()))
    if alone is not None and (not exprs or all(side.expr is not None for side in sides)):
        exprs = [alone]
    elif not exprs:
        exprs = [one.expr for one in before.entries if sides[1].context or _listed(after, one.expr)]
    lists = [compare_entries(*(_entries_of(side, expr, anomalies) for side in sides)) for expr in exprs]
    if alone is not None:  # the row of the map whose entries are compared
        before, after = before.at(lists[0].before.address), after.at(lists[0].after.address)
    found = compare(before, after, options["--by"], options["-n"], as_one=alone is not None)
    report = Report(_result(sides, found, lists, options["--by"], options["-n"] or None), anomalies=anomalies)
    report.target = after.source
    _describe(report, sides, found, lists, options)
    report.anomalies += _doubts(sides, found)
    if len(found.changes) < found.every:
        report.cut("maps", len(found.changes), found.every, "-n 0")
    groups = found.groups if options["--json"] else _of_several(found)
    told = (options["-n"] or len(groups)) if options["--json"] else SHOWN_GROUPS
    if alone is None and len(groups) > told:
        report.cut("groups", told, len(groups), "-n 0" if options["--json"] else None)
    for one in lists:
        kinds = [len(one.added), len(one.removed), len(one.changed)]
        most = options["-n"] or sum(kinds)
        shown = sum(min(number, most) for number in kinds) if options["--json"] else min(sum(kinds), most)
        if shown < sum(kinds):
            report.cut(f"differences in {one.after.expr}", shown, sum(kinds), "-n 0")
    if any(one.before.cut or one.after.cut for one in lists):
        report.cut("long, deep and unreadable values were compared only in part", 0, None)
    return report


# -- what is compared ----------------------------------------------------------------------------------


def open_side(context: Context, name: str, program: str | None) -> Side:
    """name: of a file, `now`, or a map's expression. program: that dumped a core file. Raises BadImage, GomapError."""
    if name == NOW:
        if context.target.kind == "recorded":
            raise UsageError("now is the program that is looked at, and there is none here: name two files")
        return Side("the core file" if context.target.kind == "core" else NOW, context)
    if not os.path.lexists(name):
        if context.target.kind == "recorded":
            raise BadImage(f"{name} can't be read: {os.strerror(errno.ENOENT)}")
        try:
            context.resolve_map(name)
        except GomapError as error:
            error.notes += (f"{name} is not a file either",)
            raise
        return Side(name, context, expr=name)
    head = _head(name)
    if head == _ELF:
        # A core file is opened as `gomap core` does it, whatever debugger asks. No debugger takes part in that.
        from direct.target import DirectTarget, of_core

        return Side(name, context._replace(target=DirectTarget(of_core(program, name))))
    if head[:2] == _ZIP:
        try:
            return Side(name, snapshot=load(name))
        except NotASnapshot:
            from gomap.recorded import load as load_map  # in a layer above the commands

            target = load_map(name)
            return Side(name, context._replace(target=target), expr=target.expr)
    raise BadImage(f"{name} is not a snapshot, a recorded map or a core file")


def _head(name: str) -> bytes:
    try:
        # Without O_NONBLOCK, opening a pipe waits for a writer, which may never come.
        with open(name, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            return file.read(4) if file.seekable() else b""
    except (OSError, ValueError) as error:  # a name that no file can have
        why = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise BadImage(f"{name} can't be read: {why}") from error


def _take(side: Side, alone: str | None) -> list[Anomaly]:
    """Makes a snapshot of a target. alone: the one map that is compared."""
    if side.snapshot is not None or side.context is None:
        return []
    side.snapshot, anomalies = take(side.context) if alone is None else of_map(side.context, side.expr or alone)
    return anomalies


def _listed(one: Snapshot, expr: str) -> SavedEntries | None:
    return next((listed for listed in one.entries if listed.expr == expr), None)


def _entries_of(side: Side, expr: str, anomalies: list[Anomaly]) -> SavedEntries:
    """The entries of the side's only map, or else of the map that `expr` names. anomalies: gets its faults. Raises
    BadImage if a file does not have them, and what resolving raises."""
    assert side.snapshot is not None
    found = _listed(side.snapshot, side.expr or expr)
    if found is None and side.context is not None:
        found, wrong = list_entries(side.context, expr)
        anomalies += wrong
    if found is not None:
        return found
    have = ", ".join(one.expr for one in side.snapshot.entries)
    hint = f"it has those of {have}" if have else f"hmap-snapshot FILE --entries '{expr}' saves them"
    raise BadImage(f"{side.name} does not have the entries of {expr}: {hint}")


def _doubts(sides: list[Side], found: Difference) -> list[Anomaly]:
    """What the comparison can't know."""
    told = []
    for side in sides:
        source = side.snapshot.source if side.snapshot is not None else None
        if source is not None and source.lacks is not None:
            what = f"{side.name}: maps that no variable leads to are not all known: {source.lacks}"
            told.append(Anomaly("warning", "snapshot-incomplete", what, None))
        if source is not None and source.running and side.context is None:
            what = f"{side.name} was taken while {human.plural(source.running, 'thread')} ran: it may mix moments"
            told.append(Anomaly("warning", "snapshot-running", what, None))
    if found.same_process is None:
        what = "which processes these are is not known: maps are compared by type and path, not by address"
        told.append(Anomaly("note", "process-unknown", what, None))
    return told


# -- in words ------------------------------------------------------------------------------------------


def _describe(
    report: Report, sides: list[Side], found: Difference, lists: list[EntryChanges], options: Mapping[str, Any]
) -> None:
    by, most = options["--by"], options["-n"]
    whole = sides[0].expr is None and sides[1].expr is None
    if whole:
        report.answer = [_first_line(found, by), *_summary(sides, found)]
        report.sections = [*_groups_table(found), *_maps_table(found)]
    else:
        held = [human.size(total.bytes) for total in (found.before, found.after)]
        names = [side.expr or side.name for side in sides]
        told = f"it held {held[0]}, and holds {held[1]}"
        if names[0] != names[1]:
            told = f"{names[0]} holds {held[0]}, {names[1]} {held[1]}"
        report.answer = [] if held[0] == held[1] else [told]
    for one in lists:
        if whole:
            report.sections.append(Lines([_entries_line(one)]))
        else:
            report.answer.insert(0, _entries_line(one))
        report.sections += _entries_table(one, most)


def _first_line(found: Difference, by: str) -> str:
    best = found.grew_most
    if not found.every:
        return "no map has changed"
    if best is None:
        return "no map grew"
    name = best.owner or "what no variable leads to"
    type_ = human.short(best.type) or "maps of unknown type"
    by_number = f"{_signed(best.entries)} {'entry' if abs(best.entries) == 1 else 'entries'}"
    parts = [_signed_size(best.bytes), by_number]
    if by == "entries":
        parts.reverse()
    if by == "tombstones":
        parts.insert(0, f"{_signed(best.tombstones)} tombstones")
    total = sum(best.number.values())
    how = ", ".join(f"{best.number[what]:,} {what}" for what in WHATS if best.number.get(what))
    one = best.alone
    if one is not None:
        name = one.path or f"{one.address:#x}"
        if one.what == "appeared":
            return f"{name} grew most: it appeared, with {human.size(one.after.bytes)} and {_entries(one.after.count)}"
        return f"{name} grew most: {', '.join(parts)} ({one.before.count:,} to {_entries(one.after.count)})"
    return f"{name} ({type_}) grew most: {', '.join(parts)} in {human.plural(total, 'map')} ({how})"


def _entries(number: int) -> str:
    return human.plural(number, "entry")


def _summary(sides: list[Side], found: Difference) -> list[str]:
    parts = [f"{found.number[what]:,} {what}" for what in WHATS if found.number[what]]
    told = ", ".join([*parts, f"{found.unchanged:,} unchanged"])
    change = found.after.bytes - found.before.bytes
    entries = found.after.entries - found.before.entries
    lines = [f"maps: {told}; in all {_signed_size(change)}, {_signed(entries)} entries"]
    names = " to ".join(side.name for side in sides)
    taken = [side.snapshot.source.taken for side in sides if side.snapshot is not None]
    apart = f", {_duration(abs(taken[1] - taken[0]))} apart" if all(taken) and found.same_process else ""
    which = {True: "one process", False: "two processes, compared by type and path", None: "by type and path"}
    lines.append(f"({names}: {which[found.same_process]}{apart})")
    return lines


def _duration(seconds: int) -> str:
    if not seconds:
        return "less than a second"
    if seconds < 120:
        return human.plural(seconds, "second")
    minutes = seconds // 60
    return human.plural(minutes, "minute") if minutes < 120 else human.plural(minutes // 60, "hour")


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def _signed_size(number: int) -> str:
    return f"{'-' if number < 0 else '+' if number else ''}{human.size(abs(number))}"


#: Groups that are listed in text; JSON has as many as maps.
SHOWN_GROUPS = 10


def _of_several(found: Difference) -> list[ChangedGroup]:
    return [one for one in found.groups if sum(one.number.values()) > 1]


def _groups_table(found: Difference) -> list[Section]:
    """Of maps that changed together: a group of one is a row of the other table."""
    groups = _of_several(found)[:SHOWN_GROUPS]
    if not groups:
        return []
    rows = [
        [
            _signed_size(one.bytes),
            _signed(one.entries),
            *(f"{one.number[what]:,}" if one.number.get(what) else "" for what in WHATS),
            one.owner or "no variable",
            human.short(one.type) or "type unknown",
        ]
        for one in groups
    ]
    headings = ["bytes", "entries", *WHATS, "owner", "type"]
    shown = [0, 1, *(i for i in range(2, 7) if any(row[i] for row in rows)), 7, 8]
    right = frozenset(range(len(shown) - 2))
    picked = [[row[i] for i in shown] for row in rows]
    return [Table([headings[i] for i in shown], picked, right, whole=len(shown) - 2)]


def _maps_table(found: Difference) -> list[Section]:
    rows = [
        [
            _signed_size(one.bytes),
            f"{one.before.count:,} to {one.after.count:,}" if one.what not in ("appeared", "vanished")
            else f"{(one.after if one.what == 'appeared' else one.before).count:,}",
            _load(one),
            one.what,
            _name(one),
            f"{one.address:#x}" + (f":{human.short(one.type)}" if one.type else ""),
        ]
        for one in found.changes
    ]  # fmt: skip
    if not rows:
        return []
    headings = ["bytes", "entries", "load", "", "map", "address:type"]
    sections: list[Section] = [Table(headings, rows, frozenset(range(3)), whole=4)]
    facts = []
    dead = [one for one in found.changes if one.tombstones]
    if dead:
        told = ", ".join(f"{_signed(one.tombstones)} {one.path or hex(one.address)}" for one in dead[:3])
        facts.append(("tombstones", told))
    if any(not one.path for one in found.changes):
        facts.append(("no variable", "no variable leads to the map, which may be garbage not collected yet"))
    if any(one.lost for one in found.changes):
        facts.append(("lost", "no variable leads to the map any more"))
    if any(one.replaced for one in found.changes):
        facts.append(("replaced", "the address has another map, or the same one, emptied and filled again"))
    if facts:
        sections.append(Facts(facts))
    return sections


def _load(one: Change) -> str:
    loads = [side.load for side in (one.before, one.after)]
    if one.what in ("appeared", "vanished"):
        load = loads[one.what == "appeared"]
        return "" if load is None else human.percent(load)
    if None in loads:
        return ""
    texts = [human.percent(load or 0.0) for load in loads]
    return texts[0] if texts[0] == texts[1] else " to ".join(texts)


def _name(one: Change) -> str:
    if not one.path:
        return f"no variable; allocated in {human.short(one.origin)}" if one.origin else "no variable"
    where = "" if one.path.startswith(one.owner) or not one.owner else f" in {human.short(one.owner)}"
    return f"{one.path}{where}{', lost' if one.lost else ''}{', replaced' if one.replaced else ''}"


def _entries_line(one: EntryChanges) -> str:
    parts = [
        f"{human.plural(len(one.added), 'key')} added",
        f"{len(one.removed):,} removed",
        f"{len(one.changed):,} changed",
        f"{one.unchanged:,} the same",
    ]
    name = one.after.expr if one.before.expr == one.after.expr else f"{one.before.expr} to {one.after.expr}"
    return f"{name}: {', '.join(parts)} ({len(one.before.keys):,} to {len(one.after.keys):,} entries)"


def _entries_table(one: EntryChanges, most: int) -> list[Section]:
    key, value = zip(one.before.quoted, one.after.quoted)

    def keyed(scalar: Scalar, after: bool) -> str:
        return _text(scalar, key[after])

    def valued(scalar: Scalar, after: bool) -> str:
        return _text(scalar, value[after])

    rows = [
        *(["changed", keyed(k, True), valued(old, False), valued(new, True)] for k, old, new in one.changed),
        *(["added", keyed(k, True), "", valued(v, True)] for k, v in one.added),
        *(["removed", keyed(k, False), valued(v, False), ""] for k, v in one.removed),
    ]
    shown = rows[: most or None]
    return [Table(["", "key", "before", "after"], shown, code=frozenset({1, 2, 3}), whole=2)] if shown else []


def _text(value: Scalar, quoted: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and quoted:
        return quote(value.encode("utf-8", "surrogateescape"))
    return str(value)


# -- JSON ----------------------------------------------------------------------------------------------


def _result(sides: list[Side], found: Difference, lists: list[EntryChanges], by: str, most: int | None) -> DiffResult:
    """most: of groups, and of changed entries of each kind."""
    return DiffResult(
        by=by,
        before=_moment(sides[0], found.before),
        after=_moment(sides[1], found.after),
        same_process=found.same_process,
        number=NumberOfChanges(**found.number, unchanged=found.unchanged),
        grew_most=None if found.grew_most is None else _changes(found.grew_most),
        groups=[_changes(one) for one in found.groups[:most]],
        maps=[_change(one) for one in found.changes],
        entries=[_entries_row(one, most) for one in lists],
    )


def _moment(side: Side, total: Total) -> MomentFacts:
    assert side.snapshot is not None
    source: Source = side.snapshot.source
    taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(source.taken)) if source.taken else None
    return MomentFacts(
        name=side.name,
        kind=source.kind,
        go=source.go,
        process=source.process or None,
        taken=taken,
        running=source.running,
        lacks=source.lacks,
        maps=total.maps,
        count=total.entries,
        bytes=total.bytes,
        tombstones=total.tombstones,
    )


def _changes(one: ChangedGroup) -> ChangesRow:
    return ChangesRow(
        owner=one.owner or None,
        type=one.type or None,
        **{what: one.number.get(what, 0) for what in WHATS},
        count=one.entries,
        bytes=one.bytes,
        tombstones=one.tombstones,
    )


def _change(one: Change) -> ChangeRow:
    return ChangeRow(
        change=one.what,
        path=one.path or None,
        owner=one.owner or None,
        kind=one.kind,
        lost=one.lost,
        replaced=one.replaced,
        origin=one.origin or None,
        address=one.address,
        type=one.type or None,
        before=None if one.what == "appeared" else alike(FigureFacts, one.before),
        after=None if one.what == "vanished" else alike(FigureFacts, one.after),
    )


def _entries_row(one: EntryChanges, most: int | None) -> EntriesRow:
    return EntriesRow(
        expr=one.after.expr,
        type=one.after.type,
        before=len(one.before.keys),
        after=len(one.after.keys),
        number=NumberOfKeys(len(one.added), len(one.removed), len(one.changed), one.unchanged),
        added=[OneEntry(key, value) for key, value in one.added[:most]],
        removed=[OneEntry(key, value) for key, value in one.removed[:most]],
        changed=[ChangedEntry(key, old, new) for key, old, new in one.changed[:most]],
        cut=one.before.cut or one.after.cut,
    )
