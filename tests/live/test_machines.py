"""Maps of programs for other machines, against what the programs say: 32 bits, another processor, big-endian."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from direct.target import DirectTarget, of_core
from gomap import elf
from tests.live import test_breaks as breaks
from tests.support import (
    FOLDER,
    cyclic,
    debuggers,
    directly,
    iterations,
    machines,
    matrix,
    races,
    recordings,
    session,
    spots,
    stacks,
    structures,
    syncmaps,
    toolchains,
    truths,
)
from tests.support.debuggers import Gdb, Session
from tests.support.lookups import check, intact
from tests.support.machines import MACHINES, Machine
from tests.support.stack_list import stack_list
from tests.support.toolchains import MATRIX, SYSTEM, Row

EVERY_KEY = FOLDER / "get_every_key.py"
#: One classic and one Swiss toolchain.
ROWS = ("1.23.9", "1.27.3")
PROGRAMS = ("growth", "types")
#: How many maps of each stage are recorded.
RECORDED = 3
#: HWCAP_AES of Linux on arm64 (arch/arm64/include/uapi/asm/hwcap.h).
AES = 1 << 3
AES_SWITCHES = ("runtime.useAeshash", "internal/runtime/maps.UseAeshash")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """machine, row and gdb's name together: what this machine's own tools can run, or everything."""
    if "where" not in metafunc.fixturenames:
        return
    full = matrix.is_full(metafunc.config)
    rows = [row for row in MATRIX if row.name in ROWS] if full else [SYSTEM]
    cases = []
    for machine in MACHINES:
        # Debian's gdb knows this machine alone, PyPI's knows all.
        cases += [(machine, row, "pypi-18.1" if machine.qemu else "system") for row in rows]
    tests: list[tuple[str, tuple[Machine, Row, str]]]
    if metafunc.definition.name == "test_without_aes":  # 386 is among test_get_check's, s390x has no other hash
        tests = [("basic", case) for case in cases if case[0].name == "arm64" and case[1] is rows[-1]]
    elif metafunc.definition.name == "test_table_of_structures":
        tests = [("race", case) for case in cases]
    elif metafunc.definition.name == "test_stops":  # 386 runs in no trace, s390x neither
        tests = [("breaks", case) for case in cases if case[0].name == "arm64"]
    elif metafunc.definition.name == "test_core":  # qemu-s390x writes none
        tests = [(p, case) for p in BUILT for case in cases if case[0].name != "s390x"]
    elif metafunc.definition.name == "test_process":
        tests = [(p, case) for p in PROCESSES for case in cases if p in OF_LAYOUTS or case[1] is rows[-1]]
    else:  # how keys of each kind are hashed and written does not depend on the layout
        tests = [(p, case) for p in PROGRAMS for case in cases if p == "growth" or case[1] is rows[-1]]
    ids = [f"{machine.name}-go-{row.name}-{program}" for program, (machine, row, _) in tests]
    metafunc.parametrize("program, where", tests, ids=ids)


@pytest.fixture
def tools(where: tuple[Machine, Row, str], request: pytest.FixtureRequest) -> tuple[Machine, Row, Gdb]:
    machine, row, name = where
    if machine.qemu is not None and not matrix.is_full(request.config):
        matrix.leave_out(request.config, f"{machine.name} needs qemu-user and a gdb that knows it")
    matrix.ensured(request.config, row)
    with matrix.needed(request.config):
        if machine.qemu is not None:
            machines.find_qemu(machine.qemu)
    return machine, row, matrix.find_gdb(request.config, name)


def asked(
    tools: tuple[Machine, Row, Gdb], program: str, godebug: tuple[str, ...] = (), records: Path | None = None
) -> tuple[Session, Path]:
    """The program's every stage and map; its stages and maps as this machine's own build of it has them.

    records: the folder that some of the maps are recorded to.
    """
    machine, row, gdb = tools
    own, binary = (toolchains.build(program, row, False, arch) for arch in (None, machine.name))
    published = session.published(own)
    wanted = stages_of(program, machine, list(published))
    commands: dict[str, list[str]] = {}
    for stage in list(published)[: list(published).index(wanted[-1]) + 1]:
        exprs = published[stage] if stage in wanted else ()
        commands[stage] = []
        if exprs:
            commands[stage] = [f"source {EVERY_KEY}", *session.questions(exprs), *map(check, exprs), "get-every-key"]
            commands[stage] += [record(expr, stage, records) for expr in exprs[:RECORDED] if records is not None]
    commands[wanted[0]] += ["info auxv", *(f"output '{switch}'" for switch in AES_SWITCHES)]
    return machines.visit(gdb, machine, binary, commands, godebug), own


def stages_of(program: str, machine: Machine, stages: list[str]) -> list[str]:
    """Of a growth some moments in the middle, without those that an emulated processor takes long to come to."""
    if program != "growth":
        return stages
    wanted = ["doubling-started", "doubling-half", "doubling-done", "first-table", "split", "shared"]
    if machine.qemu is None:
        wanted += ["same-size-half", "many"]
    return [stage for stage in stages if stage in wanted]


def record(expr: str, stage: str, folder: Path) -> str:
    return f"hmap-record {expr} {folder / stage}-{re.sub('[^A-Za-z]', '-', expr)}.hmap"


def test_maps(
    program: str, tools: tuple[Machine, Row, Gdb], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """hmap-show and hmap-evac of every map, hmap-get of its keys, hmap-check without a finding; and all of it again
    of a map that was recorded."""
    answers, own = asked(tools, program, records=tmp_path)
    truths.check_all(answers, own, False, "live")
    machine = tools[0]
    binary = toolchains.build(program, tools[1], False, machine.name)
    with elf.mapped(str(binary)) as data:
        parsed = elf.parse(data)
    target = {
        "arch": machine.name,
        "pointer_size": 8 if parsed.wide else 4,
        "byte_order": "little" if parsed.order == "<" else "big",
    }
    stages = list(dict.fromkeys(answer.stage for answer in answers.answers))
    for stage in stages:
        exprs = session.published(own)[stage]
        assert set(exprs) == set(answers.truth[stage]["maps"])
        for expr in exprs:
            shown = answers.at(stage, session.show(expr)).json()["target"]
            assert {name: shown[name] for name in target} == target
    every_key_is_found(answers, stages)
    aes_is_as_the_processor_says(answers, machine, stages[0])
    for stage in stages:
        for expr in session.published(own)[stage][:RECORDED]:
            saved = answers.at(stage, record(expr, stage, tmp_path))
            assert saved.error is None, saved
            again = [session.show(expr), session.evac(expr), check(expr)]
            for question, told in zip(again, recordings.replay(Path(saved.command.split()[-1]), again, capsys)):
                live = answers.at(stage, question).json()
                assert recordings.told(told) == recordings.told(live), (stage, question)
                assert told["target"] == {**live["target"], "backend": "image", "kind": "recorded"}


def every_key_is_found(answers: Session, stages: list[str]) -> None:
    """By its hash, in its very slot; keys that the program looks up in vain are not; hmap-check finds nothing."""
    keys = absent = 0
    for stage in stages:
        got = answers.at(stage, "get-every-key")
        assert got.error is None, got
        for expr, truth in answers.truth[stage]["maps"].items():
            checked, looked = answers.at(stage, check(expr)), got.json()[expr]
            assert checked.error is None and not intact(checked.json(), truth), (stage, expr, checked)
            assert looked["problems"] == [], (stage, expr, looked)
            keys += looked["keys"] + looked["found"]
            absent += looked["absent"]
    assert keys > 20 and absent


def uses_aes(answers: Session, stage: str) -> bool | None:
    """What the runtime's own switch says: it has one name or the other, or there is none."""
    said = [answers.at(stage, f"output '{switch}'") for switch in AES_SWITCHES]
    found = [answer.output for answer in said if answer.error is None]
    return {"true": True, "false": False}[found[0]] if found else None


