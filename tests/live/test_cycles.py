"""hmap-cycle against what the program knows of its own cycles; and the core of a copy that never ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.support import debuggers, delves, schema, toolchains
from tests.support.debuggers import Answer, Core, Gdb, Session
from tests.support.delves import Dlv
from tests.support.toolchains import Row

SHOWN = 16
#: A hundred thousand objects in a row: once a toolchain is enough.
LONG = "main.Keep.Chain"
OBJECTS_LISTED = 64


def cycle(expr: str) -> str:
    return f"hmap-cycle {expr} --json"


#: Of the locals: an argument of the copying function, which is only there in the core.
LOCAL, ARGUMENT = "self", "tree"
EXPRESSIONS = tuple(
    f"main.Keep.{name}"
    for name in (
        "Self", "Boxed", "Config", "Shared", "Nil", "Two", "Maps", "Circle", "Late", "Tree", "Slice", "Nested",
        "Ring", "Pointer", "Seen", "Walker", "Sync", "Slot", "List", "Leaf", "Big", "Outer", "Outer.Inner", "Pairs",
    )
)  # fmt: skip

#: A thousand frames are looked through for each name.
IN_CORES = tuple(f"main.Keep.{name}" for name in ("Self", "Sync", "Config", "Slot", "List", "Shared"))


@pytest.mark.each_kind
def test_live(toolchain: Row, gdb: Gdb) -> None:
    optimised = gdb.name != "system"
    names = [*EXPRESSIONS, *([] if optimised else [LOCAL, LONG])]
    plain = ["hmap-cycle main.Keep.Self", "hmap-cycle main.Keep.Shared", "hmap-cycle main.Keep.Leaf"]
    limits = ["hmap-cycle main.Keep.Pairs --limit 3 --json", "hmap-cycle main.Keep.Pairs --limit 0 --json"]
    binary = toolchains.build("cycles", toolchain, optimised)
    answers = debuggers.visit(gdb, binary, {"built": [*map(cycle, names), *plain, *limits]})
    facts = answers.truth["built"]["notes"]["cycles"]
    assert facts.keys() == {*EXPRESSIONS, LOCAL, LONG}
    check(answers, "built", names)
    said = [answers.at("built", command).output.splitlines() for command in plain]
    assert said[0][0] == "main.Keep.Self contains itself (1 cycle, 1 object reachable)"
    assert f"  {facts['main.Keep.Self']['text'][0]}" in said[0]
    assert said[1] == ["no cycle: 3 objects reachable"]
    assert said[2] == ["no cycle: nothing of type main.Leaf can lead back to itself"]
    for command, number in zip(limits, (3, 0)):
        told = answers.at("built", command).json()
        assert len(told["data"]["cycles"]) == number
        assert told["truncated"] == [{"what": "cycles", "shown": number, "of": 40}]


@pytest.mark.each_kind
def test_delve(toolchain: Row, dlv: Dlv) -> None:
    names = list(dict.fromkeys([*EXPRESSIONS[:12], *IN_CORES, LOCAL]))
    binary = toolchains.build("cycles", toolchain, optimised=False)
    answers = delves.visit(dlv, binary, {"built": [*map(cycle, names)]}, direct=not toolchain.name.endswith("1"))
    check(answers, "built", names)


def test_core_of_an_overflow(toolchain: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """The copying function's own argument, and package variables, in a core that the full stack left."""
    binary = toolchains.build("cycles", toolchain, optimised=False)
    core = debuggers.make_core(binary, "overflow", dies=True)
    few = IN_CORES[:2]  # Delve takes half a second for each

    def asked(names: Sequence[str]) -> list[str]:
        return [*map(cycle, names), cycle(ARGUMENT), f"hmap-show {ARGUMENT} --json"]

    for answers, names in (
        (debuggers.examine(system_gdb, core, asked(IN_CORES)), IN_CORES),
        (delves.examine(dlv, core, asked(few)), few),
    ):
        check(answers, "overflow", names)
        the_argument(answers, core)


def test_core_of_an_overflow_optimised(toolchain: Row, system_gdb: Gdb) -> None:
    core = debuggers.make_core(toolchains.build("cycles", toolchain, optimised=True), "overflow", dies=True)
    check(debuggers.examine(system_gdb, core, [*map(cycle, IN_CORES)]), "overflow", IN_CORES)


def the_argument(answers: Session, core: Core) -> None:
    """Many frames down from the newest, on a stack that the thread has left: it is main.Keep.Self."""
    found, shown = (answers.at("overflow", command) for command in (cycle(ARGUMENT), f"hmap-show {ARGUMENT} --json"))
    assert found.error is None and shown.error is None, (found, shown)
    truth = core.truth["overflow"]["notes"]["cycles"]["main.Keep.Self"]
    data = found.json()["data"]
    assert [one["text"] for one in data["cycles"]] == [truth["text"][0].replace("main.Keep.Self", ARGUMENT)]
    assert data["cycles"][0]["address"] == shown.json()["data"]["address"] == truth["on"][0]


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
    cut = [{"what": "cycles", "shown": SHOWN, "of": number}] if number > SHOWN else None
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
