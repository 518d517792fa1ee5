"""ELF files are not trusted: whatever is in them, an answer or one clear error, and nothing read beyond the file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gomap import elf
from gomap.corefile import CoreMemory
from gomap.elf import BadElf, Segment
from gomap.errors import MemoryFault

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM, SECTION, NOTE = struct.Struct("<IIQQQQQQ"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<III8s")


def core(memory: bytes = b"m" * 64, entry: int = 0x1234) -> bytes:
    """A core with one note of each kind that is looked at, and one segment."""
    names = b"/a/program\0/b/library.so\0"
    files = struct.pack("<QQ", 2, 4096) + struct.pack("<QQQQQQ", entry, entry + 1, 0, 1, 2, 0) + names
    vector = struct.pack("<QQQQ", 3, 0x40, 9, entry) + struct.pack("<QQ", 0, 0)
    notes = b""
    for kind, content in ((6, vector), (0x46494C45, files)):
        notes += NOTE.pack(5, len(content), kind, b"CORE\0\0\0\0") + content + b"\0" * (-len(content) % 4)
    start = HEADER.size + 2 * PROGRAM.size
    headers = PROGRAM.pack(4, 0, start, 0, 0, len(notes), 0, 4)
    headers += PROGRAM.pack(1, 0, start + len(notes), 0x400000, 0, len(memory), len(memory), 4096)
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    return HEADER.pack(ident, 4, 62, 1, 0, HEADER.size, 0, 0, 64, PROGRAM.size, 2, 64, 0, 0) + headers + notes + memory


def program(*names: str, link: bytes = b"") -> bytes:
    """A program of these sections. link: the contents of .gnu_debuglink."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in (*names, ".shstrtab"))
    table = HEADER.size + len(strings) + len(link)
    sections = SECTION.pack(*[0] * 10)
    for name in names:
        at = HEADER.size + len(strings)
        size = len(link) if name == ".gnu_debuglink" else 0
        sections += SECTION.pack(strings.index(name.encode() + b"\0"), 1, 0, 0, at, size, 0, 0, 1, 0)
    sections += SECTION.pack(strings.index(b".shstrtab"), 3, 0, 0, HEADER.size, len(strings), 0, 0, 1, 0)
    count = len(names) + 2
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header = HEADER.pack(ident, 2, 62, 1, 0x400000, 0, table, 0, 64, 56, 0, SECTION.size, count, count - 1)
    return header + strings + link + sections


def many_headers(told_at: int = HEADER.size) -> bytes:
    """A core whose program headers are of no size, and 4 billion (PN_XNUM). told_at: where their number should be."""
    data = bytearray(core())
    struct.pack_into("<Q", data, 40, told_at)
    struct.pack_into("<HH", data, 54, 0, 0xFFFF)
    struct.pack_into("<I", data, HEADER.size + 44, 0xFFFFFFFF)
    return bytes(data)


def kept(folder: Path, data: bytes) -> str:
    file = folder / "file"
    file.write_bytes(data)
    return str(file)


def test_a_core_is_read() -> None:
    data = core(entry=0x5555)
    parsed = elf.parse(data)
    assert (parsed.kind, parsed.wide, parsed.order) == (elf.CORE, True, "<")
    assert parsed.loaded == [Segment(1, 0x400000, len(data) - 64, 64, False)]
    assert elf.entry_in_core(data) == 0x5555
    assert elf.libraries_in_core(data) == ["/b/library.so"]


def test_what_is_cut_off(tmp_path: Path) -> None:
    data = core()
    assert elf.cut_off(kept(tmp_path, data)) == []
    assert elf.why_no_core(kept(tmp_path, data)) is None
    assert elf.cut_off(kept(tmp_path, data[:-24])) == [(0x400000 + 40, 0x400000 + 64)]
    assert elf.why_no_core(kept(tmp_path, data[:-24])) is None
    assert elf.cut_off(kept(tmp_path, data[:-64])) == [(0x400000, 0x400000 + 64)]
    assert "in its notes" in str(elf.why_no_core(kept(tmp_path, data[:-70])))


