"""What hmap-break costs a program that writes to other maps, beside a conditional breakpoint on mapassign.

    python3 -m benchmarks.watched --go GO [--gdb GDB] [--dlv DLV] [--writes 1000000]

The program puts so many keys into a thousand maps and times that itself; it clears the watched map once at the end, so
that what was set is seen to work; its own processor time is the figure to go by where the machine has other work.
Alone, with a watchpoint by hmap-break in gdb and through Delve, and in gdb with a
conditional breakpoint in the function that the map is written with. That one is not waited for to its end: after
--peer-seconds the keys that are there give the time for all. All in turn, in one run.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from pathlib import Path

from benchmarks.traced import ROOT, gdb_words, naive, run, took

SOURCE = """package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Watched is what nothing is done to until the end. Done is how many keys are there.
var (
	Watched = map[string]int{"a": 1}
	Done    [2]int
)

func main() {
	writes, _ := strconv.Atoi(os.Args[1])
	if len(os.Args) > 2 {
		runtime.Breakpoint()
	}
	var maps [1000]map[string]int
	started := time.Now()
	for i := 0; i < writes; i++ {
		m := &maps[i%1000]
		if *m == nil {
			*m = map[string]int{}
		}
		(*m)[strconv.Itoa(i)] = i
		Done[0]++
	}
	passed := time.Since(started).Seconds()
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	fmt.Println("took", passed, "cpu", float64(used.Utime.Nano()+used.Stime.Nano())/1e9)
	Watched["b"] = len(maps[0])
	delete(Watched, "a")
	clear(Watched)
}
"""


def both(output: str) -> tuple[float, float]:
    """(seconds passed, seconds of the program's own processor time)."""
    return took(output), float(re.findall(r"cpu ([\d.e+-]+)", output)[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--go", required=True)
    parser.add_argument("--gdb", default="gdb")
    parser.add_argument("--dlv", default="dlv")
    parser.add_argument("--writes", type=int, default=1_000_000)
    parser.add_argument("--peer-seconds", type=float, default=20)
    options = parser.parse_args()
    numbers = [str(options.writes)]
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "main.go", Path(folder) / "watched"
        source.write_text(SOURCE)
        subprocess.run(
            [options.go, "build", "-o", str(binary), str(source)],
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
        before = os.getloadavg()[0]
        gdb = [*gdb_words(options.gdb), "-ex", f"run {numbers[0]} stop"]
        dlv = [str(ROOT / "bin" / "dlv-hmap"), "exec", str(binary), "-c", "continue"]
        times: dict[str, list[tuple[float, float]]] = {}
        for _ in range(3):
            times.setdefault("alone", []).append(both(run([str(binary), *numbers])))
            for event in ("insert", "write", "growth"):
                ask = f"hmap-break main.Watched --on {event}"
                said = run([*gdb, "-ex", ask, "-ex", "continue", "-ex", "kill", str(binary)])
                assert event == "growth" or "main.Watched: insert of" in said, said
                times.setdefault(f"gdb, {event}", []).append(both(said))
                if event == "growth":
                    continue  # minutes
                said = run([*dlv, "-c", ask, "-c", "continue", "--", *numbers, "stop"], GOMAP_DLV=options.dlv)
                assert "main.Watched: insert of" in said, said
                times.setdefault(f"Delve, {event}", []).append(both(said))
        passed, cpu = map(min, zip(*times["alone"]))
        print(f"{options.writes:,} writes to 1,000 maps, best of 3, load {before:.1f} to {os.getloadavg()[0]:.1f}")
        for name, found in times.items():
            best, own = map(min, zip(*found))
            print(f"  {name:16} {best:8.3f} s {best / passed:6.2f} times;  cpu {own:6.3f} s {own / cpu:6.2f} times")
        spent, keys = naive(options.gdb, binary, numbers, options.peer_seconds)
        whole = spent * options.writes / max(keys, 1)
        print(f"  a breakpoint on mapassign, by {keys:,} keys in {spent:.0f} s")
        print(f"                   {whole:8.0f} s  {whole / passed:6.0f} times")


if __name__ == "__main__":
    main()
