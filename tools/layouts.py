"""Writes gomap/stripped/layouts.txt: where the fields of the runtime's structures lie, for each version of Go.

    python tools/layouts.py GO ... [--only amd64,arm64] [--scratch FOLDER]

GO is a toolchain's `go`. For each architecture and each experiment that changes a structure a small program is built,
and its debug information read. Toolchains that are not named keep what the file has of them.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gomap.dwarf import BadDwarf, DebugInfo  # noqa: E402
from gomap.elf import mapped, parse  # noqa: E402
from gomap.stripped import layouts  # noqa: E402

ARCHITECTURES = ("amd64", "arm64", "386", "s390x")
#: Experiments that are not a version's own choice and change what is read, by minor version.
EXPERIMENTS = {
    24: ("noswissmap",),
    25: ("noswissmap", "greenteagc"),
    26: ("nogreenteagc",),
    27: ("mapsplitgroup", "nogreenteagc"),
}
TYPES = (
    "runtime.moduledata", "runtime._func", "runtime.mheap", "runtime.heapArena", "runtime.mspan",
    "runtime.spanInlineMarkBits", "runtime.g", "runtime.m", "runtime.p", "runtime.schedt", "runtime.sudog",
    "runtime.hchan", "runtime._defer", "runtime._panic", "runtime.itab", "runtime.special", "runtime.specialprofile",
    "runtime.bucket", "internal/abi.MapType", "internal/abi.SwissMapType", "internal/abi.OldMapType", "runtime.maptype",
    "internal/runtime/maps.Map", "internal/runtime/maps.table", "internal/runtime/maps.Iter", "runtime.hmap",
    "runtime.mapextra", "runtime.hiter", "reflect.MapIter",
)  # fmt: skip
CONSTANTS = ("runtime.loadFactorNum", "runtime.loadFactorDen", "runtime.m4", "runtime._KindSpecialProfile")
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("GO", nargs="+")
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    parser.add_argument("--scratch", default=None, help="where build caches are kept")
    options = parser.parse_args()
    rows = {row.key: row for row in layouts.read()} if layouts.FILE.exists() else {}
    for go in options.GO:
        minor = _minor(go)
        for arch in options.only.split(","):
            for experiment in ("", *EXPERIMENTS.get(minor, ())):
                row = row_of(go, minor, arch, experiment, options.scratch)
                rows[row.key] = row
                print(*row.key, len(row.types), "types", flush=True)
                layouts.write(sorted(rows.values(), key=lambda one: one.key))
    return 0


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
        environment = {**_environment(scratch), "GOARCH": arch, "GOOS": "linux", "GOEXPERIMENT": experiment}
        subprocess.run([go, "build", "-o", str(program), str(source)], env=environment, check=True, cwd=folder)
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
