"""Which goroutines are inside map operations, what ended them there, and what the program died of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from gomap.analysis import iterators
from gomap.analysis.deaths import FATAL, PANIC, Death, deaths
from gomap.analysis.endings import ending, two_spilled
from gomap.analysis.held import AliasSearch, Holder
from gomap.analysis.references import passed, referenced, root_of
from gomap.analysis.roots import MAX_PROBLEMS
from gomap.anomaly import Anomaly
from gomap.errors import GomapError
from gomap.golang.layouts.classic.shape import HASH_WRITING
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.structure import UNTOLD
from gomap.golang.runtime import mapcalls
from gomap.golang.runtime.abitype import MAP_DESCRIPTORS
from gomap.golang.runtime.dictionaries import has_shape, is_shaped
from gomap.golang.runtime.goroutines import goroutines
from gomap.golang.runtime.liveness import waits
from gomap.golang.runtime.modules import OWN, STANDARD, Modules, modules
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.golang.runtime.stackmap import StackMaps
from gomap.golang.runtime.stacks import Stack, Stacks, Unseen
from gomap.gotypes import GoType, Kind, same
from gomap.heap.census import Census
from gomap.human import plural
from gomap.progress import Progress, silent
from gomap.target import Frame, Goroutine, Record, Target, Variable, read_record, settled

#: Names that the runtime's functions give the map, its type, an iterator, a bucket, table or group of it, and what
#: they die of.
_NAMES = frozenset({"m", "h", "src", "it", "t", "typ", "b", "oldb", "g"})
_TEXTS = frozenset({"s", "e"})


@dataclass(frozen=True)
class MapOperation:
    """One goroutine inside one operation.

    call: the runtime's function that the operation began in. direct: the frame that called it, at `level` of the
    stack; caller: the frame to show, of the program's own module if possible (None without one). address: the map's
    header; None if it is nil or not known. deduced: how the address was deduced, None if it was read. type: the map's,
    None if not known. parts: the bucket, table or group of the map that the operation works on. ended: FATAL or PANIC,
    if one ended the operation. message: the runtime's message, None if it can't be read. left: deferred functions have
    run since.
    """

    goroutine: Goroutine
    operation: str
    call: str
    caller: Frame | None
    level: int | None
    address: int | None
    nil: bool
    type: GoType | None
    parts: tuple[int, ...] = ()
    ended: str | None = None
    message: str | None = None
    left: bool = False
    deduced: str | None = None
    newest: int = 0
    stack: Stack | None = field(default=None, repr=False, compare=False)

    @property
    def fatal(self) -> bool:
        """Whether the program died in the operation."""
        return self.ended is not None

    @property
    def panics(self) -> bool:
        """It ended with a panic, which a deferred function may recover from."""
        return self.ended == PANIC

    @property
    def raced(self) -> bool:
        """Whether the runtime itself ended it for a data race."""
        return self.ended == FATAL and mapcalls.is_report(self.message or "")

    @property
    def direct(self) -> Frame | None:
        """The frame that called the operation; None where the stack could not be unwound."""
        return None if self.stack is None or self.level is None else self.stack.frames[self.level]


@dataclass(frozen=True)
class InFunction:
    """Where a goroutine is in a function."""

    goroutine: Goroutine
    frame: Frame


@dataclass
class Searched:
    """goroutines: how many were looked at. stood: the goroutines by id. deaths: what ended the program; died_at: where,
    by the goroutine's id. suspects: other goroutines in a function in which one died of a data race."""

    inside: list[MapOperation] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    died_at: dict[int, Frame] = field(default_factory=dict)
    suspects: list[InFunction] = field(default_factory=list)
    stood: dict[int, Goroutine] = field(default_factory=dict)
    unreadable: list[Anomaly] = field(default_factory=list)
    unseen: Unseen = field(default_factory=Unseen)
    goroutines: int = 0
    interrupted: bool = False

    @property
    def anomalies(self) -> list[Anomaly]:
        """What went wrong in the search, with the stacks that could not be unwound."""
        return [*self.unreadable, *self.unseen.anomalies()]


