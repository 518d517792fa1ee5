"""ELF files, as far as an answer needs them: why a program has no Go debug information, what ails a core file.

Nothing in these files is trusted: a table that does not lie in the file makes it one that can't be used.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Union

from gomap.errors import GomapError, MemoryFault

Data = Union[bytes, mmap.mmap]

SHARED, CORE = 3, 4  # ET_DYN, ET_CORE
_LOAD, _NOTE, _WRITABLE = 1, 4, 2  # PT_LOAD, PT_NOTE, PF_W
_COMPRESSED_SECTION, _ZLIB = 1 << 11, 1  # SHF_COMPRESSED, ELFCOMPRESS_ZLIB
_OBJECT = 1  # STT_OBJECT; STT_NOTYPE is 0
#: Debug information is smaller, unpacked.
MAX_UNPACKED = 1 << 31
#: Names of package variables are shorter.
MAX_NAME = 4096
#: e_machine, as Go calls them.
MACHINES = {3: "386", 62: "amd64", 40: "arm", 183: "arm64", 22: "s390x", 21: "ppc64", 243: "riscv64", 258: "loong64"}
_COMPRESSED = (
    (b"\x1f\x8b", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "unzstd"),
    (b"\xfd7zXZ", "unxz"),
    (b"\x04\x22\x4d\x18", "unlz4"),
    (b"BZh", "bunzip2"),
)
#: What the Go linker leaves in a program however it is stripped (cmd/link/internal/ld/data.go, pcln.go).
_OF_GO = frozenset({".go.buildinfo", ".note.go.buildid", ".gopclntab", ".data.rel.ro.gopclntab"})


class BadElf(GomapError):
    """A file that is not an ELF file, or is truncated in its headers."""

    code = "bad-elf"


class CutShort(MemoryFault):
    """Memory that the core file promises and does not have."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(address, size, "the core file is truncated before it")


@dataclass(frozen=True)
class Segment:
    """A program header. size: bytes in the file, from `offset` on."""

    kind: int
    address: int
    offset: int
    size: int
    writable: bool


@dataclass(frozen=True)
class Elf:
    """order: of struct's, for numbers in the file. entry: where the program starts."""

    kind: int
    machine: int
    order: str
    wide: bool
    entry: int
    segments: tuple[Segment, ...]

    @property
    def loaded(self) -> list[Segment]:
        """The segments that have memory in the file, by address."""
        return sorted((s for s in self.segments if s.kind == _LOAD and s.size), key=lambda s: s.address)


def parse(data: Data) -> Elf:
    """The headers of an ELF file. Raises BadElf."""
    if data[:4] != b"\x7fELF" or len(data) < 52:
        raise BadElf("it is not an ELF file")
    order, wide = "<" if data[5] == 1 else ">", data[4] == 2
    try:
        kind, machine = struct.unpack_from(order + "HH", data, 16)
        words = "QQQIHHH" if wide else "IIIIHHH"
        entry, table, sections, _, _, size, count = struct.unpack_from(order + words, data, 24)
        if count == 0xFFFF and sections:  # PN_XNUM: the first section header's sh_info has the count
            (count,) = struct.unpack_from(order + "I", data, sections + (44 if wide else 28))
        if table + count * max(size, 32) > len(data):  # no header is smaller
            raise BadElf("it is truncated in its program headers")
        segments = tuple(_segment(data, order, wide, table + i * size) for i in range(count))
    except (struct.error, OverflowError) as error:  # an offset may be larger than any that struct takes
        raise BadElf("it is truncated in its headers") from error
    return Elf(kind, machine, order, wide, entry, segments)


def _segment(data: Data, order: str, wide: bool, at: int) -> Segment:
    if wide:
        kind, flags, offset, address, _, size = struct.unpack_from(order + "IIQQQQ", data, at)
    else:
        kind, offset, address, _, size, _, flags = struct.unpack_from(order + "IIIIIII", data, at)
    return Segment(kind, address, offset, size, bool(flags & _WRITABLE))


@dataclass(frozen=True)
class Section:
    """A section header. size: bytes in the file, from `offset` on. link: index of the section with its strings."""

    name: str
    flags: int
    address: int
    offset: int
    size: int
    link: int


