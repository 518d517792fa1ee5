"""Looking a key up as the runtime does, with the path it takes.

Classic maps: runtime.mapaccessK. Swiss maps: Map.getWithKey, getWithKeySmall and table.getWithKey of
internal/runtime/maps. Reads one bucket or group at a time: the size of the map does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from gomap.errors import BadExpression, GomapError, MemoryFault
from gomap.golang.classic import EVACUATED, MAX_BYTES, ClassicMap
from gomap.golang.hashing import Hasher, Plan, typehash_plan
from gomap.golang.marks import SLOTS
from gomap.golang.slots import member
from gomap.golang.structure import Anomaly, counted
from gomap.golang.swiss import CTRL_EMPTY, MAX_TABLE_CAPACITY, SwissMap
from gomap.memory import CHUNK
from gomap.target import Arch

MIN_TOPHASH = 5
#: Slots that decide which of several hash functions a map has, and the buckets or directory entries in which they
#: are looked for: first, and when none were there.
SAMPLE, FEW, MANY = 64, 256, 1 << 20
MAX_FAULTS = 8


@dataclass(frozen=True)
class Step:
    """One thing the lookup did in a bucket (group).

    table: first directory entry of the group's table. overflow: how far down the chain (how many groups probed
    before). slot: the one whose mark matched, None when none did. reason: `found`, `other-key`, `unreadable`
    (its key), `moved` (the old bucket), `goes-on`, `ends`. key: the key there.
    """

    bucket: int
    slot: int | None
    old: bool
    reason: str
    address: int
    overflow: int = 0
    table: int | None = None
    key: bytes | None = None


@dataclass
class Lookup:
    """hash: None when it is not known. mark: the tophash or H2 that was looked for. walked: all entries were
    looked at instead of following the hash, `unreadable` of which can't be read. broken: what kept the lookup
    from its end. nan: the key contains a NaN, which equals nothing."""

    found: bool = False
    key_address: int | None = None
    hash: int | None = None
    mark: int | None = None
    elem_address: int | None = None
    elem: bytes | None = None
    broken: Anomaly | None = None
    walked: bool = False
    unreadable: int = 0
    nan: bool = False
    path: list[Step] = field(default_factory=list)


def tophash(hash_: int, arch: Arch) -> int:
    """runtime.tophash: the top byte, kept clear of the marks with a meaning."""
    top = hash_ >> 8 * arch.pointer_size - 8
    return top + MIN_TOPHASH if top < MIN_TOPHASH else top


def h1(hash_: int) -> int:
    return hash_ >> 7


def h2(hash_: int) -> int:
    return hash_ & 0x7F


def probe(hash_: int, mask: int) -> Iterator[int]:
    """Groups in the order in which a table is searched, each once: probeSeq."""
    offset = h1(hash_) & mask
    for index in range(1, mask + 2):
        yield offset
        offset = (offset + index) & mask


class _Corrupt(Exception):
    """The program's own lookup goes astray."""


class _Endless(_Corrupt):
    """The program's own lookup never ends."""


def lookup(
    found: ClassicMap | SwissMap, hasher: Hasher, plans: Sequence[Plan], key: bytes, bounded: bool = False
) -> Lookup:
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


def _lookup(found: ClassicMap | SwissMap, hasher: Hasher, plan: Plan, key: bytes, bounded: bool) -> Lookup:
    result = Lookup()
    hasher.begin(bounded)
    seed = found.header["hash0"] if isinstance(found, ClassicMap) else found.header["seed"]
    result.hash = hasher.hash(plan, key, seed)
    if result.hash is None:
        result.nan = True
        return result
    equality = typehash_plan(found.shape.key) or plan
    try:
        if isinstance(found, ClassicMap):
            _classic(found, hasher, equality, key, result.hash, result)
        else:
            _swiss(found, hasher, equality, key, result.hash, result)
    except MemoryFault as fault:
        result.broken = Anomaly(
            "error", "unreadable", f"the lookup goes no further: {fault}", fault.address or found.address
        )
    except _Endless as problem:
        result.broken = Anomaly("error", "endless-search", str(problem), found.address)
    except _Corrupt as problem:
        result.broken = Anomaly("error", "corrupt", str(problem), found.address)
    return result


def _walk(found: ClassicMap | SwissMap, hasher: Hasher, key: bytes) -> Lookup:
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
            step = Step(entry.bucket, entry.slot, entry.old, "found", entry.key_address, entry.overflow)
            result.path.append(step)
            result.found, result.elem_address, result.elem = True, entry.elem_address, entry.elem
            result.key_address = entry.key_address
            break
    return result


