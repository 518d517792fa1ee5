"""Go literals of keys."""

from __future__ import annotations

import struct as packing

import pytest

from gomap.errors import BadExpression
from gomap.golang.hashing.hasher import hasher_of
from gomap.gotypes import Field, GoType, Kind, fixed
from gomap.keys import Keys
from gomap.memory import RegionMemory
from gomap.target import Arch
from gomap.typenames import _as_linked
from tests.support.nothing import Nothing

INT8, INT32, INT64, UINT8, UINT16 = (
    GoType(Kind.INT, "int8", 1),
    GoType(Kind.INT, "int32", 4),
    GoType(Kind.INT, "int64", 8),
    GoType(Kind.UINT, "uint8", 1),
    GoType(Kind.UINT, "uint16", 2),
)
FLOAT32, FLOAT64 = GoType(Kind.FLOAT, "float32", 4), GoType(Kind.FLOAT, "float64", 8)
STRING, BOOL = GoType(Kind.STRING, "string", 16), GoType(Kind.BOOL, "bool", 1)
COMPLEX, ANY = GoType(Kind.COMPLEX, "complex128", 16), GoType(Kind.INTERFACE, "interface {}", 16)
POINTER = GoType(Kind.POINTER, "*main.T", 8, lazy_elem=fixed(INT64))
PAIR = GoType(Kind.STRUCT, "example.com/x/geo.Pair", 16, fields=(Field("X", 0, INT64), Field("Y", 8, INT8)))
THREE = GoType(Kind.ARRAY, "[3]int8", 3, 3, lazy_elem=fixed(INT8))


def array(name: str, elem: GoType) -> GoType:
    return GoType(Kind.ARRAY, name, 2 * elem.size, 2, lazy_elem=fixed(elem))


def keys() -> Keys:
    target = Nothing(Arch("amd64", 8, "little"), RegionMemory([]))
    return Keys(target, hasher_of(target))


