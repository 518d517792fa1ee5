"""`dlv-hmap dap`: a debug adapter between an editor and dlv, with gomap's commands in the editor's debug console.

It replaces `dlv dap` and starts one, which answers until the editor launches or attaches. Then the program gets a dlv
whose server has several clients: the editor, whose messages are forwarded unchanged, and gomap's bridge. Requests that
only `dlv dap` can carry out (noDebug, replay), and all failures, are left to `dlv dap`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Callable, NoReturn

from delve_bridge import launch
from delve_bridge.debug_console import Commands, is_ours
from delve_bridge.inside import core_warnings, seconds, taken
from delve_bridge.rpc import DEADLINE, Client, Refused, ServerAddress, address, ended, same_user
from delve_bridge.server import END, LOG, EditorsDlv, NoDelve, OtherMachine, Server, find_dlv
from delve_bridge.wire import Message, Wire, answer, arguments, event, message_of, output, part, replied, started
from delve_bridge.worker import Process
from gomap.errors import GomapError, NoProcess, UsageError
from gomap.human import one_line

#: The number of requests that are not the editor's. Editors do not count as far as this.
OURS = 1 << 30
#: Seconds in which dlv hears that an editor has gone. One that does not know lets the program run on when it is halted.
CLOSES = 0.3
#: Options of `dlv dap` that a server of its own is to have, too.
SHARED = ("--log", "--log-output", "--check-go-version", "--disable-aslr", "--only-same-user")
SERVER = ("--headless", "--accept-multiclient", "--api-version=2", "--listen=127.0.0.1:0")


class Guard:
    """A process that ends what an adapter leaves when it is killed: dlv, and the program that it has launched."""

    def __init__(self) -> None:
        read, self._pipe = os.pipe()
        if os.fork():
            os.close(read)
            return
        try:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.closerange(3, read)
            os.closerange(read + 1, 1 << 10)
            self._wait(read)
        finally:
            os._exit(0)

    def tell(self, *processes: int) -> None:
        """What it is to look after from now on: dlv first."""
        with suppress(OSError):
            os.write(self._pipe, b"%s\n" % " ".join(map(str, processes)).encode())

    @staticmethod
    def _wait(pipe: int) -> None:
        processes: list[Process] = []
        while line := os.read(pipe, 1 << 10):
            processes = [Process(int(pid)) for pid in line.splitlines()[-1].split()]
        time.sleep(CLOSES)
        for number, chosen in ((signal.SIGINT, processes[:1]), (signal.SIGKILL, processes)):
            for process in chosen:
                if process.runs:
                    os.kill(process.pid, number)
            until = time.monotonic() + END
            while any(process.runs for process in chosen) and time.monotonic() < until:
                time.sleep(0.05)


# -- one session ---------------------------------------------------------------------------------------------


class Adapter:
    """editor: its connection. options: what `dlv dap` was given but for the addresses. relay: takes what dlv and the
    program print. remote: the server that a remote attach goes to, by the request's arguments; None for none."""

    def __init__(
        self,
        editor: Wire,
        options: Sequence[str],
        relay: Callable[[int, bytes], None],
        remote: Callable[[Message], ServerAddress | None],
        commands: Commands,
        guard: Guard,
    ) -> None:
        self._editor = editor
        self._options = [word for word in options if word.partition("=")[0] in SHARED]
        self._relay = relay
        self._remote = remote
        self._commands = commands
        self._guard = guard
        self._initialize = b""
        self._completes = False
        self._stacks: dict[int, tuple[Any, Any]] = {}
        self._told: Message | None = None
        #: `dlv dap`, and the dlv whose server has the program, which it has launched or attached to.
        self._front = Server(["dap"], relay, None, EditorsDlv(("--listen=127.0.0.1:0", *options)))
        self._front_wire = Wire(self._front.listens().open(END))
        self._server: Server | None = None
        self._launched = False
        #: Where the editor's messages go. While that is being changed it is None, and they wait.
        self._wire: Wire | None = self._front_wire
        self._held: list[bytes] = []
        self._lock = threading.Lock()
        self._leaving = self._disconnected = False
        #: Whether the editor has asked for a stop that it has not been told of.
        self._pausing = False

    def run(self) -> None:
        """Until the editor or dlv ends the session. Raises OSError."""
        self._front.relay()
        self._listen(self._front_wire)
        while (body := self._editor.receive()) is not None:
            self._from_editor(body)

    # -- messages --------------------------------------------------------------------------------------------

    def _from_editor(self, body: bytes) -> None:
        request = message_of(body)
        if request.get("type") != "request" or not self._taken(request, body):
            self._forward(body)

    def _taken(self, request: Message, body: bytes) -> bool:
        """Whether it is not to go to dlv as it is."""
        command, given = request.get("command"), arguments(request)
        if command == "initialize":
            self._initialize = body
        elif command in ("launch", "attach") and self._wire is self._front_wire:
            return self._begin(request, body)
        elif command == "disconnect":
            return self._disconnect(request)
        elif is_ours(request):
            self._commands.put(request)
            return True
        elif command == "pause":
            if self._commands.pause():
                self._editor.put(answer(request))
                return True
            self._pausing = True
        elif command == "completions" and not self._completes:
            self._editor.put(answer(request, {"targets": []}))
            return True
        elif command == "stackTrace" and isinstance(request.get("seq"), int):
            self._stacks[request["seq"]] = (given.get("threadId"), given.get("startFrame") or 0)
        return False

    def _forward(self, body: bytes) -> None:
        with self._lock:
            if self._wire is None:
                self._held.append(body)
            else:
                with suppress(OSError):
                    self._wire.send(body)

    def _change(self, wire: Wire) -> None:
        """The editor's messages go there from now on, and those that have waited."""
        with self._lock:
            self._wire = wire
            for body in self._held:
                with suppress(OSError):
                    wire.send(body)
            self._held.clear()

    def _listen(self, wire: Wire) -> None:
        """What comes from there goes to the editor."""
        threading.Thread(target=self._hear, args=(wire,), daemon=True).start()

    def _hear(self, wire: Wire) -> None:
        while (body := wire.receive()) is not None and not self._leaving:
            with suppress(OSError):
                self._from_dlv(message_of(body), body)
        if self._wire is wire and not self._leaving:
            self._editor.close()  # dlv has ended the session

    def _from_dlv(self, message: Message, body: bytes) -> None:
        name = message.get("event") or message.get("command")
        if message.get("type") == "event" and name == "stopped":
            self._commands.frames.clear()
            return self._commands.stopped(lambda lines, goes_on: self._stopped(message, body, lines, goes_on))
        elif message.get("type") == "response" and message.get("request_seq") == OURS:
            return
        elif message.get("type") == "event" and name in ("exited", "terminated") and self._server is not None:
            self._server.drain()
        elif name == "output" and self._told is not None and _same_output(message, self._told):
            self._told = None
            return
        elif message.get("type") == "response" and name == "initialize" and message.get("success"):
            can = part(message, "body")
            self._completes = bool(can.get("supportsCompletionsRequest"))
            return self._editor.put({**message, "body": {**can, "supportsCompletionsRequest": True}})
        elif message.get("type") == "response" and name == "stackTrace":
            asked = message.get("request_seq")
            thread, start = self._stacks.pop(asked, (None, 0)) if isinstance(asked, int) else (None, 0)
            if isinstance(thread, int) and isinstance(start, int):
                for level, frame in enumerate(part(message, "body").get("stackFrames") or (), start):
                    self._commands.frames[frame["id"]] = thread, level
        self._editor.send(body)

    def _stopped(self, message: Message, body: bytes, lines: Sequence[str], goes_on: bool) -> None:
        """Tells the editor where the program has stopped; or only the lines, where it is to go on."""
        reason, wire = part(message, "body").get("reason"), self._wire
        goes_on = goes_on and not self._pausing and reason in ("breakpoint", "data breakpoint") and wire is not None
        with suppress(OSError):
            if not goes_on:
                self._pausing = False
                self._editor.send(body)
            for line in lines:
                self._editor.put(output(f"{line}\n"))
            if goes_on and wire is not None:
                wire.put(_request("continue", threadId=part(message, "body").get("threadId")))

    # -- the beginning ---------------------------------------------------------------------------------------

    def _begin(self, request: Message, body: bytes) -> bool:
        """Whether the launch or attach is carried out here."""
        given, launches = arguments(request), request["command"] == "launch"
        if not launches and given.get("mode") == "remote":
            return self._join(request, body, self._remote(given))
        try:
            start = (launch.launch if launches else launch.attach)(given, os.environ)
            if start.program is not None and start.core is not None:
                for warning in core_warnings(start.program, start.core):
                    self._editor.put(output(f"warning: {warning}\n"))
            inside = EditorsDlv((*SERVER, *self._options), start.folder, (1, 2) if start.remote_output else ())
            relay = self._as_events if start.remote_output else self._relay
            server = Server(start.words, relay, start.environment, inside)
        except OtherMachine as error:
            self._editor.put(answer(request, error=one_line(str(error))))
            return True
        except GomapError as error:
            self._commands.why = f"hmap commands are not available in this session: {error}"
            return False
        if start.building is not None:
            self._told = output(f"Building {start.building}\n", "stdout")
            self._editor.put(self._told)
        with self._lock:
            self._wire = None
        self._server, self._launched = server, launches
        self._guard.tell(server.pid)
        threading.Thread(target=self._start, args=(request, body, start, server), daemon=True).start()
        return True

    def _as_events(self, number: int, data: bytes) -> None:
        if number == LOG:
            return self._relay(number, data)
        with suppress(OSError):
            self._editor.put(output(data.decode("utf-8", "replace"), "stdout" if number == 1 else "stderr"))

    def _start(self, request: Message, body: bytes, start: launch.Start, server: Server) -> None:
        """Waits for the server and attaches the editor to it; if it does not start, `dlv dap` gets the request and
        reports why."""
        try:
            where = server.listens(None)
            client = server.connect(DEADLINE)
            try:
                pid = int(client.call("ProcessPid")["Pid"])
                if start.follow is not None:
                    client.call("FollowExec", Enable=True, Regex=start.follow)
            finally:
                client.close()
            wire = self._introduced(where)
            wire.put({**request, "command": "attach", "arguments": launch.as_remote(arguments(request))})
            events, reply = replied(wire, request["seq"])
            if not reply.get("success"):
                raise NoDelve(str(reply.get("message")))
        except (GomapError, OSError) as error:
            self._server = None
            server.end(None)
            self._commands.why = f"hmap commands are not available in this session: {error}"
            if not self._leaving:
                self._held.insert(0, body)
                self._change(self._front_wire)
            return
        if not self._launched:
            server.attached = pid
        elif start.core is None:
            self._guard.tell(server.pid, pid)
        self._told = None
        self._commands.server, self._commands.files = where, (start.program, start.core)
        with suppress(OSError):
            if self._launched and start.core is None:
                self._editor.put(started(pid))
            for one in events:
                if not self._launched or one.get("event") != "capabilities":  # of a server with several clients
                    self._editor.put(one)
            self._editor.put({**reply, "command": request["command"]})
        self._change(wire)
        self._listen(wire)
        self._front_wire.close()

    def _introduced(self, where: ServerAddress) -> Wire:
        """A connection to a dlv that knows what the editor can do. Raises GomapError, OSError."""
        wire = Wire(where.open(END))
        wire.patience(self._commands.timeout)
        wire.send(self._initialize)
        replied(wire, message_of(self._initialize).get("seq"))
        wire.patience(None)
        return wire

    def _join(self, request: Message, body: bytes, where: ServerAddress | None) -> bool:
        """Attaches the editor to a server that has a program."""
        if where is None:
            return False
        try:
            if not where.is_here():
                self._editor.put(output(f"warning: {where.in_the_clear()}\n"))
            where.check()
            wire = self._introduced(where)
        except (GomapError, OSError) as error:
            self._editor.put(answer(request, error=one_line(f"Failed to attach: {error}")))
            return True
        self._commands.server = where
        self._change(wire)
        self._listen(wire)
        self._front_wire.close()
        self._forward(body)
        return True

    # -- the end ---------------------------------------------------------------------------------------------

    def _disconnect(self, request: Message) -> bool:
        """Whether the adapter itself answers the request: those that dlv handles differently with several clients."""
        if self._server is None:
            return False
        if self._wire is None:  # it is being built
            self._leave()
            self._editor.put(answer(request))
            self._editor.put(event("terminated"))
            self._editor.close()
            return True
        given = arguments(request)
        if self._launched or given.get("terminateDebuggee") or self._has_exited():
            self._disconnected = True
            self._forward(json.dumps({**request, "arguments": {**given, "terminateDebuggee": True}}).encode())
            return True
        self._leave()
        self._editor.put(output("Detaching without terminating target process\n"))
        self._editor.put(answer(request))
        self._editor.put(event("terminated"))
        self._editor.close()
        return True

    def _has_exited(self) -> bool:
        assert self._commands.server is not None
        try:
            client = Client(self._commands.server)
        except GomapError:
            return True
        try:
            return bool(client.state().get("exited"))
        except Refused as error:
            return isinstance(ended(error), NoProcess)
        except GomapError:
            return False
        finally:
            client.close()

    def _leave(self) -> None:
        """Ends the dlv that has the program, and the program if it was launched."""
        self._leaving = True
        self._commands.interrupt()
        server, wire = self._server, self._wire
        self._server = None
        if server is None:
            return
        if wire is None:
            server.give_up()
            return server.end(None)
        if not self._launched:
            self._let_go(server, wire)
        else:
            with suppress(OSError):
                wire.put(_request("disconnect", terminateDebuggee=True))
            if server.wait(END) is None:
                server.end(None)
        wire.close()

    def _let_go(self, server: Server, wire: Wire) -> None:
        """Lets the program that was attached to run on without dlv, which must stop it for that."""
        client = None
        try:
            client = server.connect(DEADLINE)
            until = time.monotonic() + END
            while client.state(END).get("Running") and time.monotonic() < until:
                wire.put(_request("pause", threadId=1))  # halted by another client, dlv would let it run on
                time.sleep(0.1)
        except (GomapError, OSError):
            pass
        server.end(client)
        if client is not None:
            client.close()

    def end(self) -> None:
        """Leaves no process behind, however the session has ended."""
        if self._server is not None and not self._disconnected:
            self._leave()
        for wire in (self._wire, self._front_wire, self._editor):
            if wire is not None:
                wire.close()
        for server in (self._server, self._front):
            if server is not None and server.wait(END) is None:
                server.end(None)


