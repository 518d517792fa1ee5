"""Where values of types have pointers: the masks that the collector goes by, read from type descriptors.

Follows abi.Type (Size_, PtrBytes, GCData), typePointers of runtime/mbitmap.go, and getGCMask and buildGCMask of
runtime/type.go: from Go 1.24 on a large type's mask is made when it is first needed, and here as well where the
program has not needed it yet. Up to Go 1.23 large types have a program in place of the mask; of the objects of such
types the allocator notes a type of its own, which has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gomap.errors import GomapError, NoDebugInfo
from gomap.golang.runtime.abitype import KIND_MASK, KINDS
from gomap.gotypes import Kind
from gomap.heap.objects import needed
from gomap.target import Target

#: abi.TFlagGCMaskOnDemand, from Go 1.24 on. Before that the bit means that a type has its mask in spite of its kind.
ON_DEMAND = 1 << 4
#: In programs that make masks on demand: the address that marks a mask as being made.
_IN_PROGRESS = "runtime.inProgress"
#: No type has more bytes of pointers, and no mask nests deeper.
MAX_BYTES, MAX_DEPTH, MAX_FIELDS = 1 << 32, 64, 1 << 16
#: Bytes of all masks together.
MAX_BITS = 1 << 28


@dataclass(frozen=True)
class Mask:
    """size: words of a value. pointers: words in front of which all of its pointers are. bits: a bit for each of them,
    the lowest first."""

    size: int
    pointers: int
    bits: bytes


class Masks:
    """The masks of one target's types. Each is read once."""

    def __init__(self, target: Target) -> None:
        self._target, self._word = target, target.arch.pointer_size
        self._in_progress = target.symbol(_IN_PROGRESS)
        # A stripped program has no symbols. Its runtime.special has grown in the same version, Go 1.24.
        special = target.find_type("runtime.special") if self._in_progress is None else None
        offset = special.field("offset") if special is not None else None
        self._on_demand = self._in_progress is not None or (offset is not None and offset.type.size == self._word)
        self._known: dict[int, Mask | None] = {}

    def of(self, address: int) -> Mask | None:
        """The mask of the type whose descriptor is at the address; None if it can't be a descriptor."""
        if address not in self._known:
            try:
                self._known[address] = self._read(address)
            except GomapError:
                self._known[address] = None
        return self._known[address]

    def _read(self, address: int) -> Mask:
        word, pointer = self._word, self._target.arch.pointer
        data = self._target.memory.read(address, 5 * word + 8)
        size, pointers, bits_at = (pointer(data, at) for at in (0, word, 3 * word + 8))
        flags = data[2 * word + 4]
        if pointers > size or not size or size > MAX_BYTES:
            raise NoDebugInfo(f"the type descriptor at {address:#x} has an impossible size: it is corrupt")
        words = pointers // word
        if flags & ON_DEMAND and self._on_demand:
            made = pointer(self._target.memory.read(bits_at, word))
            if made in (0, self._in_progress):
                return Mask(max(size // word, 1), words, self._made(address, 0).to_bytes((words + 7) // 8, "little"))
            bits_at = made
        return Mask(max(size // word, 1), words, self._target.memory.read(bits_at, (words + 7) // 8) if words else b"")

    def _made(self, address: int, depth: int) -> int:
        """The mask as a number."""
        word, arch, memory = self._word, self._target.arch, self._target.memory
        data = memory.read(address, 7 * word + 16)
        size, words = arch.pointer(data), arch.pointer(data, word) // word
        if not data[2 * word + 4] & ON_DEMAND:
            bits = memory.read(arch.pointer(data, 3 * word + 8), (words + 7) // 8) if words else b""
            return int.from_bytes(bits, "little") & (1 << words) - 1
        number, own = data[2 * word + 7] & KIND_MASK, 4 * word + 16
        kind = KINDS[number][0] if number < len(KINDS) else None
        if depth > MAX_DEPTH or size > MAX_BYTES or kind not in (Kind.ARRAY, Kind.STRUCT):
            raise NoDebugInfo(f"the type descriptor at {address:#x} is corrupt")
        if kind is Kind.ARRAY:
            elem, count = arch.pointer(data, own), arch.pointer(data, own + 2 * word)
            each = arch.pointer(memory.read(elem, word)) // word
            if each * count * word > size:
                raise NoDebugInfo(f"the type descriptor at {address:#x} is corrupt")
            return _repeated(self._made(elem, depth + 1), each, count)
        start, count = arch.pointer(data, own + word), arch.pointer(data, own + 2 * word)
        if count > MAX_FIELDS:
            raise NoDebugInfo(f"the type descriptor at {address:#x} is corrupt")
        fields, found = memory.read(start, 3 * word * count), 0
        for at in range(0, len(fields), 3 * word):
            of, offset = arch.pointer(fields, at + word), arch.pointer(fields, at + 2 * word)
            if offset <= size and arch.pointer(memory.read(of + word, word)):
                found |= self._made(of, depth + 1) << offset // word
        return found & (1 << words) - 1


def _repeated(bits: int, each: int, count: int) -> int:
    """So many times the same bits, `each` words apart."""
    found, width = 0, each
    have, done = bits, 1
    left = count
    while left:
        if left & done:
            found = found << width | have
            left &= ~done
        have, width, done = have << width | have, 2 * width, 2 * done
    return found


class MaskTable:
    """The masks of the types that objects are of, looked up many at a time. lost: types that have none."""

    def __init__(self, masks: Masks) -> None:
        np = self.np = needed()
        self._masks = masks
        self.lost = 0
        self._types = np.zeros(0, np.uint64)
        self._rows = np.zeros(0, np.int64)
        self._size = np.ones(1, np.int64)  # the first row has no pointers
        self._pointers = np.zeros(1, np.int64)
        self._at = np.zeros(1, np.int64)
        self._bits = np.zeros(1, np.uint8)

    def has_pointer(self, types: Any, words: Any) -> Any:
        """Whether the values of these types (addresses of descriptors) that lie one behind another in an object have a
        pointer in that word of them."""
        np = self.np
        distinct, which = np.unique(types, return_inverse=True)
        self._learn(distinct)
        rows = self._rows[np.searchsorted(self._types, distinct)][which]
        word = words % self._size[rows]
        may = word < self._pointers[rows]
        at = self._at[rows] + (word >> 3)
        at[~may] = 0
        return may & ((self._bits[at] >> (word & 7).astype(np.uint8)) & 1 != 0)

    def _learn(self, types: Any) -> None:
        np = self.np
        new = np.setdiff1d(types, self._types)
        if not len(new):
            return
        rows: list[int] = []
        sizes: list[int] = []
        pointers: list[int] = []
        at: list[int] = []
        bits = [self._bits]
        end = len(self._bits)
        for one in new.tolist():
            mask = self._masks.of(one) if one else Mask(1, 0, b"")
            if mask is None or end + len(mask.bits) > MAX_BITS:
                self.lost += 1
                rows.append(0)
                continue
            rows.append(len(self._size) + len(sizes))
            sizes.append(mask.size)
            pointers.append(mask.pointers)
            at.append(end)
            bits.append(np.frombuffer(mask.bits, np.uint8))
            end += len(mask.bits)
        types = np.concatenate([self._types, new])
        every = np.concatenate([self._rows, np.array(rows, np.int64)])
        order = np.argsort(types)
        self._types, self._rows = types[order], every[order]
        self._size = np.concatenate([self._size, np.array(sizes, np.int64)])
        self._pointers = np.concatenate([self._pointers, np.array(pointers, np.int64)])
        self._at = np.concatenate([self._at, np.array(at, np.int64)])
        self._bits = np.concatenate(bits)
