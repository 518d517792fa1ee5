"""Location lists of variables in pieces, as the compiler writes them, right and wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gomap.golang.runtime.pieces import are_all
from gomap.gotypes import Field, GoType, Kind, fixed


def struct(*fields: tuple[int, GoType]) -> GoType:
    size = -(-max(offset + t.size for offset, t in fields) // 8) * 8
    return GoType(Kind.STRUCT, "main.T", size, fields=tuple(Field(f"f{i}", *f) for i, f in enumerate(fields)))


MAP = GoType(Kind.MAP, "map[string]int", 8)
OK = GoType(Kind.BOOL, "bool", 1)
ANY = GoType(Kind.INTERFACE, "any", 16)
LIST = GoType(Kind.SLICE, "[]map[string]int", 24, lazy_elem=fixed(MAP))
TWO = struct((0, MAP), (8, MAP))
PADDED = struct((0, OK), (8, MAP))
MANY = GoType(Kind.ARRAY, "[1000]map[string]int", 8000, 1000, lazy_elem=fixed(MAP))


@pytest.mark.parametrize(
    "t, pieces, whole",
    [
        (MAP, [], True),
        (struct((0, MAP)), [], True),
        (TWO, [8, 8], True),
        (TWO, [], False),  # one of the two, told as both
        (TWO, [8], False),
        (struct((0, MAP), (8, MAP), (16, MAP)), [8, 8], False),
        (struct((0, MAP), (8, OK)), [8, 1], True),
        (PADDED, [1, 7, 8], True),  # as an argument's list has it where the function begins
        (PADDED, [1, 8], False),  # as all others have it
        (struct((0, ANY), (16, MAP)), [8, 8, 8], True),
        (ANY, [8], False),
        (LIST, [8, 8, 8], True),
        (LIST, [8, 8], True),
        (LIST, [8], False),
        (LIST, [], False),
        (struct((0, LIST), (24, MAP)), [8, 8, 8], False),
        (GoType(Kind.ARRAY, "[1]map[string]int", 8, 1, lazy_elem=fixed(MAP)), [], True),
        (MANY, [], True),  # what can't be taken apart has one place
        (struct(*((8 * i, MAP) for i in range(5))), [], True),
        (struct(*((4 * i, GoType(Kind.INT, "int32", 4)) for i in range(5))), [], True),
    ],
)
def test_pieces(t: GoType, pieces: Sequence[int], whole: bool) -> None:
    assert are_all(t, pieces, 8) is whole


def test_words_of_32_bits() -> None:
    number = GoType(Kind.INT, "int64", 8)
    assert are_all(number, [4, 4], 4)
    assert not are_all(number, [], 4)
    assert are_all(GoType(Kind.FLOAT, "float64", 8), [], 4)
