"""hmap-whatis: what lies at an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gomap import human
from gomap.analysis.alias import everywhere
from gomap.analysis.beyond import NO_VARIABLE, add_slots, beyond, header_size
from gomap.analysis.held import AliasSearch
from gomap.analysis.locate import locate, locate_beyond
from gomap.analysis.ranking import shortest
from gomap.analysis.roots import Roots
from gomap.anomaly import Anomaly
from gomap.answers.facts import not_followed, others_fit, place_facts, where
from gomap.declare import Context
from gomap.errors import BadExpression, GomapError
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.spot import Spot
from gomap.golang.runtime.goroutines import goroutines
from gomap.golang.runtime.heap import DEAD, MANUAL, STATES, Heap, HeapPlace, heap_of, segment_of
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType, Kind
from gomap.human import an
from gomap.report import Facts, Report
from gomap.results.fields import alike
from gomap.results.whatis import SpanFacts, SpotFacts, WhatisMap, WhatisResult
from gomap.target import Goroutine, Target
from gomap.values import Limits, Scalar, Values

_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]+|\d+)\Z")
#: Values that are an address themselves, or have one in their first word.
_POINTERS = frozenset({Kind.POINTER, Kind.UNSAFE_POINTER, Kind.MAP, Kind.CHAN, Kind.FUNC, Kind.SLICE, Kind.STRING})


@dataclass
class _AddressAnswer:
    """where: map, heap, stack, data, code, read-only data or None."""

    text: str
    where: str | None = None
    rows: list[tuple[str, str]] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    goroutine: int | None = None
    function: str | None = None
    variable: str | None = None
    frame_offset: int | None = None


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-whatis. Raises BadExpression where ADDR is not an address."""
    target = context.target
    address = address_of(context, options["ADDR"])
    heap = heap_of(target)
    place = heap.at(address) if heap is not None else None
    searched = Roots(target, "all", context.progress, object_size=header_size(target), with_slots=True)
    found = everywhere(target, searched, context.progress, once=True)
    size = None
    if heap is not None:
        size = place.span.object if place is not None and place.span is not None else 0
    spot = locate(found, address, allocator(target), size)
    base = None if place is None or place.allocated is False else place.base
    if spot is None and not found.interrupted and (base is not None or _is_on_stack(target, address)):
        more, identifier = beyond(target, found, searched.objects, progress=context.progress)
        if identifier is not None:
            spot = locate_beyond(found, more, identifier, address, base, size, context.progress)
        if identifier is not None and spot is not None:
            own = [slot for slot in searched.slots if slot.pointer == spot.header]
            add_slots(found, more, identifier, own, context.progress)
        if more.why is not None:
            searched.unreadable.append(Anomaly("note", "census", f"not all of the heap was searched: {more.why}", None))
    key: Scalar | None = None
    if spot is not None:
        answer, key = _in_map(target, found, spot)
    else:
        answer = _outside(target, address, heap, place, found)
    result = WhatisResult(
        address=address,
        map=_map(found, spot),
        spot=SpotFacts() if spot is None else alike(SpotFacts, spot),
        key=key,
        span=_span(place),
        where=answer.where,
        goroutine=answer.goroutine,
        function=answer.function,
        variable=answer.variable,
        frame_offset=answer.frame_offset,
    )
    report = Report(result, anomalies=[*found.anomalies, *searched.anomalies])
    report.answer = [answer.text]
    span = [("object", _object(place))] if place is not None and place.index is not None else []
    report.sections = [Facts([*answer.rows, *span])]
    report.advice = answer.advice
    if found.interrupted:
        report.interrupted(what="not all maps were looked at")
    not_followed(report, found)
    return report


def address_of(context: Context, text: str) -> int:
    """The address that the argument gives: a number, &x, or the value of a pointer, slice, string, map or uintptr."""
    target = context.target
    text = text.strip()
    if _NUMBER.match(text):
        return _checked(target, int(text, 0 if text[:2] in ("0x", "0X") else 10), text)
    wanted = text[1:].strip() if text.startswith("&") else None
    variable = context.resolve(text if wanted is None else wanted)
    if wanted is not None or text[:2] in ("0x", "0X"):
        if variable.address is not None:
            return variable.address
        if variable.data is not None and variable.type.kind is Kind.MAP and wanted is None:
            return target.arch.pointer(variable.data)
        raise BadExpression(f"{wanted} has no address: it is kept in registers here")
    t, word = variable.type, target.arch.pointer_size
    if t.kind in _POINTERS or (t.kind is Kind.UINT and t.size == word):
        address = target.arch.pointer(variable.read(target.memory, 0, word))
        if not address:
            raise BadExpression(f"{text} is nil" if t.kind is not Kind.UINT else f"{text} is 0, not an address")
        return address
    raise BadExpression(f"{text} is not an address but {an(t.name)}: use &{text}")


def _checked(target: Target, address: int, text: str) -> int:
    if address >> 8 * target.arch.pointer_size:
        raise BadExpression(f"{text} is not an address: it has more than {8 * target.arch.pointer_size} bits")
    return address


