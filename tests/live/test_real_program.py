"""A large program that nobody here wrote, in the middle of its work: the go command."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import is_full
from tests.live import debuggers, toolchains
from tests.live.debuggers import Gdb
from tests.live.toolchains import Row

STOP = "cmd/go/internal/work.(*Builder).Do"
#: Runs in gdb at the stop: every map in reach, each shown by its address alone.
ALL_MAPS = Path(__file__).with_name("all_maps.py")


#: One toolchain a layout: to build the go command takes each most of a minute.
ROWS = ("1.23.9", "1.26.6", "1.27.3-mapsplitgroup")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rows = [row for row in toolchains.MATRIX if row.name in ROWS]
    chosen = rows if is_full(metafunc.config) else [toolchains.SYSTEM]
    metafunc.parametrize("row", chosen, ids=[row.name for row in chosen])


def test_every_map_of_the_go_command(row: Row, gdb: Gdb, tmp_path: Path) -> None:
    answer = tmp_path / "maps.json"
    go_command = toolchains.build_go_command(row)
    go = toolchains.ensure(row)
    root = subprocess.run([str(go), "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    env = {
        "GOROOT": root,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOCACHE": str(tmp_path / "cache"),
        "GOMAP_ANSWER": str(answer),
        "HOME": os.environ["HOME"],
    }
    load = Path(__file__).resolve().parents[2] / "gdbext/load.py"
    arguments = ["-x", str(load), "-ex", f"break {STOP}", "-ex", "run", "-x", str(ALL_MAPS), "-ex", "kill"]
    done = debuggers.run_gdb(
        gdb, [*arguments, "--args", str(go_command), "build", "-o", os.devnull, "cmd/gofmt"], env, timeout=300
    )
    assert answer.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    told = json.loads(answer.read_text())
    assert told["maps"] > 300 and told["entries"] > 1000, told
    assert told["failed"] == [] and told["wrong"] == [] and told["unreadable"] == []
