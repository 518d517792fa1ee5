"""A map in a file: recorded from any target, replayed by the same commands without a debugger.

The file is a zip of two members: `manifest.json` (format, target, variables, types, symbols, and where each
piece of memory lies in the other) and `memory.bin` (the bytes). Nothing in it is ever evaluated,
and everything is checked before use: a file may come from anywhere. docs/image-format.md describes it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gomap.errors import BadImage, GomapError
from gomap.expr import resolve_map
from gomap.golang.structure import Anomaly
from gomap.gotypes import Field, GoType, Kind, Lazy
from gomap.human import one_line
from gomap.maps import view
from gomap.memory import Memory, RecordingMemory, RegionMemory
from gomap.target import Arch, Frame, Goroutine, Location, Place, Target, Variable, Wanted
from gomap.values import Limits, Values

FORMAT = "gomap-image/1"
MANIFEST, MEMORY = "manifest.json", "memory.bin"
MAX_MANIFEST = 64 << 20
MAX_MEMORY = 1 << 30
#: Kinds that can't be used without knowing what lies behind them.
_NEEDS_ELEM = (Kind.POINTER, Kind.SLICE, Kind.ARRAY, Kind.CHAN)


# -- recording ---------------------------------------------------------------------------------------


class RecordingTarget:
    """A target that remembers everything that is asked of it."""

    def __init__(self, inner: Target) -> None:
        self._inner = inner
        self.backend, self.kind, self.arch = inner.backend, inner.kind, inner.arch
        self.recorded = RecordingMemory(inner.memory)
        self.memory: Memory = self.recorded
        self.variables: dict[str, Variable | None] = {}
        self.types: dict[str, GoType | None] = {}
        self.symbols: dict[str, int | None] = {}

    @property
    def go_version(self) -> str | None:
        return self._inner.go_version

    @property
    def package(self) -> str | None:
        return self._inner.package

    def variable(self, name: str) -> Variable | None:
        if name not in self.variables:
            self.variables[name] = self._inner.variable(name)
        return self.variables[name]

    def find_type(self, name: str) -> GoType | None:
        if name not in self.types:
            self.types[name] = self._inner.find_type(name)
        return self.types[name]

    def symbol(self, name: str) -> int | None:
        if name not in self.symbols:
            self.symbols[name] = self._inner.symbol(name)
        return self.symbols[name]

    def frame_variables(self) -> Iterator[Variable]:
        return iter([v for v in self.variables.values() if v is not None])

    def package_variables(self) -> Iterator[Variable]:
        return iter(())

    goroutine = None

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        return self._inner.unwind(goroutine, wanted)

    def location(self, pc: int) -> Location | None:
        return self._inner.location(pc)


@dataclass(frozen=True)
class Saved:
    """entries of the map; bytes of memory in the file; size of the file; what could not be recorded."""

    entries: int
    memory: int
    file: int
    left_out: list[Anomaly]


def record(context: Any, expr: str, path: str) -> Saved:
    """Saves the map that `expr` names to the file `path`, with all that the commands ask about it.

    Raises what resolving raises; BadImage when the file can't be written or the map is too large.
    """
    from gomap.commands.declare import Context
    from gomap.commands.registry import COMMANDS

    target = RecordingTarget(context.target)
    variable, t, address = resolve_map(target, expr)
    count = view(target, t, address).count if address else 0
    inner = Context(target, context.settings)
    left_out = []
    for command in COMMANDS:
        if command.writes_file or not command.args or command.args[0].name != "EXPR":
            continue
        if any(arg.positional and not arg.optional for arg in command.args[1:]):
            continue  # hmap-get: what any key's lookup needs, hmap-check reads
        options: dict[str, Any] = {arg.name: arg.default for arg in command.args}
        if "--full" in options:
            options["--full"] = True
        options["EXPR"] = [expr] if command.args[0].many else expr
        left_out += command.run(inner, options).anomalies
    if address:
        _read_all(target, t, address, context.settings.depth)
    regions = target.recorded.regions()
    held = sum(len(data) for _, data in regions)
    if held > MAX_MEMORY:
        raise BadImage(f"{expr} takes {held >> 20} MiB with its keys and values: more than an image can hold")
    name = Variable(expr, t, data=target.arch.pack(address), place=variable.place)
    variables = {name: v for name, v in target.variables.items() if v is not None}
    _write(path, _manifest(target, expr, variables or {expr: name}, regions), regions)
    return Saved(count, held, os.path.getsize(path), list(dict.fromkeys(left_out)))


def _read_all(target: Target, t: GoType, address: int, depth: int) -> None:
    """Reads every key and value as deep as they are shown."""
    values = Values(target, Limits(depth=depth, total=1 << 16))
    for entry in view(target, t, address).entries():
        values.json(t.key, entry.key)
        values.json(t.elem, entry.elem)


def _manifest(
    target: RecordingTarget, expr: str, variables: dict[str, Variable], regions: Sequence[tuple[int, bytes]]
) -> dict[str, Any]:
    types = _TypeWriter()
    listed, offset = [], 0
    for address, data in regions:
        listed.append([address, len(data), offset])
        offset += len(data)
    return {
        "format": FORMAT,
        "expr": expr,
        "target": {
            "from": [target.backend, target.kind],
            "go": target.go_version,
            "package": target.package,
            "arch": [target.arch.name, target.arch.pointer_size, target.arch.byte_order],
        },
        "variables": [
            {
                "name": name,
                "type": types.index(v.type),
                "address": v.address,
                "data": None if v.data is None else v.data.hex(),
                "holes": [list(hole) for hole in v.holes],
                "place": [
                    v.place.kind,
                    v.place.goroutine,
                    v.place.frame,
                    v.place.function,
                    v.place.file,
                    v.place.line,
                ],
                "note": v.note,
            }
            for name, v in variables.items()
        ],
        "named_types": {name: None if t is None else types.index(t) for name, t in target.types.items()},
        "symbols": target.symbols,
        "types": types.finish(),
        "regions": listed,
    }


class _TypeWriter:
    """Numbers types: the parts of a struct come before it, what lies behind pointers may come later."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._done: list[tuple[GoType, dict[str, Any]]] = []

    def index(self, t: GoType) -> int:
        known = self._numbers.get(id(t))
        if known is not None:
            return known
        fields = [[f.name, f.offset, self.index(f.type), f.embedded] for f in t.fields]
        number = self._numbers[id(t)] = len(self._done)
        entry = {
            "kind": t.kind.value,
            "name": t.name,
            "size": t.size,
            "length": t.length,
            "methods": t.methods,
        }
        self._done.append((t, {**entry, "fields": fields}))
        return number

    def finish(self) -> list[dict[str, Any]]:
        """All types, with what was looked at behind pointers; what nobody asked for stays away."""
        at = 0
        while at < len(self._done):
            t, entry = self._done[at]
            for name, lazy in (("elem", t.lazy_elem), ("key", t.lazy_key), ("header", t.lazy_header)):
                made = lazy.made if lazy is not None else None
                entry[name] = None if made is None else self.index(made)
            at += 1
        return [entry for _, entry in self._done]


