"""Large programs that nobody here wrote, in the middle of their work: the go command, and Delve itself."""

from __future__ import annotations

import functools
import json
import os
import re
import resource
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from delve_bridge.console import Console
from gomap.render.text import Style
from tests.support import FOLDER, debuggers, delves, toolchains
from tests.support.all_maps import every_map
from tests.support.debuggers import Gdb
from tests.support.delves import Dlv
from tests.support.every_path import every_path
from tests.support.matrix import is_full
from tests.support.toolchains import Row

STOP = "cmd/go/internal/work.(*Builder).Do"
#: Runs in gdb at the stop: every map in reach, each shown by its address alone.
ALL_MAPS = FOLDER / "all_maps.py"


#: One toolchain a layout: to build the go command takes each most of a minute.
ROWS = ("1.23.9", "1.26.6", "1.27.3-mapsplitgroup")
#: Where what the commands print is typed back.
PASTED = "1.27.3-mapsplitgroup"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" not in metafunc.fixturenames:
        return
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
        "GOGC": "off",  # goroutines that mark are not always seen whole
        "GOMAP_ANSWER": str(answer),
        "GOMAP_SEARCH": "1",
        "HOME": os.environ["HOME"],
    }
    if gdb.name == "system" and row.name in (toolchains.SYSTEM.name, PASTED):
        env["GOMAP_PASTE"] = "1"  # each of thousands of forms once
    load = Path(__file__).resolve().parents[2] / "gdbext/load.py"
    arguments = ["-x", str(load), "-ex", f"break {STOP}", "-ex", "run", "-x", str(ALL_MAPS), "-ex", "kill"]
    done = debuggers.run_gdb(
        gdb, [*arguments, "--args", str(go_command), "build", "-o", os.devnull, "cmd/gofmt"], env, timeout=300
    )
    assert answer.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    told = json.loads(answer.read_text())
    assert told["maps"] > 300 and told["entries"] > 1000, told
    intact(told)
    assert told["scanned"]["goroutines"] > 4
    if "GOMAP_PASTE" in env:
        assert told["paths"]["problems"] == [] and told["paths"]["typed"] > 300, told["paths"]


def intact(told: Any) -> None:
    assert (told["failed"], told["wrong"], told["unreadable"], told["complaints"]) == ([], [], [], [])


#: What gomap says of a goroutine that a signal came to in a system call or in a function of the runtime without a frame
#: of its own: Delve skips its caller there.
SKIPPED = r"the calls between (?:internal/runtime/syscall/linux\.Syscall6 and syscall\.|runtime\.)"
#: Delve has read the debug information of the program it is to debug.
LOADED = "github.com/go-delve/delve/pkg/proc.(*Target).createFatalThrowBreakpoint"


def serve(dlv: Dlv) -> list[str]:
    """Delve, serving a program, as it is built from its pinned version."""
    debuggee = toolchains.build("basic", delves.built_with(dlv.version), optimised=False)
    return [str(dlv.path), "exec", "--headless", "--listen=127.0.0.1:0", str(debuggee)]


def test_delve_itself(dlv: Dlv, system_gdb: Gdb, tmp_path: Path) -> None:
    answer = tmp_path / "maps.json"
    env = {"GOMAP_ANSWER": str(answer), "GOMAP_TRUTH": os.devnull}
    arguments = ["-x", str(debuggers.LOAD), "-ex", f"break {LOADED}", "-ex", "run", "-x", str(ALL_MAPS), "-ex", "kill"]
    done = debuggers.run_gdb(system_gdb, [*arguments, "--args", *serve(dlv)], env, timeout=300)
    assert answer.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    of_delve(json.loads(answer.read_text()))


def of_delve(told: Any) -> None:
    assert told["maps"] > 100 and told["entries"] > 2000, told
    intact(told)


@functools.cache
def core_of_delve(dlv: Dlv) -> Path:
    """What Delve leaves that was killed while it served."""
    folder = Path(tempfile.mkdtemp(dir=debuggers.scratch()))
    elsewhere = folder / "debuggee"  # which may leave a core too
    elsewhere.mkdir()
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    server = subprocess.Popen(
        [*serve(dlv), f"--wd={elsewhere}"],
        cwd=folder,
        env=debuggers._environment({"GOTRACEBACK": "crash", "GOMAP_TRUTH": os.devnull}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    )
    assert server.stdout is not None
    assert "API server listening" in server.stdout.readline()
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if hard == 0 or pattern.startswith("|") or "/" in pattern:
        debuggers.run_gdb(debuggers.find("system"), ["-p", str(server.pid), "-ex", f"gcore {folder / 'core'}"])
    server.send_signal(signal.SIGABRT)
    server.communicate(timeout=120)
    cores = list(folder.glob("core*"))
    assert len(cores) == 1, (pattern, cores)
    return cores[0]


def test_core_of_delve_in_gdb(dlv: Dlv, system_gdb: Gdb, tmp_path: Path) -> None:
    answer, core = tmp_path / "maps.json", core_of_delve(dlv)
    arguments = ["-x", str(debuggers.LOAD), str(dlv.path), str(core), "-x", str(ALL_MAPS)]
    done = debuggers.run_gdb(system_gdb, arguments, {"GOMAP_ANSWER": str(answer), "GOMAP_SEARCH": "1"}, timeout=300)
    assert answer.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    of_delve(json.loads(answer.read_text()))


def test_core_of_delve_in_delve(dlv: Dlv) -> None:
    with delves.bridge(dlv, ["core", str(dlv.path), str(core_of_delve(dlv))]) as bridge:
        console = Console(bridge, Style())

        def ask(line: str) -> tuple[str, str | None]:
            outcome = console.execute(line)
            return outcome.output, outcome.error

        told = every_map(ask)
        paths = every_path(ask, None, most=1)
    assert paths["problems"] == [] and paths["typed"] > 100, paths
    # A file that Delve has mapped into memory (syscall's mmapper keeps a list) is in no core; gdb reads the file.
    told["unreadable"] = [one for one in told["unreadable"] if not one[0].endswith(":map[*uint8][]uint8")]
    told["complaints"] = [one for one in told["complaints"] if not re.search(SKIPPED, str(one[1]))]
    of_delve(told)
