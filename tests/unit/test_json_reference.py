"""docs/json.md describes every field, type, word and code that answers have, and no other; answers are as it says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from direct import reference
from gomap import frontend, image
from gomap.analysis import iterators
from gomap.analysis.iterators import Iteration
from gomap.answers.iterations import MAX_SHOWN
from gomap.commands import registry
from gomap.declare import JSON, Settings
from gomap.render.text import Style
from gomap.results import contract
from gomap.results.encode import encode, line
from gomap.results.fields import fields_of
from gomap.results.shared import HeapFacts, PlaceFacts, ScannedFacts, SizeFacts, WayFacts
from gomap.results.show import IteratorRow
from gomap.results.top import TopMap, TopResult, TopTotal
from gomap.target import Frame, Goroutine
from tests.support import schema
from tests.support.by_hand import ask
from tests.support.space import AMD64, add, basic, target
from tests.support.synthetic import ClassicPlan
from tests.support.synthetic_classic import build_classic

ROOT = Path(__file__).resolve().parents[2]
TEXT = reference.REFERENCE.read_text()
#: Functions that take an anomaly's code.
TELLING = frozenset("Anomaly add more note only tell _lost _odd _wrong _anomaly _report Size Cause _Off".split())
CODE = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{4,}")
SEVERITIES = {"error", "warning", "note"}


# -- fields ----------------------------------------------------------------------------------------------


def test_tables_are_as_made() -> None:
    """Else: python3 -m direct.reference"""
    assert reference.made(TEXT) == TEXT


def test_every_command_is_there() -> None:
    assert set(contract.COMMANDS) == {command.name for command in registry.COMMANDS if JSON in command.all_args}


def parts(*wanted: type) -> Iterator[type]:
    """The classes, and those of the objects within."""
    for one in wanted:
        yield one
        for field in fields_of(one):
            inside = (field.type.part or field.type).object
            yield from parts(inside) if inside is not None else ()


@pytest.mark.parametrize("result", dict.fromkeys(parts(*contract.SECTIONS.values())), ids=lambda one: one.__name__)
def test_every_field_has_a_meaning(result: type) -> None:
    for field in fields_of(result):
        assert field.meaning or field.flat, field.name
        assert "|" not in field.meaning and "\n" not in field.meaning, field.name
        t = field.type.part or field.type
        assert field.words or t.form != "word", field.name
        if t.object is None or t.object in contract.SHARED.values():
            continue
        flats = [one.type.object for one in fields_of(t.object) if one.flat]
        for name in (name for name, one in contract.SHARED.items() if one in flats):  # the table has a link to these
            assert re.search(rf"\[{name}\]\(#{name}\).*, and$", field.meaning), field.name


def section(heading: str) -> str:
    found = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S)
    assert found, heading
    return found[1]


def test_codes_of_failures() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", section("Failures").partition("| code |")[2], re.M)
    assert sorted(told) == sorted({code for tree in sources() for code in codes_of_errors(tree)})


def sources() -> Iterator[ast.AST]:
    """All that a code can come from: the core and all front doors."""
    for folder in ("gomap", "gdbext", "delve_bridge", "direct"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text())


def codes_of_errors(tree: ast.AST) -> Iterator[str]:
    """What classes have as their code."""
    for node in ast.walk(tree):
        for one in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(one, ast.Assign) and [ast.unparse(name) for name in one.targets] == ["code"]:
                yield ast.literal_eval(one.value)
            elif isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == "code":
                assert ast.unparse(one.annotation) != "str" or not one.value, f"not read here: {ast.unparse(one)}"


# -- codes of anomalies ----------------------------------------------------------------------------------


def strings(node: ast.AST) -> Iterator[str]:
    """The words that a value may be, where it is written down."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        yield node.value
    elif isinstance(node, (ast.IfExp, ast.Tuple)):
        for one in ast.iter_child_nodes(node):
            yield from strings(one)


def codes(tree: ast.AST) -> Iterator[str]:
    """Codes in the source: what the functions that tell anomalies are given, variables of that name, and what is
    returned to be one."""
    of_errors = {one for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for one in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TELLING:
                yield from (text for arg in node.args for text in strings(arg))
        elif isinstance(node, ast.Assign) and node not in of_errors:
            names = {one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)}
            if "code" in names:
                yield from strings(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name == "link_problem":
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Tuple):
                    yield from strings(inner.value.elts[0])


def test_every_code_of_an_anomaly() -> None:
    known = {code for tree in sources() for code in codes(tree)}
    text = TEXT[TEXT.index("## Codes of anomalies") :]
    told = re.findall(r"^\| `([a-zA-Z0-9-]+)` \|", text, re.M)
    assert sorted(told) == sorted(known - SEVERITIES)


