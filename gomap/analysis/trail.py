"""A way through the objects of the heap in words: by names and fields as far as types are known.

A variable has a type, and so has what its pointers lead to. Where types end (unsafe.Pointer, closures, channels, the
runtime's own records) a step is an offset and an address; where the allocator has noted a type (large objects, from
Go 1.22 on) names go on from there as (0xADDR:T).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gomap.analysis.retention import RootWay
from gomap.analysis.spots import in_map
from gomap.errors import GomapError
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.malloc import allocator
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.golang.runtime.stacks import Stacks
from gomap.gotypes import GoType, Kind, fixed
from gomap.graph.path import DEREF, KeyPart, Names
from gomap.heap.frames import CONSERVATIVE, Held
from gomap.heap.graph import HeapGraph
from gomap.heap.roots import CLEANUP, DATA, FINALIZER, RUNTIME, STACK, HeapRoots
from gomap.maps import view
from gomap.target import Local, Place, Target, Variable

#: Fields and elements of one value that a path goes through.
MAX_PARTS = 64
#: Kinds of pointers that do not say what they lead to.
_UNTYPED = frozenset({Kind.UNSAFE_POINTER, Kind.CHAN, Kind.FUNC})


@dataclass(frozen=True)
class Trail:
    """text: the whole way. expr: an expression that leads to the last object, None where types do not go so far. type:
    of what lies there. place: of the variable that it starts from. name: of that; None where no variable is known."""

    text: str
    expr: str | None
    type: GoType | None
    place: Place
    name: str | None = None


@dataclass(frozen=True)
class _TrailPoint:
    """A value: its type lies at `address`; None where only bytes are known. text: how it is named. expr: whether that
    is an expression. header: of the map in whose arrays we are. boxed: the pointer that leads to the value is the way's
    first."""

    text: str
    type: GoType | None
    address: int
    expr: bool
    header: int = 0
    boxed: bool = False


class Trails:
    """Writes ways down, for one target."""

    def __init__(self, target: Target, heap: Heap, graph: HeapGraph, roots: HeapRoots) -> None:
        self._target, self._heap, self._graph, self._roots = target, heap, graph, roots
        self._types = DescribedTypes(target)
        self._names = Names(target, self._types)
        self._rules = allocator(target)
        self._word = target.arch.pointer_size
        self._variables: list[Variable] | None = None
        self._passed: dict[int, _TrailPoint] = {}

    def of(self, way: RootWay) -> Trail:
        """The way, in words."""
        start, place, slot, name = self._start(way)
        objects: Sequence[int] = way.objects
        if way.root is None:
            objects = objects[1:]
            at, before = start, way.objects[0]
            slot = next(iter(self._graph.slots(before, objects[0])), 0) if objects else 0
        else:
            at = start
        for before_, one in zip([None, *objects], objects):
            slots: Iterable[int] = [slot] if before_ is None else self._graph.slots(before_, one)
            at = self._hop(at, list(slots), one)
        known = at.type is not None
        return Trail(at.text, at.text if known and at.expr else None, at.type, place, name)

    def down(self, objects: Sequence[int], address: int, first: tuple[GoType, int] | None) -> GoType | None:
        """The type of what lies at the address, in the last of these objects. first: the type of the value that the
        first has, and where that begins; of a map, whose header that is. None where types do not lead there. Where they
        do, the objects on the way count as known, also for later calls."""
        at = self._passed.get(objects[0])
        if at is None and first is not None:
            t, start = first
            at = _TrailPoint("", t, start, True, start) if t.kind is Kind.MAP else None
            at = at or self._of_object(_TrailPoint("", None, start, True), objects[0])
        passed: dict[int, _TrailPoint] = {}
        for before, one in zip(objects, objects[1:]):
            if at is None or at.type is None:
                return None
            passed[before] = replace(at, text="")
            at = self._hop(at, self._graph.slots(before, one), one)
        if at is None or at.address != address:
            return None
        self._passed.update(passed)
        return at.type

    # -- where it starts -------------------------------------------------------------------------------

    def _start(self, way: RootWay) -> tuple[_TrailPoint, Place, int, str | None]:
        """(what the root's pointer lies in, its place, where the pointer lies, the variable's name)."""
        if way.root is None:
            address = self._graph.objects.address(way.objects[0])
            at = self._of_object(_TrailPoint(f"finalizer of {address:#x}", None, 0, False), way.objects[0])
            return at, Place(FINALIZER), 0, None
        if way.kind == DATA:
            variable = self.variable_at(way.slot)
            if variable is not None:
                at = _TrailPoint(variable.name, variable.type, variable.address or 0, True)
                return at, variable.place, way.slot, variable.name
            return _TrailPoint(f"data at {way.slot:#x}", None, 0, False), Place("global"), way.slot, None
        held = self._roots.held.get(way.root)
        if way.kind == STACK and held is not None:
            return self._on_stack(held)
        words = {
            FINALIZER: "a finalizer that the runtime keeps",
            CLEANUP: "a cleanup's function",
            RUNTIME: "a weak pointer's handle",
        }
        return _TrailPoint(words.get(way.kind, way.kind), None, 0, False), Place(way.kind), way.slot, None

    def variable_at(self, slot: int) -> Variable | None:
        """The package variable that the address lies in."""
        if self._variables is None:
            try:
                every = self._target.package_variables(lambda t: True)
                self._variables = [one for one in every if one.address is not None]
            except GomapError:
                self._variables = []
        for one in self._variables:
            if one.address is not None and one.address <= slot < one.address + one.type.size:
                return one
        return None

    def _on_stack(self, held: Held) -> tuple[_TrailPoint, Place, int, str | None]:
        goroutine = held.goroutine
        place = Place(STACK, goroutine.id, held.level, held.function)
        who = f"goroutine {goroutine.id}"
        if held.level is None:
            what = "register" if not held.address else "stack" if held.how == CONSERVATIVE else "deferred call or panic"
            return _TrailPoint(f"{who} {what}", None, 0, False), place, held.address, None
        found = self._local(held)
        if found is not None:
            local, frame_place = found
            variable = local.variable
            if local.slot is not None:  # it was moved to the heap: what lies in the frame points to it
                at = _TrailPoint(variable.name, variable.type, variable.address or 0, True, boxed=True)
                return at, frame_place, held.address, variable.name
            at = _TrailPoint(variable.name, variable.type, variable.address or 0, True)
            return at, frame_place, held.address, variable.name
        text = f"{who} {held.function} frame +{held.address - held.sp:#x}"
        return _TrailPoint(text, None, 0, False), place, held.address, None

    def _local(self, held: Held) -> tuple[Local, Place] | None:
        """The variable that has this word of a frame."""
        try:
            stack = next(iter(Stacks(self._target, lambda function, name, t: True).walk([held.goroutine])), None)
        except GomapError:
            return None
        for level, frame in enumerate(stack.frames if stack is not None else ()):
            for local in frame.locals:
                variable = local.variable
                place = replace(
                    variable.place,
                    goroutine=held.goroutine.id,
                    frame=variable.place.frame if variable.place.frame is not None else level,
                    function=frame.function,
                    file=frame.file,
                    line=frame.line,
                )
                if local.slot == held.address:
                    return local, place
                at = variable.address
                if local.slot is None and at is not None and at <= held.address < at + variable.type.size:
                    return local, place
        return None

    # -- from object to object -------------------------------------------------------------------------

    def _hop(self, at: _TrailPoint, slots: Sequence[int], one: int) -> _TrailPoint:
        """What the pointer in one of these places leads to, in the object of that number."""
        first: _TrailPoint | None = None
        for slot in slots[:4]:
            try:
                found = self._through(at, slot)
            except GomapError:
                found = None
            if found is not None and found.type is not None:
                return self._of_object(found, one)
            if first is None:
                first = found or self._unknown(at, slot)
        return self._of_object(first or replace(at, type=None, expr=False), one)

    def _unknown(self, at: _TrailPoint, slot: int) -> _TrailPoint:
        offset = slot - at.address
        text = at.text if not at.address or not slot or offset < 0 else f"{at.text} +{offset:#x}"
        return _TrailPoint(text, None, 0, False)

    def _through(self, at: _TrailPoint, slot: int) -> _TrailPoint | None:
        """What the pointer at `slot` leads to, which lies in the value. Raises GomapError."""
        if at.boxed:
            return replace(at, boxed=False)
        if at.header:
            return self._in_map(at, slot)
        return None if at.type is None else self._leaf(at, at.type, slot)

    def _leaf(self, at: _TrailPoint, t: GoType, slot: int) -> _TrailPoint | None:
        """From a value of the type down to the pointer, and to what that leads to."""
        text, address = at.text, at.address
        for _ in range(MAX_PARTS):
            offset = slot - address
            if not 0 <= offset < max(t.size, 1):
                return None
            if t.kind is Kind.STRUCT:
                inside = next((f for f in t.fields if f.offset <= offset < f.offset + f.type.size), None)
                if inside is None:
                    return None
                text, address, t = f"{text}.{inside.name}", address + inside.offset, inside.type
            elif t.kind is Kind.ARRAY and t.elem.size:
                index = offset // t.elem.size
                text, address, t = self._names.extended(text, index), address + index * t.elem.size, t.elem
            else:
                break
        return self._behind(replace(at, text=text), t, slot, address)

    def _behind(self, at: _TrailPoint, t: GoType, slot: int, address: int) -> _TrailPoint | None:
        """What a pointer of such a type leads to. address: where its value begins."""
        read, pointer = self._target.memory.read, self._target.arch.pointer
        value = pointer(read(slot, self._word))
        if t.kind is Kind.POINTER:
            behind = t.elem
            text = at.text if behind.kind in (Kind.STRUCT, Kind.ARRAY) else self._names.extended(at.text, DEREF)
            return replace(at, text=text, type=behind, address=value)
        if t.kind is Kind.SLICE:
            room = pointer(read(address + 2 * self._word, self._word))
            return replace(at, type=self._array(t.elem, room), address=value)
        if t.kind is Kind.MAP:
            return replace(at, type=t, address=value, header=value)
        if t.kind is Kind.STRING:
            return replace(at, type=t, address=value)
        if t.kind is Kind.INTERFACE and slot == address + self._word:
            held, direct = self._types.held(pointer(read(address, self._word)), t.methods)
            text = f"{at.text}.({held.name})"
            if direct:
                return self._leaf(replace(at, text=text, type=held, address=slot), held, slot)
            return replace(at, text=text, type=held, address=value)
        if t.kind in _UNTYPED:
            what = {Kind.CHAN: " (its channel)", Kind.FUNC: " (its closure)"}.get(t.kind, "")
            return _TrailPoint(at.text + what, None, value, False)
        return None

    def _array(self, elem: GoType, length: int) -> GoType:
        length = min(length, 1 << 40)
        return GoType(Kind.ARRAY, f"[{length}]{elem.name}", length * elem.size, length, lazy_elem=fixed(elem))

    def _in_map(self, at: _TrailPoint, slot: int) -> _TrailPoint | None:
        """From a place in a map's header or arrays. Raises GomapError."""
        t = at.type
        if t is None:
            return None
        one = view(self._target, t, at.header)
        spot = in_map(one, slot, self._rules)
        shape = one.shape.slots
        if spot is None or spot.slot is None or spot.part not in ("key", "elem"):
            return at  # from one part of the map to another
        key_at = spot.at + shape.keys_off + spot.slot * shape.key_stride
        read, pointer = self._target.memory.read, self._target.arch.pointer
        where = pointer(read(key_at, self._word)) if shape.indirect_key else key_at
        key = read(where, shape.key.size)
        is_key = spot.part == "key"
        of, indirect = (shape.key, shape.indirect_key) if is_key else (shape.elem, shape.indirect_elem)
        begins = key_at if is_key else spot.at + shape.elems_off + spot.slot * shape.elem_stride
        target = pointer(read(begins, self._word)) if indirect else begins
        part = KeyPart(shape.key, key, ".key({})" if is_key else "[{}]", of, target)
        text = self._names.extended(at.text, part)
        inner = replace(at, text=text, type=of, address=target, header=0)
        return inner if indirect else self._leaf(inner, of, slot)

    # -- objects ---------------------------------------------------------------------------------------

    def _of_object(self, at: _TrailPoint, one: int) -> _TrailPoint:
        """The value in the object of that number, with the type that the allocator noted where none is known."""
        base = self._graph.objects.address(one)
        if at.type is not None:
            return at
        size = int(self._graph.objects.sizes(self._graph.objects.np.array([one]))[0])
        try:
            noted = self._heap.type_at(base)
            t = self._types.at(noted[0]) if noted is not None else None
        except GomapError:
            noted = t = None
        if noted is None or t is None or not t.size:
            return _TrailPoint(f"{at.text} -> {base:#x} ({size:,} B)", None, base, False)
        start = noted[1]
        count = (base + size - start) // t.size
        if count < 2:
            return _TrailPoint(f"{at.text} -> ({start:#x}:{t.name})", t, start, False)
        return _TrailPoint(f"{at.text} -> ({start:#x}:{t.name})", self._array(t, count), start, False)
