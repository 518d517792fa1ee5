"""Where captured variables lie: closures laid out here, one variable behind the other, are taken apart again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from gomap.golang.runtime.closures import BY_VALUE, RECEIVER, CapturedPart, captured
from gomap.gotypes import GoType
from gomap.target import Arch, Captured
from tests.support.space import align, array_of, basic, struct

ARCH = Arch("amd64", 8, "little")
INT, BYTE = basic("int", 8), basic("uint8", 1)
LARGE = struct("main.Large", 8, [("a", array_of(5, INT))])
OTHER = struct("main.Other", 8, [("a", array_of(3, INT)), ("b", BYTE), ("c", array_of(16, BYTE))])
HUGE = array_of(20, INT)
TYPES = (INT, BYTE, LARGE, OTHER, HUGE, array_of(13, BYTE), array_of(40, BYTE))


@dataclass
class Given:
    """A variable to capture. kind: value, pointer, or large for one by value that has the name of a pointer."""

    type: GoType
    kind: str
    first: int


def lay_out(variables: list[Given]) -> tuple[list[CapturedPart], bytes, list[tuple[int, bool]]]:
    """The parts, the closure, and where each part really lies."""
    closure, parts, truth = bytearray(b"\x11" * 8), [], []
    for i, one in enumerate(variables):
        to = 8 if one.kind == "pointer" else align(one.type, 8)
        closure += b"\0" * (-len(closure) % to)
        at = len(closure)
        word = one.first.to_bytes(8, "little")
        closure += word if one.kind == "pointer" else (word + b"\x22" * one.type.size)[: one.type.size]
        truth.append((at, one.kind == "pointer"))
        parts.append(CapturedPart(f"v{i}", one.type, at if one.kind == "value" else None, one.first))
    return parts, bytes(closure), truth


def variables() -> st.SearchStrategy[Given]:
    def consistent(one: Given) -> bool:
        return one.kind != "large" or 8 < one.type.size <= BY_VALUE

    first = st.sampled_from([0, 5, 0xC000010000, 0xC000010008, 0x2222222222222222])
    kinds = st.sampled_from(["value", "pointer", "large"])
    return st.builds(Given, st.sampled_from(TYPES), kinds, first).filter(consistent)


@example([Given(LARGE, "pointer", 5), Given(OTHER, "value", 5), Given(OTHER, "pointer", 5)], random.Random(1), 0)
@given(st.lists(variables(), max_size=6), st.randoms(use_true_random=False), st.integers(0, 64))
def test_what_is_told_is_so(some: list[Given], order: random.Random, behind: int) -> None:
    parts, closure, truth = lay_out(some)
    places = dict(zip((part.name for part in parts), truth))
    order.shuffle(parts)
    told = captured(parts, closure + b"\0" * behind, ARCH)
    for one in told:
        names = one.name.split(" or ")
        assert (one.offset, one.by_reference) in [
            (places[name][0], pointer) for name in names for pointer in (places[name][1], None)
        ]
    assert {part.name for part in parts if part.offset is not None} <= {one.name for one in told}


def tell(some: list[Given]) -> list[tuple[str, int | None, bool | None]]:
    parts, closure, _ = lay_out(some)
    return [(one.name, one.offset, one.by_reference) for one in captured(parts, closure, ARCH)]


def test_what_lies_behind_tells_how_large_it_is() -> None:
    box, text = 0xC000010000, Given(INT, "value", 7)
    assert tell([Given(LARGE, "large", 0), text]) == [("v0", 8, False), ("v1", 48, False)]
    assert tell([Given(LARGE, "pointer", box), text]) == [("v0", 8, True), ("v1", 16, False)]
    assert tell([text, Given(HUGE, "pointer", box)])[1] == ("v1", 16, True)  # too large for anything else
    assert tell([text, Given(LARGE, "pointer", box)])[1] == tell([text, Given(LARGE, "large", box)])[1]
    assert tell([text, Given(LARGE, "large", box)])[1] == ("v1", 16, None)  # nothing lies behind


def test_two_that_could_be_exchanged() -> None:
    some = [Given(LARGE, "large", 0), Given(LARGE, "large", 0), Given(INT, "value", 1)]
    assert tell(some)[:2] == [("v0 or v1", 8, False), ("v0 or v1", 48, False)]


def test_a_method_value_has_its_receiver_inside() -> None:
    closure = b"\x11" * 8 + b"\0" * HUGE.size
    assert captured([CapturedPart(RECEIVER, HUGE, None, 0)], closure, ARCH) == [Captured(RECEIVER, HUGE, 8, False)]


def test_too_many_possibilities_are_none() -> None:
    """Pieces of many sizes, all zero, between which no known place lies: what was found until then proves nothing."""
    parts = [CapturedPart(f"v{i}", array_of(2 + i, INT), None, 0) for i in range(12)]
    assert captured(parts, b"\0" * 2048, ARCH) == []
    known = CapturedPart("known", INT, 8, 0)
    assert captured([*parts, known], b"\0" * 2048, ARCH) == [Captured("known", INT, 8, False)]


def test_very_many_parts() -> None:
    """More than a closure has that anybody wrote, as corrupt debug information may say."""
    parts = [CapturedPart(f"v{i}", INT, 8 + 8 * i) for i in range(5000)]
    assert len(captured(parts, b"\0" * 520, ARCH)) == 5000
    pointers = [CapturedPart(f"v{i}", INT, None, i) for i in range(5000)]
    assert len(captured(pointers, b"\1\0\0\0\0\0\0\0" * 65, ARCH)) == 1


def test_a_part_that_is_missing() -> None:
    """The optimiser may leave nothing of a variable but its place in the closure."""
    box = 0xC000010000
    parts, closure, _ = lay_out([Given(INT, "value", 7), Given(HUGE, "pointer", box), Given(LARGE, "large", 0)])
    assert captured(parts[1:], closure, ARCH) == [Captured("v1", HUGE, 16, True)]
