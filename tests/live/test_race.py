"""hmap-race: who is inside which map operation, against what the program knows of its goroutines and, where it died,
against the report that the runtime wrote about it."""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gomap.golang.runtime import mapcalls
from tests.support import builds, debuggers, delves, directly, matrix, toolchains
from tests.support.deaths import Report, check_death, death
from tests.support.debuggers import Answer, Gdb
from tests.support.delves import Dlv
from tests.support.races import (
    LISTED,
    RACE,
    TOURED,
    WORDS,
    Step,
    check_inside,
    check_quiet,
    check_staying,
    holders,
    inside,
    told,
    warned,
)
from tests.support.toolchains import Row

#: Where the goroutine stands that spins while it compares keys: main.spins, and what is inlined there.
SPINNING = ("main.spins", "sync/atomic.(*Bool).Load")


@functools.cache
def itinerary(binary: Path) -> tuple[str, ...]:
    """The runtime's functions that the program enters after its stage "tour", in order."""
    with tempfile.TemporaryDirectory(dir=debuggers.scratch()) as folder:
        truth = Path(folder) / "truth"
        env = debuggers._environment({"GOMAP_TRUTH": str(truth), "GOMAP_STAGE": "none"})
        subprocess.run([str(binary)], env=env, check=True, stdin=subprocess.DEVNULL, timeout=300)
        told = debuggers._published(truth)["tour"]["unnamed"]
    steps = sorted((expr.split() for expr in told if expr.startswith("step ")), key=lambda words: int(words[1]))
    assert [int(words[1]) for words in steps] == list(range(len(steps)))
    return tuple(words[2] for words in steps)


def steps(truth: Mapping[str, Any]) -> list[Step]:
    """What the tour does, in order: main.main's goroutine is the first."""
    found = {}
    for expr, facts in truth["unnamed"].items():
        who, *words = expr.split()
        if who == "step":
            number, _, operation, function, line = words
            found[int(number)] = Step(1, operation, function, int(line), facts["address"], facts["type"])
    return [found[number] for number in sorted(found)]


# -- one answer against the truth ----------------------------------------------------------------------------


# -- the runtime's sources -----------------------------------------------------------------------------------

_METHOD = re.compile(r"^func (?:\(\w+ (\*?)(\w+)\) )?(\w+)\(.*{\n[\s\S]*?^}", re.M)
_LINKED = re.compile(r"^//go:linkname (\w+) ((?:runtime|maps|reflect)\.\w+)$", re.M)


def functions(folder: Path) -> dict[str, str]:
    """The functions of the runtime's map code by linker name, with their text."""
    found = {}
    for path in [*folder.glob("runtime/map*.go"), *folder.glob("internal/runtime/maps/*.go")]:
        if path.name.endswith("_test.go") or path.name == "runtime_noswiss.go":
            continue
        text, package = path.read_text(), str(path.parent.relative_to(folder))
        linked = dict(_LINKED.findall(text))
        for match in _METHOD.finditer(text):
            star, receiver, name = match.groups()
            full = f"{package}.({star}{receiver}).{name}" if receiver else f"{package}.{name}"
            found[linked.get(name, full) if not receiver else full] = match.group()
    return found


def test_every_function_that_reports_a_race_is_known(toolchain: Row) -> None:
    """What the runtime's sources can end a program in is an operation here."""
    sources = toolchains.ensure(toolchain).parents[1] / "src"
    reporting = 0
    for name, text in functions(sources).items():
        messages = set(re.findall(r'fatal\("(concurrent map [^"]*)"\)', text))
        if not messages and "errNilAssign)" not in text and "assignment to entry in nil map" not in text:
            continue
        reporting += 1
        assert mapcalls.operation(name) is not None, name
        assert all(mapcalls.is_report(message) for message in messages), (name, messages)
    assert reporting > 15


# -- a live program ------------------------------------------------------------------------------------------


@pytest.mark.each_kind
def test_live(toolchain: Row, system_gdb: Gdb, optimised: bool) -> None:
    """Nobody inside; goroutines kept inside; and, where it is harder, a stop in every map function of the runtime."""
    binary = toolchains.build("race", toolchain, optimised)
    tour = [line for symbol in itinerary(binary) for line in (f"tbreak {symbol}", "continue", RACE)]
    stages = {"quiet": [RACE, WORDS], "inside": [RACE, WORDS], "tour": tour if optimised else []}
    answers = debuggers.visit(system_gdb, binary, stages)
    check_quiet(told(answers.at("quiet", RACE)), answers.at("quiet", WORDS))
    check_staying(told(answers.at("inside", RACE)), answers.at("inside", WORDS), answers.truth["inside"])
    asked = [answer for answer in answers.answers if answer.stage == "tour"]
    assert not [(a.command, a.error) for a in asked if a.error is not None]
    if optimised:
        check_tour([answer for answer in asked if answer.command == RACE], answers.truth["tour"])


