"""hmap-why: what keeps a map, or any other object of the heap, alive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap import human
from gomap.analysis.retention import Retained, Retention, RootWay
from gomap.analysis.trail import Trail, Trails
from gomap.analysis.whole_heap import MAX_NAMED, whole_heap
from gomap.answers.facts import place_facts
from gomap.commands.whatis import address_of
from gomap.declare import Context
from gomap.errors import BadExpression, GomapError
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.modules import of_runtime
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind
from gomap.heap.graph import HeapGraph, algorithms
from gomap.heap.roots import CLEANUP, DATA, FINALIZER, RUNTIME, HeapRoots
from gomap.report import Facts, Report, Table
from gomap.results.why import FreedFacts, ObjectFacts, RootWayRow, WhyResult, WhyScanned
from gomap.target import Target, Variable

_KINDS = {DATA: "package variable", FINALIZER: "finalizer", CLEANUP: "cleanup", RUNTIME: "runtime"}
#: Variables of the runtime are named only where no other leads there, of so many roots to one object.
CANDIDATES = 64


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-why. Raises GomapError without numpy and scipy; BadExpression for an address that is in no heap
    object, stack or package variable."""
    target, text = context.target, options["EXPR"]
    if target.kind == "recorded":
        raise GomapError("a recorded map has no heap: use the process or its core")
    algorithms()
    variable = _variable(context, text)
    address = address_of(context, text)
    whole = whole_heap(target, context.progress)
    heap, graph, found, retained = whole.heap, whole.graph, whole.roots, whole.retained
    trails = Trails(target, heap, graph, found)
    one = graph.objects.object_at(address)
    if one >= 0:
        kept = retained.of_object(one)
        where = "heap"
    else:
        where = _where(target, heap, found, trails, address)
        kept = retained.of_words(address, _size(target, variable, text.strip().startswith("&")))
    ways = _named(retained, trails, kept)
    t = _type(variable) or next((trail.type for _, trail in ways if trail.type is not None), None)
    missing = whole.missing
    complete = graph.complete and not missing
    base = graph.objects.address(one) if one >= 0 else None
    report = Report(_result(text, address, base, where, t, kept, ways, graph, found, missing, complete))
    report.answer = _answer(address, where, t, kept, trails, complete)
    _describe(report, kept, ways, where)
    if missing:
        report.answer.append(f"(not looked at: {'; '.join(missing)})")
        report.cut("not all of the heap and its roots was looked at", 0, None)
    return report


def _variable(context: Context, text: str) -> Variable | None:
    """The variable that the argument names, if it has a type."""
    text = text.strip()
    if text.isalnum() and text[:1].isdigit():
        return None
    return context.resolve(text[1:].strip() if text.startswith("&") else text)


def _type(variable: Variable | None) -> GoType | None:
    if variable is None:
        return None
    t = variable.type
    if t.kind is Kind.UINT:
        return None  # a number used as an address
    if t.kind is Kind.POINTER:
        try:
            return t.elem
        except GomapError:
            return None
    return t


def _size(target: Target, variable: Variable | None, itself: bool) -> int:
    """Bytes of the value, outside of the heap. itself: of the variable, and not of the value that it points to."""
    if itself and variable is not None:
        return max(variable.type.size, 1)
    t = _type(variable)
    if t is None:
        return target.arch.pointer_size
    if t.kind is Kind.MAP:
        return DescribedTypes(target).map_header().size
    return max(t.size, 1)


def _where(target: Target, heap: Heap, found: HeapRoots, trails: Trails, address: int) -> str:
    """Where it is, outside of objects. Raises BadExpression."""
    if any(low <= address < high for low, high in found.stacks):
        return "stack"
    if trails.variable_at(address) is not None:
        return "data"
    place = heap.at(address)
    if place is not None and place.allocated is False:
        raise BadExpression(f"the object at {address:#x} was freed: nothing keeps it alive")
    raise BadExpression(f"{address:#x} is not in any heap object, stack or package variable")


