"""The gdbs of the matrix, and gdb run on a program or a core: one process for all the questions about it.

`visit` takes a program through its stages and `examine` opens a core; both hand back every command's answer
beside the truth that the program published.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.toolchains import ROOT, Missing, cache, locked

LOAD = ROOT / "gdbext" / "load.py"
DRIVER = Path(__file__).with_name("in_gdb.py")
PYPI_GDB = "18.1.0.post1"


@dataclass(frozen=True)
class Gdb:
    name: str
    path: Path


@dataclass(frozen=True)
class Answer:
    """What one gdb command printed, and the message it failed with, if it did."""

    stage: str
    command: str
    output: str
    error: str | None

    def json(self) -> Any:
        """The one JSON object that a command with --json prints."""
        return json.loads(self.output)


@dataclass(frozen=True)
class Session:
    """One finished gdb process: its answers in order, and each stage's truth as the program published it."""

    answers: tuple[Answer, ...]
    truth: Mapping[str, Any]

    def at(self, stage: str, command: str) -> Answer:
        found = [a for a in self.answers if (a.stage, a.command) == (stage, command)]
        if len(found) != 1:
            raise LookupError(f"{command!r} was given {len(found)} times at stage {stage}")
        return found[0]


@dataclass(frozen=True)
class Core:
    """A core of `binary` dumped at `stage`, and the truth published up to there."""

    path: Path
    binary: Path
    stage: str
    truth: Mapping[str, Any]


def find_system() -> Gdb:
    """The user's own gdb: $GOMAP_GDB, or `gdb` on PATH."""
    found = shutil.which(os.environ.get("GOMAP_GDB", "gdb"))
    if found is None:
        raise Missing("no `gdb` on PATH: install gdb 12 or newer")
    return _checked(Gdb("system", Path(found)))


def find_pypi() -> Gdb:
    """PyPI's gdb in a virtual environment in the cache, with the packages that make the output prettier."""
    if sys.version_info < (3, 10):
        raise Missing(f"gdb-for-pwndbg needs Python 3.10, and this is {sys.version.split()[0]}")
    place = cache() / "gdb" / f"{PYPI_GDB}-py{sys.version_info[0]}.{sys.version_info[1]}"
    stamp = place / "complete"
    # An environment stands on the Python that made it.
    made_by = f"{sys.base_prefix} {sys.version}"
    with locked("gdb"):
        if not stamp.exists() or stamp.read_text() != made_by:
            _call([sys.executable, "-m", "venv", "--clear", str(place)])
            wanted = [f"gdb-for-pwndbg=={PYPI_GDB}", "pygments", "tabulate"]
            _call([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted])
            stamp.write_text(made_by)
        # When it first runs, it makes a link: two that do so at once fail.
        return _checked(Gdb("pypi-18.1", place / "bin" / "gdb"))


GDBS = {"system": find_system, "pypi-18.1": find_pypi}


@functools.cache
def find(name: str) -> Gdb:
    """The gdb of this name; Missing when it is not to be had."""
    return GDBS[name]()


def _call(command: list[str]) -> None:
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        raise Missing(f"{' '.join(command)} failed: {(run.stdout + run.stderr).strip()[-500:]}")


def _checked(gdb: Gdb) -> Gdb:
    run = run_gdb(gdb, ["-ex", "python print('python', 6 * 7)"], timeout=60)
    if "python 42" not in run.stdout:
        raise Missing(f"{gdb.path} has no Python scripting: {(run.stdout + run.stderr).strip()[-300:]}")
    return gdb


