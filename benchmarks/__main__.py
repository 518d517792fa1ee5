"""Everything measured side by side on this machine: hmap commands, the plain read of the same memory, Go's own
runtime-gdb.py, Delve's Eval, and the program's own range loop.

    python3 -m benchmarks [--go GO ...] [--gdb GDB ...] [--dlv DLV] [--series NAME ...] [--largest N] [--quick]

Absolute times say little on a shared machine. What is compared is measured in turn in one process, and the
ratios of medians are what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.measure import Point, in_turn

ROOT = Path(__file__).resolve().parent.parent
QUIET = ["-nx", "-q", "-batch", "-iex", "set debuginfod enabled off"]
LOAD = str(ROOT / "gdbext/load.py")
EXPRESSIONS = {"ints": "main.Keep.Ints", "strings": "main.Keep.Strings", "structs": "main.Keep.Structs"}
#: What takes a peer five minutes lies between 100,000 entries and a million, so there is one more size there.
SIZES = [10**3, 10**4, 10**5, 3 * 10**5, 10**6, 10**7]
#: Beyond this all entries are more text than anybody reads, and a read over RPC is only slow.
MANY = 10**6
#: series -> (the map's kind, what grows, its sizes, the command): cost of one command line as one number grows.
COMMANDS = {
    "alias": ("ints", "GOMAP_GOROUTINES", [10, 100, 1000, 10_000, 100_000], "hmap-alias --scope all --json"),
    "top": ("ints", "GOMAP_GOROUTINES", [10, 100, 1000, 10_000, 100_000], "hmap-top --json"),
    "check": ("ints", "GOMAP_N", SIZES[:5], "hmap-check main.Keep.Ints --json"),
    "check-strings": ("strings", "GOMAP_N", SIZES[:5], "hmap-check main.Keep.Strings --json"),
    "get": ("ints", "GOMAP_N", SIZES, "hmap-get main.Keep.Ints 77 --json"),
}
SERIES = ("maps", "cores", "start", *COMMANDS)


@dataclass
class Bench:
    """What is measured with, and what was found."""

    options: argparse.Namespace
    folder: Path
    points: list[Point] = field(default_factory=list)
    programs: dict[str, Path] = field(default_factory=dict)  # by the go command
    names: dict[str, str] = field(default_factory=dict)
    slow: dict[tuple[str, ...], tuple[int, float]] = field(default_factory=dict)

    def add(self, point: Point) -> None:
        self.points.append(point)
        print(report.line(point), flush=True)

    def build(self, go: str) -> None:
        binary = self.folder / f"program-{len(self.programs)}"
        env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
        subprocess.run([go, "build", "-o", binary, "."], cwd=ROOT / "benchmarks/program", env=env, check=True)
        told = subprocess.run([go, "version"], env=env, capture_output=True, text=True, check=True)
        self.programs[go], self.names[go] = binary, told.stdout.split()[2]

    def run(self, command: list[str], job: dict[str, Any], seconds: float, **env: object) -> dict[str, Any]:
        """What a process answers to a job; or why it did not, as the note of every work."""
        path = self.folder / "answer.json"
        path.unlink(missing_ok=True)
        job = {"seconds": self.options.seconds, **job, "answer": str(path)}
        given = {name: str(value) for name, value in env.items()}
        given.update(GOMAP_JOB=json.dumps(job), PYTHONPATH=str(ROOT), GOMAP_DLV=self.options.dlv)
        why = f"not done after {seconds:.0f} s"
        # A session of its own: when it takes too long, the program in it has to go as well.
        process = subprocess.Popen(
            command,
            env={**os.environ, **given},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said = process.communicate(timeout=seconds)[0]
            why = (said.strip().splitlines() or ["no answer"])[-1]
        except subprocess.TimeoutExpired:
            end(process)
        if path.exists():
            answer: dict[str, Any] = json.loads(path.read_text())
            return answer
        names = [name for group in job["groups"] for name in group]
        return {"times": {}, "memory": {}, "notes": dict.fromkeys(names, why)}

    def keep(self, answer: dict[str, Any], go: str, way: str, kind: str, size: int) -> None:
        name = f"{self.names[go]} {answer['layout']}" if answer.get("layout") else self.names[go]
        for series in {**answer["times"], **answer["notes"]}:
            seconds, cpu = answer["times"].get(series, ([], []))
            size_of = answer.get("bytes", 0) if series in ("raw", "show") else 0
            memory, note = answer["memory"].get(series, 0), answer["notes"].get(series, "")[:120]
            self.add(Point(series, name, way, kind, size, seconds, cpu, size_of, memory, note))

    def too_slow(self, key: tuple[str, ...], size: int) -> bool:
        """Whether a peer would take longer than it may, judging by its last size."""
        if key not in self.slow:
            return False
        last, seconds = self.slow[key]
        return seconds * size / last > self.options.peer_seconds

    def took(self, key: tuple[str, ...], size: int, answer: dict[str, Any], series: str) -> None:
        taken = answer["times"].get(series)
        self.slow[key] = (size, min(taken[0]) if taken else float("inf"))


def end(process: subprocess.Popen[str]) -> None:
    """Ends a process of ours and what it started: it leads a session of its own."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def gdb_command(gdb: str, binary: Path, *first: str, core: Path | None = None) -> list[str]:
    inside = str(ROOT / "benchmarks/inside_gdb.py")
    start = ["-ex", f"core-file {core}"] if core else ["-ex", "run"]
    return [gdb, *QUIET, *start, *first, "-x", inside, str(binary)]