def aes_is_as_the_processor_says(answers: Session, machine: Machine, stage: str) -> None:
    if machine.name == "s390x":
        assert uses_aes(answers, stage) is None  # runtime/asm_s390x.s has the fallback alone
    elif machine.name == "arm64":
        capabilities = re.search(r"AT_HWCAP .*?(0x[0-9a-f]+|\d+)$", answers.at(stage, "info auxv").output, re.M)
        assert capabilities is not None
        assert uses_aes(answers, stage) == bool(int(capabilities.group(1), 0) & AES)


def test_without_aes(program: str, tools: tuple[Machine, Row, Gdb]) -> None:
    """An arm64 processor that has no AES, as far as Go can tell."""
    answers, own = asked(tools, program, ("cpu.aes=off",))
    (stage,) = debuggers.stages(own)
    assert uses_aes(answers, stage) is False
    truths.check_all(answers, own, False, "live")
    every_key_is_found(answers, [stage])


# -- the whole process ---------------------------------------------------------------------------------------


def goroutines(found: Session, machine: Machine, row: Row) -> None:
    """Every stack as the runtime has it, and what it holds; hmap-top and hmap-check --all come by the same maps."""
    truth = found.truth["all"]
    if (machine.name, row.name) == ("s390x", "1.27.3"):  # gdb: <optimized out>, in registers that the call overwrote
        kept = {label: facts for label, facts in truth["unnamed"].items() if not label.endswith(" main.deep2 h.M")}
        truth = {**truth, "unnamed": kept}
    every = found.at("all", stacks.ALL)
    stacks.check_holders(every, truth, optimised=False)
    stacks.check_own(found.at("all", stacks.OWN), every)
    stacks.check_stacks(json.loads(found.at("all", stacks.STACKS).output), truth)
    assert json.loads(found.at("all", "gomap_seen").output) == []
    # What os.(*File).Read will assign on the line where it waits has no value yet.
    told = [a for a in every.json()["anomalies"] if not a["message"].startswith("e in os.(*File).Read of ")]
    assert not told, told
    ranked = found.at("all", TOP).json()["data"]
    listed = {one["address"]: (one["type"], one["count"]) for one in ranked["maps"]}
    for label, facts in {**truth["unnamed"], **truth["maps"]}.items():
        assert listed[facts["address"]] == (facts["type"], facts["len"]), label
    checked = found.at("all", CHECK).json()["data"]["maps"]
    assert {one["address"]: (one["type"], one["entries"]) for one in checked} == listed
    assert all(one["ok"] and one["hashes_checked"] >= one["entries"] for one in checked)


