"""What maps have in common, whose they are, and which were asked for: paths made by hand, and build information."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gomap.analysis.groups import Group
from gomap.analysis.held import AliasSearch, Holder
from gomap.analysis.selection import Selection, package_of, shape
from gomap.commands import alias
from gomap.declare import Context
from gomap.gotypes import GoType, Kind
from gomap.graph.path import DEREF, CapturedName, KeyPart, Path
from gomap.recorded import ImageTarget
from gomap.target import GLOBAL, Place, Variable
from tests.support.space import AMD64, target

INT, STRING, ANY = (
    GoType(kind, name, size)
    for kind, name, size in ((Kind.INT, "int", 8), (Kind.STRING, "string", 16), (Kind.INTERFACE, "interface {}", 16))
)
FRAME = Place("local", 7, 2, "example.com/shop/cart.(*Cart).Add", "cart.go", 12)
STD_FRAME = Place("argument", 7, 1, "encoding/json.Marshal", "encode.go", 170)


def key(t: GoType = STRING, behind: GoType = INT, form: str = "[{}]") -> KeyPart:
    return KeyPart(t, None, form, behind, 0xC000)


def path(*parts: Any, place: Place = GLOBAL) -> Path:
    found = Path(None, parts[0], place)
    for part in parts[1:]:
        found = Path(found, part)
    return found


def holder(*parts: Any, place: Place = GLOBAL, dead: bool = False) -> Holder:
    return Holder(path(*parts, place=place), None, place, INT, None, dead)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("main.s", ".Sessions", key(), ".Tags"), "main.s.Sessions[*].Tags"),
        (("main.s", ".Shards", 3, ".M"), "main.s.Shards[*].M"),
        (("main.m", ".Load()", key(form=".Load({})"), ".(*main.T)", ".M"), "main.m.Load().Load(*).(*main.T).M"),
        # A list and a tree, however deep; but not a map of maps, which is another thing than the maps in it.
        (("main.l", ".Next", ".Next", ".Next", ".M"), "main.l.Next.M"),
        (("main.t", ".Kids", 1, ".Kids", 0, ".Kids", 7, ".M"), "main.t.Kids[*].M"),
        (("main.m", key(), key()), "main.m[*][*]"),
        (("main.p", DEREF, ".M"), "(*main.p).M"),
        # What a key that can't be typed leads to, and what has no name.
        (("main.m", key(form=""), ".M"), "(*:int).M"),
        (("main.m", "(0xc000012345:main.T)", ".M"), "(*:main.T).M"),
        # Words of a stripped program's data are different variables.
        (("bss+0x2330", ".M"), "bss+0x2330.M"),
    ],
)
def test_shapes(parts: tuple[Any, ...], text: str) -> None:
    assert path(*parts).shape == text


def test_goroutines_that_stand_in_one_function_have_one_shape() -> None:
    others = (Place("local", 9, 4, FRAME.function, "cart.go", 30), Place("local", 9, 4, "main.main", "main.go", 30))
    assert shape(holder("c", ".M", place=FRAME)) == shape(holder("c", ".M", place=others[0]))
    assert shape(holder("c", ".M", place=FRAME)) != shape(holder("c", ".M", place=others[1]))
    assert shape(holder("c", place=FRAME)) != shape(holder("c", place=FRAME, dead=True))
    captured = [holder(f"(0xc00076{i}bf0:func())", CapturedName(".m"), place=FRAME) for i in range(3)]
    assert len({shape(one) for one in captured}) == 1


@pytest.mark.parametrize(
    ("parts", "rows"),
    [
        (("x", ".(*main.T)", ".M"), 2),
        (("x", DEREF, ".M"), 2),
        (("x", ".F", ".(func(*int))"), 2),
        (("x", 3, ".(*main.T)", ".M"), 1),
        (("x", key()), 1),
        (("x", key(form="")), 1),
        (("(0xc000076bf0:func())", CapturedName(".m")), 1),
    ],
)
def test_elements_are_alike_whatever_package_variables_hold_them_too(parts: tuple[Any, ...], rows: int) -> None:
    """Maps that are no elements, and that different package variables hold, are not: a * in a type is no index."""
    fake = built(None)
    text = alias._Text(Context(fake), AliasSearch(), Selection(fake), told=False)
    groups = []
    for number, name in enumerate(("main.First", "main.Second")):
        ways = [holder(*parts, place=replace(FRAME, goroutine=number)), holder(name)]
        groups.append(Group(0xC000 + number, 0, INT, 1, "header", ways, [0xC000 + number]))
    assert len(text._alike(groups)) == rows


def built(text: str | None) -> ImageTarget:
    """A program with this build information."""
    fake, space = target(AMD64)
    if text is not None:
        data = ("x" * 16 + text).encode()
        at = space.put(data)
        word = space.word(at) + space.word(len(data))
        fake.variables["runtime.modinfo"] = Variable("runtime.modinfo", STRING, data=word)
    return fake


SHOP = "path\texample.com/shop/cmd\nmod\texample.com/shop\t(devel)\ndep\tstore/lib\tv1.0.0\n"
STANDARD = [
    (holder("unicode.Scripts"), "map[string]*unicode.RangeTable"),
    (holder("'unicode.Scripts'"), "map[string]*unicode.RangeTable"),
    (holder("encoding/xml.HTMLEntity"), "map[string]string"),
    (holder("encoding/json.cache", key(ANY, ANY, ".Load({})"), ".(encoding/json.fields)", ".by"), "map[string]int"),
    # Nobody else can make a map of this type, whatever leads there.
    (holder("sync.pools", 2, ".New", CapturedName(".e")), "map[string]*encoding/json.field"),
    (holder("vendor/golang.org/x/net/http2/hpack.table"), "map[string]uint64"),
]
OTHERS = [
    (holder("main.M"), "map[string]int"),
    (holder("example.com/shop/cart.M"), "map[string]int"),
    (holder("store/lib.M"), "map[string]int"),  # a module's path may have no dot
    (holder("github.com/org/lib.M"), "map[string]int"),
    # The standard library's variable, the program's map.
    (holder("log.std", ".out", ".(*main.Writer)", ".Lines"), "map[string]int"),
    (holder("expvar.vars", key(ANY, ANY, ".Load({})"), ".(map[string]int)"), "map[string]int"),
    (holder("net/http.mux", key(), ".h"), "map[string]*main.Page"),
    (holder("sync.pools", 2, ".New", CapturedName(".m")), "map[string]int"),
    (holder("net/http.mux", key(GoType(Kind.STRUCT, "main.Key", 8)), ".m"), "map[string]int"),
    # What its functions were called with.
    (holder("v", place=STD_FRAME), "map[string]int"),
    (holder("bss+0x2330"), "map[string]int"),
    (holder("0x5b5bb28:map[string]int"), "map[string]int"),
]


@pytest.mark.parametrize(("one", "t", "wanted"), [(*one, True) for one in STANDARD] + [(*one, False) for one in OTHERS])
def test_what_is_the_standard_librarys_own(one: Holder, t: str, wanted: bool) -> None:
    fake = built(SHOP)
    assert Selection(fake).is_standard(one, t) is wanted
    assert Selection(fake).hides(one, t) is wanted
    assert not any(chosen.hides(one, t) for chosen in (Selection(fake, std=True), Selection(fake, package="log")))


@pytest.mark.parametrize("text", [None, "", "path\tcommand-line-arguments\n"])
def test_nothing_is_the_standard_librarys_where_the_build_does_not_tell(text: str | None) -> None:
    """Without modules a program's own packages look like the standard library's."""
    assert not any(Selection(built(text)).is_standard(*one) for one in STANDARD)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("main", []),
        ("cart", [0, 1]),
        ("example.com/shop/cart", [0, 1]),
        ("example.com/shop/...", [0, 1]),
        ("example.com/...", [0, 1]),
        ("shop", []),
        ("v2", [2]),
        ("proto", [2]),  # of the module proto/v2
        ("", []),
    ],
)
def test_packages(wanted: str, found: list[int]) -> None:
    every = [
        holder("example.com/shop/cart.M", ".x"),
        holder("c", place=FRAME),
        holder("github.com/org/proto/v2.M"),
        holder("0xc000:map[int]int", place=Place("heap")),
    ]
    selection = Selection(built(SHOP), package=wanted)
    assert [i for i, one in enumerate(every) if selection.selects(one, "map[int]int")] == found
    assert package_of(every[3]) == ""


@pytest.mark.parametrize(
    ("wanted", "name", "found"),
    [
        ("map[string]int", "map[string]int", True),
        ("map[string]int", "map[string]int32", False),
        ("map[string]any", "map[string]interface {}", True),
        ("map[string]*cart.Item", "map[string]*example.com/shop/cart.Item", True),
        ("map[string]*Item", "map[string]*example.com/shop/cart.Item", True),
        ("Item", "map[string]*example.com/shop/cart.Item", True),
        ("Item", "map[string]*example.com/shop/cart.Items", False),
        ("cart.Item", "map[string]map[int]example.com/shop/cart.Item", True),
        ("cart.Item", "map[string]example.com/other.cart_Item", False),
        ("example.com/shop/cart.Item", "map[string]example.com/shop/cart.Item", True),
        ("[]byte", "map[string][]uint8", True),
        ("(", "map[string]int", False),
        ("", "map[string]int", False),
    ],
)
def test_types(wanted: str, name: str, found: bool) -> None:
    assert Selection(built(None), type=wanted).of_type(name) is found
