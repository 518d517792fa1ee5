"""A small part of what `python -m tests.fuzz` does, and all that it ever found.

Maps of every layout are scribbled over and asked everything: see tests/fuzz and docs/reliability.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gomap import frontend
from gomap.commands.registry import COMMANDS
from gomap.errors import BadImage, MemoryFault
from gomap.frontend import Outcome
from gomap.memory import RegionMemory
from tests import fuzz
from tests.fuzz import judge as judging
from tests.fuzz.judge import judge
from tests.fuzz.lines import line, lines
from tests.fuzz.recipe import Cooked, Recipe, cook, draw
from tests.fuzz.scribbled import Filled, Scribbled, Unbounded
from tests.fuzz.sources import Source, by_name, sources

FOUND = (Path(fuzz.__file__).with_name("found.jsonl")).read_text().splitlines()


def faults(recipe: Recipe) -> list[str]:
    """What is wrong with the answers about the map that the recipe makes."""
    try:
        cooked = cook(recipe)
    except BadImage as error:
        return [] if str(error).isprintable() and len(str(error)) < 2000 else [str(error)]
    found = []
    for one in recipe.lines:
        verdict = judge(one, cooked.target, cooked.memory)
        if verdict.fault is not None:
            found.append(f"{one}: {verdict.fault}\n{verdict.detail}")
    return found


@pytest.mark.parametrize("number", range(len(FOUND)))
def test_what_was_found_is_mended(number: int) -> None:
    assert faults(Recipe.read(FOUND[number])) == []


@settings(max_examples=1200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.sampled_from(sorted(by_name())), st.integers(0, 1 << 32))
def test_scribbled_maps(name: str, seed: int) -> None:
    recipe = draw(random.Random(seed), by_name()[name], lines)
    assert faults(recipe) == [], recipe.json()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.randoms(use_true_random=False))
def test_scribbled_maps_choice_by_choice(data: st.DataObject, chance: random.Random) -> None:
    """hypothesis makes every single choice, and so finds the smallest recipe for what it finds."""
    source = by_name()[data.draw(st.sampled_from(sorted(by_name())))]
    recipe = draw(chance, source, lines)
    assert faults(recipe) == [], recipe.json()


# -- the fuzzer itself -----------------------------------------------------------------------------------


def test_there_is_something_of_everything() -> None:
    layouts = {(one.arch.name, one.map.shape.layout, one.map.shape.group) for one in sources() if one.map is not None}
    for name in ("amd64", "386", "s390x", "mips"):
        assert {(name, "classic", None), (name, "swiss", "interleaved"), (name, "swiss", "split")} <= layouts
    assert len({one.map.shape.key.kind for one in sources() if one.map is not None}) >= 8
    assert any(one.map is None for one in sources())


@pytest.mark.parametrize("source", sources(), ids=lambda source: str(source.name))
def test_what_nobody_scribbled_over_is_fine(source: Source) -> None:
    cooked = cook(Recipe(source.name))
    chance = random.Random(source.name)
    for command in COMMANDS:
        if not command.writes_file:
            verdict = judge(line(chance, source, command), cooked.target, cooked.memory)
            assert verdict.fault is None, verdict


def test_every_command_is_asked() -> None:
    source = sources()[0]
    asked = {one.split()[0] for one in lines(random.Random(1), source)}
    assert asked == {command.name for command in COMMANDS if not command.writes_file}


def test_a_recipe_is_done_again_as_it_was() -> None:
    source = by_name()["1.27.3-shared-Keep.Ints.hmap"]
    recipes = [draw(random.Random(number), source, lines) for number in range(200)]
    assert [Recipe.read(one.json()).json() for one in recipes] == [one.json() for one in recipes]
    assert any(one.patches for one in recipes)
    assert any(one.lost for one in recipes)
    assert any(one.filler for one in recipes)
    assert any(one.manifest for one in recipes)


def test_scribbled_memory() -> None:
    memory = Scribbled(
        RegionMemory([(100, bytes(range(50)))]), [(110, b"abc"), (112, b"X"), (98, b"yz!")], [(140, 142)]
    )
    assert memory.read(108, 6) == bytes([8, 9]) + b"abX" + bytes([13])
    assert memory.read(100, 2) == b"!" + bytes([1])
    assert memory.read(142, 8) == bytes(range(42, 50))
    for address, size in ((139, 2), (141, 1), (138, 10), (99, 1), (149, 2)):
        with pytest.raises(MemoryFault):
            memory.read(address, size)
    with pytest.raises(Unbounded):
        memory.read(100, 1 << 30)


def test_memory_around_what_was_recorded() -> None:
    memory = Filled([(100, b"abcd"), (110, b"xy")], b"\1\2\3\4", 64)
    assert memory.read(96, 16) == b"\1\2\3\4abcd\1\2\3\4\1\2xy"
    assert memory.read(64, 3) == b"\1\2\3"
    for address, size in ((63, 1), (127, 2), (128, 1)):
        with pytest.raises(MemoryFault):
            memory.read(address, size)


SICK: dict[str, Callable[[], object]] = {
    "a fault": lambda: 1 // 0,
    "no answer": lambda: Outcome(),
    "a terminal's escape": lambda: Outcome("a\x1b[2J\x1b[3;1Hb\n"),
    "a mark that turns text": lambda: Outcome("\u202eabc\n"),
    "two lines of error": lambda: Outcome("", "one\ntwo"),
    "a long error": lambda: Outcome("", "x" * 3000),
    "too slow": lambda: [None for _ in iter(int, 1)],
    "too much memory": lambda: bytearray(400 << 20),
    "a program": lambda: __import__("os").system("true"),
    "a file": lambda: open("/dev/null").close(),
    "an evaluation": lambda: eval("1 + 1"),
}


@pytest.mark.parametrize("expr", ["m", "m ", "m  "], ids=["one style", "another", "a third"])
@pytest.mark.parametrize("sick", SICK)
def test_the_judge_sees_it(sick: str, expr: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that finds nothing wrong proves nothing."""
    judging.ready()
    monkeypatch.setattr(judging, "SECONDS", 0.3)
    monkeypatch.setattr(frontend, "run", lambda *_arguments, **_named: SICK[sick]())
    cooked: Cooked = cook(Recipe(sources()[0].name))
    assert judge(f"hmap-show {expr}", cooked.target, cooked.memory).fault is not None


def test_the_judge_reads_json(monkeypatch: pytest.MonkeyPatch) -> None:
    judging.ready()
    cooked = cook(Recipe(sources()[0].name))
    for text in ("", "[]\n", "{}", "{}\n{}\n", '{"error": 1}\n', '{"a": "é"}\n', "nonsense\n"):
        monkeypatch.setattr(frontend, "run", lambda *_arguments, text=text, **_named: Outcome(text))
        assert judge("hmap-show m --json", cooked.target, cooked.memory).fault is not None, text
