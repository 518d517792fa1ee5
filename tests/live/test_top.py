"""hmap-top against the maps that a program says it has, and against the growth of its own heap."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gomap import human
from tests.support import debuggers, delves, schema, session, toolchains
from tests.support.debuggers import Answer, Gdb, Session
from tests.support.delves import Dlv
from tests.support.session import NOISE
from tests.support.toolchains import Row

ALL = "hmap-top -n 0 --json --values"
WASTE = "hmap-top --by waste -n 3 --json"
TEXT = "hmap-top -n 5"
ENTRIES = "hmap-top --by entries -n 40 --json"
LOAD = "hmap-top --by load -n 0 --json"
MEASURED = "hmap-top --by values -n 0 --json"
#: The same maps, checked; and once more with one of them damaged.
CHECK = "hmap-check --all --json"
SPOILT = "main.Shards[15].M"
DAMAGED = f"gomap_as_if count {SPOILT} {CHECK}"
HELPERS = f"source {session.HELPERS}"
OBJECTS = "gomap_objects main.Keep.Raw"
#: A classic and a Swiss toolchain.
SPOILT_IN = ("system", "1.23.9", "1.27.3")
#: For people: maps of one shape are one row. hmap-alias does the same with what it lists.
ROWS, WITH_STD, SHARED = "hmap-top -n 0 --full", "hmap-top -n 0 --std", "hmap-alias --scope all -n 0"
OF_MAIN = "hmap-top -n 0 --json --package main --type map[string]int"
SHAPES = [ROWS, WITH_STD, SHARED, f"{SHARED} --json", OF_MAIN]
#: Paths that the search must give: the shortest ways there are.
PATHS = ("main.Emptied", "main.Presized", "main.Boxed", "main.Wide", "main.Shards[15].M")

Program = Callable[[str], Path]


@pytest.fixture
def plain(toolchain: Row) -> Program:
    return lambda program: toolchains.build(program, toolchain, optimised=False)


def check_process(asked: Session) -> Any:
    """Every map of the program is in the ranking once, as the program and hmap-show have it."""
    truth = asked.truth["all"]
    answer = data_of(asked.at("all", ALL))
    listed = {one["address"]: one for one in answer["maps"]}
    named = named_in(answer)
    assert len(listed) == len(answer["maps"]) == len(named) + answer["heap"]["maps"]
    assert len(named) == answer["scanned"]["maps"] == answer["total"]["maps"]
    assert answer["heap"]["complete"]
    wanted = {address: (type_name, count) for address, type_name, count in truth["notes"]["maps"]}
    assert len(wanted) > 5300
    # Types of the package that reflect calls byte are uint8 here.
    found = {address: (one["type"], one["count"]) for address, one in listed.items() if address in wanted}
    assert found == wanted
    for expr in PATHS:
        facts, one = truth["maps"][expr], listed[truth["maps"][expr]["address"]]
        shown = asked.at("all", f"hmap-show {expr} --json").json()["data"]
        assert (one["path"], one["count"]) == (expr, facts["len"])
        assert (one["load"], one["bytes"]) == (shown["load"], {name: shown["bytes"][name] for name in one["bytes"]})
    assert not any(one["address"] == "0x0" or one["path"] == "main.Nil" for one in answer["maps"])
    check_paths(answer, truth)
    # All that Registry holds: its own memory, its keys, its 5,000 maps and theirs.
    registry = [one for one in answer["maps"] if one["path"].startswith("main.Registry")]
    held = sum(one["bytes"]["allocated"] + one["values"] for one in registry)
    assert len(registry) == 5001
    assert abs(held - truth["notes"]["registry"]) <= NOISE, (held, truth["notes"]["registry"])
    return answer


def named_in(answer: Mapping[str, Any]) -> list[Any]:
    """The maps that a variable leads to."""
    return [one for one in answer["maps"] if one["kind"] not in ("heap", "stack")]


def check_shapes(asked: Session, answer: Mapping[str, Any]) -> None:
    """What people get: a row for the maps of one shape, and the standard library's own maps counted alone."""
    notes = asked.truth["all"]["notes"]
    listed = {one["address"]: one for one in answer["maps"]}
    assert all(listed[address]["std"] for address in notes["std"])
    assert not listed[notes["log"]]["std"] and listed[notes["log"]]["path"].startswith("log.std.")
    assert not any(listed[address]["std"] for address, _, _ in notes["maps"])
    rows, with_std, shared = (" ".join(asked.at("all", command).output.split()) for command in (ROWS, WITH_STD, SHARED))
    rows, _, _ = rows.partition(" note Go maps never shrink")
    for shape, number in notes["shapes"].items():
        path = re.escape(shape).replace(r"\*", r'(?:\d+|"[^"]*")')
        found = re.findall(rf" ({path})(?: in main\.worker, goroutine \d+, frame \d+)? and ([\d,]+) like it ", rows)
        assert [more for _, more in found] == [f"{number - 1:,}"], (shape, found)
        assert any(one["path"] == found[0][0] for one in answer["maps"])  # it can be typed: test_holders
    assert "log.std." in rows and "unicode.Categories" not in rows and "unicode.Categories" in with_std
    own = [one for one in answer["maps"] if one["std"]]
    held = human.size(sum(one["bytes"]["allocated"] for one in own))
    assert f" {len(own)} maps of the standard library, which hold {held}, are not shown: --std shows them" in rows
    assert "standard library" not in with_std
    # One line a row, as wide as the screen: what is cut is said.
    narrow = asked.at("all", WITH_STD).output.splitlines()
    table = narrow[narrow.index("") + 1 : next(i for i, line in enumerate(narrow) if line.startswith("  held    "))]
    several = sum(int(line.split()[4].replace(",", "")) for line in table[1:] if line and not line.startswith("  map "))
    assert several == len(listed) and all(len(line) <= 80 for line in narrow)
    # Some of the users' maps are shared by two package variables: of one of them it is told by which.
    number = 16
    groups = asked.at("all", f"{SHARED} --json").json()["data"]["groups"]
    holders = [holder for group in groups for holder in group["holders"]]
    paths = sum(1 + len(holder["also"]) for holder in holders)
    told = f"{len(groups)} maps are shared: {paths:,} paths lead to them ("
    assert shared.startswith(told), (told, shared[:200])
    both = [{way["path"] for holder in group["holders"] for way in (holder, *holder["also"])} for group in groups]
    ways = [{f"main.PreferencesOfTheFirst[{i}]", f'main.Users["user {i}"].Prefs'} for i in range(number)]
    assert all(any(wanted <= paths for paths in both) for wanted in ways)
    assert (
        shared.count("main.PreferencesOfTheFirst[") == 1 and f"{number - 1} more maps are held like this one" in shared
    )
    # What is asked for by package and type is that and no more, in JSON too.
    of_main = asked.at("all", OF_MAIN).json()
    wanted = {
        one["address"]
        for one in named_in(answer)
        if (one["function"] or one["path"]).startswith("main.") and re.search(r"map\[string\]int\b", one["type"])
    }
    assert {one["address"] for one in of_main["data"]["maps"]} == wanted
    cut = {
        "what": "maps of package main and with type map[string]int",
        "shown": len(wanted),
        "of": len(listed),
        "option": None,
    }
    assert of_main["truncated"] == [cut]