def race(found: Session, machine: Machine, row: Row) -> None:
    quiet, inside = (races.told(found.at(stage, races.RACE)) for stage in ("quiet", "inside"))
    races.check_quiet(quiet, found.at("quiet", races.WORDS))
    races.check_staying(inside, found.at("inside", races.WORDS), found.truth["inside"])


def pointers(found: Session, machine: Machine, row: Row) -> None:
    for stage in spots.PLACES:
        spots.check(found, stage)


def syncmap(found: Session, machine: Machine, row: Row) -> None:
    syncmaps.check(found, optimised=False)
    syncmaps.ranked(found)
    syncmaps.spoilt(found)


def iterate(found: Session, machine: Machine, row: Row) -> None:
    iterations.check(found)


def cycles(found: Session, machine: Machine, row: Row) -> None:
    cyclic.check(found, "built", CYCLES)


def slices(found: Session, machine: Machine, row: Row) -> None:
    answer, truth = found.at("shared", stacks.SLICES), found.truth["shared"]
    stacks.check_slices(answer, truth["notes"]["slices"], optimised=False)


TOP, CHECK = "hmap-top -n 0 --json", "hmap-check --all --json"
CYCLES = (*cyclic.EXPRESSIONS[:12], cyclic.LOCAL)
#: What is asked about the whole process, by stage, and how the answers are looked at.
PROCESSES: Mapping[str, tuple[Callable[[Session, Machine, Row], None], Mapping[str, Sequence[str]]]] = {
    "goroutines": (goroutines, {"all": [*stacks.IN_GDB, TOP, CHECK]}),
    "race": (race, {stage: [races.RACE, races.WORDS] for stage in ("quiet", "inside")}),
    "pointers": (pointers, {stage: spots.commands(stage) for stage in spots.PLACES}),
    "syncmap": (
        syncmap,
        {
            stage: [
                *(syncmaps.sync(expr) for expr in syncmaps.expressions(stage, optimised=False)),
                *syncmaps.WHOLE.get(stage, ()),
            ]
            for stage in ("amended", "promoted", "cleared", "spoilt")
        },
    ),
    "iterate": (iterate, {"all": iterations.COMMANDS}),
    "cycles": (cycles, {"built": [cyclic.cycle(expr) for expr in CYCLES]}),
    "slices": (slices, {"shared": [stacks.SLICES]}),
}