def sections(data: Data) -> list[Section]:
    """The section headers, by index. Raises BadElf."""
    elf = parse(data)
    try:
        (table,) = struct.unpack_from(elf.order + ("Q" if elf.wide else "I"), data, 40 if elf.wide else 32)
        size, count, names = struct.unpack_from(elf.order + "HHH", data, 58 if elf.wide else 46)
        if not table or names >= count or table + size * count > len(data):
            return []
        form = struct.Struct(elf.order + ("IIQQQQI" if elf.wide else "IIIIIII"))
        headers = [form.unpack_from(data, table + i * size) for i in range(count)]
    except struct.error as error:
        raise BadElf("it is truncated in its section headers") from error
    _, _, _, _, start, length, _ = headers[names]
    strings = data[start : start + min(length, 1 << 20)]
    found = []
    for name, _, flags, address, offset, length, link in headers:
        text = strings[name : strings.find(b"\0", name)].decode("ascii", "replace")
        found.append(Section(text, flags, address, offset, length, link))
    return found


def contents(data: Data, section: Section) -> bytes:
    """The section's bytes, unpacked. Raises BadElf where they are not in the file or can't be unpacked."""
    raw = data[section.offset : section.offset + section.size]
    if len(raw) < section.size:
        raise BadElf(f"it is truncated in {section.name}")
    if not section.flags & _COMPRESSED_SECTION:
        return raw
    elf = parse(data)
    try:
        kind, size = struct.unpack_from(elf.order + ("I4xQ" if elf.wide else "II"), raw)  # Elf64_Chdr, Elf32_Chdr
        if kind != _ZLIB or size > MAX_UNPACKED:
            raise BadElf(f"its {section.name} is compressed in a way that Python can't unpack")
        unpacked = zlib.decompressobj().decompress(memoryview(raw)[24 if elf.wide else 12 :], size)
    except (struct.error, zlib.error) as error:
        raise BadElf(f"its {section.name} can't be unpacked") from error
    if len(unpacked) != size:
        raise BadElf(f"its {section.name} can't be unpacked")
    return unpacked


def symbols(data: Data) -> dict[bytes, int]:
    """Values of the symbols of .symtab that are not functions, sections or files, by name. Raises BadElf."""
    elf, table = parse(data), sections(data)
    found = next((section for section in table if section.name == ".symtab"), None)
    if found is None or found.link >= len(table):
        return {}
    raw, strings = contents(data, found), contents(data, table[found.link])
    form = struct.Struct(elf.order + ("IBBHQQ" if elf.wide else "IIIBBH"))
    values = {}
    for symbol in form.iter_unpack(raw[: len(raw) - len(raw) % form.size]):
        name, info, value = (symbol[0], symbol[1], symbol[4]) if elf.wide else (symbol[0], symbol[3], symbol[1])
        end = strings.find(b"\0", name, name + MAX_NAME)
        if info & 15 <= _OBJECT and end > name:
            values[strings[name:end]] = value
    return values


def symbols_with(data: Data, parts: Sequence[bytes]) -> dict[str, tuple[int, int]]:
    """Address in the file and size of each symbol in .symtab whose name has one of the parts. Raises BadElf."""
    elf, table = parse(data), sections(data)
    found = next((section for section in table if section.name == ".symtab"), None)
    if found is None or found.link >= len(table):
        return {}
    strings, wanted = contents(data, table[found.link]), {}
    for part in parts:
        at = strings.find(part)
        while at >= 0:
            first, end = strings.rfind(b"\0", 0, at) + 1, strings.find(b"\0", at)
            if end < 0:
                break
            wanted[first] = strings[first:end].decode("utf-8", "replace")
            at = strings.find(part, end)
    if not wanted:
        return {}
    raw = contents(data, found)
    form = struct.Struct(elf.order + ("IBBHQQ" if elf.wide else "IIIBBH"))
    value, size = (4, 5) if elf.wide else (1, 2)
    return {
        wanted[one[0]]: (one[value], one[size])
        for one in form.iter_unpack(raw[: len(raw) - len(raw) % form.size])
        if one[0] in wanted
    }


