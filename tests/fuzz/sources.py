"""The maps that are scribbled over: recorded ones of every layout, and synthetic ones of other machines.

Each is the manifest and the memory of a recorded file, so that types and headers can be changed like bytes.
"""

from __future__ import annotations

import bisect
import functools
import json
import random
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gomap import image, recorded
from gomap.declare import Context
from gomap.expr import resolve_map
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType
from gomap.maps import view
from gomap.recorded import ImageTarget
from gomap.target import Arch, Target
from gomap.values import Limits, Values, shown
from tests.fuzz.scribbled import Patch
from tests.support.space import ARCHES, add, basic, struct, target
from tests.support.synthetic import CTRL_DELETED, CTRL_EMPTY, ClassicPlan, OldBucket, SwissPlan, TablePlan, types_for
from tests.support.synthetic_classic import build_classic
from tests.support.synthetic_swiss import build_swiss

FOLDERS = (Path(__file__).with_name("images"), Path(__file__).parents[1] / "unit" / "images")


@dataclass(frozen=True)
class Spot:
    """A place in memory that means something. what: `header B`, `mark`, `overflow`, `pointer`, `word`."""

    address: int
    size: int
    what: str


@dataclass
class Source:
    """One map as it was before anything happened to it."""

    name: str
    manifest: dict[str, Any] = field(repr=False)
    memory: bytes = field(repr=False)

    @property
    def expr(self) -> str:
        return str(self.manifest["expr"])

    @cached_property
    def regions(self) -> list[Patch]:
        return [(at, self.memory[start : start + size]) for at, size, start in self.manifest["regions"]]

    @cached_property
    def clean(self) -> recorded.ImageTarget:
        """The map itself. Its types are shared by all that is scribbled over its memory alone."""
        return recorded.parse(self.manifest, self.memory)

    @property
    def arch(self) -> Arch:
        return self.clean.arch

    @cached_property
    def map(self) -> MapView | None:
        """None for a nil map."""
        _, t, address = resolve_map(self.clean, self.expr)
        return view(self.clean, t, address) if address else None

    @cached_property
    def spots(self) -> dict[str, list[Spot]]:
        """What can be found in the memory, by kind."""
        found: dict[str, list[Spot]] = {}
        for spot in (*self._of_map(), *self._words()):
            found.setdefault(spot.what.split()[0], []).append(spot)
        return found

    def _of_map(self) -> Iterator[Spot]:
        one = self.map
        if one is None:
            return
        for f in one.shape.header.fields:
            yield Spot(one.address + f.offset, f.type.size, f"header {f.name}")
        structure = one.structure(Allocator())
        size, word = one.shape.slots.size, self.arch.pointer_size
        blocks: list[tuple[int, int]] = []
        if isinstance(one, ClassicMap):
            blocks = [(one.header["buckets"], structure.main.buckets), (one.header["oldbuckets"], one.old_count)]
        elif isinstance(one, SwissMap) and one.small:
            blocks = [(one.header["dirPtr"], 1)]
        elif isinstance(one, SwissMap):
            blocks = [(table.groups_address, table.groups) for table in structure.tables]
            for table in structure.tables:
                for name, offset, length in _flat(one.shape.table):
                    yield Spot(table.address + offset, length, f"table {name}")
        for start, count in blocks:
            for block in range(start, start + count * size, size) if start else ():
                yield from (Spot(block + slot, 1, "mark") for slot in range(8))
                if isinstance(one, ClassicMap):
                    yield Spot(block + one.shape.overflow_off, word, "overflow")

    def _words(self) -> Iterator[Spot]:
        word = self.arch.pointer_size
        for start, data in self.regions:
            for at in range(-start % word, len(data) - word + 1, word):
                value = self.arch.pointer(data, at)
                if value and self.readable(value):
                    yield Spot(start + at, word, "pointer")
                if len(data) < 4096:
                    yield Spot(start + at, word, "word")

    def readable(self, address: int) -> bool:
        number = bisect.bisect_right(self._starts, address) - 1
        return number >= 0 and address < self._starts[number] + len(self.regions[number][1])

    @cached_property
    def _starts(self) -> list[int]:
        return [start for start, _ in self.regions]

    @cached_property
    def keys(self) -> list[str]:
        """Keys of the map as they are typed."""
        if self.map is None:
            return ["0"]
        key, values = self.map.shape.key, Values(self.clean, Limits(items=4096, text=4096, total=1 << 16))
        return [shown(key, values.json(key, entry.key)) for _, entry in zip(range(12), self.map.entries())] or ["0"]