def test_table_of_structures(program: str, tools: tuple[Machine, Row, Gdb]) -> None:
    """What the table has of the runtime's structures is what the program's debug information has."""
    machine, row, _ = tools
    structures.same_structures(row, machine.name, toolchains.build(program, row, False, machine.name))


#: Ways of linking the programs whose core files are looked at.
BUILT: Mapping[str, tuple[str, ...]] = {"whole": (), "stripped": ("-ldflags=-s -w",)}


def test_core(program: str, tools: tuple[Machine, Row, Gdb]) -> None:
    """Core files, with debug information and without: stacks of running goroutines too, map operations, who holds."""
    machine, row, gdb = tools
    core = machines.make_core(
        machine, toolchains.build("race", row, True, machine.name, extra=BUILT[program]), "inside"
    )
    for answers in (debuggers.examine(gdb, core, [races.RACE]), directly.examine(core, [races.RACE])):
        data = races.told(answers.at("inside", races.RACE))
        races.check_inside(data, races.inside(core.truth["inside"]))
        races.check_maps(data, core.truth["inside"], named=program == "whole")
    binary = toolchains.build("goroutines", row, True, machine.name, extra=BUILT[program])
    core = machines.make_core(machine, binary, "all")
    target = DirectTarget(of_core(str(binary), str(core.path)))
    stacks.check_stacks(stack_list(target), core.truth["all"])


def test_stops(program: str, tools: tuple[Machine, Row, Gdb], tmp_path: Path) -> None:
    """hmap-break and both traces, whose breakpoints read the arguments of the runtime's functions."""
    machine, row, gdb = tools
    truth = tmp_path / "truth"
    binary = toolchains.build(program, row, True, machine.name)
    asked = [("Kept", "insert", None), ("Kept", "growth", None), ("Kept", "delete", '"key 8"'), ("Kept", "clear", None)]
    said = machines.drive(
        gdb,
        machine,
        binary,
        truth,
        *[f"{breaks.command(*one)} --log --json" for one in asked],
        "hmap-break main.Ints --on insert",
        "continue",
        "hmap-break --delete all",
        "hmap-break main.Points --on insert",
        "hmap-trace --json",
        "hmap-break --delete all",
        "hmap-trace main.Points --writes --json",
    )
    own = json.loads(truth.read_text())
    *made, growths, writes = (answer["data"] for answer in breaks.answers(said))
    for one, answer in zip(asked, made):
        assert answer["breaks"][-1]["by"] == "breakpoints"
        wanted = breaks.wanted(own, *one)
        assert wanted and breaks.told(said, answer["made"]) == wanted, one
    assert "hardware watchpoint: on arm64 gomap uses breakpoints alone" in " ".join(said.split())
    place = operator.itemgetter("function", "line")
    _, *points = (one for one in own if one["map"] == "Points" and (one["what"] != "absent" or one["entries"]))
    assert [
        (one["effect"], one["entries"], one["goroutine"], *place(one["location"]))
        for one in writes["written"]["writes"]
    ] == [(one["what"], one["entries"], one["goroutine"], one["function"], one["line"]) for one in points]
    grown = [one for one in own if one["map"] == "Ints" and one["grew"] >= 0]
    assert [
        (one["entries"], one["goroutine"], *place(one["location"]))
        for one in growths["growths"]
        if one["location"] and one["location"]["function"] in {facts["function"] for facts in grown}
    ] == [(one["grew"], one["goroutine"], one["function"], one["line"]) for one in grown]


#: What depends on how maps are laid out, or on the code that the compiler makes; of the others one row is enough.
OF_LAYOUTS = ("goroutines", "race", "syncmap")


def test_process(program: str, tools: tuple[Machine, Row, Gdb]) -> None:
    """Goroutines and what they hold, races, addresses, sync.Maps, iterations, cycles, slices."""
    machine, row, gdb = tools
    look, commands = PROCESSES[program]
    look(machines.visit(gdb, machine, toolchains.build(program, row, False, machine.name), commands), machine, row)