def search(target: Target, progress: Progress = silent) -> Searched:
    """Every goroutine's stack, for map operations. Raises NoDebugInfo, MemoryFault."""
    found, unreadable = goroutines(target)
    searched = Searched(unreadable=unreadable[:MAX_PROBLEMS], deaths=deaths(target, found))
    dead = {death.goroutine: death for death in searched.deaths}
    types, owners = DescribedTypes(target), modules(target)
    # Who died, and who may just do so, comes first: the others are asked whether they are in the same function.
    order = sorted(found, key=lambda goroutine: (goroutine.id not in dead, goroutine.thread is None))
    first: list[Stack] = []
    try:
        for stack in Stacks(target, _wanted).walk(order):
            searched.goroutines += 1
            progress("goroutines", searched.goroutines, len(found))
            searched.unseen.add(stack)
            searched.unseen.refuse()
            goroutine = stack.goroutine
            searched.stood[goroutine.id] = goroutine
            one = _inside(target, types, owners, stack, dead.get(goroutine.id))
            if one is not None:
                searched.inside.append(one)
            if goroutine.id in dead:
                frame = own_frame(owners, stack.frames)
                if one is not None and one.fatal and not one.left and one.caller is not None:
                    searched.died_at[goroutine.id] = one.caller
                elif frame is not None:
                    searched.died_at[goroutine.id] = frame
            if goroutine.id in dead or goroutine.thread is not None:
                first.append(stack)
            else:
                searched.suspects += _suspects(searched, stack)
    except KeyboardInterrupt:
        searched.interrupted = True
    searched.suspects += [place for stack in first for place in _suspects(searched, stack)]
    numbers = {goroutine.id: i for i, goroutine in enumerate(found)}
    searched.inside.sort(key=lambda one: numbers[one.goroutine.id])
    searched.suspects.sort(key=lambda place: numbers[place.goroutine.id])
    for one in searched.inside:  # stopped on its way to the end: at a breakpoint in runtime.fatal
        if one.ended == FATAL and not dead:
            searched.deaths.append(Death(FATAL, one.message, one.goroutine.id))
            if one.caller is not None:
                searched.died_at[one.goroutine.id] = one.caller
    return searched


def _suspects(searched: Searched, stack: Stack) -> list[InFunction]:
    """Where the goroutine is in a function in which another died of a data race."""
    raced = [one for one in searched.inside if one.raced and one.caller is not None]
    functions = {one.caller.function for one in raced if one.caller is not None}
    if not functions or any(one.goroutine.id == stack.goroutine.id for one in raced):
        return []
    return [InFunction(stack.goroutine, frame) for frame in stack.frames if frame.function in functions][:1]


def gone_on(target: Target, searched: Searched) -> list[Anomaly]:
    """Takes goroutines out of the answer that have gone on since their stacks were read: those that are left were all
    inside at one moment. Of a program that goes on."""
    left: list[int] = []
    for one in list(searched.inside):
        try:
            now = settled(target, one.goroutine) if target.running else one.goroutine
        except GomapError:
            now = None
        if now is None or (now.sp, now.pc, now.status) != (one.goroutine.sp, one.goroutine.pc, one.goroutine.status):
            left.append(one.goroutine.id)
            searched.inside.remove(one)
    if not left:
        return []
    who = ", ".join(map(str, sorted(left)[:MAX_PROBLEMS]))
    verb = "was" if len(left) == 1 else "were"
    what = f"{plural(len(left), 'goroutine')} {verb} inside a map operation and went on while others were read: {who}"
    return [Anomaly("note", "went-on", what, None)]


def calm(target: Target, searched: Searched, census: Census | None) -> bool:
    """Whether no goroutine is inside a map operation and no map of the heap is marked as being written to, so that the
    answer names no map and its holders. census: every header of the heap."""
    if searched.inside or searched.deaths or searched.interrupted or census is None or not census.complete:
        return False
    header = DescribedTypes(target).map_header()
    flag, marks = ("writing", 0xFF) if header.field("writing") is not None else ("flags", HASH_WRITING)
    # The census has the size of every other map, which it can't have of one that is being written to.
    rows = [i for i, slots in enumerate(census.slots) if slots == UNTOLD]
    try:
        return not any(read_record(target, header, census.addresses[i])[flag] & marks for i in rows)
    except GomapError:
        return False


