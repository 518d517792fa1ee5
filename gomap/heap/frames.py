"""The pointers on goroutines' stacks: the words that the collector scans, and those that point to heap objects.

Stacks are unwound by the runtime's own table, with any debugger. In frames that wait for a call, stack maps say which
words are pointers, as in scanstack, scanframeworker and stackScanState of runtime/mgcmark.go. Other frames are scanned
conservatively, as the collector does after a signal: the newest frame of a running thread, functions that are not at a
call, assembly. There, every word that looks like a heap address counts.
"""

from __future__ import annotations

import bisect
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gomap.errors import GomapError, MemoryFault
from gomap.golang.runtime.goroutines import goroutines
from gomap.golang.runtime.liveness import waits
from gomap.golang.runtime.pclntab import MAX_TABLE, Functions
from gomap.golang.runtime.stackmap import FUNCDATA_OBJECTS, MAX_OBJECTS, StackMaps
from gomap.golang.runtime.stacks import OLDEST
from gomap.golang.runtime.unwind import Standing, Unwinder
from gomap.progress import Progress, silent
from gomap.target import Goroutine, Target, read_record

#: Bytes of a stack that are read; the largest that Go allows by default is as large.
MAX_STACK = 1 << 30
MAX_DEFERS = 1 << 16
#: How a pointer is known: by a stack map or the runtime's own records; or it may be any word that looks like one.
EXACT, CONSERVATIVE = "exact", "conservative"


@dataclass(frozen=True)
class Held:
    """A word of a stack that points elsewhere. address: where it lies, 0 in a register. level: which frame's it is,
    the newest 0; None for what the runtime has of the goroutine itself. function, pc: that frame's. sp: its stack
    pointer."""

    goroutine: Goroutine
    address: int
    value: int
    how: str
    level: int | None = None
    function: str | None = None
    pc: int = 0
    sp: int = 0
    top: int = 0


@dataclass(frozen=True)
class _StackObject:
    """A stack object. bits: a bit for each of its words that is a pointer."""

    offset: int
    size: int
    bits: bytes


class _StackCall(NamedTuple):
    """One frame of a stack. waits: for a call, so that its stack map has its pointers."""

    level: int
    function: str
    pc: int
    sp: int
    top: int
    waits: bool


