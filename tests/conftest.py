"""The test run's options, and the fixtures that tests against real debuggers take.

A test that takes `toolchain`, `gdb` or `optimised` runs once for each of that kind in the matrix. With
--matrix system (the default) that is the machine's own Go and gdb, and the end says what was left out;
with --matrix full it is everything, and a test that is skipped makes the run fail.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

pytest.register_assert_rewrite("tests.support")  # what an assertion compares is shown for helpers too

from tests.support import debuggers, delves, toolchains
from tests.support.debuggers import Core, Gdb
from tests.support.delves import Dlv
from tests.support.matrix import KINDS, LAYOUTS, ensured, find_dlv, find_gdb, is_full, leave_out
from tests.support.toolchains import MATRIX, SYSTEM, Row

# Example times say nothing on a machine that builds Go programs at the same time.
hypothesis.settings.register_profile("gomap", deadline=None)
hypothesis.settings.load_profile("gomap")


# A run in a shell's background ignores Ctrl-C, and all programs that it starts would, too: dlv ends some by it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--matrix",
        choices=("system", "full"),
        default="system",
        help="system: the machine's own Go and gdb (default); full: every toolchain and gdb, no skips",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    full = is_full(metafunc.config)
    if "toolchain" in metafunc.fixturenames:
        kinds = metafunc.definition.get_closest_marker("each_kind") is not None
        # One worker takes all tests of a row, so that what a gdb session answered is asked once.
        rows = [
            pytest.param(row, id=f"go-{row.name}", marks=pytest.mark.xdist_group(row.name))
            for row in (MATRIX if full else (SYSTEM,))
            if not (full and kinds) or row.name in KINDS
        ]
        metafunc.parametrize("toolchain", rows, indirect=True, scope="session")
    if {"gdb", "optimised"} <= set(metafunc.fixturenames):
        # The newer gdb takes optimised builds alone: its way with plain ones is the older's.
        pairs = [(name, built) for name in (debuggers.GDBS if full else ["system"]) for built in (False, True)]
        pairs = [(name, built) for name, built in pairs if built or name == "system"]
        ids = [f"gdb-{name}-{'optimised' if built else 'plain'}" for name, built in pairs]
        metafunc.parametrize(("gdb", "optimised"), pairs, indirect=["gdb"], scope="session", ids=ids)
    elif "gdb" in metafunc.fixturenames:
        names = list(debuggers.GDBS) if full else ["system"]
        metafunc.parametrize("gdb", names, indirect=True, scope="session", ids=[f"gdb-{n}" for n in names])
    if "both_layouts" in metafunc.fixturenames:
        both = [
            pytest.param(row, id=f"go-{row.name}", marks=pytest.mark.xdist_group(row.name))
            for row in (MATRIX if full else (SYSTEM,))
            if not full or row.name in LAYOUTS
        ]
        metafunc.parametrize("both_layouts", both, indirect=True, scope="session")
    if "swiss_go" in metafunc.fixturenames:
        row = next(row for row in MATRIX if row.name == "1.27.3") if full else SYSTEM
        metafunc.parametrize("swiss_go", [row], indirect=True, scope="session", ids=[f"go-{row.name}"])
    if "optimised" in metafunc.fixturenames and "gdb" not in metafunc.fixturenames:
        metafunc.parametrize("optimised", [False, True], scope="session", ids=["plain", "optimised"])


def needless(item: pytest.Item) -> bool:
    """Whether it asks the newer gdb what the older is asked: of each layout and kind of debug information once."""
    asked: dict[str, Any] = (
        item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    )
    row = asked.get("toolchain")
    return asked.get("gdb", "system") != "system" and row is not None and row.name not in LAYOUTS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks, by where tests lie: `-m 'not live'` is what needs neither Go nor a debugger."""
    if is_full(config):
        items[:] = [item for item in items if not needless(item)]
    for item in items:
        if "fuzz" in item.path.stem or item.path.parent.name == "fuzz":
            item.add_marker(pytest.mark.fuzz)
        if item.path.parent.name == "live" or item.path.name == "test_install.py":
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def toolchain(request: pytest.FixtureRequest) -> Row:
    """A row of the matrix, its toolchain there."""
    return ensured(request.config, request.param)