def with_write_flag(target: Target, found: AliasSearch) -> list[int]:
    """Headers of the maps that are marked as being written to.

    A dead variable may point to memory that is not a header any more.
    """
    return [a for a, one in found.views.items() if one.writing and _is_header(target, a)]


def located(one: MapOperation, found: AliasSearch) -> MapOperation:
    """The same with the map's header, where the operation has only kept where in the map it is: a lookup in a classic
    map forgets the header once it has the bucket."""
    if one.address is not None or one.nil or not one.parts:
        return one
    for address, each in found.views.items():
        t = found.types[address]
        if one.type is not None and not _is_of(one.type, t):
            continue
        if _has_part(each, one.parts):
            return replace(one, address=address, type=t)
    return one


def concluded(target: Target, one: MapOperation, found: AliasSearch, flagged: Sequence[int]) -> MapOperation:
    """The same with the map that the operation can only be on, where its code has forgotten the header."""
    if one.address is not None or one.nil:
        return one
    # Of a race that the runtime reported, only one map is in the middle of a write.
    ways: list[tuple[Sequence[int], str]] = []
    ways.append((_kept(target, one, found), "a live stack slot of the operation points to this map"))
    if one.operation == "iterate" and one.stack is not None:
        iterated = iterators.of_goroutine(target, one.stack, found.views)
        ways.append((iterated, "this is the only map that the goroutine iterates over"))
    if one.raced:
        ways.append((flagged, "this is the only map of its kind that is marked as being written to"))
    ways.append((_passed(target, one, found), "the calling function's code passes this package variable"))
    for addresses, reason in ways:
        possible = [a for a in dict.fromkeys(addresses) if _suits(one, found.types[a])]
        if len(possible) == 1:
            return replace(one, address=possible[0], type=found.types[possible[0]], deduced=reason)
    return one


def _suits(one: MapOperation, t: GoType) -> bool:
    return mapcalls.has_key_kind(one.call, t.key) and (
        one.type is None or one.type.name == "map" or _is_of(one.type, t)
    )


def _is_of(t: GoType, of_holder: GoType) -> bool:
    """Whether a variable of the other type may hold a map of type t: in a generic function the other type may be a
    shape."""
    return same(t, of_holder) or (is_shaped(of_holder) and has_shape(t, of_holder))


def live_words(target: Target, one: MapOperation) -> list[int]:
    """The pointers in slots of the operation's own frames that are alive, arguments in memory among them."""
    if one.stack is None:
        return []
    frames, (low, high) = one.stack.frames, one.stack.goroutine.stack
    last = len(frames) - 1 if one.level is None else one.level
    maps, arch, found = StackMaps(target), target.arch, []
    for level in range(one.newest, last):
        frame, older = frames[level], frames[level + 1]
        if not low <= frame.sp < older.sp <= high or not waits(frames[level - 1].function if level else None):
            continue
        for at in maps.live(frame.pc, older.sp) or ():
            with suppress(GomapError):
                found.append(arch.pointer(target.memory.read(at, arch.pointer_size)))
    return found


def _kept(target: Target, one: MapOperation, found: AliasSearch) -> list[int]:
    """Maps that the operation's own frames have pointers to, in slots that are alive; else those whose parts they
    point to."""
    words = live_words(target, one)
    headers = [word for word in words if word in found.views]
    if headers or not words:
        return headers
    return [a for a, each in found.views.items() if _suits(one, found.types[a]) and _has_part(each, words)]


def _has_part(each: MapView, words: Sequence[int]) -> bool:
    try:
        return each.has_part(words)
    except GomapError:
        return False


def _passed(target: Target, one: MapOperation, found: AliasSearch) -> list[int]:
    """The map of the package variable that the calling function passes to the runtime's."""
    frame = one.direct
    if frame is None or one.stack is None or not one.level or one.stack.frames[one.level - 1].function != one.call:
        return []
    held = {
        holder.address: address
        for address, holders in found.maps.items()
        for each in holders
        for holder in (each, *each.also)
        if holder.place.kind == "global" and holder.address
    }
    place = passed(target, frame.pc, held)
    return [] if place is None else [held[place]]


