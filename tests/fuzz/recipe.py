"""What is done to a map, as data: drawn at random, kept in a file, done again."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from gomap.golang.layouts.classic.map import ClassicMap
from gomap.memory import RegionMemory
from gomap.recorded import ImageTarget, parse
from tests.fuzz.scribbled import Filled, Scribbled
from tests.fuzz.sources import Source, Spot, by_name

#: Text that a terminal or a careless program would act on.
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07", "a\rb\nc\0", "\u202egnp.exe", "\x9b31m", "\udcff\udc80", "\u200b\ufeff\U000e0041",
    "__import__('os').system('touch /tmp/owned')", "$(touch /tmp/owned)", "'; touch /tmp/owned; '", "%s%n{0.__class__}",
    "x" * 100_000, "", "map[string]int", "ｗｉｄｅ" * 40, "e\u0301" * 200,
)  # fmt: skip
NUMBERS = (
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 29, 30, 31, 32, 33, 40, 46, 47, 48, 63, 64, 65, 127, 128, 129, 200, 254, 255,
    256, 1023, 1024, 4096, 0x7FFF, 0x8000, 0xFFFF, 1 << 16, 1 << 20, (1 << 20) - 1, 1 << 24, 1 << 28, (1 << 31) - 1,
    1 << 31, (1 << 32) - 1, 1 << 32, 1 << 33, 1 << 34, 1 << 40, 1 << 46, 1 << 47, 1 << 48, 1 << 60, 1 << 62,
    (1 << 63) - 1, 1 << 63, (1 << 63) + 1, (1 << 64) - 8, (1 << 64) - 1,
)  # fmt: skip
MARKS = (0, 1, 2, 3, 4, 5, 6, 0x7F, 0x80, 0x81, 0xFD, 0xFE, 0xFF)
#: What a manifest's numbers become.
JSON_NUMBERS: tuple[Any, ...] = (*NUMBERS, -1, -8, -(1 << 63), 1 << 64, 1 << 200, 1.5, 1e308, True, None, "7", [], {})


@dataclass
class Recipe:
    """patches: (address, bytes in hex). lost: spans that can't be read. filler: bytes in hex that lie around what
    was recorded, wherever an arena is. manifest: (path in it, what stands there now)."""

    source: str
    patches: list[tuple[int, str]] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    filler: str = ""
    manifest: list[tuple[list[Any], Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def json(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @staticmethod
    def read(text: str) -> Recipe:
        return Recipe(**json.loads(text))


@dataclass
class Cooked:
    """The target that a recipe makes of its source, and its memory's account."""

    target: ImageTarget
    memory: Scribbled


def cook(recipe: Recipe) -> Cooked:
    """Raises BadImage when what became of the manifest is refused."""
    source = by_name()[recipe.source]
    target = copy.copy(source.clean)
    if recipe.manifest:
        manifest = copy.deepcopy(source.manifest)
        for path, value in recipe.manifest:
            _put(manifest, path, value)
        target = parse(manifest, source.memory)
    inner = RegionMemory(source.regions)
    filled = Filled(source.regions, bytes.fromhex(recipe.filler), _arena(source, recipe)) if recipe.filler else inner
    memory = Scribbled(filled, [(at, bytes.fromhex(data)) for at, data in recipe.patches], recipe.lost)
    target.memory = memory
    return Cooked(target, memory)


def _arena(source: Source, recipe: Recipe) -> int:
    """Go's own arenas, mostly fresh and zero; less of what every command has to look at closely."""
    return 4 << 20 if source.arch.pointer_size == 4 else 64 << 20 if recipe.filler == "00" else 16 << 20


def _put(manifest: Any, path: list[Any], value: Any) -> None:
    """A path that is not there any more, after what other changes did, changes nothing."""
    try:
        for step in path[:-1]:
            manifest = manifest[step]
        manifest[path[-1]] = value
    except (LookupError, TypeError):
        return


# -- drawing one ---------------------------------------------------------------------------------------


