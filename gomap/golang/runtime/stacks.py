"""The stacks of many goroutines: the debugger unwinds each new program counter once, the rest is arithmetic.

At a given pc a frame always has the same size, and every variable the same place in it (runtime/symtab.go, funcspdelta;
DWARF's frame base is the call frame's address). So the debugger's answer for a frame of a parked goroutine holds for
every other frame at the same pc: the caller's return address and the variables are the same number of bytes from the
stack pointer. Frames of running threads, and frames whose variables are in several places, may have variables in
registers: these stacks are always unwound by the debugger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gomap.anomaly import Anomaly
from gomap.errors import GomapError, MemoryFault, NoLocals
from gomap.golang.runtime.liveness import Liveness, calls_of, waits
from gomap.golang.runtime.modules import of_runtime
from gomap.golang.runtime.pclntab import PUSHES, Functions
from gomap.target import MAX_FRAMES, Frame, Goroutine, Local, Place, Target, Variable, Wanted, settled

#: What every goroutine's oldest frame is, and a thread's (runtime/asm_*.s, runtime/proc.go).
OLDEST = frozenset({"runtime.goexit", "runtime.mstart", "runtime.rt0_go"})
#: Where a thread handles a signal, the function whose name begins so to which that returns, and those that call it
#: (runtime/sys_*.s). Programs with C in them return to one of the C library's, which has no name.
_HANDLER, _RETURNS_FROM_HANDLER = "runtime.sigtrampgo", "runtime.sigreturn"
_TRAMPOLINES = frozenset({"runtime.sigtramp", "runtime.cgoSigtramp"})
#: Functions whose callers the runtime has in its own way: where it pretends that a goroutine is while its thread is on
#: the system's stack (gosave_systemstack_switch of runtime/asm_*.s), those at whose end a debugger goes on there, and
#: where a thread raises a signal itself.
_PLACED = frozenset({"runtime.systemstack_switch", "runtime.newstack", "runtime.mstart", "runtime.raise"})
#: Where a thread goes on to a goroutine's stack, for its last instructions on that (runtime/asm_amd64.s).
_GOES_ON = "gogo"
#: Functions that C calls or that call C: behind them come functions without a name.
_BEFORE_C = frozenset({"runtime.asmcgocall", "runtime.cgocallback", "crosscall2"})
#: What debuggers call a function that they don't know.
_NOWHERE = frozenset({"", "?"})
#: Bytes at the end of a stack within which the call of a goroutine that C has called lies.
FIRST_CALL = 128
#: Goroutines that are named of those whose stacks are not seen whole.
MAX_NAMED = 16
#: Calls in a row that a debugger skips, at most.
MAX_MISSING = 16
#: Bytes of a stack that are read at once.
WINDOW = 8192


@dataclass(frozen=True)
class Stack:
    """One goroutine's frames, the newest first. problem: why there are none, or not all; of_all: of all goroutines."""

    goroutine: Goroutine
    frames: tuple[Frame, ...] = ()
    problem: str | None = None
    of_all: bool = False


@dataclass
class Unseen:
    """The goroutines of a search whose stacks the debugger does not have whole."""

    count: int = 0
    named: list[Anomaly] = field(default_factory=list)
    of_all: str | None = None

    def add(self, stack: Stack) -> None:
        """Counts it, unless it is whole."""
        if stack.problem is None:
            return
        self.count += 1
        if stack.of_all:
            self.of_all = stack.problem
        elif self.count <= MAX_NAMED:
            message = f"goroutine {stack.goroutine.id}: {stack.problem}"
            self.named.append(Anomaly("warning", "stack", message, stack.goroutine.address))

    def refuse(self) -> None:
        """Raises NoLocals where no stack of any goroutine can be seen."""
        if self.of_all is not None:
            raise NoLocals(f"this needs goroutines' stacks: {self.of_all.partition(':')[0]}")

    def anomalies(self) -> list[Anomaly]:
        """The stacks that could not be unwound: one note for all of them, or a warning each, the first MAX_NAMED by
        number."""
        if self.of_all is not None:
            return [Anomaly("note", "no-locals", self.of_all)]
        if self.count <= MAX_NAMED:
            return self.named
        message = f"{self.count - MAX_NAMED:,} more goroutines have stacks that can't be unwound"
        return [*self.named, Anomaly("warning", "stack", message, None)]


