"""Types as the program's own descriptors give them, against the types that the descriptors were made from."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap import maps
from gomap.errors import BadExpression, GomapError, NoDebugInfo
from gomap.golang.runtime.rtype import DescribedTypes, dynamic
from gomap.gotypes import GoType, Kind, Lazy, fixed
from gomap.recorded import ImageTarget
from gomap.target import Arch
from tests.support.describe import Descriptors, interface
from tests.support.space import AMD64, ARCHES, array_of, basic, pointer, slice_of, struct, target
from tests.support.synthetic import ClassicPlan, SwissPlan, map_of
from tests.support.synthetic_classic import build_classic
from tests.support.synthetic_swiss import build_swiss

by_arch = pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
by_go = pytest.mark.parametrize("new", [True, False], ids=["go1.26", "go1.25"])


def chan(elem: GoType, word: int) -> GoType:
    return GoType(Kind.CHAN, f"chan {elem.name}", word, lazy_elem=fixed(elem))


def functions(word: int) -> dict[str, tuple[list[GoType], list[GoType], bool]]:
    number, text = basic("int", word), basic("string", word)
    inner = struct("example.com/shop/cart.Item", word, [("N", number)])
    several = slice_of(pointer(inner, word), word)
    return {
        "func(int) string": ([number], [text], False),
        "func(*example.com/shop/cart.Item)": ([pointer(inner, word)], [], False),
        "func(int, ...*example.com/shop/cart.Item) (string, example.com/shop/cart.Item)": (
            [number, several],
            [text, inner],
            True,
        ),
    }


def samples(word: int) -> list[GoType]:
    names = [
        "int",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "uintptr",
    ]
    names += ["bool", "float32", "float64", "complex64", "complex128", "string"]
    basics = [basic(name, word) for name in names]
    inner = struct("example.com/shop/cart.Item", word, [("N", basic("int", word)), ("S", basic("string", word))])
    named = GoType(Kind.UINT, "main.Color", 1)
    embedding = struct("main.Outer", word, [("Item", inner), ("P", pointer(inner, word))], embedded=["Item"])
    generic = struct("example.com/x.Box[example.com/shop/cart.Item]", word, [("V", inner)])
    unnamed = struct("struct { A uint8; B string }", word, [("A", basic("uint8")), ("B", basic("string", word))])
    return [
        *basics,
        named,
        inner,
        embedding,
        generic,
        unnamed,
        struct("struct {}", word, []),
        pointer(inner, word),
        pointer(pointer(inner, word), word),
        slice_of(inner, word),
        array_of(3, array_of(2, inner)),
        chan(inner, word),
        interface(word),
        interface(word, methods=True, name="main.Shape"),
        GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", word),
        GoType(Kind.FUNC, "func()", word),
        *(GoType(Kind.FUNC, name, word) for name in functions(word)),
        slice_of(pointer(array_of(0, unnamed), word), word),
    ]


def same(a: GoType, b: GoType, depth: int = 6) -> None:
    assert (a.kind, a.name, a.size, a.length, a.methods) == (b.kind, b.name, b.size, b.length, b.methods)
    assert [(f.name, f.offset, f.embedded) for f in a.fields] == [(f.name, f.offset, f.embedded) for f in b.fields]
    if not depth:
        return
    for one, other in zip(a.fields, b.fields):
        same(one.type, other.type, depth - 1)
    if b.lazy_elem is not None:
        same(a.elem, b.elem, depth - 1)
    if b.lazy_key is not None:
        same(a.key, b.key, depth - 1)


@by_arch
@by_go
def test_types_of_every_kind(arch: Arch, new: bool) -> None:
    fake, _ = target(arch)
    described = Descriptors(fake, direct_in_tflag=new, functions=functions(arch.pointer_size))
    types = DescribedTypes(fake)
    for t in samples(arch.pointer_size):
        same(types.at(described.of(t)), t)


@by_arch
def test_a_type_is_made_once_and_may_contain_itself(arch: Arch) -> None:
    fake, _ = target(arch)
    word = arch.pointer_size
    described = Descriptors(fake)
    holder: list[GoType] = []
    to_node = GoType(Kind.POINTER, "*main.Node", word, lazy_elem=Lazy(lambda: holder[0]))
    node = struct("main.Node", word, [("Next", to_node), ("V", basic("int", word))])
    holder.append(node)
    types = DescribedTypes(fake)
    found = types.at(described.of(node))
    same(found, node)
    assert found.fields[0].type.elem is found


@by_arch
@by_go
@pytest.mark.parametrize("layout", ["classic", "interleaved", "split"])
def test_maps_in_interfaces(arch: Arch, new: bool, layout: str) -> None:
    """The header that descriptors lead to is walked as that of debug information."""
    fake, _ = target(arch)
    word = arch.pointer_size
    described = Descriptors(fake, "classic" if layout == "classic" else "swiss", layout == "split", new)
    large = array_of(200, basic("uint8"))
    for key, elem in [
        (basic("int", word), basic("string", word)),
        (basic("string", word), large),
        (large, basic("bool")),
    ]:
        if layout == "classic":
            built = build_classic(
                fake, ClassicPlan(1, [[[9, 1, 9, 0, 0, 0, 0, 0]], [[7] * 8, [5] + [0] * 7]]), key, elem
            )
        else:
            built = build_swiss(fake, SwissPlan([1, 0x80, 3, 4, 0x80, 0, 7, 8], split=layout == "split"), key, elem)
        data = described.eface(built.type, fake.memory.word(built.address))
        held = dynamic(DescribedTypes(fake), interface(word), data)
        assert held is not None
        t, address, direct = held
        assert direct
        assert address == built.address
        same(t, built.type, 1)
        found = maps.view(fake, t, address)
        wanted = [(e.bucket, e.slot, e.key, e.elem) for e in built.entries]
        assert [(e.bucket, e.slot, e.key, e.elem) for e in found.entries()] == wanted


@by_arch
@by_go
def test_what_interfaces_hold(arch: Arch, new: bool) -> None:
    fake, space = target(arch)
    word = arch.pointer_size
    described = Descriptors(fake, direct_in_tflag=new)
    types = DescribedTypes(fake)
    pair = struct("main.Pair", word, [("A", basic("int", word)), ("B", basic("int", word))])
    single = struct("main.Single", word, [("P", pointer(pair, word))])
    value = space.word(1) + space.word(2)
    for methods, make in ((False, described.eface), (True, described.iface)):
        t = interface(word, methods)
        assert dynamic(types, t, bytes(2 * word)) is None
        held = dynamic(types, t, make(pair, value))
        assert held is not None
        assert (held[0].name, held[2]) == ("main.Pair", False)
        assert space.read(held[1], 2 * word) == value
        for pointer_shaped in (pointer(pair, word), single):
            held = dynamic(types, t, make(pointer_shaped, space.word(0x1234)))
            assert held is not None
            assert (held[0].name, held[1], held[2]) == (pointer_shaped.name, 0x1234, True)


def test_types_that_reflect_made_have_their_structure() -> None:
    """Descriptors outside of every module (reflect.StructOf and others) have no name offset to follow."""
    fake, space = target(AMD64)
    described = Descriptors(fake)
    record = space.record(fake.types["runtime.moduledata"], types=0x10, etypes=0x20)
    space.write(fake.symbols["runtime.firstmoduledata"], record)
    t = DescribedTypes(fake).at(described.of(slice_of(pointer(basic("int")))))
    assert (t.kind, t.name, t.elem.elem.kind) == (Kind.SLICE, "[]*int", Kind.INT)


def test_what_is_missing_is_named() -> None:
    fake, _ = target(AMD64)
    described = Descriptors(fake)
    address = described.of(struct("main.T", 8, [("A", basic("int"))]))
    del fake.symbols["runtime.firstmoduledata"]
    with pytest.raises(NoDebugInfo, match="firstmoduledata"):
        DescribedTypes(fake).at(address)
    fake, _ = target(AMD64)
    described = Descriptors(fake)
    address = described.of(map_of(basic("int"), basic("int"), basic("int"), 8))
    del fake.types["internal/abi.MapType"]
    with pytest.raises(NoDebugInfo, match="MapType"):
        DescribedTypes(fake).at(address)


def test_no_descriptor_at_all() -> None:
    fake, space = target(AMD64)
    with pytest.raises(BadExpression):
        DescribedTypes(fake).at(space.put(bytes(64)))


def test_names_that_could_move_the_terminal_are_refused() -> None:
    fake, _ = target(AMD64)
    address = Descriptors(fake).of(struct("main.\x1b[2J", 8, []))
    with pytest.raises(BadExpression, match="corrupt"):
        DescribedTypes(fake).at(address)


@pytest.mark.parametrize("name", ["bool", "int32", "uint8", "float64", "complex128"])
def test_sizes_that_no_such_type_has_are_refused(name: str) -> None:
    fake, space = target(AMD64)
    address = Descriptors(fake).of(basic(name))
    space.write(address, space.word(0))
    with pytest.raises(BadExpression, match="corrupt"):
        DescribedTypes(fake).at(address)


@given(st.data())
def test_scribbled_descriptors_give_one_clear_error(data: st.DataObject) -> None:
    fake, space = target(AMD64)
    described = Descriptors(fake)
    kinds = samples(8)
    addresses = [described.of(t) for t in kinds]
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(0, len(space.data) - 9))
        space.write(space.base + at, data.draw(st.binary(min_size=1, max_size=8)))
    for address in addresses:
        types = DescribedTypes(fake)
        with contextlib.suppress(GomapError):
            _look_through(types.at(address), fake)


def _look_through(t: GoType, fake: ImageTarget, depth: int = 3) -> None:
    assert isinstance(t.name, str)
    inner: list[Any] = [f.type for f in t.fields]
    if t.lazy_elem is not None and depth:
        inner.append(t.elem)
    for one in inner[:20]:
        if depth:
            _look_through(one, fake, depth - 1)
