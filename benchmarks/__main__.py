"""Builds go_targets/large, stops it in gdb, and measures hmap-show beside the plain read of the same bytes.

    python3 -m benchmarks [--go GO] [--gdb GDB] [--entries N ...]

Absolute times say little on a shared machine: each pair of measurements is taken turn by turn in one
process, and the ratio of their medians is what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUIET = ["-nx", "-q", "-batch", "-iex", "set debuginfod enabled off"]
START_UPS = 21


def build(go: str, folder: Path) -> Path:
    binary = folder / "large"
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
    subprocess.run([go, "build", "-o", binary, "./large"], cwd=ROOT / "go_targets", env=env, check=True)
    return binary


def measure(gdb: str, binary: Path, entries: int, folder: Path) -> dict[str, object]:
    """What inside_gdb.py measured with a map of so many entries."""
    answer = folder / f"answer-{entries}.json"
    env = {
        **os.environ,
        "GOMAP_N": str(entries),
        "GOMAP_TRUTH": os.devnull,
        "GOMAP_BENCHMARK": str(answer),
    }
    load, inside = ROOT / "gdbext/load.py", ROOT / "benchmarks/inside_gdb.py"
    command = [gdb, *QUIET, "-ex", "run", "-x", load, "-x", inside, binary]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if not answer.exists():
        sys.exit(f"gdb measured nothing:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    found: dict[str, object] = json.loads(answer.read_text())
    return found


def start_up(gdb: str) -> tuple[float, float]:
    """Median seconds of gdb's start and end, without and with the extension, taken in turn."""
    plain, loaded = [gdb, *QUIET], [gdb, *QUIET, "-x", str(ROOT / "gdbext/load.py")]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(START_UPS):
        for command, kept in zip((plain, loaded), times):
            start = time.perf_counter()
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
            kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--go", default="go", help="the go command that builds the program")
    parser.add_argument("--gdb", default="gdb")
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000_000, 10_000_000])
    options = parser.parse_args()
    version = subprocess.run([options.go, "version"], capture_output=True, text=True, check=True).stdout.split()[2]
    load = os.getloadavg()[0]
    print(f"{version}, {options.gdb}, {os.cpu_count()} cores, load {load:.1f} at the start\n")
    print("map[int]int        layout    bytes  read: at once  in pieces   hmap-show  ratios      more memory")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        binary = build(options.go, folder)
        for entries in options.entries:
            found = measure(options.gdb, binary, entries, folder)
            read, pieces, show = (float(str(found[name])) for name in ("read", "pieces", "show"))
            print(
                f"{entries:>10,} entries  {found['layout']:8}  {int(str(found['bytes'])) >> 20:>4} M"
                f"  {1000 * read:>9.1f} ms {1000 * pieces:>7.1f} ms  {1000 * show:>7.1f} ms"
                f"  {show / read:>4.2f} {show / pieces:>5.2f}  {int(str(found['memory'])) >> 20:>8} MB"
            )
    plain, loaded = start_up(options.gdb)
    more = 1000 * (loaded - plain)
    print(f"\nstart of gdb: {1000 * plain:.0f} ms, with gomap {1000 * loaded:.0f} ms: {more:.0f} ms more")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
