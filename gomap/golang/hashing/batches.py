"""The hashes of many keys: columns of them with numpy, one after another without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gomap.columns.choose import columns
from gomap.columns.plain import Numbers, Rows
from gomap.errors import GomapError
from gomap.golang.hashing.hasher import MAX_DEPTH, MAX_STRING, Hasher, TooLong
from gomap.golang.hashing.memhash import MASK64, Data, Word, load, part
from gomap.golang.hashing.plans import Float, Interface, PlainBytes, Plan, String
from gomap.memory import CHUNK

#: Bytes of keys behind pointers that are read and hashed together.
FETCHED = 16 << 20
#: Keys hashed at once: their columns stay in the processor's cache.
BATCH = 1 << 15

#: How sure a hash is. RANDOM: the key contains a NaN, whose hash is a new one every time (runtime.f64hash).
#: TOO_LONG: it was not computed.
KNOWN, RANDOM, UNREADABLE, TOO_LONG = 0, 1, 2, 3


def hash_many(hasher: Hasher, plan: Plan, keys: Rows, seed: Word) -> tuple[Numbers, Numbers]:
    """Hashes of all rows of keys, and for each KNOWN, RANDOM, UNREADABLE or TOO_LONG."""
    many = columns()
    if many.plain:
        found = [_known(hasher, plan, key, seed) for key in keys]
        return [hash_ for hash_, _ in found], [state for _, state in found]
    np = many.np
    hashes, states = np.zeros(len(keys), np.uint64), np.zeros(len(keys), np.uint8)
    batches = _Batches(hasher, np)
    for start in range(0, len(keys), BATCH):
        rows = slice(start, start + BATCH)
        begin = seed if isinstance(seed, int) else seed[rows]
        hashes[rows], states[rows] = batches.hashed(plan, keys[rows], begin, 0)
    return hashes, states


def _known(hasher: Hasher, plan: Plan, key: bytes, seed: int) -> tuple[int, int]:
    try:
        hash_ = hasher.hash(plan, key, seed)
    except TooLong:
        return 0, TOO_LONG
    except GomapError:
        return 0, UNREADABLE
    return (0, RANDOM) if hash_ is None else (hash_, KNOWN)


def fetch(hasher: Hasher, pointers: Numbers, size: int) -> tuple[Rows, Numbers]:
    """Keys of `size` bytes at each of the addresses, and which of them could be read."""
    if hasher.pool is not None:
        return hasher.pool.fetch(pointers, size)
    return columns().fetch(hasher.target.memory, pointers, size)


@dataclass(frozen=True)
class _Batches:
    """Columns of keys, with numpy."""

    hasher: Hasher
    np: Any

    def hashed(self, plan: Plan, keys: Data, h: Word, depth: int) -> tuple[Any, Any]:
        np, hasher = self.np, self.hasher
        states = np.zeros(len(keys), np.uint8)
        for one in plan:
            if isinstance(one, PlainBytes):
                h = hasher.memory(one, keys, h)
            elif isinstance(one, Float):
                zero, nan = hasher.of_float(keys, one)
                plain = hasher.mem.memhash(part(keys, one.offset, one.size), one.size, h)
                c0, c1 = np.uint64(hasher.c0), np.uint64(hasher.c1)
                of_zero = c1 * (c0 ^ np.asarray([h] if isinstance(h, int) else h, np.uint64)) & np.uint64(hasher.mask)
                h = np.where(zero, of_zero, plain)
                states[nan] = RANDOM
            elif isinstance(one, String):
                h = self._strings(one, keys, h, states)
            else:
                h = self._interfaces(one, keys, h, states, depth)
        return (np.full(len(keys), h, np.uint64) if isinstance(h, int) else h), states

    def _pointers(self, keys: Data, offset: int) -> Any:
        arch = self.hasher.target.arch
        return load(keys, offset, arch.pointer_size, arch.byte_order).astype("uint64", copy=False)

    def _strings(self, one: String, keys: Data, h: Word, states: Any) -> Any:
        np, hasher = self.np, self.hasher
        pointers = self._pointers(keys, one.offset)
        lengths = self._pointers(keys, one.offset + hasher.target.arch.pointer_size)
        result = np.zeros(len(keys), np.uint64)
        order = np.argsort(lengths, kind="stable")
        starts = np.flatnonzero(np.diff(lengths[order], prepend=np.uint64(MASK64)))
        for rows in np.split(order, starts[1:]):
            length = int(lengths[rows[0]])
            step = max((CHUNK * 8) // max(length, 1), 1)
            for at in range(0, len(rows), step):
                some = rows[at : at + step]
                if length > MAX_STRING or not hasher.affords(length, len(some)):
                    states[some] = UNREADABLE if length > MAX_STRING else TOO_LONG
                    continue
                contents, readable = fetch(hasher, pointers[some], length)
                result[some] = hasher.mem.memhash(contents, length, h if isinstance(h, int) else h[some])
                states[some[~readable]] = UNREADABLE
        return result

    def _interfaces(self, one: Interface, keys: Data, h: Word, states: Any, depth: int) -> Any:
        np, hasher = self.np, self.hasher
        firsts = self._pointers(keys, one.offset)
        words = np.ascontiguousarray(
            part(keys, one.offset + hasher.target.arch.pointer_size, hasher.target.arch.pointer_size)
        )
        result = np.full(len(keys), h, np.uint64) if isinstance(h, int) else h.copy()
        for first in np.unique(firsts):
            if not first:
                continue
            rows = np.flatnonzero(firsts == first)
            try:
                t, plan, direct = hasher.dynamic(int(first), one.methods)
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
                    contents, readable = fetch(hasher, self._pointers(contents, 0), t.size)
                inner, inner_states = self.hashed(plan, contents, result[some] ^ np.uint64(hasher.c0), depth + 1)
                result[some] = inner * np.uint64(hasher.c1) & np.uint64(hasher.mask)
                states[some] = np.maximum(states[some], np.where(readable, inner_states, UNREADABLE))
        return result
