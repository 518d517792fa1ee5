"""Which variables lead to which maps."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from gomap import syncmap
from gomap.analysis.held import AliasSearch, Holder, Many
from gomap.analysis.roots import MAX_PROBLEMS, Reach, Roots
from gomap.analysis.soundness import Soundness
from gomap.anomaly import Anomaly
from gomap.errors import GomapError, MemoryFault, OptimizedOut
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime.dictionaries import is_shaped
from gomap.golang.runtime.heap import SMALL
from gomap.gotypes import Alike, GoType, Kind, can_reach_map, same
from gomap.graph.many import Behind
from gomap.graph.path import Path
from gomap.graph.reference import Reference
from gomap.graph.walk import MAX_STEPS, GraphWalk
from gomap.heap.census import Census
from gomap.maps import nonsense, view
from gomap.progress import Progress, silent
from gomap.target import Place, Target, Variable

#: How much of a large container is looked into, unless the caller asks for all.
MAX_ITEMS = 4096
ALL_ITEMS = 1 << 40
#: Pointers, elements and interfaces that are followed from a variable where the whole process is searched.
WHOLE_DEPTH = 128
MAX_VISITED = 1 << 22
#: Who has visited an object: package variables, frames, or a positive number: the goroutine of that id.
GLOBALS, FRAMES = 0, -1


def holders(
    target: Target,
    roots: Iterable[Variable],
    depth: int,
    progress: Progress = silent,
    items: int = MAX_ITEMS,
    once: bool = False,
    census: Census | None = None,
) -> AliasSearch:
    """Every map reachable from roots through structs, pointers, arrays, slices, interfaces, maps and channels.

    depth: how many of these are followed from a root. What a goroutine's variable points to directly is reported for
    each goroutine; values behind further pointers are visited once from frames and once from package variables, so that
    the shortest path to each is found. Ctrl-C ends the search and keeps the results so far.
    Variables with a doubt, which are dead, come last: a closure, a timer or the runtime may still use what they hold.
    They add only valid maps that nothing else leads to; faults behind them are not reported. items: how many elements
    of one container are looked at. once: each object is visited once, from any holder, package variables before frames:
    all maps are found, but not all of their holders. census: the heap's headers; with it, maps in large containers are
    taken together (AliasSearch.many).
    """
    return HolderSearch(target, depth, items, once, census).search(roots, progress)


def everywhere(
    target: Target,
    roots: Iterable[Variable],
    progress: Progress = silent,
    once: bool = False,
    census: Census | None = None,
) -> AliasSearch:
    """holders() to the end of whatever the roots lead to."""
    return holders(target, roots, WHOLE_DEPTH, progress, ALL_ITEMS, once, census)


_WRONG = "uninitialized, dead or corrupt"


@dataclass
class HolderSearch:
    """One search, as the walk's visitor. See holders."""

    target: Target
    depth: int
    items: int = MAX_ITEMS
    once: bool = False
    census: Census | None = None
    found: AliasSearch = field(default_factory=AliasSearch)
    reaches: Reach = field(default_factory=lambda: Reach(can_reach_map))
    always: frozenset[Kind] = frozenset({Kind.MAP})
    with_dead: bool = True
    in_doubt: bool = False  # the value that is followed belongs to dead variables

    def __post_init__(self) -> None:
        found = self.found
        self.walk = GraphWalk(
            self.target, self, self.reaches, self.items, self.always, self.depth, type_at=found.types.get
        )
        self.names = self.walk.names
        self.sound = Soundness(self.target, self.walk.room, self.walk.closures)
        self.alike = Alike()
        self.kept: dict[int, GoType] = {}  # types whose id() is in use
        if self.census is not None and self.once:
            found.taken = bytearray(self.census.sorted)
            self.walk.takes = self
        self.visited: set[tuple[int, int, int]] = set()
        self.seen: dict[int, set[int]] = {}  # by the number of a type, where each object is visited once
        self.visits = 0
        self.located: dict[int, Holder] = {}
        self.opened: set[tuple[int, int]] = set()  # sync.Maps whose entries were visited, and by whom

    # -- the search ----------------------------------------------------------------------------------

    def search(self, roots: Iterable[Variable], progress: Progress) -> AliasSearch:
        """What the roots lead to. Ctrl-C ends it with what it has."""
        found = self.found
        try:
            self.run(roots, progress)
        except KeyboardInterrupt:
            found.interrupted = True
            self.walk.finish()  # references found so far; a second Ctrl-C ends this too
        del self.walk  # it has this visitor, and neither would be freed while Python's collector rests
        if found.not_followed > MAX_PROBLEMS:
            what = f"{found.not_followed - MAX_PROBLEMS:,} more values could not be followed"
            found.anomalies.append(Anomaly("note", "not-followed", what))
        return found

    def run(self, roots: Iterable[Variable], progress: Progress) -> None:
        """Looks at whatever the roots lead to, the nearest first."""
        found_here = isinstance(roots, Roots)  # else the user has named them
        dead: list[Variable] = []
        every = [*roots]  # the debugger is asked about nothing else while it lists them
        turns = [every]
        if self.once:  # what a package variable leads to has its name, and not a local variable's
            turns = [[one for one in every if (one.place.kind == "global") is first] for first in (True, False)]
        try:
            for here in turns:
                for root in here:
                    named = not found_here or self.is_named(root)
                    one = root if named else replace(root, name=self.by_address(root))
                    if found_here and root.doubt is not None:
                        dead.append(one)
                    else:
                        self.start(one)
                self.walk.run(progress)
        finally:
            self.found.too_deep = self.walk.too_deep
        if not self.walk.is_done:
            self.found.shortened.append(f"the search stopped after {self.visits:,} objects")
        elif self.with_dead and isinstance(roots, Roots):
            self.sound.collected = {goid for goid, one in roots.searched.items() if one.collected}
            self.add_dead(dead, progress)

    def is_named(self, root: Variable) -> bool:
        """Whether the root's name leads to it: not past a variable of an inner scope that has the name too, and not to
        part of a variable, to which the compiler gives a name like s.ptr."""
        return root.place.frame is None or not (root.hidden or "." in root.name)

    def by_address(self, root: Variable) -> str:
        """What names a root that has no name."""
        try:
            arch = self.target.arch
            word = arch.pointer(root.read(self.target.memory, 0, arch.pointer_size))
        except GomapError:
            word = 0
        if root.type.kind is Kind.POINTER:
            return f"({root.type.name})({word:#x})"
        return self.names.at(root.type, root.address, self.target.arch.pack(word))

    def add_dead(self, roots: Sequence[Variable], progress: Progress) -> None:
        """Adds the maps that dead variables alone lead to."""
        found = self.found
        known, shortened = len(found.maps) + len(found.syncs), len(found.shortened)
        self.in_doubt, self.walk.takes = True, None
        try:
            for root in roots:
                with suppress(GomapError):
                    self.start(root)
            self.walk.run(progress)
        finally:
            self.walk.drop()
            found.dead = len(found.maps) + len(found.syncs) - known
            del found.shortened[shortened:]

    def start(self, root: Variable, path: Path | None = None) -> None:
        """Puts a root in the queue; of a struct that the compiler keeps in part, the fields that it keeps."""
        t, path = root.type, path or Path(None, root.name, root.place)
        if not self.reaches(t):
            return
        block = None
        if root.data is not None or root.address is None:
            try:
                block = root.content(self.target.memory) if self.with_dead else root.read(self.target.memory, 0, t.size)
            except OptimizedOut:
                for f in t.fields if root.data is not None else ():
                    self.start(root.part(f"{root.name}.{f.name}", f.type, f.offset), Path(path, f".{f.name}"))
                return
        self.walk.start(t, root.address, block, path)

    # -- the walk's visitor --------------------------------------------------------------------------

    def meets(self, reference: Reference) -> bool:
        """As Visitor.meets: every reference counts."""
        return True

    def enters(self, reference: Reference) -> bool:
        """Notes the map or sync.Map that the reference leads to."""
        kind = reference.kind
        if kind is Kind.MAP:
            return self._map(reference)
        if kind is Kind.STRUCT:
            return self._sync(reference)
        self.walk.check(reference)
        return self.first_visit(reference)

    def first_visit(self, reference: Reference) -> bool:
        """Whether the value was not visited before; from now on it was. What a goroutine's own variables point to is
        visited for each goroutine, all else once for variables of frames and once for package variables."""
        t, place = reference.type, reference.path.place
        if not reference.address or (reference.kind is Kind.SLICE and not reference.words[1]):
            return False
        whose = GLOBALS if place.kind == "global" else FRAMES
        if reference.depth == 0 and t.kind is not Kind.SLICE and t.size <= SMALL and place.goroutine is not None:
            whose = place.goroutine
        if self.once:
            seen = self._seen(t)
            if reference.address in seen:
                return False
            seen.add(reference.address)
            self.visits += 1
            return True
        key = self._object(reference, whose)
        if key in self.visited:
            return False
        self.visited.add(key)
        self.visits += 1
        return True

    def _seen(self, t: GoType) -> set[int]:
        """Objects that were visited once for everybody, whether their type is debug information's or the program's own
        descriptor."""
        number = self.alike.number(t)
        known = self.seen.get(number)
        if known is None:
            known = self.seen[number] = set()
        return known

    def first_visits(self, t: GoType, addresses: array[int], path: Path) -> Sequence[int]:
        """The numbers of the addresses that were not visited before; from now on they were.

        path: of what holds them all.
        """
        seen, before = self._seen(t), self.visits
        fresh = []
        for i, address in enumerate(addresses):
            if address not in seen:
                seen.add(address)
                fresh.append(i)
        self.visits = before + len(fresh)
        return fresh

    def takes_maps(self, t: GoType, addresses: array[int], ways: Behind, path: Path) -> Sequence[int]:
        """Takes the maps that the census has, without an object for each. Returns the numbers of the others."""
        census, taken, maps = self.census, self.found.taken, self.found.maps
        if census is None or is_shaped(t):
            return range(len(addresses))
        rows, numbers, left = array("Q"), array("Q"), []
        row_of, counts = census.row_of, census.counts
        leads_on = self.reaches(t.elem) or self.reaches(t.key)
        for i, address in enumerate(addresses):
            row = row_of(address)
            if row < 0:
                left.append(i)
            elif not taken[row] and address not in maps:
                taken[row] = 1
                rows.append(row)
                numbers.append(i)
                if leads_on and counts[row]:
                    left.append(i)
        if rows:
            self.found.many.append(Many(census, t, rows, numbers, ways, self.names, path.place))
        return left

    def _is_taken(self, address: int) -> bool:
        row = -1 if self.census is None else self.census.row_of(address)
        return row >= 0 and bool(self.found.taken[row])

    def _object(self, reference: Reference, whose: int) -> tuple[int, int, int]:
        """The key of an object that was visited."""
        t = reference.type
        self.kept[id(t)] = t
        return reference.address, id(t), whose

    def knows(self, reference: Reference) -> bool:
        """As Visitor.knows: whether it was visited."""
        if self.once:
            return reference.address in self._seen(reference.type)
        return self._object(reference, GLOBALS if reference.path.place.kind == "global" else FRAMES) in self.visited

    def view(self, reference: Reference) -> MapView:
        """As Visitor.view: the map's view, made once."""
        return self.found.views.get(reference.address) or view(self.target, reference.type, reference.address)

    def cuts(self, reference: Reference, shown: int, of: int | None) -> None:
        """As Visitor.cuts: notes which part of a container was searched."""
        name = self.names.text(reference.path)
        if reference.kind is Kind.STRUCT:
            what = f"{shown:,} entries of this sync.Map"
        elif reference.kind is Kind.MAP:
            what = f"the values of {shown:,} entries" if shown else f"none of the values of {of:,} entries"
        else:
            what = f"{shown:,} of {of:,} elements"
        self.found.shortened.append(f"{name}: {'only ' if shown else ''}{what} were searched")

    def fails(self, path: Path, error: GomapError) -> None:
        """As Visitor.fails: notes what can't be followed, unless the variable is dead or may not be set."""
        if self.in_doubt:
            return
        message = f"{self.names.text(path)}{_in(path.place)}: {error}"
        self._tell(Anomaly("warning", "unreadable", message, getattr(error, "address", None)))

    def is_full(self) -> bool:
        """As Visitor.is_full: after MAX_VISITED values or MAX_STEPS steps."""
        return self.visits >= MAX_VISITED or self.walk.steps >= MAX_STEPS

    def _tell(self, anomaly: Anomaly) -> None:
        if self.in_doubt:
            return
        found = self.found
        found.not_followed += 1
        if found.not_followed <= MAX_PROBLEMS:
            found.anomalies.append(anomaly)

    # -- maps ----------------------------------------------------------------------------------------

    def _holder(self, reference: Reference) -> Holder:
        path = reference.path
        return Holder(path, self.names, path.place, reference.type, reference.slot, self.in_doubt)

    def _map(self, reference: Reference) -> bool:
        address, holder = reference.address, self._holder(reference)
        if address and self.census is not None and self._is_taken(address):
            t = reference.type
            return (self.reaches(t.elem) or self.reaches(t.key)) and self.first_visit(reference)
        if address and address not in self.found.maps and not self._believed(address, holder):
            return False
        self._hold(address, holder)
        return address != 0 and self.first_visit(reference)

    def _sync(self, reference: Reference) -> bool:
        address, holder, syncs = reference.address, self._holder(reference), self.found.syncs
        if address not in syncs and not self._believed_sync(address, holder):
            return False
        if self.in_doubt and address in syncs:
            return False
        syncs.setdefault(address, []).append(holder)
        whose = GLOBALS if self.once or reference.path.place.kind == "global" else FRAMES
        if (address, whose) in self.opened:
            return False
        self.opened.add((address, whose))
        return True

    def _believed(self, address: int, holder: Holder) -> bool:
        """Whether what lies at the address can be a map's header."""
        found = self.found
        if address in found.doubtful:
            return False
        if self.census is not None and self.once and not self.in_doubt and self.census.row_of(address) >= 0:
            return True  # what a header has was looked at, and views are made where they are needed
        if self.in_doubt:
            if address in found.maps:
                return same(found.types[address], holder.type)
            one = self.sound.map_at(address, holder.type, holder.place)
            if one is not None:
                found.views[address] = one
            return one is not None
        try:
            one = view(self.target, holder.type, address)
        except MemoryFault as fault:
            found.doubtful[address] = holder, str(fault)
            raise
        wrong = nonsense(one, self.walk.room)
        if wrong is None:
            found.views[address] = one
            return True
        found.doubtful[address] = holder, wrong
        message = f"{holder.path}{_in(holder.place)} does not point to a valid map ({self._why()}): {wrong}"
        self._tell(Anomaly("note", "not-a-map", message, address))
        return False

    def _believed_sync(self, address: int, holder: Holder) -> bool:
        """Whether what lies at the address can be a sync.Map."""
        found, variable = self.found, Variable("", holder.type, address)
        shape = syncmap.detect(self.target, holder.type)
        if address in found.doubtful or shape is None:
            return False
        if self.in_doubt:
            in_use = self.sound.in_use(address, holder.type.size, holder.place) is not None
            return in_use and syncmap.nonsense(self.target, shape, variable, self.walk.room) is None
        try:
            wrong = syncmap.nonsense(self.target, shape, variable, self.walk.room)
        except MemoryFault as fault:
            found.doubtful[address] = holder, str(fault)
            raise
        if wrong is None:
            return True
        found.doubtful[address] = holder, wrong
        what = f"does not point to a valid sync.Map ({self._why()})"
        self._tell(Anomaly("note", "not-a-map", f"{holder.path}{_in(holder.place)} {what}: {wrong}", address))
        return False

    def _why(self) -> str:
        """Why what a variable points to may be no valid map."""
        return "uninitialized, dead or written to while it was read" if self.target.running else _WRONG

    def _hold(self, address: int, holder: Holder) -> None:
        """Notes that the holder has the map at `address` (0: nil); a known variable gets a path more."""
        if self.in_doubt and not address:
            return
        known = self.located.get(holder.address) if holder.address is not None else None
        if known is not None:
            known.also = known.also or []
            known.also.append(holder)
            return
        if holder.address is not None:
            self.located[holder.address] = holder
        if address:
            self.found.maps.setdefault(address, []).append(holder)
            known_as = self.found.types.setdefault(address, holder.type)
            if is_shaped(known_as) and not is_shaped(holder.type):  # a variable of a generic function was the first
                self.found.types[address] = holder.type
                self.found.views[address] = view(self.target, holder.type, address)
        else:
            self.found.nil.append(holder)


def _in(place: Place) -> str:
    """Where a variable is, for a message about it."""
    whose = f" of goroutine {place.goroutine}" if place.goroutine is not None else ""
    whose += f", frame {place.frame}" if whose and place.frame is not None else ""
    return f" in {place.function}{whose}" if place.function else ""
