"""The window hmap of gdb's TUI, as it is on the screen, against a program whose steps are known."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pexpect
import pyte

from tests.support import debuggers, toolchains
from tests.support.debuggers import LOAD, Gdb
from tests.support.gdb_sessions import NO_SCRIPTS
from tests.support.toolchains import Row

PATIENCE = 60  # seconds that something may take to appear


@dataclass
class Tui:
    """gdb in a terminal of that size."""

    child: Any
    columns: int
    screen: pyte.Screen = field(init=False)
    stream: pyte.ByteStream = field(init=False)

    def __post_init__(self) -> None:
        self.screen = pyte.Screen(self.columns, 48)
        self.stream = pyte.ByteStream(self.screen)

    def type(self, line: str) -> None:
        self.child.send(line.encode() + b"\r")

    def window(self, holds: Callable[[list[str]], bool]) -> list[str]:
        """The lines of the window, once that holds of them."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                self.stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                if holds(self._lines()):
                    return self._lines()
        raise AssertionError("\n".join(self.screen.display))

    def _lines(self) -> list[str]:
        """What is between the borders of the first window, without them."""
        found = []
        for line in self.screen.display[1:]:
            if not line.startswith(("│", "|", "x")):
                break
            found.append(line[1:].rstrip()[:-1].rstrip())
        return found


@contextmanager
def tui(gdb: Gdb, row: Row, columns: int) -> Iterator[Tui]:
    binary = toolchains.small("in-steps", row)
    env = {**debuggers._environment(None), "TERM": "xterm", "LC_ALL": "C.UTF-8", "GOMAP_TRUTH": os.devnull}
    settings = [part for line in ("pagination off", "confirm off") for part in ("-iex", f"set {line}")]
    args = ["-nx", "-q", *NO_SCRIPTS, *settings, "-x", str(LOAD), str(binary)]
    child = pexpect.spawn(str(gdb.path), args, env=env, dimensions=(48, columns), timeout=PATIENCE)
    try:
        child.expect(rb"\(gdb\) ")
        yield Tui(child, columns)
    finally:
        child.close(force=True)


def marked(lines: list[str]) -> list[str]:
    return [line[2:] for line in lines if line.startswith("* ")]


def test_window(gdb: Gdb, system_go: Row) -> None:
    def has(text: str) -> Callable[[list[str]], bool]:
        return lambda lines: any(re.search(text, line) for line in lines)

    with tui(gdb, system_go, 100) as at:
        at.type("layout hmap")
        at.window(has("^  set hmap window EXPR chooses the map"))
        at.type("set hmap window main.Kept --entries 4")
        at.window(has("hmap-show: no process: start one with run"))
        at.type("run")
        lines = at.window(has(r'1 +"one"'))
        assert has(r"^  map\[int\]string  main.Kept  0x")(lines) and has("^  1 entry in 8 slots")(lines)
        at.type("continue")
        lines = at.window(has(r'1 +"uno"'))
        assert [" ".join(line.split()) for line in marked(lines)] == ['0/0 1 "uno"']
        at.type("continue")
        lines = at.window(lambda lines: has(r'1 +"uno"')(lines) and not marked(lines))
        at.type("continue")
        lines = at.window(has(r'2 +"two"'))
        assert has(r'^\* .* 2 +"two"')(lines) and not has('"uno"')(lines) and not has(r"^\* .*layout")(lines)
        at.type("set hmap window main.Other")
        lines = at.window(has(r'"left" +7'))
        assert not marked(lines)
        at.type("set hmap window main.Nothing")
        lines = at.window(has("main.Nothing"))
        assert has("hmap-show: ")(lines) and not has("Last shown")(lines)
        at.type("set hmap window main.Kept")
        at.window(has(r'2 +"two"'))
        at.type("continue")
        lines = at.window(has("hmap-show: no process"))
        assert has("Last shown:")(lines) and has(r'2 +"two"')(lines) and not marked(lines)
        at.type("tui disable")
        at.type("hmap-show main.Other")
        at.type("tui enable")
        lines = at.window(has("hmap-show: no process"))
