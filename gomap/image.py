"""A map in a file: recorded from any target, replayed by the same commands without a debugger.

docs/image-format.md describes the file, recorded.py reads it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from gomap import zips
from gomap.anomaly import Anomaly
from gomap.errors import BadImage, GomapError
from gomap.expr import resolve_map
from gomap.golang.hashing.plans import typehash_plan
from gomap.golang.layouts.structure import TOO_MANY
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType
from gomap.maps import view
from gomap.memory import RecordingMemory
from gomap.recorded import FORMAT, MANIFEST, MAX_MANIFEST, MAX_MEMORY, MAX_VALUES, MEMORY, ImageTarget, load
from gomap.syntax import AtAddress, parse
from gomap.target import RelayingTarget, Target, Variable
from gomap.values import Limits, Values

# -- recording ---------------------------------------------------------------------------------------


class RecordingTarget(RelayingTarget):
    """A target that records every answer that it gives."""

    def __init__(self, inner: Target) -> None:
        super().__init__(inner)
        self.recorded = RecordingMemory(inner.memory)
        self.memory = self.recorded
        self.variables: dict[str, Variable | None] = {}
        self.types: dict[str, GoType | None] = {}
        self.symbols: dict[str, int | None] = {}

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """As Target.variable; what the inner target answers is kept in `variables`."""
        if self.variables.get(name) is None:
            self.variables[name] = self.inner.variable(name, callers)
        return self.variables[name]

    def find_type(self, name: str) -> GoType | None:
        """As Target.find_type; what the inner target answers is kept in `types`."""
        if name not in self.types:
            self.types[name] = self.inner.find_type(name)
        return self.types[name]

    def symbol(self, name: str) -> int | None:
        """As Target.symbol; what the inner target answers is kept in `symbols`."""
        if name not in self.symbols:
            self.symbols[name] = self.inner.symbol(name)
        return self.symbols[name]

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """The variables recorded so far: a command about one map asks for no others."""
        return iter([v for v in self.variables.values() if v is not None])

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """None: a command about one map searches no package variables."""
        return iter(())


@dataclass(frozen=True)
class Saved:
    """entries of the map; bytes of memory in the file; size of the file; what could not be recorded."""

    entries: int
    memory: int
    file: int
    left_out: list[Anomaly]


def record(context: Any, expr: str, path: str, overwrite: bool = False) -> Saved:
    """Saves the map that `expr` names to the file `path`, with all that the commands ask about it.

    Raises what resolving raises; BadImage when the file can't be written, is there already, or the map is too large.
    """
    from gomap.commands.registry import COMMANDS
    from gomap.declare import Context

    zips.check_place(path, overwrite)
    target = RecordingTarget(context.target)
    variable, t, address = resolve_map(target, expr, context.seek)
    context.note(variable)
    root, _ = parse(expr)
    if isinstance(root, AtAddress) and root.type is None:  # the file could not give the type of what is there
        expr = f"{address:#x}:{t.name}"
        resolve_map(target, expr)
    _ = t.elem  # a type that was asked for goes into the file, of a nil map too
    typehash_plan(t.key)  # a key that is typed needs all of its type, of a nil map too
    count = view(target, t, address).count if address else 0
    inner = Context(target, context.settings, seeks=context.seek)  # a search is not part of the recording
    left_out = []
    for command in COMMANDS:
        if not command.of_a_map or command.writes_file or not command.args or command.args[0].name != "EXPR":
            continue
        if any(arg.positional and not arg.optional for arg in command.args[1:]):
            continue  # hmap-get: what any key's lookup needs, hmap-check reads
        options: dict[str, Any] = {arg.name: arg.default for arg in command.args}
        if "--full" in options:
            options["--full"] = True
        options["EXPR"] = [expr, expr] if command.args[0].many else expr  # of one hmap-alias would search the process
        left_out += command.run(inner, options).anomalies
    if address:
        _read_all(target, t, address, context.settings.depth)
    regions = target.recorded.regions()
    held = sum(len(data) for _, data in regions)
    if held > MAX_MEMORY:
        raise BadImage(f"{expr} takes {held >> 20} MiB with its keys and values: more than an image can hold")
    name = Variable(expr, t, data=target.arch.pack(address), place=variable.place)
    variables = {name: v for name, v in target.variables.items() if v is not None}
    _write(path, _manifest(target, expr, variables or {expr: name}, regions), regions, overwrite)
    return Saved(count, held, os.path.getsize(path), list(dict.fromkeys(left_out)))


def _read_all(target: Target, t: GoType, address: int, depth: int) -> None:
    """Reads every key and value as deep as they are shown."""
    values = Values(target, Limits(depth=depth, total=1 << 16))
    found, texts = view(target, t, address), values.has_text(t.key) or values.has_text(t.elem)
    for entry in itertools.islice(found.entries(), found.count + TOO_MANY):  # hmap-show's anomalies tell of more
        values.key(t.key, entry.key)
        values.json(t.elem, entry.elem)
        if texts:
            values.shown_key(t.key, entry.key)
            values.shown(t.elem, entry.elem)
    assert values.types is not None
    for place, made in values.types.made():
        with contextlib.suppress(GomapError):
            DescribedTypes(target).at(place)  # by itself: whatever is asked for first must find all it reads
        if typehash_plan(made) is not None:  # hmap-get's keys are written with the names of these
            named = target.find_type(made.name)
            if named is not None:
                typehash_plan(named)


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
        """All types that were used, with the types behind pointers as far as these were followed."""
        at = 0
        while at < len(self._done):
            t, entry = self._done[at]
            for name, lazy in (("elem", t.lazy_elem), ("key", t.lazy_key), ("header", t.lazy_header)):
                made = lazy.made if lazy is not None else None
                entry[name] = None if made is None else self.index(made)
            at += 1
        return [entry for _, entry in self._done]


def _write(path: str, manifest: dict[str, Any], regions: Sequence[tuple[int, bytes]], overwrite: bool) -> None:
    text = json.dumps(manifest, separators=(",", ":"))
    if len(text) > MAX_MANIFEST or zips.values_in(text) > MAX_VALUES:
        raise BadImage(f"the map consists of {len(regions):,} pieces of memory, more than an image can hold")
    try:
        with zips.whole(path, overwrite) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(MANIFEST, text)
            with archive.open(MEMORY, "w", force_zip64=True) as member:
                for _, data in regions:
                    member.write(data)
    except OSError as error:
        raise BadImage(f"{path} can't be written: {error.strerror or error}") from error


# -- the command line --------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """`gomap FILE [-c COMMAND ...]`: status 0 when every command answered."""
    from gomap import frontend
    from gomap.commands.registry import overview
    from gomap.render.terminal import HelpText, ended, open_streams

    open_streams()
    parser = argparse.ArgumentParser(
        prog="gomap",
        description="Read a Go map that hmap-record saved.",
        epilog="commands:\n" + overview() + "\n\nA command without EXPR is about the recorded map.",
        formatter_class=HelpText,
    )
    parser.add_argument("FILE", help="a file written by hmap-record")
    parser.add_argument(
        "-c", metavar="COMMAND", action="append", help="run this command; may be repeated (default: hmap-show)"
    )
    options = parser.parse_args(argv)

    def work() -> int:
        target = load(options.FILE)
        if frontend.tokens(target.expr) != [target.expr] or target.expr.startswith("-"):
            raise BadImage(f"{options.FILE} is damaged: the recorded map's name, {target.expr!r}, can't be a name")
        return _answer(target, options.c or ["hmap-show"])

    return ended("gomap", work)


def _answer(target: ImageTarget, lines: Sequence[str]) -> int:
    from gomap import frontend
    from gomap.commands.registry import find, parted
    from gomap.declare import Settings
    from gomap.render.terminal import complain, style, write

    status = 0
    for line in filter(str.strip, lines):
        name, rest = parted(line)
        command = find(name)
        if command is not None and command.args and command.args[0].name == "EXPR" and not command.args[0].many:
            needed = sum(arg.positional and (arg.name == "EXPR" or not arg.optional) for arg in command.args)
            words = itertools.takewhile(lambda word: not word.startswith("--"), frontend.tokens(rest))
            if len(list(words)) < needed:
                rest = f"{target.expr} {rest}"
        outcome = frontend.run(name, rest, lambda: target, Settings(), style(sys.stdout))
        write(outcome.output)
        if outcome.error is not None:
            complain(outcome.error)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
