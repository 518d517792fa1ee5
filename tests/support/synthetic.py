"""Go maps laid out in synthetic memory from a plan, by the rules of the runtime's sources.

The plan says which slots are live; what hmap-show must find follows from the plan alone, counted here one
slot after another. Nothing of gomap's own decoding is used. Sources: runtime/map.go (Go 1.23),
cmd/link/internal/ld/dwarf.go (synthesizemaptypes), internal/runtime/maps (Go 1.24 to 1.27),
cmd/compile/internal/reflectdata/map.go (MapGroupType).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from gomap.gotypes import Field, GoType, Kind, Lazy, fixed
from gomap.recorded import ImageTarget
from gomap.target import Arch
from tests.support.space import Heap, Space, array_of, basic, heap, pointer, slice_of, struct

Marks = list[int]

EMPTY_REST, EMPTY_ONE, EVACUATED_X, EVACUATED_Y, EVACUATED_EMPTY, MIN_TOPHASH = 0, 1, 2, 3, 4, 5
CTRL_EMPTY, CTRL_DELETED = 0x80, 0xFE
MAX_INLINE = 128  # abi.MapMaxKeyBytes


@dataclass(frozen=True)
class OldBucket:
    """An old bucket with its chain. moved: evacuated. cut: evacuate() cleared its overflow pointer."""

    chain: list[Marks]
    moved: bool = False
    cut: bool = False


@dataclass(frozen=True)
class ClassicPlan:
    """chains[i]: the marks of bucket i and of its overflow buckets; empty: no buckets allocated."""

    B: int
    chains: list[list[Marks]]
    old: list[OldBucket] | None = None
    same_size: bool = False
    flags: int = 0
    nevacuate: int = 0
    noverflow: int = 0
    hash0: int = 0x1234567


@dataclass(frozen=True)
class TablePlan:
    local_depth: int
    groups: list[Marks]


@dataclass(frozen=True)
class SwissPlan:
    """tables empty: a small map with its one group, or with none. directory[i]: index into tables."""

    small: Marks | None = None
    tables: list[TablePlan] = field(default_factory=list)
    directory: list[int] = field(default_factory=list)
    split: bool = False
    tombstone_possible: bool | None = False
    writing: int = 0
    seed: int = 0x9E3779B9
    clear_seq: int = 3


@dataclass(frozen=True)
class Placed:
    """An entry that the map has. key, elem: its bytes."""

    old: bool
    bucket: int
    overflow: int
    slot: int
    key_address: int
    elem_address: int
    key: bytes
    elem: bytes


@dataclass
class Built:
    """A map in memory, and all that is true of it. show: `data` of hmap-show, without expr."""

    type: GoType
    address: int
    show: dict[str, Any]
    entries: list[Placed]
    strip: list[int]
    moved: list[int] = field(default_factory=list)
    runs: list[tuple[int, int]] = field(default_factory=list)
    tables: list[dict[str, int]] | None = None
    places: dict[str, int] = field(default_factory=dict)


# -- types as debug information has them ----------------------------------------------------------------


def map_of(key: GoType, elem: GoType, header: GoType, word: int, name: str = "") -> GoType:
    return GoType(
        Kind.MAP,
        name or f"map[{key.name}]{elem.name}",
        word,
        lazy_key=fixed(key),
        lazy_elem=fixed(elem),
        lazy_header=fixed(header),
    )


def stored(t: GoType, word: int) -> GoType:
    """What lies in a slot: the value, or a pointer to it when it is larger than 128 bytes."""
    return pointer(t, word) if t.size > MAX_INLINE else t


def classic_type(key: GoType, elem: GoType, word: int, clear_seq: bool = False) -> GoType:
    names = f"{key.name},{elem.name}"
    k, v = stored(key, word), stored(elem, word)
    overflow_off = 8 + 8 * k.size + 8 * v.size
    holder: list[GoType] = []
    to_bucket = GoType(Kind.POINTER, f"*bucket<{names}>", word, lazy_elem=Lazy(lambda: holder[0]))
    bucket = GoType(
        Kind.STRUCT,
        f"bucket<{names}>",
        overflow_off + word,
        fields=(
            Field("tophash", 0, array_of(8, basic("uint8"))),
            Field("keys", 8, array_of(8, k)),
            Field("values", 8 + 8 * k.size, array_of(8, v)),
            Field("overflow", overflow_off, to_bucket),
        ),
    )
    holder.append(bucket)
    return map_of(key, elem, hmap(f"hash<{names}>", to_bucket, word, clear_seq), word)


def hmap(name: str, to_bucket: GoType, word: int, clear_seq: bool = False) -> GoType:
    extra = struct(
        "runtime.mapextra",
        word,
        [
            ("overflow", pointer(slice_of(to_bucket, word), word)),
            ("oldoverflow", pointer(slice_of(to_bucket, word), word)),
            ("nextOverflow", to_bucket),
        ],
    )
    fields = [
        ("count", basic("int", word)),
        ("flags", basic("uint8")),
        ("B", basic("uint8")),
        ("noverflow", basic("uint16")),
        ("hash0", basic("uint32")),
        ("buckets", to_bucket),
        ("oldbuckets", to_bucket),
        ("nevacuate", basic("uintptr", word)),
    ]
    if clear_seq:
        fields.append(("clearSeq", basic("uint64")))
    return struct(name, word, [*fields, ("extra", pointer(extra, word))])


def group_type(key: GoType, elem: GoType, word: int, split: bool) -> GoType:
    k, v = stored(key, word), stored(elem, word)
    ctrl = ("ctrl", basic("uint64"))
    name = f"noalg.map.group[{key.name}]{elem.name}"
    if split:
        return struct(name, word, [ctrl, ("keys", array_of(8, k)), ("elems", array_of(8, v))])
    slot = struct(f"noalg.struct {{ key {k.name}; elem {v.name} }}", word, [("key", k), ("elem", v)])
    return struct(name, word, [ctrl, ("slots", array_of(8, slot))])


def swiss_type(key: GoType, elem: GoType, word: int, split: bool, tombstone_possible: bool = True) -> GoType:
    names = f"{key.name},{elem.name}"
    group = group_type(key, elem, word, split)
    to_table = pointer(table_type(f"<{names}>", pointer(group, word), word), word)
    header = swiss_header(f"map<{names}>", pointer(to_table, word), word, tombstone_possible)
    return map_of(key, elem, header, word)


def table_type(names: str, to_group: GoType, word: int) -> GoType:
    groups = struct(f"groupReference{names}", word, [("data", to_group), ("lengthMask", basic("uint64"))])
    return struct(
        f"table{names}",
        word,
        [
            ("used", basic("uint16")),
            ("capacity", basic("uint16")),
            ("growthLeft", basic("uint16")),
            ("localDepth", basic("uint8")),
            ("index", basic("int", word)),
            ("groups", groups),
        ],
    )


def swiss_header(name: str, directory: GoType, word: int, tombstone_possible: bool = True) -> GoType:
    fields = [
        ("used", basic("uint64")),
        ("seed", basic("uintptr", word)),
        ("dirPtr", directory),
        ("dirLen", basic("int", word)),
        ("globalDepth", basic("uint8")),
        ("globalShift", basic("uint8")),
        ("writing", basic("uint8")),
    ]
    if tombstone_possible:
        fields.append(("tombstonePossible", basic("bool")))
    return struct(name, word, [*fields, ("clearSeq", basic("uint64"))])


def has_pointers(t: GoType) -> bool:
    if t.kind is Kind.ARRAY:
        return t.length > 0 and has_pointers(t.elem)
    if t.kind is Kind.STRUCT:
        return any(has_pointers(f.type) for f in t.fields)
    return t.kind not in (Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT, Kind.COMPLEX)


# -- what both layouts share ----------------------------------------------------------------------------


@dataclass
class _Builder:
    """Writes entries into slots and adds up what the map owns."""

    space: Space
    heap: Heap
    key: GoType
    elem: GoType
    gap: int
    random: random.Random
    owned: int = 0
    made: int = 0
    entries: list[Placed] = field(default_factory=list)

    @property
    def word(self) -> int:
        return self.space.arch.pointer_size

    @property
    def scan(self) -> bool:
        return any(has_pointers(stored(t, self.word)) for t in (self.key, self.elem))

    @property
    def indirect(self) -> int:
        return sum(t.size > MAX_INLINE for t in (self.key, self.elem))

    def junk(self, size: int) -> bytearray:
        return bytearray(self.random.getrandbits(8) for _ in range(size))

    def alloc(self, size: int, scan: bool) -> int:
        """Memory that the map owns: a whole slot of a size class, behind its malloc header if it has one."""
        taken = self.heap.taken(size, scan)
        self.owned += taken
        return self.space.alloc(taken, self.gap) + taken - self.heap.rounded(size, scan)

    def entry(
        self, data: bytearray, address: int, where: tuple[bool, int, int, int], key_at: int, elem_at: int
    ) -> None:
        """Puts a fresh key and elem into a slot of `data`, which will lie at `address`."""
        self.made += 1
        places = []
        for t, at in ((self.key, key_at), (self.elem, elem_at)):
            value = bytes(self.junk(t.size))
            if t.kind in (Kind.INT, Kind.UINT):
                value = self.space.uint((self.made * 37) % (1 << 8 * t.size), t.size)
            if t.size > MAX_INLINE:
                behind = self.alloc(t.size, has_pointers(t))
                self.space.write(behind, value)
                data[at : at + self.word] = self.space.word(behind)
                places.append((behind, value))
            else:
                data[at : at + t.size] = value
                places.append((address + at, value))
        (key_address, key), (elem_address, elem) = places
        self.entries.append(Placed(*where, key_address, elem_address, key, elem))

    def live_bytes(self) -> int:
        return len(self.entries) * (self.key.size + self.elem.size + self.word * self.indirect)

    def indirect_bytes(self) -> int:
        """What the keys and elems behind pointers take."""
        large = [t for t in (self.key, self.elem) if t.size > MAX_INLINE]
        return len(self.entries) * sum(self.heap.taken(t.size, has_pointers(t)) for t in large)


def cells(values: list[int]) -> list[int]:
    """Sums of equal stretches, 64 of them at most."""
    per = -(-len(values) // 64) or 1
    return [sum(values[i : i + per]) for i in range(0, len(values), per)]


def _fills(buckets: list[Marks], live: Any) -> list[int]:
    counts = [sum(live(mark) for mark in marks) for marks in buckets]
    return [counts.count(k) for k in range(9)]


def _bytes(builder: _Builder, overflow: int, old: int, rebuilt: int) -> dict[str, int]:
    live = builder.live_bytes()
    return {
        "allocated": builder.owned,
        "live": live,
        "overflow": overflow,
        "old": old,
        "waste": max(builder.owned - live, 0),
        "rebuilt": rebuilt + builder.indirect_bytes(),
    }


# -- runtime.hmap --------------------------------------------------------------------------------------


def live_tophash(mark: int) -> bool:
    return mark >= MIN_TOPHASH


def build_classic(
    target: ImageTarget,
    plan: ClassicPlan,
    key: GoType,
    elem: GoType,
    headers: bool = True,
    gap: int = 0,
    clear_seq: bool = False,
) -> Built:
    """Lays the map out and says what is true of it. headers: objects with pointers have malloc headers."""
    space: Space = target.memory
    word = space.arch.pointer_size
    t = classic_type(key, elem, word, clear_seq)
    b = _Builder(space, heap(word, headers), key, elem, gap, random.Random(plan.B))
    header = b.alloc(t.header.size, True)
    arrays = _Arrays(b, t)

    buckets = next_free = 0
    if plan.chains:
        assert len(plan.chains) == 1 << plan.B
        buckets = arrays.fill(plan.chains, False)
        next_free = arrays.next_free
    owned_before_old = b.owned - b.indirect_bytes()
    old_address, kept = 0, []
    if plan.old is not None:
        kept = [[o.chain[0]] if o.cut else o.chain for o in plan.old]
        old_address = arrays.fill(kept, True)
    old_bytes = b.owned - b.indirect_bytes() - owned_before_old
    extra = arrays.extra(next_free, plan.B >= 4 and bool(plan.chains))

    flags = plan.flags | (8 if plan.same_size and plan.old is not None else 0)
    space.write(
        header,
        space.record(
            t.header,
            count=len(b.entries),
            flags=flags,
            B=plan.B,
            noverflow=plan.noverflow,
            hash0=plan.hash0,
            buckets=buckets,
            oldbuckets=old_address,
            nevacuate=plan.nevacuate,
            extra=extra,
        ),
    )

    main = [chain[0] for chain in plan.chains]
    every = [marks for chain in [*plan.chains, *kept] for marks in chain]
    marks = [mark for bucket in every for mark in bucket]
    moved = [o.moved for o in plan.old or []]
    growing = plan.old is not None
    chains = [*plan.chains, *(o.chain for o in plan.old or [] if not o.moved)]
    old_overflow = sum(len(chain) - 1 for chain in kept)
    overflow = sum(len(chain) - 1 for chain in plan.chains)
    names = ["iterator", "old-iterator", "writing", "same-size-grow"]
    state = "none" if not growing else "same-size" if plan.same_size else "doubling"
    show: dict[str, Any] = {
        "type": t.name,
        "address": hex(header),
        "nil": False,
        "layout": "classic",
        "group": None,
        "count": len(b.entries),
        "live": len(b.entries),
        "load": len(b.entries) / (8 * len(main)) if main else 0.0,
        "buckets": {
            "count": len(main),
            "address": hex(buckets) if buckets else None,
            "fill": _fills(main, live_tophash),
            "overflow": overflow,
            "old_overflow": old_overflow,
            "longest_chain": max(map(len, chains), default=0),
            "old_count": len(moved),
            "old_address": hex(old_address) if growing else None,
            "old_fill": _fills([o.chain[0] for o in plan.old or [] if not o.moved], live_tophash) if growing else None,
        },
        "slots": {
            "total": len(marks),
            "live": sum(map(live_tophash, marks)),
            "empty": marks.count(EMPTY_REST),
            "tombstones": marks.count(EMPTY_ONE),
            "evacuated": sum(marks.count(mark) for mark in (EVACUATED_X, EVACUATED_Y, EVACUATED_EMPTY)),
        },
        "bytes": _bytes(b, overflow * arrays.size, old_bytes, _classic_rebuilt(b, t, arrays)),
        "flags": [name for bit, name in enumerate(names) if flags >> bit & 1],
        "growth": {
            "state": state,
            "old_buckets": len(moved),
            "evacuated": sum(moved),
            "fraction": sum(moved) / len(moved) if moved else 0.0,
            "nevacuate": plan.nevacuate,
        },
        "classic": {
            "B": plan.B,
            "noverflow": plan.noverflow,
            "hash0": plan.hash0,
            "oldbuckets": hex(old_address) if growing else None,
            "nevacuate": plan.nevacuate,
            "next_overflow": hex(next_free) if next_free else None,
        },
        "swiss": None,
        "iterators": None,
    }
    return Built(
        type=t,
        address=header,
        show=show,
        entries=sorted(b.entries, key=lambda e: (e.old, e.bucket, e.overflow, e.slot)),
        strip=cells([sum(map(live_tophash, m)) for m in main]),
        moved=cells([int(m) for m in moved]),
        runs=_runs(moved),
        places={"buckets": buckets, "oldbuckets": old_address, **arrays.places},
    )


@dataclass
class _Arrays:
    """Arrays of buckets with their preallocated overflow buckets: makeBucketArray, hmap.newoverflow."""

    b: _Builder
    type: GoType
    next_free: int = 0
    overflow: dict[bool, list[int]] = field(default_factory=lambda: {False: [], True: []})
    places: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.type.header.fields[5].type.elem.size

    def buckets_of(self, B: int) -> int:
        count = 1 << B
        if B < 4:
            return count
        return self.b.heap.rounded((count + (1 << (B - 4))) * self.size, self.b.scan) // self.size

    def fill(self, chains: list[list[Marks]], old: bool) -> int:
        b = self.b
        base = len(chains)
        count = self.buckets_of(base.bit_length() - 1)
        address = b.alloc(count * self.size, b.scan)
        free = address + base * self.size if count > base else 0
        last = address + (count - 1) * self.size
        if free:  # the last one is marked with a pointer that is not nil
            b.space.write(last + self.size - b.word, b.space.word(address))
        for index, chain in enumerate(chains):
            places = [address + index * self.size]
            for _ in chain[1:]:
                if free:
                    places.append(free)
                    free = 0 if free == last else free + self.size
                else:
                    places.append(b.alloc(self.size, b.scan))
                self.overflow[old].append(places[-1])
                self.places.setdefault(f"{'old ' if old else ''}overflow of {index}", places[1])
            for depth, (place, marks) in enumerate(zip(places, chain)):
                following = places[depth + 1] if depth + 1 < len(places) else 0
                self._bucket(place, marks, following, (old, index, depth))
        self.next_free = free
        return address

    def _bucket(self, address: int, marks: Marks, following: int, where: tuple[bool, int, int]) -> None:
        b = self.b
        data = b.junk(self.size)
        data[:8] = bytes(marks)
        for slot, mark in enumerate(marks):
            if live_tophash(mark):
                k, v = stored(b.key, b.word).size, stored(b.elem, b.word).size
                b.entry(data, address, (*where, slot), 8 + slot * k, 8 + 8 * k + slot * v)
        data[self.size - b.word :] = b.space.word(following)
        b.space.write(address, bytes(data))

    def extra(self, next_free: int, wanted: bool) -> int:
        """mapextra; where buckets hold no pointers it lists the overflow buckets (hmap.createOverflow)."""
        b = self.b
        lists = {"overflow": self.overflow[False], "oldoverflow": self.overflow[True]}
        if b.scan:
            lists = {name: [] for name in lists}
        if not wanted and not any(lists.values()):
            return 0
        values = {"nextOverflow": next_free}
        for name, pointers in lists.items():
            if pointers:
                capacity = b.heap.rounded(len(pointers) * b.word, True) // b.word  # append's growslice
                listed = b.alloc(capacity * b.word, True)
                b.space.write(listed, b"".join(map(b.space.word, pointers)))
                values[name] = b.alloc(3 * b.word, True)
                head = b.space.word(listed) + b.space.word(len(pointers)) + b.space.word(capacity)
                b.space.write(values[name], head)
        t = self.type.header.field("extra")
        assert t is not None
        address = b.alloc(t.type.elem.size, True)
        b.space.write(address, b.space.record(t.type.elem, **values))
        return address


def _classic_rebuilt(b: _Builder, t: GoType, arrays: _Arrays) -> int:
    """The bytes that makemap takes for so many entries, B 0 being allocated by the first write."""
    B, hint = 0, len(b.entries)
    while hint > 8 and hint > 13 * ((1 << B) // 2):  # overLoadFactor
        B += 1
    taken = b.heap.taken(t.header.size, True)
    if hint:
        taken += b.heap.taken(arrays.buckets_of(B) * arrays.size, b.scan)
    if B >= 4:
        taken += b.heap.taken(3 * b.word, True)
    return taken


def _runs(moved: list[bool]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index, gone in enumerate(moved):
        if gone:
            continue
        if runs and sum(runs[-1]) == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs


# -- internal/runtime/maps.Map ----------------------------------------------------------------------------


def live_ctrl(mark: int) -> bool:
    return mark < 0x80


def build_swiss(
    target: ImageTarget, plan: SwissPlan, key: GoType, elem: GoType, headers: bool = True, gap: int = 0
) -> Built:
    """Lays the map out and says what is true of it."""
    space: Space = target.memory
    word = space.arch.pointer_size
    t = swiss_type(key, elem, word, plan.split, plan.tombstone_possible is not None)
    b = _Builder(space, heap(word, headers), key, elem, gap, random.Random(len(plan.tables)))
    group = group_type(key, elem, word, plan.split)
    header = b.alloc(t.header.size, True)
    directory: int
    groups: list[Marks] = []
    tables: list[dict[str, int]] = []
    order: list[int] = []
    places: dict[str, int] = {}
    if plan.tables:
        directory = b.alloc(len(plan.directory) * word, True)
        places["directory"] = directory
        order = list(dict.fromkeys(plan.directory))
        addresses = {index: b.alloc(t.header.fields[2].type.elem.elem.size, True) for index in reversed(order)}
        for index in order:
            table = _table(b, t, plan, index, addresses[index], group, len(groups))
            tables.append(table)
            places[f"table {index}"] = addresses[index]
            groups += plan.tables[index].groups
        space.write(directory, b"".join(space.word(addresses[index]) for index in plan.directory))
    elif plan.small is not None:
        directory = _groups(b, [plan.small], group, plan.split, 0)
        groups = [plan.small]
    else:
        directory = 0
    depth = max(len(plan.directory), 1).bit_length() - 1
    values = {
        "used": len(b.entries),
        "seed": plan.seed,
        "dirPtr": directory,
        "dirLen": len(plan.directory),
        "globalDepth": depth,
        "globalShift": 8 * word - depth if plan.directory else 0,
        "writing": plan.writing,
        "clearSeq": plan.clear_seq,
    }
    if plan.tombstone_possible is not None:
        values["tombstonePossible"] = int(plan.tombstone_possible)
    space.write(header, space.record(t.header, **values))

    marks = [mark for g in groups for mark in g]
    show: dict[str, Any] = {
        "type": t.name,
        "address": hex(header),
        "nil": False,
        "layout": "swiss",
        "group": "split" if plan.split else "interleaved",
        "count": len(b.entries),
        "live": len(b.entries),
        "load": len(b.entries) / len(marks) if marks else 0.0,
        "buckets": {
            "count": len(groups),
            "address": hex(directory) if directory else None,
            "fill": _fills(groups, live_ctrl),
            "overflow": 0,
            "old_overflow": 0,
            "longest_chain": 0,
            "old_count": 0,
            "old_address": None,
            "old_fill": None,
        },
        "slots": {
            "total": len(marks),
            "live": sum(map(live_ctrl, marks)),
            "empty": marks.count(CTRL_EMPTY),
            "tombstones": marks.count(CTRL_DELETED),
            "evacuated": 0,
        },
        "bytes": _bytes(b, 0, 0, _swiss_rebuilt(b, t, group)),
        "flags": ["writing"] if plan.writing else [],
        "growth": {"state": "none", "old_buckets": 0, "evacuated": 0, "fraction": 0.0, "nevacuate": 0},
        "classic": None,
        "swiss": {
            "used": len(b.entries),
            "seed": plan.seed,
            "dir_len": len(plan.directory),
            "global_depth": depth,
            "tables": len(order),
            "small": not plan.tables,
            "writing": bool(plan.writing),
            "tombstone_possible": plan.tombstone_possible,
            "clear_seq": plan.clear_seq,
        },
        "iterators": None,
    }
    strip = cells([sum(map(live_ctrl, g)) for g in groups])
    return Built(t, header, show, b.entries, strip, tables=tables, places=places)


def _table(
    b: _Builder, t: GoType, plan: SwissPlan, index: int, address: int, group: GoType, first: int
) -> dict[str, int]:
    table = plan.tables[index]
    groups = _groups(b, table.groups, group, plan.split, first)
    marks = [mark for g in table.groups for mark in g]
    used, tombstones = sum(map(live_ctrl, marks)), marks.count(CTRL_DELETED)
    capacity = len(marks)
    most = capacity - 1 if capacity <= 8 else capacity * 7 // 8  # table.maxGrowthLeft
    facts = {
        "index": plan.directory.index(index),
        "local_depth": table.local_depth,
        "directory_entries": plan.directory.count(index),
        "capacity": capacity,
        "used": used,
        "growth_left": max(most - used - tombstones, 0),
        "tombstones": tombstones,
        "groups": len(table.groups),
    }
    record = t.header.fields[2].type.elem.elem
    raw = bytearray(
        b.space.record(
            record,
            used=used,
            capacity=capacity,
            growthLeft=facts["growth_left"],
            localDepth=table.local_depth,
            index=facts["index"],
        )
    )
    reference = record.field("groups")
    assert reference is not None
    fields = {"data": groups, "lengthMask": len(table.groups) - 1}
    raw[reference.offset : reference.offset + reference.type.size] = b.space.record(reference.type, **fields)
    b.space.write(address, bytes(raw))
    return facts


def _groups(b: _Builder, groups: list[Marks], t: GoType, split: bool, first: int) -> int:
    start = b.alloc(len(groups) * t.size, b.scan)
    k, v = stored(b.key, b.word).size, stored(b.elem, b.word).size
    for index, marks in enumerate(groups):
        address = start + index * t.size
        data = b.junk(t.size)
        # The control word is one integer, slot i's byte its i-th least significant (group.go, ctrlGroup).
        data[:8] = b.space.uint(sum(mark << 8 * slot for slot, mark in enumerate(marks)), 8)
        for slot, mark in enumerate(marks):
            if live_ctrl(mark):
                if split:
                    key_at, elem_at = 8 + slot * k, t.fields[2].offset + slot * v
                else:
                    a_slot = t.fields[1].type.elem
                    key_at = 8 + slot * a_slot.size
                    elem_at = key_at + a_slot.fields[1].offset
                b.entry(data, address, (False, first + index, 0, slot), key_at, elem_at)
        b.space.write(address, bytes(data))
    return start


def _swiss_rebuilt(b: _Builder, t: GoType, group: GoType) -> int:
    """The bytes that NewMap takes for so many entries; the first write allocates a small map's group."""
    hint = len(b.entries)
    taken = b.heap.taken(t.header.size, True)
    if not hint:
        return taken
    if hint <= 8:
        return taken + b.heap.taken(group.size, b.scan)
    wanted = hint * 8 // 7
    tables = 1
    while tables < -(-wanted // 1024):
        tables *= 2
    capacity = 8
    while capacity < wanted // tables:
        capacity *= 2
    table = t.header.fields[2].type.elem.elem
    each = b.heap.taken(table.size, True) + b.heap.taken(capacity // 8 * group.size, b.scan)
    return taken + b.heap.taken(tables * b.word, True) + tables * each


def nil_show(t: GoType, layout: str, group: str | None) -> dict[str, Any]:
    """`data` of hmap-show for a nil map, without expr: all zeros and nulls."""
    slots = {"total": 0, "live": 0, "empty": 0, "tombstones": 0, "evacuated": 0}
    buckets = {
        "count": 0,
        "address": None,
        "fill": [0] * 9,
        "overflow": 0,
        "old_overflow": 0,
        "longest_chain": 0,
        "old_count": 0,
        "old_address": None,
        "old_fill": None,
    }
    return {
        "type": t.name,
        "address": None,
        "nil": True,
        "layout": layout,
        "group": group,
        "count": 0,
        "live": 0,
        "load": 0.0,
        "buckets": buckets,
        "slots": slots,
        "bytes": {"allocated": 0, "live": 0, "overflow": 0, "old": 0, "waste": 0, "rebuilt": 0},
        "flags": [],
        "growth": {"state": "none", "old_buckets": 0, "evacuated": 0, "fraction": 0.0, "nevacuate": 0},
        "classic": None,
        "swiss": None,
        "iterators": None,
    }


def types_for(arch: Arch) -> dict[str, tuple[GoType, ...]]:
    """Keys and elems that between them meet every rule of the layouts."""
    word = arch.pointer_size
    big = struct("main.Big", word, [("A", array_of(17, basic("int64"))), ("B", basic("uint8"))])
    large = struct("main.Large", word, [("P", pointer(basic("int", word), word)), ("Q", array_of(70, basic("uint16")))])
    pair = struct("main.Pair", word, [("A", basic("uint8")), ("B", basic("uint64")), ("C", basic("uint8"))])
    kinds = ("string", "float64", "bool", "float32", "int16", "complex64")
    row = struct("main.Row", word, [(f"F{i}", basic(kind, word)) for i, kind in enumerate(kinds)])
    edge = array_of(128, basic("uint8"))  # the largest that is stored in the slot
    over = array_of(129, basic("uint8"))
    nothing = struct("struct {}", word, [])
    no_ints = array_of(0, basic("int", word))
    keys = (
        basic("int", word),
        basic("uint8"),
        basic("int64"),
        basic("string", word),
        pair,
        edge,
        over,
        pointer(over, word),
        big,
        nothing,
    )
    elems = (
        basic("int", word), basic("bool"), nothing, no_ints, basic("string", word), pair, big, large, over,
        pointer(pair, word), pointer(big, word), basic("uint16"), basic("complex128"), row,
    )  # fmt: skip
    return {"keys": keys, "elems": elems}
