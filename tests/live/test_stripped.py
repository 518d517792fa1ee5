"""Programs linked with -s -w, and the table of the runtime's structures: the program's own truth, and the numbers that
the unstripped build has."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from direct.target import DirectTarget, of_core, of_process
from gomap import frontend
from gomap.declare import Settings
from gomap.errors import GomapError, NoDebugInfo
from gomap.render.text import Style
from gomap.stripped import layouts
from tests.support import debuggers, delves, directly, races, schema, session, toolchains
from tests.support.census_rows import check_rows
from tests.support.deaths import check_death, death
from tests.support.debuggers import Answer, Core, Gdb
from tests.support.delves import Dlv
from tests.support.session import Asked
from tests.support.stack_list import stack_list
from tests.support.stacks import HELPERS, STACKS, check_stacks
from tests.support.structures import same_structures
from tests.support.toolchains import ROOT, Row
from tests.support.truths import check

BARE = ("-ldflags=-s -w",)
ALL = "hmap-top -n 0 --json"


def ask(target: DirectTarget, stage: str, line: str) -> Answer:
    name, _, rest = line.partition(" ")
    outcome = frontend.run(name, rest, lambda: target, Settings(depth=40), Style())
    return Answer(stage, line, outcome.output, outcome.error)


def core_of(program: str, row: Row, stage: str | None = None) -> tuple[DirectTarget, Core]:
    binary = toolchains.build(program, row, optimised=True, extra=BARE)
    stages = debuggers.stages(binary)
    core = debuggers.make_core(binary, stage or stages[len(stages) // 2])
    return DirectTarget(of_core(str(binary), str(core.path))), core


# -- the table -----------------------------------------------------------------------------------------


def test_table_of_structures(toolchain: Row) -> None:
    """Each structure in the program's debug information is the table's, to the last field."""
    same_structures(toolchain, "amd64", toolchains.build("basic", toolchain, False))


# -- core files ----------------------------------------------------------------------------------------


def test_every_map_of_the_heap(toolchain: Row) -> None:
    target, core = core_of("census", toolchain, "collected")
    answer = ask(target, core.stage, ALL)
    data = check_rows(answer, core.truth[core.stage]["notes"])
    assert len(data["maps"]) > 200 and answer.json()["target"]["go"].startswith(f"go{toolchain.version}")
    assert "unknown-version" not in {one["code"] for one in answer.json()["anomalies"]}
    checked = ask(target, core.stage, "hmap-check --all --json").json()
    corrupt = {one["address"] for one in checked["data"]["maps"] if one["verdict"] == "corrupt"}
    assert corrupt <= {address for address, _, _ in core.truth[core.stage]["notes"]["miscounted"]}
    looked_into(target, core, data)


def looked_into(target: DirectTarget, core: Core, data: Any) -> None:
    """What hmap-top lists is taken by the other commands: a path, an address alone, an address in a map's memory."""
    for row in [one for one in data["maps"] if one["count"] == 200 and one["type"] == "map[string]string"]:
        for expr in (row["path"], row["address"]):
            shown = ask(target, core.stage, f"hmap-show {expr} --json --entries 300").json()["data"]
            assert (shown["address"], shown["type"], shown["count"]) == (row["address"], row["type"], row["count"])
            wanted = {f"key {i}": "v" * (i % 50) for i in range(200)}
            assert {one["key"]: one["value"] for one in shown["entries"]} == wanted
        got = ask(target, core.stage, f'hmap-get {row["address"]} "key 7" --json').json()["data"]
        assert (got["found"], got["value"], got["walked"]) == (True, "v" * 7, False)
        inside = got["path"][-1]["address"] if "address" in got["path"][-1] else row["address"]
        told = ask(target, core.stage, f"hmap-whatis {inside} --json")
        assert not schema.faults(told.json(), schema.answer("hmap-whatis"))
        assert told.json()["data"]["map"]["address"] == row["address"], told.output
        checked = ask(target, core.stage, f"hmap-check {row['address']} --json").json()["data"]["maps"][0]
        assert (checked["verdict"], checked["hashes_checked"]) == ("intact", 200)
        break
    else:
        raise AssertionError("no map[string]string of 200 entries is listed")
    refused = ask(target, core.stage, "hmap-show main.Named").error
    assert refused is not None and "was built with -ldflags=-s, or stripped" in refused and "\n" not in refused


