"""gdb sessions that go on: several programs in one gdb, other processes, C frames, output that goes elsewhere."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import debuggers, toolchains
from tests.support.complaints import batch
from tests.support.debuggers import Gdb
from tests.support.gdb_sessions import ESCAPES, at_a_terminal
from tests.support.matrix import needed
from tests.support.toolchains import Row

QUIET = {"GOMAP_TRUTH": os.devnull}


def answers(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if line.startswith('{"schema"')]


def test_two_programs_in_one_gdb(system_go: Row, gdb: Gdb) -> None:
    """Each inferior is read with the types and the variables of its own program, however often gdb goes to and fro."""
    first = toolchains.build("basic", system_go, optimised=False)
    second = toolchains.build("alias", system_go, optimised=False)
    asked = ["hmap-alias --all --json", "hmap-show main.Keep.M --json", "hmap-show main.Keep.M1 --json"]
    add = [f"add-inferior -exec {second}", "inferior 2", "run", *asked]
    commands = [*asked, *add, "inferior 1", *asked, "inferior 2", *asked]
    out, _, _ = batch(gdb, [str(first), "-ex", "run"], commands, QUIET)
    told = answers(out)
    assert len(told) == 12
    for one, two, there, missing in ((0, 6, 1, 2), (3, 9, 2, 1)):
        assert told[one] == told[two] and told[one]["data"]["scanned"]["maps"] > 3
        assert told[one + there] == told[two + there] and told[one + there]["data"]["live"] > 0
        assert told[one + missing]["error"] and told[two + missing]["error"]


@pytest.mark.parametrize("flags", [(), ("-buildmode=pie",)], ids=["plain", "pie"])
def test_a_process_of_another_program(flags: tuple[str, ...], system_go: Row, gdb: Gdb, tmp_path: Path) -> None:
    """gdb keeps the file it has when it is attached to the next process, whose memory that file's symbols know nothing
    of. The answer says which file to load."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    toolchains.compile_("basic", system_go, ours, flags)
    toolchains.compile_("alias", system_go, theirs, flags)
    show = "hmap-show main.Keep.M1 --json"
    out, err, _ = batch(gdb, [str(theirs), "-ex", "run"], [show, f"file {ours}", show, f"file {theirs}", show], QUIET)
    before, wrong, after = answers(out)
    assert wrong["error"]["code"] == "wrong-program" and "(file /proc/" in wrong["error"]["message"], wrong
    assert before == after and after["data"]["count"] == 3
    assert len([line for line in err if line.startswith("hmap-")]) == 1


@pytest.mark.parametrize("flags", [(), ("-buildmode=pie",)], ids=["plain", "pie"])
def test_before_a_program_is_in_place(flags: tuple[str, ...], system_go: Row, gdb: Gdb, tmp_path: Path) -> None:
    """At its first instruction a PIE's words are not moved yet: that makes it no other program."""
    binary = tmp_path / "basic"
    toolchains.compile_("basic", system_go, binary, flags)
    commands = ["hmap-show main.Keep.M --json", "continue", "hmap-show main.Keep.M --json"]
    out, _, _ = batch(gdb, [str(binary), "-ex", "starti"], commands, QUIET)
    before, after = answers(out)
    assert before["data"]["nil"] and after["data"]["live"] == 1000


def test_a_local_while_c_runs(system_go: Row, gdb: Gdb, request: pytest.FixtureRequest) -> None:
    """C runs on the system's stack, and gdb's backtrace goes astray where that begins."""
    with needed(request.config):
        binary = toolchains.build("cpointers", system_go, optimised=False, cgo=True)
    stop = ["-ex", "run", "-ex", "rbreak ^_cgo_.*_Cfunc_free$", "-ex", "continue"]
    asked = ["hmap-show lengths --json", "hmap-show lengths", "hmap-show nosuch --json", "bt 1"]
    out, _, _ = batch(gdb, [str(binary), *stop], asked, QUIET)
    found, missing_one = answers(out)
    assert found["data"]["live"] == 20 and found["data"]["type"] == "map[string]int"
    assert any("(lengths is taken from frame" in line and line.endswith("main.main)") for line in out), out
    assert missing_one["error"]["code"] == "no-such-variable"
    assert "_Cfunc_free" in out[-2] + out[-1], "gdb did not stop in C"


def test_no_colour_for_other_programs(system_go: Row, gdb: Gdb) -> None:
    """On a terminal: what goes to another program or into a string has no escapes, as gdb's own commands have none."""
    binary = toolchains.build("basic", system_go, optimised=False)
    kept = {name: value for name, value in debuggers._environment(None).items() if name != "NO_COLOR"}
    env = {**kept, **QUIET, "TERM": "xterm-256color"}
    child = at_a_terminal(gdb, binary, env, 100)
    show = "hmap-show main.Keep.M"
    asked = {
        show: True,
        f"pipe {show} | cat": False,
        f'python print(gdb.execute("{show}", to_string=True))': False,
        f"with hmap color on -- pipe {show} | cat": True,
        f"with width 0 -- {show}": True,
        show + " ": True,
    }
    try:
        child.expect(r"\(gdb\) ")
        child.sendline("run")
        child.expect(r"received signal SIGTRAP.*\(gdb\) ")
        for command, colour in asked.items():
            child.sendline(command)
            child.expect(r"\(gdb\) ")
            text = str(child.before)
            assert "1,000 entries in " in ESCAPES.sub("", text), text
            assert (bool(re.search(r"\x1b\[[0-9;]+m", text)), command) == (colour, command), repr(text[:300])
        child.sendline("kill")
        child.expect(r"\(gdb\) ")
    finally:
        child.close(force=True)
