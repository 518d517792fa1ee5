"""Type arguments of generic functions, and types that only share a name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gomap.golang.hashing.hasher import hasher_of
from gomap.golang.hashing.plans import Interface
from gomap.golang.runtime.dictionaries import (
    ANY_POINTER,
    Arguments,
    Dictionary,
    candidates,
    has_shape,
    index_of,
    within,
)
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import Alike, Field, GoType, Kind, fixed, same
from gomap.keys import Keys
from gomap.target import Arch, Variable
from tests.support.describe import Descriptors, interface
from tests.support.space import array_of, basic, pointer, slice_of, struct, target

ARCH = Arch("amd64", 8, "little")
INT, STRING = basic("int"), basic("string")
NODE = struct("main.node", 8, [("next", INT), ("M", STRING)])
BIG = struct("main.big", 8, [("A", array_of(5, STRING)), ("N", INT)])
POINTER = GoType(Kind.UNSAFE_POINTER, ANY_POINTER, 8)


def shape(t: GoType, elem: GoType | None = None) -> GoType:
    return replace(t, name=f"go.shape.{t.name}", lazy_elem=t.lazy_elem if elem is None else fixed(elem))


def test_numbers_of_dictionaries_words() -> None:
    assert [index_of(name) for name in (".param12", ".param", "param1", "main.param1", None)] == [12, *[None] * 4]


@pytest.mark.parametrize(
    ("t", "of", "fits"),
    [
        (INT, shape(INT), True),
        (replace(INT, name="main.named"), shape(INT), True),
        (basic("uint8"), shape(INT), False),
        (BIG, replace(BIG, name="go.shape.struct { A [5]string; N int }"), True),
        # Debug information has the package in front of a field's name.
        (NODE, GoType(Kind.STRUCT, "go.shape.struct { ... }", 24, 0,
                      (Field("main.next", 0, INT), Field("M", 8, STRING))), True),
        (BIG, replace(NODE, name="go.shape.struct { main.next int; M string }"), False),
        (pointer(NODE), POINTER, True),
        (pointer(pointer(INT)), POINTER, True),
        (INT, POINTER, False),
        (slice_of(pointer(NODE)), shape(slice_of(INT), POINTER), True),
        (slice_of(INT), shape(slice_of(INT), POINTER), False),
        (slice_of(STRING), shape(slice_of(INT), shape(INT)), False),
    ],
)  # fmt: skip
def test_what_a_shape_stands_for(t: GoType, of: GoType, fits: bool) -> None:
    assert has_shape(t, of) == fits


def test_dictionaries_of_a_function() -> None:
    box, count = [Dictionary(16, 1)], [Dictionary(32, 1), Dictionary(48, 1)]
    known = {"main..dict.Box": box, "main..dict.Count": count, "example.com/a.b/c%2ed..dict.Count": box}
    for function, expected in {
        "main.Count[go.shape.int]": count,
        "main.Count[go.shape.struct { A [5]string; main.b func() }].func1.2": count,
        "main.(*Box[go.shape.*uint8]).Len": box,
        "main.Box[go.shape.int].Len-fm": box,
        "example.com/a.b/c%2ed.Count[go.shape.int]": box,
        "main.Counter[go.shape.int]": (),
        "main.Count": (),
        "main.Count[int]": (),
    }.items():
        assert candidates(known, function) == expected, function


def test_a_type_is_told_where_one_alone_is_possible() -> None:
    fake, space = target(ARCH)
    described = Descriptors(fake)
    to_node, to_int = pointer(NODE), pointer(INT)

    def dictionary(*words: int) -> Dictionary:
        return Dictionary(space.put(b"".join(space.word(word) for word in words)), len(words))

    nodes = dictionary(described.of(to_node), 0, described.of(NODE))
    ints = dictionary(described.of(to_int), nodes.address)
    both = dictionary(described.of(to_int), described.of(to_node))
    arguments = Arguments(DescribedTypes(fake))

    def told(dictionaries: list[Dictionary], index: int | None = None) -> str | None:
        found = arguments.actual(dictionaries, index, POINTER)
        return None if found is None else found.name

    assert told([nodes]) == told([nodes], 0) == told([nodes, nodes]) == "*main.node"
    assert told([nodes, ints]) is told([both]) is told([]) is told([nodes], 1) is told([nodes], 9) is None
    assert told([both], 1) == "*main.node"
    assert told([Dictionary(8, 1 << 40)]) is None  # nothing is there, and as many words as no memory has
    assert within(fake, [ints], {nodes.address, both.address}) == nodes.address
    assert within(fake, [ints, both], {nodes.address}) is within(fake, [nodes], {both.address}) is None


def test_types_of_one_name() -> None:
    one, other = struct("main.T", 8, [("A", INT)]), struct("main.T", 8, [("S", STRING)])
    linked = replace(one, name="main.T·2")
    assert same(one, linked) and same(one, replace(one)) and not same(one, other) and not same(one, NODE)
    alike = Alike()
    first, second = alike.number(one), alike.number(other)
    assert first != second
    assert (alike.number(linked), alike.number(replace(other)), alike.number(one)) == (first, second, first)


def test_keys_of_one_type_have_one_descriptor() -> None:
    """As the runtime compares them (efaceeq of runtime/alg.go): types that are alike in everything may be two."""
    fake, space = target(ARCH)
    described, anything = Descriptors(fake), interface(8)
    types = [struct("main.P", 8, [("X", INT)]) for _ in range(2)]
    fake.types["main.P"] = struct("main.P", 8, [("X", INT)])
    kept = [described.eface(t, space.word(1)) for t in types]
    made = Keys(fake, hasher_of(fake))
    assert kept[0][:8] != kept[1][:8]
    plan = (Interface(0, False),)
    given = [made.assigned(anything, Variable("k", anything, data=data)) for data in kept]
    equal = [[made.hasher.equal(plan, one, other) for other in kept] for one in given]
    assert equal == [[True, False], [False, True]]
    # A key that was typed may be either.
    typed = made.parse(anything, "main.P{X: 1}")
    assert [made.hasher.equal(plan, typed, one) for one in kept] == [True, True]
    assert not made.hasher.equal(plan, made.parse(anything, "main.P{X: 2}"), kept[0])
