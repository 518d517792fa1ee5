"""gomap triage: the program of a core by its build ID, and the words for what it died of."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from direct.fleet.causes import HIDDEN, said
from direct.fleet.programs import NoProgram, Programs, build_of
from direct.fleet.read import why
from gomap import elf
from gomap.corefile import check
from gomap.errors import WrongProgram
from gomap.results.race import DeathRow


def an_elf(go: bytes | None, gnu: bytes | None, code: bytes = b"code", entry: int = 0x400000) -> bytes:
    """A program with these notes, of which the segment has the first, as Go's linker writes them."""
    notes = [a_note(n, k, v) for n, k, v in ((b"Go\0\0", 4, go), (b"GNU\0", 3, gnu)) if v is not None]
    start = 64 + 2 * 56
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, entry, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    size = len(notes[0]) if notes else 0
    head = header + struct.pack("<IIQQQQQQ", 4, 4, start, 0x400000 + start, 0, size, size, 4)
    data = b"".join(notes) + code * 8
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0, start + len(data), start + len(data), 4096) + data


def a_note(name: bytes, kind: int, value: bytes) -> bytes:
    padded = [one + b"\0" * (-len(one) % 4) for one in (name, value)]
    return struct.pack("<III", len(name), len(value), kind) + b"".join(padded)


def a_core(images: dict[int, bytes], entry: int | None = None, name: bytes = b"") -> bytes:
    """A core with the first pages of files, by address. name: of the program, in which the entry is."""
    notes = b""
    if entry is not None:
        notes = a_note(b"CORE", 6, struct.pack("<4Q", 9, entry, 0, 0))
        notes += a_note(
            b"CORE", 0x46494C45, struct.pack("<5Q", 1, 4096, entry & -4096, (entry & -4096) + 4096, 0) + name
        )
    loads = [
        struct.pack("<IIQQQQQQ", 1, 5, 8192 + 4096 * i, address, 0, 4096, 4096, 4096)
        for i, address in enumerate(images)
    ]
    segments = struct.pack("<IIQQQQQQ", 4, 4, 4096, 0, 0, len(notes), 0, 4) + b"".join(loads)
    number = 1 + len(loads)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 64, 0, 0, 64, 56, number, 64, 0, 0)
    pages = b"".join(image.ljust(4096, b"\0") for image in images.values())
    return (head + segments).ljust(4096, b"\0") + notes.ljust(4096, b"\0") + pages


def test_build_ids() -> None:
    vdso = an_elf(None, b"\xcd" * 20, entry=0x10000)
    for go, gnu in ((b"a/b/c/d", b"\xab" * 20), (b"a/b/c/d", None), (None, b"\xab" * 20), (None, None)):
        wanted = (gnu.hex() if gnu else None, go.decode() if go else None)
        program = an_elf(go, gnu)
        assert elf.build_ids(program) == wanted
        assert elf.build_ids(b"x" * 100 + program, 100) == wanted
        # The program's first page, behind that of another file: the vDSO has a build ID too.
        images = {0x10000: vdso, 0x400000: program}
        assert elf.build_ids_in_core(a_core(images, 0x400010)) == wanted
        moved = {0x10000: vdso, 0x7000000: program}
        assert elf.build_ids_in_core(a_core(moved, 0x7000010)) == wanted
        assert elf.build_ids_in_core(a_core(images)) == (wanted if go else (None, None))
    for end in range(0, len(program), 7):  # truncated anywhere
        try:
            elf.build_ids(an_elf(b"a/b", b"\xab" * 20)[:end])
        except elf.BadElf:
            continue


def test_programs_by_build_id(tmp_path: Path) -> None:
    folder, core = tmp_path / "programs", tmp_path / "core"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "text").write_text("no program")
    (folder / "link").symlink_to("/nope")
    os.mkfifo(folder / "pipe")  # opening it would wait for ever
    by_id, by_gnu, nameless = an_elf(b"one/two", None), an_elf(None, b"\xab" * 20), an_elf(None, None)
    (folder / "deep/er/x").write_bytes(by_id)
    (folder / "deep/y").write_bytes(by_gnu)
    (folder / "deep/er/its name").write_bytes(nameless)
    known = Programs([str(folder)])

    def program(image: bytes, name: bytes = b"/srv/other") -> str | None:
        core.write_bytes(a_core({0x400000: image}, 0x400010, name))
        found = known.of_core(str(core))
        return os.path.relpath(found.path, folder) if found else None

    with pytest.raises(NoProgram, match=r"no program with build ID one/two is in .*: other"):
        program(by_id)
    assert known.look() and not known.look()
    assert program(by_id) == "deep/er/x" and program(by_gnu) == "deep/y"
    assert program(nameless, b"/srv/its name") == "deep/er/its name"
    with pytest.raises(NoProgram, match=r"the core has no build ID, and no program of that name is in .*: gone"):
        program(nameless, b"/srv/gone")
    with pytest.raises(NoProgram):
        program(an_elf(b"../../etc/passwd", None))
    (folder / "later").write_bytes(an_elf(b"three/", None))
    with pytest.raises(NoProgram):
        program(an_elf(b"three/", None))
    known._looked = -1e9
    assert known.look() and program(an_elf(b"three/", None)) == "later"


