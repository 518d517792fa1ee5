"""Delve as a Target: memory, types, variables of a stopped program. Reads only, and calls nothing in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Callable

from delve_bridge.frames import Called, DelveFrame, with_hidden
from delve_bridge.locations import _IN_FRAME, _IN_LIST, _OPERATION, in_frame, missing_pieces, slot_of
from delve_bridge.types import BARE, PARTS, Raw, at
from gomap.analysis.references import given
from gomap.errors import MemoryFault
from gomap.golang.runtime.abitype import KINDS
from gomap.golang.runtime.closures import MAX_CAPTURED, CapturedPart, captured
from gomap.golang.runtime.dictionaries import (
    MAX_CALLERS,
    Arguments,
    Dictionary,
    candidates,
    is_shaped,
    with_arguments,
    within,
)
from gomap.golang.runtime.dictionaries import VARIABLE as DICTIONARY
from gomap.golang.runtime.liveness import waits
from gomap.golang.runtime.modules import linker_package, of_runtime
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.pieces import are_all
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind, fixed
from gomap.memory import CachedMemory, Memory
from gomap.target import (
    GLOBAL,
    Call,
    Captured,
    Frame,
    Goroutine,
    Kept,
    Local,
    Location,
    Place,
    Registers,
    Variable,
    Wanted,
    build_version,
)
from gomap.target import MAX_FRAMES as MAX_UNWOUND

if TYPE_CHECKING:
    from delve_bridge.session import Session

#: Frames searched outward for a local variable, and how many of them are asked for at once at most.
MAX_FRAMES = 256
BATCH = 32
#: Flags of Delve's api.Variable.
ESCAPED, CONSTANT, ARGUMENT, RETURNED, FAKE = 1, 4, 8, 16, 32
#: In programs of 64 bits no stack of the system lies lower: less is an offset.
LOWEST = 1 << 32
SIGNAL_FRAMES = ("runtime.sigtrampgo", "runtime.sigreturn")
#: The type of a dictionary's variable.
_WORDS = re.compile(r"\*\[(\d+)\]uintptr")
#: Larger frames are not searched; and words behind a frame, where functions have their arguments spilled.
MAX_FRAME, MAX_ARGUMENTS = 1 << 16, 16


class DelveTarget:
    """The program as it is stopped now, from the session's goroutine and frame. Made for one command."""

    backend = "delve"
    running = 0
    kept: Kept | None = None

    def __init__(self, session: Session) -> None:
        self._session = session
        self.kind, self.arch = session.build.kind, session.build.arch
        self.memory: Memory = CachedMemory(session.memory())
        self.tracer = session.tracer
        self._stack: list[Called] | None = None
        self._variables: dict[int, list[Raw]] = {}

    @property
    def go_version(self) -> str | None:
        """As Target.go_version, from runtime.buildVersion."""
        return build_version(self.arch, self.memory, self._global("runtime.buildVersion"))

    @property
    def package(self) -> str | None:
        """The package of the selected frame's function or, where that is the runtime's, of the nearest caller's."""
        frame = self._user_frame()
        return None if frame is None else linker_package(frame.function)

    # -- names ---------------------------------------------------------------------------------------

    def find_type(self, name: str) -> GoType | None:
        """As Target.find_type, from Delve's types."""
        return self._session.build.types.find(name)

    def symbol(self, name: str) -> int | None:
        """The address of a package variable: Delve's API has no other symbols."""
        raw = self._session.build.package_variable(name)
        return None if raw is None or raw["flags"] & CONSTANT else int(raw["addr"]) or None

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """As Target.variable."""
        return self._local(name, callers) or self._global(name) if "." not in name else self._global(name)

    def _global(self, name: str) -> Variable | None:
        raw = self._session.build.package_variable(name)
        if raw is None:
            return None
        t = self._session.build.types.of(raw)
        if raw["flags"] & CONSTANT:
            value = int(str(raw["value"]).split()[-1].strip("()"))
            data = (value & (1 << 8 * t.size) - 1).to_bytes(t.size, self.arch.byte_order)  # type: ignore[arg-type]
            return Variable(name, t, data=data)
        if t.kind is Kind.FUNC and raw["value"] == name:
            return None  # a function's name
        return Variable(name, t, int(raw["addr"]))

    def _local(self, name: str, callers: bool) -> Variable | None:
        wanted = name.lstrip("&")
        for level in islice(self._outward(), None if callers else 1):
            # What a closure captured hides nothing in the innermost scope.
            for raw in self._of_frame(level):
                if raw["name"] != wanted or (name != wanted and not raw["flags"] & ESCAPED):
                    continue
                frame = self._frame(level)
                found = self._in_frame(raw, frame, wanted)
                if name != wanted:
                    word, elem = self.arch.pointer_size, fixed(found.type)
                    pointer = GoType(Kind.POINTER, f"*{found.type.name}", word, lazy_elem=elem)
                    found = Variable(name, pointer, data=self.arch.pack(found.address or 0), place=found.place)
                if level != self._session.frame:
                    found = replace(found, note=f"{name} is taken from frame {level}, {frame.function}")
                return found
        return None

    # -- frames --------------------------------------------------------------------------------------

    def frames(self) -> list[DelveFrame]:
        """The session's frame and those that called it."""
        return [call.frame for call in self._calls[self._session.frame :]]

    @property
    def _calls(self) -> list[Called]:
        if self._stack is None:
            self._stack = self._session.calls(MAX_FRAMES)
        return self._stack

    @cached_property
    def _stack_end(self) -> int | None:
        return self._session.stack_end()

    def _waiting(self, level: int) -> Call | None:
        """The call that a frame's function waits for; None if it waits for none."""
        calls = self._calls
        own = calls[level] if level < len(calls) else None
        if own is None:
            return None
        newer = next((c for c in reversed(calls[:level]) if (c.pc, c.offset) != (own.pc, own.offset)), None)
        if newer is None or not waits(newer.frame.function) or own.offset >= 0 or self._stack_end is None:
            return None
        return Call(own.pc, self._stack_end + own.offset)

    def _user_frame(self) -> DelveFrame | None:
        return next((f for f in self.frames() if f.function and not of_runtime(f.function)), None)

    def _frame(self, level: int) -> DelveFrame:
        return next((frame for frame in self.frames() if frame.level == level), DelveFrame(level, "", None, None))

    def _outward(self) -> Iterator[int]:
        """Levels in which a name is looked for: the session's frame, for which the stack is not asked, and those that
        called it, past the runtime's own, which come before the user's where a program dies."""
        yield self._session.frame
        callers, first = self.frames()[1:], 0
        while first < len(callers):
            # As many more as have been in vain, as most names are one of the first frames'.
            batch = callers[first : first + min(first + 1, BATCH)]
            first += len(batch)
            levels = [frame.level for frame in batch if not of_runtime(frame.function)]
            self._ask([level for level in levels if level not in self._variables])
            yield from levels

    def _ask(self, levels: Sequence[int]) -> None:
        self._variables.update(zip(levels, self._session.variables(levels, BARE)))

    def _in_frame(self, raw: Raw, frame: DelveFrame, name: str) -> Variable:
        place = Place("", self._session.goroutine, frame.level, frame.function or None, frame.file, frame.line)
        t, call = self._type(raw, frame, self._of_frame(frame.level)), self._waiting(frame.level)
        found = self._placed(raw, t, name, place, frame.optimised, None if call is None else call.top)
        if call is None or not int(raw["flags"]) & ESCAPED:
            return replace(found, call=call)
        slot = slot_of(raw, call.top)
        return found if slot is None else replace(found, call=replace(call, slot=slot))

    def _type(self, raw: Raw, frame: DelveFrame, raws: Sequence[Raw], calls: Sequence[Called] | None = None) -> GoType:
        """The variable's type. In a generic function it is the actual type argument if that can be determined (Delve
        itself does so for some variables), otherwise the shape. raws: the frame's variables. calls: the goroutine's,
        None for the session's."""
        t = self._session.build.types.of(raw)
        if not is_shaped(t):
            return t
        possible = candidates(self._session.build.dictionaries, frame.function)
        found = self._arguments.actual(possible, None, t)
        if found is None and len(possible) > 1:
            stack = self._calls if calls is None else calls
            found = self._arguments.actual(self._given(possible, raws, stack, frame.level), None, t)
        return found or t

    def _given(
        self,
        possible: Sequence[Dictionary],
        raws: Sequence[Raw],
        calls: Sequence[Called],
        level: int,
        callers: int = MAX_CALLERS,
    ) -> Sequence[Dictionary]:
        """The one of a function's dictionaries that its frame has got."""
        if level + 1 >= len(calls) or calls[level + 1].offset == calls[level].offset:  # which is inlined into it
            return []
        addresses = {one.address for one in possible}
        held = addresses.intersection(() if calls[level].frame.optimised else self._words(raws, calls[level]))
        caller = calls[level + 1]
        found = held.pop() if len(held) == 1 else given(self, caller.pc, addresses)
        if found is None and callers:
            its = candidates(self._session.build.dictionaries, caller.frame.function)
            if len(its) > 1:
                its = self._given(its, caller.variables, calls, level + 1, callers - 1)
            found = within(self, its, addresses)
        return [one for one in possible if one.address == found]

    def _words(self, raws: Sequence[Raw], call: Called) -> list[int]:
        """The words of a frame: without optimization the dictionary is one of them, in a place that Delve does not
        tell. From where other variables lie follows where the frame is."""
        for raw in raws:
            place = _IN_FRAME.search(str(raw["LocationExpr"]))
            if place is None or int(raw["flags"]) & (ESCAPED | FAKE) or not int(raw["addr"]):
                continue
            top, size = int(raw["addr"]) - int(place.group(1), 0), self._sizes.frame_size(call.pc)
            word = self.arch.pointer_size
            if size is None or size > MAX_FRAME:
                return []
            try:
                data = self.memory.read(top - size, size + word * MAX_ARGUMENTS)
            except MemoryFault:
                return []
            return [self.arch.pointer(data, i) for i in range(0, len(data) - word + 1, word)]
        return []

    @cached_property
    def _sizes(self) -> Functions:
        return Functions(self)

    @cached_property
    def _arguments(self) -> Arguments:
        return Arguments(DescribedTypes(self))

    def _placed(self, raw: Raw, t: GoType, name: str, place: Place, optimised: bool, cfa: int | None) -> Variable:
        """t: its type. place: the frame's, without the kind. cfa: its call frame's address."""
        flags = int(raw["flags"])
        kind = "captured" if flags & ESCAPED else "argument" if flags & (ARGUMENT | RETURNED) else "local"
        place = replace(place, kind=kind)
        location = _IN_LIST.match(str(raw["LocationExpr"]))
        if location is not None and optimised and not flags & ESCAPED:
            pieces = [int(size, 0) for operation, size in _OPERATION.findall(location.group(1)) if operation == "piece"]
            if not are_all(t, pieces, self.arch.pointer_size):
                return _nowhere(name, t, place)
        if flags & FAKE:
            return self._in_registers(raw, t, name, place, cfa)
        if not int(raw["addr"]):
            return _nowhere(name, t, place)
        if raw["kind"] == _MAP and raw["len"]:
            self._session.build.types.examples[int(raw["addr"])] = None
        return Variable(name, t, int(raw["addr"]), place=place)

    def _in_registers(self, raw: Raw, t: GoType, name: str, place: Place, cfa: int | None) -> Variable:
        """A variable that Delve pieced together at an address it made up, which Eval alone can read."""
        holes = tuple(missing_pieces(str(raw["LocationExpr"]), t.size))
        # What a location leaves out at its end Delve has no bytes for.
        size = holes[-1][0] if holes and sum(holes[-1]) == t.size else t.size
        load = {**BARE, "MaxVariableRecurse": 1, "MaxArrayValues": size}
        whole = self._session.build.evaluate([at(f"[{size}]uint8", int(raw["addr"]))], load)[0]
        children = (whole or {}).get("children") or ()
        if len(children) != size:
            return _nowhere(name, t, place)
        data = bytes(0 if child["unreadable"] else int(child["value"]) for child in children).ljust(t.size, b"\0")
        holes += tuple((i, 1) for i, child in enumerate(children) if child["unreadable"])
        parts = () if cfa is None else tuple(in_frame(str(raw["LocationExpr"]), cfa))
        return Variable(name, t, None, data, holes, place, parts=parts)

    # -- roots ---------------------------------------------------------------------------------------

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """Variables of the first frame that is not the runtime's, innermost first."""
        frame = self._user_frame()
        if frame is not None:
            raws = self._of_frame(frame.level)
            for raw, hidden in with_hidden(raws):
                if wanted(self._type(raw, frame, raws)):
                    yield replace(self._in_frame(raw, frame, str(raw["name"])), hidden=hidden)

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """As Target.package_variables, in the order of their names."""
        for name in sorted(self._session.build.package_variables()):
            raw = self._session.build.package_variables()[name]
            if wanted(self._session.build.types.of(raw)) and int(raw["addr"]):
                yield Variable(name, self._session.build.types.of(raw), int(raw["addr"]), place=GLOBAL)

    # -- goroutines ----------------------------------------------------------------------------------

    @property
    def goroutine(self) -> int | None:
        """The goroutine that is selected in Delve."""
        return self._session.goroutine

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        """As Target.unwind: Delve unwinds the stack."""
        found: list[Frame] = []
        stack = self._session.calls_of(goroutine.id, MAX_UNWOUND, BARE)
        # A thread's own stack pointer is not asked for.
        sp = goroutine.sp if stack and stack[0].pc == goroutine.pc and goroutine.thread is None else 0
        size, lowest = goroutine.stack[1] - goroutine.stack[0], LOWEST if self.arch.pointer_size == 8 else 0
        behind_c = False
        for level, call in enumerate(stack):
            frame = call.frame
            behind_c = behind_c or frame.function == "runtime.asmcgocall"
            if behind_c and (call.offset <= -size or 0 < call.offset < lowest):
                break  # Delve may go on there along the stack that the goroutine had before it was moved
            cfa = call.offset + (goroutine.stack[1] if call.offset < 0 else 0)
            if level and call.offset < 0 <= stack[level - 1].offset and call.pc == goroutine.pc:
                # From the system's stack Delve goes on where the runtime left the goroutine's.
                sp = goroutine.sp
            place = Place("", goroutine.id, level, frame.function or None, frame.file, frame.line)
            local = tuple(self._locals(call.variables, frame, place, cfa, stack, wanted))
            found.append(Frame(frame.function, frame.file, frame.line, call.pc, sp, local))
            following = stack[level + 1] if level + 1 < len(stack) else None
            if following is None or (following.pc, following.offset) != (call.pc, call.offset):
                # At the end of a signal's frame Delve has the interrupted call's frame pointer, and takes the stack
                # pointer from that.
                sp = 0 if frame.function.startswith(SIGNAL_FRAMES) else cfa
        return found

    def registers(self, goroutine: Goroutine) -> Registers | None:
        """As Target.registers, from Delve."""
        return self._session.registers(goroutine, self.arch)

    def _locals(
        self, raws: Sequence[Raw], frame: DelveFrame, place: Place, cfa: int, calls: Sequence[Called], wanted: Wanted
    ) -> Iterator[Local]:
        for raw, hidden in with_hidden(raws[::-1]):
            name, t = str(raw["name"]), self._type(raw, frame, raws, calls)
            if wanted(frame.function, name, t):
                slot = slot_of(raw, cfa) if int(raw["flags"]) & ESCAPED else None
                found = self._placed(raw, t, name, place, frame.optimised, cfa)
                yield Local(replace(found, hidden=hidden), slot)

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """The closure's parts as Delve has them for programs of Go 1.23 and later."""
        raw = self._session.build.evaluate([at("func()", slot)], PARTS)[0]
        if raw is None or not raw["children"] or int(raw["base"]) != code:
            return ()
        word = self.arch.pointer_size
        closure = self.arch.pointer(self.memory.read(slot, word))
        parts, dictionaries = [], []
        for child in raw["children"]:
            t, address = self._session.build.types.of(child), int(child["addr"])
            offset = None if int(child["flags"]) & ESCAPED else address - closure
            parts.append(CapturedPart(str(child["name"]), t, offset, address))
            words = _WORDS.fullmatch(t.name) if child["name"] == DICTIONARY and offset is not None else None
            if words is not None:
                where = self.arch.pointer(self.memory.read(address, word))
                dictionaries.append(Dictionary(where, int(words.group(1))))
        own = self.memory.read(closure, word * (1 + MAX_CAPTURED))
        if not dictionaries and any(is_shaped(part.type) for part in parts):
            known, place = self._session.build.dictionaries, self._session.location(code)
            held = {self.arch.pointer(own, i) for i in range(word, min(len(own), word * (1 + len(parts))), word)}
            possible = candidates(known, place.function) if place is not None else ()
            dictionaries = [one for one in possible if one.address in held]
        return with_arguments(captured(parts, own, self.arch), self._arguments, dictionaries)

    def location(self, pc: int) -> Location | None:
        """As Target.location, from Delve."""
        return self._session.location(pc - 1)

    def _of_frame(self, level: int) -> list[Raw]:
        """The frame's variables, those of the innermost scope first."""
        if level not in self._variables:
            self._ask([level])
        return self._variables[level][::-1]


def _nowhere(name: str, t: GoType, place: Place) -> Variable:
    """A variable that is optimized out."""
    return Variable(name, t, data=bytes(t.size), holes=((0, t.size),), place=place)


_MAP = next(number for number, (kind, _) in enumerate(KINDS) if kind is Kind.MAP)