def _write(path: str, manifest: dict[str, Any], regions: Sequence[tuple[int, bytes]]) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    try:
        # Written beside its place and moved there: no half a file is ever left under the name.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".gomap-", delete=False) as out:
            try:
                with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                    archive.writestr(MANIFEST, json.dumps(manifest, separators=(",", ":")))
                    with archive.open(MEMORY, "w", force_zip64=True) as member:
                        for _, data in regions:
                            member.write(data)
                out.close()
                os.replace(out.name, path)
            except BaseException:
                out.close()
                os.unlink(out.name)
                raise
    except OSError as error:
        raise BadImage(f"{path} can't be written: {error.strerror or error}") from error


# -- replaying ---------------------------------------------------------------------------------------


@dataclass
class ImageTarget:
    """A recorded map as a target. `expr` is the expression it was recorded under."""

    expr: str
    arch: Arch
    memory: Memory
    go_version: str | None
    package: str | None
    recorded_from: tuple[str, str]
    variables: dict[str, Variable] = field(default_factory=dict)
    types: dict[str, GoType] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    backend: str = "image"
    kind: str = "recorded"

    def variable(self, name: str) -> Variable | None:
        return self.variables.get(name)

    def find_type(self, name: str) -> GoType | None:
        return self.types.get(name)

    def symbol(self, name: str) -> int | None:
        return self.symbols.get(name)

    def frame_variables(self) -> Iterator[Variable]:
        return iter(self.variables.values())

    def package_variables(self) -> Iterator[Variable]:
        return iter(())

    goroutine = None

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        raise GomapError("a recorded map has no goroutines")

    def location(self, pc: int) -> Location | None:
        return None


