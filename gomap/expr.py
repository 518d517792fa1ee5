"""Go expressions that name a value: `m`, `main.W.Ints`, `p.cfg.M`, `arr[i]`, `x.(T)`, `*p`, `0xc000012345:map[K]V`.

Parsed (gomap/syntax.py) and followed here, so that they mean the same in every debugger, in every frame and
language setting.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property, partial
from typing import Callable, Optional, TypeVar

from gomap import captures, syncmap, syntax, typenames
from gomap.errors import BadExpression, GomapError, NoSuchType, NoSuchVariable, NotAMap, NotSet, OptimizedOut
from gomap.golang.hashing.hasher import hasher_of
from gomap.golang.hashing.plans import typehash_plan
from gomap.golang.heap import Room
from gomap.golang.liveness import judged
from gomap.golang.lookup import candidates, lookup
from gomap.golang.malloc import allocator
from gomap.golang.rtype import DescribedTypes, dynamic
from gomap.golang.search import Lookup
from gomap.golang.slots import MAX_ITEM
from gomap.gotypes import Field, GoType, Kind, atomic_pointee, can_reach_map, fixed
from gomap.human import an, plural
from gomap.keys import Keys, SyncKeys
from gomap.maps import nonsense, view
from gomap.ongoroutine import OnGoroutine
from gomap.syntax import Assert, At, Convert, Deref, Index, KeyOf, Select, Step, TypedAddress
from gomap.target import Target, Variable, read_record
from gomap.typenames import means
from gomap.values import Limits, Values

_T = TypeVar("_T")
_E = TypeVar("_E", bound=GomapError)

MAX_EMBEDDED = 8
MAX_KEYS = 1 << 20
#: Expressions within the indexes of expressions.
MAX_NESTED = 8
#: Fields that a message names.
MAX_NAMED = 8


#: Gives the value at an address whose type is not named, None where nothing tells what it is (analysis/seek.py).
Seek = Callable[[int], Optional[Variable]]


def resolve(target: Target, text: str, seek: Seek | None = None) -> Variable:
    """The value that an expression names. seek: where an address may stand alone.

    Raises NoSuchVariable, NoSuchType, BadExpression, OptimizedOut, MemoryFault.
    """
    return _Follow(target, seek).resolve(text)


def keys_of(
    target: Target, note: Callable[[Variable], object] = lambda variable: None, seek: Seek | None = None
) -> Keys:
    """Makes keys of literals and of values of the program. note: is given each such value."""
    follow = _Follow(target, seek)

    def named(text: str) -> Variable:
        found = follow.resolve(text)
        note(found)
        return found

    return Keys(target, hasher_of(target), named)


def resolve_map(target: Target, text: str, seek: Seek | None = None) -> tuple[Variable, GoType, int]:
    """(the variable, its map type, address of its header or 0 when nil).

    Interfaces that hold a map and pointers to maps are followed. Raises NotAMap and what resolve raises.
    """
    return map_in(target, resolve(target, text, seek))


def resolve_behind(target: Target, text: str, seek: Seek | None = None) -> Variable:
    """The value that an expression names, or that a pointer or interface of that name leads to.

    Raises what resolve raises.
    """
    variable = resolve(target, text, seek)
    behind = unless_unset(variable, lambda: _Follow(target).concrete(variable))
    return replace(behind, name=variable.name, note=variable.note)


def map_in(target: Target, variable: Variable) -> tuple[Variable, GoType, int]:
    """The map that a value is, holds as an interface, or points to: as resolve_map."""
    found = unless_unset(variable, lambda: _map_in(target, variable))
    _check_sound(target, variable, *found[1:])
    return found


def _check_sound(target: Target, variable: Variable, t: GoType, address: int) -> None:
    """Raises NotSet where the variable may not be set and what is at the address is not a map in every way."""
    if variable.doubt is not None and not unless_unset(variable, lambda: _is_sound(target, t, address)):
        raise NotSet(variable.doubt)


def unless_unset(variable: Variable, work: Callable[[], _T]) -> _T:
    """What work finds behind the variable. Raises NotSet where it fails on one that may not be set."""
    try:
        return work()
    except (BadExpression, NotAMap, NoSuchType, OptimizedOut):
        raise
    except GomapError as error:
        if variable.doubt is None:
            raise
        raise NotSet(variable.doubt) from error


def _is_sound(target: Target, t: GoType, address: int) -> bool:
    """Whether what is at the address is a map in every way that a walk over it can tell."""
    if not address:
        return True
    found, room = view(target, t, address), Room(target)
    # On a stack that has been moved since it may be whole; hmap-show says so.
    if found.nonsense is not None or not (room.is_left(address) or nonsense(found, room) is None):
        return False
    structure = found.structure(allocator(target))
    return not structure.anomalies and structure.total.live == found.count and not structure.total.strange


def _map_in(target: Target, variable: Variable) -> tuple[Variable, GoType, int]:
    follow = _Follow(target)
    first = variable
    for _ in range(MAX_EMBEDDED):
        t = variable.type
        if t.kind is Kind.MAP:
            word = variable.read(target.memory, 0, target.arch.pointer_size)
            return replace(variable, note=first.note), t, target.arch.pointer(word)
        if t.kind is Kind.INTERFACE:
            inner = follow.unwrapped(variable)
            if inner is None:
                raise _with_doubt(first, NotAMap(f"{first.name} is a nil {t.name}: it holds no map"))
            variable = inner
        elif t.kind is Kind.POINTER and t.elem.kind in (Kind.MAP, Kind.INTERFACE, Kind.POINTER):
            variable = follow.deref(variable)
        else:
            break
    held = "" if variable.type is first.type else f" that holds {an(variable.type.name)}"
    what = f"{first.name} is not a map: it is {an(first.type.name)}{held}"
    frame = f" ({first.note})" if first.note else ""
    raise NotAMap(what + _instead(target, first.name, variable) + frame)


def _with_doubt(variable: Variable, error: _E) -> _E:
    """What is to be said where the value does not lead on, with whether the variable is set at all."""
    return error if variable.doubt is None else type(error)(f"{error} ({variable.doubt})")


def _instead(target: Target, name: str, variable: Variable) -> str:
    """What can be asked about a value that is not a map."""
    t, path = variable.type, name.strip()
    while t.kind is Kind.POINTER:
        t = t.elem
    try:
        if t.name == "sync.Map" or syncmap.detect(target, t) is not None:
            return " (hmap-sync shows it)"
        if t.kind is Kind.UNSAFE_POINTER:
            held = target.arch.pointer(variable.read(target.memory, 0, target.arch.pointer_size))
            return f": if it points to a map, name its type, as in {held:#x}:map[string]int" if held else " that is nil"
        if _is_atomic(t):
            return f": use {path}.Load()"
        if t.kind is Kind.FUNC:
            caught = captures.of(target, variable)
            named = [f"{path}.{one.name}" for one in caught if one.type.kind is Kind.MAP]
            more = "its closure captured "
        elif t.kind is Kind.STRUCT:
            named = [f.name for f in t.fields if f.type.kind is Kind.MAP]
            more = "its maps: "
        elif t.kind in (Kind.ARRAY, Kind.SLICE) and t.elem.kind in (
            Kind.MAP,
            Kind.POINTER,
            Kind.STRUCT,
            Kind.INTERFACE,
        ):
            return f": name an element, as in {path}[0]"
        else:
            return ""
    except GomapError:
        return ""
    rest = ", ..." if len(named) > MAX_NAMED else ""
    return f" ({more}{', '.join(named[:MAX_NAMED])}{rest})" if named else ""


def _is_atomic(t: GoType) -> bool:
    """Whether Load of the type may give something that leads to a map."""
    return t.name == "sync/atomic.Value" or t.name.startswith("sync/atomic.Pointer[")


# -- names -------------------------------------------------------------------------------------------


def _root(target: Target, name: str, quoted: bool) -> tuple[Variable, list[Step]]:
    """The variable that the longest prefix of a dotted name stands for, and the fields that follow.

    A name in quotes is that of a symbol first, as in gdb: no local variable hides it.
    """
    if quoted:
        whole = target.variable(name)
        if whole is not None:
            return whole, []
    slash = name.rfind("/") + 1
    parts = name[slash:].split(".")
    prefix = name[:slash]
    # A local hides a package of that name, but in its own function alone: callers' locals come after packages.
    dotted = len(parts) > 1
    local = None if prefix else target.variable(parts[0], callers=not dotted)
    if local is not None:
        return local, [Select(part) for part in parts[1:]]
    for end in range(2, len(parts) + 1):
        spelt = prefix + ".".join(parts[:end])
        found = target.variable(spelt) or (target.variable(typenames.as_symbol(spelt)) if end > 2 else None)
        if found is not None:
            return found, [Select(part) for part in parts[end:]]
    local = target.variable(parts[0]) if dotted and not prefix else None
    if local is not None:
        return local, [Select(part) for part in parts[1:]]
    package = None if prefix else target.package
    if package:
        found = target.variable(f"{package}.{parts[0]}")
        if found is not None:
            return found, [Select(part) for part in parts[1:]]
    if dotted and not prefix:
        for path in typenames.paths_of(target, parts[0]):
            for end in range(2, len(parts) + 1):
                found = target.variable(f"{path}.{'.'.join(parts[1:end])}")
                if found is not None:
                    return found, [Select(part) for part in parts[end:]]
    where = "in this frame, the frames that called it, or the packages"
    if isinstance(target, OnGoroutine):
        unseen = f" ({target.problem})" if target.problem else ""
        where = f"in the frames of goroutine {target.goroutine}{unseen} or the packages"
    hint = "package variables need their full name, like main.cache"
    if target.kind == "recorded":
        where = "in the file"
        hint = f"it has {', '.join(v.name for v in target.frame_variables(can_reach_map) if can_reach_map(v.type))}"
    if target.kind != "recorded" and dotted:
        for package in [prefix + parts[0], *(() if prefix else typenames.paths_of(target, parts[0]))]:
            why = _not_a_variable(target, package, parts[1])
            if why is not None:
                raise NoSuchVariable(why)
    meant = _meant(target, name)
    package = prefix + parts[0]
    if not meant and len(parts) > 1 and package == target.package and target.variable(parts[1]) is not None:
        rest = ".".join(parts[1:])
        raise NoSuchVariable(
            f"no package variable {package}.{parts[1]}: {rest} is a local variable; did you mean {rest}?"
        )
    if not meant and dotted and typenames.has_package(target, package):
        raise NoSuchVariable(
            f"the program has no variable {name!r}: it has the package {package}, but the linker drops unused variables"
        )
    raise NoSuchVariable(f"no variable {name!r} {where}: {f'did you mean {meant}?' if meant else hint}")


def _not_a_variable(target: Target, package: str, name: str) -> str | None:
    """What a name of the package is, where the package is in the program and has no such variable."""
    full = f"{package}.{name}"
    try:
        address = target.symbol(full)
        code = None if address is None else target.location(address + 1)
    except GomapError:
        return None
    if code is not None and code.function == full:
        return f"{full} is a function: name a variable"
    return None


def _meant(target: Target, name: str) -> str | None:
    """The variable that leads to maps whose name is nearest to the first parts of one that there is not.

    Package variables are looked through for what may be one: a debugger reads its symbols for that.
    """
    wanted = name.lstrip("&").lower()
    packages = "." in wanted or name[:1].isupper()
    slash = wanted.rfind("/") + 1
    first = wanted[:slash] + ".".join(wanted[slash:].split(".")[:2])  # what follows may be fields
    forms: dict[str, str] = {}
    try:
        known = list(target.frame_variables(can_reach_map))
        known += target.package_variables(can_reach_map) if packages else ()
        for variable in known:
            full = variable.name
            # With a package's last word, as the program's text has it, or without a package.
            for form in (full, full[full.rfind("/") + 1 :], full[full.rfind(".") + 1 :]):
                forms.setdefault(form.lower(), full)
    except GomapError:
        return None
    near = (get_close_matches(word, forms, 1, 0.8) for word in (wanted, first))
    return next((forms[found[0]] for found in near if found), None)


# -- following ---------------------------------------------------------------------------------------


class _Follow:
    """Follows expressions in one target."""

    def __init__(self, target: Target, seek: Seek | None = None) -> None:
        self.target = target
        self._seek = seek
        self.types = DescribedTypes(target)
        self._nested = 0
        #: What is to be said of the variables that the expression and its indexes name.
        self._notes: dict[str, None] = {}

    @cached_property
    def _keys(self) -> Keys:
        # A hasher changes the target of its types, to one that sees keys that were typed.
        return Keys(self.target, hasher_of(self.target), self.resolve)

    def resolve(self, text: str) -> Variable:
        text = text.strip()
        if not text:
            raise BadExpression("an expression is missing: name a variable, or 0xADDR:TYPE")
        if self._nested >= MAX_NESTED:
            raise BadExpression(f"{text!r}: indexes are nested more than {MAX_NESTED} deep")
        root, steps = syntax.parse(text)
        if not self._nested:
            self._notes = {}
        self._nested += 1
        try:
            variable, rest = self._root(text, root)
            if variable.note:
                self._notes.setdefault(variable.note)
            first = variable
            for step in [*rest, *steps]:
                variable = unless_unset(first, partial(self._step, variable, step))
        finally:
            self._nested -= 1
        return replace(variable, name=text, note="; ".join(self._notes) or None)

    # -- roots -------------------------------------------------------------------------------------

    def _root(self, text: str, root: syntax.Root) -> tuple[Variable, list[Step]]:
        if isinstance(root, At):
            return self._at(text, root), []
        if isinstance(root, Convert):
            return self._converted(root), []
        variable, rest = _root(self.target, root.text, root.quoted)
        return judged(self.target, variable), rest

    def _type(self, name: str) -> GoType:
        t = typenames.find(self.target, name)
        if t is None:
            raise NoSuchType(
                f"the debug information has no type {name!r}: write it with full package paths, as in "
                "0xc000012345:map[string]*example.com/shop/cart.Item"
            )
        return t

    def _at(self, text: str, at: At) -> Variable:
        if at.type == "":
            raise BadExpression(f"{text!r}: a type is missing behind the colon")
        if at.type is None:
            found = self._seek(at.address) if self._seek is not None else None
            if found is not None:
                return found
            raise BadExpression(
                f"no variable or object is known to lie at {at.address:#x}: name its type, as in {at.address:#x}:TYPE"
            )
        t = self._type_at(at.address, at.type)
        if t.kind is Kind.MAP:  # the address is the header's: the map value itself is that pointer
            return Variable(text, t, data=self.target.arch.pack(at.address & (1 << 8 * t.size) - 1))
        return Variable(text, t, address=at.address)

    def _type_at(self, address: int, name: str) -> GoType:
        """The type of that name. Where several may be meant, or the debug information has none, what is known to lie
        at the address tells which."""
        try:
            return self._type(name)
        except (NoSuchType, BadExpression):
            found = self._seek(address) if self._seek is not None else None
            if found is not None and means(name, found.type.name):
                return found.type
            t = typenames.listed(self.target, name)
            if t is None:
                raise
            return t

    def _converted(self, root: Convert) -> Variable:
        try:
            t = self._type(root.type)
        except NoSuchType:
            raise BadExpression(
                f"{root.type!r} is not a type, and functions are not called: name a variable or a type"
            ) from None
        word = self.target.arch.pointer_size
        name = f"{root.type}({root.value})"
        number = syntax.ADDRESS.fullmatch(root.value)
        if t.size == word and number is not None and t.kind not in (Kind.INT, Kind.UINT, Kind.FLOAT):
            return Variable(name, t, data=self.target.arch.pack(int(root.value, 16) & (1 << 8 * word) - 1))
        if t.kind in (Kind.MAP, Kind.FUNC, Kind.SLICE):
            given = self.resolve(root.value)
            if given.type.kind is not t.kind and given.type.kind is not Kind.UNSAFE_POINTER:
                raise BadExpression(f"{given.name} is {an(given.type.name)}: it can't be converted to {t.name}")
            return replace(given, name=name, type=t)
        if t.kind is Kind.POINTER:
            given = self.resolve(root.value)
            if given.type.kind is Kind.INTERFACE:
                given = self.unwrapped(given) or given
            if given.type.size != word:
                raise BadExpression(f"{given.name} is {an(given.type.name)}: it can't be converted to {t.name}")
            return replace(given, name=name, type=t)
        return Variable(name, t, data=self._keys.parse(t, root.value))

    # -- steps -------------------------------------------------------------------------------------

    def _step(self, variable: Variable, step: Step) -> Variable:
        if isinstance(step, Select):
            return self._select(variable, step.field)
        if isinstance(step, Index):
            return self._index(variable, step.key)
        if isinstance(step, Deref):
            if variable.type.kind is Kind.INTERFACE:  # of what it holds
                variable = self.unwrapped(variable) or variable
            if variable.type.kind is not Kind.POINTER:
                raise BadExpression(f"{variable.name} is not a pointer: it is {an(variable.type.name)}")
            return self.deref(variable)
        if isinstance(step, TypedAddress):
            return self._address(variable)
        if isinstance(step, Assert):
            return self._assert(variable, step.type)
        if isinstance(step, KeyOf):
            return self._entry(variable, step.key, f"{variable.name}.key({step.key})", of_key=True)
        return self._load(variable, step.key)

    def deref(self, variable: Variable) -> Variable:
        address = self.target.arch.pointer(variable.read(self.target.memory, 0, self.target.arch.pointer_size))
        if not address:
            raise _with_doubt(variable, BadExpression(f"{variable.name} is a nil {variable.type.name}"))
        name = f"*{variable.name}"
        return self._at_address(variable, name, variable.type.elem, address)

    def _at_address(self, holder: Variable, name: str, t: GoType, address: int) -> Variable:
        """A value that the holder leads to."""
        return Variable(name, t, address, place=holder.place, doubt=holder.doubt)

    def _address(self, variable: Variable) -> Variable:
        if variable.address is None:
            raise BadExpression(f"{variable.name} has no address here: it is in a register, or was optimized out")
        word = self.target.arch.pointer_size
        t = GoType(Kind.POINTER, f"*{variable.type.name}", word, lazy_elem=fixed(variable.type))
        data = self.target.arch.pack(variable.address)
        return replace(self._at_address(variable, f"&{variable.name}", t, 0), address=None, data=data)

    def unwrapped(self, variable: Variable) -> Variable | None:
        """The value in an interface, None when nil."""
        word = self.target.arch.pointer_size
        held = dynamic(self.types, variable.type, variable.read(self.target.memory, 0, 2 * word))
        if held is None:
            return None
        t, first, direct = held
        if direct:
            return replace(variable, type=t, address=None, data=self.target.arch.pack(first), holes=())
        return replace(variable, type=t, address=first, data=None, holes=())

    def concrete(self, variable: Variable) -> Variable:
        """Through interfaces and pointers, as Go's selectors and this tool's convenience have it."""
        for _ in range(MAX_EMBEDDED):
            if variable.type.kind is Kind.INTERFACE:
                inner = self.unwrapped(variable)
                if inner is None:
                    raise _with_doubt(variable, BadExpression(f"{variable.name} is a nil {variable.type.name}"))
                variable = replace(inner, name=variable.name)
            elif variable.type.kind is Kind.POINTER:
                variable = replace(self.deref(variable), name=variable.name)
            else:
                break
        return variable

    def _assert(self, variable: Variable, wanted: str) -> Variable:
        name = f"{variable.name}.({wanted})"
        holder = variable
        if holder.type.kind is Kind.POINTER and holder.type.elem.kind is Kind.INTERFACE:
            holder = self.deref(holder)
        if holder.type.kind is not Kind.INTERFACE:
            if means(wanted, holder.type.name):
                return variable
            raise BadExpression(f"{variable.name} is not an interface: it is {an(holder.type.name)}")
        inner = self.unwrapped(holder)
        if inner is None:
            what = f"{variable.name} is a nil {holder.type.name}, so it holds no {wanted}"
            raise _with_doubt(variable, BadExpression(what))
        if means(wanted, inner.type.name):
            return replace(inner, name=name)
        t = typenames.find(self.target, wanted)
        if t is not None and t.kind is Kind.INTERFACE:  # it holds what it holds
            return replace(holder, name=name)
        what = f"{variable.name} holds {an(inner.type.name)}, not {an(wanted)}"
        raise _with_doubt(variable, BadExpression(what))

    def _select(self, variable: Variable, name: str) -> Variable:
        holder = self.concrete(variable)
        t = holder.type
        if t.kind is Kind.FUNC:
            return self._captured(holder, name)
        path = find_field(t, name) if t.kind is Kind.STRUCT else None
        if path is None:
            raise BadExpression(f"{variable.name} has no field {name}: {self._has(variable, holder, name)}")
        for field in path:
            holder = self.concrete(holder)
            pointee = atomic_pointee(holder.type) if field.name == "v" else None
            holder = holder.part(f"{variable.name}.{name}", field.type, field.offset)
            if pointee is not None:  # of an atomic.Pointer[T], which is an unsafe.Pointer
                holder = replace(holder, type=self._pointer_to(pointee[1]))
        return holder

    def _pointer_to(self, t: GoType) -> GoType:
        return GoType(Kind.POINTER, f"*{t.name}", self.target.arch.pointer_size, lazy_elem=fixed(t))

    def _has(self, variable: Variable, holder: Variable, name: str) -> str:
        t = holder.type
        if t.kind is Kind.MAP and t.key.kind is Kind.STRING:
            return f'it is {an(t.name)}: use {variable.name}["{name}"] for an element'
        if t.kind is not Kind.STRUCT:
            held = "" if t is variable.type else f" that holds {an(t.name)}"
            return f"it is {an(variable.type.name)}{held}"
        if not t.fields:
            return f"{t.name} has no fields"
        more = ", ..." if len(t.fields) > 12 else ""
        every = {one.lower(): one for one in _promoted(t)}
        near = get_close_matches(name.lower(), every, 1, 0.7)
        meant = f" (did you mean {every[near[0]]}?)" if near else ""
        return f"it has {', '.join(f.name for f in t.fields[:12])}{more}{meant}"

    def _captured(self, holder: Variable, name: str) -> Variable:
        found = captures.of(self.target, holder)
        one = next((one for one in found if one.name == name), None)
        if one is None:
            known = ", ".join(one.name for one in found[:12])
            what = (
                f"what it captured and can be found is {known}"
                if known
                else "no variable that it captured can be found"
            )
            raise BadExpression(f"{holder.name} is {an(holder.type.name)}, without a captured {name}: {what}")
        return replace(one, name=f"{holder.name}.{name}", doubt=holder.doubt)

    def _load(self, variable: Variable, key: str | None) -> Variable:
        holder = self.concrete(variable)
        name = f"{variable.name}.Load({key or ''})"
        if key is not None:
            return self._entry(variable, key, name)
        t = holder.type
        if (
            t.kind is not Kind.STRUCT
            or t.field("v") is None
            or not t.name.startswith(("sync/atomic.", "internal/runtime/atomic."))
        ):
            raise BadExpression(f"{variable.name} is {an(t.name)}: .Load() is for the types of sync/atomic")
        return replace(self._select(holder, "v"), name=name)

    # -- containers --------------------------------------------------------------------------------

    def _index(self, variable: Variable, key: str) -> Variable:
        holder = self.concrete(variable)
        t, name = holder.type, f"{variable.name}[{key}]"
        if t.kind is Kind.MAP or syncmap.detect(self.target, t) is not None:
            return self._entry(variable, key, name)
        if t.kind not in (Kind.ARRAY, Kind.SLICE, Kind.CHAN):
            raise BadExpression(f"{variable.name} can't be indexed with {key}: it is {an(t.name)}")
        index = self._number(variable, t, key)
        if t.kind is Kind.CHAN:
            return self._buffered(holder, index, name)
        if t.kind is Kind.ARRAY:
            if not 0 <= index < t.length:
                raise BadExpression(f"{name} is out of range: {t.name} has {plural(t.length, 'element')}")
            return holder.part(name, t.elem, index * t.elem.size)
        word = self.target.arch.pointer_size
        head = holder.read(self.target.memory, 0, 2 * word)
        start, length = self.target.arch.pointer(head), self.target.arch.pointer(head, word)
        if not 0 <= index < length:
            self._check_room(variable, start, length * t.elem.size)
            what = f"{name} is out of range: the slice has {plural(length, 'element')}"
            raise _with_doubt(variable, BadExpression(what))
        return self._at_address(variable, name, t.elem, start + index * t.elem.size)

    def _check_room(self, variable: Variable, start: int, size: int) -> None:
        """Raises NotSet where the variable may not be set and its array lies nowhere."""
        if variable.doubt is not None and not Room(self.target).has(start, size):
            raise NotSet(variable.doubt)

    def _number(self, variable: Variable, t: GoType, key: str) -> int:
        if ":" in key and not key.startswith(('"', "`", "0x", "0X")):
            raise BadExpression(f"{variable.name}[{key}]: slices of slices are not made; use the index of one element")
        number = GoType(Kind.INT, "int", self.target.arch.pointer_size)
        try:
            data = self._keys.parse(number, key)
        except BadExpression as error:
            raise BadExpression(
                f"{variable.name} can't be indexed with {key}: it is {an(t.name)}, and {error}"
            ) from error
        return int.from_bytes(data, self.target.arch.byte_order, signed=True)  # type: ignore[arg-type]

    def _buffered(self, holder: Variable, index: int, name: str) -> Variable:
        """The value that is received after `index` others: runtime.hchan of runtime/chan.go."""
        word, t = self.target.arch.pointer_size, self.target.find_type("runtime.hchan")
        address = self.target.arch.pointer(holder.read(self.target.memory, 0, word))
        waiting = 0
        if address and t is not None:
            record = read_record(self.target, t, address)
            waiting, room = record["qcount"], record["dataqsiz"]
            if 0 <= index < min(waiting, room):
                elem = holder.type.elem
                at = record["buf"] + (record["recvx"] + index) % room * elem.size
                return self._at_address(holder, name, elem, at)
            self._check_room(holder, record["buf"], room * holder.type.elem.size)
        what = f"{name} is out of range: the channel's buffer holds {plural(waiting, 'value')}"
        raise _with_doubt(holder, BadExpression(what))

    def _entry(self, variable: Variable, key: str, name: str, of_key: bool = False) -> Variable:
        """The elem (of_key: the key) that a map or sync.Map has for the key."""
        holder = self.concrete(variable)
        t = holder.type
        if t.kind is Kind.MAP:
            found = self._looked_up(holder, key, name)
            at, part = (found.key_address, t.key) if of_key else (found.elem_address, t.elem)
        elif syncmap.detect(self.target, t) is not None:
            at, part = self._in_sync_map(holder, key, name, of_key)
        else:
            raise BadExpression(f"{variable.name} is not a map or sync.Map: it is {an(t.name)}")
        return replace(holder, name=name, type=part, address=at, data=None, holes=())

    def _looked_up(self, holder: Variable, key: str, name: str) -> Lookup:
        t, keys = holder.type, self._keys
        address = self.target.arch.pointer(holder.read(self.target.memory, 0, self.target.arch.pointer_size))
        _check_sound(self.target, holder, t, address)
        found = view(keys.target, t, address) if address else None
        raw = keys.find(t.key, key, found, Limits())
        if found is not None:
            plans = candidates(found, keys.hasher)
            if not plans and found.count > MAX_KEYS:
                raise BadExpression(f"{name}: the map has too many entries to look through")
            result = lookup(found, keys.hasher, plans, raw)
            if result.found:
                return result
            if result.broken is not None:
                raise BadExpression(f"{name}: {result.broken.message}")
        values = Values(keys.target, Limits(depth=2, text=64, total=256), keys.hasher.types, comments=False)
        what = f"{holder.name}[{values.key_text(t.key, raw)}]: the map has no such key"
        raise _with_doubt(holder, BadExpression(what))

    def _in_sync_map(self, holder: Variable, key: str, name: str, of_key: bool) -> tuple[int, GoType]:
        keys, raw = self._keys, None
        for count, entry in enumerate(syncmap.entries(self.target, holder)):
            if count > MAX_KEYS:
                raise BadExpression(f"{name}: the sync.Map has too many entries to look through")
            t = entry.key_type
            if raw is None:
                raw = keys.find(t, key, SyncKeys(self.target, holder), Limits())
            plan = typehash_plan(t)
            try:
                data = self.target.memory.read(entry.key_address, min(t.size, MAX_ITEM))
                same = plan is not None and keys.hasher.equal(plan, raw, data)
            except GomapError:
                continue
            if same:
                return (entry.key_address, t) if of_key else (entry.value_address, entry.value_type)
        raise _with_doubt(holder, BadExpression(f"{name}: the sync.Map has no such key"))


def find_field(t: GoType, name: str) -> list[Field] | None:
    """The field, or the shortest way to it through embedded structs, as Go promotes fields."""
    level: list[tuple[GoType, list[Field]]] = [(t, [])]
    for _ in range(MAX_EMBEDDED):
        deeper = []
        for struct, path in level:
            found = struct.field(name)
            if found is not None:
                return [*path, found]
            for field in struct.fields:
                inner = field.type.elem if field.type.kind is Kind.POINTER else field.type
                if inner.kind is Kind.STRUCT and _is_embedded(field, inner):
                    deeper.append((inner, [*path, field]))
        level = deeper
    return None


def _promoted(t: GoType) -> list[str]:
    """Names of the struct's fields and of those of embedded structs, the outermost first."""
    names: dict[str, None] = {}
    level = [t]
    for _ in range(MAX_EMBEDDED):
        deeper = []
        for struct in level:
            for field in struct.fields:
                names.setdefault(field.name)
                inner = field.type.elem if field.type.kind is Kind.POINTER else field.type
                if inner.kind is Kind.STRUCT and _is_embedded(field, inner):
                    deeper.append(inner)
        level = deeper
    return list(names)


def _is_embedded(field: Field, inner: GoType) -> bool:
    """Debug information does not always say which fields are embedded: their name is their type's."""
    return field.embedded or field.name == inner.name.partition("[")[0].rsplit(".", 1)[-1]
