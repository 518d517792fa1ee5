"""Stacks as a debugger gives them: which are whole, and what is said of the others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.stacks import Stacks
from gomap.gotypes import GoType, Kind
from gomap.memory import RegionMemory
from gomap.recorded import ImageTarget
from gomap.target import Frame, Goroutine, Local, Place, Variable, Wanted
from tests.support.space import AMD64, Space, fake_target

GOES_ON = 0x1000
PARKED = Goroutine(7, 0xC000000000, "runnable", GOES_ON, 0x7F10, 0x7F18, (0x7000, 0x8000))


class Unwound(ImageTarget):
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
        ([("", GOES_ON), ("runtime.goexit", 0x2000)], "its saved pc 0x1000 is in no function"),
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


def test_a_thread_that_goes_on_to_a_goroutine() -> None:
    """It has changed to the goroutine's stack, and not jumped yet: what the debugger finds behind is chance."""
    target = Unwound(AMD64, Space(AMD64))
    target.frames = [("gogo", GOES_ON), ("runtime.main", 0x1010), ("runtime.goexit", 0x2000)]
    (stack,) = Stacks(target, lambda function, name, t: True).walk([RUNS])
    assert [frame.function for frame in stack.frames] == ["gogo"]
    assert stack.problem == "its stack can't be unwound beyond gogo, where its thread goes on to it"


RUNS = Goroutine(8, 0xC000001000, "running", GOES_ON, 0x7F10, 0x7F18, (0x7000, 0x8000), thread=1)
GOEXIT, GOEXIT_2 = ("runtime.goexit", 0x2000, 0x7F40), ("runtime.goexit", 0x2000, 0x7F48)
HANDLER, RETURNS = ("runtime.sigtrampgo", 0x1040, 0xF000), ("runtime.sigreturn__sigaction", 0x1050, 0xF100)
IN_C, RACECALL, NOWHERE = ("", 0x90, 0), ("racecall", 0x1060, 0xF000), ("", 0x16, 0xF100)
SIGTRAMP = ("runtime.cgoSigtramp", 0x1070, 0)
#: By pc, the frame sizes that the runtime's table has.
SIZES = {GOES_ON: 16, 0x1010: 32, 0x1020: 8, 0x1021: 16, 0x102F: 16, 0x1030: 16}


