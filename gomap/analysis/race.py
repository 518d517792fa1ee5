"""Which goroutines are inside map operations, and who of them died of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from gomap.analysis.alias import Found
from gomap.analysis.roots import MAX_PROBLEMS
from gomap.errors import GomapError, OptimizedOut
from gomap.golang import mapcalls
from gomap.golang.classic import ClassicMap
from gomap.golang.goroutines import goroutines
from gomap.golang.rtype import MAP_DESCRIPTORS, Types, dynamic
from gomap.golang.stacks import Stack, Stacks, Unseen
from gomap.golang.structure import Anomaly
from gomap.gotypes import GoType, Kind
from gomap.maps import MapView
from gomap.progress import Progress, silent
from gomap.target import Frame, Goroutine, Record, Target, Variable, read_record

#: Names that the runtime's functions give the map, its type, an iterator, a bucket, table or group of it, and what
#: they die of.
_NAMES = frozenset({"m", "h", "src", "it", "t", "typ", "b", "oldb", "g"})
_TEXTS = frozenset({"s", "e"})
MAX_TEXT = 256
UNKNOWN_PANIC = "panic"


@dataclass(frozen=True)
class Inside:
    """One goroutine inside one operation.

    call: the runtime's function that the operation began in. caller: the frame of the program's own that called
    it, None when there is none. address: the map's header; None when it is nil or can't be told. deduced: the
    address was not read but concluded from the write flags. type: the map's, None when it can't be told. parts: a
    bucket, table or group of the map that the operation is at. message: what the runtime said, when it ended the
    goroutine there. panics: it ended with a panic, which a deferred function may recover from.
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
    message: str | None = None
    panics: bool = False
    deduced: bool = False

    @property
    def fatal(self) -> bool:
        return self.message is not None


@dataclass
class Searched:
    """goroutines: how many were looked at. stood: (goroutine, place of its newest frame of the program's own)."""

    inside: list[Inside] = field(default_factory=list)
    stood: dict[int, tuple[Goroutine, Frame | None]] = field(default_factory=dict)
    unreadable: list[Anomaly] = field(default_factory=list)
    unseen: Unseen = field(default_factory=Unseen)
    goroutines: int = 0
    interrupted: bool = False

    @property
    def anomalies(self) -> list[Anomaly]:
        return [*self.unreadable, *self.unseen.anomalies()]


def search(target: Target, progress: Progress = silent) -> Searched:
    """Every goroutine's stack, for map operations. Raises NoDebugInfo, MemoryFault."""
    found, unreadable = goroutines(target)
    searched = Searched(unreadable=unreadable[:MAX_PROBLEMS])
    types = Types(target)
    try:
        for stack in Stacks(target, _wanted).walk(found):
            searched.goroutines += 1
            progress("goroutines", searched.goroutines, len(found))
            searched.unseen.add(stack)
            level = _callers_level(stack.frames, 0)
            searched.stood[stack.goroutine.id] = (stack.goroutine, None if level is None else stack.frames[level])
            one = _inside(target, types, stack)
            if one is not None:
                searched.inside.append(one)
    except KeyboardInterrupt:
        searched.interrupted = True
    return searched


def with_write_flag(target: Target, found: Found) -> list[int]:
    """Headers of the maps that say a write is under way.

    A variable that is dead may still point to where its map was: what lies there now is no header.
    """
    return [a for a, one in found.views.items() if one.writing and _is_header(target, a)]


def located(one: Inside, found: Found) -> Inside:
    """The same with the map's header, where the operation has only kept where in the map it is: a lookup in a classic
    map forgets the header once it has the bucket."""
    if one.address is not None or one.nil or not one.parts:
        return one
    for address, each in found.views.items():
        t = found.types[address]
        if one.type is not None and one.type.name != t.name:
            continue
        try:
            if _has_part(each, one.parts):
                return replace(one, address=address, type=t)
        except GomapError:
            continue
    return one


def concluded(one: Inside, found: Found, flagged: Sequence[int]) -> Inside:
    """The same with the one map whose write flag is up, where the goroutine died of such a flag and its code has
    forgotten the header: of a race that the runtime reported, only one map is in the middle of a write."""
    if one.address is not None or one.nil or not mapcalls.is_report(one.message or ""):
        return one
    possible = [a for a in flagged if mapcalls.has_key_kind(one.call, found.types[a].key)]
    if len(possible) != 1:
        return one
    return replace(one, address=possible[0], type=found.types[possible[0]], deduced=True)


def _has_part(found: MapView, parts: Sequence[int]) -> bool:
    """Whether one of these addresses is a table or the group of a Swiss map, a bucket of a classic one."""
    storage = found.storage()
    if not isinstance(found, ClassicMap):
        return any(storage.get(part) in ("table", "group") for part in parts)
    size = found.shape.slots.size
    counts = {"buckets": 1 << min(found.B, 48), "oldbuckets": found.old_count}
    for start, what in storage.items():
        # makeBucketArray of runtime/map.go: overflow buckets made in advance lie behind the array.
        end = start + size * (counts[what] + (counts[what] >> 4))
        if any(start <= part < end and not (part - start) % size for part in parts):
            return True
    return False


