"""What goes wrong between the bridge and a server: one clear line each, and nothing is left behind."""

from __future__ import annotations

import base64
import gzip
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from delve_bridge import main, moves, rpc
from delve_bridge.console import Console
from delve_bridge.memory import RpcMemory
from delve_bridge.rpc import Client
from delve_bridge.server import Server
from delve_bridge.session import Session
from gomap.errors import MemoryFault, NoProcess
from gomap.render.text import Style
from tests.support import debuggers, delves, toolchains
from tests.support.delves import Dlv
from tests.support.fake_server import (
    POLITE,
    Refusal,
    Request,
    console_of,
    fails,
    serving,
)
from tests.support.toolchains import Row
from tests.support.windows import bridge_command, environment, left_of

# -- the program -------------------------------------------------------------------------------------------


def test_program_is_running() -> None:
    with serving({"State": {"State": {"Running": True}}}) as server:
        session = console_of(server)
        fails(session, "hmap-show m", "the program is running: stop it first")
        fails(session, "frame 1", "the program is running")
        assert delves.news(session.session) == "running"


def told_to_run() -> Callable[[Request], Any]:
    """Two times of three, as Delve does for a moment while another client selects a goroutine."""
    looks = itertools.count()
    return lambda request: {"State": {"Running": True}} if next(looks) % 3 < 2 else POLITE["State"]


def test_told_to_run_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is refused, and a stopped program is sent no halt, which it would take for its next start."""
    monkeypatch.setattr(rpc, "MOMENT", 30)
    with serving({"State": told_to_run(), "ClearBreakpoint": {}}) as server:
        session = console_of(server)
        assert delves.news(session.session) == ""
        assert session.execute("clear 1").output == "breakpoint 1 is gone\n"
        assert session.execute("halt").output == "thread 1 in ?\n"
    assert not any(request["method"] == "RPCServer.Command" for request in server.requests)


def test_let_go_when_told_to_run_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "MOMENT", 30)
    script = tmp_path / "dlv"
    script.write_text("#!/bin/sh\nexec sleep 100\n")
    script.chmod(0o755)
    monkeypatch.setenv("GOMAP_DLV", str(script))
    process = subprocess.Popen(["sleep", "100"])
    try:
        dlv = Server(["attach", str(process.pid)], lambda number, data: None)

        def detach(request: Request) -> Any:
            os.kill(dlv.pid, signal.SIGTERM)
            return {}

        with serving({"State": told_to_run(), "Detach": detach}) as server:
            client = Client(server.address)
            dlv.end(client)
            client.close()
        assert [request["method"] for request in server.requests] == [*["RPCServer.State"] * 3, "RPCServer.Detach"]
    finally:
        process.kill()
        process.wait()


def test_program_has_exited() -> None:
    def refuse(request: Request) -> None:
        raise Refusal("Process 42 has exited with status 3")

    for answer in (refuse, {"State": {"exited": True, "exitStatus": 3}}):
        with serving({"State": answer}) as server:
            fails(console_of(server), "hmap-show m", "has exited with status 3")


@pytest.mark.parametrize(
    "refusal, raised",
    [
        ("Process 42 has exited with status 0", NoProcess),
        ("no such process", NoProcess),
        ("input/output error", MemoryFault),
    ],
)
def test_ended_in_mid_command(refusal: str, raised: type[Exception]) -> None:
    """One line, and not one for each map that can't be read any more."""

    def refuse(request: Request) -> None:
        raise Refusal(refusal)

    with serving({"ExamineMemory": refuse}) as server, pytest.raises(raised):
        RpcMemory(Client(server.address)).read(4096, 8)


def test_resumed_in_mid_command() -> None:
    """The server answers nothing but State then, to a second connection: the first waits for its answer."""

    def state(request: Request) -> Any:
        return {"State": {"Running": request["connection"] > 1, "currentThread": {"id": 1, "pc": 1}}}

    with serving({"State": state, "Eval": lambda request: None}) as server:
        session = console_of(server, deadline=30)
        start = time.monotonic()
        fails(session, "hmap-show m", "running again: another client has resumed it")
        assert time.monotonic() - start < 10
    assert server.connections > 1


