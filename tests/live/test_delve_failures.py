"""What goes wrong between the bridge and a server: one clear line each, and nothing is left behind."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from delve_bridge import main, moves, rpc
from delve_bridge.console import Console
from delve_bridge.memory import RpcMemory
from delve_bridge.rpc import Client, ConnectionLost, NoAnswer, NotDelve, Refused
from delve_bridge.server import Server
from delve_bridge.session import Session
from gomap.errors import MemoryFault, NoProcess, UsageError
from gomap.render.text import Style
from tests.support import debuggers, delves, toolchains
from tests.support.delves import Dlv
from tests.support.fake_server import HANG_UP, POLITE, FakeServer, Refusal, response, serving
from tests.support.toolchains import Row
from tests.support.windows import bridge_command, environment, left_of

Request = Mapping[str, Any]


def console(server: FakeServer, deadline: float = 5) -> Console:
    return Console(Session(Client(server.address, deadline)), Style())


def fails(console_: Console, line: str, *words: str) -> None:
    """One line that has all these words."""
    outcome = console_.execute(line)
    assert outcome.error is not None, outcome.output
    assert "\n" not in outcome.error
    assert "error in gomap" not in outcome.error, outcome.error
    for word in words:
        assert word in outcome.error, outcome.error


# -- connections -------------------------------------------------------------------------------------------


def test_nobody_listens() -> None:
    with serving() as server:
        pass
    with pytest.raises(ConnectionLost, match=f"no Delve server answers at {server.address}"):
        Client(server.address)


@pytest.mark.parametrize("method", ["SetApiVersion", "GetVersion", "State", "Recorded", "Eval"])
def test_server_goes_away(method: str) -> None:
    """At any point: the connection is closed instead of an answer."""
    with serving({method: lambda request: HANG_UP}) as server:
        try:
            session = console(server)
        except ConnectionLost as problem:
            assert method in ("SetApiVersion", "GetVersion")
            assert "has closed the connection" in str(problem)
            return
        fails(session, "hmap-show m", "hmap-show: ", str(server.address), "has closed the connection")
        fails(session, "hmap-show m", "is closed")


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\xff\x00\xff",
        b'{"seq":1}\n',
        b"[1]\n",
        b"{}\n",
        b'{"id":7,"result":0}\n',
    ],
)
def test_garbage(garbage: bytes) -> None:
    told = "does not speak Delve's JSON-RPC"
    with serving(greeting=garbage) as server, pytest.raises(NotDelve, match=told):
        Session(Client(server.address))


def test_half_a_line_and_silence() -> None:
    half = {"GetVersion": lambda request: b'{"id":2,"resu'}
    with serving(half) as server, pytest.raises(NoAnswer, match=r"has not answered for 0\.8 seconds"):
        Session(Client(server.address, deadline=0.8))


def test_wrong_api_version() -> None:
    def refuse(request: Request) -> None:
        raise Refusal("unknown API version")

    refusing = {"SetApiVersion": refuse}
    with serving(refusing) as server, pytest.raises(NotDelve, match="does not offer API version 2"):
        Session(Client(server.address))
    old = {"GetVersion": {"APIVersion": 1}}
    with serving(old) as server, pytest.raises(NotDelve, match="speaks API version 1, and gomap needs 2"):
        Session(Client(server.address))


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "localhost:x", "localhost:70000", "unix:"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(UsageError):
        rpc.address(text)


@pytest.mark.parametrize(
    ("peer", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:127.1.2.3", True),
        ("::1%lo", True),
        ("10.0.0.1", False),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("1.127.0.1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("::", False),
        ("2001:db8::127", False),
    ],
)
def test_who_is_on_this_machine(peer: str, here: bool) -> None:
    with mock.patch("socket.getaddrinfo", return_value=[(socket.AF_INET, socket.SOCK_STREAM, 6, "", (peer, 4040))]):
        assert rpc.ServerAddress("somewhere", 4040).is_here() is here


def test_names_of_this_machine(tmp_path: Path) -> None:
    """By the address that was connected to, whatever name was given."""
    for family, bound, names in (
        (socket.AF_INET, "127.0.0.1", ("localhost", "127.0.0.1", "")),
        (socket.AF_INET, "127.0.0.2", ("127.0.0.2",)),
        (socket.AF_INET6, "::1", ("[::1]",)),
        (socket.AF_UNIX, str(tmp_path / "socket"), ()),
    ):
        with socket.socket(family) as listener:
            try:
                listener.bind(bound if family == socket.AF_UNIX else (bound, 0))
            except OSError:
                assert family == socket.AF_INET6  # not every machine has it
                continue
            listener.listen()
            port = listener.getsockname()[1]
            for text in [f"{name}:{port}" for name in names] or [f"unix:{bound}"]:
                client = Client(rpc.address(text))
                assert client.loopback
                client.close()


def test_addresses() -> None:
    assert rpc.address(":4040") == rpc.ServerAddress("127.0.0.1", 4040)
    assert str(rpc.address("[::1]:4040")) == "[::1]:4040"
    assert rpc.address("unix:/tmp/s").path == "/tmp/s"


# -- time --------------------------------------------------------------------------------------------------


def test_slow_server() -> None:
    """A request that takes too long is given up. Its answer comes later, and is not taken for another's."""
    late = threading.Event()

    def eval_(request: Request) -> Any:
        if request["params"][0]["Expr"] == "slow":
            late.wait(10)
            return {"Variable": "late"}
        return {"Variable": request["params"][0]["Expr"]}

    with serving({"Eval": eval_}) as server:
        client = Client(server.address, deadline=0.8)
        with pytest.raises(NoAnswer):
            client.call("Eval", Expr="slow")
        late.set()
        assert client.call("Eval", 5.0, Expr="next") == {"Variable": "next"}


