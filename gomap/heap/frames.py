"""Where goroutines' stacks have pointers: what the collector scans of them, and what points to objects of the heap.

Goroutines that wait are unwound by the runtime's own table, whatever debugger there is, and the words of their frames
are told by their stack maps, as scanstack, scanframeworker and stackScanState of runtime/mgcmark.go have it. Other
frames are scanned as a whole, as the collector does where a signal came: what a thread runs, functions that are not at
a call, assembly. Whatever looks like an address of the heap counts there.
"""

from __future__ import annotations

import bisect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gomap.errors import GomapError, MemoryFault
from gomap.golang.runtime.goroutines import goroutines, threads
from gomap.golang.runtime.liveness import waits
from gomap.golang.runtime.pclntab import MAX_TABLE, PUSHES, Functions
from gomap.golang.runtime.stackmap import FUNCDATA_OBJECTS, MAX_OBJECTS, StackMaps
from gomap.golang.runtime.stacks import OLDEST
from gomap.progress import Progress, silent
from gomap.target import MAX_FRAMES, Goroutine, Target, read_record

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
class _Object:
    """A stack object. bits: a bit for each of its words that is a pointer."""

    offset: int
    size: int
    bits: bytes


@dataclass(frozen=True)
class _StackCall:
    """One frame of a stack."""

    level: int
    pc: int
    sp: int
    top: int
    exact: bool


