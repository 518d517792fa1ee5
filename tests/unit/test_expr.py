"""Expressions: what they mean, what is said when they mean nothing, and that no text breaks the parser."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap import typenames
from gomap.errors import (
    BadExpression,
    GomapError,
    MemoryFault,
    NoSuchType,
    NoSuchVariable,
    NotAMap,
    OptimizedOut,
)
from gomap.expr import resolve, resolve_map
from gomap.fields import find_field
from gomap.gotypes import GoType, Kind, Lazy
from gomap.recorded import ImageTarget
from gomap.syntax import unquote
from gomap.target import Variable
from tests.support.describe import Descriptors, interface
from tests.support.space import AMD64, add, array_of, basic, load, pointer, slice_of, struct, target
from tests.support.synthetic import ClassicPlan, SwissPlan
from tests.support.synthetic_classic import build_classic
from tests.support.synthetic_swiss import build_swiss

INT = basic("int")


class World:
    """A target with a variable of every kind that an expression can go through."""

    def __init__(self) -> None:
        self.fake, space = target(AMD64)
        fake, self.space = self.fake, space
        described = Descriptors(fake)
        self.map = build_swiss(fake, SwissPlan([1, 2, 3] + [0x80] * 5), INT, INT)
        t = self.map.type
        m = space.word(self.map.address)
        inner = struct("main.Inner", 8, [("M", t), ("N", INT)])
        outer = struct("main.Outer", 8, [("X", INT), ("Inner", inner)], embedded=["Inner"])
        self.value = space.word(5) + m + space.word(6)
        add(fake, "m", t, m)
        add(fake, "local", outer, self.value)
        behind = space.put(self.value)
        add(fake, "p", pointer(outer), space.word(behind))
        add(fake, "pp", pointer(pointer(outer)), space.word(space.put(space.word(behind))))
        add(fake, "arr", array_of(3, t), m + space.word(0) + m)
        add(fake, "sl", slice_of(outer), space.slice(self.value * 2, 2))
        add(fake, "any", interface(8), described.eface(t, m))
        add(fake, "anyp", interface(8), described.eface(pointer(outer), space.word(behind)))
        add(fake, "nothing", interface(8), bytes(16))
        add(fake, "mp", pointer(t), space.word(space.put(m)))
        add(fake, "nilp", pointer(outer), bytes(8))
        add(fake, "nilmap", t, bytes(8))
        add(fake, "number", INT, space.word(1))
        for full in (
            "main.global",
            "main.T",
            "example.com/shop/v2.cache",
            "gopkg.in/yaml%2ev3.cache",
            "example.com/x-y/z_1.cache",
            "example.com/~u/pkg.cache",
            "main.(*T).method.cache",
        ):
            add(fake, full, t, m)
        add(fake, "example.com/shop/v2.conf", outer, self.value)
        add(fake, "main.outer", outer, self.value)
        fake.types["map[int]int"] = t
        fake.types["main.Outer"] = outer
        shards_key = basic("string")
        shards = build_classic(fake, ClassicPlan(0, [[[9, 9, 0, 0, 0, 0, 0, 0]]]), shards_key, t)
        for entry, name in zip(shards.entries, (b"eu", b"us\n")):
            space.write(entry.key_address, space.string(name))
            space.write(entry.elem_address, m)
        add(fake, "shards", shards.type, space.word(shards.address))
        by_number = build_swiss(fake, SwissPlan([1, 2] + [0x80] * 6), basic("int8"), t)
        for entry, number in zip(by_number.entries, (-2, 7)):
            space.write(entry.key_address, space.uint(number % 256, 1))
            space.write(entry.elem_address, m)
        add(fake, "numbered", by_number.type, space.word(by_number.address))


@pytest.fixture
def world() -> World:
    return World()


MAPS = """
m
 m
