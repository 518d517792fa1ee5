"""The variables that a func value's closure captured, with the places where they are now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Callable

from gomap.errors import GomapError, MemoryFault
from gomap.golang.hashing.hasher import Hasher, TooLong, hasher_of
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.lookup import candidates, lookup
from gomap.golang.runtime.closures import MAX_CAPTURED
from gomap.golang.runtime.heap import Room
from gomap.golang.runtime.malloc import allocator
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import Alike, GoType, Kind, same
from gomap.maps import nonsense, view
from gomap.target import Captured, Target, Variable

#: Bytes of an object that the allocator has a size class for.
SMALL_OBJECT = 32 << 10
TRIED = 8


def of(target: Target, variable: Variable) -> list[Variable]:
    """What the func value captured; nothing where it is nil, or the debugger does not know its closure.

    Raises MemoryFault, OptimizedOut.
    """
    word = target.arch.pointer_size
    closure = target.arch.pointer(variable.read(target.memory, 0, word))
    if not closure:
        return []
    found = Closures(target, Room(target), DescribedTypes(target)).variables(
        closure, variable.address or 0, lambda t: True
    )
    return [Variable(name, t, address, place=variable.place) for name, t, address in found]


@dataclass
class Closures:
    """The closures of one target. What a function's closures consist of is asked once, unless it is generic.

    type_at: the type of the map whose header is known to lie at an address; None for any other address.
    """

    target: Target
    room: Room
    types: DescribedTypes
    type_at: Callable[[int], GoType | None] = lambda address: None
    hasher: Hasher | None = None
    alike: Alike = field(default_factory=Alike)
    _known: dict[int, Sequence[Captured]] = field(default_factory=dict)

    def variables(self, closure: int, slot: int, wanted: Callable[[GoType], bool]) -> Iterator[tuple[str, GoType, int]]:
        """(name, type, address) of each captured variable whose type is wanted.

        closure: *runtime.funcval of runtime/runtime2.go, the code's address first. slot: where that pointer lies.
        """
        if closure in self._read_only:
            return
        arch, read = self.target.arch, self.target.memory.read
        word = arch.pointer_size
        code = arch.pointer(read(closure, word))
        captured = self._known.get(code)
        if captured is None:
            captured = self.target.captured(code, slot)
            if not any(one.of_dictionary for one in captured):
                self._known[code] = captured
        unknown: dict[tuple[int, bool | None], list[Captured]] = {}
        for one in captured:
            if not wanted(one.type):
                continue
            if one.offset is None:
                unknown.setdefault((self.alike.number(one.type), one.by_reference), []).append(one)
                continue
            at = closure + one.offset
            by_reference = self._by_reference(closure, one) if one.by_reference is None else one.by_reference
            if by_reference is None:
                continue
            yield one.name, one.type, arch.pointer(read(at, word)) if by_reference else at
        # Behind the captured variables lies what belongs to another object.
        size = sum(word if one.by_reference else one.type.size for one in captured) + word
        yield from self._by_headers(closure, size, list(unknown.values()))

    @cached_property
    def _read_only(self) -> range:
        """Addresses of the program between its text and its variables. The compiler puts closures there that captured
        nothing (walkClosure of cmd/compile/internal/walk/closure.go): the debugger need not be asked about them."""
        try:
            module = Functions(self.target).module
            return range(module["etext"], module["noptrdata"])
        except GomapError:
            return range(0)

    def _by_headers(self, closure: int, size: int, unknown: list[list[Captured]]) -> Iterator[tuple[str, GoType, int]]:
        """Captured maps whose places in the closure, of `size` bytes, the debugger does not know: they are recognized
        by their headers, which must agree with the entries. If more words can be maps of a type than maps of this type
        were captured, none of them is returned.

        unknown: those of one type, captured in one way, together.
        """
        left = [group for group in unknown if group[0].type.kind is Kind.MAP]
        fitting = [dict(self._fitting(closure, size, group[0])) for group in left]
        taken: set[int] = set()
        while True:
            sure = [i for i, places in enumerate(fitting) if 0 < len(places.keys() - taken) <= len(left[i])]
            if not sure:
                return
            for i in sure:
                name = " or ".join(one.name for one in left[i])
                for word, at in fitting[i].items():
                    if word not in taken:
                        yield name, left[i][0].type, at
                taken |= fitting[i].keys()

    def _by_reference(self, closure: int, last: Captured) -> bool | None:
        """Whether the last part of a closure, of which its place alone is known, is a pointer: told by what the
        allocator gave for the closure, and for what would be pointed to; None where that does not tell."""
        heap, rules, size = self.room.heap, allocator(self.target), last.type.size
        if heap is None or last.offset is None:
            return None
        word = self.target.arch.pointer_size
        pointer = self.target.arch.pointer(self.target.memory.read(closure + last.offset, word))

        def is_object(address: int, size: int) -> bool:
            place = heap.at(address)
            given = rules.allocated(size, scan=True)
            return place is not None and place.span is not None and (place.base, place.span.object) == (address, given)

        boxed, inside = is_object(pointer, size), is_object(closure, last.offset + size)
        return boxed if boxed != inside else None

    def _fitting(self, closure: int, size: int, one: Captured) -> Iterator[tuple[int, int]]:
        """(offset in the closure, the variable's address) of what can be a map of that type, captured in that way."""
        arch, read = self.target.arch, self.target.memory.read
        word = arch.pointer_size
        try:
            words = read(closure, min(size, word * (1 + MAX_CAPTURED)) // word * word)
        except MemoryFault:
            return
        for offset in range(word, len(words), word):
            address, at = arch.pointer(words, offset), closure + offset
            try:
                if one.by_reference:
                    at, address = address, arch.pointer(read(address, word))
                if self._is_map(one.type, address):
                    yield offset, at
            except GomapError:
                continue

    def _is_map(self, t: GoType, address: int) -> bool:
        known = self.type_at(address)
        if known is not None:
            return same(known, t)
        found = view(self.target, t, address)
        return found.count > 0 and self.is_sound(found)

    def is_sound(self, found: MapView) -> bool:
        """Whether header and entries are those of a map of its type. Raises GomapError."""
        if nonsense(found, self.room):
            return False
        structure = found.structure(allocator(self.target))
        if structure.total.live != found.count or structure.anomalies:
            return False
        return all(self._fits(at, size) for at, size in found.extents) and self._keys_fit(found)

    def _fits(self, address: int, size: int) -> bool:
        """Whether the heap's object there has the size that the allocator gives for an array of `size` bytes."""
        heap = self.room.heap
        place = heap.at(address) if heap is not None else None
        if place is None or place.span is None or place.base != address or size > SMALL_OBJECT:
            return True  # in no heap, or not an object by itself
        allocated = allocator(self.target).allocated
        # A classic map's array has overflow buckets behind it, one for 16 others (makeBucketArray of runtime/map.go).
        given = {allocated(bytes_, scan=scan) for scan in (False, True) for bytes_ in (size, size + size // 16)}
        return place.span.object in given

    def _keys_fit(self, found: MapView) -> bool:
        """Whether keys lie where their hashes put them. A small map of another type has as many marks, and its
        keys elsewhere."""
        if self.hasher is None:
            self.hasher = hasher_of(self.target, self.types)
        plans = candidates(found, self.hasher)
        for entry in islice(found.entries() if plans else (), TRIED):
            if entry.key is None:
                return False
            try:
                result = lookup(found, self.hasher, plans, entry.key, bounded=True)
            except TooLong:
                continue
            if not result.nan and result.elem_address != entry.elem_address:
                return False
        return True
