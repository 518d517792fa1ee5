"""Where a search for maps starts: variables of frames, of one goroutine or of all, and package variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Callable

from gomap.errors import GomapError
from gomap.golang.goroutines import by_id, goroutines
from gomap.golang.stacks import Stacks
from gomap.golang.structure import Anomaly
from gomap.gotypes import GoType, can_reach_map
from gomap.target import Goroutine, Target, Variable

#: Told while long work goes on: (what, how many are done, of how many or None).
Progress = Callable[[str, int, "int | None"], None]
SCOPES = ("frame", "goroutine", "all")
MAX_PROBLEMS = 16


def silent(what: str, done: int, of: int | None) -> None:
    """Progress that nobody sees."""


@dataclass
class Roots:
    """Variables that can lead to maps, frames' before packages'. What was searched is counted as it is iterated.

    scope: `frame` (the selected frame), `goroutine` (the selected one's frames) or `all` (every goroutine's);
    package variables belong to each. The runtime's own frames are left out: what they have of the program's
    values their callers have too.
    """

    target: Target
    scope: str
    progress: Progress = silent
    goroutines: int = 0
    frames: int = 0
    globals: int = 0
    functions: dict[str, None] = field(default_factory=dict)
    anomalies: list[Anomaly] = field(default_factory=list)

    def __iter__(self) -> Iterator[Variable]:
        yield from self._selected_frame() if self.scope == "frame" else self._stacks()
        for variable in self.target.package_variables():
            self.globals += 1
            yield variable

    def _selected_frame(self) -> Iterator[Variable]:
        for variable in self.target.frame_variables():
            self.goroutines = self.frames = 1
            self.functions.setdefault(variable.place.function or "?")
            yield variable

    def _stacks(self) -> Iterator[Variable]:
        found, unreadable = goroutines(self.target)
        self.anomalies += unreadable[:MAX_PROBLEMS]
        if self.scope == "goroutine":
            found = self._own(found)
        reach: dict[int, bool] = {}
        kept: list[GoType] = []  # keeps types alive whose id() is in use

        def wanted(function: str, name: str, t: GoType) -> bool:
            known = reach.get(id(t))
            if known is None:
                known = reach[id(t)] = can_reach_map(t)
                kept.append(t)
            return known and not name.startswith(".autotmp") and not of_runtime(function)

        problems = 0
        for stack in Stacks(self.target, wanted).walk(found):
            self.goroutines += 1
            self.frames += len(stack.frames)
            self.progress("goroutines", self.goroutines, len(found))
            if stack.problem is not None:
                problems += 1
                if problems <= MAX_PROBLEMS:
                    message = f"goroutine {stack.goroutine.id}: {stack.problem}"
                    self.anomalies.append(Anomaly("warning", "stack", message, stack.goroutine.address))
            for frame in stack.frames:
                for local in frame.locals:
                    yield local.variable
        if problems > MAX_PROBLEMS:
            message = f"{problems - MAX_PROBLEMS:,} more goroutines have stacks that can't be unwound"
            self.anomalies.append(Anomaly("warning", "stack", message, None))

    def _own(self, found: list[Goroutine]) -> list[Goroutine]:
        selected = self.target.goroutine
        own = None if selected is None else by_id(found, selected)
        if own is None:
            raise GomapError("no goroutine is selected: this thread runs the scheduler; try --scope all")
        return [own]


def of_runtime(function: str) -> bool:
    """Whether the function is of the runtime itself."""
    return function.startswith(("runtime.", "internal/runtime/", "runtime/internal/"))
