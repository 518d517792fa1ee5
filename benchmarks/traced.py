"""What hmap-trace costs the program, beside the naive way: a breakpoint on mapassign with a condition.

    python3 -m benchmarks.traced --go GO [--gdb GDB] [--dlv DLV] [--maps 1000] [--keys 10000]

The program puts so many keys into each of so many maps, on two goroutines, and one key for each of these maps into
main.Finished, and times that itself: alone; with its growths traced by uprobes, in gdb, through Delve and without a
debugger, and by breakpoints; with the writes to main.Finished traced (--writes); and in gdb with a conditional
breakpoint in the function that map[string]int is written with. That one is not waited for to its end: after
--peer-seconds the keys that are there give the time for all.
All in turn, in one run.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent
SOURCE = """package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// Done is how many keys are there.
var Done [2]int

// Finished has a key for each map that is full.
var Finished = map[string]int{}

func main() {
	count, _ := strconv.Atoi(os.Args[1])
	keys, _ := strconv.Atoi(os.Args[2])
	if len(os.Args) > 3 && os.Args[3] == "stop" {
		runtime.Breakpoint()
	} else if len(os.Args) > 3 {
		fmt.Println("waiting")
		os.Stdin.Read(make([]byte, 1))
	}
	var all sync.WaitGroup
	var lock sync.Mutex
	started := time.Now()
	for g := 0; g < 2; g++ {
		all.Add(1)
		go func(g int) {
			defer all.Done()
			for i := g; i < count; i += 2 {
				m := map[string]int{}
				for k := 0; k < keys; k++ {
					m[strconv.Itoa(k)] = k
					Done[g]++
				}
				lock.Lock()
				Finished[strconv.Itoa(i)] = len(m)
				lock.Unlock()
			}
		}(g)
	}
	all.Wait()
	fmt.Println("took", time.Since(started).Seconds())
}
"""
#: poll(2) on amd64.
POLL = "7 "
FUNCTIONS = ("runtime.mapassign_faststr",)


def took(output: str) -> float:
    return float(re.findall(r"took ([\d.e+-]+)", output)[-1])


def run(command: list[str], **env: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, timeout=3600)
    return done.stdout + done.stderr


def timed(command: list[str], **env: str) -> tuple[str, float]:
    """(what it printed, seconds of processor time that it and its children took)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = run(command, **env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def beside(binary: Path, numbers: list[str]) -> tuple[str, float]:
    """As timed, with the growths traced by gomap pid."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pipe = subprocess.PIPE
    program = subprocess.Popen([str(binary), *numbers, "wait"], stdin=pipe, stdout=pipe, text=True)
    assert program.stdout is not None
    program.stdout.readline()
    command = [str(ROOT / "bin" / "gomap"), "pid", str(program.pid), "-c", "hmap-trace"]
    gomap = subprocess.Popen(command, stdout=pipe, text=True)
    while not Path(f"/proc/{gomap.pid}/syscall").read_text().startswith(POLL):
        if gomap.poll() is not None:
            program.kill()
            program.communicate()
            raise SystemExit("hmap-trace has ended before the program went on: its error is above")
        time.sleep(0.01)  # until it has begun, and waits
    own, _ = program.communicate("\n")
    said, _ = gomap.communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + said, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def gdb_words(gdb: str) -> list[str]:
    load = ROOT / "gdbext" / "load.py"
    return [gdb, "-nx", "-q", "-batch", "-iex", "set auto-load python-scripts off", "-ex", f"source {load}"]


def naive(gdb: str, binary: Path, numbers: list[str], seconds: float) -> tuple[float, int]:
    """(seconds, keys put in by then)."""
    script = f"""
import threading, time
end = threading.Event()
def over():
    if not end.wait({seconds}):
        gdb.post_event(lambda: gdb.execute("interrupt"))
threading.Thread(target=over, daemon=True).start()
started = time.monotonic()
gdb.execute("continue", to_string=True)
end.set()
spent = time.monotonic() - started
print("naive", spent, int(gdb.parse_and_eval("'main.Done'[0]")) + int(gdb.parse_and_eval("'main.Done'[1]")))
"""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        breaks = [word for name in FUNCTIONS for word in ("-ex", f"break '{name}' if $rbx == 1")]
        words = [*gdb_words(gdb), "-ex", f"run {' '.join(numbers)} stop", *breaks, "-ex", f"source {file.name}"]
        output = run([*words, "-ex", "kill", str(binary)])
    spent, keys = re.findall(r"naive ([\d.]+) (\d+)", output)[-1]
    return float(spent), int(keys)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--go", required=True)
    parser.add_argument("--gdb", default="gdb")
    parser.add_argument("--dlv", default="dlv")
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--peer-seconds", type=float, default=20)
    of_rounds = "runs of each way but breakpoints, in turn; medians are printed"
    parser.add_argument("--rounds", type=int, default=5, help=of_rounds)
    options = parser.parse_args()
    numbers = [str(options.maps), str(options.keys)]
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "main.go", Path(folder) / "traced"
        source.write_text(SOURCE)
        subprocess.run(
            [options.go, "build", "-o", str(binary), str(source)],
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
        before = os.getloadavg()[0]
        gdb = [*gdb_words(options.gdb), "-ex", f"run {' '.join(numbers)} stop", "-ex"]
        dlv = [str(ROOT / "bin" / "dlv-hmap"), "exec", str(binary), "-c", "continue", "-c"]

        def in_gdb(command: str) -> Callable[[], tuple[str, float]]:
            return lambda: timed([*gdb, command, str(binary)])

        def in_delve(command: str) -> Callable[[], tuple[str, float]]:
            return lambda: timed([*dlv, command, "--", *numbers, "stop"], GOMAP_DLV=options.dlv)

        # Going on without a trace tells what starting the debugger takes.
        every_round: dict[str, Callable[[], tuple[str, float]]] = {
            "alone": lambda: timed([str(binary), *numbers]),
            "hmap-trace without a debugger": lambda: beside(binary, numbers),
        }
        for command in ("continue", "hmap-trace --by uprobes", "hmap-trace main.Finished --writes"):
            every_round[f"{command} in gdb"] = in_gdb(command)
            every_round[f"{command} in Delve"] = in_delve(command)
        rounds = [{name: way() for name, way in every_round.items()} for _ in range(options.rounds)]
        command = "hmap-trace --by breakpoints"
        once = {f"{command} in gdb": in_gdb(command)(), f"{command} in Delve": in_delve(command)()}
        started = time.monotonic()
        spent, keys = naive(options.gdb, binary, numbers, options.peer_seconds)
        assert time.monotonic() - started < options.peer_seconds + 60
        every = options.maps * options.keys
        print(f"{options.maps:,} maps of {options.keys:,} keys, load {before:.1f} to {os.getloadavg()[0]:.1f}")
        alone = statistics.median(took(one["alone"][0]) for one in rounds)
        every_run = {name: [one[name] for one in rounds] for name in every_round}
        every_run.update((name, [one]) for name, one in once.items())
        for name, runs in every_run.items():
            times, cpu = [took(said) for said, _ in runs], statistics.median(cpu for _, cpu in runs)
            counted = [re.findall(r"with\s+([\d,]+\s+(?:records|stops))", said) for said, _ in runs]
            stops = counted[0][0] if counted[0] else ""
            spread = f"{statistics.median(times):8.2f} s ({min(times):.2f} to {max(times):.2f})"
            times_of = f"{statistics.median(times) / alone:5.2f} times"
            print(f"  {name:42} {spread:28} {times_of}  processor {cpu:6.1f} s  {stops}")
        whole = spent * every / max(keys, 1)
        print(f"  a breakpoint on mapassign, by {keys:,} keys in {spent:.0f} s")
        print(f"  {'':42} {whole:8.0f} s  {whole / alone:8.0f} times")


if __name__ == "__main__":
    main()
