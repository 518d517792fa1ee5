"""dlv-hmap dap, which an editor takes for dlv: the editor's messages are written and read by Google's go-dap, and
what the editor sees is compared with what it sees of dlv itself."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.support import dap, debuggers, delves, toolchains
from tests.support.dap import Editor
from tests.support.delves import Dlv
from tests.support.fake_server import serving
from tests.support.toolchains import ROOT, Row
from tests.support.windows import environment, headless, of_session

ADAPTER = ROOT / "bin" / "dlv-hmap"
#: The line of the module's program that puts an entry into a map.
PUTS = 6
EDITS = {"adapterID": "go", "linesStartAt1": True, "columnsStartAt1": True, "pathFormat": "path"}
#: A program of the old Delve's has a newer Go than it knows.
ANY_GO = "--check-go-version=false"


class Session:
    """One adapter and the editor that has started it."""

    def __init__(self, dlv: Dlv, go: Row, program: Path, cwd: Path, flags: Sequence[str]) -> None:
        self.log, write = os.pipe()
        self.adapter = subprocess.Popen(
            [str(program), "dap", f"--log-dest={write}", ANY_GO, *flags],
            cwd=cwd,
            env=environment_of(dlv, go),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[write],
            start_new_session=True,
        )
        os.close(write)
        self.where = self.listening()
        self.client = subprocess.Popen([str(dap.go_dap()), "connect", self.where], stdin=-1, stdout=-1, bufsize=0)
        self.editor = dap.over_go_dap(self.client)

    def listening(self) -> str:
        said = b""
        while (found := re.search(rb"DAP server listening at: (\S+)\n", said)) is None:
            assert select.select([self.log], [], [], 30)[0]
            data = os.read(self.log, 1 << 16)
            assert data, f"it has ended: {said!r}"
            said += data
        return found.group(1).decode()

    def end(self) -> str:
        """What it printed, when it has ended by itself and left no process behind."""
        assert self.client.stdin is not None and self.client.stdout is not None
        printed, _ = self.adapter.communicate(timeout=60)
        for stream in (self.client.stdin, self.client.stdout):
            with suppress(OSError):
                stream.close()
        self.client.wait(30)
        os.close(self.log)
        waits_until(lambda: not of_session(self.adapter.pid))
        return printed.decode()


def environment_of(dlv: Dlv, go: Row) -> dict[str, str]:
    """With the row's go command first, which dlv builds with."""
    go_command = toolchains.ensure(go)
    path = f"{go_command.parent}:{os.environ['PATH']}"
    own = environment(dlv.path, GOMAP_PYTHON=sys.executable, PATH=path)
    return {**toolchains._environment(go), **{k: own[k] for k in ("GOMAP_DLV", "GOMAP_TRUTH", "GOMAP_PYTHON", "PATH")}}


def waits_until(condition: Any) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@contextmanager
def session(
    dlv: Dlv,
    go: Row,
    cwd: Path,
    *flags: str,
    program: Path = ADAPTER,
) -> Iterator[tuple[Session, Editor]]:
    opened = Session(dlv, go, program, cwd, flags)
    try:
        yield opened, opened.editor
    finally:
        if opened.adapter.poll() is None:
            with suppress(OSError):
                os.killpg(opened.adapter.pid, signal.SIGKILL)
        opened.client.kill()


def hmap(editor: Editor, line: str, frame: int | None = None, context: str = "repl") -> Any:
    """The answer to a line at the editor's prompt, or why there is none."""
    given = {"expression": line, "context": context, **({} if frame is None else {"frameId": frame})}
    message = editor.reply("evaluate", **given)
    return message["body"]["result"] if message["success"] else message["body"]["error"]["format"]


def begin(editor: Editor, breakpoints: Mapping[str, Any] | None, request: str = "launch", **arguments: Any) -> None:
    """Up to configurationDone, as editors do it."""
    assert editor.get("initialize", **EDITS)["supportsCompletionsRequest"] is True
    editor.ask(request, **arguments)
    editor.wait("event", "initialized")
    if breakpoints is not None:
        made = editor.get("setBreakpoints", **breakpoints)["breakpoints"]
        assert [one["verified"] for one in made] == [True]
    editor.get("configurationDone")


def at_line(folder: Path, line: int = PUTS, **more: Any) -> dict[str, Any]:
    return {"source": {"path": str(folder / "main.go")}, "breakpoints": [{"line": line, **more}]}


def stopped(editor: Editor) -> tuple[int, list[dict[str, Any]]]:
    """The thread that the next stop is of, and its frames."""
    thread: int = editor.wait("event", "stopped")["threadId"]
    return thread, editor.get("stackTrace", threadId=thread, startFrame=0, levels=20)["stackFrames"]


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


def build_module(go: Row, folder: Path) -> None:
    command = [str(toolchains.ensure(go)), "build", "-gcflags=all=-N -l", "-o", "fills", "."]
    subprocess.run(command, cwd=folder, env=toolchains._environment(go), check=True, stdin=subprocess.DEVNULL)


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


