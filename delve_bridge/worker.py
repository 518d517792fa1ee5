"""The worker process of one dlv: it answers the command lines that session.star passes to it.

`dlv-hmap debug` and the like start a worker and become dlv. `dlv-hmap worker` waits for every dlv that sources
gomap.star, and starts a worker for each. A worker is two processes: if the working one is killed, the other unblocks
dlv, which may be waiting for it, and starts a new one.
"""

from __future__ import annotations

import ast
import json
import os
import select
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from delve_bridge.rpc import claim
from delve_bridge.transport import BUSY, PIPES, tell
from gomap.commands import registry
from gomap.errors import GomapError
from gomap.wrap import terminal_width

HERE = Path(__file__).resolve().parent
BOOTSTRAP = HERE / "gomap.star"
CONFIG = "hmap-config"
CONFIG_HELP = """Changes or prints gomap's settings.

\thmap-config [color | entries | depth | debug [VALUE]]

color: auto, on or off. entries: the number of entries that hmap-show lists by default. depth: how many levels of
pointers and elements hmap-alias follows and printed values show. debug: on shows the traceback of an internal
error in gomap."""
SELECTS = """

`goroutine 5 hmap-show m` and `frame 1 hmap-show m` use the selected goroutine
and frame, because dlv does not pass the prefix on. Write hmap-show m
--goroutine 5 or --frame 1 instead."""
#: What the terminal sends. A worker ends when dlv does.
UNHEARD = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU)
#: So many deaths, each within so many seconds of the start, and a worker is not started again.
DEATHS, SOON = 3, 2.0


@dataclass(frozen=True)
class Options:
    """address: where the server listens that dlv is connected to. direct: whether memory may be read past Delve."""

    address: str | None = None
    direct: bool = True
    timeout: float | None = None


class Process:
    """A process by its id and the time of its start."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._started = self._stat()

    def _stat(self) -> str | None:
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]

    @property
    def runs(self) -> bool:
        """Whether the process is still there, and is the same one."""
        return self._started is not None and self._stat() == self._started


# -- one session -------------------------------------------------------------------------------------------


def own_name(*parts: object) -> str:
    """The name by which a script sees in /proc/net/unix whether its worker is there: it goes with the process."""
    return "-".join(map(str, ("gomap-dlv", *parts)))


def prepare(folder: Path, name: str, how: str) -> None:
    """The pipes and the script of a session. how: what restarts the worker when it is gone, for the user to read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for pipe in PIPES:
        os.mkfifo(folder / pipe, 0o600)
    width = terminal_width(1)
    commands = {one.name: one.help(width) + SELECTS for one in registry.COMMANDS}
    commands[CONFIG] = CONFIG_HELP
    short = ", ".join(registry.SHORT)
    what = f"All commands. `hmap show m` is hmap-show m; `hmap aliases` defines {short}."
    commands["hmap"] = f"{what}\n\n{registry.overview(width)}"
    first: dict[str, object] = {"NAME": f"@{name}\n", "FOLDER": str(folder), "HOW": how}
    first.update(COMMANDS=list(commands), SHORT=registry.SHORT)
    lines = [f"{key} = {json.dumps(value)}" for key, value in first.items()]
    lines.append((HERE / "session.star").read_text("utf-8"))
    for command, text in commands.items():
        lines.append(f"def command_{command.replace('-', '_')}(args):")
        lines.append(f"    {json.dumps(text, ensure_ascii=False)}")
        lines.append(f"    hand_over({json.dumps(command)}, args)\n")
    (folder / "session.star").write_text("\n".join(lines), "utf-8")


def guard(folder: Path, name: str, dlv: Process, options: Options, ready: int = -1) -> NoReturn:
    """Keeps a worker at work for as long as dlv runs. ready: a pipe to close once commands may come."""
    claimed = claim(name)
    if ready >= 0:
        os.close(ready)
    # What comes while no worker is there waits for the next one, and dlv's output finds a reader.
    kept = [os.open(folder / pipe, os.O_RDWR | os.O_NONBLOCK) for pipe in ("requests", "results")]
    deaths = 0
    while claimed and dlv.runs and deaths < DEATHS:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            status = 1
            for pipe in kept:
                os.close(pipe)
            try:
                _work(folder, dlv, options)
                status = 0
            finally:
                os._exit(status)
        os.waitpid(child, 0)
        deaths = deaths + 1 if time.monotonic() - started < SOON else 0
        _free(folder, dlv, kept[1])
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _free(folder: Path, dlv: Process, results: int) -> None:
    """Whatever dlv waits for of a worker that is gone, it goes on."""
    said = {
        "beat": b"%d\n" % (1 << 40),
        "calls": b"\n",
        "answer": b"\2gomap's worker was killed: run the command again",
    }
    with foreground(os.getpgrp(), dlv.pid):
        pass  # dlv has the terminal again
    while dlv.runs and (folder / BUSY).exists():
        with suppress(BlockingIOError):
            os.read(results, 1 << 20)
        for name, data in said.items():
            if tell(folder / name, data) and name == "answer":
                (folder / BUSY).unlink()
        time.sleep(0.01)


