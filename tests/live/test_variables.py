"""Package variables that are read past gdb: those that gdb has, with the same addresses and types."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import FOLDER, builds, debuggers, matrix, toolchains
from tests.support.debuggers import Gdb, typed
from tests.support.machines import MACHINES
from tests.support.toolchains import Row

SCRIPT = FOLDER / "variables_in_gdb.py"
LOAD = toolchains.ROOT / "gdbext/load.py"
#: Other places of the debug information, and other words in it.
BUILT = ("pie", "dwarf-plain", "split", "cgo")


def both(gdb: Gdb, program: Path, folder: Path, *arguments: str) -> Any:
    """[what is read past gdb, what gdb has], None where nothing can be read past it."""
    facts = folder / "facts"
    env = {"GOMAP_FACTS": str(facts), "GOMAP_ROOT": str(toolchains.ROOT)}
    settings = ["-iex", "set auto-load python-scripts off", "-iex", "set debuginfod enabled off"]
    run = debuggers.run_gdb(gdb, [*settings, *arguments, str(program), "-x", str(SCRIPT)], env)
    assert facts.exists(), run.stdout + run.stderr
    return json.loads(facts.read_text())


def compare(found: Any, variables: int, types: int) -> None:
    assert found is not None
    ours, theirs = found
    assert ours["variables"] == theirs["variables"] and len(ours["variables"]) >= variables
    different = {name: (one, theirs["types"].get(name)) for name, one in ours["types"].items()}
    different = {name: pair for name, pair in different.items() if pair[0] != pair[1]}
    assert not different, json.dumps(dict(list(different.items())[:5]), indent=1)
    assert ours["types"].keys() == theirs["types"].keys() and len(ours["types"]) >= types


def test_of_a_toolchain(toolchain: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    program = toolchains.build("types", toolchain, optimised=False)
    compare(both(system_gdb, program, tmp_path), 400, 800)


@pytest.mark.parametrize("name", BUILT)
def test_of_a_build(name: str, swiss_go: Row, system_gdb: Gdb, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    program = builds.built(request.config, name, swiss_go)
    compare(both(system_gdb, program, tmp_path), 300, 500)


@pytest.mark.parametrize("name", ["pie", "split"])
def test_of_a_core_file(
    name: str, swiss_go: Row, system_gdb: Gdb, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Also where the core file comes first in what gdb says of its files, and the program is moved."""
    program = builds.built(request.config, name, swiss_go)
    core = tmp_path / "core"
    made = debuggers.run_gdb(system_gdb, ["-ex", "starti", "-ex", f"gcore {core}", "-ex", "kill", str(program)])
    assert core.exists(), made.stdout + made.stderr
    compare(both(system_gdb, program, tmp_path, "-c", str(core)), 300, 500)


@pytest.mark.parametrize("name", ["dwarf-zstd", "dwarf-zlib-gnu"])
def test_what_python_can_not_unpack(
    name: str, swiss_go: Row, system_gdb: Gdb, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """gdb is asked, as test_builds.py does of all of these."""
    program = builds.built(request.config, name, swiss_go)
    assert both(system_gdb, program, tmp_path) is None


@pytest.mark.parametrize("machine", [machine.name for machine in MACHINES])
def test_for_another_machine(machine: str, swiss_go: Row, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    gdb = matrix.find_gdb(request.config, "pypi-18.1" if matrix.is_full(request.config) else "system")
    program = toolchains.build("types", swiss_go, optimised=True, arch=machine)
    if gdb.name == "system" and machine != "386":
        matrix.leave_out(request.config, "a gdb that knows other machines than this one")
    compare(both(gdb, program, tmp_path), 500, 1000)


def test_of_the_go_command(swiss_go: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    """And that gdb itself reads the debug information of few packages for an answer."""
    program = toolchains.build_go_command(swiss_go)
    compare(both(system_gdb, program, tmp_path), 1500, 2000)  # the go command of 1.26 has 2,089 types
    asked = ["hmap-top", "hmap-show cmd/go/internal/cfg.OrigEnvv", "hmap-show cmd/go/internal/modload.MainModules"]
    done = debuggers.run_gdb(
        system_gdb,
        ["-x", str(LOAD), *typed("starti", *asked, "maint info symtabs", "kill"), str(program)],
        {"GOTOOLCHAIN": "local", "HOME": os.environ["HOME"]},
    )
    expanded = set(re.findall(r"\{ objfile \S*/go .*?\n", done.stdout))
    packages = re.findall(r"^\s*\{ \(\(struct compunit_symtab \*\)", done.stdout, re.M)
    assert "no variable 'cmd/go/internal/cfg.OrigEnvv'" in done.stdout + done.stderr
    assert packages and len(packages) < 60, (len(packages), len(expanded))


def test_a_file_that_is_not_the_one_gdb_has_read(swiss_go: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    """Built again while gdb has it: its addresses are not believed."""
    program, other = tmp_path / "program", toolchains.build("alias", swiss_go, optimised=False)
    program.write_bytes(toolchains.build("types", swiss_go, optimised=False).read_bytes())
    exchange = f"shell cp {other} {program}.new && mv {program}.new {program}"
    facts = tmp_path / "facts"
    env = {"GOMAP_FACTS": str(facts), "GOMAP_ROOT": str(toolchains.ROOT)}
    settings = ["-iex", "set auto-load python-scripts off"]
    run = debuggers.run_gdb(system_gdb, [*settings, str(program), "-ex", exchange, "-x", str(SCRIPT)], env)
    assert facts.exists(), run.stdout + run.stderr
    assert json.loads(facts.read_text()) is None
