"""hmap-trace against programs that know each growth of their maps; and that nothing of it stays, whatever ends it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pexpect
import pytest

from delve_bridge.console import Console
from delve_bridge.moves import resume
from delve_bridge.session import Session
from gomap.errors import NoDebugInfo
from gomap.render.text import Style
from gomap.trace.growths import GrowthTrace
from tests.support import debuggers, delves, kill_running, schema, toolchains
from tests.support.debuggers import NO_SCRIPTS, Gdb
from tests.support.delves import Dlv
from tests.support.gdb_sessions import ESCAPES
from tests.support.terminals import Terminal
from tests.support.toolchains import ROOT, Row

LOAD = ("-ex", f"source {ROOT / 'gdbext' / 'load.py'}")
FACTS = ("address", "type", "kind", "entries", "slots", "new_slots", "copied", "directory", "goroutine")
#: Where the program writes to maps whose growths it notes, and chance does not fill them.
FILLED = ("main.set", "main.texts", "main.wides", "main.sets", "main.reflected")
COMMAND = "hmap-trace --json"


def check(line: str, truth: Path, ended: set[str]) -> Any:
    """The answer has each growth that the program noted, and no other of the maps that it writes to."""
    answer = json.loads(line)
    assert not schema.faults(answer, schema.answer("hmap-trace")), schema.faults(answer, schema.answer("hmap-trace"))
    assert answer["anomalies"] == []
    data, own = answer["data"], json.loads(truth.read_text())
    wanted = Counter((*(one[fact] for fact in FACTS), one["function"], one["line"]) for one in own)
    found = Counter(
        (*(one[fact] for fact in FACTS), one["location"]["function"], one["location"]["line"])
        for one in data["growths"]
        if one["location"] and one["location"]["function"].startswith("main.")
    )
    assert found == wanted, (found - wanted, wanted - found)
    assert len(own) > 200
    assert len(data["growths"]) == data["count"] <= data["hits"]
    assert data["stops"] == (0 if data["method"] == "uprobes" else data["hits"])
    assert data["lost"] == 0
    assert data["ended"] in ended
    for one in data["lines"]:
        alike = [g for g in data["growths"] if (g["location"], g["type"]) == (one["location"], one["type"])]
        assert one["growths"] == len(alike)
        assert one["kinds"] == dict(Counter(g["kind"] for g in alike))
        assert one["maps"] == len({g["address"] for g in alike})
        assert one["allocated"] == sum(g["allocated"] for g in alike)
        assert one["copied"]["entries"] == sum(g["copied"] for g in alike)
        assert one["goroutines"] == sorted({g["goroutine"] for g in alike})
        assert one["entries"] == {"least": min(g["entries"] for g in alike), "most": max(g["entries"] for g in alike)}
    return data


def check_sizes(data: Any, binary: Path) -> None:
    """Maps that are made with the sizes that the answer gives do not grow where it saw them grow."""
    given = [
        f"{one['location']['line']}={one['capacity']}"
        for one in data["lines"]
        if one["location"] and one["location"]["function"] in FILLED
    ]
    assert len(given) == len(FILLED)
    run = subprocess.run([str(binary), *given], capture_output=True, text=True, check=True, timeout=60)
    assert not set(json.loads(run.stdout)) & {name.rpartition(".")[2] for name in FILLED}, (given, run.stdout)


def in_gdb(gdb: Gdb, binary: Path, truth: Path, *commands: str) -> str:
    words = [word for command in commands for word in ("-ex", command)]
    run = debuggers.run_gdb(gdb, [*NO_SCRIPTS, *LOAD, *words, str(binary)], {"GOMAP_TRUTH": str(truth)}, 120)
    assert "Traceback" not in run.stdout + run.stderr
    return run.stdout


def line_of(output: str) -> str:
    (found,) = [line for line in output.splitlines() if line.startswith('{"schema"')]
    return found


def test_every_growth_in_gdb(system_gdb: Gdb, toolchain: Row, tmp_path: Path) -> None:
    binary, truth = toolchains.build("grows", toolchain, optimised=True), tmp_path / "truth"
    said = in_gdb(system_gdb, binary, truth, "run", COMMAND, "echo after\\n", "maint info breakpoints", "continue")
    data = check(line_of(said), truth, {"stopped"})
    assert data["method"] == "uprobes", data["instead"]
    check_sizes(data, binary)
    before, after = said.split("after\n")
    # JSON, and nothing of gdb's about the stop.
    assert before.splitlines()[-1].startswith("{")
    assert "maps." not in after
    assert "hashGrow" not in after
    assert "exited" in after  # gdb does not always say how


def in_delve(dlv: Dlv, binary: Path, truth: Path, direct: bool = True) -> None:
    with delves.bridge(dlv, ["exec", str(binary)], direct, truth) as session:
        console = Console(session, Style())
        resume(session, "continue")
        outcome = console.execute(COMMAND)
        assert outcome.error is None, outcome.error
        data = check(outcome.output, truth, {"stopped"})
        told = None if direct else "the process is not known to be on this machine"
        assert (data["method"], data["instead"]) == ("uprobes" if direct else "breakpoints", told)
        assert left(session) == []


def left(session: Session) -> list[Any]:
    """Breakpoints that are not Delve's own."""
    found = session.client.call("ListBreakpoints", All=False)["Breakpoints"]
    return [one for one in found if one["id"] > 0]