@contextmanager
def foreground(group: int, dlv: int) -> Iterator[None]:
    """Where dlv has the terminal, a group of processes of its session has it and so gets what Ctrl-C sends: dlv itself
    would ask a user of a server with several clients whether to leave."""
    try:
        before = os.tcgetpgrp(1)
        taken = before in (os.getpgid(dlv), group)
        if taken:
            os.tcsetpgrp(1, group)
    except OSError:
        taken = False
    try:
        yield
    finally:
        if taken:
            with suppress(OSError):
                os.tcsetpgrp(1, os.getpgid(dlv))


def start(folder: Path, name: str, dlv: Process, options: Options) -> None:
    """Starts a worker that is not a child of dlv, and comes back when it is there."""
    ready, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            for number in UNHEARD:
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                os.close(ready)
                _keep_terminal()
                guard(folder, name, dlv, options, there)
        finally:
            os._exit(0)
    os.close(there)
    os.waitpid(child, 0)
    os.read(ready, 1)
    os.close(ready)


def _keep_terminal() -> None:
    """Lets go of standard streams that are not a terminal: a reader of a pipe would wait for this process to end."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        if fd == 0 or not os.isatty(fd):
            os.dup2(null, fd)


def _work(folder: Path, dlv: Process, options: Options) -> None:
    from delve_bridge.prompt import DelvePrompt

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    DelvePrompt(folder, dlv, options).run()


# -- any dlv -----------------------------------------------------------------------------------------------


def daemon() -> int:
    """`dlv-hmap worker`: waits in the background for every dlv of this user's that sources gomap.star."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gomap" / "dlv"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022:
        raise GomapError(f"{folder} is writable by other users: remove it")
    claimed = claim(_daemon_name(folder))
    if claimed is None:
        print(f"a worker is already running; in any dlv: source {BOOTSTRAP}")
        return 0
    for old in folder.iterdir():
        if old.name.isdecimal() and not Process(int(old.name)).runs:
            shutil.rmtree(old, ignore_errors=True)
    for name in ("sessions", "ready"):
        path = folder / name
        if not (path.exists() and stat.S_ISFIFO(path.stat().st_mode)):
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
    sessions = os.open(folder / "sessions", os.O_RDWR | os.O_CLOEXEC)
    child = os.fork()
    if child:
        print(f"worker {child} is running; in any dlv: source {BOOTSTRAP}", flush=True)
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    until = 0.0
    while True:
        soon = time.monotonic() < until
        if select.select([sessions], [], [], 0.02 if soon else None)[0]:
            for line in unquoted(os.read(sessions, 1 << 16)).split():
                with suppress(OSError, ValueError):
                    _adopt(folder, int(line))
            until = time.monotonic() + 5
        tell(folder / "ready", b"\n")  # the script that waits there looks for its worker again


def _daemon_name(folder: Path) -> str:
    return own_name(str(folder)[-80:])


def _adopt(folder: Path, pid: int) -> None:
    """Starts a worker for a dlv that asks for one."""
    if os.stat(f"/proc/{pid}").st_uid != os.getuid():
        return
    own, name = folder / str(pid), f"{_daemon_name(folder)}-{pid}"
    shutil.rmtree(own, ignore_errors=True)
    prepare(own, name, f"dlv-hmap worker in a shell, then: source {BOOTSTRAP}")
    if os.fork() == 0:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            os.environ.clear()
            os.environb.update(one.partition(b"=")[::2] for one in environment if b"=" in one)
            os.chdir(f"/proc/{pid}/cwd")
            _take_terminal(pid)
            guard(own, name, Process(pid), Options())
        finally:
            os._exit(1)


def _take_terminal(pid: int) -> None:
    """Standard output becomes dlv's, if that is a terminal."""
    with suppress(OSError):
        terminal = os.open(f"/proc/{pid}/fd/1", os.O_RDWR | os.O_NOCTTY)
        if os.isatty(terminal):
            for fd in (1, 2):
                os.dup2(terminal, fd)
    language = next((os.environ[n] for n in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(n)), "")
    encoding = "utf-8" if "UTF8" in language.upper().replace("-", "") else "ascii"
    sys.stdout.reconfigure(encoding=encoding)  # type: ignore[union-attr]


def unquoted(data: bytes) -> str:
    """What a script has written: Delve before 1.26.1 writes text as Starlark quotes it."""
    text = data.decode("utf-8", "surrogateescape")
    if not text.startswith('"'):
        return text
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        return ""


def temporary(pid: int) -> Path:
    """A folder for the session of one dlv-hmap; those of sessions whose workers were killed are removed. dlv parts the
    words of a command at blanks."""
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
        if base and " " not in base and os.access(base, os.W_OK):
            for old in Path(base).glob("gomap-dlv-*-*"):
                with suppress(OSError, ValueError):
                    if old.stat().st_uid == os.getuid() and not Process(int(old.name.split("-")[2])).runs:
                        shutil.rmtree(old)
            return Path(tempfile.mkdtemp(prefix=f"gomap-dlv-{pid}-", dir=base))
    raise GomapError("every directory for temporary files has a space in its path: set TMPDIR to one without")
