"""Connections to a Delve server, good and bad: who is there, what takes its time, memory in pieces."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from delve_bridge import main, rpc
from delve_bridge.memory import RpcMemory
from delve_bridge.rpc import Client, ConnectionLost, NoAnswer, NotDelve, Refused
from delve_bridge.session import Session
from gomap.errors import MemoryFault, UsageError
from tests.support.fake_server import (
    HANG_UP,
    POLITE,
    Refusal,
    Request,
    console_of,
    fails,
    response,
    serving,
)

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
            session = console_of(server)
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
        session = console_of(server)
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
    """Delve answers Command only when the program stops, and other requests before that."""
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
