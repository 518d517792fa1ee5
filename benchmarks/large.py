"""Large heaps, and the programs that look at the same: all of it in one run, one after another.

    python3 -m benchmarks.large --go GO [--gdb GDB] [--numpy FOLDER] [--goref GRF] [--viewcore VIEWCORE]
                                [--core PROGRAM CORE ...] [--only maps,heap,core]

maps: go_targets/process with 100,000 and 1,000,000 maps, hmap-top in gdb, with numpy (from FOLDER, what gdb's Python
imports it from) and without. heap: benchmarks/heap.py, 20 million objects of 2 GiB, in a process that is stopped, and
then in its core, where goref (github.com/cloudwego/goref) and viewcore (golang.org/x/debug/cmd/viewcore) are asked
too. core: the same of cores that are there already. Both peers go through the whole heap: goref writes what each
reference holds as a profile, viewcore adds objects up by type. hmap-why is asked of the largest map.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.heap import SOURCE

ROOT = Path(__file__).resolve().parent.parent
QUIET = ["-nx", "-q", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load python-scripts off"]
#: Runs inside gdb: the command's seconds, and what gdb's memory grows by.
INSIDE = """
python
import json, os, resource, sys, time, gdb
if os.environ["GOMAP_NUMPY"]:
    sys.path.append(os.environ["GOMAP_NUMPY"])