@pytest.mark.parametrize(
    ("goroutine", "calls", "skipped", "without"),
    [
        (PARKED, [("main.f", GOES_ON, 0x7F10), ("main.g", 0x1010, 0x7F20), GOEXIT], None, ()),
        # main.f is told 16 bytes larger than it is.
        (
            PARKED,
            [("main.f", GOES_ON, 0x7F10), ("main.g", 0x1010, 0x7F30), ("runtime.goexit", 0x2000, 0x7F50)],
            ("main.f", "main.g"),
            ("main.f",),
        ),
        # What a handler interrupted: in the middle, and where it has only a return address.
        (RUNS, [HANDLER, ("main.g", 0x1010, 0), GOEXIT], None, ()),
        (RUNS, [HANDLER, ("main.h", 0x1020, 0), ("main.g", 0x1010, 0x7F20)], ("main.h", "main.g"), ("main.h",)),
        # The instruction at 0x1021 sets the frame pointer: at 0x1030 it is the function's own.
        (RUNS, [HANDLER, ("main.h", 0x1021, 0), ("main.g", 0x1010, 0x7F20)], ("main.h", "main.g"), ("main.h",)),
        (RUNS, [HANDLER, ("main.h", 0x1030, 0), ("main.g", 0x1010, 0x7F20), GOEXIT], None, ()),
        # A thread's first call lies anywhere.
        (RUNS, [("main.h", 0x1020, 0), ("main.g", 0x1010, 0x7F20), GOEXIT], None, ()),
        (RUNS, [RETURNS, ("", 0x99, 0), ("main.g", 0x1010, 0x7F20), GOEXIT], (RETURNS[0], "main.g"), ()),
        # In -race builds a thread is in C on the system's stack, whose caller Delve does not find.
        (
            RUNS,
            [IN_C, ("racecall", 0x1060, 0), NOWHERE, ("main.g", 0x1010, 0x7F20), GOEXIT],
            ("racecall", "main.g"),
            (),
        ),
        (RUNS, [IN_C, ("runtime.asmcgocall", 0x1060, 0), NOWHERE, ("main.g", 0x1010, 0x7F20), GOEXIT], None, ()),
        (RUNS, [IN_C, ("main.g", 0x1010, 0x7F20), GOEXIT], None, ()),
        # What faulted at its first instruction has no name in gdb.
        (PARKED, [("main.f", GOES_ON, 0x7F10), ("?", 0x1020, 0x7F20), ("main.g", 0x1010, 0x7F28), GOEXIT_2], None, ()),
        (
            RUNS,
            [IN_C, ("racecall", 0x1060, 0xF000), ("main.h", 0x1010, 0xF100), GOEXIT],
            ("main.h", GOEXIT[0]),
            ("main.h",),
        ),
        (RUNS, [("runtime.park_m", 0x1060, 0), ("runtime.newstack", 0x1010, 0xF100), GOEXIT], None, ()),
        # Back from a signal by way of the C library: to a call that was interrupted, or past it to its caller.
        (RUNS, [SIGTRAMP, NOWHERE, ("main.f", GOES_ON, 0x7F10), ("main.g", 0x1010, 0x7F20), GOEXIT], None, ()),
        (RUNS, [SIGTRAMP, NOWHERE, ("main.g", 0x1010, 0x7F20), GOEXIT], (SIGTRAMP[0], "main.g"), ()),
        # A handler that interrupted the kernel's vDSO, and one that interrupted a function without a name in between.
        (RUNS, [HANDLER, NOWHERE, ("time.now", 0x1060, 0x7F10), GOEXIT], None, ()),
        (RUNS, [HANDLER, NOWHERE, ("main.g", 0x1010, 0x7F20), GOEXIT], (HANDLER[0], "main.g"), ()),
        # gdb knows where an interrupted call lies.
        (RUNS, [RETURNS, ("main.g", 0x1010, 0x7F20), GOEXIT], None, ()),
    ],
)
def test_skipped_calls(
    goroutine: Goroutine,
    calls: list[tuple[str, int, int]],
    skipped: tuple[str, str] | None,
    without: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Functions, "frame_size", lambda self, pc: SIZES.get(pc))
    monkeypatch.setattr(Functions, "is_go", lambda self, pc: pc >= GOES_ON)
    local = Local(Variable("n", GoType(Kind.INT, "int", 8), data=bytes(8), place=Place("local")), None)
    frames = [Frame(function, None, None, pc, sp, (local,)) for function, pc, sp in calls]
    target = fake_target(AMD64, Space(AMD64))
    # Where main.g goes on when what it called returns.
    monkeypatch.setattr(target, "memory", RegionMemory([(0x7F18, (0x1010).to_bytes(8, "little"))]))
    monkeypatch.setattr(target, "unwind", lambda goroutine, wanted: frames, raising=False)
    (stack,) = Stacks(target, lambda function, name, t: True).walk([goroutine])
    if skipped is None:
        assert stack.problem is None or "skips" not in stack.problem
    else:
        assert f"the calls between {skipped[0]} and {skipped[1]} could not be unwound: " in str(stack.problem)
    assert tuple(frame.function for frame in stack.frames if not frame.locals) == without


@pytest.mark.parametrize(("sp", "problem"), [(0x7FF0, None), (0xF200, "beyond racecall")])
def test_an_end_on_another_stack(sp: int, problem: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """runtime.goexit may be what lies by chance where a debugger looks for a caller."""
    frames = [IN_C, RACECALL, NOWHERE, ("runtime.goexit", 0x2000, sp)]
    target = fake_target(AMD64, Space(AMD64))
    given = [Frame(function, None, None, pc, at, ()) for function, pc, at in frames]
    monkeypatch.setattr(target, "unwind", lambda goroutine, wanted: given, raising=False)
    (stack,) = Stacks(target, lambda function, name, t: True).walk([RUNS])
    assert stack.problem is None if problem is None else str(stack.problem).endswith(problem)
