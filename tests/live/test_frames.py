"""Which frame is whose, and which of its variables are alive: against what the programs say of themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from delve_bridge.console import Console
from delve_bridge.moves import resume, set_breakpoint
from gomap.render.text import Style
from tests.support import debuggers, delves, toolchains
from tests.support.debuggers import LOAD, NO_SCRIPTS, Gdb, typed
from tests.support.delves import Dlv
from tests.support.gdb_sessions import batch
from tests.support.holders_told import ways

Target = Callable[[str], Path]

ALL = "hmap-alias --scope all --all --json"
RACE = "hmap-race --json"
#: Where main.main stands itself, where a function inlined into it does, and where one does that is inlined into
#: another that is inlined, too.
STOPS = ("main.main", "main.innermost", "main.innermost")
CALLED = {"main.main", "main.outer", "main.middle", "main.inner", "main.innermost"}


SOURCE = (toolchains.TARGETS / "inlined" / "main.go").read_text().splitlines()
STOP = 1 + SOURCE.index('\tstop("inlined")')


def in_batch(gdb: Gdb, truth: Path, *arguments: str) -> list[Any]:
    """What gomap answered in JSON, in order."""
    env = {"GOMAP_TRUTH": str(truth), "GOMAP_STAGE": "none"}
    told = batch(gdb, *NO_SCRIPTS, "-x", str(LOAD), *arguments, env=env)
    return [json.loads(line) for line in told.splitlines() if line.startswith("{")]


# -- stopped in an inlined function ------------------------------------------------------------------


@pytest.mark.each_kind
def test_inlined(target: Target, gdb: Gdb, tmp_path: Path) -> None:
    binary, core, published = target("inlined"), tmp_path / "core", tmp_path / "truth"
    asked = typed(ALL, RACE)
    in_main = ["set backtrace limit 1", ALL, RACE, "show backtrace limit", "set backtrace limit unlimited"]
    further = ["delete", "break main.innermost", "continue", ALL, RACE, "continue", ALL, RACE, f"gcore {core}"]
    answers = in_batch(gdb, published, *typed(f"break main.go:{STOP}", "run", *in_main, *further), str(binary))
    answers += in_batch(gdb, published, *asked, str(binary), str(core))
    core.unlink()  # more than 1 GB
    assert len(answers) == 2 * len(STOPS) + 2
    check_inlined(answers, debuggers._published(published)["inlined"])


@pytest.mark.each_kind
def test_inlined_in_delve(target: Target, dlv: Dlv, tmp_path: Path) -> None:
    published, answers = tmp_path / "truth", []
    with delves.bridge(dlv, ["exec", str(target("inlined"))], truth=published) as bridge:
        console = Console(bridge, Style())
        delves.run_to_first_stop(bridge)
        set_breakpoint(bridge, "main.innermost")
        for _ in STOPS:
            answers += [json.loads(console.execute(line).output) for line in (ALL, RACE)]
            resume(bridge, "continue")
    check_inlined(answers, debuggers._published(published)["inlined"])


def check_inlined(answers: Sequence[Any], truth: Mapping[str, Any]) -> None:
    """Each goroutine holds what it says, and nothing else. Go 1.21 keeps no place for the variables of a function that
    it inlines into another that waits."""
    wanted: dict[int, set[tuple[str, str, str]]] = {}
    for label, facts in truth["unnamed"].items():
        _, goid, function, variable = label.split()
        wanted.setdefault(int(goid), set()).add((function, variable, facts["address"]))
    assert len(wanted) == 3
    for answer in answers:
        assert not answer["anomalies"], answer["anomalies"]
        if answer["command"] == "hmap-race":
            assert not answer["data"]["inside"]
            continue
        held: dict[int | None, set[tuple[str, str, str]]] = {}
        for address, way in ways(answer["data"]):
            held.setdefault(way["goroutine"], set()).add((way["function"], way["path"], address))
        for goid, own in wanted.items():
            lost = {one for one in own - held[goid] if one[0] != "main.worker"}
            assert held[goid] == own - lost and (not lost or truth["go"].startswith("go1.21")), (goid, held)
        assert {function for function, _, _ in held.get(1, ())} <= CALLED
        assert not {one for goid, own in held.items() if goid not in (None, 1, *wanted) for one in own}
