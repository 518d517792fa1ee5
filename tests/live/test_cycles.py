"""hmap-cycle against what the program knows of its own cycles; and the core of a copy that never ended."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support import debuggers, delves, toolchains
from tests.support.cyclic import EXPRESSIONS, LOCAL, check, cycle
from tests.support.debuggers import Core, Gdb, Session
from tests.support.delves import Dlv
from tests.support.toolchains import Row

#: A hundred thousand objects in a row: once a toolchain is enough.
LONG = "main.Keep.Chain"
#: Of the locals: an argument of the copying function, which is only there in the core.
ARGUMENT = "tree"

#: With cycles that are alike; and of one of them, those of a type.
KINDS = tuple(f"main.Keep.{name}" for name in ("List", "Pairs", "Tree", "Mixed"))
OF_A_TYPE = ("hmap-cycle main.Keep.Mixed --json --type main.Tree", "hmap-cycle main.Keep.Mixed --type main.Leaf")

#: A thousand frames are looked through for each name.
IN_CORES = tuple(f"main.Keep.{name}" for name in ("Self", "Sync", "Config", "Slot", "List", "Shared"))


@pytest.mark.each_kind
def test_live(toolchain: Row, gdb: Gdb) -> None:
    optimised = gdb.name != "system"
    names = [*EXPRESSIONS, *([] if optimised else [LOCAL, LONG])]
    plain = ["hmap-cycle main.Keep.Self", "hmap-cycle main.Keep.Shared", "hmap-cycle main.Keep.Leaf"]
    several = [*(f"hmap-cycle {name}" for name in KINDS), cycle(KINDS[-1])]
    limits = ["hmap-cycle main.Keep.Pairs --limit 3 --json", "hmap-cycle main.Keep.Pairs --limit 0 --json"]
    binary = toolchains.build("cycles", toolchain, optimised)
    answers = debuggers.visit(gdb, binary, {"built": [*map(cycle, names), *plain, *limits, *several, *OF_A_TYPE]})
    facts = answers.truth["built"]["notes"]["cycles"]
    assert facts.keys() == {*EXPRESSIONS, LOCAL, LONG}
    check(answers, "built", names)
    check_kinds(answers)
    said = [answers.at("built", command).output.splitlines() for command in plain]
    assert said[0][0] == "main.Keep.Self contains itself (1 cycle, 1 object reachable)"
    assert f"  {facts['main.Keep.Self']['text'][0].replace('interface {}', 'any')}" in said[0]
    assert said[1] == ["no cycle: 3 objects reachable"]
    assert said[2] == ["no cycle: nothing of type main.Leaf can lead back to itself"]
    for command, number in zip(limits, (3, 0)):
        told = answers.at("built", command).json()
        assert len(told["data"]["cycles"]) == number
        assert told["truncated"] == [{"what": "cycles", "shown": number, "of": 40, "option": "--limit N"}]


@pytest.mark.each_kind
def test_delve(toolchain: Row, dlv: Dlv) -> None:
    names = list(dict.fromkeys([*EXPRESSIONS[:12], *IN_CORES, LOCAL]))
    binary = toolchains.build("cycles", toolchain, optimised=False)
    answers = delves.visit(dlv, binary, {"built": [*map(cycle, names)]}, direct=not toolchain.name.endswith("1"))
    check(answers, "built", names)


def check_kinds(answers: Session) -> None:
    """Each kind of cycle is one line, whatever the number of cycles of it."""
    for expr, number in answers.truth["built"]["notes"]["kinds"].items():
        text, told = answers.at("built", f"hmap-cycle {expr}").output, answers.at("built", cycle(expr)).json()["data"]
        assert len(told["kinds"]) == number, (expr, told["kinds"])
        assert sum(kind["cycles"] for kind in told["kinds"]) >= len(told["cycles"])
        assert {kind["text"] for kind in told["kinds"]} & {one["text"] for one in told["cycles"]}
        lines = [line for line in text.split("\n\n")[1].splitlines() if " -> " in line or "leads back to it" in line]
        assert len(lines) == number, text
        for kind in told["kinds"]:  # what the program's own types lead to is one line too, with how many are like it
            assert kind["cycles"] == 1 or f"(and {kind['cycles'] - 1:,} like it)" in " ".join(text.split()), text
    (pairs,) = answers.at("built", cycle("main.Keep.Pairs")).json()["data"]["kinds"]
    assert pairs["cycles"] == 40
    of_tree, of_none = (answers.at("built", command) for command in OF_A_TYPE)
    (tree,) = of_tree.json()["data"]["kinds"]
    assert ".Root.Children[" in tree["text"] and tree["cycles"] == answers.truth["built"]["notes"]["children"]
    assert of_none.output.startswith("no cycle with type main.Leaf (")


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
