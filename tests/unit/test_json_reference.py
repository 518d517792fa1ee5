"""docs/json.md describes every field, type, word and code that answers have, and no other; answers are as it says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gomap import frontend, image
from gomap.analysis import iterators
from gomap.analysis.iterators import Iteration
from gomap.answers.iterations import MAX_SHOWN
from gomap.commands import registry
from gomap.declare import Settings
from gomap.render.text import Style
from gomap.target import Frame, Goroutine
from tests.support import schema
from tests.support.by_hand import ask
from tests.support.space import AMD64, basic, target
from tests.support.synthetic import ClassicPlan, build_classic

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "json.md").read_text()
SHARED: dict[str, Mapping[str, Any]] = {
    "place": schema.PLACE,
    "way": schema.WAY,
    "holder": schema.HOLDER,
    "sizes": schema.SIZES,
    "growth": schema.GROWTH,
    "heap": schema.HEAP,
    "scanned": schema.SCANNED,
    "half": schema.HALF,
    "call": schema.CALL,
    "origin": schema.ORIGIN,
}
TYPES = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "boolean",
    schema.HEX: "address",
    schema.HASH: "hash",
    schema.FRACTION: "fraction",
    schema.JSON_SCALAR: "scalar",
    schema.NINE: "histogram",
    schema.SIGNED: "signed",
    schema.CHANGE: "change",
}
#: Functions that take an anomaly's code.
TELLING = frozenset("Anomaly add more note only tell _lost _odd _wrong _anomaly _report Size Cause".split())
CODE = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{4,}")
SEVERITIES = {"error", "warning", "note"}


# -- the reference as it is written ----------------------------------------------------------------------


def section(heading: str) -> str:
    found = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", REFERENCE, re.M | re.S)
    assert found, heading
    return found[1]


def rows(text: str) -> dict[str, tuple[str, str]]:
    """The tables' fields: type and meaning."""
    found = re.findall(r"^\| `(\S+?)` \| (.*?) \| (.*?) \|$", text, re.M)
    assert len(dict.fromkeys(name for name, _, _ in found)) == len(found)
    return {name: (type_, meaning) for name, type_, meaning in found}


def described(heading: str) -> dict[str, tuple[str, str]]:
    """The fields that a section describes, those of shared objects that it takes in among them."""
    text = section(heading)
    found = {}
    if heading in SHARED:
        for link in re.findall(r"\[(\w+)\]\(#\1\)", text.partition("\n|")[0]):
            found.update(described(link))
    for name, (type_, meaning) in rows(text).items():
        found[name] = type_, meaning
        link = re.search(r"\[(\w+)\]\(#\1\).*, and$", meaning)
        if link:
            inside = name + ("[]" if type_.startswith("list") else "")
            found.update({f"{inside}.{key}": row for key, row in described(link[1]).items()})
    return found


# -- the reference as it has to be -----------------------------------------------------------------------


def fields(wanted: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any, bool]]:
    """(path, what the schema says of it, whether it has to be asked for)."""
    for key, one in wanted.items():
        path = before + key.rstrip("?")
        yield path, one, key.endswith("?")
        one = one[0] if isinstance(one, tuple) else one
        inside, path = (one[0], path + "[]") if isinstance(one, list) else (one, path)
        if isinstance(inside, dict) and "*" not in inside and not shared(inside):
            yield from fields(inside, path + ".")


def shared(wanted: object) -> str | None:
    return next((f"[{name}](#{name})" for name, one in SHARED.items() if one is wanted), None)


def type_of(wanted: Any) -> str:
    if isinstance(wanted, tuple):
        assert len(wanted) == 2 and wanted[1] is None
        return f"{type_of(wanted[0])} or null"
    if isinstance(wanted, list):
        inner = type_of(wanted[0])
        return "list" if inner == "object" else f"list of {inner}"
    if isinstance(wanted, set):
        return "word"
    if isinstance(wanted, dict):
        return f"object of {type_of(wanted['*'])}" if "*" in wanted else shared(wanted) or "object"
    return TYPES[wanted]


def words(wanted: Any) -> set[str]:
    if isinstance(wanted, (tuple, list)):
        return words(wanted[0])
    return wanted if isinstance(wanted, set) else set()


def compare(heading: str, wanted: Mapping[str, Any]) -> None:
    found = described(heading)
    listed = list(fields(wanted))
    assert set(found) == {path for path, _, _ in listed}
    for path, one, asked in listed:
        type_, meaning = found[path]
        assert type_ == type_of(one), path
        assert ("*asked*" in meaning) is asked, path
        assert words(one) <= set(re.findall(r"`([^`]+)`", meaning)), path


@pytest.mark.parametrize("command", [*schema.DATA, *schema.LINES])
def test_every_field_of_a_command(command: str) -> None:
    compare(command, {**schema.DATA, **schema.LINES}[command])


@pytest.mark.parametrize("name", SHARED)
def test_every_field_of_shared_objects(name: str) -> None:
    compare(name, SHARED[name])


def test_every_command_is_there() -> None:
    assert set(schema.DATA) == {command.name for command in registry.COMMANDS if not command.writes_file}


def test_what_every_answer_has() -> None:
    wanted: dict[str, Any] = {**schema.answer("hmap-show"), "command": str, "data": {}}
    compare("The answer", wanted)


def test_failures() -> None:
    wanted = {**schema.failure("hmap-show"), "command": str}
    found = rows(section("Failures").partition("| code |")[0])
    assert {name: type_ for name, (type_, _) in found.items()} == {
        path: type_of(one) for path, one, _ in fields(wanted)
    }
    told = re.findall(r"^\| `([a-z-]+)` \|", section("Failures").partition("| code |")[2], re.M)
    assert sorted(told) == sorted({code for tree in sources() for code in codes_of_errors(tree)})


def sources() -> Iterator[ast.AST]:
    """All that a code can come from: the core and both debuggers' sides."""
    for folder in ("gomap", "gdbext", "delve_bridge"):
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
    text = REFERENCE[REFERENCE.index("## Codes of anomalies") :]
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
    wanted = schema.SHOW["iterators"]
    assert schema.faults([good], wanted) == []
    for bad in ({**good, "new": 1}, {**good, "done": -1}, {**good, "position": {"dirIdx": "0"}}, one):
        assert schema.faults([bad], wanted)


def test_truncated_tells_of_what_is_not_there_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON has all the iterations, of which people see the first."""
    goroutine = Goroutine(7, 0xC000, "running", 1, 2, 3, (0x1000, 0x2000))
    frame = Frame("main.loop", "/x/main.go", 12, 1, 2)
    every = [Iteration(goroutine, frame, 1, 0x1000 + 8 * i, False, 16, 0, {"i": 1}, 0, 1) for i in range(MAX_SHOWN + 6)]
    monkeypatch.setattr(iterators, "search", lambda *_: iterators.IterationSearch(every, [], goroutines=1))
    fake, _ = target(AMD64)
    built = build_classic(fake, ClassicPlan(0, [[[5] * 8]]), basic("int"), basic("int"))
    fake.add("m", built.type, fake.memory.word(built.address))
    answer = ask(fake, "hmap-show", "m --iterators --json")
    assert schema.faults(answer, schema.answer("hmap-show")) == []
    assert (len(answer["data"]["iterators"]), answer["truncated"]) == (len(every), None)
    text = frontend.run("hmap-show", "m --iterators", lambda: fake, Settings(), Style()).output
    assert text.splitlines()[2] == f"{len(every)} iterations over it are under way (1 goroutine searched)"
    assert f"iterations: {MAX_SHOWN} of {len(every)} shown" in text
