"""The programs of go_targets/ built and linked in other ways than a plain go build."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import matrix
from tests.support.delves import Dlv
from tests.support.toolchains import ROOT, TARGETS, Missing, Row, compile_, made_once

#: Debian's packages of what is needed beside Go.
_TOOLS = {"cc": "gcc", "objcopy": "binutils", "strip": "binutils"}
_CGO = {"CGO_ENABLED": "1"}


@dataclass(frozen=True)
class Build:
    """flags: go build's. tools: commands that are run on what it made, {} being its path. host: what loads it."""

    program: str = "basic"
    flags: tuple[str, ...] = ()
    cgo: bool = False
    tools: tuple[tuple[str, ...], ...] = ()
    host: str | None = None


def objcopy(*options: str) -> tuple[str, ...]:
    return ("objcopy", *options, "{}")


_SPLIT = (
    ("objcopy", "--only-keep-debug", "{}", "{}.debug"),
    objcopy("--strip-all", "--add-gnu-debuglink={}.debug"),
)
RACE = ("-race", "-trimpath")
#: Builds whose maps are shown.
WHOLE = {
    "pie": Build(flags=("-buildmode=pie",)),
    "race-trimpath": Build(flags=RACE, cgo=True),
    "dwarf-plain": Build(flags=("-ldflags=-compressdwarf=false",)),
    "dwarf-zlib-gnu": Build(tools=(objcopy("--compress-debug-sections=zlib-gnu"),)),
    "dwarf-zstd": Build(tools=(objcopy("--compress-debug-sections=zstd"),)),
    "split": Build(tools=_SPLIT),
    "cgo": Build("shared", cgo=True),
    "c-shared": Build("shared", ("-buildmode=c-shared",), True, host="host"),
    "plugin": Build("shared", ("-buildmode=plugin",), True, host="pluginhost"),
}
#: Of these, what a classic toolchain is tried with too.
CLASSIC = ("pie", "split", "c-shared")
#: Builds without debug information, and what is said of them.
BARE = {
    "w": (Build(flags=("-ldflags=-w",)), "was built with -ldflags=-w"),
    "s": (Build(flags=("-ldflags=-s",)), "was built with -ldflags=-s"),
    "strip": (Build(tools=(("strip", "{}"),)), "or stripped"),
    "strip-debug": (Build(tools=(("strip", "-g", "{}"),)), "or stripped of it"),
    "split-apart": (Build(tools=(*_SPLIT, ("rm", "{}.debug"))), "is in a separate file, basic.new.debug"),
}


def build(name: str, what: Build, row: Row) -> Path:
    """The program to run. Raises Missing where a tool is."""
    tools = {command[0] for command in what.tools} | ({"cc"} if what.cgo else set())
    for tool in sorted(tools):
        if shutil.which(tool) is None:
            raise Missing(f"no {tool} on PATH: apt install {_TOOLS.get(tool, 'coreutils')}")
    program = what.host or what.program
    facts = [*what.flags, *(" ".join(command) for command in what.tools)]
    return made_once(program, f"{name}-{row.name}", row, facts, functools.partial(_make, what, row))


def _make(what: Build, row: Row, made: Path) -> None:
    flags = ("-gcflags=-N -l", *what.flags)  # the standard library is compiled anew for most of them
    env = _CGO if what.cgo else None
    if what.host == "host":
        compile_(what.program, row, made.with_name("libshared.so"), flags, env)
        _run(["cc", "-g", "-o", str(made), str(TARGETS / "shared" / "host" / "main.c"), "-ldl"])
    elif what.host is not None:
        compile_(what.program, row, made.with_name("shared.so"), flags, env)
        compile_(what.host, row, made, flags[:1], env)
    else:
        compile_(what.program, row, made, flags, env)
    for command in what.tools:
        _run([word.replace("{}", str(made)) for word in command])


def _run(command: Sequence[str]) -> None:
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {run.stderr}")


def bridge(dlv: Dlv, *arguments: str) -> tuple[str, list[str], int]:
    """Standard output, lines of standard error and status of dlv-hmap."""
    env = {**os.environ, "GOMAP_DLV": str(dlv.path), "GOMAP_TRUTH": os.devnull, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "delve_bridge.main", *arguments]
    run = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in run.stderr
    return run.stdout, run.stderr.splitlines(), run.returncode


def built(config: pytest.Config, name: str, row: Row) -> Path:
    with matrix.needed(config):
        return build(name, WHOLE[name] if name in WHOLE else BARE[name][0], row)
