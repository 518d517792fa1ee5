"""hmap-check: whether maps are as the runtime would have left them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gomap import human
from gomap.analysis import integrity_classic, integrity_swiss
from gomap.analysis.alias import everywhere
from gomap.analysis.integrity import SAMPLE, Checked
from gomap.analysis.roots import Roots
from gomap.arrays import numpy
from gomap.commands.declare import Context
from gomap.commands.facts import named, search_cut
from gomap.errors import GomapError, UsageError
from gomap.golang.classic import ClassicMap
from gomap.golang.hashing import Hasher, Pool, hasher_of
from gomap.golang.lookup import choose
from gomap.golang.malloc import allocator
from gomap.golang.structure import Anomaly
from gomap.gotypes import GoType
from gomap.maps import MapView, view
from gomap.report import Facts, Report, Table

#: Maps whose keys were hashed in part that are told one by one.
MAX_TOLD = 16
INTERRUPTED = "the search was interrupted"


def run(context: Context, options: Mapping[str, Any]) -> Report:
    target = context.target
    expr, every = options["EXPR"], options["--all"]
    if bool(expr) == bool(every):
        raise UsageError("name one map, or --all (usage: hmap-check EXPR, hmap-check --all)")
    report = Report({"maps": []})
    hasher = hasher_of(target)
    if numpy() is not None and not options["--full"]:  # recording asks for all, and for nothing besides
        hasher.pool = Pool(target)
    if every:
        wanted = _all(context, report)
    else:
        _, t, address = context.resolve_map(expr)
        wanted = iter([(expr, expr, t, address)])
    findings: list[tuple[str, Checked]] = []  # by name, which maps of several frames may have in common
    try:
        for path, name, t, address in wanted:
            checked = _check(context, hasher, t, address, bool(options["--full"]))
            report.data["maps"].append(_json(path, t, address, checked))
            findings.append((name, checked))
            prefix = f"{name}: " if every else ""
            report.anomalies += [replace(one, message=prefix + one.message) for one in checked.findings]
    except KeyboardInterrupt:
        if not every:
            raise
        report.cut(INTERRUPTED, len(findings), None)
    _cut(report, [(name, checked) for name, checked in findings if checked.share < 1], every)
    _words(report, expr, findings)
    if any(cut["what"] == INTERRUPTED for cut in report.truncated or ()):
        report.answer.append("(interrupted: not all maps were checked)")
    return report


def _cut(report: Report, partly: Sequence[tuple[str, Checked]], every: bool) -> None:
    """Tells of the maps whose keys were hashed in part, of the first few one by one."""
    for path, checked in partly[:MAX_TOLD]:
        what = "hashes" if checked.entries else "hashes: its entries can't be reached"
        report.cut(f"{path}: {what}" if every else what, checked.hashes_checked, checked.entries)
    rest = [checked for _, checked in partly[MAX_TOLD:]]
    if rest:
        what = f"hashes of {len(rest):,} other maps"
        report.cut(what, sum(one.hashes_checked for one in rest), sum(one.entries for one in rest))


def _all(context: Context, report: Report) -> Iterator[tuple[str, str, GoType, int]]:
    """Every map of the process, each once, with its path and its name: what can't be a map is told as the search
    tells it."""
    searched = Roots(context.target, "all", context.progress)
    found = everywhere(context.target, searched, context.progress, once=True)
    report.anomalies += [*found.anomalies, *searched.anomalies]
    if found.interrupted:
        report.cut(INTERRUPTED, 0, None)
    search_cut(report, found)
    for done, (address, t) in enumerate(found.types.items()):
        context.progress("maps", done, len(found.types))
        holder = found.maps[address][0]
        yield holder.path, named(holder), t, address
    for address, (holder, _) in found.doubtful.items():
        if holder.place.kind == "global":  # which is set from the start: what is wrong with it has to be said
            yield holder.path, named(holder), holder.type, address


def _check(context: Context, hasher: Hasher, t: GoType, address: int, full: bool) -> Checked:
    if not address:
        return Checked(0, 0, [])
    target = context.target
    try:
        found: MapView = view(target, t, address)
        plan = choose(found, hasher)
        if isinstance(found, ClassicMap):
            checked = integrity_classic.check(found, hasher, plan, allocator(target), full)
        else:
            checked = integrity_swiss.check(found, hasher, plan, full)
    except GomapError as error:
        at = getattr(error, "address", None)
        return Checked(0, 0, [Anomaly("error", "unreadable", str(error), at if at is not None else address)], 0.0)
    if plan is None:
        what = f"the hash function for keys of type {t.key.name} is not known here: places of keys were not checked"
        checked.findings.append(Anomaly("note", "no-hash", what, address))
    return checked


def _json(path: str, t: GoType, address: int, checked: Checked) -> dict[str, Any]:
    return {
        "path": path,
        "address": hex(address) if address else None,
        "type": t.name,
        "entries": checked.entries,
        "hashes_checked": checked.hashes_checked,
        "share": checked.share,
        "ok": checked.ok,
    }


def _words(report: Report, expr: str | None, findings: Sequence[tuple[str, Checked]]) -> None:
    if expr is not None:
        ((_, checked),) = findings
        number = sum(one.severity != "note" for one in checked.findings)
        report.answer = [f"{expr} is intact" if checked.ok else f"{expr} is corrupt: {human.plural(number, 'finding')}"]
        report.sections = [Facts([("entries", f"{checked.entries:,}"), ("hashes", _hashes(checked))])]
        return
    broken = [(name, checked) for name, checked in findings if not checked.ok]
    entries = sum(checked.entries for _, checked in findings)
    what = f"{human.plural(len(findings), 'map')} with {human.plural(entries, 'entry', 'entries')} checked"
    if not findings:
        report.answer = ["no map was checked"]
        return
    report.answer = [f"{what}: {f'{len(broken):,} corrupt' if broken else 'all intact'}"]
    if broken:
        rows = [(name, f"{checked.entries:,}", _hashed(checked)) for name, checked in broken]
        names = frozenset({0})
        report.sections = [Table(("corrupt", "entries", "hashed"), rows, frozenset({1, 2}), code=names, names=names)]


def _hashes(checked: Checked) -> str:
    if checked.share < 1 and not checked.entries:
        return "none recomputed: its entries can't be reached"
    if checked.share < 1:
        share = human.percent(checked.share)
        sampled = numpy() is None and checked.entries > SAMPLE
        why = ": this Python has no numpy (--full: all)" if sampled else ""
        return f"{checked.hashes_checked:,} recomputed, {share} of the entries{why}"
    if checked.random:
        keys = human.plural(checked.random, "key")
        return f"{checked.hashes_checked:,} recomputed; {keys} with a NaN may lie anywhere"
    return f"{checked.hashes_checked:,} recomputed"


def _hashed(checked: Checked) -> str:
    """The same in a table."""
    part = f" ({human.percent(checked.share)})" if checked.share < 1 and checked.entries else ""
    return f"{checked.hashes_checked:,}{part}"
