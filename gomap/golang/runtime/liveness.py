"""Which variables of a stack are alive: those that their functions, or functions that these called, still use.

A debugger knows where a variable is, but not whether it is set yet or still used: before its declaration is reached,
and in optimized code after its last use, its memory has old contents. Functions that wait for a call have stack maps,
which the garbage collector uses (scanstack of runtime/mgcmark.go). Stack maps do not cover registers or other pcs.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from gomap.errors import GomapError, MemoryFault
from gomap.golang.runtime.defers import Defers
from gomap.golang.runtime.goroutines import by_id, goroutines
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.stackmap import StackMaps
from gomap.gotypes import POINTER_KINDS, GoType, Kind, leaves
from gomap.target import Frame, Goroutine, Local, Place, Target, Variable, read_record

#: Functions that appear as callees of functions that did not call them: a signal, or a call injected by the runtime.
_INTERRUPTS = (
    *("runtime.asyncPreempt", "runtime.sigpanic", "runtime.sigtramp", "runtime.sigreturn", "runtime.cgoSigtramp"),
    *("runtime.debugCall", "<signal"),
)
#: Calls without a stack map of their own (hasStackMap of cmd/compile/internal/liveness/plive.go, and those that the
#: compiler does not take for calls).
_WITHOUT_MAP = ("runtime.gcWriteBarrier", "runtime.wb", "runtime.duff", "runtime.memequal", "runtime.racefunc")
#: Calls that do not return: nothing is needed behind them, and what led there is what a user wants to see.
_NO_RETURN = (
    *("runtime.gopanic", "runtime.goPanic", "runtime.panic", "runtime.throw", "runtime.fatal", "runtime.maps_fatal"),
    "internal/runtime/maps.fatal",
)
_NOT_CALLED = (*_INTERRUPTS, *_WITHOUT_MAP, *_NO_RETURN)
#: What marks types that do not lie in the heap: pointers to them are none to the collector.
_NOT_IN_HEAP = frozenset({"runtime/internal/sys.NotInHeap", "internal/runtime/sys.NotInHeap"})
#: Pointers of a value that are looked at, of a stack that is searched the bytes, and deferred calls.
MAX_POINTERS, MAX_STACK, MAX_DEFERS = 64, 1 << 22, 1 << 12


def not_reached(name: str, line: int) -> str:
    """The doubt (Variable.doubt) about a variable that is declared at a later line."""
    return f"{name} is declared at line {line}, which the program has not reached yet"


def at_declaration(name: str, line: int) -> str:
    """The doubt (Variable.doubt) about a variable that is declared at the current line."""
    return f"{name} is declared at line {line}, the current line: it may not be set yet"


def dead(name: str) -> str:
    """The doubt (Variable.doubt) about a variable that the function does not use again."""
    return f"{name} is dead at this pc: its value is not used again, and may be stale or not set yet"


def judged(target: Target, variable: Variable) -> Variable:
    """A variable that was looked up by name, with a doubt if it may not be set."""
    known = Liveness(target).is_alive(variable)
    doubt = variable.doubt
    if doubt is None or variable.address is not None or variable.data is not None:
        doubt = None if known else dead(variable.name) if known is False else doubt
    note = "; ".join(part for part in (variable.note, doubt) if part)
    return replace(variable, note=note or None, doubt=note if doubt is not None else None)


@lru_cache(maxsize=1 << 12)
def waits(newer: str | None) -> bool:
    """Whether a function waits for the call of the next newer frame, so that its stack map says what it still uses.
    newer: the name of the newer frame's function."""
    return bool(newer) and newer != "?" and not str(newer).startswith(_NOT_CALLED)