@dataclass(frozen=True)
class _PlacedLocal:
    """A variable at an offset from sp; indirect: what lies there points to it. pointed_to, dead: see Local."""

    variable: Variable
    offset: int
    indirect: bool
    pointed_to: bool = False
    dead: bool = False


@dataclass(frozen=True)
class _PcFacts:
    """The facts about a pc: its frames (inlined ones first) with the variables of each, and the offsets of the return
    address and of the caller's stack pointer from sp; None at the end of the stack."""

    frames: tuple[tuple[Frame, tuple[_PlacedLocal, ...]], ...]
    caller: tuple[int, int] | None


class Stacks:
    """Walks stacks of one stopped program, and keeps the facts about each pc. wanted: see Target.unwind. liveness:
    decides which variables are dead; these get a doubt."""

    def __init__(self, target: Target, wanted: Wanted, liveness: Liveness | None = None) -> None:
        self._target = target
        self._liveness = liveness
        self._wanted = wanted
        self._steps: dict[tuple[int, str], _PcFacts | None] = {}
        self._functions = Functions(target)

    def walk(self, goroutines: Iterable[Goroutine]) -> Iterator[Stack]:
        """A Stack for each goroutine. One that can't be unwound has a problem, and the frames that were come to."""
        for goroutine in goroutines:
            try:
                goroutine = settled(self._target, goroutine)
                frames = self._replay(goroutine) if goroutine.thread is None else None
                if frames is not None:
                    yield Stack(goroutine, self._settled(goroutine, frames), _problem(goroutine, frames))
                    continue
                frames = list(self._target.unwind(goroutine, self._wanted))
            except GomapError as error:
                yield Stack(goroutine, problem=str(error), of_all=isinstance(error, NoLocals))
                continue
            frames, skipped = self._whole(goroutine, frames)
            problem = skipped or _problem(goroutine, frames)
            if self._liveness is not None:
                frames = self._liveness.living(goroutine, frames)
            if goroutine.thread is None and not _elsewhere(goroutine, frames) and problem is None:
                self._learn(goroutine, frames)
            yield Stack(goroutine, self._settled(goroutine, frames), problem)

    def _settled(self, goroutine: Goroutine, frames: list[Frame]) -> tuple[Frame, ...]:
        return tuple(frames if self._liveness is None else self._liveness.settled(goroutine, frames))

    def _whole(self, goroutine: Goroutine, frames: list[Frame]) -> tuple[list[Frame], str | None]:
        """(the frames, where the debugger skips a call, if it does).

        It takes the call in front of that to be larger than the runtime's own table has it, and so to lie elsewhere:
        that one's variables are left out.
        """
        low, high = goroutine.stack
        calls = calls_of(frames)
        # Nothing called it on this stack: the supposed return address is an arbitrary word.
        jumps = next((i for i, frame in enumerate(frames) if frame.function == _GOES_ON), None)
        if jumps is not None and goroutine.thread is not None:
            problem = f"its stack can't be unwound beyond {_GOES_ON}, where its thread goes on to it"
            return frames[: jumps + 1], problem
        for newer, call, older in zip([None, *calls], calls, calls[1:]):
            function, sp, top = call[-1].function, call[0].sp, older[0].sp
            if self._leads_nowhere(call[-1], older[0]):
                behind = frames[frames.index(older[0]) :]
                known = next((frame for frame in behind if frame.function not in _NOWHERE), None)
                if known is None:
                    return frames, None
                if not self._is_interrupted(goroutine, function, known):
                    return frames, self._between(function, known.function)
            size = self._functions.frame_size(call[0].pc)
            if size is None or function in _PLACED or not low < top <= high:
                continue
            skips = self._skips(goroutine, None if newer is None else newer[-1].function, call[0], top - size)
            if skips and sp:
                filled = self._filled(goroutine, frames, call)
                if filled is not None:
                    whole, skipped = self._whole(goroutine, filled)
                    unsearched = [frame for frame in filled if frame not in frames]
                    if all(of_runtime(frame.function) for frame in unsearched):
                        return whole, skipped  # functions of the runtime have no variables of the program
                    return whole, self._between(function, older[0].function)
            if skips:
                whole = [replace(frame, locals=()) if frame in call else frame for frame in frames]
                return whole, self._between(function, older[0].function)
        return frames, None

    def _skips(self, goroutine: Goroutine, before: str | None, call: Frame, wanted: int) -> bool:
        """Whether the debugger skips calls behind this one, whose stack pointer should be `wanted`. before: the
        function that it called."""
        low, high = goroutine.stack
        if not call.sp:
            # Delve follows frame pointers. Where a signal came before the call had made its own, it still is its
            # caller's, and leads to whom that returns to.
            return before == _HANDLER and self._functions.has_callers_frame_pointer(call.pc)
        if low <= call.sp < high:
            return call.sp != wanted
        return before is not None and before not in _NOWHERE and before != "runtime.asmcgocall"

    def _filled(self, goroutine: Goroutine, frames: list[Frame], call: list[Frame]) -> list[Frame] | None:
        """The frames with those that the debugger skips behind the call, by the runtime's own table; None where that
        does not lead to a frame that the debugger has. Debug information places no variables in such frames, nor in
        the call, which the debugger takes to lie elsewhere."""
        first = frames.index(call[-1]) + 1
        known = {(frame.pc, frame.sp): i for i, frame in reversed(list(enumerate(frames[first:], first)))}
        low, high = goroutine.stack
        arch, (pc, sp) = self._target.arch, (call[0].pc, call[0].sp)
        own = [replace(frame, locals=()) for frame in call]
        missing: list[Frame] = []
        for _ in range(MAX_MISSING):
            size = self._functions.frame_size(pc)
            if size is None or arch.name not in PUSHES or not low <= sp < sp + size < high:
                return None
            try:
                sp += size
                pc = arch.pointer(self._target.memory.read(sp - arch.pointer_size, arch.pointer_size))
                if (pc, sp) in known:
                    return [*frames[: first - len(call)], *own, *missing, *frames[known[pc, sp] :]]
                missing += self._told(pc, sp)
            except GomapError:
                return None
        return None

    def _told(self, pc: int, sp: int) -> list[Frame]:
        """The frames of a call that returns to pc: the function that the line is of, and that which it is inlined into.
        Raises GomapError."""
        place, whole = self._target.location(pc), self._functions.name(pc - 1)
        if place is None:
            return [Frame(whole, None, None, pc, sp)]
        found = [Frame(place.function, place.file, place.line, pc, sp)]
        return found if place.function == whole else [*found, Frame(whole, place.file, None, pc, sp)]

    def _between(self, newer: str, older: str) -> str:
        again = ". Resume it and try again" if self._target.kind == "live" else ""
        return f"the calls between {newer} and {older} could not be unwound: their variables were not searched{again}"

    def _leads_nowhere(self, call: Frame, older: Frame) -> bool:
        """Whether the debugger does not find the call's caller: what it has behind it comes from frame pointers."""
        if call.function.startswith(_RETURNS_FROM_HANDLER):
            return not older.sp
        # Those of the runtime's functions that go to the system's stack by themselves, as in -race builds all the time,
        # do not have their return address where the debugger looks for it.
        # (A function that faulted at its first instruction has no name in gdb, which looks at the byte in front of it.)
        is_go = self._functions.is_go
        return older.function in _NOWHERE and call.function not in _BEFORE_C and is_go(call.pc) and not is_go(older.pc)

    def _is_interrupted(self, goroutine: Goroutine, function: str, known: Frame) -> bool:
        """Whether nothing is missing between the two but C, the vDSO or the C library's return from a signal."""
        if known.function == "runtime.asmcgocall":
            return True
        if function == _HANDLER:
            return self._functions.frame_size(known.pc) is None
        return function in _TRAMPOLINES and not self._waits(goroutine, known)

    def _waits(self, goroutine: Goroutine, frame: Frame) -> bool:
        """Whether the frame waits for one that it called, which returns to it."""
        (low, high), word = goroutine.stack, self._target.arch.pointer_size
        if not low < frame.sp <= high:
            return False
        try:
            return self._target.arch.pointer(self._target.memory.read(frame.sp - word, word)) == frame.pc
        except MemoryFault:
            return False

    # -- what holds for a pc -------------------------------------------------------------------------

    def _learn(self, goroutine: Goroutine, frames: list[Frame]) -> None:
        """Remembers each frame of a stack that the debugger unwound."""
        calls = calls_of(frames)
        for i, call in enumerate(calls):
            key = (call[0].pc, _stand(calls[i - 1][-1].function if i else None))
            if key not in self._steps:
                caller = calls[i + 1][0] if i + 1 < len(calls) else None
                self._steps[key] = self._step(goroutine, call, caller)

    def _step(self, goroutine: Goroutine, call: list[Frame], caller: Frame | None) -> _PcFacts | None:
        sp = call[0].sp
        known = []
        for frame in call:
            kept = []
            for local in frame.locals:
                one = _keep(local, sp, goroutine)
                if one is None:
                    return None
                kept += [one] if one.offset >= 0 else []
            known.append((frame, tuple(kept)))
        if caller is None:
            return _PcFacts(tuple(known), None)
        size = caller.sp - sp
        word = self._target.arch.pointer_size
        # amd64 and 386 push the return address, the others keep it where the frame begins.
        for at in (size - word, 0):
            try:
                if at >= 0 and self._target.arch.pointer(self._target.memory.read(sp + at, word)) == caller.pc:
                    return _PcFacts(tuple(known), (at, size))
            except MemoryFault:
                return None
        return None

    def _replay(self, goroutine: Goroutine) -> list[Frame] | None:
        """The frames, from the known facts about every pc on the stack; None if a pc is new."""
        pc, sp, newer = goroutine.pc, goroutine.sp, None
        low, high = goroutine.stack
        pointer, word = self._target.arch.pointer, self._target.arch.pointer_size
        start, data = sp, b""
        frames: list[Frame] = []
        while len(frames) < MAX_FRAMES:
            step = self._steps.get((pc, _stand(newer)))
            if step is None or not low <= sp < high:
                return None
            for frame, kept in step.frames:
                place = (goroutine.id, len(frames), frame.function, frame.file, frame.line)
                found = tuple(self._local(one, sp, place) for one in kept)
                frames.append(Frame(frame.function, frame.file, frame.line, pc, sp, found))
            if step.caller is None:
                return frames
            at, size = step.caller
            if size <= 0 and newer is not None:
                return None  # would never end
            if not start <= sp + at <= start + len(data) - word:
                start = sp + at
                data = self._target.memory.read(start, min(WINDOW, high - start))
            pc, sp, newer = pointer(data, sp + at - start), sp + size, step.frames[-1][0].function
        return frames

    def _local(self, kept: _PlacedLocal, sp: int, place: tuple[int, int, str, str | None, int | None]) -> Local:
        variable, address, slot = kept.variable, sp + kept.offset, None
        if kept.indirect:
            slot, word = address, self._target.arch.pointer_size
            address = self._target.arch.pointer(self._target.memory.read(slot, word))
        place_of_it = Place(variable.place.kind, *place)
        found = Variable(variable.name, variable.type, address, place=place_of_it, hidden=variable.hidden)
        return Local(found, slot, kept.pointed_to, kept.dead)