def test_resumed_while_news_is_asked() -> None:
    def state(request: Request) -> Any:
        running = {"State": {"Running": True, "currentThread": {"id": 1, "pc": 1}}}
        return running if request["connection"] > 1 else None

    with serving({"State": state}) as server:
        assert delves.news(console_of(server, deadline=30).session) == "running"


def test_stopped_again_at_the_same_place() -> None:
    """No state tells it of a program that was halted where it waits: what Go's scheduler notes of the time does."""
    clock = [0]
    sched = {"Variable": {"name": "runtime.sched", "addr": 4096}}
    read = {"ExamineMemory": lambda request: {"Mem": base64.b64encode(bytes([*clock] * 24)).decode()}}
    with serving({"Eval": sched, **read}) as server:
        session = console_of(server)
        session.session.stopped()
        assert delves.news(session.session) == ""
        clock[0] += 1
        assert delves.news(session.session) == "moved"
        assert delves.news(session.session) == ""


def test_another_client(dlv: Dlv, system_go: Row) -> None:
    """One server, two clients: each is told what the other did to the program, which stops at one place each time."""
    binary = toolchains.build("growth", system_go, optimised=False)
    with delves.bridge(dlv, ["exec", str(binary)]) as first:
        moves.set_breakpoint(first, "main.stop")
        moves.resume(first, "continue")
        mine = Console(first, Style())
        assert mine.execute("hmap-show main.Keep.Ints --json").error is None
        assert delves.news(first) == ""
        second = Session(Client(first.client.where))
        for _ in range(2):  # runtime.Breakpoint stops it too
            moves.resume(second, "continue")
        assert delves.news(first) == "moved"
        theirs = Console(second, Style()).execute("hmap-show main.Keep.Ints --json").output
        assert mine.execute("hmap-show main.Keep.Ints --json").output == theirs
        while True:
            try:
                moves.resume(second, "continue")
            except NoProcess:
                break
        fails(mine, "hmap-show main.Keep.Ints", "has exited with status 0")
        fails(mine, "continue", "has exited with status 0")
        second.client.close()


def test_halt_that_came_too_early() -> None:
    """Delve forgets one that it gets before it lets the program run, and its connection hears nothing until the program
    has stopped: it is made again over others, and none of them is left to be carried out later."""
    stopped = threading.Event()
    halts: list[int] = []
    carried_out: list[int] = []

    def command(request: Request) -> Any:
        halts.append(request["connection"])
        if len(halts) == 3:
            stopped.set()
        assert stopped.wait(30)
        carried_out.append(request["connection"])
        return state(request)

    def state(request: Request) -> Any:
        running = len(carried_out) < len(halts) or not stopped.is_set()
        return {"State": {"Running": running, "currentThread": {"id": 1, "pc": 1}}}

    with serving({"Command": command, "State": state}) as server:
        assert console_of(server, deadline=30).execute("halt").output.startswith("thread 1 in ")
    assert sorted(carried_out) == sorted(set(halts)) and len(halts) == 3


def test_halt_what_another_client_resumed(dlv: Dlv, spinning: Path) -> None:
    with delves.bridge(dlv, ["exec", str(spinning)]) as first:
        mine = Console(first, Style())
        assert mine.execute("break main.main").error is None
        delves.run_to_first_stop(first)
        assert mine.execute("clear 1").error is None
        second = Client(first.client.where)
        running = threading.Thread(target=lambda: second.call("Command", None, name="continue"))
        running.start()
        while delves.news(first) != "running":
            assert running.is_alive()
        fails(mine, "hmap-show main.Counts", "the program is running")
        assert re.match(r"(goroutine|thread) \d+ in ", mine.execute("halt").output)
        running.join(30)
        assert not running.is_alive()
        assert "map[int]int  main.Counts" in mine.execute("hmap-show main.Counts").output
        second.close()


# -- memory that is not to be had past Delve -----------------------------------------------------------------