class StackPointers:
    """Finds the pointers of the stacks of one stopped program. problems: what could not be looked at. stacks: lowest
    and highest address of each. running: how many goroutines a thread runs; registers: of how many of these they were
    read."""

    def __init__(self, target: Target, low: int, high: int) -> None:
        """low, high: where the heap is; other words are left out."""
        self._target, self._low, self._high = target, low, high
        self._maps, self._functions = StackMaps(target), Functions(target)
        self._word = target.arch.pointer_size
        self._objects_of: dict[int, tuple[_Object, ...]] = {}
        self._names: dict[int, str] = {}
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
        registers, stands = self._stands(goroutine)
        calls, rest = self._calls(goroutine, stands) if stands else ([], low)
        start = calls[0].sp if calls else max(rest, low)
        if not low <= start < high or high - start > MAX_STACK:
            self.problems.append(f"goroutine {goroutine.id}: its stack is corrupt")
            return
        start -= start % self._word
        words = self._words(start, high)
        stack = _Scan(self, goroutine, start, words)
        yield from stack.registers(registers)
        for call in calls:
            yield from stack.frame(call)
        if rest < high:
            yield from stack.region(rest, high, CONSERVATIVE, None)
        yield from self._own(goroutine, stack)
        yield from stack.objects()

    def _words(self, start: int, end: int) -> Sequence[int]:
        data = self._target.memory.read(start, (end - start) // self._word * self._word)
        if self._target.arch.byte_order != sys.byteorder:
            data = b"".join(data[i : i + self._word][::-1] for i in range(0, len(data), self._word))
        return memoryview(data).cast("Q" if self._word == 8 else "I")

    def _stands(self, goroutine: Goroutine) -> tuple[Sequence[int], list[tuple[int, int]]]:
        """(values of registers, the first frames as (pc, sp)) of the goroutine: more than one where the debugger
        unwinds it, which is where a thread runs it. None where that is not known."""
        low, high = goroutine.stack
        if goroutine.thread is None:
            return (), [(goroutine.pc, goroutine.sp)]
        self.running += 1
        t = self._target.find_type("runtime.g")
        record = read_record(self._target, t, goroutine.address) if t is not None else None
        if record is not None and record.get("syscallsp"):
            return (), [(record["syscallpc"], record["syscallsp"])]  # from Go 1.26 on it still counts as running
        registers: Sequence[int] = ()
        known = self._target.registers(goroutine)
        if known is not None:
            self.registers += 1
            registers = tuple(known.values.values())
            if low <= known.sp < high:
                return registers, [(known.pc, known.sp)]
            if self._is_systems(goroutine, known.sp):
                return registers, [(goroutine.pc, goroutine.sp)]
        try:
            frames = self._target.unwind(goroutine, lambda function, name, t: False)
        except GomapError:
            return registers, []
        on_stack = [(frame.pc, frame.sp) for frame in frames if low <= frame.sp < high]
        if known is None and frames and not frames[0].sp:
            return registers, []  # the newest frame lies below the next one's
        return registers, list(dict.fromkeys(on_stack))

    def _is_systems(self, goroutine: Goroutine, sp: int) -> bool:
        """Whether the stack pointer of its thread is on that thread's system stack, where the runtime has noted in the
        goroutine where it left its own (systemstack, mcall). It has not where a signal came."""
        t = self._target.find_type("runtime.g")
        stack = t.field("stack") if t is not None else None
        if t is None or stack is None:
            return False
        for m in threads(self._target).values():
            if m["procid"] == goroutine.thread and m["g0"]:
                g = read_record(self._target, t, m["g0"])
                low, high = (self._target.arch.pointer(g.data, stack.offset + i) for i in (0, self._word))
                return low <= sp < high
        return False

    def _calls(self, goroutine: Goroutine, stands: list[tuple[int, int]]) -> tuple[list[_StackCall], int]:
        """(the calls of the stack as far as the runtime's table leads, where the rest of it begins)."""
        low, high = goroutine.stack
        found: list[_StackCall] = []
        pc, sp = stands[0]
        newer: str | None = None
        doubtful = goroutine.thread is not None and len(stands) > 0 and (pc, sp) != (goroutine.pc, goroutine.sp)
        while len(found) < MAX_FRAMES and low <= sp < high:
            size = self._functions.frame_size(pc)
            name = self._name(pc if newer is None else pc - 1)
            if size is None or not sp <= sp + size <= high:
                following = next((one for one in stands if one[1] > sp), None)
                if following is None:
                    return found, sp
                found.append(_StackCall(len(found), pc, sp, following[1], False))
                (pc, sp), newer, doubtful = following, name, False
                continue
            exact = waits(newer) if newer is not None else not doubtful
            found.append(_StackCall(len(found), pc, sp, sp + size, exact))
            if name in OLDEST or sp + size >= high:
                return found, high
            at = sp + size - self._word if self._target.arch.name in PUSHES else sp
            pc = self._target.arch.pointer(self._target.memory.read(at, self._word))
            sp, newer = sp + size, name
            if not pc:
                return found, high
        return found, sp

    def _name(self, pc: int) -> str:
        if pc not in self._names:
            try:
                self._names[pc] = self._functions.name(pc)
            except GomapError:
                self._names[pc] = "?"
        return self._names[pc]

    def name_of(self, call: _StackCall) -> str:
        return self._name(call.pc - 1 if call.level else call.pc)

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

    def objects_of(self, call: _StackCall) -> tuple[_Object, ...]:
        """The stack objects of the call's function."""
        known = self._objects_of.get(call.pc)
        if known is None:
            try:
                known = tuple(self._read_objects(call.pc))
            except GomapError:
                known = ()
            self._objects_of[call.pc] = known
        return known

    def _read_objects(self, pc: int) -> Iterator[_Object]:
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
                yield _Object(offset, length, b"\xff" * ((words + 7) // 8))
                continue
            count_ = min(pointers // self._word, words)
            if count_ > MAX_TABLE:
                raise GomapError(f"a stack object of {length:,} bytes")
            yield _Object(offset, length, read(rodata + bits_at, (count_ + 7) // 8))

    def live(self, call: _StackCall) -> list[int] | None:
        return self._maps.live(call.pc, call.top)

    def ends(self, call: _StackCall) -> tuple[int, int]:
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
        self._objects: list[tuple[int, _Object, _StackCall]] = []

    def _held(self, address: int, value: int, how: str, call: _StackCall | None) -> Iterator[Held]:
        if self._low <= value < self._high:
            self._pending.append(value)
        elif self._found._low <= value < self._found._high:
            if call is None:
                yield Held(self._goroutine, address, value, how)
            else:
                name = self._found.name_of(call)
                yield Held(self._goroutine, address, value, how, call.level, name, call.pc, call.sp, call.top)

    def value(self, address: int, value: int) -> Iterator[Held]:
        return self._held(address, value, EXACT, None)

    def registers(self, values: Sequence[int]) -> Iterator[Held]:
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
        live = found.live(call) if call.exact else None
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
