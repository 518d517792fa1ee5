"""A target that has memory and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

from gomap.gotypes import GoType
from gomap.memory import Memory
from gomap.target import Arch, Captured, Frame, Goroutine, Location, Registers, Variable, Wanted


class Nothing:
    """A target that has memory and nothing else."""

    backend, kind, running, go_version, package = "test", "live", 0, None, None

    def __init__(self, arch: Arch, memory: Memory) -> None:
        self.arch, self.memory = arch, memory

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        return None

    def find_type(self, name: str) -> GoType | None:
        return None

    def symbol(self, name: str) -> int | None:
        return None

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        return iter(())

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        return iter(())

    goroutine = None

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        raise AssertionError

    def registers(self, goroutine: Goroutine) -> Registers | None:
        return None

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        return ()

    def location(self, pc: int) -> Location | None:
        return None