(m)
((m))
local.M
local.Inner.M
(local).M
p.M
p.Inner.M
(*p).M
(*p).Inner.M
pp.M
(**pp).M
*mp
mp
arr[0]
arr[ 2 ]
arr[0x2]
sl[1].M
sl[0].Inner.M
any
anyp.M
main.global
global
T
outer.M
main.outer.Inner.M
example.com/shop/v2.cache
'example.com/shop/v2.cache'
example.com/shop/v2.conf.M
'example.com/shop/v2.conf'.M
gopkg.in/yaml%2ev3.cache
example.com/x-y/z_1.cache
example.com/~u/pkg.cache
'main.(*T).method.cache'
shards["eu"]
shards[`eu`]
shards["us\\n"]
shards["\\x65u"]
numbered[7]
numbered[-2]
""".strip("\n").split("\n")


@pytest.mark.parametrize("text", MAPS)
def test_expressions_that_name_the_map(world: World, text: str) -> None:
    variable, t, address = resolve_map(world.fake, text)
    assert address == world.map.address
    assert t.kind is Kind.MAP
    assert variable.type is t or variable.type.kind is Kind.MAP


def test_a_header_by_its_address(world: World) -> None:
    for text in (f"{world.map.address:#x}:map[int]int", f"{world.map.address:#X}: map[int]int "):
        assert resolve_map(world.fake, text)[2] == world.map.address
    found = resolve(world.fake, f"{world.fake.variables['local'].address:#x}:main.Outer")
    assert (found.type.name, found.address) == ("main.Outer", world.fake.variables["local"].address)


ERRORS = [
    ("", BadExpression, "missing"),
    ("nope", NoSuchVariable, "nope"),
    ("main.nope", NoSuchVariable, "main.nope"),
    ("example.com/no.cache", NoSuchVariable, "example.com/no.cache"),
    ("local.Y", BadExpression, "no field Y"),
    ("m.X", BadExpression, "no field X"),
    ("arr[3]", BadExpression, "out of range"),
    ("arr[-1]", BadExpression, "out of range"),
    ("sl[2]", BadExpression, "out of range"),
    ('arr["x"]', BadExpression, "indexed"),
    ("number[0]", BadExpression, "indexed"),
    ('shards["no"]', BadExpression, 'shards["no"]: the map has no such key'),
    ("shards[1]", BadExpression, '"1" is not a string: expected a string in "quotes"'),
    ('numbered["x"]', BadExpression, '"x" is not an int8: expected an integer literal'),
    ("numbered[3]", BadExpression, "no such key"),
    ("nilmap[3]", BadExpression, "no such key"),
    ("nilp.M", BadExpression, "nil"),
    ("*nilp", BadExpression, "nil"),
    ("*m", BadExpression, "not a pointer: it is a map[int]int"),
    ("nothing.M", BadExpression, "nil"),
    ("0x10:no.Such", NoSuchType, "no.Such"),
    ("m.", BadExpression, "dot"),
    ("m[", BadExpression, "index"),
    ("m[x]", BadExpression, "neither an int nor a variable or constant: expected an integer literal"),
    ("m + 1", BadExpression, "understood"),
    ("(m", BadExpression, ""),
    ("'m", BadExpression, "quote"),
    ("123", BadExpression, "not a variable"),
]


@pytest.mark.parametrize(("text", "error", "says"), ERRORS, ids=[text for text, _, _ in ERRORS])
def test_expressions_that_name_nothing(world: World, text: str, error: type[GomapError], says: str) -> None:
    with pytest.raises(error) as caught:
        resolve(world.fake, text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("main.Global", "main.global"),
        ("main.golbal.M", "main.global"),
        ("v2.cache", "example.com/shop/v2.cache"),
        ("&main.globall", "main.global"),
        ("shard[1]", "shards"),
        ("quite.another", None),
        ("x", None),
    ],
)
def test_a_name_that_is_nearly_one(world: World, text: str, meant: str | None) -> None:
    with pytest.raises(NoSuchVariable) as caught:
        resolve(world.fake, text)
    said = str(caught.value)
    assert said.endswith(f": did you mean {meant}?" if meant else "need their full name, like main.cache"), said


def test_what_to_ask_about_a_value_that_is_no_map(world: World) -> None:
    shop = struct("main.Shop", 8, [("n", INT), ("Carts", world.map.type), ("Users", world.map.type)])
    add(world.fake, "shop", pointer(shop), world.space.word(0))
    with pytest.raises(NotAMap, match=r"^shop is not a map: it is a \*main.Shop \(its maps: Carts, Users\)$"):
        resolve_map(world.fake, "shop")
    add(world.fake, "synced", struct("sync.Map", 8, [("n", INT)]), bytes(8))
    with pytest.raises(NotAMap, match=r"it is a sync.Map \(hmap-sync shows it\)$"):
        resolve_map(world.fake, "synced")
    boxed = struct("sync/atomic.Value", 8, [("v", GoType(Kind.INTERFACE, "interface {}", 16))])
    add(world.fake, "boxed", boxed, bytes(16))
    with pytest.raises(NotAMap, match=r"it is a sync/atomic.Value: use boxed.Load\(\)$"):
        resolve_map(world.fake, "boxed")
    raw = GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", 8)
    add(world.fake, "raw", raw, world.space.word(0x1230))
    add(world.fake, "none", raw, bytes(8))
    with pytest.raises(NotAMap, match=r": if it points to a map, name its type, as in 0x1230:map\[string\]int$"):
        resolve_map(world.fake, "raw")
    with pytest.raises(NotAMap, match=r"it is an unsafe.Pointer that is nil$"):
        resolve_map(world.fake, "none")
    world.fake.variables["n"] = replace(add(world.fake, "n", INT, bytes(8)), note="n is taken from frame 2, main.f")
    with pytest.raises(NotAMap, match=r"^n is not a map: it is an int \(n is taken from frame 2, main.f\)$"):
        resolve_map(world.fake, "n")


@pytest.mark.parametrize("text", ["number", "local", "sl", "nothing", "nilp", "p"])
def test_values_that_are_no_maps(world: World, text: str) -> None:
    with pytest.raises(NotAMap, match=text):
        resolve_map(world.fake, text)


def test_nil_maps_have_no_header(world: World) -> None:
    assert resolve_map(world.fake, "nilmap")[2] == 0
    assert resolve_map(world.fake, "arr[1]")[2] == 0


def test_a_local_hides_a_package(world: World) -> None:
    """A local named main: main.M is its field, as in Go."""
    t = world.map.type
    word = world.space.word(world.map.address)
    add(
        world.fake,
        "main",
        struct("struct { Other int; M map[int]int }", 8, [("Other", INT), ("M", t)]),
        bytes(8) + word,
    )
    assert resolve_map(world.fake, "main.M")[2] == world.map.address
    with pytest.raises(BadExpression, match="no field global"):
        resolve(world.fake, "main.global")


def test_a_callers_local_hides_no_package(world: World) -> None:
    class Called(ImageTarget):
        """The locals are those of the function that called the selected one."""

        def variable(self, name: str, callers: bool = True) -> Variable | None:
            return self.variables.get(name) if callers or "." in name else None

    called = Called(**vars(world.fake))
    t, word = world.map.type, world.space.word(world.map.address)
    add(called, "main", struct("struct { global int; M map[int]int }", 8, [("global", INT), ("M", t)]), bytes(8) + word)
    assert resolve(called, "main.global").type.kind is Kind.MAP
    assert resolve_map(called, "main.M")[2] == world.map.address


def test_a_local_hides_a_package_variable(world: World) -> None:
    add(world.fake, "global", INT, world.space.word(1))
    assert resolve(world.fake, "global").type is INT
    assert resolve(world.fake, "main.global").type.kind is Kind.MAP


def test_values_in_registers(world: World) -> None:
    """data instead of an address, and the parts that the compiler has not kept."""
    fake = world.fake
    outer = fake.types["main.Outer"]
    fake.variables["reg"] = Variable("reg", outer, data=world.value, holes=((16, 8),))
    assert resolve_map(fake, "reg.M")[2] == world.map.address
    assert resolve(fake, "reg.Inner.M").address is None
    gone = resolve(fake, "reg.N")
    with pytest.raises(OptimizedOut):
        gone.read(fake.memory, 0, 8)
    fake.variables["none"] = Variable("none", world.map.type)
    with pytest.raises(OptimizedOut, match="none"):
        resolve_map(fake, "none")


def test_unreadable_memory_keeps_its_address(world: World) -> None:
    world.fake.variables["far"] = Variable("far", world.map.type, address=0x1230)
    with pytest.raises(MemoryFault) as caught:
        resolve_map(world.fake, "far")
    assert caught.value.address == 0x1230


def test_notes_and_places_are_kept(world: World) -> None:
    old = world.fake.variables["p"]
    world.fake.variables["p"] = Variable("p", old.type, old.address, note="found in an older frame")
    assert resolve(world.fake, "p.M").note == "found in an older frame"
    assert resolve(world.fake, "p.M").name == "p.M"


def test_the_shallowest_field_wins() -> None:
    """Go's promotion of fields of embedded structs, through pointers and with recursive types."""
    holder: list[GoType] = []
    to_self = GoType(Kind.POINTER, "*main.Base", 8, lazy_elem=Lazy(lambda: holder[0]))
    base = struct("main.Base", 8, [("Base", to_self), ("ID", INT), ("Name", INT)], embedded=["Base"])
    holder.append(base)
    middle = struct("main.Middle", 8, [("Base", base), ("Name", INT)], embedded=["Base"])
    top = struct("main.Top", 8, [("Middle", pointer(middle)), ("Plain", base)], embedded=["Middle"])
    assert [f.name for f in find_field(top, "Name") or []] == ["Middle", "Name"]
    assert [f.name for f in find_field(top, "ID") or []] == ["Middle", "Base", "ID"]
    assert find_field(top, "Nowhere") is None


