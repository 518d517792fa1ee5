"""Which hash functions a key type has: lists of parts, as the compiler makes them.

The compiler picks a hash function for every key type (cmd/compile/internal/reflectdata/alg.go, genhash):
memory, strings, floats and interfaces in the order of the key's parts, each part's hash the seed of the next.
How neighbouring parts are taken together changed with Go 1.27 (eqSignature), and maps that reflect makes hash
part by part (runtime.typehash), as do interfaces what they hold. All are compiled here to lists of parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable, Union

from gomap.errors import GomapError
from gomap.gotypes import GoType, Kind

#: Composite keys of more parts than this are not recomputed.
MAX_PARTS = 4096
#: Keys of more bytes than this, and strings in keys, are not hashed.
MAX_HASHED = 1 << 14


@dataclass(frozen=True)
class PlainBytes:
    """Plain bytes. whole: by memhash32 or memhash64 where they are 4 or 8, else always by memhash."""

    offset: int
    size: int
    whole: bool


@dataclass(frozen=True)
class Float:
    """A float of `size` bytes: runtime.f32hash or f64hash. +0 and -0 have one hash, a NaN has a random one."""

    offset: int
    size: int


@dataclass(frozen=True)
class String:
    """A string (address, length): runtime.strhash."""

    offset: int


@dataclass(frozen=True)
class Interface:
    """An interface: runtime.interhash for one with methods, else nilinterhash."""

    offset: int
    methods: bool


Part = Union[PlainBytes, Float, String, Interface]
Plan = tuple[Part, ...]


class _Unhashable(Exception):
    """No hash function is known for a type."""


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
        return [PlainBytes(offset, t.size, True)]
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
    """runtime.typehash: every part by itself, except that plain memory is hashed as a whole."""
    if as_memory:
        yield PlainBytes(offset, t.size, True)
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
                yield PlainBytes(offset + start, end - start, False)
                end = -1
            if plain:
                start = f.offset if end < 0 else start
                end = f.offset + f.type.size
            elif f.name != "_":
                yield from _genhash(f.type, offset + f.offset)
        if end >= 0:
            yield PlainBytes(offset + start, end - start, False)


def _compiled(t: GoType) -> Iterator[Part]:
    """genhash up to Go 1.26."""
    if not regular(t):
        yield from _genhash(t, 0)
    elif t.size:  # memhash0 leaves the seed as it is
        yield PlainBytes(0, t.size, True)


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
        yield PlainBytes(offset, t.size, True)
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
    held: PlainBytes | None = None
    for one in parts:
        if isinstance(one, PlainBytes) and held is not None and held.offset + held.size == one.offset:
            held = PlainBytes(held.offset, held.size + one.size, True)
            continue
        if held is not None and held.size:
            yield held
        held = one if isinstance(one, PlainBytes) else None
        if one is not None and not isinstance(one, PlainBytes):
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
