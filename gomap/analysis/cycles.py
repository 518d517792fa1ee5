"""Cycles of references through maps, pointers, slices, arrays, structs and interfaces.

An object is what a reference leads to, identified by its address and type: a map's header, the value behind a pointer,
an element of a slice's array, the value in an interface. Code that follows references without remembering the objects
it has visited, such as a deep copy, never ends exactly if a path reaches an object a second time.

Objects are found breadth first, so that the path to each is a shortest one, and their references are kept only as
numbers. Strongly connected components (Tarjan, without recursion) contain the cycles. The text of a reference is made
only for the few cycles that are shown.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gomap.analysis.selection import Selection
from gomap.anomaly import Anomaly
from gomap.errors import GomapError
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime.modules import OWN, package
from gomap.gotypes import Alike, GoType, Kind, atomic_pointee
from gomap.graph.components import MISSING, FoundCycle, NumberedGraph, cycles
from gomap.graph.path import DEREF, Path, PathPart
from gomap.graph.reference import Reference
from gomap.graph.walk import GraphWalk
from gomap.human import short
from gomap.maps import nonsense, view
from gomap.progress import Progress, silent
from gomap.target import Target, Variable

MAX_OBJECTS = 1 << 20
MAX_REFERENCES = 1 << 22
#: Elements of one slice, array or map, and of all of them.
MAX_ITEMS = 1 << 20
MAX_SCANNED = 1 << 23
#: References of a path that are spelt out, of longer ones the first and the last; objects of a cycle that are listed.
FIRST_STEPS, LAST_STEPS = 12, 4
LISTED = 64
MAX_TYPES = 1 << 14
MAX_TOLD = 16


#: Paths are written from each object on.
HERE = Path(None, "")


class _Reached(Exception):
    """The walk has come to the reference that is looked for."""

    def __init__(self, reference: Reference) -> None:
        super().__init__()
        self.reference = reference


class Object(NamedTuple):
    """What a walk came to: an address, and the type of the value there. header: it is a map's header."""

    address: int
    type: GoType
    header: bool


@dataclass(frozen=True)
class Cycle:
    """start: how its first object is written, the nearest to the variable; steps: of each of its references, None
    where some are left out; objects: those on it that the steps start from; own: it is in what the variable itself
    holds or points to."""

    start: str
    whole: str
    steps: list[str | None]
    objects: list[Object]
    length: int
    own: bool


@dataclass
class CycleKind:
    """Cycles through the same types, at the end of ways through the same types: the first of them, and their number.
    What lies in one package of a library is of one kind, as all ways around the elements of a container/list are.

    short: the first, with the types that interfaces hold by their packages' names.
    """

    first: Cycle
    short: Cycle
    types: list[str]
    number: int


@dataclass
class CycleSearch:
    """kinds: as many as cycles may be; of_kinds: how many there are. all: cycles that were worked out, with those
    that were not asked for; asked: those that were.
    objects: how many the variable leads to that can be part of a cycle; of: number of cycles, None when there
    are more than were worked out. shortened: what was not looked at: (what, how much was, of how much)."""

    objects: int = 0
    possible: bool = True
    cycles: list[Cycle] = field(default_factory=list)
    of: int | None = 0
    all: int = 0
    asked: int = 0
    kinds: list[CycleKind] = field(default_factory=list)
    of_kinds: int = 0
    shortened: list[tuple[str, int, int | None]] = field(default_factory=list)
    unread: int = 0
    interrupted: bool = False
    anomalies: list[Anomaly] = field(default_factory=list)


