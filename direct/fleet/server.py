"""Reads core files, each in a process of its own that is forked from this one: python3 -m direct.fleet.server.

Python, numpy and scipy are loaded once. A line of JSON on standard input is a core file to read, a line on standard
output what became of it. It ends with the process that started it, and the core that is being read ends with it.
"""

from __future__ import annotations

import json
import os
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
from direct.fleet.programs import Programs
from direct.fleet.read import NO_MEMORY, Job, read
from gomap.elf import BadElf
from gomap.errors import GomapError
from gomap.human import one_line

#: Bytes of rows that are taken from one core.
MAX_ROWS = 1 << 28
_STEP = "step"


def main() -> int:
    """Answers line by line until standard input ends."""
    programs: dict[tuple[str, ...], Programs] = {}
    _load()
    for line in iter(sys.stdin.buffer.readline, b""):
        asked = json.loads(line)
        folders = tuple(asked["programs"])
        known = programs.setdefault(folders, Programs(folders))
        answer = _one(asked, known)
        if answer is None:
            return 1
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


def _load() -> None:
    """Imports what each core needs, and what would be imported late."""
    from gomap.heap.graph import algorithms

    for name in ("race", "check", "advise"):
        import_module(f"gomap.commands.{name}")
    try:
        algorithms()
    except GomapError:  # without scipy
        return


def _one(asked: dict[str, Any], programs: Programs) -> dict[str, Any] | None:
    """The rows of one core, and what it took. None if the worker that asked has ended."""
    start = time.monotonic()
    folder = tempfile.mkdtemp(prefix="gomap-fleet-", dir=os.environ.get("TMPDIR") or None)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _read(asked, programs, folder, writing)
    os.close(writing)
    try:
        text, why = _collected(reading, start + asked["time"])
    finally:
        os.close(reading)
    if why is not None:
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    shutil.rmtree(folder, ignore_errors=True)
    if why == _GONE:
        return None
    answer = _answer(text)
    if why is not None:
        answer["errors"].append([answer[_STEP], why.format(asked["time"])])
    elif status:
        answer["errors"].append([answer[_STEP], _ended(status, asked["memory"])])
    took = {"seconds": round(time.monotonic() - start, 3), "cpu": round(used.ru_utime + used.ru_stime, 3)}
    answer["core"].update(took, memory=used.ru_maxrss << 10)
    return answer


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
        ready = dict(poll.poll(max(left, 0) * 1000)) if left > 0 else {}
        if sys.stdin.fileno() in ready:
            return b"", _GONE
        if not ready:
            return b"".join(parts), _SLOW
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
    """The lines of the child, put together. The last one may be cut off. errors: (step, why). steps: those done."""
    answer: dict[str, Any] = {"core": {}, "errors": [], _STEP: "starting", "steps": 0}
    lines = text.split(b"\n")
    for line in lines[:-1]:
        for name, value in json.loads(line).items():
            if name == "failed":
                answer["errors"].append([answer[_STEP], value])
            elif name == "done":
                answer["steps"] += 1
            elif name == "core":
                answer["core"].update(value)
            elif name == _STEP:
                answer[_STEP] = value
            else:
                answer[name] = value
    return answer


def _read(asked: dict[str, Any], programs: Programs, folder: str, writing: int) -> None:
    """The child: reads the core and exits."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # What it allocates: the core file itself is mapped, and may be larger.
        resource.setrlimit(resource.RLIMIT_DATA, (asked["memory"], asked["memory"]))
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        out = os.fdopen(writing, "w")

        def emit(rows: dict[str, Any]) -> None:
            out.write(json.dumps(rows) + "\n")
            out.flush()

        core = path = asked["core"]
        try:
            emit({_STEP: "opening it"})
            path = local(core, folder)
            read(Job(core, path, asked["maps"], asked["with_keys"]), programs, emit)
        except BadElf as error:
            emit({"failed": f"{core} is not a core file: {error}"})
        except GomapError as error:
            emit({"failed": one_line(str(error).replace(path, core))})
        except MemoryError:
            emit({"failed": NO_MEMORY})
        except OSError as error:
            emit({"failed": one_line(f"{error.filename or asked['core']}: {error.strerror or error}")})
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            emit({"failed": f"internal error in gomap, please report it: {what}"})
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
