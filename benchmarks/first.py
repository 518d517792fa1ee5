"""The first answer about a large program that is running: how long it takes, and how long the program stands still.

    python3 -m benchmarks.first [--go GO] [--gdb GDB] [--dlv DLV] [--programs NAME ...] [--folder DIR]

Builds four programs that nobody here wrote (the go command, gopls, caddy and prometheus; the last three through the Go
module proxy), starts each on a loopback address, and asks about it in a debugger that is started for each question.
The program stands still while its main thread is traced and stopped, which /proc tells every few milliseconds.
Processor time is the debugger's and that of all processes which it started.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Seconds between two looks at the program's state.
TICK = 0.005
#: Seconds that a program is given to start, and to settle once it listens.
START, SETTLE = 60, 3
WAIT = 'package main\n\nimport "time"\n\nfunc main() { time.Sleep(time.Hour) }\n'
PROMETHEUS = (
    "global: {scrape_interval: 15s}\nscrape_configs: [{job_name: self, static_configs: [{targets: ['{listen}']}]}]\n"
)


@dataclass(frozen=True)
class Program:
    """package: what is built. arguments: {listen} is its address. files: written into its folder, in the same way.
    variable: a package variable that holds a map. listens: else it has started when its child has."""

    name: str
    package: str
    arguments: tuple[str, ...]
    variable: str
    files: tuple[tuple[str, str], ...] = ()
    listens: bool = True

    @property
    def misspelt(self) -> str:
        return self.variable[:-1]


PROGRAMS = (
    Program("go", "cmd/go", ("run", "wait.go"), "cmd/go/internal/load.cgoExclude", (("wait.go", WAIT),), False),
    Program("gopls", "golang.org/x/tools/gopls@v0.24.0", ("serve", "-listen={listen}"), "unicode.Scripts"),
    Program(
        "caddy",
        "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9",
        ("run", "--adapter", "caddyfile", "--config", "Caddyfile"),
        "github.com/caddyserver/caddy/v2.modules",
        (("Caddyfile", "{\n\tadmin off\n}\nhttp://{listen}\nrespond hello\n"),),
    ),
    Program(
        "prometheus",
        "github.com/prometheus/prometheus/cmd/prometheus@v0.316.0",
        ("--config.file=p.yml", "--storage.tsdb.path=data", "--web.listen-address={listen}"),
        "github.com/prometheus/prometheus/promql/parser.Functions",
        (("p.yml", PROMETHEUS),),
    ),
)


def built(program: Program, go: str, folder: Path) -> Path:
    binary = folder / program.name
    if binary.exists():
        return binary
    env = {**os.environ, "GOBIN": str(folder), "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}
    command = [go, "install", program.package]
    if program.package.startswith("cmd/"):
        command = [go, "build", "-o", str(binary), program.package]
    subprocess.run(command, env=env, check=True)
    return binary


@contextmanager
def running(program: Program, binary: Path, go: str) -> Iterator[int]:
    """Its process, started and settled, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        for file, text in program.files:
            (folder / file).write_text(text.replace("{listen}", address))
        root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
        env = {**os.environ, "HOME": name, "XDG_DATA_HOME": name, "XDG_CONFIG_HOME": name, "GOROOT": root}
        env.update(GOTOOLCHAIN="local", GOFLAGS="", GOPROXY="off", GOCACHE=f"{name}/cache", GO111MODULE="off")
        arguments = [word.replace("{listen}", address) for word in program.arguments]
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [str(binary), *arguments], cwd=name, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            _wait(program, process, address, folder / "log")
            yield process.pid
        finally:
            for child in _children(process.pid):
                os.kill(child, 15)
            process.terminate()
            process.wait()


