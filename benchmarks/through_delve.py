"""A process of its own that does the works of a job through Delve, and writes down how long each took."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import in_turn, peak
from benchmarks.places import arrays
from delve_bridge import moves
from delve_bridge.console import Console
from delve_bridge.rpc import Client
from delve_bridge.server import Server
from delve_bridge.session import Session
from gomap.errors import GomapError
from gomap.render.text import Style

PIECE = 512 << 10
DEADLINE = 900.0


def read(session: Session, places: list[tuple[int, int]]) -> None:
    """Every byte once, in pieces, and nothing else."""
    memory = session.memory()
    for address, size in places:
        for offset in range(0, size, PIECE):
            memory.read(address + offset, min(PIECE, size - offset))


def load_entries(client: Client, expr: str, entries: int) -> None:
    """The whole map over Delve's own API, as an editor or a script would ask for it."""
    load = {
        "FollowPointers": False,
        "MaxVariableRecurse": 2,
        "MaxStringLen": 256,
        "MaxArrayValues": entries,
        "MaxStructFields": -1,
    }
    answer = client.call("Eval", DEADLINE, Scope={"GoroutineID": -1, "Frame": 0}, Expr=expr, Cfg=load)
    loaded = len(answer["Variable"]["children"]) // 2
    if loaded != entries:
        raise GomapError(f"Delve loaded {loaded:,} of {entries:,} entries")


def memory_of(pid: int) -> int:
    """Bytes that a process had in memory at most."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) << 10 if found else 0


def perform(job: dict[str, Any], server: Server, client: Client, answer: dict[str, Any]) -> None:
    session = Session(client, direct=job["direct"], core=job.get("core"), alone=True)
    if not job.get("core"):
        moves.set_breakpoint(session, "main.stop")
        moves.resume(session, "continue")
    console = Console(session, Style())
    places: list[tuple[int, int]] = []
    if job.get("expr"):
        answer["layout"], places = arrays(session.target(), job["expr"])
        answer["bytes"] = sum(size for _, size in places)

    def run(line: str) -> None:
        outcome = console.execute(line)
        if outcome.error is not None:
            raise GomapError(outcome.error)

    def work(line: str) -> Callable[[], object]:
        if line == "raw":
            return lambda: read(session, places)
        if line == "eval":
            return lambda: load_entries(client, job["expr"], job["size"])
        return lambda: run(line)

    for group in job["groups"]:
        asked = memory_of(server.pid) if "eval" in group.values() else peak()
        try:
            times = in_turn({name: work(line) for name, line in group.items()}, job["seconds"])
        except GomapError as error:
            answer["notes"].update(dict.fromkeys(group, str(error)))
            continue
        answer["times"].update(times)
        more = (memory_of(server.pid) if "eval" in group.values() else peak()) - asked
        answer["memory"].update(dict.fromkeys(group, more))


def main() -> None:
    job = json.loads(os.environ["GOMAP_JOB"])
    answer: dict[str, Any] = {"times": {}, "memory": {}, "notes": {}}
    arguments = ["core", job["program"], job["core"]] if job.get("core") else ["exec", job["program"]]
    server = Server(arguments, lambda data: None)
    client = server.connect(DEADLINE)
    try:
        perform(job, server, client, answer)
    finally:
        server.end(client)
        client.close()
    Path(job["answer"]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
