"""gdb.Type -> GoType.

Of Go's debug information gdb keeps the names of types and fields, but neither DW_AT_go_kind nor
DW_AT_go_key. The kinds are recognized by the structures that cmd/link/internal/ld/dwarf.go makes
(newtype, synthesizestringtypes, synthesizeslicetypes, synthesizemaptypes, synthesizechantypes).
"""

from __future__ import annotations

import gdb

from gomap import maps
from gomap.golang.runtime import dictionaries
from gomap.gotypes import Field, GoType, Kind, Lazy
from gomap.target import Arch

_BASIC = {
    gdb.TYPE_CODE_BOOL: Kind.BOOL,
    gdb.TYPE_CODE_FLT: Kind.FLOAT,
    gdb.TYPE_CODE_COMPLEX: Kind.COMPLEX,
    gdb.TYPE_CODE_CHAR: Kind.UINT,
}
_INTERFACES = {"runtime.eface": False, "runtime.iface": True}


class Converter:
    """Makes every type once. Holds gdb.Type objects, so it is thrown away when the program's files change."""

    def __init__(self, arch: Arch) -> None:
        self._arch = arch
        #: By file and name: a program, its plugins and libraries have types of one name each, and gdb says whether two
        #: of one file are equal.
        self._named: dict[tuple[gdb.Objfile | None, str], list[tuple[gdb.Type, GoType]]] = {}

    def convert(self, t: gdb.Type) -> GoType:
        """The GoType of a gdb type; the same object for the same type."""
        name = t.name
        if name is None:
            return self._convert(t, self._compose(t))
        key = (t.objfile, name)
        known = self._named.get(key)
        if known is None:
            known = self._named[key] = []
        for of_gdb, found in known:
            if of_gdb == t:
                return found
        if dictionaries.index_of(name) is not None:  # every generic function has types of these names
            return self.convert(t.target())
        found = self._convert(t, name)
        known.append((t, found))
        return found

    def _lazy(self, t: gdb.Type) -> Lazy:
        return Lazy(lambda: self.convert(t))

    def _compose(self, t: gdb.Type) -> str:
        """Go's name of a type for which gdb keeps none: pointers above all."""
        if t.code == gdb.TYPE_CODE_PTR:
            target = t.target()
            if target.code == gdb.TYPE_CODE_VOID:
                return "unsafe.Pointer"
            return "*" + (target.name or self._compose(target))
        if t.code == gdb.TYPE_CODE_ARRAY:
            return f"[{_length(t)}]" + (t.target().name or self._compose(t.target()))
        return str(t)

    def _convert(self, t: gdb.Type, name: str) -> GoType:
        code = t.code
        word = self._arch.pointer_size
        if code == gdb.TYPE_CODE_TYPEDEF:
            return self._typedef(t, name)
        if code == gdb.TYPE_CODE_INT:
            kind = Kind.INT if t.is_signed else Kind.UINT
            return GoType(kind, name, t.sizeof)
        if code in _BASIC:
            return GoType(_BASIC[code], name, t.sizeof)
        if code == gdb.TYPE_CODE_PTR:
            target = t.target()
            if target.code == gdb.TYPE_CODE_VOID:
                return GoType(Kind.UNSAFE_POINTER, name, word)
            return GoType(Kind.POINTER, name, word, lazy_elem=self._lazy(target))
        if code == gdb.TYPE_CODE_FUNC:
            return GoType(Kind.FUNC, name, word)
        if code == gdb.TYPE_CODE_ARRAY:
            length = _length(t)
            return GoType(Kind.ARRAY, name, t.sizeof, length, lazy_elem=self._lazy(t.target()))
        if code == gdb.TYPE_CODE_STRUCT:
            return self._struct(t, name)
        return GoType(Kind.OPAQUE, name, t.sizeof)

    def _typedef(self, t: gdb.Type, name: str) -> GoType:
        inner = t.target()
        if name == dictionaries.ANY_POINTER:
            return GoType(Kind.UNSAFE_POINTER, name, inner.sizeof)
        if inner.code == gdb.TYPE_CODE_STRUCT and inner.name in _INTERFACES and inner.name != name:
            return GoType(Kind.INTERFACE, name, inner.sizeof, methods=_INTERFACES[inner.name])
        if inner.code == gdb.TYPE_CODE_PTR:
            target = inner.target()
            pointee = target.name or ""
            if target.code == gdb.TYPE_CODE_STRUCT and pointee.startswith(("map<", "hash<")):
                return maps.map_type(name, inner.sizeof, self._lazy(target), self._arch)
            if target.code == gdb.TYPE_CODE_STRUCT and pointee.startswith("hchan<"):
                return GoType(Kind.CHAN, name, inner.sizeof, lazy_elem=self._channel_elem(target))
        return self._convert(inner, name)

    def _channel_elem(self, hchan: gdb.Type) -> Lazy:
        """recvq.first.elem of the synthesised hchan<T> is a *T."""

        def make() -> GoType:
            sudog = member(member(hchan, "recvq"), "first").target()
            return self.convert(member(sudog, "elem").target())

        return Lazy(make)

    def _struct(self, t: gdb.Type, name: str) -> GoType:
        fields = t.fields()
        names = [f.name for f in fields]
        if names == ["str", "len"] and _is_bytes(member(t, "str")):
            return GoType(Kind.STRING, name, t.sizeof)
        if names == ["array", "len", "cap"] and member(t, "array").code == gdb.TYPE_CODE_PTR:
            elem = member(t, "array").target()
            if elem.code != gdb.TYPE_CODE_VOID:  # runtime.slice itself holds an unsafe.Pointer
                return GoType(Kind.SLICE, name, t.sizeof, lazy_elem=self._lazy(elem))
        converted = tuple(Field(f.name or "", offset(f), self.convert(f.type)) for f in fields if f.type)
        return GoType(Kind.STRUCT, name, t.sizeof, fields=converted)


def member(t: gdb.Type, name: str) -> gdb.Type:
    """The type of a struct's field, which Go's debug information always gives."""
    found = t[name].type
    assert found is not None
    return found


def offset(field: gdb.Field) -> int:
    """Bytes from the start of the struct."""
    return (field.bitpos or 0) // 8


def _is_bytes(t: gdb.Type) -> bool:
    return t.code == gdb.TYPE_CODE_PTR and t.target().name == "uint8"


def _length(t: gdb.Type) -> int:
    low, high = t.range()
    return max(high - low + 1, 0)