def calls_of(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Each call with those that were inlined into it, which come first."""
    calls: list[list[Frame]] = []
    for frame in frames:
        if calls and (calls[-1][0].pc, calls[-1][0].sp) == (frame.pc, frame.sp):
            calls[-1].append(frame)
        else:
            calls.append([frame])
    return calls


class Liveness:
    """Decides which variables of one stopped program are alive."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._maps = StackMaps(target)
        self._functions = Functions(target)
        self._pointers: dict[int, tuple[GoType, list[int]]] = {}
        self._defers = Defers(target, self._maps)

    # -- of stacks -----------------------------------------------------------------------------------

    def living(self, goroutine: Goroutine, frames: Sequence[Frame]) -> list[Frame]:
        """The frames, with the variables marked that are dead at their pc in whatever goroutine, or alive while
        something points to them. What has no place there is left out."""
        found: list[Frame] = []
        for call, top, waiting in self._calls(goroutine, frames):
            if not waiting or not any(frame.locals for frame in call):
                found += call
                continue
            for frame in call:
                known = (self._judged(local, frame, top, goroutine) for local in frame.locals)
                found.append(replace(frame, locals=tuple(local for local in known if local is not None)))
        return found

    def settled(self, goroutine: Goroutine, frames: Sequence[Frame]) -> list[Frame]:
        """The frames that living() gave. The marked variables that are dead on this stack, too, have a doubt."""
        if not any(local.pointed_to or local.dead for frame in frames for local in frame.locals):
            return list(frames)
        reached = self._reached(goroutine, frames)

        def judged(local: Local) -> Local:
            variable = local.variable
            if local.dead:
                alive = reached is not None and self._points_to(variable, goroutine, reached)
            else:
                alive = not local.pointed_to or reached is None or _is_in(variable.address or 0, reached)
            return local if alive else replace(local, variable=replace(variable, doubt=dead(variable.name)))

        return [replace(frame, locals=tuple(map(judged, frame.locals))) for frame in frames]

    def _points_to(self, variable: Variable, goroutine: Goroutine, reached: Sequence[tuple[int, int]]) -> bool:
        """Whether it is a pointer to a variable of this stack that is alive: a map's header, say."""
        (low, high), word = goroutine.stack, self._target.arch.pointer_size
        if variable.type.size != word:
            return False
        try:
            pointer = self._target.arch.pointer(variable.read(self._target.memory, 0, word))
        except GomapError:
            return False
        return low <= pointer < high and _is_in(pointer, reached)

    def deferred(self, goroutine: Goroutine, frames: Sequence[Frame]) -> Iterator[Variable]:
        """The functions that the goroutine has deferred, as variables without a name."""
        if goroutine.deferred:
            yield from self._defers.noted(goroutine)
        level = 0
        for call, top, waiting in self._calls(goroutine, frames):
            level += len(call)
            if waiting and top is not None and top > call[0].sp:
                frame = call[-1]
                place = Place("captured", goroutine.id, level - 1, frame.function, frame.file, frame.line)
                yield from self._defers.open_coded(frame.pc, top, place)

    def objects(self, goroutine: Goroutine, frames: Sequence[Frame], size: int) -> list[int]:
        """Addresses of the variables of so many bytes, whose addresses were taken, that may be alive: of functions that
        wait those that the collector would scan, of others all."""
        found = []
        reached: Sequence[tuple[int, int]] | None = None
        for call, top, waiting in self._calls(goroutine, frames):
            pc = call[0].pc
            mine = [] if top is None else [at for at, length in self._maps.objects(pc, top) if length == size]
            if not mine or top is None:
                continue
            live = set(self._maps.live(pc, top) or ()) if waiting else None
            for at in mine:
                if live is not None and live.isdisjoint(range(at, at + size)):
                    if reached is None:
                        reached = self._reached(goroutine, frames)
                        if reached is None:
                            reached = [(0, 1 << 64)]
                    if not _is_in(at, reached):
                        continue
                found.append(at)
        return found

    def pointers(self, goroutine: Goroutine, frames: Sequence[Frame]) -> Iterator[tuple[int, int, int, int]]:
        """The words of the stack that hold live pointers of functions that wait, with what they hold, and the first and
        the last level of their call: (address, pointer, level, level)."""
        (low, high), arch, level = goroutine.stack, self._target.arch, 0
        start, word = frames[0].sp if frames else 0, arch.pointer_size
        if not low <= start < high or high - start > MAX_STACK:
            return
        try:
            data = self._target.memory.read(start, high - start)
        except MemoryFault:
            return
        for call, top, waiting in self._calls(goroutine, frames):
            first, level = level, level + len(call)
            live = self._maps.live(call[0].pc, top) if waiting and top is not None else None
            for at in live or ():
                if start <= at <= high - word:
                    yield at, arch.pointer(data, at - start), first, level - 1

    def _calls(self, goroutine: Goroutine, frames: Sequence[Frame]) -> Iterator[tuple[list[Frame], int | None, bool]]:
        """(the frames of a call, its caller's stack pointer, whether it waits for another call or to be run)."""
        calls = calls_of(frames)
        newer: list[Frame] | None = None
        for call, older in zip(calls, [*calls[1:], None]):
            if newer is None:
                waiting = goroutine.thread is None and call[0].pc == goroutine.pc
            else:
                waiting = waits(newer[-1].function)
            yield call, self._top(call[0], older), waiting
            newer = call

    def _top(self, frame: Frame, older: Sequence[Frame] | None) -> int | None:
        if older and older[0].sp:
            return older[0].sp
        size = self._functions.frame_size(frame.pc) if frame.sp else None
        return None if size is None else frame.sp + size

    def _judged(self, local: Local, frame: Frame, top: int | None, goroutine: Goroutine) -> Local | None:
        variable = local.variable
        if top is None:
            return local
        if variable.data is None:
            low, high = goroutine.stack
            at = variable.address if local.slot is None else local.slot
            if at is None or not low <= at < high:
                return local
            if at < frame.sp:  # the function has not made its frame yet
                return None
        known = self.of(variable, local.slot, frame.pc, top)
        if known is None:
            return replace(local, dead=True)
        return Local(known, local.slot, self._is_object(variable, local.slot, frame.pc, top))

    # -- of variables --------------------------------------------------------------------------------

    def of(self, variable: Variable, slot: int | None, pc: int, top: int) -> Variable | None:
        """The variable, with its dead parts as holes; None if it is dead. slot: address of the word that points to
        it. A variable that is alive as long as something points to it counts as alive. Variables outside of their
        function's frame are not checked."""
        if variable.data is not None:
            return self._parts(variable, pc, top)
        words = [slot] if slot is not None else self._words(variable)
        if not words:
            return variable
        if not self._may_be_alive(words, pc, top) and not self._is_object(variable, slot, pc, top):
            return None
        return variable

    def is_alive(self, variable: Variable) -> bool | None:
        """Whether a variable whose call is known is alive; None where that is not known."""
        call = variable.call
        if call is None:
            return None
        if self.of(variable, call.slot, call.pc, call.top) is None:
            return False
        if self._is_object(variable, call.slot, call.pc, call.top):
            return self._is_reached(variable)
        words = [call.slot] if call.slot is not None else self._words(variable)
        return True if words and all(self._maps.alive(call.pc, call.top, word) for word in words) else None

    def _is_reached(self, variable: Variable) -> bool | None:
        """The same of one that is alive only while something on its stack points to it."""
        whose = variable.place.goroutine
        found = None if whose is None else by_id(goroutines(self._target)[0], whose)
        if found is None:
            return None
        try:
            frames = self._target.unwind(found, lambda function, name, t: False)
        except GomapError:
            return None
        reached = self._reached(found, frames) if frames else None
        return None if reached is None else _is_in(variable.address or 0, reached)

    def _may_be_alive(self, words: Sequence[int], pc: int, top: int) -> bool:
        return any(self._maps.alive(pc, top, word) is not False for word in words)

    def _words(self, variable: Variable) -> list[int]:
        return [variable.address + offset for offset in self._offsets(variable.type)] if variable.address else []

    def _parts(self, variable: Variable, pc: int, top: int) -> Variable | None:
        """Of a value that was put together the parts that are alive."""
        offsets, word = self._offsets(variable.type), self._target.arch.pointer_size
        holes = list(variable.holes)
        for offset in offsets:
            for start, size, address in variable.parts:
                if start <= offset < start + size and self._maps.alive(pc, top, address + offset - start) is False:
                    holes.append((offset, word))
        if not offsets or len(holes) == len(variable.holes):
            return variable
        missing = [any(start <= offset < start + size for start, size in holes) for offset in offsets]
        return None if all(missing) else replace(variable, holes=tuple(holes))

    def _is_object(self, variable: Variable, slot: int | None, pc: int, top: int) -> bool:
        """Whether the variable is not needed by its own function, and alive if something points to it."""
        at = variable.address
        if slot is not None or at is None:
            return False
        if not any(start <= at < start + size for start, size in self._maps.objects(pc, top)):
            return False
        return not self._may_be_alive(self._words(variable), pc, top)

    def _offsets(self, t: GoType) -> list[int]:
        """Where the collector finds pointers in a value of type t: the first few."""
        known = self._pointers.get(id(t))
        if known is None:
            known = self._pointers[id(t)] = t, list(pointers_of(t, 0, self._target.arch.pointer_size))[:MAX_POINTERS]
        return known[1]

    # -- what points to variables --------------------------------------------------------------------

    def _reached(self, goroutine: Goroutine, frames: Sequence[Frame]) -> list[tuple[int, int]] | None:
        """The variables (start, end) of the stack that something alive points to, as stackScanState of
        runtime/mgcstack.go finds them. None where that is not known: a thread has pointers in registers."""
        (low, high), arch, memory = goroutine.stack, self._target.arch, self._target.memory
        start, word = frames[0].sp, arch.pointer_size
        if goroutine.thread is not None or not low <= start < high or high - start > MAX_STACK or start % word:
            return None
        pointing: list[int] = []
        objects: list[tuple[int, int]] = []
        try:
            data = memory.read(start, high - start)
            order, size = "<" if arch.byte_order == "little" else ">", "I" if word == 4 else "Q"
            words = struct.unpack(f"{order}{len(data) // word}{size}", data)

            def at(first: int, end: int) -> Sequence[int]:
                return words[max(first - start, 0) // word : max(end - start, 0) // word]

            below = start
            for call, top, waiting in self._calls(goroutine, frames):
                sp, end = call[0].sp, high if top is None else top
                if sp != below or not sp < end <= high:
                    return None
                live = self._maps.live(call[0].pc, end) if waiting and top is not None else None
                if live is None:
                    pointing += at(sp, end)
                else:
                    pointing += [pointer for one in live for pointer in at(one, one + word)]
                    objects += self._maps.objects(call[0].pc, end)
                below = end
            pointing += at(below, high)
            pointing += self._elsewhere(goroutine)
        except MemoryFault:
            return None
        objects = sorted((first, first + size) for first, size in objects)
        starts = [first for first, _ in objects]
        reached: set[int] = set()
        while pointing:
            pointer = pointing.pop()
            if not start <= pointer < high:
                continue
            one = bisect.bisect_right(starts, pointer) - 1
            if one >= 0 and pointer < objects[one][1] and one not in reached:
                reached.add(one)
                pointing += at(*objects[one])
        return [objects[one] for one in reached]

    def _elsewhere(self, goroutine: Goroutine) -> Iterator[int]:
        """What the runtime knows of the goroutine: runtime.g, and its deferred calls. Raises MemoryFault."""
        target, word, address = self._target, self._target.arch.pointer_size, goroutine.address
        for name, leads_on, most in (("runtime.g", "_defer", 1), ("runtime._defer", "link", MAX_DEFERS)):
            t = target.find_type(name)
            if t is None:
                return
            while address and most:
                record = read_record(target, t, address)
                yield from (target.arch.pointer(record.data, i) for i in range(0, t.size - word + 1, word))
                address, most = record.get(leads_on), most - 1


def _is_in(address: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(start <= address < end for start, end in ranges)


def pointers_of(t: GoType, base: int, word: int) -> Iterator[int]:
    """Offsets of the pointers of a value (typebits.Set of cmd/compile/internal/liveness): an interface's first word is
    none, and neither is what points out of the heap."""
    for at, one in leaves(t, base, MAX_POINTERS):
        if one.kind is Kind.INTERFACE:
            yield at + word
        elif one.kind is Kind.POINTER:
            if one.lazy_elem is None or not _not_in_heap(one.elem):
                yield at
        elif one.kind in POINTER_KINDS or one.kind in (Kind.STRING, Kind.SLICE):
            yield at


def _not_in_heap(t: GoType) -> bool:
    if t.kind is Kind.ARRAY:
        return t.length > 0 and _not_in_heap(t.elem)
    return t.kind is Kind.STRUCT and (t.name in _NOT_IN_HEAP or any(_not_in_heap(field.type) for field in t.fields))
