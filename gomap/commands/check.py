"""hmap-check: whether maps are as the runtime would have left them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from gomap import human, syncmap
from gomap.analysis import integrity_sync
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import NO_VARIABLE, Beyond, beyond, header_size, place_of
from gomap.analysis.held import AliasSearch, Holder
from gomap.analysis.identify import Identified, Identifier
from gomap.analysis.roots import Roots
from gomap.anomaly import Anomaly
from gomap.answers.facts import heap_facts, named, not_searched, place_facts, search_cut, unnamed_among
from gomap.columns.choose import columns
from gomap.declare import Context
from gomap.errors import GomapError, NotAMap, UsageError
from gomap.golang.hashing.hasher import Hasher, hasher_of
from gomap.golang.layouts.integrity import Absent, Checked, Findings, Unchecked
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.lookup import choose
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType, Kind
from gomap.maps import view
from gomap.memory import forget
from gomap.moving import Reading, bounds_of, counted, steady
from gomap.report import INTERRUPTED, Facts, Report, Table
from gomap.results.check import CheckedRow, CheckResult, FindingKind, UncheckedRow
from gomap.results.fields import alike
from gomap.syncmap import detect
from gomap.target import GLOBAL, Place, Target, Variable

#: Maps not checked in full that are listed one by one.
MAX_TOLD = 16
#: Why a map that is not as its type says is not said to be corrupt.
GUESSED = "not checked: its type is a guess, and the map does not match it"
#: The names that Unchecked.what can have.
NOUNS = {
    "maps": "map",
    "parts": "part",
    "entries": "entry",
    "buckets": "bucket",
    "overflow-buckets": "overflow bucket",
    "directory-entries": "directory entry",
}


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-check. Raises UsageError, and what resolving EXPR raises."""
    target = context.target
    expr, every = options["EXPR"], options["--all"]
    if bool(expr) == bool(every):
        raise UsageError("name one map, or --all (usage: hmap-check EXPR, hmap-check --all)")
    report, rows = Report(None), []
    hasher = hasher_of(target)
    if not options["--full"]:  # recording asks for all, and for nothing besides
        hasher.pool = columns().pool(target.memory)
    found: AliasSearch | None = None
    if every:
        searched = Roots(target, "all", context.progress, object_size=header_size(target))
        found = everywhere(target, searched, context.progress, once=True)
        report.anomalies += [*found.anomalies, *searched.anomalies]
        named = _number(found)
        more, identifier = beyond(target, found, searched.objects, progress=context.progress)
        wanted = _all(context, report, found, more, identifier)
    else:
        wanted = iter([(expr, expr, GLOBAL, *map_or_sync(context, expr), None, lambda: True)])
    unused = 0
    findings: list[tuple[str, Checked]] = []  # by name, which maps of several frames may have in common
    stopped = found is not None and found.interrupted
    try:
        for path, name, place, t, address, guess, held in wanted:
            full = bool(options["--full"])
            checked = _check(target, hasher, t, address, full, held)
            if guess is not None and checked is not None and checked.verdict == "corrupt":
                t, checked = of_guess(guess, checked, partial(_check_by, target, hasher, address, full))
                path, name = _unnamed(address, t)
            if checked is None:
                unused += 1
                if every:
                    continue
                checked = Checked(0, 0, [])
            rows.append(_row(path, place, t, address, checked))
            findings.append((name, checked))
            prefix = f"{name}: " if every else ""
            report.anomalies += [replace(one, message=prefix + one.message) for one in checked.findings]
    except KeyboardInterrupt:
        if not every:
            raise
        stopped = True
        report.cut(INTERRUPTED, len(findings), None if found is None else named + len(more.maps))
    _cut(report, [(name, checked) for name, checked in findings if checked.share < 1], every)
    if found is None:
        _words(report, expr, findings[0][1], t, bool(unused) or not address)
        report.data = CheckResult(rows, not findings[0][1].unchecked, 0, None)
    else:
        _words_of_all(report, findings)
        left = named + len(more.maps) - unused - len(findings)
        doubtful = len(found.doubtful) - _doubtful_globals(found)
        _left_out(report, left, doubtful, stopped)
        unnamed = sum(row.kind in NO_VARIABLE for row in rows)
        if unnamed:
            report.answer.append(unnamed_among(unnamed, sum(row.kind == "stack" for row in rows)))
        report.answer += not_searched(more)
        whole = not any(checked.unchecked for _, checked in findings)
        seen = not (stopped or report.truncated or more.why or searched.unseen.count or searched.unreadable)
        complete = whole and seen and not left and not doubtful
        report.data = CheckResult(rows, complete, left + doubtful, heap_facts(more))
    return report