def mapped(path: str) -> mmap.mmap:
    """The file's bytes. Raises OSError, BadElf when it is empty."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise BadElf("it is empty")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


# -- programs ----------------------------------------------------------------------------------------


def machine_of(path: str) -> str | None:
    """Name of the machine that a program is for, None when it is not an ELF file."""
    try:
        with mapped(path) as data:
            number = parse(data).machine
    except (OSError, BadElf):
        return None
    return MACHINES.get(number, f"machine {number}")


def is_go(path: str) -> bool:
    """Whether the Go linker made this program or library."""
    try:
        with mapped(path) as data:
            return any(section.name in _OF_GO for section in sections(data))
    except (OSError, BadElf):
        return False


def _debug_link(data: Data, section: Section) -> str:
    """Name of the file that has the debug information."""
    return data[section.offset : section.offset + min(section.size, 4096)].split(b"\0")[0].decode("utf-8", "replace")


def why_no_debug_info(path: str | None) -> str:
    """Why a debugger finds no Go debug information in the program, and what to do about it."""
    start = "no Go debug information: "
    if path is None:
        return f"{start}the program is not Go, or was built with -ldflags=-w or -s; build it again without these flags"
    try:
        with mapped(path) as data:
            found = sections(data)
            names = {section.name for section in found}
            link = next((_debug_link(data, section) for section in found if section.name == ".gnu_debuglink"), "")
    except (OSError, BadElf):
        return f"{start}{path} can't be read as a program"
    if _OF_GO.isdisjoint(names):
        return f"{start}{path} is not a Go program, or has not loaded its Go library yet"
    if names & {".debug_info", ".zdebug_info"}:
        return (
            f"{start}{path} has some, and the debugger can't read it: it may be compressed in a way that this "
            f"debugger does not know (objcopy --decompress-debug-sections {path})"
        )
    if link:
        return f"{start}that of {path} is in a separate file, {link}, which is missing: put {link} beside it"
    flag, stripped = ("-w", "stripped of it") if ".symtab" in names else ("-s", "stripped")
    # The linker ignores -f. Flags of one length leave everything at its place: the build information has them.
    return (
        f"{start}{path} was built with -ldflags={flag}, or {stripped}. Build the same source with -f in place of each "
        "-s and -w (from Go 1.22 on, core files of this build open with that one), or do not strip it"
    )


# -- core files --------------------------------------------------------------------------------------

NT_PRSTATUS = 1
_NT_AUXV, _NT_FILE, _AT_ENTRY = 6, 0x46494C45, 9


def entry_in_core(data: Data) -> int | None:
    """The entry address of the program that dumped this core (AT_ENTRY): it shows where a PIE was loaded."""
    elf = parse(data)
    return entry_in_vector(_note(data, elf, _NT_AUXV), elf)


def entry_in_vector(vector: bytes, elf: Elf) -> int | None:
    """AT_ENTRY of an auxiliary vector (/proc/PID/auxv). elf: of a file of the same machine."""
    pair = struct.Struct(elf.order + ("QQ" if elf.wide else "II"))
    return dict(pair.iter_unpack(vector[: len(vector) - len(vector) % pair.size])).get(_AT_ENTRY)


def libraries_in_core(data: Data) -> list[str]:
    """Files that the program had mapped (NT_FILE, fs/binfmt_elf.c of Linux), itself apart."""
    return sorted(path for path, is_program in _files_in_core(data).items() if not is_program)


def program_in_core(data: Data) -> str | None:
    """The file of the program that dumped this core: AT_ENTRY lies in it. None where the core does not tell."""
    return next((path for path, is_program in _files_in_core(data).items() if is_program), None)


def _files_in_core(data: Data) -> dict[str, bool]:
    """Files that the program had mapped, and which is its own."""
    elf, entry = parse(data), entry_in_core(data)
    note, word = _note(data, elf, _NT_FILE), 8 if elf.wide else 4
    count = int.from_bytes(note[:word], "little" if elf.order == "<" else "big")
    table = note[2 * word : 2 * word + 3 * word * count]
    if len(table) < 3 * word * count:
        return {}
    places = struct.iter_unpack(elf.order + ("QQQ" if elf.wide else "III"), table)
    names = note[2 * word + len(table) :].split(b"\0")[:count]
    files: dict[str, bool] = {}
    for (start, end, _), name in zip(places, names):
        path = name.decode("utf-8", "surrogateescape")
        files[path] = files.get(path, False) or (entry is not None and start <= entry < end)
    return files


def _note(data: Data, elf: Elf, wanted: int) -> bytes:
    """Contents of the core's first note of that kind."""
    return next(notes(data, elf, wanted), b"")


def notes(data: Data, elf: Elf, wanted: int) -> Iterator[bytes]:
    """Contents of the core's notes of that kind, in order."""
    for segment in (s for s in elf.segments if s.kind == _NOTE):
        at, end = segment.offset, min(segment.offset + segment.size, len(data))
        while at + 12 <= end:
            name, size, kind = struct.unpack_from(elf.order + "III", data, at)
            start = at + 12 + (name + 3) // 4 * 4
            if kind == wanted:
                yield bytes(data[start : min(start + size, end)])
            at = start + (size + 3) // 4 * 4


_GNU_BUILD_ID, _GO_BUILD_ID = (b"GNU", 3), (b"Go", 4)
#: Bytes of a program or core that are looked at for its build IDs: the linker puts them in front.
MAX_HEAD = 1 << 16


