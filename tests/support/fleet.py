"""Cores of the programs go_targets/small/fleet-*, which die in known ways and say of what before that."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Iterable, Iterator
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


@dataclass(frozen=True)
class Dumped:
    """A core file, and what its program said of its end."""

    core: Path
    program: Path
    truth: dict[str, Any]


def programs(row: Row, folder: Path) -> Path:
    """The programs, built, in a folder of their own: their names do not say which build a core is of."""
    for number, (program, _, edits) in enumerate(PLANTED):
        built = toolchains.small(program, row, optimised=True, edits=edits)
        (folder / f"{program}-{number}").write_bytes(built.read_bytes())
    return folder


def dump(binary: Path, way: str, seed: int, core: Path) -> Dumped:
    """Runs the program until it dies. Raises AssertionError where the kernel leaves no core file."""
    folder = core.parent / f"{core.name}.made"
    folder.mkdir(parents=True)
    for _ in range(3):  # with GOTRACEBACK=crash the runtime itself hangs once in thousands of times
        try:
            run = subprocess.run(
                [str(binary), way, str(seed)],
                cwd=folder,
                env={"GOTRACEBACK": "crash", "GOMAXPROCS": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                preexec_fn=_with_core,
            )
            break
        except subprocess.TimeoutExpired:
            continue
    (made,) = folder.iterdir()
    made.rename(core)
    folder.rmdir()
    return Dumped(core, binary, json.loads(run.stdout))


def _with_core() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def fleet(row: Row, number: int, folder: Path) -> Iterator[Dumped]:
    """So many cores in folder/cores, the ways in turn, of programs in folder/programs."""
    (folder / "programs").mkdir()
    (folder / "cores").mkdir()
    built = programs(row, folder / "programs")
    for seed in range(number):
        program, way, _ = PLANTED[seed % len(PLANTED)]
        binary = built / f"{program}-{seed % len(PLANTED)}"
        yield dump_as(binary, way, seed, folder / "cores" / f"core.{seed:04d}")


def dump_as(binary: Path, way: str, seed: int, core: Path) -> Dumped:
    binary.chmod(0o755)
    return dump(binary, way, seed, core)