def maps(bench: Bench) -> None:
    """hmap-show and all entries, of every kind and size, live."""
    options = bench.options
    for go in options.go:
        for kind in options.kinds:
            for size in (size for size in SIZES if size <= options.largest):
                env: dict[str, Any] = {"GOMAP_KIND": kind, "GOMAP_N": size}
                expr, name = EXPRESSIONS[kind], bench.names[go]
                told = subprocess.run(
                    [bench.programs[go], "range"],
                    env={**os.environ, "GOMAP_KIND": kind, "GOMAP_N": str(size)},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                bench.add(Point("range", name, "program", kind, size, [int(n) / 1e9 for n in told.stdout.split()]))
                groups = [{"raw": "raw", "show": f"hmap-show {expr} --json"}]
                if size <= MANY:
                    groups.append({"entries": f"hmap-show {expr} --entries {size} --json"})
                for gdb in options.gdb:
                    command = gdb_command(gdb, bench.programs[go], "-x", LOAD)
                    answer = bench.run(command, {"expr": expr, "groups": groups}, 900, **env)
                    bench.keep(answer, go, options.gdb_names[gdb], kind, size)
                runtime_gdb(bench, go, kind, size, env)
                delve(bench, go, kind, size, env, groups)


def runtime_gdb(bench: Bench, go: str, kind: str, size: int, env: dict[str, Any]) -> None:
    """Go's own printer of maps, in a gdb without gomap."""
    key = ("runtime-gdb", go, kind)
    if bench.too_slow(key, size):
        return
    told = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    gdb = bench.options.gdb[0]
    first = ["-ex", f"source {told}/src/runtime/runtime-gdb.py", "-ex", "set print elements unlimited"]
    line = f"print 'main.Keep'.{EXPRESSIONS[kind].rsplit('.', 1)[1]}"
    job = {"groups": [{"runtime-gdb": line}], "size": size}
    answer = bench.run(gdb_command(gdb, bench.programs[go], *first), job, bench.options.peer_seconds + 60, **env)
    bench.keep(answer, go, bench.options.gdb_names[gdb], kind, size)
    bench.took(key, size, answer, "runtime-gdb")


def delve(bench: Bench, go: str, kind: str, size: int, env: dict[str, Any], groups: list[dict[str, str]]) -> None:
    if not bench.options.dlv:
        return
    program, key = str(bench.programs[go]), ("eval", go, kind)
    for way, direct in (("delve direct", True), ("delve rpc", False)):
        if not direct and size > MANY:
            continue
        wanted = list(groups) if direct else groups[:1]
        if direct and size <= MANY and not bench.too_slow(key, size):
            wanted.append({"eval": "eval"})
        job = {"program": program, "expr": EXPRESSIONS[kind], "size": size, "direct": direct, "groups": wanted}
        command = [sys.executable, "-m", "benchmarks.through_delve"]
        answer = bench.run(command, job, 900 + bench.options.peer_seconds, **env, GOMAP_DELVE=1)
        bench.keep(answer, go, way, kind, size)
        if direct and {"eval": "eval"} in wanted:
            bench.took(key, size, answer, "eval")


def cores(bench: Bench) -> None:
    """hmap-show of a core file of a map[int]int."""
    options, kind, expr = bench.options, "ints", EXPRESSIONS["ints"]
    groups = [{"raw": "raw", "show": f"hmap-show {expr} --json"}]
    for go in options.go:
        for size in (size for size in (10**4, 10**6) if size <= options.largest):
            core, gdb = bench.folder / "core", options.gdb[0]
            command = gdb_command(gdb, bench.programs[go])
            bench.run(command, {"groups": [], "gcore": str(core)}, 600, GOMAP_KIND=kind, GOMAP_N=size)
            command = gdb_command(gdb, bench.programs[go], "-x", LOAD, core=core)
            answer = bench.run(command, {"expr": expr, "groups": groups}, 600)
            bench.keep(answer, go, f"{options.gdb_names[gdb]} core", kind, size)
            if options.dlv:
                program = str(bench.programs[go])
                job = {"program": program, "core": str(core), "expr": expr, "size": size, "direct": True}
                command = [sys.executable, "-m", "benchmarks.through_delve"]
                answer = bench.run(command, {**job, "groups": groups}, 600)
                bench.keep(answer, go, "delve core", kind, size)
            core.unlink(missing_ok=True)


def start(bench: Bench) -> None:
    """gdb's start and end without and with the extension."""
    for gdb in bench.options.gdb:

        def begin(*more: str, gdb: str = gdb) -> None:
            command = [gdb, *QUIET, *more]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)

        works = {"start plain": begin, "start loaded": lambda begin=begin: begin("-x", LOAD)}
        for series, (seconds, _) in in_turn(works, bench.options.seconds).items():
            bench.add(Point(series, "-", bench.options.gdb_names[gdb], "-", 1, seconds))


