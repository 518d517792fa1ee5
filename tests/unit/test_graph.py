"""What values lead to, by their types; how paths are written; and what a walk makes of memory that is not whole."""

from __future__ import annotations

import math
import struct as packing

import pytest

from gomap.errors import NoDebugInfo
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import Field, GoType, Kind, can_reach_map, fixed
from gomap.graph.edges import Edges
from gomap.graph.path import DEREF, CapturedName, KeyPart, Names, Path, PathPart, plain
from gomap.target import Place
from tests.support.by_hand import ask, world
from tests.support.describe import interface
from tests.support.graphs import Graph
from tests.support.space import AMD64, ARCHES, add, array_of, basic, pointer, slice_of, struct, target
from tests.support.synthetic import classic_type

INT, STRING = basic("int"), basic("string")
UNSAFE = GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", 8)


def test_edges() -> None:
    """One for each place that leads to a map, and none for what leads elsewhere or is blank."""
    fake, _ = target(AMD64)
    table = struct("main.Table", 8, [("M", classic_type(INT, INT, 8)), ("n", INT)])
    to = pointer(table)
    none = array_of(0, to)
    atomic = struct("sync/atomic.Pointer[main.Table]", 8, [("_", none), ("v", UNSAFE)])
    weak = struct("weak.Pointer[main.Table]", 8, [("_", none), ("u", UNSAFE)])
    unique = struct("unique.Handle[main.Table]", 8, [("value", to)])
    inner = struct("main.Inner", 8, [("n", INT), ("to", to), ("_", to), ("deep", table)])
    outer = struct(
        "main.Outer",
        8,
        [
            ("name", STRING), ("inner", inner), ("pair", array_of(2, inner)), ("ints", slice_of(INT)),
            ("list", slice_of(to)),
            ("any", interface(8)), ("f", GoType(Kind.FUNC, "func()", 8)), ("atomic", atomic), ("weak", weak),
            ("unique", unique), ("c", GoType(Kind.CHAN, "chan *main.Table", 8, lazy_elem=fixed(to))),
            ("m", table.fields[0].type),
        ],
    )  # fmt: skip
    edges = Edges(fake, can_reach_map).of(outer).edges
    assert [(edge.path, edge.kind, edge.fields) for edge in edges] == [
        (".inner.to", Kind.POINTER, 2),
        (".inner.deep.M", Kind.MAP, 3),
        (".pair", Kind.ARRAY, 1),
        (".list", Kind.SLICE, 1),
        (".any", Kind.INTERFACE, 1),
        (".f", Kind.FUNC, 1),
        (".atomic.Load()", Kind.POINTER, 1),
        (".unique.value", Kind.POINTER, 2),
        (".c", Kind.CHAN, 1),
        (".m", Kind.MAP, 1),
    ]
    assert edges[6].type is table
    flat, whole = Edges(fake, lambda t: True, flat=True).of_type(array_of(3, inner))
    assert whole and [(edge.offset, edge.kind) for edge in flat] == [
        (i * inner.size + offset, kind) for i in range(3) for offset, kind in ((8, Kind.POINTER), (24, Kind.MAP))
    ]


@pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
def test_words_of_a_value(arch: object) -> None:
    fake, space = target(arch)  # type: ignore[arg-type]
    word = fake.arch.pointer_size
    t = struct(
        "main.T", word, [("s", slice_of(interface(word), word)), ("n", basic("int", word)), ("e", interface(word))]
    )
    layout = Edges(fake, lambda t: True).of(t)
    data = b"".join(map(space.word, range(1, 7)))
    words = layout.unpack(b"!" + data, 1)
    assert [words[edge.first : edge.last] for edge in layout.edges] == [(1, 2, 3), (5, 6)]