@pytest.fixture(scope="session")
def gdb(request: pytest.FixtureRequest) -> Gdb:
    """A gdb of the matrix."""
    return find_gdb(request.config, request.param)


@pytest.fixture(scope="session")
def system_gdb(request: pytest.FixtureRequest) -> Gdb:
    """The machine's own gdb, for what need not run with each."""
    return find_gdb(request.config, "system")


@pytest.fixture(scope="session")
def newest_gdb(request: pytest.FixtureRequest) -> Gdb:
    """A gdb that is a debug adapter, which they are from version 14 on."""
    if not is_full(request.config):
        leave_out(request.config, "PyPI's gdb is fetched on demand only: ./install.sh --test --full")
    return find_gdb(request.config, "pypi-18.1")


@pytest.fixture(scope="session")
def system_go(request: pytest.FixtureRequest) -> Row:
    """The machine's own Go, for what need not run with each."""
    return ensured(request.config, SYSTEM)


@pytest.fixture(scope="session")
def both_layouts(request: pytest.FixtureRequest) -> Row:
    """A classic toolchain and a Swiss one, for what need not run with each."""
    return ensured(request.config, request.param)


@pytest.fixture(scope="session")
def swiss_go(request: pytest.FixtureRequest) -> Row:
    """A Go that is the same everywhere and has all its parts, for what need not run with each."""
    return ensured(request.config, request.param)


@pytest.fixture(scope="session")
def dlv(request: pytest.FixtureRequest) -> Dlv:
    """Delve as it is now."""
    return find_dlv(request.config, delves.NEW)


@pytest.fixture(scope="session")
def old_dlv(request: pytest.FixtureRequest) -> Dlv:
    return find_dlv(request.config, delves.OLD)


@pytest.fixture(scope="session")
def old_go(request: pytest.FixtureRequest) -> Row:
    """A Go whose programs the old Delve knows."""
    return ensured(request.config, delves.built_with(delves.OLD))


@pytest.fixture
def target(toolchain: Row, optimised: bool) -> Callable[[str], Path]:
    """target(PROGRAM): the program of go_targets/, built with this test's toolchain and flags."""
    return lambda program: toolchains.build(program, toolchain, optimised)


@pytest.fixture
def core(target: Callable[[str], Path]) -> Callable[[str, str], Core]:
    """core(PROGRAM, STAGE): a core of the program dumped at that stage."""
    return lambda program, stage: debuggers.make_core(target(program), stage)


@pytest.fixture(scope="session", autouse=True)
def scratch_removed() -> Iterator[None]:
    yield
    debuggers.clean_up()


def not_run(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return sum(len(reporter.getreports(kind)) for kind in ("skipped", "xfailed")) if reporter else 0


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if is_full(session.config) and session.exitstatus == pytest.ExitCode.OK and not_run(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    count = not_run(config)
    if is_full(config):
        if count:
            line = f"--matrix full: {count} tests were skipped or expected to fail, and none may be: failed"
            terminalreporter.write_line(line, red=True)
        return
    rows = ", ".join(row.name for row in MATRIX)
    gdbs = ", ".join(name for name in debuggers.GDBS if name != "system")
    terminalreporter.section("left out")
    terminalreporter.write_line(f"Go {rows}; gdb {gdbs}")
    terminalreporter.write_line("  they are fetched and built only on demand: ./install.sh --test --full")
    if count:
        terminalreporter.write_line(f"{count} tests that this machine cannot run, for the reasons below")


@pytest.fixture
def soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test is done in a folder that stays as it was, and in seconds."""
    monkeypatch.chdir(tmp_path)
    start = time.process_time()
    yield
    assert time.process_time() - start < 20
    assert not list(tmp_path.rglob("owned"))