def test_unquote_undoes_strconv_quote() -> None:
    for row in load("strconv.json")["quote"]:
        assert unquote(row["text"]).encode("utf-8", "surrogateescape") == bytes.fromhex(row["hex"]), row
    assert unquote(r'"\101\x41A\U00000041"') == "AAAA"
    assert unquote("`a\\n`") == "a\\n"


GLOBAL_WORLD = World()


@given(st.one_of(st.text(), st.text(alphabet="mparsl.[]()*&'\"`\\0x12-:/%~ ·\n", max_size=30)))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        resolve_map(GLOBAL_WORLD.fake, text)
    except GomapError as error:
        assert str(error)


@given(
    st.lists(
        st.sampled_from([*"().*[]'\"", "m", "p", "local", "shards", "Inner", "M", '"eu"', "0", "any"]),
        max_size=9,
    )
)
def test_no_mixture_breaks_the_parser(parts: list[str]) -> None:
    test_no_text_breaks_the_parser.hypothesis.inner_test("".join(parts))  # type: ignore[attr-defined]


@given(st.text(max_size=12))
def test_no_string_literal_breaks_unquote(text: str) -> None:
    with contextlib.suppress(GomapError):
        unquote(f'"{text}"').encode("utf-8", "surrogateescape")


def test_deep_brackets_are_no_fault(world: World) -> None:
    with pytest.raises(GomapError):
        resolve(world.fake, "(" * 5000 + "nope" + ")" * 5000)