def nil_variables(target: Target, one: MapOperation, found: AliasSearch) -> list[Holder]:
    """Where the operation's map is nil: nil maps that may be the one. Package variables that the calling function's
    code refers to, then what the variables of the functions from that to the program's own lead to."""
    if not one.nil or one.level is None or one.stack is None:
        return []
    nil = [holder for each in found.nil for holder in (each, *each.also)]
    if one.type is not None:
        nil = [holder for holder in nil if _is_of(one.type, holder.type)]
    places: dict[int, list[Holder]] = {}
    for holder in nil:
        if holder.place.kind == "global":
            for address in (holder.address, root_of(target, holder.path)):
                if address:
                    places.setdefault(address, []).append(holder)
    frames = one.stack.frames
    nearest = next(iter(referenced(target, frames[one.level].pc, places)), None)
    named = places[nearest] if nearest is not None else []
    last = frames.index(one.caller) if one.caller in frames else one.level
    levels = range(one.level, last + 1)
    local = [h for h in nil if h.place.goroutine == one.goroutine.id and h.place.frame in levels]
    return list({id(holder): holder for holder in (*named, *local)}.values())


def _wanted(function: str, name: str, t: GoType) -> bool:
    if name in _NAMES:
        return mapcalls.operation(function) is not None
    return name in _TEXTS and (mapcalls.is_death(function) or function == mapcalls.PANIC)


def _inside(
    target: Target, types: DescribedTypes, owners: Modules, stack: Stack, death: Death | None = None
) -> MapOperation | None:
    frames = stack.frames
    newest = next((i for i, frame in enumerate(frames) if mapcalls.operation(frame.function) is not None), None)
    if newest is None:
        return None
    # One operation is a run of the runtime's and reflect's functions: mapassign calls growWork calls evacuate.
    end = _callers_level(frames, newest)
    run = [f for f in frames[newest : len(frames) if end is None else end] if mapcalls.operation(f.function)]
    names = [mapcalls.operation(frame.function) for frame in run]
    held = [got for frame in run for got in _arguments(target, frame)]
    if stack.goroutine.thread is None or death is not None:
        held += _spilled(target, types, stack, newest)
    address, t = _map_of(target, types, held)
    ended, message, left = ending(target, types, stack, newest, death)
    nil = address == 0 or (message is not None and mapcalls.NIL_MAP in message)
    told = _told_level(owners, frames, end)
    return MapOperation(
        goroutine=stack.goroutine,
        operation="grow" if "grow" in names else str(names[-1]),
        call=run[-1].function,
        caller=None if told is None else frames[told],
        level=end,
        address=address or None,
        nil=nil,
        type=t,
        parts=tuple(value for what, value in held if what == "part"),
        ended=ended,
        message=message,
        left=left,
        newest=newest,
        stack=stack,
    )


def own_frame(owners: Modules, frames: Sequence[Frame]) -> Frame | None:
    """The newest frame of the program's own module, else of one that it depends on, else outside of the runtime."""
    level = _told_level(owners, frames, _callers_level(frames, 0))
    return None if level is None else frames[level]


def _callers_level(frames: Sequence[Frame], start: int) -> int | None:
    """The first frame from `start` on that is the program's own."""
    return next((i for i in range(start, len(frames)) if not mapcalls.is_between(frames[i].function)), None)


def _told_level(owners: Modules, frames: Sequence[Frame], start: int | None) -> int | None:
    """The frame to name, from `start` on: the first of the program's own module, else the first that is not of Go's own
    packages, else the one at `start`."""
    if start is None:
        return None
    whose = [owners.owner(frame.function) for frame in frames[start:]]
    for owner in range(OWN, STANDARD):
        if owner in whose:
            return start + whose.index(owner)
    return start


# -- which map ---------------------------------------------------------------------------------------------