@pytest.mark.parametrize(
    "data, told",
    [
        (b"", "it is empty"),
        (b"text\n", "it is not an ELF file"),
        (b"\x7fELF", "it is not an ELF file"),
        (core()[:55], "truncated in its headers"),
        (core()[:100], "truncated in its program headers"),
        (many_headers(), "truncated in its program headers"),
        (many_headers((1 << 64) - 1), "truncated in its headers"),
        (b"\x1f\x8b\x08", "(gunzip)"),
        (program(), "is a program or a library"),
    ],
)
def test_no_core(data: bytes, told: str, tmp_path: Path) -> None:
    assert told in str(elf.why_no_core(kept(tmp_path, data)))
    assert elf.cut_off(kept(tmp_path, data)) == []


@pytest.mark.parametrize(
    "names, link, told",
    [
        ((".text", ".debug_info"), b"", "is not a Go program"),
        ((".go.buildinfo", ".symtab"), b"", "-ldflags=-w"),
        ((".gopclntab",), b"", "-ldflags=-s"),
        ((".go.buildinfo", ".zdebug_info"), b"", "can't read it"),
        ((".go.buildinfo", ".gnu_debuglink"), b"prog.debug\0\0crc4", "put prog.debug beside it"),
    ],
)
def test_why_there_is_no_debug_information(names: tuple[str, ...], link: bytes, told: str, tmp_path: Path) -> None:
    path = kept(tmp_path, program(*names, link=link))
    assert told in elf.why_no_debug_info(path)
    assert elf.is_go(path) is (names[0] != ".text")
    assert elf.machine_of(path) == "amd64"


@pytest.mark.parametrize("lost", [0, 24, 64])
def test_streamed_a_core_has_the_same_memory(lost: int, tmp_path: Path) -> None:
    """At the edges of a segment and of the file, and in front of all segments."""
    content, start = bytes(range(64)), 0x400000
    data = core(content)
    memory = CoreMemory(kept(tmp_path, data[: len(data) - lost]))
    pieces = [(start + at, size) for at in (-8, 0, 1, 39, 40, 41, 63, 64, 100) for size in (1, 8, 24, 64)]
    pieces.append((16, 8))
    streamed = list(memory.stream(pieces))
    assert [found[:2] for found in streamed] == pieces
    for address, size, held in streamed:
        at = address - start
        if at >= 0 and at + size <= 64 - lost:
            assert held == content[at : at + size] == memory.read(address, size)
        else:
            with pytest.raises(MemoryFault) as caught:
                memory.read(address, size)
            assert isinstance(held, type(caught.value))
        together = memory.joined([start, address, 16, address], [1, size, 0, size])
        assert together == (None if isinstance(held, MemoryFault) or lost == 64 else content[:1] + 2 * bytes(held))
    memory.close()  # with bytes of it in use


def test_a_program_that_can_not_be_read(tmp_path: Path) -> None:
    assert "can't be read" in elf.why_no_debug_info(str(tmp_path / "none"))
    assert elf.machine_of(str(tmp_path / "none")) is None
    assert "the program is not Go" in elf.why_no_debug_info(None)


@settings(max_examples=300)
@given(st.sampled_from([core(), program(".go.buildinfo", ".gnu_debuglink", link=b"x\0")]), st.data())
def test_nothing_breaks_it(data: bytes, draw: st.DataObject) -> None:
    """Words anywhere in the file replaced, and its end cut off."""
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4))):
        at = draw.draw(st.integers(0, len(data) - 8))
        word = draw.draw(st.sampled_from([0, 1, 0xFFFF, 1 << 31, 1 << 32, (1 << 63) - 1, (1 << 64) - 1]))
        changed[at : at + 8] = word.to_bytes(8, "little")
    broken = bytes(changed[: draw.draw(st.integers(0, len(data)))])
    for look in (elf.parse, elf.sections, elf.entry_in_core, elf.libraries_in_core):
        try:
            look(broken)
        except BadElf as error:
            assert "\n" not in str(error)