def draw(chance: random.Random, source: Source, lines: Callable[[random.Random, Source], list[str]]) -> Recipe:
    """A recipe for this source. chance: anything with random.Random's methods."""
    recipe = Recipe(source.name)
    drawn = _Drawn(chance, source, recipe)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        drawn.once()
    if chance.randrange(4) == 0:
        recipe.filler = chance.choice(
            ("00", "ff", "80", "05", "01fe8080", drawn.some_pointer_bytes(), drawn.some_piece())
        )
    recipe.lines = lines(chance, source)
    return recipe


@dataclass
class _Drawn:
    chance: random.Random
    source: Source
    recipe: Recipe

    def once(self) -> None:
        more_often = [self.header, self.pointer] * 2 + [self.mark, self.overflow, self.table, self.word, self.type]
        once = [self.whole, self.flip, self.scribble, self.wipe, self.lose, self.copy, self.fact]
        self.chance.choice([*more_often, *more_often, *once])()

    # -- memory

    def spot(self, kind: str) -> Spot | None:
        found = self.source.spots.get(kind)
        return self.chance.choice(found) if found else None

    def patch(self, address: int, data: bytes) -> None:
        self.recipe.patches.append((address, data.hex()))

    def put(self, spot: Spot | None, value: int) -> None:
        if spot is not None:
            order = self.source.arch.byte_order
            masked = value & (1 << 8 * spot.size) - 1
            self.patch(spot.address, masked.to_bytes(spot.size, order))  # type: ignore[arg-type]

    def number(self) -> int:
        return self.chance.choice(NUMBERS)

    def header(self) -> None:
        spot = self.spot("header")
        if spot is not None and spot.size == self.source.arch.pointer_size and self.chance.randrange(3) == 0:
            self.put(spot, self.some_pointer(spot.address))
        else:
            self.put(spot, self.number())

    def table(self) -> None:
        spot = self.spot("table")
        if spot is not None and spot.what == "table data":
            self.put(spot, self.some_pointer(spot.address))
        else:
            self.put(spot, self.number())

    def mark(self) -> None:
        mark = self.chance.choice(MARKS)
        for _ in range(self.chance.choice((1, 1, 8, 64))):
            self.put(self.spot("mark"), mark)

    def overflow(self) -> None:
        spot = self.spot("overflow")
        other = self.spot("overflow")
        if spot is not None and other is not None and self.source.map is not None:
            size = self.source.map.shape.slots.size
            bucket = other.address + self.source.arch.pointer_size - size
            self.put(spot, self.chance.choice((bucket, bucket, self.some_pointer(spot.address))))

    def pointer(self) -> None:
        spot = self.spot("pointer")
        if spot is not None:
            self.put(spot, self.some_pointer(spot.address))

    def some_pointer(self, own: int) -> int:
        """Where a pointer at the address `own` may lead to now."""
        kind = self.chance.randrange(10)
        if kind < 4:
            other = self.spot("pointer")
            if other is not None:
                data = self.source.clean.memory.read(other.address, other.size)
                return self.source.arch.pointer(data) + self.chance.choice((0, 0, 0, 1, 8, -8))
        if kind == 4:
            return own
        if kind == 5:
            return own - self.chance.choice((1, 8, 16, 24, 32, 48, 144))
        if kind == 6:
            start, data = self.chance.choice(self.source.regions)
            return start + len(data) - self.chance.choice((1, 4, 8, 64))
        if kind == 7 and self.source.map is not None:
            return self.source.map.address
        start, data = self.chance.choice(self.source.regions)
        return self.chance.choice((0, 1, 8, 4095, start, 1 << 47, (1 << 64) - 8, (1 << 64) - 1))

    def some_pointer_bytes(self) -> str:
        """A word of the target's that leads somewhere: with it all around, everything leads somewhere."""
        start, _ = self.chance.choice(self.source.regions)
        return self.source.arch.pack(start).hex()

    def some_piece(self) -> str:
        """Part of the map itself, or of what it leads to, again and again."""
        spot = self.spot(self.chance.choice(("mark", "pointer")))
        for start, data in self.source.regions:
            if spot is not None and start <= spot.address < start + len(data):
                size = self.source.map.shape.slots.size if self.source.map is not None and spot.what == "mark" else 64
                return data[spot.address - start :][: size * self.chance.choice((1, 3))].hex()
        return "00"

    def whole(self) -> None:
        """A size that all fields of the header agree about, so that nothing tells that it is wrong."""
        one = self.source.map
        if one is None:
            return
        if isinstance(one, ClassicMap):
            wanted = {"B": self.chance.randrange(25), "noverflow": self.chance.randrange(1 << 16)}
            if self.chance.randrange(2):
                wanted |= {"oldbuckets": one.header["buckets"], "flags": self.chance.choice((0, 8))}
        else:
            depth = self.chance.randrange(25)
            wanted = {
                "dirLen": 1 << depth,
                "globalDepth": depth,
                "globalShift": 8 * self.source.arch.pointer_size - depth,
            }
        for spot in self.source.spots["header"]:
            name = spot.what.split()[1]
            if name in wanted:
                self.put(spot, wanted[name])

    def word(self) -> None:
        self.put(self.spot("word"), self.number())

    def region(self) -> tuple[int, bytes, int]:
        """A region, its bytes, and a place in it."""
        start, data = self.chance.choice(self.source.regions)
        return start, data, self.chance.randrange(max(len(data), 1))

    def flip(self) -> None:
        start, data, at = self.region()
        if data:
            self.patch(start + at, bytes([data[at] ^ 1 << self.chance.randrange(8)]))

    def scribble(self) -> None:
        start, data, at = self.region()
        length = min(self.chance.choice((1, 2, 8, 64)), len(data) - at)
        self.patch(start + at, bytes(self.chance.randrange(256) for _ in range(length)))

    def wipe(self) -> None:
        start, data, at = self.region()
        length = min(self.chance.choice((8, 64, 1 << 20)), len(data) - at)
        self.patch(start + at, bytes([self.chance.choice((0, 0, 1, 0x80, 0xFE, 0xFF))]) * length)

    def lose(self) -> None:
        start, data, at = self.region()
        self.recipe.lost.append((start + at, start + min(at + self.chance.choice((1, 4096, 1 << 40)), len(data))))

    def copy(self) -> None:
        """What lies in one place lies in another too."""
        _, data, at = self.region()
        other_start, other, to = self.region()
        piece = data[at : at + self.chance.choice((8, 48, 144, 1024))][: len(other) - to]
        self.patch(other_start + to, piece)

    # -- what the file says of them

    def change(self, path: list[Any], value: Any) -> None:
        self.recipe.manifest.append((path, value))

    def type(self) -> None:
        types = self.source.manifest["types"]
        number = self.chance.randrange(len(types))
        name = self.chance.choice(("size", "size", "length", "kind", "name", "elem", "elem", "key", "header", "fields"))
        if name == "fields" and types[number]["fields"]:
            at = self.chance.randrange(len(types[number]["fields"]))
            part = self.chance.randrange(3)
            value = (self.text, self.json_number, lambda: self.chance.randrange(len(types)))[part]()
            self.change(["types", number, "fields", at, part], value)
        elif name in ("elem", "key", "header"):
            self.change(["types", number, name], self.chance.choice((number, self.chance.randrange(len(types)), None)))
        elif name == "kind":
            kinds = sorted({t["kind"] for t in types})
            self.change(["types", number, name], self.chance.choice((*kinds, "array", "nonsense")))
        elif name == "name":
            self.change(["types", number, name], self.text())
        else:
            self.change(["types", number, name], self.json_number())

    def text(self) -> str:
        return self.chance.choice(HOSTILE)

    def json_number(self) -> Any:
        return self.chance.choice(JSON_NUMBERS)

    def fact(self) -> None:
        """Any other thing in the manifest."""
        path: list[Any] = [self.chance.choice(("target", "variables", "named_types", "symbols", "regions", "expr"))]
        here = self.source.manifest[path[0]]
        while isinstance(here, (list, dict)) and here and (len(path) < 2 or self.chance.randrange(4)):
            step = self.chance.choice(sorted(here) if isinstance(here, dict) else range(len(here)))
            path.append(step)
            here = here[step]
        if path[0] == "expr" and len(path) == 1:
            return
        self.change(
            path, self.text() if isinstance(here, str) else self.chance.choice((self.json_number(), self.text()))
        )
