"""What to do about very many maps of one type that have a bucket or group each, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gomap import human
from gomap.analysis.changes import HEADERS, Item, Subject, if_used
from gomap.errors import GomapError
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime.heap import IN_USE, Heap
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import Field, GoType, Kind, alignment, has_pointers, up


@dataclass(frozen=True)
class SmallMaps:
    """What such maps hold. heap: None where the program does not describe it. word: bytes of a pointer."""

    heap: Heap | None
    rules: Allocator
    word: int

    def behind(self, found: MapView) -> int:
        """Bytes of the objects that one entry has behind pointers of its slot."""
        slots = found.shape.slots
        key = slots.indirect_key * self.rules.allocated(slots.key.size, has_pointers(slots.key))
        return key + slots.indirect_elem * self.rules.allocated(slots.elem.size, has_pointers(slots.elem))

    def empty(self, group: Sequence[Subject]) -> Item:
        """Of maps without entries."""
        headers, arrays = self.headers(group), self.arrays(group)
        return Item(
            "empty-maps",
            None,
            group[0].type.name,
            len(group),
            f"leave these {len(group):,} maps nil until they get their first entry: reading a nil map is allowed",
            f"their headers hold {human.size(headers)}, and what is allocated for entries {human.size(arrays)}",
            held=headers + arrays,
            assumes=if_used(sum(one.unnamed for one in group), ""),
        )

    def headers(self, group: Sequence[Subject]) -> int:
        """Bytes of the headers that lie in the heap."""
        each = self.rules.allocated(group[0].view.shape.header.size, True)
        return each * sum(1 for one in group if self._on_heap(one.address))

    def arrays(self, group: Sequence[Subject]) -> int:
        """Bytes of the buckets or groups that do, of small maps."""
        shape = group[0].view.shape
        each = self.rules.allocated(shape.slots.size, shape.scan)
        return each * sum(1 for one in group if self._on_heap(one.view.array_address))

    def tiny(self, group: Sequence[Subject]) -> Item:
        """Of maps with at most eight entries."""
        counts = Counter(one.view.count for one in group)
        found, rules, word = group[0].view, self.rules, self.word
        slots = found.shape.slots
        entries = sum(count * number for count, number in counts.items())
        held = self.headers(group) + self.arrays(group) + entries * self.behind(found)
        key, elem = slots.key, slots.elem
        align = max(alignment(key, word), alignment(elem, word))
        at = up(key.size, alignment(elem, word))
        pair = up(at + elem.size + (not elem.size), align)
        scan = has_pointers(key) or has_pointers(elem)
        slices = sum(number * rules.allocated(count * pair, scan) for count, number in counts.items())
        extra = 2 * word * len(group)
        both = GoType(
            Kind.STRUCT,
            f"struct {{ owner uint64; key {human.short(key.name)} }}",
            up(8 + key.size, max(align, word)),
            fields=(Field("owner", 0, GoType(Kind.UINT, "uint64", 8)), Field("key", 8, key)),
        )
        other = found.reshaped(both, elem)
        one_map = None if other is None else other.remade(entries, rules).bytes
        if other is not None and one_map is not None:
            one_map += entries * self.behind(other)
        name = f"[]struct {{ key {human.short(key.name)}; elem {human.short(elem.name)} }}"
        return Item(
            "tiny-maps",
            None,
            group[0].type.name,
            len(group),
            f"use a slice, {name}, in place of each of these {len(group):,} maps, which have at most eight entries "
            f"({entries / len(group):.1f} on average), or one map for all with the key {both.name}",
            f"the maps hold {human.size(held)}; slices without spare capacity take {human.size(slices)}, and the "
            f"structs that hold them {human.size(extra)} more (a slice is two words longer than a map)"
            + (f"; the one map holds {human.size(one_map)}" if one_map is not None else ""),
            held=held - slices - extra,
            within=8192,
            assumes=if_used(sum(one.unnamed for one in group), HEADERS),
        )

    def _on_heap(self, address: int) -> bool:
        """Whether there is an object, and the heap has it."""
        if not address or self.heap is None:
            return address != 0
        try:
            span = self.heap.span_of(address)
        except GomapError:
            return False
        return span is not None and span.state == IN_USE
