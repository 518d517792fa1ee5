"""A snapshot of a target: the census, with the paths that a search finds; and the entries of chosen maps."""

from __future__ import annotations

import json
import struct
import time
from array import array
from collections.abc import Sequence

from gomap import syncmap
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import NO_VARIABLE, UNKNOWN, beyond, header_size, search_heap
from gomap.analysis.origins import Objects, OriginLines
from gomap.analysis.ranked_groups import KEYS
from gomap.analysis.ranking import AlikeMaps, Ranked, Ranking, measure, measure_beyond
from gomap.analysis.roots import Roots
from gomap.anomaly import Anomaly
from gomap.answers.facts import count_anomalies
from gomap.declare import Context
from gomap.errors import GomapError, Interrupted
from gomap.golang.hashing.process import identity_of
from gomap.golang.layouts.structure import TOO_MANY, UNTOLD
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType, Kind
from gomap.graph.many import texts_of
from gomap.graph.path import plain
from gomap.heap.census import Census
from gomap.heap.profile import Profile
from gomap.heap.tombstones import tombstones
from gomap.human import plural
from gomap.listing import entries_json
from gomap.maps import LAYOUTS, shape_of, view
from gomap.moving import walked
from gomap.progress import Progress
from gomap.reads import gather
from gomap.snapshots.columns import MOST, MOST_LOAD, UNKNOWN_NUMBER, SavedEntries, Snapshot, Source, Texts
from gomap.target import Target, Variable
from gomap.values import UNREADABLE, Limits, Values

#: What of a value is compared: more of it than commands show.
ITEMS, TEXT, TOTAL = 256, 1 << 14, 1 << 16
#: Maps whose tables' and overflow buckets' allocations are looked up too, the largest first.
WITH_PARTS = 256


def take(context: Context) -> tuple[Snapshot, list[Anomaly]]:
    """All maps of the target, and anomalies. Raises Interrupted, since a part would be compared as if it were all."""
    target, progress = context.target, context.progress
    headers = search_heap(target, progress)
    searched = Roots(target, "all", progress, object_size=header_size(target))
    found = everywhere(target, searched, progress, once=True, census=headers.census)
    ranking = measure(target, found, progress, headers.census)
    more, identifier = beyond(target, found, searched.objects, headers, progress)
    others = Ranking()
    if identifier is not None and not ranking.interrupted:
        others = measure_beyond(target, more, identifier, "load", 0, progress)
    interrupted = headers.census is not None and headers.census.interrupted
    if ranking.interrupted or others.interrupted or interrupted:
        raise Interrupted("interrupted: a part of the maps would be compared as if it were all")
    work = _Taken(target, headers.census, _source(target, more.why))
    for one in [*ranking.maps, *others.maps]:
        work.add(one)
    for alike in ranking.alike:
        work.add_alike(alike, progress)
    anomalies = [*found.anomalies, *searched.anomalies, *ranking.anomalies]
    snapshot = work.finish([*ranking.maps, *others.maps], progress)
    return snapshot, [*anomalies, *work.doubts()]


def of_map(context: Context, expr: str) -> tuple[Snapshot, list[Anomaly]]:
    """A snapshot of the expression's map alone, with its entries, and its anomalies. Raises what resolving raises;
    NotAMap."""
    target = context.target
    variable, t, address = context.resolve_map(expr)
    work, anomalies = _Taken(target, None, _source(target, None)), list[Anomaly]()
    if address:
        walk = walked(view(target, t, address), allocator(target))
        found, structure, anomalies = walk.found, walk.structure, count_anomalies(walk)
        added = work.row(
            address, walk.count, structure.bytes.allocated, structure.load, structure.total.tombstones, t.name, expr,
            variable.place.kind, variable.place.function or "",
        )  # fmt: skip
        if added:
            work.snapshot.seeds[0], work.snapshot.arrays[0] = _folded(found.seed), found.array_address
            field = found.header.type.field("clearSeq")
            work.snapshot.clears[0] = found.header["clearSeq"] if field is not None else 0
    work.snapshot.texts = work.texts.all
    work.snapshot.entries = [_entries(context, expr, t, address)]
    return work.snapshot, [*anomalies, *work.doubts()]


