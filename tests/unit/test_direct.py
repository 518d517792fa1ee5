"""Without a debugger: where variables lie, what threads' registers hold, stacks by the runtime's tables, a copy of a
process, and what the kernel refuses."""

from __future__ import annotations

import errno
import gzip
import os
import re
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from direct import copied, refusals
from direct.target import of_core
from gomap import registers
from gomap.dwarf.entries import BadDwarf
from gomap.errors import GomapError, MemoryFault
from gomap.golang.runtime.unwind import Unwinder
from gomap.gotypes import GoType, Kind
from gomap.memory import PAGE, HeldMemory, RegionMemory
from gomap.places import Declared, LocationEntry, Piece, is_whole, meant, pieced, undeclared
from gomap.process import ProcessMemory
from gomap.scopes import Scopes, _packed
from gomap.target import Arch, Goroutine, Registers, Variable
from tests.support.space import AMD64, I386, S390X

ARM64 = Arch("arm64", 8, "little")
SLICE = GoType(Kind.SLICE, "[]int", 24)

# -- where variables lie -------------------------------------------------------------------------------------


def scopes(**sections: bytes) -> Scopes:
    named = {f".debug_{name}": data for name, data in sections.items()}
    named_sections = [SimpleNamespace(name=name) for name in named]
    info: Any = SimpleNamespace(order="<", word=struct.Struct("<Q"), sections=named_sections)
    made = Scopes(info)
    made._contents.update({".debug_addr": b"", **named})
    return made


