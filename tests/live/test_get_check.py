"""hmap-get and hmap-check on maps that are as the runtime left them: every key is found, and nothing is wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import debuggers, delves, every_key, schema, session, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.lookups import check, get, intact
from tests.support.session import EVERYWHERE, KEYS, PATHS
from tests.support.toolchains import Row

BUILDS = [*((program, False) for program in session.PROGRAMS), *((program, True) for program in session.LOOKED_UP_FAST)]


@pytest.mark.parametrize(("program", "fast"), BUILDS)
def test_intact_maps(program: str, fast: bool, toolchain: Row, system_gdb: Gdb) -> None:
    """No finding on any map that the program itself finds right, at any stage; every key is found by its hash, and
    what the program does not find is not there."""
    binary = toolchains.build(program, toolchain, optimised=fast)
    answers = session.live(system_gdb, binary, fast)
    problems: list[str] = []
    maps = keys = absent = 0
    for stage, exprs in session.published(binary).items():
        got = answers.at(stage, KEYS)
        assert got.error is None, (stage, got)
        for expr in exprs:
            checked, looked = answers.at(stage, check(expr)), got.json()[expr]
            if fast and not expr.startswith("main.") and looked is None:
                continue  # the compiler keeps no copy of the local
            assert checked.error is None and looked is not None, (stage, expr, checked)
            maps += 1
            truth = answers.truth[stage]["maps"][expr]
            problems += [f"{expr} at {stage}: {problem}" for problem in intact(checked.json(), truth)]
            problems += [f"{expr} at {stage}: {problem}" for problem in looked["problems"]]
            keys += looked["keys"] + looked["found"]
            absent += looked["absent"]
    assert not problems, "\n".join(problems[:20])
    assert maps and keys and absent
    if program == "memory":
        all_hashes_on_demand(answers)
    if program == "types":
        every_kind_is_asked(answers.truth["filled"]["maps"])


def all_hashes_on_demand(answers: Session) -> None:
    """Where gdb's Python has no numpy, a large map's keys are hashed in part unless --full asks for all."""
    part, full = (answers.at(session.MEASURED, command).json() for command in (check(session.LARGE), session.FULL))
    assert (full["data"]["maps"][0]["hashes_checked"], full["truncated"]) == (20000, None)
    assert full["data"]["maps"][0]["share"] == 1
    has_numpy = answers.at(session.MEASURED, session.NUMPY).error is None
    assert (part["truncated"] is None) == (part["data"]["maps"][0]["share"] == 1) == has_numpy


def every_kind_is_asked(maps: Mapping[str, Any]) -> None:
    """Of each type of key some that are there and some that are not; NaN, and -0 where it is the key 0."""
    present, absent, literals = Counter[str](), Counter[str](), dict[str, set[str]]()
    for truth in maps.values():
        key, _ = session.types_of(truth["type"])
        for one in truth["lookups"]:
            (present if one["found"] else absent)[key] += 1
            literals.setdefault(key, set()).add(one["key"])
    assert len(present) >= 35
    assert set(present) - set(absent) == {"struct {}"}  # which has one value
    for key in ("float32", "float64"):
        assert {"NaN", "-0.0", "+Inf"} <= literals[key], (key, literals[key])
    assert any("NaN" in literal for literal in literals["complex128"])
    held = {literal.partition("(")[0].partition("{")[0] for literal in literals["interface {}"]}
    assert len(held & {"int8", "uint8", "float32", "float64", "complex128", "[2]int", "struct {}", "nil"}) >= 6, held


def test_keys_with_a_nan_are_counted(toolchain: Row, system_gdb: Gdb) -> None:
    binary = toolchains.build("types", toolchain, optimised=False)
    exprs = session.published(binary)["filled"]
    answers = debuggers.visit(system_gdb, binary, {"filled": [f"hmap-check {expr}" for expr in exprs]})
    every = 0
    for expr in exprs:
        output = answers.at("filled", f"hmap-check {expr}").output
        told = re.search(r"not checked +([\d,]+) keys? not hashed: they\s+contain a NaN", output)
        keys = [json.dumps(key) for key, _ in answers.truth["filled"]["maps"][expr]["entries"] or ()]
        odd = sum("NaN" in key for key in keys)
        assert (int(told[1]) if told else 0) == odd, (expr, told)
        every += odd
    assert every


#: Programs that publish other things than maps alone: all maps of their process are asked, at every stage. `race` has
#: some inside an operation, `goroutines` and `iterate` on stacks, `cycles` in themselves, `closures` in closures.
OTHERS = (
    "closures",
    "cycles",
    "goroutines",
    "hostile",
    "iterate",
    "pointers",
    "process",
    "race",
    "slices",
    "syncmap",
    "values",
)
#: Have thousands of maps or keys beside those that they publish: for these both layouts, through Delve, are enough.
MANY = ("pointers", "process", "syncmap", "values")
#: And why the rest is not asked here.
ELSEWHERE = {
    "breaks": "test_breaks.py stops it",
    "advise": "test_advise.py compares each change with what the program measures",
    "census": "test_census.py compares all its maps with its own list",
    "churn": "never stops: test_direct.py reads it while it runs",
    "corrupt": "what its headers claim is wild: test_corrupt_maps.py checks the map that is whole",
    "cpointers": "C code: test_whatis.py asks all keys",
    "damaged": "damages its maps: test_corrupt_maps.py has them intact before",
    "deaths": "dies: test_deaths.py has each way",
    "exprs": "test_exprs.py asks it",
    "foreign": "test_foreign.py compares its maps with its own count",
    "generics": "test_generics.py asks it: no expression names the maps that generic functions and closures hold",
    "grows": "test_trace.py traces it",
    "hashes": "never stops: test_hashes.py has its hashes",
    "holders": "test_holders.py asks it",
    "inlined": "is about frames: test_frames.py asks in them",
    "known": "test_known.py compares its values with their own text",
    "liveness": "test_liveness.py asks it",
    "moments": "test_moments.py compares its maps at two moments",
    "origin": "test_origin.py compares its maps with its own profile",
    "paths": "test_paths.py asks every map by every path",
    "pluginhost": "opens the program `shared`",
    "retained": "test_why.py compares it with its own heap dump",
    "shared": "C code, a library, a plugin: test_builds.py asks all keys",
    "small": "programs of single tests",
    "truth": "is no program",
    "written": "test_trace_writes.py traces it",
    "writes": "test_writes.py asks at every instruction of its writes",
    "watched": "never stops: test_gomap_top.py watches it",
}


def test_no_program_is_left_out() -> None:
    asked = [*session.PROGRAMS, *OTHERS, *ELSEWHERE]
    assert sorted(asked) == sorted(folder.name for folder in toolchains.TARGETS.iterdir() if folder.is_dir())


@pytest.mark.each_kind
@pytest.mark.parametrize("program", OTHERS)
def test_all_maps_of_the_process(program: str, toolchain: Row, system_gdb: Gdb) -> None:
    binary = toolchains.build(program, toolchain, optimised=False)
    asked = [f"source {session.EVERY_KEY}", KEYS, *([] if program in MANY else [EVERYWHERE, PATHS])]
    whole_process(debuggers.visit(system_gdb, binary, {"*": asked}), binary)


@pytest.mark.parametrize("program", OTHERS)
def test_all_maps_through_delve(program: str, both_layouts: Row, dlv: Dlv, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a goroutine that a signal interrupts where it spins Delve skips calls: nobody does.
    monkeypatch.setenv("GOMAP_COOPERATIVE", "1")
    monkeypatch.setenv("GOMAXPROCS", "1")
    binary = toolchains.build(program, both_layouts, optimised=False)
    asked = {stage: [KEYS, EVERYWHERE, *([] if program in MANY else [PATHS])] for stage in intact_stages(binary)}
    whole_process(delves.visit(dlv, binary, asked), binary)


def intact_stages(binary: Path) -> list[str]:
    """Those at which the program has damaged no map: test_sync.py asks about the others."""
    return [stage for stage in debuggers.stages(binary) if stage != "spoilt"]


def whole_process(answers: Session, binary: Path) -> None:
    for stage in intact_stages(binary):
        named = answers.at(stage, KEYS)
        assert named.error is None, named
        assert set(named.json()) == set(every_key.published(answers.truth[stage]))
        assert None not in named.json().values(), named
        problems = [problem for one in named.json().values() for problem in one["problems"]]
        assert not problems, "\n".join(problems[:20])
        if any(answer.command == PATHS for answer in answers.answers):
            paths = answers.at(stage, PATHS)
            assert paths.error is None and paths.json()["problems"] == [], paths
            assert paths.json()["resolved"] > 5
        if not any(answer.command == EVERYWHERE for answer in answers.answers):
            continue
        every = answers.at(stage, EVERYWHERE)
        assert every.error is None and every.json()["problems"] == [], every
        # The runtime and the standard library have some of their own.
        assert every.json()["maps"] > 5 and every.json()["keys"] > 20 and every.json()["absent"] > 5, every


@pytest.mark.parametrize("how", ["amd64-off", "386-off"])
def test_other_hash_functions(how: str, toolchain: Row, system_gdb: Gdb, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that hash without AES, and of 32 bits: what they hash with is read from their memory."""
    arch, _, aes = how.partition("-")
    binary = toolchains.build("types", toolchain, True, arch)
    monkeypatch.setenv("GODEBUG", f"cpu.aes={aes}")
    flag = "print 'runtime.useAeshash'", "print 'internal/runtime/maps.UseAeshash'"
    exprs = [expr for expr in session.published(binary)["filled"] if expr.startswith("main.")]
    asked = [*session.SETTINGS, f"source {session.EVERY_KEY}", *flag, *map(check, exprs), "get-every-key"]
    answers = debuggers.visit(system_gdb, binary, {"filled": asked})
    used = [answer.output.split()[-1] for answer in answers.answers if answer.command in flag and not answer.error]
    assert used == ["true" if aes == "on" else "false"]
    truth = answers.truth["filled"]["maps"]
    looked = answers.at("filled", "get-every-key").json()
    problems = [f"{expr}: {problem}" for expr in exprs for problem in looked[expr]["problems"]]
    problems += [
        f"{expr}: {problem}"
        for expr in exprs
        for problem in intact(answers.at("filled", check(expr)).json(), truth[expr])
    ]
    assert not problems, "\n".join(problems[:20])