# -- in a map ----------------------------------------------------------------------------------------


def _in_map(target: Target, found: AliasSearch, spot: Spot) -> tuple[_AddressAnswer, Scalar | None]:
    t, holder = found.types[spot.header], shortest(found.maps[spot.header])
    one = found.views[spot.header]
    word = one.terms.bucket
    key, entry = _entry(target, one, spot)
    answer = _AddressAnswer(f"{_part(spot, word)} of {holder.path}", "map")
    entries = human.plural(one.count, "entry")
    fits = len(found.type_or.get(spot.header, ()))
    doubt = f" ({others_fit(fits)})" if fits else ""
    answer.rows.append(("map", f"{t.name}{doubt}, {entries}, header {spot.header:#x}"))
    if holder.place.kind in NO_VARIABLE:
        answer.rows.append(("held by", "no variable searched; it may be garbage that is not collected yet"))
    elif holder.place.kind == "slot":
        slot = f"stack slot {holder.address or 0:#x} of {where(holder.place)}"
        answer.rows.append(("held by", f"{slot}{_whose(holder.place.goroutine)}"))
    elif holder.place.kind != "global":
        answer.rows.append(("held by", f"{where(holder.place)}{_whose(holder.place.goroutine)}"))
    if spot.shared:
        others = ", ".join(f"{shortest(found.maps[other]).path} {other:#x}" for other in spot.shared[:4])
        answer.rows.append(("shared", f"the same memory also belongs to {others}"))
    if spot.bucket is not None and not spot.indirect:
        answer.rows.append((word, f"{spot.at:#x}, {human.size(one.shape.slots.size)}"))
    if spot.state is not None:
        answer.rows.append(("slot", spot.state + (f": {entry}" if entry else "")))
    if spot.array == "overflow" and spot.bucket is None:
        answer.rows.append((word, "preallocated with the array, not in use"))
    if spot.old and spot.state == "evacuated":
        answer.advice.append("its entry was evacuated to the new array: a pointer to here misses later writes")
    elif spot.old:
        answer.advice.append("the map is growing: its entries will be evacuated to the new array and this memory freed")
    elif spot.part in ("key", "elem") and spot.state != "live":
        answer.advice.append(f"the slot has no entry ({spot.state}): a later insert may use it")
    return answer, key


def _part(spot: Spot, word: str) -> str:
    """elem of slot 3 in bucket 17; for other parts, the part's name."""
    if spot.bucket is None:
        names = {
            "header": "the header",
            "directory": "the directory",
            "table": f"table {spot.table}",
            "extra": "the list of overflow buckets (mapextra)",
        }
        return names.get(spot.array or "", "an unused overflow bucket")
    chain = f"overflow bucket {spot.overflow} of " if spot.overflow else ""
    place = f"{chain}{'old ' if spot.old else ''}{word} {spot.bucket:,}"
    if spot.part == "overflow-pointer":
        return f"overflow pointer in {place}"
    if spot.part is None or spot.slot is None:
        return f"padding in {place}"
    part = {"tophash": "tophash", "ctrl": "control byte"}.get(spot.part, spot.part)
    if spot.indirect:
        return f"the {part} that slot {spot.slot} in {place} points to,"
    return f"{part} of slot {spot.slot} in {place}"


def _entry(target: Target, one: MapView, spot: Spot) -> tuple[Scalar | None, str | None]:
    """(the key for JSON, key and elem as text) of the slot, where it has an entry."""
    if spot.state != "live" or spot.slot is None or spot.bucket is None:
        return None, None
    slots = one.shape.slots
    if spot.indirect:
        found = next((e for e in one.entries() if spot.at in (e.key_address, e.elem_address)), None)
        key, elem = (found.key, found.elem) if found is not None else (None, None)
    else:
        key = _stored(target, spot.at + slots.keys_off + spot.slot * slots.key_stride, slots.key, slots.indirect_key)
        elem = _stored(
            target, spot.at + slots.elems_off + spot.slot * slots.elem_stride, slots.elem, slots.indirect_elem
        )
    values = Values(target, Limits(depth=2, text=64, total=256))
    value = values.key(slots.key, key)
    return value, f"key {values.shown_key(slots.key, key)}, value {values.shown(slots.elem, elem)}"


def _stored(target: Target, at: int, t: GoType, indirect: bool) -> bytes | None:
    try:
        if indirect:
            at = target.arch.pointer(target.memory.read(at, target.arch.pointer_size))
        return target.memory.read(at, t.size) if t.size else b""
    except GomapError:
        return None


# -- elsewhere ---------------------------------------------------------------------------------------


def _outside(
    target: Target, address: int, heap: Heap | None, place: HeapPlace | None, found: AliasSearch
) -> _AddressAnswer:
    """What the address is where no map has it."""
    stack = _stack(target, address)
    if stack is not None:
        return stack
    if place is not None:
        return _in_heap(place, len(found.maps))
    segment = segment_of(target, address)
    if segment is not None:
        return _in_segment(target, address, segment.what)
    if heap is None:
        return _AddressAnswer("it is in no map, and the debug information does not describe the heap")
    return _AddressAnswer("not Go's memory: neither heap, nor a goroutine's stack, nor the program's code or data")


