"""The table of the runtime's structures (gomap/stripped/layouts.txt): what has to hold of it without a toolchain."""

from __future__ import annotations

import re

import pytest

from gomap.gotypes import Kind
from gomap.stripped import layouts
from tests.support.toolchains import ROOT
from tools.layouts import ARCHITECTURES, CONSTANTS, TYPES

MINORS = range(21, 28)
WORDS = {"386": 4}
#: Structures that only some versions have, or that are read only of a program with debug information.
NOT_OF_THE_RUNTIME = {"sync.readOnly"}
#: Padding, and fields that structures have on some machines alone.
OF_SOME = {"_", "xRegs", "valgrindStackID", "mWaitList"}
#: Constants of the hash functions that machines of 64 bits have.
OF_64_BITS = {"runtime.m4"}
ROWS = {row.key: row for row in layouts.read()}


def test_every_version_and_architecture() -> None:
    assert {key[:2] for key in ROWS if not key[2]} == {(minor, arch) for minor in MINORS for arch in ARCHITECTURES}
    experiments: dict[int, set[tuple[str, ...]]] = {}
    for minor in MINORS:
        for arch in ARCHITECTURES:
            own = tuple(sorted(key[2] for key in ROWS if key[:2] == (minor, arch)))
            experiments.setdefault(minor, set()).add(own)
    assert all(len(found) == 1 for found in experiments.values()), experiments


def test_what_the_core_asks_for() -> None:
    """A structure that the core reads and that the table has not is silently unknown in every stripped program."""
    asked: set[str] = set()
    for file in (ROOT / "gomap").rglob("*.py"):
        text = file.read_text()
        asked |= set(re.findall(r'(?:find_type|runtime_type)\(\s*"([^"]+)"', text))
        asked |= set(re.findall(r'"(runtime\.special\w+|runtime\._KindSpecial\w+)"', text))
    assert len(asked) > 20
    assert asked - set(TYPES) - set(CONSTANTS) - NOT_OF_THE_RUNTIME == set()


@pytest.mark.parametrize("key", ROWS, ids=lambda key: "-".join(map(str, key)))
def test_structures_are_sound(key: layouts.Key) -> None:
    """Fields lie in their structure and not over each other, and machines of one version have the same fields."""
    row, word = ROWS[key], WORDS.get(key[1], 8)
    here, there = layouts.Layouts(row, word), ROWS[key[0], "amd64", key[2]]
    others = layouts.Layouts(there, 8)
    assert set(row.types) == set(there.types)
    assert set(row.constants) ^ set(there.constants) <= OF_64_BITS
    assert row.reasons == there.reasons
    for name in row.types:
        found, other = here.find(name), others.find(name)
        assert found is not None and other is not None and found.kind is Kind.STRUCT
        end = 0
        for one in found.fields:
            assert one.offset >= end and one.offset + one.type.size <= found.size, (name, one.name)
            end = one.offset + one.type.size
        own, its = ({one.name for one in t.fields} for t in (found, other))
        assert own ^ its <= OF_SOME, (name, own ^ its)
