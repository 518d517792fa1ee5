"""The functions that a goroutine has deferred: what only these have captured is alive, too.

A deferred function is noted in a runtime._defer (runtime/runtime2.go), or in the frame of the function that deferred
it, with a bit that says so (open-coded defers: initOpenCodedDefers of runtime/panic.go). Either way as a func value.
"""

from __future__ import annotations

from collections.abc import Iterator

from gomap.errors import GomapError, MemoryFault
from gomap.golang.runtime.pclntab import varint
from gomap.golang.runtime.stackmap import FUNCDATA_OPEN_DEFERS, StackMaps
from gomap.gotypes import GoType, Kind
from gomap.target import Goroutine, Place, Target, Variable, read_record

#: Deferred calls of one goroutine, and bits of a frame's (maxOpenDefers of cmd/compile/internal/walk).
MAX_DEFERS, MAX_BITS = 1 << 12, 8


class Defers:
    """Finds the func values of deferred functions of one stopped program."""

    def __init__(self, target: Target, maps: StackMaps) -> None:
        self._target, self._maps = target, maps
        self._record = target.find_type("runtime._defer")
        self._type = GoType(Kind.FUNC, "func()", target.arch.pointer_size)
        self._known: dict[int, tuple[int, list[int]] | None] = {}

    def noted(self, goroutine: Goroutine) -> Iterator[Variable]:
        """Those in records."""
        seen: set[int] = set()
        pending = [goroutine.deferred]
        t, word = self._record, self._target.arch.pointer_size
        fn = None if t is None else t.field("fn")
        if t is None or fn is None:
            return
        place = Place("captured", goroutine.id)
        while pending and len(seen) < MAX_DEFERS:
            address = pending.pop()
            if not address or address in seen:
                continue
            seen.add(address)
            try:
                record = read_record(self._target, t, address)
                if record.get("rangefunc") and record["head"]:  # of a loop over a function: a list of its own
                    pending.append(self._target.arch.pointer(self._target.memory.read(record["head"], word)))
                pending.append(record["link"])
                if self._target.arch.pointer(record.data, fn.offset):
                    yield self._variable(address + fn.offset, place)
            except GomapError:
                continue

    def open_coded(self, pc: int, top: int, place: Place) -> Iterator[Variable]:
        """The deferred functions in the frame of a function whose current pc is `pc`. top: its caller's stack
        pointer. place: the frame's."""
        if pc not in self._known:
            try:
                self._known[pc] = self._slots(pc)
            except (GomapError, IndexError):
                self._known[pc] = None
        known = self._known[pc]
        if known is None:
            return
        end, _ = self._maps.ends(top)
        bits_at, slots = known
        try:
            bits = self._target.memory.read(end - bits_at, 1)[0]
        except MemoryFault:
            return
        for i, slot in enumerate(slots):
            if bits >> i & 1:
                yield self._variable(end - slot, place)

    def _variable(self, address: int, place: Place) -> Variable:
        return Variable(f"({address:#x}:{self._type.name})", self._type, address, place=place)

    def _slots(self, pc: int) -> tuple[int, list[int]] | None:
        """(where the bits are, where the func values), in bytes below the end of the frame's locals."""
        start = self._maps.funcdata(pc, FUNCDATA_OPEN_DEFERS)
        if start is None:
            return None
        data = self._target.memory.read(start, 5 * (2 + MAX_BITS))
        bits, at = varint(data, 0)
        first, at = varint(data, at)
        if self._record is None or self._record.field("openDefer") is None:
            return bits, [first - i * self._target.arch.pointer_size for i in range(MAX_BITS)]
        slots = []
        for _ in range(min(first, MAX_BITS)):  # up to Go 1.21 each has a slot of its own, the last one first
            slot, at = varint(data, at)
            slots.append(slot)
        return bits, slots[::-1]
