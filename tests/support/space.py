"""Synthetic targets: memory laid out by hand, types as debug information would give them, and a Target."""

from __future__ import annotations

import bisect
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gomap.errors import MemoryFault
from gomap.gotypes import Field, GoType, Kind, fixed
from gomap.recorded import ImageTarget
from gomap.target import Arch, Variable

DATA = Path(__file__).parent / "data"

AMD64 = Arch("amd64", 8, "little")
I386 = Arch("386", 4, "little")
S390X = Arch("s390x", 8, "big")
MIPS = Arch("mips", 4, "big")
ARCHES = (AMD64, I386, S390X, MIPS)


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text("utf-8"))


# -- types -------------------------------------------------------------------------------------------


def scalar(kind: Kind, name: str, size: int) -> GoType:
    return GoType(kind, name, size)


def basic(name: str, word: int = 8) -> GoType:
    """int, uint8, float32, bool, complex64, string, uintptr, ... by name."""
    if name == "string":
        return GoType(Kind.STRING, name, 2 * word)
    if name == "bool":
        return GoType(Kind.BOOL, name, 1)
    letters = name.rstrip("0123456789")
    bits = int(name[len(letters) :] or 8 * word)
    kinds = {
        "int": Kind.INT,
        "uint": Kind.UINT,
        "uintptr": Kind.UINT,
        "float": Kind.FLOAT,
        "complex": Kind.COMPLEX,
    }
    return GoType(kinds[letters], name, bits // 8)


def pointer(elem: GoType, word: int = 8, name: str = "") -> GoType:
    return GoType(Kind.POINTER, name or f"*{elem.name}", word, lazy_elem=fixed(elem))


def array_of(length: int, elem: GoType, name: str = "") -> GoType:
    return GoType(Kind.ARRAY, name or f"[{length}]{elem.name}", length * elem.size, length, lazy_elem=fixed(elem))


def slice_of(elem: GoType, word: int = 8) -> GoType:
    return GoType(Kind.SLICE, f"[]{elem.name}", 3 * word, lazy_elem=fixed(elem))


def align(t: GoType, word: int) -> int:
    """Alignment, by cmd/compile/internal/types/size.go, CalcSize: 64-bit types have 4 on 32-bit machines."""
    if t.kind is Kind.STRUCT:
        return max([1, *(align(f.type, word) for f in t.fields)])
    if t.kind is Kind.ARRAY:
        return align(t.elem, word)
    if t.kind is Kind.COMPLEX:
        return min(t.size // 2, word)
    if t.kind in (Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT):
        return min(t.size, word)
    return word


def struct(name: str, word: int, fields: Sequence[tuple[str, GoType]], embedded: Sequence[str] = ()) -> GoType:
    """A struct as the compiler lays it out: cmd/compile/internal/types/size.go, CalcStructSize.

    A zero-sized last field gets a byte of padding, so that its address lies inside the struct.
    """
    made, offset, widest = [], 0, 1
    for field_name, t in fields:
        to = align(t, word)
        widest = max(widest, to)
        offset = -(-offset // to) * to
        made.append(Field(field_name, offset, t, field_name in embedded))
        offset += t.size
    if made and offset and not made[-1].type.size:
        offset += 1
    return GoType(Kind.STRUCT, name, -(-offset // widest) * widest, fields=tuple(made))


# -- the allocator -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heap:
    """What runtime.roundupsize says, by the table that a Go program printed (data/roundup/main.go)."""

    scan: list[tuple[int, int]]
    noscan: list[tuple[int, int]]
    word: int
    headers: bool

    def rounded(self, size: int, scan: bool) -> int:
        steps = self.scan if scan else self.noscan
        if size > 1 << 16:
            return -(-size // 8192) * 8192
        return steps[bisect.bisect_right(steps, (size, 1 << 62)) - 1][1] if size else 0

    def taken(self, size: int, scan: bool) -> int:
        """Bytes of the heap: what the object may use, and the malloc header before it (from Go 1.22 on)."""
        header = 8 if scan and self.headers and 8 * self.word * self.word < size <= 32768 - 8 else 0
        return self.rounded(size, scan) + header


def heap(word: int, headers: bool) -> Heap:
    go = "go1.27.3" if headers else "go1.21.13"
    row = next(row for row in load("roundup.json") if row["go"] == go and row["pointer"] == word)
    return Heap([tuple(s) for s in row["scan"]], [tuple(s) for s in row["noscan"]], word, headers)


# -- memory and target -------------------------------------------------------------------------------


@dataclass
class Space:
    """Memory that grows by allocation. Everything outside, and every hole, faults. Counts what is read."""

    arch: Arch
    base: int = 0
    data: bytearray = field(default_factory=bytearray)
    holes: list[tuple[int, int]] = field(default_factory=list)
    reads: int = 0
    bytes_read: int = 0
    largest: int = 0

    def __post_init__(self) -> None:
        self.base = self.base or (0xC000010000 if self.arch.pointer_size == 8 else 0x8C10000)

    def alloc(self, size: int, gap: int = 0) -> int:
        """Zeroed memory, 16-byte aligned, with an unreadable gap behind it where one is wanted."""
        self.data += bytes(-len(self.data) % 16)
        address = self.base + len(self.data)
        self.data += bytes(max(size, 1))
        if gap:
            self.holes.append((self.base + len(self.data), gap))
            self.data += bytes(gap)
        return address

    def put(self, data: bytes) -> int:
        """The address of a fresh copy of data."""
        address = self.alloc(len(data))
        self.write(address, data)
        return address

    def write(self, address: int, data: bytes) -> None:
        start = address - self.base
        assert start >= 0 and start + len(data) <= len(self.data), "a write outside of the space"
        self.data[start : start + len(data)] = data

    def word(self, value: int) -> bytes:
        return self.arch.pack(value % (1 << 8 * self.arch.pointer_size))

    def uint(self, value: int, size: int) -> bytes:
        return value.to_bytes(size, "little" if self.arch.byte_order == "little" else "big")

    def string(self, raw: bytes) -> bytes:
        """The header of a string with these bytes."""
        return self.word(self.put(raw) if raw else 0) + self.word(len(raw))

    def slice(self, data: bytes, length: int) -> bytes:
        """The header of a slice over these bytes."""
        return self.word(self.put(data)) + self.word(length) + self.word(length)

    def record(self, t: GoType, **values: int) -> bytes:
        """A runtime struct with these integers in its fields, zero in the others."""
        raw = bytearray(t.size)
        for name, value in values.items():
            found = t.field(name)
            assert found is not None, f"{t.name} has no field {name}"
            raw[found.offset : found.offset + found.type.size] = self.uint(value, found.type.size)
        return bytes(raw)

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        self.bytes_read += size
        self.largest = max(self.largest, size)
        start = address - self.base
        if size < 0 or start < 0 or start + size > len(self.data):
            raise MemoryFault(address, size, "outside of the space")
        for hole, length in self.holes:
            if address < hole + length and hole < address + size:
                raise MemoryFault(hole, size, "a hole")
        return bytes(self.data[start : start + size])


def fake_target(arch: Arch, memory: Any, types: dict[str, GoType] | None = None) -> ImageTarget:
    """A target over this memory, as of a program that is stopped in package main."""
    return ImageTarget(arch, memory, package="main", go_version="go1.99", kind="live", types=types or {})


def add(target: ImageTarget, name: str, t: GoType, data: bytes) -> Variable:
    """A variable of that type with its value in memory."""
    variable = target.variables[name] = Variable(name, t, target.memory.put(data))
    return variable


def mspan(headers: bool, word: int) -> GoType:
    """runtime.mspan, as far as it tells whether the allocator puts malloc headers in front of objects."""
    fields = [("startAddr", basic("uintptr", word))]
    if headers:
        fields.append(("largeType", basic("uintptr", word)))
    return struct("runtime.mspan", word, fields)


def target(arch: Arch, headers: bool = True) -> tuple[ImageTarget, Space]:
    """An empty target and its memory."""
    space = Space(arch)
    types = {"runtime.mspan": mspan(headers, arch.pointer_size)}
    return fake_target(arch, space, types), space