def _classic(found: ClassicMap, hasher: Hasher, equality: Plan, key: bytes, hash_: int, result: Lookup) -> None:
    target, shape, header = found.target, found.shape, found.header
    size = shape.slots.size
    result.mark = tophash(hash_, target.arch)
    if not found.count or not header["buckets"]:
        return
    bucket, old = hash_ & (1 << found.B) - 1, False
    address = header["buckets"] + bucket * size
    if header["oldbuckets"]:
        before = hash_ & found.old_count - 1
        at = header["oldbuckets"] + before * size
        if target.memory.read(at, 1)[0] not in EVACUATED:
            bucket, old, address = before, True, at
        else:
            result.path.append(Step(before, None, True, "moved", at))
    passed: set[int] = set()
    while address not in passed:
        depth = len(passed)
        passed.add(address)
        data = target.memory.read(address, size)
        place = _Place(bucket, old, address, depth, None)
        if _search(found, hasher, equality, key, data, place, result):
            return
        if 0 in data[:SLOTS]:
            result.path.append(Step(bucket, data.index(0), old, "ends", address, depth))
            return
        address = target.arch.pointer(data, shape.overflow_off)
        result.path.append(Step(bucket, None, old, "goes-on" if address else "ends", place.address, depth))
        if not address:
            return
    raise _Endless(f"the overflow chain leads back to {address:#x}: the program's search for this key never ends")


def _swiss(found: SwissMap, hasher: Hasher, equality: Plan, key: bytes, hash_: int, result: Lookup) -> None:
    target, header, size = found.target, found.header, found.shape.slots.size
    result.mark = h2(hash_)
    if not found.count or not header["dirPtr"]:
        return
    if found.small:
        place = _Place(0, False, header["dirPtr"], 0, None)
        data = target.memory.read(place.address, size)
        if not _search(found, hasher, equality, key, data, place, result):
            result.path.append(Step(0, None, False, "ends", place.address))
        return
    index = 0 if header["dirLen"] == 1 else hash_ >> (header["globalShift"] & 63)
    if index >= header["dirLen"]:
        raise _Corrupt(f"the hash names directory entry {index}, of {header['dirLen']}")
    table, base, groups, first = _table(found, index)
    for depth, group in enumerate(probe(hash_, groups - 1)):
        place = _Place(group, False, base + group * size, depth, first)
        data = target.memory.read(place.address, size)
        if _search(found, hasher, equality, key, data, place, result):
            return
        ended = CTRL_EMPTY in data[:SLOTS]
        result.path.append(Step(group, None, False, "ends" if ended else "goes-on", place.address, depth, first))
        if ended:
            return
    what = f"none of its {groups:,} groups has an empty slot: the program's search for this key never ends"
    raise _Endless(f"table {table:#x}: {what}")


def _table(found: SwissMap, index: int) -> tuple[int, int, int, int]:
    """The table that the directory names at `index`: (its address, that of its groups, how many there are, the
    first directory entry that names it)."""
    memory, arch, word = found.target.memory, found.target.arch, found.target.arch.pointer_size
    groups_off, groups = member(found.shape.table, "groups")
    data_off, _ = member(groups, "data")
    mask_off, mask_type = member(groups, "lengthMask")
    depth_off, _ = member(found.shape.table, "localDepth")
    table = arch.pointer(memory.read(found.header["dirPtr"] + index * word, word))
    if not table:
        raise _Corrupt(f"directory entry {index} names no table")
    record = memory.read(table, found.shape.table.size)
    mask = arch.uint(record, groups_off + mask_off, mask_type.size)
    if (mask + 1) * SLOTS > MAX_TABLE_CAPACITY or mask & (mask + 1):
        raise _Corrupt(f"table {table:#x} has a lengthMask of {mask:#x}, which no table can have")
    entries = 1 << max(found.header["globalDepth"] - record[depth_off], 0)
    return table, arch.pointer(record, groups_off + data_off), mask + 1, index - index % entries


@dataclass(frozen=True)
class _Place:
    bucket: int
    old: bool
    address: int
    overflow: int
    table: int | None


