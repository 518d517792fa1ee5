"""Core files as users have them: packed, cut short, empty, of another build; and what none of them breaks."""

from __future__ import annotations

import bz2
import functools
import gzip
import json
import lzma
from pathlib import Path

import pytest

from gomap import elf
from tests.support import debuggers, delves, session, toolchains, truths
from tests.support.builds import bridge, built
from tests.support.complaints import batch
from tests.support.debuggers import LOAD, Core, Gdb
from tests.support.delves import Dlv
from tests.support.toolchains import Row

SHOW = "hmap-show main.Keep.M"
#: A frame of each with nothing in it, as the tools zstd and lz4 write them.
ZSTD, LZ4 = bytes.fromhex("28b52ffd2400010000 99e9d851"), bytes.fromhex("04224d186440a7 00000000 05 5d cc02")


@functools.cache
def whole(row: Row) -> tuple[Path, Core]:
    binary = toolchains.build("basic", row, optimised=False)
    return binary, debuggers.make_core(binary, "start")


def heads(data: bytes) -> dict[str, tuple[bytes, str]]:
    """Files that are no core, and what is said of each."""
    notes = next(s for s in elf.parse(data).segments if s.kind == 4)
    return {
        "core.gz": (gzip.compress(data[:4096]), "is compressed: unpack it first (gunzip)"),
        "core.xz": (lzma.compress(data[:4096]), "is compressed: unpack it first (unxz)"),
        "core.bz2": (bz2.compress(data[:4096]), "is compressed: unpack it first (bunzip2)"),
        "core.zst": (ZSTD, "is compressed: unpack it first (unzstd)"),
        "core.lz4": (LZ4, "is compressed: unpack it first (unlz4)"),
        "empty": (b"", "is empty"),
        "headers": (data[:100], "is truncated in its program headers"),
        "notes": (data[: notes.offset + notes.size // 2], "is truncated in its notes"),
    }


def test_files_that_are_no_core(swiss_go: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """One line in gdb, when the file was named where gdb was started, and one from dlv-hmap, which starts no dlv."""
    binary, core = whole(swiss_go)
    for name, (content, told) in heads(core.path.read_bytes()[: 1 << 20]).items():
        file = tmp_path / name
        file.write_bytes(content)
        named = {"core.gz": [f"--core={file}"], "core.xz": ["-c", str(file)]}.get(name, [str(file)])
        line = refusal(system_gdb, [str(binary), *named])
        assert line.startswith("hmap-show: no process: ") and str(file) in line and told in line, line
        output, errors, status = bridge(dlv, "core", str(binary), str(file), "-c", SHOW)
        assert (output, status, len(errors)) == ("", 1, 1) and str(file) in errors[0] and told in errors[0], errors
    run = debuggers.run_gdb(system_gdb, ["-x", str(LOAD), "-ex", SHOW, "--args", str(binary), str(file)])
    assert "hmap-show: no process: start one with run" in run.stderr, run.stderr  # the program's file, not gdb's
    for file, told in ((binary, "not a core file"), (Path(__file__), "it is not an ELF file")):
        _, errors, status = bridge(dlv, "core", str(binary), str(file), "-c", SHOW)
        assert (status, len(errors)) == (1, 1) and told in errors[0], errors


def refusal(gdb: Gdb, arguments: list[str]) -> str:
    _, errors, _ = batch(gdb, arguments, [SHOW])
    (line,) = (line for line in errors if line.startswith("hmap-show: "))
    return line


def cut(core: Core, at: int, folder: Path) -> Path:
    file = folder / f"cut-{at}"
    with core.path.open("rb") as source:
        file.write_bytes(source.read(at))
    return file


def test_nothing_needed_is_cut_off(swiss_go: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """All maps are right where what is missing lies behind the heap."""
    binary, core = whole(swiss_go)
    exprs = session.published(binary)["start"]
    segments = elf.parse(core.path.read_bytes()).loaded
    address = max(int(core.truth["start"]["maps"][expr]["address"] or "0", 0) for expr in exprs)
    heap = next(s for s in segments if s.address <= address < s.address + s.size)
    short = Core(cut(core, heap.offset + heap.size, tmp_path), binary, "start", core.truth)
    assert short.path.stat().st_size < core.path.stat().st_size
    # The stack lies behind the heap, and with it the locals.
    asked = session.questions(exprs)
    for answers in (debuggers.examine(system_gdb, short, asked), delves.examine(dlv, short, asked[1:])):
        truths.check_all(answers, binary, True, "core")


def test_the_heap_is_cut_off(swiss_go: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """What is not in the file is said to be missing from it, and the rest is answered."""
    binary, core = whole(swiss_go)
    address = int(core.truth["start"]["maps"]["main.Keep.M"]["address"], 0)
    segments = elf.parse(core.path.read_bytes()).loaded
    heap = next(s for s in segments if s.address <= address < s.address + s.size)
    short = cut(core, heap.offset + (address - heap.address) // 2, tmp_path)
    told = f"at {address:#x}: the core file is truncated before it"
    nothing = "hmap-show main.Keep.None --json"
    out, errors, _ = batch(system_gdb, [str(binary), str(short)], [SHOW, nothing, "hmap-alias --json"])
    assert [line for line in errors if line.startswith("hmap-")] == [line for line in errors if told in line]
    check_rest([line for line in out if line.startswith("{")])
    output, errors, status = bridge(
        dlv, "core", str(binary), str(short), "-c", SHOW, "-c", nothing, "-c", "hmap-alias --json"
    )
    assert status == 1 and errors[0].startswith(f"warning: {short} is truncated by ")
    assert len([line for line in errors if told in line]) == 1
    check_rest(output.splitlines())


def test_all_of_a_pie_but_its_heap_is_cut_off(
    swiss_go: Row, system_gdb: Gdb, dlv: Dlv, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A PIE lies behind its heap: that its own records are missing does not make it another build."""
    binary = built(request.config, "pie", swiss_go)
    core = debuggers.make_core(binary, "start")
    address = int(core.truth["start"]["maps"]["main.Keep.M"]["address"], 0)
    segments = elf.parse(core.path.read_bytes()).loaded
    heap = next(s for s in segments if s.address <= address < s.address + s.size)
    short = cut(core, heap.offset + 64, tmp_path)
    assert "truncated" in refusal(system_gdb, [str(binary), str(short)])
    _, errors, status = bridge(dlv, "core", str(binary), str(short), "-c", SHOW)
    assert status == 1 and errors[0].startswith(f"warning: {short} is truncated by ")
    assert len(errors) == 2 and "another build" not in errors[1], errors


def test_a_copy_of_the_program(swiss_go: Row, dlv: Dlv, tmp_path: Path) -> None:
    """As one has it who took program and core from another machine: the first is no library of the second."""
    binary, core = whole(swiss_go)
    copy = tmp_path / "copy"
    copy.write_bytes(binary.read_bytes())
    output, errors, status = bridge(dlv, "core", str(copy), str(core.path), "-c", f"{SHOW} --json")
    assert (status, errors) == (0, [])
    assert json.loads(output)["data"]["count"] == core.truth["start"]["maps"]["main.Keep.M"]["len"]


def check_rest(lines: list[str]) -> None:
    """A nil map needs no heap; the search tells what it could not see."""
    shown, alias = map(json.loads, lines)
    assert shown["data"]["nil"] is True and shown["anomalies"] == []
    told = [anomaly for anomaly in alias["anomalies"] if anomaly["severity"] != "note"]
    assert told and all("the core file is truncated" in anomaly["message"] for anomaly in told), told
    assert {anomaly["severity"] for anomaly in told} == {"warning"}


@pytest.mark.parametrize("kind", ["plain", "pie"])
def test_another_build(
    kind: str,
    swiss_go: Row,
    system_gdb: Gdb,
    dlv: Dlv,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """The core of a program that has been built again since."""
    binary, core = whole(swiss_go)
    if kind == "pie":
        binary = built(request.config, "pie", swiss_go)
        core = debuggers.make_core(binary, "start")
        other = tmp_path / "other"
        toolchains.compile_("basic", swiss_go, other, ["-buildmode=pie"])  # optimised, and the other is not
    else:
        other = toolchains.build("basic", swiss_go, optimised=True)
    assert "another build" in refusal(system_gdb, [str(other), str(core.path)])
    output, errors, status = bridge(dlv, "core", str(other), str(core.path), "-c", SHOW)
    assert (output, status) == ("", 1)
    assert errors == [f"dlv-hmap: {core.path} comes from another build of the program than {other}"]
    output, errors, status = bridge(dlv, "core", str(binary), str(core.path), "-c", f"{SHOW} --json")
    assert status == 0 and json.loads(output)["data"]["count"] == core.truth["start"]["maps"]["main.Keep.M"]["len"]


#: How the program that dumps the core is built, and how its twin with debug information. Go 1.21 keeps the layout only
#: where the build information does not have the linker's flags.
TWINS = {
    "flags": (["-ldflags=-s -w"], ["-ldflags=-f -f"]),
    "trimpath": (["-trimpath", "-ldflags=-s -w"], ["-trimpath"]),
    "pie": (["-buildmode=pie", "-ldflags=-s -w"], ["-buildmode=pie", "-ldflags=-f -f"]),
}


@pytest.mark.parametrize("how", TWINS)
def test_a_twin_of_a_stripped_program(how: str, both_layouts: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """Built again from the same source, with debug information, and everything where the stripped program had it."""
    stripped, twin = tmp_path / "stripped", tmp_path / "twin"
    for path, flags in zip((stripped, twin), TWINS[how]):
        toolchains.compile_("basic", both_layouts, path, ["-gcflags=-N -l", *flags])
    core = debuggers.make_core(stripped, "start")
    wanted = core.truth["start"]["maps"]["main.Keep.M"]["len"]
    outputs, _, _ = batch(system_gdb, [str(twin), str(core.path)], [f"{SHOW} --json"])
    assert json.loads(outputs[0])["data"]["count"] == wanted
    output, errors, status = bridge(dlv, "core", str(twin), str(core.path), "-c", f"{SHOW} --json")
    assert status == 0 and json.loads(output)["data"]["count"] == wanted, errors
    assert "has another build ID" in errors[0], errors
    _, errors, _ = bridge(dlv, "core", str(stripped), str(core.path), "-c", SHOW)
    assert "with -f in place of each -s and -w" in errors[-1], errors


def test_a_twin_whose_functions_lie_elsewhere(old_go: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """Go 1.21 puts the function table behind what the linker's flags are part of: its variables alone stay."""
    stripped, other = tmp_path / "stripped", tmp_path / "other"
    for path, flags in zip((stripped, other), TWINS["flags"]):
        toolchains.compile_("basic", old_go, path, flags)
    core = debuggers.make_core(stripped, "start")
    assert "another build" in refusal(system_gdb, [str(other), str(core.path)])
    output, errors, status = bridge(dlv, "core", str(other), str(core.path), "-c", SHOW)
    assert (output, status) == ("", 1) and "another build" in errors[-1], errors


def test_no_program(swiss_go: Row, system_gdb: Gdb) -> None:
    _, core = whole(swiss_go)
    assert "load it (file PROG)" in refusal(system_gdb, ["-c", str(core.path)])
