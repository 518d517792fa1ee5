"""Values of every kind as Go syntax and as JSON."""

from __future__ import annotations

import math
import struct as packing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gomap.errors import MemoryFault
from gomap.gotypes import GoType, Kind, Lazy, fixed
from gomap.known.times import rows
from gomap.recorded import ImageTarget
from gomap.spelling import quote
from gomap.target import Arch
from gomap.values import Limits, Values, shown
from tests.support.describe import Descriptors, interface
from tests.support.space import (
    AMD64,
    ARCHES,
    Space,
    array_of,
    basic,
    load,
    pointer,
    slice_of,
    struct,
    target,
)
from tests.support.synthetic import ClassicPlan, SwissPlan
from tests.support.synthetic_classic import build_classic
from tests.support.synthetic_swiss import build_swiss

GO = load("strconv.json")
by_arch = pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
INT = basic("int")


def text_of(fake: ImageTarget, t: GoType, data: bytes, **limits: int) -> str:
    return Values(fake, Limits(**limits)).text(t, data)


# -- scalars -----------------------------------------------------------------------------------------


@by_arch
def test_complex_numbers_are_fmts(arch: Arch) -> None:
    fake, _ = target(arch)
    order = "<" if arch.byte_order == "little" else ">"
    for name, size in (("complex128", 8), ("complex64", 4)):
        for row in GO[name]:
            parts = [bytes.fromhex(row[part]) for part in ("real", "imag")]
            data = b"".join(part[::-1] if order == "<" else part for part in parts)
            assert len(data) == 2 * size
            assert text_of(fake, basic(name), data) == row["text"], row


