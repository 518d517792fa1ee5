"""Programs for other machines than this one: 386 runs natively, arm64 and s390x under qemu-user's gdb stub.

python -m tests.support.machines      fetch qemu-user where it is not there yet, print its programs
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import debuggers
from tests.support.debuggers import DRIVER, LOAD, NO_SCRIPTS, Answer, Core, Gdb, Session
from tests.support.toolchains import Missing, cache, locked

#: Debian's and Ubuntu's packages that have the programs; the first has them without libraries.
PACKAGES = ("qemu-user-static", "qemu-user")


@dataclass(frozen=True)
class Machine:
    """name: GOARCH. qemu: what qemu calls it; None for one whose programs run here."""

    name: str
    qemu: str | None = None


#: The collector stays off, and stops the world where a program calls it. On a virtual machine (nested, Linux 6.18)
#: 32-bit programs whose collector works beside them died of it, without a debugger too: twenty lines that build
#: strings in 277 of 470 runs, go_targets/growth in one of sixty, with Go 1.23.9 as with 1.27.3.
QUIET = {"GOGC": "off"}
QUIET_GODEBUG = ("gcstoptheworld=1",)

HERE = Machine("amd64")
MACHINES = (Machine("386"), Machine("arm64", "aarch64"), Machine("s390x", "s390x"))


@functools.cache
def find_qemu(name: str) -> Path:
    """qemu-NAME: on PATH, or from the distribution's package, which is kept in the cache. Raises Missing."""
    programs = (f"qemu-{name}", f"qemu-{name}-static")
    for program in programs:
        found = shutil.which(program)
        if found is not None:
            return Path(found)
    place = cache() / "qemu"
    with locked("qemu"):
        if not any((place / program).exists() for program in programs):
            _fetch(place)
    for program in programs:
        if (place / program).exists():
            return place / program
    raise Missing(f"there is no {programs[0]} in the packages {' and '.join(PACKAGES)}: apt install qemu-user")


