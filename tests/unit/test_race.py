"""Which operation a stack is inside, told from its functions' names."""

from __future__ import annotations

from typing import Any

import pytest

from gomap.analysis import race
from gomap.analysis.deaths import FATAL, PANIC, Death
from gomap.analysis.race import MapOperation, Searched
from gomap.commands.race import Raced, _advice
from gomap.golang.runtime import mapcalls
from gomap.golang.runtime.modules import DEPENDENCY, OWN, STANDARD, Modules, package
from gomap.golang.runtime.pclntab import varint
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.golang.runtime.stacks import Stack
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


def inside(*functions: str, death: Death | None = None) -> MapOperation | None:
    target: Any = Nothing()
    frames = tuple(
        Frame(name, "/x/f.go", 10 + i, 0x400000 + i, 0xC000100000 + 16 * i) for i, name in enumerate(functions)
    )
    return race._inside(target, DescribedTypes(target), Modules("example.com/own"), Stack(GOROUTINE, frames), death)


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
    ("functions", "ended", "left"),
    [
        (["runtime.fatalthrow", "runtime.fatal", "runtime.mapassign"], FATAL, False),
        (["runtime.fatal", "internal/runtime/maps.fatal", "runtime.mapdelete_fast64"], FATAL, False),
        (["runtime.fatalthrow", "runtime.throw", "runtime.sigpanic", "runtime.mapaccess1"], FATAL, False),
        (["runtime.gopanic", "runtime.mapassign_fast32"], PANIC, False),
        (
            ["runtime.gopanic", "runtime.panicmem", "runtime.sigpanic", "type:.eq.main.K", "runtime.mapaccess2"],
            PANIC,
            False,
        ),
        (["runtime.sigpanic", "runtime.mapaccess2"], PANIC, False),
        # A comparison that panics ends the operation; a deferred function runs after it.
        (["runtime.gopanic", "main.equal", "runtime.mapaccess2"], PANIC, False),
        (["main.cleanUp", "runtime.gopanic", "runtime.mapassign"], PANIC, True),
        (["runtime.throw", "main.cleanUp", "runtime.gopanic", "runtime.mapassign"], PANIC, True),
        # One that is called goes on.
        (["main.equal", "runtime.mapaccess2"], None, False),
    ],
)
def test_what_ended_it_where_the_text_is_lost(functions: list[str], ended: str | None, left: bool) -> None:
    """A text that can't be read is not made up."""
    found = inside(*functions, "main.main")
    assert found is not None
    assert (found.ended, found.message, found.left, found.raced) == (ended, None, left, False)


def test_a_death_on_the_threads_own_stack() -> None:
    """Memory is allocated there: no frame of the goroutine tells of it."""
    frames = ("runtime.systemstack_switch", "runtime.mallocgc", "runtime.hashGrow", "runtime.mapassign", "main.main")
    found = inside(*frames, death=Death(FATAL, "out of memory", 7))
    assert found is not None
    assert (found.ended, found.message, found.raced) == (FATAL, "out of memory", False)
    found = inside("runtime.fatal", "runtime.mapassign", "main.main", death=Death(FATAL, "concurrent map writes", 7))
    assert found is not None and found.raced


@pytest.mark.parametrize(
    ("functions", "told"),
    [
        (["reflect.mapiternext", "encoding/json.mapEncoder.encode", "encoding/json.Marshal", "main.f"], "main.f"),
        (["runtime.mapassign", "net/textproto.f", "github.com/x/y.g", "example.com/own/p.h"], "example.com/own/p.h"),
        (["runtime.mapassign", "net/textproto.f", "github.com/x/y.g", "net/http.(*conn).serve"], "github.com/x/y.g"),
        (["runtime.mapassign", "net/textproto.f", "net/http.(*conn).serve"], "net/textproto.f"),
    ],
)  # fmt: skip
def test_whose_line_is_told(functions: list[str], told: str) -> None:
    found = inside(*functions, "runtime.goexit")
    assert found is not None and found.caller is not None and found.direct is not None
    assert (found.caller.function, found.direct.function) == (told, functions[1])


@pytest.mark.parametrize(
    ("function", "path", "owner"),
    [
        ("main.main", "main", OWN),
        ("example.com/own.F[go.shape.struct { github.com/x/y.T }]", "example.com/own", OWN),
        ("example.com/owner.F", "example.com/owner", DEPENDENCY),
        ("gopkg.in/yaml%2ev2.(*T).Decode.func1", "gopkg.in/yaml.v2", DEPENDENCY),
        ("encoding/json.(*Encoder).Encode", "encoding/json", STANDARD),
        ("vendor/golang.org/x/net/http2.f", "vendor/golang.org/x/net/http2", STANDARD),
        ("local/helpers.F", "local/helpers", DEPENDENCY),
    ],
)
def test_whose_a_function_is(function: str, path: str, owner: int) -> None:
    assert package(function) == path
    assert Modules("example.com/own", frozenset({"local/helpers"})).owner(function) == owner


def test_a_mark_that_nothing_explains() -> None:
    """A goroutine that writes to a map that is not known may be the one that the mark is of."""
    marked, one = Raced(0xC000200000, None, True, "writing"), inside("runtime.mapassign_faststr", "main.put")
    assert one is not None and one.address is None and not one.nil
    assert "no goroutine is writing" in " ".join(_advice(Searched(), [marked], False))
    assert not _advice(Searched(), [marked, Raced(None, None, False, inside=[one])], False)


def test_no_operation() -> None:
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