def check_orders(asked: Session, answer: Mapping[str, Any]) -> None:
    maps, total = answer["maps"], answer["total"]
    assert [one["bytes"]["allocated"] for one in maps] == sorted(
        (one["bytes"]["allocated"] for one in maps), reverse=True
    )
    named = named_in(answer)
    assert total["entries"] == sum(one["count"] for one in named)
    assert total["values"] == sum(one["values"] for one in named)
    for name in ("allocated", "live", "rebuilt"):
        assert total["bytes"][name] == sum(one["bytes"][name] for one in named), name
    assert (answer["by"], answer["bytes_from"]) == ("bytes", "size-classes")
    for command, by, number in ((ENTRIES, "count", 40), (LOAD, "load", len(maps))):
        ranked = data_of(asked.at("all", command), maps=number % len(maps))
        assert ranked["by"] == {"count": "entries", "load": "load"}[by]
        ordered = sorted((-1 if one[by] is None else one[by] for one in maps), reverse=True)[:number]
        assert [-1 if one[by] is None else one[by] for one in ranked["maps"]] == ordered
        listed = {one["address"]: one for one in maps}
        assert all({**listed[one["address"]], "values": None} == one for one in ranked["maps"])
    waste = data_of(asked.at("all", WASTE), maps=3)["maps"]
    wasted = sorted((one["bytes"]["waste"] for one in maps), reverse=True)
    assert [one["bytes"]["waste"] for one in waste] == wasted[:3]
    assert [one["path"] for one in waste][:2] == ["main.Emptied", "main.Presized"]
    text = asked.at("all", TEXT).output.splitlines()
    held, wasted_all = (sum(one["bytes"][name] for one in maps) for name in ("allocated", "waste"))
    # Whatever leads to them: the second line says how many no variable does.
    assert text[0] == f"{len(maps):,} maps hold {human.size(held)} ({human.size(wasted_all)} waste)"
    unnamed = len(maps) - len(named)
    assert not unnamed or f"no variable leads to {unnamed:,} of the maps)" in " ".join(map(str.strip, text[1:3])), text
    assert all(len(line) <= 80 for line in text)
    assert sum("main.Emptied" in line for line in text) == 2, text  # its row, and what to do about it