def _arguments(target: Target, frame: Frame) -> Iterator[tuple[str, int]]:
    """(header, type or part; its address) as the frame's variables have it.

    The compiler keeps no copy of a dead argument, and a debugger may take the register's present value for it: the
    caller checks these values. An iterator comes last, whatever the debugger's order: at its start it is empty.
    """
    for local in sorted(frame.locals, key=lambda local: local.variable.name == "it"):
        if local.variable.name not in _NAMES:
            continue
        try:
            yield from _argument(target, local.variable)
        except GomapError:
            continue


def _spilled(target: Target, types: DescribedTypes, stack: Stack, newest: int) -> list[tuple[str, int]]:
    """The first two arguments of a function that is at its beginning, on the way to runtime.newstack: it was preempted
    there, as those are that spun until the program died, or its stack could not grow. It spilled its register arguments
    to where the caller has room for them (cmd/compile/abi-internal.md), and debug information does not say so. Taken
    where they are a map's type and a header."""
    descriptor, header = two_spilled(target, stack, newest)
    if _map_type(types, descriptor) is None or not header or not _is_header(target, header):
        return []
    return [("type", descriptor), ("header", header)]


def _argument(target: Target, variable: Variable) -> Iterator[tuple[str, int]]:
    t, word = variable.type, target.arch.pointer_size
    if t.kind is Kind.INTERFACE:  # mapclone(m any)
        data = variable.read(target.memory, 0, 2 * word)
        yield from (("header", target.arch.pointer(data, word)), ("type", target.arch.pointer(data)))
        return
    pointer = target.arch.pointer(variable.read(target.memory, 0, word)) if t.size >= word else 0
    if t.kind is Kind.STRUCT and t.field("data"):  # groupReference
        yield "part", pointer
    if t.kind is not Kind.POINTER or t.lazy_elem is None:
        return
    elem = t.elem
    names = {f.name for f in elem.fields}
    if "hash0" in names or "dirPtr" in names:
        yield "header", pointer
    elif elem.name in MAP_DESCRIPTORS:
        yield "type", pointer
    elif "tophash" in names or "localDepth" in names:
        yield "part", pointer
    elif pointer:
        record = iterator_at(target, elem, pointer)
        if record is not None:
            yield "header", record["h" if record.type.field("h") else "m"]
            yield "type", record["t" if record.type.field("t") else "typ"]


def iterator_at(target: Target, t: GoType, address: int) -> Record | None:
    """The runtime's own iterator in a runtime.hiter, maps.Iter, reflect.hiter or runtime.linknameIter."""
    inner = t.field("it")
    if inner is not None and inner.type.kind is Kind.POINTER:
        # linknameIter of runtime/linkname_swiss.go: the real one lies behind it
        address, t = read_record(target, t, address)["it"], inner.type.elem
    known = {f.name for f in t.fields} >= {"h", "t"} or {f.name for f in t.fields} >= {"m", "typ"}
    return read_record(target, t, address) if address and known else None


def _map_of(target: Target, types: DescribedTypes, held: Sequence[tuple[str, int]]) -> tuple[int | None, GoType | None]:
    """The header and the type, of the newest frame that has what can be true."""
    kinds = (_map_type(types, value) for what, value in held if what == "type")
    headers = (value for what, value in held if what == "header" and (not value or _is_header(target, value)))
    return next(headers, None), next((t for t in kinds if t is not None), None)


def _map_type(types: DescribedTypes, descriptor: int) -> GoType | None:
    if not descriptor:
        return None
    try:
        t = types.at(descriptor)
    except GomapError:
        return None
    return t if t.kind is Kind.MAP else None


def _is_header(target: Target, address: int) -> bool:
    """Whether a map's header can lie there: what all maps have in common."""
    for name in ("internal/runtime/maps.Map", "runtime.hmap"):
        t = target.find_type(name)
        if t is None or not t.fields:
            continue
        try:
            header = read_record(target, t, address)
        except GomapError:
            return False
        if t.field("dirPtr"):
            length, depth = header["dirLen"], header["globalDepth"]
            return header["writing"] <= 1 and depth < 64 and (length == 0 or length == 1 << depth)
        return header["flags"] < 16 and header["B"] < 64 and header["count"] < 1 << 48
    return False


# -- how it ended ------------------------------------------------------------------------------------------
