"""hmap-alias --scope all over many parked goroutines, in gdb and through Delve.

    python3 -m benchmarks.goroutines [--go GO] [--gdb GDB] [--goroutines N ...]

Each goroutine of go_targets/goroutines stands seven frames deep (twelve with the runtime's and the go statement's)
and has a map of its own. Each debugger answers twice: the first time it reads the program's symbols too.
Takes dlv from $GOMAP_DLV or PATH, as dlv-hmap does; without one gdb is measured alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "hmap-alias --scope all --json"
INSIDE = f"""
import json, time, gdb
taken = []
for _ in range(2):
    start = time.perf_counter()
    said = gdb.execute({COMMAND!r}, to_string=True)
    taken.append(time.perf_counter() - start)
print("GOMAP", json.dumps([taken, json.loads(said)["data"]["scanned"]]))
"""


def build(go: str, folder: Path, optimised: bool) -> Path:
    binary = folder / ("optimised" if optimised else "plain")
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "CGO_ENABLED": "0"}
    flags = [] if optimised else ["-gcflags=all=-N -l"]
    subprocess.run([go, "build", *flags, "-o", binary, "./goroutines"], cwd=ROOT / "go_targets", env=env, check=True)
    return binary


def in_gdb(gdb: str, binary: Path, count: int, folder: Path) -> tuple[list[float], dict[str, int]]:
    inside = folder / "inside.py"
    inside.write_text(INSIDE)
    env = {**os.environ, "GOMAP_N": str(count), "GOMAP_TRUTH": os.devnull}
    load = ROOT / "gdbext/load.py"
    command = [gdb, "-nx", "-q", "-batch", "-iex", "set debuginfod enabled off"]
    command += ["-iex", "set auto-load python-scripts off", "-ex", "run", "-x", str(load), "-x", str(inside)]
    done = subprocess.run(
        [*command, str(binary)], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith("GOMAP "):
            taken, scanned = json.loads(line[6:])
            return taken, scanned
    sys.exit(f"gdb measured nothing:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def through_delve(binary: Path, count: int) -> tuple[list[float], dict[str, int]]:
    from delve_bridge import moves
    from delve_bridge.console import Console
    from delve_bridge.server import Server
    from delve_bridge.session import Session
    from gomap.render.text import Style

    os.environ.update(GOMAP_N=str(count), GOMAP_TRUTH=os.devnull)
    server = Server(["exec", str(binary)], lambda data: None)
    client = server.connect(600)
    try:
        session = Session(client, alone=True)
        moves.resume(session, "continue")
        console, taken, said = Console(session, Style()), [], ""
        for _ in range(2):
            start = time.perf_counter()
            said = console.execute(COMMAND).output
            taken.append(time.perf_counter() - start)
        return taken, json.loads(said)["data"]["scanned"]
    finally:
        server.end(client)
        client.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.goroutines", description=__doc__.splitlines()[0])
    parser.add_argument("--go", default="go", help="the go command that builds the program")
    parser.add_argument("--gdb", default="gdb")
    parser.add_argument("--goroutines", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options = parser.parse_args()
    dlv = shutil.which(os.environ.get("GOMAP_DLV", "dlv"))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print("goroutines   frames    maps  build      debugger  first time    again  of the goroutines' number")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for optimised in (False, True):
            binary = build(options.go, folder, optimised)
            for debugger in ("gdb", "Delve") if dlv else ("gdb",):
                before: tuple[int, float] | None = None
                for count in options.goroutines:
                    measure = in_gdb(options.gdb, binary, count, folder) if debugger == "gdb" else None
                    taken, scanned = measure or through_delve(binary, count)
                    growth = ""
                    if before is not None:
                        power = math.log(taken[1] / before[1]) / math.log(count / before[0])
                        growth = f"to the power of {power:.2f}"
                    before = count, taken[1]
                    print(
                        f"{scanned['goroutines']:>10,} {scanned['frames']:>8,} {scanned['maps']:>7,}"
                        f"  {'optimised' if optimised else '-N -l':9}  {debugger:8}"
                        f"  {taken[0]:>8.2f} s {taken[1]:>6.2f} s  {growth}",
                        flush=True,
                    )
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
