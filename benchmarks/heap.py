"""hmap-why over a large heap, without a debugger: seconds, memory, objects and pointers of each step.

    python3 -m benchmarks.heap --go GO [--entries 9000000] [--text 0]
    python3 -m benchmarks.heap --pid PID

A program fills its heap with entries of a list and of a map, some 2.3 objects an entry, and is stopped while it is
looked at; or a process that runs it already (--pid). numpy and scipy have to be there.
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
	"strings"
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
	text, _ := strconv.Atoi(os.Args[2])
	tail := strings.Repeat(".", text)
	for i := 0; i < n; i++ {
		x := &node{name: "node " + strconv.Itoa(i) + " of many" + tail, next: Chain}
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
    parser.add_argument("--text", type=int, default=0, help="more bytes of text in each entry")
    parser.add_argument("--pid", type=int)
    options = parser.parse_args(argv)
    if options.pid is not None:
        measure(options.pid)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "main.go"
        source.write_text(SOURCE)
        binary = Path(folder) / "heap"
        subprocess.run([options.go, "build", "-o", str(binary), str(source)], check=True, cwd=folder)
        command = [str(binary), str(options.entries), str(options.text)]
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
    target = DirectTarget(of_process(pid))
    heap = Heap(target)
    graph = step("objects and pointers", lambda: build(target, heap))
    found = step("roots", lambda: roots(target, graph))
    retained = step("what is reached", lambda: Retained(graph, found))
    variable = target.variable("main.Root")
    assert variable is not None
    one = graph.objects.object_at(target.arch.pointer(variable.read(target.memory, 0, target.arch.pointer_size)))
    kept = step("hmap-why, one answer", lambda: retained.of_object(one))
    size = int(graph.objects.sizes(graph.objects.np.arange(graph.objects.count)).sum())
    print(f"| {graph.objects.count:,} objects, {len(graph.ends):,} pointers, {size / 2**30:.1f} GiB |  |  |  |  |  |")
    print(f"| without main.Root {kept.bytes:,} B in {kept.count:,} objects would be freed |  |  |  |  |  |")


def step(what: str, work: Callable[[], T]) -> T:
    wall, used = time.monotonic(), time.process_time()
    found = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    wall, used = time.monotonic() - wall, time.process_time() - used
    print(f"| {what} | {wall:.1f} s | {used:.1f} s | {peak:,} MiB | {os.getloadavg()[0]:.1f} |  |", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
