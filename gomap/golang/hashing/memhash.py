"""The runtime's hashes of plain memory, recomputed: memhash, memhash32, memhash64.

With AES: runtime/asm_amd64.s, asm_386.s, asm_arm64.s (aeshashbody, memhash32, memhash64); from Go 1.27 on
internal/runtime/maps/memhash_*.s. Without: runtime/hash64.go, hash32.go (1.27: runtime_hash64.go,
runtime_hash32.go). Every function takes one key as bytes, or many as a numpy matrix of uint8 with a key a row:
the arithmetic is written once. Words are ints or numpy arrays; an int is a column of equal words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gomap.columns.choose import arrays

#: One int, or a numpy array of uint32 or uint64.
Word = Any
#: Bytes of one key, or a numpy matrix of uint8 with a key a row.
Data = Any
#: The sixteen bytes of an AES state, as little-endian words.
State = tuple[Word, Word, Word, Word]

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1
M5 = 0x1D8E4E27C47D124F  # m5 of runtime/hash64.go
#: m1 to m4 of runtime/hash64.go up to Go 1.22; later versions use hashkey itself instead.
CONSTANTS = (0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3)


# -- loading -----------------------------------------------------------------------------------------


def load(data: Data, offset: int, size: int, byte_order: str = "little") -> Word:
    """The unsigned integer of `size` bytes at `offset` of each key: uint32 for 4, uint64 for 8 and less."""
    if isinstance(data, (bytes, memoryview)):
        return int.from_bytes(data[offset : offset + size], byte_order)  # type: ignore[arg-type]
    return arrays().column(data, offset, size, byte_order)


def part(data: Data, offset: int, size: int) -> Data:
    """`size` bytes at `offset` of a key, or of each key of a column."""
    return data[offset : offset + size] if isinstance(data, (bytes, memoryview)) else data[:, offset : offset + size]


def padded(data: Data, size: int) -> Data:
    """The first `size` bytes of each key with zeros behind them, sixteen in all."""
    if isinstance(data, (bytes, memoryview)):
        return bytes(data[:size]).ljust(16, b"\0")
    return arrays().padded(data, size)


def block(data: Data, offset: int) -> State:
    """The 16 bytes at `offset`, as four little-endian words of 32 bits."""
    return (
        load(data, offset, 4),
        load(data, offset + 4, 4),
        load(data, offset + 8, 4),
        load(data, offset + 12, 4),
    )


def low32(word: Word) -> Word:
    """The lower 32 bits of a word, or of each word of a column."""
    return word & MASK32 if isinstance(word, int) else (word & MASK32).astype("uint32")


def high32(word: Word) -> Word:
    """The upper 32 bits of a 64-bit word, or of each word of a column."""
    return word >> 32 if isinstance(word, int) else (word >> 32).astype("uint32")


def wide(word: Word) -> Word:
    """A word as one of 64 bits."""
    return word if isinstance(word, int) else word.astype("uint64", copy=False)


# -- AES ---------------------------------------------------------------------------------------------


def _sbox() -> list[int]:
    """FIPS 197, 5.1.1: the inverse in GF(2^8), then an affine map."""
    box = [0x63] * 256
    p = q = 1
    while True:
        p ^= (p << 1 ^ (0x11B if p & 0x80 else 0)) & 0xFF  # times 3
        q ^= q << 1  # divided by 3
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        rotated = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4)
        box[p] = (rotated & 0xFF) ^ 0x63
        if p == 1:
            return box


#: MixColumns: byte i of a column gets factor MIX[i][row] times the byte in that row (FIPS 197, 5.1.3).
MIX = ((2, 3, 1, 1), (1, 2, 3, 1), (1, 1, 2, 3), (3, 1, 1, 2))


def _times(factor: int, x: int) -> int:
    double = (x << 1 ^ (0x11B if x & 0x80 else 0)) & 0xFF
    return (0, x, double, double ^ x)[factor]


SBOX = _sbox()
#: What the byte in row 0 to 3 adds to its column after SubBytes and MixColumns, and after SubBytes alone.
ROUND = [[sum(_times(MIX[i][row], s) << 8 * i for i in range(4)) for s in SBOX] for row in range(4)]
FINAL = [[s << 8 * row for s in SBOX] for row in range(4)]


@lru_cache(maxsize=2)
def _arrays(final: bool) -> list[Any]:
    return [arrays().table(table) for table in (FINAL if final else ROUND)]


def _look(row: int, word: Word, final: bool) -> Word:
    if isinstance(word, int):
        return (FINAL if final else ROUND)[row][word >> 8 * row & 0xFF]
    # Little-endian words seen as bytes: cheaper than shifting them.
    column = word.astype("<u4", copy=False).view("uint8")[row::4]
    return _arrays(final)[row].take(column)


def aes(s: State, final: bool = False) -> State:
    """ShiftRows, SubBytes and MixColumns (not that one when final): x86's AESENC without its key, arm64's AESE
    and AESMC with the key already added."""
    a, b, c, d = s
    if isinstance(a, int) and isinstance(b, int) and isinstance(c, int) and isinstance(d, int):
        t0, t1, t2, t3 = FINAL if final else ROUND
        return (
            t0[a & 255] ^ t1[b >> 8 & 255] ^ t2[c >> 16 & 255] ^ t3[d >> 24],
            t0[b & 255] ^ t1[c >> 8 & 255] ^ t2[d >> 16 & 255] ^ t3[a >> 24],
            t0[c & 255] ^ t1[d >> 8 & 255] ^ t2[a >> 16 & 255] ^ t3[b >> 24],
            t0[d & 255] ^ t1[a >> 8 & 255] ^ t2[b >> 16 & 255] ^ t3[c >> 24],
        )
    out = [
        _look(0, s[j], final)
        ^ _look(1, s[(j + 1) % 4], final)
        ^ _look(2, s[(j + 2) % 4], final)
        ^ _look(3, s[(j + 3) % 4], final)
        for j in range(4)
    ]
    return (out[0], out[1], out[2], out[3])


def xor(a: State, b: State) -> State:
    """The exclusive or of two AES states."""
    return (a[0] ^ b[0], a[1] ^ b[1], a[2] ^ b[2], a[3] ^ b[3])


def scramble(s: State) -> State:
    """AESENC X, X."""
    return xor(aes(s), s)


def xor_all(states: Sequence[State]) -> State:
    """The exclusive or of all states, of which there is at least one."""
    total = states[0]
    for s in states[1:]:
        total = xor(total, s)
    return total


def mix(a: Word, b: Word) -> Word:
    """High and low half of the 128-bit product, xored: mix of runtime/hash64.go."""
    if isinstance(a, int) and isinstance(b, int):
        product = a * b
        return product >> 64 ^ product & MASK64
    return arrays().product(a, b)


# -- the functions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MemHash:
    """How one process hashes memory: its random keys, and which of the runtime's functions it has.

    arch: amd64, arm64 or 386 where AES is used, else None. schedule: aeskeysched. hashkey: hashkey.
    pointer_size: 4 or 8, also the size of a hash. constants: the multipliers of before Go 1.23 are used.
    narrow: memhash32 of arm64 takes half of the seed (up to Go 1.26).
    """

    arch: str | None
    schedule: tuple[tuple[int, int, int, int], ...]
    hashkey: tuple[int, ...]
    pointer_size: int
    byte_order: str = "little"
    constants: bool = False
    narrow: bool = False

    def memhash32(self, data: Data, seed: Word) -> Word:
        """The hash of 4 bytes: runtime.memhash32 of asm_amd64.s, asm_386.s or asm_arm64.s, or of hash32.go and
        hash64.go."""
        if self.arch is None:
            return self._fallback32(load(data, 0, 4, self.byte_order), seed)
        word = load(data, 0, 4)
        if self.arch == "arm64":
            words = (low32(seed), word, 0, 0) if self.narrow else (low32(seed), high32(seed), word, 0)
            return self._arm_fixed(words)
        return self._x86_fixed((seed, word, 0, 0) if self.pointer_size == 4 else (low32(seed), high32(seed), word, 0))

    def memhash64(self, data: Data, seed: Word) -> Word:
        """The hash of 8 bytes: runtime.memhash64 of asm_amd64.s, asm_386.s or asm_arm64.s, or of hash32.go and
        hash64.go."""
        if self.arch is None:
            if self.pointer_size == 4:
                return self._fallback(data, 8, seed)
            value = load(data, 0, 8, self.byte_order)
            return self._wide_fixed(value, seed, 8)
        low, high = load(data, 0, 4), load(data, 4, 4)
        if self.arch == "arm64":
            return self._arm_fixed((low32(seed), high32(seed), low, high))
        return self._x86_fixed(
            (low, high, low32(seed), 0) if self.pointer_size == 4 else (low32(seed), high32(seed), low, high)
        )

    def memhash(self, data: Data, size: int, seed: Word) -> Word:
        """memhash of the first `size` bytes of each key; strhash too, which hashes a string's bytes."""
        if self.arch is None:
            return self._fallback(data, size, seed)
        if self.arch == "arm64":
            return self._arm(data, size, seed)
        return self._x86(data, size, seed)

    def _out(self, s: State) -> Word:
        """The first bytes of an AES state as a hash."""
        if self.pointer_size == 4:
            return wide(s[0])
        low, high = wide(s[0]), wide(s[1])
        return low | high << 32

    # -- x86 -------------------------------------------------------------------------------------

    def _x86_fixed(self, s: State) -> Word:
        for key in self.schedule[:3]:
            s = xor(aes(s), key)
        return self._out(s)

    def _x86(self, data: Data, size: int, seed: Word) -> Word:
        length = size & 0xFFFF
        lengths = length | length << 16
        high = 0 if self.pointer_size == 4 else high32(seed)
        start: State = (low32(seed), high, lengths, lengths)

        def seeds(count: int) -> list[State]:
            return [scramble(xor(start, key)) for key in self.schedule[:count]]

        if size == 0:
            return self._out(scramble(seeds(1)[0]))
        if size <= 16:
            return self._x86_finish([xor(block(padded(data, size), 0), seeds(1)[0])])
        lanes = 4 if self.pointer_size == 4 else 8
        for few in (1, 2, 4):
            if few <= lanes // 2 and size <= 32 * few:
                offsets = [16 * i for i in range(few)] + [size - 16 * (few - i) for i in range(few)]
                return self._x86_finish([xor(block(data, at), s) for at, s in zip(offsets, seeds(2 * few))])
        states = seeds(lanes)
        tail = [block(data, size - 16 * (lanes - i)) for i in range(lanes)]
        step = 16 * lanes
        if self.pointer_size == 4:  # aes65plus: the seed is the round key of the last blocks
            states = [xor(aes(t), s) for t, s in zip(tail, states)]
        else:  # aes129plus
            states = [xor(t, s) for t, s in zip(tail, states)]
        for base in range(0, (size - 1) // step * step, step):
            if self.pointer_size == 8:
                states = [scramble(s) for s in states]
            states = [xor(aes(s), block(data, base + 16 * i)) for i, s in enumerate(states)]
            if self.pointer_size == 4:
                states = [scramble(s) for s in states]
        return self._x86_finish(states)

    def _x86_finish(self, states: list[State]) -> Word:
        for _ in range(3):
            states = [scramble(s) for s in states]
        return self._out(xor_all(states))

    # -- arm64 -----------------------------------------------------------------------------------

    def _arm_fixed(self, s: State) -> Word:
        key = self.schedule[0]
        return self._out(aes(xor(aes(xor(aes(xor(s, key)), key)), key), final=True))

    def _arm(self, data: Data, size: int, seed: Word) -> Word:
        start: State = (low32(seed), high32(seed), size & MASK32, size >> 32)

        def seeds(count: int) -> list[State]:
            return [aes(xor(start, key)) for key in self.schedule[:count]]

        if size == 0:
            return self._out(seeds(1)[0])
        if size <= 16:
            s, key = self._arm_small(data, size) if size < 16 else block(data, 0), seeds(1)[0]
            for _ in range(3):
                s = aes(xor(s, key))
            return self._out(s)
        for few in (1, 2, 4):
            if size <= 32 * few:
                offsets = [16 * i for i in range(few)] + [size - 16 * (few - i) for i in range(few)]
                return self._arm_finish([block(data, at) for at in offsets], seeds(2 * few))
        states, keys = seeds(8), [block(data, size - 128 + 16 * i) for i in range(8)]
        for base in range(0, (size - 1) // 128 * 128, 128):
            states = [aes(xor(s, key)) for s, key in zip(states, keys)]
            keys = [block(data, base + 16 * i) for i in range(8)]
            states = [aes(xor(s, key)) for s, key in zip(states, keys)]
        return self._arm_finish(states, keys)

    def _arm_small(self, data: Data, size: int) -> State:
        """aes0to15: eight, four, two and one byte, each to a place of its own in the register."""
        words: list[Word] = [0, 0, 0, 0]
        at = 0
        if size & 8:
            words[0], words[1], at = load(data, 0, 4), load(data, 4, 4), 8
        if size & 4:
            words[2], at = load(data, at, 4), at + 4
        if size & 2:
            words[3], at = low32(load(data, at, 2)), at + 2
        if size & 1:
            last = low32(load(data, at, 1))
            words[3] = words[3] | last << 16
        return (words[0], words[1], words[2], words[3])

    def _arm_finish(self, states: list[State], keys: list[State]) -> Word:
        for _ in range(2):
            states = [aes(xor(s, key)) for s, key in zip(states, keys)]
        return self._out(xor_all([aes(xor(s, key), final=True) for s, key in zip(states, keys)]))

    # -- without AES -----------------------------------------------------------------------------

    def _wide_fixed(self, value: Word, seed: Word, size: int) -> Word:
        """memhash32Fallback, memhash64Fallback of hash64.go."""
        first, second = self._multipliers()[:2]
        return mix(M5 ^ size, mix(value ^ second, value ^ seed ^ first))

    def _multipliers(self) -> tuple[int, int, int, int]:
        k = self.hashkey
        if self.constants:
            return (k[0] ^ CONSTANTS[0], CONSTANTS[1], CONSTANTS[2], CONSTANTS[3])
        return (k[0], k[1], k[2], k[3])

    def _fallback32(self, value: Word, seed: Word) -> Word:
        if self.pointer_size == 8:
            return self._wide_fixed(wide(value), seed, 4)
        a, b = self._mix32(seed, 4 ^ self.hashkey[0])
        a, b = self._mix32(a ^ wide(value), b ^ wide(value))
        a, b = self._mix32(a, b)
        return a ^ b

    def _mix32(self, a: Word, b: Word) -> tuple[Word, Word]:
        product = (a ^ self.hashkey[1]) * (b ^ self.hashkey[2])
        return product & MASK32, product >> 32

    def _fallback(self, data: Data, size: int, seed: Word) -> Word:
        """memhashFallback of hash64.go and hash32.go."""
        if self.pointer_size == 4:
            return self._fallback_narrow(data, size, seed)
        k = self._multipliers()
        seed = seed ^ k[0]

        def r4(at: int) -> Word:
            return wide(load(data, at, 4, self.byte_order))

        def r8(at: int) -> Word:
            return load(data, at, 8, self.byte_order)

        if size == 0:
            return seed
        if size < 4:
            a, b = self._three_bytes(data, size), 0
        elif size <= 8:
            a, b = (r4(0), r4(size - 4)) if size < 8 else (r8(0), r8(0))
        elif size <= 16:
            a, b = r8(0), r8(size - 8)
        else:
            at, left = 0, size
            if left > 48:
                seed1 = seed2 = seed
                while left > 48:
                    seed = mix(r8(at) ^ k[1], r8(at + 8) ^ seed)
                    seed1 = mix(r8(at + 16) ^ k[2], r8(at + 24) ^ seed1)
                    seed2 = mix(r8(at + 32) ^ k[3], r8(at + 40) ^ seed2)
                    at, left = at + 48, left - 48
                seed = seed ^ seed1 ^ seed2
            while left > 16:
                seed = mix(r8(at) ^ k[1], r8(at + 8) ^ seed)
                at, left = at + 16, left - 16
            a, b = r8(at + left - 16), r8(at + left - 8)
        return mix(M5 ^ size, mix(a ^ k[1], b ^ seed))

    def _three_bytes(self, data: Data, size: int) -> Word:
        first, middle, last = (wide(load(data, at, 1)) for at in (0, size >> 1, size - 1))
        return first | middle << 8 | last << 16

    def _fallback_narrow(self, data: Data, size: int, seed: Word) -> Word:
        def r4(at: int) -> Word:
            return wide(load(data, at, 4, self.byte_order))

        a, b = self._mix32(seed, size ^ self.hashkey[0])
        if size == 0:
            return a ^ b
        at, left = 0, size
        while left > 8:
            a, b = self._mix32(a ^ r4(at), b ^ r4(at + 4))
            at, left = at + 8, left - 8
        if left >= 4:
            a, b = a ^ r4(at), b ^ r4(at + left - 4)
        else:
            b = b ^ self._three_bytes(part(data, at, left), left)
        a, b = self._mix32(a, b)
        a, b = self._mix32(a, b)
        return a ^ b