def check_all(answer: Answer, ranked: Mapping[str, Any], spoilt: str | None = None) -> None:
    """hmap-check --all of the maps that hmap-top ranks: each is there once, all its keys hashed, and it is intact.

    spoilt: the path of the one that is not: its header counts an entry too many.
    """
    assert answer.error is None, answer.error
    told = answer.json()
    assert not schema.faults(told, schema.answer("hmap-check"))
    maps = {one["address"]: one for one in told["data"]["maps"]}
    assert len(maps) == len(told["data"]["maps"])
    entries = {address: (one["type"], one["entries"]) for address, one in maps.items()}
    assert entries == {one["address"]: (one["type"], one["count"]) for one in ranked["maps"] if one["type"] is not None}
    layouts = {one["address"]: one["layout"] for one in ranked["maps"]}
    for address, one in maps.items():  # a sync.Map's keys may be in its read map and in its dirty map
        if one["kind"] in ("heap", "stack"):  # what publishes the truth has maps with very long keys
            assert one["verdict"] != "corrupt", one
            continue
        hashed = one["hashes_checked"]
        assert hashed >= one["entries"] if layouts[address] == "read-dirty" else hashed == one["entries"], one
        assert one["share"] == 1, one
    assert [one["path"] for one in maps.values() if one["ok"] is False] == ([spoilt] if spoilt else [])
    found = [(a["code"], a["message"].split(": ")[0]) for a in told["anomalies"] if a["severity"] != "note"]
    assert found == ([("count-mismatch", spoilt)] if spoilt else [])
    assert all("no variable: hashes" in one["what"] for one in told["truncated"] or [])


def check_paths(answer: Mapping[str, Any], truth: Mapping[str, Any]) -> None:
    """What goroutines alone hold is told with the goroutine and its function; the rest starts at a variable."""
    own = [one for one in answer["maps"] if one["path"] == "own"]
    assert sorted(one["count"] for one in own) == [1, 41, 81, 121, 161]
    assert {one["function"] for one in own} == {"main.worker"}
    assert len({one["goroutine"] for one in own}) == 5
    local = truth["maps"]["local"]["address"]
    assert [(one["path"], one["function"]) for one in answer["maps"] if one["address"] == local] in (
        [("local", "main.publishAndStop")],
        [("local", "main.main")],
    )
    chain = next(one for one in answer["maps"] if one["type"] == "map[string]bool" and one["path"].startswith("main."))
    assert chain["path"] == "main.Chain" + ".Next" * 24 + ".M"


def data_of(answer: Answer, maps: int = 0) -> Any:
    """The data of an answer that keeps the contract, is complete and has nothing to complain of."""
    assert answer.error is None, answer.error
    found = answer.json()
    faults = schema.faults(found, schema.answer("hmap-top"))
    assert not faults, faults[:10]
    every = found["data"]["total"]["maps"] + found["data"]["heap"]["maps"]
    cut = [] if not maps else [{"what": "maps", "shown": maps, "of": every, "option": "-n 0"}]
    assert (found["truncated"] or []) == cut
    assert not [one for one in found["anomalies"] if one["severity"] != "note"]
    return found["data"]


BACK = "gomap_typed_back 0"
COMMANDS = [ALL, *(f"hmap-show {expr} --json" for expr in PATHS)]


