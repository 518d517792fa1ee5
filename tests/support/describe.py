"""Type descriptors (abi.Type) laid out by hand, by internal/abi/type.go and map.go, for every architecture.

The dynamic types of interfaces are read from these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gomap.gotypes import GoType, Kind
from gomap.recorded import ImageTarget
from tests.support.space import Space, array_of, basic, pointer, scalar, struct
from tests.support.synthetic import group_type, hmap, stored, swiss_header, table_type

#: reflect.Kind of what is no basic type.
NUMBERS = {
    Kind.ARRAY: 17,
    Kind.CHAN: 18,
    Kind.FUNC: 19,
    Kind.INTERFACE: 20,
    Kind.MAP: 21,
    Kind.POINTER: 22,
    Kind.SLICE: 23,
    Kind.STRING: 24,
    Kind.STRUCT: 25,
    Kind.UNSAFE_POINTER: 26,
}
SIZED = {Kind.INT: (2, 3), Kind.UINT: (7, 8)}  # int, int8 ... and uint, uint8 ...
UNCOMMON, EXTRA_STAR, NAMED = 1, 2, 4


def kind_number(t: GoType, word: int) -> int:
    if t.kind is Kind.BOOL:
        return 1
    if t.kind in SIZED:
        plain, first = SIZED[t.kind]
        if t.name == "uintptr":
            return 12
        return plain if t.name in ("int", "uint") else first + t.size.bit_length() - 1
    if t.kind is Kind.FLOAT:
        return {4: 13, 8: 14}[t.size]
    if t.kind is Kind.COMPLEX:
        return {8: 15, 16: 16}[t.size]
    return NUMBERS[t.kind]


@dataclass
class Descriptors:
    """A module of types in a target. direct_in_tflag: Go 1.26 and later. layout: of the maps. functions: parameters and
    results of function types, by their names, and whether they are variadic."""

    target: ImageTarget
    layout: str = "swiss"
    split: bool = False
    direct_in_tflag: bool = True
    functions: Mapping[str, tuple[Sequence[GoType], Sequence[GoType], bool]] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)
    kept: list[GoType] = field(default_factory=list)

    def __post_init__(self) -> None:
        word, space = self.word, self.space
        self.start = space.put(b"\0" * 16)
        uintptr = basic("uintptr", word)
        moduledata = struct("runtime.moduledata", word, [("types", uintptr), ("etypes", uintptr), ("next", uintptr)])
        record = space.record(moduledata, types=self.start, etypes=self.start + (1 << 24))
        self.target.types["runtime.moduledata"] = moduledata
        self.target.symbols["runtime.firstmoduledata"] = space.put(record)
        self._runtime_types()

    @property
    def word(self) -> int:
        return self.target.arch.pointer_size

    @property
    def space(self) -> Space:
        space: Space = self.target.memory
        return space

    def _runtime_types(self) -> None:
        word = self.word
        anything = scalar(Kind.UNSAFE_POINTER, "unsafe.Pointer", word)
        types = self.target.types
        to_type = pointer(basic("uint8"), word)
        head = [("Type", array_of(4 * word + 16, basic("uint8"))), ("Key", to_type), ("Elem", to_type)]
        if self.layout == "swiss":
            tail = [("Group", to_type), ("Hasher", anything), ("GroupSize", basic("uintptr", word))]
            types["internal/abi.MapType"] = struct("internal/abi.MapType", word, [*head, *tail])
            table = table_type("", anything, word)
            types["internal/runtime/maps.table"] = table
            types["internal/runtime/maps.Map"] = swiss_header("internal/runtime/maps.Map", anything, word)
        else:
            tail = [("Bucket", to_type), ("Hasher", anything), ("Flags", basic("uint32"))]
            types["internal/abi.OldMapType"] = struct("internal/abi.OldMapType", word, [*head, *tail])
            types["runtime.hmap"] = hmap("runtime.hmap", anything, word)

    def name(self, text: str, embedded: bool = False) -> int:
        """Address of an abi.Name: flags, length as a varint, bytes."""
        raw = text.encode()
        length = len(raw)
        head = bytearray([1 | (8 if embedded else 0)])
        while length >= 0x80:
            head.append(length & 0x7F | 0x80)
            length >>= 7
        head.append(length)
        return self.space.put(bytes(head) + raw)

    def of(self, t: GoType) -> int:
        """Address of the *abi.Type of t."""
        found = self.made.get(id(t))
        if found is None:
            self.kept.append(t)
            size = 4 * self.word + 16 + 12 * self.word + 32
            found = self.made[id(t)] = self.space.alloc(size)
            self._write(t, found)
        return found

    def _write(self, t: GoType, address: int) -> None:
        space, word = self.space, self.word
        own = self._own(t)
        named = "." in t.name and t.kind is not Kind.UNSAFE_POINTER and t.name[0] not in "*[(" and " " not in t.name
        named = named and not t.name.startswith(("map[", "func("))
        basic_name = t.kind in (Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT, Kind.COMPLEX, Kind.STRING)
        tflag = EXTRA_STAR | (NAMED if named or basic_name or t.kind is Kind.UNSAFE_POINTER else 0)
        path, _, last = t.name.rpartition("/")
        text = last if named else t.name
        if t.kind is Kind.FUNC:  # packages are named by the last part of their paths
            text = re.sub(r"[\w.]+/", "", text)
        if named:
            tflag |= UNCOMMON
            package = (path + "/" if path else "") + last.split("[")[0].split(".")[0]
            own += space.uint(self.name(package) - self.start, 4) + bytes(12)
        kind = kind_number(t, word)
        direct = t.kind in (Kind.POINTER, Kind.MAP, Kind.CHAN, Kind.FUNC, Kind.UNSAFE_POINTER)
        # A struct or array of one pointer is direct too: cmd/compile/internal/types.IsDirectIface.
        if t.kind is Kind.STRUCT and len(t.fields) == 1 and t.fields[0].type.kind is Kind.POINTER:
            direct = True
        if direct and self.direct_in_tflag:
            tflag |= 1 << 5
        elif direct:
            kind |= 1 << 5
        head = space.word(t.size) + space.word(0) + space.uint(0xABCDEF, 4)
        head += bytes([tflag, word, word, kind]) + space.word(0x1000) + space.word(0x2000)
        head += space.uint(self.name("*" + text) - self.start, 4) + space.uint(0, 4)
        space.write(address, head + own)

    def _own(self, t: GoType) -> bytes:
        """What follows abi.Type in the descriptor of this kind."""
        space = self.space
        if t.kind in (Kind.POINTER, Kind.SLICE):
            return space.word(self.of(t.elem))
        if t.kind is Kind.CHAN:
            return space.word(self.of(t.elem)) + space.word(3)
        if t.kind is Kind.ARRAY:
            return space.word(self.of(t.elem)) + space.word(0x3000) + space.word(t.length)
        if t.kind is Kind.FUNC:
            taken, given, variadic = self.functions.get(t.name, ((), (), False))
            counts = space.uint(len(taken), 2) + space.uint(len(given) | variadic << 15, 2)
            # Bytes behind the counts of 64-bit programs are of no meaning.
            return counts.ljust(self.word, b"\xee") + b"".join(space.word(self.of(one)) for one in (*taken, *given))
        if t.kind is Kind.INTERFACE:
            return space.word(0) + space.word(0x4000) + 2 * space.word(2 if t.methods else 0)
        if t.kind is Kind.STRUCT:
            fields = b"".join(
                space.word(self.name(f.name, f.embedded)) + space.word(self.of(f.type)) + space.word(f.offset)
                for f in t.fields
            )
            return space.word(0) + space.word(space.put(fields)) + 2 * space.word(len(t.fields))
        if t.kind is Kind.MAP:
            return self._map(t)
        return b""

    def _map(self, t: GoType) -> bytes:
        space, word = self.space, self.word
        if self.layout == "swiss":
            inner = group_type(t.key, t.elem, word, self.split)
            name = "internal/abi.MapType"
        else:
            k, v = stored(t.key, word), stored(t.elem, word)
            inner = struct(
                f"map.bucket[{t.key.name}]{t.elem.name}",
                word,
                [
                    ("topbits", array_of(8, basic("uint8"))),
                    ("keys", array_of(8, k)),
                    ("elems", array_of(8, v)),
                    ("overflow", basic("uintptr", word)),
                ],
            )
            name = "internal/abi.OldMapType"
        words = space.word(self.of(t.key)) + space.word(self.of(t.elem)) + space.word(self.of(inner))
        return words.ljust(self.target.types[name].size - 4 * word - 16, b"\0")

    # -- values of interface type --------------------------------------------------------------------

    def eface(self, t: GoType, value: bytes) -> bytes:
        """An `interface {}` that holds a value of type t with these bytes."""
        return self.space.word(self.of(t)) + self._data(t, value)

    def iface(self, t: GoType, value: bytes) -> bytes:
        """The same for an interface with methods: the first word is an itab."""
        itab = self.space.put(self.space.word(0x5000) + self.space.word(self.of(t)) + bytes(16))
        return self.space.word(itab) + self._data(t, value)

    def _data(self, t: GoType, value: bytes) -> bytes:
        pointers = (Kind.POINTER, Kind.MAP, Kind.CHAN, Kind.FUNC, Kind.UNSAFE_POINTER)
        single = t.kind is Kind.STRUCT and len(t.fields) == 1 and t.fields[0].type.kind is Kind.POINTER
        return value if t.kind in pointers or single else self.space.word(self.space.put(value))


def interface(word: int, methods: bool = False, name: str = "") -> GoType:
    return GoType(Kind.INTERFACE, name or ("error" if methods else "interface {}"), 2 * word, methods=methods)
