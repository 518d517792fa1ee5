"""Debug information is not trusted: package variables and types are read, or one clear error is raised."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gomap.dwarf.entries import BadDwarf
from gomap.dwarf.info import DebugInfo
from gomap.elf import BadElf
from gomap.errors import GomapError
from gomap.gotypes import GoType, Kind

#: Abbreviations by tag, with children or without: attributes and forms, as cmd/internal/dwarf/dwarf.go has them.
UNIT, VARIABLE, BASE, STRUCT, MEMBER, POINTER, ARRAY, RANGE, TYPEDEF, FUNCTION, CAPTURED, BLOCK = range(1, 13)
TAGS = (0x11, 0x34, 0x24, 0x13, 0x0D, 0x0F, 0x01, 0x21, 0x16, 0x2E, 0x34, 0x0B)
NAME, KIND, ELEM, SIZE, OF_TYPE = (0x03, 0x08), (0x2900, 0x0B), (0x2902, 0x10), (0x0B, 0x0F), (0x49, 0x10)
FORMS = {
    UNIT: (NAME, (0x13, 0x0B)),
    VARIABLE: (NAME, (0x02, 0x0A), OF_TYPE, (0x3F, 0x0C)),
    BASE: (NAME, (0x3E, 0x0B), (0x0B, 0x0B), KIND),
    STRUCT: (NAME, SIZE, KIND, ELEM),
    MEMBER: (NAME, (0x38, 0x0F), OF_TYPE, (0x2903, 0x0C)),
    POINTER: (NAME, OF_TYPE, KIND),
    ARRAY: (NAME, OF_TYPE, SIZE, KIND),
    RANGE: (OF_TYPE, (0x37, 0x0F)),
    TYPEDEF: (NAME, OF_TYPE, KIND, ELEM),
    FUNCTION: (NAME, (0x11, 0x01)),
    CAPTURED: (NAME, (0x3B, 0x0F), OF_TYPE, (0x2907, 0x0F), (0x02, 0x0A)),
    BLOCK: (),
}
PARENTS = {UNIT, STRUCT, ARRAY, FUNCTION, BLOCK}


@dataclass
class Writer:
    """A program with one unit. Entries refer to one another by the place that `here` gives, or `ahead` will have."""

    order: str = "<"
    word: int = 8
    version: int = 4
    entries: bytearray = field(default_factory=bytearray)
    symbols: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.head = 12 if self.version >= 5 else 11
        self.entries += bytes([UNIT]) + b"main\0\x16"

    @property
    def here(self) -> int:
        return self.head + len(self.entries)

    def number(self, value: int) -> bytes:
        return struct.pack(self.order + "I", value)

    def base(self, name: str, size: int, kind: int) -> int:
        at = self.here
        self.entries += bytes([BASE]) + name.encode() + bytes([0, 5, size, kind])
        return at

    def struct(self, name: str, size: int, kind: int, members: Sequence[tuple[str, int, int]], elem: int = 0) -> int:
        at = self.here
        self.entries += bytes([STRUCT]) + name.encode() + bytes([0, size, kind]) + self.number(elem)
        for member, offset, of in members:
            self.entries += bytes([MEMBER]) + member.encode() + bytes([0, offset]) + self.number(of) + b"\0"
        self.entries += b"\0"
        return at

    def pointer(self, name: str, of: int) -> int:
        at = self.here
        self.entries += bytes([POINTER]) + name.encode() + b"\0" + self.number(of) + bytes([22])
        return at

    def array(self, name: str, of: int, size: int, length: int) -> int:
        at = self.here
        self.entries += bytes([ARRAY]) + name.encode() + b"\0" + self.number(of) + bytes([size, 17])
        self.entries += bytes([RANGE]) + self.number(of) + bytes([length, 0])
        return at

    def typedef(self, name: str, of: int, kind: int, elem: int = 0) -> int:
        at = self.here
        self.entries += bytes([TYPEDEF]) + name.encode() + b"\0" + self.number(of) + bytes([kind])
        self.entries += self.number(elem)
        return at

    def variable(self, name: str, address: int, of: int, symbol: int | None = None) -> None:
        place = struct.pack(self.order + ("Q" if self.word == 8 else "I"), address)
        self.entries += bytes([VARIABLE]) + name.encode() + bytes([0, 1 + self.word, 3]) + place
        self.entries += self.number(of) + b"\1"
        self.symbols.append((name, address if symbol is None else symbol))

    def function(
        self, name: str, captured: Sequence[tuple[str, int, int]], inside: Sequence[tuple[str, int, int]]
    ) -> None:
        """captured, inside (a block of its own): (name, type, offset in the closure)."""

        def variables(of: Sequence[tuple[str, int, int]]) -> None:
            for variable, t, offset in of:
                self.entries += (
                    bytes([CAPTURED]) + variable.encode() + b"\0\7" + self.number(t) + bytes([offset, 1, 0x9C])
                )

        self.entries += bytes([FUNCTION]) + name.encode() + b"\0" + bytes(self.word)
        variables(captured)
        self.entries += bytes([BLOCK])
        variables(inside)
        self.entries += b"\0\0"

    def program(self) -> bytes:
        entries = bytes(self.entries) + b"\0"
        of_unit = struct.pack(self.order + "H", self.version)
        if self.version >= 5:
            of_unit += bytes([1, self.word]) + self.number(0)
        else:
            of_unit += self.number(0) + bytes([self.word])
        info = self.number(len(of_unit) + len(entries)) + of_unit + entries
        return self._elf({".debug_info": info, ".debug_abbrev": _abbreviations(), **self._symbols()})

    def _symbols(self) -> dict[str, bytes]:
        strings, table = b"\0", b""
        for name, value in self.symbols:
            if self.word == 8:
                table += struct.pack(self.order + "IBBHQQ", len(strings), 0x11, 0, 1, value, 8)
            else:
                table += struct.pack(self.order + "IIIBBH", len(strings), value, 8, 0x11, 0, 1)
            strings += name.encode() + b"\0"
        return {".symtab": table, ".strtab": strings}

    def _elf(self, sections: dict[str, bytes]) -> bytes:
        names = ["", *sections, ".shstrtab"]
        strings = b"".join(name.encode() + b"\0" for name in names)
        wide = self.word == 8
        first = 64 if wide else 52
        form = struct.Struct(self.order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII"))
        body, headers = b"", form.pack(*[0] * 10)
        for name, data in {**sections, ".shstrtab": strings}.items():
            link = names.index(".strtab") if name == ".symtab" else 0
            at = strings.index(b"\0" + name.encode() + b"\0") + 1
            headers += form.pack(at, 1, 0, 0, first + len(body), len(data), link, 0, 1, 0)
            body += data
        ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if self.order == "<" else 2, 1])
        header = struct.pack(
            self.order + "16sHHI" + ("QQQ" if wide else "III") + "IHHHHHH",
            *(ident, 2, 62 if wide else 3, 1, 0, first, first + len(body), 0, first, 0, 0, form.size),
            *(len(names), len(names) - 1),
        )
        return header + body + headers


def _uleb(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low | 0x80]) + _uleb(value >> 7) if value > 0x7F else bytes([low])


def _abbreviations() -> bytes:
    table = b""
    for code, tag in enumerate(TAGS, 1):
        table += bytes([code, tag, code in PARENTS])
        table += b"".join(_uleb(attribute) + bytes([form]) for attribute, form in (*FORMS[code], (0, 0)))
    return table + b"\0"


def small(order: str = "<", word: int = 8, version: int = 4) -> Writer:
    """Variables of all kinds of types, and what looks like one and is none."""
    w = Writer(order, word, version)
    number, byte = w.base("int", word, 2), w.base("uint8", 1, 8)
    text = w.struct("string", 2 * word, 24, [("str", 0, w.pointer("*uint8", byte)), ("len", word, number)])
    w.variable("main.number", 0x1000, number)
    w.variable("main.text", 0x1010, text)
    tree = w.here + len(b"\x06*main.tree\0") + 5  # a pointer to what follows it
    pointer = w.pointer("*main.tree", tree)
    assert w.here == tree
    w.struct("main.tree", 2 * word, 25, [("left", 0, pointer), ("n", word, number)])
    w.variable("main.root", 0x1020, pointer)
    w.variable("main.many", 0x1030, w.array("[3]int", number, 3 * word, 3))
    parts = [("array", 0, w.pointer("*int", number)), ("len", word, number), ("cap", 2 * word, number)]
    w.variable("main.list", 0x1040, w.struct("[]int", 3 * word, 23, parts, number))
    eface = w.struct("runtime.eface", 2 * word, 25, [("_type", 0, pointer), ("data", word, pointer)])
    w.variable("main.any", 0x1050, w.typedef("interface {}", w.typedef("any", eface, 20), 20))
    queue = w.pointer("*hchan<int>", w.struct("hchan<int>", word, 25, [("qcount", 0, number)]))
    w.variable("main.queue", 0x1060, w.typedef("chan int", queue, 18, number))
    w.variable("main.elsewhere", 0x1070, number, symbol=0x2070)
    w.variable("of_c", 0x1080, number)
    w.function("main.f", [("x", number, 0)], [])
    w.function("main.f.func1", [("n", number, word), ("&m", pointer, 2 * word), ("own", number, 0)], [("z", number, 8)])
    return w


def opened(data: bytes, folder: Path) -> DebugInfo:
    file = folder / "program"
    file.write_bytes(data)
    return DebugInfo(str(file))


def types(info: DebugInfo) -> dict[str, GoType]:
    return {name: info.type(static.type_at) for name, static in info.variables.items()}


@pytest.mark.parametrize("order, word, version", [("<", 8, 4), ("<", 8, 5), (">", 8, 5), ("<", 4, 4), (">", 4, 5)])
def test_what_is_read(order: str, word: int, version: int, tmp_path: Path) -> None:
    info = opened(small(order, word, version).program(), tmp_path)
    assert info.is_go and info.arch.pointer_size == word
    assert {name: static.address for name, static in info.variables.items()} == {
        "main.any": 0x1050,
        "main.list": 0x1040,
        "main.many": 0x1030,
        "main.number": 0x1000,
        "main.queue": 0x1060,
        "main.root": 0x1020,
        "main.text": 0x1010,
    }
    found = types(info)
    assert {name.partition(".")[2]: (t.kind, t.name, t.size) for name, t in found.items()} == {
        "any": (Kind.INTERFACE, "interface {}", 2 * word),
        "list": (Kind.SLICE, "[]int", 3 * word),
        "many": (Kind.ARRAY, "[3]int", 3 * word),
        "number": (Kind.INT, "int", word),
        "queue": (Kind.CHAN, "chan int", word),
        "root": (Kind.POINTER, "*main.tree", word),
        "text": (Kind.STRING, "string", 2 * word),
    }
    root = found["main.root"].elem
    assert [(f.name, f.offset, f.type.name) for f in root.fields] == [("left", 0, "*main.tree"), ("n", word, "int")]
    assert root.fields[0].type.elem is root
    assert found["main.many"].length == 3 and found["main.list"].elem.name == "int"
    plain = {name for name, static in info.variables.items() if info.is_plain(static.type_at)}
    assert plain == {"main.number", "main.text"}
    kept = info.captured("main.f.func1") or []
    assert [(one.name, info.type(one.type_at).name, one.offset) for one in kept] == [
        ("n", "int", word),
        ("&m", "*main.tree", 2 * word),
    ]
    assert info.captured("main.f") == [] and info.captured("main.f.func2") is None


def test_a_type_that_contains_itself(tmp_path: Path) -> None:
    w = Writer()
    itself = w.here
    w.struct("main.T", 8, 25, [("t", 0, itself)])
    w.variable("main.x", 0x1000, itself)
    circle = w.here
    w.typedef("main.D", circle, 0)
    w.variable("main.y", 0x1010, circle)
    info = opened(w.program(), tmp_path)
    for name, told in (("main.x", "contains itself"), ("main.y", "has no end")):
        with pytest.raises(BadDwarf, match=told):
            info.type(info.variables[name].type_at)


def test_no_symbol_confirms_a_variable(tmp_path: Path) -> None:
    w = Writer()
    w.variable("main.x", 0x1000, w.base("int", 8, 2), symbol=0x2000)
    with pytest.raises(BadDwarf, match="no package variable"):
        assert opened(w.program(), tmp_path).variables


PROGRAM = small().program()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(PROGRAM) - 1), st.integers(0, 255)), max_size=6), st.integers(0, 400))
def test_damaged(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], lost: int) -> None:
    data = bytearray(PROGRAM)
    for at, value in changes:
        data[at] = value
    del data[len(data) - (lost if lost > 300 else 0) :]
    file = tmp_path_factory.getbasetemp() / "damaged"
    file.write_bytes(data)
    try:
        info = DebugInfo(str(file))
        variables = info.variables
    except (BadElf, BadDwarf):
        return
    try:
        for one in info.captured("main.f.func1") or []:
            reach(info.type(one.type_at))
    except GomapError:
        pass
    for static in variables.values():
        try:
            info.is_plain(static.type_at)
            reach(info.type(static.type_at))
        except GomapError:
            pass


def reach(t: GoType) -> None:
    queue, seen = [t], {id(t)}
    while queue:
        one = queue.pop()
        behind = [lazy() for lazy in (one.lazy_elem, one.lazy_key, one.lazy_header) if lazy is not None]
        for inner in (*behind, *(f.type for f in one.fields)):
            if id(inner) not in seen:
                seen.add(id(inner))
                queue.append(inner)
