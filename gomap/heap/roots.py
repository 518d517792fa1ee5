"""What the collector starts from: the program's data, goroutines' stacks, and what the runtime keeps for finalizers and
cleanups.

Follows markroot, markrootBlock, markrootSpans of runtime/mgcmark.go. An object with a finalizer is not kept by that,
but what it leads to is: the finalizer gets the object. A cleanup keeps its function and what that has captured. A weak
pointer keeps the handle that it goes through, not what it points to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gomap.errors import GomapError, MemoryFault
from gomap.golang.runtime.liveness import pointers_of
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType
from gomap.heap.frames import CONSERVATIVE, Held, StackPointers
from gomap.heap.graph import HeapGraph
from gomap.progress import Progress, silent
from gomap.target import Target, read_record

#: Kinds of roots.
DATA, STACK, FINALIZER, CLEANUP, RUNTIME = "data", "stack", "finalizer", "cleanup", "runtime"
#: Why a queue of the runtime's is not read, which a stripped program has no name for.
UNNAMED = "the program has no symbol that leads there"
#: Bytes of one module's variables, blocks of one queue, specials of one span.
MAX_DATA, MAX_BLOCKS, MAX_SPECIALS = 1 << 32, 1 << 16, 1 << 20


@dataclass(frozen=True)
class Special:
    """A record that hangs on an object (runtime.special). kind: `finalizer`, `cleanup` or `weak`. object: its number.
    points: (address, value) of what the record itself points to."""

    kind: str
    object: int
    address: int
    points: tuple[tuple[int, int], ...]


@dataclass
class HeapRoots:
    """Where pointers into the heap lie that the collector starts from, by columns: kinds (an index into KINDS), slots
    (the address of the pointer; 0 in a register), objects (the number of what it points to).

    held: of the roots on stacks more is known: from the number of the root to that. specials: those on objects.
    problems: what was not looked at. goroutines: how many have stacks, running: how many of these a thread runs,
    registers: of how many of these the registers were read. conservative: how many words of stacks are taken for
    pointers because they look like them. stacks: lowest and highest address of each.
    """

    kinds: Any
    slots: Any
    objects: Any
    held: dict[int, Held] = field(default_factory=dict)
    specials: list[Special] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    goroutines: int = 0
    running: int = 0
    registers: int = 0
    conservative: int = 0
    stacks: list[tuple[int, int]] = field(default_factory=list)


KINDS = (DATA, STACK, FINALIZER, CLEANUP, RUNTIME)


def roots(target: Target, graph: HeapGraph, progress: Progress = silent) -> HeapRoots:
    """All roots. What can't be read is in `problems`."""
    return _Finder(target, graph, progress).find()


