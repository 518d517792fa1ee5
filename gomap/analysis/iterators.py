"""Iterations over one map that are in progress, and the position of each.

A `range` loop keeps its iterator (runtime.hiter, internal/runtime/maps.Iter) in a variable of its function's frame that
has no name and no debug information. So stacks are searched for the map's header where such an iterator would have it.
reflect.MapIter, and a loop whose frame a coroutine or a closure keeps on the heap, are found through the pointers on
the stacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gomap.anomaly import Anomaly
from gomap.columns.marks import SLOTS
from gomap.errors import GomapError
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime import mapcalls
from gomap.golang.runtime.goroutines import goroutines
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.golang.runtime.stackmap import StackMaps
from gomap.golang.runtime.stacks import Stack, Stacks, Unseen
from gomap.gotypes import GoType, Kind
from gomap.progress import Progress, silent
from gomap.reads import gather
from gomap.target import Frame, Goroutine, Record, Target, read_record

#: Bytes of one goroutine's stack that are searched, and pointers on all stacks that are followed.
MAX_STACK = 1 << 20
MAX_POINTERS = 1 << 18


@dataclass(frozen=True)
class Iteration:
    """One iteration and its position.

    address: of the iterator. frame: the frame that the iterator is in; for one on the heap, the newest frame with a
    pointer to it. key: address of the last key. position: the runtime's own numbers, by field. done, total: how many
    buckets (Swiss map: directory entries; small map: slots) are done, and how many there are.
    """

    goroutine: Goroutine
    frame: Frame
    level: int
    address: int
    on_heap: bool
    key: int
    elem: int
    position: dict[str, int]
    done: int
    total: int


@dataclass
class IterationSearch:
    """The loops over a map that are in progress. goroutines: how many were searched. unseen: which were not."""

    iterations: list[Iteration]
    told: list[Anomaly]
    unseen: Unseen = field(default_factory=Unseen)
    goroutines: int = 0
    interrupted: bool = False

    @property
    def anomalies(self) -> list[Anomaly]:
        """What went wrong in the search, with the stacks that could not be unwound."""
        return [*self.told, *self.unseen.anomalies()]


def search(target: Target, found: MapView, progress: Progress = silent) -> IterationSearch:
    """Every iteration over the map. Raises NoDebugInfo, MemoryFault."""
    everyone, anomalies = goroutines(target)
    result = IterationSearch([], anomalies)
    t = target.find_type(found.terms.iterator)
    if t is None or not t.fields:
        result.told.append(Anomaly("note", "no-iterators", "the debug information has no iterator type", None))
        return result
    looker = _Looker(target, found, t)
    stacks: list[Stack] = []
    try:
        for stack in Stacks(target, lambda function, name, t: False).walk(everyone):
            result.goroutines += 1
            progress("goroutines", result.goroutines, len(everyone))
            result.unseen.add(stack)
            result.unseen.refuse()
            stacks.append(stack)
            result.iterations += looker.on_stack(stack)
        result.iterations += looker.on_heap(stacks)
    except KeyboardInterrupt:
        result.interrupted = True
    return result


def of_goroutine(target: Target, stack: Stack, views: Mapping[int, MapView]) -> list[int]:
    """The maps, by their headers' addresses, that the goroutine of this stack iterates over. It is inside an operation
    on its iterator: where no iterator is alive in its own frame, only functions that this called may need it."""
    if not views:
        return []
    t = target.find_type(next(iter(views.values())).terms.iterator)
    if t is None or not t.fields:
        return []
    candidates = _candidates(target, stack, t, views)
    alive = [address for address in candidates if _is_iterated(target, stack, t, views[address], True)]
    return alive or [address for address in candidates if _is_iterated(target, stack, t, views[address], False)]


def _candidates(target: Target, stack: Stack, t: GoType, views: Mapping[int, MapView]) -> list[int]:
    """Maps whose headers are on the stack, or in what its pointers lead to, where an iterator would have them."""
    looker = _Looker(target, next(iter(views.values())), t)
    word = target.arch.pointer_size
    calls = _calls(stack)
    low, data = looker.read(stack, calls) if calls else (0, b"")
    words = (target.arch.pointer(data, at) for at in range(-low % word, len(data) - word + 1, word))
    found = dict.fromkeys(pointer for pointer in words if pointer in views)
    pointers = sorted({pointer for _, pointer in looker.pointers(stack)})
    for shift in (0, *looker.in_map_iter()):
        for _, record in gather(target.memory, [pointer + shift + looker.offset for pointer in pointers], word):
            if record is not None and target.arch.pointer(bytes(record)) in views:
                found[target.arch.pointer(bytes(record))] = None
    return list(found)


def _is_iterated(target: Target, stack: Stack, t: GoType, found: MapView, alive: bool) -> bool:
    looker = _Looker(target, found, t, alive)
    return any(looker.on_stack(stack)) or any(looker.on_heap([stack]))


class _Looker:
    def __init__(self, target: Target, found: MapView, t: GoType, only_alive: bool = True) -> None:
        self._only_alive = only_alive
        self._target, self._found, self._type = target, found, t
        self._maps = StackMaps(target)
        self._types = DescribedTypes(target)
        head = t.field("h") or t.field("m")
        assert head is not None
        self.offset = head.offset
        self._pattern = target.arch.pack(found.address)
        self._seen: set[int] = set()
        self._data: dict[int, tuple[int, bytes]] = {}

    # -- in frames -------------------------------------------------------------------------------------

    def on_stack(self, stack: Stack) -> Iterator[Iteration]:
        """Iterators that are variables of the goroutine's frames."""
        calls = _calls(stack)
        if not calls:
            return
        low, data = self.read(stack, calls)
        word = self._target.arch.pointer_size
        at = data.find(self._pattern)
        while at >= 0:
            address = low + at - self.offset
            if not (low + at) % word and address >= low:
                call = next((c for c in calls if c.low <= address < c.top), None)
                if call is not None and self._alive(call, low + at):
                    yield from self._iteration(stack, call, address, False)
            at = data.find(self._pattern, at + 1)

    def read(self, stack: Stack, calls: Sequence[_RangeCall]) -> tuple[int, bytes]:
        low, high = max(calls[0].low, stack.goroutine.stack[0]), stack.goroutine.stack[1]
        try:
            data = self._target.memory.read(low, min(high - low, MAX_STACK)) if low < high else b""
        except GomapError:
            data = b""
        self._data[stack.goroutine.address] = (low, data)
        return low, data

    def _alive(self, call: _RangeCall, address: int) -> bool:
        """An iterator that its function is done with, or that an earlier call left there, is not."""
        return not self._only_alive or self._maps.alive(call.frame.pc, call.top, address) is not False

    # -- on the heap -----------------------------------------------------------------------------------

    def on_heap(self, stacks: Sequence[Stack]) -> Iterator[Iteration]:
        """Iterators that live pointers in frames lead to: reflect.MapIter's, and the runtime's own."""
        holding: dict[int, tuple[Stack, _RangeCall]] = {}
        for stack in stacks:
            for call, pointer in self.pointers(stack):
                if len(holding) >= MAX_POINTERS:
                    break
                holding.setdefault(pointer, (stack, call))
        inner = self.in_map_iter()
        for shift in (0, *inner):
            addresses = sorted(pointer + shift for pointer in holding)
            for address, data in gather(self._target.memory, addresses, self._type.size):
                if data is None or bytes(data[self.offset : self.offset + len(self._pattern)]) != self._pattern:
                    continue
                stack, call = holding[address - shift]
                yield from self._iteration(stack, call, address, True)

    def in_map_iter(self) -> list[int]:
        t = self._target.find_type("reflect.MapIter")
        inner = t.field("hiter") if t is not None else None
        return [inner.offset] if inner is not None else []

    def pointers(self, stack: Stack) -> Iterator[tuple[_RangeCall, int]]:
        low, data = self._data.get(stack.goroutine.address, (0, b""))
        arch, word = self._target.arch, self._target.arch.pointer_size
        bottom, top = stack.goroutine.stack
        for call in _calls(stack):
            if mapcalls.is_between(call.frame.function) and not call.frame.function.startswith("reflect."):
                continue
            for address in range(max(call.low, low), min(call.top, low + len(data) - word + 1), word):
                pointer = arch.pointer(data, address - low)
                if pointer % word or pointer < 4096 or bottom <= pointer < top or pointer >> 56:
                    continue
                if self._maps.alive(call.frame.pc, call.top, address) is not False:
                    yield call, pointer

    # -- one iterator ----------------------------------------------------------------------------------

    def _iteration(self, stack: Stack, call: _RangeCall, address: int, on_heap: bool) -> Iterator[Iteration]:
        if address in self._seen:
            return
        try:
            record = read_record(self._target, self._type, address)
            stands = self._stands(record)
        except GomapError:
            return
        # The runtime sets key to nil where the iteration ends.
        if stands is None or not record["key"] or not self._is_entry(record["key"], record["elem"]):
            return
        self._seen.add(address)
        done, total = stands
        level, frame = _told(stack, call)
        names = [f.name for f in self._type.fields if f.type.kind in (Kind.INT, Kind.UINT, Kind.BOOL)]
        position = {name: record.signed(name) for name in names}
        key, elem = record["key"], record["elem"]
        yield Iteration(stack.goroutine, frame, level, address, on_heap, key, elem, position, done, total)

    def _is_entry(self, key: int, elem: int) -> bool:
        """Whether key and elem can be those of one slot: as far from each other as a bucket's (group's) are."""
        slots = self._found.shape.slots
        if slots.indirect_key or slots.indirect_elem:
            return True
        apart = {slots.elems_off - slots.keys_off + i * (slots.elem_stride - slots.key_stride) for i in range(SLOTS)}
        return elem - key in apart

    def _stands(self, record: Record) -> tuple[int, int] | None:
        """(done, total) of the iterator; None for words that are none, though they begin as one does."""
        try:
            if self._types.at(record["t" if self._type.field("t") else "typ"]).kind is not Kind.MAP:
                return None
        except GomapError:
            return None
        return self._found.iteration(record)