def find(
    target: Target, variable: Variable, limit: int, progress: Progress = silent, selection: Selection | None = None
) -> CycleSearch:
    """The cycles that a variable leads to, at most `limit` of them, nearest first. Ctrl-C ends the search with what
    it has."""
    graph = _Graph(target, variable)
    found = CycleSearch(possible=graph.can_cycle(variable.type))
    selection = selection or Selection(target)
    if found.possible:
        try:
            graph.explore(progress)
        except KeyboardInterrupt:
            found.interrupted = True
        graph.close()
        found.objects = len(graph.objects) - (0 not in graph.graph.targets)
        chosen, complete = cycles(graph.graph, graph.type_name)
        found.all = len(chosen)
        if selection.narrows:
            chosen = [one for one in chosen if _is_asked(selection, graph.types_on(one.edges))]
        found.asked = len(chosen)
        found.of = found.asked if complete else None
        told = {id(cycle): graph.told(cycle.edges) for cycle in chosen[:limit]}
        found.cycles = [*told.values()]
        kinds = graph.kinds(chosen, selection)
        found.of_kinds = len(kinds)
        for first, *more in kinds[:limit]:
            cycle = told.get(id(first)) or graph.told(first.edges)
            names = dict.fromkeys(name for one in (first, *more) for name in graph.types_on(one.edges))
            found.kinds.append(CycleKind(cycle, graph.told(first.edges, short=True), [*names], 1 + len(more)))
    del graph.walk  # it has this visitor, and neither would be freed while Python's collector rests
    found.shortened, found.unread, found.anomalies = graph.shortened, graph.unread, graph.anomalies
    return found


def _is_asked(selection: Selection, types: Iterable[str]) -> bool:
    return any(selection.of_type(name) and selection.of_package(_package(name)) for name in types)


def _package(type_name: str) -> str:
    """Path of the package of a named type; "" of other types."""
    return package(type_name) if "." in type_name and "[" not in type_name.split(".", 1)[0] else ""


