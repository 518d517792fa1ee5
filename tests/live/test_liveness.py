"""Which variables are alive, against what the program says that its goroutines need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import pytest

from delve_bridge.console import Console
from gomap.render.text import Style
from tests.support import debuggers, delves, directly
from tests.support.debuggers import Answer, Gdb
from tests.support.delves import Dlv
from tests.support.holders_told import answered, ways

Target = Callable[[str], Path]

ALL = "hmap-alias --scope all --all --json"
TOP = "hmap-top -n 1000 --json"
SLICES = "hmap-alias --scope all --slices"
RACE = "hmap-race --json"


@pytest.mark.each_kind
def test_live(target: Target, gdb: Gdb, optimised: bool) -> None:
    found = debuggers.visit(gdb, target("liveness"), {"waits": [ALL, TOP]})
    check(found.at("waits", ALL), found.at("waits", TOP), found.truth["waits"], optimised)


@pytest.mark.each_kind
def test_core(target: Target, system_gdb: Gdb, optimised: bool) -> None:
    core = debuggers.make_core(target("liveness"), "waits")
    asked = [ALL, TOP, SLICES, RACE]
    for found in (debuggers.examine(system_gdb, core, asked), directly.examine(core, asked)):
        assert not found.at("waits", RACE).json()["anomalies"]
        dead = answered(found.at("waits", ALL))["scanned"]["dead_variables"]
        left_out = re.search(r"^\((\d+) dead variables were not followed\)$", found.at("waits", SLICES).output, re.M)
        assert optimised or (left_out is not None and int(left_out.group(1)) > 0 < dead)
        check(found.at("waits", ALL), found.at("waits", TOP), core.truth["waits"], optimised)


@pytest.mark.each_kind
def test_delve(target: Target, dlv: Dlv, optimised: bool, tmp_path: Path) -> None:
    published = tmp_path / "truth"
    with delves.bridge(dlv, ["exec", str(target("liveness"))], truth=published) as bridge:
        delves.run_to_first_stop(bridge)
        every, top = delves._ask(Console(bridge, Style()), "waits", [ALL, TOP], {})
    check(every, top, debuggers._published(published)["waits"], optimised, dlv.version != delves.OLD)


def test_delve_core(target: Target, dlv: Dlv, optimised: bool) -> None:
    core = debuggers.make_core(target("liveness"), "waits")
    found = delves.examine(dlv, core, [ALL, TOP])
    every, top = found.at("waits", ALL), found.at("waits", TOP)
    check(every, top, core.truth["waits"], optimised, dlv.version != delves.OLD)


def check(answer: Answer, top: Answer, truth: Mapping[str, Any], optimised: bool, captured: bool = True) -> None:
    """What is alive is told, what is dead is marked so, and there are no complaints. Optimised builds keep no place
    for some variables. captured: whether the debugger tells what closures captured."""
    data = answered(answer)
    captured = captured and not re.match(r"go1\.2[12]\b", answer.json()["target"]["go"])
    assert not answer.json()["anomalies"] and not top.json()["anomalies"], answer.json()["anomalies"]
    held: dict[tuple[int, str, str], str] = {}
    of: dict[int, set[str]] = {}
    for address, way in ways(data):
        if way["goroutine"] is not None and way["kind"] != "dead":
            function = re.sub(r"\[.*\]", "[...]", way["function"] or "")
            held[way["goroutine"], function, way["path"].split(".(main.table)")[0]] = address
            of.setdefault(way["goroutine"], set()).add(address)
    problems, seen, wanted = [], 0, 0
    for label, facts in truth["unnamed"].items():
        kind, goid, *named = label.split()
        if kind == "deferred":
            if captured and facts["address"] not in of.get(int(goid), ()):
                problems.append(f"{label} is not told")
            continue
        said = held.get((int(goid), *named))
        seen, wanted = seen + (said is not None), wanted + 1
        if said != facts["address"] and not (said is None and optimised):
            problems.append(f"{label} is {facts['address']}, and told as {said}")
    for label in truth["notes"]["dead"]:
        _, goid, function, variable = label.split()
        told = [
            key for key in held if key[:2] == (int(goid), function) and key[2].split(".")[0].split("[")[0] == variable
        ]
        problems += [f"{label} is dead, and told as {key}" for key in told]
    ranked = {one["address"] for one in top.json()["data"]["maps"]}
    for label in truth["notes"]["kept"]:
        if label.split()[2] not in ranked and not optimised:
            problems.append(f"{label} is alive, and not told")
    assert not problems, "\n".join(problems)
    assert seen >= (wanted // 2 if optimised else wanted)