class StackPointers:
    """Finds the pointers of the stacks of one stopped program. problems: what could not be looked at. stacks: lowest
    and highest address of each. running: how many goroutines a thread runs; registers: of how many of these they were
    read."""

    def __init__(self, target: Target, low: int, high: int) -> None:
        """low, high: where the heap is; other words are left out."""
        self._target, self._low, self._high = target, low, high
        self._maps, self._functions = StackMaps(target), Functions(target)
        self._unwinder = Unwinder(target, self._functions)
        self._word = target.arch.pointer_size
        self._objects_of: dict[int, tuple[_StackObject, ...]] = {}
        self.problems: list[str] = []
        self.stacks: list[tuple[int, int]] = []
        self.running = self.registers = self.goroutines = 0

    def every(self, progress: Progress = silent) -> Iterator[Held]:
        """What all goroutines hold. Raises GomapError where they can't be listed."""
        found, anomalies = goroutines(self._target)
        self.problems += [one.message for one in anomalies]
        for done, goroutine in enumerate(found):
            progress("stacks", done, len(found))
            self.goroutines += 1
            self.stacks.append(goroutine.stack)
            try:
                yield from self._of(goroutine)
            except MemoryFault as fault:
                self.problems.append(f"goroutine {goroutine.id}: its stack can't be read: {fault}")

    # -- one stack -------------------------------------------------------------------------------------

    def _of(self, goroutine: Goroutine) -> Iterator[Held]:
        low, high = goroutine.stack
        known = None
        if goroutine.thread is not None:
            self.running += 1
            known = self._target.registers(goroutine)
            self.registers += known is not None
        calls = self._unwinder.goroutine(goroutine, known)
        start = calls[0].sp if calls else low
        if not low <= start < high or high - start > MAX_STACK:
            self.problems.append(f"goroutine {goroutine.id}: its stack is corrupt")
            return
        start -= start % self._word
        stack = _Scan(self, goroutine, start, self._words(start, high))
        if known is not None:
            yield from stack.registers(known.values.values())
        newer: Standing | None = None
        for level, call in enumerate(calls):
            at_call = call.registers is None and (newer is None or waits(newer.function))
            if call.top is not None and call.top <= high:
                yield from stack.frame(_StackCall(level, call.function, call.pc, call.sp, call.top, at_call))
                start = call.top
            newer = call
        if newer is None or newer.function not in OLDEST:
            yield from stack.region(start, high, CONSERVATIVE, None)
        yield from self._own(goroutine, stack)
        yield from stack.objects()

    def _words(self, start: int, end: int) -> Sequence[int]:
        data = self._target.memory.read(start, (end - start) // self._word * self._word)
        if self._target.arch.byte_order != sys.byteorder:
            data = b"".join(data[i : i + self._word][::-1] for i in range(0, len(data), self._word))
        return memoryview(data).cast("Q" if self._word == 8 else "I")

    def _own(self, goroutine: Goroutine, stack: _Scan) -> Iterator[Held]:
        """What scanstack takes from the goroutine itself: its context register, deferred calls, panics."""
        target, word = self._target, self._word
        t, defers = target.find_type("runtime.g"), target.find_type("runtime._defer")
        if t is None:
            return
        g = read_record(target, t, goroutine.address)
        sched = t.field("sched")
        context = sched.type.field("ctxt") if sched is not None else None
        if sched is not None and context is not None:
            offset = sched.offset + context.offset
            yield from stack.value(goroutine.address + offset, target.arch.pointer(g.data, offset))
        yield from stack.value(goroutine.address, g.get("_panic"))
        address, seen = g.get("_defer"), 0
        while address and defers is not None and seen < MAX_DEFERS:
            record = read_record(target, defers, address)
            for name in ("fn", "link"):
                field = defers.field(name)
                if field is not None:
                    value = target.arch.pointer(record.data[field.offset : field.offset + word])
                    yield from stack.value(address + field.offset, value)
            yield from stack.value(0, address)
            address, seen = record.get("link"), seen + 1

    # -- what holds for a function ---------------------------------------------------------------------

    def objects_of(self, call: _StackCall) -> tuple[_StackObject, ...]:
        """The stack objects of the call's function."""
        known = self._objects_of.get(call.pc)
        if known is None:
            try:
                known = tuple(self._read_objects(call.pc))
            except GomapError:
                known = ()
            self._objects_of[call.pc] = known
        return known

    def _read_objects(self, pc: int) -> Iterator[_StackObject]:
        target, arch, read = self._target, self._target.arch, self._target.memory.read
        start = self._maps.funcdata(pc, FUNCDATA_OBJECTS)
        if start is None:
            return
        t = target.find_type("runtime.stackObjectRecord")
        count = arch.pointer(read(start, self._word))
        size, rodata = 16 if t is None else t.size, self._functions.module["rodata"]
        if count > MAX_OBJECTS:
            raise GomapError(f"a frame with {count:,} stack objects")
        data = read(start + self._word, count * size)
        for at in range(0, len(data), size):
            offset, length, pointers, bits_at = (arch.uint(data, at + i, 4) for i in (0, 4, 8, 12))
            offset -= (offset >> 31) << 32
            words = (length + self._word - 1) // self._word
            if pointers >> 31:  # up to Go 1.23: a program in place of the mask
                yield _StackObject(offset, length, b"\xff" * ((words + 7) // 8))
                continue
            count_ = min(pointers // self._word, words)
            if count_ > MAX_TABLE:
                raise GomapError(f"a stack object of {length:,} bytes")
            yield _StackObject(offset, length, read(rodata + bits_at, (count_ + 7) // 8))

    def live(self, call: _StackCall) -> list[int] | None:
        """Addresses of the frame's words that are pointers and alive, by the stack map of its pc; None where there is
        none."""
        return self._maps.live(call.pc, call.top)

    def ends(self, call: _StackCall) -> tuple[int, int]:
        """Addresses of the end of the frame's locals and of its first argument."""
        return self._maps.ends(call.top)

    def arguments(self, call: _StackCall) -> int:
        """Bytes of the function's arguments in memory."""
        try:
            size = self._functions.at(call.pc - 1 if call.level else call.pc).get("args")
        except GomapError:
            return 0
        return size if size < 1 << 16 else 0


class _Scan:
    """One goroutine's stack, from the stack pointer on."""

    def __init__(self, found: StackPointers, goroutine: Goroutine, start: int, words: Sequence[int]) -> None:
        self._found, self._goroutine, self._start, self._words = found, goroutine, start, words
        self._word = found._word
        self._low, self._high = goroutine.stack
        #: Addresses in this stack, and in whose frame, that were found; and its objects as (start, object, call).
        self._pending: list[int] = []
        self._objects: list[tuple[int, _StackObject, _StackCall]] = []

    def _held(self, address: int, value: int, how: str, call: _StackCall | None) -> Iterator[Held]:
        if self._low <= value < self._high:
            self._pending.append(value)
        elif self._found._low <= value < self._found._high:
            if call is None:
                yield Held(self._goroutine, address, value, how)
            else:
                yield Held(self._goroutine, address, value, how, *call[:5])

    def value(self, address: int, value: int) -> Iterator[Held]:
        return self._held(address, value, EXACT, None)

    def registers(self, values: Iterable[int]) -> Iterator[Held]:
        for value in values:
            yield from self._held(0, value, CONSERVATIVE, None)

    def region(self, start: int, end: int, how: str, call: _StackCall | None) -> Iterator[Held]:
        start += -start % self._word
        first = (start - self._start) // self._word
        for i in range(max(first, 0), min((end - self._start) // self._word, len(self._words))):
            value = self._words[i]
            if value:
                yield from self._held(self._start + i * self._word, value, how, call)

    def frame(self, call: _StackCall) -> Iterator[Held]:
        found = self._found
        live = found.live(call) if call.waits else None
        if live is None:
            yield from self.region(call.sp, call.top, CONSERVATIVE, call)
            _, arguments = found.ends(call)
            yield from self.region(arguments, arguments + found.arguments(call), CONSERVATIVE, call)
            return
        for address in live:
            i = (address - self._start) // self._word
            if 0 <= i < len(self._words) and self._words[i]:
                yield from self._held(address, self._words[i], EXACT, call)
        end, arguments = found.ends(call)
        for one in found.objects_of(call):
            start = one.offset + (end if one.offset < 0 else arguments)
            if start >= call.sp:
                self._objects.append((start, one, call))

    def objects(self) -> Iterator[Held]:
        """What the stack objects hold that something alive points to."""
        self._objects.sort(key=lambda one: one[0])
        starts = [start for start, _, _ in self._objects]
        seen: set[int] = set()
        while self._pending:
            pointer = self._pending.pop()
            i = bisect.bisect_right(starts, pointer) - 1
            if i < 0 or i in seen or pointer >= starts[i] + max(self._objects[i][1].size, 1):
                continue
            seen.add(i)
            start, one, call = self._objects[i]
            for word in range(8 * len(one.bits)):
                at = start + word * self._word
                index = (at - self._start) // self._word
                if one.bits[word // 8] >> word % 8 & 1 and at < start + one.size and index < len(self._words):
                    yield from self._held(at, self._words[index], EXACT, call)
