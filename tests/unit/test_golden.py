"""The wire format, against answers written by hand from the contract: docs/json.md and the classes that JSON is made
from could change together, and scripts would break.

A file of golden/ is (a command line, what it has to print): fields may be added, none may be renamed or left out. `...`
stands for a text for people. All are about one program: a classic map m at 0xc000010000 with its bucket behind the
header, the keys 37 and 74 in its first slots, and the same numbers as elems; `same`, the same map; `none`, a nil map.
There is no goroutine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from gomap import frontend
from gomap.declare import Settings
from gomap.gotypes import GoType
from gomap.recorded import ImageTarget
from gomap.render.text import Style
from gomap.target import Variable
from tests.support.by_hand import classic
from tests.support.space import add, basic, pointer, slice_of, struct
from tests.support.synthetic import ClassicPlan

FILES = sorted(Path(__file__).with_name("golden").glob("*.json"))


class Program(ImageTarget):
    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        return (one for one in self.variables.values() if wanted(one.type))


def program() -> Program:
    fake, built = classic(ClassicPlan(0, [[[5, 5, 0, 0, 0, 0, 0, 0]]]))
    add(fake, "same", built.type, fake.memory.word(built.address))
    add(fake, "none", built.type, fake.memory.word(0))
    word = basic("uintptr")
    alone = "goid atomicstatus waitreason m gopc startpc syscallsp syscallpc _defer waitsince".split()
    stack = struct("runtime.stack", 8, [("lo", word), ("hi", word)])
    sched = struct("runtime.gobuf", 8, [("sp", word), ("pc", word), ("bp", word)])
    g = struct("runtime.g", 8, [("stack", stack), ("sched", sched), *((name, word) for name in alone)])
    fake.types["runtime.g"] = g
    none = fake.memory.word(built.address) + bytes(16)
    fake.variables["runtime.allgs"] = Variable("runtime.allgs", slice_of(pointer(g)), data=none)
    return Program(**vars(fake))


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        lost = [f"{path}.{name}: missing" for name in wanted if name not in found]
        there = [name for name in wanted if name in found]
        return lost + [d for name in there for d in differences(wanted[name], found[name], f"{path}.{name}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [d for i, one in enumerate(wanted) for d in differences(one, found[i], f"{path}[{i}]")]
    same = wanted == found and type(wanted) is type(found)
    return [] if same or (wanted == "..." and isinstance(found, str)) else [f"{path}: {found!r} instead of {wanted!r}"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_answer_is_as_the_contract_has_it(file: Path) -> None:
    golden = json.loads(file.read_text())
    name, _, line = golden["line"].partition(" ")
    output = frontend.run(name, line, program, Settings(), Style()).output
    assert output.endswith("\n") and output.count("\n") == 1
    assert differences(golden["answer"], json.loads(output)) == []


def test_a_renamed_field_is_a_difference() -> None:
    assert differences({"a": {"b": 1}}, {"a": {"c": 1}}) == [".a.b: missing"]
    assert differences([1], [True]) and differences([1], []) and differences({"a": None}, {"a": 0})
