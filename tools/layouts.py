"""Writes gomap/stripped/layouts.txt: where the fields of the runtime's structures lie, for each version of Go.

    python tools/layouts.py GO ... [--only amd64,arm64] [--scratch FOLDER]

GO is a toolchain's `go`. For each architecture and each experiment that changes a structure a small program is built,
and its debug information read. Which experiments do is tried, on amd64, with all that the toolchain has. Toolchains
that are not named keep what the file has of them.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gomap.dwarf.entries import BadDwarf  # noqa: E402
from gomap.dwarf.info import DebugInfo  # noqa: E402
from gomap.elf import mapped, parse  # noqa: E402
from gomap.stripped import layouts  # noqa: E402

ARCHITECTURES = ("amd64", "arm64", "386", "s390x")
#: Experiments that are not tried: they need C or another compiler, or are for Go's own developers.
LEFT_OUT = frozenset(
    {"boringcrypto", "fieldtrack", "preemptibleloops", "staticlockranking", "pagetrace", "regabiwrappers", "regabiargs"}
)
TYPES = (
    "runtime.moduledata", "runtime._func", "runtime.mheap", "runtime.heapArena", "runtime.mspan",
    "runtime.spanInlineMarkBits", "runtime.g", "runtime.m", "runtime.p", "runtime.schedt", "runtime.sudog",
    "runtime.hchan", "runtime._defer", "runtime._panic", "runtime.itab", "runtime.inlinedCall",
    "runtime.stackObjectRecord", "runtime.special", "runtime.specialprofile", "runtime.specialfinalizer",
    "runtime.specialCleanup", "runtime.specialWeakHandle", "runtime.specialTinyBlock", "runtime.finBlock",
    "runtime.finblock", "runtime.cleanupBlock", "runtime.cleanupQueue", "runtime.bucket", "internal/abi.MapType",
    "internal/abi.SwissMapType", "internal/abi.OldMapType", "runtime.maptype", "internal/runtime/maps.Map",
    "internal/runtime/maps.table", "internal/runtime/maps.Iter", "runtime.hmap", "runtime.mapextra", "runtime.hiter",
    "reflect.MapIter",
)  # fmt: skip
CONSTANTS = (
    "runtime.loadFactorNum", "runtime.loadFactorDen", "runtime.m4", "runtime._KindSpecialProfile",
    "runtime._KindSpecialFinalizer", "runtime._KindSpecialCleanup", "runtime._KindSpecialWeakHandle",
)  # fmt: skip
#: Packages that these are of.
PACKAGES = ("runtime", "internal/abi", "internal/runtime", "internal/sync", "reflect", "sync")
#: Variables whose package says which functions hash.
MOVED = ("internal/runtime/maps.hashkey",)
SOURCE = """package main

import (
	"reflect"
	"runtime"
	"sync"
)

var kept sync.Map

func main() {
	m := map[string]int{}
	kept.Store(m, 1)
	for it := reflect.ValueOf(m).MapRange(); it.Next(); {
		println(it.Key().String())
	}
	for k := range m {
		println(k, recover())
	}
	runtime.MemProfile(nil, true)
	runtime.SetFinalizer(&m, nil)
	select {}
}
"""
#: What only newer versions have, which the linker leaves out where nothing uses it.
NEWER = """//go:build go1.24

package main

import (
	"runtime"
	"weak"
)

var pointer weak.Pointer[[64]byte]

func init() {
	object := new([64]byte)
	pointer = weak.Make(object)
	runtime.AddCleanup(object, func(int) {}, 1)
}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("GO", nargs="+")
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    parser.add_argument("--scratch", default=None, help="where build caches are kept")
    options = parser.parse_args()
    rows = {row.key: row for row in layouts.read()} if layouts.FILE.exists() else {}
    for go in options.GO:
        minor = _minor(go)
        every, tried = experiments(go, options.scratch)
        known = {one: row_of(go, minor, "amd64", one, options.scratch) for one in ("", *tried)}
        changing = [one for one, row in known.items() if not one or not same(row, known[""])]
        machines = options.only.split(",")
        rows = {key: row for key, row in rows.items() if key[0] != minor or key[1] not in machines}
        for arch in machines:
            for experiment in changing:
                row = known[experiment] if arch == "amd64" else row_of(go, minor, arch, experiment, options.scratch)
                alike = () if experiment else tuple(one for one in every if one not in changing)
                rows[row.key] = replace(row, alike=alike)
                print(*row.key, len(row.types), "types", flush=True)
        layouts.write(sorted(rows.values(), key=lambda one: one.key))
    return 0


