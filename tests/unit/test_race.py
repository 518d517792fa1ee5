"""Which operation a stack is inside, told from its functions' names."""

from __future__ import annotations

from typing import Any

import pytest

from gomap.analysis import race
from gomap.analysis.race import Inside
from gomap.golang import mapcalls
from gomap.golang.pclntab import varint
from gomap.golang.rtype import Types
from gomap.golang.stacks import Stack
from gomap.memory import RegionMemory
from gomap.target import Arch, Frame, Goroutine

GOROUTINE = Goroutine(7, 0xC000001000, "running", 0, 0, 0, (0xC000100000, 0xC000102000), thread=1)


class Nothing:
    """A target that knows nothing but its memory, which is empty."""

    arch = Arch("amd64", 8, "little")
    memory = RegionMemory([])
    kind = "live"

    def find_type(self, name: str) -> None:
        return None

    def symbol(self, name: str) -> None:
        return None


def inside(*functions: str) -> Inside | None:
    target: Any = Nothing()
    frames = tuple(
        Frame(name, "/x/f.go", 10 + i, 0x400000 + i, 0xC000100000 + 16 * i) for i, name in enumerate(functions)
    )
    return race._inside(target, Types(target), Stack(GOROUTINE, frames))


@pytest.mark.parametrize(
    ("functions", "operation", "call", "caller"),
    [
        (["runtime.mapassign_faststr", "main.put"], "write", "runtime.mapassign_faststr", "main.put"),
        (["runtime.memhash64", "runtime.mapaccess2", "main.get"], "read", "runtime.mapaccess2", "main.get"),
        (
            ["runtime.evacuate_faststr", "runtime.growWork_faststr", "runtime.mapdelete_faststr", "main.drop"],
            "grow",
            "runtime.mapdelete_faststr",
            "main.drop",
        ),
        (
            [
                "internal/runtime/maps.(*Map).getWithKey",
                "internal/runtime/maps.(*Iter).grownKeyElem",
                "internal/runtime/maps.(*Iter).Next",
                "runtime.mapIterNext",
                "main.walk",
            ],
            "iterate",
            "runtime.mapIterNext",
            "main.walk",
        ),
        (
            ["runtime.mapassign", "reflect.mapassign0", "reflect.Value.SetMapIndex", "encoding/json.object"],
            "write",
            "reflect.mapassign0",
            "encoding/json.object",
        ),
        (["runtime.mapclone2", "maps.clone", "maps.Clone[...]", "main.copied"], "read", "maps.clone", "main.copied"),
        (["runtime.mapassign", "sync.(*Map).Store", "main.put"], "write", "runtime.mapassign", "main.put"),
        # A loop's body is inside the loop's function, not inside the iterator's.
        (
            ["runtime.mapdelete", "main.f-range1", "maps.Keys.func1", "main.f"],
            "delete",
            "runtime.mapdelete",
            "main.f-range1",
        ),
        (["runtime.mapaccess1", "runtime.goexit"], "read", "runtime.mapaccess1", None),
    ],
)
def test_operations(functions: list[str], operation: str, call: str, caller: str | None) -> None:
    found = inside(*functions)
    assert found is not None
    assert (found.operation, found.call, found.caller and found.caller.function) == (operation, call, caller)
    assert (found.fatal, found.address, found.nil) == (False, None, False)


@pytest.mark.parametrize(
    "function",
    [
        "runtime.makemap",
        "runtime.makemap_small",
        "reflect.Value.SetMapIndex",
        "reflect.maplen",
        "main.mapassign",
        "maps.Clone[...]",
        "maps.Keys.func1",
        "runtime.mapKeyError",
        "runtime.mallocgc",
        "internal/runtime/maps.NewMap",
    ],
)
def test_functions_that_are_no_operation(function: str) -> None:
    assert mapcalls.operation(function) is None
    assert inside(function, "main.main") is None


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        (["runtime.fatalthrow", "runtime.fatal", "runtime.mapassign"], "concurrent map writes"),
        (["runtime.fatal", "internal/runtime/maps.fatal", "runtime.mapdelete_fast64"], "concurrent map writes"),
        (["runtime.fatal", "runtime.mapaccess1_faststr"], "concurrent map read and map write"),
        (["runtime.fatal", "runtime.mapiternext", "runtime.mapiterinit"], "concurrent map iteration and map write"),
        (["runtime.fatal", "runtime.mapclone2", "maps.clone"], "concurrent map clone and map write"),
        (["runtime.gopanic", "runtime.mapassign_fast32"], "panic"),
        (["runtime.sigpanic", "runtime.mapaccess2"], "memory fault inside the map operation"),
    ],
)
def test_what_ended_it_where_the_text_is_lost(functions: list[str], message: str) -> None:
    found = inside(*functions, "main.main")
    assert found is not None
    assert (found.fatal, found.message) == (True, message)
    assert found.panics == (functions[0] in ("runtime.gopanic", "runtime.sigpanic"))


def test_nobody() -> None:
    assert inside() is None
    assert inside("runtime.gopark", "runtime.chanrecv", "main.main", "runtime.main") is None


@pytest.mark.parametrize(
    ("data", "value", "end"), [(b"\x00", 0, 1), (b"\x7f", 127, 1), (b"\x80\x01", 128, 2), (b"\xff\x7f", 16383, 2)]
)
def test_varint(data: bytes, value: int, end: int) -> None:
    assert varint(data, 0) == (value, end)


def test_a_varint_that_does_not_end() -> None:
    with pytest.raises(IndexError):
        varint(b"\x80\x80", 0)
