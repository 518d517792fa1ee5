"""dlv-hmap dap, which an editor takes for dlv: the editor's messages are written and read by Google's go-dap, and
what the editor sees is compared with what it sees of dlv itself."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.live import test_breaks as breaks
from tests.support import dap, delves, toolchains
from tests.support.dap import Editor
from tests.support.dap_sessions import (
    ADAPTER,
    EDITS,
    DapSession,
    at_line,
    begin,
    build_module,
    environment_of,
    goes_on,
    hmap,
    running,
    session,
    stopped,
    waits_until,
)
from tests.support.delves import Dlv
from tests.support.toolchains import Row
from tests.support.windows import of_session


@pytest.fixture(params=[delves.NEW, delves.OLD])
def both(request: pytest.FixtureRequest) -> tuple[Dlv, Row]:
    """Each Delve, with a Go whose programs it knows."""
    old = request.param == delves.OLD
    go = request.getfixturevalue("old_go" if old else "system_go")
    return request.getfixturevalue("old_dlv" if old else "dlv"), go


# -- one session, and another one --------------------------------------------------------------------------------


def test_launches(both: tuple[Dlv, Row], module: Path) -> None:
    """A package is built and debugged, then its program is run: gomap answers, and dlv's own features are intact."""
    dlv, go = both
    with session(dlv, go, module) as (opened, editor):
        assert hmap(editor, "hmap-show m") == "hmap-show: no program has been started yet"
        assert json.loads(hmap(editor, "hmap-show m --json"))["error"]["code"] == "no-process"
        begin(editor, at_line(module, condition="n == 3"), mode="debug", program=".", output=str(module / "built"))
        thread, frames = stopped(editor)
        assert [(frame["name"], frame["line"]) for frame in frames[:2]] == [("main.fill", 6), ("main.main", 13)]
        scope = editor.get("scopes", frameId=frames[0]["id"])["scopes"][0]
        variables = editor.get("variables", variablesReference=scope["variablesReference"])["variables"]
        assert {v["name"]: v["value"] for v in variables}["n"] == "3"

        first = hmap(editor, "hmap-show m --entries 9", frames[0]["id"])
        assert "3 entries in 8 slots" in first and first.count('"k') == 3
        assert hmap(editor, 'hmap-get m "k1"', frames[0]["id"]).startswith('m["k1"] = 1')
        assert json.loads(hmap(editor, "hmap-show m --json"))["data"]["count"] == 3
        assert hmap(editor, "hmap-show n", frames[0]["id"]) == "hmap-show: n is not a map: it is an int"
        assert "no variable 'n'" in hmap(editor, "hmap-show n", frames[1]["id"])  # the caller has none
        assert json.loads(hmap(editor, "hmap-show n --json", frames[0]["id"]))["error"]["code"] == "not-a-map"
        assert any("n is not a map" in one["body"]["output"] for one in editor.heard if one.get("event") == "output")
        assert "did you mean hmap-show?" in hmap(editor, "hmap-shw m")
        assert "(usage: hmap-show EXPR" in hmap(editor, "hmap-show")
        assert "Usage: hmap-show EXPR" in hmap(editor, "help hmap-show")
        assert hmap(editor, "hmap-config entries 2") == ""
        assert hmap(editor, "hmap-show m", frames[0]["id"]).count('"k') == 2
        assert "main.fill" in hmap(editor, "hmap-top")
        # dlv's own
        assert [hmap(editor, "n", frames[0]["id"], context) for context in ("repl", "hover", "watch")] == ["3"] * 3
        assert "expected" in hmap(editor, "hmap-show m", frames[0]["id"], "watch")
        assert "substitutePath" in hmap(editor, "dlv help config")

        editor.get("continue", threadId=thread)
        editor.wait("event", "terminated")
        assert "has exited with status 0" in hmap(editor, "hmap-show m")
        editor.get("disconnect")
        assert opened.end() == "10\n"

    with session(dlv, go, module) as (opened, editor):
        build_module(go, module)
        begin(editor, at_line(module), mode="exec", program="fills", args=["one"])
        thread, frames = stopped(editor)
        assert "0 entries" in hmap(editor, "hmap-show m", frames[0]["id"])
        editor.ask("next", threadId=thread)
        thread, frames = stopped(editor)
        assert "1 entry" in hmap(editor, "hmap-show m", frames[0]["id"])
        editor.get("disconnect")
        assert opened.end() == ""