@pytest.mark.each_kind
def test_process(plain: Program, toolchain: Row, system_gdb: Gdb) -> None:
    check = [*SHAPES, CHECK, HELPERS, DAMAGED, BACK] if toolchain.name in SPOILT_IN else []
    asked = debuggers.visit(system_gdb, plain("process"), {"all": [*COMMANDS, WASTE, ENTRIES, LOAD, TEXT, *check]})
    answer = check_process(asked)
    check_orders(asked, answer)
    if check:
        check_shapes(asked, answer)
        back = json.loads(asked.at("all", BACK).output)
        assert len(back) > 50
        for row, shown in back:  # measured in columns, and by walking it
            seen = shown["data"]
            assert (seen["address"], seen["count"], seen["load"]) == (row["address"], row["count"], row["load"])
            assert {name: seen["bytes"][name] for name in row["bytes"]} == row["bytes"], row
        check_all(asked.at("all", CHECK), answer)
        check_all(asked.at("all", DAMAGED), answer, SPOILT)


@pytest.mark.each_kind
def test_process_over_delve(plain: Program, toolchain: Row, dlv: Dlv) -> None:
    check = [*SHAPES, CHECK] if toolchain.name in SPOILT_IN else []
    asked = delves.visit(dlv, plain("process"), {"all": [*COMMANDS, *check]})
    answer = check_process(asked)
    if check:
        check_shapes(asked, answer)
        check_all(asked.at("all", CHECK), answer)


def test_core(plain: Program, system_gdb: Gdb) -> None:
    core = debuggers.make_core(plain("process"), "all")
    check_process(debuggers.examine(system_gdb, core, COMMANDS))


def test_core_over_delve(system_go: Row, dlv: Dlv) -> None:
    core = debuggers.make_core(toolchains.build("process", system_go, optimised=True), "all")
    answer = data_of(delves.examine(dlv, core, [ALL]).at("all", ALL))
    wanted = {address: (type_, count) for address, type_, count in core.truth["all"]["notes"]["maps"]}
    # A map may be in no variable that the debug information knows: the heap has its header.
    found = {one["address"]: ([one["type"], *one["type_or"]], one["count"]) for one in answer["maps"]}
    assert all(t in found[address][0] and found[address][1] == count for address, (t, count) in wanted.items())


def check_values(asked: Session) -> None:
    """A map and all that its keys and values point to is what the heap grew by when it was made."""
    maps = data_of(asked.at("measured", MEASURED))["maps"]
    truth = dict(asked.truth["measured"]["notes"]["heap"])
    for one in maps:  # main's own k points to it
        one["path"] = re.sub(r"^k\.", "main.Keep.", one["path"])
    assert [one["values"] for one in maps] == sorted((one["values"] for one in maps), reverse=True)
    held = {
        expr: sum(
            one["bytes"]["allocated"] + one["values"]
            for one in maps
            if one["path"] == expr or one["path"].startswith((f"{expr}[", f"{expr}."))
        )
        for expr in truth
    }
    # Their common block is counted with the one that comes first.
    for figures in (truth, held):
        figures["both"] = figures.pop("main.Keep.Shared") + figures.pop("main.Keep.Again")
    wrong = {expr: (held[expr], truth[expr]) for expr in truth if abs(held[expr] - truth[expr]) > NOISE}
    assert not wrong
    exact = sum(held[expr] == truth[expr] for expr in truth)
    assert exact >= len(truth) // 2, (held, truth)
    numbers = next(one for one in maps if one["path"] == "main.Keep.Numbers")
    assert numbers["values"] == 0


def test_values(plain: Program, system_gdb: Gdb) -> None:
    asked = debuggers.visit(system_gdb, plain("values"), {"measured": [HELPERS, MEASURED, OBJECTS]})
    check_values(asked)
    # Large objects have a span of their own, whole pages: what hmap-top counts is what the allocator gave.
    (raw,) = (one for one in data_of(asked.at("measured", MEASURED))["maps"] if one["path"].endswith(".Raw"))
    objects = json.loads(asked.at("measured", OBJECTS).output)
    assert sum(size for _, size, alone in objects if alone and size % 8192 == 0) > 64 << 10
    assert raw["bytes"]["allocated"] == sum(size for _, size, _ in objects), objects


def test_values_in_a_core(swiss_go: Row, system_gdb: Gdb) -> None:
    core = debuggers.make_core(toolchains.build("values", swiss_go, optimised=False), "measured")
    check_values(debuggers.examine(system_gdb, core, [MEASURED]))


def test_values_over_delve(system_go: Row, dlv: Dlv) -> None:
    binary = toolchains.build("values", system_go, optimised=True)
    check_values(delves.visit(dlv, binary, {"measured": [MEASURED]}))


