"""Builds go_targets/process with many users, stops it in gdb, and measures hmap-top and its memory.

    python3 -m benchmarks.process [--go GO] [--gdb GDB] [--users N] [--bytes N]

Each user is a struct with two maps and BYTES of text: 50,000 of 20,000 bytes are 100,000 maps in 1 GB of heap.
Processor time counts on a shared machine: beside the time that passed it is printed for each command.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUIET = ["-nx", "-q", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load python-scripts off"]
COMMANDS = ("hmap-top --json", "hmap-top --values --json", "hmap-whatis main.Users --json")
#: Runs inside gdb: one line of JSON a command.
INSIDE = """
python
import json, os, resource, time, gdb
for line in json.loads(os.environ["GOMAP_COMMANDS"]):
    wall, cpu = time.perf_counter(), time.process_time()
    data = json.loads(gdb.execute(line, to_string=True))["data"]
    used = {"line": line, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    used["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    used["total"] = data.get("total")
    print("measured " + json.dumps(used))
end
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.process", description=__doc__.splitlines()[0])
    parser.add_argument("--go", default="go", help="the go command that builds the program")
    parser.add_argument("--gdb", default="gdb")
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--bytes", type=int, default=20_000, help="of text for each user")
    options = parser.parse_args()
    version = subprocess.run([options.go, "version"], capture_output=True, text=True, check=True).stdout.split()[2]
    print(f"{version}, {options.gdb}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start\n")
    with tempfile.TemporaryDirectory() as name:
        binary, script = Path(name) / "process", Path(name) / "inside.gdb"
        env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
        subprocess.run([options.go, "build", "-o", binary, "./process"], cwd=ROOT / "go_targets", env=env, check=True)
        script.write_text(INSIDE)
        env = {
            **os.environ,
            "GOMAP_TRUTH": os.devnull,
            "GOMAP_COMMANDS": json.dumps(COMMANDS),
            "GOMAP_N": str(options.users),
            "GOMAP_BYTES": str(options.bytes),
        }
        command = [options.gdb, *QUIET, "-ex", "run", "-x", ROOT / "gdbext/load.py", "-x", script, binary]
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    measured = [json.loads(line[9:]) for line in done.stdout.splitlines() if line.startswith("measured ")]
    if len(measured) != len(COMMANDS):
        sys.exit(f"gdb measured nothing:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    total = measured[1]["total"]
    held, values = total["bytes"]["allocated"] >> 20, total["values"] >> 20
    print(f"{total['maps']:,} maps of {held:,} MiB, values {values:,} MiB\n")
    print("command                          passed  processor  gdb's memory at most")
    for one in measured:
        print(f"{one['line']:30}  {one['wall']:6.1f} s  {one['cpu']:7.1f} s  {one['peak']:>8,} MB")
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
