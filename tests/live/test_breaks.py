"""hmap-break against a program that knows each write to its maps; and that nothing of it stays, whatever ends it."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from delve_bridge.console import Console
from delve_bridge.moves import resume
from gomap.render.text import Style
from tests.live.test_trace import in_gdb, left
from tests.live.test_trace_writes import variable
from tests.support import delves, schema, toolchains
from tests.support.debuggers import Gdb
from tests.support.delves import Dlv
from tests.support.terminals import Terminal
from tests.support.toolchains import Row

LINE = re.compile(
    r"hmap-break (?P<number>\d+): main\.(?P<map>\w+): (?:(?P<what>\w+) of (?P<key>.*?)|(?P<bare>\w+)) "
    r"by goroutine (?P<goroutine>\d+) in (?P<function>\S+) main\.go:(?P<line>\d+) \((?P<entries>\d+) entr(?:y|ies)\)"
)
#: (map, event, key, whether a debug register is left for it). They take all four.
WATCHED = [
    ("Kept", "write", None, True),
    ("Kept", "insert", None, True),
    ("Kept", "clear", None, True),
    ("Kept", "growth", None, False),
    ("Points", "delete", None, True),
]
#: gdb looks the key up; two of its watchpoints share a register.
IN_GDB = [
    *WATCHED,
    ("Kept", "delete", None, True),
    ("Kept", "insert", '"key 5"', True),
    ("Points", "write", None, False),
    ("Ints", "delete", None, False),
    ("Ints", "insert", "7919", False),
    ("Ints", "len>7", None, False),
    ("Points", "growth", None, False),
]
#: Of Delve's breakpoints conditions alone decide.
IN_DELVE = [
    *WATCHED,
    ("Points", "write", '{X:200, Y:-1, Name:"200"}', False),
    ("Ints", "clear", None, False),
    ("Ints", "write", None, False),
]


def command(name: str, on: str, key: str | None) -> str:
    return f"hmap-break main.{name} --on {on}" + (f" --key {key}" if key is not None else "")


def wanted(truth: Sequence[Any], name: str, on: str, key: str | None) -> list[tuple[object, ...]]:
    """What the program says that the map's hmap-break must tell, in order."""
    found = []
    before = 0
    for one in truth:
        if one["map"] != name:
            continue
        what, entries = one["what"], one["entries"]
        # A delete from a map without entries does nothing, and sets no flag.
        writes = not (what == "absent" and not entries)
        happens = {"write": writes, "growth": one["grew"] >= 0}.get(on, what == on)
        if on.startswith("len>"):
            happens = entries == int(on[4:]) + 1 and before == entries - 1
        before = entries
        if happens and key in (None, one["key"]):
            done = ("delete" if what == "absent" else what, one["key"], entries)
            done = ("growth", "", one["grew"]) if on == "growth" else done
            found.append((*done, one["goroutine"], one["function"], one["line"]))
    return found


def told(output: str, number: int) -> list[tuple[object, ...]]:
    """The lines of an hmap-break, in order."""
    return [
        (
            one["what"] or one["bare"],
            one["key"] or "",
            int(one["entries"]),
            int(one["goroutine"]),
            one["function"],
            int(one["line"]),
        )
        for one in LINE.finditer(output)
        if int(one["number"]) == number
    ]


def check(said: str, every: Sequence[Any], made: Sequence[Any], truth: Path) -> None:
    """Each has told what the program did, no more and no less. said: the lines. made: the answers that set them."""
    own = json.loads(truth.read_text())
    assert len(own) > 250
    assert len(made) == len(every)
    for (name, on, key, watched), one in zip(every, made):
        data = one["data"]
        (row,) = [row for row in data["breaks"] if row["number"] == data["made"]]
        assert (row["by"] == "watchpoint") is watched, row
        assert (row["expr"], row["on"], row["log"]) == (f"main.{name}", on, True)
        assert row["type"].startswith("map[")
        assert not schema.faults(one, schema.answer("hmap-break")), schema.faults(one, schema.answer("hmap-break"))
        expected, found = wanted(own, name, on, key), told(said, data["made"])
        assert expected or key, (name, on)
        if row["by"] == "breakpoints" and one["target"]["backend"] == "delve":
            # Delve may stop twice where a thread was stopped at the breakpoint for another one's sake.
            expected, found = ([line for line, _ in itertools.groupby(lines)] for lines in (expected, found))
        assert found == expected, (name, on, key)


