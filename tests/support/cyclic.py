"""hmap-cycle, against what the program publishes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.support import schema
from tests.support.debuggers import Answer, Session

SHOWN = 16
OBJECTS_LISTED = 64


LOCAL = "self"
EXPRESSIONS = tuple(
    f"main.Keep.{name}"
    for name in (
        "Self", "Boxed", "Config", "Shared", "Nil", "Two", "Maps", "Circle", "Late", "Tree", "Slice", "Nested",
        "Ring", "Pointer", "Seen", "Walker", "Sync", "Slot", "List", "Leaf", "Big", "Outer", "Outer.Inner", "Pairs",
    )
)  # fmt: skip


def cycle(expr: str) -> str:
    return f"hmap-cycle {expr} --json"


def check(answers: Session, stage: str, names: Sequence[str]) -> None:
    facts = answers.truth[stage]["notes"]["cycles"]
    for expr in names:
        answer = answers.at(stage, cycle(expr))
        assert answer.error is None, (expr, answer.error)
        problems = [*schema.faults(answer.json(), schema.answer("hmap-cycle")), *wrong(answer, facts[expr])]
        assert not problems, (expr, problems[:5])


def wrong(answer: Answer, truth: Mapping[str, Any]) -> Iterator[str]:
    """What does not fit what the program knows of the variable."""
    told = answer.json()
    cycles, number = told["data"]["cycles"], truth["cycles"]
    # Where a local was found is told, too.
    anomalies = [one for one in told["anomalies"] if (one["code"], one["severity"]) != ("variable", "note")]
    if anomalies or told["data"]["unreadable"]:
        yield f"anomalies {told['anomalies']}"
    if number < 0:  # not counted by the program
        number = len(cycles) or 1
    if len(cycles) != min(number, SHOWN):
        yield f"{len(cycles)} cycles of {number}"
    cut = [{"what": "cycles", "shown": SHOWN, "of": number, "option": "--limit N"}] if number > SHOWN else None
    if told["truncated"] != cut:
        yield f"truncated is {told['truncated']}"
    if truth["objects"] and told["data"]["visited"] != truth["objects"]:
        yield f"{told['data']['visited']} objects, not {truth['objects']}"
    texts = {one["text"] for one in cycles}
    if truth["text"] and texts != {*truth["text"]}:
        yield f"{texts}, not {truth['text']}"
    if truth["length"] and [one["length"] for one in cycles] != [truth["length"]]:
        yield f"length of {cycles}, not {truth['length']}"
    lying_on = {one["address"] for found in cycles for one in found["objects"]}
    if not {*(truth["on"] or ())} <= lying_on:
        yield f"{truth['on']} are not all on {lying_on}"
    for one in cycles:
        if len(one["objects"]) != min(one["length"], OBJECTS_LISTED) or one["objects"][0]["address"] != one["address"]:
            yield f"{one['length']} objects, {one['objects'][:3]} listed"