def test_programs_with_one_build_id(tmp_path: Path) -> None:
    """As with -ldflags=-buildid=redacted, from which the linker makes GNU's too."""
    folder, core = tmp_path / "programs", tmp_path / "core"
    folder.mkdir()
    images = [an_elf(b"redacted", b"\xab" * 20, b"code" * (1 + i)) for i in range(4)]
    for i, image in enumerate(images):
        (folder / f"program{i}").write_bytes(image)
    (folder / "another name").write_bytes(images[3])
    known = Programs([str(folder)])
    known.look()
    for i, image in enumerate(images):
        core.write_bytes(a_core({0x400000: image}, 0x400010, f"/srv/program{i}".encode()))
        found = known.of_core(str(core))
        assert found is not None and found.path == str(folder / f"program{i}")
        for other in images:
            (tmp_path / "other").write_bytes(other)
            if other != image:
                with pytest.raises(WrongProgram):
                    check(str(tmp_path / "other"), str(core))
    assert len({build_of(image) for image in images}) == len(images)
    assert build_of(images[0]) == build_of(images[0]) and build_of(images[0]).startswith("redacted~")
    assert build_of(an_elf(None, None)) != build_of(an_elf(None, None, b"else"))
    assert build_of(an_elf(b"a/b", b"\xab" * 20)) == "ab" * 20 and build_of(an_elf(b"a/b", None)) == "a/b"
    assert build_of(an_elf(None, b"\xab" * 20)) == "ab" * 20


# -- what programs died of -------------------------------------------------------------------------------------


def test_causes_have_no_values() -> None:
    def of(kind: str, message: str | None, with_keys: bool = False) -> tuple[str | None, str]:
        return said(DeathRow(kind, message, 1, None, None, None, None, False, None, False, None), with_keys)

    for text, wanted in (
        ("runtime error: index out of range [4711] with length 12",
         "runtime error: index out of range [N] with length N"),
        ("runtime error: index out of range [-1]", "runtime error: index out of range [-N]"),
        ("runtime error: slice bounds out of range [:5:4]", "runtime error: slice bounds out of range [:N:N]"),
        ("runtime error: slice bounds out of range [::9] with capacity 8",
         "runtime error: slice bounds out of range [::N] with capacity N"),
        ("runtime error: invalid memory address or nil pointer dereference", None),
        ("runtime error: hash of unhashable type []int32", None),
        ("runtime error: comparing uncomparable type map[string]lib.T[int64]", None),
        ("interface conversion: interface {} is int64, not int32", None),
        ("interface conversion: error is *fs.PathError, not main.E", None),
        ("interface conversion: interface is nil, not fmt.Stringer", None),
        ("interface conversion: main.T is not io.Reader: missing method Read", None),
        ("interface conversion: interface {} is main.T, not main.T (types from different scopes)", None),
        ("assignment to entry in nil map", None), ("close of closed channel", None),
        ("sync: negative WaitGroup counter", None),
    ):  # fmt: skip
        assert of("panic", text) == (wanted or text, f"panic: {wanted or text}")
        assert of("panic", text, True) == (text, f"panic: {wanted or text}")
    for text in (
        "topics lost", "runtime error: alice", "runtime error: index out of range [alice]", "close of account 4711",
        "sync: alice", "interface conversion: alice is string, not int", "interface conversion: int is alice, not int",
        "interface conversion: string is bob, not alice", "interface conversion: main.T is not alice: missing method x",
        "runtime error: hash of unhashable type alice", "assignment to entry in nil map alice", "4711", "",
        "runtime error: hash of unhashable type string\nalice", "x runtime error: integer overflow",
        "runtime error: hash of unhashable type " + "1.2" * 300 + "alice",
    ):  # fmt: skip
        assert of("panic", text) == (None, HIDDEN), text
    assert of("panic", "user 17 of 4 is gone", True) == ("user 17 of 4 is gone", "panic: user N of N is gone")
    again = "panic while printing panic value"
    assert of("fatal error", f"{again}: alice\nbob") == (again, f"fatal error: {again}")
    assert of("fatal error", f"{again}: type main.T")[0] == f"{again}: type main.T"
    assert of("fatal error", "concurrent map writes") == ("concurrent map writes", "fatal error: concurrent map writes")
    assert of("signal", "SIGUSR1: user-defined signal 1")[1] == "signal SIGUSR1: user-defined signal N"
    assert of("panic", None) == (None, "panic: its text could not be read")


def test_errors_have_no_values() -> None:
    try:
        dict[str, int]()["alice"]
    except KeyError as error:
        text = why(error, "/core")
    assert text.startswith("internal error in gomap, please report it: KeyError in tests/unit/test_triage_cores.py:")
    assert "alice" not in text
