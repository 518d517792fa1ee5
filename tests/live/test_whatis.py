"""hmap-whatis against what a program says lies at addresses of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import debuggers, delves, matrix, toolchains
from tests.support.debuggers import Gdb
from tests.support.delves import Dlv
from tests.support.session import EVERY_KEY
from tests.support.spots import PLACES, ask, check, commands, data_of, wrong
from tests.support.toolchains import Row


@pytest.mark.each_kind
def test_live(toolchain: Row, system_gdb: Gdb) -> None:
    binary = toolchains.build("pointers", toolchain, optimised=False)
    session = debuggers.visit(system_gdb, binary, {stage: commands(stage) for stage in PLACES})
    for stage in PLACES:
        check(session, stage)


@pytest.mark.each_kind
def test_live_over_delve(toolchain: Row, dlv: Dlv) -> None:
    binary = toolchains.build("pointers", toolchain, optimised=False)
    session = delves.visit(dlv, binary, {stage: commands(stage) for stage in PLACES})
    for stage in PLACES:
        check(session, stage)


@pytest.mark.each_kind
def test_core(toolchain: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    core = debuggers.make_core(toolchains.build("pointers", toolchain, optimised=True), "growing")
    check(debuggers.examine(system_gdb, core, commands("growing")), "growing")
    check(delves.examine(dlv, core, commands("growing")), "growing")


def test_core_after_the_growth(swiss_go: Row, system_gdb: Gdb) -> None:
    """The old array has been freed, and so have the objects that the program let go of."""
    core = debuggers.make_core(toolchains.build("pointers", swiss_go, optimised=True), "freed")
    check(debuggers.examine(system_gdb, core, commands("freed")), "freed")


def test_every_gdb(system_go: Row, gdb: Gdb) -> None:
    binary = toolchains.build("pointers", system_go, optimised=True)
    check(debuggers.visit(gdb, binary, {stage: commands(stage) for stage in PLACES}), "freed")


def test_memory_of_c(system_go: Row, system_gdb: Gdb, dlv: Dlv, request: pytest.FixtureRequest) -> None:
    """Values of a map[string]*C.char point out of Go's memory; the map itself is Go's."""
    binary = cgo(system_go, request.config)
    asked = [*map(ask, range(20)), "hmap-whatis main.Strings", "get-every-key"]
    for session in (
        debuggers.visit(system_gdb, binary, {"main": [f"source {EVERY_KEY}", *asked]}),
        delves.visit(dlv, binary, {"main": asked}),
    ):
        places = session.truth["main"]["notes"]["places"]
        assert len(places) == 20
        for i, (what, address) in enumerate(places):
            data = data_of(session, "main", ask(i))
            assert (data["address"], wrong(data, what, [], session.truth["main"], "main")) == (address, None)
            assert session.at("main", ask(i)).json()["anomalies"] == []  # C's variables are no roots
        assert session.at("main", "hmap-whatis main.Strings").output.startswith("the header of main.Strings\n")
        looked = session.at("main", "get-every-key").json()["main.Strings"]
        assert (looked["keys"], looked["problems"]) == (20, []) and looked["absent"], looked


def cgo(row: Row, config: pytest.Config) -> Path:
    with matrix.needed(config):
        return toolchains.build("cpointers", row, optimised=False, cgo=True)


WRONG = {
    "hmap-whatis": "usage",
    "hmap-whatis 0x1ffffffffffffffff": "bad-expression",
    "hmap-whatis main.Keep": "bad-expression",
    "hmap-whatis main.Keep.Number": "bad-expression",
    "hmap-whatis nosuch": "no-such-variable",
    "hmap-whatis &nosuch": "no-such-variable",
    "hmap-whatis main.Places[63]": "bad-expression",
    "hmap-top --by size": "usage",
    "hmap-top -n many": "usage",
    "hmap-top m": "usage",
}


def test_bad_input(system_go: Row, system_gdb: Gdb) -> None:
    binary = toolchains.build("pointers", system_go, optimised=True)
    asked = [f"{line} --json" for line in WRONG]
    plain = ["hmap-whatis 0", "hmap-whatis 0xffffffffffffffff", "hmap-whatis 18446744073709551615"]
    session = debuggers.visit(system_gdb, binary, {"current": [*asked, *plain]})
    for line, code in WRONG.items():
        answer = session.at("current", f"{line} --json")
        assert answer.json()["error"]["code"] == code, (line, answer.output)
        assert answer.error and "\n" not in answer.error.strip()
    for line in plain:
        assert session.at("current", line).output.startswith("not Go's memory"), line
