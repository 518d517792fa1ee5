"""hmap-snapshot and hmap-diff over very many maps, without a debugger: seconds and memory of each step.

    python3 -m benchmarks.moments --go GO [--maps 1000000]

A program has a user for every two maps, in a slice and, one in ten, in a map, and changes one map in a hundred, frees
one and makes one between two snapshots. Each step but `take` is a process of its own, so its memory is its own too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from direct.target import DirectTarget, of_process
from gomap.declare import Context
from gomap.snapshots.compare import compare
from gomap.snapshots.file import load, write
from gomap.snapshots.take import take

SOURCE = """package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

type user struct {
	id    int
	prefs map[string]int
	cart  map[int]bool
}

var (
	Users  []*user
	ByName = map[string]*user{}
)

func add(i int) {
	u := &user{i, map[string]int{"color": i}, map[int]bool{}}
	for k := 0; k < i%12; k++ {
		u.cart[k] = true
	}
	if i%10 == 0 {
		ByName["user "+strconv.Itoa(i)] = u
	} else {
		Users = append(Users, u)
	}
}

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	for i := 0; i < n/2; i++ {
		add(i)
	}
	runtime.GC()
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	for i, end := 0, len(Users); i < end; i += 100 {
		Users[i].cart[-1] = true
		Users[i].prefs["size"] = i
		Users[i+1] = nil
		add(n + i)
	}
	runtime.GC()
	fmt.Println("changed")
	os.Stdin.Read(make([]byte, 1))
}
"""
T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", default="go")
    parser.add_argument("--maps", type=int, default=1_000_000)
    parser.add_argument("--compare", nargs=2, metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.compare:
        one, two = step("read both", lambda: [load(name) for name in options.compare])
        found = step("compare", lambda: compare(one, two, "bytes", 20))
        print(f"{len(one):,} and {len(two):,} maps: {found.number}, {found.unchanged:,} unchanged")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "main.go", Path(folder) / "moments"
        source.write_text(SOURCE)
        subprocess.run([options.go, "build", "-o", str(binary), str(source)], check=True, cwd=folder)
        pipe = subprocess.PIPE
        process = subprocess.Popen([str(binary), str(options.maps)], stdin=pipe, stdout=pipe)
        files = [str(Path(folder) / name) for name in ("before.snap", "after.snap")]
        try:
            assert process.stdin is not None and process.stdout is not None
            for name in files:
                process.stdout.readline()
                print(f"load {os.getloadavg()[0]:.1f}")
                target = DirectTarget(of_process(process.pid))
                snapshot, _ = step("take", lambda target=target: take(Context(target)))  # type: ignore[misc]
                size = step("write", lambda name=name, one=snapshot: write(name, one, False))  # type: ignore[misc]
                print(f"{len(snapshot):,} maps, {size / 1e6:.1f} MB")
                process.stdin.write(b"\n")
                process.stdin.flush()
        finally:
            process.kill()
            process.communicate()
        return subprocess.run([sys.executable, "-m", "benchmarks.moments", "--compare", *files], check=False).returncode


def step(what: str, work: Callable[[], T]) -> T:
    wall, used = time.monotonic(), time.process_time()
    found = work()
    # (What getrusage says of a process's memory begins with what its parent had.)
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) >> 10
    wall, used = time.monotonic() - wall, time.process_time() - used
    print(f"{what:16} {wall:6.1f} s {used:6.1f} s of processor, peak {peak:,} MiB", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
