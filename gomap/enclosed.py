"""What a function's closures captured, from debug information: the variables, and where they lie in a closure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

from gomap.dwarf.info import ClosureVariable, DebugInfo
from gomap.errors import MemoryFault
from gomap.golang.runtime import dictionaries
from gomap.golang.runtime.closures import MAX_CAPTURED, CapturedPart, captured
from gomap.golang.runtime.dictionaries import Arguments, Dictionary, Known, candidates, is_shaped
from gomap.gotypes import GoType, Kind
from gomap.memory import Memory
from gomap.target import Arch, Captured


@dataclass(frozen=True)
class Declaration:
    """A variable of the function. name: with & in front where it is the pointer to a variable, as `type` is then."""

    name: str
    type: GoType
    line: int
    is_argument: bool


@dataclass
class Enclosed:
    """The closures of one program. known: its dictionaries."""

    arch: Arch
    memory: Memory
    arguments: Callable[[], Arguments]
    known: Callable[[], Known]

    def kept(self, info: DebugInfo, function: str, kept: Sequence[ClosureVariable], slot: int) -> Sequence[Captured]:
        """What debug information has with its place in the closure (from Go 1.23 on). function: its linker name. slot:
        address of a func value of one of its closures. Raises BadDwarf, MemoryFault."""
        word = self.arch.pointer_size
        own = self.memory.read(self.arch.pointer(self.memory.read(slot, word)), word * (1 + MAX_CAPTURED))
        parts, dictionary = [], []
        for one in kept:
            if one.offset + word > len(own):
                continue
            t = info.type(one.type_at)
            if one.name == dictionaries.VARIABLE and t.kind is Kind.POINTER and t.elem.kind is Kind.ARRAY:
                dictionary.append(Dictionary(self.arch.pointer(own, one.offset), t.elem.length))
            if one.name.startswith("&") and t.kind is Kind.POINTER:
                parts.append(CapturedPart(one.name[1:], t.elem, None, self.arch.pointer(own, one.offset)))
            else:
                parts.append(CapturedPart(one.name, t, one.offset))
        return self._typed(function, slot, captured(parts, own, self.arch), dictionary)

    def declared(self, function: str, line: int, declared: Sequence[Declaration], slot: int) -> Sequence[Captured]:
        """The variables that were declared before the function, which is at `line`: those that it captured, with no
        place. function, slot: see kept."""
        parts = []
        for one in declared:
            if one.is_argument or one.name.startswith("~") or one.line > line:
                continue
            by_reference = one.name.startswith("&")
            t = one.type.elem if by_reference else one.type
            parts.append(Captured(one.name.lstrip("&"), t, None, by_reference))
        return self._typed(function, slot, parts, ())

    def _typed(
        self, function: str, slot: int, parts: Sequence[Captured], its: Sequence[Dictionary]
    ) -> Sequence[Captured]:
        if not any(is_shaped(part.type) for part in parts):
            return parts
        return dictionaries.with_arguments(parts, self.arguments(), its or self._captured(function, slot, parts))

    def _captured(self, function: str, slot: int, parts: Sequence[Captured]) -> list[Dictionary]:
        """The dictionary that the closure has captured: where it lies in the closure is not told, either."""
        word = self.arch.pointer_size
        size = word * (1 + sum(1 if part.by_reference else -(-part.type.size // word) for part in parts))
        try:
            closure = self.memory.read(self.arch.pointer(self.memory.read(slot, word)), size)
        except MemoryFault:
            return []
        held = {self.arch.pointer(closure, at) for at in range(word, size, word)}
        return [one for one in candidates(self.known(), function) if one.address in held]
