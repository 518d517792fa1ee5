"""What the clients of a server notice while gomap reads it, and while debuggers do.

python3 -m benchmarks.served [--go GO] [--gdb GDB] [--dlv DLV] [--rounds N] [--rate N] [--folder DIR]

The server is NATS 2.15.3 with 100 clients, linked without symbols (-trimpath -ldflags='-s -w'). One more client asks it
so many times a second and notes how long each answer takes from when the question was due, so a question that waits for
the one before it counts as well. What is compared is done in turn in one run, once a round, so that what else the
machine does hits all alike. `computes` is a Python program that takes a processor for as long as gomap, and reads
nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.first import in_gdb, through_delve
from tests.support.served import BARE, PACKAGE, loaded, serving

ROOT = Path(__file__).resolve().parent.parent
LINE = "hmap-top"
COMPUTES = "import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"


def built(go: str, folder: Path) -> Path:
    binary = folder / "nats-server"
    if not binary.exists():
        env = {**os.environ, "GOBIN": str(folder), "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}
        subprocess.run([go, "install", "-trimpath", f"-ldflags={BARE}", PACKAGE], env=env, check=True)
    return binary


def gomap(pid: int, *options: str) -> None:
    command = [sys.executable, "-m", "direct", "pid", str(pid), *options, "-c", LINE]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)


def computes(seconds: float) -> None:
    subprocess.run([sys.executable, "-c", COMPUTES.format(seconds=seconds)], check=True)


def at(times: list[float], share: float) -> float:
    """Milliseconds."""
    return 1000 * times[min(int(share * len(times)), len(times) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.served", description=__doc__.splitlines()[0])
    parser.add_argument("--go", default="go", help="the go command that builds the server")
    parser.add_argument("--gdb", default="gdb", help="'' to leave it out")
    parser.add_argument("--dlv", default=shutil.which("dlv") or "", help="'' to leave it out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=500, help="questions a second")
    parser.add_argument("--folder", help="where the server is built, or is already")
    options = parser.parse_args()
    begun = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        binary = built(options.go, Path(options.folder or name).resolve())
        with serving(binary, 100, 2, sampled=False) as server, loaded(server.port, options.rate) as load:
            pid, lasts = server.pid, [3.0]
            works: dict[str, Callable[[], object]] = {
                "nothing": lambda: time.sleep(lasts[-1]),
                "computes": lambda: computes(lasts[-1]),
                "gomap pid": lambda: gomap(pid),
                "gomap pid --pause": lambda: gomap(pid, "--pause"),
            }
            if options.gdb:
                works["gdb -p"] = lambda: in_gdb(options.gdb, pid, LINE)
            if options.dlv:
                works["dlv-hmap attach"] = lambda: through_delve(options.dlv, pid, LINE)
            windows: dict[str, list[tuple[float, float]]] = {what: [] for what in works}
            for _ in range(options.rounds):
                for what, work in works.items():
                    start = time.monotonic()
                    work()
                    windows[what].append((start, time.monotonic()))
                    if what == "gomap pid":
                        lasts.append(windows[what][-1][1] - start)
                    time.sleep(1)  # what has waited is answered
            load.end()
    print(f"{os.cpu_count()} cores, load {begun:.1f} at the start, {os.getloadavg()[0]:.1f} at the end")
    print(f"{'beside it':20} {'takes':>7} {'questions':>10} {'median':>9} {'99%':>9} {'99.9%':>9} {'longest':>9}  ms")
    for what, every in windows.items():
        times = sorted(took for since, until in every for took in load.between(since, until))
        takes = statistics.median(until - since for since, until in every)
        figures = " ".join(f"{at(times, share):9.2f}" for share in (0.5, 0.99, 0.999, 1))
        print(f"{what:20} {takes:6.1f}s {len(times):10,} {figures}")


if __name__ == "__main__":
    main()