@pytest.mark.parametrize(
    ("t", "text", "data"),
    [
        (INT64, "-5", (-5).to_bytes(8, "little", signed=True)),
        (INT64, "0x1_F", (31).to_bytes(8, "little")),
        (INT64, "017", (15).to_bytes(8, "little")),
        (INT64, "1e3", (1000).to_bytes(8, "little")),
        (INT64, "'ä'", (0xE4).to_bytes(8, "little")),
        (INT64, "int64(7)", (7).to_bytes(8, "little")),
        (FLOAT64, "-1.5e2", packing.pack("<d", -150)),
        (FLOAT64, "-Inf", packing.pack("<d", float("-inf"))),
        (FLOAT32, "0.1", packing.pack("<f", 0.1)),
        (COMPLEX, "(1-2i)", packing.pack("<dd", 1, -2)),
        (COMPLEX, "2i", packing.pack("<dd", 0, 2)),
        (BOOL, "true", b"\1"),
        (POINTER, "0xc000012345", (0xC000012345).to_bytes(8, "little")),
        (POINTER, "(*main.T)(0x10)", (16).to_bytes(8, "little")),
        (POINTER, "nil", bytes(8)),
        (PAIR, "geo.Pair{X: 1, Y: -1}", (1).to_bytes(8, "little") + b"\xff" + bytes(7)),
        (PAIR, "{2, 3}", (2).to_bytes(8, "little") + b"\3" + bytes(7)),
        (PAIR, "{Y: 3}", bytes(8) + b"\3" + bytes(7)),
        (THREE, "[3]int8{1, 2, 3}", b"\1\2\3"),
        (THREE, "[...]int8{2: 9}", b"\0\0\x09"),
        (THREE, "[3]int8 {1}", b"\1\0\0"),
        (UINT8, "byte(7)", b"\7"),
        (array("[2]uint8", UINT8), "[2]byte{1, 2}", b"\1\2"),
        (array("[2]int32", INT32), "[2]rune{'a'}", (97).to_bytes(8, "little")),
        (array("[2]interface {}", ANY), "[2]any{nil}", bytes(32)),
        (array("[2]interface {}", ANY), "[2]interface{}{nil}", bytes(32)),
        (
            array("[2]example.com/x/geo.Pair", PAIR),
            "[2]geo.Pair{{2, 3}}",
            (2).to_bytes(8, "little") + b"\3" + bytes(23),
        ),
        (array("[2]example.com/x/geo.Pair", PAIR), "[2]Pair{}", bytes(32)),
        (GoType(Kind.STRUCT, "struct {}", 0), "struct{}{}", b""),
        (GoType(Kind.STRUCT, "struct { X int8 }", 1, fields=(Field("X", 0, INT8),)), "struct{ X int8 }{4}", b"\4"),
        (GoType(Kind.STRUCT, "struct { X int8 }", 1, fields=(Field("X", 0, INT8),)), "struct{X int8}{4}", b"\4"),
        (GoType(Kind.STRUCT, "x/geo.Two[int,x/geo.T]", 0), "geo.Two[int, geo.T]{}", b""),
        (ANY, "nil", bytes(16)),
    ],
)
def test_literals(t: GoType, text: str, data: bytes) -> None:
    assert keys().parse(t, text) == data


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (INT8, "128"), (INT8, "1.5"), (UINT16, "-1"), (INT64, "12x"), (INT64, ""), (BOOL, "1"), (STRING, "abc"),
        (PAIR, "other.Pair{1, 2}"), (PAIR, "{1, 2, 3}"), (PAIR, "{Z: 1}"), (PAIR, "{1"), (THREE, "{1, 2, 3, 4}"),
        (array("[2]uint8", UINT8), "[2]int8{1}"), (array("[2]uint8", UINT8), "[3]byte{1}"), (PAIR, "geo.Pairs{}"),
        (ANY, "main.Unknown(3)"), (ANY, "[]int{1}"), (POINTER, "12"), (FLOAT32, "1e99"),
    ],
)  # fmt: skip
def test_what_is_no_literal(t: GoType, text: str) -> None:
    with pytest.raises(BadExpression):
        keys().parse(t, text)


def test_strings_and_interfaces() -> None:
    made = keys()
    data = made.parse(STRING, r'"a\n\xff\u00e4"')
    assert made.hasher.string(data, 0) == b"a\n\xff\xc3\xa4"
    for text, name in [("5", "int"), ("5.0", "float64"), ('"x"', "string"), ("int8(3)", "int8"), ("true", "bool"),
                       ("'a'", "int32"), ("1i", "complex128"), ("0x10", "int")]:  # fmt: skip
        data = made.parse(ANY, text)
        first = int.from_bytes(data[:8], "little")
        assert made.hasher.held[first, False][0].name == name, text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("struct{}", "struct {}"),
        ("struct { }", "struct {}"),
        ("[2]interface{}", "[2]interface {}"),
        ("struct{X int;Y struct{}}", "struct { X int; Y struct {} }"),
        ("struct { X int; Y int8 }", "struct { X int; Y int8 }"),
        ("main.Pair[string, int]", "main.Pair[string,int]"),
        ("chan  int", "chan int"),
    ],
)
def test_names_of_types_have_their_spaces_where_the_linker_has_them(text: str, name: str) -> None:
    assert _as_linked(text) == name


def test_what_an_interface_holds_is_found_under_any_spelling() -> None:
    """Debuggers give a type the name that they were asked for."""

    class Asked(Nothing):
        def find_type(self, name: str) -> GoType | None:
            return GoType(Kind.STRUCT, name, 0) if name.startswith("struct") else None

    target = Asked(Arch("amd64", 8, "little"), RegionMemory([]))
    made = Keys(target, hasher_of(target))
    data = made.parse(ANY, "struct{}{}")
    assert made.hasher.held[int.from_bytes(data[:8], "little"), False][0].name == "struct {}"
