"""Slices that share a backing array."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gomap.analysis.alias import HolderSearch
from gomap.analysis.held import AliasSearch
from gomap.analysis.roots import Reach
from gomap.gotypes import GoType, Kind, can_reach_slice
from gomap.graph.path import plain
from gomap.graph.reference import Reference
from gomap.progress import Progress, silent
from gomap.target import Place, Target, Variable


@dataclass(frozen=True)
class Slice:
    """A slice that the search came to. address: the variable's; start: the array's element 0."""

    path: str
    place: Place
    type: GoType
    address: int | None
    start: int
    length: int
    room: int


@dataclass
class Shared:
    """Slices of one array. address: of the lowest element that any of them has; elements: up to the highest."""

    address: int
    end: int
    size: int
    slices: list[Slice] = field(default_factory=list)

    @property
    def elements(self) -> int:
        """How many elements the array has, as far as slices lead into it."""
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


def search(
    target: Target, roots: Iterable[Variable], depth: int, progress: Progress = silent
) -> tuple[AliasSearch, list[Slice]]:
    """Every slice that the roots lead to (alias.holders, for slices). Dead variables do not count."""
    search = SliceSearch(target, depth)
    return search.search(roots, progress), search.slices


@dataclass
class SliceSearch(HolderSearch):
    """A search that goes where slices can be, and notes them, nil ones too."""

    slices: list[Slice] = field(default_factory=list)
    reaches: Reach = field(default_factory=lambda: Reach(can_reach_slice))
    always: frozenset[Kind] = frozenset({Kind.MAP, Kind.SLICE})
    with_dead: bool = False

    def enters(self, reference: Reference) -> bool:
        """As Visitor.enters: notes each slice."""
        if reference.kind is not Kind.SLICE:
            return super().enters(reference)
        self.walk.check(reference)
        one, name = reference, plain(self.names.text(reference.path))
        self.slices.append(Slice(name, one.path.place, one.type, one.slot, *one.words))
        return self.reaches(one.type.elem) and self.first_visit(one)
