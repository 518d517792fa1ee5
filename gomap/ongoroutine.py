"""A program as it is seen from the frames of a goroutine that the debugger has not selected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Callable

from gomap.errors import NoSuchGoroutine
from gomap.golang.runtime.goroutines import by_id, goroutines
from gomap.golang.runtime.liveness import Liveness
from gomap.golang.runtime.modules import RUNTIME, linker_package
from gomap.golang.runtime.stacks import Stacks
from gomap.gotypes import GoType
from gomap.human import plural, ranges
from gomap.target import (
    Frame,
    RelayingTarget,
    Target,
    Variable,
    Wanted,
    kept_of,
    without_names,
)

#: Where goroutines wait: their functions' own variables (m, l, fd) are not the ones that a user asks for.
_WAITS = ("sync.", "internal/")


class OnGoroutine(RelayingTarget):
    """The target, with local variables looked up in a goroutine's frames, the newest first, without the runtime's."""

    def __init__(self, inner: Target, goroutine: int | None = None, frame: int = 0) -> None:
        """goroutine: its number, None for the selected one. frame: the first that is looked at.

        Raises NoSuchGoroutine; GomapError for a recorded map.
        """
        super().__init__(inner)
        self.kept = kept_of(inner)
        self.stripped = without_names(inner)
        self.notes: Sequence[str] = getattr(inner, "notes", ())
        self.tracer = getattr(inner, "tracer", None)
        every, _ = goroutines(inner)
        goroutine = inner.goroutine if goroutine is None else goroutine
        self.goroutine = goroutine
        if goroutine is None:
            raise NoSuchGoroutine("no goroutine is selected: name one with --goroutine N")
        found = by_id(every, goroutine)
        if found is None:
            there = ranges(one.id for one in every)
            raise NoSuchGoroutine(
                f"no goroutine {goroutine}: the program has {plural(len(every), 'goroutine')}: {there}"
            )
        self._own, self._first = found, frame
        #: Why not all of its frames were seen, once they were looked at.
        self.problem: str | None = None

    @cached_property
    def package(self) -> str | None:
        """The package of the function in the frame that names are looked up in."""
        return next(
            (linker_package(frame.function) for _, frame in self._frames(lambda function, name, t: False)), None
        )

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """As Target.variable, from the frames of this goroutine; a name with a dot is a package variable."""
        if "." in name:
            return self.inner.variable(name)
        frames = self._frames(lambda function, one, t: one == name)
        for level, frame in frames if callers else frames[:1]:
            named = (one for one in frame.locals if one.variable.name == name and not one.variable.hidden)
            local = next(named, None)
            if local is not None:
                note = f"{name} is taken from frame {level} of goroutine {self.goroutine}, {frame.function}"
                return replace(local.variable, note=note)
        return None

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """As Target.frame_variables, of this goroutine's frame."""
        frames = self._frames(lambda function, name, t: wanted(t))[:1]
        return (local.variable for _, frame in frames for local in frame.locals)

    def _frames(self, wanted: Wanted) -> list[tuple[int, Frame]]:
        """Frames of the program's own functions, with their numbers."""
        stack = next(Stacks(self.inner, wanted, Liveness(self.inner)).walk([self._own]))
        self.problem = stack.problem
        numbered = list(enumerate(stack.frames))[self._first :]
        passed = RUNTIME if self._first else RUNTIME + _WAITS
        return [(level, frame) for level, frame in numbered if not frame.function.startswith(passed)]
