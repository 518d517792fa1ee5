"""hmap-trace --writes against a program that notes each write to its maps; and that nothing of it stays, whatever ends
it."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from delve_bridge.console import Console
from delve_bridge.moves import resume
from delve_bridge.session import Session
from gomap.render.text import Style
from tests.support import debuggers, delves, kill_running, schema, toolchains
from tests.support.debuggers import NO_SCRIPTS, Gdb
from tests.support.delves import Dlv
from tests.support.toolchains import ROOT, Row

LOAD = ("-ex", f"source {ROOT / 'gdbext' / 'load.py'}")
MAPS = tuple(f"main.{name}" for name in ("Ints", "Words", "Nodes", "Texts", "Wides", "Anys", "Larges", "Deep"))
#: A key by value, a string, one behind a pointer, and calls that begin twice.
FEW = ("main.Words", "main.Texts", "main.Anys", "main.Deep")
#: Where the map of the function stacked lies, when the program stops there.
LOCAL = "main.Local"
#: What a thread that comes to a function's first instruction twice may seem to have done twice.
TWICE = ("overwrite", "absent")
TYPE_ARGUMENTS = re.compile(r"\[.*?\](?=$|\.)")


def row_of(one: Any, place: Any) -> tuple[Any, ...]:
    function = TYPE_ARGUMENTS.sub("[...]", place["function"])
    return (one["effect"], json.dumps(one["key"]), one["entries"], one["goroutine"], function, place["line"])


def check(lines: Sequence[str], truth: Path, method: str = "watchpoint", names: Sequence[str] = MAPS) -> None:
    """The answers about these maps have each write that the program noted, in its order, and no other."""
    own = json.loads(truth.read_text())
    answers = [json.loads(line) for line in lines if line.startswith('{"schema"')]
    assert len(answers) == len(names) + 2
    for answer in answers:
        faults = schema.faults(answer, schema.answer("hmap-trace"))
        assert not faults, faults
        assert answer["anomalies"] == []
    for name, answer in zip((*names, "local"), answers):
        data = answer["data"]
        written = data["written"]
        wanted = [row_of(one, one) for one in own[name]]
        found = [row_of(one, one["location"]) for one in written["writes"]]
        # Then another function has a map where it was.
        used, ended = ("breakpoints", "freed") if name == "local" else (method, "stopped")
        assert (data["ended"], written["method"]) == (ended, used), name
        assert (written["instead"] is None) == (used == "watchpoint")
        if used == "watchpoint":
            assert found == wanted, (name, Counter(found) - Counter(wanted), Counter(wanted) - Counter(found))
            # Two a write, and of a classic map those where a growth changes other flags.
            assert 2 * len(found) <= data["stops"] <= 2.2 * len(found)
        else:
            assert not Counter(wanted) - Counter(found), name
            assert {one[0] for one in Counter(found) - Counter(wanted)} <= set(TWICE), name
        assert data["count"] == len(found) > 7
        check_sums(written)
    # Its header was used for another map.
    assert (answers[-1]["data"]["ended"], answers[-1]["data"]["count"]) == ("freed", 0)


def check_sums(written: Any) -> None:
    writes = written["writes"]
    assert written["effects"] == Counter(one["effect"] for one in writes)
    for line in written["lines"]:
        alike = [one for one in writes if one["location"] == line["location"]]
        assert (line["writes"], line["effects"]) == (len(alike), Counter(one["effect"] for one in alike))
        assert line["goroutines"] == sorted({one["goroutine"] for one in alike})
    assert sum(line["writes"] for line in written["lines"]) == len(writes)
    keys = Counter(json.dumps(one["key"]) for one in writes if one["effect"] != "clear")
    assert [one["writes"] for one in written["keys"]] == [count for _, count in keys.most_common(20)]
    assert all(keys[json.dumps(one["key"])] == one["writes"] for one in written["keys"])


def in_gdb(gdb: Gdb, binary: Path, truth: Path | None, *commands: str) -> str:
    words = [word for command in commands for word in ("-ex", command)]
    run = debuggers.run_gdb(
        gdb, [*NO_SCRIPTS, *LOAD, *words, str(binary)], {"GOMAP_TRUTH": str(truth or os.devnull)}, 120
    )
    assert "Traceback" not in run.stdout + run.stderr
    return run.stdout + run.stderr


TRACE = "hmap-trace {} --writes --json"
OF_LOCAL = f"""python gdb.execute("{TRACE}".format("%#x:map[int]int" % int(gdb.parse_and_eval("'{LOCAL}'"))))"""


def all_in_gdb(
    gdb: Gdb, binary: Path, truth: Path, before: Sequence[str] = (), names: Sequence[str] = MAPS
) -> list[str]:
    traces = [TRACE.format(name) if name in names else "continue" for name in MAPS]
    traces += [OF_LOCAL, "continue", TRACE.format("main.Gone"), "maint info breakpoints", "continue"]
    return in_gdb(gdb, binary, truth, "run", *before, *traces).splitlines()


@pytest.mark.each_kind
def test_every_write_in_gdb(system_gdb: Gdb, toolchain: Row, tmp_path: Path) -> None:
    binary, truth = toolchains.build("written", toolchain, optimised=True), tmp_path / "truth"
    lines = all_in_gdb(system_gdb, binary, truth)
    check(lines, truth)
    assert "No breakpoints or watchpoints." in lines


def all_in_delve(session: Session, watched: Sequence[str] = (), names: Sequence[str] = MAPS) -> list[str]:
    console = Console(session, Style())
    resume(session, "continue")
    for name in watched:
        session.client.call("CreateWatchpoint", Scope={"GoroutineID": -1}, Expr=name, Type=2)
    before = left(session)
    assert len(before) == len(watched)
    lines = []
    for name in (*MAPS, LOCAL, "main.Gone"):
        if name == LOCAL:
            name = f"{variable(session, LOCAL):#x}:map[int]int"
        skipped = name in MAPS and name not in names
        outcome = console.execute("continue" if skipped else TRACE.format(name))
        assert outcome.error is None, outcome.error
        lines += outcome.output.splitlines()
        if name.endswith(":map[int]int"):
            console.execute("continue")
    assert left(session) == before
    console.execute("continue")
    return lines


def variable(session: Session, name: str) -> int:
    answer = session.client.call("Eval", Scope={"GoroutineID": -1}, Expr=name, Cfg={})
    return int(answer["Variable"]["value"])


def left(session: Session) -> list[Any]:
    """Breakpoints that are not Delve's own."""
    found = session.client.call("ListBreakpoints", All=False)["Breakpoints"]
    return sorted(one["id"] for one in found if one["id"] > 0)


