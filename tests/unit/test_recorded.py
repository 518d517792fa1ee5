"""Recorded files that nobody recorded: each is refused in one line, soon, with little memory, and nothing is done."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gomap import image, recorded
from gomap.commands.registry import COMMANDS
from gomap.errors import BadImage, GomapError
from gomap.recorded import MANIFEST, MEMORY, load, parse
from gomap.trace.port import CannotRun, tracer_of
from tests.fuzz.judge import judge
from tests.fuzz.scribbled import Scribbled
from tests.support.recordings import GOOD, good
from tests.support.space import AMD64, target

ROOT = Path(__file__).resolve().parents[2]
#: What a file says is run by nobody: names that would do something if they were.
DANGEROUS = (
    "__import__('os').system('touch owned')",
    "$(touch owned)",
    "`touch owned`",
    "; touch owned #",
    "| touch owned",
    "cos\nsystem\n(S'touch owned'\ntR.",  # a pickle
    "{0.__class__.__init__.__globals__}",
    "%(owned)s%n",
    "../../owned",
)


pytestmark = pytest.mark.usefixtures("soon")


def write(path: Path, manifest: Any, memory: bytes = b"", **how: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **how) as archive:
        archive.writestr(MANIFEST, manifest if isinstance(manifest, (str, bytes)) else json.dumps(manifest))
        archive.writestr(MEMORY, memory)
    return path


def refused(path: Path | str) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(BadImage) as caught:
        load(str(path))
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 600
    return text


def test_a_good_file_is_not_refused(tmp_path: Path) -> None:
    assert load(str(GOOD)).expr == "main.Boxed"
    assert load(str(write(tmp_path / "again", *good()))).expr == "main.Boxed"


# -- the file ------------------------------------------------------------------------------------------


def test_no_files(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "missing")
    assert "not a regular file" in refused(tmp_path)
    assert "not a regular file" in refused("/dev/zero")
    os.mkfifo(tmp_path / "pipe")  # nobody ever writes to it
    assert "not a regular file" in refused(tmp_path / "pipe")
    for number, content in enumerate((b"", b"P", b"PK\5\6", b"PK\5\6" + bytes(18), b"text\n" * 100, bytes(1000))):
        path = tmp_path / str(number)
        path.write_bytes(content)
        refused(path)


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    whole = GOOD.read_bytes()
    path = tmp_path / "cut"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        refused(path)


def test_a_file_with_wrong_bytes(tmp_path: Path) -> None:
    whole = GOOD.read_bytes()
    path = tmp_path / "wrong"
    loaded = 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            load(str(path))
            loaded += 1  # a date, a permission
        except BadImage as error:
            assert str(error).isprintable()
    assert loaded < 70


@pytest.mark.parametrize(
    "names",
    [
        (MANIFEST,),
        (MEMORY,),
        (MANIFEST, MANIFEST),
        (MANIFEST, MEMORY, MEMORY),
        (MANIFEST, MEMORY, "more"),
        (MANIFEST, "../memory.bin"),
        ("/manifest.json", MEMORY),
        (MANIFEST, MEMORY + "/"),
        (MANIFEST, "../../owned"),
        (MANIFEST, "manifest.json\0.bin"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_no_recording_has(tmp_path: Path, names: tuple[str, ...]) -> None:
    manifest, memory = good()
    path = tmp_path / "members"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), memory if "memory" in name else json.dumps(manifest))
    assert "does not consist of" in refused(path)
    assert [file.name for file in tmp_path.iterdir()] == ["members"]


def test_a_directory_of_many_members(tmp_path: Path) -> None:
    """A hundred thousand names are not even read."""
    path = tmp_path / "many"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(70_000):
            archive.writestr(str(number), b"")
    start = time.process_time()
    refused(path)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_to_pack_that_no_recording_uses(tmp_path: Path, method: int) -> None:
    manifest, memory = good()
    path = tmp_path / "packed"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest))
        archive.writestr(MEMORY, memory)
    assert "packed in another way" in refused(path)


def test_a_file_that_is_encrypted(tmp_path: Path) -> None:
    path = write(tmp_path / "locked", *good())
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\1\2")
    data[at + 8] |= 1
    path.write_bytes(data)
    assert "packed in another way" in refused(path)


# -- sizes ---------------------------------------------------------------------------------------------


def bomb(path: Path, size: int, told: int | None = None) -> Path:
    """`size` zeros of memory, and a manifest that tells of `told` bytes."""
    manifest, _ = good()
    manifest["regions"] = [[0xC000000000, size if told is None else told, 0]]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest))
        with archive.open(MEMORY, "w", force_zip64=True) as member:
            for start in range(0, size, 1 << 20):
                member.write(bytes(min(1 << 20, size - start)))
    return path


PEAK = """
import sys, time
from gomap.errors import BadImage
from gomap.recorded import load
start = time.process_time()
try:
    target = load(sys.argv[1])
    said = str(len(target.memory.read(0xC000000000 + (300 << 20), 1 << 20)))