def _search(
    found: ClassicMap | SwissMap,
    hasher: Hasher,
    equality: Plan,
    key: bytes,
    data: bytes,
    place: _Place,
    result: Lookup,
) -> bool:
    """Compares the keys of one bucket (group) whose mark matches; what it saw goes into result.path."""
    slots, memory, arch = found.shape.slots, found.target.memory, found.target.arch
    classic = isinstance(found, ClassicMap)
    for slot in range(SLOTS):
        mark = data[slots.mark_offset(slot)]
        if classic and mark == 0:
            return False
        if mark != result.mark:
            continue
        at = slots.keys_off + slot * slots.key_stride
        held = data[at : at + slots.key_stride]
        key_address = arch.pointer(held) if slots.indirect_key else place.address + at

        def step(reason: str, held: bytes | None, slot: int = slot) -> Step:
            address, depth, table = place.address, place.overflow, place.table
            return Step(place.bucket, slot, place.old, reason, address, depth, table, held)

        try:
            if slots.indirect_key:
                held = memory.read(key_address, slots.key.size)
            held = held[: slots.key.size]
            same = hasher.equal(equality, key, held)
        except GomapError as problem:
            result.path.append(step("unreadable", None))
            if isinstance(problem, MemoryFault):
                raise
            raise _Corrupt(str(problem)) from problem
        result.path.append(step("found" if same else "other-key", held))
        if same:
            at = slots.elems_off + slot * slots.elem_stride
            result.found, result.key_address, result.elem_address = True, key_address, place.address + at
            if slots.indirect_elem:
                result.elem_address = arch.pointer(data, at)
                result.elem = memory.read(result.elem_address, slots.elem.size)
            else:
                result.elem = data[at : at + slots.elem.size]
            return True
    return False


# -- which function ----------------------------------------------------------------------------------


def candidates(found: ClassicMap | SwissMap, hasher: Hasher) -> list[Plan]:
    """The hash functions that this map may have: of those of its key type, the ones that fit best what some of
    its keys are marked with. Mostly one; none where it is not known. Reads little, whatever the map's size."""
    plans = hasher.plans(found.shape.key)
    return plans if len(plans) < 2 else _best(found, hasher, plans, FEW)


def choose(found: ClassicMap | SwissMap, hasher: Hasher) -> Plan | None:
    """The hash function of this map. Looks for keys in all of the map where it must."""
    plans = candidates(found, hasher)
    if len(plans) > 1:
        plans = _best(found, hasher, plans, MANY)
    return plans[0] if plans else None


def _best(found: ClassicMap | SwissMap, hasher: Hasher, plans: Sequence[Plan], most: int) -> list[Plan]:
    """Those of the plans that fit best, by keys from the first `most` buckets or tables."""
    hasher.begin(bounded=True)  # a string of a corrupt key may be of any length
    seed = found.header["hash0"] if isinstance(found, ClassicMap) else found.header["seed"]
    sample = list(islice(_keys(found, most), SAMPLE))
    right = [sum(_fits(found, hasher, plan, seed, mark, key) for mark, key in sample) for plan in plans]
    return [plan for plan, fits in zip(plans, right) if fits == max(right)]


def _fits(found: ClassicMap | SwissMap, hasher: Hasher, plan: Plan, seed: int, mark: int, key: bytes) -> bool:
    try:
        hash_ = hasher.hash(plan, key, seed)
    except GomapError:
        return False
    if hash_ is None:
        return False
    wanted = tophash(hash_, found.target.arch) if isinstance(found, ClassicMap) else h2(hash_)
    return mark == wanted


def _keys(found: ClassicMap | SwissMap, most: int) -> Iterator[tuple[int, bytes]]:
    """Marks and keys of live slots, from the first `most` buckets of the arrays."""
    slots, memory, arch = found.shape.slots, found.target.memory, found.target.arch
    dead = bytes(range(MIN_TOPHASH)) if isinstance(found, ClassicMap) else bytes(range(CTRL_EMPTY, 256))
    step = max(CHUNK // slots.size, 1)
    for base, count in _arrays(found, most):
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


def _arrays(found: ClassicMap | SwissMap, most: int) -> Iterator[tuple[int, int]]:
    """(address, length) of arrays of buckets (groups), those of the first `most` directory entries."""
    header = found.header
    if isinstance(found, ClassicMap):
        for address, count in ((header["oldbuckets"], found.old_count), (header["buckets"], 1 << min(found.B, 40))):
            if address and count * found.shape.slots.size <= MAX_BYTES:
                yield address, count
    elif header["dirPtr"] and found.small:
        yield header["dirPtr"], 1
    elif header["dirPtr"]:
        last, faults = None, 0
        for index in range(min(header["dirLen"], most)):
            try:
                table, base, groups, _ = _table(found, index)
            except (MemoryFault, _Corrupt):
                faults += 1
                if faults == MAX_FAULTS:
                    return
                continue
            if table != last:
                yield base, groups
            last = table
