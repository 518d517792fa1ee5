"""Asks one command under limits, and says whether what came of it is fit to be seen.

Every command has to end within SECONDS of processor time and MEMORY bytes more than the process had, having read
within bounds, with an answer or one clear line; and must open, run and evaluate nothing.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

from gomap import frontend
from gomap.analysis import alias, cycles
from gomap.arrays import numpy
from gomap.columns import choose
from gomap.commands.registry import COMMANDS
from gomap.declare import Settings
from gomap.render.text import Style
from gomap.target import Target
from tests.fuzz.scribbled import Scribbled, Unbounded
from tests.fuzz.sources import sources

SECONDS = 2.0
MEMORY = 200 << 20
#: Searches are bounded, by what a large process has in it: here by a part of that.
CYCLES: dict[str, Any] = {"MAX_OBJECTS": 1 << 14, "MAX_REFERENCES": 1 << 16, "MAX_SCANNED": 1 << 17}
HOLDERS: dict[str, Any] = {"MAX_STEPS": 1 << 17}
MOST_TEXT = 64 << 20
MOST_ERROR = 2000
STYLES = (Style(), Style(80, True, True), Style(40))

#: All that colours are made of: an escape sequence of anything else is not ours.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FORBIDDEN = ("exec", "compile", "open", "os.", "subprocess.", "socket.", "pickle.", "marshal.", "ctypes.", "shutil.")


@dataclass(frozen=True)
class Verdict:
    """fault: what is wrong, None when nothing is. outcome: answer, partial (with anomalies), or the error's code."""

    line: str
    outcome: str
    fault: str | None
    seconds: float
    detail: str = ""


class TooSlow(BaseException):
    """Not an Exception: nothing on the way catches it."""


class _Forbidden(BaseException):
    pass


_watching = False


def _audit(event: str, arguments: Any) -> None:
    if _watching and event.startswith(_FORBIDDEN):
        raise _Forbidden(f"{event} {str(arguments)[:200]}")


_audit_added = False


@contextlib.contextmanager
def limits(watched: bool = True) -> Iterator[None]:
    """Processor time, memory, and (watched) what the process may do, until the end of the block."""
    global _watching, _audit_added
    if not _audit_added:
        sys.addaudithook(_audit)
        _audit_added = True
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as statm:
        held = int(statm.read().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGPROF, _too_slow)
    callbacks, gc.callbacks[:] = gc.callbacks[:], []  # hypothesis has one, and what is raised in it gets lost
    try:
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, hard))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        _watching = watched
        yield
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)
        gc.callbacks[:] = callbacks


def _too_slow(_signal: int, _frame: Any) -> None:
    raise TooSlow


@functools.cache
def ready() -> None:
    """Imports all that the commands import when they first run, before anything is watched."""
    numpy()
    importlib.import_module("gomap.analysis.seek")  # for an address alone
    source = next(source for source in sources() if source.map is not None)
    for command in COMMANDS:
        importlib.import_module(f"gomap.commands.{command.name.split('-', 1)[1]}")
        key = source.keys[0] if any(arg.name == "KEY" for arg in command.args) else ""
        for options in ("", "--json", "--all", "--entries 1 --buckets 0"):
            for style in STYLES:
                line = f"{source.expr if options != '--all' else ''} {key} {options}"
                if not command.writes_file:
                    frontend.run(command.name, line, lambda: source.clean, Settings(), style)


def judge(line: str, target: Target, memory: Scribbled) -> Verdict:
    """Gives one command line about the target. The style of the answer is one of STYLES, by the line alone."""
    ready()
    style = style_of(line)
    name, _, rest = line.partition(" ")
    memory.begin()
    start = time.process_time()
    outcome = frontend.Outcome()
    fault: str | None = None
    try:
        counting = mock.patch.object(choose, "numpy_if_loaded", lambda: loaded_by(line))
        searches = mock.patch.multiple(cycles, **CYCLES), mock.patch.multiple(alias, **HOLDERS)
        with limits(), counting, searches[0], searches[1]:
            outcome = frontend.run(name, rest, lambda: target, Settings(), style)
    except (TooSlow, Unbounded) as stopped:
        where = traceback.extract_tb(stopped.__traceback__)
        # --full hashes all, and hmap-get looks at all where the hash function is not known, however long that takes.
        walks = name == "hmap-get" and any(frame.name == "_walk" for frame in where)
        if isinstance(stopped, TooSlow) and (walks or "--full" in rest.split()):
            return Verdict(line, "stopped", None, SECONDS)
        fault = f"took more than {SECONDS} s" if isinstance(stopped, TooSlow) else f"read without bounds: {stopped}"
        outcome = frontend.Outcome("".join(f"{f.filename}:{f.lineno} {f.name}\n" for f in where[-8:]))
    except _Forbidden as event:
        fault = f"did what it must not do: {event}"
    except BaseException as error:  # frontend.run promises never to raise
        fault = f"raised {type(error).__name__}: {error}"
    seconds = time.process_time() - start
    fault = fault or unfit(outcome, "--json" in rest.split(), style)
    detail = _detail(line, target) if fault is not None and "gomap itself" in fault else outcome.output
    return Verdict(line, _kind(outcome, rest), fault, seconds, detail[-6000:])


def loaded_by(line: str) -> ModuleType | None:
    """numpy or not, in turn: large maps are counted with and without."""
    return numpy() if len(line) // len(STYLES) % 2 else None


def style_of(line: str) -> Style:
    return STYLES[len(line) % len(STYLES)]


def _detail(line: str, target: Target) -> str:
    """The traceback."""
    name, _, rest = line.partition(" ")
    try:
        with limits(watched=False):
            return frontend.run(name, rest, lambda: target, Settings(), Style(), debug=True).output
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def unfit(outcome: frontend.Outcome, json_wanted: bool, style: Style) -> str | None:
    """What is wrong with the text, if anything is."""
    error, output = outcome.error, outcome.output
    if error is not None and "internal error in gomap" in error:
        return error
    if error is None and not output:
        return "no answer and no error"
    if len(output) > MOST_TEXT:
        return f"an answer of {len(output):,} characters"
    if error is not None and (len(error) > MOST_ERROR or not error.isprintable()):
        return f"an error that is no one clear line: {error[:200]!r}"
    if json_wanted:
        return _unfit_json(output, error)
    if output and not output.endswith("\n"):
        return "an answer without an end"
    plain = _COLOUR.sub("", output) if style.color else output
    for text in plain.split("\n"):
        if not text.isprintable():
            odd = next(c for c in text if not c.isprintable())
            return f"{odd!r} reaches the terminal: {text[:200]!r}"
    return None


def _unfit_json(output: str, error: str | None) -> str | None:
    if not output.endswith("\n") or output.count("\n") != 1 or not output.isascii():
        return f"--json gave no one line of ASCII: {output[:200]!r}"
    try:
        answer = json.loads(output)
    except ValueError as problem:
        return f"--json gave no JSON: {problem}"
    if not isinstance(answer, dict) or ("error" in answer) != (error is not None):
        return f"--json says something else than the error: {output[:200]!r}"
    return None


def _kind(outcome: frontend.Outcome, rest: str) -> str:
    if outcome.error is not None:
        return "error"
    if "--json" in rest.split():
        try:
            return "partial" if json.loads(outcome.output)["anomalies"] else "answer"
        except (ValueError, KeyError, TypeError):
            return "?"
    return "text"