@pytest.mark.parametrize("program", ["growth", "types"])
def test_maps_by_address_and_type(program: str, both_layouts: Row) -> None:
    """Everything that hmap-show and hmap-evac say of a map is what the program says."""
    target, core = core_of(program, both_layouts)
    problems, seen = [], 0
    for truth in core.truth[core.stage]["maps"].values():
        if truth["nil"]:
            continue
        expr = f"{truth['address']}:{truth['type']}"
        answers = [ask(target, core.stage, line) for line in (session.show(expr), session.evac(expr))]
        one = Asked(core.stage, expr, truth, answers[0], answers[1])
        if answers[0].error is not None:
            problems.append(f"{one.where}: {answers[0].error}")
            continue
        problems += [f"{one.where}: {problem}" for problem in check(one, "core")]
        seen += 1
    assert not problems, "\n".join(problems[:40])
    assert seen


def test_names_from_an_unstripped_build(both_layouts: Row) -> None:
    """--symbols: the answers of the unstripped build; another build is refused."""
    bare, whole = (toolchains.build("basic", both_layouts, True, extra=(*one, "-trimpath")) for one in (BARE, ()))
    core = debuggers.make_core(bare, "start")
    target = DirectTarget(of_core(str(bare), str(core.path), str(whole)))
    truth = core.truth["start"]["maps"]["main.Keep.M"]
    lines = (session.show("main.Keep.M"), session.evac("main.Keep.M"))
    shown, evac = (ask(target, "start", line) for line in lines)
    assert not check(Asked("start", "main.Keep.M", truth, shown, evac), "core")
    same_numbers(DirectTarget(of_core(str(bare), str(core.path))), target)
    other = toolchains.build("alias", both_layouts, False)
    for program, said in ((other, "has other code than"), (core.path.parent / "truth", "can't be used: it is not")):
        with pytest.raises(GomapError, match=said):
            of_core(str(bare), str(core.path), str(program))
    with pytest.raises(NoDebugInfo, match="stripped"):
        of_core(str(bare), str(core.path), str(bare))


def same_numbers(bare: DirectTarget, whole: DirectTarget) -> None:
    """Of one core file: each map that is found with debug information is found without, with the same numbers. Those
    that never had an entry are only counted there."""
    own, its = (ask(target, "", ALL).json()["data"]["maps"] for target in (bare, whole))
    found = {one["address"]: one for one in own}
    wanted = [one for one in its if str(one["type"]).startswith("map[") and one["kind"] != "stack" and one["count"]]
    assert len(wanted) >= 8
    for one in wanted:
        other = found[one["address"]]
        assert {name: other[name] for name in ("count", "load", "bytes", "layout")} == {
            name: one[name] for name in ("count", "load", "bytes", "layout")
        }
        assert one["type"] in (other["type"], *other["type_or"]), (one, other)


