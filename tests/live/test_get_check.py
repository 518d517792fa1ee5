"""hmap-get and hmap-check on maps that are as the runtime left them: every key is found, and nothing is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import debuggers, schema, session, toolchains
from tests.live.debuggers import Gdb, Session
from tests.live.lookups import check, get, intact
from tests.live.toolchains import Row

Target = Callable[[str], Path]
EVERY_KEY = Path(__file__).with_name("get_every_key.py")


#: A map of 20,000 entries.
LARGE = "main.Keep.BigElems"
FULL = check(f"{LARGE} --full")
NUMPY = "python import numpy"


def asked(gdb: Gdb, binary: Path) -> Session:
    """The program through all its stages: every map checked, and keys looked up in all of them."""
    commands = {
        stage: [*session.SETTINGS, f"source {EVERY_KEY}", *map(check, exprs), "get-every-key"]
        for stage, exprs in session.published(binary).items()
    }
    if binary.name == "memory":
        commands["measured"] += [NUMPY, FULL]
    return debuggers.visit(gdb, binary, commands)


#: How a map lies in memory does not depend on the compiler's flags.
BUILDS = [*((program, False) for program in session.PROGRAMS), ("growth", True)]


@pytest.mark.parametrize(("program", "fast"), BUILDS)
def test_intact_maps(program: str, fast: bool, toolchain: Row, system_gdb: Gdb) -> None:
    """No finding on any map that the program itself finds right, at any stage; every key is found by its hash, and
    what the program does not find is not there."""
    binary = toolchains.build(program, toolchain, optimised=fast)
    answers = asked(system_gdb, binary)
    problems: list[str] = []
    maps = keys = absent = 0
    for stage, exprs in session.published(binary).items():
        got = answers.at(stage, "get-every-key")
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


def all_hashes_on_demand(answers: Session) -> None:
    """Where gdb's Python has no numpy, a large map's keys are hashed in part unless --full asks for all."""
    part, full = (answers.at("measured", command).json() for command in (check(LARGE), FULL))
    assert (full["data"]["maps"][0]["hashes_checked"], full["truncated"]) == (20000, None)
    assert full["data"]["maps"][0]["share"] == 1
    has_numpy = answers.at("measured", NUMPY).error is None
    assert (part["truncated"] is None) == (part["data"]["maps"][0]["share"] == 1) == has_numpy


@pytest.mark.parametrize("how", ["amd64-off", "386-off"])
def test_other_hash_functions(how: str, toolchain: Row, system_gdb: Gdb, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that hash without AES, and of 32 bits: what they hash with is read from their memory."""
    arch, _, aes = how.partition("-")
    binary = toolchains.build("types", toolchain, True, arch)
    monkeypatch.setenv("GODEBUG", f"cpu.aes={aes}")
    flag = "print 'runtime.useAeshash'", "print 'internal/runtime/maps.UseAeshash'"
    exprs = [expr for expr in session.published(binary)["filled"] if expr.startswith("main.")]
    asked = [*session.SETTINGS, f"source {EVERY_KEY}", *flag, *map(check, exprs), "get-every-key"]
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
