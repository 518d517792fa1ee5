"""hmap-show --iterators: loops that are under way and no others, against what the goroutines say of theirs."""

from __future__ import annotations

import pytest

from tests.support import debuggers, delves, directly, toolchains
from tests.support.debuggers import Gdb
from tests.support.delves import Dlv
from tests.support.iterations import COMMANDS, check
from tests.support.toolchains import Row


@pytest.mark.each_kind
def test_live(toolchain: Row, system_gdb: Gdb, optimised: bool) -> None:
    binary = toolchains.build("iterate", toolchain, optimised)
    check(debuggers.visit(system_gdb, binary, {"all": COMMANDS}))


def test_delve_in_a_core(toolchain: Row, dlv: Dlv) -> None:
    core = debuggers.make_core(toolchains.build("iterate", toolchain, optimised=True), "all")
    check(delves.examine(dlv, core, COMMANDS))


def test_delve_live(both_layouts: Row, dlv: Dlv) -> None:
    check(delves.visit(dlv, toolchains.build("iterate", both_layouts, optimised=True), {"all": COMMANDS}))


def test_core(both_layouts: Row, system_gdb: Gdb) -> None:
    core = debuggers.make_core(toolchains.build("iterate", both_layouts, optimised=True), "all")
    check(debuggers.examine(system_gdb, core, COMMANDS))
    check(directly.examine(core, COMMANDS))


def test_nil_and_empty(system_go: Row, system_gdb: Gdb) -> None:
    binary = toolchains.build("nilwrite", system_go, optimised=False)
    answers = debuggers.visit(system_gdb, binary, {"before": ["hmap-show main.Keep.Stats.Counts --iterators --json"]})
    assert answers.answers[0].json()["data"]["iterators"] == []
    answers = debuggers.visit(system_gdb, binary, {"before": ["hmap-show main.Keep.Stats.Seen --iterators --json"]})
    assert answers.answers[0].json()["data"]["iterators"] == []