#: Ways in which programs are linked and stripped: flags of go build, C code, GOARCH.
WAYS = {
    "pie": ((*BARE, "-buildmode=pie"), False, None),
    "cgo-external": (("-ldflags=-s -w -linkmode=external",), True, None),
    "386": (BARE, False, "386"),
    "strip": ((), False, None),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_ways_of_linking(way: str, both_layouts: Row, tmp_path: Path) -> None:
    extra, cgo, arch = WAYS[way]
    binary = toolchains.build("census", both_layouts, True, arch, cgo, extra)
    if way == "strip":
        subprocess.run(["strip", "-o", str(tmp_path / "census"), str(binary)], check=True)
        binary = tmp_path / "census"
    core = debuggers.make_core(binary, "collected")
    target = DirectTarget(of_core(str(binary), str(core.path)))
    assert target.stripped
    check_rows(ask(target, core.stage, ALL), core.truth[core.stage]["notes"])


# -- processes -----------------------------------------------------------------------------------------


def test_process(both_layouts: Row, tmp_path: Path) -> None:
    binary = tmp_path / "writes-on"
    whole = toolchains.small("writes-on", both_layouts, optimised=True)
    subprocess.run(["strip", "-o", str(binary), str(whole)], check=True)
    with directly.running(binary) as pid:
        opened = of_process(pid)
        for _ in range(2):
            target = DirectTarget(opened)
            told = ask(target, "", ALL).json()
            assert [one["code"] for one in told["anomalies"]].count("running") == 1
            # The other map may have as many at the moment.
            still = [
                one
                for one in told["data"]["maps"]
                if one["count"] == 1000 and "map[string]int" in (one["type"], *one["type_or"])
            ]
            assert len(still) == 1
            shown = ask(target, "", f"hmap-show {still[0]['address']}:map[string]int --json --entries 2000").json()
            data = shown["data"]
            assert (data["count"], data["live"]) == (1000, 1000)
            assert {one["key"]: one["value"] for one in data["entries"]} == {f"key {i}": i for i in range(1000)}
            status = Path(f"/proc/{pid}/status").read_text()
            assert "TracerPid:\t0\n" in status and "State:\tT" not in status
            behind_a_slice(target, told["data"]["maps"])


def behind_a_slice(target: DirectTarget, maps: Any) -> None:
    """A slice of pointers to structs, whose type the allocator noted, leads to the map of each by index and field."""
    places = [(re.fullmatch(r"(?:data|bss)\+0x[0-9a-f]+\[(\d+)\]\.Tags", one["path"]), one) for one in maps]
    found = {int(place[1]): one for place, one in places if place}
    assert {i: (one["type"], one["count"]) for i, one in found.items()} == {
        i: ("map[string]int", i + 1) for i in range(200)
    }
    shown = ask(target, "", f"hmap-show {found[150]['path']} --json").json()["data"]
    assert (shown["address"], shown["count"]) == (found[150]["address"], 151)


# -- gdb -----------------------------------------------------------------------------------------------


def test_in_gdb(both_layouts: Row, system_gdb: Gdb) -> None:
    """A process and its core file: the maps of the heap, and what is typed back."""
    binary = toolchains.build("census", both_layouts, optimised=True, extra=BARE)
    asked = debuggers.visit(system_gdb, binary, {"collected": [ALL, "hmap-show main.Named --json"]})
    check_rows(asked.at("collected", ALL), asked.truth["collected"]["notes"])
    assert asked.at("collected", "hmap-show main.Named --json").json()["error"]["code"] == "no-debug-info"
    core = debuggers.make_core(binary, "collected")
    dead = debuggers.examine(system_gdb, core, [ALL])
    check_rows(dead.at("collected", ALL), core.truth["collected"]["notes"])


# -- Delve ---------------------------------------------------------------------------------------------


def test_through_delve(both_layouts: Row, dlv: Dlv) -> None:
    """Delve opens such a program without variables, types and goroutines: memory is all that it is asked for."""
    binary = toolchains.build("census", both_layouts, optimised=True, extra=BARE)
    asked = delves.visit(dlv, binary, {"collected": [ALL]})
    check_rows(asked.at("collected", ALL), asked.truth["collected"]["notes"])
    core = debuggers.make_core(binary, "collected")
    dead = delves.examine(dlv, core, [ALL], direct=False)
    check_rows(dead.at("collected", ALL), core.truth["collected"]["notes"])


# -- goroutines ------------------------------------------------------------------------------------------


def test_stacks(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """Every goroutine's calls as the runtime's own traceback has them, inlined ones too, of running threads as well."""
    binary = toolchains.build("goroutines", both_layouts, optimised=True, extra=BARE)
    core = debuggers.make_core(binary, "all")
    lines = [HELPERS, STACKS]
    for answers in (
        debuggers.visit(system_gdb, binary, {"all": lines}),
        debuggers.examine(system_gdb, core, lines),
    ):
        check_stacks(json.loads(answers.at("all", STACKS).output), answers.truth["all"])
    check_stacks(stack_list(DirectTarget(of_core(str(binary), str(core.path)))), core.truth["all"])
    with delves.bridge(dlv, ["core", str(binary), str(core.path)]) as bridge:
        check_stacks(stack_list(bridge.target()), core.truth["all"])
    published = tmp_path / "truth"
    with delves.bridge(dlv, ["exec", str(binary)], truth=published) as bridge:
        delves.run_to_first_stop(bridge)
        check_stacks(stack_list(bridge.target()), debuggers._published(published)["all"])


def test_goroutines_inside_map_operations(both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """Each operation with its map, its line and its type, and who else has the map in which word of a stack."""
    binary = toolchains.build("race", both_layouts, optimised=True, extra=BARE)
    core = debuggers.make_core(binary, "inside")
    for answers in (
        debuggers.visit(system_gdb, binary, {"inside": [races.RACE]}),
        debuggers.examine(system_gdb, core, [races.RACE]),
        delves.visit(dlv, binary, {"inside": [races.RACE]}),
        delves.examine(dlv, core, [races.RACE]),
        directly.examine(core, [races.RACE]),
    ):
        truth, data = answers.truth["inside"], races.told(answers.at("inside", races.RACE))
        races.check_inside(data, races.inside(truth))
        races.check_maps(data, truth, named=False)
    held_in_slots(core, system_gdb, dlv)


def held_in_slots(core: Core, gdb: Gdb, dlv: Dlv) -> None:
    """What hmap-alias and hmap-whatis say of a map that words of stacks hold, and of such a word."""
    address, goroutine, function, _ = races.holders(core.truth["inside"])[0]
    alias, whatis = f"hmap-alias {address} --json", f"hmap-whatis {address} --json"
    doors: tuple[Callable[[Sequence[str]], debuggers.Session], ...] = (
        lambda lines: debuggers.examine(gdb, core, lines),
        lambda lines: delves.examine(dlv, core, lines),
        lambda lines: directly.examine(core, lines),
    )
    for ask_all in doors:
        answers = ask_all([alias, whatis])
        (group,) = answers.at("inside", alias).json()["data"]["groups"]
        slots = [h["address"] for h in group["holders"] if (h["goroutine"], h["function"]) == (goroutine, function)]
        place = answers.at("inside", whatis).json()["data"]["map"]
        assert place["path"] == f"{address}:map[string]int"
        assert (place["goroutine"], place["function"]) in [(h["goroutine"], h["function"]) for h in group["holders"]]
        (told,) = ask_all([f"hmap-whatis {slots[0]} --json"]).answers
        data = told.json()["data"]
        assert (data["where"], data["goroutine"], data["function"]) == ("stack", goroutine, function)
        assert 0 <= data["frame_offset"] < 0x200 and not schema.faults(told.json(), schema.answer("hmap-whatis"))


def test_program_that_died_of_a_race(both_layouts: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    core, said = death(toolchains.build("race", both_layouts, optimised=True, extra=BARE), "writes")
    lines = [races.RACE, races.WORDS]
    for answers in (
        debuggers.examine(system_gdb, core, lines),
        delves.examine(dlv, core, lines),
        directly.examine(core, lines),
    ):
        data = races.told(answers.at("writes", races.RACE))
        check_death(data, answers.at("writes", races.WORDS), said, core.truth["writes"], named=False)


# -- what can't be ---------------------------------------------------------------------------------------


def test_versions_outside_the_table(system_go: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Go newer than the table is read by its newest row, and the answer says so; an older one is refused."""
    binary = toolchains.build("basic", system_go, optimised=True, extra=BARE)
    core = debuggers.make_core(binary, debuggers.stages(binary)[0])
    rows = layouts.read()
    newest = next(key for key in sorted(row.key for row in rows) if key[1:] == ("amd64", ""))
    version = DirectTarget(of_core(str(binary), str(core.path))).go_version
    minor = int(str(version).split(".")[1])
    assert newest[0] < minor
    monkeypatch.setattr(layouts, "read", lambda: [row for row in rows if row.key[0] > minor])
    with pytest.raises(NoDebugInfo, match="gomap's table of the runtime's structures has Go 1"):
        of_core(str(binary), str(core.path))
    if minor == 26:  # what Go 1.25 has without Green Tea is not what 1.26 has
        older = [row for row in rows if row.key[0] < minor]
        monkeypatch.setattr(layouts, "read", lambda: older)
        try:
            target = DirectTarget(of_core(str(binary), str(core.path)))
        except NoDebugInfo as error:
            assert "Its module data" in str(error)
        else:
            answer = json.loads(ask(target, "", "hmap-top --json").output)
            assert "unknown-version" in json.dumps(answer)


def test_cores_that_are_cut_short(swiss_go: Row, tmp_path: Path) -> None:
    """What the runtime's variables are found by is missing: one line says what, and nothing is guessed."""
    binary = toolchains.build("census", swiss_go, optimised=True, extra=BARE)
    core = debuggers.make_core(binary, "collected")
    whole = core.path.read_bytes()
    said = set()
    for size in (len(whole) // 200, len(whole) // 20, len(whole) // 5):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[:size])
        try:
            target = DirectTarget(of_core(str(binary), str(cut)))
        except GomapError as error:
            said.add(error.code)
            continue
        answer = ask(target, "", ALL)
        if answer.error is not None:
            assert "\n" not in answer.error
            said.add(answer.json()["error"]["code"])
            continue
        heap = answer.json()["data"]["heap"]
        assert not heap["complete"] and heap["why"]
        said.add("incomplete")
    assert said & {"memory-fault", "no-debug-info"} and said <= {"memory-fault", "no-debug-info", "incomplete"}


def test_data_file_ships_with_the_package() -> None:
    assert '"gomap.stripped" = ["*.txt"]' in (ROOT / "pyproject.toml").read_text()
    assert layouts.known() == "Go 1.21 to 1.27 for 386, amd64, arm64, s390x"