else:
    sys.modules["numpy"] = None
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wall, cpu = time.perf_counter(), time.process_time()
data = json.loads(gdb.execute(os.environ["GOMAP_LINE"], to_string=True))["data"]
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
maps = data.get("total", {}).get("maps", 0) + (data.get("heap") or {}).get("maps", 0)
print("measured " + json.dumps([wall, cpu, grown, f"{maps:,} maps"]))
end
"""
USERS = (50_000, 500_000)
#: Entries of the heap benchmark's list, and bytes of text that each has: 20 million objects in 2 GiB.
ENTRIES, TEXT = 8_500_000, 112
#: A peer that takes longer is ended.
LONGEST = 900


@dataclass(frozen=True)
class Row:
    what: str
    wall: float
    cpu: float
    peak: float
    told: str


def shown(row: Row) -> None:
    load = os.getloadavg()[0]
    print(
        f"| {row.what} | {row.wall:.1f} s | {row.cpu:.1f} s | {row.peak:,.0f} MiB | {load:.1f} | {row.told} |",
        flush=True,
    )


def timed(what: str, command: Sequence[str], told: str = "", env: Mapping[str, str] | None = None) -> Row:
    """A process from its start to its end; its peak is of all its memory."""
    with tempfile.TemporaryFile("w+") as output:
        wall = time.perf_counter()
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST)),
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = status
        wall = time.perf_counter() - wall
        output.seek(0)
        said = output.read()
    if status:
        told = f"ended with {status}: {(said.strip().splitlines() or ['no word'])[-1][:80]}"
    return Row(what, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, told or said)


def in_gdb(options: argparse.Namespace, what: str, line: str, numpy: str, debuggee: Sequence[str], **env: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "inside.gdb"
        script.write_text(INSIDE)
        start = [] if len(debuggee) > 1 else ["-ex", "run"]
        command = [options.gdb, *QUIET, *start, "-x", str(ROOT / "gdbext/load.py"), "-x", str(script), *debuggee]
        given = {**os.environ, "GOMAP_TRUTH": os.devnull, "GOMAP_LINE": line, "GOMAP_NUMPY": numpy, **env}
        done = subprocess.run(command, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    measured = [json.loads(text[9:]) for text in done.stdout.splitlines() if text.startswith("measured ")]
    if not measured:
        sys.exit(f"gdb measured nothing:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    shown(Row(what, *measured[0]))


def maps(options: argparse.Namespace, folder: Path) -> None:
    binary = folder / "process"
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
    subprocess.run([options.go, "build", "-o", binary, "./process"], cwd=ROOT / "go_targets", env=env, check=True)
    for numpy in filter(None, (options.numpy, "no")):
        for users in USERS:
            what = f"hmap-top, gdb {'without' if numpy == 'no' else 'with'} numpy, {2 * users:,} maps"
            has = "" if numpy == "no" else numpy
            in_gdb(options, what, "hmap-top --json", has, [str(binary)], GOMAP_N=str(users), GOMAP_BYTES="0")


def _whole_core() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    Path("/proc/self/coredump_filter").write_text("0x37")  # the program's code too, which viewcore wants there


@contextmanager
def filled(options: argparse.Namespace, folder: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    source, binary = folder / "main.go", folder / "heap"
    source.write_text(SOURCE)
    subprocess.run([options.go, "build", "-o", str(binary), str(source)], check=True, cwd=folder)
    process = subprocess.Popen(
        [str(binary), str(options.entries), str(options.text)],
        cwd=folder,
        env={**os.environ, "GOTRACEBACK": "crash"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=_whole_core,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield binary, process
    finally:
        process.kill()
        process.wait()


def heap(options: argparse.Namespace, folder: Path) -> None:
    with filled(options, folder) as (binary, process):
        os.kill(process.pid, signal.SIGSTOP)
        print(timed("", [sys.executable, "-m", "benchmarks.heap", "--pid", str(process.pid)]).told, end="")
        os.kill(process.pid, signal.SIGCONT)
        process.send_signal(signal.SIGABRT)
        process.wait()
        cores = list(folder.glob("core*"))
        if not cores:
            sys.exit("the program left no core: see /proc/sys/kernel/core_pattern")
        core(options, str(binary), str(cores[0]))
        cores[0].unlink()


def core(options: argparse.Namespace, program: str, path: str) -> None:
    """All that look at a core."""
    print(f"| {Path(program).name}, core of {os.path.getsize(path) / 2**30:.1f} GiB |  |  |  |  |  |")
    if options.numpy:
        in_gdb(options, "hmap-top, gdb with numpy", "hmap-top --json", options.numpy, [program, path])
    alone = [sys.executable, "-m", "direct", "core", program, path, "-c"]
    row = timed("", [*alone, "hmap-top -n 1 --json"], env={"PYTHONPATH": str(ROOT)})
    told = json.loads(row.told)["data"]
    first = told["maps"][0]
    found = f"{told['total']['maps'] + told['heap']['maps']:,} maps"
    shown(Row("hmap-top, gomap core", row.wall, row.cpu, row.peak, found))
    row = timed("", [*alone, f"hmap-why {first['address']} --json"], env={"PYTHONPATH": str(ROOT)})
    data = json.loads(row.told)["data"]
    found = f"{data['scanned']['objects']:,} objects, {data['scanned']['pointers']:,} pointers"
    shown(Row("hmap-why, gomap core, graph and all", row.wall, row.cpu, row.peak, found))
    with tempfile.TemporaryDirectory() as name:
        if options.goref:
            profile = str(Path(name) / "profile")
            row = timed("goref", [options.goref, "core", program, path, "-o", profile])
            shown(Row(row.what, row.wall, row.cpu, row.peak, said(row.told)))
        if options.viewcore:
            row = timed("viewcore histogram", [options.viewcore, path, "--exe", program, "histogram"])
            shown(Row(row.what, row.wall, row.cpu, row.peak, said(row.told)))


def said(text: str) -> str:
    """What tells whether a peer came to an end."""
    return (text.strip().splitlines() or ["nothing"])[-1][:80].replace("|", " ")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.large", description=__doc__.splitlines()[0])
    parser.add_argument("--go", default="go")
    parser.add_argument("--gdb", default="gdb")
    parser.add_argument("--numpy", default="", help="folder that gdb's Python imports numpy and scipy from")
    parser.add_argument("--goref", default="")
    parser.add_argument("--viewcore", default="")
    parser.add_argument("--core", nargs=2, action="append", default=[], metavar=("PROGRAM", "CORE"))
    parser.add_argument("--only", default="maps,heap,core")
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--text", type=int, default=TEXT, help="bytes of text in each entry of the heap's list")
    parser.add_argument("--folder", help="for programs and cores: some GB")
    options = parser.parse_args()
    print("| work | passed | processor | peak | load | |\n|---|---|---|---|---|---|")
    only = options.only.split(",")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        if "maps" in only:
            maps(options, Path(name))
        if "heap" in only:
            heap(options, Path(name))
    if "core" in only:
        for program, path in options.core:
            core(options, program, path)


if __name__ == "__main__":
    main()