def test_silent_server() -> None:
    """A command waits for it once, and what needs no server does not wait."""
    silent = threading.Event()

    def state(request: Request) -> Any:
        return None if silent.is_set() else POLITE["State"]

    with serving({"State": state}) as server:
        session = console(server)
        session.session.stopped()
        session.session.client.deadline = 0.8
        silent.set()

        def asked() -> int:
            """Without those of a second connection, which asks where a busy machine made the wait a long one."""
            return sum(request["connection"] == 1 for request in server.requests)

        before = asked()
        assert "Usage: hmap-show" in session.execute("help hmap-show").output
        assert asked() == before
        outcomes = [session.execute(line) for line in ("hmap-show m", "frame 1", "hmap-show m --json")]
        assert asked() == before + 3
    assert json.loads(outcomes[2].output)["error"]["code"] == "no-answer"
    for outcome in outcomes:
        assert re.fullmatch(
            r"(hmap-show|frame): the Delve server at \S+ has not answered for 0.8 seconds", str(outcome.error)
        )


def test_pipelined_answers_keep_their_places() -> None:
    def eval_(request: Request) -> Any:
        number = request["params"][0]["Expr"]
        if number % 7 == 0:
            raise Refusal(f"no {number}")
        return {"Variable": number}

    with serving({"Eval": eval_}) as server:
        results = Client(server.address).calls([("Eval", {"Expr": i}) for i in range(500)])
    for i, result in enumerate(results):
        if i % 7 == 0:
            assert isinstance(result, Refused)
            assert str(result) == f"no {i}"
        else:
            assert result == {"Variable": i}


def test_answers_in_any_order() -> None:
    """Delve answers Command when the program stops, and others meanwhile."""
    held: list[Request] = []

    def eval_(request: Request) -> Any:
        held.append(request)
        if len(held) < 3:
            return None
        return b"".join(response(one, {"Variable": one["params"][0]["Expr"]}) for one in reversed(held))

    with serving({"Eval": eval_}) as server:
        results = Client(server.address).calls([("Eval", {"Expr": i}) for i in range(3)])
    assert results == [{"Variable": i} for i in range(3)]


# -- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1000, 4096, 65536, 1 << 20])
def test_memory_in_pieces_that_the_server_gives(limit: int) -> None:
    memory = bytes(range(256)) * 2000

    def examine(request: Request) -> Any:
        address, length = request["params"][0]["Address"], request["params"][0]["Length"]
        if length > limit:
            raise Refusal(f"len must be less than or equal to {limit}")
        if address + length > len(memory):
            raise Refusal("input/output error")
        return {"Mem": base64.b64encode(memory[address : address + length]).decode(), "IsLittleEndian": True}

    with serving({"ExamineMemory": examine}) as server:
        reader = RpcMemory(Client(server.address))
        assert reader.read(3, 200_000) == memory[3:200_003]
        assert reader.read(0, 0) == b""
        assert reader.read(0, len(memory)) == memory
        with pytest.raises(MemoryFault) as fault:
            reader.read(len(memory) - 10, 20)
        assert fault.value.address == len(memory) - 10
        with pytest.raises(MemoryFault):
            reader.read((1 << 64) - 4, 8)
    lengths = {r["params"][0]["Length"] for r in server.requests if r["method"].endswith("ExamineMemory")}
    assert max(length for length in lengths if length <= limit) <= limit


def test_memory_that_comes_short() -> None:
    short = {"ExamineMemory": {"Mem": base64.b64encode(b"abc").decode()}}
    with serving(short) as server, pytest.raises(MemoryFault, match="the server sent 3 bytes"):
        RpcMemory(Client(server.address)).read(0x1000, 4)


# -- the program -------------------------------------------------------------------------------------------


def test_program_is_running() -> None:
    with serving({"State": {"State": {"Running": True}}}) as server:
        session = console(server)
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
        session = console(server)
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
            fails(console(server), "hmap-show m", "has exited with status 3")


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
        session = console(server, deadline=30)
        start = time.monotonic()
        fails(session, "hmap-show m", "running again: another client has resumed it")
        assert time.monotonic() - start < 10
    assert server.connections > 1


def test_resumed_while_news_is_asked() -> None:
    def state(request: Request) -> Any:
        running = {"State": {"Running": True, "currentThread": {"id": 1, "pc": 1}}}
        return running if request["connection"] > 1 else None

    with serving({"State": state}) as server:
        assert delves.news(console(server, deadline=30).session) == "running"


def test_stopped_again_at_the_same_place() -> None:
    """No state tells it of a program that was halted where it waits: what Go's scheduler notes of the time does."""
    clock = [0]
    sched = {"Variable": {"name": "runtime.sched", "addr": 4096}}
    read = {"ExamineMemory": lambda request: {"Mem": base64.b64encode(bytes([*clock] * 24)).decode()}}
    with serving({"Eval": sched, **read}) as server:
        session = console(server)
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
        assert console(server, deadline=30).execute("halt").output.startswith("thread 1 in ")
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


def test_warning_of_what_is_in_the_clear(capsys: pytest.CaptureFixture[str], signals_kept: None) -> None:
    """One line for a TCP address that is not loopback, and none for one that is."""
    with serving({"State": {"State": {"Running": True}}}) as server:
        command = ["connect", str(server.address), "-c", "hmap-show m"]
        assert main.main(command) == 1
        assert "warning" not in capsys.readouterr().err
        with mock.patch.object(rpc.ServerAddress, "is_here", lambda address: False):
            assert main.main(command) == 1
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {server.address} has no password and no encryption")
    assert error.startswith("hmap-show: the program is running")


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
