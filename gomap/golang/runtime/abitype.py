"""abi.Type: what is in front of every type descriptor, and what its numbers mean (internal/abi/type.go)."""

from __future__ import annotations

from dataclasses import dataclass

from gomap.gotypes import POINTER_KINDS, Kind

#: reflect.Kind by number: (Kind, Go's name of the basic type).
KINDS = (
    (Kind.OPAQUE, ""),
    (Kind.BOOL, "bool"),
    (Kind.INT, "int"),
    (Kind.INT, "int8"),
    (Kind.INT, "int16"),
    (Kind.INT, "int32"),
    (Kind.INT, "int64"),
    (Kind.UINT, "uint"),
    (Kind.UINT, "uint8"),
    (Kind.UINT, "uint16"),
    (Kind.UINT, "uint32"),
    (Kind.UINT, "uint64"),
    (Kind.UINT, "uintptr"),
    (Kind.FLOAT, "float32"),
    (Kind.FLOAT, "float64"),
    (Kind.COMPLEX, "complex64"),
    (Kind.COMPLEX, "complex128"),
    (Kind.ARRAY, ""),
    (Kind.CHAN, ""),
    (Kind.FUNC, ""),
    (Kind.INTERFACE, ""),
    (Kind.MAP, ""),
    (Kind.POINTER, ""),
    (Kind.SLICE, ""),
    (Kind.STRING, "string"),
    (Kind.STRUCT, ""),
    (Kind.UNSAFE_POINTER, "unsafe.Pointer"),
)
SIZES = {
    Kind.BOOL: (1,),
    Kind.INT: (1, 2, 4, 8),
    Kind.UINT: (1, 2, 4, 8),
    Kind.FLOAT: (4, 8),
    Kind.COMPLEX: (8, 16),
}
#: Sizes in words.
WORDS = {Kind.STRING: 2, Kind.SLICE: 3, Kind.INTERFACE: 2, **dict.fromkeys(POINTER_KINDS, 1)}
KIND_MASK = 0x1F
DIRECT_IFACE = 1 << 5  # in Kind_ up to 1.25 (KindDirectIface), in TFlag from 1.26 on (TFlagDirectIface)
TFLAG_UNCOMMON, TFLAG_EXTRA_STAR, TFLAG_NAMED, TFLAG_REGULAR_MEMORY = 1, 2, 4, 8
NAME_EMBEDDED = 1 << 3
#: Bytes of abi.UncommonType.
UNCOMMON_SIZE = 16
MAX_NAME = 4096
MAX_SIZE_BITS = 50
MAX_FIELDS = MAX_PARAMETERS = 4096
MAX_DEPTH = 64  # of types within types
MAX_TYPE_NAME = 1 << 14
#: Fields and array elements that a value consists of, an array's counted once: more has no type of a program.
MAX_WEIGHT = 1 << 14

#: Names of the type descriptor of maps, newest first.
MAP_DESCRIPTORS = (
    "internal/abi.MapType",
    "internal/abi.SwissMapType",
    "internal/abi.OldMapType",
    "runtime.maptype",
)


@dataclass(frozen=True)
class Descriptor:
    """The leading words of one *abi.Type."""

    address: int
    size: int
    ptr_bytes: int
    tflag: int
    kind: int
    name_off: int

    @property
    def direct(self) -> bool:
        """A value of this type is the data word of an interface itself, not behind it."""
        return bool((self.kind | self.tflag) & DIRECT_IFACE)

    @property
    def regular_memory(self) -> bool:
        """Values of this type are compared and hashed as plain bytes, as a whole."""
        return bool(self.tflag & TFLAG_REGULAR_MEMORY)
