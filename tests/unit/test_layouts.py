"""A layout that no Go has: one package behind the protocol and one line in gomap.maps are all that it takes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Callable

import pytest

from gomap import frontend, maps
from gomap.analysis.locate import locate
from gomap.columns.choose import counting
from gomap.columns.marks import SLOTS, mark_code
from gomap.declare import Settings
from gomap.golang.hashing.hasher import Hasher, hasher_of
from gomap.golang.hashing.plans import Plan
from gomap.golang.layouts.integrity import Checked, Findings, KeyCheck, checked
from gomap.golang.layouts.layout import Description, Forecast, Growing, Layout, Terms, Watched
from gomap.golang.layouts.marks import Strip
from gomap.golang.layouts.search import KeySearch, ProbedBucket, SearchStep
from gomap.golang.layouts.slots import Bucket, SlotShape, SlottedShape, entries_of, member
from gomap.golang.layouts.spot import Spot
from gomap.golang.layouts.structure import Bytes, MapEntry, Structure
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType
from gomap.recorded import ImageTarget
from gomap.render.text import Style
from gomap.report import Facts
from gomap.target import Arch, Record, Target, read_record
from tests.support.by_hand import ask, with_hashes
from tests.support.sources import FILES, ROOT, tree
from tests.support.space import AMD64, add, array_of, basic, pointer, struct, target
from tests.support.synthetic import map_of

MARKS = mark_code(live=range(2, 256), empty=0, tombstone=1)
WATCHED = Watched("count", "busy", 1, False, "seed")
TERMS = Terms(
    "shelves", "shelf", "label", "label", "label", {0: "free", 1: "removed"}, 0, "busy", "toy.cursor", WATCHED
)


@dataclass(frozen=True)
class ToyShape(SlottedShape):
    layout: str = "toy"
    group: str | None = None
    overflow_off: int | None = None
    key_path: tuple[str, ...] = ("shelves", "*", "keys", "*")
    elem_path: tuple[str, ...] = ("shelves", "*", "elems", "*")


def detect(header: GoType, arch: Arch) -> ToyShape | None:
    if header.field("shelves") is None:
        return None
    _, to_shelf = member(header, "shelves")
    keys_off, keys = member(to_shelf.elem, "keys")
    elems_off, elems = member(to_shelf.elem, "elems")
    k, v = keys.elem, elems.elem
    return ToyShape(header, SlotShape(to_shelf.elem.size, keys_off, k.size, elems_off, v.size, k, v, False, False))


@dataclass
class ToyMap:
    """An array of shelves, a power of two. A key is on the shelf that its hash names, or on one behind it: the search
    ends at a free slot."""

    target: Target
    shape: ToyShape
    address: int
    header: Record = field(init=False)
    terms = TERMS
    marks = MARKS
    flags = ()
    nonsense = None
    writing = False
    iterated = "shelves"

    def __post_init__(self) -> None:
        self.header = read_record(self.target, self.shape.header, self.address)
        self.count, self.seed, self.size = self.header["entries"], self.header["salt"], self.header["wide"]
        self.array_address = self.header["shelves"]
        self.extents = [(self.array_address, self.size * self.shape.slots.size)]

    def storage(self) -> dict[int, str]:
        return {self.array_address: "shelves"}

    def has_part(self, parts: Sequence[int]) -> bool:
        return self.array_address in parts

    def layout_facts(self, structure: Structure) -> dict[str, object]:
        return {"wide": self.size}

    def _data(self) -> bytes:
        return self.target.memory.read(*self.extents[0])

    def structure(self, allocator: Allocator) -> Structure:
        found = Structure(self.array_address, strip=Strip(self.size))
        found.main.add(counting().marks_of(self._data(), self.shape.slots.size), MARKS)
        found.total.include(found.main)
        found.total.buckets = found.main.buckets
        found.bytes = Bytes(self.extents[0][1], 16 * found.total.live, rebuilt=self.extents[0][1])
        return found

    def windows(self) -> Iterator[tuple[list[Bucket], bool]]:
        data, size = self._data(), self.shape.slots.size
        yield [(i, 0, self.array_address + i * size, data[i * size : (i + 1) * size]) for i in range(self.size)], False

    def entries(self) -> Iterator[MapEntry]:
        for window, old in self.windows():
            yield from entries_of(self.target.memory, self.target.arch, self.shape.slots, window, MARKS.live, old)

    def contents(self) -> Iterator[bytes]:
        yield self._data()

    def rebuilt(self, entries: int, allocator: Allocator) -> int:
        return self.extents[0][1]

    def mark(self, hash_: int) -> int:
        return 2 + hash_ % 254

    def follow(self, search: KeySearch, hash_: int) -> None:
        for i in range(self.size):
            shelf = (hash_ + i) % self.size
            place = ProbedBucket(shelf, False, self.array_address + shelf * self.shape.slots.size, i)
            data = self.target.memory.read(place.address, self.shape.slots.size)
            if search.bucket(place, data):
                return
            ended = 0 in data[:SLOTS]
            search.step(place, None, "ends" if ended else "goes-on")
            if ended:
                return

    def arrays_of(self, most: int) -> Iterator[tuple[int, int]]:
        yield self.array_address, self.size

    def place(self, step: SearchStep) -> str:
        return f"shelf {step.bucket}"

    def going_on(self, step: SearchStep) -> str:
        return "a full shelf: on to the next" if step.reason == "goes-on" else "a free slot: the search ends"

    def head(self, address: int, rules: Allocator) -> Spot | None:
        index, inside = divmod(address - self.array_address, self.shape.slots.size)
        return Spot(self.address, "buckets", address - inside, index) if 0 <= index < self.size else None

    def inner(self, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
        return None

    def state(self, mark: int) -> str:
        return "live" if MARKS.live[mark] else TERMS.states[mark]

    def check(
        self, hasher: Hasher, plan: Plan | None, allocator: Allocator, full: bool, absent: Callable[[int | None], bool]
    ) -> Checked:
        findings = Findings(False, self.address, absent)
        keys = KeyCheck(self.target, self.shape.slots, hasher, plan, self.seed, range(2, 256), findings)
        addresses = [self.array_address + i * self.shape.slots.size for i in range(self.size)]
        for one in keys.bad(self._data(), addresses, lambda block, mark, hash_: mark == 2 + hash_ % 254):
            findings.add("bad-label", f"shelf {one.block} slot {one.slot}: the label is wrong")
        return checked(findings, self.structure(allocator).total.live, keys)

    def forecast(self, structure: Structure) -> Forecast:
        return Forecast(structure.total.empty, "twice as many shelves when all are full")

    def growing(self, structure: Structure) -> Growing:
        return Growing(["never half grown"], [Facts([("next", self.forecast(structure).next)])])

    def describe(self, structure: Structure) -> Description:
        return Description(f"toy, {self.size} shelves", "as it comes")

    def iteration(self, record: Record) -> tuple[int, int] | None:
        return None


LAYOUT = Layout("toy", detect, ToyMap, MARKS)  # type: ignore[arg-type]  # flags: () is a sequence, too
INT = basic("int")
FULL, HELD = 2, 11


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ImageTarget:
    """m: {0: 1000, 1: 1001, ...} on four shelves, the entries set as the layout says."""
    monkeypatch.setitem(maps.LAYOUTS, "toy", LAYOUT)
    shelf = struct("shelf", 8, [("labels", basic("uint64")), ("keys", array_of(8, INT)), ("elems", array_of(8, INT))])
    fields = [("entries", INT), ("salt", basic("uintptr")), ("shelves", pointer(shelf)), ("wide", INT)]
    header = struct("map<int,int>", 8, fields)
    fake, space = target(AMD64)
    hasher = hasher_of(with_hashes(fake))
    shelves = [bytearray(shelf.size) for _ in range(4)]
    for key in range(HELD):
        hash_ = hasher.hash(hasher.plans(INT)[0], key.to_bytes(8, "little"), 77)
        assert hash_ is not None
        at = next(s for i in range(4) if 0 in (s := shelves[(hash_ + i) % 4])[:8])
        slot = at[:8].index(0)
        at[slot] = 2 + hash_ % 254
        at[8 + 8 * slot : 16 + 8 * slot] = key.to_bytes(8, "little")
        at[72 + 8 * slot : 80 + 8 * slot] = (1000 + key).to_bytes(8, "little")
    array = space.put(b"".join(shelves))
    address = space.put(space.record(header, entries=HELD, salt=77, shelves=array, wide=4))
    add(fake, "m", map_of(INT, INT, header, 8), space.word(address))
    return fake


def said(fake: ImageTarget, name: str, line: str) -> str:
    outcome = frontend.run(name, line, lambda: fake, Settings(), Style())
    assert outcome.error is None, outcome.error
    return outcome.output


def test_a_layout_is_one_package_and_one_line(toy: ImageTarget) -> None:
    show = ask(toy, "hmap-show", "m --entries 100 --json")["data"]
    assert (show["layout"], show["count"], show["live"], show["toy"]) == ("toy", HELD, HELD, {"wide": 4})
    assert show["classic"] is None and show["swiss"] is None
    assert sorted((one["key"], one["value"]) for one in show["entries"]) == [(i, 1000 + i) for i in range(HELD)]
    text = said(toy, "hmap-show", "m --entries 1 --buckets 0")
    assert "toy, 4 shelves" in text and "shelf/slot" in text and "shelf 0 " in text and "8 label bytes" in text
    for key in (0, HELD - 1, HELD):
        data = ask(toy, "hmap-get", f"m {key} --json")["data"]
        assert (data["found"], data["value"]) == ((True, 1000 + key) if key < HELD else (False, None))
        assert data["path"] and not data["walked"]
    assert "the search ends" in said(toy, "hmap-get", f"m {HELD}")
    assert ask(toy, "hmap-evac", "m --json")["data"]["forecast"]["entries_left"] == 32 - HELD
    assert said(toy, "hmap-evac", "m").startswith("never half grown")


def test_its_maps_are_checked_and_found(toy: ImageTarget) -> None:
    (one,) = ask(toy, "hmap-check", "m --json")["data"]["maps"]
    assert (one["verdict"], one["hashes_checked"]) == ("intact", HELD)
    one_map = int(one["address"], 16)
    step = ask(toy, "hmap-get", "m 3 --json")["data"]["path"][-1]
    key = int(step["address"], 16) + 8 + 8 * step["slot"]
    found = maps.view(toy, toy.variables["m"].type, one_map)
    spot = locate(SimpleNamespace(views={one_map: found}), key, Allocator(), None)  # type: ignore[arg-type]
    assert spot is not None and (spot.array, spot.slot, spot.part, spot.state) == (
        "buckets",
        step["slot"],
        "key",
        "live",
    )
    toy.memory.write(key, (4).to_bytes(8, "little"))
    (one,) = ask(toy, "hmap-check", "m --json")["data"]["maps"]
    assert one["verdict"] == "corrupt" and [kind["code"] for kind in one["kinds"]] == ["bad-label"]


def test_nothing_else_asks_which_layout_a_map_has() -> None:
    own = {ROOT / "gomap" / "golang" / "layouts" / name for name in ("classic", "swiss")}
    for path in FILES:
        if own & set(path.parents):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                assert not {"ClassicMap", "SwissMap", "ClassicShape", "SwissShape"} & names(node), path
            if isinstance(node, ast.Compare):
                assert not {"classic", "swiss"} & constants(node), (path, node.lineno)


def names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def constants(node: ast.AST) -> set[Any]:
    return {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