def _cut(report: Report, partly: Sequence[tuple[str, Checked]], every: bool) -> None:
    """Reports the maps whose keys were hashed only in part, the first few one by one."""
    for path, checked in partly[:MAX_TOLD]:
        what = "hashes" if checked.entries else "no hash was checked, since its entries can't be reached"
        report.cut(f"{path}: {what}" if every else what, checked.hashes_checked, checked.entries)
    rest = [checked for _, checked in partly[MAX_TOLD:]]
    if rest:
        what = f"hashes of {human.plural(len(rest), 'other map')}"
        report.cut(what, sum(one.hashes_checked for one in rest), sum(one.entries for one in rest))


def _all(
    context: Context, report: Report, found: AliasSearch, more: Beyond, identifier: Identifier | None
) -> Iterator[tuple[str, str, Place, GoType, int, Identified | None, Callable[[], bool]]]:
    """Every map of the process, each once: its path, its name, the frame that the path starts in, and a function
    that says whether the path still leads to it. Maps that no variable leads to come last, with how their type is
    known; maps of unknown type are left out."""
    if found.interrupted:
        report.cut(INTERRUPTED, 0, None)
    search_cut(report, found)
    for done, address in enumerate((*found.types, *found.syncs)):
        context.progress("maps", done, _number(found))
        holder = (found.maps.get(address) or found.syncs[address])[0]
        held = _holds(context.target, holder, address)
        yield holder.path, named(holder), holder.place, holder.type, address, None, held
    for address, (holder, _) in found.doubtful.items():
        if holder.place.kind == "global":  # which is set from the start: a fault in it must be reported
            held = _holds(context.target, holder, address)
            yield holder.path, named(holder), holder.place, holder.type, address, None, held
    for done, index in enumerate(more.maps):
        context.progress("maps of the heap", done, len(more.maps))
        if identifier is None or more.census is None:
            return
        address = more.census.addresses[index]
        known = identifier.identify(address)
        if known.type is not None:
            yield *_unnamed(address, known.type), place_of(more, index), known.type, address, known, lambda: False


def _unnamed(address: int, t: GoType) -> tuple[str, str]:
    """(path, name) of a map that no variable leads to."""
    path = f"{address:#x}:{t.name}"
    return path, f"{path}, no variable"


def of_guess(known: Identified, corrupt: Checked, check: Callable[[GoType], Checked]) -> tuple[GoType, Checked]:
    """The verdict on a map that is corrupt by the first type that fits it. known: how its type is known. The map is
    intact if it is intact by any type that fits; if no type is proven, the type itself may be wrong. check: checks
    it by another type."""
    t = known.type
    assert t is not None
    for other in known.other_types:
        checked = check(other)
        if checked.verdict != "corrupt":
            return other, checked
    if known.proven:
        return t, corrupt
    number = known.view.count if known.view is not None else corrupt.entries
    return t, Checked(corrupt.entries, 0, [], [Unchecked("entries", number, number, GUESSED)])


def _holds(target: Target, holder: Holder, address: int) -> Callable[[], bool]:
    """Whether the variable still holds the map at the address: in a running program it may have been freed. A
    sync.Map is the variable itself."""

    def still() -> bool:
        if holder.address in (None, address):
            return holder.address is not None
        forget(target.memory)
        try:
            word = target.arch.pointer_size
            data = target.memory.read(holder.address or 0, 2 * word)  # of an interface the second
        except GomapError:
            return False
        return address in (target.arch.pointer(data), target.arch.pointer(data[word:]))

    return still


def map_or_sync(context: Context, expr: str) -> tuple[GoType, int]:
    """The type and the address of the map that was named, or of the sync.Map."""
    try:
        _, t, address = context.resolve_map(expr)
    except NotAMap:
        variable = context.resolve_behind(expr)
        if variable.address is None or detect(context.target, variable.type) is None:
            raise
        return variable.type, variable.address
    return t, address


def _number(found: AliasSearch) -> int:
    """How many maps there are to check."""
    return len(found.types) + len(found.syncs) + _doubtful_globals(found)


