"""Goroutines' frames and their variables, by the runtime's tables and the debug information in the program's file.

What a variable is and where it lies is judged as it is in gdb (gdbext/variables.py): by the same rules in gomap/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from gomap.analysis.references import given
from gomap.dwarf.entries import BadDwarf
from gomap.dwarf.info import DebugInfo
from gomap.enclosed import Declaration, Enclosed
from gomap.errors import GomapError
from gomap.golang.runtime import dictionaries
from gomap.golang.runtime.dictionaries import MAX_CALLERS, Arguments, Dictionary, candidates, is_shaped, within
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.pieces import are_all
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.golang.runtime.unwind import Standing, Unwinder
from gomap.gotypes import GoType, Kind
from gomap.places import Declared, is_whole, meant, pieced, undeclared
from gomap.scopes import Scope, Scopes
from gomap.stripped.program import Stripped
from gomap.target import Captured, Frame, Goroutine, Local, Location, Place, Registers, Target, Variable, Wanted

#: Kinds of values that may be in pieces.
_OF_WORDS = frozenset({Kind.STRUCT, Kind.ARRAY, Kind.SLICE, Kind.INTERFACE})


class Files:
    """Facts about the program's file, kept for the session. moved: the distance between its linked and loaded
    addresses."""

    def __init__(self, info: DebugInfo | Stripped, moved: int) -> None:
        self.info, self.moved = info, moved
        #: By names that were asked for; None where the program has none.
        self.types: dict[str, GoType | None] = {}
        self._scopes = Scopes(info) if isinstance(info, DebugInfo) else None
        self._dictionaries: dictionaries.Known | None = None

    @property
    def scopes(self) -> Scopes:
        """Raises BadDwarf for a stripped program."""
        if self._scopes is None:
            raise BadDwarf("the program is stripped of debug information")
        return self._scopes

    def dictionaries(self, anchor: int | None) -> dictionaries.Known:
        """The dictionaries of generic functions, from the program's symbol table.

        anchor: address of the symbol dictionaries.ANCHOR in the process, which shows how far the program was moved.
        """
        if self._dictionaries is None:
            self._dictionaries = dictionaries.of_file(self.info.path, anchor, self.info.arch.pointer_size)
        return self._dictionaries


#: A call on the stack, with its frames as debug information knows them: of functions that are inlined first.
_Calls = Sequence[tuple[Standing, Sequence[tuple[Location, "Scope | None"]]]]


class Frames:
    """Unwinds goroutines of one target."""

    def __init__(self, target: Target, files: Files) -> None:
        self._target, self._files = target, files
        self._arch, self._memory = target.arch, target.memory
        self._functions = Functions(target)
        self._unwinder = Unwinder(target, self._functions)
        self._places: dict[tuple[int, int], Sequence[tuple[Location, Scope | None]]] = {}

    def of(self, goroutine: Goroutine, registers: Registers | None, wanted: Wanted) -> list[Frame]:
        """The goroutine's frames, the newest first, with the variables that are wanted. registers: of its thread."""
        standing = self._unwinder.goroutine(goroutine, registers)
        calls = [(one, self._at(one)) for one in standing]
        found: list[Frame] = []
        for level, (call, frames) in enumerate(calls):
            for location, scope in frames:
                place = Place("", goroutine.id, len(found), location.function, location.file, location.line)
                own = () if scope is None else self._locals(scope, calls, level, place, wanted)
                found.append(Frame(location.function, location.file, location.line, call.pc, call.sp, tuple(own)))
        return found

    def _at(self, standing: Standing) -> Sequence[tuple[Location, Scope | None]]:
        """The frames of a call. Their functions are named as debug information does: the runtime's tables shorten type
        arguments."""
        key = (standing.pc, standing.instruction)
        if key not in self._places:
            self._places[key] = self._look_up(standing)
        return self._places[key]

    def _look_up(self, standing: Standing) -> Sequence[tuple[Location, Scope | None]]:
        at, moved = standing.instruction, self._files.moved
        try:
            locations = self._functions.frames(at)
            entry = self._functions.entry(at)
        except GomapError:
            return [(Location("?", None, None), None)]
        try:
            scopes = self._files.scopes.at(entry - moved, at - moved, locations[-1].function)
        except BadDwarf:
            scopes = ()
        found: list[tuple[Location, Scope | None]] = []
        alike = True
        # From the function inward: what one source has and the other has not ends it.
        for i, location in enumerate(reversed(locations)):
            scope = scopes[-1 - i] if i < len(scopes) else None
            alike = alike and scope is not None and _is_one(location.function, scope.function)
            if alike and scope is not None:
                found.append((replace(location, function=scope.function), scope))
            else:
                found.append((location, None))
        return found[::-1]

    # -- closures ------------------------------------------------------------------------------------

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """See Target.captured."""
        info = self._files.info
        if isinstance(info, Stripped):
            return ()
        try:
            name = self._functions.name(code)
            kept = info.captured(name)
            if kept is not None:
                return self._enclosed.kept(info, name, kept, slot)
        except GomapError:
            pass
        try:
            if self._functions.entry(code) != code:
                return ()
            scope = self._files.scopes.declared(code - self._files.moved, self._functions.name(code))
            if scope is None:
                return ()
            of = self._files.scopes.type
            declared = [Declaration(one.name, of(one)[0], one.line, one.is_argument) for one in scope.variables]
            return self._enclosed.declared(scope.function, scope.line, declared, slot)
        except GomapError:
            return ()

    @cached_property
    def _enclosed(self) -> Enclosed:
        return Enclosed(self._arch, self._memory, lambda: self.arguments, lambda: self.dictionaries)

    # -- variables -----------------------------------------------------------------------------------

    def _locals(self, scope: Scope, calls: _Calls, level: int, place: Place, wanted: Wanted) -> list[Local]:
        line = place.line or 0
        by_name: dict[str, list[Declared]] = {}
        for one in scope.variables:
            by_name.setdefault(one.name.lstrip("&"), []).append(one)
        found = []
        for one in scope.variables:
            if undeclared(one.is_argument, one.line, line):
                continue
            name = one.name.lstrip("&")
            try:
                t = self._type(one, scope, calls, level)
                if not wanted(scope.function, name, t):
                    continue
                local = self._local(one, scope, calls[level][0], t, name, place)
            except GomapError:
                continue
            named = [(other, other.is_argument, other.line) for other in by_name[name]]
            hidden = len(named) > 1 and meant(named, line)[0] is not one
            found.append(replace(local, variable=replace(local.variable, hidden=hidden)))
        return found

    def _local(self, declared: Declared, scope: Scope, standing: Standing, t: GoType, name: str, place: Place) -> Local:
        """Raises GomapError."""
        captured = declared.name.startswith("&")
        place = replace(place, kind="captured" if captured else "argument" if declared.is_argument else "local")
        variable = self._placed(declared, standing, Variable(name, t, place=place))
        if not captured:
            return Local(variable)
        pointer = self._arch.pointer(variable.read(self._memory, 0, self._arch.pointer_size))
        return Local(Variable(name, t.elem, pointer, place=place), variable.address)

    def _placed(self, declared: Declared, standing: Standing, variable: Variable) -> Variable:
        """The variable at its place. If its function waits for a call, the location list's entry at the return
        address says what still exists: registers that are passed to the call are listed up to the end of the call."""
        if standing.top is None:
            return variable
        moved, t, word = self._files.moved, variable.type, self._arch.pointer_size
        registers = {} if standing.registers is None else standing.registers.values
        parts = declared.at(standing.instruction - moved) or ()
        in_memory = len(parts) == 1 and not parts[0].size and parts[0].register is None
        if not in_memory or t.kind in _OF_WORDS:
            told = None if declared.entries is None else declared.at(standing.pc - moved) or ()
            pieces = [part.size for part in told or () if part.size]
            if told is not None and not is_whole(declared.entries or ()) and not are_all(t, pieces, word):
                return variable
            if standing.registers is None and (told is not None or t.kind not in _OF_WORDS):
                parts = told or ()
        if not parts:
            return variable
        found = pieced(self._memory, self._arch, parts, standing.top, registers, variable)
        if len(parts) == 1 and parts[0].address is not None and found.address is not None:
            return replace(found, address=found.address + moved)
        return found

    # -- types ---------------------------------------------------------------------------------------

    def _type(self, declared: Declared, scope: Scope, calls: _Calls, level: int) -> GoType:
        """The variable's type: in a generic function with the actual type arguments if these can be determined,
        otherwise with their shapes."""
        t, index = self._files.scopes.type(declared)
        if not is_shaped(t):
            return t
        pointer = index is None and declared.name.startswith("&") and t.kind is Kind.POINTER
        actual = self._actual(scope, calls, level, index, t.elem if pointer else t)
        if actual is None:
            return t
        return dictionaries.pointer_to(actual, self._arch.pointer_size) if pointer else actual

    def _actual(self, scope: Scope, calls: _Calls, level: int, index: int | None, shape: GoType) -> GoType | None:
        possible = self._of_function(scope, calls[level][0])
        found = self.arguments.actual(possible, index, shape)
        if found is not None or len(possible) < 2 or scope is not calls[level][1][-1][1]:
            return found
        return self.arguments.actual(self._given(calls, level, possible), index, shape)

    def _of_function(self, scope: Scope, standing: Standing) -> Sequence[Dictionary]:
        """The dictionaries that the function may have got: its own .dict, where it has one."""
        own = next((one for one in scope.variables if one.name == dictionaries.VARIABLE), None)
        if own is not None and (scope.plain or own.entries is not None):
            try:
                t, _ = self._files.scopes.type(own)
                if t.kind is Kind.POINTER and t.elem.kind is Kind.ARRAY:
                    held = self._placed(own, standing, Variable(own.name, t))
                    data = held.read(self._memory, 0, self._arch.pointer_size)
                    return [Dictionary(self._arch.pointer(data), t.elem.length)]
            except GomapError:
                pass
        return candidates(self.dictionaries, scope.function)

    @property
    def dictionaries(self) -> dictionaries.Known:
        """Those of the whole program, by the symbols in its file."""
        return self._files.dictionaries(self._target.symbol(dictionaries.ANCHOR))

    def _given(
        self, calls: _Calls, level: int, possible: Sequence[Dictionary], callers: int = MAX_CALLERS
    ) -> Sequence[Dictionary]:
        """The dictionary that the calling function's code passes or, if the caller is generic too, has in its own
        dictionary."""
        if level + 1 >= len(calls):
            return ()
        addresses = {one.address for one in possible}
        standing, frames = calls[level + 1]
        found, (_, scope) = given(self._target, standing.pc, addresses), frames[0]
        if found is None and callers and scope is not None and dictionaries.SHAPE in scope.function:
            its = self._of_function(scope, standing)
            if len(its) > 1 and len(frames) == 1:
                its = self._given(calls, level + 1, its, callers - 1)
            found = within(self._target, its, addresses)
        return [one for one in possible if one.address == found]

    @cached_property
    def arguments(self) -> Arguments:
        """Reads type arguments from dictionaries of generic functions."""
        return Arguments(DescribedTypes(self._target))


def _is_one(short: str, full: str) -> bool:
    """Whether both are the name of one function. short: as the runtime has it, without type arguments."""
    if short == full:
        return True
    at = short.find("[...]")
    return at >= 0 and full.startswith(short[: at + 1])