def run_gdb(
    gdb: Gdb,
    args: Sequence[str],
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run gdb in batch with no initialisation file and no input. A timeout ends gdb and what it started."""
    command = [str(gdb.path), "-nx", "-q", "-batch", *args]
    process = subprocess.Popen(
        command,
        env=_environment(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        # The new session made gdb the leader of its own process group. Programs under gdb are traced and
        # die with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    ours = ("GOMAP_TRUTH", "GOMAP_STAGE", "GOMAP_ABORT", "GOMAP_PLAN")
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return {**kept, "LC_ALL": "C.UTF-8", "DEBUGINFOD_URLS": "", **(extra or {})}


@functools.cache
def stages(binary: Path) -> tuple[str, ...]:
    """The stages this build of a program goes through, in order."""
    run = subprocess.run([str(binary), "-stages"], env=_environment(None), capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"{binary} -stages failed: {run.stderr}")
    return tuple(run.stdout.split())


def visit(gdb: Gdb, binary: Path, commands: Mapping[str, Sequence[str]], timeout: float = 600) -> Session:
    """Take a program through all its stages in one gdb and give it commands at each.

    commands: gdb commands by stage; those under "*" are given at every stage, first. At each stop the
    selected frame is the runtime's own, as at any runtime.Breakpoint. The same question is asked once a run.
    """
    everywhere = commands.get("*", ())
    unknown = set(commands) - {"*", *stages(binary)}
    if unknown:
        raise LookupError(f"{binary.name} has no stage {', '.join(sorted(unknown))}")
    plan = [(stage, (*everywhere, *commands.get(stage, ()))) for stage in stages(binary)]
    return _converse(gdb, binary, None, json.dumps(plan), timeout)


def examine(gdb: Gdb, core: Core, commands: Sequence[str], timeout: float = 600) -> Session:
    """Give gdb commands about a core file."""
    return _converse(gdb, core.binary, core, json.dumps([(core.stage, list(commands))]), timeout)


_answered: dict[tuple[Gdb, Path, Path | None, str], Session] = {}
#: Sessions that are kept: a toolchain has fewer, and its tests come one after another.
KEPT = 256


def _converse(gdb: Gdb, binary: Path, core: Core | None, plan: str, timeout: float) -> Session:
    key = (gdb, binary, core.path if core else None, plan)
    if key not in _answered:
        with tempfile.TemporaryDirectory(dir=scratch()) as folder:
            _answered[key] = _ask(gdb, binary, core, json.loads(plan), Path(folder), timeout)
        if len(_answered) > KEPT:
            del _answered[next(iter(_answered))]
    return _answered[key]


#: Go's runtime-gdb.py stays out, so that a session is the same wherever the toolchain lies.
NO_SCRIPTS = ("-iex", "set auto-load python-scripts off", "-iex", "set startup-with-shell off")


def typed(*lines: str) -> list[str]:
    """gdb's arguments for lines that a user types."""
    return [word for line in lines for word in ("-ex", line)]


def _ask(gdb: Gdb, binary: Path, core: Core | None, plan: Any, folder: Path, timeout: float) -> Session:
    answers, truth = folder / "answers", folder / "truth"
    file = folder / "plan"
    published = None if core else str(truth)
    file.write_text(json.dumps({"answers": str(answers), "stages": plan, "truth": published}))
    scripts = ["-x", str(LOAD), "-x", str(DRIVER)]
    debuggee = [str(binary), str(core.path)] if core else [str(binary)]
    env = {"GOMAP_PLAN": str(file), "GOMAP_TRUTH": str(truth)}
    run = run_gdb(gdb, [*NO_SCRIPTS, *scripts, *debuggee], env, timeout, folder)
    lines = [json.loads(line) for line in answers.read_text().splitlines()] if answers.exists() else []
    if not lines or "end" not in lines[-1]:
        after = f" after {lines[-1]['command']!r} at {lines[-1]['stage']}" if lines else ""
        raise AssertionError(
            f"gdb {gdb.name} on {binary} ended with status {run.returncode}{after}, its plan unfinished:\n{said(run)}"
        )
    return Session(tuple(Answer(**line) for line in lines[:-1]), core.truth if core else _published(truth))


def said(run: subprocess.CompletedProcess[str]) -> str:
    """What gdb and its program printed, cut in the middle: a Go program that dies begins with its reason."""
    error = run.stderr
    if len(error) > 6000:
        error = f"{error[:3000]}\n[...]\n{error[-3000:]}"
    return f"{run.stdout[-3000:]}\n{error}"


def _published(file: Path) -> dict[str, Any]:
    return {line["stage"]: line for line in map(json.loads, file.read_text().splitlines())}


@functools.cache
def make_core(binary: Path, stage: str, dies: bool = False) -> Core:
    """A core of the program at this stage: the kernel's, or gdb's where the kernel pipes cores away.

    dies: it is a stage that the program enters on demand, and dies of.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch()))
    truth = folder / "truth"
    how = {"GOMAP_STAGE": stage, "GOTRACEBACK": "crash"} if dies else {"GOMAP_ABORT": stage}
    env = _environment({**how, "GOMAP_TRUTH": str(truth)})
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0 or pattern.startswith("|") or "/" in pattern:
        path = folder / "core"
        run_gdb(find("system"), [*NO_SCRIPTS, *typed("run", f"gcore {path}", "kill"), str(binary)], env, cwd=folder)
    else:
        subprocess.run(
            [str(binary)],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
        )
    cores = [path for path in folder.iterdir() if path != truth]
    if len(cores) != 1 or list(_published(truth))[-1] != stage:
        raise RuntimeError(f"{binary} left no core at stage {stage} (core pattern {pattern!r}): {cores}")
    return Core(cores[0], binary, stage, _published(truth))


@functools.cache
def scratch() -> Path:
    """This run's temporary directory; clean_up removes it."""
    return Path(tempfile.mkdtemp(prefix="gomap-tests-"))


def clean_up() -> None:
    if scratch.cache_info().currsize:
        shutil.rmtree(scratch())
        scratch.cache_clear()
