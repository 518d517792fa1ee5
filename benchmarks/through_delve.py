"""hmap-show through Delve beside the plain transfer of the same bytes, and beside Delve loading the entries.

    python3 -m benchmarks.through_delve [--go GO] [--entries N]

Takes dlv from $GOMAP_DLV or PATH, as dlv-hmap does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.__main__ import build
from delve_bridge import vocabulary
from delve_bridge.console import Console
from delve_bridge.rpc import Client
from delve_bridge.server import Server
from delve_bridge.session import Session
from gomap.expr import resolve_map
from gomap.golang.classic import ClassicMap
from gomap.golang.structure import Structure
from gomap.maps import view
from gomap.memory import CHUNK
from gomap.render.text import Style

EXPR = "main.Keep.M"
ROUNDS = 7
DEADLINE = 600.0


def arrays(session: Session) -> list[tuple[int, int]]:
    """The arrays of buckets or groups as (address, bytes)."""
    target = session.target()
    _, t, address = resolve_map(target, EXPR)
    found = view(target, t, address)
    size = found.shape.slots.size
    if isinstance(found, ClassicMap):
        return [(found.header["buckets"], size << found.B)]
    structure = Structure(address=None)
    structure.tables = found._tables(structure)
    return [(table.groups_address, table.groups * size) for table in structure.tables]


def transfer(session: Session, places: list[tuple[int, int]]) -> None:
    """Every byte once, in pieces as hmap-show reads them, and nothing else."""
    memory = session.memory()
    for address, size in places:
        for offset in range(0, size, CHUNK):
            memory.read(address + offset, min(CHUNK, size - offset))


def load_entries(client: Client, entries: int) -> None:
    """The whole map over Delve's own API, as an editor or a script would ask for it."""
    load = {
        "FollowPointers": False,
        "MaxVariableRecurse": 1,
        "MaxStringLen": 64,
        "MaxArrayValues": entries,
        "MaxStructFields": -1,
    }
    scope = {"GoroutineID": -1, "Frame": 0}
    answer = client.call("Eval", DEADLINE, Scope=scope, Expr=EXPR, Cfg=load)
    loaded = len(answer["Variable"]["children"]) // 2
    if loaded != entries:
        print(f"  Delve loaded {loaded:,} of {entries:,} entries")


def compare(client: Client, direct: bool) -> float:
    """Prints how long hmap-show takes beside the plain transfer, turn by turn; gives its median seconds."""
    session = Session(client, direct=direct)
    console = Console(session, Style())
    places = arrays(session)
    raw, show = [], []
    for _ in range(ROUNDS):
        raw.append(seconds(lambda: transfer(session, places)))
        show.append(seconds(lambda: console.execute(f"hmap-show {EXPR} --json")))
    size = sum(size for _, size in places) >> 20
    how = "read directly" if direct else "read by Delve"
    plain, ours = statistics.median(raw), statistics.median(show)
    print(f"  {how}: {size} MiB in {1000 * plain:.0f} ms, hmap-show {1000 * ours:.0f} ms: {ours / plain:.2f}")
    return ours


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.through_delve")
    parser.add_argument("--go", default="go", help="the go command that builds the program")
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    os.environ["GOMAP_N"] = str(options.entries)
    os.environ["GOMAP_TRUTH"] = os.devnull
    print(f"{options.entries:,} entries, load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(["exec", str(build(options.go, Path(folder)))], lambda data: None)
        client = server.connect(DEADLINE)
        try:
            session = Session(client)
            vocabulary.set_breakpoint(session, "main.stop")
            vocabulary.resume(session, "continue")
            shows = [compare(client, direct) for direct in (True, False)]
            loading = seconds(lambda: load_entries(client, options.entries))
            ratios = " and ".join(f"{loading / show:.0f}" for show in shows)
            print(f"  Delve loads the entries in {loading:.1f} s: {ratios} times hmap-show")
        finally:
            server.end(client)
            client.close()
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