def load(path: str) -> ImageTarget:
    """The target recorded in the file `path`. Raises BadImage with what is wrong with it."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(_member(archive, MANIFEST, MAX_MANIFEST))
            memory = _member(archive, MEMORY, MAX_MEMORY)
    except OSError as error:
        raise BadImage(f"{path} can't be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError, RuntimeError) as error:
        raise BadImage(f"{path} is no recorded map, or is damaged: {error}") from error
    try:
        return parse(manifest, memory)
    except BadImage as error:
        raise BadImage(f"{path} {error}") from error


def parse(manifest: Any, memory: bytes) -> ImageTarget:
    """The target that a manifest and the bytes beside it describe. Raises BadImage."""
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BadImage(f"is no recorded map of a format known here ({FORMAT})")
    try:
        return _target(manifest, memory)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BadImage(f"is damaged: its manifest makes no sense ({type(error).__name__}: {error})") from error


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise BadImage(f"{archive.filename} is no recorded map: it has no {name}") from None
    with archive.open(info) as member:
        data = member.read(limit + 1)  # what the directory says of sizes may be a lie
    if len(data) > limit:
        raise BadImage(f"{archive.filename} holds more than {limit >> 20} MiB in {name}")
    return data


def _target(manifest: dict[str, Any], memory: bytes) -> ImageTarget:
    about = manifest["target"]
    name, pointer_size, byte_order = about["arch"]
    if pointer_size not in (4, 8) or byte_order not in ("little", "big"):
        raise ValueError(f"arch {about['arch']!r}")
    regions = []
    for address, size, offset in manifest["regions"]:
        if not 0 <= offset <= offset + size <= len(memory) or address < 0:
            raise ValueError(f"region at {address:#x}")
        regions.append((address, memory[offset : offset + size]))
    types = _TypeReader(manifest["types"], pointer_size)
    variables = {}
    for entry in manifest["variables"]:
        kind, goroutine, frame, function, file, line = entry["place"]
        variables[str(entry["name"])] = Variable(
            str(entry["name"]),
            types.at(entry["type"]),
            entry["address"],
            None if entry["data"] is None else bytes.fromhex(entry["data"]),
            tuple((int(start), int(size)) for start, size in entry["holes"]),
            Place(kind, goroutine, frame, function, file, line),
            entry["note"],
        )
    return ImageTarget(
        expr=str(manifest["expr"]),
        arch=Arch(str(name), pointer_size, byte_order),
        memory=RegionMemory(regions),
        go_version=about["go"],
        package=about["package"],
        recorded_from=(str(about["from"][0]), str(about["from"][1])),
        variables=variables,
        types={name: types.at(number) for name, number in manifest["named_types"].items() if number is not None},
        symbols={name: int(value) for name, value in manifest["symbols"].items() if value is not None},
    )


class _TypeReader:
    """Types of a manifest. A struct's fields have lower numbers than it, so no type can contain itself."""

    def __init__(self, entries: list[dict[str, Any]], pointer_size: int) -> None:
        self._entries = entries
        self._pointer_size = pointer_size
        self._made: list[GoType] = []
        for number, entry in enumerate(entries):
            self._made.append(self._make(number, entry))

    def at(self, number: int) -> GoType:
        if not isinstance(number, int) or not 0 <= number < len(self._made):
            raise ValueError(f"type {number!r}")
        return self._made[number]

    def _make(self, number: int, entry: dict[str, Any]) -> GoType:
        kind, size = Kind(entry["kind"]), int(entry["size"])
        if size < 0:
            raise ValueError(f"type {number} has size {size}")
        fields = []
        for name, offset, of, embedded in entry["fields"]:
            if of >= number or offset < 0:
                raise ValueError(f"field {name!r} of type {number}")
            fields.append(Field(str(name), int(offset), self._made[of], bool(embedded)))
        return GoType(
            kind,
            str(entry["name"]),
            size,
            int(entry["length"]),
            tuple(fields),
            bool(entry["methods"]),
            lazy_elem=self._lazy(entry["elem"], kind in _NEEDS_ELEM),
            lazy_key=self._lazy(entry["key"], False),
            lazy_header=self._lazy(entry["header"], False),
        )

    def _lazy(self, number: int | None, needed: bool) -> Lazy | None:
        if number is None:
            return Lazy(lambda: GoType(Kind.OPAQUE, "not recorded", 0)) if needed else None
        if not isinstance(number, int) or not 0 <= number < len(self._entries):
            raise ValueError(f"type {number!r}")
        return Lazy(lambda: self._made[number])


# -- the command line --------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """`gomap FILE [-c COMMAND ...]`: status 0 when every command answered."""
    from gomap import frontend
    from gomap.commands.declare import Settings
    from gomap.commands.registry import find, overview
    from gomap.render.terminal import style

    parser = argparse.ArgumentParser(
        prog="gomap",
        description="Look into a Go map that hmap-record saved.",
        epilog="commands:\n" + overview() + "\n\nThe recorded map is meant where a command's EXPR is left out.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("FILE", help="a file that hmap-record wrote")
    parser.add_argument("-c", metavar="COMMAND", action="append", help="a command to run; may be repeated (hmap-show)")
    options = parser.parse_args(argv)
    try:
        target = load(options.FILE)
    except GomapError as error:
        print(one_line(f"gomap: {error}"), file=sys.stderr)
        return 1
    status = 0
    for line in options.c or ["hmap-show"]:
        name, _, rest = line.strip().partition(" ")
        command = find(name)
        if command is not None and command.args[0].name == "EXPR" and not command.args[0].many:
            needed = sum(arg.positional and (arg.name == "EXPR" or not arg.optional) for arg in command.args)
            words = itertools.takewhile(lambda word: not word.startswith("--"), frontend.tokens(rest))
            if len(list(words)) < needed:
                rest = f"{target.expr} {rest}"
        outcome = frontend.run(name, rest, lambda: target, Settings(), style(sys.stdout))
        sys.stdout.write(outcome.output)
        if outcome.error is not None:
            print(outcome.error, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