def experiments(go: str, scratch: str | None) -> tuple[list[str], list[str]]:
    """(what GOEXPERIMENT can change of the toolchain's own choice on amd64, those of these that code of the packages
    asks for whose structures are read)."""
    root = subprocess.run([go, "env", "GOROOT"], env=_environment(scratch), capture_output=True, text=True, check=True)
    source = Path(root.stdout.strip(), "src")
    names = re.findall(r"^\t(\w+) +bool$", (source / "internal/goexperiment/flags.go").read_text(), re.M)
    baseline = (source / "internal/buildcfg/exp.go").read_text().partition("baseline := goexperiment.Flags{")[2]
    chosen = set(re.findall(r"^\t\t(\w+): +(?!false)", baseline.partition("\n\t}")[0], re.M))
    code = "".join(
        file.read_text() for folder in PACKAGES for file in (source / folder).rglob("*.go") if "_test" not in file.name
    )
    asked = {name.lower() for name in re.findall(r"\bgoexperiment\.(\w+)", code)}
    every = [name for name in names if name.lower() not in LEFT_OUT]
    found = {name: ("no" if name in chosen else "") + name.lower() for name in every}
    return list(found.values()), [text for name, text in found.items() if name.lower() in asked]


def same(one: layouts.Row, other: layouts.Row) -> bool:
    """Whether both have the same structures."""
    return (one.types, one.constants, one.reasons) == (other.types, other.constants, other.reasons)


def _minor(go: str) -> int:
    text = subprocess.run([go, "version"], env=_environment(None), capture_output=True, text=True, check=True).stdout
    found = re.search(r"go1\.(\d+)", text)
    assert found is not None, text
    return int(found.group(1))


def _environment(scratch: str | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO_"))}
    kept.update(GOTOOLCHAIN="local", GOENV="off", GOFLAGS="", GOPROXY="off", GOWORK="off", CGO_ENABLED="0")
    return {**kept, **({"GOCACHE": scratch} if scratch else {})}


def row_of(go: str, minor: int, arch: str, experiment: str, scratch: str | None = None) -> layouts.Row:
    """The structures of one toolchain, architecture and experiment, from the debug information of a program."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "main.go", Path(folder) / "program"
        source.write_text(SOURCE)
        source.with_name("newer.go").write_text(NEWER)
        source.with_name("go.mod").write_text("module layouts\n")
        environment = {**_environment(scratch), "GOARCH": arch, "GOOS": "linux", "GOEXPERIMENT": experiment}
        subprocess.run([go, "build", "-o", str(program), "."], env=environment, check=True, cwd=folder)
        return read_row(str(program), minor, arch, experiment)


def read_row(program: str, minor: int, arch: str, experiment: str) -> layouts.Row:
    """The same of a program that is built."""
    info = DebugInfo(program)
    types, constants = {}, {}
    for name in TYPES:
        try:
            found = info.type_named(name)
        except BadDwarf:
            found = None
        if found is not None and found.fields:
            types[name] = layouts.written(found, TYPES)
    for name in CONSTANTS:
        constant = info.constant(name)
        if constant is not None:
            constants[name] = constant[1]
    for name in MOVED:
        if name.encode() in info.symbols:
            constants[name] = 1
    return layouts.Row((minor, arch, experiment), types, constants, tuple(_reasons(program, info)))


def _reasons(program: str, info: DebugInfo) -> list[str]:
    """runtime.waitReasonStrings, as the file has them."""
    at, word = info.symbols[b"runtime.waitReasonStrings"], info.arch.pointer_size
    length = info.type(info.variables["runtime.waitReasonStrings"].type_at).length
    with mapped(program) as data:
        segments = parse(data).loaded

        def read(address: int, size: int) -> bytes:
            one = next(each for each in segments if each.address <= address < each.address + each.size)
            return bytes(data[one.offset + address - one.address :][:size])

        heads = read(at, 2 * word * length)
        pairs = [
            (info.arch.pointer(heads, i), info.arch.pointer(heads, i + word)) for i in range(0, len(heads), 2 * word)
        ]
        return [read(start, size).decode() if size else "" for start, size in pairs]


if __name__ == "__main__":
    sys.exit(main())
