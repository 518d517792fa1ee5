"""One part of an expression after another, followed from a variable: fields, keys, indexes, pointers, assertions."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property, partial
from typing import Callable, Optional, TypeVar

from gomap import captures, syncmap, syntax, typenames
from gomap.errors import BadExpression, GomapError, NoSuchType, NotAMap, NotSet, OptimizedOut
from gomap.fields import MAX_EMBEDDED, find_field, promoted
from gomap.golang.hashing.hasher import hasher_of
from gomap.golang.hashing.plans import typehash_plan
from gomap.golang.layouts.lookup import candidates, lookup
from gomap.golang.layouts.search import Lookup
from gomap.golang.layouts.slots import MAX_ITEM
from gomap.golang.runtime.heap import Room
from gomap.golang.runtime.liveness import judged
from gomap.golang.runtime.malloc import allocator
from gomap.golang.runtime.rtype import DescribedTypes, dynamic
from gomap.gotypes import GoType, Kind, atomic_pointee, fixed
from gomap.human import an, plural
from gomap.keys import Keys, SyncKeys
from gomap.maps import nonsense, view
from gomap.names import root_of
from gomap.syntax import Assert, AtAddress, Convert, Deref, Index, KeyOf, Select, Step, TypedAddress
from gomap.target import Target, Variable, read_record, without_names
from gomap.typenames import means
from gomap.values import Limits, Values

MAX_KEYS = 1 << 20
#: Expressions within the indexes of expressions.
MAX_NESTED = 8
#: Gives the value at an address whose type is not named; None if its type is not found (analysis/seek.py).
Seek = Callable[[int], Optional[Variable]]


class Follow:
    """Follows expressions in one target."""

    def __init__(self, target: Target, seek: Seek | None = None) -> None:
        self.target = target
        self._seek = seek
        self.types = DescribedTypes(target)
        self._nested = 0
        #: Notes on the variables that the expression and its indexes name.
        self._notes: dict[str, None] = {}

    @cached_property
    def _keys(self) -> Keys:
        # A hasher changes the target of its types, to one that sees keys that were typed.
        return Keys(self.target, hasher_of(self.target), self.resolve)

    def resolve(self, text: str) -> Variable:
        """The value that an expression names.

        Raises BadExpression, NoSuchVariable, NoSuchType, MemoryFault, OptimizedOut, NotSet.
        """
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
        except GomapError as error:
            error.notes += tuple(self._notes)
            raise
        finally:
            self._nested -= 1
        return replace(variable, name=text, note="; ".join(self._notes) or None)

    # -- roots -------------------------------------------------------------------------------------

    def _root(self, text: str, root: syntax.Root) -> tuple[Variable, list[Step]]:
        if isinstance(root, AtAddress):
            return self._at(text, root), []
        if isinstance(root, Convert):
            return self._converted(root), []
        variable, rest = root_of(self.target, root.text, root.quoted)
        return judged(self.target, variable), rest

    def _type(self, name: str) -> GoType:
        t = typenames.find(self.target, name)
        if t is None:
            where = "debug information" if without_names(self.target) is None else "program"
            raise NoSuchType(
                f"the {where} has no type {name!r}: write it with full package paths, as in "
                "0xc000012345:map[string]*example.com/shop/cart.Item"
            )
        return t

    def _at(self, text: str, at: AtAddress) -> Variable:
        if at.type == "":
            raise BadExpression(f"{text!r}: a type is missing behind the colon")
        if at.type is None:
            found = self._seek(at.address) if self._seek is not None else None
            if found is not None:
                return found
            raise BadExpression(
                f"no variable or object is known at {at.address:#x}: name its type, as in {at.address:#x}:TYPE"
            )
        t = self._type_at(at.address, at.type)
        if t.kind is Kind.MAP:  # the address is the header's: the map value itself is that pointer
            return Variable(text, t, data=self.target.arch.pack(at.address & (1 << 8 * t.size) - 1))
        return Variable(text, t, address=at.address)

    def _type_at(self, address: int, name: str) -> GoType:
        """The type of that name. If the name is ambiguous or the debug information has no such type, the value that is
        known to be at the address decides."""
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
        """What a pointer variable points to. Raises BadExpression for a nil pointer."""
        address = self.target.arch.pointer(variable.read(self.target.memory, 0, self.target.arch.pointer_size))
        if not address:
            raise BadExpression(f"{variable.name} is a nil {variable.type.name}")
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
                    raise BadExpression(f"{variable.name} is a nil {variable.type.name}")
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
            raise BadExpression(f"{variable.name} is a nil {holder.type.name}, so it holds no {wanted}")
        if means(wanted, inner.type.name):
            return replace(inner, name=name)
        t = typenames.find(self.target, wanted)
        if t is not None and t.kind is Kind.INTERFACE:  # it holds what it holds
            return replace(holder, name=name)
        raise BadExpression(f"{variable.name} holds {an(inner.type.name)}, not {an(wanted)}")

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
        every = {one.lower(): one for one in promoted(t)}
        near = get_close_matches(name.lower(), every, 1, 0.7)
        meant = f" (did you mean {every[near[0]]}?)" if near else ""
        return f"it has {', '.join(f.name for f in t.fields[:12])}{more}{meant}"

    def _captured(self, holder: Variable, name: str) -> Variable:
        found = captures.of(self.target, holder)
        one = next((one for one in found if one.name == name), None)
        if one is None:
            known = ", ".join(one.name for one in found[:12])
            what = (
                f"the captured variables that can be located are {known}"
                if known
                else "no captured variable can be located"
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
            raise BadExpression(f"{name} is out of range: the slice has {plural(length, 'element')}")
        return self._at_address(variable, name, t.elem, start + index * t.elem.size)

    def _check_room(self, variable: Variable, start: int, size: int) -> None:
        """Raises NotSet where the variable may not be set and its array lies nowhere."""
        if variable.doubt is not None and not Room(self.target).has(start, size):
            raise NotSet(variable.doubt)

    def _number(self, variable: Variable, t: GoType, key: str) -> int:
        if ":" in key and not key.startswith(('"', "`", "0x", "0X")):
            raise BadExpression(
                f"{variable.name}[{key}]: slice expressions are not supported; use the index of one element"
            )
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
        raise BadExpression(f"{name} is out of range: the channel's buffer holds {plural(waiting, 'value')}")

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
        check_sound(self.target, holder, t, address)
        found = view(keys.target, t, address) if address else None
        raw = keys.find(t.key, key, found, Limits())
        if found is not None:
            plans = candidates(found, keys.hasher)
            if not plans and found.count > MAX_KEYS:
                raise BadExpression(f"{name}: the map has too many entries to search")
            result = lookup(found, keys.hasher, plans, raw)
            if result.found:
                return result
            if result.broken is not None:
                raise BadExpression(f"{name}: {result.broken.message}")
        values = Values(keys.target, Limits(depth=2, text=64, total=256), keys.hasher.types, comments=False)
        what = f"{holder.name}[{values.key_text(t.key, raw)}]: the map has no such key"
        raise BadExpression(what)

    def _in_sync_map(self, holder: Variable, key: str, name: str, of_key: bool) -> tuple[int, GoType]:
        keys, raw = self._keys, None
        for count, entry in enumerate(syncmap.entries(self.target, holder)):
            if count > MAX_KEYS:
                raise BadExpression(f"{name}: the sync.Map has too many entries to search")
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
        raise BadExpression(f"{name}: the sync.Map has no such key")


_T = TypeVar("_T")


def check_sound(target: Target, variable: Variable, t: GoType, address: int) -> None:
    """Raises NotSet if the variable may not be set and the memory at the address is not a valid map."""
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
    """Whether the memory at the address is a valid map, as far as a walk can find out."""
    if not address:
        return True
    found, room = view(target, t, address), Room(target)
    # On a stack that has been moved since it may be whole; hmap-show says so.
    if found.nonsense is not None or not (room.is_left(address) or nonsense(found, room) is None):
        return False
    structure = found.structure(allocator(target))
    return not structure.anomalies and structure.total.live == found.count and not structure.total.strange
