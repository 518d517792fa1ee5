"""gomap doctor about programs, core files and processes: what it says is missing is missing."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import debuggers, schema, toolchains
from tests.support.toolchains import ROOT, Row

#: gdb takes a second to say its version, which one test is about.
NO_GDB = {**os.environ, "GOMAP_GDB": "/bin/false"}


def doctor(*what: object, env: Mapping[str, str] = NO_GDB) -> tuple[int, dict[str, Any]]:
    """(status, checks by name)."""
    command = [sys.executable, "-m", "direct", "doctor", *map(str, what), "--json"]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    answer = json.loads(run.stdout)
    assert schema.faults(answer, schema.answer("gomap doctor")) == [] and run.stderr == ""
    checks = answer["data"]["checks"]
    assert run.returncode == int(any(check["state"] == "missing" for check in checks)) == int(not answer["data"]["ok"])
    return run.returncode, {check["name"]: check for check in checks}


def test_programs_and_core_files(system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    core = debuggers.make_core(binary, debuggers.stages(binary)[0]).path
    status, checks = doctor(binary, core, env=os.environ)
    assert status == 0 and checks["gdb"]["state"] == "ok"
    assert [checks[name]["state"] for name in ("debug-information", "core", "build", "opens")] == ["ok"] * 4
    assert doctor(core)[1]["opens"]["state"] == "ok"  # the core file names the program

    other = toolchains.build("alias", system_go, optimised=False)
    status, checks = doctor(other, core)
    assert (status, checks["build"]["state"]) == (1, "missing") and "another build" in checks["build"]["what"]
    bare = tmp_path / "bare"
    subprocess.run(["strip", "-o", str(bare), str(binary)], check=True)
    status, checks = doctor(bare)
    assert (status, checks["debug-information"]["state"]) == (1, "missing")
    assert checks["debug-information"]["mend"].startswith("go build")
    cut, packed = tmp_path / "cut", tmp_path / "packed"
    shutil.copy(core, cut)
    os.truncate(cut, core.stat().st_size * 2 // 3)
    assert "truncated by" in doctor(binary, cut)[1]["build"]["what"]
    packed.write_bytes(b"\x1f\x8b" + bytes(64))
    checks = doctor(binary, packed)[1]
    assert checks["core"]["state"] == "missing" and "gunzip" in checks["core"]["what"]
    assert doctor(sys.executable)[1]["program"]["state"] == "missing"
    assert doctor(tmp_path / "none")[1]["program"]["state"] == "missing"


def test_processes(system_go: Row) -> None:
    binary = toolchains.build("watched", system_go, optimised=True)
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]

    def started(**env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", "-c", 'ulimit -S -c 0; exec "$0"', str(binary)], env={"PATH": os.environ["PATH"], **env},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    without, ready = started(), started(GOTRACEBACK="crash")
    try:
        for process in (without, ready):
            assert process.stdout is not None and process.stdout.readline()
        status, checks = doctor(without.pid)
        assert status == 0 and checks["opens"]["state"] == "ok" and "namespace" not in checks
        assert (checks["gotraceback"]["state"], checks["core-limit"]["state"]) == ("advice", "advice")
        assert checks["core-limit"]["mend"] == f"prlimit --pid {without.pid} --core=unlimited"
        resource.prlimit(ready.pid, resource.RLIMIT_CORE, (hard, hard))
        checks = doctor(ready.pid)[1]
        assert checks["gotraceback"]["state"] == "ok"
        assert (checks["core-limit"]["state"] == "ok") == (hard == resource.RLIM_INFINITY)
    finally:
        for process in (without, ready):
            process.kill()
            process.communicate()
    status, checks = doctor(without.pid)
    assert (status, checks["process"]["what"]) == (1, f"process {without.pid} does not exist")
