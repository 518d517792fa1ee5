"""Where a search for maps starts: variables of frames, of one goroutine or of all, and package variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Callable, NamedTuple

from gomap.anomaly import Anomaly
from gomap.errors import GomapError
from gomap.golang.runtime.goroutines import by_id, goroutines
from gomap.golang.runtime.liveness import Liveness, dead
from gomap.golang.runtime.modules import of_runtime
from gomap.golang.runtime.stacks import Stacks, Unseen
from gomap.gotypes import GoType, can_reach_map
from gomap.progress import Progress, silent
from gomap.target import Goroutine, Place, Target, Variable, without_names

MAX_PROBLEMS = 16
_NO_LOCALS = Anomaly(
    "note",
    "no-locals",
    "the program is stripped, and local variables are not known: what only they lead to is in the heap",
)


@dataclass
class Reach:
    """Whether a value of a type can lead to what is searched for, computed once for each type."""

    judge: Callable[[GoType], bool]
    known: dict[int, tuple[GoType, bool]] = field(default_factory=dict)  # the type, so that its id() stays its own

    def __call__(self, t: GoType) -> bool:
        """Whether a value of type t can lead to what is searched for, computed once for each type."""
        found = self.known.get(id(t))
        if found is None:
            found = self.known[id(t)] = t, self.judge(t)
        return found[1]


class StackSlot(NamedTuple):
    """A word of a stack that holds a live pointer. first: level of the newest frame of its call, place: of the oldest,
    whose function has the frame; the others are inlined in it."""

    address: int
    pointer: int
    first: int
    place: Place


@dataclass
class Roots:
    """Variables that can lead to maps, frames' before packages'. What was searched is counted as it is iterated.

    scope: `frame` (the selected frame), `goroutine` (the selected one's frames) or `all` (every goroutine's);
    package variables belong to each. The runtime's own are left out: it has no maps, and what its frames have of the
    program's values their callers have too. without: functions, by name, that are left out as well. Dead variables
    have a doubt.

    object_size: addresses of the stacks' variables of so many bytes that something may point to are noted in `objects`,
    each with its stack. 0: none are. with_slots: words of stacks that hold live pointers are noted in `slots`.
    """

    target: Target
    scope: str
    progress: Progress = silent
    reaches: Reach = field(default_factory=lambda: Reach(can_reach_map))
    without: Callable[[str], bool] = lambda function: False
    goroutines: int = 0
    frames: int = 0
    globals: int = 0
    dead: int = 0
    functions: dict[str, None] = field(default_factory=dict)
    searched: dict[int, Goroutine] = field(default_factory=dict)  # by id
    hidden: dict[str, bool] = field(default_factory=dict)  # packages, by name
    unseen: Unseen = field(default_factory=Unseen)
    unreadable: list[Anomaly] = field(default_factory=list)
    object_size: int = 0
    objects: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    with_slots: bool = False
    slots: list[StackSlot] = field(default_factory=list)

    @property
    def anomalies(self) -> list[Anomaly]:
        """What went wrong in the search: variables that can't be read, stacks that could not be unwound, no local
        variables."""
        nameless = without_names(self.target) is not None and self.goroutines > 0
        return [*self.unreadable, *self.unseen.anomalies(), *([_NO_LOCALS] if nameless else ())]

    def __iter__(self) -> Iterator[Variable]:
        for variable in self._selected_frame() if self.scope == "frame" else self._stacks():
            self.dead += variable.doubt is not None
            yield variable
        for variable in self.target.package_variables(self.reaches):
            if not of_runtime(variable.name):
                self.globals += 1
                yield replace(variable, name=self._quoted(variable.name))

    def _quoted(self, name: str) -> str:
        """A package variable's name, in quotes where a variable of the selected frame hides its package."""
        package, _, rest = name.partition(".")
        if not rest or "/" in name:
            return name
        if package not in self.hidden:
            local = self.target.variable(package, callers=False)
            self.hidden[package] = local is not None and local.place.kind != "global"
        return f"'{name}'" if self.hidden[package] else name

    def _selected_frame(self) -> Iterator[Variable]:
        liveness = Liveness(self.target)
        for variable in self.target.frame_variables(self.reaches):
            if liveness.is_alive(variable) is False:
                variable = replace(variable, doubt=dead(variable.name))
            self.goroutines = self.frames = 1
            self.functions.setdefault(variable.place.function or "?")
            yield variable

    def _stacks(self) -> Iterator[Variable]:
        found, unreadable = goroutines(self.target)
        self.unreadable += unreadable[:MAX_PROBLEMS]
        if self.scope == "goroutine":
            found = self._own(found)

        def wanted(function: str, name: str, t: GoType) -> bool:
            if name.startswith(".autotmp") or of_runtime(function) or self.without(function):
                return False
            return self.reaches(t)

        liveness = Liveness(self.target)
        for stack in Stacks(self.target, wanted, liveness).walk(found):
            self.goroutines += 1
            self.searched[stack.goroutine.id] = stack.goroutine
            self.frames += len(stack.frames)
            self.progress("goroutines", self.goroutines, len(found))
            self.unseen.add(stack)
            for frame in stack.frames:
                for local in frame.locals:
                    yield local.variable
            if self.object_size:
                own = liveness.objects(stack.goroutine, stack.frames, self.object_size)
                self.objects += [(address, stack.goroutine.stack) for address in own]
            if self.with_slots:
                for at, pointer, first, last in liveness.pointers(stack.goroutine, stack.frames):
                    frame = stack.frames[last]
                    place = Place("slot", stack.goroutine.id, last, frame.function, frame.file, frame.line)
                    self.slots.append(StackSlot(at, pointer, first, place))
            yield from liveness.deferred(stack.goroutine, stack.frames)

    def _own(self, found: list[Goroutine]) -> list[Goroutine]:
        selected = self.target.goroutine
        own = None if selected is None else by_id(found, selected)
        if own is None:
            raise GomapError("no goroutine is selected: this thread runs the scheduler; try --scope all")
        return [own]
