"""hmap-sync: what a sync.Map holds, in either of its two generations."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gomap import human, syncmap
from gomap.answers.entries import entries_table
from gomap.declare import Context
from gomap.errors import MemoryFault, NotAMap
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType
from gomap.report import Facts, Report
from gomap.results.fields import UNASKED, Asked
from gomap.results.sync import HalfFacts, HashTrieFacts, OwnBytes, ReadDirtyFacts, SyncEntryRow, SyncResult
from gomap.syncmap.facts import Half, ReadDirty, SyncMap, Trie
from gomap.target import Target, Variable
from gomap.values import Limits, Values, whole

#: Keys without a value that are worth a word: that many, and more than the live ones.
WORTH_A_WORD = 64


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-sync. Raises NotAMap where EXPR is not a sync.Map."""
    target, expr = context.target, options["EXPR"]
    variable = context.resolve_behind(expr)
    shape = syncmap.detect(target, variable.type)
    if shape is None:
        raise NotAMap(f"{expr} is not a sync.Map: {_has(target, variable)}")
    found = context.look(variable, lambda: syncmap.looked(target, shape, variable, allocator(target)))
    wanted = context.settings.entries if options["--entries"] is None else options["--entries"]
    report = Report(None, anomalies=[*found.anomalies, *found.inner])
    at = f"  {variable.address:#x}" if variable.address is not None else ""
    report.answer = [f"{variable.type.name}  {expr}{at}", _summary(found)]
    report.sections = [Facts(_facts(found))]
    report.advice = _advice(found)
    limits = whole(context.settings.depth) if options["--full"] else Limits(depth=context.settings.depth)
    values = Values(target, limits, raw=options["--raw"])
    entries = _entries(report, variable, found, wanted, values) if wanted else UNASKED
    report.data = _result(expr, variable, found, entries)
    return report


def _has(target: Target, variable: Variable) -> str:
    """What else it is, and where in it a sync.Map is."""
    t = variable.type
    inside = [f.name for f in t.fields if f.name != "_" and syncmap.detect(target, f.type) is not None]
    more = f", which has one in {' and '.join(f'{variable.name}.{name}' for name in inside[:8])}" if inside else ""
    return f"its type is {t.name}{more}"


def _result(expr: str, variable: Variable, found: SyncMap, entries: Asked[list[SyncEntryRow]]) -> SyncResult:
    old, trie = found.read_dirty, found.trie
    return SyncResult(
        expr=expr,
        type=variable.type.name,
        address=variable.address,
        generation=found.generation,
        count=found.count,
        bound=found.bound,
        bytes=OwnBytes(found.bytes.allocated),
        read_dirty=None
        if old is None
        else ReadDirtyFacts(
            amended=old.amended,
            misses=old.misses,
            misses_left=old.misses_left,
            locked=found.locked,
            read=_half(old.read),
            dirty=_half(old.dirty),
        ),
        hash_trie=None
        if trie is None
        else HashTrieFacts(
            root=trie.root,
            depth=trie.depth,
            nodes=trie.nodes,
            entries=trie.entries,
            overflow_chains=trie.chains,
            overflow_entries=trie.overflow,
            longest_chain=trie.longest,
            seed=trie.seed,
        ),
        entries=entries,
    )


def _half(half: Half) -> HalfFacts:
    address = half.view.address if half.view is not None else None
    return HalfFacts(address, half.keys, half.live, half.deleted, half.expunged, half.own)


def _summary(found: SyncMap) -> str:
    entries = human.plural(found.count, "entry") if found.count else "no entry"
    entries = f"{found.count:,} ± {found.bound:,} entries" if found.bound else entries
    old, trie = found.read_dirty, found.trie
    if old is not None and not found.count and not found.bound:
        return f"no live entry: {human.size(found.bytes.allocated)} held"
    if old is not None:
        if not old.amended:
            return f"{entries}, all of them read without a lock: {human.size(found.bytes.allocated)} held"
        return (
            f"{entries}, {old.dirty.own:,} of them only in the dirty map, behind the mutex: "
            f"{human.size(found.bytes.allocated)} held"
        )
    if trie is None or trie.root is None:
        return "no entries: it was never used, and nothing is allocated"
    return f"{entries} in a hash trie of {human.plural(trie.depth, 'level')}: {human.size(found.bytes.allocated)} held"


