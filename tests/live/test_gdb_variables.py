"""Variables and stacks as gdb knows them: names, variables kept in part, programs that move."""

from __future__ import annotations

import itertools
import json
import re

from tests.support import debuggers, toolchains
from tests.support.debuggers import LOAD, NO_SCRIPTS, Gdb, typed
from tests.support.gdb_sessions import batch, ran
from tests.support.toolchains import Row


def test_a_local_hides_a_package_in_its_own_function(system_go: Row, gdb: Gdb) -> None:
    asked = [f"hmap-show main.{name}" for name in ("Keep", "Other")]
    commands = ("break main.stop", "run", *asked, "up", asked[0])
    told = ran(gdb, toolchains.small("hides", system_go), *commands)
    counts = re.findall(r"^map\[string\]int  (main\.\w+)  0x\w+\n(\d) entr.*\n(\(.*\))?", told, re.M)
    note = "(main is taken from frame 1, main.main)"
    assert counts == [("main.Keep", "1", ""), ("main.Other", "3", note), ("main.Keep", "2", "")], told


def test_names_where_a_program_dies(system_go: Row, gdb: Gdb) -> None:
    """m is the user's, and not an argument of the runtime's functions that stand before it."""
    commands = ("break runtime.fatalpanic", "run", "hmap-show m", "hmap-show n")
    told = ran(gdb, toolchains.small("dies", system_go), *commands)
    assert re.search(r"map\[string\]int  m  0x\S+\n1 entry .*\n\(m is taken from frame \d, main\.main", told), told
    assert "map[string]int  n  nil" in told


def test_what_is_no_map_has_no_entries(system_go: Row, gdb: Gdb) -> None:
    """Neither a number of them nor any: breakpoint conditions would go by it."""
    asked = ("print 'main.M'", "print $hmap_len('main.M')", "print $hmap_load('main.M')", 'print $hmap_len("main.M")')
    args = typed("break main.stop", "run", *asked)
    run = debuggers.run_gdb(gdb, [*NO_SCRIPTS, "-x", str(LOAD), *args, str(toolchains.small("no-map", system_go))])
    why = r"its header has addresses that are not aligned"
    assert re.search(rf"^\$1 = map\[int\]int <not a valid map: {why}>$", run.stdout, re.M), run.stdout
    refused = re.findall(rf"^\$hmap_(len|load): no valid map is at 0x[0-9a-f]+: {why}$", run.stderr, re.M)
    assert refused == ["len", "load", "len"], run.stderr


def test_a_variable_whose_line_has_not_run(system_go: Row, gdb: Gdb) -> None:
    show = "hmap-show m"
    stops = [(f"tbreak main.go:{line}", how, show) for line, how in ((7, "run"), (9, "continue"), (10, "continue"))]
    args = typed(*itertools.chain(*stops))
    run = debuggers.run_gdb(gdb, [*NO_SCRIPTS, "-x", str(LOAD), *args, str(toolchains.small("makes", system_go))])
    # What lies there before may look like a map or not.
    said = "m is declared at line 7, the current line: it may not be set yet"
    assert " ".join((run.stdout + run.stderr).split()).count(said) == 1 and "Traceback" not in run.stderr, run
    outer, inner = re.findall(r"^map\[int\]int  m  .*\n(?:.+\n)*", run.stdout, re.M)[-2:]
    assert "\n1 entry in 8 slots" in outer and "declared" not in outer
    assert "\n2 entries in 8 slots" in inner and "declared" not in inner


def test_a_slice_whose_capacity_is_nowhere(toolchain: Row, gdb: Gdb) -> None:
    commands = ("break main.stop", "run", "hmap-alias --scope all --all --json")
    program = toolchains.small("no-room", toolchain, optimised=True)
    told = ran(gdb, program, *commands)
    answer = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
    paths = {holder["path"] for group in answer["data"]["groups"] for holder in group["holders"]}
    assert {"all[1]", "all[2]"} <= paths
    assert answer["anomalies"] == []


def test_a_struct_that_is_kept_in_part(toolchain: Row, gdb: Gdb) -> None:
    commands = ("break main.stop", "run", "hmap-top -n 0 --json")
    told = ran(gdb, toolchains.small("in-part", toolchain, optimised=True), *commands)
    answer = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
    assert {"r.byID", "r.other"} <= {one["path"] for one in answer["data"]["maps"]}


def test_other_threads_go_on(system_go: Row, gdb: Gdb) -> None:
    """gdb's non-stop mode: what can be read is told, and that it moves."""
    asked = ("hmap-race", "hmap-top", "hmap-alias --scope all", "hmap-check --all", "hmap-show main.Kept")
    answers_of = [f"{command} --json" for command in asked]
    others = "python print('others', len(gdb.selected_inferior().threads()) - 1)"
    commands = ("set non-stop on", "break main.stop", "run", others, *answers_of, others, "hmap-race", "kill")
    program = toolchains.small("goes-on", system_go)
    told = ran(gdb, program, *commands, env={"GOMAXPROCS": "4"})
    answers = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert [answer["command"] for answer in answers] == [command.split()[0] for command in asked]
    before, after = map(int, re.findall(r"^others (\d+)$", told, re.M))  # Go keeps its threads, and may start more
    for answer in answers:
        (running,) = (a["message"] for a in answer["anomalies"] if a["code"] == "running")
        assert before <= int(running.split()[0]) <= after, (running, before, after)
    assert answers[-1]["data"]["live"] == 1
    unseen = r"no goroutine is inside a map operation \(\d+ of \d+ goroutines searched, the stacks of \d+ running "
    taken_off = r" write +main\.main\.func1 +\S+ +runnable\b"  # the writer, where it has been preempted
    assert re.search(unseen, " ".join(told.split())) or re.search(taken_off, told), told


def test_a_place_that_a_goroutine_has_left(system_go: Row, gdb: Gdb) -> None:
    """What the runtime saved of a goroutine for its last system call says nothing of it once it is back."""
    again = typed("continue", "hmap-alias --scope all --all --json") * 40
    binary = toolchains.small("asks", system_go, optimised=True)
    out = batch(gdb, "-x", str(LOAD), "-ex", "break main.stop", "-ex", "run", *again, str(binary))
    answers = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert len(answers) == 40
    for answer in answers:
        told = [one["message"] for one in answer["anomalies"]]
        assert not [one for one in told if re.search(r"syscall|internal/poll|os\.", one)], told
        assert told or "map[int]int" in {group["type"] for group in answer["data"]["groups"]}


def test_preempted_anywhere(system_go: Row, gdb: Gdb) -> None:
    """gdb finds every call, and gomap does not say otherwise."""
    again = typed("continue", "hmap-alias --scope all --all --json") * 30
    binary, settings = (
        toolchains.small("short", system_go, optimised=True),
        ["-ex", "handle SIGSEGV nostop noprint pass"],
    )
    out = batch(gdb, "-x", str(LOAD), *settings, "-ex", "break main.stop", "-ex", "run", *again, str(binary))
    answers = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert len(answers) == 30
    for answer in answers:
        assert not answer["anomalies"]
        held = [holder["function"] for group in answer["data"]["groups"] for holder in group["holders"]]
        assert held.count("main.spins") == 8, held
