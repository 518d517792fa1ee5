"""The map types of the program, by their descriptors: what the linker lists, read from the runtime's own tables.

All types without a name are listed, and of these the pointers lead to those with one: the compiler makes the type *T
for every T that has a name. Up to Go 1.26 the list is moduledata.typelinks; from Go 1.27 on their descriptors lie one
behind another, from moduledata.types to typedesclen (moduleTypelinks of runtime/type.go, DescriptorSize of
internal/abi/type.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gomap.errors import GomapError
from gomap.golang.runtime.abitype import KIND_MASK, KINDS, TFLAG_EXTRA_STAR, TFLAG_UNCOMMON, UNCOMMON_SIZE
from gomap.golang.runtime.pclntab import varint
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import Kind
from gomap.target import Record

#: Bytes of type descriptors of one module, and how many types it lists.
MAX_DESCRIPTORS, MAX_LINKS = 256 << 20, 1 << 22
#: Words behind abi.Type, by the kind of type (internal/abi/type.go). Map types: as debug information has them.
_WORDS = {
    Kind.POINTER: 1, Kind.FUNC: 1, Kind.SLICE: 1, Kind.CHAN: 2, Kind.ARRAY: 3, Kind.INTERFACE: 4, Kind.STRUCT: 4,
}  # fmt: skip
#: Bytes of abi.Method and abi.Imethod.
_METHOD, _INTERFACE_METHOD = 16, 8


@dataclass(frozen=True)
class MapType:
    """descriptor: *abi.MapType. slots: *abi.Type of its groups (buckets), of `size` bytes; noscan: which have no
    pointers."""

    descriptor: int
    slots: int
    size: int
    noscan: bool


def map_types(types: DescribedTypes) -> list[MapType]:
    """All map types that the linker lists; those that reflect has made are not among them. Raises NoDebugInfo,
    MemoryFault."""
    found: dict[int, MapType] = {}
    for address in dict.fromkeys(_addresses(types)):
        try:
            record = types.map_record(address)
            slots = next(record[name] for name in ("Group", "Bucket", "bucket") if record.type.field(name))
            d = types.descriptor(slots)
        except (GomapError, StopIteration):
            continue
        found[address] = MapType(address, slots, d.size, not d.ptr_bytes)
    return list(found.values())


def _addresses(types: DescribedTypes) -> Iterator[int]:
    """Addresses of the descriptors of map types."""
    for start, offset, kind, _ in _listed(types):
        if kind is Kind.MAP:
            yield start + offset


def descriptors(types: DescribedTypes) -> Iterator[tuple[int, str]]:
    """All types that the linker lists, and those that listed pointers lead to: (address, name as reflect gives it, with
    short package names). Raises NoDebugInfo, MemoryFault."""
    word = types.target.arch.pointer_size
    seen: set[int] = set()
    for start, offset, _, data in _listed(types):
        if offset in seen:
            continue
        seen.add(offset)
        at = types.target.arch.uint(data, offset + 4 * word + 8, 4)
        try:
            length, text = varint(data, at + 1)
        except IndexError:
            continue
        name = data[text : text + length].decode("utf-8", "replace")
        yield start + offset, name[1:] if data[offset + 2 * word + 4] & TFLAG_EXTRA_STAR else name


def _listed(types: DescribedTypes) -> Iterator[tuple[int, int, Kind | None, bytes]]:
    """(where the module's descriptors begin, offset of one, its kind, the descriptors' bytes): first a pointer, then
    what it leads to."""
    target = types.target
    word, pointer = target.arch.pointer_size, target.arch.pointer
    for module in types.modules():
        start, end = module["types"], module["etypes"]
        if not 0 < end - start <= MAX_DESCRIPTORS:
            continue
        data = target.memory.read(start, end - start)
        for offset in _offsets(types, module, data):
            kind = _kind(data, offset, word)
            yield start, offset, kind, data
            if kind is Kind.POINTER and offset + 5 * word + 16 <= len(data):
                offset = pointer(data, offset + 4 * word + 16) - start
                kind = _kind(data, offset, word)
                if kind is not None:
                    yield start, offset, kind, data


def _offsets(types: DescribedTypes, module: Record, data: bytes) -> Iterator[int]:
    """Where the descriptors of types that are listed begin, from the module's first. data: its descriptors."""
    target = types.target
    word, pointer = target.arch.pointer_size, target.arch.pointer
    listed = module.type.field("typelinks")
    if listed is None:
        yield from _one_by_one(types, module, data)
        return
    at, count = pointer(module.data, listed.offset), pointer(module.data, listed.offset + word)
    if count <= MAX_LINKS:
        links = target.memory.read(at, 4 * count)
        yield from (target.arch.uint(links, i, 4) for i in range(0, len(links), 4))


def _one_by_one(types: DescribedTypes, module: Record, data: bytes) -> Iterator[int]:
    word, arch = types.target.arch.pointer_size, types.target.arch
    of_map = types.map_record_size()
    at, end = word, min(module.get("typedesclen"), len(data))
    while at + 4 * word + 16 <= end:
        kind = _kind(data, at, word)
        if kind is None:
            return
        yield at
        own = at + 4 * word + 16
        size = of_map if kind is Kind.MAP else 4 * word + 16 + word * _WORDS.get(kind, 0)
        more = 0
        if kind is Kind.FUNC:
            more = word * (arch.uint(data, own, 2) + (arch.uint(data, own + 2, 2) & 0x7FFF))  # the top bit: variadic
        elif kind in (Kind.INTERFACE, Kind.STRUCT):
            each = _INTERFACE_METHOD if kind is Kind.INTERFACE else 3 * word
            more = each * arch.pointer(data, own + 2 * word)
        if data[at + 2 * word + 4] & TFLAG_UNCOMMON:
            more += UNCOMMON_SIZE + _METHOD * arch.uint(data, at + size + 4, 2)
        at += size + more
        at += -at % word


def _kind(data: bytes, offset: int, word: int) -> Kind | None:
    """The kind of the type whose descriptor is at the offset; None where there is none."""
    at = offset + 2 * word + 7
    if offset < 0 or at >= len(data):
        return None
    kind = data[at] & KIND_MASK
    return KINDS[kind][0] if 0 < kind < len(KINDS) else None
