"""What people type as EXPR and KEY, against what the program says that it leads to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import debuggers, delves, session, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.session import KEYS, NAMED, PATHS
from tests.support.toolchains import Row

#: What is said to those who type these.
REFUSED = {
    'hmap-show doc["n\\"o"]': 'doc["n\\"o"]: the map has no such key',
    "hmap-show doc[key+1]": "operators are not evaluated",
    "hmap-show doc.issuer": 'doc has no field issuer: it is a map[string]interface {}: use doc["issuer"]',
    "hmap-show iface.(*Ctx).vals": "iface holds a *main.Entry, not a *Ctx",
    "hmap-show e.(Entry)": "e is not an interface: it is a *main.Entry",
    "hmap-show e.Dato": "e has no field Dato: it has Data, Ctx (did you mean Data?)",
    "hmap-show fn": "fn is not a map: it is a func() int",
    "hmap-show fn.nope": "without a captured nope",
    "hmap-show fn()": "functions are not called",
    "hmap-show len(doc)": "functions are not called",
    "hmap-show main.handler": "main.handler is a function: name a variable",
    "hmap-show main.doc": "no package variable main.doc: doc is a local variable; did you mean doc?",
    "hmap-show shards": "name an element, as in shards[0]",
    "hmap-show shards[1:2]": "use the index of one element",
    "hmap-show shards[key]": "key is a string, not an int",
    "hmap-show shards[9]": "out of range: the slice has 2 elements",
    "hmap-show main.W.waiting[2]": "the channel's buffer holds 2 values",
    "hmap-show main.W.plain.Load(1)": "main.W.plain.Load(1): the sync.Map has no such key",
    "hmap-show main.W.value.namemap": "(did you mean nameMap?)",
    "hmap-show (*main.Nope)(e)": "not a type",
    "hmap-get main.Days Tue": '"Tue" is neither a main.Weekday nor a variable or constant: expected an integer literal',
    "hmap-get main.Days x": '"x" is neither a main.Weekday nor a variable or constant: expected an integer literal',
    "hmap-get main.Days key": "key is a string, not a main.Weekday",
    'hmap-get main.Days "x"': '"x" is not a main.Weekday: expected an integer literal',
    "hmap-get main.Bytes 256": '"256" is not a uint8: a uint8 has 8 bits',
    "hmap-get main.Bytes main.Floats": "not a uint8",
    "hmap-get main.Words foo": 'write "foo" for the string',
    "hmap-get main.Words 'foo'": 'as in "foo"',
    "hmap-get main.Words X-A": 'as in "X-A"',
    "hmap-get main.Ptrs &k1": "&k1 is a **main.impl, not a *main.impl: leave out the &",
    "hmap-get main.Ptrs *k1": "*k1 is a main.impl, not a *main.impl: write & in front of it",
    "hmap-get main.Ptrs &impl{1}": "it makes a new pointer",
    "hmap-get main.Ifs &impl{1}": "it makes a new pointer",
    "hmap-get main.Pos {1,2,3,4,5}": "its fields are X, Y, Z, W",
    'hmap-get main.Addrs "10.0.0.1"': "as hmap-show --entries prints it",
    "hmap-get main.Anys []int{1}": "can't be compared",
}


#: What an optimised build may keep nowhere.
LOCAL = ("k1", "ch", "i", "key")
VARIABLE = re.compile(r"[*&(]*(doc|input|pm|ppm|inner|fn|m|e|iface|shards|map\[string\]interface \{\}\)\(&doc)\b")


def problems(answers: Session, told: Mapping[str, Any], gone: bool, closures: bool = True) -> list[str]:
    """gone: whether variables of functions need not be there. closures: whether those that closures captured are."""
    notes = answers.truth["named"]["notes"]
    found = []
    for expr, address in notes["maps"].items():
        got = told["maps"][expr]
        if gone and VARIABLE.match(expr) and ("optimized out" in str(got) or "no variable" in str(got)):
            continue
        if not closures and "no captured variable can be located" in str(got):
            continue
        if got != address:
            found.append(f"{expr}: {got}, not {address}")
    for expr, key, value in notes["keys"]:
        got = told["keys"][f"{expr} {key}"]
        if gone and key in LOCAL and ("optimized out" in str(got) or "neither" in str(got)):
            continue
        if got != value:
            found.append(f"{expr} {key}: {got}, not {value!r}")
    return found


def refused(answers: Session) -> list[str]:
    given = {answer.command: answer for answer in answers.answers}
    wrong = [(line, given[line]) for line, says in REFUSED.items() if says not in str(given[line].error)]
    return [f"{line}: {answer.error or answer.output}" for line, answer in wrong]


@pytest.mark.each_kind
def test_in_gdb(toolchain: Row, gdb: Gdb, optimised: bool) -> None:
    binary = toolchains.build("exprs", toolchain, optimised)
    refusals = [] if optimised else list(REFUSED)
    asked = [f"source {session.EVERY_KEY}", NAMED, *refusals, KEYS, PATHS]
    answers = debuggers.visit(gdb, binary, {"named": asked})
    assert "\n".join(problems(answers, answers.at("named", NAMED).json(), optimised)) == ""
    every_key_and_path(answers)
    if not optimised:
        assert "\n".join(refused(answers)) == ""


@pytest.mark.each_kind
def test_through_delve(toolchain: Row, dlv: Dlv, optimised: bool) -> None:
    binary = toolchains.build("exprs", toolchain, optimised)
    refusals = [] if optimised else list(REFUSED)
    asked = [NAMED, *refusals, KEYS, PATHS]
    answers = delves.visit(dlv, binary, {"named": asked})
    # Debug information says where closures have their variables from Go 1.23 on.
    closures = toolchain.name not in ("1.21.13", "1.22.10")
    assert "\n".join(problems(answers, answers.at("named", NAMED).json(), optimised, closures)) == ""
    every_key_and_path(answers)
    if not optimised:
        assert "\n".join(refused(answers)) == ""


def every_key_and_path(answers: Session) -> None:
    paths, keys = answers.at("named", PATHS).json(), answers.at("named", KEYS).json()
    assert paths["problems"] == [] and paths["resolved"] > 40, paths
    assert [one["problems"] for one in keys.values() if one["problems"]] == []
    assert all(one["keys"] for one in keys.values()), keys