def command_series(bench: Bench, name: str) -> None:
    """One command line as one number grows, in gdb and through Delve."""
    kind, variable, sizes, line = COMMANDS[name]
    options = bench.options
    for go in options.go:
        for size in (size for size in sizes if size <= options.largest):
            env: dict[str, Any] = {"GOMAP_KIND": kind, "GOMAP_N": 1000, variable: size}
            job = {"groups": [{name: line}]}
            key = (name, go)
            if not bench.too_slow(key, size):
                gdb = options.gdb[0]
                command = gdb_command(gdb, bench.programs[go], "-x", LOAD)
                answer = bench.run(command, job, options.peer_seconds, **env)
                bench.keep(answer, go, options.gdb_names[gdb], kind, size)
                bench.took(key, size, answer, name)
            key = (name, go, "delve")
            if options.dlv and not bench.too_slow(key, size):
                job = {**job, "program": str(bench.programs[go]), "direct": True}
                command = [sys.executable, "-m", "benchmarks.through_delve"]
                answer = bench.run(command, job, options.peer_seconds, **env, GOMAP_DELVE=1)
                bench.keep(answer, go, "delve direct", kind, size)
                bench.took(key, size, answer, name)


def numpys(gdbs: dict[str, str]) -> Iterator[str]:
    """Which numpy gomap finds in each gdb, and in this Python, which is Delve's side's."""
    ask = "import numpy; print('numpy', numpy.__version__)"
    for gdb, name in gdbs.items():
        command = [gdb, *QUIET, "-x", LOAD, "-ex", f"python {ask}"]
        told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
        yield f"{told.split()[-1]} in {name}" if told.startswith("numpy ") else f"none in {name}"
    found = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False).stdout.split()
    yield f"{found[-1] if found else 'none'} in Python"


def machine(gdbs: dict[str, str]) -> Iterator[tuple[str, str]]:
    yield "date", time.strftime("%Y-%m-%d")
    yield (
        "machine",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    )
    yield "numpy", ", ".join(numpys(gdbs))
    yield "load", f"{os.getloadavg()[0]:.1f}"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--go", nargs="+", default=["go"], help="go commands that build the program: one a layout")
    parser.add_argument("--gdb", nargs="+", default=["gdb"], help="the first one is also the peers'")
    parser.add_argument("--dlv", default="dlv", help="empty: leave Delve out")
    parser.add_argument("--series", nargs="+", default=SERIES, choices=SERIES)
    parser.add_argument("--kinds", nargs="+", default=list(EXPRESSIONS), choices=list(EXPRESSIONS))
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="no larger size than this")
    parser.add_argument("--seconds", type=float, default=1.0, help="about so long is each work repeated")
    parser.add_argument("--peer-seconds", type=float, default=300, help="no peer may take longer")
    parser.add_argument("--quick", action="store_true", help="a minute: map[int]int up to 100,000 entries")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", help="folder for the results")
    options = parser.parse_args()
    if options.quick:
        options.kinds, options.largest, options.seconds = ["ints"], 10**5, 0.2
        options.peer_seconds = min(options.peer_seconds, 10.0)
    options.gdb_names = {}
    for gdb in options.gdb:
        told = subprocess.run([gdb, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
        options.gdb_names[gdb] = f"gdb {told.split()[-1]}"
    return options


def main() -> None:
    options = parsed()
    about = dict(machine(options.gdb_names))
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(options, Path(name))
        for go in options.go:
            bench.build(go)
        for series in options.series:
            if series in COMMANDS:
                command_series(bench, series)
            else:
                {"maps": maps, "cores": cores, "start": start}[series](bench)
    about["load"] += f" at the start, {os.getloadavg()[0]:.1f} at the end"
    about["took"] = f"{(time.perf_counter() - begun) / 60:.0f} minutes"
    options.out.mkdir(parents=True, exist_ok=True)
    text = report.text(about, bench.points)
    (options.out / "table.txt").write_text(text)
    (options.out / "results.json").write_text(
        json.dumps({"about": about, "points": [asdict(point) for point in bench.points]}, indent=1) + "\n"
    )
    (options.out / "short.md").write_text(report.markdown(about, bench.points))
    (options.out / "plot.svg").write_text(report.svg(about, bench.points))
    print("\n" + text)
    print(f"in {options.out}: table.txt, short.md, results.json, plot.svg")


if __name__ == "__main__":
    main()
