"""The strings and slices in maps' slots: which bytes occur more than once, and which strings keep a much larger object
alive than they need.

Objects are heap objects with the size of their size class. A string that several maps or variables share is one object,
and an object of at most 16 bytes may contain several strings (the allocator's tiny blocks). So savings are counted in
objects: an object is freed if no string that was seen in it remains.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from gomap.errors import MemoryFault
from gomap.golang.layouts.slots import Columns
from gomap.golang.runtime.heap import IN_USE, PAGE_SIZE, Heap
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType, Kind, has_pointers
from gomap.memory import Memory
from gomap.progress import Progress, silent
from gomap.reads import views

#: Strings that are compared: more, and longer ones, are not looked at, and that is said.
MAX_STRINGS, MAX_LENGTH = 1 << 23, 1 << 20
#: Bytes that are read to compare them.
MAX_READ = 1 << 30
#: An object is reported if it is this many times as large as the part of it that is needed.
TIMES = 4
#: Elements of an array in a slot whose strings are looked at, and structs inside of structs.
MAX_ELEMENTS, MAX_DEPTH = 16, 8
#: Strings shown, and how long.
TOP, SHOWN = 10, 256


class TextPart(NamedTuple):
    """Where a key or elem has a string or slice. elem: of the slice; None of a string."""

    offset: int
    elem: GoType | None


def parts_of(t: GoType, offset: int = 0, depth: int = 0) -> Iterator[TextPart]:
    """The strings and slices in a value of the type, those behind pointers apart."""
    if t.kind is Kind.STRING:
        yield TextPart(offset, None)
    elif t.kind is Kind.SLICE and t.lazy_elem is not None:
        yield TextPart(offset, t.elem)
    elif t.kind is Kind.STRUCT and depth < MAX_DEPTH:
        for one in t.fields:
            yield from parts_of(one.type, offset + one.offset, depth + 1)
    elif t.kind is Kind.ARRAY and t.length <= MAX_ELEMENTS and depth < MAX_DEPTH:
        for i in range(t.length):
            yield from parts_of(t.elem, offset + i * t.elem.size, depth + 1)


def shown_text(memory: Memory, address: int, length: int) -> bytes:
    """As much of a string as is shown; nothing of one that can't be read."""
    try:
        return memory.read(address, min(length, SHOWN))
    except MemoryFault:
        return b""


class Repeated(NamedTuple):
    """A string that is more than once in the heap. slots: how many have it; copies: objects with it; bytes: of all
    but one of these."""

    text: bytes
    length: int
    slots: int
    copies: int
    bytes: int


@dataclass
class SavedBytes:
    """Bytes of the objects that a change frees, and how many they are. within: what the tiny allocator may make of it.
    top: the strings that are most of it."""

    bytes: int = 0
    objects: int = 0
    within: int = 0
    top: list[Repeated] = field(default_factory=list)


class Uniform(NamedTuple):
    """Strings of one length. number: of different ones, by where they lie. bytes: of their objects, None where one lies
    outside of the heap or another map has a part of its object."""

    length: int
    number: int
    bytes: int | None


class Collected(Protocol):
    """What lies in the slots of maps: Strings, or Columns of numpy that say the same. owner: a number for the map that
    has the slot, or for several small ones together.

    left_out, unreadable: strings that were not compared.
    """

    left_out: int
    unreadable: int

    def add(self, owner: int, cells: Columns, part: TextPart, stride: int) -> None:
        """Adds the strings or slices in some slots of a map.

        owner: the map's number. cells: whole buckets. part: which column of them. stride: bytes from a slot to the
        next.
        """

    def compare(self, progress: Progress = silent) -> None:
        """Compares all strings that were added. To be called once, before the results are asked for."""

    def has(self, owner: int) -> bool:
        """Whether this owner has any strings."""

    def duplicates(self, owner: int | None = None) -> SavedBytes:
        """What keeping equal strings once would free.

        owner: within this map; None: over all maps.
        """

    def pins(self, owner: int | None = None) -> SavedBytes:
        """What copying strings out of much larger objects would free.

        owner: of this map; None: of all maps.
        """

    def uniform(self, owner: int) -> Uniform | None:
        """The one length of all strings of this owner; None where they have several."""