class _Graph:
    """Objects by number, 0 being the variable itself, as the walk comes to them."""

    def __init__(self, target: Target, variable: Variable) -> None:
        self.target = target
        self.variable = variable
        self.walk = GraphWalk(target, self, self.can_cycle, MAX_ITEMS, inline=True, max_steps=MAX_SCANNED)
        self.names = self.walk.names
        self.objects: list[Object] = [Object(variable.address or 0, variable.type, False)]
        self.graph = NumberedGraph()
        self.parents, self.parent_edges = array("L", [0]), array("Q", [0])
        self.shortened: list[tuple[str, int, int | None]] = []
        self.anomalies: list[Anomaly] = []
        self.unread = 0
        self._at, self._failed = 0, -1  # the object that is followed; the last one that could not be read
        self._wanted: int | None = None  # how many of its references come before the wanted one
        self._alike = Alike()
        self._known: dict[tuple[int, int], int] = {}
        self._parts_of: dict[int, list[PathPart]] = {}  # of references that were spelt
        self._short = False
        self._possible: dict[int, tuple[GoType, bool]] = {}
        if variable.address is not None:
            self._known[self._key(variable.address, variable.type, False)] = 0

    # -- types -----------------------------------------------------------------------------------

    def can_cycle(self, t: GoType) -> bool:
        """Whether a value of type t can lead to a cycle: to an interface, or to a type that leads to itself."""
        known = self._possible.get(id(t))
        if known is not None:
            return known[1]
        stack = [(t, iter(self._parts(t)))]
        on_stack = {id(t)}
        answer = t.kind is Kind.INTERFACE or self.walk.edges.is_sync(t)
        while stack and not answer:
            top, parts = stack[-1]
            part = next(parts, None)
            if part is None:
                stack.pop()
                on_stack.discard(id(top))
                self._possible[id(top)] = top, False
                continue
            known = self._possible.get(id(part))
            answer = part.kind is Kind.INTERFACE or id(part) in on_stack or self.walk.edges.is_sync(part)
            answer = answer or len(stack) > MAX_TYPES or (known is not None and known[1])
            if known is None:
                stack.append((part, iter(self._parts(part))))
                on_stack.add(id(part))
        for top, _ in stack:  # each leads to the next
            self._possible[id(top)] = top, True
        return self._possible.setdefault(id(t), (t, answer))[1]

    def _parts(self, t: GoType) -> list[GoType]:
        """Types of what a value of type t consists of or points to."""
        try:
            if t.kind is Kind.STRUCT:
                pointer = atomic_pointee(t)
                return [pointer[1]] if pointer else [f.type for f in t.fields if f.name != "_"]
            if t.kind is Kind.MAP:
                return [t.key, t.elem]
            if t.kind in (Kind.POINTER, Kind.SLICE) or (t.kind is Kind.ARRAY and t.length):
                return [t.elem]
        except GomapError:  # an image has no more of its types than was asked for
            what = f"what a value of type {t.name} points to is unknown"
            self.unread += 1
            if len(self.anomalies) < MAX_TOLD:
                self.anomalies.append(Anomaly("warning", "unknown-type", what))
        return []

    # -- objects ---------------------------------------------------------------------------------

    def _key(self, address: int, t: GoType, header: bool) -> tuple[int, int]:
        """The identity of an object. A map's header is one object, whatever name its type has."""
        return address, -1 if header else self._alike.number(t)

    def explore(self, progress: Progress) -> None:
        """Finds every object, breadth first. Raises OptimizedOut."""
        self._start()
        self.walk.run(progress)
        if not self.walk.is_done:
            self._cut("references", MAX_REFERENCES, None)

    def _start(self) -> None:
        variable = self.variable
        block = variable.content(self.target.memory) if variable.address is None else None
        self.walk.start(variable.type, variable.address, block, HERE)

    def close(self) -> None:
        """Objects that were not looked into lead nowhere. Ctrl-C may have come between two lines of meets."""
        del self.objects[len(self.parent_edges) :]
        self._begin(len(self.objects))

    def _begin(self, number: int) -> None:
        starts = self.graph.starts
        while len(starts) <= number:
            starts.append(len(self.graph.targets))
        self._at = number

    def meets(self, reference: Reference) -> bool:
        if self._wanted is not None:
            if not self._wanted:
                raise _Reached(reference)
            self._wanted -= 1
            return False
        targets = self.graph.targets
        if self.is_full():
            self._cut("references", MAX_REFERENCES, None)
            return False
        header = reference.kind is Kind.MAP
        key = self._key(reference.address, reference.type, header)
        number = self._known.get(key)
        if number is not None:
            targets.append(number)
            return False
        if len(self.objects) >= MAX_OBJECTS:
            self._cut("objects", MAX_OBJECTS, None)
            targets.append(MISSING)
            return False
        number = self._known[key] = len(self.objects)
        self.objects.append(Object(reference.address, reference.type, header))
        self.parents.append(self._at)
        self.parent_edges.append(len(targets))
        targets.append(number)
        reference.number, reference.path = number, HERE
        return True

    def enters(self, reference: Reference) -> bool:
        if self._wanted is None:
            self._begin(reference.number)
        self.walk.check(reference)
        return True

    def knows(self, reference: Reference) -> bool:
        return False

    def view(self, reference: Reference) -> MapView:
        found = view(self.target, reference.type, reference.address)
        wrong = nonsense(found, self.walk.room)
        if wrong is not None:
            raise GomapError(f"not a valid map: {wrong}")
        return found

    def fails(self, path: Path, error: GomapError) -> None:
        if self._wanted is not None:
            return
        one = self.objects[self._at]
        self.unread += self._at != self._failed
        self._failed = self._at
        if len(self.anomalies) < MAX_TOLD:
            what = f"{one.type.name} at {one.address:#x}: {error}"
            self.anomalies.append(Anomaly("warning", "unreadable", what, getattr(error, "address", one.address)))

    def cuts(self, reference: Reference, shown: int, of: int | None) -> None:
        self._cut("elements of one slice, array or map" if shown >= MAX_ITEMS else "elements", shown, of)

    def _cut(self, what: str, shown: int, of: int | None) -> None:
        if not any(told[0] == what for told in self.shortened):
            self.shortened.append((what, shown, of))

    def is_full(self) -> bool:
        return len(self.graph.targets) >= MAX_REFERENCES

    # -- kinds -----------------------------------------------------------------------------------

    def type_name(self, number: int) -> str:
        return self.objects[number].type.name

    def types_on(self, edges: Sequence[int]) -> list[str]:
        """Types of the objects on a cycle."""
        return [self.type_name(self.graph.owner(edge)) for edge in edges]

    def kinds(self, chosen: list[FoundCycle], selection: Selection) -> list[list[FoundCycle]]:
        """The cycles by kind, each with the nearest cycle first."""
        structures: dict[tuple[int, Hashable], list[FoundCycle]] = {}
        for cycle in chosen:
            types = frozenset(self.types_on(cycle.edges))
            packages = {_package(name) for name in types}
            library = "" if len(packages) > 1 else packages.pop()
            own = not library or selection.whose(library) == OWN
            structures.setdefault((cycle.component, types if own else library), []).append(cycle)
        found: dict[Hashable, list[FoundCycle]] = {}
        for (_, kind), those in structures.items():
            number = min(self.graph.owner(edge) for edge in those[0].edges)
            way = []
            while number:
                number = self.parents[number]
                way.append(self.type_name(number))
            found.setdefault((kind, tuple(dict.fromkeys(way))), []).extend(those)
        return [*found.values()]

    # -- words -----------------------------------------------------------------------------------

    def path_of(self, edge: int) -> list[PathPart]:
        """How the reference of that number is written; "?" where memory has changed, or can't be read any more."""
        found = self._parts_of.get(edge)
        if found is None:
            found = self._parts_of[edge] = self._path_of(edge)
        return found

    def _path_of(self, edge: int) -> list[PathPart]:
        number = self.graph.owner(edge)
        one = self.objects[number]
        self._wanted, self.walk.steps = edge - self.graph.starts[number], 0
        try:
            if number:
                kind = Kind.MAP if one.header else Kind.POINTER
                self.walk.turn(Reference(kind, one.type, (one.address,), None, HERE, 0, 0))
            else:
                self._start()
        except _Reached as reached:
            return reached.reference.path.parts[1:]
        finally:
            self._wanted = None
        return ["?"]

    def spelt(self, text: str, edge: int) -> str:
        """The text with the reference behind it."""
        for part in self.path_of(edge):
            if self._short and isinstance(part, str) and part.startswith(".("):
                part = short(part)
            text = self.names.extended(text, part)
        return text

    def spelt_out(self, text: str, edges: Sequence[int]) -> tuple[str, list[str | None]]:
        """(the text with all these references behind it, each one's own part of it or None where cut)."""
        parts: list[str | None] = []
        cut = len(edges) - FIRST_STEPS - LAST_STEPS
        for i, edge in enumerate(edges):
            if cut > 0 and FIRST_STEPS <= i < FIRST_STEPS + cut:
                if i == FIRST_STEPS:
                    text += f" ...{cut:,} more... "
                    parts.append(None)
                continue
            parts.append(self.spelt("", edge))
            text = self.spelt(text, edge)
        return text, parts

    def told(self, edges: list[int], short: bool = False) -> Cycle:
        """A cycle in words, from the object of it that is nearest to the variable."""
        self._short = short
        owners = [self.graph.owner(edge) for edge in edges]
        first = owners.index(min(owners))
        edges, owners = edges[first:] + edges[:first], owners[first:] + owners[:first]
        way, number = [], owners[0]
        while number:
            way.append(self.parent_edges[number])
            number = self.parents[number]
        name = self.variable.name
        first_object = self.objects[owners[0]]
        if len(way) > FIRST_STEPS + LAST_STEPS:
            start = self.names.at(first_object.type, first_object.address)
        else:
            start, _ = self.spelt_out(f"({name})" if ":" in name and name[0] != "(" else name, way[::-1])
        whole, steps = self.spelt_out(start, edges)
        parts = [part for edge in way[:FIRST_STEPS] for part in self.path_of(edge)]
        if self.variable.type.kind is Kind.SLICE and len(way) == 1:
            parts = parts[1:]  # an element is what a slice contains
        own = len(way) < FIRST_STEPS and all(_is_own(part) for part in parts)
        shown = owners[:LISTED]
        return Cycle(start, whole, steps, [self.objects[n] for n in shown], len(edges), own)


def _is_own(part: PathPart) -> bool:
    """Whether this part of a path leads to what the variable itself holds or points to."""
    return isinstance(part, str) and (part == DEREF or part.startswith(".("))