def _request(command: str, **arguments: Any) -> Message:
    return {"seq": OURS, "type": "request", "command": command, "arguments": arguments}


def _same_output(one: Message, other: Message) -> bool:
    return bool(part(one, "body").get("output") == part(other, "body").get("output"))


# -- the program ---------------------------------------------------------------------------------------------


def run(words: Sequence[str]) -> int:
    """`dlv-hmap dap`, with the arguments of `dlv dap`. Raises GomapError."""
    valued = dict.fromkeys(("--listen", "-l", "--client-addr", "--log-dest", "--log-output", "--connect"), "")
    left, own = taken(words, {**valued, "--timeout": str(DEADLINE)}, ["--no-direct"])
    if own["--log-output"]:
        left.append(f"--log-output={own['--log-output']}")
    timeout = seconds(own["--timeout"])
    connect = address(own["--connect"]) if own["--connect"] else None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    find_dlv()  # before an editor waits for it
    guard = Guard()
    log = _log(own["--log-dest"])
    listening: ServerAddress | None = None
    if own["--client-addr"]:
        connected: Any = address(own["--client-addr"]).open(DEADLINE, "editor")
    else:
        wanted = address(own["-l"] or own["--listen"] or "127.0.0.1:0", here=True)
        listener = wanted.listen()
        listening = wanted if wanted.path else ServerAddress(*listener.getsockname()[:2])
        if not listening.is_here():
            print(f"warning: {listening.in_the_clear()}", file=sys.stderr)
        place = wanted.path or str(listening)
        (log or sys.stdout.buffer).write(b"DAP server listening at: %s\n" % place.encode())
        (log or sys.stdout.buffer).flush()
        # It keeps listening, as dlv does: later clients get an answer.
        connected, _ = listener.accept()
        if "--only-same-user=false" not in left and not same_user(connected):
            raise GomapError("a connection of another user was refused (--only-same-user)")

    def relay(number: int, data: bytes) -> None:
        with suppress(OSError, ValueError):
            stream = {1: sys.stdout.buffer, 2: sys.stderr.buffer, LOG: log or sys.stderr.buffer}[number]
            stream.write(data)
            stream.flush()

    def remote(given: Message) -> ServerAddress | None:
        """--connect, or where the request says, but for our own port, which an editor may give back."""
        if connect is not None:
            return connect
        port = given.get("port")
        if not isinstance(port, int) or not 0 < port < 65536 or (listening is not None and port == listening.port):
            return None
        return ServerAddress(str(given.get("host") or "127.0.0.1"), port)

    editor = Wire(connected)
    commands = Commands(editor.put, "--no-direct" not in own, timeout)
    adapter = Adapter(editor, left, relay, remote, commands, guard)
    try:
        adapter.run()
    except OSError:
        pass  # the editor has gone
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        adapter.end()
        if listening is not None and listening.path:
            with suppress(OSError):
                os.unlink(listening.path)
    return 0


def _leave(number: int, frame: Any) -> NoReturn:
    raise SystemExit(0)


def _log(destination: str) -> BinaryIO | None:
    """--log-dest: a file descriptor or a file."""
    try:
        if destination.isdecimal():
            return os.fdopen(int(destination), "wb", 0)
        return open(destination, "wb", 0) if destination else None
    except OSError as error:
        raise UsageError(f"--log-dest={destination}: {error.strerror}") from error
