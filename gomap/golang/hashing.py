"""The hash of a map's key, recomputed: which functions its type uses, and their values in this process.

The compiler picks a hash function for every key type (cmd/compile/internal/reflectdata/alg.go, genhash):
memory, strings, floats and interfaces in the order of the key's parts, each part's hash the seed of the next.
How neighbouring parts are taken together changed with Go 1.27 (eqSignature), and maps that reflect makes hash
part by part (runtime.typehash), as do interfaces what they hold. All are compiled here to lists of parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Callable, Union

from gomap.arrays import numpy
from gomap.errors import GomapError, MemoryFault
from gomap.golang.memhash import MASK32, MASK64, Data, MemHash, Word, load, part
from gomap.golang.rtype import Types, descriptor_of
from gomap.gotypes import GoType, Kind, same
from gomap.memory import CHUNK, GAP
from gomap.target import Target

#: Composite keys of more parts than this are not recomputed.
MAX_PARTS = 4096
MAX_STRING = 1 << 24
#: Strings of more bytes than this are not hashed, and of those longer than LONG so many bytes of a map's, where
#: ROWS of one length cost as much as the first: this takes microseconds a byte, and a corrupt length must not
#: take minutes.
MAX_HASHED, LONG, LONG_BYTES, ROWS = 1 << 14, 1 << 10, 1 << 16, 512
#: Bytes of keys behind pointers that are read and hashed together.
FETCHED = 16 << 20
MAX_DEPTH = 16
#: Keys hashed at once: their columns stay in the processor's cache.
BATCH = 1 << 15

#: How sure a hash is. RANDOM: the key contains a NaN, whose hash is a new one every time (runtime.f64hash).
#: TOO_LONG: it was not computed.
KNOWN, RANDOM, UNREADABLE, TOO_LONG = 0, 1, 2, 3


@dataclass(frozen=True)
class Memory:
    """Plain bytes. whole: by memhash32 or memhash64 where they are 4 or 8, else always by memhash."""

    offset: int
    size: int
    whole: bool


@dataclass(frozen=True)
class Float:
    offset: int
    size: int


@dataclass(frozen=True)
class String:
    offset: int


@dataclass(frozen=True)
class Interface:
    offset: int
    methods: bool


Part = Union[Memory, Float, String, Interface]
Plan = tuple[Part, ...]


class TooLong(GomapError):
    """A key that is too long to hash it here."""


class _Unhashable(Exception):
    """No hash function is known for a type."""


# -- what the compiler makes of a type ---------------------------------------------------------------

_PLAIN = frozenset({Kind.BOOL, Kind.INT, Kind.UINT, Kind.POINTER, Kind.UNSAFE_POINTER, Kind.CHAN})


def regular(t: GoType) -> bool:
    """Compared and hashed as plain memory: AlgType is AMEM (cmd/compile/internal/types/alg.go, size.go)."""
    if t.kind is Kind.ARRAY:
        return t.length == 0 or regular(t.elem)
    if t.kind is Kind.STRUCT:
        if len(t.fields) == 1 and t.fields[0].name != "_":
            return regular(t.fields[0].type)
        ends = [f.offset for f in t.fields[1:]] + [t.size]
        return all(
            f.name != "_" and f.offset + f.type.size == end and regular(f.type) for f, end in zip(t.fields, ends)
        )
    return t.kind in _PLAIN


def _single(t: GoType, offset: int) -> list[Part] | None:
    """Parts of a type that has a function of its own; None for arrays and structs."""
    if t.kind in _PLAIN:
        return [Memory(offset, t.size, True)]
    if t.kind is Kind.FLOAT:
        return [Float(offset, t.size)]
    if t.kind is Kind.COMPLEX:
        return [Float(offset, t.size // 2), Float(offset + t.size // 2, t.size // 2)]
    if t.kind is Kind.STRING:
        return [String(offset)]
    if t.kind is Kind.INTERFACE:
        return [Interface(offset, t.methods)]
    if t.kind in (Kind.ARRAY, Kind.STRUCT):
        return None
    raise _Unhashable


def _repeated(t: GoType, offset: int, parts: Callable[[int], Iterator[Part]]) -> Iterator[Part]:
    """The parts of an array's elements. An array of what has no parts may be of any length."""
    for i in range(t.length):
        empty = True
        for one in parts(offset + i * t.elem.size):
            empty = False
            yield one
        if empty:
            return


