"""What to change about maps, and how many bytes each change saves.

Every figure is computed from the arrays that a map has, the arrays that it would have by the layout's own rules, and
the allocator's size classes. If hashes decide (how many buckets overflow, how many tables split), the figure is the
expected value, with the range within which chance may move it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from gomap import human
from gomap.analysis.changes import (
    ALONE,
    BUFFERS,
    KEYS,
    POINTEES,
    UNMADE,
    Advice,
    Item,
    Subject,
    columns_of,
    cut,
    if_used,
    make,
)
from gomap.analysis.small_maps import SmallMaps
from gomap.analysis.string_columns import collected
from gomap.analysis.strings import Repeated, SavedBytes, TextPart, parts_of
from gomap.columns.marks import SLOTS
from gomap.errors import GomapError
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.slots import MAX_INLINE, Columns
from gomap.golang.layouts.structure import Structure
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType, Kind, fixed, has_pointers
from gomap.moving import walked
from gomap.progress import Progress, silent
from gomap.reads import gather
from gomap.target import Target
from gomap.values import Values

#: So many maps of one type with at most eight entries are many.
MANY_TINY = 64
#: A key of so many bytes at most is worth being an array instead of a string.
MAX_ARRAY = 64
#: Maps between two lines of progress.
STEP = 64
#: Small maps whose buckets are looked at together.
TOGETHER = 1 << 13
NOTHING = GoType(Kind.STRUCT, "struct {}", 0)
_BYTE = GoType(Kind.UINT, "uint8", 1)


@dataclass
class Adviser:
    """least: changes that save fewer bytes are left out. heap: None if debug information does not describe it;
    strings and values behind pointers are then left out."""

    target: Target
    heap: Heap | None
    rules: Allocator
    least: int
    advice: Advice = field(default_factory=Advice)
    _groups: int = 0  # of small maps that have strings
    _unnamed: int = 0
    _strings_of: dict[int, tuple[Subject, Structure]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.small = SmallMaps(self.heap, self.rules, self.target.arch.pointer_size)
        self.strings = None if self.heap is None else collected(self.heap, self.rules, self.target.memory)

    def advise(self, subjects: Sequence[Subject], progress: Progress = silent) -> Advice:
        """What to change about these maps. Ctrl-C ends it with what it has."""
        advice = self.advice
        self._unnamed = sum(one.unnamed for one in subjects)
        try:
            small: dict[tuple[object, ...], list[Subject]] = defaultdict(list)
            arrays: set[int] = set()  # of maps: a copied header has its map's
            for done, one in enumerate(subjects):
                if done % STEP == 0:
                    progress("maps", done, len(subjects))
                if one.view.nonsense:  # a process that runs has freed it, or it is corrupt
                    advice.unread += 1
                    continue
                array = one.view.array_address
                if array in arrays:
                    continue
                if array:
                    arrays.add(array)
                if not array or (one.view.size <= 1 and len(subjects) > 1 and self._is_small(one)):
                    small[_kind(one)].append(one)
                    continue
                try:
                    self._one(one)
                except GomapError:
                    advice.unread += 1
                    continue
            for number, group in enumerate(small.values()):
                progress("types of small maps", number, len(small))
                self._group(group, -1 - number)
            if self.strings is not None:
                self.strings.compare(progress)
                self._strings(progress)
        except KeyboardInterrupt:
            advice.interrupted = True
        if self.strings is not None:
            advice.strings_left = self.strings.left_out + self.strings.unreadable
        every = sorted(advice.items, key=lambda item: item.rank, reverse=True)
        every = [item for item in every if max(item.rank) > 0]
        advice.items = [item for item in every if max(item.rank) >= self.least]
        advice.small = len(every) - len(advice.items)
        return advice

    def _is_small(self, one: Subject) -> bool:
        """Whether all that the map has is one bucket or group."""
        return one.view.count <= SLOTS and one.view.size == (one.view.shape.overflow_off is not None)

    # -- one map -------------------------------------------------------------------------------------

    def _one(self, one: Subject) -> None:
        read = walked(one.view, self.rules)
        one, structure = replace(one, view=read.found), read.structure
        if structure.unreadable:
            self.advice.unread += 1
            return
        live = structure.total.live
        self.advice.maps += 1
        self.advice.entries += live
        settled = structure.bytes.allocated - structure.bytes.old  # a growth that is under way frees the rest
        behind = live * self.small.behind(one.view)
        remade = one.view.remade(live, self.rules)
        gain = settled - behind - remade.bytes
        if one.view.oversized(structure):
            self._rebuild(one, structure, settled, remade.bytes + behind, remade.within)
        else:
            self._presize(one, structure, max(gain, 0), remade.bytes + behind, remade.within)
        if live:
            self._contents(one, structure)

    def _rebuild(self, one: Subject, structure: Structure, held: int, remade: int, within: int) -> None:
        live, slots = structure.total.live, structure.slots
        if live:
            do = f"copy the {human.plural(live, 'entry', 'entries')} into a new map, {make(one.type, live)}"
        else:
            do = "set it to nil, or to a new map, until it gets entries again"
        self._tell(
            "rebuild",
            one,
            f"{do}: maps never shrink. If no entries were deleted, make was given too large a size",
            f"it holds {human.size(held)} with {slots:,} slots; a map made for "
            f"{human.plural(live, 'entry', 'entries')} holds {human.size(remade)}",
            held=held - remade,
            within=within,
            capacity=live,
        )

    def _presize(self, one: Subject, structure: Structure, gain: int, remade: int, within: int) -> None:
        live = structure.total.live
        grown = one.view.has_grown(structure)
        if grown is False or live <= SLOTS or structure.growth.state != "none":
            return
        filled = one.view.filled(live, structure, self.rules)
        behind = live * self.small.behind(one.view)
        saved = max(filled.bytes - (remade - behind), 0)
        gain = gain if gain > within else 0
        self._tell(
            "presize",
            one,
            f"give make the final size: {make(one.type, live)}",
            f"growing to {live:,} entries one by one allocates {human.size(filled.bytes)} for arrays; a map made for "
            f"that many allocates {human.size(remade - behind)}"
            + (f" and holds {human.size(gain)} less than this one" if gain else ""),
            held=gain,
            allocated=saved,
            within=filled.within + within,
            assumes=UNMADE if grown is None else None,
            capacity=live,
        )

    def _contents(self, one: Subject, structure: Structure) -> None:
        """What the keys and elems themselves tell."""
        found = one.view
        slots = found.shape.slots
        owner = self._owner(one, structure)
        elems: set[bytes] | None = set()
        parts = self._parts(found)
        pointers: list[int] | None = [] if self._may_hold(one.type.elem, one.type.key) else None
        if not parts and pointers is None and not self._worth(found, structure):
            return
        if slots.indirect_key or slots.indirect_elem:
            self.advice.indirect += 1
        for cells in self._cells(found):
            if elems is not None:
                elems = self._distinct(cells, elems)
            if pointers is not None:
                pointers += cells.words(
                    slots.elems_off, slots.elem_stride, "Q" if self.target.arch.pointer_size == 8 else "I"
                )
            self._take(owner, cells, parts)
        if elems is not None and len(elems) == 1:
            self._constant(one, structure, next(iter(elems)))
        if pointers:
            self._inline(one, structure, pointers)

    def _owner(self, one: Subject, structure: Structure) -> int:
        owner = len(self._strings_of)
        self._strings_of[owner] = one, structure
        return owner

    def _cells(self, found: MapView) -> Iterator[Columns]:
        for data in found.contents():
            yield columns_of(found, data)

    def _parts(self, found: MapView) -> list[tuple[TextPart, int]]:
        """(string or slice, bytes from its slot to the next) of the keys and elems that lie in slots."""
        slots = found.shape.slots
        if self.strings is None:
            return []
        parts = [] if slots.indirect_key else [(part, slots.key_stride) for part in parts_of(slots.key, slots.keys_off)]
        if not slots.indirect_elem:
            parts += [(part, slots.elem_stride) for part in parts_of(slots.elem, slots.elems_off)]
        return parts

    def _take(self, owner: int, cells: Columns, parts: Sequence[tuple[TextPart, int]]) -> None:
        for part, stride in parts:
            assert self.strings is not None
            self.strings.add(owner, cells, part, stride)

    def _distinct(self, cells: Columns, seen: set[bytes]) -> set[bytes] | None:
        """The elem that all entries have; None if there is more than one."""
        slots = cells.shape
        if slots.indirect_elem or not slots.elem.size:
            return None
        seen.update(cells.items(slots.elems_off, slots.elem_stride, slots.elem.size))
        return seen if len(seen) < 2 else None

    def _worth(self, found: MapView, structure: Structure) -> bool:
        """Whether a set would be smaller."""
        return self._without(found, structure, found.shape.slots.elem) > 0

    def _without(self, found: MapView, structure: Structure, elem: GoType) -> int:
        """Bytes that the arrays would be smaller by without elems."""
        if not elem.size:
            return 0
        other = found.reshaped(found.shape.slots.key, NOTHING)
        if other is None:
            return 0
        return found.arrays_size(structure, self.rules) - other.arrays_size(structure, self.rules)

    def _constant(self, one: Subject, structure: Structure, value: bytes) -> None:
        found, t = one.view, one.type
        saved = self._without(found, structure, t.elem)
        if saved <= 0:
            return
        shown = cut(Values(self.target).shown(t.elem, value))
        other = found.reshaped(t.key, NOTHING)
        assert other is not None
        self._tell(
            "set",
            one,
            f"make it a set, map[{human.short(t.key.name)}]struct{{}}: all its values are {shown}",
            f"a {found.terms.bucket} of eight slots takes {other.shape.slots.size} bytes instead of "
            f"{found.shape.slots.size}; its arrays hold {human.size(found.arrays_size(structure, self.rules))}",
            held=saved,
            scanned=self._scanned(found, other, structure),
            within=self._chance(found, other, structure),
            assumes="the program only asks whether a key is there",
        )

    def _chance(self, found: MapView, other: MapView, structure: Structure) -> int:
        """By how much the hashes of the keys may make the difference of two shapes larger or smaller."""
        live = structure.total.live
        return found.remade(live, self.rules).within + other.remade(live, self.rules).within

    def _scanned(self, found: MapView, other: MapView, structure: Structure) -> int:
        """Bytes of arrays that the collector would not scan."""
        return found.arrays_size(structure, self.rules) if found.shape.scan and not other.shape.scan else 0

    def _may_hold(self, elem: GoType, key: GoType) -> bool:
        """Whether elems are pointers to values that could lie in the map, which has no pointers then."""
        if elem.kind is not Kind.POINTER or elem.lazy_elem is None or has_pointers(key) or self.heap is None:
            return False
        return 0 < elem.elem.size <= MAX_INLINE and not has_pointers(elem.elem) and elem.elem.kind is not Kind.OPAQUE

    def _inline(self, one: Subject, structure: Structure, pointers: Sequence[int]) -> None:
        found, t = one.view, one.type.elem.elem
        assert self.heap is not None
        size = self.rules.allocated(t.size, False)
        if len(set(pointers)) < len(pointers):
            return
        for pointer in pointers:
            span = self.heap.span_of(pointer)
            if span is None or span.object != size or (pointer - span.start) % size:
                return
        other = found.reshaped(found.shape.slots.key, t)
        if other is None:
            return
        now, then = found.arrays_size(structure, self.rules), other.arrays_size(structure, self.rules)
        values = len(pointers) * size
        self._tell(
            "values-inline",
            one,
            f"put the values into the map: map[{human.short(one.type.key.name)}]{human.short(t.name)}. It has no "
            "pointers then, and the collector does not scan it",
            f"its arrays hold {human.size(now)} and its {len(pointers):,} values {human.size(values)}, an object of "
            f"{size} bytes each; with the values inside, the arrays take {human.size(then)}",
            held=now + values - then,
            scanned=self._scanned(found, other, structure),
            within=self._chance(found, other, structure),
            assumes=POINTEES,
        )

    # -- strings -------------------------------------------------------------------------------------

    def _strings(self, progress: Progress) -> None:
        strings = self.strings
        assert strings is not None
        best = 0
        told: list[SavedBytes] = []
        for done, (owner, (one, structure)) in enumerate(self._strings_of.items()):
            if done % STEP == 0:
                progress("strings of maps", done, len(self._strings_of))
            if not strings.has(owner):
                continue
            again = strings.duplicates(owner)
            best = max(best, again.bytes)
            if again.bytes:
                self._tell(
                    "duplicate-strings",
                    one,
                    "keep one copy of each string: intern them (unique.Make, or a map[string]string of those seen) "
                    "before they are stored",
                    f"{_copies(again)} of strings that this map has more than once",
                    held=again.bytes,
                    within=again.within,
                    assumes=ALONE,
                    strings=again.top,
                )
            pins = strings.pins(owner)
            if pins.bytes:
                self._pins(one, 1, pins.bytes, pins.objects, pins.within)
                told.append(pins)
            self._array_keys(one, structure, owner)
        if len(self._strings_of) + self._groups < 2:
            return
        again = strings.duplicates()
        if again.bytes > best:
            self._tell(
                "duplicate-strings",
                None,
                "keep one copy of each string over all maps: intern them before they are stored",
                f"{_copies(again)} of strings that these maps have more than once, also within one map",
                held=again.bytes,
                within=again.within,
                assumes=if_used(self._unnamed, ALONE),
                strings=again.top,
                maps=self.advice.maps,
            )
        pins = strings.pins()
        size, objects = pins.bytes - sum(one.bytes for one in told), pins.objects - sum(one.objects for one in told)
        if size > 0:
            self._pins(None, self.advice.maps, size, objects, pins.within)

    def _pins(self, one: Subject | None, maps: int, size: int, objects: int, within: int) -> None:
        self._tell(
            "pinned",
            one,
            "copy what is stored out of the larger string or array it is a part of: strings.Clone, bytes.Clone, "
            "slices.Clone",
            f"{human.plural(objects, 'object')} of the heap {'is' if objects == 1 else 'are'} at least four times as "
            f"large as what the slots need of {'it' if objects == 1 else 'them'}"
            + ("" if one else "; several maps, or small ones, have parts of " + ("it" if objects == 1 else "these")),
            held=size,
            within=within,
            assumes=BUFFERS if one is not None else if_used(self._unnamed, BUFFERS),
            maps=maps,
        )

    def _array_keys(self, one: Subject, structure: Structure, owner: int) -> None:
        """Keys of one length can be arrays: such a map may have no pointers."""
        strings, found, t = self.strings, one.view, one.type
        assert strings is not None
        if t.key.kind is not Kind.STRING or has_pointers(t.elem):
            return
        keys = strings.uniform(owner)
        if keys is None or keys.bytes is None or keys.number != structure.total.live or keys.length > MAX_ARRAY:
            return
        length, texts = keys.length, keys.bytes
        array = GoType(Kind.ARRAY, f"[{length}]byte", length, length=length, lazy_elem=fixed(_BYTE))
        other = found.reshaped(array, t.elem)
        if other is None:
            return
        now, then = found.arrays_size(structure, self.rules), other.arrays_size(structure, self.rules)
        self._tell(
            "array-keys",
            one,
            f"all keys have {length} bytes: with [{length}]byte as key type, map[[{length}]byte]"
            f"{human.short(t.elem.name)}, it has no pointers, and the collector does not scan it",
            f"its arrays hold {human.size(now)} and the strings of its keys {human.size(texts)}; with arrays as keys, "
            f"the arrays take {human.size(then)}",
            held=now + texts - then,
            scanned=self._scanned(found, other, structure),
            within=self._chance(found, other, structure),
            assumes=KEYS,
        )

    # -- small maps ----------------------------------------------------------------------------------

    def _group(self, group: Sequence[Subject], owner: int) -> None:
        """Maps of one type that have at most one bucket or group each."""
        found = group[0].view
        slots = found.shape.slots
        self.advice.maps += len(group)
        counts = Counter(one.view.count for one in group)
        self.advice.entries += sum(count * number for count, number in counts.items())
        parts = self._parts(found)
        if parts:
            self._groups += 1
            arrays = sorted({one.view.array_address for one in group if one.view.count and one.view.array_address})
            for start in range(0, len(arrays), TOGETHER):
                pieces = gather(self.target.memory, arrays[start : start + TOGETHER], slots.size)
                data = b"".join(bytes(piece) for _, piece in pieces if piece is not None)
                self._take(owner, columns_of(found, data), parts)
        empty, used = [one for one in group if not one.view.count], [one for one in group if one.view.count]
        if len(empty) >= MANY_TINY:
            self.advice.items.append(self.small.empty(empty))
        if len(used) >= MANY_TINY:
            self.advice.items.append(self.small.tiny(used))

    # -- the answer ----------------------------------------------------------------------------------

    def _tell(
        self,
        kind: str,
        one: Subject | None,
        do: str,
        how: str,
        held: int = 0,
        allocated: int = 0,
        scanned: int = 0,
        within: int = 0,
        assumes: str | None = None,
        capacity: int | None = None,
        strings: Sequence[Repeated] = (),
        maps: int = 1,
    ) -> None:
        name, of = "" if one is None else one.type.name, tuple(strings)
        self.advice.items.append(
            Item(kind, one, name, maps, do, how, held, allocated, scanned, within, assumes, capacity, of)
        )


def _copies(again: SavedBytes) -> str:
    """The objects that would be freed."""
    one = again.objects == 1
    return f"{human.plural(again.objects, 'object')} of the heap {'holds only a copy' if one else 'hold only copies'}"


def _kind(one: Subject) -> tuple[object, ...]:
    """A key that is equal for all maps of one type, whether the type comes from debug information or from the program's
    own descriptor; functions may declare several types of one name."""
    slots = one.view.shape.slots
    return one.type.name, slots.size, slots.keys_off, slots.elems_off, slots.key_stride, slots.elem_stride, slots.scan
