"""What a program died of, where the runtime's frames do not tell it any more; and whose module it is."""

from __future__ import annotations

import pytest

from gomap.analysis import deaths, references
from gomap.commands import race
from gomap.golang.runtime.modules import Modules, modules
from gomap.gotypes import GoType, Kind
from tests.support.space import AMD64, Space, add, array_of, basic, fake_target

RING = 64
LAST = b"fatal error: out of memory\n"


@pytest.mark.parametrize("index", [0, 1, 20, 40, 63])
@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (LAST, "out of memory"),
        (b"runtime: 5 bytes\n" + LAST, "out of memory"),
        (b"fatal error: first\n" + LAST, "out of memory"),
        (LAST + b"goroutine 1\n", "out of memory"),
        (b"fatal error: two\n\tlines\nrest\n", "two\nlines"),
        (b"hello\n", None),
        (b"", None),
    ],
)
def test_the_last_fatal_error_that_was_printed(printed: bytes, text: str | None, index: int) -> None:
    """runtime.printBacklog is a ring, and printBacklogIndex where its next byte goes."""
    target, ring = fake_target(AMD64, Space(AMD64)), bytearray(RING)
    for i, byte in enumerate(printed, index - len(printed)):
        ring[i % RING] = byte
    t = array_of(RING, basic("uint8"))
    add(target, "runtime.printBacklog", t, bytes(ring))
    target.symbols["runtime.printBacklogIndex"] = target.memory.put(AMD64.pack(index))
    assert deaths._announced(target) == text


def test_a_text_that_cannot_be_read_is_not_made_up() -> None:
    assert race._said(deaths.FATAL, None) == "fatal error (its text could not be read)"
    assert race._said(deaths.PANIC, None) == "panic (its value could not be read)"
    assert race._said(deaths.PANIC, "a\nb\x1b[2J") == "panic: a b\\x1b[2J"


def test_modules_of_the_build_information() -> None:
    target = fake_target(AMD64, Space(AMD64))
    lines = (
        "path\texample.com/own/cmd",
        "mod\texample.com/own\t(devel)\t",
        "dep\tlocal/helpers\tv1.0.0\th1:x=",
        "build",
    )
    text = b"0123456789abcdef" + "\n".join(lines).encode() + b"\n0123456789abcdef"
    string = GoType(Kind.STRING, "string", 16)
    add(target, "runtime.modinfo", string, AMD64.pack(target.memory.put(text)) + AMD64.pack(len(text)))
    assert modules(target) == Modules("example.com/own", frozenset({"local/helpers"}))
    assert modules(fake_target(AMD64, Space(AMD64))) == Modules()


@pytest.mark.parametrize(
    ("code", "held"),
    [
        # From RDX, as the compiler sets the arguments of mapaccess1_faststr: CX, DI and AX first.
        ("4889c1 4889df 488d0561be1300 4889d3", {2, 3}),
        ("", {2}),
        ("4889d3 488b1d00000000", {2}),  # MOVQ x(SB), BX
        ("4889d3 488b5c2408", {2}),  # MOVQ 8(SP), BX
        ("4889d3 bb01000000", {2}),  # MOVL $1, BX
        ("4889d3 31db", {2}),  # XORL BX, BX
        ("4889542408 48c744242000000000 4989d0", {2, 8}),  # to the stack, and to R8
        ("4889d3 440f117c2418", {2, 3}),  # MOVUPS X15, 24(SP)
        ("4889d3 e800000000", set()),  # a call
        ("4889d3 488b", set()),  # cut short
    ],
)
def test_which_registers_hold_a_value(code: str, held: set[int]) -> None:
    assert references._holding(bytes.fromhex(code.replace(" ", "")), 2) == held