def _fetch(place: Path) -> None:
    """Downloads the package as any user can, and unpacks what the machines need of it."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Missing("no qemu-user on PATH, and no apt-get to fetch it with: install qemu-user")
    wanted = {f"qemu-{m.qemu}{end}" for m in MACHINES if m.qemu for end in ("", "-static")}
    place.mkdir(exist_ok=True)
    why = ""
    for package in PACKAGES:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            run = _download(package, folder)
            if run.returncode != 0 and os.geteuid() == 0:  # a new machine may have no package lists yet
                subprocess.run(["apt-get", "update"], stdin=subprocess.DEVNULL, capture_output=True)
                run = _download(package, folder)
            archives = list(Path(folder).glob("*.deb"))
            if run.returncode != 0 or not archives:
                why = (run.stderr.strip().splitlines() or ["nothing came"])[-1]
                continue
            _unpack(archives[0], wanted, Path(folder), place)
            if any(map(_runs, place.glob("qemu-*"))):
                return
            why = f"{package} has programs that do not run here"
    raise Missing(f"no qemu-user on PATH, and apt-get download did not get it ({why}): apt install qemu-user")


def _download(package: str, folder: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package]
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _unpack(archive: Path, wanted: set[str], folder: Path, place: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as files:
            for member in files:
                path, name = Path(member.name), Path(member.name).name
                wanted_here = path.parent.name == "bin" and name in wanted and member.isfile()
                source = files.extractfile(member) if wanted_here else None
                if source is not None:
                    made = folder / name
                    with made.open("wb") as out:
                        shutil.copyfileobj(source, out)
                    made.chmod(0o755)
                    made.rename(place / name)


def _runs(program: Path) -> bool:
    try:
        return subprocess.run([str(program), "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


def visit(
    gdb: Gdb,
    machine: Machine,
    binary: Path,
    commands: Mapping[str, Sequence[str]],
    godebug: Sequence[str] = (),
    start: Sequence[str] = ("break main.stop", "run"),
    timeout: float = 300,
) -> Session:
    """Take a program through its stages, all of them and in their order, and give gdb commands at each.

    start: what brings it to the first. It stops at the breakpoint main.stop: an instruction that traps is left at
    another place on every machine. On a virtual machine (KVM on AMD, Linux 6.18) the 386's `INT $3` of two bytes, which
    runtime.breakpoint has, is even left after its first byte: the program then runs on through the padding behind the
    function, traps again at each of its INT3, and no debugger knows a function there.
    """
    with tempfile.TemporaryDirectory(dir=debuggers.scratch()) as name:
        folder = Path(name)
        truth, answers, plan, socket = (folder / part for part in ("truth", "answers", "plan", "socket"))
        # Every signal that preempts a goroutine stops the program in qemu's stub: it would not get on.
        settings = ",".join(("asyncpreemptoff=1", *QUIET_GODEBUG, *godebug))
        env = {"GOMAP_PLAN": str(plan), "GOMAP_TRUTH": str(truth), "GOMAP_STAGE": "none", "GODEBUG": settings, **QUIET}
        with contextlib.ExitStack() as stack:
            if machine.qemu is not None:
                start = [f"target remote {socket}", "break main.stop", "continue"]
                # qemu's other threads run on while gdb looks at them: nothing is left for them to do.
                env.update(GOMAP_COOPERATIVE="1", GOMAXPROCS="1")
                stack.enter_context(_under_qemu(machine.qemu, binary, socket, env))
            steps = {
                "answers": str(answers),
                "stages": list(commands.items()),
                "truth": str(truth),
                "start": list(start),
            }
            plan.write_text(json.dumps(steps))
            of_gdb = ("startup-with-shell off", "auto-load python-scripts off", "debuginfod enabled off")
            args = [word for setting in of_gdb for word in ("-iex", f"set {setting}")]
            scripts = ["-x", str(LOAD), "-x", str(DRIVER), str(binary)]
            run = debuggers.run_gdb(gdb, [*args, *scripts], env, timeout, folder)
        lines = [json.loads(line) for line in answers.read_text().splitlines()] if answers.exists() else []
        if not lines or "end" not in lines[-1]:
            raise AssertionError(
                f"gdb {gdb.name} on {binary} for {machine.name} left its plan unfinished (status {run.returncode}):\n"
                f"{debuggers.said(run)}"
            )
        return Session(tuple(Answer(**line) for line in lines[:-1]), debuggers._published(truth))


def drive(gdb: Gdb, machine: Machine, binary: Path, truth: Path, *commands: str) -> str:
    """What gdb says while it takes a program under qemu from its first main.stop to its second."""
    assert machine.qemu is not None, "it runs elsewhere"
    socket = truth.with_name("socket")
    settings = ",".join(("asyncpreemptoff=1", *QUIET_GODEBUG))
    env = {"GOMAP_COOPERATIVE": "1", "GOMAXPROCS": "1", "GODEBUG": settings, "GOMAP_TRUTH": str(truth), **QUIET}
    start = (f"source {LOAD}", f"target remote {socket}", "break main.stop", "continue")
    words = [word for command in (*start, *commands) for word in ("-ex", command)]
    with _under_qemu(machine.qemu, binary, socket, env):
        return debuggers.run_gdb(gdb, [*NO_SCRIPTS, *words, str(binary)], {}, 300).stdout


@functools.cache
def make_core(machine: Machine, binary: Path, stage: str) -> Core:
    """A core file of the program at this stage: qemu-aarch64 writes one of the program that it runs, as the kernel does
    of those that run here. qemu-s390x, of version 7.2 at least, writes none."""
    if machine.qemu is None:
        return debuggers.make_core(binary, stage)
    folder = Path(tempfile.mkdtemp(dir=debuggers.scratch()))
    truth = folder / "truth"
    settings = ",".join(("asyncpreemptoff=1", *QUIET_GODEBUG))
    env = {"GOMAP_ABORT": stage, "GOMAP_TRUTH": str(truth), "GODEBUG": settings, "GOMAP_COOPERATIVE": "1", **QUIET}
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    subprocess.run(
        [str(find_qemu(machine.qemu)), str(binary)],
        cwd=folder,
        env=debuggers._environment({**env, "GOMAXPROCS": "1"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    )
    (core,) = folder.glob("qemu_*.core")
    for other in folder.iterdir():  # the kernel's, of qemu itself
        if other not in (core, truth):
            other.unlink()
    return Core(core, binary, stage, debuggers._published(truth))


@contextlib.contextmanager
def _under_qemu(name: str, binary: Path, socket: Path, env: Mapping[str, str]) -> Iterator[None]:
    command = [str(find_qemu(name)), "-g", str(socket), str(binary)]
    process = subprocess.Popen(
        command,
        env=debuggers._environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 30
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise Missing(f"{command[0]} gives gdb no socket: {process.communicate()[0].decode(errors='replace')}")
            time.sleep(0.02)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


if __name__ == "__main__":
    try:
        for machine in MACHINES:
            if machine.qemu is not None:
                print(find_qemu(machine.qemu))
    except Missing as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