def _stand(newer: str | None) -> str:
    """How a function came to its pc, which decides what is alive there. newer: the next newer frame's function."""
    return "newest" if newer is None else "waits" if waits(newer) else "interrupted"


def _problem(goroutine: Goroutine, frames: Sequence[Frame]) -> str | None:
    """Why these are not the goroutine's frames, or not all of them. A thread may be anywhere, in C too."""
    if not frames:
        return "its stack can't be unwound"
    return next(filter(None, (rule(goroutine, frames) for rule in _PROBLEMS)), None)


def _too_many(goroutine: Goroutine, frames: Sequence[Frame]) -> str | None:
    return f"only its newest {MAX_FRAMES:,} frames were searched" if len(frames) >= MAX_FRAMES else None


def _lost_in_c(goroutine: Goroutine, frames: Sequence[Frame]) -> str | None:
    """Delve has a frame without a name where C was called from, and behind it not always who called it."""
    functions = [frame.function for frame in frames]
    callers = zip(functions, functions[1:], [*functions[2:], ""])
    if any(three[:2] == ("runtime.asmcgocall", "") and three[2] != "runtime.cgocall" for three in callers):
        return "its stack can't be unwound beyond runtime.asmcgocall, which called C"
    return None


def _in_no_function(goroutine: Goroutine, frames: Sequence[Frame]) -> str | None:
    if goroutine.thread is None and frames[0].function in _NOWHERE and not _elsewhere(goroutine, frames):
        return f"its stack can't be unwound: its saved pc {goroutine.pc:#x} is in no function"
    return None