@pytest.mark.each_kind
def test_every_growth_over_delve(dlv: Dlv, toolchain: Row, tmp_path: Path) -> None:
    in_delve(dlv, toolchains.build("grows", toolchain, optimised=True), tmp_path / "truth")


def test_every_growth_of_plain_builds(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    binary, truth = toolchains.build("grows", both_layouts, optimised=False), tmp_path / "truth"
    said = in_gdb(system_gdb, binary, truth, "run", f"{COMMAND} --by breakpoints")
    assert check(line_of(said), truth, {"stopped"})["method"] == "breakpoints"
    in_delve(dlv, binary, truth, direct=False)


def test_every_growth_in_the_newest_gdb(swiss_go: Row, newest_gdb: Gdb, tmp_path: Path) -> None:
    binary, truth = toolchains.build("grows", swiss_go, optimised=True), tmp_path / "truth"
    check(line_of(in_gdb(newest_gdb, binary, truth, "run", COMMAND)), truth, {"stopped"})


# -- one map, and limits -----------------------------------------------------------------------------------

ENDLESS = "growing-on"


def asked(lines: Sequence[str]) -> list[Any]:
    return [json.loads(line)["data"] for line in lines if line.startswith('{"schema"')]


def check_limits(one: Any, other: Any, timed: Any) -> None:
    """Of `hmap-trace main.Kept -n 2`, of one of a breakpoint's end, of `--for 200ms`."""
    assert (one["ended"], one["count"]) == ("count", 2)
    assert {growth["address"] for growth in one["growths"]} == {one["address"]}
    assert other["ended"] == "breakpoint"
    assert timed["ended"] == "time"
    assert timed["seconds"] >= 0.2
    assert timed["count"] > 0


def test_one_map_and_limits_in_gdb(both_layouts: Row, system_gdb: Gdb) -> None:
    """The user's breakpoint ends it, with its commands carried out; growths of other maps do not count."""
    binary = toolchains.small(ENDLESS, both_layouts, optimised=True)
    said = in_gdb(
        system_gdb,
        binary,
        Path(os.devnull),
        "run",
        "hmap-trace main.Kept -n 2 --json",
        "python gdb.Breakpoint('main.seldom').commands = 'echo carried out\\\\n'",
        COMMAND,
        "delete",
        "hmap-trace --for 200ms --json",
        "hmap-trace --for 200ms",
        "info breakpoints",
        "maint info breakpoints",
        "kill",
        "hmap-trace",
    )
    check_limits(*asked(said.splitlines()))
    assert "No breakpoints or watchpoints." in said
    assert "hashGrow" not in said.split("ended ")[-1].split("No breakpoints")[1]
    assert re.search(r"ended +the time limit was reached", said)


def test_one_map_and_limits_over_delve(both_layouts: Row, dlv: Dlv) -> None:
    binary = toolchains.small(ENDLESS, both_layouts, optimised=True)
    with delves.bridge(dlv, ["exec", str(binary)]) as session:
        console = Console(session, Style())
        resume(session, "continue")
        outputs = [console.execute("hmap-trace main.Kept -n 2 --json").output]
        console.execute("break main.seldom")
        outputs.append(console.execute(COMMAND).output)
        (own,) = left(session)
        console.execute(f"clear {own['id']}")
        outputs.append(console.execute("hmap-trace --for 200ms --json").output)
        check_limits(*asked(outputs))
        assert left(session) == []
        # It is where it stopped: other commands answer, and it goes on.
        assert console.execute("hmap-show main.Kept").error is None
        kill_running.start(session.state()["Pid"])
        killed = console.execute(COMMAND)
        assert json.loads(killed.output)["data"]["ended"] == "exited"
        assert console.execute("hmap-trace").error is not None


def test_a_program_that_ends(swiss_go: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    binary, truth = toolchains.build("grows", swiss_go, optimised=True), tmp_path / "truth"
    said = in_gdb(system_gdb, binary, truth, "run", COMMAND, COMMAND, "hmap-trace", "info breakpoints")
    first, second = asked(said.splitlines())[:2]
    assert (first["ended"], second["ended"], second["count"]) == ("stopped", "exited", 0)
    assert '"go": "go' in said
    with delves.bridge(dlv, ["exec", str(binary)], truth=truth) as session:
        console = Console(session, Style())
        resume(session, "continue")
        console.execute(COMMAND)
        answer = console.execute(COMMAND)
        assert answer.error is None
        assert json.loads(answer.output)["data"]["ended"] == "exited"
        assert console.execute("hmap-trace").error is not None
        # Started again, it has none of the breakpoints.
        console.execute("restart")
        assert left(session) == []


# -- stacks that move --------------------------------------------------------------------------------------

#: Of go_targets/small/moves: goroutines, each with a map that grows so often on a stack of its own.
DEPTHS, GROWS = 300, 4


def check_moved(lines: Sequence[str], method: str) -> None:
    """Each growth is counted once and as of the same map, although the map's stack moves during and between growths."""
    every, one = asked(lines)
    assert (every["method"], every["ended"], one["method"], one["ended"]) == (method, "stopped", method, "freed")
    growths = Counter(growth["goroutine"] for growth in every["growths"])
    assert (len(growths), set(growths.values())) == (DEPTHS, {GROWS})
    (line,) = every["lines"]
    assert (line["maps"], line["growths"], line["location"]["function"]) == (DEPTHS, DEPTHS * GROWS, "main.fill")
    # Then another function has a map where it was.
    assert [growth["location"]["function"] for growth in one["growths"]] == ["main.stacked"] * GROWS
    assert len({growth["address"] for growth in one["growths"]}) > 1


@pytest.mark.parametrize("method", ["uprobes", "breakpoints"])
def test_maps_on_stacks_that_move(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, method: str) -> None:
    binary, line = toolchains.small("moves", both_layouts, optimised=True), f"{COMMAND} --by {method}"
    local = f"""python gdb.execute("{line} %#x:map[int]int" % int(gdb.parse_and_eval("'main.Local'")))"""
    said = in_gdb(system_gdb, binary, Path(os.devnull), "run", line, "continue", local, "kill")
    check_moved(said.splitlines(), method)
    with delves.bridge(dlv, ["exec", str(binary)]) as session:
        console = Console(session, Style())
        resume(session, "continue")
        outputs = [console.execute(line).output]
        resume(session, "continue")
        variable = session.client.call("Eval", Scope={"GoroutineID": -1}, Expr="main.Local", Cfg={})["Variable"]
        outputs.append(console.execute(f"{line} {int(variable['value']):#x}:map[int]int").output)
        check_moved(outputs, method)


# -- Ctrl-C ------------------------------------------------------------------------------------------------


def test_interrupted_in_gdb(swiss_go: Row, system_gdb: Gdb) -> None:
    binary = toolchains.small(ENDLESS, swiss_go, optimised=True)
    arguments = ["-nx", "-q", *NO_SCRIPTS, *LOAD, "-ex", "set pagination off", "-ex", "set confirm off", str(binary)]
    child: Any = pexpect.spawn(str(system_gdb.path), arguments, encoding="utf-8", timeout=60, dimensions=(40, 120))
    prompt = r"\(gdb\) "

    def ask(line: str, during: str = "") -> str:
        child.expect(prompt)
        child.send(line + "\r")
        if during:
            child.expect(during)
            child.sendintr()
        child.expect(prompt)
        said = ESCAPES.sub("", child.before)
        child.send("\r")
        return said

    ask("run")
    # The program says "loud" from time to time: by then it runs.
    assert "interrupted" in ask("hmap-trace", during="loud")
    written = ask("hmap-trace main.Kept --writes", during="loud")
    assert re.search(r"a hardware watchpoint.*interrupted", written, re.S)
    assert "No breakpoints" in ask("maint info breakpoints")
    child.expect(prompt)
    child.send("quit\r")
    child.expect(pexpect.EOF)
    child.close()


#: Ctrl-C comes once more, while the breakpoints are removed.
PRESSED = """
from gdbext import tracing
own, pressed = tracing._At.delete, [True]
def delete(place):
    if pressed:
        pressed.pop()
        raise KeyboardInterrupt
    own(place)
tracing._At.delete = delete
"""


def test_ctrl_c_while_breakpoints_are_removed(swiss_go: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    script = tmp_path / "pressed.py"
    script.write_text(PRESSED)
    binary, trace = toolchains.small(ENDLESS, swiss_go, optimised=True), "hmap-trace --by breakpoints --for 100ms"
    commands = ("run", f"source {script}", trace, "echo after\\n", "maint info breakpoints", "kill")
    said, after = in_gdb(system_gdb, binary, Path(os.devnull), *commands).split("after\n")
    assert "the time limit was reached" in said
    assert "No breakpoints" in after, after


def test_at_the_prompt_of_dlv(swiss_go: Row, dlv: Dlv, tmp_path: Path) -> None:
    """By way of dlv's script: every growth, a limit of time, Ctrl-C, and the user's own breakpoints."""
    binary, truth = toolchains.build("grows", swiss_go, optimised=True), tmp_path / "truth"
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), GOMAP_TRUTH=str(truth))
    terminal.ready()
    terminal.ask("continue")
    check(line_of(terminal.ask(COMMAND)), truth, {"stopped"})
    terminal.kill()

    terminal = Terminal(dlv, tmp_path, "exec", str(toolchains.small(ENDLESS, swiss_go, optimised=True)))
    terminal.ready()
    terminal.ask("continue")
    assert "the time limit was reached" in terminal.ask("hmap-trace --for 300ms")
    terminal.child.send("hmap-trace\r")
    terminal.child.expect("loud")
    terminal.child.sendintr()
    assert re.search("ended +interrupted", terminal.ready())
    written = terminal.ask("hmap-trace main.Kept --writes --for 300ms")
    assert re.search("main.main.*a hardware watchpoint.*the time limit", written, re.S)
    terminal.ask("break main.seldom")
    assert "came to breakpoint" in terminal.ask("hmap-trace")
    terminal.ask("clearall main.seldom")
    assert re.findall(r"^Breakpoint (\S+)", terminal.ask("breakpoints"), re.M) == [
        "runtime-fatal-throw",
        "unrecovered-panic",
    ]
    terminal.kill()


def test_the_goroutine_at_the_growth_is_selected(swiss_go: Row, dlv: Dlv, tmp_path: Path) -> None:
    """Other threads stand at the breakpoints too, and Delve has selected one of them. By the API, and by the script."""
    busy = {"\t\ttime.Sleep(time.Millisecond)\n": "\t\ttime.Sleep(0)\n", "\tgo fill()\n": "\tgo fill()\n\tgo fill()\n"}
    binary = toolchains.small(ENDLESS, swiss_go, optimised=True, edits=busy)
    line = "hmap-trace main.Kept -n 1 --json"
    with delves.bridge(dlv, ["exec", str(binary)]) as session:
        console = Console(session, Style())
        resume(session, "continue")
        before, asked_for = session.client.call, set()

        def call(method: str, *rest: Any, **arguments: Any) -> Any:
            asked_for.add(arguments.get("name"))
            return before(method, *rest, **arguments)

        with mock.patch.object(session.client, "call", call):
            for _ in range(1000):
                (one,) = json.loads(console.execute(line).output)["data"]["growths"]
                assert session.state()["currentGoroutine"]["id"] == session.goroutine == one["goroutine"] == 1
                if "switchThread" in asked_for:  # chance decides
                    break
        assert "switchThread" in asked_for
    terminal = Terminal(dlv, tmp_path, "exec", str(binary))
    terminal.ready()
    terminal.ask("continue")
    for _ in range(30):
        said = terminal.ask(line)
        assert '"goroutine": 1' in said, said
        assert re.search(r"Goroutine 1:|^\* Goroutine 1 ", terminal.ask("goroutine"), re.M)
    terminal.kill()


def test_what_else_controls_the_program_hears_of_each_run(
    swiss_go: Row, dlv: Dlv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a trace that fails too, and of one that begins anew, as no debug register is free: only when it has begun."""
    binary, line = toolchains.small(ENDLESS, swiss_go, optimised=True), "hmap-trace --by {} --for 10s"

    def fails(*_: Any) -> bool:
        raise NoDebugInfo("as a test wants it")

    with delves.bridge(dlv, ["exec", str(binary)]) as session:
        console, heard = Console(session, Style()), []
        session.runs = lambda: heard.append("runs")
        session.stands = lambda state, kind: heard.append(state["currentThread"]["id"])
        resume(session, "continue")
        others = session.build.package_variable("main.others")
        assert others is not None
        at = int(others["addr"])
        assert None not in [session.breaker.watch(at + 8 * n, 1)[0] for n in range(4)]
        written = json.loads(console.execute("hmap-trace main.Kept --writes --for 100ms --json").output)["data"]
        assert (written["method"], len(heard), heard[0]) == ("breakpoints", 2, "runs")
        monkeypatch.setattr(GrowthTrace, "hit", fails)
        for by in ("breakpoints", "uprobes"):
            heard.clear()
            assert console.execute(line.format(by)).error == "hmap-trace: as a test wants it"
            assert heard == ["runs", session.state()["currentThread"]["id"]]