@contextmanager
def ways_of_reading() -> Iterator[list[bool]]:
    """Of each run of the program: whether it read memory past Delve."""
    found: list[bool] = []
    close = Session.close_memory

    def noted(session: Session) -> None:
        found.append(session.direct)
        close(session)

    with mock.patch.object(Session, "close_memory", noted):
        yield found


QUESTIONS = ("-c", "hmap-show main.Keep.M --json --entries 3", "-c", "hmap-check --all --json")


@contextmanager
def told_pid(pid: int) -> Iterator[None]:
    """A server that names this process."""
    call = Client.call

    def patched(client: Client, method: str, *rest: Any, **arguments: Any) -> Any:
        return {"Pid": pid} if method == "ProcessPid" else call(client, method, *rest, **arguments)

    with mock.patch.object(Client, "call", patched):
        yield


def test_process_memory_is_refused(
    dlv: Dlv, system_go: Row, capsys: pytest.CaptureFixture[str], signals_kept: None
) -> None:
    """Delve is asked then, without a word, and the answers are the same."""
    binary = toolchains.build("basic", system_go, optimised=False)
    with delves.bridge(dlv, ["exec", str(binary)]) as bridge, delves.bridge(dlv, ["exec", str(binary)]) as twin:
        delves.run_to_first_stop(bridge)
        delves.run_to_first_stop(twin)

        def asked(*options: str) -> tuple[bool, str]:
            with ways_of_reading() as ways:
                status = main.main(["connect", str(bridge.client.where), *options, *QUESTIONS])
            said = capsys.readouterr()
            assert (status, said.err) == (0, "")
            return ways[-1], said.out

        direct, answer = asked()
        assert direct
        assert answer.count('"gomap/1"') == 2
        assert asked("--no-direct") == (False, answer)
        with mock.patch("delve_bridge.build.ProcessMemory", side_effect=PermissionError(13, "Permission denied")):
            assert asked() == (False, answer)
        # A process id of a container or of another machine: here nobody has it, or the same program started again.
        for pid in (4194303, os.getpid(), twin.client.call("ProcessPid")["Pid"]):
            with told_pid(pid):
                assert asked() == (False, answer), pid
        assert asked() == (True, answer)