def _typehash(t: GoType, offset: int, as_memory: bool) -> Iterator[Part]:
    """runtime.typehash: every part by itself, but what is plain memory as a whole."""
    if as_memory:
        yield Memory(offset, t.size, True)
        return
    single = _single(t, offset)
    if single is not None:
        yield from single
    elif t.kind is Kind.ARRAY:
        plain = regular(t.elem)
        yield from _repeated(t, offset, lambda at: _typehash(t.elem, at, plain))
    else:
        for f in t.fields:
            if f.name != "_":
                yield from _typehash(f.type, offset + f.offset, regular(f.type))


def _genhash(t: GoType, offset: int) -> Iterator[Part]:
    """The function that genhash makes up to Go 1.26 for a type that is not plain memory as a whole:
    runs of plain fields (compare.Memrun) go to memhash, whatever their size."""
    single = _single(t, offset)
    if single is not None:
        yield from single
    elif t.kind is Kind.ARRAY:
        yield from _repeated(t, offset, lambda at: _genhash(t.elem, at))
    else:
        start = end = -1
        for f in t.fields:
            plain = f.name != "_" and regular(f.type)
            if end >= 0 and not (plain and f.offset == end):
                yield Memory(offset + start, end - start, False)
                end = -1
            if plain:
                start = f.offset if end < 0 else start
                end = f.offset + f.type.size
            elif f.name != "_":
                yield from _genhash(f.type, offset + f.offset)
        if end >= 0:
            yield Memory(offset + start, end - start, False)


def _compiled(t: GoType) -> Iterator[Part]:
    """genhash up to Go 1.26."""
    if not regular(t):
        yield from _genhash(t, 0)
    elif t.size:  # memhash0 leaves the seed as it is
        yield Memory(0, t.size, True)


