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
from tests.support.debuggers import LOAD, NO_SCRIPTS, Gdb
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

    def window(self, *holds: Callable[[list[str]], bool]) -> None:
        """Waits until all of that holds of the window's lines: it is drawn in parts."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                self.stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                if all(each(self._lines()) for each in holds):
                    return
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
    env = {**debuggers._environment(None), "TERM": "vt102", "LC_ALL": "C.UTF-8", "GOMAP_TRUTH": os.devnull}
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


def unmarked(lines: list[str]) -> bool:
    return not marked(lines)


def test_window(gdb: Gdb, system_go: Row) -> None:
    def has(text: str) -> Callable[[list[str]], bool]:
        return lambda lines: any(re.search(text, line) for line in lines)

    def hasnt(text: str) -> Callable[[list[str]], bool]:
        return lambda lines: not has(text)(lines)

    with tui(gdb, system_go, 100) as at:
        at.type("layout hmap")
        at.window(has("^  set hmap window EXPR chooses the map"))
        at.type("set hmap window main.Kept --entries 4")
        at.window(has("hmap-show: no process: start one with run"))
        at.type("run")
        at.window(has(r'1 +"one"'), has(r"^  map\[int\]string  main.Kept  0x"), has("^  1 entry in 8 slots"))
        at.type("continue")
        at.window(lambda lines: [" ".join(line.split()) for line in marked(lines)] == ['0/0 1 "uno"'])
        at.type("continue")
        at.window(has(r'1 +"uno"'), unmarked)
        at.type("continue")
        at.window(has(r'^\* .* 2 +"two"'), hasnt('"uno"'), hasnt(r"^\* .*layout"))
        at.type("set hmap window main.Other")
        at.window(has(r'"left" +7'), unmarked)
        at.type("set hmap window main.Nothing")
        at.window(has("main.Nothing"), has("hmap-show: "), hasnt("Last shown"))
        at.type("set hmap window main.Kept")
        at.window(has(r'2 +"two"'))
        at.type("continue")
        at.window(has("hmap-show: no process"), has("Last shown:"), has(r'2 +"two"'), unmarked)
        at.type("tui disable")
        at.type("hmap-show main.Other")
        at.type("tui enable")
        at.window(has("hmap-show: no process"))
