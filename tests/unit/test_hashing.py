"""Hashes of one key against hashes of many, and what the compiler makes of key types.

Hashes against those of the runtime: tests/live/test_hashes.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap.arrays import numpy
from gomap.golang.hashing.memhash import MIX, SBOX, MemHash, aes
from gomap.golang.hashing.plans import Float, Interface, PlainBytes, String, plans, regular, typehash_plan
from gomap.gotypes import Field, GoType, Kind, fixed

INT32, INT64, UINT8 = (
    GoType(Kind.INT, "int32", 4),
    GoType(Kind.INT, "int64", 8),
    GoType(Kind.UINT, "uint8", 1),
)
FLOAT64, STRING, ANY = (
    GoType(Kind.FLOAT, "float64", 8),
    GoType(Kind.STRING, "string", 16),
    GoType(Kind.INTERFACE, "interface {}", 16),
)
WORDS = st.integers(0, 2**32 - 1)
BLOCK = st.tuples(WORDS, WORDS, WORDS, WORDS)


def struct(size: int, *fields: tuple[str, int, GoType]) -> GoType:
    return GoType(Kind.STRUCT, "main.T", size, fields=tuple(Field(*f) for f in fields))


def array(elem: GoType, length: int) -> GoType:
    return GoType(Kind.ARRAY, f"[{length}]", elem.size * length, length, lazy_elem=fixed(elem))


def test_aes_round_is_that_of_the_standard() -> None:
    # FIPS 197, appendix B, round 1: state after AddRoundKey, and after MixColumns.
    start = bytes.fromhex("193de3bea0f4e22b9ac68d2ae9f84808")
    after = bytes.fromhex("046681e5e0cb199a48f8d37a2806264c")
    words = [int.from_bytes(start[i : i + 4], "little") for i in range(0, 16, 4)]
    found = aes((words[0], words[1], words[2], words[3]))
    assert b"".join(w.to_bytes(4, "little") for w in found) == after
    assert sorted(SBOX) == list(range(256)) and len(MIX) == 4


@pytest.mark.parametrize("arch", ["amd64", "arm64", "arm64-narrow", "386", "wide", "wide-constants", "narrow"])
@given(data=st.data())
def test_one_key_and_many_agree(arch: str, data: Any) -> None:
    np = numpy()
    assert np is not None
    word = 4 if arch in ("386", "narrow") else 8
    mem = MemHash(
        arch.split("-")[0] if arch[0] == "a" or arch == "386" else None,
        tuple(data.draw(st.lists(BLOCK, min_size=8, max_size=8))),
        tuple(data.draw(st.lists(st.integers(0, 256**word - 1), min_size=4, max_size=4))),
        word,
        constants="constants" in arch,
        narrow="narrow" in arch,
    )
    size = data.draw(st.integers(0, 400))
    keys = [data.draw(st.binary(min_size=size, max_size=size)) for _ in range(3)]
    seeds = data.draw(st.lists(st.integers(0, 256**word - 1), min_size=3, max_size=3))
    matrix, column = np.frombuffer(b"".join(keys), np.uint8).reshape(3, size), np.array(seeds, np.uint64)
    assert mem.memhash(matrix, size, column).tolist() == [mem.memhash(k, size, s) for k, s in zip(keys, seeds)]
    one = np.broadcast_to(np.asarray(mem.memhash(matrix, size, seeds[0]), np.uint64), 3)
    assert one.tolist() == [mem.memhash(k, size, seeds[0]) for k in keys]
    if size in (4, 8):
        fixed_size = mem.memhash32 if size == 4 else mem.memhash64
        assert fixed_size(matrix, column).tolist() == [fixed_size(k, s) for k, s in zip(keys, seeds)]


def test_plain_memory() -> None:
    padded = struct(16, ("A", 0, INT32), ("B", 8, INT64))
    assert regular(struct(16, ("A", 0, INT64), ("B", 8, INT64))) and not regular(padded)
    assert not regular(struct(4, ("_", 0, INT32)))
    assert regular(array(STRING, 0)) and not regular(array(STRING, 1))
    for signatures in (False, True):
        assert plans(INT64, signatures) == [(PlainBytes(0, 8, True),)]
        assert plans(STRING, signatures) == [(String(0),)]
        assert plans(GoType(Kind.SLICE, "[]int", 24), signatures) == []


def test_runs_of_fields() -> None:
    inner = struct(8, ("P", 0, INT32), ("Q", 4, INT32))
    t = struct(
        48,
        ("A", 0, INT32),
        ("B", 4, INT32),
        ("I", 8, inner),
        ("F", 16, FLOAT64),
        ("X", 24, ANY),
        ("C", 40, UINT8),
    )
    before, after = plans(t, False)[0], plans(t, True)[0]
    rest = (Float(16, 8), Interface(24, False))
    assert before == (PlainBytes(0, 16, False), *rest, PlainBytes(40, 1, False))
    assert after == (PlainBytes(0, 16, True), *rest, PlainBytes(40, 1, True))
    assert typehash_plan(t) == (
        PlainBytes(0, 4, True), PlainBytes(4, 4, True), PlainBytes(8, 8, True), *rest, PlainBytes(40, 1, True),
    )  # fmt: skip
    nested = struct(24, ("A", 0, struct(16, ("S", 0, INT64), ("T", 8, FLOAT64))), ("B", 16, INT64))
    assert plans(nested, True)[0] == (PlainBytes(0, 8, True), Float(8, 8), PlainBytes(16, 8, True))
