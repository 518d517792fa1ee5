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
from gomap.target import Arch
from tests.support.space import Heap, Space, array_of, basic, pointer, slice_of, struct

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
class MapBuilder:
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


def fills(buckets: list[Marks], live: Any) -> list[int]:
    counts = [sum(live(mark) for mark in marks) for marks in buckets]
    return [counts.count(k) for k in range(9)]


def own_bytes(builder: MapBuilder, overflow: int, old: int, rebuilt: int) -> dict[str, int]:
    live = builder.live_bytes()
    return {
        "allocated": builder.owned,
        "live": live,
        "overflow": overflow,
        "old": old,
        "waste": max(builder.owned - live, 0),
        "rebuilt": rebuilt + builder.indirect_bytes(),
    }


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
