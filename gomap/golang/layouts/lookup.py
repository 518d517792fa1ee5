"""Looking a key up as the runtime does, with the path it takes.

Reads one bucket or group at a time: the size of the map does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from gomap.anomaly import Anomaly
from gomap.columns.marks import SLOTS
from gomap.errors import BadExpression, GomapError, MemoryFault
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan, typehash_plan
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.search import Corrupt, Endless, KeySearch, Lookup, SearchStep
from gomap.golang.layouts.structure import counted
from gomap.memory import CHUNK

#: Slots that decide which of several hash functions a map has, and the buckets or directory entries in which they
#: are looked for: first, and when none were there.
SAMPLE, FEW, MANY = 64, 256, 1 << 20


def lookup(found: MapView, hasher: Hasher, plans: Sequence[Plan], key: bytes, bounded: bool = False) -> Lookup:
    """Looks `key` up in the map. plans: its hash function, or what it may be (candidates); none, and all
    entries are looked at. bounded: keys with long strings are not worth their time (TooLong).

    Raises GomapError when the key itself can't be hashed or compared.
    """
    if not plans:
        return _walk(found, hasher, key)
    results = []
    for plan in plans:
        results.append(_lookup(found, hasher, plan, key, bounded))
        if results[-1].found:
            return results[-1]
    # Where the first keys did not tell which function the map has, all of them do: the path must be its own.
    fitting = _best(found, hasher, plans, MANY) if len(plans) > 1 else plans
    return results[plans.index(fitting[0])]


def _lookup(found: MapView, hasher: Hasher, plan: Plan, key: bytes, bounded: bool) -> Lookup:
    result = Lookup()
    hasher.begin(bounded)
    result.hash = hasher.hash(plan, key, found.seed)
    if result.hash is None:
        result.nan = True
        return result
    result.mark = found.mark(result.hash)
    equality = typehash_plan(found.shape.key) or plan
    try:
        slots, rest = found.shape.slots, found.terms.rest
        found.follow(KeySearch(found.target, slots, hasher, equality, key, result, rest), result.hash)
    except MemoryFault as fault:
        result.broken = Anomaly("error", "unreadable", f"the lookup stops: {fault}", fault.address or found.address)
    except Endless as problem:
        result.broken = Anomaly("error", "endless-search", str(problem), found.address)
    except Corrupt as problem:
        result.broken = Anomaly("error", "corrupt", str(problem), found.address)
    return result


def _walk(found: MapView, hasher: Hasher, key: bytes) -> Lookup:
    """Looks at every entry: for maps whose hash function is not known."""
    result = Lookup(walked=True)
    equality = typehash_plan(found.shape.key)
    if equality is None:
        raise BadExpression(f"keys of type {found.shape.key.name} can't be compared")
    result.nan = not hasher.equal(equality, key, key)
    for entry in counted(found.count, found.entries()):
        try:
            same = entry.key is not None and hasher.equal(equality, key, entry.key)
        except GomapError:
            same = False
            result.unreadable += 1
        result.unreadable += entry.key is None
        if same:
            step = SearchStep(entry.bucket, entry.slot, entry.old, "found", entry.key_address, entry.overflow)
            result.path.append(step)
            result.found, result.elem_address, result.elem = True, entry.elem_address, entry.elem
            result.key_address = entry.key_address
            break
    return result


# -- which function ----------------------------------------------------------------------------------


def candidates(found: MapView, hasher: Hasher) -> list[Plan]:
    """The hash functions that this map may have: of those of its key type, the ones that fit best what some of
    its keys are marked with. Mostly one; none where it is not known. Reads little, whatever the map's size."""
    plans = hasher.plans(found.shape.key)
    return plans if len(plans) < 2 else _best(found, hasher, plans, FEW)


def choose(found: MapView, hasher: Hasher) -> Plan | None:
    """The hash function of this map. Looks for keys in all of the map where it must."""
    plans = candidates(found, hasher)
    if len(plans) > 1:
        plans = _best(found, hasher, plans, MANY)
    return plans[0] if plans else None


def _best(found: MapView, hasher: Hasher, plans: Sequence[Plan], most: int) -> list[Plan]:
    """Those of the plans that fit best, by keys from the first `most` buckets or tables."""
    hasher.begin(bounded=True)  # a string of a corrupt key may be of any length
    sample = list(islice(_keys(found, most), SAMPLE))
    right = [sum(bool(_fits(found, hasher, plan, mark, key)) for mark, key in sample) for plan in plans]
    return [plan for plan, fits in zip(plans, right) if fits == max(right)]


def agreement(found: MapView, hasher: Hasher) -> tuple[int, int] | None:
    """(how many of some keys the hash function that fits best agrees with, of how many): whether the map can be of this
    type. Keys that have no hash of their own, NaNs, are not among them. None: the hash function is not known."""
    plans = hasher.plans(found.shape.key)
    if not plans:
        return None
    hasher.begin(bounded=True)
    sample = sample_of(found, SAMPLE)
    best = (0, len(sample))
    for plan in plans:
        fits = [_fits(found, hasher, plan, mark, key) for mark, key in sample]
        known = [one for one in fits if one is not None]
        best = max(best, (sum(known), len(known)), key=lambda pair: (pair[0] - pair[1], pair[0]))
    return best


def sample_of(found: MapView, most: int) -> list[tuple[int, bytes]]:
    """Marks and keys of so many live slots at most."""
    return list(islice(_keys(found, FEW), most)) or list(islice(_keys(found, MANY), most))


def all_fit(found: MapView, hasher: Hasher, sample: Sequence[tuple[int, bytes]]) -> bool:
    """Whether one of the hash functions of the map's type gives all these keys their marks. Ends at the first that it
    does not."""
    hasher.begin(bounded=True)
    return any(
        all(_fits(found, hasher, plan, mark, key) for mark, key in sample) for plan in hasher.plans(found.shape.key)
    )


def _fits(found: MapView, hasher: Hasher, plan: Plan, mark: int, key: bytes) -> bool | None:
    """Whether the mark is the key's; None of a key whose hash is a new one every time."""
    try:
        hash_ = hasher.hash(plan, key, found.seed)
    except GomapError:
        return False
    return None if hash_ is None else mark == found.mark(hash_)


def _keys(found: MapView, most: int) -> Iterator[tuple[int, bytes]]:
    """Marks and keys of live slots, from the first `most` buckets of the arrays."""
    slots, memory, arch = found.shape.slots, found.target.memory, found.target.arch
    dead = found.marks.dead
    step = max(CHUNK // slots.size, 1)
    for base, count in found.arrays_of(most):
        for first in range(0, min(count, most), step):
            here = min(count, most, first + step) - first
            try:
                data = memory.read(base + first * slots.size, here * slots.size)
            except MemoryFault:
                break
            for start in range(0, len(data), slots.size):
                if not data[start : start + SLOTS].translate(None, dead):
                    continue
                for slot in range(SLOTS):
                    mark = data[start + slots.mark_offset(slot)]
                    if mark in dead:
                        continue
                    at = start + slots.keys_off + slot * slots.key_stride
                    key = data[at : at + slots.key_stride]
                    try:
                        yield mark, memory.read(arch.pointer(key), slots.key.size) if slots.indirect_key else key
                    except MemoryFault:
                        continue