except BadImage as error:
    said = str(error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(int(peak) >> 10, time.process_time() - start, said, sep="\\n")
"""


def measured(path: Path) -> tuple[int, float, str]:
    """(peak of the process's memory in MiB, seconds, what load said)."""
    ran = subprocess.run([sys.executable, "-c", PEAK, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    peak, seconds, said = ran.stdout.rstrip("\n").split("\n")
    return int(peak), float(seconds), said


def test_half_a_gigabyte_of_zeros(tmp_path: Path) -> None:
    """A file of half a megabyte. What it holds is no more than a recording may, and takes no memory."""
    path = bomb(tmp_path / "zeros", 512 << 20)
    assert path.stat().st_size < 4 << 20
    peak, seconds, said = measured(path)
    assert said == str(1 << 20)
    assert peak < 200
    assert seconds < 10


@pytest.mark.parametrize("told", [0, 1 << 20, 1 << 40])
def test_memory_that_the_manifest_does_not_tell_of(tmp_path: Path, told: int) -> None:
    """It is not read at all."""
    peak, seconds, said = measured(bomb(tmp_path / "zeros", 64 << 20, told))
    assert "damaged" in said
    assert peak < 100
    assert seconds < 1


def test_more_memory_than_a_recording_may_have(tmp_path: Path) -> None:
    """The zip's directory says so, and is believed: more than it says is not read."""
    path = write(tmp_path / "much", *good())
    data = bytearray(path.read_bytes())
    size = (1 << 30) + 1
    at = data.rfind(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    assert "damaged" in refused(path)
    manifest, _ = good()
    manifest["regions"] = [[0xC000000000, size, 0]]
    path = write(path, manifest)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    assert "more than 1024 MiB" in refused(path)


def test_a_directory_that_says_less_than_there_is(tmp_path: Path) -> None:
    path = bomb(tmp_path / "lie", 64 << 20, 4096)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\1\2")
    data[at + 24 : at + 28] = struct.pack("<I", 4096)
    path.write_bytes(data)
    assert refused(path)


# -- JSON ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "damaged"),
        ("null", "not a recorded map"),
        ("[]", "not a recorded map"),
        ('"' + "x" * 100_000 + '"', "not a recorded map"),
        ("{}", "not a recorded map"),
        ('{"format": "gomap-image/2", "regions": []}', "not a recorded map of a format"),
        ('{"format": "gomap-image/1", "regions": []}', "is invalid"),
        ("[" * 200_000, "damaged"),
        ('{"a":' * 200_000, "damaged"),
        ("[" * 900 + "]" * 900, "not a recorded map"),
        ('{"regions": [], "regions": []}', "twice"),
        ('{"a": {"b": 1, "b": 1}}', "twice"),
        ('{"a": NaN}', "whole"),
        ('{"a": Infinity}', "whole"),
        ('{"a": 1.5}', "whole"),
        ('{"a": 1e999999}', "whole"),
        ('{"a": ' + "9" * 1_000_000 + "}", "digits"),
        ('{"a": -' + "9" * 1_000_000 + "}", "digits"),
        ("[" + "1," * (3 << 20) + "1]", "values"),
        ("[" + "[]," * (1 << 20) + "[]]", "values"),
        (" " * (33 << 20), "MiB"),
        (b"\xff\xfe\xfd", "damaged"),
        ('{"format": "gomap-image/1", "regions": ["\ud800"]}'.encode("utf-8", "surrogatepass"), "damaged"),
    ],
    ids=lambda value: ascii(value[:24]) if isinstance(value, str) else None,
)
def test_manifests_that_are_none(tmp_path: Path, text: str | bytes, said: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert said in refused(write(tmp_path / "file", text))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Everything in a manifest, with the way to it."""
    if path:
        yield path, value
    for step in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[step], (*path, step))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    manifest, _ = good()
    here: Any = manifest
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return manifest


@pytest.mark.parametrize("value", [None, True, -1, 1 << 64, 1 << 4000, 1.5, "", "x" * 70_000, [], {}, [[[]]]], ids=repr)
def test_any_part_of_a_manifest_may_be_anything(value: Any) -> None:
    """It is refused, or it is what the commands can live with."""
    manifest, memory = good()
    seen = 0
    for path, was in places(manifest):
        if path[0] in ("types", "symbols") and len(path) > 1 and zlib.crc32(str(path).encode()) % 4:
            continue  # there are thousands of them
        seen += 1
        try:
            target = parse(changed(path, value), memory)
        except BadImage as error:
            assert len(str(error)) < 600, path
            continue
        if path == ("expr",):
            continue  # gomap itself looks at it
        watched = Scribbled(target.memory)
        target.memory = watched
        for line in ("hmap-show main.Boxed --entries 3", "hmap-alias --all", "hmap-check --all"):
            verdict = judge(line, target, watched)
            assert verdict.fault is None, (path, was, line, verdict.fault)
    assert seen > 200


# -- nothing is done -----------------------------------------------------------------------------------


def test_text_of_a_file_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that would do something if they were evaluated, unpickled, formatted, opened or given to a shell."""
    manifest, memory = good()
    texts = [path for path, value in places(manifest) if isinstance(value, str)]
    names = [path for path in texts if path[-1] not in ("format", "kind", "data", "expr") and "arch" not in path]
    assert len(names) > 50
    for dangerous in DANGEROUS:
        here: Any = json.loads(json.dumps(manifest))
        for path in names:
            if path[0] == "variables" and path[-1] == "name":
                continue  # so that the map is still found
            at = here
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = dangerous
        here["symbols"] = {dangerous: 1, **here["symbols"]}
        target = parse(here, memory)
        watched = Scribbled(target.memory)
        target.memory = watched
        for command in COMMANDS:
            if command.writes_file:
                continue
            key = " 1" if any(arg.name == "KEY" for arg in command.args) else ""
            for options in ("", " --json"):
                verdict = judge(f"{command.name} main.Boxed{key}{options}", target, watched)
                assert verdict.fault is None, (command.name, dangerous, verdict.fault)
        path_ = write(tmp_path / "file", here, memory)
        image.main([str(path_), *(word for c in COMMANDS if not c.writes_file for word in ("-c", c.name))])
        told = capsys.readouterr()
        for text in (told.out, told.err):
            assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    "expr", ["m --entries 5", "m owned", "--json", "-c", "", " ", "m\nm", "m\tm", "m' 'm", "$(touch owned) x"]
)
def test_an_expression_is_one_word(tmp_path: Path, expr: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It stands in for EXPR, and brings no further arguments along."""
    manifest, memory = good()
    path = write(tmp_path / "file", {**manifest, "expr": expr}, memory)
    assert image.main([str(path), "-c", "hmap-record owned"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file"]


def test_what_is_wrong_with_a_file_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a\x1b]0;owned\x07b", {"format": "gomap-image/1", "regions": []})
    assert image.main([str(path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.rstrip("\n").isprintable()


def test_a_recording_that_is_too_scattered_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_VALUES", 100)
    target = load(str(GOOD))
    from gomap.declare import Context

    with pytest.raises(GomapError, match="pieces of memory"):
        image.record(Context(target), target.expr, str(tmp_path / "new"))
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    from gomap.declare import Context

    target, file = load(str(GOOD)), tmp_path / "kept"
    file.write_text("mine")
    with pytest.raises(GomapError, match="exists already: --overwrite replaces it"):
        image.record(Context(target), target.expr, str(file))
    assert file.read_text() == "mine"
    image.record(Context(target), target.expr, str(file), overwrite=True)
    assert load(str(file)).expr == target.expr


def test_limits_are_what_the_documentation_says() -> None:
    text = (ROOT / "docs" / "image-format.md").read_text()
    assert f"{recorded.MAX_MANIFEST >> 20} MiB" in text
    assert f"{recorded.MAX_MEMORY >> 30} GiB" in text
    assert f"{recorded.MAX_VALUES >> 20} million" in text


def test_recorded_maps_do_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    file = next(Path(__file__).with_name("images").glob("*.hmap"))
    assert image.main([str(file), "-c", "hmap-trace"]) != 0
    told = "hmap-trace: a recorded map does not run: hmap-trace takes a live process\n"
    assert capsys.readouterr().err == told
    fake, _ = target(AMD64)
    fake.kind = "core"
    assert image.main([str(file), "-c", "hmap-break m --on insert"]) != 0
    told = "hmap-break: a recorded map does not run: hmap-break takes a live process\n"
    assert capsys.readouterr().err == told
    with pytest.raises(CannotRun, match="a core file does not run: hmap-trace takes"):
        tracer_of(fake, "hmap-trace")
