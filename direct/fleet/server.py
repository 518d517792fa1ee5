"""Reads core files, each in a process of its own that is forked from this one: python3 -m direct.fleet.server FOLDER.

Python, numpy and scipy are loaded once. A line of JSON on standard input is a core file to read, a line on standard
output what became of it. It ends with the process that started it, or when nothing is asked for a minute; the core that
is being read ends with it. FOLDER is for temporary files, and removed at the end.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from importlib import import_module
from typing import Any

from direct.fleet.fetch import local
from direct.fleet.programs import NoProgram, Programs
from direct.fleet.read import Job, read, why
from direct.fleet.work import not_read
from gomap.errors import GomapError
from gomap.human import one_line

#: Bytes of rows that are taken from one core.
MAX_ROWS = 1 << 28
#: Seconds without a question after which the server ends, and that are waited at once: poll takes no more than 24 days.
IDLE, LONGEST = 60, 3600
_STEP = "step"
_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> int:
    """Answers line by line."""
    folder, programs = sys.argv[1], dict[tuple[str, ...], Programs]()
    try:
        _load()
        poll = select.poll()
        poll.register(sys.stdin, select.POLLIN)
        while poll.poll(IDLE * 1000):
            line = sys.stdin.buffer.readline()
            if not line:
                break
            asked = json.loads(line)
            folders = tuple(asked["programs"])
            try:
                answer = _one(asked, programs.setdefault(folders, Programs(folders)), folder)
            except GomapError as error:
                answer = not_read(one_line(str(error)))
            except OSError as error:
                answer = not_read(f"no process or folder for it: {error.strerror or error}: is TMPDIR full?")
            if answer is None:
                return 1
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load() -> None:
    """Imports what each core needs, and what would be imported late."""
    from gomap.heap.graph import algorithms

    for name in ("race", "check", "advise"):
        import_module(f"gomap.commands.{name}")
    try:
        algorithms()
    except GomapError:  # without scipy
        return


def _one(asked: dict[str, Any], programs: Programs, folder: str) -> dict[str, Any] | None:
    """The rows of one core, and what it took. None if the worker that asked has ended. Raises GomapError, OSError."""
    answer = _tried(asked, programs, folder)
    # The process that reads the core could not keep what it found in the directories for the next one.
    if answer is not None and answer.pop(_UNKNOWN, False) and programs.look():
        answer = _tried(asked, programs, folder)
        if answer is not None:
            answer.pop(_UNKNOWN, None)
    return answer


def _tried(asked: dict[str, Any], programs: Programs, folder: str) -> dict[str, Any] | None:
    start, area = time.monotonic(), tempfile.mkdtemp(dir=folder)
    reading, writing = os.pipe()
    server, child = os.getpid(), os.fork()
    if not child:
        os.close(reading)
        _read(asked, programs, area, writing, server)
    os.close(writing)
    try:
        text, cut = _collected(reading, start + asked["time"])
    finally:
        os.close(reading)
    if cut is not None:
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    shutil.rmtree(area, ignore_errors=True)
    if cut == _GONE:
        return None
    answer = _answer(text)
    if cut is not None:
        answer["errors"].append([answer[_STEP], cut.format(asked["time"])])
    elif status:
        answer["errors"].append([answer[_STEP], _ended(status, asked["memory"])])
    took = {"seconds": round(time.monotonic() - start, 3), "cpu": round(used.ru_utime + used.ru_stime, 3)}
    answer["core"].update(took, memory=used.ru_maxrss << 10)
    return answer


_UNKNOWN = "unknown"
_GONE = "gone"
_SLOW = "it takes longer than {:g} s (--time)"
_LARGE = "it has too many rows (--maps)"


def _collected(reading: int, end: float) -> tuple[bytes, str | None]:
    """(what the child wrote, why it has to be ended)."""
    poll, parts, size = select.poll(), list[bytes](), 0
    poll.register(reading, select.POLLIN)
    poll.register(sys.stdin, 0)  # that it is closed is told anyway
    while True:
        left = end - time.monotonic()
        if left <= 0:
            return b"".join(parts), _SLOW
        ready = dict(poll.poll(min(left, LONGEST) * 1000))
        if sys.stdin.fileno() in ready:
            return b"", _GONE
        if not ready:
            continue
        data = os.read(reading, 1 << 16)
        if not data:
            return b"".join(parts), None
        parts.append(data)
        size += len(data)
        if size > MAX_ROWS:
            return b"".join(parts), _LARGE


def _ended(status: int, memory: int) -> str:
    """Why a process ended that should not have."""
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return f"the process that read it was ended by {name}; it may use {memory >> 20:,} MiB (--memory)"
    return f"the process that read it failed; it may use {memory >> 20:,} MiB (--memory)"


def _answer(text: bytes) -> dict[str, Any]:
    """The lines of the child, put together. The last one may be cut off. errors: (step, why). done: steps."""
    answer: dict[str, Any] = {"core": {}, "errors": [], _STEP: "starting", "done": []}
    lines = text.split(b"\n")
    for line in lines[:-1]:
        for name, value in json.loads(line).items():
            if name == "failed":
                answer["errors"].append([answer[_STEP], value])
            elif name == "done":
                answer["done"].append(value)
            elif name == "core":
                answer["core"].update(value)
            else:
                answer[name] = value
    return answer


def _read(asked: dict[str, Any], programs: Programs, folder: str, writing: int, server: int) -> None:
    """The child: reads the core and exits."""
    status, core = 1, asked["core"]
    try:
        _alone(server)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # What it allocates: the core file itself is mapped, and may be larger.
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = asked["memory"] if hard == resource.RLIM_INFINITY else min(asked["memory"], hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        out = os.fdopen(writing, "w")

        def emit(rows: dict[str, Any]) -> None:
            if "failed" in rows:
                rows["failed"] = _shown(rows["failed"], core, folder)
            out.write(json.dumps(rows) + "\n")
            out.flush()

        try:
            emit({_STEP: "opening it"})
            read(Job(core, local(core, folder), asked["maps"], asked["with_keys"]), programs, emit)
        except NoProgram as error:
            emit({_UNKNOWN: True, "failed": why(error, core)})
        except Exception as error:
            emit({"failed": why(error, core)})
        status = 0
    finally:
        os._exit(status)


def _alone(server: int) -> None:
    """The child ends with the server however that ends, and keeps none of its pipes open."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(null, stream)


def _shown(text: str, core: str, folder: str) -> str:
    """An error with the core's own name in place of its copy's, and of the folder that the copy is in."""
    text = re.sub(re.escape(folder) + r"/[\w-]+", lambda _: core, text)
    return one_line(text.replace(folder, os.path.dirname(os.path.dirname(folder))))


if __name__ == "__main__":
    sys.exit(main())
