"""gomap triage over cores of programs that die in known ways: the clusters are what was planted, whatever is
interrupted, killed, damaged or missing on the way."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from direct.fleet import fetch, work
from gomap import elf
from tests.support import fleet, schedulers, toolchains
from tests.support.fleet import Dumped
from tests.support.schedulers import Scheduler
from tests.support.toolchains import ROOT, Row

CORES = 27
TRIAGE = (sys.executable, "-m", "direct", "triage")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """gomap triage, as the first process of a group."""
    return subprocess.Popen(
        [*TRIAGE, *map(str, arguments)],
        env={**ENVIRONMENT, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def gomap(*arguments: object, status: int = 0) -> str:
    command = [sys.executable, "-m", "direct", *map(str, arguments)]
    run = subprocess.run(
        command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900
    )
    assert run.returncode == status, run.stdout + run.stderr
    return run.stdout if not status else run.stderr


def answers(out: Path) -> dict[str, int]:
    """The files with answers, and when each was written."""
    found = {}
    for path in (out / "read").glob("*/*.json.gz"):
        found[path.name] = path.stat().st_mtime_ns
    return found


def until(process: subprocess.Popen[str], happens: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + 600
    while not happens():
        assert process.poll() is None, (process.communicate(), schedulers.log(folder))
        assert time.monotonic() < end, schedulers.log(folder)
        time.sleep(0.02)


def clusters(told: Any) -> dict[tuple[Any, ...], int]:
    return {
        tuple(one[name] for name in ("cause", "program", "map", "type", "map_by", "place")): one["cores"]
        for one in told["clusters"]
    }


@pytest.fixture(scope="module")
def dead(swiss_go: Row, tmp_path_factory: pytest.TempPathFactory) -> list[Dumped]:
    folder = tmp_path_factory.mktemp("fleet")
    programs = fleet.build(swiss_go, folder / "programs")
    found = list(fleet.cores(programs, CORES, folder / "cores"))
    # One that stands out: the planted build 1 has 1,000 entries.
    found += [fleet.dump(programs[3], "grows", 100 + i, folder / "cores" / f"core.1{i:03d}") for i in range(3)]
    found.append(fleet.dump(programs[3], "outlier", 7, folder / "cores" / "core.2000"))
    return found


def test_triage(dead: list[Dumped], tmp_path: Path) -> None:
    folder, out = dead[0].core.parent, tmp_path / "out"
    programs = dead[0].program.parent
    with schedulers.scheduler(tmp_path) as dask:
        first, _ = dask.worker(), dask.worker()
        arguments = (folder, "--programs", programs, "--out", out, "--scheduler", dask.address, "--json")
        check_interrupted(start(*arguments), out, tmp_path)
        before = answers(out)
        told = check_killed(start(*arguments), out, tmp_path, first, dask)
    after = answers(out)
    assert {name: after[name] for name in before} == before  # they were not read again
    assert (told["counts"]["before"], told["counts"]["now"]) == (len(before), len(dead) - len(before))
    assert told["counts"]["read"] == len(dead) and told["failures"] == []
    assert clusters(told) == Counter(one.cluster for one in dead)
    check_maps(told, dead)
    check_tables(out, dead)
    check_changed(dead, out)


def check_interrupted(process: subprocess.Popen[str], out: Path, folder: Path) -> None:
    until(process, lambda: len(answers(out)) > 2, folder)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=600)
    assert process.returncode == 130, said
    read = len(answers(out))
    assert said == ("", f"gomap: interrupted: {read} of {CORES + 4} cores are read; run it again to go on\n")
    assert not (out / "tables").exists()


def check_killed(
    process: subprocess.Popen[str], out: Path, folder: Path, worker: subprocess.Popen[bytes], dask: Scheduler
) -> Any:
    have = len(answers(out))
    until(process, lambda: len(answers(out)) > have + 2, folder)
    assert len(answers(out)) < CORES, "it is over before its worker is killed"
    worker.kill()
    worker.wait()
    said = process.communicate(timeout=900)
    assert (process.returncode, said[1]) == (0, ""), (said, schedulers.log(folder))
    answer = json.loads(said[0])
    assert (answer["schema"], answer["command"]) == ("gomap/1", "gomap triage")
    return answer["data"]


def check_maps(told: Any, dead: list[Dumped]) -> None:
    """The planted map grows from build to build, one core's stands out, one is corrupt, and goroutines pile up."""
    (grown,) = told["grown"]
    entries: dict[int, list[int]] = {}
    for one in dead:
        if one.truth["cause"] in ("grows", "outlier"):
            entries.setdefault(one.truth["build"], []).append(one.truth["entries"])
    medians = [sorted(entries[build])[len(entries[build]) // 2] for build in (1, 2, 3)]
    assert (grown["program"], grown["map"]) == ("fleet-metrics", "main.Registry.series")
    assert [one["entries"] for one in grown["builds"]] == medians
    odd = next(one for one in dead if one.truth["cause"] == "outlier")
    (stands_out,) = told["odd"]
    assert (stands_out["map"], stands_out["entries"]) == ("main.Registry.series", odd.truth["entries"])
    assert (stands_out["cores"], stands_out["of"], stands_out["example"]) == (1, len(entries[1]), str(odd.core))
    (damaged,) = told["damaged"]
    corrupt = sum(one.truth["cause"] == "damaged" for one in dead)
    assert (damaged["program"], damaged["map"], damaged["cores"]) == ("fleet-broker", "main.Topics", corrupt)
    leaked = [one for one in dead if one.truth["cause"] == "leaked"]
    (crowd,) = told["crowds"]
    assert (crowd["most"], crowd["cores"]) == (max(one.truth["entries"] for one in leaked), len(leaked))
    assert crowd["place"] == leaked[0].cluster[-1]


def check_tables(out: Path, dead: list[Dumped]) -> None:
    """What each program said of its map is in the tables; and nothing of its keys and values in any file."""
    query = "SELECT core, max(m.entries) FROM cores c JOIN maps m USING (core) WHERE m.map = c.map GROUP BY core"
    rows = dict(json.loads(gomap("sql", out, query, "--json"))["data"]["rows"])
    for one in dead:
        if one.truth["cause"] in ("race", "grows", "outlier"):
            assert rows[str(one.core)] == one.truth["entries"]
    assert gomap("sql", out, "SELECT count(*) AS n FROM cores", "--csv") == f"n\n{len(dead)}\n"
    held = gomap("sql", out, "SELECT sum(holders) FROM holders WHERE function = 'main.subscribe.func1'", "--csv")
    assert held.split()[1] == str(sum(one.truth["entries"] for one in dead if one.truth["cause"] == "leaked"))
    secrets = ("topics lost", "request1", "topic1", "user1", "label1")
    texts = [gzip.decompress(path.read_bytes()).decode() for path in (out / "read").glob("*/*.json.gz")]
    texts += [(out / "report.txt").read_text(), (out / "report.json").read_text()]
    assert not [one for one in secrets for text in texts if one in text]


def check_changed(dead: list[Dumped], out: Path) -> None:
    """A changed core is read again, and no other; one that fails is a row, and is tried again. By own workers."""
    folder = out.parent / "others"
    folder.mkdir()
    shutil.copy2(dead[0].core, folder / "core")
    (folder / "text").write_text("not a core file\n")
    (folder / "packed.gz").write_bytes(gzip.compress(dead[1].core.read_bytes(), 1))
    (folder / "short").write_bytes(dead[2].core.read_bytes()[:100_000])
    arguments = (
        "triage",
        dead[2].core.parent / "core.000?",
        folder,
        "--programs",
        dead[0].program.parent,
        "--out",
        out,
    )
    told = json.loads(gomap(*arguments, "--workers", 1, "--json"))["data"]
    assert (told["counts"]["before"], told["counts"]["now"], told["counts"]["failed"]) == (10, 4, 2), told["counts"]
    errors = {error["example"]: error["error"] for error in told["failures"]}
    assert errors.keys() == {str(folder / "text"), str(folder / "short")}
    assert "not a core file" in errors[str(folder / "text")] and "truncated" in errors[str(folder / "short")]
    wanted = Counter(one.cluster for one in (*dead, dead[0], dead[1]))
    found = clusters(told)
    assert {key: found[key] for key in wanted} == wanted
    shutil.copy2(dead[6].core, folder / "core")
    (folder / "text").write_bytes(dead[7].core.read_bytes())
    told = json.loads(gomap(*arguments, "--workers", 1, "--json"))["data"]
    # The core that was too short is tried again, and fails again.
    assert (told["counts"]["before"], told["counts"]["now"], told["counts"]["failed"]) == (11, 3, 1), told["counts"]
    wanted = Counter(one.cluster for one in (*dead, dead[1], dead[6], dead[7]))
    found = clusters(told)
    assert {key: found[key] for key in wanted} == wanted


def test_one_core(dead: list[Dumped], tmp_path: Path) -> None:
    """What a worker does with one core: limits, keys, URLs and programs in layouts of debuginfod and gdb."""
    damaged, shop = dead[7], dead[1]

    def read(core: object, **more: Any) -> Any:
        asked = {"memory": 1 << 30, "time": 600, "maps": 50, "with_keys": False, "programs": [str(shop.program.parent)]}
        answer = work.read_core({"core": str(core), **asked, **more})
        return answer["core"], answer["errors"], answer

    row, errors, _ = read(damaged.core, with_keys=True)
    assert (row["message"], row["cause"], errors) == ("topics lost", "panic: topics lost", [])
    row, ((_, error),), _ = read(damaged.core, time=0.01)
    assert "takes longer than 0.01 s (--time)" in error and row["seconds"] < 60
    _, errors, _ = read(dead[5].core, memory=32 << 20)
    assert errors and all("(--memory)" in error for _, error in errors)
    _, ((_, error),), _ = read(shop.core, programs=[str(tmp_path)])
    assert f"is in {tmp_path}: {shop.program.name}" in error and error.startswith("no program with build ID ")

    with zipfile.ZipFile(tmp_path / "cores.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(shop.core, "cores/one")
    wanted, _, _ = read(shop.core)
    for url in (f"file://{shop.core}", f"zip://cores/one::file://{tmp_path}/cores.zip"):
        row, errors, _ = read(url)
        assert errors == []
        assert {**row, "seconds": 0, "cpu": 0, "memory": 0} == {**wanted, "seconds": 0, "cpu": 0, "memory": 0}
    (one,) = fetch.found([f"zip://cores/*::file://{tmp_path}/cores.zip"], str(tmp_path / "out"), print)
    assert (one.core, one.size) == (f"zip://cores/one::file://{tmp_path}/cores.zip", shop.core.stat().st_size)

    with elf.mapped(str(shop.program)) as data:
        gnu, go = elf.build_ids(data)
    for name, program, symbols in (
        ("debuginfod", f"buildid/{gnu}/executable", f"buildid/{gnu}/debuginfo"),
        ("gdb", f".build-id/{str(gnu)[:2]}/{str(gnu)[2:]}", f".build-id/{str(gnu)[:2]}/{str(gnu)[2:]}.debug"),
        ("any", "bin/a program", "lib/its symbols"),
    ):
        if gnu is None:  # Go's linker writes it from 1.24 on
            program, symbols = f"{name}-1", f"{name}-2"
        for path in (tmp_path / name / program, tmp_path / name / symbols):
            path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["objcopy", "--only-keep-debug", shop.program, tmp_path / name / symbols], check=True)
        subprocess.run(["objcopy", "--strip-all", shop.program, tmp_path / name / program], check=True)
        row, errors, _ = read(shop.core, programs=[str(tmp_path / name)])
        assert (errors, row["file"], row["missing"]) == ([], str(tmp_path / name / program), None)
        assert (row["place"], row["build"]) == (shop.cluster[-1], gnu or go)


@pytest.mark.parametrize("build_id", ["redacted", ""])
def test_build_ids_that_say_nothing(build_id: str, swiss_go: Row, tmp_path: Path) -> None:
    """Each core is read with its own program, and each program is a build of its own."""
    folder = tmp_path / "programs" / "deeper"
    folder.mkdir(parents=True)
    died = []
    for name, way in (("fleet-shop", "race"), ("fleet-broker", "damaged")):
        program = tmp_path / f"{name}-1"
        toolchains.compile_(f"small/{name}", swiss_go, program, [f"-ldflags=-buildid={build_id}"])
        shutil.copy2(program, folder / (f"another {name}" if build_id else program.name))
        died.append(fleet.dump(program, way, 1, tmp_path / f"core.{name}"))
    asked = {"memory": 1 << 30, "time": 600, "maps": 50, "with_keys": False, "programs": [str(folder.parent)]}
    builds = set()
    for one in died:
        answer = work.read_core({"core": str(one.core), **asked})
        assert answer["errors"] == []
        assert answer["core"]["place"] == one.cluster[-1]
        builds.add(answer["core"]["build"])
    assert len(builds) == len(died)


def test_the_scheduler_ends(dead: list[Dumped], tmp_path: Path) -> None:
    """It is an error, and no core has failed for it."""
    out, programs = tmp_path / "out", dead[0].program.parent
    with schedulers.scheduler(tmp_path) as dask:
        dask.worker()
        process = start(dead[0].core.parent, "--programs", programs, "--out", out, "--scheduler", dask.address)
        until(process, lambda: len(answers(out)) > 2, tmp_path)
        dask.processes[0].kill()
        said = process.communicate(timeout=120)
    told = "gomap: the Dask scheduler is gone: start it and run this again to go on\n"
    assert (process.returncode, said) == (1, ("", told))
    assert all(error is None for error in errors(out)) and not (out / "tables").exists()


def errors(out: Path) -> list[str | None]:
    found = [json.loads(gzip.decompress(path.read_bytes())) for path in (out / "read").glob("*/*.json.gz")]
    return [one["core"]["error"] for one in found]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_own_workers_end(number: signal.Signals, dead: list[Dumped], tmp_path: Path) -> None:
    """When Ctrl-C, which all processes of the terminal get, or the client's death ends the run."""
    out, programs, mark = tmp_path / "out", dead[0].program.parent, f"GOMAP_TEST={tmp_path}"
    process = start(dead[0].core.parent, "--programs", programs, "--out", out, "--workers", 2, GOMAP_TEST=str(tmp_path))
    until(process, lambda: len(answers(out)) > 2, tmp_path)
    assert len(marked(mark)) > 4  # this one, two workers and their servers
    (os.kill if number == signal.SIGKILL else os.killpg)(process.pid, number)
    _, said = process.communicate(timeout=120)
    if number == signal.SIGINT:
        assert re.fullmatch(r"gomap: interrupted: \d+ of 31 cores are read; run it again to go on\n", said), said
    wait(lambda: not marked(mark))


def marked(mark: str) -> list[int]:
    """The processes that have this in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (path / "environ").read_bytes().split(b"\0") and alive(int(path.name)):
                found.append(int(path.name))
    return found


def a_worker(core: Path, folder: Path) -> tuple[subprocess.Popen[str], int, int]:
    """A worker that asks for a core which is a pipe: reading it does not end. (worker, its server, the process of the
    core)."""
    os.mkfifo(core)
    asked = {"core": str(core), "memory": 1 << 30, "time": 600, "maps": 50, "with_keys": False, "programs": []}
    script = f"""
from direct.fleet import work
print(work._server().process.pid, flush=True)
try:
    work.read_core({asked!r})
except RuntimeError as error:
    print(error, flush=True)
"""
    folder.mkdir()
    environment = {**ENVIRONMENT, "TMPDIR": str(folder)}
    worker = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    server = int(worker.stdout.readline())
    wait(lambda: any(opened(child) == os.devnull for child in children(server)))
    (child,) = children(server)
    return worker, server, child


@pytest.mark.parametrize("killed", ["worker", "server"])
def test_whatever_is_killed_leaves_nothing_behind(killed: str, tmp_path: Path) -> None:
    """No process, none that waits for one, and no temporary file."""
    folder = tmp_path / "temporary"
    worker, server, child = a_worker(tmp_path / "core", folder)
    assert alive(child)
    os.kill(worker.pid if killed == "worker" else server, signal.SIGKILL)
    said, _ = worker.communicate(timeout=120)
    assert said == ("the process that reads core files was killed\n" if killed == "server" else "")
    wait(lambda: not alive(server) and not alive(child) and not list(folder.iterdir()))


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def opened(pid: int) -> str | None:
    """What the process has as its standard output."""
    try:
        return os.readlink(f"/proc/{pid}/fd/1")
    except OSError:
        return None


def wait(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether the process is there, and not only to be waited for by whoever has taken it over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