def _named(retained: Retained, trails: Trails, kept: Retention) -> list[tuple[RootWay, Trail]]:
    """The ways in words, each from a variable that is not of the runtime where there is one."""
    found = []
    for way in kept.ways:
        others = retained.candidates(way, CANDIDATES) if way.kind == DATA else []
        variables = [(other, trails.variable_at(other.slot)) for other in others]
        mine = [other for other, one in variables if one is not None and not of_runtime(one.name)]
        tried = [(other, trails.of(other)) for other in (mine[:1] or others[:MAX_NAMED] or [way])]
        found.append(min(tried, key=lambda one: (one[1].expr is None, one[1].text.count(" -> "), one[1].text)))
    return found


def _answer(address: int, where: str, t: GoType | None, kept: Retention, trails: Trails, complete: bool) -> list[str]:
    """complete: whether all of the heap and all roots were looked at, and stood still."""
    what = human.short(t.name) if t is not None else "the object"
    if where == "stack":
        first = f"{what} at {address:#x} is on a goroutine's stack: it lives until its function returns"
        return [first, _freed(kept, "without it")]
    if where == "data":
        variable = trails.variable_at(address)
        name = variable.name if variable is not None else "a package variable"
        return [f"{address:#x} is in {name}, which is never freed", _freed(kept, "without it")]
    if not kept.reached and not complete:
        return [f"nothing that was looked at keeps {what} at {address:#x} alive, but not everything was"]
    if not kept.reached:
        return [f"nothing keeps {what} at {address:#x} alive: the next collection frees it"]
    leads = "root leads" if kept.roots == 1 else "roots lead"
    pointers = human.plural(kept.references, "pointer")
    first = f"{what} at {address:#x} is kept alive: {kept.roots:,} {leads} to it, through {pointers}"
    return [first, _freed(kept, "without it")]


def _freed(kept: Retention, what: str) -> str:
    exact = f" ({kept.bytes:,} B)" if kept.bytes >= 1024 else ""
    return f"{what}: {human.size(kept.bytes)}{exact} in {human.plural(kept.count, 'object')} would be freed"


def _describe(report: Report, kept: Retention, ways: list[tuple[RootWay, Trail]], where: str) -> None:
    rows = []
    for way, trail in ways:
        place = trail.place
        root = _KINDS.get(way.kind, way.kind)
        if trail.name is not None and place.goroutine is not None:
            function = f" {human.short(place.function)}" if place.function else ""
            root = f"goroutine {place.goroutine}{function}, frame {place.frame}"
        others = f"{way.others:,}" if way.others else ""
        rows.append([root, others, trail.text])
    if rows:
        report.sections.append(Table(["root", "others", "shortest path"], rows, frozenset({1}), whole=2))
    facts = []
    if where == "heap" and kept.reached:
        if kept.references > 1:
            facts.append(("pointers", f"clearing only one of the {kept.references:,} frees nothing"))
        elif kept.references == 1:
            facts.append(("pointers", f"clearing the only pointer to it frees the same {human.size(kept.bytes)}"))
    if kept.finalizers:
        has = human.plural(kept.finalizers, "object")
        facts.append(("finalizers", f"{has} of these: freed by the collection after the finalizers have run"))
    if any(way.others for way, _ in ways):
        facts.append(("others", "number of further roots of this kind that lead to it"))
    if facts:
        report.sections.append(Facts(facts))


def _result(
    text: str,
    address: int,
    base: int | None,
    where: str,
    t: GoType | None,
    kept: Retention,
    ways: list[tuple[RootWay, Trail]],
    graph: HeapGraph,
    found: HeapRoots,
    missing: list[str],
    complete: bool,
) -> WhyResult:
    return WhyResult(
        expr=text,
        address=address,
        where=where,
        type=t.name if t is not None else None,
        object=ObjectFacts(base, kept.own) if base is not None else None,
        alive=kept.reached,
        roots=kept.roots,
        pointers=kept.references,
        freed=FreedFacts(kept.bytes, kept.count, kept.finalizers),
        cut_frees=kept.bytes if kept.references == 1 else 0,
        ways=[
            RootWayRow(
                place=place_facts(trail.place),
                root=way.kind,
                path=trail.text,
                expr=trail.expr,
                address=way.slot,
                objects=len(way.objects),
                others=way.others,
            )
            for way, trail in ways
        ],
        scanned=WhyScanned(
            objects=graph.objects.count,
            pointers=len(graph.ends),
            roots=len(found.objects),
            goroutines=found.goroutines,
            conservative=found.conservative,
        ),
        complete=complete,
        missing=missing,
    )
