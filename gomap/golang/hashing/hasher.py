"""The hash of a map's key, recomputed as the process does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gomap.columns.with_numpy import Pool
from gomap.errors import GomapError, MemoryFault
from gomap.golang.hashing.memhash import MASK32, MASK64, Data, MemHash, Word, load, part
from gomap.golang.hashing.plans import (
    MAX_HASHED,
    Float,
    Interface,
    Part,
    PlainBytes,
    Plan,
    String,
    plans,
    typehash_plan,
)
from gomap.golang.hashing.process import memhash_of
from gomap.golang.runtime.rtype import DescribedTypes, descriptor_of
from gomap.gotypes import GoType, same
from gomap.target import Target

MAX_STRING = 1 << 24
#: Strings of more bytes than MAX_HASHED are not hashed, and of those longer than LONG so many bytes of a map's, where
#: ROWS of one length cost as much as the first: this takes microseconds a byte, and a corrupt length must not
#: take minutes.
LONG, LONG_BYTES, ROWS = 1 << 10, 1 << 16, 512
MAX_DEPTH = 16


class TooLong(GomapError):
    """A key that is too long to hash it here."""


@dataclass
class Hasher:
    """Hashes keys as the process does. The type behind an interface's first word is looked up once for each word."""

    target: Target
    known: MemHash | None  # None: the process's random keys could not be read
    types: DescribedTypes
    signatures: bool = False  # as `plans` has it
    #: Reads many keys in large blocks; None: each key is read by itself.
    pool: Pool | None = None
    #: First word of an interface -> (dynamic type, how it is hashed, whether the data word is the value).
    held: dict[tuple[int, bool], tuple[GoType, Plan | None, bool]] = field(default_factory=dict)
    #: Bytes of long strings that are still hashed; None: all.
    _long_left: int | None = None

    def __post_init__(self) -> None:
        wide = self.target.arch.pointer_size == 8
        self.c0 = 33054211828000289 if wide else 2860486313  # runtime/alg.go
        self.c1 = 23344194077549503 if wide else 3267000013
        self.mask = MASK64 if wide else MASK32

    def begin(self, bounded: bool) -> None:
        """Another map's keys come. bounded: many, of whose long strings only some are hashed."""
        self._long_left = LONG_BYTES if bounded else None

    def affords(self, length: int, rows: int = 1) -> bool:
        """Whether so many strings of this length are hashed."""
        if length > LONG and self._long_left is not None:
            cost = length + length * rows // ROWS
            if length > MAX_HASHED or cost > self._long_left:
                return False
            self._long_left -= cost
        return True

    @property
    def mem(self) -> MemHash:
        """How the process hashes memory. Raises GomapError where its random keys can't be found."""
        if self.known is None:
            raise GomapError("the random keys of the process's hash functions can't be found")
        return self.known

    def plans(self, t: GoType) -> list[Plan]:
        """The functions that may hash keys of type t in this process; none where that is not known."""
        return [] if self.known is None else plans(t, self.signatures)

    def hash(self, plan: Plan, key: bytes, seed: int) -> int | None:
        """The key's hash, None when it is a new one every time. Raises MemoryFault, GomapError."""
        h: int = seed
        for one in plan:
            found = self._part(one, key, h, 0)
            if found is None:
                return None
            h = found
        return h

    def _part(self, one: Part, key: bytes, h: int, depth: int) -> int | None:
        if isinstance(one, PlainBytes):
            return int(self.memory(one, key, h))
        if isinstance(one, Float):
            zero, nan = self.of_float(key, one)
            if nan:
                return None
            if zero:
                return self.c1 * (self.c0 ^ h) & self.mask
            return int(self.mem.memhash(part(key, one.offset, one.size), one.size, h))
        if isinstance(one, String):
            length = self.target.arch.pointer(key, one.offset + self.target.arch.pointer_size)
            # Before it is read: what a corrupt map says of thousands of keys may come to gigabytes.
            if length <= MAX_STRING and not self.affords(length):
                raise TooLong(f"a key of {length:,} bytes is too long to hash it here")
            content = self.string(key, one.offset)
            return int(self.mem.memhash(content, len(content), h))
        held = self.interface(key, one)
        if held is None:
            return h
        _, plan, content = held
        if plan is None or depth > MAX_DEPTH:
            raise GomapError("an interface holds a value that can't be hashed")
        inner: int | None = h ^ self.c0
        for step in plan:
            assert inner is not None
            inner = self._part(step, content, inner, depth + 1)
            if inner is None:
                return None
        assert inner is not None
        return self.c1 * inner & self.mask

    def memory(self, one: PlainBytes, key: Data, h: Word) -> Word:
        """The hash of these bytes, of one key or of a column of keys."""
        content = part(key, one.offset, one.size)
        if one.whole and one.size == 4:
            return self.mem.memhash32(content, h)
        if one.whole and one.size == 8:
            return self.mem.memhash64(content, h)
        return self.mem.memhash(content, one.size, h)

    def of_float(self, key: Data, one: Float) -> tuple[Any, Any]:
        """(is it zero of either sign, is it a NaN), of one key or of a column of keys."""
        bits = load(key, one.offset, one.size, self.target.arch.byte_order)
        magnitude = bits & (0x7FFFFFFF if one.size == 4 else (1 << 63) - 1)
        return magnitude == 0, magnitude > (0x7F800000 if one.size == 4 else 0x7FF << 52)

    def string(self, key: bytes, offset: int) -> bytes:
        """The bytes of the string at `offset` of the key. Raises MemoryFault."""
        arch = self.target.arch
        pointer, length = arch.pointer(key, offset), arch.pointer(key, offset + arch.pointer_size)
        if length > MAX_STRING:
            raise MemoryFault(pointer, length, "no string is that long")
        return self.target.memory.read(pointer, length) if length else b""

    def interface(self, key: bytes, one: Interface) -> tuple[GoType, Plan | None, bytes] | None:
        """What the interface holds: (type, how it is hashed, bytes); None when it is nil. Raises MemoryFault."""
        arch = self.target.arch
        first, word = arch.pointer(key, one.offset), arch.pointer(key, one.offset + arch.pointer_size)
        if not first:
            return None
        t, plan, direct = self.dynamic(first, one.methods)
        if direct:
            return t, plan, arch.pack(word)
        return t, plan, self.target.memory.read(word, t.size) if t.size else b""

    def dynamic(self, first: int, methods: bool) -> tuple[GoType, Plan | None, bool]:
        """What an interface's first word says of the value in it: the type, how that is hashed (None: no hash function
        is known), and whether the second word is the value itself.

        first: *runtime.itab where the interface type has methods, else *abi.Type.
        """
        found = self.held.get((first, methods))
        if found is None:
            address = descriptor_of(self.types, first, methods)
            t, d = self.types.at(address), self.types.descriptor(address)
            found = self.held[first, methods] = (t, typehash_plan(t, d.regular_memory), d.direct)
        return found

    # -- equality --------------------------------------------------------------------------------

    def equal(self, plan: Plan, a: bytes, b: bytes, depth: int = 0) -> bool:
        """Whether two keys are equal, as Go's == has it. Raises MemoryFault, GomapError."""
        return all(self._equal(one, a, b, depth) for one in plan)

    def _equal(self, one: Part, a: bytes, b: bytes, depth: int) -> bool:
        if isinstance(one, PlainBytes):
            return bool(part(a, one.offset, one.size) == part(b, one.offset, one.size))
        if isinstance(one, Float):
            (zero_a, nan_a), (zero_b, _) = self.of_float(a, one), self.of_float(b, one)
            alike = bool(part(a, one.offset, one.size) == part(b, one.offset, one.size))
            return not nan_a and (alike or (zero_a and zero_b))
        if isinstance(one, String):
            return self._lengths(a, b, one) and self.string(a, one.offset) == self.string(b, one.offset)
        first, second = self.interface(a, one), self.interface(b, one)
        if first is None or second is None:
            return first is second
        if first[1] is None or depth > MAX_DEPTH or not self._same_type(first[0], second[0]):
            return False
        return self.equal(first[1], first[2], second[2], depth + 1)

    def _same_type(self, one: GoType, other: GoType) -> bool:
        """Whether types that interfaces hold are one. A type of the program is one object, as it has one descriptor;
        that of a key typed by the user has none, and is any that is called so and consists of the same."""
        return one is other or (self.types.is_pretended(one, other) and same(one, other))

    def _lengths(self, a: bytes, b: bytes, one: String) -> bool:
        word = self.target.arch.pointer_size
        at = one.offset + word
        return a[at : at + word] == b[at : at + word]


def hasher_of(target: Target, types: DescribedTypes | None = None) -> Hasher:
    """The hasher of this process. Without its random keys it can still compare."""
    found = memhash_of(target)
    mem, signatures = found if found is not None else (None, False)
    return Hasher(target, mem, types or DescribedTypes(target), signatures)
