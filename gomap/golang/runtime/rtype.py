"""abi.Type in target memory -> GoType: the program's own descriptors of its types.

Needed for the dynamic types of interfaces. Follows internal/abi/type.go (Type, PtrType, StructType, ...,
Name), internal/abi/map.go, reflect/type.go (uncommon types) and runtime/type.go (resolveNameOff).
The descriptors' offsets are those of Go 1.18 to 1.27 on 32 and 64 bits; the map descriptor,
the only one that changed, is read by its fields in debug information.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gomap.errors import BadExpression, GomapError, MemoryFault, NoDebugInfo
from gomap.golang.runtime.abitype import (
    KIND_MASK,
    KINDS,
    MAP_DESCRIPTORS,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_NAME,
    MAX_PARAMETERS,
    MAX_SIZE_BITS,
    MAX_TYPE_NAME,
    MAX_WEIGHT,
    NAME_EMBEDDED,
    SIZES,
    TFLAG_EXTRA_STAR,
    TFLAG_NAMED,
    TFLAG_UNCOMMON,
    UNCOMMON_SIZE,
    WORDS,
    Descriptor,
)
from gomap.golang.runtime.mapheaders import header_of
from gomap.gotypes import Field, GoType, Kind, Lazy, fixed
from gomap.target import Record, Target, read_record


@dataclass
class DescribedTypes:
    """The runtime's type descriptors of one target. Every type is read once."""

    target: Target
    _types: dict[int, GoType] = field(default_factory=dict)
    _making: set[int] = field(default_factory=set)
    _modules: list[tuple[int, int]] | None = None
    _direct: dict[int, bool] = field(default_factory=dict)
    _held: dict[tuple[int, bool], tuple[GoType, bool]] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _weights: dict[int, int] = field(default_factory=dict)
    #: Types that have no descriptor, by their id().
    _pretended: dict[int, GoType] = field(default_factory=dict)

    def at(self, address: int) -> GoType:
        """The type whose descriptor lies at `address` (*abi.Type). Raises MemoryFault, NoDebugInfo."""
        found = self._types.get(address)
        if found is None:
            if address in self._making or len(self._making) > MAX_DEPTH:
                raise BadExpression(f"the type descriptor at {address:#x} contains itself: it is corrupt")
            self._making.add(address)
            try:
                found = self._types[address] = self._make(self.descriptor(address))
            finally:
                self._making.discard(address)
        return found

    def is_direct(self, address: int) -> bool:
        """Whether an interface holds values of this type in its data word itself."""
        found = self._direct.get(address)
        if found is None:
            found = self._direct[address] = self.descriptor(address).direct
        return found

    def held(self, first: int, methods: bool) -> tuple[GoType, bool]:
        """What an interface with this first word, not 0, holds: (type, is_direct). Raises MemoryFault, GomapError."""
        found = self._held.get((first, methods))
        if found is None:
            address = descriptor_of(self, first, methods)
            found = self._held[first, methods] = self.at(address), self.is_direct(address)
        return found

    def is_of_program(self, address: int) -> bool:
        """Whether `address` is where the linker has put type descriptors. Raises NoDebugInfo, MemoryFault."""
        return self._module(address) is not None

    def size_at(self, address: int) -> int:
        """Bytes of a value of the type whose descriptor is at `address`. Raises NoDebugInfo, MemoryFault."""
        return self.descriptor(address).size

    def pretend(self, address: int, t: GoType) -> None:
        """From now on type t, an object of its own, has its descriptor at `address`, where the target has none."""
        self._types[address] = t
        self._direct[address] = False
        self._pretended[id(t)] = t

    def is_pretended(self, *types: GoType) -> bool:
        """Whether one of the types is only known from elsewhere than a descriptor."""
        return any(id(t) in self._pretended for t in types)

    def made(self) -> list[tuple[int, GoType]]:
        """The types that were read so far, with where their descriptors lie."""
        return list(self._types.items())

    def descriptor(self, address: int) -> Descriptor:
        """The fields of the type descriptor (*abi.Type) at `address`.

        Raises MemoryFault, BadExpression where no descriptor is there.
        """
        arch, word = self.target.arch, self.target.arch.pointer_size
        data = self.target.memory.read(address, 4 * word + 16)
        kind = data[2 * word + 7]
        if kind & KIND_MASK >= len(KINDS) or kind & KIND_MASK == 0:
            raise BadExpression(f"{address:#x} is not the address of a Go type descriptor")
        size = arch.pointer(data, 0)
        of = KINDS[kind & KIND_MASK][0]
        known = (WORDS[of] * word,) if of in WORDS else SIZES.get(of, (size,))
        found = Descriptor(
            address=address,
            size=size,
            ptr_bytes=arch.pointer(data, word),
            tflag=data[2 * word + 4],
            kind=kind,
            name_off=arch.uint(data, 4 * word + 8, 4),
        )
        if size not in known or size >> MAX_SIZE_BITS or (found.direct and size != word):
            raise BadExpression(f"the type descriptor at {address:#x} has an impossible size: it is corrupt")
        return found

    # -- names -----------------------------------------------------------------------------------

    def _module(self, address: int) -> tuple[int, int] | None:
        """(types, etypes) of the module that `address` lies in."""
        if self._modules is None:
            self._modules = list(self._read_modules())
        for types, etypes in self._modules:
            if types <= address < etypes:
                return types, etypes
        return None

    def _read_modules(self) -> list[tuple[int, int]]:
        return [(record["types"], record["etypes"]) for record in self.modules()]

    def modules(self) -> list[Record]:
        """runtime.moduledata of the program and of its plugins. Raises NoDebugInfo, MemoryFault."""
        address = self.target.symbol("runtime.firstmoduledata")
        moduledata = self.target.find_type("runtime.moduledata")
        if address is None or moduledata is None:
            raise NoDebugInfo("the program has no runtime.firstmoduledata: its dynamic types can't be named")
        found: list[Record] = []
        seen: set[int] = set()
        while address and address not in seen and len(seen) < 4096:
            seen.add(address)
            record = read_record(self.target, moduledata, address)
            found.append(record)
            address = record["next"]
        return found

    def _name(self, address: int) -> tuple[str, int]:
        """The abi.Name at `address` as (text, flag byte): Name.Name, Name.ReadVarint."""
        if not address:
            return "", 0
        data = self._upto(address, 16)
        flags, length, at, shift = data[0], 0, 1, 0
        while at < len(data):
            byte = data[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not byte & 0x80:
                break
        text = self.target.memory.read(address + at, min(length, MAX_NAME))
        name = text.decode("utf-8", "replace")
        if not name.isprintable():  # it goes to the terminal as it is
            raise BadExpression(f"the type descriptor's name at {address:#x} is not valid: the descriptor is corrupt")
        return name, flags

    def _upto(self, address: int, size: int) -> bytes:
        """Up to `size` bytes: fewer at the end of readable memory, at least two."""
        try:
            return self.target.memory.read(address, size)
        except MemoryFault:
            return self.target.memory.read(address, 2)

    def _offset_name(self, near: int, offset: int) -> str:
        module = self._module(near)
        if module is None:
            return ""  # made by reflect at run time: its name lies in reflectOffs
        return self._name(module[0] + offset)[0]

    def _own_name(self, d: Descriptor) -> str | None:
        """The full name of a named type, None for an unnamed one."""
        if not d.tflag & TFLAG_NAMED:
            return None
        text = self._offset_name(d.address, d.name_off)
        if d.tflag & TFLAG_EXTRA_STAR:
            text = text[1:]
        if not d.tflag & TFLAG_UNCOMMON:
            return text
        path_at = self._uncommon(d)
        try:
            offset = self.target.arch.uint(self.target.memory.read(path_at, 4), 0, 4)
        except MemoryFault:
            return text
        path = self._offset_name(d.address, offset) if offset else ""
        bracket = text.find("[")
        dot = text.find(".", 0, bracket if bracket >= 0 else len(text))
        return f"{path}.{text[dot + 1 :]}" if path and dot >= 0 else text

    def _uncommon(self, d: Descriptor) -> int:
        """Address of the type's abi.UncommonType: right behind the descriptor of its kind."""
        word = self.target.arch.pointer_size
        kind = KINDS[d.kind & KIND_MASK][0]
        words = {
            Kind.POINTER: 1,
            Kind.FUNC: 1,
            Kind.SLICE: 1,
            Kind.ARRAY: 3,
            Kind.CHAN: 2,
            Kind.INTERFACE: 4,
            Kind.STRUCT: 4,
        }.get(kind, 0)
        size = 4 * word + 16 + words * word
        if kind is Kind.MAP:
            size = self._map_descriptor().size
        return d.address + size

    # -- types -----------------------------------------------------------------------------------

    def _make(self, d: Descriptor) -> GoType:
        kind, basic = KINDS[d.kind & KIND_MASK]
        name = self._own_name(d) or basic
        make = _MAKERS.get(kind)
        return GoType(kind, name, d.size) if make is None else make(self, d, name)

    def _own(self, d: Descriptor, index: int = 0) -> int:
        """What follows abi.Type in the descriptor: the word of that number."""
        word = self._word
        return self.target.arch.pointer(self.target.memory.read(self._own_at(d) + index * word, word))

    def _own_at(self, d: Descriptor) -> int:
        return d.address + 4 * self._word + 16

    @property
    def _word(self) -> int:
        return self.target.arch.pointer_size

    def _pointer(self, d: Descriptor, name: str) -> GoType:
        elem = self._own(d)
        return GoType(Kind.POINTER, name or "*" + self._name_of(elem), self._word, lazy_elem=self._lazy(elem))

    def _slice(self, d: Descriptor, name: str) -> GoType:
        elem = self._own(d)
        return GoType(Kind.SLICE, name or "[]" + self._name_of(elem), d.size, lazy_elem=self._lazy(elem))

    def _array(self, d: Descriptor, name: str) -> GoType:
        elem, length = self._own(d), self._own(d, 2)
        held = self._part(d, elem, 0, length)
        return GoType(Kind.ARRAY, name or f"[{length}]" + held.name, d.size, length, lazy_elem=fixed(held))

    def _chan(self, d: Descriptor, name: str) -> GoType:
        elem, direction = self._own(d), self._own(d, 1)
        prefix = {1: "<-chan ", 2: "chan<- "}.get(direction, "chan ")
        return GoType(Kind.CHAN, name or prefix + self._name_of(elem), self._word, lazy_elem=self._lazy(elem))

    def _interface(self, d: Descriptor, name: str) -> GoType:
        count = self._own(d, 2)
        told = name or ("interface {}" if not count else self._raw_name(d))
        return GoType(Kind.INTERFACE, told, d.size, methods=bool(count))

    def _struct(self, d: Descriptor, name: str) -> GoType:
        fields = self._fields(d, self._own_at(d))
        return GoType(Kind.STRUCT, name or self._struct_name(fields), d.size, fields=fields)

    def _func(self, d: Descriptor, name: str) -> GoType:
        return GoType(Kind.FUNC, name or self._func_name(d, 0), self._word)

    def _part(self, d: Descriptor, address: int, offset: int, count: int = 1) -> GoType:
        """The type of a part that values of type d have in themselves, `count` times from `offset` on."""
        found = self.at(address)
        weight = self._weights[d.address] = self._weights.get(d.address, 1) + self._weights.get(address, 1)
        if offset + count * found.size > d.size or weight > MAX_WEIGHT:
            raise BadExpression(f"the type descriptor at {d.address:#x} has parts that do not fit: it is corrupt")
        return found

    def _lazy(self, address: int) -> Lazy:
        return Lazy(lambda: self.at(address))

    def _raw_name(self, d: Descriptor) -> str:
        """The type's string as reflect gives it, with short package names."""
        text = self._offset_name(d.address, d.name_off)
        return text[1:] if d.tflag & TFLAG_EXTRA_STAR else text

    def name(self, address: int) -> str:
        """The full name of the type whose descriptor lies at `address`; none where it can't be read."""
        try:
            return self._name_of(address)
        except GomapError:
            return ""

    def _name_of(self, address: int, depth: int = 0) -> str:
        """The full name of the type at `address`, without making it: types may contain themselves."""
        made = self._types.get(address)
        if made is not None:
            return made.name
        known = self._names.get(address)
        if known is None:
            known = self._names[address] = self._named(address, depth)
            if len(known) > MAX_TYPE_NAME:
                raise BadExpression(f"the name of the type at {address:#x} has no end: its descriptor is corrupt")
        return known

    def _named(self, address: int, depth: int) -> str:
        d = self.descriptor(address)
        kind, basic = KINDS[d.kind & KIND_MASK]
        name = self._own_name(d) or basic
        if name or depth > MAX_DEPTH:
            return name or self._raw_name(d)
        first = self._own(d)
        if kind is Kind.POINTER:
            return "*" + self._name_of(first, depth + 1)
        if kind is Kind.SLICE:
            return "[]" + self._name_of(first, depth + 1)
        if kind is Kind.ARRAY:
            length = self._own(d, 2)
            return f"[{length}]" + self._name_of(first, depth + 1)
        if kind is Kind.MAP:
            elem = self._own(d, 1)
            return f"map[{self._name_of(first, depth + 1)}]{self._name_of(elem, depth + 1)}"
        if kind is Kind.FUNC:
            return self._func_name(d, depth)
        if kind in (Kind.STRUCT, Kind.CHAN):
            return self.at(address).name
        return self._raw_name(d)

    def _func_name(self, d: Descriptor, depth: int) -> str:
        """abi.FuncType: InCount, OutCount, whose top bit says that the function is variadic; the types of parameters
        and results follow the descriptor."""
        arch, word = self.target.arch, self.target.arch.pointer_size
        own = d.address + 4 * word + 16
        counts = self.target.memory.read(own, 4)
        taken, given = arch.uint(counts, 0, 2), arch.uint(counts, 2, 2)
        variadic, given = given >> 15, given & 0x7FFF
        if taken + given > MAX_PARAMETERS:
            return self._raw_name(d) or "func"
        at = own + word + (UNCOMMON_SIZE if d.tflag & TFLAG_UNCOMMON else 0)
        data = self.target.memory.read(at, (taken + given) * word) if taken + given else b""
        names = [self._name_of(arch.pointer(data, i * word), depth + 1) for i in range(taken + given)]
        if variadic and taken:
            names[taken - 1] = "..." + names[taken - 1].removeprefix("[]")
        results = ", ".join(names[taken:])
        results = f" ({results})" if given > 1 else f" {results}" if given else ""
        return f"func({', '.join(names[:taken])}){results}"

    def _fields(self, d: Descriptor, own: int) -> tuple[Field, ...]:
        """abi.StructType: PkgPath, Fields; abi.StructField: Name, Typ, Offset."""
        arch, word = self.target.arch, self.target.arch.pointer_size
        head = self.target.memory.read(own, 3 * word)
        start, count = arch.pointer(head, word), arch.pointer(head, 2 * word)
        if count > MAX_FIELDS:
            raise BadExpression(f"a struct type descriptor claims {count} fields: it is corrupt")
        data = self.target.memory.read(start, count * 3 * word) if count else b""
        found = []
        for at in range(0, len(data), 3 * word):
            name, flags = self._name(arch.pointer(data, at))
            offset = arch.pointer(data, at + 2 * word)
            t = self._part(d, arch.pointer(data, at + word), offset)
            found.append(Field(name, offset, t, bool(flags & NAME_EMBEDDED)))
        return tuple(found)

    def _struct_name(self, fields: tuple[Field, ...]) -> str:
        if not fields:
            return "struct {}"
        parts = [f.type.name if f.embedded else f"{f.name} {f.type.name}" for f in fields]
        if sum(map(len, parts)) > MAX_TYPE_NAME:
            raise BadExpression("the name of a struct type has no end: its descriptor is corrupt")
        return "struct { " + "; ".join(parts) + " }"

    # -- maps ------------------------------------------------------------------------------------

    def map_record(self, address: int) -> Record:
        """The descriptor (*abi.MapType) of a map type. Raises NoDebugInfo, MemoryFault."""
        return read_record(self.target, self._map_descriptor(), address)

    def map_record_size(self) -> int:
        """Bytes of a map type's descriptor: abi.MapType."""
        return self._map_descriptor().size

    def map_header(self) -> GoType:
        """The runtime's own struct of map headers, of whatever map. Raises NoDebugInfo."""
        swiss = self._map_descriptor().field("Group") is not None
        return self.runtime_type("internal/runtime/maps.Map" if swiss else "runtime.hmap")

    def map_table(self) -> GoType:
        """The runtime's own struct of a Swiss map's table. Raises NoDebugInfo."""
        return self.runtime_type("internal/runtime/maps.table")

    def _map_descriptor(self) -> GoType:
        for name in MAP_DESCRIPTORS:
            found = self.target.find_type(name)
            if found is not None and found.fields:
                return found
        raise NoDebugInfo("the program has no debug information on abi.MapType: maps in interfaces can't be read")

    def _map(self, d: Descriptor, name: str) -> GoType:
        record = read_record(self.target, self._map_descriptor(), d.address)
        key, elem = (record["Key"], record["Elem"]) if record.type.field("Key") else (record["key"], record["elem"])
        key_name, elem_name = self._name_of(key), self._name_of(elem)
        header = Lazy(lambda: header_of(self, record, key_name, elem_name))
        word = self.target.arch.pointer_size
        return GoType(
            Kind.MAP,
            name or f"map[{key_name}]{elem_name}",
            word,
            lazy_header=header,
            lazy_key=self._lazy(key),
            lazy_elem=self._lazy(elem),
        )

    def runtime_type(self, name: str) -> GoType:
        """A type of the runtime, by name. Raises NoDebugInfo."""
        found = self.target.find_type(name)
        if found is None:
            raise NoDebugInfo(f"the program has no debug information on {name}")
        return found


#: How types of each kind are made, of a descriptor and a name that may be empty. The others have no parts.
_MAKERS: Mapping[Kind, Callable[[DescribedTypes, Descriptor, str], GoType]] = {
    Kind.POINTER: DescribedTypes._pointer,
    Kind.SLICE: DescribedTypes._slice,
    Kind.ARRAY: DescribedTypes._array,
    Kind.CHAN: DescribedTypes._chan,
    Kind.INTERFACE: DescribedTypes._interface,
    Kind.STRUCT: DescribedTypes._struct,
    Kind.MAP: DescribedTypes._map,
    Kind.FUNC: DescribedTypes._func,
}


def dynamic(types: DescribedTypes, interface: GoType, data: bytes) -> tuple[GoType, int, bool] | None:
    """What an interface holds: (type, data word, whether the data word is the value itself); None if nil.

    data: the interface's two words (runtime.eface or runtime.iface). Raises MemoryFault, GomapError.
    """
    arch = types.target.arch
    first, word = arch.pointer(data, 0), arch.pointer(data, arch.pointer_size)
    if not first:
        return None
    t, direct = types.held(first, interface.methods)
    return t, word, direct


def descriptor_of(types: DescribedTypes, first: int, methods: bool) -> int:
    """Address of the dynamic type's descriptor. first: the interface's first word. Raises MemoryFault, GomapError."""
    if not methods:
        return first
    arch = types.target.arch  # runtime.itab: Inter, Type, ...
    found = arch.pointer(types.target.memory.read(first + arch.pointer_size, arch.pointer_size))
    if not found:
        raise GomapError("an interface's itab names no type")
    return found
