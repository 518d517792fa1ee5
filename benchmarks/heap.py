"""hmap-why over a large heap, without a debugger: seconds, memory, objects and pointers of each step.

    python3 -m benchmarks.heap --go GO [--entries 9000000]

A program fills its heap with entries of a list and of a map, some 2.3 objects an entry, and is stopped while it is
looked at. numpy and scipy have to be there.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from direct.target import DirectTarget, of_process
from gomap.analysis.retention import Retained
from gomap.golang.runtime.heap import Heap
from gomap.heap.graph import build
from gomap.heap.roots import roots

SOURCE = """package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
)

type node struct {
	name string
	next *node
	more []*node
	m    map[string]*node
}

var (
	Root  = map[string]*node{}
	Chain *node
)

func main() {
	debug.SetGCPercent(-1)
	n, _ := strconv.Atoi(os.Args[1])
	for i := 0; i < n; i++ {
		x := &node{name: "node " + strconv.Itoa(i) + " of many", next: Chain}
		if i%8 == 0 {
			x.more = []*node{Chain, x}
		}
		if i%64 == 0 {
			x.m = map[string]*node{x.name: x}
			Root[x.name] = x
		}
		Chain = x
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
}
"""
T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", default="go")
    parser.add_argument("--entries", type=int, default=9_000_000)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "main.go"
        source.write_text(SOURCE)
        binary = Path(folder) / "heap"
        subprocess.run([options.go, "build", "-o", str(binary), str(source)], check=True, cwd=folder)
        command = [str(binary), str(options.entries)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            os.kill(process.pid, signal.SIGSTOP)
            measure(process.pid)
        finally:
            process.kill()
            process.wait()
    return 0


def measure(pid: int) -> None:
    print(f"load {os.getloadavg()[0]:.1f}")
    target = DirectTarget(of_process(pid))
    heap = Heap(target)
    graph = step("graph", lambda: build(target, heap))
    found = step("roots", lambda: roots(target, graph))
    retained = step("what is reached", lambda: Retained(graph, found))
    variable = target.variable("main.Root")
    assert variable is not None
    one = graph.objects.object_at(target.arch.pointer(variable.read(target.memory, 0, target.arch.pointer_size)))
    kept = step("one answer", lambda: retained.of_object(one))
    print(f"{graph.objects.count:,} objects, {len(graph.ends):,} pointers, {len(found.objects):,} roots")
    print(f"without main.Root {kept.bytes:,} B in {kept.count:,} objects would be freed")


def step(what: str, work: Callable[[], T]) -> T:
    wall, used = time.monotonic(), time.process_time()
    found = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    wall, used = time.monotonic() - wall, time.process_time() - used
    print(f"{what:16} {wall:6.1f} s {used:6.1f} s of processor, peak {peak:,} MiB", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
