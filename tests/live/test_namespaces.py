"""A process in a container: its own root, mount namespace and user namespace, read from outside by gomap.pyz alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from direct.package import archive
from tests.support import toolchains
from tests.support.toolchains import Row


@pytest.fixture
def contained(both_layouts: Row, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program whose file has one path inside and another outside, as in an image of its own. It waits."""
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(toolchains.build("watched", both_layouts, optimised=True), root / "app")
    # Any user may make a user namespace, and in it the others.
    command = ["unshare", "--user", "--map-root-user", "--mount", "--root", str(root), "/app"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    said = process.stdout.readline()
    if not said:
        pytest.fail(f"no namespaces here: {process.communicate()[1]}")
    process.stdin.write("add 2000\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["Grows"] == 2000
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_process_with_a_root_of_its_own(contained: subprocess.Popen[str], tmp_path: Path) -> None:
    pid = str(contained.pid)
    pyz = tmp_path / "gomap.pyz"
    archive(str(pyz))
    first = pyz.read_bytes()
    archive(str(pyz))
    assert pyz.read_bytes() == first  # one source makes one archive

    def ask(*arguments: str) -> str:
        # -I -S: with nothing but Python's standard library.
        command = [sys.executable, "-I", "-S", str(pyz), *arguments]
        run = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, ""), run.stderr
        return run.stdout

    def grows(answer: str) -> int:
        return int(json.loads(answer)["data"]["count"])

    show = ("-c", "hmap-show main.Grows --json")
    assert not os.path.exists("/app")
    assert grows(ask("pid", pid, *show)) == 2000
    sample = json.loads(ask("top", pid, "--json", "--samples", "1"))["data"]
    assert {one["path"]: one["count"] for one in sample["maps"]}["main.Grows"] == 2000
    # The container's file has been replaced, as by a new image: what runs is still there.
    os.replace(shutil.copy(sys.executable, tmp_path / "other"), tmp_path / "root/app")
    assert grows(ask("pid", pid, *show)) == 2000
    # The kernel records its growths there, too.
    command = [sys.executable, "-I", "-S", str(pyz), "pid", pid, "-c", "hmap-trace main.Grows -n 3 --json"]
    trace = subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, text=True)
    assert contained.stdin is not None and contained.stdout is not None
    for _ in range(2000):
        contained.stdin.write("add 2000\n")
        contained.stdin.flush()
        contained.stdout.readline()
        if trace.poll() is not None:
            break
        time.sleep(0.01)
    data = json.loads(trace.communicate(timeout=60)[0])["data"]
    assert (data["method"], data["count"], data["lines"][0]["location"]["function"]) == ("uprobes", 3, "main.main")