def check_tour(answers: Sequence[Answer], truth: Mapping[str, Any], listed: Sequence[Answer] = ()) -> None:
    """listed: Delve's own list of the goroutines at each stop."""
    wanted = steps(truth)
    assert len(answers) == len(wanted) > 20
    for i, (answer, step) in enumerate(zip(answers, wanted)):
        within = inside(truth)
        data = told(answer, spinners(within) if listed else ())
        check_inside(data, [*(within_reach(answer, within, listed[i].output) if listed else within), step])


def within_reach(answer: Answer, wanted: Sequence[Step], listed: str) -> list[Step]:
    """The steps, as they can be told where Delve has lost the map's function, or the operation with all its calls:
    then there is a warning."""
    lost, inside = out_of_the_map(listed), answer.json()["data"]["inside"]
    unseen = warned(answer) - {one["goroutine"] for one in inside}
    types = {one["goroutine"]: one["type"] for one in inside if one["address"] is None}
    return [
        replace(one, address=None, type=types[one.goroutine]) if one.goroutine in lost & set(types) else one
        for one in wanted
        if one.goroutine not in unseen
    ]


def spinners(within: Sequence[Step]) -> set[int]:
    """Goroutines that a signal may interrupt at any instruction: Delve skips calls of such."""
    return {one.goroutine for one in within if one.function == "main.(*Registry).spin"}


def out_of_the_map(listed: str) -> set[int]:
    """Goroutines that spin inside a map operation by what the program says, and not by Delve's own list: it loses the
    calls behind a signal's handler that is stopped at its first instruction, the map's function among them."""
    places = re.findall(r"^[* ] *(\d+)  (\S+)  ", listed, re.M)
    assert places, listed
    return {int(goroutine) for goroutine, function in places if function not in SPINNING}


# -- a program that died -------------------------------------------------------------------------------------