def quad(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


AT_8, IN_RAX = Piece(0, offset=-8), Piece(0, register=0)
#: DW_OP_fbreg -8; DW_OP_reg0.
FBREG, REG = b"\x91\x78", b"\x50"


def test_location_lists_of_both_kinds() -> None:
    """DWARF 4's, relative to the unit and to a base of their own; DWARF 5's, with each kind of entry."""
    old = quad(0x10, 0x20) + struct.pack("<H", 2) + FBREG + quad((1 << 64) - 1, 0x9000, 0, 8)
    old += struct.pack("<H", 1) + REG + quad(0, 0)
    assert list(scopes(loc=old)._list(0, 0x1000, 0)) == [
        LocationEntry(0x1010, 0x1020, (AT_8,)), LocationEntry(0x9000, 0x9008, (IN_RAX,)),
    ]  # fmt: skip
    two, one = b"\x02" + FBREG, b"\x01" + REG
    new = b"\x01\x01" + b"\x04\x10\x20" + two  # base_addressx 1, offset_pair
    new += b"\x02\x00\x01" + one + b"\x03\x00\x08" + one + b"\x05" + one  # startx_endx, startx_length, default_location
    new += b"\x06" + quad(0x7000) + b"\x04\x01\x82\x00" + one  # base_address, offset_pair with a filled-up number
    new += b"\x07" + quad(1, 2) + one + b"\x08" + quad(3) + b"\x04" + one + b"\x00"  # start_end, start_length
    table = quad(0x11, 0x22) + b"the header" + quad(0x5000, 0x6000)
    found = list(scopes(loclists=b"head" + new, addr=table)._list(4, 0x1000, 26))
    assert [(entry.start, entry.end) for entry in found] == [
        (0x6010, 0x6020), (0x5000, 0x6000), (0x5000, 0x5008), (0x7001, 0x7002), (1, 2), (3, 7),
    ]  # fmt: skip
    ranges = b"\x05" + quad(0x7000) + b"\x04\x01\x02" + b"\x07" + quad(3) + b"\x04\x00"  # without default_location
    assert list(scopes(rnglists=ranges)._ranges({0x55: 0}, 0, 0)) == [(0x7001, 0x7002), (3, 7)]


@given(st.binary(max_size=80), st.booleans())
def test_damaged_lists(data: bytes, old: bool) -> None:
    damaged = scopes(loc=data) if old else scopes(loclists=data, addr=bytes(16))
    try:
        for entry in damaged._list(0, 0, 0):
            assert entry.parts == () or entry.parts[0].size >= 0
    except BadDwarf:
        pass


def test_numbers_that_are_filled_up() -> None:
    """The linker writes indexes of addresses with bytes to spare."""
    pattern = re.compile(_packed(0x83))
    assert all(pattern.fullmatch(data) for data in (b"\x83\x01", b"\x83\x81\x00", b"\x83\x81\x80\x80\x00"))
    assert not any(pattern.fullmatch(data) for data in (b"\x83\x02", b"\x83", b"\x83\x81\x01", b"\x03"))


def test_pieces_in_memory_and_in_registers() -> None:
    memory, base = RegionMemory([(0x100, quad(7, 8, 9))]), 0x108
    parts = [Piece(8, offset=-8), Piece(8, register=3), Piece(8)]
    known = pieced(memory, AMD64, parts, base, {3: 0x1234}, Variable("s", SLICE))
    assert (known.data, known.holes, known.parts) == (quad(7, 0x1234, 0), ((16, 8),), ((0, 8, 0x100),))
    assert pieced(memory, AMD64, parts, base, {}, Variable("s", SLICE)).holes == ((8, 8), (16, 8))
    whole = pieced(memory, AMD64, [Piece(0, offset=8)], base, {}, Variable("s", SLICE))
    assert (whole.address, whole.data) == (0x110, None)
    short = pieced(
        memory, S390X, [Piece(0, register=3)], base, {3: 0x1234}, Variable("n", GoType(Kind.INT, "int16", 2))
    )
    assert short.data == b"\x12\x34"
    assert pieced(memory, AMD64, [Piece(0, register=3)], base, {}, Variable("s", SLICE)).holes == ((0, 24),)


def test_which_variable_a_name_means() -> None:
    """As in `m := m`, at and behind its line; and of one that a list has in one place, whether it is whole there."""
    named = [("inner", False, 20), ("outer", False, 10)]
    assert (meant(named, 20), meant(named, 21), meant(named, 15)) == (
        ("outer", False), ("inner", False), ("outer", False),
    )  # fmt: skip
    assert meant([("only", False, 20)], 19) == ("only", True) and undeclared(False, 20, 19)
    assert not undeclared(True, 20, 19) and not undeclared(False, 20, 0)
    assert is_whole([LocationEntry(0, 1, (AT_8,))]) and not is_whole([LocationEntry(0, 1, (Piece(0, offset=8),))])
    assert not is_whole([LocationEntry(0, 1, (AT_8,)), LocationEntry(1, 2, (IN_RAX,))])
    one = Declared("m", 0, 1, False, (), (LocationEntry(8, 16, (AT_8,)),))
    assert (one.at(7), one.at(8), one.at(16)) == ((), (AT_8,), ())


# -- registers -----------------------------------------------------------------------------------------------

#: Bytes in front of the registers in an elf_prstatus and in a ucontext, and the places of pc and sp among them.
SETS = {
    AMD64: (32, 112, 27, 16, 19),
    I386: (24, 72, 17, 12, 15),
    ARM64: (32, 112, 34, 32, 31),
    S390X: (32, 112, 18, 1, 17),
}
CONTEXTS = {AMD64: (40, 17, 16, 15), I386: (20, 15, 14, 7), ARM64: (184, 33, 32, 31)}


@pytest.mark.parametrize("arch", SETS, ids=lambda arch: arch.name)
def test_registers_of_a_thread(arch: Arch) -> None:
    pid, start, count, pc, sp = SETS[arch]
    words = b"".join(arch.pack(1000 + i) for i in range(count))
    note = bytes(pid) + (4711).to_bytes(4, arch.byte_order) + bytes(start - pid - 4) + words  # type: ignore[arg-type]
    found = registers.of_note(arch, note)
    assert found is not None and found[0] == 4711
    assert (found[1].pc, found[1].sp) == (1000 + pc, 1000 + sp)
    assert registers.of_note(arch, note[: start + 8]) is None
    assert registers.of_note(Arch("mips", 4, "big"), note) is None


@pytest.mark.parametrize("arch", CONTEXTS, ids=lambda arch: arch.name)
def test_registers_that_a_signal_saved(arch: Arch) -> None:
    start, count, pc, sp = CONTEXTS[arch]
    found = registers.of_context(arch, bytes(start) + b"".join(arch.pack(1000 + i) for i in range(count)))
    assert found is not None and (found.pc, found.sp) == (1000 + pc, 1000 + sp)


# -- stacks --------------------------------------------------------------------------------------------------

#: Functions by their first address: name, bytes of the frame at each pc (None: not known), flags.
Table = Mapping[int, tuple[str, "int | None", int]]
TOP = 0x8000


@dataclass
class Fake:
    """The runtime's table of functions, 0x100 bytes each, and a target with a stack."""

    arch: Arch
    table: Table
    stack: dict[int, int] = field(default_factory=dict)

    def at(self, pc: int) -> Mapping[str, int]:
        if pc & ~0xFF not in self.table:
            raise GomapError("no function")
        return {"flag": self.table[pc & ~0xFF][2]}

    def name(self, pc: int) -> str:
        self.at(pc)
        return self.table[pc & ~0xFF][0]

    def entry(self, pc: int) -> int:
        self.at(pc)
        return pc & ~0xFF

    def frame_size(self, pc: int, moves: bool = False) -> int | None:
        return self.table[pc & ~0xFF][1] if pc & ~0xFF in self.table else None

    def is_go(self, pc: int) -> bool:
        return pc & ~0xFF in self.table

    def unwound(self, goroutine: Goroutine, thread: Registers | None = None) -> list[str]:
        data = b"".join(self.arch.pack(self.stack.get(at, 0)) for at in range(0x7000, TOP, self.arch.pointer_size))
        nothing = lambda name: None  # noqa: E731
        target: Any = SimpleNamespace(
            arch=self.arch, memory=RegionMemory([(0x7000, data)]), find_type=nothing, symbol=nothing
        )
        functions: Any = self
        found = Unwinder(target, functions).goroutine(goroutine, thread)
        return [self.name(one.pc) if self.is_go(one.pc) else "?" for one in found]


def parked(pc: int, sp: int) -> Goroutine:
    return Goroutine(1, 0, "chan receive", pc, sp, 0, (0x7000, TOP))


TABLE: Table = {
    0x100: ("runtime.goexit", 8, 1), 0x200: ("main.main", 0x20, 0), 0x300: ("main.leaf", 0, 0),
    0x400: ("runtime.asyncPreempt", 0x30, 0), 0x500: ("runtime.systemstack", None, 2),
    0x600: ("runtime.sigtramp", 0x10, 1),
}  # fmt: skip


def test_calls_that_push_where_they_return_to() -> None:
    fake = Fake(AMD64, {**TABLE, 0x300: ("main.leaf", 8, 0)}, {0x7F00: 0x210, 0x7F20: 0x110})
    assert fake.unwound(parked(0x310, 0x7F00)) == ["main.leaf", "main.main", "runtime.goexit"]
    running = Registers(0x310, 0x7F00)
    assert fake.unwound(parked(0, 0), running) == ["main.leaf", "main.main", "runtime.goexit"]
    # On the system's stack it can't be followed: the goroutine goes on where the runtime saved that.
    away = Registers(0x510, 0x6000)
    assert fake.unwound(parked(0x310, 0x7F00), away) == ["main.leaf", "main.main", "runtime.goexit"]
    assert fake.unwound(parked(0x310, 0), away) == []
    assert fake.unwound(parked(0x910, 0x7F00)) == ["?"]


def test_thread_whose_registers_are_not_known() -> None:
    """Where a running goroutine was parked last is not where it stands."""
    fake = Fake(AMD64, {**TABLE, 0x300: ("main.leaf", 8, 0)}, {0x7F00: 0x210, 0x7F20: 0x110})
    assert fake.unwound(replace(parked(0x310, 0x7F00), thread=7)) == []


def test_registers_by_the_names_that_debuggers_give_them() -> None:
    for arch, names, number in ((AMD64, ("rip", "rsp", "r9"), 9), (ARM64, ("pc", "sp", "x30"), 30)):
        found = registers.of_names(arch, dict(zip(names, (1, 2, 3))))
        assert found is not None and (found.pc, found.sp, found.values[number]) == (1, 2, 3)
        assert registers.of_names(arch, {names[0]: 1}) is None


def test_a_signal_between() -> None:
    """The handler's thread: what the kernel saved leads back to the goroutine's stack."""
    fake = Fake(AMD64, {**TABLE, 0x300: ("main.leaf", 8, 0)}, {0x7F00: 0x210, 0x7F20: 0x110})
    for offset, value in ((160, 0x7F00), (168, 0x310)):  # rsp and rip in the ucontext at the handler's top
        fake.stack[0x7010 + offset] = value
    assert fake.unwound(parked(0, 0), Registers(0x610, 0x7000))[-3:] == [
        "main.leaf", "main.main", "runtime.goexit",
    ]  # fmt: skip


def test_calls_that_leave_it_in_a_register() -> None:
    table = {**TABLE, 0x100: ("runtime.goexit", 0, 1)}
    fake = Fake(ARM64, table, {0x7F00: 0x110})
    assert fake.unwound(parked(0x210, 0x7F00)) == ["main.main", "runtime.goexit"]
    # One that has no frame yet: the register of its thread has it.
    thread = Registers(0x310, 0x7F00, {30: 0x210})
    assert fake.unwound(parked(0, 0), thread) == ["main.leaf", "main.main", "runtime.goexit"]
    # A preempted one has it on the stack, above the call that the signal made it seem to have made.
    fake.stack.update({0x7E00: 0x310, 0x7E30: 0x210, 0x7E40: 0x110})
    assert fake.unwound(parked(0x410, 0x7E00)) == [
        "runtime.asyncPreempt", "main.leaf", "main.main", "runtime.goexit",
    ]  # fmt: skip


@given(
    st.dictionaries(st.integers(0x7E0, 0x7FF).map(lambda at: at * 16), st.sampled_from([0, 0x110, 0x210, 0x310, 0x410]))
)
def test_damaged_stacks(stack: dict[int, int]) -> None:
    """They end, whatever lies there."""
    for arch in (AMD64, ARM64):
        assert len(Fake(arch, TABLE, dict(stack)).unwound(parked(0x210, 0x7E00))) <= 1 << 12


# -- memory --------------------------------------------------------------------------------------------------

#: Maps pages, writes to the second and the last, says where, and writes again when it is told to.
CHILD = """
import ctypes, mmap, sys
pages = mmap.mmap(-1, 64 * 4096)
pages[4096:4104] = b"pattern!"
pages[63 * 4096:63 * 4096 + 4] = b"last"
print(ctypes.addressof(ctypes.c_char.from_buffer(pages)), flush=True)
sys.stdin.readline()
pages[4096:4104] = b"changed!"
print("changed", flush=True)
sys.stdin.readline()
"""


def test_a_copy_stays_as_it_was() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        at, live = int(child.stdout.readline()), ProcessMemory(child.pid)
        copy = copied.room(live, child.pid)
        assert copy is not None and copy.copy(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "changed\n"
        assert live.read(at + PAGE, 8) == b"changed!"
        whole = bytes(PAGE) + b"pattern!".ljust(62 * PAGE, b"\0") + b"last".ljust(PAGE, b"\0")
        assert copy.read(at, 64 * PAGE) == whole
        assert bytes(copy.joined([at + PAGE, at + 63 * PAGE], [8, 4]) or b"") == b"pattern!last"
        assert [bytes(data) for _, _, data in copy.stream([(at + PAGE, 7)] * 9)] == [b"pattern"] * 9  # type: ignore[arg-type]
        with pytest.raises(MemoryFault):
            copy.read(0, 8)
        child.stdin.write("\n")
    assert copied.room(live, child.pid) is None


def test_what_is_held_hides_what_it_overlaps() -> None:
    held = HeldMemory(RegionMemory([(0, bytes(range(100)))]), limit=40)
    held.hold(20, b"a" * 20)
    held.hold(10, b"b" * 15)  # of another moment: what it overlaps is not of the same
    assert held.read(10, 15) == b"b" * 15 and held.read(25, 5) == bytes(range(25, 30))
    held.hold(60, b"c" * 30)  # more than the limit in all
    assert held.read(60, 4) == bytes(range(60, 64))


# -- packed core files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("area", ["", "none"])
def test_errors_name_the_file_that_was_typed(area: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not the temporary file that it was written out to, in an area that may not be there."""
    where = tmp_path / area
    monkeypatch.setenv("TMPDIR", str(where))
    packed = tmp_path / "core.gz"
    packed.write_bytes(gzip.compress(Path(sys.executable).read_bytes(), 1))
    with pytest.raises(GomapError) as caught:
        of_core(None, str(packed))
    said = f"{packed} can't be written out to {where}: " if area else f"{packed} is a program or a library, not a core"
    assert str(caught.value).startswith(said)


# -- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "scope", "tracer", "number", "said"),
    [
        (1234, "0", 0, errno.EPERM, "belongs to another user"),
        (None, "1", 0, errno.EPERM, "ptrace_scope is 1: run gomap with CAP_SYS_PTRACE, or set that to 0"),
        (None, "3", 0, errno.EPERM, "ptrace_scope is 3: no process may trace another"),
        (None, "", 0, errno.EPERM, "in a container gomap needs CAP_SYS_PTRACE"),
        (None, "0", 1, errno.EPERM, "process 1 ("),
        (None, "0", 0, errno.EIO, "run gomap without --pause"),
    ],
)
def test_refusals(
    owner: int | None, scope: str, tracer: int, number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_line = refusals._first_line
    monkeypatch.setattr(refusals, "_owner", lambda pid: os.geteuid() if owner is None else owner)
    monkeypatch.setattr(refusals, "_tracer", lambda pid: tracer)
    monkeypatch.setattr(refusals, "_first_line", lambda path: scope if path == refusals._YAMA else first_line(path))
    told = refusals.why_not_stopped(1, number)
    assert said in told and "\n" not in told