def answers(said: str) -> list[Any]:
    return [json.loads(line) for line in said.splitlines() if line.startswith('{"schema"')]


def every_event_in_gdb(gdb: Gdb, binary: Path, truth: Path) -> None:
    sets = [command(*one[:3]) + " --log --json" for one in IN_GDB]
    # (Where a program ends by itself, gdb 13 may ask dead threads for their registers, and give up.)
    said = in_gdb(gdb, binary, truth, "run", *sets, "continue", "hmap-break", "kill", "info breakpoints")
    check(said, IN_GDB, answers(said), truth)
    assert "removed, since the process with the map has ended" in said
    assert re.match("No breakpoints(, | or )watchpoints", said.splitlines()[-1])


@pytest.mark.each_kind
def test_every_event_in_gdb(system_gdb: Gdb, toolchain: Row, tmp_path: Path) -> None:
    every_event_in_gdb(system_gdb, toolchains.build("breaks", toolchain, optimised=True), tmp_path / "truth")


def test_every_event_in_the_newest_gdb(swiss_go: Row, newest_gdb: Gdb, tmp_path: Path) -> None:
    every_event_in_gdb(newest_gdb, toolchains.build("breaks", swiss_go, optimised=False), tmp_path / "truth")


def every_event_over_delve(dlv: Dlv, binary: Path, truth: Path) -> None:
    # Where a signal comes to a thread at a breakpoint, Delve stops twice.
    quiet = mock.patch.dict(os.environ, {"GODEBUG": "asyncpreemptoff=1"})
    with quiet, delves.bridge(dlv, ["exec", str(binary)], truth=truth) as session:
        console = Console(session, Style())
        lines: list[str] = []
        session.say = lines.append
        resume(session, "continue")
        made = []
        for one in IN_DELVE:
            outcome = console.execute(command(*one[:3]) + " --log --json")
            assert outcome.error is None, outcome.error
            made.append(json.loads(outcome.output))
        resume(session, "continue")
        check("".join(lines), IN_DELVE, made, truth)
        assert "the program has exited" in str(console.execute("continue").error)
        assert left(session) == []


@pytest.mark.each_kind
def test_every_event_over_delve(dlv: Dlv, toolchain: Row, tmp_path: Path) -> None:
    every_event_over_delve(dlv, toolchains.build("breaks", toolchain, optimised=True), tmp_path / "truth")


# -- stops -------------------------------------------------------------------------------------------------


