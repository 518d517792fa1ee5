"""Cores of the programs go_targets/small/fleet-*, which die in known ways and say of what before that."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import toolchains
from tests.support.toolchains import Row

#: Each way of each program: (program, way, text of its source -> what another build has there).
PLANTED: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("fleet-shop", "race", {}),
    ("fleet-shop", "panic", {}),
    ("fleet-loader", "nil", {}),
    ("fleet-metrics", "grows", {}),
    ("fleet-metrics", "grows", {"const build = 1": "const build = 2"}),
    ("fleet-metrics", "grows", {"const build = 1": "const build = 3"}),
    ("fleet-importer", "oom", {}),
    ("fleet-broker", "damaged", {}),
    ("fleet-broker", "leaked", {}),
)
#: What a cluster of each way says: how the cause begins, and what the map is chosen by.
SAID = {
    "race": ("fatal error: concurrent map writes", "operation"),
    "panic": ("panic: runtime error: index out of range [N] with length N", None),
    "nil": ("panic: assignment to entry in nil map", "operation"),
    "grows": ("signal SIGQUIT: quit (sent by a process)", "largest"),
    "outlier": ("signal SIGQUIT: quit (sent by a process)", "largest"),
    "oom": ("fatal error: out of memory", "operation"),
    "damaged": ("panic with a value of the program's own", "damaged"),
    "leaked": ("signal SIGABRT: abort (sent by a process)", "largest"),
}


@dataclass(frozen=True)
class Dumped:
    """A core file, and what its program said of its end."""

    core: Path
    program: Path
    truth: dict[str, Any]

    @property
    def cluster(self) -> tuple[str | None, ...]:
        """(cause, program, map, type, map_by, place) of the cluster that it belongs to."""
        truth = self.truth
        cause, by = SAID[truth["cause"]]
        name = self.program.name.rpartition("-")[0]
        place = f"{truth['function']} (main.go:{truth['line']})" if truth["function"] else None
        return cause, name, truth["map"] or None, truth["type"] or None, by, place


def build(row: Row, folder: Path) -> list[Path]:
    """The program of each way, in a folder of their own: their names do not say which build a core is of."""
    folder.mkdir(parents=True)
    made = []
    for number, (program, _, edits) in enumerate(PLANTED):
        path = folder / f"{program}-{number}"
        path.write_bytes(toolchains.small(program, row, optimised=True, edits=edits).read_bytes())
        path.chmod(0o755)
        os.utime(path, (1_800_000_000 + number,) * 2)  # a build of a later way is a later build
        made.append(path)
    return made


def cores(programs: list[Path], number: int, folder: Path) -> Iterator[Dumped]:
    """So many cores, the ways in turn."""
    folder.mkdir(parents=True)
    for seed in range(number):
        way = seed % len(PLANTED)
        yield dump(programs[way], PLANTED[way][1], seed, folder / f"core.{seed:04d}")


def dump(program: Path, way: str, seed: int, core: Path) -> Dumped:
    """Runs the program until it dies. Raises AssertionError where the kernel leaves no core file."""
    folder = core.parent / f".{core.name}"
    folder.mkdir()
    for timeout in (60, 60, 300):  # with GOTRACEBACK=crash the runtime itself hangs once in thousands of times
        try:
            run = subprocess.run(
                [str(program), way, str(seed)],
                cwd=folder,
                env={"GOTRACEBACK": "crash", "GOMAXPROCS": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                preexec_fn=_with_core,
            )
            break
        except subprocess.TimeoutExpired:
            for left in folder.iterdir():
                left.unlink()
    else:
        raise AssertionError(f"{program} hangs")
    made = list(folder.iterdir())
    assert len(made) == 1, (program, run.returncode, run.stderr[-2000:])
    made[0].rename(core)
    folder.rmdir()
    return Dumped(core, program, json.loads(run.stdout))


def _with_core() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
