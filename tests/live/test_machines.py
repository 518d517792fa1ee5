"""Maps of programs for other machines, against what the programs say: 32 bits, another processor, big-endian."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gomap import elf
from tests import conftest
from tests.live import debuggers, machines, session, test_truth, toolchains
from tests.live.debuggers import Gdb, Session
from tests.live.lookups import check, intact
from tests.live.machines import MACHINES, Machine
from tests.live.toolchains import MATRIX, SYSTEM, Missing, Row

EVERY_KEY = Path(__file__).with_name("get_every_key.py")
#: One classic and one Swiss toolchain.
ROWS = ("1.23.9", "1.27.3")
PROGRAMS = ("growth", "types")
#: HWCAP_AES of Linux on arm64 (arch/arm64/include/uapi/asm/hwcap.h).
AES = 1 << 3
AES_SWITCHES = ("runtime.useAeshash", "internal/runtime/maps.UseAeshash")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """machine, row and gdb's name together: what this machine's own tools can run, or everything."""
    if "where" not in metafunc.fixturenames:
        return
    full = conftest.is_full(metafunc.config)
    rows = [row for row in MATRIX if row.name in ROWS] if full else [SYSTEM]
    cases = []
    for machine in MACHINES:
        # Debian's gdb knows this machine alone, PyPI's knows all.
        cases += [(machine, row, "pypi-18.1" if machine.qemu else "system") for row in rows]
    tests: list[tuple[str, tuple[Machine, Row, str]]]
    if metafunc.definition.name == "test_without_aes":  # 386 is among test_get_check's, s390x has no other hash
        tests = [("basic", case) for case in cases if case[0].name == "arm64" and case[1] is rows[-1]]
    else:  # how keys of each kind are hashed and written does not depend on the layout
        tests = [(p, case) for p in PROGRAMS for case in cases if p == "growth" or case[1] is rows[-1]]
    ids = [f"{machine.name}-go-{row.name}-{program}" for program, (machine, row, _) in tests]
    metafunc.parametrize("program, where", tests, ids=ids)


@pytest.fixture
def tools(where: tuple[Machine, Row, str], request: pytest.FixtureRequest) -> tuple[Machine, Row, Gdb]:
    machine, row, name = where
    if machine.qemu is not None and not conftest.is_full(request.config):
        conftest.leave_out(request.config, f"{machine.name} needs qemu-user and a gdb that knows it")
    conftest.ensured(request.config, row)
    try:
        if machine.qemu is not None:
            machines.find_qemu(machine.qemu)
    except Missing as missing:
        conftest.leave_out(request.config, str(missing))
    return machine, row, conftest.find_gdb(request.config, name)


def asked(tools: tuple[Machine, Row, Gdb], program: str, godebug: tuple[str, ...] = ()) -> tuple[Session, Path]:
    """The program's every stage and map; its stages and maps as this machine's own build of it has them."""
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


def test_maps(program: str, tools: tuple[Machine, Row, Gdb]) -> None:
    """hmap-show and hmap-evac of every map, hmap-get of its keys, hmap-check without a finding."""
    answers, own = asked(tools, program)
    test_truth.check_all(answers, own, False, "live")
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
    test_truth.check_all(answers, own, False, "live")
    every_key_is_found(answers, [stage])
