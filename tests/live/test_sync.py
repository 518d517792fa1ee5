"""hmap-sync, hmap-top and hmap-check against what the program reads of its own sync.Maps, and maps behind locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import debuggers, delves, schema, session, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.syncmaps import CHECK, TOP, WHOLE, check, expressions, ranked, rows, spoilt, sync
from tests.support.toolchains import Row
from tests.support.truths import check_all

STRUCTS = ("main.Keep", "main.Keep.Service", "main.Keep.Service.guarded", "main.Keep.Service.cache.nosuch")


def questions(binary: Path, optimised: bool) -> dict[str, list[str]]:
    maps = session.published(binary)
    asked = {
        stage: [*map(sync, expressions(stage, optimised)), *session.questions(exprs)] for stage, exprs in maps.items()
    }
    for stage, commands in WHOLE.items():
        asked[stage] += commands
    return asked


def test_live(toolchain: Row, gdb: Gdb) -> None:
    optimised = gdb.name != "system"
    for row in rows(toolchain, optimised):
        binary = toolchains.build("syncmap", row, optimised)
        asked = questions(binary, optimised)
        first = next(iter(asked))
        asked[first] += [command for expr in STRUCTS for command in (f"hmap-sync {expr}", f"hmap-sync {expr} --json")]
        answers = debuggers.visit(gdb, binary, asked)
        check(answers, optimised)
        ranked(answers)
        spoilt(answers)
        check_all(answers, binary, optimised, "live")
        refused(answers, first)


@pytest.mark.each_kind
def test_delve(toolchain: Row, dlv: Dlv) -> None:
    binary = toolchains.build("syncmap", toolchain, optimised=True)
    answers = delves.visit(dlv, binary, questions(binary, True), direct=toolchain.name.endswith("1"))
    check(answers, True)
    ranked(answers)
    spoilt(answers)
    check_all(answers, binary, True, "live")


@pytest.mark.each_kind
def test_core(toolchain: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """Two debuggers on one core say the same, and it is what the program said."""
    binary = toolchains.build("syncmap", toolchain, optimised=False)
    core = debuggers.make_core(binary, "amended")
    asked = [*(sync(expr) for expr in expressions("amended", False)), TOP, CHECK]
    ours, theirs = delves.examine(dlv, core, asked), debuggers.examine(system_gdb, core, asked)
    for answers in (ours, theirs):
        check(answers, False)
        ranked(answers)
    for one, other in zip(ours.answers, theirs.answers):
        if not one.command.startswith("hmap-sync"):
            continue
        assert one.json()["data"] == other.json()["data"], one.command


def refused(answers: Session, stage: str) -> None:
    """What is not a sync.Map gets one line; of a struct that has one it says where."""
    for expr in STRUCTS:
        plain, told = (answers.at(stage, f"hmap-sync {expr}{option}") for option in ("", " --json"))
        assert plain.error is not None and plain.error.startswith("hmap-sync: ") and "\n" not in plain.error
        assert not schema.faults(told.json(), schema.failure("hmap-sync"))
        code = told.json()["error"]["code"]
        assert code == ("bad-expression" if "nosuch" in expr else "not-a-map"), told
    assert "main.Keep.Service.cache" in (answers.at(stage, "hmap-sync main.Keep.Service").error or "")
