"""Maps that nothing but a closure holds, against what the program says of each closure."""

from __future__ import annotations

import re

import pytest

from tests.support import debuggers, delves, schema, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.toolchains import Row

COMMAND = "hmap-top -n 0 --json"
#: Where debug information does not say where in a closure a variable lies, gdb's side finds maps by their headers.
IN_GDB = {"Plain", "Assigned"}
#: What the optimiser leaves in debug information of all toolchains that tell of closures' parts.
OPTIMISED = {"Plain", "Assigned", "Changed", "Between", "Beyond"}
UNNAMED = ("Two", "Method", "HugeMethod")
CAPTURED = re.compile(r"main\.Keep\.(\w+)\.[\w.]+$")


def found(session: Session) -> dict[str, set[str]]:
    """{closure: addresses of the maps found in it}. A variable that has no name of its own (the receiver of a method
    value, one of two that only their names tell apart) is told by its address."""
    answer = session.at("captured", COMMAND).json()
    assert not schema.faults(answer, schema.answer("hmap-top"))
    assert answer["anomalies"] == []
    maps: dict[str, set[str]] = {}
    for one in answer["data"]["maps"]:
        if one["kind"] in ("heap", "stack"):
            continue  # found whatever leads there
        assert one["count"] == 2 or "main.Keep." not in one["path"]
        match = CAPTURED.match(one["path"])
        unnamed = next((name for name in UNNAMED if one["address"] in held(session)[name]), None)
        name = match.group(1) if match else unnamed if one["path"].startswith(("0x", "(0x")) else None
        if name:
            maps.setdefault(name, set()).add(one["address"])
    return maps


def held(session: Session) -> dict[str, set[str]]:
    return {name: set(maps) for name, maps in session.truth["captured"]["notes"]["closures"].items()}


def check(answers: Session, toolchain: Row, optimised: bool, without: set[str]) -> None:
    """without: the closures whose maps are found where debug information does not say where a variable lies."""
    truth, maps = held(answers), found(answers)
    assert len(truth) == 10
    if toolchain.name in ("1.21.13", "1.22.10"):
        assert maps == {name: held for name, held in truth.items() if name in without}
        return
    assert maps.items() <= truth.items()
    assert set(maps) >= (OPTIMISED if optimised else set(truth))


@pytest.mark.each_kind
def test_delve(toolchain: Row, dlv: Dlv, optimised: bool) -> None:
    binary = toolchains.build("closures", toolchain, optimised)
    check(delves.visit(dlv, binary, {"captured": [COMMAND]}), toolchain, optimised, set())


def test_gdb(toolchain: Row, system_gdb: Gdb, optimised: bool) -> None:
    binary = toolchains.build("closures", toolchain, optimised)
    check(debuggers.visit(system_gdb, binary, {"captured": [COMMAND]}), toolchain, optimised, IN_GDB)