def build_ids(data: Data, start: int = 0) -> tuple[str | None, str | None]:
    """(GNU's build ID in hexadecimal, Go's) of the program whose file begins at `start`, as a core file has its first
    pages too. None where it has none. Raises BadElf."""
    head = data[start : start + MAX_HEAD]
    elf = parse(head)
    found: dict[tuple[bytes, int], bytes] = {}
    for segment in (s for s in elf.segments if s.kind == _NOTE):
        at, end = segment.offset, segment.offset + segment.size
        while at + 12 <= len(head):
            length, size, kind = struct.unpack_from(elf.order + "III", head, at)
            begin = at + 12 + (length + 3) // 4 * 4
            name = head[at + 12 : at + 12 + length].rstrip(b"\0")
            # Go's linker puts GNU's note behind its own, and not into the segment (elf.go of cmd/link/internal/ld).
            if begin + size > len(head) or (at >= end and (name, kind) != _GNU_BUILD_ID):
                break
            found.setdefault((name, kind), bytes(head[begin : begin + size]))
            at = begin + (size + 3) // 4 * 4
    gnu, go = found.get(_GNU_BUILD_ID), found.get(_GO_BUILD_ID)
    return gnu.hex() if gnu else None, go.decode("ascii", "replace") if go else None


def has_code(data: Data) -> bool:
    """Whether the program's code is in the file: not in one that has its debug information alone. Raises BadElf."""
    parsed = parse(data)
    return any(one.address <= parsed.entry < one.address + one.size for one in parsed.loaded)


def is_identity(gnu: str | None, go: str | None) -> bool:
    """Whether build IDs tell builds apart. Go's has hashes with a slash between them (buildid.go of cmd/go); it can be
    set to any word (-ldflags=-buildid=redacted), and from Go 1.24 on GNU's is a hash of it."""
    return "/" in go if go is not None else gnu is not None


def build_ids_in_core(data: Data) -> tuple[str | None, str | None]:
    """The same of the program that dumped this core: AT_ENTRY lies in it, and not in a library or the vDSO. Where the
    core has no AT_ENTRY, of the first file of Go's. Raises BadElf."""
    elf, entry = parse(data), entry_in_core(data)
    of_go: tuple[str | None, str | None] = None, None
    for segment in elf.loaded:
        if data[segment.offset : segment.offset + 4] != b"\x7fELF":
            continue
        try:
            image = parse(data[segment.offset : segment.offset + MAX_HEAD])
            found = build_ids(data, segment.offset)
        except BadElf:
            continue
        moved = segment.address - min((one.address for one in image.loaded), default=0)
        if entry is not None and any(0 <= entry - moved - one.address < one.size for one in image.loaded):
            return found
        of_go = of_go if any(of_go) or not found[1] else found
    return of_go


def why_no_core(path: str) -> str | None:
    """Why this file is not a core file that can be looked at, and what to do; None when it is one."""
    if not os.path.isfile(path):
        return f"{path}: no such file"
    try:
        with mapped(path) as data:
            for magic, tool in _COMPRESSED:
                if data[: len(magic)] == magic:
                    return f"{path} is compressed: unpack it first ({tool})"
            if data[:4] == b"MDMP":
                return None  # a minidump of Windows
            elf = parse(data)
            if elf.kind != CORE:
                return f"{path} is a program or a library, not a core file: name the program first, then the core"
            if any(s.kind == _NOTE and s.offset + s.size > len(data) for s in elf.segments):
                raise BadElf("it is truncated in its notes")
    except OSError as error:
        return f"{path} can't be read: {error.strerror}"
    except BadElf as error:
        hint = "" if "not an ELF" in str(error) else ", and nothing of it can be used: dump or copy it again, whole"
        return f"{path} is not a core file: {error}{hint}"
    return None


def was_meant_as_core(path: str) -> bool:
    """Whether a file that is not a valid core file was probably meant as one: it is compressed, empty or truncated."""
    try:
        with open(path, "rb") as file:
            head = file.read(18)
    except OSError:
        return False
    packed = any(head.startswith(magic) for magic, _ in _COMPRESSED)
    return not head or packed or (head[:4] == b"\x7fELF" and CORE in head[16:18])


def cut_off(path: str) -> list[tuple[int, int]]:
    """Stretches of memory, as (first address, end), that the core file should have and has not."""
    try:
        with mapped(path) as data:
            size = len(data)
            segments = parse(data).loaded
    except (OSError, BadElf):
        return []
    return [(s.address + max(size - s.offset, 0), s.address + s.size) for s in segments if s.offset + s.size > size]
