"""How captured variables lie in a closure: ClosureStructIter of cmd/compile/internal/typecheck/func.go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gomap.gotypes import GoType, alignment, up
from gomap.target import Arch, Captured

#: Bytes of the largest variable that is captured by value: flowClosure of cmd/compile/internal/escape/escape.go.
BY_VALUE = 128
#: What the compiler calls the receiver in a method value's closure. It is captured by value, whatever its size.
RECEIVER = ".this"
#: Words of a closure that are looked at.
MAX_CAPTURED = 64
MAX_STEPS = 1 << 12
MAX_PARTS = 64


@dataclass(frozen=True)
class CapturedPart:
    """A captured variable as debug information has it. offset: in the closure, None for one that has the name of a
    pointer, whose first word, if it is one, is `pointer`.

    Such a one need not be a pointer: what was captured by value and is too large for registers has the address of
    its place in the closure as a variable of its own (buildssa of cmd/compile/internal/ssagen/ssa.go).
    """

    name: str
    type: GoType
    offset: int | None
    pointer: int = 0

    def is_pointer(self, word: int) -> bool:
        """Whether it can be nothing else."""
        return self.name != RECEIVER and not word < self.type.size <= BY_VALUE

    def is_like(self, other: CapturedPart) -> bool:
        """Whether the two differ only in their names."""
        unknown = self.offset is None and other.offset is None
        return unknown and self.pointer == other.pointer and self.type is other.type


def captured(parts: Sequence[CapturedPart], closure: bytes, arch: Arch) -> list[Captured]:
    """The parts whose place in the closure (runtime.funcval) is known.

    They follow each other, aligned, without gaps. If several arrangements are possible, the result is what all of them
    have in common; names that could be exchanged are given together. Debug information of an optimized build may lack
    some: then parts that can only be pointers are found by the values that they point to.
    """
    places: dict[int, set[tuple[int, bool]]] = {}
    layouts = _ClosureLayouts(parts[:MAX_PARTS], closure, arch)
    for layout in layouts.all():
        for i, place in layout.items():
            places.setdefault(i, set()).add(place)
    found = []
    for i, part in enumerate(parts):
        if part.offset is not None:
            found.append(Captured(part.name, part.type, part.offset, False))
            continue
        offsets = {offset for offset, _ in places.get(i, ())}
        pointers = {pointer for _, pointer in places.get(i, ())}
        if not places and part.is_pointer(arch.pointer_size):
            # Any word that says the same leads to the same variable.
            words = range(arch.pointer_size, len(closure) - arch.pointer_size + 1, arch.pointer_size)
            offsets, pointers = {at for at in words if arch.pointer(closure, at) == part.pointer}, {True}
            offsets = {min(offsets)} if offsets and part.pointer else set()
        if len(offsets) == 1 and layouts.steps <= MAX_STEPS:
            name = " or ".join(dict.fromkeys(one.name for one in parts if one.is_like(part)))
            found.append(Captured(name, part.type, offsets.pop(), pointers.pop() if len(pointers) == 1 else None))
    return found


class _ClosureLayouts:
    def __init__(self, parts: Sequence[CapturedPart], closure: bytes, arch: Arch) -> None:
        self.parts, self.closure, self.arch = parts, closure, arch
        self.steps = 0

    def all(self) -> Iterator[dict[int, tuple[int, bool]]]:
        return self._from(self.arch.pointer_size, {})

    def _from(self, start: int, placed: dict[int, tuple[int, bool]]) -> Iterator[dict[int, tuple[int, bool]]]:
        if len(placed) == len(self.parts):
            yield placed
        for i, part in enumerate(self.parts):
            if i not in placed and not any(j not in placed and self.parts[j].is_like(part) for j in range(i)):
                for at, pointer, end in self._next(part, start):
                    self.steps += 1
                    if self.steps <= MAX_STEPS:
                        yield from self._from(end, {**placed, i: (at, pointer)})

    def _next(self, part: CapturedPart, start: int) -> Iterator[tuple[int, bool, int]]:
        """(offset, is a pointer, end) of the part if it comes next."""
        word, size = self.arch.pointer_size, part.type.size
        by_value = up(start, alignment(part.type, word))
        if part.offset is not None:
            if part.offset == by_value:
                yield by_value, False, by_value + size
            return
        by_reference = up(start, word)
        if part.name != RECEIVER and self._word(by_reference) == part.pointer:
            yield by_reference, True, by_reference + word
        if (part.name == RECEIVER or word < size <= BY_VALUE) and self._word(by_value) == part.pointer:
            yield by_value, False, by_value + size

    def _word(self, at: int) -> int | None:
        return self.arch.pointer(self.closure, at) if at + self.arch.pointer_size <= len(self.closure) else None