@given(
    st.sampled_from(ARCHES),
    st.sampled_from(["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]),
    st.data(),
)
def test_integers(arch: Arch, name: str, data: st.DataObject) -> None:
    fake, space = target(arch)
    t = basic(name)
    bits = 8 * t.size
    low, high = (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    value = data.draw(st.integers(low, high))
    raw = space.uint(value % 2**bits, t.size)
    assert Values(fake).json(t, raw) == value
    assert text_of(fake, t, raw) == str(value)
    assert shown(t, value) == str(value)


@by_arch
def test_bools_and_floats_in_json(arch: Arch) -> None:
    fake, _ = target(arch)
    values = Values(fake)
    order = "<" if arch.byte_order == "little" else ">"
    assert values.json(basic("bool"), b"\0") is False
    assert values.json(basic("bool"), b"\1") is True
    for special, text in ((math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf")):
        assert values.json(basic("float64"), packing.pack(order + "d", special)) == text
        assert values.json(basic("float32"), packing.pack(order + "f", special)) == text
    assert values.json(basic("float64"), packing.pack(order + "d", 1.5)) == 1.5
    assert values.json(basic("float32"), packing.pack(order + "f", 0.1)) == 0.1
    assert shown(basic("bool"), True) == "true"
    assert shown(basic("float64"), 1e6) == "1e+06"


@given(st.sampled_from(ARCHES), st.binary(max_size=80))
def test_strings(arch: Arch, raw: bytes) -> None:
    fake, space = target(arch)
    t = basic("string", arch.pointer_size)
    data = space.string(raw)
    values = Values(fake)
    value = values.json(t, data)
    assert isinstance(value, str)
    assert value.encode("utf-8", "surrogateescape") == raw
    assert values.text(t, data) == quote(raw) == shown(t, value)
    assert not values.cut


@dataclass
class Joining:
    """Memory that has many pieces by one call."""

    space: Space

    def read(self, address: int, size: int) -> bytes:
        return self.space.read(address, size)

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> bytes | None:
        try:
            return b"".join(self.read(address, size) if size else b"" for address, size in zip(addresses, sizes))
        except MemoryFault:
            return None


@given(
    st.sampled_from(ARCHES),
    st.lists(
        st.one_of(st.binary(max_size=12), st.sampled_from([b"\xff\xc3", b"x" * 9, "Grüße".encode()])), max_size=30
    ),
    st.lists(st.tuples(st.integers(0, 3000), st.sampled_from([0, 1, 7, 1 << 31, (1 << 32) - 1]))),
    st.sampled_from([5, 256]),
    st.sampled_from([{"MANY": 99}, {"MANY": 0, "BLOCK_BITS": 4}, {"MANY": 20, "BLOCK_BITS": 6, "MAX_BLOCKS": 3}]),
    st.booleans(),
    st.booleans(),
)
def test_many_strings_are_what_each_is_alone(
    arch: Arch,
    raws: list[bytes],
    odd: list[tuple[int, int]],
    limit: int,
    ways: dict[str, Any],
    unreadable: bool,
    at_once: bool,
) -> None:
    fake, space = target(arch)
    headers = [space.string(raw) for raw in raws]
    headers += [space.word(space.base + offset) + space.word(length) for offset, length in odd]
    if unreadable:
        headers += [space.word(0) + space.word(3), space.word(1) + space.word(-1)]
    space.put(bytes(300))
    if at_once:
        fake.memory = Joining(space)
    t, word = basic("string", arch.pointer_size), arch.pointer_size
    alone, together = Values(fake, Limits(text=limit)), Values(fake, Limits(text=limit))
    wanted = [alone.json(t, header) for header in headers]
    texts = [alone.text(t, header) for header in headers]
    pointers, lengths = ([arch.pointer(header, at) for header in headers] for at in (0, word))
    with mock.patch.multiple("gomap.string_texts", **ways):
        for start in (0, 7, 0):
            assert together.strings(pointers[start:], lengths[start:]) == wanted[start:]
            assert together.quoted(pointers[start:], lengths[start:]) == texts[start:]
    assert together.cut == alone.cut


def test_long_strings_are_cut_and_say_so() -> None:
    fake, space = target(AMD64)
    values = Values(fake, Limits(text=5))
    assert values.text(basic("string"), space.string(b"0123456789")) == '"01234"...+5 bytes'
    assert values.cut


def test_keys_that_can_be_typed() -> None:
    """What is too long, and NaN, can't; nor keys of types of one name, which are written alike."""
    fake, space = target(AMD64)
    values, described, t = Values(fake, Limits(text=8)), Descriptors(fake), interface(8)
    text = basic("string")
    for raw, told in ((b'a"]', '"a\\"]"'), (b"x" * 9, None)):
        assert values.typed_key(text, space.string(raw)) == told
    assert values.typed_key(basic("float64"), packing.pack("<d", math.nan)) is None
    assert not values.cut
    ours, theirs = (GoType(Kind.INT, "main.twin", size) for size in (8, 4))
    held = [(ours, 1), (theirs, 1), (ours, 2), (basic("int"), 1)]
    keys = [(t, described.eface(one, space.uint(n, one.size))) for one, n in held]
    assert values.alike(keys) == {"main.twin(1)"}
    assert values.alike([(INT, space.word(1)), (INT, space.word(1))]) == frozenset()


def test_strings_that_no_program_has() -> None:
    fake, space = target(AMD64)
    values = Values(fake)
    for header in (space.word(0x10) + space.word(3), space.word(space.put(b"x")) + space.word(-1)):
        assert values.text(basic("string"), header) == "<unreadable>"
        assert values.json(basic("string"), header) == "<unreadable>"
    assert not values.cut
    endless = space.word(space.put(b"x" * 256)) + space.word(1 << 62)
    assert values.text(basic("string"), endless) == f'"{"x" * 256}"...+{(1 << 62) - 256} bytes'
    assert values.cut
    assert values.json(INT, None) == "<unreadable>"


# -- composites --------------------------------------------------------------------------------------


def pair(word: int = 8) -> GoType:
    return struct("main.Key", word, [("A", basic("int", word)), ("B", basic("string", word))])


@by_arch
def test_structs_arrays_and_slices(arch: Arch) -> None:
    fake, space = target(arch)
    word = arch.pointer_size
    integer, key = basic("int", word), pair(word)
    one = space.word(1) + space.string(b"x")
    ints = b"".join(map(space.word, (1, -2, 3)))
    cases = [
        (key, one, 'main.Key{A:1, B:"x"}'),
        (struct("struct {}", word, []), b"", "struct {}{}"),
        (array_of(3, integer), ints, "[3]int{1, -2, 3}"),
        (array_of(0, integer), b"", "[0]int{}"),
        (array_of(1, key), one, '[1]main.Key{main.Key{A:1, B:"x"}}'),
        (slice_of(integer, word), space.slice(ints, 3), "[]int{1, -2, 3}"),
        (slice_of(integer, word), bytes(3 * word), "[]int(nil)"),
        (slice_of(integer, word), space.slice(b"\0", 0), "[]int{}"),
        (
            slice_of(struct("struct {}", word, []), word),
            space.slice(b"", 2),
            "[]struct {}{struct {}{}, struct {}{}}",
        ),
    ]
    for t, data, text in cases:
        assert text_of(fake, t, data) == text
        assert Values(fake).json(t, data) == text


@by_arch
def test_pointers_channels_and_functions(arch: Arch) -> None:
    fake, space = target(arch)
    word = arch.pointer_size
    key = pair(word)
    at = space.put(space.word(7) + space.string(b"y"))
    closure = space.put(space.word(0x48E4A0))
    chan = GoType(Kind.CHAN, "chan int", word, lazy_elem=fixed(basic("int", word)))
    func = GoType(Kind.FUNC, "func()", word)
    unsafe = GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", word)
    cases = [
        (pointer(key, word), at, '&main.Key{A:7, B:"y"}'),
        (pointer(pointer(key, word), word), space.put(space.word(at)), '&&main.Key{A:7, B:"y"}'),
        (pointer(key, word), 0, "(*main.Key)(nil)"),
        (pointer(key, word), 0x10, "(*main.Key)(0x10)"),
        (chan, at, f"(chan int)({at:#x})"),
        (chan, 0, "(chan int)(nil)"),
        (func, closure, "(func())(0x48e4a0)"),
        (func, 0, "(func())(nil)"),
        (unsafe, 0x1234, "unsafe.Pointer(0x1234)"),
        (unsafe, 0, "unsafe.Pointer(nil)"),
    ]
    for t, address, text in cases:
        assert text_of(fake, t, space.word(address)) == text


@by_arch
@pytest.mark.parametrize("methods", [False, True], ids=["eface", "iface"])
def test_interfaces(arch: Arch, methods: bool) -> None:
    fake, space = target(arch)
    word = arch.pointer_size
    described = Descriptors(fake)
    t = interface(word, methods)
    order = "<" if arch.byte_order == "little" else ">"
    color = GoType(Kind.INT, "main.Color", word)
    name = GoType(Kind.STRING, "main.Name", 2 * word)
    wave = GoType(Kind.COMPLEX, "main.Wave", 16)
    complex_ = packing.pack(order + "dd", 1, 2)
    at = space.put(space.word(7) + space.string(b"y"))
    cases = [
        (basic("int", word), space.word(-3), "-3"),
        (basic("float64"), packing.pack(order + "d", 1.5), "1.5"),
        (basic("string", word), space.string(b"a\n"), '"a\\n"'),
        (basic("bool"), b"\1", "true"),
        (basic("complex128"), complex_, "(1+2i)"),
        (basic("int64"), space.uint(3, 8), "int64(3)"),
        (basic("uint8"), b"\xff", "uint8(255)"),
        (basic("float32"), packing.pack(order + "f", 1.5), "float32(1.5)"),
        (basic("complex64"), packing.pack(order + "ff", 1, 2), "complex64(1+2i)"),
        (color, space.word(2), "main.Color(2)"),
        (name, space.string(b"n"), 'main.Name("n")'),
        (wave, complex_, "main.Wave(1+2i)"),
        (pair(word), space.word(1) + space.string(b"x"), 'main.Key{A:1, B:"x"}'),
        (pointer(pair(word), word), space.word(at), '&main.Key{A:7, B:"y"}'),
        (slice_of(basic("int", word), word), space.slice(space.word(4), 1), "[]int{4}"),
        (struct("struct {}", word, []), b"", "struct {}{}"),
    ]
    make = described.iface if methods else described.eface
    for inner, value, text in cases:
        assert text_of(fake, t, make(inner, value)) == text
    assert text_of(fake, t, bytes(2 * word)) == "nil"
    assert text_of(fake, t, space.word(0x10) + space.word(0x20)) == "<unreadable>"


def _map_of(fake: ImageTarget, layout: str, marks: int) -> Any:
    live = [9] * marks + [0] * (8 - marks)
    if layout == "classic":
        return build_classic(fake, ClassicPlan(0, [[live]]), INT, INT)
    return build_swiss(fake, SwissPlan([9] * marks + [0x80] * (8 - marks)), INT, INT)


@pytest.mark.parametrize("layout", ["classic", "swiss"])
def test_maps_in_values(layout: str) -> None:
    fake, space = target(AMD64)
    built = _map_of(fake, layout, 3)
    # The entries' numbers ascend, so that sorting has to be done by number: 37, 74, 111.
    pairs = sorted((int.from_bytes(e.key, "little"), int.from_bytes(e.elem, "little")) for e in built.entries)
    text = ", ".join(f"{k}:{v}" for k, v in pairs)
    word = space.word(built.address)
    assert text_of(fake, built.type, word) == f"map[int]int{{{text}}}"
    assert text_of(fake, built.type, space.word(0)) == "map[int]int(nil)"
    holder = struct("main.Cfg", 8, [("M", built.type)])
    assert text_of(fake, holder, word) == f"main.Cfg{{M:map[int]int{{{text}}}}}"
    assert text_of(fake, built.type, word, depth=0) == f"map[int]int({built.address:#x})"
    values = Values(fake, Limits(items=2))
    assert values.text(built.type, word).endswith(", ...+1 entries}")
    assert values.cut
    assert text_of(fake, built.type, space.word(0x10)) == "<unreadable>"


# -- limits and cycles -------------------------------------------------------------------------------


def test_items_are_limited() -> None:
    fake, space = target(AMD64)
    ints = b"".join(map(space.word, range(100)))
    values = Values(fake, Limits(items=3))
    assert values.text(array_of(100, INT), ints) == "[100]int{0, 1, 2, ...+97 items}"
    assert values.cut
    values = Values(fake, Limits(items=3))
    assert values.text(slice_of(INT), space.slice(ints, 100)) == "[]int{0, 1, 2, ...+97 items}"
    assert values.cut


def test_a_slice_with_a_length_that_no_slice_has() -> None:
    fake, space = target(AMD64)
    data = space.word(space.put(bytes(1024))) + space.word(1 << 60) * 2
    text = text_of(fake, slice_of(INT), data)
    assert text.endswith(f", ...+{(1 << 60) - 16} items}}")
    assert text_of(fake, slice_of(INT), space.word(0x10) + space.word(4) * 2) == "<unreadable>"


def test_depth_is_limited() -> None:
    fake, space = target(AMD64)
    t, data, wanted = INT, space.word(5), "5"
    for _ in range(4):
        data, t, wanted = space.word(space.put(data)), pointer(t), "&" + wanted
    assert text_of(fake, t, data, depth=4) == wanted
    values = Values(fake, Limits(depth=2))
    cut = values.text(t, data)
    assert cut.startswith("&&(**int)(0x")
    assert values.cut


def test_the_whole_is_limited() -> None:
    fake, space = target(AMD64)
    t, data = array_of(16, basic("string")), b"".join(space.string(b"0123456789") for _ in range(16))
    for _ in range(3):
        t, data = array_of(16, t), data * 16
    values = Values(fake, Limits(depth=10, total=500))
    assert len(values.text(t, data)) < 2000
    assert values.cut


@pytest.mark.parametrize("depth", [4, 50])
def test_a_list_that_ends_in_itself(depth: int) -> None:
    fake, space = target(AMD64)
    holder: list[GoType] = []
    to_node = GoType(Kind.POINTER, "*main.Node", 8, lazy_elem=Lazy(lambda: holder[0]))
    node = struct("main.Node", 8, [("V", INT), ("Next", to_node)])
    holder.append(node)
    first, second = space.alloc(16), space.alloc(16)
    space.write(first, space.word(1) + space.word(second))
    space.write(second, space.word(2) + space.word(first))
    values = Values(fake, Limits(depth=depth))
    text = values.text(to_node, space.word(first))
    assert text == f"&main.Node{{V:1, Next:&main.Node{{V:2, Next:(*main.Node)({first:#x})}}}}"
    assert values.cut


def test_a_slice_that_contains_itself() -> None:
    """type S []S; s[0] = s"""
    fake, space = target(AMD64)
    holder: list[GoType] = []
    t = GoType(Kind.SLICE, "main.S", 24, lazy_elem=Lazy(lambda: holder[0]))
    holder.append(t)
    at = space.alloc(24)
    header = space.word(at) + space.word(1) * 2
    space.write(at, header)
    values = Values(fake, Limits(depth=50))
    assert values.text(t, header) == f"main.S{{main.S({at:#x})}}"
    assert values.cut


def test_a_map_that_contains_itself() -> None:
    """m := map[int]any{}; m[1] = m"""
    fake, space = target(AMD64)
    described = Descriptors(fake)
    built = build_swiss(fake, SwissPlan([1] + [0x80] * 7), INT, interface(8))
    word = space.word(built.address)
    space.write(built.entries[0].elem_address, described.eface(built.type, word))
    values = Values(fake, Limits(depth=50))
    assert values.text(built.type, word) == f"map[int]interface {{}}{{37:map[int]interface {{}}({built.address:#x})}}"
    assert values.cut


@settings(max_examples=300)
@given(st.binary(min_size=200, max_size=200), st.data())
def test_any_bytes_give_a_value(raw: bytes, data: st.DataObject) -> None:
    """Whatever lies in memory, a text comes of it: printable, and of bounded length."""
    arch = data.draw(st.sampled_from(ARCHES))
    fake, space = target(arch)
    word = arch.pointer_size
    described = Descriptors(fake)
    key = pair(word)
    described.of(key)
    kinds = [
        key,
        pointer(key, word),
        slice_of(key, word),
        interface(word),
        interface(word, methods=True),
        GoType(Kind.FUNC, "func()", word),
        basic("complex64"),
        array_of(3, slice_of(pointer(key, word), word)),
        build_swiss(fake, SwissPlan([1] * 8), key, pointer(key, word)).type,
    ]
    memory = bytearray(space.data)
    at = len(memory)
    space.data += raw
    t = data.draw(st.sampled_from(kinds))
    inside = st.integers(space.base, space.base + len(space.data))
    header = b"".join(space.word(data.draw(inside)) for _ in range(9))
    for value in (raw, header, bytes(raw[: at % 7]) + header):
        text = text_of(fake, t, value[: t.size].ljust(t.size, b"\1"))
        assert text.isprintable()
        assert len(text) < 30_000


def test_a_space_faults_outside() -> None:
    """The tests' own memory: nothing is readable by accident."""
    space = Space(AMD64)
    at = space.alloc(8, gap=8)
    assert space.read(at, 8) == bytes(8)
    for address, size in ((at, 9), (at - 1, 1), (at + 8, 1), (at + 16, 1)):
        with pytest.raises(Exception, match="cannot read"):
            space.read(address, size)


def test_errors_that_join_themselves_have_an_end() -> None:
    fake, space = target(AMD64)
    described = Descriptors(fake)
    t = interface(8, True)
    joined = struct("errors.joinError", 8, [("errs", slice_of(t))])
    at = space.put(bytes(joined.size))
    one = described.iface(pointer(joined), space.word(at))
    space.write(at, space.slice(one * 4, 4))
    with mock.patch("gomap.known.errors.rows", wraps=rows) as asked:
        Values(fake).shown(t, one)
    assert 0 < asked.call_count < 600