def test_core_that_this_side_does_not_have(
    dlv: Dlv,
    system_go: Row,
    capsys: pytest.CaptureFixture[str],
    signals_kept: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GOMAP_DLV", str(dlv.path))
    binary = toolchains.build("basic", system_go, optimised=False)
    core = debuggers.make_core(binary, "start").path

    def asked(*arguments: str) -> tuple[bool, str]:
        with ways_of_reading() as ways:
            status = main.main([*arguments, *QUESTIONS])
        said = capsys.readouterr()
        assert (status, said.err) == (0, "")
        return ways[-1], said.out

    direct, answer = asked("core", str(binary), str(core))
    assert direct
    assert asked("core", "--no-direct", str(binary), str(core)) == (False, answer)
    no_core = tmp_path / "text"
    no_core.write_text("no core")
    with delves.bridge(dlv, ["core", str(binary), str(core)]) as bridge:
        assert asked("connect", str(bridge.client.where)) == (False, answer)
        for path in (tmp_path / "nothing", tmp_path, no_core):
            session = Session(Client(bridge.client.where), core=str(path))
            output = Console(session, Style()).execute(QUESTIONS[1]).output
            assert (session.direct, output) == (False, answer.splitlines(keepends=True)[0]), path
            session.client.close()


# -- one-shot use ------------------------------------------------------------------------------------------


def test_exec_answers_and_leaves_nothing(recorded_dlv: tuple[Path, Path], system_go: Row) -> None:
    script, pid = recorded_dlv
    binary = toolchains.build("basic", system_go, optimised=False)
    commands = ["-c", "hmap-show m --json", "-c", " ", "-c", "hmap-show nosuch --json"]
    run = subprocess.run(
        bridge_command("exec", str(binary), "--break", "main.stop", *commands),
        env=environment(script),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    first, second = run.stdout.splitlines()
    assert '"count": 1000' in first
    assert '"no-such-variable"' in second
    assert run.returncode == 1
    assert "hmap-show: no variable 'nosuch'" in run.stderr and "no such command" not in run.stderr
    assert left_of(pid) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_terminated_and_nothing_left(number: signal.Signals, recorded_dlv: tuple[Path, Path], spinning: Path) -> None:
    """While it waits for the program. SIGQUIT is Ctrl-\\ in a terminal."""
    script, pid = recorded_dlv
    process = subprocess.Popen(
        bridge_command("exec", str(spinning), "-c", "continue"),
        env=environment(script),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == "running\n":
            break
    assert left_of(pid) != []
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert left_of(pid) == []


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["exec", "/nowhere/at/all"], "no such file"),
        (["exec", __file__], "dlv: "),
        (["attach", "4194300"], "dlv: could not attach"),
        (["core", sys.executable, "/nowhere"], "no such file"),
        (["core", sys.executable, __file__], "is not a core file: it is not an ELF file"),
        (["connect", "127.0.0.1:1"], "no Delve server answers"),
        (["connect", "nonsense"], "is not an address"),
        (["exec", sys.executable], "hmap-show: no Go debug information"),
    ],
)
def test_one_line_of_what_is_wrong(arguments: list[str], told: str, recorded_dlv: tuple[Path, Path]) -> None:
    script, pid = recorded_dlv
    run = subprocess.run(
        bridge_command(*arguments, "-c", "hmap-show m"),
        env=environment(script),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert told in run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    if pid.exists():
        assert left_of(pid) == []


def test_why_dlv_ended(tmp_path: Path) -> None:
    """It listens before it looks at the program; what it says of that can be read before that it listens."""
    script = tmp_path / "dlv"
    why, listens = "could not attach to pid 7: no such process", "API server listening at: 127.0.0.1:1"
    for said, told in ((f"{why}\n{listens}", why), (f"{listens}\n{why}", why), (listens, "ended with status 1")):
        script.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
        script.chmod(0o755)
        command = bridge_command("attach", "4194300", "-c", "hmap-show m")
        run = subprocess.run(command, env=environment(script), capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stdout) == (1, "")
        assert run.stderr.startswith(f"dlv-hmap: dlv: {told}")


def test_no_dlv(tmp_path: Path) -> None:
    run = subprocess.run(
        bridge_command("exec", sys.executable, "-c", "hmap-show m"),
        env=environment(tmp_path / "missing"),
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"dlv-hmap: GOMAP_DLV is {tmp_path / 'missing'}, which is not an executable\n"


# -- core files --------------------------------------------------------------------------------------------


def test_cores_that_do_not_do(recorded_dlv: tuple[Path, Path], system_go: Row, tmp_path: Path) -> None:
    script, pid = recorded_dlv
    binary = toolchains.build("basic", system_go, optimised=False)
    other = toolchains.build("alias", system_go, optimised=False)
    core = debuggers.make_core(binary, "start").path
    packed, short = tmp_path / "core.gz", tmp_path / "short"
    with gzip.open(packed, "wb") as file:
        file.write(core.read_bytes()[:4096])
    with core.open("rb") as whole:
        short.write_bytes(whole.read(core.stat().st_size // 2))

    def told(program: Path, file: Path) -> list[str]:
        run = subprocess.run(
            bridge_command("core", str(program), str(file), "-c", "hmap-show main.Keep.M"),
            env=environment(script),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == (0 if run.stdout else 1)
        return [*run.stdout.splitlines()[:1], *run.stderr.splitlines()]

    assert told(binary, core)[0].startswith("map[int]int  main.Keep.M  0x")
    assert left_of(pid) == []
    assert told(other, core) == [f"dlv-hmap: {core} comes from another build of the program than {other}"]
    assert told(binary, packed) == [f"dlv-hmap: {packed} is compressed: unpack it first (gunzip)"]
    *_, warning = [line for line in told(binary, short) if line.startswith("warning")]
    assert warning.startswith(f"warning: {short} is truncated by ")
