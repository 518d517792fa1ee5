"""Slices that share a backing array."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gomap.analysis.alias import Slice


@dataclass
class Shared:
    """Slices of one array. address: of the lowest element that any of them has; elements: up to the highest."""

    address: int
    end: int
    size: int
    slices: list[Slice] = field(default_factory=list)

    @property
    def elements(self) -> int:
        return (self.end - self.address) // self.size

    def range_of(self, one: Slice) -> tuple[int, int, int]:
        """(first, behind the last, behind the last that append may write) element of a slice, in this array."""
        first = (one.start - self.address) // self.size
        return first, first + one.length, first + one.room


def overlaps(slices: Iterable[Slice]) -> list[Shared]:
    """Slices of one element type whose arrays overlap, capacity included: append writes there. Those that most
    slices share come first. A variable that was reached twice counts once."""
    seen: set[tuple[int | str, int]] = set()
    by_type: dict[tuple[str, int], list[Slice]] = {}
    for one in slices:
        size = one.type.elem.size
        key = (one.address if one.address is not None else f"{one.place} {one.path}", one.start)
        if size and one.start and one.room > 0 and one.length <= one.room and key not in seen:
            seen.add(key)
            by_type.setdefault((one.type.elem.name, size), []).append(one)
    found: list[Shared] = []
    for (_, size), alike in by_type.items():
        alike.sort(key=lambda one: one.start)
        current: Shared | None = None
        for one in alike:
            end = one.start + one.room * size
            if current is None or one.start >= current.end:
                current = Shared(one.start, end, size)
                found.append(current)
            current.end = max(current.end, end)
            current.slices.append(one)
    return sorted((s for s in found if len(s.slices) > 1), key=lambda s: (-len(s.slices), s.address))