@pytest.mark.each_kind
@pytest.mark.parametrize("stage", ["reads", "iteration", "clone", "marshal", "reflect"])
def test_core_of_a_race(stage: str, toolchain: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """Each of the runtime's reports: what it said, of whom, on which line; and which map."""
    core, said = death(toolchains.build("race", toolchain, optimised=stage in ("reads", "reflect")), stage)
    sessions = [debuggers.examine(system_gdb, core, [RACE, WORDS])]
    # Package reflect's functions do not have the map's address: it is concluded.
    sessions += [delves.examine(dlv, core, [RACE, WORDS])] if stage == "reflect" else []
    sessions.append(directly.examine(core, [RACE, WORDS]))
    for answers in sessions:
        check_death(told(answers.at(stage, RACE)), answers.at(stage, WORDS), said, core.truth[stage])


def test_core_of_a_race_of_writes(toolchain: Row, gdb: Gdb, dlv: Dlv) -> None:
    """The report that people meet most, with every gdb and Delve."""
    core, said = death(toolchains.build("race", toolchain, optimised=True), "writes")
    sessions = [debuggers.examine(gdb, core, [RACE, WORDS])]
    sessions += [delves.examine(dlv, core, [RACE, WORDS])] if gdb.name == "system" else []
    sessions += [directly.examine(core, [RACE, WORDS])] if gdb.name == "system" else []
    for answers in sessions:
        check_death(told(answers.at("writes", RACE)), answers.at("writes", WORDS), said, core.truth["writes"])


def test_core_of_a_real_race(system_go: Row, system_gdb: Gdb) -> None:
    """Two goroutines write as fast as they can until the runtime sees it; who dies, and where the other is by then,
    nobody knows in advance."""
    core, said = death(toolchains.build("race", system_go, optimised=True), "real")
    data = told(debuggers.examine(system_gdb, core, [RACE]).answers[0])
    shared = next(iter(holders(core.truth["real"])))[0]
    dead = {one["goroutine"]: one for one in data["inside"] if one["fatal"]}
    one = dead[said.goroutine]
    assert (one["function"], one["line"], one["message"]) == (said.function, said.line, said.message)
    assert {each["address"] for each in data["inside"]} == {shared}
    assert {each["function"] for each in data["inside"]} == {"main.(*Registry).forever"}


# -- a nil map -----------------------------------------------------------------------------------------------


def test_core_of_a_nil_map_write(toolchain: Row, system_gdb: Gdb) -> None:
    core, said = death(toolchains.build("nilwrite", toolchain, optimised=False), "panic")
    answers = debuggers.examine(system_gdb, core, [RACE, WORDS])
    check_nil(told(answers.at("panic", RACE)), answers.at("panic", WORDS), said, core.truth["panic"])


def test_core_of_a_nil_map_write_in_delve(system_go: Row, dlv: Dlv) -> None:
    core, said = death(toolchains.build("nilwrite", system_go, optimised=False), "panic")
    answers = delves.examine(dlv, core, [RACE, WORDS], direct=True)
    check_nil(told(answers.at("panic", RACE)), answers.at("panic", WORDS), said, core.truth["panic"])


def check_nil(data: Any, words: Answer, said: Report, truth: Mapping[str, Any]) -> None:
    assert said.message.startswith("assignment to entry in nil map")
    (one,) = data["inside"]
    assert (one["goroutine"], one["function"], one["line"]) == (said.goroutine, said.function, said.line)
    assert (one["operation"], one["address"], one["fatal"], one["nil"]) == ("write", None, True, True)
    assert one["message"] == "assignment to entry in nil map"
    named = {holder["path"] for holder in one["nil_maps"]}
    nil = {expr for expr, facts in truth["maps"].items() if facts["nil"]}
    assert "counts" in named and {path for path in named if path in truth["maps"]} <= nil
    assert words.output.startswith(f"panic: assignment to entry in nil map in {said.function}: "), words.output
    assert "counts" in words.output.split("\n\n")[0]
    assert data["maps"] == []


def test_nil_map_write_optimised(system_go: Row, system_gdb: Gdb) -> None:
    """Where the compiler kept none of the variables: still which goroutine, function and line."""
    core, said = death(toolchains.build("nilwrite", system_go, optimised=True), "panic")
    (one,) = told(debuggers.examine(system_gdb, core, [RACE]).answers[0])["inside"]
    assert (one["goroutine"], one["function"], one["line"]) == (said.goroutine, said.function, said.line)
    assert (one["operation"], one["address"], one["fatal"], one["nil"]) == ("write", None, True, True)


# -- under the race detector ---------------------------------------------------------------------------------


def test_race_detector(
    both_layouts: Row, system_gdb: Gdb, dlv: Dlv, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goroutines inside operations, and the death that the runtime ends a program in although the detector saw it.

    Nobody spins: a goroutine in the detector's own code, on the system's stack, has left no trace of where it was.
    """
    monkeypatch.setenv("GOMAP_COOPERATIVE", "1")
    with matrix.needed(request.config):
        detector = builds.build("detector", builds.Build("race", builds.RACE, cgo=True), both_layouts)
    live = delves.visit(dlv, detector, {"quiet": [RACE, WORDS], "inside": [RACE, WORDS]})
    check_quiet(told(live.at("quiet", RACE)), live.at("quiet", WORDS))
    check_staying(told(live.at("inside", RACE)), live.at("inside", WORDS), live.truth["inside"])
    core, said = death(detector, "writes")
    for one in (debuggers.examine(system_gdb, core, [RACE, WORDS]), delves.examine(dlv, core, [RACE, WORDS])):
        check_death(told(one.at("writes", RACE)), one.at("writes", WORDS), said, core.truth["writes"])


# -- Delve ---------------------------------------------------------------------------------------------------


@pytest.mark.each_kind
def test_delve(toolchain: Row, dlv: Dlv) -> None:
    binary = toolchains.build("race", toolchain, optimised=True)
    symbols = itinerary(binary) if toolchain.name in TOURED else ()
    tour = [
        line
        for number, symbol in enumerate(symbols, 1)
        for line in (f"break {symbol}", "continue", RACE, LISTED, f"clear {number}")
    ]
    answers = delves.visit(dlv, binary, {"quiet": [RACE, WORDS], "inside": [RACE, WORDS, LISTED], "tour": tour})
    check_quiet(told(answers.at("quiet", RACE)), answers.at("quiet", WORDS))
    answer, staying = answers.at("inside", RACE), inside(answers.truth["inside"])
    data = told(answer, spinners(staying))
    reach = within_reach(answer, staying, answers.at("inside", LISTED).output)
    if reach == staying:
        check_staying(data, answers.at("inside", WORDS), answers.truth["inside"])
    else:
        check_inside(data, reach)
    asked = [answer for answer in answers.answers if answer.stage == "tour"]
    assert not [(a.command, a.error) for a in asked if a.error is not None]
    if symbols:
        races, listed = ([answer for answer in asked if answer.command == line] for line in (RACE, LISTED))
        check_tour(races, answers.truth["tour"], listed)