MISSING = {"main.Keep.Ints": ("-1", "3", "0x7fffffff"), "main.Keep.Words": ('"word"', '""', r'"\x00"')}


def function(expr: str, key: str) -> str:
    """In quotes a key is a Go literal, and itself where keys are strings: as JSON has it both times."""
    return f'print $hmap_get("{expr}", {key})'


def test_keys_typed_by_hand(toolchain: Row, system_gdb: Gdb) -> None:
    """hmap-get and $hmap_get of keys that the program knows to be there, and of others, at every stage."""
    binary = toolchains.build("growth", toolchain, optimised=False)
    present = {
        "main.Keep.Ints": {str(7 * i): i for i in range(0, 3000, 13)},
        "main.Keep.Words": {f'"word {i}"': i for i in range(0, 3000, 13)},
    }
    commands = {
        stage: [
            ask(expr, key)
            for expr in present
            for key in (*list(present[expr])[:10], *MISSING[expr])
            for ask in (get, function)
        ]
        for stage in session.published(binary)
    }
    answers = debuggers.visit(system_gdb, binary, commands)
    seen = 0
    for stage, maps in session.published(binary).items():
        for expr in (e for e in maps if e in present):
            entries = dict(answers.truth[stage]["maps"][expr]["entries"] or ())
            if not entries:
                continue  # too many to publish
            for key in (*list(present[expr])[:10], *MISSING[expr]):
                wanted = entries.get(json.loads(key) if key[0] == '"' and "x" not in key else _number(key))
                one = answers.at(stage, get(expr, key))
                assert one.error is None, one
                assert not schema.faults(one.json(), schema.answer("hmap-get"))
                data = one.json()["data"]
                assert (data["found"], data["value"]) == (wanted is not None, wanted), (stage, expr, key)
                assert data["walked"] is False and data["hash"]
                assert [step["matched"] for step in data["path"]].count(True) == data["found"]
                assert data["path"] and data["path"][-1]["matched"] == data["found"]
                printed = answers.at(stage, function(expr, key))
                assert printed.error is None and printed.output.split(" = ")[1] == f"{wanted or 0}\n", printed
                seen += data["found"]
    assert seen > 20


def _number(key: str) -> int | None:
    return None if key[0] == '"' else int(key, 0)
