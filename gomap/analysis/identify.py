"""The type of a map of the heap that no variable with a type leads to.

The allocator records the type of a large array with pointers, and which words of a small one are pointers. Otherwise
the size is known: of the program's map types, those fit whose groups (buckets) make an object of that size, for which
the hashes of some keys agree with the map's marks, and whose elems can be values of their type. Types with keys of the
same kind and elems of the same size may not be distinguishable this way; then several fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

from gomap.columns.marks import SLOTS
from gomap.errors import GomapError
from gomap.golang.hashing.hasher import Hasher, hasher_of
from gomap.golang.hashing.plans import Plan
from gomap.golang.layouts.layout import MapView, Shape
from gomap.golang.layouts.lookup import agreement
from gomap.golang.runtime.dictionaries import SHAPE
from gomap.golang.runtime.heap import Heap, HeapPlace, Room
from gomap.golang.runtime.liveness import pointers_of
from gomap.golang.runtime.malloc import Allocator, allocator
from gomap.golang.runtime.maptypes import map_types
from gomap.golang.runtime.rtype import DescribedTypes, descriptor_of
from gomap.gotypes import GoType, Kind, has_pointers
from gomap.heap.census import Rule, rule_of
from gomap.maps import shape_of, view
from gomap.target import Target, read_record

#: Types that are tried for one map.
MAX_TRIED = 256
#: Of a corrupt map the hashes of more keys than that, and of more than half, have to agree.
AGREEING = 2
#: So many keys whose hashes agree with their marks prove where keys lie. Of a map whose other keys do not agree they
#: are from several buckets (groups), which then have the size that the type says.
PROOF, PROOF_BESIDE_OTHERS = 2, 16
#: Elems that are looked at, how deep, and what no string or slice is as long as.
ELEMS, MAX_DEPTH, MAX_LENGTH = 8, 4, 1 << 40


@dataclass(frozen=True)
class Identified:
    """view: of the map, by the first type that fits; None if none fits. others: names of the other types that fit.
    keys: how many were hashed, all of which agree; 0 if some do not, and the map is corrupt.

    known_by: `reference` (an object or map of known type points to it), `allocator` (it recorded the type, or pointers
    where no other type has them), `hashes` (of some keys), or `size`, if no key's hash can be checked. proven: the
    map's layout agrees with the types that fit. Otherwise the type is a guess, and a fault found with it may be due to
    the wrong type.
    """

    view: MapView | None = None
    type: GoType | None = None
    known_by: str | None = None
    others: tuple[str, ...] = ()
    keys: int = 0
    proven: bool = False
    other_types: tuple[GoType, ...] = ()


#: A type that agrees with a map, and how many of the map's keys were hashed.
_Agreed = tuple[GoType, Shape, int]


@dataclass(frozen=True)
class _ListedType:
    """A map type of the program. slots: *abi.Type of its groups (buckets), None if it is known only from a variable."""

    type: GoType | None
    descriptor: int
    slots: int | None
    size: int
    noscan: bool


@dataclass
class Identifier:
    """known: types of maps that variables lead to, which come first if several fit. referring: finds the type of a
    map from what points to it."""

    target: Target
    heap: Heap
    types: DescribedTypes
    known: Iterable[GoType] = ()
    referring: Callable[[int], GoType | None] | None = None
    _of_array: dict[tuple[int, int, bool], list[_ListedType]] = field(default_factory=dict)
    #: By id() of a map type, which the types keep, and number of groups.
    _pointers: dict[tuple[int, int], int] = field(default_factory=dict)
    _largest: dict[int, int] = field(default_factory=dict)
    _placed: dict[int, HeapPlace | None] = field(default_factory=dict)
    #: By id() of a type of maps, and of one of keys.
    _shapes: dict[int, Shape] = field(default_factory=dict)
    _plans: dict[int, tuple[Plan, ...]] = field(default_factory=dict)

    @cached_property
    def _every(self) -> list[_ListedType]:
        found: list[_ListedType] = []
        # No map is made with the type of a shape: generic code takes the type from its dictionary.
        listed = [one for one in map_types(self.types) if SHAPE not in self.types.name(one.descriptor)]
        named = {}
        for one in listed:
            found.append(_ListedType(None, one.descriptor, one.slots, one.size, one.noscan))
        names = {self.types.name(one.descriptor) for one in listed}
        for t in self.known:
            # A variable of generic code has the type of a shape, which no expression can name.
            t = replace(t, name=t.name.replace(SHAPE, "")) if SHAPE in t.name else t
            if t.name not in names and t.name not in named:  # made by reflect, or of generic code alone
                try:
                    shape = shape_of(t, self.target.arch)
                except GomapError:
                    continue
                named[t.name] = _ListedType(t, 0, None, shape.slots.size, not shape.scan)
        return [*named.values(), *found]

    @cached_property
    def _first(self) -> frozenset[str]:
        return frozenset(t.name for t in self.known)

    @cached_property
    def layout(self) -> str:
        """The layout of the program's maps: classic or swiss."""
        return self._rule.name

    @cached_property
    def hasher(self) -> Hasher:
        """Hashes keys as the program does."""
        return hasher_of(self.target, self.types)

    @cached_property
    def largest(self) -> int:
        """Bytes that an entry of any map of the program may have behind pointers."""
        return max(map(self._behind, self._every), default=0)

    def largest_in(self, array: int, size: int) -> int:
        """Bytes that an entry of the map with this array may have behind pointers. size: Map.dirLen, or hmap.B."""
        groups = self._rule.groups(size)
        try:
            every = self._candidates(array, groups) if groups and array else self._every
        except GomapError:
            every = self._every
        found = self._largest.get(id(every))
        if found is None:
            found = max(map(self._behind, every), default=0)
            self._largest[id(every)] = found  # the lists are kept
        return found

    def _behind(self, one: _ListedType) -> int:
        t = self._type(one)
        try:
            slots = shape_of(t, self.target.arch).slots if t is not None else None
        except GomapError:
            slots = None
        if slots is None:
            return 0
        key = slots.indirect_key * self._rules.allocated(slots.key.size, False)
        return key + slots.indirect_elem * self._rules.allocated(slots.elem.size, False)

    def identify(self, address: int) -> Identified:
        """The type of the map whose header lies at the address."""
        array = count = 0
        noted: tuple[int, int] | None = None
        candidates: Sequence[_ListedType] = self._every
        is_noted = False
        try:
            array, count = self._array(address)
            noted = self.heap.type_at(array) if array else None
            candidates = self._candidates(array, count) if array else []
            if noted is not None:
                of_type = [one for one in self._every if one.slots == noted[0]]
                is_noted, candidates = bool(of_type), of_type or candidates
            bits = self.heap.pointers_of(array) if array and noted is None else None
        except GomapError:
            bits = None
        told = self.referring(address) if not is_noted and self.referring is not None else None
        if told is not None and not self.target.running:
            try:
                return Identified(view(self.target, told, address), told, "reference", proven=True)
            except GomapError:
                pass
        if told is not None:
            # Memory may change while the path down is followed: the type found must fit the map, too.
            alike = [one for one in candidates if self._name(one) == told.name]
            found, _, _ = self._agreeing(address, alike, bits, count)
            for t, _, hashed in self._fitting(address, found):
                return Identified(view(self.target, t, address), t, "reference", (), hashed, proven=True)
        found, partly, by_pointers = self._agreeing(address, candidates, bits, count)
        if not found and partly is None:
            return Identified()
        if not found and partly is not None:  # a map with keys that are not where their hashes belong
            proven = is_noted or partly[2] >= PROOF_BESIDE_OTHERS
            return Identified(view(self.target, partly[0], address), partly[0], "hashes", (), 0, proven)
        fits = self._fitting(address, found)
        t, _, hashed = (fits or found)[0]  # one of no type that fits is corrupt, and nothing more is known
        how = "allocator" if noted is not None else "hashes" if hashed else "allocator" if by_pointers else "size"
        more = {other.name: other for other, _, _ in (fits or found)[1:] if other.name != t.name}
        proven = is_noted or (bool(fits) and hashed >= PROOF)
        looked = view(self.target, t, address)
        return Identified(looked, t, how, tuple(more), hashed, proven, tuple(more.values()))

    def _agreeing(
        self, address: int, candidates: Sequence[_ListedType], bits: int | None, count: int
    ) -> tuple[list[_Agreed], _Agreed | None, bool]:
        """Those of the types whose hashes give the map's keys their marks; the one for which most do, where some do
        not; whether others were left out because of where the array has pointers (bits)."""
        found: list[_Agreed] = []
        partly: _Agreed | None = None
        by_pointers = False
        hashed_as: dict[object, tuple[int, int] | None] = {}
        for one in candidates[:MAX_TRIED]:
            t = self._type(one)
            if t is None:
                continue
            try:
                shape = self._shape(t)
                if bits is not None and not self._has_pointers(t, shape, bits, count):
                    by_pointers = True
                    continue
                # Of types whose keys lie at the same places and are hashed in one way one is hashed.
                slots = shape.slots
                places = slots.keys_off, slots.key_stride, slots.indirect_key, slots.size, slots.key.size
                alike = self._hashed(slots.key), places
                if alike not in hashed_as:
                    hashed_as[alike] = agreement(view(self.target, t, address), self.hasher)
                agreed = hashed_as[alike]
            except GomapError:
                continue
            if agreed is None or agreed[0] == agreed[1]:
                found.append((t, shape, agreed[1] if agreed else 0))
            elif agreed[0] > max(AGREEING, agreed[1] // 2, partly[2] if partly is not None else 0):
                partly = t, shape, agreed[0]
        return found, partly, by_pointers

    def _fitting(self, address: int, found: Sequence[_Agreed]) -> list[_Agreed]:
        """Those whose elems and structure can be the map's, the likeliest first."""
        elems: dict[object, list[bytes | None] | None] = {}
        self._placed.clear()
        fits = [(self._fit(address, one[0], one[1], elems), one) for one in found]
        known = [(exact, one) for exact, one in fits if exact is not None]
        known.sort(key=lambda pair: (pair[1][0].name not in self._first, -pair[0]))
        return [one for _, one in known]

    def _shape(self, t: GoType) -> Shape:
        """Raises GomapError."""
        found = self._shapes.get(id(t))
        if found is None:
            found = self._shapes[id(t)] = shape_of(t, self.target.arch)
        return found

    def _hashed(self, key: GoType) -> tuple[Plan, ...]:
        """How keys of the type may be hashed, which the types keep."""
        found = self._plans.get(id(key))
        if found is None:
            found = self._plans[id(key)] = tuple(self.hasher.plans(key))
        return found

    def _name(self, one: _ListedType) -> str:
        return one.type.name if one.type is not None else self.types.name(one.descriptor)

    def _fit(self, address: int, t: GoType, shape: Shape, elems: dict[object, list[bytes | None] | None]) -> int | None:
        """In how many of the first elems a pointer leads to an object of just its type's size; None where an elem, or
        a small map's structure, can't be of the map's type. elems: those that were read, of slots in the same places;
        None where the structure can't be such a map's."""
        slots = shape.slots
        # A bucket's overflow pointer lies at its end, which is another place for another type.
        places = slots.keys_off, slots.elems_off, slots.key_stride, slots.elem_stride, slots.size
        alike = *places, shape.overflow_off, slots.indirect_key, slots.indirect_elem, shape.scan, shape.elem.size
        exact = 0
        try:
            if alike not in elems:
                elems[alike] = None
                looked = view(self.target, t, address)
                if looked.count > SLOTS or not looked.structure(self._rules).anomalies:
                    elems[alike] = [entry.elem for entry in islice(looked.entries(), ELEMS)]
            some = elems[alike]
            if some is None:
                return None
            for elem in some:
                if elem is None or not self._can_be(shape.elem, elem):
                    return None
                exact += self._is_exact(shape.elem, elem)
        except GomapError:
            return None
        return exact

    def _is_exact(self, t: GoType, data: bytes) -> bool:
        if t.kind is not Kind.POINTER:
            return False
        pointer = self.target.arch.pointer(data)
        place = self._at(pointer)
        if place is None or place.span is None or place.base != pointer:
            return False
        scan = has_pointers(t.elem)
        return scan != place.span.noscan and place.span.object == self._rules.allocated(t.elem.size, scan)

    def _at(self, pointer: int) -> HeapPlace | None:
        """Where a pointer of the map's first elems leads, which every type asks for."""
        if pointer not in self._placed:
            self._placed[pointer] = self.heap.at(pointer)
        return self._placed[pointer]

    def _can_be(self, t: GoType, data: bytes, depth: int = 0) -> bool:
        """Whether these bytes can be a value of the type. Raises GomapError."""
        arch, word, kind = self.target.arch, self.target.arch.pointer_size, t.kind
        if kind is Kind.STRUCT and depth < MAX_DEPTH:
            return all(self._can_be(f.type, data[f.offset : f.offset + f.type.size], depth + 1) for f in t.fields)
        if kind is Kind.ARRAY and t.length and depth < MAX_DEPTH:
            return self._can_be(t.elem, data[: t.elem.size], depth + 1)
        if kind is Kind.BOOL:
            return data[0] <= 1
        if kind is Kind.INTERFACE:
            first = arch.pointer(data)
            if not first:
                return not any(data)
            self.types.descriptor(descriptor_of(self.types, first, t.methods))
            return True
        pointer = arch.pointer(data) if len(data) >= word else 0
        if kind in (Kind.STRING, Kind.SLICE):
            length, room = arch.pointer(data, word), arch.pointer(data, len(data) - word)
            return length <= room < MAX_LENGTH and bool(pointer or not room)
        if not pointer or kind not in (Kind.POINTER, Kind.FUNC, Kind.MAP):
            return True
        if kind is Kind.FUNC:
            return self._room.is_code(arch.pointer(self.target.memory.read(pointer, word)))
        size, scan = (t.elem.size, has_pointers(t.elem)) if kind is Kind.POINTER else (t.header.size, True)
        place = self._at(pointer)
        if place is None:
            return True
        if place.span is None or place.base is None or place.allocated is False:
            return False
        return pointer + size <= place.base + place.span.object and not (scan and place.span.noscan)

    @cached_property
    def _rules(self) -> Allocator:
        return allocator(self.target)

    @cached_property
    def _room(self) -> Room:
        return Room(self.target)

    def _type(self, one: _ListedType) -> GoType | None:
        try:
            return one.type or self.types.at(one.descriptor)
        except GomapError:
            return None

    @cached_property
    def _rule(self) -> Rule:
        header = self.types.map_header()
        return rule_of(header, [f.name for f in header.fields], self.target.arch.pointer_size)

    def _array(self, address: int) -> tuple[int, int]:
        """(address, how many) of the map's buckets, or of the groups of its first table. 0 of a map that has none."""
        return self._rule.array(self.types, read_record(self.target, self.types.map_header(), address))

    def _candidates(self, array: int, count: int) -> Sequence[_ListedType]:
        """Map types of which so many groups (buckets) are an object of the size that lies there."""
        place = self.heap.at(array)
        if place is None or place.span is None or place.base is None:
            return self._every  # on a stack
        key = count, place.span.object, place.span.noscan
        found = self._of_array.get(key)
        if found is None:
            rules = self._rules
            found = self._of_array[key] = [
                one
                for one in self._every
                if one.noscan == key[2] and rules.allocated(count * one.size, not one.noscan) == key[1]
            ]
        return found

    def _has_pointers(self, t: GoType, shape: Shape, bits: int, count: int) -> bool:
        """Whether so many groups (buckets) of this map type have pointers where the collector finds them."""
        key, each = (id(t), count), shape.slots.size // self.target.arch.pointer_size
        wanted = self._pointers.get(key)
        if wanted is None:
            one = self._pointers_in(shape)
            wanted = self._pointers[key] = sum(one << i * each for i in range(min(count, 64)))
        return wanted == bits & ((1 << each * min(count, 64)) - 1)

    def _pointers_in(self, shape: Shape) -> int:
        """Where one group (bucket) has pointers, a bit a word."""
        slots, word = shape.slots, self.target.arch.pointer_size
        one = 0
        for offset, stride, t, indirect in (
            (slots.keys_off, slots.key_stride, slots.key, slots.indirect_key),
            (slots.elems_off, slots.elem_stride, slots.elem, slots.indirect_elem),
        ):
            inside = [0] if indirect else list(pointers_of(t, 0, word))
            for i in range(SLOTS):
                for at in inside:
                    one |= 1 << (offset + i * stride + at) // word
        if shape.overflow_off is not None:
            one |= 1 << shape.overflow_off // word
        return one
