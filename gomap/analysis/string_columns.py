"""The strings and slices of maps in columns of numpy: the same results as analysis/strings.py, which works without
numpy.

A slot here is a string or slice as (address, bytes), of any map; slots are in the order of memory, so that those in one
heap object are adjacent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gomap.analysis.strings import (
    MAX_LENGTH,
    MAX_READ,
    MAX_STRINGS,
    TIMES,
    TOP,
    Collected,
    Repeated,
    SavedBytes,
    Strings,
    TextPart,
    Uniform,
    shown_text,
)
from gomap.columns.choose import arrays, columns
from gomap.columns.marks import SLOTS
from gomap.errors import MemoryFault
from gomap.golang.layouts.slots import Columns
from gomap.golang.runtime.heap import IN_USE, PAGE_SIZE, Heap
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType, has_pointers
from gomap.memory import CHUNK, Memory
from gomap.progress import Progress, silent


def collected(heap: Heap, rules: Allocator, memory: Memory) -> Collected:
    """What collects strings: by columns where this Python has numpy."""
    return Strings(heap, rules, memory) if columns().plain else StringColumns(heap, rules, memory)


@dataclass
class StringColumns:
    """Collected, with numpy."""

    heap: Heap
    rules: Allocator
    memory: Memory
    left_out: int = 0
    unreadable: int = 0
    _added: list[tuple[Any, Any, int, int]] = field(default_factory=list)  # pointers, bytes, owner, kind
    _kinds: list[tuple[bool, bool]] = field(default_factory=lambda: [(False, True)])  # scan, is a string
    _types: dict[int, tuple[int, GoType]] = field(default_factory=dict)  # by id(), which the type keeps in use
    _number: int = 0

    def __post_init__(self) -> None:
        self.np: Any = columns().np

    def add(self, owner: int, cells: Columns, part: TextPart, stride: int) -> None:
        """As Strings.add."""
        np, elem, word = self.np, part.elem, cells.arch.pointer_size
        size = 1 if elem is None else elem.size
        pointers, lengths = self._column(cells, part.offset, stride), self._column(cells, part.offset + word, stride)
        wanted = (pointers != 0) & (lengths != 0) & (lengths < 1 << 48) & bool(size)
        pointers, lengths = pointers[wanted], lengths[wanted] * np.uint64(size)
        if self._number + len(pointers) > MAX_STRINGS:
            self.left_out += len(pointers)
        elif len(pointers):
            self._number += len(pointers)
            self._added.append((pointers, lengths, owner, self._kind(elem)))

    def _kind(self, elem: GoType | None) -> int:
        if elem is None:
            return 0
        known = self._types.get(id(elem))
        if known is None:
            known = self._types[id(elem)] = len(self._kinds), elem
            self._kinds.append((has_pointers(elem), False))
        return known[0]

    def _column(self, cells: Columns, offset: int, stride: int) -> Any:
        """The words at one place of the live slots."""
        np, word, size = self.np, cells.arch.pointer_size, cells.shape.size
        if offset % word or stride % word or size % word:
            return np.array(cells.words(offset, stride, "Q" if word == 8 else "I"), np.uint64)
        order = "<" if cells.arch.byte_order == "little" else ">"
        every = np.frombuffer(cells.data, f"{order}u{word}").reshape(-1, size // word)
        picked = every[:, [(offset + slot * stride) // word for slot in range(SLOTS)]]
        return picked[np.frombuffer(cells.live, np.uint8).reshape(-1, SLOTS) != 0].astype(np.uint64)

    # -- what there is -------------------------------------------------------------------------------

    def compare(self, progress: Progress = silent) -> None:
        """As Strings.compare."""
        np, added = self.np, self._added
        self._added = []
        pointers = np.concatenate([one[0] for one in added]) if added else np.zeros(0, np.uint64)
        lengths = np.concatenate([one[1] for one in added]) if added else np.zeros(0, np.uint64)
        sizes = [len(one[0]) for one in added]
        owners = np.repeat(np.array([one[2] for one in added], np.int64), sizes)
        kinds = np.repeat(np.array([one[3] for one in added], np.int64), sizes)
        order = np.lexsort((kinds, lengths, pointers))
        pointers, lengths, owners, kinds = pointers[order], lengths[order], owners[order], kinds[order]
        new = np.ones(len(pointers), bool)
        new[1:] = (pointers[1:] != pointers[:-1]) | (lengths[1:] != lengths[:-1])
        slots = np.cumsum(new) - 1
        self.at, self.length, kind = pointers[new], lengths[new], kinds[new]
        scan = np.array([one[0] for one in self._kinds])[kind]
        self.is_string = np.array([one[1] for one in self._kinds])[kind]
        # Who has which: by owner, and in the order of slots.
        span = len(self.at) + 1
        pairs, self.pair_count = np.unique((owners - owners.min(initial=0)) * span + slots, return_counts=True)
        self.pair_owner, self.pair_slot = pairs // span + owners.min(initial=0), pairs % span
        self.needs = self._needed(scan)
        self.small = (self.needs <= 16) & ~scan
        self._find_objects(progress)
        self.content = np.full(len(self.at), -1, np.int64)
        self._read(progress)

    def _needed(self, scan: Any) -> Any:
        """Bytes that the allocator takes for a copy of each."""
        np = self.np
        different, which = np.unique(self.length * np.uint64(2) + scan.astype(np.uint64), return_inverse=True)
        each = [self.rules.allocated(int(one) // 2, bool(int(one) % 2)) for one in different]
        return np.array(each, np.int64)[which]

    def _find_objects(self, progress: Progress) -> None:
        """Sets object: of each slot the number of the heap's object that it lies in, -1 outside of the heap."""
        np = self.np
        pages, which = np.unique(self.at // np.uint64(PAGE_SIZE), return_inverse=True)
        rows = np.zeros((len(pages), 3), np.uint64)
        for i, page in enumerate(pages.tolist()):
            if i % 4096 == 0:
                progress("pages with strings", i, len(pages))
            try:
                span = self.heap.span_of(page * PAGE_SIZE)
            except MemoryFault:
                continue
            if span is not None and span.state == IN_USE and span.object:
                rows[i] = span.start, span.object, span.objects
        start, size, objects = rows[which, 0], np.maximum(rows[which, 1], np.uint64(1)), rows[which, 2]
        index = (self.at - start) // size
        base = start + index * size
        inside = (index < objects) & (self.at + self.length <= base + size)
        bases, first, number = np.unique(base[inside], return_index=True, return_inverse=True)
        self.object = np.full(len(self.at), -1, np.int64)
        self.object[inside] = number
        self.size = size[inside][first].astype(np.int64)
        # Whose an object is: -1 where several maps have parts of it. Owners are 0 or more, or less than -1.
        in_pair = self.object[self.pair_slot]
        low = np.full(len(bases), np.iinfo(np.int64).max)
        high = np.full(len(bases), np.iinfo(np.int64).min)
        np.minimum.at(low, in_pair[in_pair >= 0], self.pair_owner[in_pair >= 0])
        np.maximum.at(high, in_pair[in_pair >= 0], self.pair_owner[in_pair >= 0])
        self.owner = low
        self.shared = low != high

    def _read(self, progress: Progress) -> None:
        """Gives strings of the same bytes the same number. Only those of a length that others have are read."""
        np = self.np
        mine = np.flatnonzero(self.is_string & (self.object >= 0))
        _, which, often = np.unique(self.length[mine], return_inverse=True, return_counts=True)
        mine = mine[(often > 1)[which]]
        fits = (self.length[mine] <= MAX_LENGTH) & (np.cumsum(self.length[mine]) <= MAX_READ)
        self.left_out += int(np.count_nonzero(~fits))
        mine = mine[fits]
        if not len(mine):
            return
        starts, ends = self.at[mine], self.at[mine] + self.length[mine]
        hasher = _TextHasher(np)
        hashes = np.zeros(len(mine), np.uint64)
        good = np.ones(len(mine), bool)
        todo = list(arrays().extents(starts, ends))[::-1]
        while todo:
            i, end = todo.pop()
            progress("strings", i, len(mine))
            base, size = int(starts[i]), int(ends[i:end].max() - starts[i])
            try:
                data = self.memory.read(base, size)
            except MemoryFault:
                if end - i > 1:
                    todo += [(one, one + 1) for one in reversed(range(i, end))]
                    continue
                self.unreadable += 1
                good[i] = False
            else:
                low, high = starts[i:end] - starts[i], ends[i:end] - starts[i]
                hashes[i:end] = hasher.of(data, low.astype(np.int64), high.astype(np.int64))
        mixed = hashes[good] ^ (self.length[mine[good]] * np.uint64(0x9E3779B97F4A7C15))
        _, number = np.unique(mixed, return_inverse=True)
        self.content[mine[good]] = number

    # -- what can be saved ---------------------------------------------------------------------------

    def _slots(self, owner: int | None) -> tuple[Any, Any]:
        """(slots of an owner, or all; how many times each is there)."""
        np = self.np
        if owner is None:
            return np.arange(len(self.at)), np.bincount(self.pair_slot, self.pair_count, len(self.at)).astype(np.int64)
        low, high = np.searchsorted(self.pair_owner, [owner, owner + 1])
        return self.pair_slot[low:high], self.pair_count[low:high]

    def has(self, owner: int) -> bool:
        """Whether this owner has any strings."""
        return len(self._slots(owner)[0]) > 0

    def duplicates(self, owner: int | None = None) -> SavedBytes:
        """As Strings.duplicates."""
        np = self.np
        slots, times = self._slots(owner)
        times = times[self.object[slots] >= 0]
        slots = slots[self.object[slots] >= 0]
        comparable = self.content[slots] >= 0
        if not comparable.any():
            return SavedBytes()
        number, first, which, copies = np.unique(
            self.content[slots[comparable]], return_index=True, return_inverse=True, return_counts=True
        )
        repeated = np.zeros(len(slots), bool)
        repeated[comparable] = copies[which] > 1
        objects, inverse = np.unique(self.object[slots], return_inverse=True)
        kept = np.zeros(len(objects), bool)
        kept[inverse[np.flatnonzero(comparable)[first]]] = True
        free = (np.bincount(inverse, ~repeated, len(objects)) == 0) & ~kept
        if owner is not None:
            free &= (self.owner[objects] == owner) & ~self.shared[objects]
        if not free.any():
            return SavedBytes()
        # An object's bytes are counted with the first string in it.
        leading = np.unique(inverse, return_index=True)[1]
        of_object = np.full(len(slots), -1, np.int64)
        of_object[comparable] = which
        gone = np.bincount(of_object[leading[free]], self.size[objects[free]], len(number)).astype(np.int64)
        found = SavedBytes(int(self.size[objects[free]].sum()), int(free.sum()))
        lengths = self.length[slots[comparable][first]]
        found.within = 16 * int(np.count_nonzero((gone > 0) & (lengths < 16)))
        counts = np.bincount(which, times[comparable], len(number)).astype(np.int64)
        pairs = np.unique(which * len(objects) + inverse[comparable])
        held = np.bincount(pairs // len(objects), minlength=len(number))
        best = np.lexsort((slots[comparable][first], -counts, -gone))[:TOP]
        for i in best.tolist():
            if gone[i]:
                slot = slots[comparable][first[i]]
                length = int(self.length[slot])
                text = shown_text(self.memory, int(self.at[slot]), length)
                found.top.append(Repeated(text, length, int(counts[i]), int(held[i]), int(gone[i])))
        return found

    def pins(self, owner: int | None = None) -> SavedBytes:
        """As Strings.pins."""
        np = self.np
        slots, _ = self._slots(owner)
        slots = slots[self.object[slots] >= 0]
        objects, inverse = np.unique(self.object[slots], return_inverse=True)
        needs = np.bincount(inverse, self.needs[slots], len(objects)).astype(np.int64)
        chosen = needs * TIMES <= self.size[objects]
        if owner is not None:
            chosen &= (self.owner[objects] == owner) & ~self.shared[objects]
        within = 16 * int(np.count_nonzero(self.small[slots] & chosen[inverse]))
        return SavedBytes(int((self.size[objects] - needs)[chosen].sum()), int(chosen.sum()), within)

    def uniform(self, owner: int) -> Uniform | None:
        """As Strings.uniform."""
        np = self.np
        slots, _ = self._slots(owner)
        if not len(slots) or not self.is_string[slots].all():
            return None
        length = int(self.length[slots[0]])
        if (self.length[slots] != length).any():
            return None
        objects = np.unique(self.object[slots])
        mine = objects[0] >= 0 and not self.shared[objects].any() and bool((self.owner[objects] == owner).all())
        return Uniform(length, len(slots), int(self.size[objects].sum()) if mine else None)


class _TextHasher:
    """Hashes of many parts of one piece of memory: the sum of a random number for each byte's value, times a power of a
    random odd number for its place, modulo 2^64. The sums up to each place give that of every part."""

    def __init__(self, np: Any) -> None:
        self.np = np
        random = np.random.default_rng()
        self.table = random.integers(0, 1 << 64, 256, np.uint64)
        self.factor = int(random.integers(0, 1 << 63)) * 2 + 1
        self.powers = np.zeros(0, np.uint64)
        self.inverse = self.powers

    def of(self, data: bytes, low: Any, high: Any) -> Any:
        """Of the parts of data from `low` to `high`."""
        np = self.np
        if len(data) >= len(self.powers):
            size = max(len(data) + 1, CHUNK)
            self.powers, self.inverse = (
                self._powers(self.factor, size),
                self._powers(pow(self.factor, -1, 1 << 64), size),
            )
        sums = np.zeros(len(data) + 1, np.uint64)
        np.cumsum(self.table[np.frombuffer(data, np.uint8)] * self.powers[: len(data)], out=sums[1:])
        return (sums[high] - sums[low]) * self.inverse[low]

    def _powers(self, factor: int, count: int) -> Any:
        np = self.np
        found = np.full(count, factor, np.uint64)
        found[0] = 1
        return np.cumprod(found, dtype=np.uint64)