def test_values_in_every_gdb(system_go: Row, gdb: Gdb) -> None:
    binary = toolchains.build("values", system_go, optimised=True)
    check_values(debuggers.visit(gdb, binary, {"measured": [MEASURED]}))


def test_buckets_of_two_headers_are_counted_once(plain: Program, system_gdb: Gdb) -> None:
    command = "hmap-top -n 0 --json"
    binary = plain("headercopy")
    stage = debuggers.stages(binary)[0]
    maps = data_of_damaged(debuggers.visit(system_gdb, binary, {stage: [command]}).at(stage, command))
    shared = [one for one in maps if one["shares"]]
    assert shared
    by_address = {one["address"]: one for one in maps}
    for one in shared:
        assert one["bytes"]["allocated"] < by_address[one["shares"]]["bytes"]["allocated"]
        assert one["bytes"]["live"] == 0


def data_of_damaged(answer: Answer) -> Any:
    assert answer.error is None, answer.error
    return answer.json()["data"]["maps"]


#: gdb's Python finds protobuf where the test tools are, which are of the same version of Python.
PROTOBUF = f"python import sys; sys.path.append({sysconfig.get_path('purelib')!r})"


def pprof(row: Row, file: Path, values: str) -> dict[str, tuple[int, int]]:
    """What Go's own pprof reads: (flat, cumulative) by name."""
    go = [str(toolchains.ensure(row)), "tool", "pprof", "-top", "-nodecount=100000", "-nodefraction=0", "-unit=B"]
    run = subprocess.run([*go, f"-sample_index={values}", str(file)], capture_output=True, text=True, check=True)
    rows = re.findall(r"^ *(\d+)B? +[\d.]+% +[\d.]+% +(\d+)B? +[\d.]+%  (.+)$", run.stdout, re.M)
    return {name: (int(flat), int(cumulative)) for flat, cumulative, name in rows}


def check_profile(row: Row, asked: Session, file: Path) -> None:
    answer = asked.at("all", f"hmap-top -n 0 --json --pprof {file}").json()["data"]
    truth = asked.truth["all"]
    entries = pprof(row, file, "entries")
    counted = Counter[str]()
    for one in answer["maps"]:  # their truth is in check_process
        counted[one["type"] or "type unknown"] += one["count"]
    assert {name: flat for name, (flat, _) in entries.items() if flat} == {name: n for name, n in counted.items() if n}
    for expr in ("main.Emptied", "main.Wide"):
        assert entries[expr][1] == truth["maps"][expr]["len"], expr
    # main.Registry is a map, and each of its elems another.
    registry = [one for one in answer["maps"] if one["path"].startswith("main.Registry")]
    assert entries["main.Registry"][1] == sum(one["count"] for one in registry)
    assert entries["main.Registry[*]"][1] == entries["main.Registry"][1] - 5000
    assert pprof(row, file, "maps")["main.Registry"][1] == len(registry) == 5001
    for values, name in (("bytes", "allocated"), ("waste", "waste")):
        held = sum(one["bytes"][name] for one in answer["maps"])
        assert sum(flat for flat, _ in pprof(row, file, values).values()) == held, values
    said = answer["profile"]
    assert (said["maps"], said["values"]) == (len(answer["maps"]), ["maps", "entries", "bytes", "waste"])
    assert said["size"] == file.stat().st_size and said["stacks"] < 300


def test_profile(system_go: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """For go tool pprof, from a process in gdb and a core file in Delve."""
    binary, first, second = (
        toolchains.build("process", system_go, optimised=False),
        tmp_path / "1.pb.gz",
        tmp_path / "2",
    )
    command = "hmap-top -n 0 --json --pprof"
    found = debuggers.visit(system_gdb, binary, {"all": [PROTOBUF, f"{command} {first}"]})
    check_profile(system_go, found, first)
    core = debuggers.make_core(binary, "all")
    asked = [f"{command} {second}", f"hmap-top --pprof {second}", f"hmap-top --unreachable --pprof {second}"]
    again = delves.examine(dlv, core, [*asked, f"hmap-top --pprof {tmp_path}/no/file"])
    check_profile(system_go, again, second)
    assert again.at("all", asked[1]).error == f"hmap-top: {second} exists already: --overwrite replaces it"
    assert "can't be combined" in (again.at("all", asked[2]).error or "")
    nowhere = again.at("all", f"hmap-top --pprof {tmp_path}/no/file").error
    assert f"{tmp_path}/no is not a directory" in (nowhere or "")
