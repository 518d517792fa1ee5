"""A map type's header as debug information has it, made of the map type's descriptor (abi.MapType).

Debug information gives each map type a header of its own, with the map's buckets or tables behind it
(cmd/link/internal/ld/dwarf.go, synthesizemaptypes). The type of a value in an interface is known by its descriptor
alone.
"""

from __future__ import annotations

from typing import Protocol

from gomap.errors import BadExpression
from gomap.golang.layouts.slots import MAX_INLINE, member
from gomap.gotypes import Field, GoType, Kind, fixed
from gomap.target import Record, Target

#: Fields of groups and their slots as reflect names them.
_CAPITALISED = {"Ctrl", "Slots", "Key", "Elem", "Keys", "Elems"}


class Descriptors(Protocol):
    """The program's type descriptors: rtype.py."""

    target: Target

    def at(self, address: int) -> GoType:
        """The type whose descriptor (*abi.Type) is at `address`."""

    def runtime_type(self, name: str) -> GoType:
        """A type of the runtime, by name. Raises NoDebugInfo."""

    def is_of_program(self, address: int) -> bool:
        """Whether a descriptor is one of the program's own, and not one that reflect made."""

    def size_at(self, address: int) -> int:
        """Bytes of a value of the type whose descriptor is at `address`."""


def header_of(types: Descriptors, record: Record, key: str, elem: str) -> GoType:
    """The header as debug information synthesises it: the runtime's struct with this map's buckets."""
    names = f"<{key},{elem}>"
    word = types.target.arch.pointer_size
    group = record.type.field("Group")
    if group is not None:
        header, table = (
            types.runtime_type("internal/runtime/maps.Map"),
            types.runtime_type("internal/runtime/maps.table"),
        )
        _, groups = member(table, "groups")
        data = _pointer(_uncapitalised(types.at(record["Group"])), word)
        groups = _substitute(groups, "groupReference" + names, data=data)
        table = _substitute(table, "table" + names, groups=groups)
        return _substitute(header, "map" + names, dirPtr=_pointer(_pointer(table, word), word))
    bucket = record["Bucket"] if record.type.field("Bucket") else record["bucket"]
    header = types.runtime_type("runtime.hmap")
    pointer = _pointer(_bucket(types, record, bucket), word)
    return _substitute(header, "hash" + names, buckets=pointer, oldbuckets=pointer)


def _bucket(types: Descriptors, record: Record, address: int) -> GoType:
    """runtime.bmap with its keys and elems. Of a map type that reflect made the descriptor has no fields
    (reflect.bucketOf), and they lie as reflect puts them."""
    if types.is_of_program(address):
        return types.at(address)
    word = types.target.arch.pointer_size
    parts = [types.at(record[name] if record.type.field(name) else record[name.lower()]) for name in ("Key", "Elem")]
    fields, offset = [Field("tophash", 0, _eight(GoType(Kind.UINT, "uint8", 1)))], 8
    for name, t in zip(("keys", "elems"), parts):
        fields.append(Field(name, offset, _eight(_pointer(t, word) if t.size > MAX_INLINE else t)))
        offset += fields[-1].type.size
    fields.append(Field("overflow", offset, GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", word)))
    size = types.size_at(address)
    if size != offset + word:
        raise BadExpression(f"the bucket type at {address:#x} has {size} bytes and not {offset + word}")
    return GoType(Kind.STRUCT, f"bucket<{parts[0].name},{parts[1].name}>", size, fields=tuple(fields))


def _pointer(t: GoType, size: int) -> GoType:
    return GoType(Kind.POINTER, "*" + t.name, size, lazy_elem=fixed(t))


def _eight(t: GoType) -> GoType:
    return GoType(Kind.ARRAY, f"[8]{t.name}", 8 * t.size, 8, lazy_elem=fixed(t))


def _uncapitalised(group: GoType) -> GoType:
    """A group with the compiler's names: reflect's have capitals (reflect.groupAndSlotOf)."""
    if group.kind is Kind.ARRAY:
        return GoType(Kind.ARRAY, group.name, group.size, group.length, lazy_elem=fixed(_uncapitalised(group.elem)))
    if group.kind is not Kind.STRUCT or not {f.name for f in group.fields} <= _CAPITALISED:
        return group
    fields = tuple(Field(f.name.lower(), f.offset, _uncapitalised(f.type)) for f in group.fields)
    return GoType(Kind.STRUCT, group.name, group.size, fields=fields)


def _substitute(t: GoType, name: str, **types: GoType) -> GoType:
    fields = tuple(Field(f.name, f.offset, types.get(f.name, f.type), f.embedded) for f in t.fields)
    return GoType(Kind.STRUCT, name, t.size, fields=fields)