def list_entries(context: Context, expr: str) -> tuple[SavedEntries, list[Anomaly]]:
    """The entries of the map that the expression names, and its anomalies. Raises what resolving raises; NotAMap."""
    _, t, address = context.resolve_map(expr)
    wrong = count_anomalies(walked(view(context.target, t, address), allocator(context.target))) if address else []
    return _entries(context, expr, t, address), wrong


def _entries(context: Context, expr: str, t: GoType, address: int) -> SavedEntries:
    listed = SavedEntries(expr, t.name, address, quoted=(t.key.kind is Kind.STRING, t.elem.kind is Kind.STRING))
    if address:
        found = view(context.target, t, address)
        values = Values(context.target, Limits(max(context.settings.depth, 1), ITEMS, TEXT, TOTAL))
        texts, _ = entries_json(values, t, found, found.count + TOO_MANY)
        for text in texts:
            for entry in json.loads(f"[{text}]"):
                listed.keys.append(entry["key"])
                listed.values.append(entry["value"])
        listed.cut = values.cut or any(UNREADABLE in text for text in texts)
    return listed


def _source(target: Target, lacks: str | None) -> Source:
    taken = int(time.time()) if target.kind == "live" else 0
    return Source(
        target.backend, target.kind, target.go_version, target.arch, identity_of(target), taken, target.running, lacks
    )


def _folded(seed: int) -> int:
    return (seed ^ seed >> 32) & 0xFFFFFFFF