def _doubtful_globals(found: AliasSearch) -> int:
    return sum(holder.place.kind == "global" for holder, _ in found.doubtful.values())


def _check(
    target: Target, hasher: Hasher, t: GoType, address: int, full: bool, held: Callable[[], bool]
) -> Checked | None:
    """None for a sync.Map that was never used. A map that was written to while it was read, or that may have been
    freed, is never called corrupt. held: whether a variable still leads to it."""
    if not address:
        return Checked(0, 0, [])
    read: Reading[Checked | None]
    if t.kind is Kind.MAP:
        read = steady(target, lambda now: _check_map(now, hasher, t, address, full), _faults)
    else:

        def listed() -> set[int]:
            return {one.key_address for one in syncmap.entries(target, Variable("", t, address))}

        read = counted(target, lambda now: _check_sync(now, hasher, t, address, full), _faults, listed)
    checked = read.result
    if checked is None or not target.running:
        return checked
    unproved = read.written or bool(checked.kinds and not held())
    if t.kind is Kind.MAP:
        moved = bounds_of(target, address, checked.entries if unproved else None)
    else:
        moved = read.bound if read.written else None
    if not unproved and moved is None:
        return replace(checked, bound=0)
    off = f": {checked.entries:,} ± {moved:,} entries" if moved else ""
    why = f"was written to while it was read{off}" if moved is not None else "was freed or written to while it was read"
    why += ", which may explain what was found wrong" if unproved else ""
    left = [*checked.unchecked, Unchecked("maps", 1, 1, f"{why} (gomap pid --pause checks it at one moment)")]
    notes = [one for one in checked.findings if one.severity != "error"] if unproved else checked.findings
    kinds = {} if unproved else checked.kinds
    return replace(checked, findings=notes, unchecked=left, kinds=kinds, bound=moved or 0)


def _faults(checked: Checked | None) -> object:
    if checked is None or not checked.kinds:
        return None
    return checked.kinds, [(one.code, one.message, one.address) for one in checked.findings if one.severity == "error"]


def _check_sync(target: Target, hasher: Hasher, t: GoType, address: int, full: bool) -> Checked | None:
    absent = Absent(target)
    try:
        shape = detect(target, t)
        if shape is None:
            raise NotAMap(f"{t.name} is not a sync.Map")
        variable = Variable("", t, address)
        return integrity_sync.check(
            target, shape, variable, hasher, full, absent,
            lambda t, address: _check_map(target, hasher, t, address, full),
        )  # fmt: skip
    except GomapError as error:
        return _unread(error, address, absent)


def _check_by(target: Target, hasher: Hasher, address: int, full: bool, t: GoType) -> Checked:
    return _check_map(target, hasher, t, address, full)


def _check_map(target: Target, hasher: Hasher, t: GoType, address: int, full: bool) -> Checked:
    absent = Absent(target)
    try:
        found: MapView = view(target, t, address)
        plan = choose(found, hasher)
        checked = found.check(hasher, plan, allocator(target), full, absent)
    except GomapError as error:
        return _unread(error, address, absent)
    if plan is None:
        what = f"the hash function for keys of type {t.key.name} is not known here: places of keys were not checked"
        checked.findings.append(Anomaly("note", "no-hash", what, address))
    return checked


def _unread(error: GomapError, address: int, absent: Absent) -> Checked:
    at = getattr(error, "address", None)
    findings = Findings(False, address, absent)
    findings.unread("maps", 1, str(error), at if at is not None else address)
    left = [*findings.unchecked, Unchecked("entries", 0, None, str(error))]
    return Checked(0, 0, findings.done(), left, findings.counts)


def _row(path: str, place: Place, t: GoType, address: int, checked: Checked) -> CheckedRow:
    return CheckedRow(
        path=path,
        kind=place.kind,
        place=place_facts(place),
        address=address,
        type=t.name,
        entries=checked.entries,
        bound=checked.bound,
        hashes_checked=checked.hashes_checked,
        share=checked.share,
        ok={"intact": True, "corrupt": False}.get(checked.verdict),
        verdict=checked.verdict,
        findings=checked.number,
        kinds=[FindingKind(code, number) for code, number in sorted(checked.kinds.items())],
        unchecked=[alike(UncheckedRow, one) for one in checked.unchecked],
    )


