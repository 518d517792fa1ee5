"""gomap triage over a growing number of core files: python3 -m benchmarks.fleet [--cores N ...] [--workers N]

The cores are those of go_targets/small/fleet-*: five programs in seven builds that die in seven ways. About 4 MB of
disk for each. Needs the packages of `gomap[fleet]`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.process import ROOT
from tests.support import fleet, toolchains

#: Seconds between two looks at the memory of the processes.
INTERVAL = 0.2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.fleet")
    parser.add_argument("--cores", type=int, nargs="*", default=[250, 500, 1000])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(f"load before: {' '.join(Path('/proc/loadavg').read_text().split()[:3])}, {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory(prefix="gomap-fleet-") as folder:
        where = Path(folder)
        programs = fleet.build(toolchains.SYSTEM, where / "programs")
        start = time.monotonic()
        dead = list(fleet.cores(programs, max(options.cores), where / "cores"))
        used = sum(one.core.stat().st_blocks * 512 for one in dead)
        size = sum(one.core.stat().st_size for one in dead)
        took = time.monotonic() - start
        print(f"{len(dead)} cores: {took:.0f} s to make, {size / 1e9:.1f} GB, {used / 1e9:.1f} GB on disk\n")
        print("| cores | elapsed | cores a second | processor, each | memory, each | memory of a worker | load |")
        print("|---|---|---|---|---|---|---|")
        for number in options.cores:
            chosen = where / f"of-{number}"
            chosen.mkdir()
            for one in dead[:number]:
                os.link(one.core, chosen / one.core.name)
            print(measured(chosen, programs[0].parent, where / f"out-{number}", options.workers, dead[:number]))
            shutil.rmtree(chosen)
    return 0


def measured(cores: Path, programs: Path, out: Path, workers: int, dead: list[fleet.Dumped]) -> str:
    """A row of the table. Raises AssertionError where the clusters are not what was planted."""
    command = [sys.executable, "-m", "direct", "triage", str(cores), "--programs", str(programs), "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with largest() as memory:
        run = subprocess.run(
            [*command, "--workers", str(workers), "--json"], env=env, capture_output=True, text=True, check=True
        )
    told = json.loads(run.stdout)["data"]
    found = {
        tuple(one[name] for name in ("cause", "program", "map", "type", "map_by", "place")): one["cores"]
        for one in told["clusters"]
    }
    assert found == Counter(one.cluster for one in dead), found
    seconds = told["counts"]["seconds"]
    asked = [sys.executable, "-m", "direct", "sql", str(out)]
    query = "SELECT avg(cpu), median(memory), max(memory) FROM cores"
    answer = subprocess.run([*asked, query, "--json"], env=env, capture_output=True, text=True, check=True).stdout
    ((cpu, median, most),) = json.loads(answer)["data"]["rows"]
    load, mib = Path("/proc/loadavg").read_text().split()[0], 1 << 20
    each = f"{median / mib:.0f} MiB, {most / mib:.0f} MiB at most"
    worker = f"{max(memory, default=0) / mib:.0f} MiB"
    return f"| {len(dead):,} | {seconds:.0f} s | {len(dead) / seconds:.1f} | {cpu:.2f} s | {each} | {worker} | {load} |"


@contextmanager
def largest() -> Iterator[list[int]]:
    """The most memory that a Dask worker of this process's children had, in bytes."""
    most: list[int] = []
    ended = threading.Event()

    def look() -> None:
        import psutil  # distributed needs it, too

        while not ended.wait(INTERVAL):
            for child in psutil.Process().children(recursive=True):
                try:
                    if "multiprocessing.spawn" in " ".join(child.cmdline()):
                        most.append(child.memory_info().rss)
                except psutil.Error:
                    continue

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield most
    finally:
        ended.set()
        watching.join()


if __name__ == "__main__":
    sys.exit(main())
