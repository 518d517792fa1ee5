"""What lies at an address, with its type: as the heap, a package variable or a search of the program has it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from gomap import human
from gomap.analysis.alias import ALL_ITEMS, WHOLE_DEPTH, HolderSearch
from gomap.analysis.beyond import header_size, search_heap
from gomap.analysis.held import Holder
from gomap.analysis.identify import PROOF, Identified, Identifier
from gomap.analysis.roots import Roots
from gomap.errors import GomapError, Interrupted
from gomap.expr import resolve_map
from gomap.golang.runtime.goroutines import goroutines
from gomap.golang.runtime.heap import Heap, heap_of, segment_of
from gomap.golang.runtime.malloc import allocator
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.graph.path import Path
from gomap.human import an
from gomap.progress import Progress, silent
from gomap.target import Place, Target, Variable

#: How the type of a map is known that no variable led to (Identified.known_by).
KNOWN_BY = {
    "reference": "by what points to it",
    "allocator": "according to the allocator",
    "hashes": "by the hashes of its keys",
    "size": "by its size",
}


def value_at(target: Target, address: int, progress: Progress = silent) -> Variable | None:
    """The value at the address, or the map whose header is there; None if its type is not found. Its note says how it
    was found.

    Raises Interrupted if Ctrl-C ends the search.
    """
    if target.kind == "recorded":
        recorded = _recorded(target, address)
        if recorded is not None:
            return recorded
    else:
        heap = heap_of(target)
        segment = segment_of(target, address)
        if segment is not None and segment.what != "data":
            return None
        known = _package_variable(target, address) if segment is not None else None
        if known is None and heap is not None:
            known = _object(target, heap, address)
            if known is None and segment is None and not heap.in_arena(address) and not _is_on_stack(target, address):
                return None
        if known is not None:
            return known
        alone = _header(target, heap, address)
        if alone is not None:
            return alone
    search = _Seek(target, WHOLE_DEPTH, ALL_ITEMS, True)
    search.address = address
    roots = Roots(target, "frame" if target.kind == "recorded" else "all", progress, object_size=header_size(target))
    try:
        search.run(roots, progress)
    except _Met as met:
        return met.value
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: the search for {address:#x} is not complete; name its type") from None
    return None if target.kind == "recorded" else _of_census(target, roots, address, progress)


def _header(target: Target, heap: Heap | None, address: int) -> Variable | None:
    """The map whose header the heap's object at the address is, where only one type fits its keys."""
    with suppress(GomapError):
        types = DescribedTypes(target)
        place = None if heap is None else heap.at(address)
        size = allocator(target).allocated(types.map_header().size, scan=True)
        if heap is None or place is None or place.base != address or place.span is None or place.span.object != size:
            return None
        found = Identifier(target, heap, types).identify(address)
        return _map(target, address, found, "heap") if found.keys >= PROOF and not found.others else None
    return None


def _of_census(target: Target, roots: Roots, address: int, progress: Progress) -> Variable | None:
    """The map whose header lies at the address, on the heap or on a stack, with the type that fits it best."""
    searched = search_heap(target, progress)
    if searched.heap is None or searched.census is None:
        return None
    searched.census.add_stacks(roots.objects)
    if address not in searched.census.addresses:
        return None
    found = Identifier(target, searched.heap, DescribedTypes(target)).identify(address)
    return _map(target, address, found, "stack" if address in searched.census.stacked else "heap")


def _map(target: Target, address: int, found: Identified, kind: str) -> Variable | None:
    t, number = found.type, len(found.others)
    if t is None:
        return None
    others = f" ({human.plural(number, 'other type')} {'fits' if number == 1 else 'fit'} as well)" if number else ""
    how = f"{address:#x} is {an(t.name)}, {KNOWN_BY.get(found.known_by or '', '')}{others}"
    return Variable("", t, data=target.arch.pack(address), place=Place(kind), note=how)


def _recorded(target: Target, address: int) -> Variable | None:
    """The recorded map, where this is its header's address. What leads to it may be in the file in part only."""
    with suppress(GomapError):
        variable, t, header = resolve_map(target, str(getattr(target, "expr", "")))
        if header == address:
            return Variable("", t, data=target.arch.pack(header), place=variable.place)
    return None


class _Met(Exception):
    """The search has come to the address."""

    def __init__(self, value: Variable) -> None:
        super().__init__()
        self.value = value


@dataclass
class _Seek(HolderSearch):
    """Ends with _Met at the first value that lies at the address."""

    address: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.walk.watch = self._watch

    def _watch(self, t: GoType, address: int, path: Path) -> None:
        # What a dead variable leads to may be anything: it counts where it is a map.
        if not self.in_doubt and 0 <= self.address - address < t.size:
            inner = _part_at(t, self.address - address)
            if inner is not None:
                raise _Met(_value(self.address, inner[1], self.names.text(path) + inner[0], path.place))

    def _believed(self, address: int, holder: Holder) -> bool:
        # An alive variable has it as its map, however damaged that is.
        if address == self.address and (not self.in_doubt or super()._believed(address, holder)):
            word = self.target.arch.pack(address)
            found = _value(address, holder.type, holder.path, holder.place)
            raise _Met(replace(found, address=None, data=word))
        return super()._believed(address, holder)


def _value(address: int, t: GoType, path: str, place: Place) -> Variable:
    where = f" in {place.function}" if place.function else ""
    whose = f", goroutine {place.goroutine}" if place.function and place.goroutine is not None else ""
    whose += f", frame {place.frame}" if whose and place.frame is not None else ""
    return Variable("", t, address, place=place, note=f"{address:#x} is {path}{where}{whose}, {an(t.name)}")


def _part_at(t: GoType, offset: int) -> tuple[str, GoType] | None:
    """(path, type) of the largest part of a value of type t that begins `offset` bytes into it."""
    path = ""
    while offset:
        if t.kind is Kind.STRUCT:
            inner = next((f for f in t.fields if 0 <= offset - f.offset < f.type.size), None)
            if inner is None:
                return None
            path, t, offset = f"{path}.{inner.name}", inner.type, offset - inner.offset
        elif t.kind is Kind.ARRAY and t.elem.size:
            index, offset = divmod(offset, t.elem.size)
            path, t = f"{path}[{index}]", t.elem
        else:
            return None
    return path, t


def _package_variable(target: Target, address: int) -> Variable | None:
    for variable in target.package_variables(lambda t: True):
        if variable.address is not None and 0 <= address - variable.address < variable.type.size:
            inner = _part_at(variable.type, address - variable.address)
            if inner is not None:
                return _value(address, inner[1], variable.name + inner[0], variable.place)
    return None


def _object(target: Target, heap: Heap, address: int) -> Variable | None:
    """What lies at the address by the type that the allocator has noted for its object."""
    with suppress(GomapError):
        noted = heap.type_at(address)
        if noted is None:
            return None
        descriptor, start = noted
        t = DescribedTypes(target).at(descriptor)
        if t.size and address >= start:
            inner = _part_at(t, (address - start) % t.size)
            if inner is not None:
                return replace(
                    _value(address, inner[1], "", Place("heap")),
                    note=f"{address:#x} is {an(inner[1].name)}, according to the allocator",
                )
    return None


def _is_on_stack(target: Target, address: int) -> bool:
    every: Iterable[tuple[int, int]] = ()
    with suppress(GomapError):
        every = [goroutine.stack for goroutine in goroutines(target)[0]]
    return any(low <= address < high for low, high in every)
