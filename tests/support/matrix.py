"""The rows of the matrix, and what this machine lacks of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from tests.support import debuggers, delves, toolchains
from tests.support.debuggers import Gdb
from tests.support.delves import Dlv
from tests.support.toolchains import Missing, Row

#: One classic toolchain and one Swiss.
LAYOUTS = ("1.23.9", "1.27.3-mapsplitgroup")
#: What `@pytest.mark.each_kind` leaves of the matrix: the oldest Go, the last classic layout, the first Swiss one, the
#: newest and its other Swiss layout. In between the runtime's own structures change, which truth, census and heap
#: tests ask of every row; debug information and what a debugger makes of it change with these.
KINDS = ("1.21.13", "1.23.9", "1.24.11", "1.27.3", "1.27.3-mapsplitgroup")


def is_full(config: pytest.Config) -> bool:
    return bool(config.getoption("--matrix") == "full")


def ensured(config: pytest.Config, row: Row) -> Row:
    with needed(config):
        toolchains.ensure(row)
    return row


def find_gdb(config: pytest.Config, name: str) -> Gdb:
    with needed(config):
        return debuggers.find(name)


def find_dlv(config: pytest.Config, version: str) -> Dlv:
    """dlv of this version. It takes a Go toolchain and its modules, which are fetched on demand only."""
    if not is_full(config) and not delves.is_built(version):
        leave_out(config, f"no dlv {version} in the cache: ./install.sh --test --full builds it")
    with needed(config):
        return delves.find(version)


@contextmanager
def needed(config: pytest.Config) -> Iterator[None]:
    """Leaves the test out where what it needs is missing on this machine."""
    try:
        yield
    except Missing as missing:
        leave_out(config, str(missing))


def leave_out(config: pytest.Config, reason: str) -> NoReturn:
    if is_full(config):
        pytest.fail(f"the full matrix needs this: {reason}")
    pytest.skip(reason)