def test_stops_in_gdb(both_layouts: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    """One line at each stop; gdb's own commands work on them; without a debug register they are breakpoints."""
    binary, truth = toolchains.build("breaks", both_layouts, optimised=True), tmp_path / "truth"
    said = in_gdb(
        system_gdb,
        binary,
        truth,
        "run",
        "hmap-break main.Kept --on insert",
        "continue",
        "hmap-break --last --json",
        "disable 1",
        "hmap-break main.Kept --on len>5",
        "hmap-break main.Kept --on delete",
        "condition 3 $hmap_event(3) && 0",
        "continue",
        "hmap-break --json",
        "delete 2",
        "hmap-break --delete 1",
        "hmap-break --delete 3 --json",
        # What the user watches takes all registers.
        "set language c",
        *[f"watch -l *(char *) ($sp - {8 * n})" for n in range(1, 5)],
        "set language auto",
        "hmap-break main.Points --on clear --json",
        "delete",
        "set can-use-hw-watchpoints 0",
        "hmap-break main.Points --on insert --json",
        "continue",
        "hmap-break --delete all",
        "info breakpoints",
        "set can-use-hw-watchpoints 1",
        "hmap-break main.Points --on insert",
        "kill",
        "info breakpoints",
        "hmap-break",
    )
    first, listed, removed, full, software = (one["data"] for one in answers(said))
    lines = [one for one in LINE.finditer(said) if one["number"] == "1"]
    assert [one["what"] for one in lines][:1] == ["insert"]
    last = first["last"]
    assert last["what"] == "insert"
    assert last["entries"] == 1
    assert last["key"] == json.loads(lines[0]["key"])
    assert last["location"]["function"] == "main.setKept"
    assert last["goroutine"] == int(lines[0]["goroutine"])
    # The delete's own condition is false: the program came to the sixth entry.
    assert (listed["last"]["number"], listed["last"]["entries"]) == (2, 6)
    assert [row["enabled"] for row in listed["breaks"]] == [False, True, True]
    assert removed["deleted"] == [3]
    assert removed["breaks"] == []
    assert [row["by"] for row in (*full["breaks"], *software["breaks"])] == ["breakpoints"] * 2
    assert "main.Points: insert of" in said
    assert len(re.findall(r"^No breakpoints(?:, | or )watchpoints", said, re.M)) == 2
    assert "removed, since the process with the map has ended" in said


def test_why_there_is_no_watchpoint(swiss_go: Row, system_gdb: Gdb) -> None:
    binary = toolchains.build("breaks", swiss_go, optimised=True)
    said = in_gdb(
        system_gdb,
        binary,
        Path(os.devnull),
        "run",
        "set can-use-hw-watchpoints 0",
        "hmap-break main.Kept --on write",
        "set can-use-hw-watchpoints 1",
        "hmap-break main.Kept --on write",
        "hmap-break main.Points --on write",
        "hmap-break main.Points --on insert",
        "hmap-break main.Ints --on insert",
        "hmap-break main.Ints --on write",
        "run",
        "info breakpoints",
    )
    assert "not by       a hardware watchpoint: gdb may use no debug registers" in said
    assert "not by       a hardware watchpoint: all 4 debug registers are in use" in said
    assert said.count("seen by      hardware watchpoint on ") == 4
    # Started again, the program has none of them.
    assert re.match("No breakpoints(, | or )watchpoints", said.splitlines()[-1])


def test_what_happens_while_it_is_disabled(both_layouts: Row, system_gdb: Gdb) -> None:
    """A map that has as many entries again then, and another seed, is the same map, with the next insert in it."""
    writes = "\t\tfor j := 0; j < 50; j++ {\n\t\t\tKept[len(Kept)] = i\n\t\t}\n"
    edits = {writes: "\t\tKept[i] = i\n\t\tclear(Kept)\n", "i%50 == 49": "true"}
    binary = toolchains.small("growing-on", both_layouts, optimised=True, edits=edits)
    for hardware, on in ((1, "insert"), (1, "write"), (0, "insert"), (0, "write")):
        said = in_gdb(
            system_gdb,
            binary,
            Path(os.devnull),
            "set environment GODEBUG asyncpreemptoff=1",  # a signal would bring a thread to seldom again
            "run",
            f"set can-use-hw-watchpoints {hardware}",
            "break main.seldom",
            f"hmap-break main.Kept --on {on}",
            "continue",
            "disable",
            "enable 1",
            "continue",
            "enable",
            "continue",
            "kill",
        )
        assert [(one["what"], one["key"]) for one in LINE.finditer(said)] == [("insert", "0"), ("insert", "1")], said


def test_maps_that_go(both_layouts: Row, system_gdb: Gdb) -> None:
    binary = toolchains.small("freed", both_layouts)
    said = in_gdb(
        system_gdb,
        binary,
        Path(os.devnull),
        "run",
        "set can-use-hw-watchpoints 0",
        "hmap-break main.Kept --on write",
        "continue",
        "continue",
    )
    if "another map is there\n" in said:  # chance decides
        assert "main.Kept is gone: another map is there now" in said
    said = in_gdb(
        system_gdb,
        binary,
        Path(os.devnull),
        "run",
        "hmap-break main.None --on insert",
        "hmap-break main.Synced --on insert",
        "hmap-break main.Other --on insert",
        "hmap-break main.Kept --on insert",
        "continue",
        "continue",
    )
    assert "is gone: something else is written to its header, in main.scribble" in said
    if "another map is there\n" in said:  # chance decides
        assert "main.Kept is gone" in said


#: A line about a map whose name is its address.
UNNAMED = re.compile(
    r"hmap-break \d+: 0x[0-9a-f]+:map\[int\]int: (?P<what>\w+) of (?P<key>\d+) by goroutine (?P<goroutine>\d+) "
    r"in main\.(?P<function>\w+)\S* main\.go:(?P<line>\d+) \((?P<entries>\d+) entr(?:y|ies)\)"
)
#: How often go_targets/written stops before the function with that map does.
BEFORE = 8


def check_stacked(said: str, truth: Path, effects: Container[str]) -> None:
    """Each write of the program to the map on its stack has its line, though the stack was moved."""
    wanted = [
        (one["effect"], str(one["key"]), one["goroutine"], one["function"][5:].partition("[")[0], one["line"])
        for one in json.loads(truth.read_text())["local"]
        if one["effect"] in effects
    ]
    found = [
        (one["what"], one["key"], int(one["goroutine"]), one["function"], int(one["line"]))
        for one in UNNAMED.finditer(said)
    ]
    assert len(wanted) > 2
    assert [line for line, _ in itertools.groupby(found)] == wanted
    # Another function has a map where it was.
    assert re.search(r"map\[int\]int is gone: the function that it was in has returned", said)


def test_a_map_on_a_stack_that_moves(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    binary, truth = toolchains.build("written", both_layouts, optimised=True), tmp_path / "truth"
    command = """python gdb.execute("hmap-break %#x:map[int]int --on {}" % int(gdb.parse_and_eval("'main.Local'")))"""
    for on, effects in (("write --log", ("insert", "overwrite", "delete", "absent")), ("insert --log", ("insert",))):
        sets = command.format(on)
        said = in_gdb(system_gdb, binary, truth, "run", *["continue"] * BEFORE, sets, *["continue"] * 3)
        check_stacked(said, truth, effects)
        assert "a hardware watchpoint: the map lies on the stack of goroutine 1, which" in " ".join(said.split())
    with delves.bridge(dlv, ["exec", str(binary)], truth=truth) as session:
        console = Console(session, Style())
        lines: list[str] = []
        session.say = lines.append
        for _ in range(BEFORE + 1):
            resume(session, "continue")
        local = f"{variable(session, 'main.Local'):#x}:map[int]int"
        refused = console.execute(f"hmap-break {local} --on insert")
        assert re.search("goroutine 1, which the runtime may move, and at a breakpoint Delve", str(refused.error))
        assert console.execute(f"hmap-break {local} --on write --log").error is None
        resume(session, "continue")
        console.execute("hmap-break --delete all")
        resume(session, "continue")
    check_stacked("".join(lines), truth, ("insert", "overwrite", "delete", "absent"))


REFUSED = {
    "hmap-break main.None --on insert": r"main\.None is a nil map\[int\]int: it has no header yet",
    "hmap-break main.Synced --on insert": r"main\.Synced is a sync\.Map",
    "hmap-break main.Kept --on clear": "nothing in the program clears maps of this type",
    "hmap-break main.Kept": "say when to stop",
    "hmap-break main.Kept --on often": "--on takes write, insert, delete, growth, clear or len>N, not 'often'",
    "hmap-break main.Kept --on growth --key 1": "--key goes with write, insert, delete and len>N, not with growth",
    'hmap-break main.Kept --on insert --key "x"': '"x" is not an int',
    "hmap-break --on insert": "--on needs a map",
    "hmap-break --delete 77": "no hmap-break 77: none is set",
    "hmap-break main.Kept --delete 1": "--delete and --last take no map",
}


def test_over_delve(both_layouts: Row, dlv: Dlv) -> None:
    """What is refused, in one line; what stops; and that a program that is killed or started again has none of it."""
    binary = toolchains.small("freed", both_layouts)
    with delves.bridge(dlv, ["exec", str(binary)]) as session:
        console = Console(session, Style())
        resume(session, "continue")
        for line, why in REFUSED.items():
            outcome = console.execute(line)
            assert outcome.output == ""
            assert re.fullmatch(f"hmap-break: .*{why}.*", str(outcome.error)), outcome.error
        assert console.execute("hmap-break").output == "no hmap-break is set\n"
        assert console.execute("hmap-break --last").output == "the program is not stopped at an hmap-break\n"
        for name in ("Kept", "Other"):
            for event in ("insert", "write", "growth"):
                assert console.execute(f"hmap-break main.{name} --on {event}").error is None
        again = console.execute("hmap-break main.Other --on len>5")
        assert "Delve has one watchpoint for each word" in str(again.error)
        full = console.execute("hmap-break main.Third --on insert")
        assert "all 4 debug registers are in use, and at a breakpoint Delve can't tell whether" in str(full.error)
        full = console.execute("hmap-break main.Third --on write")
        assert "all 4 debug registers are in use" in full.output
        assert len(left(session)) == 7
        console.execute("hmap-break --delete 1")
        assert len(left(session)) == 6
        console.execute("restart")
        assert left(session) == []
        resume(session, "continue")
        console.execute("hmap-break main.Kept --on growth")
        os.kill(session.state()["Pid"], 9)
        assert console.execute("continue").error is not None
        assert console.execute("hmap-break").error is not None
        assert left(session) == []


def test_a_stop_is_told_as_often_as_it_is_asked_for(swiss_go: Row, dlv: Dlv, tmp_path: Path) -> None:
    binary = toolchains.build("breaks", swiss_go, optimised=True)
    with delves.bridge(dlv, ["exec", str(binary)]) as session:
        console = Console(session, Style())
        resume(session, "continue")
        assert console.execute("hmap-break main.Kept --on growth").error is None
        resume(session, "continue")
        first, again = (console.execute("hmap-break --last").output for _ in range(2))
        assert first == again and re.match(r"hmap-break \d+: main.Kept: growth", first), first


def test_at_the_prompt_of_dlv(swiss_go: Row, dlv: Dlv, tmp_path: Path) -> None:
    """dlv's own continue stops there, and the line comes with it."""
    truth = str(tmp_path / "truth")
    binary = toolchains.build("breaks", swiss_go, optimised=True)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), GOMAP_TRUTH=truth)
    terminal.ready()
    terminal.ask("continue")
    assert "hmap-break 1 stops at each insert into main.Kept" in terminal.ask("hmap-break main.Kept --on insert")
    stopped = terminal.ask("continue")
    (line,) = LINE.finditer(stopped)
    assert (line["what"], line["function"], line["entries"]) == ("insert", "main.setKept", "1")
    assert LINE.search(terminal.ask("hmap-break --last"))
    assert "hmap1insertmainKept" in terminal.ask("breakpoints")
    terminal.ask("hmap-break --delete all")
    assert "insert" not in terminal.ask("breakpoints")
    terminal.ask('hmap-break main.Kept --on delete --key "key 8" --log')
    terminal.ask("hmap-break main.Kept --on clear")
    logged = terminal.ask("continue")
    assert "User: " in logged  # Delve's own words of a tracepoint
    assert "main.Kept: clear by goroutine 1 in main.wipeKept" in logged
    # Where gomap lets the program run, dlv itself says nothing.
    terminal.ask("restart")
    terminal.ask("continue")
    terminal.ask("hmap-break main.Kept --on insert --log")
    traced = terminal.ask("hmap-trace")
    assert {"1", "2", "3"} <= {one["entries"] for one in LINE.finditer(" ".join(traced.split()))}, traced
    assert "ended " in traced
    terminal.kill()