def test_types_that_cannot_be() -> None:
    """Debug information that says that a field lies outside of its struct, or two at one place."""
    fake, _ = target(AMD64)
    to = pointer(INT)
    for offsets in ((0, 4), (8, 0), (0, 12)):
        fields = tuple(Field(f"f{i}", offset, to) for i, offset in enumerate(offsets))
        with pytest.raises(NoDebugInfo, match=r"main\.Odd"):
            Edges(fake, lambda t: True).of(GoType(Kind.STRUCT, "main.Odd", 16, fields=fields))


@pytest.mark.parametrize(
    ("parts", "text", "kind"),
    [
        ([], "v", "argument"),
        ([".a.b", 3], "v.a.b[3]", "element"),
        ([DEREF, ".a"], "(*v).a", "field"),
        ([".a", DEREF], "(*v.a)", "field"),
        ([DEREF], "(*v)", "argument"),
        ([".p.Load()", ".(main.T)"], "v.p.Load().(main.T)", "interface"),
        ([CapturedName(".x")], "v.x", "captured"),
        ([CapturedName("(0x10:main.T)"), ".m"], "(0x10:main.T).m", "field"),
    ],
)
def test_paths(parts: list[PathPart], text: str, kind: str) -> None:
    fake, _ = target(AMD64)
    path = Path(None, "v", Place("argument"))
    for part in parts:
        path = Path(path, part)
    assert (Names(fake, DescribedTypes(fake)).text(path), path.kind) == (text, kind)


def test_keys_in_paths() -> None:
    """What a key leads to is named by its address where the key can't be typed, and a map by that of its header."""
    fake, space = target(AMD64)
    names, float64, m = Names(fake, DescribedTypes(fake)), basic("float64"), classic_type(INT, INT, 8)
    nan, one = packing.pack("<d", math.nan), packing.pack("<d", 1.5)
    root, place = Path(None, "v"), space.put(space.word(0x50))

    def text(key: GoType, data: bytes | None, form: str = "[{}]", behind: GoType = INT) -> str:
        path = Path(root, KeyPart(key, data, form, behind, place))
        assert path.kind == "map-value"
        return names.text(path)

    assert text(float64, one) == "v[1.5]"
    assert text(float64, one, ".Load({})") == "v.Load(1.5)"
    assert text(STRING, space.string(b'a"b')) == 'v["a\\"b"]'
    for key, data, form in (
        (float64, nan, "[{}]"),
        (STRING, space.string(b"x" * 1000), "[{}]"),
        (STRING, space.word(8) + space.word(8), "[{}]"),
        (INT, None, "[{}]"),
        (float64, one, ""),
    ):
        assert text(key, data, form) == f"({place:#x}:int)"
        assert text(key, data, form, m) == f"(0x50:{m.name})"
    assert plain("(0x40:int)") == "0x40:int" and plain("(0x40:int).a") == "(0x40:int).a"


def test_nil_lies_no_deeper() -> None:
    """A search that ends at a depth says how many values lead further. Those that are nil do not."""
    fake, one, _ = world()
    fake.variables.clear()
    box = struct("main.Box", 8, [("M", one.type)])
    t = struct("main.T", 8, [("p", pointer(box)), ("q", pointer(box)), ("s", slice_of(box)), ("e", interface(8))])
    space = fake.memory
    add(fake, "t", t, space.word(space.put(space.word(one.address))) + bytes(t.size - 8))
    assert ask(fake, "hmap-alias", "--all --depth 0 --json")["truncated"] == [
        {"what": "1 value lies deeper than 0 pointers and elements", "shown": 0, "of": None, "option": None}
    ]
    add(fake, "t", t, bytes(t.size))
    assert ask(fake, "hmap-alias", "--all --depth 0 --json")["truncated"] is None


def test_what_can_be_read_of_an_object_is_followed() -> None:
    """The last part of a node is missing, and what it has before that leads back to it, twice."""
    graph = Graph()
    graph.lay([[0, 0]])
    graph.space.holes.append((graph.places[0] + 32, 24))
    found = graph.find()
    assert [one.whole for one in found.cycles] == ["p.next", "p.pair[0]"]
    assert found.unread == 1 and [one.code for one in found.anomalies] == ["unreadable"]