# -- answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(Path(__file__).with_name("images").glob("*.hmap")), ids=lambda file: file.stem)
def test_answers_are_as_described(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(command: str) -> Any:
        assert image.main([str(file), "-c", f"{command} --json"]) == 0, command
        return json.loads(capsys.readouterr().out)

    shown = ask("hmap-show --entries 3")
    assert schema.faults(shown, schema.answer("hmap-show", entries=True)) == []
    keys = [one["key"] for one in shown["data"]["entries"]]
    gets = [f"hmap-get {json.dumps(key)}" for key in keys if type(key) in (int, str) and str(key).isalnum()]
    for command in ("hmap-show", "hmap-evac", "hmap-check", "hmap-alias --all", *gets):
        assert schema.faults(ask(command), schema.answer(command.split()[0])) == [], command


def test_what_is_not_described_is_a_fault() -> None:
    """Also deep inside what was asked for."""
    place = {"goroutine": 1, "frame": 0, "function": "main.main", "file": "main.go", "line": 3}
    one = {**place, "address": "0x10", "memory": "stack", "key": "k", "key_address": "0x20", "elem_address": None}
    good = {**one, "done": 0, "total": 4, "position": {"dirIdx": -1}}
    assert schema.faults(good, IteratorRow) == []
    for bad in ({**good, "new": 1}, {**good, "done": -1}, {**good, "position": {"dirIdx": "0"}}, one):
        assert schema.faults(bad, IteratorRow)


def test_truncated_tells_of_what_is_not_there_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has all the iterations, of which people see the first."""
    goroutine = Goroutine(7, 0xC000, "running", 1, 2, 3, (0x1000, 0x2000))
    frame = Frame("main.loop", "/x/main.go", 12, 1, 2)
    every = [Iteration(goroutine, frame, 1, 0x1000 + 8 * i, False, 16, 0, {"i": 1}, 0, 1) for i in range(MAX_SHOWN + 6)]
    monkeypatch.setattr(iterators, "search", lambda *_: iterators.IterationSearch(every, [], goroutines=1))
    fake, _ = target(AMD64)
    built = build_classic(fake, ClassicPlan(0, [[[5] * 8]]), basic("int"), basic("int"))
    add(fake, "m", built.type, fake.memory.word(built.address))
    answer = ask(fake, "hmap-show", "m --iterators --json")
    assert schema.faults(answer, schema.answer("hmap-show")) == []
    assert (len(answer["data"]["iterators"]), answer["truncated"]) == (len(every), None)
    text = frontend.run("hmap-show", "m --iterators", lambda: fake, Settings(), Style()).output
    assert text.splitlines()[2] == f"{len(every)} iterations over it are in progress (1 goroutine searched)"
    assert f"{MAX_SHOWN} of {len(every)} iterations shown" in text


NOTHING = SizeFacts(0, 0, 0, 0)
TOP_OF_NONE = TopResult(
    by="bytes",
    group=None,
    groups=[],
    maps=[],
    total=TopTotal(0, 0, NOTHING, 0, None),
    heap=HeapFacts(False, False, None, 0, 0, 0, 0, 0),
    unreachable=None,
    bytes_from="size-classes",
    scanned=ScannedFacts(0, 0, 0, 0, 0),
)


@pytest.mark.parametrize("asked", [set(), {0}, set(range(100))], ids=["none", "one", "all"])
def test_many_rows_are_written_as_each_is(asked: set[int]) -> None:
    """By columns, with what JSON has names for, text of any kind and parts that are not there."""

    def row(i: int) -> TopMap:
        place = PlaceFacts(i or None, i, 'a "b"\n', None, 7)
        way = WayFacts(f"m[{i}]\udc80%s", "global", place)
        held = TopMap(
            way,
            i,
            None,
            "size",
            ["T"] * (i % 2),
            None if i % 3 else bool(i % 2),
            f"a -> b{i}" if i % 2 else None,
            i,
            i % 3 or None,
            i / 3 or None,
            "swiss",
            SizeFacts(i, 1, 2, 3),
            None,
            None,
            i,
            bool(i % 2),
        )
        return held._replace(origin=None, samples=i) if i in asked else held

    rows = [row(i) for i in range(100)]
    whole = encode(TOP_OF_NONE)
    one = json.loads(line(replace(TOP_OF_NONE, maps=rows)))
    assert one == {**whole, "maps": [json.loads(line(row)) for row in rows]}