def test_packages_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type means the one that there is; of several it is told which, however many packages have the name."""
    fake, _ = target(AMD64)
    paths = [f"example.com/p{number:02}/v1" for number in range(40)]
    monkeypatch.setattr(typenames, "package_paths", lambda target: paths)
    for full in (f"{paths[38]}.Key", f"{paths[39]}.Elem", f"{paths[7]}.Twice", f"{paths[30]}.Twice"):
        fake.types[full] = GoType(Kind.STRUCT, full, 8)
    paths.append("gopkg.in/yaml%2ev3")
    escaped = "gopkg.in/yaml%2ev3.Node"
    fake.types[escaped] = GoType(Kind.STRUCT, escaped, 8)
    for written in ("yaml.Node", "yaml%2ev3.Node", "yaml.v3.Node", "gopkg.in/yaml.v3.Node"):
        node = typenames.find(fake, written)
        assert node is not None and node.name == escaped
    made = f"map[{paths[38]}.Key]{paths[39]}.Elem"
    fake.types[made] = GoType(Kind.STRUCT, made, 8)
    found = typenames.find(fake, "map[v1.Key]v1.Elem")
    assert found is not None and found.name == made
    both = f"v1.Twice can be {paths[7]}.Twice or {paths[30]}.Twice: write the package path"
    with pytest.raises(BadExpression, match=re.escape(both)):
        typenames.find(fake, "v1.Twice")
    with pytest.raises(BadExpression, match="one of more than 64 types: write the packages' paths"):
        typenames.find(fake, "map[v1.No]v1.Neither")
    assert typenames.find(fake, "v1.No") is None