class _Finder:
    def __init__(self, target: Target, graph: HeapGraph, progress: Progress) -> None:
        self.target, self.graph, self.progress = target, graph, progress
        self.objects, self.np = graph.objects, graph.objects.np
        self.word = target.arch.pointer_size
        self.kinds: list[Any] = []
        self.slots: list[Any] = []
        self.found: list[Any] = []
        self.count = 0
        self.problems: list[str] = []

    def find(self) -> HeapRoots:
        np = self.np
        result = HeapRoots(None, None, None, problems=self.problems)
        self._try("the program's variables", self._data)
        self._try("goroutines' stacks", lambda: self._stacks(result))
        self._try("finalizers and cleanups", lambda: self._specials(result))
        self._try("queued finalizers", self._finalizers)
        self._try("queued cleanups", self._cleanups)
        result.kinds = np.concatenate([*self.kinds, np.zeros(0, np.int8)])
        result.slots = np.concatenate([*self.slots, np.zeros(0, np.uint64)])
        result.objects = np.concatenate([*self.found, np.zeros(0, np.int32)])
        return result

    def _try(self, what: str, work: Any) -> None:
        try:
            work()
        except GomapError as error:
            self.problems.append(f"{what}: {error}")

    def _add(self, kind: str, slots: Any, values: Any) -> Any:
        """Notes those of the values that point into objects; which."""
        np = self.np
        slots, values = np.asarray(slots, np.uint64), np.asarray(values, np.uint64)
        objects = self.objects.objects_at(values)
        which = np.flatnonzero(objects >= 0)
        self.kinds.append(np.full(len(which), KINDS.index(kind), np.int8))
        self.slots.append(slots[which])
        self.found.append(objects[which])
        self.count += len(which)
        return which

    # -- data ------------------------------------------------------------------------------------------

    def _data(self) -> None:
        for module in DescribedTypes(self.target).modules():
            for start, end, mask in (("data", "edata", "gcdatamask"), ("bss", "ebss", "gcbssmask")):
                self._segment(module[start], module[end], module.address, module.type, mask)

    def _segment(self, start: int, end: int, module: int, t: GoType, name: str) -> None:
        """The variables of a segment: markrootBlock."""
        np, arch, memory = self.np, self.target.arch, self.target.memory
        mask = t.field(name)
        count, data = (mask.type.field("n"), mask.type.field("bytedata")) if mask is not None else (None, None)
        if mask is None or count is None or data is None:
            raise GomapError(f"runtime.moduledata has no {name}")
        if not 0 <= end - start <= MAX_DATA:
            raise GomapError("runtime.moduledata is corrupt")
        head = memory.read(module + mask.offset, mask.type.size)
        words = min(arch.uint(head, count.offset, count.type.size), (end - start) // self.word)
        if not words:
            return
        bits = memory.read(arch.pointer(head, data.offset), (words + 7) // 8)
        order = "<" if arch.byte_order == "little" else ">"
        values = np.frombuffer(memory.read(start, words * self.word), f"{order}u{self.word}").astype(np.uint64)
        pointers = np.flatnonzero(np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[:words])
        self._add(DATA, np.uint64(start) + pointers.astype(np.uint64) * np.uint64(self.word), values[pointers])

    # -- stacks ----------------------------------------------------------------------------------------

    def _stacks(self, result: HeapRoots) -> None:
        finder = StackPointers(self.target, self.objects.low, self.objects.high)
        held = list(finder.every(self.progress))
        first = self.count
        which = self._add(STACK, [one.address for one in held], [one.value for one in held])
        result.held = {first + i: held[at] for i, at in enumerate(which.tolist())}
        self.problems += finder.problems
        result.goroutines, result.running = finder.goroutines, finder.running
        result.registers, result.stacks = finder.registers, finder.stacks
        result.conservative = sum(one.how == CONSERVATIVE for one in result.held.values())

    # -- specials --------------------------------------------------------------------------------------

    def _specials(self, result: HeapRoots) -> None:
        """markrootSpans."""
        target = self.target
        t = target.find_type("runtime.special")
        kinds = self._kinds()
        if t is None:
            raise GomapError("the debug information has no runtime.special")
        for span in self.objects.spans:
            address, seen = span.specials, 0
            while address and seen < MAX_SPECIALS:
                seen += 1
                try:
                    record = read_record(target, t, address)
                    what = kinds.get(record["kind"])
                    if what is not None:
                        offset = min(record["offset"], span.size - 1)
                        one = self.objects.object_at(span.start + offset)
                        result.specials.append(Special(what[0], one, address, tuple(self._points(address, what))))
                    address = record["next"]
                except MemoryFault as fault:
                    self.problems.append(f"finalizers and cleanups: {fault}")
                    break
        for kind, of in (("finalizer", FINALIZER), ("cleanup", CLEANUP), ("weak", RUNTIME)):
            points = [point for one in result.specials if one.kind == kind for point in one.points]
            if points:
                self._add(of, [at for at, _ in points], [value for _, value in points])

    def _points(self, address: int, what: tuple[str, GoType, list[int]]) -> Iterator[tuple[int, int]]:
        _, t, offsets = what
        data = self.target.memory.read(address, t.size)
        for offset in offsets:
            yield address + offset, self.target.arch.pointer(data, offset)

    def _kinds(self) -> dict[int, tuple[str, GoType, list[int]]]:
        """The kinds of specials that are roots: (kind, type of the record, offsets of the scanned words)."""
        target, word = self.target, self.word
        tiny = target.find_type("runtime.specialTinyBlock") is not None
        weak = target.find_type("runtime.specialWeakHandle") is not None
        # Where the constants are not known: from Go 1.25 on, from Go 1.23 on, before that.
        numbers = {"Finalizer": 1 + tiny, "WeakHandle": 2 + tiny, "Cleanup": 6 + tiny}
        found: dict[int, tuple[str, GoType, list[int]]] = {}
        for kind, name, number, only in (
            ("finalizer", "runtime.specialfinalizer", "Finalizer", ("fn",)),
            ("weak", "runtime.specialWeakHandle", "WeakHandle", ("handle",)),
            ("cleanup", "runtime.specialCleanup", "Cleanup", ("fn", "cleanup")),
        ):
            t = target.find_type(name)
            if t is None and kind == "finalizer":
                raise GomapError(f"the debug information has no {name}")
            if t is None or (kind != "finalizer" and not weak):
                continue
            fields = [f for f in t.fields if f.name in only]
            offsets = [at for f in fields for at in pointers_of(f.type, f.offset, word)]
            value = numbers[number]
            constant = target.variable(f"runtime._KindSpecial{number}")
            if constant is not None:
                value = int.from_bytes(
                    constant.read(target.memory, 0, constant.type.size),
                    target.arch.byte_order,  # type: ignore[arg-type]
                )
            found[value] = kind, t, offsets
        return found

    # -- queues ----------------------------------------------------------------------------------------

    def _finalizers(self) -> None:
        """runtime.allfin: finalizers that are to be run."""
        target = self.target
        start = target.symbol("runtime.allfin")
        t = target.find_type("runtime.finBlock") or target.find_type("runtime.finblock")
        if start is None or t is None:
            raise GomapError(UNNAMED)
        first = target.arch.pointer(target.memory.read(start, self.word))
        self._blocks(FINALIZER, first, t, "alllink", "cnt", "fin")

    def _cleanups(self) -> None:
        """runtime.gcCleanups: cleanups that are to be run, from Go 1.25 on."""
        target = self.target
        start, queue = target.symbol("runtime.gcCleanups"), target.find_type("runtime.cleanupQueue")
        t = target.find_type("runtime.cleanupBlock")
        every = queue.field("all") if queue is not None else None
        if start is None and queue is None:
            return
        if start is None or t is None or every is None:
            raise GomapError(UNNAMED)
        data = target.memory.read(start + every.offset, every.type.size)
        first = target.arch.pointer(data, every.type.size - self.word)
        self._blocks(CLEANUP, first, t, "alllink", "n", "cleanups")

    def _blocks(self, kind: str, address: int, t: GoType, link: str, count: str, items: str) -> None:
        memory, arch = self.target.memory, self.target.arch
        places = [_deep(t, name) for name in (link, count, items)]
        if None in places:
            raise GomapError(f"{t.name} has fields that gomap does not know")
        (link_at, _), (count_at, of_count), (items_at, array) = (place for place in places if place is not None)
        inside = list(pointers_of(array.elem, 0, self.word))
        seen: set[int] = set()
        slots: list[int] = []
        values: list[int] = []
        while address and address not in seen and len(seen) < MAX_BLOCKS:
            seen.add(address)
            data = memory.read(address, t.size)
            for i in range(min(arch.uint(data, count_at, of_count.size), array.length)):
                for at in inside:
                    offset = items_at + i * array.elem.size + at
                    slots.append(address + offset)
                    values.append(arch.pointer(data, offset))
            address = arch.pointer(data, link_at)
        if slots:
            self._add(kind, slots, values)


def _deep(t: GoType, name: str) -> tuple[int, GoType] | None:
    """(offset, type) of a field, or of one of an embedded struct."""
    for f in t.fields:
        if f.name == name:
            return f.offset, f.type
    for f in t.fields:
        if f.type.fields:
            found = _deep(f.type, name)
            if found is not None:
                return f.offset + found[0], found[1]
    return None