def _is_on_stack(target: Target, address: int) -> bool:
    with suppress(GomapError):
        return any(low <= address < high for low, high in (one.stack for one in goroutines(target)[0]))
    return False


def _stack(target: Target, address: int) -> _AddressAnswer | None:
    try:
        every, _ = goroutines(target)
    except GomapError:
        return None
    for goroutine in every:
        low, high = goroutine.stack
        if low <= address < high:
            return _on_stack(target, address, goroutine)
    return None


def _on_stack(target: Target, address: int, goroutine: Goroutine) -> _AddressAnswer:
    answer = _AddressAnswer(f"on the stack of goroutine {goroutine.id}", "stack", goroutine=goroutine.id)
    answer.rows.append(("stack", f"{goroutine.stack[0]:#x} to {goroutine.stack[1]:#x}, {goroutine.status}"))
    try:
        frames = target.unwind(goroutine, lambda function, name, t: False)
    except GomapError:
        frames = ()
    inside = [frame for frame in frames if frame.sp <= address]
    if inside:
        frame = inside[-1]
        answer.function = frame.function
        file = (frame.file or "?").rsplit("/", 1)[-1]
        answer.frame_offset = address - frame.sp if frame.sp else None
        within = f" +{answer.frame_offset:#x}" if answer.frame_offset is not None else ""
        answer.rows.append(("frame", f"{frame.function}{within}  {file}:{frame.line or '?'}"))
    elif frames:
        answer.rows.append(("frame", "none: it is below the stack pointer, in frames of calls that have returned"))
    return answer


def _in_heap(place: HeapPlace, maps: int) -> _AddressAnswer:
    span = place.span
    if span is None:
        return _AddressAnswer("in an arena of the heap, in pages that were never used", "heap")
    pages = f"{span.start:#x}, {human.size(span.size)}"
    if span.state == DEAD:
        answer = _AddressAnswer("free heap pages, not part of any map", "heap")
        answer.rows.append(("pages", f"{pages}, free: the next allocation may reuse them"))
        return answer
    if span.state == MANUAL:
        answer = _AddressAnswer("memory that the runtime manages manually: an unused stack, or its own", "heap")
        answer.rows.append(("pages", pages))
        return answer
    if place.index is None:
        return _AddressAnswer("in a span of the heap, in no object", "heap")
    size = human.size(span.object)
    if place.allocated is False:
        answer = _AddressAnswer(f"a freed object of {size}, not part of any map", "heap")
        answer.advice.append(
            "the next allocation of this size may reuse it: a pointer kept to here would read the new data"
        )
        return answer
    what = f"an object of {size} in the heap, and no part of the {human.plural(maps, 'map')} found"
    answer = _AddressAnswer(what, "heap")
    if not span.swept:
        answer.advice.append("its span has not been swept since the last collection: the object may be dead")
    else:
        answer.advice.append("something points to it, or no collection has run since it became garbage")
    return answer


def _in_segment(target: Target, address: int, what: str) -> _AddressAnswer:
    answer = _AddressAnswer(f"in the program's {what}", what)
    if what == "code":
        location = target.location(address + 1)
        if location is not None:
            answer.text, answer.function = f"code of {location.function}", location.function
    elif what == "data":
        for variable in target.package_variables(lambda t: True):
            if variable.address is not None and 0 <= address - variable.address < max(variable.type.size, 1):
                answer.text, answer.variable = f"in the package variable {variable.name}", variable.name
                answer.rows.append(("variable", f"{variable.type.name} at {variable.address:#x}"))
                break
    return answer


def _object(place: HeapPlace) -> str:
    span = place.span
    assert span is not None and place.base is not None and place.index is not None
    state = {True: "allocated", False: "free", None: "unknown"}[place.allocated]
    if span.large:
        return f"{place.base:#x}, a span of its own of {human.size(span.size)}, {state}"
    return f"{place.base:#x}, {human.size(span.object)}, number {place.index} of {span.objects} in its span, {state}"


def _whose(goroutine: int | None) -> str:
    return f", goroutine {goroutine}" if goroutine is not None else ""


# -- the result --------------------------------------------------------------------------------------


def _map(found: AliasSearch, spot: Spot | None) -> WhatisMap | None:
    if spot is None:
        return None
    t, holder = found.types[spot.header], shortest(found.maps[spot.header])
    others = list(found.type_or.get(spot.header, ()))
    return WhatisMap(spot.header, t.name, others, holder.path, place_facts(holder.place))


def _span(place: HeapPlace | None) -> SpanFacts | None:
    span = place.span if place is not None else None
    if place is None or span is None:
        return None
    return SpanFacts(
        start=span.start,
        bytes=span.size,
        state=STATES.get(span.state, f"state {span.state}"),
        object_bytes=span.object or None,
        object=place.base,
        index=place.index,
        allocated=place.allocated,
        noscan=span.noscan,
        swept=span.swept,
    )