def _facts(found: SyncMap) -> list[tuple[str, str]]:
    if found.read_dirty is not None:
        return _read_dirty_facts(found.read_dirty, found.locked)
    return _trie_facts(found.trie) if found.trie is not None else []


def _read_dirty_facts(old: ReadDirty, locked: bool) -> list[tuple[str, str]]:
    rows = [("generation", "read and dirty maps (up to Go 1.23)"), ("read", _keys(old.read))]
    if old.dirty.view is None:
        rows.append(("dirty", "none: the next new key copies the live keys of read into one"))
    else:
        rows.append(("dirty", f"{_keys(old.dirty)}; {old.dirty.own:,} live ones are only here"))
    rows.append(("amended", "yes: dirty has keys that read lacks" if old.amended else "no: read has every key"))
    if old.misses_left is None:
        rows.append(("misses", f"{old.misses:,}"))
    else:
        left = human.plural(old.misses_left, "more miss", "more misses")
        rows.append(("misses", f"{old.misses:,}; after {left} dirty becomes read"))
    rows.append(("mutex", "held by a goroutine now" if locked else "free"))
    return rows


def _keys(half: Half) -> str:
    parts = [f"{half.live:,} live"]
    if half.deleted:
        parts.append(f"{half.deleted:,} deleted")
    if half.expunged:
        parts.append(f"{half.expunged:,} expunged")
    at = f"  {half.view.address:#x}" if half.view is not None else ""
    return f"{human.plural(half.keys, 'key')}: {', '.join(parts)}{at}" if half.keys else f"empty{at}"


def _trie_facts(trie: Trie) -> list[tuple[str, str]]:
    rows = [("generation", "hash trie (from Go 1.24 on)")]
    if trie.root is None:
        return rows
    each = ", each" if trie.nodes > 1 else ""
    rows.append(("nodes", f"{trie.nodes:,}{each} with room for 16 children; root {trie.root:#x}"))
    rows.append(("depth", human.plural(trie.depth, "level")))
    if trie.chains:
        entries = human.plural(trie.overflow + trie.chains, "entry")
        what = f"{human.plural(trie.chains, 'chain')} of keys with equal hashes, {entries} in all"
        rows.append(("overflow", f"{what}, longest {trie.longest}" if trie.chains > 1 else what))
    else:
        rows.append(("overflow", "none: no two keys have equal hashes"))
    return rows


def _advice(found: SyncMap) -> list[str]:
    old = found.read_dirty
    if old is None:
        return []
    dead = old.read.deleted + old.read.expunged
    if dead < WORTH_A_WORD or dead < found.count:
        return []
    keys = human.plural(dead, "deleted key")
    return [f"{keys} stay in the read map, and hold what they point to, until new keys and misses replace it"]


def _entries(report: Report, variable: Variable, found: SyncMap, wanted: int, values: Values) -> list[SyncEntryRow]:
    """The entries, which are added to the report's sections."""
    target = values.target
    listed: list[SyncEntryRow] = []
    rows: list[tuple[str, str, str]] = []
    for entry in itertools.islice(syncmap.entries(target, variable), wanted):
        key_type, value_type = entry.key_type, entry.value_type
        raw_key, raw = _read(target, key_type, entry.key_address), _read(target, value_type, entry.value_address)
        key, value = values.shown_key(key_type, raw_key), values.shown(value_type, raw)
        key_text = key if values.has_text(key_type) else None
        value_text = value if values.has_text(value_type) else None
        listed.append(
            SyncEntryRow(values.key(key_type, raw_key), values.json(value_type, raw), entry.where, key_text, value_text)
        )
        rows.append((entry.where, key, value))
    report.sections.append(replace(entries_table("where", rows, values), right=frozenset()))
    if len(listed) < found.count:
        report.cut("entries", len(listed), found.count, "--entries N")
    if values.cut:
        report.cut("values", len(listed), None, None if values.full else "--full")
    return listed


def _read(target: Target, t: GoType, address: int) -> bytes | None:
    try:
        return target.memory.read(address, t.size)
    except MemoryFault:
        return None