def _signature(t: GoType, offset: int) -> Iterator[Part | None]:
    """eqSigBuilder.build from Go 1.27 on; None where plain memory must not be taken together any further."""
    if t.kind is Kind.STRUCT:
        for f in t.fields:
            if f.name != "_":
                yield from _signature(f.type, offset + f.offset)
        return
    if t.kind is not Kind.ARRAY:
        yield from _single(t, offset) or ()
        return
    if regular(t):
        yield Memory(offset, t.size, True)
        return
    size, length = t.elem.size, t.length
    if length == 1:
        yield from _signature(t.elem, offset)
        return
    if not size:
        return
    unroll = max(1, 32 // size)
    ahead = length % unroll  # these are built in line, the rest is a loop over `unroll` at a time
    loops = (length - ahead) // unroll
    for i in range(length if any(_signature(t.elem, 0)) else 0):
        if i >= ahead and (i - ahead) % unroll == 0 and loops > 1:
            yield None
        yield from _signature(t.elem, offset + i * size)
    if loops > 1:
        yield None


def _joined(parts: Iterator[Part | None]) -> Iterator[Part]:
    """Neighbouring plain memory as one part each, as eqSigBuilder.regular collects it."""
    held: Memory | None = None
    for one in parts:
        if isinstance(one, Memory) and held is not None and held.offset + held.size == one.offset:
            held = Memory(held.offset, held.size + one.size, True)
            continue
        if held is not None and held.size:
            yield held
        held = one if isinstance(one, Memory) else None
        if one is not None and not isinstance(one, Memory):
            yield one
    if held is not None and held.size:
        yield held


def _made(parts: Iterator[Part]) -> Plan | None:
    found = []
    try:
        for one in parts:
            found.append(one)
            if len(found) > MAX_PARTS:
                return None
    except (_Unhashable, GomapError):
        return None
    return tuple(found)


def typehash_plan(t: GoType, as_memory: bool | None = None) -> Plan | None:
    """How runtime.typehash takes a value of type t apart. None: it can't be a key.

    as_memory: its descriptor has TFlagRegularMemory, which struct types made by reflect never have.
    """
    if t.size > MAX_HASHED:
        return None
    return _made(_typehash(t, 0, regular(t) if as_memory is None else as_memory))


def plans(t: GoType, signatures: bool) -> list[Plan]:
    """The hash functions that maps with keys of type t can have, the likeliest first.

    signatures: the compiler is that of Go 1.27 or newer. The others are those of maps made by reflect.
    """
    if t.size > MAX_HASHED:
        return []
    compiled = _made(_joined(_signature(t, 0)) if signatures else _compiled(t))
    if compiled is None:
        return []
    made = [compiled, typehash_plan(t), typehash_plan(t, False)]
    return list(dict.fromkeys(plan for plan in made if plan is not None))


# -- the process -------------------------------------------------------------------------------------

#: Where the runtime keeps its keys: internal/runtime/maps from Go 1.27 on.
_PACKAGES = (("internal/runtime/maps", "UseAeshash"), ("runtime", "useAeshash"))


def memhash_of(target: Target) -> tuple[MemHash, bool] | None:
    """(this process's hashes of memory, whether its compiler is that of Go 1.27 or newer); None if unknown.

    aeskeysched and hashkey moved in the version in which genhash changed: where they are says both.
    """
    arch, word = target.arch, target.arch.pointer_size
    for package, flag in _PACKAGES:
        key_address = target.symbol(f"{package}.hashkey")
        if key_address is None:
            continue
        moved = package != "runtime"
        try:
            data = target.memory.read(key_address, 4 * word)
            hashkey = tuple(arch.pointer(data, i * word) for i in range(4))
            aes = arch.name in ("amd64", "arm64", "386")
            flag_address = target.symbol(f"{package}.{flag}") if aes else None
            aes = flag_address is not None and target.memory.read(flag_address, 1) != b"\0"
            schedule_address = target.symbol(f"{package}.aeskeysched") if aes else None
            schedule: tuple[tuple[int, int, int, int], ...] = ()
            if schedule_address is not None:
                data = target.memory.read(schedule_address, word * 16)
                blocks = [data[at : at + 16] for at in range(0, len(data), 16)]
                schedule = tuple((load(b, 0, 4), load(b, 4, 4), load(b, 8, 4), load(b, 12, 4)) for b in blocks)
        except MemoryFault:
            return None
        if aes and not schedule:
            return None
        # The constants left the source when hashkey took their place (Go 1.23); m1 is too large for debug information.
        constants = not aes and word == 8 and not moved and target.variable("runtime.m4") is not None
        name = arch.name if aes else None
        return MemHash(name, schedule, hashkey, word, arch.byte_order, constants, not moved), moved
    return None


def hasher_of(target: Target, types: Types | None = None) -> Hasher:
    """The hasher of this process. Without its random keys it can still compare."""
    found = memhash_of(target)
    mem, signatures = found if found is not None else (None, False)
    return Hasher(target, mem, types or Types(target), signatures)


@dataclass
class Hasher:
    """Hashes keys as the process does. What an interface's first word stands for is looked up once each."""

    target: Target
    known: MemHash | None  # None: the process's random keys could not be read
    types: Types
    signatures: bool = False  # as `plans` has it
    #: Many keys are read in large blocks. None: nothing is read but what is asked for.
    pool: Pool | None = None
    #: First word of an interface -> (dynamic type, how it is hashed, whether the data word is the value).
    held: dict[tuple[int, bool], tuple[GoType, Plan | None, bool]] = field(default_factory=dict)
    #: Bytes of long strings that are still hashed; None: all.
    _long_left: int | None = None

    def __post_init__(self) -> None:
        wide = self.target.arch.pointer_size == 8
        self._c0 = 33054211828000289 if wide else 2860486313  # runtime/alg.go
        self._c1 = 23344194077549503 if wide else 3267000013
        self._mask = MASK64 if wide else MASK32

    def begin(self, bounded: bool) -> None:
        """Another map's keys come. bounded: many, of whose long strings only some are hashed."""
        self._long_left = LONG_BYTES if bounded else None

    def _affords(self, length: int, rows: int = 1) -> bool:
        """Whether so many strings of this length are hashed."""
        if length > LONG and self._long_left is not None:
            cost = length + length * rows // ROWS
            if length > MAX_HASHED or cost > self._long_left:
                return False
            self._long_left -= cost
        return True

    @property
    def mem(self) -> MemHash:
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
        if isinstance(one, Memory):
            return int(self._memory(one, key, h))
        if isinstance(one, Float):
            zero, nan = self._float(key, one)
            if nan:
                return None
            if zero:
                return self._c1 * (self._c0 ^ h) & self._mask
            return int(self.mem.memhash(part(key, one.offset, one.size), one.size, h))
        if isinstance(one, String):
            length = self.target.arch.pointer(key, one.offset + self.target.arch.pointer_size)
            # Before it is read: what a corrupt map says of thousands of keys may come to gigabytes.
            if length <= MAX_STRING and not self._affords(length):
                raise TooLong(f"a key of {length:,} bytes is too long to hash it here")
            content = self.string(key, one.offset)
            return int(self.mem.memhash(content, len(content), h))
        held = self.interface(key, one)
        if held is None:
            return h
        _, plan, content = held
        if plan is None or depth > MAX_DEPTH:
            raise GomapError("an interface holds what can't be hashed")
        inner: int | None = h ^ self._c0
        for step in plan:
            assert inner is not None
            inner = self._part(step, content, inner, depth + 1)
            if inner is None:
                return None
        assert inner is not None
        return self._c1 * inner & self._mask

    def _memory(self, one: Memory, key: Data, h: Word) -> Word:
        content = part(key, one.offset, one.size)
        if one.whole and one.size == 4:
            return self.mem.memhash32(content, h)
        if one.whole and one.size == 8:
            return self.mem.memhash64(content, h)
        return self.mem.memhash(content, one.size, h)

    def _float(self, key: Data, one: Float) -> tuple[Any, Any]:
        """(is it zero of either sign, is it a NaN)."""
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
        if isinstance(one, Memory):
            return bool(part(a, one.offset, one.size) == part(b, one.offset, one.size))
        if isinstance(one, Float):
            (zero_a, nan_a), (zero_b, _) = self._float(a, one), self._float(b, one)
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

    # -- many keys -------------------------------------------------------------------------------

    def hash_many(self, plan: Plan, keys: Data, seed: Word) -> tuple[Any, Any]:
        """Hashes of all rows of a numpy matrix of uint8, and for each KNOWN, RANDOM or UNREADABLE."""
        np = numpy()
        assert np is not None
        hashes, states = np.zeros(len(keys), np.uint64), np.zeros(len(keys), np.uint8)
        for start in range(0, len(keys), BATCH):
            rows = slice(start, start + BATCH)
            begin = seed if isinstance(seed, int) else seed[rows]
            hashes[rows], states[rows] = self._batch(plan, keys[rows], begin, 0)
        return hashes, states

    def _batch(self, plan: Plan, keys: Data, h: Word, depth: int) -> tuple[Any, Any]:
        np = numpy()
        assert np is not None
        states = np.zeros(len(keys), np.uint8)
        for one in plan:
            if isinstance(one, Memory):
                h = self._memory(one, keys, h)
            elif isinstance(one, Float):
                zero, nan = self._float(keys, one)
                plain = self.mem.memhash(part(keys, one.offset, one.size), one.size, h)
                c0, c1 = np.uint64(self._c0), np.uint64(self._c1)
                of_zero = c1 * (c0 ^ np.asarray([h] if isinstance(h, int) else h, np.uint64)) & np.uint64(self._mask)
                h = np.where(zero, of_zero, plain)
                states[nan] = RANDOM
            elif isinstance(one, String):
                h = self._strings(one, keys, h, states)
            else:
                h = self._interfaces(one, keys, h, states, depth)
        return (np.full(len(keys), h, np.uint64) if isinstance(h, int) else h), states

    def fetch(self, pointers: Any, size: int) -> tuple[Any, Any]:
        """As the function of this name."""
        return fetch(self.target, pointers, size) if self.pool is None else self.pool.fetch(pointers, size)

    def _pointers(self, keys: Data, offset: int) -> Any:
        arch = self.target.arch
        return load(keys, offset, arch.pointer_size, arch.byte_order).astype("uint64", copy=False)

    def _strings(self, one: String, keys: Data, h: Word, states: Any) -> Any:
        np = numpy()
        assert np is not None
        pointers = self._pointers(keys, one.offset)
        lengths = self._pointers(keys, one.offset + self.target.arch.pointer_size)
        result = np.zeros(len(keys), np.uint64)
        order = np.argsort(lengths, kind="stable")
        starts = np.flatnonzero(np.diff(lengths[order], prepend=np.uint64(MASK64)))
        for rows in np.split(order, starts[1:]):
            length = int(lengths[rows[0]])
            step = max((CHUNK * 8) // max(length, 1), 1)
            for at in range(0, len(rows), step):
                some = rows[at : at + step]
                if length > MAX_STRING or not self._affords(length, len(some)):
                    states[some] = UNREADABLE if length > MAX_STRING else TOO_LONG
                    continue
                contents, readable = self.fetch(pointers[some], length)
                result[some] = self.mem.memhash(contents, length, h if isinstance(h, int) else h[some])
                states[some[~readable]] = UNREADABLE
        return result

    def _interfaces(self, one: Interface, keys: Data, h: Word, states: Any, depth: int) -> Any:
        np = numpy()
        assert np is not None
        firsts = self._pointers(keys, one.offset)
        words = np.ascontiguousarray(
            part(keys, one.offset + self.target.arch.pointer_size, self.target.arch.pointer_size)
        )
        result = np.full(len(keys), h, np.uint64) if isinstance(h, int) else h.copy()
        for first in np.unique(firsts):
            if not first:
                continue
            rows = np.flatnonzero(firsts == first)
            try:
                t, plan, direct = self.dynamic(int(first), one.methods)
            except GomapError:
                states[rows] = UNREADABLE
                continue
            if plan is None or depth > MAX_DEPTH:
                states[rows] = UNREADABLE
                continue
            step = max(FETCHED // max(t.size, 1), 1)
            for some in (rows[at : at + step] for at in range(0, len(rows), step)):
                readable = np.ones(len(some), bool)
                contents = words[some]
                if not direct:
                    contents, readable = self.fetch(self._pointers(contents, 0), t.size)
                inner, inner_states = self._batch(plan, contents, result[some] ^ np.uint64(self._c0), depth + 1)
                result[some] = inner * np.uint64(self._c1) & np.uint64(self._mask)
                states[some] = np.maximum(states[some], np.where(readable, inner_states, UNREADABLE))
        return result


class Pool:
    """Large blocks of the target's memory, kept while a map's keys are hashed batch by batch: a batch's keys lie
    in all corners of the heap, and the next batch's lie between them."""

    BLOCK = 1 << 16
    MOST = 3000  # blocks

    def __init__(self, target: Target) -> None:
        np = numpy()
        assert np is not None
        self._target = target
        self._data = np.zeros(64 * self.BLOCK, np.uint8)
        self._places: dict[int, int] = {}  # number of a block -> where it is, -1 when it can't be read

    def fetch(self, pointers: Any, size: int) -> tuple[Any, Any]:
        """As the function of this name."""
        np = numpy()
        assert np is not None
        if size > self.BLOCK // 16 or len(pointers) < 512 or not size:
            return fetch(self._target, pointers, size)
        numbers = pointers // np.uint64(self.BLOCK)
        needed, which = np.unique(numbers, return_inverse=True)
        if len(self._places) + len(needed) > self.MOST:
            self._places.clear()
            if len(needed) > self.MOST:
                return fetch(self._target, pointers, size)
        bases = np.array([self._place(number) for number in needed.tolist()], np.int64)[which]
        offsets = (pointers - numbers * np.uint64(self.BLOCK)).astype(np.int64)
        inside = (bases >= 0) & (offsets + size <= self.BLOCK)
        found = np.lib.stride_tricks.sliding_window_view(self._data, size)[np.where(inside, bases + offsets, 0)]
        readable = np.ones(len(pointers), bool)
        rest = np.flatnonzero(~inside)
        if len(rest):
            found[rest], readable[rest] = fetch(self._target, pointers[rest], size)
        return found, readable

    def _place(self, number: int) -> int:
        place = self._places.get(number)
        if place is None:
            np = numpy()
            assert np is not None
            place = len(self._places) * self.BLOCK
            try:
                block = self._target.memory.read(number * self.BLOCK, self.BLOCK)
            except MemoryFault:
                self._places[number] = -1
                return -1
            if place + self.BLOCK > len(self._data):
                self._data = np.concatenate([self._data, np.zeros(len(self._data), np.uint8)])
            self._data[place : place + self.BLOCK] = np.frombuffer(block, np.uint8)
            self._places[number] = place
        return place


def fetch(target: Target, pointers: Any, size: int) -> tuple[Any, Any]:
    """Objects of `size` bytes at each of a numpy array of addresses: (matrix of uint8, which were readable).

    Neighbours are fetched in one read, as memory.gather does for a list.
    """
    np = numpy()
    assert np is not None
    found, readable = np.zeros((len(pointers), size), np.uint8), np.ones(len(pointers), bool)
    if not size or not len(pointers):
        return found, readable
    order = np.argsort(pointers, kind="stable")
    ordered = pointers[order]
    gaps = np.flatnonzero(np.diff(ordered) > np.uint64(size + GAP)) + 1
    for start, end in zip([0, *gaps.tolist()], [*gaps.tolist(), len(ordered)]):
        while start < end:
            base = int(ordered[start])
            limit = np.uint64(min(base + max(CHUNK - size, 0), MASK64))
            stop = start + int(np.searchsorted(ordered[start:end], limit, "right"))
            stop = max(stop, start + 1)
            _fetch_run(target, ordered[start:stop], size, order[start:stop], found, readable)
            start = stop
    return found, readable


def _fetch_run(target: Target, ordered: Any, size: int, rows: Any, found: Any, readable: Any) -> None:
    np = numpy()
    assert np is not None
    base, last = int(ordered[0]), int(ordered[-1])
    try:
        data = np.frombuffer(target.memory.read(base, last + size - base), np.uint8)
    except MemoryFault:
        if len(rows) == 1:
            readable[rows] = False
            return
        for i in range(len(rows)):
            _fetch_run(target, ordered[i : i + 1], size, rows[i : i + 1], found, readable)
        return
    at = (ordered - np.uint64(base)).astype(np.intp)
    # Every position at which an object may start, as one row: nothing is copied but what is wanted.
    windows = np.lib.stride_tricks.sliding_window_view(data, size)
    found[rows] = windows[at]