class _TextSlot:
    """A string or slice as the maps have it. owner: who has it, how many times; more: the other owners. There may be
    millions."""

    __slots__ = ("content", "is_string", "more", "needs", "owner", "scan", "times")

    def __init__(self, needs: int, scan: bool, is_string: bool, owner: int) -> None:
        self.needs, self.scan, self.is_string, self.owner, self.times = needs, scan, is_string, owner, 0
        self.more: dict[int, int] | None = None
        self.content = -1

    def add(self, owner: int, times: int) -> None:
        if owner == self.owner:
            self.times += times
        else:
            self.more = self.more or {}
            self.more[owner] = self.more.get(owner, 0) + times

    def owners(self) -> Iterator[int]:
        yield self.owner
        yield from self.more or ()

    def counted(self, owner: int | None) -> int:
        """In how many slots of this owner, or of all, it is."""
        if owner is None:
            return self.times + sum((self.more or {}).values())
        return self.times if owner == self.owner else (self.more or {}).get(owner, 0)

    def is_only(self, owner: int) -> bool:
        """Whether no other owner has it."""
        return self.owner == owner and not self.more


@dataclass
class Strings:
    """Collected without numpy: by (address, bytes)."""

    heap: Heap
    rules: Allocator
    memory: Memory
    slots: dict[tuple[int, int], _TextSlot] = field(default_factory=dict)
    left_out: int = 0
    unreadable: int = 0
    _objects: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    _pages: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    _inside: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    _of: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, owner: int, cells: Columns, part: TextPart, stride: int) -> None:
        """The strings or slices that the live slots of some buckets have at one place."""
        code = "Q" if cells.arch.pointer_size == 8 else "I"
        pointers = cells.words(part.offset, stride, code)
        lengths = cells.words(part.offset + cells.arch.pointer_size, stride, code)
        elem = part.elem
        size = 1 if elem is None else elem.size
        scan = elem is not None and has_pointers(elem)
        known = self.slots
        for key, count in Counter(zip(pointers, lengths)).items():
            if not key[1] or not key[0] or not size:
                continue
            key = key if size == 1 else (key[0], key[1] * size)
            one = known.get(key)
            if one is None:
                if len(known) >= MAX_STRINGS:
                    self.left_out += count
                    continue
                one = known[key] = _TextSlot(self.rules.allocated(key[1], scan), scan, elem is None, owner)
            one.add(owner, count)

    def compare(self, progress: Progress = silent) -> None:
        """Looks up the objects of all, and finds which strings have the same bytes."""
        for key in sorted(self.slots):
            for owner in self.slots[key].owners():
                self._of[owner].append(key)
            found = self._object(*key)
            if found is not None:
                self._objects[key] = found
                self._inside[found[0]].append(key)
        self._read(progress)

    def _object(self, address: int, length: int) -> tuple[int, int] | None:
        """(start, bytes) of the heap's object that it lies in; None outside of the heap."""
        page = self._pages.get(address // PAGE_SIZE)
        if page is None:
            try:
                span = self.heap.span_of(address)
            except MemoryFault:
                span = None
            page = (0, 0, 0)
            if span is not None and span.state == IN_USE and span.object:
                page = span.start, span.object, span.objects
            self._pages[address // PAGE_SIZE] = page
        start, size, objects = page
        if not size or (address - start) // size >= objects:
            return None
        base = address - (address - start) % size
        return (base, size) if address + length <= base + size else None

    def _read(self, progress: Progress) -> None:
        """Gives strings of the same bytes the same number. Only those of a length that others have are read."""
        lengths = Counter(length for (_, length), one in self.slots.items() if one.is_string)
        places: list[tuple[int, int]] = []
        total = 0
        for (address, length), one in sorted(self.slots.items()):
            if not one.is_string or lengths[length] < 2 or (address, length) not in self._objects:
                continue
            total += length
            if length > MAX_LENGTH or total > MAX_READ:
                self.left_out += 1
                continue
            places.append((address, length))
        numbers: dict[tuple[int, int], int] = {}
        read = views(self.memory, [address for address, _ in places], [length for _, length in places])
        for done, (place, text) in enumerate(zip(places, read)):
            if done % 4096 == 0:
                progress("strings", done, len(places))
            if isinstance(text, MemoryFault):
                self.unreadable += 1
                continue
            # Python's own hash, whose seed is random in each process: 64 bits of it and the length are the text.
            self.slots[place].content = numbers.setdefault((hash(bytes(text)), place[1]), len(numbers))

    # -- what can be saved ---------------------------------------------------------------------------

    def duplicates(self, owner: int | None = None) -> SavedBytes:
        """What keeping one copy of each string frees: of those that are in one map's slots and in no other's, or, of
        None, of all."""
        saved = SavedBytes()
        kept: set[int] = set()
        mine: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for key in self._objects if owner is None else self._of[owner]:
            one = self.slots[key]
            if one.content < 0:
                continue
            copies = mine[one.content]
            copies.append(key)
            if len(copies) == 1:
                kept.add(self._objects[key][0])
        freed: dict[int, int] = {}
        gone: Counter[int] = Counter()
        for copies in mine.values():
            for key in copies[1:]:
                base, size = self._objects[key]
                if base not in kept and base not in freed and self._only(base, mine, owner):
                    freed[base] = size
                    gone[self.slots[self._inside[base][0]].content] += size  # counted with the first string in it
        saved.bytes, saved.objects = sum(freed.values()), len(freed)
        saved.within = 16 * sum(mine[content][0][1] < 16 for content in gone)
        rows: list[tuple[int, int, int, int]] = []
        for content, size in gone.items():
            count = sum(self.slots[key].counted(owner) for key in mine[content])
            rows.append((-size, -count, mine[content][0][0], content))
        for size, count, address, content in sorted(rows)[:TOP]:
            length, objects = mine[content][0][1], {self._objects[key][0] for key in mine[content]}
            text = shown_text(self.memory, address, length)
            saved.top.append(Repeated(text, length, -count, len(objects), -size))
        return saved

    def _only(
        self,
        base: int,
        mine: dict[int, list[tuple[int, int]]],
        owner: int | None,
    ) -> bool:
        """Whether all that was seen in the object is strings that have a copy elsewhere, and that no other map has."""
        for key in self._inside[base]:
            one = self.slots[key]
            if one.content < 0 or (owner is not None and not one.is_only(owner)):
                return False
            others = mine.get(one.content)
            if others is None or len(others) < 2:
                return False
        return True

    def pins(self, owner: int | None = None) -> SavedBytes:
        """What copying strings and slices out of much larger objects frees: of the objects of which one map's slots
        alone have a part, or, of None, of all."""
        saved = SavedBytes()
        bases: Iterable[int] = self._inside
        if owner is not None:
            bases = dict.fromkeys(self._objects[key][0] for key in self._of[owner] if key in self._objects)
        for base in bases:
            inside = self._inside[base]
            size = self._objects[inside[0]][1]
            slots = [self.slots[key] for key in inside]
            needs = sum(one.needs for one in slots)
            if needs * TIMES > size:
                continue
            if owner is not None and not all(one.is_only(owner) for one in slots):
                continue
            saved.bytes += size - needs
            saved.objects += 1
            saved.within += sum(16 for one in slots if one.needs <= 16 and not one.scan)
        return saved

    def has(self, owner: int) -> bool:
        """Whether this owner has any strings."""
        return bool(self._of.get(owner))

    def uniform(self, owner: int) -> Uniform | None:
        """Of an owner that has nothing but strings of one length."""
        keys = self._of[owner]
        lengths = {length for _, length in keys}
        if len(lengths) != 1 or not all(self.slots[key].is_string for key in keys):
            return None
        bases: dict[int, int] = {}
        for key in keys:
            found = self._objects.get(key)
            if found is None or not all(self.slots[inside].is_only(owner) for inside in self._inside[found[0]]):
                return Uniform(lengths.pop(), len(keys), None)
            bases[found[0]] = found[1]
        return Uniform(lengths.pop(), len(keys), sum(bases.values()))
