"""Where a map's type is known twice, from debug information and from the runtime's descriptor, both agree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from tests.support import debuggers, session
from tests.support.debuggers import Gdb

CASES = Path(__file__).resolve().parents[2] / "go_targets/types/cases.go"


def boxed() -> list[str]:
    """The package variables whose maps main.Anys holds, in its order."""
    listed = re.search(r"Anys = \[\]any\{(.*?)\n\t\}", CASES.read_text(), re.S)
    assert listed is not None
    return [f"main.{name}" for name in re.findall(r"\w+", listed.group(1))]


def without_expr(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "expr"}


def test_descriptor_and_debug_information_agree(target: Callable[[str], Path], gdb: Gdb, optimised: bool) -> None:
    """The variable's type comes from debug information, the interface's from the descriptor it points to."""
    names = boxed()
    pairs = [(session.show(name), session.show(f"main.Anys[{i}]")) for i, name in enumerate(names)]
    commands = [*session.SETTINGS, *(command for pair in pairs for command in pair)]
    answers = debuggers.visit(gdb, target("types"), {"filled": commands})
    assert len(names) > 60
    for plain, held in pairs:
        first, second = answers.at("filled", plain), answers.at("filled", held)
        assert first.error is None and second.error is None, (held, first.error, second.error)
        assert without_expr(first.json()["data"]) == without_expr(second.json()["data"]), plain


def test_shapes_are_those_of_the_runtime(target: Callable[[str], Path], gdb: Gdb, optimised: bool) -> None:
    """Offsets and strides against the descriptor as the program itself reads it."""
    binary = target("types")
    exprs = [expr for expr in session.published(binary)["filled"] if "[" not in expr]
    commands = [f"source {session.HELPERS}", *(f"gomap_shape {expr}" for expr in exprs)]
    answers = debuggers.visit(gdb, binary, {"filled": commands})
    truth = answers.truth["filled"]["maps"]
    compared = 0
    for expr in exprs:
        shape = truth[expr].get("shape")
        if shape is None:
            continue
        answer = answers.at("filled", f"gomap_shape {expr}")
        assert answer.error is None, (expr, answer.error)
        assert answer.json() == shape, expr
        compared += 1
    assert compared > 60
