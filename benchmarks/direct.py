"""gomap without a debugger, and gdb and dlv beside it: time to answer, and how long the process stood still.

    python3 -m benchmarks.direct [--go GO] [--gdb GDB] [--dlv DLV] [--maps N] [--folder DIR] [--parts pid,core,top]

The program is Caddy 2.11.9 (80 MB, through the Go module proxy) with a main of its own that makes 100,000 maps.
The core file is go_targets/process with 2 GiB of text. The map of 1,000,000 entries and the 10,000 maps that gomap top
watches are the same program's. Processor time counts on a busy machine: it is printed beside the time that passed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.first import Measure, asked, in_gdb, through_delve
from direct.target import DirectTarget, of_process
from gomap import frontend
from gomap.declare import Settings
from gomap.maps import view
from gomap.memory import CHUNK, stream
from gomap.render.text import Style

ROOT = Path(__file__).resolve().parent.parent
MODULE = "module big\n\ngo 1.26\n\nrequire github.com/caddyserver/caddy/v2 v2.11.9\n"
MAIN = """package main

import (
	"fmt"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

type user struct {
	tags map[string]int
	seen map[int]bool
}

var (
	users []*user
	Large map[int]int
)

func main() {
	var number, large int
	fmt.Sscan(os.Getenv("MAPS"), &number)
	fmt.Sscan(os.Getenv("LARGE"), &large)
	for i := 0; i < number/2; i++ {
		u := &user{tags: map[string]int{}, seen: map[int]bool{}}
		for j := 0; j <= i%10; j++ {
			u.tags[fmt.Sprint("tag ", j)] = i
			u.seen[i+j] = true
		}
		users = append(users, u)
	}
	Large = map[int]int{}
	for i := 0; i < large; i++ {
		Large[i] = i
	}
	if len(os.Args) > 1 {
		caddycmd.Main()
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	fmt.Println(len(users), len(Large))
}
"""
STOOD = re.compile(r"was stopped for ([\d.]+) ms")


def built(go: str, folder: Path) -> tuple[Path, Path]:
    """The program with symbols, and stripped as it is released."""
    whole, bare = folder / "big", folder / "big-bare"
    if not whole.exists() or not bare.exists():
        source = folder / "source"
        source.mkdir(exist_ok=True)
        (source / "go.mod").write_text(MODULE)
        (source / "main.go").write_text(MAIN)
        env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}
        for command in (
            ["mod", "tidy"],
            ["build", "-o", str(whole), "."],
            ["build", "-trimpath", "-ldflags=-s -w", "-o", str(bare), "."],
        ):
            subprocess.run([go, *command], cwd=source, env=env, check=True)
    return whole, bare


@contextmanager
def running(binary: Path, maps: int = 0, large: int = 0) -> Iterator[int]:
    env = {**os.environ, "MAPS": str(maps), "LARGE": str(large)}
    process = subprocess.Popen([str(binary)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def alone(pid: int, line: str, *options: str) -> Measure:
    command = [sys.executable, "-m", "direct", "pid", str(pid), *options, "-c", line]
    return asked(command, {**os.environ, "PYTHONPATH": str(ROOT)}, pid, False)


def row(what: str, rounds: Sequence[Measure], wanted: str = "") -> None:
    first, stood, processor = (
        statistics.median(values) for values in zip(*((one.first, one.stood, one.processor) for one in rounds))
    )
    load = os.getloadavg()[0]
    print(f"{what:44} {first:8.2f} s {1000 * stood:9.0f} ms {processor:8.2f} s  {load:5.1f}  {wanted}", flush=True)


def of_processes(options: argparse.Namespace, binaries: tuple[Path, Path]) -> None:
    for binary, name in zip(binaries, ("with symbols", "stripped")):
        with running(binary, options.maps) as pid:
            row(f"gomap pid, {name}", [alone(pid, "hmap-top") for _ in range(options.rounds)], "at most 3 s, 0 ms")
            paused = [_stood(pid) for _ in range(options.rounds)]
            load = os.getloadavg()[0]
            what = f"gomap pid --pause, {name}"
            print(
                f"{what:44} {'':10} {statistics.median(paused):9.0f} ms {'':10}  {load:5.1f}  at most 50 ms", flush=True
            )
            if options.gdb:
                row(f"gdb -p, {name}", [in_gdb(options.gdb, pid, "hmap-top")])
            if options.dlv:
                row(f"dlv-hmap attach, {name}", [through_delve(options.dlv, pid, "hmap-top")])


def _stood(pid: int) -> float:
    """Milliseconds that the process stood still, as gomap says."""
    command = [sys.executable, "-m", "direct", "pid", str(pid), "--pause", "-c", "hmap-top"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = STOOD.search(run.stderr)
    assert found, run.stderr
    return float(found[1])


def of_core(options: argparse.Namespace, folder: Path) -> None:
    binary, core, script = folder / "process", folder / "core", folder / "core.gdb"
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
    subprocess.run([options.go, "build", "-o", binary, "./process"], cwd=ROOT / "go_targets", env=env, check=True)
    script.write_text(f"run\ngcore {core}\nkill\n")
    env = {**os.environ, "GOMAP_TRUTH": os.devnull, "GOMAP_N": "50000", "GOMAP_BYTES": "40000"}
    quiet = ["-nx", "-q", "-batch", "-iex", "set debuginfod enabled off"]
    subprocess.run([options.gdb, *quiet, "-x", script, binary], env=env, check=True, capture_output=True)
    size = core.stat().st_size / (1 << 30)
    rounds = []
    for _ in range(options.rounds):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "direct", "core", str(binary), str(core), "-c", "hmap-race"]
        run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        took, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rounds.append(Measure(took, 0, used, run.stdout))
    row(f"gomap core, {size:.1f} GiB, hmap-race", rounds, "at most 2 s")
    core.unlink()


def of_a_map(options: argparse.Namespace, binary: Path) -> None:
    """hmap-show beside the plain read of the same arrays, in turn in one process."""
    with running(binary, large=1_000_000) as pid:
        opened = of_process(pid)
        raw, show = [], []
        for _ in range(options.rounds + 1):
            target = DirectTarget(opened)
            variable = target.variable("main.Large")
            assert variable is not None
            found = view(target, variable.type, target.arch.pointer(variable.read(target.memory, 0, 8)))
            each = found.shape.slots.size
            pieces = [
                (base + at, min(CHUNK, count * each - at))
                for base, count in found.arrays_of(1 << 30)
                for at in range(0, count * each, CHUNK)
            ]
            begun = time.perf_counter()
            assert all(isinstance(data, (bytes, memoryview, bytearray)) for _, _, data in stream(target.memory, pieces))
            raw.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            frontend.run("hmap-show", "main.Large --json", lambda: DirectTarget(opened), Settings(), Style())
            show.append(time.perf_counter() - begun)
        first, second = statistics.median(raw[1:]), statistics.median(show[1:])
        load = os.getloadavg()[0]
        what = f"{1000 * second:.1f} ms, the plain read {1000 * first:.1f} ms: {second / first:.2f} times"
        print(f"{'hmap-show, 1,000,000 entries':44} {what}  {load:5.1f}  at most 1.3 times", flush=True)
        for line in ("--where key < 100", "--sort key -n 10", "--match 9999$ --keys"):
            times = []
            for _ in range(options.rounds):
                begun = time.perf_counter()
                told = frontend.run(
                    "hmap-entries", f"main.Large {line} --json", lambda: DirectTarget(opened), Settings(), Style()
                )
                times.append(time.perf_counter() - begun)
                assert told.error is None, told.error
            what = f"{statistics.median(times):.2f} s"
            print(f"{f'hmap-entries {line}, 1,000,000':44} {what}  {os.getloadavg()[0]:5.1f}", flush=True)


def of_top(binary: Path) -> None:
    with running(binary, 10_000) as pid:
        command = [sys.executable, "-m", "direct", "top", str(pid), "--json"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        costs = [json.loads(process.stdout.readline())["data"]["cost"] for _ in range(20)]
        process.kill()
        process.communicate()
    load = os.getloadavg()[0]
    what = f"{100 * statistics.median(costs[5:]):.1f}% of a core at a sample a second"
    print(f"{'gomap top, 10,000 maps':44} {what}  {load:5.1f}  at most 5%", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.direct", description=__doc__.splitlines()[0])
    parser.add_argument("--go", default="go", help="the go command that builds the programs")
    parser.add_argument("--gdb", default="gdb", help="'' to leave it out")
    parser.add_argument("--dlv", default=shutil.which("dlv") or "", help="'' to leave it out")
    parser.add_argument("--maps", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken of as many")
    parser.add_argument("--folder", help="where the programs are built, or are already")
    parser.add_argument("--parts", default="pid,core,show,top")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(f"{'what':44} {'answer':>10} {'stood still':>12} {'processor':>10}  {'load':>5}  wanted")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(options.folder or name).resolve()
        binaries = built(options.go, folder)
        parts = options.parts.split(",")
        if "pid" in parts:
            of_processes(options, binaries)
        if "core" in parts:
            of_core(options, folder)
        if "show" in parts:
            of_a_map(options, binaries[0])
        if "top" in parts:
            of_top(binaries[0])


if __name__ == "__main__":
    main()
