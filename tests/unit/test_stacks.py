"""Stacks as a debugger gives them: which are whole, and what is said of the others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gomap.golang.stacks import Stacks
from gomap.target import Frame, Goroutine, Wanted
from tests.unit.space import AMD64, FakeTarget, Space

GOES_ON = 0x1000
PARKED = Goroutine(7, 0xC000000000, "runnable", GOES_ON, 0x7F10, 0x7F18, (0x7000, 0x8000))


class Unwound(FakeTarget):
    """Every goroutine has these frames, as (function, pc)."""

    frames: Sequence[tuple[str, int]] = ()

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        return [Frame(name, None, None, pc, 0x7F10 + 16 * i, ()) for i, (name, pc) in enumerate(self.frames)]


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([("runtime.gopark", GOES_ON), ("runtime.goexit", 0x2000)], None),
        # A thread that is taking it off is in the kernel's vDSO, and Delve begins there.
        ([("", 0x7FFF0000), ("runtime.Gosched", 0x1010), ("runtime.goexit", 0x2000)], None),
        ([("", GOES_ON), ("runtime.goexit", 0x2000)], "it is to go on at 0x1000, where no function is"),
        ([("", 0x7FFF0000), ("main.f", 0x1010)], "beyond main.f"),
        ([], "its stack can't be unwound"),
    ],
)
def test_where_a_goroutine_goes_on(frames: list[tuple[str, int]], problem: str | None) -> None:
    target = Unwound(AMD64, Space(AMD64))
    target.frames = frames
    for stack in Stacks(target, lambda function, name, t: True).walk([PARKED, PARKED]):
        assert [frame.function for frame in stack.frames] == [function for function, _ in frames]
        assert stack.problem is None if problem is None else str(stack.problem).endswith(problem)