def _has_no_end(goroutine: Goroutine, frames: Sequence[Frame]) -> str | None:
    functions, last = [frame.function for frame in frames], frames[-1]
    at_end = last.function in OLDEST or last.function == "main.main"  # where gdb ends unless told not to
    low, high = goroutine.stack
    # What looks like the end on the system's stack is none of the goroutine's.
    mistaken = at_end and last.sp and not low < last.sp <= high
    if mistaken or (not at_end and not _called_by_c(goroutine, frames)):
        known = (name for name in reversed(functions[:-1] if at_end else functions) if name not in _NOWHERE)
        return f"its stack can't be unwound beyond {next(known, 'where its thread is')}"
    return None


#: What may be wrong with frames, what explains most first.
_PROBLEMS = (_too_many, _lost_in_c, _in_no_function, _has_no_end)


def _called_by_c(goroutine: Goroutine, frames: Sequence[Frame]) -> bool:
    """Whether the goroutine is one that the runtime keeps for calls from C's own threads (needm of runtime/proc.go):
    its stack begins with the call, and older frames are C's."""
    end = goroutine.stack[1]
    return any(frame.function == "runtime.cgocallback" and 0 < end - frame.sp <= FIRST_CALL for frame in frames)


def _elsewhere(goroutine: Goroutine, frames: Sequence[Frame]) -> bool:
    """Whether the first frame is not where the parked goroutine goes on: while a thread takes one off (goschedImpl of
    runtime/proc.go), Delve begins where the thread is, which may be the kernel's vDSO."""
    return bool(frames) and frames[0].pc != goroutine.pc


def _keep(local: Local, sp: int, goroutine: Goroutine) -> _PlacedLocal | None:
    """The variable's place in every frame at its pc, with offset -1 if it is optimized out. None if its place in
    another frame at this pc can't be known."""
    variable, (_, high) = local.variable, goroutine.stack
    if local.slot is not None and sp <= local.slot < high:
        return _PlacedLocal(variable, local.slot - sp, True, dead=local.dead)
    if variable.address is not None and sp <= variable.address < high:
        return _PlacedLocal(variable, variable.address - sp, False, local.pointed_to, local.dead)
    missing = sum(size for _, size in variable.holes)
    if variable.address is None and (variable.data is None or missing >= len(variable.data)):
        return _PlacedLocal(variable, -1, False)
    return None