@dataclass(frozen=True)
class _RangeCall:
    """One physical frame: the memory from low to top is its own. level, frame: its function, into which others may be
    inlined; whose variables are whose there, the stack does not say."""

    level: int
    frame: Frame
    low: int
    top: int


def _calls(stack: Stack) -> list[_RangeCall]:
    """Physical frames, the newest first: what was inlined into a frame has no stack of its own."""
    found: list[_RangeCall] = []
    frames, (bottom, high) = stack.frames, stack.goroutine.stack
    first = 0
    low = frames[0].sp if frames else 0
    for i in range(1, len(frames) + 1):
        if i < len(frames) and (frames[i].pc, frames[i].sp) == (frames[first].pc, frames[first].sp):
            continue
        top = frames[i].sp if i < len(frames) else high
        # The stack pointer of a thread on the system's stack is not this stack's.
        low = low if bottom <= low <= top else bottom
        found.append(_RangeCall(i - 1, frames[i - 1], low, top))
        first, low = i, top
    return found


def _told(stack: Stack, call: _RangeCall) -> tuple[int, Frame]:
    """The frame to name: the loop's function, or the program's own function that called reflect."""
    frames = stack.frames
    for level in range(call.level, len(frames)):
        if not mapcalls.is_between(frames[level].function):
            return level, frames[level]
    return call.level, call.frame