# -- as dlv does it ------------------------------------------------------------------------------------------------


def recorded(opened: Session, editor: Editor, folder: Path, **arguments: Any) -> list[str]:
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


def told_of(opened: Session, editor: Editor) -> list[str]:
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


# -- programs that run already -------------------------------------------------------------------------------------


@contextmanager
def running(spinning: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([str(spinning)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "running\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def goes_on(process: subprocess.Popen[str]) -> bool:
    """Whether it runs, and nothing traces it."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(re.search(r"^TracerPid:\t0$", status, re.M) and re.search(r"^State:\t[RS]", status, re.M))


@pytest.mark.parametrize("leaves", ["while it runs", "while it is stopped", "without a word", "and kills it"])
def test_attaches(dlv: Dlv, system_go: Row, spinning: Path, leaves: str, tmp_path: Path) -> None:
    with running(spinning) as process, session(dlv, system_go, tmp_path) as (opened, editor):
        begin(editor, None, "attach", mode="local", processId=process.pid)
        assert "the program is running" in hmap(editor, "hmap-show main.Counts")
        editor.ask("pause", threadId=1)
        thread = editor.wait("event", "stopped").get("threadId", 1)
        assert "map[int]int  main.Counts" in hmap(editor, "hmap-show main.Counts")
        offered = editor.get("completions", text="hmap-show main.C", column=17)["targets"]
        assert [one["text"] for one in offered] == ["main.Counts"]
        if leaves != "while it is stopped":
            editor.get("continue", threadId=thread)
        if leaves == "without a word":
            assert opened.client.stdin is not None
            opened.client.stdin.close()
        else:
            editor.get("disconnect", terminateDebuggee=leaves == "and kills it")
        opened.end()
        if leaves == "and kills it":
            assert process.wait(30) < 0
        else:
            waits_until(lambda: goes_on(process))


def test_attaches_to_a_server(dlv: Dlv, system_go: Row, module: Path) -> None:
    """Several sessions at one server, whose program stays; and a server that takes an editor alone."""
    build_module(system_go, module)
    with headless(dlv, module / "fills") as where:
        place = {"mode": "remote", "host": where.host, "port": where.port}
        for n in (2, 4):
            with session(dlv, system_go, module) as (opened, editor):
                begin(editor, at_line(module, condition=f"n == {n}"), "attach", **place)
                _, frames = stopped(editor)
                assert f"{n} entries" in hmap(editor, "hmap-show m", frames[0]["id"])
                editor.get("disconnect", terminateDebuggee=False)
                opened.end()
    command = [str(dlv.path), "exec", "fills", "--headless", "--listen=127.0.0.1:0"]
    with subprocess.Popen(command, cwd=module, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        where_alone = server.stdout.readline().split()[-1]
        with session(dlv, system_go, module, f"--connect={where_alone}") as (opened, editor):
            begin(editor, at_line(module), "attach", mode="remote")
            _, frames = stopped(editor)
            assert "--accept-multiclient" in hmap(editor, "hmap-show m")
            assert hmap(editor, "len(m)", frames[0]["id"]) == "0"
            editor.get("disconnect", terminateDebuggee=True)
            opened.end()
    with session(dlv, system_go, module, f"--connect={where_alone}") as (opened, editor):
        editor.get("initialize", **EDITS)
        assert "no Delve server answers" in editor.reply("attach", mode="remote")["message"]
        editor.get("disconnect")
        opened.end()


def test_looks_at_a_core_file(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """With the program that it is of; with another one gomap has no part in it."""
    binary = toolchains.build("basic", system_go, optimised=False)
    other = toolchains.build("basic", system_go, optimised=True)
    core = debuggers.make_core(binary, "start")
    counts = {path: one["len"] for path, one in core.truth["start"]["maps"].items()}
    for program in (binary, other):
        with session(dlv, system_go, tmp_path) as (opened, editor):
            begin(editor, None, mode="core", program=str(program), coreFilePath=str(core.path), stopOnEntry=True)
            shown = hmap(editor, "hmap-show main.Keep.Words --json")
            if program == binary:
                shown = json.loads(shown)
                assert (shown["target"]["kind"], shown["data"]["count"]) == ("core", counts["main.Keep.Words"])
            else:
                assert "not available in this session" in json.loads(shown)["error"]["message"]
            editor.get("disconnect")
            opened.end()


def test_servers_that_take_no_editor(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """One that is silent, and one that another editor has."""
    with serving({}) as silent, session(dlv, system_go, tmp_path, "--timeout=1") as (opened, editor):
        editor.get("initialize", **EDITS)
        place = {"mode": "remote", "host": silent.address.host, "port": silent.address.port}
        assert "dlv has closed the connection" in editor.reply("attach", **place)["message"]
        with session(dlv, system_go, tmp_path, program=dlv.path) as (other, its):
            host, _, port = other.where.rpartition(":")
            told = editor.reply("attach", mode="remote", host=host, port=int(port))["message"]
            assert "accepts only its editor (DAP)" in told
            its.get("initialize", **EDITS)
            its.get("disconnect")
            other.end()
        editor.get("disconnect")
        opened.end()


# -- sessions that end otherwise -----------------------------------------------------------------------------------


def test_restarts(dlv: Dlv, system_go: Row, module: Path) -> None:
    with session(dlv, system_go, module) as (opened, editor):
        begin(editor, at_line(module, condition="n == 3"), mode="debug", program=".")
        first = editor.wait("event", "stopped")
        assert "3 entries" in hmap(editor, "hmap-show m")
        main = module / "main.go"
        main.write_text(main.read_text().replace('"k"', '"again"'))
        editor.ask("restart")
        editor.wait("event", "initialized")
        editor.get("setBreakpoints", **at_line(module, condition="n == 4"))
        editor.get("configurationDone")
        assert editor.wait("event", "stopped")["threadId"] == first["threadId"]
        assert '"again0"' in hmap(editor, "hmap-show m --entries 1")
        editor.get("disconnect")
        opened.end()


@pytest.mark.parametrize("end", ["the editor goes", "a signal", "a kill", "the program is killed", "dlv is killed"])
def test_nothing_is_left(dlv: Dlv, system_go: Row, spinning: Path, end: str, tmp_path: Path) -> None:
    with session(dlv, system_go, tmp_path) as (opened, editor):
        begin(editor, None, mode="exec", program=str(spinning))
        editor.ask("pause", threadId=1)
        thread = editor.wait("event", "stopped").get("threadId", 1)
        pid = next(one["body"]["systemProcessId"] for one in editor.heard if one.get("event") == "process")
        assert "main.Counts" in hmap(editor, "hmap-show main.Counts")
        editor.get("continue", threadId=thread)
        if end == "the editor goes":
            assert opened.client.stdin is not None
            opened.client.stdin.close()
        elif end == "a signal":
            opened.adapter.send_signal(signal.SIGINT)
        elif end == "a kill":
            opened.adapter.kill()
        elif end == "the program is killed":
            os.kill(pid, signal.SIGKILL)
            editor.wait("event", "terminated")
            assert "hmap-show: " in hmap(editor, "hmap-show main.Counts")
            editor.get("disconnect")
        else:
            os.kill(int(re.findall(r"TracerPid:\t(\d+)", Path(f"/proc/{pid}/status").read_text())[0]), signal.SIGKILL)
        opened.end()
        waits_until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_build_is_given_up(dlv: Dlv, system_go: Row, module: Path) -> None:
    script = module / "go"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    with session(dlv, system_go, module) as (opened, editor):
        editor.get("initialize", **EDITS)
        editor.ask("launch", mode="debug", program=".", env={"PATH": str(module) + ":/usr/bin:/bin"})
        editor.wait("event", "output")
        waits_until(lambda: b"sleep" in [_name(pid) for pid in of_session(opened.adapter.pid)])
        editor.ask("disconnect")
        editor.drain()
        assert [one["command"] for one in editor.heard if one["type"] == "response"][-1] == "disconnect"
        opened.end()


def _name(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_bytes().strip()
    return b""


def test_connect_names_it_where_nothing_answers() -> None:
    """A server of another machine says nothing of itself."""
    with serving({"SetApiVersion": lambda request: None}) as server:
        run = subprocess.Popen(
            [str(ADAPTER), "connect", str(server.address), "--timeout", "4", "-c", "hmap-top"],
            env={**os.environ, "GOMAP_PYTHON": sys.executable},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert run.stderr is not None
        hint, problem = run.stderr.read().splitlines()
        assert run.wait(30) == 1
        assert "accepts only its editor (DAP)" in hint and "dlv-hmap dap" in hint
        assert "has not answered for 4 seconds" in problem


def test_connect_names_it(dlv: Dlv, system_go: Row, module: Path) -> None:
    """An editor's own server has no second client: that is told at once, and the editor's session is not harmed."""
    for program in (dlv.path, ADAPTER):
        with session(dlv, system_go, module, program=program) as (opened, editor):
            editor.get("initialize", **EDITS)
            for more in ([], ["-c", "hmap-show m"]):
                started = time.monotonic()
                run = subprocess.run(
                    [str(ADAPTER), "connect", opened.where, *more],
                    env=environment_of(dlv, system_go),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                assert run.returncode == 1 and run.stdout == "" and run.stderr.count("\n") == 1
                assert "accepts only its editor (DAP)" in run.stderr and "dlv-hmap dap" in run.stderr
                # It takes no 2 seconds; a busy machine is given more, but less than waiting for an answer would take.
                assert time.monotonic() - started < 10
            editor.ask("launch", mode="debug", program=".", stopOnEntry=True)
            editor.wait("event", "initialized")
            editor.get("disconnect")
            opened.end()
