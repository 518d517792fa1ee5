"""Types and memory that no recording has: each is refused, soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gomap.errors import BadImage
from gomap.gotypes import has_pointers
from gomap.recorded import parse
from tests.support.recordings import good

pytestmark = pytest.mark.usefixtures("soon")


def type_entry(kind: str, size: int, **more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"length": 0, "methods": False, "fields": [], "elem": None, "key": None, "header": None}
    return {"kind": kind, "name": "t", "size": size, **empty, **more}


def with_types(*entries: dict[str, Any]) -> dict[str, Any]:
    """A manifest whose one variable has the last of these types."""
    manifest, _ = good()
    place = ["global", None, None, None, None, None]
    number = len(entries) - 1
    variable = {"name": "m", "type": number, "address": 0, "data": None, "holes": [], "place": place, "note": None}
    return {**manifest, "types": list(entries), "variables": [variable], "named_types": {}, "regions": []}


def nested(levels: int, width: int, size: int = 0) -> Iterator[dict[str, Any]]:
    """Structs of `width` fields, each of the struct before: width ** levels parts."""
    yield type_entry("struct" if not size else "int", size)
    for level in range(1, levels):
        fields = [[f"f{i}", 0, level - 1, False] for i in range(width)]
        yield type_entry("struct", size, fields=fields)


BAD_TYPES: dict[str, Callable[[], dict[str, Any]]] = {
    "an array of itself": lambda: with_types(type_entry("array", 0, length=1 << 60, elem=0)),
    "an array of itself, of a size": lambda: with_types(type_entry("array", 8, length=1, elem=0)),
    "arrays of each other": lambda: with_types(
        type_entry("array", 0, length=2, elem=1), type_entry("array", 0, length=2, elem=0)
    ),
    "a struct in an array in itself": lambda: with_types(
        type_entry("array", 0, length=1, elem=1), type_entry("struct", 0, fields=[["a", 0, 0, False]])
    ),
    "a struct of itself": lambda: with_types(type_entry("struct", 0, fields=[["a", 0, 0, False]])),
    "a struct of a later type": lambda: with_types(
        type_entry("struct", 8, fields=[["a", 0, 1, False]]), type_entry("int", 8)
    ),
    "2^40 parts of size 0": lambda: with_types(*nested(40, 2)),
    "a thousand levels": lambda: with_types(*nested(1000, 1)),
    "twenty thousand levels": lambda: with_types(*nested(20_000, 1)),
    "2^20 parts in one place": lambda: with_types(*nested(20, 2, 8)),
    "a field outside": lambda: with_types(type_entry("int", 8), type_entry("struct", 8, fields=[["a", 1, 0, False]])),
    "an array too long": lambda: with_types(type_entry("int", 8), type_entry("array", 8, length=2, elem=0)),
    "an int of 3 bytes": lambda: with_types(type_entry("int", 3)),
    "a float of 2 bytes": lambda: with_types(type_entry("float", 2)),
    "a string of a word": lambda: with_types(type_entry("string", 8)),
    "a pointer of no bytes": lambda: with_types(type_entry("pointer", 0)),
    "a map of 2^60 bytes": lambda: with_types(type_entry("map", 1 << 60)),
    "a struct of 2^60 bytes": lambda: with_types(type_entry("struct", 1 << 60)),
    "an unknown kind": lambda: with_types(type_entry("thing", 8)),
    "fields in an int": lambda: with_types(type_entry("int", 8), type_entry("int", 8, fields=[["a", 0, 0, False]])),
    "elem out of the list": lambda: with_types(type_entry("pointer", 8, elem=7)),
    "elem before the list": lambda: with_types(type_entry("pointer", 8, elem=-1)),
    "elem true": lambda: with_types(type_entry("pointer", 8, elem=True)),
    "a negative size": lambda: with_types(type_entry("struct", -8)),
}


@pytest.mark.parametrize("name", BAD_TYPES)
def test_types_that_no_program_has(name: str) -> None:
    with pytest.raises(BadImage, match="is invalid"):
        parse(BAD_TYPES[name](), b"")


def test_types_that_a_program_may_have() -> None:
    target = parse(with_types(*nested(12, 2)), b"")
    assert not has_pointers(target.variables["m"].type)
    # What lies behind pointers may lead back.
    target = parse(with_types(type_entry("pointer", 8, elem=0)), b"")
    assert target.variables["m"].type.elem is target.variables["m"].type


@pytest.mark.parametrize(
    ("regions", "size"),
    [
        ([[0x1000, 16, 0], [0x1008, 16, 16]], 32),  # over each other
        ([[0x2000, 16, 0], [0x1000, 16, 16]], 32),  # not ascending
        ([[0x1000, 16, 0], [0x2000, 16, 0]], 16),  # the same bytes twice
        ([[0x1000, 1 << 29, 0]] * 100, 1 << 10),
        ([[0x1000, 16, 0]], 8),
        ([[0x1000, 16, 0]], 17),
        ([[0x1000, 16, 1]], 17),
        ([[-1, 16, 0]], 16),
        ([[(1 << 64) - 8, 16, 0]], 16),
        ([[0x1000, -16, 0]], 16),
        ([[0x1000, 16]], 16),
        ([[0x1000, 16, "0"]], 16),
        ([[0x1000, 16.0, 0]], 16),
        ({"0x1000": 16}, 16),
    ],
    ids=str,
)
def test_regions_that_no_recording_has(regions: Any, size: int) -> None:
    manifest, _ = good()
    with pytest.raises(BadImage, match="is invalid"):
        parse({**manifest, "regions": regions}, bytes(size))