def test_completions(dlv: Dlv, system_go: Row, module: Path) -> None:
    with session(dlv, system_go, module) as (opened, editor):
        begin(editor, at_line(module), mode="debug", program=".")
        _, frames = stopped(editor)

        def complete(text: str, behind: str = "") -> list[tuple[str, str]]:
            """What it offers, as (what is shown, the line with it)."""
            given = {"text": text + behind, "column": len(text) + 1, "frameId": frames[0]["id"]}
            found = editor.get("completions", **given)["targets"]
            return [(one["label"], text[: one["start"] - 1] + one["text"] + behind) for one in found]

        assert ("hmap-show", "hmap-show ") in complete("h") and ("hmap-config", "hmap-config ") in complete("")
        assert complete("hmap-sy") == [("hmap-sync", "hmap-sync ")]
        assert complete("hmap-show ") == [("m", "hmap-show m")]
        assert complete("hmap-show m --en") == [("--entries", "hmap-show m --entries")]
        assert ("runtime.buildVersion", "") not in complete("hmap-show runtime.b")
        assert complete("hmap-nosuch x") == complete("n") == []
        editor.get("disconnect")
        opened.end()


def test_any_goroutine(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """A command is about the frame that is selected in the editor, of whatever goroutine, and of every part of it."""
    binary = toolchains.build("alias", system_go, optimised=False)
    with session(dlv, system_go, tmp_path) as (opened, editor):
        begin(editor, None, mode="exec", program=str(binary), env={"GOMAP_STAGE": "goroutine"})
        editor.wait("event", "stopped")
        found = {}
        for thread in editor.get("threads")["threads"]:
            for start in (0, 2):  # as editors ask, part by part
                given = {"threadId": thread["id"], "startFrame": start, "levels": 2 if start == 0 else 20}
                for frame in editor.get("stackTrace", **given)["stackFrames"]:
                    found[frame["name"]] = frame["id"]
        held = json.loads(hmap(editor, "hmap-show arg --json", found["main.hold"]))
        assert (
            held["data"]["address"]
            == json.loads(hmap(editor, "hmap-show m1 --json", found["main.main"]))["data"]["address"]
        )
        assert "no variable 'arg'" in hmap(editor, "hmap-show arg", found["main.main"])
        editor.get("disconnect")
        opened.end()


def test_hmap_break(both: tuple[Dlv, Row], tmp_path: Path) -> None:
    """It stops as the editor's own breakpoints do, with its line in the console; --log prints lines alone."""
    dlv, go = both
    binary, truth = toolchains.build("breaks", go, optimised=True), tmp_path / "truth"
    env = {"GOMAP_TRUTH": str(truth), "GODEBUG": "asyncpreemptoff=1"}
    with session(dlv, go, tmp_path) as (opened, editor):
        begin(editor, None, mode="exec", program=str(binary), env=env)
        thread, _ = stopped(editor)
        assert "stops at each insert into main.Kept" in hmap(editor, "hmap-break main.Kept --on insert")
        editor.get("continue", threadId=thread)
        assert editor.wait("event", "stopped")["reason"] == "data breakpoint"
        (line,) = breaks.LINE.finditer(editor.wait("event", "output")["output"])
        assert (line["what"], line["function"], line["entries"]) == ("insert", "main.setKept", "1")
        assert hmap(editor, "hmap-break --last") == line.group()
        assert "is removed" in hmap(editor, f"hmap-break --delete {line['number']}")
        asked = [("Kept", "delete"), ("Kept", "growth"), ("Points", "clear")]
        made = []
        for name, on in asked:
            answer = json.loads(hmap(editor, f"hmap-break main.{name} --on {on} --log --json"))
            made.append(answer["data"]["made"])
        traced = json.loads(hmap(editor, "hmap-trace main.Ints -n 1 --json"))["data"]
        assert (traced["ended"], traced["growths"][0]["location"]["function"]) == ("count", "main.setInts")
        assert editor.wait("event", "continued")["allThreadsContinued"]
        assert stopped(editor)[1][0]["name"].endswith(("hashGrow", "growToTable"))
        editor.get("continue", threadId=thread)
        end = editor.wait("event", "stopped")
        assert end["reason"] == "breakpoint" and truth.exists()  # its own, at the end
        said = "".join(one["body"]["output"] for one in editor.heard if one.get("event") == "output")
        for (name, on), number in zip(asked, made):
            wanted = breaks.wanted(json.loads(truth.read_text()), name, on, None)
            found = [line for line, _ in itertools.groupby(breaks.told(said, number))]
            assert wanted and found == [line for line, _ in itertools.groupby(wanted)], (name, on)
        assert json.loads(hmap(editor, "hmap-trace --json"))["data"]["ended"] == "exited"
        editor.wait("event", "terminated")
        editor.get("disconnect")
        opened.end()


def test_hmap_trace(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """The editor's pause button ends it; then the program goes on as the editor says."""
    binary = toolchains.small("growing-on", system_go)
    with session(dlv, system_go, tmp_path) as (opened, editor):
        begin(editor, None, mode="exec", program=str(binary), outputMode="remote")
        thread, _ = stopped(editor)
        editor.ask("evaluate", expression="hmap-trace --json", context="repl")
        editor.wait("event", "continued")
        editor.wait("event", "output")  # the program runs
        assert editor.reply("pause", threadId=thread)["success"]
        assert editor.wait("event", "stopped")["reason"] == "pause"
        data = json.loads(editor.wait("response", "evaluate")["result"])["data"]
        assert data["ended"] == "interrupted" and data["count"] > 0
        before = json.loads(hmap(editor, "hmap-show main.Kept --json"))["data"]["count"]
        assert editor.get("setFunctionBreakpoints", breakpoints=[{"name": "main.seldom"}])["breakpoints"][0]["verified"]
        editor.get("continue", threadId=thread)
        assert stopped(editor)[1][0]["name"] == "main.seldom"
        assert json.loads(hmap(editor, "hmap-show main.Kept --json"))["data"]["count"] >= before
        editor.get("disconnect")
        opened.end()


# -- as dlv does it ------------------------------------------------------------------------------------------------


def recorded(opened: DapSession, editor: Editor, folder: Path, **arguments: Any) -> list[str]:
    """A launch as an editor sees it, and what is printed, with the numbers taken out that differ each time."""
    editor.get("initialize", **EDITS)
    editor.ask("launch", **{"program": ".", **arguments})
    while True:
        message = editor.message()
        if message.get("event") == "initialized":
            editor.get("setBreakpoints", **at_line(folder, condition="n == 5"))
            editor.get("configurationDone")
        elif message.get("event") == "stopped":
            stack = editor.reply("stackTrace", threadId=message["body"]["threadId"])
            frame = stack["body"]["stackFrames"][0]["id"] if stack["success"] else 0
            for expression in ("len(m)", "nosuch"):
                editor.reply("evaluate", expression=expression, frameId=frame, context="repl")
            editor.get("continue", threadId=message["body"]["threadId"])
        elif message.get("event") == "terminated" or (message.get("command") == "launch" and not message["success"]):
            break
    editor.ask("disconnect")
    editor.drain()
    return told_of(opened, editor)


def told_of(opened: DapSession, editor: Editor) -> list[str]:
    """What the editor has heard and what was printed, without the numbers that differ each time."""
    hidden = ("seq", "request_seq")
    told = [{k: v for k, v in message.items() if k not in hidden} for message in editor.heard]
    # (An old dlv's go-dap wrote sources that there are none of.)
    lines = [json.dumps(message, sort_keys=True).replace(', "source": {}', "") for message in told]
    # What is printed reaches the editor on a way of its own: before or after the events of the same moment.
    lines.sort(key=lambda line: '"category": "stdout"' in line or '"category": "stderr"' in line)
    differs = r'__debug_bin\w*|(?<=rocess )\d+|(?<="systemProcessId": )\d+|(?<="threadId": )\d+|0x[0-9a-f]+|[\d.]+s\b'
    return [re.sub(differs, "N", line) for line in [*lines, opened.end()]]


LAUNCHES: dict[str, dict[str, Any]] = {
    "debug": {},
    "stops on entry": {"stopOnEntry": True},
    "test": {"mode": "test", "args": ["-test.v", "-test.run=TestFill"]},
    "output as events": {"outputMode": "remote"},
    "a build error": {"buildFlags": ["-tags=bad", "-ldflags=-X 'main.a=b c'"]},
    "no such program": {"mode": "exec", "program": "nosuch"},
    "no such mode": {"mode": "nosuch"},
    "no program": {"program": ""},
    "a wrong type": {"args": 1},
    "no such folder": {"dlvCwd": "/nosuch"},
    "not debugged": {"noDebug": True},
}


@pytest.mark.parametrize("name", LAUNCHES)
def test_as_dlv_does_it(both: tuple[Dlv, Row], module: Path, name: str) -> None:
    """A launch has the same messages in the same order, and prints the same, as with dlv itself."""
    dlv, go = both
    (module / "bad.go").write_text("//go:build bad\n\npackage main\n\nvar _ int = nosuch\n")
    arguments = LAUNCHES[name]
    if name == "output as events" and dlv.version == delves.OLD:
        arguments = {}  # it does not know of that
    seen = []
    for program in (dlv.path, ADAPTER):
        with session(dlv, go, module, program=program) as (opened, editor):
            seen.append(recorded(opened, editor, module, **arguments))
    real, ours = seen
    # What dlv 1.20.2 does not tell yet.
    added = () if dlv.version == delves.NEW else ('"output": "Building ', '"event": "process"')
    ours = [line for line in ours if not any(one in line and line not in real for one in added)]
    assert [line.replace(', "supportsCompletionsRequest": true', "") for line in ours] == real


@pytest.mark.parametrize("end", ["it is left", "it is killed", "it has ended"])
def test_attaches_as_dlv_does_it(both: tuple[Dlv, Row], spinning: Path, tmp_path: Path, end: str) -> None:
    dlv, go = both
    seen = []
    for program in (dlv.path, ADAPTER):
        with running(spinning) as process, session(dlv, go, tmp_path, program=program) as (opened, editor):
            editor.get("initialize", **EDITS)
            editor.reply("attach", mode="local", processId=process.pid, stopOnEntry=True)
            editor.get("configurationDone")
            editor.wait("event", "stopped")
            editor.reply("evaluate", expression="len(main.Things)", context="repl")
            if end == "it has ended":
                process.kill()
                editor.ask("continue", threadId=1)
                editor.wait("event", "terminated")
            editor.ask("disconnect", terminateDebuggee=end == "it is killed")
            editor.drain()
            seen.append(told_of(opened, editor))
            if end == "it is left":
                waits_until(lambda process=process: goes_on(process))
            else:
                assert process.wait(30) < 0
    real, ours = seen
    assert [line.replace(', "supportsCompletionsRequest": true', "") for line in ours] == real


def test_passes_on_what_else_an_editor_asks(dlv: Dlv, system_go: Row, module: Path) -> None:
    """It may even be called dlv, and be the first dlv on PATH."""
    folder = module / "bin"
    folder.mkdir()
    (folder / "dlv").symlink_to(ADAPTER)
    environment = environment_of(dlv, system_go)
    path = f"{folder}:{dlv.path.parent}:{environment['PATH']}"
    environment = {**{k: v for k, v in environment.items() if k != "GOMAP_DLV"}, "PATH": path}
    for words in (["version"], ["substitute-path-guess-helper"], ["dap", "--help"]):
        ours, real = (
            subprocess.run(
                [str(program), *words],
                cwd=module,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
            )
            for program in (folder / "dlv", dlv.path)
        )
        assert (ours.returncode, ours.stdout, ours.stderr) == (real.returncode, real.stdout, real.stderr)


def test_in_a_terminal(dlv: Dlv, system_go: Row, module: Path) -> None:
    """--client-addr: it is started in a terminal, which is the program's, and dials the editor, which listens."""
    shutil.copy(toolchains.TARGETS / "small" / "reads" / "main.go", module)
    client = subprocess.Popen([str(dap.go_dap()), "listen", "127.0.0.1:0"], stdin=-1, stdout=-1, bufsize=0)
    assert client.stdout is not None
    where = client.stdout.readline().decode().strip()
    terminal: Any = pexpect.spawn(
        str(ADAPTER),
        ["dap", f"--client-addr={where}"],
        env=environment_of(dlv, system_go),
        cwd=str(module),
        encoding="utf-8",
        timeout=60,
    )
    editor = dap.over_go_dap(client)
    try:
        begin(editor, at_line(module, 15), mode="debug", program=".")
        terminal.expect("a terminal: true")
        terminal.sendline("typed")
        thread, frames = stopped(editor)
        assert '"typed"' in hmap(editor, "hmap-show m --entries 1", frames[0]["id"])
        editor.get("continue", threadId=thread)
        editor.wait("event", "terminated")
        editor.get("disconnect")
        terminal.expect(pexpect.EOF)
        assert terminal.before == "\r\ntyped\r\n1\r\n"
        terminal.close()
        assert terminal.exitstatus == 0
        waits_until(lambda: not of_session(terminal.pid))
    finally:
        terminal.close(force=True)
        client.kill()
        client.communicate()
