"""Limits of a trace as they are typed, sizes for make by what make gives, writes where their functions are entered,
and records that come faster than they are looked at."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from direct.tracing import DirectTracer
from gomap.declare import duration
from gomap.errors import GomapError, NoDebugInfo, NoProcess
from gomap.golang.layouts.grown import Rules
from gomap.golang.layouts.swiss.grown import SwissGrowths, made
from gomap.golang.runtime import mapcalls
from gomap.golang.runtime.malloc import Allocator
from gomap.trace import bpf, uprobes
from gomap.trace.calls import Calls
from gomap.trace.operations import Operations
from gomap.trace.port import CannotRun, Hit, Records, Stops, tracer_of
from tests.support.space import AMD64, I386, basic, target


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("1.5m", 90), ("1h30m", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "0s", "1s ", "10 s", "1d", "9999h", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        duration(text)


@pytest.mark.parametrize("entries", [9, 14, 15, 896, 897, 1500, 6000, 7000, 7168, 100_000, 1_000_000])
def test_a_size_for_make_leaves_room_for_chance(entries: int) -> None:
    """Tables have 7/8 of their slots for entries, and by chance the fullest gets more than the average."""
    t = basic("int")
    size = SwissGrowths(Rules(AMD64, t, Allocator()), t).capacity(entries)
    tables, slots = made(size)
    room, each = slots * 7 // 8, entries / tables
    assert size >= entries
    assert each <= room if tables == 1 else each + 5 * each**0.5 <= room
    # Not more than it takes: with half the tables it would not fit.
    assert size == entries or (tables // 2) * 896 < entries + 5 * (entries * tables // 2) ** 0.5


# -- writes ------------------------------------------------------------------------------------------------


class Named:
    """Functions of 64 bytes each."""

    def __init__(self, *names: str) -> None:
        self.at = {name: 0x401000 + 64 * i for i, name in enumerate(names)}

    def find(self, names: Sequence[str]) -> dict[str, int]:
        return {name: self.at[name] for name in names if name in self.at}

    def entry(self, pc: int) -> int:
        if not 0x401000 <= pc < 0x401000 + 64 * len(self.at):
            raise GomapError("no function")
        return pc & ~63


def entered(functions: Named, name: str, caller: int, *words: int, key: bytes = b"") -> tuple[Operations, Hit]:
    """Where a thread has entered the function that has these arguments. key: where the third one points to."""
    program, space = target(AMD64)
    stack = space.put(space.word(caller))
    pointed = space.put(key)
    given: Any = functions
    found = Operations(Calls(program, given), given)
    values = [*words[:2], pointed, *words[3:]] if key else list(words)
    registers = {"rsp": stack, **dict(zip(("rax", "rbx", "rcx", "rdi"), values))}
    return found, Hit(functions.at[name], registers.__getitem__, space.read)


CALLERS = ("main.main", "runtime.mapassign_fast64", "runtime.mapdelete", "reflect.mapdelete", "runtime.mapclear")
NAMES = (*CALLERS, "runtime.mapassign", "runtime.mapassign_faststr", "runtime.mapdelete_fast32")


@pytest.mark.parametrize(
    ("name", "what", "words", "pointed", "key"),
    [
        ("runtime.mapassign", "assign", (1, 2, 0), b"twelve bytes", b"twelve bytes"),
        ("runtime.mapassign_fast64", "assign", (1, 2, 0x1122334455667788), b"", bytes.fromhex("8877665544332211")),
        ("runtime.mapdelete_fast32", "delete", (1, 2, 0xFFFFFFFF00000005), b"", b"\5\0\0\0"),
        ("runtime.mapassign_faststr", "assign", (1, 2, 0xC000, 3), b"", b"\0\xc0" + bytes(6) + b"\3" + bytes(7)),
        ("runtime.mapdelete", "delete", (1, 2, 0), b"k", b"k"),
    ],
)
def test_a_write_that_begins(name: str, what: str, words: tuple[int, ...], pointed: bytes, key: bytes) -> None:
    functions = Named(*NAMES)
    found, hit = entered(functions, name, functions.at["main.main"] + 20, *words, key=pointed)
    one = found.read(hit)
    assert (one.what, one.descriptor, one.address, one.nested) == (what, 1, 2, False)
    assert found.key(one, len(key), hit) == key
    assert hit.register(found.header_register()) == one.address


def test_clear_has_no_key() -> None:
    found, hit = entered(Named(*NAMES), "runtime.mapclear", 0, 1, 2)
    one = found.read(hit)
    assert (one.what, one.key, one.nested) == ("clear", (), False)
    with pytest.raises(GomapError):
        found.key(one, 8, hit)


def test_a_write_within_another_is_no_second_one() -> None:
    """reflect's functions call the runtime's, or have them inlined, which differs from version to version."""
    functions = Named(*NAMES)
    for caller, nested in (("reflect.mapdelete", True), ("main.main", False)):
        # The call may be the last instruction of its function.
        found, hit = entered(functions, "runtime.mapdelete", functions.at[caller] + 64, 1, 2, key=b"k")
        assert found.read(hit).nested is nested


def test_other_machines() -> None:
    program, _ = target(I386)
    given: Any = Named()
    with pytest.raises(NoDebugInfo, match="knows where amd64 and arm64 have them, not where 386 has"):
        Calls(program, given)


def test_a_program_that_writes_to_no_map() -> None:
    with pytest.raises(NoDebugInfo, match="no function that writes to maps"):
        entered(Named("main.main"), "main.main", 0)


def test_each_function_that_writes_is_one_that_operates_on_maps() -> None:
    """As hmap-race knows them."""
    operations = {name: mapcalls.operation(name) for name in mapcalls.WRITES}
    kinds = {"assign": "write"}
    assert operations == {name: kinds.get(one.operation, one.operation) for name, one in mapcalls.WRITES.items()}


#: sub rsp, 0x30; mov [rsp+0x40], r9; mov [rsp+0x50], rcx; mov [rsp+0x158], rdi; nop
STORING = "4883ec30 4c894c2440 48894c2450 4889bc2458010000 90"
#: mov [rsp+0x50], ecx of a function with a key of four bytes.
SHORT = "4883ec30 894c2450 90"


@pytest.mark.parametrize(
    ("code", "argument", "offset"), [(STORING, 2, 0x50), (STORING, 3, 0x158), (SHORT, 2, 0x50), (SHORT, 3, None)]
)
def test_arguments_that_a_function_has_stored(code: str, argument: int, offset: int | None) -> None:
    program, space = target(AMD64)
    start = space.put(bytes.fromhex(code))
    functions: Any = Named()
    functions.entry = lambda pc: start
    stack = space.put(bytes(0x200))
    if offset is not None:
        space.write(stack + offset, space.word(0x1234))
    hit = Hit(start + len(bytes.fromhex(code)) - 1, {"rsp": stack}.__getitem__, space.read)
    assert Calls(program, functions).stored(hit, argument) == (None if offset is None else 0x1234)


# -- records -----------------------------------------------------------------------------------------------


class Flood:
    """A ring buffer that always has another record, as long as the uprobes are there, and then so many more."""

    def __init__(self, more: int = 0) -> None:
        self.more, self.ended = more, False

    def records(self) -> Iterator[bytes]:
        while not self.ended or self.more:
            self.more -= self.ended
            yield struct.pack("<Q", 0)

    def end(self) -> None:
        self.ended = True


def flooded(monkeypatch: pytest.MonkeyPatch, more: int = 0) -> uprobes.Recorder:
    monkeypatch.setattr(bpf, "Ring", lambda size: Flood(more))
    recorder = uprobes.Recorder(0, "amd64")
    recorder._shapes.append((0x401000, bpf.layout((), ())))
    return recorder


class Looks:
    """Counts what it is called with: too slowly for a Flood. An endless loop ends in a failure."""

    def __init__(self, breaks: int | None = None) -> None:
        self.seen, self.breaks, self.until = 0, breaks, time.monotonic() + 5

    def __call__(self, hit: Hit) -> bool:
        assert time.monotonic() < self.until and hit.address == 0x401000
        if self.seen == self.breaks:
            raise KeyboardInterrupt
        self.seen += 1
        return False


def test_a_limit_holds_where_records_come_faster_than_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uprobes, "MAX_WAITING", 1000)
    process = subprocess.Popen(["sleep", "60"])
    try:
        recorder, looks = flooded(monkeypatch, more=300), Looks()
        ending = DirectTracer(process.pid).run(Stops(), looks, 0.3, recorder=recorder)
    finally:
        process.kill()
        process.wait()
    assert ending.kind == "time"
    assert 0.3 <= ending.seconds < 2
    # What had come by then was looked at.
    assert (recorder.left, recorder.take(looks)) == (0, False)


def test_ctrl_c_leaves_records_and_their_number_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uprobes, "MAX_WAITING", 1000)
    recorder, looks = flooded(monkeypatch, more=300), Looks(breaks=120)
    with pytest.raises(KeyboardInterrupt):
        recorder.take(looks)
    waiting = len(recorder._waiting)
    recorder.rest(looks)
    # The one that Ctrl-C came to is not done.
    assert (looks.seen, recorder.left) == (120, waiting + 300)


def test_a_process_that_has_ended() -> None:
    """Between the commands before and this one."""
    process = subprocess.Popen(["true"])
    process.wait()
    tracer, none = DirectTracer(process.pid), cast(Records, None)
    for asked in (lambda: tracer.breakpoint_at([0x401000]), lambda: tracer.run(Stops(), bool, 1, recorder=none)):
        with pytest.raises(NoProcess, match=f"^process {process.pid} has ended$"):
            asked()
    assert not os.path.exists(f"/proc/{process.pid}")


def test_a_process_that_is_paused_is_not_traced() -> None:
    program, _ = target(AMD64)
    assert (program.kind, getattr(program, "tracer", None)) == ("live", None)
    ends = {"hmap-trace": "leave out --pause, or use gdb or Delve", "hmap-break": "use gdb or Delve"}
    for command, instead in ends.items():
        with pytest.raises(CannotRun, match=f"^gomap pid --pause .* {command} lets it run: {instead}$"):
            tracer_of(program, command)


def test_the_file_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of inodes are of one device each: a library's may be that of the program on another."""
    pid, own = os.getpid(), os.readlink("/proc/self/exe")
    inode = os.stat(own).st_ino
    lines = [
        f"400000-500000 r-xp 00001000 fe:00 {inode}                      {own}\n",
        f"700000-800000 r-xp 00002000 fe:01 {inode}                      /mnt/lib x.so\n",
        "900000-a00000 r-xp 00000000 00:00 0 \n",
    ]
    monkeypatch.setattr(uprobes, "open", lambda *_, **__: io.StringIO("".join(lines)), raising=False)
    assert uprobes._in_file(pid, 0x400010) == (f"/proc/{pid}/exe", 0x1010)
    assert uprobes._in_file(pid, 0x700010) == (f"/proc/{pid}/map_files/700000-800000", 0x2010)
    for address, why in ((0x900000, "the code at 0x900000 is not from a file"), (0x1000, "has no code at 0x1000")):
        with pytest.raises(uprobes.NoUprobes, match=why):
            uprobes._in_file(pid, address)