def _words(report: Report, expr: str, checked: Checked, t: GoType, nil: bool) -> None:
    """The answer about one map."""
    if nil:
        what = f"is a nil {t.name}" if t.kind is Kind.MAP else "was never used"
        report.answer = [f"nothing to check: {expr} {what}"]
        return
    told = {
        "intact": f"{expr} is intact",
        "corrupt": f"{expr} is corrupt: {human.plural(checked.number, 'finding')}",
        "no-fault-found": f"{expr}: no fault found in what was checked ({_hashed(checked)})",
    }
    report.answer = [told[checked.verdict]]
    rows = [("entries", f"{checked.entries:,}"), ("hashes", _hashes(checked))]
    rows += [("not checked", _unchecked(one)) for one in checked.unchecked]
    report.sections = [Facts(rows)]


def _words_of_all(report: Report, findings: Sequence[tuple[str, Checked]]) -> None:
    """The answer about all maps: how many are corrupt, and which of them were not checked in full."""
    if not findings:
        report.answer = ["no map was checked"]
        return
    entries = sum(checked.entries for _, checked in findings)
    what = f"{human.plural(len(findings), 'map')} with {human.plural(entries, 'entry', 'entries')} checked"
    broken = [(name, checked) for name, checked in findings if checked.verdict == "corrupt"]
    partly = [(name, checked) for name, checked in findings if checked.verdict == "no-fault-found"]
    told = [f"{len(broken):,} corrupt"] if broken else []
    intact = len(findings) - len(broken) - len(partly)
    if intact:
        told.append(f"{intact:,} intact" if broken or partly else "all intact")
    if partly:
        told.append(f"{len(partly):,} checked only in part, without a fault")
    report.answer = [f"{what}: {', '.join(told)}"]
    right = frozenset({0, 1})
    if broken:
        rows = [(f"{checked.entries:,}", _part(checked), name) for name, checked in broken]
        report.sections.append(Table(("entries", "hashed", "corrupt"), rows, right, code=frozenset({2}), whole=2))
    if partly:
        lines = [
            (f"{checked.entries:,}", _part(checked), name, "; ".join(map(_unchecked, checked.unchecked)))
            for name, checked in partly[:MAX_TOLD]
        ]
        heads = ("entries", "hashed", "map", "what was not checked")
        report.sections.append(Table(heads, lines, right, code=frozenset({2}), whole=2))
        if len(partly) > MAX_TOLD:
            left = len(partly) - MAX_TOLD
            were = "was" if left == 1 else "were"
            report.answer.append(f"({human.plural(left, 'more map')} {were} checked only in part)")


def _left_out(report: Report, left: int, doubtful: int, stopped: bool) -> None:
    """What the search has, and was not checked."""
    if stopped:
        more = f": {human.plural(left, 'map')} were not checked" if left else ": more maps may not have been found"
        more = ": 1 map was not checked" if left == 1 else more
        report.answer.append(f"(interrupted{more})")
    elif left:
        verb, its = ("was", "its type is") if left == 1 else ("were", "their types are")
        report.answer.append(f"({human.plural(left, 'more map')} {verb} not checked, since {its} not known)")
    if doubtful:
        do, were = ("do", "were") if doubtful > 1 else ("does", "was")
        what = f"{human.plural(doubtful, 'variable')} {do} not point to a valid map (uninitialized, dead or corrupt)"
        report.answer.append(f"({what}, and {were} not checked)")


def _unchecked(one: Unchecked) -> str:
    return f"{human.plural(one.number, NOUNS.get(one.what, 'key'))} {one.why}"


def _hashes(checked: Checked) -> str:
    if checked.share < 1 and not checked.entries:
        return "none recomputed: its entries can't be reached"
    share = f", {_share(checked)} of the entries" if checked.share < 1 else ""
    return f"{checked.hashes_checked:,} recomputed{share}"


def _share(checked: Checked) -> str:
    """Less than all is never 100%."""
    return human.percent(min(checked.share, 0.99))


def _hashed(checked: Checked) -> str:
    return f"{checked.hashes_checked:,} of {human.plural(checked.entries, 'key')} hashed"


def _part(checked: Checked) -> str:
    """The same in a table."""
    part = f" ({_share(checked)})" if checked.share < 1 and checked.entries else ""
    return f"{checked.hashes_checked:,}{part}"