@pytest.mark.each_kind
def test_every_write_over_delve(dlv: Dlv, toolchain: Row, tmp_path: Path) -> None:
    binary, truth = toolchains.build("written", toolchain, optimised=True), tmp_path / "truth"
    with delves.bridge(dlv, ["exec", str(binary)], truth=truth) as session:
        check(all_in_delve(session), truth)


def test_plain_builds_and_no_watchpoint(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """Of builds without optimization, whose runtime is not optimized either. And the debugger's own watchpoints have
    all debug registers: then the program stops at each write to any map."""
    binary, truth = toolchains.build("written", both_layouts, optimised=False), tmp_path / "truth"
    check(all_in_gdb(system_gdb, binary, truth), truth)
    with delves.bridge(dlv, ["exec", str(binary)], direct=False, truth=truth) as session:
        check(all_in_delve(session, names=FEW), truth, names=FEW)
    binary = toolchains.build("written", both_layouts, optimised=True)
    own = [f"watch 'main.Unused'[{i}]" for i in range(4)]
    lines = all_in_gdb(system_gdb, binary, truth, own, FEW)
    check(lines, truth, "breakpoints", FEW)
    assert sum("hw watchpoint" in line for line in lines) == len(own)
    assert any("gdb has no debug register left" in line for line in lines)
    with delves.bridge(dlv, ["exec", str(binary)], truth=truth) as session:
        lines = all_in_delve(session, [f"main.Unused[{i}]" for i in range(4)], FEW)
        check(lines, truth, "breakpoints", FEW)
        assert any("Delve sets no watchpoint: " in line for line in lines)


# -- endings -----------------------------------------------------------------------------------------------

#: What it does seldom it does often enough here.
ENDLESS, OFTEN = "growing-on", {"i%50 == 49": "i%5 == 4"}


def check_limits(lines: Sequence[str]) -> None:
    """Of -n 3, of a breakpoint of the user's, of --for 200ms, and of a process that is killed."""
    answers = [json.loads(line) for line in lines if line.startswith('{"schema"')]
    three, other, timed, killed = [answer["data"] for answer in answers if "data" in answer]
    assert [one["ended"] for one in (three, other, timed, killed)] == ["count", "breakpoint", "time", "exited"]
    assert (three["count"], three["stops"], len(three["written"]["writes"])) == (3, 6, 3)
    entries = [one["entries"] for one in three["written"]["writes"]]
    assert entries == list(range(entries[0], entries[0] + 3))  # the last one is done
    for one in (three, other, timed):
        assert {(write["effect"], write["location"]["function"]) for write in one["written"]["writes"]} == {
            ("insert", "main.main")
        }
        assert all(write["key"] == write["entries"] - 1 for write in one["written"]["writes"])
    assert timed["count"] > 0
    assert timed["seconds"] >= 0.2


LIMITED = "hmap-trace main.Kept --writes --json"


def test_endings_in_gdb(swiss_go: Row, system_gdb: Gdb) -> None:
    said = in_gdb(
        system_gdb,
        toolchains.small(ENDLESS, swiss_go, optimised=True, edits=OFTEN),
        None,
        "run",
        f"{LIMITED} -n 3",
        "break main.seldom",
        LIMITED,
        "delete",
        f"{LIMITED} --for 200ms",
        "maint info breakpoints",
        kill_running.in_gdb(),
        LIMITED,
        "maint info breakpoints",
        LIMITED,
        "show language",
    )
    check_limits(said.splitlines())
    assert said.count("No breakpoints or watchpoints.") == 2
    # What gdb was set to it is set to again.
    assert 'The current source language is "auto; currently' in said
    assert '"code": "no-process"' in said


def test_endings_over_delve(swiss_go: Row, dlv: Dlv) -> None:
    with delves.bridge(dlv, ["exec", str(toolchains.small(ENDLESS, swiss_go, optimised=True, edits=OFTEN))]) as session:
        console = Console(session, Style())
        resume(session, "continue")
        lines = [console.execute(f"{LIMITED} -n 3").output]
        assert left(session) == []
        console.execute("break main.seldom")
        lines.append(console.execute(LIMITED).output)
        (own,) = left(session)
        console.execute(f"clear {own}")
        lines.append(console.execute(f"{LIMITED} --for 200ms").output)
        assert left(session) == []
        # (Killed at a stop, Delve may wait for ever for the main thread, which ends only after the others have been
        # waited for: this trace has no stops.)
        kill_running.start(session.state()["Pid"])
        lines.append(console.execute("hmap-trace main.Idle --writes --json").output)
        check_limits(lines)


def test_what_can_not_be_traced(system_go: Row, system_gdb: Gdb) -> None:
    binary = toolchains.small(ENDLESS, system_go, optimised=True)
    said = in_gdb(system_gdb, binary, None, "run", "hmap-trace --writes", "hmap-trace main.others[3] --writes")
    assert "--writes needs an EXPR: the map whose writes are recorded" in said
    assert "main.others[3] is a nil map[string]int: nothing can write to it" in said