def _flat(t: GoType) -> Iterator[tuple[str, int, int]]:
    """(name, offset, size) of a runtime struct's integers."""
    for f in t.fields:
        if f.type.fields:
            yield from ((name, f.offset + offset, size) for name, offset, size in _flat(f.type))
        else:
            yield f.name, f.offset, f.type.size


@functools.cache
def sources() -> tuple[Source, ...]:
    """Every map there is, in a fixed order."""
    files = sorted((path for folder in FOLDERS for path in folder.glob("*.hmap")), key=lambda path: path.name)
    return (*(opened(path.name, path) for path in files), *_synthetic())


@functools.cache
def by_name() -> dict[str, Source]:
    return {source.name: source for source in sources()}


def opened(name: str, path: Path) -> Source:
    with zipfile.ZipFile(path) as archive:
        return Source(name, json.loads(archive.read(recorded.MANIFEST)), archive.read(recorded.MEMORY))


# -- maps of machines that no Go program ran on --------------------------------------------------------


def _synthetic() -> Iterator[Source]:
    """Maps of 32 and 64 bits, both byte orders, with keys and elems of all kinds."""
    for number, arch in enumerate(ARCHES):
        kinds = types_for(arch)
        for layout in ("classic", "swiss", "split"):
            chance = random.Random(f"{arch.name} {layout}")
            key = kinds["keys"][(3 * number + len(layout)) % len(kinds["keys"])]
            elem = kinds["elems"][(5 * number + len(layout)) % len(kinds["elems"])]
            fake, space = target(arch)
            if layout == "classic":
                built = build_classic(fake, _classic_plan(chance), key, elem)
            else:
                built = build_swiss(fake, _swiss_plan(chance, layout == "split"), key, elem)
            holder = struct(
                "main.Holder", arch.pointer_size, [("N", basic("int", arch.pointer_size)), ("M", built.type)]
            )
            add(fake, "main.holder", holder, space.word(7) + space.word(built.address))
            _give_hash(fake)
            yield _recorded(f"{arch.name}-{layout}", fake, "main.holder.M")


def _give_hash(fake: ImageTarget) -> None:
    """The random keys of a process without AES. The maps were not filled by them: every key is misplaced."""
    word = fake.arch.pointer_size
    fake.symbols["runtime.hashkey"] = fake.memory.put(bytes(range(1, 4 * word + 1)))


def _classic_plan(chance: random.Random) -> ClassicPlan:
    def bucket() -> list[int]:
        live = chance.randrange(9)
        return [chance.choice([1, *range(5, 256)]) for _ in range(live)] + [0] * (8 - live)

    full = [chance.randrange(5, 256) for _ in range(8)]
    chains = [[full, full, bucket()] if chance.random() < 0.3 else [bucket()] for _ in range(8)]
    old = [OldBucket([[2] * 8], moved=True) if i % 2 else OldBucket([full, bucket()]) for i in range(4)]
    return ClassicPlan(3, chains, old, nevacuate=0, noverflow=3)


def _swiss_plan(chance: random.Random, split: bool) -> SwissPlan:
    def group() -> list[int]:
        return [chance.choice([CTRL_EMPTY, CTRL_EMPTY, CTRL_DELETED, *range(0x80)]) for _ in range(8)]

    tables = [TablePlan(2, [group() for _ in range(4)]), TablePlan(2, [group() for _ in range(2)]),
              TablePlan(1, [group() for _ in range(8)])]  # fmt: skip
    return SwissPlan(tables=tables, directory=[0, 1, 2, 2], split=split, tombstone_possible=True)


def _recorded(name: str, of: Target, expr: str) -> Source:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.hmap"
        image.record(Context(of), expr, str(path))
        return opened(name, path)