class _Taken:
    """Fills in a snapshot. left_out: maps with numbers that no map has. rows: of the census, of each map that has to be
    asked for its tombstones, as (index of the snapshot, row, bytes of a bucket)."""

    def __init__(self, target: Target, census: Census | None, source: Source) -> None:
        self.target, self.census = target, census
        self.snapshot, self.texts = Snapshot(source), Texts()
        self.texts("")
        self.indexes, self.rows, self.sizes = array("Q"), array("Q"), array("Q")
        self.syncs: set[int] = set()
        self.left_out = 0

    def row(
        self, address: int, count: int, held: int, load: float | None, dead: int | None, type_: str, path: str,
        kind: str, owner: str,
    ) -> bool:  # fmt: skip
        """Whether it was added. dead: tombstones."""
        if not (0 <= count < MOST and 0 <= held < MOST and (load or 0.0) < MOST_LOAD):
            self.left_out += 1
            return False
        one, text = self.snapshot, self.texts
        one.addresses.append(address)
        one.seeds.append(0)
        one.clears.append(0)
        one.arrays.append(0)
        one.counts.append(count)
        one.held.append(held)
        one.tombstones.append(UNKNOWN_NUMBER if dead is None else dead)
        one.loads.append(UNKNOWN_NUMBER if load is None else load)
        for column, value in ((one.types, type_), (one.paths, path), (one.kinds, kind), (one.owners, owner)):
            column.append(text(value))
        one.origins.append(0)
        return True

    def doubts(self) -> list[Anomaly]:
        """What is said of the maps that were left out."""
        if not self.left_out:
            return []
        which = f"{plural(self.left_out, 'map')} {'is' if self.left_out == 1 else 'are'} left out"
        why = "corrupt, or written to while it was read" if self.target.running else "corrupt"
        what = f"{which}: the header counts more entries than memory can hold, and is {why}"
        return [Anomaly("warning", "left-out", what, None)]

    def add(self, one: Ranked) -> None:
        nameless = one.holder.kind in NO_VARIABLE
        path, owner = ("", "") if nameless else (one.holder.path, KEYS["owner"](one))
        type_ = "" if one.type is UNKNOWN else one.type.name
        if not self.row(
            one.address, one.count, one.bytes.allocated, one.load, one.tombstones, type_, path, one.holder.kind, owner
        ):
            return
        if one.type.kind is not Kind.MAP and one.type is not UNKNOWN:
            self.syncs.add(one.address)
        elif one.tombstones is None and one.type is not UNKNOWN:
            self._ask(one.type, one.address)

    def add_alike(self, alike: AlikeMaps, progress: Progress) -> None:
        one, many, numbers = alike.example, alike.many, alike.positions
        owner, kind = KEYS["owner"](next(alike.maps(1))), many.holder(numbers[0]).kind
        size = shape_of(one.type, self.target.arch).slots.size
        for start in range(0, len(numbers), 1 << 14):
            progress("paths", start, len(numbers))
            some = numbers[start : start + (1 << 14)]
            for i, text in zip(some, texts_of(many.names, many.ways, [many.numbers[i] for i in some])):
                if self.row(
                    many.address(i), one.count, one.bytes.allocated, one.load, None, one.type.name, plain(text), kind,
                    owner,
                ):  # fmt: skip
                    self._at_row(many.rows[i], size)

    def _ask(self, t: GoType, address: int) -> None:
        row = -1 if self.census is None else self.census.row_of(address)
        if row >= 0:
            self._at_row(row, shape_of(t, self.target.arch).slots.size)

    def _at_row(self, row: int, size: int) -> None:
        """The last map is at that row of the census, with buckets of that size."""
        self.indexes.append(len(self.snapshot) - 1)
        self.rows.append(row)
        self.sizes.append(size)

    def finish(self, single: Sequence[Ranked], progress: Progress) -> Snapshot:
        """The snapshot, with the fields that are read for many maps at once. single: maps that are not like others."""
        census, one = self.census, self.snapshot
        if census is not None and census.reader is not None:
            mark = LAYOUTS[census.reader.rule.name].marks.tombstone
            types = census.reader.types
            for index, dead in zip(self.indexes, tombstones(self.target, types, census, mark, self.rows, self.sizes)):
                one.tombstones[index] = dead if dead != UNTOLD else UNKNOWN_NUMBER
            self._headers(census)
        one.sort()
        self._origins(single, progress)
        one.texts = self.texts.all
        return one

    def _headers(self, census: Census) -> None:
        """Seeds, numbers of clears and arrays, from the maps' headers."""
        reader, one = census.reader, self.snapshot
        assert reader is not None
        rule, take = reader.rule, struct.Struct(reader.code).unpack
        at, size = rule.at, reader.object
        seed, first, clear = at[rule.seed], at[rule.first], at.get("clearSeq")
        index = {address: i for i, address in enumerate(one.addresses) if address not in self.syncs}
        for address, data in gather(self.target.memory, sorted(index), census.header.size):
            if data is None:
                continue
            record = take(bytes(data).ljust(size, b"\0"))
            i = index[address]
            one.seeds[i], one.arrays[i] = _folded(record[seed]), record[first]
            one.clears[i] = 0 if clear is None else record[clear]

    def _origins(self, single: Sequence[Ranked], progress: Progress) -> None:
        """Which function's allocation of each map's memory was sampled: of the header, the array or, of the largest,
        any part."""
        one = self.snapshot
        try:
            profile = Profile(self.target, Heap(self.target))
            if not profile.linked:
                return
            lines = OriginLines(self.target, profile)
            samples = profile.samples(profile.heap.every()[0], progress)
        except GomapError:
            return
        for i, (address, array_) in enumerate(zip(one.addresses, one.arrays)):
            bucket = samples.get(array_) or samples.get(address)
            if bucket is not None:
                one.origins[i] = self._function(profile, lines, bucket)
        index = {address: i for i, address in enumerate(one.addresses)}
        added = [ranked for ranked in single if ranked.address in index]
        for ranked in sorted(added, key=lambda one: -one.bytes.allocated)[:WITH_PARTS]:
            i = index[ranked.address]
            if one.origins[i] or ranked.type is UNKNOWN:
                continue
            try:
                found = lines.origins(self._objects(ranked), samples)
            except GomapError:
                continue
            if found.lines and found.lines[0].location is not None:
                one.origins[i] = self.texts(found.lines[0].location.function)

    def _objects(self, one: Ranked) -> Objects:
        """All that was allocated for it. Raises GomapError."""
        if one.type.kind is Kind.MAP:
            return view(self.target, one.type, one.address).objects()
        shape = syncmap.detect(self.target, one.type)
        return syncmap.objects(self.target, shape, Variable("", one.type, one.address)) if shape is not None else ()

    def _function(self, profile: Profile, lines: OriginLines, address: int) -> int:
        bucket = profile.bucket(address)
        location = None if bucket is None else lines.of(bucket)[0]
        return self.texts("" if location is None else location.function)
