"""runtime.hmap laid out in synthetic memory from a plan (synthetic.py), by the rules of runtime/map.go (Go 1.23)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from gomap.gotypes import GoType
from gomap.recorded import ImageTarget
from tests.support.space import Space, heap
from tests.support.synthetic import (
    EMPTY_ONE,
    EMPTY_REST,
    EVACUATED_EMPTY,
    EVACUATED_X,
    EVACUATED_Y,
    MIN_TOPHASH,
    Built,
    ClassicPlan,
    MapBuilder,
    Marks,
    cells,
    classic_type,
    fills,
    own_bytes,
    stored,
)


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
    b = MapBuilder(space, heap(word, headers), key, elem, gap, random.Random(plan.B))
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
            "fill": fills(main, live_tophash),
            "overflow": overflow,
            "old_overflow": old_overflow,
            "longest_chain": max(map(len, chains), default=0),
            "old_count": len(moved),
            "old_address": hex(old_address) if growing else None,
            "old_fill": fills([o.chain[0] for o in plan.old or [] if not o.moved], live_tophash) if growing else None,
        },
        "slots": {
            "total": len(marks),
            "live": sum(map(live_tophash, marks)),
            "empty": marks.count(EMPTY_REST),
            "tombstones": marks.count(EMPTY_ONE),
            "evacuated": sum(marks.count(mark) for mark in (EVACUATED_X, EVACUATED_Y, EVACUATED_EMPTY)),
        },
        "bytes": own_bytes(b, overflow * arrays.size, old_bytes, _rebuilt(b, t, arrays)),
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

    b: MapBuilder
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


def _rebuilt(b: MapBuilder, t: GoType, arrays: _Arrays) -> int:
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
