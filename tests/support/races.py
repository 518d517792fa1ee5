"""What hmap-race says, against what a program tells of its own operations."""

from __future__ import annotations

import functools
import re
import resource
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import debuggers, schema, toolchains
from tests.support.debuggers import Answer, Core
from tests.support.toolchains import Row

RACE, WORDS, LISTED = "hmap-race --json", "hmap-race", "goroutines"


@dataclass(frozen=True)
class Step:
    """One map operation as the program tells of it: address and type of its map."""

    goroutine: int
    operation: str
    function: str
    line: int
    address: str | None
    type: str | None


def inside(truth: Mapping[str, Any]) -> list[Step]:
    """The goroutines that are kept inside an operation."""
    found = []
    for expr, facts in truth["unnamed"].items():
        who, *words = expr.split()
        if who == "inside":
            goroutine, operation, function, line = words
            found.append(Step(int(goroutine), operation, function, int(line), facts["address"], facts["type"]))
    return found


def holders(truth: Mapping[str, Any]) -> list[tuple[str, int, str, str]]:
    """(address of the map, goroutine, function, variable) of those that only have it."""
    found = []
    for expr, facts in truth["unnamed"].items():
        who, *words = expr.split()
        if who == "holds":
            found.append((facts["address"], int(words[0]), words[1], words[2]))
    return found


def told(answer: Answer, unsure: Collection[int] = ()) -> Any:
    """The answer's data, as it should be. unsure: goroutines of which a debugger may skip calls, and then says so."""
    assert answer.error is None, (answer.command, answer.error)
    said = answer.json()
    faults = schema.faults(said, schema.answer("hmap-race"))
    assert not faults, faults[:10]
    assert warned(answer) <= set(unsure), said["anomalies"]
    assert not [a for a in said["anomalies"] if a["severity"] != "note" and a["code"] != "stack"], said["anomalies"]
    return said["data"]


def warned(answer: Answer) -> set[int]:
    """Goroutines of whose stack the answer says that it is not seen whole."""
    messages = [a["message"] for a in answer.json()["anomalies"] if a["code"] == "stack"]
    return {int(message.split(":")[0].split()[1]) for message in messages}


def check_inside(data: Any, wanted: Sequence[Step]) -> None:
    """Exactly these goroutines are inside exactly these operations on these maps, from these lines."""
    found = [
        Step(one["goroutine"], one["operation"], one["function"], one["line"], one["address"], one["type"])
        for one in data["inside"]
    ]
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert all(one["file"].endswith(".go") for one in data["inside"])


def check_maps(data: Any, truth: Mapping[str, Any], named: bool = True) -> None:
    """The maps that somebody is inside, and those whose own header says that they are written to. named: whether the
    variables that hold them have names, or are words of a stack."""
    flags = {facts["address"]: "writing" in facts["flags"] for facts in truth["unnamed"].values()}
    wanted = {step.address for step in inside(truth)} | {address for address, writing in flags.items() if writing}
    found = {one["address"]: one["writing"] for one in data["maps"]}
    assert wanted and found == {address: flags[address] for address in wanted}
    for address, goroutine, function, variable in holders(truth):
        if address in found:
            held = next(one["holders"] for one in data["maps"] if one["address"] == address)
            ways = [
                (way["goroutine"], way["function"], way["path"] if named else way["kind"])
                for h in held
                for way in (h, *h["also"])
            ]
            assert (goroutine, function, variable if named else "slot") in ways, (address, ways)


def check_quiet(data: Any, words: Answer) -> None:
    assert (data["inside"], data["maps"]) == ([], [])
    assert re.match(r"no goroutine is inside a map operation \(\d+ goroutines searched\)\n", words.output), words.output


def check_staying(data: Any, words: Answer, truth: Mapping[str, Any]) -> None:
    check_inside(data, inside(truth))
    assert {one["operation"] for one in data["inside"]} == {"read", "write", "delete", "grow"}
    assert not any(one["fatal"] for one in data["inside"])
    check_maps(data, truth)
    assert words.output.startswith("5 goroutines are inside a map operation, on 5 maps\n"), words.output


@functools.cache
def dead(binary: Path, stage: str) -> tuple[Core, str]:
    """A core of the program that the runtime ended, as GOTRACEBACK=crash leaves one, and what the runtime wrote."""
    folder = Path(tempfile.mkdtemp(dir=debuggers.scratch()))
    truth = folder / "truth"
    env = debuggers._environment({"GOMAP_STAGE": stage, "GOMAP_TRUTH": str(truth), "GOTRACEBACK": "crash"})
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0 or pattern.startswith("|") or "/" in pattern:  # the kernel pipes cores away
        args = ["-iex", "set startup-with-shell off", "-ex", "handle SIGURG nostop noprint", "-ex", "run"]
        run = debuggers.run_gdb(
            debuggers.find("system"),
            [*args, "-ex", f"gcore {folder}/core", "-ex", "kill", str(binary)],
            env,
            cwd=folder,
        )
    else:
        run = _crashed(binary, folder, env, hard)
    cores = [path for path in folder.iterdir() if path != truth]
    assert len(cores) == 1, (run.returncode, run.stderr[-2000:])
    return Core(cores[0], binary, stage, debuggers._published(truth)), run.stderr


def _crashed(binary: Path, folder: Path, env: dict[str, str], limit: int) -> subprocess.CompletedProcess[str]:
    """The program, run until it dies. With GOTRACEBACK=crash the runtime itself hangs there once in thousands of times,
    its threads waiting for each other's tracebacks: it is run again then."""
    for timeout in (60, 60, 300):
        try:
            return subprocess.run(
                [str(binary)],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (limit, limit)),
            )
        except subprocess.TimeoutExpired:
            for left in folder.iterdir():
                left.unlink()
    raise AssertionError(f"{binary} hangs while it dies")


def is_classic(row: Row) -> bool:
    """Whether the row's maps are runtime.hmap: its toolchain's sources and experiment say so."""
    sources = toolchains.ensure(row).parents[1] / "src/internal/runtime/maps/map.go"
    return not sources.exists() or row.experiment == "noswissmap"


#: A classic and a Swiss toolchain, whose tour Delve makes too.
TOURED = ("system", "1.23.9", "1.27.3")