def _wanted(function: str, name: str, t: GoType) -> bool:
    if name in _NAMES:
        return mapcalls.operation(function) is not None
    return name in _TEXTS and (mapcalls.is_death(function) or function == mapcalls.PANIC)


def _inside(target: Target, types: Types, stack: Stack) -> Inside | None:
    frames = stack.frames
    newest = next((i for i, frame in enumerate(frames) if mapcalls.operation(frame.function) is not None), None)
    if newest is None:
        return None
    # One operation is a run of the runtime's and reflect's functions: mapassign calls growWork calls evacuate.
    end = _callers_level(frames, newest)
    run = [f for f in frames[newest : len(frames) if end is None else end] if mapcalls.operation(f.function)]
    names = [mapcalls.operation(frame.function) for frame in run]
    held = [got for frame in run for got in _arguments(target, frame)]
    if newest == 0 and stack.goroutine.thread is None:
        held += _spilled(target, types, frames)
    address, t = _map_of(target, types, held)
    message = _message(target, types, frames[:newest], run[0])
    nil = address == 0 or (message is not None and mapcalls.NIL_MAP in message)
    return Inside(
        goroutine=stack.goroutine,
        operation="grow" if "grow" in names else str(names[-1]),
        call=run[-1].function,
        caller=None if end is None else frames[end],
        level=end,
        address=address or None,
        nil=nil,
        type=t,
        parts=tuple(value for what, value in held if what == "part"),
        message=message,
        panics=any(frame.function in (mapcalls.PANIC, mapcalls.FAULT) for frame in frames[:newest]),
    )


def _callers_level(frames: Sequence[Frame], start: int) -> int | None:
    """The first frame from `start` on that is the program's own."""
    return next((i for i in range(start, len(frames)) if not mapcalls.is_between(frames[i].function)), None)


# -- which map ---------------------------------------------------------------------------------------------


def _arguments(target: Target, frame: Frame) -> Iterator[tuple[str, int]]:
    """(header, type or part; its address) as the frame's variables have it.

    The compiler keeps no place for an argument that is not needed any more, and a debugger may take what is in a
    register by now for it: what is made of these is checked. An iterator comes last, whatever the debugger's order:
    where it begins there is nothing in it yet.
    """
    for local in sorted(frame.locals, key=lambda local: local.variable.name == "it"):
        if local.variable.name not in _NAMES:
            continue
        try:
            yield from _argument(target, local.variable)
        except GomapError:
            continue


def _spilled(target: Target, types: Types, frames: Sequence[Frame]) -> list[tuple[str, int]]:
    """The first two arguments of a function that was preempted where it begins, as those are that spun until the
    program died: it spilled its register arguments to where the caller has room for them (cmd/compile/abi-internal.md),
    and debug information does not say so. Taken where they are a map's type and a header."""
    caller = next((frame for frame in frames if frame.sp != frames[0].sp), None)
    word = target.arch.pointer_size
    if caller is None or target.arch.name != "amd64":
        return []
    try:
        data = target.memory.read(caller.sp, 2 * word)
    except GomapError:
        return []
    descriptor, header = target.arch.pointer(data), target.arch.pointer(data, word)
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


def _map_of(target: Target, types: Types, held: Sequence[tuple[str, int]]) -> tuple[int | None, GoType | None]:
    """The header and the type, of the newest frame that has what can be true."""
    kinds = (_map_type(types, value) for what, value in held if what == "type")
    headers = (value for what, value in held if what == "header" and (not value or _is_header(target, value)))
    return next(headers, None), next((t for t in kinds if t is not None), None)


def _map_type(types: Types, descriptor: int) -> GoType | None:
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


def _message(target: Target, types: Types, newer: Sequence[Frame], operation: Frame) -> str | None:
    """What the runtime said in the frames that the operation called, None when it goes on."""
    for frame in newer:
        if frame.function == mapcalls.PANIC:
            return _text(target, types, frame) or UNKNOWN_PANIC
    if any(mapcalls.is_death(frame.function) for frame in newer):
        texts = (_text(target, types, frame) for frame in reversed(newer) if mapcalls.is_death(frame.function))
        return next((text for text in texts if text), None) or mapcalls.reported(operation.function)
    if any(frame.function == mapcalls.FAULT for frame in newer):
        return "memory fault inside the map operation"
    return None


def _text(target: Target, types: Types, frame: Frame) -> str | None:
    """The argument of runtime.fatal and throw (s string), or of gopanic (e any)."""
    word = target.arch.pointer_size
    for local in frame.locals:
        variable = local.variable
        try:
            data = variable.read(target.memory, 0, 2 * word)
            if variable.type.kind is Kind.INTERFACE:
                held = dynamic(types, variable.type, data)
                if held is None or held[0].kind is not Kind.STRING:
                    return None if held is None else f"{UNKNOWN_PANIC}: {held[0].name}"
                data = target.memory.read(held[1], 2 * word)
            text = target.memory.read(target.arch.pointer(data), min(target.arch.pointer(data, word), MAX_TEXT))
        except (GomapError, OptimizedOut):
            continue
        told = text.decode("utf-8", "replace")
        if told and told.isprintable():  # what a register holds by now need not be a text
            return told
    return None