def _wait(program: Program, process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    host, _, port = address.partition(":")
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        if program.listens:
            with socket.socket() as probe:
                if not probe.connect_ex((host, int(port))):
                    time.sleep(SETTLE)
                    return
        elif "wait" in map(_name, _children(process.pid)):
            time.sleep(SETTLE)
            return
        time.sleep(0.1)
    sys.exit(f"{program.name} did not start:\n{log.read_text()[-2000:]}")


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in task.read_text().split()]
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Standstill(threading.Thread):
    """Counts the seconds that a process stands still in a debugger."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._status = f"/proc/{pid}/stat"
        self._ended = threading.Event()
        self.seconds = 0.0

    def run(self) -> None:
        before = time.perf_counter()
        while not self._ended.wait(TICK):
            with open(self._status, encoding="ascii", errors="replace") as file:
                stopped = file.read().rpartition(")")[2].split()[0] == "t"
            now = time.perf_counter()
            if stopped:
                self.seconds += now - before
            before = now

    def end(self) -> float:
        self._ended.set()
        self.join()
        return self.seconds


@dataclass(frozen=True)
class Measure:
    """Seconds. first: until the answer begins. stood: that the program stood still. processor: the debugger's."""

    first: float
    stood: float
    processor: float
    answer: str


MARK = "GOMAP ANSWERS"


def asked(command: Sequence[str], env: dict[str, str], pid: int, marked: bool) -> Measure:
    """marked: the answer comes behind a line of its own."""
    still, before = Standstill(pid), os.times()
    still.start()
    start, first, lines, begun = time.perf_counter(), 0.0, [], not marked
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if begun and line.strip():
                first = first or time.perf_counter() - start
                lines.append(line.rstrip())
            begun = begun or line.startswith(MARK)
        process.wait()
        first = first or time.perf_counter() - start
        stood, after = still.end(), os.times()
        errors.seek(0)
        wrong = [line.rstrip() for line in errors if line.startswith("hmap-") or "hmap-" in line]
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Measure(first, stood, processor, next(iter([*wrong, *lines]), ""))


def in_gdb(gdb: str, pid: int, line: str) -> Measure:
    quiet = ["-nx", "-q", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load python-scripts off"]
    command = [gdb, *quiet, "-x", str(ROOT / "gdbext/load.py"), "-p", str(pid)]
    return asked([*command, "-ex", f"echo {MARK}\\n", "-ex", line], dict(os.environ), pid, True)


def through_delve(dlv: str, pid: int, line: str) -> Measure:
    env = {**os.environ, "GOMAP_DLV": dlv, "GOMAP_PYTHON": sys.executable}
    return asked([str(ROOT / "bin/dlv-hmap"), "attach", str(pid), "-c", line], env, pid, False)


def alone(python: str, pid: int, line: str) -> Measure:
    """gomap pid, with no debugger."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return asked([python, "-m", "direct", "pid", str(pid), "-c", line], env, pid, False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.first", description=__doc__.splitlines()[0])
    parser.add_argument("--go", default="go", help="the go command that builds the programs")
    parser.add_argument("--gdb", default="gdb", help="'' to leave it out")
    parser.add_argument("--dlv", default=shutil.which("dlv") or "", help="'' to leave it out")
    parser.add_argument("--programs", nargs="+", default=[program.name for program in PROGRAMS])
    parser.add_argument("--folder", help="where the programs are built, or are already")
    parser.add_argument("--commands", default="top,show,misspelt")
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken of as many")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(f"{'program':10} {'MB':>4}  {'debugger':8}  {'command':24}  first answer  stood still  processor  answer")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(options.folder or name).resolve()
        for program in PROGRAMS:
            if program.name in options.programs:
                _measure(program, built(program, options.go, folder), options)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def _measure(program: Program, binary: Path, options: argparse.Namespace) -> None:
    lines = {"top": "hmap-top", "show": f"hmap-show {program.variable}", "misspelt": f"hmap-show {program.misspelt}"}
    ways = {"gdb": (options.gdb, in_gdb), "Delve": (options.dlv, through_delve), "none": (sys.executable, alone)}
    with running(program, binary, options.go) as pid:
        for debugger, (path, ask) in ways.items():
            for name in options.commands.split(",") if path else ():
                rounds = [ask(path, pid, lines[name]) for _ in range(options.rounds)]
                first, stood, processor = (
                    statistics.median(values) for values in zip(*((m.first, m.stood, m.processor) for m in rounds))
                )
                shown = re.sub(r"^(.{24}).*", r"\1", {"top": "hmap-top"}.get(name, f"hmap-show, {name}"))
                print(
                    f"{program.name:10} {binary.stat().st_size / 1e6:4.0f}  {debugger:8}  {shown:24}  "
                    f"{first:10.2f} s  {stood:9.2f} s  {processor:7.2f} s  {rounds[-1].answer[:70]}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
