"""Looking a key up as the runtime does, with the path it takes.

Classic maps: runtime.mapaccessK. Swiss maps: Map.getWithKey, getWithKeySmall and table.getWithKey of
internal/runtime/maps. Reads one bucket or group at a time: the size of the map does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from gomap.errors import BadExpression, GomapError, MemoryFault
from gomap.golang.classic import EVACUATED, MAX_CHAIN, ClassicMap
from gomap.golang.hashing import Hasher, Plan, typehash_plan
from gomap.golang.marks import SLOTS
from gomap.golang.slots import member
from gomap.golang.structure import counted
from gomap.golang.swiss import CTRL_EMPTY, MAX_TABLE_CAPACITY, SwissMap
from gomap.target import Arch

MIN_TOPHASH = 5
#: Slots that decide which of several hash functions a map has.
SAMPLE = 64


@dataclass(frozen=True)
class Step:
    """One thing the lookup did in a bucket (group).

    table: directory index of the group's table. overflow: how far down the chain (how many groups probed
    before). slot: the one whose mark matched, None when none did. reason: `found`, `other-key`, `goes-on`,
    `ends`; key: the other key.
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
    looked at instead of following the hash. nan: the key contains a NaN, which equals nothing."""

    found: bool = False
    hash: int | None = None
    mark: int | None = None
    elem_address: int | None = None
    elem: bytes | None = None
    walked: bool = False
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


def lookup(found: ClassicMap | SwissMap, hasher: Hasher, plan: Plan | None, key: bytes) -> Lookup:
    """Looks `key` up in the map. plan: its hash function (choose); None, and all entries are looked at.

    Raises MemoryFault, GomapError.
    """
    if plan is None:
        return _walk(found, hasher, key)
    hasher.begin()
    seed = found.header["hash0"] if isinstance(found, ClassicMap) else found.header["seed"]
    hash_ = hasher.hash(plan, key, seed)
    if hash_ is None:
        return Lookup(nan=True)
    equality = typehash_plan(found.shape.key) or plan
    if isinstance(found, ClassicMap):
        return _classic(found, hasher, equality, key, hash_)
    return _swiss(found, hasher, equality, key, hash_)


def _walk(found: ClassicMap | SwissMap, hasher: Hasher, key: bytes) -> Lookup:
    """Looks at every entry: for maps whose hash function is not known."""
    equality = typehash_plan(found.shape.key)
    if equality is None:
        raise BadExpression(f"keys of type {found.shape.key.name} can't be compared")
    for entry in counted(found.count, found.entries()):
        if entry.key is not None and hasher.equal(equality, key, entry.key):
            step = Step(entry.bucket, entry.slot, entry.old, "found", entry.key_address, entry.overflow)
            return Lookup(True, elem_address=entry.elem_address, elem=entry.elem, walked=True, path=[step])
    return Lookup(walked=True)


def _classic(found: ClassicMap, hasher: Hasher, equality: Plan, key: bytes, hash_: int) -> Lookup:
    target, shape, header = found.target, found.shape, found.header
    size = shape.slots.size
    result = Lookup(hash=hash_, mark=tophash(hash_, target.arch))
    if not found.count or not header["buckets"]:
        return result
    bucket, old = hash_ & (1 << found.B) - 1, False
    address = header["buckets"] + bucket * size
    if header["oldbuckets"]:
        before = hash_ & found.old_count - 1
        at = header["oldbuckets"] + before * size
        if target.memory.read(at, 1)[0] not in EVACUATED:
            bucket, old, address = before, True, at
        else:
            result.path.append(Step(before, None, True, "moved", at))
    visited: set[int] = set()
    for depth in range(MAX_CHAIN):
        if address in visited:
            raise GomapError("the overflow chain leads back into itself: the map is corrupt")
        visited.add(address)
        data = target.memory.read(address, size)
        place = _Place(bucket, old, address, depth, None)
        if _search(found, hasher, equality, key, data, place, result):
            return result
        if 0 in data[:SLOTS]:
            end = data.index(0)
            result.path.append(Step(bucket, end, old, "ends", address, depth))
            return result
        address = target.arch.pointer(data, shape.overflow_off)
        result.path.append(Step(bucket, None, old, "goes-on" if address else "ends", place.address, depth))
        if not address:
            return result
    raise GomapError("the overflow chain has no end: the map is corrupt")


def _swiss(found: SwissMap, hasher: Hasher, equality: Plan, key: bytes, hash_: int) -> Lookup:
    target, header = found.target, found.header
    size, arch = found.shape.slots.size, found.target.arch
    result = Lookup(hash=hash_, mark=h2(hash_))
    if not found.count or not header["dirPtr"]:
        return result
    if found.small:
        place = _Place(0, False, header["dirPtr"], 0, None)
        data = target.memory.read(place.address, size)
        if not _search(found, hasher, equality, key, data, place, result):
            result.path.append(Step(0, None, False, "ends", place.address))
        return result
    index = 0 if header["dirLen"] == 1 else hash_ >> (header["globalShift"] & 63)
    if index >= header["dirLen"]:
        raise GomapError(f"the hash names directory entry {index}, of {header['dirLen']}: the map is corrupt")
    word = arch.pointer_size
    table = arch.pointer(target.memory.read(header["dirPtr"] + index * word, word))
    groups_off, groups = member(found.shape.table, "groups")
    data_off, _ = member(groups, "data")
    mask_off, mask_type = member(groups, "lengthMask")
    record = target.memory.read(table, found.shape.table.size)
    base, mask = (
        arch.pointer(record, groups_off + data_off),
        arch.uint(record, groups_off + mask_off, mask_type.size),
    )
    if (mask + 1) * SLOTS > MAX_TABLE_CAPACITY:
        raise GomapError(f"table {table:#x} has a lengthMask of {mask:#x}, which no table can have: the map is corrupt")
    for depth, group in enumerate(probe(hash_, mask)):
        place = _Place(group, False, base + group * size, depth, index)
        data = target.memory.read(place.address, size)
        if _search(found, hasher, equality, key, data, place, result):
            return result
        ended = CTRL_EMPTY in data[:SLOTS]
        result.path.append(Step(group, None, False, "ends" if ended else "goes-on", place.address, depth, index))
        if ended:
            return result
    raise GomapError("no group of the table has an empty slot: the search would never end")


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
        if slots.indirect_key:
            held = hasher.target.memory.read(arch.pointer(held), slots.key.size)
        held = held[: slots.key.size]
        same = hasher.equal(equality, key, held)
        result.path.append(
            Step(
                place.bucket,
                slot,
                place.old,
                "found" if same else "other-key",
                place.address,
                place.overflow,
                place.table,
                held,
            )
        )
        if same:
            at = slots.elems_off + slot * slots.elem_stride
            result.found, result.elem_address = True, place.address + at
            if slots.indirect_elem:
                result.elem_address = arch.pointer(data, at)
                result.elem = memory.read(result.elem_address, slots.elem.size)
            else:
                result.elem = data[at : at + slots.elem.size]
            return True
    return False


# -- which function ----------------------------------------------------------------------------------


def choose(found: ClassicMap | SwissMap, hasher: Hasher) -> Plan | None:
    """The hash function of this map: of several that its key type may have, the one that fits its marks best."""
    plans = hasher.plans(found.shape.key)
    if len(plans) < 2:
        return plans[0] if plans else None
    seed = found.header["hash0"] if isinstance(found, ClassicMap) else found.header["seed"]
    sample = list(_some_keys(found))
    best, fits = plans[0], -1
    for plan in plans:
        right = sum(_fits(found, hasher, plan, seed, mark, key) for mark, key in sample)
        if right > fits:
            best, fits = plan, right
    return best


def _fits(found: ClassicMap | SwissMap, hasher: Hasher, plan: Plan, seed: int, mark: int, key: bytes) -> bool:
    try:
        hash_ = hasher.hash(plan, key, seed)
    except GomapError:
        return False
    if hash_ is None:
        return False
    wanted = tophash(hash_, found.target.arch) if isinstance(found, ClassicMap) else h2(hash_)
    return mark == wanted


def _some_keys(found: ClassicMap | SwissMap) -> Iterator[tuple[int, bytes]]:
    """Marks and keys of some live slots, from the start of the map's arrays."""
    slots, memory, arch = found.shape.slots, found.target.memory, found.target.arch
    live = range(MIN_TOPHASH, 256) if isinstance(found, ClassicMap) else range(CTRL_EMPTY)
    seen = 0
    for base, count in _arrays(found):
        for index in range(min(count, 4 * SAMPLE)):
            try:
                data = memory.read(base + index * slots.size, slots.size)
            except MemoryFault:
                break
            for slot in range(SLOTS):
                mark = data[slots.mark_offset(slot)]
                if mark not in live:
                    continue
                at = slots.keys_off + slot * slots.key_stride
                key = data[at : at + slots.key_stride]
                if slots.indirect_key:
                    try:
                        key = memory.read(arch.pointer(key), slots.key.size)
                    except MemoryFault:
                        continue
                yield mark, key[: slots.key.size]
                seen += 1
            if seen >= SAMPLE:
                return


def _arrays(found: ClassicMap | SwissMap) -> Iterator[tuple[int, int]]:
    """(address, length) of arrays of buckets (groups)."""
    header = found.header
    if isinstance(found, ClassicMap):
        if header["oldbuckets"]:
            yield header["oldbuckets"], found.old_count
        if header["buckets"]:
            yield header["buckets"], 1 << min(found.B, 32)
    elif header["dirPtr"] and found.small:
        yield header["dirPtr"], 1
    elif header["dirPtr"]:
        arch, word = found.target.arch, found.target.arch.pointer_size
        groups_off, groups = member(found.shape.table, "groups")
        data_off, _ = member(groups, "data")
        mask_off, mask_type = member(groups, "lengthMask")
        for index in range(min(header["dirLen"], 4)):
            try:
                table = arch.pointer(found.target.memory.read(header["dirPtr"] + index * word, word))
                record = found.target.memory.read(table, found.shape.table.size)
            except MemoryFault:
                continue
            mask = arch.uint(record, groups_off + mask_off, mask_type.size)
            yield arch.pointer(record, groups_off + data_off), min(mask + 1, 128)
